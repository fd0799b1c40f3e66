"""Sequential: a stack of layers. It becomes a functional model as soon as its input shape is known."""

from __future__ import annotations

import copy
from typing import Any

from savedmodel.keras.engine.base_layer import Layer, default
from savedmodel.keras.engine.functional import Functional, ModuleWrapper
from savedmodel.keras.engine.input_layer import Input, InputLayer
from savedmodel.keras.engine.model import Model
from savedmodel.trackable import no_automatic_dependency_tracking
from tracer import dispatch, nest
from tracer.errors import InvalidArgumentError, SavedModelError
from tracer.module import Module as PlainModule
from tracer.shapes import TensorShape
from tracer.tensor import Tensor

__all__ = ["Sequential"]

_SINGLE_OUTPUT = (
    "All layers in a Sequential model should have a single output tensor. For multi-output layers, use the functional API."
)


class Sequential(Functional):
    """A model of layers that are called one after the other.

    Args:
        layers: the layers, or Keras inputs for the first; more can be added. name: of the model.
    """

    @no_automatic_dependency_tracking
    def __init__(self, layers: Any = None, name: str | None = None):
        Model.__init__(self, name=name, autocast=False)
        self.supports_masking = True
        self._compute_output_and_mask_jointly = True
        self._auto_track_sub_layers = False
        self._inferred_input_shape = None
        self._has_explicit_input_shape = False
        self._created_nodes: set[int] = set()
        self._graph_initialized = False
        self._use_legacy_deferred_behavior = False
        if layers:
            for layer in layers if isinstance(layers, (list, tuple)) else [layers]:
                self.add(layer)

    @property
    def layers(self) -> list[Any]:
        """The layers, without the input layer."""
        found = list(self._flatten_layers(include_self=False, recursive=False))
        return found[1:] if found and isinstance(found[0], InputLayer) else found

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("`Model.layers` attribute is reserved and should not be used. Please use another name.")

    @no_automatic_dependency_tracking
    def add(self, layer: Any) -> None:
        """Put a layer on top.

        Raises:
            TypeError: it is no layer. ValueError: its name is taken, or it has several outputs.
        """
        history = getattr(layer, "_keras_history", None)
        if history is not None and isinstance(history[0], InputLayer):
            layer = history[0]
        if not isinstance(layer, PlainModule):
            raise TypeError(f"The added layer must be an instance of class Layer. Received: layer={layer} of type {type(layer)}.")
        if not isinstance(layer, Layer):
            layer = ModuleWrapper(layer)
        if any(layer.name == other.name and other is not layer for other in self.layers):
            raise InvalidArgumentError(
                f'All layers added to a Sequential model should have unique names. Name "{layer.name}" is already the name of a layer in this '
                f"model. Update the `name` argument to pass a unique name."
            )
        self.built = False
        set_inputs = False
        tracked = self._own_list("_self_tracked_trackables")
        if not tracked:
            if isinstance(layer, InputLayer):
                set_inputs = True
            else:
                shape, dtype = _declared_input(layer)
                if shape:
                    layer(Input(batch_shape=shape, dtype=dtype, name=f"{layer.name}_input"))
                    set_inputs = True
            if set_inputs:
                outputs = layer._inbound_nodes[-1].flat_outputs
                if len(outputs) != 1:
                    raise InvalidArgumentError(_SINGLE_OUTPUT)
                self.outputs = outputs
                self.inputs = _source_inputs(outputs[0])
                self.built = True
                self._has_explicit_input_shape = True
        elif self.outputs:
            output = layer(self.outputs[0])
            if len(nest.flatten(output)) != 1:
                raise InvalidArgumentError(_SINGLE_OUTPUT)
            self.outputs = [output]
            self.built = True
        if set_inputs or self._graph_initialized:
            self._init_graph_network(self.inputs, self.outputs)
            self._graph_initialized = True
        else:
            tracked.append(layer)
            self._handle_deferred_layer_dependencies([layer])

    @no_automatic_dependency_tracking
    def pop(self) -> None:
        """Take the top layer away. Raises TypeError where there is none."""
        if not self.layers:
            raise TypeError("There are no layers in the model.")
        self._self_tracked_trackables.pop()
        if not self.layers:
            self.outputs = None
            self.inputs = None
            self.built = False
            self._inferred_input_shape = None
            self._has_explicit_input_shape = False
            self._graph_initialized = False
        elif self._graph_initialized:
            self.layers[-1]._outbound_nodes_value = []
            self.outputs = [self.layers[-1].output]
            self._init_graph_network(self.inputs, self.outputs)
            self.built = True

    @no_automatic_dependency_tracking
    def _build_graph_network_for_inferred_shape(self, input_shape: Any, input_dtype: Any = None) -> None:
        """Become a functional model for inputs of this shape, or of what is common to all shapes seen."""
        if input_shape is None or not self.layers or self._has_explicit_input_shape or self._use_legacy_deferred_behavior:
            return
        if isinstance(input_shape, TensorShape) and input_shape.rank is None:
            return
        shape = tuple(input_shape)
        if self._inferred_input_shape is not None:
            shape = _common(self._inferred_input_shape, shape)
        if shape is None or shape == self._inferred_input_shape:
            return
        with dispatch.init_scope():
            inputs = Input(batch_shape=shape, dtype=input_dtype, name=f"{self.layers[0].name}_input")
            value = inputs
            created: set[int] = set()
            for layer in self.layers:
                _forget_nodes(layer, self._created_nodes)
                try:
                    value = layer(value)
                except (SavedModelError, TypeError, ValueError, NotImplementedError, AttributeError):
                    # the layer only works on real tensors: stay a plain stack of calls
                    self._use_legacy_deferred_behavior = True
                    return
                if len(nest.flatten(value)) != 1:
                    raise InvalidArgumentError(_SINGLE_OUTPUT)
                created.add(id(layer._inbound_nodes[-1]))
            self._created_nodes = created
            self._init_graph_network(inputs, value)
            self._graph_initialized = True
        self._inferred_input_shape = shape

    @default
    def build(self, input_shape: Any = None) -> None:
        """Create the variables. Raises ValueError where no input shape is known or given."""
        if self._graph_initialized:
            self._init_graph_network(self.inputs, self.outputs)
        else:
            if input_shape is None:
                raise InvalidArgumentError("You must provide an `input_shape` argument.")
            self._build_graph_network_for_inferred_shape(input_shape)
            if not self.built:
                input_shape = tuple(input_shape)
                self.__dict__["_build_input_shape"] = input_shape
                Model.build(self, input_shape)
        self.built = True

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:  # type: ignore[override]
        if not self._has_explicit_input_shape:
            if isinstance(inputs, Tensor) or getattr(inputs, "_is_keras_tensor", False) or hasattr(inputs, "_type_spec"):
                self._build_graph_network_for_inferred_shape(inputs.shape, inputs.dtype)
            else:
                self.__dict__["_use_legacy_deferred_behavior"] = True
                self.__dict__["_build_input_shape"] = nest.map_structure(lambda t: tuple(t.shape.as_list()), inputs)
        if self._graph_initialized:
            if not self.built:
                self._init_graph_network(self.inputs, self.outputs)
            return super().call(inputs, training=training, mask=mask)
        outputs = inputs
        for layer in self.layers:
            names = layer._call_spec.full_argspec.args
            kwargs = {k: v for k, v in (("mask", mask), ("training", training)) if k in names}
            outputs = layer(outputs, **kwargs)
            mask = nest.map_structure(lambda t: getattr(t, "_keras_mask", None), outputs)
        return outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = input_shape
        for layer in self.layers:
            shape = layer.compute_output_shape(shape)
        return shape

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return getattr(self.call(inputs, mask=mask), "_keras_mask", None)

    def get_config(self) -> dict[str, Any]:
        from savedmodel.keras.saving import serialization

        legacy = getattr(self, "use_legacy_config", None)
        serialize = serialization.legacy_serialize_keras_object if legacy else serialization.serialize_keras_object
        layers = [serialize(layer) for layer in self._flatten_layers(include_self=False, recursive=False)]
        config = Model.get_config(self)
        config["name"] = self.name
        config["layers"] = copy.deepcopy(layers)
        if not self._is_graph_network and self._build_input_shape is not None:
            config["build_input_shape"] = self._build_input_shape
        return config

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Any:
        from savedmodel.keras import layers

        if "name" in config:
            name, shape, entries = config["name"], config.get("build_input_shape"), config["layers"]
        else:
            name, shape, entries = None, None, config
        model = cls(name=name)
        for entry in entries:
            model.add(layers.deserialize(entry, custom_objects=custom_objects, use_legacy_format="module" not in entry))
        if not model.inputs and shape and isinstance(shape, (tuple, list)):
            model.build(shape)
        return model

    @property
    def input_spec(self) -> Any:
        if "_manual_input_spec" in self.__dict__:
            return self._manual_input_spec
        return Functional.input_spec.fget(self) if self._has_explicit_input_shape else None  # type: ignore[attr-defined]

    @input_spec.setter
    def input_spec(self, value: Any) -> None:
        self.__dict__["_manual_input_spec"] = value

    def _assert_weights_created(self) -> None:
        if not self._graph_initialized:
            Model._assert_weights_created(self)


