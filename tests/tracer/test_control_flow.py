"""Control flow without TensorFlow: random programs agree eagerly and traced, gradients agree with finite differences, errors are clear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracer.public import tf

# A program is a nested list of statements on three vectors; `run` builds it with tf.cond and tf.while_loop.
VALUES = st.integers(0, 2)
SIMPLE = st.tuples(st.sampled_from(["add", "mul", "sin", "half"]), VALUES, VALUES, VALUES)


def _blocks(inner: Any) -> Any:
    body = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("cond"), VALUES, body, body),
        st.tuples(st.just("while"), st.integers(0, 3), body),
        st.tuples(st.just("case"), st.integers(-1, 3), body, body),
    )


PROGRAMS = st.lists(st.recursive(SIMPLE, lambda inner: st.one_of(SIMPLE, _blocks(inner)), max_leaves=10), min_size=1, max_size=4)


def run(program: Any, values: list[Any]) -> list[Any]:
    values = list(values)
    for statement in program:
        kind = statement[0]
        if kind == "cond":
            _, k, yes, no = statement
            values = list(tf.cond(tf.reduce_sum(values[k]) > 0.0, lambda: run(yes, values), lambda: run(no, values)))  # noqa: B023
        elif kind == "while":
            _, turns, body = statement
            _, values = tf.while_loop(lambda i, v: i < turns, lambda i, v: (i + 1, run(body, v)), (tf.constant(0), values))  # noqa: B023
        elif kind == "case":
            _, index, first, second = statement
            values = list(tf.switch_case(tf.constant(index), [lambda: run(first, values), lambda: run(second, values)]))  # noqa: B023
        else:
            _, a, b, to = statement
            x, y = values[a], values[b]
            values[to] = {"add": lambda: x + y, "mul": lambda: tf.tanh(x) * y, "sin": lambda: tf.sin(x), "half": lambda: y * 0.5 + 0.25}[kind]()  # noqa: B023
    return values


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(PROGRAMS)
def test_random_programs_give_the_same_eagerly_and_traced(program: Any) -> None:
    start = [tf.constant([0.5, -0.25]), tf.constant([-1.0, 0.75]), tf.constant([0.1, 0.2])]

    def both(*values: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = tf.add_n([tf.reduce_sum(v) for v in run(program, list(values))])
        return loss, tape.gradient(loss, values, unconnected_gradients="zero")

    eager = both(*start)
    inside = tf.function(both, autograph=False)(*start)
    with tf.GradientTape() as tape:
        tape.watch(start)
        loss = tf.function(lambda *v: tf.add_n([tf.reduce_sum(x) for x in run(program, list(v))]), autograph=False)(*start)
    outside = loss, tape.gradient(loss, start, unconnected_gradients="zero")
    for other in (inside, outside):
        np.testing.assert_allclose(other[0], eager[0], rtol=1e-5)
        for e, o in zip(eager[1], other[1], strict=True):
            np.testing.assert_allclose(o, e, rtol=1e-4, atol=1e-5)


def test_second_derivatives_of_loops_agree_with_finite_differences() -> None:
    @tf.function(autograph=False)
    def slope(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)

            def body(i: Any, y: Any) -> Any:
                return i + 1, tf.cond(i % 2 == 0, lambda: tf.sin(y) * x, lambda: y * y + x)

            _, y = tf.while_loop(lambda i, y: i < 4, body, (tf.constant(0), x))
        return tape.gradient(y, x)

    x = tf.constant(0.7, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        d = slope(x)
    step = 1e-6
    expected = (slope(x + step) - slope(x - step)) / (2 * step)
    np.testing.assert_allclose(tape.gradient(d, x), expected, rtol=1e-6)


def test_a_loop_keeps_intermediates_only_when_it_is_differentiated() -> None:
    @tf.function(autograph=False)
    def f(x: Any) -> Any:
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.sin(y)), (tf.constant(0), x))[1]

    graph = f.get_concrete_function(tf.TensorSpec([], tf.float32)).graph
    loop = next(n for n in graph if n.op == "StatelessWhile")
    before = len(loop.outputs)
    x = tf.constant(0.5)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    assert tape.gradient(y, x) is not None
    assert len(loop.outputs) == before == loop.attrs["_num_original_outputs"]


def test_loops_over_no_elements_keep_static_shapes() -> None:
    f = tf.function(lambda x: tf.map_fn(lambda r: tf.reduce_sum(r), x), autograph=False)
    assert f(tf.zeros([0, 3])).shape == [0]
    graph = f.get_concrete_function(tf.TensorSpec([None, 3], tf.float32))
    assert graph.output_shapes.as_list() == [None]


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda x: tf.cond(x[0] > 0, lambda: (x, x), lambda: x), TypeError, "same number, type, and overall structure"),
        (lambda x: tf.cond(x[0] > 0, lambda: x, lambda: None), TypeError, "returns None"),
        (lambda x: tf.cond(x[0] > 0, lambda: x, lambda: 1), TypeError, "different types"),
        (lambda x: tf.cond(x[0] > 0, x, x), TypeError, "callable"),
        (lambda x: tf.cond(True, lambda: x, lambda: x), TypeError, "Python bool"),
        (lambda x: tf.while_loop(lambda y: y[0] < 1, lambda y: [tf.cast(y, tf.float64)], [x]), TypeError, "enters the loop with type"),
        (lambda x: tf.while_loop(lambda y: y[0] < 1, lambda y: [tf.concat([y, y], 0)], [x]), ValueError, "shape_invariants"),
        (lambda x: tf.while_loop(lambda y: y[0] < 1, lambda y: [y, y], [x]), ValueError, "nested structure"),
        (lambda x: tf.while_loop(lambda: True, lambda: [], []), ValueError, "must be provided"),
        (lambda x: tf.switch_case(tf.constant(0), {0: lambda: x, 2: lambda: x}), ValueError, "contiguous"),
        (lambda x: tf.map_fn(lambda r: r, x[0]), ValueError, "first dimension"),
    ],
)
def test_errors_tell_what_was_expected(call: Callable[..., Any], kind: type, text: str) -> None:
    with pytest.raises(kind, match=text):
        tf.function(call, autograph=False)(tf.constant([1.0, 2.0]))


def test_python_callbacks_of_another_process_are_refused() -> None:
    from tracer.dispatch import raw

    with pytest.raises(ValueError, match="not known in this process"):
        raw.EagerPyFunc([tf.constant(1.0)], token=b"pyfunc_0", Tout=[tf.float32])
