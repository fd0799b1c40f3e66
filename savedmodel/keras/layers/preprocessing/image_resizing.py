"""Rescaling, Resizing, CenterCrop, and `smart_resize`: images brought to a range or size. Random changes live in `image_augmentation`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.layers.preprocessing.encoding import ensure_tensor
from tracer.composite import RaggedTensor
from tracer.dtypes import as_dtype
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec
from tracer.tensor import convert_to_tensor

__all__ = ["INTERPOLATIONS", "CenterCrop", "Rescaling", "Resizing", "image_tensor", "interpolation_method", "sized", "smart_resize"]

HEIGHT, WIDTH = -3, -2
INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")


def interpolation_method(name: str) -> str:
    """The name of an interpolation as `tf.image.resize` takes it. Raises NotImplementedError for unknown ones."""
    found = name.lower()
    if found not in INTERPOLATIONS:
        raise NotImplementedError(f"Value not recognized for `interpolation`: {name}. Supported values are: {list(INTERPOLATIONS)}")
    return found


def image_tensor(inputs: Any, dtype: Any = None) -> Any:
    """An image or a batch of images as a tensor of `dtype`.

    Raises:
        ValueError: a dict of images, labels and boxes.
    """
    if isinstance(inputs, dict):
        raise ValueError(
            f"This layer can only process a tensor representing an image or a batch of images. Received: type(inputs)={type(inputs)}. Pass the "
            f"images alone."
        )
    return ensure_tensor(inputs, None if dtype is None else as_dtype(dtype))


def sized(input_shape: Any, height: int | None, width: int | None) -> TensorShape:
    """`input_shape` with another height and width."""
    dims = TensorShape(input_shape).as_list()
    dims[HEIGHT], dims[WIDTH] = height, width
    return TensorShape(dims)


def smart_resize(x: Any, size: Sequence[int], interpolation: str = "bilinear") -> Any:
    """Images cut to the aspect ratio of `size` around their centre, then resized to it: nothing is distorted.

    Args:
        x: image [height, width, channels] or a batch of them; an array gives an array.

    Raises:
        ValueError: another rank, or `size` is no pair.
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
    height, width = shape[HEIGHT], shape[WIDTH]
    target_height, target_width = size
    channels = image.shape[-1] if rank is not None else None
    cut_height = tf.minimum(height, tf.cast(tf.cast(width * target_height, "float32") / target_width, "int32"))
    cut_width = tf.minimum(width, tf.cast(tf.cast(height * target_width, "float32") / target_height, "int32"))
    top = tf.cast(tf.cast(height - cut_height, "float32") / 2, "int32")
    left = tf.cast(tf.cast(width - cut_width, "float32") / 2, "int32")
    batch = rank == 4
    begin = tf.stack([0, top, left, 0] if batch else [top, left, 0])
    extent = tf.stack([-1, cut_height, cut_width, -1] if batch else [cut_height, cut_width, -1])
    image = tf.image.resize(images=tf.slice(image, begin, extent), size=list(size), method=interpolation)
    if rank is not None:
        image.set_shape([None, None, None, channels] if batch else [None, None, channels])
    return image.numpy() if isinstance(x, np.ndarray) else image


class Rescaling(Layer):
    """inputs · scale + offset."""

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any):
        self.scale = scale
        self.offset = offset
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        dtype = self.compute_dtype
        inputs = image_tensor(inputs, dtype)
        return tf.cast(inputs, dtype) * tf.cast(self.scale, dtype) + tf.cast(self.offset, dtype)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "offset": self.offset}


class Resizing(Layer):
    """Images resized to height × width; with `crop_to_aspect_ratio` they are cut first so that nothing is distorted."""

    def __init__(self, height: int, width: int, interpolation: str = "bilinear", crop_to_aspect_ratio: bool = False, **kwargs: Any):
        self.height = height
        self.width = width
        self.interpolation = interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio
        self._interpolation_method = interpolation_method(interpolation)
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        dtype = self.compute_dtype if self.interpolation == "nearest" else "float32"
        inputs = image_tensor(inputs, dtype)
        size = [self.height, self.width]
        if not self.crop_to_aspect_ratio:
            outputs = tf.image.resize(inputs, size=size, method=self._interpolation_method)
        elif isinstance(inputs, RaggedTensor):
            spec = TensorSpec([*size, *inputs.shape.as_list()[-1:]], dtype)
            outputs = tf.map_fn(lambda x: smart_resize(x.to_tensor(), size, self._interpolation_method), inputs, fn_output_signature=spec)
        else:
            outputs = smart_resize(inputs, size, self._interpolation_method)
        return tf.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return sized(input_shape, self.height, self.width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "height": self.height, "width": self.width, "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
        }  # fmt: skip


class CenterCrop(Layer):
    """The height × width centre of images; images that are too small are resized and cut."""

    def __init__(self, height: int, width: int, **kwargs: Any):
        self.height = height
        self.width = width
        super().__init__(**{**kwargs, "autocast": False})

    def call(self, inputs: Any) -> Any:
        inputs = image_tensor(inputs, self.compute_dtype)
        shape = tf.shape(inputs)
        down, right = shape[HEIGHT] - self.height, shape[WIDTH] - self.width

        def crop() -> Any:
            top, left = tf.cast(down / 2, "int32"), tf.cast(right / 2, "int32")
            return tf.image.crop_to_bounding_box(inputs, top, left, self.height, self.width)

        def resize() -> Any:
            return tf.cast(smart_resize(inputs, [self.height, self.width]), self.compute_dtype)

        return tf.cond(tf.reduce_all((down >= 0, right >= 0)), crop, resize)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return sized(input_shape, self.height, self.width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}
