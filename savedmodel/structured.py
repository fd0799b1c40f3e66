"""StructuredValue: Python structures of tensors' types and literals ↔ messages. It refuses values that the format cannot hold."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from savedmodel.format import protos
from savedmodel.format.errors import FormatError
from savedmodel.format.tensor_proto import shape_from_proto, shape_to_proto, tensor_from_proto, tensor_to_proto
from tracer import specs
from tracer.dtypes import DType, as_dtype
from tracer.errors import SavedModelError
from tracer.shapes import TensorShape
from tracer.tensor import EagerTensor

__all__ = ["NotEncodableError", "deserialize_structure", "deserialize_type_spec", "register_type_spec", "serialize_structure"]

_MAX_DEPTH = 200


class NotEncodableError(SavedModelError, ValueError):
    """A value has no form in a StructuredValue, or a message holds none."""


# TypeSpecProto.TypeSpecClass numbers
_SPARSE, _SLICES, _RAGGED, _VARIABLE, _EXTENSION = 1, 2, 3, 9, 13
_SPEC_CLASSES: dict[int, tuple[str, Callable[..., Any]]] = {
    _SPARSE: ("SparseTensorSpec", specs.SparseTensorSpec),
    _SLICES: ("IndexedSlicesSpec", specs.IndexedSlicesSpec),
    _RAGGED: ("RaggedTensorSpec", specs.RaggedTensorSpec),
    _VARIABLE: ("VariableSpec", specs.VariableSpec),
}
_SPEC_BY_NAME: dict[str, tuple[int, Callable[..., Any]]] = {name: (number, make) for number, (name, make) in _SPEC_CLASSES.items()}


def register_type_spec(class_name: str, number: int, make: Callable[..., Any]) -> None:
    """Let specs of `class_name` be written under TypeSpecClass `number` and be made from their state by `make(*state)`."""
    _SPEC_BY_NAME[class_name] = (number, make)
    _SPEC_CLASSES.setdefault(number, (class_name, make))


class UnknownTypeSpec(specs.TypeSpec):
    """A spec of a class that is not known here, kept as it was read."""

    def __init__(self, message: Any):
        self.message = message

    @property
    def component_specs(self) -> list[specs.TensorSpec]:
        count = self.message.num_flat_components
        return [specs.TensorSpec(None, "variant") for _ in range(count)]

    def serialize(self) -> tuple[Any, ...]:
        return (self.message.type_spec_class_name, self.message.SerializeToString(deterministic=True))

    def __repr__(self) -> str:
        return f"<unknown type spec {self.message.type_spec_class_name}>"




def named_tuple(name: str, fields: list[tuple[str, Any]]) -> Any:
    """A namedtuple instance of class `name`."""
    kind = _named_tuple_class(name, tuple([k for k, _ in fields]))
    return kind(*[v for _, v in fields])


@functools.lru_cache(maxsize=256)
def _named_tuple_class(name: str, keys: tuple[str, ...]) -> Any:
    """One class for all values of a kind: making a class takes longer than anything else here."""
    return collections.namedtuple(name, keys, rename=True)  # type: ignore[misc]


def serialize_structure(value: Any) -> Any:
    """The StructuredValue of `value`.

    Raises:
        NotEncodableError: a leaf is no tensor type, tensor, literal or known container.
    """
    out = protos.StructuredValue()
    _encode(value, out)
    return out


def _encode(value: Any, out: Any) -> None:
    if value is None:
        out.none_value.SetInParent()
    elif isinstance(value, (bool, np.bool_)):
        out.bool_value = bool(value)
    elif isinstance(value, (int, np.integer)):
        out.int64_value = int(value)
    elif isinstance(value, (float, np.floating)):
        out.float64_value = float(value)
    elif isinstance(value, str):
        out.string_value = value
    elif isinstance(value, bytes):
        out.string_value = value.decode("utf-8", "surrogateescape")
    elif isinstance(value, TensorShape):
        out.tensor_shape_value.CopyFrom(shape_to_proto(None if value.rank is None else value.as_list()))
    elif isinstance(value, DType):
        out.tensor_dtype_value = value.number
    elif isinstance(value, specs.BoundedTensorSpec):
        message = out.bounded_tensor_spec_value
        _encode_spec(value, message)
        message.minimum.CopyFrom(tensor_to_proto(value.minimum))
        message.maximum.CopyFrom(tensor_to_proto(value.maximum))
    elif isinstance(value, specs.TensorSpec):
        _encode_spec(value, out.tensor_spec_value)
    elif isinstance(value, UnknownTypeSpec):
        out.type_spec_value.CopyFrom(value.message)
    elif isinstance(value, specs.TypeSpec):
        _encode_type_spec(value, out.type_spec_value)
    elif isinstance(value, EagerTensor):
        out.tensor_value.CopyFrom(tensor_to_proto(value._value, value.dtype.number))
    elif isinstance(value, np.ndarray):
        out.numpy_value.CopyFrom(tensor_to_proto(value))
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        message = out.named_tuple_value
        message.name = type(value).__name__
        for key in value._fields:
            pair = message.values.add(key=key)
            _encode(getattr(value, key), pair.value)
            pair.value.SetInParent()
    elif isinstance(value, tuple):
        out.tuple_value.SetInParent()
        for v in value:
            _encode(v, out.tuple_value.values.add())
    elif isinstance(value, list):
        out.list_value.SetInParent()
        for v in value:
            _encode(v, out.list_value.values.add())
    elif isinstance(value, Mapping):
        out.dict_value.SetInParent()
        for k, v in value.items():
            if not isinstance(k, str):
                raise NotEncodableError(f"structured value: dictionary keys must be strings, received {k!r}")
            _encode(v, out.dict_value.fields[k])
    elif hasattr(value, "_type_spec"):
        _encode(value._type_spec, out)
    else:
        raise NotEncodableError(
            f"No encoder for object {value!r} of type {type(value)}: expected tensors' types, tensors, numbers, strings, None, or "
            f"lists, tuples and string-keyed dictionaries of these"
        )


def _encode_spec(spec: specs.TensorSpec, message: Any) -> None:
    if spec.name is not None:
        message.name = spec.name
    message.shape.CopyFrom(shape_to_proto(None if spec.shape.rank is None else spec.shape.as_list()))
    message.dtype = spec.dtype.number


def _encode_type_spec(spec: specs.TypeSpec, message: Any) -> None:
    name = type(spec).__name__
    known = _SPEC_BY_NAME.get(name)
    if known is None:
        raise NotEncodableError(f"No encoder for type spec {spec!r} of class {name}; register it with register_type_spec")
    message.type_spec_class = known[0]
    _encode(tuple(spec.serialize()), message.type_state)
    message.type_spec_class_name = name
    message.num_flat_components = len(spec.component_specs)


def deserialize_structure(message: Any, _depth: int = 0) -> Any:
    """The value of a StructuredValue.

    Raises:
        NotEncodableError: nothing is set. FormatError: nested too deeply.
    """
    if _depth > _MAX_DEPTH:
        raise FormatError(f"structured value: nested more than {_MAX_DEPTH} levels deep; the file is damaged or hostile")
    kind = message.WhichOneof("kind")
    decode = _DECODERS.get(kind)
    if decode is None:
        raise NotEncodableError("structured value: no kind is set; expected one (the file was written by something unknown)")
    return decode(getattr(message, kind), _depth + 1)


def deserialize_type_spec(message: Any) -> Any:
    """The type spec of a TypeSpecProto."""
    return _type_spec(message, 0)


def _shape(message: Any) -> TensorShape:
    return TensorShape(shape_from_proto(message))


def _named_tuple(m: Any, depth: int) -> Any:
    return named_tuple(m.name or "Struct", [(p.key, deserialize_structure(p.value, depth)) for p in m.values])


def _bounded(m: Any, depth: int) -> Any:
    return specs.BoundedTensorSpec(
        _shape(m.shape), as_dtype(m.dtype), tensor_from_proto(m.minimum), tensor_from_proto(m.maximum), m.name or None
    )


def _tensor(m: Any, depth: int) -> EagerTensor:
    return EagerTensor(tensor_from_proto(m), as_dtype(m.dtype))


def _type_spec(m: Any, depth: int) -> Any:
    known = _SPEC_BY_NAME.get(m.type_spec_class_name) or _SPEC_CLASSES.get(m.type_spec_class)
    if known is None:
        return UnknownTypeSpec(m)
    state = deserialize_structure(m.type_state, depth)
    return known[1](*state)


_DECODERS: dict[str, Callable[[Any, int], Any]] = {
    "none_value": lambda m, d: None,
    "bool_value": lambda m, d: m,
    "int64_value": lambda m, d: m,
    "float64_value": lambda m, d: m,
    "string_value": lambda m, d: m,
    "tensor_shape_value": lambda m, d: _shape(m),
    "tensor_dtype_value": lambda m, d: as_dtype(m),
    "tensor_spec_value": lambda m, d: specs.TensorSpec(_shape(m.shape), as_dtype(m.dtype), m.name or None),
    "bounded_tensor_spec_value": _bounded,
    "type_spec_value": _type_spec,
    "tensor_value": _tensor,
    "numpy_value": lambda m, d: np.array(tensor_from_proto(m)),
    "list_value": lambda m, d: [deserialize_structure(v, d) for v in m.values],
    "tuple_value": lambda m, d: tuple(deserialize_structure(v, d) for v in m.values),
    "dict_value": lambda m, d: {k: deserialize_structure(m.fields[k], d) for k in sorted(m.fields)},
    "named_tuple_value": _named_tuple,
}
