"""How losses are masked, weighted and reduced. It refuses to know any loss. Authority: Keras 2.15's losses, checked in tests/oracle/keras."""

from __future__ import annotations

from typing import Any

from tracer import dtypes
from tracer.composite import RaggedTensor
from tracer.public import tf
from tracer.tensor import convert_to_tensor

__all__ = [
    "Reduction", "apply_mask", "apply_valid_mask", "cast_losses_to_common_dtype", "compute_weighted_loss", "get_mask",
    "reduce_weighted_loss", "remove_squeezable_dimensions", "squeeze_or_expand_dimensions",
]  # fmt: skip


class Reduction:
    """How the losses of a batch become one number."""

    AUTO = "auto"
    NONE = "none"
    SUM = "sum"
    SUM_OVER_BATCH_SIZE = "sum_over_batch_size"

    @classmethod
    def all(cls) -> tuple[str, ...]:
        """Every reduction."""
        return (cls.AUTO, cls.NONE, cls.SUM, cls.SUM_OVER_BATCH_SIZE)

    @classmethod
    def validate(cls, key: Any) -> None:
        """Raises ValueError when `key` is no reduction."""
        if key not in cls.all():
            raise ValueError(f'Invalid Reduction Key: {key}. Expected keys are "{cls.all()}"')


def _last_may_be_one(shape: Any) -> bool:
    return shape.rank is None or (shape.rank > 0 and shape[-1] in (None, 1))


def _as_tensor(x: Any) -> Any:
    return x if hasattr(x, "shape") and hasattr(x, "dtype") and not hasattr(x, "__array_interface__") else convert_to_tensor(x)


def remove_squeezable_dimensions(labels: Any, predictions: Any, expected_rank_diff: int = 0, name: str | None = None) -> tuple[Any, Any]:
    """(labels, predictions) with the last dimension of one of them removed, if it has one dimension of size 1 too many."""
    predictions, labels = _as_tensor(predictions), _as_tensor(labels)
    p_shape, l_shape = predictions.shape, labels.shape
    if l_shape.rank is not None and p_shape.rank is not None:
        difference = p_shape.rank - l_shape.rank
        if difference == expected_rank_diff + 1 and _last_may_be_one(p_shape):
            predictions = tf.squeeze(predictions, [-1])
        elif difference == expected_rank_diff - 1 and _last_may_be_one(l_shape):
            labels = tf.squeeze(labels, [-1])
        return labels, predictions
    difference = tf.rank(predictions) - tf.rank(labels)
    if _last_may_be_one(p_shape):
        wide, p = tf.equal(expected_rank_diff + 1, difference), predictions
        predictions = tf.cond(wide, lambda: tf.squeeze(p, [-1]), lambda: p)
    if _last_may_be_one(l_shape):
        narrow, y = tf.equal(expected_rank_diff - 1, difference), labels
        labels = tf.cond(narrow, lambda: tf.squeeze(y, [-1]), lambda: y)
    return labels, predictions


def squeeze_or_expand_dimensions(y_pred: Any, y_true: Any = None, sample_weight: Any = None) -> Any:
    """(y_pred, y_true[, sample_weight]) with ranks that fit each other: a last dimension of 1 comes or goes."""
    rank = y_pred.shape.rank
    if y_true is not None:
        true_rank = y_true.shape.rank
        if true_rank is not None and rank is not None:
            if rank - true_rank != 1 or y_pred.shape[-1] == 1:
                y_true, y_pred = remove_squeezable_dimensions(y_true, y_pred)
        else:
            labels, predictions = y_true, y_pred
            y_true, y_pred = tf.cond(
                tf.equal(1, tf.rank(predictions) - tf.rank(labels)),
                lambda: tf.cond(
                    tf.equal(1, tf.shape(predictions)[-1]),
                    lambda: remove_squeezable_dimensions(labels, predictions),
                    lambda: (labels, predictions),
                ),
                lambda: remove_squeezable_dimensions(labels, predictions),
            )
    if sample_weight is None:
        return y_pred, y_true
    weight_rank = sample_weight.shape.rank
    if weight_rank == 0:
        return y_pred, y_true, sample_weight
    if rank is not None and weight_rank is not None:
        if weight_rank - rank == 1:
            sample_weight = tf.squeeze(sample_weight, [-1])
        elif rank - weight_rank == 1:
            sample_weight = tf.expand_dims(sample_weight, -1)
        return y_pred, y_true, sample_weight
    weight = sample_weight
    difference = tf.rank(weight) - tf.rank(y_pred)
    sample_weight = tf.cond(
        tf.equal(tf.rank(weight), 0),
        lambda: weight,
        lambda: tf.cond(
            tf.equal(difference, 1),
            lambda: tf.squeeze(weight, [-1]),
            lambda: tf.cond(tf.equal(difference, -1), lambda: tf.expand_dims(weight, -1), lambda: weight),
        ),
    )
    return y_pred, y_true, sample_weight


