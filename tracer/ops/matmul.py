"""Matrix products: MatMul, the batched forms, products by names of axes live in einsum.py. Sparse matrices as such belong to the sparse family."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.gradient_rules import unbroadcast
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, broadcast_shapes, unknown_shape
from tracer.tensor import convert_to_tensor

# -- kernels ---------------------------------------------------------------------------------------------------------


def _is_narrow(dtype: np.dtype) -> bool:
    """Whether products of `dtype` are computed in float32: half and bfloat16."""
    return dtype.itemsize == 2 and dtype.kind not in "iu"


def _product(a: np.ndarray, b: np.ndarray, dtype: np.dtype) -> Any:
    """a @ b in `dtype`: narrow floats accumulate in float32, integers wrap."""
    if _is_narrow(dtype):
        return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(dtype)
    return np.matmul(a, b)


matmul_op = op(
    "MatMul(a: T, b: T) -> (product: T); transpose_a: bool = false; transpose_b: bool = false; "
    "T: {bfloat16, half, float, double, int32, int64, uint8, uint16, uint32, uint64, complex64, complex128}"
)


@matmul_op.infer
def _(ctx: Any) -> Any:
    a, b = ctx.shape(0).with_rank(2), ctx.shape(1).with_rank(2)
    m, k = (a[1], a[0]) if ctx.attr("transpose_a") else (a[0], a[1])
    k2, n = (b[1], b[0]) if ctx.attr("transpose_b") else (b[0], b[1])
    if k is not None and k2 is not None and k != k2:
        raise ShapeError(
            f"Dimensions must be equal, but are {k} and {k2} for MatMul with input shapes: {a}, {b} "
            f"(transpose_a={ctx.attr('transpose_a')}, transpose_b={ctx.attr('transpose_b')})"
        )
    return TensorShape([m, n])


def _check_matrices(a: np.ndarray, b: np.ndarray) -> None:
    if a.ndim != 2 or b.ndim != 2:
        raise InvalidArgumentError(f"MatMul: expected two matrices, received shapes {a.shape} and {b.shape}; use tf.matmul for batches")
    if a.shape[1] != b.shape[0]:
        raise InvalidArgumentError(f"Matrix size-incompatible: In[0]: {list(a.shape)}, In[1]: {list(b.shape)}")


@matmul_op.prepare
def _(attrs: Any) -> Any:
    turn_a, turn_b = attrs["transpose_a"], attrs["transpose_b"]
    dtype = attrs["T"].numpy
    narrow = _is_narrow(dtype)
    product = (lambda a, b: _product(a, b, dtype)) if narrow else np.matmul

    def kernel(a: np.ndarray, b: np.ndarray) -> Any:
        if turn_a:
            a = a.T
        if turn_b:
            b = b.T
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
            _check_matrices(a, b)
        return product(a, b)

    return kernel


@matmul_op.gradient
def _(node: Any, grad: Any) -> Any:
    a, b = node.inputs
    if a.dtype.is_complex:
        a, b = raw.Conj(a), raw.Conj(b)
    ta, tb = node.attr("transpose_a"), node.attr("transpose_b")
    if not ta and not tb:
        return raw.MatMul(grad, b, transpose_b=True), raw.MatMul(a, grad, transpose_a=True)
    if not ta:
        return raw.MatMul(grad, b), raw.MatMul(grad, a, transpose_a=True)
    if not tb:
        return raw.MatMul(b, grad, transpose_b=True), raw.MatMul(a, grad)
    return raw.MatMul(b, grad, transpose_a=True, transpose_b=True), raw.MatMul(grad, a, transpose_a=True, transpose_b=True)


# -- batches ---------------------------------------------------------------------------------------------------------

_V2_TYPES = "{bfloat16, half, float, double, int16, int32, int64, uint8, uint16, uint32, uint64, complex64, complex128}"
_V3_TYPES = "{bfloat16, half, float, double, uint8, int8, int16, int32, int64, complex64, complex128}"
batch_v1_op = op(
    "BatchMatMul(x: T, y: T) -> (output: T); T: {bfloat16, half, float, double, int32, int64, complex64, complex128}; "
    "adj_x: bool = false; adj_y: bool = false"
)
batch_v2_op = op(f"BatchMatMulV2(x: T, y: T) -> (output: T); T: {_V2_TYPES}; adj_x: bool = false; adj_y: bool = false")
batch_v3_op = op(
    f"BatchMatMulV3(x: Ta, y: Tb) -> (output: Tout); Ta: {_V3_TYPES}; Tb: {_V3_TYPES}; "
    "Tout: {bfloat16, half, float, double, int16, int32, int64, complex64, complex128}; adj_x: bool = false; adj_y: bool = false"
)


def _batch_shape(ctx: Any) -> Any:
    x, y = ctx.shape(0), ctx.shape(1)
    if x.rank is None or y.rank is None:
        return unknown_shape()
    if x.rank < 2 or y.rank < 2:
        raise ShapeError(f"{ctx.schema.name}: expected ranks of at least 2, received shapes {x} and {y}")
    m, k = (x[-1], x[-2]) if ctx.attr("adj_x") else (x[-2], x[-1])
    k2, n = (y[-1], y[-2]) if ctx.attr("adj_y") else (y[-2], y[-1])
    if k is not None and k2 is not None and k != k2:
        raise ShapeError(f"Dimensions must be equal, but are {k} and {k2} for {ctx.schema.name} with input shapes: {x}, {y}")
    if ctx.schema.name == "BatchMatMul":
        lead = TensorShape(x.as_list()[:-2]).merge_with(y.as_list()[:-2])
    else:
        lead = broadcast_shapes([x.as_list()[:-2], y.as_list()[:-2]])
    return lead.concatenate([m, n])


def _adjoint(x: np.ndarray) -> np.ndarray:
    x = np.swapaxes(x, -1, -2)
    return np.conjugate(x) if x.dtype.kind == "c" else x


def _batch_kernel(attrs: Any) -> Any:
    adj_x, adj_y = attrs["adj_x"], attrs["adj_y"]
    dtype = (attrs["Tout"] if "Tout" in attrs else attrs["T"]).numpy
    mixed = "Tout" in attrs and not (attrs["Ta"] == attrs["Tb"] == attrs["Tout"])
    narrow = _is_narrow(dtype)

    def kernel(x: np.ndarray, y: np.ndarray) -> Any:
        if x.ndim < 2 or y.ndim < 2:
            raise InvalidArgumentError(f"expected ranks of at least 2, received shapes {x.shape} and {y.shape}")
        if adj_x:
            x = _adjoint(x)
        if adj_y:
            y = _adjoint(y)
        if x.shape[-1] != y.shape[-2]:
            raise InvalidArgumentError(f"Matrix size-incompatible: In[0]: {list(x.shape)}, In[1]: {list(y.shape)}")
        if mixed:
            x, y = x.astype(dtype), y.astype(dtype)
        if narrow:
            return _product(x, y, dtype)
        if y.ndim == 2 and x.ndim > 2 and x.flags.c_contiguous:
            # one large product is faster than many small ones
            return np.matmul(x.reshape(-1, x.shape[-1]), y).reshape(x.shape[:-1] + y.shape[-1:])
        return np.matmul(x, y)

    return kernel


def _batch_gradient(node: Any, grad: Any) -> Any:
    x, y = node.inputs
    adj_x, adj_y = node.attr("adj_x"), node.attr("adj_y")
    product = raw.BatchMatMulV2
    if not adj_x:
        gx = product(grad, y, adj_x=False, adj_y=not adj_y)
        gy = product(grad, x, adj_x=True, adj_y=False) if adj_y else product(x, grad, adj_x=True, adj_y=False)
    else:
        gx = product(y, grad, adj_x=adj_y, adj_y=True)
        gy = product(grad, x, adj_x=True, adj_y=True) if adj_y else product(x, grad, adj_x=False, adj_y=False)
    return _unbatch(gx, x), _unbatch(gy, y)


def _unbatch(grad: Any, like: Any) -> Any:
    """`grad` summed over the batch axes that `like` was broadcast along; the matrices themselves have the right size."""
    return unbroadcast(grad, like)


for _record in (batch_v1_op, batch_v2_op, batch_v3_op):
    _record.infer(_batch_shape)
    _record.prepare(_batch_kernel)
    _record.gradient(_batch_gradient)

sparse_matmul_op = op(
    "SparseMatMul(a: Ta, b: Tb) -> (product: float); transpose_a: bool = false; transpose_b: bool = false; "
    "a_is_sparse: bool = false; b_is_sparse: bool = false; Ta: {float, bfloat16} = float; Tb: {float, bfloat16} = float"
)


@sparse_matmul_op.infer
def _(ctx: Any) -> Any:
    a, b = ctx.shape(0).with_rank(2), ctx.shape(1).with_rank(2)
    m, k = (a[1], a[0]) if ctx.attr("transpose_a") else (a[0], a[1])
    k2, n = (b[1], b[0]) if ctx.attr("transpose_b") else (b[0], b[1])
    if k is not None and k2 is not None and k != k2:
        raise ShapeError(f"SparseMatMul: inner dimensions must be equal, received {a} and {b}")
    return TensorShape([m, n])


@sparse_matmul_op.kernel
def _(a: np.ndarray, b: np.ndarray, *, transpose_a: bool, transpose_b: bool) -> Any:
    a, b = (a.T if transpose_a else a), (b.T if transpose_b else b)
    _check_matrices(a, b)
    return np.matmul(a.astype(np.float32, copy=False), b.astype(np.float32, copy=False))


@sparse_matmul_op.gradient
def _(node: Any, grad: Any) -> Any:
    a, b = node.inputs
    ta, tb = node.attr("transpose_a"), node.attr("transpose_b")
    wide_a, wide_b = (raw.Cast(t, DstT="float32") if t.dtype != dtypes.float32 else t for t in (a, b))
    if not ta and not tb:
        ga, gb = raw.MatMul(grad, wide_b, transpose_b=True), raw.MatMul(wide_a, grad, transpose_a=True)
    elif not ta:
        ga, gb = raw.MatMul(grad, wide_b), raw.MatMul(grad, wide_a, transpose_a=True)
    elif not tb:
        ga, gb = raw.MatMul(wide_b, grad, transpose_b=True), raw.MatMul(wide_a, grad)
    else:
        ga = raw.MatMul(wide_b, grad, transpose_a=True, transpose_b=True)
        gb = raw.MatMul(grad, wide_a, transpose_a=True, transpose_b=True)
    return tuple(raw.Cast(g, DstT=t.dtype) if t.dtype != dtypes.float32 else g for g, t in ((ga, a), (gb, b)))


# -- public functions ------------------------------------------------------------------------------------------------


@public("matmul", "linalg.matmul")
def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, adjoint_a: bool = False, adjoint_b: bool = False,
    a_is_sparse: bool = False, b_is_sparse: bool = False, output_type: Any = None, name: str | None = None,
) -> Any:  # fmt: skip
    """The product of the matrices in the last two axes; leading axes broadcast.

    Args:
        transpose_a, transpose_b: swap the last two axes first.
        adjoint_a, adjoint_b: swap and conjugate.
        output_type: the dtype to compute in and to return, where it differs.

    Raises:
        ValueError: both a transpose and an adjoint, or shapes that do not fit.
    """
    if transpose_a and adjoint_a:
        raise InvalidArgumentError("Only one of `transpose_a` and `adjoint_a` can be True.")
    if transpose_b and adjoint_b:
        raise InvalidArgumentError("Only one of `transpose_b` and `adjoint_b` can be True.")
    a_dtype = getattr(a, "dtype", None)
    if a_dtype is None and isinstance(getattr(b, "dtype", None), dtypes.DType):
        b = convert_to_tensor(b)
        a = convert_to_tensor(a, dtype_hint=b.dtype.base_dtype)
    else:
        a = convert_to_tensor(a)
        b = convert_to_tensor(b, dtype_hint=a.dtype.base_dtype)
    rank_a, rank_b = a.shape.rank, b.shape.rank
    other_type = output_type is not None and dtypes.as_dtype(output_type) != a.dtype.base_dtype
    may_be_batch = rank_a is None or rank_a > 2 or rank_b is None or rank_b > 2
    if (may_be_batch and not a_is_sparse and not b_is_sparse) or other_type:
        if transpose_a:
            a, adjoint_a = _conjugated(a), True
        if transpose_b:
            b, adjoint_b = _conjugated(b), True
        if other_type or a.dtype.base_dtype != b.dtype.base_dtype:
            wanted = dtypes.as_dtype(output_type) if output_type is not None else a.dtype.base_dtype
            return raw.BatchMatMulV3(a, b, adj_x=adjoint_a, adj_y=adjoint_b, Tout=wanted, name=name)
        return raw.BatchMatMulV2(a, b, adj_x=adjoint_a, adj_y=adjoint_b, name=name)
    if adjoint_a:
        a, transpose_a = _conjugated(a), True
    if adjoint_b:
        b, transpose_b = _conjugated(b), True
    if (a_is_sparse or b_is_sparse) and {a.dtype, b.dtype} <= {dtypes.float32, dtypes.bfloat16}:
        out = raw.SparseMatMul(
            a, b, transpose_a=transpose_a, transpose_b=transpose_b, a_is_sparse=a_is_sparse, b_is_sparse=b_is_sparse, name=name
        )
        return raw.Cast(out, DstT="bfloat16") if a.dtype == b.dtype == dtypes.bfloat16 else out
    return raw.MatMul(a, b, transpose_a=transpose_a, transpose_b=transpose_b, name=name)


def _conjugated(x: Any) -> Any:
    return raw.Conj(x) if x.dtype.is_complex else x


@public("linalg.matvec")
def matvec(
    a: Any, b: Any, transpose_a: bool = False, adjoint_a: bool = False, a_is_sparse: bool = False, b_is_sparse: bool = False,
    name: str | None = None,
) -> Any:  # fmt: skip
    """The product of the matrices in the last two axes of `a` with the vectors in the last axis of `b`."""
    b = convert_to_tensor(b, dtype_hint=getattr(a, "dtype", None))
    out = matmul(
        a, raw.ExpandDims(b, np.int32(-1)), transpose_a=transpose_a, adjoint_a=adjoint_a, a_is_sparse=a_is_sparse, b_is_sparse=b_is_sparse
    )
    return raw.Squeeze(out, squeeze_dims=[-1], name=name)


@public("tensordot", "linalg.tensordot")
def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Any:
    """The sum of products over chosen axes: the last `axes` of `a` with the first of `b`, or `axes = (axes of a, axes of b)`.

    Raises:
        ValueError: axes that do not pair up.
    """
    a = convert_to_tensor(a)
    b = convert_to_tensor(b, a.dtype.base_dtype)
    a_axes, b_axes = _tensordot_axes(a, b, axes)
    a_flat, a_free, a_free_static = _flatten_for_product(a, a_axes, last=True)
    b_flat, b_free, b_free_static = _flatten_for_product(b, b_axes, last=False)
    product = matmul(a_flat, b_flat)
    static = TensorShape(a_free_static).concatenate(b_free_static) if a_free_static is not None and b_free_static is not None else unknown_shape()
    if static.is_fully_defined():
        return raw.Reshape(product, convert_to_tensor(np.array(static.as_list(), np.int32).reshape(-1)), name=name)
    out = raw.Reshape(product, raw.ConcatV2([a_free, b_free], np.int32(0)), name=name)
    if hasattr(out, "set_shape"):
        out.set_shape(static)
    return out


def _tensordot_axes(a: Any, b: Any, axes: Any) -> tuple[Any, Any]:
    from tracer.infer import constant_value

    if hasattr(axes, "dtype") and not isinstance(axes, np.ndarray):
        value = constant_value(axes)
        if value is None:
            return axes[0], axes[1]
        axes = value
    if isinstance(axes, np.ndarray):
        axes = axes.tolist()
    if isinstance(axes, (int, np.integer)):
        count = int(axes)
        if count < 0:
            raise InvalidArgumentError(f"`axes` must be at least 0. Received: {count}.")
        if a.shape.rank is not None:
            if count > a.shape.rank:
                raise InvalidArgumentError(f"`axes` must not be larger than the number of dimensions of tensor {a}. Received {count}, vs tensor dimensions {a.shape.rank}.")
            return list(range(a.shape.rank - count, a.shape.rank)), list(range(count))
        rank = raw.Rank(a)
        return raw.Range(raw.Sub(rank, np.int32(count)), rank, np.int32(1)), list(range(count))
    if len(axes) != 2:
        raise InvalidArgumentError("`axes` must be an integer or have length 2.")
    first, second = ([x] if isinstance(x, (int, np.integer)) else x for x in axes)
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)) and len(first) != len(second):
        raise InvalidArgumentError(f"Different number of contraction axes `a` and `b`, {len(first)} != {len(second)}.")
    return first, second


def _flatten_for_product(x: Any, axes: Any, last: bool) -> tuple[Any, Any, Any]:
    """`x` as a matrix with the contracted axes last (or first), the free sizes as a tensor, and statically."""
    rank = x.shape.rank
    if rank is not None and isinstance(axes, (list, tuple)):
        for axis in axes:
            if not -rank <= axis < rank:
                raise InvalidArgumentError(f"contraction axis {axis} is out of range for a tensor of rank {rank}")
        bound = [int(i) % rank for i in axes]
        free = [i for i in range(rank) if i not in bound]
        order = free + bound if last else bound + free
        moved = raw.Transpose(x, np.array(order, np.int32)) if order != list(range(rank)) else x
        sizes = [x.shape[i] for i in range(rank)]
        free_sizes, bound_sizes = [sizes[i] for i in free], [sizes[i] for i in bound]
        if None not in sizes:
            m = int(np.prod(free_sizes, dtype=np.int64))
            k = int(np.prod(bound_sizes, dtype=np.int64))
            flat = raw.Reshape(moved, np.array([m, k] if last else [k, m], np.int32))
            return flat, convert_to_tensor(np.array(free_sizes, np.int32).reshape(-1)), free_sizes
        shape = raw.Shape(x)
        zero = np.int32(0)
        free_tensor = raw.GatherV2(shape, np.array(free, np.int32).reshape(-1), zero)
        bound_tensor = raw.GatherV2(shape, np.array(bound, np.int32).reshape(-1), zero)
        static: Any = free_sizes
    else:
        shape = raw.Shape(x)
        rank_tensor = raw.Rank(x)
        bound_axes = convert_to_tensor(axes, "int32")
        bound_axes = raw.SelectV2(raw.GreaterEqual(bound_axes, np.int32(0)), bound_axes, raw.AddV2(bound_axes, rank_tensor))
        free_axes, _ = raw.ListDiff(raw.Range(np.int32(0), rank_tensor, np.int32(1)), bound_axes)
        zero = np.int32(0)
        free_tensor, bound_tensor = raw.GatherV2(shape, free_axes, zero), raw.GatherV2(shape, bound_axes, zero)
        parts = [free_axes, bound_axes] if last else [bound_axes, free_axes]
        moved = raw.Transpose(x, raw.ConcatV2(parts, zero))
        static = None
    m, k = raw.Prod(free_tensor, np.int32(0)), raw.Prod(bound_tensor, np.int32(0))
    return raw.Reshape(moved, raw.Pack([m, k] if last else [k, m])), free_tensor, static


@public("linalg.adjoint")
def adjoint(matrix: Any, name: str | None = None) -> Any:
    """The last two axes swapped, and conjugated."""
    return tf.linalg.matrix_transpose(convert_to_tensor(matrix), conjugate=True, name=name or "adjoint")
