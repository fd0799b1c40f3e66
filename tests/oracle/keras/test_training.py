"""The same training scripts on TensorFlow and here: names, summaries, logs and numbers."""

from __future__ import annotations

import contextlib
import io
import re

import numpy as np
import pytest
import tensorflow as tensorflow

from savedmodel import keras as our_keras
from savedmodel import tf as our_tf

RNG = np.random.RandomState(0)
X, Y, C = RNG.rand(64, 6), RNG.rand(64, 1), RNG.randint(0, 3, 64)


def _lines(model, **kwargs):
    out = []
    model.summary(print_fn=out.append, **kwargs)
    return out


def two_outputs(tf, keras):
    L = keras.layers
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    h = L.Dense(4, activation="tanh")(L.Concatenate()([a, b]))
    m = keras.Model([a, b], [L.Dense(1, name="reg")(h), L.Dense(3, activation="softmax", name="cls")(h)])
    m.compile("sgd", {"reg": "mse", "cls": "sparse_categorical_crossentropy"}, metrics={"cls": ["accuracy"], "reg": "mae"}, loss_weights={"reg": 2.0})
    h = m.fit({"a": X, "b": X}, {"reg": Y, "cls": C}, epochs=2, batch_size=16, verbose=0)
    return h.history, m.metrics_names, _lines(m), m.get_config()["output_layers"], m.evaluate([X, X], [Y, C], verbose=0, return_dict=True)


def class_weights(tf, keras):
    m = keras.Sequential([keras.layers.Dense(3, activation="softmax", input_shape=(6,))])
    m.compile("rmsprop", "categorical_crossentropy", metrics=["acc"], weighted_metrics=["accuracy"])
    h = m.fit(X, np.eye(3)[C], class_weight={0: 1.0, 1: 2.0, 2: 0.5}, epochs=2, verbose=0, batch_size=10)
    return h.history, m.train_on_batch(X[:8], np.eye(3)[C][:8], return_dict=True), m.test_on_batch(X[:8], np.eye(3)[C][:8])


def added_losses(tf, keras):
    class P(keras.layers.Layer):
        def call(self, x, training=None):
            self.add_loss(tf.reduce_mean(x))
            self.add_metric(tf.reduce_sum(x), name="sumx")
            return x * 2

    i = keras.Input((6,))
    o = keras.layers.Dense(1, kernel_regularizer="l2", activity_regularizer=keras.regularizers.L1(0.1))(P()(i))
    m = keras.Model(i, o)
    m.add_loss(tf.reduce_sum(o) * 0.01)
    m.add_metric(tf.reduce_mean(o), name="mo")
    m.compile("sgd", "mse")
    h = m.fit(X, Y, epochs=2, verbose=0)
    return h.history, len(m.losses), m.metrics_names, [layer.name for layer in m.layers]


def subclassed(tf, keras):
    class M(keras.Model):
        def __init__(self, k=3):
            super().__init__(name="mine")
            self.blocks = [keras.layers.Dense(4), keras.layers.Dense(2)]
            self.top = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(1)])

        def call(self, x, training=False):
            for b in self.blocks:
                x = b(x)
            return self.top(x)

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compiled_loss(y, self(x, training=True))
            self.optimizer.apply_gradients(zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables))
            return {m.name: m.result() for m in self.metrics}

    m = M()
    m.compile("adam", "mse")
    h = m.fit(X, Y, epochs=2, verbose=0, batch_size=20)
    return h.history, [w.name for w in m.weights], _lines(m), m.get_config(), [w.name for w in m.optimizer.variables]


def nested(tf, keras):
    L = keras.layers
    inner = keras.Sequential([L.Dense(3, input_shape=(6,)), L.Dense(2)], name="inner")
    i = keras.Input((6,))
    shared = L.Dense(6, name="shared")
    x = shared(shared(i))
    m = keras.Model(i, [L.Dropout(0.5)(L.BatchNormalization()(inner(x))), x[:, 1:] + 1.0], name="outer")
    shared.trainable = False
    return _lines(m, expand_nested=True, show_trainable=True), _lines(m, line_length=80), [w.name for w in m.trainable_weights], list(m._trackable_children())


def pipelines(tf, keras):
    m = keras.Sequential([keras.layers.Dense(1)])
    m.compile("sgd", "mse")
    data = tf.data.Dataset.from_tensor_slices((X.astype("float32"), Y.astype("float32"))).batch(10)

    def batches():
        while True:
            yield X[:8], Y[:8]

    return (
        m.fit(data, epochs=2, verbose=0, validation_data=data.take(2)).history,
        m.fit(batches(), steps_per_epoch=3, epochs=2, verbose=0).history,
        m.fit(data.repeat(), steps_per_epoch=4, epochs=2, verbose=0).history,
        m.predict(data, verbose=0).shape,
        len(data),
    )


def terminal(tf, keras):
    m = keras.Sequential([keras.layers.Dense(1, input_shape=(6,))])
    m.compile("sgd", "mse", metrics=["mae"])
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        m.fit(X, Y, epochs=2, batch_size=64)
        m.evaluate(X, Y, batch_size=64)
        m.predict(X, batch_size=64)
        m.fit(X, Y, verbose=2, validation_split=0.5)
    text = re.sub(r"\d+(ms|us|s)\b", "T", out.getvalue().replace("\b", ""))
    return re.sub(r" +", " ", text)


SCRIPTS = [two_outputs, class_weights, added_losses, subclassed, nested, pipelines, terminal]


def _run(script, tf, keras):
    keras.backend.clear_session()
    keras.utils.set_random_seed(7)
    return script(tf, keras)


def _same(a, b) -> None:
    if isinstance(a, dict):
        assert list(a) == list(b)
        for k in a:
            _same(a[k], b[k])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            _same(x, y)
    elif isinstance(a, float):
        np.testing.assert_allclose(b, a, rtol=2e-4, atol=1e-5)
    else:
        assert a == b


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: s.__name__)
def test_training_is_the_same(script) -> None:
    _same(_run(script, tensorflow, tensorflow.keras), _run(script, our_tf, our_keras))
