"""The places of a layer in functional graphs: its inbound and outbound nodes, and what they say about its inputs and outputs."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.engine.layer_tracking import LayerTracking
from tracer import nest
from tracer.errors import InvalidArgumentError

__all__ = ["LayerNodes", "static_shape"]


def static_shape(x: Any) -> tuple[int | None, ...] | None:
    """The static shape of a tensor as a tuple; None where its rank is unknown."""
    shape = getattr(x, "shape", None)
    if shape is None or shape.rank is None:
        return None
    return tuple(shape.as_list())


class LayerNodes(LayerTracking):
    """Access to the calls that a layer has had on Keras tensors."""

    @property
    def _inbound_nodes(self) -> list[Any]:
        return self._inbound_nodes_value

    @property
    def _outbound_nodes(self) -> list[Any]:
        return self._outbound_nodes_value

    @property
    def inbound_nodes(self) -> list[Any]:
        """The calls of this layer on Keras tensors."""
        return self._inbound_nodes_value

    @property
    def outbound_nodes(self) -> list[Any]:
        """The calls of other layers on outputs of this one."""
        return self._outbound_nodes_value

    @property
    def input(self) -> Any:
        """The input tensors of the first call. Raises AttributeError when there was none."""
        if not self._inbound_nodes:
            raise AttributeError(f"Layer {self.name} is not connected, no input to return.")
        return self._node_value(0, "input_tensors", "input")

    @property
    def output(self) -> Any:
        """The output tensors of the first call. Raises AttributeError when there was none."""
        if not self._inbound_nodes:
            raise AttributeError(f"Layer {self.name} has no inbound nodes.")
        return self._node_value(0, "output_tensors", "output")

    @property
    def input_shape(self) -> Any:
        """The shape, or structure of shapes, of the input. Raises AttributeError when it is unknown or calls differ in it."""
        return self._only_shape("input")

    @property
    def output_shape(self) -> Any:
        """The shape, or structure of shapes, of the output. Raises AttributeError when it is unknown or calls differ in it."""
        return self._only_shape("output")

    def _only_shape(self, what: str) -> Any:
        nodes = self._inbound_nodes
        if not nodes:
            raise AttributeError(
                f'The layer "{self.name}" has never been called and thus has no defined {what} shape. Note that the `{what}_shape` '
                f"property is only available for Functional and Sequential models."
            )
        shapes = [getattr(node, f"{what}_shapes") for node in nodes]
        if len({str(s) for s in shapes}) > 1:
            raise AttributeError(
                f'The layer "{self.name}" has multiple inbound nodes, with different {what} shapes. Hence the notion of "{what} shape" is '
                f"ill-defined for the layer. Use `get_{what}_shape_at(node_index)` instead."
            )
        return shapes[0]

    @property
    def input_mask(self) -> Any:
        """The masks of the inputs of the only call."""
        return self._only_mask("input")

    @property
    def output_mask(self) -> Any:
        """The masks of the outputs of the only call."""
        return self._only_mask("output")

    def _only_mask(self, what: str) -> Any:
        if len(self._inbound_nodes) != 1:
            raise AttributeError(
                f"Layer {self.name} has {len(self._inbound_nodes)} inbound nodes: the {what} mask is only defined for exactly one; use "
                f"`get_{what}_mask_at(node_index)`."
            )
        return getattr(self, f"get_{what}_mask_at")(0)

    def get_input_at(self, node_index: int) -> Any:
        return self._node_value(node_index, "input_tensors", "input")

    def get_output_at(self, node_index: int) -> Any:
        return self._node_value(node_index, "output_tensors", "output")

    def get_input_shape_at(self, node_index: int) -> Any:
        return self._node_value(node_index, "input_shapes", "input shape")

    def get_output_shape_at(self, node_index: int) -> Any:
        return self._node_value(node_index, "output_shapes", "output shape")

    def get_input_mask_at(self, node_index: int) -> Any:
        return _masks(self.get_input_at(node_index))

    def get_output_mask_at(self, node_index: int) -> Any:
        return _masks(self.get_output_at(node_index))

    def _node_value(self, index: int, attribute: str, what: str) -> Any:
        nodes = self._inbound_nodes
        if not nodes:
            raise RuntimeError(f"The layer {self.name} has never been called and thus has no defined {what}.")
        if index >= len(nodes):
            raise InvalidArgumentError(f"Asked to get {what} at node {index}, but the layer has only {len(nodes)} inbound nodes.")
        values = getattr(nodes[index], attribute)
        return values[0] if isinstance(values, list) and len(values) == 1 else values


def _masks(tensors: Any) -> Any:
    if isinstance(tensors, list):
        return [getattr(t, "_keras_mask", None) for t in tensors]
    return nest.map_structure(lambda t: getattr(t, "_keras_mask", None), tensors)
