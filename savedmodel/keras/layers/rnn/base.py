"""RNN: a cell over time, with masks, states that last between batches, initial states and constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.rnn.cells import DropoutRNNCellMixin, StackedRNNCells
from savedmodel.keras.layers.rnn.loop import has_argument, is_multiple_state, loop, zero_state
from tracer import dispatch, nest
from tracer.composite import RaggedTensor
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.variable import Variable

__all__ = ["RNN", "is_keras_tensor", "standardize_args"]

_UNKNOWN_STEPS = (
    "Cannot unroll a RNN if the time dimension is undefined. \n- If using a Sequential model, specify the time dimension by passing an "
    "`input_shape` or `batch_input_shape` argument to your first layer. If your first layer is an Embedding, you can also use the "
    "`input_length` argument.\n- If using the functional API, specify the time dimension by passing a `shape` or `batch_shape` argument to "
    "your Input layer."
)
_UNKNOWN_BATCH = (
    "If a RNN is stateful, it needs to know its batch size. Specify the batch size of your input tensors: \n- If using a Sequential model, "
    "specify the batch size by passing a `batch_input_shape` argument to your first layer.\n- If using the functional API, specify the batch "
    "size by passing a `batch_shape` argument to your Input layer."
)


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` belongs to a functional model under construction."""
    return bool(getattr(x, "_is_keras_tensor", False))


def standardize_args(inputs: Any, initial_state: Any, constants: Any, num_constants: int | None) -> tuple[Any, Any, Any]:
    """(inputs, initial states, constants) out of a list that may hold all three."""
    if isinstance(inputs, list):
        if num_constants:
            constants = inputs[-num_constants:]
            inputs = inputs[:-num_constants]
        if len(inputs) > 1:
            initial_state = inputs[1:]
        inputs = inputs[0]

    def as_list(x: Any) -> Any:
        if x is None or isinstance(x, list):
            return x
        return list(x) if isinstance(x, tuple) else [x]

    return inputs, as_list(initial_state), as_list(constants)


def _shape_of(x: Any) -> Any:
    """A TensorShape, or a structure of them."""
    if isinstance(x, TensorShape):
        return x
    try:
        return TensorShape(x)
    except (ValueError, TypeError):
        return x


