"""The protobuf wire format of the few messages that ops carry in strings: Example, SequenceExample and TensorProto.

The tracer knows no protobuf library; this is a reader and writer of fields, and of these messages. Damaged bytes are refused with
InvalidArgumentError, never read past their end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tracer.byte_strings import array_of_bytes
from tracer.dtypes import DType, as_dtype
from tracer.errors import InvalidArgumentError

__all__ = [
    "Feature", "bytes_field", "fields", "read_example", "read_sequence_example", "read_tensor", "varint", "varint_field", "write_example",
    "write_tensor",
]  # fmt: skip

# A feature: its kind ("bytes", "float", "int64", or "" for one that is not set) and its values.
Feature = tuple[str, Any]
_KINDS = {1: "bytes", 2: "float", 3: "int64"}
_NUMBERS = {k: n for n, k in _KINDS.items()}


def _bad(why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"expected a serialized protocol buffer, received bytes that are none: {why}")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise _bad("a number does not end")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, at
        shift += 7


def fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """(field number, wire type, value) of each field: int for varints and fixed numbers, bytes for the rest."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        number, kind = key >> 3, key & 7
        if not number:
            raise _bad("field number 0")
        if kind == 0:
            value, at = _read_varint(data, at)
            yield number, kind, value
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            if at + size > len(data):
                raise _bad("truncated")
            yield number, kind, data[at : at + size]
            at += size
        elif kind == 2:
            size, at = _read_varint(data, at)
            if at + size > len(data):
                raise _bad("truncated")
            yield number, kind, data[at : at + size]
            at += size
        else:
            raise _bad(f"wire type {kind}")


def varint(value: int) -> bytes:
    """A non-negative number, or a negative one as 64 bits, as a varint."""
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _varints(data: bytes) -> list[int]:
    out, at = [], 0
    while at < len(data):
        value, at = _read_varint(data, at)
        out.append(_signed(value))
    return out


# -- Example ---------------------------------------------------------------------------------------------------------


def _read_feature(data: bytes) -> Feature:
    kind, values = "", None
    for number, wire, value in fields(data):
        if number in _KINDS and wire == 2:
            kind = _KINDS[number]
            values = _read_list(kind, value)
    return kind, values


def _read_list(kind: str, data: bytes) -> Any:
    if kind == "bytes":
        return [v for n, w, v in fields(data) if n == 1 and w == 2]
    if kind == "float":
        parts = [v for n, w, v in fields(data) if n == 1 and w in (2, 5)]
        joined = b"".join(parts)
        if len(joined) % 4:
            raise _bad("a list of floats ends within one")
        return np.frombuffer(joined, "<f4").astype(np.float32)
    out: list[int] = []
    for n, w, v in fields(data):
        if n == 1:
            out.extend(_varints(v) if w == 2 else [_signed(v)])
    return np.array(out, np.int64)


def _read_map(data: bytes) -> dict[bytes, bytes]:
    out: dict[bytes, bytes] = {}
    for number, wire, entry in fields(data):
        if number == 1 and wire == 2:
            key = value = b""
            for n, w, v in fields(entry):
                if w == 2 and n == 1:
                    key = v
                elif w == 2 and n == 2:
                    value = v
            out[key] = value
    return out


def _message(data: bytes, number: int) -> bytes:
    """The submessage in field `number`; parts of it that come separately are one after another, as protobuf merges them."""
    return b"".join(v for n, w, v in fields(data) if n == number and w == 2)


def read_example(data: bytes) -> dict[bytes, Feature]:
    """The features of a serialized Example."""
    return {k: _read_feature(v) for k, v in _read_map(_message(data, 1)).items()}


def read_sequence_example(data: bytes) -> tuple[dict[bytes, Feature], dict[bytes, list[Feature]]]:
    """The context features and feature lists of a serialized SequenceExample."""
    context = {k: _read_feature(v) for k, v in _read_map(_message(data, 1)).items()}
    lists = {
        k: [_read_feature(f) for n, w, f in fields(v) if n == 1 and w == 2] for k, v in _read_map(_message(data, 2)).items()
    }
    return context, lists


def write_feature(kind: str, values: Iterable[Any], packed: bool = True) -> bytes:
    """A serialized Feature, its numbers packed together or each a field of its own."""
    if kind == "bytes":
        return bytes_field(1, b"".join(bytes_field(1, v) for v in values))
    if kind == "float":
        each, tag = [struct.pack("<f", v) for v in values], varint(1 << 3 | 5)
    else:
        each, tag = [varint(int(v)) for v in values], varint(1 << 3)
    joined = b"".join(each)
    body = b"".join(tag + e for e in each) if not packed else bytes_field(1, joined) if joined else b""
    return bytes_field(_NUMBERS[kind], body)


def write_example(features: dict[bytes, tuple[str, Iterable[Any]]], packed: bool = True) -> bytes:
    """A serialized Example, features in the order given; a feature of kind "" has no values."""
    entries = b""
    for name, (kind, values) in features.items():
        body = write_feature(kind, values, packed) if kind else b""
        entries += bytes_field(1, bytes_field(1, name) + bytes_field(2, body))
    return bytes_field(1, entries)


