"""Counts, histograms, buckets and evenly spaced numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.gradient_rules import shape_of
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor

# -- Bincount --------------------------------------------------------------------------------------------------------

bincount_op = op("Bincount(arr: int32, size: int32, weights: T) -> (bins: T); T: {int32, int64, float, double}").not_differentiable()
dense_bincount_op = op(
    "DenseBincount(input: Tidx, size: Tidx, weights: T) -> (output: T); Tidx: {int32, int64}; T: {int32, int64, float, double}; "
    "binary_output: bool = false"
).not_differentiable()


@bincount_op.infer
def _(ctx: Any) -> Any:
    size = ctx.value(1)
    return TensorShape([None if size is None else int(size)])


@dense_bincount_op.infer
def _(ctx: Any) -> Any:
    size = ctx.value(1)
    bins = None if size is None else int(size)
    shape = ctx.shape(0)
    if shape.rank is None:
        return TensorShape(None)
    if shape.rank > 2:
        raise ShapeError(f"DenseBincount: Shape must be at most rank 2 but is rank {shape.rank}")
    return TensorShape([bins]) if shape.rank < 2 else TensorShape([shape[0], bins])


def _check_size(size: np.ndarray) -> int:
    if size.size != 1 or int(size.reshape(())) < 0:
        raise InvalidArgumentError(f"size must be one number >= 0, received {size.tolist()}")
    return int(size.reshape(()))


def _count(values: np.ndarray, size: int, weights: np.ndarray, dtype: np.dtype, binary: bool) -> np.ndarray:
    """How often each of 0 … size-1 occurs among flat `values`, or the sum of weights there."""
    inside = (values >= 0) & (values < size)
    kept = values[inside]
    if binary:
        out = np.zeros(size, dtype)
        out[kept] = 1
        return out
    if weights.size == 0:
        return np.bincount(kept, minlength=size)[:size].astype(dtype)
    out = np.zeros(size, dtype)
    np.add.at(out, kept, weights[inside])
    return out


@bincount_op.kernel
def _(arr: np.ndarray, size: np.ndarray, weights: np.ndarray) -> Any:
    bins = _check_size(size)
    if arr.size and arr.min() < 0:
        raise InvalidArgumentError("Input arr must be non-negative!")
    if weights.size not in (0, arr.size):
        raise InvalidArgumentError(f"weights must have the size of arr ({arr.size}) or none, received {weights.shape}")
    return _count(arr.reshape(-1), bins, weights.reshape(-1), weights.dtype, False)


@dense_bincount_op.kernel
def _(x: np.ndarray, size: np.ndarray, weights: np.ndarray, *, binary_output: bool) -> Any:
    bins = _check_size(size)
    if x.ndim > 2:
        raise InvalidArgumentError(f"Shape must be at most rank 2 but is rank {x.ndim}")
    if x.ndim < 2 and x.size and x.min() < 0:
        raise InvalidArgumentError("Input arr must be non-negative!")
    if weights.size and weights.shape != x.shape:
        raise InvalidArgumentError(f"`weights` must be the same shape as `arr` or a length-0 `Tensor`, received {weights.shape} and {x.shape}")
    if x.ndim < 2:
        return _count(x.reshape(-1), bins, weights.reshape(-1), weights.dtype, binary_output)
    rows = [
        _count(x[i], bins, weights[i] if weights.size else weights.reshape(-1), weights.dtype, binary_output) for i in range(x.shape[0])
    ]
    return np.stack(rows) if rows else np.zeros((0, bins), weights.dtype)


@public("math.bincount")
def bincount(
    arr: Any, weights: Any = None, minlength: Any = None, maxlength: Any = None, dtype: Any = dtypes.int32, name: str | None = None,
    axis: int | None = None, binary_output: bool = False,
) -> Any:  # fmt: skip
    """How often each number 0, 1, 2, … occurs in `arr`, or the sum of `weights` where it does.

    Args:
        minlength, maxlength: bounds of the length of the result; larger numbers are not counted.
        axis: None counts all elements together, -1 each row of a matrix, 0 all as well.
        binary_output: 1 where a number occurs at all.
    """
    if hasattr(arr, "row_splits") or hasattr(arr, "dense_shape"):
        return _bincount_of_rows(arr, weights, minlength, maxlength, dtype, name, axis, binary_output)
    arr = convert_to_tensor(arr)
    if arr.dtype.base_dtype not in (dtypes.int32, dtypes.int64):
        arr = raw.Cast(arr, DstT="int32")
    index = arr.dtype.base_dtype
    if axis not in (None, 0, -1):
        raise InvalidArgumentError(f"Unsupported value for argument axis={axis}. Only 0 and -1 are currently supported.")
    if axis is None or axis == 0:
        if arr.shape.rank != 1:
            arr = raw.Reshape(arr, np.array([-1], np.int32))
            weights = None if weights is None else raw.Reshape(convert_to_tensor(weights), np.array([-1], np.int32))
    elif arr.shape.rank == 0:
        arr = raw.Reshape(arr, np.array([-1], np.int32))
    one = convert_to_tensor(1, index)
    highest = raw.Max(raw.ConcatV2([raw.Reshape(arr, np.array([-1], np.int32)), convert_to_tensor([-1], index)], np.int32(0)), np.int32(0))
    size = raw.AddV2(highest, one)
    if minlength is not None:
        size = raw.Maximum(size, tf.cast(minlength, index))
    if maxlength is not None:
        size = raw.Minimum(size, tf.cast(maxlength, index))
    if weights is None:
        weights = convert_to_tensor(np.zeros(0, as_dtype(dtype).numpy), dtype)
    return raw.DenseBincount(arr, size, weights, binary_output=binary_output, name=name)


def _bincount_of_rows(
    arr: Any, weights: Any, minlength: Any, maxlength: Any, dtype: Any, name: str | None, axis: int | None, binary_output: bool
) -> Any:  # fmt: skip
    """`bincount` of a ragged or sparse matrix."""
    ragged = hasattr(arr, "row_splits")
    values = arr.flat_values if ragged else arr.values
    given = getattr(weights, "flat_values", getattr(weights, "values", weights))
    if axis in (None, 0):
        return bincount(values, given, minlength, maxlength, dtype, name, 0, binary_output)
    if axis != -1:
        raise InvalidArgumentError(f"Unsupported value for argument axis={axis}. Only 0 and -1 are currently supported.")
    if values.dtype.base_dtype not in (dtypes.int32, dtypes.int64):
        values = raw.Cast(values, DstT="int32")
    index = values.dtype.base_dtype
    highest = raw.Max(raw.ConcatV2([values, convert_to_tensor([-1], index)], np.int32(0)), np.int32(0))
    size = raw.AddV2(highest, convert_to_tensor(1, index))
    if minlength is not None:
        size = raw.Maximum(size, tf.cast(minlength, index))
    if maxlength is not None:
        size = raw.Minimum(size, tf.cast(maxlength, index))
    given = convert_to_tensor(np.zeros(0, as_dtype(dtype).numpy), dtype) if given is None else convert_to_tensor(given)
    if ragged:
        splits = raw.Cast(arr.row_splits, DstT="int64")
        return raw.RaggedBincount(splits, values, size, given, binary_output=binary_output, name=name)
    return raw.SparseBincount(arr.indices, values, arr.dense_shape, size, given, binary_output=binary_output, name=name)


@public("math.confusion_matrix")
def confusion_matrix(
    labels: Any, predictions: Any, num_classes: Any = None, weights: Any = None, dtype: Any = dtypes.int32, name: str | None = None
) -> Any:
    """How often (or with what sum of `weights`) each label, a row, met each prediction, a column.

    Raises:
        InvalidArgumentError: a class is negative or not below `num_classes`.
    """
    labels, predictions = convert_to_tensor(labels), convert_to_tensor(predictions)
    labels, predictions = _same_rank(labels, predictions)
    labels, predictions = tf.cast(labels, "int64"), tf.cast(predictions, "int64")
    one = np.int64(1)
    if num_classes is None:
        axes = np.array([0], np.int32)
        num_classes = raw.AddV2(raw.Maximum(raw.Max(labels, axes), raw.Max(predictions, axes)), one)
    size = tf.cast(num_classes, "int64")
    shape = raw.Pack([size, size])
    dtype = as_dtype(dtype)
    values = raw.OnesLike(tf.cast(predictions, dtype)) if weights is None else tf.cast(weights, dtype)
    return raw.ScatterNd(raw.Pack([labels, predictions], axis=1), values, shape, name=name)


def _same_rank(labels: Any, predictions: Any) -> tuple[Any, Any]:
    """The one with a last axis of 1 too many loses it."""
    a, b = labels.shape.rank, predictions.shape.rank
    if a is not None and b is not None:
        if a == b + 1:
            return raw.Squeeze(labels, squeeze_dims=[-1]), predictions
        if b == a + 1:
            return labels, raw.Squeeze(predictions, squeeze_dims=[-1])
        return labels, predictions
    # both are vectors in the end, or columns
    flat = np.array([-1], np.int32)
    return raw.Reshape(labels, flat), raw.Reshape(predictions, flat)


# -- histograms and buckets ------------------------------------------------------------------------------------------

histogram_op = op(
    "HistogramFixedWidth(values: T, value_range: T, nbins: int32) -> (out: dtype); T: {int32, int64, float, double}; "
    "dtype: {int32, int64} = int32"
).not_differentiable()


@histogram_op.infer
def _(ctx: Any) -> Any:
    bins = ctx.value(2)
    return TensorShape([None if bins is None else int(bins)])


@histogram_op.kernel
def _(values: np.ndarray, value_range: np.ndarray, nbins: np.ndarray) -> Any:
    if value_range.shape != (2,):
        raise InvalidArgumentError(f"value_range should be a vector of 2 elements, received shape {value_range.shape}")
    bins = int(nbins)
    if bins <= 0:
        raise InvalidArgumentError(f"nbins should be a positive number, but got '{bins}'")
    low, high = value_range
    if not low < high:
        raise InvalidArgumentError(f"value_range should satisfy value_range[0] < value_range[1], but got '{value_range.tolist()}'")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise InvalidArgumentError("Histogram values must not contain NaN")
    step = (np.float64(high) - np.float64(low)) / bins
    if values.dtype == np.float32:
        step = np.float32(step)
    # in the order of TensorFlow's expression: clamp at 0, divide, then cut off at the last bin
    scaled = np.maximum((values - low).astype(np.float64 if values.dtype != np.float32 else np.float32) / step, 0)
    index = np.minimum(np.floor(scaled), bins - 1).astype(np.int64).reshape(-1)
    return np.bincount(index, minlength=bins)


@public("histogram_fixed_width")
def histogram_fixed_width(values: Any, value_range: Any, nbins: Any = 100, dtype: Any = dtypes.int32, name: str | None = None) -> Any:
    """Counts of `values` in `nbins` equal bins over `value_range`; what lies outside falls into the outer bins."""
    values = convert_to_tensor(values)
    value_range = convert_to_tensor(value_range, values.dtype.base_dtype)
    return raw.HistogramFixedWidth(values, value_range, nbins, dtype=as_dtype(dtype), name=name)


@public("histogram_fixed_width_bins")
def histogram_fixed_width_bins(values: Any, value_range: Any, nbins: Any = 100, dtype: Any = dtypes.int32, name: str | None = None) -> Any:
    """The bin that each value falls into; see `histogram_fixed_width`."""
    values = convert_to_tensor(values)
    flat = raw.Reshape(values, np.array([-1], np.int32))
    value_range = convert_to_tensor(value_range, values.dtype.base_dtype)
    bins = convert_to_tensor(nbins, dtype_hint="int32")
    low, high = value_range[0], value_range[1]
    scaled = tf.truediv(raw.Sub(flat, low), raw.Sub(high, low))
    index = raw.Floor(raw.Mul(tf.cast(bins, scaled.dtype), scaled))
    last = raw.Sub(tf.cast(bins, dtypes.int32), np.int32(1))
    clipped = tf.clip_by_value(index, 0, tf.cast(last, scaled.dtype))
    return tf.cast(raw.Reshape(clipped, shape_of(values)), as_dtype(dtype), name)


bucketize_op = op("Bucketize(input: T) -> (output: int32); T: {int32, int64, float, double}; boundaries: list(float)").not_differentiable()
bucketize_op.infer(infer.unchanged)


@bucketize_op.prepare
def _(attrs: Any) -> Any:
    edges = np.array(attrs["boundaries"], np.float32)
    if (edges[1:] < edges[:-1]).any():
        raise InvalidArgumentError(f"Expected sorted boundaries, received {edges.tolist()}")
    wide = edges.astype(np.float64)
    return lambda x: np.searchsorted(edges if x.dtype == np.float32 else wide, x, side="right").astype(np.int32)


# -- evenly spaced numbers -------------------------------------------------------------------------------------------

lin_space_op = op(
    "LinSpace(start: T, stop: T, num: Tidx) -> (output: T); T: {bfloat16, half, float, double}; Tidx: {int32, int64} = int32"
).not_differentiable()


@lin_space_op.infer
def _(ctx: Any) -> Any:
    num = ctx.value(2)
    return TensorShape([None if num is None else int(num)])


@lin_space_op.kernel
def _(start: np.ndarray, stop: np.ndarray, num: np.ndarray) -> Any:
    count = int(num)
    if count <= 0:
        raise InvalidArgumentError(f"Requires num > 0: {count}")
    dtype = start.dtype
    out = np.empty(count, dtype)
    if count > 1:
        step = (stop - start) / np.array(count - 1).astype(dtype)
        out[:] = start + step * np.arange(count).astype(dtype)
        out[-1] = stop
    out[0] = start
    return out


@public("linspace", "lin_space")
def linspace(start: Any, stop: Any, num: Any, name: str | None = None, axis: int = 0) -> Any:
    """`num` numbers from `start` to `stop`, both included, along a new `axis`; start and stop broadcast together.

    Raises:
        ValueError: `num` is not positive.
    """
    start = convert_to_tensor(start)
    stop = convert_to_tensor(stop, start.dtype.base_dtype)
    if start.dtype.is_integer:
        start, stop = tf.cast(start, "float64"), tf.cast(stop, "float64")
    num = convert_to_tensor(num, dtype_hint="int32")
    if start.shape.rank == 0 and stop.shape.rank == 0 and num.dtype.base_dtype in (dtypes.int32, dtypes.int64) and axis in (0, -1):
        return raw.LinSpace(start, stop, num, name=name)
    shape = tf.broadcast_dynamic_shape(raw.Shape(start), raw.Shape(stop))
    start, stop = raw.BroadcastTo(start, shape), raw.BroadcastTo(stop, shape)
    steps = raw.Maximum(raw.Sub(tf.cast(num, "int32"), np.int32(1)), np.int32(1))
    rank = raw.Rank(start)
    where = convert_to_tensor(axis, "int32")
    where = where if axis >= 0 else raw.AddV2(raw.AddV2(rank, where), np.int32(1))
    first, last = raw.ExpandDims(start, where), raw.ExpandDims(stop, where)
    delta = raw.RealDiv(raw.Sub(last, first), tf.cast(steps, start.dtype))
    inner = tf.cast(raw.Range(np.int32(1), tf.cast(steps, "int32"), np.int32(1)), start.dtype)
    ones = raw.Fill(raw.Reshape(raw.AddV2(rank, np.int32(1)), np.array([1], np.int32)), np.int32(1))
    view = raw.TensorScatterUpdate(ones, raw.Reshape(where, np.array([1, 1], np.int32)), np.array([-1], np.int32))
    middle = raw.AddV2(first, raw.Mul(delta, raw.Reshape(inner, view)))
    everything = raw.ConcatV2([first, middle, last], where)
    sizes = raw.Shape(everything)
    keep = raw.TensorScatterUpdate(sizes, raw.Reshape(where, np.array([1, 1], np.int32)), raw.Reshape(tf.cast(num, "int32"), np.array([1], np.int32)))
    return raw.Slice(everything, raw.ZerosLike(sizes), keep, name=name)
