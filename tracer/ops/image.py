"""tf.image: resizing, cropping, flipping, colours, random changes, comparison of images, boxes. It defines no ops.

The ops live in image_resize.py, color.py and detection.py; reading and writing image files in decode_image.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import executing_eagerly, raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.infer import constant_value
from tracer.public import public, tf
from tracer.random import get_seed
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []

_F = np.float32


# -- sizes -----------------------------------------------------------------------------------------------------------


def _image(image: Any) -> Any:
    """`image` as a tensor of rank 3 or 4 (or unknown). Raises ShapeError."""
    image = convert_to_tensor(image)
    if image.shape.rank not in (None, 3, 4):
        raise ShapeError(f"'image' (shape {image.shape}) must have either 3 or 4 dimensions.")
    return image


def _at_least_3d(image: Any) -> Any:
    image = convert_to_tensor(image)
    if image.shape.rank is not None and image.shape.rank < 3:
        raise ShapeError(f"'image' (shape {image.shape}) must be at least three-dimensional.")
    if image.shape.rank is not None and 0 in image.shape.as_list()[-3:]:
        raise ShapeError(f"inner 3 dims of 'image.shape' must be > 0: {image.shape}")
    return image


def _batched(image: Any) -> tuple[Any, bool]:
    """`image` with a batch dimension, and whether it had one."""
    image = _image(image)
    if image.shape.rank == 4:
        return image, True
    return raw.ExpandDims(image, 0), False


def _unbatched(image: Any, had_batch: bool) -> Any:
    return image if had_batch else raw.Squeeze(image, squeeze_dims=[0])


def _sizes(image: Any) -> list[Any]:
    """Every size of a tensor of known rank: a Python int where it is known, else a scalar tensor."""
    shape = image.shape.as_list() if image.shape.rank is not None else [None] * 4
    if all(d is not None for d in shape):
        return shape
    actual = raw.Shape(image)
    return [actual[i] if d is None else d for i, d in enumerate(shape)]


def _known(value: Any) -> Any:
    """A scalar argument as a Python number where it is known."""
    if isinstance(value, Tensor):
        constant = constant_value(value)
        return value if constant is None else constant.item()
    return value


def _require(condition: Any, message: str) -> None:
    """Raise InvalidArgumentError unless `condition`; a symbolic one is left to the ops that follow."""
    if not isinstance(condition, Tensor) and not condition:
        raise InvalidArgumentError(message)


def _largest(a: Any, b: Any) -> Any:
    return raw.Maximum(a, b) if isinstance(a, Tensor) or isinstance(b, Tensor) else max(a, b)


def _smallest(a: Any, b: Any) -> Any:
    return raw.Minimum(a, b) if isinstance(a, Tensor) or isinstance(b, Tensor) else min(a, b)


def _float(x: Any) -> Any:
    return raw.Cast(x, DstT=dtypes.float32) if isinstance(x, Tensor) else _F(x)


def _floor_int(x: Any) -> Any:
    return raw.Cast(raw.Floor(x), DstT=dtypes.int32) if isinstance(x, Tensor) else int(np.floor(x))


# -- flips and turns -------------------------------------------------------------------------------------------------


def _flip(image: Any, axis_from_end: int) -> Any:
    image = _at_least_3d(_image(image))
    return raw.ReverseV2(image, [-axis_from_end])


@public("image.flip_left_right")
def flip_left_right(image):
    """The image (or batch of images) mirrored horizontally."""
    return _flip(image, 2)


@public("image.flip_up_down")
def flip_up_down(image):
    """The image (or batch of images) mirrored vertically."""
    return _flip(image, 3)


def _random_flip(image: Any, axis_from_end: int, draw: Callable[[Any], Any]) -> Any:
    image = _at_least_3d(_image(image))
    flipped = raw.ReverseV2(image, [-axis_from_end])
    if image.shape.rank != 4:
        return raw.SelectV2(raw.Less(draw([]), _F(0.5)), flipped, image)
    batch = _sizes(image)[0]
    flips = raw.Round(raw.Reshape(draw(raw.Pack([batch]) if isinstance(batch, Tensor) else [batch]), [-1, 1, 1, 1]))
    flips = raw.Cast(flips, DstT=image.dtype)
    return raw.AddV2(raw.Mul(flips, flipped), raw.Mul(raw.Sub(raw.OnesLike(flips), flips), image))


def _stateful(seed: Any) -> Callable[..., Any]:
    return lambda shape, low=0, high=1.0, dtype=dtypes.float32: tf.random.uniform(shape, low, high, dtype, seed=seed)


def _stateless(seed: Any) -> Callable[..., Any]:
    return lambda shape, low=0, high=1.0, dtype=dtypes.float32: tf.random.stateless_uniform(shape, seed, low, high, dtype)


@public("image.random_flip_left_right")
def random_flip_left_right(image, seed=None):
    """Each image mirrored horizontally with probability one half."""
    return _random_flip(image, 2, _stateful(seed))


@public("image.random_flip_up_down")
def random_flip_up_down(image, seed=None):
    """Each image mirrored vertically with probability one half."""
    return _random_flip(image, 3, _stateful(seed))


@public("image.stateless_random_flip_left_right")
def stateless_random_flip_left_right(image, seed):
    """Like `random_flip_left_right`, as `seed` ([2]) fixes it."""
    return _random_flip(image, 2, _stateless(seed))


@public("image.stateless_random_flip_up_down")
def stateless_random_flip_up_down(image, seed):
    """Like `random_flip_up_down`, as `seed` ([2]) fixes it."""
    return _random_flip(image, 3, _stateless(seed))


def _swapped(image: Any) -> Any:
    """Height and width exchanged."""
    return raw.Transpose(image, [1, 0, 2] if image.shape.rank == 3 else [0, 2, 1, 3])


def _ranked(image: Any) -> Any:
    image = _at_least_3d(_image(image))
    if image.shape.rank is None:
        raise ShapeError("expected an image of rank 3 or 4, received one of unknown rank; give it a shape first")
    return image


@public("image.transpose")
def transpose(image, name=None):
    """The image (or batch of images) with height and width exchanged."""
    return _swapped(_ranked(image))


@public("image.rot90")
def rot90(image, k=1, name=None):
    """The image (or batch of images) turned counter-clockwise `k` times by 90 degrees."""
    image = _ranked(image)
    turns = [
        lambda: raw.Identity(image),
        lambda: _swapped(raw.ReverseV2(image, [-2])),
        lambda: raw.ReverseV2(image, [-3, -2]),
        lambda: raw.ReverseV2(_swapped(image), [-2]),
    ]
    k = _known(k)
    if isinstance(k, Tensor):
        return tf.switch_case(raw.FloorMod(raw.Cast(k, DstT=dtypes.int32), 4), turns)
    return turns[int(k) % 4]()


# -- crops and padding -----------------------------------------------------------------------------------------------


@public("image.central_crop")
def central_crop(image, central_fraction):
    """The middle of an image (or batch of images): `central_fraction` of its height and width."""
    image = _ranked(image)
    fraction = _known(central_fraction)
    if not isinstance(fraction, Tensor):
        if fraction <= 0.0 or fraction > 1.0:
            raise InvalidArgumentError("central_fraction must be within (0, 1]")
        if fraction == 1.0:
            return image
    begin, size = [], []
    for i, d in enumerate(_sizes(image)):
        if i not in (image.shape.rank - 3, image.shape.rank - 2):
            begin.append(0)
            size.append(-1)
            continue
        if isinstance(d, Tensor) or isinstance(fraction, Tensor):
            wide = raw.Cast(d, DstT=dtypes.float64) if isinstance(d, Tensor) else np.float64(d)
            part = raw.Cast(fraction, DstT=dtypes.float64) if isinstance(fraction, Tensor) else np.float64(fraction)
            start = raw.Cast((wide - wide * part) / np.float64(2), DstT=dtypes.int32)
        else:
            start = int((float(d) - float(d) * fraction) / 2)
        begin.append(start)
        size.append(d - start * 2)
    return raw.Slice(image, _pack(begin), _pack(size))


def _pack(values: list[Any]) -> Any:
    if any(isinstance(v, Tensor) for v in values):
        return raw.Pack([v if isinstance(v, Tensor) else np.int32(v) for v in values])
    return convert_to_tensor(np.array(values, np.int32))


@public("image.pad_to_bounding_box")
def pad_to_bounding_box(image, offset_height, offset_width, target_height, target_width):
    """Zeros around an image (or batch of images), which begins at the offsets of a target of the given size."""
    image, had_batch = _batched(image)
    _at_least_3d(image)
    top, left, high, wide = (_known(v) for v in (offset_height, offset_width, target_height, target_width))
    _, height, width, _ = _sizes(image)
    below, right = high - top - height, wide - left - width
    _require(top >= 0, "offset_height must be >= 0")
    _require(left >= 0, "offset_width must be >= 0")
    _require(right >= 0, "width must be <= target - offset")
    _require(below >= 0, "height must be <= target - offset")
    paddings = raw.Reshape(_pack([0, 0, top, below, left, right, 0, 0]), [4, 2])
    return _unbatched(raw.Pad(image, paddings), had_batch)


@public("image.crop_to_bounding_box")
def crop_to_bounding_box(image, offset_height, offset_width, target_height, target_width):
    """A rectangle of an image (or batch of images)."""
    image, had_batch = _batched(image)
    _at_least_3d(image)
    top, left, high, wide = (_known(v) for v in (offset_height, offset_width, target_height, target_width))
    _, height, width, _ = _sizes(image)
    _require(left >= 0, "offset_width must be >= 0.")
    _require(top >= 0, "offset_height must be >= 0.")
    _require(wide > 0, "target_width must be > 0.")
    _require(high > 0, "target_height must be > 0.")
    _require(width >= wide + left, "width must be >= target + offset.")
    _require(height >= high + top, "height must be >= target + offset.")
    return _unbatched(raw.Slice(image, _pack([0, top, left, 0]), _pack([-1, high, wide, -1])), had_batch)


@public("image.resize_with_crop_or_pad")
def resize_with_crop_or_pad(image, target_height, target_width):
    """An image (or batch of images) cut or padded around its centre to the given size."""
    image, had_batch = _batched(image)
    high, wide = _known(target_height), _known(target_width)
    _require(wide > 0, "target_width must be > 0.")
    _require(high > 0, "target_height must be > 0.")
    _, height, width, _ = _sizes(image)
    more_wide, more_high = wide - width, high - height
    cropped = crop_to_bounding_box(
        image, _largest(-more_high // 2, 0), _largest(-more_wide // 2, 0), _smallest(high, height), _smallest(wide, width)
    )
    return _unbatched(pad_to_bounding_box(cropped, _largest(more_high // 2, 0), _largest(more_wide // 2, 0), high, wide), had_batch)


@public("image.random_crop")
def random_crop(value, size, seed=None, name=None):
    """A part of `value` with shape `size`, at a random place."""
    return _random_part(value, size, lambda shape, high: tf.random.uniform(shape, 0, high, dtypes.int32, seed=seed), name)


@public("image.stateless_random_crop")
def stateless_random_crop(value, size, seed, name=None):
    """Like `random_crop`, as `seed` ([2]) fixes it."""
    return _random_part(value, size, lambda shape, high: tf.random.stateless_uniform(shape, seed, 0, high, dtypes.int32), name)


def _random_part(value: Any, size: Any, draw: Callable[[Any, Any], Any], name: str | None) -> Any:
    value, size = convert_to_tensor(value), convert_to_tensor(size, dtypes.int32)
    shape = raw.Shape(value)
    known = constant_value(shape), constant_value(size)
    if known[0] is not None and known[1] is not None and (known[1] > known[0]).any():
        raise InvalidArgumentError(f"Need value.shape >= size, got {known[0]} {known[1]}")
    limit = shape - size + 1
    # One large number a dimension, folded into the range of that dimension.
    offset = raw.FloorMod(draw(raw.Shape(shape), dtypes.int32.max), limit)
    return raw.Slice(value, offset, size, name=name)


# -- resizing --------------------------------------------------------------------------------------------------------


@public("image.ResizeMethod")
class ResizeMethod:
    """Names of interpolation methods for `tf.image.resize`."""

    BILINEAR = "bilinear"
    NEAREST_NEIGHBOR = "nearest"
    BICUBIC = "bicubic"
    AREA = "area"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"
    GAUSSIAN = "gaussian"
    MITCHELLCUBIC = "mitchellcubic"


def _scaled(images: Any, size: Any, kernel: str, antialias: bool) -> Any:
    scale = raw.Cast(size, DstT=dtypes.float32) / raw.Cast(raw.Shape(images)[1:3], DstT=dtypes.float32)
    return raw.ScaleAndTranslate(images, size, scale, np.zeros(2, np.float32), kernel_type=kernel, antialias=antialias)


def _resize(images: Any, size: Any, method: str, antialias: bool) -> Any:
    if method == "bilinear":
        return _scaled(images, size, "triangle", True) if antialias else raw.ResizeBilinear(images, size, half_pixel_centers=True)
    if method == "nearest":
        return raw.ResizeNearestNeighbor(images, size, half_pixel_centers=True)
    if method == "bicubic":
        return _scaled(images, size, "keyscubic", True) if antialias else raw.ResizeBicubic(images, size, half_pixel_centers=True)
    if method == "area":
        return raw.ResizeArea(images, size)
    if method in ("lanczos3", "lanczos5", "gaussian", "mitchellcubic"):
        return _scaled(images, size, method, antialias)
    raise InvalidArgumentError(f"Resize method is not implemented: {method}")


@public("image.resize")
def resize(images, size, method=ResizeMethod.BILINEAR, preserve_aspect_ratio=False, antialias=False, name=None):
    """An image or batch of images in another size (height, width): float32, but for nearest neighbours the images' dtype.

    Raises:
        ValueError: images without 3 or 4 dimensions, a size that is not two numbers, or an unknown method.
    """
    images = convert_to_tensor(images)
    if images.shape.rank is None:
        raise ShapeError("'images' contains no shape.")
    if images.shape.rank not in (3, 4):
        raise ShapeError(f"'images' must have either 3 or 4 dimensions, received shape {images.shape}")
    images, had_batch = _batched(images)
    try:
        size = convert_to_tensor(size, dtypes.int32)
    except (TypeError, ValueError):
        raise InvalidArgumentError(f"'size' must be a 1-D int32 Tensor, received {size!r}") from None
    if not size.shape.is_compatible_with([2]):
        raise ShapeError(f"'size' must be a 1-D Tensor of 2 elements: new_height, new_width; received shape {size.shape}")
    if preserve_aspect_ratio:
        now = raw.Cast(raw.Shape(images)[1:3], DstT=dtypes.float32)
        factor = raw.Min(raw.Cast(size, DstT=dtypes.float32) / now, 0)
        size = raw.Cast(raw.Round(factor * now), DstT=dtypes.int32)
    return _unbatched(_resize(images, size, method, antialias), had_batch)


@public("image.resize_with_pad")
def resize_with_pad(image, target_height, target_width, method=ResizeMethod.BILINEAR, antialias=False):
    """An image (or batch of images) resized to fit into the given size with its aspect ratio kept, and padded with zeros."""
    image, had_batch = _batched(image)
    high, wide = _known(target_height), _known(target_width)
    _require(wide > 0, "target_width must be > 0.")
    _require(high > 0, "target_height must be > 0.")
    _, height, width, _ = _sizes(_at_least_3d(image))
    height, width, f_high, f_wide = _float(height), _float(width), _float(high), _float(wide)
    ratio = _largest(width / f_wide, height / f_high)
    new_height, new_width = height / ratio, width / ratio
    top, left = ((a - b) / _F(2) for a, b in ((f_high, new_height), (f_wide, new_width)))
    resized = resize(image, _pack([_floor_int(new_height), _floor_int(new_width)]), method, antialias=antialias)
    padded = pad_to_bounding_box(resized, _largest(0, _floor_int(top)), _largest(0, _floor_int(left)), high, wide)
    return _unbatched(padded, had_batch)


@public("image.crop_and_resize")
def crop_and_resize(image, boxes, box_indices, crop_size, method="bilinear", extrapolation_value=0.0, name=None):
    """Boxes (y1, x1, y2, x2 in fractions of the size) cut out of images and resized to one size."""
    return raw.CropAndResize(image, boxes, box_indices, crop_size, method=method, extrapolation_value=extrapolation_value, name=name)


@public("image.extract_glimpse")
def extract_glimpse(input, size, offsets, centered=True, normalized=True, noise="uniform", name=None):
    """A window of each image; what lies outside of the image is noise."""
    return raw.ExtractGlimpseV2(
        convert_to_tensor(input, dtypes.float32), size, offsets, centered=centered, normalized=normalized, noise=noise, uniform_noise=False, name=name
    )


# -- dtypes and colours ----------------------------------------------------------------------------------------------


@public("image.convert_image_dtype")
def convert_image_dtype(image, dtype, saturate=False, name=None):
    """`image` in another dtype: floats stand for [0, 1), integers for their whole positive range.

    Raises:
        AttributeError: neither a floating point nor an integer dtype.
    """
    image, dtype = convert_to_tensor(image), as_dtype(dtype)
    for kind, what in ((dtype, "dtype"), (image.dtype, "image dtype")):
        if not kind.is_floating and not kind.is_integer:
            raise AttributeError(f"{what} must be either floating point or integer, received {kind.name}")
    if dtype == image.dtype:
        return raw.Identity(image, name=name)

    def cast(x: Any) -> Any:
        return tf.saturate_cast(x, dtype) if saturate else raw.Cast(x, DstT=dtype)

    if image.dtype.is_integer and dtype.is_integer:
        high_in, high_out = int(image.dtype.max), int(dtype.max)
        if high_in > high_out:
            return cast(raw.FloorDiv(image, _constant((high_in + 1) // (high_out + 1), image.dtype)))
        return raw.Mul(cast(image), _constant((high_out + 1) // (high_in + 1), dtype), name=name)
    if image.dtype.is_floating and dtype.is_floating:
        return raw.Cast(image, DstT=dtype)
    if image.dtype.is_integer:
        return raw.Mul(raw.Cast(image, DstT=dtype), _constant(1.0 / int(image.dtype.max), dtype), name=name)
    return cast(raw.Mul(image, _constant(int(dtype.max) + 0.5, image.dtype)))


def _constant(value: float, dtype: Any) -> Any:
    return convert_to_tensor(np.asarray(value).astype(dtype.numpy), dtype)


def _as_float(image: Any) -> tuple[Any, Any]:
    """`image` as float32 (or half, if it is), and its own dtype."""
    image = convert_to_tensor(image)
    if image.dtype in (dtypes.float16, dtypes.float32):
        return image, image.dtype
    return convert_image_dtype(image, dtypes.float32), image.dtype


@public("image.adjust_brightness")
def adjust_brightness(image, delta):
    """`delta` added to an image on the scale of floats."""
    x, dtype = _as_float(image)
    delta = raw.Cast(convert_to_tensor(delta), DstT=x.dtype)
    return convert_image_dtype(raw.AddV2(x, delta), dtype, saturate=True)


@public("image.adjust_contrast")
def adjust_contrast(images, contrast_factor):
    """Each channel's distance from its mean multiplied by `contrast_factor`."""
    x, dtype = _as_float(images)
    return convert_image_dtype(raw.AdjustContrastv2(x, contrast_factor), dtype, saturate=True)


