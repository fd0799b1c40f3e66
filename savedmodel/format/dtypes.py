"""Owns the table of element types: DataType numbers, TensorFlow's names, NumPy dtypes; refuses to convert values.

The NumPy dtype of a quantized type is the plain integer it is stored as (qint8 → int8): the number tells them apart.
Strings, resources and variants are held in object arrays. 4-bit and 2-bit integers take one byte an element, in memory
and in files. Types that the installed ml_dtypes does not have raise UnknownDTypeError when they are met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from savedmodel.format.errors import UnknownDTypeError

__all__ = [
    "DT_BOOL",
    "DT_INVALID",
    "DT_RESOURCE",
    "DT_STRING",
    "DT_VARIANT",
    "REF_OFFSET",
    "TensorType",
    "datatype_name",
    "datatype_number",
    "item_size",
    "name",
    "numpy_dtype",
    "tensor_type",
]

DT_INVALID = 0
DT_STRING = 7
DT_BOOL = 10
DT_RESOURCE = 20
DT_VARIANT = 21

#: A TF1 reference type is its base type plus this.
REF_OFFSET = 100


@dataclass(frozen=True, slots=True)
class TensorType:
    """One row of the table.

    Attributes:
        number: the DataType number.
        name: TensorFlow's name ("float32", "half" is "float16").
        datatype: the name in files of text format ("DT_FLOAT").
        numpy: the NumPy dtype, or None where the installed ml_dtypes lacks it.
        field: the field of TensorProto that holds values one by one.
        packs: whether TensorFlow's writer puts two or more elements into tensor_content.
    """

    number: int
    name: str
    datatype: str
    numpy: np.dtype | None
    field: str
    packs: bool


def _ml(type_name: str) -> Any:
    return getattr(ml_dtypes, type_name, None)


# number, name, name in files without DT_, NumPy type, field of TensorProto, two or more elements go to tensor_content
_ROWS: tuple[tuple[int, str, str, Any, str, bool], ...] = (
    (1, "float32", "FLOAT", np.float32, "float_val", True),
    (2, "float64", "DOUBLE", np.float64, "double_val", True),
    (3, "int32", "INT32", np.int32, "int_val", True),
    (4, "uint8", "UINT8", np.uint8, "int_val", True),
    (5, "int16", "INT16", np.int16, "int_val", True),
    (6, "int8", "INT8", np.int8, "int_val", True),
    (7, "string", "STRING", np.object_, "string_val", False),
    (8, "complex64", "COMPLEX64", np.complex64, "scomplex_val", False),
    (9, "int64", "INT64", np.int64, "int64_val", True),
    (10, "bool", "BOOL", np.bool_, "bool_val", False),
    (11, "qint8", "QINT8", np.int8, "int_val", True),
    (12, "quint8", "QUINT8", np.uint8, "int_val", True),
    (13, "qint32", "QINT32", np.int32, "int_val", True),
    (14, "bfloat16", "BFLOAT16", _ml("bfloat16"), "half_val", True),
    (15, "qint16", "QINT16", np.int16, "int_val", True),
    (16, "quint16", "QUINT16", np.uint16, "int_val", True),
    (17, "uint16", "UINT16", np.uint16, "int_val", False),
    (18, "complex128", "COMPLEX128", np.complex128, "dcomplex_val", False),
    (19, "float16", "HALF", np.float16, "half_val", True),
    (20, "resource", "RESOURCE", np.object_, "resource_handle_val", False),
    (21, "variant", "VARIANT", np.object_, "variant_val", False),
    (22, "uint32", "UINT32", np.uint32, "uint32_val", True),
    (23, "uint64", "UINT64", np.uint64, "uint64_val", True),
    (24, "float8_e5m2", "FLOAT8_E5M2", _ml("float8_e5m2"), "float8_val", True),
    (25, "float8_e4m3fn", "FLOAT8_E4M3FN", _ml("float8_e4m3fn"), "float8_val", True),
    (26, "float8_e4m3fnuz", "FLOAT8_E4M3FNUZ", _ml("float8_e4m3fnuz"), "float8_val", True),
    (27, "float8_e4m3b11fnuz", "FLOAT8_E4M3B11FNUZ", _ml("float8_e4m3b11fnuz"), "float8_val", True),
    (28, "float8_e5m2fnuz", "FLOAT8_E5M2FNUZ", _ml("float8_e5m2fnuz"), "float8_val", True),
    (29, "int4", "INT4", _ml("int4"), "int_val", False),
    (30, "uint4", "UINT4", _ml("uint4"), "int_val", False),
    (31, "int2", "INT2", _ml("int2"), "int_val", False),
    (32, "uint2", "UINT2", _ml("uint2"), "int_val", False),
    (33, "float4_e2m1fn", "FLOAT4_E2M1FN", _ml("float4_e2m1fn"), "float8_val", True),
)

_BY_NUMBER = {
    number: TensorType(number, text, f"DT_{datatype}", None if numpy is None else np.dtype(numpy), field, packs)
    for number, text, datatype, numpy, field, packs in _ROWS
}
_BY_NAME = {row.name: row for row in _BY_NUMBER.values()} | {row.datatype: row for row in _BY_NUMBER.values()}
_BY_NAME |= {"half": _BY_NUMBER[19], "float": _BY_NUMBER[1], "double": _BY_NUMBER[2]}
# Several types share a NumPy dtype: the plain integer comes first and wins over the quantized one.
_BY_NUMPY: dict[np.dtype, TensorType] = {}
for _number in sorted(_BY_NUMBER, key=lambda number: (11 <= number <= 13 or 15 <= number <= 16, number)):
    _row = _BY_NUMBER[_number]
    if _row.numpy is not None and _row.numpy.kind != "O":
        _BY_NUMPY.setdefault(_row.numpy, _row)


def tensor_type(number: int, where: str = "element type") -> TensorType:
    """The row of a DataType number; a reference type gives the row of its base type. `where` begins errors.

    Raises:
        UnknownDTypeError: no such number (0, DT_INVALID, is none), or ml_dtypes is too old to hold the type.
    """
    row = _BY_NUMBER.get(number - REF_OFFSET if number > REF_OFFSET else number)
    if row is None:
        raise UnknownDTypeError(
            f"{where}: expected a DataType number from 1 to {max(_BY_NUMBER)} (plus {REF_OFFSET} for references), "
            f"received {number}; the file is damaged, or newer than this release"
        )
    if row.numpy is None:
        raise UnknownDTypeError(
            f"{where}: expected an element type that can be held, received {row.datatype}; the installed ml_dtypes {ml_dtypes.__version__} has no such type; "
            "install a newer ml_dtypes"
        )
    return row


def numpy_dtype(number: int) -> np.dtype:
    """The NumPy dtype of a DataType number: `object` for strings, resources and variants. UnknownDTypeError if none."""
    numpy = tensor_type(number).numpy
    assert numpy is not None
    return numpy


def name(number: int) -> str:
    """TensorFlow's name of a DataType number: 1 → "float32", 101 → "float32_ref". UnknownDTypeError if there is none."""
    return tensor_type(number).name + ("_ref" if number > REF_OFFSET else "")


