"""Initialisers, losses, metrics, optimizers, layers and data functions: few exact cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from savedmodel import keras
from tracer.public import tf


def test_initial_values_follow_the_random_seed() -> None:
    keras.utils.set_random_seed(1)
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    first = layer.kernel.numpy()
    keras.utils.set_random_seed(1)
    again = keras.layers.Dense(3)
    again.build((None, 4))
    np.testing.assert_array_equal(first, again.kernel.numpy())
    assert np.abs(first).max() <= np.sqrt(6 / 7)


@pytest.mark.parametrize(
    ("name", "kwargs", "expected"),
    [
        ("MeanSquaredError", {}, 2.5),
        ("MeanAbsoluteError", {"reduction": "sum"}, 3.0),
        ("MeanSquaredError", {"reduction": "none"}, [1.0, 4.0]),
        ("Huber", {}, (0.5 + 1.5) / 2),
    ],
)
def test_losses_of_small_numbers(name: str, kwargs: dict[str, Any], expected: Any) -> None:
    loss = getattr(keras.losses, name)(**kwargs)
    np.testing.assert_allclose(loss([[0.0], [0.0]], [[1.0], [2.0]]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "y_true", "y_pred", "expected"),
    [
        ("BinaryAccuracy", [[1], [0], [1]], [[0.9], [0.8], [0.7]], 2 / 3),
        ("SparseCategoricalAccuracy", [1, 0], [[0.1, 0.9], [0.2, 0.8]], 0.5),
        ("Precision", [0, 1, 1, 0], [0.9, 0.9, 0.1, 0.1], 0.5),
        ("Recall", [0, 1, 1, 1], [0.9, 0.9, 0.1, 0.9], 2 / 3),
        ("AUC", [0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9], 0.75),
    ],
)
def test_metrics_of_small_numbers(name: str, y_true: Any, y_pred: Any, expected: float) -> None:
    metric = getattr(keras.metrics, name)()
    metric.update_state(y_true, y_pred)
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-5)
    metric.reset_state()
    assert not any(w.numpy().any() for w in metric.weights)


@pytest.mark.parametrize(
    ("name", "kwargs", "expected"),
    [
        ("SGD", {"learning_rate": 0.5}, 0.5),
        ("SGD", {"learning_rate": 0.5, "weight_decay": 0.1}, 0.45),
        ("Adam", {"learning_rate": 0.1}, 0.9),
        ("legacy.SGD", {"learning_rate": 0.5}, 0.5),
        ("Lion", {"learning_rate": 0.1}, 0.9),
    ],
)
def test_first_step_of_optimizers(name: str, kwargs: dict[str, Any], expected: float) -> None:
    kind: Any = keras.optimizers
    for part in name.split("."):
        kind = getattr(kind, part)
    optimizer, variable = kind(**kwargs), tf.Variable([1.0])
    optimizer.apply_gradients([(tf.constant([1.0]), variable)])
    np.testing.assert_allclose(variable.numpy(), [expected], rtol=1e-5)
    assert int(optimizer.iterations) == 1


def test_dense_conv_and_normalization_of_small_numbers() -> None:
    x = tf.constant([[1.0, 2.0]])
    np.testing.assert_array_equal(keras.layers.Dense(2, kernel_initializer="ones", bias_initializer="ones")(x), [[4.0, 4.0]])
    image = tf.ones((1, 3, 3, 1))
    np.testing.assert_array_equal(keras.layers.Conv2D(1, 2, kernel_initializer="ones")(image)[0, :, :, 0], [[4.0, 4.0], [4.0, 4.0]])
    np.testing.assert_allclose(keras.layers.LayerNormalization(epsilon=0.0)(x), [[-1.0, 1.0]], atol=1e-6)


def test_masked_steps_leave_the_state_of_recurrent_layers() -> None:
    layer = keras.layers.SimpleRNN(2)
    x = np.arange(12, dtype="float32").reshape(1, 3, 4) / 10
    masked = layer(tf.constant(x), mask=tf.constant([[True, True, False]]))
    np.testing.assert_allclose(masked, layer(tf.constant(x[:, :2])), rtol=1e-6)


def test_labels_and_sequences_as_arrays() -> None:
    np.testing.assert_array_equal(keras.utils.to_categorical([[0], [2]]), [[1, 0, 0], [0, 0, 1]])
    np.testing.assert_array_equal(keras.utils.to_ordinal([0, 2], 4), [[0, 0, 0], [1, 1, 0]])
    np.testing.assert_array_equal(keras.utils.normalize(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])
    rows = keras.preprocessing.sequence.pad_sequences([[1, 2, 3], [4], []], maxlen=2)
    np.testing.assert_array_equal(rows, [[2, 3], [0, 4], [0, 0]])
    rows = keras.utils.pad_sequences([[1, 2, 3], [4]], maxlen=2, padding="post", truncating="post", value=9)
    np.testing.assert_array_equal(rows, [[1, 2], [4, 9]])
    with pytest.raises(ValueError, match="non-iterable"):
        keras.utils.pad_sequences([1, 2])