@public("image.adjust_gamma")
def adjust_gamma(image, gamma=1, gain=1):
    """gain · image ** gamma on the scale of floats."""
    x, dtype = _as_float(image)
    _require(_known(gamma) >= 0, "Gamma should be a non-negative real number.")
    gamma, gain = (v if isinstance(v, Tensor) else _constant(v, x.dtype) for v in (gamma, gain))
    return convert_image_dtype(raw.Mul(gain, raw.Pow(x, gamma)), dtype, saturate=True)


@public("image.adjust_hue")
def adjust_hue(image, delta, name=None):
    """RGB images with their hue turned by `delta` (in [-1, 1]) of a full turn."""
    if executing_eagerly() and not -1 <= float(_known(delta)) <= 1:
        raise InvalidArgumentError("delta must be in the interval [-1, 1]")
    x, dtype = _as_float(image)
    return convert_image_dtype(raw.AdjustHue(x, delta), dtype)


@public("image.adjust_saturation")
def adjust_saturation(image, saturation_factor, name=None):
    """RGB images with their saturation multiplied."""
    x, dtype = _as_float(image)
    return convert_image_dtype(raw.AdjustSaturation(x, saturation_factor), dtype)


@public("image.adjust_jpeg_quality")
def adjust_jpeg_quality(image, jpeg_quality, name=None):
    """An image written as JPEG with `jpeg_quality` and read again."""
    image = convert_to_tensor(image)
    dtype, channels = image.dtype, image.shape[-1]
    image = convert_image_dtype(image, dtypes.uint8, saturate=True)
    contents = raw.EncodeJpegVariableQuality(image, convert_to_tensor(jpeg_quality, dtypes.int32))
    return convert_image_dtype(raw.DecodeJpeg(contents, channels=channels or 0), dtype, saturate=True)


