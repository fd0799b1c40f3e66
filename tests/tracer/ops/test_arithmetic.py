"""Arithmetic, reductions, products, running totals and casts: exact small cases, numeric gradients, eager equals traced."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tests.tracer.check import check_gradients, check_traced
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError
from tracer.public import tf

rng = np.random.default_rng(5)


def values(*shape: int, low: float = 0.3, high: float = 0.9) -> np.ndarray:
    return rng.uniform(low, high, shape)


UNARY = (
    "Abs Neg Square Sqrt Rsqrt Exp Expm1 Log Log1p Sin Cos Tan Sinh Cosh Tanh Asin Acos Atan Asinh Atanh Sigmoid Reciprocal "
    "Erf Erfc Erfinv Ndtri Lgamma Digamma BesselI0 BesselI1 BesselI0e BesselI1e BesselK0 BesselK1 BesselJ0 BesselJ1 BesselY0 "
    "BesselY1 Dawsn Expint FresnelCos FresnelSin Spence"
).split()


@pytest.mark.parametrize("name", UNARY)
def test_slopes_of_functions_of_one_tensor_are_right(name: str) -> None:
    check_gradients(getattr(raw, name), [values(2, 3)])


BINARY = "AddV2 Sub Mul RealDiv Maximum Minimum Pow SquaredDifference DivNoNan MulNoNan Xdivy Xlogy Xlog1py Atan2 FloorMod".split()


@pytest.mark.parametrize("name", BINARY)
def test_slopes_of_functions_of_two_tensors_are_right_with_broadcasting(name: str) -> None:
    check_gradients(getattr(raw, name), [values(2, 1, 3), values(4, 1)])
    check_traced(getattr(raw, name), [values(2, 1, 3), values(4, 1)])


@pytest.mark.parametrize("name", "TanhGrad SigmoidGrad SqrtGrad RsqrtGrad ReciprocalGrad".split())
def test_slopes_of_slopes_are_right(name: str) -> None:
    check_gradients(getattr(raw, name), [values(2, 3), values(2, 3)])


@pytest.mark.parametrize("name", ["reduce_sum", "reduce_mean", "reduce_prod", "reduce_max", "reduce_min", "reduce_logsumexp", "math.reduce_std"])
@pytest.mark.parametrize("axis", [None, 1, (0, -1)])
def test_slopes_of_reductions_are_right(name: str, axis: object) -> None:
    fn = tf
    for part in name.split("."):
        fn = getattr(fn, part)
    for keepdims in (False, True):
        check_gradients(lambda x: fn(x, axis=axis, keepdims=keepdims), [values(2, 3, 2)])  # noqa: B023
        check_traced(lambda x: fn(x, axis=axis, keepdims=keepdims), [values(2, 3, 2)])  # noqa: B023


@pytest.mark.parametrize("equation", ["ij,jk->ik", "...ij,jk->...ik", "i...,i->...", "ii->i", "ij->", "iij,jk->ki", "ab,bc,cd->ad", "i,j->ij"])
def test_slopes_of_einsum_are_right(equation: str) -> None:
    sizes = dict(zip("ijkabcd", (2, 2, 3, 2, 3, 2, 3)))
    shapes = []
    for term in equation.split("->")[0].split(","):
        before, dots, after = term.partition("...")
        shapes.append([sizes[c] for c in before] + ([2] if dots else []) + [sizes[c] for c in after])
    check_gradients(lambda *x: tf.einsum(equation, *x), [values(*s) for s in shapes])


def test_slopes_of_products_are_right() -> None:
    z = values(2, 3) + 1j * values(2, 3)
    for ta in (False, True):
        for tb in (False, True):
            a, b = values(*((3, 2) if ta else (2, 3))), values(*((4, 3) if tb else (3, 4)))
            check_gradients(lambda x, y: tf.matmul(x, y, transpose_a=ta, transpose_b=tb), [a, b])  # noqa: B023
    check_gradients(lambda x, y: tf.matmul(x, y, adjoint_b=True), [z, z + 1])
    check_gradients(lambda x, y: tf.matmul(x, y), [values(2, 1, 2, 3), values(4, 3, 2)])
    check_gradients(lambda x, y: tf.tensordot(x, y, [[0, 2], [1, 0]]), [values(2, 3, 4), values(4, 2)])


@pytest.mark.parametrize("name", ["Cumsum", "Cumprod", "CumulativeLogsumexp"])
def test_slopes_of_running_totals_are_right(name: str) -> None:
    for exclusive in (False, True):
        if exclusive and name == "CumulativeLogsumexp":
            continue
        for reverse in (False, True):
            check_gradients(lambda x: getattr(raw, name)(x, 1, exclusive=exclusive, reverse=reverse), [values(2, 3)])  # noqa: B023


def test_integers_wrap_and_divide_as_on_the_cpu() -> None:
    top = np.array([2**31 - 1], np.int32)
    assert raw.AddV2(top, top).numpy().tolist() == [-2]
    assert raw.FloorDiv(np.int32(-7), np.int32(2)).numpy() == -4
    assert raw.TruncateDiv(np.int32(-7), np.int32(2)).numpy() == -3
    assert raw.FloorMod(np.int32(-7), np.int32(2)).numpy() == 1
    assert raw.TruncateMod(np.int32(-7), np.int32(2)).numpy() == -1
    assert tf.reduce_mean(np.array([-1, -2, -4], np.int32)).numpy() == -2
    with pytest.raises(InvalidArgumentError, match="division by zero"):
        raw.FloorDiv(np.int32(1), np.int32(0))
    with pytest.raises(InvalidArgumentError, match="negative integer powers"):
        raw.Pow(np.int32(2), np.int32(-1))


def test_casts_round_and_saturate_as_on_the_cpu() -> None:
    odd = np.array([1.9, -1.9, 300.0, np.nan], np.float32)
    assert tf.cast(np.tile(odd, 8), "int8").numpy()[:4].tolist() == [1, -1, 127, -128]  # a full packet saturates
    assert tf.cast(odd, "int8").numpy().tolist() == [1, -1, 44, 0]  # what is left over does not
    assert tf.cast(odd, "int32").numpy().tolist() == [1, -1, 300, -(2**31)]
    assert tf.cast(odd[:3], "bool").numpy().all()
    assert tf.cast(odd, "bfloat16").numpy().dtype == ml_dtypes.bfloat16
    assert tf.cast(np.complex64(2 + 3j), "float32").numpy() == 2
    assert tf.saturate_cast(np.array([1e30, -1e30], np.float32), "int32").numpy().tolist() == [2147483520, -2147483648]
    assert tf.round(np.array([0.5, 1.5, -2.5], np.float32)).numpy().tolist() == [0, 2, -2]


def test_wrong_axes_and_shapes_are_refused_with_a_reason() -> None:
    with pytest.raises(InvalidArgumentError, match="Invalid reduction dimension"):
        tf.reduce_sum(np.zeros(3), axis=1)
    with pytest.raises(InvalidArgumentError, match="duplicate"):
        tf.reduce_sum(np.zeros((3, 3)), axis=[0, -2])
    with pytest.raises(InvalidArgumentError, match="size-incompatible"):
        tf.matmul(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(InvalidArgumentError, match="sizes 3 and 2"):
        tf.einsum("ij,jk->ik", np.zeros((2, 3)), np.zeros((2, 3)))
