"""Metrics of errors, and the cross entropies, divergences and hinges as metrics."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from savedmodel.keras import losses
from savedmodel.keras.loss_reduction import remove_squeezable_dimensions, squeeze_or_expand_dimensions
from savedmodel.keras.metrics.base import Mean, MeanMetricWrapper, Metric, broadcast_weights
from savedmodel.keras.metrics.ragged_values import flat_values
from tracer import dispatch, dtypes
from tracer.public import tf
from tracer.tensor import Tensor, convert_to_tensor


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The cosine between labels and predictions along `axis` (the loss is its negative)."""
    return tf.reduce_sum(tf.linalg.l2_normalize(y_true, axis=axis) * tf.linalg.l2_normalize(y_pred, axis=axis), axis=axis)


def _mean_of(class_name: str, fn: Callable[..., Any], name: str, doc: str) -> type[MeanMetricWrapper]:
    def __init__(self: Any, name: str | None = name, dtype: Any = None) -> None:
        MeanMetricWrapper.__init__(self, fn, name, dtype=dtype)

    return type(class_name, (MeanMetricWrapper,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})


MeanAbsoluteError = _mean_of("MeanAbsoluteError", losses.mean_absolute_error, "mean_absolute_error", "Mean of absolute errors.")
MeanAbsolutePercentageError = _mean_of(
    "MeanAbsolutePercentageError", losses.mean_absolute_percentage_error, "mean_absolute_percentage_error", "Mean absolute error in percent."
)
MeanSquaredError = _mean_of("MeanSquaredError", losses.mean_squared_error, "mean_squared_error", "Mean of squared errors.")
MeanSquaredLogarithmicError = _mean_of(
    "MeanSquaredLogarithmicError", losses.mean_squared_logarithmic_error, "mean_squared_logarithmic_error", "Mean squared error of logarithms."
)
LogCoshError = _mean_of("LogCoshError", losses.log_cosh, "logcosh", "Mean of log(cosh(error)).")
Hinge = _mean_of("Hinge", losses.hinge, "hinge", "Mean hinge loss.")
SquaredHinge = _mean_of("SquaredHinge", losses.squared_hinge, "squared_hinge", "Mean squared hinge loss.")
CategoricalHinge = _mean_of("CategoricalHinge", losses.categorical_hinge, "categorical_hinge", "Mean hinge loss between classes.")
Poisson = _mean_of("Poisson", losses.poisson, "poisson", "Mean Poisson loss.")
KLDivergence = _mean_of("KLDivergence", losses.kl_divergence, "kullback_leibler_divergence", "Mean Kullback-Leibler divergence.")


class CosineSimilarity(MeanMetricWrapper):
    """Mean cosine between labels and predictions."""

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1):
        super().__init__(cosine_similarity, name, dtype=dtype, axis=axis)


