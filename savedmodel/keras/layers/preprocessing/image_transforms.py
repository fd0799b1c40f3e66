"""Random translations, rotations and zooms of images while training: projective transforms, each image with its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from savedmodel.keras.layers.preprocessing.image_augmentation import RandomImageLayer, bounds
from savedmodel.keras.layers.preprocessing.image_resizing import HEIGHT, WIDTH
from tracer import dispatch
from tracer.dispatch import raw
from tracer.public import tf
from tracer.tensor import convert_to_tensor

__all__ = ["RandomRotation", "RandomTranslation", "RandomZoom"]


class _RandomTransform(RandomImageLayer):
    """A layer that draws a transform for each image. Subclasses define `_transforms`."""

    def _set_filling(self, fill_mode: str, interpolation: str, fill_value: float, seed: int | None) -> None:
        if fill_mode not in {"reflect", "wrap", "constant", "nearest"}:
            raise NotImplementedError(
                f"Unknown `fill_mode` {fill_mode}. Only `reflect`, `wrap`, `constant` and `nearest` are supported."
            )
        if interpolation not in {"nearest", "bilinear"}:
            raise NotImplementedError(f"Unknown `interpolation` {interpolation}. Only `nearest` and `bilinear` are supported.")
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.interpolation = interpolation
        self.seed = seed

    def _change(self, inputs: Any) -> Any:
        single = inputs.shape.rank == 3
        images = tf.expand_dims(inputs, 0) if single else inputs
        shape = tf.shape(images)
        height, width = tf.cast(shape[HEIGHT], "float32"), tf.cast(shape[WIDTH], "float32")
        transforms = self._transforms(shape[0], height, width)
        changed = raw.ImageProjectiveTransformV3(
            images=images, output_shape=shape[1:3], fill_value=convert_to_tensor(self.fill_value, "float32"), transforms=transforms,
            fill_mode=self.fill_mode.upper(), interpolation=self.interpolation.upper(),
        )  # fmt: skip
        if single:
            changed = tf.squeeze(changed, 0)
        changed.set_shape(inputs.shape)
        return changed

    def _transforms(self, batch: Any, height: Any, width: Any) -> Any:
        """Transforms [batch, 8] that map output points to input points."""
        raise NotImplementedError(f"{type(self).__name__}._transforms: define it to return transforms of shape [batch, 8]")

    def _draw(self, batch: Any, lower: Any, upper: Any) -> Any:
        return self._random_generator.random_uniform(shape=[batch, 1], minval=lower, maxval=upper, dtype="float32")

    def _filling_config(self) -> dict[str, Any]:
        return {"fill_mode": self.fill_mode, "fill_value": self.fill_value, "interpolation": self.interpolation, "seed": self.seed}


class RandomTranslation(_RandomTransform):
    """Images shifted by random shares of their height and width."""

    def __init__(
        self, height_factor: Any, width_factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: int | None = None,
        fill_value: float = 0.0, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed=seed, **kwargs)
        self.height_factor = height_factor
        self.width_factor = width_factor
        self.height_lower, self.height_upper = bounds(height_factor)
        self.width_lower, self.width_upper = bounds(width_factor)
        for name, factor in (("height_factor", height_factor), ("width_factor", width_factor)):
            lower, upper = bounds(factor)
            if upper < lower:
                raise ValueError(f"`{name}` cannot have upper bound less than lower bound, got {factor}")
            if abs(lower) > 1.0 or abs(upper) > 1.0:
                raise ValueError(f"`{name}` argument must have values between [-1, 1]. Received: {name}={factor}")
        self._set_filling(fill_mode, interpolation, fill_value, seed)

    def _transforms(self, batch: Any, height: Any, width: Any) -> Any:
        down = self._draw(batch, self.height_lower, self.height_upper) * height
        right = self._draw(batch, self.width_lower, self.width_upper) * width
        with dispatch.name_scope("translation_matrix"):
            one, zero = tf.ones((batch, 1), "float32"), tf.zeros((batch, 1), "float32")
            return tf.concat([one, zero, -right, zero, one, -down, tf.zeros((batch, 2), "float32")], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height_factor": self.height_factor, "width_factor": self.width_factor, **self._filling_config()}


class RandomRotation(_RandomTransform):
    """Images turned by a random share `factor` of a full circle; positive is counter-clockwise."""

    def __init__(
        self, factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: int | None = None, fill_value: float = 0.0,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed=seed, **kwargs)
        self.factor = factor
        self.lower, self.upper = bounds(factor)
        if self.upper < self.lower:
            raise ValueError(f"`factor` argument cannot have a negative value. Received: factor={factor}")
        self._set_filling(fill_mode, interpolation, fill_value, seed)

    def _transforms(self, batch: Any, height: Any, width: Any) -> Any:
        angles = self._random_generator.random_uniform(shape=[batch], minval=self.lower * 2.0 * np.pi, maxval=self.upper * 2.0 * np.pi)
        with dispatch.name_scope("rotation_matrix"):
            sin, cos = tf.sin(angles), tf.cos(angles)
            x = ((width - 1) - (cos * (width - 1) - sin * (height - 1))) / 2.0
            y = ((height - 1) - (sin * (width - 1) + cos * (height - 1))) / 2.0
            rows = [t[:, None] for t in (cos, -sin, x, sin, cos, y)]
            return tf.concat([*rows, tf.zeros((tf.shape(angles)[0], 2), "float32")], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor, **self._filling_config()}


class RandomZoom(_RandomTransform):
    """Images zoomed by random factors; without `width_factor` both axes have the same."""

    def __init__(
        self, height_factor: Any, width_factor: Any = None, fill_mode: str = "reflect", interpolation: str = "bilinear",
        seed: int | None = None, fill_value: float = 0.0, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed=seed, **kwargs)
        self.height_factor = height_factor
        self.width_factor = width_factor
        self.height_lower, self.height_upper = bounds(height_factor)
        if abs(self.height_lower) > 1.0 or abs(self.height_upper) > 1.0:
            raise ValueError(f"`height_factor` argument must have values between [-1, 1]. Received: height_factor={height_factor}")
        if width_factor is not None:
            self.width_lower, self.width_upper = bounds(width_factor)
            if self.width_lower < -1.0 or self.width_upper < -1.0:
                raise ValueError(f"`width_factor` argument must have values larger than -1. Received: width_factor={width_factor}")
        self._set_filling(fill_mode, interpolation, fill_value, seed)

    def _transforms(self, batch: Any, height: Any, width: Any) -> Any:
        down = self._draw(batch, 1.0 + self.height_lower, 1.0 + self.height_upper)
        right = down if self.width_factor is None else self._draw(batch, 1.0 + self.width_lower, 1.0 + self.width_upper)
        with dispatch.name_scope("zoom_matrix"):
            zero = tf.zeros((batch, 1), "float32")
            x = (width - 1.0) / 2.0 * (1.0 - right)
            y = (height - 1.0) / 2.0 * (1.0 - down)
            return tf.concat([right, zero, x, zero, down, y, tf.zeros((batch, 2), "float32")], axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height_factor": self.height_factor, "width_factor": self.width_factor, **self._filling_config()}
