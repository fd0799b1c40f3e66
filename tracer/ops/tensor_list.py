"""TensorList…: immutable lists of tensors inside variants. The value class lives in tracer/tensor_lists.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.object_arrays import as_array, shape_of_value, unwrap
from tracer.public import tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor_lists import TensorList, zeros_of

__all__: list[str] = []

_SHAPE = "shape_type: {int32, int64}"


def _shape_from(value: np.ndarray) -> TensorShape:
    """The element shape that a tensor of sizes tells: the scalar -1 is an unknown rank."""
    if value.ndim == 0:
        if int(value) != -1:
            raise InvalidArgumentError(f"The only valid scalar shape tensor is the fully unknown shape specified as -1, received {int(value)}")
        return unknown_shape()
    return TensorShape([None if d < 0 else int(d) for d in value.tolist()])


def _list(value: Any) -> TensorList:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(())[()]
    if not isinstance(value, TensorList):
        raise InvalidArgumentError(f"Input handle is not a list. Saw: {type(value).__name__!r}: expected the variant of a TensorList op")
    return value


def _element(ctx: Any, i: int) -> TensorShape:
    """The element shape that list input `i` is known to have."""
    data = ctx.handle(i)
    return data[0][1] if data else unknown_shape()


def _wanted(ctx: Any, i: int) -> TensorShape:
    """The element shape given in input `i`."""
    value = ctx.value(i)
    if value is not None:
        return _shape_from(value)
    return ctx.value_as_shape(i) if ctx.rank(i) == 1 else unknown_shape()


def _merged(a: TensorShape, b: TensorShape) -> TensorShape:
    return a.merge_with(b) if a.is_compatible_with(b) else unknown_shape()


def _made(ctx: Any, shape: TensorShape, dtype: Any = None, output: int = 0) -> TensorShape:
    """Note what the list in `output` holds; its own shape is a scalar."""
    ctx.handle_data[output] = [(dtype or ctx.attr("element_dtype"), shape)]
    return TensorShape([])


def _same_list(ctx: Any) -> Any:
    if ctx.handle(0) is not None:
        ctx.handle_data[0] = ctx.handle(0)
    return TensorShape([])


# -- making lists ----------------------------------------------------------------------------------------------------

empty_op = op(f"EmptyTensorList(element_shape: shape_type, max_num_elements: int32) -> (handle: variant); element_dtype: type; {_SHAPE}")
empty_op.infer(lambda ctx: _made(ctx, _wanted(ctx, 0)))


@empty_op.kernel
def _(element_shape: np.ndarray, limit: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    if limit.ndim:
        raise InvalidArgumentError(f"max_num_elements expected to be a scalar but got shape {list(limit.shape)}")
    return TensorList(element_dtype, _shape_from(element_shape), (), int(limit))


reserve_op = op(f"TensorListReserve(element_shape: shape_type, num_elements: int32) -> (handle: variant); element_dtype: type; {_SHAPE}")
reserve_op.infer(lambda ctx: _made(ctx, _wanted(ctx, 0)))


@reserve_op.kernel
def _(element_shape: np.ndarray, size: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    count = int(size.reshape(())[()]) if size.size == 1 else -1
    if count < 0:
        raise InvalidArgumentError(f"The num_elements to reserve must be a non negative number, but got {size.tolist()}")
    return TensorList(element_dtype, _shape_from(element_shape), [None] * count)


from_tensor_op = op(f"TensorListFromTensor(tensor: element_dtype, element_shape: shape_type) -> (output_handle: variant); element_dtype: type; {_SHAPE}")


@from_tensor_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    inner = shape[1:] if shape.rank is not None else unknown_shape()
    return _made(ctx, _merged(inner, _wanted(ctx, 1)))


def _pieces(x: np.ndarray) -> list[Any]:
    """The slices of `x` along axis 0, as kernel values."""
    return list(x) if x.ndim > 1 else [unwrap(as_array(x[i, ...])) for i in range(len(x))]


@from_tensor_op.kernel
def _(x: Any, element_shape: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    x = as_array(x)
    if x.ndim < 1:
        raise InvalidArgumentError("Tensor must be at least a vector, but saw shape: []")
    wanted = _shape_from(element_shape)
    if not wanted.is_compatible_with(x.shape[1:]):
        raise InvalidArgumentError(f"Specified a list with shape {wanted} from a tensor with shape {list(x.shape)}")
    return TensorList(element_dtype, wanted, _pieces(x))


@from_tensor_op.gradient
def _(node: Any, dlist: Any) -> Any:
    x = node.inputs[0]
    known = x.shape[0] if x.shape.rank is not None else None
    return raw.TensorListStack(dlist, tf.shape(x)[1:], element_dtype=x.dtype, num_elements=-1 if known is None else known), None


# -- single elements -------------------------------------------------------------------------------------------------

push_op = op("TensorListPushBack(input_handle: variant, tensor: element_dtype) -> (output_handle: variant); element_dtype: type")
push_op.infer(lambda ctx: _made(ctx, _element(ctx, 0)))


@push_op.kernel
def _(handle: Any, item: Any, *, element_dtype: dtypes.DType) -> Any:
    found = _list(handle)
    found.check_dtype(element_dtype, "push onto")
    found.check_item(item, "append")
    if len(found) == found.max_num_elements:
        raise InvalidArgumentError(f"Tried to push item into a full list list size: {len(found)} max_num_elements: {found.max_num_elements}")
    return found.push_back(item)


@push_op.gradient
def _(node: Any, dlist: Any) -> Any:
    item = node.inputs[1]
    return tuple(raw.TensorListPopBack(dlist, tf.shape(item), element_dtype=item.dtype))


pop_op = op(
    "TensorListPopBack(input_handle: variant, element_shape: int32) -> (output_handle: variant, tensor: element_dtype); element_dtype: type"
)


@pop_op.infer
def _(ctx: Any) -> Any:
    shape = _element(ctx, 0)
    return [_made(ctx, shape), _merged(shape, _wanted(ctx, 1))]


@pop_op.kernel
def _(handle: Any, element_shape: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    found = _list(handle)
    found.check_dtype(element_dtype, "pop from")
    if not len(found):
        raise InvalidArgumentError("Trying to pop from an empty list.")
    rest, item = found.pop_back()
    return rest, found.zeros(_shape_from(element_shape)) if item is None else item


@pop_op.gradient
def _(node: Any, dlist: Any, ditem: Any) -> Any:
    return raw.TensorListPushBack(dlist, ditem, element_dtype=node.attr("element_dtype")), None


get_op = op("TensorListGetItem(input_handle: variant, index: int32, element_shape: int32) -> (item: element_dtype); element_dtype: type")


@get_op.infer
def _(ctx: Any) -> Any:
    if ctx.attr("element_dtype").kind == "v" and ctx.handle(0) is not None and len(ctx.handle(0)) > 1:
        ctx.handle_data[0] = ctx.handle(0)[1:]
    return _merged(_element(ctx, 0), _wanted(ctx, 2))


@get_op.kernel
def _(handle: Any, index: np.ndarray, element_shape: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    found, i = _list(handle), int(index)
    found.check_dtype(element_dtype, "read")
    if not 0 <= i < len(found):
        raise InvalidArgumentError(f"Trying to access element {i} in a list with {len(found)} elements.")
    item = found._buffer[i]
    if item is None:
        return found.zeros(found.known_shape(_shape_from(element_shape)))
    if not _shape_from(element_shape).is_compatible_with(shape_of_value(item)):
        raise ShapeError(f"Expected shape {_shape_from(element_shape)} but got {list(shape_of_value(item))} for element {i} of the list")
    return item


def _element_shape_of(handle: Any) -> Any:
    return raw.TensorListElementShape(handle, shape_type=dtypes.int32)


@get_op.gradient
def _(node: Any, ditem: Any) -> Any:
    handle, index, _ = node.inputs
    dtype = node.attr("element_dtype")
    zeros = raw.TensorListReserve(_element_shape_of(handle), raw.TensorListLength(handle), element_dtype=dtype)
    return raw.TensorListSetItem(zeros, index, ditem, element_dtype=dtype), None, None


set_op = op(
    "TensorListSetItem(input_handle: variant, index: int32, item: element_dtype) -> (output_handle: variant); element_dtype: type; "
    "resize_if_index_out_of_bounds: bool = false"
)


@set_op.infer
def _(ctx: Any) -> Any:
    inner = getattr(ctx.inputs[2], "handle_data", None) if ctx.attr("element_dtype").kind == "v" else None
    out = _made(ctx, _merged(_element(ctx, 0), unknown_shape()))
    if inner:
        ctx.handle_data[0] = [*ctx.handle_data[0], *inner]
    return out


@set_op.kernel
def _(handle: Any, index: np.ndarray, item: Any, *, element_dtype: dtypes.DType, resize_if_index_out_of_bounds: bool) -> Any:
    found, i = _list(handle), int(index)
    found.check_dtype(element_dtype, "write")
    if i >= len(found) and resize_if_index_out_of_bounds:
        found = found.resize(i + 1)
    if not 0 <= i < len(found):
        raise InvalidArgumentError(f"Trying to modify element {i} in a list with {len(found)} elements.")
    found.check_item(item, "set")
    return found.set_item(i, item)


@set_op.gradient
def _(node: Any, dlist: Any) -> Any:
    _, index, item = node.inputs
    dtype = node.attr("element_dtype")
    rest = raw.TensorListSetItem(dlist, index, tf.zeros_like(item), element_dtype=dtype)
    if node.attr("resize_if_index_out_of_bounds"):
        rest = raw.TensorListResize(rest, raw.TensorListLength(node.inputs[0]))
    return rest, None, raw.TensorListGetItem(dlist, index, tf.shape(item), element_dtype=dtype)


# -- whole lists -----------------------------------------------------------------------------------------------------

length_op = op("TensorListLength(input_handle: variant) -> (length: int32)").not_differentiable()
length_op.infer(lambda ctx: TensorShape([]))
length_op.kernel(lambda handle: np.array(len(_list(handle)), np.int32))

element_shape_op = op(f"TensorListElementShape(input_handle: variant) -> (element_shape: shape_type); {_SHAPE}").not_differentiable()


@element_shape_op.infer
def _(ctx: Any) -> Any:
    shape = _element(ctx, 0)
    return unknown_shape() if shape.rank is None else TensorShape([shape.rank])


@element_shape_op.kernel
def _(handle: Any, *, shape_type: dtypes.DType) -> Any:
    shape = _list(handle).element_shape
    if shape.rank is None:
        return np.array(-1, shape_type.numpy)
    return np.array([-1 if d is None else d for d in shape], shape_type.numpy)


resize_op = op("TensorListResize(input_handle: variant, size: int32) -> (output_handle: variant)")
resize_op.infer(_same_list)


@resize_op.kernel
def _(handle: Any, size: np.ndarray) -> Any:
    if int(size) < 0:
        raise InvalidArgumentError(f"TensorListSlice expects size to be non-negative. Got: {int(size)}")
    return _list(handle).resize(int(size))


@resize_op.gradient
def _(node: Any, dlist: Any) -> Any:
    return raw.TensorListResize(dlist, raw.TensorListLength(node.inputs[0])), None


stack_op = op("TensorListStack(input_handle: variant, element_shape: int32) -> (tensor: element_dtype); element_dtype: type; num_elements: int = -1")


@stack_op.infer
def _(ctx: Any) -> Any:
    count = ctx.attr("num_elements")
    return TensorShape([None if count < 0 else count]).concatenate(_merged(_element(ctx, 0), _wanted(ctx, 1)))


@stack_op.kernel
def _(handle: Any, element_shape: np.ndarray, *, element_dtype: dtypes.DType, num_elements: int) -> Any:
    found = _list(handle)
    found.check_dtype(element_dtype, "stack")
    if num_elements != -1 and len(found) != num_elements:
        raise InvalidArgumentError(f"Operation expected a list with {num_elements} elements but got a list with {len(found)} elements.")
    return found.stack(_shape_from(element_shape))


@stack_op.gradient
def _(node: Any, grad: Any) -> Any:
    shape = grad.shape
    if shape.rank is not None and shape[1:].is_fully_defined():
        inner: Any = tf.constant(np.array(shape[1:].as_list(), np.int32))
    else:
        inner = _element_shape_of(node.inputs[0]) if shape.rank is None else tf.shape(grad)[1:]
    return raw.TensorListFromTensor(grad, inner, element_dtype=grad.dtype), None


def _concat(found: TensorList, element_shape: TensorShape, leading: Sequence[int]) -> Any:
    """All elements joined along axis 0, and their lengths; unset ones take theirs from `leading`."""
    inner = unknown_shape() if element_shape.rank is None else element_shape[1:]
    if found.element_shape.rank is not None:
        inner = inner.merge_with(found.element_shape[1:])
    for item in found.items:
        if item is not None:
            if np.ndim(item) < 1:
                raise InvalidArgumentError("Concat saw a scalar shape at index 0 but requires at least vectors.")
            inner = inner.merge_with(item.shape[1:])
    lengths, parts = [], []
    position = 0
    for item in found.items:
        if item is None:
            first = leading[position] if position < len(leading) else element_shape[0] if element_shape.rank is not None else None
            position += 1
            if first is None or not inner.is_fully_defined():
                raise ShapeError(f"Concat requires a fully known shape for unset elements, received {inner} and leading_dims {list(leading)}")
            item = zeros_of(found.element_dtype, (int(first), *inner.as_list()))  # type: ignore[arg-type]
        parts.append(item)
        lengths.append(item.shape[0])
    if not parts:
        if not inner.is_fully_defined():
            raise ShapeError(f"All except the first dimension must be fully defined when concating an empty tensor list. element_shape: {element_shape}")
        parts = [zeros_of(found.element_dtype, (0, *inner.as_list()))]  # type: ignore[arg-type]
    return np.concatenate(parts), np.array(lengths, np.int64)


def _concat_grad(node: Any, grad: Any, _lengths: Any) -> Any:
    dlist = raw.TensorListSplit(grad, _element_shape_of(node.inputs[0]), node.outputs[1], element_dtype=grad.dtype)
    return [dlist, *[None] * (len(node.inputs) - 1)]


concat_op = op("TensorListConcat(input_handle: variant) -> (tensor: element_dtype, lengths: int64); element_dtype: type; element_shape: shape = ?")


def _concat_shapes(shape: TensorShape) -> list[TensorShape]:
    return [unknown_shape() if shape.rank is None else TensorShape([None]).concatenate(shape[1:]), unknown_shape(1)]


concat_op.infer(lambda ctx: _concat_shapes(_merged(_element(ctx, 0), ctx.attr("element_shape"))))
concat_op.kernel(lambda handle, *, element_shape: _concat(_list(handle), element_shape, ()))
concat_op.gradient(_concat_grad)

concat_v2_op = op(
    "TensorListConcatV2(input_handle: variant, element_shape: shape_type, leading_dims: int64) -> (tensor: element_dtype, lengths: int64); "
    f"element_dtype: type; {_SHAPE}"
)
concat_v2_op.infer(lambda ctx: _concat_shapes(_merged(_element(ctx, 0), _wanted(ctx, 1))))
concat_v2_op.kernel(lambda handle, shape, leading: _concat(_list(handle), _shape_from(shape), leading.tolist()))
concat_v2_op.gradient(_concat_grad)

split_op = op(
    f"TensorListSplit(tensor: element_dtype, element_shape: shape_type, lengths: int64) -> (output_handle: variant); element_dtype: type; {_SHAPE}"
)


@split_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    inner = TensorShape([None]).concatenate(shape[1:]) if shape.rank is not None else unknown_shape()
    return _made(ctx, _merged(inner, _wanted(ctx, 1)))


@split_op.kernel
def _(x: np.ndarray, element_shape: np.ndarray, lengths: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    if x.ndim < 1:
        raise InvalidArgumentError("Tensor must be at least a vector, but saw shape: []")
    if lengths.ndim != 1:
        raise InvalidArgumentError(f"Expected lengths to be a vector, received shape: {list(lengths.shape)}")
    sizes = lengths.tolist()
    if any(s < 0 for s in sizes):
        raise InvalidArgumentError(f"Invalid value in lengths: {min(sizes)}")
    if sum(sizes) != x.shape[0]:
        raise InvalidArgumentError(f"Unused values in tensor. Length of tensor: {x.shape[0]} Values used: {sum(sizes)}")
    wanted = _shape_from(element_shape)
    if wanted.rank is not None and not wanted[1:].is_compatible_with(x.shape[1:]):
        raise InvalidArgumentError(f"tensor shape {list(x.shape)} is not compatible with element_shape {wanted}")
    items, start = [], 0
    for s in sizes:
        items.append(x[start : start + s])
        start += s
    return TensorList(element_dtype, wanted, items)


@split_op.gradient
def _(node: Any, dlist: Any) -> Any:
    x, _, lengths = node.inputs
    shape = tf.concat([tf.constant([-1]), tf.shape(x)[1:]], 0)
    return raw.TensorListConcatV2(dlist, shape, lengths, element_dtype=x.dtype)[0], None, None


gather_op = op(
    "TensorListGather(input_handle: variant, indices: int32, element_shape: int32) -> (values: element_dtype); element_dtype: type"
)
gather_op.infer(lambda ctx: _leading(ctx.shape(1)).concatenate(_merged(_element(ctx, 0), _wanted(ctx, 2))))


def _leading(shape: TensorShape) -> TensorShape:
    return TensorShape([shape[0] if shape.rank == 1 else None])


@gather_op.kernel
def _(handle: Any, indices: np.ndarray, element_shape: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    found = _list(handle)
    found.check_dtype(element_dtype, "gather from")
    places = np.ravel(indices).tolist()
    for i in places:
        if not 0 <= i < len(found):
            raise InvalidArgumentError(f"Index {i} out o range; list only has {len(found)} elements.")
    return found.gather(places, _shape_from(element_shape))


@gather_op.gradient
def _(node: Any, grad: Any) -> Any:
    handle, indices, _ = node.inputs
    size = raw.TensorListLength(handle)
    return raw.TensorListScatterV2(grad, indices, tf.shape(grad)[1:], size, element_dtype=grad.dtype), None, None


def _scattered(x: np.ndarray, indices: np.ndarray, into: TensorList) -> TensorList:
    """`into` (grown as needed) with row i of `x` as element `indices[i]`."""
    places = np.ravel(indices).tolist()
    if x.ndim < 1 or x.shape[0] < len(places):
        raise InvalidArgumentError(f"Trying to scatter {len(places)} elements, but the tensor has shape {list(x.shape)}")
    if any(p < 0 for p in places):
        raise InvalidArgumentError(f"Indices in TensorListScatter must all be non-negative, received {min(places)}")
    if places and max(places) >= len(into):
        into = into.resize(max(places) + 1)
    items = list(into.items)
    for place, item in zip(places, _pieces(x)):
        into.check_item(item, "scatter")
        items[place] = item
    return into.with_items(items)


def _scatter_grad(node: Any, dlist: Any) -> Any:
    x, indices = node.inputs[0], node.inputs[1]
    picked = raw.TensorListGather(dlist, indices, tf.shape(x)[1:], element_dtype=x.dtype)
    return [picked, *[None] * (len(node.inputs) - 1)]


scatter_op = op(
    f"TensorListScatter(tensor: element_dtype, indices: int32, element_shape: shape_type) -> (output_handle: variant); element_dtype: type; {_SHAPE}"
)
scatter_op.infer(lambda ctx: _made(ctx, _wanted(ctx, 2)))


@scatter_op.kernel
def _(x: np.ndarray, indices: np.ndarray, shape: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    return _scattered(x, indices, TensorList(element_dtype, _shape_from(shape)))


scatter_op.gradient(_scatter_grad)

scatter_v2_op = op(
    "TensorListScatterV2(tensor: element_dtype, indices: int32, element_shape: shape_type, num_elements: int32) -> (output_handle: variant); "
    f"element_dtype: type; {_SHAPE}"
)
scatter_v2_op.infer(lambda ctx: _made(ctx, _wanted(ctx, 2)))


@scatter_v2_op.kernel
def _(x: np.ndarray, indices: np.ndarray, shape: np.ndarray, count: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    size = int(count)
    if size < -1:
        raise InvalidArgumentError(f"TensorListScatter expects num_elements >= -1, found: {size}")
    if size >= 0 and indices.size and int(indices.max()) >= size:
        raise InvalidArgumentError(f"TensorListScatter: Trying to scatter at index {int(indices.max())} in list with size {size}")
    return _scattered(x, indices, TensorList(element_dtype, _shape_from(shape), [None] * max(size, 0)))


scatter_v2_op.gradient(_scatter_grad)

scatter_into_op = op(
    "TensorListScatterIntoExistingList(input_handle: variant, tensor: element_dtype, indices: int32) -> (output_handle: variant); element_dtype: type"
)
scatter_into_op.infer(lambda ctx: _made(ctx, _element(ctx, 0)))


@scatter_into_op.kernel
def _(handle: Any, x: np.ndarray, indices: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    found = _list(handle)
    found.check_dtype(element_dtype, "scatter into")
    return _scattered(x, indices, found)


@scatter_into_op.gradient
def _(node: Any, dlist: Any) -> Any:
    _, x, indices = node.inputs
    picked = raw.TensorListGather(dlist, indices, tf.shape(x)[1:], element_dtype=x.dtype)
    rest = raw.TensorListScatterIntoExistingList(dlist, tf.zeros_like(x), indices, element_dtype=x.dtype)
    return rest, picked, None


# -- batches of lists ------------------------------------------------------------------------------------------------

concat_lists_op = op(
    "TensorListConcatLists(input_a: variant, input_b: variant) -> (output: variant); element_dtype: type"
).not_differentiable()


@concat_lists_op.infer
def _(ctx: Any) -> Any:
    _same_list(ctx)
    return ctx.shape(0).merge_with(ctx.shape(1))


@concat_lists_op.kernel
def _(a: Any, b: Any, *, element_dtype: dtypes.DType) -> Any:
    left, right = as_array(a), as_array(b)
    if left.shape != right.shape:
        raise InvalidArgumentError(f"Incompatible input TensorList tensor shapes: {list(left.shape)} vs. {list(right.shape)}")
    out = np.empty(left.shape, object)
    for i in np.ndindex(left.shape):
        x, y = _list(left[i]), _list(right[i])
        x.check_dtype(element_dtype, "concatenate")
        y.check_dtype(element_dtype, "concatenate")
        out[i] = TensorList(element_dtype, x.element_shape.merge_with(y.element_shape), [*x.items, *y.items], x.max_num_elements)
    return unwrap(out)


push_batch_op = op(
    "TensorListPushBackBatch(input_handles: variant, tensor: element_dtype) -> (output_handles: variant); element_dtype: type"
).not_differentiable()


@push_batch_op.infer
def _(ctx: Any) -> Any:
    _same_list(ctx)
    return ctx.shape(0)


@push_batch_op.kernel
def _(handles: Any, x: np.ndarray, *, element_dtype: dtypes.DType) -> Any:
    lists = as_array(handles)
    if x.shape[: lists.ndim] != lists.shape:
        raise InvalidArgumentError(f"Incompatible shapes: the handles are {list(lists.shape)}, the tensor {list(x.shape)}")
    out = np.empty(lists.shape, object)
    for i in np.ndindex(lists.shape):
        found = _list(lists[i])
        found.check_dtype(element_dtype, "push onto")
        item = x[(*i, ...)]
        found.check_item(item, "append")
        out[i] = found.push_back(item)
    return unwrap(out)
