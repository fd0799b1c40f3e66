"""Variables: handles, reads, writes and scatters of resource variables, and the reference variables of TensorFlow 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, OutOfRangeError, ShapeError
from tracer.registry import op
from tracer.resources import current_manager
from tracer.shapes import TensorShape, unknown_shape
from tracer.variable import VariableResource

handle_op = op(
    'VarHandleOp() -> (resource: resource) !stateful; container: string = ""; shared_name: string = ""; debug_name: string = ""; '
    "dtype: type; shape: shape; allowed_devices: list(string) = []"
)


@handle_op.infer
def _(ctx: Any) -> Any:
    ctx.handle_data[0] = [(ctx.attr("dtype"), ctx.attr("shape"))]
    return TensorShape([])


@handle_op.kernel
def _(*, container: bytes, shared_name: bytes, dtype: Any, shape: Any) -> Any:
    return _lookup(container, shared_name, dtype, shape)


def _lookup(container: bytes, shared_name: bytes, dtype: Any, shape: Any) -> Any:
    name = shared_name.decode()
    if not name:
        return VariableResource(dtype, shape)
    return current_manager().get_or_create("variable", container.decode(), name, lambda: VariableResource(dtype, shape, name))


handle_op.not_differentiable()

read_op = op("ReadVariableOp(resource: resource) -> (value: dtype) !stateful; dtype: type")


@read_op.infer
def _(ctx: Any) -> Any:
    data = ctx.handle(0)
    return data[0][1] if data else unknown_shape()


@read_op.kernel
def _(resource: Any) -> Any:
    return resource.read()


@read_op.gradient
def _(node: Any, grad: Any) -> Any:
    return grad


assign_op = op(
    "AssignVariableOp(resource: resource, value: dtype) -> () !stateful; dtype: type; validate_shape: bool = false"
).not_differentiable()


@assign_op.kernel
def _(resource: Any, value: Any, *, validate_shape: bool) -> Any:
    if validate_shape and not resource.shape.is_compatible_with(value.shape):
        raise ShapeError(f"Trying to assign to variable with tensor with wrong shape. Expected {resource.shape} got {TensorShape(value.shape)}")
    resource.write(value)
    return ()


def _accumulate(name: str, function: Any) -> None:
    record = op(f"{name}(resource: resource, value: dtype) -> () !stateful; dtype: type").not_differentiable()

    def kernel(resource: Any, value: Any) -> Any:
        old = resource.read()
        if old.shape != value.shape:
            raise ShapeError(f"Cannot update variable with shape {list(old.shape)} using a Tensor with shape {list(value.shape)}, shapes must be equal.")
        new = function(old, value)
        resource.write(new if isinstance(new, np.ndarray) else np.asarray(new, old.dtype))
        return ()

    record.kernel(kernel)


_accumulate("AssignAddVariableOp", np.add)
_accumulate("AssignSubVariableOp", np.subtract)

initialized_op = op("VarIsInitializedOp(resource: resource) -> (is_initialized: bool) !stateful").not_differentiable()
initialized_op.infer(infer.scalar)
initialized_op.kernel(lambda resource: np.array(resource.is_initialized))

destroy_op = op("DestroyResourceOp(resource: resource) -> () !stateful; ignore_lookup_error: bool = true").not_differentiable()


@destroy_op.kernel
def _(resource: Any) -> Any:
    return ()


disable_copy_op = op("DisableCopyOnRead(resource: resource) -> () !stateful").not_differentiable()
disable_copy_op.kernel(lambda resource: ())

shape_op = op("VariableShape(input: resource) -> (output: out_type) !stateful; out_type: {int32, int64} = int32").not_differentiable()


@shape_op.infer
def _(ctx: Any) -> Any:
    data = ctx.handle(0)
    return TensorShape([data[0][1].rank if data else None])


@shape_op.kernel
def _(resource: Any, *, out_type: Any) -> Any:
    return np.array(resource.read().shape, out_type.numpy)


# -- gathers and scatters --------------------------------------------------------------------------------------------

gather_op = op(
    "ResourceGather(resource: resource, indices: Tindices) -> (output: dtype) !stateful; batch_dims: int = 0; "
    "validate_indices: bool = true; dtype: type; Tindices: {int32, int64}"
)


@gather_op.infer
def _(ctx: Any) -> Any:
    data = ctx.handle(0)
    if not data or data[0][1].rank is None or ctx.rank(1) is None:
        return unknown_shape()
    return ctx.shape(1).concatenate(data[0][1][1 + ctx.attr("batch_dims") :])


def check_indices(indices: Any, size: int) -> None:
    """Raise OutOfRangeError where an index lies outside of [0, size)."""
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        flat = np.flatnonzero((indices < 0) | (indices >= size))[0]
        where = ",".join(map(str, np.unravel_index(flat, indices.shape)))
        raise OutOfRangeError(f"indices[{where}] = {indices.reshape(-1)[flat]} is not in [0, {size})")


@gather_op.kernel
def _(resource: Any, indices: Any, *, batch_dims: int) -> Any:
    value = resource.read()
    if batch_dims:
        flat_value = value.reshape((-1, *value.shape[batch_dims:]))
        flat_indices = indices.reshape((flat_value.shape[0], *indices.shape[batch_dims:]))
        check_indices(indices, value.shape[batch_dims])
        rows = np.arange(flat_value.shape[0]).reshape((-1,) + (1,) * (flat_indices.ndim - 1))
        return flat_value[rows, flat_indices].reshape((*indices.shape, *value.shape[batch_dims + 1 :]))
    check_indices(indices, value.shape[0])
    return value.take(indices, axis=0)


@gather_op.gradient
def _(node: Any, grad: Any) -> Any:
    from tracer.composite import IndexedSlices

    handle, indices = node.inputs
    shape = raw.VariableShape(handle, out_type="int32")
    flat = raw.Reshape(indices, [-1])
    values_shape = raw.ConcatV2([raw.Size(indices, out_type="int32")[None], shape[1:]], 0)
    return [IndexedSlices(raw.Reshape(grad, values_shape), flat, shape), None]


gather_nd_op = op(
    "ResourceGatherNd(resource: resource, indices: Tindices) -> (output: dtype) !stateful; dtype: type; Tindices: {int32, int64}"
)


@gather_nd_op.infer
def _(ctx: Any) -> Any:
    data = ctx.handle(0)
    depth = ctx.shape(1)[-1] if ctx.rank(1) else None
    if not data or data[0][1].rank is None or depth is None:
        return unknown_shape()
    return ctx.shape(1)[:-1].concatenate(data[0][1][depth:])


@gather_nd_op.kernel
def _(resource: Any, indices: Any) -> Any:
    value = resource.read()
    for axis in range(indices.shape[-1]):
        check_indices(indices[..., axis], value.shape[axis])
    return value[tuple(np.moveaxis(indices, -1, 0))]


@gather_nd_op.gradient
def _(node: Any, grad: Any) -> Any:
    handle, indices = node.inputs
    shape = raw.VariableShape(handle, out_type=indices.dtype)
    return [raw.ScatterNd(indices, grad, shape), None]


def _update(old: Any, indices: Any, updates: Any) -> Any:
    old[indices] = updates
    return old


def _at(ufunc: Any) -> Any:
    def apply(old: Any, indices: Any, updates: Any) -> Any:
        ufunc.at(old, indices, updates)
        return old

    return apply


_SCATTERS = {
    "Add": _at(np.add), "Sub": _at(np.subtract), "Mul": _at(np.multiply), "Div": _at(np.divide), "Min": _at(np.minimum),
    "Max": _at(np.maximum), "Update": _update,
}  # fmt: skip


def _scatter(name: str, apply: Any) -> None:
    record = op(
        f"ResourceScatter{name}(resource: resource, indices: Tindices, updates: dtype) -> () !stateful; "
        "dtype: type; Tindices: {int32, int64}"
    ).not_differentiable()

    def kernel(resource: Any, indices: Any, updates: Any) -> Any:
        new = resource.read().copy()
        check_indices(indices, new.shape[0])
        resource.write(apply(new, indices, np.broadcast_to(updates, indices.shape + new.shape[1:])))
        return ()

    record.kernel(kernel)


def _scatter_nd(name: str, apply: Any) -> None:
    record = op(
        f"ResourceScatterNd{name}(ref: resource, indices: Tindices, updates: T) -> () !stateful; "
        "T: type; Tindices: {int32, int64}; use_locking: bool = true"
    ).not_differentiable()

    def kernel(resource: Any, indices: Any, updates: Any) -> Any:
        new = resource.read().copy()
        for axis in range(indices.shape[-1]):
            check_indices(indices[..., axis], new.shape[axis])
        resource.write(apply(new, tuple(np.moveaxis(indices, -1, 0)), updates))
        return ()

    record.kernel(kernel)


for _name, _apply in _SCATTERS.items():
    _scatter(_name, _apply)
for _name in ("Add", "Sub", "Min", "Max", "Update"):
    _scatter_nd(_name, _SCATTERS[_name])

strided_assign_op = op(
    "ResourceStridedSliceAssign(ref: resource, begin: Index, end: Index, strides: Index, value: T) -> () !stateful; T: type; "
    "Index: {int32, int64}; begin_mask: int = 0; end_mask: int = 0; ellipsis_mask: int = 0; new_axis_mask: int = 0; shrink_axis_mask: int = 0"
).not_differentiable()


@strided_assign_op.kernel
def _(
    resource: Any, begin: Any, end: Any, strides: Any, value: Any, *, begin_mask: int, end_mask: int, ellipsis_mask: int,
    new_axis_mask: int, shrink_axis_mask: int,
) -> Any:  # fmt: skip
    index = slice_index(begin, end, strides, begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask)
    new = resource.read().copy()
    new[index] = value
    resource.write(new)
    return ()


def slice_index(
    begin: Any, end: Any, strides: Any, begin_mask: int, end_mask: int, ellipsis_mask: int, new_axis_mask: int, shrink_axis_mask: int
) -> tuple[Any, ...]:
    """The NumPy index that a StridedSlice stands for."""
    index: list[Any] = []
    for i in range(len(begin)):
        bit = 1 << i
        if ellipsis_mask & bit:
            index.append(Ellipsis)
        elif new_axis_mask & bit:
            index.append(None)
        elif shrink_axis_mask & bit:
            index.append(int(begin[i]))
        else:
            index.append(slice(None if begin_mask & bit else int(begin[i]), None if end_mask & bit else int(end[i]), int(strides[i])))
    return tuple(index)


# -- reference variables (TensorFlow 1): the value of a ref tensor is its VariableResource ---------------------------

for _line in (
    'VariableV2() -> (ref: ref(dtype)) !stateful; shape: shape; dtype: type; container: string = ""; shared_name: string = ""',
    'Variable() -> (ref: ref(dtype)) !stateful; shape: shape; dtype: type; container: string = ""; shared_name: string = ""',
    'TemporaryVariable() -> (ref: ref(dtype)) !stateful; shape: shape; dtype: type; var_name: string = ""',
):
    _record = op(_line).not_differentiable()
    _record.infer(infer.from_attr("shape"))

    def _make(attrs: dict[str, Any]) -> Any:
        name = attrs.get("shared_name") or attrs.get("var_name") or b""
        container = attrs.get("container", b"")
        return lambda: _lookup(container, name, attrs["dtype"], attrs["shape"])

    _record.prepare(_make)


def deref(value: Any) -> Any:
    """The array behind a ref tensor, or the array itself."""
    return value.read() if isinstance(value, VariableResource) else value


def _ref_op(text: str, apply: Any) -> None:
    record = op(text).not_differentiable()
    record.infer(infer.like_input(0))
    record.kernel(apply)


def _assign_ref(ref: Any, value: Any, *, validate_shape: bool) -> Any:
    value = deref(value)
    if validate_shape and not ref.shape.is_compatible_with(value.shape):
        raise InvalidArgumentError(
            f"Assign requires shapes of both tensors to match. lhs shape= {ref.shape} rhs shape= {TensorShape(value.shape)}"
        )
    ref.write(value)
    return ref


_ref_op(
    "Assign(ref: ref(T), value: T) -> (output_ref: ref(T)) !allows_uninitialized_input; T: type; validate_shape: bool = true; "
    "use_locking: bool = true",
    _assign_ref,
)


def _ref_accumulate(function: Any) -> Any:
    def kernel(ref: Any, value: Any) -> Any:
        ref.write(np.asarray(function(ref.read(), deref(value))))
        return ref

    return kernel


for _name, _function in (("AssignAdd", np.add), ("AssignSub", np.subtract)):
    _ref_op(f"{_name}(ref: ref(T), value: T) -> (output_ref: ref(T)); T: type; use_locking: bool = false", _ref_accumulate(_function))


def _ref_scatter(apply: Any) -> Any:
    def kernel(ref: Any, indices: Any, updates: Any) -> Any:
        new = ref.read().copy()
        check_indices(indices, new.shape[0])
        ref.write(apply(new, indices, updates))
        return ref

    return kernel


for _name, _apply in _SCATTERS.items():
    _ref_op(
        f"Scatter{_name}(ref: ref(T), indices: Tindices, updates: T) -> (output_ref: ref(T)); T: type; Tindices: {{int32, int64}}; "
        f"use_locking: bool = {'true' if _name == 'Update' else 'false'}",
        _ref_scatter(_apply),
    )

ref_initialized_op = op(
    "IsVariableInitialized(ref: ref(dtype)) -> (is_initialized: bool) !allows_uninitialized_input; dtype: type"
).not_differentiable()
ref_initialized_op.infer(infer.scalar)
ref_initialized_op.kernel(lambda ref: np.array(ref.is_initialized))

count_up_op = op("CountUpTo(ref: ref(T)) -> (output: T); limit: int; T: {int32, int64}").not_differentiable()


@count_up_op.kernel
def _(ref: Any, *, limit: int) -> Any:
    old = ref.read()
    if old >= limit:
        raise OutOfRangeError(f"Reached limit of {limit}")
    ref.write(np.asarray(old + 1, old.dtype))
    return old
