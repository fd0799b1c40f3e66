"""Ops on the colours of images: contrast, hue, saturation, RGB and HSV; boxes drawn into images. Values as TensorFlow 2.15's CPU kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.registry import op

__all__: list[str] = []

_F = np.float32


def _three_channels(images: np.ndarray, least_rank: int = 1) -> None:
    if images.ndim < least_rank or images.shape[-1] != 3:
        raise ShapeError(f"input must be at least {least_rank}-D with 3 channels, received shape {list(images.shape)}")


# -- contrast --------------------------------------------------------------------------------------------------------

contrast_op = op("AdjustContrast(images: T, contrast_factor: float, min_value: float, max_value: float) -> (output: float); T: {uint8, int8, int16, int32, int64, float, double}")  # fmt: skip
contrast_op.infer(infer.unchanged)


def _mean(images: np.ndarray) -> np.ndarray:
    if images.ndim < 3:
        raise ShapeError(f"input must be at least 3-D, got shape {list(images.shape)}")
    wide = images.astype(_F)
    return (wide.sum(axis=(-3, -2), keepdims=True, dtype=np.float64) / (images.shape[-3] * images.shape[-2])).astype(_F)


@contrast_op.kernel
def _(images: Any, factor: Any, low: Any, high: Any) -> np.ndarray:
    mean = _mean(images)
    return np.maximum(np.minimum((images.astype(_F) - mean) * factor + mean, high), low)


contrast_v2_op = op("AdjustContrastv2(images: T, contrast_factor: float) -> (output: T); T: {half, float} = float")
contrast_v2_op.infer(infer.unchanged)


@contrast_v2_op.kernel
def _(images: Any, factor: Any) -> np.ndarray:
    mean = _mean(images).astype(images.dtype)
    return mean + ((images - mean).astype(_F) * factor).astype(images.dtype)


# -- hue and saturation ----------------------------------------------------------------------------------------------

hue_op = op("AdjustHue(images: T, delta: float) -> (output: T); T: {half, float} = float")
hue_op.infer(infer.unchanged)


@hue_op.kernel
def _(images: Any, delta: Any) -> np.ndarray:
    _three_channels(images, 3)
    r, g, b = (images[..., i].astype(_F) for i in range(3))
    top, bottom = np.maximum(np.maximum(r, g), b), np.minimum(np.minimum(r, g), b)
    middle = np.where(r < g, np.where(b < r, r, np.where(b > g, g, b)), np.where(b < g, g, np.where(b > r, r, b)))
    sector = np.where(r < g, np.where(b < r, 1, np.where(b > g, 3, 2)), np.where(b < g, 0, np.where(b > r, 4, 5))).astype(_F)
    spread = top - bottom
    ratio = (middle - bottom) / np.where(spread == 0, _F(1), spread)
    hue = np.where(spread == 0, _F(0), sector + np.where(sector % 2 == 0, ratio, _F(1) - ratio))
    hue = hue + _F(delta) * _F(6)
    hue = hue - np.floor(hue / _F(6)) * _F(6)
    hue = np.where(hue >= _F(6), hue - _F(6), hue)
    category = hue.astype(np.int32)
    ratio = hue - category.astype(_F)
    ratio = np.where(category % 2 == 0, ratio, _F(1) - ratio)
    middle = bottom + ratio * spread
    return _by_sector(category, top, middle, bottom).astype(images.dtype)


def _by_sector(category: np.ndarray, top: Any, middle: Any, bottom: Any) -> np.ndarray:
    """The three channels by the sector of the hue; a sector beyond 4 counts as the last one."""
    table = ((top, middle, bottom), (middle, top, bottom), (bottom, top, middle), (bottom, middle, top), (middle, bottom, top))
    sectors = [category == i for i in range(5)]
    last = (top, bottom, middle)
    return np.stack([np.select(sectors, [row[i] for row in table], last[i]) for i in range(3)], axis=-1)


saturation_op = op("AdjustSaturation(images: T, scale: float) -> (output: T); T: {half, float} = float")
saturation_op.infer(infer.unchanged)


@saturation_op.kernel
def _(images: Any, scale: Any) -> np.ndarray:
    _three_channels(images, 3)
    h, s, v = (_to_hsv(images.astype(_F))[..., i] for i in range(3))
    s = np.minimum(_F(1), np.maximum(_F(0), s * _F(scale)))
    chroma = s * v
    base = v - chroma
    at = h * _F(6)
    category = at.astype(np.int32)
    folded = np.where(at <= 0, at + _F(2), at)
    folded = folded - np.floor(folded / _F(2)) * _F(2)
    middle = chroma * (_F(1) - np.abs(folded - _F(1)))
    nothing = np.zeros_like(chroma)
    rgb = _by_sector(category, chroma, middle, nothing)
    rgb = np.where(((category < 0) | (category > 5))[..., None], _F(0), rgb)
    return (rgb + base[..., None]).astype(images.dtype)


# -- RGB and HSV -----------------------------------------------------------------------------------------------------


def _to_hsv(images: np.ndarray) -> np.ndarray:
    real = images.dtype.type
    r, g, b = (images[..., i] for i in range(3))
    value = np.maximum(np.maximum(r, g), b)
    spread = value - np.minimum(np.minimum(r, g), b)
    saturation = np.where(value > 0, spread / np.where(value > 0, value, real(1)), real(0))
    norm = (real(1) / np.where(spread == 0, real(1), spread)) * (real(1) / real(6))
    hue = np.where(r == value, norm * (g - b), np.where(g == value, norm * (b - r) + real(2) / real(6), norm * (r - g) + real(4) / real(6)))
    hue = np.where(spread > 0, hue, real(0))
    hue = np.where(hue < 0, hue + real(1), hue)
    return np.stack([hue, saturation, value], axis=-1).astype(images.dtype)


hsv_op = op("RGBToHSV(images: T) -> (output: T); T: {half, bfloat16, float, double} = float")
hsv_op.infer(infer.unchanged)


@hsv_op.kernel
def _(images: Any) -> np.ndarray:
    _three_channels(images)
    return _to_hsv(images)


@hsv_op.gradient
def _(node: Any, grad: Any) -> Any:
    # One derivative for each case of which channel is largest and which is smallest; ties as TensorFlow breaks them.
    image, hsv = node.inputs[0], node.outputs[0]
    dtype = image.dtype

    def flag(condition: Any) -> Any:
        return raw.Cast(condition, DstT=dtype)

    def both(a: Any, b: Any) -> Any:
        return flag(raw.LogicalAnd(a, b))

    def over(x: Any) -> Any:  # 1 / x, and 0 for 0
        return raw.DivNoNan(raw.OnesLike(x), x)

    r, g, b = raw.Unpack(image, num=3, axis=-1)
    _, saturation, value = raw.Unpack(hsv, num=3, axis=-1)
    zero = raw.ZerosLike(r)
    top = (
        both(raw.GreaterEqual(r, b), raw.GreaterEqual(r, g)), both(raw.Greater(g, r), raw.GreaterEqual(g, b)),
        both(raw.Greater(b, r), raw.Greater(b, g)),
    )  # fmt: skip
    low = (
        both(raw.Less(r, b), raw.Less(r, g)), both(raw.LessEqual(g, r), raw.Less(g, b)), both(raw.LessEqual(b, r), raw.LessEqual(b, g)),
    )  # fmt: skip
    channels, positive = (r, g, b), [flag(raw.Greater(c, zero)) for c in (r, g, b)]
    common = over(raw.Square(saturation)) * over(raw.Square(value))
    columns = []
    for i in range(3):
        # j follows i on the circle red → green → blue, k follows j.
        j, k = (i + 1) % 3, (i + 2) % 3
        x, y, z = channels[i], channels[j], channels[k]
        ds = positive[i] * (
            top[i] * (low[j] * y + low[k] * z) * over(raw.Square(x)) - low[i] * over(top[j] * y + top[k] * z)
        )  # fmt: skip
        dh = (
            -positive[i] * top[i] * (y - z) * common
            + positive[j] * top[j] * low[i] * (z - y) * over(raw.Square(x - y))
            - positive[j] * top[j] * low[k] * over(y - z)
            + positive[k] * top[k] * low[i] * (z - y) * over(raw.Square(z - x))
            + positive[k] * top[k] * low[j] * over(z - y)
        )
        columns.append((dh / 6.0, ds, top[i]))
    along_h, along_s, along_v = raw.Unpack(grad, num=3, axis=-1)
    return raw.Pack([along_v * dv + along_s * ds + along_h * dh for dh, ds, dv in columns], axis=-1)


rgb_op = op("HSVToRGB(images: T) -> (output: T); T: {half, bfloat16, float, double} = float").not_differentiable()
rgb_op.infer(infer.unchanged)


@rgb_op.kernel
def _(images: Any) -> np.ndarray:
    _three_channels(images)
    real = images.dtype.type
    zero, one, two = real(0), real(1), real(2)
    at, saturation, value = images[..., 0] * real(6), images[..., 1], images[..., 2]
    parts = (np.abs(at - real(3)) - one, two - np.abs(at - two), two - np.abs(at - real(4)))
    rest = one - saturation
    return np.stack([(rest + saturation * np.minimum(np.maximum(p, zero), one)) * value for p in parts], axis=-1).astype(images.dtype)


# -- boxes -----------------------------------------------------------------------------------------------------------

_COLORS = np.array(
    [
        [1, 1, 0, 1], [0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 0, 1], [0.5, 0, 0.5, 1], [0.5, 0.5, 0, 1], [0.5, 0, 0, 1], [0, 0, 0.5, 1],
        [0, 1, 1, 1], [1, 0, 1, 1],
    ], np.float32,
)  # fmt: skip


def _draw(images: np.ndarray, boxes: np.ndarray, colors: np.ndarray | None) -> np.ndarray:
    if images.ndim != 4 or boxes.ndim != 3 or len(images) != len(boxes) or boxes.shape[2] != 4:
        raise ShapeError(f"expected images (b, h, w, c) and boxes (b, n, 4), received shapes {list(images.shape)}, {list(boxes.shape)}")
    _, height, width, depth = images.shape
    if depth not in (1, 3, 4):
        raise InvalidArgumentError(f"Channel depth should be either 1 (GRY), 3 (RGB), or 4 (RGBA), received {depth}")
    if colors is not None and (colors.ndim != 2 or colors.shape[1] < depth):
        raise ShapeError(f"colors must be a 2-D matrix with at least {depth} channels, received shape {list(colors.shape)}")
    if colors is None or colors.size == 0:
        colors = _COLORS.copy()
        if depth == 1:
            colors[:, 0] = 1
    colors = colors[:, :depth].astype(images.dtype)
    out = images.copy()
    for canvas, group in zip(out, boxes, strict=True):
        for i, box in enumerate(group):
            limits = np.array([height - 1, width - 1, height - 1, width - 1], _F)
            top, left, bottom, right = (int(v) for v in np.trunc(box * limits))
            if top > bottom or left > right or top >= height or bottom < 0 or left >= width or right < 0:
                continue
            rows, columns = slice(max(top, 0), min(bottom, height - 1) + 1), slice(max(left, 0), min(right, width - 1) + 1)
            color = colors[i % len(colors)]
            if top >= 0:
                canvas[top, columns] = color
            if bottom < height:
                canvas[bottom, columns] = color
            if left >= 0:
                canvas[rows, left] = color
            if right < width:
                canvas[rows, right] = color
    return out


draw_op = op("DrawBoundingBoxes(images: T, boxes: float) -> (output: T); T: {float, half} = float").not_differentiable()
draw_op.infer(infer.unchanged)
draw_op.kernel(lambda images, boxes: _draw(images, boxes, None))

draw_v2_op = op("DrawBoundingBoxesV2(images: T, boxes: float, colors: float) -> (output: T); T: {float, half} = float")
draw_v2_op.infer(infer.unchanged)
draw_v2_op.kernel(_draw)
