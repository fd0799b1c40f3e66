"""Set operations on the last axis: DenseToDense…, DenseToSparse…, SparseToSparseSetOperation, SetSize. Distinct elements of vectors: unique.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []

_KINDS = "T: {int8, int16, int32, int64, uint8, uint16, string}"
_Groups = dict[tuple[int, ...], set[Any]]

_OPERATIONS: dict[bytes, Callable[[set[Any], set[Any]], set[Any]]] = {
    b"a-b": lambda a, b: a - b,
    b"b-a": lambda a, b: b - a,
    b"intersection": lambda a, b: a & b,
    b"union": lambda a, b: a | b,
}


def _dense_groups(x: np.ndarray) -> tuple[_Groups, tuple[int, ...]]:
    if x.ndim < 2:
        raise InvalidArgumentError(f"Invalid input shape {list(x.shape)}: expected a rank of at least 2")
    return {i: set(x[i].tolist()) for i in np.ndindex(x.shape[:-1])}, x.shape[:-1]


def _sparse_groups(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, validate: bool) -> tuple[_Groups, tuple[int, ...]]:
    dims = tuple(shape.tolist())
    if len(dims) < 2:
        raise InvalidArgumentError(f"Invalid input shape {list(dims)}: expected a rank of at least 2")
    if indices.shape != (values.size, len(dims)):
        raise InvalidArgumentError(f"Expected indices of shape [{values.size}, {len(dims)}], received {list(indices.shape)}")
    rows = [tuple(r) for r in indices.tolist()]
    if validate:
        for n, row in enumerate(rows):
            if any(not 0 <= i < d for i, d in zip(row, dims)):
                raise InvalidArgumentError(f"indices[{n}] = {list(row)} is out of bounds: need 0 <= index < {list(dims)}")
            if n and rows[n - 1] >= row:
                word = "repeated" if rows[n - 1] == row else "out of order"
                raise InvalidArgumentError(f"indices[{n}] = {list(row)} is {word}. Many sparse ops require sorted indices; sort them with tf.sparse.reorder")
    groups: _Groups = {}
    for row, value in zip(rows, values.tolist()):
        groups.setdefault(row[:-1], set()).add(value)
    return groups, dims[:-1]


def _combined(first: tuple[_Groups, tuple[int, ...]], second: tuple[_Groups, tuple[int, ...]], operation: bytes, dtype: np.dtype) -> Any:
    name = operation.lower()
    if name not in _OPERATIONS:
        raise InvalidArgumentError(f"Invalid set_operation {operation.decode(errors='replace')}: expected one of a-b, b-a, intersection, union")
    (a, lead_a), (b, lead_b) = first, second
    if lead_a != lead_b:
        raise InvalidArgumentError(f"Mismatched group shapes: {list(lead_a)} vs. {list(lead_b)}")
    indices: list[tuple[int, ...]] = []
    values: list[Any] = []
    widest = 0
    for group in sorted({*a, *b}):
        found = sorted(_OPERATIONS[name](a.get(group, set()), b.get(group, set())))
        widest = max(widest, len(found))
        indices += [(*group, i) for i in range(len(found))]
        values += found
    out = np.empty(len(values), dtype)
    out[:] = values
    places = np.array(indices, np.int64).reshape(len(indices), len(lead_a) + 1)
    return places, out, np.array([*lead_a, widest], np.int64)


def _shapes(rank: Callable[[Any], int | None]) -> Callable[[Any], Any]:
    def rule(ctx: Any) -> Any:
        n = rank(ctx)
        return [TensorShape([None, n]), unknown_shape(1), TensorShape([n])]

    return rule


def _known_rank(ctx: Any, dense: tuple[int, ...], shapes: tuple[int, ...]) -> int | None:
    for i in dense:
        if ctx.rank(i) is not None:
            if ctx.rank(i) < 2:
                raise ShapeError(f"{ctx.schema.name}: Input rank must be at least 2, received {ctx.shape(i)}")
            return ctx.rank(i)
    for i in shapes:
        if ctx.rank(i) == 1 and ctx.shape(i)[0] is not None:
            return ctx.shape(i)[0]
    return None


_OUT = "-> (result_indices: int64, result_values: T, result_shape: int64); set_operation: string; validate_indices: bool = true"

dense_op = op(f"DenseToDenseSetOperation(set1: T, set2: T) {_OUT}; {_KINDS}").not_differentiable()
dense_op.infer(_shapes(lambda ctx: _known_rank(ctx, (0, 1), ())))


@dense_op.kernel
def _(a: np.ndarray, b: np.ndarray, *, set_operation: bytes) -> Any:
    return _combined(_dense_groups(a), _dense_groups(b), set_operation, a.dtype)


mixed_op = op(f"DenseToSparseSetOperation(set1: T, set2_indices: int64, set2_values: T, set2_shape: int64) {_OUT}; {_KINDS}").not_differentiable()
mixed_op.infer(_shapes(lambda ctx: _known_rank(ctx, (0,), (3,))))


@mixed_op.kernel
def _(a: np.ndarray, indices: np.ndarray, values: np.ndarray, shape: np.ndarray, *, set_operation: bytes, validate_indices: bool) -> Any:
    return _combined(_dense_groups(a), _sparse_groups(indices, values, shape, validate_indices), set_operation, a.dtype)


sparse_op = op(
    "SparseToSparseSetOperation(set1_indices: int64, set1_values: T, set1_shape: int64, set2_indices: int64, set2_values: T, set2_shape: int64) "
    f"{_OUT}; {_KINDS}"
).not_differentiable()
sparse_op.infer(_shapes(lambda ctx: _known_rank(ctx, (), (2, 5))))


@sparse_op.kernel
def _(
    i1: np.ndarray, v1: np.ndarray, s1: np.ndarray, i2: np.ndarray, v2: np.ndarray, s2: np.ndarray, *, set_operation: bytes, validate_indices: bool
) -> Any:
    return _combined(_sparse_groups(i1, v1, s1, validate_indices), _sparse_groups(i2, v2, s2, validate_indices), set_operation, v1.dtype)


size_op = op(f"SetSize(set_indices: int64, set_values: T, set_shape: int64) -> (size: int32); validate_indices: bool = true; {_KINDS}").not_differentiable()


@size_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.value_as_shape(2)
    return unknown_shape() if shape.rank is None else shape[:-1]


@size_op.kernel
def _(indices: np.ndarray, values: np.ndarray, shape: np.ndarray, *, validate_indices: bool) -> Any:
    groups, lead = _sparse_groups(indices, values, shape, validate_indices)
    out = np.zeros(lead, np.int32)
    for group, found in groups.items():
        out[group] = len(found)
    return out


# -- public functions ------------------------------------------------------------------------------------------------


def _is_sparse(x: Any) -> bool:
    return hasattr(x, "indices") and hasattr(x, "dense_shape")


def _parts(x: Any) -> Iterator[Any]:
    return iter((x.indices, x.values, x.dense_shape))


def _operate(a: Any, b: Any, operation: str, validate_indices: bool) -> Any:
    from tracer.composite import SparseTensor

    flipped = {"a-b": "b-a", "b-a": "a-b"}
    if _is_sparse(a) and _is_sparse(b):
        out = raw.SparseToSparseSetOperation(*_parts(a), *_parts(b), set_operation=operation, validate_indices=validate_indices)
    elif _is_sparse(b):
        out = raw.DenseToSparseSetOperation(convert_to_tensor(a), *_parts(b), set_operation=operation, validate_indices=validate_indices)
    elif _is_sparse(a):
        out = raw.DenseToSparseSetOperation(
            convert_to_tensor(b), *_parts(a), set_operation=flipped.get(operation, operation), validate_indices=validate_indices
        )
    else:
        out = raw.DenseToDenseSetOperation(convert_to_tensor(a), convert_to_tensor(b), set_operation=operation, validate_indices=validate_indices)
    return SparseTensor(*out)


@public("sets.size")
def size(a: Any, validate_indices: bool = True) -> Any:
    """The number of distinct elements along the last axis of the sparse tensor `a`."""
    if not _is_sparse(a):
        raise TypeError(f"Expected `SparseTensor`, got {a!r}.")
    return raw.SetSize(*_parts(a), validate_indices=validate_indices)


@public("sets.intersection")
def intersection(a: Any, b: Any, validate_indices: bool = True) -> Any:
    """The elements that both have, along the last axis, as a sparse tensor."""
    return _operate(a, b, "intersection", validate_indices)


@public("sets.difference")
def difference(a: Any, b: Any, aminusb: bool = True, validate_indices: bool = True) -> Any:
    """The elements of `a` that `b` has not (or, without `aminusb`, of `b` that `a` has not), as a sparse tensor."""
    return _operate(a, b, "a-b" if aminusb else "b-a", validate_indices)


@public("sets.union")
def union(a: Any, b: Any, validate_indices: bool = True) -> Any:
    """The elements that either has, along the last axis, as a sparse tensor."""
    return _operate(a, b, "union", validate_indices)
