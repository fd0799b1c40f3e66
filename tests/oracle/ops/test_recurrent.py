"""Fused cells, fused inference ops, CTC and what else is in `tf.nn`, against TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle.compare import compare_calls, compare_fn, compare_op

RNG = np.random.default_rng(5)


def draw(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def lstm_inputs(steps: int = 5, batch: int = 3, inputs: int = 4, units: int = 6) -> list[np.ndarray]:
    return [
        draw(steps, batch, inputs), draw(batch, units), draw(batch, units), draw(inputs + units, 4 * units), draw(units), draw(units),
        draw(units), draw(4 * units),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["BlockLSTM", "BlockLSTMV2"])
@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("length", [5, 3])
def test_block_lstm_and_its_gradient(name: str, peephole: bool, length: int) -> None:
    import tensorflow as tf

    from tracer.dispatch import raw

    inputs = [np.array(length, np.int64), *lstm_inputs()]
    names = ["seq_len_max", "x", "cs_prev", "h_prev", "w", "wci", "wcf", "wco", "b"]
    attrs = {"use_peephole": peephole, "cell_clip": 0.0}
    # Gradients flow from the states only. TensorFlow differentiates the second version with the gate order of the first, which is
    # wrong (finite differences of its own forward kernel tell); ours is checked numerically in tests/tracer/ops.
    compare_calls(
        lambda *v: [getattr(tf.raw_ops, name)(**dict(zip(names, v)), **attrs)[i] for i in (1, 6)],
        lambda *v: [getattr(raw, name)(*v, **attrs)[i] for i in (1, 6)],
        inputs, name, grad=name == "BlockLSTM", rtol=1e-4,
    )  # fmt: skip


def test_single_cells_and_their_gradient_ops() -> None:
    x, cs, h, w, wci, wcf, wco, b = lstm_inputs()
    outs = compare_op("LSTMBlockCell", [x[0], cs, h, w, wci, wcf, wco, b], use_peephole=True, cell_clip=0.5)
    outs = [o.numpy() for o in outs]
    compare_op(
        "LSTMBlockCellGrad", [x[0], cs, h, w, wci, wcf, wco, b, *outs[:6], draw(3, 6), draw(3, 6)], use_peephole=True, rtol=1e-4
    )
    gru = [draw(3, 4), draw(3, 5), draw(9, 10), draw(9, 5), draw(10), draw(5)]
    outs = [o.numpy() for o in compare_op("GRUBlockCell", gru)]
    compare_op("GRUBlockCellGrad", [*gru, *outs[:3], draw(3, 5)], rtol=1e-4)


@pytest.mark.parametrize("activation", [[], ["Relu"], ["Relu6"], ["Elu"], ["LeakyRelu"], ["Tanh"]])
def test_fused_matmul(activation: list[str]) -> None:
    import tensorflow as tf

    from tracer.dispatch import raw

    attrs = {"num_args": 1, "transpose_a": False, "transpose_b": False, "epsilon": 1e-3, "leakyrelu_alpha": 0.2}

    def theirs(a: Any, b: Any, c: Any) -> Any:
        out = tf.linalg.matmul(a, b) + c
        return getattr(tf.nn, {"LeakyRelu": "leaky_relu"}.get(activation[0], activation[0].lower()))(out) if activation else out

    compare_calls(
        theirs,
        lambda a, b, c: raw._FusedMatMul(a, b, [c], fused_ops=["BiasAdd", *activation], **attrs),
        [draw(4, 5), draw(5, 3), draw(3)], "_FusedMatMul", static=False,
    )  # fmt: skip


@pytest.mark.parametrize("activation", [[], ["Relu"], ["Sigmoid"]])
def test_fused_convolutions(activation: list[str]) -> None:
    import tensorflow as tf

    from tracer.dispatch import raw

    act = getattr(tf.nn, activation[0].lower()) if activation else tf.identity
    geometry = {"strides": [1, 1, 1, 1], "padding": "SAME"}
    compare_calls(
        lambda x, w, b: act(tf.nn.conv2d(x, w, 1, "SAME") + b),
        lambda x, w, b: raw._FusedConv2D(x, w, [b], [], num_args=1, fused_ops=["BiasAdd", *activation], **geometry),
        [draw(2, 5, 6, 3), draw(3, 3, 3, 4), draw(4)], "_FusedConv2D", static=False,
    )  # fmt: skip
    compare_calls(
        lambda x, w, b, side: act(tf.nn.conv2d(x, w, 1, "SAME") + b + side),
        lambda x, w, b, side: raw._FusedConv2D(x, w, [b, side], [], num_args=2, fused_ops=["BiasAdd", "Add", *activation], **geometry),
        [draw(2, 5, 6, 3), draw(3, 3, 3, 4), draw(4), draw(2, 5, 6, 4)], "_FusedConv2D", static=False,
    )  # fmt: skip
    compare_calls(
        lambda x, w, s, o, m, v: act(tf.nn.batch_normalization(tf.nn.conv2d(x, w, 1, "SAME"), m, v, o, s, 1e-3)),
        lambda x, w, *a: raw._FusedConv2D(
            x, w, list(a), [], num_args=4, fused_ops=["FusedBatchNorm", *activation], epsilon=1e-3, **geometry
        ),
        [draw(2, 5, 6, 3), draw(3, 3, 3, 4), draw(4), draw(4), draw(4), np.abs(draw(4))], "_FusedConv2D", rtol=1e-4, static=False,
    )  # fmt: skip
    compare_calls(
        lambda x, w, b: act(tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "SAME") + b),
        lambda x, w, b: raw._FusedDepthwiseConv2dNative(x, w, [b], num_args=1, fused_ops=["BiasAdd", *activation], **geometry),
        [draw(2, 5, 6, 3), draw(3, 3, 3, 2), draw(6)], "_FusedDepthwiseConv2dNative", static=False,
    )  # fmt: skip


def test_padded_convolution() -> None:
    pads = np.array([[0, 0], [1, 2], [2, 1], [0, 0]], np.int32)
    # One image: TensorFlow's kernel misreads the later images of a batch.
    compare_op("FusedPadConv2D", [draw(1, 5, 6, 3), pads, draw(3, 3, 3, 4)], mode="REFLECT", strides=[1, 1, 1, 1], padding="VALID")
    compare_op(
        "FusedResizeAndPadConv2D", [draw(1, 5, 6, 3), np.array([8, 7], np.int32), pads, draw(3, 3, 3, 4)], mode="SYMMETRIC",
        strides=[1, 2, 2, 1], padding="SAME",
    )  # fmt: skip


CTC = [draw(7, 3, 5) * 2, np.array([[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [2, 0]]), np.array([1, 1, 0, 3, 2, 2], np.int32)]


@pytest.mark.parametrize("attrs", [{}, {"ctc_merge_repeated": False}, {"preprocess_collapse_repeated": True}])
def test_ctc_loss_and_its_gradient(attrs: dict[str, Any]) -> None:
    compare_op("CTCLoss", [*CTC, np.array([7, 5, 3], np.int32)], rtol=1e-4, **attrs)
    compare_op("CTCLoss", [*CTC, np.array([7, 2, 0], np.int32)], ignore_longer_outputs_than_inputs=True, rtol=1e-4, **attrs)


@pytest.mark.parametrize("blank", [0, 2, -1])
@pytest.mark.parametrize("time_major", [True, False])
def test_ctc_loss_of_dense_labels(blank: int, time_major: bool) -> None:
    labels = np.array([[1, 1, 3], [3, 1, 0], [1, 0, 0]], np.int32)
    logits = CTC[0] if time_major else CTC[0].transpose(1, 0, 2).copy()
    compare_fn(
        "nn.ctc_loss", labels, logits, np.array([3, 2, 1], np.int32), np.array([7, 6, 5], np.int32), blank_index=blank,
        logits_time_major=time_major, grad=True, rtol=1e-4, static=False,
    )  # fmt: skip


def test_ctc_decoders() -> None:
    lengths = np.array([7, 5, 3], np.int32)
    compare_op("CTCGreedyDecoder", [CTC[0], lengths], merge_repeated=True)
    compare_op("CTCGreedyDecoder", [CTC[0], lengths], merge_repeated=False, blank_index=1)
    for merge in (True, False):
        compare_op("CTCBeamSearchDecoder", [CTC[0], lengths], beam_width=8, top_paths=3, merge_repeated=merge, rtol=1e-4)


def test_moments_and_normalisation() -> None:
    x = draw(3, 4, 5)
    compare_fn("nn.moments", x, axes=[0, 1], grad=True)
    compare_fn("nn.moments", x.astype(np.float16), axes=[0], keepdims=True)
    compare_fn("nn.weighted_moments", x, frequency_weights=np.abs(draw(3, 1, 5)), axes=[0, 1], rtol=1e-4)
    compare_fn("nn.batch_normalization", x, draw(5), np.abs(draw(5)), draw(5), draw(5), variance_epsilon=1e-3, grad=True, rtol=1e-4)
    compare_fn("nn.batch_normalization", x, draw(5), np.abs(draw(5)), offset=None, scale=None, variance_epsilon=1e-3)
    compare_fn("nn.l2_normalize", x, axis=[1, 2], grad=True)
    compare_fn("nn.local_response_normalization", draw(2, 3, 4, 5), grad=True)
    compare_fn("compat.v1.nn.fused_batch_norm", draw(2, 3, 4, 5), draw(5), draw(5), rtol=1e-4)
    compare_fn("nn.log_poisson_loss", np.abs(x), draw(3, 4, 5), compute_full_loss=True, grad=True)


def test_embedding_lookup() -> None:
    ids = np.array([[0, 3], [2, 2]])
    compare_fn("nn.embedding_lookup", draw(5, 3), ids, grad=True)
    compare_fn("nn.embedding_lookup", draw(5, 3), ids, max_norm=0.5, grad=True)
    compare_fn("nn.embedding_lookup", [draw(3, 3), draw(2, 3)], ids)
    compare_fn("compat.v1.nn.embedding_lookup", [draw(3, 3), draw(2, 3)], ids)
