"""Element types: TensorFlow's names and enum numbers, NumPy's layouts. It refuses to convert values."""

from __future__ import annotations

import builtins
from typing import Any

import ml_dtypes
import numpy as np

from tracer.errors import DTypeError

__all__ = ["DType", "as_dtype", "result_dtype_of_python"]


class DType:
    """An element type. Immutable; one instance per type, so `is` works too.

    Attributes:
        name: TensorFlow's name, e.g. "float32".
        number: TensorFlow's DataType number.
        numpy: the NumPy dtype that holds it; object for string, resource and variant.
        text: the word used in op schemas ("float", "half", …).
    """

    __slots__ = ("_is_ref", "kind", "name", "number", "numpy", "text")

    def __init__(self, name: str, number: int, numpy: Any, kind: str, text: str | None = None, is_ref: bool = False):
        self.name = name
        self.number = number
        self.numpy = np.dtype(numpy)
        self.kind = kind
        self.text = text or name
        self._is_ref = is_ref

    @property
    def as_numpy_dtype(self) -> Any:
        """The NumPy scalar type, as TensorFlow gives it (object for strings, resources and variants)."""
        return self.numpy.type if self.numpy != np.dtype(object) else np.object_

    @property
    def as_datatype_enum(self) -> int:
        return self.number

    @property
    def base_dtype(self) -> DType:
        return _BY_NUMBER[self.number - 100] if self._is_ref else self

    @property
    def real_dtype(self) -> DType:
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    @property
    def is_floating(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_integer(self) -> bool:
        return self.kind in "iu"

    @property
    def is_unsigned(self) -> bool:
        return self.kind == "u"

    @property
    def is_bool(self) -> bool:
        return self.kind == "b"

    @property
    def is_quantized(self) -> bool:
        return self.kind == "q"

    @property
    def is_numeric(self) -> bool:
        return self.kind in "fciu"

    @property
    def is_numpy_compatible(self) -> bool:
        return self.kind not in "rv"

    @property
    def is_differentiable(self) -> bool:
        """Whether gradients flow through values of this type."""
        return self.kind in "fcv"

    @property
    def size(self) -> int:
        """Bytes of one element (1 for strings, resources and variants, as TensorFlow says)."""
        return 1 if self.kind in "srv" else self.numpy.itemsize

    @property
    def min(self) -> Any:
        return self._limit("min")

    @property
    def max(self) -> Any:
        return self._limit("max")

    def _limit(self, which: str) -> Any:
        if self.kind == "f":
            return getattr(ml_dtypes.finfo(self.numpy), which)
        if self.kind in "iuq":
            return getattr(ml_dtypes.iinfo(self.numpy), which)
        if self.kind == "b":
            return which == "max"
        raise DTypeError(f"{self!r} has no {which}imum: expected a real numeric dtype")

    @property
    def limits(self) -> tuple[Any, Any]:
        return (0, 1) if self.kind in "fc" else (self.min, self.max)

    @property
    def _is_ref_dtype(self) -> bool:
        return self._is_ref

    def is_compatible_with(self, other: Any) -> bool:
        other = as_dtype(other)
        return self.number in (other.number, other.number + 100)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if other is None:
            return False
        if not isinstance(other, DType):
            try:
                other = as_dtype(other)
            except TypeError:
                return False
        return self.number == other.number

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        return "tf." + self.name

    def __str__(self) -> str:
        return f"<dtype: {self.name!r}>"

    def __reduce__(self) -> Any:
        return as_dtype, (self.name,)

    def __copy__(self) -> DType:
        return self

    def __deepcopy__(self, memo: Any) -> DType:
        return self


float32 = DType("float32", 1, np.float32, "f", "float")
float64 = double = DType("float64", 2, np.float64, "f", "double")
int32 = DType("int32", 3, np.int32, "i")
uint8 = DType("uint8", 4, np.uint8, "u")
int16 = DType("int16", 5, np.int16, "i")
int8 = DType("int8", 6, np.int8, "i")
string = DType("string", 7, object, "s")
complex64 = DType("complex64", 8, np.complex64, "c")
int64 = DType("int64", 9, np.int64, "i")
bool = DType("bool", 10, np.bool_, "b")
qint8 = DType("qint8", 11, np.int8, "q")
quint8 = DType("quint8", 12, np.uint8, "q")
qint32 = DType("qint32", 13, np.int32, "q")
bfloat16 = DType("bfloat16", 14, ml_dtypes.bfloat16, "f")
qint16 = DType("qint16", 15, np.int16, "q")
quint16 = DType("quint16", 16, np.uint16, "q")
uint16 = DType("uint16", 17, np.uint16, "u")
complex128 = DType("complex128", 18, np.complex128, "c")
float16 = half = DType("float16", 19, np.float16, "f", "half")
resource = DType("resource", 20, object, "r")
variant = DType("variant", 21, object, "v")
uint32 = DType("uint32", 22, np.uint32, "u")
uint64 = DType("uint64", 23, np.uint64, "u")
float8_e5m2 = DType("float8_e5m2", 24, ml_dtypes.float8_e5m2, "f")
float8_e4m3fn = DType("float8_e4m3fn", 25, ml_dtypes.float8_e4m3fn, "f")
int4 = DType("int4", 29, ml_dtypes.int4, "i")
uint4 = DType("uint4", 30, ml_dtypes.uint4, "u")

_ALL = [
    float32, float64, int32, uint8, int16, int8, string, complex64, int64, bool, qint8, quint8, qint32, bfloat16,
    qint16, quint16, uint16, complex128, float16, resource, variant, uint32, uint64, float8_e5m2, float8_e4m3fn,
    int4, uint4,
]  # fmt: skip
_BY_NUMBER: dict[int, DType] = {d.number: d for d in _ALL}
for _d in _ALL:
    _BY_NUMBER[_d.number + 100] = DType(_d.name + "_ref", _d.number + 100, _d.numpy, _d.kind, _d.text + "_ref", True)
_BY_NAME: dict[str, DType] = {d.name: d for d in _BY_NUMBER.values()}
_BY_NAME.update({d.text: d for d in _BY_NUMBER.values()})
_BY_NUMPY: dict[np.dtype, DType] = {}
for _d in _ALL:
    if _d.kind not in "qrv":
        _BY_NUMPY.setdefault(_d.numpy, _d)
_BY_PYTHON: dict[Any, DType] = {
    float: float32, int: int32, builtins.bool: bool, complex: complex128, str: string, bytes: string, object: string,
}  # fmt: skip
_ANY: dict[Any, DType] = {**_BY_NAME, **_BY_PYTHON}


def as_dtype(value: Any) -> DType:
    """The DType named by `value`: a DType, TensorFlow name, enum number, NumPy dtype or scalar type, Python type.

    Raises:
        DTypeError: nothing of that name; also a TypeError.
    """
    if type(value) is DType:
        return value
    try:
        found = _ANY.get(value)
    except TypeError:
        found = None
    if found is not None:
        return found
    if isinstance(value, (int, np.integer)) and int(value) in _BY_NUMBER:
        return _BY_NUMBER[int(value)]
    inner = getattr(value, "dtype", None)
    if isinstance(inner, DType):
        return inner
    try:
        numpy_dtype = np.dtype(value)
    except TypeError:
        numpy_dtype = None
    if numpy_dtype is not None:
        if numpy_dtype in _BY_NUMPY:
            found = _BY_NUMPY[numpy_dtype]
        elif numpy_dtype.kind in "SU":
            found = string
        elif numpy_dtype.newbyteorder("=") in _BY_NUMPY:
            found = _BY_NUMPY[numpy_dtype.newbyteorder("=")]
    if found is None:
        raise DTypeError(f"Cannot convert the argument `type_value`: {value!r} to a TensorFlow DType.")
    try:
        _ANY[value] = found
    except TypeError:
        pass  # unhashable spellings are looked up each time
    return found


def result_dtype_of_python(value: Any) -> DType | None:
    """The DType that a bare Python scalar converts to; None when it is no scalar."""
    return _BY_PYTHON.get(type(value))
