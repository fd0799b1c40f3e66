"""Set operations, assertions' texts and printing against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.oracle.compare import compare_op
from tracer.dispatch import raw
from tracer.public import tf as ours

A = np.array([[1, 2, 2], [5, 4, 9]], np.int32)
B = np.array([[2, 3], [9, 9]], np.int32)
STRINGS = np.array([[b"b", b"a"], [b"c", b"c"]], dtype=object)
INDICES = np.array([[0, 0], [0, 1], [1, 0]], np.int64)
VALUES = np.array([1, 7, 9], np.int32)
SHAPE = np.array([2, 3], np.int64)


@pytest.mark.parametrize("operation", ["a-b", "b-a", "intersection", "union"])
def test_set_operations_agree_with_tensorflow(operation: str) -> None:
    compare_op("DenseToDenseSetOperation", [A, B], set_operation=operation)
    compare_op("DenseToDenseSetOperation", [STRINGS, STRINGS[:, ::-1][::-1]], set_operation=operation)
    compare_op("DenseToSparseSetOperation", [A, INDICES, VALUES, SHAPE], set_operation=operation)
    compare_op("SparseToSparseSetOperation", [INDICES, VALUES, SHAPE, INDICES[1:], VALUES[1:], SHAPE], set_operation=operation)


def test_set_sizes_agree_with_tensorflow() -> None:
    compare_op("SetSize", [INDICES, np.array([1, 1, 9], np.int32), SHAPE])


@pytest.mark.parametrize("summarize", [-1, 1, 3, 100])
def test_a_failed_assertion_shows_its_data_as_tensorflow_does(summarize: int) -> None:
    data = [np.arange(6, dtype=np.int32), np.array([[1.5, 1 / 3], [1e-7, 1e20]], np.float32), np.zeros((2, 2, 2)), np.array([["a", "b\n"]], object),
            np.array([True, False]), np.array(0.1), np.zeros((2, 0), np.float32), np.array([-np.inf, np.nan], np.float16)]  # fmt: skip
    with pytest.raises(tf.errors.InvalidArgumentError) as theirs:
        tf.raw_ops.Assert(condition=False, data=[tf.constant(d) for d in data], summarize=summarize)
    with pytest.raises(ValueError) as mine:
        raw.Assert(ours.constant(False), [ours.constant(d) for d in data], summarize=summarize)
    expected = str(theirs.value)
    assert str(mine.value) == expected[expected.index("assertion failed") : expected.index(" [Op:")]


def test_print_writes_what_tensorflow_writes(capfd: pytest.CaptureFixture[str]) -> None:
    import sys

    x = np.array([[1.5, 2.25, 3], [1, 2, 3]], np.float32)
    for lib in (tf, ours):
        lib.print("a{}", lib.constant(x), [1, {"b": lib.constant(x)}], lib.range(10), lib.constant("s"), (1, "q", None), summarize=2, sep="|")
        lib.print(lib.constant("plain"), output_stream=sys.stderr)
        lib.print(lib.constant([True]), 1.5, "x", end="!\n")
        (tf.raw_ops if lib is tf else raw).Print(input=lib.constant(x), data=[lib.constant(x), lib.constant(["s"])], message="M: ", summarize=3)
    lines = capfd.readouterr().err.splitlines()
    half = len(lines) // 2
    assert lines[:half] == lines[half:]
