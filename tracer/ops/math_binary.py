"""Elementwise arithmetic of two tensors, with broadcasting: sums, products, quotients, remainders, powers. Comparisons live in comparison.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.errors import DTypeError, InvalidArgumentError
from tracer.gradient_rules import conjugate, unbroadcast, zero_like
from tracer.public import public
from tracer.registry import Op, op
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor

_ALL = "{bfloat16, half, float, double, uint8, int8, uint16, int16, int32, uint32, uint64, int64, complex64, complex128}"
_FIELD = "{bfloat16, half, float, double, complex64, complex128}"
_ORDERED = "{bfloat16, half, float, double, int8, uint8, int16, uint16, int32, uint32, int64, uint64}"


def _binary(text: str, kernel: Callable[..., Any]) -> Op:
    record = op(text)
    record.infer(infer.broadcast)
    record.kernel(kernel)
    return record


# -- kernels ---------------------------------------------------------------------------------------------------------


def _add_strings_too(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype != object:
        return np.add(x, y)
    out = np.empty(np.broadcast_shapes(x.shape, y.shape), object)
    out[...] = np.add(x, y)
    return out


def _no_zero(y: np.ndarray) -> None:
    if y.size and not y.all():
        raise InvalidArgumentError("Integer division by zero: expected a divisor without zeros")


def _divide(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind in "iu":
        return _truncate_divide(x, y)
    return np.divide(x, y)


def _real_divide(x: np.ndarray, y: np.ndarray) -> Any:
    return np.divide(x, y)


def _truncate_divide(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind == "u":
        _no_zero(y)
        return np.floor_divide(x, y)
    if x.dtype.kind == "i":
        _no_zero(y)
        quotient = np.floor_divide(x, y)
        # floor rounded the wrong way where signs differ and a remainder is left
        return quotient + ((np.multiply(quotient, y) != x) & ((x < 0) != (y < 0)))
    return np.trunc(np.divide(x, y))


def _floor_divide(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind in "iu":
        _no_zero(y)
        return np.floor_divide(x, y)
    return np.floor(np.divide(x, y))


def _floor_mod(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind in "iu":
        _no_zero(y)
    return np.remainder(x, y)


def _truncate_mod(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind in "iu":
        _no_zero(y)
    return np.fmod(x, y)


def _power(x: np.ndarray, y: np.ndarray) -> Any:
    if x.dtype.kind in "iu" and y.size and y.min() < 0:
        raise InvalidArgumentError("Integers to negative integer powers are not allowed; cast to a float type first")
    if y.ndim == 0 and x.dtype.kind == "f":
        # what models raise to most often, many times faster as products
        exponent = float(y)
        if exponent == 2.0:
            return np.square(x)
        if exponent == 3.0:
            return np.multiply(np.square(x), x)
    return np.power(x, y)


def _squared_difference(x: np.ndarray, y: np.ndarray) -> Any:
    d = np.subtract(x, y)
    return np.multiply(d, np.conjugate(d)) if d.dtype.kind == "c" else np.multiply(d, d)


def _zero_where(function: Callable[..., Any], by: int) -> Callable[..., Any]:
    """`function`, and 0 wherever argument `by` is 0."""

    def kernel(x: np.ndarray, y: np.ndarray) -> Any:
        return np.where((x, y)[by] == 0, x.dtype.type(0), function(x, y))

    return kernel


def _log_times(x: np.ndarray, y: np.ndarray) -> Any:
    return np.multiply(x, np.log(y))


def _log1p_times(x: np.ndarray, y: np.ndarray) -> Any:
    return np.multiply(x, np.log1p(y))



# -- records and gradients -------------------------------------------------------------------------------------------

add_v2_op = _binary(
    "AddV2(x: T, y: T) -> (z: T) !commutative !aggregate; "
    "T: {bfloat16, half, float, double, uint8, uint16, uint32, uint64, int8, int16, int32, int64, complex64, complex128}",
    np.add,
)
add_op = _binary(
    "Add(x: T, y: T) -> (z: T); "
    "T: {bfloat16, half, float, double, uint8, int8, int16, int32, int64, complex64, complex128, string}",
    _add_strings_too,
)
sub_op = _binary(
    "Sub(x: T, y: T) -> (z: T); "
    "T: {bfloat16, half, float, double, uint8, int8, uint16, int16, int32, int64, complex64, complex128, uint32, uint64}",
    np.subtract,
)
mul_op = _binary(f"Mul(x: T, y: T) -> (z: T) !commutative; T: {_ALL}", np.multiply)
real_div_op = _binary(f"RealDiv(x: T, y: T) -> (z: T); T: {_ALL}", _real_divide)
div_op = _binary(f"Div(x: T, y: T) -> (z: T); T: {_ALL}", _divide)
floor_div_op = _binary(f"FloorDiv(x: T, y: T) -> (z: T); T: {_ALL}", _floor_divide)
truncate_div_op = _binary(f"TruncateDiv(x: T, y: T) -> (z: T); T: {_ALL}", _truncate_divide)
floor_mod_op = _binary(
    "FloorMod(x: T, y: T) -> (z: T); "
    "T: {int8, int16, int32, int64, uint8, uint16, uint32, uint64, bfloat16, half, float, double}",
    _floor_mod,
)
mod_op = _binary("Mod(x: T, y: T) -> (z: T); T: {int32, int64, half, half, bfloat16, float, double}", _truncate_mod)
truncate_mod_op = _binary(
    "TruncateMod(x: T, y: T) -> (z: T); T: {int32, int64, bfloat16, half, float, double}", _truncate_mod
)
maximum_op = _binary(f"Maximum(x: T, y: T) -> (z: T); T: {_ORDERED}", np.maximum)
minimum_op = _binary(f"Minimum(x: T, y: T) -> (z: T); T: {_ORDERED}", np.minimum)
pow_op = _binary(
    "Pow(x: T, y: T) -> (z: T); "
    "T: {bfloat16, float, half, double, int8, int16, int32, int64, complex64, complex128}",
    _power,
)
squared_difference_op = _binary(
    "SquaredDifference(x: T, y: T) -> (z: T) !commutative; "
    "T: {bfloat16, half, float, double, int32, int64, complex64, complex128}",
    _squared_difference,
)
div_no_nan_op = _binary(
    "DivNoNan(x: T, y: T) -> (z: T); T: {half, float, bfloat16, double, complex64, complex128}", _zero_where(np.divide, 1)
)
mul_no_nan_op = _binary(f"MulNoNan(x: T, y: T) -> (z: T); T: {_FIELD}", _zero_where(np.multiply, 1))
_X_TYPES = "{half, bfloat16, float, double, complex64, complex128}"
xdivy_op = _binary(f"Xdivy(x: T, y: T) -> (z: T); T: {_X_TYPES}", _zero_where(np.divide, 0))
xlogy_op = _binary(f"Xlogy(x: T, y: T) -> (z: T); T: {_X_TYPES}", _zero_where(_log_times, 0))
xlog1py_op = _binary(f"Xlog1py(x: T, y: T) -> (z: T); T: {_X_TYPES}", _zero_where(_log1p_times, 0))
atan2_op = _binary("Atan2(y: T, x: T) -> (z: T); T: {bfloat16, half, float, double}", np.arctan2)
next_after_op = _binary("NextAfter(x1: T, x2: T) -> (output: T); T: {double, float} = float", np.nextafter)
next_after_op.not_differentiable()


def _number(value: float, like: Any) -> Any:
    return convert_to_tensor(value, like.dtype.base_dtype)


@add_op.gradient
@add_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    return unbroadcast(grad, x), unbroadcast(grad, y)


@sub_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    return unbroadcast(grad, x), unbroadcast(raw.Neg(grad), y)


@mul_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    return unbroadcast(raw.Mul(grad, conjugate(y)), x), unbroadcast(raw.Mul(conjugate(x), grad), y)


@mul_no_nan_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    return unbroadcast(raw.MulNoNan(grad, y), x), unbroadcast(raw.MulNoNan(x, grad), y)


@real_div_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = conjugate(node.inputs[0]), conjugate(node.inputs[1])
    slope = raw.Mul(grad, raw.RealDiv(raw.RealDiv(raw.Neg(x), y), y))
    return unbroadcast(raw.RealDiv(grad, y), node.inputs[0]), unbroadcast(slope, node.inputs[1])


@div_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = conjugate(node.inputs[0]), conjugate(node.inputs[1])
    slope = raw.Mul(grad, raw.Div(raw.Div(raw.Neg(x), y), y))
    return unbroadcast(raw.Div(grad, y), node.inputs[0]), unbroadcast(slope, node.inputs[1])


@div_no_nan_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = conjugate(node.inputs[0]), conjugate(node.inputs[1])
    slope = raw.Mul(grad, raw.DivNoNan(raw.DivNoNan(raw.Neg(x), y), y))
    return unbroadcast(raw.DivNoNan(grad, y), node.inputs[0]), unbroadcast(slope, node.inputs[1])


@truncate_div_op.gradient
@floor_div_op.gradient
def _(node: Any, grad: Any) -> Any:
    return None, None


@floor_mod_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    return unbroadcast(grad, x), unbroadcast(raw.Mul(grad, raw.Neg(raw.FloorDiv(x, y))), y)


def _winner_gradient(choose: str) -> Callable[..., Any]:
    def gradient(node: Any, grad: Any) -> Any:
        x, y = node.inputs
        is_x = getattr(raw, choose)(x, y)
        zeros = zero_like(grad)
        return unbroadcast(raw.SelectV2(is_x, grad, zeros), x), unbroadcast(raw.SelectV2(is_x, zeros, grad), y)

    return gradient


maximum_op.gradient(_winner_gradient("GreaterEqual"))
minimum_op.gradient(_winner_gradient("LessEqual"))


@pow_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    z = conjugate(node.outputs[0])
    cx, cy = conjugate(x), conjugate(y)
    gx = unbroadcast(raw.Mul(raw.Mul(grad, cy), raw.Pow(cx, raw.Sub(cy, _number(1.0, cy)))), x)
    zero = _number(0.0, cx)
    # log x only where it is real: the gradient to the exponent is 0 elsewhere, not NaN
    mask = raw.NotEqual(cx, zero) if x.dtype.is_complex else raw.Greater(cx, zero)
    safe = raw.SelectV2(mask, cx, raw.OnesLike(cx))
    log_x = raw.SelectV2(mask, raw.Log(safe), zero_like(cx))
    return gx, unbroadcast(raw.Mul(raw.Mul(grad, z), log_x), y)


@squared_difference_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    slope = raw.Mul(raw.Mul(_number(2.0, grad), grad), raw.Sub(x, y))
    return unbroadcast(slope, x), unbroadcast(raw.Neg(slope), y)


@xlogy_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    not_zero = raw.Cast(raw.NotEqual(x, _number(0.0, x)), DstT=x.dtype)
    dx, dy = raw.Xlogy(not_zero, y), raw.Xdivy(x, y)
    return unbroadcast(raw.Mul(dx, grad), x), unbroadcast(raw.Mul(dy, grad), y)


@xlog1py_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    not_zero = raw.Cast(raw.NotEqual(x, _number(0.0, x)), DstT=x.dtype)
    dx, dy = raw.Xlog1py(not_zero, y), raw.Xdivy(x, raw.AddV2(y, _number(1.0, y)))
    return unbroadcast(raw.Mul(dx, grad), x), unbroadcast(raw.Mul(dy, grad), y)


@xdivy_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    not_zero = raw.Cast(raw.NotEqual(x, _number(0.0, x)), DstT=x.dtype)
    dx, dy = raw.Xdivy(not_zero, y), raw.Xdivy(raw.Neg(x), raw.Square(y))
    return unbroadcast(raw.Mul(dx, grad), x), unbroadcast(raw.Mul(dy, grad), y)


@atan2_op.gradient
def _(node: Any, grad: Any) -> Any:
    y, x = node.inputs
    scaled = raw.RealDiv(grad, raw.AddV2(raw.Square(x), raw.Square(y)))
    return unbroadcast(raw.Mul(x, scaled), y), unbroadcast(raw.Mul(raw.Neg(y), scaled), x)


# -- sums of many tensors --------------------------------------------------------------------------------------------

_SUM_TYPES = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, "
    "complex128, half, uint32, uint64"
)
add_n_op = op(f"AddN(inputs: N * T) -> (sum: T) !commutative !aggregate; N: int >= 1; T: {_SUM_TYPES}, variant}}")
accumulate_n_op = op(
    f"AccumulateNV2(inputs: N * T) -> (sum: T) !commutative !aggregate; N: int >= 1; T: {_SUM_TYPES}}}; shape: shape"
)


@add_n_op.infer
def _(ctx: Any) -> Any:
    shape = TensorShape(None)
    for i in range(len(ctx)):
        shape = shape.merge_with(ctx.shape(i))
    handle = ctx.handle(0)
    if handle is not None:
        ctx.handle_data[0] = handle
    return shape


accumulate_n_op.infer(infer.from_attr("shape"))


@accumulate_n_op.kernel
@add_n_op.kernel
def _(*arrays: Any) -> Any:
    first = arrays[0]
    if len(arrays) == 1:
        return first
    if not isinstance(first, np.ndarray):
        # variants (lists of tensors) know how to add themselves
        total = first
        for a in arrays[1:]:
            total = total.add(a)
        return total
    for a in arrays:
        if a.shape != first.shape:
            raise InvalidArgumentError(f"Inputs to operation AddN must have the same size and shape: {first.shape} != {a.shape}")
    if len(arrays) == 2:
        return np.add(first, arrays[1])
    # the order in which TensorFlow adds: a first group, then groups of eight
    lead = len(arrays) % 8
    lead = lead + 8 if lead < 2 else lead
    total = np.add(first, arrays[1])
    for a in arrays[2:lead]:
        total += a
    for start in range(lead, len(arrays), 8):
        group = np.add(arrays[start], arrays[start + 1])
        for a in arrays[start + 2 : start + 8]:
            group += a
        total += group
    return total


@accumulate_n_op.gradient
@add_n_op.gradient
def _(node: Any, grad: Any) -> Any:
    return [grad] * len(node.inputs)


broadcast_gradient_args_op = op(
    "BroadcastGradientArgs(s0: T, s1: T) -> (r0: T, r1: T); T: {int32, int64} = int32"
).not_differentiable()


@broadcast_gradient_args_op.infer
def _(ctx: Any) -> Any:
    return [TensorShape([None]), TensorShape([None])]


@broadcast_gradient_args_op.kernel
def _(s0: np.ndarray, s1: np.ndarray) -> Any:
    """The axes (of the broadcast shape) that each of two shapes was broadcast along."""
    a, b = s0.tolist(), s1.tolist()
    rank = max(len(a), len(b))
    a, b = [1] * (rank - len(a)) + a, [1] * (rank - len(b)) + b
    r0, r1 = [], []
    for i, (m, n) in enumerate(zip(a, b)):
        if m == 1:
            r0.append(i)
        if n == 1:
            r1.append(i)
        if m != n and m != 1 and n != 1:
            raise InvalidArgumentError(f"Incompatible shapes: {s0.tolist()} vs. {s1.tolist()}")
    if a == b:
        r0 = r1 = []
    return np.array(r0, s0.dtype), np.array(r1, s0.dtype)


# -- public functions ------------------------------------------------------------------------------------------------


def _pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Both as tensors; a Python value takes the dtype of the other."""
    x_dtype = getattr(x, "dtype", None)
    if x_dtype is None and isinstance(getattr(y, "dtype", None), dtypes.DType):
        y = convert_to_tensor(y)
        return convert_to_tensor(x, y.dtype.base_dtype), y
    x = convert_to_tensor(x)
    return x, convert_to_tensor(y, x.dtype.base_dtype)


