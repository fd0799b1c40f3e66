"""Control flow that users call: tf.cond, case, switch_case, while_loop and their helpers. The records of If, Case and While are in control_flow.py.

Eagerly these run Python; while tracing they record the functional ops as TensorFlow does. Loops over elements are in control_maps.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, functions, nest, tape
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.infer import constant_value
from tracer.ir.attrs import FunctionRef
from tracer.public import public
from tracer.registry import get_op
from tracer.shapes import TensorShape, as_shape
from tracer.specs import TensorSpec, TypeSpec, type_spec_from_value
from tracer.tensor import SymbolicTensor, Tensor, convert_to_tensor
from tracer.tracing import READ_ONLY_OPS, FuncGraph, next_uid, trace_into

# -- tracing branches ------------------------------------------------------------------------------------------------


def function_name(scope: str, stem: str) -> str:
    """TensorFlow's name of a branch: the scope, what it is, and a number that no other function has."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", f"{scope}{stem}_{next_uid()}")


def _new_graph(scope: str, stem: str) -> FuncGraph:
    graph = FuncGraph(function_name(scope, stem), dispatch.current_graph())
    graph.scopes.current = scope.rstrip("/")
    return graph


def _close(graph: FuncGraph, outer: Any) -> None:
    """Hand to the outer graph what is kept per function."""
    outer.created_variables.extend(v for v in graph.created_variables if all(v is not o for o in outer.created_variables))


def _flatten_result(result: Any, what: str) -> tuple[list[Any], Any]:
    """Flat tensors of a branch's result and its structure, with specs in place of tensors and None kept."""
    flat: list[Any] = []

    def leaf(value: Any) -> Any:
        if value is None:
            return None
        if hasattr(value, "_type_spec") and not isinstance(value, Tensor):
            spec = value._type_spec
            flat.extend(convert_to_tensor(part) for part in spec.to_components(value))
            return spec
        try:
            t = convert_to_tensor(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{what} must return tensors, composite tensors, None or structures of these; received {value!r} of type "
                f"{type(value).__name__} ({error})"
            ) from None
        flat.append(t)
        return TensorSpec(t.shape, t.dtype)

    return flat, nest.map_structure(leaf, result)


def _pack(structure: Any, flat: Sequence[Any]) -> Any:
    """Flat tensors in a structure of specs."""
    leaves = iter(flat)

    def leaf(spec: Any) -> Any:
        if spec is None:
            return None
        if isinstance(spec, TypeSpec) and spec.is_composite_spec:
            return spec.from_components([next(leaves) for _ in spec.component_specs])
        return next(leaves)

    return nest.map_structure(leaf, structure)


def _watch_captured(captured: Sequence[Any]) -> None:
    """Tell the listening tapes of the variables that a traced branch reads."""
    if not dispatch.context.tapes:
        return
    for t in captured:
        owner = getattr(getattr(t, "_value", None), "owner", None)
        variable = owner() if owner is not None else None
        if variable is not None and variable.trainable:
            tape.variable_accessed(variable)


def read_only_resources(graphs: Sequence[FuncGraph], inputs: Sequence[Any], offset: int) -> list[int]:
    """Positions (counted from `offset`) of the resource inputs that no branch writes."""
    out = []
    for i, t in enumerate(inputs):
        if t.dtype is dtypes.resource and all(_only_read(g, g.inputs[i]) for g in graphs):
            out.append(i + offset)
    return out


def _only_read(graph: Any, tensor: Any) -> bool:
    for node in graph:
        for k, t in enumerate(node.inputs):
            if t is not tensor or node.op in READ_ONLY_OPS:
                continue
            if node.op == "Identity" and any(node.outputs[0] is o for o in graph.outputs):
                continue
            read = node.attrs.get("_read_only_resource_inputs")
            if read is None or k not in read:
                return False
    return True


