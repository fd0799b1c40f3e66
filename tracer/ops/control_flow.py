"""Functional control flow: calls, If, Case, While, For: records, kernels and gradients. The functions users call are in control.py.

Gradients extend the forward node: If and While get the intermediate values that their gradients need as extra outputs, as TensorFlow
does, so a rule here may change the graph that holds the forward node.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, infer, tape
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, OutOfRangeError
from tracer.functions import call_graph, prepare, reference
from tracer.gradients import ForwardBackward, forward_backward, node_records
from tracer.ir.attrs import FunctionRef
from tracer.registry import get_op, op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor_lists import TensorList
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
        return TensorList(dtypes.float32, unknown_shape(), [])
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
        return branches[0 if truth(cond) else 1]().nested(*args)

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
        return branches[i if 0 <= i < len(branches) else -1]().nested(*args)

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
    """Gradients of the branch arguments of an If or Case. Where no path leads from a wanted output they are zeros, as TensorFlow's."""
    forward = node.node
    if forward is None:
        raise InvalidArgumentError(f"{node.type}: its gradient is taken from the graph that holds it, and it ran eagerly")
    refs = _branches_of(forward, names)
    count = len(refs[0].graph.outputs)
    given = [i for i, g in enumerate(grads[:count]) if g is not None and _trainable(forward.outputs[i])]
    arguments = forward.inputs[1:]
    reached = [_reaching(r.graph) for r in refs]
    trainable = [i for i, t in enumerate(forward.outputs[:count]) if _trainable(t)]
    connected = [
        _trainable(t) and any(m[k] >> i & 1 for m in reached for k in trainable) for i, t in enumerate(arguments)
    ]
    wanted = [i for i in range(len(arguments)) if connected[i] and any(m[k] >> i & 1 for m in reached for k in given)]
    pairs = [ForwardBackward(r.graph, wanted, given) for r in refs]
    wanted = [i for i in wanted if any(p.grad_inputs[i] is not None for p in pairs)]
    out: list[Any] = [None] * len(arguments)
    if wanted:
        slots = _return_intermediates(forward, names, refs, pairs, count)
        extra_values = forward.outputs[len(forward.outputs) - len(slots) :] if slots else []
        grad_values = [tape.densify(grads[i]) for i in given]
        inputs = [*grad_values, *extra_values, *arguments]
        back_refs = _backward_branches(refs, pairs, given, wanted, inputs, len(slots))
        attrs = {
            "Tin": [t.dtype for t in inputs],
            "Tout": [t.dtype for t in back_refs[0].graph.outputs],
            "output_shapes": _merged_shapes(back_refs),
            "_lower_using_switch_merge": True,
            "_read_only_resource_inputs": [i + 1 for i, t in enumerate(inputs) if t.dtype is dtypes.resource],
        }
        stateful = any(r.graph.is_stateful for r in back_refs)
        if len(names) == 2:
            attrs.update(Tcond=forward.inputs[0].dtype, then_branch=back_refs[0], else_branch=back_refs[1])
            record = get_op("If" if stateful else "StatelessIf")
        else:
            attrs["branches"] = back_refs
            record = get_op("Case" if stateful else "StatelessCase")
        got = list(dispatch.bind(record, [forward.inputs[0], *inputs], attrs, "gradients/" + forward.name + "_grad"))
        for i, g, t in zip(wanted, got, back_refs[0].graph.outputs, strict=True):
            g.handle_data = t.handle_data
            out[i] = g
    for i, t in enumerate(arguments):
        if out[i] is None and connected[i]:
            out[i] = _zeros_for(t)
    return out


def _return_intermediates(forward: Any, names: Sequence[str], refs: Sequence[Any], pairs: Sequence[Any], count: int) -> list[Any]:
    """Make the forward node return what the gradients of its branches need. Returns these tensors (of the branches)."""
    slots = [t for p in pairs for t in p.intermediate_tensors]
    if not slots:
        return []
    new_refs = []
    for b, pair in enumerate(pairs):
        graph = pair.forward
        extra: list[Any] = []
        with trace_into(graph):
            for other, p in enumerate(pairs):
                for t in p.intermediate_tensors:
                    extra.append(t if other == b else raw.FakeParam(dtype=t.dtype, shape=t.shape))
                    extra[-1].handle_data = t.handle_data
        graph.outputs = [*graph.outputs[:count], *extra]
        new_refs.append(_named(graph, refs[b].name + "_rewritten"))
    _extend_outputs(forward, slots)
    _set_branches(forward, names, new_refs)
    if forward.attrs.get("output_shapes"):
        forward.attrs["output_shapes"] = [*forward.attrs["output_shapes"], *(t.shape for t in slots)]
    return slots


