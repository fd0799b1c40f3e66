"""Function (polymorphic, traces on demand) and ConcreteFunction (one trace with its captures). It refuses to know how graphs run or are saved.

A call binds arguments to a canonical form (positional with defaults filled in, keyword-only apart), looks up a trace by the types of
the tensors and the values of everything else, and calls it as one op, so that an outer trace or tape sees one call.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer import dispatch, nest, registry, specs, tape
from tracer import tensor as tensors
from tracer.call_paths import KeywordPath, argument_key, order_of, runner
from tracer.errors import DTypeError, InvalidArgumentError, SymbolicTensorError
from tracer.ir.attrs import FunctionRef
from tracer.ir.graph import topological_order
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec, TypeSpec, type_spec_from_value
from tracer.tensor import EagerTensor, Tensor, convert_to_tensor
from tracer.tracing import FuncGraph, next_uid, trace_into

__all__ = ["ConcreteFunction", "Function", "call_graph", "function", "trace_function"]


# -- calling a graph -------------------------------------------------------------------------------------------------


def reference(graph: FuncGraph) -> FunctionRef:
    """The reference by which nodes name `graph`."""
    ref = graph.extra.get("reference")
    if ref is None:
        ref = graph.extra["reference"] = FunctionRef(graph.name, graph=graph)
    return ref


def prepare(graph: FuncGraph) -> Callable[..., Any]:
    """The runnable of `graph`: takes and returns flat values."""
    return importlib.import_module("tracer.exec").prepare(graph)


def call_graph(graph: FuncGraph, inputs: Sequence[Any]) -> list[Any]:
    """Call `graph` (its captures among `inputs`) under the listening tapes. Returns flat tensors."""
    listening = tape.listening(inputs)
    if listening:
        from tracer.gradients import call_with_gradient

        return call_with_gradient(graph, inputs, _call, listening)
    return _call(graph, inputs)


def _call(graph: FuncGraph, inputs: Sequence[Any]) -> list[Any]:
    if dispatch.context.graph is None:
        try:
            values = [t._value for t in inputs]
        except AttributeError:
            bad = next(t for t in inputs if not hasattr(t, "_value"))
            raise SymbolicTensorError(
                f"function {graph.name}: expected concrete tensors, received symbolic {bad!r} outside of the function that made it"
            ) from None
        results = prepare(graph)(*values)
        outputs = [tensors.make_eager(v, t.dtype) for v, t in zip(results, graph.outputs, strict=True)]
        for new, old in zip(outputs, graph.outputs, strict=True):
            if old.handle_data is not None:
                new.handle_data = old.handle_data
        return outputs
    op = registry.get_op("StatefulPartitionedCall" if graph.is_stateful else "PartitionedCall")
    attrs = {"Tin": [t.dtype for t in graph.inputs], "Tout": [t.dtype for t in graph.outputs], "f": reference(graph)}
    tapes, dispatch.context.tapes = dispatch.context.tapes, ()
    try:
        return dispatch.bind(op, inputs, attrs, op.name)
    finally:
        dispatch.context.tapes = tapes


def lift_to_eager(tensor: Any) -> EagerTensor | None:
    """The value of a symbolic tensor that depends on no placeholder; None where it does."""
    wanted: dict[int, Any] = {}
    stack = [tensor.node]
    while stack:
        node = stack.pop()
        if id(node) in wanted:
            continue
        if node.op == "Placeholder":
            return None
        wanted[id(node)] = node
        stack.extend(t.node for t in node.inputs)
    values: dict[int, Any] = {}
    with dispatch.init_scope():
        for node in topological_order(wanted.values()):
            outputs = dispatch.run_eagerly(registry.get_op(node.op), [values[id(t)] for t in node.inputs], node.attrs)
            for slot, value in zip(node.outputs, outputs, strict=True):
                values[id(slot)] = value
    return values[id(tensor)]


# -- concrete functions ----------------------------------------------------------------------------------------------


class ConcreteFunction:
    """One trace: a graph, the tensors bound to its captures, and the structure of its arguments and results.

    Attributes:
        graph: the body; its last inputs are the captures.
        structured_input_signature: (positional, keyword) structures with specs for tensors and literals for the rest.
        structured_outputs: the structure of the result, with specs for tensors.
    """

    def __init__(
        self, graph: FuncGraph, captured: Sequence[Any], structured_inputs: tuple[Any, Any], structured_outputs: Any,
        arg_keywords: Sequence[str] | None = None, positional: int | None = None, function_spec: Any = None,
    ):  # fmt: skip
        self.graph = graph
        self.captured_inputs = list(captured)
        self.structured_input_signature = structured_inputs
        self._output_structure = structured_outputs
        self._arg_keywords = list(arg_keywords) if arg_keywords is not None else _argument_names(graph, len(self.captured_inputs))
        self._num_positional_args = len(self._arg_keywords) if positional is None else positional
        self.function_spec = function_spec

    @property
    def name(self) -> str:
        return self.graph.name

    @property
    def inputs(self) -> list[Any]:
        return self.graph.inputs

    @property
    def outputs(self) -> list[Any]:
        return self.graph.outputs

    @property
    def output_shapes(self) -> Any:
        return nest.map_structure(lambda s: None if s is None else s.shape, self.structured_outputs)

    @property
    def output_dtypes(self) -> Any:
        return nest.map_structure(lambda s: None if s is None else s.dtype, self.structured_outputs)

    @property
    def structured_outputs(self) -> Any:
        return self._output_structure

    @property
    def variables(self) -> tuple[Any, ...]:
        """The variables that the function reads or writes."""
        found = []
        for t in self.captured_inputs:
            owner = getattr(getattr(t, "_value", None), "owner", None)
            variable = owner() if owner is not None else None
            if variable is not None and all(v is not variable for v in found):
                found.append(variable)
        return tuple(found)

    @property
    def trainable_variables(self) -> tuple[Any, ...]:
        return tuple(v for v in self.variables if v.trainable)

    @property
    def arg_count(self) -> int:
        return len(self.graph.inputs) - len(self.captured_inputs)

    def call_flat(self, args: Sequence[Any]) -> Any:
        """Call with flat tensor arguments. Returns the structured result."""
        captured = self.captured_inputs
        if dispatch.context.tapes:
            for t in captured:
                owner = getattr(getattr(t, "_value", None), "owner", None)
                variable = owner() if owner is not None else None
                if variable is not None and variable.trainable:
                    tape.variable_accessed(variable)
        outputs = call_graph(self.graph, [*args, *captured])
        return self.build_outputs(outputs)

    def build_outputs(self, flat: Sequence[Any]) -> Any:
        """Flat outputs in the function's result structure."""
        structure = self._output_structure
        leaves = iter(flat)
        def leaf(spec: Any) -> Any:
            if spec is None:
                return None
            if isinstance(spec, TypeSpec) and spec.is_composite_spec:
                return spec.from_components([next(leaves) for _ in spec.component_specs])
            return next(leaves)

        return nest.map_structure(leaf, structure)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call with the traced structure, or with flat tensors by position and argument name.

        Raises:
            TypeError, ValueError: the arguments do not fit; the message tells what was expected.
        """
        context = dispatch.context
        short = not args and context.graph is None and not context.tapes
        if short:
            path = self.__dict__.get("_path")
            if path is not None:
                values = path.bind(kwargs)
                if values is not None:
                    return path.run(values)
        flat = None
        if self.structured_input_signature is not None:
            flat = self._bind_structured(args, kwargs)
        if flat is None:
            flat = self._bind_flat(args, kwargs)
        flat = self._checked(flat)
        result = self.call_flat(flat)
        if short:
            self._path = KeywordPath.of(self, kwargs, flat)
        return result

    def _bind_structured(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any] | None:
        want_args, want_kwargs = self.structured_input_signature
        names = self.function_spec.args if self.function_spec is not None else []
        given = list(args)
        rest = dict(kwargs)
        if len(given) > len(want_args):
            return None
        for i in range(len(given), len(want_args)):
            name = names[i] if i < len(names) else None
            if name is not None and name in rest:
                given.append(rest.pop(name))
            elif not any(isinstance(s, TypeSpec) for s in nest.flatten(want_args[i])):
                given.append(want_args[i])  # a literal that the trace fixed
            else:
                return None
        for key, spec in want_kwargs.items():
            if key not in rest:
                if any(isinstance(s, TypeSpec) for s in nest.flatten(spec)):
                    return None
                rest[key] = spec
        if set(rest) != set(want_kwargs):
            return None
        flat: list[Any] = []
        try:
            pairs = list(zip(_flat_with((tuple(given), rest)), _flat_with(self.structured_input_signature), strict=True))
        except ValueError:
            return None
        for value, spec in pairs:
            if isinstance(spec, TypeSpec):
                if spec.is_composite_spec:
                    if isinstance(spec, specs.VariableSpec):
                        continue
                    if not hasattr(value, "_type_spec"):
                        return None
                    flat.extend(spec.to_components(value))
                elif hasattr(value, "_type_spec"):
                    return None
                else:
                    flat.append(value)
            elif not _same_literal(value, spec):
                raise InvalidArgumentError(
                    f"function {self.name}: an argument was fixed to {spec!r} when it was traced, received {value!r}; "
                    f"call with that value, or trace again. {self.pretty_printed_signature()}"
                )
        return flat

    def _bind_flat(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        names = self._arg_keywords
        if len(args) > self._num_positional_args:
            raise TypeError(
                f"{self.pretty_printed_signature()} takes {self._num_positional_args} positional arguments, got {len(args)}."
            )
        rest = dict(kwargs)
        flat = list(args)
        for name in names[len(args) :]:
            if name not in rest:
                missing = [n for n in names[len(args) :] if n not in kwargs]
                raise TypeError(f"{self.pretty_printed_signature()} missing required arguments: {', '.join(missing)}.")
            flat.append(rest.pop(name))
        if rest:
            raise TypeError(f"{self.pretty_printed_signature()} got unexpected keyword arguments: {', '.join(sorted(rest))}.")
        return flat

    def _checked(self, flat: Sequence[Any]) -> list[Any]:
        out = []
        for i, (value, wanted) in enumerate(zip(flat, self.graph.inputs, strict=False)):
            name = self._arg_keywords[i] if i < len(self._arg_keywords) else str(i)
            if not isinstance(value, Tensor):
                try:
                    value = convert_to_tensor(value, dtype=wanted.dtype if wanted.dtype.kind not in "rv" else None)
                except (TypeError, ValueError) as error:
                    raise DTypeError(
                        f"{self.pretty_printed_signature()}: argument {name!r} expected a tensor of dtype {wanted.dtype.name} and "
                        f"shape {wanted.shape}, received {value!r} ({error})"
                    ) from None
            if value.dtype.base_dtype != wanted.dtype.base_dtype:
                raise DTypeError(
                    f"{self.pretty_printed_signature()}: argument {name!r} expected dtype {wanted.dtype.name}, received "
                    f"{value.dtype.name}; cast it with tf.cast"
                )
            if not value.shape.is_compatible_with(wanted.shape):
                raise InvalidArgumentError(
                    f"{self.pretty_printed_signature()}: argument {name!r} expected shape {wanted.shape}, received {value.shape}"
                )
            out.append(value)
        return out

    def pretty_printed_signature(self, verbose: bool = True) -> str:
        """The signature in one line."""
        if self.structured_input_signature is None:
            parts = [f"{n}: {TensorSpec(t.shape, t.dtype)!r}" for n, t in zip(self._arg_keywords, self.graph.inputs, strict=False)]
            return f"{self.name}({', '.join(parts)})"
        args, kwargs = self.structured_input_signature
        names = self.function_spec.args if self.function_spec is not None else []
        parts = [f"{names[i] if i < len(names) else f'arg{i}'}={a!r}" for i, a in enumerate(args)]
        parts += [f"{k}={v!r}" for k, v in kwargs.items()]
        stem = re.sub(r"^__inference_|_\d+$", "", self.name)
        return f"{stem}({', '.join(parts)})"

    def __repr__(self) -> str:
        return f"<ConcreteFunction {self.pretty_printed_signature()} at 0x{id(self):X}>"


def _argument_names(graph: FuncGraph, captures: int) -> list[str]:
    out = []
    for t in graph.inputs[: len(graph.inputs) - captures]:
        name = t.node.attr("_user_specified_name")
        out.append(name.decode() if isinstance(name, bytes) else t.node.name)
    return out


def _flat_with(structure: Any) -> list[Any]:
    return nest.flatten(structure)


def _same_literal(value: Any, literal: Any) -> bool:
    if value is literal:
        return True
    if isinstance(value, Tensor) or isinstance(literal, TypeSpec):
        return False
    if isinstance(value, np.ndarray) or isinstance(literal, np.ndarray):
        return np.array_equal(value, literal)
    return (type(value) is type(literal) and value == literal) or (not isinstance(value, Tensor) and bool(np.all(value == literal)))


# -- specs of Python functions ---------------------------------------------------------------------------------------


class FunctionSpec:
    """The argument list of a Python function without `self`, as the format stores it.

    Attributes follow inspect.FullArgSpec: args, varargs, varkw, defaults, kwonlyargs, kwonlydefaults.
    """

    def __init__(
        self, args: Sequence[str] = (), varargs: str | None = None, varkw: str | None = None, defaults: tuple[Any, ...] | None = None,
        kwonlyargs: Sequence[str] = (), kwonlydefaults: dict[str, Any] | None = None, input_signature: Any = None, jit_compile: Any = None,
    ):  # fmt: skip
        self.args = list(args)
        self.varargs = varargs
        self.varkw = varkw
        self.defaults = defaults
        self.kwonlyargs = list(kwonlyargs)
        self.kwonlydefaults = kwonlydefaults
        self.input_signature = input_signature
        self.jit_compile = jit_compile

    @classmethod
    def from_function(cls, fn: Callable[..., Any], drop_first: bool = False, input_signature: Any = None, jit_compile: Any = None) -> FunctionSpec:
        """The spec of a Python function; bound methods and partials lose what is bound."""
        try:
            parameters = list(inspect.signature(fn).parameters.values())
        except (TypeError, ValueError):
            return cls([], "args", "kwargs", input_signature=input_signature, jit_compile=jit_compile)
        if drop_first and parameters:
            parameters = parameters[1:]
        args, defaults, kwonly, kwdefaults = [], [], [], {}
        varargs = varkw = None
        after_partial = False
        for p in parameters:
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and not after_partial:
                args.append(p.name)
                if p.default is not p.empty:
                    defaults.append(p.default)
            elif p.kind == p.VAR_POSITIONAL:
                varargs = p.name
            elif p.kind == p.VAR_KEYWORD:
                varkw = p.name
            else:
                after_partial = True
                kwonly.append(p.name)
                if p.default is not p.empty:
                    kwdefaults[p.name] = p.default
        return cls(args, varargs, varkw, tuple(defaults) or None, kwonly, kwdefaults or None, input_signature, jit_compile)

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any], what: str = "function") -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments in canonical form: positional with defaults filled in, then keyword-only ones.

        Raises:
            TypeError: the call does not fit.
        """
        rest = dict(kwargs)
        names = self.args
        if len(args) > len(names) and self.varargs is None:
            raise TypeError(f"{what} takes {len(names)} positional arguments ({', '.join(names)}) but {len(args)} were given")
        positional = list(args[: len(names)])
        defaults = self.defaults or ()
        first_default = len(names) - len(defaults)
        for i in range(len(positional), len(names)):
            name = names[i]
            if name in rest:
                positional.append(rest.pop(name))
            elif i >= first_default:
                positional.append(defaults[i - first_default])
            else:
                raise TypeError(f"{what} missing 1 required positional argument: '{name}'; it takes ({', '.join(names)})")
        for name in names[: len(args)]:
            if name in rest:
                raise TypeError(f"{what} got multiple values for argument '{name}'")
        positional.extend(args[len(names) :])
        keyword: dict[str, Any] = {}
        for name in self.kwonlyargs:
            if name in rest:
                keyword[name] = rest.pop(name)
            elif self.kwonlydefaults and name in self.kwonlydefaults:
                keyword[name] = self.kwonlydefaults[name]
            else:
                raise TypeError(f"{what} missing required keyword-only argument: '{name}'")
        if rest:
            if self.varkw is None:
                raise TypeError(f"{what} got an unexpected keyword argument '{next(iter(rest))}'")
            keyword.update(rest)
        return tuple(positional), keyword

    def argument_name(self, index: int) -> str:
        """A name for positional argument `index`, those of `*args` included."""
        if index < len(self.args):
            return self.args[index]
        return f"{self.varargs or 'args'}_{index - len(self.args)}"


