"""The losses and metrics that a model was compiled with: matched to its outputs, named, called. It refuses to know training loops.

Rules of matching and naming follow Keras 2.15.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from savedmodel.keras.engine.layer_tracking import is_metric
from tracer import nest
from tracer.errors import InvalidArgumentError
from tracer.public import tf

__all__ = ["LossesContainer", "MetricsContainer", "create_pseudo_input_names", "create_pseudo_output_names"]

_ACCURACY = ("accuracy", "acc")
_CROSSENTROPY = ("crossentropy", "ce")


def _pseudo_names(structure: Any, prefix: str) -> list[str]:
    names = []
    for path, _ in nest.flatten_with_paths(structure):
        parts = [p + 1 if isinstance(p, int) else p for p in path]
        if not parts:
            names.append(prefix + "1")
            continue
        name = "_".join(str(p) for p in parts)
        names.append(prefix + name if isinstance(path[0], int) else name)
    return names


def create_pseudo_output_names(outputs: Any) -> list[str]:
    """Names for the outputs of a subclassed model: `output_1`…, or the keys of a dict."""
    return _pseudo_names(outputs, "output_")


def create_pseudo_input_names(inputs: Any) -> list[str]:
    """Names for the inputs of a subclassed model: `input_1`…, or the keys of a dict."""
    return _pseudo_names(inputs, "input_")


def function_name(obj: Any) -> str | None:
    """The name that metrics and losses made of a function get."""
    if hasattr(obj, "name") and isinstance(obj.name, str):
        return obj.name
    if hasattr(obj, "__name__"):
        return obj.__name__
    if hasattr(obj, "__class__") and callable(obj):
        from savedmodel.keras import naming

        return naming.to_snake_case(type(obj).__name__)
    return None


class _Container:
    """What both share: bringing user structures into the structure of the outputs."""

    def __init__(self, output_names: Sequence[str] | None = None):
        self._output_names = output_names

    def _name_outputs(self, y_pred: Any) -> None:
        if self._output_names is None:
            self._output_names = create_pseudo_output_names(y_pred)

    def _conform(self, outputs: Any, struct: Any) -> Any:
        struct = self._by_output_name(outputs, struct)
        if isinstance(outputs, dict) and isinstance(struct, dict):
            struct = {**struct, **{k: None for k in outputs if k not in struct}}
        if not nest.is_nested(struct) and nest.is_nested(outputs):
            struct = nest.map_structure(lambda _: struct, outputs)
        return struct

    def _by_output_name(self, outputs: Any, struct: Any) -> Any:
        single = not nest.is_nested(outputs)
        flat_list = isinstance(outputs, (list, tuple)) and not any(nest.is_nested(o) for o in outputs)
        if not ((single or flat_list) and isinstance(struct, dict)):
            return struct
        names = self._output_names or create_pseudo_output_names(outputs)
        rest = dict(struct)
        found = [rest.pop(name, None) for name in names]
        if rest:
            raise InvalidArgumentError(
                f"Found unexpected losses or metrics that do not correspond to any Model output: {rest.keys()}. Valid mode output names: "
                f"{names}. Received struct is: {rest}."
            )
        return found[0] if len(found) == 1 else found


def _match(y_true: Any, y_pred: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Labels and weights with the rank and, within floats or integers, the dtype of the prediction."""
    if y_true.shape.rank == 1 and y_pred.shape.rank == 2:
        y_true = tf.expand_dims(y_true, axis=-1)
    if weight is not None and weight.shape.rank == 1 and y_pred.shape.rank == 2:
        weight = tf.expand_dims(weight, axis=-1)
    both = (y_true.dtype.is_floating and y_pred.dtype.is_floating) or (y_true.dtype.is_integer and y_pred.dtype.is_integer)
    if both and y_true.dtype != y_pred.dtype:
        y_true = tf.cast(y_true, y_pred.dtype)
    if weight is not None and weight.dtype != y_pred.dtype:
        weight = tf.cast(weight, y_pred.dtype)
    return y_true, y_pred, weight