def datatype_name(number: int) -> str:
    """The name in files of text format: 1 → "DT_FLOAT", 101 → "DT_FLOAT_REF". UnknownDTypeError if there is none."""
    return tensor_type(number).datatype + ("_REF" if number > REF_OFFSET else "")


def datatype_number(dtype: Any) -> int:
    """The DataType number of a NumPy dtype, of a name ("float32", "DT_FLOAT"), or of a number (returned as it is).

    Object, bytes and str dtypes are strings. A NumPy integer is never a quantized type: ask for that by name.

    Raises:
        UnknownDTypeError: nothing in the table matches.
    """
    if isinstance(dtype, int):
        return int(dtype)
    if isinstance(dtype, str) and dtype in _BY_NAME:
        return _BY_NAME[dtype].number
    try:
        numpy = np.dtype(dtype)
    except TypeError:
        numpy = None
    if numpy is not None:
        if numpy.kind in "OSU":
            return DT_STRING
        row = _BY_NUMPY.get(numpy.newbyteorder("=") if numpy.kind in "iufc" else numpy)
        if row is not None:
            return row.number
    raise UnknownDTypeError(
        f"element type: expected one of {', '.join(row.name for row in _BY_NUMBER.values())}, received {dtype!r}; "
        "convert the array to one of these"
    )


def item_size(number: int) -> int | None:
    """Bytes an element takes in tensor_content and in a data file; None for strings, resources and variants."""
    numpy = numpy_dtype(number)
    return None if numpy.kind == "O" else numpy.itemsize
