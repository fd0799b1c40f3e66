"""Connectionist temporal classification (Graves et al., 2006): CTCLoss, its decoders and the functions of `tf.nn` over them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import name_scope, raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

_LOSS_ATTRS = (
    "preprocess_collapse_repeated: bool = false; ctc_merge_repeated: bool = true; ignore_longer_outputs_than_inputs: bool = false"
)
loss_op = op(
    "CTCLoss(inputs: T, labels_indices: int64, labels_values: int32, sequence_length: int32) -> (loss: T, gradient: T); "
    f"{_LOSS_ATTRS}; T: {{float, double}} = float"
)
loss_v2_op = op(
    "CTCLossV2(inputs: float, labels_indices: int64, labels_values: int32, sequence_length: int32) -> (loss: float, gradient: float); "
    + _LOSS_ATTRS
)
greedy_op = op(
    "CTCGreedyDecoder(inputs: T, sequence_length: int32) -> "
    "(decoded_indices: int64, decoded_values: int64, decoded_shape: int64, log_probability: T); "
    "merge_repeated: bool = false; blank_index: int = -1; T: {float, double} = float"
).not_differentiable()
beam_op = op(
    "CTCBeamSearchDecoder(inputs: T, sequence_length: int32) -> "
    "(decoded_indices: top_paths * int64, decoded_values: top_paths * int64, decoded_shape: top_paths * int64, log_probability: T); "
    "beam_width: int >= 1; top_paths: int >= 1; merge_repeated: bool = true; T: {float, double} = float"
).not_differentiable()


def _check(inputs: np.ndarray, lengths: np.ndarray) -> None:
    if inputs.ndim != 3:
        raise ShapeError(f"inputs must be [time, batch, classes], received shape {list(inputs.shape)}")
    if lengths.shape != inputs.shape[1:2]:
        raise ShapeError(f"sequence_length must have shape [{inputs.shape[1]}], received {list(lengths.shape)}")
    if lengths.size and (lengths.max() > inputs.shape[0] or lengths.min() < 0):
        raise InvalidArgumentError(f"sequence_length must lie in [0, {inputs.shape[0]}], received {lengths.tolist()}")


def _log_softmax(x: np.ndarray) -> np.ndarray:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _labels_of(indices: np.ndarray, values: np.ndarray, batch: int) -> list[np.ndarray]:
    """The labels of each sequence of the batch, in order."""
    found: list[list[int]] = [[] for _ in range(batch)]
    for (row, _), value in zip(indices.tolist(), values.tolist()):
        if not 0 <= row < batch:
            raise InvalidArgumentError(f"labels_indices name sequence {row}, but the batch has {batch}")
        found[row].append(value)
    return [np.array(v, np.int64) for v in found]


def _loss(
    inputs: np.ndarray, indices: np.ndarray, values: np.ndarray, lengths: np.ndarray, blank: int, collapse: bool, merge: bool, ignore: bool
) -> tuple[np.ndarray, np.ndarray]:
    _check(inputs, lengths)
    _, batch, classes = inputs.shape
    blank %= classes
    loss = np.zeros(batch, inputs.dtype)
    gradient = np.zeros(inputs.shape, inputs.dtype)
    for row, labels in enumerate(_labels_of(indices, values, batch)):
        length = int(lengths[row])
        if labels.size and (labels.min() < 0 or labels.max() >= classes or (labels == blank).any()):
            raise InvalidArgumentError(
                f"labels of sequence {row} must lie in [0, {classes}) and differ from the blank {blank}, received {labels.tolist()}"
            )
        if collapse and len(labels) > 1:
            labels = labels[np.concatenate([[True], labels[1:] != labels[:-1]])]
        if not length:
            continue
        repeats = int((labels[1:] == labels[:-1]).sum()) if merge else 0
        if len(labels) + repeats > length:
            if ignore:
                continue
            raise InvalidArgumentError(
                f"Not enough time for target transition sequence (required: {len(labels) + repeats}, available: {length}) in sequence {row}. "
                f"You can turn this error into a warning by using the flag ignore_longer_outputs_than_inputs"
            )
        loss[row], gradient[:length, row] = _one(inputs[:length, row].astype(np.float64), labels, blank, merge)
    return loss, gradient


def _one(logits: np.ndarray, labels: np.ndarray, blank: int, merge: bool) -> tuple[float, np.ndarray]:
    """(-log p(labels | logits), its gradient by the logits) of one sequence, by the forward and backward variables."""
    steps = len(logits)
    with np.errstate(all="ignore"):
        log_y = _log_softmax(logits)
    states = np.full(2 * len(labels) + 1, blank, np.int64)
    states[1::2] = labels
    is_blank = states == blank
    # From which states one is reached: itself, the one before, and the one before that where no blank may be left out.
    stays = np.where(is_blank | merge, 0.0, -np.inf)
    jumps = np.full(len(states), -np.inf)
    if len(states) > 2:
        allowed = ~is_blank[2:] & ~(merge & (states[2:] == states[:-2]))
        jumps[2:] = np.where(allowed, 0.0, -np.inf)
    emit = log_y[:, states]
    alpha = np.full((steps, len(states)), -np.inf)
    alpha[0, :2] = emit[0, :2]
    for t in range(1, steps):
        before = alpha[t - 1]
        total = before + stays
        total[1:] = np.logaddexp(total[1:], before[:-1])
        total[2:] = np.logaddexp(total[2:], before[:-2] + jumps[2:])
        alpha[t] = total + emit[t]
    beta = np.full((steps, len(states)), -np.inf)
    beta[-1, -2:] = 0.0
    for t in range(steps - 2, -1, -1):
        after = beta[t + 1] + emit[t + 1]
        total = after + stays
        total[:-1] = np.logaddexp(total[:-1], after[1:])
        total[:-2] = np.logaddexp(total[:-2], after[2:] + jumps[2:])
        beta[t] = total
    log_p = np.logaddexp.reduce(alpha[-1, -2:])
    if not np.isfinite(log_p):
        return float(np.inf), np.zeros_like(logits)
    y = np.exp(log_y)
    posterior = np.zeros_like(y)
    share = np.exp(alpha + beta - log_p)
    for s, label in enumerate(states):
        posterior[:, label] += share[:, s]
    return float(-log_p), y - posterior


@loss_op.kernel
def _(
    inputs: np.ndarray, indices: np.ndarray, values: np.ndarray, lengths: np.ndarray, *,
    preprocess_collapse_repeated: bool, ctc_merge_repeated: bool, ignore_longer_outputs_than_inputs: bool,
) -> Any:  # fmt: skip
    return _loss(
        inputs, indices, values, lengths, -1, preprocess_collapse_repeated, ctc_merge_repeated, ignore_longer_outputs_than_inputs
    )


@loss_v2_op.kernel
def _(
    inputs: np.ndarray, indices: np.ndarray, values: np.ndarray, lengths: np.ndarray, *,
    preprocess_collapse_repeated: bool, ctc_merge_repeated: bool, ignore_longer_outputs_than_inputs: bool,
) -> Any:  # fmt: skip
    return _loss(
        inputs, indices, values, lengths, 0, preprocess_collapse_repeated, ctc_merge_repeated, ignore_longer_outputs_than_inputs
    )


def _loss_shapes(ctx: infer.InferContext) -> Any:
    inputs = ctx.shape(0).with_rank(3)
    return [inputs[1:2].merge_with(ctx.shape(3).with_rank(1)), inputs]


def _loss_gradient(node: Any, grad: Any, _: Any) -> Any:
    kept = raw.PreventGradient(
        node.outputs[1], message="the second derivative of ctc_loss is not there: its gradient is computed together with the loss"
    )
    return tf.expand_dims(grad, -1) * kept, None, None, None


for _record in (loss_op, loss_v2_op):
    _record.infer(_loss_shapes)
    _record.gradient(_loss_gradient)


# -- decoders --------------------------------------------------------------------------------------------------------


def _sparse(paths: list[list[int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices, values and shape of ragged paths."""
    indices = np.array([(b, t) for b, path in enumerate(paths) for t in range(len(path))], np.int64).reshape(-1, 2)
    values = np.array([v for path in paths for v in path], np.int64)
    return indices, values, np.array([len(paths), max((len(p) for p in paths), default=0)], np.int64)