def _between(lower: float, upper: float) -> None:
    if upper <= lower:
        raise InvalidArgumentError(f"upper must be > lower, received {lower} and {upper}")
    if lower < 0:
        raise InvalidArgumentError(f"lower must be non-negative, received {lower}")


def _symmetric(largest: float, most: float | None = None) -> None:
    if largest < 0:
        raise InvalidArgumentError(f"max_delta must be non-negative, received {largest}")
    if most is not None and largest > most:
        raise InvalidArgumentError(f"max_delta must be <= {most}, received {largest}")


def _quality(lower: int, upper: int) -> None:
    if not (0 <= lower <= 100 and 0 <= upper <= 100):
        raise InvalidArgumentError("jpeg encoding range must be between 0 and 100.")
    if lower >= upper:
        raise InvalidArgumentError("`min_jpeg_quality` must be less than `max_jpeg_quality`.")


@public("image.random_brightness")
def random_brightness(image, max_delta, seed=None):
    """`adjust_brightness` by a random amount in [-max_delta, max_delta)."""
    _symmetric(max_delta)
    return adjust_brightness(image, _stateful(seed)([], -max_delta, max_delta))


@public("image.stateless_random_brightness")
def stateless_random_brightness(image, max_delta, seed):
    """Like `random_brightness`, as `seed` ([2]) fixes it."""
    _symmetric(max_delta)
    return adjust_brightness(image, _stateless(seed)([], -max_delta, max_delta))