class BinaryCrossentropy(MeanMetricWrapper):
    """Mean binary cross entropy."""

    def __init__(
        self, name: str | None = "binary_crossentropy", dtype: Any = None, from_logits: bool = False, label_smoothing: float = 0
    ):  # fmt: skip
        super().__init__(losses.binary_crossentropy, name, dtype=dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(MeanMetricWrapper):
    """Mean cross entropy with one-hot labels."""

    def __init__(
        self, name: str | None = "categorical_crossentropy", dtype: Any = None, from_logits: bool = False, label_smoothing: float = 0,
        axis: int = -1,
    ):  # fmt: skip
        super().__init__(
            losses.categorical_crossentropy, name, dtype=dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
        )


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Mean cross entropy with class numbers as labels."""

    def __init__(
        self, name: str | None = "sparse_categorical_crossentropy", dtype: Any = None, from_logits: bool = False,
        ignore_class: int | None = None, axis: int = -1,
    ):  # fmt: skip
        super().__init__(
            losses.sparse_categorical_crossentropy, name, dtype=dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis
        )


class RootMeanSquaredError(Mean):
    """Square root of the mean of squared errors."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None):
        super().__init__(name, dtype=dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
        """Take labels and predictions."""
        y_true, y_pred = tf.cast(y_true, self._dtype), tf.cast(y_pred, self._dtype)
        y_pred, y_true = squeeze_or_expand_dimensions(y_pred, y_true)
        return super().update_state(tf.math.squared_difference(y_pred, y_true), sample_weight=sample_weight)

    def result(self) -> Any:
        return tf.sqrt(tf.math.divide_no_nan(self.total.value(), self.count.value()))


class MeanRelativeError(Mean):
    """Mean of |error| / normalizer."""

    def __init__(self, normalizer: Any, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.normalizer = tf.cast(normalizer, self._dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
        """Take labels and predictions."""
        y_true, y_pred = tf.cast(y_true, self._dtype), tf.cast(y_pred, self._dtype)
        [y_pred, y_true], sample_weight = flat_values([y_pred, y_true], sample_weight)
        y_pred, y_true = squeeze_or_expand_dimensions(y_pred, y_true)
        y_pred, self.normalizer = remove_squeezable_dimensions(y_pred, self.normalizer)
        y_pred.shape.assert_is_compatible_with(y_true.shape)
        errors = tf.math.divide_no_nan(tf.abs(y_true - y_pred), self.normalizer)
        return super().update_state(errors, sample_weight=sample_weight)

    def get_config(self) -> dict[str, Any]:
        n = self.normalizer
        return {**super().get_config(), "normalizer": n.numpy() if isinstance(n, Tensor) else n}


class R2Score(Metric):
    """1 - (squared errors) / (squared deviations from the mean label), averaged over outputs as `class_aggregation` says."""

    def __init__(
        self, class_aggregation: str | None = "uniform_average", num_regressors: int = 0, name: str | None = "r2_score", dtype: Any = None
    ):  # fmt: skip
        super().__init__(name=name, dtype=dtype)
        valid = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in valid:
            raise ValueError(
                f"Invalid value for argument `class_aggregation`. Expected one of {valid}. Received: class_aggregation={class_aggregation}"
            )
        if num_regressors < 0:
            raise ValueError(
                f"Invalid value for argument `num_regressors`. Expected a value >= 0. Received: num_regressors={num_regressors}"
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_weight(name="num_samples", dtype="int32")
        self.built = False

    def build(self, y_true_shape: Any, y_pred_shape: Any) -> None:  # type: ignore[override]
        """Make the state for a number of outputs."""
        check_two_dimensions("R2Score", y_true_shape, y_pred_shape)
        outputs = y_pred_shape[-1]
        self.squared_sum = self.add_weight(name="squared_sum", shape=[outputs], initializer="zeros")
        self.sum = self.add_weight(name="sum", shape=[outputs], initializer="zeros")
        self.total_mse = self.add_weight(name="residual", shape=[outputs], initializer="zeros")
        self.count = self.add_weight(name="count", shape=[outputs], initializer="zeros")
        self.built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take labels and predictions [samples, outputs]."""
        y_true = convert_to_tensor(y_true, dtype=self.dtype)
        y_pred = convert_to_tensor(y_pred, dtype=self.dtype)
        if not self.built:
            self.build(y_true.shape, y_pred.shape)
        weight = convert_to_tensor(1 if sample_weight is None else sample_weight, dtype=self.dtype)
        if weight.shape.rank == 1:
            weight = tf.expand_dims(weight, axis=1)
        weight = broadcast_weights(weight, y_true)
        weighted = y_true * weight
        self.sum.assign_add(tf.reduce_sum(weighted, axis=0))
        self.squared_sum.assign_add(tf.reduce_sum(y_true * weighted, axis=0))
        self.total_mse.assign_add(tf.reduce_sum((y_true - y_pred) ** 2 * weight, axis=0))
        self.count.assign_add(tf.reduce_sum(weight, axis=0))
        self.num_samples.assign_add(tf.size(y_true))

    def result(self) -> Any:
        """The score."""
        mean = self.sum / self.count
        total = self.squared_sum - self.sum * mean
        scores = 1 - self.total_mse / total
        scores = tf.where(tf.math.is_inf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            score = tf.reduce_mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            score = tf.reduce_sum(total * scores) / tf.reduce_sum(total)
        else:
            score = scores
        return self._adjusted(score) if self.num_regressors != 0 else score

    def _adjusted(self, score: Any) -> Any:
        """The score with a penalty for the number of regressors; as it is where there are too few samples."""
        n, p = tf.cast(self.num_samples, dtypes.float32), tf.cast(self.num_regressors, dtypes.float32)
        adjusted = tf.subtract(1.0, tf.divide(tf.multiply(tf.subtract(1.0, score), tf.subtract(n, 1.0)), tf.subtract(tf.subtract(n, p), 1.0)))
        if not dispatch.executing_eagerly():
            return tf.where(p < n - 1.0, adjusted, score)
        spare = int(self.num_samples.numpy()) - 1 - self.num_regressors
        if spare > 0:
            return adjusted
        what = (
            "More independent predictors than datapoints in adjusted R2 score."
            if spare < 0
            else "Division by zero in Adjusted R2 score."
        )
        warnings.warn(f"{what} Falling back to standard R2 score.", stacklevel=2)
        return score

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}


def check_two_dimensions(what: str, y_true_shape: Any, y_pred_shape: Any) -> None:
    """Raises ValueError unless both shapes are (samples, outputs) with a known number of outputs."""
    got = f"Received input shapes: y_pred.shape={y_pred_shape} and y_true.shape={y_true_shape}."
    if len(y_pred_shape) != 2 or len(y_true_shape) != 2:
        raise ValueError(f"{what} expects 2D inputs with shape (batch_size, output_dim). {got}")
    if y_pred_shape[-1] is None or y_true_shape[-1] is None:
        raise ValueError(f"{what} expects 2D inputs with shape (batch_size, output_dim), with output_dim fully defined (not None). {got}")
