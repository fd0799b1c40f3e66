"""Strings: case, joining, splitting, slicing, n-grams, conversion to and from numbers. Encodings are in unicode.py, patterns in regex.py."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.byte_strings import array_of_bytes, map_bytes, map_to
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public
from tracer.ragged import RaggedTensor, is_ragged
from tracer.registry import op
from tracer.shapes import TensorShape, broadcast_shapes, unknown_shape
from tracer.tensor import convert_to_tensor
from tracer.tensor_text import summarize_array

_SPACE = b" \t\n\r\x0b\x0c"

# -- case, strip, length ---------------------------------------------------------------------------------------------


def _case_op(name: str, ascii_case: Callable[[bytes], bytes], unicode_case: Callable[[str], str]) -> None:
    record = op(f'{name}(input: string) -> (output: string); encoding: string = ""').not_differentiable()
    record.infer(infer.unchanged)

    @record.kernel
    def _(strings: np.ndarray, *, encoding: bytes) -> np.ndarray:
        if not encoding:
            return map_bytes(ascii_case, strings)
        if encoding != b"utf-8":
            raise InvalidArgumentError(
                f"{name}: only utf-8 or '' (no encoding) is supported, received {encoding.decode(errors='replace')}"
            )
        return map_bytes(lambda s: unicode_case(s.decode("utf-8", "replace")).encode("utf-8"), strings)


_case_op("StringLower", bytes.lower, str.lower)
_case_op("StringUpper", bytes.upper, str.upper)

strip_op = op("StringStrip(input: string) -> (output: string)").not_differentiable()
strip_op.infer(infer.unchanged)


@strip_op.kernel
def _(strings: np.ndarray) -> np.ndarray:
    return map_bytes(bytes.strip, strings)


length_op = op("StringLength(input: string) -> (output: int32); unit: {'BYTE', 'UTF8_CHAR'} = \"BYTE\"").not_differentiable()
length_op.infer(infer.unchanged)


def _utf8_length(s: bytes) -> int:
    """Bytes that do not continue a character."""
    return len(s) if s.isascii() else sum(1 for c in s if c & 0xC0 != 0x80)


@length_op.kernel
def _(strings: np.ndarray, *, unit: bytes) -> np.ndarray:
    return map_to(np.int32, len if unit == b"BYTE" else _utf8_length, strings)


# -- substrings ------------------------------------------------------------------------------------------------------

substr_op = op(
    "Substr(input: string, pos: T, len: T) -> (output: string); T: {int32, int64}; unit: {'BYTE', 'UTF8_CHAR'} = \"BYTE\""
).not_differentiable()


@substr_op.infer
def _(ctx: Any) -> Any:
    return broadcast_shapes([ctx.shape(0), ctx.shape(1)])


def _characters(s: bytes) -> list[bytes]:
    """The bytes of each UTF-8 character, by its lead byte."""
    starts = [i for i, c in enumerate(s) if c & 0xC0 != 0x80]
    return [s[a:b] for a, b in zip(starts, [*starts[1:], len(s)])]


@substr_op.kernel
def _(strings: np.ndarray, pos: np.ndarray, length: np.ndarray, *, unit: bytes) -> np.ndarray:
    if pos.shape != length.shape:
        raise ShapeError(f"Substr: pos and len should have the same shape, received {pos.shape} and {length.shape}")
    texts, starts, counts = np.broadcast_arrays(strings, pos, length)
    out = []
    for i, (s, start, count) in enumerate(zip(texts.ravel().tolist(), starts.ravel().tolist(), counts.ravel().tolist())):
        parts: Any = s if unit == b"BYTE" else _characters(s)
        size = len(parts)
        if not -size <= start <= size:
            raise InvalidArgumentError(f"Substr: pos {start} out of range for string {s!r} at index {i}")
        if start < 0:
            start += size
        piece = parts[start:] if count < 0 else parts[start : start + count]
        out.append(piece if unit == b"BYTE" else b"".join(piece))
    return array_of_bytes(out, texts.shape)


# -- joining ---------------------------------------------------------------------------------------------------------

join_op = op('StringJoin(inputs: N * string) -> (output: string); N: int >= 0; separator: string = ""').not_differentiable()


@join_op.infer
def _(ctx: Any) -> Any:
    shapes = [ctx.shape(i) for i in range(len(ctx))]
    known = [s for s in shapes if s.rank != 0]
    out = TensorShape([]) if not known else known[0]
    if any(s.rank is None for s in known):
        return unknown_shape()
    for s in known[1:]:
        out = out.merge_with(s)
    return out


@join_op.kernel
def _(*inputs: np.ndarray, separator: bytes) -> np.ndarray:
    shape: tuple[int, ...] = ()
    for x in inputs:
        if x.ndim:
            if shape and x.shape != shape:
                raise ShapeError(f"StringJoin: Input shapes do not match: {shape} and {x.shape}")
            shape = x.shape
    if not inputs:
        return array_of_bytes([b""], ())
    columns = [np.broadcast_to(x, shape).ravel().tolist() for x in inputs]
    return array_of_bytes([separator.join(row) for row in zip(*columns)], shape)


reduce_join_op = op(
    "ReduceJoin(inputs: string, reduction_indices: int32) -> (output: string); keep_dims: bool = false; "
    'separator: string = ""'
).not_differentiable()
reduce_join_op.infer(infer.reduction)


@reduce_join_op.kernel
def _(inputs: np.ndarray, axes: np.ndarray, *, keep_dims: bool, separator: bytes) -> np.ndarray:
    rank = inputs.ndim
    reduced: list[int] = []
    for a in axes.ravel().tolist():
        if not -rank <= a < rank:
            raise InvalidArgumentError(f"ReduceJoin: Invalid reduction dimension {a} for input with {rank} dimension(s)")
        if a % rank in reduced:
            raise InvalidArgumentError(f"ReduceJoin: Duplicate reduction dimension {a % rank}")
        reduced.append(a % rank)
    if not reduced:
        return inputs
    kept = [a for a in range(rank) if a not in reduced]
    # The first reduction index varies fastest.
    order = kept + reduced[::-1]
    shape = tuple(inputs.shape[a] for a in kept)
    rows = inputs.transpose(order).reshape(math.prod(shape), math.prod(inputs.shape[a] for a in reduced))
    if keep_dims:
        shape = tuple(1 if a in reduced else inputs.shape[a] for a in range(rank))
    return array_of_bytes([separator.join(row.tolist()) for row in rows], shape)


segment_join_op = op(
    "UnsortedSegmentJoin(inputs: string, segment_ids: Tindices, num_segments: Tnumsegments) -> (output: string); "
    'separator: string = ""; Tindices: {int32, int64}; Tnumsegments: {int32, int64} = int32'
).not_differentiable()


@segment_join_op.infer
def _(ctx: Any) -> Any:
    count = ctx.value(2)
    if ctx.rank(0) is None or ctx.rank(1) is None:
        return unknown_shape()
    return TensorShape([None if count is None else int(count)]).concatenate(ctx.shape(0)[ctx.rank(1) :])


@segment_join_op.kernel
def _(inputs: np.ndarray, ids: np.ndarray, count: np.ndarray, *, separator: bytes) -> np.ndarray:
    if inputs.shape[: ids.ndim] != ids.shape:
        raise ShapeError(f"UnsortedSegmentJoin: segment_ids' shape {ids.shape} is no prefix of inputs' shape {inputs.shape}")
    total = int(count)
    if total < 0:
        raise InvalidArgumentError(f"UnsortedSegmentJoin: num_segments must be >= 0, received {total}")
    if ids.size and (ids.max() >= total or ids.min() < 0):
        raise InvalidArgumentError("UnsortedSegmentJoin: segment_ids are not allowed to exceed num_segments or to be negative")
    inner = inputs.shape[ids.ndim :]
    width = math.prod(inner)
    table = inputs.reshape(ids.size, width)
    groups: list[list[list[bytes]]] = [[[] for _ in range(width)] for _ in range(total)]
    for row, segment in enumerate(ids.ravel().tolist()):
        for column in range(width):
            groups[segment][column].append(table[row, column])
    return array_of_bytes([_join_after_empty(separator, g) for segment in groups for g in segment], (total, *inner))


def _join_after_empty(separator: bytes, parts: list[bytes]) -> bytes:
    """Joined as TensorFlow's kernel does: no separator while the result is still empty."""
    out = b""
    for part in parts:
        out = out + separator + part if out else part
    return out


