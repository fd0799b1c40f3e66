"""Normalization: features shifted and scaled by a mean and variance that are given or learned. No other statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from savedmodel.keras.layers.preprocessing.base import PreprocessingLayer
from savedmodel.keras.layers.preprocessing.encoding import listed
from tracer import dtypes
from tracer.dtypes import as_dtype
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor

__all__ = ["Normalization"]


class Normalization(PreprocessingLayer):
    """(inputs - mean) / sqrt(variance), for each position along `axis`.

    Args:
        axis: the axes to keep; None: one mean and variance for everything.
        mean, variance: values to use; without them `adapt` computes them.
        invert: inputs · sqrt(variance) + mean.

    Raises:
        ValueError: only one of mean and variance is given, or one is a Variable.
    """

    def __init__(self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        for name, value in (("mean", mean), ("variance", variance)):
            if getattr(value, "_is_variable", False):
                raise ValueError(f"Normalization does not support passing a Variable for the `{name}` init arg.")
        if (mean is not None) != (variance is not None):
            raise ValueError(
                f"When setting values directly, both `mean` and `variance` must be set. Got mean: {mean} and variance: {variance}"
            )
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if isinstance(input_shape, (list, tuple)) and input_shape and all(isinstance(s, TensorShape) for s in input_shape):
            raise ValueError(
                "Normalization only accepts a single input. If you are passing a python list or tuple as a single input, please convert to a "
                "numpy array or `tf.Tensor`."
            )
        dims = TensorShape(input_shape).as_list()
        rank = len(dims)
        if any(a < -rank or a >= rank for a in self.axis):
            raise ValueError(f"All `axis` values must be in the range [-ndim, ndim). Found ndim: `{rank}`, axis: {self.axis}")
        kept = sorted(a % rank for a in self.axis)
        for a in kept:
            if dims[a] is None:
                raise ValueError(
                    f"All `axis` values to be kept must have known shape. Got axis: {self.axis}, input shape: {dims}, with unknown axis at index: {a}"
                )
        self._keep_axis = kept
        self._reduce_axis = [a for a in range(rank) if a not in kept]
        self._reduce_axis_mask = [0 if a in kept else 1 for a in range(rank)]
        self._broadcast_shape = [dims[a] if a in kept else 1 for a in range(rank)]
        shape = tuple(dims[a] for a in kept)
        if self.input_mean is None:
            settings = {"dtype": self.compute_dtype, "trainable": False}
            self.adapt_mean = self.add_weight("mean", shape=shape, initializer="zeros", **settings)
            self.adapt_variance = self.add_weight("variance", shape=shape, initializer="ones", **settings)
            self.count = self.add_weight("count", shape=(), dtype=dtypes.int64, initializer="zeros", trainable=False)
            self.finalize_state()
        else:
            self._set_constants(self.input_mean * np.ones(shape), self.input_variance * np.ones(shape))

    def _set_constants(self, mean: Any, variance: Any) -> None:
        # Kept out of attribute tracking: "mean" and "variance" stay the names of the variables.
        for name, value in (("mean", mean), ("variance", variance)):
            self.__dict__[name] = tf.cast(tf.reshape(convert_to_tensor(value), list(self._broadcast_shape)), self.compute_dtype)

    def update_state(self, data: Any) -> None:
        if self.input_mean is not None:
            raise ValueError(
                f"Cannot `adapt` a Normalization layer that is initialized with static `mean` and `variance`, you passed mean "
                f"{self.input_mean} and variance {self.input_variance}."
            )
        if not self.built:
            raise RuntimeError("`build` must be called before `update_state`.")
        data = tf.cast(self._as_input(data), self.adapt_mean.dtype)
        mean, variance = tf.nn.moments(data, axes=list(self._reduce_axis))
        shape = tf.shape(data, out_type=self.count.dtype)
        rows: Any = tf.reduce_prod(tf.gather(shape, list(self._reduce_axis))) if self._reduce_axis else 1
        total = rows + self.count
        share = tf.cast(rows, self.compute_dtype) / tf.cast(total, self.compute_dtype)
        rest = 1.0 - share
        new_mean = self.adapt_mean * rest + mean * share
        new_variance = (self.adapt_variance + (self.adapt_mean - new_mean) ** 2) * rest + (variance + (mean - new_mean) ** 2) * share
        self.adapt_mean.assign(new_mean)
        self.adapt_variance.assign(new_variance)
        self.count.assign(total)

    def reset_state(self) -> None:
        if self.input_mean is not None or not self.built:
            return
        self.adapt_mean.assign(tf.zeros_like(self.adapt_mean))
        self.adapt_variance.assign(tf.ones_like(self.adapt_variance))
        self.count.assign(tf.zeros_like(self.count))
        self.__dict__["_is_adapted"] = False

    def finalize_state(self) -> None:
        if self.input_mean is None and self.built:
            self._set_constants(self.adapt_mean.read_value(), self.adapt_variance.read_value())

    def call(self, inputs: Any) -> Any:
        from savedmodel.keras import backend

        inputs = self._as_input(inputs)
        scale = tf.maximum(tf.sqrt(self.variance), backend.epsilon())
        return self.mean + inputs * scale if self.invert else (inputs - self.mean) / scale

    def _as_input(self, inputs: Any) -> Any:
        inputs = convert_to_tensor(inputs)
        return inputs if inputs.dtype == as_dtype(self.compute_dtype) else tf.cast(inputs, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return TensorShape(input_shape)

    def compute_output_signature(self, input_spec: Any) -> Any:
        return input_spec

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "axis": self.axis, "invert": self.invert, "mean": listed(self.input_mean),
            "variance": listed(self.input_variance),
        }  # fmt: skip

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self.finalize_state()