@public("image.random_contrast")
def random_contrast(image, lower, upper, seed=None):
    """`adjust_contrast` by a random factor in [lower, upper)."""
    _between(lower, upper)
    return adjust_contrast(image, _stateful(seed)([], lower, upper))


@public("image.stateless_random_contrast")
def stateless_random_contrast(image, lower, upper, seed):
    """Like `random_contrast`, as `seed` ([2]) fixes it."""
    _between(lower, upper)
    return adjust_contrast(image, _stateless(seed)([], lower, upper))


@public("image.random_hue")
def random_hue(image, max_delta, seed=None):
    """`adjust_hue` by a random amount in [-max_delta, max_delta); max_delta is at most 0.5."""
    _symmetric(max_delta, 0.5)
    return adjust_hue(image, _stateful(seed)([], -max_delta, max_delta))


@public("image.stateless_random_hue")
def stateless_random_hue(image, max_delta, seed):
    """Like `random_hue`, as `seed` ([2]) fixes it."""
    _symmetric(max_delta, 0.5)
    return adjust_hue(image, _stateless(seed)([], -max_delta, max_delta))


@public("image.random_saturation")
def random_saturation(image, lower, upper, seed=None):
    """`adjust_saturation` by a random factor in [lower, upper)."""
    _between(lower, upper)
    return adjust_saturation(image, _stateful(seed)([], lower, upper))


