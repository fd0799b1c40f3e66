"""Ops for detecting objects: non-maximum suppression, distorted boxes, glimpses. Results as TensorFlow 2.15's CPU kernels.

Where several candidates have equal scores the one with the lowest index wins.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tracer.errors import InvalidArgumentError, ShapeError
from tracer.random import SeededState, Stream, entropy64
from tracer.random_arguments import seed_stream
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape

__all__: list[str] = []

_F = np.float32

# -- overlap ---------------------------------------------------------------------------------------------------------


class _Boxes:
    """Boxes with their corners sorted, and how much of each pair overlaps (intersection over union, float32)."""

    def __init__(self, boxes: np.ndarray):
        wide = boxes.astype(_F)
        self.top, self.bottom = np.minimum(wide[:, 0], wide[:, 2]), np.maximum(wide[:, 0], wide[:, 2])
        self.left, self.right = np.minimum(wide[:, 1], wide[:, 3]), np.maximum(wide[:, 1], wide[:, 3])
        self.area = (self.bottom - self.top) * (self.right - self.left)

    def overlap(self, one: int, others: np.ndarray) -> np.ndarray:
        height = np.minimum(self.bottom[one], self.bottom[others]) - np.maximum(self.top[one], self.top[others])
        width = np.minimum(self.right[one], self.right[others]) - np.maximum(self.left[one], self.left[others])
        common = np.maximum(height, _F(0)) * np.maximum(width, _F(0))
        union = self.area[one] + self.area[others] - common
        empty = (self.area[one] <= 0) | (self.area[others] <= 0)
        return np.where(empty, _F(0), common / np.where(empty, _F(1), union))


def _check_boxes(boxes: np.ndarray, scores: np.ndarray) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"boxes must be 2-D with 4 columns, received shape {list(boxes.shape)}")
    if scores.shape != (len(boxes),):
        raise ShapeError(f"scores has incompatible shape: expected [{len(boxes)}], received {list(scores.shape)}")


def _limit(size: np.ndarray) -> int:
    if size.ndim:
        raise ShapeError(f"max_output_size must be 0-D, got shape {list(size.shape)}")
    if size < 0:
        raise InvalidArgumentError(f"output size must be non-negative, received {int(size)}")
    return int(size)


def _select(
    scores: np.ndarray, size: int, threshold: Any, least_score: Any, overlap: Callable[[int, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Hard suppression: indices by falling score; `overlap(kept, others)` above `threshold` drops the others."""
    candidates = np.flatnonzero(scores > least_score)
    candidates = candidates[np.argsort(-scores[candidates].astype(np.float64), kind="stable")]
    kept: list[int] = []
    while candidates.size and len(kept) < size:
        one, candidates = int(candidates[0]), candidates[1:]
        kept.append(one)
        if candidates.size:
            candidates = candidates[~(overlap(one, candidates).astype(scores.dtype) > threshold)]
    return np.array(kept, np.int32)


