"""Padding at the borders of axes: constants and mirrors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.object_arrays import as_array
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []

_PADDINGS = "Tpaddings: {int32, int64} = int32"


def _padded_shape(ctx: Any, sign: int = 1) -> Any:
    shape, paddings = ctx.shape(0), ctx.value(1)
    rank = shape.rank
    if rank is None and ctx.shape(1).rank == 2:
        rank = ctx.shape(1)[0]
    if rank is not None and ctx.shape(1).rank == 2 and ctx.shape(1)[0] not in (None, rank):
        raise ShapeError(f"Pad: expected paddings of shape [{rank}, 2] for an input of shape {shape}, received {ctx.shape(1)}")
    if paddings is None or shape.rank is None:
        return unknown_shape(rank)
    if sign > 0 and (paddings < 0).any():
        raise ShapeError(f"Pad: paddings must be non-negative, received {paddings.tolist()}")
    return TensorShape([None if d is None else d + sign * int(p.sum()) for d, p in zip(shape, paddings)])


def _widths(x: np.ndarray, paddings: np.ndarray) -> list[list[int]]:
    if paddings.ndim != 2 or paddings.shape[1] != 2:
        if not (paddings.size == 0 and x.ndim == 0):
            raise InvalidArgumentError(f"paddings must be a matrix with 2 columns: {list(paddings.shape)}")
    widths = paddings.tolist()
    if len(widths) != x.ndim:
        raise InvalidArgumentError(f"The first dimension of paddings must be the rank of inputs{list(paddings.shape)} {list(x.shape)}")
    for before, after in widths:
        if before < 0 or after < 0:
            raise InvalidArgumentError(f"Paddings must be non-negative: {before} {after}")
    return widths


def _pad(x: np.ndarray, paddings: np.ndarray, value: Any) -> np.ndarray:
    widths = _widths(x, paddings)
    out = np.empty([d + b + a for d, (b, a) in zip(x.shape, widths)], x.dtype)
    out[...] = value
    out[tuple(slice(b, b + d) for d, (b, _) in zip(x.shape, widths))] = x
    return out


pad_op = op(f"Pad(input: T, paddings: Tpaddings) -> (output: T); T: type; {_PADDINGS}")
pad_op.infer(_padded_shape)
pad_op.kernel(lambda x, paddings: _pad(x, paddings, b"" if x.dtype == object else np.zeros((), x.dtype)))

pad_v2_op = op(f"PadV2(input: T, paddings: Tpaddings, constant_values: T) -> (output: T); T: type; {_PADDINGS}")
pad_v2_op.infer(_padded_shape)


@pad_v2_op.kernel
def _(x: np.ndarray, paddings: np.ndarray, value: np.ndarray) -> np.ndarray:
    if as_array(value).ndim:
        raise InvalidArgumentError(f"Constant value must be a scalar. Found shape {list(value.shape)}")
    return _pad(x, paddings, value)


def _unpad(node: Any, grad: Any) -> Any:
    """The part of `grad` that came from the input."""
    x, paddings = node.inputs[0], node.inputs[1]
    rank = x.shape.rank
    if rank is None:
        start = tf.reshape(paddings[:, 0], [-1])
    else:
        start = tf.reshape(raw.Slice(paddings, *_pair(paddings.dtype, [0, 0], [rank, 1])), [-1])
    return raw.Slice(grad, start, tf.shape(x, out_type=paddings.dtype))


def _pair(dtype: Any, a: list[int], b: list[int]) -> tuple[Any, Any]:
    return convert_to_tensor(np.array(a, dtype.numpy)), convert_to_tensor(np.array(b, dtype.numpy))


@pad_op.gradient
def _(node: Any, grad: Any) -> Any:
    return _unpad(node, grad), None


@pad_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    # TensorFlow gives the padding value no gradient either.
    return _unpad(node, grad), None, None


# -- mirrors ---------------------------------------------------------------------------------------------------------


def _mirror_index(size: int, before: int, after: int, offset: int) -> np.ndarray:
    """For each place of the padded axis, the place of the input it copies; offset 1 leaves the border out (REFLECT)."""
    if before > size - offset or after > size - offset:
        raise InvalidArgumentError(
            f"paddings must be {'less than' if offset else 'no greater than'} the dimension size: {before}, {after} "
            f"{'not less than' if offset else 'greater than'} {size}"
        )
    left = np.arange(before, 0, -1) - 1 + offset
    right = size - 1 - offset - np.arange(after)
    return np.concatenate([left, np.arange(size), right]).astype(np.intp)


mirror_op = op(f"MirrorPad(input: T, paddings: Tpaddings) -> (output: T); T: type; {_PADDINGS}; mode: {{'REFLECT', 'SYMMETRIC'}}")
mirror_op.infer(_padded_shape)


@mirror_op.kernel
def _(x: np.ndarray, paddings: np.ndarray, *, mode: bytes) -> np.ndarray:
    offset = 1 if mode == b"REFLECT" else 0
    for axis, (before, after) in enumerate(_widths(x, paddings)):
        if before or after:
            x = x.take(_mirror_index(x.shape[axis], before, after, offset), axis)
    return x


@mirror_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MirrorPadGrad(grad, node.inputs[1], mode=node.attr("mode")), None


mirror_grad_op = op(f"MirrorPadGrad(input: T, paddings: Tpaddings) -> (output: T); T: type; {_PADDINGS}; mode: {{'REFLECT', 'SYMMETRIC'}}")
mirror_grad_op.infer(lambda ctx: _padded_shape(ctx, -1))


@mirror_grad_op.kernel
def _(x: np.ndarray, paddings: np.ndarray, *, mode: bytes) -> np.ndarray:
    offset = 1 if mode == b"REFLECT" else 0
    for axis, (before, after) in enumerate(_widths(x, paddings)):
        size = x.shape[axis] - before - after
        if not (before or after):
            continue
        if size < 0:
            raise InvalidArgumentError(f"MirrorPadGrad: paddings {before}, {after} exceed the size {x.shape[axis]} of axis {axis}")
        source = _mirror_index(size, before, after, offset)
        moved = np.moveaxis(x, axis, 0)
        out = np.array(moved[before : before + size])
        for place in (*range(before), *range(before + size, before + size + after)):
            out[source[place]] += moved[place]
        x = np.moveaxis(out, 0, axis)
    return x


@mirror_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MirrorPad(grad, node.inputs[1], mode=node.attr("mode")), None


@public("pad")
def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: str | None = None) -> Any:
    """`tensor` with `paddings[i]` = (before, after) elements added along each axis i.

    Args:
        mode: "CONSTANT" (with `constant_values`), "REFLECT" or "SYMMETRIC" (mirrored without or with the border).
    """
    x = convert_to_tensor(tensor)
    paddings = paddings if isinstance(paddings, Tensor) else convert_to_tensor(paddings, dtypes.int32 if not hasattr(paddings, "dtype") else None)
    kind = mode.upper()
    if kind == "CONSTANT":
        plain = not isinstance(constant_values, Tensor) and np.ndim(constant_values) == 0 and constant_values == 0
        out = raw.Pad(x, paddings, name=name) if plain else raw.PadV2(x, paddings, constant_values, name=name)
    elif kind in ("REFLECT", "SYMMETRIC"):
        out = raw.MirrorPad(x, paddings, mode=kind, name=name)
    else:
        raise InvalidArgumentError(f"Value of argument `mode` expected to be one of 'CONSTANT', 'REFLECT', or 'SYMMETRIC'. Received `mode` = {mode}")
    return out
