"""TensorArray… of all versions: mutable arrays of tensors behind a resource. tf.TensorArray itself builds on tensor_list.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, OutOfRangeError, ShapeError
from tracer.object_arrays import as_array, shape_of_value, stack_values, unwrap
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor_lists import zeros_of

__all__: list[str] = []


class ArrayResource:
    """The mutable array behind a handle.

    A gradient array sums what is written to one place, and reads zeros where nothing was written.
    """

    def __init__(
        self, dtype: dtypes.DType, size: int, element_shape: TensorShape, dynamic_size: bool = False, clear_after_read: bool = True,
        identical: bool = False, name: str = "", is_gradient: bool = False, source: ArrayResource | None = None,
    ):  # fmt: skip
        self.dtype = dtype
        self.element_shape = element_shape
        self.dynamic_size = dynamic_size
        self.clear_after_read = clear_after_read
        self.identical = identical
        self.name = name
        self.is_gradient = is_gradient
        self.source = source
        self.items: list[Any] = [None] * size
        self.cleared = [False] * size
        self.closed = False
        self.gradients: dict[bytes, ArrayResource] = {}

    def _open(self) -> None:
        if self.closed:
            raise InvalidArgumentError(f"TensorArray {self.name} has already been closed.")

    def write(self, index: int, value: Any) -> None:
        """Set (or, for a gradient, add to) the element at `index`."""
        self._open()
        if index < 0 or (index >= len(self.items) and not self.dynamic_size):
            raise OutOfRangeError(f"TensorArray {self.name}: Tried to write to index {index} but array is not resizeable and size is: {len(self.items)}")
        if index >= len(self.items):
            grow = index + 1 - len(self.items)
            self.items += [None] * grow
            self.cleared += [False] * grow
        shape = shape_of_value(value)
        if not self.element_shape.is_compatible_with(shape):
            raise ShapeError(
                f"TensorArray {self.name}: Could not write to TensorArray index {index} because the value shape is {list(shape)} which is incompatible "
                f"with the TensorArray's inferred element shape: {self.element_shape} (consider setting infer_shape=False)."
            )
        if self.identical:
            self.element_shape = TensorShape(shape)
        if self.items[index] is not None:
            if not self.is_gradient:
                raise InvalidArgumentError(f"TensorArray {self.name}: Could not write to TensorArray index {index} because it has already been written to.")
            value = np.asarray(np.add(self.items[index], value))
        elif self.cleared[index] and not self.is_gradient:
            raise InvalidArgumentError(f"TensorArray {self.name}: Could not write to TensorArray index {index} because it has already been read.")
        self.items[index] = value

    def read(self, index: int) -> Any:
        """The element at `index`."""
        self._open()
        if not 0 <= index < len(self.items):
            raise OutOfRangeError(f"TensorArray {self.name}: Tried to read from index {index} but array size is: {len(self.items)}")
        value = self.items[index]
        if value is None:
            if self.cleared[index] and not self.is_gradient:
                raise InvalidArgumentError(
                    f"TensorArray {self.name}: Could not read index {index} twice because it was cleared after a previous read (perhaps try setting "
                    f"clear_after_read = false?)."
                )
            return self._zeros(index)
        if self.clear_after_read:
            self.items[index] = None
            self.cleared[index] = True
        return value

    def _zeros(self, index: int) -> Any:
        if self.element_shape.is_fully_defined():
            return zeros_of(self.dtype, self.element_shape.as_tuple())  # type: ignore[arg-type]
        like = self.source.items[index] if self.source is not None and index < len(self.source.items) else None
        if like is not None:
            return zeros_of(self.dtype, shape_of_value(like))
        written = next((i for i in self.items if i is not None), None)
        if self.is_gradient and written is not None:
            return zeros_of(self.dtype, shape_of_value(written))
        raise InvalidArgumentError(f"TensorArray {self.name}: Could not read from TensorArray index {index}. Furthermore, the element shape is not fully defined: {self.element_shape}. It is possible you are working with a resizeable TensorArray and stop_gradients is not allowing the gradients to be written. If you set the full element_shape property on the forward TensorArray, the proper all-zeros tensor will be returned instead of incurring this error.")

    def gradient(self, source: bytes, prepend: tuple[int, ...] = ()) -> ArrayResource:
        """The gradient array of this one for `source`, made when first asked for."""
        self._open()
        found = self.gradients.get(source)
        if found is None:
            shape = TensorShape(list(prepend)).concatenate(self.element_shape)
            found = self.gradients[source] = ArrayResource(
                self.dtype, len(self.items), shape, False, False, False, f"{self.name}@{source.decode(errors='replace')}", True, self
            )
        return found


class _NamedHandle(bytes):
    """The handle of versions 1 and 2: a string (the array's name) that carries the array."""

    array: ArrayResource


def _array(handle: Any) -> ArrayResource:
    if isinstance(handle, np.ndarray):
        handle = handle.reshape(-1)[-1]
    if isinstance(handle, _NamedHandle):
        return handle.array
    if isinstance(handle, ArrayResource):
        return handle
    raise InvalidArgumentError(f"TensorArray op: expected the handle of a TensorArray, received {type(handle).__name__}")


def _handle(array: ArrayResource, version: str) -> Any:
    if version == "V3":
        return array
    named = _NamedHandle(array.name.encode())
    named.array = array
    return _string_scalar(named)


def _string_scalar(value: bytes) -> np.ndarray:
    """A string scalar."""
    out = np.empty((), object)
    out[()] = value
    return out


_FLOW = np.zeros((), np.float32)
_SOURCE = b"gradients"


def _flow_shape(ctx: Any) -> Any:
    return TensorShape([])


def _gradient_of(node: Any, flow: Any) -> tuple[Any, Any]:
    """(handle, flow) of the gradient array of the array that `node` works on."""
    version = "V3" if node.inputs[0].dtype.kind == "r" else "V2"
    if version == "V3":
        handle, flow_out = raw.TensorArrayGradV3(node.inputs[0], flow, source=_SOURCE)
        return handle, flow_out
    return raw.TensorArrayGradV2(node.inputs[0], flow, source=_SOURCE), flow


def _register(version: str) -> None:
    handle = {"": "ref(string)", "V2": "string", "V3": "resource"}[version]
    stateful = " !stateful" if version == "V3" else ""
    of = "V3" if version == "V3" else "V2"

    def call(name: str, *args: Any, **attrs: Any) -> Any:
        return getattr(raw, f"TensorArray{name}{of}")(*args, **attrs)

    # creation
    if version == "V3":
        make = op(
            "TensorArrayV3(size: int32) -> (handle: resource, flow: float) !stateful; dtype: type; element_shape: shape = ?; dynamic_size: bool = false; "
            "clear_after_read: bool = true; identical_element_shapes: bool = false; tensor_array_name: string = ''"
        )
        make.infer(lambda ctx: [TensorShape([]), TensorShape([])])
    elif version == "V2":
        make = op(
            "TensorArrayV2(size: int32) -> (handle: string) !stateful; dtype: type; element_shape: shape = ?; dynamic_size: bool = false; "
            "clear_after_read: bool = true; tensor_array_name: string = ''"
        )
        make.infer(lambda ctx: TensorShape([2]))
    else:
        make = op(
            "TensorArray(size: int32) -> (handle: ref(string)) !stateful; dtype: type; dynamic_size: bool = false; clear_after_read: bool = true; "
            "tensor_array_name: string = ''; element_shape: shape = ?"
        )
        make.infer(lambda ctx: TensorShape([2]))

    @make.kernel
    def _(
        size: np.ndarray, *, dtype: dtypes.DType, element_shape: TensorShape, dynamic_size: bool, clear_after_read: bool,
        identical_element_shapes: bool | None, tensor_array_name: bytes,
    ) -> Any:  # fmt: skip
        if size.ndim or int(size) < 0:
            raise InvalidArgumentError(f"Size should be >= 0: expected a scalar, received {size.tolist()}")
        array = ArrayResource(
            dtype, int(size), element_shape, dynamic_size, clear_after_read, bool(identical_element_shapes), tensor_array_name.decode(errors="replace")
        )
        return (array, _FLOW) if version == "V3" else _handle(array, version)

    make.not_differentiable()

    # gradient arrays
    grad_out = {"": "(grad_handle: ref(string))", "V2": "(grad_handle: string)", "V3": "(grad_handle: resource, flow_out: float)"}[version]
    grad_in = "string" if version == "" else handle
    grad = op(f"TensorArrayGrad{version}(handle: {grad_in}, flow_in: float) -> {grad_out} !stateful; source: string").not_differentiable()
    grad.infer(lambda ctx: [TensorShape([]), TensorShape([])] if version == "V3" else TensorShape([2]))

    @grad.kernel
    def _(handle: Any, flow: Any, *, source: bytes) -> Any:
        array = _array(handle).gradient(source)
        return (array, _FLOW) if version == "V3" else _handle(array, version)

    # single elements
    write = op(f"TensorArrayWrite{version}(handle: {handle}, index: int32, value: T, flow_in: float) -> (flow_out: float){stateful}; T: type")
    write.infer(_flow_shape)

    @write.kernel
    def _(handle: Any, index: np.ndarray, value: Any, flow: Any) -> Any:
        _array(handle).write(int(index), value)
        return _FLOW

    @write.gradient
    def _(node: Any, flow: Any) -> Any:
        array, f = _gradient_of(node, flow)
        return None, None, call("Read", array, node.inputs[1], f, dtype=node.attr("T")), flow

    read = op(f"TensorArrayRead{version}(handle: {handle}, index: int32, flow_in: float) -> (value: dtype){stateful}; dtype: type")
    read.infer(lambda ctx: unknown_shape())
    read.kernel(lambda handle, index, flow: _array(handle).read(int(index)))

    @read.gradient
    def _(node: Any, grad: Any) -> Any:
        array, f = _gradient_of(node, node.inputs[2])
        return None, None, call("Write", array, node.inputs[1], grad, f)

    # many elements
    gather = op(
        f"TensorArrayGather{version}(handle: {handle}, indices: int32, flow_in: float) -> (value: dtype){stateful}; dtype: type; element_shape: shape = ?"
    )
    gather.infer(lambda ctx: TensorShape([ctx.shape(1)[0] if ctx.rank(1) == 1 else None]).concatenate(ctx.attr("element_shape")))

    @gather.kernel
    def _(handle: Any, indices: np.ndarray, flow: Any, *, dtype: dtypes.DType, element_shape: TensorShape) -> Any:
        return _stacked(_array(handle), indices.tolist(), dtype, element_shape)

    @gather.gradient
    def _(node: Any, grad: Any) -> Any:
        array, f = _gradient_of(node, node.inputs[2])
        return None, None, call("Scatter", array, node.inputs[1], grad, f)

    scatter = op(f"TensorArrayScatter{version}(handle: {handle}, indices: int32, value: T, flow_in: float) -> (flow_out: float){stateful}; T: type")
    scatter.infer(_flow_shape)

    @scatter.kernel
    def _(handle: Any, indices: np.ndarray, value: np.ndarray, flow: Any) -> Any:
        array = _array(handle)
        if value.ndim < 1 or value.shape[0] != indices.size:
            raise InvalidArgumentError(f"Expected len(indices) == values.shape[0], but saw: {indices.size} vs. {value.shape[0] if value.ndim else 'a scalar'}")
        for i, place in enumerate(indices.tolist()):
            array.write(place, unwrap(as_array(value[i, ...])))
        return _FLOW

    @scatter.gradient
    def _(node: Any, flow: Any) -> Any:
        array, f = _gradient_of(node, flow)
        return None, None, call("Gather", array, node.inputs[1], f, dtype=node.attr("T")), flow

    concat = op(
        f"TensorArrayConcat{version}(handle: {handle}, flow_in: float) -> (value: dtype, lengths: int64){stateful}; dtype: type; "
        f"element_shape_except0: shape = ?"
    )
    concat.infer(lambda ctx: [TensorShape([None]).concatenate(ctx.attr("element_shape_except0")), unknown_shape(1)])

    @concat.kernel
    def _(handle: Any, flow: Any, *, dtype: dtypes.DType, element_shape_except0: TensorShape) -> Any:
        array = _array(handle)
        parts = [array.read(i) for i in range(len(array.items))]
        if not parts:
            inner = element_shape_except0
            if not inner.is_fully_defined():
                raise ShapeError(f"TensorArray has size zero, but element_shape_except0 {inner} is not fully defined.")
            return zeros_of(dtype, (0, *inner.as_list())), np.zeros(0, np.int64)  # type: ignore[arg-type]
        if any(np.ndim(p) < 1 for p in parts):
            raise InvalidArgumentError("Concat saw a scalar shape at index 0 but requires at least vectors.")
        return np.concatenate(parts), np.array([p.shape[0] for p in parts], np.int64)

    @concat.gradient
    def _(node: Any, grad: Any, _lengths: Any) -> Any:
        array, f = _gradient_of(node, node.inputs[1])
        return None, call("Split", array, grad, node.outputs[1], f)

    split = op(
        f"TensorArraySplit{version}(handle: {handle}, value: T, lengths: int64, flow_in: float) -> (flow_out: float){stateful}; T: type"
    )
    split.infer(_flow_shape)

    @split.kernel
    def _(handle: Any, value: np.ndarray, lengths: np.ndarray, flow: Any) -> Any:
        array = _array(handle)
        sizes = lengths.tolist()
        if value.ndim < 1 or sum(sizes) != value.shape[0]:
            raise InvalidArgumentError(f"Expected sum of lengths to be equal to values.shape[0], but sum of lengths is {sum(sizes)} and value's shape is: {list(value.shape)}")
        if not array.dynamic_size and not array.is_gradient and len(sizes) != len(array.items):
            raise InvalidArgumentError(f"TensorArray's size is not equal to the size of lengths ({len(array.items)} vs. {len(sizes)}), and the TensorArray is not marked as dynamically resizeable")
        start = 0
        for i, s in enumerate(sizes):
            array.write(i, value[start : start + s])
            start += s
        return _FLOW

    @split.gradient
    def _(node: Any, flow: Any) -> Any:
        array, f = _gradient_of(node, flow)
        return None, call("Concat", array, f, dtype=node.attr("T"))[0], None, flow

    # size and end
    size = op(f"TensorArraySize{version}(handle: {handle}, flow_in: float) -> (size: int32){stateful}").not_differentiable()
    size.infer(_flow_shape)
    size.kernel(lambda handle, flow: np.array(len(_array(handle).items), np.int32))
    close = op(f"TensorArrayClose{version}(handle: {handle}) -> (){stateful}").not_differentiable()

    @close.kernel
    def _(handle: Any) -> Any:
        array = _array(handle)
        array.closed = True
        array.items = []
        return ()


def _stacked(array: ArrayResource, places: list[int], dtype: dtypes.DType, element_shape: TensorShape) -> Any:
    if not places:
        shape = array.element_shape.merge_with(element_shape)
        if not shape.is_fully_defined():
            raise ShapeError(f"TensorArray has size zero, but element shape {shape} is not fully defined. Currently only static shapes are supported when packing zero-size TensorArrays.")
        return zeros_of(dtype, (0, *shape.as_list()))  # type: ignore[arg-type]
    values = [array.read(i) for i in places]
    first = shape_of_value(values[0])
    for i, v in enumerate(values):
        if shape_of_value(v) != first:
            raise InvalidArgumentError(
                f"TensorArray has inconsistent shapes. Index 0 has shape: {list(first)} but index {i} has shape: {list(shape_of_value(v))}"
            )
    return stack_values(values)


for _version in ("", "V2", "V3"):
    _register(_version)

grad_with_shape_op = op(
    "TensorArrayGradWithShape(handle: resource, flow_in: float, shape_to_prepend: int32) -> (grad_handle: resource, flow_out: float) !stateful; "
    "source: string"
).not_differentiable()
grad_with_shape_op.infer(lambda ctx: [TensorShape([]), TensorShape([])])


@grad_with_shape_op.kernel
def _(handle: Any, flow: Any, prepend: np.ndarray, *, source: bytes) -> Any:
    return _array(handle).gradient(source, tuple(prepend.tolist())), _FLOW


pack_op = op("TensorArrayPack(handle: ref(string), flow_in: float) -> (value: dtype); dtype: type; element_shape: shape = ?")
pack_op.infer(lambda ctx: TensorShape([None]).concatenate(ctx.attr("element_shape")))


@pack_op.kernel
def _(handle: Any, flow: Any, *, dtype: dtypes.DType, element_shape: TensorShape) -> Any:
    array = _array(handle)
    return _stacked(array, list(range(len(array.items))), dtype, element_shape)


unpack_op = op("TensorArrayUnpack(handle: ref(string), value: T, flow_in: float) -> (flow_out: float); T: type")
unpack_op.infer(_flow_shape)


@unpack_op.kernel
def _(handle: Any, value: np.ndarray, flow: Any) -> Any:
    array = _array(handle)
    for i in range(value.shape[0]):
        array.write(i, unwrap(as_array(value[i, ...])))
    return _FLOW
