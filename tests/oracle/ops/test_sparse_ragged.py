"""Sparse and ragged tensors against TensorFlow: ops with gradients, and public functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.oracle.compare import compare_errors, compare_op
from tracer.public import tf as ours

RNG = np.random.default_rng(5)


def f32(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def i32(values: Any) -> np.ndarray:
    return np.array(values, np.int32)


def i64(values: Any) -> np.ndarray:
    return np.array(values, np.int64)


def s(*items: str) -> np.ndarray:
    return np.array([i.encode() for i in items], object)


I = i64([[0, 1], [0, 3], [2, 0], [3, 2]])
V = f32(4)
D = i64([4, 5])
LOOSE = i64([[3, 2], [0, 3], [2, 0], [0, 1]])
J = i64([[0, 1], [1, 1], [3, 2]])
W = f32(3)
C = (f32(4) + 1j * f32(4)).astype(np.complex64)
SPLITS = i64([0, 2, 2, 5])
CROSS = [[I, J], [s("a", "b", "c", "d"), i64([7, -8, 9])], [D, D], [i64([[1], [2], [3], [4]]), np.array([[b"x", b"y"]] * 4, object)]]
COUNT: dict[str, Any] = {"binary_output": False}

CASES: list[Any] = [
    ("SparseToDense", [I, D, V, np.float32(7)], {}, True),
    ("SparseToDense", [i32([1, 3]), i32([5]), np.float32(2), np.float32(0)], {}, False),
    ("SparseToDense", [i32(2), i32([5]), i32(2), i32(-1)], {}, False),
    ("SparseToDense", [I, D, s("a", "b", "c", "d"), s("z").reshape(())], {}, False),
    ("SparseToDense", [LOOSE, D, V, np.float32(0)], {"validate_indices": False}, False),
    ("SparseTensorDenseAdd", [I, V, D, f32(4, 5)], {}, True),
    ("SparseReorder", [LOOSE, V, D], {}, True),
    ("SparseReorder", [LOOSE, s("a", "b", "c", "d"), D], {}, False),
    ("SparseReshape", [I, D, i64([2, -1])], {}, False),
    ("SparseReshape", [I, D, i64([4, 5, 1])], {}, False),
    ("SparseReshape", [np.zeros((0, 2), np.int64), i64([0, 5]), i64([0, 3])], {}, False),
    ("SparseConcat", [[I, J], [V, W], [D, D]], {"concat_dim": 0}, False),
    ("SparseConcat", [[I, J], [V, W], [D, D]], {"concat_dim": -1}, False),
    ("SparseSlice", [I, V, D, i64([0, 1]), i64([3, 9])], {}, True),
    ("SparseSplit", [i64(1), I, V, D], {"num_split": 2}, False),
    ("SparseFillEmptyRows", [I, V, D, np.float32(9)], {}, True),
    ("SparseFillEmptyRows", [LOOSE, V, D, np.float32(9)], {}, True),
    ("SparseFillEmptyRows", [np.zeros((0, 2), np.int64), s(), D, s("z").reshape(())], {}, False),
    ("SparseAdd", [I, V, D, J, W, D, np.float32(0)], {}, True),
    ("SparseAdd", [I, V, D, J, W, D, np.float32(0.7)], {}, True),
    ("SparseSparseMaximum", [I, V, D, J, W, D], {}, False),
    ("SparseSparseMinimum", [I, V, D, J, W, D], {}, False),
    *[("SparseTensorDenseMatMul", [I, V, D, f32(*shape)], {"adjoint_a": a, "adjoint_b": b}, True)
      for a, b, shape in ((False, False, (5, 3)), (True, False, (4, 3)), (False, True, (3, 5)), (True, True, (3, 4)))],
    ("SparseTensorDenseMatMul", [I, C, D, np.ones((4, 2), np.complex64) * (1 + 2j)], {"adjoint_a": True}, True),
    ("SparseTensorDenseMatMul", [I, C, D, np.ones((2, 5), np.complex64) * (1 + 2j)], {"adjoint_b": True}, True),
    ("SparseDenseCwiseMul", [I, V, D, f32(4, 1)], {}, True),
    ("SparseDenseCwiseMul", [I, V, D, f32(5)], {}, True),
    ("SparseDenseCwiseDiv", [I, V, D, f32(4, 5)], {}, True),
    ("SparseDenseCwiseDiv", [I, i32([7, -7, 8, 9]), D, i32([[2], [1], [-3], [4]])], {}, False),
    ("SparseDenseCwiseAdd", [I, V, D, f32(1, 5)], {}, False),
    ("SparseReduceSum", [I, V, D, i32([1])], {}, True),
    ("SparseReduceSum", [I, V, D, i32([-2])], {"keep_dims": True}, True),
    ("SparseReduceSum", [I, V, D, i32([0, 1])], {}, True),
    ("SparseReduceSumSparse", [I, V, D, i32([1])], {"keep_dims": True}, False),
    ("SparseReduceMax", [I, V, D, i32([1])], {}, False),
    ("SparseReduceMaxSparse", [I, V, D, i32([0])], {}, False),
    ("SparseSoftmax", [I, V, D], {}, True),
    ("SparseCross", [[I, J], [s("a", "b", "c", "d"), s("x", "y", "z")], [D, D], []], {"hashed_output": False, "num_buckets": 0, "hash_key": 1, "out_type": "string", "internal_type": "string"}, False),
    ("SparseCross", CROSS, {"hashed_output": True, "num_buckets": 100, "hash_key": 956888297470, "out_type": "int64", "internal_type": "int64"}, False),
    ("SparseCross", CROSS, {"hashed_output": True, "num_buckets": 0, "hash_key": 956888297470, "out_type": "int64", "internal_type": "int64"}, False),
    ("SparseCrossV2", [*CROSS, s("--").reshape(())], {}, False),
    ("SparseCrossHashed", [*CROSS, i64(50), np.array(False), i64([1, 2])], {}, False),
    ("SparseCrossHashed", [[I], [s("a", "b", "c", "d")], [D], [np.array([[b"x", b"y"]] * 4, object)], i64(1000), np.array(True), i64([1, 2])], {}, False),
    ("RaggedRange", [i32([0, 5, 8]), i32([3, 5, 0]), i32([1, 1, -3])], {}, False),
    ("RaggedRange", [np.float32(0), np.array([1, 2.5], np.float32), np.float32(0.3)], {"Tsplits": "int32"}, False),
    ("RaggedGather", [[SPLITS], f32(5, 2), i32([2, 0, 1, 2])], {"OUTPUT_RAGGED_RANK": 1}, True),
    ("RaggedGather", [[i64([0, 2, 3]), SPLITS], f32(5), i64([1, 0, 1])], {"OUTPUT_RAGGED_RANK": 2}, True),
    ("RaggedGather", [[SPLITS], f32(5), i32([[2, 0], [1, 2]])], {"OUTPUT_RAGGED_RANK": 2}, True),
    ("RaggedGather", [[SPLITS], f32(5), i32(2)], {"OUTPUT_RAGGED_RANK": 0}, True),
    ("RaggedTensorToTensor", [i64(-1), f32(5), np.float32(9), [SPLITS]], {"row_partition_types": ["ROW_SPLITS"]}, True),
    ("RaggedTensorToTensor", [i64([2, 2, 3]), f32(5, 3), np.float32(9), [SPLITS]], {"row_partition_types": ["ROW_SPLITS"]}, True),
    ("RaggedTensorToTensor", [i64([-1, 4, -1]), f32(5, 3), f32(3), [SPLITS]], {"row_partition_types": ["ROW_SPLITS"]}, True),
    ("RaggedTensorToTensor", [i64([5, -1, 1]), f32(5), np.float32(0), [i64([0, 2, 3]), SPLITS]], {"row_partition_types": ["ROW_SPLITS"] * 2}, True),
    ("RaggedTensorToTensor", [i64(-1), s("a", "b", "c"), s("-").reshape(()), [i64(4), i64([0, 0, 2])]], {"row_partition_types": ["FIRST_DIM_SIZE", "VALUE_ROWIDS"]}, False),
    ("RaggedTensorToSparse", [[SPLITS], f32(5)], {}, True),
    ("RaggedTensorToSparse", [[i32([0, 2, 3]), i32(SPLITS)], f32(5, 2)], {}, True),
    ("RaggedBincount", [SPLITS, i32([1, 0, 3, 3, 9]), i32(4), f32(0)], {}, False),
    ("RaggedBincount", [SPLITS, i64([1, 0, 3, 3, 9]), i64(4), f32(5)], {}, False),
    ("RaggedBincount", [SPLITS, i64([1, 0, 3, 3, 9]), i64(4), f32(0)], {"binary_output": True}, False),
    ("SparseBincount", [I, i64([1, 2, 2, 7]), D, i64(4), f32(0)], {}, False),
    ("SparseBincount", [I[:, :1], i64([1, 2, 2, 7]), i64([4]), i64(9), f32(4)], {}, False),
    ("DenseCountSparseOutput", [i32([[1, 3, 3], [5, 0, 9]]), f32(0)], {**COUNT, "maxlength": 6}, False),
    ("DenseCountSparseOutput", [i64([1, 3, 3]), f32(3)], {**COUNT, "minlength": 8}, False),
    ("DenseCountSparseOutput", [i64([[1, 3, 3]]), i64([])], {"binary_output": True, "maxlength": 20}, False),
    ("SparseCountSparseOutput", [I, i64([1, 3, 3, 3]), D, f32(4)], COUNT, False),
    ("RaggedCountSparseOutput", [SPLITS, i64([1, 3, 3, 3, 0]), f32(0)], COUNT, False),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_op_gives_what_tensorflow_gives(case: Any) -> None:
    name, inputs, attrs, grad = case
    compare_op(name, inputs, grad=grad, **attrs)


REFUSED: list[Any] = [
    ("SparseToDense", [LOOSE, D, V, np.float32(0)], {}),
    ("SparseToDense", [i64([[4, 0]]), D, f32(1), np.float32(0)], {}),
    ("SparseReshape", [I, D, i64([3, -1])], {}),
    ("SparseTensorDenseMatMul", [i64([[9, 0]]), f32(1), D, f32(5, 2)], {}),
    ("RaggedGather", [[SPLITS], f32(5), i32([3])], {"OUTPUT_RAGGED_RANK": 1}),
    ("RaggedRange", [i32([0]), i32([1]), i32([0])], {}),
    ("RaggedBincount", [SPLITS, i32([1, 0, -3, 3, 9]), i32(4), f32(0)], {}),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c[0])
def test_op_refuses_what_tensorflow_refuses(case: Any) -> None:
    name, inputs, attrs = case
    compare_errors(name, inputs, **attrs)


def plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if hasattr(value, "dense_shape") and hasattr(value, "indices"):
        return [plain(value.indices), plain(value.values), plain(value.dense_shape)]
    if hasattr(value, "to_list"):
        return [value.dtype.name, value.to_list()]
    if hasattr(value, "numpy"):
        return np.round(np.asarray(value, np.float64), 5).tolist() if value.dtype.is_floating else np.asarray(value).tolist()
    return value


def rt(t: Any) -> Any:
    return t.ragged.constant([[1.0, 2.0], [], [3.0, 4.0, 5.0]])


def deep(t: Any) -> Any:
    return t.ragged.constant([[[1, 2], [3]], [], [[4], [], [5, 6, 7]]])


def sp(t: Any) -> Any:
    return t.sparse.from_dense([[0, 3.0, 0], [1.0, 0, 2.0]])


PUBLIC: list[Any] = [
    ("constant", lambda t: [deep(t), rt(t), t.ragged.constant([[], []]), t.ragged.constant(["a", "b"]), t.ragged.constant([[[1, 2]], [[3, 4], [5, 6]]], ragged_rank=1)]),
    ("constant dtypes", lambda t: [t.ragged.constant([["a"], []]), t.ragged.constant([[1], []], dtype=t.float32), t.ragged.constant([[[1, 2]]], inner_shape=(2,))]),
    ("constructors", lambda t: [
        t.RaggedTensor.from_row_splits([1, 2, 3], [0, 2, 2, 3]), t.RaggedTensor.from_row_lengths([1, 2, 3], [2, 0, 1]),
        t.RaggedTensor.from_value_rowids([1, 2, 3], [0, 0, 2]), t.RaggedTensor.from_value_rowids([1, 2, 3], [0, 0, 2], nrows=5),
        t.RaggedTensor.from_row_starts([1, 2, 3], [0, 2, 2]), t.RaggedTensor.from_row_limits([1, 2, 3], [2, 2, 3]),
        t.RaggedTensor.from_uniform_row_length([1, 2, 3, 4], 2), t.RaggedTensor.from_nested_row_lengths([1, 2, 3], [[1, 1], [2, 1]]),
        t.RaggedTensor.from_nested_value_rowids([1, 2, 3], [[0, 1], [0, 0, 1]]),
    ]),
    ("from_tensor", lambda t: [
        t.RaggedTensor.from_tensor([[1, 2, 0], [3, 0, 0]]), t.RaggedTensor.from_tensor([[1, 2, 0], [3, 0, 0]], padding=0),
        t.RaggedTensor.from_tensor([[1, 2, 0], [3, 0, 0]], lengths=[1, 3]), t.RaggedTensor.from_tensor([[[1, 2], [3, 0]]], ragged_rank=2, padding=0),
        t.RaggedTensor.from_tensor([[[1, 2], [3, 4]]], ragged_rank=2), t.RaggedTensor.from_tensor([[[1, 2], [0, 0]]], padding=[0, 0]),
    ]),
    ("to_tensor", lambda t: [rt(t).to_tensor(), deep(t).to_tensor(-1), rt(t).to_tensor(shape=[None, 2]), rt(t).to_tensor(shape=[4, 4])]),
    ("sparse", lambda t: [rt(t).to_sparse(), t.RaggedTensor.from_sparse(t.sparse.from_dense([[1, 2], [3, 0]]))]),
    ("parts", lambda t: [deep(t).row_splits, deep(t).nested_row_splits, deep(t).value_rowids(), deep(t).nrows(), deep(t).row_lengths(),
                         deep(t).row_lengths(axis=2), deep(t).bounding_shape(), deep(t).bounding_shape(axis=1), deep(t).row_starts(), deep(t).nested_row_lengths()]),
    ("merge_dims", lambda t: [deep(t).merge_dims(0, 1), deep(t).merge_dims(1, 2), deep(t).merge_dims(0, 2), t.RaggedTensor.from_row_splits([[1, 2], [3, 4]], [0, 2]).merge_dims(1, 2)]),
    ("slices", lambda t: [rt(t)[0], rt(t)[-1], rt(t)[1:], rt(t)[:, :2], rt(t)[:, -1:], rt(t)[::2], rt(t)[:, ::-1], deep(t)[0, 0], deep(t)[0, 1:],
                          deep(t)[:, :1], deep(t)[:, :, 1:], deep(t)[..., :1], rt(t)[:0], rt(t)[2][1], rt(t)[:, 1:], rt(t)[::-1], rt(t)[t.newaxis] if hasattr(t, "newaxis") else rt(t)[None]]),
    ("operators", lambda t: [rt(t) + 1, 2 * rt(t), rt(t) + rt(t), rt(t) > 2, -rt(t), rt(t) / 2.0, rt(t) ** 2, rt(t) - t.constant([[1.0], [2.0], [3.0]]), 1 - rt(t), deep(t) // 2, deep(t) % 2]),
    ("elementwise", lambda t: [t.abs(-rt(t)), t.cast(rt(t), t.int32), t.add(rt(t), 1.0), t.where(rt(t) > 2, rt(t), 0.0 * rt(t)), t.equal(rt(t), rt(t)), t.nn.relu(-rt(t)), t.math.exp(rt(t) * 0.0), t.zeros_like(rt(t))]),
    ("reductions", lambda t: [t.reduce_sum(rt(t)), t.reduce_sum(rt(t), axis=1), t.reduce_sum(rt(t), axis=0), t.reduce_max(rt(t), axis=1), t.reduce_mean(rt(t), axis=0),
                              t.reduce_sum(deep(t), axis=0), t.reduce_sum(deep(t), axis=1), t.reduce_sum(deep(t), axis=2), t.reduce_sum(deep(t), axis=[1, 2]), t.reduce_sum(rt(t), axis=1, keepdims=True),
                              t.reduce_any(rt(t) > 2, axis=1), t.reduce_all(rt(t) > 0, axis=1), t.reduce_prod(rt(t), axis=-1)]),
    ("concat", lambda t: [t.concat([rt(t), rt(t)], 0), t.concat([rt(t), rt(t)], 1), t.concat([deep(t), deep(t)], 2), t.concat([rt(t), [[9.0], [8.0], [7.0]]], 1), t.stack([rt(t), rt(t)]), t.stack([rt(t), rt(t)], axis=1)]),
    ("gather", lambda t: [t.gather(rt(t), [2, 0]), t.gather(t.constant([5, 6, 7]), t.ragged.constant([[0], [1, 2]])), t.gather(deep(t), t.ragged.constant([[0], [2]])),
                          t.gather(rt(t), t.ragged.constant([[1], [], [0, 2]]), batch_dims=1, axis=1)]),
    ("expand_dims", lambda t: [t.expand_dims(rt(t), 0), t.expand_dims(rt(t), 1), t.expand_dims(rt(t), 2), t.expand_dims(rt(t), -1)]),
    ("tf.ragged", lambda t: [t.ragged.range([3, 0, 2]), t.ragged.range([0, 1], [3, 5], 2), t.ragged.map_flat_values(t.add, rt(t), 1.0), t.ragged.stack([[1, 2], [3]]),
                             t.ragged.stack([rt(t), rt(t)]), t.ragged.boolean_mask([[1, 2], [3, 4]], [[True, False], [True, True]]), t.ragged.boolean_mask(rt(t), rt(t) > 1),
                             t.ragged.boolean_mask(rt(t), [True, False, True]), t.ragged.row_splits_to_segment_ids([0, 2, 2, 3]), t.ragged.segment_ids_to_row_splits([0, 0, 2]),
                             t.ragged.stack_dynamic_partitions(["a", "b", "c"], [1, 0, 1], 3)]),
    ("cross", lambda t: [t.ragged.cross([t.ragged.constant([["a"], ["b", "c"]]), t.ragged.constant([["d"], ["e"]])]), t.ragged.cross_hashed([t.ragged.constant([["a"], ["b", "c"]]), [[1], [2]]], num_buckets=50)]),
    ("sparse shapes", lambda t: [sp(t), t.sparse.to_dense(sp(t)), t.sparse.reshape(sp(t), [3, -1]), t.sparse.expand_dims(sp(t), 1), t.sparse.expand_dims(sp(t)), t.sparse.transpose(sp(t)),
                                 t.sparse.transpose(sp(t), [1, 0]), t.sparse.retain(sp(t), [True, False, True]), t.sparse.reset_shape(sp(t)), t.sparse.reset_shape(sp(t), [5, 5]), t.sparse.eye(2, 3)]),
    ("sparse arithmetic", lambda t: [t.sparse.add(sp(t), sp(t)), t.sparse.add(sp(t), t.ones([2, 3])), t.sparse.maximum(sp(t), sp(t)), t.sparse.sparse_dense_matmul(sp(t), t.ones([3, 2])),
                                     t.sparse.sparse_dense_matmul(t.ones([4, 2]), sp(t)), t.sparse.softmax(sp(t)), t.sparse.reduce_sum(sp(t), 1), t.sparse.reduce_sum(sp(t)), t.sparse.reduce_max(sp(t), axis=0, output_is_sparse=True), sp(t) * 2.0, sp(t) / t.constant([[2.0], [4.0]])]),
    ("sparse parts", lambda t: [t.sparse.concat(0, [sp(t), sp(t)]), t.sparse.concat(1, [sp(t), sp(t)]), t.sparse.slice(sp(t), [0, 1], [2, 2]), t.sparse.split(sp(t), 2, 1), t.sparse.fill_empty_rows(t.sparse.from_dense([[0, 1], [0, 0]]), 7), t.sparse.map_values(t.abs, sp(t)),
                                t.sparse.to_indicator(t.sparse.from_dense(t.constant([[1, 2], [3, 0]], t.int64)), 5), t.sparse.cross([t.sparse.from_dense([["a"], ["b"]]), t.constant([["x"], ["y"]])]), t.sparse.cross_hashed([t.sparse.from_dense([["a"], ["b"]]), t.constant([["x"], ["y"]])], 10)]),
    ("sparse counts", lambda t: [t.sparse.bincount([1, 2, 2]), t.sparse.bincount([[1, 2, 2], [0, 1, 9]], axis=-1), t.sparse.bincount(t.sparse.from_dense([[1, 2], [0, 2]]), axis=-1), t.sparse.bincount(t.ragged.constant([[1], [2, 2]]), axis=-1)]),
    ("embedding", lambda t: [t.nn.embedding_lookup_sparse(t.reshape(t.range(12.0), [6, 2]), t.sparse.from_dense([[1, 2], [3, 0]]), None, combiner=c) for c in ("sum", "mean", "sqrtn")]),
]  # fmt: skip


@pytest.mark.parametrize("case", PUBLIC, ids=lambda c: c[0])
def test_public_function_gives_what_tensorflow_gives(case: Any) -> None:
    for expected, actual in zip(case[1](tf), case[1](ours), strict=True):
        assert plain(expected) == plain(actual)
