"""Type specs: the static types of tensors and composite tensors. It refuses to hold values.

A composite's value class lives above (ragged, sparse…); it registers the function that builds it from components.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracer import dtypes, nest
from tracer.dtypes import DType, as_dtype
from tracer.errors import InvalidArgumentError
from tracer.shapes import TensorShape, as_shape, unknown_shape

__all__ = [
    "BoundedTensorSpec",
    "IndexedSlicesSpec",
    "RaggedTensorSpec",
    "SparseTensorSpec",
    "TensorSpec",
    "TypeSpec",
    "VariableSpec",
    "register_value_builder",
    "type_spec_from_value",
]

_BUILDERS: dict[str, Callable[[Any, Sequence[Any]], Any]] = {}


def register_value_builder(spec_class: str, build: Callable[[Any, Sequence[Any]], Any]) -> None:
    """Tell how `spec_class` (by class name) builds a value: `build(spec, components)`."""
    _BUILDERS[spec_class] = build


class TypeSpec:
    """The static type of a value that may stand in a function's signature."""

    is_composite_spec = True

    @property
    def component_specs(self) -> list[TensorSpec]:
        """One TensorSpec per component tensor, in order."""
        raise NotImplementedError(f"{type(self).__name__} must define component_specs")

    def to_components(self, value: Any) -> list[Any]:
        """The component tensors of `value`."""
        return list(value.components)

    def from_components(self, components: Sequence[Any]) -> Any:
        """A value of this type from its component tensors (or specs, giving a spec)."""
        if components and all(isinstance(c, TypeSpec) for c in components):
            return self
        build = _BUILDERS.get(type(self).__name__)
        if build is None:
            import importlib

            importlib.import_module("tracer.composite")
            build = _BUILDERS[type(self).__name__]
        return build(self, components)

    def serialize(self) -> tuple[Any, ...]:
        """The state that, with the class, makes up the spec (TensorFlow's order)."""
        raise NotImplementedError(f"{type(self).__name__} must define serialize")

    def is_compatible_with(self, other: Any) -> bool:
        """Whether a value, or a value of spec `other`, could have this type."""
        other = type_spec_from_value(other) if not isinstance(other, TypeSpec) else other
        return type(self) is type(other) and _states_compatible(self.serialize(), other.serialize())

    def is_subtype_of(self, other: Any) -> bool:
        """Whether every value of this type has also type `other`."""
        return type(self) is type(other) and _state_subtype(self.serialize(), other.serialize())

    def most_general(self, other: Any) -> Any:
        """The least general spec of which both are subtypes, or None."""
        if type(self) is not type(other):
            return None
        state = _state_general(self.serialize(), other.serialize())
        return None if state is None else type(self)(*state)

    most_specific_compatible_type = most_general

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.serialize() == other.serialize()  # type: ignore[attr-defined]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.serialize()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.serialize()!r}"


def _states_compatible(a: Any, b: Any) -> bool:
    return all(x.is_compatible_with(y) if isinstance(x, (TensorShape, DType, TypeSpec)) else x == y for x, y in zip(a, b, strict=True))


def _state_subtype(a: Any, b: Any) -> bool:
    return all(x.is_subtype_of(y) if isinstance(x, (TensorShape, TypeSpec)) else x == y for x, y in zip(a, b, strict=True))


def _state_general(a: Any, b: Any) -> tuple[Any, ...] | None:
    out = []
    for x, y in zip(a, b, strict=True):
        if isinstance(x, (TensorShape, TypeSpec)):
            x = x.most_general(y)
            if x is None:
                return None
        elif x != y:
            return None
        out.append(x)
    return tuple(out)


