"""Ragged tensors: the ops on row splits and flat values, with gradients. The class is in tracer/ragged.py, functions in ragged_functions.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, OutOfRangeError, ShapeError
from tracer.object_arrays import as_array
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

# -- range -----------------------------------------------------------------------------------------------------------

range_op = op(
    "RaggedRange(starts: T, limits: T, deltas: T) -> (rt_nested_splits: Tsplits, rt_dense_values: T); T: {bfloat16, float, double, "
    "int32, int64} = int32; Tsplits: {int32, int64} = int64"
).not_differentiable()


@range_op.infer
def _(ctx: Any) -> Any:
    rows = None
    for i in range(3):
        shape = ctx.shape(i)
        if shape.rank == 1 and shape[0] is not None:
            rows = shape[0]
    if all(ctx.rank(i) == 0 for i in range(3)):
        rows = 1
    return [TensorShape([None if rows is None else rows + 1]), TensorShape([None])]


@range_op.kernel
def _(starts: np.ndarray, limits: np.ndarray, deltas: np.ndarray, *, Tsplits: Any) -> Any:
    sizes = {len(a) for a in (starts, limits, deltas) if a.ndim}
    if len(sizes) > 1:
        raise ShapeError(f"RaggedRange: starts, limits, and deltas must have the same shape, received lengths {sorted(sizes)}")
    rows = sizes.pop() if sizes else 1
    first, last, step = (np.broadcast_to(a, (rows,)) for a in (starts, limits, deltas))
    if (step == 0).any():
        raise InvalidArgumentError("RaggedRange: Requires delta != 0")
    if first.dtype.kind in "iu":
        span = last.astype(np.int64) - first
        counts = np.maximum(-(-span // step.astype(np.int64)), 0)
    else:
        counts = np.maximum(np.ceil(np.abs((last.astype(np.float64) - first) / step)), 0).astype(np.int64)
        counts[((step > 0) & (first >= last)) | ((step < 0) & (first <= last))] = 0
    splits = np.concatenate([[0], np.cumsum(counts)])
    within = np.arange(splits[-1]) - np.repeat(splits[:-1], counts)
    if first.dtype.kind in "iu":
        values = np.repeat(first, counts) + within.astype(first.dtype) * np.repeat(step, counts)
    else:
        # TensorFlow adds the step again and again.
        values = np.empty(splits[-1], first.dtype)
        for a, b, x, d in zip(splits[:-1], splits[1:], first, step):
            for i in range(a, b):
                values[i] = x
                x = first.dtype.type(x + d)
    return splits.astype(Tsplits.numpy), values.astype(starts.dtype)


# -- gather ----------------------------------------------------------------------------------------------------------

gather_op = op(
    "RaggedGather(params_nested_splits: PARAMS_RAGGED_RANK * Tsplits, params_dense_values: Tvalues, indices: Tindices) -> "
    "(output_nested_splits: OUTPUT_RAGGED_RANK * Tsplits, output_dense_values: Tvalues); Tvalues: type; Tindices: {int32, int64}; "
    "Tsplits: {int32, int64} = int64; PARAMS_RAGGED_RANK: int >= 1; OUTPUT_RAGGED_RANK: int >= 0"
)


@gather_op.infer
def _(ctx: Any) -> Any:
    count = ctx.attr("OUTPUT_RAGGED_RANK")
    values = ctx.shape(ctx.attr("PARAMS_RAGGED_RANK"))
    inner = TensorShape([None]).concatenate(values[1:]) if values.rank is not None else unknown_shape()
    return [TensorShape([None])] * count + [inner]


def _ragged_rows(rows: np.ndarray, splits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positions of the values of `rows`, and the splits of what these rows make."""
    lengths = splits[rows + 1] - splits[rows]
    out = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    positions = np.arange(out[-1]) - np.repeat(out[:-1], lengths) + np.repeat(splits[rows], lengths)
    return positions.astype(np.int64), out


