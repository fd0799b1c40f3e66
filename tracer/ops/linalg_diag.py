"""Diagonals and bands of matrices: taking, setting, making. Decompositions and solvers live in linalg.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

_ALIGN = "align: {'LEFT_RIGHT', 'RIGHT_LEFT', 'LEFT_LEFT', 'RIGHT_RIGHT'} = \"RIGHT_LEFT\""

# -- geometry of diagonals -------------------------------------------------------------------------------------------


def _bounds(k: np.ndarray) -> tuple[int, int]:
    """The lowest and highest diagonal that `k` (one or two numbers) means."""
    flat = np.ravel(k)
    if flat.size not in (1, 2):
        raise InvalidArgumentError(f"diag_index must have one or two elements, received {flat.size} elements.")
    low, high = int(flat[0]), int(flat[-1])
    if low > high:
        raise InvalidArgumentError(f"lower_diag_index must not be larger than upper_diag_index: {low} > {high}")
    return low, high


def _check_bounds(low: int, high: int, rows: int, cols: int) -> None:
    for name, d in (("lower", low), ("upper", high)):
        if not (-rows < d < cols or d == 0):
            raise InvalidArgumentError(f"{name}_diag_index is out of bound: {d}. It must be between {-rows} and {cols}")


def _length(d: int, rows: int, cols: int) -> int:
    return min(rows + min(d, 0), cols - max(d, 0))


def _offset(d: int, length: int, longest: int, align: str) -> int:
    """Where the content of diagonal `d` begins in its padded row."""
    above, below = align.split("_")
    at_left = (d >= 0 and above == "LEFT") or (d <= 0 and below == "LEFT")
    return 0 if at_left else longest - length


def _indices(d: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    steps = np.arange(length)
    return steps + max(-d, 0), steps + max(d, 0)


def _take(x: np.ndarray, low: int, high: int, padding: Any, align: str) -> np.ndarray:
    """Diagonals `low` … `high` of the matrices in the last two axes, the highest first."""
    if x.ndim < 2:
        raise InvalidArgumentError(f"input must be at least 2-dim, received shape: {x.shape}")
    rows, cols = x.shape[-2:]
    _check_bounds(low, high, rows, cols)
    longest = min(rows + min(high, 0), cols - max(low, 0))
    out = np.empty((*x.shape[:-2], high - low + 1, longest), x.dtype)
    out[...] = padding
    for i, d in enumerate(range(high, low - 1, -1)):
        length = _length(d, rows, cols)
        start = _offset(d, length, longest, align)
        r, c = _indices(d, length)
        out[..., i, start : start + length] = x[..., r, c]
    return out[..., 0, :] if low == high else out


def _put(target: np.ndarray, diagonal: np.ndarray, low: int, high: int, align: str) -> None:
    """Write padded diagonals (the highest first) into the matrices of `target`, in place."""
    rows, cols = target.shape[-2:]
    if low == high:
        diagonal = diagonal[..., None, :]
    longest = diagonal.shape[-1]
    for i, d in enumerate(range(high, low - 1, -1)):
        length = _length(d, rows, cols)
        start = _offset(d, length, longest, align)
        r, c = _indices(d, length)
        target[..., r, c] = diagonal[..., i, start : start + length]


def _make(diagonal: np.ndarray, k: np.ndarray, num_rows: int, num_cols: int, padding: Any, align: str) -> np.ndarray:
    low, high = _bounds(k)
    if diagonal.ndim < 1 + (low != high):
        raise InvalidArgumentError(f"diagonal must be at least {1 + (low != high)}-dim, received shape: {diagonal.shape}")
    if low != high and diagonal.shape[-2] != high - low + 1:
        raise InvalidArgumentError(f"expected {high - low + 1} diagonals in the last axis but one, received shape {diagonal.shape}")
    longest = diagonal.shape[-1]
    least_rows, least_cols = longest - min(high, 0), longest + max(low, 0)
    rows, cols = num_rows, num_cols
    if rows == -1 and cols == -1:
        rows = cols = max(least_rows, least_cols)
    rows = least_rows if rows == -1 else rows
    cols = least_cols if cols == -1 else cols
    if rows < least_rows or cols < least_cols or (rows != least_rows and cols != least_cols):
        raise InvalidArgumentError(
            f"The number of rows or columns is not consistent with the specified d_lower, d_upper, and diagonal: "
            f"received {rows} x {cols}, expected {least_rows} rows or {least_cols} columns"
        )
    lead = diagonal.shape[:-1] if low == high else diagonal.shape[:-2]
    out = np.empty((*lead, rows, cols), diagonal.dtype)
    out[...] = padding
    _put(out, diagonal, low, high, align)
    return out


def _with_diagonal(x: np.ndarray, diagonal: np.ndarray, k: np.ndarray, align: str) -> np.ndarray:
    low, high = _bounds(k)
    if x.ndim < 2:
        raise InvalidArgumentError(f"input must be at least 2-dim, received shape: {x.shape}")
    rows, cols = x.shape[-2:]
    _check_bounds(low, high, rows, cols)
    longest = min(rows + min(high, 0), cols - max(low, 0))
    expected = (*x.shape[:-2], *(() if low == high else (high - low + 1,)), longest)
    if diagonal.shape != expected:
        raise InvalidArgumentError(f"expected diagonals of shape {expected} for an input of shape {x.shape}, received {diagonal.shape}")
    out = np.array(x, order="C")
    _put(out, diagonal, low, high, align)
    return out


def _zero(dtype: np.dtype) -> Any:
    return b"" if dtype.hasobject else np.zeros((), dtype)[()]


_MAIN = np.zeros((), np.int32)

# -- making matrices -------------------------------------------------------------------------------------------------


def _made_shape(shape: TensorShape, k: Any, rows: int | None, cols: int | None) -> TensorShape:
    """Static shape of a matrix made of diagonals; rows and cols: None unknown, -1 to be inferred."""
    if shape.rank is None or k is None:
        return unknown_shape()
    low, high = _bounds(k)
    if shape.rank < 1 + (low != high):
        raise ShapeError(f"expected diagonals of rank at least {1 + (low != high)}, received shape {shape}")
    lead = shape.as_list()[: -1 if low == high else -2]
    longest = shape[-1]
    if longest is None:
        return TensorShape([*lead, None if rows == -1 else rows, None if cols == -1 else cols])
    least_rows, least_cols = longest - min(high, 0), longest + max(low, 0)
    if rows == -1 and cols == -1:
        rows = cols = max(least_rows, least_cols)
    elif rows == -1:
        rows = least_rows if cols is not None else None
    elif cols == -1:
        cols = least_cols if rows is not None else None
    return TensorShape([*lead, rows, cols])


def _infer_diag(ctx: Any) -> Any:
    return _made_shape(ctx.shape(0), _MAIN, -1, -1)


def _infer_diag_v2(ctx: Any) -> Any:
    sizes = [None if ctx.value(i) is None else int(np.ravel(ctx.value(i))[0]) for i in (2, 3)]
    return _made_shape(ctx.shape(0), ctx.value(1), *sizes)


def _infer_part(ctx: Any) -> Any:
    return _part_shape(ctx.shape(0), _MAIN)


def _part_shape(shape: TensorShape, k: Any) -> TensorShape:
    if shape.rank is None or k is None:
        return unknown_shape()
    if shape.rank < 2:
        raise ShapeError(f"expected matrices, received shape {shape}")
    low, high = _bounds(k)
    *lead, rows, cols = shape.as_list()
    longest = None if rows is None or cols is None else min(rows + min(high, 0), cols - max(low, 0))
    return TensorShape([*lead, *(() if low == high else (high - low + 1,)), longest])


matrix_diag_op = op("MatrixDiag(diagonal: T) -> (output: T); T: type")
batch_matrix_diag_op = op("BatchMatrixDiag(diagonal: T) -> (output: T); T: type")
matrix_diag_v2_op = op(
    "MatrixDiagV2(diagonal: T, k: int32, num_rows: int32, num_cols: int32, padding_value: T) -> (output: T); T: type"
)
matrix_diag_v3_op = op(
    "MatrixDiagV3(diagonal: T, k: int32, num_rows: int32, num_cols: int32, padding_value: T) -> (output: T); T: type; " + _ALIGN
)
matrix_diag_op.infer(_infer_diag)
batch_matrix_diag_op.infer(_infer_diag)
matrix_diag_v2_op.infer(_infer_diag_v2)
matrix_diag_v3_op.infer(_infer_diag_v2)


@batch_matrix_diag_op.kernel
@matrix_diag_op.kernel
def _(diagonal: np.ndarray) -> Any:
    return _make(diagonal, _MAIN, -1, -1, _zero(diagonal.dtype), "LEFT_LEFT")


def _size(value: np.ndarray) -> int:
    return int(np.ravel(value)[0])


@matrix_diag_v2_op.kernel
def _(diagonal: np.ndarray, k: np.ndarray, num_rows: np.ndarray, num_cols: np.ndarray, padding_value: np.ndarray) -> Any:
    return _make(diagonal, k, _size(num_rows), _size(num_cols), padding_value, "LEFT_LEFT")


@matrix_diag_v3_op.kernel
def _(
    diagonal: np.ndarray, k: np.ndarray, num_rows: np.ndarray, num_cols: np.ndarray, padding_value: np.ndarray, *, align: bytes
) -> Any:
    return _make(diagonal, k, _size(num_rows), _size(num_cols), padding_value, _word(align))


def _word(align: Any) -> str:
    return align.decode() if isinstance(align, bytes) else align


@batch_matrix_diag_op.gradient
@matrix_diag_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MatrixDiagPart(grad)


@matrix_diag_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MatrixDiagPartV2(grad, node.inputs[1], _zero_of(grad)), None, None, None, None


@matrix_diag_v3_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MatrixDiagPartV3(grad, node.inputs[1], _zero_of(grad), align=node.attr("align")), None, None, None, None


def _zero_of(x: Any) -> Any:
    return convert_to_tensor(np.zeros((), x.dtype.numpy), x.dtype)


# -- taking diagonals ------------------------------------------------------------------------------------------------

part_op = op("MatrixDiagPart(input: T) -> (diagonal: T); T: type")
batch_part_op = op("BatchMatrixDiagPart(input: T) -> (diagonal: T); T: type")
part_v2_op = op("MatrixDiagPartV2(input: T, k: int32, padding_value: T) -> (diagonal: T); T: type")
part_v3_op = op("MatrixDiagPartV3(input: T, k: int32, padding_value: T) -> (diagonal: T); T: type; " + _ALIGN)
part_op.infer(_infer_part)
batch_part_op.infer(_infer_part)


@part_v2_op.infer
@part_v3_op.infer
def _(ctx: Any) -> Any:
    return _part_shape(ctx.shape(0), ctx.value(1))


@part_op.kernel
@batch_part_op.kernel
def _(x: np.ndarray) -> Any:
    return _take(x, 0, 0, _zero(x.dtype), "LEFT_LEFT")


@part_v2_op.kernel
def _(x: np.ndarray, k: np.ndarray, padding_value: np.ndarray) -> Any:
    return _take(x, *_bounds(k), padding_value, "LEFT_LEFT")


@part_v3_op.kernel
def _(x: np.ndarray, k: np.ndarray, padding_value: np.ndarray, *, align: bytes) -> Any:
    return _take(x, *_bounds(k), padding_value, _word(align))


@part_op.gradient
@batch_part_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MatrixSetDiag(raw.ZerosLike(node.inputs[0]), grad)


@part_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MatrixSetDiagV2(raw.ZerosLike(node.inputs[0]), grad, node.inputs[1]), None, None


@part_v3_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MatrixSetDiagV3(raw.ZerosLike(node.inputs[0]), grad, node.inputs[1], align=node.attr("align")), None, None


# -- setting diagonals -----------------------------------------------------------------------------------------------

set_op = op("MatrixSetDiag(input: T, diagonal: T) -> (output: T); T: type")
batch_set_op = op("BatchMatrixSetDiag(input: T, diagonal: T) -> (output: T); T: type")
set_v2_op = op("MatrixSetDiagV2(input: T, diagonal: T, k: int32) -> (output: T); T: type")
set_v3_op = op("MatrixSetDiagV3(input: T, diagonal: T, k: int32) -> (output: T); T: type; " + _ALIGN)
for _record in (set_op, batch_set_op, set_v2_op, set_v3_op):
    _record.infer(infer.unchanged)


@set_op.kernel
@batch_set_op.kernel
def _(x: np.ndarray, diagonal: np.ndarray) -> Any:
    return _with_diagonal(x, diagonal, _MAIN, "LEFT_LEFT")


@set_v2_op.kernel
def _(x: np.ndarray, diagonal: np.ndarray, k: np.ndarray) -> Any:
    return _with_diagonal(x, diagonal, k, "LEFT_LEFT")


@set_v3_op.kernel
def _(x: np.ndarray, diagonal: np.ndarray, k: np.ndarray, *, align: bytes) -> Any:
    return _with_diagonal(x, diagonal, k, _word(align))


@set_op.gradient
@batch_set_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MatrixSetDiag(grad, raw.ZerosLike(node.inputs[1])), raw.MatrixDiagPart(grad)


@set_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    k = node.inputs[2]
    return raw.MatrixSetDiagV2(grad, raw.ZerosLike(node.inputs[1]), k), raw.MatrixDiagPartV2(grad, k, _zero_of(grad)), None


@set_v3_op.gradient
def _(node: Any, grad: Any) -> Any:
    k, align = node.inputs[2], node.attr("align")
    rest = raw.MatrixSetDiagV3(grad, raw.ZerosLike(node.inputs[1]), k, align=align)
    return rest, raw.MatrixDiagPartV3(grad, k, _zero_of(grad), align=align), None


# -- bands -----------------------------------------------------------------------------------------------------------

band_op = op(
    "MatrixBandPart(input: T, num_lower: Tindex, num_upper: Tindex) -> (band: T); T: type; Tindex: {int32, int64} = int64"
)
batch_band_op = op("BatchMatrixBandPart(input: T, num_lower: int64, num_upper: int64) -> (band: T); T: type")
band_op.infer(infer.unchanged)
batch_band_op.infer(infer.unchanged)


@band_op.kernel
@batch_band_op.kernel
def _(x: np.ndarray, num_lower: np.ndarray, num_upper: np.ndarray) -> Any:
    if x.ndim < 2:
        raise InvalidArgumentError(f"input must be at least 2-dim, received shape: {x.shape}")
    rows, cols = x.shape[-2:]
    lower, upper = int(num_lower), int(num_upper)
    if lower > rows or upper > cols:
        raise InvalidArgumentError(f"num_lower and num_upper must not be larger than the matrix {rows} x {cols}, received {lower} and {upper}")
    distance = np.arange(cols) - np.arange(rows)[:, None]
    inside = np.ones((rows, cols), bool)
    if lower >= 0:
        inside &= distance >= -lower
    if upper >= 0:
        inside &= distance <= upper
    return np.where(inside, x, _zero(x.dtype))


@band_op.gradient
@batch_band_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.MatrixBandPart(grad, node.inputs[1], node.inputs[2]), None, None


# -- diagonals of tensors --------------------------------------------------------------------------------------------

_TENSOR_TYPES = "{bfloat16, half, float, double, int32, int64, complex64, complex128}"
diag_op = op(f"Diag(diagonal: T) -> (output: T); T: {_TENSOR_TYPES}")
diag_part_op = op(f"DiagPart(input: T) -> (diagonal: T); T: {_TENSOR_TYPES}")


@diag_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    return shape.concatenate(shape) if shape.rank is not None else unknown_shape()


@diag_op.kernel
def _(x: np.ndarray) -> Any:
    out = np.zeros((x.size, x.size), x.dtype)
    np.fill_diagonal(out, x.reshape(-1))
    return out.reshape(x.shape + x.shape)


@diag_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.DiagPart(grad)


@diag_part_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    if shape.rank is None:
        return unknown_shape()
    if shape.rank % 2 or shape.rank == 0:
        raise ShapeError(f"DiagPart: Input must have even and non-zero rank, received {shape}")
    half = shape.rank // 2
    return shape[:half].merge_with(shape[half:])


@diag_part_op.kernel
def _(x: np.ndarray) -> Any:
    half = x.ndim // 2
    if x.ndim % 2 or x.ndim == 0 or x.shape[:half] != x.shape[half:]:
        raise InvalidArgumentError(f"DiagPart: expected a shape twice in a row, received {x.shape}")
    size = int(np.prod(x.shape[:half], dtype=np.int64))
    return x.reshape(size, size).diagonal().reshape(x.shape[:half])


@diag_part_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Diag(grad)


# -- public functions ------------------------------------------------------------------------------------------------


@public("linalg.band_part")
def band_part(input: Any, num_lower: Any, num_upper: Any, name: str | None = None) -> Any:
    """The matrices with everything but `num_lower` diagonals below and `num_upper` above the main one set to 0; negative: all."""
    num_lower = convert_to_tensor(num_lower, dtype_hint="int64")
    num_upper = convert_to_tensor(num_upper, num_lower.dtype.base_dtype)
    return raw.MatrixBandPart(input, num_lower, num_upper, name=name)


@public("linalg.diag")
def diag(
    diagonal: Any, name: str | None = "diag", k: Any = 0, num_rows: Any = -1, num_cols: Any = -1, padding_value: Any = 0,
    align: str = "RIGHT_LEFT",
) -> Any:  # fmt: skip
    """Matrices with `diagonal` on the diagonals `k` (a number or a range low, high) and `padding_value` elsewhere."""
    diagonal = convert_to_tensor(diagonal)
    padding = _padding(padding_value, diagonal)
    return raw.MatrixDiagV3(diagonal, k, num_rows, num_cols, padding, align=align, name=name)


def _padding(value: Any, like: Any) -> Any:
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return value
    if like.dtype.kind == "b":
        return convert_to_tensor(bool(value))
    return convert_to_tensor(np.array(value).astype(like.dtype.numpy) if like.dtype.kind != "s" else value, like.dtype)


@public("linalg.diag_part")
def diag_part(input: Any, name: str | None = "diag_part", k: Any = 0, padding_value: Any = 0, align: str = "RIGHT_LEFT") -> Any:
    """The diagonals `k` (a number or a range low, high) of the matrices in the last two axes, padded to one length."""
    input = convert_to_tensor(input)
    return raw.MatrixDiagPartV3(input, k, _padding(padding_value, input), align=align, name=name)


@public("linalg.set_diag")
def set_diag(input: Any, diagonal: Any, name: str | None = "set_diag", k: Any = 0, align: str = "RIGHT_LEFT") -> Any:
    """The matrices with new values on the diagonals `k`."""
    input = convert_to_tensor(input)
    return raw.MatrixSetDiagV3(input, convert_to_tensor(diagonal, input.dtype.base_dtype), k, align=align, name=name)


@public("linalg.tensor_diag")
def tensor_diag(diagonal: Any, name: str | None = None) -> Any:
    """A tensor of twice the rank with `diagonal` where both halves of the index agree."""
    return raw.Diag(diagonal, name=name)


@public("linalg.tensor_diag_part")
def tensor_diag_part(input: Any, name: str | None = None) -> Any:
    """The elements where both halves of the index agree."""
    return raw.DiagPart(input, name=name)


@public("linalg.trace")
def trace(x: Any, name: str | None = None) -> Any:
    """The sum of the main diagonal of the matrices in the last two axes."""
    return raw.Sum(raw.MatrixDiagPartV3(convert_to_tensor(x), 0, _zero_of(convert_to_tensor(x))), np.array([-1], np.int32), name=name)
