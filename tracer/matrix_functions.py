"""Numeric routines on stacks of matrices that NumPy lacks: triangular and tridiagonal solves, LU, square root, logarithm, exponential."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["expm", "logm", "lu", "solve_lower", "solve_triangular", "solve_tridiagonal", "sqrtm"]


def adjoint(x: np.ndarray) -> np.ndarray:
    """The conjugate transpose of the matrices in the last two axes."""
    x = np.swapaxes(x, -1, -2)
    return np.conjugate(x) if x.dtype.kind == "c" else x


def solve_lower(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve a x = b by forward substitution, block by block; only the lower triangle of `a` is read. Zeros on the diagonal give inf or NaN."""
    n = a.shape[-1]
    if n > 24:
        half = n // 2
        top = solve_lower(a[..., :half, :half], b[..., :half, :])
        bottom = solve_lower(a[..., half:, half:], b[..., half:, :] - np.matmul(a[..., half:, :half], top))
        return np.concatenate([top, bottom], axis=-2)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.empty((*lead, n, b.shape[-1]), b.dtype)
    for i in range(n):
        rest = b[..., i, :]
        if i:
            rest = rest - np.matmul(a[..., i : i + 1, :i], x[..., :i, :])[..., 0, :]
        x[..., i, :] = rest / a[..., i, i][..., None]
    return x


def solve_triangular(a: np.ndarray, b: np.ndarray, lower: bool, is_adjoint: bool) -> np.ndarray:
    """Solve with the lower or upper triangle of `a`, or with its adjoint."""
    if is_adjoint:
        a, lower = adjoint(a), not lower
    if lower:
        return solve_lower(a, b)
    # an upper triangle read backwards is a lower one
    return solve_lower(a[..., ::-1, ::-1], b[..., ::-1, :])[..., ::-1, :]


