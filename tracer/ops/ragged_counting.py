"""Counting values of ragged and sparse tensors: RaggedBincount, SparseBincount, and the counts given as sparse tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer.errors import InvalidArgumentError, ShapeError
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape

_TYPES = "Tidx: {int32, int64}; T: {int32, int64, float, double}; binary_output: bool = false"


def _rows_of(splits: np.ndarray, count: int, where: str) -> np.ndarray:
    if not len(splits) or splits[0] != 0 or (np.diff(splits) < 0).any() or splits[-1] != count:
        raise InvalidArgumentError(f"{where}: splits must rise from 0 to {count}, received {splits.tolist()[:8]}")
    return np.repeat(np.arange(len(splits) - 1), np.diff(splits))


def _count(rows: np.ndarray, values: np.ndarray, shape: tuple[int, int], weights: np.ndarray, binary: bool, where: str) -> np.ndarray:
    if len(values) and values.min() < 0:
        raise InvalidArgumentError(f"{where}: Input values must be non-negative, received {values.min()}")
    out = np.zeros(shape, weights.dtype)
    inside = values < shape[1]
    at = (rows[inside], values[inside])
    if binary:
        out[at] = 1
    elif len(weights):
        np.add.at(out, at, weights.reshape(-1)[inside])
    else:
        np.add.at(out, at, out.dtype.type(1))
    return out


ragged_op = op(
    f"RaggedBincount(splits: int64, values: Tidx, size: Tidx, weights: T) -> (output: T); {_TYPES}"
).not_differentiable()


@ragged_op.infer
def _(ctx: Any) -> Any:
    size, splits = ctx.value(2), ctx.shape(0)
    rows = splits[0] - 1 if splits.rank == 1 and splits[0] is not None else None
    return TensorShape([rows, None if size is None else int(size.reshape(-1)[0])])


@ragged_op.kernel
def _(splits: np.ndarray, values: np.ndarray, size: np.ndarray, weights: np.ndarray, *, binary_output: bool) -> np.ndarray:
    flat = values.reshape(-1)
    rows = _rows_of(splits, len(flat), "RaggedBincount")
    return _count(rows, flat, (len(splits) - 1, int(size.reshape(-1)[0])), weights, binary_output, "RaggedBincount")


sparse_op = op(
    f"SparseBincount(indices: int64, values: Tidx, dense_shape: int64, size: Tidx, weights: T) -> (output: T); {_TYPES}"
).not_differentiable()


@sparse_op.infer
def _(ctx: Any) -> Any:
    size, rank = ctx.value(3), ctx.shape(2)[0] if ctx.rank(2) == 1 else None
    if rank is None:
        return unknown_shape()
    count = None if size is None else int(size.reshape(-1)[0])
    return TensorShape([count]) if rank == 1 else TensorShape([ctx.value_as_shape(2)[0], count])


@sparse_op.kernel
def _(
    indices: np.ndarray, values: np.ndarray, shape: np.ndarray, size: np.ndarray, weights: np.ndarray, *, binary_output: bool
) -> np.ndarray:
    width = int(size.reshape(-1)[0])
    if len(shape) == 1:
        return _count(np.zeros(len(values), np.int64), values, (1, width), weights, binary_output, "SparseBincount")[0]
    rows = indices[:, 0]
    if len(rows) and (rows.min() < 0 or rows.max() >= shape[0]):
        raise InvalidArgumentError(f"SparseBincount: indices lie outside of shape {shape.tolist()}")
    return _count(rows, values, (int(shape[0]), width), weights, binary_output, "SparseBincount")


# -- counts as sparse tensors ----------------------------------------------------------------------------------------

_COUNT = (
    "(output_indices: int64, output_values: output_type, output_dense_shape: int64); T: {int32, int64}; minlength: int >= -1 = -1; "
    "maxlength: int >= -1 = -1; binary_output: bool; output_type: {int32, int64, float, double}"
)


def _sparse_counts(
    rows: np.ndarray, values: np.ndarray, batch: int | None, weights: np.ndarray, minlength: int, maxlength: int, binary: bool,
    where: str,
) -> Any:  # fmt: skip
    """Counts by row (`batch` rows; None for one row that is no dimension of its own), sorted by row and value."""
    if weights.size and weights.size != values.size:
        raise ShapeError(f"{where}: Weights and values must have the same shape: {weights.size} and {values.size} elements")
    if len(values) and values.min() < 0:
        raise InvalidArgumentError(f"{where}: Input values must all be non-negative, received {values.min()}")
    inside = np.ones(len(values), bool) if maxlength < 0 else values < maxlength
    if maxlength > 0:
        width = maxlength
    else:
        width = max(int(values[inside].max()) + 1 if inside.any() else 0, minlength)
    kept_rows, kept = rows[inside].astype(np.int64), values[inside].astype(np.int64)
    keys = kept_rows * max(width, 1) + kept
    unique, inverse = np.unique(keys, return_inverse=True)
    if binary:
        counts = np.ones(len(unique), weights.dtype)
    else:
        counts = np.zeros(len(unique), weights.dtype)
        ones = np.ones(len(keys), weights.dtype)
        np.add.at(counts, inverse.reshape(-1), weights.reshape(-1)[inside] if weights.size else ones)
    if batch is None:
        return unique.reshape(-1, 1), counts, np.array([width], np.int64)
    indices = np.stack([unique // max(width, 1), unique % max(width, 1)], axis=1)
    return indices, counts, np.array([batch, width], np.int64)


def _rule(rank: int | None) -> Any:
    return [TensorShape([None, rank]), TensorShape([None]), TensorShape([rank])]


dense_count_op = op(f"DenseCountSparseOutput(values: T, weights: output_type) -> {_COUNT}").not_differentiable()
dense_count_op.infer(lambda ctx: _rule(ctx.rank(0)))


@dense_count_op.kernel
def _(values: np.ndarray, weights: np.ndarray, *, minlength: int, maxlength: int, binary_output: bool) -> Any:
    if values.ndim not in (1, 2):
        raise ShapeError(f"DenseCountSparseOutput: Input must be a 1 or 2-dimensional tensor. Got shape: {values.shape}")
    batch = None if values.ndim == 1 else len(values)
    rows = np.zeros(len(values), np.int64) if batch is None else np.repeat(np.arange(batch), values.shape[1])
    return _sparse_counts(rows, values.reshape(-1), batch, weights, minlength, maxlength, binary_output, "DenseCountSparseOutput")


sparse_count_op = op(
    f"SparseCountSparseOutput(indices: int64, values: T, dense_shape: int64, weights: output_type) -> {_COUNT}"
).not_differentiable()
sparse_count_op.infer(lambda ctx: _rule(ctx.shape(2)[0] if ctx.rank(2) == 1 else None))


@sparse_count_op.kernel
def _(
    indices: np.ndarray, values: np.ndarray, shape: np.ndarray, weights: np.ndarray, *, minlength: int, maxlength: int,
    binary_output: bool,
) -> Any:  # fmt: skip
    if len(shape) not in (1, 2):
        raise ShapeError(f"SparseCountSparseOutput: expected a shape of one or two dimensions, received {shape.tolist()}")
    batch = None if len(shape) == 1 else int(shape[0])
    rows = np.zeros(len(values), np.int64) if batch is None else indices[:, 0]
    if len(rows) and (rows.min() < 0 or (batch is not None and rows.max() >= batch)):
        raise InvalidArgumentError(f"SparseCountSparseOutput: indices lie outside of shape {shape.tolist()}")
    return _sparse_counts(rows, values, batch, weights, minlength, maxlength, binary_output, "SparseCountSparseOutput")


ragged_count_op = op(f"RaggedCountSparseOutput(splits: int64, values: T, weights: output_type) -> {_COUNT}").not_differentiable()
ragged_count_op.infer(lambda ctx: _rule(2))


@ragged_count_op.kernel
def _(
    splits: np.ndarray, values: np.ndarray, weights: np.ndarray, *, minlength: int, maxlength: int, binary_output: bool
) -> Any:
    rows = _rows_of(splits, len(values), "RaggedCountSparseOutput")
    return _sparse_counts(rows, values, len(splits) - 1, weights, minlength, maxlength, binary_output, "RaggedCountSparseOutput")