def _same_inputs(graphs: Sequence[FuncGraph]) -> list[Any]:
    """Give all branches the same inputs: the union of their captures, in the order in which they first appear."""
    order: dict[int, Any] = {}
    for graph in graphs:
        for outer, _ in graph.captures:
            order.setdefault(id(outer), outer)
    for graph in graphs:
        known = {id(outer): inner for outer, inner in graph.captures}
        captures = []
        for key, outer in order.items():
            inner = known.get(key)
            if inner is None:
                with graph._at_top():
                    inner = graph.placeholder(outer.dtype, outer.shape, "Placeholder", outer.handle_data)
            captures.append((outer, inner))
        graph.captures = captures
        graph.inputs = [inner for _, inner in captures]
    return list(order.values())


def _check_branches(op_name: str, graphs: Sequence[FuncGraph], structures: list[Any], names: Sequence[str]) -> None:
    first = structures[0]
    for name, other, graph in zip(names[1:], structures[1:], graphs[1:], strict=True):
        detail = ""
        try:
            nest.assert_same_structure(first, other, expand_composites=True)
        except (TypeError, ValueError) as error:
            detail = str(error)
        if not detail:
            for a, b in zip(nest.flatten(first), nest.flatten(other), strict=True):
                if (a is None) != (b is None):
                    detail = "one branch returns None where the other returns a tensor"
                elif a is not None and type(a) is not type(b):
                    detail = f"{a!r} and {b!r} are of different kinds"
        if not detail:
            for a, b in zip(graphs[0].outputs, graph.outputs, strict=True):
                if a.dtype != b.dtype:
                    detail = f"{a.name} and {b.name} have different types: {a.dtype.name} and {b.dtype.name}"
                    break
        if detail:
            raise TypeError(
                f"{names[0]} and {name} arguments to {op_name} must have the same number, type, and overall structure of return "
                f"values.\n\n{names[0]} output: {first!r}\n{name} output: {other!r}\n\nError details:\n{detail}"
            )


def _merged_structure(structures: Sequence[Any]) -> Any:
    """The structure of the result: specs made as general as the branches need."""

    def leaf(*specs: Any) -> Any:
        found = specs[0]
        if found is None:
            return None
        for s in specs[1:]:
            general = found.most_general(s)
            if general is None:
                raise TypeError(f"branches return values of specs that have none in common: {found!r} and {s!r}")
            found = general
        return found

    flat = [leaf(*specs) for specs in zip(*(nest.flatten(s) for s in structures), strict=True)]
    return nest.pack_sequence_as(structures[0], flat)


def _trace_branches(op_name: str, scope: str, fns: Sequence[Callable[[], Any]], stems: Sequence[str], names: Sequence[str]) -> Any:
    outer = dispatch.current_graph()
    graphs, structures = [], []
    for fn, stem in zip(fns, stems, strict=True):
        graph = _new_graph(scope, stem)
        with trace_into(graph):
            flat, structure = _flatten_result(fn(), f"{op_name}: {names[len(graphs)]}")
            graph.finish(flat)
        _close(graph, outer)
        graphs.append(graph)
        structures.append(structure)
    _check_branches(op_name, graphs, structures, names)
    inputs = _same_inputs(graphs)
    _watch_captured(inputs)
    shapes = []
    for slots in zip(*(g.outputs for g in graphs), strict=True):
        shape = slots[0].shape
        for t in slots[1:]:
            shape = shape.most_general(t.shape)
        shapes.append(shape)
    attrs = {
        "Tin": [t.dtype for t in inputs],
        "Tout": [t.dtype for t in graphs[0].outputs],
        "output_shapes": shapes,
        "_lower_using_switch_merge": True,
        "_read_only_resource_inputs": read_only_resources(graphs, inputs, 1),
    }
    return graphs, inputs, attrs, _merged_structure(structures), any(g.is_stateful for g in graphs)


def _finish_branches(outputs: Sequence[Any], graphs: Sequence[FuncGraph], structure: Any) -> Any:
    results = []
    for out, *slots in zip(outputs, *(g.outputs for g in graphs), strict=True):
        if all(s.handle_data is not None for s in slots):
            out.handle_data = slots[0].handle_data
        results.append(raw.Identity(out))
        results[-1].handle_data = out.handle_data
    return _pack(structure, results)


def _ref(graph: FuncGraph) -> FunctionRef:
    return functions.reference(graph)


def _callable(fn: Any, what: str) -> None:
    if not callable(fn):
        raise TypeError(f"'{what}' must be a callable. Received {fn!r}.")


