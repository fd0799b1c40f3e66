"""tf.ragged: constants, ranges, masks, segment ids, stacking. Public functions only; the ops are in ragged.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes, ragged_functions
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError
from tracer.public import public, tf
from tracer.ragged import RaggedTensor, _cast, _first_size, _gather, is_ragged, lengths_to_splits, rowids_to_splits
from tracer.tensor import array_of, convert_to_tensor, from_array


def _depth(value: Any) -> tuple[int, int | None]:
    """How deep lists are nested, and at what depth scalars lie (None: there are none)."""
    if isinstance(value, np.ndarray) and value.ndim:
        return value.ndim, value.ndim if value.size else None
    if not isinstance(value, (list, tuple)):
        return 0, 0
    deepest, scalar = 1, None
    for v in value:
        d, s = _depth(v)
        deepest = max(deepest, d + 1)
        if s is not None:
            if scalar is not None and scalar != s + 1:
                raise InvalidArgumentError("all scalar values must have the same nesting depth")
            scalar = s + 1
    if scalar is not None and deepest > scalar:
        raise InvalidArgumentError(f"Invalid pylist={value!r}: empty list nesting is greater than scalar value nesting")
    return deepest, scalar


def _inner_shape(values: list[Any]) -> tuple[int, ...]:
    """The shape that the entries of `values` share."""
    shapes = {np.shape(v) if isinstance(v, (np.ndarray, list, tuple)) else () for v in values}
    if len(shapes) > 1:
        raise InvalidArgumentError(f"inner values have inconsistent shapes: {sorted(shapes)}")
    return shapes.pop() if shapes else ()


@public("ragged.constant")
def constant(
    pylist: Any, dtype: Any = None, ragged_rank: int | None = None, inner_shape: Any = None, name: str | None = None,
    row_splits_dtype: Any = dtypes.int64,
) -> Any:  # fmt: skip
    """A ragged tensor of nested lists.

    Args:
        ragged_rank: how many dimensions are ragged; all but the first and the uniform ones of `inner_shape` by default.
        inner_shape: the shape of the innermost uniform part.

    Raises:
        ValueError: scalars lie at different depths, or inner parts differ in shape.
    """
    splits_dtype = as_dtype(row_splits_dtype)
    if isinstance(pylist, np.ndarray):
        pylist = pylist.tolist() if pylist.ndim else pylist.item()
    if not isinstance(pylist, (list, tuple)):
        if ragged_rank:
            raise InvalidArgumentError(f"Invalid pylist={pylist!r}: incompatible with ragged_rank={ragged_rank}")
        return convert_to_tensor(pylist, dtype)
    depth, scalar = _depth(pylist)
    inner = None if inner_shape is None else tuple(inner_shape) if isinstance(inner_shape, (list, tuple)) else tuple(inner_shape.as_list())
    if ragged_rank is None:
        ragged_rank = max(0, depth - 1 - (len(inner) if inner is not None else 0))
        if inner is None:
            inner = ()
    elif ragged_rank >= depth and scalar is not None:
        raise InvalidArgumentError(f"Invalid pylist={pylist!r}: incompatible with ragged_rank={ragged_rank}")
    nested: list[np.ndarray] = []
    values: list[Any] = list(pylist)
    for _ in range(ragged_rank):
        rows = [list(v) for v in values]
        nested.append(np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(splits_dtype.numpy))
        values = [v for r in rows for v in r]
    if inner is None:
        inner = _inner_shape(values)
    if values:
        array, found = array_of(values, None if dtype is None else as_dtype(dtype))
        if array.shape[1:] != inner:
            raise InvalidArgumentError(f"Invalid pylist: expected inner shape {inner}, received {array.shape[1:]}")
    else:
        found = dtypes.float32 if dtype is None else as_dtype(dtype)
        array = np.zeros((0, *inner), found.numpy)
    flat = from_array(array, found)
    return RaggedTensor.from_nested_row_splits(flat, [convert_to_tensor(s) for s in nested], validate=False)


@public("ragged.range")
def ragged_range(
    starts: Any, limits: Any = None, deltas: Any = 1, dtype: Any = None, name: str | None = None, row_splits_dtype: Any = dtypes.int64
) -> RaggedTensor:
    """Row i counts from `starts[i]` to `limits[i]` by `deltas[i]`."""
    if limits is None:
        starts, limits = 0, starts
    values = [starts, limits, deltas]
    if dtype is None:
        found = [convert_to_tensor(v).dtype for v in values]
        order = [dtypes.int32, dtypes.int64, dtypes.float32, dtypes.float64]
        dtype = max(found, key=order.index)
    tensors = [
        _cast(v, as_dtype(dtype)) if hasattr(v, "dtype") and hasattr(v, "shape") and not isinstance(v, np.ndarray)
        else convert_to_tensor(np.asarray(v, as_dtype(dtype).numpy))
        for v in values
    ]  # fmt: skip
    splits, flat = raw.RaggedRange(starts=tensors[0], limits=tensors[1], deltas=tensors[2], Tsplits=row_splits_dtype, name=name)
    return RaggedTensor(flat, splits)


@public("ragged.map_flat_values")
def map_flat_values(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`op` on the flat values of the ragged arguments, which must have equal partitions."""
    leaves = [a for a in [*args, *kwargs.values()] if is_ragged(a)]
    for a in [*args, *kwargs.values()]:
        if isinstance(a, (list, tuple)):
            leaves += [x for x in a if is_ragged(x)]
    if not leaves:
        return op(*args, **kwargs)
    first = leaves[0]
    if any(r.row_splits.dtype != first.row_splits.dtype for r in leaves):
        first = first.with_row_splits_dtype(dtypes.int64)

    def flat(value: Any) -> Any:
        if is_ragged(value):
            return ragged_functions._same_partition(first, value.with_row_splits_dtype(first.row_splits.dtype)).flat_values
        if isinstance(value, (list, tuple)) and any(is_ragged(v) for v in value):
            return type(value)(flat(v) for v in value)
        return value

    result = convert_to_tensor(op(*[flat(a) for a in args], **{k: flat(v) for k, v in kwargs.items()}))
    return first.with_flat_values(result)