def _public_binary(record_name: str, what: str, arguments: tuple[str, str], *names: str) -> None:
    first, second = arguments

    def function(x: Any, y: Any, name: str | None = None) -> Any:
        return getattr(raw, record_name)(x, y, name=name)

    if arguments != ("x", "y"):

        def function(*args: Any, name: str | None = None, **kwargs: Any) -> Any:  # type: ignore[misc]
            values = list(args)
            values += [kwargs.pop(a) for a in arguments[len(values) :]]
            if kwargs or len(values) != 2:
                raise TypeError(f"{names[0]}() takes ({first}, {second}, name=None)")
            return getattr(raw, record_name)(*values, name=name)

    function.__name__ = function.__qualname__ = names[0].rpartition(".")[2]
    function.__doc__ = f"{what}, elementwise with broadcasting."
    public(*names)(function)


_XY = ("x", "y")
for _record, _what, _arguments, *_names in [
    ("Sub", "x - y", _XY, "subtract", "math.subtract"),
    ("Mul", "x * y", _XY, "multiply", "math.multiply"),
    ("FloorDiv", "floor(x / y)", _XY, "math.floordiv", "floordiv"),
    ("FloorMod", "The remainder with the sign of y", _XY, "math.floormod", "math.mod", "floormod", "mod"),
    ("TruncateDiv", "x / y rounded toward zero", _XY, "truncatediv"),
    ("TruncateMod", "The remainder with the sign of x", _XY, "truncatemod"),
    ("RealDiv", "x / y of floats", _XY, "realdiv"),
    ("Maximum", "The larger; NaN wins", _XY, "maximum", "math.maximum"),
    ("Minimum", "The smaller; NaN wins", _XY, "minimum", "math.minimum"),
    ("Pow", "x to the power of y", _XY, "pow", "math.pow"),
    ("SquaredDifference", "(x - y) times its conjugate", _XY, "math.squared_difference"),
    ("MulNoNan", "x * y, and 0 where y is 0", _XY, "math.multiply_no_nan"),
    ("Xdivy", "x / y, and 0 where x is 0", _XY, "math.xdivy"),
    ("Xlogy", "x * log(y), and 0 where x is 0", _XY, "math.xlogy"),
    ("Xlog1py", "x * log1p(y), and 0 where x is 0", _XY, "math.xlog1py"),
    ("Atan2", "The angle of the point (x, y)", ("y", "x"), "atan2", "math.atan2"),
    ("NextAfter", "The next float after x1 toward x2", ("x1", "x2"), "math.nextafter"),
]:
    _public_binary(_record, _what, _arguments, *_names)


