"""Bytes to numbers: DecodeRaw, DecodePaddedRaw, DecodeCSV, DecodeCompressed, and tensors as strings. It refuses to unpack without limit."""

from __future__ import annotations

import sys
import zlib
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.byte_strings import array_of_bytes, map_bytes
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, LimitError, ShapeError
from tracer.object_arrays import as_array
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.sparse import SparseTensor, as_sparse
from tracer.wire import read_tensor, write_tensor

# What a compressed string may become: this many bytes, or this many times its own length, whichever is more.
MAX_UNPACKED = 64 << 20
MAX_RATIO = 100

# -- raw -------------------------------------------------------------------------------------------------------------


def _swap(array: np.ndarray, little_endian: bool) -> np.ndarray:
    return array if little_endian == (sys.byteorder == "little") or array.dtype.itemsize == 1 else _byteswapped(array)


def _byteswapped(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "fiuc":
        return array.byteswap()
    return array.view(np.uint16).byteswap().view(array.dtype)


raw_op = op(
    "DecodeRaw(bytes: string) -> (output: out_type); out_type: {half, float, double, int32, uint16, uint8, int16, int8, int64, "
    "complex64, complex128, bool, bfloat16}; little_endian: bool = true"
).not_differentiable()
raw_op.infer(lambda ctx: ctx.shape(0).concatenate([None]))


@raw_op.kernel
def _(strings: np.ndarray, *, out_type: Any, little_endian: bool) -> np.ndarray:
    items = strings.ravel().tolist()
    lengths = {len(s) for s in items}
    if len(lengths) > 1:
        raise InvalidArgumentError(f"DecodeRaw requires input strings to all be the same size, but received lengths {sorted(lengths)[:4]}")
    size = out_type.numpy.itemsize
    length = lengths.pop() if lengths else 0
    if length % size:
        raise InvalidArgumentError(f"Input to DecodeRaw has length {length} that is not a multiple of {size}, the size of {out_type.name}")
    found = np.frombuffer(b"".join(items), out_type.numpy).reshape(*strings.shape, length // size)
    return _swap(found, little_endian).copy()


padded_op = op(
    "DecodePaddedRaw(input_bytes: string, fixed_length: int32) -> (output: out_type); out_type: {half, float, double, int32, uint16, "
    "uint8, int16, int8, int64, bfloat16}; little_endian: bool = true"
).not_differentiable()


@padded_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    dtype, little = attrs["out_type"], attrs["little_endian"]

    def kernel(strings: np.ndarray, fixed_length: np.ndarray) -> np.ndarray:
        width, size = int(fixed_length), dtype.numpy.itemsize
        if width <= 0 or width % size:
            raise InvalidArgumentError(f"fixed_length ({width}) must be positive and a multiple of the size of {dtype.name} ({size})")
        joined = b"".join(s[:width].ljust(width, b"\0") for s in strings.ravel().tolist())
        return _swap(np.frombuffer(joined, dtype.numpy).reshape(*strings.shape, width // size), little).copy()

    return kernel


@padded_op.infer
def _(ctx: Any) -> Any:
    width = ctx.value(1)
    return ctx.shape(0).concatenate([None if width is None else int(width) // ctx.attr("out_type").size])


compressed_op = op('DecodeCompressed(bytes: string) -> (output: string); compression_type: string = ""').not_differentiable()
compressed_op.infer(infer.unchanged)


def _unpack(data: bytes, bits: int) -> bytes:
    limit = max(MAX_UNPACKED, MAX_RATIO * len(data))
    stream = zlib.decompressobj(bits)
    try:
        out = stream.decompress(data, limit)
        if stream.unconsumed_tail:
            raise LimitError(f"DecodeCompressed: {len(data)} bytes unpack to more than {limit}; raise tracer.ops.decode.MAX_UNPACKED if meant")
        return out + stream.flush()
    except zlib.error as error:
        raise InvalidArgumentError(f"DecodeCompressed: the data does not unpack: {error}") from None


@compressed_op.kernel
def _(strings: np.ndarray, *, compression_type: bytes) -> np.ndarray:
    if not compression_type:
        return strings
    bits = {b"ZLIB": zlib.MAX_WBITS, b"GZIP": zlib.MAX_WBITS | 16}.get(compression_type)
    if bits is None:
        raise InvalidArgumentError(f"Only ZLIB, GZIP or NONE are supported, received compression_type {compression_type!r}")
    return map_bytes(lambda s: _unpack(s, bits), strings)


# -- CSV -------------------------------------------------------------------------------------------------------------

csv_op = op(
    "DecodeCSV(records: string, record_defaults: OUT_TYPE) -> (output: OUT_TYPE); OUT_TYPE: list{float, double, int32, int64, string} "
    '>= 1; field_delim: string = ","; use_quote_delim: bool = true; na_value: string = ""; select_cols: list(int) = []'
).not_differentiable()
csv_op.infer(lambda ctx: [ctx.shape(0)] * len(ctx.output_dtypes))


def csv_fields(record: bytes, delimiter: bytes, quotes: bool) -> list[bytes]:
    """The fields of one record. Raises InvalidArgumentError for quotes out of place."""
    if not quotes:
        return record.split(delimiter)
    out: list[bytes] = []
    at, size = 0, len(record)
    while True:
        if record[at : at + 1] == b'"':
            field = bytearray()
            at += 1
            while True:
                end = record.find(b'"', at)
                if end < 0:
                    raise InvalidArgumentError(f"Quoted field has to end with quote followed by delim or end: {record!r}")
                field += record[at:end]
                at = end + 1
                if record[at : at + 1] != b'"':
                    break
                field += b'"'
                at += 1
            if at < size and record[at : at + 1] != delimiter:
                raise InvalidArgumentError(f"Quoted field has to end with quote followed by delim or end: {record!r}")
            out.append(bytes(field))
        else:
            end = record.find(delimiter, at)
            end = size if end < 0 else end
            field_bytes = record[at:end]
            if b'"' in field_bytes or b"\n" in field_bytes or b"\r" in field_bytes:
                raise InvalidArgumentError(f"Unquoted fields cannot have quotes/CRLFs inside: {record!r}")
            out.append(field_bytes)
            at = end
        if at >= size:
            return out
        at += len(delimiter)


@csv_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    kinds, delimiter, na = attrs["OUT_TYPE"], attrs["field_delim"], attrs["na_value"]
    quotes, columns = attrs["use_quote_delim"], attrs["select_cols"]
    if len(delimiter) != 1:
        raise InvalidArgumentError(f"field_delim should be only 1 char, received {delimiter!r}")
    if any(c < 0 for c in columns) or list(columns) != sorted(set(columns)):
        raise InvalidArgumentError(f"select_cols should be strictly increasing indices, received {list(columns)}")
    if columns and len(columns) != len(kinds):
        raise InvalidArgumentError(f"select_cols should match output size: {len(columns)} and {len(kinds)}")

    def kernel(records: np.ndarray, *defaults: np.ndarray) -> Any:
        for i, d in enumerate(defaults):
            if d.ndim > 1 or d.size > 1:
                raise ShapeError(f"There should only be 1 default per field but field {i} has {d.size}")
        found: list[list[Any]] = [[] for _ in kinds]
        for r, record in enumerate(records.ravel().tolist()):
            parts = csv_fields(record, delimiter, quotes)
            if columns:
                if columns[-1] >= len(parts):
                    raise InvalidArgumentError(f"Expect at least {columns[-1] + 1} fields but have {len(parts)} in record {r}")
                parts = [parts[c] for c in columns]
            if len(parts) != len(kinds):
                raise InvalidArgumentError(f"Expect {len(kinds)} fields but have {len(parts)} in record {r}")
            for f, (part, dtype, default) in enumerate(zip(parts, kinds, defaults)):
                found[f].append(_csv_value(part, dtype, default, na, f, r))
        return [
            array_of_bytes(v, records.shape) if d.kind == "s" else np.array(v, np.float64 if d.kind == "f" else d.numpy).astype(d.numpy).reshape(records.shape)
            for v, d in zip(found, kinds)
        ]

    return kernel


def _csv_value(part: bytes, dtype: Any, default: np.ndarray, na: bytes, field: int, record: int) -> Any:
    if not part or part == na:
        if default.size != 1:
            raise InvalidArgumentError(f"Field {field} is required but missing in record {record}!")
        return default.reshape(-1)[0]
    if dtype.kind == "s":
        return part
    try:
        text = part.strip()
        if b"_" in text or (dtype.kind == "i" and text.startswith(b"+")):
            raise ValueError("no number")
        value = int(text) if dtype.kind == "i" else float(text)
        if dtype.kind == "i" and not dtype.min <= value <= dtype.max:
            raise ValueError("out of range")
    except ValueError:
        raise InvalidArgumentError(f"Field {field} in record {record} is not a valid {dtype.name}: {part!r}") from None
    return value


# -- tensors as strings ----------------------------------------------------------------------------------------------

serialize_op = op("SerializeTensor(tensor: T) -> (serialized: string); T: type").not_differentiable()
serialize_op.infer(infer.scalar)


@serialize_op.kernel
def _(tensor: np.ndarray, *, T: Any) -> np.ndarray:
    return array_of_bytes([write_tensor(tensor, T)], ())


parse_op = op("ParseTensor(serialized: string) -> (output: out_type); out_type: type").not_differentiable()
parse_op.infer(infer.unknown)


@parse_op.kernel
def _(serialized: np.ndarray, *, out_type: Any) -> np.ndarray:
    if serialized.ndim:
        raise ShapeError(f"Expected `serialized` to be a scalar, got shape: {serialized.shape}")
    array, dtype = read_tensor(serialized[()])
    if dtype != out_type:
        raise InvalidArgumentError(f"Type mismatch between parsed tensor ({dtype.name}) and dtype ({out_type.name})")
    return array


def _pack_sparse(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, dtype: Any, as_string: bool) -> list[Any]:
    parts = ((indices, dtypes.int64), (values, dtype), (shape, dtypes.int64))
    return [write_tensor(a, d) for a, d in parts] if as_string else [a for a, _ in parts]


def _objects(items: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    out = np.empty(len(items), object)
    for i, item in enumerate(items):
        out[i] = item
    return out.reshape(shape)


_SPARSE = "sparse_indices: int64, sparse_values: T, sparse_shape: int64"
serialize_sparse_op = op(
    f"SerializeSparse({_SPARSE}) -> (serialized_sparse: out_type); T: type; out_type: {{string, variant}} = string"
).not_differentiable()
serialize_sparse_op.infer(lambda ctx: TensorShape([3]))


@serialize_sparse_op.kernel
def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, *, T: Any, out_type: Any) -> np.ndarray:
    return _objects(_pack_sparse(indices, values, shape, T, out_type.kind == "s"), (3,))


serialize_many_op = op(
    f"SerializeManySparse({_SPARSE}) -> (serialized_sparse: out_type); T: type; out_type: {{string, variant}} = string"
).not_differentiable()
serialize_many_op.infer(lambda ctx: TensorShape([ctx.value_as_shape(2)[0] if ctx.value_as_shape(2).rank else None, 3]))


@serialize_many_op.kernel
def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, *, T: Any, out_type: Any) -> np.ndarray:
    if len(shape) < 2:
        raise ShapeError(f"SerializeManySparse: expected a SparseTensor of rank > 1, received shape {shape.tolist()}")
    out: list[Any] = []
    for row in range(int(shape[0])):
        inside = indices[:, 0] == row
        out += _pack_sparse(indices[inside, 1:], values[inside], shape[1:], T, out_type.kind == "s")
    return _objects(out, (int(shape[0]), 3))


def _unpack_sparse(serialized: Any, dtype: Any) -> Any:
    table = as_array(serialized)
    if table.ndim < 1 or table.shape[-1] != 3:
        raise ShapeError(f"DeserializeSparse: Serialized sparse should have 3 as the last dimension but received shape {table.shape}")
    lead = table.shape[:-1]
    rows = []
    for entry in table.reshape(-1, 3):
        parts = [read_tensor(p)[0] if isinstance(p, bytes) else p for p in entry]
        indices, values, shape = parts
        if indices.ndim != 2 or values.ndim != 1 or shape.shape != indices.shape[1:] or len(values) != len(indices):
            raise InvalidArgumentError("DeserializeSparse: the parts do not make up a sparse tensor")
        if values.dtype != dtype.numpy:
            raise InvalidArgumentError(f"Requested SparseTensor of type {dtype.name} but the serialized one holds {values.dtype}")
        rows.append((indices, values, shape))
    if not lead:
        return rows[0]
    if not rows:
        raise InvalidArgumentError("DeserializeSparse: expected at least one serialized tensor, received none")
    shape = np.max([r[2] for r in rows], axis=0)
    prefix = [np.broadcast_to(at, (len(r[0]), len(lead))) for at, r in zip(np.ndindex(*lead), rows)]
    indices = np.concatenate([np.concatenate([p, r[0]], axis=1) for p, r in zip(prefix, rows)]).astype(np.int64)
    return indices, np.concatenate([r[1] for r in rows]), np.concatenate([np.array(lead, np.int64), shape])


for _text in (
    "DeserializeManySparse(serialized_sparse: string) -> (sparse_indices: int64, sparse_values: dtype, sparse_shape: int64); dtype: type",
    "DeserializeSparse(serialized_sparse: Tserialized) -> (sparse_indices: int64, sparse_values: dtype, sparse_shape: int64); dtype: type; "
    "Tserialized: {string, variant} = string",
):
    _record = op(_text).not_differentiable()
    _record.infer(lambda ctx: [unknown_shape(2), unknown_shape(1), unknown_shape(1)])

    @_record.kernel
    def _(serialized: Any, *, dtype: Any) -> Any:
        return _unpack_sparse(serialized, dtype)


# -- public functions ------------------------------------------------------------------------------------------------


@public("io.decode_raw")
def decode_raw(
    input_bytes: Any, out_type: Any, little_endian: bool = True, fixed_length: int | None = None, name: str | None = None
) -> Any:
    """The bytes of each string as numbers, along a new last dimension; cut or zero-padded to `fixed_length` bytes where given."""
    if fixed_length is not None:
        return raw.DecodePaddedRaw(
            input_bytes=input_bytes, fixed_length=fixed_length, out_type=as_dtype(out_type), little_endian=little_endian, name=name
        )
    return raw.DecodeRaw(bytes=input_bytes, out_type=as_dtype(out_type), little_endian=little_endian, name=name)


@public("io.decode_compressed")
def decode_compressed(bytes: Any, compression_type: str = "", name: str | None = None) -> Any:
    """Strings unpacked: "ZLIB", "GZIP", or as they are."""
    return raw.DecodeCompressed(bytes=bytes, compression_type=compression_type, name=name)


@public("io.decode_csv")
def decode_csv(
    records: Any, record_defaults: Any, field_delim: str = ",", use_quote_delim: bool = True, na_value: str = "", select_cols: Any = None,
    name: str | None = None,
) -> Any:  # fmt: skip
    """One tensor per column. A default of no elements makes its column required."""
    return raw.DecodeCSV(
        records=records, record_defaults=record_defaults, field_delim=field_delim, use_quote_delim=use_quote_delim, na_value=na_value,
        select_cols=list(select_cols or []), name=name,
    )  # fmt: skip


@public("io.serialize_tensor")
def serialize_tensor(tensor: Any, name: str | None = None) -> Any:
    """A tensor as a string (a TensorProto)."""
    return raw.SerializeTensor(tensor=tensor, name=name)


@public("io.parse_tensor")
def parse_tensor(serialized: Any, out_type: Any, name: str | None = None) -> Any:
    """The tensor of dtype `out_type` in a string."""
    return raw.ParseTensor(serialized=serialized, out_type=as_dtype(out_type), name=name)


@public("io.serialize_sparse")
def serialize_sparse(sp_input: Any, out_type: Any = dtypes.string, name: str | None = None) -> Any:
    """A sparse tensor as three strings."""
    sp = as_sparse(sp_input)
    return raw.SerializeSparse(*sp.components, out_type=as_dtype(out_type), name=name)


@public("io.serialize_many_sparse")
def serialize_many_sparse(sp_input: Any, out_type: Any = dtypes.string, name: str | None = None) -> Any:
    """Each row of a sparse tensor as three strings."""
    sp = as_sparse(sp_input)
    return raw.SerializeManySparse(*sp.components, out_type=as_dtype(out_type), name=name)


@public("io.deserialize_many_sparse")
def deserialize_many_sparse(serialized_sparse: Any, dtype: Any, rank: int | None = None, name: str | None = None) -> SparseTensor:
    """Sparse tensors from rows of three strings, as one of a rank more."""
    return SparseTensor(*raw.DeserializeManySparse(serialized_sparse=serialized_sparse, dtype=as_dtype(dtype), name=name))
