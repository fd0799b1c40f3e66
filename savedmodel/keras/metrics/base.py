"""Metrics that keep state: `Metric`, and the sums and means that most others stand on. It refuses to know labels and predictions' meaning.

Authority: Keras 2.15's metrics, compared in tests/oracle/keras.
"""

from __future__ import annotations

import contextlib
import enum
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from savedmodel.keras.engine import base_layer
from savedmodel.keras.loss_reduction import apply_valid_mask, get_mask, squeeze_or_expand_dimensions
from savedmodel.keras.metrics.ragged_values import flat_values
from tracer import dispatch, nest
from tracer.autograph import convert
from tracer.errors import InvalidArgumentError
from tracer.public import tf
from tracer.shapes import TensorShape, as_shape
from tracer.tensor import Tensor
from tracer.variable import Variable, VariableAggregation, VariableSynchronization

__all__ = [
    "Mean", "MeanMetricWrapper", "MeanTensor", "Metric", "Reduce", "Sum", "SumOverBatchSize", "SumOverBatchSizeMetricWrapper",
    "broadcast_weights", "clone_metric", "clone_metrics",
]  # fmt: skip


class Reduction(enum.Enum):
    """How a metric joins values."""

    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"
    WEIGHTED_MEAN = "weighted_mean"


class _MetricDict(dict):
    """A result of several values that knows its metric."""

    _metric_obj: Any = None


def _as_identity(value: Any, metric: Any) -> Any:
    try:
        return tf.identity(value)
    except (ValueError, TypeError):
        raise RuntimeError(
            f"The output of `metric.result()` can only be a single Tensor/Variable, or a dict of Tensors/Variables. For metric {metric.name}, "
            f"got result {value}."
        ) from None


def _wrapped_update(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def update_state(*args: Any, **kwargs: Any) -> Any:
        return (fn if dispatch.executing_eagerly() else convert(fn))(*args, **kwargs)

    return update_state


def _wrapped_result(metric: Any, fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def result(*args: Any, **kwargs: Any) -> Any:
        value = (fn if dispatch.executing_eagerly() else convert(fn))(*args, **kwargs)
        if isinstance(value, dict):
            value = nest.map_structure(lambda v: _as_identity(v, metric), value)
        else:
            value = _as_identity(value, metric)
        object.__setattr__(metric, "_call_result", value)
        return value

    return result


class Metric(base_layer.Layer):
    """Base: a layer whose weights are the state; `update_state` changes it, `result` reads it, calling does both.

    Args:
        name: shown in logs; automatic when None.
        dtype: of the state and the result; the float type of the backend when None.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        object.__setattr__(self, "update_state", _wrapped_update(self.update_state))
        object.__setattr__(self, "result", _wrapped_result(self, self.result))
        return self

    def __init__(self, name: str | None = None, dtype: Any = None, **kwargs: Any):
        super().__init__(name=name, dtype=dtype, **kwargs)
        self.stateful = True
        self.built = True

    @property
    def dtype(self) -> Any:
        """The dtype of the state, by name."""
        return self._dtype

    @property
    def _dtype(self) -> str:
        return self._dtype_policy.variable_dtype

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Update the state, then read it."""
        update = None
        if not any(type(leaf).__name__ == "KerasTensor" for leaf in nest.flatten((args, kwargs))):
            update = self.update_state(*args, **kwargs)
        pending = [] if update is None or dispatch.executing_eagerly() or not isinstance(update, Tensor) else [update]
        with dispatch.control_dependencies(pending):
            result = self.result()
        if isinstance(result, dict):
            result = _MetricDict(**result)
            result._metric_obj = self
        return result

    def __str__(self) -> str:
        return f"{type(self).__name__}({','.join(f'{k}={v}' for k, v in self.get_config().items())})"

    def __deepcopy__(self, memo: Any = None) -> Any:
        copy = self.from_config(self.get_config())
        if self.weights:
            copy.set_weights(self.get_weights())
        if memo is not None:
            memo[id(self)] = copy
        return copy

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {"name": self.name, "dtype": self.dtype}

    def reset_state(self) -> None:
        """Set every variable to zero."""
        if type(self).reset_states is not Metric.reset_states:
            self.reset_states()  # the method's older name, overridden by a subclass
            return
        for variable in self.variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))

    def reset_states(self) -> None:
        """`reset_state` by its older name."""
        self.reset_state()

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Take values into the state."""
        raise NotImplementedError(f"{type(self).__name__}.update_state: Must be implemented in subclasses.")

    def result(self) -> Any:
        """The metric's value (or a dict of values) for the present state."""
        raise NotImplementedError(f"{type(self).__name__}.result: Must be implemented in subclasses.")

    def merge_state(self, metrics: Iterable[Metric]) -> list[Any]:
        """Add the state of other metrics of the same kind.

        Raises:
            ValueError: another number of variables.
        """
        updates = []
        for metric in metrics:
            if len(self.weights) != len(metric.weights):
                raise ValueError(f"Metric {metric} is not compatible with {self}")
            updates += [mine.assign_add(other) for mine, other in zip(self.weights, metric.weights, strict=True)]
        return updates

    def add_weight(  # type: ignore[override]
        self, name: str, shape: Any = (), aggregation: VariableAggregation = VariableAggregation.SUM,
        synchronization: VariableSynchronization = VariableSynchronization.ON_READ, initializer: Any = None, dtype: Any = None,
    ) -> Variable:  # fmt: skip
        """A variable of the state."""
        with dispatch.init_scope() if not dispatch.executing_eagerly() else contextlib.nullcontext():
            return super().add_weight(
                name=name, shape=shape, dtype=self._dtype if dtype is None else dtype, trainable=False, initializer=initializer,
                synchronization=synchronization, aggregation=aggregation,
            )  # fmt: skip


