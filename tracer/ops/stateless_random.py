"""Stateless random ops, whose numbers depend on their seed input alone, and the tf.random.stateless_* functions.

Authority for every value: TensorFlow 2.15's CPU kernels (Philox). ThreeFry is known by name and refused, as those kernels refuse it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer import random_distributions as draw
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.gradient_rules import unbroadcast
from tracer.public import public
from tracer.random import Stream
from tracer.random_arguments import (
    Algorithm,
    checked_samples,
    dims_of,
    key_counter_algorithm,
    seed_stream,
    shape_tensor,
    size_of,
    stream_of,
)
from tracer.registry import op
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []


# -- distributions that need no more than a shape --------------------------------------------------------------------


def _plain(text: str, v2: bool, sample: Callable[..., np.ndarray]) -> None:
    record = op(text)
    record.infer(infer.shape_from_input(0))
    if v2:

        @record.kernel
        def _(shape: np.ndarray, key: np.ndarray, counter: np.ndarray, alg: np.ndarray, *, dtype: Any) -> np.ndarray:
            stream, dims = stream_of(key, counter, alg), dims_of(shape)
            return sample(stream, size_of(dims), dtype).reshape(dims)

    else:

        @record.kernel
        def _(shape: np.ndarray, seed: np.ndarray, *, dtype: Any) -> np.ndarray:
            stream, dims = seed_stream(seed), dims_of(shape)
            return sample(stream, size_of(dims), dtype).reshape(dims)

    record.not_differentiable()


for _text, _v2, _sample in (
    ("StatelessRandomUniform(shape: T, seed: Tseed) -> (output: dtype); dtype: {half, bfloat16, float, double} = float; T: {int32, int64} = int32; Tseed: {int32, int64} = int64", False, draw.uniform),
    ("StatelessRandomNormal(shape: T, seed: Tseed) -> (output: dtype); dtype: {half, bfloat16, float, double} = float; T: {int32, int64} = int32; Tseed: {int32, int64} = int64", False, draw.normal),
    ("StatelessTruncatedNormal(shape: T, seed: Tseed) -> (output: dtype); dtype: {half, bfloat16, float, double} = float; T: {int32, int64} = int32; Tseed: {int32, int64} = int64", False, draw.truncated_normal),
    ("StatelessRandomUniformFullInt(shape: T, seed: Tseed) -> (output: dtype); dtype: {int32, int64, uint32, uint64} = uint64; T: {int32, int64} = int32; Tseed: {int32, int64, uint32, uint64} = int64", False, draw.full_int),
    ("StatelessRandomUniformV2(shape: Tshape, key: uint64, counter: uint64, alg: int32) -> (output: dtype); dtype: {half, bfloat16, float, double} = float; Tshape: {int32, int64} = int32", True, draw.uniform),
    ("StatelessRandomNormalV2(shape: Tshape, key: uint64, counter: uint64, alg: int32) -> (output: dtype); dtype: {half, bfloat16, float, double} = float; Tshape: {int32, int64} = int32", True, draw.normal),
    ("StatelessTruncatedNormalV2(shape: Tshape, key: uint64, counter: uint64, alg: int32) -> (output: dtype); dtype: {half, bfloat16, float, double} = float; Tshape: {int32, int64} = int32", True, draw.truncated_normal),
    ("StatelessRandomUniformFullIntV2(shape: Tshape, key: uint64, counter: uint64, alg: int32) -> (output: dtype); dtype: {int32, int64, uint32, uint64} = uint64; Tshape: {int32, int64} = int32", True, draw.full_int),
):  # fmt: skip
    _plain(_text, _v2, _sample)


def _integers(stream: Stream, shape: np.ndarray, low: np.ndarray, high: np.ndarray, dtype: Any) -> np.ndarray:
    if low.ndim or high.ndim:
        raise ShapeError(f"minval and maxval must be 0-D, got shapes {list(low.shape)} and {list(high.shape)}")
    dims = dims_of(shape)
    if size_of(dims) == 0:
        return np.zeros(dims, dtype.numpy)
    return draw.uniform_int(stream, size_of(dims), low, high, dtype).reshape(dims)


int_op = op("StatelessRandomUniformInt(shape: T, seed: Tseed, minval: dtype, maxval: dtype) -> (output: dtype); dtype: {int32, int64}; T: {int32, int64}; Tseed: {int32, int64} = int64")  # fmt: skip
int_op.infer(infer.shape_from_input(0))
int_op.not_differentiable()


@int_op.kernel
def _(shape: Any, seed: Any, low: Any, high: Any, *, dtype: Any) -> np.ndarray:
    return _integers(seed_stream(seed), shape, low, high, dtype)


int_v2_op = op("StatelessRandomUniformIntV2(shape: Tshape, key: uint64, counter: uint64, alg: int32, minval: dtype, maxval: dtype) -> (output: dtype); dtype: {int32, int64, uint32, uint64}; Tshape: {int32, int64} = int32")  # fmt: skip
int_v2_op.infer(infer.shape_from_input(0))
int_v2_op.not_differentiable()


@int_v2_op.kernel
def _(shape: Any, key: Any, counter: Any, alg: Any, low: Any, high: Any, *, dtype: Any) -> np.ndarray:
    return _integers(stream_of(key, counter, alg), shape, low, high, dtype)


# -- seeds as keys and counters --------------------------------------------------------------------------------------


def _key_counter(seed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    stream = seed_stream(seed)
    counter = [stream.counter & (2**64 - 1), stream.counter >> 64]
    return np.array([stream.key], np.uint64), np.array(counter, np.uint64)


_KEY, _COUNTER, _SCALAR = TensorShape([1]), TensorShape([2]), TensorShape([])

key_counter_op = op("StatelessRandomGetKeyCounter(seed: Tseed) -> (key: uint64, counter: uint64); Tseed: {int32, int64} = int64")
key_counter_op.infer(lambda ctx: [_KEY, _COUNTER])
key_counter_op.kernel(_key_counter)
key_counter_op.not_differentiable()

key_counter_alg_op = op("StatelessRandomGetKeyCounterAlg(seed: Tseed) -> (key: uint64, counter: uint64, alg: int32); Tseed: {int32, int64} = int64")
key_counter_alg_op.infer(lambda ctx: [_KEY, _COUNTER, _SCALAR])
key_counter_alg_op.kernel(lambda seed: (*_key_counter(seed), np.int32(Algorithm.PHILOX.value)))
key_counter_alg_op.not_differentiable()

alg_op = op("StatelessRandomGetAlg() -> (alg: int32) !stateful")
alg_op.infer(infer.scalar)
alg_op.kernel(lambda: np.int32(Algorithm.PHILOX.value))
alg_op.not_differentiable()


# -- distributions with parameters -----------------------------------------------------------------------------------


def _samples_each(dims: tuple[int, ...], parameter_shape: tuple[int, ...]) -> int:
    """How many samples each parameter gets in an output of `dims`. Raises ShapeError."""
    rank = len(parameter_shape)
    if rank > len(dims) or (rank and dims[-rank:] != parameter_shape):
        raise ShapeError(f"Shape passed in must end with broadcasted shape. Received shape {list(dims)}, parameters of shape {list(parameter_shape)}")
    return size_of(dims[: len(dims) - rank])


def _gamma(stream: Stream, shape: np.ndarray, alpha: np.ndarray, dtype: Any) -> np.ndarray:
    dims = dims_of(shape)
    each = _samples_each(dims, alpha.shape)
    if size_of(dims) == 0:
        return np.zeros(dims, dtype.numpy)
    return draw.gamma(stream, each, alpha.reshape(-1), dtype).reshape(dims)


def _gamma_gradient(node: Any, grad: Any, alpha: Any) -> Any:
    shape = node.inputs[0]
    leading = raw.Sub(raw.Shape(shape)[0], raw.Rank(alpha))
    wide = raw.ConcatV2([raw.Fill(raw.Reshape(leading, [1]), 1), raw.Shape(alpha)], 0)
    partial = raw.RandomGammaGrad(raw.Reshape(alpha, wide), node.outputs[0])
    return raw.Sum(raw.Mul(grad, partial), raw.Range(0, leading, 1))


gamma_op = op("StatelessRandomGammaV2(shape: T, seed: Tseed, alpha: dtype) -> (output: dtype); dtype: {half, float, double}; T: {int32, int64}; Tseed: {int32, int64} = int64")  # fmt: skip
gamma_op.infer(infer.shape_from_input(0))


@gamma_op.kernel
def _(shape: Any, seed: Any, alpha: Any, *, dtype: Any) -> np.ndarray:
    return _gamma(seed_stream(seed), shape, alpha, dtype)


@gamma_op.gradient
def _(node: Any, grad: Any) -> Any:
    return None, None, _gamma_gradient(node, grad, node.inputs[2])


gamma_v3_op = op("StatelessRandomGammaV3(shape: shape_dtype, key: uint64, counter: uint64, alg: int32, alpha: dtype) -> (output: dtype); dtype: {half, float, double}; shape_dtype: {int32, int64} = int32")  # fmt: skip
gamma_v3_op.infer(infer.shape_from_input(0))


@gamma_v3_op.kernel
def _(shape: Any, key: Any, counter: Any, alg: Any, alpha: Any, *, dtype: Any) -> np.ndarray:
    return _gamma(stream_of(key, counter, alg), shape, alpha, dtype)


@gamma_v3_op.gradient
def _(node: Any, grad: Any) -> Any:
    return None, None, None, None, _gamma_gradient(node, grad, node.inputs[4])


poisson_op = op("StatelessRandomPoisson(shape: T, seed: Tseed, lam: Rtype) -> (output: dtype); Rtype: {half, float, double, int32, int64}; dtype: {half, float, double, int32, int64}; T: {int32, int64}; Tseed: {int32, int64} = int64")  # fmt: skip
poisson_op.infer(infer.shape_from_input(0))
poisson_op.not_differentiable()


@poisson_op.kernel
def _(shape: Any, seed: Any, rate: Any, *, dtype: Any) -> np.ndarray:
    dims = dims_of(shape)
    each = _samples_each(dims, rate.shape)
    if size_of(dims) == 0:
        return np.zeros(dims, dtype.numpy)
    return draw.poisson(seed_stream(seed), each, rate.reshape(-1), dtype).reshape(dims)


binomial_op = op("StatelessRandomBinomial(shape: S, seed: Tseed, counts: T, probs: T) -> (output: dtype); S: {int32, int64}; Tseed: {int32, int64} = int64; T: {half, float, double, int32, int64} = double; dtype: {half, float, double, int32, int64} = int64")  # fmt: skip
binomial_op.infer(infer.shape_from_input(0))
binomial_op.not_differentiable()


@binomial_op.kernel
def _(shape: Any, seed: Any, counts: Any, probs: Any, *, dtype: Any) -> np.ndarray:
    dims = dims_of(shape)
    counts, probs = np.broadcast_arrays(counts, probs)
    each = _samples_each(dims, counts.shape)
    if size_of(dims) == 0:
        return np.zeros(dims, dtype.numpy)
    return draw.binomial(seed_stream(seed), each, counts.reshape(-1), probs.reshape(-1), dtype).reshape(dims)


multinomial_op = op("StatelessMultinomial(logits: T, num_samples: int32, seed: Tseed) -> (output: output_dtype); T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}; Tseed: {int32, int64} = int64; output_dtype: {int32, int64} = int64")  # fmt: skip
multinomial_op.not_differentiable()


@multinomial_op.infer
def _(ctx: Any) -> Any:
    samples = ctx.value(1)
    return TensorShape([ctx.shape(0)[0] if ctx.rank(0) == 2 else None, None if samples is None else int(samples)])


@multinomial_op.kernel
def _(logits: Any, num_samples: Any, seed: Any, *, output_dtype: Any) -> np.ndarray:
    return draw.multinomial(seed_stream(seed), logits, checked_samples(logits, num_samples)).astype(output_dtype.numpy)


truncated_op = op("StatelessParameterizedTruncatedNormal(shape: S, seed: Tseed, means: dtype, stddevs: dtype, minvals: dtype, maxvals: dtype) -> (output: dtype); S: {int32, int64}; Tseed: {int32, int64} = int64; dtype: {half, float, double}")  # fmt: skip
truncated_op.infer(infer.shape_from_input(0))


@truncated_op.kernel
def _(shape: Any, seed: Any, *parameters: Any, dtype: Any) -> np.ndarray:
    dims = dims_of(shape)
    wide = np.broadcast_arrays(*parameters)
    each = _samples_each(dims, wide[0].shape)
    if size_of(dims) == 0:
        return np.zeros(dims, dtype.numpy)
    return draw.stateless_truncated_normal(seed_stream(seed), each, [p.reshape(-1) for p in wide], dtype).reshape(dims)


def _ndtr(x: Any) -> Any:
    half_root = np.asarray(0.5 * np.sqrt(2.0)).astype(x.dtype.numpy)
    one, two, half = (np.asarray(v).astype(x.dtype.numpy) for v in (1.0, 2.0, 0.5))
    w = raw.Mul(x, half_root)
    z = raw.Abs(w)
    far = raw.SelectV2(raw.Greater(w, np.zeros((), x.dtype.numpy)), raw.Sub(two, raw.Erfc(z)), raw.Erfc(z))
    return raw.Mul(half, raw.SelectV2(raw.Less(z, half_root), raw.AddV2(one, raw.Erf(w)), far))


@truncated_op.gradient
def _(node: Any, grad: Any) -> Any:
    # Implicit differentiation of the samples (Figurnov et al. 2018).
    mean, deviation, low, high = node.inputs[2:]
    sample = node.outputs[0]
    limits = np.finfo(mean.dtype.numpy)
    low_std, high_std, sample_std = ((v - mean) / deviation for v in (low, high, sample))
    cdf = (_ndtr(sample_std) - _ndtr(low_std)) / (_ndtr(high_std) - _ndtr(low_std))
    cdf = raw.Maximum(raw.Minimum(cdf, 1 - limits.eps), limits.tiny)
    d_high = raw.Exp(0.5 * (raw.Square(sample_std) - raw.Square(high_std)) + raw.Log(cdf))
    d_low = raw.Exp(0.5 * (raw.Square(sample_std) - raw.Square(low_std)) + raw.Log1p(-cdf))
    return (
        None, None, unbroadcast(grad, mean), unbroadcast(grad * sample_std, deviation), unbroadcast(grad * d_low, low),
        unbroadcast(grad * d_high, high),
    )  # fmt: skip


shuffle_op = op("StatelessShuffle(value: T, key: uint64, counter: uint64, alg: int32) -> (output: T); T: type")
shuffle_op.infer(infer.unchanged)
shuffle_op.not_differentiable()


@shuffle_op.kernel
def _(value: Any, key: Any, counter: Any, alg: Any) -> np.ndarray:
    stream = stream_of(key, counter, alg)
    return value if value.ndim == 0 or value.size <= 1 or len(value) <= 1 else value[draw.permutation(stream, len(value))]


# -- a shuffle of indices by a small block cipher --------------------------------------------------------------------


index_shuffle_op = op("RandomIndexShuffle(index: dtype, seed: Tseed, max_index: dtype) -> (output: dtype); rounds: int = 4; dtype: {int32, uint32, int64, uint64}; Tseed: {int32, uint32, int64, uint64}")  # fmt: skip
index_shuffle_op.not_differentiable()


@index_shuffle_op.infer
def _(ctx: Any) -> Any:
    seed = ctx.shape(1)
    if ctx.rank(0) == 0 and ctx.rank(2) == 0 and seed.rank is not None:
        return TensorShape(seed.as_list()[:-1])
    return infer.unknown(ctx)[0]


def _cipher_keys(key: list[int], width: int, rounds: int) -> list[int]:
    mask = (1 << width) - 1
    constant, z = 0xFFFFFFFC & mask, 0x7369F885192C0EF5 & mask
    keys = [k & mask for k in key]
    for i in range(3, rounds):
        last = keys[i - 1]
        turned = ((last >> 3 | last << (width - 3)) ^ (last >> 4 | last << (width - 4))) & mask
        keys.append(constant ^ (z & 1) ^ keys[i - 3] ^ turned)
        z >>= 1
    return keys


def _shuffled_index(index: int, key: list[int], largest: int, rounds: int) -> int:
    """`index` permuted within 0…largest: a Simon cipher over enough bits, repeated until it lands inside.

    Authority: TensorFlow 2.15 random_index_shuffle (Beaulieu et al., eprint 2013/404, with few rounds).
    """
    if largest == 0:
        return 0
    bits = max((largest - 1).bit_length() if largest > 1 else 0, 0)
    bits = max(bits + bits % 2, 16)
    width = bits // 2
    mask = (1 << width) - 1

    def turn(x: int, by: int) -> int:
        return (x << by | x >> (width - by)) & mask

    def feistel(x: int) -> int:
        return (turn(x, 1) & turn(x, 8)) ^ turn(x, 2)

    keys = _cipher_keys(key, width, rounds)
    while True:
        left, right = index >> width & mask, index & mask
        for i in range(0, len(keys) - 1, 2):
            left ^= feistel(right) ^ keys[i]
            right ^= feistel(left) ^ keys[i + 1]
        index = left << width | right
        if index <= largest:
            return index


@index_shuffle_op.kernel
def _(index: Any, seed: Any, max_index: Any, *, rounds: int) -> np.ndarray:
    if seed.ndim not in (1, 2) or seed.shape[-1] != 3 or index.ndim > 1 or max_index.ndim > 1:
        raise ShapeError(f"expected seed [3] or [n, 3], index and max_index scalars or vectors, received {seed.shape}, {index.shape}, {max_index.shape}")
    if rounds < 4 or rounds % 2:
        raise InvalidArgumentError(f"rounds must be even and at least 4, received {rounds}")
    shape = np.broadcast_shapes(index.shape, max_index.shape, seed.shape[:-1])
    indices, limits = np.broadcast_to(index, shape), np.broadcast_to(max_index, shape)
    seeds = np.broadcast_to(seed, (*shape, 3)).reshape(-1, 3)
    out = np.empty(indices.size, index.dtype)
    for i, (one, limit) in enumerate(zip(indices.reshape(-1), limits.reshape(-1), strict=True)):
        if not 0 <= one <= limit:
            raise InvalidArgumentError(f"expected 0 <= index <= max_index, received index {one}, max_index {limit}")
        out[i] = _shuffled_index(int(one), [int(k) & 0xFFFFFFFF for k in seeds[i]], int(limit), rounds)
    return out.reshape(shape)


# -- tf.random.stateless_* -------------------------------------------------------------------------------------------


def _scaled(rnd: Any, scale: Any, offset: Any, name: str | None) -> Any:
    return raw.AddV2(raw.Mul(rnd, scale), offset, name=name)


@public("random.stateless_uniform")
def stateless_uniform(shape, seed, minval=0, maxval=None, dtype=dtypes.float32, name=None, alg="auto_select"):
    """Values of a uniform distribution over [minval, maxval); integers over their whole range where both bounds are None.

    Raises:
        ValueError: a dtype that cannot be drawn, or only one bound for an integer dtype.
    """
    dtype = as_dtype(dtype)
    accepted = (*(dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64), *(dtypes.int32, dtypes.int64, dtypes.uint32, dtypes.uint64))
    if dtype not in accepted:
        raise InvalidArgumentError(f"Argument `dtype` got invalid value {dtype}. Accepted dtypes are {accepted}.")
    if dtype.is_integer:
        if (minval is None) != (maxval is None):
            raise InvalidArgumentError(
                f"For integer `dtype` argument {dtype}, argument `minval` and `maxval` must be both None or not None. "
                f"Got `minval`={minval} and `maxval`={maxval}."
            )
        if minval is not None and dtype in (dtypes.uint32, dtypes.uint64):
            raise InvalidArgumentError(f"Argument `dtype` got invalid value {dtype} when argument `minval` is not None. Please don't use unsigned integers in this case.")
    elif maxval is None:
        maxval = 1
    shape = shape_tensor(shape)
    key, counter, alg = key_counter_algorithm(seed, alg)
    if dtype.is_integer and minval is None:
        return raw.StatelessRandomUniformFullIntV2(shape, key, counter, alg, dtype=dtype, name=name)
    minval, maxval = convert_to_tensor(minval, dtype), convert_to_tensor(maxval, dtype)
    if dtype.is_integer:
        return raw.StatelessRandomUniformIntV2(shape, key, counter, alg, minval, maxval, name=name)
    rnd = raw.StatelessRandomUniformV2(shape, key, counter, alg, dtype=dtype)
    return _scaled(rnd, raw.Sub(maxval, minval), minval, name)


def _normal_like(op_name: str, shape: Any, seed: Any, mean: Any, stddev: Any, dtype: Any, name: str | None, alg: Any) -> Any:
    shape = shape_tensor(shape)
    mean, stddev = convert_to_tensor(mean, dtype), convert_to_tensor(stddev, dtype)
    key, counter, alg = key_counter_algorithm(seed, alg)
    return _scaled(getattr(raw, op_name)(shape, key, counter, alg, dtype=dtype), stddev, mean, name)


@public("random.stateless_normal")
def stateless_normal(shape, seed, mean=0.0, stddev=1.0, dtype=dtypes.float32, name=None, alg="auto_select"):
    """Values of a normal distribution."""
    return _normal_like("StatelessRandomNormalV2", shape, seed, mean, stddev, dtype, name, alg)


@public("random.stateless_truncated_normal")
def stateless_truncated_normal(shape, seed, mean=0.0, stddev=1.0, dtype=dtypes.float32, name=None, alg="auto_select"):
    """Values of a normal distribution, those beyond two standard deviations drawn again."""
    return _normal_like("StatelessTruncatedNormalV2", shape, seed, mean, stddev, dtype, name, alg)


@public("random.stateless_binomial")
def stateless_binomial(shape, seed, counts, probs, output_dtype=dtypes.int32, name=None):
    """Successes among `counts` trials with probability `probs`; `shape` ends with their broadcast shape."""
    probs = convert_to_tensor(probs, dtype_hint=dtypes.float32)
    counts = convert_to_tensor(counts, dtype_hint=probs.dtype)
    return raw.StatelessRandomBinomial(shape_tensor(shape), seed, counts, probs, dtype=output_dtype, name=name)


@public("random.stateless_gamma")
def stateless_gamma(shape, seed, alpha, beta=None, dtype=dtypes.float32, name=None):
    """Values of gamma distributions; `shape` ends with the broadcast shape of `alpha` and `beta`."""
    shape = shape_tensor(shape)
    alpha = convert_to_tensor(alpha, dtype)
    beta = convert_to_tensor(1 if beta is None else beta, dtype)
    wide = raw.BroadcastTo(alpha, raw.BroadcastArgs(raw.Shape(alpha), raw.Shape(beta)))
    key, counter, alg = key_counter_algorithm(seed, "auto_select")
    rnd = raw.StatelessRandomGammaV3(shape, key, counter, alg, wide)
    return raw.Maximum(np.finfo(alpha.dtype.numpy).tiny, raw.RealDiv(rnd, beta), name=name)


@public("random.stateless_poisson")
def stateless_poisson(shape, seed, lam, dtype=dtypes.int32, name=None):
    """Values of Poisson distributions with rates `lam`; `shape` ends with the shape of `lam`."""
    return raw.StatelessRandomPoisson(shape_tensor(shape), seed, lam, dtype=dtype, name=name)


@public("random.stateless_categorical")
def stateless_categorical(logits, num_samples, seed, dtype=dtypes.int64, name=None):
    """Class numbers drawn by the unnormalised log-probabilities `logits` (batch, classes): shape (batch, num_samples)."""
    dtype = as_dtype(dtype) if dtype else dtypes.int64
    if dtype not in (dtypes.int32, dtypes.int64):
        raise InvalidArgumentError(f"Argument `dtype` got invalid value {dtype}. Accepted dtypes are int32 and int64.")
    return raw.StatelessMultinomial(convert_to_tensor(logits), num_samples, seed, output_dtype=dtype, name=name)


@public("random.stateless_parameterized_truncated_normal")
def stateless_parameterized_truncated_normal(shape, seed, means=0.0, stddevs=1.0, minvals=-2.0, maxvals=2.0, name=None):
    """Values of normal distributions cut to [minvals, maxvals]; `shape` ends with the parameters' broadcast shape."""
    parameters = [convert_to_tensor(p) for p in (means, stddevs, minvals, maxvals)]
    return raw.StatelessParameterizedTruncatedNormal(shape_tensor(shape), seed, *parameters, name=name)


