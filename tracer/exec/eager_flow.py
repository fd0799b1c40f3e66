"""Graphs with Switch, Merge and frames under a tape: each node runs as an eager op, so that the tape sees the turns that were taken.

Loops of TensorFlow 1 have no gradient as graphs, since nothing tells which node belongs to which loop; run op by op they need none. It
refuses symbolic tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dispatch, registry
from tracer.exec.dataflow import Program
from tracer.exec.plan import has_effect
from tracer.functions import call_graph
from tracer.ir.graph import Node
from tracer.tensor import EagerTensor

__all__ = ["run_under_tapes"]

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


class _EagerProgram(Program):
    """A program whose values are eager tensors and whose nodes are eager ops."""

    def __init__(self, graph: Any, fetches: Sequence[Any], feeds: Sequence[Any]):
        super().__init__(graph, fetches, feeds)
        self._plain = False

    def _step(self, ready: Any, actor: Any, inputs: list[Any], dead: bool, frame: Any, turn: int, exits: dict[Any, Any]) -> Any:
        if dead or not self._is_plain(actor.node):
            outputs, to_frame, to_turn = super()._step(ready, actor, inputs, dead, frame, turn, exits)
            if outputs is not None:
                outputs = [_tensor(v, t) for v, t in zip(outputs, actor.node.outputs, strict=True)]
            return outputs, to_frame, to_turn
        return self._run(actor.node, inputs), frame, turn

    @staticmethod
    def _is_plain(node: Node) -> bool:
        record = registry.find_op(node.op)
        return record is None or record.kernel_fn is not None or record.prepare_fn is not None

    @staticmethod
    def _run(node: Node, inputs: Sequence[Any]) -> list[Any]:
        if node.op == "Const":
            return [EagerTensor(node.attrs["value"], node.outputs[0].dtype)]
        if node.op in _CALLS:
            return call_graph(node.attrs["f"].graph, inputs)
        return dispatch.bind(registry.get_op(node.op), inputs, node.attrs, node.name)


def _tensor(value: Any, t: Any) -> Any:
    return EagerTensor(value, t.dtype) if isinstance(value, np.ndarray) else value


def run_under_tapes(graph: Any, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of function `graph` for concrete `inputs`; the listening tapes see every op that runs."""
    program = graph.extra.get("eager program")
    if program is None:
        effects = list(graph.control_outputs) or [n for n in graph if has_effect(n) and n.op != "Placeholder"]
        program = graph.extra["eager program"] = _EagerProgram(graph, [*graph.outputs, *effects], graph.inputs)
    return program(*inputs)[: len(graph.outputs)]
