"""From a function graph to a flat list of steps: calls inlined, pruned, with constants in place. It refuses to run kernels.

Effects keep the order in which they stand in the graph: TensorFlow's control edges are honoured, and effects that no edge orders run in
node order. The body of an inlined call stands where the call stood, so what was ordered around the call is ordered around its body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracer import registry
from tracer.errors import GraphError
from tracer.ir.attrs import FunctionRef
from tracer.ir.graph import Node, topological_order
from tracer.tracing import CALL_OPS, HANDLE_OPS, RANDOM_OPS, READ_ONLY_OPS

__all__ = ["Plan", "Step", "finds_resources", "has_effect", "make_plan", "uses_old_control_flow", "writes_resources"]

_DEEPEST_CALL = 48
_MOST_STEPS = 200_000
_READS = frozenset("ReadVariableOp ResourceGather ResourceGatherNd VariableShape VarIsInitializedOp LookupTableFindV2 LookupTableSizeV2".split())
_ALIASES = frozenset("Identity StopGradient PreventGradient Snapshot".split())
_CALLS = frozenset(("PartitionedCall", "StatefulPartitionedCall"))
_OLD_CONTROL_FLOW = frozenset("Switch Merge Enter Exit NextIteration RefSwitch RefMerge RefEnter RefExit RefNextIteration _SwitchN".split())
_PYTHON_CALLS = frozenset("EagerPyFunc PyFunc PyFuncStateless".split())


class Step:
    """One kernel call: reads `inputs` slots, writes `outputs` slots, then frees `free`.

    Attributes:
        node: the node it comes from, for its op, attrs and name. where: the function that holds the node.
        kernel: what runs; None until it is bound to the op's kernel.
        op: the node's op, or a name of its own where steps were fused.
        dtypes: for each output the NumPy dtype that its value must have; None where any value will do.
        single: the kernel returns its one output itself, not a sequence.
        keep: it runs even if nothing reads what it gives.
        fresh: its outputs are arrays that nothing else holds.
    """

    __slots__ = ("dtypes", "free", "fresh", "inputs", "keep", "kernel", "node", "op", "outputs", "single", "where")

    def __init__(self, node: Node, where: str, op: str, inputs: list[int], outputs: list[int], dtypes: list[Any], single: bool):
        self.node = node
        self.where = where
        self.op = op
        self.kernel: Callable[..., Any] | None = None
        self.inputs = inputs
        self.outputs = outputs
        self.dtypes = dtypes
        self.single = single
        self.keep = False
        self.fresh = False
        self.free: list[int] = []

    def __repr__(self) -> str:
        return f"<Step {self.op} {self.node.name!r} {self.inputs} -> {self.outputs}>"


class Plan:
    """A function as steps.

    Attributes:
        inputs: number of arguments; they are slots 0, 1, 2…. outputs: slot of each result.
        constants: values by slot. slots: how many there are. graph: the function that it is the plan of.
        first: steps that find resources by name. static: steps that depend on constants and on variables that nothing here writes.
        steps: all others, in order.
        sources: slots of the resources whose values `static` reads. written: slots of those that steps write.
    """

    def __init__(self, name: str, inputs: int):
        self.name = name
        self.inputs = inputs
        self.outputs: list[int] = []
        self.constants: dict[int, Any] = {}
        self.steps: list[Step] = []
        self.first: list[Step] = []
        self.static: list[Step] = []
        self.sources: list[int] = []
        self.written: list[int] = []
        self.slots = inputs
        self.graph: Any = None

    def slot(self) -> int:
        """A new slot."""
        self.slots += 1
        return self.slots - 1

    def uses(self) -> dict[int, int]:
        """How often each slot is read, results of the plan included."""
        count: dict[int, int] = {}
        for step in self.steps:
            for slot in step.inputs:
                count[slot] = count.get(slot, 0) + 1
        for slot in self.outputs:
            count[slot] = count.get(slot, 0) + 1
        return count

    def drop_unused(self) -> None:
        """Remove the steps that nothing needs."""
        needed = set(self.outputs)
        kept = []
        for step in reversed(self.steps):
            if step.keep or not needed.isdisjoint(step.outputs):
                needed.update(step.inputs)
                kept.append(step)
        kept.reverse()
        self.steps = kept

    def mark_last_uses(self) -> None:
        """Fill in the slots that each of `steps` frees."""
        seen = {*self.outputs, *self.constants}
        for step in (*self.static, *self.first):
            seen.update(step.outputs)
        for step in reversed(self.steps):
            step.free = []
            for slot in (*step.outputs, *step.inputs):
                if slot not in seen:
                    seen.add(slot)
                    step.free.append(slot)


# -- effects ---------------------------------------------------------------------------------------------------------


def uses_old_control_flow(graph: Any) -> bool:
    """Whether a function body branches and loops by Switch, Merge and frames, so that its nodes do not run once each in one order."""
    return any(n.op in _OLD_CONTROL_FLOW for n in graph)


def has_effect(node: Node) -> bool:
    """Whether a node must run even if nothing reads what it gives."""
    if node.op in RANDOM_OPS or node.op in HANDLE_OPS or node.op in _READS:
        return False
    record = registry.find_op(node.op)
    return record is not None and record.schema.is_stateful


def _references(node: Node) -> list[FunctionRef]:
    found = []
    for value in node.attrs.values():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, FunctionRef):
                found.append(item)
    return found


def writes_resources(node: Node) -> bool:
    """Whether a node, or a function it calls, may change the value of a variable."""
    if node.op in CALL_OPS or any(isinstance(v, FunctionRef) for v in node.attrs.values()):
        return any(_graph_writes(ref.graph) for ref in _references(node))
    if node.op in READ_ONLY_OPS:
        return False
    if node.op in _PYTHON_CALLS:
        return True
    return any(t.dtype.number in (20, 120) for t in node.inputs) and has_effect(node)


def _graph_writes(graph: Any) -> bool:
    found = graph.extra.get("writes")
    if found is None:
        graph.extra["writes"] = (len(graph), True)  # a function that calls itself: safe, and never the last word
        answer = any(writes_resources(n) for n in graph)
        found = graph.extra["writes"] = (len(graph), answer)
    elif found[0] != len(graph):
        del graph.extra["writes"]
        return _graph_writes(graph)
    return found[1]


def finds_resources(node: Node, seen: frozenset[int] = frozenset()) -> bool:
    """Whether a function that a node calls finds variables by name, not among its arguments."""
    for ref in _references(node):
        graph = ref.graph
        if id(graph) not in seen and any(n.op == "VarHandleOp" or finds_resources(n, seen | {id(graph)}) for n in graph):
            return True
    return False


# -- order -----------------------------------------------------------------------------------------------------------


def needed_nodes(graph: Any, targets: Sequence[Any], fed: Sequence[Any]) -> list[Node]:
    """The nodes that `targets` (tensors or nodes) depend on, without going past `fed` tensors, in an order to run."""
    stop = {id(t.node) for t in fed}
    seen: set[int] = set()
    stack = [t if isinstance(t, Node) else t.node for t in targets]
    found: list[Node] = []
    while stack:
        node = stack.pop()
        if id(node) in seen or id(node) in stop:
            continue
        seen.add(id(node))
        found.append(node)
        stack.extend(t.node for t in node.inputs)
        stack.extend(node.control_inputs)
    found.sort(key=lambda n: n.position)
    return topological_order(found)


# -- plans -----------------------------------------------------------------------------------------------------------


def make_plan(graph: Any) -> Plan:
    """The plan of a function graph, with the calls in it inlined.

    Raises:
        UnknownOpError: lists every op that has no record.
    """
    plan = Plan(graph.name, len(graph.inputs))
    plan.graph = graph
    plan.outputs = _Body(plan, graph, list(range(plan.inputs)), ()).outputs
    plan.drop_unused()
    return plan


class _Body:
    """Appends the steps of `graph` to `plan`."""

    def __init__(self, plan: Plan, graph: Any, args: list[int], inside: tuple[Any, ...]):
        self.plan, self.graph = plan, graph
        self.inside = (*inside, graph)
        effects = list(graph.control_outputs) or [n for n in graph if has_effect(n)]
        nodes = needed_nodes(graph, [*graph.outputs, *effects], graph.inputs)
        registry.require_ops({n.op for n in nodes}, f"function {graph.name}")
        self.waited = {id(n) for n in effects}
        for node in nodes:
            if node.control_inputs:
                self.waited.update(map(id, node.control_inputs))
        self.slot_of: dict[int, int] = {id(t): slot for t, slot in zip(graph.inputs, args, strict=True)}
        for node in nodes:
            self.add(node)
        self.outputs = [self.slot_of[id(t)] for t in graph.outputs]

    def add(self, node: Node) -> None:
        op, plan, slot_of = node.op, self.plan, self.slot_of
        if op == "NoOp":
            return
        if op == "Const":
            slot = plan.slot()
            plan.constants[slot] = node.attrs["value"]
            slot_of[id(node.outputs[0])] = slot
            return
        if op == "Placeholder":
            raise GraphError(
                f"function {self.graph.name}: placeholder {node.name!r} is needed but is none of its inputs "
                f"({', '.join(t.node.name for t in self.graph.inputs)})"
            )
        inputs = [slot_of[id(t)] for t in node.inputs]
        if op in _ALIASES and node.inputs[0].dtype.number < 100:
            slot_of[id(node.outputs[0])] = inputs[0]
            return
        if op == "IdentityN":
            for t, slot in zip(node.outputs, inputs, strict=True):
                slot_of[id(t)] = slot
            return
        if op in _CALLS:
            body = node.attrs["f"].graph
            if self._may_inline(body):
                for t, slot in zip(node.outputs, _Body(plan, body, inputs, self.inside).outputs, strict=True):
                    slot_of[id(t)] = slot
                return
        outputs, dtypes = [], []
        for t in node.outputs:
            slot = plan.slot()
            slot_of[id(t)] = slot
            outputs.append(slot)
            dtype = t.dtype
            dtypes.append(dtype.numpy if dtype.number < 100 and dtype.kind not in "rv" else None)
        args = registry.get_op(op).schema.outputs
        step = Step(node, self.graph.name, op, inputs, outputs, dtypes, len(args) == 1 and not args[0].is_list)
        step.keep = has_effect(node) or (id(node) in self.waited and op not in _READS)
        plan.steps.append(step)

    def _may_inline(self, body: Any) -> bool:
        return (
            len(self.inside) < _DEEPEST_CALL
            and (len(self.plan.steps) + len(body) <= _MOST_STEPS or len(body) <= 64)
            and all(g is not body for g in self.inside)
            and not uses_old_control_flow(body)
        )
