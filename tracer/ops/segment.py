"""Reductions over groups of rows: Segment…, UnsortedSegment… and SparseSegment…."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.scatter_add import add_at, reduce_by_id
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []

_REAL = "{float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}"
_NUMBER = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, complex128, "
    "half, uint32, uint64}"
)
_KINDS = {"Sum": _NUMBER, "Mean": _NUMBER, "Prod": _NUMBER, "Min": _REAL, "Max": _REAL}


def _limit(dtype: np.dtype, which: str) -> Any:
    """The greatest or least finite number of `dtype`."""
    info = ml_dtypes.finfo(dtype) if dtype.kind in "fV" else np.iinfo(dtype)
    return info.max if which == "max" else info.min


def _start(kind: str, dtype: np.dtype) -> Any:
    """What an unsorted segment without rows holds."""
    return {"Sum": 0, "Prod": 1}.get(kind) if kind in ("Sum", "Prod") else _limit(dtype, "max" if kind == "Min" else "min")


def _combine(kind: str, ids: np.ndarray, rows: np.ndarray, count: int, start: Any) -> np.ndarray:
    """`count` segments of `rows` by `ids` (all in range), each begun with `start`."""
    out = np.full((count, *rows.shape[1:]), start, rows.dtype)
    if not len(ids):
        return out
    with np.errstate(all="ignore"):
        if kind == "Sum":
            add_at(out, (ids,), rows)
        else:
            ufunc = {"Prod": np.multiply, "Min": np.minimum, "Max": np.maximum}[kind]
            if rows.ndim == 1 or rows.dtype.kind == "V":
                ufunc.at(out, ids, rows)
            else:
                found, reduced = reduce_by_id(ufunc, ids, rows)
                out[found] = reduced if kind == "Prod" else ufunc(out[found], reduced)
    return out


# -- sorted segments -------------------------------------------------------------------------------------------------


def _check_sorted(data: np.ndarray, ids: np.ndarray) -> None:
    if ids.ndim != 1:
        raise InvalidArgumentError("segment_ids should be a vector.")
    if not data.ndim or data.shape[0] != ids.size:
        raise InvalidArgumentError(f"segment_ids should be the same size as dimension 0 of input: received {ids.size} ids for data of shape {list(data.shape)}")
    if ids.size and ids[0] < 0:
        raise InvalidArgumentError("segment ids must be >= 0")
    if ids.size and (ids[1:] < ids[:-1]).any():
        raise InvalidArgumentError("segment ids are not increasing")


def _sorted_segments(kind: str, data: np.ndarray, ids: np.ndarray, count: int | None = None) -> np.ndarray:
    _check_sorted(data, ids)
    total = int(ids[-1]) + 1 if ids.size else 0
    if count is not None:
        if total > count:
            raise InvalidArgumentError(f"segment id {total - 1} is out of range [0, {count}): num_segments is {count}")
        total = count
    if kind == "Mean":
        return _means(data, ids, total, 1)
    out = _combine(kind, ids, data, total, _start(kind, data.dtype))
    if kind in ("Min", "Max") and count is None:
        out[np.bincount(ids, minlength=total) == 0] = 0  # gaps between ids are zero
    return out


def _means(rows: np.ndarray, ids: np.ndarray, total: int, power: int) -> np.ndarray:
    """Sums divided by the number of rows (power 1) or its square root (power 2)."""
    wide = np.float32 if rows.dtype.kind in "fV" and rows.dtype.itemsize < 4 else rows.dtype
    sums = _combine("Sum", ids, rows.astype(wide), total, 0)
    counts = np.maximum(np.bincount(ids, minlength=total), 1).reshape(-1, *[1] * (rows.ndim - 1))
    if rows.dtype.kind in "iu":
        quotient = np.abs(sums) // counts.astype(rows.dtype) if rows.dtype.kind == "i" else sums // counts.astype(rows.dtype)
        return (np.sign(sums) * quotient).astype(rows.dtype) if rows.dtype.kind == "i" else quotient
    scale = counts.astype(wide) if power == 1 else np.sqrt(counts.astype(wide))
    return (sums / scale).astype(rows.dtype)


def _segment_shape(ctx: Any) -> Any:
    shape, ids = ctx.shape(0), ctx.shape(1)
    if ids.rank not in (None, 1):
        raise ShapeError(f"{ctx.schema.name}: expected segment_ids to be a vector, received {ids}")
    known = ctx.value(1)
    count = None if known is None else int(known[-1]) + 1 if known.size else 0
    return unknown_shape() if shape.rank is None else TensorShape([count, *shape.as_list()[1:]])


def _register_sorted(kind: str) -> None:
    record = op(f"Segment{kind}(data: T, segment_ids: Tindices) -> (output: T); T: {_KINDS[kind]}; Tindices: {{int32, int64}}")
    record.infer(_segment_shape)
    record.kernel(lambda data, ids: _sorted_segments(kind, data, ids))
    record.gradient(_SORTED_GRADIENTS[kind])
    if kind == "Mean":
        return
    second = op(
        f"Segment{kind}V2(data: T, segment_ids: Tindices, num_segments: Tnumsegments) -> (output: T); T: {_KINDS[kind]}; "
        f"Tindices: {{int32, int64}}; Tnumsegments: {{int32, int64}} = int32"
    )
    second.infer(_unsorted_shape)
    second.kernel(lambda data, ids, count: _sorted_segments(kind, data, ids, int(count)))


def _segment_sum_grad(node: Any, grad: Any) -> Any:
    return tf.gather(grad, node.inputs[1]), None


def _segment_mean_grad(node: Any, grad: Any) -> Any:
    data, ids = node.inputs
    rank = tf.rank(data)
    ones_shape = tf.concat([tf.shape(ids), tf.fill(tf.reshape(rank - 1, [1]), tf.constant(1))], 0)
    scaled = grad / raw.SegmentSum(tf.fill(ones_shape, tf.constant(1, grad.dtype)), ids)
    return tf.gather(scaled, ids), None


def _segment_extreme_grad(node: Any, grad: Any) -> Any:
    data, ids = node.inputs
    selected = tf.equal(data, tf.gather(node.outputs[0], ids))
    count = raw.SegmentSum(tf.cast(selected, grad.dtype), ids)
    gathered = tf.gather(grad / count, ids)
    return tf.where(selected, gathered, tf.zeros_like(gathered)), None


def _segment_prod_grad(node: Any, grad: Any) -> Any:
    data, ids = node.inputs
    is_zero = tf.equal(data, 0)
    zeros = raw.SegmentSum(tf.cast(is_zero, dtypes.int32), ids)
    grad = tf.where(tf.greater(zeros, 1), tf.zeros_like(grad), grad)
    others = raw.SegmentProd(tf.where(is_zero, tf.ones_like(data), data), ids)
    partial = tf.where(is_zero, tf.gather(others, ids), tf.gather(node.outputs[0], ids) / data)
    return tf.gather(grad, ids) * partial, None


_SORTED_GRADIENTS: dict[str, Callable[..., Any]] = {
    "Sum": _segment_sum_grad,
    "Mean": _segment_mean_grad,
    "Prod": _segment_prod_grad,
    "Min": _segment_extreme_grad,
    "Max": _segment_extreme_grad,
}

# -- unsorted segments -----------------------------------------------------------------------------------------------


def _unsorted_shape(ctx: Any) -> Any:
    shape, ids, count = ctx.shape(0), ctx.shape(1), ctx.value(2)
    if ids.rank is None or shape.rank is None:
        return unknown_shape()
    if not shape[: ids.rank].is_compatible_with(ids):
        raise ShapeError(f"{ctx.schema.name}: data.shape {shape} does not start with segment_ids.shape {ids}")
    return TensorShape([None if count is None else int(count)]).concatenate(shape[ids.rank :])


def _unsorted_segments(kind: str, data: np.ndarray, ids: np.ndarray, count: np.ndarray) -> np.ndarray:
    total = int(count.reshape(())[()])
    if total < 0:
        raise InvalidArgumentError(f"Input num_segments == {total} must not be negative.")
    if data.shape[: ids.ndim] != ids.shape:
        raise InvalidArgumentError(f"data.shape = {list(data.shape)} does not start with segment_ids.shape = {list(ids.shape)}")
    flat = ids.reshape(-1)
    rows = data.reshape(flat.size, *data.shape[ids.ndim :])
    if flat.size and flat.max() >= total:
        bad = int(np.flatnonzero(flat >= total)[0])
        where = ",".join(str(i) for i in np.unravel_index(bad, ids.shape))
        raise InvalidArgumentError(f"segment_ids[{where}] = {int(flat[bad])} is out of range [0, {total})")
    if flat.size and flat.min() < 0:  # negative ids are dropped
        keep = flat >= 0
        flat, rows = flat[keep], rows[keep]
    return _combine(kind, flat, rows, total, _start(kind, data.dtype))


def _kept(params: Any, ids: Any) -> tuple[Any, Any]:
    """Rows of `params` by id, zero for negative ids; and where ids are not negative, in the same shape."""
    gathered = tf.gather(params, tf.maximum(ids, tf.constant(0, ids.dtype)))
    positive = tf.greater_equal(ids, tf.constant(0, ids.dtype))
    extra = tf.rank(gathered) - tf.rank(positive)
    positive = tf.reshape(positive, tf.concat([tf.shape(positive), tf.fill(tf.reshape(extra, [1]), tf.constant(1))], 0))
    positive = tf.logical_and(positive, tf.ones_like(gathered, dtype=dtypes.bool))
    return tf.where(positive, gathered, tf.zeros_like(gathered)), positive


def _unsorted_sum_grad(node: Any, grad: Any) -> Any:
    return _kept(grad, node.inputs[1])[0], None, None


def _unsorted_extreme_grad(node: Any, grad: Any) -> Any:
    data, ids, count = node.inputs
    gathered, positive = _kept(node.outputs[0], ids)
    selected = tf.logical_and(tf.equal(data, gathered), positive)
    chosen = raw.UnsortedSegmentSum(tf.cast(selected, grad.dtype), ids, count)
    parts = _kept(grad / chosen, ids)[0]
    return tf.where(selected, parts, tf.zeros_like(parts)), None, None


def _unsorted_prod_grad(node: Any, grad: Any) -> Any:
    data, ids, count = node.inputs
    is_zero = tf.equal(data, 0)
    zeros = raw.UnsortedSegmentSum(tf.cast(is_zero, dtypes.int32), ids, count)
    grad = tf.where(tf.greater(zeros, 1), tf.zeros_like(grad), grad)
    others = raw.UnsortedSegmentProd(tf.where(is_zero, tf.ones_like(data), data), ids, count)
    clipped = tf.maximum(ids, tf.constant(0, ids.dtype))
    partial = tf.where(is_zero, tf.gather(others, clipped), tf.gather(node.outputs[0], clipped) / data)
    return _kept(grad, ids)[0] * partial, None, None


def _register_unsorted(kind: str, gradient: Callable[..., Any]) -> None:
    index = "{int16, int32, int64}" if kind == "Sum" else "{int32, int64}"
    record = op(
        f"UnsortedSegment{kind}(data: T, segment_ids: Tindices, num_segments: Tnumsegments) -> (output: T); T: {_KINDS[kind]}; "
        f"Tindices: {index}; Tnumsegments: {{int32, int64}} = int32"
    )
    record.infer(_unsorted_shape)
    record.kernel(lambda data, ids, count: _unsorted_segments(kind, data, ids, count))
    record.gradient(gradient)


for _kind in _KINDS:
    _register_sorted(_kind)
for _kind, _gradient in (
    ("Sum", _unsorted_sum_grad),
    ("Prod", _unsorted_prod_grad),
    ("Min", _unsorted_extreme_grad),
    ("Max", _unsorted_extreme_grad),
):
    _register_unsorted(_kind, _gradient)

# -- sparse segments: rows picked by index, then reduced by sorted ids ------------------------------------------------


def _sparse_rows(data: np.ndarray, indices: np.ndarray, ids: np.ndarray) -> np.ndarray:
    if indices.shape != ids.shape or ids.ndim != 1:
        raise InvalidArgumentError(f"segment_ids and indices should have same size, received {list(ids.shape)} and {list(indices.shape)}")
    bad = (indices < 0) | (indices >= data.shape[0])
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise InvalidArgumentError(f"Bad: indices[{i}] == {int(indices[i])} out of range [0, {data.shape[0]})")
    rows = data[indices]
    _check_sorted(rows, ids)
    return rows


def _sparse_segments(kind: str, data: np.ndarray, indices: np.ndarray, ids: np.ndarray, count: int | None) -> np.ndarray:
    rows = _sparse_rows(data, indices, ids)
    total = int(ids[-1]) + 1 if ids.size else 0
    if count is not None:
        if total > count:
            raise InvalidArgumentError(f"segment ids must be < num_segments: received id {total - 1} for {count} segments")
        total = count
    if kind == "Sum":
        if rows.dtype.kind in "fV" and rows.dtype.itemsize < 4:
            return _combine("Sum", ids, rows.astype(np.float32), total, 0).astype(rows.dtype)
        return _combine("Sum", ids, rows, total, 0)
    return _means(rows, ids, total, 1 if kind == "Mean" else 2)


def _scaled_rows(kind: str, grad: np.ndarray, ids: np.ndarray) -> np.ndarray:
    if ids.size and (ids.min() < 0 or ids.max() >= grad.shape[0]):
        raise InvalidArgumentError(f"Segment id {int(ids.max())} out of range [0, {grad.shape[0]}).")
    rows = grad[ids]
    if kind != "Sum":
        counts = np.bincount(ids, minlength=grad.shape[0])[ids].astype(np.float64)
        scale = (1 / counts if kind == "Mean" else 1 / np.sqrt(counts)).reshape(-1, *[1] * (grad.ndim - 1))
        rows = (rows * scale.astype(grad.dtype if grad.dtype.itemsize >= 4 else np.float32)).astype(grad.dtype)
    return rows


def _register_sparse(kind: str) -> None:
    types = _REAL if kind == "Sum" else "{bfloat16, half, float, double}"
    tail = f"T: {types}; Tidx: {{int32, int64}} = int32"
    ids_type = "Tsegmentids: {int32, int64} = int32"

    def sparse_rule(ctx: Any) -> Any:
        known = ctx.value(2)
        count = None if known is None else int(known[-1]) + 1 if known.size else 0
        shape = ctx.shape(0)
        return unknown_shape() if shape.rank is None else TensorShape([count, *shape.as_list()[1:]])

    def counted_rule(ctx: Any) -> Any:
        shape, count = ctx.shape(0), ctx.value(3)
        return unknown_shape() if shape.rank is None else TensorShape([None if count is None else int(count), *shape.as_list()[1:]])

    def gradient(node: Any, grad: Any) -> Any:
        data, indices, ids = node.inputs[:3]
        rest = [None] * (len(node.inputs) - 1)
        if node.attr("sparse_gradient"):
            from tracer.composite import IndexedSlices

            shape = tf.shape(data)
            values, rows = getattr(raw, f"SparseSegment{kind}GradV2")(grad, indices, ids, shape[0])
            return [IndexedSlices(values, rows, shape), *rest]
        return [getattr(raw, f"SparseSegment{kind}Grad")(grad, indices, ids, tf.shape(data)[0]), *rest]

    one = op(f"SparseSegment{kind}(data: T, indices: Tidx, segment_ids: Tsegmentids) -> (output: T); {tail}; {ids_type}; sparse_gradient: bool = false")
    one.infer(sparse_rule)
    one.kernel(lambda data, indices, ids: _sparse_segments(kind, data, indices, ids, None))
    one.gradient(gradient)
    two = op(
        f"SparseSegment{kind}WithNumSegments(data: T, indices: Tidx, segment_ids: Tsegmentids, num_segments: Tnumsegments) -> (output: T); {tail}; "
        f"Tnumsegments: {{int32, int64}} = int32; {ids_type}; sparse_gradient: bool = false"
    )
    two.infer(counted_rule)
    two.kernel(lambda data, indices, ids, count: _sparse_segments(kind, data, indices, ids, int(count)))
    two.gradient(gradient)
    grad_tail = f"T: {{bfloat16, half, float, double}}; Tidx: {{int32, int64}} = int32; {ids_type}"
    three = op(f"SparseSegment{kind}Grad(grad: T, indices: Tidx, segment_ids: Tsegmentids, output_dim0: int32) -> (output: T); {grad_tail}")
    three.infer(counted_rule)

    @three.kernel
    def _(grad: np.ndarray, indices: np.ndarray, ids: np.ndarray, size: np.ndarray) -> np.ndarray:
        out = np.zeros((int(size), *grad.shape[1:]), grad.dtype)
        if indices.size and (indices.min() < 0 or indices.max() >= len(out)):
            raise InvalidArgumentError(f"Index {int(indices.max())} out of range [0, {len(out)}).")
        add_at(out, (indices,), _scaled_rows(kind, grad, ids))
        return out

    four = op(
        f"SparseSegment{kind}GradV2(grad: T, indices: Tidx, segment_ids: Tsegmentids, dense_output_dim0: int32) -> "
        f"(output: T, sorted_unique_indices: Tidx); {grad_tail}"
    )
    four.infer(lambda ctx: [TensorShape([None]).concatenate(ctx.shape(0)[1:]), unknown_shape(1)])

    @four.kernel
    def _(grad: np.ndarray, indices: np.ndarray, ids: np.ndarray, size: np.ndarray) -> Any:
        if indices.size and (indices.min() < 0 or indices.max() >= int(size)):
            raise InvalidArgumentError(f"Index {int(indices.max())} out of range [0, {int(size)}).")
        rows, places = np.unique(indices, return_inverse=True)
        out = np.zeros((rows.size, *grad.shape[1:]), grad.dtype)
        add_at(out, (places.reshape(-1),), _scaled_rows(kind, grad, ids))
        return out, rows


for _kind in ("Sum", "Mean", "SqrtN"):
    _register_sparse(_kind)

# -- public functions ------------------------------------------------------------------------------------------------


def _public_sorted(kind: str, words: str) -> None:
    def function(data: Any, segment_ids: Any, name: str | None = None) -> Any:
        return getattr(raw, f"Segment{kind}")(data, segment_ids, name=name)

    function.__doc__ = f"The {words} of the rows of `data` of each id; ids ascend."
    public(f"math.segment_{kind.lower()}")(function)


def _public_unsorted(kind: str, words: str) -> None:
    def function(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
        return getattr(raw, f"UnsortedSegment{kind}")(data, segment_ids, num_segments, name=name)

    function.__doc__ = f"The {words} of the rows of `data` of each id below `num_segments`; ids in any order, negative ones dropped."
    public(f"math.unsorted_segment_{kind.lower()}")(function)


def _public_sparse(kind: str, label: str, words: str) -> None:
    def function(
        data: Any, indices: Any, segment_ids: Any, num_segments: Any = None, name: str | None = None, sparse_gradient: bool = False
    ) -> Any:
        if num_segments is None:
            return getattr(raw, f"SparseSegment{kind}")(data, indices, segment_ids, sparse_gradient=sparse_gradient, name=name)
        return getattr(raw, f"SparseSegment{kind}WithNumSegments")(
            data, indices, segment_ids, num_segments, sparse_gradient=sparse_gradient, name=name
        )

    function.__doc__ = f"The {words} of the rows of `data` that `indices` picks, by ascending segment ids."
    public(f"sparse.segment_{label}")(function)


for _kind, _words in (("Sum", "sum"), ("Mean", "mean"), ("Prod", "product"), ("Min", "least"), ("Max", "greatest")):
    _public_sorted(_kind, _words)
    if _kind != "Mean":
        _public_unsorted(_kind, _words)
for _kind, _label, _words in (("Sum", "sum", "sum"), ("Mean", "mean", "mean"), ("SqrtN", "sqrt_n", "sum over the root of the count")):
    _public_sparse(_kind, _label, _words)


def _row_counts(data: Any, segment_ids: Any, num_segments: Any) -> Any:
    """The number of rows of each segment, at least 1, in a shape that divides the sums."""
    ids = convert_to_tensor(segment_ids)
    flat = tf.reshape(ids, [-1])
    counts = raw.UnsortedSegmentSum(tf.ones_like(flat, dtype=data.dtype), flat, num_segments)
    inner = tf.rank(data) - tf.rank(ids)
    counts = tf.reshape(counts, tf.concat([[-1], tf.fill(tf.reshape(inner, [1]), tf.constant(1))], 0))
    return tf.maximum(counts, tf.constant(1, data.dtype))


@public("math.unsorted_segment_mean")
def unsorted_segment_mean(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
    """The mean of the rows of `data` of each id below `num_segments`; zero where there are none."""
    data = convert_to_tensor(data)
    return raw.UnsortedSegmentSum(data, segment_ids, num_segments, name=name) / _row_counts(data, segment_ids, num_segments)


@public("math.unsorted_segment_sqrt_n")
def unsorted_segment_sqrt_n(data: Any, segment_ids: Any, num_segments: Any, name: str | None = None) -> Any:
    """The sum of the rows of each id over the square root of their number."""
    data = convert_to_tensor(data)
    return raw.UnsortedSegmentSum(data, segment_ids, num_segments, name=name) / tf.sqrt(_row_counts(data, segment_ids, num_segments))