@public("image.stateless_random_saturation")
def stateless_random_saturation(image, lower, upper, seed=None):
    """Like `random_saturation`, as `seed` ([2]) fixes it."""
    _between(lower, upper)
    return adjust_saturation(image, _stateless(seed)([], lower, upper))


@public("image.random_jpeg_quality")
def random_jpeg_quality(image, min_jpeg_quality, max_jpeg_quality, seed=None):
    """`adjust_jpeg_quality` with a random quality."""
    _quality(min_jpeg_quality, max_jpeg_quality)
    return adjust_jpeg_quality(image, _stateful(seed)([], min_jpeg_quality, max_jpeg_quality, dtypes.int32))


@public("image.stateless_random_jpeg_quality")
def stateless_random_jpeg_quality(image, min_jpeg_quality, max_jpeg_quality, seed):
    """Like `random_jpeg_quality`, as `seed` ([2]) fixes it."""
    _quality(min_jpeg_quality, max_jpeg_quality)
    return adjust_jpeg_quality(image, _stateless(seed)([], min_jpeg_quality, max_jpeg_quality, dtypes.int32))


@public("image.per_image_standardization")
def per_image_standardization(image):
    """Each image with mean zero and variance one (float32); the deviation is at least 1 / sqrt(elements)."""
    x = raw.Cast(_at_least_3d(image), DstT=dtypes.float32)
    axes = [-1, -2, -3]
    count = raw.Cast(raw.Prod(raw.Shape(x)[-3:], [0]), DstT=dtypes.float32)
    centered = x - raw.Mean(x, axes, keep_dims=True)
    deviation = raw.Sqrt(raw.Mean(raw.Square(centered), axes, keep_dims=True))
    return centered / raw.Maximum(deviation, raw.Rsqrt(count))


def _channel_product(images: Any, kernel: list[Any]) -> Any:
    """The last axis of `images` times a matrix."""
    images = convert_to_tensor(images)
    matrix = _constant(np.array(kernel), images.dtype)
    rows = raw.Reshape(images, [-1, len(kernel)])
    shape = images.shape
    if shape.rank is not None and all(d is not None for d in shape.as_list()[:-1]):
        wanted: Any = convert_to_tensor(np.array([*shape.as_list()[:-1], len(kernel[0])], np.int32))
    else:
        wanted = raw.ConcatV2([raw.Shape(images)[:-1], np.array([len(kernel[0])], np.int32)], 0)
    return raw.Reshape(raw.MatMul(rows, matrix), wanted)


@public("image.rgb_to_grayscale")
def rgb_to_grayscale(images, name=None):
    """Luma of RGB images, in their dtype: the last axis has size one."""
    images = convert_to_tensor(images)
    gray = _channel_product(convert_image_dtype(images, dtypes.float32), [[0.2989], [0.5870], [0.1140]])
    return convert_image_dtype(gray, images.dtype, name=name)


@public("image.grayscale_to_rgb")
def grayscale_to_rgb(images, name=None):
    """The single channel of images three times."""
    images = convert_to_tensor(images)
    if images.shape.rank is not None and images.shape[-1] not in (None, 1):
        raise ShapeError(f"Last dimension of a grayscale image should be size 1, received shape {images.shape}")
    if images.shape.rank is not None:
        return raw.Tile(images, np.array([1] * (images.shape.rank - 1) + [3], np.int32), name=name)
    ones = raw.Fill(raw.Reshape(raw.Rank(images) - 1, [1]), 1)
    return raw.Tile(images, raw.ConcatV2([ones, np.array([3], np.int32)], 0), name=name)


@public("image.rgb_to_hsv")
def rgb_to_hsv(images, name=None):
    """RGB in [0, 1] as hue, saturation, value."""
    return raw.RGBToHSV(images, name=name)


@public("image.hsv_to_rgb")
def hsv_to_rgb(images, name=None):
    """Hue, saturation, value in [0, 1] as RGB."""
    return raw.HSVToRGB(images, name=name)


_MATRICES = {
    "rgb_to_yiq": [[0.299, 0.59590059, 0.2115], [0.587, -0.27455667, -0.52273617], [0.114, -0.32134392, 0.31119955]],
    "yiq_to_rgb": [[1, 1, 1], [0.95598634, -0.27201283, -1.10674021], [0.6208248, -0.64720424, 1.70423049]],
    "rgb_to_yuv": [[0.299, -0.14714119, 0.61497538], [0.587, -0.28886916, -0.51496512], [0.114, 0.43601035, -0.10001026]],
    "yuv_to_rgb": [[1, 1, 1], [0, -0.394642334, 2.03206185], [1.13988303, -0.58062185, 0]],
}


def _matrix_function(name: str) -> Callable[..., Any]:
    def convert(images):
        """Images in another colour space (a product with a fixed matrix)."""
        return _channel_product(images, _MATRICES[name])

    return convert


