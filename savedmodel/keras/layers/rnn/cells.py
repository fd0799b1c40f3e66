"""Cells: one step of a recurrent layer. SimpleRNNCell, GRUCell, LSTMCell, StackedRNNCells, and the base for cells of users."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from savedmodel.keras.engine.base_layer import BaseRandomLayer, Layer
from savedmodel.keras.layers.regularization import smart_cond, training_value
from savedmodel.keras.layers.rnn.loop import has_argument, is_multiple_state, zero_state_of
from savedmodel.keras.layers.settings import describe, keep
from tracer import dispatch, nest
from tracer.public import tf
from tracer.shapes import TensorShape

__all__ = ["AbstractRNNCell", "DropoutRNNCellMixin", "GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells", "gate_bias"]


class _EagerKey:
    """Stands for eager execution among the graphs that masks belong to."""


_EAGER = _EagerKey()


class _MaskCache:
    """Dropout masks by graph: a mask is drawn once for all steps, in the outermost graph that asks for it."""

    def __init__(self) -> None:
        self._masks: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    def clear(self) -> None:
        self._masks.clear()

    def get(self, make: Any) -> Any:
        graph = dispatch.current_graph()
        key = graph if graph is not None else _EAGER
        at = key
        while at is not None:
            if at in self._masks:
                return self._masks[at]
            at = getattr(at, "outer", None)
        self._masks[key] = mask = make()
        return mask

    def __deepcopy__(self, memo: Any) -> _MaskCache:
        return _MaskCache()


class DropoutRNNCellMixin:
    """Dropout masks of cells with `dropout` and `recurrent_dropout`; the same mask for every step until it is reset."""

    def _caches(self) -> tuple[_MaskCache, _MaskCache]:
        found = self.__dict__.get("_mask_caches")
        if found is None:
            found = self.__dict__["_mask_caches"] = (_MaskCache(), _MaskCache())
        return found

    def reset_dropout_mask(self) -> None:
        """Draw a new mask at the next call."""
        self._caches()[0].clear()

    def reset_recurrent_dropout_mask(self) -> None:
        """Draw a new mask of states at the next call."""
        self._caches()[1].clear()

    def _masks_for(self: Any, like: Any, rate: float, training: Any, count: int) -> Any:
        ones = tf.ones_like(like)

        def mask() -> Any:
            return smart_cond(training_value(training), lambda: self._random_generator.dropout(ones, rate), lambda: ones)

        return [mask() for _ in range(count)] if count > 1 else mask()

    def get_dropout_mask_for_cell(self: Any, inputs: Any, training: Any, count: int = 1) -> Any:
        """`count` masks for inputs, or None without dropout."""
        if self.dropout == 0:
            return None
        return self._caches()[0].get(lambda: self._masks_for(inputs, self.dropout, training, count))

    def get_recurrent_dropout_mask_for_cell(self: Any, inputs: Any, training: Any, count: int = 1) -> Any:
        """`count` masks for states, or None without recurrent dropout."""
        if self.recurrent_dropout == 0:
            return None
        return self._caches()[1].get(lambda: self._masks_for(inputs, self.recurrent_dropout, training, count))


class AbstractRNNCell(Layer):
    """Base of cells that users write: `call(inputs, states)`, `state_size`, `output_size`."""

    def call(self, inputs: Any, states: Any) -> Any:  # type: ignore[override]
        raise NotImplementedError(f"{type(self).__name__}.call(inputs, states) -> (outputs, new states): define it in the cell")

    @property
    def state_size(self) -> Any:
        """Size, or structure of sizes, of the states."""
        raise NotImplementedError(f"{type(self).__name__}.state_size: define it in the cell")

    @property
    def output_size(self) -> Any:
        """Size of the outputs."""
        raise NotImplementedError(f"{type(self).__name__}.output_size: define it in the cell")

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """Zeros."""
        return zero_state_of(self, inputs, batch_size, dtype)


_WEIGHTS = (
    "kernel_initializer recurrent_initializer bias_initializer kernel_regularizer recurrent_regularizer bias_regularizer "
    "kernel_constraint recurrent_constraint bias_constraint"
)


def _within_one(rate: float) -> float:
    return min(1.0, max(0.0, rate))


def _dot(x: Any, kernel: Any) -> Any:
    return tf.matmul(x, kernel)


def gate_bias(initializer: Any, size: int) -> Any:
    """An initializer of four gates' biases, the second (the forget gate's) being one."""
    from savedmodel.keras import initializers

    def four_gates(_: Any, *args: Any, **kwargs: Any) -> Any:
        parts = [initializer((size,), *args, **kwargs), initializers.Ones()((size,), *args, **kwargs)]
        return tf.concat([*parts, initializer((size * 2,), *args, **kwargs)], -1)

    return four_gates


class _Cell(DropoutRNNCellMixin, BaseRandomLayer):
    """What the three built-in cells share."""

    _gates = 1
    _settings = ""

    def _setup(self, given: Mapping[str, Any]) -> None:
        units = given["units"]
        if units <= 0:
            raise ValueError(f"Received an invalid value for argument `units`, expected a positive integer, got {units}.")
        kwargs = dict(given["kwargs"])
        implementation = kwargs.pop("implementation", 2)
        self_caching = kwargs.pop("enable_caching_device", True)
        super().__init__(**kwargs)
        self._enable_caching_device = self_caching
        keep(self, given, f"units use_bias {_WEIGHTS} {self._settings}")
        self.dropout = _within_one(given["dropout"])
        self.recurrent_dropout = _within_one(given["recurrent_dropout"])
        # Separate products are needed where each gate has its own mask of states.
        self.implementation = 1 if self.recurrent_dropout != 0 and implementation != 1 else implementation
        self.output_size = units

    def _weight(self, kind: str, name: str, shape: Sequence[int], initializer: Any = None) -> Any:
        return self.add_weight(
            shape=shape, name=name, initializer=initializer or getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"), constraint=getattr(self, f"{kind}_constraint"),
        )  # fmt: skip

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.units * self._gates,)

    def _bias_start(self) -> Any:
        return self.bias_initializer

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        size = TensorShape(input_shape)[-1]
        self.kernel = self._weight("kernel", "kernel", (size, self.units * self._gates))
        self.recurrent_kernel = self._weight("recurrent", "recurrent_kernel", (self.units, self.units * self._gates))
        self.bias = self._weight("bias", "bias", self._bias_shape(), self._bias_start()) if self.use_bias else None
        self.built = True

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """Zeros."""
        return zero_state_of(self, inputs, batch_size, dtype)

    def _caching_config(self) -> dict[str, Any]:
        return {} if self._enable_caching_device is True else {"enable_caching_device": self._enable_caching_device}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, self._config_names), **self._caching_config()}

    _config_names = ""


class SimpleRNNCell(_Cell):
    """activation(inputs · kernel + state · recurrent_kernel + bias)."""

    _settings = "activation"
    _config_names = f"units activation use_bias {_WEIGHTS} dropout recurrent_dropout"

    def __init__(
        self, units: int, activation: Any = "tanh", use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None, bias_regularizer: Any = None, kernel_constraint: Any = None, recurrent_constraint: Any = None,
        bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0, **kwargs: Any,
    ):  # fmt: skip
        self._setup(locals())
        self.state_size = self.units

    def call(self, inputs: Any, states: Any, training: Any = None) -> Any:  # type: ignore[override]
        previous = states[0] if nest.is_nested(states) else states
        mask = self.get_dropout_mask_for_cell(inputs, training)
        state_mask = self.get_recurrent_dropout_mask_for_cell(previous, training)
        h = _dot(inputs if mask is None else inputs * mask, self.kernel)
        if self.bias is not None:
            h = tf.nn.bias_add(h, self.bias)
        if state_mask is not None:
            previous = previous * state_mask
        output = h + _dot(previous, self.recurrent_kernel)
        if self.activation is not None:
            output = self.activation(output)
        return output, [output] if nest.is_nested(states) else output


class GRUCell(_Cell):
    """Gated recurrent unit (Cho et al. 2014); `reset_after` applies the reset gate after the matrix product."""

    _gates = 3
    _settings = "activation recurrent_activation reset_after"
    _config_names = f"units activation recurrent_activation use_bias {_WEIGHTS} dropout recurrent_dropout implementation reset_after"

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None, kernel_constraint: Any = None,
        recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        reset_after: bool = True, **kwargs: Any,
    ):  # fmt: skip
        self._setup(locals())
        self.state_size = self.units

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def call(self, inputs: Any, states: Any, training: Any = None) -> Any:  # type: ignore[override]
        state = states[0] if nest.is_nested(states) else states
        masks = self.get_dropout_mask_for_cell(inputs, training, count=3)
        state_masks = self.get_recurrent_dropout_mask_for_cell(state, training, count=3)
        input_bias = recurrent_bias = None
        if self.use_bias:
            input_bias, recurrent_bias = tf.unstack(self.bias) if self.reset_after else (self.bias, None)
        gates = self._separate if self.implementation == 1 else self._joint
        z, candidate = gates(inputs, state, masks, state_masks, input_bias, recurrent_bias)
        h = z * state + (1 - z) * candidate
        return h, [h] if nest.is_nested(states) else h

    def _separate(self, inputs: Any, state: Any, masks: Any, state_masks: Any, input_bias: Any, recurrent_bias: Any) -> tuple[Any, Any]:
        """A product for each gate."""
        units = self.units
        parts = [slice(0, units), slice(units, units * 2), slice(units * 2, None)]
        masked = 0.0 < self.dropout < 1.0
        x = [_dot(inputs * masks[i] if masked else inputs, self.kernel[:, part]) for i, part in enumerate(parts)]
        if self.use_bias:
            x = [tf.nn.bias_add(v, input_bias[part]) for v, part in zip(x, parts, strict=True)]
        states = [state * m for m in state_masks] if 0.0 < self.recurrent_dropout < 1.0 else [state] * 3
        after = self.reset_after and self.use_bias

        def recurrent(i: int, value: Any) -> Any:
            out = _dot(value, self.recurrent_kernel[:, parts[i]])
            return tf.nn.bias_add(out, recurrent_bias[parts[i]]) if after else out

        z = self.recurrent_activation(x[0] + recurrent(0, states[0]))
        r = self.recurrent_activation(x[1] + recurrent(1, states[1]))
        h = r * recurrent(2, states[2]) if self.reset_after else recurrent(2, r * states[2])
        return z, self.activation(x[2] + h)

    def _joint(self, inputs: Any, state: Any, masks: Any, state_masks: Any, input_bias: Any, recurrent_bias: Any) -> tuple[Any, Any]:
        """One product for all gates."""
        if 0.0 < self.dropout < 1.0:
            inputs = inputs * masks[0]
        x = _dot(inputs, self.kernel)
        if self.use_bias:
            x = tf.nn.bias_add(x, input_bias)
        x_z, x_r, x_h = tf.split(x, 3, axis=-1)
        if self.reset_after:
            inner = _dot(state, self.recurrent_kernel)
            if self.use_bias:
                inner = tf.nn.bias_add(inner, recurrent_bias)
        else:
            inner = _dot(state, self.recurrent_kernel[:, : 2 * self.units])
        r_z, r_r, r_h = tf.split(inner, [self.units, self.units, -1], axis=-1)
        z = self.recurrent_activation(x_z + r_z)
        r = self.recurrent_activation(x_r + r_r)
        h = r * r_h if self.reset_after else _dot(r * state, self.recurrent_kernel[:, 2 * self.units :])
        return z, self.activation(x_h + h)


class LSTMCell(_Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997); gates i, f, c, o."""

    _gates = 4
    _settings = "activation recurrent_activation unit_forget_bias"
    _config_names = (
        "units activation recurrent_activation use_bias kernel_initializer recurrent_initializer bias_initializer unit_forget_bias "
        "kernel_regularizer recurrent_regularizer bias_regularizer kernel_constraint recurrent_constraint bias_constraint dropout "
        "recurrent_dropout implementation"
    )

    def __init__(
        self, units: int, activation: Any = "tanh", recurrent_activation: Any = "sigmoid", use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", recurrent_initializer: Any = "orthogonal", bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True, kernel_regularizer: Any = None, recurrent_regularizer: Any = None, bias_regularizer: Any = None,
        kernel_constraint: Any = None, recurrent_constraint: Any = None, bias_constraint: Any = None, dropout: float = 0.0,
        recurrent_dropout: float = 0.0, **kwargs: Any,
    ):  # fmt: skip
        self._setup(locals())
        self.state_size = [self.units, self.units]

    def _bias_start(self) -> Any:
        return gate_bias(self.bias_initializer, self.units) if self.unit_forget_bias else self.bias_initializer

    def call(self, inputs: Any, states: Any, training: Any = None) -> Any:  # type: ignore[override]
        state, carry = states[0], states[1]
        masks = self.get_dropout_mask_for_cell(inputs, training, count=4)
        state_masks = self.get_recurrent_dropout_mask_for_cell(state, training, count=4)
        if self.implementation == 1:
            x = self._inputs_of_gates(inputs, masks)
            hidden = [state * m for m in state_masks] if 0.0 < self.recurrent_dropout < 1.0 else [state] * 4
            units = self.units
            gates = [
                v + _dot(h, self.recurrent_kernel[:, units * i : units * (i + 1)])
                for i, (v, h) in enumerate(zip(x, hidden, strict=True))
            ]
        else:
            if 0.0 < self.dropout < 1.0:
                inputs = inputs * masks[0]
            z = _dot(inputs, self.kernel)
            z += _dot(state, self.recurrent_kernel)
            if self.use_bias:
                z = tf.nn.bias_add(z, self.bias)
            gates = tf.split(z, num_or_size_splits=4, axis=1)
        i = self.recurrent_activation(gates[0])
        f = self.recurrent_activation(gates[1])
        c = f * carry + i * self.activation(gates[2])
        o = self.recurrent_activation(gates[3])
        h = o * self.activation(c)
        return h, [h, c]

    def _inputs_of_gates(self, inputs: Any, masks: Any) -> list[Any]:
        kernels = tf.split(self.kernel, num_or_size_splits=4, axis=1)
        masked = 0.0 < self.dropout < 1.0
        x = [_dot(inputs * masks[i] if masked else inputs, kernel) for i, kernel in enumerate(kernels)]
        if not self.use_bias:
            return x
        return [tf.nn.bias_add(v, b) for v, b in zip(x, tf.split(self.bias, num_or_size_splits=4, axis=0), strict=True)]

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        return list(super().get_initial_state(inputs, batch_size, dtype))


