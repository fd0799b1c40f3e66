"""What a layer finds in its attributes: sublayers, variables and metrics, in the order of assignment. It refuses to call layers."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any

from savedmodel import trackable
from savedmodel.trackable import TrackableContainer, TupleWrapper
from tracer import nest
from tracer.module import Module as PlainModule
from tracer.variable import Variable

__all__ = ["LayerTracking", "is_layer", "is_metric"]


def is_layer(value: Any) -> bool:
    """Whether `value` is a Keras layer."""
    return getattr(value, "_is_keras_layer", False) and not isinstance(value, type)


def is_metric(value: Any) -> bool:
    """Whether `value` is a Keras metric: a layer that is no part of the topology of a model."""
    return is_layer(value) and hasattr(type(value), "update_state") and hasattr(type(value), "result")


def has_weights(value: Any) -> bool:
    kind = type(value)
    return hasattr(kind, "trainable_weights") and hasattr(kind, "non_trainable_weights") and not isinstance(value, type)


def _without(items: list[Any], item: Any) -> list[Any]:
    return [i for i in items if i is not item]


class LayerTracking(trackable.Module):
    """Attribute assignment that keeps the lists of sublayers, variables and metrics up to date."""

    _is_keras_layer = True
    _saved_model_visitor = "savedmodel.keras.saving.layer_children"
    _TF_MODULE_IGNORED_PROPERTIES = trackable.Module._TF_MODULE_IGNORED_PROPERTIES | {
        "_inbound_nodes_value",
        "_outbound_nodes_value",
        "_self_tracked_trackables",
        "_metrics",
    }

    def _own_list(self, name: str) -> list[Any]:
        """The list kept under `name`, made when it is first needed (attributes may be set before `super().__init__()`)."""
        found = self.__dict__.get(name)
        if found is None:
            found = self.__dict__[name] = []
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        attributes = self.__dict__
        if (
            name == "_self_setattr_tracking"
            or not attributes.get("_self_setattr_tracking", True)
            or getattr(trackable._pause, "on", False)
            or hasattr(type(self), name)
        ):
            if isinstance(value, trackable.NoDependency):
                value = value.value
            try:
                object.__setattr__(self, name, value)
            except AttributeError:
                raise AttributeError(
                    f"Can't set the attribute \"{name}\", likely because it conflicts with an existing read-only @property of the "
                    f"object. Please choose a different name."
                ) from None
            return
        value = trackable.track_attribute(self, name, value)
        if name in attributes:
            position = self._forget(name, value)
        else:
            position = None
        tracked = self._tracked.get(name, value)
        self._find_in(tracked if isinstance(tracked, TupleWrapper) else value, position)
        attributes[name] = value

    def _find_in(self, value: Any, position: int | None = None) -> None:
        """Enter the layers, metrics and variables in a new attribute value."""
        if isinstance(value, (str, int, float, bool)) or value is None:
            return
        container = isinstance(value, TrackableContainer)
        if self.__dict__.get("_auto_track_sub_layers", True) and (isinstance(value, PlainModule) or has_weights(value)):
            tracked = self._own_list("_self_tracked_trackables")
            if not any(t is value for t in tracked):
                tracked.append(value)
        for leaf in nest.flatten(value.wrapped if isinstance(value, TupleWrapper) else trackable.unwrap(value) if container else value):
            if is_metric(leaf):
                if "_metrics" in self.__dict__:
                    self._metrics.append(leaf)
            elif isinstance(leaf, Variable):
                self._track_variable(leaf, position)

    def _track_variable(self, variable: Variable, position: int | None = None) -> None:
        own = self._own_list("_trainable_weights" if variable.trainable else "_non_trainable_weights")
        self._own_list("_non_trainable_weights")
        if any(v is variable for v in own):
            return
        own.insert(len(own) if position is None else position, variable)

    def _forget(self, name: str, new: Any = None) -> int | None:
        """Drop what attribute `name` holds from the lists, unless another attribute holds it too. Where a variable replaces another: its position."""
        old = self.__dict__[name]
        position = None
        if isinstance(old, Variable):
            own = self._own_list("_trainable_weights" if old.trainable else "_non_trainable_weights")
            if isinstance(new, Variable):
                position = next((i for i, v in enumerate(own) if v is old), None)
        if old is new or any(v is old for k, v in self.__dict__.items() if k != name):
            return position
        attributes = self.__dict__
        if isinstance(old, Variable):
            for key in ("_trainable_weights", "_non_trainable_weights"):
                attributes[key] = _without(self._own_list(key), old)
        elif is_layer(old) or has_weights(old):
            attributes["_self_tracked_trackables"] = _without(self._own_list("_self_tracked_trackables"), old)
        elif isinstance(old, tuple):
            attributes["_self_tracked_trackables"] = [
                t for t in self._own_list("_self_tracked_trackables") if not (isinstance(t, TupleWrapper) and t.wrapped is old)
            ]
        return position

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__ and name in self._tracked:
            self._forget(name)
            self._untrack(name)
        object.__delattr__(self, name)

    # -- walking -----------------------------------------------------------------------------------------------------

    def _flatten_modules(self, recursive: bool = True, include_self: bool = True) -> Iterator[Any]:
        """This layer, then its sublayers and modules, depth first in the order of assignment; metrics are left out."""
        if include_self:
            yield self
        tracked = self.__dict__.get("_self_tracked_trackables")
        if not tracked:
            return
        seen: set[int] = set()
        queue = collections.deque(tracked)
        while queue:
            item = queue.popleft()
            if id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, PlainModule):
                if is_metric(item):
                    continue
                yield item
                if recursive:
                    inner = item.__dict__.get("_self_tracked_trackables")
                    if inner:
                        queue.extendleft(reversed(inner))
            elif isinstance(item, TrackableContainer):
                queue.extendleft(reversed(list(item._values)))

    def _flatten_layers(self, recursive: bool = True, include_self: bool = True) -> Iterator[Any]:
        """Like `_flatten_modules`, layers only."""
        for module in self._flatten_modules(recursive, include_self):
            if is_layer(module):
                yield module

    def _gather_children_attribute(self, attribute: str) -> list[Any]:
        """`attribute` (a list) of all direct sublayers and modules, joined."""
        out: list[Any] = []
        for child in self._flatten_modules(recursive=False, include_self=False):
            out.extend(getattr(child, attribute))
        return out

    @staticmethod
    def _dedup_weights(weights: list[Any]) -> list[Any]:
        seen: set[int] = set()
        out = []
        for w in weights:
            if id(w) not in seen:
                seen.add(id(w))
                out.append(w)
        return out

    def _get_trainable_state(self) -> dict[int, tuple[Any, bool]]:
        """What `_set_trainable_state` needs to restore `trainable` of all layers."""
        return {id(layer): (layer, layer.trainable) for layer in self._flatten_layers()}

    def _set_trainable_state(self, state: dict[int, tuple[Any, bool]]) -> None:
        for layer in self._flatten_layers():
            if id(layer) in state:
                layer.trainable = state[id(layer)][1]
