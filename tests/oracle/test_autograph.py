"""Python control flow inside tf.function, converted by TensorFlow's autograph and by ours: results must agree."""

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
PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
INPUTS = (X, -X, np.array([3.0, 0.25], np.float32), np.array([-1.0, -2.0, -3.0, 4.0], np.float32))


def program(fn: Callable[..., Any]) -> Callable[..., Any]:
    PROGRAMS[fn.__name__] = (fn, INPUTS)
    return fn


@program
def if_else(tf, x):
    if tf.reduce_sum(x) > 0.0:
        y = x * 2.0
    else:
        y = x - 1.0
    return y


@program
def if_without_else(tf, x):
    y = x
    if x[0] > 0.0:
        y = y * 3.0
    return y + 1.0


@program
def elif_chain(tf, x):
    s = tf.reduce_sum(x)
    if s > 2.0:
        r = 1
    elif s > 1.0:
        r = 2
    elif s > 0.0:
        r = 3
    else:
        r = 4
    return r


@program
def returns_from_branches(tf, x):
    if x[0] > 0.0:
        return x * 2.0
    if x[1] > 0.0:
        return x * 3.0
    return x


@program
def while_on_tensors(tf, x):
    i = tf.constant(0)
    y = x
    while i < 3:
        y = y * 1.5 + tf.sin(y)
        i += 1
    return y, i


@program
def while_with_break_and_continue(tf, x):
    i = tf.constant(0)
    total = tf.constant(0.0)
    while i < 10:
        i += 1
        if i % 2 == 0:
            continue
        if i > 7:
            break
        total += tf.cast(i, tf.float32) * x[0]
    return total, i


@program
def for_over_a_range(tf, x):
    y = x
    for i in tf.range(4):
        y = y + tf.cast(i, tf.float32) * x
    return y


@program
def for_over_a_range_with_steps(tf, x):
    total = tf.constant(0)
    for i in tf.range(10, 0, -3):
        total = total * 2 + i
    for j in tf.range(2, tf.size(x) + 4, 2):
        total = total * 3 + j
    return total


@program
def for_over_rows(tf, x):
    m = tf.stack([x, x * 2.0, x + 1.0])
    total = tf.zeros_like(x)
    for row in m:
        total = tf.maximum(total, row) + row
    return total


@program
def for_with_break_in_rows(tf, x):
    total = tf.constant(0.0)
    for v in x:
        if v < -1.0:
            break
        total += v
    return total


@program
def for_over_python_values(tf, x):
    y = x
    for k in [1.0, 2.0, 3.0]:
        if y[0] > 1.0:
            y = y - k
        else:
            y = y * k
    for i, k in enumerate({"a": 2.0, "b": 3.0}.items()):
        y = y + float(i) * k[1]
    return y


@program
def nested_loops(tf, x):
    total = tf.constant(0)
    for i in tf.range(4):
        for j in tf.range(i):
            if (i + j) % 2 == 0:
                total += i * j
            else:
                total -= 1
    return total


@program
def variables_first_set_in_a_loop(tf, x):
    for i in tf.range(3):
        z = x * tf.cast(i, tf.float32)
    return z


@program
def none_before_a_loop(tf, x):
    y = None
    for i in tf.range(2):
        y = x * tf.cast(i, tf.float32)
    return y


@program
def logical_operators(tf, x):
    a, b = x[0] > 0.0, x[1] > 0.0
    r = 0
    if a and b:
        r += 1
    if a or b:
        r += 2
    if not a:
        r += 4
    if a and not b and 3 > 2:
        r += 8
    return r


@program
def conditional_expressions(tf, x):
    return (x if x[0] > 0.0 else -x) + (1.0 if tf.reduce_any(x > 1.0) else 2.0)


@program
def chained_comparisons(tf, x):
    return 1 if -1.0 < x[0] < 1.0 else 0


def helper(tf, v):
    while tf.reduce_max(tf.abs(v)) > 1.0:
        v = v / 2.0
    return v


@program
def calls_of_functions(tf, x):
    def inner(v):
        if v[0] > 0.0:
            return helper(tf, v)
        return -helper(tf, v)

    double = lambda v: inner(v) * 2.0
    return double(x)


class Machine:
    def __init__(self, tf: Any) -> None:
        self.tf = tf
        self.scale = 2.0
        self.state = None

    def __call__(self, x):
        return self.run(x)

    def run(self, x):
        if self.tf.reduce_sum(x) > 0.0:
            out = x * self.scale
        else:
            out = x
        return out

    def remember(self, x):
        self.state = x
        if x[0] > 0.0:
            self.state = self.state * 3.0
        return self.state


@program
def methods_and_callables(tf, x):
    m = Machine(tf)
    return m(x) + m.run(-x) + m.remember(x)


