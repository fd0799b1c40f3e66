"""Arrays of byte strings: the loops that string kernels share. It refuses to know encodings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

__all__ = ["array_of_bytes", "map_bytes", "map_to"]


def array_of_bytes(items: Iterable[bytes], shape: tuple[int, ...] | None = None) -> np.ndarray:
    """An object array of `items`; a vector unless `shape` is given."""
    found = items if isinstance(items, list) else list(items)
    out = np.empty(len(found), object)
    out[:] = found
    return out if shape is None else out.reshape(shape)


def map_bytes(function: Callable[[bytes], bytes], strings: np.ndarray) -> np.ndarray:
    """`function` of each string, in an array of the same shape."""
    return array_of_bytes([function(s) for s in strings.ravel().tolist()], strings.shape)


def map_to(dtype: Any, function: Callable[[bytes], Any], strings: np.ndarray) -> np.ndarray:
    """`function` of each string as an array of `dtype` and the same shape."""
    return np.array([function(s) for s in strings.ravel().tolist()], dtype).reshape(strings.shape)
