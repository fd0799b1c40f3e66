"""Colours, boxes and detection, compared with TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracle.compare import compare_op, tf
from tracer.dispatch import raw
from tracer.public import tf as ours

RNG = np.random.RandomState(3)
IMAGE = RNG.uniform(-0.2, 1.2, (2, 4, 5, 3)).astype(np.float32)
IMAGE[0, 0, 0] = 0.5
IMAGE[0, 0, 1] = [0.2, 0.7, 0.7]
IMAGE[0, 0, 2] = 0
UNIT = np.clip(IMAGE, 0, 1)


def test_colours() -> None:
    for image in (UNIT, UNIT[0], IMAGE):
        compare_op("AdjustContrastv2", [image, np.float32(1.7)])
        for delta in (0.0, 0.3, -0.8, 1.9):
            compare_op("AdjustHue", [image, np.float32(delta)], atol=1e-5)
        for scale in (0.0, 0.5, 1.0, 3.0):
            compare_op("AdjustSaturation", [image, np.float32(scale)], atol=1e-5)
    for dtype in (np.float16, np.float32, np.float64):
        compare_op("RGBToHSV", [UNIT.astype(dtype)], grad=dtype != np.float16, grad_rtol=1e-3, atol=2e-3 if dtype == np.float16 else 1e-5)
        compare_op("HSVToRGB", [UNIT.astype(dtype)], atol=2e-3 if dtype == np.float16 else None)


def test_drawing_boxes() -> None:
    boxes = np.array([[[0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], [0.5, 0.5, 0.2, 0.9]], [[-0.5, 0.1, 0.7, 1.4], [2, 2, 3, 3], [0, 0, 0, 0]]], np.float32)
    big = np.zeros((2, 20, 30, 3), np.float32)
    for image in (big, big[..., :1], np.zeros((2, 20, 30, 4), np.float16)):
        compare_op("DrawBoundingBoxes", [image, boxes])
        compare_op("DrawBoundingBoxesV2", [image, boxes, RNG.rand(2, 4).astype(np.float32)])


def boxes_and_scores(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    corner, size = RNG.rand(n, 2), RNG.rand(n, 2) * 0.5
    boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)
    boxes[3] = boxes[3][[2, 3, 0, 1]]
    boxes[5] = 0
    return boxes, RNG.rand(n).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_suppression(dtype: type) -> None:
    boxes, scores = (v.astype(dtype) for v in boxes_and_scores())
    for size in (0, 5, 100):
        for threshold in (0.0, 0.3, 1.0):
            n, iou, least = np.int32(size), dtype(threshold), dtype(0.2)
            if dtype is np.float32:
                compare_op("NonMaxSuppression", [boxes, scores, n], iou_threshold=threshold)
            compare_op("NonMaxSuppressionV2", [boxes, scores, n, iou])
            compare_op("NonMaxSuppressionV3", [boxes, scores, n, iou, least])
            for pad in (False, True):
                compare_op("NonMaxSuppressionV4", [boxes, scores, n, iou, least], pad_to_max_output_size=pad)
                for sigma in (0.0, 0.5):
                    if dtype is np.float32 or sigma == 0:
                        compare_op("NonMaxSuppressionV5", [boxes, scores, n, iou, least, dtype(sigma)], pad_to_max_output_size=pad)
    overlaps = RNG.rand(60, 60).astype(np.float32)
    compare_op("NonMaxSuppressionWithOverlaps", [overlaps, scores.astype(np.float32), np.int32(9), np.float32(0.7), np.float32(0.1)])


def test_combined_suppression() -> None:
    boxes = np.stack([boxes_and_scores(20)[0] for _ in range(6)]).reshape(2, 3, 20, 4).transpose(0, 2, 1, 3) * 1.2
    scores = RNG.rand(2, 20, 3).astype(np.float32)
    for each in (boxes, boxes[:, :, :1]):
        for per_class, total in ((3, 7), (20, 100)):
            for pad in (False, True):
                for clip in (False, True):
                    inputs = [np.ascontiguousarray(each, np.float32), scores, np.int32(per_class), np.int32(total), np.float32(0.4), np.float32(0.3)]
                    compare_op("CombinedNonMaxSuppression", inputs, pad_per_class=pad, clip_boxes=clip)


def test_distorted_boxes() -> None:
    boxes = np.array([[[0.1, 0.2, 0.8, 0.9], [0.4, 0.4, 0.5, 0.6]]], np.float32)
    for seed in range(20):
        for size in ([40, 50, 3], [7, 200, 3]):
            inputs = [np.array(size, np.int32), boxes, np.float32(0.4), np.array([seed, 5])]
            compare_op("StatelessSampleDistortedBoundingBox", inputs, aspect_ratio_range=[0.5, 2.0], area_range=[0.1, 1.0])
    tf.random.set_seed(1)
    ours.random.set_seed(1)
    for _ in range(4):
        attrs = {"seed": 3, "seed2": 4, "use_image_if_no_bounding_boxes": True}
        expected = tf.raw_ops.SampleDistortedBoundingBoxV2(image_size=[40, 50, 3], bounding_boxes=boxes[:, :0], min_object_covered=0.1, **attrs)
        actual = raw.SampleDistortedBoundingBoxV2([40, 50, 3], boxes[:, :0], 0.1, **attrs)
        for e, a in zip(expected, actual, strict=True):
            np.testing.assert_array_equal(a.numpy(), e.numpy())


def test_glimpses() -> None:
    offsets = np.array([[0.1, -0.3], [0.9, 0.2]], np.float32)
    for centered in (True, False):
        for normalized in (True, False):
            attrs = {"centered": centered, "normalized": normalized, "uniform_noise": False, "noise": "zero"}
            scale = 1 if normalized else 2
            compare_op("ExtractGlimpse", [IMAGE, np.array([3, 2], np.int32), offsets * scale], **attrs)
            compare_op("ExtractGlimpseV2", [IMAGE, np.array([3, 2], np.int32), offsets * scale], **attrs)