def _backward_branches(
    refs: Sequence[Any], pairs: Sequence[Any], given: Sequence[int], wanted: Sequence[int], inputs: Sequence[Any], extras: int
) -> list[Any]:
    out = []
    start = len(given)
    for pair, ref in zip(pairs, refs, strict=True):
        graph = FuncGraph(ref.name + "_grad", None)
        with trace_into(graph):
            ps = [graph.add_input(t.dtype, t.shape, f"x{i}", t.handle_data) for i, t in enumerate(inputs)]
            arguments = ps[len(given) + extras :]
            by_output = dict(zip(given, ps, strict=False))
            own = ps[start : start + pair.intermediates]
            feed = [*(by_output[i] for i in pair.grad_outputs), *own, *(arguments[i] for i in pair.used_inputs)]
            found = _inline(pair.backward, graph, feed)
            results = []
            for i in wanted:
                k = pair.grad_inputs[i]
                results.append(found[k] if k is not None else _zeros_for(arguments[i]))
            graph.finish(results)
        start += pair.intermediates
        out.append(_named(graph, ref.name + "_grad"))
    return out


def _trainable(t: Any) -> bool:
    """Whether gradients flow through `t`: floats, and lists and variables of floats."""
    kind = t.dtype.base_dtype.kind
    if kind in "fc":
        return True
    if kind in "rv":
        data = t.handle_data
        return (kind == "v") if not data else len(data) == 1 and data[0][0].kind in "fcv"
    return False


def _reaching(graph: Any) -> list[int]:
    """For each output of `graph`, the inputs that it depends on differentiably, as bits."""
    masks: dict[int, int] = {id(t): 1 << i for i, t in enumerate(graph.inputs)}
    for record in node_records(graph):
        mask = 0
        for t in record.inputs:
            mask |= masks.get(id(t), 0)
        if mask:
            for t in record.outputs:
                if t.dtype.kind in "fcrv":
                    masks[id(t)] = mask
    return [masks.get(id(t), 0) for t in graph.outputs]


def _merged_shapes(refs: Sequence[Any]) -> list[TensorShape]:
    out = []
    for slots in zip(*(r.graph.outputs for r in refs), strict=True):
        shape = slots[0].shape
        for t in slots[1:]:
            shape = shape.most_general(t.shape)
        out.append(shape)
    return out


def _zeros_for(t: Any) -> Any:
    """Zeros in the shape of `t`, or of the variable behind it."""
    if t.dtype is dtypes.resource:
        dtype, shape = t.handle_data[0]
        sizes = np.array(shape.as_list(), np.int32) if shape.is_fully_defined() else raw.VariableShape(t, out_type=dtypes.int32)
        return raw.Fill(sizes, np.zeros((), dtype.numpy))
    zeros = raw.ZerosLike(t)
    zeros.handle_data = t.handle_data
    return zeros


def _inline(graph: FuncGraph, target: FuncGraph, feed: Sequence[Any]) -> list[Any]:
    """Append the body of `graph` to `target` with `feed` as its inputs. Returns its outputs."""
    mapping: dict[int, Any] = {id(p): v for p, v in zip(graph.inputs, feed, strict=True)}
    copy_nodes(graph, target, mapping, True)
    return [mapping[id(t)] for t in graph.outputs]


def _extend_outputs(node: Any, like: Sequence[Any]) -> None:
    make = node.graph.tensor_class
    listening = [t for t in dispatch.context.tapes if t.watches(node.outputs)]
    for t in like:
        new = make(node, len(node.outputs), t.dtype, t.shape)
        new.handle_data = t.handle_data
        node.outputs.append(new)
        for other in listening:  # an outer tape differentiates the gradient too, and goes on from what was added
            other.watch_output(new)
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
    cond, body = attrs["cond"].graph, attrs["body"].graph
    loops = importlib.import_module("tracer.exec.loops")
    return loops.while_loop(prepare(cond), prepare(body), lambda: loops.hoist_products(body), truth)


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
    """Gradients of the loop variables: the forward loop keeps what each turn computed, a second loop goes back over the turns."""
    forward = node.node
    if forward is None:
        raise InvalidArgumentError("While: its gradient is taken from the graph that holds it, and it ran eagerly")
    body = forward.attrs["body"].graph
    count = len(body.outputs)
    initial = list(forward.inputs[:count])
    start = {i: g for i, g in enumerate(grads[:count]) if g is not None and _trainable(body.inputs[i])}
    # Which loop variables carry a gradient: those that a given one depends on, after any number of turns.
    reached = _reaching(body)
    carried, more = set(start), list(start)
    while more:
        mask = reached[more.pop()]
        for j in range(count):
            if mask >> j & 1 and j not in carried and _trainable(body.inputs[j]) and body.inputs[j].dtype is not dtypes.resource:
                carried.add(j)
                more.append(j)
    resources = [
        j for j, t in enumerate(body.inputs)
        if t.dtype is dtypes.resource and _trainable(t) and any(reached[i] >> j & 1 for i in carried)
    ]  # fmt: skip
    order = sorted(carried)
    out: list[Any] = [None] * count
    if order:
        pair = ForwardBackward(body, [*order, *resources], order)
        resources = [j for j in resources if pair.grad_inputs[j] is not None]
        invariant = [_passes_through(body, i) for i in range(count)]
        varying = [i for i in pair.used_inputs if not invariant[i]]
        kept = [*pair.intermediate_tensors, *(pair.forward.inputs[i] for i in varying)]
        turns, stacks = _keep_each_turn(forward, pair, kept, count)
        got = _backward_loop(forward, pair, start, order, resources, varying, kept, turns, stacks, initial)
        for i, g in zip([*order, *resources], got, strict=True):
            out[i] = g
    for i, t in enumerate(initial):
        if out[i] is None and _trainable(t):
            out[i] = _zeros_for(t)
    # the inputs that were added to the node now need none
    return [*out, *[None] * (len(node.inputs) - count)][: len(node.inputs)]


def _keep_each_turn(forward: Any, pair: Any, kept: Sequence[Any], count: int) -> tuple[Any, list[Any]]:
    """Make the forward loop count its turns and push tensors `kept` of its body onto lists. Returns the count and the lists."""
    body_ref, cond_ref = forward.attrs["body"], forward.attrs["cond"]
    new_body = pair.forward
    with trace_into(new_body):
        counter = new_body.add_input(dtypes.int32, TensorShape([]), "turns")
        lists = [new_body.add_input(dtypes.variant, TensorShape([]), f"kept_{k}") for k in range(len(kept))]
        after = []
        for p, t in zip(lists, kept, strict=True):
            p.handle_data = [(t.dtype, t.shape)]
            after.append(raw.TensorListPushBack(p, t, element_dtype=t.dtype))
            after[-1].handle_data = p.handle_data
        counted = raw.AddV2(counter, np.array(1, np.int32))
    new_body.outputs = [*new_body.outputs[:count], counted, *after]
    new_cond = FuncGraph(cond_ref.name + "_rewritten", None)
    with trace_into(new_cond):
        ps = [new_cond.add_input(t.dtype, t.shape, f"x{i}", t.handle_data) for i, t in enumerate(new_body.inputs)]
        new_cond.finish(_inline(cond_ref.graph, new_cond, ps[:count]))
    graph = forward.graph
    tapes, dispatch.context.tapes = dispatch.context.tapes, ()
    try:
        with dispatch.enter_graph(graph), graph._at_top(), dispatch.name_scope(forward.name + "/"):
            extra = [_const(graph, np.array(0, np.int32))]
            for p, t in zip(lists, kept, strict=True):
                static = [-1 if d is None else d for d in t.shape] if t.shape.rank is not None else -1
                extra.append(
                    raw.EmptyTensorList(
                        _const(graph, np.array(static, np.int32)), _const(graph, np.array(-1, np.int32)), element_dtype=t.dtype
                    )
                )
                extra[-1].handle_data = p.handle_data
    finally:
        dispatch.context.tapes = tapes
    forward.inputs.extend(extra)
    _extend_outputs(forward, [counter, *lists])
    forward.attrs["T"] = [t.dtype for t in forward.inputs]
    forward.attrs["body"] = _named(new_body, body_ref.name + "_rewritten")
    forward.attrs["cond"] = _named(new_cond, cond_ref.name + "_rewritten")
    if forward.attrs.get("output_shapes"):
        forward.attrs["output_shapes"] = [*forward.attrs["output_shapes"], *(TensorShape([]) for _ in extra)]
    if "_num_original_outputs" in forward.attrs:
        forward.attrs["_num_original_outputs"] = len(forward.outputs)
    return forward.outputs[count], forward.outputs[count + 1 :]


