"""Lazy namespaces: objects whose attributes are found in other modules when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

__all__ = ["LazyNamespace", "lazy_module"]


def _resolve(where: Any) -> Any:
    if isinstance(where, LazyNamespace):
        return where
    module, _, attribute = where.partition(":")
    found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


class LazyNamespace(ModuleType):
    """A module-like object.

    Args:
        name: its dotted name. names: attribute → "module:attribute", "module", or another namespace.
        others: modules or namespaces searched for names that are not listed.
    """

    def __init__(self, name: str, names: Mapping[str, Any], others: Iterable[str] = ()):
        super().__init__(name)
        self.__dict__["_names"] = dict(names)
        self.__dict__["_others"] = tuple(others)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        names = self.__dict__["_names"]
        if name in names:
            value = _resolve(names[name])
        else:
            for other in self.__dict__["_others"]:
                try:
                    value = getattr(importlib.import_module(other), name)
                    break
                except (AttributeError, ModuleNotFoundError):
                    continue
            else:
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        out = set(self.__dict__["_names"])
        for other in self.__dict__["_others"]:
            module = importlib.import_module(other)
            out.update(getattr(module, "__all__", ()))
        return sorted(out)


def lazy_module(module: str, names: Mapping[str, Any]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a module that finds `names` lazily."""

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value = _resolve(names[name])
        importlib.import_module(module).__dict__[name] = value
        return value

    return find, lambda: sorted(names)