@public("add", "math.add")
def add(x: Any, y: Any, name: str | None = None) -> Any:
    """x + y, elementwise with broadcasting; strings are joined."""
    x, y = _pair(x, y)
    if x.dtype.kind == "s":
        return raw.Add(x, y, name=name)
    return raw.AddV2(x, y, name=name)


@public("math.divide_no_nan")
def divide_no_nan(x: Any, y: Any, name: str | None = None) -> Any:
    """x / y, and 0 where y is 0. Integers divide as float64 (8 to 16 bits: float32)."""
    x, y = _as_floats(*_pair(x, y))
    return raw.DivNoNan(x, y, name=name)


@public("divide", "math.divide")
def divide(x: Any, y: Any, name: str | None = None) -> Any:
    """x / y by Python's rule for true division."""
    x, y = _pair(x, y)
    if name is not None:
        return truediv(x, y, name)
    return x / y


def _as_floats(x: Any, y: Any) -> tuple[Any, Any]:
    kind = x.dtype.base_dtype
    if kind != y.dtype.base_dtype:
        raise DTypeError(f"`x` and `y` must have the same dtype, got {x.dtype!r} != {y.dtype!r}.")
    if kind.is_integer:
        wide = dtypes.float32 if kind.size < 4 else dtypes.float64
        return raw.Cast(x, DstT=wide), raw.Cast(y, DstT=wide)
    return x, y


