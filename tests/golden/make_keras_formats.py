"""Writes tests/golden/keras_formats with the Keras that is installed: `python make_keras_formats.py` under Keras 2.15 and under Keras 3.

Each model is kept as `.keras`, `.h5` and `.weights.h5`, its inputs and outputs beside it as `.npz`. Written in November 2026 by Keras 2.15.0
(TensorFlow 2.15.1) and by Keras 3.15.1 (JAX).
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

try:
    from tensorflow import keras
except ImportError:
    import keras

HERE = Path(__file__).parent / "keras_formats"
VERSION = 3 if getattr(keras, "__version__", "2").startswith("3") else 2
L = keras.layers


def heads():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    shared = L.Dense(5, activation="tanh", name="shared")
    x = L.Concatenate(name="joined")([shared(a), shared(L.Dense(4, name="to4")(b))])
    return keras.Model([a, b], [L.Dense(2, name="p")(x), L.Dense(1, activation="sigmoid", name="q")(x)], name="heads")


def nested():
    i = keras.Input((4,), name="inner_in")
    inner = keras.Model(i, L.BatchNormalization(name="ibn")(L.Dense(3, name="i1")(i)), name="inner")
    chain = keras.Sequential([keras.Input((3,), name="c_in"), L.Dense(3, name="c1"), L.LeakyReLU(name="leaky")], name="chain")
    x = keras.Input((4,), name="x")
    return keras.Model(x, L.Dense(2, name="out")(chain(inner(x)) + 1.0), name="nested")


def recurrent():
    x = keras.Input((5, 3), name="x")
    y = L.Bidirectional(L.GRU(2, name="gru", return_sequences=True), name="both")(L.LSTM(4, return_sequences=True, name="lstm")(x))
    return keras.Model(x, L.MultiHeadAttention(2, 3, name="mha")(y, y), name="recurrent")


def main() -> None:
    HERE.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for make, shapes in ((heads, [(4,), (3,)]), (nested, [(4,)]), (recurrent, [(5, 3)])):
        model = make()
        xs = [rng.standard_normal((4, *s)).astype(np.float32) for s in shapes]
        model.set_weights([np.abs(rng.standard_normal(w.shape)).astype(np.float32) * 0.3 for w in model.get_weights()])
        model.compile(keras.optimizers.Adam(0.01), loss=["mse", "mse"] if make is heads else "mse")
        x = xs if len(xs) > 1 else xs[0]
        model.fit(x, model.predict(x, verbose=0), epochs=2, verbose=0)
        outputs = model.predict(x, verbose=0)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        stem = str(HERE / f"{make.__name__}_k{VERSION}")
        for ending in (".keras", ".h5"):
            model.save(stem + ending)
        model.save_weights(stem + ".weights.h5")
        np.savez(stem + ".npz", **{f"x{k}": v for k, v in enumerate(xs)}, **{f"y{k}": v for k, v in enumerate(outputs)})


if __name__ == "__main__":
    main()
