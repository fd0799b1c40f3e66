"""Accuracies: shares of right predictions."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.metrics.base import MeanMetricWrapper
from savedmodel.keras.metrics.ragged_values import flat_values
from tracer import dtypes
from tracer.public import tf
from tracer.tensor import convert_to_tensor


def _floatx() -> str:
    from savedmodel.keras import backend

    return backend.floatx()


def binary_matches(y_true: Any, y_pred: Any, threshold: Any = 0.5) -> Any:
    """1 where a prediction above `threshold` meets label 1, or one below label 0."""
    y_pred = convert_to_tensor(y_pred)
    predicted = tf.cast(y_pred > tf.cast(threshold, y_pred.dtype), y_pred.dtype)
    return tf.cast(tf.equal(y_true, predicted), _floatx())


def sparse_categorical_matches(y_true: Any, y_pred: Any) -> Any:
    """1 where the greatest prediction stands at the label."""
    y_pred, y_true = convert_to_tensor(y_pred), convert_to_tensor(y_true)
    shape = tf.shape(y_true)
    same_rank = y_true.shape.rank is not None and y_true.shape.rank == y_pred.shape.rank
    if same_rank:
        y_true = tf.squeeze(y_true, [-1])
    predicted = tf.math.argmax(y_pred, axis=-1)
    if predicted.dtype != y_true.dtype:
        predicted = tf.cast(predicted, y_true.dtype)
    matches = tf.cast(tf.equal(y_true, predicted), _floatx())
    return tf.reshape(matches, shape) if same_rank else matches


def sparse_top_k_categorical_matches(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the label is among the `k` greatest predictions."""
    y_true, y_pred = convert_to_tensor(y_true), convert_to_tensor(y_pred)
    shape = tf.shape(y_true)
    flat = False
    if y_true.shape.rank is not None and y_pred.shape.rank is not None:
        if y_pred.shape.rank > 2:
            y_pred = tf.reshape(y_pred, [-1, y_pred.shape[-1]])
        if y_true.shape.rank > 1:
            flat = True
            y_true = tf.reshape(y_true, [-1])
    matches = tf.cast(tf.math.in_top_k(predictions=y_pred, targets=tf.cast(y_true, dtypes.int32), k=k), _floatx())
    return tf.reshape(matches, shape) if flat else matches


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where prediction and label are equal."""
    [y_pred, y_true], _ = flat_values([convert_if_dense(y_pred), convert_if_dense(y_true)])
    y_true.shape.assert_is_compatible_with(y_pred.shape)
    if y_true.dtype != y_pred.dtype:
        y_pred = tf.cast(y_pred, y_true.dtype)
    return tf.cast(tf.equal(y_true, y_pred), _floatx())


def convert_if_dense(x: Any) -> Any:
    """Ragged and dense tensors as they are; arrays and Python values as tensors."""
    return x if hasattr(x, "nested_row_splits") else convert_to_tensor(x)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: Any = 0.5) -> Any:
    """Mean of `binary_matches` along the last axis."""
    return tf.reduce_mean(binary_matches(y_true, y_pred, threshold), axis=-1)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the greatest prediction stands at the greatest label."""
    return sparse_categorical_matches(tf.math.argmax(y_true, axis=-1), y_pred)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the greatest prediction stands at the label."""
    matches = sparse_categorical_matches(y_true, y_pred)
    if matches.shape.rank is not None and matches.shape.rank > 1 and matches.shape[-1] == 1:
        matches = tf.squeeze(matches, [-1])
    return matches


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the greatest label is among the `k` greatest predictions."""
    return sparse_top_k_categorical_matches(tf.math.argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where the label is among the `k` greatest predictions."""
    return sparse_top_k_categorical_matches(y_true, y_pred, k)


class Accuracy(MeanMetricWrapper):
    """How often predictions equal labels."""

    def __init__(self, name: str | None = "accuracy", dtype: Any = None):
        super().__init__(accuracy, name, dtype=dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often predictions cut at `threshold` equal binary labels."""

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5):
        super().__init__(binary_matches, name, dtype=dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the greatest prediction stands at the one of a one-hot label."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None):
        super().__init__(categorical_accuracy, name, dtype=dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the greatest prediction stands at the label."""

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None):
        super().__init__(sparse_categorical_matches, name, dtype=dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the one of a one-hot label is among the `k` greatest predictions."""

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None):
        super().__init__(top_k_categorical_accuracy, name, dtype=dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the label is among the `k` greatest predictions."""

    def __init__(self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: Any = None):
        super().__init__(sparse_top_k_categorical_matches, name, dtype=dtype, k=k)
