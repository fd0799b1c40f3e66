"""Einsum, complex numbers, bits, running sums and counts against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.oracle.compare import compare_errors, compare_fn, compare_op
from tests.oracle.ops.test_math import INTS, values

EQUATIONS = [
    ("ij,jk->ik", (3, 4), (4, 5)), ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("...ij,jk->...ik", (2, 2, 3, 4), (4, 5)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)), ("i...,j...->ij...", (2, 3, 1), (4, 5)), ("ii->i", (3, 3)), ("ii->", (3, 3)),
    ("ij->ji", (3, 4)), ("ij->", (3, 4)), ("ij->i", (3, 4)), ("ij,ij->ij", (3, 4), (3, 4)), ("ij,ij->", (3, 4), (3, 4)),
    ("i,j->ij", (3,), (4,)), ("abc,cd->abd", (2, 3, 4), (4, 5)), ("abcd,aecd->acbe", (2, 3, 4, 5), (2, 6, 4, 5)),
    ("aecd,abcd->acbe", (2, 3, 4, 5), (2, 6, 4, 5)), ("acbe,aecd->abcd", (2, 4, 6, 3), (2, 3, 4, 5)), ("ij,k->i", (2, 3), (4,)),
    ("ij,jk->", (2, 3), (3, 4)), ("iij,jk->ik", (2, 2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ba", (2, 3)), ("...i->i...", (2, 3, 4)),
    ("...->...", (2, 3)), ("a...,...->a...", (2, 3), (3,)), ("ab,abc->cab", (2, 3), (2, 3, 4)), ("i...j,j->i...", (2, 3, 4), (4,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)), ("a,b,c->abc", (2,), (3,), (4,)), ("...ab,bc,cd->...ad", (2, 3, 4), (4, 5), (5, 6)),
]  # fmt: skip


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda c: c[0])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_einsum_and_its_slopes_equal_tensorflow(case: tuple, dtype: str) -> None:
    from tests.oracle.compare import _lookup, compare_calls, ours, tf

    equation, *shapes = case
    inputs = [values(dtype, s) for s in shapes]
    compare_calls(
        lambda *x: tf.einsum(equation, *x), lambda *x: _lookup(ours, "einsum")(equation, *x), inputs, equation, grad=True,
        rtol=1e-4 if dtype == "float32" else None,
    )  # fmt: skip


def test_einsum_of_other_types_equals_tensorflow() -> None:
    for dtype in ("int32", "int64", "float16", "bfloat16"):
        a, b = values(dtype, (2, 3, 4)), values(dtype, (4, 5))
        compare_op("Einsum", [[a, np.stack([b, b])]], equation="aij,ajk->aik", rtol=2e-2)
        compare_op("Einsum", [[a]], equation="aij->jaj", rtol=2e-2)
    compare_op("Einsum", [[values("float32", (3,))]], equation="i->ii", grad=True)
    compare_errors("Einsum", [[values("float32", (2, 3)), values("float32", (2, 3))]], equation="ij,jk->ik")


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_parts_equal_tensorflow(dtype: str) -> None:
    z = values(dtype)
    for name in ("math.real", "math.imag", "math.angle", "math.conj", "abs"):
        compare_fn(name, z, grad=True)
    x = z.real.copy()
    compare_fn("complex", x, x[:1] * 2, grad=True)
    compare_fn("math.imag", x)
    compare_fn("math.angle", x)
    compare_fn("linalg.cross", values("float32", (2, 3)), values("float32", (2, 3)), grad=True)


@pytest.mark.parametrize("dtype", INTS)
def test_bits_equal_tensorflow(dtype: str) -> None:
    x, y = values(dtype, (3, 4)), values(dtype, (4,))
    for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "LeftShift", "RightShift"):
        compare_op(name, [x, y])
    compare_op("LeftShift", [x, np.array(70).astype(x.dtype)])
    compare_op("RightShift", [x, np.array(70).astype(x.dtype)])
    compare_op("Invert", [x])
    compare_op("PopulationCount", [x])


@pytest.mark.parametrize("name", ["Cumsum", "Cumprod", "CumulativeLogsumexp"])
def test_running_totals_equal_tensorflow(name: str) -> None:
    for exclusive in (False, True):
        for reverse in (False, True):
            for axis in (0, 1, -1):
                # an exclusive log-sum-exp begins at -inf, where TensorFlow's own slope is NaN
                smooth = not (name == "CumulativeLogsumexp" and exclusive)
                compare_op(name, [values("float32", (2, 3, 4)), np.int32(axis)], exclusive=exclusive, reverse=reverse, grad=smooth, rtol=1e-4)
    if name != "CumulativeLogsumexp":
        compare_op(name, [values("int32", (3, 4)), np.int32(1)])
        compare_op(name, [values("complex64", (3, 4)), np.int32(1)], grad=True, rtol=1e-3)
    compare_op(name, [values("bfloat16", (3, 4)), np.int32(1)], rtol=5e-2)
    compare_errors(name, [values("float32", (3, 4)), np.int32(2)])


def test_counts_equal_tensorflow() -> None:
    a = np.array([1, 2, 2, 5], np.int32)
    w = np.array([1.0, 2, 3, 4], np.float32)
    compare_fn("math.bincount", a)
    compare_fn("math.bincount", a, minlength=8, maxlength=4)
    compare_fn("math.bincount", a, minlength=8)
    compare_fn("math.bincount", np.zeros(0, np.int32))
    compare_fn("math.bincount", a, weights=w)
    m = np.array([[1, 2, 2, 5], [0, 1, 1, 1]], np.int64)
    compare_fn("math.bincount", m, axis=-1)
    compare_fn("math.bincount", m)
    compare_fn("math.bincount", m, axis=-1, binary_output=True)
    compare_op("Bincount", [a, np.int32(4), w])
    compare_op("Bincount", [a, np.int32(4), np.zeros(0, np.int64)])
    compare_errors("Bincount", [a - 3, np.int32(4), w])
    compare_op("DenseBincount", [m, np.int64(4), np.zeros(0, np.float32)])
    x = np.array([-1, 0, 1.5, 2, 5, 15], np.float32)
    compare_fn("histogram_fixed_width", x, np.array([0, 5], np.float32), nbins=5)
    compare_fn("histogram_fixed_width", x.astype(np.int32), np.array([0, 5], np.int32), nbins=3, dtype="int64")
    compare_fn("histogram_fixed_width_bins", x, np.array([0, 5], np.float32), nbins=5)
    compare_op("Bucketize", [np.array([-5, 1, 10, np.nan, 150], np.float32)], boundaries=[0.0, 1.0, 100.0])
    compare_op("Bucketize", [np.array([-5, 1, 10], np.int64)], boundaries=[0.0, 1.0, 100.0])
    compare_op("LinSpace", [np.float32(0), np.float32(1), np.int32(7)])
    compare_op("LinSpace", [np.float64(3), np.float64(1), np.int32(1)])
    compare_errors("LinSpace", [np.float64(3), np.float64(1), np.int32(0)])
    compare_fn("linspace", np.array([0, 1], np.float32), np.array([5, 10], np.float32), num=3, axis=1)
    compare_fn("linspace", np.array([0, 1], np.float32), np.array([5, 10], np.float32), num=4)
    compare_fn("linspace", np.int32(0), np.int32(3), num=4)
    compare_fn("linspace", np.array([0, 1], np.float32), np.float32(2), num=1)


def test_other_counts_equal_tensorflow() -> None:
    x = np.array([[0, 1, 2], [3, 0, 0]], np.float32)
    compare_fn("math.count_nonzero", x)
    compare_fn("math.count_nonzero", x, axis=1, keepdims=True, dtype="int32")
    a, b = np.array([0, 1, 2, 2], np.int32), np.array([0, 2, 2, 1], np.int32)
    compare_fn("math.confusion_matrix", a, b)
    compare_fn("math.confusion_matrix", a, b[:, None], num_classes=4, weights=np.array([1, 2, 3, 4], np.float32), dtype="float32")
    for v in ([1, 2, 2], [1, 3, 2], [1, 2, 3]):
        compare_fn("math.is_non_decreasing", np.array(v, np.int32))
        compare_fn("math.is_strictly_increasing", np.array(v, np.float32))
