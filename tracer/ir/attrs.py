"""Attribute values and references to functions; it refuses to interpret them.

A node's attr is one of: bytes, int, float, bool, DType, TensorShape, numpy.ndarray, FunctionRef, a list of one of these,
or Placeholder (only in templates of old functions).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FunctionLibrary", "FunctionRef", "Placeholder", "freeze"]


@dataclass(frozen=True)
class Placeholder:
    """An attr that an old function template leaves open; `name` is the function's own attr."""

    name: str


class FunctionLibrary(Mapping[str, Any]):
    """Functions by name. A value is a function graph or a thunk that makes one when it is first asked for."""

    def __init__(self) -> None:
        self._items: dict[str, Any] = {}
        self._thunks: dict[str, Callable[[], Any]] = {}
        self._templates: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], Any]]] = {}
        self._instances: dict[Any, Any] = {}
        self.gradients: dict[str, str] = {}  # name of a function → name of the function that is its gradient (TensorFlow 1)

    def add(self, name: str, graph: Any) -> None:
        self._items[name] = graph

    def add_lazy(self, name: str, make: Callable[[], Any]) -> None:
        """`make` is called at the first look-up of `name`."""
        self._thunks[name] = make

    def add_template(self, name: str, attrs: tuple[str, ...], make: Callable[[Mapping[str, Any]], Any]) -> None:
        """A function that leaves `attrs` open: `make(values)` gives the function for given values of these."""
        self._templates[name] = (attrs, make)
        self._thunks[name] = lambda: make({})

    def open_attrs(self, name: str) -> tuple[str, ...]:
        """The attrs that the function of that name leaves open."""
        return self._templates[name][0] if name in self._templates else ()

    def instance(self, name: str, attrs: Mapping[str, Any]) -> Any:
        """The function of that name with its open attrs set; each combination is made once."""
        if name not in self._templates:
            return self[name]
        wanted, make = self._templates[name]
        values = {k: v for k, v in attrs.items() if k in wanted}
        key = (name, tuple(sorted((k, freeze(v)) for k, v in values.items())))
        if key not in self._instances:
            self._instances[key] = make(values)
        return self._instances[key]

    def __getitem__(self, name: str) -> Any:
        found = self._items.get(name)
        if found is None:
            make = self._thunks.get(name)
            if make is None:
                raise KeyError(f"function library: no function {name!r}")
            found = self._items[name] = make()
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._items or name in self._thunks

    def __iter__(self) -> Iterator[str]:
        yield from self._thunks
        yield from (k for k in self._items if k not in self._thunks)

    def __len__(self) -> int:
        return len({*self._items, *self._thunks})


class FunctionRef:
    """A reference to a function by name: to its graph itself, or to the library it is looked up in.

    `attrs` are the attrs that instantiate it (kept for the writer).
    """

    __slots__ = ("_graph", "attrs", "library", "name")

    def __init__(
        self, name: str, library: FunctionLibrary | None = None, attrs: Mapping[str, Any] | None = None, graph: Any = None
    ):
        self.name = name
        self.library = library
        self.attrs = dict(attrs or {})
        self._graph = graph

    @property
    def graph(self) -> Any:
        """The function's graph. Raises KeyError when there is none of that name."""
        if self._graph is None:
            if self.library is None:
                raise KeyError(f"function {self.name!r}: the reference belongs to no library")
            self._graph = self.library.instance(self.name, self.attrs)
        return self._graph

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FunctionRef)
            and self.name == other.name
            and self.library is other.library
            and self._graph is other._graph
            and self.attrs == other.attrs
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"FunctionRef({self.name!r})"


def freeze(value: Any) -> Any:
    """A hashable stand-in for an attr value; equal values give equal stand-ins."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    if hasattr(value, "tobytes"):
        if value.dtype == object:
            return ("array", value.shape, tuple(map(freeze, value.ravel().tolist())))
        return ("array", value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, float):
        return ("float", value, str(value))
    return value
