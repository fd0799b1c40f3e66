"""Random changes of images while training: crops, flips, contrast, brightness, sizes. Rotations and the like live in `image_transforms`.

Each layer draws from a generator with a variable state, so that a saved model goes on where it was.
"""

from __future__ import annotations

from typing import Any

from savedmodel.keras.engine.base_layer import BaseRandomLayer
from savedmodel.keras.layers.preprocessing.image_resizing import (
    HEIGHT,
    WIDTH,
    image_tensor,
    interpolation_method,
    sized,
    smart_resize,
)
from savedmodel.keras.layers.regularization import smart_cond, training_value
from tracer.public import tf
from tracer.shapes import TensorShape

__all__ = [
    "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomHeight", "RandomImageLayer", "RandomWidth", "bounds",
]  # fmt: skip


def bounds(factor: Any) -> tuple[Any, Any]:
    """The lower and upper bound that a factor (a pair, or a number for ± it) stands for."""
    return (factor[0], factor[1]) if isinstance(factor, (tuple, list)) else (-factor, factor)


class RandomImageLayer(BaseRandomLayer):
    """A layer that changes images while training and leaves them alone otherwise. Subclasses define `_change`."""

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, force_generator=True, **kwargs)

    def call(self, inputs: Any, training: Any = True) -> Any:
        inputs = image_tensor(inputs, self.compute_dtype)
        return smart_cond(training_value(training), lambda: self._change(inputs), lambda: inputs)

    def _change(self, inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._change: define it to return the changed images")

    def compute_output_shape(self, input_shape: Any) -> Any:
        return TensorShape(input_shape)


class RandomCrop(BaseRandomLayer):
    """A random height × width part of the images, one for the whole batch; resized and cut otherwise, as in CenterCrop for small images."""

    def __init__(self, height: int, width: int, seed: int | None = None, **kwargs: Any):
        super().__init__(**{**kwargs, "autocast": False, "seed": seed, "force_generator": True})
        self.height = height
        self.width = width
        self.seed = seed

    def call(self, inputs: Any, training: Any = True) -> Any:
        inputs = image_tensor(inputs, self.compute_dtype)
        shape = tf.shape(inputs)
        down, right = shape[HEIGHT] - self.height, shape[WIDTH] - self.width

        def crop() -> Any:
            drawn = self._random_generator.random_uniform([2], 0, shape.dtype.max, shape.dtype)
            top, left = drawn[0] % (down + 1), drawn[1] % (right + 1)
            return tf.image.crop_to_bounding_box(inputs, top, left, self.height, self.width)

        def resize() -> Any:
            return tf.cast(smart_resize(inputs, [self.height, self.width]), self.compute_dtype)

        return tf.cond(tf.reduce_all((tf.cast(training_value(training), "bool"), down >= 0, right >= 0)), crop, resize)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return sized(input_shape, self.height, self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width, "seed": self.seed}


class RandomFlip(RandomImageLayer):
    """Images flipped, each with a chance of one half; `mode` is "horizontal", "vertical" or "horizontal_and_vertical"."""

    def __init__(self, mode: str = "horizontal_and_vertical", seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ValueError(f"RandomFlip layer {self.name} received an unknown mode argument {mode}")
        self.mode = mode
        self.horizontal = mode != "vertical"
        self.vertical = mode != "horizontal"
        self.seed = seed

    def _change(self, inputs: Any) -> Any:
        flipped = inputs
        if self.horizontal:
            flipped = tf.image.stateless_random_flip_left_right(flipped, seed=self._random_generator.make_seed_for_stateless_op())
        if self.vertical:
            flipped = tf.image.stateless_random_flip_up_down(flipped, seed=self._random_generator.make_seed_for_stateless_op())
        flipped.set_shape(inputs.shape)
        return flipped

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode, "seed": self.seed}


class RandomContrast(RandomImageLayer):
    """Contrast changed by a factor between 1 - lower and 1 + upper, one for the whole batch; pixels are in [0, 255]."""

    def __init__(self, factor: Any, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.factor = factor
        self.lower, self.upper = (factor[0], factor[1]) if isinstance(factor, (tuple, list)) else (factor, factor)
        if self.lower < 0.0 or self.upper < 0.0 or self.lower > 1.0:
            raise ValueError(f"`factor` argument cannot have negative values or values greater than 1. Received: factor={factor}")
        self.seed = seed

    def _change(self, inputs: Any) -> Any:
        seed = self._random_generator.make_seed_for_stateless_op()
        changed = tf.image.stateless_random_contrast(inputs, 1.0 - self.lower, 1.0 + self.upper, seed=seed)
        changed = tf.clip_by_value(changed, 0, 255)
        changed.set_shape(inputs.shape)
        return changed

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "seed": self.seed}


class RandomBrightness(RandomImageLayer):
    """Brightness changed by a share `factor` of `value_range`, another one for each image.

    Raises:
        ValueError: factors outside of [-1, 1], or `value_range` is no pair.
    """

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        pair = list(factor) if isinstance(factor, (tuple, list)) else [factor]
        numeric = all(isinstance(f, (int, float)) for f in pair)
        if not numeric or (len(pair) != 2 and isinstance(factor, (tuple, list))) or any(not -1.0 <= f <= 1.0 for f in pair):
            raise ValueError(f"The `factor` argument should be a number (or a list of two numbers) in the range [-1.0, 1.0]. Got {factor}")
        self._factor = sorted(pair) if len(pair) == 2 else [-abs(factor), abs(factor)]
        if not isinstance(value_range, (tuple, list)) or len(value_range) != 2:
            raise ValueError(f"The `value_range` argument should be a list of two numbers. Got {value_range}")
        self._value_range = sorted(value_range)
        self._seed = seed

    def _change(self, inputs: Any) -> Any:
        rank = inputs.shape.rank
        if rank not in (3, 4):
            raise ValueError(f"Expected the input image to be rank 3 or 4. Got inputs.shape = {inputs.shape}")
        shape: Any = (1, 1, 1) if rank == 3 else [tf.shape(inputs)[0], 1, 1, 1]
        low, high = self._value_range
        delta = self._random_generator.random_uniform(shape=shape, minval=self._factor[0], maxval=self._factor[1]) * (high - low)
        return tf.clip_by_value(inputs + tf.cast(delta, inputs.dtype), low, high)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self._factor, "value_range": self._value_range, "seed": self._seed}