class LossesContainer(_Container):
    """The loss of each output, their weights, and the means that are reported.

    Args:
        losses, loss_weights: as given to `compile`.
        output_names: of the model; None: derived from the first outputs.
        total_loss_mean: the metric of the total loss; a Mean named `loss` by default.
    """

    def __init__(self, losses: Any, loss_weights: Any = None, output_names: Sequence[str] | None = None, total_loss_mean: Any = None):
        super().__init__(output_names)
        from savedmodel.keras import metrics

        self._user_losses = losses
        self._user_loss_weights = loss_weights
        self._losses = losses
        self._loss_weights = loss_weights
        self._per_output_metrics: list[Any] = []
        self._total_loss_mean = total_loss_mean or metrics.Mean(name="loss")
        self._built = False

    @property
    def built(self) -> bool:
        return self._built

    @property
    def metrics(self) -> list[Any]:
        """The mean of the total loss, then those of the outputs where there are several; [] before the first call."""
        if not self._built:
            return []
        return [self._total_loss_mean, *(m for m in self._per_output_metrics if m is not None)]

    def build(self, y_pred: Any) -> None:
        """Match losses to outputs."""
        from savedmodel.keras import metrics

        self._name_outputs(y_pred)
        losses = self._losses if nest.is_nested(self._losses) else nest.map_structure(lambda _: self._losses, y_pred)
        self._losses = [self._loss_object(v) for v in nest.flatten(self._conform(y_pred, losses))]
        weights = self._loss_weights
        weights = weights if nest.is_nested(weights) else nest.map_structure(lambda _: self._loss_weights, y_pred)
        self._loss_weights = nest.flatten(self._conform(y_pred, weights))
        if len(self._output_names) == 1:  # type: ignore[arg-type]
            self._per_output_metrics = [None]
        else:
            self._per_output_metrics = [
                None if loss is None else metrics.Mean(f"{name}_loss")
                for loss, name in zip(self._losses, self._output_names, strict=False)  # type: ignore[arg-type]
            ]
        self._built = True

    @staticmethod
    def _loss_object(loss: Any) -> Any:
        if loss is None:
            return None
        from savedmodel.keras import losses

        loss = losses.get(loss)
        if not isinstance(loss, losses.Loss):
            name = function_name(loss)
            if name is None:
                raise InvalidArgumentError(f"Loss should be a callable, received: {loss}")
            loss = losses.LossFunctionWrapper(loss, name=name)
        loss._allow_sum_over_batch_size = True
        return loss

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, regularization_losses: Any = None) -> Any:
        """The total loss, or None where no output has one; updates the means."""
        from savedmodel.keras.loss_reduction import apply_mask, cast_losses_to_common_dtype, get_mask

        y_true = self._conform(y_pred, y_true)
        sample_weight = self._conform(y_pred, sample_weight)
        if not self._built:
            self.build(y_pred)
        values: list[Any] = []
        batch = None
        for truth, pred, weight, loss, factor, metric in zip(
            nest.flatten(y_true), nest.flatten(y_pred), nest.flatten(sample_weight), self._losses, self._loss_weights, self._per_output_metrics,
            strict=False,
        ):  # fmt: skip
            if truth is None or loss is None:
                continue
            truth, pred, weight = _match(truth, pred, weight)
            weight = apply_mask(pred, weight, get_mask(pred))
            value = loss(truth, pred, sample_weight=weight)
            if batch is None:
                batch = truth.nrows() if hasattr(truth, "nrows") else tf.shape(truth)[0]
            if metric is not None:
                metric.update_state(value, sample_weight=batch)
            if factor is not None:
                value = value * factor
            values.append(value)
        if regularization_losses:
            values.append(tf.add_n(cast_losses_to_common_dtype(list(regularization_losses))))
        if not values:
            return None
        total = tf.add_n(cast_losses_to_common_dtype(values))
        self._total_loss_mean.update_state(total, sample_weight=batch)
        return total

    def reset_state(self) -> None:
        for metric in self.metrics:
            metric.reset_state()