def _declared_input(layer: Any) -> tuple[Any, Any]:
    """(batch shape, dtype) that the first layer, or the first one inside it, declares; (None, None) where it declares none."""
    while getattr(layer, "_is_graph_network", False) or isinstance(layer, Sequential):
        if not layer.layers:
            raise InvalidArgumentError("An empty Model cannot be used as a Layer.")
        layer = layer.layers[0]
    shape = getattr(layer, "_batch_input_shape", None)
    return (shape, layer.dtype) if shape else (None, None)


def _source_inputs(tensor: Any) -> list[Any]:
    """The inputs from which a Keras tensor was computed."""
    node = tensor.node
    if node.is_input:
        return list(node.flat_outputs)
    found: list[Any] = []
    for t in node.keras_inputs:
        found.extend(s for s in _source_inputs(t) if all(s is not f for f in found))
    return found


def _common(a: Any, b: Any) -> Any:
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(None if x != y else x for x, y in zip(a, b, strict=True))


def _forget_nodes(layer: Any, created: set[int]) -> None:
    """Drop the calls that an earlier shape inference made."""
    for node in layer._inbound_nodes:
        for previous in node.keras_inputs:
            maker = previous._keras_history.layer
            maker._outbound_nodes_value[:] = [n for n in maker._outbound_nodes_value if id(n) not in created]
    layer._inbound_nodes_value[:] = [n for n in layer._inbound_nodes_value if id(n) not in created]


