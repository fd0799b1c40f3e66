"""Special functions as ops: error, gamma, beta and Bessel functions with their gradients. The numerics live in tracer.special_functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import infer
from tracer import special_functions as special
from tracer.dispatch import raw
from tracer.gradient_rules import unbroadcast
from tracer.public import public, tf
from tracer.registry import Op, op
from tracer.shapes import broadcast_shapes
from tracer.tensor import convert_to_tensor

_REAL = "{bfloat16, half, float, double}"


def _in_float64(function: Callable[..., np.ndarray]) -> Callable[..., Any]:
    """A kernel that computes in float64 and rounds once."""

    def kernel(*arrays: np.ndarray) -> Any:
        dtype = arrays[0].dtype
        wide = [np.asarray(a, np.float64) for a in arrays]
        shape = np.broadcast_shapes(*(a.shape for a in wide))
        # at least one axis, so that masks can be assigned through
        out = function(*(a.reshape(-1) if a.ndim == 0 else a for a in wide))
        return np.asarray(out).reshape(shape).astype(dtype)

    return kernel


def _number(value: float, like: Any) -> Any:
    return convert_to_tensor(value, like.dtype.base_dtype)


# name, function, derivative as ops: slope(x, y) -> tensor
def _unary(name: str, kernel: Callable[..., Any], slope: Callable[[Any, Any], Any] | None) -> Op:
    record = op(f"{name}(x: T) -> (y: T); T: {_REAL}")
    record.infer(infer.unchanged)
    record.kernel(kernel)
    if slope is not None:

        @record.gradient
        def _(node: Any, grad: Any) -> Any:
            return raw.Mul(grad, slope(node.inputs[0], node.outputs[0]))

    return record


def _erf(x: np.ndarray) -> Any:
    if x.dtype == np.float32:
        return special.erf_float32(x)
    if x.dtype.itemsize == 2:
        return special.erf_float32(x.astype(np.float32)).astype(x.dtype)
    return _erf_wide(x)


_erf_wide = _in_float64(special.erf)


def _gaussian(scale: float) -> Callable[[Any, Any], Any]:
    return lambda x, y: raw.Mul(_number(scale, x), raw.Exp(raw.Neg(raw.Square(x))))


def _minus_ratio(x: Any, y: Any, main: Any, at_zero: float) -> Any:
    """main - y / x, and `at_zero` at 0."""
    zero = raw.Equal(x, _number(0.0, x))
    safe = raw.SelectV2(zero, raw.OnesLike(x), x)
    return raw.SelectV2(zero, raw.Mul(_number(at_zero, x), raw.OnesLike(x)), raw.Sub(main, raw.RealDiv(y, safe)))


_unary("Erf", _erf, _gaussian(2 / math.sqrt(math.pi)))
_unary("Erfc", _in_float64(special.erfc), _gaussian(-2 / math.sqrt(math.pi)))
_unary("Erfinv", _in_float64(special.erfinv), lambda x, y: raw.Mul(_number(math.sqrt(math.pi) / 2, y), raw.Exp(raw.Square(y))))
_unary(
    "Ndtri", _in_float64(special.ndtri),
    lambda x, y: raw.Mul(_number(math.sqrt(2 * math.pi), y), raw.Exp(raw.RealDiv(raw.Square(y), _number(2.0, y)))),
)  # fmt: skip
_unary("Lgamma", _in_float64(special.lgamma), lambda x, y: raw.Digamma(x))
_unary("Digamma", _in_float64(special.digamma), lambda x, y: raw.Cast(raw.Polygamma(*_wide_pair(1.0, x)), DstT=x.dtype))
_unary("Dawsn", _in_float64(special.dawsn), lambda x, y: raw.Sub(_number(1.0, x), raw.Mul(_number(2.0, x), raw.Mul(x, y))))
_unary("Expint", _in_float64(special.expint), lambda x, y: raw.RealDiv(raw.Exp(x), x))


def _fresnel_slope(wave: str) -> Callable[[Any, Any], Any]:
    return lambda x, y: getattr(raw, wave)(raw.Mul(_number(math.pi / 2, x), raw.Square(x)))


_unary("FresnelCos", _in_float64(lambda x: special.fresnel(x, True)), _fresnel_slope("Cos"))
_unary("FresnelSin", _in_float64(lambda x: special.fresnel(x, False)), _fresnel_slope("Sin"))


def _spence_slope(x: Any, y: Any) -> Any:
    one = _number(1.0, x)
    is_one = raw.Equal(x, one)
    safe = raw.SelectV2(is_one, raw.Mul(_number(2.0, x), raw.OnesLike(x)), x)
    return raw.SelectV2(is_one, raw.Neg(raw.OnesLike(x)), raw.RealDiv(raw.Log(safe), raw.Sub(one, safe)))


_unary("Spence", _in_float64(special.spence), _spence_slope)


def _wide_pair(value: float, x: Any) -> tuple[Any, Any]:
    """A constant and `x`, as float32 where the op takes no smaller type."""
    if x.dtype.size < 4:
        x = raw.Cast(x, DstT="float32")
    return _number(value, x), x


# -- Bessel functions ------------------------------------------------------------------------------------------------

_unary("BesselI0", _in_float64(lambda x: special.bessel_i(0, x, False)), lambda x, y: raw.BesselI1(x))
_unary("BesselI0e", _in_float64(lambda x: special.bessel_i(0, x, True)), lambda x, y: raw.Sub(raw.BesselI1e(x), raw.Mul(raw.Sign(x), y)))
_unary("BesselI1", _in_float64(lambda x: special.bessel_i(1, x, False)), lambda x, y: _minus_ratio(x, y, raw.BesselI0(x), 0.5))


def _i1e_slope(x: Any, y: Any) -> Any:
    return _minus_ratio(x, y, raw.Sub(raw.BesselI0e(x), raw.Mul(raw.Sign(x), y)), 0.5)


_unary("BesselI1e", _in_float64(lambda x: special.bessel_i(1, x, True)), _i1e_slope)
_unary("BesselK0", _in_float64(lambda x: special.bessel_k(0, x, False)), lambda x, y: raw.Neg(raw.BesselK1(x)))
_unary("BesselK0e", _in_float64(lambda x: special.bessel_k(0, x, True)), lambda x, y: raw.Sub(y, raw.BesselK1e(x)))
_unary(
    "BesselK1", _in_float64(lambda x: special.bessel_k(1, x, False)),
    lambda x, y: raw.Sub(raw.Neg(raw.BesselK0(x)), raw.RealDiv(y, x)),
)  # fmt: skip
_unary(
    "BesselK1e", _in_float64(lambda x: special.bessel_k(1, x, True)),
    lambda x, y: raw.Sub(raw.Mul(y, raw.Sub(_number(1.0, x), raw.Reciprocal(x))), raw.BesselK0e(x)),
)  # fmt: skip
_unary("BesselJ0", _in_float64(lambda x: special.bessel_j(0, x)), lambda x, y: raw.Neg(raw.BesselJ1(x)))
_unary("BesselJ1", _in_float64(lambda x: special.bessel_j(1, x)), lambda x, y: _minus_ratio(x, y, raw.BesselJ0(x), 0.5))
_unary("BesselY0", _in_float64(lambda x: special.bessel_y(0, x)), lambda x, y: raw.Neg(raw.BesselY1(x)))
_unary("BesselY1", _in_float64(lambda x: special.bessel_y(1, x)), lambda x, y: raw.Sub(raw.BesselY0(x), raw.RealDiv(y, x)))

# -- functions of two and three tensors ------------------------------------------------------------------------------


def _binary(text: str, function: Callable[..., np.ndarray]) -> Op:
    record = op(text)
    record.infer(infer.broadcast)
    record.kernel(_in_float64(function))
    return record


polygamma_op = _binary("Polygamma(a: T, x: T) -> (z: T); T: {float, double}", special.polygamma)
zeta_op = _binary("Zeta(x: T, q: T) -> (z: T); T: {float, double}", special.zeta)
igamma_op = _binary(f"Igamma(a: T, x: T) -> (z: T); T: {_REAL}", special.igamma)
igammac_op = _binary(f"Igammac(a: T, x: T) -> (z: T); T: {_REAL}", special.igammac)
igamma_grad_a_op = _binary("IgammaGradA(a: T, x: T) -> (z: T); T: {float, double}", special.igamma_grad_a)
betainc_op = op("Betainc(a: T, b: T, x: T) -> (z: T); T: {float, double}")
betainc_op.kernel(_in_float64(special.betainc))


@betainc_op.infer
def _(ctx: Any) -> Any:
    return broadcast_shapes([ctx.shape(0), ctx.shape(1), ctx.shape(2)])


@polygamma_op.gradient
def _(node: Any, grad: Any) -> Any:
    n, x = node.inputs
    return None, unbroadcast(raw.Mul(grad, raw.Polygamma(raw.AddV2(n, _number(1.0, n)), x)), x)


@zeta_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, q = node.inputs
    slope = raw.Mul(raw.Neg(x), raw.Zeta(raw.AddV2(x, _number(1.0, x)), q))
    return None, unbroadcast(raw.Mul(grad, slope), q)


def _igamma_slopes(node: Any, grad: Any) -> tuple[Any, Any]:
    a, x = node.inputs
    density = raw.Exp(
        raw.Sub(raw.AddV2(raw.Neg(x), raw.Mul(raw.Sub(a, _number(1.0, a)), raw.Log(x))), raw.Lgamma(a))
    )
    return unbroadcast(raw.Mul(grad, raw.IgammaGradA(a, x)), a), unbroadcast(raw.Mul(grad, density), x)


igamma_op.gradient(_igamma_slopes)


@igammac_op.gradient
def _(node: Any, grad: Any) -> Any:
    return _igamma_slopes(node, raw.Neg(grad))


@betainc_op.gradient
def _(node: Any, grad: Any) -> Any:
    a, b, x = node.inputs
    one = _number(1.0, x)
    log_beta = raw.Sub(raw.AddV2(raw.Lgamma(a), raw.Lgamma(b)), raw.Lgamma(raw.AddV2(a, b)))
    density = raw.Exp(
        raw.Sub(raw.AddV2(raw.Xlog1py(raw.Sub(b, one), raw.Neg(x)), raw.Xlogy(raw.Sub(a, one), x)), log_beta)
    )
    return None, None, unbroadcast(raw.Mul(grad, density), x)


# -- public functions ------------------------------------------------------------------------------------------------


def _public(record_name: str, what: str, arguments: str, *names: str) -> None:
    fields = arguments.split()

    def function(*args: Any, name: str | None = None, **kwargs: Any) -> Any:
        values = list(args)
        if len(values) > len(fields):
            name = values.pop()
        values += [kwargs.pop(f) for f in fields[len(values) :]]
        if kwargs:
            raise TypeError(f"{names[0]}() got an unexpected keyword argument {next(iter(kwargs))!r}")
        return getattr(raw, record_name)(*values, name=name)

    function.__name__ = function.__qualname__ = names[0].rpartition(".")[2]
    function.__doc__ = f"{what}, elementwise; takes {', '.join(fields)} and a name."
    public(*names)(function)


for _record, _what, _arguments, *_names in [
    ("Erf", "The error function", "x", "math.erf"),
    ("Erfc", "1 - erf(x)", "x", "math.erfc"),
    ("Erfinv", "The inverse of the error function", "x", "math.erfinv"),
    ("Ndtri", "The quantile of the standard normal distribution", "x", "math.ndtri"),
    ("Lgamma", "log |Γ(x)|", "x", "math.lgamma"),
    ("Digamma", "The derivative of log Γ", "x", "math.digamma"),
    ("Polygamma", "The a-th derivative of digamma", "a x", "math.polygamma"),
    ("Zeta", "Hurwitz's zeta function", "x q", "math.zeta"),
    ("Igamma", "The lower incomplete gamma function, regularised", "a x", "math.igamma"),
    ("Igammac", "The upper incomplete gamma function, regularised", "a x", "math.igammac"),
    ("Betainc", "The incomplete beta function, regularised", "a b x", "math.betainc"),
    ("BesselI0", "The modified Bessel function I₀", "x", "math.bessel_i0", "math.special.bessel_i0"),
    ("BesselI0e", "e^-|x| I₀(x)", "x", "math.bessel_i0e", "math.special.bessel_i0e"),
    ("BesselI1", "The modified Bessel function I₁", "x", "math.bessel_i1", "math.special.bessel_i1"),
    ("BesselI1e", "e^-|x| I₁(x)", "x", "math.bessel_i1e", "math.special.bessel_i1e"),
    ("BesselK0", "The modified Bessel function K₀", "x", "math.special.bessel_k0"),
    ("BesselK0e", "e^x K₀(x)", "x", "math.special.bessel_k0e"),
    ("BesselK1", "The modified Bessel function K₁", "x", "math.special.bessel_k1"),
    ("BesselK1e", "e^x K₁(x)", "x", "math.special.bessel_k1e"),
    ("BesselJ0", "The Bessel function J₀", "x", "math.special.bessel_j0"),
    ("BesselJ1", "The Bessel function J₁", "x", "math.special.bessel_j1"),
    ("BesselY0", "The Bessel function Y₀", "x", "math.special.bessel_y0"),
    ("BesselY1", "The Bessel function Y₁", "x", "math.special.bessel_y1"),
    ("Dawsn", "Dawson's integral", "x", "math.special.dawsn"),
    ("Expint", "The exponential integral Ei", "x", "math.special.expint"),
    ("FresnelCos", "Fresnel's cosine integral", "x", "math.special.fresnel_cos"),
    ("FresnelSin", "Fresnel's sine integral", "x", "math.special.fresnel_sin"),
    ("Spence", "Spence's function, Li₂(1 - x)", "x", "math.special.spence"),
]:
    _public(_record, _what, _arguments, *_names)


@public("math.erfcinv")
def erfcinv(x: Any, name: str | None = None) -> Any:
    """The inverse of erfc."""
    x = convert_to_tensor(x)
    half = raw.Mul(_number(0.5, x), x)
    return raw.Mul(raw.Neg(raw.Ndtri(half)), _number(math.sqrt(0.5), x), name=name)


@public("math.lbeta")
def lbeta(x: Any, name: str | None = None) -> Any:
    """log of the multivariate beta function of the last axis."""
    x = convert_to_tensor(x)
    last = np.array([-1], np.int32)
    return raw.Sub(raw.Sum(raw.Lgamma(x), last), raw.Lgamma(raw.Sum(x, last)), name=name)


@public("math.polyval")
def polyval(coeffs: Any, x: Any, name: str | None = None) -> Any:
    """The polynomial with `coeffs` (a list, highest power first) at `x`, by Horner's rule.

    Raises:
        ValueError: `coeffs` is no list.
    """
    if not isinstance(coeffs, list):
        raise ValueError(f"Argument coeffs must be list type. Received type {type(coeffs)}.")
    x = convert_to_tensor(x)
    if not coeffs:
        return raw.ZerosLike(x, name=name)
    values = [convert_to_tensor(c, x.dtype.base_dtype) for c in coeffs]
    total = values[0]
    for c in values[1:]:
        total = raw.AddV2(c, raw.Mul(total, x))
    return tf.identity(total, name=name)