# -- tracing ---------------------------------------------------------------------------------------------------------


def trace_function(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], name: str, spec: FunctionSpec | None = None,
    arg_names: Sequence[str] | None = None, autograph: bool = False,
) -> ConcreteFunction:  # fmt: skip
    """Trace `fn` with canonical arguments whose tensor leaves may be specs. Returns the concrete function."""
    graph = FuncGraph(name, dispatch.current_graph())
    with trace_into(graph):
        spec = spec or FunctionSpec.from_function(fn)
        signature: list[Any] = []
        values: list[Any] = []
        for i, arg in enumerate(args):
            label = arg_names[i] if arg_names is not None and i < len(arg_names) else spec.argument_name(i)
            s, v = _placeholders(graph, arg, label)
            signature.append(s)
            values.append(v)
        keyword_signature, keyword_values = {}, {}
        for key in sorted(kwargs):
            keyword_signature[key], keyword_values[key] = _placeholders(graph, kwargs[key], key)
        keyword_values = {k: keyword_values[k] for k in kwargs}
        call = fn
        if autograph:
            from tracer.autograph import convert

            call = convert(fn)
        result = call(*values, **keyword_values)
        flat, structure = _flatten_outputs(graph, result, name)
        graph.finish(flat)
    stem = re.sub(r"[^A-Za-z0-9_]", "_", name)
    graph.name = f"__inference_{stem}_{next_uid()}"
    own = len(graph.inputs) - len(graph.captures)
    graph.structured_outputs = structure
    keywords = [
        (t.node.attr("_user_specified_name") or t.node.name.encode()).decode() for t in graph.inputs[:own]
    ]
    return ConcreteFunction(
        graph, graph.external_captures, (tuple(signature), keyword_signature), structure, keywords, own, spec
    )