def _backward_loop(
    forward: Any, pair: Any, start: dict[int, Any], order: Sequence[int], resources: Sequence[int], varying: Sequence[int],
    kept: Sequence[Any], turns: Any, stacks: Sequence[Any], initial: Sequence[Any],
) -> list[Any]:  # fmt: skip
    """The loop that pops what each turn kept and runs the gradient of the body. Returns the gradients of `order`, then of `resources`."""
    body = pair.forward
    constants = [i for i in pair.used_inputs if i not in varying]
    first = [tape.densify(start[i]) if i in start else _zeros_for(forward.outputs[i]) for i in order]
    loop = [turns, *first, *(_zeros_for(initial[i]) for i in resources), *stacks, *(initial[i] for i in constants)]
    shapes = [
        TensorShape([]), *(body.inputs[i].shape for i in order), *(initial[i].handle_data[0][1] for i in resources),
        *(TensorShape([]) for _ in stacks), *(initial[i].shape for i in constants),
    ]  # fmt: skip
    name = forward.attrs["body"].name.removesuffix("_rewritten")
    back = FuncGraph(name + "_grad", None)
    with trace_into(back):
        ps = [back.add_input(t.dtype, s, f"x{i}", t.handle_data) for i, (t, s) in enumerate(zip(loop, shapes, strict=True))]
        bounds = np.cumsum([1, len(order), len(resources), len(stacks)])
        g_ps, r_ps, s_ps, c_ps = ps[1 : bounds[1]], ps[bounds[1] : bounds[2]], ps[bounds[2] : bounds[3]], ps[bounds[3] :]
        popped, rest = [], []
        for p, t in zip(s_ps, kept, strict=True):
            handle, value = raw.TensorListPopBack(p, np.array(-1, np.int32), element_dtype=t.dtype)
            value.set_shape(t.shape)
            value.handle_data = t.handle_data
            handle.handle_data = p.handle_data
            popped.append(value)
            rest.append(handle)
        own = dict(zip(varying, popped[pair.intermediates :], strict=True))
        own.update(zip(constants, c_ps, strict=True))
        grad_of = dict(zip(order, g_ps, strict=True))
        feed = [*(grad_of[i] for i in pair.grad_outputs), *popped[: pair.intermediates], *(own[i] for i in pair.used_inputs)]
        found = _inline(pair.backward, back, feed)
        results = [raw.Sub(ps[0], np.array(1, np.int32))]
        for i, g in zip(order, g_ps, strict=True):
            k = pair.grad_inputs[i]
            results.append(found[k] if k is not None else _zeros_for(g))
        for i, r in zip(resources, r_ps, strict=True):
            results.append(raw.AddV2(r, found[pair.grad_inputs[i]]))
        back.finish([*results, *rest, *c_ps])
    test = FuncGraph(name + "_grad_cond", None)
    with trace_into(test):
        ps = [test.add_input(t.dtype, s, f"x{i}", t.handle_data) for i, (t, s) in enumerate(zip(loop, shapes, strict=True))]
        test.finish([raw.Greater(ps[0], np.array(0, np.int32))])
    attrs = {
        "T": [t.dtype for t in loop],
        "cond": _named(test, name + "_grad_cond"),
        "body": _named(back, name + "_grad"),
        "output_shapes": shapes,
        "parallel_iterations": forward.attrs.get("parallel_iterations", 10),
        "_lower_using_switch_merge": True,
        "_num_original_outputs": len(loop),
        "_read_only_resource_inputs": [i for i, t in enumerate(loop) if t.dtype is dtypes.resource],
    }
    record = get_op("While" if back.is_stateful else "StatelessWhile")
    got = list(dispatch.bind(record, loop, attrs, "gradients/" + forward.name + "_grad"))
    for new, old in zip(got, ps, strict=True):
        new.handle_data = old.handle_data
    return got[1 : 1 + len(order) + len(resources)]


_while_gradient.accepts_none = True  # type: ignore[attr-defined]


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
            values = body.nested(np.array(i, np.int32), *values)
        return values

    return run


loop_cond_op = op("ToBool(input: T) -> (output: bool); T: type").not_differentiable()
loop_cond_op.infer(infer.scalar)
loop_cond_op.kernel(lambda x: np.array(truth(x)))