@public("truediv", "math.truediv")
def truediv(x: Any, y: Any, name: str | None = None) -> Any:
    """x / y of floats; integers become float64 (8 and 16 bits: float32) first."""
    x, y = _as_floats(*_pair(x, y))
    return raw.RealDiv(x, y, name=name)


@public("add_n", "math.add_n")
def add_n(inputs: Any, name: str | None = None) -> Any:
    """The sum of tensors of one shape and dtype."""
    if not isinstance(inputs, (list, tuple)):
        if hasattr(inputs, "dtype"):
            inputs = [inputs]
        else:
            raise InvalidArgumentError("Inputs must be an iterable of at least one Tensor/IndexedSlices with the same dtype and shape.")
    if not inputs:
        raise InvalidArgumentError("Inputs must be an iterable of at least one Tensor/IndexedSlices with the same dtype and shape.")
    tensors = [convert_to_tensor(i) for i in inputs]
    if len(tensors) == 1:
        return raw.Identity(tensors[0], name=name)
    return raw.AddN(tensors, name=name)


@public("math.accumulate_n")
def accumulate_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None, name: str | None = None) -> Any:
    """The sum of tensors of one shape and dtype; `shape` and `tensor_dtype` are checked."""
    total = add_n(list(inputs), name=name)
    if shape is not None and not total.shape.is_compatible_with(shape):
        raise InvalidArgumentError(f"inputs of shape {total.shape} do not have the shape {shape} that was given")
    if tensor_dtype is not None and total.dtype != tensor_dtype:
        raise DTypeError(f"inputs of {total.dtype.name} do not have the dtype {tensor_dtype} that was given")
    return total


@public("scalar_mul", "math.scalar_mul")
def scalar_mul(scalar: Any, x: Any, name: str | None = None) -> Any:
    """A scalar times a tensor."""
    x = convert_to_tensor(x)
    scalar = convert_to_tensor(scalar, x.dtype.base_dtype)
    if scalar.shape.rank not in (0, None):
        raise InvalidArgumentError(f"The input scalar must be a 0-D value. Received shape {scalar.shape}.")
    return raw.Mul(scalar, x, name=name)
