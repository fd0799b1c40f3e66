"""What the gradient rules of several op families share: undoing broadcasting, conjugates, shapes of reductions. Ops only, never NumPy values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer.dispatch import raw
from tracer.infer import constant_value
from tracer.tensor import convert_to_tensor

__all__ = ["conjugate", "kept_shape", "shape_of", "unbroadcast", "zero_like"]


def shape_of(x: Any) -> Any:
    """The shape of `x` as an int32 tensor: a constant where it is known, else the Shape op."""
    shape = x.shape
    if shape.rank is not None and shape.is_fully_defined():
        return convert_to_tensor(np.array(shape.as_tuple(), np.int32))
    return raw.Shape(x)


def unbroadcast(grad: Any, like: Any) -> Any:
    """`grad` summed over the axes along which `like` was broadcast, in the shape of `like`."""
    big, small = grad.shape, like.shape
    if big.rank is not None and small.rank is not None and small.is_fully_defined():
        if big.is_fully_defined() and big == small:
            return grad
        lead = big.rank - small.rank
        known = True
        axes = list(range(lead))
        for i, d in enumerate(small):
            if d == 1:
                size = big[lead + i]
                if size is None:
                    known = False
                elif size != 1:
                    axes.append(lead + i)
        if known:
            if not axes:
                return grad
            if len(axes) == lead:
                return raw.Sum(grad, convert_to_tensor(np.array(axes, np.int32)))
            if lead == 0:
                return raw.Sum(grad, convert_to_tensor(np.array(axes, np.int32)), keep_dims=True)
            total = raw.Sum(grad, convert_to_tensor(np.array(axes, np.int32)))
            return raw.Reshape(total, shape_of(like))
    like_shape = raw.Shape(like)
    axes_tensor, _ = raw.BroadcastGradientArgs(like_shape, raw.Shape(grad))
    return raw.Reshape(raw.Sum(grad, axes_tensor), like_shape)


def conjugate(x: Any) -> Any:
    """The complex conjugate; real tensors as they are."""
    return raw.Conj(x) if x.dtype.is_complex else x


def zero_like(x: Any) -> Any:
    """Zeros of the shape and dtype of `x`."""
    return raw.ZerosLike(x)


def kept_shape(x: Any, axes: Any) -> Any:
    """The shape of `x` with the reduced `axes` set to 1, as an int32 tensor."""
    rank = x.shape.rank
    value = constant_value(axes)
    if rank is not None and value is not None:
        reduced = {int(a) % rank for a in np.ravel(value)} if rank else set()
        sizes = [1 if i in reduced else d for i, d in enumerate(x.shape)]
        if None not in sizes:
            return convert_to_tensor(np.array(sizes, np.int32).reshape(rank))
        keep = np.array([i not in reduced for i in range(rank)], np.int32)
        return raw.AddV2(raw.Mul(raw.Shape(x), convert_to_tensor(keep)), convert_to_tensor(1 - keep))
    shape = raw.Shape(x)
    size = raw.Size(shape)
    flat = raw.Reshape(raw.Cast(axes, DstT="int32"), np.array([-1], np.int32))
    # a scalar has no axis to wrap: the modulus must not be zero
    flat = raw.FloorMod(raw.AddV2(flat, size), raw.Maximum(size, np.int32(1)))
    every = raw.Range(np.int32(0), size, np.int32(1))
    return raw.DynamicStitch([every, flat], [shape, raw.Fill(raw.Shape(flat), np.int32(1))])
