"""Distinct elements and differences of lists: Unique…, ListDiff. Sets of sets live in sets.py."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []

Unique = namedtuple("Unique", ["y", "idx"])
UniqueWithCounts = namedtuple("UniqueWithCounts", ["y", "idx", "count"])
ListDiff = namedtuple("ListDiff", ["out", "idx"])


def _by_first(keys: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """The positions where a key is met first, and for each key its number in that order."""
    seen: dict[Any, int] = {}
    first: list[int] = []
    numbers = np.empty(len(keys), np.int64)
    for i, key in enumerate(keys):
        n = seen.setdefault(key, len(seen))
        if n == len(first):
            first.append(i)
        numbers[i] = n
    return np.array(first, np.int64), numbers


def _distinct(x: np.ndarray, axis: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct elements (or slices along `axis`) in order of first appearance, the number of each element, the counts."""
    if axis is None or x.ndim == 1:
        if x.ndim != 1:
            raise InvalidArgumentError(f"unique expects a 1D vector, received shape {list(x.shape)}")
        if x.dtype.kind in "OV":
            first, numbers = _by_first(x.tolist())
        else:
            _, starts, inverse = np.unique(x, return_index=True, return_inverse=True, equal_nan=False)
            order = np.argsort(starts)
            rank = np.empty(len(order), np.int64)
            rank[order] = np.arange(len(order))
            first, numbers = starts[order], rank[inverse.reshape(-1)]
        values = x[first]
    else:
        rows = np.ascontiguousarray(np.moveaxis(x, axis, 0))
        flat = rows.reshape(rows.shape[0], -1)
        keys = [tuple(r) for r in flat.tolist()] if x.dtype == object else [r.tobytes() for r in (flat + 0 if x.dtype.kind == "f" else flat)]
        first, numbers = _by_first(keys)
        values = np.moveaxis(rows[first], 0, axis)
    return values, numbers, np.bincount(numbers, minlength=len(first))


def _axis_of(x: np.ndarray, axis: np.ndarray) -> int | None:
    if axis.size == 0:
        return None
    if axis.size > 1:
        raise InvalidArgumentError(f"axis tensor should have at most one element, received {axis.tolist()}")
    place = int(axis.reshape(())[()])
    if not -x.ndim <= place < x.ndim:
        raise InvalidArgumentError(f"axis has to be between [0, {x.ndim}), received {place}")
    return place % x.ndim


def _shapes(ctx: Any, outputs: int, has_axis: bool) -> Any:
    shape = ctx.shape(0)
    if not has_axis:
        if shape.rank not in (None, 1):
            raise ShapeError(f"{ctx.schema.name}: Shape must be rank 1 but is rank {shape.rank}")
        return [unknown_shape(1), shape if shape.rank == 1 else unknown_shape(1), unknown_shape(1)][:outputs]
    axis = ctx.value(1)
    if shape.rank is None or axis is None:
        return [unknown_shape(shape.rank), unknown_shape(1), unknown_shape(1)][:outputs]
    if axis.size == 0:
        return [unknown_shape(1), shape, unknown_shape(1)][:outputs]
    dims = shape.as_list()
    place = int(axis.reshape(-1)[0])
    length = TensorShape([dims[place]])
    dims[place] = None
    return [TensorShape(dims), length, unknown_shape(1)][:outputs]


def _register(name: str, has_axis: bool, has_counts: bool) -> None:
    axis = ", axis: Taxis" if has_axis else ""
    axis_type = "Taxis: {int32, int64} = int64; " if has_axis else ""
    count = ", count: out_idx" if has_counts else ""
    record = op(f"{name}(x: T{axis}) -> (y: T, idx: out_idx{count}); T: type; {axis_type}out_idx: {{int32, int64}} = int32")
    outputs = 3 if has_counts else 2
    record.infer(lambda ctx: _shapes(ctx, outputs, has_axis))

    @record.kernel
    def _(x: np.ndarray, *rest: np.ndarray, out_idx: dtypes.DType) -> Any:
        values, numbers, counts = _distinct(x, _axis_of(x, rest[0]) if rest else None)
        return (values, numbers.astype(out_idx.numpy), counts.astype(out_idx.numpy))[:outputs]

    record.not_differentiable()


_register("Unique", False, False)
_register("UniqueV2", True, False)
_register("UniqueWithCounts", False, True)
_register("UniqueWithCountsV2", True, True)

list_diff_op = op("ListDiff(x: T, y: T) -> (out: T, idx: out_idx); T: type; out_idx: {int32, int64} = int32").not_differentiable()
list_diff_op.infer(lambda ctx: [unknown_shape(1)] * 2)


@list_diff_op.kernel
def _(x: np.ndarray, y: np.ndarray, *, out_idx: dtypes.DType) -> Any:
    if x.ndim != 1 or y.ndim != 1:
        raise InvalidArgumentError(f"x and y should be 1D vectors, received shapes {list(x.shape)} and {list(y.shape)}")
    if x.dtype.kind in "OV":
        known = set(y.tolist())
        keep = np.array([v not in known for v in x.tolist()], bool)
    else:
        keep = ~np.isin(x, y)
    return x[keep], np.flatnonzero(keep).astype(out_idx.numpy)


@public("unique")
def unique(x: Any, out_idx: Any = dtypes.int32, name: str | None = None) -> Any:
    """The distinct elements of the vector `x` in order of first appearance, and for each element its number among them."""
    y, idx = raw.Unique(convert_to_tensor(x), out_idx=out_idx, name=name)
    return Unique(y, idx)


@public("unique_with_counts")
def unique_with_counts(x: Any, out_idx: Any = dtypes.int32, name: str | None = None) -> Any:
    """As `unique`, with the number of times each distinct element appears."""
    y, idx, count = raw.UniqueWithCounts(convert_to_tensor(x), out_idx=out_idx, name=name)
    return UniqueWithCounts(y, idx, count)


@public("compat.v1.setdiff1d", "compat.v1.list_diff")
def setdiff1d(x: Any, y: Any, index_dtype: Any = dtypes.int32, name: str | None = None) -> Any:
    """The elements of `x` that are not in `y`, and where they stand."""
    out, idx = raw.ListDiff(x, y, out_idx=index_dtype, name=name)
    return ListDiff(out, idx)
