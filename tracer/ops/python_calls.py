"""Calls of Python from graphs: py_function and numpy_function, by a token that only this process knows. It refuses tokens it did not make.

A graph that was loaded from disk can never name a Python function: tokens are random, and the table of functions is never saved.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, nest
from tracer.errors import InvalidArgumentError
from tracer.public import public
from tracer.registry import get_op, op
from tracer.shapes import unknown_shape
from tracer.tensor import Tensor, convert_to_tensor, make_eager

_FUNCTIONS: dict[bytes, tuple[Callable[..., Any], Any]] = {}


def _function_of(token: Any) -> tuple[Callable[..., Any], Any]:
    found = _FUNCTIONS.get(token if isinstance(token, bytes) else str(token).encode())
    if found is None:
        raise InvalidArgumentError(
            f"Python callback {token!r} is not known in this process: a graph that calls Python works only in the program that traced "
            f"it. Trace the function again here, or replace tf.py_function by ops"
        )
    return found


def _as_arrays(result: Any, wanted: list[Any], what: str) -> list[Any]:
    flat = [] if result is None and not wanted else [result] if not isinstance(result, (list, tuple)) else list(nest.flatten(result))
    if len(flat) != len(wanted) and len(wanted) == 1:
        flat = [result]
    if len(flat) != len(wanted):
        raise InvalidArgumentError(f"{what}: the function returned {len(flat)} values, expected {len(wanted)} (Tout={[d.name for d in wanted]})")
    return [convert_to_tensor(v, d)._value for v, d in zip(flat, wanted, strict=True)]


def _numpy_kernel(attrs: dict[str, Any]) -> Any:
    func, _ = _function_of(attrs["token"])
    wanted = list(attrs["Tout"])

    def run(*arrays: Any) -> Any:
        with dispatch.init_scope():
            return _as_arrays(func(*[a.copy() if a.ndim else a[()] for a in arrays]), wanted, "tf.numpy_function")

    return run


def _eager_kernel(attrs: dict[str, Any]) -> Any:
    func, types = _function_of(attrs["token"])
    wanted = list(attrs["Tout"])

    def run(*arrays: Any) -> Any:
        with dispatch.init_scope():
            args = [make_eager(a, d) for a, d in zip(arrays, types, strict=True)]
            return _as_arrays(func(*args), wanted, "tf.py_function")

    return run


for _name, _flag, _extra, _prepare in (
    ("PyFunc", " !stateful", "", _numpy_kernel),
    ("PyFuncStateless", "", "", _numpy_kernel),
    ("EagerPyFunc", " !stateful", " is_async: bool = false;", _eager_kernel),
):
    _record = op(f"{_name}(input: Tin) -> (output: Tout){_flag}; token: string;{_extra} Tin: list(type) >= 0; Tout: list(type) >= 0")
    _record.infer(lambda ctx: [unknown_shape() for _ in ctx.output_dtypes])
    _record.prepare(_prepare)
    _record.allows_python = True


def _eager_gradient(node: Any, *grads: Any) -> list[Any]:
    """The gradient runs the function again under a tape, in Python too."""
    func, _ = _function_of(node.attr("token"))
    count = len(node.inputs)

    def backward(*values: Any) -> list[Any]:
        from tracer.tape import GradientTape

        inputs, out_grads = list(values[:count]), list(values[count:])
        with GradientTape() as tape:
            tape.watch(inputs)
            result = func(*inputs)
        outputs = [convert_to_tensor(r) for r in (nest.flatten(result) if isinstance(result, (list, tuple)) else [result])]
        found = tape.gradient(outputs, inputs, output_gradients=out_grads, unconnected_gradients="zero")
        return [g if g is not None else np.zeros(i.shape.as_list(), i.dtype.numpy) for g, i in zip(found, inputs, strict=True)]

    got = call_python(backward, [*node.inputs, *grads], [t.dtype for t in node.inputs], "EagerPyFunc")
    return [g if t.dtype.kind in "fc" else None for g, t in zip(got, node.inputs, strict=True)]


get_op("EagerPyFunc").gradient(_eager_gradient)
get_op("PyFunc").not_differentiable()
get_op("PyFuncStateless").not_differentiable()


def call_python(func: Callable[..., Any], inputs: list[Any], wanted: list[Any], op_name: str, name: str | None = None) -> list[Any]:
    """Call `func` on flat tensors, now or as a node. Returns flat tensors of dtypes `wanted`."""
    types = [t.dtype.base_dtype for t in inputs]
    token = b"pyfunc_" + secrets.token_hex(12).encode()
    _FUNCTIONS[token] = (func, types)
    try:
        return list(dispatch.bind(get_op(op_name), inputs, {"token": token, "Tin": types, "Tout": wanted}, name))
    finally:
        if dispatch.executing_eagerly() and not dispatch.context.tapes:
            del _FUNCTIONS[token]


def _call(func: Any, inp: Any, types: Any, op_name: str, name: str | None) -> Any:
    if not callable(func):
        raise InvalidArgumentError(f"Argument `func` must be a callable. Received func={func!r}")
    inputs = [convert_to_tensor(x) for x in nest.flatten(inp if inp is not None else [])]
    single = not isinstance(types, (list, tuple))
    wanted = [] if types is None else [dtypes.as_dtype(getattr(t, "dtype", t)) for t in ([types] if single else types)]
    specs = [] if types is None else [types] if single else list(types)
    out = call_python(func, inputs, wanted, op_name, name)
    for t, spec in zip(out, specs, strict=True):
        if hasattr(spec, "shape") and isinstance(t, Tensor):
            t.set_shape(spec.shape)
    if single:
        return out[0] if out else None
    return out


@public("py_function")
def py_function(func: Any = None, inp: Any = None, Tout: Any = None, name: str | None = None) -> Any:
    """Call Python `func` with tensors; results are converted to `Tout`, a dtype (or spec) or list of them. Differentiable.

    A function that holds such a call runs in this process only, and cannot be saved.
    """
    return _call(func, inp, Tout, "EagerPyFunc", name)


@public("numpy_function")
def numpy_function(func: Any = None, inp: Any = None, Tout: Any = None, stateful: bool = True, name: str | None = None) -> Any:
    """Call Python `func` with NumPy arrays; results are converted to `Tout`, a dtype (or spec) or list of them. No gradient."""
    return _call(func, inp, Tout, "PyFunc" if stateful else "PyFuncStateless", name)
