"""Slices with bounds: Slice, StridedSlice, their gradients and updates. Splitting into equal parts lives in concat.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, OutOfRangeError, ShapeError
from tracer.object_arrays import as_array, unwrap
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []

_MASKS = (
    "begin_mask: int = 0; end_mask: int = 0; ellipsis_mask: int = 0; new_axis_mask: int = 0; shrink_axis_mask: int = 0"
)

# -- Slice -----------------------------------------------------------------------------------------------------------

slice_op = op("Slice(input: T, begin: Index, size: Index) -> (output: T); T: type; Index: {int32, int64}")


def _partial(tensor: Any) -> list[int | None] | None:
    """The elements of a vector, each where it is known while tracing; None where not even the length is."""
    value = infer.constant_value(tensor)
    if value is not None:
        return [int(v) for v in np.ravel(value)]
    length = tensor.shape[0] if tensor.shape.rank == 1 else None
    if length is None:
        return None
    node = getattr(tensor, "node", None)
    if node is not None and node.op == "Pack" and len(node.inputs) == length:
        parts = [infer.constant_value(t) for t in node.inputs]
        return [None if p is None or p.ndim else int(p) for p in parts]
    return [None] * length


@slice_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    begin, sizes = _partial(ctx.inputs[1]), _partial(ctx.inputs[2])
    rank = shape.rank
    for v in (begin, sizes):
        if v is not None:
            if rank is not None and len(v) != rank:
                raise ShapeError(f"Slice: expected begin and size of length {rank} for input of shape {shape}, received length {len(v)}")
            rank = len(v)
    if rank is None:
        return unknown_shape()
    dims = shape.as_list() if shape.rank is not None else [None] * rank
    out: list[int | None] = []
    for d, b, s in zip(dims, begin or [None] * rank, sizes or [None] * rank):
        if s is None:
            out.append(None)
        elif s == -1:
            out.append(None if d is None or b is None else d - b)
        else:
            if d is not None and b is not None and b + s > d:
                raise ShapeError(f"Slice: expected begin + size <= {d}, received {b} + {s} for input of shape {shape}")
            out.append(s)
    if begin is None or (sizes is None and infer.constant_value(ctx.inputs[2]) is None):
        known = ctx.value_as_shape(2)
        if known.rank == rank and sizes is None:
            out = known.as_list()
    return TensorShape(out)


@slice_op.kernel
def _(x: np.ndarray, begin: np.ndarray, size: np.ndarray) -> np.ndarray:
    starts, sizes = begin.tolist(), size.tolist()
    if len(starts) != x.ndim or len(sizes) != x.ndim:
        raise InvalidArgumentError(
            f"Expected begin and size arguments to be 1-D tensors of size {x.ndim}, but got shapes {list(begin.shape)} and {list(size.shape)} instead."
        )
    index = []
    for i, (b, s, d) in enumerate(zip(starts, sizes, x.shape)):
        if s == -1:
            s = d - b
        if not 0 <= b <= d:
            raise InvalidArgumentError(f"Expected begin[{i}] in [0, {d}], but got {b}")
        if s < 0 or b + s > d:
            raise InvalidArgumentError(f"Expected size[{i}] in [0, {d - b}], but got {s}")
        index.append(slice(b, b + s))
    return x[tuple(index)]


@slice_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, begin = node.inputs[0], node.inputs[1]
    shape = tf.shape(x, out_type=begin.dtype)
    after = shape - tf.shape(grad, out_type=begin.dtype) - begin
    return raw.Pad(grad, tf.stack([begin, after], axis=1)), None, None


# -- StridedSlice ----------------------------------------------------------------------------------------------------

strided_op = op(
    "StridedSlice(input: T, begin: Index, end: Index, strides: Index) -> (output: T); T: type; Index: {int16, int32, int64}; " + _MASKS
)


def _index_of(
    shape: Sequence[int], begin: np.ndarray, end: np.ndarray, strides: np.ndarray, begin_mask: int, end_mask: int,
    ellipsis_mask: int, new_axis_mask: int, shrink_axis_mask: int,
) -> tuple[Any, ...]:  # fmt: skip
    """The NumPy index that does the same, with bounds checked as the CPU kernel does."""
    b, e, s = begin.tolist(), end.tolist(), strides.tolist()
    if not len(b) == len(e) == len(s):
        raise InvalidArgumentError(f"Expected begin, end, and strides to be 1D equal size tensors, but got shapes [{len(b)}], [{len(e)}], and [{len(s)}] instead.")
    if ellipsis_mask & (ellipsis_mask - 1):
        raise InvalidArgumentError("Multiple ellipses in slice spec not allowed")
    taken = sum(1 for i in range(len(b)) if not (ellipsis_mask | new_axis_mask) >> i & 1)
    # a new-axis bit under the ellipsis does not count
    skipped = len(shape) - taken
    if skipped < 0:
        raise InvalidArgumentError(f"Index out of range using input dim {len(shape)}; input has only {len(shape)} dims")
    out: list[Any] = []
    axis = 0
    for i in range(len(b)):
        bit = 1 << i
        if ellipsis_mask & bit:
            out.append(Ellipsis)
            axis += skipped
        elif new_axis_mask & bit:
            out.append(None)
        elif shrink_axis_mask & bit:
            size = shape[axis]
            place = b[i]
            if not -size <= place < size:
                raise OutOfRangeError(f"slice index {place} of dimension {axis} out of bounds.")
            if s[i] <= 0:
                raise InvalidArgumentError("only stride 1 allowed on non-range indexing.")
            out.append(place)
            axis += 1
        else:
            if s[i] == 0:
                raise InvalidArgumentError(f"strides[{i}] must be non-zero")
            out.append(slice(None if begin_mask & bit else b[i], None if end_mask & bit else e[i], s[i]))
            axis += 1
    return tuple(out)


@strided_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    masks = {k: ctx.attr(k) for k in ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")}
    if ctx.handle(0) is not None:
        ctx.handle_data[0] = ctx.handle(0)
    return strided_slice_shape(shape, _partial(ctx.inputs[1]), _partial(ctx.inputs[2]), _partial(ctx.inputs[3]), **masks)


def strided_slice_shape(
    shape: TensorShape, begin: list[int | None] | None, end: list[int | None] | None, strides: list[int | None] | None,
    begin_mask: int, end_mask: int, ellipsis_mask: int, new_axis_mask: int, shrink_axis_mask: int,
) -> TensorShape:  # fmt: skip
    """The static shape of a strided slice whose bounds may be partly known."""
    length = next((len(v) for v in (begin, end, strides) if v is not None), None)
    if length is None:
        return unknown_shape()
    begin, end, strides = (v if v is not None else [None] * length for v in (begin, end, strides))
    taken = sum(1 for i in range(length) if not (ellipsis_mask | new_axis_mask) >> i & 1)
    rank = shape.rank
    if rank is not None and taken > rank:
        raise ShapeError(f"Index out of range using input dim {rank}; input has only {rank} dims: strided slice of {shape} with {taken} indices")
    if rank is None:
        return unknown_shape()
    dims = shape.as_list()
    out: list[int | None] = []
    axis = 0
    for i in range(length):
        bit = 1 << i
        if ellipsis_mask & bit:
            out.extend(dims[axis : axis + rank - taken])
            axis += rank - taken
        elif new_axis_mask & bit:
            out.append(1)
        elif shrink_axis_mask & bit:
            place, size = begin[i], dims[axis]
            if place is not None and size is not None and not -size <= place < size:
                raise ShapeError(f"slice index {place} of dimension {axis} out of bounds: strided slice of {shape}")
            axis += 1
        else:
            out.append(_slice_size(dims[axis], begin[i], end[i], strides[i], bool(begin_mask & bit), bool(end_mask & bit)))
            axis += 1
    return TensorShape([*out, *dims[axis:]])


def _slice_size(size: int | None, begin: int | None, end: int | None, stride: int | None, open_begin: bool, open_end: bool) -> int | None:
    if stride is None or (begin is None and not open_begin) or (end is None and not open_end):
        return None
    if stride == 0:
        raise ShapeError("strided slice: strides must be non-zero, received 0")
    b, e = None if open_begin else begin, None if open_end else end
    if size is not None:
        return len(range(*slice(b, e, stride).indices(size)))
    # both bounds on the same side may still tell nothing: the axis could be shorter than them
    if b is not None and e is not None and (b >= 0) == (e >= 0) and ((e <= b) if stride > 0 else (e >= b)):
        return 0
    if stride > 0 and e is not None and (b is None or b == 0) and e == 0:
        return 0
    return None


@strided_op.kernel
def _(
    x: Any, begin: np.ndarray, end: np.ndarray, strides: np.ndarray, *, begin_mask: int, end_mask: int, ellipsis_mask: int,
    new_axis_mask: int, shrink_axis_mask: int,
) -> Any:  # fmt: skip
    x = as_array(x)
    index = _index_of(x.shape, begin, end, strides, begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    if Ellipsis not in index:
        index = (*index, Ellipsis)  # keeps the result an array where all axes shrink
    return unwrap(x[index])


def _masks_of(node: Any) -> dict[str, int]:
    return {k: node.attr(k) or 0 for k in ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")}


@strided_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, begin, end, strides = node.inputs
    if begin.dtype == dtypes.int16:
        begin, end, strides = (tf.cast(v, dtypes.int32) for v in (begin, end, strides))
    shape = tf.shape(x, out_type=begin.dtype)
    return raw.StridedSliceGrad(shape, begin, end, strides, grad, **_masks_of(node)), None, None, None


strided_grad_op = op(
    "StridedSliceGrad(shape: Index, begin: Index, end: Index, strides: Index, dy: T) -> (output: T); T: type; Index: {int32, int64}; " + _MASKS
)
strided_grad_op.infer(infer.shape_from_input(0))


@strided_grad_op.kernel
def _(
    shape: np.ndarray, begin: np.ndarray, end: np.ndarray, strides: np.ndarray, dy: Any, *, begin_mask: int, end_mask: int,
    ellipsis_mask: int, new_axis_mask: int, shrink_axis_mask: int,
) -> Any:  # fmt: skip
    dims = shape.tolist()
    index = _index_of(dims, begin, end, strides, begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    dy = as_array(dy)
    out = np.zeros(dims, dy.dtype)
    if out[(*index, Ellipsis) if Ellipsis not in index else index].shape != dy.shape:
        raise InvalidArgumentError(f"StridedSliceGrad: shape of dy was {list(dy.shape)} instead of the shape of the slice of {dims}")
    out[index] = dy
    return out


@strided_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    _, begin, end, strides, _ = node.inputs
    return None, None, None, None, raw.StridedSlice(grad, begin, end, strides, **_masks_of(node))


strided_update_op = op(
    "TensorStridedSliceUpdate(input: T, begin: Index, end: Index, strides: Index, value: T) -> (output: T); T: type; "
    "Index: {int32, int64}; " + _MASKS
)
strided_update_op.infer(infer.unchanged)


@strided_update_op.kernel
def _(
    x: np.ndarray, begin: np.ndarray, end: np.ndarray, strides: np.ndarray, value: Any, *, begin_mask: int, end_mask: int,
    ellipsis_mask: int, new_axis_mask: int, shrink_axis_mask: int,
) -> Any:  # fmt: skip
    out = np.array(x)
    index = _index_of(out.shape, begin, end, strides, begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    out[index] = value
    return out


@strided_update_op.gradient
def _(node: Any, grad: Any) -> Any:
    from tracer.gradient_rules import unbroadcast

    _, begin, end, strides, value = node.inputs
    masks = _masks_of(node)
    cleared = raw.TensorStridedSliceUpdate(grad, begin, end, strides, tf.zeros_like(value), **masks)
    taken = raw.StridedSlice(grad, begin, end, strides, **masks)
    return cleared, None, None, None, unbroadcast(taken, value)


# -- public functions ------------------------------------------------------------------------------------------------


@public("slice")
def slice_(input_: Any, begin: Any, size: Any, name: str | None = None) -> Any:
    """The part of `input_` that starts at `begin` and has `size` (-1: up to the end)."""
    x = convert_to_tensor(input_)
    begin = begin if isinstance(begin, Tensor) else convert_to_tensor(begin, _index_dtype(begin, size))
    size = size if isinstance(size, Tensor) else convert_to_tensor(size, begin.dtype)
    if begin.dtype != size.dtype:
        begin, size = tf.cast(begin, dtypes.int64), tf.cast(size, dtypes.int64)
    if begin.shape.rank == 0:
        begin, size = tf.reshape(begin, [1]), tf.reshape(size, [1])
    return raw.Slice(x, begin, size, name=name)


def _index_dtype(begin: Any, size: Any) -> Any:
    if isinstance(size, Tensor):
        return size.dtype
    items = begin if isinstance(begin, (list, tuple)) else [begin]
    if any(hasattr(v, "dtype") for v in items):
        return None
    return dtypes.int32


@public("strided_slice")
def strided_slice(
    input_: Any, begin: Any, end: Any, strides: Any = None, begin_mask: int = 0, end_mask: int = 0, ellipsis_mask: int = 0,
    new_axis_mask: int = 0, shrink_axis_mask: int = 0, var: Any = None, name: str | None = None,
) -> Any:  # fmt: skip
    """The elements of `input_` from `begin` up to `end` in steps of `strides` (1); a mask's bit i changes what entry i means."""
    begin = convert_to_tensor(begin)
    end = convert_to_tensor(end, begin.dtype) if not isinstance(end, Tensor) else end
    if strides is None:
        strides = tf.ones_like(begin)
    return raw.StridedSlice(
        convert_to_tensor(input_), begin, end, strides, begin_mask=begin_mask, end_mask=end_mask, ellipsis_mask=ellipsis_mask,
        new_axis_mask=new_axis_mask, shrink_axis_mask=shrink_axis_mask, name=name,
    )  # fmt: skip
