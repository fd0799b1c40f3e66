"""The first process of the demo: a subclassed model with a layer of its own, trained on the digits and saved."""

from __future__ import annotations

import numpy as np

from savedmodel import keras, tf
from savedmodel.demo.digits import load_digits

__all__ = ["train_and_save"]


class Gated(keras.layers.Layer):
    """A dense layer whose output is scaled by a learned gate: a class that only this file knows."""

    def __init__(self, units: int, **kwargs: object):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: object) -> None:
        width = input_shape[-1]  # type: ignore[index]
        self.kernel = self.add_weight(name="kernel", shape=(width, self.units), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.gate = self.add_weight(name="gate", shape=(self.units,), initializer="zeros")

    def call(self, inputs: object) -> object:
        return (tf.matmul(inputs, self.kernel) + self.bias) * tf.sigmoid(self.gate)


class DigitReader(keras.Model):
    """Reads 8×8 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = [Gated(64), Gated(32)]
        self.dropout = keras.layers.Dropout(0.1)
        self.scores = keras.layers.Dense(10)

    def call(self, inputs: object, training: bool | None = None) -> object:
        x = inputs
        for layer in self.hidden:
            x = tf.nn.relu(layer(x))
        return self.scores(self.dropout(x, training=training))


def train_and_save(path: str, epochs: int, verbose: int = 2) -> np.ndarray:
    """Train, save to `path`, and return the model's scores of the test images (float32 [297, 10])."""
    keras.utils.set_random_seed(1)
    x, y = load_digits()
    model = DigitReader()
    model.compile(
        optimizer=keras.optimizers.Adam(0.002),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(x[:1500], y[:1500], batch_size=32, epochs=epochs, verbose=verbose, validation_data=(x[1500:], y[1500:]))
    model.save(path)
    return np.asarray(model(x[1500:]))
