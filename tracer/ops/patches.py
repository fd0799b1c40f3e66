"""Sliding windows laid out as channels: ExtractImagePatches, ExtractVolumePatches. Convolutions live in conv.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []


def _window(size: int, k: int, stride: int, rate: int, padding: bytes) -> tuple[int, int]:
    """The number of windows along an axis, and where the first one begins (negative: in the padding)."""
    span = k + (k - 1) * (rate - 1)
    if padding == b"VALID":
        return max(-(-(size - span + 1) // stride), 0), 0
    count = -(-size // stride)
    return count, -(max((count - 1) * stride + span - size, 0) // 2)


def _extract(x: np.ndarray, ksizes: Sequence[int], strides: Sequence[int], rates: Sequence[int], padding: bytes) -> np.ndarray:
    n = x.ndim - 2
    for name, v in (("ksizes", ksizes), ("strides", strides), ("rates", rates)):
        if len(v) != x.ndim or v[0] != 1 or v[-1] != 1:
            raise InvalidArgumentError(f"{name}: expected {x.ndim} numbers that begin and end with 1, received {list(v)} for an input of rank {x.ndim}")
    inside = np.ones((), bool)
    out = x
    # axis i of the input becomes two: windows and places inside the window
    for i in range(n):
        size, k = x.shape[1 + i], ksizes[1 + i]
        count, start = _window(size, k, strides[1 + i], rates[1 + i], padding)
        place = start + np.arange(count)[:, None] * strides[1 + i] + np.arange(k)[None, :] * rates[1 + i]
        ok = (place >= 0) & (place < size)
        axis = 1 + 2 * i
        out = out.take(np.where(ok, place, 0), axis) if size else np.zeros((*out.shape[:axis], count, k, *out.shape[axis + 1 :]), x.dtype)
        shape = [1] * (2 * n)
        shape[2 * i : 2 * i + 2] = [count, k]
        inside = inside & ok.reshape(shape)
    if not inside.all():
        out = np.where(inside.reshape(1, *inside.shape, 1), out, np.zeros((), x.dtype))
    order = [0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1]
    out = out.transpose(order)
    return out.reshape(*out.shape[: 1 + n], int(np.prod(out.shape[1 + n :], dtype=np.int64)))


def _patch_shape(ctx: Any, rank: int) -> Any:
    shape = ctx.shape(0)
    if shape.rank is None:
        return unknown_shape(rank)
    shape.assert_has_rank(rank)
    k, strides = ctx.attr("ksizes"), ctx.attr("strides")
    rates = ctx.attr("rates") if "rates" in ctx.schema.attrs else [1] * rank
    dims = shape.as_list()
    out = [dims[0]]
    for i in range(1, rank - 1):
        out.append(None if dims[i] is None else _window(dims[i], k[i], strides[i], rates[i], ctx.attr("padding"))[0])
    depth = dims[-1]
    return TensorShape([*out, None if depth is None else depth * int(np.prod(k, dtype=np.int64))])


def _patch_grad(node: Any, grad: Any, name: str, attrs: dict[str, Any], spatial: int) -> Any:
    """Every patch element adds to the place it was copied from; the places come from patches of a tensor of positions."""
    x = node.inputs[0]
    shape = tf.shape(x, out_type=dtypes.int64)
    batch, depth, area = shape[0], shape[spatial + 1], tf.reduce_prod(shape[1 : spatial + 1])
    one = tf.constant([1], dtypes.int64)
    # positions count from 1, so that padding reads 0
    numbers = tf.reshape(tf.range(1, area + 1, dtype=dtypes.int64), tf.concat([one, shape[1 : spatial + 1], one], 0))
    places = tf.reshape(getattr(raw, name)(numbers, **attrs), [-1]) - 1
    count = tf.size(places, out_type=dtypes.int64)
    rows = tf.transpose(tf.reshape(grad, tf.stack([batch, count, depth])), [1, 0, 2])
    sums = raw.UnsortedSegmentSum(rows, places, area)
    return tf.reshape(tf.transpose(sums, [1, 0, 2]), shape)


image_op = op(
    "ExtractImagePatches(images: T) -> (patches: T); ksizes: list(int) >= 4; strides: list(int) >= 4; rates: list(int) >= 4; "
    "T: {bfloat16, half, float, double, int8, int16, int32, int64, uint8, uint16, uint32, uint64, complex64, complex128, bool}; "
    "padding: {'SAME', 'VALID'}"
)
image_op.infer(lambda ctx: _patch_shape(ctx, 4))


@image_op.kernel
def _(x: np.ndarray, *, ksizes: list[int], strides: list[int], rates: list[int], padding: bytes) -> np.ndarray:
    if x.ndim != 4:
        raise InvalidArgumentError(f"input must be 4-dimensional, received shape {list(x.shape)}")
    return _extract(x, ksizes, strides, rates, padding)


@image_op.gradient
def _(node: Any, grad: Any) -> Any:
    attrs = {k: node.attr(k) for k in ("ksizes", "strides", "rates", "padding")}
    return _patch_grad(node, grad, "ExtractImagePatches", attrs, 2)


volume_op = op(
    "ExtractVolumePatches(input: T) -> (patches: T); ksizes: list(int) >= 5; strides: list(int) >= 5; "
    "T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}; padding: {'SAME', 'VALID'}"
)
volume_op.infer(lambda ctx: _patch_shape(ctx, 5))


@volume_op.kernel
def _(x: np.ndarray, *, ksizes: list[int], strides: list[int], padding: bytes) -> np.ndarray:
    if x.ndim != 5:
        raise InvalidArgumentError(f"input must be 5-dimensional, received shape {list(x.shape)}")
    return _extract(x, ksizes, strides, [1] * 5, padding)


@volume_op.gradient
def _(node: Any, grad: Any) -> Any:
    attrs = {k: node.attr(k) for k in ("ksizes", "strides", "padding")}
    return _patch_grad(node, grad, "ExtractVolumePatches", attrs, 3)


@public("image.extract_patches")
def extract_patches(images: Any, sizes: Any, strides: Any, rates: Any, padding: str, name: str | None = None) -> Any:
    """Patches of `images` [batch, rows, columns, depth], flattened into the last axis."""
    return raw.ExtractImagePatches(convert_to_tensor(images), ksizes=sizes, strides=strides, rates=rates, padding=padding, name=name)


@public("extract_volume_patches")
def extract_volume_patches(input: Any, ksizes: Any, strides: Any, padding: str, name: str | None = None) -> Any:
    """Patches of a volume [batch, planes, rows, columns, depth], flattened into the last axis."""
    return raw.ExtractVolumePatches(convert_to_tensor(input), ksizes=ksizes, strides=strides, padding=padding, name=name)
