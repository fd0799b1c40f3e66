"""Constants, shapes, slices, joins, gathers and padding against TensorFlow: values, dtypes, static shapes, gradients."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tests.oracle.compare import compare_errors, compare_fn, compare_op

RNG = np.random.default_rng(7)


def f32(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def i32(values: object) -> np.ndarray:
    return np.array(values, np.int32)


def i64(values: object) -> np.ndarray:
    return np.array(values, np.int64)


X = f32(2, 3, 4)
S = np.array([["a", "bc"], ["", "é"], ["x", "y"]], dtype=object)
B = np.array([True, False, True])

OPS = [
    ("Identity", [X], {}),
    ("StopGradient", [X], {}),
    ("Snapshot", [X], {}),
    ("Shape", [X], {"out_type": "int64"}),
    ("Shape", [S], {}),
    ("Size", [X], {}),
    ("Rank", [S], {}),
    ("Reshape", [X, i32([4, -1])], {}),
    ("Reshape", [X, i64([2, 12])], {}),
    ("Reshape", [f32(0, 3), i32([-1, 3])], {}),
    ("Reshape", [S, i32([-1])], {}),
    ("ExpandDims", [X, i32(-1)], {}),
    ("ExpandDims", [X, i32(1)], {}),
    ("Squeeze", [f32(1, 3, 1)], {}),
    ("Squeeze", [f32(1, 3, 1)], {"axis": [-1]}),
    ("Transpose", [X, i32([2, 0, 1])], {}),
    ("ConjugateTranspose", [(f32(2, 3) + 1j * f32(2, 3)).astype(np.complex64), i32([1, 0])], {}),
    ("InvertPermutation", [i32([2, 0, 1])], {}),
    ("BroadcastTo", [f32(3, 1), i32([2, 3, 4])], {}),
    ("BroadcastTo", [f32(), i64([2])], {}),
    ("BroadcastArgs", [i32([3, 1]), i32([2, 1, 4])], {}),
    ("BroadcastGradientArgs", [i32([3, 1]), i32([2, 1, 4])], {}),
    ("BroadcastGradientArgs", [i32([3, 1]), i32([3, 1])], {}),
    ("Pack", [[X, X, X]], {"axis": -1}),
    ("Pack", [[f32(), f32()]], {"axis": 0}),
    ("Unpack", [X], {"num": 3, "axis": 1}),
    ("Unpack", [S], {"num": 3, "axis": 0}),
    ("ConcatV2", [[X, f32(2, 1, 4)], i32(1)], {}),
    ("ConcatV2", [[X, f32(2, 3, 0)], i64(-1)], {}),
    ("ConcatV2", [[S, S], i32(0)], {}),
    ("ConcatOffset", [i32(1), [i32([2, 3]), i32([2, 5])]], {}),
    ("Slice", [X, i32([0, 1, 2]), i32([2, -1, 1])], {}),
    ("StridedSlice", [X, i32([0, -1, 0]), i32([0, -4, 4]), i32([1, -1, 2])], {"begin_mask": 1, "end_mask": 1}),
    ("StridedSlice", [X, i32([1, 0, 0]), i32([2, 0, 2]), i32([1, 1, 1])], {"shrink_axis_mask": 1, "ellipsis_mask": 2}),
    ("StridedSlice", [X, i32([0, 0, 1]), i32([0, 0, 2]), i32([1, 1, 1])], {"new_axis_mask": 1, "ellipsis_mask": 2, "shrink_axis_mask": 4}),
    ("StridedSlice", [S, i32([-1, 5]), i32([0, -9]), i32([1, -1])], {"shrink_axis_mask": 1}),
    ("StridedSlice", [X, i64([5]), i64([9]), i64([1])], {}),
    ("StridedSliceGrad", [i32([4]), i32([1]), i32([4]), i32([2]), f32(2)], {}),
    ("TensorStridedSliceUpdate", [X, i32([0, 1]), i32([2, 3]), i32([1, 1]), f32(2, 2, 4)], {}),
    ("TensorStridedSliceUpdate", [X, i32([1]), i32([2]), i32([1]), f32(1, 3, 1)], {"shrink_axis_mask": 0}),
    ("Split", [i32(-1), X], {"num_split": 2}),
    ("SplitV", [X, i32([1, -1, 1]), i32(2)], {"num_split": 3}),
    ("Tile", [X, i32([2, 1, 3])], {}),
    ("Tile", [S, i32([1, 2])], {}),
    ("Tile", [f32(2, 2), i64([0, 2])], {}),
    ("Fill", [i32([2, 3]), np.float32(2.5)], {}),
    ("Fill", [i64([0]), np.array("q", object)], {}),
    ("ZerosLike", [X], {}),
    ("ZerosLike", [S], {}),
    ("OnesLike", [B], {}),
    ("Range", [i32(2), i32(11), i32(3)], {}),
    ("Range", [i64(5), i64(-3), i64(-2)], {}),
    ("Range", [np.float32(0), np.float32(3), np.float32(0.1)], {}),
    ("Range", [i32(3), i32(3), i32(1)], {}),
    ("LinSpace", [np.float32(1), np.float32(2), i32(7)], {}),
    ("LinSpace", [np.float64(1), np.float64(-2), i32(1)], {}),
    ("Gather", [X, i32([1, 0, 1])], {}),
    ("GatherV2", [X, i32([[1, 0], [1, 1]]), i32(0)], {}),
    ("GatherV2", [X, i64([2, 0, 2, 2]), i32(1)], {}),
    ("GatherV2", [X, i32(3), i32(-1)], {}),
    ("GatherV2", [f32(2, 3, 5, 2), i32([[4, 0], [1, 1]]), i32(2)], {"batch_dims": 1}),
    ("GatherV2", [f32(2, 3, 2), i32([[1, 0, 0, 2], [2, 2, 1, 1]]), i32(1)], {"batch_dims": -1}),
    ("GatherV2", [S, i32([2, 0]), i32(0)], {}),
    ("GatherV2", [X, np.zeros((0,), np.int32), i32(0)], {}),
    ("GatherNd", [X, i32([[1, 2], [0, 0], [1, 2]])], {}),
    ("GatherNd", [X, i32([[1], [1]])], {}),
    ("GatherNd", [X, np.zeros((2, 0), np.int32)], {}),
    ("GatherNd", [S, i64([[0, 1]])], {}),
    ("Where", [np.array([[True, False], [False, True]])], {}),
    ("Where", [np.array([0.0, -1.5, np.nan], np.float32)], {}),
    ("OneHot", [i32([0, 2, -1, 5]), i32(3), np.float32(2), np.float32(-1)], {}),
    ("OneHot", [i64([[0, 2], [1, 1]]), i32(3), np.array("y", object), np.array("n", object)], {"axis": 1}),
    ("Pad", [X, i32([[1, 0], [0, 2], [3, 1]])], {}),
    ("Pad", [S, i64([[1, 0], [0, 1]])], {}),
    ("PadV2", [X, i32([[1, 0], [0, 2], [0, 0]]), np.float32(9)], {}),
    ("MirrorPad", [X, i32([[1, 1], [2, 0], [0, 3]])], {"mode": "REFLECT"}),
    ("MirrorPad", [X, i64([[1, 2], [2, 3], [0, 4]])], {"mode": "SYMMETRIC"}),
    ("EnsureShape", [X], {"shape": [None, 3, 4]}),
    ("CheckNumerics", [X], {"message": "m"}),
    ("GuaranteeConst", [X], {}),
    ("DeepCopy", [X], {}),
]  # fmt: skip

_DIFFERENTIABLE = {
    "Identity", "Reshape", "ExpandDims", "Squeeze", "Transpose", "ConjugateTranspose", "BroadcastTo", "Pack", "Unpack", "ConcatV2", "Slice",
    "StridedSlice", "StridedSliceGrad", "TensorStridedSliceUpdate", "Split", "SplitV", "Tile", "Gather", "GatherV2", "GatherNd", "Pad", "PadV2",
    "MirrorPad", "EnsureShape", "CheckNumerics", "Fill",
}  # fmt: skip


def _has_float(inputs: list) -> bool:
    flat = [v for i in inputs for v in (i if isinstance(i, list) else [i])]
    return any(np.asarray(v).dtype.kind in "fc" for v in flat)


@pytest.mark.parametrize(("name", "inputs", "attrs"), OPS, ids=[f"{i}-{c[0]}" for i, c in enumerate(OPS)])
def test_an_array_op_agrees_with_tensorflow(name: str, inputs: list, attrs: dict) -> None:
    if name == "Squeeze" and attrs:
        # TensorFlow's raw op spells the attr `axis`, the graph spells it squeeze_dims
        compare_fn("squeeze", inputs[0], axis=attrs["axis"], grad=True)
        return
    empty_index = name == "GatherNd" and inputs[1].shape[-1] == 0  # TensorFlow's own gradient refuses this one
    compare_op(name, inputs, grad=name in _DIFFERENTIABLE and _has_float(inputs) and not empty_index, **attrs)


FUNCTIONS = [
    ("zeros_like", [X], {}),
    ("ones_like", [i32([1, 2])], {"dtype": "float64"}),
    ("range", [i32(5)], {}),
    ("range", [np.float32(1), np.float32(2), np.float32(0.25)], {}),
    ("stack", [[X, X]], {"axis": 2}),
    ("unstack", [X], {"axis": -1}),
    ("concat", [[X]], {"axis": 1}),
    ("split", [X, 2], {"axis": 2}),
    ("split", [X, [1, 3]], {"axis": -1}),
    ("transpose", [X], {}),
    ("transpose", [(f32(2, 3) + 1j).astype(np.complex64)], {"conjugate": True}),
    ("linalg.matrix_transpose", [X], {}),
    ("gather", [X, i32([0, 2])], {"axis": 1}),
    ("gather", [X, i32([[0], [2]])], {"batch_dims": 1}),
    ("gather_nd", [X, i32([[[0, 1]], [[2, 3]]])], {"batch_dims": 1}),
    ("boolean_mask", [X, B], {"axis": 1}),
    ("boolean_mask", [X, X[..., 0] > 0], {}),
    ("where", [X > 0], {}),
    ("where", [X > 0, X, np.float32(1)], {}),
    ("one_hot", [i32([0, 1, 7]), 4], {}),
    ("one_hot", [i32([[0, 1]]), 2], {"axis": 0, "dtype": "bool", "on_value": True, "off_value": False}),
    ("eye", [3], {"num_columns": 2, "batch_shape": [2], "dtype": "int32"}),
    ("meshgrid", [f32(2), f32(3), f32(4)], {}),
    ("meshgrid", [f32(2), f32(3)], {"indexing": "ij"}),
    ("repeat", [X, 2], {"axis": 1}),
    ("repeat", [X, [1, 0, 3]], {"axis": 1}),
    ("repeat", [i32([[1, 2], [3, 4]]), 2], {}),
    ("repeat", [i32(3), 4], {}),
    ("sequence_mask", [i32([[1, 3], [0, 2]])], {}),
    ("sequence_mask", [i64([1, 3]), 5], {"dtype": "float32"}),
    ("pad", [X, [[1, 1], [0, 0], [0, 2]]], {"mode": "symmetric"}),
    ("pad", [X, [[1, 1], [0, 0], [0, 2]]], {"constant_values": 3.0}),
    ("slice", [X, [0, 1, 0], [1, -1, 2]], {}),
    ("strided_slice", [X, [0], [2]], {}),
    ("linspace", [f32(2), f32(2), 4], {}),
    ("linspace", [f32(2), f32(2), 4], {"axis": 1}),
    ("fill", [[2, 2], 7], {}),
    ("squeeze", [f32(1, 2, 1)], {}),
    ("expand_dims", [X, 0], {}),
    ("broadcast_to", [f32(3, 1), [2, 3, 2]], {}),
    ("size", [X], {}),
    ("rank", [X], {}),
    ("tile", [X, [1, 2, 1]], {}),
    ("ensure_shape", [X], {"shape": [2, None, None]}),
    ("identity_n", [[X, X]], {}),
]


@pytest.mark.parametrize(("name", "inputs", "kwargs"), FUNCTIONS, ids=[f"{i}-{c[0]}" for i, c in enumerate(FUNCTIONS)])
def test_an_array_function_agrees_with_tensorflow(name: str, inputs: list, kwargs: dict) -> None:
    tensors = [v for v in inputs if isinstance(v, (np.ndarray, np.generic)) or (isinstance(v, list) and isinstance(v[0], np.ndarray))]
    rest = inputs[len(tensors) :]
    names = {"split": ["num_or_size_splits"], "one_hot": ["depth"], "eye": ["num_rows"], "repeat": ["repeats"], "sequence_mask": ["maxlen"],
             "pad": ["paddings"], "slice": ["begin", "size"], "strided_slice": ["begin", "end"], "linspace": ["num"], "fill": ["dims", "value"],
             "expand_dims": ["axis"], "broadcast_to": ["shape"], "tile": ["multiples"]}.get(name, [])  # fmt: skip
    grad = _has_float(tensors) and name not in ("zeros_like", "size", "rank", "range", "linspace")
    compare_fn(name, *tensors, grad=grad, **dict(zip(names, rest)), **kwargs)


ERRORS = [
    ("GatherV2", [X, i32([2]), i32(0)], {}),
    ("GatherNd", [X, i32([[2, 0]])], {}),
    ("Reshape", [X, i32([5, -1])], {}),
    ("Reshape", [X, i32([-1, -1])], {}),
    ("Slice", [X, i32([0, 1, 2]), i32([2, 3, 1])], {}),
    ("StridedSlice", [X, i32([2]), i32([3]), i32([1])], {"shrink_axis_mask": 1}),
    ("Split", [i32(1), X], {"num_split": 2}),
    ("SplitV", [X, i32([1, 1]), i32(2)], {"num_split": 2}),
    ("ConcatV2", [[X, f32(3, 3, 3)], i32(1)], {}),
    ("Pack", [[X, f32(3)]], {}),
    ("Range", [i32(2), i32(1), i32(1)], {}),
    ("Transpose", [X, i32([0, 0, 1])], {}),
    ("InvertPermutation", [i32([0, 3])], {}),
    ("MirrorPad", [X, i32([[2, 0], [0, 0], [0, 0]])], {"mode": "REFLECT"}),
    ("EnsureShape", [X], {"shape": [3, None, None]}),
    ("CheckNumerics", [np.array([np.nan, 1], np.float32)], {"message": "m"}),
    ("BroadcastTo", [f32(3), i32([2])], {}),
    ("Fill", [i32([-1]), np.float32(0)], {}),
]


@pytest.mark.parametrize(("name", "inputs", "attrs"), ERRORS, ids=[f"{i}-{c[0]}" for i, c in enumerate(ERRORS)])
def test_both_refuse_what_does_not_fit(name: str, inputs: list, attrs: dict) -> None:
    compare_errors(name, inputs, **attrs)


def test_bfloat16_passes_through_array_ops() -> None:
    x = f32(3, 4).astype(ml_dtypes.bfloat16)
    compare_op("Pad", [x, i32([[1, 0], [0, 2]])])
    compare_op("ConcatV2", [[x, x], i32(0)])
    compare_op("GatherV2", [x, i32([2, 0]), i32(0)])
