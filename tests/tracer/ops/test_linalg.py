"""Linear algebra: numeric gradients, and the identities that define each function."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tracer.check import check_gradients
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError
from tracer.public import tf

rng = np.random.default_rng(6)
A = rng.normal(size=(2, 3, 3)) + 2 * np.eye(3)
SPD = A @ A.swapaxes(-1, -2) + np.eye(3)
B = rng.normal(size=(2, 3, 2))
Z = A + 1j * rng.normal(size=A.shape)


def _symmetric(fn):  # type: ignore[no-untyped-def]
    """Decompositions read one triangle only: feed them what a symmetric matrix would be."""
    return lambda x: fn((x + tf.linalg.matrix_transpose(x)) / 2.0)


CASES = {
    "inverse": (tf.linalg.inv, [A]),
    "inverse of complex": (tf.linalg.inv, [Z]),
    "solve": (tf.linalg.solve, [A, B]),
    "adjoint solve": (lambda a, b: tf.linalg.solve(a, b, adjoint=True), [A, B]),
    "triangular solve": (tf.linalg.triangular_solve, [A, B]),
    "upper solve": (lambda a, b: tf.linalg.triangular_solve(a, b, lower=False, adjoint=True), [A, B]),
    "banded solve": (tf.linalg.banded_triangular_solve, [A[:, :2] + 2, B]),
    "determinant": (tf.linalg.det, [A]),
    "log determinant": (lambda a: tf.linalg.slogdet(a)[1], [A]),
    "cholesky": (_symmetric(tf.linalg.cholesky), [SPD]),
    "qr": (tf.linalg.qr, [A]),
    "wide qr": (tf.linalg.qr, [A[:, :2]]),
    "singular values": (lambda a: tf.linalg.svd(a, compute_uv=False), [A]),
    "eigenvalues": (_symmetric(tf.linalg.eigvalsh), [SPD]),
    "square root": (tf.linalg.sqrtm, [SPD]),
    "exponential": (tf.linalg.expm, [A]),
    "least squares": (tf.linalg.lstsq, [A[:, :, :2], B]),
    "pseudo-inverse": (tf.linalg.pinv, [A[:, :2]]),
    "tridiagonal solve": (tf.linalg.tridiagonal_solve, [A + np.array([[0], [4], [0]]), B]),
    "tridiagonal product": (tf.linalg.tridiagonal_matmul, [A, B]),
    "norm": (lambda a: tf.norm(a, ord=3, axis=1), [A]),
    "diagonals": (lambda a: tf.linalg.diag_part(a, k=(-1, 1)), [A]),
    "set diagonals": (lambda a, d: tf.linalg.set_diag(a, d, k=(0, 1)), [A, B.swapaxes(1, 2)]),
    "cross": (tf.linalg.cross, [A, A + 1]),
}


@pytest.mark.parametrize("case", CASES)
def test_slopes_of_linear_algebra_are_right(case: str) -> None:
    check_gradients(*CASES[case], tolerance=1e-4)


def test_decompositions_rebuild_the_matrix() -> None:
    for x in (A, Z):
        s, u, v = tf.linalg.svd(x)
        np.testing.assert_allclose((u.numpy() * s.numpy()[:, None, :]) @ np.conj(v.numpy().swapaxes(-1, -2)), x, atol=1e-12)
        lu, p = tf.linalg.lu(x)
        np.testing.assert_allclose(tf.linalg.lu_reconstruct(lu, p).numpy(), x, atol=1e-12)
        root = tf.linalg.sqrtm(x.astype(complex)).numpy()
        np.testing.assert_allclose(root @ root, x, atol=1e-10)
        logarithm = tf.linalg.logm(x.astype(complex))
        np.testing.assert_allclose(tf.linalg.expm(logarithm).numpy(), x, atol=1e-9)
    jordan = np.array([[1.0, 1], [0, 1]], complex)
    np.testing.assert_allclose(tf.linalg.logm(jordan).numpy(), [[0, 1], [0, 0]], atol=1e-12)


def test_singular_matrices_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="not invertible"):
        tf.linalg.inv(np.ones((2, 2)))
    assert np.isnan(raw.Cholesky(np.array([[1.0, 2], [2, 1]])).numpy()).any()
