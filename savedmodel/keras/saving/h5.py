"""HDF5 in the layout of Keras 2: whole models, and weights alone. `.weights.h5` has another layout and lives in `keras_archive`.

Whole models must be Functional or Sequential; subclassed models have no such form. Authority: Keras 2.15.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from savedmodel.errors import DataLossError, FormatError, NotSavableError, SavedModelError
from savedmodel.keras.saving.h5_files import load_attributes, reading, save_attributes, writing
from savedmodel.keras.saving.h5_layouts import convert_weights
from tracer.errors import InvalidArgumentError
from tracer.variable import Variable

__all__ = ["load_h5", "load_h5_weights", "save_h5", "save_h5_weights"]

_log = logging.getLogger("savedmodel")


class NoHdf5FormError(SavedModelError, NotImplementedError):
    """A model or weight that HDF5 cannot hold."""


# -- whole models ------------------------------------------------------------------------------------------------------


def save_h5(model: Any, filepath: Any, include_optimizer: bool = True) -> None:
    """Write a model to a path or into an open h5py file.

    Raises:
        NotImplementedError: it is subclassed. ValueError: it was never built.
    """
    from savedmodel.keras.engine.sequential import Sequential

    if not getattr(model, "_is_graph_network", False) and not isinstance(model, Sequential):
        raise NoHdf5FormError(
            "Saving the model to HDF5 format requires the model to be a Functional model or a Sequential model. It does not work for subclassed "
            "models, because such models are defined via the body of a Python method, which isn't safely serializable. Save it as a SavedModel "
            "(a path without .h5), as .keras with a get_config(), or its weights alone with `save_weights`."
        )
    model._assert_weights_created()
    weights = list(_all_weights(model))
    if len({id(w) for w in weights}) != len(weights):
        _log.warning(
            "Found duplicated `Variable`s in Model's `weights`. This is usually caused by `Variable`s being shared by Layers in the Model. These "
            "`Variable`s will be treated as separate `Variable`s when the Model is restored. To avoid this, please save with `save_format=\"tf\"`."
        )
    attributes = _metadata(model, include_optimizer)
    with writing(filepath) as file:
        for name, value in attributes.items():
            file.attrs[name] = value
        save_weights_group(file.create_group("model_weights"), model)
        if include_optimizer and getattr(model, "optimizer", None) is not None:
            _save_optimizer(file, model.optimizer)


def _all_weights(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        yield from layer.weights
    yield from (*model._own_list("_trainable_weights"), *model._own_list("_non_trainable_weights"))


def _metadata(model: Any, include_optimizer: bool) -> dict[str, Any]:
    from savedmodel.keras.engine.config_json import json_default
    from savedmodel.keras.engine.model import KERAS_VERSION
    from savedmodel.keras.saving.training_config import training_config

    attributes = model.__dict__
    attributes["use_legacy_config"] = True  # nested layers are written in the form of this format
    try:
        config: dict[str, Any] = {"class_name": type(model).__name__, "config": model.get_config()}
    finally:
        for layer in model._flatten_layers():
            layer.__dict__.pop("use_legacy_config", None)
    out: dict[str, Any] = {"keras_version": KERAS_VERSION, "backend": "tensorflow", "model_config": json.dumps(config, default=json_default).encode()}
    if include_optimizer and getattr(model, "optimizer", None) is not None:
        training = training_config(model)
        if training is not None:
            out["training_config"] = json.dumps(training, default=json_default).encode()
    return out


def _text(value: Any) -> Any:
    return value.decode("utf-8") if hasattr(value, "decode") else value


def load_h5(filepath: Any, custom_objects: Any = None, compile: bool = True) -> Any:
    """The model in a file or an open h5py file, compiled as it was, with its optimizer's state.

    Raises:
        ValueError: no model in the file, or unknown objects. OSError: no file, or a damaged one.
    """
    from savedmodel.keras.engine import cloning
    from savedmodel.keras.registration import get_custom_objects, scoped_objects
    from savedmodel.keras.saving import keras3_config, metadata_json

    custom = {**(custom_objects or {}), **scoped_objects(), **get_custom_objects()}
    with reading(filepath) as file:
        config = _text(file.attrs.get("model_config"))
        if config is None:
            raise FormatError(
                f"No model config found in the file at {filepath}. If it holds weights alone, build the model and call load_weights()."
            )
        config = metadata_json.decode(config)
        if keras3_config.is_keras3_config(config):
            config = keras3_config.to_keras2(config)
        model = cloning.model_from_config(config, custom_objects=custom)
        if "model_weights" not in file:
            raise DataLossError(f"{filepath}: expected a group 'model_weights' beside the model's config; the file is incomplete")
        load_weights_group(file["model_weights"], model)
        if compile:
            _compile(model, file, custom)
    return model


def _compile(model: Any, file: Any, custom: dict[str, Any]) -> None:
    from savedmodel.keras.saving import keras3_config, metadata_json
    from savedmodel.keras.saving.training_config import compile_arguments

    config = _text(file.attrs.get("training_config"))
    if config is None:
        _log.warning("No training configuration found in the save file, so the model was *not* compiled. Compile it manually.")
        return
    config = metadata_json.decode(config)
    config = keras3_config.training_to_keras2(config)
    model.compile(**compile_arguments(config, custom), from_serialized=True)
    _build_compiled(model)
    if "optimizer_weights" not in file:
        return
    values = _subset(file["optimizer_weights"])
    optimizer = model.optimizer
    try:
        optimizer.build(model.trainable_variables)
        optimizer.set_weights(keras3_config.optimizer_values(file["optimizer_weights"], values, optimizer))
    except (NotImplementedError, AttributeError, ValueError) as error:
        _log.warning(
            "Error in loading the saved optimizer state (%s). As a result, your model is starting with a freshly initialized optimizer.", error
        )


def _build_compiled(model: Any) -> None:
    """Make losses and metrics where the outputs are known, so that names and states are there before the first batch."""
    if getattr(model, "outputs", None) is None:
        return
    for container, arguments in ((model.compiled_loss, (model.outputs,)), (model.compiled_metrics, (model.outputs, model.outputs))):
        build = getattr(container, "build", None)
        if build is not None and not getattr(container, "built", getattr(container, "_built", False)):
            build(*arguments)


def _save_optimizer(group: Any, optimizer: Any) -> None:
    variables = optimizer.variables if not callable(optimizer.variables) else optimizer.variables()
    if variables:
        _save_subset(group.create_group("optimizer_weights"), list(variables))


# -- weights -----------------------------------------------------------------------------------------------------------


def save_h5_weights(model: Any, filepath: Any) -> None:
    """Write the weights of a model, layer by layer, to a path or into an open h5py file."""
    with writing(filepath) as file:
        save_weights_group(file, model)


def load_h5_weights(model: Any, filepath: Any, by_name: bool = False, skip_mismatch: bool = False) -> None:
    """Read the weights of a file (of weights, or of a whole model) into a model.

    Args:
        by_name: by the layers' names, else in the order of layers with weights.
        skip_mismatch: with `by_name`, leave out what does not fit.

    Raises:
        ValueError: layers, weights or shapes do not fit; or the model is not built.
    """
    with reading(filepath) as file:
        group = file
        if "layer_names" not in group.attrs and "layer_names0" not in group.attrs and "model_weights" in group:
            group = group["model_weights"]
        if by_name:
            load_weights_group_by_name(group, model, skip_mismatch)
        else:
            load_weights_group(group, model)


def _legacy_weights(layer: Any) -> list[Any]:
    """The weights of a layer in the order of this format: trainable ones first."""
    weights = [*layer.trainable_weights, *layer.non_trainable_weights]
    if any(not isinstance(w, Variable) for w in weights):
        raise NoHdf5FormError(
            f"Save or restore weights that is not an instance of `tf.Variable` is not supported in h5, use `save_format='tf'` instead. Received a "
            f"model or layer {type(layer).__name__} with weights {weights}"
        )
    return weights


def _save_subset(group: Any, weights: list[Any]) -> None:
    names = [w.name.encode("utf8") for w in weights]
    save_attributes(group, "weight_names", names)
    for name, w in zip(names, weights, strict=True):
        if name.decode() in group:
            raise NotSavableError(
                f"Unable to create dataset (name already exists): two weights of one layer are called {name.decode()!r}; rename one of them, or "
                f"save as .keras or SavedModel, which store weights by their place"
            )
        value = np.asarray(w.numpy())
        group.create_dataset(name, data=value, dtype=value.dtype)


def save_weights_group(group: Any, model: Any) -> None:
    """Write the weights of a model into an h5py group."""
    from savedmodel.keras.engine.model import KERAS_VERSION

    save_attributes(group, "layer_names", [layer.name.encode("utf8") for layer in model.layers])
    group.attrs["backend"] = b"tensorflow"
    group.attrs["keras_version"] = KERAS_VERSION.encode("utf8")
    # Sorted, so that "conv1" comes before "conv1/conv", whose group lies inside of it.
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        _save_subset(group.create_group(layer.name) if layer.name not in group else group[layer.name], _legacy_weights(layer))
    _save_subset(group.create_group("top_level_model_weights"), _own_weights(model))


def _own_weights(model: Any) -> list[Any]:
    return [*model._own_list("_trainable_weights"), *model._own_list("_non_trainable_weights")]


def _subset(group: Any) -> list[Any]:
    names = load_attributes(group, "weight_names")
    missing = [n for n in names if n not in group]
    if missing:
        raise DataLossError(f"{group.file.filename} > {group.name}: expected datasets {missing}, which its weight_names list; the file is damaged")
    return [np.asarray(group[n]) for n in names]


def _source(group: Any) -> tuple[str, str | None]:
    version = _text(group.attrs["keras_version"]) if "keras_version" in group.attrs else "1"
    backend = _text(group.attrs["backend"]) if "backend" in group.attrs else None
    return version, backend


def _check_shape(k: int, layer: Any, weight: Any, value: Any) -> str | None:
    if weight.shape.is_compatible_with(value.shape):
        return None
    return f"layer #{k} (named {layer.name}) for weight {weight.name}. Weight expects shape {tuple(weight.shape)}. Received saved weight with shape {value.shape}"


def _assign(pairs: list[tuple[Any, Any]], model: Any) -> None:
    for weight, value in pairs:
        if not weight.shape.is_compatible_with(value.shape):
            raise InvalidArgumentError(
                f"Cannot assign value to variable '{weight.name}': Shape mismatch. The variable shape {weight.shape}, and the assigned value shape "
                f"{value.shape} are incompatible."
            )
    for weight, value in pairs:
        weight.assign(np.asarray(value, dtype=weight.dtype.numpy))
    for layer in model._flatten_layers():
        layer.finalize_state()


def load_weights_group(group: Any, model: Any) -> None:
    """Read weights in the order of layers that have any.

    Raises:
        ValueError: the number of layers, of a layer's weights, or a shape differs.
    """
    version, backend = _source(group)
    layers = [layer for layer in model.layers if _legacy_weights(layer)]
    names = []
    for name in load_attributes(group, "layer_names"):
        if name not in group:
            raise DataLossError(f"{group.file.filename} > {group.name}: expected a group for layer {name!r}; the file is damaged")
        if load_attributes(group[name], "weight_names"):
            names.append(name)
    if len(names) != len(layers):
        raise InvalidArgumentError(
            f"Layer count mismatch when loading weights from file. Model expected {len(layers)} layers, found {len(names)} saved layers."
        )
    pairs: list[tuple[Any, Any]] = []
    for k, (name, layer) in enumerate(zip(names, layers, strict=True)):
        weights = _legacy_weights(layer)
        values = convert_weights(layer, _subset(group[name]), version, backend)
        if len(values) != len(weights):
            raise InvalidArgumentError(
                f"Weight count mismatch for layer #{k} (named {layer.name} in the current model, {name} in the save file). Layer expects "
                f"{len(weights)} weight(s). Received {len(values)} saved weight(s)"
            )
        pairs += zip(weights, values, strict=True)
    if "top_level_model_weights" in group:
        weights, values = _own_weights(model), _subset(group["top_level_model_weights"])
        if len(values) != len(weights):
            raise InvalidArgumentError(
                f"Weight count mismatch for top-level weights when loading weights from file. Model expects {len(weights)} top-level weight(s). "
                f"Received {len(values)} saved top-level weight(s)"
            )
        pairs += zip(weights, values, strict=True)
    _assign(pairs, model)


def load_weights_group_by_name(group: Any, model: Any, skip_mismatch: bool = False) -> None:
    """Read weights into the layers of the same name; layers and groups without a counterpart are left out.

    Raises:
        ValueError: a layer's number of weights or a shape differs, and `skip_mismatch` is False.
    """
    version, backend = _source(group)
    index: dict[str, list[Any]] = {}
    for layer in model.layers:
        index.setdefault(layer.name, []).append(layer)
    pairs: list[tuple[Any, Any]] = []

    def problem(text: str, skipped: str) -> None:
        if not skip_mismatch:
            raise InvalidArgumentError(text)
        _log.warning("%s", skipped)

    for k, name in enumerate(load_attributes(group, "layer_names")):
        for layer in index.get(name, ()):
            weights = _legacy_weights(layer)
            values = convert_weights(layer, _subset(group[name]), version, backend)
            if len(values) != len(weights):
                counts = f"Layer expects {len(weights)} weight(s). Received {len(values)} saved weight(s)"
                problem(
                    f"Weight count mismatch for layer #{k} (named {layer.name}). {counts}",
                    f"Skipping loading of weights for layer #{k} (named {layer.name}) due to mismatch in number of weights. {counts}",
                )
                continue
            for weight, value in zip(weights, values, strict=True):
                wrong = _check_shape(k, layer, weight, value)
                if wrong is None:
                    pairs.append((weight, value))
                else:
                    problem(f"Shape mismatch in {wrong}", f"Skipping loading weights due to mismatch in shape: {wrong}")
    if "top_level_model_weights" in group:
        weights, values = _own_weights(model), _subset(group["top_level_model_weights"])
        if len(values) != len(weights):
            counts = f"Model expects {len(weights)} top-level weight(s). Received {len(values)} saved top-level weight(s)"
            problem(
                f"Weight count mismatch for top-level weights of model. {counts}",
                f"Skipping loading top-level weights for model due to mismatch in number of weights. {counts}",
            )
        else:
            for weight, value in zip(weights, values, strict=True):
                if weight.shape.is_compatible_with(value.shape):
                    pairs.append((weight, value))
                    continue
                shapes = f"{weight.name}. Weight expects shape {tuple(weight.shape)}. Received saved weight with shape {value.shape}"
                problem(
                    f"Shape mismatch in model for top-level weight {shapes}",
                    f"Skipping loading top-level weight for model due to mismatch in shape for weight {shapes}",
                )
    _assign(pairs, model)


def is_weights_path(path: Any) -> bool:
    """Whether a path names an HDF5 file by its ending."""
    text = os.fsdecode(os.fspath(path)) if not hasattr(path, "read") else ""
    return text.endswith((".h5", ".keras", ".hdf5"))