@greedy_op.infer
def _(ctx: infer.InferContext) -> Any:
    batch = ctx.shape(0).with_rank(3)[1]
    return [TensorShape([None, 2]), unknown_shape(1), TensorShape([2]), TensorShape([batch, 1])]


@greedy_op.kernel
def _(inputs: np.ndarray, lengths: np.ndarray, *, merge_repeated: bool, blank_index: int) -> Any:
    _check(inputs, lengths)
    classes = inputs.shape[2]
    if not -classes <= blank_index < classes:
        raise InvalidArgumentError(f"blank_index must lie in [{-classes}, {classes}), received {blank_index}")
    blank = blank_index % classes
    best = inputs.argmax(axis=2)
    paths, scores = [], np.zeros((inputs.shape[1], 1), inputs.dtype)
    for b, length in enumerate(lengths.tolist()):
        path: list[int] = []
        previous = -1
        for t in range(length):
            label = int(best[t, b])
            scores[b, 0] -= inputs[t, b, label]
            if label != blank and not (merge_repeated and label == previous):
                path.append(label)
            previous = label
        paths.append(path)
    return *_sparse(paths), scores


@beam_op.infer
def _(ctx: infer.InferContext) -> Any:
    count = ctx.attr("top_paths")
    batch = ctx.shape(0).with_rank(3)[1]
    return [TensorShape([None, 2])] * count + [unknown_shape(1)] * count + [TensorShape([2])] * count + [TensorShape([batch, count])]


