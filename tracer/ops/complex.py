"""Complex numbers: parts, conjugates, angles; and the cross product of 3-vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.errors import DTypeError, InvalidArgumentError, ShapeError
from tracer.gradient_rules import unbroadcast
from tracer.public import public
from tracer.registry import op
from tracer.tensor import convert_to_tensor

_PART = "(input: T) -> (output: Tout); T: {complex64, complex128} = complex64; Tout: {float, double} = float"

real_op = op(f"Real{_PART}")
imag_op = op(f"Imag{_PART}")
angle_op = op(f"Angle{_PART}")
abs_op = op("ComplexAbs(x: T) -> (y: Tout); T: {complex64, complex128} = complex64; Tout: {float, double} = float")
conj_op = op("Conj(input: T) -> (output: T); T: {complex64, complex128, variant} = complex64")
complex_op = op(
    "Complex(real: T, imag: T) -> (out: Tout); T: {float, double} = float; Tout: {complex64, complex128} = complex64"
)
for _record in (real_op, imag_op, angle_op, abs_op, conj_op):
    _record.infer(infer.unchanged)
complex_op.infer(infer.broadcast)
abs_op.kernel(np.abs)
angle_op.kernel(np.angle)


@real_op.kernel
def _(x: np.ndarray) -> Any:
    return x.real


@imag_op.kernel
def _(x: np.ndarray) -> Any:
    return x.imag


@conj_op.kernel
def _(x: Any) -> Any:
    return np.conjugate(x) if isinstance(x, np.ndarray) and x.dtype != object else x


@complex_op.kernel
def _(real: np.ndarray, imag: np.ndarray) -> Any:
    out = np.empty(np.broadcast_shapes(real.shape, imag.shape), np.complex64 if real.dtype == np.float32 else np.complex128)
    out.real = real
    out.imag = imag
    return out


def _zero(like: Any) -> Any:
    return convert_to_tensor(np.zeros((), like.dtype.numpy), like.dtype)


@real_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Complex(grad, _zero(grad), Tout=node.inputs[0].dtype)


@imag_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Complex(_zero(grad), grad, Tout=node.inputs[0].dtype)


@angle_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = node.inputs[0]
    re, im = raw.Real(x, Tout=grad.dtype), raw.Imag(x, Tout=grad.dtype)
    z = raw.Reciprocal(raw.Complex(im, re, Tout=x.dtype))
    return raw.Mul(raw.Neg(raw.Complex(grad, _zero(grad), Tout=x.dtype)), z)


@abs_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs[0], node.outputs[0]
    zero = _zero(grad)
    return raw.DivNoNan(raw.Mul(raw.Complex(grad, zero, Tout=x.dtype), x), raw.Complex(y, zero, Tout=x.dtype))


@conj_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Conj(grad)


@complex_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    return unbroadcast(raw.Real(grad, Tout=x.dtype), x), unbroadcast(raw.Imag(grad, Tout=y.dtype), y)


# -- public functions ------------------------------------------------------------------------------------------------


@public("complex", "dtypes.complex")
def complex_(real: Any, imag: Any, name: str | None = None) -> Any:
    """The complex tensor of two real ones (float32 or float64, broadcast together)."""
    real = convert_to_tensor(real)
    imag = convert_to_tensor(imag)
    if real.dtype.base_dtype != imag.dtype.base_dtype or real.dtype.base_dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError(f"The dtypes of real and imag must both be float32 or float64, received: {real.dtype!r} and {imag.dtype!r}.")
    return raw.Complex(real, imag, Tout="complex64" if real.dtype == dtypes.float32 else "complex128", name=name)


@public("math.real")
def real(input: Any, name: str | None = None) -> Any:
    """The real part; real tensors as they are."""
    x = convert_to_tensor(input)
    return raw.Real(x, Tout=x.dtype.real_dtype, name=name) if x.dtype.is_complex else x


@public("math.imag")
def imag(input: Any, name: str | None = None) -> Any:
    """The imaginary part; zeros for real tensors."""
    x = convert_to_tensor(input)
    return raw.Imag(x, Tout=x.dtype.real_dtype, name=name) if x.dtype.is_complex else raw.ZerosLike(x, name=name)


@public("math.angle")
def angle(input: Any, name: str | None = None) -> Any:
    """The argument in radians; of real tensors, pi where negative and 0 elsewhere."""
    x = convert_to_tensor(input)
    if x.dtype.is_complex:
        return raw.Angle(x, Tout=x.dtype.real_dtype, name=name)
    zero = _zero(x)
    pi = convert_to_tensor(np.array(np.pi).astype(x.dtype.numpy), x.dtype)
    return raw.SelectV2(raw.Less(x, zero), raw.Mul(pi, raw.OnesLike(x)), raw.ZerosLike(x), name=name)


@public("math.conj")
def conj(x: Any, name: str | None = None) -> Any:
    """The complex conjugate; real tensors as they are.

    Raises:
        TypeError: the tensor is not numeric.
    """
    x = convert_to_tensor(x)
    if x.dtype.is_complex or x.dtype.kind == "v":
        return raw.Conj(x, name=name)
    if not x.dtype.is_numeric:
        raise DTypeError(f"Expected numeric or variant tensor, got dtype {x.dtype!r}")
    return x


# -- cross product ---------------------------------------------------------------------------------------------------

cross_op = op(
    "Cross(a: T, b: T) -> (product: T); "
    "T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}"
)


@cross_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0).merge_with(ctx.shape(1))
    if shape.rank is not None and (shape.rank == 0 or shape[-1] not in (3, None)):
        raise ShapeError(f"Cross: expected vectors of length 3 in the last axis, received the shape {shape}")
    return shape


@cross_op.kernel
def _(a: np.ndarray, b: np.ndarray) -> Any:
    if a.shape != b.shape or a.ndim == 0 or a.shape[-1] != 3:
        raise InvalidArgumentError(f"Cross: expected two tensors of one shape with 3 in the last axis, received {a.shape} and {b.shape}")
    out = np.empty_like(a)
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        out[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return out


@cross_op.gradient
def _(node: Any, grad: Any) -> Any:
    u, v = node.inputs
    return raw.Cross(v, grad), raw.Cross(grad, u)


@public("linalg.cross")
def cross(a: Any, b: Any, name: str | None = None) -> Any:
    """The cross product of the 3-vectors in the last axis."""
    return raw.Cross(a, b, name=name)
