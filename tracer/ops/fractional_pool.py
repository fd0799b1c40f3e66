"""Pooling over regions of random sizes (Graham, 2015): FractionalMaxPool, FractionalAvgPool and their gradient ops."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import tf
from tracer.random import Stream, entropy64
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape

_ATTRS = (
    "pooling_ratio: list(float) >= 4; pseudo_random: bool = false; overlapping: bool = false; deterministic: bool = false; "
    "seed: int = 0; seed2: int = 0; T: {float, double, int32, int64}"
)
_OUTPUTS = "(output: T, row_pooling_sequence: int64, col_pooling_sequence: int64)"
max_op = op(f"FractionalMaxPool(value: T) -> {_OUTPUTS}; {_ATTRS}")
avg_op = op(f"FractionalAvgPool(value: T) -> {_OUTPUTS}; {_ATTRS}")
max_grad_op = op(
    "FractionalMaxPoolGrad(orig_input: T, orig_output: T, out_backprop: T, row_pooling_sequence: int64, col_pooling_sequence: int64) -> "
    "(output: T); overlapping: bool = false; T: {float, double, int32, int64}"
)
avg_grad_op = op(
    "FractionalAvgPoolGrad(orig_input_tensor_shape: int64, out_backprop: T, row_pooling_sequence: int64, col_pooling_sequence: int64) -> "
    "(output: T); overlapping: bool = false; T: {float, double, int32, int64}"
)


class _Words:
    """Random 32-bit words of a Philox stream, one by one."""

    def __init__(self, stream: Stream):
        self._words = self._all(stream)

    @staticmethod
    def _all(stream: Stream) -> Iterator[int]:
        while True:
            yield from stream.blocks(16).ravel().tolist()
            stream = stream.skip(16)

    def below(self, n: int) -> int:
        """A uniform integer in [0, n), without bias."""
        if n & (n - 1) == 0:
            return next(self._words) & (n - 1)
        rest = (0xFFFFFFFF % n) + 1
        while True:
            word = next(self._words)
            if word >= rest:
                return word % n

    def double(self) -> float:
        """A uniform float in [0, 1)."""
        high, low = next(self._words), next(self._words)
        return (((high & 0xFFFFF) << 32) | low) / 2.0**52


def _regions(size: int, count: int, stream: Stream, pseudo: bool) -> tuple[np.ndarray, Stream]:
    """Boundaries of `count` regions of `size` cells, and the stream afterwards."""
    if size % count == 0:
        return np.arange(count + 1, dtype=np.int64) * (size // count), stream
    each = size // count
    if pseudo:
        alpha = size / count
        limit = min((each + 2) / alpha - 1, (size + 1 - each) / alpha - (count - 1))
        u = _Words(stream).double() * limit
        inner = [math.ceil(alpha * (i + u)) - 1 for i in range(1, count)]
        return np.array([0, *inner, size], np.int64), stream.skip(1)
    steps = [each + 1] * (size % count) + [each] * (count - size % count)
    words = _Words(stream)
    for i in range(count - 1):
        j = i + words.below(count - i)
        steps[i], steps[j] = steps[j], steps[i]
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64), stream.skip((count + 3) // 4)


def _spans(sequence: np.ndarray, size: int, overlapping: bool) -> list[slice]:
    """The cells of each region; overlapping ones share their border."""
    extra = 1 if overlapping else 0
    return [slice(int(a), min(int(b) + extra, size)) for a, b in itertools.pairwise(sequence)]


def _prepare(attrs: Mapping[str, Any], average: bool) -> Callable[..., Any]:
    ratios = attrs["pooling_ratio"]
    seeds = attrs["seed"], attrs["seed2"]
    if ratios[0] != 1 or ratios[3] != 1:
        raise InvalidArgumentError(f"Fractional pooling is not supported on the batch nor channel dimension, received ratios {ratios}")
    if min(ratios) < 1:
        raise InvalidArgumentError(f"pooling_ratio should be >= 1, received {ratios}")
    if not attrs["deterministic"] and any(seeds):
        raise InvalidArgumentError(f"Both seed and seed2 should be 0 if deterministic is false, received {seeds}")

    def kernel(x: np.ndarray) -> Any:
        if x.ndim != 4:
            raise ShapeError(f"value must be 4-dimensional, received shape {list(x.shape)}")
        seed, seed2 = seeds if any(seeds) else (entropy64(), entropy64())
        mask = 2**64 - 1
        stream = Stream(seed & mask, (seed2 & mask) << 64)
        sizes = [math.floor(x.shape[i] / ratios[i]) for i in (1, 2)]
        if min(sizes) < 1:
            raise InvalidArgumentError(f"the pooled size must be positive, received input {list(x.shape)} and ratios {ratios}")
        rows, stream = _regions(x.shape[1], sizes[0], stream, attrs["pseudo_random"])
        columns, _ = _regions(x.shape[2], sizes[1], stream, attrs["pseudo_random"])
        row_spans = _spans(rows, x.shape[1], attrs["overlapping"])
        column_spans = _spans(columns, x.shape[2], attrs["overlapping"])
        combine = np.add if average else np.maximum
        part = np.stack([combine.reduce(x[:, s], axis=1) for s in row_spans], axis=1)
        out = np.stack([combine.reduce(part[:, :, s], axis=2) for s in column_spans], axis=2)
        if average:
            count = _counts(row_spans, column_spans)
            out = np.trunc(out / count).astype(x.dtype) if x.dtype.kind == "i" else out / count.astype(x.dtype)
        return out, rows, columns

    return kernel


def _counts(rows: list[slice], columns: list[slice]) -> np.ndarray:
    """How many cells each region has, [rows, columns, 1]."""
    lengths = [np.array([s.stop - s.start for s in spans]) for spans in (rows, columns)]
    return (lengths[0][:, None] * lengths[1])[..., None]


def _shapes(ctx: infer.InferContext) -> Any:
    x = ctx.shape(0).with_rank(4)
    ratios = ctx.attr("pooling_ratio")
    dims = [None if n is None else math.floor(n / r) for n, r in zip(x, ratios)]
    return [TensorShape(dims), *(TensorShape([None if d is None else d + 1]) for d in dims[1:3])]


max_op.prepare(lambda attrs: _prepare(attrs, False))
avg_op.prepare(lambda attrs: _prepare(attrs, True))
max_op.infer(_shapes)
avg_op.infer(_shapes)
max_grad_op.infer(infer.unchanged)


@max_grad_op.kernel
def _(x: np.ndarray, y: np.ndarray, dy: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, overlapping: bool) -> Any:
    if dy.shape != y.shape or y.shape[1:3] != (len(rows) - 1, len(columns) - 1):
        raise ShapeError(f"orig_output, out_backprop and the sequences do not fit: {y.shape}, {dy.shape}, {len(rows)}, {len(columns)}")
    dx = np.zeros(x.shape, x.dtype)
    for i, r in enumerate(_spans(rows, x.shape[1], overlapping)):
        for j, c in enumerate(_spans(columns, x.shape[2], overlapping)):
            cells = x[:, r, c]
            flat = cells.reshape(len(x), -1, x.shape[3])
            first = flat.argmax(axis=1)
            hit = np.arange(flat.shape[1])[None, :, None] == first[:, None, :]
            dx[:, r, c] += (hit * dy[:, i, j][:, None, :]).reshape(cells.shape).astype(x.dtype, copy=False)
    return dx


@avg_grad_op.infer
def _(ctx: infer.InferContext) -> Any:
    shape = ctx.value_as_shape(0)
    return shape if shape.rank is not None else unknown_shape(4)


@avg_grad_op.kernel
def _(shape: np.ndarray, dy: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, overlapping: bool) -> Any:
    sizes = tuple(int(n) for n in np.ravel(shape))
    if len(sizes) != 4 or dy.shape[1:3] != (len(rows) - 1, len(columns) - 1):
        raise ShapeError(f"the input shape {list(sizes)}, out_backprop {list(dy.shape)} and the sequences do not fit")
    dx = np.zeros(sizes, np.float64)
    row_spans, column_spans = _spans(rows, sizes[1], overlapping), _spans(columns, sizes[2], overlapping)
    share = dy / _counts(row_spans, column_spans)
    for i, r in enumerate(row_spans):
        for j, c in enumerate(column_spans):
            dx[:, r, c] += share[:, i, j][:, None, None, :]
    return dx.astype(dy.dtype)


@max_op.gradient
def _(node: Any, grad: Any, *_: Any) -> Any:
    y, rows, columns = node.outputs
    return raw.FractionalMaxPoolGrad(node.inputs[0], y, grad, rows, columns, overlapping=node.attr("overlapping"))


@avg_op.gradient
def _(node: Any, grad: Any, *_: Any) -> Any:
    _, rows, columns = node.outputs
    shape = tf.shape(node.inputs[0], out_type=tf.int64)
    return raw.FractionalAvgPoolGrad(shape, grad, rows, columns, overlapping=node.attr("overlapping"))
