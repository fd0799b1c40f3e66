"""Elementwise arithmetic, comparisons, casts, reductions and matrix products against TensorFlow."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tests.oracle.compare import compare_calls, compare_errors, compare_fn, compare_op

rng = np.random.default_rng(0)
FLOATS = ["float32", "float64", "float16", "bfloat16"]
FIELD = [*FLOATS, "complex64", "complex128"]
INTS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def _dtype(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def values(dtype: str, shape: tuple[int, ...] = (3, 4), low: float = -3.0, high: float = 3.0) -> np.ndarray:
    to = _dtype(dtype)
    if to.kind == "u":
        return rng.integers(1, 9, shape).astype(to)
    if to.kind == "i":
        x = rng.integers(-8, 9, shape)
        return np.where(x == 0, 3, x).astype(to)
    x = rng.uniform(low, high, shape)
    if to.kind == "c":
        x = x + 1j * rng.uniform(low, high, shape)
    return x.astype(to)


UNARY = {
    "Neg": (-3, 3), "Sign": (-3, 3), "Square": (-3, 3), "Sqrt": (0.1, 4), "Rsqrt": (0.1, 4), "Exp": (-3, 3), "Expm1": (-2, 2),
    "Log": (0.1, 4), "Log1p": (-0.5, 4), "Sin": (-3, 3), "Cos": (-3, 3), "Tan": (-1, 1), "Sinh": (-3, 3), "Cosh": (-3, 3),
    "Tanh": (-3, 3), "Asin": (-0.9, 0.9), "Acos": (-0.9, 0.9), "Atan": (-3, 3), "Asinh": (-3, 3), "Acosh": (1.2, 4),
    "Atanh": (-0.9, 0.9), "Sigmoid": (-4, 4), "Reciprocal": (0.4, 3), "Inv": (0.4, 3),
}  # fmt: skip


@pytest.mark.parametrize("dtype", FIELD)
@pytest.mark.parametrize("name", UNARY)
def test_elementwise_functions_and_their_slopes_equal_tensorflow(name: str, dtype: str) -> None:
    x = values(dtype, (3, 4), *UNARY[name])
    loose = {"float16": 1e-2, "bfloat16": 6e-2, "complex64": 5e-5}.get(dtype)
    compare_op(name, [x], grad=True, rtol=loose, static=dtype == "float32")


_ROUNDING = ["Ceil", "Floor", "Rint", "Round", "Abs", "IsNan", "IsInf", "IsFinite", "Sign"]


# TensorFlow has no kernel of Rint in 16 bits.
@pytest.mark.parametrize(
    ("name", "dtype"), [(n, d) for n in _ROUNDING for d in FLOATS if n != "Rint" or d not in ("float16", "bfloat16")]
)
def test_rounding_and_classification_equal_tensorflow(name: str, dtype: str) -> None:
    x = np.array([0.5, 1.5, -2.5, 2.4, -0.0, np.nan, np.inf, -np.inf, -1.2], _dtype(dtype))
    compare_op(name, [x])


@pytest.mark.parametrize("name", ["InvGrad", "ReciprocalGrad", "SqrtGrad", "RsqrtGrad", "TanhGrad", "SigmoidGrad"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "float16"])
def test_slopes_as_ops_differentiate_too(name: str, dtype: str) -> None:
    rtol = 2e-2 if dtype == "float16" else None
    compare_op(name, [values(dtype, (3, 4), 0.3, 0.9), values(dtype)], grad=True, rtol=rtol)


BINARY = {
    "AddV2": FIELD + INTS, "Sub": FIELD + INTS, "Mul": FIELD + INTS, "RealDiv": FIELD, "Div": FIELD + INTS,
    "FloorDiv": FLOATS + INTS, "FloorMod": FLOATS + INTS, "Mod": ["float32", "float64", "int32", "int64"], "TruncateDiv": INTS + FLOATS,
    "TruncateMod": ["float32", "float64", "int32", "int64"], "Maximum": FLOATS + INTS, "Minimum": FLOATS + INTS,
    "SquaredDifference": [*FIELD, "int32", "int64"], "DivNoNan": FIELD, "MulNoNan": FIELD, "Xdivy": FIELD, "Xlogy": FIELD,
    "Xlog1py": FIELD, "Atan2": FLOATS, "Pow": [*FIELD], "NextAfter": ["float32", "float64"],
    "Less": FLOATS + INTS, "LessEqual": FLOATS + INTS, "Greater": FLOATS + INTS, "GreaterEqual": FLOATS + INTS,
    "Equal": FIELD + INTS, "NotEqual": FIELD + INTS,
}  # fmt: skip


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n, ds in BINARY.items() for d in ds])
def test_arithmetic_with_broadcasting_equals_tensorflow(name: str, dtype: str) -> None:
    positive = name in ("Pow", "Xlogy", "Xlog1py")
    low, high = (0.3, 2.0) if positive else (-3.0, 3.0)
    x, y = values(dtype, (2, 1, 4), low, high), values(dtype, (3, 1), low, high)
    loose = {"float16": 2e-2, "bfloat16": 8e-2, "complex64": 1e-4}.get(dtype)
    compare_op(name, [x, y], grad=_dtype(dtype).kind in "fcV" and name not in ("NextAfter", "Mod", "TruncateMod"), rtol=loose, static=dtype == "float32")


def test_special_values_equal_tensorflow() -> None:
    nan, inf = np.nan, np.inf
    a = np.array([nan, 1, inf, 0, -inf, -5, 5, 0], np.float32)
    for name in ("Maximum", "Minimum", "DivNoNan", "MulNoNan", "Xdivy", "Xlogy", "Xlog1py", "FloorDiv", "FloorMod", "TruncateDiv", "Mod", "Pow", "Atan2"):
        for b in (0.0, 2.0, -3.0, nan, inf, -inf):
            if name == "Pow" and np.isinf(b):
                continue
            compare_op(name, [a, np.float32(b)], static=False)
    for name in ("Rsqrt", "Sqrt", "Log", "Sigmoid", "Tanh", "Sign", "Reciprocal", "Exp", "Atanh", "Acosh"):
        compare_op(name, [a], static=False)


def test_integers_wrap_and_refuse_as_tensorflow() -> None:
    big = np.array([2**31 - 1, -(2**31)], np.int32)
    compare_op("AddV2", [big, np.array([1, -1], np.int32)])
    compare_op("Mul", [big, np.int32(7)])
    compare_op("Neg", [big])
    compare_op("Square", [big])
    compare_op("FloorDiv", [big, np.array([-1, -1], np.int32)])
    compare_op("FloorMod", [big, np.array([-1, -1], np.int32)])
    compare_op("Pow", [np.array([3, 0, -2], np.int32), np.array([40, 0, 3], np.int32)])
    for name in ("FloorDiv", "FloorMod", "TruncateDiv", "Div", "Mod"):
        compare_errors(name, [np.array([4], np.int32), np.array([0], np.int32)])
    compare_errors("Pow", [np.array([4], np.int32), np.array([-1], np.int32)])


ODD = np.array([np.nan, np.inf, -np.inf, 3e9, -3e9, 300.7, -1.5, 1e20, -1e20, 2.5e9, 129.0], np.float32)


@pytest.mark.parametrize("target", [*INTS, *FIELD, "bool"])
@pytest.mark.parametrize("source", [*FIELD, *INTS, "bool"])
def test_casts_equal_tensorflow(source: str, target: str) -> None:
    to = _dtype(source)
    with np.errstate(all="ignore"):
        x = np.tile(ODD, 3)[:32].astype(to) if to.kind in "fcV" else (np.tile(values(source, (11,)), 3) if source != "bool" else np.array([True, False]))
    if to.kind == "c" and _dtype(target).kind in "iu":
        x = (np.arange(16) - 5.5).astype(to) if _dtype(target).kind == "i" else (np.arange(16) + 0.5).astype(to)
    compare_fn("cast", x, dtype=target, static=False)


def test_cast_truncates_and_has_a_gradient() -> None:
    x = values("float32", (20,))
    compare_op("Cast", [x], DstT="bfloat16", Truncate=True)
    compare_op("Cast", [x], DstT="float16", Truncate=True)
    compare_op("Cast", [x], DstT="float64", grad=True)
    compare_op("Cast", [x], DstT="complex64", grad=True)
    for dtype in ("int8", "uint8", "int32", "uint32", "float16", "bfloat16", "complex64"):
        compare_fn("saturate_cast", np.array([1e30, -1e30, 300.5, -7.2], np.float64), dtype=dtype)
        compare_fn("saturate_cast", np.array([1e20, -1e20, 300.5, -7.2], np.float32), dtype=dtype)
    compare_fn("saturate_cast", np.array([2**40, -5, 70000], np.int64), dtype="uint16")
    for a, b in (("float32", "int32"), ("int16", "uint8"), ("float64", "complex64")):
        x = values(a, (2, 4))
        compare_fn("bitcast", x, type=b)
    compare_fn("bitcast", values("uint8", (3, 4)), type="float32")


REDUCTIONS = {"Sum": FIELD + INTS, "Mean": FIELD + INTS, "Prod": FIELD + INTS, "Max": FLOATS + INTS, "Min": FLOATS + INTS, "EuclideanNorm": FLOATS}


@pytest.mark.parametrize(("name", "dtype"), [(n, d) for n, ds in REDUCTIONS.items() for d in ds])
def test_reductions_equal_tensorflow(name: str, dtype: str) -> None:
    x = values(dtype, (2, 3, 4))
    loose = {"float16": 2e-2, "bfloat16": 8e-2, "complex64": 1e-4}.get(dtype)
    for axis in ([0], [1, -1], [], [0, 1, 2]):
        for keep in (False, True):
            compare_op(name, [x, np.array(axis, np.int32)], keep_dims=keep, rtol=loose, grad=_dtype(dtype).kind in "fcV", static=dtype == "float32")


def test_reductions_of_nothing_and_of_nan_equal_tensorflow() -> None:
    for dtype in ("float32", "int32", "bfloat16", "uint8"):
        x = np.zeros((0, 2), _dtype(dtype))
        for name in ("Sum", "Prod", "Max", "Min"):
            compare_op(name, [x, np.array([0], np.int32)])
    compare_op("Mean", [np.zeros((0, 2), np.float32), np.array([0], np.int32)])
    x = np.array([[1, np.nan, 3], [np.nan, 2, 1]], np.float32)
    for name in ("Max", "Min", "Sum"):
        compare_op(name, [x, np.array([1], np.int32)])
    for name in ("ArgMax", "ArgMin"):
        compare_op(name, [x, np.int32(1)])
        compare_op(name, [x, np.int32(0)], output_type="int32")
    compare_op("All", [x > 1, np.array([1], np.int32)])
    compare_op("Any", [x > 1, np.array([-1], np.int32)], keep_dims=True)
    compare_errors("Sum", [x, np.array([2], np.int32)])
    compare_errors("Sum", [x, np.array([0, -2], np.int32)])
    compare_errors("ArgMax", [np.zeros((0,), np.float32), np.int32(0)])
    compare_op("Prod", [np.array([[0, 2, 3], [0, 0, 4]], np.float32), np.array([1], np.int32)], grad=True)
    compare_op("Max", [np.array([[2, 2, 1], [0, 0, 0]], np.float32), np.array([1], np.int32)], grad=True)


@pytest.mark.parametrize("name", ["reduce_logsumexp", "math.reduce_std", "math.reduce_variance", "reduce_mean", "reduce_sum"])
def test_public_reductions_equal_tensorflow(name: str) -> None:
    x = values("float32", (2, 3, 4))
    for axis in (None, 0, [1, 2], -1, ()):
        compare_fn(name, x, axis=axis, grad=True)
        compare_fn(name, x, axis=axis, keepdims=True, grad=True)
    if "logsumexp" not in name:
        compare_fn(name, values("complex64", (3, 4)), axis=1)


@pytest.mark.parametrize("dtype", [*FIELD, "int32", "int64"])
def test_matrix_products_equal_tensorflow(dtype: str) -> None:
    loose = {"float16": 2e-2, "bfloat16": 8e-2, "complex64": 1e-4}.get(dtype)
    grad = _dtype(dtype).kind in "fcV"
    for ta in (False, True):
        for tb in (False, True):
            a, b = values(dtype, (5, 3) if ta else (3, 5)), values(dtype, (4, 5) if tb else (5, 4))
            compare_op("MatMul", [a, b], transpose_a=ta, transpose_b=tb, grad=grad, rtol=loose, static=dtype == "float32")
            a, b = np.stack([a, a + a])[:, None], np.stack([b] * 3)
            compare_op("BatchMatMulV2", [a, b], adj_x=ta, adj_y=tb, grad=grad, rtol=loose, static=dtype == "float32")
            compare_op("BatchMatMulV2", [a, b[0]], adj_x=ta, adj_y=tb, grad=grad, rtol=loose, static=dtype == "float32")


def test_public_matrix_products_equal_tensorflow() -> None:
    a, b = values("float32", (2, 3, 4)), values("float32", (4, 5))
    compare_fn("matmul", a, b, grad=True)
    compare_fn("matmul", b, np.stack([b.T] * 2), grad=True)
    compare_fn("matmul", values("complex64", (3, 4)), values("complex64", (3, 4)), adjoint_b=True, grad=True)
    compare_fn("matmul", values("complex64", (2, 3, 4)), values("complex64", (2, 3, 4)), transpose_b=True, grad=True)
    compare_fn("matmul", values("int8", (2, 3)), values("int8", (3, 2)), output_type="int32")
    compare_fn("linalg.matvec", a, values("float32", (4,)), grad=True)
    compare_fn("tensordot", a, b, axes=1, grad=True)
    compare_fn("tensordot", a, values("float32", (4, 6, 2)), axes=[[2, 0], [0, 2]], grad=True)
    compare_fn("tensordot", a, b, axes=0, grad=True)
    compare_fn("tensordot", a, values("float32", (2, 3, 4)), axes=3, grad=True)
    compare_fn("matmul", np.zeros((0, 3), np.float32), np.zeros((3, 2), np.float32))
    compare_fn("matmul", np.zeros((2, 0), np.float32), np.zeros((0, 2), np.float32))
    compare_op("SparseMatMul", [b, b], transpose_a=True, grad=True, a_is_sparse=True)


def test_choices_sums_and_clips_equal_tensorflow() -> None:
    x, y = values("float32"), values("float32")
    compare_op("Select", [x > 0, x, y], grad=True)
    compare_op("Select", [np.array([True, False, True]), x, y], grad=True)
    compare_op("Select", [np.bool_(False), x, y], grad=True)
    compare_op("SelectV2", [values("float32", (4,)) > 0, x, np.float32(2)], grad=True)
    compare_op("ClipByValue", [x, np.float32(-1), np.float32(1)], grad=True)
    compare_op("ClipByValue", [np.array([1, 5, np.nan], np.float32), np.float32(4), np.float32(3)])
    compare_fn("clip_by_value", x, clip_value_min=-1, clip_value_max=y.__abs__(), grad=True)
    compare_op("AddN", [[x] * 3], grad=True)
    compare_op("AddN", [[values("float32") for _ in range(19)]], grad=True, rtol=1e-7)
    compare_op("AddN", [[values("bfloat16") for _ in range(10)]], rtol=1e-7)
    compare_op("Equal", [np.arange(3), np.arange(2)], incompatible_shape_error=False)
    compare_op("NotEqual", [np.arange(3), np.arange(2)], incompatible_shape_error=False)
    compare_errors("Equal", [np.arange(3), np.arange(2)])
    compare_op("Equal", [np.array([b"a", b"b"], object), np.array([b"a", b"c"], object)])
    compare_op("ApproximateEqual", [x, x + np.float32(1e-6)])
    compare_op("BroadcastGradientArgs", [np.array([2, 1, 3], np.int32), np.array([5, 3], np.int32)], static=False)
    compare_fn("math.logical_xor", x > 0, y > 0)
    for name in ("divide", "truediv", "math.divide_no_nan", "math.floordiv"):
        compare_fn(name, np.array([7, -7, 3], np.int32), np.array([2, 2, 3], np.int32))
        compare_fn(name, np.array([7, 7, 3], np.uint8), np.array([2, 2, 3], np.uint8))
    compare_fn("add", np.array([b"a", b"b"], object), np.array(b"c", object))
    compare_calls(lambda a: a + a, lambda a: a + a, [np.array([b"a", b"b"], object)], "joined strings")
    compare_fn("math.zero_fraction", np.array([0, 1, 0, 2], np.float32))
    compare_calls(lambda a: abs(a), lambda a: abs(a), [values("complex64")], "abs", grad=True)
