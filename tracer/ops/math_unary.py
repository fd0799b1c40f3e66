"""Elementwise functions of one tensor: arithmetic, exponentials, trigonometry, rounding. Special functions live in math_special.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.gradient_rules import conjugate, zero_like
from tracer.public import public, tf
from tracer.registry import Op, op
from tracer.tensor import convert_to_tensor

_REAL = "{bfloat16, half, float, double}"
_FIELD = "{bfloat16, half, float, double, complex64, complex128}"
_SIGNED = "{bfloat16, half, float, double, int8, int16, int32, int64, complex64, complex128}"
_NUMBER = "{bfloat16, half, float, double, int8, int16, int32, int64, uint8, uint16, uint32, uint64, complex64, complex128}"


def _unary(name: str, types: str, kernel: Callable[..., Any], out: str = "T") -> Op:
    record = op(f"{name}(x: T) -> (y: {out}); T: {types}")
    record.infer(infer.unchanged)
    record.kernel(kernel)
    return record


def _number(value: float, like: Any) -> Any:
    """`value` as a constant of the dtype of `like`."""
    return convert_to_tensor(value, like.dtype.base_dtype)


# -- kernels that NumPy has no single function for -------------------------------------------------------------------


def _rsqrt(x: np.ndarray) -> Any:
    if x.dtype.kind == "c":
        return np.reciprocal(np.sqrt(x))
    return np.divide(x.dtype.type(1), np.sqrt(x))


def _sigmoid(x: np.ndarray) -> Any:
    if x.dtype.itemsize == 2:
        return _sigmoid(x.astype(np.float32)).astype(x.dtype)
    # exp overflows to infinity, whose reciprocal is the right 0
    out = np.exp(np.negative(x))
    out += x.dtype.type(1)
    return np.reciprocal(out)


_SMALLEST = {np.dtype(t): np.finfo(t).tiny for t in (np.float32, np.float64)}


def _sign(x: np.ndarray) -> Any:
    if x.dtype in _SMALLEST:  # TensorFlow's CPU takes denormals for zeros, and gives them back
        return np.where(np.abs(x) < _SMALLEST[x.dtype], x, np.sign(x))
    if x.dtype.kind != "c":
        return np.sign(x)
    size = np.abs(x)
    return np.where(size == 0, 0, x / np.where(size == 0, 1, size)).astype(x.dtype)


def _reciprocal(x: np.ndarray) -> Any:
    if x.dtype.kind in "iu":
        return np.where(np.abs(x) == 1, x, 0)
    return np.divide(x.dtype.type(1), x)


def _round(x: np.ndarray) -> Any:
    if x.dtype.kind in "iub":
        return x
    return np.rint(x)


# -- records and gradients -------------------------------------------------------------------------------------------

abs_op = _unary("Abs", "{bfloat16, half, float, double, int8, int16, int32, int64}", np.abs)
neg_op = _unary("Neg", _SIGNED, np.negative)
sign_op = _unary("Sign", _SIGNED, _sign)
square_op = _unary("Square", _NUMBER, np.square)
sqrt_op = _unary("Sqrt", _FIELD, np.sqrt)
rsqrt_op = _unary("Rsqrt", _FIELD, _rsqrt)
exp_op = _unary("Exp", _FIELD, np.exp)
expm1_op = _unary("Expm1", _FIELD, np.expm1)
log_op = _unary("Log", _FIELD, np.log)
log1p_op = _unary("Log1p", _FIELD, np.log1p)
sin_op = _unary("Sin", _FIELD, np.sin)
cos_op = _unary("Cos", _FIELD, np.cos)
tan_op = _unary("Tan", _FIELD, np.tan)
sinh_op = _unary("Sinh", _FIELD, np.sinh)
cosh_op = _unary("Cosh", _FIELD, np.cosh)
tanh_op = _unary("Tanh", _FIELD, np.tanh)
asin_op = _unary("Asin", _FIELD, np.arcsin)
acos_op = _unary("Acos", _FIELD, np.arccos)
atan_op = _unary("Atan", _FIELD, np.arctan)
asinh_op = _unary("Asinh", _FIELD, np.arcsinh)
acosh_op = _unary("Acosh", _FIELD, np.arccosh)
atanh_op = _unary("Atanh", _FIELD, np.arctanh)
sigmoid_op = _unary("Sigmoid", _FIELD, _sigmoid)
reciprocal_op = _unary("Reciprocal", _SIGNED, _reciprocal)
inv_op = _unary("Inv", _SIGNED, _reciprocal)
ceil_op = _unary("Ceil", _REAL, np.ceil)
floor_op = _unary("Floor", _REAL, np.floor)
rint_op = _unary("Rint", _REAL, np.rint)
round_op = _unary("Round", _SIGNED, _round)
_unary("IsNan", _REAL, np.isnan, "bool").not_differentiable()
_unary("IsInf", _REAL, np.isinf, "bool").not_differentiable()
_unary("IsFinite", _REAL, np.isfinite, "bool").not_differentiable()


def _no_slope(node: Any, grad: Any) -> Any:
    return None


for _flat in (ceil_op, floor_op, rint_op, round_op):
    _flat.gradient(_no_slope)


@abs_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(grad, raw.Sign(node.inputs[0]))


@neg_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Neg(grad)


@sign_op.gradient
def _(node: Any, grad: Any) -> Any:
    return zero_like(node.inputs[0])


@square_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = conjugate(node.inputs[0])
    return raw.Mul(grad, raw.Mul(x, _number(2.0, x)))


@sqrt_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.SqrtGrad(node.outputs[0], grad)


@rsqrt_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.RsqrtGrad(node.outputs[0], grad)


@exp_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(grad, conjugate(node.outputs[0]))


@expm1_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(grad, raw.Exp(conjugate(node.inputs[0])))


@log_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(grad, raw.Reciprocal(conjugate(node.inputs[0])))


@log1p_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = conjugate(node.inputs[0])
    return raw.Mul(grad, raw.Reciprocal(raw.AddV2(_number(1.0, x), x)))


@sin_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(grad, raw.Cos(conjugate(node.inputs[0])))


@cos_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(raw.Neg(grad), raw.Sin(conjugate(node.inputs[0])))


@tan_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(grad, raw.Square(raw.Reciprocal(raw.Cos(conjugate(node.inputs[0])))))


@sinh_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(grad, raw.Cosh(conjugate(node.inputs[0])))


@cosh_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(grad, raw.Sinh(conjugate(node.inputs[0])))


@tanh_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.TanhGrad(conjugate(node.outputs[0]), grad)


@sigmoid_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.SigmoidGrad(conjugate(node.outputs[0]), grad)


@asin_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = conjugate(node.inputs[0])
    return raw.Mul(grad, raw.Reciprocal(raw.Sqrt(raw.Sub(_number(1.0, x), raw.Square(x)))))


@acos_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = conjugate(node.inputs[0])
    return raw.Neg(raw.Mul(grad, raw.Reciprocal(raw.Sqrt(raw.Sub(_number(1.0, x), raw.Square(x))))))


@atan_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = conjugate(node.inputs[0])
    return raw.Mul(grad, raw.Reciprocal(raw.AddV2(_number(1.0, x), raw.Square(x))))


@asinh_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.RealDiv(grad, raw.Cosh(conjugate(node.outputs[0])))


@acosh_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.RealDiv(grad, raw.Sinh(conjugate(node.outputs[0])))


@atanh_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = conjugate(node.inputs[0])
    return raw.Mul(grad, raw.Reciprocal(raw.Sub(_number(1.0, x), raw.Square(x))))


@reciprocal_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.ReciprocalGrad(node.outputs[0], grad)


@inv_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.InvGrad(node.outputs[0], grad)


# -- gradients as ops: (y, dy) -> dx ---------------------------------------------------------------------------------


def _gradient_op(name: str, kernel: Callable[..., Any]) -> Op:
    record = op(f"{name}(y: T, dy: T) -> (z: T); T: {_FIELD}")
    record.infer(infer.unchanged)
    record.kernel(kernel)
    return record


def _conj(y: np.ndarray) -> np.ndarray:
    return np.conjugate(y) if y.dtype.kind == "c" else y


def _reciprocal_grad(y: np.ndarray, dy: np.ndarray) -> Any:
    y = _conj(y)
    return np.negative(dy) * y * y


def _sqrt_grad(y: np.ndarray, dy: np.ndarray) -> Any:
    y = _conj(y)
    # dy * 0.5 / y, and 0 where dy is 0 even if y is 0 only as far as IEEE gives it: 0 / 0 stays NaN, as there
    return dy * y.dtype.type(0.5) / y


def _rsqrt_grad(y: np.ndarray, dy: np.ndarray) -> Any:
    y = _conj(y)
    return dy * (y * y.dtype.type(-0.5)) * y * y


def _tanh_grad(y: np.ndarray, dy: np.ndarray) -> Any:
    return dy * (y.dtype.type(1) - y * y)


def _sigmoid_grad(y: np.ndarray, dy: np.ndarray) -> Any:
    return dy * y * (y.dtype.type(1) - y)


reciprocal_grad_op = _gradient_op("ReciprocalGrad", _reciprocal_grad)
inv_grad_op = _gradient_op("InvGrad", _reciprocal_grad)
sqrt_grad_op = _gradient_op("SqrtGrad", _sqrt_grad)
rsqrt_grad_op = _gradient_op("RsqrtGrad", _rsqrt_grad)
tanh_grad_op = _gradient_op("TanhGrad", _tanh_grad)
sigmoid_grad_op = _gradient_op("SigmoidGrad", _sigmoid_grad)


@inv_grad_op.gradient
@reciprocal_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    b = node.inputs[1]
    ca, cg = conjugate(node.inputs[0]), conjugate(grad)
    return raw.Mul(raw.Mul(raw.Mul(cg, _number(-2.0, cg)), b), ca), raw.ReciprocalGrad(ca, grad)


@sqrt_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    a, y = node.inputs[0], node.outputs[0]
    ga = raw.RealDiv(grad, a)
    return raw.Neg(raw.Mul(conjugate(ga), y)), raw.Mul(_number(0.5, ga), ga)


@rsqrt_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    a, b = node.inputs
    ca, cg = conjugate(a), conjugate(grad)
    slope = raw.Mul(raw.Mul(raw.Mul(_number(-1.5, cg), cg), b), raw.Square(ca))
    return slope, raw.RsqrtGrad(ca, grad)


@tanh_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    a, b = conjugate(node.inputs[0]), conjugate(node.inputs[1])
    return raw.Mul(raw.Mul(raw.Mul(grad, _number(-2.0, grad)), b), a), raw.TanhGrad(a, grad)


@sigmoid_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    a, b = conjugate(node.inputs[0]), conjugate(node.inputs[1])
    gb = raw.Mul(grad, b)
    return raw.Sub(gb, raw.Mul(raw.Mul(_number(2.0, gb), gb), a)), raw.SigmoidGrad(a, grad)


# -- public functions ------------------------------------------------------------------------------------------------


def _public_unary(record_name: str, what: str, *names: str) -> None:
    def function(x: Any, name: str | None = None) -> Any:
        return getattr(raw, record_name)(x, name=name)

    function.__name__ = function.__qualname__ = names[0].rpartition(".")[2]
    function.__doc__ = f"{what}, elementwise."
    globals()[function.__name__ + "_"] = public(*names)(function)


for _record, _what, *_names in [
    ("Neg", "-x", "negative", "math.negative"),
    ("Sign", "The sign: -1, 0 or 1 (complex: x / |x|, 0 at 0)", "sign", "math.sign"),
    ("Square", "x * x", "square", "math.square"),
    ("Sqrt", "The square root", "sqrt", "math.sqrt"),
    ("Rsqrt", "1 / sqrt(x)", "math.rsqrt"),
    ("Exp", "e to the power of x", "exp", "math.exp"),
    ("Expm1", "exp(x) - 1, exact near 0", "math.expm1"),
    ("Log", "The natural logarithm", "math.log"),
    ("Log1p", "log(1 + x), exact near 0", "math.log1p"),
    ("Sin", "The sine", "sin", "math.sin"),
    ("Cos", "The cosine", "cos", "math.cos"),
    ("Tan", "The tangent", "tan", "math.tan"),
    ("Sinh", "The hyperbolic sine", "sinh", "math.sinh"),
    ("Cosh", "The hyperbolic cosine", "cosh", "math.cosh"),
    ("Tanh", "The hyperbolic tangent", "tanh", "math.tanh", "nn.tanh"),
    ("Asin", "The inverse sine", "asin", "math.asin"),
    ("Acos", "The inverse cosine", "acos", "math.acos"),
    ("Atan", "The inverse tangent", "atan", "math.atan"),
    ("Asinh", "The inverse hyperbolic sine", "asinh", "math.asinh"),
    ("Acosh", "The inverse hyperbolic cosine", "acosh", "math.acosh"),
    ("Atanh", "The inverse hyperbolic tangent", "atanh", "math.atanh"),
    ("Sigmoid", "1 / (1 + exp(-x))", "sigmoid", "math.sigmoid", "nn.sigmoid"),
    ("Reciprocal", "1 / x", "math.reciprocal"),
    ("Ceil", "The least integer not below x", "math.ceil"),
    ("Floor", "The greatest integer not above x", "floor", "math.floor"),
    ("Rint", "The nearest integer, halves to even", "math.rint"),
    ("IsNan", "Whether x is NaN", "math.is_nan"),
    ("IsInf", "Whether x is infinite", "math.is_inf"),
    ("IsFinite", "Whether x is neither infinite nor NaN", "math.is_finite"),
]:
    _public_unary(_record, _what, *_names)


@public("abs", "math.abs")
def abs_(x: Any, name: str | None = None) -> Any:
    """The absolute value; of a complex tensor, its modulus as a real tensor."""
    x = convert_to_tensor(x)
    if x.dtype.is_complex:
        return raw.ComplexAbs(x, Tout=x.dtype.real_dtype, name=name)
    return raw.Abs(x, name=name)


@public("round", "math.round")
def round_(x: Any, name: str | None = None) -> Any:
    """The nearest integer, halves to even; integers as they are."""
    x = convert_to_tensor(x)
    if x.dtype.is_integer:
        return x
    return raw.Round(x, name=name)


@public("math.reciprocal_no_nan")
def reciprocal_no_nan(x: Any, name: str | None = None) -> Any:
    """1 / x, and 0 where x is 0."""
    x = convert_to_tensor(x)
    return raw.DivNoNan(_number(1.0, x), x, name=name)


@public("math.log_sigmoid", "nn.log_sigmoid")
def log_sigmoid(x: Any, name: str | None = None) -> Any:
    """log(sigmoid(x)) = -softplus(-x)."""
    return raw.Neg(tf.nn.softplus(raw.Neg(convert_to_tensor(x))), name=name)
