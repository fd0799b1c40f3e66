"""Scatters, segments, partitions, order, uniqueness, rearrangements and patches against TensorFlow."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tests.oracle.compare import compare_errors, compare_fn, compare_op

RNG = np.random.default_rng(11)


def f32(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def i32(values: object) -> np.ndarray:
    return np.array(values, np.int32)


def i64(values: object) -> np.ndarray:
    return np.array(values, np.int64)


X = f32(4, 3)
ZERO = np.array([[1, 0, 2], [0, 0, 3], [4, 5, 0], [1, 1, 1]], np.float32)
STRINGS = np.array(["b", "a", "b", "c"], dtype=object)
SAME = np.array([[1, 3, 3], [3, 2, 3], [5, 5, 1], [0, 0, 0]], np.float32)
IDS = i32([0, 0, 2, 3])
LOOSE = i32([2, 0, -1, 2])
IMAGE = f32(2, 4, 6, 4)

CASES = [
    ("ScatterNd", [i32([[1], [3], [1]]), f32(3, 2), i32([5, 2])], {}, True),
    ("ScatterNd", [i64([[1, 0], [0, 1], [1, 0]]), f32(3), i64([2, 2])], {}, True),
    ("ScatterNd", [i32([[0], [0]]), np.array(["x", "y"], object), i32([2])], {}, False),
    ("ScatterNd", [np.zeros((0, 1), np.int32), f32(0, 2), i32([3, 2])], {}, True),
    ("ScatterNdNonAliasingAdd", [X, i32([[0], [0]]), f32(2, 3)], {}, True),
    ("TensorScatterUpdate", [X, i32([[2], [0]]), f32(2, 3)], {}, True),
    ("TensorScatterUpdate", [STRINGS, i32([[2]]), np.array(["z"], object)], {}, False),
    ("TensorScatterAdd", [X, i32([[2, 1], [2, 1]]), f32(2)], {}, True),
    ("TensorScatterSub", [X, i64([[2], [2]]), f32(2, 3)], {}, True),
    ("TensorScatterMin", [SAME, i32([[0], [1]]), np.array([[1, 2, 9], [3, 3, 3]], np.float32)], {}, True),
    ("TensorScatterMax", [SAME, i32([[0], [0]]), np.array([[1, 7, 9], [3, 7, 3]], np.float32)], {}, True),
    ("SegmentSum", [X, IDS], {}, True),
    ("SegmentMean", [X, IDS], {}, True),
    ("SegmentMean", [i32([[7], [-4], [5], [-3]]), i64([0, 0, 0, 1])], {}, False),
    ("SegmentProd", [ZERO, IDS], {}, True),
    ("SegmentMin", [SAME, IDS], {}, True),
    ("SegmentMax", [SAME, IDS], {}, True),
    ("SegmentMax", [i32([3, -2, 5, 5]), IDS], {}, False),
    ("UnsortedSegmentSum", [X, LOOSE, i32(4)], {}, True),
    ("UnsortedSegmentSum", [f32(2, 2, 3), i64([[0, 1], [1, 0]]), i32(2)], {}, True),
    ("UnsortedSegmentProd", [ZERO, LOOSE, i32(4)], {}, True),
    ("UnsortedSegmentMin", [SAME, LOOSE, i32(3)], {}, True),
    ("UnsortedSegmentMax", [SAME, LOOSE, i32(3)], {}, True),
    ("UnsortedSegmentMax", [i32([3, -2, 5, 5]), LOOSE, i64(4)], {}, False),
    ("SparseSegmentSum", [X, i32([0, 3, 3]), i32([0, 0, 2])], {}, True),
    ("SparseSegmentMean", [X, i32([0, 3, 3]), i32([0, 0, 2])], {}, True),
    ("SparseSegmentSqrtN", [X, i64([0, 3, 3]), i32([0, 0, 2])], {}, True),
    ("SparseSegmentSumWithNumSegments", [X, i32([0, 3, 3]), i32([0, 0, 2]), i32(5)], {}, True),
    ("SparseSegmentMeanWithNumSegments", [X, i32([0, 3, 3]), i32([0, 0, 2]), i32(5)], {}, True),
    ("SparseSegmentSqrtNWithNumSegments", [X, i32([0, 3, 3]), i32([0, 0, 2]), i32(5)], {}, True),
    ("DynamicPartition", [X, i32([1, 0, 1, 1])], {"num_partitions": 3}, True),
    ("DynamicPartition", [f32(2, 2, 3), i32([[1, 0], [1, 1]])], {"num_partitions": 2}, True),
    ("DynamicStitch", [[i32([0, 2]), i32([1, 3])], [f32(2, 3), f32(2, 3)]], {}, True),
    ("ParallelDynamicStitch", [[i32([[0, 2]]), i32(1)], [f32(1, 2, 3), f32(3)]], {}, True),
    ("TopKV2", [SAME, i32(2)], {}, True),
    ("TopKV2", [i32([[3, 1, 3, 2]]), i32(3)], {}, False),
    ("TopKV2", [X.astype(ml_dtypes.bfloat16), i32(1)], {}, False),
    ("TopKV2", [f32(2, 2, 5), i32(5)], {}, True),
    ("NthElement", [X, i32(1)], {}, True),
    ("NthElement", [X, i32(0)], {"reverse": True}, True),
    ("InTopK", [np.array([[0.1, 0.3, 0.6], [0.5, 0.5, 0.1], [np.nan, 1, 2]], np.float32), i32([1, 0, 2])], {"k": 1}, False),
    ("InTopKV2", [X, i64([0, 1, 2, 5]), i64(2)], {}, False),
    ("Unique", [i32([3, 1, 3, 2, 1])], {}, False),
    ("Unique", [STRINGS], {"out_idx": "int64"}, False),
    ("UniqueV2", [i32([[1, 2], [1, 2], [0, 2]]), i32([0])], {}, False),
    ("UniqueV2", [i32([[1, 2], [1, 2], [0, 2]]), i64([1])], {}, False),
    ("UniqueWithCounts", [np.array([1.5, 0.0, -0.0, 1.5], np.float32)], {}, False),
    ("UniqueWithCountsV2", [STRINGS, np.zeros(0, np.int32)], {}, False),
    ("ListDiff", [i32([1, 2, 3, 4, 2]), i32([2, 9])], {}, False),
    ("ListDiff", [STRINGS, np.array(["b"], object)], {"out_idx": "int64"}, False),
    ("LowerBound", [f32(2, 5).cumsum(1) * 0 + np.arange(5, dtype=np.float32), np.array([[1, 1.5], [9, -1]], np.float32)], {}, False),
    ("UpperBound", [i32([[1, 1, 2]]), i32([[1, 0, 2]])], {"out_type": "int64"}, False),
    ("Reverse", [X, np.array([True, False])], {}, True),
    ("ReverseV2", [X, i32([-1, 0])], {}, True),
    ("ReverseSequence", [f32(2, 5, 3), i64([3, 0])], {"seq_dim": 1, "batch_dim": 0}, True),
    ("ReverseSequence", [f32(5, 2), i32([3, 5])], {"seq_dim": 0, "batch_dim": 1}, True),
    ("Roll", [X, i32([1, -2]), i32([0, 1])], {}, True),
    ("Roll", [X, i32(5), i32(-1)], {}, True),
    ("SpaceToBatchND", [IMAGE, i32([2, 3]), i32([[1, 1], [0, 0]])], {}, True),
    ("SpaceToBatchND", [IMAGE, i32([2]), i32([[0, 0]])], {}, True),
    ("BatchToSpaceND", [f32(6, 2, 2, 3), i32([2, 3]), i32([[1, 0], [0, 2]])], {}, True),
    ("SpaceToBatch", [IMAGE, i32([[0, 0], [1, 1]])], {"block_size": 2}, True),
    ("BatchToSpace", [f32(4, 2, 2, 1), i32([[0, 1], [1, 0]])], {"block_size": 2}, True),
    ("SpaceToDepth", [IMAGE], {"block_size": 2}, True),
    ("DepthToSpace", [IMAGE], {"block_size": 2}, True),
    ("UnravelIndex", [i32([5, 0, 3]), i32([2, 3])], {}, False),
    ("UnravelIndex", [i64(5), i64([2, 3])], {}, False),
    ("DataFormatDimMap", [i32([0, -1, 2])], {}, False),
    ("DataFormatVecPermute", [i32([1, 2, 3, 4])], {"src_format": "NCHW", "dst_format": "NHWC"}, False),
    ("DataFormatVecPermute", [i32([[1, 2], [3, 4]])], {}, False),
    ("ExtractImagePatches", [IMAGE], {"ksizes": [1, 3, 2, 1], "strides": [1, 2, 1, 1], "rates": [1, 1, 2, 1], "padding": "SAME"}, True),
    ("ExtractImagePatches", [IMAGE], {"ksizes": [1, 2, 2, 1], "strides": [1, 1, 3, 1], "rates": [1, 2, 1, 1], "padding": "VALID"}, True),
    ("ExtractVolumePatches", [f32(1, 4, 3, 3, 2)], {"ksizes": [1, 2, 2, 2, 1], "strides": [1, 1, 2, 1, 1], "padding": "SAME"}, True),
    ("ExtractVolumePatches", [f32(1, 4, 3, 3, 2)], {"ksizes": [1, 2, 2, 2, 1], "strides": [1, 2, 1, 1, 1], "padding": "VALID"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "inputs", "attrs", "grad"), CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_an_op_that_moves_elements_agrees_with_tensorflow(name: str, inputs: list, attrs: dict, grad: bool) -> None:
    if name == "SparseSegmentMean":
        compare_op(name, inputs, grad=grad)
        compare_fn("sparse.segment_mean", *inputs)
        return
    compare_op(name, inputs, grad=grad, **attrs)


FUNCTIONS = [
    ("sort", [X], {}, True),
    ("sort", [X], {"axis": 0, "direction": "DESCENDING"}, True),
    ("sort", [np.array([3, 0, 255], np.uint8)], {}, False),
    ("sort", [i32([3, -(2**31), 7])], {}, False),
    ("argsort", [SAME], {"axis": -1}, False),
    ("argsort", [SAME], {"axis": 0, "direction": "DESCENDING"}, False),
    ("searchsorted", [np.arange(5, dtype=np.float32), np.array([0.5, 4, 9], np.float32)], {"side": "right"}, False),
    ("searchsorted", [i32([[1, 3], [2, 2]]), i32([[2, 3, 0], [2, 1, 3]])], {}, False),
    ("math.top_k", [SAME], {"k": 2}, True),
    ("math.segment_sum", [X, IDS], {}, True),
    ("math.unsorted_segment_mean", [X, LOOSE], {"num_segments": 4}, True),
    ("math.unsorted_segment_sqrt_n", [X, LOOSE], {"num_segments": 4}, True),
    ("reverse", [X], {"axis": [1]}, True),
    ("roll", [X], {"shift": 1, "axis": 0}, True),
    ("space_to_batch", [IMAGE], {"block_shape": [2, 2], "paddings": [[0, 0], [0, 0]]}, True),
    ("scatter_nd", [i32([[0], [2]]), f32(2)], {"shape": [4]}, True),
    ("tensor_scatter_nd_max", [X, i32([[0]]), f32(1, 3)], {}, True),
    ("dynamic_partition", [X, i32([1, 0, 1, 1])], {"num_partitions": 2}, True),
    ("unique_with_counts", [STRINGS], {}, False),
    ("image.extract_patches", [IMAGE], {"sizes": [1, 3, 3, 1], "strides": [1, 1, 1, 1], "rates": [1, 1, 1, 1], "padding": "SAME"}, True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "inputs", "kwargs", "grad"), FUNCTIONS, ids=[f"{i}-{c[0]}" for i, c in enumerate(FUNCTIONS)])
def test_a_function_that_moves_elements_agrees_with_tensorflow(name: str, inputs: list, kwargs: dict, grad: bool) -> None:
    compare_fn(name, *inputs, grad=grad, **kwargs)


ERRORS = [
    ("ScatterNd", [i32([[5]]), f32(1, 2), i32([5, 2])], {}),
    ("TensorScatterAdd", [X, i32([[4]]), f32(1, 3)], {}),
    ("SegmentSum", [X, i32([1, 0, 1, 1])], {}),
    ("UnsortedSegmentSum", [X, i32([0, 5, 0, 0]), i32(3)], {}),
    ("SparseSegmentSum", [X, i32([7]), i32([0])], {}),
    ("DynamicPartition", [X, i32([3, 0, 0, 0])], {"num_partitions": 2}),
    ("TopKV2", [X, i32(4)], {}),
    ("ReverseV2", [X, i32([2])], {}),
    ("ReverseSequence", [X, i32([1, 2])], {"seq_dim": 1}),
    ("Roll", [X, i32([1]), i32([2])], {}),
    ("SpaceToBatchND", [IMAGE, i32([3, 3]), i32([[0, 0], [0, 0]])], {}),
    ("SpaceToDepth", [IMAGE], {"block_size": 3}),
    ("DepthToSpace", [IMAGE], {"block_size": 3}),
]


@pytest.mark.parametrize(("name", "inputs", "attrs"), ERRORS, ids=[f"{i}-{c[0]}" for i, c in enumerate(ERRORS)])
def test_both_refuse_what_does_not_fit(name: str, inputs: list, attrs: dict) -> None:
    compare_errors(name, inputs, **attrs)
