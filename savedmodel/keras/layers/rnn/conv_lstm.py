"""Convolutional LSTM (Shi et al. 2015) in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from savedmodel.keras import regularizers
from savedmodel.keras.engine.base_layer import BaseRandomLayer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.convolution_base import layout
from savedmodel.keras.layers.rnn.base import RNN
from savedmodel.keras.layers.rnn.cells import DropoutRNNCellMixin, gate_bias
from savedmodel.keras.layers.rnn.loop import loop
from savedmodel.keras.layers.settings import (
    checked_data_format,
    describe,
    dims,
    keep,
    normalize_padding,
    normalize_tuple,
    window_length,
)
from tracer import dispatch
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.variable import Variable

__all__ = ["ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "ConvLSTMCell"]

_CELL = (
    "filters kernel_size strides padding data_format dilation_rate activation recurrent_activation use_bias kernel_initializer "
    "recurrent_initializer bias_initializer unit_forget_bias kernel_regularizer recurrent_regularizer bias_regularizer "
    "kernel_constraint recurrent_constraint bias_constraint dropout recurrent_dropout"
)


class ConvLSTMCell(DropoutRNNCellMixin, BaseRandomLayer):
    """One step; gates are convolutions of inputs and states."""

    def __init__(
        self, rank: int, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
        dilation_rate: Any = 1, activation: Any = "tanh", recurrent_activation: Any = "hard_sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True, kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.rank = rank
        if self.rank > 3:
            raise ValueError(f"Rank {rank} convolutions are not currently implemented. Received: rank={rank}")
        names = [n for n in _CELL.split() if n not in ("kernel_size", "strides", "padding", "data_format", "dilation_rate")]
        keep(self, locals(), " ".join(names))
        self.kernel_size = normalize_tuple(kernel_size, rank, "kernel_size")
        self.strides = normalize_tuple(strides, rank, "strides", allow_zero=True)
        self.padding = normalize_padding(padding)
        self.data_format = checked_data_format(data_format)
        self.dilation_rate = normalize_tuple(dilation_rate, rank, "dilation_rate")
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self.state_size = (filters, filters)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        shape = dims(input_shape)
        channels = shape[1 if self.data_format == "channels_first" else -1]
        if channels is None:
            raise ValueError(
                f"The channel dimension of the inputs (last axis) should be defined. Found None. Full input shape received: "
                f"input_shape={shape}"
            )
        self.kernel_shape = (*self.kernel_size, channels, self.filters * 4)

        def weight(kind: str, name: str, shape: Sequence[int], initializer: Any) -> Any:
            return self.add_weight(
                shape=shape, initializer=initializer, name=name, regularizer=getattr(self, f"{kind}_regularizer"),
                constraint=getattr(self, f"{kind}_constraint"),
            )  # fmt: skip

        self.kernel = weight("kernel", "kernel", self.kernel_shape, self.kernel_initializer)
        recurrent_shape = (*self.kernel_size, self.filters, self.filters * 4)
        self.recurrent_kernel = weight("recurrent", "recurrent_kernel", recurrent_shape, self.recurrent_initializer)
        self.bias = None
        if self.use_bias:
            start = gate_bias(self.bias_initializer, self.filters) if self.unit_forget_bias else self.bias_initializer
            self.bias = weight("bias", "bias", (self.filters * 4,), start)
        self.built = True

    def call(self, inputs: Any, states: Any, training: Any = None) -> Any:  # type: ignore[override]
        state, carry = states[0], states[1]
        masks = self.get_dropout_mask_for_cell(inputs, training, count=4)
        state_masks = self.get_recurrent_dropout_mask_for_cell(state, training, count=4)
        x = [inputs * m for m in masks] if 0 < self.dropout < 1.0 else [inputs] * 4
        h = [state * m for m in state_masks] if 0 < self.recurrent_dropout < 1.0 else [state] * 4
        kernels = tf.split(self.kernel, 4, axis=self.rank + 1)
        recurrent_kernels = tf.split(self.recurrent_kernel, 4, axis=self.rank + 1)
        biases = tf.split(self.bias, 4) if self.use_bias else [None] * 4
        from_inputs = [self.input_conv(v, k, b, padding=self.padding) for v, k, b in zip(x, kernels, biases, strict=True)]
        from_states = [self.recurrent_conv(v, k) for v, k in zip(h, recurrent_kernels, strict=True)]
        gates = [a + b for a, b in zip(from_inputs, from_states, strict=True)]
        i = self.recurrent_activation(gates[0])
        f = self.recurrent_activation(gates[1])
        c = f * carry + i * self.activation(gates[2])
        o = self.recurrent_activation(gates[3])
        out = o * self.activation(c)
        return out, [out, c]

    def _convolved(self, x: Any, kernel: Any, strides: Any, padding: str, dilations: Any) -> Any:
        return tf.nn.convolution(
            x, kernel, strides=list(strides), padding=padding.upper(), dilations=list(dilations), data_format=layout(self.data_format, self.rank)
        )

    def input_conv(self, x: Any, w: Any, b: Any = None, padding: str = "valid") -> Any:
        """The convolution of an input."""
        out = self._convolved(x, w, self.strides, padding, self.dilation_rate)
        return out if b is None else tf.nn.bias_add(out, b, data_format=layout(self.data_format, self.rank))

    def recurrent_conv(self, x: Any, w: Any) -> Any:
        """The convolution of a state, which keeps its size."""
        ones = (1,) * self.rank
        return self._convolved(x, w, ones, "same", ones)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, _CELL)}


class _ConvLSTM(RNN):
    """Convolutional LSTM over a sequence of images of any rank."""

    _rank = 2
    _config_names = _CELL.replace("bias_regularizer ", "bias_regularizer activity_regularizer ")

    def _setup(self, given: Mapping[str, Any]) -> None:
        kwargs = dict(given["kwargs"])
        cell = ConvLSTMCell(
            rank=self._rank, **{n: given[n] for n in _CELL.split()}, name="conv_lstm_cell", dtype=kwargs.get("dtype")
        )
        unroll = kwargs.pop("unroll", False)
        if unroll:
            raise TypeError(f"Unrolling is not possible with convolutional RNNs. Received: unroll={unroll}")
        super().__init__(
            cell, given["return_sequences"], given["return_state"], given["go_backwards"], given["stateful"], False, **kwargs
        )
        self.rank = self._rank
        self.input_spec = [InputSpec(ndim=self._rank + 3)]
        self._num_constants = None
        self.activity_regularizer = regularizers.get(given["activity_regularizer"])

    def __getattr__(self, name: str) -> Any:
        """Settings of the cell, as the layer's."""
        if name in _CELL.split() and "cell" in self.__dict__:
            return getattr(self.__dict__["cell"], name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = dims(input_shape[0] if isinstance(input_shape, list) else input_shape)
        cell = self.cell
        first = cell.data_format == "channels_first"
        sizes = shape[3:] if first else shape[2:-1]
        spatial = tuple(
            window_length(size, cell.kernel_size[i], cell.padding, cell.strides[i], cell.dilation_rate[i]) for i, size in enumerate(sizes)
        )
        image = (cell.filters, *spatial) if first else (*spatial, cell.filters)
        out = TensorShape([*shape[:2], *image] if self.return_sequences else [shape[0], *image])
        return [out, *(TensorShape([shape[0], *image]) for _ in range(2))] if self.return_state else out

    def build(self, input_shape: Any) -> None:
        shape = dims(input_shape[0] if isinstance(input_shape, list) else input_shape)
        batch = shape[0] if self.stateful else None
        self.input_spec = [InputSpec(shape=(batch, None, *shape[2 : self.rank + 3])), *list(self.input_spec)[1:]]
        self.cell.build(TensorShape([shape[0], *shape[2:]]))
        sizes = list(self.cell.state_size)
        first = self.cell.data_format == "channels_first"
        if self.state_spec is not None:
            at = 1 if first else self.rank + 1
            if [spec.shape[at] for spec in self.state_spec] != sizes:
                raise ValueError(
                    f"An `initial_state` was passed that is not compatible with `cell.state_size`. Received state shapes "
                    f"{[spec.shape for spec in self.state_spec]}. However `cell.state_size` is {self.cell.state_size}"
                )
        else:
            unknown = (None,) * self.rank
            self.state_spec = [InputSpec(shape=(None, size, *unknown) if first else (None, *unknown, size)) for size in sizes]
        if self.stateful:
            self.reset_states()
        self.built = True

    def get_initial_state(self, inputs: Any) -> list[Any]:
        """Zeros of the size that the cell's convolution gives."""
        start = tf.reduce_sum(tf.zeros_like(inputs), axis=1)
        shape = (*self.cell.kernel_shape[:-1], self.cell.filters)
        start = self.cell.input_conv(start, tf.zeros(shape, start.dtype), padding=self.cell.padding)
        return [start for _ in self.cell.state_size]

    def call(self, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None) -> Any:  # type: ignore[override]
        inputs, initial_state, _ = self._process_inputs(inputs, initial_state, None)
        mask = mask[0] if isinstance(mask, list) else mask

        def step(x: Any, states: Any) -> Any:
            return self.cell.call(x, states, training=training)

        results = loop(
            step, inputs, initial_state, go_backwards=self.go_backwards, mask=mask, input_length=inputs.shape[1],
            return_all_outputs=self.return_sequences,
        )  # fmt: skip
        return self._finish(*results, None)

    def reset_states(self, states: Any = None) -> None:
        if not self.stateful:
            raise AttributeError("Layer must be stateful.")
        shape = self.compute_output_shape(self.input_spec[0].shape)
        shape = (shape[0] if self.return_state else shape).as_list()
        if self.return_sequences:
            shape = [shape[0], *shape[2:]]
        if None in shape:
            raise ValueError(
                "If a RNN is stateful, it needs to know its batch size. Specify the batch size of your input tensors: \n- If using a "
                "Sequential model, specify the batch size by passing a `batch_input_shape` argument to your first layer.\n- If using the "
                "functional API, specify the time dimension by passing a `batch_shape` argument to your Input layer.\nThe same thing goes "
                "for the number of rows and columns."
            )
        if self.states[0] is None:
            with dispatch.init_scope():
                self.states = [Variable(np.zeros(shape, "float32")) for _ in self.cell.state_size]
        else:
            self._reset_states_of(shape[0], states)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("cell")
        return {**config, **describe(self, self._config_names)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:  # type: ignore[override]
        """A layer with the arguments in `config`."""
        config = dict(config)
        config.pop("time_major", None)
        return cls(**config)


def _conv_lstm(name: str, rank: int, doc: str) -> type[_ConvLSTM]:
    strides = (1,) * rank

    def __init__(
        self: Any, filters: int, kernel_size: Any, strides: Any = strides if rank > 1 else 1, padding: str = "valid",
        data_format: str | None = None, dilation_rate: Any = strides if rank > 1 else 1, activation: Any = "tanh",
        recurrent_activation: Any = "hard_sigmoid", use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros", unit_forget_bias: bool = True,
        kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None, return_sequences: bool = False,
        return_state: bool = False, go_backwards: bool = False, stateful: bool = False, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, **kwargs: Any,
    ) -> None:  # fmt: skip
        self._setup(locals())

    return type(name, (_ConvLSTM,), {"__init__": __init__, "__doc__": doc, "__module__": __name__, "_rank": rank})


ConvLSTM1D = _conv_lstm("ConvLSTM1D", 1, "Convolutional LSTM over sequences of rows.")
ConvLSTM2D = _conv_lstm("ConvLSTM2D", 2, "Convolutional LSTM over sequences of images.")
ConvLSTM3D = _conv_lstm("ConvLSTM3D", 3, "Convolutional LSTM over sequences of volumes.")
