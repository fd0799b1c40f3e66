"""Graph-to-graph reverse mode: a function's forward and backward graphs, custom gradients, tf.gradients. It refuses to run graphs.

`ForwardBackward` turns a function graph into two: the forward graph also returns the intermediate values that the backward graph
needs. Control flow inside is handled by the gradient rules of its ops, which extend the forward graph's own nodes.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from tracer import dispatch, nest, registry, tape
from tracer.errors import InvalidArgumentError, MissingGradientError
from tracer.ir.graph import topological_order
from tracer.tape import Record, densify, sweep
from tracer.tensor import convert_to_tensor
from tracer.tracing import CALL_OPS, FuncGraph, copy_func_graph, next_uid, trace_into

__all__ = ["ForwardBackward", "custom_gradient", "forward_backward", "gradients", "stop_gradient"]


class ForwardBackward:
    """The forward and backward graphs of a function graph.

    Attributes:
        forward: computes the outputs of `source`, then the intermediates.
        backward: takes the gradients of `grad_outputs`, then the intermediates, then the inputs in `used_inputs`.
        grad_outputs: indices of the outputs whose gradients `backward` takes.
        used_inputs: indices of the inputs of `source` that `backward` takes.
        grad_inputs: for each input of `source`, the index among `backward`'s outputs or None.
        intermediates: number of extra outputs of `forward`.
    """

    def __init__(self, source: FuncGraph, wanted: Sequence[int] | None = None, given: Sequence[int] | None = None):
        self.source = source
        forward, _ = copy_func_graph(source, source.name + "_forward")
        self.forward = forward
        outputs = list(forward.outputs)
        self.grad_outputs = [
            i for i, t in enumerate(outputs) if t.dtype.kind in "fcv" and (given is None or i in given)
        ]
        if wanted is None:
            wanted = [i for i, t in enumerate(forward.inputs) if t.dtype.kind in "fcrv"]
        records = node_records(forward)
        backward = FuncGraph(source.name + "_backward", forward)
        with trace_into(backward):
            grads = [
                backward.add_input(outputs[i].dtype, outputs[i].shape, f"grad_{i}", outputs[i].handle_data)
                for i in self.grad_outputs
            ]
            found = sweep(records, [outputs[i] for i in self.grad_outputs], [forward.inputs[i] for i in wanted], grads)
            flat: list[Any] = []
            self.grad_inputs: list[int | None] = [None] * len(forward.inputs)
            for i, g in zip(wanted, found, strict=True):
                if g is not None:
                    self.grad_inputs[i] = len(flat)
                    flat.append(densify(g))
            backward.finish(flat)
        self.backward = backward
        positions = {id(t): i for i, t in enumerate(forward.inputs)}
        self.used_inputs: list[int] = []
        extra: list[Any] = []
        inner_extra, inner_inputs = [], []
        for outer, inner in backward.captures:
            if getattr(outer, "node", None) is None:  # a concrete tensor that the gradient alone uses
                inner.node.op, inner.node.attrs = "Const", {"value": outer._value, "dtype": outer.dtype}
            elif outer.node.op == "Const":  # no need to keep it: the backward graph has its own
                inner.node.op, inner.node.attrs = "Const", dict(outer.node.attrs)
            elif id(outer) in positions:
                self.used_inputs.append(positions[id(outer)])
                inner_inputs.append(inner)
            else:
                extra.append(outer)
                inner_extra.append(inner)
        backward.inputs = [*backward.inputs[: len(grads)], *inner_extra, *inner_inputs]
        backward.captures = []
        backward._captured = {}
        backward.outer = None
        self.intermediates = len(extra)
        self.intermediate_tensors = extra
        forward.outputs = [*outputs, *extra]
        self.output_count = len(outputs)

    @functools.cached_property
    def higher(self) -> ForwardBackward:
        """The pair of the forward graph itself: differentiates the intermediates too."""
        return ForwardBackward(self.forward)


def node_records(graph: FuncGraph) -> list[Record]:
    """The nodes of `graph` as records, in an order in which they can run."""
    out = []
    for node in topological_order(graph):
        if node.op in ("Placeholder", "NoOp", "Const"):
            continue
        record = registry.get_op(node.op)
        if record.no_gradient:
            continue
        # copies: rules of control flow give the node more inputs and outputs
        out.append(Record(record, list(node.inputs), list(node.outputs), node.attrs))
    return out


def forward_backward(graph: FuncGraph) -> ForwardBackward:
    """The pair of `graph`, made once. The graph keeps it: a pair refers to its graph, so a table of pairs would keep both for good."""
    pair = graph.extra.get("forward_backward")
    if pair is None:
        pair = graph.extra["forward_backward"] = ForwardBackward(graph)
    return pair


def flows(graph: FuncGraph) -> bool:
    """Whether a function, or one that it calls, branches and loops by Switch, Merge and frames (TensorFlow 1)."""
    found = graph.extra.get("flows")
    if found is None:
        graph.extra["flows"] = False  # a function that calls itself has nothing new to say
        found = graph.extra["flows"] = any(
            n.op in ("Switch", "Merge", "Enter") or (n.op in CALL_OPS and any(flows(g) for g in FuncGraph._callees(n))) for n in graph
        )
    return found


def _call_flowing(
    graph: FuncGraph, inputs: Sequence[Any], call: Callable[[FuncGraph, Sequence[Any]], list[Any]], tapes: Sequence[Any]
) -> list[Any]:
    """Call a function with the control flow of TensorFlow 1 under tapes: op by op, or, while tracing, without a gradient."""
    if dispatch.context.graph is None:
        return importlib.import_module("tracer.exec.eager_flow").run_under_tapes(graph, inputs)
    with tape.stop_recording():
        outputs = call(graph, inputs)

    def refuse(*grads: Any) -> list[Any]:
        raise MissingGradientError(
            f"function {graph.name}: it loops and branches by Switch and Merge (TensorFlow 1), which have gradients only where they run; "
            f"call it outside of tf.function, under tf.GradientTape"
        )

    for t in tapes:
        t.record(None, inputs, outputs, {}, refuse)
    return outputs


def call_with_gradient(
    graph: FuncGraph, inputs: Sequence[Any], call: Callable[[FuncGraph, Sequence[Any]], list[Any]], tapes: Sequence[Any]
) -> list[Any]:
    """Call `graph` on flat `inputs` so that each of `tapes` can differentiate it. Returns its outputs.

    With several tapes listening, the forward graph also returns what the gradients of gradients need.
    """
    if flows(graph):
        return _call_flowing(graph, inputs, call, tapes)
    pair = forward_backward(graph)
    chain = [pair]
    for _ in tapes[1:]:
        chain.append(chain[-1].higher)
    with tape.stop_recording():
        results = call(chain[-1].forward, inputs)
    outputs = results[: pair.output_count]
    backward = functools.partial(_backward, chain, 0, list(inputs), results, call)
    visible = results[: chain[-1].output_count] if len(chain) > 1 else outputs

    def run_backward(*grads: Any) -> list[Any]:
        return backward(*grads)

    for t in tapes:
        t.record(None, inputs, visible, {}, run_backward)
    return outputs


def _backward(
    chain: Sequence[ForwardBackward], level: int, inputs: Sequence[Any], results: Sequence[Any],
    call: Callable[[FuncGraph, Sequence[Any]], list[Any]], *grads: Any,
) -> list[Any]:  # fmt: skip
    """Gradients of the inputs from gradients of the results (those past the outputs belong to intermediates)."""
    pair = chain[level]
    beyond = grads[pair.output_count :]
    if any(g is not None for g in beyond):
        if level + 1 < len(chain):
            return _backward(chain, level + 1, inputs, results, call, *grads)
        # Deeper than was foreseen when the forward pass ran: run it again with what is needed.
        higher = pair.higher
        with tape.stop_recording():
            again = call(higher.forward, inputs)
        return _backward([higher], 0, inputs, again, call, *grads[: higher.output_count])
    flat = []
    for i in pair.grad_outputs:
        g = grads[i] if i < len(grads) else None
        flat.append(tape.zeros_like(results[i]) if g is None else densify(g))
    extra = list(results[pair.output_count : pair.output_count + pair.intermediates])
    used = [inputs[i] for i in pair.used_inputs]
    got = call_function(pair.backward, [*flat, *extra, *used])
    return [None if i is None else got[i] for i in pair.grad_inputs]


def call_function(graph: FuncGraph, inputs: Sequence[Any]) -> list[Any]:
    """Call a function graph with no captures of its own as an op, under the listening tapes."""
    from tracer.functions import call_graph

    return call_graph(graph, inputs)


# -- custom gradients ------------------------------------------------------------------------------------------------

_CUSTOM: dict[bytes, Callable[..., Any]] = {}


def register_custom_gradient(name: bytes, rule: Callable[..., Any]) -> None:
    """Let ops with attr `_gradient_op_type` == `name` be differentiated by `rule(record, *output_grads)`."""
    _CUSTOM[name] = rule


def unregister_custom_gradient(name: bytes) -> None:
    """Forget the rule registered under `name`."""
    _CUSTOM.pop(name, None)


def custom_gradient_rule(name: bytes) -> Callable[..., Any]:
    """The rule registered under `name`.

    Raises:
        MissingGradientError: there is none, as in models saved without custom gradients.
    """
    rule = _CUSTOM.get(name)
    if rule is None:
        raise MissingGradientError(
            f"No gradient defined for operation with custom gradient {name.decode()!r}: the model was saved without its custom "
            f"gradients (SaveOptions(experimental_custom_gradients=False)); save it again with them"
        )
    return rule


def custom_gradient(f: Callable[..., Any] | None = None) -> Any:
    """Decorator: `f(*args)` returns `(outputs, grad_fn)`, and `grad_fn(*output_grads)` gives the gradients of `args`.

    Where `f` reads trainable variables, `grad_fn` must take `variables=` and return `(arg_grads, variable_grads)`.
    """
    if f is None:
        return custom_gradient

    @functools.wraps(f)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        return _run_custom(f, args, kwargs)

    return decorated


def _run_custom(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    variables_in_args = [a for a in nest.flatten((args, kwargs)) if getattr(a, "_is_variable", False)]
    flat_args = nest.flatten(args, expand_composites=True)
    watcher = _VariableWatcher()
    context = dispatch.context
    outer_tapes = context.tapes
    in_graph = context.graph is not None
    if in_graph:
        inner_args = [_identity(a) for a in flat_args]
    else:
        inner_args = [convert_to_tensor(a) if not getattr(a, "_is_variable", False) else a for a in flat_args]
    context.tapes = (watcher,)
    try:
        result, grad_fn = f(*nest.pack_sequence_as(args, inner_args, expand_composites=True), **kwargs)
    finally:
        context.tapes = outer_tapes
    flat_result = [convert_to_tensor(t) for t in nest.flatten(result, expand_composites=True)]
    variables = [v for v in watcher.variables if all(v is not a for a in variables_in_args)]
    for v in variables:
        tape.variable_accessed(v)
    for v in variables_in_args:
        tape.variable_accessed(v)
    # In a graph, IdentityN passes tensors only: variables stand there by their values, as in TensorFlow's files.
    read = _value_of if in_graph else _handle_of
    inputs = [read(a) for a in (*inner_args, *variables)]

    def backward(*grads: Any) -> list[Any]:
        dense = [None if g is None else densify(g) for g in grads[: len(flat_result)]]
        dense = [tape.zeros_like(t) if g is None else g for t, g in zip(flat_result, dense, strict=True)]
        if variables or _takes_variables(grad_fn):
            if not _takes_variables(grad_fn):
                raise TypeError(
                    "If using @custom_gradient with a function that uses variables, then grad_fn must accept a 'variables' keyword argument."
                )
            arg_grads, variable_grads = grad_fn(*dense, variables=variables)
            variable_grads = list(nest.flatten(variable_grads))
            if len(variable_grads) != len(variables):
                raise InvalidArgumentError("Must return gradient for each variable from @custom_gradient grad_fn.")
        else:
            arg_grads, variable_grads = grad_fn(*dense), []
        flat = list(arg_grads) if isinstance(arg_grads, (list, tuple)) else [arg_grads]
        flat = nest.flatten(flat)
        if len(flat) != len(flat_args):
            raise InvalidArgumentError(
                f"custom_gradient function expected to return {len(flat_args)} gradients, but returned {len(flat)} instead."
            )
        return [None if g is None else g if hasattr(g, "indices") else convert_to_tensor(g) for g in flat] + variable_grads

    if in_graph:
        outputs = _custom_node(flat_result, inputs, backward, flat_args)
    else:
        outputs = [dispatch.call("Identity", t) if any(t is a for a in inner_args) else t for t in flat_result]
        for t in outer_tapes:
            t.record(None, inputs, outputs, {}, backward)
    return nest.pack_sequence_as(result, outputs, expand_composites=True)


def _handle_of(a: Any) -> Any:
    return a.handle if getattr(a, "_is_variable", False) else a


def _value_of(a: Any) -> Any:
    return dispatch.call("ReadVariableOp", a.handle, dtype=a.dtype) if getattr(a, "_is_variable", False) else a


def _identity(a: Any) -> Any:
    if getattr(a, "_is_variable", False):
        return a
    return dispatch.call("Identity", convert_to_tensor(a))


def _custom_node(results: Sequence[Any], inputs: Sequence[Any], backward: Callable[..., Any], args: Sequence[Any]) -> list[Any]:
    """TensorFlow's form: an IdentityN over results and inputs whose attr names the gradient."""
    name = f"CustomGradient-{next_uid()}".encode()
    joined = [*results, *inputs]
    register_custom_gradient(name, _NodeRule(backward, len(results), len(inputs)))
    op = registry.get_op("IdentityN")
    outputs = dispatch.bind(op, joined, {"T": [t.dtype for t in joined], "_gradient_op_type": name})
    for old, new in zip(joined, outputs, strict=True):
        if new.handle_data is None:
            new.handle_data = old.handle_data
    return list(outputs[: len(results)])


