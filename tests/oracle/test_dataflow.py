"""Graphs of TensorFlow 1 (sessions, Switch and Merge, frames of loops), run by TensorFlow and by the dataflow executor."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow

from tracer import registry
from tracer.dtypes import as_dtype
from tracer.exec import dataflow
from tracer.resources import ResourceManager
from tracer.shapes import TensorShape
from tracer.tensor import SymbolicTensor
from tracer.tracing import Graph

tf1 = tensorflow.compat.v1
X = np.array([0.5, -1.25, 2.0], np.float32)


def converted(theirs: Any) -> Graph:
    """The tracer's graph of a TensorFlow graph, node by node."""
    graph = Graph("converted")
    graph.tensor_class = SymbolicTensor
    waiting = []
    for op in theirs.get_operations():
        schema = registry.get_op(op.type).schema
        attrs = {}
        for name in (*schema.attrs, "_class"):
            if name.startswith("_"):
                continue
            value = op.get_attr(name) if name in {a for a in op.node_def.attr} else None
            if value is None:
                continue
            if isinstance(value, tensorflow.DType):
                value = as_dtype(value.as_datatype_enum)
            elif isinstance(value, list) and value and isinstance(value[0], tensorflow.DType):
                value = [as_dtype(v.as_datatype_enum) for v in value]
            elif isinstance(value, tensorflow.compat.v1.TensorShape) or schema.attrs[name].kind == "shape":
                value = TensorShape(None if value.unknown_rank else [None if d.size < 0 else d.size for d in value.dim])
            elif schema.attrs[name].kind == "tensor":
                value = tensorflow.make_ndarray(value)
            attrs[name] = value
        outputs = [(as_dtype(t.dtype.as_datatype_enum), TensorShape(t.shape.as_list() if t.shape.rank is not None else None)) for t in op.outputs]
        waiting.append((op, graph.add_named_node(op.type, [], attrs, outputs, op.name)))
    for op, node in waiting:
        node.inputs = [graph[t.op.name].outputs[t.value_index] for t in op.inputs]
        node.control_inputs = [graph[c.name] for c in op.control_inputs]
    return graph


PROGRAMS: dict[str, Callable[..., Any]] = {}


def program(fn: Callable[..., Any]) -> Callable[..., Any]:
    PROGRAMS[fn.__name__] = fn
    return fn


@program
def branches(x):
    return tf1.cond(tf1.reduce_sum(x) > 0.0, lambda: (x * 2.0, x[0]), lambda: (x - 1.0, x[1]))


@program
def nested_branches(x):
    def inner():
        return tf1.cond(x[0] > 0.0, lambda: x * 3.0, lambda: tf1.sin(x))

    return tf1.cond(x[1] > 0.0, inner, lambda: tf1.cond(x[2] > 0.0, lambda: x * 5.0, lambda: x))


@program
def loops(x):
    return tf1.while_loop(lambda i, y: i < 5, lambda i, y: (i + 1, y * 0.5 + x), (0, x))


@program
def loops_without_turns(x):
    return tf1.while_loop(lambda i, y: i < 0, lambda i, y: (i + 1, y * 0.5 + x), (0, x))


@program
def nested_loops(x):
    def outer(i, y):
        _, z = tf1.while_loop(lambda j, z: j < i, lambda j, z: (j + 1, z + y * x), (0, x))
        return i + 1, y * 0.5 + z

    return tf1.while_loop(lambda i, y: i < 4, outer, (0, x))


@program
def branches_in_loops(x):
    def body(i, y):
        y = tf1.cond(tf1.equal(i % 2, 0), lambda: y * 2.0, lambda: y + x)
        return i + 1, y

    return tf1.while_loop(lambda i, y: i < 5, body, (0, x))


@program
def loops_in_branches(x):
    def loop():
        return tf1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * x), (0, x))[1]

    return tf1.cond(x[0] > 0.0, loop, lambda: x), tf1.cond(x[0] < 0.0, loop, lambda: x * 2.0)


@program
def loops_in_branches_of_loops(x):
    def body(i, y):
        def loop():
            return tf1.while_loop(lambda j, z: j < i, lambda j, z: (j + 1, z * 0.5 + x), (0, y))[1]

        return i + 1, tf1.cond(i > 1, loop, lambda: y + 1.0)

    return tf1.while_loop(lambda i, y: i < 5, body, (0, x))


@program
def gradients_of_loops(x):
    y = tf1.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf1.sin(y) * x), (0, x))[1]
    return tf1.gradients(tf1.reduce_sum(y), x)[0]


def sessions(fn: Callable[..., Any]) -> tuple[Any, Graph, list[str]]:
    enabled = tf1.control_flow_v2_enabled()
    tf1.disable_control_flow_v2()
    try:
        with tensorflow.Graph().as_default() as theirs:
            x = tf1.placeholder(tensorflow.float32, [3], "x")
            result = fn(x)
            flat = tensorflow.nest.flatten(result)
    finally:
        if enabled:
            tf1.enable_control_flow_v2()
    return theirs, converted(theirs), [t.name for t in flat]


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_old_control_flow_gives_what_sessions_give(name: str) -> None:
    theirs, mine, names = sessions(PROGRAMS[name])
    assert dataflow.needs_dataflow(mine)
    with tf1.Session(graph=theirs) as session:
        for x in (X, -X, np.array([1.0, 2.0, 3.0], np.float32)):
            expected = session.run(names, {"x:0": x})
            actual = dataflow.run(mine, names, {"x": x})
            for e, a in zip(expected, actual, strict=True):
                assert e.dtype == a.dtype
                np.testing.assert_allclose(a, e, rtol=1e-6)


def test_reference_variables_are_initialized_assigned_and_fetched() -> None:
    with tensorflow.Graph().as_default() as theirs:
        v = tf1.get_variable("v", initializer=np.array([1.0, 2.0], np.float32), use_resource=False)
        k = tf1.placeholder(tensorflow.float32, [], "k")
        update = tf1.assign_add(v, v * k, name="update")
        init = tf1.global_variables_initializer()
        with tf1.control_dependencies([update]):
            after = tf1.identity(v.read_value() + 0.0, name="after")
    mine = converted(theirs)
    manager = ResourceManager()
    with tf1.Session(graph=theirs) as session:
        session.run(init)
        assert dataflow.run(mine, init.name, manager=manager) is None
        for fetches, feeds in (("v:0", {}), ([after.name, "v:0"], {"k:0": 2.0}), ("v:0", {}), ("v/read:0", {}), ("update:0", {"k:0": 0.5})):
            expected = session.run(fetches, feeds)
            actual = dataflow.run(mine, fetches, feeds, manager)
            for e, a in zip(np.atleast_1d(expected), np.atleast_1d(actual), strict=True) if isinstance(fetches, str) else zip(expected, actual):
                np.testing.assert_allclose(a, e)


def test_any_tensor_can_be_fed_and_only_what_is_needed_runs() -> None:
    with tensorflow.Graph().as_default() as theirs:
        x = tf1.placeholder(tensorflow.float32, [None], "x")
        y = tf1.sin(x, name="y")
        z = tf1.add(y, 1.0, name="z")
    mine = converted(theirs)
    np.testing.assert_allclose(dataflow.run(mine, "z:0", {"y:0": X}), X + 1)
    np.testing.assert_allclose(dataflow.run(mine, {"a": "z:0", "b": "x:0"}, {"x:0": X})["a"], np.sin(X) + 1, rtol=1e-6)
    with pytest.raises(ValueError, match="must feed a value for placeholder"):
        dataflow.run(mine, "z:0")
    assert z is not None
