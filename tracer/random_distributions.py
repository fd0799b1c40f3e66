"""Values from random bits, bit for bit as TensorFlow's CPU kernels make them: uniform, normal, truncated, gamma, Poisson, binomial.

It refuses to keep state: every function takes a `Stream` and a count. float32 logarithm, sine and cosine are those of the GNU C library
(2.28 and later), evaluated here in double precision, because TensorFlow's kernels call them and NumPy's own differ in the last bit.
float64 functions go through Python's `math`, the platform's C library, for the same reason.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tracer.dtypes import DType, bfloat16, float16, float32, float64
from tracer.errors import InvalidArgumentError
from tracer.random import Stream, blocks

__all__ = [
    "binomial", "full_int", "gamma", "gamma_sample_derivative", "multinomial", "normal", "parameterized_truncated_normal", "permutation", "poisson",
    "shards", "stateless_truncated_normal", "truncated_normal", "uniform", "uniform_int",
]  # fmt: skip

RESERVED_BLOCKS = 256  # blocks set aside for each output of a sampler that rejects

# -- float32 functions of the C library ------------------------------------------------------------------------------

_LOG_TABLE = np.array(
    [
        [float.fromhex(a), float.fromhex(b)]
        for a, b in (
            ("0x1.661ec79f8f3bep+0", "-0x1.57bf7808caadep-2"), ("0x1.571ed4aaf883dp+0", "-0x1.2bef0a7c06ddbp-2"),
            ("0x1.49539f0f010bp+0", "-0x1.01eae7f513a67p-2"), ("0x1.3c995b0b80385p+0", "-0x1.b31d8a68224e9p-3"),
            ("0x1.30d190c8864a5p+0", "-0x1.6574f0ac07758p-3"), ("0x1.25e227b0b8eap+0", "-0x1.1aa2bc79c81p-3"),
            ("0x1.1bb4a4a1a343fp+0", "-0x1.a4e76ce8c0e5ep-4"), ("0x1.12358f08ae5bap+0", "-0x1.1973c5a611cccp-4"),
            ("0x1.0953f419900a7p+0", "-0x1.252f438e10c1ep-5"), ("0x1p+0", "0x0p+0"),
            ("0x1.e608cfd9a47acp-1", "0x1.aa5aa5df25984p-5"), ("0x1.ca4b31f026aap-1", "0x1.c5e53aa362eb4p-4"),
            ("0x1.b2036576afce6p-1", "0x1.526e57720db08p-3"), ("0x1.9c2d163a1aa2dp-1", "0x1.bc2860d22477p-3"),
            ("0x1.886e6037841edp-1", "0x1.1058bc8a07ee1p-2"), ("0x1.767dcf5534862p-1", "0x1.4043057b6ee09p-2"),
        )
    ]
)  # fmt: skip
_LOG_POLY = [float.fromhex(h) for h in ("-0x1.00ea348b88334p-2", "0x1.5575b0be00b6ap-2", "-0x1.ffffef20a4123p-2")]
_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
_TWO_OVER_PI = float.fromhex("0x1.45F306DC9C883p+23")
_HALF_PI = float.fromhex("0x1.921FB54442D18p0")
_COS_POLY = [
    float.fromhex(h)
    for h in ("0x1p0", "-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5", "-0x1.6c087e89a359dp-10", "0x1.99343027bf8c3p-16")
]
_SIN_POLY = [float.fromhex(h) for h in ("-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13")]


def _log32(x: np.ndarray) -> np.ndarray:
    """logf for positive normal float32."""
    bits = x.view(np.uint32)
    shifted = bits - np.uint32(0x3F330000)
    row = _LOG_TABLE[(shifted >> np.uint32(19)) & np.uint32(15)]
    exponent = (shifted.view(np.int32) >> np.int32(23)).astype(np.float64)
    z = (bits - (shifted & np.uint32(0xFF800000))).view(np.float32).astype(np.float64)
    r = z * row[..., 0] - 1.0
    base = row[..., 1] + exponent * _LN2
    r2 = r * r
    y = _LOG_POLY[1] * r + _LOG_POLY[2]
    y = _LOG_POLY[0] * r2 + y
    return (y * r2 + (base + r)).astype(np.float32)


def _sincos32(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sincosf for 0 <= x < 120."""
    wide = x.astype(np.float64)
    quadrant = ((wide * _TWO_OVER_PI).astype(np.int32) + np.int32(0x800000)) >> np.int32(24)
    wide = wide - quadrant * _HALF_PI
    low = quadrant & 3
    signed = np.where((low == 1) | (low == 2), -wide, wide)
    x2 = wide * wide
    x4, x3 = x2 * x2, x2 * signed
    sine = (signed + x3 * _SIN_POLY[0]) + (x3 * x2) * (_SIN_POLY[1] + x2 * _SIN_POLY[2])
    cosine = (_COS_POLY[0] + x2 * _COS_POLY[1] + x4 * _COS_POLY[2]) + (x4 * x2) * (_COS_POLY[3] + x2 * _COS_POLY[4])
    cosine = np.where(low >= 2, -cosine, cosine)
    tiny = x < np.float32(2.0**-12)
    sine, cosine = np.where(tiny, wide, sine), np.where(tiny, 1.0, cosine)
    odd = (low & 1).astype(bool)
    return np.where(odd, cosine, sine).astype(np.float32), np.where(odd, sine, cosine).astype(np.float32)