class _NodeRule:
    """Gradient of the IdentityN that stands for a custom gradient: nothing for the results, `backward` for the inputs."""

    accepts_none = True

    def __init__(self, backward: Callable[..., Any], results: int, inputs: int):
        self.backward = backward
        self.results = results
        self.inputs = inputs

    def __call__(self, record: Record, *grads: Any) -> list[Any]:
        outputs = [tape.zeros_like(t) if g is None else g for t, g in zip(record.outputs, grads[: self.results], strict=False)]
        context, node = dispatch.context, record.node
        previous, context.aliases = context.aliases, () if node is None else node.graph.extra.get("aliases", {}).get(node.name, ())
        try:
            return [None] * self.results + list(self.backward(*outputs))
        finally:
            context.aliases = previous


def _takes_variables(fn: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return False
    return "variables" in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values())


class _VariableWatcher:
    """A tape that only notes which variables are read."""

    def __init__(self) -> None:
        self.variables: list[Any] = []

    def record(self, *args: Any, **kwargs: Any) -> None:
        """Ops are not of interest."""

    def watches(self, inputs: Sequence[Any]) -> bool:
        return False

    def variable_accessed(self, variable: Any) -> None:
        if all(v is not variable for v in self.variables):
            self.variables.append(variable)


# -- functions -------------------------------------------------------------------------------------------------------