class RNN(Layer):
    """A cell run over the steps of a sequence.

    Args:
        cell: a cell, or a list of cells that are stacked.
        return_sequences: give the outputs of all steps.
        return_state: give the last states too.
        go_backwards, unroll, time_major: how to run.
        stateful: keep the states for the next batch.
    """

    def __init__(
        self, cell: Any, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False, stateful: bool = False,
        unroll: bool = False, time_major: bool = False, **kwargs: Any,
    ):  # fmt: skip
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        if "call" not in dir(cell):
            raise ValueError(f"Argument `cell` should have a `call` method. The RNN was passed: cell={cell}")
        if "state_size" not in dir(cell):
            raise ValueError(
                f"The RNN cell should have a `state_size` attribute (tuple of integers, one integer per RNN state). Received: cell={cell}"
            )
        zero_output_for_mask = kwargs.pop("zero_output_for_mask", False)
        if "input_shape" not in kwargs and ("input_dim" in kwargs or "input_length" in kwargs):
            kwargs["input_shape"] = (kwargs.pop("input_length", None), kwargs.pop("input_dim", None))
        super().__init__(**kwargs)
        self.zero_output_for_mask = zero_output_for_mask
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.time_major = time_major
        self.supports_masking = True
        self.input_spec = None
        self.state_spec = None
        self.__dict__["_states"] = None
        self.constants_spec = None
        self._num_constants = 0

    @property
    def _use_input_spec_as_call_signature(self) -> bool:
        return not self.unroll

    @property
    def states(self) -> Any:
        """The states that last between batches: variables once the layer is built, before that None for each."""
        if self._states is None:
            empty = nest.map_structure(lambda _: None, self.cell.state_size)
            return empty if nest.is_nested(self.cell.state_size) else [empty]
        return self._states

    @states.setter
    def states(self, states: Any) -> None:
        self.__dict__["_states"] = states

    # -- shapes --------------------------------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Any) -> Any:
        if isinstance(input_shape, list):
            input_shape = input_shape[0]
        shape = _shape_of(input_shape)
        if not isinstance(shape, TensorShape):
            shape = TensorShape(nest.flatten(shape)[0])
        batch, steps = (shape[1], shape[0]) if self.time_major else (shape[0], shape[1])
        size = self.cell.state_size
        sizes = size if is_multiple_state(size) else [size]

        def output(flat: Any) -> TensorShape:
            dims = TensorShape(flat).as_list()
            if not self.return_sequences:
                return TensorShape([batch, *dims])
            return TensorShape([steps, batch, *dims] if self.time_major else [batch, steps, *dims])

        output_size = getattr(self.cell, "output_size", None)
        if output_size is None:
            out: Any = output(sizes[0])
        elif nest.is_nested(output_size) and not isinstance(output_size, TensorShape):
            flat = nest.flatten(nest.map_structure(output, output_size))
            out = flat[0] if len(flat) == 1 else flat
        else:
            out = output(output_size)
        if not self.return_state:
            return out
        states = [TensorShape([batch, *TensorShape(s).as_list()]) for s in _leaves(sizes)]
        return (out if isinstance(out, list) else [out]) + states

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = nest.flatten(mask)[0]
        output_mask = mask if self.return_sequences else None
        return [output_mask] + [None for _ in self.states] if self.return_state else output_mask

    def build(self, input_shape: Any) -> None:
        if isinstance(input_shape, list):
            input_shape = input_shape[0]
        shape = _shape_of(input_shape)
        batch_at, time_at = (1, 0) if self.time_major else (0, 1)

        def spec(s: Any) -> InputSpec:
            dims = TensorShape(s).as_list()
            if not self.stateful:
                dims[batch_at] = None
            dims[time_at] = None
            return InputSpec(shape=tuple(dims))

        def step_shape(s: Any) -> TensorShape:
            dims = TensorShape(s).as_list()
            return TensorShape(dims[1:] if self.time_major else [dims[0], *dims[2:]])

        if isinstance(shape, TensorShape):
            specs: list[Any] = [spec(shape)]
            one_step: Any = step_shape(shape)
        else:
            found = nest.map_structure(spec, shape)
            specs = list(found) if isinstance(found, (list, tuple)) else [found]
            one_step = nest.map_structure(step_shape, shape)
        if self.input_spec is not None:
            self.input_spec = [*specs[:1], *list(self.input_spec)[1:]]
        else:
            self.input_spec = specs
        if isinstance(self.cell, Layer) and not self.cell.built:
            with dispatch.name_scope(self.cell.name):
                self.cell.build(one_step)
                self.cell.built = True
        size = self.cell.state_size
        sizes = list(size) if is_multiple_state(size) else [size]
        if self.state_spec is None:
            self.state_spec = [InputSpec(shape=(None, *TensorShape(s).as_list())) for s in _leaves(sizes)]
        self._validate_state_spec(sizes, self.state_spec)
        if self.stateful:
            self.reset_states()
        super().build(input_shape)

    @staticmethod
    def _validate_state_spec(sizes: Any, specs: Any) -> None:
        text = (
            f"An `initial_state` was passed that is not compatible with `cell.state_size`. Received `state_spec`={specs}; however "
            f"`cell.state_size` is {sizes}"
        )
        flat_sizes, flat_specs = _leaves(sizes), nest.flatten(specs)
        if len(flat_sizes) != len(flat_specs):
            raise ValueError(text)
        for spec, size in zip(flat_specs, flat_sizes, strict=True):
            if not TensorShape(spec.shape[1:]).is_compatible_with(TensorShape(size)):
                raise ValueError(text)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def get_initial_state(self, inputs: Any) -> list[Any]:
        """The states at the first step: the cell's own, or zeros."""
        first = nest.flatten(inputs)[0]
        batch = tf.shape(first)[1 if self.time_major else 0]
        make = getattr(self.cell, "get_initial_state", None)
        if make:
            state = make(inputs=None, batch_size=batch, dtype=first.dtype)
        else:
            state = zero_state(batch, self.cell.state_size, first.dtype)
        return list(state) if nest.is_nested(state) else [state]

    def __call__(self, inputs: Any, initial_state: Any = None, constants: Any = None, **kwargs: Any) -> Any:
        inputs, initial_state, constants = standardize_args(inputs, initial_state, constants, self._num_constants)
        if initial_state is None and constants is None:
            return super().__call__(inputs, **kwargs)
        extra: list[Any] = []
        specs: list[Any] = []
        if initial_state is not None:
            extra += initial_state
            self.state_spec = nest.map_structure(lambda s: InputSpec(shape=tuple(s.shape.as_list())), initial_state)
            specs += self.state_spec
        if constants is not None:
            extra += constants
            self.constants_spec = [InputSpec(shape=tuple(c.shape.as_list())) for c in constants]
            self._num_constants = len(constants)
            specs += self.constants_spec
        kinds = {is_keras_tensor(t) for t in nest.flatten(extra)}
        if len(kinds) > 1:
            raise ValueError(
                f'The initial state or constants of an RNN layer cannot be specified via a mix of Keras tensors and non-Keras tensors (a "Keras '
                f'tensor" is a tensor that was returned by a Keras layer  or by `Input` during Functional model construction). Received: '
                f"initial_state={initial_state}, constants={constants}"
            )
        if kinds != {False}:
            # All go in as inputs, so that the functional model knows where they come from.
            own = list(self.input_spec) if self.built else [None for _ in nest.flatten(inputs)]
            self.input_spec = own + nest.flatten(specs)
            output = super().__call__([inputs, *extra], **kwargs)
            self.input_spec = list(self.input_spec)[: -len(nest.flatten(specs))]
            return output
        if initial_state is not None:
            kwargs["initial_state"] = initial_state
        if constants is not None:
            kwargs["constants"] = constants
        return super().__call__(inputs, **kwargs)

    def call(
        self, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None, constants: Any = None
    ) -> Any:  # fmt: skip
        inputs, lengths = self._dense(inputs, mask)
        inputs, initial_state, constants = self._process_inputs(inputs, initial_state, constants)
        self._maybe_reset_cell_dropout_mask(self.cell)
        if isinstance(self.cell, StackedRNNCells):
            for cell in self.cell.cells:
                self._maybe_reset_cell_dropout_mask(cell)
        mask = nest.flatten(mask)[0] if mask is not None else None
        steps = nest.flatten(inputs)[0].shape[0 if self.time_major else 1]
        if self.unroll and steps is None:
            raise ValueError(_UNKNOWN_STEPS)
        kwargs = {"training": training} if has_argument(self.cell.call, "training") else {}
        run = self.cell if callable(self.cell) else self.cell.call
        if constants and not has_argument(self.cell.call, "constants"):
            raise ValueError(f"RNN cell {self.cell} does not support constants. Received: constants={constants}")

        def step(x: Any, states: Any) -> Any:
            extra = dict(kwargs)
            if constants:
                extra["constants"] = states[-self._num_constants :]
                states = states[: -self._num_constants]
            output, new_states = run(x, states, **extra)
            return output, new_states if nest.is_nested(new_states) else [new_states]

        return self._finish(
            *self._loop(step, inputs, initial_state, mask, steps if lengths is None else lengths, constants), lengths
        )

    def _loop(self, step: Any, inputs: Any, initial_state: Any, mask: Any, length: Any, constants: Any = None) -> tuple[Any, Any, Any]:
        return loop(
            step, inputs, initial_state, constants=constants, go_backwards=self.go_backwards, mask=mask, unroll=self.unroll,
            input_length=length, time_major=self.time_major, zero_output_for_mask=self.zero_output_for_mask,
            return_all_outputs=self.return_sequences,
        )  # fmt: skip

    def _finish(self, last: Any, outputs: Any, states: Any, lengths: Any) -> Any:
        """Keep the states where the layer is stateful; give what was asked for."""
        if self.stateful:
            for own, state in zip(nest.flatten(self.states), nest.flatten(states), strict=True):
                own.assign(tf.cast(state, own.dtype))
        output = last
        if self.return_sequences:
            output = outputs
            if lengths is not None:
                if self.go_backwards:
                    outputs = tf.reverse_sequence(outputs, lengths, seq_axis=1)
                output = RaggedTensor.from_tensor(outputs, lengths)
        if not self.return_state:
            return output
        states = list(states) if isinstance(states, (list, tuple)) else [states]
        return (output if isinstance(output, list) else [output]) + states

    def _dense(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        """(dense inputs, row lengths) of ragged inputs; (inputs, None) of others."""
        if not isinstance(inputs, RaggedTensor):
            return inputs, None
        if mask is not None:
            raise ValueError(
                f"The mask that was passed in was {mask}, which cannot be applied to RaggedTensor inputs. Please make sure that there is no "
                f"mask injected by upstream layers."
            )
        if self.unroll:
            raise ValueError(
                "The input received contains RaggedTensors and does not support unrolling. Disable unrolling by passing `unroll=False` in the "
                "RNN Layer constructor."
            )
        return inputs.to_tensor(), tf.cast(inputs.nested_row_lengths()[0], "int32")

    def _process_inputs(self, inputs: Any, initial_state: Any, constants: Any) -> tuple[Any, Any, Any]:
        if isinstance(inputs, Sequence) and not isinstance(inputs, tuple):
            if not self._num_constants:
                initial_state = inputs[1:]
            else:
                initial_state = inputs[1 : -self._num_constants]
                constants = inputs[-self._num_constants :]
            initial_state = initial_state if len(initial_state) else None
            inputs = inputs[0]
        if self.stateful:
            own = nest.map_structure(lambda v: v.value() if isinstance(v, Variable) else v, self.states)
            if initial_state is not None:
                # A given state counts only while the layer's own is still zero.
                given = list(initial_state)
                used = tf.add_n([tf.math.count_nonzero(s) for s in nest.flatten(own)])
                initial_state = tf.cond(used > 0, lambda: list(own), lambda: given)
            else:
                initial_state = own
            dtype = self.compute_dtype or self.cell.compute_dtype
            initial_state = nest.map_structure(lambda v: tf.cast(v, dtype), initial_state)
        elif initial_state is None:
            initial_state = self.get_initial_state(inputs)
        if len(initial_state) != len(self.states):
            raise ValueError(
                f"Layer has {len(self.states)} states but was passed {len(initial_state)} initial states. Received: "
                f"initial_state={initial_state}"
            )
        return inputs, initial_state, constants

    @staticmethod
    def _maybe_reset_cell_dropout_mask(cell: Any) -> None:
        if isinstance(cell, DropoutRNNCellMixin):
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()

    def reset_states(self, states: Any = None) -> None:
        """Set the states to zero, or to given values.

        Raises:
            AttributeError: the layer is not stateful. ValueError: no batch size yet, or values that do not fit.
        """
        if not self.stateful:
            raise AttributeError("Layer must be stateful.")
        shape = None if self.input_spec is None else nest.flatten(self.input_spec[0])[0].shape
        batch = None if shape is None else shape[1 if self.time_major else 0]
        if not batch:
            raise ValueError(_UNKNOWN_BATCH)
        self._reset_states_of(batch, states)

    def _reset_states_of(self, batch: int, states: Any) -> None:
        from savedmodel.keras import backend

        current = nest.flatten(self.states)
        if current[0] is None:
            dtype = self.variable_dtype or backend.floatx()
            make = getattr(self.cell, "get_initial_state", None)
            with dispatch.init_scope():
                start = (
                    make(inputs=None, batch_size=batch, dtype=dtype) if make else zero_state(batch, self.cell.state_size, dtype)
                )
                made = [Variable(v, dtype=v.dtype) for v in nest.flatten(start)]
            size = self.cell.state_size
            packed = nest.pack_sequence_as(size, made) if nest.is_nested(size) else made
            self.states = packed
        elif states is None:
            for state in current:
                state.assign(np.zeros(state.shape.as_list(), state.dtype.as_numpy_dtype))
        else:
            given = nest.flatten(states)
            if len(given) != len(current):
                raise ValueError(
                    f"Layer {self.name} expects {len(current)} states, but it received {len(given)} state values. States received: {states}"
                )
            for i, (value, state) in enumerate(zip(given, current, strict=True)):
                if tuple(value.shape) != tuple(state.shape):
                    raise ValueError(
                        f"State {i} is incompatible with layer {self.name}: expected shape={tuple(state.shape)} but found shape={value.shape}"
                    )
            for value, state in zip(given, current, strict=True):
                state.assign(value)

    def _loop_config(self) -> dict[str, Any]:
        config = {
            "return_sequences": self.return_sequences, "return_state": self.return_state, "go_backwards": self.go_backwards,
            "stateful": self.stateful, "unroll": self.unroll, "time_major": self.time_major,
        }  # fmt: skip
        if self._num_constants:
            config["num_constants"] = self._num_constants
        if self.zero_output_for_mask:
            config["zero_output_for_mask"] = self.zero_output_for_mask
        return config

    def get_config(self) -> dict[str, Any]:
        from savedmodel.keras.saving import serialization

        return {**super().get_config(), **self._loop_config(), "cell": serialization.serialize_keras_object(self.cell)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """A layer with the cell of a config."""
        from savedmodel.keras import layers

        config = dict(config)
        cell = config.pop("cell")
        if isinstance(cell, Mapping):
            cell = layers.deserialize(dict(cell), custom_objects=custom_objects, use_legacy_format="module" not in cell)
        num_constants = config.pop("num_constants", 0)
        layer = cls(cell, **config)
        layer._num_constants = num_constants
        return layer


def _leaves(sizes: Any) -> list[Any]:
    """Sizes of single states: ints, TensorShapes, or tuples of ints inside of cells are not taken apart further than Keras does."""
    out: list[Any] = []
    for size in sizes if isinstance(sizes, (list, tuple)) else [sizes]:
        if isinstance(size, (list, tuple)) and not isinstance(size, TensorShape):
            out += _leaves(size)
        else:
            out.append(size)
    return out
