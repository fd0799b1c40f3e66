"""Comparisons, logic, and choices between two tensors by a condition. `tf.where` itself belongs to the array families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.gradient_rules import unbroadcast, zero_like
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, broadcast_shapes, unknown_shape
from tracer.tensor import convert_to_tensor

_ORDERED = "{float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}"
_SUMMABLE = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, "
    "complex128, half, uint32, uint64}"
)


def _ordered(name: str, kernel: Callable[..., Any]) -> None:
    record = op(f"{name}(x: T, y: T) -> (z: bool); T: {_ORDERED}").not_differentiable()
    record.infer(infer.broadcast)
    record.kernel(kernel)


_ordered("Less", np.less)
_ordered("LessEqual", np.less_equal)
_ordered("Greater", np.greater)
_ordered("GreaterEqual", np.greater_equal)


def _equality(name: str, ufunc: Callable[..., Any], if_shapes_differ: bool) -> None:
    record = op(
        f"{name}(x: T, y: T) -> (z: bool) !commutative; T: type; incompatible_shape_error: bool = true"
    ).not_differentiable()

    @record.infer
    def _(ctx: Any) -> Any:
        try:
            return broadcast_shapes([ctx.shape(0), ctx.shape(1)])
        except ShapeError:
            if ctx.attr("incompatible_shape_error"):
                raise
            return TensorShape([])

    @record.prepare
    def _(attrs: Any) -> Any:
        strict = attrs["incompatible_shape_error"]

        def kernel(x: np.ndarray, y: np.ndarray) -> Any:
            try:
                found = ufunc(x, y)
            except ValueError:
                if strict:
                    raise InvalidArgumentError(f"Incompatible shapes: {list(x.shape)} vs. {list(y.shape)}") from None
                return np.bool_(if_shapes_differ)
            return found if x.dtype != object else np.asarray(found, np.bool_)

        return kernel


_equality("Equal", np.equal, False)
_equality("NotEqual", np.not_equal, True)

approximate_equal_op = op(
    f"ApproximateEqual(x: T, y: T) -> (z: bool) !commutative; T: {_SUMMABLE}; tolerance: float = 9.999999747378752e-06"
).not_differentiable()
approximate_equal_op.infer(infer.unchanged)


@approximate_equal_op.kernel
def _(x: np.ndarray, y: np.ndarray, *, tolerance: float) -> Any:
    if x.shape != y.shape:
        raise InvalidArgumentError(f"x and y must be of the same shape, received {x.shape} and {y.shape}")
    return np.abs(np.subtract(x, y)) < np.asarray(tolerance, x.real.dtype)


for _name, _kernel in (("LogicalAnd", np.logical_and), ("LogicalOr", np.logical_or)):
    _record = op(f"{_name}(x: bool, y: bool) -> (z: bool) !commutative").not_differentiable()
    _record.infer(infer.broadcast)
    _record.kernel(_kernel)
logical_not_op = op("LogicalNot(x: bool) -> (y: bool)").not_differentiable()
logical_not_op.infer(infer.unchanged)
logical_not_op.kernel(np.logical_not)


# -- choices ---------------------------------------------------------------------------------------------------------

select_v2_op = op("SelectV2(condition: bool, t: T, e: T) -> (output: T); T: type")
select_v2_op.infer(infer.broadcast)
select_v2_op.kernel(np.where)


@select_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    c, x, y = node.inputs
    zeros = zero_like(grad)
    return None, unbroadcast(raw.SelectV2(c, grad, zeros), x), unbroadcast(raw.SelectV2(c, zeros, grad), y)


select_op = op("Select(condition: bool, t: T, e: T) -> (output: T); T: type")


@select_op.infer
def _(ctx: Any) -> Any:
    return ctx.shape(1).merge_with(ctx.shape(2))


@select_op.kernel
def _(condition: np.ndarray, t: np.ndarray, e: np.ndarray) -> Any:
    """The condition has the shape of the choices, or is a scalar, or a vector that chooses whole rows."""
    if t.shape != e.shape:
        raise InvalidArgumentError(f"'then' and 'else' must have the same size, received {t.shape} and {e.shape}")
    if condition.ndim == 0:
        return t if condition else e
    if condition.shape != t.shape:
        if condition.ndim != 1 or t.ndim == 0 or condition.shape[0] != t.shape[0]:
            raise InvalidArgumentError(
                f"the condition must be a scalar, of the shape {t.shape}, or a vector of its first size, received {condition.shape}"
            )
        condition = condition.reshape(condition.shape + (1,) * (t.ndim - 1))
    return np.where(condition, t, e)


@select_op.gradient
def _(node: Any, grad: Any) -> Any:
    c = node.inputs[0]
    zeros = zero_like(grad)
    return None, raw.Select(c, grad, zeros), raw.Select(c, zeros, grad)


clip_by_value_op = op(f"ClipByValue(t: T, clip_value_min: T, clip_value_max: T) -> (output: T); T: {_SUMMABLE}")
clip_by_value_op.infer(infer.unchanged)


@clip_by_value_op.kernel
def _(t: np.ndarray, low: np.ndarray, high: np.ndarray) -> Any:
    # the lower bound wins where the bounds cross
    out = np.maximum(np.minimum(t, high), low)
    if out.shape != t.shape:
        raise InvalidArgumentError(f"clip bounds of shape {low.shape} and {high.shape} do not fit a tensor of shape {t.shape}")
    return out


@clip_by_value_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, low, high = node.inputs
    zeros = zero_like(grad)
    below, above = raw.Less(x, low), raw.Greater(x, high)
    gx = raw.SelectV2(raw.LogicalOr(below, above), zeros, grad)
    return gx, unbroadcast(raw.SelectV2(below, grad, zeros), low), unbroadcast(raw.SelectV2(above, grad, zeros), high)


# -- public functions ------------------------------------------------------------------------------------------------


def _public_comparison(record_name: str, what: str, *names: str) -> None:
    def function(x: Any, y: Any, name: str | None = None) -> Any:
        return getattr(raw, record_name)(x, y, name=name)

    function.__name__ = function.__qualname__ = names[0].rpartition(".")[2]
    function.__doc__ = f"{what}, elementwise with broadcasting; a bool tensor."
    public(*names)(function)


for _record_name, _what, *_names in [
    ("Less", "x < y", "less", "math.less"),
    ("LessEqual", "x <= y", "less_equal", "math.less_equal"),
    ("Greater", "x > y", "greater", "math.greater"),
    ("GreaterEqual", "x >= y", "greater_equal", "math.greater_equal"),
    ("Equal", "x == y", "equal", "math.equal"),
    ("NotEqual", "x != y", "not_equal", "math.not_equal"),
    ("LogicalAnd", "x and y", "logical_and", "math.logical_and"),
    ("LogicalOr", "x or y", "logical_or", "math.logical_or"),
]:
    _public_comparison(_record_name, _what, *_names)


@public("logical_not", "math.logical_not")
def logical_not(x: Any, name: str | None = None) -> Any:
    """not x, elementwise."""
    return raw.LogicalNot(x, name=name)


@public("math.logical_xor")
def logical_xor(x: Any, y: Any, name: str | None = "LogicalXor") -> Any:
    """Whether exactly one of x and y holds, elementwise."""
    x, y = convert_to_tensor(x, "bool"), convert_to_tensor(y, "bool")
    return raw.LogicalAnd(raw.LogicalOr(x, y), raw.LogicalNot(raw.LogicalAnd(x, y)), name=name)


@public("math.approximate_equal")
def approximate_equal(x: Any, y: Any, tolerance: float = 1e-05, name: str | None = None) -> Any:
    """|x - y| < tolerance, elementwise, for tensors of one shape."""
    return raw.ApproximateEqual(x, y, tolerance=tolerance, name=name)


@public("clip_by_value")
def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    """`t` with values below the minimum raised to it and above the maximum lowered to it; bounds broadcast to `t`.

    Raises:
        ValueError: the bounds have a shape that `t` does not broadcast over.
    """
    t = convert_to_tensor(t)
    dtype = t.dtype.base_dtype
    t_min = raw.Minimum(t, convert_to_tensor(clip_value_max, dtype))
    if not t.shape.is_compatible_with(t_min.shape):
        raise ShapeError(f"clip_value_max widens the tensor: its shape is {t.shape}, clipped it would be {t_min.shape}")
    t_max = raw.Maximum(t_min, convert_to_tensor(clip_value_min, dtype), name=name)
    if not t.shape.is_compatible_with(t_max.shape):
        raise ShapeError(f"clip_value_min widens the tensor: its shape is {t.shape}, clipped it would be {t_max.shape}")
    if t_max.shape.rank is None and hasattr(t_max, "set_shape"):
        t_max.set_shape(t.shape if t.shape.rank is not None else unknown_shape())
    return t_max


def _steps(x: Any) -> tuple[Any, Any]:
    """The differences of neighbours in the flattened tensor, and a 0 to compare them with."""
    flat = raw.Reshape(convert_to_tensor(x), np.array([-1], np.int32))
    return raw.Sub(flat[1:], flat[:-1]), convert_to_tensor(np.zeros((), flat.dtype.numpy), flat.dtype)


@public("math.is_non_decreasing")
def is_non_decreasing(x: Any, name: str | None = None) -> Any:
    """Whether no element of the flattened tensor is smaller than the one before."""
    steps, zero = _steps(x)
    return raw.All(raw.GreaterEqual(steps, zero), np.array([0], np.int32), name=name)


@public("math.is_strictly_increasing")
def is_strictly_increasing(x: Any, name: str | None = None) -> Any:
    """Whether every element of the flattened tensor is larger than the one before."""
    steps, zero = _steps(x)
    return raw.All(raw.Greater(steps, zero), np.array([0], np.int32), name=name)