def reduce_weighted_loss(weighted_losses: Any, reduction: str = Reduction.SUM_OVER_BATCH_SIZE) -> Any:
    """The reduced losses."""
    if reduction == Reduction.NONE:
        return weighted_losses
    total = tf.reduce_sum(weighted_losses)
    if reduction == Reduction.SUM_OVER_BATCH_SIZE:
        if isinstance(weighted_losses, RaggedTensor):
            count = tf.size(weighted_losses.flat_values)
        else:
            count = tf.size(weighted_losses)
        return tf.math.divide_no_nan(tf.reduce_sum(total), tf.cast(count, total.dtype))
    return total


def compute_weighted_loss(
    losses: Any, sample_weight: Any = None, reduction: str = Reduction.SUM_OVER_BATCH_SIZE, name: str | None = None
) -> Any:
    """Losses times weights, reduced. Integer losses are computed in float32 and cast back."""
    Reduction.validate(reduction)
    if reduction == Reduction.AUTO:
        reduction = Reduction.SUM_OVER_BATCH_SIZE
    with tf.name_scope(name or "weighted_loss"):
        losses = _as_tensor(losses)
        weight = _as_tensor(1.0 if sample_weight is None else sample_weight)
        given = losses.dtype
        if not given.is_floating:
            losses = tf.cast(losses, dtypes.float32)
        weight = tf.cast(weight, losses.dtype)
        if isinstance(losses, RaggedTensor) and weight.shape.rank == 0:
            weighted = losses * weight
        else:
            losses, _, weight = squeeze_or_expand_dimensions(losses, None, weight)
            weighted = tf.multiply(losses, weight)
        loss = reduce_weighted_loss(weighted, reduction)
        return loss if given.is_floating else tf.cast(loss, given)


def cast_losses_to_common_dtype(losses: Any) -> Any:
    """Losses in the widest float type among them; complex ones are left alone."""
    widest: Any = None
    for loss in losses:
        if loss.dtype.is_complex:
            return losses
        if loss.dtype.is_floating:
            if widest is None or loss.dtype.size > widest.size:
                widest = loss.dtype
            elif {loss.dtype.name, widest.name} == {"bfloat16", "float16"}:
                widest = dtypes.float32
    return [tf.cast(loss, widest) for loss in losses] if widest is not None else losses


def get_mask(y: Any) -> Any:
    """The mask that travels with a tensor, or None."""
    return getattr(y, "_keras_mask", None)


def apply_mask(y: Any, sample_weight: Any, mask: Any) -> Any:
    """Sample weights that also hold the mask."""
    if mask is None:
        return sample_weight
    mask = tf.cast(mask, y.dtype)
    if sample_weight is None:
        return mask
    mask, _, sample_weight = squeeze_or_expand_dimensions(mask, sample_weight=tf.cast(sample_weight, mask.dtype))
    return sample_weight * mask


def apply_valid_mask(losses: Any, sample_weight: Any, mask: Any, reduction: str) -> Any:
    """`apply_mask`, with weights scaled up so that a mean counts valid elements alone."""
    if mask is not None:
        mask = tf.cast(mask, losses.dtype)
        if reduction in (Reduction.AUTO, Reduction.SUM_OVER_BATCH_SIZE):
            total = tf.cast(tf.size(mask), losses.dtype)
            mask = mask * (total / tf.reduce_sum(mask))
    return apply_mask(losses, sample_weight, mask)