def gradients(
    ys: Any, xs: Any, grad_ys: Any = None, name: str = "gradients", gate_gradients: bool = False, aggregation_method: Any = None,
    stop_gradients: Any = None, unconnected_gradients: Any = tape.UnconnectedGradients.NONE,
) -> list[Any]:  # fmt: skip
    """Symbolic gradients of the sum of `ys` by each of `xs`, inside a traced function.

    Raises:
        RuntimeError: called eagerly; use GradientTape there.
    """
    graph = dispatch.current_graph()
    if graph is None:
        raise RuntimeError("tf.gradients is not supported when eager execution is enabled. Use tf.GradientTape instead.")
    targets = [convert_to_tensor(y) for y in nest.flatten(ys)]
    sources = [x.handle if getattr(x, "_is_variable", False) else x for x in nest.flatten(xs)]
    own = [x if getattr(x, "node", None) is not None and x.node.graph is graph else graph.capture(x) for x in sources]
    stops = {id(s) for s in nest.flatten(stop_gradients)} if stop_gradients is not None else set()
    given = nest.flatten(grad_ys) if grad_ys is not None else [None] * len(targets)
    grads = [dispatch.call("OnesLike", t) if g is None else convert_to_tensor(g) for t, g in zip(targets, given, strict=True)]
    records = [r for r in node_records(graph) if not any(id(t) in stops for t in r.outputs)]
    found = sweep(records, targets, own, grads)
    if tape.UnconnectedGradients(unconnected_gradients) is tape.UnconnectedGradients.ZERO:
        found = [dispatch.call("ZerosLike", x) if g is None else g for x, g in zip(own, found, strict=True)]
    return found


def stop_gradient(input: Any, name: str | None = None) -> Any:
    """`input`, through which no gradient flows."""
    return nest.map_structure(lambda t: dispatch.call("StopGradient", convert_to_tensor(t), name=name), input)