class TensorSpec(TypeSpec):
    """The static type of a dense tensor: shape, dtype, and a name that does not take part in comparisons of types."""

    is_composite_spec = False
    __slots__ = ("dtype", "name", "shape")

    def __init__(self, shape: Any, dtype: Any = dtypes.float32, name: str | None = None):
        self.shape = as_shape(shape)
        self.dtype = as_dtype(dtype)
        self.name = name

    @property
    def component_specs(self) -> list[TensorSpec]:
        return [self]

    @property
    def rank(self) -> int | None:
        return self.shape.rank

    @classmethod
    def from_spec(cls, spec: Any, name: str | None = None) -> TensorSpec:
        return cls(spec.shape, spec.dtype, name or getattr(spec, "name", None))

    @classmethod
    def from_tensor(cls, tensor: Any, name: str | None = None) -> TensorSpec:
        return cls(tensor.shape, tensor.dtype, name)

    def to_components(self, value: Any) -> list[Any]:
        return [value]

    def from_components(self, components: Sequence[Any]) -> Any:
        return components[0]

    def serialize(self) -> tuple[Any, ...]:
        return (self.shape, self.dtype, self.name)

    def is_compatible_with(self, other: Any) -> bool:
        shape, dtype = getattr(other, "shape", None), getattr(other, "dtype", None)
        if shape is None or dtype is None or getattr(other, "is_composite_spec", False) or hasattr(other, "_type_spec"):
            return False
        return self.dtype == as_dtype(dtype).base_dtype and self.shape.is_compatible_with(shape)

    def is_subtype_of(self, other: Any) -> bool:
        return isinstance(other, TensorSpec) and self.dtype == other.dtype and self.shape.is_subtype_of(other.shape)

    def most_general(self, other: Any) -> Any:
        if not isinstance(other, TensorSpec) or self.dtype != other.dtype:
            return None
        return TensorSpec(self.shape.most_general(other.shape), self.dtype, self.name if self.name == other.name else None)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TensorSpec)
            and self.shape == other.shape
            and self.dtype == other.dtype
            and self.name == other.name
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype!r}, name={self.name!r})"


class BoundedTensorSpec(TensorSpec):
    """A TensorSpec with inclusive bounds (NumPy arrays that broadcast to the shape)."""

    __slots__ = ("maximum", "minimum")

    def __init__(self, shape: Any, dtype: Any, minimum: Any, maximum: Any, name: str | None = None):
        import numpy as np

        super().__init__(shape, dtype, name)
        self.minimum = np.asarray(minimum, self.dtype.numpy)
        self.maximum = np.asarray(maximum, self.dtype.numpy)

    def serialize(self) -> tuple[Any, ...]:
        return (self.shape, self.dtype, self.minimum, self.maximum, self.name)

    def __eq__(self, other: object) -> bool:
        import numpy as np

        return (
            isinstance(other, BoundedTensorSpec)
            and TensorSpec.__eq__(self, other)
            and np.array_equal(self.minimum, other.minimum)
            and np.array_equal(self.maximum, other.maximum)
        )

    __hash__ = TensorSpec.__hash__

    def __repr__(self) -> str:
        return (
            f"BoundedTensorSpec(shape={self.shape}, dtype={self.dtype!r}, name={self.name!r}, "
            f"minimum={self.minimum!r}, maximum={self.maximum!r})"
        )


class RaggedTensorSpec(TypeSpec):
    """The static type of a ragged tensor: flat values and `ragged_rank` row-split vectors."""

    __slots__ = ("dtype", "flat_values_spec", "ragged_rank", "row_splits_dtype", "shape")

    def __init__(
        self,
        shape: Any = None,
        dtype: Any = dtypes.float32,
        ragged_rank: int | None = None,
        row_splits_dtype: Any = dtypes.int64,
    ):
        self.shape = as_shape(shape)
        self.dtype = as_dtype(dtype)
        self.row_splits_dtype = as_dtype(row_splits_dtype)
        if ragged_rank is None:
            if self.shape.rank is None:
                raise InvalidArgumentError("Must specify ragged_rank or a shape with a known rank.")
            ragged_rank = self.shape.rank - 1
        self.ragged_rank = ragged_rank

    @property
    def component_specs(self) -> list[TensorSpec]:
        if self.ragged_rank == 0:
            return [TensorSpec(self.shape, self.dtype)]
        inner = self.shape[self.ragged_rank + 1 :] if self.shape.rank is not None else unknown_shape()
        flat = TensorShape([None]).concatenate(inner)
        rows = self.shape[0]
        splits = [TensorSpec([rows + 1 if rows is not None else None], self.row_splits_dtype)]
        splits += [TensorSpec([None], self.row_splits_dtype) for _ in range(self.ragged_rank - 1)]
        return [TensorSpec(flat, self.dtype), *splits]

    def serialize(self) -> tuple[Any, ...]:
        return (self.shape, self.dtype, self.ragged_rank, self.row_splits_dtype)

    def __repr__(self) -> str:
        return f"RaggedTensorSpec({self.shape!r}, {self.dtype!r}, {self.ragged_rank}, {self.row_splits_dtype!r})"


