"""F scores: weighted harmonic means of precision and recall."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.metrics.base import Metric
from savedmodel.keras.metrics.regression import check_two_dimensions
from tracer.public import tf
from tracer.tensor import convert_to_tensor


class FBetaScore(Metric):
    """F score of each class, recall counting `beta` times as much as precision; averaged as `average` says.

    Args:
        average: None, "micro", "macro" or "weighted".
        beta: a positive float.
        threshold: predictions above it count; None: the greatest of each sample.
    """

    def __init__(
        self, average: str | None = None, beta: float = 1.0, threshold: float | None = None, name: str | None = "fbeta_score",
        dtype: Any = None,
    ):  # fmt: skip
        super().__init__(name=name, dtype=dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                f"Invalid `average` argument value. Expected one of: {{None, 'micro', 'macro', 'weighted'}}. Received: average={average}"
            )
        if not isinstance(beta, float):
            raise ValueError(f"Invalid `beta` argument value. It should be a Python float. Received: beta={beta} of type '{type(beta)}'")
        if beta <= 0.0:
            raise ValueError(f"Invalid `beta` argument value. It should be > 0. Received: beta={beta}")
        if threshold is not None:
            if not isinstance(threshold, float):
                raise ValueError(
                    f"Invalid `threshold` argument value. It should be a Python float. Received: threshold={threshold} of type "
                    f"'{type(threshold)}'"
                )
            if threshold > 1.0 or threshold <= 0.0:
                raise ValueError(
                    f"Invalid `threshold` argument value. It should verify 0 < threshold <= 1. Received: threshold={threshold}"
                )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self.axis = None if average == "micro" else 0
        self.built = False

    def build(self, y_true_shape: Any, y_pred_shape: Any) -> None:  # type: ignore[override]
        """Make the state for a number of classes."""
        check_two_dimensions("FBetaScore", y_true_shape, y_pred_shape)
        shape = [] if self.average == "micro" else [y_pred_shape[-1]]
        self.true_positives = self.add_weight("true_positives", shape=shape, initializer="zeros", dtype=self.dtype)
        self.false_positives = self.add_weight("false_positives", shape=shape, initializer="zeros", dtype=self.dtype)
        self.false_negatives = self.add_weight("false_negatives", shape=shape, initializer="zeros", dtype=self.dtype)
        self.intermediate_weights = self.add_weight("intermediate_weights", shape=shape, initializer="zeros", dtype=self.dtype)
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take labels and predictions [samples, classes]."""
        y_true = convert_to_tensor(y_true, dtype=self.dtype)
        y_pred = convert_to_tensor(y_pred, dtype=self.dtype)
        if not self.built:
            self.build(y_true.shape, y_pred.shape)
        if self.threshold is None:
            greatest = tf.reduce_max(y_pred, axis=-1, keepdims=True)
            y_pred = tf.logical_and(y_pred >= greatest, tf.abs(y_pred) > 1e-9)
        else:
            y_pred = y_pred > self.threshold
        y_pred = tf.cast(y_pred, self.dtype)

        def count(values: Any) -> Any:
            if sample_weight is not None:
                values = tf.math.multiply(values, tf.expand_dims(tf.cast(sample_weight, self.dtype), 1))
            return tf.reduce_sum(values, axis=self.axis)

        self.true_positives.assign_add(count(y_pred * y_true))
        self.false_positives.assign_add(count(y_pred * (1 - y_true)))
        self.false_negatives.assign_add(count((1 - y_pred) * y_true))
        self.intermediate_weights.assign_add(count(y_true))

    def result(self) -> Any:
        """The score, or one for each class."""
        hits = self.true_positives.value()
        precision = tf.math.divide_no_nan(hits, hits + self.false_positives)
        recall = tf.math.divide_no_nan(hits, hits + self.false_negatives)
        square = tf.math.square(self.beta)
        score = tf.math.divide_no_nan(precision * recall, square * precision + recall) * (1 + square)
        if self.average == "weighted":
            labels = self.intermediate_weights.value()
            return tf.reduce_sum(score * tf.math.divide_no_nan(labels, tf.reduce_sum(labels)))
        return score if self.average is None else tf.reduce_mean(score)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "average": self.average, "beta": self.beta, "threshold": self.threshold}


class F1Score(FBetaScore):
    """F score in which precision and recall count the same."""

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str | None = "f1_score", dtype: Any = None):
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["beta"]
        return config