class _RandomSize(RandomImageLayer):
    """Images stretched along one axis by a random factor, one for the whole batch."""

    _axis = HEIGHT
    _side = "height"

    def __init__(self, factor: Any, interpolation: str = "bilinear", seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.factor = factor
        lower, upper = bounds(factor)
        setattr(self, f"{self._side}_lower", lower)
        setattr(self, f"{self._side}_upper", upper)
        if upper < lower:
            raise ValueError(f"`factor` argument cannot have an upper bound lesser than the lower bound. Received: factor={factor}")
        if lower < -1.0 or upper < -1.0:
            raise ValueError(f"`factor` argument must have values larger than -1. Received: factor={factor}")
        self.interpolation = interpolation
        self._interpolation_method = interpolation_method(interpolation)
        self.seed = seed

    def call(self, inputs: Any, training: Any = True) -> Any:
        inputs = image_tensor(inputs)
        return smart_cond(training_value(training), lambda: self._change(inputs), lambda: inputs)

    def _change(self, inputs: Any) -> Any:
        shape = tf.shape(inputs)
        lower, upper = bounds(self.factor)
        side = tf.cast(shape[self._axis], "float32")
        new = tf.cast(self._random_generator.random_uniform(shape=[], minval=1.0 + lower, maxval=1.0 + upper) * side, "int32")
        size = tf.stack([new, shape[WIDTH]] if self._axis == HEIGHT else [shape[HEIGHT], new])
        changed = tf.cast(tf.image.resize(images=inputs, size=size, method=self._interpolation_method), self.compute_dtype)
        changed.set_shape(self.compute_output_shape(inputs.shape))
        return changed

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        dims[self._axis] = None
        return TensorShape(dims)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, "interpolation": self.interpolation, "seed": self.seed}


class RandomHeight(_RandomSize):
    """Images whose height changes by a random factor."""


class RandomWidth(_RandomSize):
    """Images whose width changes by a random factor."""

    _axis = WIDTH
    _side = "width"
