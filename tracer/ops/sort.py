"""Order: TopK, NthElement, InTopK, sorting, searching in sorted vectors."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []

TopKV2 = namedtuple("TopKV2", ["values", "indices"])

_REAL = "{float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}"

# -- TopK ------------------------------------------------------------------------------------------------------------


def _descending(x: np.ndarray, k: int) -> np.ndarray:
    """The indices of the k greatest along the last axis, greatest first; of equals the first comes first."""
    if k == 1 and x.shape[-1] and x.dtype.kind != "V":
        if x.dtype.kind != "f" or not np.isnan(x).any():
            return x.argmax(axis=-1)[..., None]
    n = x.shape[-1]
    if n >= 64 and k * 4 <= n and k:
        found = _selected(x, k)
        if found is not None:
            return found
    order = np.argsort(x[..., ::-1], axis=-1, kind="stable")
    return (n - 1 - order)[..., ::-1][..., :k]


def _selected(x: np.ndarray, k: int) -> np.ndarray | None:
    """As `_descending`, without sorting all: everything above the k-th greatest, and the first of those equal to it."""
    rows = x.reshape(-1, x.shape[-1])
    least = np.partition(rows, x.shape[-1] - k, axis=-1)[:, -k][:, None]
    above, equal = rows > least, rows == least
    room = k - above.sum(axis=-1, keepdims=True)
    chosen = above | equal
    if chosen.sum() != k * len(rows):
        chosen = above | (equal & (np.cumsum(equal, axis=-1) <= room))
        if chosen.sum() != k * len(rows):
            return None  # NaNs compare with nothing
    places = np.nonzero(chosen)[1].reshape(len(rows), k)
    values = np.take_along_axis(rows, places, axis=-1)
    order = k - 1 - np.argsort(values[:, ::-1], axis=-1, kind="stable")[:, ::-1]
    return np.take_along_axis(places, order, axis=-1).reshape(*x.shape[:-1], k)


def _top_k(x: np.ndarray, k: int, index_type: Any) -> Any:
    if x.ndim < 1:
        raise InvalidArgumentError(f"input must be >= 1-D, got shape {list(x.shape)}")
    if k < 0:
        raise InvalidArgumentError(f"Need k >= 0, got {k}")
    if x.shape[-1] < k:
        raise InvalidArgumentError(f"input must have at least k columns. Had {x.shape[-1]}, needed {k}")
    wide = x.astype(np.float32) if x.dtype.kind == "V" or x.dtype.name == "bfloat16" else x
    places = _descending(wide, k)
    return np.take_along_axis(x, places, axis=-1), places.astype(index_type)


def _top_k_shape(shape: Any, k: int | None) -> Any:
    if shape.rank is None:
        return [unknown_shape()] * 2
    if shape.rank == 0:
        raise ShapeError("TopK: Shape must be at least rank 1 but is rank 0")
    last = shape[-1]
    if k is not None and last is not None and last < k:
        raise ShapeError(f"input must have last dimension >= k = {k} but is {last} for 'TopKV2' of {shape}")
    return [TensorShape([*shape.as_list()[:-1], k])] * 2


def _top_k_grad(node: Any, grad: Any, _: Any = None) -> Any:
    x = node.inputs[0]
    places = tf.cast(node.outputs[1], dtypes.int64)
    shape = tf.shape(x, out_type=dtypes.int64)
    k = tf.shape(places, out_type=dtypes.int64)[-1]
    n = shape[-1]
    rows = tf.reduce_prod(shape[:-1])
    flat = tf.reshape(places, tf.stack([rows, k])) + tf.expand_dims(tf.range(rows, dtype=dtypes.int64) * n, 1)
    flat = tf.reshape(flat, tf.reshape(rows * k, [1]))
    scattered = raw.ScatterNd(tf.expand_dims(flat, -1), tf.reshape(grad, tf.reshape(rows * k, [1])), tf.reshape(rows * n, [1]))
    return [tf.reshape(scattered, shape), *[None] * (len(node.inputs) - 1)]


top_k_op = op(f"TopK(input: T) -> (values: T, indices: int32); k: int >= 0; sorted: bool = true; T: {_REAL}")
top_k_op.infer(lambda ctx: _top_k_shape(ctx.shape(0), ctx.attr("k")))
top_k_op.kernel(lambda x, *, k: _top_k(x, k, np.int32))
top_k_op.gradient(_top_k_grad)

top_k_v2_op = op(
    f"TopKV2(input: T, k: Tk) -> (values: T, indices: index_type); sorted: bool = true; T: {_REAL}; Tk: {{int16, int32, int64}} = int32; "
    f"index_type: {{int16, int32, int64}} = int32"
)
top_k_v2_op.infer(lambda ctx: _top_k_shape(ctx.shape(0), None if ctx.value(1) is None else int(ctx.value(1))))
top_k_v2_op.kernel(lambda x, k, *, index_type: _top_k(x, int(k), index_type.numpy))
top_k_v2_op.gradient(_top_k_grad)

approx_op = op(
    "ApproxTopK(input: T) -> (values: T, indices: int32); k: int >= 0; reduction_dimension: int = -1; recall_target: float = 0.949999988079071; "
    "is_max_k: bool = true; reduction_input_size_override: int = -1; aggregate_to_topk: bool = true; T: {half, bfloat16, float}"
)


@approx_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    if shape.rank is None:
        return [unknown_shape()] * 2
    dims = shape.as_list()
    dims[ctx.attr("reduction_dimension")] = ctx.attr("k") if ctx.attr("aggregate_to_topk") else None
    return [TensorShape(dims)] * 2


@approx_op.kernel
def _(x: np.ndarray, *, k: int, reduction_dimension: int, is_max_k: bool) -> Any:
    moved = np.moveaxis(x, reduction_dimension, -1)
    _, places = _top_k(moved if is_max_k else -moved, k, np.int32)
    values = np.take_along_axis(moved, places, axis=-1)
    return np.moveaxis(values, -1, reduction_dimension), np.moveaxis(places, -1, reduction_dimension)


# -- NthElement, InTopK ----------------------------------------------------------------------------------------------

nth_op = op(f"NthElement(input: T, n: int32) -> (values: T); reverse: bool = false; T: {_REAL}")


@nth_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    return unknown_shape() if shape.rank is None else shape[:-1]


@nth_op.kernel
def _(x: np.ndarray, n: np.ndarray, *, reverse: bool) -> np.ndarray:
    place = int(n)
    if x.ndim < 1:
        raise InvalidArgumentError(f"Input must be >= 1-D, got shape {list(x.shape)}")
    if not 0 <= place < x.shape[-1]:
        raise InvalidArgumentError(f"Input must have last dimension > n = {place}")
    return np.sort(x, axis=-1)[..., x.shape[-1] - 1 - place if reverse else place]


@nth_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = node.inputs[0]
    hits = tf.cast(tf.equal(tf.expand_dims(node.outputs[0], -1), x), grad.dtype)
    count = tf.expand_dims(tf.reduce_sum(hits, -1), -1)
    return hits / count * tf.expand_dims(grad, -1), None


def _in_top_k(predictions: np.ndarray, targets: np.ndarray, k: int) -> np.ndarray:
    if predictions.ndim != 2:
        raise InvalidArgumentError("predictions must be 2-dimensional")
    if targets.ndim != 1 or targets.size != predictions.shape[0]:
        raise InvalidArgumentError(f"First dimension of predictions {predictions.shape[0]} must match length of targets {targets.size}")
    classes = predictions.shape[1]
    ok = (targets >= 0) & (targets < classes) & np.isfinite(predictions).all(axis=1)
    chosen = predictions[np.arange(targets.size), np.where(ok, targets, 0)] if classes else np.zeros(targets.size, np.float32)
    with np.errstate(invalid="ignore"):
        return ok & ((predictions > chosen[:, None]).sum(axis=1) < k)


in_top_k_op = op("InTopK(predictions: float, targets: T) -> (precision: bool); k: int; T: {int32, int64} = int32")
in_top_k_op.infer(lambda ctx: ctx.shape(1))
in_top_k_op.kernel(lambda predictions, targets, *, k: _in_top_k(predictions, targets, k))
in_top_k_op.not_differentiable()
in_top_k_v2_op = op("InTopKV2(predictions: float, targets: T, k: T) -> (precision: bool); T: {int32, int64} = int32")
in_top_k_v2_op.infer(lambda ctx: ctx.shape(1))
in_top_k_v2_op.kernel(lambda predictions, targets, k: _in_top_k(predictions, targets, int(k)))
in_top_k_v2_op.not_differentiable()

# -- LowerBound, UpperBound ------------------------------------------------------------------------------------------


def _bounds(rows: np.ndarray, values: np.ndarray, side: str, out_type: Any) -> np.ndarray:
    if rows.ndim != 2 or values.ndim != 2 or rows.shape[0] != values.shape[0]:
        raise InvalidArgumentError(f"Leading dim_size of both tensors must match: expected two matrices, received shapes {list(rows.shape)} and {list(values.shape)}")
    out = np.empty(values.shape, out_type)
    for i in range(len(rows)):
        out[i] = np.searchsorted(rows[i], values[i], side=side)
    return out


for _name, _side in (("LowerBound", "left"), ("UpperBound", "right")):
    _record = op(f"{_name}(sorted_inputs: T, values: T) -> (output: out_type); T: type; out_type: {{int32, int64}} = int32")
    _record.infer(lambda ctx: ctx.shape(1))
    _record.not_differentiable()

    @_record.kernel
    def _(rows: np.ndarray, values: np.ndarray, _side: str = _side, *, out_type: dtypes.DType) -> np.ndarray:
        return _bounds(rows, values, _side, out_type.numpy)


# -- public functions ------------------------------------------------------------------------------------------------


@public("math.top_k", "nn.top_k")
def top_k(input: Any, k: Any = 1, sorted: bool = True, index_type: Any = dtypes.int32, name: str | None = None) -> Any:
    """The `k` greatest values along the last axis and their indices, as a named tuple (values, indices)."""
    values, indices = raw.TopKV2(convert_to_tensor(input), k, sorted=sorted, index_type=index_type, name=name)
    return TopKV2(values, indices)


@public("math.approx_max_k", "nn.approx_max_k")
def approx_max_k(
    operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95, reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True, name: str | None = None,
) -> Any:  # fmt: skip
    """The `k` greatest values along an axis and their indices (exact here)."""
    return tuple(
        raw.ApproxTopK(
            operand, k=k, reduction_dimension=reduction_dimension, recall_target=recall_target, is_max_k=True,
            reduction_input_size_override=reduction_input_size_override, aggregate_to_topk=aggregate_to_topk, name=name,
        )
    )  # fmt: skip


@public("math.approx_min_k", "nn.approx_min_k")
def approx_min_k(
    operand: Any, k: int, reduction_dimension: int = -1, recall_target: float = 0.95, reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True, name: str | None = None,
) -> Any:  # fmt: skip
    """The `k` least values along an axis and their indices (exact here)."""
    return tuple(
        raw.ApproxTopK(
            operand, k=k, reduction_dimension=reduction_dimension, recall_target=recall_target, is_max_k=False,
            reduction_input_size_override=reduction_input_size_override, aggregate_to_topk=aggregate_to_topk, name=name,
        )
    )  # fmt: skip


@public("math.in_top_k", "nn.in_top_k")
def in_top_k(targets: Any, predictions: Any, k: Any, name: str | None = None) -> Any:
    """For each row, whether the target's prediction is among the `k` greatest."""
    return raw.InTopKV2(predictions, targets, k, name=name)


