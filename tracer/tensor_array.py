"""tf.TensorArray on tensor lists, and its spec. It refuses to be mutable while tracing: each write gives a new array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, specs
from tracer.dispatch import raw
from tracer.dtypes import DType, as_dtype
from tracer.errors import DTypeError, InvalidArgumentError, OutOfRangeError, ShapeError
from tracer.infer import constant_value
from tracer.public import tf
from tracer.shapes import TensorShape, as_shape, unknown_shape
from tracer.specs import TensorSpec, TypeSpec
from tracer.tensor import Tensor, convert_to_tensor

__all__ = ["TensorArray", "TensorArraySpec"]


class TensorArraySpec(TypeSpec):
    """The static type of a TensorArray: one variant component, its flow."""

    def __init__(self, element_shape: Any = None, dtype: Any = dtypes.float32, dynamic_size: bool = False, infer_shape: bool = True):
        self.element_shape = as_shape(element_shape)
        self.dtype = as_dtype(dtype)
        self.dynamic_size = dynamic_size
        self.infer_shape = infer_shape

    @property
    def shape(self) -> TensorShape:
        """A TensorArray's flow is a scalar."""
        return TensorShape([])

    @property
    def component_specs(self) -> list[TensorSpec]:
        return [TensorSpec([], dtypes.variant)]

    def to_components(self, value: Any) -> list[Any]:
        return [value.flow]

    def from_components(self, components: Sequence[Any]) -> Any:
        if isinstance(components[0], TypeSpec):
            return self
        return TensorArray(
            self.dtype, flow=components[0], dynamic_size=self.dynamic_size, infer_shape=self.infer_shape, element_shape=self.element_shape
        )

    def serialize(self) -> tuple[Any, ...]:
        return (self.element_shape, self.dtype, self.dynamic_size, self.infer_shape)

    @staticmethod
    def from_value(value: Any) -> TensorArraySpec:
        """The spec of a TensorArray."""
        return value._type_spec


