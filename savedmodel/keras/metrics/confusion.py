"""Metrics of a binary confusion matrix: counts, precision, recall, points on curves, areas under curves."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from savedmodel.keras.metrics.base import Metric
from savedmodel.keras.metrics.confusion_counts import NEG_INF, Condition, evenly_spread, parse_thresholds, update_counts
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import Tensor, convert_to_tensor

_ALL = {
    "true_positives": Condition.TRUE_POSITIVES,
    "true_negatives": Condition.TRUE_NEGATIVES,
    "false_positives": Condition.FALSE_POSITIVES,
    "false_negatives": Condition.FALSE_NEGATIVES,
}


class _Counting(Metric):
    """Metrics whose variables are counts named in `_counts`."""

    _counts: tuple[str, ...] = tuple(_ALL)

    def _add_counts(self, shape: Any) -> None:
        for name in self._counts:
            setattr(self, name, self.add_weight(name, shape=shape, initializer="zeros"))

    def _variables_of(self) -> dict[Condition, Any]:
        return {_ALL[name]: getattr(self, name) for name in self._counts}

    def _rate(self, name: str, other: str) -> Any:
        """name / (name + other), 0 where both are 0."""
        part = getattr(self, name).value()
        return tf.math.divide_no_nan(part, tf.math.add(part, getattr(self, other).value()))


class _ConditionCount(Metric):
    _condition: Condition

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = parse_thresholds(thresholds)
        self._thresholds_distributed_evenly = evenly_spread(self.thresholds)
        self.accumulator = self.add_weight("accumulator", shape=(len(self.thresholds),), initializer="zeros")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take labels and scores."""
        return update_counts(
            {self._condition: self.accumulator}, y_true, y_pred, thresholds=list(self.thresholds),
            evenly=self._thresholds_distributed_evenly, sample_weight=sample_weight,
        )  # fmt: skip

    def result(self) -> Any:
        """The count, or one for each threshold."""
        count = self.accumulator.value()
        return count[0] if len(self.thresholds) == 1 else count

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds}


class FalsePositives(_ConditionCount):
    """How often label 0 is predicted positive."""

    _condition = Condition.FALSE_POSITIVES


class FalseNegatives(_ConditionCount):
    """How often label 1 is predicted negative."""

    _condition = Condition.FALSE_NEGATIVES


class TrueNegatives(_ConditionCount):
    """How often label 0 is predicted negative."""

    _condition = Condition.TRUE_NEGATIVES


class TruePositives(_ConditionCount):
    """How often label 1 is predicted positive."""

    _condition = Condition.TRUE_POSITIVES


class _Share(_Counting):
    """True positives among them and one kind of errors."""

    def __init__(
        self, thresholds: Any = None, top_k: int | None = None, class_id: int | None = None, name: str | None = None, dtype: Any = None
    ):  # fmt: skip
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self.thresholds = parse_thresholds(thresholds, default=0.5 if top_k is None else NEG_INF)
        self._thresholds_distributed_evenly = evenly_spread(self.thresholds)
        self._add_counts((len(self.thresholds),))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take labels and scores."""
        return update_counts(
            self._variables_of(), y_true, y_pred, thresholds=list(self.thresholds), evenly=self._thresholds_distributed_evenly,
            top_k=self.top_k, class_id=self.class_id, sample_weight=sample_weight,
        )  # fmt: skip

    def result(self) -> Any:
        """The share, or one for each threshold."""
        share = self._rate(*self._counts)
        return share[0] if len(self.thresholds) == 1 else share

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}


class Precision(_Share):
    """Share of label 1 among positive predictions."""

    _counts = ("true_positives", "false_positives")


class Recall(_Share):
    """Share of positive predictions among label 1."""

    _counts = ("true_positives", "false_negatives")


class SensitivitySpecificityBase(_Counting):
    """The best of one rate where another is at least `value`. Subclasses name both in `_constrained` and `_dependent`."""

    _argument = "value"
    _constrained = ("true_positives", "false_negatives")
    _dependent = ("true_positives", "false_negatives")

    def __init__(
        self, value: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None
    ):  # fmt: skip
        super().__init__(name=name, dtype=dtype)
        if num_thresholds <= 0:
            raise ValueError(f"Argument `num_thresholds` must be an integer > 0. Received: num_thresholds={num_thresholds}")
        self.value = value
        self.class_id = class_id
        self._add_counts((num_thresholds,))
        if num_thresholds == 1:
            self.thresholds = [0.5]
            self._thresholds_distributed_evenly = False
        else:
            self.thresholds = [0.0, *((i + 1) * 1.0 / (num_thresholds - 1) for i in range(num_thresholds - 2)), 1.0]
            self._thresholds_distributed_evenly = True

    def _setup(self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: Any) -> None:
        if value < 0 or value > 1:
            raise ValueError(f"Argument `{self._argument}` must be in the range [0, 1]. Received: {self._argument}={value}")
        SensitivitySpecificityBase.__init__(self, value, num_thresholds, class_id, name, dtype)
        setattr(self, self._argument, value)
        self.num_thresholds = num_thresholds

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take labels and scores."""
        return update_counts(
            self._variables_of(), y_true, y_pred, thresholds=list(self.thresholds), evenly=self._thresholds_distributed_evenly,
            class_id=self.class_id, sample_weight=sample_weight,
        )  # fmt: skip

    def result(self) -> Any:
        """The best value, 0 where the constraint is never met."""
        return self._find_max_under_constraint(self._rate(*self._constrained), self._rate(*self._dependent), tf.greater_equal)

    def _find_max_under_constraint(self, constrained: Any, dependent: Any, predicate: Any) -> Any:
        feasible = tf.where(predicate(constrained, self.value))
        best = tf.reduce_max(tf.gather(dependent, feasible))
        return tf.where(tf.greater(tf.size(feasible), 0), best, 0.0)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "class_id": self.class_id}
        if self._argument != "value":
            config |= {"num_thresholds": self.num_thresholds, self._argument: getattr(self, self._argument)}
        return config