def _libm(function: Callable[..., float], *arrays: np.ndarray) -> np.ndarray:
    """A function of Python's math, element by element, in double precision."""
    shape = arrays[0].shape
    flat = [a.ravel().tolist() for a in arrays]
    return np.fromiter(map(function, *flat), np.float64, count=len(flat[0])).reshape(shape)


def _log_or_inf(x: float) -> float:
    return math.log(x) if x > 0 else (-math.inf if x == 0 else math.nan)


# -- distributions of independent blocks -----------------------------------------------------------------------------


def _unit32(bits: np.ndarray) -> np.ndarray:
    return ((bits & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


def _unit64(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    mantissa = (first.astype(np.uint64) & np.uint64(0xFFFFF)) << np.uint64(32) | second.astype(np.uint64)
    return (mantissa | np.uint64(1023 << 52)).view(np.float64) - 1.0


def _words64(bits: np.ndarray) -> np.ndarray:
    return bits[..., 0::2].astype(np.uint64) | bits[..., 1::2].astype(np.uint64) << np.uint64(32)


def _uniform_group(bits: np.ndarray, dtype: DType) -> np.ndarray:
    """Blocks (…, 4) as uniform values in [0, 1): four of them a block, two for float64."""
    if dtype is float64:
        return _unit64(bits[..., 0::2], bits[..., 1::2])
    if dtype is float32:
        return _unit32(bits)
    if dtype is float16:
        return ((bits & np.uint32(0x3FF)) | np.uint32(15 << 10)).astype(np.uint16).view(np.float16) - np.float16(1)
    raw = ((bits & np.uint32(0x7F)) | np.uint32(127 << 7)).astype(np.uint16).view(bfloat16.numpy)
    return (raw.astype(np.float32) - np.float32(1)).astype(bfloat16.numpy)


def _box_muller32(bits: np.ndarray) -> np.ndarray:
    """Blocks (…, 4) as four float32 normal values each."""
    u1 = np.maximum(_unit32(bits[..., 0::2]), np.float32(1.0e-7))
    v1 = (2.0 * math.pi * _unit32(bits[..., 1::2]).astype(np.float64)).astype(np.float32)
    u2 = np.sqrt(np.float32(-2.0) * _log32(u1))
    sine, cosine = _sincos32(v1)
    out = np.empty(bits.shape, np.float32)
    out[..., 0::2] = sine * u2
    out[..., 1::2] = cosine * u2
    return out


def _box_muller64(bits: np.ndarray) -> np.ndarray:
    """Blocks (…, 4) as two float64 normal values each."""
    u1 = np.maximum(_unit64(bits[..., 0], bits[..., 1]), 1.0e-7)
    v1 = 2 * math.pi * _unit64(bits[..., 2], bits[..., 3])
    u2 = np.sqrt(-2.0 * _libm(math.log, u1))
    return np.stack([_libm(math.sin, v1) * u2, _libm(math.cos, v1) * u2], axis=-1)


def _normal_group(bits: np.ndarray, dtype: DType) -> np.ndarray:
    if dtype is float64:
        return _box_muller64(bits)
    values = _box_muller32(bits)
    return values if dtype is float32 else values.astype(dtype.numpy)


def _fill(stream: Stream, count: int, per_block: int, group: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return group(stream.blocks(-(-count // per_block))).reshape(-1)[:count]


def uniform(stream: Stream, count: int, dtype: DType) -> np.ndarray:
    """`count` values in [0, 1)."""
    return _fill(stream, count, 2 if dtype is float64 else 4, lambda bits: _uniform_group(bits, dtype))


def normal(stream: Stream, count: int, dtype: DType) -> np.ndarray:
    """`count` values of the standard normal distribution."""
    return _fill(stream, count, 2 if dtype is float64 else 4, lambda bits: _normal_group(bits, dtype))


def full_int(stream: Stream, count: int, dtype: DType) -> np.ndarray:
    """`count` integers over the whole range of `dtype`."""
    if dtype.size == 8:
        return _fill(stream, count, 2, _words64).view(dtype.numpy)
    return stream.blocks(-(-count // 4)).reshape(-1)[:count].view(dtype.numpy)


def uniform_int(stream: Stream, count: int, low: Any, high: Any, dtype: DType) -> np.ndarray:
    """`count` integers in [low, high).

    Raises:
        InvalidArgumentError: low >= high.
    """
    low, high = int(low), int(high)
    if low >= high:
        raise InvalidArgumentError(f"Need minval < maxval, got {low} >= {high}")
    unsigned = np.uint64 if dtype.size == 8 else np.uint32
    bits = _fill(stream, count, 2, _words64) if dtype.size == 8 else stream.blocks(-(-count // 4)).reshape(-1)[:count]
    wrap = (1 << (8 * dtype.size)) - 1
    with np.errstate(over="ignore"):
        return (bits % unsigned((high - low) & wrap) + unsigned(low & wrap)).view(dtype.numpy)


def truncated_normal(stream: Stream, count: int, dtype: DType) -> np.ndarray:
    """`count` normal values, those beyond two standard deviations drawn again."""
    size = 2 if dtype is float64 else 4
    reserved = size * RESERVED_BLOCKS // 4
    groups = -(-count // size)
    out = np.empty((groups, size), np.float64 if dtype is float64 else np.float32)
    pending = np.arange(groups, dtype=np.uint64)
    depth = 1
    while pending.size:
        offsets = (pending[:, None] * np.uint64(reserved) + np.arange(depth, dtype=np.uint64)).reshape(-1)
        bits = blocks(stream, offsets)
        values = (_box_muller64(bits) if dtype is float64 else _box_muller32(bits)).reshape(len(pending), -1)
        accepted = np.abs(values) < 2
        rank = np.cumsum(accepted, axis=1)
        complete = rank[:, -1] >= size
        chosen = accepted & (rank <= size) & complete[:, None]
        out[pending[complete]] = values[chosen].reshape(-1, size)
        pending = pending[~complete]
        depth *= 3
    return out.reshape(-1)[:count].astype(dtype.numpy, copy=False)


# -- distributions whose outputs each have a stream of their own -----------------------------------------------------


class _Substreams:
    """Many streams read side by side: stream `i` starts at block `starts[i]`; values come from its blocks last to first."""

    def __init__(self, stream: Stream, starts: np.ndarray):
        self._stream = stream
        self._next = starts.astype(np.uint64)
        self._buffers: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def draw(self, kind: str, which: np.ndarray) -> np.ndarray:
        """The next value of streams `which`. Kinds: uniform32, uniform64, normal64."""
        buffer = self._buffers.get(kind)
        if buffer is None:
            size, dtype = (4, np.float32) if kind == "uniform32" else (2, np.float64)
            buffer = np.zeros((len(self._next), size), dtype), np.zeros(len(self._next), np.intp)
            self._buffers[kind] = buffer
        values, remaining = buffer
        empty = which[remaining[which] == 0]
        if empty.size:
            bits = blocks(self._stream, self._next[empty])
            self._next[empty] += np.uint64(1)
            if kind == "normal64":
                values[empty] = _box_muller64(bits)
            else:
                values[empty] = _uniform_group(bits, float32 if kind == "uniform32" else float64)
            remaining[empty] = values.shape[1]
        remaining[which] -= 1
        return values[which, remaining[which]]


def _starts(count: int, reserved: int = RESERVED_BLOCKS) -> np.ndarray:
    return np.arange(count, dtype=np.uint64) * np.uint64(reserved)


def gamma(stream: Stream, samples: int, alphas: np.ndarray, dtype: DType) -> np.ndarray:
    """`samples` draws for each of `alphas` (flat): shape (samples, len(alphas)). Method of Marsaglia and Tsang."""
    alpha = np.repeat(alphas.astype(np.float64), samples)
    count = len(alpha)
    streams = _Substreams(stream, _starts(count))
    out = np.full(count, np.nan)
    with np.errstate(all="ignore"):
        ones = np.flatnonzero(alpha == 1.0)
        if ones.size:
            out[ones] = -_libm(math.log1p, -streams.draw("uniform64", ones))
        small = alpha < 1
        d = alpha + np.where(small, 2.0 / 3, -1.0 / 3)
        c = 1.0 / 3 / np.sqrt(d)
        active = np.flatnonzero((alpha != 1.0) & (alpha > 0))
        while active.size:
            x = streams.draw("normal64", active)
            v = 1 + c[active] * x
            positive = v > 0
            tried, x, v = active[positive], x[positive], v[positive]
            v = v * v * v
            u = streams.draw("uniform64", tried)
            ok = u < 1 - 0.0331 * (x * x) * (x * x)
            slow = ~ok
            ok[slow] = _libm(_log_or_inf, u[slow]) < (
                0.5 * x[slow] * x[slow] + d[tried[slow]] * (1 - v[slow] + _libm(_log_or_inf, v[slow]))
            )
            done = tried[ok]
            result = d[done] * v[ok]
            boosted = small[done]
            if boosted.any():
                which = done[boosted]
                result[boosted] *= _libm(math.pow, streams.draw("uniform64", which), 1 / alpha[which])
            out[done] = result
            active = np.setdiff1d(active, done, assume_unique=True)
    return _narrow(out.reshape(len(alphas), samples).T, dtype)


def _narrow(values: np.ndarray, dtype: DType) -> np.ndarray:
    """float64 results as `dtype`: half by way of float32, and subnormal float32 values as zero, as TensorFlow's threads do."""
    if dtype is float64:
        return np.ascontiguousarray(values)
    with np.errstate(all="ignore"):
        if dtype.kind != "f":
            return values.astype(dtype.numpy)
        single = values.astype(np.float32)
        single[np.abs(single) < np.finfo(np.float32).tiny] = 0
        return single.astype(dtype.numpy, copy=False)


def poisson(stream: Stream, samples: int, rates: np.ndarray, dtype: DType) -> np.ndarray:
    """`samples` draws for each of `rates` (flat): shape (samples, len(rates)). Knuth below a rate of 10, Hörmann above."""
    real, kind = np.float64, "uniform64"
    rate = np.repeat(rates.astype(real), samples)
    count = len(rate)
    streams = _Substreams(stream, _starts(count))
    out = np.full(count, np.nan, real)
    with np.errstate(all="ignore"):
        valid = np.isfinite(rate) & (rate >= 0)
        active = np.flatnonzero(valid & (rate < 10))
        limit = _libm(math.exp, -rate[active].astype(np.float64)).astype(real)
        product, steps = np.ones(len(active), real), np.zeros(len(active), real)
        while active.size:
            product = product * streams.draw(kind, active)
            done = product <= limit
            out[active[done]] = steps[done]
            keep = ~done
            active, product, limit, steps = active[keep], product[keep], limit[keep], steps[keep] + real(1)
        active = np.flatnonzero(valid & (rate >= 10))
        log_rate = np.zeros(count, real)
        log_rate[active] = _log_real(rate[active])
        b = real(0.931) + real(2.53) * np.sqrt(rate)
        a = real(-0.059) + real(0.02483) * b
        inverse_alpha = real(1.1239) + real(1.1328) / (b - real(3.4))
        while active.size:
            u = streams.draw(kind, active) - real(0.5)
            v = streams.draw(kind, active)
            aa, bb, mean = a[active], b[active], rate[active]
            shifted = real(0.5) - np.abs(u)
            k = np.floor((real(2) * aa / shifted + bb) * u + mean + real(0.43))
            ok = (shifted >= real(0.07)) & (v <= real(0.9277) - real(3.6224) / (bb - real(2)))
            unsure = np.flatnonzero(~ok & ~((k < 0) | ((shifted < real(0.013)) & (v > shifted))))
            if unsure.size:
                s = _log_real(v[unsure] * inverse_alpha[active[unsure]] / (aa[unsure] / (shifted[unsure] * shifted[unsure]) + bb[unsure]))
                factorial = _libm(math.lgamma, (k[unsure] + real(1)).astype(np.float64)).astype(real)
                ok[unsure] = s <= -mean[unsure] + k[unsure] * log_rate[active[unsure]] - factorial
            out[active[ok]] = k[ok]
            active = active[~ok]
        return out.reshape(len(rates), samples).T.astype(dtype.numpy)


def _log_real(x: np.ndarray) -> np.ndarray:
    """The C library's logarithm in the precision of `x` (half: rounded from float32)."""
    if x.dtype == np.float64:
        return _libm(_log_or_inf, x)
    if x.dtype != np.float32:
        return _log_real(x.astype(np.float32)).astype(x.dtype)
    usable = np.isfinite(x) & (x >= np.finfo(np.float32).tiny)
    return np.where(usable, _log32(np.where(usable, x, np.float32(1))), np.log(x))


_STIRLING = np.array([
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211,
    0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.00925546218271273, 0.00833056343336287,
])  # fmt: skip


def _stirling_tail(k: np.ndarray) -> np.ndarray:
    square = (k + 1) * (k + 1)
    series = (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)
    return np.where(k <= 9, _STIRLING[np.clip(k, 0, 9).astype(np.intp)], series)


def binomial(stream: Stream, samples: int, counts: np.ndarray, probs: np.ndarray, dtype: DType) -> np.ndarray:
    """`samples` draws for each of the flat pairs `counts`, `probs`: shape (samples, len(counts)).

    Inversion where the mean is below 10, Hörmann's rejection above; probabilities over one half are mirrored.
    """
    with np.errstate(all="ignore"):
        mirrored = np.repeat(probs > 0.5, samples)
        low = np.where(probs > 0.5, (np.ones((), probs.dtype) - probs).astype(probs.dtype), probs)
        heavy = np.repeat((counts * low).astype(probs.dtype) >= 10, samples)
        n, p = np.repeat(counts.astype(np.float64), samples), np.repeat(low.astype(np.float64), samples)
        original = np.repeat(probs.astype(np.float64), samples)
        out = np.full(len(n), np.nan)
        zero = (n <= 0) | (original <= 0)
        out[zero] = 0
        certain = ~zero & (original >= 1)
        out[certain] = n[certain]
        rest = ~zero & ~certain & ~np.isnan(original)
        index = np.arange(len(n), dtype=np.uint64)
        streams = _Substreams(stream, index * np.where(heavy, np.uint64(256), np.uint64(42)))
        _invert_binomial(streams, np.flatnonzero(rest & ~heavy), n, p, out)
        _reject_binomial(streams, np.flatnonzero(rest & heavy), n, p, out)
        flip = rest & mirrored
        out[flip] = n[flip] - out[flip]
        return out.reshape(len(counts), samples).T.astype(dtype.numpy)


def _invert_binomial(streams: _Substreams, active: np.ndarray, n: np.ndarray, p: np.ndarray, out: np.ndarray) -> None:
    scale = _libm(math.log1p, -p[active])
    total, steps = np.zeros(len(active)), np.zeros(len(active))
    while active.size:
        total = total + np.ceil(_libm(_log_or_inf, streams.draw("uniform64", active)) / scale)
        done = total > n[active]
        out[active[done]] = steps[done]
        keep = ~done
        active, scale, total, steps = active[keep], scale[keep], total[keep], steps[keep] + 1


def _reject_binomial(streams: _Substreams, active: np.ndarray, n: np.ndarray, p: np.ndarray, out: np.ndarray) -> None:
    while active.size:
        count, prob = n[active], p[active]
        deviation = np.sqrt(count * prob * (1 - prob))
        b = 1.15 + 2.53 * deviation
        a = -0.0873 + 0.0248 * b + 0.01 * prob
        c = count * prob + 0.5
        r = prob / (1 - prob)
        alpha = (2.83 + 5.1 / b) * deviation
        m = np.floor((count + 1) * prob)
        u = streams.draw("uniform64", active)
        v = streams.draw("uniform64", active)
        u = u - 0.5
        us = 0.5 - np.abs(u)
        k = np.floor((2 * a / us + b) * u + c)
        ok = (us >= 0.07) & (v <= 0.92 - 4.2 / b)
        i = np.flatnonzero(~ok & (k >= 0) & (k <= count))
        if i.size:
            left = np.log(v[i] * alpha[i] / (a[i] / (us[i] * us[i]) + b[i]))
            nn, kk, mm, rr = count[i], k[i], m[i], r[i]
            bound = (
                (mm + 0.5) * np.log((mm + 1) / (rr * (nn - mm + 1)))
                + (nn + 1) * np.log((nn - mm + 1) / (nn - kk + 1))
                + (kk + 0.5) * np.log(rr * (nn - kk + 1) / (kk + 1))
                + _stirling_tail(mm) + _stirling_tail(nn - mm) - _stirling_tail(kk) - _stirling_tail(nn - kk)
            )  # fmt: skip
            ok[i] = left <= bound
        out[active[ok]] = k[ok]
        active = active[~ok]


# -- distributions that read one stream from start to end ------------------------------------------------------------


def _threads() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every platform
        return os.cpu_count() or 1


def shards(total: int, cost: float, threads: int | None = None) -> list[tuple[int, int]]:
    """The ranges that TensorFlow gives to its threads, `cost` cycles a unit: each starts at a place of its own in the stream.

    Authority: Eigen's ThreadPoolDevice::parallelFor. As in TensorFlow, large results depend on the number of processors.
    """
    threads = _threads() if threads is None else threads
    wanted = int((total * cost - 100000) / 100000 + 0.9)
    if total <= 1 or threads == 1 or wanted < 2:
        return [(0, total)] if total else []

    def efficiency(count: int) -> float:
        return count / (-(-count // threads) * threads)

    size = min(total, max(-(-total // (4 * threads)), int(40000 / cost)))
    largest = min(total, 2 * size)
    count = -(-total // size)
    best, previous = efficiency(count), count
    while best < 1.0 and previous > 1:
        coarser = -(-total // (previous - 1))
        if coarser > largest:
            break
        previous = -(-total // coarser)
        if efficiency(previous) + 0.01 >= best:
            size, best = coarser, max(best, efficiency(previous))
    return [(start, min(start + size, total)) for start in range(0, total, size)]


def multinomial(stream: Stream, logits: np.ndarray, samples: int) -> np.ndarray:
    """`samples` class numbers for each row of `logits`: int64, shape (rows, samples)."""
    rows, classes = logits.shape
    out = np.empty((rows, samples), np.int64)
    if out.size == 0:
        return out
    wide = logits.astype(np.float64)
    finite = np.isfinite(wide)
    with np.errstate(all="ignore"):
        top = np.max(np.where(finite, wide, -np.inf), axis=1, keepdims=True)
        weights = np.where(finite, np.exp(wide - np.where(np.isfinite(top), top, 0.0)), 0.0)
    sums = np.cumsum(weights, axis=1)
    cost = int(50 * (samples * math.log(classes) / math.log(2) + classes))
    for start, stop in shards(rows, cost):
        bits = stream.skip(start * (samples + 3) // 4).blocks(-(-(stop - start) * samples // 2)).reshape(-1)
        draws = _unit64(bits[0::2], bits[1::2])[: (stop - start) * samples].reshape(stop - start, samples)
        for row in range(start, stop):
            out[row] = np.searchsorted(sums[row], draws[row - start] * sums[row, -1], side="right")
    return out


def permutation(stream: Stream, size: int) -> np.ndarray:
    """A shuffle of range(size) that reads size - 1 words."""
    order = list(range(size))
    words = stream.blocks(-(-(size - 1) // 4)).reshape(-1)[: size - 1].astype(np.int64)
    picks = (words % (size - np.arange(size - 1, dtype=np.int64))).tolist()
    for i, pick in enumerate(picks):
        j = i + pick
        order[i], order[j] = order[j], order[i]
    return np.array(order, np.intp)


TRUNCATED_MAX_ITERATIONS = 1000


def _truncated_costs(dtype: DType) -> tuple[int, int]:
    """TensorFlow's estimates of cycles: setting up one batch, and one sample."""
    exponential = {4: 34, 8: 49}.get(dtype.size, 43)
    return 19 - 8 + (28 if dtype is float64 else 8) + exponential, 2 * (33 + exponential)


def parameterized_truncated_normal(
    stream: Stream, batches: int, per_batch: int, count: int, parameters: list[np.ndarray], dtype: DType
) -> np.ndarray:
    """`count` values; batch `b` has mean, deviation, lowest and highest value number `b` (or 0) of `parameters`.

    Raises InvalidArgumentError for parameters that leave no interval.
    """
    out = np.empty(count, dtype.numpy)
    setup, each = _truncated_costs(dtype)
    for first, last in shards(batches, setup + each * per_batch):
        here = stream.skip(first * 2 * TRUNCATED_MAX_ITERATIONS * (per_batch + 3) // 4)
        for b in range(first, last):
            start, stop = b * per_batch, min((b + 1) * per_batch, count)
            if stop > start:
                out[start:stop], used = _truncated_batch(here, stop - start, [p[0 if len(p) == 1 else b] for p in parameters], dtype)
                here = here.skip(used)
    return out


def stateless_truncated_normal(stream: Stream, samples: int, parameters: list[np.ndarray], dtype: DType) -> np.ndarray:
    """`samples` values for each of the batches that the flat `parameters` (mean, deviation, low, high) describe: (samples, batches)."""
    batches = len(parameters[0])
    out = np.empty((batches, samples), dtype.numpy)
    flat = out.reshape(-1)
    setup, each = _truncated_costs(dtype)
    size = 2 if dtype is float64 else 4
    for start, stop in shards(batches * samples, setup + each):
        here = stream.skip((start * 2 * TRUNCATED_MAX_ITERATIONS + size - 1) // size)
        while start < stop:
            b = start // samples
            end = min(stop, (b + 1) * samples)
            flat[start:end], used = _truncated_batch(here, end - start, [p[b] for p in parameters], dtype)
            here, start = here.skip(used), end
    return np.ascontiguousarray(out.T)


def _truncated_batch(stream: Stream, need: int, parameters: list[Any], dtype: DType) -> tuple[np.ndarray, int]:
    """`need` values with one set of parameters, and how many blocks they took."""
    real: Any = dtype.numpy.type
    mean, deviation, low, high = parameters
    if not (deviation > 0 and low < high and (np.isfinite(low) or np.isfinite(high))):
        raise InvalidArgumentError("Invalid parameters: expected stddev > 0, minval < maxval, and one of them finite")
    if (np.isinf(low) and low < 0) or high < mean:
        low, high, deviation = high, low, -deviation
    with np.errstate(all="ignore"):
        values, used = _truncated_standard(stream, need, real((low - mean) / deviation), real((high - mean) / deviation), dtype)
        return (values * deviation + mean).astype(real), used


def _truncated_standard(stream: Stream, need: int, low: Any, high: Any, dtype: DType) -> tuple[np.ndarray, int]:
    """`need` standard values in [low, high], and how many blocks they took."""
    real: Any = dtype.numpy.type
    one = real(1)
    two, four, half = one + one, real(4), real(0.5)
    root = real(np.sqrt(low * low + four))
    cutoff = real(two * np.exp(half + (low * (low - root)) / four) / (low + root))
    spread = real(high - low)
    edge = real(1.3)
    size = 2 if dtype is float64 else 4
    if (low < -edge and high >= 0) or (high > edge and low <= 0):

        def attempt(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            z = _normal_group(bits, dtype).reshape(-1)
            return z, (z >= low) & (z <= high)

        per_round, blocks_per_round = size, 1
    elif spread < cutoff:
        plus = real(0) if low < 0 else real(low * low)

        def attempt(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            z = (_uniform_group(bits[0::2], dtype) * spread + low).astype(real)
            g = ((plus - z * z) / two).astype(real)
            return z.reshape(-1), (_uniform_group(bits[1::2], dtype) <= np.exp(g).astype(real)).reshape(-1)

        per_round, blocks_per_round = size, 2
    else:
        alpha = real((low + root) / two)

        def attempt(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            u = _uniform_group(bits, dtype)
            z = (-_log_real(u[:, 0::2]) / alpha + low).astype(real)
            x = (alpha - z if low < alpha else np.full_like(z, low - alpha)).astype(real)
            ok = (u[:, 1::2] <= np.exp(-x * x / two).astype(real)) & (z < high)
            return z.reshape(-1), ok.reshape(-1)

        per_round, blocks_per_round = size // 2, 1
    found: list[np.ndarray] = []
    have = used = idle = 0
    while have < need:
        rounds = max(4, 2 * -(-(need - have) // per_round))
        z, ok = attempt(stream.skip(used).blocks(rounds * blocks_per_round))
        hits = np.flatnonzero(ok)[: need - have]
        found.append(z[hits])
        have += len(hits)
        if have < need:
            used += rounds * blocks_per_round
            idle = idle + len(ok) if not len(hits) else 0
            if idle > TRUNCATED_MAX_ITERATIONS:
                raise InvalidArgumentError("TruncatedNormal rejection sampler failed to accept a sample: the interval is too unlikely")
        else:
            used += (int(hits[-1]) // per_round + 1) * blocks_per_round
    return np.concatenate(found), used


# -- derivative of a gamma sample ------------------------------------------------------------------------------------


def _digamma(a: np.ndarray) -> np.ndarray:
    shift = np.zeros_like(a)
    a = a.copy()
    for _ in range(8):
        low = a < 8
        shift[low] -= 1 / a[low]
        a[low] += 1
    i = 1 / (a * a)
    return shift + np.log(a) - 0.5 / a - i * (1 / 12 - i * (1 / 120 - i * (1 / 252 - i * (1 / 240 - i * (1 / 132)))))


def gamma_sample_derivative(alpha: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """d sample / d alpha of gamma samples, by implicit differentiation (Figurnov et al. 2018; recurrences of Moore, AS 187)."""
    a, x = np.broadcast_arrays(alpha, sample)
    shape, dtype = a.shape, a.dtype
    a, x = a.astype(np.float64).ravel(), x.astype(np.float64).ravel()
    out = np.full(a.shape, np.nan)
    with np.errstate(all="ignore"):
        out[x == 0] = 0
        valid = (x > 0) & (a > 0)
        log_term = a * np.log(x) - x - _libm(lambda v: math.lgamma(v) if v > 0 else math.nan, a)
        vanishing = valid & ~(log_term >= -math.log(np.finfo(dtype).max))
        out[vanishing] = 0
        valid &= ~vanishing
        tail = np.flatnonzero(valid & (x > 1) & (x > a))
        head = np.flatnonzero(valid & ~((x > 1) & (x > a)))
        out[head] = _sample_series(a[head], x[head])
        out[tail] = _sample_fraction(a[tail], x[tail])
    return out.reshape(shape).astype(dtype)


def _sample_series(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    r, c, total = a.copy(), np.ones_like(a), np.ones_like(a)
    dc, dtotal = np.zeros_like(a), np.zeros_like(a)
    for _ in range(2000):
        r = r + 1
        term = x / r
        dc = term * dc - x / (r * r) * c
        dtotal = dtotal + dc
        c = c * term
        total = total + c
        if np.all(np.abs(dc) <= 1e-17 * np.abs(dtotal)):
            break
    return -(dtotal + total * (np.log(x) - _digamma(a + 1))) * x / a


def _sample_fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    y, c = 1 - a, 0.0
    z = x + y + 1
    p2, q2, p1, q1 = np.ones_like(a), x.copy(), x + 1, z * x
    dp2, dq2, dp1, dq1 = np.zeros_like(a), np.zeros_like(a), np.zeros_like(a), -x
    value = p1 / q1
    slope = (dp1 - value * dq1) / q1
    for _ in range(2000):
        c, y, z = c + 1, y + 1, z + 2
        yc = y * c
        p, q = p1 * z - p2 * yc, q1 * z - q2 * yc
        dp = dp1 * z - p1 - dp2 * yc + p2 * c
        dq = dq1 * z - q1 - dq2 * yc + q2 * c
        ok = q != 0
        value = np.where(ok, p / q, value)
        previous, slope = slope, np.where(ok, (dp - value * dq) / q, slope)
        p2, p1, q2, q1, dp2, dp1, dq2, dq1 = p1, p, q1, q, dp1, dp, dq1, dq
        scale = np.where(np.abs(p) > 2.0**52, 2.0**-52, 1.0)
        p2, p1, q2, q1 = p2 * scale, p1 * scale, q2 * scale, q1 * scale
        dp2, dp1, dq2, dq1 = dp2 * scale, dp1 * scale, dq2 * scale, dq1 * scale
        if np.all(np.abs(slope - previous) <= 1e-16):
            break
    return (slope + value * (np.log(x) - _digamma(a))) * x