@public("random.split", "random.experimental.stateless_split")
def split(seed, num=2, alg="auto_select"):
    """`num` new seeds derived from `seed`: shape (num, 2)."""
    seed = convert_to_tensor(seed)
    return stateless_uniform([num, 2], seed, None, None, seed.dtype, alg=alg)


@public("random.fold_in", "random.experimental.stateless_fold_in")
def fold_in(seed, data, alg="auto_select"):
    """A new seed made of `seed` and the integer `data`."""
    data = convert_to_tensor(data)
    first = stateless_uniform([], seed, None, None, data.dtype, alg=alg)
    return raw.Pack([first, data])


@public("random.experimental.stateless_shuffle")
def stateless_shuffle(value, seed, alg="auto_select", name=None):
    """`value` with its first dimension in an order that `seed` fixes."""
    key, counter, alg = key_counter_algorithm(seed, alg)
    return raw.StatelessShuffle(convert_to_tensor(value), key, counter, alg, name=name)


@public("random.experimental.index_shuffle")
def index_shuffle(index, seed, max_index):
    """Where a shuffle of range(max_index + 1) puts `index`; `seed` has shape [2] or [n, 2]."""
    seed = convert_to_tensor(seed)
    rank = seed.shape.rank or 1
    paddings = np.array([[1, 0]] + [[0, 0]] * (rank - 1), np.int32)
    seed = raw.PadV2(seed, paddings, np.asarray(498247692).astype(seed.dtype.numpy))
    return raw.RandomIndexShuffle(index, seed, max_index, rounds=4)


public("random.Algorithm", "random.experimental.Algorithm")(Algorithm)