# -- TensorProto -----------------------------------------------------------------------------------------------------

# dtype name -> the field of its values, and how they lie there
_VALUE_FIELDS = {
    "float32": (5, "f"), "float64": (6, "d"), "int32": (7, "v"), "uint8": (7, "v"), "int16": (7, "v"), "int8": (7, "v"), "uint16": (7, "v"),
    "qint8": (7, "v"), "quint8": (7, "v"), "qint32": (7, "v"), "qint16": (7, "v"), "quint16": (7, "v"), "complex64": (9, "f"),
    "complex128": (12, "d"), "int64": (10, "v"), "bool": (11, "v"), "float16": (13, "h"), "bfloat16": (13, "h"), "uint32": (16, "v"),
    "uint64": (17, "v"),
}  # fmt: skip


def write_tensor(array: np.ndarray, dtype: DType) -> bytes:
    """A serialized TensorProto: strings in string_val, everything else as raw content."""
    shape = b"".join(bytes_field(2, varint_field(1, d) if d else b"") for d in array.shape)
    head = varint_field(1, dtype.number) + bytes_field(2, shape)
    if dtype.kind == "s":
        return head + b"".join(bytes_field(8, s) for s in array.ravel().tolist())
    content = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<") if array.dtype.kind != "V" else array.dtype).tobytes()
    return head + (bytes_field(4, content) if content else b"")


def _read_shape(data: bytes) -> list[int]:
    dims = []
    for number, wire, value in fields(data):
        if number == 2 and wire == 2:
            dims.append(next((_signed(v) for n, w, v in fields(value) if n == 1 and w == 0), 0))
        elif number == 3 and value:
            raise _bad("a tensor of unknown rank")
    if any(d < 0 for d in dims):
        raise _bad(f"negative sizes {dims}")
    return dims


def _string_list(content: bytes, count: int) -> list[bytes]:
    """Strings in tensor_content: all lengths, then all bytes."""
    lengths, at = [], 0
    for _ in range(count):
        length, at = _read_varint(content, at)
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise _bad("string content of another length than announced")
    out = []
    for length in lengths:
        out.append(content[at : at + length])
        at += length
    return out


def read_tensor(data: bytes) -> tuple[np.ndarray, DType]:
    """The array and dtype of a serialized TensorProto.

    Raises:
        InvalidArgumentError: the bytes are no tensor, or hold another number of values than its shape says.
    """
    number_of, shape, content = 0, [], None
    parts: dict[int, list[tuple[int, Any]]] = {}
    for number, wire, value in fields(data):
        if number == 1 and wire == 0:
            number_of = value
        elif number == 2 and wire == 2:
            shape = _read_shape(value)
        elif number == 4 and wire == 2:
            content = value
        else:
            parts.setdefault(number, []).append((wire, value))
    try:
        dtype = as_dtype(number_of)
    except TypeError:
        raise _bad(f"dtype number {number_of}") from None
    total = 1
    for d in shape:
        total *= d
    if dtype.kind == "s":
        strings = _string_list(content, total) if content else [v for w, v in parts.get(8, ()) if w == 2]
        return _filled(array_of_bytes(strings), total, b"").reshape(shape), dtype
    if dtype.kind in "rv":
        raise _bad(f"a tensor of dtype {dtype.name}")
    if content is not None:
        if len(content) != total * dtype.numpy.itemsize:
            raise _bad(f"expected {total} values of {dtype.name}, received {len(content)} bytes")
        return np.frombuffer(content, dtype.numpy).reshape(shape).copy(), dtype
    field, form = _VALUE_FIELDS[dtype.name]
    found: list[Any] = []
    for wire, value in parts.get(field, ()):
        if form in "fd":
            size = 4 if form == "f" else 8
            if len(value) % size:
                raise _bad("a list of numbers ends within one")
            found.extend(struct.unpack(f"<{len(value) // size}{form}", value))
        else:
            found.extend(_varints(value) if wire == 2 else [_signed(value)])
    if form == "h":
        array = np.array(found, np.uint16).view(dtype.numpy)
    elif dtype.kind == "c":
        pairs = np.array(found, np.float64).reshape(-1, 2)
        array = (pairs[:, 0] + 1j * pairs[:, 1]).astype(dtype.numpy)
    else:
        array = np.array([v & 0xFFFFFFFFFFFFFFFF for v in found], np.uint64).astype(dtype.numpy) if dtype.kind == "u" else np.array(found).astype(dtype.numpy)
    return _filled(array, total, 0).reshape(shape), dtype


def _filled(array: np.ndarray, total: int, zero: Any) -> np.ndarray:
    """Missing values repeat the last one (zero where there is none)."""
    if len(array) > total:
        raise _bad(f"expected {total} values, received {len(array)}")
    if len(array) == total:
        return array
    if total > 1 << 28:
        raise _bad(f"{total} values announced, {len(array)} given")
    out = np.empty(total, array.dtype)
    out[: len(array)] = array
    out[len(array) :] = array[-1] if len(array) else zero
    return out
