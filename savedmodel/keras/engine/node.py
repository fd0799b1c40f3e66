"""Node: one call of a layer on Keras tensors, and its form in configs. It refuses to run the call."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from savedmodel.keras.engine.config_json import json_default
from savedmodel.keras.engine.keras_tensor import KerasHistory, is_keras_tensor
from savedmodel.keras.engine.layer_nodes import static_shape
from tracer import nest
from tracer.tensor import Tensor

__all__ = ["CONSTANT_VALUE", "Leaf", "Node", "plain_leaves", "wrap_leaves"]

CONSTANT_VALUE = "_CONSTANT_VALUE"
COMPOSITE_TYPE = "_COMPOSITE"


class Leaf:
    """A list that nested structures take for a leaf: `[layer, node, tensor(, kwargs)]` in a config."""

    def __init__(self, items: list[Any]):
        self.items = items

    def __repr__(self) -> str:
        return f"Leaf({self.items!r})"


class Node:
    """One call of `layer`: what it was called with and what came out.

    Attributes:
        layer: the called layer. call_args, call_kwargs: its arguments. outputs: the structure it returned.
        is_input: whether it is the only node of an input layer.
        keras_inputs: the Keras tensors among the arguments.
    """

    def __init__(self, layer: Any, call_args: Any = (), call_kwargs: Any = None, outputs: Any = None):
        self.layer = layer
        self.call_args = tuple(nest.map_structure(lambda t: t, call_args)) if call_args else ()
        self.call_kwargs = nest.map_structure(lambda t: t, call_kwargs or {})
        self.is_input = not self.call_args and not self.call_kwargs
        self.outputs = nest.map_structure(lambda t: t, outputs)
        self.flat_outputs = nest.flatten(self.outputs)
        self._flat_arguments = nest.flatten((self.call_args, self.call_kwargs))
        self._positions = [i for i, t in enumerate(self._flat_arguments) if is_keras_tensor(t)]
        self.keras_inputs = [self._flat_arguments[i] for i in self._positions]
        layer._inbound_nodes.append(self)
        for t in self.keras_inputs:
            t._keras_history.layer._outbound_nodes.append(self)
        index = len(layer._inbound_nodes) - 1
        for i, t in enumerate(self.flat_outputs):
            t._keras_history = KerasHistory(layer, index, i)
        self.flat_input_ids = [id(t) for t in self.keras_inputs]
        self.flat_output_ids = [id(t) for t in self.flat_outputs]

    @property
    def parent_nodes(self) -> list[Node]:
        """The nodes whose outputs this one takes."""
        return [t.node for t in self.keras_inputs]

    def iterate_inbound(self) -> Iterator[tuple[Any, int, int, Any]]:
        """(layer, node index, tensor index, tensor) of each Keras tensor among the arguments."""
        for t in self.keras_inputs:
            yield (*t._keras_history, t)

    def map_arguments(self, values: dict[int, Any]) -> tuple[Any, dict[str, Any]]:
        """The arguments with Keras tensors replaced by `values[id(tensor)]`."""
        if not self.call_kwargs and len(self._flat_arguments) == 1 and is_keras_tensor(self.call_args[0]):
            return (values[self.flat_input_ids[0]],), {}
        flat = list(self._flat_arguments)
        for i in self._positions:
            flat[i] = values[id(flat[i])]
        args, kwargs = nest.pack_sequence_as((self.call_args, self.call_kwargs), flat)
        return args, kwargs

    @property
    def input_tensors(self) -> Any:
        return [self.outputs] if self.is_input else self.call_args[0]

    @property
    def output_tensors(self) -> Any:
        return [self.outputs] if self.is_input else self.outputs

    @property
    def input_shapes(self) -> Any:
        shapes = nest.map_structure(static_shape, self.input_tensors)
        return shapes[0] if len(shapes) == 1 and isinstance(shapes, list) and not self.is_input else shapes

    @property
    def output_shapes(self) -> Any:
        return nest.map_structure(static_shape, self.output_tensors)

    @property
    def outbound_layer(self) -> Any:
        return self.layer

    @property
    def inbound_layers(self) -> Any:
        if self.is_input:
            return []
        layers = [t._keras_history.layer for t in self.keras_inputs]
        return layers[0] if len(layers) == 1 else layers

    # -- configuration -----------------------------------------------------------------------------------------------

    def serialize(self, make_key: Callable[[str, int], str], new_index: dict[str, int]) -> Any:
        """The node as a config holds it: the first argument with `[layer, node, tensor, kwargs]` for each Keras tensor.

        Raises:
            TypeError: an argument has no JSON form.
        """
        spec = self.layer._call_spec
        inputs, args, kwargs = spec.split_first(self.call_args, self.call_kwargs)
        keywords = dict(zip(spec.arg_names[1:], args, strict=False))
        keywords.update(kwargs)

        def place(t: Any) -> list[Any]:
            history = t._keras_history
            return [history.layer.name, new_index.get(make_key(history.layer.name, history.node_index), 0), history.tensor_index]

        def argument(t: Any) -> Any:
            if is_keras_tensor(t):
                return place(t)
            if isinstance(t, (np.ndarray, np.generic, Tensor)):
                value = t.numpy() if isinstance(t, Tensor) else t
                return _text(value.tolist() if hasattr(value, "tolist") else value)
            if hasattr(t, "_type_spec"):
                from savedmodel.keras.saving import metadata_json

                return (COMPOSITE_TYPE, metadata_json.encode(t))
            return t

        keywords = nest.map_structure(argument, keywords)
        try:
            json.dumps(keywords, default=json_default)
        except TypeError:
            kinds = nest.map_structure(type, keywords)
            raise TypeError(
                f"Layer {self.layer.name} was passed non-JSON-serializable arguments. Arguments had types: {kinds}. They cannot be serialized "
                f"out when saving the model."
            ) from None

        def first(t: Any) -> Leaf:
            return Leaf([*place(t), keywords] if is_keras_tensor(t) else [CONSTANT_VALUE, -1, argument(t), keywords])

        data = nest.map_structure(first, inputs)
        if not nest.is_nested(data) and not self.layer._preserve_input_structure_in_config:
            data = [data]
        return plain_leaves(data)


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(v) for v in value]
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def plain_leaves(structure: Any) -> Any:
    """`structure` with each Leaf replaced by its list."""
    return nest.map_structure(lambda t: t.items if isinstance(t, Leaf) else t, structure)


def _is_leaf(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and 3 <= len(value) <= 4 and isinstance(value[0], str)
        and all(isinstance(v, int) and not isinstance(v, bool) for v in value[1:2])
    )  # fmt: skip


def wrap_leaves(structure: Any) -> Any:
    """`structure` of a config with each `[layer, node, tensor(, kwargs)]` in a Leaf."""
    if isinstance(structure, Leaf):
        return structure
    if isinstance(structure, dict):
        return {k: wrap_leaves(v) for k, v in structure.items()}
    if isinstance(structure, (list, tuple)):
        if _is_leaf(structure):
            return Leaf(list(structure))
        return type(structure)([wrap_leaves(v) for v in structure]) if not hasattr(structure, "_fields") else structure
    return structure