@gather_op.kernel
def _(*inputs: np.ndarray, PARAMS_RAGGED_RANK: int, OUTPUT_RAGGED_RANK: int) -> Any:
    splits, values, indices = inputs[:PARAMS_RAGGED_RANK], inputs[-2], inputs[-1]
    if indices.ndim == 0 and PARAMS_RAGGED_RANK < 1:
        raise ShapeError("RaggedGather: params must be ragged")
    dtype = splits[0].dtype
    count = len(splits[0]) - 1
    flat = indices.reshape(-1).astype(np.int64)
    if len(flat) and (flat.min() < 0 or flat.max() >= count):
        at = int(np.flatnonzero((flat < 0) | (flat >= count))[0])
        raise InvalidArgumentError(f"RaggedGather: indices[{at}] = {int(flat[at])} is not in [0, {count})")
    # The dimensions of `indices` but the last are uniform.
    out: list[np.ndarray] = []
    for axis in range(indices.ndim - 1):
        rows, width = math.prod(indices.shape[: axis + 1]), indices.shape[axis + 1]
        out.append((np.arange(rows + 1) * width).astype(dtype))
    positions = flat
    for level in splits:
        positions, made = _ragged_rows(positions, level.astype(np.int64))
        out.append(made.astype(dtype))
    if indices.ndim == 0:
        out = out[1:]  # a single row: its outermost dimension goes
    if len(out) != OUTPUT_RAGGED_RANK:
        raise InvalidArgumentError(f"RaggedGather: expected OUTPUT_RAGGED_RANK {len(out)}, received {OUTPUT_RAGGED_RANK}")
    return (*out, values[positions])


@gather_op.gradient
def _(node: Any, *grads: Any) -> Any:
    count = node.attr("PARAMS_RAGGED_RANK")
    splits, values, indices = node.inputs[:count], node.inputs[count], node.inputs[count + 1]
    shape = raw.Shape(input=values)
    rows = shape[0]
    numbers = raw.Range(start=0, limit=rows, delta=1)
    taken = raw.RaggedGather(
        params_nested_splits=list(splits), params_dense_values=numbers, indices=indices,
        OUTPUT_RAGGED_RANK=node.attr("OUTPUT_RAGGED_RANK"),
    )[1]  # fmt: skip
    found = raw.UnsortedSegmentSum(data=grads[-1], segment_ids=taken, num_segments=rows)
    return [*[None] * count, found, None]


# -- to dense and to sparse ------------------------------------------------------------------------------------------

to_tensor_op = op(
    "RaggedTensorToTensor(shape: Tshape, values: T, default_value: T, row_partition_tensors: num_row_partition_tensors * Tindex) -> "
    "(result: T); T: type; Tindex: {int64, int32}; Tshape: {int64, int32}; num_row_partition_tensors: int >= 1; "
    "row_partition_types: list(string)"
)


@to_tensor_op.infer
def _(ctx: Any) -> Any:
    shape, values = ctx.value_as_shape(0), ctx.shape(1)
    types = ctx.attr("row_partition_types")
    rank = len(types) - (1 if types and types[0] == b"FIRST_DIM_SIZE" else 0)
    if shape.rank is None:
        return unknown_shape() if values.rank is None else unknown_shape(values.rank + rank)
    dims = list(shape)
    if values.rank is not None and values.rank + rank == len(dims):
        for i, d in enumerate(values[1:]):
            if dims[rank + 1 + i] is None:
                dims[rank + 1 + i] = d
    if dims[0] is None and types and types[0] == b"ROW_SPLITS" and ctx.shape(3).rank == 1 and ctx.shape(3)[0] is not None:
        dims[0] = ctx.shape(3)[0] - 1
    return TensorShape(dims)


