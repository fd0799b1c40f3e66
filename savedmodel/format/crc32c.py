"""CRC-32C (Castagnoli) of any buffer, and the masked form that files store. Refuses nothing.

The work is done by google-crc32c; this module feeds it every kind of buffer without copying.
"""

from __future__ import annotations

import google_crc32c
import numpy as np

__all__ = ["extend", "mask", "unmask", "value"]

_MASK_DELTA = 0xA282EAD8

Buffer = bytes | bytearray | memoryview | np.ndarray


def extend(crc: int, data: Buffer) -> int:
    """The checksum of (bytes whose checksum is `crc`) + `data`. `data` is contiguous; start with crc 0."""
    if type(data) is bytes:
        return google_crc32c.extend(crc, data)
    # The C function accepts bytes and arrays but no memoryview; frombuffer wraps without a copy.
    view = data.data if isinstance(data, np.ndarray) else memoryview(data)
    return google_crc32c.extend(crc, np.frombuffer(view, np.uint8)) if view.nbytes else crc


def value(data: Buffer) -> int:
    """The checksum of `data`."""
    return extend(0, data)


def mask(crc: int) -> int:
    """Rotated right by 15 bits plus a constant: a checksum of bytes that hold checksums must not degenerate."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def unmask(masked: int) -> int:
    """The inverse of `mask`."""
    rotated = (masked - _MASK_DELTA) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF
