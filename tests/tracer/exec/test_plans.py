"""Plans: inlining, folding, fusing, in-place steps and generated code change nothing but the time that a call takes."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracer.errors import InvalidArgumentError
from tracer.exec.numpy_engine import NumpyRunnable, optimize, prepare
from tracer.exec.plan import make_plan
from tracer.public import tf

rng = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def runnables(graph: Any) -> list[NumpyRunnable]:
    """The plain plan interpreted, the whole pipeline interpreted, and the whole pipeline as generated code."""
    plain, smart, code = NumpyRunnable(make_plan(graph), 10**9), NumpyRunnable(optimize(make_plan(graph)), 10**9), prepare(graph)
    code.compile()
    return [plain, smart, code]


def check(fn: Any, *args: np.ndarray, rtol: float = 2e-5) -> NumpyRunnable:
    """All runnables of `fn` agree on `args`; returns the compiled one."""
    concrete = tf.function(fn).get_concrete_function(*[tf.TensorSpec([None] * a.ndim, a.dtype) for a in args])
    captured = [t._value for t in concrete.captured_inputs]
    made = runnables(concrete.graph)
    before = [a.copy() for a in args]
    expected, *others = [r(*args, *captured) for r in made]
    for actual in others:
        for e, a in zip(expected, actual, strict=True):
            assert e.dtype == a.dtype and e.shape == a.shape
            np.testing.assert_allclose(a, e, rtol, 1e-5)
    for a, b in zip(args, before, strict=True):
        np.testing.assert_array_equal(a, b)
    return made[-1]


def ops(runnable: NumpyRunnable) -> list[str]:
    return [s.op for s in runnable.plan.steps]


# -- fusing ----------------------------------------------------------------------------------------------------------

ACTIVATIONS = [lambda x: x, "relu", "relu6", "tanh", "sigmoid", "elu", "leaky_relu"]


def _activate(name: Any, x: Any) -> Any:
    return name(x) if callable(name) else getattr(tf.sigmoid if name == "sigmoid" else tf.nn, name, tf.sigmoid)(x)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias_and_activation_join_a_matrix_product(activation: Any) -> None:
    w, b = tf.Variable(floats(5, 7)), tf.Variable(floats(7))
    run = check(lambda x: _activate(activation, tf.nn.bias_add(tf.matmul(x, w), b)), floats(3, 5))
    assert len(run.plan.steps) == 1


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
@pytest.mark.parametrize("depthwise", [False, True])
def test_batch_norm_becomes_part_of_the_weights(data_format: str, depthwise: bool) -> None:
    first = data_format == "NCHW"
    w = tf.Variable(floats(3, 3, 4, 2) if depthwise else floats(3, 3, 4, 8))
    bias, scale, offset, mean = (tf.Variable(floats(8)) for _ in range(4))
    variance = tf.Variable(np.abs(floats(8)) + 0.1)

    def fn(x: Any) -> Any:
        x = tf.reshape(x, [-1, 4, 6, 6] if first else [-1, 6, 6, 4])
        if depthwise:
            y = tf.raw_ops.DepthwiseConv2dNative(input=x, filter=w, strides=[1, 1, 1, 1], padding="SAME", data_format=data_format)
        else:
            y = tf.nn.conv2d(x, w, 1, "SAME", data_format)
        y = tf.nn.bias_add(y, bias, data_format)
        y = tf.raw_ops.FusedBatchNormV3(
            x=y, scale=scale, offset=offset, mean=mean, variance=variance, is_training=False, data_format=data_format
        )[0]
        return tf.nn.relu6(y)

    run = check(fn, floats(2, 4, 6, 6), rtol=1e-4)
    assert len(ops(run)) == 2  # Reshape and one product
    assert ops(run)[-1].endswith("+BiasAdd+Relu6")


def test_batch_norm_alone_is_a_scale_and_a_shift_and_in_training_stays() -> None:
    stats = [tf.Variable(np.abs(floats(4)) + 0.1) for _ in range(4)]
    names = ("scale", "offset", "mean", "variance")

    def norm(x: Any, training: bool) -> Any:
        given = dict(zip(names, stats, strict=True))
        return tf.nn.relu(tf.raw_ops.FusedBatchNormV3(x=x, **given, is_training=training)[0])

    assert ops(check(lambda x: norm(x, False), floats(2, 3, 3, 4))) == ["Scale", "Relu"]
    assert "FusedBatchNormV3" in ops(check(lambda x: norm(x, True), floats(2, 3, 3, 4)))


def test_a_product_that_something_else_reads_is_not_joined() -> None:
    w, b = tf.Variable(floats(4, 4)), tf.Variable(floats(4))

    def fn(x: Any) -> Any:
        y = tf.matmul(x, w)
        return tf.nn.relu(tf.nn.bias_add(y, b)) + y, y

    check(fn, floats(3, 4))


def test_a_dense_layer_of_rank_three_joins_its_bias_across_the_reshape() -> None:
    w, b = tf.Variable(floats(4, 6)), tf.Variable(floats(6))

    def fn(x: Any) -> Any:
        y = tf.matmul(tf.reshape(x, [-1, 4]), w)
        return tf.nn.relu(tf.nn.bias_add(tf.reshape(y, [-1, 5, 6]), b))

    assert ops(check(fn, floats(2, 5, 4))) == ["Reshape", "MatMul+BiasAdd+Relu", "Reshape"]


@pytest.mark.parametrize("rows", [3, 3000])
def test_gelu_joins_the_product_before_it(rows: int) -> None:
    w, b = tf.Variable(floats(5, 7)), tf.Variable(floats(7))
    run = check(lambda x: tf.nn.gelu(tf.nn.bias_add(tf.matmul(x, w), b)), floats(rows, 5))
    assert ops(run) == ["MatMul+BiasAdd+GeluExact"]
    assert ops(check(lambda x: (tf.nn.gelu(x), x), floats(rows, 5))) == ["GeluExact"]


def test_a_bias_of_the_wrong_length_is_an_error_that_names_function_and_node() -> None:
    w, b = tf.Variable(floats(4, 6)), tf.Variable(floats(6), shape=tf.TensorShape(None))
    fn = tf.function(lambda x: tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w), b)))
    for _ in range(12):
        fn(floats(2, 4))
    b.assign(floats(1))
    with pytest.raises(InvalidArgumentError, match=r"function .* > node 'MatMul.*' \(MatMul\).*Must provide as many biases"):
        fn(floats(2, 4))


# -- variables -------------------------------------------------------------------------------------------------------


def test_folded_values_follow_the_variables_behind_them() -> None:
    w = tf.Variable(floats(3, 3, 2, 2))
    stats = [tf.Variable(np.abs(floats(2)) + 0.1) for _ in range(4)]

    def plain(x: Any) -> Any:
        y = tf.nn.conv2d(x, w, 1, "SAME")
        return tf.raw_ops.FusedBatchNormV3(
            x=y, scale=stats[0], offset=stats[1], mean=stats[2], variance=stats[3], is_training=False
        )[0] + tf.exp(stats[0])

    traced, x = tf.function(plain), floats(1, 5, 5, 2)
    for turn in range(24):
        np.testing.assert_allclose(traced(x).numpy(), plain(tf.constant(x)).numpy(), 1e-4, 1e-5)
        variable = [w, *stats][turn % 5]
        variable.assign(variable * 1.5 if turn % 2 else variable + 0.25)


@pytest.mark.parametrize("calls", [1, 12])
def test_reads_see_the_writes_before_them_and_not_those_after(calls: int) -> None:
    v = tf.Variable([1.0, 2.0])

    @tf.function
    def inner() -> Any:
        v.assign_add([10.0, 10.0])
        return v * 1.0

    @tf.function
    def fn(x: Any) -> Any:
        first = v.read_value()
        v.assign(first + x)
        second = v.read_value()
        third = inner()
        v.assign(third * 2.0)
        return first, second, third, v.read_value()

    for _ in range(calls):
        start = v.numpy()
        got = [t.numpy() for t in fn(tf.constant([1.0, 1.0]))]
        expected = [start, start + 1, start + 11, (start + 11) * 2]
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(v.numpy(), expected[-1])
        v.assign([1.0, 2.0])


def test_writes_inside_branches_and_loops_are_seen_after_them() -> None:
    v = tf.Variable(1.0)

    @tf.function(autograph=False)
    def fn(n: Any) -> Any:
        before = v * 3.0
        tf.while_loop(lambda i: i < n, lambda i: [i + (0 * tf.cast(v.assign_add(1.0).read_value(), tf.int32)) + 1], [tf.constant(0)])
        tf.cond(n > 2, lambda: v.assign_add(100.0).read_value(), lambda: v.read_value())
        return before, v * 3.0

    for _ in range(10):
        v.assign(1.0)
        assert [float(t) for t in fn(tf.constant(3))] == [3.0, 312.0]
        v.assign(1.0)
        assert [float(t) for t in fn(tf.constant(2))] == [3.0, 9.0]


# -- inlining --------------------------------------------------------------------------------------------------------


def test_calls_are_inlined_and_random_ops_keep_their_own_streams() -> None:
    @tf.function
    def noise() -> Any:
        return tf.random.uniform([3], seed=7)

    @tf.function
    def twice() -> Any:
        return noise(), noise()

    tf.random.set_seed(3)
    a, b = (t.numpy() for t in twice())
    c, _ = (t.numpy() for t in twice())
    np.testing.assert_array_equal(a, b)  # two nodes with one seed
    assert not np.array_equal(a, c)  # the stream goes on from call to call
    tf.random.set_seed(3)
    np.testing.assert_array_equal(twice()[0].numpy(), a)
    assert ops(twice.get_concrete_function().graph.extra["runnable"]).count("RandomUniform") == 2
    streams = [twice()[0].numpy() for _ in range(12)]  # also past the change to generated code
    assert len({s.tobytes() for s in streams}) == 12


def test_an_error_in_an_inlined_function_names_that_function() -> None:
    @tf.function
    def inner(x: Any, y: Any) -> Any:
        return tf.matmul(x, y, name="product")

    @tf.function(input_signature=[tf.TensorSpec(None), tf.TensorSpec(None)])
    def outer(x: Any, y: Any) -> Any:
        return inner(x, y) + 1.0

    for turn in range(12):
        with pytest.raises(InvalidArgumentError, match=r"function __inference_inner_\d+ > node 'product' \(BatchMatMulV2\)"):
            outer(floats(2, 3), floats(2, 3))
        if turn:
            outer(floats(2, 3), floats(3, 2))


def test_names_of_nodes_cannot_become_code() -> None:
    concrete = tf.function(lambda x: tf.sin(x) * 2.0).get_concrete_function(tf.TensorSpec([2]))
    for node in list(concrete.graph):
        node.name += "\nraise SystemExit  #"
    run = prepare(concrete.graph)
    run.compile()
    np.testing.assert_allclose(run(np.ones(2, np.float32))[0], 2 * np.sin(np.ones(2)), 1e-6)


# -- constants -------------------------------------------------------------------------------------------------------


def test_constants_are_folded_unless_they_would_grow() -> None:
    run = check(lambda x: x + tf.reduce_sum(tf.constant([1.0, 2.0]) * 3.0) + tf.reduce_sum(tf.fill([1000, 1000], 0.5)) * 0.0, floats(2))
    assert "Fill" in ops(run) and "Mul" in ops(run) and ops(run).count("Sum") == 1


def test_constants_that_cannot_be_computed_fail_when_they_run() -> None:
    fn = tf.function(lambda x: x + tf.reshape(tf.constant([1.0, 2.0, 3.0]), tf.constant([2, 1]) + tf.constant([0, 1]) * 1))
    with pytest.raises((InvalidArgumentError, ValueError)):
        fn(floats(2))


# -- buffers ---------------------------------------------------------------------------------------------------------

BINARY = [tf.add, tf.subtract, tf.multiply, tf.maximum, tf.minimum]
UNARY = [tf.nn.relu, tf.tanh, tf.sigmoid, tf.exp, tf.square, tf.negative, tf.abs, lambda x: tf.reshape(x, tf.shape(x)), tf.identity,
         lambda x: tf.transpose(tf.transpose(x)), lambda x: x[:, :1], lambda x: tf.reduce_mean(x, 1, keepdims=True)]  # fmt: skip
PROGRAMS = st.lists(
    st.one_of(
        st.tuples(st.just(2), st.integers(0, len(BINARY) - 1), st.integers(0, 9), st.integers(0, 9)),
        st.tuples(st.just(1), st.integers(0, len(UNARY) - 1), st.integers(0, 9), st.just(0)),
    ),
    min_size=1, max_size=14,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(PROGRAMS, st.sets(st.integers(0, 15), min_size=1, max_size=3))
def test_generated_code_and_steps_in_place_agree_with_the_plain_plan(program: Any, results: set[int]) -> None:
    v = tf.Variable(np.linspace(-1, 1, 60, dtype=np.float32).reshape(1, 60))

    def fn(x: Any, y: Any) -> Any:
        values = [x, y, v.read_value(), x * 0.5]
        for arity, k, i, j in program:
            a, b = values[-1 - i % len(values)], values[-1 - j % len(values)]
            values.append(tf.clip_by_value(BINARY[k](a, b) if arity == 2 else UNARY[k](a), -10.0, 10.0))
        return [values[-1 - r % len(values)] for r in sorted(results)]

    check(fn, floats(60, 60), floats(60, 1))


def test_large_chains_run_in_place_and_inputs_stay() -> None:
    run = check(lambda x: tf.nn.relu(tf.tanh(x * 2.0 + 1.0) - 0.5), floats(100, 100))
    assert sum(s.fresh for s in run.plan.steps) == 4
    check(lambda x: (lambda y: (tf.reshape(y, [-1]), y + 1.0))(x * 2.0), floats(100, 100))


# -- code ------------------------------------------------------------------------------------------------------------


def test_long_plans_become_several_functions() -> None:
    def fn(x: Any) -> Any:
        y = x
        for i in range(2000):
            y = tf.sin(y) if i % 3 else y + x
        return y

    run = check(fn, floats(3))
    assert run.program is not None and run.program.source.count("\ndef ") > 3


def test_errors_tell_what_a_node_received() -> None:
    concrete = tf.function(lambda x, y: tf.sin(x) + y).get_concrete_function(tf.TensorSpec([None]), tf.TensorSpec([None]))
    for run in runnables(concrete.graph):
        with pytest.raises(InvalidArgumentError, match=r"node 'AddV2' \(AddV2\).*received \(float32\(2,\), float32\(3,\)\)"):
            run(floats(2), floats(3))


def test_threads_may_call_at_once_while_variables_change() -> None:
    w, b = tf.Variable(floats(40, 40)), tf.Variable(floats(40))
    fn = tf.function(lambda x: tf.tanh(tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w), b)) * 2.0 + x) - x)
    inputs = [floats(70, 40) for _ in range(4)]
    expected = [fn(x).numpy() for x in inputs]
    errors: list[Any] = []

    def work(k: int) -> None:
        for _ in range(60):
            if not np.array_equal(fn(inputs[k]).numpy(), expected[k]):
                errors.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for _ in range(20):
        w.assign(w.read_value())
    for t in threads:
        t.join()
    assert errors == []


def test_overflow_and_division_by_zero_are_silent() -> None:
    fn = tf.function(lambda x: tf.exp(x * 1000.0) / (x - x))
    with np.errstate(all="raise"):
        for _ in range(12):
            assert np.isinf(fn(tf.constant([1.0])).numpy()).all()


# -- loops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "turns", "rows"), [(0, 5, 3), (2, 3, 3), (0, 0, 3), (0, 5, 0)])
def test_products_of_list_elements_leave_the_loop(start: int, turns: int, rows: int) -> None:
    from tracer.exec.loops import hoist_products

    x, h, w, u = floats(5, rows, 4), floats(rows, 6), floats(4, 6), floats(6, 6)

    @tf.function(autograph=False)
    def fn(x: Any, h: Any, w: Any, u: Any) -> Any:
        items = tf.TensorArray(tf.float32, size=5, element_shape=[None, 4]).unstack(x)
        loop = tf.while_loop(
            lambda t, h, w, u, n: t < n, lambda t, h, w, u, n: (t + 1, tf.tanh(tf.matmul(items.read(t), w) + tf.matmul(h, u)), w, u, n),
            (tf.constant(start), h, w, u, tf.constant(start + turns)),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, 6]), tf.TensorShape([4, 6]), tf.TensorShape([6, 6]), tf.TensorShape([])),
        )  # fmt: skip
        return loop[1]

    expected = h
    for t in range(start, start + turns):
        expected = np.tanh(x[t] @ w + expected @ u)
    for _ in range(10):
        np.testing.assert_allclose(fn(x, h, w, u).numpy(), expected, 1e-4, 1e-5)
    graph = fn.get_concrete_function(x, h, w, u).graph
    loop = next(n for n in graph if n.op in ("While", "StatelessWhile"))
    assert hoist_products(loop.attrs["body"].graph) is not None


def test_writing_one_variable_leaves_others_folded_unless_they_are_the_same() -> None:
    w, counter = tf.Variable(floats(3, 3)), tf.Variable(0.0)

    @tf.function
    def fn(x: Any) -> Any:
        counter.assign_add(1.0)
        return tf.matmul(x, w * 2.0)

    x = floats(2, 3)
    for _ in range(12):
        np.testing.assert_allclose(fn(x).numpy(), x @ (w.numpy() * 2), 1e-5, 1e-6)
        w.assign(w * 0.9)
    assert float(counter) == 12.0
    assert [s.op for s in fn.get_concrete_function(x).graph.extra["runnable"].plan.static] == ["ReadVariableOp", "Mul"]

    a, b = tf.Variable([1.0]), tf.Variable([5.0])

    @tf.function
    def pair() -> Any:
        a.assign_add([1.0])
        return tf.exp(b.read_value() * 0.0) * a.read_value() + b.read_value()

    graph = pair.get_concrete_function().graph
    for run in runnables(graph):
        first, second = tf.Variable([1.0]), tf.Variable([5.0])
        assert run(first._resource, second._resource)[0].tolist() == [7.0]
        assert run(first._resource, first._resource)[0].tolist() == [6.0]
        assert run(first._resource, second._resource)[0].tolist() == [9.0]
