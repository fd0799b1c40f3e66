"""FarmHash's Fingerprint64 of bytes, in Python and NumPy; it refuses seeds and streams.

Authority: FarmHash's `Fingerprint64` (the "na" variant), whose values never change. The hash chains blocks of 64 bytes,
so it cannot be computed for many blocks at once; what does not depend on the chain (words and their sums) is taken from
NumPy beforehand, for a megabyte at a time.
"""

from __future__ import annotations

import struct

import numpy as np

__all__ = ["fingerprint64", "fingerprint_cat64"]

_K0 = 0xC3A5C85C97CB3127
_K1 = 0xB492B66FBE98F273
_K2 = 0x9AE16A3B2F90404F
_CAT = 0xC6A4A7935BD1E995
_MASK = 0xFFFFFFFFFFFFFFFF

_BLOCK = 64
_CHUNK_BLOCKS = 1 << 14

_words2 = struct.Struct("<2Q").unpack_from
_words4 = struct.Struct("<4Q").unpack_from
_words8 = struct.Struct("<8Q").unpack_from
_half_word = struct.Struct("<I").unpack_from
_word = struct.Struct("<Q").unpack_from


def _rotate(value: int, bits: int) -> int:
    value &= _MASK
    return (value >> bits | value << (64 - bits)) & _MASK


def _mix(value: int) -> int:
    value &= _MASK
    return value ^ value >> 47


def _hash16(low: int, high: int, factor: int) -> int:
    a = _mix((low ^ high) * factor)
    return _mix(((high & _MASK) ^ a) * factor) * factor & _MASK


def _up_to_16(data: bytes, size: int) -> int:
    if size >= 8:
        factor = _K2 + size * 2
        a = _word(data)[0] + _K2 & _MASK
        b = _word(data, size - 8)[0]
        return _hash16(_rotate(b, 37) * factor + a & _MASK, (_rotate(a, 25) + b) * factor & _MASK, factor)
    if size >= 4:
        factor = _K2 + size * 2
        return _hash16(size + (_half_word(data)[0] << 3), _half_word(data, size - 4)[0], factor)
    if size:
        first = data[0] + (data[size >> 1] << 8)
        return _mix(first * _K2 ^ (size + (data[-1] << 2)) * _K0) * _K2 & _MASK
    return _K2


def _up_to_32(data: bytes, size: int) -> int:
    factor = _K2 + size * 2
    a, b = _words2(data)
    d, c = _words2(data, size - 16)
    a *= _K1
    c *= factor
    d *= _K2
    return _hash16(_rotate(a + b, 43) + _rotate(c, 30) + d & _MASK, a + _rotate(b + _K2, 18) + c & _MASK, factor)


def _up_to_64(data: bytes, size: int) -> int:
    factor = _K2 + size * 2
    a, b, e, f = _words4(data)
    g, h, d, c = _words4(data, size - 32)
    a *= _K2
    c *= factor
    d *= _K2
    y = _rotate(a + b, 43) + _rotate(c, 30) + d & _MASK
    z = _hash16(y, a + _rotate(b + _K2, 18) + c & _MASK, factor)
    e *= factor
    g = (y + g) * factor
    h = (z + h) * factor
    return _hash16(_rotate(e + f, 43) + _rotate(g, 30) + h & _MASK, e + _rotate(f + a, 18) + g & _MASK, factor)


def fingerprint64(data: bytes | bytearray | memoryview) -> int:
    """The 64-bit fingerprint of `data`, an int from 0 to 2**64-1. About a second for 16 MB."""
    data = bytes(data)
    size = len(data)
    if size <= 16:
        return _up_to_16(data, size)
    if size <= 32:
        return _up_to_32(data, size)
    if size <= 64:
        return _up_to_64(data, size)
    return _long(data, size)


def _long(data: bytes, size: int) -> int:
    mask, k1 = _MASK, _K1
    x = 81
    y = 81 * k1 + 113 & mask
    z = _mix(y * _K2 + 113) * _K2 & mask
    v = v2 = w = w2 = 0
    x = x * _K2 + _word(data)[0] & mask
    blocks = (size - 1) // _BLOCK
    for start in range(0, blocks, _CHUNK_BLOCKS):
        count = min(_CHUNK_BLOCKS, blocks - start)
        words = np.frombuffer(data, "<u8", count * 8, start * _BLOCK).reshape(count, 8).astype(np.uint64, copy=False)
        # what the loop below unpacks, in its order
        table = np.empty((count, 10), np.uint64)
        table[:, 0] = words[:, 0]
        table[:, 1] = words[:, 1]
        table[:, 2] = words[:, 3]
        table[:, 3] = words[:, 1] + words[:, 2]
        table[:, 4] = words[:, 4]
        table[:, 5] = words[:, 5]
        table[:, 6] = words[:, 7]
        table[:, 7] = words[:, 5] + words[:, 6]
        table[:, 8] = words[:, 6]
        table[:, 9] = words[:, 2]
        for s0, s1, s3, s12, s4, s5, s7, s56, s6, s2 in table.tolist():
            x = x + y + v + s1 & mask
            x = ((x >> 37 | x << 27) & mask) * k1 & mask ^ w2
            y = y + v2 + s6 & mask
            y = ((y >> 42 | y << 22) & mask) * k1 + v + s5
            z = z + w & mask
            z = ((z >> 33 | z << 31) & mask) * k1 & mask
            a = v2 * k1 + s0
            b = x + w + a + s3 & mask
            b = (b >> 21 | b << 43) + a
            a = a + s12 & mask
            v2 = b + (a >> 44 | a << 20) & mask
            v = a + s3 & mask
            a = z + w2 + s4
            b = y + s2 + a + s7 & mask
            b = (b >> 21 | b << 43) + a
            a = a + s56 & mask
            w2 = b + (a >> 44 | a << 20) & mask
            w = a + s7 & mask
            x, z = z, x
    y &= mask
    factor = k1 + ((z & 0xFF) << 1)
    tail = size - 1 & 63
    s = _words8(data, size - _BLOCK)
    w = w + tail & mask
    v = v + w & mask
    w = w + v & mask
    x = _rotate(x + y + v + s[1], 37) * factor & mask
    y = _rotate(y + v2 + s[6], 42) * factor & mask
    x ^= w2 * 9 & mask
    y = y + v * 9 + s[5] & mask
    z = _rotate(z + w, 33) * factor & mask
    v, v2 = _weak(s[:4], v2 * factor, x + w)
    w, w2 = _weak(s[4:], z + w2, y + s[2])
    x, z = z, x
    return _hash16(
        _hash16(v, w, factor) + _mix(y) * _K0 + z & mask,
        _hash16(v2, w2, factor) + x & mask,
        factor,
    )


def _weak(words: tuple[int, ...], a: int, b: int) -> tuple[int, int]:
    """Two words of state from four words of data and two of seed."""
    a += words[0]
    b = _rotate(b + a + words[3], 21)
    c = a
    a += words[1] + words[2]
    b += _rotate(a, 44)
    return a + words[3] & _MASK, b + c & _MASK


def fingerprint_cat64(first: int, second: int) -> int:
    """One fingerprint from two, in this order (TensorFlow's FingerprintCat64)."""
    result = first ^ _CAT
    result ^= _mix(second * _CAT) * _CAT & _MASK
    result = result * _CAT & _MASK
    return _mix(_mix(result) * _CAT & _MASK)
