"""`rt[key]` for ragged tensors, made of ops. It refuses an integer index into an inner ragged dimension, as TensorFlow does."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, OutOfRangeError
from tracer.ragged import RaggedTensor, _first_size, _gather, is_ragged, lengths_to_splits
from tracer.tensor import EagerTensor, convert_to_tensor

__all__ = ["getitem"]


def getitem(rt: Any, key: Any) -> Any:
    """`rt[key]`: integers and slices on the rows, slices on inner dimensions, Ellipsis, newaxis; a ragged boolean mask."""
    if is_ragged(key) and key.dtype == dtypes.bool:
        from tracer.public import tf

        return tf.ragged.boolean_mask(rt, key)
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    return _getitem(rt, keys)


def _expand_ellipsis(keys: list[Any], rank: int | None) -> list[Any]:
    if rank is None:
        raise InvalidArgumentError("Ellipsis not supported for unknown shape RaggedTensors")
    used = sum(1 for k in keys if k is not Ellipsis and k is not None)
    missing = rank - used
    out: list[Any] = []
    seen = False
    for k in keys:
        if k is Ellipsis:
            if not seen:
                out.extend([slice(None)] * missing)
            seen = True
        else:
            out.append(k)
    return out


def _getitem(rt: Any, keys: list[Any]) -> Any:
    if not keys:
        return rt
    if any(k is Ellipsis for k in keys):
        keys = _expand_ellipsis(keys, rt.shape.rank)
        if not keys:
            return rt
    if not is_ragged(rt):
        return rt[tuple(keys)]
    first, inner = keys[0], keys[1:]
    if first is None:
        whole = _getitem(rt, inner)
        if not is_ragged(whole):
            return raw.ExpandDims(input=whole, dim=0)
        return RaggedTensor.from_uniform_row_length(whole, whole.nrows(), nrows=1, validate=False)
    if isinstance(first, slice):
        return _inner(_slice_rows(rt, first), inner)
    return _getitem(_row(rt, first), inner)


def _row(rt: Any, index: Any) -> Any:
    if isinstance(index, EagerTensor):
        index = int(index)
    if isinstance(index, (int, np.integer)) and isinstance(rt.row_splits, EagerTensor):
        count = len(rt)
        if not -count <= index < count:
            raise OutOfRangeError(f"slice index {index} of dimension 0 out of bounds: the RaggedTensor has {count} rows")
    elif not isinstance(index, (int, np.integer)) and not hasattr(index, "dtype"):
        raise TypeError(f"RaggedTensor index: expected an integer, slice, Ellipsis or newaxis, received {index!r}")
    splits = rt.row_splits
    return rt.values[splits[:-1][index] : splits[1:][index]]


def _step_is_one(step: Any) -> bool:
    return step is None or (isinstance(step, (int, np.integer)) and step == 1)


def _slice_rows(rt: Any, key: slice) -> Any:
    if key.start is None and key.stop is None and key.step is None:
        return rt
    starts, limits = rt.row_splits[:-1][key], rt.row_splits[1:][key]
    if _step_is_one(key.step):
        # The kept rows are one run of values.
        first = rt.row_splits[:1] if _is_empty(starts) else None
        splits = raw.ConcatV2(values=[starts[:1], limits], axis=0) if first is None else first
        if first is None and not isinstance(starts, EagerTensor):
            # No row kept: still one split is needed.
            pad = rt.row_splits[:1][raw.Shape(input=starts, out_type=dtypes.int32)[0] :]
            splits = raw.ConcatV2(values=[pad, splits], axis=0)
        values = rt.values[splits[0] : splits[-1]]
        return RaggedTensor(values, splits - splits[0], rt.uniform_row_length)
    positions = _ranges(starts, limits)
    return RaggedTensor(_gather(rt.values, positions), lengths_to_splits(limits - starts), rt.uniform_row_length)


def _is_empty(starts: Any) -> bool:
    return isinstance(starts, EagerTensor) and not len(starts)


def _ranges(starts: Any, limits: Any, step: Any = None) -> Any:
    """The positions start … limit of each row, one row after another."""
    step = convert_to_tensor(1, starts.dtype) if step is None else step
    found = raw.RaggedRange(starts=starts, limits=limits, deltas=step, Tsplits=starts.dtype)
    return found[1]


def _inner(rt: Any, keys: list[Any]) -> Any:
    """Apply `keys` to the dimensions after the first."""
    if not keys:
        return rt
    if not is_ragged(rt):
        return rt[(slice(None), *keys)]
    first, rest = keys[0], keys[1:]
    if first is None:
        whole = _inner(rt, rest)
        return RaggedTensor.from_uniform_row_length(whole, 1, nrows=_first_size(whole, rt.row_splits.dtype), validate=False)
    if isinstance(first, slice):
        if first.start is None and first.stop is None and first.step is None:
            return rt.with_values(_inner(rt.values, rest))
        return _slice_columns(rt, first, rest)
    if rt.uniform_row_length is None:
        raise InvalidArgumentError(
            "Cannot index into an inner ragged dimension: rows differ in length; use a slice, or tf.gather with batch_dims=1"
        )
    length = rt.uniform_row_length
    index = convert_to_tensor(first, length.dtype) if not hasattr(first, "dtype") else raw.Cast(x=first, DstT=length.dtype)
    offset = raw.SelectV2(condition=index < 0, t=index + length, e=index)
    return _getitem(_gather(rt.values, rt.row_splits[:-1] + offset), [slice(None), *rest])


def _slice_columns(rt: Any, key: slice, rest: list[Any]) -> Any:
    dtype = rt.row_splits.dtype
    starts, limits = rt.row_splits[:-1], rt.row_splits[1:]
    lengths = limits - starts
    zero = convert_to_tensor(0, dtype)

    def bound(value: Any, low: Any, high: Any) -> Any:
        """`value` counted from the row's start (or end, where negative), kept between `low` and `high`."""
        t = convert_to_tensor(value, dtype) if not hasattr(value, "dtype") else raw.Cast(x=value, DstT=dtype)
        t = raw.SelectV2(condition=t < 0, t=t + lengths, e=t + raw.ZerosLike(x=lengths))
        return raw.Minimum(x=raw.Maximum(x=t, y=low), y=high)

    step = 1 if key.step is None else key.step
    if hasattr(step, "dtype"):
        if not isinstance(step, EagerTensor):
            raise InvalidArgumentError("slice of an inner ragged dimension: the step must be known while tracing")
        step = int(step)
    if step == 0:
        raise InvalidArgumentError("slice step cannot be zero")
    if step > 0:
        begin = zero if key.start is None else bound(key.start, zero, lengths)
        end = lengths if key.stop is None else bound(key.stop, zero, lengths)
    else:
        begin = lengths - 1 if key.start is None else bound(key.start, zero - 1, lengths - 1)
        end = raw.ZerosLike(x=lengths) - 1 if key.stop is None else bound(key.stop, zero - 1, lengths - 1)
    first, last = starts + begin, starts + end
    last = raw.Maximum(x=last, y=first) if step > 0 else raw.Minimum(x=last, y=first)
    found = raw.RaggedRange(starts=first, limits=last, deltas=convert_to_tensor(step, dtype), Tsplits=dtype)
    values = _gather(rt.values, found[1])
    return RaggedTensor(_inner(values, rest), found[0])
