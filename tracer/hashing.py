"""String hashes that saved models depend on, bit for bit: FarmHash Fingerprint64, SipHash-2-4, and TensorFlow's older Hash64.

Authority: the published FarmHash (`farmhashna::Hash64`), SipHash-2-4 (Aumasson and Bernstein) and MurmurHash64A. It refuses anything
but bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

import numpy as np

__all__ = ["fingerprint64", "fingerprint_cat64", "hash64", "hash_buckets", "siphash24"]

_M = 0xFFFFFFFFFFFFFFFF
_K0 = 0xC3A5C85C97CB3127
_K1 = 0xB492B66FBE98F273
_K2 = 0x9AE16A3B2F90404F
_MURMUR = 0xC6A4A7935BD1E995

_u64 = struct.Struct("<Q").unpack_from
_u32 = struct.Struct("<I").unpack_from


def _rotate(value: int, shift: int) -> int:
    return ((value >> shift) | (value << (64 - shift))) & _M


def _mix(u: int, v: int, mul: int) -> int:
    a = ((u ^ v) * mul) & _M
    a ^= a >> 47
    b = ((v ^ a) * mul) & _M
    b ^= b >> 47
    return (b * mul) & _M


def _weak(s: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    w, x, y, z = struct.unpack_from("<4Q", s, at)
    a = (a + w) & _M
    b = _rotate((b + a + z) & _M, 21)
    c = a
    a = (a + x + y) & _M
    b = (b + _rotate(a, 44)) & _M
    return (a + z) & _M, (b + c) & _M


def _short(s: bytes, n: int) -> int:
    if n >= 8:
        mul = (_K2 + n * 2) & _M
        a = (_u64(s, 0)[0] + _K2) & _M
        b = _u64(s, n - 8)[0]
        c = (_rotate(b, 37) * mul + a) & _M
        d = ((_rotate(a, 25) + b) * mul) & _M
        return _mix(c, d, mul)
    if n >= 4:
        return _mix(n + (_u32(s, 0)[0] << 3), _u32(s, n - 4)[0], (_K2 + n * 2) & _M)
    if n:
        y = s[0] + (s[n >> 1] << 8)
        z = n + (s[n - 1] << 2)
        v = (y * _K2 ^ z * _K0) & _M
        return ((v ^ (v >> 47)) * _K2) & _M
    return _K2


def _medium(s: bytes, n: int) -> int:
    mul = (_K2 + n * 2) & _M
    a = (_u64(s, 0)[0] * _K1) & _M
    b = _u64(s, 8)[0]
    c = (_u64(s, n - 8)[0] * mul) & _M
    d = (_u64(s, n - 16)[0] * _K2) & _M
    u = _rotate((a + b) & _M, 43) + _rotate(c, 30) + d
    v = a + _rotate((b + _K2) & _M, 18) + c
    return _mix(u & _M, v & _M, mul)


def _longer(s: bytes, n: int) -> int:
    mul = (_K2 + n * 2) & _M
    a = (_u64(s, 0)[0] * _K2) & _M
    b = _u64(s, 8)[0]
    c = (_u64(s, n - 8)[0] * mul) & _M
    d = (_u64(s, n - 16)[0] * _K2) & _M
    y = (_rotate((a + b) & _M, 43) + _rotate(c, 30) + d) & _M
    z = _mix(y, (a + _rotate((b + _K2) & _M, 18) + c) & _M, mul)
    e = (_u64(s, 16)[0] * mul) & _M
    f = _u64(s, 24)[0]
    g = ((y + _u64(s, n - 32)[0]) * mul) & _M
    h = ((z + _u64(s, n - 24)[0]) * mul) & _M
    return _mix((_rotate((e + f) & _M, 43) + _rotate(g, 30) + h) & _M, (e + _rotate((f + a) & _M, 18) + g) & _M, mul)


def fingerprint64(s: bytes) -> int:
    """FarmHash Fingerprint64 of `s`, an unsigned 64-bit integer."""
    n = len(s)
    if n <= 16:
        return _short(s, n)
    if n <= 32:
        return _medium(s, n)
    if n <= 64:
        return _longer(s, n)
    x = 81
    y = (81 * _K1 + 113) & _M
    z = (y * _K2 + 113) & _M
    z = ((z ^ (z >> 47)) * _K2) & _M
    v = w = (0, 0)
    x = (x * _K2 + _u64(s, 0)[0]) & _M
    end = ((n - 1) // 64) * 64
    last = end + ((n - 1) & 63) - 63
    at = 0
    while True:
        x = (_rotate((x + y + v[0] + _u64(s, at + 8)[0]) & _M, 37) * _K1) & _M
        y = (_rotate((y + v[1] + _u64(s, at + 48)[0]) & _M, 42) * _K1) & _M
        x ^= w[1]
        y = (y + v[0] + _u64(s, at + 40)[0]) & _M
        z = (_rotate((z + w[0]) & _M, 33) * _K1) & _M
        v = _weak(s, at, (v[1] * _K1) & _M, (x + w[0]) & _M)
        w = _weak(s, at + 32, (z + w[1]) & _M, (y + _u64(s, at + 16)[0]) & _M)
        z, x = x, z
        at += 64
        if at == end:
            break
    mul = (_K1 + ((z & 0xFF) << 1)) & _M
    at = last
    w0 = (w[0] + ((n - 1) & 63)) & _M
    v0 = (v[0] + w0) & _M
    w0 = (w0 + v0) & _M
    x = (_rotate((x + y + v0 + _u64(s, at + 8)[0]) & _M, 37) * mul) & _M
    y = (_rotate((y + v[1] + _u64(s, at + 48)[0]) & _M, 42) * mul) & _M
    x ^= (w[1] * 9) & _M
    y = (y + v0 * 9 + _u64(s, at + 40)[0]) & _M
    z = (_rotate((z + w0) & _M, 33) * mul) & _M
    v = _weak(s, at, (v[1] * mul) & _M, (x + w0) & _M)
    w = _weak(s, at + 32, (z + w[1]) & _M, (y + _u64(s, at + 16)[0]) & _M)
    z, x = x, z
    u = (_mix(v[0], w[0], mul) + (((y ^ (y >> 47)) * _K0) & _M) + z) & _M
    return _mix(u, (_mix(v[1], w[1], mul) + x) & _M, mul)


def fingerprint_cat64(a: int, b: int) -> int:
    """One fingerprint of two, as TensorFlow's feature crosses combine them."""
    mixed = (b * _MURMUR) & _M
    result = a ^ _MURMUR
    result ^= ((mixed ^ (mixed >> 47)) * _MURMUR) & _M
    result = (result * _MURMUR) & _M
    result = ((result ^ (result >> 47)) * _MURMUR) & _M
    return result ^ (result >> 47)


