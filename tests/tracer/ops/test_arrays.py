"""Array ops without TensorFlow: exact small cases, numeric gradients, traced equals eager, partial shapes, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.tracer.check import check_gradients, check_traced
from tracer.dispatch import raw
from tracer.errors import AssertionFailedError, InvalidArgumentError, SavedModelError
from tracer.functions import function
from tracer.public import tf
from tracer.specs import TensorSpec

X = np.random.default_rng(5).normal(size=(2, 3, 4))
W = np.array([[1.0, 0, 2], [0, 0, 3], [4, 5, 0], [1, 1, 1]])
IDS = np.array([2, 0, -1, 2], np.int32)

DIFFERENTIABLE: list[tuple[str, Callable[..., Any], list[np.ndarray]]] = [
    ("reshape", lambda x: tf.reshape(x, [4, -1]), [X]),
    ("transpose", lambda x: tf.transpose(x, [2, 0, 1]), [X]),
    ("stack", lambda x: tf.stack(tf.unstack(x, num=3, axis=1), axis=-1), [X]),
    ("concat", lambda x: tf.concat([x, x * 2.0, x[:, :1]], axis=1), [X]),
    ("split", lambda x: tf.split(x, [1, -1], axis=2), [X]),
    ("strided_slice", lambda x: x[:, ::-2, None, ..., 1:3], [X]),
    ("slice", lambda x: tf.slice(x, [0, 1, 1], [-1, 1, 2]), [X]),
    ("gather rows", lambda x: tf.gather(x, [1, 1, 0]), [X]),
    ("gather batch", lambda x: tf.gather(x, [[2, 0], [1, 1]], batch_dims=1), [X]),
    ("gather_nd", lambda x: tf.gather_nd(x, [[0, 1], [1, 2], [0, 1]]), [X]),
    ("tile", lambda x: tf.tile(x, [1, 2, 3]), [X]),
    ("broadcast_to", lambda x: tf.broadcast_to(x, [5, 2, 3, 4]), [X]),
    ("pad", lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1]]), [X]),
    ("mirror", lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 3]], "REFLECT"), [X]),
    ("mirror edge", lambda x: tf.pad(x, [[0, 2], [1, 2], [0, 3]], "SYMMETRIC"), [X]),
    ("reverse", lambda x: tf.reverse(x, [0, -1]), [X]),
    ("roll", lambda x: tf.roll(x, [1, -2], [1, 2]), [X]),
    ("boolean_mask", lambda x: tf.boolean_mask(x, np.array([[True, False, True], [False, True, True]])), [X]),
    ("repeat", lambda x: tf.repeat(x, [2, 0, 1], axis=1), [X]),
    ("scatter_nd", lambda x: tf.scatter_nd([[1], [3]], x, [5, 3, 4]), [X]),
    ("scatter update", lambda x, y: tf.tensor_scatter_nd_update(x, [[1]], y), [X, X[:1] * 2]),
    ("segment prod", lambda x: tf.math.unsorted_segment_prod(x, IDS, 4), [W]),
    ("segment mean", lambda x: tf.math.segment_mean(x, [0, 0, 2, 2]), [W]),
    ("partition", lambda x: tf.dynamic_partition(x, [1, 0, 1, 1], 2), [W]),
    ("top_k", lambda x: tf.math.top_k(x, 2).values, [X]),
    ("sort", lambda x: tf.sort(x, axis=1), [X]),
    ("space_to_depth", lambda x: tf.nn.space_to_depth(tf.reshape(x, [1, 4, 6, 1]), 2), [X]),
    ("patches", lambda x: tf.image.extract_patches(tf.reshape(x, [1, 4, 6, 1]), [1, 3, 2, 1], [1, 1, 2, 1], [1, 1, 1, 1], "SAME"), [X]),
]  # fmt: skip


@pytest.mark.parametrize(("fn", "inputs"), [c[1:] for c in DIFFERENTIABLE], ids=[c[0] for c in DIFFERENTIABLE])
def test_gradients_equal_differences_and_traced_equals_eager(fn: Callable[..., Any], inputs: list[np.ndarray]) -> None:
    check_gradients(fn, inputs)
    check_traced(fn, inputs)


def test_gradients_work_where_no_shape_is_known() -> None:
    fns = [c[1] for c in DIFFERENTIABLE if c[0] in ("reshape", "transpose", "concat", "split", "gather batch", "tile", "mirror", "roll")]
    for fn in fns:
        def grads(x: Any, fn: Callable[..., Any] = fn) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                out = fn(x)
                loss = tf.add_n([tf.reduce_sum(o * o) for o in (out if isinstance(out, (list, tuple)) else [out])])
            return tape.gradient(loss, x)

        eager = grads(tf.constant(X)).numpy()
        unknown = function(grads, autograph=False, input_signature=[TensorSpec([None, None, None], tf.float64)])(X).numpy()
        np.testing.assert_allclose(unknown, eager)


SHAPES = [
    ("reshape", lambda x: tf.reshape(x, [-1, 6]), [None, 2, 3], [None, 6]),
    ("reshape by shape", lambda x: tf.reshape(x, [tf.shape(x)[0], 6]), [None, 2, 3], [None, 6]),
    ("slice off", lambda x: x[:, 1:], [None, 4], [None, 3]),
    ("shrink", lambda x: x[..., 0], [None, None, 4], [None, None]),
    ("shrink at a tensor", lambda x: x[tf.shape(x)[0] - 1], [None, 4], [4]),
    ("concat", lambda x: tf.concat([x, x], 0), [None, 4], [None, 4]),
    ("concat unknown", lambda x: tf.concat([x, x], 1), [None, 4], [None, 8]),
    ("stack", lambda x: tf.stack([x, x], 1), [None, 4], [None, 2, 4]),
    ("zeros", lambda x: tf.zeros([tf.shape(x)[0], 7]), [None, 4], [None, 7]),
    ("fill like", lambda x: tf.fill(tf.shape(x), 1), [3, None], [3, None]),
    ("pad", lambda x: tf.pad(x, [[1, 1], [0, 2]]), [None, 4], [None, 6]),
    ("one_hot", lambda x: tf.one_hot(tf.cast(x, tf.int32), 5), [None, 4], [None, 4, 5]),
    ("top_k", lambda x: tf.math.top_k(x, 2)[0], [None, 4], [None, 2]),
    ("expand", lambda x: x[:, tf.newaxis] if hasattr(tf, "newaxis") else x[:, None], [None, 4], [None, 1, 4]),
    ("squeeze", lambda x: tf.squeeze(x, 1), [None, 1, 4], [None, 4]),
    ("mask", lambda x: tf.boolean_mask(x, x[:, 0] > 0), [None, 4], [None, 4]),
    ("where", lambda x: tf.where(x > 0), [None, 4], [None, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("fn", "given", "expected"), [c[1:] for c in SHAPES], ids=[c[0] for c in SHAPES])
def test_partial_shapes_are_known_while_tracing(fn: Callable[..., Any], given: list[Any], expected: list[Any]) -> None:
    concrete = function(fn, autograph=False).get_concrete_function(TensorSpec(given, tf.float32))
    assert concrete.structured_outputs.shape.as_list() == expected


REFUSED = [
    (lambda: tf.gather([1, 2, 3], [0, 5]), r"indices\[1\] = 5 is not in \[0, 3\)"),
    (lambda: tf.gather([1, 2, 3], [[0], [-1]]), r"indices\[1,0\] = -1 is not in \[0, 3\)"),
    (lambda: tf.gather_nd([[1, 2]], [[0, 2]]), r"indices\[0\] = \[0, 2\] does not index into param shape \[1, 2\]"),
    (lambda: tf.reshape([1, 2, 3], [2, -1]), "multiple of 2"),
    (lambda: tf.split([1, 2, 3], 2), "evenly divide"),
    (lambda: tf.range(3, 0), "start <= limit"),
    (lambda: tf.ensure_shape([1, 2], [3]), "not compatible with expected shape"),
    (lambda: tf.math.segment_sum([1, 2], [1, 0]), "not increasing"),
    (lambda: raw.TensorListPopBack(raw.TensorListReserve([1], 0, element_dtype="float32"), [1], element_dtype="float32"), "pop from an empty list"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_what_does_not_fit_is_refused_with_words(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(SavedModelError, match=words):
        call()


def test_strings_pass_through_array_ops() -> None:
    s = tf.constant([["a", "b"], ["c", "d"]])
    assert tf.transpose(s).numpy().tolist() == [[b"a", b"c"], [b"b", b"d"]]
    assert tf.pad(s, [[0, 1], [0, 0]]).numpy().tolist()[2] == [b"", b""]
    assert tf.zeros([2], tf.string).numpy().tolist() == [b"", b""]
    assert tf.unique(["b", "a", "b"]).idx.numpy().tolist() == [0, 1, 0]


def test_a_pushed_list_does_not_change_the_list_it_was_made_from() -> None:
    scalar = np.zeros(0, np.int32)
    empty = raw.EmptyTensorList(scalar, -1, element_dtype="int32")
    one = raw.TensorListPushBack(empty, 1)
    two, other = raw.TensorListPushBack(one, 2), raw.TensorListPushBack(one, 3)
    read = [raw.TensorListStack(h, scalar, element_dtype="int32").numpy().tolist() for h in (empty, one, two, other)]
    assert read == [[], [1], [1, 2], [1, 3]]


def test_a_tensor_array_reads_back_what_was_written() -> None:
    array = tf.TensorArray(tf.float32, size=2, element_shape=[2])
    array.write(1, [1.0, 2.0])  # eagerly the array itself changes
    assert array.stack().numpy().tolist() == [[0, 0], [1, 2]]
    assert array.read(1).numpy().tolist() == [1, 2]
    with pytest.raises(InvalidArgumentError, match="cleared after a previous read"):
        array.read(1)
    with pytest.raises(IndexError, match="not resizeable"):
        array.write(2, [0.0, 0.0])
    with pytest.raises(ValueError, match="Incompatible shape"):
        array.write(0, [0.0])


def test_a_resource_array_gives_gradients() -> None:
    def through(x: Any) -> Any:
        handle, flow = raw.TensorArrayV3(3, dtype="float64", element_shape=[2], clear_after_read=False)
        flow = raw.TensorArrayScatterV3(handle, [0, 2], x[:2], flow)
        flow = raw.TensorArrayWriteV3(handle, 1, x[2] * x[0], flow)
        one = raw.TensorArrayReadV3(handle, 2, flow, dtype="float64")
        return one * one, raw.TensorArrayGatherV3(handle, [0, 1, 1], flow, dtype="float64")

    check_gradients(through, [X[0, :, :2]])


def test_assertions_raise_when_they_run() -> None:
    @function(autograph=False)
    def checked(x: Any) -> Any:
        with tf.control_dependencies([tf.debugging.assert_positive(x)]):
            return tf.identity(x)

    assert checked(tf.constant([1.0])).numpy().tolist() == [1.0]
    with pytest.raises(AssertionFailedError, match=r"assertion failed.*Condition x > 0"):
        checked(tf.constant([-1.0]))
