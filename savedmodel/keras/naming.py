"""Names of Keras objects: snake case, and the counters that make automatic names unique. It refuses to know the objects."""

from __future__ import annotations

import re
import weakref
from typing import Any

from tracer import dispatch

__all__ = ["clear", "observe_object_name", "to_snake_case", "unique_object_name"]


class _EagerNames:
    """Stands for "no graph is being traced" among the owners of counters."""


_eager = _EagerNames()
_counts: weakref.WeakKeyDictionary[Any, dict[Any, int]] = weakref.WeakKeyDictionary()
_observed: set[str] = set()


def to_snake_case(name: str) -> str:
    """`MyDense2D` → `my_dense2d`, as Keras 2.15 names layers; a leading underscore gives `private`."""
    text = re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    text = re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()
    return "private" + text if text.startswith("_") else text


def _current() -> dict[Any, int]:
    owner = dispatch.current_graph() or _eager
    found = _counts.get(owner)
    if found is None:
        found = _counts[owner] = {}
    return found


def unique_object_name(name: str, zero_based: bool = False, avoid_observed_names: bool = False, namespace: str = "") -> str:
    """`name`, `name_1`, … (or from `name_1` on where not `zero_based`), counted since the last `clear`."""
    counts = _current()
    key = (namespace, name)
    while True:
        if zero_based:
            number = counts.get(key, 0)
            proposed = f"{name}_{number}" if number else name
            counts[key] = number + 1
        else:
            counts[key] = counts.get(key, 0) + 1
            proposed = f"{name}_{counts[key]}"
        if not (avoid_observed_names and proposed in _observed):
            return proposed


def observe_object_name(name: str) -> None:
    """Remember a name that a user gave, for `avoid_observed_names`."""
    _observed.add(name)


def uids() -> dict[Any, int]:
    """The counters of the current graph (prefix → last number), for `keras.backend.get_uid`."""
    return _current()


def clear() -> None:
    """Start all counters anew."""
    _counts.clear()
    _observed.clear()