# -- cond ------------------------------------------------------------------------------------------------------------


@public("cond")
def cond(pred: Any, true_fn: Any = None, false_fn: Any = None, name: str | None = None) -> Any:
    """`true_fn()` where the scalar `pred` is true, else `false_fn()`.

    While tracing both are traced, and must return the same structure and dtypes (shapes may differ).

    Raises:
        TypeError: a branch is not callable, or the branches return different structures or dtypes.
    """
    _callable(true_fn, "true_fn")
    _callable(false_fn, "false_fn")
    if dispatch.executing_eagerly():
        return true_fn() if pred else false_fn()
    if isinstance(pred, bool):
        raise TypeError(f"pred must not be a Python bool while tracing; received {pred!r}. Use a Python `if`, or tf.constant.")
    with dispatch.name_scope(name or "cond") as scope:
        pred = convert_to_tensor(pred)
        if pred.shape.rank not in (0, None):
            pred = raw.Squeeze(pred)
        graphs, inputs, attrs, structure, stateful = _trace_branches(
            "tf.cond", scope, (true_fn, false_fn), ("true", "false"), ("true_fn", "false_fn")
        )
        attrs.update(Tcond=pred.dtype.base_dtype, then_branch=_ref(graphs[0]), else_branch=_ref(graphs[1]))
        op = get_op("If" if stateful else "StatelessIf")
        outputs = list(dispatch.bind(op, [pred, *inputs], attrs, scope))
        return _finish_branches(outputs, graphs, structure)


def smart_cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None) -> Any:
    """`cond`, but only one branch is run or traced where `pred` is a Python value or a constant."""
    known = static_truth(pred)
    if known is not None:
        return true_fn() if known else false_fn()
    return cond(pred, true_fn, false_fn, name)


def static_truth(pred: Any) -> bool | None:
    """The truth of `pred` where it is known without running a graph, else None."""
    if getattr(pred, "_is_variable", False):
        return None if not dispatch.executing_eagerly() else bool(pred)
    if isinstance(pred, Tensor):
        value = constant_value(pred)
        return None if value is None else bool(value)
    if pred in (0, 1):  # bools too
        return bool(pred)
    raise TypeError(f"'pred' must be a Python bool, 1 or 0, or a tensor; received {pred!r} of type {type(pred).__name__}")


public("__internal__.smart_cond.smart_cond", "smart_cond")(smart_cond)


def _branch_list(branch_fns: Any, default: Any) -> list[Callable[[], Any]]:
    if isinstance(branch_fns, dict):
        pairs = sorted(branch_fns.items())
    elif branch_fns and all(isinstance(f, tuple) and len(f) == 2 for f in branch_fns):
        pairs = sorted(branch_fns, key=lambda p: p[0])
    else:
        if not isinstance(branch_fns, (list, tuple)) or not branch_fns:
            raise TypeError(f"branch_fns must be a dict or a non-empty list; received {branch_fns!r}")
        pairs = list(enumerate(branch_fns))
    for key, fn in pairs:
        if not isinstance(key, (int, np.integer)) or isinstance(key, bool):
            raise TypeError(f"Keys of branch_fns must be Python integers. Received: {key!r}")
        if not callable(fn):
            raise TypeError(f"branch_fns[{key}] must be callable. Received: {fn!r}")
    if default is not None:
        _callable(default, "default")
    if [k for k, _ in pairs] != list(range(len(pairs))):
        raise InvalidArgumentError(
            f"branch indices (keys) must form contiguous range of [0 to {len(pairs)}) but found {{{','.join(str(k) for k, _ in pairs)}}}"
        )
    fns = [fn for _, fn in pairs]
    return fns if default is None else [*fns, default]


@public("switch_case")
def switch_case(branch_index: Any, branch_fns: Any, default: Any = None, name: str = "switch_case") -> Any:
    """The branch of number `branch_index` (a scalar int32); the default, or else the last one, for numbers out of range.

    Args:
        branch_fns: a list of callables, or a dict or list of pairs from number to callable.

    Raises:
        TypeError, ValueError: branches are no callables, their numbers leave gaps and there is no default, or they disagree.
    """
    fns = _branch_list(branch_fns, default)
    with dispatch.name_scope(name):
        if dispatch.executing_eagerly():
            index = int(convert_to_tensor(branch_index))
            return fns[index if 0 <= index < len(fns) else -1]()
        return indexed_case(branch_index, fns)


