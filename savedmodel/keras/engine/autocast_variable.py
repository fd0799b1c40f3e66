"""Variables that read as another float type inside the call of a layer with a mixed precision policy."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from tracer import dispatch, tensor
from tracer.dtypes import DType, as_dtype
from tracer.errors import InvalidArgumentError
from tracer.variable import Variable

__all__ = ["AutoCastVariable", "current_cast_dtype", "enable_auto_cast_variables"]


class _State(threading.local):
    dtype: DType | None = None


_state = _State()


def current_cast_dtype() -> DType | None:
    """The float type that AutoCastVariables of this thread read as, or None."""
    return _state.dtype


@contextlib.contextmanager
def enable_auto_cast_variables(dtype: Any) -> Iterator[None]:
    """Inside, float AutoCastVariables read as `dtype` (None, or no float type: as they are)."""
    previous = _state.dtype
    wanted = None if dtype is None else as_dtype(dtype)
    _state.dtype = wanted if wanted is not None and wanted.is_floating else None
    try:
        yield
    finally:
        _state.dtype = previous


class AutoCastVariable(Variable):
    """A float variable whose reads are cast to the compute dtype of the layer that is being called. Its own `dtype` does not change."""

    @property
    def true_dtype(self) -> DType:
        return self.dtype

    @property
    def _cast_dtype(self) -> DType:
        return _state.dtype or self.dtype

    def _cast(self, value: Any) -> Any:
        wanted = _state.dtype
        return value if wanted is None or wanted == self.dtype else dispatch.call("Cast", value, DstT=wanted)

    def read_value(self) -> Any:
        return self._cast(super().read_value())

    value = read_value

    def sparse_read(self, indices: Any, name: str | None = None) -> Any:
        return self._cast(super().sparse_read(indices, name))

    def gather_nd(self, indices: Any, name: str | None = None) -> Any:
        return self._cast(super().gather_nd(indices, name))

    def __repr__(self) -> str:
        text = super().__repr__()
        own = f"dtype={self.dtype.name}"
        return text.replace("<tf.Variable", "<AutoCastVariable", 1).replace(own, f"{own} dtype_to_cast_to={self._cast_dtype.name}", 1)


def _convert(value: Any, dtype: Any) -> Any:
    if dtype is None or as_dtype(dtype).base_dtype == value._cast_dtype:
        return value.read_value()
    if as_dtype(dtype).base_dtype == value.dtype:
        return Variable.read_value(value)
    raise InvalidArgumentError(
        f"Incompatible type conversion requested to type {as_dtype(dtype).name!r} for AutoCastVariable which is casted to type "
        f"{value._cast_dtype.name!r}"
    )


# in front of the conversion of plain variables, of which this is a kind
tensor._CONVERSIONS.insert(0, (AutoCastVariable, _convert))