def _placeholders(graph: FuncGraph, arg: Any, label: str) -> tuple[Any, Any]:
    """For one argument: its structure of specs and literals, and of placeholders and values."""
    sig, val = [], []
    for path, leaf in nest.flatten_with_paths(arg):
        name = "_".join([label, *(str(p) for p in path)])
        if getattr(leaf, "_is_variable", False):
            sig.append(leaf.variable_spec)
            val.append(leaf)
            continue
        leaf_spec = _spec_of(leaf)
        if leaf_spec is None:
            sig.append(leaf)
            val.append(leaf)
            continue
        if isinstance(leaf_spec, specs.VariableSpec):
            sig.append(leaf_spec)
            val.append(_variable_placeholder(graph, leaf_spec, name))
            continue
        if leaf_spec.is_composite_spec:
            parts = []
            for k, part in enumerate(leaf_spec.component_specs):
                parts.append(graph.add_input(part.dtype, part.shape, name if k == 0 else f"{name}_{k}"))
            sig.append(leaf_spec)
            val.append(leaf_spec.from_components(parts))
            continue
        user = leaf_spec.name or name
        t = graph.add_input(leaf_spec.dtype, leaf_spec.shape, user, getattr(leaf, "handle_data", None))
        clean = re.sub(r"[^A-Za-z0-9_]", "_", user)
        sig.append(_with_name(leaf_spec, clean if leaf_spec.name is None else leaf_spec.name))
        val.append(t)
    return nest.pack_sequence_as(arg, sig), nest.pack_sequence_as(arg, val)


