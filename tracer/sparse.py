"""The SparseTensor class: indices, values and dense shape of a tensor that is mostly zero. Its ops live in tracer/ops/sparse.py."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from tracer import dtypes, specs
from tracer.dispatch import raw
from tracer.dtypes import DType
from tracer.errors import InvalidArgumentError
from tracer.infer import constant_value_as_shape
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor

__all__ = ["SparseTensor", "SparseTensorValue", "as_sparse"]

SparseTensorValue = namedtuple("SparseTensorValue", ["indices", "values", "dense_shape"])


class SparseTensor:
    """A sparse tensor.

    Args:
        indices: int64 matrix [n, rank], one row per stored element.
        values: vector of n elements.
        dense_shape: int64 vector of rank sizes.

    Raises:
        InvalidArgumentError: the static shapes of the three do not fit together.
    """

    _overrides_tensor_operators = True
    __array_priority__ = 200

    def __init__(self, indices: Any, values: Any, dense_shape: Any):
        self._indices = convert_to_tensor(indices, dtypes.int64)
        self._values = convert_to_tensor(values)
        self._dense_shape = convert_to_tensor(dense_shape, dtypes.int64)
        try:
            rows = self._indices.shape.with_rank(2)
            count = self._values.shape.with_rank(1)
            rank = self._dense_shape.shape.with_rank(1)
            TensorShape([rows[0]]).assert_is_compatible_with([count[0]])
            TensorShape([rows[1]]).assert_is_compatible_with([rank[0]])
        except ValueError as error:
            raise InvalidArgumentError(
                f"SparseTensor: expected indices [n, rank], values [n] and dense_shape [rank], received shapes "
                f"{self._indices.shape}, {self._values.shape} and {self._dense_shape.shape}: {error}"
            ) from None

    @classmethod
    def from_value(cls, value: Any) -> SparseTensor:
        """`value` (a SparseTensor or SparseTensorValue) as a SparseTensor."""
        if isinstance(value, SparseTensor):
            return value
        if not isinstance(value, tuple) or len(value) != 3:
            raise TypeError(f"Argument sparse_tensor_value must be a SparseTensor or SparseTensorValue, but received {value!r}.")
        return cls(*value)

    @property
    def indices(self) -> Any:
        return self._indices

    @property
    def values(self) -> Any:
        return self._values

    @property
    def dense_shape(self) -> Any:
        return self._dense_shape

    @property
    def dtype(self) -> DType:
        return self._values.dtype

    @property
    def shape(self) -> TensorShape:
        """Static shape of the dense tensor."""
        return constant_value_as_shape(self._dense_shape)

    def get_shape(self) -> TensorShape:
        return self.shape

    @property
    def components(self) -> list[Any]:
        return [self._indices, self._values, self._dense_shape]

    @property
    def _type_spec(self) -> specs.SparseTensorSpec:
        return specs.SparseTensorSpec(self.shape, self.dtype)

    def with_values(self, new_values: Any) -> SparseTensor:
        """The same positions with other values."""
        return SparseTensor(self._indices, new_values, self._dense_shape)

    def __mul__(self, other: Any) -> SparseTensor:
        return self._cwise("SparseDenseCwiseMul", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> SparseTensor:
        return self._cwise("SparseDenseCwiseDiv", other)

    def __neg__(self) -> SparseTensor:
        return self.with_values(raw.Neg(self._values))

    def _cwise(self, op: str, dense: Any) -> SparseTensor:
        dense = convert_to_tensor(dense, self.dtype)
        values = getattr(raw, op)(
            sp_indices=self._indices, sp_values=self._values, sp_shape=self._dense_shape, dense=dense
        )
        return self.with_values(values)

    def __repr__(self) -> str:
        return f"SparseTensor(indices={self._indices}, values={self._values}, dense_shape={self._dense_shape})"


def as_sparse(value: Any, what: str = "sp_input") -> SparseTensor:
    """`value` as a SparseTensor. Raises TypeError naming argument `what`."""
    if isinstance(value, SparseTensor):
        return value
    if isinstance(value, SparseTensorValue):
        return SparseTensor.from_value(value)
    raise TypeError(f"Input must be a SparseTensor: argument {what!r}, received {value!r}")


def _build(spec: Any, parts: Sequence[Any]) -> SparseTensor:
    return SparseTensor(*parts)


specs.register_value_builder("SparseTensorSpec", _build)
