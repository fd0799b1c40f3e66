"""Batch normalisation and local response normalisation: records, kernels, gradients. Public functions over them live in normalization.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import tf
from tracer.registry import Op, op
from tracer.shapes import TensorShape, unknown_shape
from tracer.windows import from_channels_last, is_channels_first, text_attr, to_channels_last
from tracer.workers import run_blocks

_FORMATS_2D = "data_format: {'NHWC', 'NCHW'} = \"NHWC\""
_FORMATS = "data_format: {'NHWC', 'NCHW', 'NDHWC', 'NCDHW'} = \"NHWC\""
_EPSILON = "epsilon: float = 9.999999747378752e-05"
_TRAIN = "is_training: bool = true"
_SHORT = "{half, bfloat16, float}"
_BLOCK = 1 << 16

batch_norm_op = op(
    "FusedBatchNorm(x: T, scale: T, offset: T, mean: T, variance: T) -> "
    "(y: T, batch_mean: T, batch_variance: T, reserve_space_1: T, reserve_space_2: T); "
    f"T: {{float}}; {_EPSILON}; exponential_avg_factor: float = 1.0; {_FORMATS_2D}; {_TRAIN}"
)
batch_norm_v2_op = op(
    "FusedBatchNormV2(x: T, scale: U, offset: U, mean: U, variance: U) -> "
    "(y: T, batch_mean: U, batch_variance: U, reserve_space_1: U, reserve_space_2: U); "
    f"T: {_SHORT}; U: {{float}}; {_EPSILON}; exponential_avg_factor: float = 1.0; {_FORMATS_2D}; {_TRAIN}"
)
batch_norm_v3_op = op(
    "FusedBatchNormV3(x: T, scale: U, offset: U, mean: U, variance: U) -> "
    "(y: T, batch_mean: U, batch_variance: U, reserve_space_1: U, reserve_space_2: U, reserve_space_3: U); "
    f"T: {_SHORT}; U: {{bfloat16, float}}; {_EPSILON}; exponential_avg_factor: float = 1.0; {_FORMATS}; {_TRAIN}"
)
batch_norm_grad_op = op(
    "FusedBatchNormGrad(y_backprop: T, x: T, scale: T, reserve_space_1: T, reserve_space_2: T) -> "
    "(x_backprop: T, scale_backprop: T, offset_backprop: T, reserve_space_3: T, reserve_space_4: T); "
    f"T: {{float}}; {_EPSILON}; {_FORMATS_2D}; {_TRAIN}"
)
batch_norm_grad_v2_op = op(
    "FusedBatchNormGradV2(y_backprop: T, x: T, scale: float, reserve_space_1: U, reserve_space_2: U) -> "
    "(x_backprop: T, scale_backprop: U, offset_backprop: U, reserve_space_3: U, reserve_space_4: U); "
    f"T: {_SHORT}; U: {{float}}; {_EPSILON}; {_FORMATS_2D}; {_TRAIN}"
)
batch_norm_grad_v3_op = op(
    "FusedBatchNormGradV3(y_backprop: T, x: T, scale: float, reserve_space_1: U, reserve_space_2: U, reserve_space_3: U) -> "
    "(x_backprop: T, scale_backprop: U, offset_backprop: U, reserve_space_4: U, reserve_space_5: U); "
    f"T: {_SHORT}; U: {{float}}; {_EPSILON}; {_FORMATS}; {_TRAIN}"
)
batch_norm_ex_op = op(
    "_FusedBatchNormEx(x: T, scale: U, offset: U, mean: U, variance: U, side_input: num_side_inputs * T) -> "
    "(y: T, batch_mean: U, batch_variance: U, reserve_space_1: U, reserve_space_2: U, reserve_space_3: U); "
    f"T: {{half, float, bfloat16}}; U: {{float}}; {_EPSILON}; exponential_avg_factor: float = 1.0; "
    f'num_side_inputs: int >= 0 = 0; activation_mode: string = "Identity"; {_FORMATS_2D}; {_TRAIN}'
)


# -- forward ---------------------------------------------------------------------------------------------------------


def _channels(shape: TensorShape, data_format: str) -> TensorShape:
    if shape.rank is None:
        return unknown_shape(1)
    return shape[1:2] if is_channels_first(data_format) else shape[-1:]


def _forward_shapes(ctx: infer.InferContext) -> Any:
    data_format = text_attr(ctx.attr("data_format"))
    x = ctx.shape(0)
    if x.rank is not None and x.rank != (5 if "D" in data_format else 4):
        raise ShapeError(f"x must have {5 if 'D' in data_format else 4} dimensions with data format {data_format}, received {x}")
    channels = _channels(x, data_format)
    for i in range(1, 5 if not ctx.attr("is_training") else 3):
        channels = channels.merge_with(ctx.shape(i).with_rank(1))
    if x.rank is not None and channels.is_fully_defined():
        dims = x.as_list()
        dims[1 if is_channels_first(data_format) else -1] = channels[0]
        x = TensorShape(dims)
    # Where the third reserve space exists, TensorFlow infers that it is not known.
    return [x, *[channels] * 4, *[unknown_shape()] * (len(ctx.output_dtypes) - 5)]


for _record in (batch_norm_op, batch_norm_v2_op, batch_norm_v3_op, batch_norm_ex_op):
    _record.infer(_forward_shapes)


def _column_sums(x: np.ndarray) -> np.ndarray:
    """The sum of the rows of a matrix: a product with ones adds in blocks and on all cores."""
    return np.ones(len(x), x.dtype) @ x


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of the columns of a matrix."""
    with np.errstate(all="ignore"):
        count = x.dtype.type(len(x))
        mean = _column_sums(x) / count
        centered = x - mean
        np.square(centered, out=centered)
        return mean, _column_sums(centered) / count


