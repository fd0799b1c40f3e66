"""Joining and cutting along an axis: Pack, Concat, Split, Tile and their inverses. Slices with bounds live in slice.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.object_arrays import as_array, stack_values, unwrap
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []

# -- Pack, Unpack ----------------------------------------------------------------------------------------------------

pack_op = op("Pack(values: N * T) -> (output: T); N: int >= 1; T: type; axis: int = 0")


def _merged(ctx: Any, count: int, what: str) -> TensorShape:
    shape = ctx.shape(0)
    for i in range(1, count):
        try:
            shape = shape.merge_with(ctx.shape(i))
        except ValueError:
            raise ShapeError(f"Shapes must be equal: {what} received {ctx.shape(0)} and {ctx.shape(i)} for inputs 0 and {i}") from None
    return shape


@pack_op.infer
def _(ctx: Any) -> Any:
    shape = _merged(ctx, len(ctx), "Pack")
    if ctx.handle(0) is not None:
        ctx.handle_data[0] = ctx.handle(0)
    if shape.rank is None:
        return unknown_shape()
    axis = ctx.attr("axis")
    if not -shape.rank - 1 <= axis <= shape.rank:
        raise ShapeError(f"Pack: axis = {axis} not in [{-shape.rank - 1}, {shape.rank + 1})")
    dims = shape.as_list()
    dims.insert(axis % (shape.rank + 1), len(ctx))
    return TensorShape(dims)


@pack_op.kernel
def _(*xs: Any, axis: int) -> Any:
    try:
        if not isinstance(xs[0], np.ndarray):
            return stack_values(xs, axis)
        if xs[0].ndim == 0 and axis in (0, -1):
            # scalars: by far the most frequent use (shape vectors)
            out = np.empty(len(xs), xs[0].dtype)
            for i, x in enumerate(xs):
                if x.ndim:
                    raise ValueError("shapes differ")
                out[i] = x[()]
            return out
        return np.stack(xs, axis)
    except ValueError:
        first = as_array(xs[0]).shape
        for i, x in enumerate(xs):
            if as_array(x).shape != first:
                raise InvalidArgumentError(
                    f"Shapes of all inputs must match: values[0].shape = {list(first)} != values[{i}].shape = {list(as_array(x).shape)}"
                ) from None
        raise


@pack_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Unpack(grad, num=len(node.inputs), axis=node.attr("axis") or 0)


unpack_op = op("Unpack(value: T) -> (output: num * T); num: int >= 0; T: type; axis: int = 0")


@unpack_op.infer
def _(ctx: Any) -> Any:
    shape, axis, num = ctx.shape(0), ctx.attr("axis"), ctx.attr("num")
    if ctx.handle(0) is not None:
        ctx.handle_data.update(dict.fromkeys(range(num), ctx.handle(0)))
    if shape.rank is None:
        return [unknown_shape()] * num
    if not -shape.rank <= axis < shape.rank:
        raise ShapeError(f"Unpack: axis = {axis} not in [{-shape.rank}, {shape.rank})")
    dims = shape.as_list()
    size = dims.pop(axis)
    if size not in (None, num):
        raise ShapeError(f"Unpack: Dimension must be {size} but is {num}: expected attr num to be the size of axis {axis} of {shape}")
    return [TensorShape(dims)] * num


@unpack_op.kernel
def _(x: np.ndarray, *, num: int, axis: int) -> Any:
    if not -x.ndim <= axis < x.ndim:
        raise InvalidArgumentError(f"axis = {axis} not in [{-x.ndim}, {x.ndim})")
    if x.shape[axis] != num:
        raise InvalidArgumentError(f"Input shape axis {axis % x.ndim} must equal {num}, got shape {list(x.shape)}")
    if axis % x.ndim:
        x = np.moveaxis(x, axis, 0)
    if x.ndim > 1:
        return list(x)
    if x.dtype.kind == "O":
        return [unwrap(as_array(v)) for v in x]
    return [x[i, ...] for i in range(num)]


@unpack_op.gradient
def _(node: Any, *grads: Any) -> Any:
    return raw.Pack(list(grads), axis=node.attr("axis") or 0)


# -- Concat ----------------------------------------------------------------------------------------------------------


def _concat_shape(ctx: Any, first: int, count: int, axis_input: int) -> Any:
    shapes = [ctx.shape(i) for i in range(first, first + count)]
    axis = ctx.value(axis_input)
    known = next((s for s in shapes if s.rank is not None), None)
    if known is None:
        return unknown_shape()
    for s in shapes:
        if s.rank not in (None, known.rank):
            raise ShapeError(f"Concat: Shapes must be equal rank, but are {known.rank} and {s.rank}: received {known} and {s}")
    if axis is None:
        return unknown_shape(known.rank)
    place = int(axis)
    if known.rank == 0 or not -known.rank <= place < known.rank:
        raise ShapeError(f"Concat: Expected concatenating dimensions in the range [{-known.rank}, {known.rank}), but got {place}")
    place %= known.rank
    out: list[int | None] = [None] * known.rank
    total: int | None = 0
    for s in shapes:
        if s.rank is None:
            total = None
            continue
        dims = s.as_list()
        total = None if total is None or dims[place] is None else total + dims[place]
        for i, d in enumerate(dims):
            if i != place and d is not None:
                if out[i] not in (None, d):
                    raise ShapeError(
                        f"Dimension {i} in both shapes must be equal, but are {out[i]} and {d}: Concat along axis {place} of "
                        f"{' and '.join(map(str, shapes))}"
                    )
                out[i] = d
    out[place] = total
    return TensorShape(out)


def _concat(values: Sequence[Any], axis: np.ndarray) -> np.ndarray:
    if axis.size != 1:
        raise InvalidArgumentError(f"ConcatOp : Expected the axis to be a scalar, received shape {list(axis.shape)}")
    place = int(axis.reshape(())[()])
    rank = values[0].ndim
    if not -rank <= place < rank:
        raise InvalidArgumentError(f"ConcatOp : Expected concatenating dimensions in the range [{-rank}, {rank}), but got {place}")
    try:
        return np.concatenate(values, place)
    except ValueError:
        first = values[0].shape
        for i, v in enumerate(values):
            if v.ndim != rank:
                raise InvalidArgumentError(
                    f"ConcatOp : Ranks of all input tensors should match: shape[0] = {list(first)} vs. shape[{i}] = {list(v.shape)}"
                ) from None
            for d in range(rank):
                if d != place % rank and v.shape[d] != first[d]:
                    raise InvalidArgumentError(
                        f"ConcatOp : Dimension {d} in both shapes must be equal: shape[0] = {list(first)} vs. shape[{i}] = {list(v.shape)}"
                    ) from None
        raise


def _concat_grads(values: Sequence[Any], axis: Any, grad: Any) -> list[Any]:
    place = infer.constant_value(axis)
    sizes: list[Any] = []
    for v in values:
        known = None
        if place is not None and v.shape.rank is not None:
            known = v.shape[int(place) % v.shape.rank]
        sizes.append(known)
    if all(s is not None for s in sizes):
        lengths: Any = np.array(sizes, np.int64)
    else:
        lengths = tf.stack([tf.shape(v, out_type=dtypes.int64)[axis] for v in values])
    return raw.SplitV(grad, lengths, tf.cast(axis, dtypes.int32), num_split=len(values))


concat_v2_op = op("ConcatV2(values: N * T, axis: Tidx) -> (output: T); N: int >= 2; T: type; Tidx: {int32, int64} = int32")
concat_v2_op.infer(lambda ctx: _concat_shape(ctx, 0, len(ctx) - 1, len(ctx) - 1))


@concat_v2_op.kernel
def _(*arrays: Any) -> Any:
    return _concat(arrays[:-1], arrays[-1])


@concat_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    return [*_concat_grads(node.inputs[:-1], node.inputs[-1], grad), None]


concat_op = op("Concat(concat_dim: int32, values: N * T) -> (output: T); N: int >= 2; T: type")
concat_op.infer(lambda ctx: _concat_shape(ctx, 1, len(ctx) - 1, 0))


@concat_op.kernel
def _(axis: np.ndarray, *values: Any) -> Any:
    return _concat(values, axis)


@concat_op.gradient
def _(node: Any, grad: Any) -> Any:
    return [None, *_concat_grads(node.inputs[1:], node.inputs[0], grad)]


offset_op = op(
    "ConcatOffset(concat_dim: int32, shape: N * shape_type) -> (offset: N * shape_type); N: int >= 2; shape_type: {int32, int64} = int32"
).not_differentiable()
offset_op.infer(lambda ctx: [ctx.shape(i) for i in range(1, len(ctx))])


@offset_op.kernel
def _(axis: np.ndarray, *shapes: np.ndarray) -> Any:
    rank = shapes[0].size
    place = int(axis)
    if not -rank <= place < rank:
        raise InvalidArgumentError(f"Concat dim is out of range: {place} vs. {rank}")
    place %= rank
    out, total = [], 0
    for i, s in enumerate(shapes):
        if s.size != rank or any(s[d] != shapes[0][d] for d in range(rank) if d != place):
            raise InvalidArgumentError(
                f"All dimensions except {place} must match. Input {i} has shape {s.tolist()} and doesn't match input 0 with shape {shapes[0].tolist()}."
            )
        offset = np.zeros(rank, s.dtype)
        offset[place] = total
        total += int(s[place])
        out.append(offset)
    return out


parallel_concat_op = op("ParallelConcat(values: N * T) -> (output: T); N: int >= 1; T: type; shape: shape")
parallel_concat_op.infer(infer.from_attr("shape"))
parallel_concat_op.kernel(lambda *xs: np.concatenate(xs, 0))

# -- Split -----------------------------------------------------------------------------------------------------------

split_op = op("Split(split_dim: int32, value: T) -> (output: num_split * T); num_split: int >= 1; T: type")


@split_op.infer
def _(ctx: Any) -> Any:
    shape, axis, n = ctx.shape(1), ctx.value(0), ctx.attr("num_split")
    if shape.rank is None or axis is None:
        return [unknown_shape(shape.rank)] * n
    place = _axis_in(int(axis), shape.rank, "split_dim")
    dims = shape.as_list()
    if dims[place] is not None:
        if dims[place] % n:  # type: ignore[operator]
            raise ShapeError(
                f"Dimension size must be evenly divisible by {n} but is {dims[place]}: Number of ways to split should evenly divide "
                f"the split dimension, for 'Split' of {shape} along axis {place}"
            )
        dims[place] //= n  # type: ignore[operator]
    return [TensorShape(dims)] * n


def _axis_in(axis: int, rank: int, name: str) -> int:
    if not -rank <= axis < rank:
        raise ShapeError(f"-input rank(-{rank}) <= {name} < input rank ({rank}), but got {axis}")
    return axis % rank


def _cut(x: np.ndarray, axis: int, sizes: Sequence[int]) -> list[np.ndarray]:
    out, start = [], 0
    before = (slice(None),) * axis
    for n in sizes:
        out.append(x[(*before, slice(start, start + n))])
        start += n
    return out


@split_op.kernel
def _(axis: np.ndarray, x: np.ndarray, *, num_split: int) -> Any:
    if axis.size != 1:
        raise InvalidArgumentError(f"split_dim_tensor must have exactly one element, received {axis.size}.")
    place = _axis_in(int(axis.reshape(())[()]), x.ndim, "split_dim")
    size = x.shape[place]
    if size % num_split:
        raise InvalidArgumentError(
            f"Number of ways to split should evenly divide the split dimension, but got split_dim {place} (size = {size}) and num_split {num_split}"
        )
    return _cut(x, place, [size // num_split] * num_split)


@split_op.gradient
def _(node: Any, *grads: Any) -> Any:
    return None, tf.concat(list(grads), node.inputs[0])


splitv_op = op(
    "SplitV(value: T, size_splits: Tlen, split_dim: int32) -> (output: num_split * T); num_split: int >= 1; T: type; "
    "Tlen: {int8, int32, int64} = int64"
)


@splitv_op.infer
def _(ctx: Any) -> Any:
    shape, axis, n, sizes = ctx.shape(0), ctx.value(2), ctx.attr("num_split"), ctx.value(1)
    if shape.rank is None or axis is None:
        return [unknown_shape(shape.rank)] * n
    place = _axis_in(int(axis), shape.rank, "split_dim")
    dims = shape.as_list()
    if sizes is None:
        parts: list[int | None] = [dims[place]] if n == 1 else [None] * n
    else:
        parts = [None if s < 0 else int(s) for s in sizes]
        if len(parts) != n:
            raise ShapeError(f"SplitV: size_splits must have {n} elements, received {len(parts)}")
        fixed = sum(p or 0 for p in parts)
        if dims[place] is not None:
            if parts.count(None) == 1:
                parts[parts.index(None)] = dims[place] - fixed  # type: ignore[operator]
            if (None not in parts and sum(parts) != dims[place]) or fixed > dims[place]:  # type: ignore[operator,arg-type]
                raise ShapeError(f"SplitV: can't split axis of size {dims[place]} into pieces of size {sizes.tolist()}")
    return [TensorShape([*dims[:place], p, *dims[place + 1 :]]) for p in parts]


@splitv_op.kernel
def _(x: np.ndarray, sizes: np.ndarray, axis: np.ndarray, *, num_split: int) -> Any:
    parts = sizes.tolist()
    if len(parts) != num_split or sizes.ndim != 1:
        raise InvalidArgumentError(
            f"size_splits must have {num_split} elements, received {parts}: shape of size_splits {list(sizes.shape)}"
        )
    place = _axis_in(int(axis.reshape(())[()]), x.ndim, "split_dim")
    size = x.shape[place]
    if parts.count(-1) > 1:
        raise InvalidArgumentError(f"There can only be one -1 in size_splits, received {parts}")
    fixed = sum(p for p in parts if p >= 0)
    if -1 in parts and fixed <= size:
        parts[parts.index(-1)] = size - fixed
        fixed = size
    if fixed != size or any(p < 0 for p in parts):
        raise InvalidArgumentError(
            f"Determined shape must either match input shape along split_dim exactly if fully specified, or be less than the size of the "
            f"input along split_dim if not fully specified.  Got: {fixed} for an axis of size {size}"
        )
    return _cut(x, place, parts)


@splitv_op.gradient
def _(node: Any, *grads: Any) -> Any:
    return tf.concat(list(grads), node.inputs[2]), None, None


# -- Tile ------------------------------------------------------------------------------------------------------------

tile_op = op("Tile(input: T, multiples: Tmultiples) -> (output: T); T: type; Tmultiples: {int32, int64} = int32")


@tile_op.infer
def _(ctx: Any) -> Any:
    shape, times = ctx.shape(0), ctx.value_as_shape(1)
    rank = shape.rank if shape.rank is not None else times.rank
    if times.rank is not None and shape.rank is not None and times.rank != shape.rank:
        raise ShapeError(f"Shape must be rank {times.rank} but is rank {shape.rank}: Tile of {shape} with {times.rank} multiples")
    if shape.rank is None or times.rank is None:
        return unknown_shape(rank)
    return TensorShape([0 if 0 in (d, m) else None if d is None or m is None else d * m for d, m in zip(shape, times)])


@tile_op.kernel
def _(x: Any, multiples: np.ndarray) -> Any:
    x = as_array(x)
    times = multiples.tolist()
    if len(times) != x.ndim:
        raise InvalidArgumentError(f"Expected multiples argument to be a vector of length {x.ndim} but got length {len(times)}")
    if any(m < 0 for m in times):
        raise InvalidArgumentError(f"Expected multiples[{[m < 0 for m in times].index(True)}] >= 0, but got {min(times)}")
    return unwrap(np.tile(x, times)) if times else unwrap(x)


@tile_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, multiples = node.inputs
    sizes = tf.cast(tf.shape(x), multiples.dtype)
    both = tf.reshape(tf.transpose(tf.stack([multiples, sizes])), [-1])
    axes = tf.range(0, tf.size(both), 2)
    return tf.reduce_sum(tf.reshape(grad, both), axes) if x.shape.rank != 0 else grad, None


tile_grad_op = op("TileGrad(input: T, multiples: int32) -> (output: T); T: type")
tile_grad_op.infer(lambda ctx: unknown_shape(ctx.rank(0)))


@tile_grad_op.kernel
def _(x: np.ndarray, multiples: np.ndarray) -> Any:
    dims: list[int] = []
    for size, m in zip(x.shape, multiples.tolist()):
        if m < 1 or size % m:
            raise InvalidArgumentError(f"TileGrad: sizes {list(x.shape)} are not multiples of {multiples.tolist()}")
        dims += [m, size // m]
    return x.reshape(dims).sum(axis=tuple(range(0, len(dims), 2)), dtype=x.dtype)


# -- public functions ------------------------------------------------------------------------------------------------


def _common_dtype(values: Sequence[Any]) -> Any:
    """The dtype that one tensor among `values` fixes for the bare Python values beside it."""
    for v in values:
        found = getattr(v, "dtype", None)
        if isinstance(found, dtypes.DType):
            return found.base_dtype
    return None


def _tensors(values: Any) -> list[Any]:
    fixed = _common_dtype(values)
    return [v if isinstance(v, Tensor) else convert_to_tensor(v, fixed) for v in values]


@public("stack")
def stack(values: Any, axis: int = 0, name: str = "stack") -> Any:
    """Tensors of one shape joined along a new axis."""
    if isinstance(values, Tensor):
        if axis == 0:
            return values
        values = tf.unstack(values)
    values = list(values) if not isinstance(values, np.ndarray) else values
    if isinstance(values, np.ndarray) or not any(hasattr(v, "dtype") and not isinstance(v, (np.ndarray, np.generic)) for v in values):
        if axis == 0 and not any(getattr(v, "_is_variable", False) for v in values):
            return convert_to_tensor(values, name=name)
    return raw.Pack(_tensors(values), axis=axis, name=name)


@public("parallel_stack")
def parallel_stack(values: Any, name: str = "parallel_stack") -> Any:
    """Tensors of one shape joined along a new first axis."""
    return raw.Pack(_tensors(values), axis=0, name=name)


@public("unstack")
def unstack(value: Any, num: int | None = None, axis: int = 0, name: str = "unstack") -> Any:
    """The slices of `value` along `axis`, as a list.

    Raises:
        ValueError: `num` is not given and the size of the axis is unknown.
    """
    value = convert_to_tensor(value)
    if num is None:
        rank = value.shape.rank
        if rank is not None and not -rank <= axis < rank:
            raise ShapeError(f"Argument `axis` = {axis} not in [{-rank}, {rank})")
        num = value.shape[axis] if rank is not None else None
        if num is None:
            raise InvalidArgumentError(f"Cannot infer argument `num` from shape {value.shape}")
    return raw.Unpack(value, num=num, axis=axis, name=name)


@public("concat")
def concat(values: Any, axis: Any, name: str = "concat") -> Any:
    """Tensors joined along the existing `axis`."""
    if isinstance(values, Tensor):
        values = [values]
    values = _tensors(list(values))
    axis = convert_to_tensor(axis)
    if axis.dtype not in (dtypes.int32, dtypes.int64):
        axis = tf.cast(axis, dtypes.int32)
    if axis.shape.rank not in (0, None):
        axis = tf.reshape(axis, [])
    if len(values) == 1:
        place = infer.constant_value(axis)
        rank = values[0].shape.rank
        if place is not None and rank is not None and not -rank <= int(place) < rank:
            raise ShapeError(f"concat: expected an axis in [{-rank}, {rank}), received {int(place)}")
        return tf.identity(values[0], name=name)
    return raw.ConcatV2(values, axis, name=name)


@public("split")
def split(value: Any, num_or_size_splits: Any, axis: Any = 0, num: int | None = None, name: str = "split") -> Any:
    """`value` cut along `axis` into equal parts (a number) or parts of given sizes (one may be -1).

    Raises:
        ValueError: the number of sizes is unknown and `num` is not given.
    """
    value = convert_to_tensor(value)
    if isinstance(num_or_size_splits, (int, np.integer)):
        return raw.Split(axis, value, num_split=int(num_or_size_splits), name=name)
    sizes = convert_to_tensor(num_or_size_splits)
    if sizes.shape.rank == 0:
        raise InvalidArgumentError(f"Rank-0 tensors are not supported as the num_or_size_splits argument to split. Argument provided: {num_or_size_splits}")
    if num is None:
        num = sizes.shape[0] if sizes.shape.rank == 1 else None
        if num is None:
            raise InvalidArgumentError(f"Cannot infer argument `num` from shape {num_or_size_splits}")
    return raw.SplitV(value, sizes, axis, num_split=num, name=name)


@public("tile")
def tile(input: Any, multiples: Any, name: str | None = None) -> Any:
    """`input` repeated `multiples[i]` times along each axis i."""
    return raw.Tile(convert_to_tensor(input), multiples, name=name)


@public("repeat")
def repeat(input: Any, repeats: Any, axis: Any = None, name: str | None = None) -> Any:
    """Each element of `input` repeated along `axis` (None: of the flattened input): one number, or one per element."""
    x = convert_to_tensor(input)
    repeats = convert_to_tensor(repeats)
    if repeats.dtype not in (dtypes.int32, dtypes.int64):
        repeats = tf.cast(repeats, dtypes.int32)
    if axis is None:
        x, axis = tf.reshape(x, [-1]), 0
    rank = x.shape.rank
    if rank is None:
        raise InvalidArgumentError("repeat: expected `input` of known rank, received an unknown rank; give it one with tf.ensure_shape")
    if rank == 0:
        x, rank = tf.expand_dims(x, 0), 1
    if not -rank <= axis < rank:
        raise InvalidArgumentError(f"Argument `axis` = {axis} not in [{-rank}, {rank})")
    axis %= rank
    if repeats.shape.rank == 0 or repeats.shape.num_elements() == 1:
        times = tf.reshape(repeats, [])
        expanded = tf.expand_dims(x, axis + 1)
        tiled = tf.tile(expanded, tf.stack([times if i == axis + 1 else tf.constant(1, times.dtype) for i in range(rank + 1)]))
        shape = tf.shape(x, out_type=times.dtype)
        out = tf.reshape(tiled, tf.concat([shape[:axis], tf.reshape(shape[axis] * times, [1]), shape[axis + 1 :]], 0))
        return out
    # one count per element: gather by the index that each output element comes from
    repeats = tf.broadcast_to(repeats, tf.reshape(tf.shape(x, out_type=dtypes.int64)[axis], [1]))
    ends = tf.cumsum(repeats)
    total = tf.reduce_sum(repeats)
    positions = tf.searchsorted(ends, tf.range(total, dtype=ends.dtype), side="right")
    return tf.gather(x, positions, axis=axis)


@public("meshgrid")
def meshgrid(*args: Any, **kwargs: Any) -> Any:
    """Coordinate tensors of the grid that vectors span; `indexing` is "xy" (the first two axes swapped) or "ij"."""
    indexing = kwargs.pop("indexing", "xy")
    kwargs.pop("name", None)
    if kwargs:
        raise TypeError(f"'{next(iter(kwargs))}' is an invalid keyword argument for this function")
    if indexing not in ("xy", "ij"):
        raise InvalidArgumentError(f"Argument `indexing` parameter must be either 'xy' or 'ij', got '{indexing}'")
    n = len(args)
    vectors = [convert_to_tensor(a) for a in args]
    out = [tf.reshape(v, [1] * i + [-1] + [1] * (n - i - 1)) for i, v in enumerate(vectors)]
    sizes = [tf.size(v) for v in vectors]
    if indexing == "xy" and n > 1:
        out[0] = tf.reshape(vectors[0], [1, -1] + [1] * (n - 2))
        out[1] = tf.reshape(vectors[1], [-1, 1] + [1] * (n - 2))
        sizes[0], sizes[1] = sizes[1], sizes[0]
    shape = tf.stack(sizes) if sizes else []
    return [tf.broadcast_to(o, shape) for o in out]