def _partitions(tensors: tuple[np.ndarray, ...], types: list[bytes]) -> list[np.ndarray]:
    """Row splits per ragged dimension, whatever way they were given in."""
    if not types:
        raise InvalidArgumentError("RaggedTensorToTensor: expected row_partition_types, received none")
    out: list[np.ndarray] = []
    kinds = list(zip(types, tensors))
    rows = -1
    if kinds[0][0] == b"FIRST_DIM_SIZE":
        rows = int(kinds.pop(0)[1].reshape(-1)[0])
    for kind, tensor in kinds:
        if kind == b"ROW_SPLITS":
            splits = tensor.astype(np.int64)
            if not len(splits) or splits[0] != 0 or (np.diff(splits) < 0).any():
                raise InvalidArgumentError(f"RaggedTensorToTensor: row splits must rise from 0, received {splits.tolist()[:8]}")
        elif kind == b"VALUE_ROWIDS":
            if rows < 0:
                rows = int(tensor[-1]) + 1 if len(tensor) else 0
            if len(tensor) and (tensor.min() < 0 or tensor.max() >= rows):
                raise InvalidArgumentError(f"RaggedTensorToTensor: value_rowids must lie in [0, {rows})")
            splits = np.concatenate([[0], np.cumsum(np.bincount(tensor, minlength=rows))]).astype(np.int64)
        else:
            raise InvalidArgumentError(f"RaggedTensorToTensor: unsupported row partition type {kind!r}")
        out.append(splits)
        rows = int(splits[-1])
    return out


@to_tensor_op.kernel
def _(
    shape: np.ndarray, values: np.ndarray, default: np.ndarray, *partitions: np.ndarray, row_partition_types: list[bytes]
) -> np.ndarray:
    splits = _partitions(partitions, row_partition_types)
    wanted = [-1] * (len(splits) + values.ndim) if shape.ndim == 0 else shape.tolist()
    rank = len(splits) + values.ndim
    if len(wanted) != rank:
        raise ShapeError(f"RaggedTensorToTensor: expected a shape of rank {rank}, received {wanted}")
    sizes = [len(splits[0]) - 1] + [int(np.diff(s).max()) if len(s) > 1 else 0 for s in splits] + list(values.shape[1:])
    for i, w in enumerate(wanted):
        if w >= 0:
            if i > len(splits) and w != sizes[i]:
                raise ShapeError(f"RaggedTensorToTensor: expected inner sizes {list(values.shape[1:])}, received shape {wanted}")
            sizes[i] = w
    if int(splits[-1][-1]) != len(values):
        raise InvalidArgumentError(f"RaggedTensorToTensor: the partitions hold {int(splits[-1][-1])} values, received {len(values)}")
    inner = tuple(values.shape[1:])
    if default.ndim > len(inner):
        raise ShapeError(f"RaggedTensorToTensor: default_value of shape {default.shape} does not broadcast to {list(inner)}")
    out = np.empty(sizes, values.dtype)
    try:
        out[...] = default
    except ValueError:
        raise ShapeError(f"RaggedTensorToTensor: default_value of shape {default.shape} does not broadcast to {list(inner)}") from None
    # The position of each row in the result, -1 where it is cut off.
    positions = np.arange(len(splits[0]) - 1, dtype=np.int64)
    positions[sizes[0] :] = -1
    for level, width in zip(splits, sizes[1:]):
        lengths = np.diff(level)
        column = np.arange(level[-1]) - np.repeat(level[:-1], lengths)
        row = np.repeat(positions, lengths)
        positions = np.where((row >= 0) & (column < width), row * width + column, -1)
    kept = positions >= 0
    out.reshape(-1, *inner)[positions[kept]] = values[kept]
    return out


