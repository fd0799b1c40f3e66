"""convert: any model that can be loaded becomes `.keras`, `.h5`, `.weights.h5`, `.safetensors` or `.npz`. It refuses guesses.

Whole models need the configs of all their layers. Where a class was not saved with one, the error says so and what can be had instead: the
weights, which need none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from savedmodel.errors import ModelNotFoundError, NotSavableError, SavedModelError

__all__ = ["FORMATS", "ConversionError", "convert"]


class ConversionError(SavedModelError, NotImplementedError):
    """A model has no form in the wanted format; the message says why, and what can be had."""


_WEIGHTS_INSTEAD = "its weights can be had without any config: give OUT the ending .weights.h5, .safetensors or .npz"
_NOT_WEIGHTS = ("optimizer/", "keras_api/", "save_counter/", "_CHECKPOINTABLE_OBJECT_GRAPH")


def convert(path: Any, out: Any, *, keras: int = 3, compile: bool = True, custom_objects: Any = None) -> dict[str, Any]:
    """Convert the model at `path` to the format that the ending of `out` names.

    Args:
        path: a SavedModel directory or archive, a `.keras` archive, or HDF5.
        out: a path that ends in one of FORMATS.
        keras: for `.keras`: 3 writes what Keras 3 reads, 2 what Keras 2.15 reads.
        compile: keep loss, metrics, optimizer and its state.
        custom_objects: name → class or function.

    Returns:
        What was written: `{"format", "path", "tensors" or "layers"}`.

    Raises:
        NotImplementedError: the model has no form in that format. ValueError: the ending is not known. OSError: no model at `path`.
    """
    target = os.fspath(out)
    for ending, write in FORMATS.items():
        if target.endswith(ending):
            done = write(path, target, keras=keras, compile=compile, custom_objects=custom_objects)
            return {"format": ending, "path": target, **done}
    raise NotSavableError(f"{target}: expected a path that ends in one of {', '.join(FORMATS)} - received another ending; rename it")


# -- whole models ------------------------------------------------------------------------------------------------------


def _load(path: Any, compile: bool, custom_objects: Any) -> Any:
    from savedmodel.keras.saving.saving_api import load_model

    model = load_model(path, custom_objects=custom_objects, compile=compile)
    if not hasattr(model, "layers"):
        raise ConversionError(
            f"{path}: this SavedModel was not written by Keras: it holds functions and variables, and no layers with configs; of such a model "
            f"{_WEIGHTS_INSTEAD.replace('.weights.h5, ', '')}"
        )
    return model


def _without_config(layer: Any, path: str = "model") -> Iterator[tuple[str, str]]:
    """(where, class) of every layer that was revived without its class."""
    if type(layer).__dict__.get("_is_revived") or getattr(type(layer), "_is_revived", False):
        yield path, type(layer).__name__
        return
    for child in layer._flatten_layers(recursive=False, include_self=False):
        yield from _without_config(child, f"{path} > {child.name}")


def _check_configs(model: Any, source: Any, target: str) -> None:
    found = list(_without_config(model))
    if found:
        lines = "; ".join(f"{where} (class {name})" for where, name in found[:10])
        raise ConversionError(
            f"{source}: {len(found)} layers were saved without a config, or their classes are not known here: {lines}. A {os.path.splitext(target)[1]} "
            f"file holds configs, not computations. Pass the classes as custom_objects (from Python), or: {_WEIGHTS_INSTEAD}"
        )


def _to_keras(path: Any, target: str, *, keras: int, compile: bool, custom_objects: Any) -> dict[str, Any]:
    from savedmodel.keras.saving import keras3_config, keras_archive
    from savedmodel.keras.saving.serialization import ObjectSharingScope, serialize_keras_object

    model = _load(path, compile, custom_objects)
    _check_configs(model, path, target)
    if keras == 2:
        keras_archive.save_archive(model, target)
        return {"layers": len(model.layers)}
    with ObjectSharingScope():
        config = serialize_keras_object(model)
    try:
        config = keras3_config.to_keras3(config)
    except keras3_config.NoKeras3FormError as error:
        raise ConversionError(f"{path}: {error}") from error
    keras_archive.write_archive(model, target, config, keras_version="3.0.0")
    return {"layers": len(model.layers)}


def _to_h5(path: Any, target: str, *, keras: int, compile: bool, custom_objects: Any) -> dict[str, Any]:
    from savedmodel.keras.saving.h5 import NoHdf5FormError, save_h5

    model = _load(path, compile, custom_objects)
    _check_configs(model, path, target)
    try:
        save_h5(model, target)
    except NoHdf5FormError as error:
        raise ConversionError(f"{path}: {error} With this command: OUT may end in .keras where every class has a config; else {_WEIGHTS_INSTEAD}") from error
    return {"layers": len(model.layers)}


def _to_weights_h5(path: Any, target: str, *, keras: int, compile: bool, custom_objects: Any) -> dict[str, Any]:
    from savedmodel.keras.saving.keras_archive import save_weights_only

    model = _load(path, False, custom_objects)
    save_weights_only(model, target)
    return {"tensors": len(model.weights)}


# -- weights -----------------------------------------------------------------------------------------------------------


def named_weights(path: Any) -> dict[str, Any]:
    """Name → array, or lazily read tensor, of the weights of a model.

    Names are those of the variables ("dense/kernel"); where two have one name, the paths of attributes that lead to them.
    """
    from savedmodel.reader import SavedModelReader, contains_saved_model

    if contains_saved_model(path):
        return _checkpoint_weights(SavedModelReader(path))
    model = _load(path, False, None)
    paths = model.get_weight_paths()
    names = {id(v): v.name.removesuffix(":0") for v in model.weights}
    unique = len(set(names.values())) == len(names)
    where = {id(v): k.replace(".", "/") for k, v in paths.items()}
    return {names[id(v)] if unique else where.get(id(v), names[id(v)]): v.numpy() for v in model.weights}


def _checkpoint_weights(reader: Any) -> dict[str, Any]:
    from savedmodel.checkpoint_restore import parse_object_graph

    if not reader.has_variables:
        raise ModelNotFoundError(f"{reader.path}: the model has no variables, so there are no weights to write")
    bundle = reader.variables
    message = parse_object_graph(bundle, "_CHECKPOINTABLE_OBJECT_GRAPH")
    keys = [k for k in bundle if not k.startswith(_NOT_WEIGHTS) and "/.OPTIMIZER_SLOT/" not in k]
    if message is None:
        return {k: bundle[k] for k in keys}
    full = {a.checkpoint_key: a.full_name for node in message.nodes for a in node.attributes if a.name == "VARIABLE_VALUE"}
    wanted = [k for k in keys if k in full]
    names = {k: full[k] or k.partition("/.ATTRIBUTES/")[0] for k in wanted}
    if len(set(names.values())) != len(names):
        names = {k: k.partition("/.ATTRIBUTES/")[0] for k in wanted}
    return {names[k]: bundle[k] for k in wanted}


def _to_tensors(write: Callable[[str, dict[str, Any]], None]) -> Callable[..., dict[str, Any]]:
    def run(path: Any, target: str, *, keras: int, compile: bool, custom_objects: Any) -> dict[str, Any]:
        tensors = named_weights(path)
        write(target, tensors)
        return {"tensors": len(tensors)}

    return run


def _safetensors(target: str, tensors: dict[str, Any]) -> None:
    from savedmodel.convert.tensor_files import write_safetensors

    write_safetensors(target, tensors, {"format": "np"})


def _npz(target: str, tensors: dict[str, Any]) -> None:
    from savedmodel.convert.tensor_files import write_npz

    write_npz(target, tensors)


# The first ending that fits counts.
FORMATS: dict[str, Callable[..., dict[str, Any]]] = {
    ".keras": _to_keras,
    ".weights.h5": _to_weights_h5,
    ".h5": _to_h5,
    ".hdf5": _to_h5,
    ".safetensors": _to_tensors(_safetensors),
    ".npz": _to_tensors(_npz),
}
