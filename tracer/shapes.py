"""TensorShape: static shapes with unknown dimensions or unknown rank. It refuses to look at values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tracer.errors import ShapeError

__all__ = ["TensorShape", "as_shape", "broadcast_shapes", "unknown_shape"]


def _dim(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, (int, np.integer)):
        number = int(value)
    else:
        inner = getattr(value, "value", value)
        if inner is None:
            return None
        try:
            number = inner.__index__()
        except AttributeError:
            raise TypeError(
                f"Dimension value must be integer or None or have an __index__ method, got value '{value!r}' "
                f"with type '{type(value)!r}'"
            ) from None
    if number == -1:
        return None
    if number < 0:
        raise ShapeError(f"Dimension {number} must be >= 0")
    return number


class TensorShape:
    """The static shape of a tensor: a rank and, per dimension, a size or None; or nothing known at all.

    Args:
        dims: None for an unknown rank, an int for a vector, or an iterable of sizes (None or -1: unknown).
    """

    __slots__ = ("_dims",)

    def __init__(self, dims: Any = None):
        if dims is None:
            self._dims: tuple[int | None, ...] | None = None
        elif isinstance(dims, TensorShape):
            self._dims = dims._dims
        elif isinstance(dims, (int, np.integer)):
            self._dims = (_dim(dims),)
        elif isinstance(dims, np.ndarray) and dims.ndim == 0:
            self._dims = (_dim(dims.item()),)
        elif isinstance(dims, str):
            raise TypeError(f"A shape is a sequence of sizes; received {dims!r}")
        else:
            self._dims = tuple(_dim(d) for d in dims)

    @property
    def rank(self) -> int | None:
        return None if self._dims is None else len(self._dims)

    ndims = rank

    @property
    def dims(self) -> list[int | None] | None:
        return None if self._dims is None else list(self._dims)

    def as_list(self) -> list[int | None]:
        """The sizes as a list. Raises ValueError for an unknown rank."""
        if self._dims is None:
            raise ShapeError("as_list() is not defined on an unknown TensorShape.")
        return list(self._dims)

    def as_tuple(self) -> tuple[int | None, ...]:
        """The sizes as a tuple. Raises ValueError for an unknown rank."""
        if self._dims is None:
            raise ShapeError("as_tuple() is not defined on an unknown TensorShape.")
        return self._dims

    def is_fully_defined(self) -> bool:
        return self._dims is not None and None not in self._dims

    def assert_is_fully_defined(self) -> None:
        if not self.is_fully_defined():
            raise ShapeError(f"Shape {self} is not fully defined")

    def num_elements(self) -> int | None:
        """Number of elements, or None where a dimension is unknown."""
        if not self.is_fully_defined():
            return None
        total = 1
        for d in self._dims or ():
            total *= d or 0
        return total

    def is_compatible_with(self, other: Any) -> bool:
        """Whether one concrete shape could satisfy both."""
        other = as_shape(other)
        if self._dims is None or other._dims is None:
            return True
        return len(self._dims) == len(other._dims) and all(
            a is None or b is None or a == b for a, b in zip(self._dims, other._dims, strict=True)
        )

    def is_subtype_of(self, other: TensorShape) -> bool:
        """Whether every concrete shape that satisfies this also satisfies `other`."""
        if other._dims is None:
            return True
        if self._dims is None or len(self._dims) != len(other._dims):
            return False
        return all(b is None or a == b for a, b in zip(self._dims, other._dims, strict=True))

    def assert_is_compatible_with(self, other: Any) -> None:
        if not self.is_compatible_with(other):
            raise ShapeError(f"Shapes {self} and {as_shape(other)} are incompatible")

    def assert_same_rank(self, other: Any) -> None:
        other = as_shape(other)
        if self.rank is not None and other.rank is not None and self.rank != other.rank:
            raise ShapeError(f"Shapes {self} and {other} must have the same rank")

    def assert_has_rank(self, rank: int) -> None:
        if self.rank not in (None, rank):
            raise ShapeError(f"Shape {self} must have rank {rank}")

    def merge_with(self, other: Any) -> TensorShape:
        """What is known from either. Raises ValueError where they contradict each other."""
        other = as_shape(other)
        if self._dims is None:
            return other
        if other._dims is None:
            return self
        if not self.is_compatible_with(other):
            raise ShapeError(f"Shapes {self} and {other} are not compatible")
        return _make(tuple(b if a is None else a for a, b in zip(self._dims, other._dims, strict=True)))

    def most_general(self, other: Any) -> TensorShape:
        """The least general shape that both satisfy."""
        other = as_shape(other)
        if self._dims is None or other._dims is None or len(self._dims) != len(other._dims):
            return unknown_shape()
        return _make(tuple(a if a == b else None for a, b in zip(self._dims, other._dims, strict=True)))

    most_specific_compatible_shape = most_general

    def concatenate(self, other: Any) -> TensorShape:
        other = as_shape(other)
        if self._dims is None or other._dims is None:
            return unknown_shape()
        return _make(self._dims + other._dims)

    def with_rank(self, rank: int) -> TensorShape:
        """This shape, known to have `rank` dimensions. Raises ValueError otherwise."""
        if self._dims is None:
            return unknown_shape(rank)
        if len(self._dims) != rank:
            raise ShapeError(f"Shape {self} must have rank {rank}")
        return self

    def with_rank_at_least(self, rank: int) -> TensorShape:
        if self._dims is not None and len(self._dims) < rank:
            raise ShapeError(f"Shape {self} must have rank at least {rank}")
        return self

    def with_rank_at_most(self, rank: int) -> TensorShape:
        if self._dims is not None and len(self._dims) > rank:
            raise ShapeError(f"Shape {self} must have rank at most {rank}")
        return self

    def __len__(self) -> int:
        if self._dims is None:
            raise ShapeError("Cannot take the length of shape with unknown rank.")
        return len(self._dims)

    def __bool__(self) -> bool:
        return self._dims is not None

    def __iter__(self) -> Iterator[int | None]:
        if self._dims is None:
            raise ShapeError("Cannot iterate over a shape with unknown rank.")
        return iter(self._dims)

    def __getitem__(self, key: Any) -> Any:
        if self._dims is not None:
            return _make(self._dims[key]) if isinstance(key, slice) else self._dims[key]
        if not isinstance(key, slice):
            return None
        if key.stop is None or key.step not in (None, 1) or (key.start or 0) < 0 or key.stop < 0:
            return unknown_shape()
        return unknown_shape(max(key.stop - (key.start or 0), 0))

    def __add__(self, other: Any) -> TensorShape:
        return self.concatenate(other)

    def __radd__(self, other: Any) -> TensorShape:
        return as_shape(other).concatenate(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorShape):
            try:
                other = TensorShape(other)
            except (TypeError, ValueError):
                return NotImplemented
        return self._dims == other._dims

    def __hash__(self) -> int:
        return hash(self._dims)

    def __repr__(self) -> str:
        return f"TensorShape({list(self._dims) if self._dims is not None else None})"

    def __str__(self) -> str:
        if self._dims is None:
            return "<unknown>"
        if len(self._dims) == 1:
            return f"({self._dims[0]},)"
        return "(" + ", ".join(str(d) for d in self._dims) + ")"

    def __reduce__(self) -> Any:
        return TensorShape, (None if self._dims is None else list(self._dims),)


def _make(dims: tuple[int | None, ...]) -> TensorShape:
    shape = TensorShape.__new__(TensorShape)
    shape._dims = dims
    return shape


def as_shape(value: Any) -> TensorShape:
    """`value` as a TensorShape."""
    return value if isinstance(value, TensorShape) else TensorShape(value)


def from_array_shape(dims: tuple[int, ...]) -> TensorShape:
    """The fully defined shape of an array; skips all checks."""
    return _make(dims)


def unknown_shape(rank: int | None = None) -> TensorShape:
    """A shape of unknown rank, or of `rank` unknown dimensions."""
    return TensorShape() if rank is None else _make((None,) * rank)


def broadcast_shapes(shapes: Iterable[Any]) -> TensorShape:
    """The static shape of broadcasting `shapes` together, NumPy's rules.

    Raises:
        ShapeError: two known sizes differ and neither is 1.
    """
    known = [as_shape(s) for s in shapes]
    if any(s._dims is None for s in known):
        return unknown_shape()
    rank = max((len(s) for s in known), default=0)
    out: list[int | None] = []
    for axis in range(-rank, 0):
        size: int | None = 1
        for s in known:
            if len(s) < -axis:
                continue
            d = s[axis]
            if d == 1:
                continue
            if size == 1:
                size = d
            elif d is None:
                pass  # the known size wins: the unknown one must be it, or 1
            elif size is None:
                size = d
            elif size != d:
                raise ShapeError(
                    f"Incompatible shapes for broadcasting: {' and '.join(str(s) for s in known)}: "
                    f"expected equal sizes or 1 on axis {axis}, received {size} and {d}"
                )
        out.append(size)
    return _make(tuple(out))
