"""Owns TensorProto ↔ ndarray; refuses to allocate before the counts in the message are checked.

Values lie either in `tensor_content` (row-major, little-endian) or in the typed list of the element type, where a list
that is too short repeats its last value and an empty one stands for zeros. README.md has the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from savedmodel.format import dtypes, protos
from savedmodel.format.dtypes import DT_BOOL, DT_RESOURCE, DT_STRING, DT_VARIANT, TensorType
from savedmodel.format.errors import DataLossError, FormatError, TooLargeError, UnknownDTypeError

__all__ = [
    "MAX_BYTES",
    "ResourceHandle",
    "VariantValue",
    "element_count",
    "shape_from_proto",
    "shape_to_proto",
    "tensor_from_proto",
    "tensor_to_proto",
    "variant_from_proto",
]

#: Arrays above this are not made from a message unless asked for: a few bytes can name a shape of any size.
MAX_BYTES = 4 << 30

_MAX_PROTO_BYTES = (1 << 31) - 1
_MAX_RANK = 64 if int(np.__version__.split(".")[0]) >= 2 else 32
_SWAP = sys.byteorder == "big"


@dataclass(frozen=True, slots=True)
class VariantValue:
    """One element of a DT_VARIANT tensor: the name of its C++ type, the bytes and the tensors that it keeps.

    `dtype_numbers` are the DataType numbers of `tensors`, which NumPy dtypes do not tell apart (quantized types).
    """

    type_name: str = ""
    metadata: bytes = b""
    tensors: tuple[np.ndarray, ...] = ()
    dtype_numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceHandle:
    """One element of a DT_RESOURCE tensor. `dtypes_and_shapes`: (DataType number, shape or None) pairs."""

    device: str = ""
    container: str = ""
    name: str = ""
    hash_code: int = 0
    type_name: str = ""
    dtypes_and_shapes: tuple[tuple[int, tuple[int | None, ...] | None], ...] = field(default=())


def shape_from_proto(message: protos.TensorShapeProto) -> tuple[int | None, ...] | None:
    """The shape: a tuple with None for unknown dimensions, or None where even the rank is unknown.

    Raises:
        FormatError: a dimension below -1.
    """
    if message.unknown_rank:
        return None
    shape = tuple(dim.size for dim in message.dim)
    if shape and min(shape) < 0:
        if min(shape) < -1:
            raise FormatError(f"shape: expected sizes of at least -1 (unknown), received {list(shape)}")
        return tuple(None if size < 0 else size for size in shape)
    return shape


def shape_to_proto(shape: Sequence[int | None] | None) -> protos.TensorShapeProto:
    """The message of a shape; None stands for an unknown rank, None as a size for an unknown dimension."""
    message = protos.TensorShapeProto()
    if shape is None:
        message.unknown_rank = True
    else:
        for size in shape:
            message.dim.add(size=-1 if size is None else int(size))
    return message


def element_count(shape: Sequence[int], where: str = "tensor") -> int:
    """The number of elements of a full shape.

    Raises:
        FormatError: a negative size.
        TooLargeError: the sizes other than 0 multiply to 2**63 or more, or there are more than NumPy's dimensions.
    """
    if len(shape) > _MAX_RANK:
        raise TooLargeError(f"{where}: expected at most {_MAX_RANK} dimensions, received {len(shape)}")
    count, empty = 1, False
    for size in shape:
        if size < 0:
            raise FormatError(f"{where}: expected a full shape, received {list(shape)}")
        if size:
            count *= size
        else:
            empty = True
    if count >= 1 << 63:
        raise TooLargeError(f"{where}: expected fewer than 2**63 elements, received shape {list(shape)}")
    return 0 if empty else count


def tensor_from_proto(message: protos.TensorProto, *, max_bytes: int = MAX_BYTES, where: str = "tensor") -> np.ndarray:
    """The value of a TensorProto. `message.dtype` tells quantized types from plain integers.

    Strings become an object array of bytes, variants one of `VariantValue`, resources one of `ResourceHandle`. Values
    beyond the last element are ignored, and an unknown rank is taken for a scalar, as TensorFlow's kernels do.

    Args:
        message: the TensorProto.
        max_bytes: the largest array to make.
        where: what errors name.

    Returns:
        A read-only array of the message's shape; it may share memory with the message's content.

    Raises:
        UnknownDTypeError: an element type without a NumPy dtype.
        TooLargeError: the shape asks for more than `max_bytes`.
        DataLossError: `tensor_content` has not the length that shape and element type ask for.
        FormatError: any other inconsistency.
    """
    number = message.dtype
    if number == 0 or number > dtypes.REF_OFFSET:
        raise UnknownDTypeError(
            f"{where}: expected an element type that is no reference, received DataType {number}; the message is damaged"
        )
    kind = dtypes.tensor_type(number, where)
    dtype = kind.numpy
    assert dtype is not None
    shape = tuple(dim.size for dim in message.tensor_shape.dim)
    count = element_count(shape, where)
    if count * dtype.itemsize > max_bytes:
        raise TooLargeError(
            f"{where}: shape {list(shape)} of {kind.name} takes {count * dtype.itemsize} bytes, expected at most "
            f"{max_bytes}; raise the limit if the source is trusted"
        )
    content = message.tensor_content
    if content:
        flat = _from_content(content, kind, count, where)
    elif dtype.kind == "O":
        flat = _objects(message, kind, count, max_bytes, where)
    else:
        flat = _from_list(message, kind, count)
    array = flat.reshape(shape)
    array.flags.writeable = False
    return array


def _from_content(content: bytes, kind: TensorType, count: int, where: str) -> np.ndarray:
    dtype = kind.numpy
    assert dtype is not None
    if kind.number == DT_STRING:
        return _strings_from_content(content, count, where)
    if dtype.kind == "O":
        raise FormatError(f"{where}: expected {kind.field} for {kind.name}, received {len(content)} bytes of content")
    if len(content) != count * dtype.itemsize:
        raise DataLossError(
            f"{where}: {count} elements of {kind.name} take {count * dtype.itemsize} bytes of content, "
            f"received {len(content)}; the message is damaged"
        )
    if kind.number == DT_BOOL:
        raw = np.frombuffer(content, np.uint8)
        if raw.size and raw.max() > 1:
            raise FormatError(f"{where}: expected bytes 0 and 1 for bool, received {raw.max()}; the message is damaged")
        return raw.view(np.bool_)
    if kind.field == "int_val" and not kind.packs and dtype.itemsize == 1:
        return _narrow(np.frombuffer(content, np.int8), kind)
    if _SWAP and dtype.itemsize > 1:
        unit = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
        return np.frombuffer(content, f"<u{unit}").astype(f"=u{unit}").view(dtype)
    return np.frombuffer(content, dtype)


def _narrow(values: np.ndarray, kind: TensorType) -> np.ndarray:
    """Integers cut to 4 or 2 bits, as TensorFlow casts them; `values` are integers of at least 8 bits."""
    assert kind.numpy is not None
    bits = 8 - int(kind.name[-1])
    raw = values.astype(np.uint8) << np.uint8(bits)
    if kind.name.startswith("u"):
        return (raw >> np.uint8(bits)).astype(kind.numpy)
    return (raw.view(np.int8) >> np.int8(bits)).astype(kind.numpy)


def _from_list(message: protos.TensorProto, kind: TensorType, count: int) -> np.ndarray:
    dtype = kind.numpy
    assert dtype is not None
    values = getattr(message, kind.field)
    if len(values) < 64:  # NumPy takes few values faster from a list, many from the field itself
        values = values[:]
    if kind.field == "float8_val":
        given = np.frombuffer(values, np.uint8).view(dtype)
    elif kind.field == "half_val":
        given = np.array(values, np.int32).astype(np.uint16).view(dtype)
    elif kind.field == "int_val":
        whole = np.array(values, np.int32)
        given = _narrow(whole, kind) if dtype.kind not in "iu" else whole.astype(dtype)
    elif dtype.kind == "c":
        part = np.float32 if dtype.itemsize == 8 else np.float64
        parts = np.array(values, part)
        given = parts[: parts.size // 2 * 2].view(dtype)
    else:
        given = np.array(values, dtype)
    if given.size >= count:
        return given[:count]
    if not given.size:
        return np.zeros(count, dtype)
    flat = np.full(count, given[-1], dtype)
    flat[: given.size] = given
    return flat


def _objects(message: protos.TensorProto, kind: TensorType, count: int, max_bytes: int, where: str) -> np.ndarray:
    given: list[Any]
    default: Any
    if kind.number == DT_STRING:
        given, default = list(message.string_val[:count]), b""
    elif kind.number == DT_VARIANT:
        given = [variant_from_proto(value, max_bytes=max_bytes, where=where) for value in message.variant_val[:count]]
        default = VariantValue()
    else:
        assert kind.number == DT_RESOURCE
        given, default = [_handle_from_proto(value) for value in message.resource_handle_val[:count]], ResourceHandle()
    flat = np.empty(count, object)
    flat[len(given) :] = given[-1] if given else default
    for index, value in enumerate(given):  # one by one: NumPy would look into tuples
        flat[index] = value
    return flat


def variant_from_proto(
    message: protos.VariantTensorDataProto, *, max_bytes: int = MAX_BYTES, where: str = "variant"
) -> VariantValue:
    """The value of a VariantTensorDataProto, its tensors decoded. Errors are those of `tensor_from_proto`."""
    tensors = tuple(tensor_from_proto(inner, max_bytes=max_bytes, where=where) for inner in message.tensors)
    return VariantValue(message.type_name, message.metadata, tensors, tuple(inner.dtype for inner in message.tensors))


def _handle_from_proto(message: protos.ResourceHandleProto) -> ResourceHandle:
    return ResourceHandle(
        message.device,
        message.container,
        message.name,
        message.hash_code,
        message.maybe_type_name,
        tuple((item.dtype, shape_from_proto(item.shape)) for item in message.dtypes_and_shapes),
    )


def _strings_from_content(content: bytes, count: int, where: str) -> np.ndarray:
    """Strings in tensor_content: all lengths as varints, then all bytes. Writers do not do it; TensorFlow reads it."""
    if count > len(content):
        raise DataLossError(f"{where}: expected {count} lengths of strings, received {len(content)} bytes of content")
    lengths, position = [], 0
    for _ in range(count):
        length = shift = 0
        while True:
            if position >= len(content) or shift > 63:
                raise DataLossError(f"{where}: expected {count} lengths of strings, received damaged content")
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise DataLossError(
            f"{where}: expected {position + sum(lengths)} bytes of content for {count} strings, received {len(content)}"
        )
    flat = np.empty(count, object)
    for index, length in enumerate(lengths):
        flat[index] = content[position : position + length]
        position += length
    return flat


def tensor_to_proto(value: Any, dtype: Any = None, *, splat: bool = False, pack: bool = True) -> protos.TensorProto:
    """The TensorProto of an array, byte for byte what TensorFlow 2.15's make_tensor_proto writes for it.

    Args:
        value: an array or what NumPy makes one of. Strings: an object array of bytes or str, or NumPy's own (which
            lose trailing NULs); variants and resources: object arrays of `VariantValue` and `ResourceHandle`.
        dtype: a NumPy dtype, a name ("qint8") or a DataType number; values are converted. By default the array's own.
        splat: write an array of equal elements as one value and the full shape, as TensorFlow does when it saves a
            captured constant again.
        pack: False writes values one by one whatever their number, as TensorFlow does with the tensors of a variant.

    Raises:
        UnknownDTypeError: an array without a DataType number.
        TooLargeError: two gigabytes or more, which no message holds.
        FormatError: values that are not what the dtype says.
    """
    array = np.asarray(value)
    if array.dtype.kind in "SU" and not isinstance(value, np.ndarray):
        array = np.array(value, object)  # NumPy's own strings drop trailing NULs
    number = dtypes.datatype_number(array.dtype if dtype is None else dtype)
    kind = dtypes.tensor_type(number)
    target = kind.numpy
    assert target is not None
    message = protos.TensorProto(dtype=number)
    message.tensor_shape.SetInParent()
    for size in array.shape:
        message.tensor_shape.dim.add(size=size)
    if target.kind == "O":
        _fill_objects(message, array, kind)
        return message
    flat = _converted(array, kind).reshape(-1)
    if flat.nbytes > _MAX_PROTO_BYTES:
        raise TooLargeError(
            f"tensor: expected fewer than 2 GiB in a message, received {flat.nbytes} bytes; use a variable"
        )
    if splat and flat.size > 1:
        raw = flat.view(np.uint8).reshape(flat.size, target.itemsize)
        if (raw == raw[0]).all():
            flat = flat[:1]
    if not flat.size:
        return message
    if flat.size > 1 and kind.packs and pack:
        message.tensor_content = flat.byteswap().tobytes() if _SWAP else flat.tobytes()
    elif kind.field == "float8_val":
        message.float8_val = flat.tobytes()
    elif kind.field == "half_val":
        message.half_val.extend(flat.view(np.uint16).tolist())
    elif kind.field == "int_val":
        message.int_val.extend(flat.astype(np.int32).tolist())
    elif target.kind == "c":
        getattr(message, kind.field).extend(flat.view(np.float32 if target.itemsize == 8 else np.float64).tolist())
    else:
        getattr(message, kind.field).extend(flat.tolist())
    return message


def _converted(array: np.ndarray, kind: TensorType) -> np.ndarray:
    target = kind.numpy
    assert target is not None
    if array.dtype == target:
        return np.ascontiguousarray(array)
    integer = target.kind in "iu" or kind.name in ("int2", "uint2", "int4", "uint4")
    fits = array.dtype.kind in ("biu" if integer else "b" if target.kind == "b" else "biufcV")
    if target.kind != "c":
        fits = fits and array.dtype.kind != "c"
    if fits:
        result = np.ascontiguousarray(array, target)
        if not integer or array.dtype.kind == "b" or (result.astype(array.dtype) == array).all():
            return result
    raise FormatError(f"tensor of {kind.name}: expected values of that type, received {array.dtype} {array!r:.80}")


def _fill_objects(message: protos.TensorProto, array: np.ndarray, kind: TensorType) -> None:
    for value in array.reshape(-1).tolist():
        if kind.number == DT_STRING and isinstance(value, bytes):
            message.string_val.append(value)
        elif kind.number == DT_STRING and isinstance(value, str):
            message.string_val.append(value.encode())
        elif kind.number == DT_VARIANT and isinstance(value, VariantValue):
            variant = message.variant_val.add(type_name=value.type_name, metadata=value.metadata)
            numbers = value.dtype_numbers or [dtypes.datatype_number(inner.dtype) for inner in value.tensors]
            for inner, number in zip(value.tensors, numbers, strict=True):
                variant.tensors.append(tensor_to_proto(inner, number, pack=False))
        elif kind.number == DT_RESOURCE and isinstance(value, ResourceHandle):
            handle = message.resource_handle_val.add(
                device=value.device,
                container=value.container,
                name=value.name,
                hash_code=value.hash_code,
                maybe_type_name=value.type_name,
            )
            for number, shape in value.dtypes_and_shapes:
                handle.dtypes_and_shapes.add(dtype=number, shape=shape_to_proto(shape))
        else:
            expected = {DT_STRING: "bytes or str", DT_VARIANT: "VariantValue", DT_RESOURCE: "ResourceHandle"}[
                kind.number
            ]
            raise FormatError(f"tensor of {kind.name}: expected elements of type {expected}, received {value!r:.80}")
