"""Decompression of raw Snappy blocks, as found in table files of other writers. Refuses to compress.

Every length and distance is checked against the block before a byte is copied, and the announced size against
what a block of that length can expand to before memory is taken.
"""

from __future__ import annotations

from savedmodel.format.coding import read_varint
from savedmodel.format.errors import DataLossError

__all__ = ["decompress"]

# The densest element is a copy: three bytes that yield at most 64 (22 per byte, rounded up).
_MAX_EXPANSION = 22


def decompress(block: bytes | memoryview) -> bytes:
    """Returns the plain bytes of one raw Snappy block. DataLossError when it is malformed."""
    block = bytes(block)
    end = len(block)
    size, position = read_varint(block, 0, end)
    if size > end * _MAX_EXPANSION:
        raise DataLossError(f"snappy block of {end} bytes announces {size} bytes, more than it can expand to")
    out = bytearray()
    while position < end:
        tag = block[position]
        kind = tag & 3
        position += 1
        if kind == 0:
            length = tag >> 2
            if length >= 60:
                extra = length - 59
                length = int.from_bytes(block[position : position + extra], "little")
                position += extra
            length += 1
            if position + length > end:
                raise DataLossError(f"snappy literal of {length} bytes runs past the block at byte {position}")
            out += block[position : position + length]
            position += length
        else:
            if kind == 1:
                length, extra = (tag >> 2 & 7) + 4, 1
                distance = (tag >> 5) << 8
            else:
                length, extra = (tag >> 2) + 1, 2 if kind == 2 else 4
                distance = 0
            if position + extra > end:
                raise DataLossError(f"snappy copy is cut off at byte {position}")
            distance |= int.from_bytes(block[position : position + extra], "little")
            position += extra
            if not 0 < distance <= len(out):
                raise DataLossError(f"snappy copy reaches {distance} bytes back, only {len(out)} are there")
            start = len(out) - distance
            if distance >= length:
                out += out[start : start + length]
            else:  # The copy overlaps what it writes: the last `distance` bytes repeat.
                pattern = bytes(out[start:])
                out += (pattern * (length // distance + 1))[:length]
        if len(out) > size:
            break
    if len(out) != size:
        raise DataLossError(f"snappy block announces {size} bytes but holds {'more' if len(out) > size else len(out)}")
    return bytes(out)