@public("ragged.boolean_mask")
def boolean_mask(data: Any, mask: Any, name: str | None = None) -> Any:
    """The values of `data` where `mask` is true; dimensions of the mask become ragged."""
    data = data if is_ragged(data) else convert_to_tensor(data)
    mask = mask if is_ragged(mask) else convert_to_tensor(mask, dtypes.bool)
    if mask.dtype != dtypes.bool:
        raise InvalidArgumentError(f"mask: expected bool, received {mask.dtype.name}")
    if not is_ragged(mask):
        rank = mask.shape.rank
        if not rank:
            raise InvalidArgumentError("mask cannot be scalar.")
        if rank == 1:
            return _gather(data, raw.Squeeze(input=raw.Where(input=mask), squeeze_dims=[1]))
        mask = RaggedTensor.from_tensor(mask, ragged_rank=rank - 1)
    if not is_ragged(data):
        data = RaggedTensor.from_tensor(data, ragged_rank=mask.ragged_rank, row_splits_dtype=mask.row_splits.dtype)
    if is_ragged(mask.values):
        inner = boolean_mask(data.values, mask.values)
        return RaggedTensor(inner, data.row_splits)
    dtype = data.row_splits.dtype
    kept = raw.Cast(x=mask.values, DstT=dtype)
    counts = raw.UnsortedSegmentSum(data=kept, segment_ids=mask.value_rowids(), num_segments=mask.nrows())
    chosen = raw.Squeeze(input=raw.Where(input=mask.values), squeeze_dims=[1])
    return RaggedTensor(_gather(data.values, chosen), lengths_to_splits(_cast(counts, dtype)))


@public("ragged.stack")
def stack(values: Any, axis: int = 0, name: str | None = None) -> Any:
    """Stack tensors of one rank, ragged or not, into a ragged tensor of one rank more."""
    items = list(values) if isinstance(values, (list, tuple)) else [values]
    tensors = [v if is_ragged(v) else convert_to_tensor(v) for v in items]
    ranks = {t.shape.rank for t in tensors}
    if ranks == {0}:
        return raw.Pack(values=tensors)
    if ranks == {1} and axis == 0:
        splits_dtype = dtypes.int64
        lengths = raw.Pack(values=[_first_size(t, splits_dtype) for t in tensors])
        flat = tensors[0] if len(tensors) == 1 else raw.ConcatV2(values=tensors, axis=0)
        return RaggedTensor(flat, lengths_to_splits(lengths))
    if axis == 0 and not any(is_ragged(t) for t in tensors):
        tensors[0] = RaggedTensor.from_tensor(tensors[0])
    return ragged_functions.stack(tensors, axis)


@public("ragged.stack_dynamic_partitions")
def stack_dynamic_partitions(data: Any, partitions: Any, num_partitions: Any, name: str | None = None) -> RaggedTensor:
    """Row i holds the entries of `data` whose partition is i, in order."""
    data = data if is_ragged(data) else convert_to_tensor(data)
    partitions = convert_to_tensor(partitions)
    rank = partitions.shape.rank
    if rank is None:
        raise InvalidArgumentError("partitions must have known rank")
    if rank == 0:
        data, partitions = raw.ExpandDims(input=data, dim=0), raw.ExpandDims(input=partitions, dim=0)
    elif rank > 1:
        data = ragged_functions.merge_dims(data, 0, rank - 1) if is_ragged(data) else ragged_functions.merge_outer(data, rank)
        partitions = raw.Reshape(tensor=partitions, shape=[-1])
    ids = _cast(partitions, dtypes.int64)
    count = _cast(convert_to_tensor(num_partitions), dtypes.int64)
    order = tf.argsort(ids, stable=True)
    return RaggedTensor(_gather(data, order), rowids_to_splits(ids, count))


@public("ragged.row_splits_to_segment_ids")
def row_splits_to_segment_ids(splits: Any, name: str | None = None, out_type: Any = None) -> Any:
    """The row of each value, from row splits."""
    splits = convert_to_tensor(splits, None if hasattr(splits, "dtype") else dtypes.int64)
    count = splits[-1]
    numbers = raw.Range(start=convert_to_tensor(0, splits.dtype), limit=count, delta=convert_to_tensor(1, splits.dtype))
    found = RaggedTensor(numbers, splits).value_rowids()
    return found if out_type is None else _cast(found, as_dtype(out_type))


@public("ragged.segment_ids_to_row_splits")
def segment_ids_to_row_splits(segment_ids: Any, num_segments: Any = None, out_type: Any = None, name: str | None = None) -> Any:
    """Row splits from the sorted row of each value."""
    ids = convert_to_tensor(segment_ids, None if hasattr(segment_ids, "dtype") else dtypes.int64)
    found = RaggedTensor.from_value_rowids(ids, ids, num_segments, validate=False).row_splits
    return _cast(found, dtypes.int64 if out_type is None else as_dtype(out_type))
