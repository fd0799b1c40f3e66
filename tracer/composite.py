"""Composite tensors: IndexedSlices, and RaggedTensor and SparseTensor re-exported. It refuses to hold op records.

A composite knows its spec (`_type_spec`) and its component tensors (`components`); everything else follows from ops on these.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracer import ragged_functions, specs, tensor
from tracer.dispatch import raw
from tracer.dtypes import DType, as_dtype
from tracer.errors import InvalidArgumentError
from tracer.infer import constant_value_as_shape
from tracer.ragged import RaggedTensor
from tracer.shapes import TensorShape, unknown_shape
from tracer.sparse import SparseTensor, SparseTensorValue
from tracer.tensor import convert_to_tensor

__all__ = ["IndexedSlices", "RaggedTensor", "SparseTensor", "SparseTensorValue", "ragged_functions"]


class IndexedSlices:
    """Rows of a dense tensor: `dense[indices[i]] += values[i]`, all other rows zero. What the gradient of a gather is.

    Args:
        values: tensor of shape [n, …].
        indices: integer vector of n row numbers, repeats allowed.
        dense_shape: integer vector, the shape of the dense tensor; None where it is not known.
    """

    _overrides_tensor_operators = True

    def __init__(self, values: Any, indices: Any, dense_shape: Any = None):
        self._values = convert_to_tensor(values)
        self._indices = convert_to_tensor(indices)
        self._dense_shape = None if dense_shape is None else convert_to_tensor(dense_shape)

    @property
    def values(self) -> Any:
        return self._values

    @property
    def indices(self) -> Any:
        return self._indices

    @property
    def dense_shape(self) -> Any:
        return self._dense_shape

    @property
    def dtype(self) -> DType:
        return self._values.dtype

    @property
    def shape(self) -> TensorShape:
        """Static shape of the dense tensor."""
        return unknown_shape() if self._dense_shape is None else constant_value_as_shape(self._dense_shape)

    def get_shape(self) -> TensorShape:
        return self.shape

    @property
    def components(self) -> list[Any]:
        parts = [self._values, self._indices]
        return parts if self._dense_shape is None else [*parts, self._dense_shape]

    @property
    def _type_spec(self) -> specs.IndexedSlicesSpec:
        inner = self._values.shape[1:] if self._values.shape.rank is not None else unknown_shape()
        shape = TensorShape([None]).concatenate(inner) if self._dense_shape is None else self.shape
        dense = None if self._dense_shape is None else self._dense_shape.dtype
        return specs.IndexedSlicesSpec(shape, self.dtype, self._indices.dtype, dense, self._indices.shape)

    def __neg__(self) -> IndexedSlices:
        return IndexedSlices(-self._values, self._indices, self._dense_shape)

    def __repr__(self) -> str:
        return f"IndexedSlices(indices={self._indices!r}, values={self._values!r}, dense_shape={self._dense_shape!r})"


def _build_slices(spec: Any, parts: Sequence[Any]) -> IndexedSlices:
    return IndexedSlices(parts[0], parts[1], parts[2] if len(parts) > 2 else None)


def _slices_to_dense(value: IndexedSlices, dtype: DType | None) -> Any:
    if dtype is not None and as_dtype(dtype) != value.dtype:
        raise InvalidArgumentError(
            f"Tensor conversion requested dtype {as_dtype(dtype).name} for IndexedSlices with dtype {value.dtype.name}"
        )
    if value.dense_shape is None:
        raise InvalidArgumentError(
            "IndexedSlices to dense: expected a dense_shape, received None; give dense_shape when making the IndexedSlices"
        )
    return raw.UnsortedSegmentSum(data=value.values, segment_ids=value.indices, num_segments=value.dense_shape[0])


specs.register_value_builder("IndexedSlicesSpec", _build_slices)
tensor.register_conversion(IndexedSlices, _slices_to_dense)
