"""A layer called on Keras tensors: infer what it returns in a scratch graph, and record the call as a node."""

from __future__ import annotations

from typing import Any

import numpy as np

from savedmodel.keras.engine import keras_tensor
from savedmodel.keras.engine.autocast_variable import enable_auto_cast_variables
from savedmodel.keras.engine.call_context import call_context
from savedmodel.keras.engine.node import Node
from tracer import dispatch, nest
from tracer.errors import InvalidArgumentError
from tracer.specs import TensorSpec
from tracer.tensor import Tensor, convert_to_tensor
from tracer.tracing import FuncGraph, trace_into

__all__ = ["symbolic_call"]


def symbolic_call(layer: Any, inputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The Keras tensors that `layer(inputs, *args, **kwargs)` returns, with the call recorded as a node of the layer.

    Raises:
        ValueError: the layer's `call` returns None.
    """
    from savedmodel.keras.engine.base_layer import _inherited_training

    context = call_context()
    spec = layer._call_spec
    flat = nest.flatten(inputs)
    if any(isinstance(x, (np.ndarray, np.generic, float, int)) and not isinstance(x, Tensor) for x in flat):
        inputs = nest.map_structure(lambda x: convert_to_tensor(x) if isinstance(x, (np.ndarray, np.generic, float, int)) else x, inputs)
        flat = nest.flatten(inputs)
    masks, implicit = layer._get_input_masks(inputs, flat, args, kwargs)
    mask_by_framework = implicit and spec.expects_mask_arg
    if mask_by_framework:
        kwargs["mask"] = masks
    training = None
    if spec.was_passed("training", args, kwargs):
        training = spec.value("training", args, kwargs)
        if not spec.expects_training_arg:
            kwargs.pop("training")
    training_by_framework = False
    if training is None:
        training = _inherited_training(context, spec)
        if spec.expects_training_arg:
            args, kwargs = spec.replace("training", training, args, kwargs)
            training_by_framework = True
    with context.enter(layer, inputs, True, training, context.saving):
        outputs = _infer_outputs(layer, inputs, args, kwargs, masks)
        if outputs is None:
            raise InvalidArgumentError(
                f"A layer's `call` method should return a Tensor or a list of Tensors, not None (layer: {layer.name})."
            )
        if training_by_framework:
            args, kwargs = spec.replace("training", None, args, kwargs, drop_none=True)
        if mask_by_framework:
            kwargs.pop("mask")
        Node(layer, (inputs, *args), kwargs, outputs)
    return outputs


def _infer_outputs(layer: Any, inputs: Any, args: Any, kwargs: Any, masks: Any) -> Any:
    if layer._dynamic:
        signature = layer.compute_output_signature(nest.map_structure(lambda x: TensorSpec(x.shape, x.dtype), inputs))
        return nest.map_structure(keras_tensor.KerasTensor, signature)
    graph = FuncGraph(f"{layer.name}_scratch_graph", dispatch.current_graph())
    with trace_into(graph):

        def place(x: Any) -> Any:
            return keras_tensor.to_placeholder(x, graph)

        held = nest.map_structure(place, inputs)
        held_args, held_kwargs = nest.map_structure(place, args), nest.map_structure(place, kwargs)
        held_masks = nest.map_structure(place, masks)
        with dispatch.name_scope(layer._name_scope()):
            with enable_auto_cast_variables(layer._compute_dtype_value):
                layer._maybe_build(held)
                from savedmodel.keras.engine import input_spec

                input_spec.assert_input_compatibility(layer.input_spec, held, layer.name)
                held = layer._maybe_cast_inputs(held)
                outputs = layer._call_to_trace()(held, *held_args, **held_kwargs)
            layer._handle_activity_regularization(held, outputs)
        layer._set_mask_metadata(held, outputs, held_masks)
        outputs = None if outputs is None else nest.map_structure(lambda t: _keras_tensor_of(t), outputs)
    layer._set_save_spec(inputs, args, kwargs)
    if hasattr(layer, "_set_inputs") and not layer.inputs:
        layer._set_inputs(inputs, outputs)
    return outputs


def _keras_tensor_of(tensor: Any) -> Any:
    if not isinstance(tensor, Tensor) and not hasattr(tensor, "_type_spec"):
        tensor = convert_to_tensor(tensor)
    return keras_tensor.from_tensor(tensor)