def _flipped(values: Any) -> Any:
    """An order-reversing map of the dtype onto itself."""
    dtype = values.dtype
    if dtype.is_unsigned:
        return tf.constant(dtype.max, dtype) - values
    if dtype.is_integer:
        return tf.constant(-1, dtype) - values
    return -values


def _sorted(values: Any, axis: Any, direction: str, indices: bool) -> Any:
    values = convert_to_tensor(values)
    if direction not in ("ASCENDING", "DESCENDING"):
        raise InvalidArgumentError(f'Argument `direction` should be one of "ASCENDING" or "DESCENDING". Received: direction={direction}')
    if values.shape.rank is None:
        if axis != -1:
            raise InvalidArgumentError("sort: expected values of known rank for an axis other than -1, received an unknown rank")
        perm = None
    else:
        rank = values.shape.rank
        place = int(axis)
        if not -rank <= place < rank:
            raise InvalidArgumentError(f"sort: axis {place} is out of range for values of rank {rank}")
        place %= rank
        perm = None if place == rank - 1 else [*(i for i in range(rank) if i not in (place, rank - 1)), rank - 1, place]
        if perm is not None:
            perm = list(range(rank))
            perm[place], perm[-1] = perm[-1], perm[place]
    x = values if perm is None else tf.transpose(values, perm)
    ascending = direction == "ASCENDING"
    found, places = raw.TopKV2(_flipped(x) if ascending else x, tf.shape(x)[-1], sorted=True)
    out = places if indices else (_flipped(found) if ascending else found)
    return out if perm is None else tf.transpose(out, perm)