def indexed_case(branch_index: Any, fns: Sequence[Callable[[], Any]]) -> Any:
    with dispatch.name_scope("indexed_case") as scope:
        index = convert_to_tensor(branch_index, dtypes.int32) if not isinstance(branch_index, Tensor) else branch_index
        if index.dtype is not dtypes.int32:
            raise TypeError(f"branch_index must be an int32 tensor; received {index.dtype.name}")
        names = [f"branch{i}" for i in range(len(fns))]
        graphs, inputs, attrs, structure, stateful = _trace_branches("tf.switch_case", scope, fns, names, names)
        attrs["branches"] = [_ref(g) for g in graphs]
        op = get_op("Case" if stateful else "StatelessCase")
        outputs = list(dispatch.bind(op, [index, *inputs], attrs, scope))
        return _finish_branches(outputs, graphs, structure)


@public("case")
def case(pred_fn_pairs: Any, default: Any = None, exclusive: bool = False, strict: bool = False, name: str = "case") -> Any:
    """The callable of the first true predicate of the pairs `(predicate, callable)`; `default()` where none is true.

    Raises:
        TypeError: a pair is none, or a callable is none.
        InvalidArgumentError: `exclusive`, and several predicates are true; or none is and there is no default.
    """
    pairs = _case_pairs(pred_fn_pairs, default)
    with dispatch.name_scope(name):
        if dispatch.executing_eagerly():
            hits = [fn for p, fn in pairs if bool(p)] if exclusive else [next((fn for p, fn in pairs if bool(p)), None)]
            hits = [h for h in hits if h is not None]
            if exclusive and len(hits) > 1:
                raise InvalidArgumentError(
                    f"case: More than one condition evaluated as True but exclusive=True. {len(hits)} of {len(pairs)} are true."
                )
            if hits:
                return hits[0]()
            if default is None:
                raise InvalidArgumentError("case: None of the conditions evaluated as True, and there is no default.")
            return default()
        preds = [convert_to_tensor(p, dtypes.bool) for p, _ in pairs]
        checks: list[Any] = []
        if exclusive:
            count = raw.Sum(raw.Cast(raw.Pack(preds), DstT=dtypes.int32), [0])
            message = "Input error: exclusive=True: more than 1 conditions evaluated to True"
            raw.Assert(raw.LessEqual(count, 1), [message])
        fns = [fn for _, fn in pairs]
        last = default
        if last is None:
            # TensorFlow asserts that one of the conditions holds and takes the last one.
            last, reached = fns[-1], preds[-1]
            fns, preds = fns[:-1], preds[:-1]
            inner = last

            def checked() -> Any:
                raw.Assert(reached, ["Input error: None of conditions evaluated as True"])
                return inner()

            last = checked
        chosen = last
        for p, fn in reversed(list(zip(preds, fns, strict=True))):
            chosen = _nested(p, fn, chosen)
        del checks
        return chosen()


def _nested(p: Any, fn: Any, otherwise: Any) -> Callable[[], Any]:
    return lambda: cond(p, fn, otherwise)


def _case_pairs(given: Any, default: Any) -> list[tuple[Any, Any]]:
    if isinstance(given, dict):
        pairs = [(k.deref() if hasattr(k, "deref") else k, v) for k, v in given.items()]
    elif isinstance(given, (list, tuple)):
        pairs = list(given)
    else:
        raise TypeError(f"'pred_fn_pairs' must be a list, tuple, or dict. Received: {type(given)}")
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"Each entry in 'pred_fn_pairs' must be a 2-tuple. Received {pair!r}.")
        pred, fn = pair
        if isinstance(pred, Tensor):
            if pred.dtype is not dtypes.bool:
                raise TypeError(f"pred must be Tensor of type bool: {pred!r}")
        elif not isinstance(pred, (bool, np.bool_)):
            raise TypeError(f"pred must be a Tensor of type bool, got a Python {type(pred).__name__}: {pred!r}")
        if not callable(fn):
            raise TypeError(f"fn for pred {pred!r} must be callable.")
    if default is not None and not callable(default):
        raise TypeError("default must be callable.")
    if not pairs and default is None:
        raise InvalidArgumentError("'pred_fn_pairs' must not be empty unless a default is given")
    return pairs


