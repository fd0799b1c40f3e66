"""bind: the one place that decides whether an op runs now or becomes a node, and that tells the tapes. It refuses to know any op.

`raw.MatMul(a=x, b=y, transpose_a=True)` calls any op by name, eagerly or while tracing. Python values are converted: an argument
whose type attr is already fixed by another tensor takes that dtype.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tracer import registry
from tracer import tensor as tensors
from tracer.dtypes import DType
from tracer.errors import DTypeError, InvalidArgumentError, SavedModelError, SymbolicTensorError
from tracer.registry import Op
from tracer.schema import OpSchema, coerce_attr

__all__ = ["bind", "control_dependencies", "current_graph", "executing_eagerly", "init_scope", "name_scope", "raw"]


class _Context(threading.local):
    """What the calling thread is doing: the graph being traced, the tapes that listen, the eager name scope."""

    def __init__(self) -> None:
        self.graph: Any = None  # FuncGraph being traced, None: eager
        self.trace: Any = None  # the innermost FuncGraph being traced, also inside of init_scope
        self.tapes: tuple[Any, ...] = ()
        self.scope = ""
        # what stands for tensors of graphs that were copied, while a custom gradient is traced: see tracing.copy_nodes
        self.aliases: tuple[Any, ...] = ()


context = _Context()


def current_graph() -> Any:
    """The graph being traced in this thread, or None."""
    return context.graph


def executing_eagerly() -> bool:
    """Whether ops run at once."""
    return context.graph is None


@contextlib.contextmanager
def enter_graph(graph: Any) -> Iterator[Any]:
    """Trace into `graph` (None: run eagerly)."""
    previous = context.graph
    context.graph = graph
    try:
        yield graph
    finally:
        context.graph = previous


@contextlib.contextmanager
def init_scope() -> Iterator[None]:
    """Leave all traces and run eagerly; tapes do not listen."""
    previous, tapes = context.graph, context.tapes
    context.graph, context.tapes = None, ()
    try:
        yield
    finally:
        context.graph, context.tapes = previous, tapes


@contextlib.contextmanager
def name_scope(name: str | None) -> Iterator[str]:
    """Put names made inside under `name`. Yields the full scope with a trailing `/`."""
    graph = context.graph
    if graph is not None:
        with graph.scopes.scope(name) as full:
            yield full
        return
    previous = context.scope
    if not name:
        context.scope = ""
    elif name.endswith("/"):
        context.scope = name[:-1]
    else:
        context.scope = f"{previous}/{name}" if previous else name
    try:
        yield context.scope + "/" if context.scope else ""
    finally:
        context.scope = previous


def current_scope() -> str:
    """The current name scope, without a trailing `/`."""
    return context.graph.scopes.current if context.graph is not None else context.scope


@contextlib.contextmanager
def control_dependencies(inputs: Sequence[Any] | None) -> Iterator[None]:
    """While tracing: nodes made inside run after `inputs` (tensors or nodes); None clears. Eagerly: nothing to do."""
    graph = context.graph
    if graph is None:
        yield
        return
    with graph.control_dependencies(inputs):
        yield


# -- bind ------------------------------------------------------------------------------------------------------------


def bind(op: Op, inputs: Sequence[Any], attrs: dict[str, Any], name: str | None = None) -> list[Any]:
    """Run `op` on flat tensor `inputs`, or append it to the graph being traced. Returns the flat outputs.

    `inputs` are tensors; `attrs` holds every attr that has no default.
    """
    graph = context.graph
    if graph is not None:
        outputs = graph.append(op, inputs, attrs, name)
    else:
        outputs = run_eagerly(op, inputs, attrs)
    if context.tapes and not op.no_gradient:
        for tape in context.tapes:
            tape.record(op, inputs, outputs, attrs)
    return outputs


def run_eagerly(op: Op, inputs: Sequence[Any], attrs: Mapping[str, Any]) -> list[Any]:
    """Run the kernel on concrete tensors."""
    try:
        arrays = [t._value for t in inputs]
    except AttributeError:
        bad = next(t for t in inputs if not hasattr(t, "_value"))
        raise SymbolicTensorError(
            f"op {op.name}: expected concrete tensors, received symbolic {bad!r} outside of the function that made it. "
            f"Return it from that function, or compute on it inside."
        ) from None
    kernel = op.cached_kernel(attrs)
    try:
        with np.errstate(all="ignore"):  # values overflow, divide by zero and make NaN silently, as TensorFlow's do
            result = kernel(*arrays)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise explain(op, inputs, error) from error
    return wrap_results(op.schema, attrs, result)


def explain(op: Op, inputs: Sequence[Any], error: Exception) -> Exception:
    """`error` of a kernel, as one that names the op and what it got."""
    if isinstance(error, SavedModelError):
        return error
    got = ", ".join(f"{t.dtype.name}{getattr(t, 'shape', '')}" for t in inputs)
    return InvalidArgumentError(f"op {op.name}: {error} — received ({got}); check the shapes and dtypes of its inputs")


def wrap_results(schema: OpSchema, attrs: Mapping[str, Any], result: Any) -> list[Any]:
    outputs = schema.outputs
    if len(outputs) == 1 and not outputs[0].is_list:
        arg = outputs[0]
        dtype = arg.dtype or schema.attr_value(arg.type_attr, attrs)
        return [tensors.make_eager(result, dtype)]
    if not outputs:
        return []
    dtypes = schema.output_dtypes(attrs)
    if len(dtypes) != len(result):
        raise InvalidArgumentError(f"op {schema.name}: its kernel gave {len(result)} outputs, expected {len(dtypes)}")
    return [tensors.make_eager(r, d) for r, d in zip(result, dtypes, strict=True)]


# -- calling by name -------------------------------------------------------------------------------------------------


def call(op_name: str, *args: Any, name: str | None = None, **kwargs: Any) -> Any:
    """Call op `op_name` with schema arguments (positional in schema order, then attrs by keyword).

    Returns a tensor for one non-list output, a list for one list output, None for no output, else a list by argument
    (a list argument gives a list inside).
    """
    op = registry.get_op(op_name)
    short = not kwargs and context.graph is None and not context.tapes
    if short:
        try:
            path = op.short.get(args[0].dtype)
            if path is not None and (len(args) == 1 or args[1].dtype is args[0].dtype) and len(args) == path[0]:
                return _run_short(op, args, path)
        except (AttributeError, IndexError):
            pass  # not all are tensors with values: the long way tells
    schema = op.schema
    flat, attrs = _bind_arguments(schema, args, kwargs)
    outputs = bind(op, flat, attrs, name)
    if short and args and flat[0] is args[0]:
        _remember(op, flat, attrs)
    return structure_outputs(schema, attrs, outputs)


def _run_short(op: Op, args: tuple[Any, ...], path: tuple[int, Any, DType]) -> Any:
    """Run an op of one or two eager tensors of one dtype, whose attrs are known."""
    values = [t._value for t in args]
    try:
        with np.errstate(all="ignore"):
            result = path[1](*values)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise explain(op, args, error) from error
    return tensors.make_eager(result, path[2])


def _remember(op: Op, flat: Sequence[Any], attrs: Mapping[str, Any]) -> None:
    """Let the next call with tensors of this dtype be short, where the dtype is all that decides."""
    schema = op.schema
    inputs, outputs = schema.inputs, schema.outputs
    if not 1 <= len(inputs) <= 2 or len(outputs) != 1 or outputs[0].is_list or schema.is_stateful or len(schema.inferred_attrs) != 1:
        return
    kind = inputs[0].type_attr
    if not kind or any(a.type_attr != kind or a.is_list or a.is_ref for a in inputs) or not all(isinstance(t._value, np.ndarray) for t in flat):
        return
    op.short[flat[0].dtype] = (len(inputs), op.cached_kernel(attrs), outputs[0].dtype or schema.attr_value(outputs[0].type_attr, attrs))


def structure_outputs(schema: OpSchema, attrs: Mapping[str, Any], outputs: list[Any]) -> Any:
    """Flat outputs as `call` returns them."""
    args = schema.outputs
    if len(args) == 1:
        return list(outputs) if args[0].is_list else outputs[0]  # a node's own list may grow
    if not args:
        return outputs[0] if outputs else None
    if not any(a.is_list for a in args):
        return outputs
    out, start = [], 0
    for arg in args:
        count = len(schema._arg_dtypes(arg, attrs))
        out.append(outputs[start : start + count] if arg.is_list else outputs[start])
        start += count
    return out


def _bind_arguments(schema: OpSchema, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    inputs = schema.inputs
    values = list(args)
    if len(values) > len(inputs):
        raise TypeError(f"op {schema.name} takes {len(inputs)} inputs ({', '.join(a.name for a in inputs)}), received {len(values)}")
    for arg in inputs[len(values) :]:
        try:
            values.append(kwargs.pop(arg.name))
        except KeyError:
            raise TypeError(f"op {schema.name}: missing input {arg.name!r}") from None
    attrs: dict[str, Any] = {}
    for key, value in kwargs.items():
        spec = schema.attrs.get(key)
        if spec is None:
            if key.startswith("_"):
                attrs[key] = value
                continue
            expected = ", ".join([a.name for a in inputs] + list(schema.attrs))
            raise TypeError(f"op {schema.name} got an unexpected argument {key!r}; expected one of: {expected}")
        if value is None:
            if spec.has_default:
                continue
            raise TypeError(f"op {schema.name}: attr {key!r} must be given, received None")
        attrs[key] = coerce_attr(schema.name, spec, value)
    flat = _convert_inputs(schema, values, attrs)
    for key, spec in schema.attrs.items():
        if key in attrs:
            continue
        if spec.has_default:
            if key in schema.inferred_attrs:
                attrs[key] = spec.default
            continue
        raise TypeError(f"op {schema.name}: missing attr {key!r} ({spec.kind})")
    return flat, attrs


def _known_dtype(value: Any) -> DType | None:
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        return None
    if isinstance(dtype, DType):
        return dtype.base_dtype
    if isinstance(dtype, np.dtype) and isinstance(value, (np.ndarray, np.generic)):
        return tensors.dtype_of_array(value)
    return None


def _convert_inputs(schema: OpSchema, values: list[Any], attrs: dict[str, Any]) -> list[Any]:
    """Values as flat tensors; fills in the attrs that follow from them."""
    # The dtype of each type attr: as given, else from the first argument that has one of its own.
    for arg, value in zip(schema.inputs, values, strict=True):
        if arg.type_attr and arg.type_attr not in attrs:
            if arg.number_attr:
                for v in value:
                    dtype = _known_dtype(v)
                    if dtype is not None:
                        attrs[arg.type_attr] = dtype
                        break
            else:
                dtype = _known_dtype(value)
                if dtype is not None:
                    attrs[arg.type_attr] = dtype
    flat: list[Any] = []
    for arg, value in zip(schema.inputs, values, strict=True):
        if arg.type_list_attr:
            wanted = attrs.get(arg.type_list_attr)
            items = list(value)
            if wanted is not None and len(wanted) != len(items):
                raise InvalidArgumentError(
                    f"op {schema.name}, input {arg.name!r}: expected {len(wanted)} tensors (attr {arg.type_list_attr}), received {len(items)}"
                )
            converted = [
                _convert(schema, arg.name, v, wanted[i] if wanted is not None else None) for i, v in enumerate(items)
            ]
            if wanted is None:
                attrs[arg.type_list_attr] = [t.dtype.base_dtype for t in converted]
            flat.extend(converted)
            continue
        fixed = arg.dtype or attrs.get(arg.type_attr)
        if arg.number_attr:
            items = list(value)
            given = attrs.get(arg.number_attr)
            if given is not None and given != len(items):
                raise InvalidArgumentError(
                    f"op {schema.name}, input {arg.name!r}: expected {given} tensors (attr {arg.number_attr}), received {len(items)}"
                )
            attrs[arg.number_attr] = len(items)
            least = schema.attrs[arg.number_attr].minimum
            if least is not None and len(items) < least:
                raise InvalidArgumentError(
                    f"op {schema.name}, input {arg.name!r}: expected at least {least} tensors, received {len(items)}"
                )
            for v in items:
                t = _convert(schema, arg.name, v, fixed)
                if fixed is None:
                    fixed = attrs[arg.type_attr] = t.dtype.base_dtype
                flat.append(t)
            continue
        if fixed is None:
            spec = schema.attrs[arg.type_attr]
            t = _convert_with_default(schema, arg.name, value, spec)
            attrs[arg.type_attr] = t.dtype.base_dtype
        else:
            t = _convert(schema, arg.name, value, fixed)
        flat.append(t)
    for key in schema.inferred_attrs:
        spec = schema.attrs[key]
        if spec.allowed is not None and key in attrs:
            value = attrs[key]
            for v in value if isinstance(value, list) else (value,):
                if v not in spec.allowed:
                    names = ", ".join(d.name for d in spec.allowed)
                    raise DTypeError(
                        f"op {schema.name}: Value for attr {key!r} of {v.name} is not in the list of allowed values: {names}"
                    )
    return flat


def _convert_with_default(schema: OpSchema, arg: str, value: Any, spec: Any) -> Any:
    """A Python value whose dtype nothing fixes: the attr's default dtype if it fits, else what the value suggests."""
    if spec.has_default:
        try:
            return tensors.convert_to_tensor(value, dtype=spec.default)
        except (TypeError, ValueError):
            pass
    t = tensors.convert_to_tensor(value)
    if spec.allowed is not None and t.dtype.base_dtype not in spec.allowed:
        for dtype in spec.allowed:
            # e.g. a Python int where only floats are allowed
            if dtype.kind == "f" and t.dtype.is_integer:
                return tensors.convert_to_tensor(value, dtype=dtype)
    return t


def _convert(schema: OpSchema, arg: str, value: Any, dtype: DType | None) -> Any:
    if isinstance(value, tensors.Tensor):
        if dtype is None or value.dtype.base_dtype is dtype or value.dtype is dtype:
            return value
        raise DTypeError(
            f"op {schema.name}, input {arg!r}: expected {dtype.name}, received a tensor of {value.dtype.name}; cast it with tf.cast"
        )
    try:
        return tensors.convert_to_tensor(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        if isinstance(error, SavedModelError):
            raise
        raise DTypeError(
            f"op {schema.name}, input {arg!r}: expected {dtype.name if dtype else 'a tensor'}, received {value!r} ({error})"
        ) from None


class _Raw:
    """Ops as functions, by name: `raw.AddV2(x=…, y=…)`."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__") or registry.find_op(name) is None:
            raise AttributeError(f"no op {name!r} is registered")

        def caller(*args: Any, **kwargs: Any) -> Any:
            return call(name, *args, **kwargs)

        caller.__name__ = caller.__qualname__ = name
        caller.__doc__ = registry.get_op(name).text
        setattr(self, name, caller)
        return caller


raw: Any = _Raw()