def _beam_search(log_y: np.ndarray, width: int) -> list[tuple[tuple[int, ...], float]]:
    """The `width` most probable label sequences, best first; the last class is the blank."""
    blank = log_y.shape[1] - 1
    minus = -np.inf
    # prefix -> (log probability of ending in a blank, of ending in its last label)
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, minus)}
    for row in log_y:
        found: dict[tuple[int, ...], list[float]] = {}
        chances = row.tolist()
        for prefix, (in_blank, in_label) in beams.items():
            total = float(np.logaddexp(in_blank, in_label))
            entry = found.setdefault(prefix, [minus, minus])
            entry[0] = float(np.logaddexp(entry[0], total + chances[blank]))
            if prefix:
                entry[1] = float(np.logaddexp(entry[1], in_label + chances[prefix[-1]]))
            for label in range(blank):
                from_here = in_blank if prefix and prefix[-1] == label else total
                if from_here == minus:
                    continue
                longer = found.setdefault((*prefix, label), [minus, minus])
                longer[1] = float(np.logaddexp(longer[1], from_here + chances[label]))
        ranked = sorted(found.items(), key=lambda item: -np.logaddexp(item[1][0], item[1][1]))
        beams = {prefix: (scores[0], scores[1]) for prefix, scores in ranked[:width]}
    return [(prefix, float(np.logaddexp(a, b))) for prefix, (a, b) in beams.items()]


@beam_op.kernel
def _(inputs: np.ndarray, lengths: np.ndarray, *, beam_width: int, top_paths: int, merge_repeated: bool) -> Any:
    _check(inputs, lengths)
    if top_paths > beam_width:
        raise InvalidArgumentError(f"top_paths must not exceed beam_width, received {top_paths} and {beam_width}")
    batch = inputs.shape[1]
    paths: list[list[list[int]]] = [[] for _ in range(top_paths)]
    scores = np.zeros((batch, top_paths), inputs.dtype)
    for b in range(batch):
        found = _beam_search(_log_softmax(inputs[: int(lengths[b]), b].astype(np.float64)), beam_width)
        if len(found) < top_paths:
            raise InvalidArgumentError(f"sequence {b} has {len(found)} paths only, but top_paths is {top_paths}; ask for fewer")
        for k in range(top_paths):
            path = list(found[k][0])
            if merge_repeated:
                path = [v for i, v in enumerate(path) if i == 0 or v != path[i - 1]]
            paths[k].append(path)
            scores[b, k] = found[k][1]
    sparse = [_sparse(p) for p in paths]
    return [*(s[0] for s in sparse), *(s[1] for s in sparse), *(s[2] for s in sparse), scores]


# -- functions -------------------------------------------------------------------------------------------------------