def broadcast_weights(weights: Any, values: Any) -> Any:
    """`weights` with the shape of `values`: a scalar, or the same rank with sizes that are equal or 1.

    Raises:
        ValueError: the static shapes do not fit.
    """
    if weights.shape.rank is not None and values.shape.rank is not None and weights.shape.rank != 0:
        pairs = list(zip(weights.shape.as_list(), values.shape.as_list()))
        if weights.shape.rank != values.shape.rank or any(w not in (1, None, v) and v is not None for w, v in pairs):
            raise InvalidArgumentError(
                f"weights can not be broadcast to values. values.rank={values.shape.rank}. weights.rank={weights.shape.rank}. "
                f"values.shape={values.shape}. weights.shape={weights.shape}."
            )
        if weights.shape.is_fully_defined() and weights.shape == values.shape:
            return weights
    return tf.multiply(weights, tf.ones_like(values, dtype=weights.dtype))


class Reduce(Metric):
    """Values joined by `reduction`."""

    def __init__(self, reduction: Reduction, name: str | None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.reduction = reduction
        self.total = self.add_weight("total", initializer="zeros")
        if reduction is not Reduction.SUM:
            self.count = self.add_weight("count", initializer="zeros")

    def update_state(self, values: Any, sample_weight: Any = None) -> Any:
        """Take `values` (any shape) with weights that fit their leading dimensions."""
        [values], sample_weight = flat_values([values], sample_weight)
        try:
            values = tf.cast(values, self._dtype)
        except (ValueError, TypeError):
            text = f"The output of a metric function can only be a single Tensor. Received: {values}. "
            if isinstance(values, dict):
                text += "To return a dict of values, implement a custom Metric subclass."
            raise RuntimeError(text) from None
        if sample_weight is not None:
            sample_weight = tf.cast(sample_weight, self._dtype)
            values, _, sample_weight = squeeze_or_expand_dimensions(values, sample_weight=sample_weight)
            try:
                sample_weight = broadcast_weights(sample_weight, values)
            except ValueError:
                # One weight for several values: the values of a sample are joined first.
                axes = list(range(sample_weight.shape.rank, values.shape.rank))
                values = (tf.reduce_sum if self.reduction is Reduction.SUM else tf.reduce_mean)(values, axis=axes)
            values = tf.multiply(values, sample_weight)
        total = tf.reduce_sum(values)
        update = self.total.assign_add(total)
        if self.reduction is Reduction.SUM:
            return update
        if self.reduction is Reduction.WEIGHTED_MEAN and sample_weight is not None:
            count = tf.reduce_sum(sample_weight)
        else:
            count = tf.cast(tf.size(values), self._dtype)
        return self.count.assign_add(count)

    def result(self) -> Any:
        """The sum or the mean."""
        if self.reduction is Reduction.SUM:
            return tf.identity(self.total)
        return tf.math.divide_no_nan(self.total.value(), self.count.value())


class Sum(Reduce):
    """The weighted sum of values."""

    def __init__(self, name: str | None = "sum", dtype: Any = None):
        super().__init__(Reduction.SUM, name=name, dtype=dtype)


class Mean(Reduce):
    """The weighted mean of values."""

    def __init__(self, name: str | None = "mean", dtype: Any = None):
        super().__init__(Reduction.WEIGHTED_MEAN, name=name, dtype=dtype)


class SumOverBatchSize(Reduce):
    """The weighted sum of values divided by their number."""

    def __init__(self, name: str | None = "sum_over_batch_size", dtype: Any = None):
        super().__init__(Reduction.SUM_OVER_BATCH_SIZE, name=name, dtype=dtype)


def _plain(value: Any) -> Any:
    return value.numpy() if isinstance(value, (Tensor, Variable)) else value


class _OfFunction:
    """Applies a function of labels and predictions before the values are joined."""

    _fn: Callable[..., Any]
    _fn_kwargs: dict[str, Any]

    def _update(self: Any, join: Callable[..., Any], y_true: Any, y_pred: Any, sample_weight: Any, ragged: bool) -> Any:
        y_true = tf.cast(y_true, self._dtype)
        logits = getattr(y_pred, "_keras_logits", None) if getattr(y_pred, "dtype", None) == self._dtype else None
        y_pred = tf.cast(y_pred, self._dtype)
        if logits is not None and getattr(y_pred, "_keras_logits", None) is None:
            y_pred = tf.identity(y_pred)
            y_pred._keras_logits = logits
        if ragged:
            [y_true, y_pred], sample_weight = flat_values([y_true, y_pred], sample_weight)
        y_pred, y_true = squeeze_or_expand_dimensions(y_pred, y_true)
        fn = self._fn if dispatch.executing_eagerly() else convert(self._fn)
        values = fn(y_true, y_pred, **self._fn_kwargs)
        sample_weight = apply_valid_mask(values, sample_weight, get_mask(values), self.reduction.value)
        return join(values, sample_weight=sample_weight)


class MeanMetricWrapper(_OfFunction, Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)`, one value a sample."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any):
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
        """Take labels and predictions."""
        return self._update(super().update_state, y_true, y_pred, sample_weight, ragged=True)

    def get_config(self) -> dict[str, Any]:
        config = {key: _plain(value) for key, value in self._fn_kwargs.items()}
        if type(self) is MeanMetricWrapper:
            config["fn"] = self._fn
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        config = dict(config)
        fn = config.pop("fn", None)
        if cls is MeanMetricWrapper:
            from savedmodel.keras import metrics

            return cls(metrics.get(fn), **config)
        return cls(**config)


class SumOverBatchSizeMetricWrapper(_OfFunction, SumOverBatchSize):
    """The sum of `fn(y_true, y_pred, **kwargs)` over the number of its values."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any):
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
        """Take labels and predictions."""
        return self._update(super().update_state, y_true, y_pred, sample_weight, ragged=False)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **{key: _plain(value) for key, value in self._fn_kwargs.items()}}


class MeanTensor(Metric):
    """The element-wise weighted mean of tensors of one shape, given or taken from the first update."""

    def __init__(self, name: str | None = "mean_tensor", dtype: Any = None, shape: Any = None):
        super().__init__(name=name, dtype=dtype)
        self._shape: TensorShape | None = None
        self._total: Any = None
        self._count: Any = None
        self._built = False
        if shape is not None:
            self._build(shape)

    def _build(self, shape: Any) -> None:
        self._shape = as_shape(shape)
        self._build_input_shape = self._shape
        self._total = self.add_weight(name="total", shape=shape, initializer="zeros")
        self._count = self.add_weight(name="count", shape=shape, initializer="zeros")
        self._built = True

    @property
    def total(self) -> Any:
        """The weighted sum, or None before the first update."""
        return self._total if self._built else None

    @property
    def count(self) -> Any:
        """The sum of weights, or None before the first update."""
        return self._count if self._built else None

    def update_state(self, values: Any, sample_weight: Any = None) -> Any:
        """Take a tensor.

        Raises:
            ValueError: another shape than before.
        """
        values = tf.cast(values, self._dtype)
        if not self._built:
            self._build(values.shape)
        elif values.shape != self._shape:
            raise ValueError(
                f"MeanTensor input values must always have the same shape. Expected shape (set during the first call): {self._shape}. "
                f"Got: {values.shape}."
            )
        counts = tf.ones_like(values)
        if sample_weight is not None:
            sample_weight = tf.cast(sample_weight, self._dtype)
            values, _, sample_weight = squeeze_or_expand_dimensions(values, sample_weight=sample_weight)
            try:
                sample_weight = broadcast_weights(sample_weight, values)
            except ValueError:
                values = tf.reduce_mean(values, axis=list(range(sample_weight.shape.rank, values.shape.rank)))
            counts = tf.multiply(counts, sample_weight)
            values = tf.multiply(values, sample_weight)
        self._total.assign_add(values)
        return self._count.assign_add(counts)

    def result(self) -> Any:
        """The means.

        Raises:
            ValueError: nothing was taken yet.
        """
        if not self._built:
            raise ValueError(
                "MeanTensor does not have any value yet. Please call the MeanTensor instance or use `.update_state(value)` before retrieving "
                "the result."
            )
        return tf.math.divide_no_nan(self.total.value(), self.count.value())

    def reset_state(self) -> None:
        if self._built:
            for variable in self.variables:
                variable.assign(np.zeros(variable.shape.as_list()))


def clone_metric(metric: Any) -> Any:
    """A fresh metric with the same config; other callables as they are."""
    if not isinstance(metric, Metric):
        return metric
    with dispatch.init_scope():
        return type(metric).from_config(metric.get_config())


def clone_metrics(metrics: Any) -> Any:
    """`clone_metric` over a structure."""
    return nest.map_structure(clone_metric, metrics)
