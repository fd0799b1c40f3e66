"""tf.image, compared with TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle.compare import compare_calls, tf
from tracer.public import tf as ours

RNG = np.random.RandomState(9)
IMAGE = RNG.rand(2, 13, 17, 3).astype(np.float32)
BYTES = (IMAGE * 255).astype(np.uint8)


def check(name: str, *inputs: np.ndarray, limits: dict[str, Any] | None = None, **arguments: Any) -> None:
    theirs, mine = getattr(tf.image, name), getattr(ours.image, name)
    limits = {"rtol": 1e-4, "atol": 1e-5, **(limits or {})}
    compare_calls(lambda *v: theirs(*v, **arguments), lambda *v: mine(*v, **arguments), list(inputs), f"image.{name} {arguments}", **limits)


@pytest.mark.parametrize("method", ["bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic"])
def test_resizing(method: str) -> None:
    for size in ((13, 17), (5, 30), (20, 9)):
        for antialias in (False, True):
            for keep in (False, True):
                for image in (IMAGE, IMAGE[0], BYTES):
                    check("resize", image, size=size, method=method, antialias=antialias, preserve_aspect_ratio=keep)
        check("resize_with_pad", IMAGE, target_height=size[0], target_width=size[1], method=method)


def test_geometry() -> None:
    for image in (IMAGE, IMAGE[0], BYTES):
        for name in ("flip_left_right", "flip_up_down", "transpose"):
            check(name, image)
        for k in range(-1, 6):
            check("rot90", image, k=k)
        for fraction in (0.3, 0.5, 0.87, 1.0):
            check("central_crop", image, central_fraction=fraction)
        # an image of unknown rank counts as a single one, so that inference is checked with known ranks only
        check("crop_to_bounding_box", image, limits={"static": False}, offset_height=2, offset_width=3, target_height=5, target_width=6)
        check("pad_to_bounding_box", image, limits={"static": False}, offset_height=2, offset_width=3, target_height=20, target_width=25)
        for size in ((5, 6), (20, 6), (5, 30), (21, 22)):
            check("resize_with_crop_or_pad", image, limits={"static": False}, target_height=size[0], target_width=size[1])


def test_colours_and_dtypes() -> None:
    for image in (IMAGE, IMAGE[0], BYTES, IMAGE.astype(np.float16)):
        half = image.dtype == np.float16
        limits = {"rtol": 2e-3, "atol": 2e-3} if half else None
        check("adjust_brightness", image, delta=0.1, limits=limits)
        check("adjust_gamma", image, gamma=1.7, gain=0.8, limits=limits)
        if not half:
            check("adjust_contrast", image, contrast_factor=1.7)
            check("adjust_hue", image, delta=0.2)
            check("adjust_saturation", image, saturation_factor=1.4)
            check("per_image_standardization", image, limits={"rtol": 1e-4, "atol": 1e-4})
            check("rgb_to_grayscale", image)
        check("grayscale_to_rgb", image[..., :1])
        for dtype in ("uint8", "int16", "uint16", "int32", "float16", "float32"):
            for saturate in (False, True):
                check("convert_image_dtype", image, dtype=dtype, saturate=saturate, limits=limits)
    for name in ("rgb_to_hsv", "hsv_to_rgb", "rgb_to_yiq", "yiq_to_rgb", "rgb_to_yuv", "yuv_to_rgb"):
        check(name, IMAGE)


def test_comparison_of_images() -> None:
    other = np.clip(IMAGE + 0.1 * RNG.randn(*IMAGE.shape), 0, 1).astype(np.float32)
    check("psnr", IMAGE, other, max_val=1.0)
    check("psnr", BYTES, BYTES[::-1].copy(), max_val=255)
    check("ssim", IMAGE, other, max_val=1.0, limits={"rtol": 1e-3})
    check("ssim", IMAGE, other, max_val=1.0, filter_size=5, return_index_map=True, limits={"rtol": 1e-3, "atol": 1e-4})
    big, near = RNG.rand(1, 50, 61, 1).astype(np.float32), RNG.rand(1, 50, 61, 1).astype(np.float32)
    check("ssim_multiscale", big, near, max_val=1.0, power_factors=(0.3, 0.3, 0.4), filter_size=7, limits={"rtol": 1e-3})
    for image in (IMAGE, IMAGE[0]):
        check("total_variation", image, limits={"rtol": 1e-3})
    check("image_gradients", IMAGE)
    check("sobel_edges", IMAGE)


def test_random_changes_are_equal() -> None:
    calls = [
        ("flip_left_right", {}), ("flip_up_down", {}), ("brightness", {"max_delta": 0.3}), ("contrast", {"lower": 0.2, "upper": 1.8}),
        ("hue", {"max_delta": 0.3}), ("saturation", {"lower": 0.2, "upper": 1.8}),
    ]  # fmt: skip
    tf.random.set_seed(5)
    ours.random.set_seed(5)
    for _ in range(3):
        for name, arguments in calls:
            for image in (IMAGE, IMAGE[0]):
                check(f"random_{name}", image, limits={"static": False}, **arguments)
                check(f"stateless_random_{name}", image, seed=[3, 4], **arguments)
        check("random_crop", IMAGE, size=[2, 4, 5, 3], limits={"static": False})
        check("stateless_random_crop", IMAGE, size=[2, 4, 5, 3], seed=[3, 4])


def test_boxes() -> None:
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.1, 0.15, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9], [0.0, 0.0, 0.3, 0.3]], np.float32)
    scores = np.array([0.5, 0.7, 0.2, 0.4], np.float32)
    check("non_max_suppression", boxes, scores, max_output_size=3)
    check("non_max_suppression_with_scores", boxes, scores, max_output_size=3, soft_nms_sigma=0.3)
    check("combined_non_max_suppression", boxes[None, :, None], np.stack([scores, scores[::-1]], 1)[None], max_output_size_per_class=2, max_total_size=5)
    check("draw_bounding_boxes", IMAGE, np.stack([boxes, boxes]), colors=np.array([[1, 0, 0], [0, 1, 0]], np.float32))
    check("crop_and_resize", IMAGE, boxes, np.array([0, 1, 1, 0], np.int32), crop_size=[4, 5])
    check("extract_patches", IMAGE, sizes=[1, 3, 3, 1], strides=[1, 2, 2, 1], rates=[1, 1, 1, 1], padding="SAME")
    check("stateless_sample_distorted_bounding_box", np.array([20, 30, 3], np.int32), boxes[None], seed=[1, 2])


def test_padded_suppression() -> None:
    corner, size = RNG.rand(3, 20, 2), RNG.rand(3, 20, 2) * 0.5 + 0.05
    boxes, scores = np.concatenate([corner, corner + size], 2).astype(np.float32), RNG.rand(3, 20).astype(np.float32)
    for count in (4, 30):
        for least in (float("-inf"), 0.4):
            arguments = {"max_output_size": count, "iou_threshold": 0.4, "score_threshold": least}
            check("non_max_suppression_padded", boxes, scores, limits={"static": False}, pad_to_max_output_size=True, **arguments)
            check("non_max_suppression_padded", boxes[0], scores[0], limits={"static": False}, **arguments)
