"""The JSON of keras_metadata.pb: tuples, shapes, type specs, bytes and Keras objects ↔ tagged JSON values. It refuses code.

Tags are `{"class_name": "__tuple__" | "TensorShape" | "TypeSpec" | "CompositeTensor" | "__ellipsis__" | "__bytes__", …}`, as Keras 2.15
writes them; functions and classes are written by name.
"""

from __future__ import annotations

import collections.abc
import enum
import json
from typing import Any

import numpy as np

from savedmodel.trackable import DictWrapper, ListWrapper, unwrap
from tracer import specs
from tracer.dtypes import DType, as_dtype
from tracer.errors import InvalidArgumentError
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor

__all__ = ["decode", "decode_and_deserialize", "encode"]

_SPECS: dict[str, Any] = {
    "tf.TensorSpec": specs.TensorSpec,
    "tf.RaggedTensorSpec": specs.RaggedTensorSpec,
    "tf.SparseTensorSpec": specs.SparseTensorSpec,
    "tf.IndexedSlicesSpec": specs.IndexedSlicesSpec,
}
_SPEC_NAMES = {cls: name for name, cls in _SPECS.items()}


def encode(value: Any) -> str:
    """The JSON text of `value`.

    Raises:
        TypeError: a part of it has no JSON form.
    """
    return json.dumps(_encode(value), default=_default)


def _encode(value: Any) -> Any:
    if isinstance(value, TensorShape):
        return {"class_name": "TensorShape", "items": None if value.rank is None else value.as_list()}
    if isinstance(value, (ListWrapper, DictWrapper)):
        return _encode(unwrap(value))
    if isinstance(value, tuple):
        return {"class_name": "__tuple__", "items": [_encode(v) for v in value]}
    if isinstance(value, list):
        return [_encode(v) for v in value]
    if isinstance(value, collections.abc.Mapping):
        return {k: _encode(v) for k, v in value.items()}
    return value


def _default(value: Any) -> Any:
    if isinstance(value, specs.TypeSpec):
        name = _SPEC_NAMES.get(type(value)) or _SPEC_NAMES.get(specs.TensorSpec)
        return {"class_name": "TypeSpec", "type_spec": name, "serialized": [_spec_part(p) for p in value.serialize()]}
    if isinstance(value, DType):
        return value.name
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        return {"class_name": "__bytes__", "value": value.decode("utf-8", "surrogateescape")}
    if value is Ellipsis:
        return {"class_name": "__ellipsis__"}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    spec = getattr(value, "_type_spec", None)
    if spec is not None:
        parts = [[t.dtype.name, t.numpy().tolist()] for t in spec.to_components(value)]
        return {"class_name": "CompositeTensor", "spec": _default(spec), "tensors": parts}
    if isinstance(value, type) or (callable(value) and hasattr(value, "__name__")):
        return value.__name__
    if hasattr(value, "get_config"):
        from savedmodel.keras.saving.serialization import legacy_serialize_keras_object

        return _encode({**legacy_serialize_keras_object(value), "__passive_serialization__": True})
    if isinstance(value, collections.abc.Mapping):
        return dict(value)
    raise TypeError(f"Keras metadata: a value of type {type(value).__name__} has no JSON form: {value!r}")


def _spec_part(part: Any) -> Any:
    if isinstance(part, TensorShape):
        return _encode(part)
    return part.name if isinstance(part, DType) else part


def decode(text: str) -> Any:
    """The value that `text` holds; objects stay dictionaries.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(text, object_hook=_decode)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InvalidArgumentError):
            raise
        raise InvalidArgumentError(f"Keras metadata: expected JSON, received {text[:60]!r}… ({error}); the file is damaged") from None


def _decode(value: dict[str, Any]) -> Any:
    tag = value.get("class_name")
    if tag == "TensorShape" and "items" in value:
        return TensorShape(value["items"])
    if tag == "__tuple__" and "items" in value:
        return tuple(value["items"])
    if tag == "TypeSpec" and "type_spec" in value:
        return _type_spec(value["type_spec"], value["serialized"])
    if tag == "CompositeTensor" and "spec" in value:
        spec = value["spec"]
        return spec.from_components([convert_to_tensor(np.array(data, as_dtype(name).numpy)) for name, data in value["tensors"]])
    if tag == "__bytes__":
        return value["value"].encode("utf-8", "surrogateescape")
    if tag == "__ellipsis__":
        return Ellipsis
    return value


def _type_spec(name: str, serialized: list[Any]) -> Any:
    make = _SPECS.get(name)
    if make is None:
        raise InvalidArgumentError(f"No TypeSpec has been registered with name {name!r}; known are {sorted(_SPECS)}")
    return make(*serialized)


def decode_and_deserialize(text: str, custom_objects: dict[str, Any] | None = None) -> Any:
    """Like `decode`, with Keras objects in it made anew."""
    from savedmodel.keras.saving.serialization import legacy_deserialize_keras_object

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("__passive_serialization__"):
                return legacy_deserialize_keras_object(
                    {k: v for k, v in value.items() if k != "__passive_serialization__"}, None, custom_objects
                )
            return {k: walk(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(walk(v) for v in value)
        return value

    return walk(decode(text))


