"""What the families of linear algebra share: shapes and checks of square matrices, and products and triangles in terms of ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__ = [
    "adj",
    "as_columns",
    "as_rows",
    "both_forms",
    "check_square",
    "gaps",
    "infer_square",
    "lower_part",
    "mm",
    "number",
    "safe_reciprocal",
    "square_shape",
    "upper_part",
    "widened",
]


def widened(x: np.ndarray) -> np.ndarray:
    """Half and bfloat16 as float32: LAPACK has no smaller floats."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 else x


def check_square(x: np.ndarray) -> None:
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise InvalidArgumentError(f"Input matrix must be square, received shape {list(x.shape)}")


def square_shape(shape: TensorShape) -> TensorShape:
    if shape.rank is None:
        return unknown_shape()
    if shape.rank < 2:
        raise ShapeError(f"expected matrices, received shape {shape}")
    *lead, m, n = shape.as_list()
    if m is not None and n is not None and m != n:
        raise ShapeError(f"Dimensions must be equal, but are {m} and {n}: expected square matrices, received shape {shape}")
    side = n if m is None else m
    return TensorShape([*lead, side, side])


def infer_square(ctx: Any) -> Any:
    return square_shape(ctx.shape(0))


def both_forms(v2: str, batch: str, rule: Callable[[Any], Any], kernel: Callable[..., Any], gradient: Callable[..., Any] | None) -> None:
    """The op and its old batched form, which means the same."""
    for text in (v2, batch):
        record = op(text)
        record.infer(rule)
        record.kernel(kernel)
        if gradient is not None:
            record.gradient(gradient)


def mm(a: Any, b: Any, adjoint_a: bool = False, adjoint_b: bool = False) -> Any:
    return raw.BatchMatMulV2(a, b, adj_x=adjoint_a, adj_y=adjoint_b)


def adj(x: Any) -> Any:
    return tf.linalg.matrix_transpose(x, conjugate=x.dtype.is_complex)


def number(value: float, like: Any) -> Any:
    return convert_to_tensor(value, like.dtype.base_dtype)


def lower_part(x: Any) -> Any:
    return raw.MatrixBandPart(x, np.int32(-1), np.int32(0))


def upper_part(x: Any) -> Any:
    return raw.MatrixBandPart(x, np.int32(0), np.int32(-1))


def as_columns(x: Any) -> Any:
    """[..., n] as [..., n, 1]."""
    return raw.ExpandDims(x, np.int32(-1))


def as_rows(x: Any) -> Any:
    """[..., n] as [..., 1, n]."""
    return raw.ExpandDims(x, np.int32(-2))


def safe_reciprocal(x: Any) -> Any:
    """x / (x² + 1e-20): 0 at 0."""
    return raw.RealDiv(x, raw.AddV2(raw.Mul(x, x), number(1e-20, x)))


def gaps(e: Any) -> Any:
    """1 / (e_j - e_i), 0 on the diagonal."""
    return raw.MatrixSetDiag(safe_reciprocal(raw.Sub(as_rows(e), as_columns(e))), raw.ZerosLike(e))
