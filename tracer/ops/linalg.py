"""Decompositions of matrices: Cholesky, QR, singular values, eigenvalues. Solvers live in linalg_solve.py, functions of both in linalg_functions.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import matrix_functions
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError
from tracer.matrix_functions import adjoint
from tracer.matrix_rules import (
    adj,
    both_forms,
    check_square,
    gaps,
    infer_square,
    lower_part,
    mm,
    number,
    safe_reciprocal,
    square_shape,
    widened,
)
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape

_FIELD = "{double, float, half, complex64, complex128}"
_BATCH = "{double, float}"

# -- Cholesky --------------------------------------------------------------------------------------------------------


def _cholesky(x: np.ndarray) -> Any:
    """Lower factors; NaN in the lower triangle of the matrices that are not positive definite, as TensorFlow gives."""
    check_square(x)
    wide = widened(x)
    try:
        return np.linalg.cholesky(wide).astype(x.dtype)
    except np.linalg.LinAlgError:
        pass
    out = np.empty_like(wide)
    for index in np.ndindex(*x.shape[:-2]):
        try:
            out[index] = np.linalg.cholesky(wide[index])
        except np.linalg.LinAlgError:
            out[index] = np.tril(np.full(x.shape[-2:], np.nan, wide.dtype))
    return out.astype(x.dtype)


def _cholesky_gradient(node: Any, grad: Any) -> Any:
    l = node.outputs[0]
    side = raw.Shape(l)
    eye = raw.MatrixDiag(raw.Fill(raw.Slice(side, [0], raw.Sub(raw.Shape(side), np.array([1], np.int32))), number(1.0, l)))
    inverse = raw.MatrixTriangularSolve(l, eye)
    middle = mm(l, grad, adjoint_a=True)
    middle = raw.MatrixSetDiag(middle, raw.Mul(number(0.5, middle), raw.MatrixDiagPart(middle)))
    slope = mm(mm(inverse, lower_part(middle), adjoint_a=True), inverse)
    return raw.Mul(raw.AddV2(slope, adj(slope)), number(0.5, slope))


both_forms(
    f"Cholesky(input: T) -> (output: T); T: {_FIELD}", f"BatchCholesky(input: T) -> (output: T); T: {_BATCH}",
    infer_square, _cholesky, _cholesky_gradient,
)  # fmt: skip


def _cholesky_grad(l: np.ndarray, grad: np.ndarray) -> Any:
    wide = widened(l)
    middle = np.tril(adjoint(wide) @ widened(grad))
    n = np.arange(l.shape[-1])
    middle[..., n, n] *= 0.5
    inverse = matrix_functions.solve_lower(wide, np.broadcast_to(np.eye(l.shape[-1], dtype=wide.dtype), wide.shape))
    slope = adjoint(inverse) @ middle @ inverse
    return ((slope + adjoint(slope)) / 2).astype(l.dtype)


both_forms(
    "CholeskyGrad(l: T, grad: T) -> (output: T); T: {half, float, double}",
    "BatchCholeskyGrad(l: T, grad: T) -> (output: T); T: {float, double}",
    infer_square, _cholesky_grad, None,
)  # fmt: skip

# -- QR --------------------------------------------------------------------------------------------------------------

qr_op = op(f"Qr(input: T) -> (q: T, r: T); full_matrices: bool = false; T: {_FIELD}")


@qr_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    if shape.rank is None:
        return [unknown_shape(), unknown_shape()]
    *lead, m, n = shape.with_rank_at_least(2).as_list()
    p = None if m is None or n is None else min(m, n)
    if ctx.attr("full_matrices"):
        return [TensorShape([*lead, m, m]), TensorShape([*lead, m, n])]
    return [TensorShape([*lead, m, p]), TensorShape([*lead, p, n])]


@qr_op.kernel
def _(x: np.ndarray, *, full_matrices: bool) -> Any:
    q, r = np.linalg.qr(widened(x), mode="complete" if full_matrices else "reduced")
    return q.astype(x.dtype), r.astype(x.dtype)


def _right_solve(x: Any, r: Any) -> Any:
    """x r⁻ᴴ for an upper triangular r."""
    return adj(raw.MatrixTriangularSolve(r, adj(x), lower=False, adjoint=False))


def _tall_qr_gradient(q: Any, r: Any, dq: Any, dr: Any) -> Any:
    qdq = mm(q, dq, adjoint_a=True)
    rdr = mm(r, dr, adjoint_b=True)
    tril = lower_part(raw.AddV2(raw.Sub(qdq, adj(qdq)), raw.Sub(rdr, adj(rdr))))
    slope = mm(q, raw.AddV2(dr, _right_solve(tril, r)))
    slope = raw.AddV2(slope, _right_solve(raw.Sub(dq, mm(q, qdq)), r))
    if q.dtype.is_complex:
        m = raw.Sub(rdr, adj(qdq))
        diagonal = raw.MatrixDiagPart(m)
        imaginary = raw.Sub(diagonal, raw.Cast(raw.Real(diagonal, Tout=q.dtype.real_dtype), DstT=q.dtype))
        slope = raw.AddV2(slope, _right_solve(mm(q, adj(raw.MatrixDiag(imaginary))), r))
    return slope


@qr_op.gradient
def _(node: Any, dq: Any, dr: Any) -> Any:
    q, r = node.outputs
    a = node.inputs[0]
    rows, cols = q.shape[-2], r.shape[-1]
    if rows is None or cols is None or (node.attr("full_matrices") and rows != cols):
        raise InvalidArgumentError(
            f"the gradient of Qr needs static sizes, and square matrices with full_matrices=True; received shape {a.shape}"
        )
    if rows >= cols:
        return _tall_qr_gradient(q, r, dq, dr)
    y, u = a[..., :, rows:], r[..., :, :rows]
    dv, du = dr[..., :, rows:], dr[..., :, :rows]
    dx = _tall_qr_gradient(q, u, raw.AddV2(dq, mm(y, dv, adjoint_b=True)), du)
    return raw.ConcatV2([dx, mm(q, dv)], np.int32(-1))


# -- singular values -------------------------------------------------------------------------------------------------


def _infer_svd(ctx: Any) -> Any:
    shape = ctx.shape(0)
    if shape.rank is None:
        return [unknown_shape()] * 3
    *lead, m, n = shape.with_rank_at_least(2).as_list()
    p = None if m is None or n is None else min(m, n)
    s = TensorShape([*lead, p])
    if not ctx.attr("compute_uv"):
        return [s, TensorShape([0]), TensorShape([0])]
    if ctx.attr("full_matrices"):
        return [s, TensorShape([*lead, m, m]), TensorShape([*lead, n, n])]
    return [s, TensorShape([*lead, m, p]), TensorShape([*lead, n, p])]


def _svd(x: np.ndarray, *, compute_uv: bool, full_matrices: bool) -> Any:
    dtype, wide = x.dtype, widened(x)
    if not compute_uv:
        nothing = np.zeros((0,), dtype)
        return np.linalg.svd(wide, compute_uv=False).astype(dtype), nothing, nothing
    u, s, vh = np.linalg.svd(wide, full_matrices=full_matrices)
    return s.astype(dtype), u.astype(dtype), adjoint(vh).astype(dtype)


def _svd_gradient(node: Any, grad_s: Any, grad_u: Any, grad_v: Any) -> Any:
    a = node.inputs[0]
    if not node.attr("compute_uv"):
        _, u, v = raw.Svd(a, compute_uv=True)
        return mm(u, mm(raw.MatrixDiag(grad_s), v, adjoint_b=True))
    s, u, v = node.outputs
    full = node.attr("full_matrices")
    m, n = a.shape[-2], a.shape[-1]
    if m is None or n is None or (full and abs(m - n) > 1):
        raise InvalidArgumentError(
            f"the gradient of Svd needs static sizes, and with full_matrices=True nearly square matrices; received shape {a.shape}"
        )
    turned = m > n
    if turned:  # work on the adjoint, which is wide
        m, n, u, v, grad_u, grad_v = n, m, v, u, grad_v, grad_u
    s_mat, s2 = raw.MatrixDiag(s), raw.Square(s)
    f = gaps(s2)
    s_inverse = raw.MatrixDiag(safe_reciprocal(s))
    v1, grad_v1 = v[..., :, :m], grad_v[..., :, :m]
    u_gu, v_gv = mm(u, grad_u, adjoint_a=True), mm(v1, grad_v1, adjoint_a=True)
    f_u, f_v = raw.Mul(f, u_gu), raw.Mul(f, v_gv)
    core = raw.AddV2(raw.MatrixDiag(grad_s), mm(raw.AddV2(f_u, adj(f_u)), s_mat))
    core = raw.AddV2(core, mm(s_mat, raw.AddV2(f_v, adj(f_v))))
    slope = mm(u, mm(core, v1, adjoint_b=True))
    if m != n:
        gv1t = adj(grad_v1)
        rest = raw.Sub(gv1t, mm(mm(gv1t, v1), v1, adjoint_b=True))
        if full:
            v2, grad_v2 = v[..., :, m:n], grad_v[..., :, m:n]
            rest = raw.Sub(rest, mm(mm(v1, grad_v2, adjoint_a=True), v2, adjoint_b=True))
        slope = raw.AddV2(slope, mm(mm(u, s_inverse), rest))
    if a.dtype.is_complex:
        l = raw.MatrixDiag(raw.MatrixDiagPart(v_gv))
        third = mm(u, mm(mm(s_inverse, raw.Sub(adj(l), l)), v1, adjoint_b=True))
        slope = raw.AddV2(slope, raw.Mul(number(0.5, third), third))
    return adj(slope) if turned else slope


both_forms(
    f"Svd(input: T) -> (s: T, u: T, v: T); compute_uv: bool = true; full_matrices: bool = false; T: {_FIELD}",
    "BatchSvd(input: T) -> (s: T, u: T, v: T); compute_uv: bool = true; full_matrices: bool = false; "
    "T: {double, float, complex64, complex128}",
    _infer_svd, _svd, _svd_gradient,
)  # fmt: skip

# -- eigenvalues -----------------------------------------------------------------------------------------------------


def _infer_eigen(ctx: Any) -> Any:
    shape = square_shape(ctx.shape(0))
    if shape.rank is None:
        return [unknown_shape(), unknown_shape()]
    return [TensorShape(shape.as_list()[:-1]), shape if ctx.attr("compute_v") else TensorShape([0])]


def _eigh(x: np.ndarray, *, compute_v: bool) -> Any:
    check_square(x)
    wide = widened(x)
    if not compute_v:
        return np.linalg.eigvalsh(wide).astype(x.dtype), np.zeros((0,), x.dtype)
    e, v = np.linalg.eigh(wide)
    return e.astype(x.dtype), v.astype(x.dtype)


def _eigh_gradient(node: Any, grad_e: Any, grad_v: Any) -> Any:
    if node.attr("compute_v"):
        e, v = node.outputs
        inner = raw.AddV2(raw.MatrixDiag(grad_e), raw.Mul(gaps(e), mm(v, grad_v, adjoint_a=True)))
    else:
        _, v = raw.SelfAdjointEigV2(node.inputs[0])
        inner = raw.MatrixDiag(grad_e)
    slope = mm(v, mm(inner, v, adjoint_b=True))
    # only the lower triangle was read: it takes the slopes of both
    slope = lower_part(raw.AddV2(slope, adj(slope)))
    return raw.MatrixSetDiag(slope, raw.Mul(number(0.5, slope), raw.MatrixDiagPart(slope)))


both_forms(
    f"SelfAdjointEigV2(input: T) -> (e: T, v: T); compute_v: bool = true; T: {_FIELD}",
    "BatchSelfAdjointEigV2(input: T) -> (e: T, v: T); compute_v: bool = true; T: {double, float}",
    _infer_eigen, _eigh, _eigh_gradient,
)  # fmt: skip


def _infer_eigh_v1(ctx: Any) -> Any:
    shape = square_shape(ctx.shape(0))
    if shape.rank is None:
        return unknown_shape()
    *lead, m, n = shape.as_list()
    return TensorShape([*lead, None if m is None else m + 1, n])


def _eigh_v1(x: np.ndarray) -> Any:
    """Eigenvalues as the first row, eigenvectors below."""
    e, v = _eigh(x, compute_v=True)
    return np.concatenate([e[..., None, :], v], axis=-2)


both_forms(
    "SelfAdjointEig(input: T) -> (output: T); T: {double, float, half}",
    "BatchSelfAdjointEig(input: T) -> (output: T); T: {double, float}", _infer_eigh_v1, _eigh_v1, None,
)  # fmt: skip

eig_op = op(
    "Eig(input: T) -> (e: Tout, v: Tout); compute_v: bool = true; T: {float, double, complex64, complex128}; "
    "Tout: {complex64, complex128}"
)
eig_op.infer(_infer_eigen)


@eig_op.kernel
def _(x: np.ndarray, *, compute_v: bool, Tout: Any) -> Any:
    check_square(x)
    if not compute_v:
        return np.linalg.eigvals(x).astype(Tout.numpy), np.zeros((0,), Tout.numpy)
    e, v = np.linalg.eig(x)
    return e.astype(Tout.numpy), v.astype(Tout.numpy)


@eig_op.gradient
def _(node: Any, grad_e: Any, grad_v: Any) -> Any:
    a = node.inputs[0]
    if node.attr("compute_v"):
        e, v = node.outputs
        vt = adj(v)
        f = raw.Conj(gaps(e))
        vgv = mm(vt, grad_v)
        real = raw.Cast(raw.Real(raw.MatrixDiagPart(vgv), Tout=vgv.dtype.real_dtype), DstT=vgv.dtype)
        inner = raw.Mul(f, raw.Sub(vgv, mm(mm(vt, v), raw.MatrixDiag(real))))
        inner = raw.AddV2(raw.MatrixDiag(grad_e), inner)
    else:
        _, v = raw.Eig(a, Tout=node.attr("Tout"))
        vt = adj(v)
        inner = raw.MatrixDiag(grad_e)
    return raw.Cast(raw.MatrixSolve(vt, mm(inner, vt)), DstT=a.dtype)