# -- while_loop ------------------------------------------------------------------------------------------------------


@public("while_loop")
def while_loop(
    cond: Any, body: Any, loop_vars: Any, shape_invariants: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
    swap_memory: bool = False, maximum_iterations: Any = None, name: str | None = None,
) -> Any:  # fmt: skip
    """Run `loop_vars = body(*loop_vars)` while `cond(*loop_vars)` is true. Returns the loop variables, in their structure.

    Args:
        shape_invariants: the shapes (TensorShape or TypeSpec) that the loop variables keep; by default those they enter with.
        maximum_iterations: stop after this many turns.

    Raises:
        TypeError, ValueError: structures, dtypes or shapes change from one turn to the next.
    """
    return run_while(
        cond, body, loop_vars, shape_invariants, parallel_iterations, back_prop, swap_memory, maximum_iterations, name, True
    )


@public("compat.v1.while_loop")
def while_loop_v1(
    cond: Any, body: Any, loop_vars: Any, shape_invariants: Any = None, parallel_iterations: int = 10, back_prop: bool = True,
    swap_memory: bool = False, name: str | None = None, maximum_iterations: Any = None, return_same_structure: bool = False,
) -> Any:  # fmt: skip
    """`tf.while_loop` as of TensorFlow 1: a single loop variable is returned bare unless `return_same_structure`."""
    return run_while(
        cond, body, loop_vars, shape_invariants, parallel_iterations, back_prop, swap_memory, maximum_iterations, name,
        return_same_structure,
    )  # fmt: skip


def _check_loop_arguments(cond: Any, body: Any, loop_vars: Any, parallel_iterations: Any) -> None:
    if not callable(cond):
        raise TypeError(f"'cond' must be callable. Received {cond!r}")
    if not callable(body):
        raise TypeError(f"'body' must be callable. Received {body!r}")
    if parallel_iterations is not None and parallel_iterations < 1:
        raise TypeError(f"'parallel_iterations' must be a positive integer. Received {parallel_iterations!r}")
    if not isinstance(loop_vars, (list, tuple)) and not nest.is_nested(loop_vars):
        raise TypeError(f"'loop_vars' must be a list, tuple or other structure; received {loop_vars!r}")
    if len(loop_vars) == 0:
        raise InvalidArgumentError("'loop_vars' must be provided: expected at least one loop variable, received none.")


def run_while(
    cond: Any, body: Any, loop_vars: Any, shape_invariants: Any, parallel_iterations: int, back_prop: bool, swap_memory: bool,
    maximum_iterations: Any, name: str | None, return_same_structure: bool,
) -> Any:  # fmt: skip
    _check_loop_arguments(cond, body, loop_vars, parallel_iterations)
    if dispatch.executing_eagerly():
        return _eager_while(cond, body, loop_vars, maximum_iterations, return_same_structure)
    return _traced_while(
        cond, body, loop_vars, shape_invariants, parallel_iterations or 10, maximum_iterations, name, return_same_structure
    )


def _eager_while(cond: Any, body: Any, loop_vars: Any, maximum_iterations: Any, return_same_structure: bool) -> Any:
    single = len(loop_vars) == 1 and not return_same_structure
    structure = list(loop_vars)
    limit = None if maximum_iterations is None else int(maximum_iterations)
    turns = 0
    packed = False
    while (limit is None or turns < limit) and cond(*loop_vars):
        loop_vars = body(*loop_vars)
        packed = False
        if not isinstance(loop_vars, (list, tuple)) and len(structure) == 1:
            loop_vars, packed = (loop_vars,), True
        nest.assert_same_structure(structure, list(loop_vars), check_types=False)
        turns += 1

    def leaf(value: Any) -> Any:
        if hasattr(value, "_type_spec") and not isinstance(value, Tensor):
            return value
        return None if value is None else convert_to_tensor(value)

    result = nest.map_structure(leaf, loop_vars)
    return result[0] if single or (packed and not return_same_structure) else result


