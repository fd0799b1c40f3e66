"""Convolutions, pooling, normalisation, recurrent cells and activations, without TensorFlow: exact small cases, numeric gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tracer.check import check_gradients, check_traced
from tracer import convolution, depthwise, workers
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, MissingKernelError, ShapeError
from tracer.public import tf
from tracer.windows import axes_of

RNG = np.random.default_rng(3)


def draw(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def direct(x: np.ndarray, w: np.ndarray, strides: Any, dilations: Any, padding: str, groups: int) -> np.ndarray:
    """The definition of a 2-D convolution, tap by tap."""
    rows, columns = axes_of(x.shape[1:3], w.shape[:2], strides, dilations, padding)
    out = np.zeros((len(x), rows.out, columns.out, w.shape[3]))
    depth, features = w.shape[2], w.shape[3] // groups
    for i, j, a, b in np.ndindex(rows.out, columns.out, *w.shape[:2]):
        y = i * rows.stride - rows.before + a * rows.dilation
        z = j * columns.stride - columns.before + b * columns.dilation
        if 0 <= y < rows.size and 0 <= z < columns.size:
            for g in range(groups):
                out[:, i, j, g * features : (g + 1) * features] += (
                    x[:, y, z, g * depth : (g + 1) * depth] @ w[a, b, :, g * features : (g + 1) * features]
                )
    return out


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("dilations", [(1, 1), (2, 1)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("block", [1 << 21, 2000])
def test_a_convolution_is_its_definition_and_its_backprops_are_its_adjoints(
    padding: str, strides: Any, dilations: Any, groups: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "BLOCK_BYTES", block)
    monkeypatch.setattr(convolution, "_LEAST_POSITIONS", 1)
    x, w = draw(2, 7, 9, 4), draw(3, 2, 4 // groups, 6)
    axes = axes_of(x.shape[1:3], w.shape[:2], strides, dilations, padding)
    y = convolution.forward(x, w, axes, groups)
    np.testing.assert_allclose(y, direct(x, w, strides, dilations, padding, groups), atol=1e-12)
    dy = draw(*y.shape)
    inner = (y * dy).sum()
    other = draw(*x.shape)
    dx = convolution.backward_input(w, dy, axes, 4, groups)
    np.testing.assert_allclose((dx * other).sum(), (convolution.forward(other, w, axes, groups) * dy).sum())
    np.testing.assert_allclose((convolution.backward_filter(x, dy, axes, groups) * w).sum(), inner)


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_channels_first_gives_the_same_numbers(data_format: str) -> None:
    x, w = draw(2, 6, 7, 4), draw(3, 3, 2, 6)
    plain = raw.Conv2D(x, w, strides=[1, 2, 1, 1], padding="SAME").numpy()
    turned = raw.Conv2D(x.transpose(0, 3, 1, 2), w, strides=[1, 1, 2, 1], padding="SAME", data_format="NCHW").numpy()
    np.testing.assert_allclose(turned.transpose(0, 2, 3, 1), plain)
    pooled = raw.MaxPool(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME").numpy()
    first = raw.MaxPool(x.transpose(0, 3, 1, 2), ksize=[1, 1, 2, 2], strides=[1, 1, 2, 2], padding="SAME", data_format="NCHW")
    np.testing.assert_array_equal(first.numpy().transpose(0, 2, 3, 1), pooled)


def test_the_newer_conv_has_batch_axes_and_groups() -> None:
    x, w = draw(2, 3, 6, 7, 4), draw(3, 3, 2, 6)
    attrs = {"strides": [1, 1, 1, 1], "padding": "SAME"}
    out = raw.Conv(x, w, batch_dims=2, groups=2, **attrs).numpy()
    np.testing.assert_allclose(out.reshape(6, 6, 7, 6), raw.Conv2D(x.reshape(6, 6, 7, 4), w, **attrs).numpy())


@pytest.mark.parametrize(
    ("name", "shapes", "attrs"),
    [
        ("Conv2D", ((1, 4, 5, 4), (3, 2, 2, 2)), {"strides": [1, 2, 1, 1], "padding": "SAME"}),
        ("Conv2D", ((1, 5, 5, 2), (2, 2, 2, 2)), {"strides": [1, 1, 1, 1], "padding": "VALID", "dilations": [1, 2, 1, 1]}),
        ("Conv3D", ((1, 3, 4, 3, 2), (2, 2, 2, 2, 2)), {"strides": [1, 1, 2, 1, 1], "padding": "SAME"}),
        ("Conv3D", ((1, 4, 4, 3, 2), (2, 2, 2, 2, 1)), {"strides": [1, 1, 1, 1, 1], "padding": "VALID", "dilations": [1, 2, 1, 1, 1]}),
        ("DepthwiseConv2dNative", ((1, 5, 4, 2), (2, 2, 2, 2)), {"strides": [1, 1, 1, 1], "padding": "SAME", "dilations": [1, 2, 1, 1]}),
        ("DepthwiseConv2dNative", ((1, 7, 7, 2), (3, 4, 2, 1)), {"strides": [1, 3, 3, 1], "padding": "SAME"}),
    ],
)
def test_gradients_of_convolutions_are_numeric_ones_to_the_second_order(name: str, shapes: Any, attrs: dict[str, Any]) -> None:
    x, w = (draw(*s) for s in shapes)
    check_gradients(lambda x, w: getattr(raw, name)(x, w, **attrs), [x, w])

    def inner(x: Any, w: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            y = tf.reduce_sum(tf.square(getattr(raw, name)(x, w, **attrs)))
        return tape.gradient(y, [x, w])

    check_gradients(inner, [x, w], tolerance=1e-4)
    check_traced(lambda x, w: getattr(raw, name)(x, w, **attrs), [x, w])


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_a_depthwise_convolution_is_a_grouped_one(stride: int, dilation: int) -> None:
    x, w = draw(2, 9, 11, 3), draw(3, 2, 3, 2)
    for padding in ("SAME", "VALID"):
        axes = axes_of(x.shape[1:3], w.shape[:2], (stride, stride), (dilation, dilation), padding)
        expected = convolution.forward(x, w.reshape(3, 2, 1, 6), axes, 3)
        np.testing.assert_allclose(depthwise.forward(x, w, *axes), expected, atol=1e-12)


def test_batch_norm_gradients_to_the_second_order() -> None:
    x, s, o = draw(2, 2, 3, 2, dtype=np.float32), draw(2, dtype=np.float32), draw(2, dtype=np.float32)
    mean, variance = draw(2, dtype=np.float32), np.abs(draw(2, dtype=np.float32)) + 0.5
    for training in (True, False):

        def run(x: Any, s: Any, o: Any, training: bool = training) -> Any:
            return raw.FusedBatchNormV3(x, s, o, mean, variance, is_training=training, epsilon=0.1)[0]

        check_gradients(run, [x, s, o], wrt=[0, 1, 2], step=1e-2, tolerance=1e-2)

        def inner(x: Any, s: Any, run: Any = run) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, s])
                y = tf.reduce_sum(run(x, s, o) ** 3)
            return tape.gradient(y, [x, s])

        check_gradients(inner, [x, s], wrt=[0, 1], step=5e-3, tolerance=3e-2)


@pytest.mark.parametrize("name", ["BlockLSTM", "BlockLSTMV2"])
def test_block_lstm_gradients_are_numeric_ones(name: str) -> None:
    shapes = [(3, 2, 2), (2, 3), (2, 3), (5, 12), (3,), (3,), (3,), (12,)]
    arrays = [draw(*s, dtype=np.float32) * np.float32(0.7) for s in shapes]

    def run(*values: Any) -> Any:
        outs = getattr(raw, name)(np.array(2), *values, use_peephole=True, cell_clip=0.0)
        return outs[1], outs[6]

    check_gradients(run, arrays, wrt=range(8), step=1e-2, tolerance=1e-2)


def test_dropout_keeps_the_mean_and_rate_0_is_the_input() -> None:
    x = np.ones((100, 100), np.float32)
    out = tf.nn.dropout(x, 0.25, seed=1).numpy()
    assert set(np.unique(out)) == {np.float32(0), np.float32(4 / 3)}
    assert abs(out.mean() - 1) < 0.05
    np.testing.assert_array_equal(tf.nn.dropout(x, 0).numpy(), x)
    rows = tf.nn.dropout(x, 0.5, noise_shape=[None, 1]).numpy()
    assert (rows == rows[:, :1]).all()
    with pytest.raises(ValueError, match="rate"):
        tf.nn.dropout(x, 1.0)


def test_errors_say_what_does_not_fit() -> None:
    x = draw(1, 4, 4, 3)
    with pytest.raises(ShapeError, match="evenly divisible"):
        raw.Conv2D(x, draw(3, 3, 2, 2), strides=[1, 1, 1, 1], padding="SAME")
    with pytest.raises(ShapeError, match="must fit"):
        raw.Conv2D(x, draw(6, 6, 3, 2), strides=[1, 1, 1, 1], padding="VALID")
    traced = tf.function(lambda x: raw.Conv2D(x, draw(5, 5, 3, 2), strides=[1, 1, 1, 1], padding="VALID"))
    with pytest.raises(ShapeError, match="Negative dimension size caused by subtracting 5 from 4"):
        traced.get_concrete_function(tf.TensorSpec([None, 4, 4, 3], tf.float64))
    with pytest.raises(InvalidArgumentError, match="batch"):
        raw.MaxPool(x, ksize=[2, 1, 1, 1], strides=[2, 1, 1, 1], padding="SAME")
    with pytest.raises(InvalidArgumentError, match="label value of 7"):
        raw.SparseSoftmaxCrossEntropyWithLogits(draw(1, 3), np.array([7]))
    z = np.zeros((1, 1, 1), np.float32)
    with pytest.raises(MissingKernelError, match="cuDNN"):
        raw.CudnnRNN(z, z, z, z)


def test_blocks_run_in_threads_and_errors_come_through() -> None:
    seen: list[int] = []
    workers.run_blocks(seen.append, 9)
    assert sorted(seen) == list(range(9))

    def fail(i: int) -> None:
        if i == 5:
            raise ValueError("block 5")

    with pytest.raises(ValueError, match="block 5"):
        workers.run_blocks(fail, 9)
