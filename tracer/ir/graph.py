"""Graph, Node, Tensor: an ordered set of uniquely named nodes and the slots that join them. It never executes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tracer.dtypes import DType
from tracer.errors import GraphError
from tracer.ir.names import NameScopes
from tracer.shapes import TensorShape

__all__ = ["Graph", "Node", "Tensor"]


class Tensor:
    """One output slot of a node.

    Attributes:
        node, index: the slot.
        dtype, shape: its static type.
        handle_data: for resources and variants, [(dtype, shape), …] of what they hold, else None.
    """

    __slots__ = ("__weakref__", "_shape", "dtype", "handle_data", "index", "node")

    def __init__(self, node: Node, index: int, dtype: DType, shape: TensorShape):
        self.node = node
        self.index = index
        self.dtype = dtype
        self._shape = shape
        self.handle_data: list[tuple[DType, TensorShape]] | None = None

    @property
    def shape(self) -> TensorShape:
        return self._shape

    @property
    def graph(self) -> Graph:
        return self.node.graph

    @property
    def name(self) -> str:
        return f"{self.node.name}:{self.index}"

    def set_shape(self, shape: Any) -> None:
        """Merge what `shape` tells into the static shape. Raises ValueError where they contradict."""
        self._shape = self._shape.merge_with(shape)

    def __repr__(self) -> str:
        return f"<Tensor {self.name!r} shape={self.shape} dtype={self.dtype.name}>"


class Node:
    """One op in a graph.

    Attributes:
        name, op: unique name in the graph; op type.
        inputs: the tensors it reads. control_inputs: nodes that must run before it.
        attrs: see `tracer.ir.attrs`. device: TensorFlow's device string, kept but not interpreted.
        outputs: its slots.
        extra: on copies of nodes: (tensors of the same body by their original names, this node's original name).
    """

    __slots__ = ("attrs", "control_inputs", "device", "extra", "graph", "inputs", "name", "op", "outputs", "position")

    def __init__(
        self,
        graph: Graph,
        name: str,
        op: str,
        inputs: Sequence[Any],
        attrs: dict[str, Any],
        control_inputs: Iterable[Node] = (),
        device: str = "",
    ):
        self.graph = graph
        self.name = name
        self.op = op
        self.inputs: list[Any] = list(inputs)
        self.control_inputs: list[Node] = list(control_inputs)
        self.attrs = attrs
        self.device = device
        self.outputs: list[Any] = []
        self.extra: Any = None
        self.position = -1

    def attr(self, name: str, default: Any = None) -> Any:
        """The attr, or `default` when the node does not carry it."""
        return self.attrs.get(name, default)

    @property
    def type(self) -> str:
        return self.op

    def get_attr(self, name: str) -> Any:
        """The attr. Raises ValueError when the node has none of that name."""
        try:
            return self.attrs[name]
        except KeyError:
            raise GraphError(f"Operation {self.name!r} has no attr named {name!r}.") from None

    def __repr__(self) -> str:
        return f"<Node {self.name!r} op={self.op}>"


class Graph:
    """Nodes in the order they were added, by unique name. Inputs may refer to later nodes (loops of old control flow)."""

    tensor_class: type = Tensor

    def __init__(self, name: str = "graph"):
        self.name = name
        self.nodes: dict[str, Node] = {}
        self.scopes = NameScopes()
        self.versions: tuple[int, int] | None = None
        self.extra: dict[str, Any] = {}  # what engines and readers keep with the graph

    def add_node(
        self,
        op: str,
        inputs: Sequence[Any],
        attrs: dict[str, Any],
        outputs: Sequence[tuple[DType, TensorShape]],
        name: str | None = None,
        control_inputs: Iterable[Node] = (),
        device: str = "",
    ) -> Node:
        """Append a node under a unique name made from `name` (default: the op type) in the current name scope.

        A trailing `/` asks for exactly the name of a scope that was entered, as an op that opens a scope of its own has it.
        """
        if name and name.endswith("/") and name[:-1] not in self.nodes:
            unique = name[:-1]
            self.scopes.reserve(unique)
        else:
            unique = self.scopes.unique(name or op)
        node = Node(self, unique, op, inputs, attrs, control_inputs, device)
        return self._append(node, outputs)

    def add_named_node(
        self,
        op: str,
        inputs: Sequence[Any],
        attrs: dict[str, Any],
        outputs: Sequence[tuple[DType, TensorShape]],
        name: str,
        control_inputs: Iterable[Node] = (),
        device: str = "",
    ) -> Node:
        """Append a node under exactly `name`. Raises GraphError when it is taken."""
        if name in self.nodes:
            raise GraphError(f"graph {self.name!r}: duplicate node name {name!r}; node names must be unique")
        self.scopes.reserve(name)
        return self._append(Node(self, name, op, inputs, attrs, control_inputs, device), outputs)

    def _append(self, node: Node, outputs: Sequence[tuple[DType, TensorShape]]) -> Node:
        make = self.tensor_class
        node.outputs = [make(node, i, dtype, shape) for i, (dtype, shape) in enumerate(outputs)]
        node.position = len(self.nodes)
        self.nodes[node.name] = node
        return node

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, name: str) -> Node:
        try:
            return self.nodes[name]
        except KeyError:
            raise KeyError(f"graph {self.name!r} has no node {name!r}") from None

    def get_tensor(self, name: str) -> Any:
        """The slot named `node` or `node:index`."""
        node_name, _, index = name.partition(":")
        outputs = self[node_name].outputs
        if index and not index.isdecimal():
            raise GraphError(f"graph {self.name!r}: expected a tensor's name as `node:index`, received {name!r}")
        number = int(index or 0)
        if number >= len(outputs):
            raise GraphError(f"graph {self.name!r}: node {node_name!r} has {len(outputs)} outputs, received index {number}")
        return outputs[number]

    def get_tensor_by_name(self, name: str) -> Any:
        """The tensor `node:index`. Raises KeyError when there is none."""
        return self.get_tensor(name)

    def get_operation_by_name(self, name: str) -> Node:
        """The node of that name. Raises KeyError when there is none."""
        return self[name]

    def get_operations(self) -> list[Node]:
        """All nodes, in order."""
        return list(self.nodes.values())

    def as_graph_element(self, name: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Any:
        """The tensor `node:index` or the node `node`; tensors and nodes are given back."""
        if not isinstance(name, str):
            return name
        return self.get_tensor(name) if ":" in name else self[name]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} {len(self.nodes)} nodes>"


def topological_order(nodes: Iterable[Node]) -> list[Node]:
    """`nodes` so that each follows its inputs and control inputs among them; stable in the given order.

    Raises:
        GraphError: there is a cycle (old loops must be handled before).
    """
    wanted = list(nodes)
    members = set(map(id, wanted))
    done: set[int] = set()
    open_: set[int] = set()
    out: list[Node] = []
    for root in wanted:
        if id(root) in done:
            continue
        stack: list[tuple[Node, Iterator[Node]]] = [(root, _predecessors(root))]
        open_.add(id(root))
        while stack:
            node, rest = stack[-1]
            for before in rest:
                key = id(before)
                if key in done or key not in members:
                    continue
                if key in open_:
                    raise GraphError(f"graph has a cycle through node {before.name!r} ({before.op})")
                open_.add(key)
                stack.append((before, _predecessors(before)))
                break
            else:
                stack.pop()
                open_.discard(id(node))
                done.add(id(node))
                out.append(node)
    return out


def _predecessors(node: Node) -> Iterator[Node]:
    for t in node.inputs:
        yield t.node
    yield from node.control_inputs
