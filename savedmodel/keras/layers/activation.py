"""Activations that are layers of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from savedmodel.keras import activations
from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.settings import describe, dims, keep
from tracer.public import tf
from tracer.shapes import TensorShape


def _floatx(value: Any) -> Any:
    from savedmodel.keras import backend

    return np.asarray(value, dtype=backend.floatx())


class _Elementwise(Layer):
    """Layers whose output has the shape of the input."""

    _settings = ""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, self._settings)}


class ReLU(_Elementwise):
    """Rectified linear unit with bounds and slope."""

    _settings = "max_value negative_slope threshold"

    def __init__(self, max_value: Any = None, negative_slope: Any = 0.0, threshold: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        if max_value is not None and max_value < 0.0:
            raise ValueError(f"max_value of a ReLU layer cannot be a negative value. Received: {max_value}")
        if negative_slope is None or negative_slope < 0.0:
            raise ValueError(f"negative_slope of a ReLU layer cannot be a negative value. Received: {negative_slope}")
        if threshold is None or threshold < 0.0:
            raise ValueError(f"threshold of a ReLU layer cannot be a negative value. Received: {threshold}")
        self.max_value = None if max_value is None else _floatx(max_value)
        self.negative_slope = _floatx(negative_slope)
        self.threshold = _floatx(threshold)

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, alpha=self.negative_slope, max_value=self.max_value, threshold=self.threshold)


class LeakyReLU(_Elementwise):
    """x, and alpha·x below zero."""

    def __init__(self, alpha: Any = 0.3, **kwargs: Any):
        super().__init__(**kwargs)
        if alpha is None:
            raise ValueError(
                f"The alpha value of a Leaky ReLU layer cannot be None, Expecting a float. Received: {alpha}"
            )
        self.alpha = _floatx(alpha)

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, alpha=self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": float(self.alpha)}


class ELU(_Elementwise):
    """x, and alpha·(exp(x) - 1) below zero."""

    def __init__(self, alpha: Any = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        if alpha is None:
            raise ValueError(f"Alpha of an ELU layer cannot be None, expecting a float. Received: {alpha}")
        self.alpha = _floatx(alpha)

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": float(self.alpha)}


class ThresholdedReLU(_Elementwise):
    """x above theta, else zero."""

    def __init__(self, theta: Any = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        if theta is None:
            raise ValueError(f"Theta of a Thresholded ReLU layer cannot be None, expecting a float. Received: {theta}")
        if theta < 0:
            raise ValueError(f"The theta value of a Thresholded ReLU layer should be >=0. Received: {theta}")
        self.theta = _floatx(theta)

    def call(self, inputs: Any) -> Any:
        dtype = self.compute_dtype
        return inputs * tf.cast(tf.greater(inputs, tf.cast(self.theta, dtype)), dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "theta": float(self.theta)}


class PReLU(_Elementwise):
    """x, and learnt alpha·x below zero; alpha has the input's shape, but size 1 on `shared_axes`."""

    _settings = "alpha_initializer alpha_regularizer alpha_constraint shared_axes"

    def __init__(
        self, alpha_initializer: Any = "zeros", alpha_regularizer: Any = None, alpha_constraint: Any = None, shared_axes: Any = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**kwargs)
        keep(self, locals(), "alpha_initializer alpha_regularizer alpha_constraint")
        if shared_axes is None:
            self.shared_axes = None
        else:
            self.shared_axes = list(shared_axes) if isinstance(shared_axes, (list, tuple)) else [shared_axes]

    def build(self, input_shape: Any) -> None:
        shape = dims(input_shape)
        parameters = list(shape[1:])
        for axis in self.shared_axes or ():
            parameters[axis - 1] = 1
        self.alpha = self.add_weight(
            shape=parameters, name="alpha", initializer=self.alpha_initializer, regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )  # fmt: skip
        axes = {i: shape[i] for i in range(1, len(shape)) if i not in self.shared_axes} if self.shared_axes else {}
        self.input_spec = InputSpec(ndim=len(shape), axes=axes)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs) + -self.alpha * activations.relu(-inputs)


class Softmax(_Elementwise):
    """Softmax along `axis`; masked positions (False) get no share."""

    _settings = "axis"

    def __init__(self, axis: Any = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, mask: Any = None) -> Any:
        if mask is not None:
            smallest = inputs.dtype.min if inputs.dtype.name == "float16" else -1e9
            inputs += (1.0 - tf.cast(mask, inputs.dtype)) * smallest
        if isinstance(self.axis, (tuple, list)):
            if len(self.axis) > 1:
                return tf.exp(inputs - tf.reduce_logsumexp(inputs, axis=self.axis, keepdims=True))
            return activations.softmax(inputs, axis=self.axis[0])
        return activations.softmax(inputs, axis=self.axis)