def _to_spec(value: Any, invariant: Any) -> Any:
    """The spec that loop variable `value` keeps."""
    own = type_spec_from_value(value)
    if invariant is None:
        return own
    if isinstance(invariant, TypeSpec):
        if not invariant.is_compatible_with(value):
            raise ShapeError(f"The shape invariant {invariant!r} is not compatible with the loop variable {value!r} of spec {own!r}")
        return invariant
    shape = as_shape(invariant)
    if isinstance(own, TensorSpec):
        if not own.shape.is_subtype_of(shape):
            raise ShapeError(
                f"The shape invariant specified for {getattr(value, 'name', value)!r} is not compatible with the initial shape of "
                f"the loop variable. It enters the loop with shape {own.shape}, but the specified shape invariant is {shape}."
            )
        return TensorSpec(shape, own.dtype)
    state = list(own.serialize())
    state[0] = shape
    return type(own)(*state)


def _flatten_invariants(loop_vars: Any, invariants: Any) -> list[Any]:
    count = len(nest.flatten(loop_vars))
    if invariants is None:
        return [None] * count

    def shallow(value: Any, given: Any) -> list[Any]:
        if not nest.is_nested(value):
            if given is not None and not isinstance(given, (TensorShape, TypeSpec)):
                given = as_shape(given)
            return [given]
        values = [value[k] for k in sorted(value)] if isinstance(value, dict) else list(value)
        try:
            parts = [given[k] for k in sorted(given)] if isinstance(given, dict) else list(given)
        except TypeError:
            parts = []
        if len(parts) != len(values):
            raise InvalidArgumentError(
                f"shape_invariants must have the structure of loop_vars: expected {len(values)} entries, received {given!r}"
            )
        return [s for v, g in zip(values, parts, strict=True) for s in shallow(v, g)]

    return shallow(loop_vars, invariants)


def _enter(value: Any) -> Any:
    """A loop variable as a tensor or composite of the graph being traced."""
    if value is None:
        return None
    if hasattr(value, "_type_spec") and not isinstance(value, Tensor):
        return value
    return convert_to_tensor(value)


