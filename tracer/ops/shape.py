"""Shapes and views: what a tensor's shape is, and the same elements under another shape or order of axes. Padding lives in padding.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.object_arrays import as_array, shape_of_value, unwrap
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, as_shape, broadcast_shapes, unknown_shape
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []

# -- Shape, Size, Rank -----------------------------------------------------------------------------------------------

shape_op = op("Shape(input: T) -> (output: out_type); T: type; out_type: {int32, int64} = int32").not_differentiable()
shape_op.infer(lambda ctx: TensorShape([ctx.rank(0)]))
shape_op.kernel(lambda x, *, out_type: np.array(shape_of_value(x), out_type.numpy))

shape_n_op = op(
    "ShapeN(input: N * T) -> (output: N * out_type); N: int >= 1; T: type; out_type: {int32, int64} = int32"
).not_differentiable()
shape_n_op.infer(lambda ctx: [TensorShape([ctx.rank(i)]) for i in range(len(ctx))])


@shape_n_op.kernel
def _(*xs: Any, out_type: dtypes.DType) -> Any:
    return [np.array(shape_of_value(x), out_type.numpy) for x in xs]


size_op = op("Size(input: T) -> (output: out_type); T: type; out_type: {int32, int64} = int32").not_differentiable()
size_op.infer(infer.scalar)
size_op.kernel(lambda x, *, out_type: np.array(x.size if isinstance(x, np.ndarray) else 1, out_type.numpy))

rank_op = op("Rank(input: T) -> (output: int32); T: type").not_differentiable()
rank_op.infer(infer.scalar)
rank_op.kernel(lambda x: np.array(len(shape_of_value(x)), np.int32))

# -- Reshape, ExpandDims, Squeeze ------------------------------------------------------------------------------------

reshape_op = op("Reshape(tensor: T, shape: Tshape) -> (output: T); T: type; Tshape: {int32, int64} = int32")


@reshape_op.infer
def _(ctx: Any) -> Any:
    source = ctx.shape(0)
    given = ctx.value(1)
    if ctx.handle(0) is not None:
        ctx.handle_data[0] = ctx.handle(0)
    if given is not None:
        if given.ndim > 1:
            raise ShapeError(f"Reshape: expected a vector of sizes, received shape {list(given.shape)}")
        if (given == -1).sum() > 1:
            raise ShapeError(f"Reshape: only one size may be -1, received {given.tolist()}")
        if (given < -1).any():
            raise ShapeError(f"Reshape: Size {int(given.min())} must be non-negative, received {given.tolist()}")
        target = TensorShape([None if d < 0 else int(d) for d in np.ravel(given)])
    else:
        target = ctx.value_as_shape(1)
    if target.rank is None:
        return unknown_shape()
    total = source.num_elements()
    dims = target.as_list()
    if total is None:
        return _cancel_unknown(source, dims) if given is not None else target
    if None not in dims:
        if target.num_elements() != total:
            raise ShapeError(
                f"Cannot reshape a tensor with {total} elements to shape {dims} ({target.num_elements()} elements) for 'Reshape' "
                f"with input shape {source}"
            )
        return target
    if dims.count(None) == 1:
        rest = 1
        for d in dims:
            rest *= 1 if d is None else d
        if rest:
            if total % rest:
                raise ShapeError(f"Dimension size must be evenly divisible by {rest} but is {total} for 'Reshape' of {source} to {dims}")
            dims[dims.index(None)] = total // rest
    return TensorShape(dims)


def _cancel_unknown(source: TensorShape, dims: list[int | None]) -> TensorShape:
    """A -1 beside sizes that use up all but known ones of a source with a zero-size dimension is zero; else it stays unknown."""
    if source.rank is not None and 0 in source.as_list() and dims.count(None) == 1 and 0 not in dims:
        dims = [0 if d is None else d for d in dims]
    return TensorShape(dims)


@reshape_op.kernel
def _(x: Any, shape: np.ndarray) -> Any:
    dims = shape.tolist() if shape.ndim else [int(shape)]
    if not isinstance(x, np.ndarray):
        return unwrap(as_array(x).reshape(dims))
    try:
        out = x.reshape(dims)
    except ValueError:
        _explain_reshape(x, dims)
        raise
    return unwrap(out) if x.dtype.kind == "O" else out


def _explain_reshape(x: np.ndarray, dims: list[int]) -> None:
    if dims.count(-1) > 1:
        raise InvalidArgumentError(f"Only one input size may be -1, not both {dims.index(-1)} and {len(dims) - 1 - dims[::-1].index(-1)}")
    if any(d < -1 for d in dims):
        raise InvalidArgumentError(f"Size {dims.index(min(dims))} must be non-negative, not {min(dims)}")
    count = int(np.prod([d for d in dims if d >= 0], dtype=np.int64))
    if -1 in dims and count == 0:
        raise InvalidArgumentError(
            "reshape cannot infer the missing input size for an empty tensor unless all specified input sizes are non-zero"
        )
    if -1 in dims:
        raise InvalidArgumentError(f"Input to reshape is a tensor with {x.size} values, but the requested shape requires a multiple of {count}")
    raise InvalidArgumentError(f"Input to reshape is a tensor with {x.size} values, but the requested shape has {count}")


def _reshape_back(node: Any, grad: Any) -> Any:
    return tf.reshape(grad, tf.shape(node.inputs[0]))


@reshape_op.gradient
def _(node: Any, grad: Any) -> Any:
    return _reshape_back(node, grad), None


expand_op = op("ExpandDims(input: T, dim: Tdim) -> (output: T); T: type; Tdim: {int32, int64} = int32")


@expand_op.infer
def _(ctx: Any) -> Any:
    shape, axis = ctx.shape(0), ctx.value(1)
    if shape.rank is None:
        return unknown_shape()
    if axis is None:
        return unknown_shape(shape.rank + 1)
    place = _scalar_of(axis, "dim")
    if not -shape.rank - 1 <= place <= shape.rank:
        raise ShapeError(f"dim {place} not in the interval [{-shape.rank - 1}, {shape.rank}]. for 'ExpandDims'")
    dims = shape.as_list()
    dims.insert(place + shape.rank + 1 if place < 0 else place, 1)
    return TensorShape(dims)


def _scalar_of(value: np.ndarray, what: str) -> int:
    if value.size != 1:
        raise InvalidArgumentError(f"{what} must be a tensor with a single value, received shape {list(value.shape)}")
    return int(value.reshape(())[()])


@expand_op.kernel
def _(x: Any, axis: np.ndarray) -> Any:
    x = as_array(x)
    place = _scalar_of(axis, "'dim'")
    if not -x.ndim - 1 <= place <= x.ndim:
        raise InvalidArgumentError(f"Tried to expand dim index {place} for tensor with {x.ndim} dimensions.")
    dims = list(x.shape)
    dims.insert(place + x.ndim + 1 if place < 0 else place, 1)
    return x.reshape(dims)


@expand_op.gradient
def _(node: Any, grad: Any) -> Any:
    return _reshape_back(node, grad), None


squeeze_op = op("Squeeze(input: T) -> (output: T); T: type; squeeze_dims: list(int) >= 0 = []")


@squeeze_op.infer
def _(ctx: Any) -> Any:
    shape, axes = ctx.shape(0), ctx.attr("squeeze_dims")
    if shape.rank is None:
        return unknown_shape()
    dims = shape.as_list()
    if not axes:
        return TensorShape([d for d in dims if d != 1]) if None not in dims else unknown_shape()
    return TensorShape([d for i, d in enumerate(dims) if i not in _squeezed(dims, axes)])


def _squeezed(dims: Sequence[int | None], axes: Sequence[int]) -> set[int]:
    found = set()
    for a in axes:
        if not -len(dims) <= a < len(dims):
            raise ShapeError(f"Tried to squeeze dim index {a} for tensor with {len(dims)} dimensions.")
        place = a % len(dims)
        if dims[place] not in (1, None):
            raise ShapeError(f"Can not squeeze dim[{place}], expected a dimension of 1, got {dims[place]}")
        found.add(place)
    return found


@squeeze_op.kernel
def _(x: Any, *, squeeze_dims: list[int]) -> Any:
    x = as_array(x)
    dims = x.shape
    if squeeze_dims:
        drop = _squeezed(dims, squeeze_dims)
        out = x.reshape([d for i, d in enumerate(dims) if i not in drop])
    else:
        out = x.reshape([d for d in dims if d != 1])
    return unwrap(out)


@squeeze_op.gradient
def _(node: Any, grad: Any) -> Any:
    return _reshape_back(node, grad)


# -- Transpose -------------------------------------------------------------------------------------------------------


def _transposed_shape(ctx: Any) -> Any:
    shape, perm = ctx.shape(0), ctx.value(1)
    length = ctx.shape(1)[0] if ctx.shape(1).rank == 1 else None
    rank = shape.rank if shape.rank is not None else length
    if perm is None or shape.rank is None:
        return unknown_shape(rank)
    if perm.size != shape.rank:
        raise ShapeError(f"Dimension must be {shape.rank} but is {perm.size} for 'Transpose' of {shape} with perm {perm.tolist()}")
    dims = shape.as_list()
    if any(not -len(dims) <= p < len(dims) for p in perm):
        raise ShapeError(f"perm dim {perm.tolist()} is out of range of input rank {len(dims)}")
    return TensorShape([dims[p] for p in perm])


def _check_perm(x: np.ndarray, perm: np.ndarray) -> list[int]:
    axes = perm.tolist()
    if len(axes) != x.ndim:
        raise InvalidArgumentError(f"transpose expects a vector of size {x.ndim}. But input(1) is a vector of size {perm.size}")
    if len({a % x.ndim for a in axes}) != len(axes):
        missing = min(set(range(x.ndim)) - set(axes))
        raise InvalidArgumentError(f"{missing} is missing from {axes}")
    return axes


transpose_op = op("Transpose(x: T, perm: Tperm) -> (y: T); T: type; Tperm: {int32, int64} = int32")
transpose_op.infer(_transposed_shape)


@transpose_op.kernel
def _(x: Any, perm: np.ndarray) -> Any:
    if not isinstance(x, np.ndarray):
        return x
    return x.transpose(_check_perm(x, perm))


@transpose_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Transpose(grad, raw.InvertPermutation(node.inputs[1])), None


conj_transpose_op = op("ConjugateTranspose(x: T, perm: Tperm) -> (y: T); T: type; Tperm: {int32, int64} = int32")
conj_transpose_op.infer(_transposed_shape)


@conj_transpose_op.kernel
def _(x: np.ndarray, perm: np.ndarray) -> Any:
    out = x.transpose(_check_perm(x, perm))
    return np.conj(out) if out.dtype.kind == "c" else out


@conj_transpose_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.ConjugateTranspose(grad, raw.InvertPermutation(node.inputs[1])), None


invert_op = op("InvertPermutation(x: T) -> (y: T); T: {int32, int64} = int32").not_differentiable()
invert_op.infer(infer.unchanged)


@invert_op.kernel
def _(x: np.ndarray) -> np.ndarray:
    if x.ndim != 1:
        raise InvalidArgumentError(f"invert_permutation expects a 1D vector, received shape {list(x.shape)}")
    n = x.size
    out = np.full(n, -1, x.dtype)
    if n and (x.min() < 0 or x.max() >= n):
        bad = int(x[(x < 0) | (x >= n)][0])
        raise InvalidArgumentError(f"{bad} is not between 0 and {n}")
    out[x] = np.arange(n, dtype=x.dtype)
    if n and (out == -1).any():
        values, counts = np.unique(x, return_counts=True)
        raise InvalidArgumentError(f"{int(values[counts > 1][0])} is duplicated in the input.")
    return out


# -- broadcasting ----------------------------------------------------------------------------------------------------

broadcast_to_op = op("BroadcastTo(input: T, shape: Tidx) -> (output: T); T: type; Tidx: {int32, int64} = int32")


@broadcast_to_op.infer
def _(ctx: Any) -> Any:
    target = ctx.value_as_shape(1)
    source = ctx.shape(0)
    if target.rank is not None and source.rank is not None:
        if source.rank > target.rank:
            raise ShapeError(f"Input shape {source} has more dimensions than the shape {target} to broadcast to")
        for have, want in zip(reversed(source.as_list()), reversed(target.as_list())):
            if have not in (None, 1) and want is not None and have != want:
                raise ShapeError(f"Incompatible shapes: cannot broadcast {source} to {target}")
        # a size other than 1 survives
        lead = target.rank - source.rank
        dims = target.as_list()
        for i, have in enumerate(source):
            if dims[lead + i] is None and have not in (None, 1):
                dims[lead + i] = have
        return TensorShape(dims)
    return target


@broadcast_to_op.kernel
def _(x: Any, shape: np.ndarray) -> Any:
    dims = shape.tolist()
    x = as_array(x)
    try:
        return unwrap(np.broadcast_to(x, dims))
    except ValueError:
        raise InvalidArgumentError(f"Incompatible shapes: {list(x.shape)} vs. {dims}") from None


@broadcast_to_op.gradient
def _(node: Any, grad: Any) -> Any:
    from tracer.gradient_rules import unbroadcast

    return unbroadcast(grad, node.inputs[0]), None


broadcast_args_op = op("BroadcastArgs(s0: T, s1: T) -> (r0: T); T: {int32, int64} = int32")


@broadcast_args_op.infer
def _(ctx: Any) -> Any:
    sizes = [s[0] if s.rank == 1 else None for s in (ctx.shape(0), ctx.shape(1))]
    return unknown_shape(1) if None in sizes else TensorShape([max(sizes)])  # type: ignore[type-var]


@broadcast_args_op.kernel
def _(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    x, y = np.ravel(a).tolist(), np.ravel(b).tolist()
    rank = max(len(x), len(y))
    x, y = [1] * (rank - len(x)) + x, [1] * (rank - len(y)) + y
    out = []
    for p, q in zip(x, y):
        if p != q and 1 not in (p, q):
            raise InvalidArgumentError(f"Incompatible shapes for broadcasting: {a.tolist()} and {b.tolist()}")
        out.append(q if p == 1 else p)
    return np.array(out, a.dtype)


# -- public functions ------------------------------------------------------------------------------------------------


def _plain(x: Any) -> Any:
    """`x` as a tensor; only the static shape of sparse tensors is asked for, so they pass as they are."""
    return x if isinstance(x, Tensor) else convert_to_tensor(x)


@public("shape")
def shape(input: Any, out_type: Any = None, name: str | None = None) -> Any:
    """The shape of `input` as a vector of `out_type` (int32); a constant where it is known while tracing."""
    out_type = dtypes.int32 if out_type is None else as_dtype(out_type)
    if hasattr(input, "dense_shape") and hasattr(input, "indices"):
        return tf.cast(input.dense_shape, out_type)
    x = _plain(input)
    static = x.shape
    if static.is_fully_defined():
        return convert_to_tensor(np.array(static.as_list(), out_type.numpy), name=name)
    return raw.Shape(x, out_type=out_type, name=name)


@public("shape_n")
def shape_n(input: Any, out_type: Any = dtypes.int32, name: str | None = None) -> Any:
    """The shapes of several tensors."""
    return raw.ShapeN([_plain(x) for x in input], out_type=out_type, name=name)


@public("size")
def size(input: Any, out_type: Any = None, name: str | None = None) -> Any:
    """The number of elements of `input` as a scalar of `out_type` (int32)."""
    out_type = dtypes.int32 if out_type is None else as_dtype(out_type)
    if hasattr(input, "dense_shape") and hasattr(input, "indices"):
        return tf.reduce_prod(tf.cast(input.dense_shape, out_type))
    x = _plain(input)
    count = x.shape.num_elements()
    if count is not None:
        return convert_to_tensor(np.array(count, out_type.numpy), name=name)
    return raw.Size(x, out_type=out_type, name=name)


@public("rank")
def rank(input: Any, name: str | None = None) -> Any:
    """The number of dimensions of `input` as an int32 scalar."""
    if hasattr(input, "dense_shape") and hasattr(input, "indices"):
        return tf.size(input.dense_shape)
    x = _plain(input)
    if x.shape.rank is not None:
        return convert_to_tensor(np.array(x.shape.rank, np.int32), name=name)
    return raw.Rank(x, name=name)


def _size_vector(shape: Any) -> Any:
    """A shape argument as a vector: TensorShape (None: -1), number, sequence with tensors among the sizes, tensor."""
    if isinstance(shape, TensorShape):
        shape = [-1 if d is None else d for d in shape.as_list()]
    if isinstance(shape, (list, tuple)):
        if any(d is None for d in shape):
            shape = [-1 if d is None else d for d in shape]
        if not shape:
            return convert_to_tensor(np.zeros(0, np.int32))
        if any(isinstance(d, Tensor) and d.dtype == dtypes.int64 for d in shape) and any(
            isinstance(d, Tensor) and d.dtype == dtypes.int32 for d in shape
        ):
            shape = [tf.cast(d, dtypes.int64) for d in shape]
    out = convert_to_tensor(shape)
    if out.dtype in (dtypes.int8, dtypes.int16, dtypes.uint8, dtypes.uint16):
        out = tf.cast(out, dtypes.int32)
    return out


@public("reshape")
def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    """The elements of `tensor` in row-major order under `shape`; one size may be -1."""
    return raw.Reshape(convert_to_tensor(tensor), _size_vector(shape), name=name)


@public("expand_dims")
def expand_dims(input: Any, axis: Any, name: str | None = None) -> Any:
    """`input` with a new axis of size 1 at `axis`."""
    return raw.ExpandDims(convert_to_tensor(input), axis, name=name)


@public("squeeze")
def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """`input` without its axes of size 1, or without those in `axis`."""
    axes = [] if axis is None else [int(axis)] if np.isscalar(axis) or np.ndim(axis) == 0 else [int(a) for a in axis]
    return raw.Squeeze(convert_to_tensor(input), squeeze_dims=axes, name=name)


@public("transpose")
def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: str = "transpose") -> Any:
    """`a` with its axes in the order `perm` (default: reversed), conjugated where asked."""
    a = convert_to_tensor(a)
    which = raw.ConjugateTranspose if conjugate and a.dtype.is_complex else raw.Transpose
    if perm is None:
        if a.shape.rank is not None:
            perm = np.arange(a.shape.rank - 1, -1, -1, dtype=np.int32)
        else:
            perm = raw.Rank(a) - 1 - tf.range(raw.Rank(a))
    return which(a, perm, name=name)


@public("broadcast_to")
def broadcast_to(input: Any, shape: Any, name: str | None = None) -> Any:
    """`input` repeated along its axes of size 1 (and new leading axes) to have `shape`."""
    return raw.BroadcastTo(convert_to_tensor(input), _size_vector(shape), name=name)


@public("broadcast_dynamic_shape")
def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Any:
    """The shape of broadcasting tensors of two shapes, given as vectors."""
    x = convert_to_tensor(shape_x)
    return raw.BroadcastArgs(x, convert_to_tensor(shape_y, x.dtype) if not isinstance(shape_y, Tensor) else tf.cast(shape_y, x.dtype))


@public("broadcast_static_shape")
def broadcast_static_shape(shape_x: Any, shape_y: Any) -> TensorShape:
    """The static shape of broadcasting tensors of two static shapes."""
    return broadcast_shapes([as_shape(shape_x), as_shape(shape_y)])


@public("math.invert_permutation")
def invert_permutation(x: Any, name: str | None = None) -> Any:
    """The inverse of a permutation of 0..n-1."""
    return raw.InvertPermutation(x, name=name)


@public("linalg.matrix_transpose")
def matrix_transpose(a: Any, name: str = "matrix_transpose", conjugate: bool = False) -> Any:
    """The last two axes of `a` swapped."""
    a = convert_to_tensor(a)
    rank = a.shape.rank
    if rank is None:
        n = raw.Rank(a)
        perm = tf.concat([tf.range(n - 2), tf.stack([n - 1, n - 2])], 0)
    else:
        if rank < 2:
            raise ShapeError(f"Argument `a` should be a (batch) matrix with rank >= 2.  Received `a` = {a!r} with shape: {a.shape}")
        perm = [*range(rank - 2), rank - 1, rank - 2]
    return transpose(a, perm, conjugate=conjugate, name=name)
