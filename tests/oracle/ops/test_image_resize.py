"""Ops that sample images, compared with TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracle.compare import compare_op

RNG = np.random.RandomState(7)
IMAGE = RNG.uniform(-1, 2, (2, 5, 7, 3)).astype(np.float32)
SIZES = [(5, 7), (1, 1), (10, 14), (3, 4), (11, 3), (2, 20)]
CENTERS = [{}, {"align_corners": True}, {"half_pixel_centers": True}]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("attrs", CENTERS)
@pytest.mark.parametrize("op", ["ResizeBilinear", "ResizeBicubic", "ResizeNearestNeighbor"])
def test_resizing(op: str, attrs: dict, size: tuple) -> None:
    target = np.array(size, np.int32)
    for image in (IMAGE, IMAGE[:, :1, :, :1], IMAGE.astype(np.float64)):
        compare_op(op, [image, target], grad=True, rtol=2e-6, grad_rtol=2e-5, **attrs)
    for dtype in (np.uint8, np.int32, np.float16):
        compare_op(op, [(IMAGE * 50).astype(dtype), target], rtol=2e-6, **attrs)


@pytest.mark.parametrize("size", SIZES)
def test_area(size: tuple) -> None:
    for image in (IMAGE, IMAGE[..., :1], (IMAGE * 50).astype(np.uint8)):
        for align in (False, True):
            compare_op("ResizeArea", [image, np.array(size, np.int32)], rtol=2e-6, align_corners=align)


@pytest.mark.parametrize("kernel", ["lanczos1", "lanczos3", "lanczos5", "gaussian", "box", "triangle", "keyscubic", "mitchellcubic"])
def test_scale_and_translate(kernel: str) -> None:
    for size, scale, shift in (((10, 14), (2, 2), (0, 0)), ((3, 4), (0.6, 0.5), (0, 0)), ((6, 6), (1.3, 0.4), (1.5, -2)), ((4, 4), (1, 1), (-50, 0))):
        inputs = [IMAGE, np.array(size, np.int32), np.array(scale, np.float32), np.array(shift, np.float32)]
        for antialias in (True, False):
            compare_op("ScaleAndTranslate", inputs, grad=True, kernel_type=kernel, antialias=antialias, rtol=2e-5, atol=2e-6)
    compare_op("ScaleAndTranslate", [(IMAGE * 50).astype(np.uint8), *inputs[1:]], kernel_type=kernel)


def test_crop_and_resize() -> None:
    boxes = np.array([[0, 0, 1, 1], [0.2, 0.6, 1.3, -0.2], [0.5, 0.5, 0.5, 0.5], [-1, -1, 2, 2]], np.float32)
    index = np.array([0, 1, 1, 0], np.int32)
    for size in ((4, 3), (1, 1), (9, 1)):
        inputs = [IMAGE, boxes, index, np.array(size, np.int32)]
        compare_op("CropAndResize", inputs, grad=True, extrapolation_value=0.5, rtol=1e-5, atol=1e-5)
        compare_op("CropAndResize", inputs, method="nearest", rtol=1e-5)
        compare_op("CropAndResize", [(IMAGE * 50).astype(np.int32), *inputs[1:]], rtol=1e-5)
        grads = RNG.randn(4, *size, 3).astype(np.float32)
        for method in ("bilinear", "nearest"):
            compare_op("CropAndResizeGradImage", [grads, boxes, index, np.array(IMAGE.shape, np.int32)], T="float32", method=method, atol=1e-5)


@pytest.mark.parametrize("mode", ["CONSTANT", "NEAREST", "REFLECT", "WRAP"])
@pytest.mark.parametrize("interpolation", ["NEAREST", "BILINEAR"])
def test_projective_transforms(interpolation: str, mode: str) -> None:
    transforms = np.array([[1.1, 0.2, -3, -0.1, 0.9, 1.5, 0.01, 0.02], [0.8, 0, 2, 0.3, 1.2, -4, 0, 0]], np.float32)
    for image in (IMAGE, (IMAGE * 50 + 60).astype(np.uint8), IMAGE.astype(np.float64)):
        for t in (transforms, transforms[:1]):
            attrs = {"interpolation": interpolation, "fill_mode": mode}
            compare_op("ImageProjectiveTransformV2", [image, t, np.array([6, 9], np.int32)], rtol=1e-4, atol=1e-4, **attrs)
            compare_op("ImageProjectiveTransformV3", [image, t, np.array([6, 9], np.int32), np.float32(3)], rtol=1e-4, atol=1e-4, **attrs)
    compare_op("ImageProjectiveTransformV3", [IMAGE, transforms, np.array([6, 9], np.int32), np.float32(3)], grad=True, rtol=1e-3, atol=1e-3, **attrs)