def _traced_while(
    cond: Any, body: Any, loop_vars: Any, invariants: Any, parallel_iterations: int, maximum_iterations: Any, name: str | None,
    return_same_structure: bool,
) -> Any:  # fmt: skip
    outer = dispatch.current_graph()
    with dispatch.name_scope(name or "while") as scope:
        values = nest.map_structure(_enter, loop_vars)
        leaves = nest.flatten(values)
        specs = [None if v is None else _to_spec(v, s) for v, s in zip(leaves, _flatten_invariants(values, invariants), strict=True)]
        structure = nest.pack_sequence_as(values, specs)
        flat: list[Any] = []
        flat_specs: list[TensorSpec] = []
        for v, s in zip(leaves, specs, strict=True):
            if s is not None:
                flat.extend(convert_to_tensor(p) for p in s.to_components(v))
                flat_specs.extend(s.component_specs)
        limit, counter = _loop_limit(maximum_iterations, outer)
        count = len(flat)
        handles = [t.handle_data for t in flat]

        def arguments(graph: FuncGraph) -> list[Any]:
            graph.add_input(counter.dtype, TensorShape([]), "loop_counter")
            graph.add_input(limit.dtype, TensorShape([]), "maximum_iterations")
            return [graph.add_input(s.dtype, s.shape, "placeholder", h) for s, h in zip(flat_specs, handles, strict=True)]

        def unpack(args: Sequence[Any]) -> Any:
            return _pack(structure, args)

        # -- the condition
        cond_graph = _new_graph(scope, "cond")
        with trace_into(cond_graph):
            args = unpack(arguments(cond_graph))
            wanted = _call(cond, args)
            test = convert_to_tensor(wanted) if not isinstance(wanted, Tensor) else wanted
            if test.shape.rank != 0:
                test = raw.Squeeze(test)
            if maximum_iterations is not None:
                test = raw.LogicalAnd(raw.Less(*cond_graph.inputs[:2]), test)
            cond_graph.finish([test])
        _close(cond_graph, outer)
        # -- the body
        body_graph = _new_graph(scope, "body")
        with trace_into(body_graph):
            args = unpack(arguments(body_graph))
            for captured, _ in cond_graph.captures:
                body_graph.capture(captured)
            result = _call(body, args)
            if not nest.is_nested(result) and len(values) == 1:
                result = type(values)([result]) if isinstance(values, list) else (result,)
            _check_structure(values, result)
            body_flat, body_structure = _flatten_result(result, "tf.while_loop: body")
            body_flat = _check_body(flat_specs, flat, body_flat, specs, nest.flatten(body_structure))
            next_counter = raw.AddV2(body_graph.inputs[0], convert_to_tensor(1, counter.dtype))
            body_graph.finish([next_counter, body_graph.inputs[1], *body_flat])
        _close(body_graph, outer)
        captured = [t for t, _ in body_graph.captures]
        body_graph.outputs.extend(inner for _, inner in body_graph.captures)
        known = {id(t): inner for t, inner in cond_graph.captures}
        cond_graph.captures = []
        for t in captured:
            inner = known.get(id(t))
            if inner is None:
                with cond_graph._at_top():
                    inner = cond_graph.placeholder(t.dtype, t.shape, "redundant_placeholder0", t.handle_data)
            cond_graph.captures.append((t, inner))
        cond_graph.inputs = [*cond_graph.inputs[: count + 2], *(inner for _, inner in cond_graph.captures)]
        _watch_captured(captured)
        inputs = [counter, limit, *flat, *captured]
        attrs = {
            "T": [t.dtype for t in inputs],
            "cond": _ref(cond_graph),
            "body": _ref(body_graph),
            "output_shapes": [TensorShape([]), TensorShape([]), *(s.shape for s in flat_specs), *(t.shape for t in captured)],
            "parallel_iterations": parallel_iterations,
            "_lower_using_switch_merge": True,
            "_num_original_outputs": len(inputs),
            "_read_only_resource_inputs": read_only_resources((cond_graph, body_graph), inputs, 0),
        }
        stateful = cond_graph.is_stateful or body_graph.is_stateful
        outputs = list(dispatch.bind(get_op("While" if stateful else "StatelessWhile"), inputs, attrs, scope))
        for out, t, end in zip(outputs, inputs, body_graph.outputs, strict=True):
            out.handle_data = end.handle_data or t.handle_data
        packed = unpack(outputs[2 : 2 + count])
        if not return_same_structure and len(packed) == 1 and isinstance(packed, (list, tuple)):
            return packed[0]
        return packed


def _loop_limit(maximum_iterations: Any, graph: FuncGraph) -> tuple[Any, Any]:
    """The operands that every loop begins with: the greatest number of turns (-1: no limit) and the counter of turns."""
    if maximum_iterations is None:
        limit = graph.constant(np.array(-1, np.int32), dtypes.int32, "maximum_iterations")
    elif isinstance(maximum_iterations, Tensor):
        limit = maximum_iterations
        if limit.shape.rank not in (0, None):
            raise ShapeError(f"'maximum_iterations' must be a scalar. Received shape: {limit.shape}")
    else:
        limit = graph.constant(np.array(maximum_iterations, np.int32), dtypes.int32, "maximum_iterations")
    counter = graph.constant(np.array(0, limit.dtype.numpy), limit.dtype, "loop_counter")
    return limit, counter


def _call(fn: Any, args: Any) -> Any:
    return fn(**args) if isinstance(args, dict) else fn(*args)


def _check_structure(values: Any, result: Any) -> None:
    given = list(values) if isinstance(values, tuple) and not hasattr(values, "_fields") else values
    got = list(result) if isinstance(result, tuple) and not hasattr(result, "_fields") else result
    try:
        nest.assert_same_structure(given, got, check_types=False)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"tf.while_loop: body must return values with the structure of loop_vars. The two structures don't have the same nested "
            f"structure: {error}"
        ) from None


