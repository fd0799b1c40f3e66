"""What optimizers do to gradients before they use them: filtering, clipping by value and by norms, joining repeated rows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from tracer.composite import IndexedSlices
from tracer.public import tf
from tracer.tensor import convert_to_tensor

__all__ = ["clip_by_global_norm", "clip_by_norm", "clip_by_value", "dense", "filter_empty_gradients", "join_repeated_rows"]

_log = logging.getLogger("savedmodel.keras")


def filter_empty_gradients(grads_and_vars: Iterable[Any]) -> tuple[Any, ...]:
    """The pairs that have a gradient; a warning names the variables without one.

    Raises:
        ValueError: none has one.
    """
    pairs = tuple(grads_and_vars)
    if not pairs:
        return pairs
    kept = tuple((g, v) for g, v in pairs if g is not None)
    if not kept:
        names = ([v.name for _, v in pairs],)
        raise ValueError(f"No gradients provided for any variable: {names}. Provided `grads_and_vars` is {pairs}.")
    missing = [v.name for g, v in pairs if g is None]
    if missing:
        _log.warning(
            "Gradients do not exist for variables %s when minimizing the loss. If you're using `model.compile()`, did you forget to provide "
            "a `loss` argument?",
            missing,
        )
    return kept


def dense(gradient: Any) -> Any:
    """A gradient as a dense tensor."""
    return convert_to_tensor(gradient) if isinstance(gradient, IndexedSlices) else gradient


def join_repeated_rows(gradients: Iterable[Any]) -> list[Any]:
    """Gradients whose IndexedSlices name each row once."""
    out = []
    for gradient in gradients:
        if isinstance(gradient, IndexedSlices):
            rows, positions = tf.unique(gradient.indices)
            sums = tf.math.unsorted_segment_sum(gradient.values, positions, tf.shape(rows)[0])
            gradient = IndexedSlices(sums, rows, gradient.dense_shape)
        out.append(gradient)
    return out


def _on_values(gradient: Any, change: Any) -> Any:
    """`change` applied to a tensor, or to the values of IndexedSlices."""
    if isinstance(gradient, IndexedSlices):
        return IndexedSlices(change(gradient.values), gradient.indices, gradient.dense_shape)
    return change(convert_to_tensor(gradient))


def clip_by_value(gradient: Any, limit: float) -> Any:
    """Elements within ±limit."""
    return _on_values(gradient, lambda g: tf.clip_by_value(g, -limit, limit))


def clip_by_norm(gradient: Any, limit: float) -> Any:
    """A gradient whose L2 norm is at most `limit`."""

    def clip(values: Any) -> Any:
        squares = tf.reduce_sum(values * values, keepdims=True)
        positive = squares > 0
        # The root of zero has no finite gradient: it is taken of one there.
        norm = tf.where(positive, tf.sqrt(tf.where(positive, squares, tf.ones_like(squares))), squares)
        return values * limit / tf.maximum(norm, limit)

    return _on_values(gradient, clip)


def clip_by_global_norm(gradients: Sequence[Any], limit: float) -> list[Any]:
    """Gradients scaled down so that the L2 norm of all together is at most `limit`; NaN where that norm is not finite."""
    values = [g.values if isinstance(g, IndexedSlices) else g for g in gradients if g is not None]
    if not values:
        return list(gradients)
    halves = [tf.nn.l2_loss(v) for v in values]
    norm = tf.sqrt(tf.reduce_sum(tf.stack(halves)) * convert_to_tensor(2.0, dtype=halves[0].dtype))
    one = convert_to_tensor(1.0, dtype=norm.dtype)
    scale = limit * tf.minimum(one / norm, one / convert_to_tensor(limit, dtype=norm.dtype))
    scale = scale + (norm - norm)
    return [None if g is None else _on_values(g, lambda v: v * scale) for g in gradients]
