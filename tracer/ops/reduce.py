"""Reductions over axes: sums, products, extremes, means, norms, and the positions of extremes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.dtypes import DType, as_dtype
from tracer.errors import DTypeError, InvalidArgumentError
from tracer.gradient_rules import kept_shape, shape_of
from tracer.public import public, tf
from tracer.registry import Op, op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

_NUMBER = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, "
    "complex128, half, uint32, uint64}"
)
_ORDERED = (
    "{float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64, qint8, quint8, qint32, qint16, quint16}"
)


def _axes(x: np.ndarray, axes: np.ndarray) -> Any:
    """Reduction axes as NumPy takes them, checked."""
    rank = x.ndim
    if axes.ndim == 0 or axes.size == 1:
        axis = int(axes.reshape(()))
        if not -rank <= axis < rank:
            raise InvalidArgumentError(f"Invalid reduction dimension ({axis} for input with {rank} dimension(s))")
        return axis
    found = axes.tolist()
    for axis in found:
        if not -rank <= axis < rank:
            raise InvalidArgumentError(f"Invalid reduction dimension ({axis} for input with {rank} dimension(s))")
    wrapped = tuple(a % rank for a in found)
    if len(set(wrapped)) != len(wrapped):
        twice = next(a for a in wrapped if wrapped.count(a) > 1)
        raise InvalidArgumentError(f"Invalid reduction arguments: Axes contains duplicate dimension: {twice}")
    return wrapped


def _infer(ctx: Any) -> Any:
    shape, axes = ctx.shape(0), ctx.value(1)
    if shape.rank is not None and axes is not None:
        for a in np.ravel(axes).tolist():
            if not -shape.rank <= a < shape.rank:
                raise InvalidArgumentError(f"Invalid reduction dimension {a} for input with {shape.rank} dimensions.")
    elif shape.rank is not None and not ctx.attr("keep_dims"):
        # one distinct axis each: the rank is known where their number is
        count = 1 if ctx.shape(1).rank == 0 else ctx.shape(1)[0] if ctx.shape(1).rank == 1 else None
        return unknown_shape(None if count is None else max(shape.rank - count, 0))
    return infer.reduction(ctx)


def _reduction(name: str, types: str, kernel: Callable[..., Any]) -> Op:
    if types == "bool":
        text = f"{name}(input: bool, reduction_indices: Tidx) -> (output: bool); keep_dims: bool = false; Tidx: {{int32, int64}} = int32"
    else:
        text = (
            f"{name}(input: T, reduction_indices: Tidx) -> (output: T); keep_dims: bool = false; T: {types}; "
            "Tidx: {int32, int64} = int32"
        )
    record = op(text)
    record.infer(_infer)
    record.kernel(kernel)
    return record


# -- kernels ---------------------------------------------------------------------------------------------------------


def _sum(x: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> Any:
    dtype = x.dtype
    if dtype.itemsize == 2 and dtype.kind not in "iu":
        return np.add.reduce(x.astype(np.float32), axis=_axes(x, axes), keepdims=keep_dims).astype(dtype)
    return np.add.reduce(x, axis=_axes(x, axes), dtype=dtype, keepdims=keep_dims)


def _product(x: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> Any:
    dtype = x.dtype
    if dtype.itemsize == 2 and dtype.kind not in "iu":
        return np.multiply.reduce(x.astype(np.float32), axis=_axes(x, axes), keepdims=keep_dims).astype(dtype)
    return np.multiply.reduce(x, axis=_axes(x, axes), dtype=dtype, keepdims=keep_dims)


def _mean(x: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> Any:
    dtype = x.dtype
    axis = _axes(x, axes)
    if isinstance(axis, tuple):
        count = 1
        for a in axis:
            count *= x.shape[a]
    else:
        count = x.shape[axis]
    if dtype.kind in "iu":
        # the sum is kept in 64 bits, then divided toward zero
        wide = np.uint64 if dtype.kind == "u" else np.int64
        total = np.add.reduce(x, axis=axis, dtype=wide, keepdims=keep_dims)
        if count == 0:
            return np.zeros_like(total, dtype)
        quotient = np.abs(total) // wide(count) if wide is np.int64 else total // wide(count)
        return (np.sign(total) * quotient if wide is np.int64 else quotient).astype(dtype)
    if dtype.itemsize == 2:
        total = np.add.reduce(x.astype(np.float32), axis=axis, keepdims=keep_dims)
        return np.divide(total, np.float32(count)).astype(dtype)
    total = np.add.reduce(x, axis=axis, keepdims=keep_dims)
    return np.divide(total, dtype.type(count))


def _lowest(dtype: np.dtype) -> Any:
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    return np.array(-np.inf).astype(dtype)[()]


def _highest(dtype: np.dtype) -> Any:
    if dtype.kind in "iu":
        return np.iinfo(dtype).max
    return np.array(np.inf).astype(dtype)[()]


def _maximum(x: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> Any:
    if x.size:
        return np.maximum.reduce(x, axis=_axes(x, axes), keepdims=keep_dims)
    if x.dtype.kind == "V":
        return _maximum(x.astype(np.float32), axes, keep_dims=keep_dims).astype(x.dtype)
    return np.maximum.reduce(x, axis=_axes(x, axes), keepdims=keep_dims, initial=_lowest(x.dtype))


def _minimum(x: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> Any:
    if x.size:
        return np.minimum.reduce(x, axis=_axes(x, axes), keepdims=keep_dims)
    if x.dtype.kind == "V":
        return _minimum(x.astype(np.float32), axes, keep_dims=keep_dims).astype(x.dtype)
    return np.minimum.reduce(x, axis=_axes(x, axes), keepdims=keep_dims, initial=_highest(x.dtype))


def _all(x: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> Any:
    return np.logical_and.reduce(x, axis=_axes(x, axes), keepdims=keep_dims)


def _any(x: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> Any:
    return np.logical_or.reduce(x, axis=_axes(x, axes), keepdims=keep_dims)


def _euclidean_norm(x: np.ndarray, axes: np.ndarray, *, keep_dims: bool) -> Any:
    dtype = x.dtype
    axis = _axes(x, axes)
    if dtype.kind == "c":
        return np.sqrt(np.add.reduce(np.square(x.real) + np.square(x.imag), axis=axis, keepdims=keep_dims)).astype(dtype)
    if dtype.itemsize == 2 and dtype.kind not in "iu":
        return np.sqrt(np.add.reduce(np.square(x.astype(np.float32)), axis=axis, keepdims=keep_dims)).astype(dtype)
    total = np.add.reduce(np.square(x), axis=axis, dtype=dtype, keepdims=keep_dims)
    if dtype.kind in "iu":
        return np.sqrt(total.astype(np.float64)).astype(dtype)
    return np.sqrt(total)


# -- records and gradients -------------------------------------------------------------------------------------------

sum_op = _reduction("Sum", _NUMBER, _sum)
mean_op = _reduction("Mean", _NUMBER, _mean)
prod_op = _reduction("Prod", _NUMBER, _product)
max_op = _reduction("Max", _ORDERED, _maximum)
min_op = _reduction("Min", _ORDERED, _minimum)
_reduction("All", "bool", _all).not_differentiable()
_reduction("Any", "bool", _any).not_differentiable()
euclidean_norm_op = _reduction("EuclideanNorm", _NUMBER, _euclidean_norm)


def _spread(node: Any, grad: Any) -> Any:
    """`grad` of a reduction over all elements that went into it."""
    x, axes = node.inputs
    if not node.attr("keep_dims"):
        grad = raw.Reshape(grad, kept_shape(x, axes))
    return raw.BroadcastTo(grad, shape_of(x))


@sum_op.gradient
def _(node: Any, grad: Any) -> Any:
    return _spread(node, grad), None


@mean_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y = node.inputs[0], node.outputs[0]
    spread = _spread(node, grad)
    size_in, size_out = x.shape.num_elements(), y.shape.num_elements()
    if size_in is not None and size_out is not None:
        factor = convert_to_tensor(np.array(size_in // max(size_out, 1)).astype(grad.dtype.numpy), grad.dtype)
    else:
        count = raw.FloorDiv(raw.Size(x), raw.Maximum(raw.Size(y), np.int32(1)))
        factor = raw.Cast(count, DstT=grad.dtype)
    return raw.RealDiv(spread, factor), None


@min_op.gradient
@max_op.gradient
def _(node: Any, grad: Any) -> Any:
    """Shared evenly by all elements that are the extreme."""
    x, axes = node.inputs
    y = node.outputs[0]
    shape = kept_shape(x, axes)
    y, grad = raw.Reshape(y, shape), raw.Reshape(grad, shape)
    winners = raw.Cast(raw.Equal(y, x), DstT=grad.dtype)
    count = raw.Reshape(raw.Sum(winners, axes), shape)
    return raw.Mul(raw.RealDiv(winners, count), grad), None


@euclidean_norm_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, axes = node.inputs
    y = node.outputs[0]
    shape = kept_shape(x, axes)
    return raw.Mul(x, raw.DivNoNan(raw.Reshape(grad, shape), raw.Reshape(y, shape))), None


@prod_op.gradient
def _(node: Any, grad: Any) -> Any:
    """The product of all other elements, by exclusive products from both sides: right where elements are 0."""
    x, axes = node.inputs
    spread = _spread(node, grad)
    shape = raw.Shape(x)
    rank = raw.Rank(x)
    flat_axes = raw.Reshape(raw.Cast(axes, DstT="int32"), np.array([-1], np.int32))
    flat_axes = raw.FloorMod(raw.AddV2(flat_axes, rank), raw.Maximum(rank, np.int32(1)))
    every = raw.Range(np.int32(0), rank, np.int32(1))
    other, _ = raw.ListDiff(every, flat_axes)
    order = raw.ConcatV2([flat_axes, other], np.int32(0))
    zero = convert_to_tensor(np.array([0], np.int32))
    count = raw.Prod(raw.GatherV2(shape, flat_axes, np.int32(0)), zero)
    rest = raw.Prod(raw.GatherV2(shape, other, np.int32(0)), zero)
    moved = raw.Transpose(x, order)
    table = raw.Reshape(moved, raw.Pack([count, rest]))
    left = raw.Cumprod(table, np.int32(0), exclusive=True)
    right = raw.Cumprod(table, np.int32(0), exclusive=True, reverse=True)
    if x.dtype.is_complex:
        left, right = raw.Conj(left), raw.Conj(right)
    slopes = raw.Reshape(raw.Mul(left, right), raw.Shape(moved))
    out = raw.Mul(spread, raw.Transpose(slopes, raw.InvertPermutation(order)))
    return raw.Reshape(out, shape), None


# -- positions of extremes -------------------------------------------------------------------------------------------

_ARG_TYPES = (
    "{float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64, qint8, quint8, qint32, qint16, "
    "quint16, bool}"
)
arg_max_op = op(
    f"ArgMax(input: T, dimension: Tidx) -> (output: output_type); T: {_ARG_TYPES}; "
    "Tidx: {int16, int32, int64} = int32; output_type: {int16, uint16, int32, int64} = int64"
).not_differentiable()
arg_min_op = op(
    f"ArgMin(input: T, dimension: Tidx) -> (output: output_type); T: {_ARG_TYPES}; "
    "Tidx: {int32, int64} = int32; output_type: {int32, int64} = int64"
).not_differentiable()


@arg_min_op.infer
@arg_max_op.infer
def _(ctx: Any) -> Any:
    shape, axis = ctx.shape(0), ctx.value(1)
    if shape.rank is None:
        return unknown_shape()
    if shape.rank <= 1:
        return TensorShape([])
    if axis is None:
        return unknown_shape(shape.rank - 1)
    number = int(axis)
    if not -shape.rank <= number < shape.rank:
        raise InvalidArgumentError(f"Dimension ({number}) must be in the range [{-shape.rank}, {shape.rank}), for shape {shape}")
    number %= shape.rank
    return TensorShape([d for i, d in enumerate(shape) if i != number])


def _position(x: np.ndarray, dimension: np.ndarray, output_type: DType, find: Callable[..., Any], worst: float) -> Any:
    axis = int(dimension)
    if x.ndim == 0:
        return np.zeros((), output_type.numpy)
    if not -x.ndim <= axis < x.ndim:
        raise InvalidArgumentError(f"Expected dimension in the range [{-x.ndim}, {x.ndim}), but got {axis}")
    if x.shape[axis] == 0:
        raise InvalidArgumentError(f"Reduction axis {axis} is empty in shape {list(x.shape)}")
    if x.dtype.kind == "V":
        x = x.astype(np.float32)
    found = find(x, axis=axis)
    if x.dtype.kind == "f":
        # NumPy lets NaN win, TensorFlow never
        top = np.take_along_axis(x, np.expand_dims(found, axis), axis)
        if np.isnan(top).any():
            found = find(np.where(np.isnan(x), x.dtype.type(worst), x), axis=axis)
    return found


@arg_max_op.kernel
def _(x: np.ndarray, dimension: np.ndarray, *, output_type: DType) -> Any:
    return _position(x, dimension, output_type, np.argmax, -np.inf)


@arg_min_op.kernel
def _(x: np.ndarray, dimension: np.ndarray, *, output_type: DType) -> Any:
    return _position(x, dimension, output_type, np.argmin, np.inf)


# -- public functions ------------------------------------------------------------------------------------------------


def _reduction_axes(x: Any, axis: Any) -> Any:
    """The axes as a tensor; all of them for None."""
    if axis is None:
        if x.shape.rank is not None:
            return convert_to_tensor(np.arange(x.shape.rank, dtype=np.int32))
        return raw.Range(np.int32(0), raw.Rank(x), np.int32(1))
    axes = convert_to_tensor(axis, dtype_hint="int32") if not isinstance(axis, (list, tuple)) or axis else convert_to_tensor(np.zeros(0, np.int32))
    if axes.dtype.base_dtype not in (dtypes.int32, dtypes.int64):
        axes = raw.Cast(axes, DstT="int32")
    return axes


def _public_reduction(record_name: str, what: str, *names: str) -> None:
    def function(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
        x = convert_to_tensor(input_tensor, "bool" if record_name in ("All", "Any") else None)
        return getattr(raw, record_name)(x, _reduction_axes(x, axis), keep_dims=bool(keepdims), name=name)

    function.__name__ = function.__qualname__ = names[0].rpartition(".")[2]
    function.__doc__ = f"{what} over `axis` (an int or several; None: all), which `keepdims` leaves as 1."
    public(*names)(function)


for _record_name, _what, *_names in [
    ("Sum", "The sum", "reduce_sum", "math.reduce_sum"),
    ("Mean", "The mean; integers divide toward zero,", "reduce_mean", "math.reduce_mean"),
    ("Prod", "The product", "reduce_prod", "math.reduce_prod"),
    ("Max", "The maximum", "reduce_max", "math.reduce_max"),
    ("Min", "The minimum", "reduce_min", "math.reduce_min"),
    ("All", "Whether all hold", "reduce_all", "math.reduce_all"),
    ("Any", "Whether any holds", "reduce_any", "math.reduce_any"),
    ("EuclideanNorm", "The square root of the sum of squares", "math.reduce_euclidean_norm"),
]:
    _public_reduction(_record_name, _what, *_names)


@public("argmax", "math.argmax")
def argmax(input: Any, axis: Any = None, output_type: Any = dtypes.int64, name: str | None = None) -> Any:
    """The index of the largest element along `axis` (default 0); the first of equals, NaN never."""
    return raw.ArgMax(input, np.int32(0) if axis is None else axis, output_type=as_dtype(output_type), name=name)


@public("argmin", "math.argmin")
def argmin(input: Any, axis: Any = None, output_type: Any = dtypes.int64, name: str | None = None) -> Any:
    """The index of the smallest element along `axis` (default 0); the first of equals, NaN never."""
    return raw.ArgMin(input, np.int32(0) if axis is None else axis, output_type=as_dtype(output_type), name=name)


@public("reduce_logsumexp", "math.reduce_logsumexp")
def reduce_logsumexp(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """log(sum(exp(x))) over `axis`, without overflow."""
    x = convert_to_tensor(input_tensor)
    axes = _reduction_axes(x, axis)
    top = raw.Max(x, axes, keep_dims=True)
    top = tf.stop_gradient(raw.SelectV2(raw.IsFinite(top), top, raw.ZerosLike(top)))
    total = raw.Log(raw.Sum(raw.Exp(raw.Sub(x, top)), axes, keep_dims=bool(keepdims)))
    if not keepdims:
        top = raw.Reshape(top, raw.Shape(total))
    return raw.AddV2(total, top, name=name)


@public("math.reduce_variance")
def reduce_variance(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The mean of the squared distances to the mean (complex: squared moduli).

    Raises:
        TypeError: integers.
    """
    x = convert_to_tensor(input_tensor)
    axes = _reduction_axes(x, axis)
    mean = raw.Mean(x, axes, keep_dims=True)
    if x.dtype.is_integer:
        raise DTypeError(f"Input must be either real or complex. Received integer type {x.dtype!r}.")
    diff = raw.Sub(x, mean)
    if diff.dtype.is_complex:
        # the squared modulus, in the real dtype
        squares = raw.Real(raw.Mul(raw.Conj(diff), diff), Tout=diff.dtype.real_dtype)
    else:
        squares = raw.Square(diff)
    return raw.Mean(squares, axes, keep_dims=bool(keepdims), name=name)


