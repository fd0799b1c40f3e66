"""Tensors made from nothing or from a few numbers: constants, placeholders, fills and ranges. Random ones live in random.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import executing_eagerly, raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, RefusedOpError, ShapeError
from tracer.object_arrays import as_array, unwrap
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, as_shape, from_array_shape, unknown_shape
from tracer.tensor import EagerTensor, Tensor, constant, convert_to_tensor

__all__: list[str] = []

# -- Const, placeholders, NoOp ---------------------------------------------------------------------------------------


def _register_constant(text: str) -> None:
    record = op(text)
    record.infer(lambda ctx: from_array_shape(np.shape(ctx.attr("value"))))

    @record.kernel
    def _(*, value: np.ndarray) -> Any:
        return unwrap(value)

    record.not_differentiable()


_register_constant("Const() -> (output: dtype); value: tensor; dtype: type")
_register_constant("HostConst() -> (output: dtype); value: tensor; dtype: type")

placeholder_op = op("Placeholder() -> (output: dtype); dtype: type; shape: shape = ?")
placeholder_v2_op = op("PlaceholderV2() -> (output: dtype); dtype: type; shape: shape")


def _unfed(*, dtype: dtypes.DType, shape: TensorShape) -> Any:
    raise InvalidArgumentError(
        f"You must feed a value for placeholder tensor with dtype {dtype.name} and shape {shape}: "
        f"expected it among the inputs of the call, received nothing"
    )


for _record in (placeholder_op, placeholder_v2_op):
    _record.infer(infer.from_attr("shape"))
    _record.kernel(_unfed)

default_op = op("PlaceholderWithDefault(input: dtype) -> (output: dtype); dtype: type; shape: shape")


@default_op.infer
def _(ctx: Any) -> Any:
    return as_shape(ctx.attr("shape"))


@default_op.kernel
def _(x: Any) -> Any:
    return x


@default_op.gradient
def _(node: Any, grad: Any) -> Any:
    return grad


noop_op = op("NoOp() -> ()").not_differentiable()
noop_op.kernel(lambda: ())

immutable_op = op("ImmutableConst() -> (tensor: dtype); dtype: type; shape: shape; memory_region_name: string")
immutable_op.infer(infer.from_attr("shape"))


@immutable_op.kernel
def _(*, memory_region_name: bytes) -> Any:
    raise RefusedOpError(
        f"op ImmutableConst: maps the memory region {memory_region_name.decode(errors='replace')!r}, which this library does not open; "
        f"replace the node by a Const with the region's values"
    )


# -- fills -----------------------------------------------------------------------------------------------------------

fill_op = op("Fill(dims: index_type, value: T) -> (output: T); T: type; index_type: {int32, int64} = int32")


@fill_op.infer
def _(ctx: Any) -> Any:
    dims = ctx.value(0)
    if dims is not None and (dims.ndim != 1 or (dims < 0).any()):
        raise ShapeError(f"Fill: dimensions must be a vector of sizes >= 0, received {dims.tolist()}")
    return ctx.value_as_shape(0)


@fill_op.kernel
def _(dims: np.ndarray, value: Any) -> Any:
    if dims.ndim > 1:
        raise InvalidArgumentError(f"dims must be a vector, got shape {list(dims.shape)}")
    value = as_array(value)
    if value.ndim:
        raise InvalidArgumentError(f"value must be a scalar, got shape {list(value.shape)}")
    sizes = dims.tolist() if dims.ndim else [int(dims)]
    if sizes and min(sizes) < 0:
        raise InvalidArgumentError(f"Dimension {min(sizes)} must be >= 0")
    out = np.empty(sizes, value.dtype)
    out[...] = value
    return unwrap(out)


@fill_op.gradient
def _(node: Any, grad: Any) -> Any:
    return None, tf.reduce_sum(grad)


zeros_like_op = op("ZerosLike(x: T) -> (y: T); T: type").not_differentiable()


def _zero_of(item: Any) -> Any:
    make = getattr(item, "zeros_like", None)
    if make is None:
        raise InvalidArgumentError(f"op ZerosLike: no zeros are known for a variant that holds {type(item).__name__}")
    return make()


@zeros_like_op.kernel
def _(x: Any, *, T: dtypes.DType) -> Any:
    if T.kind == "v":
        if not isinstance(x, np.ndarray):
            return _zero_of(x)
        out = np.empty(x.shape, object)
        out.reshape(-1)[:] = [_zero_of(v) for v in x.reshape(-1)]
        return out
    if T.kind == "s":
        return np.full(x.shape, b"", object)
    return np.zeros(x.shape, x.dtype)


@zeros_like_op.infer
def _(ctx: Any) -> Any:
    if ctx.handle(0) is not None:
        ctx.handle_data[0] = ctx.handle(0)
    return ctx.shape(0)


ones_like_op = op(
    "OnesLike(x: T) -> (y: T); T: {bfloat16, half, float, double, int8, uint8, int16, uint16, int32, uint32, int64, uint64, "
    "complex64, complex128, bool}"
).not_differentiable()
ones_like_op.infer(infer.unchanged)
ones_like_op.kernel(lambda x: np.ones(x.shape, x.dtype))

empty_op = op("Empty(shape: int32) -> (output: dtype) !stateful; dtype: type; init: bool = false").not_differentiable()
empty_op.infer(infer.shape_from_input(0))


@empty_op.kernel
def _(shape: np.ndarray, *, dtype: dtypes.DType) -> Any:
    if (shape < 0).any():
        raise InvalidArgumentError(f"op Empty: sizes must be >= 0, received {shape.tolist()}")
    return np.full(tuple(shape.tolist()), b"", object) if dtype.kind == "s" else np.zeros(tuple(shape.tolist()), dtype.numpy)


# -- ranges ----------------------------------------------------------------------------------------------------------

range_op = op(
    "Range(start: Tidx, limit: Tidx, delta: Tidx) -> (output: Tidx); "
    "Tidx: {bfloat16, half, float, double, int8, int16, int32, int64, uint16, uint32} = int32"
).not_differentiable()


def _range_size(start: Any, limit: Any, delta: Any) -> int:
    """Number of elements, in the arithmetic of the CPU kernel: integers exactly, floats through ceil(|(limit - start) / delta|)."""
    if delta == 0:
        raise InvalidArgumentError("Requires delta != 0: 0")
    if delta > 0 and start > limit:
        raise InvalidArgumentError(f"Requires start <= limit when delta > 0: {start}/{limit}")
    if delta < 0 and start < limit:
        raise InvalidArgumentError(f"Requires start >= limit when delta < 0: {start}/{limit}")
    if isinstance(start, int):
        return -(-abs(limit - start) // abs(delta))
    return int(np.ceil(abs((limit - start) / delta)))


def _python_numbers(*arrays: np.ndarray) -> list[Any]:
    return [int(a[()]) if a.dtype.kind in "iu" else float(a[()]) for a in arrays]


@range_op.infer
def _(ctx: Any) -> Any:
    values = [ctx.value(i) for i in range(3)]
    for i in range(3):
        ctx.shape(i).assert_has_rank(0)
    if any(v is None for v in values):
        return unknown_shape(1)
    return TensorShape([_range_size(*_python_numbers(*values))])


@range_op.kernel
def _(start: np.ndarray, limit: np.ndarray, delta: np.ndarray) -> np.ndarray:
    for name, a in (("start", start), ("limit", limit), ("delta", delta)):
        if a.ndim:
            raise InvalidArgumentError(f"{name} must be a scalar, not shape {list(a.shape)}")
    low, high, step = _python_numbers(start, limit, delta)
    size = _range_size(low, high, step)
    dtype = start.dtype
    if dtype.kind in "iu":
        return np.arange(low, low + size * step, step, dtype=np.int64).astype(dtype) if size else np.empty(0, dtype)
    if dtype in (np.float32, np.float64):
        return start + np.arange(size, dtype=dtype) * delta
    return (np.float32(start) + np.arange(size, dtype=np.float32) * np.float32(delta)).astype(dtype)


# -- public functions ------------------------------------------------------------------------------------------------

_CONSTANT_LIMIT = 1000


def _static_shape(shape: Any) -> list[int] | None:
    """The sizes in `shape` where all are Python numbers or known values."""
    if isinstance(shape, Tensor):
        value = infer.constant_value(shape)
        return None if value is None else [int(d) for d in np.ravel(value)]
    if isinstance(shape, TensorShape):
        return shape.as_list() if shape.is_fully_defined() else None  # type: ignore[return-value]
    if isinstance(shape, (int, np.integer)):
        return [int(shape)]
    out = []
    for d in shape:
        if isinstance(d, (int, np.integer)):
            out.append(int(d))
        elif isinstance(d, EagerTensor) and d.shape.rank == 0:
            out.append(int(d))
        else:
            return None
    return out


def _shape_tensor(shape: Any) -> Any:
    if isinstance(shape, Tensor):
        return raw.Reshape(shape, [-1]) if shape.shape.rank == 0 else shape
    if isinstance(shape, TensorShape) and not shape.is_fully_defined():
        raise InvalidArgumentError(f"Cannot convert a partially known TensorShape {shape} to a Tensor.")
    if isinstance(shape, TensorShape):
        shape = shape.as_list()
    if isinstance(shape, (int, np.integer)):
        shape = [shape]
    if isinstance(shape, (list, tuple)) and not shape:
        return convert_to_tensor(np.zeros(0, np.int32))
    return convert_to_tensor(shape)


def _filled(shape: Any, value: Any, dtype: dtypes.DType, name: str | None) -> Any:
    dims = _static_shape(shape)
    if dims is not None and any(d < 0 for d in dims):
        raise InvalidArgumentError(f"Dimension {min(dims)} must be >= 0")
    scalar = convert_to_tensor(np.array(value, dtype.numpy), dtype) if dtype.kind != "s" else convert_to_tensor(value)
    if dims is not None and (executing_eagerly() or int(np.prod(dims, dtype=np.int64)) < _CONSTANT_LIMIT):
        if dtype.kind == "s":
            array = np.full(dims, value, object)
        else:
            array = np.zeros(dims, dtype.numpy) if not value else np.full(dims, value, dtype.numpy)
        return convert_to_tensor(array, dtype, name=name)
    return raw.Fill(_shape_tensor(shape), scalar, name=name)


def _zero(dtype: dtypes.DType) -> Any:
    return b"" if dtype.kind == "s" else False if dtype.kind == "b" else 0


@public("zeros")
def zeros(shape: Any, dtype: Any = dtypes.float32, name: str | None = None, layout: Any = None) -> Any:
    """A tensor of `shape` full of zeros (False, empty strings)."""
    dtype = as_dtype(dtype).base_dtype
    return _filled(shape, _zero(dtype), dtype, name or "zeros")


@public("ones")
def ones(shape: Any, dtype: Any = dtypes.float32, name: str | None = None, layout: Any = None) -> Any:
    """A tensor of `shape` full of ones (True)."""
    dtype = as_dtype(dtype).base_dtype
    if dtype.kind not in "fciubq":
        raise TypeError(f"ones: expected a number type or bool, received {dtype.name}")
    return _filled(shape, dtype.kind == "b" or 1, dtype, name or "ones")


def _like(x: Any, dtype: Any, value_of: Any, same: str, name: str | None) -> Any:
    x = convert_to_tensor(x)
    target = x.dtype.base_dtype if dtype is None else as_dtype(dtype).base_dtype
    if x.shape.is_fully_defined() and target.kind != "v":
        return _filled(x.shape, value_of(target), target, name)
    if target != x.dtype.base_dtype and target.kind != "v":
        return _filled(tf.shape(x), value_of(target), target, name)
    return getattr(raw, same)(x, name=name)


def _map_composite(function: Any, value: Any) -> Any:
    """`function` over the values of a composite tensor, or None for anything else."""
    over_values = getattr(value, "with_values", None) or getattr(value, "with_flat_values", None)
    if getattr(value, "_type_spec", None) is None or isinstance(value, Tensor) or over_values is None:
        return None
    inner = value.flat_values if hasattr(value, "flat_values") else value.values
    with_flat = getattr(value, "with_flat_values", None) or over_values
    return with_flat(function(inner))


@public("zeros_like")
def zeros_like(input: Any, dtype: Any = None, name: str | None = None, layout: Any = None) -> Any:
    """Zeros of the shape of `input`, of its dtype or `dtype`."""
    composite = _map_composite(lambda v: zeros_like(v, dtype), input)
    return composite if composite is not None else _like(input, dtype, _zero, "ZerosLike", name or "zeros_like")


@public("ones_like")
def ones_like(input: Any, dtype: Any = None, name: str | None = None, layout: Any = None) -> Any:
    """Ones of the shape of `input`, of its dtype or `dtype`."""
    composite = _map_composite(lambda v: ones_like(v, dtype), input)
    if composite is not None:
        return composite
    return _like(input, dtype, lambda d: d.kind == "b" or 1, "OnesLike", name or "ones_like")


@public("fill")
def fill(dims: Any, value: Any, name: str | None = None, layout: Any = None) -> Any:
    """A tensor of shape `dims` with every element `value` (a scalar)."""
    return raw.Fill(_shape_tensor(dims), value, name=name)


_RANGE_ORDER = ("int32", "int64", "float16", "bfloat16", "float32", "float64")


@public("range")
def range_(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = "range") -> Any:
    """The numbers from `start` (0 when only one bound is given) up to, not including, `limit`, `delta` apart."""
    if limit is None:
        start, limit = 0, start
    if dtype is not None:
        wanted = as_dtype(dtype)
        parts = [tf.cast(v, wanted) if isinstance(v, Tensor) else convert_to_tensor(v, wanted) for v in (start, limit, delta)]
        return raw.Range(*parts, name=name)
    parts = [convert_to_tensor(v) for v in (start, limit, delta)]
    found = [p.dtype.base_dtype for p in parts]
    if any(d.name not in _RANGE_ORDER for d in found):
        best = next(d for d in found if d.name not in _RANGE_ORDER)
    else:
        best = max(found, key=lambda d: _RANGE_ORDER.index(d.name))
    return raw.Range(*[p if p.dtype.base_dtype == best else tf.cast(p, best) for p in parts], name=name)


@public("eye", "linalg.eye")
def eye(num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = dtypes.float32, name: str | None = None) -> Any:
    """Identity matrices: ones on the main diagonal, `batch_shape` of them."""
    dtype = as_dtype(dtype)
    rows = _static_shape([num_rows])
    columns = rows if num_columns is None else _static_shape([num_columns])
    batch = [] if batch_shape is None else _static_shape(batch_shape)
    if rows is not None and columns is not None and batch is not None:
        one = np.eye(rows[0], columns[0]).astype(dtype.numpy)
        return convert_to_tensor(np.array(np.broadcast_to(one, [*batch, *one.shape])), dtype, name=name)
    num_columns = num_rows if num_columns is None else num_columns
    hits = tf.expand_dims(tf.range(num_rows), 1) == tf.expand_dims(tf.range(num_columns), 0)
    one = tf.cast(hits, dtype)
    return one if batch_shape is None else tf.broadcast_to(one, tf.concat([_shape_tensor(batch_shape), tf.shape(one)], 0))


@public("one_hot")
def one_hot(
    indices: Any, depth: Any, on_value: Any = None, off_value: Any = None, axis: int | None = None, dtype: Any = None,
    name: str | None = None,
) -> Any:  # fmt: skip
    """A new axis of size `depth` with `on_value` at each index and `off_value` elsewhere (also for indices out of range).

    Raises:
        TypeError: the dtypes of on_value, off_value and dtype differ.
    """
    found = [v.dtype if hasattr(v, "dtype") else convert_to_tensor(v, dtype_hint=dtype).dtype for v in (on_value, off_value) if v is not None]
    kinds = [as_dtype(d).base_dtype for d in found]
    if dtype is not None:
        dtype = as_dtype(dtype)
        for which, kind in zip([n for n, v in (("on_value", on_value), ("off_value", off_value)) if v is not None], kinds, strict=True):
            if kind != dtype:
                raise TypeError(f"dtype {kind.name} of {which} does not match dtype parameter {dtype.name}")
    elif len(kinds) == 2 and kinds[0] != kinds[1]:
        raise TypeError(f"dtype {kinds[0].name} of on_value does not match dtype {kinds[1].name} of off_value")
    else:
        dtype = kinds[0] if kinds else dtypes.float32
    on = convert_to_tensor(1 if on_value is None else on_value, dtype) if on_value is not None or dtype.kind != "b" else constant(True)
    off = convert_to_tensor(0 if off_value is None else off_value, dtype) if off_value is not None or dtype.kind != "b" else constant(False)
    indices = convert_to_tensor(indices)
    if indices.dtype in (dtypes.int16, dtypes.uint16, dtypes.uint32):
        indices = tf.cast(indices, dtypes.int64)
    depth = convert_to_tensor(depth)
    return raw.OneHot(indices, depth if depth.dtype == dtypes.int32 else tf.cast(depth, dtypes.int32), on, off, axis=-1 if axis is None else axis, name=name)


onehot_op = op(
    "OneHot(indices: TI, depth: int32, on_value: T, off_value: T) -> (output: T); axis: int = -1; T: type; "
    "TI: {uint8, int8, int32, int64} = int64"
).not_differentiable()


@onehot_op.infer
def _(ctx: Any) -> Any:
    shape, axis, depth = ctx.shape(0), ctx.attr("axis"), ctx.value(1)
    if shape.rank is None:
        return unknown_shape()
    if not -1 <= axis <= shape.rank:
        raise ShapeError(f"OneHot: Expected axis to be -1 or between [0, {shape.rank}], received {axis}")
    dims = shape.as_list()
    dims.insert(shape.rank if axis == -1 else axis, None if depth is None else int(depth))
    return TensorShape(dims)


@onehot_op.kernel
def _(indices: np.ndarray, depth: np.ndarray, on: np.ndarray, off: np.ndarray, *, axis: int) -> np.ndarray:
    if depth.ndim:
        raise InvalidArgumentError(f"depth must be a scalar, but got: {list(depth.shape)}")
    count = int(depth)
    if count < 0:
        raise InvalidArgumentError(f"depth must be non-negative, got: {count}")
    place = indices.ndim if axis == -1 else axis
    flat = indices.reshape(-1)
    out = np.empty((flat.size, count), as_array(on).dtype)
    out[...] = off
    hit = (flat >= 0) & (flat < count)
    if hit.all():
        out[np.arange(flat.size), flat] = on
    else:
        out[np.flatnonzero(hit), flat[hit]] = on
    out = out.reshape(*indices.shape, count)
    return out if place == indices.ndim else np.ascontiguousarray(np.moveaxis(out, -1, place))


@public("placeholder_with_default", "compat.v1.placeholder_with_default")
def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Any:
    """`input`, which a caller of the graph may replace by another value of `shape`."""
    return raw.PlaceholderWithDefault(input, shape=shape, name=name)


@public("no_op")
def no_op(name: str | None = None) -> Any:
    """An op that does nothing; a place to hang control dependencies on."""
    return raw.NoOp(name=name)
