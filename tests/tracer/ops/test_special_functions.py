"""Special functions against the standard library and against identities."""

from __future__ import annotations

import math

import numpy as np

from tracer import special_functions as special

X = np.concatenate([np.linspace(-6, 6, 241), [1e-300, 1e-9, 30.0]])
P = np.array([1e-4, 0.05, 0.3, 0.9, 1.0, 1.7, 2.0, 3.3, 9.9, 24.9, 25.1, 70.0])


def test_error_functions_equal_the_standard_library() -> None:
    np.testing.assert_allclose(special.erf(X), [math.erf(v) for v in X], rtol=1e-14)
    np.testing.assert_allclose(special.erfc(X), [math.erfc(v) for v in X], rtol=1e-13, atol=1e-300)
    small = X.astype(np.float32)
    np.testing.assert_allclose(special.erf_float32(small), [math.erf(v) for v in small], rtol=1e-6, atol=1e-7)
    y = np.array([-0.999999, -0.5, -1e-12, 0.0, 0.3, 0.69, 0.71, 0.9999])
    np.testing.assert_allclose(special.erf(special.erfinv(y)), y, rtol=1e-13)
    p = np.array([1e-200, 1e-10, 0.02, 0.4, 0.6, 0.99])
    np.testing.assert_allclose(special.erfc(-special.ndtri(p) / np.sqrt(2)) / 2, p, rtol=1e-11)


def test_gamma_functions_equal_the_standard_library_and_their_recurrences() -> None:
    x = np.array([-2.5, -0.1, 1e-8, 0.3, 1.0, 1.5, 2.0, 7.7, 50.0, 1e8])
    np.testing.assert_allclose(special.lgamma(x), [math.lgamma(v) for v in x], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(special.digamma(P + 1), special.digamma(P) + 1 / P, rtol=1e-12)
    np.testing.assert_allclose(special.zeta(np.array(2.0), np.array([1.0])), [math.pi**2 / 6], rtol=1e-13)
    a, v = np.array([0.2, 1.0, 5.0, 40.0])[:, None], P
    np.testing.assert_allclose(special.igamma(a, v) + special.igammac(a, v), np.ones((4, P.size)), rtol=1e-13)
    step = 1e-5
    numeric = (special.igamma(a + step, v) - special.igamma(a - step, v)) / (2 * step)
    np.testing.assert_allclose(special.igamma_grad_a(a, v), numeric, atol=1e-9)
    q = np.array([0.01, 0.4, 0.8])
    np.testing.assert_allclose(special.betainc(a, 3.0, q), 1 - special.betainc(3.0, a, 1 - q), atol=1e-13)


def test_bessel_functions_satisfy_their_wronskians() -> None:
    wronskian = special.bessel_j(1, P) * special.bessel_y(0, P) - special.bessel_j(0, P) * special.bessel_y(1, P)
    np.testing.assert_allclose(wronskian * np.pi * P / 2, np.ones(P.size), rtol=1e-11)
    wronskian = special.bessel_i(0, P, True) * special.bessel_k(1, P, True) + special.bessel_i(1, P, True) * special.bessel_k(0, P, True)
    np.testing.assert_allclose(wronskian * P, np.ones(P.size), rtol=1e-12)


def test_integrals_meet_where_their_methods_change() -> None:
    for function, edge in (
        (special.dawsn, 0.3), (special.expint, 45.0), (lambda v: special.fresnel(v, True), 6.0), (lambda v: special.fresnel(v, False), 6.0),
        (special.spence, 0.5), (special.spence, 2.0), (lambda v: special.bessel_j(0, v), 25.0), (lambda v: special.bessel_y(1, v), 25.0),
    ):  # fmt: skip
        below, above = function(np.array([edge * (1 - 1e-14), edge * (1 + 1e-14)]))
        assert abs(below - above) <= 1e-11 * max(1.0, abs(below))
    np.testing.assert_allclose(special.spence(np.array([0.0, 2.0])), [math.pi**2 / 6, -(math.pi**2) / 12], rtol=1e-13)