class SensitivityAtSpecificity(SensitivitySpecificityBase):
    """The greatest share of found positives where at least `specificity` of the negatives are found."""

    _argument = "specificity"
    _constrained = ("true_negatives", "false_positives")
    _dependent = ("true_positives", "false_negatives")

    def __init__(
        self, specificity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None
    ):  # fmt: skip
        self._setup(specificity, num_thresholds, class_id, name, dtype)


class SpecificityAtSensitivity(SensitivitySpecificityBase):
    """The greatest share of found negatives where at least `sensitivity` of the positives are found."""

    _argument = "sensitivity"
    _constrained = ("true_positives", "false_negatives")
    _dependent = ("true_negatives", "false_positives")

    def __init__(
        self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None
    ):  # fmt: skip
        self._setup(sensitivity, num_thresholds, class_id, name, dtype)


class PrecisionAtRecall(SensitivitySpecificityBase):
    """The greatest precision where recall is at least `recall`."""

    _argument = "recall"
    _constrained = ("true_positives", "false_negatives")
    _dependent = ("true_positives", "false_positives")

    def __init__(
        self, recall: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None
    ):  # fmt: skip
        self._setup(recall, num_thresholds, class_id, name, dtype)


class RecallAtPrecision(SensitivitySpecificityBase):
    """The greatest recall where precision is at least `precision`."""

    _argument = "precision"
    _constrained = ("true_positives", "false_positives")
    _dependent = ("true_positives", "false_negatives")

    def __init__(
        self, precision: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None, dtype: Any = None
    ):  # fmt: skip
        self._setup(precision, num_thresholds, class_id, name, dtype)


class AUCCurve(enum.Enum):
    """Which curve."""

    ROC = "ROC"
    PR = "PR"


class AUCSummationMethod(enum.Enum):
    """How heights between two thresholds are taken."""

    INTERPOLATION = "interpolation"
    MAJORING = "majoring"
    MINORING = "minoring"


def _curve(value: Any) -> AUCCurve:
    if isinstance(value, AUCCurve):
        return value
    if value in ("pr", "PR", "roc", "ROC"):
        return AUCCurve(value.upper())
    raise ValueError(f'Invalid AUC curve value: "{value}". Expected values are ["PR", "ROC"]')


def _summation(value: Any) -> AUCSummationMethod:
    if isinstance(value, AUCSummationMethod):
        return value
    names = [m.value for m in AUCSummationMethod]
    if value in names or value in [n.capitalize() for n in names]:
        return AUCSummationMethod(value.lower())
    raise ValueError(f'Invalid AUC summation method value: "{value}". Expected values are ["interpolation", "majoring", "minoring"]')


