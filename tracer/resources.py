"""Named resources: tables, variables and other state that ops share by (kind, container, name). It refuses to know what they hold.

A resource is a plain Python object inside of a tensor of dtype resource. An op that makes a named resource asks the manager that is
current in its thread; a loaded model brings a manager of its own, so that two models never share state by accident.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["ResourceManager", "current_manager", "default_manager", "use_manager"]


class ResourceManager:
    """Resources by kind ("variable", "table", …), container and name. Thread-safe."""

    def __init__(self) -> None:
        self._items: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.RLock()

    def get_or_create(self, kind: str, container: str, name: str, factory: Callable[[], Any]) -> Any:
        """The resource of that kind and name; made by `factory` at the first request."""
        key = (kind, container, name)
        with self._lock:
            if key not in self._items:
                self._items[key] = factory()
            return self._items[key]

    def get(self, kind: str, container: str, name: str) -> Any:
        """The resource of that kind and name, or None."""
        return self._items.get((kind, container, name))

    def put(self, kind: str, container: str, name: str, resource: Any) -> None:
        """Keep `resource` under a name, replacing what was there."""
        with self._lock:
            self._items[kind, container, name] = resource

    def remove(self, resource: Any) -> bool:
        """Forget `resource`, whatever its names are. Returns whether it was known."""
        with self._lock:
            keys = [k for k, v in self._items.items() if v is resource]
            for key in keys:
                del self._items[key]
        return bool(keys)

    def forget(self, ending: str) -> None:
        """Forget every resource whose name ends with `ending`: those of a model that is gone."""
        with self._lock:
            for key in [k for k in self._items if k[2].endswith(ending)]:
                del self._items[key]

    def clear(self) -> None:
        with self._lock:
            self._items.clear()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        return iter(list(self._items))


default_manager = ResourceManager()


class _Current(threading.local):
    manager: ResourceManager = default_manager


_current = _Current()


def current_manager() -> ResourceManager:
    """The manager that ops of the calling thread use."""
    return _current.manager


@contextlib.contextmanager
def use_manager(manager: ResourceManager) -> Iterator[ResourceManager]:
    """Let ops of this thread use `manager` inside the block."""
    previous = _current.manager
    _current.manager = manager
    try:
        yield manager
    finally:
        _current.manager = previous
