"""Switch, Merge and frames in function bodies, and runs of parts of graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tracer.exec import dataflow, prepare
from tracer.public import tf
from tracer.registry import get_op
from tracer.shapes import TensorShape
from tracer.tracing import FuncGraph, trace_into


def node(graph: FuncGraph, op: str, inputs: list[Any], outputs: int = 1, dtype: Any = tf.float32, **attrs: Any) -> Any:
    record = get_op(op)
    types = record.schema.output_dtypes({"T": dtype, "N": len(inputs), **attrs})
    made = graph.add_node(op, inputs, {"T": dtype, **attrs}, [(t, TensorShape(None)) for t in types])
    return made.outputs[0] if len(made.outputs) == 1 else made.outputs


def loop(limit: float) -> FuncGraph:
    """while y < limit: y = y * 2 + x, with x constant in the loop."""
    graph = FuncGraph("loop")
    with trace_into(graph):
        x = graph.add_input(tf.float32, TensorShape([]), "x")
        entered = node(graph, "Enter", [x], frame_name=b"f")
        constant = node(graph, "Enter", [x], frame_name=b"f", is_constant=True)
        bound = node(graph, "Enter", [tf.constant(limit) + 0.0], frame_name=b"f", is_constant=True)
        merged, _ = node(graph, "Merge", [entered, entered], N=2)
        test = node(graph, "LoopCond", [tf.less(merged, bound)])
        leave, stay = node(graph, "Switch", [merged, test])
        turned = node(graph, "NextIteration", [stay + stay + constant])
        merged.node.inputs[1] = turned
        graph.outputs = [node(graph, "Exit", [leave])]
    return graph


@pytest.mark.parametrize("start", [1.0, 3.0, 1000.0])
def test_a_loop_in_a_function_body_turns_until_its_condition_fails(start: float) -> None:
    expected = start
    while expected < 100:
        expected = expected * 2 + start
    run = prepare(loop(100.0))
    assert isinstance(run, dataflow.Program)
    for _ in range(2):
        (actual,) = run(np.array(start, np.float32))
        assert actual == expected


@pytest.mark.parametrize("taken", [False, True])
def test_only_the_branch_that_is_taken_runs(taken: bool) -> None:
    graph = FuncGraph("branch")
    ran: list[int] = []
    with trace_into(graph):
        x = graph.add_input(tf.float32, TensorShape([]), "x")
        p = graph.add_input(tf.bool, TensorShape([]), "p")
        no, yes = node(graph, "Switch", [x, p])
        a = tf.numpy_function(lambda v: (ran.append(0), v)[1], [no], tf.float32)
        b = tf.numpy_function(lambda v: (ran.append(1), v * 10)[1], [yes], tf.float32, stateful=False)
        merged, index = node(graph, "Merge", [a, b], N=2)
        graph.outputs = [merged, index]
        graph.control_outputs = []
    value, index = prepare(graph)(np.array(2.0, np.float32), np.array(taken))
    assert (value, index, ran) == ((20.0, 1, [1]) if taken else (2.0, 0, [0]))


def test_a_fetch_on_a_branch_that_was_not_taken_is_an_error() -> None:
    graph = FuncGraph("branch")
    with trace_into(graph):
        x = graph.add_input(tf.float32, TensorShape([]), "x")
        p = graph.add_input(tf.bool, TensorShape([]), "p")
        no, _ = node(graph, "Switch", [x, p])
        graph.outputs = [no + 1.0]
    run = prepare(graph)
    assert run(np.array(1.0, np.float32), np.array(False)) == [2.0]
    with pytest.raises(ValueError, match="not taken"):
        run(np.array(1.0, np.float32), np.array(True))


def test_parts_of_a_graph_run_by_name() -> None:
    graph = FuncGraph("parts")
    with trace_into(graph):
        x = graph.placeholder(tf.float32, TensorShape([None]), "x")
        y = tf.identity(x * 2.0, name="y")
        tf.identity(y + 1.0, name="z")
    assert dataflow.run(graph, "z:0", {"x:0": [1.0, 2.0]}).tolist() == [3.0, 5.0]
    assert dataflow.run(graph, {"a": "z:0", "b": "y:0"}, {"y": [7.0]})["a"].tolist() == [8.0]
    with pytest.raises(ValueError, match="must feed"):
        dataflow.run(graph, "z:0")
    with pytest.raises(ValueError, match="Cannot feed"):
        dataflow.run(graph, "z:0", {"x:0": 1.0})