def _variable_placeholder(graph: FuncGraph, spec: Any, name: str) -> Any:
    from tracer.variable import Variable

    variable = Variable.uninitialized(spec.dtype, spec.shape, name, spec.trainable)
    t = graph.add_input(variable.handle.dtype, TensorShape([]), name, variable.handle.handle_data)
    graph._captured[id(variable.handle)] = (variable.handle, t)
    return variable


def _with_name(spec: TensorSpec, name: str) -> TensorSpec:
    if spec.name == name:
        return spec
    if isinstance(spec, specs.BoundedTensorSpec):
        return specs.BoundedTensorSpec(spec.shape, spec.dtype, spec.minimum, spec.maximum, name)
    return TensorSpec(spec.shape, spec.dtype, name)


def _spec_of(leaf: Any) -> TypeSpec | None:
    """The spec of a tensor-like leaf; None for a Python value."""
    if isinstance(leaf, TypeSpec):
        return leaf
    if isinstance(leaf, Tensor) or hasattr(leaf, "_type_spec"):
        return type_spec_from_value(leaf)
    if isinstance(leaf, (np.ndarray, np.generic)):
        return TensorSpec(leaf.shape, tensors.dtype_of_array(np.asarray(leaf)))
    return None


def _flatten_outputs(graph: FuncGraph, result: Any, name: str) -> tuple[list[Any], Any]:
    flat: list[Any] = []

    def leaf(value: Any) -> Any:
        if value is None:
            return None
        if hasattr(value, "_type_spec") and not isinstance(value, Tensor):
            spec = value._type_spec
            for part in spec.to_components(value):
                flat.append(convert_to_tensor(part))
            return spec
        try:
            t = convert_to_tensor(value)
        except (TypeError, ValueError):
            raise TypeError(
                f"To be compatible with tf.function, Python functions must return zero or more Tensors or ExtensionTypes or None "
                f"values; in compilation of {name}, found return value of type {type(value).__name__}, which is not a Tensor or "
                f"ExtensionType: {value!r}"
            ) from None
        flat.append(t)
        return TensorSpec(t.shape, t.dtype)

    return flat, nest.map_structure(leaf, result)


