"""Elements moved to other places: Reverse, Roll, ReverseSequence, space/batch/depth. Transposes live in shape.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []

# -- Reverse ---------------------------------------------------------------------------------------------------------

_REVERSIBLE = "uint8, int8, uint16, int16, {}, bool, bfloat16, half, float, double, complex64, complex128, string"

reverse_op = op(f"Reverse(tensor: T, dims: bool) -> (output: T); T: {{{_REVERSIBLE.format('uint32, int32, uint64, int64')}}}")
reverse_op.infer(infer.unchanged)


@reverse_op.kernel
def _(x: np.ndarray, dims: np.ndarray) -> np.ndarray:
    if dims.size != x.ndim:
        raise InvalidArgumentError(f"'dims' must be a 1-dimensional bool vector of length {x.ndim}, received shape {list(dims.shape)}")
    return np.flip(x, tuple(int(i) for i in np.flatnonzero(dims)))


@reverse_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Reverse(grad, node.inputs[1]), None


reverse_v2_op = op(
    f"ReverseV2(tensor: T, axis: Tidx) -> (output: T); Tidx: {{int32, int64}} = int32; T: {{{_REVERSIBLE.format('int32, uint32, int64, uint64')}}}"
)


@reverse_v2_op.infer
def _(ctx: Any) -> Any:
    rank, axes = ctx.rank(0), ctx.value(1)
    if rank is not None and axes is not None:
        _reversed_axes(axes, rank)
    return ctx.shape(0)


def _reversed_axes(axes: np.ndarray, rank: int) -> tuple[int, ...]:
    out = []
    for i, a in enumerate(np.ravel(axes).tolist()):
        if not -rank <= a < rank:
            raise ShapeError(f"'axis'[{i}] = {a} is out of valid range [{-rank}, {rank - 1}]")
        if a % rank in out:
            raise ShapeError(f"axis {a % rank} specified more than once.")
        out.append(a % rank)
    return tuple(out)


@reverse_v2_op.kernel
def _(x: np.ndarray, axis: np.ndarray) -> np.ndarray:
    return np.flip(x, _reversed_axes(axis, x.ndim))


@reverse_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.ReverseV2(grad, node.inputs[1]), None


sequence_op = op(
    "ReverseSequence(input: T, seq_lengths: Tlen) -> (output: T); seq_dim: int; batch_dim: int = 0; T: type; Tlen: {int32, int64} = int64"
)


@sequence_op.infer
def _(ctx: Any) -> Any:
    shape, lengths = ctx.shape(0), ctx.shape(1)
    if lengths.rank not in (None, 1):
        raise ShapeError(f"ReverseSequence: Shape must be rank 1 but is rank {lengths.rank} for seq_lengths")
    if shape.rank is not None:
        for name in ("seq_dim", "batch_dim"):
            if ctx.attr(name) >= shape.rank:
                raise ShapeError(f"{name} must be < input rank: {ctx.attr(name)} vs. {shape.rank}")
        if lengths.rank == 1 and lengths[0] is not None:
            dims = shape.as_list()
            batch = ctx.attr("batch_dim")
            dims[batch] = TensorShape([dims[batch]]).merge_with(lengths)[0]
            return TensorShape(dims)
    return shape


@sequence_op.kernel
def _(x: np.ndarray, lengths: np.ndarray, *, seq_dim: int, batch_dim: int) -> np.ndarray:
    for name, value in (("seq_dim", seq_dim), ("batch_dim", batch_dim)):
        if value >= x.ndim:
            raise InvalidArgumentError(f"{name} must be < input rank ( {value} vs. {x.ndim})")
    if seq_dim == batch_dim:
        raise InvalidArgumentError(f"batch_dim == seq_dim == {seq_dim}")
    if lengths.ndim != 1 or lengths.size != x.shape[batch_dim]:
        raise InvalidArgumentError(f"Length of seq_lengths != input.dims({batch_dim}), ({lengths.size} vs. {x.shape[batch_dim]})")
    size = x.shape[seq_dim]
    if lengths.size and (lengths.min() < 0 or lengths.max() > size):
        bad = int(np.flatnonzero((lengths < 0) | (lengths > size))[0])
        raise InvalidArgumentError(f"seq_lens({bad}) {f'> input.dims({seq_dim})' if lengths[bad] > size else '< 0'}")
    steps = np.arange(size)[None, :]
    place = np.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    moved = np.moveaxis(x, (batch_dim, seq_dim), (0, 1))
    out = moved[np.arange(lengths.size)[:, None], place]
    return np.moveaxis(out, (0, 1), (batch_dim, seq_dim))


@sequence_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.ReverseSequence(grad, node.inputs[1], seq_dim=node.attr("seq_dim"), batch_dim=node.attr("batch_dim") or 0), None


# -- Roll ------------------------------------------------------------------------------------------------------------

roll_op = op("Roll(input: T, shift: Tshift, axis: Taxis) -> (output: T); T: type; Tshift: {int32, int64}; Taxis: {int32, int64}")
roll_op.infer(infer.unchanged)


@roll_op.kernel
def _(x: np.ndarray, shift: np.ndarray, axis: np.ndarray) -> np.ndarray:
    if x.ndim < 1:
        raise InvalidArgumentError("input must be 1-D or higher")
    if shift.shape != axis.shape or shift.ndim > 1:
        raise InvalidArgumentError("shift and axis must have the same size")
    axes = np.ravel(axis).tolist()
    for a in axes:
        if not -x.ndim <= a < x.ndim:
            raise InvalidArgumentError(f"axis {a} is out of range")
    return np.roll(x, np.ravel(shift).tolist(), axes) if axes else x


@roll_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Roll(grad, -node.inputs[1], node.inputs[2]), None, None


# -- space and batch -------------------------------------------------------------------------------------------------


def _matrix_of_pairs(value: np.ndarray, count: int, name: str) -> list[list[int]]:
    if value.shape != (count, 2):
        raise InvalidArgumentError(f"{name} should have shape [{count}, 2] instead of {list(value.shape)}")
    if (value < 0).any():
        raise InvalidArgumentError(f"{name} must be non-negative, received {value.tolist()}")
    return value.tolist()


def _blocks(block: np.ndarray, rank: int) -> list[int]:
    if block.ndim != 1 or rank < 1 + block.size:
        raise InvalidArgumentError(f"input rank should be >= {1 + block.size} instead of {rank}")
    if (block < 1).any():
        raise InvalidArgumentError(f"block_shape must be positive, received {block.tolist()}")
    return block.tolist()


def _space_to_batch(x: np.ndarray, block: np.ndarray, paddings: np.ndarray) -> np.ndarray:
    sizes = _blocks(block, x.ndim)
    n = len(sizes)
    pads = _matrix_of_pairs(paddings, n, "paddings")
    if any(p != [0, 0] for p in pads):
        fill: Any = b"" if x.dtype == object else 0
        out = np.full([x.shape[0], *(d + b + a for d, (b, a) in zip(x.shape[1:], pads)), *x.shape[1 + n :]], fill, x.dtype)
        out[(slice(None), *(slice(b, b + d) for d, (b, _) in zip(x.shape[1:], pads)))] = x
        x = out
    dims: list[int] = [x.shape[0]]
    for i, s in enumerate(sizes):
        if x.shape[1 + i] % s:
            raise InvalidArgumentError(f"padded_shape[{i}]={x.shape[1 + i]} is not divisible by block_shape[{i}]={s}")
        dims += [x.shape[1 + i] // s, s]
    order = [*range(2, 2 * n + 1, 2), 0, *range(1, 2 * n, 2), *range(2 * n + 1, 2 * n + 1 + x.ndim - 1 - n)]
    moved = x.reshape(*dims, *x.shape[1 + n :]).transpose(order)
    batch = x.shape[0] * int(np.prod(sizes, dtype=np.int64))
    return moved.reshape(batch, *(x.shape[1 + i] // s for i, s in enumerate(sizes)), *x.shape[1 + n :])


def _batch_to_space(x: np.ndarray, block: np.ndarray, crops: np.ndarray) -> np.ndarray:
    sizes = _blocks(block, x.ndim)
    n = len(sizes)
    cut = _matrix_of_pairs(crops, n, "crops")
    total = int(np.prod(sizes, dtype=np.int64))
    if x.shape[0] % total:
        raise InvalidArgumentError(f"Input batch dimension ({x.shape[0]}) is not divisible by product of block sizes ({total})")
    batch = x.shape[0] // total
    order = [n]
    for i in range(n):
        order += [n + 1 + i, i]
    order += list(range(2 * n + 1, n + x.ndim))
    moved = x.reshape(*sizes, batch, *x.shape[1:]).transpose(order)
    out = moved.reshape(batch, *(d * s for d, s in zip(x.shape[1:], sizes)), *x.shape[1 + n :])
    for i, (b, a) in enumerate(cut):
        if b + a > out.shape[1 + i]:
            raise InvalidArgumentError(f"cropped_shape[{i}]={out.shape[1 + i] - b - a} must be non-negative")
    return out[(slice(None), *(slice(b, d - a) for d, (b, a) in zip(out.shape[1:], cut)))]


def _block_shape(shape: TensorShape, block: Any, pairs: Any, to_batch: bool, axes: int | None = None) -> TensorShape:
    """The shape after moving blocks; `axes` is the number of spatial axes where the block sizes themselves are unknown."""
    if shape.rank is None:
        return unknown_shape()
    if block is None:
        if axes is None or axes >= shape.rank:
            return unknown_shape(shape.rank)
        return TensorShape([None] * (axes + 1) + shape.as_list()[axes + 1 :])
    dims, total = shape.as_list(), int(np.prod(block, dtype=np.int64))
    if shape.rank < 1 + len(block):
        raise ShapeError(f"input rank should be >= {1 + len(block)} instead of {shape.rank}: received shape {shape}")
    if dims[0] is not None:
        if not to_batch and dims[0] % total:
            raise ShapeError(f"Dimension size must be evenly divisible by {total} but is {dims[0]}: batch of {shape}")
        dims[0] = dims[0] * total if to_batch else dims[0] // total
    for i, s in enumerate(int(b) for b in block):
        d = dims[1 + i]
        if d is None or pairs is None:
            dims[1 + i] = None
        elif to_batch:
            padded = d + int(pairs[i].sum())
            if padded % s:
                raise ShapeError(f"Dimension size must be evenly divisible by {s} but is {padded}: axis {1 + i} of {shape}")
            dims[1 + i] = padded // s
        else:
            dims[1 + i] = d * s - int(pairs[i].sum())
    return TensorShape(dims)


def _length(shape: TensorShape) -> int | None:
    return shape[0] if shape.rank == 1 else None


_ND = "T: type; Tblock_shape: {int32, int64} = int32"

to_batch_nd_op = op(f"SpaceToBatchND(input: T, block_shape: Tblock_shape, paddings: Tpaddings) -> (output: T); {_ND}; Tpaddings: {{int32, int64}} = int32")
to_batch_nd_op.infer(lambda ctx: _block_shape(ctx.shape(0), ctx.value(1), ctx.value(2), True, _length(ctx.shape(1))))
to_batch_nd_op.kernel(_space_to_batch)
to_batch_nd_op.gradient(lambda node, grad: (raw.BatchToSpaceND(grad, node.inputs[1], node.inputs[2]), None, None))

to_space_nd_op = op(f"BatchToSpaceND(input: T, block_shape: Tblock_shape, crops: Tcrops) -> (output: T); {_ND}; Tcrops: {{int32, int64}} = int32")
to_space_nd_op.infer(lambda ctx: _block_shape(ctx.shape(0), ctx.value(1), ctx.value(2), False, _length(ctx.shape(1))))
to_space_nd_op.kernel(_batch_to_space)
to_space_nd_op.gradient(lambda node, grad: (raw.SpaceToBatchND(grad, node.inputs[1], node.inputs[2]), None, None))

to_batch_op = op("SpaceToBatch(input: T, paddings: Tpaddings) -> (output: T); T: type; Tpaddings: {int32, int64} = int32; block_size: int >= 2")
to_batch_op.infer(lambda ctx: _block_shape(ctx.shape(0).with_rank(4), [ctx.attr("block_size")] * 2, ctx.value(1), True))
to_batch_op.kernel(lambda x, paddings, *, block_size: _space_to_batch(x, np.array([block_size] * 2), paddings))
to_batch_op.gradient(lambda node, grad: (raw.BatchToSpace(grad, node.inputs[1], block_size=node.attr("block_size")), None))

to_space_op = op("BatchToSpace(input: T, crops: Tidx) -> (output: T); T: type; block_size: int >= 2; Tidx: {int32, int64} = int32")
to_space_op.infer(lambda ctx: _block_shape(ctx.shape(0).with_rank(4), [ctx.attr("block_size")] * 2, ctx.value(1), False))
to_space_op.kernel(lambda x, crops, *, block_size: _batch_to_space(x, np.array([block_size] * 2), crops))
to_space_op.gradient(lambda node, grad: (raw.SpaceToBatch(grad, node.inputs[1], block_size=node.attr("block_size")), None))

# -- space and depth -------------------------------------------------------------------------------------------------


def _check_layout(x: np.ndarray, data_format: bytes) -> None:
    if data_format == b"NCHW_VECT_C":
        raise InvalidArgumentError("data_format NCHW_VECT_C (int8 on GPUs) is not supported: use NHWC or NCHW")
    if x.ndim != 4:
        raise InvalidArgumentError(f"Input rank should be 4 instead of: {x.ndim}")


def _space_to_depth(x: np.ndarray, *, block_size: int, data_format: bytes) -> np.ndarray:
    _check_layout(x, data_format)
    s = block_size
    h, w = x.shape[1:3] if data_format == b"NHWC" else x.shape[2:4]
    if h % s or w % s:
        raise InvalidArgumentError(f"Image width {w} and height {h} should be divisible by block_size: {s}")
    if data_format == b"NHWC":
        n, _, _, c = x.shape
        return x.reshape(n, h // s, s, w // s, s, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h // s, w // s, s * s * c)
    n, c = x.shape[:2]
    return x.reshape(n, c, h // s, s, w // s, s).transpose(0, 3, 5, 1, 2, 4).reshape(n, s * s * c, h // s, w // s)


def _depth_to_space(x: np.ndarray, *, block_size: int, data_format: bytes) -> np.ndarray:
    _check_layout(x, data_format)
    s = block_size
    depth = x.shape[3] if data_format == b"NHWC" else x.shape[1]
    if depth % (s * s):
        raise InvalidArgumentError(f"Input depth dimension {depth} should be divisible by: {s * s}")
    c = depth // (s * s)
    if data_format == b"NHWC":
        n, h, w, _ = x.shape
        return x.reshape(n, h, w, s, s, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h * s, w * s, c)
    n, _, h, w = x.shape
    return x.reshape(n, s, s, c, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c, h * s, w * s)


def _depth_shape(ctx: Any, to_depth: bool) -> Any:
    shape, s, layout = ctx.shape(0), ctx.attr("block_size"), ctx.attr("data_format")
    if shape.rank is None:
        return unknown_shape(4 if layout != b"NCHW_VECT_C" else 5)
    if layout == b"NCHW_VECT_C":
        return unknown_shape(shape.rank)
    shape.assert_has_rank(4)
    dims = shape.as_list()
    spatial, channel = ((1, 2), 3) if layout == b"NHWC" else ((2, 3), 1)
    for axis, factor, shrinks in (*((a, s, to_depth) for a in spatial), (channel, s * s, not to_depth)):
        d = dims[axis]
        if d is not None:
            if shrinks and d % factor:
                raise ShapeError(f"{ctx.schema.name}: Dimension size must be evenly divisible by {factor} but is {d}: axis {axis} of {shape}")
            dims[axis] = d // factor if shrinks else d * factor
    return TensorShape(dims)


_LAYOUT = "T: type; block_size: int >= 2; data_format: {'NHWC', 'NCHW', 'NCHW_VECT_C'} = 'NHWC'"

to_depth_op = op(f"SpaceToDepth(input: T) -> (output: T); {_LAYOUT}")
to_depth_op.infer(lambda ctx: _depth_shape(ctx, True))
to_depth_op.kernel(_space_to_depth)
to_depth_op.gradient(
    lambda node, grad: raw.DepthToSpace(grad, block_size=node.attr("block_size"), data_format=node.attr("data_format") or b"NHWC")
)

from_depth_op = op(f"DepthToSpace(input: T) -> (output: T); {_LAYOUT}")
from_depth_op.infer(lambda ctx: _depth_shape(ctx, False))
from_depth_op.kernel(_depth_to_space)
from_depth_op.gradient(
    lambda node, grad: raw.SpaceToDepth(grad, block_size=node.attr("block_size"), data_format=node.attr("data_format") or b"NHWC")
)

# -- data formats ----------------------------------------------------------------------------------------------------

_FORMATS = "T: {int32, int64} = int32; src_format: string = 'NHWC'; dst_format: string = 'NCHW'"


def _moves(src: bytes, dst: bytes) -> list[int]:
    """For each letter of `dst`, its place in `src`."""
    if sorted(src) != sorted(dst) or len(set(src)) != len(src):
        raise InvalidArgumentError(f"data formats: expected two orders of the same letters, received {src!r} and {dst!r}")
    return [src.index(c) for c in dst]


dim_map_op = op(f"DataFormatDimMap(x: T) -> (y: T); {_FORMATS}").not_differentiable()
dim_map_op.infer(infer.unchanged)


@dim_map_op.kernel
def _(x: np.ndarray, *, src_format: bytes, dst_format: bytes) -> np.ndarray:
    return np.argsort(_moves(src_format, dst_format)).astype(x.dtype)[x % len(src_format)]


vec_permute_op = op(f"DataFormatVecPermute(x: T) -> (y: T); {_FORMATS}").not_differentiable()
vec_permute_op.infer(infer.unchanged)


@vec_permute_op.kernel
def _(x: np.ndarray, *, src_format: bytes, dst_format: bytes) -> np.ndarray:
    if len(x) == len(src_format) - 2:  # spatial sizes only
        src_format, dst_format = (bytes(c for c in f if c not in b"NC") for f in (src_format, dst_format))
    if len(x) != len(src_format):
        raise InvalidArgumentError(f"1D input must be of size {len(src_format)}, but got shape {list(x.shape)}")
    return x[_moves(src_format, dst_format)]


# -- public functions ------------------------------------------------------------------------------------------------


@public("reverse")
def reverse(tensor: Any, axis: Any, name: str | None = None) -> Any:
    """`tensor` with the order of its elements along each axis in `axis` turned round."""
    axis = convert_to_tensor(np.array(axis, np.int32) if isinstance(axis, (list, tuple)) and not axis else axis)
    if axis.shape.rank == 0:
        axis = tf.reshape(axis, [1])
    return raw.ReverseV2(convert_to_tensor(tensor), axis, name=name)


@public("reverse_sequence")
def reverse_sequence(input: Any, seq_lengths: Any, seq_axis: Any = None, batch_axis: Any = None, name: str | None = None) -> Any:
    """For each entry along `batch_axis`, the first `seq_lengths[i]` elements along `seq_axis` turned round."""
    return raw.ReverseSequence(convert_to_tensor(input), seq_lengths, seq_dim=seq_axis, batch_dim=batch_axis or 0, name=name)


@public("roll")
def roll(input: Any, shift: Any, axis: Any, name: str | None = None) -> Any:
    """`input` shifted by `shift` places along `axis`; what leaves at the end comes in at the beginning."""
    return raw.Roll(convert_to_tensor(input), shift, axis, name=name)


@public("space_to_batch_nd")
def space_to_batch_nd(input: Any, block_shape: Any, paddings: Any, name: str | None = None) -> Any:
    """Blocks of the (padded) spatial axes moved into the batch axis."""
    return raw.SpaceToBatchND(convert_to_tensor(input), block_shape, paddings, name=name)


@public("space_to_batch", "nn.space_to_batch")
def space_to_batch(input: Any, block_shape: Any, paddings: Any, name: str | None = None) -> Any:
    """Blocks of the (padded) spatial axes moved into the batch axis."""
    return space_to_batch_nd(input, block_shape, paddings, name=name)


@public("batch_to_space")
def batch_to_space(input: Any, block_shape: Any, crops: Any, name: str | None = None) -> Any:
    """Blocks of the batch axis moved into the spatial axes, which are then cropped."""
    if isinstance(block_shape, int):
        block_shape = np.array([block_shape, block_shape], np.int64)
    return raw.BatchToSpaceND(convert_to_tensor(input), block_shape, crops, name=name)


@public("nn.space_to_depth")
def space_to_depth(input: Any, block_size: int, data_format: str = "NHWC", name: str | None = None) -> Any:
    """Square blocks of `block_size` moved into the channel axis."""
    return raw.SpaceToDepth(convert_to_tensor(input), block_size=block_size, data_format=data_format, name=name)


@public("nn.depth_to_space")
def depth_to_space(input: Any, block_size: int, data_format: str = "NHWC", name: str | None = None) -> Any:
    """Groups of channels moved into square blocks of `block_size`."""
    return raw.DepthToSpace(convert_to_tensor(input), block_size=block_size, data_format=data_format, name=name)


@public("required_space_to_batch_paddings")
def required_space_to_batch_paddings(input_shape: Any, block_shape: Any, base_paddings: Any = None, name: str | None = None) -> Any:
    """The paddings and crops that make `input_shape` divisible by `block_shape`, as two matrices of pairs."""
    block = convert_to_tensor(block_shape, dtypes.int32) if not isinstance(block_shape, Tensor) else block_shape
    shape = convert_to_tensor(input_shape, dtypes.int32) if not isinstance(input_shape, Tensor) else input_shape
    base = tf.zeros([block.shape[0], 2], dtypes.int32) if base_paddings is None else convert_to_tensor(base_paddings)
    start, end = base[:, 0], base[:, 1]
    extra = tf.math.floormod(block - tf.math.floormod(shape + start + end, block), block)
    paddings = tf.stack([start, end + extra], axis=1)
    return paddings, tf.stack([tf.zeros_like(extra), extra], axis=1)