class TensorArray:
    """An array of tensors, each written once, read by index or all together.

    Eagerly a write changes the array and returns it; while tracing it returns a new array, and the old one keeps its contents.

    Args:
        dtype: element type. size: number of elements (int or scalar tensor). dynamic_size: whether writes past the end grow it.
        clear_after_read: eagerly, refuse to read an element twice. flow: take over this list instead of making a new one.
        infer_shape: require that all elements have the shape of the first. element_shape: what is known of that shape.

    Raises:
        ValueError: both `flow` and `size` are given, or an element's shape does not fit.
    """

    def __init__(
        self, dtype: Any, size: Any = None, dynamic_size: bool | None = None, clear_after_read: bool | None = None,
        tensor_array_name: str | None = None, handle: Any = None, flow: Any = None, infer_shape: bool = True,
        element_shape: Any = None, colocate_with_first_write_call: bool = True, name: str | None = None,
    ):  # fmt: skip
        if handle is not None:
            raise InvalidArgumentError("TensorArray: expected `flow` of an array built on lists, received `handle`; pass flow= instead")
        if flow is not None and size is not None:
            raise InvalidArgumentError("Cannot provide both `flow` and `size` arguments at the same time")
        if flow is not None and element_shape is None and getattr(flow, "handle_data", None):
            element_shape = flow.handle_data[0][1]
        self._dtype = as_dtype(dtype).base_dtype
        self._dynamic_size = bool(dynamic_size)
        self._clear_after_read = clear_after_read is None or bool(clear_after_read)
        self._infer_shape = bool(infer_shape)
        self._element_shape = as_shape(element_shape)
        self._size: Any = None
        self._read_before: set[int] = set()
        if flow is None:
            size = 0 if size is None else size
            count = size if isinstance(size, Tensor) else convert_to_tensor(size, dtypes.int32)
            self._size = count if count.dtype == dtypes.int32 else tf.cast(count, dtypes.int32)
            flow = raw.TensorListReserve(_shape_tensor(self._element_shape), self._size, element_dtype=self._dtype, name=name)
        self._flow = flow

    # -- what it is --

    @property
    def dtype(self) -> DType:
        """Type of the elements."""
        return self._dtype

    @property
    def flow(self) -> Any:
        """The variant tensor that holds the elements."""
        return self._flow

    @property
    def handle(self) -> Any:
        """None: arrays on lists have no resource."""
        return None

    @property
    def element_shape(self) -> TensorShape:
        """What is known of the shape of every element."""
        return self._element_shape

    @property
    def dynamic_size(self) -> bool:
        """Whether writes past the end grow the array."""
        return self._dynamic_size

    @property
    def _type_spec(self) -> TensorArraySpec:
        return TensorArraySpec(self._element_shape, self._dtype, self._dynamic_size, self._infer_shape)

    @property
    def components(self) -> list[Any]:
        return [self._flow]

    def _with_flow(self, flow: Any) -> TensorArray:
        """This array after an op changed its list."""
        if dispatch.executing_eagerly():
            self._flow = flow
            return self
        out = TensorArray.__new__(TensorArray)
        out._dtype, out._dynamic_size, out._clear_after_read = self._dtype, self._dynamic_size, self._clear_after_read
        out._infer_shape, out._element_shape, out._size = self._infer_shape, self._element_shape, self._size
        out._read_before = set()
        out._flow = flow
        return out

    def _value(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if value.dtype.base_dtype != self._dtype:
                raise DTypeError(f"TensorArray dtype is {self._dtype.name} but Op is trying to write dtype {value.dtype.name}")
            return value
        found = convert_to_tensor(value, dtype_hint=self._dtype)
        if found.dtype.base_dtype != self._dtype:
            raise DTypeError(f"TensorArray dtype is {self._dtype.name} but Op is trying to write dtype {found.dtype.name}")
        return found

    def _learn(self, shape: TensorShape) -> None:
        """Take note of an element's shape."""
        if not self._element_shape.is_compatible_with(shape):
            raise ShapeError(f"Incompatible shape for value ({shape}), expected ({self._element_shape})")
        if self._infer_shape:
            self._element_shape = self._element_shape.merge_with(shape)

    # -- elements --

    def identity(self) -> TensorArray:
        """An array with the same elements."""
        out = self._with_flow(self._flow) if not dispatch.executing_eagerly() else TensorArray(
            self._dtype, flow=self._flow, dynamic_size=self._dynamic_size, clear_after_read=self._clear_after_read,
            infer_shape=self._infer_shape, element_shape=self._element_shape,
        )  # fmt: skip
        out._flow = raw.Identity(self._flow)
        return out

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with `value` at `index`.

        Raises:
            IndexError: the index lies outside and the array does not grow.
        """
        value = self._value(value)
        if dispatch.executing_eagerly():
            place, size = int(index), int(self.size())
            if place < 0:
                raise OutOfRangeError(f"Writing to negative indices (index {place}) is not allowed.")
            if place >= size and not self._dynamic_size:
                raise OutOfRangeError(f"Tried to write to index {place} but array is not resizeable and size is: {size} ")
            self._read_before.discard(place)
        self._learn(value.shape)
        flow = raw.TensorListSetItem(
            self._flow, index, value, element_dtype=self._dtype, resize_if_index_out_of_bounds=self._dynamic_size, name=name
        )
        return self._with_flow(flow)

    def read(self, index: Any, name: str | None = None) -> Any:
        """The element at `index`."""
        if dispatch.executing_eagerly():
            place, size = int(index), int(self.size())
            if place < 0:
                raise OutOfRangeError(f"Reading from negative indices (index {place}) is not allowed.")
            if place >= size:
                raise OutOfRangeError(f"Tried to read from index {place} but array size is: {size} ")
            if self._clear_after_read:
                if place in self._read_before:
                    raise InvalidArgumentError(
                        f"Could not read index {place} twice because it was cleared after a previous read (perhaps try setting clear_after_read = false?)"
                    )
                self._read_before.add(place)
        return raw.TensorListGetItem(self._flow, index, _shape_tensor(self._element_shape), element_dtype=self._dtype, name=name)

    def stack(self, name: str | None = None) -> Any:
        """All elements joined along a new first axis."""
        count = -1
        if self._size is not None and not self._dynamic_size:
            known = constant_value(self._size)
            count = -1 if known is None or dispatch.executing_eagerly() else int(known)
        return raw.TensorListStack(
            self._flow, _shape_tensor(self._element_shape), element_dtype=self._dtype, num_elements=count, name=name
        )

    def gather(self, indices: Any, name: str | None = None) -> Any:
        """The elements at `indices` joined along a new first axis."""
        return raw.TensorListGather(self._flow, indices, _shape_tensor(self._element_shape), element_dtype=self._dtype, name=name)

    def concat(self, name: str | None = None) -> Any:
        """All elements joined along their first axis."""
        shape = self._element_shape
        given = unknown_shape() if shape.rank is None else TensorShape([None, *shape.as_list()[1:]])
        leading = convert_to_tensor(np.zeros(0, np.int64))
        return raw.TensorListConcatV2(self._flow, _shape_tensor(given), leading, element_dtype=self._dtype, name=name)[0]

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """An array whose elements are the slices of `value` along its first axis."""
        value = self._value(value)
        shape = value.shape
        inner = shape[1:] if shape.rank is not None else unknown_shape()
        self._learn(inner)
        if dispatch.executing_eagerly():
            size = int(self.size())
            if shape[0] > size and not self._dynamic_size:
                raise InvalidArgumentError(f"Cannot unstack {shape[0]} tensors into a TensorArray of static size {size} ")
        static = inner if inner.is_fully_defined() else None
        given = _shape_tensor(static) if static is not None else tf.shape(value)[1:]
        out = self._with_flow(raw.TensorListFromTensor(value, given, element_dtype=self._dtype, name=name))
        return out

    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with slice i of `value` at `indices[i]`."""
        value = self._value(value)
        if value.shape.rank is not None:
            self._learn(value.shape[1:])
        flow = raw.TensorListScatterIntoExistingList(self._flow, value, indices, element_dtype=self._dtype, name=name)
        return self._with_flow(flow)

    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """An array whose elements are consecutive pieces of `value`, of the given lengths."""
        value = self._value(value)
        lengths = tf.cast(lengths, dtypes.int64) if isinstance(lengths, Tensor) else convert_to_tensor(lengths, dtypes.int64)
        known = constant_value(lengths)
        if known is not None and known.size and value.shape.rank is not None and (known == known[0]).all():
            self._learn(TensorShape([int(known[0])]).concatenate(value.shape[1:]))
        flow = raw.TensorListSplit(value, _shape_tensor(self._element_shape), lengths, element_dtype=self._dtype, name=name)
        return self._with_flow(flow)

    def size(self, name: str | None = None) -> Any:
        """The number of elements."""
        if self._size is not None and not self._dynamic_size and not dispatch.executing_eagerly():
            return tf.identity(self._size)
        return raw.TensorListLength(self._flow, name=name)

    def grad(self, source: Any, flow: Any = None, name: str | None = None) -> Any:
        """Refused: the gradient of an array on lists flows through its list."""
        raise NotImplementedError(
            "TensorArray.grad: expected gradients through tf.GradientTape or tf.gradients, received a call of grad; "
            "differentiate the values that were read from the array instead"
        )

    def close(self, name: str | None = None) -> Any:
        """Does nothing while tracing; eagerly drops all elements."""
        if dispatch.executing_eagerly():
            self._flow = raw.TensorListResize(self._flow, 0)
            return None
        return raw.NoOp(name=name)

    def __repr__(self) -> str:
        return f"<TensorArray dtype={self._dtype.name} element_shape={self._element_shape}>"


def _shape_tensor(shape: TensorShape) -> Any:
    """A shape as TensorList ops take it: -1 where unknown, the scalar -1 for an unknown rank."""
    if shape.rank is None:
        return convert_to_tensor(np.array(-1, np.int32))
    return convert_to_tensor(np.array([-1 if d is None else d for d in shape], np.int32))


specs.register_value_builder("TensorArraySpec", lambda spec, components: spec.from_components(components))