for _name in _MATRICES:
    public(f"image.{_name}")(_matrix_function(_name))


# -- comparing images ------------------------------------------------------------------------------------------------


@public("image.total_variation")
def total_variation(images, name=None):
    """The sum of absolute differences of neighbouring pixels, for each image."""
    images = convert_to_tensor(images)
    if images.shape.rank not in (3, 4):
        raise ShapeError(f"'images' must be either 3 or 4-dimensional, received shape {images.shape}")
    axes = list(range(images.shape.rank - 3, images.shape.rank))
    down = images[..., 1:, :, :] - images[..., :-1, :, :]
    across = images[..., 1:, :] - images[..., :-1, :]
    return raw.Sum(raw.Abs(down), axes) + raw.Sum(raw.Abs(across), axes)


@public("image.image_gradients")
def image_gradients(image):
    """Differences to the pixel below and to the right of a batch of images: (dy, dx), zero at the last row or column."""
    image = convert_to_tensor(image)
    if image.shape.rank != 4:
        raise ShapeError(f"image_gradients expects a 4D tensor [batch_size, h, w, d], not {image.shape}.")
    dy, dx = image[:, 1:] - image[:, :-1], image[:, :, 1:] - image[:, :, :-1]
    return raw.Pad(dy, [[0, 0], [0, 1], [0, 0], [0, 0]]), raw.Pad(dx, [[0, 0], [0, 0], [0, 1], [0, 0]])


@public("image.sobel_edges")
def sobel_edges(image):
    """Sobel filters of a batch of images: (b, h, w, d, 2), for y and x."""
    image = convert_to_tensor(image)
    kernels = np.array([[[-1, -2, -1], [0, 0, 0], [1, 2, 1]], [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]])
    kernel = _constant(kernels.transpose(1, 2, 0)[:, :, None], image.dtype)
    shape = _sizes(image)
    kernel = raw.Tile(kernel, _pack([1, 1, shape[-1], 1]))
    padded = raw.MirrorPad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="REFLECT")
    edges = raw.DepthwiseConv2dNative(padded, kernel, strides=[1, 1, 1, 1], padding="VALID")
    return raw.Reshape(edges, _pack([*shape, 2]))


@public("image.psnr")
def psnr(a, b, max_val, name=None):
    """Peak signal-to-noise ratio of two batches of images, for each image."""
    a, b = convert_to_tensor(a), convert_to_tensor(b)
    _compatible(a, b)
    top = convert_image_dtype(raw.Cast(convert_to_tensor(max_val), DstT=a.dtype), dtypes.float32)
    a, b = convert_image_dtype(a, dtypes.float32), convert_image_dtype(b, dtypes.float32)
    error = raw.Mean(raw.SquaredDifference(a, b), [-3, -2, -1])
    return _F(20) * raw.Log(top) / raw.Log(_F(10)) - _F(10 / np.log(10)) * raw.Log(error)


def _compatible(a: Any, b: Any) -> None:
    if a.shape.rank is None or b.shape.rank is None:
        return
    one, two = a.shape.as_list(), b.shape.as_list()
    fits = min(len(one), len(two)) >= 3
    for i, (x, y) in enumerate(zip(reversed(one), reversed(two), strict=False)):
        fits = fits and (x is None or y is None or x == y or (i >= 3 and 1 in (x, y)))
    if not fits:
        raise ShapeError(f"Two images are not compatible: {a.shape} and {b.shape}")


def _gaussian_filter(size: int, sigma: float) -> np.ndarray:
    at = np.arange(size, dtype=_F) - _F(size - 1) / _F(2)
    g = at * at * (_F(-0.5) / (_F(sigma) * _F(sigma)))
    g = (g[None] + g[:, None]).reshape(-1)
    e = np.exp(g - g.max())
    return (e / e.sum()).reshape(size, size, 1, 1).astype(_F)


def _similarity(a: Any, b: Any, top: Any, filter_size: int, sigma: float, k1: float, k2: float, index_map: bool) -> tuple[Any, Any]:
    """Structural similarity and contrast-structure term, for each channel."""
    for x in (a, b):
        sizes = [d for d in x.shape.as_list()[-3:-1] if d is not None] if x.shape.rank is not None else []
        if any(d < filter_size for d in sizes):
            raise InvalidArgumentError(f"ssim: expected images of at least {filter_size} pixels a side, received shape {x.shape}")
    kernel = raw.Tile(convert_to_tensor(_gaussian_filter(filter_size, sigma)), _pack([1, 1, _sizes(a)[-1], 1]))

    def smooth(x: Any) -> Any:
        shape = raw.Shape(x)
        flat = raw.Reshape(x, raw.ConcatV2([np.array([-1], np.int32), shape[-3:]], 0))
        y = raw.DepthwiseConv2dNative(flat, kernel, strides=[1, 1, 1, 1], padding="VALID")
        return raw.Reshape(y, raw.ConcatV2([shape[:-3], raw.Shape(y)[1:]], 0))

    c1, c2 = raw.Square(_F(k1) * top), raw.Square(_F(k2) * top)
    mean_a, mean_b = smooth(a), smooth(b)
    product = mean_a * mean_b * _F(2)
    squares = raw.Square(mean_a) + raw.Square(mean_b)
    luminance = (product + c1) / (squares + c1)
    structure = (smooth(a * b) * _F(2) - product + c2) / (smooth(raw.Square(a) + raw.Square(b)) - squares + c2)
    if index_map:
        return luminance * structure, structure
    return raw.Mean(luminance * structure, [-3, -2]), raw.Mean(structure, [-3, -2])


def _comparable(a: Any, b: Any, max_val: Any) -> tuple[Any, Any, Any]:
    a, b = convert_to_tensor(a), convert_to_tensor(b)
    _compatible(a, b)
    top = convert_image_dtype(raw.Cast(convert_to_tensor(max_val), DstT=a.dtype), dtypes.float32)
    return convert_image_dtype(a, dtypes.float32), convert_image_dtype(b, dtypes.float32), top


