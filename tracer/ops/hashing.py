"""Hashing of strings into buckets, and fingerprints: records, kernels and public functions. The hashes live in tracer/hashing.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError
from tracer.hashing import fingerprint64, hash64, hash_buckets, siphash24
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape

hash_bucket_op = op("StringToHashBucket(string_tensor: string) -> (output: int64); num_buckets: int >= 1").not_differentiable()
hash_bucket_op.infer(infer.unchanged)


@hash_bucket_op.kernel
def _(strings: np.ndarray, *, num_buckets: int) -> np.ndarray:
    return hash_buckets(strings, num_buckets, hash64)


hash_bucket_fast_op = op("StringToHashBucketFast(input: string) -> (output: int64); num_buckets: int >= 1").not_differentiable()
hash_bucket_fast_op.infer(infer.unchanged)


@hash_bucket_fast_op.kernel
def _(strings: np.ndarray, *, num_buckets: int) -> np.ndarray:
    return hash_buckets(strings, num_buckets)


hash_bucket_strong_op = op(
    "StringToHashBucketStrong(input: string) -> (output: int64); num_buckets: int >= 1; key: list(int)"
).not_differentiable()
hash_bucket_strong_op.infer(infer.unchanged)


@hash_bucket_strong_op.kernel
def _(strings: np.ndarray, *, num_buckets: int, key: list[int]) -> np.ndarray:
    if len(key) != 2:
        raise InvalidArgumentError(f"StringToHashBucketStrong: Key must have 2 elements, received {len(key)}")
    pair = (key[0], key[1])
    return hash_buckets(strings, num_buckets, lambda s: siphash24(pair, s))


fingerprint_op = op("Fingerprint(data: T, method: string) -> (fingerprint: uint8); T: type").not_differentiable()


@fingerprint_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    return TensorShape([shape[0] if shape.rank else None, 8])


@fingerprint_op.kernel
def _(data: np.ndarray, method: np.ndarray) -> np.ndarray:
    if method[()] != b"farmhash64":
        raise InvalidArgumentError(f"Fingerprint: Unsupported fingerprint method: expected farmhash64, received {method[()]!r}")
    if data.ndim == 0:
        raise InvalidArgumentError("Fingerprint: `data` should have at least one dimension, received a scalar")
    rows = len(data)
    if data.dtype == object:
        table = data.reshape(rows, -1) if rows else data.reshape(0, 1)
        if table.shape[1] == 1:
            found = [fingerprint64(s) for s in table[:, 0]]
        else:
            found = [fingerprint64(b"".join(fingerprint64(s).to_bytes(8, "little") for s in row)) for row in table]
    else:
        found = [fingerprint64(np.ascontiguousarray(row).tobytes()) for row in data]
    return np.array(found, "<u8").view(np.uint8).reshape(rows, 8)


@public("strings.to_hash_bucket")
def to_hash_bucket(input: Any, num_buckets: int, name: str | None = None) -> Any:
    """Each string's bucket, by TensorFlow's older 64-bit hash. Prefer `to_hash_bucket_fast`."""
    return raw.StringToHashBucket(string_tensor=input, num_buckets=num_buckets, name=name)


@public("strings.to_hash_bucket_fast")
def to_hash_bucket_fast(input: Any, num_buckets: int, name: str | None = None) -> Any:
    """Each string's bucket: FarmHash Fingerprint64 modulo `num_buckets`, an int64 tensor of the same shape."""
    return raw.StringToHashBucketFast(input=input, num_buckets=num_buckets, name=name)


@public("strings.to_hash_bucket_strong")
def to_hash_bucket_strong(input: Any, num_buckets: int, key: Any, name: str | None = None) -> Any:
    """Each string's bucket by SipHash under `key`, two integers."""
    return raw.StringToHashBucketStrong(input=input, num_buckets=num_buckets, key=list(key), name=name)


@public("fingerprint")
def fingerprint(data: Any, method: Any = "farmhash64", name: str | None = None) -> Any:
    """Eight bytes per row of `data`: FarmHash Fingerprint64 of the row's little-endian bytes."""
    return raw.Fingerprint(data=data, method=method, name=name)