def _check_body(specs: Sequence[TensorSpec], flat: Sequence[Any], outputs: Sequence[Any], loop_specs: Any, body_specs: Any) -> list[Any]:
    if len(specs) != len(outputs):
        pairs = [(a, b) for a, b in zip(loop_specs, body_specs, strict=False) if type(a) is not type(b)]
        raise InvalidArgumentError(
            f"tf.while_loop: a loop variable changes its kind from one turn to the next: enters with {pairs[0][0] if pairs else specs!r}, "
            f"body returns {pairs[0][1] if pairs else outputs!r}"
        )
    for spec, start, out in zip(specs, flat, outputs, strict=True):
        label = start.node.name + f":{start.index}" if getattr(start, "node", None) is not None else repr(start)
        if out.dtype.base_dtype != spec.dtype.base_dtype:
            raise TypeError(
                f"Loop var {label} enters the loop with type <dtype: {spec.dtype.name!r}> but has type <dtype: {out.dtype.name!r}> after 1 iteration."
            )
        if not out.shape.is_subtype_of(spec.shape):
            raise ShapeError(
                f"Input tensor {label!r} enters the loop with shape {spec.shape}, but has shape {out.shape} after one iteration. To "
                f"allow the shape to vary across iterations, use the `shape_invariants` argument of tf.while_loop to specify a "
                f"less-specific shape."
            )
    return list(outputs)


# -- the rest --------------------------------------------------------------------------------------------------------


@public("is_symbolic_tensor")
def is_symbolic_tensor(tensor: Any) -> bool:
    """Whether `tensor` (or a component of it) belongs to a graph and has no value."""
    if isinstance(tensor, Tensor):
        return isinstance(tensor, SymbolicTensor)
    if hasattr(tensor, "_type_spec"):
        return any(isinstance(t, SymbolicTensor) for t in nest.flatten(tensor, expand_composites=True))
    return False


@public("get_static_value")
def get_static_value(tensor: Any, partial: bool = False) -> Any:
    """The value of `tensor` as an array where it is known without running a graph, else None.

    With `partial`, a vector of which some elements are known is an object array with None for the others.
    """
    if isinstance(tensor, Tensor):
        value = constant_value(tensor)
        if value is None and partial and getattr(tensor, "node", None) is not None and tensor.node.op == "Pack":
            parts = [constant_value(t) for t in tensor.node.inputs]
            if tensor.shape.rank == 1:
                out = np.empty(len(parts), object)
                for i, p in enumerate(parts):
                    out[i] = None if p is None else p[()]
                return out
        return None if value is None else value[()] if value.ndim == 0 else value.copy()
    return tensor if isinstance(tensor, (np.ndarray, np.generic)) else None


@public("recompute_grad")
def recompute_grad(f: Any) -> Any:
    """`f`, whose gradient computes the forward values again instead of keeping them."""
    from tracer.gradients import custom_gradient

    @custom_gradient
    def inner(*args: Any, **kwargs: Any) -> Any:
        result = f(*args, **kwargs)

        def grad(*out_grads: Any, **wrapped: Any) -> Any:
            variables = wrapped.get("variables")
            with tape.GradientTape() as inner_tape:
                sources = nest.map_structure(lambda a: raw.Identity(convert_to_tensor(a)), list(args))
                inner_tape.watch(sources)
                if variables is not None:
                    inner_tape.watch(variables)
                again = f(*sources, **kwargs)
            found = inner_tape.gradient(again, [sources, list(variables or ())], output_gradients=list(out_grads) if nest.is_nested(again) else out_grads[0])
            if variables is not None:
                return nest.flatten(found[0]), found[1]
            return nest.flatten(found[0])

        return result, grad

    return inner


@public("grad_pass_through")
def grad_pass_through(f: Any) -> Any:
    """`f`, whose gradient is taken to be that of the identity."""
    from tracer.gradients import custom_gradient

    @custom_gradient
    def inner(*args: Any, **kwargs: Any) -> Any:
        def grad(*out_grads: Any, **wrapped: Any) -> Any:
            variables = wrapped.get("variables")
            passed = out_grads[0] if len(out_grads) == 1 else list(out_grads)
            return (passed, [None] * len(variables)) if variables is not None else passed

        return f(*args, **kwargs), grad

    return inner


public("config.run_functions_eagerly")(functions.run_functions_eagerly)
public("config.functions_run_eagerly")(functions.functions_run_eagerly)
