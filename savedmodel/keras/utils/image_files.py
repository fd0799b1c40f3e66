"""Images as Pillow objects, arrays and files. Pillow does the work and must be installed; batches and training live elsewhere."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

from savedmodel.keras.layers.preprocessing.image_resizing import smart_resize

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]

_RESAMPLING = {"nearest": "NEAREST", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "hamming": "HAMMING", "box": "BOX", "lanczos": "LANCZOS"}


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("Could not import PIL.Image. Working with image files requires Pillow: install the package `pillow`.") from error
    return Image


def _data_format(data_format: str | None) -> str:
    from savedmodel.keras import backend

    data_format = backend.image_data_format() if data_format is None else data_format
    if data_format not in ("channels_first", "channels_last"):
        raise ValueError(f"Invalid data_format: {data_format}")
    return data_format


def _floatx(dtype: Any) -> Any:
    from savedmodel.keras import backend

    return backend.floatx() if dtype is None else dtype


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """A Pillow image of an array of rank 3; with `scale` its values are spread over [0, 255].

    Raises:
        ValueError: another rank, or another number of channels than 1, 3, 4. ImportError: no Pillow.
    """
    image = _pillow()
    data_format = _data_format(data_format)
    x = np.asarray(x, dtype=_floatx(dtype))
    if x.ndim != 3:
        raise ValueError(f"Expected image array to have rank 3 (single image). Got array with shape: {x.shape}")
    if data_format == "channels_first":
        x = x.transpose(1, 2, 0)
    if scale:
        x = x - np.min(x)
        highest = np.max(x)
        x = (x / highest if highest != 0 else x) * 255
    channels = x.shape[2]
    if channels == 4:
        return image.fromarray(x.astype("uint8"), "RGBA")
    if channels == 3:
        return image.fromarray(x.astype("uint8"), "RGB")
    if channels == 1:
        return image.fromarray(x[:, :, 0].astype("int32"), "I") if np.max(x) > 255 else image.fromarray(x[:, :, 0].astype("uint8"), "L")
    raise ValueError(f"Unsupported channel number: {channels}")


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> np.ndarray:
    """The pixels of a Pillow image, of rank 3.

    Raises:
        ValueError: an image of another rank than 2 or 3, or an unknown data format.
    """
    first = _data_format(data_format) == "channels_first"
    x = np.asarray(img, dtype=_floatx(dtype))
    if x.ndim == 3:
        return x.transpose(2, 0, 1) if first else x
    if x.ndim == 2:
        return x.reshape((1, *x.shape) if first else (*x.shape, 1))
    raise ValueError(f"Unsupported image shape: {x.shape}")


def save_img(path: Any, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **kwargs: Any) -> None:
    """Write an array as an image file; the format follows from the name unless given."""
    img = array_to_img(x, data_format=data_format, scale=scale)
    if img.mode == "RGBA" and file_format in ("jpg", "jpeg"):
        img = img.convert("RGB")
    img.save(path, format=file_format, **kwargs)


def load_img(
    path: Any, grayscale: bool = False, color_mode: str = "rgb", target_size: Any = None, interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:  # fmt: skip
    """Read an image file as a Pillow image, in the colours and size asked for.

    Args:
        path: path, or an io.BytesIO. target_size: (height, width).

    Raises:
        ValueError: an unknown mode or interpolation. TypeError: `path` is none. ImportError: no Pillow.
    """
    image = _pillow()
    if isinstance(path, io.BytesIO):
        img = image.open(path)
    elif isinstance(path, (str, bytes, os.PathLike)):
        with open(path, "rb") as file:
            img = image.open(io.BytesIO(file.read()))
    else:
        raise TypeError(f"path should be path-like or io.BytesIO, not {type(path)}")
    color_mode = "grayscale" if grayscale else color_mode
    if color_mode not in ("grayscale", "rgba", "rgb"):
        raise ValueError('color_mode must be "grayscale", "rgb", or "rgba"')
    if color_mode == "grayscale":
        img = img if img.mode in ("L", "I;16", "I") else img.convert("L")
    elif img.mode != color_mode.upper():
        img = img.convert(color_mode.upper())
    if target_size is None or img.size == (target_size[1], target_size[0]):
        return img
    if interpolation not in _RESAMPLING:
        raise ValueError(
            f"Invalid interpolation method {interpolation} specified. Supported methods are {', '.join(_RESAMPLING)}"
        )
    how = getattr(getattr(image, "Resampling", image), _RESAMPLING[interpolation])
    height, width = target_size
    if not keep_aspect_ratio:
        return img.resize((width, height), how)
    cut_height = min(img.height, int(img.width * height / width)) or img.height
    cut_width = min(img.width, int(img.height * width / height)) or img.width
    top, left = int((img.height - cut_height) / 2), int((img.width - cut_width) / 2)
    return img.resize((width, height), how, [left, top, left + cut_width, top + cut_height])
