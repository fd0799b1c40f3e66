"""Ops that sample images at other places: resizing, cropping with resizing, scaling, projective transforms, and their gradients.

Interpolation weights and the order of sums are those of TensorFlow 2.15's CPU kernels, in float32. The tf.image functions on these ops
live in image.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, OutOfRangeError, ShapeError
from tracer.gradient_rules import shape_of
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape

__all__: list[str] = []

_F = np.float32

# -- sizes and scales ------------------------------------------------------------------------------------------------


def _resized_shape(ctx: Any) -> Any:
    size = ctx.value_as_shape(1)
    images = ctx.shape(0)
    if images.rank not in (None, 4):
        raise ShapeError(f"input must be 4-dimensional, received {images}")
    batch, depth = (images[0], images[3]) if images.rank == 4 else (None, None)
    height, width = (size[0], size[1]) if size.rank == 2 else (None, None)
    return TensorShape([batch, height, width, depth])


def _output_size(images: np.ndarray, size: np.ndarray, align_corners: bool, half_pixel_centers: bool) -> tuple[int, int]:
    """The checked size of a resize op's output."""
    if half_pixel_centers and align_corners:
        raise InvalidArgumentError("If half_pixel_centers is True, align_corners must be False.")
    if images.ndim != 4:
        raise ShapeError(f"input must be 4-dimensional, received shape {list(images.shape)}")
    if size.shape != (2,):
        raise ShapeError(f"size must have two elements, received shape {list(size.shape)}")
    if images.shape[3] <= 0:
        raise ShapeError("image must have at least one channel")
    if images.shape[1] <= 0 or images.shape[2] <= 0:
        raise ShapeError("input image must be of non-zero size")
    height, width = int(size[0]), int(size[1])
    if height <= 0 or width <= 0:
        raise InvalidArgumentError(f"output dimensions must be positive, received {height}, {width}")
    return height, width


def _scale(in_size: int, out_size: int, align_corners: bool) -> np.float32:
    if align_corners and in_size > 1 and out_size > 1:
        return _F(in_size - 1) / _F(out_size - 1)
    return _F(in_size) / _F(out_size)


def _source(out_size: int, scale: np.float32, half_pixel_centers: bool) -> np.ndarray:
    """Where in the input each output pixel lies."""
    x = np.arange(out_size, dtype=_F)
    return (x + _F(0.5)) * scale - _F(0.5) if half_pixel_centers else x * scale


def _weight_matrix(indices: list[np.ndarray], weights: list[np.ndarray], in_size: int, dtype: Any) -> np.ndarray:
    """(out, in) matrix of the taps, for gradients."""
    out = np.zeros((len(indices[0]), in_size), dtype)
    rows = np.arange(len(indices[0]))
    for index, weight in zip(indices, weights, strict=True):
        np.add.at(out, (rows, index), weight.astype(dtype))
    return out


