"""Images as files: PNG, JPEG, GIF and BMP read and written. It refuses images of more than 2**29 pixels before decoding them.

Pillow does the work, imported when an op first runs; writing PNG needs no library. Sixteen bits a channel are read for grey images only.
JPEG is decoded with the accurate integer transform, which differs by a few units from TensorFlow's default, the fast one.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, LimitError, MissingKernelError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []

_MOST_PIXELS = 1 << 29


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise MissingKernelError(
            "reading and writing image files needs Pillow, which is not installed: install the extra with `pip install savedmodel[image]`"
        ) from None
    return Image


def _text(contents: Any) -> bytes:
    contents = np.asarray(contents, object)
    if contents.ndim:
        raise ShapeError(f"contents must be scalar, got shape {list(contents.shape)}")
    return contents[()]


def _kind(data: bytes) -> str:
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:4] == b"\x89PNG":
        return "PNG"
    if data[:3] == b"GIF":
        return "GIF"
    if data[:2] == b"BM":
        return "BMP"
    raise InvalidArgumentError(
        f"Unknown image file format. One of JPEG, PNG, GIF, BMP required. Received {len(data)} bytes that begin with {data[:8]!r}"
    )


def _open(data: bytes) -> Any:
    """The image with its header read, and its size checked."""
    module = _pillow()
    kind = _kind(data)
    try:
        image = module.open(io.BytesIO(data), formats=[kind])
    except (OSError, SyntaxError, module.DecompressionBombError) as error:
        raise InvalidArgumentError(f"Invalid {kind} data, size {len(data)}: {error}") from None
    width, height = image.size
    if width <= 0 or height <= 0 or width * height * getattr(image, "n_frames", 1) >= _MOST_PIXELS:
        raise LimitError(f"{kind} image of {width} x {height} pixels: expected at least 1 and fewer than {_MOST_PIXELS} in all frames")
    return image


def _pixels(image: Any, mode: str | None = None) -> np.ndarray:
    """The pixels as (h, w, c), converted to Pillow's `mode`."""
    try:
        array = np.asarray(image if mode is None or image.mode == mode else image.convert(mode))
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise InvalidArgumentError(f"Invalid {image.format} data: {error}") from None
    return array[:, :, None] if array.ndim == 2 else array


_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _png(data: bytes, channels: int, wide: bool) -> np.ndarray:
    """uint8, or uint16 where `wide`."""
    image = _open(data)
    depth, color = data[24], data[25]
    if depth == 16 and image.mode.startswith("I"):
        gray = np.asarray(image).astype(np.uint16)[:, :, None]
        if channels in (3, 4):
            gray = np.repeat(gray, 3, axis=2)
        if channels == 4:
            gray = np.concatenate([gray, np.full_like(gray[:, :, :1], 65535)], axis=2)
        return gray if wide else (gray >> 8).astype(np.uint8)
    if depth == 16 and wide:
        raise InvalidArgumentError(
            "a colour PNG of 16 bits a channel cannot be read as uint16: expected grey, or dtype uint8; decode it as uint8, or store it otherwise"
        )
    if channels == 0:
        transparent = "transparency" in image.info
        channels = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}[color] + (1 if transparent and color in (0, 2, 3) else 0)
    if channels == 1 and color in (2, 3, 6):
        array = _gray(_pixels(image, "RGB"))
    else:
        array = _pixels(image, _MODES[channels])
    return array.astype(np.uint16) * np.uint16(257) if wide else array


def _gray(rgb: np.ndarray) -> np.ndarray:
    """Grey with the weights that libpng is given for PNG: 15 bits of fixed point, truncated."""
    red, green = 29900 * 32768 // 100000, 58700 * 32768 // 100000
    wide = rgb.astype(np.int64)
    gray = (wide[:, :, 0] * red + wide[:, :, 1] * green + wide[:, :, 2] * (32768 - red - green)) >> 15
    same = (rgb[:, :, 0] == rgb[:, :, 1]) & (rgb[:, :, 1] == rgb[:, :, 2])
    return np.where(same, rgb[:, :, 0], gray).astype(np.uint8)[:, :, None]


