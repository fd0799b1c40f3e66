"""Special functions against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracle.compare import compare_fn, compare_op

POSITIVE = np.array([1e-3, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0, 7.9, 12.0, 24.0, 26.0, 60.0])
BOTH = np.concatenate([-POSITIVE[::-1], POSITIVE])
DOMAINS = {
    "Erf": BOTH, "Erfc": BOTH, "Erfinv": np.linspace(-0.999, 0.999, 21), "Ndtri": np.array([1e-12, 1e-3, 0.02, 0.1, 0.5, 0.7, 0.99, 1 - 1e-9]),
    "Lgamma": np.array([-3.5, -0.3, *POSITIVE, 1e5]), "Digamma": np.array([-3.5, -0.3, *POSITIVE]), "BesselI0": BOTH[2:-2], "BesselI0e": BOTH,
    "BesselI1": BOTH[2:-2], "BesselI1e": BOTH, "BesselK0": POSITIVE, "BesselK0e": POSITIVE, "BesselK1": POSITIVE, "BesselK1e": POSITIVE,
    "BesselJ0": BOTH, "BesselJ1": BOTH, "BesselY0": POSITIVE, "BesselY1": POSITIVE, "Dawsn": BOTH, "Expint": POSITIVE[:-1],
    "FresnelCos": BOTH, "FresnelSin": BOTH, "Spence": np.concatenate([POSITIVE, [0.0, 1.0]]),
}  # fmt: skip


@pytest.mark.parametrize("name", DOMAINS)
def test_special_functions_and_their_slopes_equal_tensorflow(name: str) -> None:
    compare_op(name, [DOMAINS[name]], grad=True, rtol=1e-10, atol=1e-11)
    compare_op(name, [DOMAINS[name].astype(np.float32)], grad=True, rtol=1e-4, atol=2e-6)


def test_special_functions_at_their_edges_equal_tensorflow() -> None:
    edges = np.array([0.0, -0.0, -1.0, 1.0, -2.0, np.inf, -np.inf, np.nan])
    for name in ("Erf", "Erfc", "Erfinv", "Ndtri", "Lgamma", "Digamma", "BesselI0e", "BesselI1e"):
        compare_op(name, [edges], rtol=1e-10)


def test_functions_of_several_tensors_equal_tensorflow() -> None:
    a = np.array([0.1, 0.5, 1.0, 3.0, 10.0, 50.0])[:, None]
    x = np.array([0.01, 0.4, 1.0, 2.9, 11.0, 49.0, 90.0])
    for dtype, rtol in ((np.float64, 1e-9), (np.float32, 2e-4)):
        aa, xx = a.astype(dtype), x.astype(dtype)
        compare_op("Igamma", [aa, xx], grad=True, rtol=rtol, atol=rtol / 10, grad_rtol=max(rtol, 1e-7))
        compare_op("Igammac", [aa, xx], grad=True, rtol=rtol, atol=rtol / 10, grad_rtol=max(rtol, 1e-7))
        compare_op("IgammaGradA", [aa, xx], rtol=max(rtol, 1e-7), atol=max(rtol, 1e-7) / 10)
        compare_op("RandomGammaGrad", [aa, np.minimum(xx, 3 * aa + 3)], rtol=max(rtol * 10, 1e-6), atol=1e-6)
        compare_op("Polygamma", [np.array([[0.0], [1], [2], [5]], dtype), xx], grad=True, rtol=rtol)
        compare_op("Zeta", [np.array([[1.5], [2], [7]], dtype), xx], grad=True, rtol=rtol)
        p = np.array([0.0, 0.01, 0.3, 0.5, 0.9, 0.999, 1.0], dtype)
        compare_op("Betainc", [np.full((6, 7), aa), np.full((6, 7), aa[::-1]), np.full((6, 7), p)], rtol=rtol, atol=rtol / 10)
        q = np.full((6, 5), p[1:-1])
        compare_op("Betainc", [np.full((6, 5), aa), np.full((6, 5), aa[::-1]), q], grad=True, rtol=rtol, atol=rtol / 10)
    compare_fn("math.lbeta", np.array([[1.0, 2, 3], [0.5, 0.5, 4]]), grad=True)
    compare_fn("math.erfcinv", np.array([0.1, 0.7, 1.0, 1.9]))
