"""Functional control flow: calls, If, Case, While, For: records, kernels and gradients. The functions users call are in tracer/control.py.

Gradients extend the forward node: If and While get the intermediate values that their gradients need as extra outputs, as TensorFlow
does, so a rule here may change the graph that holds the forward node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, infer, tape
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, OutOfRangeError
from tracer.functions import call_graph, prepare, reference
from tracer.gradients import ForwardBackward, forward_backward
from tracer.ir.attrs import FunctionRef
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tracing import FuncGraph, copy_nodes, next_uid, trace_into

# -- calls -----------------------------------------------------------------------------------------------------------


def _callee_shapes(name: str) -> Any:
    def rule(ctx: Any) -> Any:
        graph = ctx.attr(name).graph
        for i, t in enumerate(graph.outputs):
            if t.handle_data is not None:
                ctx.handle_data[i] = t.handle_data
        return [t.shape for t in graph.outputs]

    return rule


def _call_kernel(attrs: dict[str, Any]) -> Any:
    return prepare(attrs["f"].graph)


def _call_gradient(node: Any, *grads: Any) -> list[Any]:
    """Used where a call was recorded as a plain op: runs the function again together with its gradient."""
    graph = node.attr("f").graph
    pair = forward_backward(graph)
    results = call_graph(pair.forward, node.inputs)
    flat = [tape.zeros_like(results[i]) if grads[i] is None else grads[i] for i in pair.grad_outputs]
    got = call_graph(pair.backward, [*flat, *results[pair.output_count :], *(node.inputs[i] for i in pair.used_inputs)])
    return [None if i is None else got[i] for i in pair.grad_inputs]


_call_gradient.accepts_none = True  # type: ignore[attr-defined]

for _name, _flag in (("PartitionedCall", ""), ("StatefulPartitionedCall", " !stateful")):
    _record = op(
        f"{_name}(args: Tin) -> (output: Tout){_flag}; Tin: list(type) >= 0; Tout: list(type) >= 0; f: func; "
        'config: string = ""; config_proto: string = ""; executor_type: string = ""'
    )
    _record.infer(_callee_shapes("f"))
    _record.prepare(_call_kernel)
    _record.gradient(_call_gradient)

remote_op = op(
    "RemoteCall(target: string, args: Tin) -> (output: Tout) !stateful; Tin: list(type) >= 1; Tout: list(type) >= 1; f: func"
).not_differentiable()
remote_op.infer(_callee_shapes("f"))
remote_op.no_kernel = "it runs a function on another device, and there is one device here"

fake_param_op = op("FakeParam() -> (output: dtype); dtype: type; shape: shape").not_differentiable()
fake_param_op.infer(infer.from_attr("shape"))


@fake_param_op.kernel
def _(*, dtype: Any, shape: Any) -> Any:
    if dtype.kind in "rv":
        return None
    return np.zeros([d or 0 for d in shape.as_list()] if shape.rank is not None else [0], dtype.numpy)


# -- truth -----------------------------------------------------------------------------------------------------------


def truth(value: Any) -> bool:
    """A condition as TensorFlow reads it: a scalar by its value (a string by being non-empty), anything else by being non-empty."""
    if value.ndim == 0:
        item = value[()]
        return len(item) > 0 if isinstance(item, bytes) else bool(item)
    return value.size > 0


# -- If and Case -----------------------------------------------------------------------------------------------------


def _branch_shapes(refs: Sequence[Any], given: Sequence[Any], ctx: Any) -> list[Any]:
    if given:
        return list(given)
    out = []
    for slots in zip(*(r.graph.outputs for r in refs), strict=True):
        shape = slots[0].shape
        for t in slots[1:]:
            shape = shape.most_general(t.shape)
        i = len(out)
        if all(t.handle_data is not None for t in slots):
            ctx.handle_data[i] = slots[0].handle_data
        out.append(shape)
    return out


def _if_kernel(attrs: dict[str, Any]) -> Any:
    branches = _lazy(attrs["then_branch"]), _lazy(attrs["else_branch"])

    def run(cond: Any, *args: Any) -> Any:
        return branches[0 if truth(cond) else 1]()(*args)

    return run


def _lazy(ref: Any) -> Any:
    """The runnable of a branch, prepared when it is first taken."""
    found: list[Any] = []

    def get() -> Any:
        if not found:
            found.append(prepare(ref.graph))
        return found[0]

    return get


def _if_infer(ctx: Any) -> Any:
    return _branch_shapes([ctx.attr("then_branch"), ctx.attr("else_branch")], ctx.attr("output_shapes"), ctx)


def _if_gradient(node: Any, *grads: Any) -> list[Any]:
    return [None, *_branch_gradient(node, ("then_branch", "else_branch"), grads)]


_if_gradient.accepts_none = True  # type: ignore[attr-defined]

for _name, _flag in (("If", " !stateful"), ("StatelessIf", "")):
    _record = op(
        f"{_name}(cond: Tcond, input: Tin) -> (output: Tout){_flag}; Tcond: type; Tin: list(type) >= 0; Tout: list(type) >= 0; "
        "then_branch: func; else_branch: func; output_shapes: list(shape) = []"
    )
    _record.infer(_if_infer)
    _record.prepare(_if_kernel)
    _record.gradient(_if_gradient)


def _case_kernel(attrs: dict[str, Any]) -> Any:
    branches = [_lazy(r) for r in attrs["branches"]]

    def run(index: Any, *args: Any) -> Any:
        i = int(index)
        return branches[i if 0 <= i < len(branches) else -1]()(*args)

    return run


def _case_gradient(node: Any, *grads: Any) -> list[Any]:
    return [None, *_branch_gradient(node, ("branches",), grads)]


_case_gradient.accepts_none = True  # type: ignore[attr-defined]

for _name, _flag in (("Case", " !stateful"), ("StatelessCase", "")):
    _record = op(
        f"{_name}(branch_index: int32, input: Tin) -> (output: Tout){_flag}; Tin: list(type) >= 0; Tout: list(type) >= 0; "
        "branches: list(func) >= 1; output_shapes: list(shape) = []"
    )
    _record.infer(lambda ctx: _branch_shapes(ctx.attr("branches"), ctx.attr("output_shapes"), ctx))
    _record.prepare(_case_kernel)
    _record.gradient(_case_gradient)


def _branches_of(forward: Any, names: Sequence[str]) -> list[Any]:
    out: list[Any] = []
    for n in names:
        value = forward.attrs[n]
        out.extend(value if isinstance(value, list) else [value])
    return out


def _named(graph: FuncGraph, stem: str) -> FunctionRef:
    graph.name = f"{stem}_{next_uid()}"
    return reference(graph)


def _branch_gradient(node: Any, names: Sequence[str], grads: Sequence[Any]) -> list[Any]:
    """Gradients of the branch arguments of an If or Case."""
    forward = node.node
    if forward is None:
        raise InvalidArgumentError(f"{node.type}: its gradient is taken from the graph that holds it, and it ran eagerly")
    refs = _branches_of(forward, names)
    given = [i for i, g in enumerate(grads) if g is not None and i < len(refs[0].graph.outputs)]
    count = len(refs[0].graph.outputs)
    pairs = [ForwardBackward(r.graph, None, given) for r in refs]
    arguments = forward.inputs[1:]
    # Every branch returns its own intermediates and stand-ins for those of the others.
    sizes = [p.intermediates for p in pairs]
    slots = [t for p in pairs for t in p.intermediate_tensors]
    new_refs = []
    for b, pair in enumerate(pairs):
        graph = pair.forward
        extra: list[Any] = []
        with trace_into(graph):
            position = 0
            for other, size in enumerate(sizes):
                for k in range(size):
                    t = slots[position + k]
                    extra.append(t if other == b else raw.FakeParam(dtype=t.dtype, shape=t.shape))
                position += size
        graph.outputs = [*graph.outputs[:count], *extra]
        new_refs.append(_named(graph, refs[b].name + "_forward"))
    _extend_outputs(forward, slots)
    _set_branches(forward, names, new_refs)
    if forward.attrs.get("output_shapes"):
        forward.attrs["output_shapes"] = [*forward.attrs["output_shapes"][:count], *(unknown_shape() for _ in slots)]
    extra_values = forward.outputs[len(forward.outputs) - len(slots) :]
    # The gradient node: one branch for each, over the same arguments.
    wanted = [i for i in range(len(arguments)) if any(p.grad_inputs[i] is not None for p in pairs)]
    if not wanted:
        return [None] * len(arguments)
    grad_values = [_filled(grads[i], forward.outputs[i]) for i in given]
    inputs = [*grad_values, *extra_values, *arguments]
    back_refs = []
    for b, pair in enumerate(pairs):
        graph = FuncGraph(refs[b].name + "_grad", None)
        with trace_into(graph):
            ps = [graph.add_input(t.dtype, t.shape, f"x{i}", t.handle_data) for i, t in enumerate(inputs)]
            g_ps, e_ps, a_ps = ps[: len(given)], ps[len(given) : len(given) + len(slots)], ps[len(given) + len(slots) :]
            own = e_ps[sum(sizes[:b]) : sum(sizes[: b + 1])]
            order = {i: p for i, p in zip(given, g_ps, strict=True)}
            feed = [*(order[i] for i in pair.grad_outputs), *own, *(a_ps[i] for i in pair.used_inputs)]
            found = _inline(pair.backward, graph, feed)
            results = []
            for i in wanted:
                k = pair.grad_inputs[i]
                results.append(found[k] if k is not None else _zeros_for(a_ps[i]))
            graph.finish(results)
        back_refs.append(_named(graph, refs[b].name + "_grad"))
    outputs_dtype = [back_refs[0].graph.outputs[k].dtype for k in range(len(wanted))]
    selector = forward.inputs[0]
    stateful = any(r.graph.is_stateful for r in back_refs)
    if forward.op in ("If", "StatelessIf"):
        got = dispatch.call(
            "If" if stateful else "StatelessIf", selector, inputs, Tout=outputs_dtype, then_branch=back_refs[0],
            else_branch=back_refs[1], output_shapes=_merged_shapes(back_refs),
        )  # fmt: skip
    else:
        got = dispatch.call(
            "Case" if stateful else "StatelessCase", selector, inputs, Tout=outputs_dtype, branches=back_refs,
            output_shapes=_merged_shapes(back_refs),
        )  # fmt: skip
    out: list[Any] = [None] * len(arguments)
    for i, g in zip(wanted, got, strict=True):
        out[i] = g
    return out


def _merged_shapes(refs: Sequence[Any]) -> list[TensorShape]:
    out = []
    for slots in zip(*(r.graph.outputs for r in refs), strict=True):
        shape = slots[0].shape
        for t in slots[1:]:
            shape = shape.most_general(t.shape)
        out.append(shape)
    return out


def _filled(grad: Any, like: Any) -> Any:
    return tape.zeros_like(like) if grad is None else tape.densify(grad)


def _zeros_for(t: Any) -> Any:
    if t.dtype is dtypes.resource:
        dtype, _ = t.handle_data[0]
        return raw.ZerosLike(raw.ReadVariableOp(t, dtype=dtype))
    return raw.ZerosLike(t)


def _inline(graph: FuncGraph, target: FuncGraph, feed: Sequence[Any]) -> list[Any]:
    """Append the body of `graph` to `target` with `feed` as its inputs. Returns its outputs."""
    mapping: dict[int, Any] = {id(p): v for p, v in zip(graph.inputs, feed, strict=True)}
    copy_nodes(graph, target, mapping, True)
    return [mapping[id(t)] for t in graph.outputs]


def _extend_outputs(node: Any, like: Sequence[Any]) -> None:
    make = type(node.outputs[0]) if node.outputs else node.graph.tensor_class
    for t in like:
        new = make(node, len(node.outputs), t.dtype, t.shape)
        new.handle_data = t.handle_data
        node.outputs.append(new)
    if "Tout" in node.attrs:
        node.attrs["Tout"] = [t.dtype for t in node.outputs]


def _set_branches(node: Any, names: Sequence[str], refs: Sequence[Any]) -> None:
    if len(names) == 1:
        node.attrs[names[0]] = list(refs)
    else:
        for n, r in zip(names, refs, strict=True):
            node.attrs[n] = r


# -- While -----------------------------------------------------------------------------------------------------------

_MAX_ITERATIONS = 2**62


def _while_kernel(attrs: dict[str, Any]) -> Any:
    cond, body = prepare(attrs["cond"].graph), prepare(attrs["body"].graph)

    def run(*values: Any) -> Any:
        while truth(cond(*values)[0]):
            values = body(*values)
        return values

    return run


def _while_infer(ctx: Any) -> Any:
    given = ctx.attr("output_shapes")
    for i in range(len(ctx)):
        data = ctx.handle(i)
        if data is not None:
            ctx.handle_data[i] = data
    if given:
        return list(given)
    out = []
    for i, t in enumerate(ctx.attr("body").graph.outputs):
        out.append(ctx.shape(i).most_general(t.shape))
    return out


def _while_gradient(node: Any, *grads: Any) -> list[Any]:
    forward = node.node
    if forward is None:
        raise InvalidArgumentError("While: its gradient is taken from the graph that holds it, and it ran eagerly")
    body, cond = forward.attrs["body"].graph, forward.attrs["cond"].graph
    count = len(body.outputs)
    initial = list(forward.inputs[:count])
    grads = grads[:count]
    invariant = [_passes_through(body, i) for i in range(count)]
    # Which loop variables carry a gradient: those that any given one depends on, to a fixed point.
    pair = ForwardBackward(body)
    float_vars = [i for i in range(count) if body.inputs[i].dtype.kind in "fcv"]
    resources = [i for i in range(count) if body.inputs[i].dtype is dtypes.resource and pair.grad_inputs[i] is not None]
    carried = [i for i in float_vars if i in pair.grad_outputs]
    # Intermediates to keep for each turn: the body's own, and the loop variables that change and that its gradient uses.
    keep = list(pair.intermediate_tensors)
    varying = [i for i in pair.used_inputs if not invariant[i]]
    kept = [*keep, *(pair.forward.inputs[i] for i in varying)]
    # -- forward: count the turns and push what is kept
    new_body = pair.forward
    with trace_into(new_body):
        counter = new_body.add_input(dtypes.int32, TensorShape([]), "turns")
        lists = [new_body.add_input(dtypes.variant, TensorShape([]), f"kept_{k}") for k in range(len(kept))]
        for p, t in zip(lists, kept, strict=True):
            p.handle_data = [(t.dtype, t.shape)]
        after = [raw.TensorListPushBack(p, t, element_dtype=t.dtype) for p, t in zip(lists, kept, strict=True)]
        counted = raw.AddV2(counter, np.array(1, np.int32))
    new_body.outputs = [*new_body.outputs[:count], counted, *after]
    new_cond = FuncGraph(cond.name + "_forward", None)
    with trace_into(new_cond):
        ps = [new_cond.add_input(t.dtype, t.shape, f"x{i}", t.handle_data) for i, t in enumerate(new_body.inputs)]
        new_cond.finish(_inline(cond, new_cond, ps[:count]))
    graph = forward.graph
    with dispatch.enter_graph(graph):
        tapes, dispatch.context.tapes = dispatch.context.tapes, ()
        try:
            extra_inputs = [_const(graph, np.array(0, np.int32))]
            for t in kept:
                static = [-1 if d is None else d for d in t.shape] if t.shape.rank is not None else None
                shape = np.array(-1 if static is None else static, np.int32)
                extra_inputs.append(
                    raw.EmptyTensorList(_const(graph, shape), _const(graph, np.array(-1, np.int32)), element_dtype=t.dtype)
                )
        finally:
            dispatch.context.tapes = tapes
    forward.inputs.extend(extra_inputs)
    _extend_outputs(forward, [counted, *lists])
    forward.attrs["T"] = [t.dtype for t in forward.inputs]
    forward.attrs["body"] = _named(new_body, body.name + "_forward")
    forward.attrs["cond"] = _named(new_cond, cond.name + "_forward")
    if forward.attrs.get("output_shapes"):
        forward.attrs["output_shapes"] = [*forward.attrs["output_shapes"], *(TensorShape([]) for _ in extra_inputs)]
    turns, stacks = forward.outputs[count], forward.outputs[count + 1 :]
    # -- backward: pop and run the body's gradient, as often as the loop turned
    constants = [i for i in pair.used_inputs if invariant[i]]
    if not carried:
        return [None] * len(forward.inputs)
    start_grads = [_filled(grads[i] if i < len(grads) else None, forward.outputs[i]) for i in carried]
    start_resources = [_zeros_for(initial[i]) for i in resources]
    loop = [turns, *start_grads, *start_resources, *stacks, *(initial[i] for i in constants)]
    back = FuncGraph(body.name + "_grad", None)
    with trace_into(back):
        ps = [back.add_input(t.dtype, _loop_shape(t), f"x{i}", t.handle_data) for i, t in enumerate(loop)]
        at = 1
        g_ps = ps[at : at + len(carried)]
        at += len(carried)
        r_ps = ps[at : at + len(resources)]
        at += len(resources)
        s_ps = ps[at : at + len(stacks)]
        c_ps = ps[at + len(stacks) :]
        popped, rest = [], []
        for p, t in zip(s_ps, kept, strict=True):
            shape = np.array(-1, np.int32)
            handle, value = raw.TensorListPopBack(p, shape, element_dtype=t.dtype)
            value.set_shape(t.shape)
            value.handle_data = t.handle_data
            handle.handle_data = p.handle_data
            popped.append(value)
            rest.append(handle)
        own = dict(zip(varying, popped[len(keep) :], strict=True))
        own.update(zip(constants, c_ps, strict=True))
        grad_of = dict(zip(carried, g_ps, strict=True))
        feed = [*(grad_of[i] for i in pair.grad_outputs), *popped[: len(keep)], *(own[i] for i in pair.used_inputs)]
        found = _inline(pair.backward, back, feed)
        results = [raw.Sub(ps[0], np.array(1, np.int32))]
        for i, g in zip(carried, g_ps, strict=True):
            k = pair.grad_inputs[i]
            results.append(found[k] if k is not None else raw.ZerosLike(g))
        for i, r in zip(resources, r_ps, strict=True):
            results.append(raw.AddV2(r, found[pair.grad_inputs[i]]))  # type: ignore[index]
        results += [*rest, *c_ps]
        back.finish(results)
    test = FuncGraph(cond.name + "_grad", None)
    with trace_into(test):
        ps = [test.add_input(t.dtype, _loop_shape(t), f"x{i}", t.handle_data) for i, t in enumerate(loop)]
        test.finish([raw.Greater(ps[0], np.array(0, np.int32))])
    stateful = back.is_stateful
    got = dispatch.call(
        "While" if stateful else "StatelessWhile", loop, cond=_named(test, cond.name + "_grad"),
        body=_named(back, body.name + "_grad"), output_shapes=[_loop_shape(t) for t in loop],
    )  # fmt: skip
    out: list[Any] = [None] * len(forward.inputs)
    for i, g in zip(carried, got[1 : 1 + len(carried)], strict=True):
        out[i] = g
    for i, g in zip(resources, got[1 + len(carried) :], strict=False):
        out[i] = g
    return out[: len(node.inputs)] if len(node.inputs) != len(forward.inputs) else out


_while_gradient.accepts_none = True  # type: ignore[attr-defined]


def _loop_shape(t: Any) -> TensorShape:
    return t.shape if t.dtype.kind in "rv" or t.shape.rank == 0 else unknown_shape(t.shape.rank)


def _const(graph: Any, array: Any) -> Any:
    return graph.constant(array, dtypes.as_dtype(array.dtype))


def _passes_through(body: Any, i: int) -> bool:
    """Whether loop variable `i` keeps its value."""
    t = body.outputs[i]
    while t.node.op in ("Identity", "IdentityN") and "_gradient_op_type" not in t.node.attrs:
        t = t.node.inputs[t.index if t.node.op == "IdentityN" else 0]
    return t is body.inputs[i]


for _name, _flag in (("While", " !stateful"), ("StatelessWhile", "")):
    _record = op(
        f"{_name}(input: T) -> (output: T){_flag}; T: list(type) >= 0; cond: func; body: func; output_shapes: list(shape) = []; "
        "parallel_iterations: int = 10"
    )
    _record.infer(_while_infer)
    _record.prepare(_while_kernel)
    _record.gradient(_while_gradient)

for_op = op(
    "For(start: int32, limit: int32, delta: int32, input: T) -> (output: T); T: list(type) >= 0; body: func"
).not_differentiable()
for_op.infer(lambda ctx: [ctx.shape(i + 3).most_general(t.shape) for i, t in enumerate(ctx.attr("body").graph.outputs)])


@for_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    body = prepare(attrs["body"].graph)

    def run(start: Any, limit: Any, delta: Any, *values: Any) -> Any:
        if int(delta) == 0:
            raise OutOfRangeError("For: delta must not be zero")
        for i in range(int(start), int(limit), int(delta)):
            values = body(np.array(i, np.int32), *values)
        return values

    return run


loop_cond_op = op("ToBool(input: T) -> (output: bool); T: type").not_differentiable()
loop_cond_op.infer(infer.scalar)
loop_cond_op.kernel(lambda x: np.array(truth(x)))