@to_tensor_op.gradient
def _(node: Any, grad: Any) -> Any:
    values, default = node.inputs[1], node.inputs[2]
    partitions, types = list(node.inputs[3:]), node.attr("row_partition_types")
    index_dtype = partitions[0].dtype
    rows = raw.Shape(input=values, out_type=index_dtype)[:1]
    numbers = raw.Range(start=convert_to_tensor(0, index_dtype), limit=rows[0], delta=convert_to_tensor(1, index_dtype))
    rank = len(types) + 1 - (1 if types[0] == b"FIRST_DIM_SIZE" else 0)
    outer = raw.Shape(input=grad, out_type=index_dtype)[:rank]
    # Where each value went: its number, or -1 for a place that holds the default.
    places = raw.RaggedTensorToTensor(
        shape=outer, values=numbers, default_value=convert_to_tensor(-1, index_dtype), row_partition_tensors=partitions,
        row_partition_types=types,
    )  # fmt: skip
    places = raw.Reshape(tensor=places, shape=[-1])
    inner = raw.Shape(input=values, out_type=index_dtype)[1:]
    flat = raw.Reshape(tensor=grad, shape=raw.ConcatV2(values=[convert_to_tensor(np.array([-1], index_dtype.numpy)), inner], axis=0))
    d_values = raw.UnsortedSegmentSum(data=flat, segment_ids=places, num_segments=rows[0])
    holds_default = places < 0
    kept = raw.UnsortedSegmentSum(
        data=flat, segment_ids=raw.SelectV2(condition=holds_default, t=raw.ZerosLike(x=places), e=raw.OnesLike(x=places)), num_segments=2
    )[0]
    added = raw.Rank(input=kept) - raw.Rank(input=default)
    lead = raw.Range(start=0, limit=added, delta=1)
    total = raw.Sum(input=kept, reduction_indices=lead)
    # Dimensions of size 1 of the default were broadcast too.
    total_shape, own = raw.Shape(input=total), raw.Shape(input=default)
    wide = raw.Reshape(tensor=raw.Where(input=raw.NotEqual(x=total_shape, y=own)), shape=[-1])
    total = raw.Reshape(tensor=raw.Sum(input=total, reduction_indices=raw.Cast(x=wide, DstT=dtypes.int32), keep_dims=True), shape=own)
    return [None, d_values, total, *[None] * len(partitions)]


to_sparse_op = op(
    "RaggedTensorToSparse(rt_nested_splits: RAGGED_RANK * Tsplits, rt_dense_values: T) -> (sparse_indices: int64, sparse_values: T, "
    "sparse_dense_shape: int64); RAGGED_RANK: int >= 1; T: type; Tsplits: {int32, int64} = int64"
)


@to_sparse_op.infer
def _(ctx: Any) -> Any:
    count, values = ctx.attr("RAGGED_RANK"), ctx.shape(len(ctx) - 1)
    rank = None if values.rank is None else count + values.rank
    total = values.num_elements()
    return [TensorShape([total, rank]), TensorShape([total]), TensorShape([rank])]


@to_sparse_op.kernel
def _(*inputs: np.ndarray) -> Any:
    *nested, values = inputs
    for level, splits in enumerate(nested):
        expected = len(nested[level + 1]) - 1 if level + 1 < len(nested) else len(values)
        if not len(splits) or splits[0] != 0 or (np.diff(splits) < 0).any() or splits[-1] != expected:
            raise InvalidArgumentError(f"RaggedTensorToSparse: row splits {splits.tolist()[:8]} do not fit {expected} values")
    inner = values.shape[1:]
    columns: list[np.ndarray] = [np.arange(len(nested[0]) - 1, dtype=np.int64)]
    for splits in nested:
        lengths = np.diff(splits.astype(np.int64))
        columns = [np.repeat(c, lengths) for c in columns]
        columns.append(np.arange(splits[-1]) - np.repeat(splits[:-1].astype(np.int64), lengths))
    width = math.prod(inner)
    if inner:
        columns = [np.repeat(c, width) for c in columns]
        columns += [np.tile(c.ravel(), len(values)) for c in np.indices(inner)]
    indices = np.stack(columns, axis=1).astype(np.int64)
    longest = [int(np.diff(s).max()) if len(s) > 1 else 0 for s in nested]
    shape = np.array([len(nested[0]) - 1, *longest, *inner], np.int64)
    return indices, values.reshape(-1), shape


@to_sparse_op.gradient
def _(node: Any, _: Any, grad: Any, __: Any) -> Any:
    count = node.attr("RAGGED_RANK")
    return [*[None] * count, raw.Reshape(tensor=grad, shape=raw.Shape(input=node.inputs[count]))]


# -- variants --------------------------------------------------------------------------------------------------------


