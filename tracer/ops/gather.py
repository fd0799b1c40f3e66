"""Reading by index: Gather, GatherV2, GatherNd, Where and boolean masks. Writing by index lives in scatter.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.object_arrays import as_array, unwrap
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []


_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def _check_indices(indices: np.ndarray, size: int) -> None:
    """Raise for the first index outside of [0, size), in the words of the CPU kernel."""
    # seen as unsigned, negative numbers are huge: one pass finds both
    if indices.size and indices.view(_UNSIGNED[indices.itemsize]).max() >= size:
        flat = indices.reshape(-1)
        bad = int(np.flatnonzero((flat < 0) | (flat >= size))[0])
        where = ",".join(str(i) for i in np.unravel_index(bad, indices.shape))
        raise InvalidArgumentError(f"indices{f'[{where}]' if indices.ndim else ''} = {int(flat[bad])} is not in [0, {size})")


# -- Gather, GatherV2 ------------------------------------------------------------------------------------------------

gather_op = op(
    "Gather(params: Tparams, indices: Tindices) -> (output: Tparams); validate_indices: bool = true; Tparams: type; Tindices: {int32, int64}"
)


@gather_op.infer
def _(ctx: Any) -> Any:
    params, indices = ctx.shape(0), ctx.shape(1)
    if params.rank is None or indices.rank is None:
        return unknown_shape()
    return indices.concatenate(params[1:])


@gather_op.kernel
def _(params: np.ndarray, indices: np.ndarray) -> Any:
    if params.ndim < 1:
        raise InvalidArgumentError("params must be at least 1 dimensional")
    _check_indices(indices, params.shape[0])
    return unwrap(as_array(params[indices]))


@gather_op.gradient
def _(node: Any, grad: Any) -> Any:
    return _rows(node.inputs[0], node.inputs[1], grad), None


def _rows(params: Any, indices: Any, grad: Any) -> Any:
    """The gradient of a gather on axis 0."""
    from tracer.composite import IndexedSlices

    shape = tf.shape(params, out_type=dtypes.int64)
    rows = tf.concat([tf.reshape(tf.size(indices, out_type=dtypes.int64), [1]), shape[1:]], 0)
    return IndexedSlices(tf.reshape(convert_to_tensor(grad), rows), tf.reshape(indices, [-1]), shape)


gather_v2_op = op(
    "GatherV2(params: Tparams, indices: Tindices, axis: Taxis) -> (output: Tparams); batch_dims: int = 0; Tparams: type; "
    "Tindices: {int16, int32, int64}; Taxis: {int32, int64}"
)


@gather_v2_op.infer
def _(ctx: Any) -> Any:
    params, indices, axis = ctx.shape(0), ctx.shape(1), ctx.value(2)
    batch = ctx.attr("batch_dims")
    if ctx.handle(0) is not None:
        ctx.handle_data[0] = ctx.handle(0)
    if params.rank is None or indices.rank is None:
        return unknown_shape()
    if batch < 0:
        batch += indices.rank
    if axis is None:
        return unknown_shape(params.rank - 1 + indices.rank - batch)
    place = int(axis)
    if not -params.rank <= place < params.rank:
        raise ShapeError(f"Shape must be at least rank {place + 1 if place >= 0 else -place} but is rank {params.rank} for 'GatherV2'")
    place %= params.rank
    if not 0 <= batch <= min(indices.rank, place):
        raise ShapeError(f"GatherV2: batch_dims {batch} must be between 0 and min(rank of indices {indices.rank}, axis {place})")
    lead = params[:batch].merge_with(indices[:batch])
    return lead.concatenate(params[batch:place]).concatenate(indices[batch:]).concatenate(params[place + 1 :])


@gather_v2_op.kernel
def _(params: np.ndarray, indices: np.ndarray, axis: np.ndarray, *, batch_dims: int) -> Any:
    place = int(axis)
    rank = params.ndim
    if not -rank <= place < rank:
        raise InvalidArgumentError(f"Expected axis in the range [{-rank}, {rank}), but got {place}")
    place %= rank
    size = params.shape[place]
    _check_indices(indices, size)
    if not batch_dims:
        out = params.take(indices, place, mode="clip")
        return out if out.ndim and type(out) is np.ndarray else unwrap(as_array(out))
    batch = batch_dims + indices.ndim if batch_dims < 0 else batch_dims
    if not 0 <= batch <= indices.ndim:
        raise InvalidArgumentError(f"Expected batch_dims in the range [{-indices.ndim}, {indices.ndim}], but got {batch_dims}")
    if batch > place:
        raise InvalidArgumentError(f"batch_dims ({batch}) must be less than or equal to axis ({place}).")
    if params.shape[:batch] != indices.shape[:batch]:
        raise InvalidArgumentError(f"params.shape[:{batch}] {list(params.shape[:batch])} should be equal to indices.shape[:{batch}] {list(indices.shape[:batch])}")
    lead, outer, inner = params.shape[:batch], params.shape[batch:place], params.shape[place + 1 :]
    picked = indices.shape[batch:]
    n = [int(np.prod(s, dtype=np.int64)) for s in (lead, outer, inner, picked)]
    p = params.reshape(n[0], n[1], size, n[2])
    i = indices.reshape(n[0], 1, n[3])
    out = p[np.arange(n[0])[:, None, None], np.arange(n[1])[None, :, None], i]
    return out.reshape(*lead, *outer, *picked, *inner)


@gather_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    params, indices, axis = node.inputs
    batch = node.attr("batch_dims") or 0
    place = infer.constant_value(axis)
    if place is not None and params.shape.rank is not None:
        place = np.asarray(int(place) % params.shape.rank)
    if batch < 0:
        if indices.shape.rank is None:
            raise InvalidArgumentError("GatherV2: negative batch_dims need indices of known rank for the gradient")
        batch += indices.shape.rank
    if place is not None and int(place) == 0 and batch == 0:
        return _rows(params, indices, grad), None, None
    shape = tf.shape(params)
    at = tf.cast(axis, dtypes.int32) if place is None else convert_to_tensor(int(place))
    if place is None:
        at = tf.math.floormod(at, tf.rank(params))
    # params as (lead, outer, n, inner), grad as (lead, outer, k, inner): sum the k rows of each lead into n segments
    lead, outer = tf.reduce_prod(shape[:batch]), tf.reduce_prod(shape[batch:at])
    n, inner = shape[at], tf.reduce_prod(shape[at + 1 :])
    picked = tf.reduce_prod(tf.shape(indices)[batch:])
    values = tf.transpose(tf.reshape(grad, tf.stack([lead, outer, picked, inner])), [0, 2, 1, 3])
    flat = tf.reshape(indices, tf.stack([lead, picked])) + tf.cast(tf.expand_dims(tf.range(lead) * n, 1), indices.dtype)
    sums = tf.math.unsorted_segment_sum(
        tf.reshape(values, tf.stack([lead * picked, outer, inner])), tf.reshape(tf.cast(flat, dtypes.int64), tf.reshape(lead * picked, [1])), lead * n
    )
    back = tf.transpose(tf.reshape(sums, tf.stack([lead, n, outer, inner])), [0, 2, 1, 3])
    return tf.reshape(back, shape), None, None


# -- GatherNd --------------------------------------------------------------------------------------------------------

gather_nd_op = op("GatherNd(params: Tparams, indices: Tindices) -> (output: Tparams); Tparams: type; Tindices: {int16, int32, int64}")


@gather_nd_op.infer
def _(ctx: Any) -> Any:
    params, indices = ctx.shape(0), ctx.shape(1)
    if params.rank is None or indices.rank is None or indices.rank == 0 or indices[-1] is None:
        return unknown_shape()
    if indices[-1] > params.rank:
        raise ShapeError(f"indices.shape[-1] must be <= params.rank, but saw indices.shape[-1] = {indices[-1]} and params.rank = {params.rank}")
    return indices[:-1].concatenate(params[indices[-1] :])


def nd_index(indices: np.ndarray, shape: tuple[int, ...], words: str = "indices") -> tuple[np.ndarray, ...]:
    """The last axis of `indices` as a NumPy index, checked against `shape`."""
    depth = indices.shape[-1]
    limits = np.array(shape[:depth], np.int64)
    if indices.size:
        wrong = ((indices < 0) | (indices >= limits)).any(axis=-1)
        if wrong.any():
            flat = wrong.reshape(-1)
            bad = int(np.flatnonzero(flat)[0])
            where = ",".join(str(i) for i in np.unravel_index(bad, wrong.shape)) if wrong.ndim else ""
            row = indices.reshape(-1, depth)[bad].tolist()
            raise InvalidArgumentError(f"{words}[{where}] = [{', '.join(map(str, row))}] does not index into param shape {list(shape)}")
    return tuple(indices[..., i] for i in range(depth))


@gather_nd_op.kernel
def _(params: np.ndarray, indices: np.ndarray) -> Any:
    if indices.ndim < 1:
        raise InvalidArgumentError("indices must be at least a vector")
    if indices.shape[-1] > params.ndim:
        raise InvalidArgumentError(f"index innermost dimension length must be <= params rank; saw: {indices.shape[-1]} vs. {params.ndim}")
    if indices.shape[-1] == 0:
        return np.broadcast_to(params, (*indices.shape[:-1], *params.shape))
    return unwrap(as_array(params[nd_index(indices, params.shape)]))


@gather_nd_op.gradient
def _(node: Any, grad: Any) -> Any:
    params, indices = node.inputs
    shape = tf.shape(params, out_type=indices.dtype if indices.dtype != dtypes.int16 else dtypes.int32)
    if indices.shape.rank == 2 and indices.shape[-1] == 1:
        from tracer.composite import IndexedSlices

        return IndexedSlices(grad, tf.squeeze(indices, axis=-1), shape), None
    if indices.dtype == dtypes.int16:
        indices = tf.cast(indices, dtypes.int32)
    return raw.ScatterNd(indices, grad, shape), None


# -- Where -----------------------------------------------------------------------------------------------------------

where_op = op(
    "Where(input: T) -> (index: int64); T: {float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, "
    "qint16, quint16, uint16, complex128, half, uint32, uint64, bool} = bool"
).not_differentiable()
where_op.infer(lambda ctx: TensorShape([None, ctx.rank(0)]))
where_op.kernel(lambda x: np.argwhere(x.astype(bool)) if x.ndim else np.empty((int(bool(x)), 0), np.int64))

# -- UnravelIndex ----------------------------------------------------------------------------------------------------

unravel_op = op("UnravelIndex(indices: Tidx, dims: Tidx) -> (output: Tidx); Tidx: {int32, int64} = int32").not_differentiable()


@unravel_op.infer
def _(ctx: Any) -> Any:
    indices, dims = ctx.shape(0), ctx.shape(1)
    if indices.rank is None:
        return unknown_shape()
    count = dims[0] if dims.rank == 1 else None
    return TensorShape([count]) if indices.rank == 0 else TensorShape([count, indices.num_elements()])


@unravel_op.kernel
def _(indices: np.ndarray, dims: np.ndarray) -> np.ndarray:
    if dims.ndim != 1 or (dims <= 0).any():
        raise InvalidArgumentError(f"Input dims must be a vector of positive sizes, received {dims.tolist()}")
    total = int(np.prod(dims.astype(object)))
    if indices.size and (indices.min() < 0 or indices.max() >= total):
        raise InvalidArgumentError(f"index is out of bound as with dims: expected 0 <= index < {total}, received {int(indices.max())}")
    found = np.stack(np.unravel_index(indices.reshape(-1), tuple(dims.tolist()))).astype(indices.dtype)
    return found.reshape(-1) if indices.ndim == 0 else found


# -- public functions ------------------------------------------------------------------------------------------------


@public("gather")
def gather(params: Any, indices: Any, validate_indices: Any = None, axis: Any = None, batch_dims: int = 0, name: str | None = None) -> Any:
    """The slices of `params` at `indices` along `axis` (default: `batch_dims`)."""
    del validate_indices
    if axis is None:
        axis = batch_dims
    sparse_read = getattr(params, "sparse_read", None)
    if sparse_read is not None and batch_dims == 0 and (isinstance(axis, int) and axis == 0):
        return sparse_read(indices, name=name)
    params = convert_to_tensor(params)
    indices = convert_to_tensor(indices)
    if indices.dtype in (dtypes.uint8, dtypes.uint16, dtypes.int8, dtypes.uint32):
        indices = tf.cast(indices, dtypes.int64 if indices.dtype == dtypes.uint32 else dtypes.int32)
    return raw.GatherV2(params, indices, axis, batch_dims=batch_dims, name=name)


@public("gather_nd")
def gather_nd(params: Any, indices: Any, batch_dims: int = 0, name: str | None = None) -> Any:
    """The slices of `params` at the index vectors in the last axis of `indices`, after `batch_dims` shared axes."""
    indices = convert_to_tensor(indices)
    if indices.dtype in (dtypes.int8, dtypes.uint8, dtypes.uint16):
        indices = tf.cast(indices, dtypes.int32)
    count = batch_dims if isinstance(batch_dims, int) else int(batch_dims)
    if count == 0:
        nd_read = getattr(params, "gather_nd", None)
        if nd_read is not None and getattr(params, "_is_variable", False):
            return nd_read(indices, name=name)
        return raw.GatherNd(convert_to_tensor(params), indices, name=name)
    params = convert_to_tensor(params)
    rank = indices.shape.rank
    if rank is None or params.shape.rank is None:
        raise InvalidArgumentError("gather_nd with batch_dims: expected params and indices of known rank, received an unknown rank")
    if count >= rank:
        raise InvalidArgumentError(f"batch_dims = {count} must be less than rank(`indices`) = {rank}")
    shape = tf.shape(indices)
    parts = []
    for i in range(count):
        numbers = tf.reshape(tf.range(tf.cast(shape[i], indices.dtype), dtype=indices.dtype), [-1 if k == i else 1 for k in range(rank)])
        parts.append(tf.broadcast_to(numbers, tf.concat([shape[:-1], [1]], 0)))
    return raw.GatherNd(params, tf.concat([*parts, indices], -1), name=name)


@public("where")
def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Any:
    """With one argument the indices of its true elements; with three, x where the condition holds and y elsewhere, all broadcast.

    Raises:
        ValueError: exactly one of x and y is given.
    """
    if x is None and y is None:
        condition = convert_to_tensor(condition)
        if condition.dtype.kind == "s":
            raise TypeError("where: expected numbers or booleans, received strings")
        return raw.Where(condition, name=name)
    if x is None or y is None:
        raise InvalidArgumentError("x and y must both be non-None or both be None.")
    condition = convert_to_tensor(condition, dtypes.bool) if not isinstance(condition, Tensor) else condition
    return raw.SelectV2(condition, x, y, name=name)


@public("boolean_mask")
def boolean_mask(tensor: Any, mask: Any, axis: Any = None, name: str = "boolean_mask") -> Any:
    """The elements of `tensor` whose entry in `mask` is true; the mask covers the axes that start at `axis` (0).

    Raises:
        ValueError: the mask's shape does not fit, or its rank is 0 or unknown.
    """
    tensor, mask = convert_to_tensor(tensor), convert_to_tensor(mask)
    depth = mask.shape.rank
    if depth == 0:
        raise InvalidArgumentError("mask cannot be scalar.")
    if depth is None:
        raise InvalidArgumentError("Number of mask dimensions must be specified, even if some dimensions are None.  E.g. shape=[None] is ok, but shape=None is not.")
    place = 0 if axis is None else int(infer.constant_value(convert_to_tensor(axis)))  # type: ignore[arg-type]
    if place < 0 and tensor.shape.rank is not None:
        place += tensor.shape.rank
    covered = tensor.shape[place : place + depth]
    if not covered.is_compatible_with(mask.shape):
        raise ShapeError(f"Shapes {covered} and {mask.shape} are incompatible: boolean_mask of {tensor.shape} at axis {place}")
    if depth == 1:
        flat, flags = tensor, mask
    else:
        shape = tf.shape(tensor)
        count = tf.reshape(tf.reduce_prod(shape[place : place + depth]), [1])
        flat = tf.reshape(tensor, tf.concat([shape[:place], count, shape[place + depth :]], 0))
        flags = tf.reshape(mask, [-1])
    indices = tf.squeeze(raw.Where(flags), axis=[1])
    return raw.GatherV2(flat, indices, place, name=name)


@public("sequence_mask")
def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = dtypes.bool, name: str | None = None) -> Any:
    """For each length n, a row of `maxlen` (default: the greatest length) entries of which the first n are true."""
    lengths = convert_to_tensor(lengths)
    if maxlen is None:
        rank_all = lengths if lengths.shape.rank == 0 else tf.reduce_max(tf.reshape(lengths, [-1]))
        maxlen = tf.maximum(tf.constant(0, lengths.dtype), rank_all)
    else:
        maxlen = convert_to_tensor(maxlen)
    if maxlen.shape.rank not in (0, None):
        raise InvalidArgumentError("Argument `maxlen` must be scalar for sequence_mask, received shape " + str(maxlen.shape))
    positions = tf.range(tf.constant(0, maxlen.dtype), maxlen, tf.constant(1, maxlen.dtype))
    matrix = tf.cast(tf.expand_dims(lengths, -1), maxlen.dtype)
    result = positions < matrix
    return result if dtypes.as_dtype(dtype) == dtypes.bool else tf.cast(result, dtype)


@public("unravel_index")
def unravel_index(indices: Any, dims: Any, name: str | None = None) -> Any:
    """The coordinates in a tensor of shape `dims` of elements numbered in row-major order, one row per axis."""
    return raw.UnravelIndex(indices, dims, name=name)
