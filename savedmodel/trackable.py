"""Tracked objects: who holds whom under which name, and lists, dicts and tuples that can be saved. It refuses to read or write files.

An object takes part in a checkpoint or SavedModel when it answers `_trackable_children()`: a mapping from local name to child. Variables
and functions take part as leaves. Behaviour of the containers follows TensorFlow 2.15's tracked data structures: they are still a list, a
dict or a tuple, elements that cannot be saved are simply not children, and changes that a checkpoint cannot express are refused when the
object is saved, not when it is changed.
"""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tracer import module as _module
from tracer.errors import SavedModelError
from tracer.functions import ConcreteFunction, Function
from tracer.variable import Variable

__all__ = [
    "AutoTrackable",
    "DictWrapper",
    "ListWrapper",
    "Module",
    "NoDependency",
    "Trackable",
    "TrackableContainer",
    "TupleWrapper",
    "UntrackableError",
    "children_of",
    "is_trackable",
    "no_automatic_dependency_tracking",
    "unwrap",
    "wrap",
]


class UntrackableError(SavedModelError, ValueError):
    """A container was changed in a way that a checkpoint cannot express."""


class NoDependency:
    """Wraps an attribute value that shall be stored as it is and not become a child."""

    def __init__(self, value: Any):
        self.value = value


_pause = threading.local()


@contextlib.contextmanager
def no_automatic_dependency_tracking_scope() -> Iterator[None]:
    """Inside, attributes are stored as they are and nothing is tracked."""
    previous = getattr(_pause, "on", False)
    _pause.on = True
    try:
        yield
    finally:
        _pause.on = previous