def _select_softly(
    scores: np.ndarray, size: int, least_score: Any, sigma: Any, overlap: Callable[[int, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Soft suppression: scores fall with the overlap (Bodla et al. 2017)."""
    real = scores.dtype.type
    scale = real(-0.5) / real(sigma)
    queue = [(-float(s), i, 0) for i, s in enumerate(scores) if s > least_score]
    current = {i: real(s) for i, s in enumerate(scores)}
    heapq.heapify(queue)
    kept: list[int] = []
    values: list[Any] = []
    while queue and len(kept) < size:
        _, i, seen = heapq.heappop(queue)
        original = score = current[i]
        for j in range(len(kept) - 1, seen - 1, -1):
            similarity = real(overlap(i, np.array([kept[j]]))[0])
            score = real(score * real(np.exp(real(scale * similarity) * similarity)))
            if score <= least_score:
                break
        if score == original:
            kept.append(i)
            values.append(score)
        elif score > least_score:
            current[i] = score
            heapq.heappush(queue, (-float(score), i, len(kept)))
    return np.array(kept, np.int32), np.array(values, scores.dtype)


def _padded(values: np.ndarray, size: int) -> np.ndarray:
    out = np.zeros(size, values.dtype)
    out[: len(values)] = values
    return out


def _suppress(boxes: Any, scores: Any, size: Any, threshold: Any, least_score: Any) -> np.ndarray:
    _check_boxes(boxes, scores)
    threshold = scores.dtype.type(threshold)
    if not 0 <= threshold <= 1:
        raise InvalidArgumentError(f"iou_threshold must be in [0, 1], received {threshold}")
    return _select(scores, _limit(size), threshold, scores.dtype.type(least_score), _Boxes(boxes).overlap)


def _lowest(scores: np.ndarray) -> Any:
    return np.finfo(scores.dtype).min


def _selection_shape(ctx: Any) -> Any:
    return TensorShape([None])


nms_op = op("NonMaxSuppression(boxes: float, scores: float, max_output_size: int32) -> (selected_indices: int32); iou_threshold: float = 0.5").not_differentiable()  # fmt: skip
nms_op.infer(_selection_shape)


@nms_op.kernel
def _(boxes: Any, scores: Any, size: Any, *, iou_threshold: float) -> np.ndarray:
    return _suppress(boxes, scores, size, iou_threshold, _lowest(scores))


nms_v2_op = op("NonMaxSuppressionV2(boxes: T, scores: T, max_output_size: int32, iou_threshold: T_threshold) -> (selected_indices: int32); T: {half, float} = float; T_threshold: {half, float} = float").not_differentiable()  # fmt: skip
nms_v2_op.infer(_selection_shape)
nms_v2_op.kernel(lambda boxes, scores, size, threshold: _suppress(boxes, scores, size, threshold, _lowest(scores)))

nms_v3_op = op("NonMaxSuppressionV3(boxes: T, scores: T, max_output_size: int32, iou_threshold: T_threshold, score_threshold: T_threshold) -> (selected_indices: int32); T: {half, float} = float; T_threshold: {half, float} = float").not_differentiable()  # fmt: skip
nms_v3_op.infer(_selection_shape)
nms_v3_op.kernel(_suppress)

nms_v4_op = op("NonMaxSuppressionV4(boxes: T, scores: T, max_output_size: int32, iou_threshold: T_threshold, score_threshold: T_threshold) -> (selected_indices: int32, valid_outputs: int32); T: {half, float} = float; T_threshold: {half, float} = float; pad_to_max_output_size: bool = false").not_differentiable()  # fmt: skip


def _padded_shape(ctx: Any) -> TensorShape:
    size = ctx.value(2)
    return TensorShape([int(size) if ctx.attr("pad_to_max_output_size") and size is not None else None])


nms_v4_op.infer(lambda ctx: [_padded_shape(ctx), TensorShape([])])


@nms_v4_op.kernel
def _(boxes: Any, scores: Any, size: Any, threshold: Any, least_score: Any, *, pad_to_max_output_size: bool) -> Any:
    kept = _suppress(boxes, scores, size, threshold, least_score)
    return (_padded(kept, _limit(size)) if pad_to_max_output_size else kept), np.int32(len(kept))


nms_v5_op = op("NonMaxSuppressionV5(boxes: T, scores: T, max_output_size: int32, iou_threshold: T, score_threshold: T, soft_nms_sigma: T) -> (selected_indices: int32, selected_scores: T, valid_outputs: int32); T: {half, float} = float; pad_to_max_output_size: bool = false").not_differentiable()  # fmt: skip
nms_v5_op.infer(lambda ctx: [_padded_shape(ctx), _padded_shape(ctx), TensorShape([])])


@nms_v5_op.kernel
def _(boxes: Any, scores: Any, size: Any, threshold: Any, least_score: Any, sigma: Any, *, pad_to_max_output_size: bool) -> Any:
    if sigma < 0:
        raise InvalidArgumentError(f"soft_nms_sigma must be non-negative, received {sigma}")
    if sigma > 0:
        _check_boxes(boxes, scores)
        kept, values = _select_softly(scores, _limit(size), least_score, sigma, _Boxes(boxes).overlap)
    else:
        kept = _suppress(boxes, scores, size, threshold, least_score)
        values = scores[kept]
    count = np.int32(len(kept))
    return (_padded(kept, _limit(size)), _padded(values, _limit(size)), count) if pad_to_max_output_size else (kept, values, count)


overlaps_op = op("NonMaxSuppressionWithOverlaps(overlaps: float, scores: float, max_output_size: int32, overlap_threshold: float, score_threshold: float) -> (selected_indices: int32)").not_differentiable()  # fmt: skip
overlaps_op.infer(_selection_shape)


@overlaps_op.kernel
def _(overlaps: Any, scores: Any, size: Any, threshold: Any, least_score: Any) -> np.ndarray:
    if overlaps.ndim != 2 or overlaps.shape[0] != overlaps.shape[1] or scores.shape != overlaps.shape[:1]:
        raise ShapeError(f"overlaps must be square and fit scores, received shapes {list(overlaps.shape)}, {list(scores.shape)}")
    return _select(scores, _limit(size), threshold, least_score, lambda one, others: overlaps[others, one])


combined_op = op("CombinedNonMaxSuppression(boxes: float, scores: float, max_output_size_per_class: int32, max_total_size: int32, iou_threshold: float, score_threshold: float) -> (nmsed_boxes: float, nmsed_scores: float, nmsed_classes: float, valid_detections: int32); pad_per_class: bool = false; clip_boxes: bool = true").not_differentiable()  # fmt: skip


@combined_op.infer
def _(ctx: Any) -> Any:
    batch = ctx.shape(0)[0] if ctx.rank(0) == 4 else None
    classes = ctx.shape(1)[2] if ctx.rank(1) == 3 else None
    total, each = ctx.value(3), ctx.value(2)
    size = None if total is None else int(total)
    if ctx.attr("pad_per_class") and size is not None:
        size = None if each is None or classes is None else min(size, int(each) * classes)
    return [TensorShape([batch, size, 4]), TensorShape([batch, size]), TensorShape([batch, size]), TensorShape([batch])]


@combined_op.kernel
def _(
    boxes: Any, scores: Any, per_class: Any, total: Any, threshold: Any, least_score: Any, *, pad_per_class: bool, clip_boxes: bool
) -> Any:  # fmt: skip
    if boxes.ndim != 4 or boxes.shape[3] != 4 or scores.ndim != 3 or scores.shape[:2] != boxes.shape[:2]:
        raise ShapeError(f"expected boxes (b, n, q, 4) and scores (b, n, classes), received {list(boxes.shape)}, {list(scores.shape)}")
    batch, count, q, _ = boxes.shape
    classes = scores.shape[2]
    if q not in (1, classes):
        raise ShapeError(f"third dimension of boxes must be either 1 or num classes ({classes}), received {q}")
    if per_class.ndim or total.ndim or per_class <= 0 or total <= 0:
        raise InvalidArgumentError(f"max_size_per_class and max_total_size must be positive scalars, received {per_class}, {total}")
    if not 0 <= threshold <= 1:
        raise InvalidArgumentError(f"iou_threshold must be in [0, 1], received {threshold}")
    size = min(int(total), int(per_class) * classes) if pad_per_class else int(total)
    out_boxes, out_scores = np.zeros((batch, size, 4), _F), np.zeros((batch, size), _F)
    out_classes, valid = np.zeros((batch, size), _F), np.zeros(batch, np.int32)
    for b in range(batch):
        shared = _Boxes(boxes[b, :, 0]) if q == 1 else None
        index: list[np.ndarray] = []
        for c in range(classes):
            each = shared or _Boxes(boxes[b, :, c])
            index.append(_select(scores[b, :, c], min(int(per_class), count), threshold, least_score, each.overlap))
        rows = np.concatenate(index)
        columns = np.repeat(np.arange(classes), [len(i) for i in index])
        order = np.argsort(-scores[b, rows, columns].astype(np.float64), kind="stable")[:size]
        rows, columns = rows[order], columns[order]
        n = valid[b] = len(rows)
        found = boxes[b, rows, columns if q > 1 else 0]
        out_boxes[b, :n] = np.maximum(np.minimum(found, _F(1)), _F(0)) if clip_boxes else found
        out_scores[b, :n], out_classes[b, :n] = scores[b, rows, columns], columns
    return out_boxes, out_scores, out_classes, valid


# -- distorted boxes -------------------------------------------------------------------------------------------------


class _Words:
    """The words of a stream one after the other, with exactly uniform integers and floats made of them."""

    def __init__(self, stream: Stream):
        self._stream, self._words, self._position = stream, [], 0

    def word(self) -> int:
        if self._position == len(self._words):
            self._words = self._stream.blocks(16).reshape(-1).tolist()
            self._stream, self._position = self._stream.skip(16), 0
        self._position += 1
        return self._words[self._position - 1]

    def unit(self) -> np.float32:
        return np.array((self.word() & 0x7FFFFF) | 0x3F800000, np.uint32).view(_F)[()] - _F(1)

    def below(self, n: int) -> int:
        if n & (n - 1) == 0:
            return self.word() & (n - 1) if n else 0
        reject = (0xFFFFFFFF % n) + 1
        word = self.word()
        while word < reject:
            word = self.word()
        return word % n


def _round(x: Any) -> int:
    return int(np.rint(_F(x)))


def _crop(width: int, height: int, areas: list[Any], aspect: np.float32, words: _Words) -> tuple[int, int, int, int] | None:
    """A crop (left, top, right, bottom) with an area and aspect ratio as wanted, or None."""
    low, high = areas
    if high <= 0 or aspect <= 0 or width <= 0 or height <= 0 or low > high:
        return None
    low, high = low * _F(width) * _F(height), high * _F(width) * _F(height)
    h, tallest = _round(np.sqrt(low / aspect)), _round(np.sqrt(high / aspect))
    if _round(_F(tallest) * aspect) > width:
        tallest = int((width + 0.5 - float(_F(0.0000001))) / float(aspect))
        if _round(_F(tallest) * aspect) > width:
            tallest -= 1
    tallest = min(tallest, height)
    h = min(h, tallest)
    if h < tallest:
        h += words.below(tallest - h + 1)
    w = _round(_F(h) * aspect)
    if _F(w * h) < low:
        h += 1
        w = _round(_F(h) * aspect)
    if _F(w * h) > high:
        h -= 1
        w = _round(_F(h) * aspect)
    if _F(w * h) < low or _F(w * h) > high or w > width or h > height or w <= 0 or h <= 0:
        return None
    top = words.below(height - h) if h < height else 0
    left = words.below(width - w) if w < width else 0
    return left, top, left + w, top + h


def _covers(crop: tuple[int, int, int, int], least: np.float32, boxes: list[tuple[int, int, int, int]]) -> bool:
    if (crop[2] - crop[0]) * (crop[3] - crop[1]) < 1:
        return False
    for box in boxes:
        area = _F((box[2] - box[0]) * (box[3] - box[1]))
        if area < 1:
            continue
        left, top = max(crop[0], box[0]), max(crop[1], box[1])
        right, bottom = min(crop[2], box[2]), min(crop[3], box[3])
        common = 0 if left > right or top > bottom else (right - left) * (bottom - top)
        if _F(common) / area >= least:
            return True
    return False


def _distort(image_size: np.ndarray, boxes: np.ndarray, least: Any, stream: Stream, attrs: Mapping[str, Any]) -> Any:
    if image_size.shape != (3,):
        raise ShapeError(f"image_size must contain 3 elements, received shape {list(image_size.shape)}")
    if boxes.ndim != 3 or boxes.shape[2] != 4:
        raise ShapeError(f"input boxes must be 3-dimensional [batch, num_boxes, coords], received shape {list(boxes.shape)}")
    if least < 0:
        raise InvalidArgumentError(f"Min object covered must be non-negative: {least}")
    aspects, areas = ([_F(v) for v in attrs[name]] for name in ("aspect_ratio_range", "area_range"))
    if len(aspects) != 2 or min(aspects) <= 0 or len(areas) != 2 or min(areas) <= 0 or max(areas) > 1:
        raise InvalidArgumentError(f"expected two positive aspect ratios and two areas in (0, 1], received {aspects}, {areas}")
    height, width = int(image_size[0]), int(image_size[1])
    flat = boxes.reshape(-1, 4)
    if ((flat < 0) | (flat > 1)).any():
        raise InvalidArgumentError("All bounding box coordinates must be in [0.0, 1.0]")
    sizes = np.array([height, width, height, width], _F)
    objects = [(int(x0), int(y0), int(x1), int(y1)) for y0, x0, y1, x1 in np.trunc(flat * sizes)]
    whole = (0, 0, width, height)
    if not objects:
        if not attrs["use_image_if_no_bounding_boxes"]:
            raise InvalidArgumentError(
                "No bounding boxes provided as input. One must enable use_image_if_no_bounding_boxes if you wish to not provide any bounding boxes."
            )
        objects = [whole]
    words, found = _Words(stream), whole
    for _ in range(attrs["max_attempts"]):
        aspect = words.unit() * (aspects[1] - aspects[0]) + aspects[0]
        crop = _crop(width, height, areas, aspect, words)
        if crop is not None and _covers(crop, _F(least), objects):
            found = crop
            break
    left, top, right, bottom = found
    kind = image_size.dtype
    size = np.array([bottom - top, right - left, -1]).astype(kind)
    box = np.array([top, left, bottom, right], _F) / np.array([height, width, height, width], _F)
    return np.array([top, left, 0]).astype(kind), size, box.reshape(1, 1, 4)


def _distorted_shapes(ctx: Any) -> Any:
    return [TensorShape([3]), TensorShape([3]), TensorShape([1, 1, 4])]


def _register_seeded(text: str) -> None:
    record = op(text).not_differentiable()
    record.infer(_distorted_shapes)

    def prepare(attrs: Mapping[str, Any]) -> Callable[..., Any]:
        state = SeededState(attrs["seed"], attrs["seed2"])

        def kernel(image_size: Any, boxes: Any, *least: Any) -> Any:
            stream = state.reserve((4 * attrs["max_attempts"] + 3) // 4)
            return _distort(image_size, boxes, least[0] if least else attrs["min_object_covered"], stream, attrs)

        return kernel

    record.prepare(prepare)


_register_seeded("SampleDistortedBoundingBox(image_size: T, bounding_boxes: float) -> (begin: T, size: T, bboxes: float) !stateful; T: {uint8, int8, int16, int32, int64}; seed: int = 0; seed2: int = 0; min_object_covered: float = 0.10000000149011612; aspect_ratio_range: list(float) = [0.75, 1.3300000429153442]; area_range: list(float) = [0.05000000074505806, 1.0]; max_attempts: int = 100; use_image_if_no_bounding_boxes: bool = false")  # fmt: skip
_register_seeded("SampleDistortedBoundingBoxV2(image_size: T, bounding_boxes: float, min_object_covered: float) -> (begin: T, size: T, bboxes: float) !stateful; T: {uint8, int8, int16, int32, int64}; seed: int = 0; seed2: int = 0; aspect_ratio_range: list(float) = [0.75, 1.3300000429153442]; area_range: list(float) = [0.05000000074505806, 1.0]; max_attempts: int = 100; use_image_if_no_bounding_boxes: bool = false")  # fmt: skip

stateless_box_op = op("StatelessSampleDistortedBoundingBox(image_size: T, bounding_boxes: float, min_object_covered: float, seed: Tseed) -> (begin: T, size: T, bboxes: float); T: {uint8, int8, int16, int32, int64}; Tseed: {int32, int64}; aspect_ratio_range: list(float) = [0.75, 1.3300000429153442]; area_range: list(float) = [0.05000000074505806, 1.0]; max_attempts: int = 100; use_image_if_no_bounding_boxes: bool = false").not_differentiable()  # fmt: skip
stateless_box_op.infer(_distorted_shapes)


@stateless_box_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., Any]:
    return lambda image_size, boxes, least, seed: _distort(image_size, boxes, least, seed_stream(seed), attrs)


# -- glimpses --------------------------------------------------------------------------------------------------------


def _glimpse_shape(ctx: Any) -> Any:
    size, images = ctx.value_as_shape(1), ctx.shape(0)
    if images.rank != 4 or size.rank != 2:
        return unknown_shape(4)
    return TensorShape([images[0], size[0], size[1], images[3]])


def _glimpse(
    images: np.ndarray, size: np.ndarray, offsets: np.ndarray, version: int, centered: bool, normalized: bool, uniform: bool, noise: bytes
) -> np.ndarray:  # fmt: skip
    if images.ndim != 4 or size.shape != (2,) or offsets.shape != (len(images), 2):
        raise ShapeError(f"expected images (b, h, w, c), two sizes and offsets (b, 2), received {images.shape}, {size.shape}, {offsets.shape}")
    if uniform and noise not in (b"", b"uniform"):
        raise InvalidArgumentError("The uniform_noise and noise could not be specified at the same time")
    kind = noise or (b"uniform" if uniform else b"gaussian")
    if kind not in (b"uniform", b"gaussian", b"zero"):
        raise InvalidArgumentError(f"The noise could only be uniform, gaussian, or zero, got {noise.decode()}")
    height, width = (int(s) for s in size)
    out = np.empty((len(images), height, width, images.shape[3]), images.dtype)
    full, window = np.array(images.shape[1:3], _F), np.array([height, width], _F)
    for image, target, offset in zip(images, out, offsets, strict=True):
        at = offset.astype(_F)
        if normalized:
            at = at * full
        if version == 1 or normalized:
            if centered:
                at = at / _F(2) + full / _F(2)
            if version == 1 or centered:
                at = at - window / _F(2)
        elif centered:
            at = at + full / _F(2)
        top, left = (int(v) for v in at)
        rows, columns = slice(max(top, 0), min(top + height, image.shape[0])), slice(max(left, 0), min(left + width, image.shape[1]))
        target[:] = 0
        if not (top >= 0 and left >= 0 and top + height <= image.shape[0] and left + width <= image.shape[1]):
            _fill_noise(image, target, kind)
        if rows.start < rows.stop and columns.start < columns.stop:
            target[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = image[rows, columns]
    return out


def _fill_noise(image: np.ndarray, target: np.ndarray, kind: bytes) -> None:
    """Noise around the image; unseeded, as in TensorFlow."""
    if kind == b"zero":
        return
    generator = np.random.Generator(np.random.PCG64(entropy64()))
    if kind == b"uniform":
        low, high = image.min(), image.max()
        target[:] = low + generator.random(target.shape, np.float32) * (high - low)
        return
    mean, deviation = image.mean(axis=(0, 1)), image.std(axis=(0, 1))
    values = mean + generator.standard_normal(target.shape, np.float32) * deviation
    target[:] = np.clip(values, image.min(axis=(0, 1)), image.max(axis=(0, 1)))


def _register_glimpse(text: str, version: int) -> None:
    record = op(text).not_differentiable()
    record.infer(_glimpse_shape)

    @record.kernel
    def _(images: Any, size: Any, offsets: Any, *, centered: bool, normalized: bool, uniform_noise: bool, noise: bytes) -> np.ndarray:
        return _glimpse(images, size, offsets, version, centered, normalized, uniform_noise, noise)


_register_glimpse("ExtractGlimpse(input: float, size: int32, offsets: float) -> (glimpse: float); centered: bool = true; normalized: bool = true; uniform_noise: bool = true; noise: string = \"uniform\"", 1)  # fmt: skip
_register_glimpse("ExtractGlimpseV2(input: float, size: int32, offsets: float) -> (glimpse: float); centered: bool = true; normalized: bool = true; uniform_noise: bool = true; noise: string = \"uniform\"", 2)  # fmt: skip
