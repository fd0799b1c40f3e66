"""Functional: a model that is a graph of layer calls. It refuses to know how its config is written (`network_config`)."""

from __future__ import annotations

import collections
import copy
import inspect
import logging
import warnings
from collections.abc import Sequence
from typing import Any

from savedmodel.keras import naming
from savedmodel.keras.engine import input_spec as input_specs
from savedmodel.keras.engine import network_map
from savedmodel.keras.engine.base_layer import Layer, as_shapes, default
from savedmodel.keras.engine.keras_tensor import is_keras_tensor
from savedmodel.keras.engine.layer_nodes import static_shape
from savedmodel.keras.engine.model import Model
from savedmodel.keras.engine.node import Node
from savedmodel.trackable import no_automatic_dependency_tracking
from tracer import nest
from tracer.errors import GraphError, InvalidArgumentError
from tracer.public import tf
from tracer.tensor import Tensor, convert_to_tensor

__all__ = ["Functional", "ModuleWrapper"]

_log = logging.getLogger("savedmodel")


class Functional(Model):
    """A model whose outputs were computed from its inputs by calling layers on Keras tensors.

    Args:
        inputs, outputs: Keras tensors, or structures of them.
        name, trainable: as for layers.

    Raises:
        ValueError: the outputs do not follow from the inputs; inputs repeat; two layers have one name.
    """

    _TF_MODULE_IGNORED_PROPERTIES = Model._TF_MODULE_IGNORED_PROPERTIES | {"_nodes_by_depth", "inputs", "outputs"}

    @no_automatic_dependency_tracking
    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True, **kwargs: Any):
        if kwargs.pop("skip_init", False):
            return
        if kwargs:
            raise TypeError("Keyword argument not understood:", next(iter(kwargs)))
        super().__init__(name=name, trainable=trainable)
        if not network_map.all_are_inputs(inputs):
            inputs, outputs = network_map.clone_graph_nodes(inputs, outputs)
        self._init_graph_network(inputs, outputs)

    def _init_set_name(self, name: str | None, zero_based: bool = True) -> None:
        if not name:
            label = "Model" if type(self) is Functional else type(self).__name__
            self.__dict__["_name"] = naming.unique_object_name(naming.to_snake_case(label), zero_based=zero_based)
        else:
            self.__dict__["_name"] = name

    @no_automatic_dependency_tracking
    def _init_graph_network(self, inputs: Any, outputs: Any) -> None:
        self._is_graph_network = True
        if isinstance(inputs, list) and len(nest.flatten(inputs)) == 1:
            inputs = inputs[0]
        if isinstance(outputs, list) and len(nest.flatten(outputs)) == 1:
            outputs = outputs[0]
        self._nested_inputs = inputs
        self._nested_outputs = outputs
        self.inputs = nest.flatten(inputs)
        self.outputs = nest.flatten(outputs)
        parts = inputs.values() if isinstance(inputs, dict) else inputs if isinstance(inputs, (list, tuple)) else ()
        self._enable_dict_to_input_mapping = not any(nest.is_nested(t) for t in parts)
        self._validate_graph_inputs_and_outputs()
        self.built = True
        self._build_input_shape = nest.map_structure(lambda x: x.shape, inputs)
        self._compute_output_and_mask_jointly = True
        self._call_spec.expects_training_arg = True
        self._call_spec.expects_mask_arg = True
        self._autocast = False
        self._output_coordinates = [tuple(t._keras_history) for t in self.outputs]
        self._input_coordinates = [tuple(t._keras_history) for t in self.inputs]
        self._output_layers = [c[0] for c in self._output_coordinates]
        self._input_layers = [c[0] for c in self._input_coordinates]
        found = network_map.map_network(self.inputs, self.outputs)
        self._network_nodes = found.keys
        self._nodes_by_depth = found.nodes_by_depth
        self._self_tracked_trackables = found.layers
        self._order_nodes()
        self._set_output_names()
        self.input_names = [layer.name for layer in self._input_layers]
        self._feed_input_names = [layer.name for layer in self._input_layers if layer.is_placeholder]
        self._set_save_spec(self._nested_inputs)
        self._handle_deferred_layer_dependencies(self._self_tracked_trackables)

    def _order_nodes(self) -> None:
        """The nodes to run in order, from inputs to outputs."""
        by_depth = self._nodes_by_depth
        self.__dict__["_run_order"] = [n for d in sorted(by_depth, reverse=True) for n in by_depth[d] if not n.is_input]

    def _validate_graph_inputs_and_outputs(self) -> None:
        if len({id(t) for t in self.inputs}) != len(self.inputs):
            raise InvalidArgumentError(
                f"The list of inputs passed to the model contains the same input multiple times. All inputs should only appear once.Received "
                f"inputs={self.inputs}"
            )
        label = type(self).__name__
        for t in self.inputs:
            if not is_keras_tensor(t) or not hasattr(t, "_keras_history"):
                raise InvalidArgumentError(
                    f"Input tensors to a {label} model must come from `tf.keras.Input`. Received inputs={t} (missing previous layer metadata)."
                )
        for t in self.outputs:
            if not is_keras_tensor(t) or not hasattr(t, "_keras_history"):
                raise InvalidArgumentError(
                    f"Output tensors of a {label} model must be the output of a TensorFlow `Layer` (thus holding past layer metadata). Found: {t}"
                )
        sizes = {(t._keras_history.layer._batch_input_shape or (None,))[0] for t in self.inputs} - {None}
        if len(sizes) > 1:
            _log.warning("Found incompatible static batch sizes among the inputs. Batch sizes: %s", sorted(sizes))

    def _set_output_names(self) -> None:
        names: list[str] = []
        counts: dict[str, int] = {}
        for layer in self._output_layers:
            proposal = layer.name
            while proposal in names:
                number = counts.get(layer.name, 1)
                proposal = f"{layer.name}_{number}"
                counts[layer.name] = number + 1
            names.append(proposal)
        self.__dict__["output_names"] = names

    # -- description -------------------------------------------------------------------------------------------------

    @property
    def input(self) -> Any:
        """The Keras tensors of the inputs, in the structure the model was made with."""
        return self._nested_inputs

    @property
    def output(self) -> Any:
        """The Keras tensors of the outputs, in the structure the model was made with."""
        return self._nested_outputs

    @property
    def input_shape(self) -> Any:
        return nest.map_structure(static_shape, self.input)

    @property
    def output_shape(self) -> Any:
        return nest.map_structure(static_shape, self.output)

    @property
    def input_spec(self) -> Any:
        if "_manual_input_spec" in self.__dict__:
            return self._manual_input_spec
        nested = self._nested_inputs
        if isinstance(nested, (dict, list, tuple)) and len(nested) != len(self.inputs):
            return None
        if isinstance(nested, dict):
            named = [(name, nested[name]) for name in sorted(nested)]
        else:
            named = [(t._keras_history.layer.name, t) for t in self.inputs]
        return [input_specs.InputSpec(shape=_free_batch(t), allow_last_axis_squeeze=True, name=name) for name, t in named]

    @input_spec.setter
    def input_spec(self, value: Any) -> None:
        self.__dict__["_manual_input_spec"] = value

    @property
    def _layer_checkpoint_dependencies(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        with_weights = 0
        for index, layer in enumerate(self.layers):
            try:
                has_weights = bool(layer.weights)
            except ValueError:  # not built yet
                has_weights = False
            if has_weights:
                out[f"layer_with_weights-{with_weights}"] = layer
                with_weights += 1
            out[f"layer-{index}"] = layer
        return out

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        return {**self._layer_checkpoint_dependencies, **super()._trackable_children(save_type, **kwargs)}

    def _lookup_dependency(self, name: str, cached_dependencies: Any = None) -> Any:
        if cached_dependencies:
            return cached_dependencies.get(name)
        return self._layer_checkpoint_dependencies.get(name) or super()._lookup_dependency(name)

    def _handle_deferred_layer_dependencies(self, layers: Sequence[Any]) -> None:
        """Run what waits for these layers as `layer-N` and `layer_with_weights-N`."""
        if not self.__dict__.get("_deferred_dependencies"):
            return
        wanted = {id(layer) for layer in layers}
        for name, layer in self._layer_checkpoint_dependencies.items():
            if id(layer) in wanted:
                self._handle_deferred_dependencies(name, layer)

    # -- calls -------------------------------------------------------------------------------------------------------

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:  # type: ignore[override]
        return self._run_internal_graph(inputs, training=training, mask=mask)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        outputs = self._run_internal_graph(inputs, mask=mask)
        return nest.map_structure(lambda t: getattr(t, "_keras_mask", None), outputs)

    def _run_internal_graph(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Call the layers in order, on values, symbolic tensors or Keras tensors."""
        flat = self._flatten_to_reference_inputs(inputs)
        masks = [None] * len(flat) if mask is None else self._flatten_to_reference_inputs(mask)
        values: dict[int, Any] = {}
        for reference, value, m in zip(self.inputs, flat, masks, strict=False):
            value = self._conform_to_reference_input(value, reference)
            if hasattr(value, "_type_spec") or isinstance(value, Tensor) or is_keras_tensor(value):
                value._keras_mask = m
            values[id(reference)] = value
        for node in self._run_order:
            if any(i not in values for i in node.flat_input_ids):
                continue
            args, kwargs = node.map_arguments(values)
            outputs = node.layer(*args, **kwargs)
            for key, value in zip(node.flat_output_ids, nest.flatten(outputs), strict=True):
                values[key] = value
        for t in self.outputs:
            if id(t) not in values:
                raise GraphError(f"model {self.name}: could not compute output {t}: an input that it needs was not given")
        return nest.pack_sequence_as(self._nested_outputs, [values[id(t)] for t in self.outputs])

    def _flatten_to_reference_inputs(self, tensors: Any) -> list[Any]:
        """The inputs in the model's order; a dict by input names or keys."""
        if self._enable_dict_to_input_mapping and isinstance(tensors, dict):
            nested = self._nested_inputs
            if isinstance(nested, dict):
                names = sorted(nested)
            else:
                names = [t._keras_history.layer.name for t in nest.flatten(nested)]
            if len(tensors) > len(names):
                extra = [n for n in tensors if n not in names]
                warnings.warn(
                    f"Input dict contained keys {extra} which did not match any model input. They will be ignored by the model.",
                    stacklevel=2,
                )
            if all(n in tensors for n in names):
                return [tensors[n] for n in names]
        return nest.flatten(tensors)

    def _conform_to_reference_input(self, value: Any, reference: Any) -> Any:
        """`value` with a missing or extra last dimension of size 1 fixed, in the dtype of `reference`."""
        if hasattr(value, "_type_spec") or is_keras_tensor(value):
            dtype, wanted = getattr(value, "dtype", None), getattr(reference, "dtype", None)
            if hasattr(value, "_type_spec") and dtype is not None and wanted is not None and dtype != wanted and wanted.name != "variant":
                return tf.cast(value, wanted)
            return value
        if not isinstance(value, Tensor):
            value = convert_to_tensor(value)
        have, want = value.shape.rank, reference.shape.rank
        if have is not None and want is not None:
            if have == want + 1 and value.shape[-1] == 1:
                value = tf.squeeze(value, axis=-1)
            elif have == want - 1 and reference.shape[-1] == 1:
                value = tf.expand_dims(value, axis=-1)
        if value.dtype != reference.dtype:
            value = tf.cast(value, reference.dtype)
        return value

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = as_shapes(input_shape)
        flat = nest.flatten(shapes)
        if len(flat) != len(self._input_layers):
            raise InvalidArgumentError(
                f"Invalid `input_shape` argument {input_shape}: the model expects {len(self._input_layers)} input tensors."
            )
        known = {id(t): s for t, s in zip(self.inputs, flat, strict=True)}
        for node in self._run_order:
            first = node.call_args[0] if node.call_args else next(iter(node.call_kwargs.values()))
            if not all(id(t) in known for t in nest.flatten(first) if is_keras_tensor(t)):
                continue
            given = nest.map_structure(lambda t: _plain(known[id(t)]) if is_keras_tensor(t) else _plain(convert_to_tensor(t).shape), first)
            outputs = as_shapes(node.layer.compute_output_shape(given))
            for key, shape in zip(node.flat_output_ids, nest.flatten(outputs), strict=False):
                known[key] = shape
        return nest.pack_sequence_as(self._nested_outputs, [known[id(t)] for t in self.outputs])

    def _get_save_spec(self, dynamic_batch: bool = True, inputs_only: bool = True) -> Any:
        return super()._get_save_spec(dynamic_batch and not getattr(self, "_has_explicit_input_shape", True), inputs_only)

    def _assert_weights_created(self) -> None:
        return

    # -- layers that are added later ---------------------------------------------------------------------------------

    def _graph_network_add_loss(self, symbolic_loss: Any) -> None:
        from savedmodel.keras.engine.added_losses import AddLoss

        self._append_layer(AddLoss(unconditional=False, dtype=symbolic_loss.dtype), symbolic_loss)

    def _graph_network_add_metric(self, value: Any, aggregation: Any, name: str | None) -> None:
        from savedmodel.keras.engine.added_losses import AddMetric

        self._append_layer(AddMetric(aggregation, name, dtype=value.dtype), value)

    def _append_layer(self, layer: Layer, tensor: Any) -> None:
        found = network_map.map_network(self.inputs, [tensor])
        nodes = [n for d in found.nodes_by_depth.values() for n in d]
        layer(tensor)
        self._insert_layers([*found.layers, layer], [*nodes, *layer.inbound_nodes])

    def _insert_layers(self, layers: Sequence[Any], relevant_nodes: Sequence[Node] | None = None) -> None:
        """Make layers, with their calls on tensors of this network, part of it.

        Raises:
            ValueError: a call takes tensors from outside of the network.
        """
        depth_of = {id(n): d for d, nodes in self._nodes_by_depth.items() for n in nodes}
        if not relevant_nodes:
            relevant_nodes = [n for layer in layers for n in layer._inbound_nodes]
        members = {id(n) for n in relevant_nodes} | set(depth_of)

        def depth(node: Node) -> int | None:
            least = 0
            for parent in node.parent_nodes:
                if id(parent) in depth_of:
                    least = min(least, depth_of[id(parent)])
                elif id(parent) in members:
                    return None
            return least - 1

        waiting = collections.deque(relevant_nodes)
        rounds = 0
        while waiting:
            rounds += 1
            if rounds > 10000:
                raise GraphError("Layers could not be added due to missing dependencies.")
            node = waiting.popleft()
            found = depth(node)
            if found is None:
                waiting.append(node)
                continue
            key = network_map.node_key(node.layer.name, network_map._index(node))
            if key not in self._network_nodes:
                depth_of[id(node)] = found
                self._network_nodes.add(key)
                self._nodes_by_depth.setdefault(found, []).append(node)
        tracked = self._self_tracked_trackables
        new = []
        for layer in layers:
            if not any(t is layer for t in tracked):
                tracked.append(layer)
                new.append(layer)
        self._order_nodes()
        self._handle_deferred_layer_dependencies(new)

    # -- configuration -----------------------------------------------------------------------------------------------

    @default
    def get_config(self) -> dict[str, Any]:
        """The graph of layers, or, in a subclass with another constructor, that constructor's arguments."""
        from savedmodel.keras.engine import network_config
        from savedmodel.keras.saving import serialization

        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable}
        if serialization.in_saved_model_scope() or has_functional_like_constructor(type(self)):
            return copy.deepcopy(network_config.get_network_config(self, config=config))
        extra = set(config)
        if self.__dict__.get("_auto_get_config", False):
            config.update(self._auto_config)
        names = inspect.getfullargspec(type(self).__init__)
        if names.varkw != "kwargs":
            for key in extra - set(names.args[1:]):
                config.pop(key, None)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model of a config: of this class where its constructor takes inputs and outputs, or all that the config holds."""
        return Model.from_config.__func__(cls, config, custom_objects)  # type: ignore[attr-defined]


def has_functional_like_constructor(cls: type) -> bool:
    """Whether `cls` is made like `Functional(inputs, outputs, name, trainable)`, or with *args and **kwargs only."""
    functional = inspect.getfullargspec(Functional.__init__).args[1:]
    spec = inspect.getfullargspec(cls.__init__)
    if cls in (Functional, Model):
        return True
    args = spec.args[1:]
    if args[: len(functional)] == functional:
        return True
    return not args and not spec.kwonlyargs and spec.varargs == "args" and spec.varkw == "kwargs"


def _free_batch(t: Any) -> Any:
    if t.shape.rank is None:
        return None
    dims = t.shape.as_list()
    return [None, *dims[1:]] if dims else dims


def _plain(shape: Any) -> Any:
    return tuple(shape.as_list()) if shape.rank is not None else shape


class ModuleWrapper(Layer):
    """A layer around any module that can be called.

    Args:
        module: the object. method_name: what to call of it; `__call__` or `call` by default.

    Raises:
        ValueError: it has no such method.
    """

    def __init__(self, module: Any, method_name: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if method_name is None:
            method_name = next((n for n in ("__call__", "call") if hasattr(module, n)), None)
        if method_name is None or not hasattr(module, method_name):
            raise InvalidArgumentError(f"{method_name} is not defined on object {module}")
        self._module = module
        self._method_name = method_name
        spec = inspect.getfullargspec(getattr(module, method_name))
        self._call_spec.expects_training_arg = "training" in spec.args or spec.varkw is not None
        self._call_spec.expects_mask_arg = "mask" in spec.args or spec.varkw is not None

    def call(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        if not self._expects_training_arg:
            kwargs.pop("training", None)
        if not self._expects_mask_arg:
            kwargs.pop("mask", None)
        return getattr(self._module, self._method_name)(*args, **kwargs)