def no_automatic_dependency_tracking(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for methods whose attribute assignments shall not make children of that object."""
    import functools

    @functools.wraps(method)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        attributes = self.__dict__
        previous = attributes.get("_self_setattr_tracking", True)
        attributes["_self_setattr_tracking"] = False
        try:
            return method(self, *args, **kwargs)
        finally:
            attributes["_self_setattr_tracking"] = previous

    return wrapped


class Trackable:
    """Something with named children. Children are kept in the order in which they were first tracked."""

    _setattr_tracking = True

    @property
    def _tracked(self) -> dict[str, Any]:
        found = self.__dict__.get("_tracked_children")
        if found is None:
            found = self.__dict__["_tracked_children"] = {}
        return found

    def _track_trackable(self, trackable: Any, name: str, overwrite: bool = False) -> Any:
        """Make `trackable` the child called `name`.

        Raises:
            TypeError: it cannot be a child. ValueError: the name belongs to another child and `overwrite` is False.
        """
        if not is_trackable(trackable):
            raise TypeError(f"{type(self).__name__} > child {name!r}: expected a trackable object, received {type(trackable).__name__}")
        current = self._tracked.get(name)
        if current is not None and current is not trackable and not overwrite:
            raise UntrackableError(
                f"Called Trackable._track_trackable() with name='{name}', but a Trackable with this name is already declared as a "
                f"dependency. Names must be unique (or overwrite=True)."
            )
        self._tracked[name] = trackable
        self._handle_deferred_dependencies(name, trackable)
        return trackable

    def _untrack(self, name: str) -> None:
        self._tracked.pop(name, None)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        """The children by name, in order. `save_type` is "checkpoint" or "savedmodel" (which adds methods that are functions)."""
        self._check_children()
        return dict(self._tracked)

    def _check_children(self) -> None:
        """Raise where the children cannot be saved."""

    def _lookup_dependency(self, name: str, cached_dependencies: Mapping[str, Any] | None = None) -> Any:
        """The child called `name`, or None."""
        if cached_dependencies is not None and name in cached_dependencies:
            return cached_dependencies[name]
        return self._tracked.get(name)

    # -- values that wait for a child --------------------------------------------------------------------------------

    def _defer_dependency(self, name: str, callback: Callable[[Any], None]) -> None:
        """Let `callback(child)` run as soon as a child called `name` is tracked."""
        self.__dict__.setdefault("_deferred_dependencies", {}).setdefault(name, []).append(callback)

    def _handle_deferred_dependencies(self, name: str, trackable: Any) -> None:
        """Run what waits for child `name`."""
        waiting = self.__dict__.get("_deferred_dependencies")
        if waiting:
            for callback in waiting.pop(name, ()):
                callback(trackable)
        for by_name in self.__dict__.get("_name_based_restores", ()):
            by_name.restore(trackable)

    def _no_dependency(self, value: Any) -> NoDependency:
        return NoDependency(value)


class AutoTrackable(Trackable):
    """Tracks every attribute that can be a child; lists, dicts and tuples are wrapped."""

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("_self_setattr_tracking", True) and not getattr(_pause, "on", False):
            value = track_attribute(self, name, value)
        elif isinstance(value, NoDependency):
            value = value.value
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        self._untrack(name)
        super().__delattr__(name)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "savedmodel":
            children.update(methods_of(self))
        return children


def methods_of(value: Any) -> dict[str, Function]:
    """The traced functions that a class defines as methods, bound to `value`, by name."""
    found = {}
    for kind in reversed(type(value).__mro__):
        for name, item in vars(kind).items():
            if isinstance(item, Function):
                found[name] = None
            else:
                found.pop(name, None)
    return {name: getattr(value, name) for name in sorted(found)}


def track_attribute(owner: Any, name: str, value: Any) -> Any:
    """Track `value` as attribute `name` of `owner` where it can be a child. Returns what to store."""
    if isinstance(value, NoDependency):
        owner._untrack(name)
        return value.value
    child = wrap(value)
    if is_trackable(child):
        owner._track_trackable(child, name, overwrite=True)
        return value if isinstance(child, TupleWrapper) else child
    if name in owner._tracked:
        owner._untrack(name)
    return value


class Module(_module.Module, AutoTrackable):
    """tf.Module that tracks its attributes.

    Args:
        name: a valid Python identifier; the class name in snake case by default.
    """

    _TF_MODULE_IGNORED_PROPERTIES = frozenset({"_tracked_children", "_deferred_dependencies", "_obj_reference_counts_dict"})


def is_trackable(value: Any) -> bool:
    """Whether `value` can be a child: it has children, or it is a variable or a function."""
    return (
        isinstance(value, (Trackable, Variable, Function, ConcreteFunction))
        or (hasattr(type(value), "_trackable_children") and not isinstance(value, type))
        or isinstance(value, _module.Module)
    )


def children_of(value: Any, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
    """The children of any trackable; {} for leaves."""
    method = getattr(value, "_trackable_children", None)
    if method is not None:
        return method(save_type, **kwargs)
    if isinstance(value, _module.Module):
        out: dict[str, Any] = {}
        for name, item in vars(value).items():
            child = wrap(item)
            if is_trackable(child):
                out[name] = child
        return out
    return {}


# -- containers ------------------------------------------------------------------------------------------------------


class TrackableContainer(Trackable):
    """What the wrappers share: the values that may hold layers and variables."""

    @property
    def _values(self) -> Iterable[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define _values")

    @property
    def layers(self) -> list[Any]:
        """The Keras layers inside, nested containers included."""
        out: list[Any] = []
        for value in self._values:
            if isinstance(value, TrackableContainer):
                out.extend(v for v in value.layers if all(v is not o for o in out))
            elif hasattr(value, "trainable_weights") and all(value is not o for o in out):
                out.append(value)
        return out

    def _gather(self, attribute: str) -> list[Any]:
        out: list[Any] = []
        for value in self._values:
            if isinstance(value, Variable):
                if attribute == "weights" or value.trainable == (attribute == "trainable_weights"):
                    out.append(value)
            elif hasattr(value, attribute):
                out.extend(getattr(value, attribute))
        return out

    @property
    def trainable_weights(self) -> list[Any]:
        return self._gather("trainable_weights")

    trainable_variables = trainable_weights

    @property
    def non_trainable_weights(self) -> list[Any]:
        return self._gather("non_trainable_weights")

    non_trainable_variables = non_trainable_weights

    @property
    def weights(self) -> list[Any]:
        return self._gather("weights")

    variables = weights


def wrap(value: Any) -> Any:
    """`value` as a child: plain lists and dicts, and tuples that hold something trackable, in their wrapper; the rest as it is."""
    if isinstance(value, TrackableContainer):
        return value
    kind = type(value)
    if kind is list:
        return ListWrapper(value)
    if kind is dict or kind is collections.OrderedDict or kind is collections.defaultdict:
        return DictWrapper(value)
    if isinstance(value, tuple) and _holds_trackable(value):
        return TupleWrapper(value)
    return value


def _holds_trackable(value: tuple[Any, ...]) -> bool:
    for item in value:
        if isinstance(item, NoDependency):
            return True
        if type(item) in (list, dict, collections.OrderedDict) or is_trackable(item):
            return True
        if isinstance(item, tuple) and _holds_trackable(item):
            return True
    return False


def unwrap(value: Any) -> Any:
    """`value` with wrappers at any depth replaced by plain containers."""
    if isinstance(value, ListWrapper):
        return [unwrap(v) for v in value]
    if isinstance(value, DictWrapper):
        items = [(k, unwrap(v)) for k, v in value.items()]
        return collections.OrderedDict(items) if isinstance(value._original, collections.OrderedDict) else dict(items)
    if isinstance(value, TupleWrapper):
        return unwrap(value.wrapped)
    if type(value) is list:
        return [unwrap(v) for v in value]
    if type(value) is dict:
        return {k: unwrap(v) for k, v in value.items()}
    if isinstance(value, tuple):
        items = [unwrap(v) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value


class ListWrapper(TrackableContainer, list):
    """A list whose trackable elements are children "0", "1"… The list it was made from is kept in step."""

    def __init__(self, wrapped_list: Iterable[Any] = ()):
        self._original = wrapped_list if type(wrapped_list) is list else None
        list.__init__(self)
        self._non_append_mutation = False
        for item in wrapped_list:
            self._append(item)
        self._sync()

    @property
    def _values(self) -> Iterable[Any]:
        return list(self)

    def _append(self, item: Any) -> None:
        if isinstance(item, NoDependency):
            list.append(self, item.value)
            return
        child = wrap(item)
        if is_trackable(child):
            self._track_trackable(child, str(len(self)), overwrite=True)
        list.append(self, item if isinstance(child, TupleWrapper) else child)

    def _sync(self) -> None:
        if self._original is not None:
            self._original[:] = self
            self._snapshot = list(self)

    def _before_change(self) -> None:
        if self._original is not None and not self._unchanged_outside():
            self._non_append_mutation_outside = True

    def _unchanged_outside(self) -> bool:
        original, last = self._original, self._snapshot
        return len(original) == len(last) and all(a is b for a, b in zip(original, last, strict=True))

    def _check_children(self) -> None:
        if self._non_append_mutation and self._tracked:
            raise UntrackableError(
                f"Unable to save the object {list.__repr__(self)} (a list wrapper constructed to track trackable TensorFlow objects). A "
                f"list element was replaced (__setitem__, __setslice__), deleted (__delitem__, __delslice__), or moved (sort). In order "
                f"to support restoration on object creation, tracking is exclusively for append-only data structures.\n\nIf you don't "
                f"need this list checkpointed, wrap it in a non-trackable object; it will be subsequently ignored."
            )
        if self._original is not None and (getattr(self, "_non_append_mutation_outside", False) or not self._unchanged_outside()):
            raise UntrackableError(
                f"Unable to save the object {list.__repr__(self)} (a list wrapper constructed to track trackable TensorFlow objects). The "
                f"wrapped list was modified outside the wrapper (its final value was {self._original!r}, its value when a checkpoint "
                f"dependency was added was {self._snapshot!r}), which breaks restoration on object creation.\n\nIf you don't need this "
                f"list checkpointed, wrap it in a NoDependency object; it will be subsequently ignored."
            )

    # -- list ----------------------------------------------------------------------------------------------------------

    def append(self, value: Any) -> None:
        self._before_change()
        self._append(value)
        self._sync()

    def extend(self, values: Iterable[Any]) -> None:
        self._before_change()
        for value in values:
            self._append(value)
        self._sync()

    def __iadd__(self, values: Iterable[Any]) -> ListWrapper:
        self.extend(values)
        return self

    def _mutate(self, change: Callable[[], Any], touched: Iterable[Any] = ()) -> Any:
        self._before_change()
        if any(is_trackable(wrap(v)) for v in touched):
            self._non_append_mutation = True
        result = change()
        self._sync()
        return result

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, slice):
            self._mutate(lambda: list.__setitem__(self, key, [wrap(v) for v in value]), [*list.__getitem__(self, key), *value])
            return
        index = range(len(self))[key]
        old = list.__getitem__(self, index)
        child = wrap(value.value if isinstance(value, NoDependency) else value)
        self._mutate(lambda: list.__setitem__(self, index, child), [old])
        if is_trackable(child):
            if is_trackable(wrap(old)) and old is not child:
                self._non_append_mutation = True
            self._tracked[str(index)] = child
        else:
            self._tracked.pop(str(index), None)

    def __delitem__(self, key: Any) -> None:
        self._mutate(lambda: list.__delitem__(self, key), self)

    def insert(self, index: int, value: Any) -> None:
        self._mutate(lambda: list.insert(self, index, wrap(value)), [*self, value])

    def pop(self, index: int = -1) -> Any:
        return self._mutate(lambda: list.pop(self, index), self)

    def remove(self, value: Any) -> None:
        self._mutate(lambda: list.remove(self, value), self)

    def clear(self) -> None:
        self._mutate(lambda: list.clear(self), self)

    def sort(self, **kwargs: Any) -> None:
        self._mutate(lambda: list.sort(self, **kwargs), self)

    def reverse(self) -> None:
        self._mutate(lambda: list.reverse(self), self)

    def __imul__(self, count: Any) -> ListWrapper:
        self._mutate(lambda: list.__imul__(self, count), self if count <= 0 else ())
        if count > 1:
            items = list(self)
            for i, item in enumerate(items):
                if is_trackable(item):
                    self._tracked[str(i)] = item
        return self

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def copy(self) -> Any:
        return ListWrapper(list(self))

    def __copy__(self) -> Any:
        copied = ListWrapper(list(self))
        copied._non_append_mutation = self._non_append_mutation
        return copied

    def __deepcopy__(self, memo: Any) -> Any:
        import copy

        copied = ListWrapper([copy.deepcopy(v, memo) for v in self])
        copied._non_append_mutation = self._non_append_mutation
        memo[id(self)] = copied
        return copied

    def __reduce__(self) -> Any:
        return ListWrapper, (list(self),)

    def __repr__(self) -> str:
        return f"ListWrapper({list.__repr__(self)})"


class DictWrapper(TrackableContainer, dict):
    """A dict whose trackable values are children by their (string) key. The dict it was made from is kept in step."""

    def __init__(self, wrapped_dict: Any = ()):
        wrapped_dict = wrapped_dict if isinstance(wrapped_dict, Mapping) else dict(wrapped_dict)
        self._original = wrapped_dict
        dict.__init__(self)
        self._bad_keys = False
        for key, value in list(wrapped_dict.items()):
            self._put(key, value)
        self._sync()

    @property
    def _values(self) -> Iterable[Any]:
        try:
            keys = sorted(self)
        except TypeError:
            keys = list(self)
        return [self[k] for k in keys]

    def _put(self, key: Any, value: Any) -> None:
        plain = isinstance(value, NoDependency)
        child = value.value if plain else wrap(value)
        stored = value if isinstance(child, TupleWrapper) else child
        if not plain and is_trackable(child):
            if isinstance(key, str):
                self._track_trackable(child, key, overwrite=True)
            else:
                self._bad_keys = True
        elif isinstance(key, str):
            self._untrack(key)
        dict.__setitem__(self, key, stored)

    def _sync(self) -> None:
        original = self._original
        if isinstance(original, dict):
            if len(original) != len(self) or any(k not in original or original[k] is not v for k, v in self.items()):
                dict.clear(original)
                dict.update(original, self)
            self._snapshot = dict(self)

    def _before_change(self) -> None:
        if not self._unchanged_outside():
            self._changed_outside = True

    def _unchanged_outside(self) -> bool:
        original = self._original
        if not isinstance(original, dict):
            return True
        last = self._snapshot
        return len(original) == len(last) and all(k in original and original[k] is v for k, v in last.items())

    def _check_children(self) -> None:
        text = dict.__repr__(self)
        if self._bad_keys:
            raise UntrackableError(
                f"Unable to save the object {text} (a dictionary wrapper constructed automatically on attribute assignment). The wrapped "
                f"dictionary contains a non-string key which maps to a trackable object or mutable data structure.\n\nIf you don't need "
                f"this dictionary checkpointed, wrap it in a non-trackable object; it will be subsequently ignored."
            )
        if getattr(self, "_changed_outside", False) or not self._unchanged_outside():
            raise UntrackableError(
                f"Unable to save the object {text} (a dictionary wrapper constructed automatically on attribute assignment). The wrapped "
                f"dictionary was modified outside the wrapper (its final value was {self._original!r}, its value when a checkpoint "
                f"dependency was added was {self._snapshot!r}), which breaks restoration on object creation.\n\nIf you don't need this "
                f"dictionary checkpointed, wrap it in a non-trackable object; it will be subsequently ignored."
            )

    # -- dict ----------------------------------------------------------------------------------------------------------

    def __setitem__(self, key: Any, value: Any) -> None:
        self._before_change()
        self._put(key, value)
        self._sync()

    def __delitem__(self, key: Any) -> None:
        self._before_change()
        if isinstance(key, str):
            self._untrack(key)
        dict.__delitem__(self, key)
        self._sync()

    def __missing__(self, key: Any) -> Any:
        factory = getattr(self._original, "default_factory", None)
        if factory is None:
            raise KeyError(key)
        self[key] = factory()
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        if key not in self and default:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> Any:
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        for key in list(self):
            del self[key]

    def __ior__(self, other: Any) -> DictWrapper:  # type: ignore[override,misc]
        self.update(other)
        return self

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def copy(self) -> Any:
        return DictWrapper(dict(self))

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Any:
        import copy

        copied = DictWrapper({k: copy.deepcopy(v, memo) for k, v in self.items()})
        memo[id(self)] = copied
        return copied

    def __reduce__(self) -> Any:
        return DictWrapper, (dict(self),)

    def __repr__(self) -> str:
        return f"DictWrapper({dict.__repr__(self)})"


class TupleWrapper(TrackableContainer):
    """The node of a tuple whose elements are children "0", "1"… or, for a named tuple, by field. The attribute itself stays a tuple."""

    def __init__(self, wrapped: tuple[Any, ...]):
        self.wrapped = wrapped
        self._items: list[Any] = [item.value if isinstance(item, NoDependency) else wrap(item) for item in wrapped]
        fields = getattr(wrapped, "_fields", ())
        for names in (fields, [str(i) for i in range(len(wrapped))]):
            for name, item, child in zip(names, wrapped, self._items, strict=False):
                if not isinstance(item, NoDependency) and is_trackable(child):
                    self._track_trackable(child, name)

    @property
    def _values(self) -> Iterable[Any]:
        return list(self._items)

    def __len__(self) -> int:
        return len(self.wrapped)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.wrapped)

    def __getitem__(self, key: Any) -> Any:
        return self.wrapped[key]

    def __eq__(self, other: object) -> bool:
        return self.wrapped == (other.wrapped if isinstance(other, TupleWrapper) else other)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return repr(self.wrapped)
