"""Activations, bias, softmax and cross entropies against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle.compare import compare_fn, compare_op

RNG = np.random.default_rng(7)


def draw(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype) * 3


EDGES = np.array([-np.inf, -100, -6, -1, -1e-6, -0.0, 0.0, 1e-6, 0.5, 6, 7, 40, 100, np.inf, np.nan], np.float32)


@pytest.mark.parametrize("name", ["Relu", "Relu6", "Elu", "Selu", "Softplus", "Softsign", "LeakyRelu"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_an_activation_equals_tensorflows(name: str, dtype: str) -> None:
    import ml_dtypes

    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    compare_op(name, [draw(4, 5).astype(kind)], grad=dtype != "bfloat16")
    if name != "Softsign":
        compare_op(name, [EDGES.astype(kind)[:-1]])


@pytest.mark.parametrize("name", ["Relu", "Relu6"])
def test_a_rectifier_keeps_nan_and_integers(name: str) -> None:
    compare_op(name, [EDGES])
    for kind in (np.int8, np.uint8, np.int32, np.int64):
        compare_op(name, [np.array([0, 1, 7, 100], kind)])


@pytest.mark.parametrize("name", ["ReluGrad", "Relu6Grad", "LeakyReluGrad", "EluGrad", "SeluGrad", "SoftplusGrad", "SoftsignGrad"])
def test_a_gradient_op_equals_tensorflows_and_so_does_its_gradient(name: str) -> None:
    compare_op(name, [draw(4, 5), draw(4, 5)], grad=name != "SoftsignGrad")
    if name not in ("SoftsignGrad", "EluGrad", "SeluGrad"):
        compare_op(name, [np.array([np.inf, 1, np.nan, 2], np.float32), np.array([-1, 0, -2, 3], np.float32)])


@pytest.mark.parametrize("alpha", [0.2, 0.0, 1.5])
def test_leaky_relu_takes_any_slope(alpha: float) -> None:
    compare_op("LeakyRelu", [draw(7)], alpha=alpha, grad=True)
    compare_fn("nn.leaky_relu", np.array([-3, 2], np.int32), alpha=alpha)


@pytest.mark.parametrize("name", ["relu", "relu6", "elu", "selu", "softplus", "softsign", "silu", "gelu", "crelu"])
def test_a_function_of_nn_equals_tensorflows(name: str) -> None:
    compare_fn(f"nn.{name}", draw(3, 4), grad=True, rtol=5e-5)


def test_gelu_by_tanh_and_silu_with_slope() -> None:
    compare_fn("nn.gelu", draw(3, 4), approximate=True, grad=True)
    compare_fn("nn.silu", draw(3, 4), np.float32(1.7), grad=True)


@pytest.mark.parametrize(
    ("shape", "data_format"), [((2, 5), "NHWC"), ((2, 3, 5), "NHWC"), ((2, 3, 4, 5), "NHWC"), ((2, 5, 3, 4), "NCHW"), ((0, 5), "NHWC")]
)
def test_bias_add_and_its_gradients(shape: tuple[int, ...], data_format: str) -> None:
    compare_op("BiasAdd", [draw(*shape), draw(5)], data_format=data_format, grad=True)
    compare_op("BiasAddGrad", [draw(*shape)], data_format=data_format, grad=True)
    compare_fn("nn.bias_add", draw(*shape), draw(5), data_format=data_format)


def test_bias_add_of_other_dtypes() -> None:
    compare_op("BiasAddV1", [draw(2, 3), draw(3)], grad=True)
    compare_op("BiasAdd", [np.arange(6, dtype=np.int32).reshape(2, 3), np.array([1, 2, 3], np.int32)])
    compare_op("BiasAddGrad", [np.arange(6, dtype=np.float16).reshape(2, 3)])


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax(name: str) -> None:
    compare_op(name, [draw(4, 7)], grad=True)
    compare_op(name, [draw(2, 3, 5, dtype=np.float64)], grad=True)
    compare_op(name, [draw(4, 7, dtype=np.float16)], rtol=4e-3)
    compare_op(name, [np.array([[1, -np.inf, 3], [1e30, 1, 2]], np.float32)])
    compare_op(name, [np.zeros((0, 3), np.float32)])


@pytest.mark.parametrize("axis", [0, 1, -2, -1])
def test_softmax_along_any_axis(axis: int) -> None:
    compare_fn("nn.softmax", draw(3, 4, 5), axis=axis, grad=True)
    compare_fn("nn.log_softmax", draw(3, 4, 5), axis=axis, grad=True)


def test_cross_entropies_and_second_gradients() -> None:
    labels = np.abs(draw(4, 5))
    labels /= labels.sum(-1, keepdims=True)
    compare_op("SoftmaxCrossEntropyWithLogits", [draw(4, 5), labels], grad=True)
    compare_op("SoftmaxCrossEntropyWithLogits", [draw(1, 5), labels])
    compare_op("SparseSoftmaxCrossEntropyWithLogits", [draw(4, 5), np.array([0, 4, 2, 2])], grad=True)
    compare_op("SparseSoftmaxCrossEntropyWithLogits", [draw(4, 5, dtype=np.float64), np.array([0, 4, 2, 2], np.int32)])
    compare_fn("nn.softmax_cross_entropy_with_logits", labels, draw(4, 5), grad=True)
    compare_fn("nn.softmax_cross_entropy_with_logits", np.abs(draw(2, 5, 3)), draw(2, 5, 3), axis=1, grad=True)
    compare_fn("nn.sparse_softmax_cross_entropy_with_logits", np.array([[0, 1], [2, 1]]), draw(2, 2, 3), grad=True)
    compare_fn("nn.sparse_softmax_cross_entropy_with_logits", np.array([1, 2]), draw(2, 3, dtype=np.float16), rtol=4e-3)
    compare_fn("nn.sigmoid_cross_entropy_with_logits", np.abs(draw(4, 5)), draw(4, 5), grad=True)
    compare_fn("nn.weighted_cross_entropy_with_logits", np.abs(draw(4, 5)), draw(4, 5), pos_weight=2.5, grad=True)
