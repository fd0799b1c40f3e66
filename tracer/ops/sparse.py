"""Sparse tensors: records, kernels and gradients. The tf.sparse functions are in sparse_functions.py, crosses in feature_crosses.py.

A sparse tensor is three tensors: int64 indices [n, rank], values [n], int64 dense_shape [rank].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

NUMBERS = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, "
    "complex128, half, uint32, uint64}"
)
REAL = "{float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}"


def _sparse_shapes(rank: int | None, rows: int | None = None) -> list[TensorShape]:
    return [TensorShape([rows, rank]), TensorShape([rows]), TensorShape([rank])]


def _rank_of(ctx: Any, shape_input: int) -> int | None:
    shape = ctx.shape(shape_input)
    return shape[0] if shape.rank == 1 else None


def _linear(indices: np.ndarray, shape: np.ndarray, where: str) -> np.ndarray:
    """Row-major positions of index rows in a tensor of `shape`. Raises where an index lies outside."""
    if indices.ndim != 2 or indices.shape[1] != len(shape):
        raise ShapeError(f"{where}: expected indices [n, {len(shape)}], received shape {indices.shape}")
    if len(indices) and (indices.min() < 0 or (indices >= shape).any()):
        at = int(np.flatnonzero((indices < 0).any(1) | (indices >= shape).any(1))[0])
        raise InvalidArgumentError(f"{where}: indices[{at}] = {indices[at].tolist()} is out of bounds: need 0 <= index < {shape.tolist()}")
    return indices @ _strides(shape)


def _strides(shape: np.ndarray) -> np.ndarray:
    out = np.ones(len(shape), np.int64)
    if len(shape) > 1:
        out[:-1] = np.cumprod(shape[:0:-1].astype(np.int64))[::-1]
    return out


def _unlinear(positions: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return np.stack(np.unravel_index(positions, tuple(shape.tolist())), axis=1).astype(np.int64).reshape(len(positions), len(shape))


# -- to and from dense -----------------------------------------------------------------------------------------------

to_dense_op = op(
    "SparseToDense(sparse_indices: Tindices, output_shape: Tindices, sparse_values: T, default_value: T) -> (dense: T); "
    "validate_indices: bool = true; T: type; Tindices: {int32, int64}"
)
to_dense_op.infer(lambda ctx: ctx.value_as_shape(1))


@to_dense_op.kernel
def _(
    indices: np.ndarray, shape: np.ndarray, values: np.ndarray, default: np.ndarray, *, validate_indices: bool
) -> np.ndarray:
    if default.ndim:
        raise ShapeError(f"SparseToDense: default_value should be a scalar, received shape {default.shape}")
    table = indices.reshape(-1, 1) if indices.ndim < 2 else indices
    if values.ndim > 1 or (values.ndim == 1 and len(values) != len(table)):
        raise ShapeError(f"SparseToDense: sparse_values has incorrect shape {values.shape}, should be [] or [{len(table)}]")
    if shape.ndim != 1 or (shape < 0).any():
        raise ShapeError(f"SparseToDense: output_shape must be a vector of sizes, received {shape.tolist()}")
    at = _linear(table.astype(np.int64), shape.astype(np.int64), "SparseToDense")
    if validate_indices and len(at) > 1 and (np.diff(at) <= 0).any():
        i = int(np.flatnonzero(np.diff(at) <= 0)[0]) + 1
        what = "is repeated" if at[i] == at[i - 1] else "is out of order. Many sparse ops require sorted indices; use tf.sparse.reorder"
        raise InvalidArgumentError(f"SparseToDense: indices[{i}] = {table[i].tolist()} {what}")
    out = np.empty(math.prod(shape.tolist()), default.dtype)
    out[...] = default[()]
    out[at] = values
    return out.reshape(shape.tolist())


@to_dense_op.gradient
def _(node: Any, grad: Any) -> Any:
    indices, values = node.inputs[0], node.inputs[2]
    if indices.shape.rank in (0, 1):
        indices = raw.Reshape(tensor=indices, shape=[-1, 1])
    inner = raw.GatherNd(params=grad, indices=indices)
    total = tf.reduce_sum(grad) - tf.reduce_sum(inner)
    if values.shape.rank == 0:
        inner = tf.reduce_sum(inner)
    return [None, None, inner, total]


dense_add_op = op(
    f"SparseTensorDenseAdd(a_indices: Tindices, a_values: T, a_shape: Tindices, b: T) -> (output: T); T: {NUMBERS}; "
    "Tindices: {int32, int64}"
)
dense_add_op.infer(lambda ctx: ctx.shape(3))


@dense_add_op.kernel
def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, b: np.ndarray) -> np.ndarray:
    if tuple(shape.tolist()) != b.shape:
        raise ShapeError(f"SparseTensorDenseAdd: operands have shapes {shape.tolist()} and {list(b.shape)}; they must be equal")
    out = b.copy().reshape(-1)
    np.add.at(out, _linear(indices.astype(np.int64), shape.astype(np.int64), "SparseTensorDenseAdd"), values)
    return out.reshape(b.shape)


@dense_add_op.gradient
def _(node: Any, grad: Any) -> Any:
    return [None, raw.GatherNd(params=grad, indices=node.inputs[0]), None, grad]


# -- order and shape -------------------------------------------------------------------------------------------------

reorder_op = op(
    "SparseReorder(input_indices: int64, input_values: T, input_shape: int64) -> (output_indices: int64, output_values: T); "
    "T: type"
)
reorder_op.infer(lambda ctx: [ctx.shape(0), ctx.shape(1)])


def _order(indices: np.ndarray) -> np.ndarray:
    if indices.shape[1] == 0:
        return np.arange(len(indices))
    return np.lexsort(indices.T[::-1])


@reorder_op.kernel
def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray) -> Any:
    _linear(indices, shape, "SparseReorder")
    order = _order(indices)
    return indices[order], values[order]


@reorder_op.gradient
def _(node: Any, _: Any, grad: Any) -> Any:
    indices, _, shape = node.inputs
    count = raw.Shape(input=indices)[0]
    positions = raw.Range(start=0, limit=count, delta=1)
    ordered = raw.SparseReorder(input_indices=indices, input_values=positions, input_shape=shape)[1]
    return [None, raw.GatherV2(params=grad, indices=raw.InvertPermutation(x=ordered), axis=0), None]


reshape_op = op(
    "SparseReshape(input_indices: int64, input_shape: int64, new_shape: int64) -> (output_indices: int64, output_shape: int64)"
).not_differentiable()


@reshape_op.infer
def _(ctx: Any) -> Any:
    rank = _rank_of(ctx, 2)
    rows = ctx.shape(0)[0] if ctx.rank(0) == 2 else None
    return [TensorShape([rows, rank]), TensorShape([rank])]


@reshape_op.kernel
def _(indices: np.ndarray, shape: np.ndarray, new_shape: np.ndarray) -> Any:
    total = math.prod(shape.tolist())
    wanted = new_shape.tolist()
    if wanted.count(-1) > 1:
        raise InvalidArgumentError(f"SparseReshape: only one output dimension may be -1, received {wanted}")
    if any(d < -1 for d in wanted):
        raise InvalidArgumentError(f"SparseReshape: sizes must be >= -1, received {wanted}")
    known = math.prod(d for d in wanted if d != -1)
    if -1 in wanted:
        if known == 0 or total % known:
            raise InvalidArgumentError(f"SparseReshape: cannot infer the missing dimension of {wanted} from {total} elements")
        wanted[wanted.index(-1)] = total // known
    if math.prod(wanted) != total:
        raise InvalidArgumentError(f"Input to reshape is a tensor with {total} dense values, but the requested shape has {math.prod(wanted)}")
    out_shape = np.array(wanted, np.int64)
    if np.array_equal(out_shape, shape):
        return indices, out_shape
    at = _linear(indices, shape, "SparseReshape")
    if not len(at):
        return np.zeros((0, len(wanted)), np.int64), out_shape
    return _unlinear(at, out_shape), out_shape


concat_op = op(
    "SparseConcat(indices: N * int64, values: N * T, shapes: N * int64) -> (output_indices: int64, output_values: T, "
    "output_shape: int64); concat_dim: int; N: int >= 2; T: type"
).not_differentiable()


@concat_op.infer
def _(ctx: Any) -> Any:
    return _sparse_shapes(_rank_of(ctx, len(ctx) - 1))


@concat_op.kernel
def _(*inputs: np.ndarray, concat_dim: int) -> Any:
    count = len(inputs) // 3
    indices, values, shapes = inputs[:count], inputs[count : 2 * count], inputs[2 * count :]
    rank = len(shapes[0])
    if not -rank <= concat_dim < rank:
        raise InvalidArgumentError(f"SparseConcat: concat dimension must be in range [{-rank}, {rank}), got {concat_dim}")
    axis = concat_dim % rank
    out_shape = shapes[0].copy()
    moved, offset = [], 0
    for i, shape in zip(indices, shapes):
        if len(shape) != rank or any(shape[d] != out_shape[d] for d in range(rank) if d != axis):
            raise ShapeError(f"SparseConcat: input shapes {[s.tolist() for s in shapes]} must match except on axis {axis}")
        part = i.copy()
        part[:, axis] += offset
        offset += int(shape[axis])
        moved.append(part)
    out_shape[axis] = offset
    all_indices = np.concatenate(moved)
    order = _order(all_indices)
    return all_indices[order], np.concatenate(values)[order], out_shape


slice_op = op(
    "SparseSlice(indices: int64, values: T, shape: int64, start: int64, size: int64) -> (output_indices: int64, "
    "output_values: T, output_shape: int64); T: type"
)
slice_op.infer(lambda ctx: _sparse_shapes(_rank_of(ctx, 2)))


@slice_op.kernel
def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, start: np.ndarray, size: np.ndarray) -> Any:
    if start.shape != shape.shape or size.shape != shape.shape:
        raise ShapeError(f"SparseSlice: expected start and size of length {len(shape)}, received {start.shape} and {size.shape}")
    inside = ((indices >= start) & (indices < start + size)).all(1)
    return indices[inside] - start, values[inside], np.maximum(np.minimum(size, shape - start), 0)


@slice_op.gradient
def _(node: Any, _: Any, grad: Any, __: Any) -> Any:
    found = raw.SparseSliceGrad(
        backprop_val_grad=grad, input_indices=node.inputs[0], input_start=node.inputs[3], output_indices=node.outputs[0]
    )
    return [None, found, None, None, None]


slice_grad_op = op(
    "SparseSliceGrad(backprop_val_grad: T, input_indices: int64, input_start: int64, output_indices: int64) -> (val_grad: T); "
    f"T: {NUMBERS}"
)
slice_grad_op.infer(lambda ctx: TensorShape([ctx.shape(1)[0] if ctx.rank(1) == 2 else None]))


@slice_grad_op.kernel
def _(grad: np.ndarray, indices: np.ndarray, start: np.ndarray, output_indices: np.ndarray) -> np.ndarray:
    out = np.zeros(len(indices), grad.dtype)
    where = {tuple(i): n for n, i in enumerate((output_indices + start).tolist())}
    for n, i in enumerate(indices.tolist()):
        found = where.get(tuple(i))
        if found is not None:
            out[n] = grad[found]
    return out


split_op = op(
    "SparseSplit(split_dim: int64, indices: int64, values: T, shape: int64) -> (output_indices: num_split * int64, "
    "output_values: num_split * T, output_shape: num_split * int64); num_split: int >= 1; T: type"
).not_differentiable()


@split_op.infer
def _(ctx: Any) -> Any:
    count = ctx.attr("num_split")
    return [s for part in _sparse_shapes(_rank_of(ctx, 3)) for s in [part] * count]


@split_op.kernel
def _(axis: np.ndarray, indices: np.ndarray, values: np.ndarray, shape: np.ndarray, *, num_split: int) -> Any:
    rank = len(shape)
    dim = int(axis.reshape(-1)[0])
    if not -rank <= dim < rank:
        raise InvalidArgumentError(f"SparseSplit: split_dim must be in range [{-rank}, {rank}), got {dim}")
    dim %= rank
    size = int(shape[dim])
    if num_split > size:
        raise InvalidArgumentError(f"SparseSplit: num_split must be in the interval [1, {size}], got {num_split}")
    base, extra = divmod(size, num_split)
    parts, start = [], 0
    for i in range(num_split):
        length = base + (i < extra)
        inside = (indices[:, dim] >= start) & (indices[:, dim] < start + length)
        part = indices[inside].copy()
        part[:, dim] -= start
        part_shape = shape.copy()
        part_shape[dim] = length
        parts.append((part, values[inside], part_shape))
        start += length
    return [p[k] for k in range(3) for p in parts]


fill_op = op(
    "SparseFillEmptyRows(indices: int64, values: T, dense_shape: int64, default_value: T) -> (output_indices: int64, "
    "output_values: T, empty_row_indicator: bool, reverse_index_map: int64); T: type"
)


@fill_op.infer
def _(ctx: Any) -> Any:
    rows = ctx.value_as_shape(2)
    rank = _rank_of(ctx, 2)
    count = rows[0] if rows.rank else None
    entries = ctx.shape(1)[0] if ctx.rank(1) == 1 else None
    return [TensorShape([None, rank]), TensorShape([None]), TensorShape([count]), TensorShape([entries])]


@fill_op.kernel
def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, default: np.ndarray) -> Any:
    if default.ndim:
        raise ShapeError(f"SparseFillEmptyRows: default_value must be a scalar, received shape {default.shape}")
    if len(shape) == 0:
        raise ShapeError("SparseFillEmptyRows: dense_shape cannot be empty")
    rows = int(shape[0])
    at = indices[:, 0]
    if len(at) and (at.min() < 0 or at.max() >= rows):
        bad = int(np.flatnonzero((at < 0) | (at >= rows))[0])
        raise InvalidArgumentError(f"indices({bad}, 0) is invalid: {int(at[bad])} >= {rows}")
    empty = np.bincount(at, minlength=rows)[:rows] == 0
    missing = np.flatnonzero(empty)
    if not len(missing) and not (len(at) > 1 and (np.diff(at) < 0).any()):
        return indices, values, empty, np.arange(len(at), dtype=np.int64)
    filler = np.zeros((len(missing), indices.shape[1]), np.int64)
    filler[:, 0] = missing
    both = np.concatenate([indices, filler])
    fill_values = np.empty(len(missing), values.dtype)
    fill_values[...] = default[()]
    order = np.argsort(both[:, 0], kind="stable")
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    return both[order], np.concatenate([values, fill_values])[order], empty, position[: len(at)]


@fill_op.gradient
def _(node: Any, _: Any, grad: Any, __: Any, ___: Any) -> Any:
    found = raw.SparseFillEmptyRowsGrad(reverse_index_map=node.outputs[3], grad_values=grad)
    return [None, found[0], None, found[1]]


def _fill_grad(reverse: np.ndarray, grad: np.ndarray) -> Any:
    if len(reverse) and (reverse.min() < 0 or reverse.max() >= len(grad)):
        raise InvalidArgumentError(f"Elements in reverse index must be in [0, {len(grad)}), got {reverse.tolist()[:8]}")
    rest = np.ones(len(grad), bool)
    rest[reverse] = False
    return grad[reverse], np.asarray(grad[rest].sum(), grad.dtype)


def _fill_grad_rule(ctx: Any) -> Any:
    return [ctx.shape(0), TensorShape([])]


for _name in ("SparseFillEmptyRowsGrad", "RaggedFillEmptyRowsGrad"):
    _record = op(f"{_name}(reverse_index_map: int64, grad_values: T) -> (d_values: T, d_default_value: T); T: type")
    _record.infer(_fill_grad_rule)
    _record.kernel(_fill_grad)

# -- sums of two -----------------------------------------------------------------------------------------------------

add_op = op(
    "SparseAdd(a_indices: int64, a_values: T, a_shape: int64, b_indices: int64, b_values: T, b_shape: int64, thresh: Treal) -> "
    f"(sum_indices: int64, sum_values: T, sum_shape: int64); T: {NUMBERS}; Treal: {REAL}"
)
add_op.infer(lambda ctx: _sparse_shapes(_rank_of(ctx, 2)))


def _union(a_indices: np.ndarray, b_indices: np.ndarray, a_shape: np.ndarray, b_shape: np.ndarray, where: str) -> Any:
    """Sorted distinct positions of both, and where each of a's and b's entries lies among them."""
    if not np.array_equal(a_shape, b_shape):
        raise ShapeError(f"{where}: operands' shapes do not match: {a_shape.tolist()} and {b_shape.tolist()}")
    a, b = _linear(a_indices, a_shape, where), _linear(b_indices, b_shape, where)
    both = np.union1d(a, b)
    return both, np.searchsorted(both, a), np.searchsorted(both, b)


@add_op.kernel
def _(
    a_indices: np.ndarray, a_values: np.ndarray, a_shape: np.ndarray, b_indices: np.ndarray, b_values: np.ndarray,
    b_shape: np.ndarray, thresh: np.ndarray,
) -> Any:  # fmt: skip
    both, a, b = _union(a_indices, b_indices, a_shape, b_shape, "SparseAdd")
    total = np.zeros(len(both), a_values.dtype)
    np.add.at(total, a, a_values)
    np.add.at(total, b, b_values)
    in_both = np.isin(np.arange(len(both)), a) & np.isin(np.arange(len(both)), b)
    keep = ~in_both | (np.abs(total) >= thresh[()])
    return _unlinear(both[keep], a_shape), total[keep], a_shape


@add_op.gradient
def _(node: Any, _: Any, grad: Any, __: Any) -> Any:
    found = raw.SparseAddGrad(
        backprop_val_grad=grad, a_indices=node.inputs[0], b_indices=node.inputs[3], sum_indices=node.outputs[0]
    )
    return [None, found[0], None, None, found[1], None, None]


add_grad_op = op(
    "SparseAddGrad(backprop_val_grad: T, a_indices: int64, b_indices: int64, sum_indices: int64) -> (a_val_grad: T, "
    f"b_val_grad: T); T: {NUMBERS}"
).not_differentiable()
add_grad_op.infer(lambda ctx: [TensorShape([ctx.shape(i)[0] if ctx.rank(i) == 2 else None]) for i in (1, 2)])


@add_grad_op.kernel
def _(grad: np.ndarray, a_indices: np.ndarray, b_indices: np.ndarray, sum_indices: np.ndarray) -> Any:
    where = {tuple(i): n for n, i in enumerate(sum_indices.tolist())}

    def pick(indices: np.ndarray) -> np.ndarray:
        at = [where.get(tuple(i), -1) for i in indices.tolist()]
        padded = np.concatenate([grad, np.zeros(1, grad.dtype)])
        return padded[np.array(at, np.int64)]

    return pick(a_indices), pick(b_indices)


def _extreme_op(name: str, function: Any, allowed: str) -> None:
    record = op(
        f"{name}(a_indices: int64, a_values: T, a_shape: int64, b_indices: int64, b_values: T, b_shape: int64) -> "
        f"(output_indices: int64, output_values: T); T: {allowed}"
    ).not_differentiable()
    record.infer(lambda ctx: _sparse_shapes(_rank_of(ctx, 2))[:2])

    @record.kernel
    def _(
        a_indices: np.ndarray, a_values: np.ndarray, a_shape: np.ndarray, b_indices: np.ndarray, b_values: np.ndarray,
        b_shape: np.ndarray,
    ) -> Any:  # fmt: skip
        both, a, b = _union(a_indices, b_indices, a_shape, b_shape, name)
        left, right = np.zeros(len(both), a_values.dtype), np.zeros(len(both), a_values.dtype)
        left[a], right[b] = a_values, b_values
        return _unlinear(both, a_shape), function(left, right)


_extreme_op("SparseSparseMaximum", np.maximum, REAL)
_extreme_op("SparseSparseMinimum", np.minimum, NUMBERS)

# -- products --------------------------------------------------------------------------------------------------------

matmul_op = op(
    "SparseTensorDenseMatMul(a_indices: Tindices, a_values: T, a_shape: int64, b: T) -> (product: T); T: type; "
    "Tindices: {int32, int64} = int64; adjoint_a: bool = false; adjoint_b: bool = false"
)


@matmul_op.infer
def _(ctx: Any) -> Any:
    a, b = ctx.value_as_shape(2), ctx.shape(3).with_rank(2)
    rows = (a[1] if ctx.attr("adjoint_a") else a[0]) if a.rank == 2 else None
    inner = (a[0] if ctx.attr("adjoint_a") else a[1]) if a.rank == 2 else None
    b_rows, columns = (b[1], b[0]) if ctx.attr("adjoint_b") else (b[0], b[1])
    if inner is not None and b_rows is not None and inner != b_rows:
        raise ShapeError(f"Dimensions must be equal, but are {inner} and {b_rows} for SparseTensorDenseMatMul")
    return TensorShape([rows, columns])


@matmul_op.kernel
def _(
    indices: np.ndarray, values: np.ndarray, shape: np.ndarray, b: np.ndarray, *, adjoint_a: bool, adjoint_b: bool
) -> np.ndarray:
    if len(shape) != 2 or b.ndim != 2:
        raise ShapeError(f"SparseTensorDenseMatMul: expected two matrices, received shapes {shape.tolist()} and {b.shape}")
    if adjoint_b:
        b = b.conj().T if b.dtype.kind == "c" else b.T
    rows, columns = indices[:, 0], indices[:, 1]
    m, k = shape.tolist()
    if adjoint_a:
        rows, columns, m, k = columns, rows, k, m
        values = values.conj() if values.dtype.kind == "c" else values
    if b.shape[0] != k:
        raise ShapeError(f"Cannot multiply A and B because inner dimension does not match: {k} vs. {b.shape[0]}")
    if len(rows) and (rows.min() < 0 or rows.max() >= m or columns.min() < 0 or columns.max() >= k):
        raise InvalidArgumentError(f"SparseTensorDenseMatMul: indices out of bounds for shape {shape.tolist()}")
    narrow = values.dtype.itemsize == 2
    work = np.float32 if narrow else values.dtype
    out = np.zeros((m, b.shape[1]), work)
    np.add.at(out, rows, values.astype(work, copy=False)[:, None] * b.astype(work, copy=False)[columns])
    return out.astype(values.dtype, copy=False)


@matmul_op.gradient
def _(node: Any, grad: Any) -> Any:
    indices, values, shape, b = node.inputs
    adjoint_a, adjoint_b = node.attr("adjoint_a"), node.attr("adjoint_b")
    b_grad = raw.SparseTensorDenseMatMul(a_indices=indices, a_values=values, a_shape=shape, b=grad, adjoint_a=not adjoint_a)
    is_complex = values.dtype.is_complex
    transpose = (lambda x: raw.ConjugateTranspose(x=x, perm=[1, 0])) if is_complex else (lambda x: raw.Transpose(x=x, perm=[1, 0]))
    if adjoint_b:
        b_grad = transpose(b_grad)
        b = transpose(b)
    rows, columns = indices[:, 0], indices[:, 1]
    parts_a = raw.GatherV2(params=grad, indices=columns if adjoint_a else rows, axis=0)
    parts_b = raw.GatherV2(params=b, indices=rows if adjoint_a else columns, axis=0)
    if is_complex:
        if adjoint_a:
            parts_a = raw.Conj(input=parts_a)
        else:
            parts_b = raw.Conj(input=parts_b)
    return [None, tf.reduce_sum(parts_a * parts_b, axis=-1), None, b_grad]


def _divide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "iu":
        with np.errstate(all="ignore"):
            return x / y
    if (y == 0).any():
        raise InvalidArgumentError("SparseDenseCwiseDiv: integer division by zero")
    return (np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))).astype(x.dtype) if x.dtype.kind == "i" else x // y


def _cwise_op(name: str, function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Any:
    record = op(f"{name}(sp_indices: int64, sp_values: T, sp_shape: int64, dense: T) -> (output: T); T: {NUMBERS}")
    record.infer(lambda ctx: TensorShape([ctx.shape(0)[0] if ctx.rank(0) == 2 else None]))

    @record.kernel
    def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, dense: np.ndarray) -> np.ndarray:
        try:
            wide = np.broadcast_to(dense, shape.tolist())
        except ValueError:
            raise ShapeError(
                f"{name}: broadcasts dense to sparse only; got incompatible shapes: sparse {shape.tolist()} vs. dense {list(dense.shape)}"
            ) from None
        _linear(indices, shape, name)
        return function(values, wide[tuple(indices.T)] if len(shape) else np.broadcast_to(dense, values.shape))

    return record


def _cwise_gradient(is_product: bool) -> Callable[[Any, Any], Any]:
    def gradient(node: Any, grad: Any) -> Any:
        indices, values, shape, dense = node.inputs
        dense_shape = raw.Shape(input=dense, out_type=dtypes.int64)
        added = raw.Size(input=shape) - raw.Rank(input=dense)
        ones = raw.Fill(dims=raw.ExpandDims(input=added, dim=0), value=convert_to_tensor(1, dtypes.int64))
        scaling = shape // raw.ConcatV2(values=[ones, dense_shape], axis=0)
        scaled = (indices // scaling)[:, added:]
        found = raw.GatherNd(params=dense, indices=scaled)
        if is_product:
            d_values, d_dense = grad * found, grad * values
        else:
            d_values, d_dense = grad / found, grad * (-values / (found * found))
        return [None, d_values, None, raw.ScatterNd(indices=scaled, updates=d_dense, shape=dense_shape)]

    return gradient


_cwise_op("SparseDenseCwiseAdd", np.add)
_cwise_op("SparseDenseCwiseMul", np.multiply).gradient(_cwise_gradient(True))
_cwise_op("SparseDenseCwiseDiv", _divide).gradient(_cwise_gradient(False))

# -- reductions ------------------------------------------------------------------------------------------------------


def _kept(shape: np.ndarray, axes: np.ndarray, where: str) -> tuple[list[int], set[int]]:
    rank = len(shape)
    reduced = set()
    for a in axes.ravel().tolist():
        if not -rank <= a < rank:
            raise InvalidArgumentError(f"{where}: invalid reduction dimension {a} for a tensor of rank {rank}")
        reduced.add(a % rank)
    if not axes.size:
        return list(range(rank)), set()
    return [a for a in range(rank) if a not in reduced], reduced


def _reduce_op(name: str, combine: Any, allowed: str) -> None:
    inputs = "input_indices: int64, input_values: T, input_shape: int64, reduction_axes: int32"
    dense = op(f"{name}({inputs}) -> (output: T); keep_dims: bool = false; T: {allowed}")
    sparse = op(
        f"{name}Sparse({inputs}) -> (output_indices: int64, output_values: T, output_shape: int64); keep_dims: bool = false; T: {allowed}"
    ).not_differentiable()

    def reduce(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, axes: np.ndarray, keep: bool) -> Any:
        kept, reduced = _kept(shape, axes, name)
        kept_shape = shape[kept]
        at = _linear(indices[:, kept], kept_shape, name) if kept else np.zeros(len(indices), np.int64)
        groups, inverse = np.unique(at, return_inverse=True)
        narrow = values.dtype.itemsize == 2 and values.dtype.kind not in "iu"
        work = values.astype(np.float32) if narrow else values
        if combine is np.add:
            out = np.zeros(len(groups), work.dtype)
            np.add.at(out, inverse.reshape(-1), work)
        else:
            order = np.argsort(inverse.reshape(-1), kind="stable")
            starts = np.searchsorted(inverse.reshape(-1)[order], np.arange(len(groups)))
            out = combine.reduceat(work[order], starts) if len(groups) else work[:0]
        final = np.array([1 if a in reduced else d for a, d in enumerate(shape.tolist())], np.int64) if keep else kept_shape
        return groups, out.astype(values.dtype), kept_shape, final

    @dense.kernel
    def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> np.ndarray:
        groups, found, kept_shape, final = reduce(indices, values, shape, axes, keep_dims)
        out = np.zeros(math.prod(kept_shape.tolist()), values.dtype)
        out[groups] = found
        return out.reshape(final.tolist())

    @dense.infer
    def _(ctx: Any) -> Any:
        shape, axes = ctx.value_as_shape(2), ctx.value(3)
        if shape.rank is None or axes is None:
            return unknown_shape()
        kept, reduced = _kept(np.zeros(shape.rank), axes, name)
        return TensorShape([1 if a in reduced else d for a, d in enumerate(shape)] if ctx.attr("keep_dims") else [shape[a] for a in kept])

    @sparse.kernel
    def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> Any:
        groups, found, _, final = reduce(indices, values, shape, axes, keep_dims)
        return _unlinear(groups, final) if len(final) else np.zeros((len(groups), 0), np.int64), found, final

    sparse.infer(lambda ctx: [unknown_shape(2), unknown_shape(1), unknown_shape(1)])
    if combine is not np.add:
        dense.not_differentiable()
        return

    @dense.gradient
    def _(node: Any, grad: Any) -> Any:
        indices, _, shape, axes = node.inputs
        rank = raw.Size(input=shape)
        wrapped = raw.FloorMod(x=axes, y=rank)
        ones = raw.OnesLike(x=raw.Cast(x=raw.Reshape(tensor=wrapped, shape=[-1]), DstT=dtypes.int64))
        kept = raw.TensorScatterUpdate(tensor=shape, indices=raw.Reshape(tensor=wrapped, shape=[-1, 1]), updates=ones)
        wide = raw.Reshape(tensor=grad, shape=kept)
        return [None, raw.GatherNd(params=wide, indices=indices // (shape // kept)), None, None]


_reduce_op("SparseReduceSum", np.add, NUMBERS)
_reduce_op("SparseReduceMax", np.maximum, REAL)

softmax_op = op(
    "SparseSoftmax(sp_indices: int64, sp_values: T, sp_shape: int64) -> (output: T); T: {half, float, double}"
)
softmax_op.infer(lambda ctx: ctx.shape(1))


@softmax_op.kernel
def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray) -> np.ndarray:
    if len(shape) < 2:
        raise ShapeError(f"SparseSoftmax: input should have rank >= 2, received shape {shape.tolist()}")
    at = _linear(indices[:, :-1], shape[:-1], "SparseSoftmax")
    groups, inverse = np.unique(at, return_inverse=True)
    inverse = inverse.reshape(-1)
    work = values.astype(np.float32) if values.dtype == np.float16 else values
    top = np.full(len(groups), -np.inf, work.dtype)
    np.maximum.at(top, inverse, work)
    weights = np.exp(work - top[inverse])
    total = np.zeros(len(groups), work.dtype)
    np.add.at(total, inverse, weights)
    return (weights / total[inverse]).astype(values.dtype)


@softmax_op.gradient
def _(node: Any, grad: Any) -> Any:
    indices, _, shape = node.inputs
    out = node.outputs[0]
    last = raw.Size(input=shape) - 1
    total = raw.SparseReduceSum(
        input_indices=indices, input_values=out * grad, input_shape=shape, reduction_axes=raw.ExpandDims(input=last, dim=0),
        keep_dims=True,
    )  # fmt: skip
    centred = raw.SparseDenseCwiseAdd(sp_indices=indices, sp_values=grad, sp_shape=shape, dense=-total)
    return [None, centred * out, None]
