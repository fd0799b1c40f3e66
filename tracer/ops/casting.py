"""Conversions between element types: Cast by value, Bitcast by bytes, saturate_cast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.dtypes import DType, as_dtype
from tracer.errors import DTypeError, InvalidArgumentError
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

# -- Cast ------------------------------------------------------------------------------------------------------------

cast_op = op("Cast(x: SrcT) -> (y: DstT); SrcT: type; DstT: type; Truncate: bool = false")
cast_op.infer(infer.unchanged)

_INT32_MIN, _INT64_MIN = np.iinfo(np.int32).min, np.iinfo(np.int64).min


def _x86_conversions() -> bool:
    """Whether the machine turns floats that fit no integer into the most negative one, as x86 does."""
    with np.errstate(all="ignore"):
        odd = np.array([np.nan, np.inf, -np.inf, 1e20] * 4, np.float32)
        return bool(
            (odd.astype(np.int32) == _INT32_MIN).all()
            and (odd.astype(np.int64) == _INT64_MIN).all()
            and (odd.astype(np.float64).astype(np.int32) == _INT32_MIN).all()
        )


_IS_X86 = _x86_conversions()


def _to_int32(x: np.ndarray) -> np.ndarray:
    out = x.astype(np.int32)
    if not _IS_X86:
        out = np.where((x >= -2147483648.0) & (x < 2147483648.0), out, np.int32(_INT32_MIN))
    return out


def _to_int64(x: np.ndarray) -> np.ndarray:
    out = x.astype(np.int64)
    if not _IS_X86:
        out = np.where((x >= -9223372036854775808.0) & (x < 9223372036854775808.0), out, np.int64(_INT64_MIN))
    return out


# How many elements TensorFlow's kernel converts at once, by source and target; the rest of an array goes one by one.
_PACKET = {("float64", 1): 16, ("float64", 2): 16, ("float16", 1): 8, ("float16", 2): 4, ("bfloat16", 1): 8, ("bfloat16", 2): 4}


def _to_small(dtype: np.dtype) -> Callable[[np.ndarray], np.ndarray]:
    """Through int32; into range where packing instructions do it, cut to the low bits in what is left over."""
    info = np.iinfo(dtype)

    def convert(x: np.ndarray) -> np.ndarray:
        wide = _to_int32(x)
        out = np.clip(wide, info.min, info.max).astype(dtype)
        left = x.size % _PACKET.get((x.dtype.name, dtype.itemsize), 32)
        if left:
            out.reshape(-1)[-left:] = wide.reshape(-1)[-left:].astype(dtype)
        return out

    return convert


def _to_uint32(x: np.ndarray) -> np.ndarray:
    wide = _to_int64(x)
    return np.where((wide >= -(2**31)) & (wide < 2**32), wide, 2**31).astype(np.uint32)


def _to_uint64(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64) if x.dtype.itemsize < 8 else x
    low = _to_int64(x).astype(np.uint64)
    high = _to_int64(x - 2.0**63).astype(np.uint64) ^ np.uint64(2**63)
    return np.where((x >= 2.0**63) & (x < 2.0**64), high, np.where(x < 2.0**63, low, np.uint64(2**63)))


_FROM_FLOAT: dict[np.dtype, Callable[[np.ndarray], np.ndarray]] = {
    np.dtype(np.int8): _to_small(np.dtype(np.int8)),
    np.dtype(np.uint8): _to_small(np.dtype(np.uint8)),
    np.dtype(np.int16): _to_small(np.dtype(np.int16)),
    np.dtype(np.uint16): _to_small(np.dtype(np.uint16)),
    np.dtype(np.int32): _to_int32,
    np.dtype(np.int64): _to_int64,
    np.dtype(np.uint32): _to_uint32,
    np.dtype(np.uint64): _to_uint64,
}

# mantissa bits that stay when a cast truncates instead of rounding
_MANTISSA = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7, "float8_e5m2": 2, "float8_e4m3fn": 3}


def _truncating(source: DType, target: DType) -> Callable[[np.ndarray], Any] | None:
    """A step before the cast that clears the bits which `target` has no room for."""
    if source.kind != "f" or target.kind != "f":
        return None
    drop = _MANTISSA[source.name] - _MANTISSA[target.name]
    if drop <= 0:
        return None
    bits = np.dtype(f"u{source.numpy.itemsize}")
    mask = bits.type((1 << (8 * bits.itemsize)) - (1 << drop))
    return lambda x: (np.ascontiguousarray(x).view(bits) & mask).view(x.dtype)


@cast_op.prepare
def _(attrs: Any) -> Any:
    source, target = attrs["SrcT"].base_dtype, attrs["DstT"].base_dtype
    to = target.numpy
    if source.kind in "srv" or target.kind in "srv":
        if source == target:
            return lambda x: x
        raise DTypeError(f"Cast {source.name} to {target.name} is not supported; tf.strings.to_number and tf.as_string convert strings")
    if source.numpy == to:
        return lambda x: x
    if source.is_complex and not target.is_complex:
        narrow = _plain(source.real_dtype, target)
        return lambda x: narrow(x.real)
    plain = _plain(source, target)
    before = _truncating(source, target) if attrs.get("Truncate") else None
    return plain if before is None else lambda x: plain(before(x))


def _plain(source: DType, target: DType) -> Callable[[np.ndarray], Any]:
    to = target.numpy
    if target.kind == "b":
        return lambda x: x != 0
    if source.is_floating and target.kind in "iuq":
        convert = _FROM_FLOAT.get(to)
        if convert is not None:
            if source.name in ("bfloat16", "float16") or source.name.startswith("float8"):
                return lambda x: convert(x.astype(np.float32))
            return convert
    narrow = ("bfloat16", "float8_e5m2", "float8_e4m3fn", "int4", "uint4")
    if target.name in narrow and source.name not in (*narrow, "float32", "float16"):
        # through float32: TensorFlow rounds twice as well
        middle = np.dtype(np.int8) if target.name.endswith("int4") and source.kind in "iuqb" else np.dtype(np.float32)
        return lambda x: x.astype(middle).astype(to)
    return lambda x: x.astype(to)


@cast_op.gradient
def _(node: Any, grad: Any) -> Any:
    source, target = node.inputs[0].dtype.base_dtype, grad.dtype.base_dtype
    if source.kind in "fc" and target.kind in "fc":
        return raw.Cast(grad, DstT=source)
    return None


# -- Bitcast ---------------------------------------------------------------------------------------------------------

bitcast_op = op(
    "Bitcast(input: T) -> (output: type); "
    "T: {bfloat16, half, float, double, int64, int32, uint8, uint16, uint32, uint64, int8, int16, complex64, complex128, qint8, "
    "quint8, qint16, quint16, qint32}; "
    "type: {bfloat16, half, float, double, int64, int32, uint8, uint16, uint32, uint64, int8, int16, complex64, complex128, "
    "qint8, quint8, qint16, quint16, qint32}"
).not_differentiable()


@bitcast_op.infer
def _(ctx: Any) -> Any:
    shape, a, b = ctx.shape(0), ctx.dtype(0).size, ctx.output_dtypes[0].size
    if shape.rank is None or a == b:
        return shape if shape.rank is not None else unknown_shape()
    if a > b:
        return shape.concatenate([a // b])
    if shape.rank and shape[-1] not in (None, b // a):
        raise InvalidArgumentError(f"Bitcast: expected a last dimension of {b // a}, received the shape {shape}")
    return TensorShape(list(shape)[:-1])


@bitcast_op.kernel
def _(x: np.ndarray, *, type: DType) -> Any:
    to = type.numpy
    a, b = x.dtype.itemsize, to.itemsize
    x = np.ascontiguousarray(x).reshape(x.shape)
    if a == b:
        return x.view(to)
    if a > b:
        return x.reshape(x.shape + (1,)).view(to)
    if x.ndim == 0 or x.shape[-1] != b // a:
        raise InvalidArgumentError(
            f"Cannot bitcast from {x.dtype.name} of shape {x.shape} to {type.name}: expected a last dimension of {b // a}"
        )
    return x.view(to).reshape(x.shape[:-1])


# -- public functions ------------------------------------------------------------------------------------------------


@public("cast", "dtypes.cast")
def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """`x` with element type `dtype`: floats are truncated to integers, complex numbers lose their imaginary part, anything but 0 is True.

    Sparse tensors and IndexedSlices are cast by their values.
    """
    wanted = as_dtype(dtype).base_dtype
    if hasattr(x, "with_values") and hasattr(x, "indices"):
        return x if x.dtype == wanted else x.with_values(cast(x.values, wanted, name))
    if type(x).__name__ == "IndexedSlices":
        return type(x)(cast(x.values, wanted, name), x.indices, x.dense_shape)
    x = convert_to_tensor(x)
    if x.dtype.base_dtype == wanted:
        return x
    return raw.Cast(x, DstT=wanted, name=name)


@public("saturate_cast", "dtypes.saturate_cast")
def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Any:
    """`value` as `dtype`, values that do not fit become the nearest that does."""
    target = as_dtype(dtype).base_dtype
    value = convert_to_tensor(value)
    source = value.dtype.base_dtype
    if source == target:
        return raw.Identity(value, name=name)
    if source.is_complex and not target.is_complex:
        value, source = raw.Real(value, Tout=source.real_dtype), source.real_dtype
    if target.is_complex:
        limits = dtypes.float32 if target.name == "complex64" else dtypes.float64
        if source.is_complex:
            if target.size >= source.size:
                return cast(value, target, name)
            real, imag = raw.Real(value, Tout=source.real_dtype), raw.Imag(value, Tout=source.real_dtype)
            return raw.Complex(cast(_clamp(real, limits), limits), cast(_clamp(imag, limits), limits), Tout=target, name=name)
        return cast(cast(_clamp(value, limits), limits), target, name)
    return cast(_clamp(value, target), target, name)


def _limits(dtype: DType) -> tuple[Any, Any]:
    if dtype.kind == "b":
        return 0, 1
    return (float(dtype.min), float(dtype.max)) if dtype.is_floating else (int(dtype.min), int(dtype.max))


def _clamp(value: Any, target: DType) -> Any:
    """`value` within the range of `target`, in the dtype of `value`."""
    source = value.dtype.base_dtype
    if source.kind == "b":
        return value
    low, high = _limits(target)
    own_low, own_high = _limits(source)
    if low <= own_low and high >= own_high:
        return value

    def bound(limit: Any, toward: float) -> Any:
        number = np.array(min(max(limit, own_low), own_high)).astype(source.numpy)
        # a float bound must itself survive the cast: int32's maximum is not a float32
        if source.is_floating and target.kind in "iuq":
            exact = int(number.astype(np.float64)) if np.isfinite(number.astype(np.float64)) else limit
            if (toward < 0 and exact > limit) or (toward > 0 and exact < limit):
                number = np.nextafter(number, number.dtype.type(0)) if number.dtype.kind == "f" else _step_to_zero(number)
        return convert_to_tensor(number, source)

    return raw.Maximum(raw.Minimum(value, bound(high, -1.0)), bound(low, 1.0))


def _step_to_zero(number: np.ndarray) -> np.ndarray:
    """The next bfloat16 toward zero: one less as a bit pattern."""
    bits = np.dtype(f"u{number.dtype.itemsize}")
    return (number.view(bits) - bits.type(1)).view(number.dtype)


@public("bitcast")
def bitcast(input: Any, type: Any, name: str | None = None) -> Any:
    """The bytes of `input` read as another type; a dimension of the ratio of sizes is added or taken away at the end."""
    return raw.Bitcast(input, type=type, name=name)


def _public_conversion(word: str, dtype: str) -> None:
    def function(x: Any, name: str | None = None) -> Any:
        return cast(x, dtype, name)

    function.__name__ = function.__qualname__ = word
    function.__doc__ = f"`x` cast to {dtype}."
    public(f"compat.v1.{word}")(function)


for _word, _dtype in (
    ("to_float", "float32"),
    ("to_double", "float64"),
    ("to_int32", "int32"),
    ("to_int64", "int64"),
    ("to_bfloat16", "bfloat16"),
    ("to_complex64", "complex64"),
    ("to_complex128", "complex128"),
):
    _public_conversion(_word, _dtype)
