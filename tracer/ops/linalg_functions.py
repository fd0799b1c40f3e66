"""Public functions of linear algebra: thin ones over single ops, and norms, pseudo-inverses, exponentials composed of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError
from tracer.matrix_rules import as_columns, as_rows, lower_part, mm, number, upper_part
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor

# -- half the sum of squares -----------------------------------------------------------------------------------------

l2_loss_op = op("L2Loss(t: T) -> (output: T); T: {half, bfloat16, float, double}")


@l2_loss_op.infer
def _(ctx: Any) -> Any:
    return TensorShape([])


@l2_loss_op.kernel
def _(t: np.ndarray) -> Any:
    wide = t.astype(np.float32) if t.dtype.itemsize == 2 else t
    return np.add.reduce(np.square(wide), axis=None) * wide.dtype.type(0.5)


@l2_loss_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Mul(node.inputs[0], grad)


@public("nn.l2_loss")
def l2_loss(t: Any, name: str | None = None) -> Any:
    """Half the sum of the squares of all elements."""
    return raw.L2Loss(t, name=name)


# -- thin functions --------------------------------------------------------------------------------------------------


@public("linalg.cholesky")
def cholesky(input: Any, name: str | None = None) -> Any:
    """The lower triangular L with L Lᴴ = A, for Hermitian positive definite matrices."""
    return raw.Cholesky(input, name=name)


@public("linalg.cholesky_solve")
def cholesky_solve(chol: Any, rhs: Any, name: str | None = None) -> Any:
    """Solve A x = rhs, given the Cholesky factor of A."""
    chol = convert_to_tensor(chol)
    y = raw.MatrixTriangularSolve(chol, convert_to_tensor(rhs, chol.dtype.base_dtype), adjoint=False, lower=True)
    return raw.MatrixTriangularSolve(chol, y, adjoint=True, lower=True, name=name)


@public("linalg.inv")
def inv(input: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """The inverse, or that of the adjoint. Raises InvalidArgumentError for a singular matrix."""
    return raw.MatrixInverse(input, adjoint=adjoint, name=name)


@public("linalg.det")
def det(input: Any, name: str | None = None) -> Any:
    """The determinants of square matrices."""
    return raw.MatrixDeterminant(input, name=name)


@public("linalg.slogdet")
def slogdet(input: Any, name: str | None = None) -> Any:
    """The signs of determinants and the logarithms of their absolute values."""
    sign, log = raw.LogMatrixDeterminant(input, name=name)
    return LogMatrixDeterminant(sign, log)


class LogMatrixDeterminant(tuple):
    """The pair that `slogdet` returns."""

    __slots__ = ()

    def __new__(cls, sign: Any, log_abs_determinant: Any) -> LogMatrixDeterminant:
        return tuple.__new__(cls, (sign, log_abs_determinant))

    @property
    def sign(self) -> Any:
        return self[0]

    @property
    def log_abs_determinant(self) -> Any:
        return self[1]


@public("linalg.logdet")
def logdet(matrix: Any, name: str | None = None) -> Any:
    """log(det A) of Hermitian positive definite matrices."""
    chol = raw.Cholesky(matrix)
    diagonal = tf.math.real(raw.MatrixDiagPart(chol))
    return raw.Mul(number(2.0, diagonal), raw.Sum(raw.Log(diagonal), np.array([-1], np.int32)), name=name)


@public("linalg.solve")
def solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Any:
    """Solve A x = rhs, or with the adjoint of A."""
    return raw.MatrixSolve(matrix, rhs, adjoint=adjoint, name=name)


@public("linalg.triangular_solve")
def triangular_solve(matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False, name: str | None = None) -> Any:
    """Solve with the lower or upper triangle of `matrix`; the other triangle is not read."""
    return raw.MatrixTriangularSolve(matrix, rhs, lower=lower, adjoint=adjoint, name=name)


@public("linalg.banded_triangular_solve")
def banded_triangular_solve(bands: Any, rhs: Any, lower: bool = True, adjoint: bool = False, name: str | None = None) -> Any:
    """Solve with a triangular matrix that is given by its bands [..., k, n]."""
    return raw.BandedTriangularSolve(bands, rhs, lower=lower, adjoint=adjoint, name=name)


@public("linalg.lstsq")
def lstsq(matrix: Any, rhs: Any, l2_regularizer: float = 0.0, fast: bool = True, name: str | None = None) -> Any:
    """The x that minimises |A x - rhs|² + l2_regularizer |x|²; `fast` through the normal equations."""
    matrix = convert_to_tensor(matrix)
    weight = convert_to_tensor(np.float64(l2_regularizer)) if isinstance(l2_regularizer, (int, float)) else tf.cast(l2_regularizer, "float64")
    return raw.MatrixSolveLs(matrix, convert_to_tensor(rhs, matrix.dtype.base_dtype), weight, fast=fast, name=name)


@public("linalg.qr")
def qr(input: Any, full_matrices: bool = False, name: str | None = None) -> Any:
    """The decomposition A = Q R: Q with orthonormal columns, R upper triangular."""
    return tuple(raw.Qr(input, full_matrices=full_matrices, name=name))


@public("linalg.svd")
def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None) -> Any:
    """Singular values s (largest first) and vectors u, v with A = u diag(s) vᴴ; only s without `compute_uv`."""
    s, u, v = raw.Svd(tensor, compute_uv=compute_uv, full_matrices=full_matrices, name=name)
    s = tf.math.real(s)
    return (s, u, v) if compute_uv else s


@public("linalg.eigh")
def eigh(tensor: Any, name: str | None = None) -> Any:
    """Eigenvalues (smallest first) and eigenvectors of Hermitian matrices; the lower triangle is read."""
    return tuple(raw.SelfAdjointEigV2(tensor, compute_v=True, name=name))


@public("linalg.eigvalsh")
def eigvalsh(tensor: Any, name: str | None = None) -> Any:
    """Eigenvalues of Hermitian matrices, smallest first."""
    return raw.SelfAdjointEigV2(tensor, compute_v=False, name=name)[0]


def _complex_of(dtype: Any) -> Any:
    return dtypes.complex64 if dtype in (dtypes.float32, dtypes.complex64) else dtypes.complex128


@public("linalg.eig", "eig")
def eig(tensor: Any, name: str | None = None) -> Any:
    """Eigenvalues and eigenvectors of any square matrices, complex."""
    tensor = convert_to_tensor(tensor)
    return tuple(raw.Eig(tensor, Tout=_complex_of(tensor.dtype), compute_v=True, name=name))


@public("linalg.eigvals", "eigvals")
def eigvals(tensor: Any, name: str | None = None) -> Any:
    """Eigenvalues of any square matrices, complex."""
    tensor = convert_to_tensor(tensor)
    return raw.Eig(tensor, Tout=_complex_of(tensor.dtype), compute_v=False, name=name)[0]


@public("linalg.eigh_tridiagonal")
def eigh_tridiagonal(
    alpha: Any, beta: Any, eigvals_only: bool = True, select: str = "a", select_range: Any = None, tol: Any = None,
    name: str | None = None,
) -> Any:  # fmt: skip
    """Eigenvalues of one Hermitian tridiagonal matrix with diagonal `alpha` and off-diagonal `beta`.

    Args:
        select: "a" all, "i" those with index in `select_range` (both ends included), "v" those in the interval.

    Raises:
        ValueError: another `select`, or eigenvectors are asked for.
    """
    alpha = convert_to_tensor(alpha)
    beta = convert_to_tensor(beta, alpha.dtype.base_dtype)
    if not eigvals_only:
        raise InvalidArgumentError("eigh_tridiagonal computes eigenvalues only: call tf.linalg.eigh for eigenvectors")
    zero = number(0.0, alpha)
    below = raw.MatrixDiagV3(beta, -1, -1, -1, zero)
    values = tf.math.real(eigvalsh(raw.MatrixSetDiag(below, alpha), name=name))
    if select == "a":
        return values
    if select == "i":
        return values[select_range[0] : select_range[1] + 1]
    if select == "v":
        low, high = (convert_to_tensor(v, values.dtype) for v in select_range)
        return tf.boolean_mask(values, raw.LogicalAnd(raw.GreaterEqual(values, low), raw.LessEqual(values, high)))
    raise InvalidArgumentError(f"select must be 'a', 'i' or 'v', received {select!r}")


@public("linalg.sqrtm", "matrix_square_root")
def sqrtm(input: Any, name: str | None = None) -> Any:
    """The principal square root of square matrices."""
    return raw.MatrixSquareRoot(input, name=name)


@public("linalg.logm")
def logm(input: Any, name: str | None = None) -> Any:
    """The principal logarithm of complex square matrices."""
    return raw.MatrixLogarithm(input, name=name)


@public("linalg.lu")
def lu(input: Any, output_idx_type: Any = dtypes.int32, name: str | None = None) -> Any:
    """The packed factors L and U of A with rows in the order p, and p."""
    return tuple(raw.Lu(input, output_idx_type=dtypes.as_dtype(output_idx_type), name=name))


@public("linalg.lu_solve")
def lu_solve(lower_upper: Any, perm: Any, rhs: Any, validate_args: bool = False, name: str | None = None) -> Any:
    """Solve A x = rhs, given what `lu(A)` returned."""
    lower_upper = convert_to_tensor(lower_upper)
    rhs = convert_to_tensor(rhs, lower_upper.dtype.base_dtype)
    perm = convert_to_tensor(perm, dtype_hint="int32")
    size = raw.GatherV2(raw.Shape(lower_upper), raw.Sub(raw.Rank(lower_upper), np.int32(1)), np.int32(0))
    permuted = mm(raw.OneHot(perm, size, number(1.0, rhs), number(0.0, rhs)), rhs)
    lower = raw.MatrixSetDiag(lower_upper, raw.OnesLike(raw.MatrixDiagPart(lower_upper)))
    return raw.MatrixTriangularSolve(lower_upper, raw.MatrixTriangularSolve(lower, permuted, lower=True), lower=False, name=name)


@public("linalg.lu_matrix_inverse")
def lu_matrix_inverse(lower_upper: Any, perm: Any, validate_args: bool = False, name: str | None = None) -> Any:
    """The inverse of A, given what `lu(A)` returned."""
    lower_upper = convert_to_tensor(lower_upper)
    eye = raw.MatrixSetDiag(raw.ZerosLike(lower_upper), raw.OnesLike(raw.MatrixDiagPart(lower_upper)))
    return lu_solve(lower_upper, perm, eye, validate_args, name)


@public("linalg.lu_reconstruct")
def lu_reconstruct(lower_upper: Any, perm: Any, validate_args: bool = False, name: str | None = None) -> Any:
    """A, given what `lu(A)` returned."""
    lower_upper = convert_to_tensor(lower_upper)
    perm = convert_to_tensor(perm, dtype_hint="int32")
    lower = raw.MatrixSetDiag(lower_part(lower_upper), raw.OnesLike(raw.MatrixDiagPart(lower_upper)))
    product = mm(lower, upper_part(lower_upper))
    size = raw.GatherV2(raw.Shape(lower_upper), raw.Sub(raw.Rank(lower_upper), np.int32(1)), np.int32(0))
    permutation = raw.OneHot(perm, size, number(1.0, product), number(0.0, product))
    return raw.BatchMatMulV2(permutation, product, adj_x=True, name=name)


# -- tridiagonal systems ---------------------------------------------------------------------------------------------


def _compact(diagonals: Any, form: str) -> Any:
    """The diagonals as [..., 3, n]: above, main, below."""
    if form == "compact":
        return convert_to_tensor(diagonals)
    if form == "matrix":
        matrix = convert_to_tensor(diagonals)
        return raw.MatrixDiagPartV3(matrix, [-1, 1], number(0.0, matrix), align="LEFT_RIGHT")
    if form == "sequence":
        above, main, below = (convert_to_tensor(d) for d in diagonals)
        size = main.shape[-1]
        if above.shape[-1] != size:  # the short forms leave out the element that is not used
            above = raw.ConcatV2([above, raw.ZerosLike(above[..., :1])], np.int32(-1))
        if below.shape[-1] != size:
            below = raw.ConcatV2([raw.ZerosLike(below[..., :1]), below], np.int32(-1))
        return raw.Pack([above, main, below], axis=-2)
    raise InvalidArgumentError(f"diagonals_format must be one of compact, sequence, matrix; received {form!r}")


@public("linalg.tridiagonal_solve")
def tridiagonal_solve(
    diagonals: Any, rhs: Any, diagonals_format: str = "compact", transpose_rhs: bool = False, conjugate_rhs: bool = False,
    name: str | None = None, partial_pivoting: bool = True, perturb_singular: bool = False,
) -> Any:  # fmt: skip
    """Solve tridiagonal systems; a right side of one rank less is one vector per system."""
    compact = _compact(diagonals, diagonals_format)
    rhs = convert_to_tensor(rhs, compact.dtype.base_dtype)
    if rhs.shape.rank is not None and compact.shape.rank is not None and rhs.shape.rank == compact.shape.rank - 1:
        if conjugate_rhs:
            rhs = tf.math.conj(rhs)
        found = raw.TridiagonalSolve(compact, as_columns(rhs), partial_pivoting=partial_pivoting, perturb_singular=perturb_singular)
        return raw.Squeeze(found, squeeze_dims=[-1], name=name)
    if transpose_rhs:
        rhs = tf.linalg.matrix_transpose(rhs, conjugate=conjugate_rhs)
    elif conjugate_rhs:
        rhs = tf.math.conj(rhs)
    return raw.TridiagonalSolve(compact, rhs, partial_pivoting=partial_pivoting, perturb_singular=perturb_singular, name=name)


@public("linalg.tridiagonal_matmul")
def tridiagonal_matmul(diagonals: Any, rhs: Any, diagonals_format: str = "compact", name: str | None = None) -> Any:
    """The product of tridiagonal matrices with dense ones."""
    compact = _compact(diagonals, diagonals_format)
    above, main, below = (as_rows(compact[..., i, :]) for i in range(3))
    return raw.TridiagonalMatMul(above, main, below, convert_to_tensor(rhs, compact.dtype.base_dtype), name=name)


# -- norms -----------------------------------------------------------------------------------------------------------


@public("norm", "linalg.norm")
def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool | None = None, name: str | None = None) -> Any:
    """The norm of vectors (`axis` an int or None: all elements) or of matrices (`axis` a pair).

    Args:
        ord: "euclidean" or "fro", 1, 2, infinity, or for vectors any positive number.

    Raises:
        ValueError: an order or axis that is not supported.
    """
    keepdims = bool(keepdims)
    is_matrix = isinstance(axis, (tuple, list, np.ndarray)) and len(axis) == 2
    if is_matrix:
        axis = tuple(int(a) for a in axis)
        if axis[0] == axis[1]:
            raise InvalidArgumentError(f"'axis' must be None, an integer, or a tuple of 2 *unique* integers, got {axis}")
        if ord not in ("euclidean", "fro", 1, 2, np.inf):
            raise InvalidArgumentError(f"'ord' must be a supported matrix norm in ['euclidean', 'fro', 1, 2, inf], got {ord}")
    else:
        if isinstance(axis, (tuple, list, np.ndarray)):
            if len(axis) != 1:
                raise InvalidArgumentError(f"'axis' must be None, an integer, or a tuple of 2 unique integers, got {axis}")
            axis = int(axis[0])
        if ord != "euclidean" and (isinstance(ord, str) or ord <= 0):
            raise InvalidArgumentError(f"'ord' must be a supported vector norm, got {ord}")
    x = convert_to_tensor(tensor)
    rank = x.shape.rank
    axes: Any = None
    if axis is not None and rank is not None:
        axes = tuple(a % rank for a in axis) if is_matrix else axis
    else:
        axes = axis

    def keep(value: Any) -> Any:
        return value if keepdims else tf.squeeze(value, axis=list(axes) if is_matrix else axes)

    if ord in ("fro", "euclidean") or (ord in (2, 2.0) and not is_matrix):
        squares = raw.Mul(x, tf.math.conj(x))
        # through the squared modulus: complex norms stay complex here, as TensorFlow has it
        result = raw.Sqrt(tf.reduce_sum(squares, axes, keepdims=True))
    elif is_matrix and ord == 2:
        rest = [i for i in range(rank) if i not in axes]
        back = np.argsort([*rest, *axes])
        singular = svd(tf.transpose(x, [*rest, *axes]), compute_uv=False)
        result = raw.ExpandDims(raw.ExpandDims(tf.reduce_max(singular, axis=-1), np.int32(-1)), np.int32(-1))
        result = tf.transpose(result, back.tolist())
    else:
        result = tf.abs(x)
        if ord == 1:
            result = tf.reduce_sum(result, axes if not is_matrix else axes[0], keepdims=True)
            if is_matrix:
                result = tf.reduce_max(result, axes[1], keepdims=True)
        elif ord == np.inf:
            if is_matrix:
                result = tf.reduce_sum(result, axes[1], keepdims=True)
            result = tf.reduce_max(result, axes if not is_matrix else axes[0], keepdims=True)
        else:
            power = number(float(ord), result)
            result = raw.Pow(tf.reduce_sum(raw.Pow(result, power), axes, keepdims=True), number(1.0 / ord, result))
    return keep(result) if name is None else raw.Identity(keep(result), name=name)


@public("linalg.normalize")
def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None, name: str | None = None) -> Any:
    """The tensor divided by its norm, and the norm."""
    tensor = convert_to_tensor(tensor)
    size = norm(tensor, ord=ord, axis=axis, keepdims=True)
    size = tf.cast(size, tensor.dtype)
    return raw.RealDiv(tensor, size, name=name), size


@public("linalg.global_norm")
def global_norm(t_list: Sequence[Any], name: str | None = None) -> Any:
    """The Euclidean norm of all tensors of a list together; None counts nothing."""
    if isinstance(t_list, str) or not hasattr(t_list, "__iter__"):
        raise TypeError("`t_list` should be a sequence of tensors")
    values = [getattr(t, "values", t) if type(t).__name__ == "IndexedSlices" else t for t in t_list if t is not None]
    halves = [raw.L2Loss(v) for v in (convert_to_tensor(v) for v in values)]
    if not halves:
        return convert_to_tensor(0.0)
    total = raw.Sum(raw.Pack(halves), np.int32(0))
    return raw.Sqrt(raw.Mul(total, number(2.0, total)), name=name)


@public("clip_by_global_norm")
def clip_by_global_norm(t_list: Sequence[Any], clip_norm: Any, use_norm: Any = None, name: str | None = None) -> Any:
    """The tensors scaled so that their joint norm is at most `clip_norm`, and that norm as it was."""
    if isinstance(t_list, str) or not hasattr(t_list, "__iter__"):
        raise TypeError("`t_list` should be a sequence of tensors")
    items = list(t_list)
    total = global_norm(items) if use_norm is None else use_norm
    total = convert_to_tensor(total)
    bound = convert_to_tensor(clip_norm, total.dtype.base_dtype)
    one = number(1.0, total)
    scale = raw.Mul(bound, raw.Minimum(raw.RealDiv(one, total), raw.RealDiv(one, bound)))
    # an infinite norm makes everything NaN, so that it is noticed
    scale = raw.AddV2(scale, raw.Sub(total, total))
    out = []
    for t in items:
        if t is None:
            out.append(None)
        elif type(t).__name__ == "IndexedSlices":
            out.append(type(t)(raw.Mul(t.values, tf.cast(scale, t.values.dtype)), t.indices, t.dense_shape))
        else:
            t = convert_to_tensor(t)
            out.append(raw.Mul(t, tf.cast(scale, t.dtype)))
    return out, total


@public("clip_by_norm")
def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Any:
    """`t` scaled so that its Euclidean norm (over `axes`) is at most `clip_norm`."""
    if type(t).__name__ == "IndexedSlices":
        return type(t)(clip_by_norm(t.values, clip_norm, axes, name), t.indices, t.dense_shape)
    t = convert_to_tensor(t)
    bound = convert_to_tensor(clip_norm, t.dtype.base_dtype)
    total = tf.reduce_sum(raw.Mul(t, t), axes, keepdims=True)
    positive = raw.Greater(total, number(0.0, total))
    # the root of 0 has no slope: replace it before, and take the sum itself there
    safe = raw.SelectV2(positive, total, raw.OnesLike(total))
    size = raw.SelectV2(positive, raw.Sqrt(safe), total)
    return raw.RealDiv(raw.Mul(t, bound), raw.Maximum(size, bound), name=name)


# -- composed of many ------------------------------------------------------------------------------------------------


@public("linalg.matrix_rank")
def matrix_rank(a: Any, tol: Any = None, validate_args: bool = False, name: str | None = None) -> Any:
    """How many singular values are larger than `tol` (default: the largest times eps times the larger side)."""
    a = convert_to_tensor(a)
    s = svd(a, compute_uv=False)
    if tol is None:
        side = raw.Cast(raw.Max(raw.Shape(a)[-2:], np.int32(0)), DstT=s.dtype)
        eps = number(float(np.finfo(s.dtype.numpy).eps), s)
        tol = raw.Mul(raw.Mul(eps, side), tf.reduce_max(s, axis=-1, keepdims=True))
    return raw.Sum(raw.Cast(raw.Greater(s, convert_to_tensor(tol, s.dtype)), DstT="int32"), np.array([-1], np.int32), name=name)


@public("linalg.pinv")
def pinv(a: Any, rcond: Any = None, validate_args: bool = False, name: str | None = None) -> Any:
    """The Moore-Penrose pseudo-inverse; singular values below `rcond` times the largest count as 0."""
    a = convert_to_tensor(a)
    s, u, v = svd(a, full_matrices=False, compute_uv=True)
    if rcond is None:
        side = raw.Cast(raw.Max(raw.Shape(a)[-2:], np.int32(0)), DstT=s.dtype)
        rcond = raw.Mul(number(10.0 * float(np.finfo(s.dtype.numpy).eps), s), side)
    rcond = convert_to_tensor(rcond, s.dtype)
    cutoff = raw.Mul(raw.ExpandDims(rcond, np.int32(-1)), tf.reduce_max(s, axis=-1, keepdims=True))
    infinite = convert_to_tensor(np.array(np.inf, s.dtype.numpy))
    s = raw.SelectV2(raw.Greater(s, cutoff), s, infinite)
    s = tf.cast(s, a.dtype)
    return raw.BatchMatMulV2(raw.RealDiv(v, as_rows(s)), u, adj_y=True, name=name)


_PADE_7 = (17297280.0, 8648640.0, 1995840.0, 277200.0, 25200.0, 1512.0, 56.0, 1.0)
_PADE_13 = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0,
    670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip


@public("linalg.expm")
def expm(input: Any, name: str | None = None) -> Any:
    """The exponential of square matrices: scaling and squaring with a Padé approximant (Higham 2005)."""
    a = convert_to_tensor(input)
    is_small = a.dtype.base_dtype in (dtypes.float16, dtypes.float32, dtypes.complex64)
    b, limit = (_PADE_7, 3.925724783138660) if is_small else (_PADE_13, 5.371920351148152)
    size = tf.reduce_max(tf.reduce_sum(tf.abs(a), axis=-2), axis=-1)
    size = tf.stop_gradient(size)
    steps = raw.Ceil(raw.RealDiv(raw.Log(raw.Maximum(raw.RealDiv(size, number(limit, size)), number(1.0, size))), number(float(np.log(2)), size)))
    scale = raw.Pow(number(2.0, steps), steps)
    x = raw.RealDiv(a, as_columns(as_columns(tf.cast(scale, a.dtype))))
    eye = raw.MatrixDiag(raw.OnesLike(raw.MatrixDiagPart(a)))

    def term(coefficient: float, matrix: Any) -> Any:
        return raw.Mul(number(coefficient, matrix), matrix)

    def total(terms: Sequence[Any]) -> Any:
        out = terms[0]
        for t in terms[1:]:
            out = raw.AddV2(out, t)
        return out

    x2 = mm(x, x)
    x4 = mm(x2, x2)
    x6 = mm(x4, x2)
    if is_small:
        u = mm(x, total([term(b[7], x6), term(b[5], x4), term(b[3], x2), term(b[1], eye)]))
        v = total([term(b[6], x6), term(b[4], x4), term(b[2], x2), term(b[0], eye)])
    else:
        odd = mm(x6, total([term(b[13], x6), term(b[11], x4), term(b[9], x2)]))
        u = mm(x, total([odd, term(b[7], x6), term(b[5], x4), term(b[3], x2), term(b[1], eye)]))
        even = mm(x6, total([term(b[12], x6), term(b[10], x4), term(b[8], x2)]))
        v = total([even, term(b[6], x6), term(b[4], x4), term(b[2], x2), term(b[0], eye)])
    result = raw.MatrixSolve(raw.Sub(v, u), raw.AddV2(u, v))
    most = tf.reduce_max(steps)

    def square(i: Any, r: Any) -> Any:
        wanted = raw.Less(i, steps)
        return raw.AddV2(i, number(1.0, i)), raw.SelectV2(as_columns(as_columns(wanted)), mm(r, r), r)

    _, result = tf.while_loop(lambda i, r: raw.Less(i, most), square, [number(0.0, most), result], shape_invariants=None)
    return raw.Identity(result, name=name) if name is not None else result