@public("sort")
def sort(values: Any, axis: Any = -1, direction: str = "ASCENDING", name: str | None = None) -> Any:
    """`values` sorted along `axis`."""
    return _sorted(values, axis, direction, False)


@public("argsort")
def argsort(values: Any, axis: Any = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None) -> Any:
    """The int32 indices that sort `values` along `axis`; equals keep their order."""
    return _sorted(values, axis, direction, True)


@public("searchsorted")
def searchsorted(
    sorted_sequence: Any, values: Any, side: str = "left", out_type: Any = dtypes.int32, name: str | None = None
) -> Any:
    """For each value, where it goes in the sorted last axis: before ("left") or after ("right") its equals."""
    if side not in ("left", "right"):
        raise InvalidArgumentError(f"Argument `side` must be either 'right' or 'left'. Received: `side` = '{side}'.")
    rows, values = convert_to_tensor(sorted_sequence), convert_to_tensor(values)
    if values.dtype != rows.dtype:
        values = convert_to_tensor(values, rows.dtype)
    out_type = dtypes.as_dtype(out_type)
    width = tf.shape(rows)[-1]
    rows2 = tf.reshape(rows, tf.stack([tf.constant(-1), width])) if rows.shape.num_elements() != 0 else tf.reshape(rows, tf.stack([tf.reduce_prod(tf.shape(rows)[:-1]), width]))
    batch = tf.shape(rows2)[0]
    values2 = tf.reshape(values, tf.stack([batch, tf.reduce_prod(tf.shape(values)[tf.rank(rows) - 1 :]) if rows.shape.rank is None else tf.reduce_prod(tf.shape(values)[rows.shape.rank - 1 :])]))
    which = raw.UpperBound if side == "right" else raw.LowerBound
    return tf.reshape(which(rows2, values2, out_type=out_type, name=name), tf.shape(values))
