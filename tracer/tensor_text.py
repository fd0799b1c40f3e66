"""The short text of an array, as StringFormat and PrintV2 write it: `[[0 1 ... 8 9]\\n [10 11 ... 18 19]]`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["escape_bytes", "shortest_float", "summarize_array"]

_ESCAPES = {9: b"\\t", 10: b"\\n", 13: b"\\r", 34: b'\\"', 39: b"\\'", 92: b"\\\\"}


def escape_bytes(s: bytes) -> bytes:
    """`s` with C escapes; bytes above 127 stay."""
    return b"".join(_ESCAPES.get(c) or (bytes((c,)) if c >= 127 + (c == 127) or 32 <= c < 127 else b"\\%03o" % c) for c in s)


def shortest_float(x: float, single: bool) -> str:
    """The shorter of two decimal forms that gives `x` back: 6 or 9 digits for float32, 15 or 17 for float64."""
    if math.isnan(x):
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    text = f"{x:.{6 if single else 15}g}"
    back = float(np.float32(text)) if single else float(text)
    return text if back == x else f"{x:.{9 if single else 17}g}"


def _element(x: Any, dtype: np.dtype) -> bytes:
    if isinstance(x, bytes):
        return b'"' + escape_bytes(x) + b'"'
    kind = dtype.kind
    if kind == "b":
        return b"1" if x else b"0"
    if kind in "iu":
        return b"%d" % int(x)
    if kind == "f" or kind == "V":
        return shortest_float(float(x), dtype.itemsize < 8).encode()
    return b"?"


def summarize_array(array: Any, edge: int) -> bytes:
    """The text of `array`, with at most `edge` items at either end of each dimension (all where `edge` is negative)."""
    if not isinstance(array, np.ndarray):
        return b"?"

    def write(part: np.ndarray, depth: int) -> bytes:
        if part.ndim == 0:
            return _element(part[()], array.dtype)
        if array.ndim and part.ndim == 1:
            return b"[" + b" ".join(items(part, depth)) + b"]"
        joint = b"\n" * (part.ndim - 1) + b" " * depth
        found = items(part, depth)
        return b"[" + joint.join(found) + b"]"

    def items(part: np.ndarray, depth: int) -> list[bytes]:
        size = len(part)
        if edge < 0 or size <= 2 * edge:
            return [write(np.asarray(part[i]) if part.ndim > 1 else _scalar(part, i), depth + 1) for i in range(size)]
        head = [write(_item(part, i), depth + 1) for i in range(edge)]
        tail = [write(_item(part, i), depth + 1) for i in range(size - edge, size)]
        return [*head, b"...", *tail]

    if array.size == 0:
        return b"[]"
    return write(array, 1 if array.ndim else 0)


def _scalar(part: np.ndarray, i: int) -> np.ndarray:
    return part[i : i + 1].reshape(())


def _item(part: np.ndarray, i: int) -> np.ndarray:
    return part[i] if part.ndim > 1 else _scalar(part, i)
