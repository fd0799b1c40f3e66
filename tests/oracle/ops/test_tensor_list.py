"""Tensor lists and tensor arrays against TensorFlow: values and gradients, eagerly and in traced functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.oracle.compare import compare_calls
from tracer.public import tf as ours

X = np.random.default_rng(3).normal(size=(3, 2)).astype(np.float32)


def _push_pop(t: Any, x: Any) -> Any:
    handle = t.raw_ops.EmptyTensorList(element_shape=t.constant([2]), max_num_elements=-1, element_dtype=t.float32)
    for i in range(3):
        handle = t.raw_ops.TensorListPushBack(input_handle=handle, tensor=x[i] * float(i + 1))
    other = t.raw_ops.TensorListPushBack(input_handle=handle, tensor=x[0])
    third = t.raw_ops.TensorListPushBack(input_handle=handle, tensor=x[1])
    rest, last = t.raw_ops.TensorListPopBack(input_handle=other, element_shape=t.constant([2]), element_dtype=t.float32)
    stacked = t.raw_ops.TensorListStack(input_handle=rest, element_shape=t.constant([2]), element_dtype=t.float32)
    return stacked * 2.0, last, t.raw_ops.TensorListStack(input_handle=third, element_shape=t.constant([-1]), element_dtype=t.float32)


def _set_get(t: Any, x: Any) -> Any:
    handle = t.raw_ops.TensorListReserve(element_shape=t.constant([2]), num_elements=4, element_dtype=t.float32)
    handle = t.raw_ops.TensorListSetItem(input_handle=handle, index=2, item=x[1])
    handle = t.raw_ops.TensorListSetItem(input_handle=handle, index=0, item=x[0] * x[2])
    get = t.raw_ops.TensorListGetItem(input_handle=handle, index=2, element_shape=t.constant([2]), element_dtype=t.float32)
    unset = t.raw_ops.TensorListGetItem(input_handle=handle, index=3, element_shape=t.constant([2]), element_dtype=t.float32)
    return get * get, unset, t.raw_ops.TensorListStack(input_handle=handle, element_shape=t.constant([2]), element_dtype=t.float32, num_elements=4)


def _from_gather(t: Any, x: Any) -> Any:
    handle = t.raw_ops.TensorListFromTensor(tensor=x, element_shape=t.constant([2]))
    handle = t.raw_ops.TensorListResize(input_handle=handle, size=4)
    picked = t.raw_ops.TensorListGather(input_handle=handle, indices=t.constant([3, 0]), element_shape=t.constant([2]), element_dtype=t.float32)
    return picked * 3.0, t.raw_ops.TensorListLength(input_handle=handle), t.raw_ops.TensorListElementShape(input_handle=handle, shape_type=t.int64)


def _scatter_all(t: Any, x: Any) -> Any:
    handle = t.raw_ops.TensorListScatterV2(tensor=x, indices=t.constant([2, 0, 1]), element_shape=t.constant([2]), num_elements=5)
    handle = t.raw_ops.TensorListScatterIntoExistingList(input_handle=handle, tensor=x[:1] * x[1:2], indices=t.constant([2]))
    return t.raw_ops.TensorListStack(input_handle=handle, element_shape=t.constant([2]), element_dtype=t.float32)


def _split_concat(t: Any, x: Any) -> Any:
    handle = t.raw_ops.TensorListSplit(tensor=x, element_shape=t.constant([-1, 2]), lengths=t.constant([1, 0, 2], t.int64))
    handle = t.raw_ops.TensorListSetItem(input_handle=handle, index=2, item=x[:2] * 2.0)
    out, lengths = t.raw_ops.TensorListConcatV2(
        input_handle=handle, element_shape=t.constant([-1, 2]), leading_dims=t.constant([], t.int64), element_dtype=t.float32
    )
    return out * out, lengths


def _lists_of_lists(t: Any, x: Any) -> Any:
    inner = t.raw_ops.TensorListFromTensor(tensor=x, element_shape=t.constant([2]))
    handle = t.raw_ops.TensorListReserve(element_shape=t.constant([], t.int32), num_elements=1, element_dtype=t.variant)
    handle = t.raw_ops.TensorListSetItem(input_handle=handle, index=0, item=inner)
    again = t.raw_ops.TensorListGetItem(input_handle=handle, index=0, element_shape=t.constant([], t.int32), element_dtype=t.variant)
    return t.raw_ops.TensorListStack(input_handle=again, element_shape=t.constant([2]), element_dtype=t.float32)


def _array(t: Any, x: Any) -> Any:
    array = t.TensorArray(t.float32, size=2, dynamic_size=True, clear_after_read=False)
    array = array.write(0, x[0])
    array = array.write(1, x[1] * x[0])
    array = array.write(2, x[2])
    return array.stack(), array.read(1) * 2.0, array.gather([2, 0]), array.size()


def _array_whole(t: Any, x: Any) -> Any:
    array = t.TensorArray(t.float32, size=3, element_shape=[2]).unstack(x * 2.0)
    cut = t.TensorArray(t.float32, size=2, infer_shape=False).split(x, [1, 2])
    spread = t.TensorArray(t.float32, size=3, element_shape=[2]).scatter([2, 0, 1], x)
    return array.stack(), cut.concat(), spread.stack()


def _array_v3(t: Any, x: Any) -> Any:
    handle, flow = t.raw_ops.TensorArrayV3(size=3, dtype=t.float32, element_shape=[2], clear_after_read=False)
    flow = t.raw_ops.TensorArrayScatterV3(handle=handle, indices=t.constant([0, 2]), value=x[:2], flow_in=flow)
    flow = t.raw_ops.TensorArrayWriteV3(handle=handle, index=1, value=x[2], flow_in=flow)
    one = t.raw_ops.TensorArrayReadV3(handle=handle, index=2, flow_in=flow, dtype=t.float32)
    many = t.raw_ops.TensorArrayGatherV3(handle=handle, indices=t.constant([0, 1]), flow_in=flow, dtype=t.float32)
    return one * one, many, t.raw_ops.TensorArraySizeV3(handle=handle, flow_in=flow)


CASES = [_push_pop, _set_get, _from_gather, _scatter_all, _split_concat, _lists_of_lists, _array, _array_whole, _array_v3]


@pytest.mark.parametrize("case", CASES, ids=[c.__name__.strip("_") for c in CASES])
def test_lists_agree_with_tensorflow(case: Callable[..., Any]) -> None:
    # TensorFlow differentiates some of these only inside functions, and old arrays only in sessions
    theirs = tf.function(lambda x: case(tf, x), autograph=False)
    compare_calls(theirs, lambda x: case(ours, x), [X], case.__name__, grad=case is not _array_v3)


@pytest.mark.parametrize("case", CASES, ids=[c.__name__.strip("_") for c in CASES])
def test_lists_work_in_traced_functions(case: Callable[..., Any]) -> None:
    theirs = tf.function(lambda x: case(tf, x), autograph=False)
    compare_calls(theirs, ours.function(lambda x: case(ours, x), autograph=False), [X], case.__name__, grad=case is not _array_v3)


def test_an_array_is_a_loop_variable() -> None:
    def body(t: Any) -> Callable[..., Any]:
        def run(x: Any) -> Any:
            array = t.TensorArray(t.float32, size=3)
            _, array = t.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a.write(i, x[i] * t.cast(i + 1, t.float32))), (0, array))
            return array.stack()

        return run

    compare_calls(tf.function(body(tf)), body(ours), [X], "while_loop, eager", grad=True)
    compare_calls(tf.function(body(tf)), ours.function(body(ours)), [X], "while_loop, traced", grad=True)
