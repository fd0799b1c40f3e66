"""The config of a functional model, and the model of a config. It refuses to know files."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

from savedmodel.keras.engine.input_layer import InputLayer
from savedmodel.keras.engine.network_map import node_key
from savedmodel.keras.engine.node import COMPOSITE_TYPE, CONSTANT_VALUE, Leaf, plain_leaves, wrap_leaves
from tracer import nest
from tracer.errors import GraphError, InvalidArgumentError

__all__ = ["connect_ancillary_layers", "get_network_config", "reconstruct_from_config", "skips_first_node"]


def skips_first_node(layer: Any) -> bool:
    """Whether the first node of `layer` is the call that made it a network of its own, which configs of outer networks leave out."""
    from savedmodel.keras.engine.functional import Functional

    if not isinstance(layer, Functional):
        return False
    tracked = layer.__dict__.get("_self_tracked_trackables")
    return isinstance(tracked[0], InputLayer) if tracked else True


def get_network_config(network: Any, serialize_layer_fn: Callable[[Any], Any] | None = None, config: dict[str, Any] | None = None) -> dict[str, Any]:
    """`config` with the layers of `network`, their calls, and its inputs and outputs.

    Args:
        serialize_layer_fn: how a layer becomes a config; the v3 form by default, the legacy one where the network asks for it.
    """
    from savedmodel.keras.engine.functional import Functional
    from savedmodel.keras.saving import serialization

    config = config if config is not None else {}
    legacy = getattr(network, "use_legacy_config", False)
    serialize = serialize_layer_fn or (serialization.legacy_serialize_keras_object if legacy else serialization.serialize_keras_object)
    config["name"] = network.name
    new_index: dict[str, int] = {}
    for layer in network.layers:
        kept = 1 if skips_first_node(layer) else 0
        for index in range(len(layer._inbound_nodes)):
            key = node_key(layer.name, index)
            if key in network._network_nodes:
                new_index[key] = kept
                kept += 1
    layers = []
    with serialization.SharedObjectSavingScope():
        for layer in network.layers:
            calls = [
                node.serialize(node_key, new_index)
                for index, node in enumerate(layer._inbound_nodes)
                if node_key(layer.name, index) in network._network_nodes and not node.is_input
            ]
            if legacy and isinstance(layer, Functional):
                layer.use_legacy_config = True
            entry = serialize(layer)
            entry["name"] = layer.name
            entry["inbound_nodes"] = calls
            layers.append(entry)
        config["layers"] = layers
    config["input_layers"] = _places(network._input_coordinates, network._nested_inputs, new_index)
    config["output_layers"] = _places(network._output_coordinates, network._nested_outputs, new_index)
    return config


def _places(coordinates: Any, structure: Any, new_index: dict[str, int]) -> Any:
    leaves = [Leaf([layer.name, new_index[node_key(layer.name, node)], tensor]) for layer, node, tensor in coordinates]
    packed = nest.pack_sequence_as(structure, leaves)
    return plain_leaves(packed if nest.is_nested(packed) else [packed])


class _NotYet(Exception):
    """A call needs a tensor that has not been made yet."""


def reconstruct_from_config(
    config: dict[str, Any], custom_objects: Any = None, created_layers: dict[str, Any] | None = None
) -> tuple[Any, Any, dict[str, Any]]:
    """The inputs, the outputs and the layers (by name) of a network's config.

    Args:
        created_layers: layers that exist already, by name; they are called, not made.

    Raises:
        ValueError: the config is malformed, or its calls depend on each other in a circle.
    """
    created: dict[str, Any] = created_layers if created_layers else {}
    index_map: dict[tuple[str, int], int] = {}
    counts: dict[str, int] = {}
    waiting: dict[str, collections.deque[Any]] = {}

    def index_of(layer: Any, config_index: int) -> int | None:
        return 0 if isinstance(layer, InputLayer) else index_map.get((layer.name, config_index))

    def tensor_at(place: list[Any]) -> Any:
        name, node, tensor = place[:3]
        layer = created.get(name)
        if layer is None:
            raise GraphError(f"model config: a call refers to layer {name!r}, which the config does not hold; it holds {sorted(created)}")
        index = index_of(layer, node)
        if index is None:
            raise _NotYet
        return layer._inbound_nodes[index].flat_outputs[tensor]

    def keyword(t: Any) -> Any:
        return tensor_at(t.items) if isinstance(t, Leaf) and t.items[0] in created else t.items if isinstance(t, Leaf) else t

    def run(layer: Any, data: Any) -> None:
        tensors = []
        kwargs: dict[str, Any] = {}
        for leaf in nest.flatten(data):
            if not isinstance(leaf, Leaf) or len(leaf.items) not in (3, 4):
                raise InvalidArgumentError(f"Improperly formatted model config: layer {layer.name!r} has the call {data!r}.")
            items = leaf.items
            kwargs = nest.map_structure(keyword, wrap_leaves(items[3])) if len(items) == 4 else {}
            if items[0] == CONSTANT_VALUE:
                value = items[2]
                if isinstance(value, (list, tuple)) and len(value) == 2 and value[0] == COMPOSITE_TYPE:
                    from savedmodel.keras.saving import metadata_json

                    value = metadata_json.decode(value[1])
                tensors.append(value)
            else:
                tensors.append(tensor_at(items))
        inputs = nest.pack_sequence_as(data, tensors)
        if not getattr(layer, "_preserve_input_structure_in_config", False):
            while isinstance(inputs, (list, tuple)) and len(inputs) == 1:
                inputs = inputs[0]
        outputs = layer(inputs, **kwargs)
        index_map[layer.name, counts[layer.name]] = nest.flatten(outputs)[0]._keras_history.node_index
        counts[layer.name] += 1

    for entry in config["layers"]:
        name = entry["name"]
        if name not in created:
            created[name] = _deserialize_layer(entry, custom_objects)
        counts[created[name].name] = int(skips_first_node(created[name]))
        waiting[name] = collections.deque(wrap_leaves(call) for call in entry["inbound_nodes"])
    while any(waiting.values()):
        progress = False
        for name, calls in waiting.items():
            while calls:
                try:
                    run(created[name], calls[0])
                except _NotYet:
                    break
                calls.popleft()
                progress = True
        if not progress:
            stuck = sorted(n for n, calls in waiting.items() if calls)
            raise GraphError(f"model config {config.get('name')!r}: the calls of layers {stuck} depend on tensors that no layer makes")

    def at(leaf: Any) -> Any:
        name, node, tensor = leaf.items
        layer = created[name]
        return nest.flatten(layer._inbound_nodes[index_of(layer, node)].output_tensors)[tensor]

    inputs = nest.map_structure(at, wrap_leaves(config["input_layers"]))
    outputs = nest.map_structure(at, wrap_leaves(config["output_layers"]))
    return inputs, outputs, created


def _deserialize_layer(entry: dict[str, Any], custom_objects: Any) -> Any:
    from savedmodel.keras import layers

    return layers.deserialize(entry, custom_objects=custom_objects, use_legacy_format="module" not in entry)


def connect_ancillary_layers(model: Any, created_layers: dict[str, Any]) -> Any:
    """Make layers of the config that are on no path to the outputs (added losses and metrics) part of `model`."""
    extra = [layer for layer in created_layers.values() if not any(layer is known for known in model.layers)]
    if extra:
        nodes = []
        for layer in created_layers.values():
            nodes.extend(layer.inbound_nodes[1:] if skips_first_node(layer) else layer.inbound_nodes)
        model._insert_layers(extra, nodes)
    return model
