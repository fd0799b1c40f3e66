"""Ops that pass their input on: identities, gradient stops, numeric and shape checks, and grouping. Assertions live in debugging.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer, nest
from tracer.dispatch import control_dependencies, executing_eagerly, raw
from tracer.errors import InvalidArgumentError, MissingGradientError, ShapeError
from tracer.object_arrays import shape_of_value
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, as_shape
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []


def _same(ctx: Any) -> Any:
    if ctx.handle(0) is not None:
        ctx.handle_data[0] = ctx.handle(0)
    return ctx.shape(0)


def _pass(x: Any) -> Any:
    return x


def _grad_through(node: Any, grad: Any) -> Any:
    return grad


for _text in (
    "Identity(input: T) -> (output: T); T: type",
    "DebugGradientIdentity(input: T) -> (output: T) !allows_uninitialized_input; T: type",
    "Snapshot(input: T) -> (output: T); T: type",
    "GuaranteeConst(input: T) -> (output: T) !stateful; T: type",
    "StopGradient(input: T) -> (output: T); T: type",
    "Copy(input: T) -> (output: T) !allows_uninitialized_input; T: type; tensor_name: string = ''; debug_ops_spec: list(string) = []",
    "CopyHost(input: T) -> (output: T) !allows_uninitialized_input; T: type; tensor_name: string = ''; debug_ops_spec: list(string) = []",
    "DebugIdentity(input: T) -> (output: T) !allows_uninitialized_input; T: type; device_name: string = ''; tensor_name: string = ''; "
    "debug_urls: list(string) = []; gated_grpc: bool = false",
    "DebugIdentityV2(input: T) -> (output: T) !stateful; T: type; tfdbg_context_id: string = ''; op_name: string = ''; output_slot: int = -1; "
    "tensor_debug_mode: int = -1; debug_urls: list(string) = []; circular_buffer_size: int = 1000; tfdbg_run_id: string = ''",
    "DebugIdentityV3(input: T) -> (output: T) !stateful !allows_uninitialized_input; T: type; device_name: string = ''; tensor_name: string = ''; "
    "io_of_node: string = ''; is_input: bool = false; io_index: int = -1; debug_urls: list(string) = []; gated_grpc: bool = false",
):
    _record = op(_text)
    _record.infer(_same)
    _record.kernel(_pass)
    if _record.name == "StopGradient":
        _record.not_differentiable()
    else:
        _record.gradient(_grad_through)

identity_n_op = op("IdentityN(input: T) -> (output: T); T: list(type) >= 1")


@identity_n_op.infer
def _(ctx: Any) -> Any:
    for i in range(len(ctx)):
        if ctx.handle(i) is not None:
            ctx.handle_data[i] = ctx.handle(i)
    return [ctx.shape(i) for i in range(len(ctx))]


@identity_n_op.kernel
def _(*xs: Any) -> Any:
    return xs


@identity_n_op.gradient
def _(node: Any, *grads: Any) -> Any:
    return grads


deep_copy_op = op("DeepCopy(x: T) -> (y: T) !stateful; T: type")
deep_copy_op.infer(_same)
deep_copy_op.kernel(lambda x: x.copy() if isinstance(x, np.ndarray) else x)

prevent_op = op('PreventGradient(input: T) -> (output: T); T: type; message: string = ""')
prevent_op.infer(_same)
prevent_op.kernel(_pass)


@prevent_op.gradient
def _(node: Any, grad: Any) -> Any:
    message = node.attr("message") or b""
    raise MissingGradientError(f"Gradient explicitly disabled. Reason: {message.decode(errors='replace')}")


# -- checks ----------------------------------------------------------------------------------------------------------


def _check_numerics(x: np.ndarray, *, message: bytes) -> np.ndarray:
    if np.isfinite(x).all():
        return x
    found = [text for text, hit in (("Inf", np.isinf(x).any()), ("NaN", np.isnan(x).any())) if hit]
    raise InvalidArgumentError(f"{message.decode(errors='replace')} : Tensor had {' and '.join(found)} values")


def _check_numerics_v2(x: np.ndarray, *, message: bytes) -> np.ndarray:
    if np.isfinite(x).all():
        return x
    infinite = np.isinf(x)
    found = [
        text
        for text, hit in (("-Inf", (infinite & (x < 0)).any()), ("+Inf", (infinite & (x > 0)).any()), ("NaN", np.isnan(x).any()))
        if hit
    ]
    text = found[0] if len(found) == 1 else ", ".join(found[:-1]) + (", and " if len(found) > 2 else " and ") + found[-1]
    raise InvalidArgumentError(f"{message.decode(errors='replace')} : Tensor had {text} values")


for _name, _check in (("CheckNumerics", _check_numerics), ("CheckNumericsV2", _check_numerics_v2)):
    _record = op(f"{_name}(tensor: T) -> (output: T) !stateful; T: {{bfloat16, half, float, double}}; message: string")
    _record.infer(infer.unchanged)
    _record.kernel(_check)

    @_record.gradient
    def _(node: Any, grad: Any, _op: str = _name) -> Any:
        note = "Not a number (NaN) or infinity (Inf) values detected in gradient. "
        message = (node.attr("message") or b"").decode(errors="replace")
        return getattr(raw, _op)(grad, message=note + message)


nan_count_op = op(
    "DebugNanCount(input: T) -> (output: int64) !allows_uninitialized_input; T: type; device_name: string = ''; tensor_name: string = ''; "
    "debug_urls: list(string) = []; gated_grpc: bool = false"
).not_differentiable()
nan_count_op.infer(lambda ctx: TensorShape([1]))
nan_count_op.kernel(lambda x: np.array([np.isnan(x).sum()], np.int64) if x.dtype.kind in "fcV" else np.zeros(1, np.int64))

ensure_shape_op = op("EnsureShape(input: T) -> (output: T); shape: shape; T: type")


@ensure_shape_op.infer
def _(ctx: Any) -> Any:
    return ctx.shape(0).merge_with(as_shape(ctx.attr("shape")))


@ensure_shape_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    wanted = as_shape(attrs["shape"])
    dims = None if wanted.rank is None else wanted.as_tuple()

    def kernel(x: Any) -> Any:
        found = shape_of_value(x)
        if dims is not None and found != dims:
            if len(found) != len(dims) or any(d is not None and d != f for d, f in zip(dims, found)):
                raise ShapeError(f"Shape of tensor {list(found)} is not compatible with expected shape {wanted}.")
        return x

    return kernel


@ensure_shape_op.gradient
def _(node: Any, grad: Any) -> Any:
    return grad


# -- public functions ------------------------------------------------------------------------------------------------


def _map(function: Any, value: Any) -> Any:
    spec = None if isinstance(value, Tensor) or getattr(value, "_is_variable", False) else getattr(value, "_type_spec", None)
    if getattr(spec, "is_composite_spec", False):
        return nest.map_structure(function, value, expand_composites=True)
    return function(value)


@public("identity")
def identity(input: Any, name: str | None = None) -> Any:
    """A tensor with the contents of `input`; of a variable, its value now."""

    def one(x: Any) -> Any:
        return raw.Identity(convert_to_tensor(x), name=name)

    return _map(one, input)


@public("identity_n")
def identity_n(input: Any, name: str | None = None) -> Any:
    """Tensors with the contents of the list `input`, as one op."""
    return raw.IdentityN([convert_to_tensor(x) for x in input], name=name)


@public("stop_gradient")
def stop_gradient(input: Any, name: str | None = None) -> Any:
    """`input`, constant in the eyes of gradients."""

    def one(x: Any) -> Any:
        return raw.StopGradient(convert_to_tensor(x), name=name)

    return _map(one, input)


@public("guarantee_const")
def guarantee_const(input: Any, name: str | None = None) -> Any:
    """`input`, promised not to change."""
    return raw.GuaranteeConst(convert_to_tensor(input), name=name)


@public("ensure_shape")
def ensure_shape(x: Any, shape: Any, name: str | None = None) -> Any:
    """`x` with static shape `shape` merged in, checked again when it runs.

    Raises:
        ValueError: the shapes contradict each other.
    """
    return raw.EnsureShape(convert_to_tensor(x), shape=as_shape(shape), name=name)


@public("debugging.check_numerics")
def check_numerics(tensor: Any, message: str, name: str | None = None) -> Any:
    """`tensor`, checked to hold no NaN and no infinity when it runs."""
    return raw.CheckNumerics(convert_to_tensor(tensor), message=message, name=name)


@public("group")
def group(*inputs: Any, **kwargs: Any) -> Any:
    """An op that is done when all `inputs` (nests of tensors and ops) are; None eagerly."""
    name = kwargs.pop("name", None)
    if kwargs:
        raise ValueError(f"Unknown keyword arguments: {', '.join(sorted(kwargs))}")
    if executing_eagerly():
        return None
    flat = [x for x in nest.flatten(list(inputs), expand_composites=True) if x is not None]
    with control_dependencies(flat):
        return raw.NoOp(name=name)


@public("tuple")
def tuple_(tensors: Any, control_inputs: Any = None, name: str | None = None) -> Any:
    """`tensors`, each available only after all of them (and `control_inputs`) are computed."""
    if executing_eagerly():
        return list(tensors)
    wait = [t for t in tensors if t is not None] + list(control_inputs or ())
    if not wait:
        raise InvalidArgumentError("tuple: expected at least one tensor that is not None, received none")
    with control_dependencies(wait):
        return [None if t is None else identity(t, name=name) for t in tensors]
