"""Inverses, solvers, determinants, LU, square roots and exponentials of matrices, tridiagonal systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import infer, matrix_functions
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.gradient_rules import unbroadcast
from tracer.matrix_rules import (
    adj,
    as_columns,
    as_rows,
    both_forms,
    check_square,
    infer_square,
    lower_part,
    mm,
    number,
    square_shape,
    upper_part,
    widened,
)
from tracer.public import tf
from tracer.registry import op
from tracer.shapes import TensorShape, broadcast_shapes, unknown_shape

_FIELD = "{double, float, half, complex64, complex128}"
_BATCH = "{double, float}"

def _infer_solve(ctx: Any) -> Any:
    a, b = square_shape(ctx.shape(0)), ctx.shape(1)
    if a.rank is None or b.rank is None:
        return unknown_shape()
    if b.rank < 2:
        raise ShapeError(f"expected right sides of rank at least 2, received shape {b}")
    if a[-1] is not None and b[-2] is not None and a[-1] != b[-2]:
        raise ShapeError(f"Dimensions must be equal, but are {a[-1]} and {b[-2]} for matrices {a} and right sides {b}")
    side = a[-1] if b[-2] is None else b[-2]
    if "Triangular" in ctx.schema.name and "Batch" not in ctx.schema.name:
        lead = broadcast_shapes([a.as_list()[:-2], b.as_list()[:-2]])
    else:
        lead = TensorShape(a.as_list()[:-2]).merge_with(b.as_list()[:-2])
    return lead.concatenate([side, b[-1]])


def _lead_shape(ctx: Any) -> Any:
    shape = square_shape(ctx.shape(0))
    return [shape if shape.rank is None else TensorShape(shape.as_list()[:-2])] * len(ctx.output_dtypes)


# -- inverses, solvers, determinants ---------------------------------------------------------------------------------


def _inverse(x: np.ndarray, *, adjoint: bool) -> Any:
    check_square(x)
    wide = widened(x)
    try:
        return np.linalg.inv(matrix_functions.adjoint(wide) if adjoint else wide).astype(x.dtype)
    except np.linalg.LinAlgError:
        raise InvalidArgumentError("Input is not invertible.") from None


def _inverse_gradient(node: Any, grad: Any) -> Any:
    turned = bool(node.attr("adjoint"))
    inverse = node.outputs[0]
    inner = mm(grad, inverse, adjoint_a=turned, adjoint_b=not turned)
    return raw.Neg(mm(inverse, inner, adjoint_a=not turned))


both_forms(
    f"MatrixInverse(input: T) -> (output: T); adjoint: bool = false; T: {_FIELD}",
    f"BatchMatrixInverse(input: T) -> (output: T); adjoint: bool = false; T: {_BATCH}",
    infer_square, _inverse, _inverse_gradient,
)  # fmt: skip


def _check_system(a: np.ndarray, b: np.ndarray) -> None:
    check_square(a)
    if b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise InvalidArgumentError(f"Input matrix and rhs are incompatible: {list(a.shape)} and {list(b.shape)}")


def _solve(a: np.ndarray, b: np.ndarray, *, adjoint: bool) -> Any:
    _check_system(a, b)
    if a.shape[:-2] != b.shape[:-2]:
        raise InvalidArgumentError(f"All input tensors must have the same outer dimensions, received {a.shape} and {b.shape}")
    wide = widened(a)
    if adjoint:
        wide = matrix_functions.adjoint(wide)
    try:
        return np.linalg.solve(wide, widened(b)).astype(b.dtype)
    except np.linalg.LinAlgError:
        raise InvalidArgumentError("Input matrix is not invertible.") from None


def _solve_gradient(node: Any, grad: Any) -> Any:
    a, x = node.inputs[0], node.outputs[0]
    turned = bool(node.attr("adjoint"))
    grad_b = raw.MatrixSolve(a, grad, adjoint=not turned)
    grad_a = mm(x, grad_b, adjoint_b=True) if turned else mm(grad_b, x, adjoint_b=True)
    return raw.Neg(grad_a), grad_b


both_forms(
    f"MatrixSolve(matrix: T, rhs: T) -> (output: T); adjoint: bool = false; T: {_FIELD}",
    f"BatchMatrixSolve(matrix: T, rhs: T) -> (output: T); adjoint: bool = false; T: {_BATCH}",
    _infer_solve, _solve, _solve_gradient,
)  # fmt: skip


def _triangular_solve(a: np.ndarray, b: np.ndarray, *, lower: bool, adjoint: bool) -> Any:
    _check_system(a, b)
    return matrix_functions.solve_triangular(widened(a), widened(b), lower, adjoint).astype(b.dtype)


def _triangular_solve_gradient(node: Any, grad: Any) -> Any:
    a, b = node.inputs
    x = node.outputs[0]
    lower, turned = bool(node.attr("lower")), bool(node.attr("adjoint"))
    grad_b = raw.MatrixTriangularSolve(a, grad, lower=lower, adjoint=not turned)
    grad_a = raw.Neg(mm(x, grad_b, adjoint_b=True) if turned else mm(grad_b, x, adjoint_b=True))
    grad_a = lower_part(grad_a) if lower else upper_part(grad_a)
    return unbroadcast(grad_a, a), unbroadcast(grad_b, b)


both_forms(
    "MatrixTriangularSolve(matrix: T, rhs: T) -> (output: T); lower: bool = true; adjoint: bool = false; "
    "T: {bfloat16, double, float, half, complex64, complex128}",
    f"BatchMatrixTriangularSolve(matrix: T, rhs: T) -> (output: T); lower: bool = true; adjoint: bool = false; T: {_BATCH}",
    _infer_solve, _triangular_solve, _triangular_solve_gradient,
)  # fmt: skip

banded_op = op(
    f"BandedTriangularSolve(matrix: T, rhs: T) -> (output: T); lower: bool = true; adjoint: bool = false; T: {_FIELD}"
)


@banded_op.infer
def _(ctx: Any) -> Any:
    a, b = ctx.shape(0), ctx.shape(1)
    if a.rank is None or b.rank is None:
        return unknown_shape()
    lead = broadcast_shapes([a.as_list()[:-2], b.as_list()[:-2]])
    return lead.concatenate([a[-1] if b[-2] is None else b[-2], b[-1]])


def _dense(bands: np.ndarray, lower: bool) -> np.ndarray:
    """The triangular matrix of bands [..., k, n]: row 0 is the main diagonal if lower, the last row if upper."""
    count, n = bands.shape[-2:]
    out = np.zeros((*bands.shape[:-2], n, n), bands.dtype)
    for i in range(count):
        d = i if lower else count - 1 - i
        steps = np.arange(n - d)
        if lower:
            out[..., steps + d, steps] = bands[..., i, d:]
        else:
            out[..., steps, steps + d] = bands[..., i, : n - d]
    return out


@banded_op.kernel
def _(bands: np.ndarray, rhs: np.ndarray, *, lower: bool, adjoint: bool) -> Any:
    if bands.ndim < 2 or rhs.ndim < 2 or bands.shape[-1] != rhs.shape[-2]:
        raise InvalidArgumentError(f"Input matrix and rhs are incompatible: {list(bands.shape)} and {list(rhs.shape)}")
    return matrix_functions.solve_triangular(_dense(widened(bands), lower), widened(rhs), lower, adjoint).astype(rhs.dtype)


@banded_op.gradient
def _(node: Any, grad: Any) -> Any:
    bands, rhs = node.inputs
    x = node.outputs[0]
    lower, turned = bool(node.attr("lower")), bool(node.attr("adjoint"))
    grad_b = raw.BandedTriangularSolve(bands, grad, lower=lower, adjoint=not turned)
    grad_a = raw.Neg(mm(x, grad_b, adjoint_b=True) if turned else mm(grad_b, x, adjoint_b=True))
    count = bands.shape[-2]
    if count is None:
        raise InvalidArgumentError("the gradient of BandedTriangularSolve needs a static number of bands")
    zero = number(0.0, grad_a)
    if count == 1:
        slope = as_rows(raw.MatrixDiagPartV3(grad_a, 0, zero))
    elif lower:
        slope = raw.MatrixDiagPartV3(grad_a, [-(count - 1), 0], zero, align="LEFT_RIGHT")
    else:
        slope = raw.MatrixDiagPartV3(grad_a, [0, count - 1], zero, align="LEFT_RIGHT")
    return unbroadcast(slope, bands), unbroadcast(grad_b, rhs)


def _solve_ls(a: np.ndarray, b: np.ndarray, l2: np.ndarray, *, fast: bool) -> Any:
    if a.ndim < 2 or b.ndim != a.ndim or a.shape[-2] != b.shape[-2]:
        raise InvalidArgumentError(f"Input matrix and rhs are incompatible: {list(a.shape)} and {list(b.shape)}")
    m, n = a.shape[-2:]
    wide, rhs = widened(a), widened(b)
    if fast:
        weight = wide.dtype.type(float(l2))
        turned = matrix_functions.adjoint(wide)
        try:
            if m >= n:
                out = np.linalg.solve(turned @ wide + weight * np.eye(n, dtype=wide.dtype), turned @ rhs)
            else:
                out = turned @ np.linalg.solve(wide @ turned + weight * np.eye(m, dtype=wide.dtype), rhs)
        except np.linalg.LinAlgError:
            raise InvalidArgumentError("Input matrix was rank deficient or ill-conditioned. Try setting fast=False or a larger l2_regularizer.") from None
        return out.astype(b.dtype)
    return (np.linalg.pinv(wide, rcond=max(m, n) * np.finfo(wide.dtype).eps) @ rhs).astype(b.dtype)


def _solve_ls_gradient(node: Any, grad: Any) -> Any:
    a, b, l2 = node.inputs
    if not node.attr("fast"):
        raise InvalidArgumentError("Gradient not defined for fast=False: call the least squares solver with fast=True")
    x = node.outputs[0]
    m, n = a.shape[-2], a.shape[-1]
    if m is None or n is None:
        raise InvalidArgumentError(f"the gradient of MatrixSolveLs needs static sizes, received shape {a.shape}")
    weight = raw.Cast(l2, DstT=a.dtype)

    def gram_solve(rhs: Any) -> Any:
        gram = mm(a, a, adjoint_a=True) if m >= n else mm(a, a, adjoint_b=True)
        gram = raw.MatrixSetDiag(gram, raw.AddV2(raw.MatrixDiagPart(gram), weight))
        l = raw.Cholesky(gram)
        return raw.MatrixTriangularSolve(l, raw.MatrixTriangularSolve(l, rhs), adjoint=True)

    if m >= n:
        z = gram_solve(grad)
        xz = mm(x, z, adjoint_b=True)
        grad_a = raw.Sub(mm(b, z, adjoint_b=True), mm(a, raw.AddV2(xz, adj(xz))))
        return grad_a, mm(a, z), None
    grad_b = gram_solve(mm(a, grad))
    tmp = gram_solve(b)
    first = raw.Neg(mm(grad_b, mm(tmp, a, adjoint_a=True)))
    second = mm(tmp, raw.Sub(grad, mm(a, grad_b, adjoint_a=True)), adjoint_b=True)
    return raw.AddV2(first, second), grad_b, None


def _infer_ls(ctx: Any) -> Any:
    a, b = ctx.shape(0), ctx.shape(1)
    if a.rank is None or b.rank is None:
        return unknown_shape()
    return TensorShape(a.as_list()[:-2]).merge_with(b.as_list()[:-2]).concatenate([a[-1], b[-1]])


both_forms(
    f"MatrixSolveLs(matrix: T, rhs: T, l2_regularizer: double) -> (output: T); T: {_FIELD}; fast: bool = true",
    f"BatchMatrixSolveLs(matrix: T, rhs: T, l2_regularizer: double) -> (output: T); T: {_BATCH}; fast: bool = true",
    _infer_ls, _solve_ls, _solve_ls_gradient,
)  # fmt: skip


def _determinant(x: np.ndarray) -> Any:
    check_square(x)
    return np.linalg.det(widened(x)).astype(x.dtype)


def _with_matrix_axes(x: Any) -> Any:
    return as_columns(as_columns(x))


def _determinant_gradient(node: Any, grad: Any) -> Any:
    inverse = raw.MatrixInverse(node.inputs[0], adjoint=True)
    return raw.Mul(_with_matrix_axes(raw.Mul(grad, node.outputs[0])), inverse)


both_forms(
    "MatrixDeterminant(input: T) -> (output: T); T: {half, float, double, complex64, complex128}",
    "BatchMatrixDeterminant(input: T) -> (output: T); T: {float, double, complex64, complex128}",
    _lead_shape, _determinant, _determinant_gradient,
)  # fmt: skip

log_determinant_op = op(
    "LogMatrixDeterminant(input: T) -> (sign: T, log_abs_determinant: T); T: {half, float, double, complex64, complex128}"
)
log_determinant_op.infer(_lead_shape)


@log_determinant_op.kernel
def _(x: np.ndarray) -> Any:
    check_square(x)
    sign, log = np.linalg.slogdet(widened(x))
    return np.asarray(sign).astype(x.dtype), np.asarray(log).astype(x.dtype)


@log_determinant_op.gradient
def _(node: Any, _: Any, grad: Any) -> Any:
    return raw.Mul(_with_matrix_axes(grad), raw.MatrixInverse(node.inputs[0], adjoint=True))


# -- LU --------------------------------------------------------------------------------------------------------------

lu_op = op(f"Lu(input: T) -> (lu: T, p: output_idx_type); T: {_FIELD}; output_idx_type: {{int32, int64}} = int32")


@lu_op.infer
def _(ctx: Any) -> Any:
    shape = square_shape(ctx.shape(0))
    return [shape, shape if shape.rank is None else TensorShape(shape.as_list()[:-1])]


@lu_op.kernel
def _(x: np.ndarray) -> Any:
    check_square(x)
    wide = widened(x)
    out, perm = np.empty_like(wide), np.empty(x.shape[:-1], np.int64)
    for index in np.ndindex(*x.shape[:-2]):
        out[index], perm[index], singular = matrix_functions.lu(wide[index])
        if singular:
            raise InvalidArgumentError("Input is not invertible.")
    return out.astype(x.dtype), perm


# -- functions of matrices -------------------------------------------------------------------------------------------


def _each(x: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    check_square(x)
    out = np.empty(x.shape, np.complex128)
    for index in np.ndindex(*x.shape[:-2]):
        out[index] = function(x[index].astype(np.complex128))
    return out


square_root_op = op(f"MatrixSquareRoot(input: T) -> (output: T); T: {_FIELD}")
logarithm_op = op("MatrixLogarithm(input: T) -> (output: T); T: {complex64, complex128}")
exponential_op = op(f"MatrixExponential(input: T) -> (output: T); T: {_FIELD}")
for _record in (square_root_op, logarithm_op, exponential_op):
    _record.infer(infer_square)


@square_root_op.kernel
def _(x: np.ndarray) -> Any:
    root = _each(x, matrix_functions.sqrtm)
    if x.dtype.kind == "c":
        return root.astype(x.dtype)
    # a real matrix may have no real root: NaN, as TensorFlow gives
    size = np.abs(root).max(axis=(-1, -2), keepdims=True, initial=0)
    has_real_root = np.abs(root.imag).max(axis=(-1, -2), keepdims=True, initial=0) <= 1e-6 * size
    return np.where(has_real_root, root.real, np.nan).astype(x.dtype)


@square_root_op.gradient
def _(node: Any, grad: Any) -> Any:
    """Solve Sᵀ X + X Sᵀ = grad for X, as one linear system in the entries of X; transposed, not conjugated, as TensorFlow does."""
    s = tf.linalg.matrix_transpose(node.outputs[0])
    shape = raw.Shape(s)
    eye = raw.MatrixDiag(raw.OnesLike(raw.MatrixDiagPart(s)))
    system = raw.AddV2(
        raw.Einsum([s, eye], equation="...ik,...jl->...ijkl"), raw.Einsum([eye, s], equation="...ik,...lj->...ijkl")
    )
    side = raw.Slice(shape, raw.Sub(raw.Shape(shape), np.array([1], np.int32)), [1])
    lead = raw.Slice(shape, [0], raw.Sub(raw.Shape(shape), np.array([2], np.int32)))
    n2 = raw.Mul(side, side)
    matrix = raw.Reshape(system, raw.ConcatV2([lead, n2, n2], np.int32(0)))
    column = raw.Reshape(grad, raw.ConcatV2([lead, n2, np.array([1], np.int32)], np.int32(0)))
    return raw.Reshape(raw.MatrixSolve(matrix, column), shape)


@logarithm_op.kernel
def _(x: np.ndarray) -> Any:
    return _each(x, matrix_functions.logm).astype(x.dtype)


@exponential_op.kernel
def _(x: np.ndarray) -> Any:
    check_square(x)
    return matrix_functions.expm(widened(x)).astype(x.dtype)


# -- tridiagonal matrices --------------------------------------------------------------------------------------------

_TRI = "{double, float, complex64, complex128}"
tridiagonal_solve_op = op(
    "TridiagonalSolve(diagonals: T, rhs: T) -> (output: T); partial_pivoting: bool = true; perturb_singular: bool = false; "
    f"T: {_TRI}"
)
tridiagonal_solve_op.infer(infer.like_input(1))


@tridiagonal_solve_op.kernel
def _(diagonals: np.ndarray, rhs: np.ndarray, *, partial_pivoting: bool) -> Any:
    if diagonals.ndim < 2 or diagonals.shape[-2] != 3 or rhs.ndim < 2 or diagonals.shape[-1] != rhs.shape[-2]:
        raise InvalidArgumentError(f"expected diagonals [..., 3, n] and right sides [..., n, k], received {diagonals.shape} and {rhs.shape}")
    if rhs.size == 0:
        return rhs
    upper, main, lower = diagonals[..., 0, :], diagonals[..., 1, :], diagonals[..., 2, :]
    return matrix_functions.solve_tridiagonal(upper, main, lower, rhs, partial_pivoting)


def _shift(x: Any, axis: int, by: int) -> Any:
    """`x` moved by one along a negative `axis`, with a 0 moved in: by = 1 away from the start, -1 toward it."""
    inner = (..., *([slice(None)] * (-axis - 1)))
    part = slice(None, -1) if by == 1 else slice(1, None)
    kept = x[(..., part, *inner[1:])]
    edge = raw.ZerosLike(x[(..., slice(0, 1), *inner[1:])])
    return raw.ConcatV2([edge, kept] if by == 1 else [kept, edge], np.int32(axis))


@tridiagonal_solve_op.gradient
def _(node: Any, grad: Any) -> Any:
    diagonals, x = node.inputs[0], node.outputs[0]
    upper, main, lower = diagonals[..., 0, :], diagonals[..., 1, :], diagonals[..., 2, :]
    turned = raw.Pack([_shift(lower, -1, -1), main, _shift(upper, -1, 1)], axis=-2)
    grad_rhs = raw.TridiagonalSolve(turned, grad, partial_pivoting=node.attr("partial_pivoting"))
    last = np.array([-1], np.int32)
    rows = [raw.Sum(raw.Mul(grad_rhs, y), last) for y in (_shift(x, -2, -1), x, _shift(x, -2, 1))]
    return raw.Neg(raw.Pack(rows, axis=-2)), grad_rhs


tridiagonal_matmul_op = op(f"TridiagonalMatMul(superdiag: T, maindiag: T, subdiag: T, rhs: T) -> (output: T); T: {_TRI}")
tridiagonal_matmul_op.infer(infer.like_input(3))


@tridiagonal_matmul_op.kernel
def _(superdiag: np.ndarray, maindiag: np.ndarray, subdiag: np.ndarray, rhs: np.ndarray) -> Any:
    if rhs.ndim < 2 or any(d.shape[-1] != rhs.shape[-2] or d.shape[-2:-1] != (1,) for d in (superdiag, maindiag, subdiag)):
        raise InvalidArgumentError(f"expected diagonals [..., 1, n] and right sides [..., n, k], received {maindiag.shape} and {rhs.shape}")
    out = np.swapaxes(maindiag, -1, -2) * rhs
    out[..., :-1, :] += np.swapaxes(superdiag, -1, -2)[..., :-1, :] * rhs[..., 1:, :]
    out[..., 1:, :] += np.swapaxes(subdiag, -1, -2)[..., 1:, :] * rhs[..., :-1, :]
    return out


@tridiagonal_matmul_op.gradient
def _(node: Any, grad: Any) -> Any:
    upper, main, lower = (adj(d) for d in node.inputs[:3])
    rhs = raw.Conj(node.inputs[3]) if grad.dtype.is_complex else node.inputs[3]
    last = np.array([-1], np.int32)
    slopes = [as_rows(raw.Sum(raw.Mul(y, grad), last)) for y in (_shift(rhs, -2, -1), rhs, _shift(rhs, -2, 1))]
    through = raw.AddV2(_shift(raw.Mul(upper, grad), -2, 1), raw.Mul(main, grad))
    return [*slopes, raw.AddV2(through, _shift(raw.Mul(lower, grad), -2, -1))]