class SparseTensorSpec(TypeSpec):
    """The static type of a sparse tensor: indices, values, dense shape."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Any = None, dtype: Any = dtypes.float32):
        self.shape = as_shape(shape)
        self.dtype = as_dtype(dtype)

    @property
    def component_specs(self) -> list[TensorSpec]:
        rank = self.shape.rank
        return [
            TensorSpec([None, rank], dtypes.int64),
            TensorSpec([None], self.dtype),
            TensorSpec([rank], dtypes.int64),
        ]

    def serialize(self) -> tuple[Any, ...]:
        return (self.shape, self.dtype)

    def __repr__(self) -> str:
        return f"SparseTensorSpec({self.shape!r}, {self.dtype!r})"


class IndexedSlicesSpec(TypeSpec):
    """The static type of IndexedSlices: values, indices, and the dense shape if known."""

    def __init__(
        self,
        shape: Any = None,
        dtype: Any = dtypes.float32,
        indices_dtype: Any = dtypes.int64,
        dense_shape_dtype: Any = None,
        indices_shape: Any = None,
    ):
        self.shape = as_shape(shape)
        self.dtype = as_dtype(dtype)
        self.indices_dtype = as_dtype(indices_dtype)
        self.dense_shape_dtype = None if dense_shape_dtype is None else as_dtype(dense_shape_dtype)
        self.indices_shape = as_shape(indices_shape).with_rank(1)

    @property
    def component_specs(self) -> list[TensorSpec]:
        values = self.indices_shape.concatenate(self.shape[1:] if self.shape.rank is not None else unknown_shape())
        specs = [TensorSpec(values, self.dtype), TensorSpec(self.indices_shape, self.indices_dtype)]
        if self.dense_shape_dtype is not None:
            specs.append(TensorSpec([self.shape.rank], self.dense_shape_dtype))
        return specs

    def serialize(self) -> tuple[Any, ...]:
        return (self.shape, self.dtype, self.indices_dtype, self.dense_shape_dtype, self.indices_shape)


class VariableSpec(TypeSpec):
    """The static type of a variable passed as an argument: one resource component."""

    def __init__(self, shape: Any, dtype: Any = dtypes.float32, trainable: bool = True, alias_id: int | None = None):
        self.shape = as_shape(shape)
        self.dtype = as_dtype(dtype)
        self.trainable = trainable
        self.alias_id = alias_id

    @property
    def component_specs(self) -> list[TensorSpec]:
        return [TensorSpec([], dtypes.resource)]

    def to_components(self, value: Any) -> list[Any]:
        return [value.handle]

    def serialize(self) -> tuple[Any, ...]:
        return (self.shape, self.dtype, self.trainable, self.alias_id)


def type_spec_from_value(value: Any) -> TypeSpec:
    """The most specific spec of `value`: a tensor, composite, variable, or array."""
    if isinstance(value, TypeSpec):
        return value
    spec = getattr(value, "_type_spec", None)
    if spec is not None:
        return spec
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        return TensorSpec(shape, dtype)
    raise TypeError(f"Could not build a TypeSpec for {value!r} of type {type(value).__name__}")


def map_specs(structure: Any) -> Any:
    """`structure` with each leaf replaced by its spec."""
    return nest.map_structure(type_spec_from_value, structure)
