"""Unicode: decoding to code points, encoding, transcoding, scripts; and the edit distance. Tables are in tracer/unicode*.py."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.byte_strings import array_of_bytes, map_bytes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public
from tracer.ragged import RaggedTensor, is_ragged
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.sparse import as_sparse
from tracer.tensor import convert_to_tensor
from tracer.unicode import BAD, codec_of, decode_with_offsets, encode
from tracer.unicode_scripts import script_of

_ERRORS = "errors: {'strict', 'replace', 'ignore'} = \"replace\"; replacement_char: int = 65533; replace_control_characters: bool = false"


def _clean(
    data: bytes, codec: str, errors: bytes, replacement: int, replace_control: bool
) -> tuple[list[int], list[int]]:
    """Code points and offsets after the error policy."""
    codes, offsets = decode_with_offsets(data, codec)
    if BAD not in codes and not replace_control:
        return codes, offsets
    if errors == b"strict" and BAD in codes:
        raise InvalidArgumentError(f"Invalid formatting on input string: {data[:40]!r}")
    bad = [c == BAD or (replace_control and c <= 0x1F) for c in codes]
    if errors == b"ignore":
        kept = [i for i, b in enumerate(bad) if not b]
        return [codes[i] for i in kept], [offsets[i] for i in kept]
    return [replacement if b else c for c, b in zip(codes, bad)], offsets


def _decode_op(name: str, extra: str) -> None:
    record = op(
        f"{name}(input: string) -> (row_splits: Tsplits, char_values: int32{extra}); input_encoding: string; {_ERRORS}; "
        "Tsplits: {int32, int64} = int64"
    ).not_differentiable()

    @record.infer
    def _(ctx: Any) -> Any:
        count = ctx.shape(0).num_elements()
        vectors = [TensorShape([None])] * (len(ctx.output_dtypes) - 1)
        return [TensorShape([None if count is None else count + 1]), *vectors]

    @record.prepare
    def _(attrs: dict[str, Any]) -> Any:
        codec = codec_of(attrs["input_encoding"])
        policy = attrs["errors"], attrs["replacement_char"], attrs["replace_control_characters"]
        splits_dtype = attrs["Tsplits"].numpy

        def kernel(strings: np.ndarray) -> Any:
            codes: list[int] = []
            offsets: list[int] = []
            splits = [0]
            for s in strings.ravel().tolist():
                c, o = _clean(s, codec, *policy)
                codes += c
                offsets += o
                splits.append(len(codes))
            found = np.array(splits, splits_dtype), np.array(codes, np.int32)
            return (*found, np.array(offsets, np.int64)) if extra else found

        return kernel


_decode_op("UnicodeDecode", "")
_decode_op("UnicodeDecodeWithOffsets", ", char_to_byte_starts: int64")

encode_op = op(
    "UnicodeEncode(input_values: int32, input_splits: Tsplits) -> (output: string); errors: {'ignore', 'replace', 'strict'} = "
    "\"replace\"; output_encoding: {'UTF-8', 'UTF-16-BE', 'UTF-32-BE'}; replacement_char: int = 65533; "
    "Tsplits: {int32, int64} = int64"
).not_differentiable()


@encode_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(1)
    return TensorShape([shape[0] - 1 if shape.rank and shape[0] is not None else None])


@encode_op.kernel
def _(
    values: np.ndarray, splits: np.ndarray, *, errors: bytes, output_encoding: bytes, replacement_char: int
) -> np.ndarray:
    bounds = splits.tolist()
    if not bounds or bounds[0] != 0 or bounds[-1] != len(values) or sorted(bounds) != bounds:
        raise InvalidArgumentError(f"UnicodeEncode: expected input_splits from 0 up to {len(values)}, received {bounds}")
    items = values.tolist()
    surrogate = [0xD800 <= c <= 0xDFFF for c in items]
    outside = [not 0 <= c <= 0x10FFFF for c in items]
    if errors == b"strict" and (any(surrogate) or any(outside)):
        raise InvalidArgumentError("Code point is out of range for Unicode, or a noncharacter.")
    out = []
    for begin, end in itertools.pairwise(bounds):
        row = range(begin, end)
        if errors == b"ignore":
            codes = [items[i] for i in row if not outside[i]]
        else:
            codes = [replacement_char if outside[i] or surrogate[i] else items[i] for i in row]
        out.append(encode(codes, output_encoding))
    return array_of_bytes(out)


transcode_op = op(
    "UnicodeTranscode(input: string) -> (output: string); input_encoding: string; "
    f"output_encoding: {{'UTF-8', 'UTF-16-BE', 'UTF-32-BE'}}; {_ERRORS}"
).not_differentiable()
transcode_op.infer(infer.unchanged)


@transcode_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    codec = codec_of(attrs["input_encoding"])
    policy = attrs["errors"], attrs["replacement_char"], attrs["replace_control_characters"]
    target = attrs["output_encoding"]
    return lambda strings: map_bytes(lambda s: encode(_clean(s, codec, *policy)[0], target), strings)


script_op = op("UnicodeScript(input: int32) -> (output: int32)").not_differentiable()
script_op.infer(infer.unchanged)
script_op.kernel(lambda codes: np.array([script_of(c) for c in codes.ravel().tolist()], np.int32).reshape(codes.shape))


# -- edit distance ---------------------------------------------------------------------------------------------------

edit_distance_op = op(
    "EditDistance(hypothesis_indices: int64, hypothesis_values: T, hypothesis_shape: int64, truth_indices: int64, "
    "truth_values: T, truth_shape: int64) -> (output: float); normalize: bool = true; T: type"
).not_differentiable()


@edit_distance_op.infer
def _(ctx: Any) -> Any:
    a, b = ctx.value(2), ctx.value(5)
    if a is None or b is None:
        return unknown_shape()
    return TensorShape(np.maximum(a, b)[:-1].tolist())


def _levenshtein(a: list[Any], b: list[Any]) -> int:
    if len(a) < len(b):
        a, b = b, a
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


@edit_distance_op.kernel
def _(
    h_indices: np.ndarray, h_values: np.ndarray, h_shape: np.ndarray, t_indices: np.ndarray, t_values: np.ndarray,
    t_shape: np.ndarray, *, normalize: bool,
) -> np.ndarray:  # fmt: skip
    if h_shape.shape != t_shape.shape:
        raise ShapeError(f"EditDistance: truth_shape and hypothesis_shape differ in rank: {len(t_shape)} and {len(h_shape)}")
    shape = np.maximum(h_shape, t_shape)[:-1]

    def groups(indices: np.ndarray, values: np.ndarray) -> dict[tuple[int, ...], list[Any]]:
        out: dict[tuple[int, ...], list[Any]] = {}
        for index, value in zip(indices.tolist(), values.tolist()):
            out.setdefault(tuple(index[:-1]), []).append(value)
        return out

    hypotheses, truths = groups(h_indices, h_values), groups(t_indices, t_values)
    out = np.zeros(shape.tolist(), np.float32)
    for at in {*hypotheses, *truths}:
        if any(i >= d for i, d in zip(at, shape.tolist())):
            raise InvalidArgumentError(f"EditDistance: index {at} lies outside of the output's shape {shape.tolist()}")
        h, t = hypotheses.get(at, []), truths.get(at, [])
        distance: float = _levenshtein(h, t)
        if normalize:
            distance = distance / len(t) if t else float("inf") if h else 0.0
        out[at] = distance
    return out


# -- public functions ------------------------------------------------------------------------------------------------


@public("edit_distance")
def edit_distance(hypothesis: Any, truth: Any, normalize: bool = True, name: str = "edit_distance") -> Any:
    """The Levenshtein distance between the sequences of two sparse tensors along their last dimension, float32."""
    h, t = as_sparse(hypothesis, "hypothesis"), as_sparse(truth, "truth")
    return raw.EditDistance(*h.components, *t.components, normalize=normalize, name=name)


@public("strings.unicode_script")
def unicode_script(input: Any, name: str | None = None) -> Any:
    """ICU's number of the script of each code point; -1 for what is no code point."""
    return raw.UnicodeScript(input=input, name=name)


