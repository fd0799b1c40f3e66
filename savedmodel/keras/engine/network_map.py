"""The graph of calls between Keras tensors: its nodes by depth, its layers in order. It refuses to run it."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

from savedmodel.keras.engine.keras_tensor import KerasTensor, is_keras_tensor
from savedmodel.keras.engine.node import Node
from tracer import nest
from tracer.errors import GraphError, InvalidArgumentError

__all__ = ["NetworkMap", "clone_graph_nodes", "map_network", "node_key"]


def node_key(layer_name: str, node_index: int) -> str:
    """How a network names a node."""
    return f"{layer_name}_ib-{node_index}"


class NetworkMap:
    """What `map_network` finds: keys of nodes, nodes by depth (inputs deepest), layers from inputs to outputs."""

    def __init__(self, keys: set[str], nodes_by_depth: dict[int, list[Node]], layers: list[Any]):
        self.keys = keys
        self.nodes_by_depth = nodes_by_depth
        self.layers = layers


def _postorder(outputs: Sequence[Any]) -> tuple[list[Node], dict[int, int]]:
    """Nodes so that each comes after the nodes it takes from, and the order in which layers are met walking back from the outputs."""
    finished: set[int] = set()
    open_: set[int] = set()
    order: list[Node] = []
    met: dict[int, int] = {}
    for output in outputs:
        stack: list[tuple[Any, Any]] = []

        def enter(tensor: Any, stack: list[tuple[Any, Any]] = stack) -> None:
            node = tensor.node
            if id(node) in finished:
                return
            if id(node) in open_:
                raise GraphError(f'Tensor {tensor} from layer "{node.layer.name}" is part of a cycle.')
            met.setdefault(id(node.layer), len(met))
            open_.add(id(node))
            stack.append((node, iter(() if node.is_input else node.keras_inputs)))

        enter(output)
        while stack:
            node, rest = stack[-1]
            tensor = next(rest, None)
            if tensor is None:
                stack.pop()
                open_.discard(id(node))
                finished.add(id(node))
                order.append(node)
            else:
                enter(tensor)
    return order, met


def _index(node: Node) -> int:
    return next(i for i, n in enumerate(node.layer._inbound_nodes) if n is node)


def map_network(inputs: Sequence[Any], outputs: Sequence[Any]) -> NetworkMap:
    """The calls that lead from `inputs` to `outputs`.

    Raises:
        ValueError: an output needs a tensor that does not come from the inputs; two layers have one name.
    """
    order, met = _postorder(outputs)
    keys = {node_key(n.layer.name, _index(n)) for n in order}
    depth_of_node: dict[int, int] = {}
    nodes: dict[int, Node] = {}
    depth_of_layer: dict[int, int] = {}
    layers: dict[int, Any] = {}
    for node in reversed(order):
        depth = max(depth_of_node.get(id(node), 0), depth_of_layer.get(id(node.layer), 0))
        nodes.setdefault(id(node), node)
        layers.setdefault(id(node.layer), node.layer)
        depth_of_layer[id(node.layer)] = depth_of_node[id(node)] = depth
        for parent in node.parent_nodes:
            nodes.setdefault(id(parent), parent)
            depth_of_node[id(parent)] = max(depth + 1, depth_of_node.get(id(parent), 0))
    for tensor in inputs:
        layer = tensor._keras_history.layer
        if id(layer) not in depth_of_layer:
            first = layer._inbound_nodes[0]
            layers[id(layer)], nodes[id(first)] = layer, first
            depth_of_layer[id(layer)] = depth_of_node[id(first)] = 0
            met[id(layer)] = -1
            keys.add(node_key(layer.name, 0))
    by_depth: dict[int, list[Node]] = collections.defaultdict(list)
    for key, depth in depth_of_node.items():
        by_depth[depth].append(nodes[key])
    ordered = sorted(layers.values(), key=lambda layer: (-depth_of_layer[id(layer)], met[id(layer)]))
    _check(inputs, by_depth, ordered)
    return NetworkMap(keys, dict(by_depth), ordered)


def _check(inputs: Sequence[Any], by_depth: dict[int, list[Node]], layers: list[Any]) -> None:
    known = {id(t) for t in inputs}
    complete: list[str] = []
    for depth in sorted(by_depth, reverse=True):
        for node in by_depth[depth]:
            if node.is_input:
                continue
            for t in node.keras_inputs:
                if id(t) not in known:
                    raise GraphError(
                        f'Graph disconnected: cannot obtain value for tensor {t} at layer "{node.layer.name}". The following previous layers '
                        f"were accessed without issue: {complete}"
                    )
            known.update(node.flat_output_ids)
            complete.append(node.layer.name)
    counts = collections.Counter(layer.name for layer in layers)
    for name, count in counts.items():
        if count != 1:
            raise GraphError(f'The name "{name}" is used {count} times in the model. All layer names should be unique.')


# -- models whose inputs are intermediate tensors --------------------------------------------------------------------


def _check_tensor(tensor: Any) -> None:
    if not is_keras_tensor(tensor):
        raise InvalidArgumentError(
            f"Found unexpected instance while processing input tensors for keras functional model. Expecting KerasTensor which is from "
            f"tf.keras.Input() or output from keras layer call(). Got: {tensor}"
        )


def all_are_inputs(inputs: Any) -> bool:
    """Whether every tensor comes straight from an input layer."""
    flat = nest.flatten(inputs)
    for t in flat:
        _check_tensor(t)
    return all(t.node.is_input for t in flat)


def _clone(tensor: Any) -> KerasTensor:
    return KerasTensor(tensor.type_spec, tensor._inferred_value, tensor.name)


def clone_graph_nodes(inputs: Any, outputs: Any) -> tuple[Any, Any]:
    """Copies of the calls between `inputs` and `outputs`, where intermediate inputs become inputs of their own. Layers are shared."""
    from savedmodel.keras.engine.input_layer import Input

    ends = nest.flatten(inputs)
    starts = nest.flatten(outputs)
    for t in (*starts, *ends):
        _check_tensor(t)
    end_ids = {id(t) for t in ends}
    found: set[int] = set()
    queue = [t.node for t in starts]
    between: list[Node] = []
    visited: set[int] = set()
    while queue:
        node = queue.pop(0)
        if id(node) in visited:
            continue
        visited.add(id(node))
        between.append(node)
        for t in node.keras_inputs:
            if id(t) in end_ids:
                found.add(id(t))
                continue
            if t.node.is_input:
                raise GraphError(
                    f"Found input tensor cannot be reached given provided output tensors. Please make sure the tensor {t} is included in the "
                    f"model inputs when building functional model."
                )
            queue.append(t.node)
    if found != end_ids:
        missing = [t for t in ends if id(t) not in found]
        raise GraphError(f"Found unvisited input tensors that are disconnected from the outputs: {missing}")
    copies: dict[int, Any] = {}
    for t in ends:
        copies[id(t)] = t if t.node.is_input else Input(tensor=_clone(t))

    def copy(t: Any) -> Any:
        if not is_keras_tensor(t):
            return t
        if id(t) not in copies:
            made = copies[id(t)] = _clone(t)
            made._keras_history = t._keras_history
        return copies[id(t)]

    new_outputs = nest.map_structure(copy, outputs)
    for node in between:
        Node(node.layer, nest.map_structure(copy, node.call_args), nest.map_structure(copy, node.call_kwargs), nest.map_structure(copy, node.outputs))
    return nest.pack_sequence_as(inputs, [copies[id(t)] for t in ends]), new_outputs
