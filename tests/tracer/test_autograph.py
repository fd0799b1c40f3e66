"""Autograph without TensorFlow: what is converted, what is left alone, loop options, errors, and functions without source."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from typing import Any

import numpy as np
import pytest

from tracer import autograph
from tracer.public import tf

pytest.importorskip("malt")


def test_functions_without_control_flow_are_left_alone() -> None:
    assert not autograph.needs_conversion(lambda x: tf.sin(x) * 2.0 + x.shape[0])
    assert not autograph.needs_conversion(np.mean)
    assert not autograph.needs_conversion(tf.map_fn)
    assert autograph.needs_conversion(lambda x: x if x else -x)
    assert autograph.needs_conversion(lambda x: not x)
    assert autograph.needs_conversion(lambda x: _branching(x) + 1)
    assert autograph.convert(_straight) is _straight


def _branching(x: Any) -> Any:
    if x > 0:
        return x
    return -x


def _straight(x: Any) -> Any:
    return tf.sin(x)


def test_the_converter_is_not_imported_before_something_needs_it() -> None:
    code = """
        import sys
        from tracer.public import tf
        f = tf.function(lambda x: tf.sin(x) + 1.0)
        f(tf.constant(1.0))
        assert "malt" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_loop_options_bound_turns_and_relax_shapes() -> None:
    @tf.function
    def f(x):
        v = x[:1]
        for i in tf.range(3):
            tf.autograph.experimental.set_loop_options(shape_invariants=[(v, tf.TensorShape([None]))])
            v = tf.concat([v, [tf.cast(i, tf.float32)]], 0)
        n = tf.constant(0)
        while n < 100:
            tf.autograph.experimental.set_loop_options(maximum_iterations=5)
            n += 1
        return v, n

    v, n = f(tf.constant([7.0, 8.0]))
    assert v.numpy().tolist() == [7.0, 0.0, 1.0, 2.0]
    assert n.numpy() == 5


def test_assertions_on_tensors_run_with_the_graph() -> None:
    @tf.function
    def f(x):
        assert x > 0, "must be positive"
        return x

    assert f(tf.constant(1.0)).numpy() == 1.0
    with pytest.raises(ValueError, match="must be positive"):
        f(tf.constant(-1.0))


def test_methods_of_modules_are_converted_with_what_they_call() -> None:
    class Counter(tf.Module):
        def __init__(self):
            self.v = tf.Variable(1.0)

        @tf.function(input_signature=[tf.TensorSpec([None])])
        def __call__(self, x):
            if tf.reduce_sum(x) > 0.0:
                self.v.assign_add(1.0)
            return self.grown(x)

        def grown(self, x):
            while self.v < 5.0:
                self.v.assign(self.v * 2.0)
            return x * self.v

    assert Counter()(tf.constant([1.0])).numpy().tolist() == [8.0]
    assert Counter()(tf.constant([-1.0])).numpy().tolist() == [-8.0]


def test_unconverted_functions_refuse_tensors_as_conditions() -> None:
    @tf.autograph.experimental.do_not_convert
    def plain(x):
        return x if x > 0 else -x

    with pytest.raises(TypeError, match=r"savedmodel\[autograph\]"):
        tf.function(lambda x: plain(x) if x > 1 else x)(tf.constant(1.0))
    with pytest.raises(TypeError, match="Python `bool`"):
        tf.function(_branching, autograph=False)(tf.constant(1.0))


def test_errors_tell_the_users_line() -> None:
    @tf.function
    def f(x):
        if x > 0:
            return tf.matmul(x, x)
        return x

    with pytest.raises(ValueError) as caught:
        f(tf.constant(1.0))
    text = str(caught.value)
    assert "in user code" in text
    assert "return tf.matmul(x, x)" in text
    assert __file__ in text


def test_functions_without_source_run_as_they_are_and_warn_once() -> None:
    namespace: dict[str, Any] = {"tf": tf}
    exec("def f(x):\n  if x.shape.rank == 0: return x + 1.0\n  return x\n", namespace)  # noqa: S102
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        g = tf.function(namespace["f"])
        assert g(tf.constant(1.0)).numpy() == 2.0
        assert g(tf.constant([1.0])).numpy() == [1.0]
    assert len([w for w in caught if "AutoGraph could not transform" in str(w.message)]) == 1


def test_branches_are_traced_once() -> None:
    seen = []

    @tf.function
    def f(x):
        if x > 0:
            if x > 1:
                if x > 2:
                    seen.append("deep")
                    x = x * 2
        return x

    assert f(tf.constant(3.0)).numpy() == 6.0
    assert seen == ["deep"]