# -- splitting -------------------------------------------------------------------------------------------------------


def _sparse_rows(rows: list[list[bytes]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists of strings as the indices, values and shape of a sparse matrix."""
    lengths = np.array([len(r) for r in rows], np.int64)
    total = int(lengths.sum())
    starts = np.cumsum(lengths) - lengths
    indices = np.empty((total, 2), np.int64)
    indices[:, 0] = np.repeat(np.arange(len(rows)), lengths)
    indices[:, 1] = np.arange(total) - np.repeat(starts, lengths)
    shape = np.array([len(rows), lengths.max() if len(rows) else 0], np.int64)
    return indices, array_of_bytes([s for r in rows for s in r]), shape


def _split_infer(ctx: Any) -> Any:
    return [TensorShape([None, 2]), TensorShape([None]), TensorShape([2])]


split_op = op(
    "StringSplit(input: string, delimiter: string) -> (indices: int64, values: string, shape: int64); skip_empty: bool = true"
).not_differentiable()
split_op.infer(_split_infer)


@split_op.kernel
def _(strings: np.ndarray, delimiter: np.ndarray, *, skip_empty: bool) -> Any:
    if strings.ndim != 1:
        raise ShapeError(f"StringSplit: input must be a vector, received shape {strings.shape}")
    marks = delimiter.reshape(-1)[0]
    if not marks:
        rows = [[s[i : i + 1] for i in range(len(s))] for s in strings.tolist()]
    else:
        pattern = re.compile(b"[" + b"".join(re.escape(marks[i : i + 1]) for i in range(len(marks))) + b"]")
        rows = [pattern.split(s) if s else [] for s in strings.tolist()]
        if skip_empty:
            rows = [[s for s in row if s] for row in rows]
    return _sparse_rows(rows)


def _split_on_space(s: bytes, limit: int) -> list[bytes]:
    """TensorFlow's split on white space: with a limit, a rest is given even where nothing is left of it."""
    if limit < 0:
        return s.split()
    if limit == 0:
        return [s]
    found = s.split(None, limit)
    if len(found) == limit:
        found.append(b"")
    return found


split_v2_op = op(
    "StringSplitV2(input: string, sep: string) -> (indices: int64, values: string, shape: int64); maxsplit: int = -1"
).not_differentiable()
split_v2_op.infer(_split_infer)


@split_v2_op.kernel
def _(strings: np.ndarray, sep: np.ndarray, *, maxsplit: int) -> Any:
    if strings.ndim != 1:
        raise ShapeError(f"StringSplitV2: input must be a vector, received shape {strings.shape}")
    if sep.ndim != 0:
        raise ShapeError(f"StringSplitV2: sep must be a scalar, received shape {sep.shape}")
    mark = sep[()]
    items = strings.tolist()
    rows = [s.split(mark, maxsplit) for s in items] if mark else [_split_on_space(s, maxsplit) for s in items]
    return _sparse_rows(rows)


# -- n-grams ---------------------------------------------------------------------------------------------------------

ngrams_op = op(
    "StringNGrams(data: string, data_splits: Tsplits) -> (ngrams: string, ngrams_splits: Tsplits); separator: string; "
    "ngram_widths: list(int) >= 0; left_pad: string; right_pad: string; pad_width: int; preserve_short_sequences: bool; "
    "Tsplits: {int32, int64} = int64"
).not_differentiable()
ngrams_op.infer(lambda ctx: [TensorShape([None]), ctx.shape(1)])


@ngrams_op.kernel
def _(
    data: np.ndarray, splits: np.ndarray, *, separator: bytes, ngram_widths: list[int], left_pad: bytes, right_pad: bytes,
    pad_width: int, preserve_short_sequences: bool,
) -> Any:  # fmt: skip
    bounds = splits.tolist()
    if bounds and (bounds[0] != 0 or any(b < a for a, b in itertools.pairwise(bounds)) or bounds[-1] != len(data)):
        raise InvalidArgumentError(f"StringNGrams: expected splits from 0 up to {len(data)}, received {bounds}")
    items = data.tolist()
    out: list[bytes] = []
    ends = [0] if bounds else []
    for begin, end in itertools.pairwise(bounds):
        row = items[begin:end]
        before = len(out)
        for width in ngram_widths:
            pad = width - 1 if pad_width < 0 else min(pad_width, width - 1)
            padded = [left_pad] * pad + row + [right_pad] * pad
            out.extend(separator.join(padded[i : i + width]) for i in range(len(padded) - width + 1))
        if preserve_short_sequences and len(out) == before and row:
            pad = max(pad_width, 0)
            out.append(separator.join([left_pad] * pad + row + [right_pad] * pad))
        ends.append(len(out))
    return array_of_bytes(out), np.array(ends, splits.dtype)


# -- numbers ---------------------------------------------------------------------------------------------------------

as_string_op = op(
    "AsString(input: T) -> (output: string); T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, "
    "uint32, uint64, complex64, complex128, bool, variant, string}; precision: int = -1; scientific: bool = false; "
    'shortest: bool = false; width: int = -1; fill: string = ""'
).not_differentiable()
as_string_op.infer(infer.unchanged)


def _float_formatter(fmt: str) -> Callable[[float], str]:
    plain = fmt.replace("%0", "%")

    def text(x: float) -> str:
        # C pads inf and nan with spaces even where zeros are asked for.
        found = (fmt if math.isfinite(x) else plain) % x
        return found.replace("nan", "-nan", 1).replace(" -nan", "-nan", 1) if x != x and math.copysign(1, x) < 0 else found

    return text


@as_string_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    dtype, precision, width, fill = attrs["T"], attrs["precision"], attrs["width"], attrs["fill"].decode("latin1")
    scientific, shortest = attrs["scientific"], attrs["shortest"]
    kind = dtype.kind
    if kind not in "fc":
        if precision > -1:
            raise InvalidArgumentError(f"AsString: precision not supported for datatype {dtype.name}")
        if scientific or shortest:
            raise InvalidArgumentError(f"AsString: scientific and shortest format not supported for datatype {dtype.name}")
    if scientific and shortest:
        raise InvalidArgumentError("AsString: Cannot select both scientific and shortest notation")
    if len(fill) > 1:
        raise InvalidArgumentError(f"AsString: Fill string must be one or fewer characters, received {fill!r}")
    if fill not in ("", " ", "+", "-", "0", "#"):
        raise InvalidArgumentError(f'AsString: Fill argument not supported: "{fill}"')
    head = "%" + ("" if kind == "u" and fill in "+ " else fill) + (str(width) if width > -1 else "")
    if kind in "fc":
        head += f".{precision}" if precision > -1 else ""
        text = _float_formatter(head + ("e" if scientific else "g" if shortest else "f"))

    def kernel(x: np.ndarray) -> np.ndarray:
        if kind == "b":
            return array_of_bytes([b"true" if v else b"false" for v in x.ravel().tolist()], x.shape)
        if kind == "s":
            pad = (head + "s").encode("latin1")
            return x if width < 0 else map_bytes(lambda s: pad % s, x)
        if kind in "iu":
            fmt = head + "d"
            return array_of_bytes([(fmt % v).encode() for v in x.ravel().tolist()], x.shape)
        if kind == "f":
            return array_of_bytes([text(v).encode() for v in x.ravel().astype(np.float64).tolist()], x.shape)
        if kind == "c":
            return array_of_bytes([f"({text(v.real)},{text(v.imag)})".encode() for v in x.ravel().tolist()], x.shape)
        raise InvalidArgumentError(f"AsString: no text for values of dtype {dtype.name}")

    return kernel


to_number_op = op(
    "StringToNumber(string_tensor: string) -> (output: out_type); out_type: {float, double, int32, int64} = float"
).not_differentiable()
to_number_op.infer(infer.unchanged)

_FLOAT = re.compile(rb"[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|inf|nan)\Z", re.I)
_HEX = re.compile(rb"([+-]?)0x([0-9a-f]+)\Z", re.I)
_INTEGER = re.compile(rb"-?\d+\Z")


def parse_float(s: bytes) -> float | None:
    """The number that `s` spells, TensorFlow's rules; None where it spells none."""
    if not s:
        return None
    text = s.strip(_SPACE)
    if not text:
        return 0.0
    if _FLOAT.match(text):
        return float(text)
    found = _HEX.match(text)
    return None if found is None else float(int(found[2], 16)) * (-1 if found[1] == b"-" else 1)


def parse_integer(s: bytes, bits: int) -> int | None:
    """The integer that `s` spells within `bits` bits; None where it spells none."""
    text = s.strip(_SPACE)
    if not _INTEGER.match(text) or len(text) > 40:
        return None
    value = int(text)
    return value if -(1 << (bits - 1)) <= value < 1 << (bits - 1) else None


@to_number_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    dtype = attrs["out_type"]
    bits = dtype.size * 8

    def convert(s: bytes) -> Any:
        value = parse_float(s) if dtype.kind == "f" else parse_integer(s, bits)
        if value is None:
            raise InvalidArgumentError(f"StringToNumberOp could not correctly convert string: {s!r} to {dtype.name}")
        return value

    def kernel(strings: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return map_to(np.float64 if dtype.kind == "f" else dtype.numpy, convert, strings).astype(dtype.numpy)

    return kernel


# -- format ----------------------------------------------------------------------------------------------------------

format_op = op(
    'StringFormat(inputs: T) -> (output: string); T: list(type) >= 0; template: string = "%s"; placeholder: string = "%s"; '
    "summarize: int = 3"
).not_differentiable()
format_op.infer(infer.scalar)


@format_op.kernel
def _(*inputs: np.ndarray, template: bytes, placeholder: bytes, summarize: int) -> np.ndarray:
    parts = template.split(placeholder)
    if len(parts) != len(inputs) + 1:
        raise InvalidArgumentError(
            f"StringFormat: num placeholders in template and num inputs must match: {len(parts) - 1} vs. {len(inputs)}"
        )
    out = parts[0]
    for x, part in zip(inputs, parts[1:]):
        out += summarize_array(x, summarize) + part
    return array_of_bytes([out], ())


# -- base64 ----------------------------------------------------------------------------------------------------------

encode_base64_op = op("EncodeBase64(input: string) -> (output: string); pad: bool = false").not_differentiable()
encode_base64_op.infer(infer.unchanged)


@encode_base64_op.kernel
def _(strings: np.ndarray, *, pad: bool) -> np.ndarray:
    if pad:
        return map_bytes(base64.urlsafe_b64encode, strings)
    return map_bytes(lambda s: base64.urlsafe_b64encode(s).rstrip(b"="), strings)


decode_base64_op = op("DecodeBase64(input: string) -> (output: string)").not_differentiable()
decode_base64_op.infer(infer.unchanged)
_BASE64 = re.compile(rb"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}(?:==)?|[A-Za-z0-9_-]{3}=?)?\Z")


def _decode_base64(s: bytes) -> bytes:
    if not _BASE64.match(s):
        if len(s) % 4 == 1:
            raise InvalidArgumentError("DecodeBase64: Base64 string length cannot be 1 modulo 4.")
        raise InvalidArgumentError("DecodeBase64: Invalid character found in base64.")
    try:
        return base64.urlsafe_b64decode(s.rstrip(b"=") + b"=" * (-len(s.rstrip(b"=")) % 4))
    except binascii.Error as error:
        raise InvalidArgumentError(f"DecodeBase64: {error}") from None


@decode_base64_op.kernel
def _(strings: np.ndarray) -> np.ndarray:
    return map_bytes(_decode_base64, strings)


# -- public functions ------------------------------------------------------------------------------------------------


@public("strings.lower")
def lower(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """Lower case: ASCII letters, or all of Unicode with `encoding="utf-8"`."""
    return raw.StringLower(input=input, encoding=encoding, name=name)


@public("strings.upper")
def upper(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """Upper case: ASCII letters, or all of Unicode with `encoding="utf-8"`."""
    return raw.StringUpper(input=input, encoding=encoding, name=name)


@public("strings.strip")
def strip(input: Any, name: str | None = None) -> Any:
    """Without leading and trailing ASCII white space."""
    return raw.StringStrip(input=input, name=name)


@public("strings.length")
def length(input: Any, unit: str = "BYTE", name: str | None = None) -> Any:
    """The lengths as int32, in bytes or (`unit="UTF8_CHAR"`) characters."""
    return raw.StringLength(input=input, unit=unit, name=name)


@public("strings.substr")
def substr(input: Any, pos: Any, len: Any, unit: str = "BYTE", name: str | None = None) -> Any:
    """`len` bytes or characters from `pos` on; negative positions count from the end."""
    return raw.Substr(input=input, pos=pos, len=len, unit=unit, name=name)


@public("strings.join")
def join(inputs: Sequence[Any], separator: str = "", name: str | None = None) -> Any:
    """Join tensors of strings elementwise; scalars are repeated."""
    return raw.StringJoin(inputs=inputs, separator=separator, name=name)


@public("strings.reduce_join")
def reduce_join(
    inputs: Any, axis: Any = None, keepdims: bool = False, separator: str = "", name: str | None = None
) -> Any:
    """Join the strings along `axis` (all dimensions by default, in row-major order)."""
    x = convert_to_tensor(inputs, dtypes.string)
    if axis is None:
        if x.shape.rank is not None:
            axis = np.arange(x.shape.rank - 1, -1, -1, dtype=np.int32)
        else:
            rank = raw.Rank(input=x)
            axis = raw.Range(start=rank - 1, limit=-1, delta=-1)
    return raw.ReduceJoin(inputs=x, reduction_indices=axis, keep_dims=keepdims, separator=separator, name=name)


@public("strings.unsorted_segment_join")
def unsorted_segment_join(
    inputs: Any, segment_ids: Any, num_segments: Any, separator: str = "", name: str | None = None
) -> Any:
    """Join the strings of each segment, in order of appearance."""
    return raw.UnsortedSegmentJoin(
        inputs=inputs, segment_ids=segment_ids, num_segments=num_segments, separator=separator, name=name
    )


def _split_rows(rows: Any, sep: Any, maxsplit: int) -> RaggedTensor:
    sparse = raw.StringSplitV2(input=rows, sep=sep, maxsplit=maxsplit)
    return RaggedTensor.from_value_rowids(sparse[1], sparse[0][:, 0], nrows=sparse[2][0], validate=False)


@public("strings.split")
def split(input: Any, sep: Any = None, maxsplit: int = -1, name: str | None = None) -> Any:
    """Split each string at `sep` (runs of white space by default): a ragged tensor of one rank more; a vector for a scalar."""
    mark = b"" if sep is None else sep
    if is_ragged(input):
        return input.with_flat_values(split(input.flat_values, sep, maxsplit))
    x = convert_to_tensor(input, dtypes.string)
    rank = x.shape.rank
    if rank == 0:
        return _split_rows(raw.Reshape(tensor=x, shape=[1]), mark, maxsplit).values
    if rank is None:
        raise InvalidArgumentError("tf.strings.split: the rank of the input must be known while tracing")
    if rank == 1:
        return _split_rows(x, mark, maxsplit)
    return split(RaggedTensor.from_tensor(x, ragged_rank=rank - 1), sep, maxsplit)


@public("strings.bytes_split")
def bytes_split(input: Any, name: str | None = None) -> Any:
    """Split each string into its bytes: a ragged tensor of one rank more."""
    if is_ragged(input):
        return input.with_flat_values(bytes_split(input.flat_values))
    x = convert_to_tensor(input, dtypes.string)
    rank = x.shape.rank
    if rank is None:
        raise InvalidArgumentError("tf.strings.bytes_split: the rank of the input must be known while tracing")
    if rank == 0:
        return bytes_split(raw.Reshape(tensor=x, shape=[1])).values
    if rank > 1:
        return bytes_split(RaggedTensor.from_tensor(x, ragged_rank=rank - 1))
    sparse = raw.StringSplit(input=x, delimiter=b"", skip_empty=False)
    return RaggedTensor.from_value_rowids(sparse[1], sparse[0][:, 0], nrows=sparse[2][0], validate=False)


@public("strings.ngrams")
def ngrams(
    data: Any, ngram_width: Any, separator: str = " ", pad_values: Any = None, padding_width: int | None = None,
    preserve_short_sequences: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """The n-grams along the last dimension, a ragged tensor.

    Args:
        data: string tensor or ragged tensor of rank >= 1.
        ngram_width: a width, or several.
        pad_values: None for no padding, a string, or a pair (left, right).
        padding_width: how many pads at most; by default the width - 1.
        preserve_short_sequences: give a row that is too short as one n-gram.
    """
    if pad_values is None:
        left = right = b""
    elif isinstance(pad_values, (str, bytes)):
        left = right = pad_values if isinstance(pad_values, bytes) else pad_values.encode()
    else:
        if not isinstance(pad_values, tuple) or len(pad_values) != 2:
            raise TypeError("pad_values must be a string, tuple of strings, or None.")
        left, right = (p if isinstance(p, bytes) else p.encode() for p in pad_values)
    if padding_width is not None and padding_width < 1:
        raise InvalidArgumentError(f"padding_width must be greater than 0, received {padding_width}")
    if padding_width is not None and pad_values is None:
        raise InvalidArgumentError("pad_values must be provided if padding_width is set.")
    widths = [ngram_width] if isinstance(ngram_width, int) else list(ngram_width)
    if any(w < 1 for w in widths):
        raise InvalidArgumentError(f"All ngram_widths must be greater than 0. Received: ngram_width={ngram_width}")
    pad = 0 if pad_values is None else -1 if padding_width is None else padding_width
    x = data if is_ragged(data) else convert_to_tensor(data, dtypes.string)
    rank = x.shape.rank
    if not is_ragged(x):
        if rank == 0:
            raise InvalidArgumentError("data must have rank>0")
        if rank is None:
            raise InvalidArgumentError("tf.strings.ngrams: the rank of the input must be known while tracing")
        if rank == 1:
            row = RaggedTensor.from_tensor(raw.ExpandDims(input=x, dim=0), ragged_rank=1)
            found = ngrams(row, ngram_width, separator, pad_values, padding_width, preserve_short_sequences)
            return found.flat_values
        ragged = RaggedTensor.from_tensor(x, ragged_rank=rank - 1)
    else:
        inner = x.flat_values.shape.rank
        ragged = x if inner == 1 else x.with_flat_values(RaggedTensor.from_tensor(x.flat_values, ragged_rank=inner - 1))

    def apply(part: Any) -> Any:
        if is_ragged(part.values):
            return part.with_values(apply(part.values))
        values, splits = raw.StringNGrams(
            data=part.values, data_splits=part.row_splits, separator=separator, ngram_widths=widths, left_pad=left,
            right_pad=right, pad_width=pad, preserve_short_sequences=preserve_short_sequences, name=name,
        )  # fmt: skip
        return RaggedTensor(values, splits)

    result = apply(ragged)
    # A dense input whose rows all have the same length gives a dense result.
    return result.to_tensor() if not is_ragged(data) else result


@public("strings.as_string", "as_string")
def as_string(
    input: Any, precision: int = -1, scientific: bool = False, shortest: bool = False, width: int = -1, fill: str = "",
    name: str | None = None,
) -> Any:  # fmt: skip
    """Each value as text, as C's printf writes it."""
    return raw.AsString(
        input=input, precision=precision, scientific=scientific, shortest=shortest, width=width, fill=fill, name=name
    )


@public("strings.to_number")
def to_number(input: Any, out_type: Any = dtypes.float32, name: str | None = None) -> Any:
    """The number that each string spells. Raises InvalidArgumentError for one that spells none."""
    return raw.StringToNumber(string_tensor=input, out_type=out_type, name=name)


@public("strings.format")
def format(template: str, inputs: Any, placeholder: str = "{}", summarize: int = 3, name: str | None = None) -> Any:
    """`template` with each placeholder replaced by the text of a tensor, at most `summarize` items from either end."""
    items = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if template.count(placeholder) != len(items):
        raise InvalidArgumentError(
            f"The template expects {template.count(placeholder)} tensors, but the inputs only has {len(items)}."
        )
    return raw.StringFormat(inputs=items, template=template, placeholder=placeholder, summarize=summarize, name=name)


@public("io.encode_base64")
def encode_base64(input: Any, pad: bool = False, name: str | None = None) -> Any:
    """Web-safe base64 of each string."""
    return raw.EncodeBase64(input=input, pad=pad, name=name)


@public("io.decode_base64")
def decode_base64(input: Any, name: str | None = None) -> Any:
    """The bytes of each web-safe base64 string, padded or not."""
    return raw.DecodeBase64(input=input, name=name)
