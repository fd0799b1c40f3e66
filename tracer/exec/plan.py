"""From a function graph to an ordered list of steps: pruned, with constants in place and last uses known. It refuses to run kernels.

Effects keep the order in which they stand in the graph: TensorFlow's control edges are honoured, and effects that no edge orders run in
node order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracer import registry
from tracer.errors import GraphError
from tracer.ir.graph import Node, topological_order
from tracer.tracing import HANDLE_OPS, RANDOM_OPS

__all__ = ["Plan", "Step", "make_plan"]


@dataclass
class Step:
    """One kernel call: reads `inputs` slots, writes `outputs` slots, then frees `free`."""

    node: Node
    inputs: list[int]
    outputs: list[int]
    free: list[int] = field(default_factory=list)


@dataclass
class Plan:
    """A function ready to be bound to kernels.

    Attributes:
        inputs: slot of each argument. outputs: slot of each result.
        constants: values by slot. steps: in order. slots: their number.
    """

    name: str
    inputs: list[int]
    outputs: list[int]
    constants: dict[int, Any]
    steps: list[Step]
    slots: int


def has_effect(node: Node) -> bool:
    """Whether a node must run even if nothing reads what it gives."""
    if node.op in RANDOM_OPS or node.op in HANDLE_OPS or node.op in _READS:
        return False
    record = registry.find_op(node.op)
    return record is not None and record.schema.is_stateful


_READS = frozenset("ReadVariableOp ResourceGather ResourceGatherNd VariableShape VarIsInitializedOp LookupTableFindV2 LookupTableSizeV2".split())


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


def make_plan(graph: Any) -> Plan:
    """The plan of a function graph.

    Raises:
        UnknownOpError: lists every op that has no record.
    """
    effects = list(graph.control_outputs) or [n for n in graph if has_effect(n)]
    nodes = needed_nodes(graph, [*graph.outputs, *effects], graph.inputs)
    registry.require_ops((n.op for n in nodes), f"function {graph.name}")
    slot_of: dict[int, int] = {}
    for i, t in enumerate(graph.inputs):
        slot_of[id(t)] = i
    slots = len(graph.inputs)
    constants: dict[int, Any] = {}
    steps: list[Step] = []
    for node in nodes:
        if node.op == "Const":
            constants[slots] = node.attrs["value"]
            slot_of[id(node.outputs[0])] = slots
            slots += 1
            continue
        if node.op == "NoOp":
            continue
        if node.op == "Placeholder":
            raise GraphError(
                f"function {graph.name}: placeholder {node.name!r} is needed but is none of its inputs "
                f"({', '.join(t.node.name for t in graph.inputs)})"
            )
        ins = [slot_of[id(t)] for t in node.inputs]
        if node.op in ("Identity", "StopGradient", "PreventGradient", "Snapshot") and node.inputs[0].dtype.number < 100:
            slot_of[id(node.outputs[0])] = ins[0]
            continue
        outs = []
        for t in node.outputs:
            slot_of[id(t)] = slots
            outs.append(slots)
            slots += 1
        steps.append(Step(node, ins, outs))
    outputs = [slot_of[id(t)] for t in graph.outputs]
    _mark_last_uses(steps, set(outputs) | set(constants))
    return Plan(graph.name, list(range(len(graph.inputs))), outputs, constants, steps, slots)


def _mark_last_uses(steps: list[Step], kept: set[int]) -> None:
    seen = set(kept)
    for step in reversed(steps):
        for slot in (*step.outputs, *step.inputs):
            if slot not in seen:
                seen.add(slot)
                step.free.append(slot)
