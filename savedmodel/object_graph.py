"""The object graph: a walk over tracked objects, and its messages (SavedObjectGraph, TrackableObjectGraph). It refuses to touch files.

Nodes are numbered breadth-first from the root; slot variables follow. A variable's checkpoint key is the shortest path that leads to it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from savedmodel import trackable
from savedmodel.errors import NotSavableError
from savedmodel.revive import Asset, LazyHandle, RestoredResource, RestoredTuple
from savedmodel.signature import SignatureMap
from tracer.functions import ConcreteFunction, Function, FunctionSpec, trace_function
from tracer.lookup import AssetPath, LookupInterface
from tracer.tensor import EagerTensor
from tracer.variable import Variable

__all__ = ["Constant", "ObjectGraph", "escape_name", "identifier_of", "saved_children"]


class Constant:
    """A concrete tensor that a function captured: a node of its own."""

    def __init__(self, tensor: EagerTensor):
        self.tensor = tensor

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        return {}


def escape_name(name: str) -> str:
    """A local name as it stands in a checkpoint key."""
    return name.replace(".", "..").replace("/", ".S")


def identifier_of(obj: Any) -> tuple[str, int, int]:
    """The identifier of a user object, and the producer and least consumer of its version."""
    visitor = getattr(type(obj), "_saved_model_visitor", None)
    if visitor is not None:
        return importlib.import_module(visitor).identifier(obj), 1, 1
    own = getattr(obj, "_object_identifier", None)
    if own is not None:
        producer, consumer = getattr(obj, "_object_version", (1, 1))
        return own, producer, consumer
    if isinstance(obj, trackable.ListWrapper):
        return "trackable_list_wrapper", 1, 1
    if isinstance(obj, trackable.DictWrapper):
        return "trackable_dict_wrapper", 1, 1
    if isinstance(obj, (trackable.TupleWrapper, RestoredTuple)):
        return "trackable_tuple_wrapper", 1, 1
    if isinstance(obj, SignatureMap):
        return "signature_map", 1, 1
    return "_generic_user_object", 1, 1


def saved_children(obj: Any, cache: dict[Any, Any]) -> dict[str, Any]:
    """The children of `obj` in a SavedModel; what its class's visitor makes is kept in `cache` for the whole save."""
    children = trackable.children_of(obj, "savedmodel", cache=cache)
    visitor = getattr(type(obj), "_saved_model_visitor", None)
    return children if visitor is None else importlib.import_module(visitor).children(obj, children, cache)


def trace_signature(function: Any) -> bool:
    """Trace a function that has an input signature and was not called yet. Returns whether it was traced now."""
    if not isinstance(function, Function) or function.input_signature is None:
        return False
    before = len(function.concrete_functions())
    function.get_concrete_function()
    return len(function.concrete_functions()) != before


