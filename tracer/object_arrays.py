"""Scalars of dtype resource and variant are plain Python objects; these two functions let array code treat them as 0-d arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["as_array", "shape_of_value", "stack_values", "unwrap"]


def as_array(value: Any) -> np.ndarray:
    """`value`, or a 0-d object array around a plain object."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, np.generic):
        return np.asarray(value)
    out = np.empty((), object)
    out[()] = value
    return out


def unwrap(array: np.ndarray) -> Any:
    """`array`, or the plain object inside of a 0-d object array; strings (bytes) stay arrays."""
    if array.ndim == 0 and array.dtype.kind == "O":
        item = array[()]
        if not isinstance(item, bytes):
            return item
    return array


def shape_of_value(value: Any) -> tuple[int, ...]:
    """The shape of a kernel value; a plain object is a scalar."""
    return value.shape if isinstance(value, np.ndarray) else ()


def stack_values(values: Sequence[Any], axis: int = 0) -> np.ndarray:
    """np.stack that takes plain objects too."""
    return np.stack([v if isinstance(v, np.ndarray) else as_array(v) for v in values], axis=axis)
