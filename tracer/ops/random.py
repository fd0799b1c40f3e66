"""Random ops that keep a stream per prepared kernel (seed, seed2), and the tf.random functions on them.

Stateless ones live in stateless_random.py, generators with a state variable in random_generator.py. See `tracer.random` for what an
engine must respect. Authority for every value: TensorFlow 2.15's CPU kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer import random as streams
from tracer import random_distributions as draw
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import DTypeError, InvalidArgumentError, ShapeError
from tracer.public import public
from tracer.random import SeededState, get_seed
from tracer.random_arguments import checked_samples, dims_of, shape_tensor, size_of
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []

_RESERVED = draw.RESERVED_BLOCKS


def _seeded(text: str, kernel: Callable[..., Any], shape_rule: Callable[..., Any]) -> Any:
    """Register a seeded op: `kernel(state, attrs, *arrays)` draws from the prepared kernel's state."""
    record = op(text)
    record.infer(shape_rule)

    def prepare(attrs: Mapping[str, Any]) -> Callable[..., Any]:
        state = SeededState(attrs["seed"], attrs["seed2"])
        return lambda *arrays: kernel(state, attrs, *arrays)

    record.prepare(prepare)
    return record


# -- ops -------------------------------------------------------------------------------------------------------------


def _of_shape(sample: Callable[..., np.ndarray]) -> Callable[..., Any]:
    def kernel(state: SeededState, attrs: Mapping[str, Any], shape: np.ndarray) -> np.ndarray:
        dims = dims_of(shape)
        count = size_of(dims)
        return sample(state.reserve(count * _RESERVED), count, attrs["dtype"]).reshape(dims)

    return kernel


for _text, _sample in (
    ("RandomUniform(shape: T) -> (output: dtype) !stateful; seed: int = 0; seed2: int = 0; dtype: {half, bfloat16, float, double}; T: {int32, int64}", draw.uniform),
    ("RandomStandardNormal(shape: T) -> (output: dtype) !stateful; seed: int = 0; seed2: int = 0; dtype: {half, bfloat16, float, double}; T: {int32, int64}", draw.normal),
    ("TruncatedNormal(shape: T) -> (output: dtype) !stateful; seed: int = 0; seed2: int = 0; dtype: {half, bfloat16, float, double}; T: {int32, int64}", draw.truncated_normal),
):  # fmt: skip
    _seeded(_text, _of_shape(_sample), infer.shape_from_input(0)).not_differentiable()


