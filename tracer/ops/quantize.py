"""Quantisation: to and from integers, simulated in floats (quantize-and-dequantize, fake quantisation), and arithmetic on quantised tensors.

Values are those of TensorFlow 2.15's CPU kernels. A quantised tensor goes with two float scalars, the values of its range's ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []

_F = np.float32
_Q = "{qint8, quint8, qint32, qint16, quint16}"


def _half_away(x: np.ndarray) -> np.ndarray:
    """Rounded, halves away from zero."""
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.copysign(x.dtype.type(1), x), whole)


def _limits(dtype: Any) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _as_integers(x: np.ndarray, dtype: Any) -> np.ndarray:
    low, high = _limits(dtype)
    return np.clip(np.nan_to_num(x.astype(np.float64)), low, high).astype(np.int64).astype(dtype)


def _scalar_of(x: Any) -> np.float32:
    if np.size(x) != 1:
        raise ShapeError(f"a range must be given by scalars, received shape {list(np.shape(x))}")
    return _F(np.ravel(x)[0])


def _first_and_scalars(ctx: Any) -> Any:
    return [ctx.shape(0), TensorShape([]), TensorShape([])]


# -- floats to quantised values and back -----------------------------------------------------------------------------


class _Scale:
    """How floats in [low, high] and values of `dtype` correspond: all steps of the type over the range, the low end on a step."""

    def __init__(self, low: Any, high: Any, dtype: Any):
        self.low, self.high, self.dtype = _F(low), _F(high), np.dtype(dtype)
        self.lowest, self.highest = _limits(dtype)
        self.steps = 1 << (8 * self.dtype.itemsize)

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """float32 values as quantised ones."""
        scale = _F(0) if self.high == self.low else _F((self.steps - 1.0) / float(self.high - self.low))
        shift = _half_away(np.asarray(self.low * scale, _F)) - _F(self.lowest)
        ends = max(_F(self.lowest), _F(-2.147483648e09)), min(_F(self.highest), _F(2.147483520e09))
        return np.minimum(np.maximum(_half_away(x * scale) - shift, ends[0]), ends[1]).astype(np.int32).astype(self.dtype)

    def dequantize(self, x: np.ndarray) -> np.ndarray:
        """Quantised values as float32."""
        scale = _F(float(self.high - self.low) / (self.steps - 1.0))
        low = self.low if self.high == self.low else _half_away(np.asarray(self.low / scale, _F)) * scale
        return (low - _F(self.lowest) * scale) + x.astype(_F) * scale

    def code(self, x: float, clamp: bool = True) -> int:
        """One float as a quantised value, computed in double precision."""
        if self.low == self.high:
            return self.lowest
        width = float(self.high - self.low) * (self.steps / (self.steps - 1.0))
        scale = self.steps / width
        value = int(_half_away(np.float64(float(x) * scale)) - _half_away(np.float64(float(self.low) * scale))) + self.lowest
        return min(max(value, self.lowest), self.highest) if clamp else value

    def value(self, code: int) -> np.float32:
        """One quantised value as a float, computed in double precision."""
        if self.low == self.high:
            return self.low
        scale = float(self.high - self.low) * (self.steps / (self.steps - 1.0)) / self.steps
        low = float(_half_away(np.asarray(self.low / _F(scale), _F)) * _F(scale))
        return _F(low + (float(code) - self.lowest) * scale)

    def level(self) -> np.float32:
        """The distance of two neighbouring values."""
        return (self.high - self.low) / _F(self.highest - self.lowest)


def _along(values: np.ndarray, rank: int, axis: int) -> np.ndarray:
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape)


quantize_op = op(f"QuantizeV2(input: float, min_range: float, max_range: float) -> (output: T, output_min: float, output_max: float); T: {_Q}; mode: {{'MIN_COMBINED', 'MIN_FIRST', 'SCALED'}} = \"MIN_COMBINED\"; round_mode: {{'HALF_AWAY_FROM_ZERO', 'HALF_TO_EVEN'}} = \"HALF_AWAY_FROM_ZERO\"; narrow_range: bool = false; axis: int = -1; ensure_minimum_range: float = 0.009999999776482582")  # fmt: skip


@quantize_op.infer
def _(ctx: Any) -> Any:
    ends = TensorShape([]) if ctx.attr("axis") == -1 else ctx.shape(1)
    return [ctx.shape(0), ends, ends]


@quantize_op.kernel
def _(
    x: Any, low: Any, high: Any, *, T: Any, mode: bytes, round_mode: bytes, narrow_range: bool, axis: int, ensure_minimum_range: float
) -> Any:  # fmt: skip
    kind = T.numpy
    if round_mode == b"HALF_TO_EVEN" and mode != b"SCALED":
        raise InvalidArgumentError(f"Round mode 'HALF_TO_EVEN' only supported for mode 'SCALED', but mode is {mode.decode()!r}.")
    shape = low.shape if axis > -1 else ()
    if (high < low).any():
        raise InvalidArgumentError("input_max_range must be larger than input_min_range.")
    if axis > -1:
        if mode == b"MIN_FIRST" and x.shape[axis] != 1:
            raise InvalidArgumentError("MIN_FIRST mode is not implemented for Quantize with axis != -1.")
        low, high = _along(low, x.ndim, axis), _along(high, x.ndim, axis)
    else:
        low, high = _scalar_of(low), _scalar_of(high)
    bottom = np.minimum(_F(0), low)
    epsilon = np.maximum(_F(1), np.maximum(np.abs(low), np.abs(high))) * _F(ensure_minimum_range)
    top = np.maximum(_F(0), np.maximum(high, bottom + epsilon))
    least, most = _limits(kind)
    if mode == b"MIN_FIRST":
        out = _Scale(np.ravel(bottom)[0], np.ravel(top)[0], kind).quantize(x)
    elif mode == b"MIN_COMBINED":
        scale = (float(most - least) / (top - bottom).astype(np.float64)).astype(_F)
        moved = (np.maximum(np.minimum(x, top), bottom) - bottom) * scale
        out = _as_integers(_half_away(moved - _F((most - least + 1) / 2)) if least < 0 else np.trunc(moved + _F(0.5)), kind)
    else:
        first = least + (1 if narrow_range else 0)
        huge = np.finfo(_F).max
        by_low = np.where(first * bottom > 0, _F(first) / np.where(bottom == 0, _F(1), bottom), huge)
        by_high = np.where(top > 0, _F(most) / np.where(top == 0, _F(1), top), huge)
        scale = np.minimum(by_low, by_high).astype(_F)
        bottom, top = (_F(first) / scale).astype(_F), (_F(most) / scale).astype(_F)
        scaled = np.maximum(np.minimum(x, top), bottom) * scale
        out = _as_integers(np.rint(scaled) if round_mode == b"HALF_TO_EVEN" else _half_away(scaled), kind)
    return out, np.reshape(bottom, shape), np.reshape(top, shape)


dequantize_op = op(f"Dequantize(input: T, min_range: float, max_range: float) -> (output: dtype); T: {_Q}; mode: {{'MIN_COMBINED', 'MIN_FIRST', 'SCALED'}} = \"MIN_COMBINED\"; narrow_range: bool = false; axis: int = -1; dtype: {{bfloat16, float}} = float")  # fmt: skip
dequantize_op.infer(infer.unchanged)


@dequantize_op.kernel
def _(x: Any, low: Any, high: Any, *, mode: bytes, narrow_range: bool, axis: int, dtype: Any) -> np.ndarray:
    if axis >= x.ndim:
        raise ShapeError(f"Axis must be less than input dimension({x.ndim}), got {axis}")
    if dtype is dtypes.bfloat16 and mode != b"MIN_COMBINED":
        raise InvalidArgumentError(f"When output type is bfloat16, Mode string must be 'MIN_COMBINED', is {mode.decode()!r}")
    slices = x.shape[axis] if axis > -1 else 1
    if low.size != slices or high.size != slices:
        raise ShapeError(f"min_range and max_range must have {slices} elements, received {low.size} and {high.size}")
    if mode == b"MIN_FIRST":
        if slices != 1:
            raise InvalidArgumentError("MIN_FIRST mode is not implemented for Dequantize with axis != -1.")
        return _Scale(np.ravel(low)[0], np.ravel(high)[0], x.dtype).dequantize(x)
    low, high = (_along(v.astype(_F), x.ndim, axis) if axis > -1 else _scalar_of(v) for v in (low, high))
    least, most = _limits(x.dtype)
    if mode == b"MIN_COMBINED":
        half = _F(0) if least == 0 else (_F(most) - _F(least) + _F(1)) / _F(2)
        scale = (high - low) / (_F(most) - _F(least))
        out = (x.astype(_F) + half) * scale + low
    else:
        first = least + (1 if narrow_range else 0)
        scale = high / _F(most) if least == 0 else np.maximum(low / _F(first), high / _F(most))
        out = x.astype(_F) * scale
    return out.astype(dtype.numpy)


# -- simulated quantisation ------------------------------------------------------------------------------------------


def _simulate(
    x: np.ndarray, low: Any, high: Any, signed: bool, bits: int, given: bool, up: bool, narrow: bool, axis: int
) -> np.ndarray:
    """`x` rounded to the values that `bits` can hold, in its own dtype."""
    if not 0 < bits < (62 if signed else 63):
        raise InvalidArgumentError(f"num_bits is out of range: {bits} with signed_input {signed}")
    real = x.dtype.type
    wide = np.float64 if x.dtype == np.float64 else _F
    if axis >= x.ndim or axis < -1:
        raise ShapeError(f"axis should be at least -1 and less than the rank {x.ndim}, received {axis}")
    others = None if axis == -1 else tuple(i for i in range(x.ndim) if i != axis)
    if given:
        low, high = np.asarray(low, x.dtype), np.asarray(high, x.dtype)
        if (low > high).any():
            raise InvalidArgumentError(f"Invalid range: input_min {low} > input_max {high}")
    elif x.size == 0:
        return x
    else:
        low, high = x.min(axis=others), x.max(axis=others)
    if axis > -1:
        low, high = _along(np.asarray(low), x.ndim, axis), _along(np.asarray(high), x.ndim, axis)
    low, high = np.asarray(low).astype(wide), np.asarray(high).astype(wide)
    least = (-(1 << (bits - 1)) + (1 if narrow else 0)) if signed else 0
    most = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    huge = wide(np.finfo(x.dtype).max)

    def rounded(v: np.ndarray) -> np.ndarray:
        return v.astype(x.dtype).astype(wide)

    by_low = np.where(least * low > 0, rounded(wide(least) / np.where(low == 0, wide(1), low)), huge)
    by_high = np.where(most * high > 0, rounded(wide(most) / np.where(high == 0, wide(1), high)), huge)
    by_first = by_low < by_high
    scale = np.where(by_first, by_low, by_high).astype(real)
    inverse = np.where(by_first, rounded(low / wide(least or 1)), rounded(high / wide(most))).astype(real)
    if given:
        bottom = np.where(by_first, low, wide(least) * inverse.astype(wide)).astype(real)
        top = np.where(by_first, wide(most) * inverse.astype(wide), high).astype(real)
        x = np.maximum(np.minimum(x, top), bottom)
    scaled = (x * scale).astype(wide)
    whole = np.floor(scaled + wide(0.5)) if up else np.rint(scaled)
    return (whole.astype(real) * inverse).astype(x.dtype)


v1_op = op("QuantizeAndDequantize(input: T) -> (output: T); signed_input: bool = true; num_bits: int = 8; range_given: bool = false; input_min: float = 0.0; input_max: float = 0.0; T: {bfloat16, half, float, double}")  # fmt: skip
v1_op.infer(infer.unchanged)


@v1_op.kernel
def _(x: Any, *, signed_input: bool, num_bits: int, range_given: bool, input_min: float, input_max: float) -> np.ndarray:
    return _simulate(x, input_min, input_max, signed_input, num_bits, range_given, False, False, -1)


v1_op.gradient(lambda node, grad: grad)


def _simulating(text: str) -> Any:
    record = op(text)
    record.infer(infer.unchanged)

    @record.kernel
    def _(x: Any, low: Any, high: Any, *, signed_input: bool, num_bits: int, range_given: bool, round_mode: bytes, narrow_range: bool, axis: int) -> Any:
        return _simulate(x, low, high, signed_input, num_bits, range_given, round_mode == b"HALF_UP", narrow_range, axis)

    return record


v2_op = _simulating("QuantizeAndDequantizeV2(input: T, input_min: T, input_max: T) -> (output: T); signed_input: bool = true; num_bits: int = 8; range_given: bool = false; T: {bfloat16, half, float, double}; round_mode: {'HALF_TO_EVEN', 'HALF_UP'} = \"HALF_TO_EVEN\"; narrow_range: bool = false; axis: int = -1")  # fmt: skip
v2_op.gradient(lambda node, grad: (grad, None, None))
v4_op = _simulating("QuantizeAndDequantizeV4(input: T, input_min: T, input_max: T) -> (output: T); signed_input: bool = true; num_bits: int = 8; range_given: bool = false; T: {bfloat16, half, float, double}; round_mode: {'HALF_TO_EVEN', 'HALF_UP'} = \"HALF_TO_EVEN\"; narrow_range: bool = false; axis: int = -1")  # fmt: skip

v3_op = op("QuantizeAndDequantizeV3(input: T, input_min: T, input_max: T, num_bits: int32) -> (output: T); signed_input: bool = true; range_given: bool = true; T: {bfloat16, half, float, double}; narrow_range: bool = false; axis: int = -1")  # fmt: skip
v3_op.infer(infer.unchanged)
v3_op.gradient(lambda node, grad: (grad, None, None, None))


@v3_op.kernel
def _(x: Any, low: Any, high: Any, bits: Any, *, signed_input: bool, range_given: bool, narrow_range: bool, axis: int) -> np.ndarray:
    return _simulate(x, low, high, signed_input, int(bits), range_given, False, narrow_range, axis)


@v4_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.QuantizeAndDequantizeV4Grad(grad, *node.inputs, axis=node.attr("axis"))


v4_grad_op = op("QuantizeAndDequantizeV4Grad(gradients: T, input: T, input_min: T, input_max: T) -> (input_backprop: T, input_min_backprop: T, input_max_backprop: T); T: {bfloat16, half, float, double}; axis: int = -1")  # fmt: skip
v4_grad_op.infer(lambda ctx: [ctx.shape(0), ctx.shape(2), ctx.shape(3)])


@v4_grad_op.kernel
def _(grad: Any, x: Any, low: Any, high: Any, *, axis: int) -> Any:
    a, b = (low, high) if axis == -1 else (_along(low, x.ndim, axis), _along(high, x.ndim, axis))
    return np.where((x >= a) & (x <= b), grad, grad.dtype.type(0)), np.zeros_like(low), np.zeros_like(high)


# -- fake quantisation -----------------------------------------------------------------------------------------------


class _Nudged:
    """A range moved a little so that zero is one of its quantised values; ends may be vectors."""

    def __init__(self, low: Any, high: Any, bits: int, narrow: bool):
        if not 2 <= bits <= 16:
            raise InvalidArgumentError(f"num_bits must be between 2 and 16, inclusive, received {bits}")
        low, high = np.asarray(low, _F), np.asarray(high, _F)
        first, last = _F(1 if narrow else 0), _F((1 << bits) - 1)
        self.nothing = (low == 0) & (high == 0)
        self.scale = (high - low) / (last - first)
        self.inverse = (last - first) / (high - low)
        zero = first - low / self.scale
        zero = np.where(zero < first, first, np.where(zero > last, last, _half_away(np.asarray(zero, _F))))
        self.low, self.high = (first - zero) * self.scale, (last - zero) * self.scale

    def apply(self, x: np.ndarray, divide: bool) -> np.ndarray:
        zero = np.floor(-self.low * self.inverse + _F(0.5))
        moved = np.maximum(np.minimum(x, self.high), self.low) - self.low
        steps = moved / self.scale if divide else moved * self.inverse
        out = np.floor(steps - zero + _F(0.5)) * self.scale
        return np.where(self.nothing, _F(0), out).astype(_F)

    def inside(self, x: np.ndarray) -> np.ndarray:
        return self.nothing | ((x >= self.low) & (x <= self.high))


def _check_range(low: float, high: float) -> None:
    if low >= high:
        raise InvalidArgumentError(f"min has to be smaller than max, was: {low} >= {high}")


fake_args_op = op("FakeQuantWithMinMaxArgs(inputs: float) -> (outputs: float); min: float = -6.0; max: float = 6.0; num_bits: int = 8; narrow_range: bool = false")  # fmt: skip
fake_args_op.infer(infer.unchanged)


@fake_args_op.kernel
def _(x: Any, *, min: float, max: float, num_bits: int, narrow_range: bool) -> np.ndarray:
    _check_range(min, max)
    return _Nudged(min, max, num_bits, narrow_range).apply(x, False)


@fake_args_op.gradient
def _(node: Any, grad: Any) -> Any:
    attrs = {name: node.attr(name) for name in ("min", "max", "num_bits", "narrow_range")}
    return raw.FakeQuantWithMinMaxArgsGradient(grad, node.inputs[0], **attrs)


fake_args_grad_op = op("FakeQuantWithMinMaxArgsGradient(gradients: float, inputs: float) -> (backprops: float); min: float = -6.0; max: float = 6.0; num_bits: int = 8; narrow_range: bool = false")  # fmt: skip
fake_args_grad_op.infer(infer.unchanged)


@fake_args_grad_op.kernel
def _(grad: Any, x: Any, *, min: float, max: float, num_bits: int, narrow_range: bool) -> np.ndarray:
    _check_range(min, max)
    return grad * _Nudged(min, max, num_bits, narrow_range).inside(x).astype(_F)


def _register_fake(channel: str) -> None:
    name = f"FakeQuantWithMinMaxVars{channel}"
    record = op(f"{name}(inputs: float, min: float, max: float) -> (outputs: float); num_bits: int = 8; narrow_range: bool = false")
    grad_op = op(f"{name}Gradient(gradients: float, inputs: float, min: float, max: float) -> (backprops_wrt_input: float, backprop_wrt_min: float, backprop_wrt_max: float); num_bits: int = 8; narrow_range: bool = false")  # fmt: skip
    record.infer(infer.unchanged)
    grad_op.infer(lambda ctx: [ctx.shape(1), ctx.shape(2), ctx.shape(3)])
    expected = 1 if channel else 0

    def check(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        if low.ndim != expected or high.shape != low.shape or (expected and low.shape != x.shape[-1:]):
            raise ShapeError(f"min and max must fit the {'last dimension' if expected else 'scalar range'}: received {low.shape}, {high.shape}, inputs {x.shape}")

    @record.kernel
    def _(x: Any, low: Any, high: Any, *, num_bits: int, narrow_range: bool) -> np.ndarray:
        check(x, low, high)
        return _Nudged(low, high, num_bits, narrow_range).apply(x, not channel)

    @grad_op.kernel
    def _(grad: Any, x: Any, low: Any, high: Any, *, num_bits: int, narrow_range: bool) -> Any:
        check(x, low, high)
        nudged = _Nudged(low, high, num_bits, narrow_range)
        axes = tuple(range(x.ndim - expected))
        below = np.where(~nudged.nothing & (x < nudged.low), grad, _F(0)).sum(axis=axes, dtype=_F)
        above = np.where(~nudged.nothing & (x > nudged.high), grad, _F(0)).sum(axis=axes, dtype=_F)
        return grad * nudged.inside(x).astype(_F), below, above

    @record.gradient
    def _(node: Any, grad: Any) -> Any:
        attrs = {key: node.attr(key) for key in ("num_bits", "narrow_range")}
        return getattr(raw, f"{name}Gradient")(grad, *node.inputs, **attrs)


_register_fake("")
_register_fake("PerChannel")


# -- ranges of quantised tensors -------------------------------------------------------------------------------------


def _used_range(x: np.ndarray, low: Any, high: Any) -> tuple[np.float32, np.float32]:
    """The range that the values of `x` take, with zero in it."""
    scale = _Scale(_scalar_of(low), _scalar_of(high), x.dtype)
    least, most = (x.min(), x.max()) if x.size else (scale.highest, scale.lowest)
    return min(_F(0), scale.value(int(least))), scale.value(int(most))


def _requantize(x: np.ndarray, low: Any, high: Any, new_low: Any, new_high: Any, dtype: Any) -> np.ndarray:
    low, high = _scalar_of(low), _scalar_of(high)
    if x.dtype == np.int32 and dtype == np.uint8:
        return _requantize_to_bytes(x, low, high, _F(new_low), _F(new_high))
    return _Scale(new_low, new_high, dtype).quantize(_Scale(low, high, x.dtype).dequantize(x))


def _requantize_to_bytes(x: np.ndarray, low: np.float32, high: np.float32, new_low: np.float32, new_high: np.float32) -> np.ndarray:
    """From 32 to 8 bits in fixed point with 16 fractional bits, as TensorFlow does this case."""
    one, width, new_width = 1 << 16, high - low, new_high - new_low
    if new_width == 0:
        scale = offset = new_offset = 0
    else:
        scale = int(255.0 * one * float(width) / float(new_width))
        offset = int(_F((float(low) + float(high)) / 2.0) * _F(255.0 / float(new_width)) * _F(one))
        new_offset = int(_half_away(np.float64(one * (float(new_low) * 255.0) / float(new_width))))
    fixed = ((x.astype(np.int64) * scale) >> 32) + (offset - new_offset + (one >> 1))
    return np.clip(fixed >> 16, 0, 255).astype(np.uint8)


range_op = op(f"RequantizationRange(input: Tinput, input_min: float, input_max: float) -> (output_min: float, output_max: float); Tinput: {_Q}")
range_op.infer(infer.scalar)
range_op.kernel(_used_range)

requantize_op = op(f"Requantize(input: Tinput, input_min: float, input_max: float, requested_output_min: float, requested_output_max: float) -> (output: out_type, output_min: float, output_max: float); Tinput: {_Q}; out_type: {_Q}")  # fmt: skip
requantize_op.infer(_first_and_scalars)


@requantize_op.kernel
def _(x: Any, low: Any, high: Any, new_low: Any, new_high: Any, *, out_type: Any) -> Any:
    a, b = _scalar_of(new_low), _scalar_of(new_high)
    if a > 0:
        raise InvalidArgumentError(f"requested_output_min must be <= 0, but got {a}")
    if b < a:
        raise InvalidArgumentError(f"requested_output_max must be >= requested_output_min, but got {b} and {a}")
    return _requantize(x, low, high, a, b, out_type.numpy), a, b


shrink_op = op(f"QuantizeDownAndShrinkRange(input: Tinput, input_min: float, input_max: float) -> (output: out_type, output_min: float, output_max: float); Tinput: {_Q}; out_type: {_Q}")  # fmt: skip
shrink_op.infer(_first_and_scalars)


@shrink_op.kernel
def _(x: Any, low: Any, high: Any, *, out_type: Any) -> Any:
    a, b = _used_range(x, low, high)
    return _requantize(x, low, high, a, b, out_type.numpy), a, b


# -- arithmetic on quantised tensors ---------------------------------------------------------------------------------


def _product_range(a: _Scale, b: _Scale, out: Any) -> tuple[np.float32, np.float32]:
    level = a.level() * b.level()
    low, high = _limits(out)
    return level * _F(low), level * _F(high)


def _centered(x: np.ndarray, low: Any, high: Any, what: str) -> tuple[np.ndarray, _Scale]:
    """Quantised values less the one that stands for zero, as float64 (products and sums of them stay exact)."""
    low, high = _scalar_of(low), _scalar_of(high)
    if not high > low:
        raise InvalidArgumentError(f"max_{what} must be larger than min_{what}, received {high} and {low}")
    scale = _Scale(low, high, x.dtype)
    return x.astype(np.float64) - scale.code(0.0, clamp=False), scale


matmul_op = op(f"QuantizedMatMul(a: T1, b: T2, min_a: float, max_a: float, min_b: float, max_b: float) -> (out: Toutput, min_out: float, max_out: float); T1: {_Q}; T2: {_Q}; Toutput: {_Q} = qint32; transpose_a: bool = false; transpose_b: bool = false; Tactivation: {_Q} = quint8")  # fmt: skip


@matmul_op.infer
def _(ctx: Any) -> Any:
    a, b = ctx.shape(0), ctx.shape(1)
    rows = a[1 if ctx.attr("transpose_a") else 0] if a.rank == 2 else None
    columns = b[0 if ctx.attr("transpose_b") else 1] if b.rank == 2 else None
    return [TensorShape([rows, columns]), TensorShape([]), TensorShape([])]


@matmul_op.kernel
def _(a: Any, b: Any, min_a: Any, max_a: Any, min_b: Any, max_b: Any, *, transpose_a: bool, transpose_b: bool, Toutput: Any) -> Any:
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"expected matrices, received shapes {list(a.shape)} and {list(b.shape)}")
    x, scale_a = _centered(a.T if transpose_a else a, min_a, max_a, "a")
    y, scale_b = _centered(b.T if transpose_b else b, min_b, max_b, "b")
    return (x @ y).astype(np.int64).astype(Toutput.numpy), *_product_range(scale_a, scale_b, Toutput.numpy)


conv_op = op(f"QuantizedConv2D(input: Tinput, filter: Tfilter, min_input: float, max_input: float, min_filter: float, max_filter: float) -> (output: out_type, min_output: float, max_output: float); Tinput: {_Q}; Tfilter: {_Q}; out_type: {_Q} = qint32; strides: list(int); padding: {{'SAME', 'VALID'}}; dilations: list(int) = [1, 1, 1, 1]")  # fmt: skip


def _window(size: int, kernel: int, stride: int, same: bool) -> tuple[int, int, int]:
    """Output size, and padding before and after."""
    if not same:
        return max(0, (size - kernel + stride) // stride), 0, 0
    out = -(-size // stride)
    pad = max(0, (out - 1) * stride + kernel - size)
    return out, pad // 2, pad - pad // 2


def _windowed_shape(ctx: Any, height: Any, width: Any, depth: Any) -> Any:
    x, strides, same = ctx.shape(0), ctx.attr("strides"), ctx.attr("padding") == b"SAME"
    if x.rank != 4:
        return [unknown_shape(4), TensorShape([]), TensorShape([])]
    sizes = [
        None if size is None or kernel is None else _window(size, kernel, strides[i], same)[0]
        for i, size, kernel in ((1, x[1], height), (2, x[2], width))
    ]
    return [TensorShape([x[0], *sizes, depth]), TensorShape([]), TensorShape([])]


@conv_op.infer
def _(ctx: Any) -> Any:
    w = ctx.shape(1)
    height, width, _, depth = w.as_list() if w.rank == 4 else (None,) * 4
    return _windowed_shape(ctx, height, width, depth)


def _patches(x: np.ndarray, height: int, width: int, strides: list[int], same: bool, fill: Any) -> np.ndarray:
    """Windows (b, out_h, out_w, c, height, width) of `x`."""
    rows, top, bottom = _window(x.shape[1], height, strides[1], same)
    columns, left, right = _window(x.shape[2], width, strides[2], same)
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    return view[:, : (rows - 1) * strides[1] + 1 : strides[1], : (columns - 1) * strides[2] + 1 : strides[2]]


@conv_op.kernel
def _(
    x: Any, w: Any, min_x: Any, max_x: Any, min_w: Any, max_w: Any, *, strides: list[int], padding: bytes, dilations: list[int], out_type: Any
) -> Any:  # fmt: skip
    if x.ndim != 4 or w.ndim != 4 or x.shape[3] != w.shape[2]:
        raise ShapeError(f"expected input (b, h, w, c) and filter (h, w, c, f), received {list(x.shape)} and {list(w.shape)}")
    if list(dilations) != [1, 1, 1, 1] or strides[0] != 1 or strides[3] != 1:
        raise InvalidArgumentError(f"QuantizedConv2D: no dilations, no strides over batch or depth; received {dilations}, {strides}")
    a, scale_a = _centered(x, min_x, max_x, "input")
    b, scale_b = _centered(w, min_w, max_w, "filter")
    patches = _patches(a, w.shape[0], w.shape[1], strides, padding == b"SAME", 0)
    out = np.einsum("nijchw,hwcf->nijf", patches, b, optimize=True)
    return np.rint(out).astype(np.int64).astype(out_type.numpy), *_product_range(scale_a, scale_b, out_type.numpy)


def _add(x: Any, y: Any, min_x: Any, max_x: Any, min_y: Any, max_y: Any, out: Any) -> Any:
    """The sum in a symmetric range 2 ** 17 times as wide as the wider one."""
    ends = [_scalar_of(v) for v in (min_x, max_x, min_y, max_y)]
    high = max(ends[1], -ends[0], ends[3], -ends[2]) * _F(1 << 17)
    total = _Scale(-high, high, out)
    parts = [total.quantize(_Scale(a, b, v.dtype).dequantize(v)).astype(np.int64) for v, a, b in ((x, *ends[:2]), (y, *ends[2:]))]
    return (parts[0] + parts[1] + total.code(0.0)).astype(out), -high, high


bias_op = op(f"QuantizedBiasAdd(input: T1, bias: T2, min_input: float, max_input: float, min_bias: float, max_bias: float) -> (output: out_type, min_out: float, max_out: float); T1: {_Q}; T2: {_Q}; out_type: {_Q}")  # fmt: skip
bias_op.infer(_first_and_scalars)


@bias_op.kernel
def _(x: Any, bias: Any, *ends: Any, out_type: Any) -> Any:
    if x.ndim < 2 or bias.shape != x.shape[-1:]:
        raise ShapeError(f"Must provide as many biases as the last dimension of the input: {list(bias.shape)} vs. {list(x.shape)}")
    return _add(x, bias, *ends, out_type.numpy)


add_op = op(f"QuantizedAdd(x: T1, y: T2, min_x: float, max_x: float, min_y: float, max_y: float) -> (z: Toutput, min_z: float, max_z: float); T1: {_Q}; T2: {_Q}; Toutput: {_Q} = qint32")  # fmt: skip
add_op.infer(lambda ctx: [unknown_shape(), TensorShape([]), TensorShape([])])


@add_op.kernel
def _(x: Any, y: Any, min_x: Any, max_x: Any, min_y: Any, max_y: Any, *, Toutput: Any) -> Any:
    # Every step of an input is the same whole number of steps of the output, as TensorFlow has it for this op.
    ends = [_scalar_of(v) for v in (min_x, max_x, min_y, max_y)]
    high = max(ends[1], -ends[0], ends[3], -ends[2]) * _F(1 << 14)
    total = _Scale(-high, high, Toutput.numpy)
    parts = []
    for v, low, top in ((x, *ends[:2]), (y, *ends[2:])):
        scale = _Scale(low, top, v.dtype)
        zero, one = (total.code(scale.value(i), clamp=False) for i in (0, 1))
        parts.append(zero + v.astype(np.int64) * (one - zero))
    return np.clip(parts[0] + parts[1], total.lowest, total.highest).astype(Toutput.numpy), -high, high


mul_op = op(f"QuantizedMul(x: T1, y: T2, min_x: float, max_x: float, min_y: float, max_y: float) -> (z: Toutput, min_z: float, max_z: float); T1: {_Q}; T2: {_Q}; Toutput: {_Q} = qint32")  # fmt: skip
mul_op.infer(lambda ctx: [unknown_shape(), TensorShape([]), TensorShape([])])


@mul_op.kernel
def _(x: Any, y: Any, min_x: Any, max_x: Any, min_y: Any, max_y: Any, *, Toutput: Any) -> Any:
    a, scale_a = _centered(x, min_x, max_x, "x")
    b, scale_b = _centered(y, min_y, max_y, "y")
    return (a * b).astype(np.int64).astype(Toutput.numpy), *_product_range(scale_a, scale_b, Toutput.numpy)


def _register_relu(name: str, upper: Callable[..., Any] | None) -> None:
    extra = "max_value: float, " if name == "QuantizedReluX" else ""
    record = op(f"{name}(features: Tinput, {extra}min_features: float, max_features: float) -> (activations: out_type, min_activations: float, max_activations: float); Tinput: {_Q}; out_type: {_Q} = quint8")  # fmt: skip
    record.infer(_first_and_scalars)

    @record.kernel
    def _(x: Any, *rest: Any, out_type: Any) -> Any:
        low, high = (_scalar_of(v) for v in rest[-2:])
        scale = _Scale(low, high, x.dtype)
        out = np.maximum(x, x.dtype.type(scale.code(0.0)))
        if upper is not None:
            out = np.minimum(out, x.dtype.type(scale.code(float(upper(*rest)))))
        return out.astype(out_type.numpy), low, high


_register_relu("QuantizedRelu", None)
_register_relu("QuantizedRelu6", lambda *rest: 6.0)
_register_relu("QuantizedReluX", lambda *rest: _scalar_of(rest[0]))

reshape_op = op("QuantizedReshape(tensor: T, shape: Tshape, input_min: float, input_max: float) -> (output: T, output_min: float, output_max: float); T: type; Tshape: {int32, int64} = int32")  # fmt: skip
reshape_op.infer(lambda ctx: [ctx.value_as_shape(1), TensorShape([]), TensorShape([])])
reshape_op.kernel(lambda x, shape, low, high: (x.reshape(tuple(int(d) for d in shape)), _scalar_of(low), _scalar_of(high)))


def _register_pool(name: str, average: bool) -> None:
    record = op(f"{name}(input: T, min_input: float, max_input: float) -> (output: T, min_output: float, max_output: float); T: {_Q}; ksize: list(int); strides: list(int); padding: {{'SAME', 'VALID'}}")  # fmt: skip
    record.infer(lambda ctx: _windowed_shape(ctx, ctx.attr("ksize")[1], ctx.attr("ksize")[2], ctx.shape(0)[3] if ctx.rank(0) == 4 else None))

    @record.kernel
    def _(x: Any, low: Any, high: Any, *, ksize: list[int], strides: list[int], padding: bytes) -> Any:
        same = padding == b"SAME"
        if average:
            total = _patches(x.astype(np.int64), ksize[1], ksize[2], strides, same, 0).sum(axis=(-2, -1))
            count = _patches(np.ones_like(x, np.int64), ksize[1], ksize[2], strides, same, 0).sum(axis=(-2, -1))
            out = np.trunc(total / count)
        else:
            out = _patches(x, ksize[1], ksize[2], strides, same, _limits(x.dtype)[0]).max(axis=(-2, -1))
        return out.astype(x.dtype), _scalar_of(low), _scalar_of(high)


_register_pool("QuantizedMaxPool", False)
_register_pool("QuantizedAvgPool", True)


# -- tf.quantization -------------------------------------------------------------------------------------------------


def _axis(x: Any, axis: int | None) -> int:
    if axis is None:
        return -1
    if axis < 0:
        if x.shape.rank is None:
            raise ShapeError("input should have known rank to use negative axis.")
        return axis % x.shape.rank
    return axis


@public("quantization.quantize")
def quantize(
    input, min_range, max_range, T, mode="MIN_COMBINED", round_mode="HALF_AWAY_FROM_ZERO", name=None, narrow_range=False, axis=None,
    ensure_minimum_range=0.01,
):  # fmt: skip
    """Floats as values of the quantised type `T`: (output, output_min, output_max)."""
    input = convert_to_tensor(input, dtypes.float32)
    return raw.QuantizeV2(
        input, min_range, max_range, T=T, mode=mode, round_mode=round_mode, narrow_range=narrow_range, axis=_axis(input, axis),
        ensure_minimum_range=float(_F(ensure_minimum_range)), name=name,
    )  # fmt: skip


@public("quantization.dequantize")
def dequantize(input, min_range, max_range, mode="MIN_COMBINED", name=None, axis=None, narrow_range=False, dtype=dtypes.float32):
    """Quantised values as floats."""
    return raw.Dequantize(input, min_range, max_range, mode=mode, narrow_range=narrow_range, axis=_axis(input, axis), dtype=as_dtype(dtype), name=name)


def _quantize_and_dequantize(op_name: str) -> Callable[..., Any]:
    def function(
        input, input_min, input_max, signed_input=True, num_bits=8, range_given=False, round_mode="HALF_TO_EVEN", name=None, narrow_range=False,
        axis=None,
    ):  # fmt: skip
        """`input` rounded to what `num_bits` can hold, as floats."""
        input = convert_to_tensor(input)
        return getattr(raw, op_name)(
            input, input_min, input_max, signed_input=signed_input, num_bits=num_bits, range_given=range_given, round_mode=round_mode,
            narrow_range=narrow_range, axis=_axis(input, axis), name=name,
        )  # fmt: skip

    return function


public("quantization.quantize_and_dequantize")(_quantize_and_dequantize("QuantizeAndDequantizeV2"))
public("quantization.quantize_and_dequantize_v2")(_quantize_and_dequantize("QuantizeAndDequantizeV4"))


@public("quantization.fake_quant_with_min_max_args")
def fake_quant_with_min_max_args(inputs, min=-6, max=6, num_bits=8, narrow_range=False, name=None):
    """Fake quantisation with a fixed range."""
    return raw.FakeQuantWithMinMaxArgs(inputs, min=min, max=max, num_bits=num_bits, narrow_range=narrow_range, name=name)


@public("quantization.fake_quant_with_min_max_args_gradient")
def fake_quant_with_min_max_args_gradient(gradients, inputs, min=-6, max=6, num_bits=8, narrow_range=False, name=None):
    """The gradient of `fake_quant_with_min_max_args`."""
    return raw.FakeQuantWithMinMaxArgsGradient(gradients, inputs, min=min, max=max, num_bits=num_bits, narrow_range=narrow_range, name=name)


def _fake_function(op_name: str) -> Callable[..., Any]:
    def function(inputs, min, max, num_bits=8, narrow_range=False, name=None):
        """Fake quantisation with a range that can be learnt."""
        return getattr(raw, op_name)(inputs, min, max, num_bits=num_bits, narrow_range=narrow_range, name=name)

    return function


def _fake_gradient_function(op_name: str) -> Callable[..., Any]:
    def function(gradients, inputs, min, max, num_bits=8, narrow_range=False, name=None):
        """Gradients with respect to the inputs and both ends of the range."""
        return getattr(raw, op_name)(gradients, inputs, min, max, num_bits=num_bits, narrow_range=narrow_range, name=name)

    return function


for _suffix, _op_suffix in (("", ""), ("_per_channel", "PerChannel")):
    public(f"quantization.fake_quant_with_min_max_vars{_suffix}")(_fake_function(f"FakeQuantWithMinMaxVars{_op_suffix}"))
    public(f"quantization.fake_quant_with_min_max_vars{_suffix}_gradient")(_fake_gradient_function(f"FakeQuantWithMinMaxVars{_op_suffix}Gradient"))
