"""TensorList: the value of a variant that holds a list of tensors. It refuses to know ops; tracer/ops/tensor_list.py has those.

A list never changes once made. Lists made by pushing onto one another share a growing buffer, so that a push costs the same however
long the list is; only a push onto a list that has been pushed onto before copies.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tracer.dtypes import DType
from tracer.errors import DTypeError, InvalidArgumentError, ShapeError
from tracer.object_arrays import shape_of_value, stack_values
from tracer.shapes import TensorShape

__all__ = ["TensorList"]

_LOCK = threading.Lock()


class TensorList:
    """An immutable list of arrays of one dtype.

    Attributes:
        element_dtype: DType of every element.
        element_shape: what is known of every element's shape.
        max_num_elements: greatest length, -1 for no limit.
    """

    __slots__ = ("_buffer", "_length", "element_dtype", "element_shape", "max_num_elements")

    def __init__(
        self,
        element_dtype: DType,
        element_shape: TensorShape,
        items: Iterable[Any] = (),
        max_num_elements: int = -1,
    ):
        self.element_dtype = element_dtype
        self.element_shape = element_shape
        self.max_num_elements = max_num_elements
        self._buffer: list[Any] = list(items)
        self._length = len(self._buffer)

    @property
    def items(self) -> Sequence[Any]:
        """The elements; None where none was set. Not to be changed."""
        buffer = self._buffer
        return buffer if len(buffer) == self._length else buffer[: self._length]

    def __len__(self) -> int:
        return self._length

    def with_items(self, items: Iterable[Any]) -> TensorList:
        """A list of the same type with other elements."""
        return TensorList(self.element_dtype, self.element_shape, items, self.max_num_elements)

    def push_back(self, item: Any) -> TensorList:
        """This list with `item` at its end."""
        out = TensorList.__new__(TensorList)
        out.element_dtype, out.element_shape, out.max_num_elements = self.element_dtype, self.element_shape, self.max_num_elements
        with _LOCK:
            if len(self._buffer) == self._length:
                out._buffer = self._buffer
            else:
                out._buffer = self._buffer[: self._length]
            out._buffer.append(item)
            out._length = self._length + 1
        return out

    def pop_back(self) -> tuple[TensorList, Any]:
        """This list without its last element, and that element (None where it was not set)."""
        out = TensorList.__new__(TensorList)
        out.element_dtype, out.element_shape, out.max_num_elements = self.element_dtype, self.element_shape, self.max_num_elements
        out._buffer = self._buffer
        out._length = self._length - 1
        return out, self._buffer[self._length - 1]

    def set_item(self, index: int, item: Any) -> TensorList:
        """This list with the element at `index` replaced."""
        items = self._buffer[: self._length]
        items[index] = item
        return self.with_items(items)

    def resize(self, size: int) -> TensorList:
        """This list cut or filled with unset elements to `size`."""
        items = self._buffer[: min(self._length, size)]
        return self.with_items(items + [None] * (size - len(items)))

    def get(self, index: int, shape: TensorShape | None = None) -> Any:
        """The element at `index`; zeros where it was not set.

        Raises:
            ShapeError: it was not set, and neither the list nor `shape` tell its shape in full.
        """
        item = self._buffer[index]
        return self.zeros(shape) if item is None else item

    def zeros(self, shape: TensorShape | None = None) -> Any:
        """What an unset element reads as."""
        full = self.element_shape if shape is None else self.element_shape.merge_with(shape)
        if not full.is_fully_defined():
            raise ShapeError(f"Trying to read an uninitialized tensor but element_shape is not fully defined: {full}")
        return zeros_of(self.element_dtype, full.as_tuple())

    def known_shape(self, shape: TensorShape | None = None) -> TensorShape:
        """What the list, `shape` and all set elements together tell of the element shape.

        Raises:
            ShapeError: they contradict each other.
        """
        found = self.element_shape if shape is None else self.element_shape.merge_with(shape)
        if found.is_fully_defined():
            return found
        for item in self.items:
            if item is not None:
                return found.merge_with(shape_of_value(item))
        return found

    def stack(self, shape: TensorShape | None = None) -> Any:
        """All elements joined along a new first axis.

        Raises:
            ShapeError: the list is empty and the shape of its elements is not known, or shapes differ.
        """
        return self.gather(range(self._length), shape)

    def gather(self, indices: Sequence[int], shape: TensorShape | None = None) -> Any:
        """The elements at `indices` joined along a new first axis."""
        full = self.known_shape(shape)
        buffer = self._buffer
        picked = [buffer[i] for i in indices]
        if any(p is None for p in picked) or not picked:
            if not full.is_fully_defined():
                raise ShapeError(
                    f"Tried to stack elements of {'an empty list' if not picked else 'a list with unset elements'} with non-fully-defined element_shape: {full}"
                )
            dims = full.as_tuple()
            if not picked:
                return np.full((0, *dims), b"", object) if self.element_dtype.kind == "s" else np.zeros((0, *dims), self.element_dtype.numpy)  # type: ignore[arg-type]
            zero = zeros_of(self.element_dtype, dims)
            picked = [zero if p is None else p for p in picked]
        first = shape_of_value(picked[0])
        for p in picked:
            if shape_of_value(p) != first or not full.is_compatible_with(shape_of_value(p)):
                raise ShapeError(f"Tried to stack list with non-uniform shapes: expected {full}, received {list(first)} and {list(shape_of_value(p))}")
        return stack_values(picked)

    def zeros_like(self) -> TensorList:
        """A list of zeros of the same shapes; unset elements stay unset."""
        return self.with_items(
            None if i is None else i.zeros_like() if isinstance(i, TensorList) else zeros_of(self.element_dtype, shape_of_value(i))
            for i in self.items
        )

    def add(self, other: TensorList) -> TensorList:
        """Element by element sum; where one side was not set, the other side's element.

        Raises:
            DTypeError, ShapeError: dtypes, lengths or shapes differ.
        """
        if self.element_dtype != other.element_dtype:
            raise DTypeError(f"Trying to add two lists of tensors of different dtypes. One is {self.element_dtype.name} and the other is {other.element_dtype.name}")
        if len(self) != len(other):
            raise ShapeError(f"Trying to add two lists of tensors with different lengths: one has {len(self)} elements and the other {len(other)}")
        merged = self.element_shape.merge_with(other.element_shape)
        total = []
        for a, b in zip(self.items, other.items):
            if a is None or b is None:
                total.append(b if a is None else a)
            elif isinstance(a, TensorList):
                total.append(a.add(b))
            else:
                total.append(np.asarray(np.add(a, b)))
        return TensorList(self.element_dtype, merged, total, self.max_num_elements)

    def check_item(self, item: Any, word: str) -> None:
        """Raise where `item`'s shape does not fit the list's."""
        shape = shape_of_value(item)
        if not self.element_shape.is_compatible_with(shape):
            raise InvalidArgumentError(
                f"Tried to {word} a tensor with incompatible shape to a list. Op element shape: {list(shape)} list shape: {self.element_shape}"
            )

    def check_dtype(self, dtype: DType, word: str) -> None:
        """Raise where an op speaks of another dtype than the list's."""
        if dtype != self.element_dtype:
            raise InvalidArgumentError(f"Invalid data types; op elements {dtype.name} but list elements {self.element_dtype.name}: cannot {word} the list")

    def __repr__(self) -> str:
        return f"TensorList({self.element_dtype.name}, {self.element_shape}, {self._length} items)"


def zeros_of(dtype: DType, shape: Sequence[int]) -> Any:
    """Zeros as a kernel value; empty strings for strings.

    Raises:
        InvalidArgumentError: a variant has no zeros of its own.
    """
    if dtype.kind == "v":
        raise InvalidArgumentError("Trying to read an uninitialized element of a list of variants: write it first")
    return np.full(tuple(shape), b"", object) if dtype.kind == "s" else np.zeros(tuple(shape), dtype.numpy)
