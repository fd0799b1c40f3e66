"""Module: a named container that finds its variables and submodules. It refuses to know how they are saved."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from tracer import dispatch, nest
from tracer.variable import Variable

__all__ = ["Module", "camel_to_snake"]


def camel_to_snake(name: str) -> str:
    """`MyDenseLayer` → `my_dense_layer`."""
    return re.sub(r"((?<=[a-z0-9])[A-Z]|(?!^)[A-Z](?=[a-z]))", r"_\1", name).lower()


class Module:
    """Base class of objects that hold variables and other modules as attributes.

    Args:
        name: a valid Python identifier; the class name in snake case by default.
    """

    def __init__(self, name: str | None = None):
        if name is None:
            name = camel_to_snake(type(self).__name__)
        elif not name.isidentifier():
            raise ValueError(f"{name!r} is not a valid module name. Module names must be valid Python identifiers (e.g. a valid class name).")
        self._name = name
        scope = dispatch.current_scope()
        self._scope_name = f"{scope}/{name}" if scope else name

    @property
    def name(self) -> str:
        return self._name

    @property
    def name_scope(self) -> Any:
        """A context in which names lie under this module's."""
        return dispatch.name_scope(self._scope_name + "/")

    @property
    def variables(self) -> tuple[Variable, ...]:
        return tuple(self._flatten(lambda v: isinstance(v, Variable)))

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        return tuple(self._flatten(lambda v: isinstance(v, Variable) and v.trainable))

    @property
    def non_trainable_variables(self) -> tuple[Variable, ...]:
        return tuple(self._flatten(lambda v: isinstance(v, Variable) and not v.trainable))

    @property
    def submodules(self) -> tuple[Module, ...]:
        return tuple(self._flatten(lambda v: isinstance(v, Module)))

    def _flatten(
        self, recursive_or_predicate: Any = True, predicate: Callable[[Any], bool] | None = None, attribute_traversal_key: Any = None,
        with_path: bool = False, expand_composites: bool = False,
    ) -> Iterator[Any]:  # fmt: skip
        """Every object below this module that satisfies the predicate, each once, attributes in sorted order."""
        test = predicate or (recursive_or_predicate if callable(recursive_or_predicate) else (lambda _: True))
        seen: set[int] = {id(self)}
        ignored = getattr(self, "_TF_MODULE_IGNORED_PROPERTIES", frozenset())
        yield from self._walk(test, seen, (), with_path, ignored, attribute_traversal_key)

    def _walk(self, test: Any, seen: set[int], path: tuple[Any, ...], with_path: bool, ignored: Any, key: Any) -> Iterator[Any]:
        attributes = vars(self)
        submodules: list[tuple[tuple[Any, ...], Module]] = []
        for name in sorted(attributes, key=key):
            if name in ignored:
                continue
            value = attributes[name]
            if isinstance(value, (str, bytes, int, float)) or value is None:
                continue
            for sub, leaf in _leaves(value):
                full = (*path, name, *sub)
                if id(leaf) in seen:
                    continue
                if test(leaf):
                    seen.add(id(leaf))
                    yield (full, leaf) if with_path else leaf
                if isinstance(leaf, Module):
                    submodules.append((full, leaf))
        for full, module in submodules:
            if ("walked", id(module)) in seen:  # type: ignore[comparison-overlap]
                continue
            seen.add(("walked", id(module)))  # type: ignore[arg-type]
            yield from module._walk(test, seen, full, with_path, getattr(module, "_TF_MODULE_IGNORED_PROPERTIES", frozenset()), key)

    @classmethod
    def with_name_scope(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: run the method inside the module's name scope."""

        @functools.wraps(method)
        def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
            with self.name_scope:
                return method(self, *args, **kwargs)

        return wrapped


def _leaves(value: Any) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if not nest.is_nested(value):
        yield (), value
        return
    if isinstance(value, dict):
        try:
            keys = sorted(value)
        except TypeError:
            keys = list(value)
        for k in keys:
            for sub, leaf in _leaves(value[k]):
                yield (k, *sub), leaf
        return
    for i, v in enumerate(value):
        for sub, leaf in _leaves(v):
            yield (i, *sub), leaf
