"""The checkpoint of an object graph: which values it holds under which keys, the graph's message, and the bundle. It refuses to restore."""

from __future__ import annotations

from typing import Any

import numpy as np

from savedmodel.format import protos, wire
from savedmodel.format.bundle import BundleWriter
from savedmodel.object_graph import ObjectGraph
from savedmodel.revive import RestoredResource
from tracer import dtypes
from tracer.functions import ConcreteFunction, Function
from tracer.lookup import LookupInterface
from tracer.tensor import EagerTensor, convert_to_tensor
from tracer.variable import Variable

__all__ = ["OBJECT_GRAPH_KEY", "CheckpointWriter"]

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


class CheckpointWriter:
    """The checkpoint of an object graph.

    Attributes:
        entries: (key, variable or array, dtype) of every tensor, in the order in which they are written.
        table_keys: node id of a table → the checkpoint key from which its functions make the names of its tensors.
    """

    def __init__(self, graph: ObjectGraph):
        self.graph = graph
        self.entries: list[tuple[str, Any, Any]] = []
        self.table_keys: dict[int, str] = {}
        self._late: list[tuple[str, Any, Any]] = []
        self.message = protos.TrackableObjectGraph()
        for i, obj in enumerate(graph.nodes):
            if i in graph.saver_functions:
                continue
            node = self.message.nodes.add()
            graph.fill_children(i, node)
            self._attributes(i, obj, node)
        _mark_values(self.message)
        self.entries += self._late

    def _attributes(self, i: int, obj: Any, node: Any) -> None:
        prefix = self.graph.checkpoint_prefix(i)
        if isinstance(obj, Variable):
            key = f"{prefix}/.ATTRIBUTES/VARIABLE_VALUE"
            node.attributes.add(name="VARIABLE_VALUE", full_name=obj._shared_name, checkpoint_key=key)
            self.entries.append((key, obj, obj.dtype))
            return
        if isinstance(obj, RestoredResource):
            for name, (save, _) in obj.saveables.items():
                key = self._table_key(i, f"{prefix}/.ATTRIBUTES/{name}", name, node)
                for part in save(convert_to_tensor(key)):
                    tensor = part["tensor"]
                    self.entries.append((part["name"].numpy().decode(), tensor._value, tensor.dtype))
            return
        serialize = getattr(obj, "_serialize_to_tensors", None)
        if serialize is None or isinstance(obj, (Function, ConcreteFunction)):
            return
        if isinstance(obj, LookupInterface):
            if not getattr(obj, "_checkpoint", True):
                return
            key = self._table_key(i, f"{prefix}/.ATTRIBUTES/table", "table", node)
            for suffix, t in serialize().items():
                self.entries.append((key + suffix, t._value, t.dtype))
            return
        entries = self._late if getattr(obj, "_saved_last", False) else self.entries
        for name, value in serialize().items():
            key = f"{prefix}/.ATTRIBUTES/{name}"
            node.attributes.add(name=name, full_name="", checkpoint_key=key)
            array, dtype = _array(value)
            entries.append((key, array, dtype))

    def _table_key(self, i: int, key: str, name: str, node: Any) -> str:
        self.table_keys[i] = key
        node.attributes.add(name=name, full_name="", checkpoint_key=key)
        return key

    def variable_keys(self) -> tuple[list[str], list[Variable]]:
        """Keys and variables, in order."""
        pairs = [(k, v) for k, v, _ in self.entries if isinstance(v, Variable)]
        return [k for k, _ in pairs], [v for _, v in pairs]

    def graph_bytes(self) -> bytes:
        """The serialized TrackableObjectGraph."""
        return wire.serialize(self.message)

    def write(self, prefix: str, sync: bool = False) -> None:
        """Write the bundle; with `sync`, wait for the disk before it is published."""
        with BundleWriter(prefix, sync=sync) as writer:
            for key, value, dtype in self.entries:
                array = value._resource.read() if isinstance(value, Variable) else value
                writer.add(key, array, dtype.name)
            scalar = np.empty((), object)
            scalar[()] = self.graph_bytes()
            writer.add(OBJECT_GRAPH_KEY, scalar)


def _mark_values(message: Any) -> None:
    """Say of every node whether it, or a node below it, has a value."""
    parents: dict[int, set[int]] = {}
    found = set()
    for i, node in enumerate(message.nodes):
        if node.attributes or node.slot_variables:
            found.add(i)
        for child in node.children:
            parents.setdefault(child.node_id, set()).add(i)
    queue = list(found)
    while queue:
        for parent in parents.pop(queue.pop(), ()):
            if parent not in found:
                found.add(parent)
                queue.append(parent)
    for i, node in enumerate(message.nodes):
        node.has_checkpoint_values.value = i in found


def _array(value: Any) -> tuple[Any, Any]:
    if isinstance(value, EagerTensor):
        return value._value, value.dtype
    if isinstance(value, (str, bytes)):
        scalar = np.empty((), object)
        scalar[()] = value.encode() if isinstance(value, str) else value
        return scalar, dtypes.string
    array = np.asarray(value)
    return array, dtypes.as_dtype(array.dtype)