class AUC(_Counting):
    """Area under the ROC or precision-recall curve, by a sum over thresholds."""

    def __init__(
        self, num_thresholds: int = 200, curve: Any = "ROC", summation_method: Any = "interpolation", name: str | None = None,
        dtype: Any = None, thresholds: Sequence[float] | None = None, multi_label: bool = False, num_labels: int | None = None,
        label_weights: Any = None, from_logits: bool = False,
    ):  # fmt: skip
        from savedmodel.keras import backend

        curve, summation_method = _curve(curve), _summation(summation_method)
        if thresholds is None and num_thresholds <= 1:
            raise ValueError(f"Argument `num_thresholds` must be an integer > 1. Received: num_thresholds={num_thresholds}")
        super().__init__(name=name, dtype=dtype)
        self._init_from_thresholds = thresholds is not None
        if thresholds is not None:
            self.num_thresholds = len(thresholds) + 2
            inner = sorted(thresholds)
            self._thresholds_distributed_evenly = evenly_spread([0.0, *inner, 1.0])
        else:
            self.num_thresholds = num_thresholds
            inner = [(i + 1) * 1.0 / (num_thresholds - 1) for i in range(num_thresholds - 2)]
            self._thresholds_distributed_evenly = True
        # The ends lie a little outside, so that scores of 0 and 1 count too.
        self._thresholds = np.array([0.0 - backend.epsilon(), *inner, 1.0 + backend.epsilon()])
        self.curve = curve
        self.summation_method = summation_method
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None
        if label_weights is not None:
            weights = convert_to_tensor(label_weights, dtype=self.dtype)
            if np.any(np.asarray(weights) < 0):
                raise ValueError("All values of `label_weights` must be non-negative.")
            self.label_weights = weights
        self._from_logits = from_logits
        self._built = False
        if not multi_label:
            if num_labels:
                raise ValueError("`num_labels` is needed only when `multi_label` is True.")
            self._build(None)
        elif num_labels:
            self._build(TensorShape([None, num_labels]))

    @property
    def thresholds(self) -> list[Any]:
        """The thresholds, from just below 0 to just above 1."""
        return list(self._thresholds)

    def _build(self, shape: Any) -> None:
        variable_shape = [self.num_thresholds]
        if self.multi_label:
            if shape.rank != 2:
                raise ValueError(
                    f"`y_pred` must have rank 2 when `multi_label=True`. Found rank {shape.rank}. Full shape received for `y_pred`: {shape}"
                )
            self._num_labels = shape[1]
            variable_shape.append(shape[1])
        self._build_input_shape = shape
        self._add_counts(TensorShape(variable_shape))
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Take labels and scores."""
        if not self._built:
            self._build(TensorShape(y_pred.shape))
        if self.label_weights is not None:
            labels = np.shape(y_true) if not hasattr(y_true, "shape") else y_true.shape
            if len(labels) < 2 or labels[-1] not in (None, self.label_weights.shape[0]):
                raise ValueError(f"Number of labels is not consistent: `label_weights` has {self.label_weights.shape}, `y_true` {labels}")
        if self._from_logits:
            y_pred = tf.sigmoid(tf.cast(y_pred, self._dtype))
        return update_counts(
            self._variables_of(), y_true, y_pred, list(self._thresholds), evenly=self._thresholds_distributed_evenly,
            sample_weight=sample_weight, multi_label=self.multi_label, label_weights=None if self.multi_label else self.label_weights,
        )  # fmt: skip

    def _mean_over_labels(self, terms: Any) -> Any:
        if not self.multi_label:
            return tf.reduce_sum(terms)
        by_label = tf.reduce_sum(terms, axis=0)
        if self.label_weights is None:
            return tf.reduce_mean(by_label)
        return tf.math.divide_no_nan(tf.reduce_sum(tf.multiply(by_label, self.label_weights)), tf.reduce_sum(self.label_weights))

    def interpolate_pr_auc(self) -> Any:
        """Area under the precision-recall curve, true positives being linear in positives between thresholds (Davis & Goadrich 2006)."""
        hits = self.true_positives.value()
        last = self.num_thresholds - 1
        d_hits = hits[:last] - hits[1:]
        positives = tf.math.add(hits, self.false_positives.value())
        d_positives = positives[:last] - positives[1:]
        slope = tf.math.divide_no_nan(d_hits, tf.maximum(d_positives, 0))
        intercept = hits[1:] - tf.multiply(slope, positives[1:])
        ratio = tf.where(
            tf.logical_and(positives[:last] > 0, positives[1:] > 0),
            tf.math.divide_no_nan(positives[:last], tf.maximum(positives[1:], 0)),
            tf.ones_like(positives[1:]),
        )
        labelled = tf.maximum(hits[1:] + self.false_negatives.value()[1:], 0)
        return self._mean_over_labels(tf.math.divide_no_nan(slope * (d_hits + intercept * tf.math.log(ratio)), labelled))

    def result(self) -> Any:
        """The area."""
        if self.curve is AUCCurve.PR and self.summation_method is AUCSummationMethod.INTERPOLATION:
            return self.interpolate_pr_auc()
        recall = self._rate("true_positives", "false_negatives")
        if self.curve is AUCCurve.ROC:
            x, y = self._rate("false_positives", "true_negatives"), recall
        else:
            x, y = recall, self._rate("true_positives", "false_positives")
        last = self.num_thresholds - 1
        if self.summation_method is AUCSummationMethod.INTERPOLATION:
            heights = (y[:last] + y[1:]) / 2.0
        elif self.summation_method is AUCSummationMethod.MINORING:
            heights = tf.minimum(y[:last], y[1:])
        else:
            heights = tf.maximum(y[:last], y[1:])
        return self._mean_over_labels(tf.multiply(x[:last] - x[1:], heights))

    def reset_state(self) -> None:
        if self._built:
            super().reset_state()

    def get_config(self) -> dict[str, Any]:
        weights = self.label_weights
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve.value,
            "summation_method": self.summation_method.value,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": weights.numpy() if isinstance(weights, Tensor) else weights,
            "from_logits": self._from_logits,
        }
        if self._init_from_thresholds:
            config["thresholds"] = self.thresholds[1:-1]
        return config
