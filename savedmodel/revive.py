"""Revivers: how a user object of the object graph becomes a live object, by its identifier. It refuses to read files.

Keras registers its own revivers when it is imported; an unknown identifier gives a plain object with attributes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from savedmodel.signature import SignatureMap
from savedmodel.trackable import AutoTrackable, DictWrapper, ListWrapper, Trackable
from tracer import dtypes, lookup
from tracer.errors import UninitializedError
from tracer.shapes import TensorShape
from tracer.tensor import EagerTensor

__all__ = ["Asset", "LazyHandle", "RestoredResource", "UserObject", "register_reviver", "revive"]

# identifier -> make(message) -> (object, setter)
_REVIVERS: dict[str, Callable[[Any], tuple[Any, Callable[[Any, str, Any], None]]]] = {}

Asset = lookup.Asset


def register_reviver(identifier: str, make: Callable[[Any], tuple[Any, Callable[[Any, str, Any], None]]]) -> None:
    """Let user objects of `identifier` be made by `make(SavedUserObject) -> (object, setter)`; `setter(object, name, child)`."""
    _REVIVERS[identifier] = make


class UserObject(AutoTrackable):
    """A saved object whose class is not known here: its children as attributes, callable if it was."""


UserObject.__name__ = UserObject.__qualname__ = "_UserObject"  # what TensorFlow calls them


def _set_plain(obj: Any, name: str, child: Any) -> None:
    if name.startswith("__") and name.endswith("__") and name[2:-2] in _SPECIAL:
        if type(obj) is UserObject:
            obj.__class__ = type("_UserObject", (UserObject,), {})  # a class of its own, since `__call__` lives on the class
        setattr(type(obj), name, _bound_special(child))
        obj._track_trackable(child, name, overwrite=True)
        return
    setattr(obj, name, child)


_SPECIAL = frozenset(["call", "len", "getitem", "contains", "iter"])


def _bound_special(function: Any) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    method.__wrapped__ = function  # type: ignore[attr-defined]
    return method


def _make_user_object(message: Any) -> tuple[Any, Any]:
    return UserObject(), _set_plain


def _make_list(message: Any) -> tuple[Any, Any]:
    return ListWrapper(()), _set_list  # no list of its own to keep in step


def _set_list(obj: Any, name: str, child: Any) -> None:
    if name.isdigit():
        index = int(name)
        while len(obj) < index:  # positions that held nothing trackable
            list.append(obj, None)
        if len(obj) == index:
            obj._append(child)
            obj._sync()
            return
        list.__setitem__(obj, index, child)
        obj._track_trackable(child, name, overwrite=True)
    else:
        setattr(obj, name, child)


def _make_dict(message: Any) -> tuple[Any, Any]:
    return DictWrapper({}), lambda obj, name, child: obj.__setitem__(name, child)


class RestoredTuple(Trackable):
    """A tuple while its elements arrive; the loader replaces it by the tuple itself where it is held."""

    def __init__(self) -> None:
        self.items: dict[int, Any] = {}

    @cached_property
    def whole(self) -> tuple[Any, ...]:
        """The tuple; asked for when all elements have arrived."""
        size = max(self.items, default=-1) + 1
        return tuple(self.items.get(i) for i in range(size))


def _set_tuple(obj: RestoredTuple, name: str, child: Any) -> None:
    if name.isdigit():  # the elements of a named tuple are there by field, too
        obj.items[int(name)] = child


def _make_signatures(message: Any) -> tuple[Any, Any]:
    return SignatureMap(), lambda obj, name, child: obj._add_signature(name, child)


_REVIVERS.update(
    {
        "_generic_user_object": _make_user_object,
        "trackable_list_wrapper": _make_list,
        "trackable_dict_wrapper": _make_dict,
        "trackable_tuple_wrapper": lambda message: (RestoredTuple(), _set_tuple),
        "signature_map": _make_signatures,
    }
)


def revive(message: Any) -> tuple[Any, Callable[[Any, str, Any], None]]:
    """The live object of a SavedUserObject, and how to set its children."""
    return _REVIVERS.get(message.identifier, _make_user_object)(message)


class RestoredResource(AutoTrackable):
    """A table or other resource of a loaded model: made and filled by functions of the model."""

    def __init__(self, device: str = "", registered_name: str = ""):
        self._device = device
        self._registered_name = registered_name
        self.__dict__["made_handle"] = None  # the handle, once it was made
        # name → (save function, restore function): for tables that are filled from the checkpoint
        self.__dict__["saveables"] = {}

    @property
    def resource_handle(self) -> EagerTensor:
        """The handle; the resource is made when it is first asked for."""
        if self.made_handle is None:
            create = getattr(self, "_create_resource", None)
            if create is None:
                raise UninitializedError("a resource of the model has no function that makes it (`_create_resource`); the model was not saved whole")
            self.__dict__["made_handle"] = create()
        return self.made_handle

    _resource_handle = resource_handle

    def initialize(self) -> None:
        """Fill the resource, as the model says."""
        fill = getattr(self, "_initialize", None)
        if fill is not None:
            fill()



class LazyHandle(EagerTensor):
    """The handle of a resource that is made by a function of the model when it is first used."""

    __slots__ = ("owner",)

    def __init__(self, owner: RestoredResource):
        self.owner = owner
        self.dtype = dtypes.resource
        self._shape = TensorShape([])
        self.handle_data = None

    @property
    def _value(self) -> Any:  # type: ignore[override]
        return self.owner.resource_handle._value
