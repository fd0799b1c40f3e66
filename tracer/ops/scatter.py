"""Writing by index into fresh tensors: ScatterNd, TensorScatter…, Inplace…. Scatters into variables live in variables.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.scatter_add import add_at
from tracer.shapes import TensorShape
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []


def _index(indices: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The index vectors in the last axis of `indices`, checked against `shape`, one flat array per axis."""
    depth = indices.shape[-1] if indices.ndim else 1
    if depth > len(shape):
        raise InvalidArgumentError(
            f"The inner {depth} dimensions of output.shape={list(shape)} do not exist: indices.shape={list(indices.shape)} asks for {depth} index components"
        )
    flat = indices.reshape(-1, depth)
    limits = np.array(shape[:depth], np.int64)
    wrong = ((flat < 0) | (flat >= limits)).any(axis=1)
    if wrong.any():
        bad = int(np.flatnonzero(wrong)[0])
        where = ",".join(str(i) for i in np.unravel_index(bad, indices.shape[:-1])) if indices.ndim > 1 else ""
        raise InvalidArgumentError(f"indices[{where}] = [{', '.join(map(str, flat[bad].tolist()))}] does not index into shape [{','.join(map(str, shape))}]")
    return tuple(flat[:, i] for i in range(depth))


def _rows(indices: np.ndarray, updates: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`updates` with its leading axes merged, checked to fit; one row per index vector."""
    depth = indices.shape[-1] if indices.ndim else 1
    rest = tuple(shape[depth:])
    wanted = (*indices.shape[:-1], *rest)
    if updates.shape != wanted:
        raise InvalidArgumentError(
            f"Dimensions [0,{max(indices.ndim - 1, 0)}) of indices[shape={list(indices.shape)}] must match dimensions [0,{max(indices.ndim - 1, 0)}) of "
            f"updates[shape={list(updates.shape)}]: expected updates of shape {list(wanted)} for an output of shape {list(shape)}"
        )
    count = int(np.prod(indices.shape[:-1], dtype=np.int64))
    return updates.reshape(count, *rest)


def _assign(out: np.ndarray, index: tuple[np.ndarray, ...], rows: np.ndarray) -> None:
    out[index] = rows


def _subtract(out: np.ndarray, index: tuple[np.ndarray, ...], rows: np.ndarray) -> None:
    add_at(out, index, np.negative(rows))


def _least(out: np.ndarray, index: tuple[np.ndarray, ...], rows: np.ndarray) -> None:
    np.minimum.at(out, index, rows)


def _greatest(out: np.ndarray, index: tuple[np.ndarray, ...], rows: np.ndarray) -> None:
    np.maximum.at(out, index, rows)


def _scatter(out: np.ndarray, indices: np.ndarray, updates: np.ndarray, combine: Callable[..., None]) -> np.ndarray:
    rows = _rows(indices, updates, out.shape)
    if not indices.size and indices.shape[-1:] != (0,):
        return out
    if indices.shape[-1] == 0:  # every row is the whole tensor
        for row in rows:
            combine(out[None], (np.zeros(1, np.int64),), row[None])
        return out
    combine(out, _index(indices, out.shape), rows)
    return out


# -- ScatterNd -------------------------------------------------------------------------------------------------------

scatter_nd_op = op("ScatterNd(indices: Tindices, updates: T, shape: Tindices) -> (output: T); T: type; Tindices: {int16, int32, int64}")


@scatter_nd_op.infer
def _(ctx: Any) -> Any:
    out = ctx.value_as_shape(2)
    indices, updates = ctx.shape(0), ctx.shape(1)
    if out.rank is not None and indices.rank not in (None, 0) and indices[-1] is not None:
        depth = indices[-1]
        if depth > out.rank:
            raise ShapeError(f"ScatterNd: indices {indices} address {depth} axes of an output of shape {out}")
        if not indices[:-1].concatenate(out[depth:]).is_compatible_with(updates):
            raise ShapeError(f"ScatterNd: expected updates of shape {indices[:-1].concatenate(out[depth:])}, received {updates}")
    return out


@scatter_nd_op.kernel
def _(indices: np.ndarray, updates: np.ndarray, shape: np.ndarray) -> np.ndarray:
    dims = shape.tolist()
    if any(d < 0 for d in dims):
        raise InvalidArgumentError(f"Shape must be non-negative, received {dims}")
    out = np.full(dims, b"", object) if updates.dtype == object else np.zeros(dims, updates.dtype)
    if 0 in dims and indices.size:
        raise InvalidArgumentError(f"Indices and updates specified for empty output of shape {dims}")
    return _scatter(out, indices, updates, add_at)


@scatter_nd_op.gradient
def _(node: Any, grad: Any) -> Any:
    return None, raw.GatherNd(grad, node.inputs[0]), None


non_aliasing_op = op(
    "ScatterNdNonAliasingAdd(input: T, indices: Tindices, updates: T) -> (output: T); T: {float, double, int32, uint8, int16, int8, complex64, "
    "int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, complex128, half, uint32, uint64, bool}; Tindices: {int32, int64}"
)
non_aliasing_op.infer(infer.unchanged)
non_aliasing_op.kernel(lambda x, indices, updates: _scatter(np.array(x), indices, updates, add_at))


@non_aliasing_op.gradient
def _(node: Any, grad: Any) -> Any:
    return grad, None, raw.GatherNd(grad, node.inputs[1])


# -- TensorScatter… --------------------------------------------------------------------------------------------------


def _updated_shape(ctx: Any) -> Any:
    out, indices, updates = ctx.shape(0), ctx.shape(1), ctx.shape(2)
    if out.rank is not None and indices.rank not in (None, 0) and indices[-1] is not None:
        if indices[-1] > out.rank:
            raise ShapeError(f"{ctx.schema.name}: indices {indices} address {indices[-1]} axes of a tensor of shape {out}")
        wanted = indices[:-1].concatenate(out[indices[-1] :])
        if not wanted.is_compatible_with(updates):
            raise ShapeError(f"{ctx.schema.name}: expected updates of shape {wanted}, received {updates}")
    return out


def _tensor_scatter(name: str, kinds: str, combine: Callable[..., None]) -> Any:
    record = op(f"TensorScatter{name}(tensor: T, indices: Tindices, updates: T) -> (output: T); T: type; Tindices: {kinds}")
    record.infer(_updated_shape)

    @record.kernel
    def _(x: np.ndarray, indices: np.ndarray, updates: np.ndarray) -> np.ndarray:
        return _scatter(np.array(x), indices, updates, combine)

    return record


scatter_update_op = _tensor_scatter("Update", "{int16, int32, int64, uint16}", _assign)
scatter_add_op = _tensor_scatter("Add", "{int32, int64}", add_at)
scatter_sub_op = _tensor_scatter("Sub", "{int32, int64}", _subtract)
scatter_min_op = _tensor_scatter("Min", "{int32, int64}", _least)
scatter_max_op = _tensor_scatter("Max", "{int32, int64}", _greatest)


@scatter_update_op.gradient
def _(node: Any, grad: Any) -> Any:
    indices = _wide(node.inputs[1])
    cleared = raw.TensorScatterUpdate(raw.Identity(grad), indices, tf.zeros_like(node.inputs[2]))
    return cleared, None, raw.GatherNd(grad, indices)


def _wide(indices: Any) -> Any:
    return tf.cast(indices, dtypes.int32) if indices.dtype in (dtypes.int16, dtypes.uint16) else indices


@scatter_add_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Identity(grad), None, raw.GatherNd(grad, node.inputs[1])


@scatter_sub_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Identity(grad), None, -raw.GatherNd(grad, node.inputs[1])


def _extreme_grad(node: Any, grad: Any) -> Any:
    """The gradient goes to whatever equals the result; where several do, in equal parts."""
    x, indices, updates = node.inputs
    output = node.outputs[0]
    kept = tf.cast(tf.equal(x, output), grad.dtype)
    reached = tf.cast(tf.equal(updates, raw.GatherNd(output, indices)), grad.dtype)
    counts = raw.TensorScatterAdd(kept, indices, reached)
    shared = grad / tf.where(tf.equal(counts, 0), tf.ones_like(counts), counts)
    return shared * kept, None, raw.GatherNd(shared, indices) * reached


scatter_min_op.gradient(_extreme_grad)
scatter_max_op.gradient(_extreme_grad)

# -- Inplace… (a copy here: nobody can tell the difference) ------------------------------------------------------------


def _inplace(name: str, combine: Callable[[np.ndarray, np.ndarray, np.ndarray], None]) -> None:
    record = op(f"{name}(x: T, i: int32, v: T) -> (y: T); T: type")
    record.infer(infer.unchanged)

    @record.kernel
    def _(x: np.ndarray, i: np.ndarray, v: np.ndarray) -> np.ndarray:
        out = np.array(x)
        rows = np.ravel(i) % out.shape[0] if out.shape[0] else np.ravel(i)
        combine(out, rows, v.reshape(rows.size, *out.shape[1:]))
        return out

    record.not_differentiable()


def _add_rows(out: np.ndarray, rows: np.ndarray, v: np.ndarray) -> None:
    add_at(out, (rows,), v)


def _sub_rows(out: np.ndarray, rows: np.ndarray, v: np.ndarray) -> None:
    add_at(out, (rows,), np.negative(v))


def _set_rows(out: np.ndarray, rows: np.ndarray, v: np.ndarray) -> None:
    out[rows] = v


_inplace("InplaceUpdate", _set_rows)
_inplace("InplaceAdd", _add_rows)
_inplace("InplaceSub", _sub_rows)

# -- public functions ------------------------------------------------------------------------------------------------


def _indices(value: Any) -> Any:
    out = convert_to_tensor(value)
    return tf.cast(out, dtypes.int32) if out.dtype in (dtypes.int8, dtypes.uint8) else out


@public("scatter_nd")
def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Any:
    """Zeros of `shape` with `updates` added at the index vectors in the last axis of `indices`."""
    indices = _indices(indices)
    if isinstance(shape, TensorShape):
        shape = shape.as_list()
    shape = shape if isinstance(shape, Tensor) else convert_to_tensor(shape, indices.dtype)
    return raw.ScatterNd(indices, updates, shape if shape.dtype == indices.dtype else tf.cast(shape, indices.dtype), name=name)


def _public_scatter(name: str, op_name: str, what: str) -> None:
    def function(tensor: Any, indices: Any, updates: Any, name: str | None = None) -> Any:
        tensor = convert_to_tensor(tensor)
        return getattr(raw, op_name)(tensor, _indices(indices), updates, name=name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`tensor` with `updates` {what} at the index vectors in the last axis of `indices`."
    public(name)(function)


_public_scatter("tensor_scatter_nd_update", "TensorScatterUpdate", "written")
_public_scatter("tensor_scatter_nd_add", "TensorScatterAdd", "added")
_public_scatter("tensor_scatter_nd_sub", "TensorScatterSub", "subtracted")
_public_scatter("tensor_scatter_nd_min", "TensorScatterMin", "taken where less")
_public_scatter("tensor_scatter_nd_max", "TensorScatterMax", "taken where greater")