class Function:
    """A Python function that is traced into graphs, one for each kind of arguments.

    Args:
        python_function: what to trace.
        input_signature: specs of all tensor arguments; then there is one trace.
        autograph: turn Python control flow on tensors into graph control flow.
        reduce_retracing: generalise shapes after a second trace.
        jit_compile: kept for the format.
    """

    def __init__(
        self, python_function: Callable[..., Any], name: str | None = None, input_signature: Any = None, autograph: bool = True,
        jit_compile: bool | None = None, reduce_retracing: bool = False, bound: Any = None,
        function_spec: FunctionSpec | None = None,
    ):  # fmt: skip
        self._python_function = python_function
        self._name = name or getattr(python_function, "__name__", type(python_function).__name__)
        self._autograph = autograph
        self._jit_compile = jit_compile
        self._reduce_retracing = reduce_retracing
        if input_signature is not None:
            input_signature = tuple(_nested_tuple(s) for s in input_signature)
            for s in nest.flatten(input_signature):
                if not isinstance(s, TypeSpec):
                    raise TypeError(
                        f"input_signature must be a possibly nested sequence of TensorSpec objects, got {input_signature!r}"
                    )
        self.input_signature = input_signature
        self._bound = bound
        self._cache: dict[Any, ConcreteFunction] = {}
        self._general: dict[Any, Any] = {}
        self._paths: dict[Any, Any] = {}
        self._lock = threading.RLock()
        self._methods: weakref.WeakKeyDictionary[Any, Function] = weakref.WeakKeyDictionary()
        self._created_variables = False
        self.function_spec = function_spec or FunctionSpec.from_function(python_function, False, input_signature, jit_compile)
        functools.update_wrapper(self, python_function, updated=())

    @property
    def python_function(self) -> Callable[..., Any]:
        return self._python_function

    @property
    def name(self) -> str:
        return self._name

    def __get__(self, instance: Any, owner: Any) -> Any:
        if instance is None:
            return self
        try:
            found = self._methods.get(instance)
        except TypeError:
            found = instance.__dict__.get(f"_function_{self._name}")
        if found is None:
            target = weakref.ref(instance)
            plain = self._python_function

            @functools.wraps(plain)
            def method(*args: Any, **kwargs: Any) -> Any:
                return plain(target(), *args, **kwargs)

            bound_plain = plain.__get__(instance, owner) if hasattr(plain, "__get__") else plain
            method.autograph_target = (plain, target)  # type: ignore[attr-defined]
            method.__signature__ = inspect.signature(bound_plain)  # type: ignore[attr-defined]
            found = Function(method, self._name, self.input_signature, self._autograph, self._jit_compile, self._reduce_retracing, target)
            try:
                self._methods[instance] = found
            except TypeError:
                instance.__dict__[f"_function_{self._name}"] = found
        return found

    # -- calls -------------------------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _RUN_EAGERLY:
            return self._python_function(*args, **kwargs)
        context = dispatch.context
        key = argument_key(args, kwargs) if context.graph is None and not context.tapes else None
        if key is not None:
            found = self._paths.get(key)
            if found is not None:
                run, order = found
                if kwargs:
                    args = (*args, *kwargs.values())
                return run([args[i]._value for i in order])
        concrete, flat = self._resolve(args, kwargs)
        result = concrete.call_flat(flat)
        if key is not None:
            order = order_of([*args, *kwargs.values()], flat)
            if order is not None and len(self._paths) < _MOST_PATHS:
                self._paths[key] = runner(concrete), order
        return result

    def _resolve(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[ConcreteFunction, list[Any]]:
        positional, keyword = self._canonical(args, kwargs)
        flat: list[Any] = []
        key_parts: list[Any] = []
        structure = (positional, keyword)
        leaves = nest.flatten(structure)
        arranged: list[Any] = []
        for leaf in leaves:
            if getattr(leaf, "_is_variable", False):
                key_parts.append(("variable", id(leaf)))
                arranged.append(leaf)
                continue
            if isinstance(leaf, (np.ndarray, np.generic)):
                leaf = convert_to_tensor(leaf)
            if isinstance(leaf, Tensor):
                key_parts.append((leaf.dtype.number, leaf.shape))
                flat.append(leaf)
                arranged.append(leaf)
                continue
            if hasattr(leaf, "_type_spec"):
                spec = leaf._type_spec
                key_parts.append(spec)
                flat.extend(spec.to_components(leaf))
                arranged.append(spec)
                continue
            key_parts.append(_literal_key(leaf))
            arranged.append(leaf)
        key = (_structure_key(structure), tuple(key_parts), None)
        concrete = self._cache.get(key)
        if concrete is None:
            with self._lock:
                concrete = self._cache.get(key)
                if concrete is None:
                    packed = nest.pack_sequence_as(structure, arranged)
                    concrete = self._trace_for(key, packed)
        return concrete, flat

    def _canonical(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        positional, keyword = self.function_spec.bind(args, kwargs, f"{self._name}()")
        if self.input_signature is None:
            return positional, keyword
        return self._by_signature(positional), keyword

    def _by_signature(self, positional: tuple[Any, ...]) -> tuple[Any, ...]:
        signature = self.input_signature
        if len(positional) < len(signature):
            raise TypeError(f"{self._name}(): input_signature has {len(signature)} entries, received {len(positional)} arguments")
        out = []
        for i, value in enumerate(positional):
            if i >= len(signature):
                default = self._default_of(i)
                if value is not default and not _same_literal(value, default):
                    raise TypeError(
                        f"{self._name}(): when input_signature is provided, only pass arguments covered by it; received argument {i}: {value!r}"
                    )
                out.append(value)
                continue
            out.append(_cast_to(signature[i], value, self._name, self.function_spec.argument_name(i)))
        return tuple(out)

    def _default_of(self, index: int) -> Any:
        defaults = self.function_spec.defaults or ()
        position = index - (len(self.function_spec.args) - len(defaults))
        return defaults[position] if 0 <= position < len(defaults) else None

    def _trace_for(self, key: Any, structure: tuple[Any, Any]) -> ConcreteFunction:
        if self.input_signature is not None:
            args = (*self.input_signature, *structure[0][len(self.input_signature) :])
            key = (_structure_key((args, structure[1])), tuple(_spec_key(s) for s in nest.flatten((args, structure[1]))), "signature")
            found = self._cache.get(key)
            if found is not None:
                return found
            structure = (args, structure[1])
        elif self._reduce_retracing:
            structure, key = self._generalise(structure, key)
            found = self._cache.get(key)
            if found is not None:
                return found
        concrete = self._trace(*structure)
        self._cache[key] = concrete
        return concrete

    def _generalise(self, structure: Any, key: Any) -> tuple[Any, Any]:
        """Relax the dimensions in which this call's shapes differ from the last one's."""
        shape_free = (key[0], tuple(p[0] if isinstance(p, tuple) and len(p) == 2 and isinstance(p[1], TensorShape) else p for p in key[1]))
        previous = self._general.get(shape_free)
        leaves = [_spec_of(v) if not getattr(v, "_is_variable", False) else v for v in nest.flatten(structure)]
        own = [s if isinstance(s, TensorSpec) else None for s in leaves]
        if previous is not None:
            own = [s.most_general(p) if s is not None and p is not None else s for s, p in zip(own, previous, strict=True)]
        self._general[shape_free] = own
        values = [s if s is not None else v for s, v in zip(own, nest.flatten(structure), strict=True)]
        packed = nest.pack_sequence_as(structure, values)
        return packed, (key[0], tuple(_spec_key(v) for v in values), "relaxed") if previous is not None else key

    def _trace(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ConcreteFunction:
        concrete = trace_function(self._python_function, args, kwargs, self._name, self.function_spec, autograph=self._autograph)
        if concrete.graph.created_variables and self._created_variables:
            raise InvalidArgumentError(
                "tf.function only supports singleton tf.Variables created on the first call. Make sure the tf.Variable is only "
                "created once or created outside tf.function."
            )
        if concrete.graph.made_variables and not self._created_variables:
            # As TensorFlow does: trace again, since what the first call makes, later calls must only use.
            self._created_variables = True
            concrete = trace_function(self._python_function, args, kwargs, self._name, self.function_spec, autograph=self._autograph)
            if concrete.graph.created_variables:
                raise InvalidArgumentError("tf.function-decorated function tried to create variables on non-first call. ")
        self._created_variables = True
        return concrete

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> ConcreteFunction:
        """The trace for arguments, which may be specs."""
        if self.input_signature is not None and not args and not kwargs:
            positional: tuple[Any, ...] = tuple(self.input_signature)
            defaults = self.function_spec.defaults or ()
            missing = len(self.function_spec.args) - len(positional)
            if missing > 0:
                if missing > len(defaults):
                    raise TypeError(
                        f"{self._name}(): input_signature missing type constraint for {', '.join(self.function_spec.args[len(positional):])}"
                    )
                positional = (*positional, *defaults[len(defaults) - missing :])
            keyword = dict(self.function_spec.kwonlydefaults or {})
        else:
            positional, keyword = self.function_spec.bind(args, kwargs, f"{self._name}()")
            if self.input_signature is not None:
                for i, (s, v) in enumerate(zip(self.input_signature, positional, strict=False)):
                    for want, got in zip(nest.flatten(s), nest.flatten(v), strict=False):
                        given = _spec_of(got)
                        if given is not None and not given.is_subtype_of(want) and not want.is_compatible_with(given):
                            raise InvalidArgumentError(
                                f"{self._name}(): argument {self.function_spec.argument_name(i)!r} does not fit input_signature: expected {want!r}, received {given!r}"
                            )
                positional = (*self.input_signature, *positional[len(self.input_signature) :])
        values = [convert_to_tensor(v) if isinstance(v, (np.ndarray, np.generic)) else v for v in nest.flatten((positional, keyword))]
        structure = nest.pack_sequence_as((positional, keyword), values)
        key = (_structure_key(structure), tuple(_spec_key(v) for v in values), "signature" if self.input_signature is not None else None)
        with self._lock:
            concrete = self._cache.get(key)
            if concrete is None:
                concrete = self._cache[key] = self._trace(*structure)
        return concrete

    def concrete_functions(self) -> list[ConcreteFunction]:
        """All traces made so far, each once, in order."""
        out: list[ConcreteFunction] = []
        for c in self._cache.values():
            if all(c is not o for o in out):
                out.append(c)
        return out

    _list_all_concrete_functions = concrete_functions

    def experimental_get_tracing_count(self) -> int:
        """How many traces there are."""
        return len(self.concrete_functions())

    def pretty_printed_concrete_signatures(self, verbose: bool = True) -> str:
        return "\n\n".join(c.pretty_printed_signature() for c in self.concrete_functions())

    def __repr__(self) -> str:
        return f"<tracer.functions.Function {self._name} at 0x{id(self):X}>"

    def __deepcopy__(self, memo: Any) -> Function:
        copy = Function(
            self._python_function, self._name, self.input_signature, self._autograph, self._jit_compile, self._reduce_retracing
        )
        memo[id(self)] = copy
        return copy


_RUN_EAGERLY = False
_MOST_PATHS = 256


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Run every `function` as plain Python (for debugging), or trace again."""
    global _RUN_EAGERLY
    _RUN_EAGERLY = bool(run_eagerly)


def functions_run_eagerly() -> bool:
    return _RUN_EAGERLY


def _nested_tuple(value: Any) -> Any:
    return tuple(_nested_tuple(v) for v in value) if isinstance(value, list) else value


def _literal_key(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return ("id", id(value))
    return (type(value), value)


def _spec_key(value: Any) -> Any:
    if getattr(value, "_is_variable", False):
        return ("variable", id(value))
    if isinstance(value, TensorSpec):
        return (value.dtype.number, value.shape)
    spec = _spec_of(value)
    if isinstance(spec, TensorSpec):
        return (spec.dtype.number, spec.shape)
    return spec if spec is not None else _literal_key(value)


def _structure_key(structure: Any) -> Any:
    if isinstance(structure, dict):
        return ("dict", tuple((k, _structure_key(structure[k])) for k in sorted(structure)))
    if isinstance(structure, (list, tuple)):
        if not any(isinstance(v, (list, tuple, dict)) for v in structure):
            return (type(structure).__name__, len(structure))
        return (type(structure).__name__, tuple(_structure_key(v) for v in structure))
    return None


def _cast_to(spec: Any, value: Any, name: str, arg: str) -> Any:
    """`value`, a structure, converted to what the input signature `spec` asks."""
    try:
        nest.assert_same_structure(spec, value, check_types=False)
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"{name}(): structure of argument {arg!r} does not match input_signature: expected {spec!r}, received {value!r}"
        ) from None

    def one(s: Any, v: Any) -> Any:
        if not isinstance(s, TypeSpec):
            return v
        if isinstance(s, TensorSpec):
            if not isinstance(v, Tensor):
                try:
                    v = convert_to_tensor(v, dtype=s.dtype)
                except (TypeError, ValueError) as error:
                    raise InvalidArgumentError(
                        f"{name}(): argument {arg!r} expected {s!r}, received {v!r}, which cannot be converted: {error}"
                    ) from None
            if not s.is_compatible_with(v):
                raise InvalidArgumentError(
                    f"Python inputs incompatible with input_signature: {name}() argument {arg!r} expected {s!r}, received "
                    f"{type_spec_from_value(v)!r}"
                )
            return v
        if not s.is_compatible_with(v):
            raise InvalidArgumentError(f"Python inputs incompatible with input_signature: {name}() argument {arg!r} expected {s!r}, received {v!r}")
        return v

    flat = [one(s, v) for s, v in zip(nest.flatten(spec), nest.flatten(value), strict=True)]
    return nest.pack_sequence_as(spec, flat)


def function(
    func: Callable[..., Any] | None = None, input_signature: Any = None, autograph: bool = True, jit_compile: bool | None = None,
    reduce_retracing: bool = False, experimental_implements: str | None = None, experimental_autograph_options: Any = None,
    experimental_attributes: Any = None, experimental_relax_shapes: bool | None = None, experimental_compile: bool | None = None,
    experimental_follow_type_hints: bool | None = None,
) -> Any:  # fmt: skip
    """Turn a Python function into one that is traced into graphs; also usable as a decorator, with or without arguments."""

    def decorate(f: Callable[..., Any]) -> Function:
        return Function(
            f, None, input_signature, autograph, jit_compile if jit_compile is not None else experimental_compile,
            bool(reduce_retracing or experimental_relax_shapes),
        )  # fmt: skip

    return decorate if func is None else decorate(func)