class MetricsContainer(_Container):
    """The metrics of each output.

    Args:
        metrics, weighted_metrics: as given to `compile`.
        output_names: of the model; None: derived from the first outputs.
        from_serialized: whether the metrics carry their final names already.

    Raises:
        ValueError: a metric object is given twice.
    """

    def __init__(self, metrics: Any = None, weighted_metrics: Any = None, output_names: Sequence[str] | None = None, from_serialized: bool = False):
        super().__init__(output_names)
        seen: set[int] = set()
        for m in (*nest.flatten(metrics), *nest.flatten(weighted_metrics)):
            if is_metric(m):
                if id(m) in seen:
                    raise InvalidArgumentError(
                        f"Found duplicated metrics object in the user provided metrics and weighted metrics. This will cause the same metric "
                        f"object to be updated multiple times, and report wrong results. \nDuplicated items: {[m]}"
                    )
                seen.add(id(m))
        self._user_metrics = metrics
        self._user_weighted_metrics = weighted_metrics
        self._metrics = metrics
        self._weighted_metrics = weighted_metrics
        self._metrics_in_order: list[Any] = []
        self._built = False
        self._from_serialized = from_serialized

    @property
    def built(self) -> bool:
        return self._built

    @property
    def metrics(self) -> list[Any]:
        """All metric objects, by output; [] before the first update."""
        return self._metrics_in_order if self._built else []

    @property
    def unweighted_metrics(self) -> Any:
        return nest.flatten(self._metrics) if self._built else None

    @property
    def weighted_metrics(self) -> Any:
        return nest.flatten(self._weighted_metrics) if self._built else None

    def build(self, y_pred: Any, y_true: Any) -> None:
        """Match metrics to outputs and name them."""
        self._name_outputs(y_pred)
        self._metrics = self._objects(self._metrics, y_pred, y_true)
        self._weighted_metrics = self._objects(self._weighted_metrics, y_pred, y_true)
        if not self._from_serialized:
            self._set_names()
        self._metrics_in_order = []
        for plain, weighted in zip(self._metrics, self._weighted_metrics, strict=True):
            self._metrics_in_order.extend(m for m in (*plain, *weighted) if m is not None)
        self._built = True

    def _objects(self, metrics: Any, y_pred: Any, y_true: Any) -> list[list[Any]]:
        if not nest.is_nested(metrics) or (isinstance(metrics, (list, tuple)) and not any(nest.is_nested(m) for m in metrics)):
            copies = len(nest.flatten(y_pred)) > 1
            shared = metrics
            metrics = nest.map_structure(lambda _: _Held(nest.map_structure(_copy, shared) if copies else shared), y_pred)
        else:
            metrics = self._by_output_name(y_pred, metrics)
            metrics = _hold(y_pred, metrics)
        truths = nest.flatten(y_true) if y_true is not None else [None] * len(nest.flatten(y_pred))
        out = []
        for held, truth, pred in zip(nest.flatten(metrics), truths, nest.flatten(y_pred), strict=False):
            out.append([_metric_object(m, truth, pred) for m in nest.flatten(held.value)])
        return out

    def _set_names(self) -> None:
        names: set[str] = set()
        several = len(self._output_names) > 1  # type: ignore[arg-type]
        for output, plain, weighted in zip(self._output_names, self._metrics, self._weighted_metrics, strict=False):  # type: ignore[arg-type]
            for m in plain:
                if m is None:
                    continue
                if several:
                    m._name = f"{output}_{m._name}"
                if m._name in names:
                    raise InvalidArgumentError(
                        f"Found two metrics with the same name: {m._name}. All the metrics added to the model need to have unique names."
                    )
                names.add(m._name)
            for m in weighted:
                if m is None:
                    continue
                if several:
                    m._name = f"{output}_weighted_{m._name}" if f"{output}_{m._name}" in names else f"{output}_{m._name}"
                elif m._name in names:
                    m._name = f"weighted_{m._name}"
                if m._name in names:
                    raise InvalidArgumentError(
                        f"Found two weighted metrics with the same name: {m._name}.All the metrics added to the model need to have unique names."
                    )
                names.add(m._name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Update the metrics of each output; the unweighted ones see the output's mask only."""
        from savedmodel.keras.loss_reduction import apply_mask, get_mask

        y_true = self._conform(y_pred, y_true)
        sample_weight = self._conform(y_pred, sample_weight)
        if not self._built:
            self.build(y_pred, y_true)
        truths = nest.flatten(y_true) if y_true is not None else []
        for truth, pred, weight, plain, weighted in zip(
            truths, nest.flatten(y_pred), nest.flatten(sample_weight), self._metrics, self._weighted_metrics, strict=False
        ):
            if truth is None or all(m is None for m in (*plain, *weighted)):
                continue
            truth, pred, weight = _match(truth, pred, weight)
            mask = get_mask(pred)
            weight = apply_mask(pred, weight, mask)
            for m in plain:
                if m is not None:
                    m.update_state(truth, pred, sample_weight=mask)
            for m in weighted:
                if m is not None:
                    m.update_state(truth, pred, sample_weight=weight)

    def reset_state(self) -> None:
        found = self._metrics_in_order if self._built else [*nest.flatten(self._user_metrics), *nest.flatten(self._user_weighted_metrics)]
        for m in found:
            if is_metric(m):
                m.reset_state()


class _Held:
    """The metrics of one output, as one leaf of a structure."""

    def __init__(self, value: Any):
        self.value = value


def _hold(outputs: Any, metrics: Any) -> Any:
    """`metrics` with what belongs to each output of `outputs` in a leaf."""
    if isinstance(outputs, dict):
        given = metrics if isinstance(metrics, dict) else dict(zip(outputs, metrics, strict=False))
        return {k: _hold(v, given.get(k)) for k, v in outputs.items()}
    if isinstance(outputs, (list, tuple)):
        if not isinstance(metrics, (list, tuple)):
            return [_hold(o, metrics) for o in outputs]
        if len(metrics) != len(outputs):
            raise InvalidArgumentError(
                f"compile: expected metrics for {len(outputs)} outputs, received {len(metrics)}: {metrics!r}; give a list per output or a dict"
            )
        return [_hold(o, m) for o, m in zip(outputs, metrics, strict=True)]
    if isinstance(metrics, (list, tuple)) and len(metrics) == 1 and isinstance(metrics[0], (list, tuple)):
        metrics = metrics[0]
    return _Held(metrics)


def _copy(metric: Any) -> Any:
    return type(metric).from_config(metric.get_config()) if is_metric(metric) else metric


def _metric_object(metric: Any, y_true: Any, y_pred: Any) -> Any:
    """The metric that a user's name, function or object means for an output; "accuracy" depends on the shapes."""
    if metric is None:
        return None
    from savedmodel.keras import losses, metrics

    key = str(metric).lower() if isinstance(metric, str) else None
    if key in (*_ACCURACY, *_CROSSENTROPY):
        binary = y_pred.shape.as_list()[-1] == 1
        sparse = len(y_true.shape.as_list()) < len(y_pred.shape.as_list()) or (
            y_true.shape.as_list()[-1] == 1 and (y_pred.shape.as_list()[-1] or 0) > 1
        )
        kind = "binary" if binary else "sparse_categorical" if sparse else "categorical"
        found = getattr(metrics, f"{kind}_{'accuracy' if key in _ACCURACY else 'crossentropy'}")
    else:
        found = metrics.get(metric)
    if isinstance(found, losses.Loss):
        found._allow_sum_over_batch_size = True
    if not is_metric(found):
        name = metric if isinstance(metric, str) else function_name(metric)
        if name is None:
            raise InvalidArgumentError(f"Metric should be a callable, received: {metric}")
        found = metrics.MeanMetricWrapper(found, name=name)
    return found