def _uniform_int(state: SeededState, attrs: Mapping[str, Any], shape: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    if low.ndim or high.ndim:
        raise ShapeError(f"minval and maxval must be 0-D, got shapes {list(low.shape)} and {list(high.shape)}")
    if low >= high:
        raise InvalidArgumentError(f"Need minval < maxval, got {low} >= {high}")
    dims = dims_of(shape)
    count = size_of(dims)
    return draw.uniform_int(state.reserve(count * _RESERVED), count, low, high, attrs["Tout"]).reshape(dims)


_seeded(
    "RandomUniformInt(shape: T, minval: Tout, maxval: Tout) -> (output: Tout) !stateful; seed: int = 0; seed2: int = 0; Tout: {int32, int64}; T: {int32, int64}",
    _uniform_int, infer.shape_from_input(0),
).not_differentiable()  # fmt: skip


def _parameterized(state: SeededState, attrs: Mapping[str, Any], shape: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
    dims = dims_of(shape)
    if not dims:
        raise ShapeError("Shape tensor must not be empty, got []")
    if any(p.ndim > 1 for p in parameters):
        raise ShapeError("Input means, stdevs, minvals and maxvals should be scalars or vectors")
    batches, per_batch, count = dims[0], size_of(dims[1:]), size_of(dims)
    means, deviations, lows, highs = parameters
    if means.size == 1 and deviations.size == 1 and lows.ndim == 0 and highs.ndim == 0:
        batches, per_batch = -(-count // 100), 100
    elif any(p.ndim and len(p) not in (1, batches) for p in parameters):
        raise ShapeError(f"Input means, stdevs, minvals and maxvals should have length 1 or shape[0] ({batches})")
    stream = state.reserve(batches * 2 * draw.TRUNCATED_MAX_ITERATIONS * (per_batch + 3) // 4)
    flat = [p.reshape(-1) for p in parameters]
    return draw.parameterized_truncated_normal(stream, batches, per_batch, count, flat, attrs["dtype"]).reshape(dims)


_seeded(
    "ParameterizedTruncatedNormal(shape: T, means: dtype, stdevs: dtype, minvals: dtype, maxvals: dtype) -> (output: dtype) !stateful; seed: int = 0; seed2: int = 0; dtype: {half, bfloat16, float, double}; T: {int32, int64}",
    _parameterized, infer.shape_from_input(0),
).not_differentiable()  # fmt: skip


def _shape_then_parameter(ctx: Any) -> Any:
    return ctx.value_as_shape(0).concatenate(ctx.shape(1))


def _gamma(state: SeededState, attrs: Mapping[str, Any], shape: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    dims = dims_of(shape)
    count = size_of(dims)
    if count == 0:
        return np.zeros(dims + alpha.shape, alpha.dtype)
    if alpha.size == 0:
        raise InvalidArgumentError("Input alpha should have non-zero element count, got: 0")
    stream = state.reserve(count * alpha.size * _RESERVED)
    return draw.gamma(stream, count, alpha.reshape(-1), attrs["T"]).reshape(dims + alpha.shape)


gamma_op = _seeded(
    "RandomGamma(shape: S, alpha: T) -> (output: T) !stateful; seed: int = 0; seed2: int = 0; S: {int32, int64}; T: {half, float, double}",
    _gamma, _shape_then_parameter,
)  # fmt: skip


@gamma_op.gradient
def _(node: Any, grad: Any) -> Any:
    shape, alpha = node.inputs
    count = raw.Shape(shape)[0]
    leading = raw.ConcatV2([raw.Fill(raw.Reshape(count, [1]), 1), raw.Shape(alpha)], 0)
    partial = raw.RandomGammaGrad(raw.Reshape(alpha, leading), node.outputs[0])
    return None, raw.Sum(raw.Mul(grad, partial), raw.Range(0, count, 1))


gamma_grad_op = op("RandomGammaGrad(alpha: T, sample: T) -> (output: T); T: {float, double}")
gamma_grad_op.infer(infer.broadcast)


@gamma_grad_op.kernel
def _(alpha: np.ndarray, sample: np.ndarray) -> np.ndarray:
    return draw.gamma_sample_derivative(alpha, sample)


def _poisson(state: SeededState, attrs: Mapping[str, Any], shape: np.ndarray, rate: np.ndarray) -> np.ndarray:
    dims = dims_of(shape)
    count = size_of(dims)
    if count == 0:
        return np.zeros(dims + rate.shape, attrs["dtype"].numpy)
    if rate.size == 0:
        raise InvalidArgumentError("Input rate should have non-zero element count, got: 0")
    stream = state.reserve(count * rate.size * _RESERVED)
    return draw.poisson(stream, count, rate.reshape(-1), attrs["dtype"]).reshape(dims + rate.shape)


for _text in (
    "RandomPoisson(shape: S, rate: dtype) -> (output: dtype) !stateful; seed: int = 0; seed2: int = 0; S: {int32, int64}; dtype: {half, float, double}",
    "RandomPoissonV2(shape: S, rate: R) -> (output: dtype) !stateful; seed: int = 0; seed2: int = 0; S: {int32, int64}; R: {half, float, double, int32, int64} = double; dtype: {half, float, double, int32, int64} = int64",
):
    _seeded(_text, _poisson, _shape_then_parameter).not_differentiable()


def _multinomial(state: SeededState, attrs: Mapping[str, Any], logits: np.ndarray, num_samples: np.ndarray) -> np.ndarray:
    samples = checked_samples(logits, num_samples)
    rows = len(logits)
    if rows * samples == 0:
        return np.zeros((rows, samples), attrs["output_dtype"].numpy)
    stream = state.reserve(rows * ((samples + 3) // 4 * 4 * 2) * _RESERVED)
    return draw.multinomial(stream, logits, samples).astype(attrs["output_dtype"].numpy)


def _multinomial_shape(ctx: Any) -> Any:
    samples = ctx.value(1)
    return TensorShape([ctx.shape(0)[0] if ctx.rank(0) == 2 else None, None if samples is None else int(samples)])


_seeded(
    "Multinomial(logits: T, num_samples: int32) -> (output: output_dtype) !stateful; seed: int = 0; seed2: int = 0; T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}; output_dtype: {int32, int64} = int64",
    _multinomial, _multinomial_shape,
).not_differentiable()  # fmt: skip


def _shuffle(state: SeededState, attrs: Mapping[str, Any], value: np.ndarray) -> np.ndarray:
    if value.ndim == 0 or value.size <= 1 or len(value) <= 1:
        return value
    size = len(value)
    return value[draw.permutation(state.reserve((size - 1 + 3) // 4), size)]


_seeded("RandomShuffle(value: T) -> (output: T) !stateful; seed: int = 0; seed2: int = 0; T: type", _shuffle, infer.unchanged).not_differentiable()


def _crop(state: SeededState, attrs: Mapping[str, Any], image: np.ndarray, size: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or size.shape != (2,):
        raise ShapeError(f"expected an image of rank 3 and a size of 2 numbers, received shapes {image.shape} and {size.shape}")
    height, width = (int(s) for s in size)
    if not (0 <= height <= image.shape[0] and 0 <= width <= image.shape[1]):
        raise ShapeError(f"expected a crop size within {image.shape[:2]}, received {height}, {width}")
    if (height, width) == image.shape[:2]:
        return image
    words = state.reserve(1).blocks(1)[0]
    top = int(words[0]) % (image.shape[0] - height + 1)
    left = int(words[1]) % (image.shape[1] - width + 1)
    return image[top : top + height, left : left + width].copy()


def _crop_shape(ctx: Any) -> Any:
    size = ctx.value_as_shape(1)
    depth = ctx.shape(0)[2] if ctx.rank(0) == 3 else None
    return size.concatenate(TensorShape([depth])) if size.rank == 2 else unknown_shape(3)


_seeded(
    "RandomCrop(image: T, size: int64) -> (output: T) !stateful; T: {uint8, int8, int16, int32, int64, float, double}; seed: int = 0; seed2: int = 0",
    _crop, _crop_shape,
).not_differentiable()  # fmt: skip


# -- tf.random -------------------------------------------------------------------------------------------------------


@public("random.set_seed")
def set_seed(seed: Any) -> None:
    """Set the global seed and restart every seeded stream, also those in functions traced before."""
    streams.set_seed(seed)


def _scaled(rnd: Any, scale: Any, offset: Any, name: str | None) -> Any:
    return raw.AddV2(raw.Mul(rnd, scale), offset, name=name)


@public("random.normal")
def random_normal(shape, mean=0.0, stddev=1.0, dtype=dtypes.float32, seed=None, name=None):
    """Values of a normal distribution with `mean` and `stddev` (broadcast against `shape`)."""
    shape = shape_tensor(shape)
    mean, stddev = convert_to_tensor(mean, dtype), convert_to_tensor(stddev, dtype)
    seed1, seed2 = get_seed(seed)
    return _scaled(raw.RandomStandardNormal(shape, dtype=dtype, seed=seed1, seed2=seed2), stddev, mean, name)


@public("random.truncated_normal")
def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=dtypes.float32, seed=None, name=None):
    """Like `normal`, with values beyond two standard deviations drawn again."""
    shape = shape_tensor(shape)
    mean, stddev = convert_to_tensor(mean, dtype), convert_to_tensor(stddev, dtype)
    seed1, seed2 = get_seed(seed)
    return _scaled(raw.TruncatedNormal(shape, dtype=dtype, seed=seed1, seed2=seed2), stddev, mean, name)


@public("random.uniform")
def random_uniform(shape, minval=0, maxval=None, dtype=dtypes.float32, seed=None, name=None):
    """Values of a uniform distribution over [minval, maxval).

    Raises:
        ValueError: an integer dtype without `maxval`, or a dtype that cannot be drawn.
    """
    dtype = as_dtype(dtype)
    accepted = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64)
    if dtype not in accepted:
        raise InvalidArgumentError(f"Argument `dtype` got invalid value {dtype}. Accepted dtypes are {accepted}.")
    if maxval is None:
        if dtype.is_integer:
            raise InvalidArgumentError(f"Must specify maxval for integer dtype {dtype!r}")
        maxval = 1
    shape = shape_tensor(shape)
    from_zero = isinstance(minval, int) and minval == 0
    to_one = isinstance(maxval, int) and maxval == 1
    if not from_zero or not to_one or dtype.is_integer:
        minval, maxval = convert_to_tensor(minval, dtype), convert_to_tensor(maxval, dtype)
    seed1, seed2 = get_seed(seed)
    if dtype.is_integer:
        return raw.RandomUniformInt(shape, minval, maxval, seed=seed1, seed2=seed2, name=name)
    result = raw.RandomUniform(shape, dtype=dtype, seed=seed1, seed2=seed2)
    if from_zero:
        return result if to_one else raw.Mul(result, maxval)
    return _scaled(result, raw.Sub(maxval, minval), minval, name)


@public("random.shuffle")
def random_shuffle(value, seed=None, name=None):
    """`value` with its first dimension in random order."""
    seed1, seed2 = get_seed(seed)
    return raw.RandomShuffle(convert_to_tensor(value), seed=seed1, seed2=seed2, name=name)


@public("random.categorical")
def categorical(logits, num_samples, dtype=None, seed=None, name=None):
    """Class numbers drawn by the unnormalised log-probabilities `logits` (batch, classes): shape (batch, num_samples)."""
    dtype = as_dtype(dtype) if dtype else dtypes.int64
    if dtype not in (dtypes.int32, dtypes.int64):
        raise InvalidArgumentError(f"Argument `dtype` got invalid value {dtype}. Accepted dtypes are int32 and int64.")
    logits = convert_to_tensor(logits)
    seed1, seed2 = get_seed(seed)
    return raw.Multinomial(logits, num_samples, seed=seed1, seed2=seed2, output_dtype=dtype, name=name)


@public("random.gamma")
def random_gamma(shape, alpha, beta=None, dtype=dtypes.float32, seed=None, name=None):
    """Values of gamma distributions with shape parameter `alpha` and rate `beta`: shape `shape + broadcast(alpha, beta)`."""
    shape = convert_to_tensor(shape, dtypes.int32)
    alpha = convert_to_tensor(alpha, dtype)
    beta = convert_to_tensor(1 if beta is None else beta, dtype)
    both = raw.BroadcastArgs(raw.Shape(alpha), raw.Shape(beta))
    seed1, seed2 = get_seed(seed)
    rnd = raw.RandomGamma(shape, raw.BroadcastTo(alpha, both), seed=seed1, seed2=seed2)
    return raw.Maximum(np.finfo(alpha.dtype.numpy).tiny, raw.RealDiv(rnd, beta), name=name)


@public("random.poisson")
def random_poisson(shape, lam, dtype=dtypes.float32, seed=None, name=None):
    """Values of Poisson distributions with rates `lam`: shape `shape + lam.shape`."""
    shape = convert_to_tensor(shape, dtypes.int32)
    if not isinstance(lam, Tensor):
        lam = convert_to_tensor(lam)
    if lam.dtype not in (dtypes.float16, dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64):
        raise DTypeError(f"random.poisson: expected rates of a float or integer dtype, received {lam.dtype.name}")
    seed1, seed2 = get_seed(seed)
    return raw.RandomPoissonV2(shape, lam, dtype=dtype, seed=seed1, seed2=seed2, name=name)

