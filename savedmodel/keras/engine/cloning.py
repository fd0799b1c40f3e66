"""Models made anew from models or configs: clone_model, model_from_config, model_from_json."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from savedmodel.keras.engine.functional import Functional
from savedmodel.keras.engine.input_layer import Input, InputLayer
from savedmodel.keras.engine.keras_tensor import is_keras_tensor
from savedmodel.keras.engine.model import Model
from savedmodel.keras.engine.network_config import connect_ancillary_layers, get_network_config, reconstruct_from_config
from savedmodel.keras.engine.sequential import Sequential
from tracer import nest
from tracer.errors import InvalidArgumentError

__all__ = ["clone_model", "model_from_config", "model_from_json", "model_from_yaml"]


def model_from_config(config: Any, custom_objects: Any = None) -> Any:
    """The model of `{"class_name", "config"}`. Raises TypeError where `config` is a list (use `Sequential.from_config`)."""
    if isinstance(config, list):
        raise TypeError(f"`model_from_config` expects a dictionary, not a list. Received: config={config}. Did you meant to use `Sequential.from_config(config)`?")
    from savedmodel.keras import layers

    return layers.deserialize(config, custom_objects=custom_objects, use_legacy_format="module" not in config)


def model_from_json(json_string: str, custom_objects: Any = None) -> Any:
    """The model of what `to_json` gave."""
    from savedmodel.keras.saving import metadata_json

    return model_from_config(metadata_json.decode_and_deserialize(json_string, custom_objects=custom_objects), custom_objects=custom_objects)


def model_from_yaml(yaml_string: str, custom_objects: Any = None) -> Any:
    raise RuntimeError(
        "Method `model_from_yaml()` has been removed due to security risk of arbitrary code execution. Please use `Model.to_json()` and "
        "`model_from_json()` instead."
    )


def clone_model(model: Any, input_tensors: Any = None, clone_function: Callable[[Any], Any] | None = None) -> Any:
    """A model with the same layers, newly initialised.

    Args:
        input_tensors: tensors or input layers to build on instead of new inputs.
        clone_function: makes the copy of a layer; by default from its config.

    Raises:
        ValueError: a subclassed model is given with `input_tensors` or `clone_function`.
    """
    if isinstance(model, Sequential):
        return _clone_sequential(model, input_tensors, clone_function or _clone_layer)
    if isinstance(model, Functional):
        special = type(model) is not Functional and getattr(type(model).from_config, "__func__", None) is not Functional.from_config.__func__  # type: ignore[attr-defined]
        if clone_function is None and special and input_tensors is None:
            return type(model).from_config(model.get_config())
        return _clone_functional(model, input_tensors, clone_function or _clone_layer)
    if input_tensors is not None or clone_function is not None:
        raise InvalidArgumentError(
            f"Arguments clone_function and input_tensors are only supported for Sequential models or Functional models. Received model of type "
            f"'{type(model).__name__}', with clone_function={clone_function} and input_tensors={input_tensors}"
        )
    if not isinstance(model, Model):
        raise InvalidArgumentError(f"Expected `model` argument to be a `Model` instance, got {model}.")
    return type(model).from_config(model.get_config())


def _clone_layer(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())


def _check_function(function: Any) -> None:
    if not callable(function):
        raise InvalidArgumentError(f"Expected `clone_function` argument to be a callable. Received: clone_function={function}")


def _input_layer_of(tensor: Any, name: str) -> Any:
    if isinstance(tensor, InputLayer):
        return tensor
    if is_keras_tensor(tensor) and isinstance(tensor._keras_history.layer, InputLayer):
        return tensor._keras_history.layer
    return Input(tensor=tensor, name=f"input_wrapper_for_{name}")._keras_history.layer


def _clone_functional(model: Any, input_tensors: Any, clone: Callable[[Any], Any]) -> Any:
    if not model._is_graph_network:
        raise InvalidArgumentError(
            "Expected `model` argument to be a functional `Model` instance, but got a subclassed model instead."
        )
    _check_function(clone)
    created: dict[str, Any] = {}
    if input_tensors is not None:
        flat = nest.flatten(input_tensors)
        for original, tensor in zip(model._input_layers, flat, strict=True):
            created[original.name] = _input_layer_of(tensor, original.name)
    by_name: dict[str, Any] = {}

    def copy_of(layer: Any) -> dict[str, Any]:
        if layer.name not in created:
            created[layer.name] = InputLayer(**layer.get_config()) if isinstance(layer, InputLayer) else (
                clone_model(layer, clone_function=clone) if isinstance(layer, Functional) and clone is _clone_layer else clone(layer)
            )
        by_name[layer.name] = created[layer.name]
        return {}

    config = get_network_config(model, serialize_layer_fn=copy_of)
    inputs, outputs, layers = reconstruct_from_config(config, created_layers=created)
    label = model.name
    cls = Functional if type(model) is Functional else type(model)
    new = Functional(inputs, outputs, name=label) if cls is Functional else Model(inputs, outputs, name=label)
    connect_ancillary_layers(new, layers)
    return new


def _clone_sequential(model: Any, input_tensors: Any, clone: Callable[[Any], Any]) -> Any:
    _check_function(clone)
    found = list(model._flatten_layers(include_self=False, recursive=False))
    copies = [InputLayer(**layer.get_config()) if isinstance(layer, InputLayer) else clone(layer) for layer in found]
    if input_tensors is None:
        new = type(model)(layers=copies, name=model.name) if type(model) is Sequential else type(model).from_config(model.get_config())
        if not new.built and model._build_input_shape is not None and not model._is_graph_network:
            new.build(model._build_input_shape)
        return new
    flat = nest.flatten(input_tensors)
    if len(flat) != 1:
        raise InvalidArgumentError("To clone a `Sequential` model, we expect at most one tensor as part of `input_tensors`.")
    rest = [c for c in copies if not isinstance(c, InputLayer)]
    return Sequential(layers=[_input_layer_of(flat[0], "sequential"), *rest], name=model.name)


