"""Batches of parsed features as arrays: what the ParseExample family makes of Example and SequenceExample messages.

Every function takes one list entry per example of the batch; a feature that is missing is None. Dtype names follow the wire: "bytes",
"float", "int64".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer.byte_strings import array_of_bytes
from tracer.dtypes import DType
from tracer.errors import InvalidArgumentError
from tracer.wire import Feature

__all__ = ["dense_batch", "dense_steps", "pick", "ragged_batch", "ragged_steps", "sparse_batch", "sparse_steps"]

_KIND_OF = {"string": "bytes", "float32": "float", "int64": "int64"}


def pick(feature: Feature | None, dtype: DType, where: str) -> Any:
    """The values of a feature, None where it is missing or not set. Raises where it holds another kind of value."""
    if feature is None or not feature[0]:
        return None
    if feature[0] != _KIND_OF[dtype.name]:
        raise InvalidArgumentError(f"{where}: Data types don't match. Expected type: {dtype.name}, received a {feature[0]}_list")
    return feature[1]


def _join(parts: Sequence[Any], dtype: DType) -> np.ndarray:
    if dtype.kind == "s":
        return array_of_bytes([s for p in parts for s in p])
    return np.concatenate([np.asarray(p, dtype.numpy) for p in parts]) if parts else np.zeros(0, dtype.numpy)


def _splits(lengths: Sequence[int], dtype: DType) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(dtype.numpy)


def sparse_batch(rows: list[Any], dtype: DType, single: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices [n, 2], values and shape [batch, longest]; without the batch dimension for a single example."""
    lengths = [0 if r is None else len(r) for r in rows]
    columns = np.concatenate([np.arange(n, dtype=np.int64) for n in lengths]) if rows else np.zeros(0, np.int64)
    values = _join([r for r in rows if r is not None], dtype)
    longest = max(lengths, default=0)
    if single:
        return columns.reshape(-1, 1), values, np.array([longest], np.int64)
    owners = np.repeat(np.arange(len(rows), dtype=np.int64), lengths)
    return np.stack([owners, columns], axis=1), values, np.array([len(rows), longest], np.int64)


def ragged_batch(rows: list[Any], dtype: DType, splits_dtype: DType) -> tuple[np.ndarray, np.ndarray]:
    """Values and row splits."""
    values = _join([r for r in rows if r is not None], dtype)
    return values, _splits([0 if r is None else len(r) for r in rows], splits_dtype)


def dense_batch(rows: list[Any], dtype: DType, shape: Sequence[int | None], default: np.ndarray, name: str) -> np.ndarray:
    """[batch, *shape]; where the first size is unknown, rows are padded to the longest with `default`.

    Raises:
        InvalidArgumentError: a feature is missing and there is no default, or its number of values does not fit.
    """
    if shape and shape[0] is None:
        return _padded(rows, dtype, list(shape[1:]), default, name)
    count = math.prod(d or 0 for d in shape)
    out = []
    for i, row in enumerate(rows):
        if row is None:
            if default.size == 0 and count:
                raise InvalidArgumentError(f"Feature: {name} (data type: {dtype.name}) is required but could not be found (example {i}).")
            row = default.reshape(-1)
            if len(row) == 1 and count != 1:
                row = [row[0]] * count
        if len(row) != count:
            raise InvalidArgumentError(
                f"Key: {name}, Index: {i}. Number of {dtype.name} values != expected. values size: {len(row)} but output shape: {list(shape)}"
            )
        out.append(row)
    return _join(out, dtype).reshape(len(rows), *[d or 0 for d in shape])


def _padded(rows: list[Any], dtype: DType, inner: list[int | None], default: np.ndarray, name: str) -> np.ndarray:
    width = math.prod(d or 0 for d in inner)
    longest = 0
    for i, row in enumerate(rows):
        size = 0 if row is None else len(row)
        if width == 0 or size % width:
            raise InvalidArgumentError(f"Key: {name}, Index: {i}. Number of values ({size}) is not a multiple of the stride {width}")
        longest = max(longest, size // width)
    out = np.empty((len(rows), longest * width), dtype.numpy)
    out[...] = default.reshape(-1)[0] if default.size else b"" if dtype.kind == "s" else 0
    for i, row in enumerate(rows):
        if row is not None and len(row):
            out[i, : len(row)] = array_of_bytes(row) if dtype.kind == "s" else row
    return out.reshape(len(rows), longest, *[d or 0 for d in inner])


# -- steps of feature lists ------------------------------------------------------------------------------------------


def sparse_steps(rows: list[list[Any]], dtype: DType, single: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices [n, 3] of (example, step, position), values, and shape [batch, steps, longest]; without batch for a single one."""
    indices, parts = [], []
    longest = 0
    for b, steps in enumerate(rows):
        for t, step in enumerate(steps):
            found = [] if step is None else step
            longest = max(longest, len(found))
            indices.extend((b, t, i) for i in range(len(found)))
            parts.append(found)
    table = np.array(indices, np.int64).reshape(-1, 3)
    shape = np.array([len(rows), max((len(s) for s in rows), default=0), longest], np.int64)
    values = _join(parts, dtype)
    return (table[:, 1:], values, shape[1:]) if single else (table, values, shape)


def dense_steps(rows: list[list[Any]], dtype: DType, shape: Sequence[int | None], name: str) -> tuple[np.ndarray, np.ndarray]:
    """[batch, steps, *shape], short examples padded with zeros, and the number of steps of each."""
    count = math.prod(d or 0 for d in shape)
    longest = max((len(s) for s in rows), default=0)
    out = np.empty((len(rows), longest, count), dtype.numpy)
    out[...] = b"" if dtype.kind == "s" else 0
    for b, steps in enumerate(rows):
        for t, step in enumerate(steps):
            size = 0 if step is None else len(step)
            if size != count:
                raise InvalidArgumentError(
                    f"Feature list: {name}, Index: {b}, step {t}. Number of values != expected. values size: {size} but output shape: {list(shape)}"
                )
            if count:
                out[b, t] = array_of_bytes(step) if dtype.kind == "s" else step
    lengths = np.array([len(s) for s in rows], np.int64)
    return out.reshape(len(rows), longest, *[d or 0 for d in shape]), lengths


def ragged_steps(rows: list[list[Any]], dtype: DType, splits_dtype: DType) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, splits of the examples into steps, splits of the steps into values."""
    steps = [[] if step is None else step for example in rows for step in example]
    return _join(steps, dtype), _splits([len(e) for e in rows], splits_dtype), _splits([len(s) for s in steps], splits_dtype)