def _prepare_forward(attrs: Mapping[str, Any]) -> Callable[..., Any]:
    epsilon, training = np.float32(attrs["epsilon"]), attrs["is_training"]
    factor = np.float32(attrs["exponential_avg_factor"])
    first = is_channels_first(text_attr(attrs["data_format"]))
    activation = text_attr(attrs.get("activation_mode", "Identity"))
    if activation not in ("Identity", "Relu"):
        raise InvalidArgumentError(f"activation_mode must be Identity or Relu, received {activation!r}")
    reserves = 3 if "num_side_inputs" in attrs or "U" in attrs else 2

    def kernel(
        x: np.ndarray, scale: np.ndarray, offset: np.ndarray, mean: np.ndarray, variance: np.ndarray, *side: np.ndarray
    ) -> Any:
        kind, stat = x.dtype, scale.dtype
        channels = x.shape[1 if first else -1]
        if scale.shape != (channels,) or offset.shape != (channels,):
            raise ShapeError(f"scale and offset must have shape [{channels}], received {list(scale.shape)} and {list(offset.shape)}")
        needs_old = not training or factor != 1
        if needs_old and (mean.shape != (channels,) or variance.shape != (channels,)):
            raise ShapeError(f"mean and variance must have shape [{channels}], received {list(mean.shape)} and {list(variance.shape)}")
        scale, offset = _single(scale), _single(offset)
        if training:
            wide = _single(x)
            rows = wide.transpose(to_channels_last(x.ndim)) if first else wide
            rows = rows.reshape(-1, channels)
            if len(rows):
                batch_mean, biased = _moments(rows)
                unbiased = biased * np.float32(len(rows) / max(1, len(rows) - 1))
            else:
                # As TensorFlow: nothing to measure gives NaN (or the old statistics, averaged with it).
                batch_mean = biased = unbiased = np.full(channels, np.nan, np.float32)
            out_mean, out_variance = batch_mean, unbiased
            if factor != 1:
                out_mean = (1 - factor) * _single(mean) + factor * batch_mean
                out_variance = (1 - factor) * _single(variance) + factor * unbiased
            saved = (batch_mean, biased)
        else:
            batch_mean, biased = _single(mean), _single(variance)
            out_mean, out_variance = mean, variance
            saved = (mean, variance)
        with np.errstate(all="ignore"):
            gain = scale / np.sqrt(biased + epsilon)
            shift = offset - batch_mean * gain
            if first:
                tail = (-1,) + (1,) * (x.ndim - 2)
                gain, shift = gain.reshape(tail), shift.reshape(tail)
            y = _scale_and_shift(_single(x), gain, shift)
        if side:
            y += side[0]
        if activation == "Relu":
            np.maximum(y, 0, out=y)
        stats = [a.astype(stat, copy=False) for a in (out_mean, out_variance, *saved)]
        out = [y.astype(kind, copy=False), *stats]
        if reserves == 3:
            out.append(np.empty(0, stat))
        return out

    return kernel


