"""Metrics of Keras 2.15, by class, function and name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from savedmodel.keras import named_objects
from savedmodel.keras.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from savedmodel.keras.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    accuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from savedmodel.keras.metrics.base import (
    Mean,
    MeanMetricWrapper,
    MeanTensor,
    Metric,
    Reduce,
    Sum,
    SumOverBatchSize,
    SumOverBatchSizeMetricWrapper,
    clone_metric,
    clone_metrics,
)
from savedmodel.keras.metrics.confusion import (
    AUC,
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SensitivitySpecificityBase,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from savedmodel.keras.metrics.f_score import F1Score, FBetaScore
from savedmodel.keras.metrics.iou import BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from savedmodel.keras.metrics.regression import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanRelativeError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    cosine_similarity,
)

acc = ACC = accuracy
bce = BCE = binary_crossentropy
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh
cosine_proximity = cosine_similarity

CLASSES: tuple[type[Metric], ...] = (
    AUC, Accuracy, BinaryAccuracy, BinaryCrossentropy, BinaryIoU, CategoricalAccuracy, CategoricalCrossentropy, CategoricalHinge,
    CosineSimilarity, F1Score, FBetaScore, FalseNegatives, FalsePositives, Hinge, IoU, KLDivergence, LogCoshError, Mean,
    MeanAbsoluteError, MeanAbsolutePercentageError, MeanIoU, MeanMetricWrapper, MeanRelativeError, MeanSquaredError,
    MeanSquaredLogarithmicError, MeanTensor, Metric, OneHotIoU, OneHotMeanIoU, Poisson, Precision, PrecisionAtRecall, R2Score, Recall,
    RecallAtPrecision, Reduce, RootMeanSquaredError, SensitivityAtSpecificity, SensitivitySpecificityBase, SparseCategoricalAccuracy,
    SparseCategoricalCrossentropy, SparseTopKCategoricalAccuracy, SpecificityAtSensitivity, SquaredHinge, Sum, SumOverBatchSize,
    SumOverBatchSizeMetricWrapper, TopKCategoricalAccuracy, TrueNegatives, TruePositives,
)  # fmt: skip

FUNCTIONS: dict[str, Any] = {
    f.__name__: f
    for f in (
        accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, sparse_top_k_categorical_accuracy,
        top_k_categorical_accuracy, binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy,
        categorical_focal_crossentropy, categorical_hinge, hinge, kl_divergence, log_cosh, mean_absolute_error,
        mean_absolute_percentage_error, mean_squared_error, mean_squared_logarithmic_error, poisson, sparse_categorical_crossentropy,
        squared_hinge, cosine_similarity,
    )
}  # fmt: skip
FUNCTIONS |= {
    "acc": acc, "ACC": acc, "bce": bce, "BCE": bce, "mse": mse, "MSE": mse, "mae": mae, "MAE": mae, "mape": mape, "MAPE": mape,
    "msle": msle, "MSLE": msle, "kld": kld, "KLD": kld, "kullback_leibler_divergence": kld, "logcosh": log_cosh,
    "cosine_proximity": cosine_similarity,
}  # fmt: skip

OBJECTS: dict[str, Any] = {**FUNCTIONS, **{cls.__name__: cls for cls in CLASSES}}



__all__ = ["CLASSES", "FUNCTIONS", "OBJECTS", "clone_metric", "clone_metrics", "deserialize", "get", "serialize"]


def serialize(metric: Any, use_legacy_format: bool = False) -> Any:
    """The config of a metric."""
    return named_objects.serialize(metric, use_legacy_format, Metric, "metrics")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False) -> Any:
    """The metric of a name or config."""
    return named_objects.deserialize(config, OBJECTS, "metric function", custom_objects, use_legacy_format)


def get(identifier: Any) -> Any:
    """A metric from a name, a config or any callable.

    Raises:
        ValueError: it is none of these, or the name is unknown.
    """
    if isinstance(identifier, dict):
        return named_objects.deserialize_from_identifier(identifier, OBJECTS, "metric function")
    if isinstance(identifier, str):
        return deserialize(str(identifier))
    if callable(identifier):
        return identifier
    raise ValueError(f"Could not interpret metric identifier: {identifier}")
