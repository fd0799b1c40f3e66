"""Local response normalisation, and the functions of `tf.nn` that normalise: moments, batch_normalization, l2_normalize, fused_batch_norm.

The fused batch normalisation ops are in norm.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import name_scope, raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.tensor import convert_to_tensor

_ATTRS = "depth_radius: int = 5; bias: float = 1.0; alpha: float = 1.0; beta: float = 0.5; T: {half, bfloat16, float} = float"
lrn_op = op(f"LRN(input: T) -> (output: T); {_ATTRS}")
lrn_grad_op = op(f"LRNGrad(input_grads: T, input_image: T, output_image: T) -> (output: T); {_ATTRS}")
lrn_op.infer(lambda ctx: ctx.shape(0).with_rank(4))
lrn_grad_op.infer(infer.like_input(1))


def _window_sum(x: np.ndarray, radius: int) -> np.ndarray:
    """The sum over neighbours up to `radius` away along the last axis."""
    out = x.copy()
    depth = x.shape[-1]
    for d in range(1, min(radius, depth - 1) + 1):
        out[..., d:] += x[..., :-d]
        out[..., :-d] += x[..., d:]
    return out


def _norm(x: np.ndarray, radius: int, bias: float, alpha: float) -> np.ndarray:
    total = _window_sum(np.square(x), radius)
    total *= np.float32(alpha)
    total += np.float32(bias)
    return total


@lrn_op.kernel
def _(x: np.ndarray, *, depth_radius: int, bias: float, alpha: float, beta: float) -> Any:
    if x.ndim != 4:
        raise ShapeError(f"the input must be 4-dimensional, received shape {list(x.shape)}")
    wide = x.astype(np.float32, copy=False)
    return (wide * np.power(_norm(wide, depth_radius, bias, alpha), np.float32(-beta))).astype(x.dtype, copy=False)


@lrn_grad_op.kernel
def _(dy: np.ndarray, x: np.ndarray, y: np.ndarray, *, depth_radius: int, bias: float, alpha: float, beta: float) -> Any:
    if not dy.shape == x.shape == y.shape or x.ndim != 4:
        raise ShapeError(f"input_grads, input_image and output_image must have one 4-D shape, received {dy.shape}, {x.shape}, {y.shape}")
    kind = x.dtype
    dy, x, y = (v.astype(np.float32, copy=False) for v in (dy, x, y))
    norm = _norm(x, depth_radius, bias, alpha)
    spread = _window_sum(dy * y / norm, depth_radius)
    return (dy * np.power(norm, np.float32(-beta)) - np.float32(2 * alpha * beta) * x * spread).astype(kind, copy=False)


@lrn_op.gradient
def _(node: Any, grad: Any) -> Any:
    attrs = {n: node.attr(n) for n in ("depth_radius", "bias", "alpha", "beta")}
    return raw.LRNGrad(grad, node.inputs[0], node.outputs[0], **attrs)


@public("nn.local_response_normalization", "nn.lrn")
def local_response_normalization(
    input: Any, depth_radius: int = 5, bias: float = 1, alpha: float = 1, beta: float = 0.5, name: str | None = None
) -> Any:
    """input / (bias + alpha · Σ input²)^beta, the sum over channels up to `depth_radius` away (Krizhevsky et al., 2012)."""
    return raw.LRN(input, depth_radius=depth_radius, bias=bias, alpha=alpha, beta=beta, name=name)


# -- moments ---------------------------------------------------------------------------------------------------------


def _is_short(dtype: Any) -> bool:
    return dtype in (tf.float16, tf.bfloat16)


@public("nn.moments")
def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """(mean, variance) of `x` over `axes`; half and bfloat16 are measured in float32. `shift` is ignored."""
    with name_scope(name or "moments"):
        x = convert_to_tensor(x)
        y = tf.cast(x, tf.float32) if _is_short(x.dtype) else x
        mean = tf.reduce_mean(y, axes, keepdims=True)
        variance = tf.reduce_mean(raw.SquaredDifference(y, tf.stop_gradient(mean)), axes, keepdims=True)
        if not keepdims:
            mean, variance = tf.squeeze(mean, axes), tf.squeeze(variance, axes)
        if _is_short(x.dtype):
            return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)
        return mean, variance


@public("nn.sufficient_statistics")
def sufficient_statistics(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """(count, sum of x - shift, sum of (x - shift)², shift) over `axes`, from which moments can be put together."""
    axes = sorted({int(a) for a in np.ravel(axes)})
    with name_scope(name or "sufficient_statistics"):
        x = convert_to_tensor(x)
        sizes = [x.shape[a] for a in axes] if x.shape.rank is not None else [None]
        if all(n is not None for n in sizes):
            count: Any = tf.constant(float(np.prod(sizes)), dtype=x.dtype)
        else:
            count = tf.cast(tf.reduce_prod(tf.gather(tf.shape(x), axes)), x.dtype)
        if shift is not None:
            shift = convert_to_tensor(shift, dtype=x.dtype)
            mean_sum = x - shift
            square_sum = raw.SquaredDifference(x, shift)
        else:
            mean_sum, square_sum = x, tf.square(x)
        return count, tf.reduce_sum(mean_sum, axes, keepdims=keepdims), tf.reduce_sum(square_sum, axes, keepdims=keepdims), shift


@public("nn.normalize_moments")
def normalize_moments(counts: Any, mean_ss: Any, variance_ss: Any, shift: Any, name: str | None = None) -> Any:
    """(mean, variance) from the results of `sufficient_statistics`."""
    with name_scope(name or "normalize"):
        divisor = raw.Reciprocal(convert_to_tensor(counts))
        if shift is not None:
            shifted = mean_ss * divisor
            mean = shifted + shift
        else:
            shifted = mean = mean_ss * divisor
        return mean, variance_ss * divisor - tf.square(shifted)


@public("nn.weighted_moments")
def weighted_moments(x: Any, axes: Any, frequency_weights: Any, keepdims: bool = False, name: str | None = None) -> Any:
    """(mean, variance) of `x` over `axes`, each value counted by `frequency_weights` (which broadcast)."""
    with name_scope(name or "weighted_moments"):
        x = convert_to_tensor(x)
        weights = convert_to_tensor(frequency_weights)
        kind = x.dtype
        if _is_short(kind):
            x = tf.cast(x, tf.float32)
        if weights.dtype != x.dtype:
            weights = tf.cast(weights, x.dtype)
        total = tf.reduce_sum(weights * x, axes, keepdims=True)
        spread = weights + raw.ZerosLike(x)  # the weights, repeated where they broadcast
        count = tf.reduce_sum(spread, axes, keepdims=True)
        mean = total / count
        variance = tf.reduce_sum(weights * raw.SquaredDifference(x, mean), axes, keepdims=True) / count
        if not keepdims:
            mean, variance = tf.squeeze(mean, axes), tf.squeeze(variance, axes)
        return (tf.cast(mean, kind), tf.cast(variance, kind)) if _is_short(kind) else (mean, variance)


@public("nn.batch_normalization")
def batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: Any, name: str | None = None
) -> Any:
    """scale · (x - mean) / sqrt(variance + epsilon) + offset; scale and offset may be None."""
    with name_scope(name or "batchnorm"):
        x = convert_to_tensor(x)
        inverse = raw.Rsqrt(convert_to_tensor(variance) + variance_epsilon)
        if scale is not None:
            inverse = inverse * scale
        shift = offset - mean * inverse if offset is not None else -mean * inverse
        return x * _cast(inverse, x.dtype) + _cast(shift, x.dtype)


def _cast(x: Any, dtype: Any) -> Any:
    return x if x.dtype == dtype else tf.cast(x, dtype)


@public("nn.batch_norm_with_global_normalization")
def batch_norm_with_global_normalization(
    input: Any, mean: Any, variance: Any, beta: Any, gamma: Any, variance_epsilon: float, scale_after_normalization: bool,
    name: str | None = None,
) -> Any:  # fmt: skip
    """`batch_normalization` with the scale applied where `scale_after_normalization`."""
    return batch_normalization(input, mean, variance, beta, gamma if scale_after_normalization else None, variance_epsilon, name)


@public("compat.v1.nn.fused_batch_norm")
def fused_batch_norm(
    x: Any, scale: Any, offset: Any, mean: Any = None, variance: Any = None, epsilon: float = 0.001, data_format: str = "NHWC",
    is_training: bool = True, name: str | None = None, exponential_avg_factor: float = 1.0,
) -> Any:  # fmt: skip
    """FusedBatchNormV3: (y, mean, variance). Statistics are needed in inference, or with an averaging factor other than 1.

    Raises:
        ValueError: `mean` or `variance` is missing there.
    """
    if (not is_training or exponential_avg_factor != 1.0) and (mean is None or variance is None):
        raise InvalidArgumentError(
            "`mean` and `variance` must be given when is_training is False or exponential_avg_factor is not 1.0; "
            f"received mean={mean}, variance={variance}"
        )
    x = convert_to_tensor(x)
    scale, offset = convert_to_tensor(scale, dtype=tf.float32), convert_to_tensor(offset, dtype=tf.float32)
    mean = tf.constant([], dtype=tf.float32) if mean is None else mean
    variance = tf.constant([], dtype=tf.float32) if variance is None else variance
    # TensorFlow does not go below the least epsilon of cuDNN either.
    epsilon = max(epsilon, 1.001e-5)
    y, running_mean, running_variance, _, _, _ = raw.FusedBatchNormV3(
        x, scale, offset, mean, variance, epsilon=epsilon, exponential_avg_factor=exponential_avg_factor, data_format=data_format,
        is_training=is_training, name=name,
    )  # fmt: skip
    return y, running_mean, running_variance


@public("math.l2_normalize", "linalg.l2_normalize", "nn.l2_normalize")
def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None, dim: Any = None) -> Any:
    """x / sqrt(max(Σ x², epsilon)) along `axis` (`dim` is its old name)."""
    if dim is not None:
        axis = dim
    with name_scope(name or "l2_normalize") as scope:
        x = convert_to_tensor(x)
        if x.dtype.is_complex:
            square = tf.reduce_sum(tf.math.real(x * tf.math.conj(x)), axis, keepdims=True)
            inverse = raw.Rsqrt(raw.Maximum(square, tf.cast(epsilon, square.dtype)))
            return raw.Mul(x, tf.cast(inverse, x.dtype), name=scope or name)
        square = tf.reduce_sum(tf.square(x), axis, keepdims=True)
        return raw.Mul(x, raw.Rsqrt(raw.Maximum(square, convert_to_tensor(epsilon, dtype=square.dtype))), name=scope or name)