class RaggedVariant:
    """A ragged tensor as one value: its row splits, outermost first, and its flat values."""

    __slots__ = ("splits", "values")

    def __init__(self, splits: list[np.ndarray], values: np.ndarray):
        self.splits = splits
        self.values = values

    def __repr__(self) -> str:
        return f"RaggedVariant(ragged_rank={len(self.splits)}, values of shape {self.values.shape})"


to_variant_op = op(
    "RaggedTensorToVariant(rt_nested_splits: RAGGED_RANK * Tsplits, rt_dense_values: Tvalues) -> (encoded_ragged: variant); "
    "RAGGED_RANK: int >= 0; Tvalues: type; Tsplits: {int32, int64} = int64; batched_input: bool"
)


@to_variant_op.infer
def _(ctx: Any) -> Any:
    if not ctx.attr("batched_input"):
        return TensorShape([])
    first = ctx.shape(0)
    if first.rank is None or first[0] is None:
        return TensorShape([None])
    return TensorShape([first[0] - 1 if ctx.attr("RAGGED_RANK") else first[0]])


@to_variant_op.kernel
def _(*inputs: np.ndarray, batched_input: bool) -> Any:
    *splits, values = inputs
    if not batched_input:
        return RaggedVariant(list(splits), values)
    if not splits:
        rows = [RaggedVariant([], v) for v in values]
    else:
        rows = []
        for row in range(len(splits[0]) - 1):
            begin, end = int(splits[0][row]), int(splits[0][row + 1])
            inner = []
            for level in splits[1:]:
                part = level[begin : end + 1]
                inner.append(part - part[0])
                begin, end = int(part[0]), int(part[-1])
            rows.append(RaggedVariant(inner, values[begin:end]))
    out = np.empty(len(rows), object)
    for i, row_value in enumerate(rows):
        out[i] = row_value
    return out


@to_variant_op.gradient
def _(node: Any, grad: Any) -> Any:
    count = node.attr("RAGGED_RANK")
    splits, values = node.inputs[:count], node.inputs[count]
    shape = raw.Shape(input=values)
    if count == 0:
        outer = raw.Range(start=0, limit=shape[0] + 1, delta=1)
    else:
        outer = splits[0]
        for level in splits[1:]:
            outer = raw.GatherV2(params=level, indices=outer, axis=0)
    found = raw.RaggedTensorToVariantGradient(
        encoded_ragged_grad=grad, row_splits=outer, dense_values_shape=shape, Tvalues=values.dtype
    )
    return [*[None] * count, found]


variant_grad_op = op(
    "RaggedTensorToVariantGradient(encoded_ragged_grad: variant, row_splits: Tsplits, dense_values_shape: int32) -> "
    "(dense_values_grad: Tvalues); Tvalues: type; Tsplits: {int32, int64} = int64"
).not_differentiable()
variant_grad_op.infer(lambda ctx: ctx.value_as_shape(2))


def _entries(encoded: Any, where: str) -> np.ndarray:
    array = as_array(encoded)
    for item in array.ravel():
        if not isinstance(item, RaggedVariant):
            raise InvalidArgumentError(f"{where}: expected variants that hold ragged tensors, received {type(item).__name__}")
    return array


@variant_grad_op.kernel
def _(encoded: Any, splits: np.ndarray, shape: np.ndarray, *, Tvalues: Any) -> np.ndarray:
    items = _entries(encoded, "RaggedTensorToVariantGradient").ravel()
    found = [v.values.reshape(-1, *shape[1:]) for v in items]
    return np.concatenate(found).reshape(shape) if found else np.zeros(shape, Tvalues.numpy)


from_variant_op = op(
    "RaggedTensorFromVariant(encoded_ragged: variant) -> (output_nested_splits: output_ragged_rank * Tsplits, output_dense_values: "
    "Tvalues); input_ragged_rank: int >= -1; output_ragged_rank: int >= 0; Tvalues: type; Tsplits: {int32, int64} = int64"
)
from_variant_op.infer(lambda ctx: [TensorShape([None])] * ctx.attr("output_ragged_rank") + [unknown_shape()])


