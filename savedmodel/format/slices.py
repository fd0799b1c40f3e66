"""Slices of partitioned tensors: their text and message forms, intersection and cover. Refuses slices outside of a shape.

A slice has one (start, length) per dimension; length -1 takes the whole dimension ("-" in text: "0,2:-").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from savedmodel.format import protos
from savedmodel.format.errors import FormatError

__all__ = ["FULL", "TensorSlice", "covers", "overlaps", "parse_shape_and_slice"]

FULL = -1
_INT64_MAX = 2**63 - 1
_MAX_BOXES = 1 << 20


@dataclass(frozen=True, slots=True)
class TensorSlice:
    """A box in a tensor: `extents[d]` is (start, length), or (0, -1) where dimension d is taken whole."""

    extents: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        for start, length in self.extents:
            if (start, length) != (0, FULL) and (start < 0 or length <= 0 or start + length > _INT64_MAX):
                raise FormatError(
                    f"slice {self}: Expected non-negative start and positive length but got start = {start}, "
                    f"length = {length}"
                )

    @classmethod
    def full(cls, rank: int) -> TensorSlice:
        """The slice that takes everything."""
        return cls(((0, FULL),) * rank)

    @classmethod
    def parse(cls, text: str) -> TensorSlice:
        """Reads "start,length" or "-" per dimension, joined by ":". FormatError when malformed."""
        extents = []
        for item in text.split(":") if text else ():
            if item == "-":
                extents.append((0, FULL))
                continue
            try:
                start, length = (int(number) for number in item.split(","))
            except ValueError:
                raise FormatError(
                    f"slice {text!r}: Expected a pair of numbers or '-' but got {item!r}; write e.g. '0,2:-'"
                ) from None
            if length <= 0:
                raise FormatError(
                    f"slice {text!r}: Expected non-negative start and positive length but got start = {start}, "
                    f"length = {length}"
                )
            extents.append((start, length))
        return cls(tuple(extents))

    @classmethod
    def from_message(cls, message: protos.TensorSliceProto) -> TensorSlice:
        """Reads a TensorSliceProto, keeping its spelling."""
        return cls(tuple((e.start, e.length if e.WhichOneof("has_length") else FULL) for e in message.extent))

    def to_message(self) -> protos.TensorSliceProto:
        """The TensorSliceProto; whole dimensions become empty extents."""
        message = protos.TensorSliceProto()
        for start, length in self.extents:
            extent = message.extent.add()
            if length != FULL:
                extent.start = start
                extent.length = length
        return message

    @classmethod
    def from_index(cls, index: Sequence[slice], shape: Sequence[int]) -> TensorSlice:
        """The slice that Python slices of step 1 take from `shape`; missing ones take everything."""
        extents = []
        for size, part in zip(shape, [*index, *[slice(None)] * (len(shape) - len(index))], strict=True):
            start, stop, step = part.indices(size)
            if step != 1:
                raise FormatError(f"slice {part}: expected step 1 - received step {step}")
            extents.append((0, FULL) if (start, stop) == (0, size) else (start, stop - start))
        return cls(tuple(extents))

    def __str__(self) -> str:
        return ":".join("-" if length == FULL else f"{start},{length}" for start, length in self.extents)

    @property
    def rank(self) -> int:
        return len(self.extents)

    def resolve(self, shape: Sequence[int]) -> tuple[slice, ...]:
        """The Python slices that take this box from an array of `shape`. FormatError when it does not fit."""
        if len(shape) != len(self.extents):
            raise FormatError(f"slice {self}: Mismatching ranks: shape = {list(shape)}, slice = {self}")
        out = []
        for axis, ((start, length), size) in enumerate(zip(self.extents, shape, strict=True)):
            stop = size if length == FULL else start + length
            if stop > size:
                raise FormatError(f"Extent in dimension {axis} out of bounds: shape = {list(shape)}, slice = {self}")
            out.append(slice(start, stop))
        return tuple(out)

    def shape_in(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of this box of a tensor of `shape`."""
        return tuple(part.stop - part.start for part in self.resolve(shape))

    def is_full(self, shape: Sequence[int]) -> bool:
        """Whether this takes all of `shape`, however it is spelled."""
        return self.shape_in(shape) == tuple(shape)


Box = tuple[slice, ...]


def _intersect(a: Box, b: Box) -> Box | None:
    out = []
    for x, y in zip(a, b, strict=True):
        start, stop = max(x.start, y.start), min(x.stop, y.stop)
        if start >= stop:
            return None
        out.append(slice(start, stop))
    return tuple(out)


def _volume(box: Box) -> int:
    return math.prod(part.stop - part.start for part in box)


def overlaps(target: TensorSlice, stored: Iterable[TensorSlice], shape: Sequence[int]) -> list[tuple[int, Box, Box]]:
    """Where stored slices meet `target`: (number of the stored slice, its part, the part of the target).

    Both parts are Python slices relative to the stored slice and to the target.
    """
    wanted = target.resolve(shape)
    found = []
    for number, piece in enumerate(stored):
        box = piece.resolve(shape)
        common = _intersect(wanted, box)
        if common is not None:
            found.append((number, _relative(common, box), _relative(common, wanted)))
    return found


def _relative(box: Box, origin: Box) -> Box:
    return tuple(slice(b.start - o.start, b.stop - o.start) for b, o in zip(box, origin, strict=True))


def covers(target: TensorSlice, stored: Iterable[TensorSlice], shape: Sequence[int]) -> bool:
    """Whether the stored slices, which may overlap each other, contain every element of `target`.

    FormatError when they lie so wildly that finding out would take seconds.
    """
    left = [target.resolve(shape)]
    if not _volume(left[0]):
        return True
    work = 0
    for piece in stored:
        box = piece.resolve(shape)
        work += len(left)
        if work > _MAX_BOXES:
            raise FormatError(
                f"slice {target}: the stored pieces cut shape {list(shape)} into over {_MAX_BOXES} pieces"
            )
        left = [rest for part in left for rest in _subtract(part, box)]
    return not left


def _subtract(part: Box, box: Box) -> list[Box]:
    """`part` without `box`, as disjoint boxes."""
    common = _intersect(part, box)
    if common is None:
        return [part]
    rest = []
    for axis, (p, c) in enumerate(zip(part, common, strict=True)):
        for start, stop in ((p.start, c.start), (c.stop, p.stop)):
            if start < stop:
                rest.append((*common[:axis], slice(start, stop), *part[axis + 1 :]))
    return rest


def parse_shape_and_slice(text: str) -> tuple[tuple[int, ...], TensorSlice] | None:
    """Reads an element of SaveV2's and RestoreV2's `shape_and_slices`: "" (None) or "d0 d1 ... slice".

    Returns (full shape, slice). FormatError when malformed or when the slice does not fit the shape.
    """
    if not text:
        return None
    *dims, spec = text.split(" ")
    try:
        shape = tuple(int(dim) for dim in dims)
    except ValueError:
        shape = (-1,)
    if min(shape, default=0) < 0:
        raise FormatError(
            f"shape_and_slice {text!r}: expected non-negative sizes before the slice; write e.g. '4 3 0,2:-'"
        )
    piece = TensorSlice.parse(spec)
    piece.resolve(shape)
    return shape, piece