def _jpeg(data: bytes, channels: int, ratio: int = 1) -> np.ndarray:
    if channels not in (0, 1, 3):
        raise InvalidArgumentError(f"channels must be 0, 1, or 3 for JPEG, got {channels}")
    image = _open(data)
    if channels == 0:
        channels = 1 if image.mode == "L" else 3
    mode = _MODES[channels]
    size = tuple(max(1, d // ratio) for d in image.size)
    if ratio > 1 or mode != image.mode:
        image.draft(mode if image.mode in ("L", "RGB") else None, size)
    return _pixels(image, mode)


def _gif(data: bytes) -> np.ndarray:
    image = _open(data)
    frames = []
    for i in range(getattr(image, "n_frames", 1)):
        image.seek(i)
        frames.append(_pixels(image, "RGB"))
    return np.stack(frames)


def _bmp(data: bytes, channels: int) -> np.ndarray:
    image = _open(data)
    bits = struct.unpack_from("<H", data, 28)[0] if len(data) >= 30 else 0
    own = {8: 1, 24: 3, 32: 4}.get(bits)
    if own is None:
        raise InvalidArgumentError(f"BMP: expected 8, 24 or 32 bits a pixel, received {bits}")
    if channels not in (0, own):
        raise InvalidArgumentError(f"channels attribute {channels} does not match bits per pixel from file {own}")
    if own == 1:
        return _pixels(image)  # indices of the palette, which TensorFlow ignores too
    return _pixels(image, _MODES[own])


def _any(data: bytes, channels: int, wide: bool = False) -> np.ndarray:
    """Pixels of any format: (h, w, c), or (frames, h, w, c) for GIF; uint16 only for PNG where `wide`."""
    kind = _kind(data)
    if kind == "PNG":
        return _png(data, channels, wide)
    if kind == "JPEG":
        return _jpeg(data, channels)
    if kind == "GIF":
        return _gif(data)
    return _bmp(data, channels)


# -- reading ---------------------------------------------------------------------------------------------------------


def _three(ctx: Any) -> Any:
    channels = ctx.attr("channels")
    return TensorShape([None, None, channels or None])


def _still(array: np.ndarray, what: str) -> np.ndarray:
    if array.ndim == 4:
        if len(array) != 1:
            raise InvalidArgumentError(f"Got {len(array)} frames, but animated gifs can only be decoded by tf.io.decode_gif or tf.io.decode_image ({what})")
        return array[0]
    return array


def _check_channels(channels: int) -> None:
    if channels not in (0, 1, 3, 4):
        raise InvalidArgumentError(f"channels must be 0, 1, 3, or 4, got {channels}")


png_op = op("DecodePng(contents: string) -> (image: dtype); channels: int = 0; dtype: {uint8, uint16} = uint8").not_differentiable()
png_op.infer(_three)


@png_op.kernel
def _(contents: Any, *, channels: int, dtype: Any) -> np.ndarray:
    _check_channels(channels)
    wide = dtype is dtypes.uint16
    array = _still(_any(_text(contents), channels, wide), "DecodePng")
    return array if array.dtype == dtype.numpy else array.astype(np.uint16) * np.uint16(256)


_JPEG_ATTRS = "channels: int = 0; ratio: int = 1; fancy_upscaling: bool = true; try_recover_truncated: bool = false; acceptable_fraction: float = 1.0; dct_method: string = \"\""  # fmt: skip


def _check_ratio(ratio: int) -> None:
    if ratio not in (1, 2, 4, 8):
        raise InvalidArgumentError(f"ratio must be 1, 2, 4, or 8, got {ratio}")


jpeg_op = op(f"DecodeJpeg(contents: string) -> (image: uint8); {_JPEG_ATTRS}").not_differentiable()
jpeg_op.infer(_three)


@jpeg_op.kernel
def _(contents: Any, *, channels: int, ratio: int) -> np.ndarray:
    _check_channels(channels)
    _check_ratio(ratio)
    data = _text(contents)
    return _jpeg(data, channels, ratio) if _kind(data) == "JPEG" else _still(_any(data, channels), "DecodeJpeg")


crop_op = op(f"DecodeAndCropJpeg(contents: string, crop_window: int32) -> (image: uint8); {_JPEG_ATTRS}").not_differentiable()


@crop_op.infer
def _(ctx: Any) -> Any:
    window, channels = ctx.value(1), ctx.attr("channels")
    height, width = (None, None) if window is None else (int(window[2]), int(window[3]))
    return TensorShape([height, width, channels or None])


@crop_op.kernel
def _(contents: Any, window: Any, *, channels: int, ratio: int) -> np.ndarray:
    _check_ratio(ratio)
    top, left, height, width = (int(v) for v in window)
    image = _jpeg(_text(contents), channels, ratio)
    if top < 0 or left < 0 or height <= 0 or width <= 0 or top + height > image.shape[0] or left + width > image.shape[1]:
        raise InvalidArgumentError(f"Invalid crop window {window.tolist()} for an image of {image.shape[0]} x {image.shape[1]} pixels")
    return image[top : top + height, left : left + width].copy()


shape_op = op("ExtractJpegShape(contents: string) -> (image_shape: output_type); output_type: {int32, int64} = int32").not_differentiable()
shape_op.infer(lambda ctx: TensorShape([3]))


@shape_op.kernel
def _(contents: Any, *, output_type: Any) -> np.ndarray:
    data = _text(contents)
    if _kind(data) != "JPEG":
        raise InvalidArgumentError("Invalid JPEG data: the contents are another image format")
    image = _open(data)
    return np.array([image.size[1], image.size[0], len(image.getbands())], output_type.numpy)


gif_op = op("DecodeGif(contents: string) -> (image: uint8)").not_differentiable()
gif_op.infer(lambda ctx: TensorShape([None, None, None, 3]))


@gif_op.kernel
def _(contents: Any) -> np.ndarray:
    array = _any(_text(contents), 3)
    return array if array.ndim == 4 else array[None]


bmp_op = op("DecodeBmp(contents: string) -> (image: uint8); channels: int = 0").not_differentiable()
bmp_op.infer(_three)


@bmp_op.kernel
def _(contents: Any, *, channels: int) -> np.ndarray:
    return _still(_any(_text(contents), channels), "DecodeBmp")


image_op = op("DecodeImage(contents: string) -> (image: dtype); channels: int = 0; dtype: {uint8, uint16, float} = uint8; expand_animations: bool = true").not_differentiable()  # fmt: skip


@image_op.infer
def _(ctx: Any) -> Any:
    return unknown_shape() if ctx.attr("expand_animations") else _three(ctx)


@image_op.kernel
def _(contents: Any, *, channels: int, dtype: Any, expand_animations: bool) -> np.ndarray:
    _check_channels(channels)
    data = _text(contents)
    if _kind(data) == "GIF" and channels not in (0, 3):
        raise InvalidArgumentError("channels must be 0 or 3 for GIF")
    array = _any(data, channels, dtype is not dtypes.uint8 and data[:4] == b"\x89PNG" and data[24] == 16)
    if array.ndim == 4 and not expand_animations:
        array = array[0]
    if dtype is dtypes.float32:
        return array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max)
    if dtype is dtypes.uint16 and array.dtype == np.uint8:
        return array.astype(np.uint16) * np.uint16(257 if data[:4] == b"\x89PNG" else 256)
    return array


# -- writing ---------------------------------------------------------------------------------------------------------


def _bytes_of(image: np.ndarray, write: Callable[[np.ndarray], bytes]) -> np.ndarray:
    """Each image (h, w, c) of a batch of any rank as a string."""
    if image.ndim < 3:
        raise ShapeError(f"image must have rank at least 3, received shape {list(image.shape)}")
    out = np.empty(image.shape[:-3], object)
    for index in np.ndindex(out.shape):
        out[index] = write(image[index])
    return out


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _write_png(image: np.ndarray, compression: int) -> bytes:
    height, width, channels = image.shape
    if channels not in (1, 2, 3, 4):
        raise ShapeError(f"image must have 1, 2, 3, or 4 channels, received shape {list(image.shape)}")
    if not 0 < width < 1 << 27 or not 0 < height < 1 << 27 or width * height >= _MOST_PIXELS:
        raise LimitError(f"PNG: expected at least 1 and fewer than {_MOST_PIXELS} pixels, received {height} x {width}")
    depth, color = 8 * image.dtype.itemsize, {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    flat = np.ascontiguousarray(image).astype(image.dtype.newbyteorder(">")).tobytes()
    rows = np.frombuffer(flat, np.uint8).reshape(height, -1)
    # Filter 2 (difference to the row above) suits photographs better than none and is one subtraction here.
    filtered = np.concatenate([rows[:1], rows[1:] - rows[:-1]])
    body = np.concatenate([np.full((height, 1), 2, np.uint8), filtered], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    data = zlib.compress(body, compression if compression >= 0 else 6)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _written_shape(ctx: Any) -> Any:
    shape = ctx.shape(0)
    if shape.rank is None:
        return unknown_shape()
    if shape.rank < 3:
        raise ShapeError(f"image must have rank at least 3, received shape {shape}")
    return TensorShape(shape.as_list()[:-3])


png_writer = op("EncodePng(image: T) -> (contents: string); compression: int = -1; T: {uint8, uint16} = uint8").not_differentiable()
png_writer.infer(_written_shape)


@png_writer.kernel
def _(image: Any, *, compression: int) -> np.ndarray:
    if not -1 <= compression <= 9:
        raise InvalidArgumentError(f"compression should be in [-1,9], got {compression}")
    return _bytes_of(image, lambda one: _write_png(one, compression))


def _write_jpeg(image: np.ndarray, **options: Any) -> bytes:
    channels = image.shape[2]
    if channels not in (1, 3) or 0 in image.shape or max(image.shape) > 65535:
        raise ShapeError(f"JPEG: expected an image (h, w, 1) or (h, w, 3) of at most 65535 pixels a side, received shape {list(image.shape)}")
    if not 0 <= options["quality"] <= 100:
        raise InvalidArgumentError(f"quality must be in [0,100], got {options['quality']}")
    picture = _pillow().fromarray(np.ascontiguousarray(image[:, :, 0] if channels == 1 else image))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", **options)
    return stream.getvalue()


jpeg_writer = op("EncodeJpeg(image: uint8) -> (contents: string); format: {'', 'grayscale', 'rgb'} = \"\"; quality: int = 95; progressive: bool = false; optimize_size: bool = false; chroma_downsampling: bool = true; density_unit: {'in', 'cm'} = \"in\"; x_density: int = 300; y_density: int = 300; xmp_metadata: string = \"\"").not_differentiable()  # fmt: skip
jpeg_writer.infer(lambda ctx: TensorShape([]))


@jpeg_writer.kernel
def _(
    image: Any, *, format: bytes, quality: int, progressive: bool, optimize_size: bool, chroma_downsampling: bool, density_unit: bytes,
    x_density: int, y_density: int, xmp_metadata: bytes,
) -> Any:  # fmt: skip
    wanted = {b"": (1, 3), b"grayscale": (1,), b"rgb": (3,)}[format]
    if image.ndim != 3 or image.shape[2] not in wanted:
        raise ShapeError(f"image must be 3-dimensional with {' or '.join(map(str, wanted))} channels, received shape {list(image.shape)}")
    unit = 2.54 if density_unit == b"cm" else 1.0
    options: dict[str, Any] = {"xmp": xmp_metadata} if xmp_metadata else {}
    if image.shape[2] == 3:
        options["subsampling"] = 2 if chroma_downsampling else 0
    return _bytes_of(
        image,
        lambda one: _write_jpeg(
            one, quality=quality, progressive=progressive, optimize=optimize_size, dpi=(round(x_density * unit), round(y_density * unit)), **options
        ),
    )


quality_writer = op("EncodeJpegVariableQuality(images: uint8, quality: int32) -> (contents: string)").not_differentiable()
quality_writer.infer(lambda ctx: TensorShape([]))
quality_writer.kernel(lambda image, quality: _bytes_of(image, lambda one: _write_jpeg(one, quality=int(quality), dpi=(300, 300))))


# -- tf.io and tf.image ----------------------------------------------------------------------------------------------


@public("io.decode_png", "image.decode_png")
def decode_png(contents, channels=0, dtype=dtypes.uint8, name=None):
    """A PNG file as pixels (h, w, channels)."""
    return raw.DecodePng(contents, channels=channels, dtype=as_dtype(dtype), name=name)


@public("io.decode_jpeg", "image.decode_jpeg")
def decode_jpeg(
    contents, channels=0, ratio=1, fancy_upscaling=True, try_recover_truncated=False, acceptable_fraction=1, dct_method="", name=None
):
    """A JPEG file as pixels (h, w, channels)."""
    return raw.DecodeJpeg(
        contents, channels=channels, ratio=ratio, fancy_upscaling=fancy_upscaling, try_recover_truncated=try_recover_truncated,
        acceptable_fraction=acceptable_fraction, dct_method=dct_method, name=name,
    )  # fmt: skip


@public("io.decode_and_crop_jpeg", "image.decode_and_crop_jpeg")
def decode_and_crop_jpeg(
    contents, crop_window, channels=0, ratio=1, fancy_upscaling=True, try_recover_truncated=False, acceptable_fraction=1, dct_method="", name=None
):
    """The window (top, left, height, width) of a JPEG file as pixels."""
    return raw.DecodeAndCropJpeg(
        contents, crop_window, channels=channels, ratio=ratio, fancy_upscaling=fancy_upscaling, try_recover_truncated=try_recover_truncated,
        acceptable_fraction=acceptable_fraction, dct_method=dct_method, name=name,
    )  # fmt: skip


@public("io.extract_jpeg_shape", "image.extract_jpeg_shape")
def extract_jpeg_shape(contents, output_type=dtypes.int32, name=None):
    """Height, width and channels of a JPEG file."""
    return raw.ExtractJpegShape(contents, output_type=as_dtype(output_type), name=name)


@public("io.decode_gif", "image.decode_gif")
def decode_gif(contents, name=None):
    """A GIF file as pixels (frames, h, w, 3)."""
    return raw.DecodeGif(contents, name=name)


@public("io.decode_bmp", "image.decode_bmp")
def decode_bmp(contents, channels=0, name=None):
    """A BMP file as pixels (h, w, channels)."""
    return raw.DecodeBmp(contents, channels=channels, name=name)


@public("io.decode_image", "image.decode_image")
def decode_image(contents, channels=None, dtype=dtypes.uint8, name=None, expand_animations=True):
    """A PNG, JPEG, GIF or BMP file as pixels; animations have one dimension more unless `expand_animations` is False."""
    dtype = as_dtype(dtype)
    direct = dtype in (dtypes.float32, dtypes.uint8, dtypes.uint16)
    found = raw.DecodeImage(
        contents, channels=channels or 0, dtype=dtype if direct else dtypes.uint16, expand_animations=expand_animations, name=name
    )
    return found if direct else tf.image.convert_image_dtype(found, dtype)


@public("io.encode_png", "image.encode_png")
def encode_png(image, compression=-1, name=None):
    """Images (…, h, w, c) of uint8 or uint16 as PNG files."""
    return raw.EncodePng(convert_to_tensor(image), compression=compression, name=name)


@public("io.encode_jpeg", "image.encode_jpeg")
def encode_jpeg(
    image, format="", quality=95, progressive=False, optimize_size=False, chroma_downsampling=True, density_unit="in", x_density=300,
    y_density=300, xmp_metadata="", name=None,
):  # fmt: skip
    """An image (h, w, 1 or 3) of uint8 as a JPEG file."""
    return raw.EncodeJpeg(
        image, format=format, quality=quality, progressive=progressive, optimize_size=optimize_size, chroma_downsampling=chroma_downsampling,
        density_unit=density_unit, x_density=x_density, y_density=y_density, xmp_metadata=xmp_metadata, name=name,
    )  # fmt: skip


@public("io.is_jpeg", "image.is_jpeg")
def is_jpeg(contents, name=None):
    """Whether contents begin as JPEG files do."""
    return raw.Equal(raw.Substr(contents, 0, 3), convert_to_tensor(b"\xff\xd8\xff"), name=name)
