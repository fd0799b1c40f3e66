"""Counts of true and false positives and negatives over thresholds. It refuses to own state: variables are given.

Authority: Keras 2.15's `update_confusion_matrix_variables`, whose two algorithms (buckets for evenly spread thresholds, comparison with
each threshold otherwise) are kept, because they round differently.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from savedmodel.keras.loss_reduction import squeeze_or_expand_dimensions
from savedmodel.keras.metrics.base import broadcast_weights
from savedmodel.keras.metrics.ragged_values import flat_values
from tracer import dtypes
from tracer.public import tf
from tracer.tensor import convert_to_tensor

__all__ = ["NEG_INF", "Condition", "evenly_spread", "parse_thresholds", "update_counts"]

NEG_INF = -1e10


class Condition(enum.Enum):
    """What is counted."""

    TRUE_POSITIVES = "tp"
    FALSE_POSITIVES = "fp"
    TRUE_NEGATIVES = "tn"
    FALSE_NEGATIVES = "fn"


def parse_thresholds(thresholds: Any, default: float = 0.5) -> list[Any]:
    """Thresholds as a list.

    Raises:
        ValueError: one is outside of [0, 1].
    """
    if thresholds is None:
        return [default]
    values = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    invalid = [t for t in values if t is None or t < 0 or t > 1]
    if invalid:
        raise ValueError(f"Threshold values must be in [0, 1]. Received: {invalid}")
    return values


def evenly_spread(thresholds: Sequence[float]) -> bool:
    """Whether at least three thresholds divide [0, 1] evenly."""
    from savedmodel.keras import backend

    if len(thresholds) < 3:
        return False
    even = np.arange(len(thresholds), dtype=np.float32) / (len(thresholds) - 1)
    return bool(np.allclose(thresholds, even, atol=backend.epsilon()))


def update_counts(
    variables: Mapping[Condition, Any], y_true: Any, y_pred: Any, thresholds: Any, top_k: int | None = None, class_id: int | None = None,
    sample_weight: Any = None, multi_label: bool = False, label_weights: Any = None, evenly: bool = False,
) -> Any:  # fmt: skip
    """Add a batch's counts to `variables` (one row a threshold).

    Raises:
        ValueError: shapes that do not fit, or label weights together with `multi_label`.
    """
    if multi_label and label_weights is not None:
        raise ValueError(
            "`label_weights` for multilabel data should be handled outside of `update_confusion_matrix_variables` when `multi_label` is True."
        )
    dtype = next(iter(variables.values())).dtype
    y_true, y_pred = tf.cast(y_true, dtype), tf.cast(y_pred, dtype)
    beyond = evenly and (thresholds[0] < 0.0 or thresholds[-1] > 1.0)
    thresholds = convert_to_tensor(np.asarray(thresholds, dtype.as_numpy_dtype), dtype=dtype)
    if not multi_label:
        [y_pred, y_true], _ = flat_values([y_pred, y_true], sample_weight)
    if sample_weight is None:
        y_pred, y_true = squeeze_or_expand_dimensions(y_pred, y_true)
    else:
        sample_weight = tf.cast(sample_weight, dtype)
        y_pred, y_true, sample_weight = squeeze_or_expand_dimensions(y_pred, y_true, sample_weight=sample_weight)
    y_pred.shape.assert_is_compatible_with(y_true.shape)
    if top_k is not None:
        y_pred = _only_top_k(y_pred, top_k)
    if class_id is not None:
        y_true = y_true[..., class_id, None]
        y_pred = y_pred[..., class_id, None]
    count = _by_buckets if evenly else _by_comparison
    counts = count(set(variables), y_true, y_pred, thresholds, multi_label, sample_weight, label_weights, bool(beyond))
    updates = [variable.assign_add(counts[condition]) for condition, variable in _in_order(variables)]
    return tf.group(*[u.handle if hasattr(u, "handle") else u for u in updates])


def _in_order(variables: Mapping[Condition, Any]) -> list[tuple[Condition, Any]]:
    return [(condition, variables[condition]) for condition in Condition if condition in variables]


def _only_top_k(x: Any, k: int) -> Any:
    _, best = tf.math.top_k(x, k, sorted=False)
    mask = tf.reduce_sum(tf.one_hot(best, tf.shape(x)[-1], axis=-1), axis=-2)
    return x * mask + NEG_INF * (1 - mask)


def _by_buckets(
    wanted: set[Condition], y_true: Any, y_pred: Any, thresholds: Any, multi_label: bool, sample_weight: Any, label_weights: Any, beyond: bool
) -> dict[Condition, Any]:
    """Each prediction falls into the bucket between two thresholds; sums from above give the counts."""
    buckets = thresholds.shape[0]

    def spread(weights: Any) -> Any:
        weights = broadcast_weights(weights, y_pred)
        return weights if multi_label else tf.reshape(weights, [-1])

    weight = 1.0 if sample_weight is None else spread(tf.cast(sample_weight, y_pred.dtype))
    by_label = 1.0 if label_weights is None else spread(tf.expand_dims(label_weights, 0))
    weights = tf.cast(tf.multiply(weight, by_label), y_true.dtype)
    scores = tf.clip_by_value(y_pred, 0.0, 1.0)
    labels = tf.cast(tf.cast(y_true, dtypes.bool), y_true.dtype)
    if not multi_label:
        labels, scores = tf.reshape(labels, [-1]), tf.reshape(scores, [-1])
    positive = tf.multiply(labels, weights)
    negative = tf.multiply(1.0 - labels, weights)
    bucket = tf.math.ceil(scores * (buckets - 1)) - 1
    if beyond:
        bucket = tf.nn.relu(bucket)
    bucket = tf.cast(bucket, dtypes.int32)
    if multi_label:
        # One run of buckets for each label: [samples, labels] → [buckets, labels].
        labels_count = tf.shape(bucket)[1]
        flat = tf.reshape(bucket + buckets * tf.range(labels_count), [-1])

        def above(values: Any) -> Any:
            sums = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), flat, buckets * labels_count)
            return tf.transpose(tf.cumsum(tf.reshape(sums, [labels_count, buckets]), reverse=True, axis=1))

        total_positive, total_negative = tf.reduce_sum(positive, axis=0), tf.reduce_sum(negative, axis=0)
    else:

        def above(values: Any) -> Any:
            return tf.cumsum(tf.math.unsorted_segment_sum(data=values, segment_ids=bucket, num_segments=buckets), reverse=True)

        total_positive = total_negative = None
        if Condition.TRUE_NEGATIVES in wanted or Condition.FALSE_NEGATIVES in wanted:
            total_positive, total_negative = tf.reduce_sum(positive), tf.reduce_sum(negative)
    tp, fp = above(positive), above(negative)
    counts = {Condition.TRUE_POSITIVES: tp, Condition.FALSE_POSITIVES: fp}
    if Condition.TRUE_NEGATIVES in wanted:
        counts[Condition.TRUE_NEGATIVES] = total_negative - fp
    if Condition.FALSE_NEGATIVES in wanted:
        counts[Condition.FALSE_NEGATIVES] = total_positive - tp
    return counts


def _by_comparison(
    wanted: set[Condition], y_true: Any, y_pred: Any, thresholds: Any, multi_label: bool, sample_weight: Any, label_weights: Any, beyond: bool
) -> dict[Condition, Any]:
    """Every prediction against every threshold."""
    count = thresholds.shape[0]
    shape = tf.shape(y_pred)
    samples = shape[0]
    labels = 1 if y_pred.shape.rank == 1 else tf.math.reduce_prod(shape[1:], axis=0)
    if multi_label:
        scores = tf.expand_dims(y_pred, 0)
        truth = tf.expand_dims(tf.cast(y_true, dtypes.bool), 0)
        before, tiles, repeat = [count, 1, -1], [1, samples, labels], [count, 1, 1]
    else:
        scores = tf.reshape(y_pred, [1, -1])
        truth = tf.reshape(tf.cast(y_true, dtypes.bool), [1, -1])
        before, tiles, repeat = [count, -1], [1, samples * labels], [count, 1]
    limits = tf.tile(tf.reshape(thresholds, before), tf.stack(tiles))
    predicted = tf.greater(tf.tile(scores, repeat), limits)
    actual = tf.tile(truth, repeat)
    weights = None
    if sample_weight is not None:
        spread = broadcast_weights(tf.cast(sample_weight, y_pred.dtype), y_pred)
        weights = tf.tile(tf.reshape(spread, tf.stack(tiles)), repeat)
    if label_weights is not None and not multi_label:
        spread = broadcast_weights(tf.expand_dims(label_weights, 0), y_pred)
        by_label = tf.tile(tf.reshape(spread, tf.stack(tiles)), repeat)
        weights = by_label if weights is None else tf.multiply(weights, by_label)

    def total(a: Any, b: Any) -> Any:
        both = tf.cast(tf.logical_and(a, b), y_pred.dtype)
        return tf.reduce_sum(both if weights is None else both * tf.cast(weights, y_pred.dtype), 1)

    counts = {}
    if Condition.TRUE_POSITIVES in wanted:
        counts[Condition.TRUE_POSITIVES] = total(actual, predicted)
    if wanted & {Condition.FALSE_NEGATIVES, Condition.TRUE_NEGATIVES}:
        rejected = tf.logical_not(predicted)
    if Condition.FALSE_NEGATIVES in wanted:
        counts[Condition.FALSE_NEGATIVES] = total(actual, rejected)
    if wanted & {Condition.FALSE_POSITIVES, Condition.TRUE_NEGATIVES}:
        false = tf.logical_not(actual)
    if Condition.FALSE_POSITIVES in wanted:
        counts[Condition.FALSE_POSITIVES] = total(false, predicted)
    if Condition.TRUE_NEGATIVES in wanted:
        counts[Condition.TRUE_NEGATIVES] = total(false, rejected)
    return counts
