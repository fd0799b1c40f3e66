"""Softmax, log-softmax and the cross entropies over them: records, kernels, gradients and public functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import name_scope, raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, broadcast_shapes, unknown_shape
from tracer.tensor import convert_to_tensor

_FLOATS = "{half, bfloat16, float, double}"

softmax_op = op(f"Softmax(logits: T) -> (softmax: T); T: {_FLOATS}")
log_softmax_op = op(f"LogSoftmax(logits: T) -> (logsoftmax: T); T: {_FLOATS}")


def _at_least_vector(ctx: infer.InferContext) -> Any:
    return ctx.shape(0).with_rank_at_least(1)


softmax_op.infer(_at_least_vector)
log_softmax_op.infer(_at_least_vector)


def _shifted(x: np.ndarray) -> np.ndarray:
    """`x` minus its maximum along the last axis, in a fresh array of at least float32."""
    wide = x if x.dtype.itemsize >= 4 else x.astype(np.float32)
    if not x.shape[-1]:
        return np.array(wide)
    return wide - wide.max(axis=-1, keepdims=True)


@softmax_op.kernel
def _(x: np.ndarray) -> Any:
    if x.ndim < 1:
        raise ShapeError("logits must have at least 1 dimension")
    with np.errstate(all="ignore"):
        out = _shifted(x)
        np.exp(out, out=out)
        total = out.sum(axis=-1, keepdims=True)
        out /= total
        if np.isnan(total).any():
            # TensorFlow's kernel gives NaN where a row is NaN or infinite, and 0 in the rest of that row.
            endless = np.isnan(x) | (x == np.inf)
            out = np.where(endless.any(axis=-1, keepdims=True), np.where(endless, np.nan, 0.0), out)
    return out.astype(x.dtype, copy=False)


@softmax_op.gradient
def _(node: Any, grad: Any) -> Any:
    y = node.outputs[0]
    return (grad - raw.Sum(grad * y, -1, keep_dims=True)) * y


@log_softmax_op.kernel
def _(x: np.ndarray) -> Any:
    if x.ndim < 1:
        raise ShapeError("logits must have at least 1 dimension")
    with np.errstate(all="ignore"):
        out = _shifted(x)
        out -= np.log(np.exp(out).sum(axis=-1, keepdims=True))
    return out.astype(x.dtype, copy=False)


@log_softmax_op.gradient
def _(node: Any, grad: Any) -> Any:
    return grad - raw.Sum(grad, -1, keep_dims=True) * raw.Exp(node.outputs[0])


# -- cross entropy ---------------------------------------------------------------------------------------------------

xent_op = op(f"SoftmaxCrossEntropyWithLogits(features: T, labels: T) -> (loss: T, backprop: T); T: {_FLOATS}")
sparse_xent_op = op(
    "SparseSoftmaxCrossEntropyWithLogits(features: T, labels: Tlabels) -> (loss: T, backprop: T); "
    f"T: {_FLOATS}; Tlabels: {{int32, int64}} = int64"
)


@xent_op.infer
def _(ctx: infer.InferContext) -> Any:
    both = broadcast_shapes([ctx.shape(0), ctx.shape(1)])
    if both.rank is None:
        return [unknown_shape(1), unknown_shape(2)]
    if both.rank != 2:
        raise ShapeError(f"logits and labels must broadcast to 2 dimensions, received {ctx.shape(0)} and {ctx.shape(1)}")
    return [both[:1], both]


@xent_op.kernel
def _(logits: np.ndarray, labels: np.ndarray) -> Any:
    try:
        shape = np.broadcast_shapes(logits.shape, labels.shape)
    except ValueError:
        shape = ()
    if len(shape) != 2:
        raise ShapeError(
            f"logits and labels must be broadcastable to 2 dimensions: logits_size={list(logits.shape)} labels_size={list(labels.shape)}"
        )
    kind = logits.dtype
    if logits.shape != shape:
        logits = np.broadcast_to(logits, shape)
    if labels.dtype.itemsize < 4:
        labels = labels.astype(np.float32)
    with np.errstate(all="ignore"):
        shifted = _shifted(logits)
        backprop = np.exp(shifted)
        total = backprop.sum(axis=-1, keepdims=True)
        np.subtract(np.log(total), shifted, out=shifted)
        shifted *= labels
        loss = shifted.sum(axis=-1)
        if np.isnan(loss).any():  # a label of 0 silences even an infinite logit
            shifted[np.broadcast_to(labels == 0, shape)] = 0
            loss = shifted.sum(axis=-1)
        backprop /= total
        backprop -= labels
    return loss.astype(kind, copy=False), backprop.astype(kind, copy=False)


def _both_gradients(node: Any, grad_loss: Any, grad_backprop: Any) -> Any:
    """The gradient by the logits: of the loss, and of the backprop output where something depends on that."""
    grad = tf.expand_dims(grad_loss, -1) * node.outputs[1]
    if grad_backprop is not None and not _known_zero(grad_backprop):
        softmax = raw.Softmax(node.inputs[0])
        inner = tf.squeeze(tf.matmul(tf.expand_dims(grad_backprop, 1), tf.expand_dims(softmax, 2)), axis=1)
        grad = grad + (grad_backprop - inner) * softmax
    return grad


def _known_zero(grad: Any) -> bool:
    node = getattr(grad, "node", None)
    if node is not None and node.op in ("ZerosLike", "Identity"):
        return node.op == "ZerosLike"
    value = getattr(grad, "_value", None)
    return value is not None and not np.any(value)


@xent_op.gradient
def _(node: Any, grad_loss: Any, grad_backprop: Any) -> Any:
    by_labels = tf.expand_dims(grad_loss, -1) * -raw.LogSoftmax(node.inputs[0])
    return _both_gradients(node, grad_loss, grad_backprop), by_labels


@sparse_xent_op.infer
def _(ctx: infer.InferContext) -> Any:
    logits = ctx.shape(0).with_rank(2)
    labels = ctx.shape(1).with_rank(1)
    batch = logits[:1].merge_with(labels)
    return [batch, batch.concatenate(logits[1:])]


@sparse_xent_op.kernel
def _(logits: np.ndarray, labels: np.ndarray) -> Any:
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ShapeError(f"logits must be [batch, classes] and labels [batch]; received shapes {list(logits.shape)} and {list(labels.shape)}")
    kind, classes = logits.dtype, logits.shape[1]
    if not classes:
        raise InvalidArgumentError(f"Must have at least one class, but got logits shape {list(logits.shape)}")
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        raise InvalidArgumentError(
            f"Received a label value of {labels[bad][0]} which is outside the valid range of [0, {classes}). "
            f"Label values: {' '.join(map(str, labels[:16]))}"
        )
    with np.errstate(all="ignore"):
        backprop = _shifted(logits)
        rows = np.arange(len(labels))
        chosen = backprop[rows, labels]
        np.exp(backprop, out=backprop)
        total = backprop.sum(axis=-1)
        loss = np.log(total) - chosen
        backprop /= total[:, None]
        backprop[rows, labels] -= 1
    return loss.astype(kind, copy=False), backprop.astype(kind, copy=False)


@sparse_xent_op.gradient
def _(node: Any, grad_loss: Any, grad_backprop: Any) -> Any:
    return _both_gradients(node, grad_loss, grad_backprop), None


# -- functions -------------------------------------------------------------------------------------------------------


def _along(run: Any, logits: Any, axis: int | None, name: str | None) -> Any:
    """Run an op that works along the last axis along `axis`."""
    logits = convert_to_tensor(logits)
    axis = -1 if axis is None else int(axis)
    rank = logits.shape.rank
    if rank is not None and not -rank <= axis < max(rank, 1):
        raise InvalidArgumentError(f"axis must lie in [{-rank}, {rank}) for logits of shape {logits.shape}, received {axis}")
    if axis == -1 or (rank is not None and axis == rank - 1):
        return run(logits, name=name)
    # The wanted axis changes places with the last one, there and back.
    rank_now = tf.rank(logits) if rank is None else rank
    position = axis % rank if rank is not None else (axis if axis >= 0 else rank_now + axis)
    if rank is not None:
        order = list(range(rank))
        order[position], order[-1] = order[-1], order[position]
    else:
        middle = tf.range(position + 1, rank_now - 1)
        order = tf.concat([tf.range(position), [rank_now - 1], middle, [position]], 0)
    out = tf.transpose(run(tf.transpose(logits, order)), order, name=name)
    out.set_shape(logits.shape)
    return out


@public("nn.softmax", "math.softmax")
def softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """exp(logits) normalised to sum 1 along `axis` (the last one by default)."""
    return _along(raw.Softmax, logits, axis, name)


@public("nn.log_softmax", "math.log_softmax")
def log_softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Any:
    """logits - log(sum(exp(logits))) along `axis` (the last one by default)."""
    return _along(raw.LogSoftmax, logits, axis, name)


@public("nn.softmax_cross_entropy_with_logits")
def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """Cross entropy between class probabilities `labels` and softmax(logits) along `axis`, which the result lacks.

    Labels of another dtype are cast to that of the logits; half and bfloat16 are computed in float32.
    """
    with name_scope(name or "softmax_cross_entropy_with_logits"):
        logits = convert_to_tensor(logits)
        labels = convert_to_tensor(labels)
        short = logits.dtype in (tf.float16, tf.bfloat16)
        kind = logits.dtype
        if short:
            logits = tf.cast(logits, tf.float32)
        if labels.dtype != logits.dtype:
            labels = tf.cast(labels, logits.dtype)
        shape = logits.shape
        rank = shape.rank
        if rank is None:
            if axis != -1:
                raise InvalidArgumentError("axis other than -1 needs logits of known rank")
            size = tf.shape(logits)
            flat = tf.reshape(logits, tf.stack([-1, size[-1]]))
            loss = raw.SoftmaxCrossEntropyWithLogits(flat, tf.reshape(labels, tf.shape(flat)))[0]
            loss = tf.reshape(loss, size[:-1])
            return tf.cast(loss, kind) if short else loss
        position = axis % rank
        if position != rank - 1:
            order = [i for i in range(rank) if i != position] + [position]
            logits, labels = tf.transpose(logits, order), tf.transpose(labels, order)
            shape = logits.shape
        if rank == 2 and labels.shape.rank == 2:
            loss = raw.SoftmaxCrossEntropyWithLogits(logits, labels)[0]
        else:
            size = tf.shape(logits)
            classes = shape[-1] if shape[-1] is not None else size[-1]
            loss = raw.SoftmaxCrossEntropyWithLogits(_flatten(logits, classes), _flatten(labels, classes))[0]
            loss = tf.reshape(loss, shape[:-1].as_list() if shape[:-1].is_fully_defined() else size[:-1])
            loss.set_shape(shape[:-1])
        return tf.cast(loss, kind) if short else loss


def _flatten(x: Any, classes: Any) -> Any:
    return tf.reshape(x, [-1, classes] if isinstance(classes, int) else tf.stack([-1, classes]))


@public("nn.sparse_softmax_cross_entropy_with_logits")
def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Any:
    """Cross entropy between class numbers `labels` [d0, …] and softmax(logits) [d0, …, classes].

    Raises:
        ValueError: the shapes do not fit, or (eagerly) a label lies outside of [0, classes).
    """
    with name_scope(name or "SparseSoftmaxCrossEntropyWithLogits"):
        labels = convert_to_tensor(labels)
        logits = convert_to_tensor(logits)
        short = logits.dtype in (tf.float16, tf.bfloat16)
        kind = logits.dtype
        if short:
            logits = tf.cast(logits, tf.float32)
        if logits.shape.rank == 0:
            raise ShapeError(f"`logits` cannot be a scalar. Received logits={logits}`")
        labels_rank = labels.shape.rank
        if labels_rank is not None and logits.shape.rank is not None and labels_rank != logits.shape.rank - 1:
            raise ShapeError(
                f"`labels.shape.rank` must equal `logits.shape.rank - 1`. Received: labels.shape={labels.shape} of rank "
                f"{labels_rank} and logits.shape={logits.shape} of rank {logits.shape.rank}"
            )
        static = labels.shape if labels_rank is not None else TensorShape(None)
        if logits.shape.rank is not None and not static.is_compatible_with(logits.shape[:-1]):
            raise ShapeError(f"`labels.shape` must equal `logits.shape` except for the last dimension, received {static} and {logits.shape}")
        if logits.shape.rank == 2:
            loss = raw.SparseSoftmaxCrossEntropyWithLogits(logits, labels)[0]
        else:
            size = tf.shape(labels)
            classes = tf.shape(logits)[-1]
            flat = tf.reshape(logits, tf.stack([-1, classes]))
            if logits.shape.rank is not None and logits.shape[-1] is not None:
                flat.set_shape([None, logits.shape[-1]])
            loss = raw.SparseSoftmaxCrossEntropyWithLogits(flat, tf.reshape(labels, [-1]))[0]
            loss = tf.reshape(loss, size)
            loss.set_shape(static)
        return tf.cast(loss, kind) if short else loss


@public("nn.sigmoid_cross_entropy_with_logits")
def sigmoid_cross_entropy_with_logits(labels: Any = None, logits: Any = None, name: str | None = None) -> Any:
    """Elementwise cross entropy of independent probabilities: max(x, 0) - x·z + log(1 + exp(-|x|))."""
    with name_scope(name or "logistic_loss"):
        logits = convert_to_tensor(logits)
        labels = convert_to_tensor(labels, dtype=logits.dtype)
        if not labels.shape.is_compatible_with(logits.shape):
            raise ShapeError(f"`logits` and `labels` must have the same shape, received ({logits.shape} vs {labels.shape})")
        zeros = raw.ZerosLike(logits)
        positive = logits >= zeros
        relu = tf.where(positive, logits, zeros)
        negative_abs = tf.where(positive, -logits, logits)
        return raw.AddV2(relu - logits * labels, raw.Log1p(raw.Exp(negative_abs)))


@public("nn.weighted_cross_entropy_with_logits")
def weighted_cross_entropy_with_logits(labels: Any, logits: Any, pos_weight: Any, name: str | None = None) -> Any:
    """Like `sigmoid_cross_entropy_with_logits`, with positive labels weighted by `pos_weight`."""
    with name_scope(name or "logistic_loss"):
        logits = convert_to_tensor(logits)
        labels = convert_to_tensor(labels, dtype=logits.dtype)
        if not labels.shape.is_compatible_with(logits.shape):
            raise ShapeError(f"`logits` and `labels` must have the same shape, received ({logits.shape} vs {labels.shape})")
        weight = 1 + (pos_weight - 1) * labels
        return raw.AddV2((1 - labels) * logits, weight * (raw.Log1p(raw.Exp(-raw.Abs(logits))) + raw.Relu(-logits)))
