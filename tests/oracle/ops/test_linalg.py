"""Linear algebra against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracle.compare import compare_calls, compare_errors, compare_fn, compare_op, ours, tf
from tests.oracle.ops.test_math import values

rng = np.random.default_rng(3)
FIELD = ["float32", "float64", "complex64", "complex128"]


def tolerance(dtype: str) -> float:
    return 2e-3 if dtype in ("float32", "complex64") else 1e-8


def matrices(dtype: str, *shape: int) -> np.ndarray:
    x = rng.normal(size=shape)
    if "complex" in dtype:
        x = x + 1j * rng.normal(size=shape)
    if shape[-1] == shape[-2]:
        x = x + 2 * np.eye(shape[-1])
    return x.astype(dtype)


def positive(dtype: str, *shape: int) -> np.ndarray:
    x = matrices(dtype, *shape)
    return (x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(shape[-1])).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "int32", "complex64"])
@pytest.mark.parametrize("align", ["LEFT_RIGHT", "RIGHT_LEFT", "LEFT_LEFT", "RIGHT_RIGHT"])
def test_diagonals_equal_tensorflow(dtype: str, align: str) -> None:
    x = values(dtype, (2, 3, 5))
    grad = dtype != "int32"
    zero = np.zeros((1,), x.dtype)[0]
    for k in ([0], [1], [-2], [-1, 2], [0, 3], [-2, 0], [4]):
        k = np.array(k, np.int32)
        d = compare_op("MatrixDiagPartV3", [x, k, zero + zero.dtype.type(7)], align=align, grad=grad).numpy()
        compare_op("MatrixSetDiagV3", [x, d, k], align=align, grad=grad)
        compare_op("MatrixDiagV3", [d, k, np.int32(-1), np.int32(-1), zero + zero.dtype.type(7)], align=align, grad=grad and k[-1] < 3)
        compare_op("MatrixDiagV3", [d, k, np.int32(3), np.int32(5), zero], align=align, grad=grad)
        if align == "LEFT_LEFT":
            compare_op("MatrixDiagPartV2", [x, k, zero], grad=grad and len(k) == 1)
            compare_op("MatrixSetDiagV2", [x, d, k], grad=grad and len(k) == 1)
            # the slope that TensorFlow gives to several diagonals here is aligned wrongly
            compare_op("MatrixDiagV2", [d, k, np.int32(3), np.int32(5), zero], grad=grad and len(k) == 1)
    d = compare_op("MatrixDiagPart", [x], grad=grad).numpy()
    compare_op("MatrixDiag", [d], grad=grad)
    compare_op("MatrixSetDiag", [x, d], grad=grad)
    compare_errors("MatrixDiagPartV3", [x, np.array([5], np.int32), zero])


def test_bands_and_tensor_diagonals_equal_tensorflow() -> None:
    x = values("float32", (2, 4, 5))
    for low, high in ((0, 0), (-1, 0), (0, -1), (1, 2), (4, 5), (-1, -1)):
        compare_op("MatrixBandPart", [x, np.int32(low), np.int32(high)], grad=True)
    compare_fn("linalg.band_part", x, num_lower=1, num_upper=0)
    compare_fn("linalg.diag", x, k=1)
    compare_fn("linalg.diag_part", x, k=(-1, 1), padding_value=9)
    compare_fn("linalg.trace", x, grad=True)
    compare_fn("linalg.tensor_diag", values("float32", (2, 3)), grad=True)
    compare_fn("linalg.tensor_diag_part", values("float32", (2, 3, 2, 3)), grad=True)


@pytest.mark.parametrize("dtype", FIELD)
def test_cholesky_and_inverses_equal_tensorflow(dtype: str) -> None:
    rtol = tolerance(dtype)
    spd, a, b = positive(dtype, 2, 4, 4), matrices(dtype, 2, 4, 4), matrices(dtype, 2, 4, 3)
    compare_op("Cholesky", [spd], grad=True, rtol=rtol)
    for adj in (False, True):
        compare_op("MatrixInverse", [a], adjoint=adj, grad=True, rtol=rtol)
        compare_op("MatrixSolve", [a, b], adjoint=adj, grad=True, rtol=rtol)
        for lower in (False, True):
            compare_op("MatrixTriangularSolve", [a, b], lower=lower, adjoint=adj, grad=True, rtol=rtol)
            compare_op("MatrixTriangularSolve", [a[0], b], lower=lower, adjoint=adj, grad=True, rtol=rtol)
            compare_op("BandedTriangularSolve", [matrices(dtype, 2, 2, 5) + 2, matrices(dtype, 2, 5, 3)], lower=lower, adjoint=adj, rtol=rtol)
    compare_op("MatrixDeterminant", [a], grad=True, rtol=rtol)
    compare_op("LogMatrixDeterminant", [a], grad=dtype.startswith("float"), rtol=rtol)
    big = np.eye(70) * 5 + rng.normal(size=(70, 70)) * 0.1
    compare_op("MatrixTriangularSolve", [big.astype(dtype), matrices(dtype, 70, 2)], rtol=rtol)


@pytest.mark.parametrize("dtype", FIELD)
def test_lu_equals_tensorflow(dtype: str) -> None:
    compare_op("Lu", [matrices(dtype, 2, 4, 4)], rtol=tolerance(dtype))
    compare_op("Lu", [matrices(dtype, 5, 5)], output_idx_type="int64", rtol=tolerance(dtype))
    compare_errors("Lu", [np.array([[1.0, 2], [2, 4]])])


def test_singular_matrices_behave_as_in_tensorflow() -> None:
    compare_errors("MatrixInverse", [np.ones((2, 2), np.float32)])
    compare_errors("MatrixSolve", [np.ones((2, 2), np.float32), np.ones((2, 1), np.float32)])
    compare_op("MatrixTriangularSolve", [np.array([[0.0, 1], [1, 1]], np.float32), np.ones((2, 1), np.float32)])
    compare_op("LogMatrixDeterminant", [np.ones((2, 2), np.float32)])
    compare_op("MatrixDeterminant", [np.zeros((0, 0), np.float32)])
    compare_op("MatrixInverse", [np.zeros((2, 0, 0), np.float32)])


@pytest.mark.parametrize("dtype", FIELD)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3)])
def test_decompositions_rebuild_and_their_slopes_equal_tensorflow(dtype: str, shape: tuple[int, ...]) -> None:
    rtol, a = tolerance(dtype), matrices(dtype, *shape)
    compare_op("Qr", [a], grad=True, rtol=rtol)
    if shape[-2] <= shape[-1]:
        compare_op("Qr", [a], full_matrices=True, rtol=rtol)
    compare_fn("linalg.svd", a, compute_uv=False, grad=True, rtol=rtol)

    # signs and phases of singular vectors are free: compare what does not depend on them
    def invariant(lib: object, x: object) -> object:
        s, u, v = lib.raw_ops.Svd(input=x)
        return [s, lib.matmul(u * lib.exp(s)[..., None, :], v, adjoint_b=True)]

    compare_calls(lambda x: invariant(tf, x), lambda x: invariant(ours, x), [a], "svd", grad="float" in dtype, rtol=rtol, static=False)


@pytest.mark.parametrize("dtype", FIELD)
def test_eigenvalues_and_their_slopes_equal_tensorflow(dtype: str) -> None:
    rtol, spd = tolerance(dtype), positive(dtype, 2, 4, 4)
    compare_fn("linalg.eigvalsh", spd, grad=True, rtol=rtol)

    def invariant(lib: object, x: object) -> object:
        e, v = lib.raw_ops.SelfAdjointEigV2(input=x)
        return lib.matmul(v * lib.math.log(e)[..., None, :], v, adjoint_b=True)

    compare_calls(lambda x: invariant(tf, x), lambda x: invariant(ours, x), [spd], "eigh", grad=True, rtol=rtol, static=False)
    a = matrices(dtype, 4, 4)
    out = "complex64" if dtype in ("float32", "complex64") else "complex128"

    def rebuilt(lib: object, x: object) -> object:
        e, v = lib.raw_ops.Eig(input=x, Tout=out)
        return lib.matmul(v * lib.exp(e)[..., None, :], lib.linalg.inv(v))

    compare_calls(lambda x: rebuilt(tf, x), lambda x: rebuilt(ours, x), [a], "eig", grad=True, rtol=rtol, static=False)


@pytest.mark.parametrize("dtype", FIELD)
def test_functions_of_matrices_equal_tensorflow(dtype: str) -> None:
    rtol = tolerance(dtype)
    spd = positive(dtype, 2, 3, 3)
    compare_op("MatrixSquareRoot", [spd], grad=True, rtol=rtol)
    compare_op("MatrixSquareRoot", [np.array([[1, 1], [0, 1]], dtype)], rtol=rtol)
    compare_op("MatrixSquareRoot", [np.diag([-1, 2]).astype(dtype)], rtol=rtol)
    compare_fn("linalg.expm", matrices(dtype, 2, 3, 3), grad=True, rtol=rtol)
    if "complex" in dtype:
        compare_op("MatrixLogarithm", [spd], rtol=rtol)
        compare_op("MatrixLogarithm", [np.array([[1, 1], [0, 1]], dtype)], rtol=rtol)


@pytest.mark.parametrize("dtype", FIELD)
def test_tridiagonal_systems_equal_tensorflow(dtype: str) -> None:
    rtol = tolerance(dtype)
    d, b = matrices(dtype, 2, 3, 6), matrices(dtype, 2, 6, 2)
    for pivoting in (False, True):
        compare_op("TridiagonalSolve", [d + np.array([[0], [4], [0]], dtype), b], partial_pivoting=pivoting, grad=True, rtol=rtol)
    compare_op("TridiagonalSolve", [d, b], grad=True, rtol=rtol * 10)
    compare_op("TridiagonalMatMul", [d[:, :1], d[:, 1:2], d[:, 2:], b], grad=True, rtol=rtol)


def test_least_squares_equal_tensorflow() -> None:
    for m, n in ((5, 3), (3, 5), (4, 4)):
        a, b = matrices("float64", 2, m, n), matrices("float64", 2, m, 2)
        for l2 in (0.0, 0.5):
            compare_op("MatrixSolveLs", [a, b, np.float64(l2)], fast=True, grad=True, rtol=1e-6)
        compare_op("MatrixSolveLs", [a, b, np.float64(0)], fast=False, rtol=1e-6)
        compare_fn("linalg.lstsq", a, b, l2_regularizer=0.1, rtol=1e-6)


@pytest.mark.parametrize("order", ["euclidean", "fro", 1, 2, np.inf, 3, 0.5])
def test_norms_equal_tensorflow(order: object) -> None:
    x = values("float32", (2, 3, 4))
    for axis in (None, 1, -1) if order != "fro" else ():
        compare_fn("norm", x, ord=order, axis=axis, grad=True)
        compare_fn("norm", x, ord=order, axis=axis, keepdims=True)
    if order not in (3, 0.5):
        compare_fn("norm", x, ord=order, axis=[-2, -1], rtol=1e-4)
    if order == "fro":
        return
    compare_fn("linalg.normalize", x, ord=order, axis=1, grad=True)
    compare_fn("norm", values("complex64", (3, 4)), ord=order, axis=1)


def test_composed_functions_equal_tensorflow() -> None:
    a, spd = matrices("float64", 2, 4, 4), positive("float64", 2, 4, 4)
    b = matrices("float64", 2, 4, 3)
    compare_fn("linalg.pinv", matrices("float64", 5, 3), grad=True, rtol=1e-7)
    compare_fn("linalg.matrix_rank", np.array([[1.0, 2], [2, 4]]))
    compare_fn("linalg.logdet", spd, grad=True)
    compare_fn("linalg.slogdet", a)
    compare_fn("linalg.cholesky_solve", np.linalg.cholesky(spd), b, grad=True)
    compare_fn("linalg.svd", a, compute_uv=False)
    compare_fn("linalg.svd", matrices("complex64", 3, 3), compute_uv=False, rtol=1e-4)
    compare_fn("linalg.eigvalsh", spd)
    compare_fn("linalg.eigh_tridiagonal", values("float64", (5,)), values("float64", (4,)), rtol=1e-6)
    compare_fn("linalg.global_norm", [values("float32"), values("float32", (5,))], static=False)
    compare_fn("linalg.adjoint", matrices("complex64", 3, 2))
    compare_fn("linalg.tridiagonal_solve", matrices("float64", 3, 5) + np.array([[0], [4], [0]]), matrices("float64", 5, 2), grad=True)
    compare_fn("linalg.tridiagonal_matmul", matrices("float64", 3, 5), matrices("float64", 5, 2), grad=True)
    compare_fn("clip_by_norm", values("float32"), clip_norm=2.0, grad=True)
    compare_fn("clip_by_norm", values("float32"), clip_norm=2.0, axes=[1], grad=True)
    compare_op("L2Loss", [values("float32")], grad=True)
    lu, p = (np.asarray(t) for t in tf.linalg.lu(a))
    compare_fn("linalg.lu_reconstruct", lu, p)
    compare_fn("linalg.lu_solve", lu, p, b)
    compare_fn("linalg.lu_matrix_inverse", lu, p)