def _scale_and_shift(x: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """x · gain + shift; large arrays with channels last in blocks that stay in the cache between the two passes, over all cores."""
    if x.size < _BLOCK or gain.ndim > 1 or not x.flags.c_contiguous:
        y = x * gain
        y += shift
        return y
    flat = x.reshape(-1, x.shape[-1])
    y = np.empty(flat.shape, x.dtype)
    step = max(1, _BLOCK // flat.shape[1])

    def work(i: int) -> None:
        part = y[i * step : (i + 1) * step]
        np.multiply(flat[i * step : (i + 1) * step], gain, out=part)
        part += shift

    run_blocks(work, -(-len(flat) // step))
    return y.reshape(x.shape)


def _single(x: np.ndarray) -> np.ndarray:
    return x if x.dtype == np.float32 else x.astype(np.float32)


def _prepare_two(attrs: Mapping[str, Any]) -> Callable[..., Any]:
    run = _prepare_forward({k: v for k, v in attrs.items() if k not in ("U", "num_side_inputs")})
    return lambda *arrays: run(*arrays)


batch_norm_op.prepare(_prepare_two)
batch_norm_v2_op.prepare(_prepare_two)
batch_norm_v3_op.prepare(lambda attrs: _prepare_forward({**attrs, "U": attrs.get("U")}))
batch_norm_ex_op.prepare(_prepare_forward)


# -- backward --------------------------------------------------------------------------------------------------------


def _backward_shapes(ctx: infer.InferContext) -> Any:
    data_format = text_attr(ctx.attr("data_format"))
    x = ctx.shape(0).merge_with(ctx.shape(1))
    channels = _channels(x, data_format)
    return [x, channels, channels, TensorShape([0]), TensorShape([0])]


def _prepare_backward(attrs: Mapping[str, Any]) -> Callable[..., Any]:
    epsilon, training = np.float32(attrs["epsilon"]), attrs["is_training"]
    first = is_channels_first(text_attr(attrs["data_format"]))

    def kernel(dy: np.ndarray, x: np.ndarray, scale: np.ndarray, mean: np.ndarray, variance: np.ndarray, *_: np.ndarray) -> Any:
        if dy.shape != x.shape:
            raise ShapeError(f"x and y_backprop must have one shape, received {list(x.shape)} and {list(dy.shape)}")
        kind, stat = x.dtype, mean.dtype
        channels = x.shape[1 if first else -1]
        if first:
            x, dy = x.transpose(to_channels_last(x.ndim)), dy.transpose(to_channels_last(dy.ndim))
        shape = x.shape
        rows, grads = _single(x).reshape(-1, channels), _single(dy).reshape(-1, channels)
        scale, mean, variance = _single(scale), _single(mean), _single(variance)
        with np.errstate(all="ignore"):
            root = 1 / np.sqrt(variance + epsilon)
            centered = rows - mean
            by_offset = _column_sums(grads)
            by_product = _column_sums(grads * centered)
            by_scale = by_product * root
            if training:
                count = np.float32(max(1, len(rows)))
                # dx = scale·root·(dy - mean(dy) - centered·root²·mean(dy·centered))
                centered *= by_product * (-root * root / count)
                centered += grads
                centered -= by_offset / count
                centered *= scale * root
                dx = centered
            else:
                dx = grads * (scale * root)
        dx = dx.reshape(shape).astype(kind, copy=False)
        if first:
            dx = np.ascontiguousarray(dx.transpose(from_channels_last(dx.ndim)))
        empty = np.empty(0, stat)
        return dx, by_scale.astype(stat, copy=False), by_offset.astype(stat, copy=False), empty, empty

    return kernel


for _record in (batch_norm_grad_op, batch_norm_grad_v2_op, batch_norm_grad_v3_op):
    _record.infer(_backward_shapes)
    _record.prepare(_prepare_backward)


def _forward_gradient(forward: Op, backward: Op) -> None:
    @forward.gradient
    def _(node: Any, grad: Any, *_: Any) -> Any:
        x, scale = node.inputs[:2]
        data_format, training = text_attr(node.attr("data_format")), node.attr("is_training")
        last = "NDHWC" if "D" in data_format else "NHWC"
        rank = len(last)
        if training:
            saved = list(node.outputs[3:])
        else:
            saved = [*node.inputs[3:5], *node.outputs[5:]]
        moved = not training and is_channels_first(data_format)
        if moved:
            x, grad = tf.transpose(x, to_channels_last(rank)), tf.transpose(grad, to_channels_last(rank))
            data_format = last
        dx, by_scale, by_offset, _, _ = getattr(raw, backward.name)(
            grad, x, scale, *saved, epsilon=node.attr("epsilon"), data_format=data_format, is_training=training
        )
        if moved:
            dx = tf.transpose(dx, from_channels_last(rank))
        return dx, by_scale, by_offset, None, None


_forward_gradient(batch_norm_op, batch_norm_grad_op)
_forward_gradient(batch_norm_v2_op, batch_norm_grad_v2_op)
_forward_gradient(batch_norm_v3_op, batch_norm_grad_v3_op)


def _second_gradient(backward: Op) -> None:
    @backward.gradient
    def _(node: Any, *grads: Any) -> Any:
        """The gradient of the gradient, by differentiating its formula."""
        dy, x, scale, mean, variance = node.inputs[:5]
        data_format, training, epsilon = text_attr(node.attr("data_format")), node.attr("is_training"), node.attr("epsilon")
        first = is_channels_first(data_format)
        rank = 5 if "D" in data_format else 4
        axes = [0, *range(2, rank)] if first else list(range(rank - 1))
        kind = x.dtype

        def column(v: Any) -> Any:
            return tf.reshape(v, [1, -1] + [1] * (rank - 2)) if first else v

        ddx, dd_scale, dd_offset = (tf.cast(g, tf.float32) for g in grads[:3])
        dy, x = tf.cast(dy, tf.float32), tf.cast(x, tf.float32)
        dd_scale, dd_offset, scale_c = column(dd_scale), column(dd_offset), column(tf.cast(scale, tf.float32))

        def mean_of(v: Any) -> Any:
            return tf.reduce_mean(v, axes, keepdims=True)

        if training:
            centered = x - mean_of(x)
            root = tf.math.rsqrt(mean_of(tf.square(centered)) + epsilon)
        else:
            centered = x - column(tf.cast(mean, tf.float32))
            root = tf.math.rsqrt(column(tf.cast(variance, tf.float32)) + epsilon)
        normal = centered * root
        if training:
            by_dy = scale_c * root * (ddx - mean_of(ddx) - normal * mean_of(ddx * normal)) + dd_scale * normal + dd_offset
            # Differentiate sum(ddx·dx) + sum(dd_scale·dscale) by x; m(·) is the mean over a channel.
            m_dy, m_dyn, m_dd, m_ddn = mean_of(dy), mean_of(dy * normal), mean_of(ddx), mean_of(ddx * normal)
            inner = mean_of(ddx * dy) - m_dd * m_dy
            outer = 3.0 * m_dyn * m_ddn - inner
            by_x = scale_c * root * root * (normal * outer - m_ddn * (dy - m_dy) - m_dyn * (ddx - m_dd))
            by_x = by_x + dd_scale * root * (dy - m_dy - normal * m_dyn)
            by_scale = tf.reduce_sum(ddx * root * (dy - m_dy - normal * m_dyn), axes)
        else:
            by_dy = scale_c * root * ddx + dd_scale * normal + dd_offset
            by_x = dd_scale * dy * root
            by_scale = tf.reduce_sum(ddx * dy * root, axes)
        # None for the statistics, in inference too, as in TensorFlow.
        return tf.cast(by_dy, kind), tf.cast(by_x, kind), by_scale, *[None] * (len(node.inputs) - 3)


for _record in (batch_norm_grad_op, batch_norm_grad_v2_op, batch_norm_grad_v3_op):
    _second_gradient(_record)