def lu(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """LU with partial pivoting of one square matrix: packed factors, the permutation, and whether it is singular."""
    out = np.array(a, order="C")
    n = out.shape[0]
    perm = np.arange(n)
    singular = False
    for k in range(n):
        column = np.abs(out[k:, k])
        pivot = k + int(np.argmax(column))
        if not column[pivot - k] > 0:
            singular = True
            continue
        if pivot != k:
            out[[k, pivot]] = out[[pivot, k]]
            perm[[k, pivot]] = perm[[pivot, k]]
        out[k + 1 :, k] /= out[k, k]
        out[k + 1 :, k + 1 :] -= np.multiply.outer(out[k + 1 :, k], out[k, k + 1 :])
    return out, perm, singular


def solve_tridiagonal(upper: np.ndarray, main: np.ndarray, lower: np.ndarray, rhs: np.ndarray, pivoting: bool) -> np.ndarray:
    """Solve stacks of tridiagonal systems: diagonals [..., n], right sides [..., n, k]; rows are exchanged where `pivoting`."""
    n = main.shape[-1]
    zero = np.zeros_like(main[..., 0])
    d, u, rhs = main.copy(), upper.copy(), rhs.copy()
    w = np.zeros_like(u)  # the second superdiagonal that exchanges fill in
    for i in range(n - 1):
        low = lower[..., i + 1]
        if pivoting:
            swap = np.abs(low) > np.abs(d[..., i])
            u_next = u[..., i + 1] if i + 2 < n else zero
            d0, u0, d1 = d[..., i].copy(), u[..., i].copy(), d[..., i + 1].copy()
            d[..., i] = np.where(swap, low, d0)
            u[..., i] = np.where(swap, d1, u0)
            w[..., i] = np.where(swap, u_next, zero)
            low = np.where(swap, d0, low)
            d[..., i + 1] = np.where(swap, u0, d1)
            if i + 2 < n:
                u[..., i + 1] = np.where(swap, zero, u_next)
            r0, r1 = rhs[..., i, :].copy(), rhs[..., i + 1, :].copy()
            rhs[..., i, :] = np.where(swap[..., None], r1, r0)
            rhs[..., i + 1, :] = np.where(swap[..., None], r0, r1)
        factor = low / d[..., i]
        d[..., i + 1] -= factor * u[..., i]
        if pivoting and i + 2 < n:
            u[..., i + 1] -= factor * w[..., i]
        rhs[..., i + 1, :] -= factor[..., None] * rhs[..., i, :]
    x = np.empty_like(rhs)
    for i in range(n - 1, -1, -1):
        rest = rhs[..., i, :]
        if i + 1 < n:
            rest = rest - u[..., i][..., None] * x[..., i + 1, :]
        if i + 2 < n:
            rest = rest - w[..., i][..., None] * x[..., i + 2, :]
        x[..., i, :] = rest / d[..., i][..., None]
    return x


# -- functions of one matrix -----------------------------------------------------------------------------------------

_WELL_CONDITIONED = 1e6


def _by_eigenvalues(a: np.ndarray, function: Any) -> np.ndarray | None:
    """f(A) through the eigenvectors of A, unless those are nearly dependent."""
    values, vectors = np.linalg.eig(a)
    if not np.isfinite(values).all() or np.linalg.cond(vectors) > _WELL_CONDITIONED:
        return None
    return np.linalg.solve(vectors.T, (vectors * function(values)).T).T


def _square_root_by_iteration(a: np.ndarray) -> np.ndarray:
    """Denman and Beavers' product iteration: converges quadratically where no eigenvalue lies on the closed negative axis."""
    eye = np.eye(a.shape[0], dtype=a.dtype)
    m, x = a.copy(), a.copy()
    for _ in range(60):
        inverse = np.linalg.inv(m)
        x = x @ (eye + inverse) / 2
        m = (eye + (m + inverse) / 2) / 2
        if np.abs(m - eye).max() < 1e-15 * a.shape[0]:
            break
    return x


def sqrtm(a: np.ndarray) -> np.ndarray:
    """The principal square root of one complex128 matrix."""
    if a.size == 0:
        return a
    found = _by_eigenvalues(a, np.sqrt)
    if found is not None:
        return found
    try:
        return _square_root_by_iteration(a)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.nan)


def logm(a: np.ndarray) -> np.ndarray:
    """The principal logarithm of one complex128 matrix: by eigenvectors, else by inverse scaling and squaring."""
    if a.size == 0:
        return a
    found = _by_eigenvalues(a, np.log)
    if found is not None:
        return found
    eye = np.eye(a.shape[0], dtype=a.dtype)
    roots = 0
    try:
        while np.linalg.norm(a - eye, 1) > 0.25 and roots < 64:
            a = _square_root_by_iteration(a)
            roots += 1
        x = a - eye
        nodes, weights = np.polynomial.legendre.leggauss(12)
        out = np.zeros_like(x)
        for t, w in zip((nodes + 1) / 2, weights / 2):
            out += w * np.linalg.solve(eye + t * x, x)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.nan)
    return out * 2.0**roots


_PADE_13 = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0,
    670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip


def expm(a: np.ndarray) -> np.ndarray:
    """The exponential of a stack of matrices: Higham's scaling and squaring with the Padé approximant of degree 13 (2005)."""
    if a.size == 0:
        return a
    n = a.shape[-1]
    eye = np.eye(n, dtype=a.dtype)
    norm = np.abs(a).sum(axis=-2).max(axis=-1)
    squarings = np.maximum(np.ceil(np.log2(np.maximum(norm, 1e-300) / 5.371920351148152)), 0).astype(int)
    a = a / np.exp2(squarings)[..., None, None].astype(a.real.dtype)
    b = _PADE_13
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    u = a @ (a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * eye)
    v = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * eye
    out = np.linalg.solve(v - u, v + u)
    for step in range(int(squarings.max(initial=0))):
        out = np.where((squarings > step)[..., None, None], out @ out, out)
    return out