def _spread(grads: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Transpose of a separable resize: grads (b, h, w, c), matrices (h, in_h) and (w, in_w)."""
    narrow = np.einsum("bhwc,hi->biwc", grads, rows, optimize=True)
    return np.einsum("biwc,wj->bijc", narrow, columns, optimize=True)


# -- bilinear --------------------------------------------------------------------------------------------------------


def _linear_taps(out_size: int, in_size: int, align_corners: bool, half_pixel_centers: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = _source(out_size, _scale(in_size, out_size, align_corners), half_pixel_centers)
    floor = np.floor(at)
    lower = np.maximum(floor.astype(np.int64), 0)
    upper = np.minimum(np.ceil(at).astype(np.int64), in_size - 1)
    return np.minimum(lower, in_size - 1), upper, at - floor


bilinear_op = op("ResizeBilinear(images: T, size: int32) -> (resized_images: float); T: {int8, uint8, int16, uint16, int32, int64, bfloat16, half, float, double, bfloat16}; align_corners: bool = false; half_pixel_centers: bool = false")  # fmt: skip
bilinear_op.infer(_resized_shape)


@bilinear_op.kernel
def _(images: np.ndarray, size: np.ndarray, *, align_corners: bool, half_pixel_centers: bool) -> np.ndarray:
    height, width = _output_size(images, size, align_corners, half_pixel_centers)
    if images.shape[1:3] == (height, width):
        return images.astype(_F)
    y0, y1, dy = _linear_taps(height, images.shape[1], align_corners, half_pixel_centers)
    x0, x1, dx = _linear_taps(width, images.shape[2], align_corners, half_pixel_centers)
    dx, dy = dx[:, None], dy[:, None, None]

    def across(rows: np.ndarray) -> np.ndarray:
        left = np.take(rows, x0, axis=2).astype(_F, copy=False)
        out = np.take(rows, x1, axis=2).astype(_F, copy=False)
        out -= left
        out *= dx
        out += left
        return out

    if images.shape[1] < 2 * height:  # cheaper to interpolate every row once
        lines = across(images)
        top, out = np.take(lines, y0, axis=1), np.take(lines, y1, axis=1)
    else:
        top, out = across(np.take(images, y0, axis=1)), across(np.take(images, y1, axis=1))
    out -= top
    out *= dy
    out += top
    return out


@bilinear_op.gradient
def _(node: Any, grad: Any) -> Any:
    image = node.inputs[0]
    if not image.dtype.is_floating:
        return None, None
    return raw.ResizeBilinearGrad(
        grad, image, align_corners=node.attr("align_corners"), half_pixel_centers=node.attr("half_pixel_centers")
    ), None


bilinear_grad_op = op("ResizeBilinearGrad(grads: float, original_image: T) -> (output: T); T: {float, bfloat16, half, double}; align_corners: bool = false; half_pixel_centers: bool = false")  # fmt: skip
bilinear_grad_op.infer(infer.like_input(1))


@bilinear_grad_op.kernel
def _(grads: np.ndarray, image: np.ndarray, *, align_corners: bool, half_pixel_centers: bool) -> np.ndarray:
    _output_size(image, np.array(grads.shape[1:3]), align_corners, half_pixel_centers)
    wide = np.float64 if image.dtype == np.float64 else _F
    matrices = []
    for axis in (1, 2):
        lower, upper, delta = _linear_taps(grads.shape[axis], image.shape[axis], align_corners, half_pixel_centers)
        matrices.append(_weight_matrix([lower, upper], [_F(1) - delta, delta], image.shape[axis], wide))
    return _spread(grads.astype(wide), *matrices).astype(image.dtype)


# -- nearest neighbour -----------------------------------------------------------------------------------------------


def _nearest(out_size: int, in_size: int, align_corners: bool, half_pixel_centers: bool) -> np.ndarray:
    scale = _scale(in_size, out_size, align_corners)
    x = np.arange(out_size, dtype=_F)
    at = (x + _F(0.5)) * scale if half_pixel_centers else x * scale
    index = np.floor(at + _F(0.5)) if align_corners else np.floor(at)
    return np.clip(index.astype(np.int64), 0, in_size - 1)


nearest_op = op("ResizeNearestNeighbor(images: T, size: int32) -> (resized_images: T); T: {int8, uint8, int16, uint16, int32, int64, half, float, double, bfloat16}; align_corners: bool = false; half_pixel_centers: bool = false")  # fmt: skip
nearest_op.infer(_resized_shape)


@nearest_op.kernel
def _(images: np.ndarray, size: np.ndarray, *, align_corners: bool, half_pixel_centers: bool) -> np.ndarray:
    height, width = _output_size(images, size, align_corners, half_pixel_centers)
    rows = _nearest(height, images.shape[1], align_corners, half_pixel_centers)
    columns = _nearest(width, images.shape[2], align_corners, half_pixel_centers)
    return np.ascontiguousarray(images[:, rows][:, :, columns])


@nearest_op.gradient
def _(node: Any, grad: Any) -> Any:
    size = shape_of(node.inputs[0])[1:3]
    attrs = {"align_corners": node.attr("align_corners"), "half_pixel_centers": node.attr("half_pixel_centers")}
    return raw.ResizeNearestNeighborGrad(grad, size, **attrs), None


nearest_grad_op = op("ResizeNearestNeighborGrad(grads: T, size: int32) -> (output: T); T: {uint8, int8, int32, half, float, double, bfloat16}; align_corners: bool = false; half_pixel_centers: bool = false")  # fmt: skip
nearest_grad_op.infer(_resized_shape)


@nearest_grad_op.kernel
def _(grads: np.ndarray, size: np.ndarray, *, align_corners: bool, half_pixel_centers: bool) -> np.ndarray:
    height, width = _output_size(grads, size, align_corners, half_pixel_centers)
    rows = _nearest(grads.shape[1], height, align_corners, half_pixel_centers)
    columns = _nearest(grads.shape[2], width, align_corners, half_pixel_centers)
    wide = _F if grads.dtype.kind in "fV" and grads.dtype.itemsize < 4 else grads.dtype
    narrow = np.zeros((grads.shape[0], height, *grads.shape[2:]), wide)
    np.add.at(narrow, (slice(None), rows), grads.astype(wide))
    out = np.zeros((grads.shape[0], height, width, grads.shape[3]), wide)
    np.add.at(out, (slice(None), slice(None), columns), narrow)
    return out.astype(grads.dtype)


@nearest_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    attrs = {"align_corners": node.attr("align_corners"), "half_pixel_centers": node.attr("half_pixel_centers")}
    return raw.ResizeNearestNeighbor(grad, shape_of(node.inputs[0])[1:3], **attrs), None


# -- bicubic ---------------------------------------------------------------------------------------------------------

_TABLE_SIZE = 1024


def _cubic_table(a: float) -> tuple[np.ndarray, np.ndarray]:
    x = (np.arange(_TABLE_SIZE + 1) / _TABLE_SIZE).astype(_F)
    near = (((a + 2) * x.astype(np.float64) - (a + 3)) * x * x + 1).astype(_F)
    x = (x.astype(np.float64) + 1.0).astype(_F).astype(np.float64)
    far = (((a * x - 5 * a) * x + 8 * a) * x - 4 * a).astype(_F)
    return near, far


_TABLES = {True: _cubic_table(-0.5), False: _cubic_table(-0.75)}


def _cubic_taps(out_size: int, in_size: int, align_corners: bool, half_pixel_centers: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    at = _source(out_size, _scale(in_size, out_size, align_corners), half_pixel_centers)
    base = np.floor(at).astype(np.int64)
    offset = np.rint((at - base.astype(_F)) * _F(_TABLE_SIZE)).astype(np.int64)
    near, far = _TABLES[half_pixel_centers]
    weights = [far[offset], near[offset], near[_TABLE_SIZE - offset], far[_TABLE_SIZE - offset]]
    wanted = [base - 1, base, base + 1, base + 2]
    indices = [np.clip(i, 0, in_size - 1) for i in wanted]
    if half_pixel_centers:  # taps outside of the image count nothing, and the rest is scaled to a sum of one
        weights = [np.where(i == w, weight, _F(0)) for i, w, weight in zip(indices, wanted, weights, strict=True)]
        total = ((weights[0] + weights[1]) + weights[2]) + weights[3]
        usable = np.abs(total) >= _F(1000) * np.finfo(_F).tiny
        factor = np.where(usable, _F(1) / np.where(usable, total, _F(1)), _F(1))
        weights = [w * factor for w in weights]
    return indices, weights


def _take(values: np.ndarray, axis: int, indices: list[np.ndarray], weights: list[np.ndarray]) -> np.ndarray:
    """The weighted sum of taps along `axis` of (b, h, w, c), in float32."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    out = None
    for index, weight in zip(indices, weights, strict=True):
        term = np.take(values, index, axis=axis).astype(_F, copy=False) * weight.reshape(shape)
        out = term if out is None else out + term
    assert out is not None
    return out


bicubic_op = op("ResizeBicubic(images: T, size: int32) -> (resized_images: float); T: {int8, uint8, int16, uint16, int32, int64, half, float, double, bfloat16}; align_corners: bool = false; half_pixel_centers: bool = false")  # fmt: skip
bicubic_op.infer(_resized_shape)


@bicubic_op.kernel
def _(images: np.ndarray, size: np.ndarray, *, align_corners: bool, half_pixel_centers: bool) -> np.ndarray:
    height, width = _output_size(images, size, align_corners, half_pixel_centers)
    rows = _take(images, 1, *_cubic_taps(height, images.shape[1], align_corners, half_pixel_centers))
    return _take(rows, 2, *_cubic_taps(width, images.shape[2], align_corners, half_pixel_centers))


@bicubic_op.gradient
def _(node: Any, grad: Any) -> Any:
    image = node.inputs[0]
    if image.dtype not in (dtypes.float32, dtypes.float64):
        return None, None
    attrs = {"align_corners": node.attr("align_corners"), "half_pixel_centers": node.attr("half_pixel_centers")}
    return raw.ResizeBicubicGrad(grad, image, **attrs), None


bicubic_grad_op = op("ResizeBicubicGrad(grads: float, original_image: T) -> (output: T); T: {float, double}; align_corners: bool = false; half_pixel_centers: bool = false")  # fmt: skip
bicubic_grad_op.infer(infer.like_input(1))


@bicubic_grad_op.kernel
def _(grads: np.ndarray, image: np.ndarray, *, align_corners: bool, half_pixel_centers: bool) -> np.ndarray:
    _output_size(image, np.array(grads.shape[1:3]), align_corners, half_pixel_centers)
    matrices = []
    for axis in (1, 2):
        taps = _cubic_taps(grads.shape[axis], image.shape[axis], align_corners, half_pixel_centers)
        matrices.append(_weight_matrix(*taps, image.shape[axis], image.dtype))
    return _spread(grads.astype(image.dtype), *matrices)


# -- area ------------------------------------------------------------------------------------------------------------


def _area_taps(out_size: int, in_size: int, align_corners: bool) -> tuple[list[np.ndarray], list[np.ndarray], np.float32]:
    scale = _scale(in_size, out_size, align_corners)
    low = np.arange(out_size, dtype=_F) * scale
    high = np.arange(1, out_size + 1, dtype=_F) * scale
    start, stop = np.floor(low).astype(np.int64), np.ceil(high).astype(np.int64)
    indices, weights = [], []
    for k in range(int((stop - start).max())):
        index = start + k
        at, after = index.astype(_F), (index + 1).astype(_F)
        weight = np.where(
            at < low, np.where(after > high, scale, after - low), np.where(after > high, high - at, _F(1))
        )  # fmt: skip
        indices.append(np.clip(index, 0, in_size - 1))
        weights.append(np.where(index < stop, weight, _F(0)))
    return indices, weights, scale


area_op = op("ResizeArea(images: T, size: int32) -> (resized_images: float); T: {int8, uint8, int16, uint16, int32, int64, half, float, double, bfloat16}; align_corners: bool = false")  # fmt: skip
area_op.infer(_resized_shape)


@area_op.kernel
def _(images: np.ndarray, size: np.ndarray, *, align_corners: bool) -> np.ndarray:
    height, width = _output_size(images, size, align_corners, False)
    *rows, row_scale = _area_taps(height, images.shape[1], align_corners)
    *columns, column_scale = _area_taps(width, images.shape[2], align_corners)
    return _take(_take(images, 2, *columns), 1, *rows) * _F(1.0 / (row_scale * column_scale))


# -- scale and translate ---------------------------------------------------------------------------------------------


def _lanczos(radius: float) -> Callable[[np.ndarray], np.ndarray]:
    r, pi = _F(radius), _F(3.14159265359)

    def kernel(x: np.ndarray) -> np.ndarray:
        safe = np.where(x <= 1e-3, _F(1), x)
        value = r * np.sin(pi * safe) * np.sin(pi * safe / r) / (pi * pi * safe * safe)
        return np.where(x > r, _F(0), np.where(x <= 1e-3, _F(1), value))

    return kernel


def _gaussian(x: np.ndarray) -> np.ndarray:
    sigma = 0.5
    wide = (-x * x).astype(np.float64)
    return np.where(x >= _F(1.5), _F(0), np.exp(wide / (2.0 * sigma * sigma)).astype(_F))


def _box(x: np.ndarray) -> np.ndarray:
    return np.where(x < _F(0.5), _F(1), np.where(x == _F(0.5), _F(0.5), _F(0)))


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.where(x < _F(1), _F(1) - x, _F(0))


def _keys(x: np.ndarray) -> np.ndarray:
    outer = ((_F(-0.5) * x + _F(2.5)) * x - _F(4)) * x + _F(2)
    return np.where(x >= _F(2), _F(0), np.where(x >= _F(1), outer, ((_F(1.5) * x - _F(2.5)) * x) * x + _F(1)))


def _mitchell(x: np.ndarray) -> np.ndarray:
    outer = ((_F(-7) / _F(18) * x + _F(2)) * x - _F(10) / _F(3)) * x + _F(16) / _F(9)
    return np.where(x >= _F(2), _F(0), np.where(x >= _F(1), outer, ((_F(7) / _F(6) * x - _F(2)) * x) * x + _F(8) / _F(9)))


_KERNELS: dict[bytes, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    b"lanczos1": (1.0, _lanczos(1.0)),
    b"lanczos3": (3.0, _lanczos(3.0)),
    b"lanczos5": (5.0, _lanczos(5.0)),
    b"gaussian": (1.5, _gaussian),
    b"box": (1.0, _box),
    b"triangle": (1.0, _triangle),
    b"keyscubic": (2.0, _keys),
    b"mitchellcubic": (2.0, _mitchell),
}


def _spans(
    kernel_type: bytes, out_size: int, in_size: int, scale: Any, translation: Any, antialias: bool
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Taps of one dimension: for each, the input index and the weight of every output pixel."""
    if kernel_type.lower() not in _KERNELS:
        names = ", ".join(k.decode() for k in _KERNELS)
        raise InvalidArgumentError(f"Unrecognized kernel type: {kernel_type.decode()!r}; expected one of {names}")
    radius, kernel = _KERNELS[kernel_type.lower()]
    inverse = _F(1.0 / float(scale))
    shift = -inverse * _F(translation)
    stretch = max(inverse, _F(1)) if antialias else _F(1)
    reach = _F(radius) * stretch
    sample = (np.arange(out_size, dtype=_F) + _F(0.5)) * inverse + shift
    inside = ~((sample < 0) | (sample > _F(in_size)))
    start = np.clip(np.ceil(np.where(inside, sample - reach - _F(0.5), 0)).astype(np.int64), 0, in_size - 1)
    stop = np.clip(np.floor(np.where(inside, sample + reach - _F(0.5), 0)).astype(np.int64), 0, in_size - 1) + 1
    count = int((stop - start).max()) if out_size else 0
    indices, weights, total = [], [], np.zeros(out_size, _F)
    for k in range(count):
        index = start + k
        at = (index.astype(_F) + _F(0.5)) - sample
        weight = np.where(index < stop, kernel(np.abs(at * (_F(1) / stretch))), _F(0)).astype(_F)
        total = total + weight
        indices.append(np.minimum(index, in_size - 1))
        weights.append(weight)
    usable = inside & (np.abs(total) >= _F(1000) * np.finfo(_F).tiny)
    factor = np.where(usable, _F(1) / np.where(usable, total, _F(1)), _F(0))
    return indices, [w * factor for w in weights]


def _pairs(scale: np.ndarray, translation: np.ndarray) -> None:
    if scale.shape != (2,) or translation.shape != (2,):
        raise ShapeError(f"scale and translation must have two elements, received shapes {list(scale.shape)}, {list(translation.shape)}")
    if not (scale > 0).all():
        raise InvalidArgumentError(f"Scale must be greater than zero, received {scale.tolist()}")


scale_op = op("ScaleAndTranslate(images: T, size: int32, scale: float, translation: float) -> (resized_images: float); T: {int8, uint8, int16, uint16, int32, int64, bfloat16, half, float, double}; kernel_type: string = \"lanczos3\"; antialias: bool = true")  # fmt: skip
scale_op.infer(_resized_shape)


@scale_op.kernel
def _(images: Any, size: Any, scale: Any, translation: Any, *, kernel_type: bytes, antialias: bool) -> np.ndarray:
    height, width = _output_size(images, size, False, False)
    _pairs(scale, translation)
    rows = _spans(kernel_type, height, images.shape[1], scale[0], translation[0], antialias)
    columns = _spans(kernel_type, width, images.shape[2], scale[1], translation[1], antialias)
    return _take(_take(images, 1, *rows), 2, *columns)


@scale_op.gradient
def _(node: Any, grad: Any) -> Any:
    image, _, scale, translation = node.inputs
    if image.dtype is not dtypes.float32:
        image = raw.Cast(image, DstT=dtypes.float32)
    attrs = {"kernel_type": node.attr("kernel_type"), "antialias": node.attr("antialias")}
    found = raw.ScaleAndTranslateGrad(grad, image, scale, translation, **attrs)
    return (found if node.inputs[0].dtype is dtypes.float32 else raw.Cast(found, DstT=node.inputs[0].dtype)), None, None, None


scale_grad_op = op("ScaleAndTranslateGrad(grads: T, original_image: T, scale: float, translation: float) -> (output: T); T: {float}; kernel_type: string = \"lanczos3\"; antialias: bool = true")  # fmt: skip
scale_grad_op.infer(infer.like_input(1))


@scale_grad_op.kernel
def _(grads: Any, image: Any, scale: Any, translation: Any, *, kernel_type: bytes, antialias: bool) -> np.ndarray:
    _pairs(scale, translation)
    matrices = []
    for axis in (1, 2):
        taps = _spans(kernel_type, grads.shape[axis], image.shape[axis], scale[axis - 1], translation[axis - 1], antialias)
        matrices.append(_weight_matrix(*taps, image.shape[axis], _F))
    return _spread(grads, *matrices)


# -- crop and resize -------------------------------------------------------------------------------------------------


def _check_boxes(boxes: np.ndarray, box_index: np.ndarray, batch: int) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes must be 2-D with 4 columns, received shape {list(boxes.shape)}")
    if box_index.shape != (len(boxes),):
        raise ShapeError(f"box_index must have shape [{len(boxes)}], received {list(box_index.shape)}")
    if len(boxes) and not (0 <= box_index.min() and box_index.max() < batch):
        raise OutOfRangeError(f"box_index has values outside [0, batch_size): {box_index.tolist()}, batch size {batch}")


def _grid(low: np.float32, high: np.float32, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where along one image dimension the samples of one box lie, and which of them lie inside."""
    if count > 1:
        step = (high - low) * _F(size - 1) / _F(count - 1)
        at = low * _F(size - 1) + np.arange(count, dtype=_F) * step
    else:
        at = np.array([0.5 * float(low + high) * (size - 1)], _F)
    return at, ~((at < 0) | (at > _F(size - 1)))


def _corners(at: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    at = np.where(inside, at, _F(0))
    low = np.floor(at).astype(np.int64)
    return low, np.ceil(at).astype(np.int64), at - low.astype(_F)


def _closest(at: np.ndarray, inside: np.ndarray) -> np.ndarray:
    return np.floor(np.where(inside, at, _F(0)) + _F(0.5)).astype(np.int64)


crop_op = op("CropAndResize(image: T, boxes: float, box_ind: int32, crop_size: int32) -> (crops: float); T: {uint8, uint16, int8, int16, int32, int64, half, float, double}; method: {'bilinear', 'nearest'} = \"bilinear\"; extrapolation_value: float = 0.0")  # fmt: skip


@crop_op.infer
def _(ctx: Any) -> Any:
    size = ctx.value_as_shape(3)
    height, width = (size[0], size[1]) if size.rank == 2 else (None, None)
    count = ctx.shape(1)[0] if ctx.rank(1) == 2 else None
    return TensorShape([count, height, width, ctx.shape(0)[3] if ctx.rank(0) == 4 else None])


@crop_op.kernel
def _(image: Any, boxes: Any, box_index: Any, crop_size: Any, *, method: bytes, extrapolation_value: float) -> np.ndarray:
    if image.ndim != 4 or image.shape[1] <= 0 or image.shape[2] <= 0:
        raise ShapeError(f"input image must be 4-D with positive dimensions, received shape {list(image.shape)}")
    if crop_size.shape != (2,) or (crop_size <= 0).any():
        raise InvalidArgumentError(f"crop_size must be two positive numbers, received {crop_size.tolist()}")
    _check_boxes(boxes, box_index, image.shape[0])
    if not np.isfinite(boxes).all():
        raise InvalidArgumentError("Boxes contains at least one element that is not finite")
    height, width = (int(v) for v in crop_size)
    out = np.empty((len(boxes), height, width, image.shape[3]), _F)
    for b, (y1, x1, y2, x2) in enumerate(boxes):
        ys, y_in = _grid(y1, y2, height, image.shape[1])
        xs, x_in = _grid(x1, x2, width, image.shape[2])
        source = image[box_index[b]]
        if method == b"bilinear":
            top, bottom, dy = _corners(ys, y_in)
            left, right, dx = _corners(xs, x_in)
            dx, dy = dx[:, None], dy[:, None, None]
            upper, lower = source[top].astype(_F), source[bottom].astype(_F)
            upper = upper[:, left] + (upper[:, right] - upper[:, left]) * dx
            lower = lower[:, left] + (lower[:, right] - lower[:, left]) * dx
            values = upper + (lower - upper) * dy
        else:
            values = source[_closest(ys, y_in)][:, _closest(xs, x_in)].astype(_F)
        out[b] = np.where((y_in[:, None] & x_in)[:, :, None], values, _F(extrapolation_value))
    return out


@crop_op.gradient
def _(node: Any, grad: Any) -> Any:
    image, boxes, box_index, _ = node.inputs
    to_image = None
    if image.dtype in (dtypes.float16, dtypes.float32, dtypes.float64):
        to_image = raw.CropAndResizeGradImage(grad, boxes, box_index, shape_of(image), T=image.dtype, method=node.attr("method"))
    return to_image, raw.CropAndResizeGradBoxes(grad, image, boxes, box_index), None, None


crop_grad_image_op = op("CropAndResizeGradImage(grads: float, boxes: float, box_ind: int32, image_size: int32) -> (output: T); T: {float, half, double}; method: {'bilinear', 'nearest'} = \"bilinear\"")  # fmt: skip


@crop_grad_image_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.value_as_shape(3)
    return shape if shape.rank == 4 else unknown_shape(4)


@crop_grad_image_op.kernel
def _(grads: Any, boxes: Any, box_index: Any, image_size: Any, *, T: Any, method: bytes) -> np.ndarray:
    batch, height, width, depth = (int(v) for v in image_size)
    _check_boxes(boxes, box_index, batch)
    if grads.ndim != 4 or len(grads) != len(boxes) or grads.shape[3] != depth:
        raise ShapeError(f"boxes, image_size and grads are incompatible: {list(boxes.shape)}, {image_size.tolist()}, {list(grads.shape)}")
    out = np.zeros((batch, height, width, depth), np.float64 if T is dtypes.float64 else _F)
    for b, (y1, x1, y2, x2) in enumerate(boxes):
        ys, y_in = _grid(y1, y2, grads.shape[1], height)
        xs, x_in = _grid(x1, x2, grads.shape[2], width)
        g = np.where((y_in[:, None] & x_in)[:, :, None], grads[b], _F(0))
        target = out[box_index[b]]
        if method == b"nearest":
            np.add.at(target, (_closest(ys, y_in)[:, None], _closest(xs, x_in)[None]), g)
            continue
        top, bottom, dy = _corners(ys, y_in)
        left, right, dx = _corners(xs, x_in)
        dx, dy = dx[:, None], dy[:, None, None]
        for rows, part in ((top, (_F(1) - dy) * g), (bottom, dy * g)):
            np.add.at(target, (rows[:, None], left[None]), (_F(1) - dx) * part)
            np.add.at(target, (rows[:, None], right[None]), dx * part)
    return out.astype(T.numpy)


crop_grad_boxes_op = op("CropAndResizeGradBoxes(grads: float, image: T, boxes: float, box_ind: int32) -> (output: float); T: {uint8, uint16, int8, int16, int32, int64, half, float, double}; method: {'bilinear'} = \"bilinear\"")  # fmt: skip
crop_grad_boxes_op.infer(infer.like_input(2))


@crop_grad_boxes_op.kernel
def _(grads: Any, image: Any, boxes: Any, box_index: Any) -> np.ndarray:
    _check_boxes(boxes, box_index, image.shape[0])
    if grads.ndim != 4 or len(grads) != len(boxes) or grads.shape[3] != image.shape[3]:
        raise ShapeError(f"boxes, image and grads are incompatible: {list(boxes.shape)}, {list(image.shape)}, {list(grads.shape)}")
    out = np.zeros(boxes.shape, _F)
    _, rows, columns, _ = grads.shape
    height, width = image.shape[1:3]
    for b, (y1, x1, y2, x2) in enumerate(boxes):
        ys, y_in = _grid(y1, y2, rows, height)
        xs, x_in = _grid(x1, x2, columns, width)
        source = image[box_index[b]]
        top, bottom, dy = _corners(ys, y_in)
        left, right, dx = _corners(xs, x_in)
        dx, dy = dx[:, None], dy[:, None, None]
        upper, lower = source[top].astype(_F), source[bottom].astype(_F)
        tl, tr, bl, br = upper[:, left], upper[:, right], lower[:, left], lower[:, right]
        g = np.where((y_in[:, None] & x_in)[:, :, None], grads[b], _F(0))
        along_y = (((_F(1) - dx) * (bl - tl) + dx * (br - tr)) * g).sum(axis=(1, 2))
        along_x = (((_F(1) - dy) * (tr - tl) + dy * (br - bl)) * g).sum(axis=(0, 2))
        for first, along, count, size in ((0, along_y, rows, height), (1, along_x, columns, width)):
            if count > 1:
                reach = np.arange(count, dtype=_F) * (_F(size - 1) / _F(count - 1))
            else:
                reach = np.array([0.5 * (size - 1)], _F)
            out[b, first] = (along * (_F(size - 1) - reach)).sum()
            out[b, first + 2] = (along * reach).sum()
    return out


# -- projective transforms -------------------------------------------------------------------------------------------


def _mapped(at: np.ndarray, size: int, mode: bytes) -> np.ndarray:
    """Coordinates outside of the image as the fill mode maps them."""
    if mode == b"CONSTANT":
        return at
    if mode == b"NEAREST":
        return np.clip(at, _F(0), _F(size - 1))
    if mode == b"REFLECT":
        if size <= 1:
            return np.clip(at, _F(0), _F(0))
        double = 2 * size
        low = _F(double) * np.trunc(-at / _F(double)) + at
        low = np.where(at < _F(double), low, at)
        low = np.where(low < _F(-size), low + _F(double), -low - _F(1))
        high = at - _F(double) * np.trunc(at / _F(double))
        high = np.where(high >= _F(size), _F(double) - high - _F(1), high)
    elif mode == b"WRAP":
        if size <= 1:
            return np.clip(at, _F(0), _F(0))
        low = at + _F(size) * (np.trunc(-at / _F(size - 1)) + _F(1))
        high = at - _F(size) * np.trunc(at / _F(size - 1))
    else:
        raise InvalidArgumentError(f"Invalid mode {mode.decode()!r}; expected REFLECT, WRAP, CONSTANT, or NEAREST.")
    return np.clip(np.where(at < 0, low, np.where(at > _F(size - 1), high, at)), _F(0), _F(size - 1))


def _project(images: Any, transforms: Any, output_shape: Any, fill: Any, interpolation: bytes, fill_mode: bytes) -> np.ndarray:
    interpolation, fill_mode = interpolation.upper(), fill_mode.upper()
    if interpolation not in (b"NEAREST", b"BILINEAR"):
        raise InvalidArgumentError(f"Invalid interpolation {interpolation.decode()!r}. Supported types: NEAREST, BILINEAR")
    if images.ndim != 4:
        raise ShapeError(f"Input images must have rank 4, received shape {list(images.shape)}")
    if transforms.ndim != 2 or transforms.shape[1] != 8 or len(transforms) not in (1, len(images)):
        raise ShapeError(f"Input transform should be num_images x 8 or 1 x 8, received shape {list(transforms.shape)}")
    if output_shape.shape != (2,) or (output_shape <= 0).any():
        raise InvalidArgumentError(f"output shape must be two positive sizes, received {output_shape.tolist()}")
    height, width = (int(v) for v in output_shape)
    fill = np.asarray(fill).astype(images.dtype)
    out = np.empty((len(images), height, width, images.shape[3]), images.dtype)
    ys, xs = np.arange(height, dtype=_F)[:, None], np.arange(width, dtype=_F)[None]
    for b, image in enumerate(images):
        t = transforms[0 if len(transforms) == 1 else b]
        bottom = t[6] * xs + t[7] * ys + _F(1)
        nowhere = bottom == 0
        safe = np.where(nowhere, _F(1), bottom)
        x = _mapped((t[0] * xs + t[1] * ys + t[2]) / safe, image.shape[1], fill_mode)
        y = _mapped((t[3] * xs + t[4] * ys + t[5]) / safe, image.shape[0], fill_mode)
        value = (_at_nearest if interpolation == b"NEAREST" else _at_bilinear)(image, y, x, fill)
        out[b] = np.where(nowhere[:, :, None], fill, value)
    return out


def _read(image: np.ndarray, y: np.ndarray, x: np.ndarray, fill: np.ndarray) -> np.ndarray:
    inside = (y >= 0) & (y < image.shape[0]) & (x >= 0) & (x < image.shape[1])
    found = image[np.where(inside, y, 0).astype(np.int64), np.where(inside, x, 0).astype(np.int64)]
    return np.where(inside[:, :, None], found, fill)


def _half_away(x: np.ndarray) -> np.ndarray:
    return np.copysign(np.floor(np.abs(x) + _F(0.5)), x)


def _at_nearest(image: np.ndarray, y: np.ndarray, x: np.ndarray, fill: np.ndarray) -> np.ndarray:
    return _read(image, _half_away(y), _half_away(x), fill)


def _at_bilinear(image: np.ndarray, y: np.ndarray, x: np.ndarray, fill: np.ndarray) -> np.ndarray:
    top, left = np.floor(y), np.floor(x)
    bottom, right = top + _F(1), left + _F(1)
    near_x, far_x = (right - x)[:, :, None], (x - left)[:, :, None]
    upper = near_x * _read(image, top, left, fill).astype(_F) + far_x * _read(image, top, right, fill).astype(_F)
    lower = near_x * _read(image, bottom, left, fill).astype(_F) + far_x * _read(image, bottom, right, fill).astype(_F)
    return ((bottom - y)[:, :, None] * upper + (y - top)[:, :, None] * lower).astype(image.dtype)


def _projected_shape(ctx: Any) -> Any:
    size = ctx.value_as_shape(2)
    images = ctx.shape(0)
    height, width = (size[0], size[1]) if size.rank == 2 else (None, None)
    return TensorShape([images[0], height, width, images[3]]) if images.rank == 4 else TensorShape([None, height, width, None])


def _inverse_transforms(transforms: Any) -> Any:
    """Flat transforms (n, 8) inverted."""
    ones = raw.Fill(raw.Pack([raw.Shape(transforms)[0], 1]), np.float32(1))
    matrices = raw.Reshape(raw.ConcatV2([transforms, ones], 1), [-1, 3, 3])
    flat = raw.Reshape(raw.MatrixInverse(matrices), [-1, 9])
    return raw.RealDiv(flat, flat[:, 8:9])[:, :8]


def _project_gradient(node: Any, grad: Any, **more: Any) -> Any:
    images, transforms = node.inputs[:2]
    name = f"ImageProjectiveTransformV{3 if more else 2}"
    return getattr(raw, name)(
        grad, _inverse_transforms(transforms), shape_of(images)[1:3], interpolation=node.attr("interpolation"), fill_mode=node.attr("fill_mode"), **more
    )


project_v2_op = op("ImageProjectiveTransformV2(images: dtype, transforms: float, output_shape: int32) -> (transformed_images: dtype); dtype: {uint8, int32, int64, half, float, double}; interpolation: string; fill_mode: string = \"CONSTANT\"")  # fmt: skip
project_v2_op.infer(_projected_shape)


@project_v2_op.kernel
def _(images: Any, transforms: Any, output_shape: Any, *, interpolation: bytes, fill_mode: bytes) -> np.ndarray:
    return _project(images, transforms, output_shape, 0, interpolation, fill_mode)


@project_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    return _project_gradient(node, grad), None, None


project_v3_op = op("ImageProjectiveTransformV3(images: dtype, transforms: float, output_shape: int32, fill_value: float) -> (transformed_images: dtype); dtype: {uint8, int32, int64, half, float, double}; interpolation: string; fill_mode: string = \"CONSTANT\"")  # fmt: skip
project_v3_op.infer(_projected_shape)


@project_v3_op.kernel
def _(images: Any, transforms: Any, output_shape: Any, fill: Any, *, interpolation: bytes, fill_mode: bytes) -> np.ndarray:
    return _project(images, transforms, output_shape, fill, interpolation, fill_mode)


@project_v3_op.gradient
def _(node: Any, grad: Any) -> Any:
    return _project_gradient(node, grad, fill_value=np.float32(0)), None, None, None