@from_variant_op.kernel
def _(encoded: Any, *, input_ragged_rank: int, output_ragged_rank: int, Tvalues: Any, Tsplits: Any) -> Any:
    array = _entries(encoded, "RaggedTensorFromVariant")
    rank = input_ragged_rank if input_ragged_rank >= 0 else output_ragged_rank - array.ndim
    if rank < 0:
        raise InvalidArgumentError(f"RaggedTensorFromVariant: inferred input_ragged_rank {rank} must be >= 0")
    if array.ndim == 0:
        value = array[()]
        if len(value.splits) != output_ragged_rank:
            raise InvalidArgumentError(f"RaggedTensorFromVariant: expected ragged rank {output_ragged_rank}, received {len(value.splits)}")
        return (*[s.astype(Tsplits.numpy) for s in value.splits], value.values)
    if output_ragged_rank != array.ndim + rank:
        raise InvalidArgumentError(
            f"RaggedTensorFromVariant: expected output_ragged_rank {array.ndim + rank} (input rank {array.ndim} + {rank}), received {output_ragged_rank}"
        )
    items = list(array.ravel())
    if any(len(v.splits) != rank for v in items):
        raise InvalidArgumentError(f"RaggedTensorFromVariant: expected components of ragged rank {rank}, received {[len(v.splits) for v in items]}")
    out = []
    for axis in range(array.ndim - 1):
        rows = math.prod(array.shape[: axis + 1])
        out.append(np.arange(rows + 1) * array.shape[axis + 1])
    # The innermost dimension of the batch becomes ragged: its rows are the components.
    sizes = [len(v.splits[0]) - 1 if rank else len(v.values) for v in items]
    out.append(np.concatenate([[0], np.cumsum(sizes)]))
    for level in range(rank):
        lengths = [np.diff(v.splits[level]) for v in items]
        out.append(np.concatenate([[0], np.cumsum(np.concatenate(lengths) if lengths else [])]))
    values = np.concatenate([v.values for v in items]) if items else np.zeros(0, Tvalues.numpy)
    return (*[np.asarray(s).astype(Tsplits.numpy) for s in out], values)


@from_variant_op.gradient
def _(node: Any, *grads: Any) -> Any:
    splits = list(node.outputs[:-1])
    return raw.RaggedTensorToVariant(rt_nested_splits=splits, rt_dense_values=grads[-1], batched_input=node.inputs[0].shape.rank != 0)


# -- filling empty rows ----------------------------------------------------------------------------------------------

fill_op = op(
    "RaggedFillEmptyRows(value_rowids: int64, values: T, nrows: int64, default_value: T) -> (output_value_rowids: int64, "
    "output_values: T, empty_row_indicator: bool, reverse_index_map: int64); T: type"
)
fill_op.infer(lambda ctx: [unknown_shape(1), unknown_shape(1), unknown_shape(1), ctx.shape(0)])


@fill_op.kernel
def _(rowids: np.ndarray, values: np.ndarray, nrows: np.ndarray, default: np.ndarray) -> Any:
    rows = int(nrows)
    if len(rowids) and (rowids.min() < 0 or rowids.max() >= rows):
        raise OutOfRangeError(f"RaggedFillEmptyRows: value_rowids must lie in [0, {rows})")
    empty = np.bincount(rowids, minlength=rows)[:rows] == 0
    missing = np.flatnonzero(empty)
    both = np.concatenate([rowids, missing])
    filler = np.empty(len(missing), values.dtype)
    filler[...] = default[()]
    order = np.argsort(both, kind="stable")
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    return both[order], np.concatenate([values, filler])[order], empty, position[: len(rowids)]


@fill_op.gradient
def _(node: Any, _: Any, grad: Any, __: Any, ___: Any) -> Any:
    found = raw.RaggedFillEmptyRowsGrad(reverse_index_map=node.outputs[3], grad_values=grad)
    return [None, found[0], None, found[1]]
