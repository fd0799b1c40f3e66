"""Small programs with control flow, run by TensorFlow and by the tracer: values and gradients, eager and traced, must agree.

Each program is a function of a `tf` namespace and of float vectors; what it returns is compared, leaf by leaf.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow

from tracer import nest
from tracer.public import tf as ours

X = np.array([0.5, -1.25, 2.0], np.float32)
PROGRAMS: dict[str, Callable[..., Any]] = {}


def program(fn: Callable[..., Any]) -> Callable[..., Any]:
    PROGRAMS[fn.__name__] = fn
    return fn


def leaves(value: Any) -> list[Any]:
    out = []
    for v in nest.flatten(value):
        if type(v).__name__ == "IndexedSlices":
            v = tensorflow.convert_to_tensor(v) if isinstance(v, tensorflow.IndexedSlices) else ours.convert_to_tensor(v)
        if hasattr(v, "to_list") and hasattr(v, "row_splits"):
            v = v.flat_values
        out.append(v if v is None or isinstance(v, (int, str)) else np.asarray(v.numpy() if hasattr(v, "numpy") else v))
    return out


def run(tf: Any, fn: Callable[..., Any]) -> list[Any]:
    return leaves(fn(tf, tf.constant(X)))


# -- cond ------------------------------------------------------------------------------------------------------------


def gradient_both_ways(tf: Any, f: Callable[..., Any], x: Any) -> Any:
    """Value and gradient of `f` at x: tape outside the function, and inside it."""
    traced = tf.function(f, autograph=False)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = traced(x)
    outside = tape.gradient(y, x)

    @tf.function(autograph=False)
    def whole(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return y, tape.gradient(y, x)

    return y, outside, whole(x)


@program
def cond_on_a_value(tf, x):
    return gradient_both_ways(tf, lambda x: tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * x, lambda: tf.sin(x)), x)


@program
def cond_takes_the_other_branch(tf, x):
    return gradient_both_ways(tf, lambda x: tf.cond(tf.reduce_sum(x) < 0.0, lambda: tf.exp(x) * x, lambda: x * tf.sin(x)), x)


@program
def cond_of_structures(tf, x):
    def f(x):
        r = tf.cond(x[0] > 0.0, lambda: {"a": x, "b": (x * 2, x[0])}, lambda: {"a": x + 1, "b": (x, x[1])})
        return r["a"] * r["b"][0] + r["b"][1]

    return gradient_both_ways(tf, f, x)


@program
def cond_branch_without_the_input(tf, x):
    return gradient_both_ways(tf, lambda x: tf.cond(x[0] > 0.0, lambda: tf.constant(3.0), lambda: tf.reduce_sum(x * x)), x)


@program
def nested_cond(tf, x):
    def inner(x):
        return tf.cond(x[1] > 0.0, lambda: x * 3, lambda: tf.square(x) * x)

    return gradient_both_ways(tf, lambda x: tf.cond(x[0] > 0.0, lambda: inner(x), lambda: x), x)


@program
def cond_of_unconnected_outputs(tf, x):
    @tf.function(autograph=False)
    def f(x):
        z = x * 2
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, z])
            a, b = tf.cond(x[0] > 0.0, lambda: (x * x, z * 3), lambda: (x, z))
        return tape.gradient(a, x), tape.gradient(a, z), tape.gradient(b, z), tape.gradient(b, x)

    return f(x)


@program
def cond_with_variables(tf, x):
    v, w = tf.Variable(2.0), tf.Variable([1.0, 2.0, 3.0])

    @tf.function(autograph=False)
    def f(x):
        with tf.GradientTape() as tape:
            y = tf.cond(x[0] > 0.0, lambda: x * v * w, lambda: x * w)
        return tape.gradient(y, [v, w])

    with tf.GradientTape() as tape:
        y = tf.function(lambda x: tf.cond(x[0] < 0.0, lambda: x * v * w, lambda: x * w), autograph=False)(x)
    return f(x), tape.gradient(y, [v, w])


@program
def cond_with_effects(tf, x):
    v = tf.Variable(1.0)

    @tf.function(autograph=False)
    def f(x):
        def yes():
            v.assign_add(2.0)
            return v.read_value()

        a = tf.cond(x[0] > 0.0, yes, lambda: tf.constant(-1.0))
        b = tf.cond(x[1] > 0.0, yes, lambda: v * 10)
        return a, b, v.read_value()

    return f(x), f(-x), v.read_value()


@program
def switch_case_of_numbers(tf, x):
    def at(i):
        def f(x):
            return tf.switch_case(tf.constant(i), {0: lambda: x * x, 1: lambda: tf.sin(x), 2: lambda: x}, lambda: x * 7)

        return gradient_both_ways(tf, f, x)

    return [at(i) for i in (0, 1, 2, 3, 9, -1)]


@program
def case_of_predicates(tf, x):
    def f(x):
        return tf.case([(x[0] > 1.0, lambda: x * 2), (x[2] > 1.0, lambda: x * x)], default=lambda: x)

    return gradient_both_ways(tf, f, x), f(x), tf.case([(tf.constant(False), lambda: 1)], default=lambda: 2)


@program
def smart_static_values(tf, x):
    @tf.function(autograph=False)
    def f(x):
        return tf.get_static_value(tf.constant([1, 2]) + 0) is None, tf.is_symbolic_tensor(x), x

    return f(x)[2], tf.get_static_value(tf.constant([1, 2])), tf.is_symbolic_tensor(x)


# -- while -----------------------------------------------------------------------------------------------------------


@program
def while_of_products(tf, x):
    def f(x):
        return tf.while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, y * tf.sin(y) + x), (tf.constant(0), x))[1]

    return gradient_both_ways(tf, f, x)


@program
def while_that_does_not_turn(tf, x):
    def f(x):
        return tf.while_loop(lambda i, y: i < 0, lambda i, y: (i + 1, y * y), (tf.constant(0), x * 3))[1]

    return gradient_both_ways(tf, f, x)


@program
def while_of_a_dynamic_count(tf, x):
    def f(x):
        n = tf.cast(tf.abs(x[2]) * 3, tf.int32)
        return tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, tf.tanh(y) * x[0]), [tf.constant(0), x])[1]

    return gradient_both_ways(tf, f, x)


@program
def while_with_maximum_iterations(tf, x):
    def f(x):
        return tf.while_loop(lambda y: tf.reduce_sum(y) < 1e6, lambda y: [y * y + 1.0], [x], maximum_iterations=3)[0]

    return gradient_both_ways(tf, f, x), f(x)


@program
def while_of_swapped_variables(tf, x):
    def f(x):
        def body(i, a, b, c):
            return i + 1, b * 2.0, c + x, a * a

        _, a, *_ = tf.while_loop(lambda i, *_: i < 5, body, (tf.constant(0), x, x * 0.5, x + 0.1))
        return a

    return gradient_both_ways(tf, f, x)


@program
def while_with_shape_invariants(tf, x):
    def f(x):
        def body(i, y):
            return i + 1, tf.concat([y, y[:1] * 2], 0)

        _, y = tf.while_loop(
            lambda i, y: i < 3, body, (tf.constant(0), x), shape_invariants=(tf.TensorShape([]), tf.TensorShape([None]))
        )
        return tf.reduce_sum(y * y)

    return gradient_both_ways(tf, f, x)


@program
def while_with_variables(tf, x):
    v, w = tf.Variable(0.7), tf.Variable(np.ones((3, 3), np.float32) * 0.3)

    def loss(x):
        def body(i, y):
            return i + 1, tf.linalg.matvec(w, y) * v + x

        return tf.reduce_sum(tf.while_loop(lambda i, y: i < 3, body, (tf.constant(0), x))[1])

    @tf.function(autograph=False)
    def inside(x):
        with tf.GradientTape() as tape:
            y = loss(x)
        return tape.gradient(y, [v, w])

    with tf.GradientTape() as tape:
        y = tf.function(loss, autograph=False)(x)
    with tf.GradientTape() as eager:
        z = loss(x)
    return inside(x), tape.gradient(y, [v, w]), eager.gradient(z, [v, w])


@program
def while_that_assigns(tf, x):
    v = tf.Variable(1.0)

    @tf.function(autograph=False)
    def f(x):
        def body(i, y):
            v.assign(v * 2.0)
            return i + 1, y + v

        out = tf.while_loop(lambda i, y: i < 3, body, (tf.constant(0), x))[1]
        return out, v.read_value()

    return f(x), f(x), v.read_value()


@program
def nested_while(tf, x):
    def f(x):
        def outer(i, y):
            _, z = tf.while_loop(lambda j, z: j < i + 1, lambda j, z: (j + 1, z * tf.cos(y)), (tf.constant(0), x))
            return i + 1, y + z

        return tf.while_loop(lambda i, y: i < 3, outer, (tf.constant(0), x))[1]

    return gradient_both_ways(tf, f, x)


@program
def cond_inside_while(tf, x):
    def f(x):
        def body(i, y):
            y = tf.cond(i % 2 == 0, lambda: y * y * 0.5, lambda: tf.sin(y) + x)
            return i + 1, y

        return tf.while_loop(lambda i, y: i < 5, body, (tf.constant(0), x))[1]

    return gradient_both_ways(tf, f, x)


@program
def while_inside_cond(tf, x):
    def f(x):
        def loop():
            return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * y + x), (tf.constant(0), x))[1]

        return tf.cond(x[0] > 0.0, loop, lambda: x * 2) + tf.cond(x[0] < 0.0, loop, lambda: x * 2)

    return gradient_both_ways(tf, f, x)


@program
def while_in_cond_in_while(tf, x):
    def f(x):
        def body(i, y):
            def loop():
                return tf.while_loop(lambda j, z: j < 2, lambda j, z: (j + 1, tf.sin(z) * x), (tf.constant(0), y))[1]

            return i + 1, tf.cond(i > 1, loop, lambda: y * y)

        return tf.while_loop(lambda i, y: i < 4, body, (tf.constant(0), x))[1]

    return gradient_both_ways(tf, f, x)


@program
def function_called_in_while(tf, x):
    @tf.function(autograph=False)
    def step(y, k):
        return tf.tanh(y) * k

    def f(x):
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, step(y, x[0])), (tf.constant(0), x))[1]

    return gradient_both_ways(tf, f, x)


@program
def second_order_through_while(tf, x):
    def f(x):
        return tf.reduce_sum(tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * tf.sin(x) + y * y), (tf.constant(0), x))[1])

    @tf.function(autograph=False)
    def inside(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = f(x)
            d = tape.gradient(y, x)
        return y, d, outer.gradient(d, x)

    traced = tf.function(f, autograph=False)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = traced(x)
        d = tape.gradient(y, x)
    return y, d, outer.gradient(d, x), inside(x)


@program
def second_order_through_cond(tf, x):
    def f(x):
        return tf.reduce_sum(tf.cond(x[0] > 0.0, lambda: x * x * tf.sin(x), lambda: x))

    traced = tf.function(f, autograph=False)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = traced(x)
        d = tape.gradient(y, x)

    @tf.function(autograph=False)
    def inside(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = f(x)
            d = tape.gradient(y, x)
        return d, outer.gradient(d, x)

    return d, outer.gradient(d, x), inside(x)


@program
def persistent_tape_over_while(tf, x):
    @tf.function(autograph=False)
    def f(x):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            _, y, z = tf.while_loop(
                lambda i, y, z: i < 3, lambda i, y, z: (i + 1, y * z, z + x), (tf.constant(0), x, x * 2)
            )
            u = y * z
        return tape.gradient(y, x), tape.gradient(z, x), tape.gradient(u, x)

    return f(x)


@program
def unconnected_loop_variables(tf, x):
    @tf.function(autograph=False)
    def f(x):
        a, b = x * 1, x * 2
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([a, b])
            _, y, z = tf.while_loop(lambda i, y, z: i < 3, lambda i, y, z: (i + 1, y * 2, z * 3), (tf.constant(0), a, b))
        return tape.gradient(y, a), tape.gradient(y, b), tape.gradient(z, b)

    return f(x)


@program
def stop_gradient_in_while(tf, x):
    def f(x):
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.stop_gradient(y) * x + y), (tf.constant(0), x))[1]

    return gradient_both_ways(tf, f, x)


@program
def gather_in_while(tf, x):
    table = tf.Variable(np.arange(12, dtype=np.float32).reshape(4, 3) / 10)

    def f(x):
        return tf.reduce_sum(
            tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * tf.gather(table, i)), (tf.constant(0), x))[1]
        )

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.function(f, autograph=False)(x)
    return y, tape.gradient(y, [x, table])


# -- custom gradients ------------------------------------------------------------------------------------------------


@program
def custom_gradient_eager_and_traced(tf, x):
    @tf.custom_gradient
    def clip(x):
        def grad(dy):
            return dy * 5.0 + x

        return tf.exp(x), grad

    def f(x):
        return clip(x) * 2

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return tape.gradient(y, x), gradient_both_ways(tf, f, x)


@program
def custom_gradient_in_while(tf, x):
    @tf.custom_gradient
    def odd(x):
        return tf.sin(x), lambda dy: dy * 3.0 * x

    def f(x):
        return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, odd(y) + x), (tf.constant(0), x))[1]

    return gradient_both_ways(tf, f, x)


@program
def custom_gradient_with_variables(tf, x):
    v = tf.Variable(3.0)

    @tf.custom_gradient
    def scaled(x):
        y = x * v

        def grad(dy, variables=None):
            return dy * 7.0, [tf.reduce_sum(dy * x) * 11.0 for _ in variables]

        return y, grad

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = scaled(x)
    eager = tape.gradient(y, [x, v])

    @tf.function(autograph=False)
    def f(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = scaled(x) * 2
        return tape.gradient(y, [x, v])

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.function(scaled, autograph=False)(x)
    return eager, f(x), tape.gradient(y, [x, v])


@program
def custom_gradient_of_several_values(tf, x):
    @tf.custom_gradient
    def two(a, b):
        def grad(da, db):
            return da + 2 * db, da * b

        return (a * b, a + b), grad

    def f(x):
        p, q = two(x, x * 2)
        return p * q

    return gradient_both_ways(tf, f, x)


@program
def recomputed_gradients(tf, x):
    v = tf.Variable(2.0)

    @tf.recompute_grad
    def f(x):
        return tf.sin(x * v) * x

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    eager = tape.gradient(y, [x, v])

    @tf.function(autograph=False)
    def g(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = f(x)
        return y, tape.gradient(y, [x, v])

    return eager, g(x)


@program
def gradient_passes_through(tf, x):
    def f(x):
        return tf.grad_pass_through(tf.round)(x) * x

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f(x)
    return y, tape.gradient(y, x), gradient_both_ways(tf, f, x)


# -- maps and folds --------------------------------------------------------------------------------------------------


@program
def map_over_rows(tf, x):
    m = tf.stack([x, x * 2, x + 1])
    f = lambda x: tf.map_fn(lambda r: r * tf.reduce_sum(r), x)
    return f(m), gradient_both_ways(tf, f, m), tf.map_fn(lambda i: i * 2, tf.constant([1, 2, 3]))


@program
def map_over_structures(tf, x):
    def f(x):
        a, b = tf.map_fn(
            lambda e: (e["x"] * e["y"], tf.cast(e["y"], tf.float64)), {"x": x, "y": x + 1},
            fn_output_signature=(tf.float32, tf.float64),
        )  # fmt: skip
        return a + tf.cast(b, tf.float32)

    return f(x), gradient_both_ways(tf, f, x)


@program
def map_over_nothing(tf, x):
    f = tf.function(lambda x: tf.map_fn(lambda r: tf.reduce_sum(r), x), autograph=False)
    return f(tf.zeros([2, 3]))


@program
def vectorized(tf, x):
    f = tf.function(lambda x: tf.vectorized_map(lambda r: (r * 2, tf.cast(r, tf.int32)), x), autograph=False)
    return f(x), tf.vectorized_map(lambda r: r * r, x)


@program
def folds_and_scans(tf, x):
    def f(x):
        a = tf.foldl(lambda acc, e: acc * 0.5 + tf.sin(e), x)
        b = tf.foldr(lambda acc, e: acc * e, x, initializer=tf.constant(2.0))
        c = tf.scan(lambda acc, e: acc * e + 1.0, x)
        d = tf.scan(lambda acc, e: acc + e, x, initializer=tf.constant(0.25), reverse=True)
        e = tf.scan(lambda acc, e: (acc[0] + e[0], acc[1] * e[1]), (x, x * 2), initializer=(tf.constant(1.0), tf.constant(2.0)))
        return tf.concat([a[None], b[None], c, d, e[0], e[1]], 0)

    return f(x), gradient_both_ways(tf, f, x)


@program
def ragged_results_of_maps(tf, x):
    def f():
        return tf.map_fn(
            lambda n: tf.range(n), tf.constant([2, 0, 3]), fn_output_signature=tf.RaggedTensorSpec([None], tf.int32)
        )

    r = tf.ragged.constant([[1.0, 2.0], [], [3.0]])

    def g(r):
        return tf.map_fn(tf.reduce_sum, r, fn_output_signature=tf.float32)

    eager, traced = f(), tf.function(f, autograph=False)()
    return (
        eager.values, eager.row_splits, traced.values, traced.row_splits, g(r), tf.function(g, autograph=False)(r),
    )  # fmt: skip


@program
def python_in_graphs(tf, x):
    def f(x):
        return tf.py_function(lambda a: a * a + 1, [x], tf.float32), tf.numpy_function(lambda a: np.sin(a), [x], tf.float32)

    return f(x), tf.function(f, autograph=False)(x)


@program
def composites_through_loops_and_branches(tf, x):
    r = tf.ragged.constant([[1.0, 2.0], [], [3.0]])

    @tf.function(autograph=False)
    def f(r, x):
        a = tf.cond(x[0] > 0.0, lambda: r * 2.0, lambda: r)
        _, b = tf.while_loop(lambda i, r: i < 2, lambda i, r: (i + 1, r + 1.0), (tf.constant(0), a))
        return b.flat_values, b.row_splits

    return f(r, x)


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_programs_give_what_tensorflow_gives(name: str) -> None:
    expected = run(tensorflow, PROGRAMS[name])
    actual = run(ours, PROGRAMS[name])
    assert len(expected) == len(actual)
    for i, (e, a) in enumerate(zip(expected, actual, strict=True)):
        if e is None or a is None:
            assert e is None and a is None, f"{name}[{i}]: expected {e}, received {a}"
            continue
        assert np.asarray(e).dtype == np.asarray(a).dtype, f"{name}[{i}]"
        np.testing.assert_allclose(a, e, rtol=2e-5, atol=1e-6, err_msg=f"{name}[{i}]")


# -- errors ----------------------------------------------------------------------------------------------------------

ERRORS = {
    "branches of different structure": lambda tf, x: tf.cond(x[0] > 0, lambda: {"a": x}, lambda: {"b": x}),
    "branches of different dtypes": lambda tf, x: tf.cond(x[0] > 0, lambda: x, lambda: tf.constant(1)),
    "a Python bool": lambda tf, x: tf.cond(True, lambda: x, lambda: x),
    "a dtype that changes": lambda tf, x: tf.while_loop(lambda y: y[0] < 1, lambda y: [tf.cast(y, tf.float64)], [x]),
    "a shape that changes": lambda tf, x: tf.while_loop(lambda y: y[0] < 1, lambda y: [tf.concat([y, y], 0)], [x]),
    "a structure that changes": lambda tf, x: tf.while_loop(lambda y: y[0] < 1, lambda y: [y, y], [x]),
    "branch numbers with a gap": lambda tf, x: tf.switch_case(tf.constant(1), {0: lambda: x, 2: lambda: x}),
}


@pytest.mark.parametrize("name", list(ERRORS))
def test_errors_are_of_tensorflows_kind(name: str) -> None:
    def failing(tf: Any) -> Exception:
        with pytest.raises((TypeError, ValueError)) as caught:
            tf.function(lambda x: ERRORS[name](tf, x), autograph=False)(tf.constant(X))
        return caught.value

    expected, actual = failing(tensorflow), failing(ours)
    assert isinstance(actual, TypeError if isinstance(expected, TypeError) else ValueError), (expected, actual)


def test_nodes_are_recorded_as_tensorflow_records_them() -> None:
    def f(tf: Any, x: Any, n: Any) -> Any:
        v = tf.constant(3.0)
        y = tf.cond(n > 2, lambda: x * v, lambda: x + 1.0)
        _, a = tf.while_loop(lambda i, a: i < n, lambda i, a: (i + 1, a * x), (tf.constant(0), y), maximum_iterations=5)
        return tf.switch_case(n, [lambda: a, lambda: x])

    specs = [tensorflow.TensorSpec([None], tensorflow.float32), tensorflow.TensorSpec([], tensorflow.int32)]
    theirs = tensorflow.function(lambda x, n: f(tensorflow, x, n), autograph=False).get_concrete_function(*specs)
    mine = ours.function(lambda x, n: f(ours, x, n), autograph=False).get_concrete_function(
        ours.TensorSpec([None], ours.float32), ours.TensorSpec([], ours.int32)
    )
    for node in theirs.graph.as_graph_def().node:
        if node.op not in ("StatelessIf", "StatelessWhile", "StatelessCase"):
            continue
        own = mine.graph[node.name]
        assert own.op == node.op
        assert set(own.attrs) == set(node.attr)
        assert len(own.inputs) == len(node.input)
        for key, value in node.attr.items():
            stem = value.func.name.rpartition("_")[0]
            if stem:
                assert own.attrs[key].name.rpartition("_")[0] == stem
            if key == "output_shapes":
                assert [str(s) for s in own.attrs[key]] == [str(tensorflow.TensorShape(s)) for s in value.list.shape]