@public("image.ssim")
def ssim(img1, img2, max_val, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03, return_index_map=False):
    """Structural similarity of two batches of images (Wang et al. 2004), for each image."""
    a, b, top = _comparable(img1, img2, max_val)
    value, _ = _similarity(a, b, top, filter_size, filter_sigma, k1, k2, return_index_map)
    return raw.Mean(value, [-1])


@public("image.ssim_multiscale")
def ssim_multiscale(
    img1, img2, max_val, power_factors=(0.0448, 0.2856, 0.3001, 0.2363, 0.1333), filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03
):
    """Structural similarity over several scales (Wang et al. 2003), for each image."""
    a, b, top = _comparable(img1, img2, max_val)
    if a.shape.rank is None or None in a.shape.as_list()[-3:]:
        raise ShapeError(f"ssim_multiscale: expected images of known height, width and depth, received shape {a.shape}")
    terms = []
    value = None
    for scale in range(len(power_factors)):
        if scale:
            a, b = _halved(a), _halved(b)
        value, structure = _similarity(a, b, top, filter_size, filter_sigma, k1, k2, False)
        terms.append(raw.Relu(structure))
    terms[-1] = raw.Relu(value)
    powers = raw.Pow(raw.Pack(terms, axis=-1), np.array(power_factors, _F))
    return raw.Mean(raw.Prod(powers, [-1]), [-1])


