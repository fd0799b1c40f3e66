"""Bidirectional: a recurrent layer in both directions. TimeDistributed: any layer at each step."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.rnn.base import is_keras_tensor, standardize_args
from savedmodel.keras.layers.rnn.loop import has_argument, loop
from savedmodel.keras.layers.wrapper import Wrapper
from savedmodel.trackable import no_automatic_dependency_tracking_scope
from tracer import dispatch, nest
from tracer.composite import RaggedTensor
from tracer.public import tf
from tracer.shapes import TensorShape

__all__ = ["Bidirectional", "TimeDistributed"]


class Bidirectional(Wrapper):
    """A recurrent layer forwards and another backwards, their outputs merged as `merge_mode` says."""

    def __init__(self, layer: Any, merge_mode: str | None = "concat", weights: Any = None, backward_layer: Any = None, **kwargs: Any):
        if not isinstance(layer, Layer):
            raise ValueError(f"Please initialize `Bidirectional` layer with a `tf.keras.layers.Layer` instance. Received: {layer}")
        if backward_layer is not None and not isinstance(backward_layer, Layer):
            raise ValueError(f"`backward_layer` need to be a `tf.keras.layers.Layer` instance. Received: {backward_layer}")
        if merge_mode not in ["sum", "mul", "ave", "concat", None]:
            raise ValueError(
                f'Invalid merge mode. Received: {merge_mode}. Merge mode should be one of {{"sum", "mul", "ave", "concat", None}}'
            )
        # The given layer is a template: only the two made of it hold weights.
        with no_automatic_dependency_tracking_scope():
            super().__init__(layer, **kwargs)
        self.forward_layer = self._recreate_layer_from_config(layer)
        if backward_layer is None:
            self.backward_layer = self._recreate_layer_from_config(layer, go_backwards=True)
        else:
            from savedmodel.keras.saving import serialization

            self.backward_layer = backward_layer
            self.__dict__["_backward_layer_config"] = serialization.serialize_keras_object(backward_layer)
        self.forward_layer._name = "forward_" + self.forward_layer.name
        self.backward_layer._name = "backward_" + self.backward_layer.name
        self._verify_layer_config()
        for direction in (self.forward_layer, self.backward_layer):
            if getattr(direction, "zero_output_for_mask", None) is not None:
                direction.zero_output_for_mask = direction.return_sequences
        self.merge_mode = merge_mode
        if weights:
            half = len(weights) // 2
            self.forward_layer._initial_weights = weights[:half]
            self.backward_layer._initial_weights = weights[half:]
        self.stateful = layer.stateful
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.supports_masking = True
        self.__dict__["_trainable"] = kwargs.get("trainable", layer.trainable)
        self._num_constants = 0
        self.input_spec = layer.input_spec

    @property
    def _use_input_spec_as_call_signature(self) -> bool:
        return getattr(self.layer, "_use_input_spec_as_call_signature", True)

    def _verify_layer_config(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                f"Forward layer and backward layer should have different `go_backwards` value.forward_layer.go_backwards = "
                f"{forward.go_backwards},backward_layer.go_backwards = {backward.go_backwards}"
            )
        for name in ("stateful", "return_sequences", "return_state"):
            one, two = getattr(forward, name), getattr(backward, name)
            if one != two:
                raise ValueError(
                    f'Forward layer and backward layer are expected to have the same value for attribute "{name}", got "{one}" for forward '
                    f'layer and "{two}" for backward layer'
                )

    @staticmethod
    def _recreate_layer_from_config(layer: Any, go_backwards: bool = False) -> Any:
        config = layer.get_config()
        if go_backwards:
            config["go_backwards"] = not config["go_backwards"]
        if "custom_objects" not in inspect.signature(type(layer).from_config).parameters:
            return type(layer).from_config(config)
        custom = {}
        cell = getattr(layer, "cell", None)
        if cell is not None:
            for c in (cell, *getattr(cell, "cells", ())):
                custom[type(c).__name__] = type(c)
        return type(layer).from_config(config, custom_objects=custom)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = self.forward_layer.compute_output_shape(input_shape)
        states: list[Any] = []
        if self.return_state:
            shape, states = shape[0], list(shape[1:])
        shape = TensorShape(shape)
        if self.merge_mode == "concat":
            dims = shape.as_list()
            dims[-1] *= 2
            shape = TensorShape(dims)
        outputs = [shape, shape] if self.merge_mode is None else [shape]
        if self.return_state:
            return outputs + states + list(states)
        return outputs if self.merge_mode is None else shape

    def __call__(self, inputs: Any, initial_state: Any = None, constants: Any = None, **kwargs: Any) -> Any:
        inputs, initial_state, constants = standardize_args(inputs, initial_state, constants, self._num_constants)
        if initial_state is None and constants is None:
            return super().__call__(inputs, **kwargs)
        extra: list[Any] = []
        specs: list[Any] = []
        if initial_state is not None:
            half, odd = divmod(len(initial_state), 2)
            if odd:
                raise ValueError(
                    f"When passing `initial_state` to a Bidirectional RNN, the state should be a list containing the states of the underlying "
                    f"RNNs. Received: {initial_state}"
                )
            kwargs["initial_state"] = initial_state
            extra += initial_state
            state_specs = nest.map_structure(lambda s: InputSpec(shape=tuple(s.shape.as_list())), initial_state)
            self.forward_layer.state_spec, self.backward_layer.state_spec = state_specs[:half], state_specs[half:]
            specs += state_specs
        if constants is not None:
            kwargs["constants"] = constants
            extra += constants
            constants_spec = [InputSpec(shape=tuple(c.shape.as_list())) for c in constants]
            specs += constants_spec
            self._num_constants = len(constants)
            for layer in (self.forward_layer, self.backward_layer):
                layer.constants_spec = constants_spec
                layer._num_constants = len(constants)
        kinds = {is_keras_tensor(t) for t in nest.flatten(extra)}
        if len(kinds) > 1:
            raise ValueError(
                'The initial state of a Bidirectional layer cannot be specified with a mix of Keras tensors and non-Keras tensors (a "Keras '
                'tensor" is a tensor that was returned by a Keras layer, or by `Input`)'
            )
        if kinds == {False}:
            return super().__call__(inputs, **kwargs)
        kwargs["initial_state"] = None
        kwargs["constants"] = None
        original = self.input_spec
        self.input_spec = [None for _ in nest.flatten(inputs)] + nest.flatten(specs)
        output = super().__call__([inputs, *extra], **kwargs)
        self.input_spec = original
        return output

    def call(
        self, inputs: Any, training: Any = None, mask: Any = None, initial_state: Any = None, constants: Any = None
    ) -> Any:  # fmt: skip
        given = {"training": training, "mask": mask, "constants": constants}
        kwargs = {k: v for k, v in given.items() if has_argument(self.layer.call, k)}
        if has_argument(self.layer.call, "initial_state"):
            forward, backward = inputs, inputs
            states: tuple[Any, Any] = (None, None)
            if isinstance(inputs, list) and len(inputs) > 1:
                pivot = (len(inputs) - self._num_constants) // 2 + 1
                end = len(inputs) - self._num_constants
                forward = [inputs[0], *inputs[1:pivot], *inputs[end:]]
                backward = [inputs[0], *inputs[pivot:end], *inputs[end:]]
                if "constants" in kwargs:
                    kwargs["constants"] = None
            elif initial_state is not None:
                half = len(initial_state) // 2
                states = (initial_state[:half], initial_state[half:])
            y = self.forward_layer(forward, initial_state=states[0], **kwargs)
            y_rev = self.backward_layer(backward, initial_state=states[1], **kwargs)
        else:
            y, y_rev = self.forward_layer(inputs, **kwargs), self.backward_layer(inputs, **kwargs)
        last_states: list[Any] = []
        if self.return_state:
            last_states = list(y[1:]) + list(y_rev[1:])
            y, y_rev = y[0], y_rev[0]
        if self.return_sequences:
            y_rev = _reversed(y_rev, 0 if getattr(self.forward_layer, "time_major", False) else 1)
        output: Any
        if self.merge_mode == "concat":
            output = tf.concat([y, y_rev], -1)
        elif self.merge_mode == "sum":
            output = y + y_rev
        elif self.merge_mode == "ave":
            output = (y + y_rev) / 2
        elif self.merge_mode == "mul":
            output = y * y_rev
        else:
            output = [y, y_rev]
        if self.return_state:
            return (output if self.merge_mode is None else [output]) + last_states
        return output

    def reset_states(self, states: Any = None) -> None:
        """Set the states of both directions to zero, or to given values (forward ones first)."""
        if not self.stateful:
            raise AttributeError("Layer must be stateful.")
        if states is None:
            self.forward_layer.reset_states()
            self.backward_layer.reset_states()
            return
        if not isinstance(states, (list, tuple)):
            raise ValueError(f"Unrecognized value for `states`. Expected `states` to be list or tuple. Received: {states}")
        half = len(states) // 2
        self.forward_layer.reset_states(states[:half])
        self.backward_layer.reset_states(states[half:])

    def build(self, input_shape: Any) -> None:  # type: ignore[override]
        for layer in (self.forward_layer, self.backward_layer):
            with dispatch.name_scope(layer.name):
                layer.build(input_shape)
                layer.built = True
        self.built = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = mask[0] if isinstance(mask, list) else mask
        if self.return_sequences:
            output_mask = mask if self.merge_mode else [mask, mask]
        else:
            output_mask = None if self.merge_mode else [None, None]
        if not self.return_state:
            return output_mask
        state_mask = [None for _ in self.forward_layer.states] * 2
        return (output_mask if isinstance(output_mask, list) else [output_mask]) + state_mask

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {"merge_mode": self.merge_mode}
        if self._num_constants:
            config["num_constants"] = self._num_constants
        if "_backward_layer_config" in self.__dict__:
            config["backward_layer"] = self.__dict__["_backward_layer_config"]
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """A wrapper with the layers of a config."""
        from savedmodel.keras import layers

        config = copy.deepcopy(dict(config))
        num_constants = config.pop("num_constants", 0)
        for key in ("layer", "backward_layer"):
            value = config.get(key)
            if isinstance(value, Mapping):
                config[key] = layers.deserialize(dict(value), custom_objects=custom_objects, use_legacy_format="module" not in value)
        layer = cls(**config)
        layer._num_constants = num_constants
        return layer


def _reversed(x: Any, axis: int) -> Any:
    if isinstance(x, RaggedTensor):
        dense = tf.reverse_sequence(x.to_tensor(), tf.cast(x.row_lengths(), "int32"), seq_axis=1)
        return RaggedTensor.from_tensor(dense, x.row_lengths())
    return tf.reverse(x, [axis])


class TimeDistributed(Wrapper):
    """A layer applied to each step: steps are folded into the batch, or looped over where the layer keeps state."""

    def __init__(self, layer: Any, **kwargs: Any):
        if not isinstance(layer, Layer):
            raise ValueError(f"Please initialize `TimeDistributed` layer with a `tf.keras.layers.Layer` instance. Received: {layer}")
        super().__init__(layer, **kwargs)
        self.supports_masking = True
        built_in = type(layer).__module__.startswith("savedmodel.keras.")
        self._always_use_reshape = built_in and not getattr(layer, "stateful", False)

    def _folded(self, x: Any, front: tuple[Any, ...], start: int) -> Any:
        """A shape: `front`, then the sizes of `x` from `start` on."""
        known = x.shape.as_list()[start:]
        if None in known:
            shape = tf.shape(x)
            known = [shape[start + i] if d is None else d for i, d in enumerate(known)]
        return tf.stack([*front, *known]) if any(not isinstance(d, int) for d in (*front, *known)) else (*front, *known)

    def build(self, input_shape: Any) -> None:  # type: ignore[override]
        shapes = _each_shape(input_shape)
        if any(len(s) < 3 for s in nest.flatten(shapes)):
            raise ValueError(
                f"`TimeDistributed` Layer should be passed an `input_shape ` with at least 3 dimensions, received: {input_shape}"
            )
        self.input_spec = nest.map_structure(lambda s: InputSpec(shape=(None, None, *s.as_list()[2:])), shapes)
        super().build(nest.map_structure(_one_step, shapes))
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = _each_shape(input_shape)
        steps = nest.flatten(shapes)[0][1]
        inner = self.layer.compute_output_shape(nest.map_structure(_one_step, shapes))
        return nest.map_structure(lambda s: TensorShape([s[0], steps, *s.as_list()[1:]]), _each_shape(inner))

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        kwargs = {"training": training} if has_argument(self.layer.call, "training") else {}
        first = nest.flatten(inputs)[0]
        batch = first.shape[0]
        ragged = [isinstance(x, RaggedTensor) for x in nest.flatten(inputs)]
        if batch and not self._always_use_reshape and not any(ragged):
            _, outputs, _ = loop(
                lambda x, _: (self.layer(x, **kwargs), []), inputs, [], input_length=first.shape[1], mask=mask, unroll=False
            )
            return outputs
        if all(ragged):
            values = self.layer(nest.map_structure(lambda x: x.values, inputs), **kwargs)
            lengths = first.nested_row_lengths()[0]
            return nest.map_structure(lambda y: RaggedTensor.from_row_lengths(y, lengths), values)
        if any(ragged):
            raise ValueError(f"All inputs has to be either ragged or not, but not mixed. Received: {inputs}")
        steps = first.shape[1] or tf.shape(first)[1]
        folded = nest.map_structure(lambda x: tf.reshape(x, self._folded(x, (-1,), 2)), inputs)
        if has_argument(self.layer.call, "mask") and mask is not None:
            kwargs["mask"] = tf.reshape(mask, self._folded(mask, (-1,), 2))
        outputs = self.layer(folded, **kwargs)
        return nest.map_structure(lambda y: tf.reshape(y, self._folded(y, (batch if batch else -1, steps), 1)), outputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the layer's output at each step; a mask of more than two dimensions is joined where the layer drops it."""
        first = nest.flatten(inputs)[0]
        batch = first.shape[0]
        ragged = any(isinstance(x, RaggedTensor) for x in nest.flatten(inputs))
        if (batch and not self._always_use_reshape) or ragged:
            return mask
        inner_mask = None if mask is None else tf.reshape(mask, self._folded(mask, (-1,), 2))
        folded = nest.map_structure(lambda x: tf.reshape(x, self._folded(x, (-1,), 2)), inputs)
        out = self.layer.compute_mask(folded, inner_mask)
        if out is None:
            if mask is None:
                return None
            out = mask
            for _ in range(2, len(mask.shape)):
                out = tf.reduce_any(out, axis=-1)
            return out
        steps = first.shape[1] or tf.shape(first)[1]
        return tf.reshape(out, self._folded(out, (batch if batch else -1, steps), 1))


def _each_shape(shapes: Any) -> Any:
    """A structure of TensorShapes."""
    if isinstance(shapes, TensorShape):
        return shapes
    if isinstance(shapes, Mapping):
        return {k: _each_shape(v) for k, v in shapes.items()}
    if all(d is None or isinstance(d, int) for d in shapes):
        return TensorShape(shapes)
    return [_each_shape(s) for s in shapes]


def _one_step(shape: TensorShape) -> TensorShape:
    dims = shape.as_list()
    return TensorShape([dims[0], *dims[2:]])