class ObjectGraph:
    """The objects reachable from a root.

    Args:
        root: any trackable object.
        save_type: "savedmodel" adds functions, their traces and what these captured; "checkpoint" does not.
        extra_root_children: name → object, in addition to the root's own children (signatures).

    Attributes:
        nodes: objects by node id. paths: for each, the names that lead to it from the root.
        children: for each, (name, node id) pairs. slots: for each, (variable id, slot name, slot variable id) triples.
        saveables: node id → name → (save function's id, restore function's id), for objects with state that is no variable.
        saver_functions: the ids of those functions, which come last.
    """

    def __init__(
        self, root: Any, save_type: str = "checkpoint", extra_root_children: Mapping[str, Any] | None = None, cache: dict[Any, Any] | None = None
    ):  # fmt: skip
        self.save_type = save_type
        self.nodes: list[Any] = [root]
        self.paths: list[tuple[str, ...]] = [()]
        self.children: list[list[tuple[str, int]]] = []
        self.slots: list[list[tuple[int, str, int]]] = []
        self.ids: dict[int, int] = {id(root): 0}
        self.cache: dict[Any, Any] = {} if cache is None else cache
        self.saveables: dict[int, dict[str, tuple[int, int]]] = {}
        self.saver_functions: set[int] = set()
        self._constants: dict[int, Constant] = {}
        self._owners: dict[int, int] | None = None
        i = 0
        while i < len(self.nodes):
            obj = self.nodes[i]
            mine: list[tuple[str, int]] = []
            for name, child in self._children_of(obj, extra_root_children if i == 0 else None):
                mine.append((name, self._add(child, (*self.paths[i], name))))
            self.children.append(mine)
            i += 1
        self._add_slots()

    def _add(self, obj: Any, path: tuple[str, ...]) -> int:
        key = id(obj)
        found = self.ids.get(key)
        if found is None:
            found = self.ids[key] = len(self.nodes)
            self.nodes.append(obj)
            self.paths.append(path)
        return found

    def add_saver(self, i: int, name: str, save: ConcreteFunction, restore: ConcreteFunction) -> None:
        """Add the functions that save and restore the state `name` of node `i`."""
        ids = []
        for function in (save, restore):
            new = self._add(function, (*self.paths[i], name))
            if new == len(self.children):
                self.children.append([])
                self.slots.append([])
            ids.append(new)
        self.saver_functions.update(ids)
        self.saveables.setdefault(i, {})[name] = (ids[0], ids[1])

    def _children_of(self, obj: Any, extra: Mapping[str, Any] | None) -> Iterator[tuple[str, Any]]:
        try:
            named = dict(self._named_children(obj))
        except trackable.UntrackableError as error:
            raise NotSavableError(str(error)) from error
        if extra:
            named.update(extra)
        for name, child in named.items():
            if child is None:
                continue
            yield name, child

    def _named_children(self, obj: Any) -> Mapping[str, Any]:
        if self.save_type != "savedmodel":
            if isinstance(obj, (Function, ConcreteFunction)):
                return {}
            return trackable.children_of(obj, "checkpoint")
        if isinstance(obj, Function):
            return {f"trace_{k}": c for k, c in enumerate(obj.concrete_functions())}
        if isinstance(obj, ConcreteFunction):
            return self._captured_children(obj)
        children = saved_children(obj, self.cache)
        if any([trace_signature(child) for child in children.values()]):
            children = saved_children(obj, self.cache)  # tracing may have made variables
        if isinstance(obj, LookupInterface):
            children = {**children, **_table_functions(obj, self.cache)}
        return children

    def _captured_children(self, function: ConcreteFunction) -> dict[str, Any]:
        """Captured tensors that no object stands for become nodes; what belongs to an asset is found by its tensor."""
        out: dict[str, Any] = {}
        for k, t in enumerate(function.captured_inputs):
            if not isinstance(t, EagerTensor) or t.dtype.kind in "rv":
                continue
            if isinstance(t, AssetPath):
                continue
            constant = self._constants.get(id(t))
            if constant is None:
                constant = self._constants[id(t)] = Constant(t)
            out[f"capture_{k}"] = constant
        return out

    def _add_slots(self) -> None:
        """Slot variables of optimizers, for variables that are in the graph: slot by slot, in the order of the variables."""
        self.slots = [[] for _ in self.nodes]
        objects = list(self.nodes)
        for i, obj in enumerate(objects):
            if not hasattr(type(obj), "get_slot_names") or not hasattr(type(obj), "get_slot"):
                continue
            for name in obj.get_slot_names():
                for owner, variable in enumerate(objects):
                    if not isinstance(variable, Variable):
                        continue
                    try:
                        slot = obj.get_slot(variable, name)
                    except (AttributeError, KeyError):
                        continue
                    if slot is None:
                        continue
                    if id(slot) in self.ids:
                        raise NotSavableError(
                            f"A slot variable was re-used as a dependency of a Trackable object: {slot!r}. Hold it in the optimizer only."
                        )
                    path = (*self.paths[owner], _SLOT_MARK, *self.paths[i], name)
                    new = self._add(slot, path)
                    self.children.append([])
                    self.slots.append([])
                    self.slots[i].append((owner, name, new))

    # -- look-ups ----------------------------------------------------------------------------------------------------

    def checkpoint_prefix(self, i: int) -> str:
        """The path of node `i` as it stands in checkpoint keys."""
        path = self.paths[i]
        if _SLOT_MARK in path:
            at = path.index(_SLOT_MARK)
            head = "/".join(escape_name(p) for p in path[:at])
            return f"{head}/.OPTIMIZER_SLOT/" + "/".join(escape_name(p) for p in path[at + 1 :])
        return "/".join(escape_name(p) for p in path)

    def node_of_capture(self, tensor: Any) -> int | None:
        """The node that a captured tensor stands for, or None where nothing tracked holds it."""
        if self._owners is None:
            self._owners = self._index_owners()
        found = self._owners.get(id(tensor))
        if found is None and isinstance(tensor, AssetPath):
            found = self.ids.get(id(tensor.asset))
        if found is None and isinstance(tensor, LazyHandle):
            found = self.ids.get(id(tensor.owner))
        if found is None and isinstance(tensor, EagerTensor) and tensor.dtype.kind == "r":
            found = self._owners.get(id(tensor._value))
        return found

    def _index_owners(self) -> dict[int, int]:
        """Node ids by the identity of what functions capture: tensors, and the resources behind handles."""
        owners: dict[int, int] = {}
        for i, obj in enumerate(self.nodes):
            if isinstance(obj, Asset):
                owners[id(obj.asset_path)] = i
            elif isinstance(obj, Constant):
                owners[id(obj.tensor)] = i
            elif isinstance(obj, Variable):
                owners[id(obj._resource)] = i
            elif isinstance(obj, (LookupInterface, RestoredResource)):
                handle = obj.made_handle if isinstance(obj, RestoredResource) else obj._resource_handle_value
                if handle is not None:
                    owners[id(handle)] = owners[id(handle._value)] = i
        return owners

    # -- messages ----------------------------------------------------------------------------------------------------

    def fill_children(self, i: int, message: Any) -> None:
        """Write the edges of node `i` into a SavedObject or TrackableObject."""
        for name, child in self.children[i]:
            message.children.add(node_id=child, local_name=name)
        for owner, name, slot in self.slots[i] if i < len(self.slots) else ():
            message.slot_variables.add(original_variable_node_id=owner, slot_name=name, slot_variable_node_id=slot)


_SLOT_MARK = "\0slot"


def _table_functions(table: LookupInterface, cache: dict[Any, Any]) -> dict[str, Any]:
    """The functions that make, fill and destroy a table, traced once per save."""
    key = ("table", id(table))
    found = cache.get(key)
    if found is None:
        def create() -> Any:
            return table._create_resource()

        def initialize() -> Any:
            table._initialize()
            return np.array(1, np.int32)

        def destroy() -> Any:
            return np.array(1, np.int32)

        found = cache[key] = {}
        for name, fn in (("_create_resource", create), ("_initialize", initialize), ("_destroy_resource", destroy)):
            label = {"_create_resource": "_creator", "_initialize": "_initializer", "_destroy_resource": "_destroyer"}[name]
            found[name] = trace_function(fn, (), {}, label, FunctionSpec())
    return found

