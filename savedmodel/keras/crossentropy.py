"""Element-wise cross entropies that know logits behind probabilities. The averaging losses of losses.py stand on them.

Authority: Keras 2.15's `keras.backend` functions of these names.
"""

from __future__ import annotations

import itertools
import warnings
from typing import Any

from tracer import dtypes
from tracer.public import tf
from tracer.tensor import SymbolicTensor, convert_to_tensor

__all__ = [
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
]  # fmt: skip


def _epsilon(like: Any) -> Any:
    from savedmodel.keras import backend

    return convert_to_tensor(backend.epsilon(), dtype=like.dtype)


def _logits_of(output: Any, from_logits: bool, op_type: str, fn_name: str) -> tuple[Any, bool]:
    """(tensor, whether it holds logits): what lies before a softmax or sigmoid, if `output` is one's result."""
    logits = getattr(output, "_keras_logits", None)
    if logits is None and isinstance(output, SymbolicTensor):
        node = output.op
        if (getattr(node, "type", None) or getattr(node, "op", None)) == op_type:
            logits = node.inputs[0]
    if logits is None:
        return output, from_logits
    if from_logits:
        warnings.warn(
            f'"`{fn_name}` received `from_logits=True`, but the `output` argument was produced by a {op_type} activation and thus does not '
            f'represent logits. Was this intended?"',
            stacklevel=2,
        )
    return logits, True


def _clip(output: Any) -> Any:
    epsilon = _epsilon(output)
    return tf.clip_by_value(output, epsilon, 1.0 - epsilon)


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """Cross entropy of distributions along `axis`, which is reduced.

    Raises:
        ValueError: the shapes do not fit.
    """
    target, output = convert_to_tensor(target), convert_to_tensor(output)
    target.shape.assert_is_compatible_with(output.shape)
    output, from_logits = _logits_of(output, from_logits, "Softmax", "categorical_crossentropy")
    if from_logits:
        return tf.nn.softmax_cross_entropy_with_logits(labels=target, logits=output, axis=axis)
    output = _clip(output / tf.reduce_sum(output, axis, True))
    return -tf.reduce_sum(target * tf.math.log(output), axis)


def categorical_focal_crossentropy(
    target: Any, output: Any, alpha: Any = 0.25, gamma: Any = 2.0, from_logits: bool = False, axis: int = -1
) -> Any:
    """Categorical cross entropy whose easy classes weigh less: factor alpha·(1 - p)^gamma."""
    target, output = convert_to_tensor(target), convert_to_tensor(output)
    target.shape.assert_is_compatible_with(output.shape)
    output, from_logits = _logits_of(output, from_logits, "Softmax", "categorical_focal_crossentropy")
    if from_logits:
        output = tf.nn.softmax(output, axis=axis)
    output = _clip(output / tf.reduce_sum(output, axis=axis, keepdims=True))
    entropy = -target * tf.math.log(output)
    factor = tf.multiply(tf.pow(1.0 - output, gamma), convert_to_tensor(alpha, dtype=output.dtype))
    return tf.reduce_sum(tf.multiply(factor, entropy), axis=axis)


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1, ignore_class: int | None = None
) -> Any:
    """Cross entropy of class numbers with distributions along `axis`. Targets equal to `ignore_class` give zero and are masked."""
    target, output = tf.cast(convert_to_tensor(target), dtypes.int64), convert_to_tensor(output)
    output, from_logits = _logits_of(output, from_logits, "Softmax", "sparse_categorical_crossentropy")
    if not from_logits:
        epsilon = _epsilon(output)
        output = tf.math.log(tf.clip_by_value(output, epsilon, 1 - epsilon))
    rank = output.shape.rank
    if rank is not None:
        axis %= rank
        if axis != rank - 1:
            output = tf.transpose(output, perm=list(itertools.chain(range(axis), range(axis + 1, rank), [axis])))
    elif axis != -1:
        raise ValueError(f"Cannot compute sparse categorical crossentropy with `axis={axis}` on an output tensor with unknown rank")
    shape = tf.shape(output)
    flat = target.shape.rank is not None and rank is not None and target.shape.rank != rank - 1
    if flat:
        target = tf.reshape(target, [-1])
        output = tf.reshape(output, [-1, shape[-1]])
    if ignore_class is None:
        result = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=output)
        return tf.reshape(result, shape[:-1]) if flat and rank >= 3 else result
    valid = tf.not_equal(target, tf.cast(ignore_class, target.dtype))
    result = tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=tf.boolean_mask(target, valid), logits=tf.boolean_mask(output, valid)
    )
    full = tf.cast(shape[:-1], dtypes.int64)
    valid = tf.reshape(valid, full)
    result = tf.scatter_nd(tf.where(valid), result, full)
    result._keras_mask = valid
    return result


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """Cross entropy of each element."""
    target, output = convert_to_tensor(target), convert_to_tensor(output)
    output, from_logits = _logits_of(output, from_logits, "Sigmoid", "binary_crossentropy")
    if from_logits:
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=output)
    output = _clip(output)
    epsilon = _epsilon(output)
    entropy = target * tf.math.log(output + epsilon)
    entropy += (1 - target) * tf.math.log(1 - output + epsilon)
    return -entropy


def binary_focal_crossentropy(
    target: Any, output: Any, apply_class_balancing: bool = False, alpha: Any = 0.25, gamma: Any = 2.0, from_logits: bool = False
) -> Any:
    """Binary cross entropy whose easy elements weigh less: factor (1 - p)^gamma, with `alpha` against class imbalance."""
    from savedmodel.keras import activations

    probability = activations.sigmoid(output) if from_logits else output
    hit = target * probability + (1 - target) * (1 - probability)
    entropy = binary_crossentropy(target=target, output=output, from_logits=from_logits)
    focal = tf.pow(1.0 - hit, gamma) * entropy
    if apply_class_balancing:
        focal = (target * alpha + (1 - target) * (1 - alpha)) * focal
    return focal