@public("math.reduce_std")
def reduce_std(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """The square root of `reduce_variance`."""
    return raw.Sqrt(reduce_variance(input_tensor, axis, keepdims), name=name)


@public("math.zero_fraction", "nn.zero_fraction")
def zero_fraction(value: Any, name: str | None = None) -> Any:
    """The share of elements that are 0, as float32."""
    value = convert_to_tensor(value)
    size = raw.Size(value, out_type="int64")
    ones = raw.Cast(raw.NotEqual(value, convert_to_tensor(np.zeros((), value.dtype.numpy), value.dtype)), DstT="int64")
    nonzero = raw.Sum(ones, _reduction_axes(ones, None))
    zeros = raw.Cast(raw.Sub(size, nonzero), DstT="float32")
    return raw.RealDiv(zeros, raw.Cast(size, DstT="float32"), name=name)


@public("math.count_nonzero")
def count_nonzero(input: Any, axis: Any = None, keepdims: bool | None = None, dtype: Any = dtypes.int64, name: str | None = None) -> Any:
    """How many elements are not 0 (strings: not empty) over `axis`."""
    x = convert_to_tensor(input)
    zero = convert_to_tensor(b"") if x.dtype.kind == "s" else convert_to_tensor(np.zeros((), x.dtype.numpy), x.dtype)
    ones = raw.Cast(raw.NotEqual(x, zero), DstT="int64")
    total = raw.Sum(ones, _reduction_axes(x, axis), keep_dims=bool(keepdims))
    return tf.cast(total, as_dtype(dtype), name=name)