_IMPOSSIBLE = 707.1
"""The loss of dense labels that need more time than there is: what TensorFlow takes for -log 0."""


def _is_short(dtype: Any) -> bool:
    return dtype in (tf.float16, tf.bfloat16)


@public("nn.ctc_loss")
def ctc_loss(
    labels: Any, logits: Any, label_length: Any, logit_length: Any, logits_time_major: bool = True, unique: Any = None,
    blank_index: int | None = None, name: str | None = None,
) -> Any:  # fmt: skip
    """-log of the probability of each label sequence, [batch].

    Args:
        labels: a SparseTensor, or dense [batch, length] with `label_length` saying how many count.
        logits: [time, batch, classes], or [batch, time, classes] where not `logits_time_major`.
        blank_index: the class of the blank, 0 unless given for dense labels; negative counts from the end.

    Raises:
        ValueError: sparse labels without a blank index, or (when run) sparse labels that need more time than there is. Dense labels
            that do have a large constant loss, about what TensorFlow gives them, and no gradient.
    """
    with name_scope(name or "ctc_loss"):
        is_sparse = hasattr(labels, "indices") and hasattr(labels, "dense_shape")
        if blank_index is None:
            if is_sparse:
                raise InvalidArgumentError("Argument `blank_index` must be provided when `labels` is a `SparseTensor`.")
            blank_index = 0
        logits = convert_to_tensor(logits)
        kind = logits.dtype
        if _is_short(kind):
            logits = tf.cast(logits, tf.float32)
        if not logits_time_major:
            logits = tf.transpose(logits, [1, 0, 2])
        classes: Any = logits.shape[2] if logits.shape.rank == 3 and logits.shape[2] is not None else tf.shape(logits)[2]
        if blank_index < 0:
            blank_index = blank_index + classes
        logits = tf.concat([logits[:, :, :blank_index], logits[:, :, blank_index + 1 :], logits[:, :, blank_index : blank_index + 1]], 2)
        if is_sparse:
            indices, values = labels.indices, tf.cast(labels.values, tf.int32)
        else:
            dense = convert_to_tensor(labels)
            size = tf.shape(dense)
            mask = tf.range(size[1]) < tf.expand_dims(tf.cast(label_length, tf.int32), 1)
            indices = tf.where(mask)
            values = tf.cast(tf.gather_nd(dense, indices), tf.int32)
        values = tf.where(values < blank_index, values, values - 1)
        logit_length = tf.cast(logit_length, tf.int32)
        loss = raw.CTCLoss(logits, indices, values, logit_length, ignore_longer_outputs_than_inputs=not is_sparse)[0]
        if not is_sparse:
            repeats = tf.reduce_sum(tf.cast(tf.logical_and(tf.equal(dense[:, 1:], dense[:, :-1]), mask[:, 1:]), tf.int32), 1)
            needed = tf.reduce_sum(tf.cast(mask, tf.int32), 1) + repeats
            loss = tf.where(needed > logit_length, tf.constant(_IMPOSSIBLE, dtype=loss.dtype), loss)
        return tf.cast(loss, kind) if _is_short(kind) else loss


@public("nn.ctc_greedy_decoder")
def ctc_greedy_decoder(inputs: Any, sequence_length: Any, merge_repeated: bool = True, blank_index: int | None = None) -> Any:
    """The most probable class of each step: ([SparseTensor], negative sum of the chosen logits [batch, 1])."""
    indices, values, shape, scores = raw.CTCGreedyDecoder(
        inputs, sequence_length, merge_repeated=merge_repeated, blank_index=-1 if blank_index is None else blank_index
    )
    return [tf.SparseTensor(indices, values, shape)], scores


@public("nn.ctc_beam_search_decoder")
def ctc_beam_search_decoder(inputs: Any, sequence_length: Any, beam_width: int = 100, top_paths: int = 1) -> Any:
    """The most probable label sequences by beam search: ([SparseTensor] · top_paths, log probabilities [batch, top_paths])."""
    indices, values, shapes, scores = raw.CTCBeamSearchDecoder(
        inputs, sequence_length, beam_width=beam_width, top_paths=top_paths, merge_repeated=False
    )
    return [tf.SparseTensor(i, v, s) for i, v, s in zip(indices, values, shapes)], scores