@public("strings.unicode_transcode")
def unicode_transcode(
    input: Any, input_encoding: str, output_encoding: str, errors: str = "replace", replacement_char: int = 65533,
    replace_control_characters: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """Strings from one encoding to another."""
    return raw.UnicodeTranscode(
        input=input, input_encoding=input_encoding, output_encoding=output_encoding, errors=errors,
        replacement_char=replacement_char, replace_control_characters=replace_control_characters, name=name,
    )  # fmt: skip


def _decode(
    input: Any, encoding: str, errors: str, replacement: int, replace_control: bool, with_offsets: bool
) -> tuple[Any, Any]:
    """Code points (and offsets) as a ragged tensor of one rank more than the input; vectors for a scalar."""
    if is_ragged(input):
        values, offsets = _decode(input.flat_values, encoding, errors, replacement, replace_control, with_offsets)
        return input.with_flat_values(values), None if offsets is None else input.with_flat_values(offsets)
    x = convert_to_tensor(input, dtypes.string)
    rank = x.shape.rank
    if rank is None:
        raise InvalidArgumentError("Rank of `input` must be statically known.")
    if rank > 1:
        ragged = RaggedTensor.from_tensor(x, ragged_rank=rank - 1)
        return _decode(ragged, encoding, errors, replacement, replace_control, with_offsets)
    flat = raw.Reshape(tensor=x, shape=[1]) if rank == 0 else x
    make = raw.UnicodeDecodeWithOffsets if with_offsets else raw.UnicodeDecode
    found = make(
        input=flat, input_encoding=encoding, errors=errors, replacement_char=replacement,
        replace_control_characters=replace_control,
    )  # fmt: skip
    if rank == 0:
        return found[1], found[2] if with_offsets else None
    rows = RaggedTensor(found[1], found[0])
    return rows, rows.with_values(found[2]) if with_offsets else None


@public("strings.unicode_decode")
def unicode_decode(
    input: Any, input_encoding: str, errors: str = "replace", replacement_char: int = 0xFFFD,
    replace_control_characters: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """The code points of each string: a ragged int32 tensor of one rank more."""
    return _decode(input, input_encoding, errors, replacement_char, replace_control_characters, False)[0]


@public("strings.unicode_decode_with_offsets")
def unicode_decode_with_offsets(
    input: Any, input_encoding: str, errors: str = "replace", replacement_char: int = 0xFFFD,
    replace_control_characters: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """As `unicode_decode`, with the byte offset of each character."""
    return _decode(input, input_encoding, errors, replacement_char, replace_control_characters, True)


def _encode_each(codes: Any, encoding: str, errors: str, replacement: int) -> Any:
    """Each code point as a string of its own."""
    if is_ragged(codes):
        return codes.with_flat_values(_encode_each(codes.flat_values, encoding, errors, replacement))
    return unicode_encode(raw.ExpandDims(input=codes, dim=-1), encoding, errors, replacement)


@public("strings.unicode_split")
def unicode_split(
    input: Any, input_encoding: str, errors: str = "replace", replacement_char: int = 0xFFFD, name: str | None = None
) -> Any:
    """The characters of each string, as strings."""
    codes = _decode(input, input_encoding, errors, replacement_char, False, False)[0]
    return _encode_each(codes, input_encoding, errors, replacement_char)


@public("strings.unicode_split_with_offsets")
def unicode_split_with_offsets(
    input: Any, input_encoding: str, errors: str = "replace", replacement_char: int = 0xFFFD, name: str | None = None
) -> Any:
    """As `unicode_split`, with the byte offset of each character."""
    codes, offsets = _decode(input, input_encoding, errors, replacement_char, False, True)
    return _encode_each(codes, input_encoding, errors, replacement_char), offsets


@public("strings.unicode_encode")
def unicode_encode(
    input: Any, output_encoding: str, errors: str = "replace", replacement_char: int = 65533, name: str | None = None
) -> Any:
    """Strings from code points along the last dimension, of one rank less."""
    x = input if is_ragged(input) else convert_to_tensor(input, dtypes.int32)
    rank = x.shape.rank
    if rank is None:
        raise InvalidArgumentError("Rank of input_tensor must be statically known.")
    if is_ragged(x):
        if x.flat_values.shape.rank != 1:
            inner = x.flat_values
            return x.with_flat_values(unicode_encode(inner, output_encoding, errors, replacement_char))
        if x.ragged_rank > 1:
            return x.with_values(unicode_encode(x.values, output_encoding, errors, replacement_char))
        return raw.UnicodeEncode(
            input_values=x.values, input_splits=x.row_splits, errors=errors, output_encoding=output_encoding,
            replacement_char=replacement_char, name=name,
        )  # fmt: skip
    if rank == 0:
        raise InvalidArgumentError("input_tensor's rank must be at least 1.")
    if rank == 2:
        rows = RaggedTensor.from_tensor(x)
        return unicode_encode(rows, output_encoding, errors, replacement_char)
    if rank == 1:
        count = raw.Cast(x=raw.Size(input=x), DstT=dtypes.int64)
        splits = raw.Pack(values=[convert_to_tensor(0, dtypes.int64), count])
        row = RaggedTensor(x, splits)
        return raw.Reshape(tensor=unicode_encode(row, output_encoding, errors, replacement_char), shape=[])
    shape = raw.Shape(input=x)
    flat = raw.Reshape(tensor=x, shape=raw.ConcatV2(values=[[-1], shape[-1:]], axis=0))
    return raw.Reshape(tensor=unicode_encode(flat, output_encoding, errors, replacement_char), shape=shape[:-1])