def siphash24(key: tuple[int, int], s: bytes) -> int:
    """SipHash-2-4 of `s` under the 128-bit key given as two 64-bit integers."""
    k0, k1 = key[0] & _M, key[1] & _M
    v0, v1, v2, v3 = 0x736F6D6570736575 ^ k0, 0x646F72616E646F6D ^ k1, 0x6C7967656E657261 ^ k0, 0x7465646279746573 ^ k1
    n = len(s)
    tail = n & 7
    words = list(struct.unpack_from(f"<{n // 8}Q", s))
    words.append(int.from_bytes(s[n - tail :] if tail else b"", "little") | (n & 0xFF) << 56)
    rounds = [(w, 2) for w in words] + [(None, 4)]
    for word, count in rounds:
        if word is None:
            v2 ^= 0xFF
        else:
            v3 ^= word
        for _ in range(count):
            v0 = (v0 + v1) & _M
            v1 = _rotate(v1, 51) ^ v0
            v0 = _rotate(v0, 32)
            v2 = (v2 + v3) & _M
            v3 = _rotate(v3, 48) ^ v2
            v0 = (v0 + v3) & _M
            v3 = _rotate(v3, 43) ^ v0
            v2 = (v2 + v1) & _M
            v1 = _rotate(v1, 47) ^ v2
            v2 = _rotate(v2, 32)
        if word is not None:
            v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


def hash64(s: bytes, seed: int = 0xDECAFCAFFE) -> int:
    """TensorFlow's Hash64 (MurmurHash64A with a fixed seed), used by StringToHashBucket."""
    n = len(s)
    h = (seed ^ (n * _MURMUR)) & _M
    whole = n // 8
    for k in struct.unpack_from(f"<{whole}Q", s):
        k = (k * _MURMUR) & _M
        k ^= k >> 47
        k = (k * _MURMUR) & _M
        h = ((h ^ k) * _MURMUR) & _M
    if n & 7:
        h = ((h ^ int.from_bytes(s[whole * 8 :], "little")) * _MURMUR) & _M
    h = ((h ^ (h >> 47)) * _MURMUR) & _M
    return h ^ (h >> 47)


def hash_buckets(strings: np.ndarray, buckets: int, hash_function: Callable[[bytes], int] | None = None) -> np.ndarray:
    """Each string's hash modulo `buckets`, as int64. The default hash is Fingerprint64; repeats are hashed once."""
    function = hash_function or fingerprint64
    known: dict[bytes, int] = {}

    def bucket(s: bytes) -> int:
        found = known.get(s)
        if found is None:
            found = known[s] = function(s) % buckets
        return found

    flat: Iterable[bytes] = strings.ravel().tolist()
    return np.array([bucket(s) for s in flat], np.int64).reshape(strings.shape)