def _halved(x: Any) -> Any:
    """Images at half the size, odd sides mirrored by one pixel before."""
    height, width, depth = x.shape.as_list()[-3:]
    outer = raw.Shape(x)[:-3]
    flat = raw.Reshape(x, _pack([-1, height, width, depth]))
    if height % 2 or width % 2:
        flat = raw.MirrorPad(flat, [[0, 0], [0, height % 2], [0, width % 2], [0, 0]], mode="SYMMETRIC")
    small = raw.AvgPool(flat, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID")
    inner = np.array([math.ceil(height / 2), math.ceil(width / 2), depth], np.int32)
    result = raw.Reshape(small, raw.ConcatV2([outer, inner], 0))
    known = x.shape.as_list()[:-3]
    return result if None in known else raw.Reshape(small, np.array([*known, *inner], np.int32))


# -- boxes -----------------------------------------------------------------------------------------------------------


@public("image.draw_bounding_boxes")
def draw_bounding_boxes(images, boxes, colors, name=None):
    """Images with boxes (y1, x1, y2, x2 in fractions of the size) drawn in."""
    if colors is None:
        return raw.DrawBoundingBoxes(images, boxes, name=name)
    return raw.DrawBoundingBoxesV2(images, boxes, colors, name=name)


def _box_attrs(aspect_ratio_range: Any, area_range: Any, max_attempts: Any, use_image: Any) -> dict[str, Any]:
    attrs = {
        "aspect_ratio_range": aspect_ratio_range, "area_range": area_range, "max_attempts": max_attempts,
        "use_image_if_no_bounding_boxes": use_image,
    }  # fmt: skip
    return {k: v for k, v in attrs.items() if v is not None}


@public("image.sample_distorted_bounding_box")
def sample_distorted_bounding_box(
    image_size, bounding_boxes, seed=0, min_object_covered=0.1, aspect_ratio_range=None, area_range=None, max_attempts=None,
    use_image_if_no_bounding_boxes=None, name=None,
):  # fmt: skip
    """A random crop that covers enough of one box: (begin, size, box)."""
    seed1, seed2 = get_seed(seed) if seed else (0, 0)
    attrs = _box_attrs(aspect_ratio_range, area_range, max_attempts, use_image_if_no_bounding_boxes)
    return tuple(raw.SampleDistortedBoundingBoxV2(image_size, bounding_boxes, min_object_covered, seed=seed1, seed2=seed2, name=name, **attrs))


@public("image.stateless_sample_distorted_bounding_box")
def stateless_sample_distorted_bounding_box(
    image_size, bounding_boxes, seed, min_object_covered=0.1, aspect_ratio_range=None, area_range=None, max_attempts=None,
    use_image_if_no_bounding_boxes=None, name=None,
):  # fmt: skip
    """Like `sample_distorted_bounding_box`, as `seed` ([2]) fixes it."""
    attrs = _box_attrs(aspect_ratio_range, area_range, max_attempts, use_image_if_no_bounding_boxes)
    return tuple(raw.StatelessSampleDistortedBoundingBox(image_size, bounding_boxes, min_object_covered, seed, name=name, **attrs))


@public("image.non_max_suppression")
def non_max_suppression(boxes, scores, max_output_size, iou_threshold=0.5, score_threshold=float("-inf"), name=None):
    """Indices of the boxes that greedy suppression keeps, by falling score."""
    return raw.NonMaxSuppressionV3(boxes, scores, max_output_size, iou_threshold, score_threshold, name=name)


@public("image.non_max_suppression_with_scores")
def non_max_suppression_with_scores(
    boxes, scores, max_output_size, iou_threshold=0.5, score_threshold=float("-inf"), soft_nms_sigma=0.0, name=None
):
    """Indices and (softly suppressed) scores of the boxes kept."""
    kept, values, _ = raw.NonMaxSuppressionV5(boxes, scores, max_output_size, iou_threshold, score_threshold, soft_nms_sigma, name=name)
    return kept, values


@public("image.non_max_suppression_overlaps")
def non_max_suppression_overlaps(overlaps, scores, max_output_size, overlap_threshold=0.5, score_threshold=float("-inf"), name=None):
    """Indices kept where `overlaps` (n, n) says how much boxes overlap."""
    return raw.NonMaxSuppressionWithOverlaps(overlaps, scores, max_output_size, overlap_threshold, score_threshold, name=name)


@public("image.combined_non_max_suppression")
def combined_non_max_suppression(
    boxes, scores, max_output_size_per_class, max_total_size, iou_threshold=0.5, score_threshold=float("-inf"), pad_per_class=False,
    clip_boxes=True, name=None,
):  # fmt: skip
    """Suppression for each class of a batch, the best of all classes kept: (boxes, scores, classes, valid counts)."""
    return raw.CombinedNonMaxSuppression(
        boxes, scores, max_output_size_per_class, max_total_size, iou_threshold, score_threshold, pad_per_class=pad_per_class,
        clip_boxes=clip_boxes, name=name,
    )  # fmt: skip


def _overlaps(boxes: Any) -> Any:
    """Intersection over union of every pair: boxes (b, n, 4) to (b, n, n)."""
    top, left, bottom, right = raw.Split(2, boxes, num_split=4)

    def turned(x: Any) -> Any:
        return raw.Transpose(x, [0, 2, 1])

    zero = np.zeros((), boxes.dtype.numpy)
    height = raw.Maximum(raw.Minimum(bottom, turned(bottom)) - raw.Maximum(top, turned(top)), zero)
    width = raw.Maximum(raw.Minimum(right, turned(right)) - raw.Maximum(left, turned(left)), zero)
    area, common = (bottom - top) * (right - left), height * width
    return common / (area + turned(area) - common + _constant(1e-8, boxes.dtype))


@public("image.non_max_suppression_padded")
def non_max_suppression_padded(
    boxes, scores, max_output_size, iou_threshold=0.5, score_threshold=float("-inf"), pad_to_max_output_size=False, name=None,
    sorted_input=False, canonicalized_coordinates=False, tile_size=512,
):  # fmt: skip
    """Greedy suppression over a batch (…, n): (indices padded with 0 to max_output_size, how many are valid).

    All pairs of boxes are compared at once; `tile_size` changes nothing but memory in TensorFlow and is ignored.
    """
    boxes, scores = convert_to_tensor(boxes), convert_to_tensor(scores)
    if not pad_to_max_output_size and boxes.shape.rank is not None and boxes.shape.rank > 2:
        raise InvalidArgumentError(f"'pad_to_max_output_size' (value {pad_to_max_output_size}) must be True for batched input")
    size = _known(max_output_size)
    outer, count = raw.Shape(boxes)[:-2], raw.Shape(boxes)[-2]
    flat = raw.Reshape(boxes, raw.Pack([-1, count, 4]))
    values = raw.Reshape(scores, raw.Pack([-1, count]))
    if isinstance(score_threshold, Tensor) or score_threshold != float("-inf"):
        mask = raw.Cast(raw.Greater(values, score_threshold), DstT=values.dtype)
        values, flat = values * mask, flat * raw.ExpandDims(raw.Cast(mask, DstT=flat.dtype), 2)
    if not canonicalized_coordinates:
        y1, x1, y2, x2 = raw.Split(2, flat, num_split=4)
        # As in TensorFlow, the first box tells for all of them which corners are given.
        y_first, x_first = raw.LessEqual(y1[0, 0, 0], y2[0, 0, 0]), raw.LessEqual(x1[0, 0, 0], x2[0, 0, 0])
        pick = raw.SelectV2
        flat = raw.ConcatV2([pick(y_first, y1, y2), pick(x_first, x1, x2), pick(y_first, y2, y1), pick(x_first, x2, x1)], 2)
    order = None
    if not sorted_input:
        _, order = raw.TopKV2(values, count)
        flat = tf.gather(flat, order, axis=1, batch_dims=1)
    flat = raw.Cast(flat, DstT=dtypes.float32)
    threshold = raw.Cast(convert_to_tensor(iou_threshold), DstT=dtypes.float32)
    overlap = _overlaps(flat)
    place = raw.Range(0, count, 1)
    later = raw.Greater(raw.Reshape(place, [1, -1]), raw.Reshape(place, [-1, 1]))
    pairs = raw.LogicalAnd(raw.ExpandDims(later, 0), raw.GreaterEqual(overlap, threshold))

    def suppress(i: Any, alive: Any) -> Any:
        # Box i, if it still stands, drops all later boxes that overlap it.
        row = raw.LogicalAnd(tf.gather(pairs, i, axis=1), raw.ExpandDims(tf.gather(alive, i, axis=1), 1))
        return i + 1, raw.LogicalAnd(alive, raw.LogicalNot(row))

    exists = raw.Any(raw.Greater(flat, _F(0)), [2])
    _, alive = tf.while_loop(lambda i, alive: raw.Less(i, count), suppress, [tf.constant(0), raw.Fill(raw.Shape(values), True)])
    kept = raw.LogicalAnd(alive, exists)
    # Kept boxes first, in their order; the rest counts as nothing.
    width = raw.Maximum(count, size)
    rank = raw.SelectV2(kept, raw.ExpandDims(count - place, 0), raw.Cast(0, DstT=dtypes.int32))
    rank = raw.Pad(rank, raw.Pack([[0, 0], raw.Pack([0, width - count])]))
    best, _ = raw.TopKV2(rank, size)
    index = raw.Minimum(count - best, count - 1)
    if order is not None:
        index = tf.gather(order, index, axis=1, batch_dims=1)
    valid = raw.Minimum(raw.Sum(raw.Cast(kept, DstT=dtypes.int32), [1]), size)
    index = raw.SelectV2(raw.Less(raw.ExpandDims(raw.Range(0, size, 1), 0), raw.ExpandDims(valid, 1)), index, raw.ZerosLike(index))
    valid = raw.Reshape(valid, outer)
    if not pad_to_max_output_size:
        return index[0, :valid], valid
    return raw.Reshape(index, raw.ConcatV2([outer, raw.Pack([size])], 0)), valid