@program
def super_calls(tf, x):
    class Child(Machine):
        def run(self, x):
            y = super().run(x)
            if y[0] > 1.0:
                y = y + 100.0
            return y

    return Child(tf).run(x)


@program
def len_of_tensors(tf, x):
    total = 0
    i = 0
    while i < len(x):
        total += i
        i += 1
    for j in range(tf.size(x)):
        total += j
    return total


@program
def structures_as_state(tf, x):
    state = {"a": x, "b": (tf.constant(1), x[0])}
    for _ in tf.range(3):
        state = {"a": state["a"] + 1.0, "b": (state["b"][0] * 2, state["b"][1] + state["a"][0])}
    return state


@program
def tensor_arrays(tf, x):
    array = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
    i = 0
    for v in x:
        if v > -1.0:
            array = array.write(i, v * 2.0)
            i += 1
    return array.stack()


@program
def variables_in_loops(tf, x):
    total = tf.zeros([])
    for i in tf.range(3):
        if i > 0:
            total += tf.reduce_sum(x) * tf.cast(i, tf.float32)
    return total


@program
def python_values_stay_python(tf, x):
    k = 3
    name = "a"
    if x[0] > 0.0:
        y = x * k
    else:
        y = x + k
        name = "a"
    return y[:k] if name == "a" else y


@program
def deep_conditions(tf, x):
    r = 0
    if x[0] > 0.0:
        r += 1
        if x[1] > 0.0:
            r += 10
            if x[0] > x[1]:
                r += 100
        else:
            if x[1] < -1.0:
                r += 1000
    return r


@program
def list_comprehensions(tf, x):
    parts = [x * float(k) for k in range(3)]
    if x[0] > 0.0:
        parts[1] = parts[1] + 1.0
    return tf.add_n(parts)


@program
def gradients_of_converted_loops(tf, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x
        for i in tf.range(3):
            if i % 2 == 0:
                y = y * tf.sin(x)
            else:
                y = y + x * x
    return tape.gradient(y, x)


def leaves(value: Any) -> list[Any]:
    return [np.asarray(v.numpy() if hasattr(v, "numpy") else v) for v in nest.flatten(value)]


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_converted_functions_give_what_tensorflow_gives(name: str) -> None:
    fn, inputs = PROGRAMS[name]
    theirs = tensorflow.function(lambda x: fn(tensorflow, x))
    mine = ours.function(lambda x: fn(ours, x))
    flexible = ours.function(lambda x: fn(ours, x), input_signature=[ours.TensorSpec([None], ours.float32)])
    for x in inputs:
        try:
            expected = leaves(theirs(tensorflow.constant(x)))
        except tensorflow.errors.InvalidArgumentError:
            continue
        for function in (mine, flexible) if name not in ("python_values_stay_python",) else (mine,):
            actual = leaves(function(ours.constant(x)))
            assert len(actual) == len(expected)
            for e, a in zip(expected, actual, strict=True):
                assert e.dtype == a.dtype
                np.testing.assert_allclose(a, e, rtol=2e-5, atol=1e-6)


def undefined_in_a_branch(tf, x):
    if x[0] > 0.0:
        y = x
    return y


def dtype_differs(tf, x):
    if x[0] > 0.0:
        y = 1
    else:
        y = x
    return y


def one_branch_returns(tf, x):
    if x[0] > 0.0:
        return x
    else:
        y = x  # noqa: F841


def dtype_changes_in_loop(tf, x):
    y = 1
    for _ in tf.range(2):
        y = tf.cast(y, tf.float32) + 1.0
    return y


def python_loop_with_tensor_break(tf, x):
    for _ in range(3):
        if x[0] > 0.0:
            break
    return x


def shape_changes(tf, x):
    y = x
    for _ in tf.range(2):
        y = tf.concat([y, y], 0)
    return y


@pytest.mark.parametrize(
    "fn", [undefined_in_a_branch, dtype_differs, one_branch_returns, dtype_changes_in_loop,
           python_loop_with_tensor_break, shape_changes],
)  # fmt: skip
def test_errors_are_of_tensorflows_kind_and_tell_the_line(fn: Callable[..., Any]) -> None:
    with pytest.raises((TypeError, ValueError, NotImplementedError)) as expected:
        tensorflow.function(lambda x: fn(tensorflow, x))(tensorflow.constant(X))
    with pytest.raises((TypeError, ValueError, NotImplementedError)) as actual:
        ours.function(lambda x: fn(ours, x))(ours.constant(X))
    kinds = [k for k in (NotImplementedError, TypeError, ValueError) if isinstance(expected.value, k)]
    assert isinstance(actual.value, kinds[0]), (expected.value, actual.value)
    assert "in user code" in str(actual.value)
    assert f"in {fn.__name__}" in str(actual.value)
