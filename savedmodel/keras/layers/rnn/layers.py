"""SimpleRNN, GRU and LSTM. With the usual activations GRU and LSTM run as one function of their weights, as Keras' fast path does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from savedmodel.keras import activations, regularizers
from savedmodel.keras.engine.base_layer import BaseRandomLayer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.rnn.base import RNN
from savedmodel.keras.layers.rnn.cells import DropoutRNNCellMixin, GRUCell, LSTMCell, SimpleRNNCell
from savedmodel.keras.layers.rnn.loop import loop
from savedmodel.keras.layers.settings import describe
from tracer import dispatch
from tracer.public import tf
from tracer.tensor import convert_to_tensor

__all__ = ["GRU", "LSTM", "SimpleRNN"]

_LOOP = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll", "time_major")
_WEIGHTS = (
    "kernel_initializer recurrent_initializer bias_initializer kernel_regularizer recurrent_regularizer bias_regularizer "
    "activity_regularizer kernel_constraint recurrent_constraint bias_constraint"
)


class _OfCell(RNN):
    """Recurrent layers whose cell's settings are their own."""

    _cell_class: Any = None
    _cell_names = ""
    _cell_attribute = ""

    def _setup(self, given: Mapping[str, Any]) -> None:
        kwargs = dict(given["kwargs"])
        implementation = kwargs.pop("implementation", 2)
        kwargs.pop("return_runtime", None)
        cell_kwargs = {"enable_caching_device": kwargs.pop("enable_caching_device")} if "enable_caching_device" in kwargs else {}
        names = [n for n in self._cell_names.split() if n not in ("activity_regularizer", "implementation")]
        if "implementation" in self._cell_names:
            cell_kwargs["implementation"] = 1 if implementation == 0 else implementation
        cell = self._cell_class(
            **{n: given[n] for n in names}, dtype=kwargs.get("dtype"), trainable=kwargs.get("trainable", True), name=self._cell_attribute,
            **cell_kwargs,
        )  # fmt: skip
        super().__init__(cell, **{n: given[n] for n in _LOOP}, **kwargs)
        self.activity_regularizer = regularizers.get(given["activity_regularizer"])
        self.input_spec = [InputSpec(ndim=3)]

    def __getattr__(self, name: str) -> Any:
        """Settings of the cell, as the layer's."""
        if name in type(self)._cell_names.split() and "cell" in self.__dict__:
            return getattr(self.__dict__["cell"], name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("cell")
        return {**config, **describe(self, self._cell_names), **self.cell._caching_config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:  # type: ignore[override]
        """A layer with the arguments in `config`."""
        config = dict(config)
        if config.get("implementation") == 0:
            config["implementation"] = 1
        return cls(**config)


class SimpleRNN(_OfCell):
    """A fully connected recurrent layer."""

    _cell_class = SimpleRNNCell
    _cell_attribute = "simple_rnn_cell"
    _cell_names = f"units activation use_bias {_WEIGHTS} dropout recurrent_dropout"

    def __init__(
        self, units: int, activation: Any = "tanh", use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
        recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False, stateful: bool = False,
        unroll: bool = False, **kwargs: Any,
    ):  # fmt: skip
        time_major = kwargs.pop("time_major", False)
        self._setup(locals())

    def call(self, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None) -> Any:  # type: ignore[override]
        return super().call(inputs, mask=mask, training=training, initial_state=initial_state)


class _Gated(DropoutRNNCellMixin, _OfCell, BaseRandomLayer):
    """GRU and LSTM: the fast path and the general one."""

    _gates = 4

    def _can_run_as_function(self) -> bool:
        return (
            self.activation in (activations.tanh, tf.tanh)
            and self.recurrent_activation in (activations.sigmoid, tf.sigmoid)
            and self.recurrent_dropout == 0
            and not self.unroll
            and bool(self.use_bias)
        )

    def _function(self, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
        """The step of the fast path."""
        raise NotImplementedError(f"{type(self).__name__}._function: gated layers define their step here")

    def call(self, inputs: Any, mask: Any = None, training: Any = None, initial_state: Any = None) -> Any:  # type: ignore[override]
        inputs, lengths = self._dense(inputs, mask)
        inputs, initial_state, _ = self._process_inputs(inputs, initial_state, None)
        mask = mask[0] if isinstance(mask, list) else mask
        steps = inputs.shape[0 if self.time_major else 1]
        if not self._could_use_gpu_kernel:
            self._maybe_reset_cell_dropout_mask(self.cell)

            def step(x: Any, states: Any) -> Any:
                return self.cell(x, states, training=training)

            if self.unroll and steps is None:
                raise ValueError("Unrolling requires a fixed number of timesteps.")
            results = self._loop(step, inputs, initial_state, mask, steps if lengths is None else lengths)
            return self._finish(*results, lengths)
        self.reset_dropout_mask()
        dropout_mask = self.get_dropout_mask_for_cell(inputs, training, count=self._gates)
        if dropout_mask is not None:
            inputs = inputs * dropout_mask[0]
        cell = self.cell
        weights = [convert_to_tensor(w) for w in (cell.kernel, cell.recurrent_kernel, cell.bias)]
        run = self._run if dispatch.executing_eagerly() else self._traced_run()
        results = run(inputs, list(initial_state), *weights, mask, lengths)
        return self._finish(*results, lengths)

    def _run(self, inputs: Any, states: Any, kernel: Any, recurrent_kernel: Any, bias: Any, mask: Any, lengths: Any) -> Any:
        steps = inputs.shape[0 if self.time_major else 1]
        last, outputs, new_states = loop(
            self._function(kernel, recurrent_kernel, bias), inputs, states, go_backwards=self.go_backwards, mask=mask,
            input_length=steps if lengths is None else lengths, time_major=self.time_major,
            zero_output_for_mask=self.zero_output_for_mask, return_all_outputs=self.return_sequences,
        )  # fmt: skip
        return last, outputs, list(new_states)

    def _traced_run(self) -> Any:
        """`_run` as a function of its own in the graph."""
        found = self.__dict__.get("_traced")
        if found is None:
            name = f"standard_{type(self).__name__.lower()}"

            def run(*args: Any) -> Any:
                return self._run(*args)

            run.__name__ = run.__qualname__ = name
            found = self.__dict__["_traced"] = tf.function(run)
        return found

    def __deepcopy__(self, memo: Any) -> Any:
        traced = self.__dict__.pop("_traced", None)
        try:
            return super().__deepcopy__(memo) if hasattr(super(), "__deepcopy__") else _copied(self, memo)
        finally:
            if traced is not None:
                self.__dict__["_traced"] = traced


def _copied(layer: Any, memo: Any) -> Any:
    import copy

    out = type(layer).__new__(type(layer))
    memo[id(layer)] = out
    for key, value in layer.__dict__.items():
        out.__dict__[key] = copy.deepcopy(value, memo)
    return out


class GRU(_Gated):
    """Gated recurrent units over a sequence."""

    _gates = 3
    _cell_class = GRUCell
    _cell_attribute = "gru_cell"
    _cell_names = (
        f"units activation recurrent_activation use_bias {_WEIGHTS} dropout recurrent_dropout implementation reset_after"
    )

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, return_sequences: bool = False, return_state: bool = False, go_backwards: bool = False,
        stateful: bool = False, unroll: bool = False, time_major: bool = False, reset_after: bool = True, **kwargs: Any,
    ):  # fmt: skip
        self._setup(locals())
        self.state_spec = [InputSpec(shape=(None, units))]
        self._could_use_gpu_kernel = self._can_run_as_function() and reset_after

    def _function(self, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
        input_bias, recurrent_bias = tf.unstack(bias)

        def step(x: Any, states: Any) -> Any:
            state = states[0]
            x_z, x_r, x_h = tf.split(tf.nn.bias_add(tf.matmul(x, kernel), input_bias), 3, axis=1)
            r_z, r_r, r_h = tf.split(tf.nn.bias_add(tf.matmul(state, recurrent_kernel), recurrent_bias), 3, axis=1)
            z, r = tf.sigmoid(x_z + r_z), tf.sigmoid(x_r + r_r)
            candidate = tf.tanh(x_h + r * r_h)
            h = z * state + (1 - z) * candidate
            return h, [h]

        return step


class LSTM(_Gated):
    """Long short-term memory over a sequence."""

    _cell_class = LSTMCell
    _cell_attribute = "lstm_cell"
    _cell_names = (
        "units activation recurrent_activation use_bias kernel_initializer recurrent_initializer bias_initializer unit_forget_bias "
        "kernel_regularizer recurrent_regularizer bias_regularizer activity_regularizer kernel_constraint recurrent_constraint "
        "bias_constraint dropout recurrent_dropout implementation"
    )

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True, kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None,
        dropout: float = 0.0, recurrent_dropout: float = 0.0, return_sequences: bool = False, return_state: bool = False,
        go_backwards: bool = False, stateful: bool = False, time_major: bool = False, unroll: bool = False, **kwargs: Any,
    ):  # fmt: skip
        self._setup(locals())
        self.state_spec = [InputSpec(shape=(None, units)) for _ in range(2)]
        self._could_use_gpu_kernel = self._can_run_as_function()

    def _function(self, kernel: Any, recurrent_kernel: Any, bias: Any) -> Any:
        def step(x: Any, states: Any) -> Any:
            z = tf.matmul(x, kernel)
            z += tf.matmul(states[0], recurrent_kernel)
            z0, z1, z2, z3 = tf.split(tf.nn.bias_add(z, bias), 4, axis=1)
            c = tf.sigmoid(z1) * states[1] + tf.sigmoid(z0) * tf.tanh(z2)
            h = tf.sigmoid(z3) * tf.tanh(c)
            return h, [h, c]

        return step
