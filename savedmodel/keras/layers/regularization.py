"""Layers that act while training alone: dropouts, noise, and penalties on activities."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

from savedmodel.keras import regularizers
from savedmodel.keras.engine.base_layer import BaseRandomLayer, Layer
from savedmodel.keras.engine.input_spec import InputSpec
from tracer import dispatch
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import Tensor

__all__ = [
    "ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D",
    "SpatialDropout3D", "smart_cond",
]  # fmt: skip


def smart_cond(condition: Any, when_true: Callable[[], Any], when_false: Callable[[], Any]) -> Any:
    """One of two functions: at once where the condition is known, with `tf.cond` where it is symbolic."""
    if isinstance(condition, Tensor) and not hasattr(condition, "_value"):
        return tf.cond(tf.cast(condition, "bool"), when_true, when_false)
    if hasattr(condition, "_is_variable"):
        condition = condition.numpy() if dispatch.executing_eagerly() else condition.value()
        if not dispatch.executing_eagerly():
            return tf.cond(tf.cast(condition, "bool"), when_true, when_false)
    return when_true() if bool(condition) else when_false()


def training_value(training: Any) -> Any:
    """`training`, or the learning phase where it is None."""
    from savedmodel.keras import backend

    return backend.learning_phase() if training is None else training


class Dropout(BaseRandomLayer):
    """A share `rate` of the inputs becomes zero while training; the others grow to keep the sum. `noise_shape` shares the choice."""

    def __init__(self, rate: Any, noise_shape: Any = None, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        if isinstance(rate, (int, float)) and not 0 <= rate <= 1:
            raise ValueError(f"Invalid value {rate} received for `rate`, expected a value between 0 and 1.")
        self.rate = rate
        self.noise_shape = noise_shape
        self.seed = seed
        self.supports_masking = True

    def _get_noise_shape(self, inputs: Any) -> Any:
        if self.noise_shape is None:
            return None
        shape = tf.shape(inputs)
        return tf.stack([shape[i] if d is None else d for i, d in enumerate(self.noise_shape)])

    def call(self, inputs: Any, training: Any = None) -> Any:
        def dropped() -> Any:
            return self._random_generator.dropout(inputs, self.rate, noise_shape=self._get_noise_shape(inputs))

        return smart_cond(training_value(training), dropped, lambda: tf.identity(inputs))

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "noise_shape": self.noise_shape, "seed": self.seed}


class SpatialDropout1D(Dropout):
    """Whole channels of sequences are dropped."""

    def __init__(self, rate: Any, **kwargs: Any):
        super().__init__(rate, **kwargs)
        self.input_spec = InputSpec(ndim=3)

    def _get_noise_shape(self, inputs: Any) -> Any:
        shape = tf.shape(inputs)
        return tf.stack([shape[0], 1, shape[2]])


class _SpatialDropout(Dropout):
    _rank = 2

    def __init__(self, rate: Any, data_format: str | None = None, **kwargs: Any):
        from savedmodel.keras import backend

        super().__init__(rate, **kwargs)
        data_format = backend.image_data_format() if data_format is None else data_format
        if data_format not in {"channels_last", "channels_first"}:
            raise ValueError(
                f'`data_format` must be "channels_last" or "channels_first". Received: data_format={data_format}.'
            )
        self.data_format = data_format
        self.input_spec = InputSpec(ndim=self._rank + 2)

    def _get_noise_shape(self, inputs: Any) -> Any:
        shape = tf.shape(inputs)
        ones = [1] * self._rank
        return tf.stack([shape[0], shape[1], *ones] if self.data_format == "channels_first" else [shape[0], *ones, shape[self._rank + 1]])


class SpatialDropout2D(_SpatialDropout):
    """Whole channels of images are dropped."""


class SpatialDropout3D(_SpatialDropout):
    """Whole channels of volumes are dropped."""

    _rank = 3


class GaussianNoise(BaseRandomLayer):
    """Normal noise is added while training."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.supports_masking = True
        self.stddev = stddev
        self.seed = seed

    def call(self, inputs: Any, training: Any = None) -> Any:
        def noised() -> Any:
            noise = self._random_generator.random_normal(shape=tf.shape(inputs), mean=0.0, stddev=self.stddev, dtype=inputs.dtype)
            return inputs + noise

        return smart_cond(training_value(training), noised, lambda: inputs)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "stddev": self.stddev, "seed": self.seed}


class GaussianDropout(BaseRandomLayer):
    """Inputs are multiplied with normal noise around one while training."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.supports_masking = True
        self.rate = rate
        self.seed = seed

    def call(self, inputs: Any, training: Any = None) -> Any:
        if not 0 < self.rate < 1:
            return inputs

        def noised() -> Any:
            deviation = (self.rate / (1.0 - self.rate)) ** 0.5
            return inputs * self._random_generator.random_normal(shape=tf.shape(inputs), mean=1.0, stddev=deviation, dtype=inputs.dtype)

        return smart_cond(training_value(training), noised, lambda: inputs)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


# The value that scaled exponential units go to for very negative inputs: -scale · alpha.
_SELU_FLOOR = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946


class AlphaDropout(BaseRandomLayer):
    """Dropout for scaled exponential units, which keeps mean and variance."""

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.rate = rate
        self.noise_shape = noise_shape
        self.seed = seed
        self.supports_masking = True

    def _get_noise_shape(self, inputs: Any) -> Any:
        return self.noise_shape if self.noise_shape else tf.shape(inputs)

    def call(self, inputs: Any, training: Any = None) -> Any:
        if not (isinstance(self.rate, numbers.Real) and 0.0 < self.rate < 1.0):
            return inputs
        shape = self._get_noise_shape(inputs)

        def dropped() -> Any:
            drawn = self._random_generator.random_uniform(shape, dtype=inputs.dtype)
            kept = tf.cast(tf.greater_equal(drawn, self.rate), inputs.dtype)
            a = ((1 - self.rate) * (1 + self.rate * _SELU_FLOOR**2)) ** -0.5
            b = -a * _SELU_FLOOR * self.rate
            return a * (inputs * kept + _SELU_FLOOR * (1 - kept)) + b

        return smart_cond(training_value(training), dropped, lambda: inputs)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


class ActivityRegularization(Layer):
    """The inputs as they are, with a penalty on them."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any):
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.supports_masking = True
        self.l1 = l1
        self.l2 = l2

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "l1": self.l1, "l2": self.l2}