class StackedRNNCells(Layer):
    """Cells one on top of the other, as one cell."""

    def __init__(self, cells: Sequence[Any], **kwargs: Any):
        for cell in cells:
            if "call" not in dir(cell):
                raise ValueError(f"All cells must have a `call` method. Received cell without a `call` method: {cell}")
            if "state_size" not in dir(cell):
                raise ValueError(f"All cells must have a `state_size` attribute. Received cell without a `state_size`: {cell}")
        reverse = kwargs.pop("reverse_state_order", False)
        super().__init__(**kwargs)
        self.cells = cells
        self.reverse_state_order = reverse

    def _ordered(self) -> list[Any]:
        return list(self.cells)[::-1] if self.reverse_state_order else list(self.cells)

    @property
    def state_size(self) -> Any:
        """The sizes of each cell's states."""
        return tuple(_plain_list(cell.state_size) for cell in self._ordered())

    @property
    def output_size(self) -> Any:
        """The output size of the last cell."""
        return _output_size(self.cells[-1])

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        """The initial states of each cell."""
        states = []
        for cell in self._ordered():
            make = getattr(cell, "get_initial_state", None)
            if make:
                states.append(make(inputs=inputs, batch_size=batch_size, dtype=dtype))
            else:
                states.append(zero_state_of(cell, inputs, batch_size, dtype))
        return tuple(states)

    def call(self, inputs: Any, states: Any, constants: Any = None, training: Any = None, **kwargs: Any) -> Any:  # type: ignore[override]
        state_size = self.state_size[::-1] if self.reverse_state_order else self.state_size
        nested = nest.pack_sequence_as(state_size, nest.flatten(states))
        new_states = []
        for cell, own in zip(self.cells, nested, strict=True):
            own = own if nest.is_nested(own) else [own]
            extra = dict(kwargs)
            if has_argument(cell.call, "training"):
                extra["training"] = training
            if has_argument(cell.call, "constants"):
                extra["constants"] = constants
            inputs, own = (cell if callable(cell) else cell.call)(inputs, own, **extra)
            new_states.append(own)
        return inputs, nest.pack_sequence_as(state_size, nest.flatten(new_states))

    def build(self, input_shape: Any) -> None:
        shape: Any = input_shape[0] if isinstance(input_shape, list) else input_shape
        batch = TensorShape(shape)[0]
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                with dispatch.name_scope(cell.name):
                    cell.build(shape)
                    cell.built = True
            size = _output_size(cell)
            if nest.is_nested(size) and not isinstance(size, TensorShape):
                shape = tuple(nest.map_structure(lambda s: TensorShape([batch, *TensorShape(s).as_list()]), size))
            else:
                shape = TensorShape([batch, *TensorShape(size).as_list()])
        self.built = True

    def get_config(self) -> dict[str, Any]:
        from savedmodel.keras.saving import serialization

        return {**super().get_config(), "cells": [serialization.serialize_keras_object(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """A stack of the cells of a config."""
        from savedmodel.keras import layers

        config = dict(config)
        cells = [
            layers.deserialize(c, custom_objects=custom_objects, use_legacy_format="module" not in c) for c in config.pop("cells")
        ]
        return cls(cells, **config)


def _plain_list(size: Any) -> Any:
    return list(size) if isinstance(size, list) else size


def _output_size(cell: Any) -> Any:
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    return cell.state_size[0] if is_multiple_state(cell.state_size) else cell.state_size
