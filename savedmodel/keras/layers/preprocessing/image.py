"""Image layers: resizing, cropping, rescaling, and random changes while training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import BaseRandomLayer, Layer
from savedmodel.keras.layers.preprocessing.base import ensure_tensor
from savedmodel.keras.layers.regularization import smart_cond
from savedmodel.keras.layers.settings import describe
from tracer import dispatch, dtypes
from tracer.composite import RaggedTensor
from tracer.dispatch import raw
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec
from tracer.tensor import convert_to_tensor

__all__ = [
    "CenterCrop", "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomHeight", "RandomRotation",
    "RandomTranslation", "RandomWidth", "RandomZoom", "Rescaling", "Resizing", "smart_resize",
]  # fmt: skip

_METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")


def _method(interpolation: str) -> str:
    name = interpolation.lower()
    if name not in _METHODS:
        raise NotImplementedError(f"Value not recognized for `interpolation`: {name}. Supported values are: {_METHODS}")
    return name


def _converted(inputs: Any, dtype: Any = None) -> Any:
    if isinstance(inputs, Mapping):
        raise ValueError(
            f"This layer can only process a tensor representing an image or a batch of images. Received: type(inputs)={type(inputs)}.If you "
            f"need to pass a dict containing images, labels, and bounding boxes, you should instead use the preprocessing and augmentation "
            f"layers from `keras_cv.layers`. See docs at https://keras.io/api/keras_cv/layers/"
        )
    return ensure_tensor(inputs, dtype=dtypes.as_dtype(dtype) if dtype is not None else None)


def smart_resize(x: Any, size: Any, interpolation: str = "bilinear") -> Any:
    """Images resized without distortion: the largest centred part with the wanted aspect ratio is cut out first.

    Raises:
        ValueError: `size` has not two numbers, or `x` is no image or batch of images.
    """
    if len(size) != 2:
        raise ValueError(f"Expected `size` to be a tuple of 2 integers, but got: {size}.")
    image = convert_to_tensor(x)
    rank = image.shape.rank
    if rank is not None and rank not in (3, 4):
        raise ValueError(
            f"Expected an image array with shape `(height, width, channels)`, or `(batch_size, height, width, channels)`, but got input with "
            f"incorrect rank, of shape {image.shape}."
        )
    shape = tf.shape(image)
    height, width = shape[-3], shape[-2]
    wanted_height, wanted_width = size
    crop_height = tf.cast(tf.cast(width * wanted_height, "float32") / wanted_width, "int32")
    crop_width = tf.cast(tf.cast(height * wanted_width, "float32") / wanted_height, "int32")
    crop_height, crop_width = tf.minimum(height, crop_height), tf.minimum(width, crop_width)
    top = tf.cast(tf.cast(height - crop_height, "float32") / 2, "int32")
    left = tf.cast(tf.cast(width - crop_width, "float32") / 2, "int32")
    channels = image.shape[-1] if rank is not None else None
    front = ([0], [-1]) if rank == 4 else ([], [])
    image = tf.slice(image, tf.stack([*front[0], top, left, 0]), tf.stack([*front[1], crop_height, crop_width, -1]))
    image = tf.image.resize(images=image, size=size, method=interpolation)
    if rank is not None:
        image.set_shape([*([None] * (rank - 1)), channels])
    return image.numpy() if isinstance(x, np.ndarray) else image


class _SizedLayer:
    def compute_output_shape(self: Any, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        dims[-3], dims[-2] = self.height, self.width
        return TensorShape(dims)


class Resizing(_SizedLayer, Layer):
    """Images of a given size."""

    def __init__(self, height: int, width: int, interpolation: str = "bilinear", crop_to_aspect_ratio: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.height = height
        self.width = width
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self._interpolation_method = _method(interpolation)

    def call(self, inputs: Any) -> Any:
        dtype = self.compute_dtype if self.interpolation == "nearest" else "float32"
        inputs = _converted(inputs, dtype)
        size = [self.height, self.width]
        if not self.crop_to_aspect_ratio:
            outputs = tf.image.resize(inputs, size=size, method=self._interpolation_method)
        elif isinstance(inputs, RaggedTensor):
            spec = TensorSpec([*size, inputs.shape[-1]], dtypes.as_dtype(dtype))
            outputs = tf.map_fn(
                lambda x: smart_resize(x.to_tensor() if isinstance(x, RaggedTensor) else x, size, self._interpolation_method), inputs,
                fn_output_signature=spec,
            )  # fmt: skip
        else:
            outputs = smart_resize(inputs, size=size, interpolation=self._interpolation_method)
        return tf.cast(outputs, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, "height width interpolation crop_to_aspect_ratio")}


class CenterCrop(_SizedLayer, Layer):
    """The centre of images; smaller images are resized."""

    def __init__(self, height: int, width: int, **kwargs: Any):
        super().__init__(**{**kwargs, "autocast": False})
        self.height = height
        self.width = width

    def call(self, inputs: Any) -> Any:
        inputs = _converted(inputs, self.compute_dtype)
        shape = tf.shape(inputs)
        spare_h, spare_w = shape[-3] - self.height, shape[-2] - self.width

        def crop() -> Any:
            return _cropped(inputs, tf.cast(spare_h / 2, "int32"), tf.cast(spare_w / 2, "int32"), self.height, self.width)

        def enlarge() -> Any:
            return tf.cast(smart_resize(inputs, [self.height, self.width]), self.compute_dtype)

        return tf.cond(tf.reduce_all(tf.stack([spare_h >= 0, spare_w >= 0])), crop, enlarge)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}


def _cropped(images: Any, top: Any, left: Any, height: int, width: int) -> Any:
    """A part of each image."""
    rank, channels = images.shape.rank, images.shape[-1]
    front = ([0], [-1]) if rank == 4 else ([], [])
    out = tf.slice(images, tf.stack([*front[0], top, left, 0]), tf.stack([*front[1], height, width, -1]))
    out.set_shape([*([images.shape[0]] if rank == 4 else []), height, width, channels])
    return out


class Rescaling(Layer):
    """inputs · scale + offset."""

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.__dict__["scale"] = scale
        self.__dict__["offset"] = offset

    def call(self, inputs: Any) -> Any:
        dtype = self.compute_dtype
        inputs = _converted(inputs, dtype)
        return tf.cast(inputs, dtype) * tf.cast(self.scale, dtype) + tf.cast(self.offset, dtype)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


class _RandomImageLayer(BaseRandomLayer):
    """Random changes, drawn from a generator whose state is a variable; only while training."""

    _settings = ""

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, force_generator=True, **kwargs)
        self.seed = seed

    def _change(self, images: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._change(images): random image layers define their change here")

    def call(self, inputs: Any, training: Any = True) -> Any:
        inputs = _converted(inputs, self.compute_dtype)
        return smart_cond(training, lambda: self._change(inputs), lambda: inputs)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, self._settings)}


class RandomCrop(_SizedLayer, BaseRandomLayer):
    """A random part of images while training; the centre otherwise."""

    def __init__(self, height: int, width: int, seed: int | None = None, **kwargs: Any):
        super().__init__(**{**kwargs, "autocast": False}, seed=seed, force_generator=True)
        self.height = height
        self.width = width
        self.seed = seed

    def call(self, inputs: Any, training: Any = True) -> Any:
        inputs = _converted(inputs, self.compute_dtype)
        shape = tf.shape(inputs)
        spare_h, spare_w = shape[-3] - self.height, shape[-2] - self.width

        def crop() -> Any:
            drawn = self._random_generator.random_uniform([2], 0, dtypes.int32.max, dtypes.int32)
            return _cropped(inputs, drawn[0] % (spare_h + 1), drawn[1] % (spare_w + 1), self.height, self.width)

        def resize() -> Any:
            return tf.cast(smart_resize(inputs, [self.height, self.width]), self.compute_dtype)

        wanted = tf.stack([tf.cast(training, "bool"), spare_h >= 0, spare_w >= 0])
        return tf.cond(tf.reduce_all(wanted), crop, resize)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, "height width seed")}


class RandomFlip(_RandomImageLayer):
    """Each image mirrored or not."""

    _settings = "mode seed"

    def __init__(self, mode: str = "horizontal_and_vertical", seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.mode = mode
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ValueError(f"RandomFlip layer {self.name} received an unknown mode argument {mode}")
        self.horizontal = mode != "vertical"
        self.vertical = mode != "horizontal"

    def _change(self, images: Any) -> Any:
        out = images
        if self.horizontal:
            out = tf.image.stateless_random_flip_left_right(out, seed=self._random_generator.make_seed_for_stateless_op())
        if self.vertical:
            out = tf.image.stateless_random_flip_up_down(out, seed=self._random_generator.make_seed_for_stateless_op())
        out.set_shape(images.shape)
        return out


def _bounds(factor: Any) -> tuple[float, float]:
    return (factor[0], factor[1]) if isinstance(factor, (tuple, list)) else (-factor, factor)


def _check_fill(fill_mode: str, interpolation: str) -> None:
    if fill_mode not in {"reflect", "wrap", "constant", "nearest"}:
        raise NotImplementedError(
            f"Unknown `fill_mode` {fill_mode}. Only `reflect`, `wrap`, `constant` and `nearest` are supported."
        )
    if interpolation not in {"nearest", "bilinear"}:
        raise NotImplementedError(f"Unknown `interpolation` {interpolation}. Only `nearest` and `bilinear` are supported.")


class _Projective(_RandomImageLayer):
    """Changes by a projective transform of each image."""

    fill_mode: str
    fill_value: float
    interpolation: str

    def _set_fill(self, fill_mode: str, fill_value: float, interpolation: str) -> None:
        _check_fill(fill_mode, interpolation)
        self.fill_mode = fill_mode
        self.fill_value = fill_value
        self.interpolation = interpolation

    def _transforms(self, count: Any, height: Any, width: Any) -> list[Any]:
        """Eight columns of numbers, each [count, 1]."""
        raise NotImplementedError(f"{type(self).__name__}._transforms: projective layers give the eight numbers of each transform here")

    def _change(self, images: Any) -> Any:
        original = images.shape
        single = images.shape.rank == 3
        if single:
            images = tf.expand_dims(images, 0)
        shape = tf.shape(images)
        height, width = tf.cast(shape[-3], "float32"), tf.cast(shape[-2], "float32")
        columns = self._transforms(shape[0], height, width)
        size: Any = shape[1:3]
        if not dispatch.executing_eagerly() and images.shape[1:3].is_fully_defined():
            size = tf.constant(images.shape[1:3].as_list(), "int32")
        out = raw.ImageProjectiveTransformV3(
            images=images, transforms=tf.concat(columns, axis=1), output_shape=size,
            fill_value=convert_to_tensor(self.fill_value, dtypes.float32), fill_mode=self.fill_mode.upper(),
            interpolation=self.interpolation.upper(),
        )  # fmt: skip
        if single:
            out = tf.squeeze(out, 0)
        out.set_shape(original)
        return out

    def _uniform(self, shape: Any, low: float, high: float) -> Any:
        return self._random_generator.random_uniform(shape=shape, minval=low, maxval=high, dtype=dtypes.float32)


def _zeros(count: Any, columns: int = 1) -> Any:
    return tf.zeros(tf.stack([count, columns]), "float32")


class RandomTranslation(_Projective):
    """Each image moved by a share of its size."""

    _settings = "height_factor width_factor fill_mode fill_value interpolation seed"

    def __init__(
        self, height_factor: Any, width_factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: int | None = None,
        fill_value: float = 0.0, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed=seed, **kwargs)
        self.height_factor = height_factor
        self.width_factor = width_factor
        self.height_lower, self.height_upper = _bounds(height_factor)
        self.width_lower, self.width_upper = _bounds(width_factor)
        for name, low, high, given in (
            ("height_factor", self.height_lower, self.height_upper, height_factor),
            ("width_factor", self.width_lower, self.width_upper, width_factor),
        ):
            if high < low:
                raise ValueError(f"`{name}` cannot have upper bound less than lower bound, got {given}")
            if abs(low) > 1.0 or abs(high) > 1.0:
                raise ValueError(f"`{name}` argument must have values between [-1, 1]. Received: {name}={given}")
        self._set_fill(fill_mode, fill_value, interpolation)

    def _transforms(self, count: Any, height: Any, width: Any) -> list[Any]:
        shape = tf.stack([count, 1])
        down = self._uniform(shape, self.height_lower, self.height_upper) * height
        right = self._uniform(shape, self.width_lower, self.width_upper) * width
        ones = tf.ones(shape, "float32")
        return [ones, _zeros(count), -right, _zeros(count), ones, -down, _zeros(count, 2)]


class RandomRotation(_Projective):
    """Each image turned by a share of a full turn."""

    _settings = "factor fill_mode fill_value interpolation seed"

    def __init__(
        self, factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: int | None = None, fill_value: float = 0.0,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed=seed, **kwargs)
        self.factor = factor
        self.lower, self.upper = _bounds(factor)
        if self.upper < self.lower:
            raise ValueError(f"`factor` argument cannot have a negative value. Received: factor={factor}")
        self._set_fill(fill_mode, fill_value, interpolation)

    def _transforms(self, count: Any, height: Any, width: Any) -> list[Any]:
        angles = self._uniform(tf.stack([count]), self.lower * 2.0 * math.pi, self.upper * 2.0 * math.pi)
        cos, sin = tf.cos(angles), tf.sin(angles)
        # The turn is around the centre.
        x = (width - 1 - (cos * (width - 1) - sin * (height - 1))) / 2.0
        y = (height - 1 - (sin * (width - 1) + cos * (height - 1))) / 2.0
        return [*(tf.expand_dims(v, 1) for v in (cos, -sin, x, sin, cos, y)), _zeros(count, 2)]


class RandomZoom(_Projective):
    """Each image enlarged or shrunk."""

    _settings = "height_factor width_factor fill_mode fill_value interpolation seed"

    def __init__(
        self, height_factor: Any, width_factor: Any = None, fill_mode: str = "reflect", interpolation: str = "bilinear",
        seed: int | None = None, fill_value: float = 0.0, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(seed=seed, **kwargs)
        self.height_factor = height_factor
        self.height_lower, self.height_upper = _bounds(height_factor)
        if abs(self.height_lower) > 1.0 or abs(self.height_upper) > 1.0:
            raise ValueError(f"`height_factor` argument must have values between [-1, 1]. Received: height_factor={height_factor}")
        self.width_factor = width_factor
        if width_factor is not None:
            self.width_lower, self.width_upper = _bounds(width_factor)
            if self.width_lower < -1.0 or self.width_upper < -1.0:
                raise ValueError(f"`width_factor` argument must have values larger than -1. Received: width_factor={width_factor}")
        self._set_fill(fill_mode, fill_value, interpolation)

    def _transforms(self, count: Any, height: Any, width: Any) -> list[Any]:
        shape = tf.stack([count, 1])
        vertical = self._uniform(shape, 1.0 + self.height_lower, 1.0 + self.height_upper)
        horizontal = vertical
        if self.width_factor is not None:
            horizontal = self._uniform(shape, 1.0 + self.width_lower, 1.0 + self.width_upper)
        x = (width - 1.0) / 2.0 * (1.0 - horizontal)
        y = (height - 1.0) / 2.0 * (1.0 - vertical)
        return [horizontal, _zeros(count), x, _zeros(count), vertical, y, _zeros(count, 2)]


class RandomContrast(_RandomImageLayer):
    """Contrast changed by a random factor."""

    _settings = "factor seed"

    def __init__(self, factor: Any, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.factor = factor
        self.lower, self.upper = (factor[0], factor[1]) if isinstance(factor, (tuple, list)) else (factor, factor)
        if self.lower < 0.0 or self.upper < 0.0 or self.lower > 1.0:
            raise ValueError(f"`factor` argument cannot have negative values or values greater than 1.Received: factor={factor}")

    def _change(self, images: Any) -> Any:
        seed = self._random_generator.make_seed_for_stateless_op()
        out = tf.image.stateless_random_contrast(images, 1.0 - self.lower, 1.0 + self.upper, seed=seed)
        out = tf.clip_by_value(out, 0.0, 255.0)
        out.set_shape(images.shape)
        return out


class RandomBrightness(_RandomImageLayer):
    """A random share of the value range added to each image."""

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        text = "The `factor` argument should be a number (or a list of two numbers) in the range [-1.0, 1.0]. "
        if isinstance(factor, (tuple, list)):
            if len(factor) != 2:
                raise ValueError(f"{text}Got {factor}")
            bounds = sorted(factor)
        elif isinstance(factor, (int, float)):
            bounds = [-abs(factor), abs(factor)]
        else:
            raise ValueError(f"{text}Got {factor}")
        for bound in bounds:
            if bound > 1.0 or bound < -1.0:
                raise ValueError(f"{text}Got {bound}")
        if not isinstance(value_range, (tuple, list)) or len(value_range) != 2:
            raise ValueError(f"The `value_range` argument should be a list of two numbers. Got {value_range}")
        self.__dict__.update(_factor=bounds, _value_range=sorted(value_range), _seed=seed)

    def _change(self, images: Any) -> Any:
        rank = images.shape.rank
        if rank not in (3, 4):
            raise ValueError(f"Expected the input image to be rank 3 or 4. Got inputs.shape = {images.shape}")
        shape = (1, 1, 1) if rank == 3 else tf.stack([tf.shape(images)[0], 1, 1, 1])
        low, high = self._value_range
        delta = self._random_generator.random_uniform(shape=shape, minval=self._factor[0], maxval=self._factor[1]) * (high - low)
        return tf.clip_by_value(images + tf.cast(delta, images.dtype), tf.cast(low, images.dtype), tf.cast(high, images.dtype))

    def get_config(self) -> dict[str, Any]:
        config = BaseRandomLayer.get_config(self)
        return {**config, "factor": list(self._factor), "value_range": list(self._value_range), "seed": self._seed}


class _RandomSide(_RandomImageLayer):
    """One side of images changed by a random factor."""

    _settings = "factor interpolation seed"
    _axis = -3
    _side = "height"

    def __init__(self, factor: Any, interpolation: str = "bilinear", seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.factor = factor
        low, high = _bounds(factor)
        setattr(self, f"{self._side}_lower", low)
        setattr(self, f"{self._side}_upper", high)
        if high < low:
            raise ValueError(f"`factor` argument cannot have an upper bound lesser than the lower bound. Received: factor={factor}")
        if low < -1.0 or high < -1.0:
            raise ValueError(f"`factor` argument must have values larger than -1. Received: factor={factor}")
        self.__dict__["_range"] = (low, high)
        self.interpolation = interpolation
        self._interpolation_method = _method(interpolation)

    def call(self, inputs: Any, training: Any = True) -> Any:
        inputs = _converted(inputs)
        return smart_cond(training, lambda: self._change(inputs), lambda: inputs)

    def _change(self, images: Any) -> Any:
        shape = tf.shape(images)
        low, high = self._range
        factor = self._random_generator.random_uniform(shape=[], minval=1.0 + low, maxval=1.0 + high)
        changed = tf.cast(factor * tf.cast(shape[self._axis], "float32"), "int32")
        size = tf.stack([changed, shape[-2]] if self._axis == -3 else [shape[-3], changed])
        out = tf.cast(tf.image.resize(images=images, size=size, method=self._interpolation_method), self.compute_dtype)
        out.set_shape(self.compute_output_shape(images.shape))
        return out

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        dims[self._axis] = None
        return TensorShape(dims)


class RandomHeight(_RandomSide):
    """Heights changed by a random factor."""


class RandomWidth(_RandomSide):
    """Widths changed by a random factor."""

    _axis = -2
    _side = "width"
