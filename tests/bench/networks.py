"""The networks that the benchmark runs, built by savedmodel itself with random, well-conditioned weights. It needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from savedmodel import keras
from savedmodel.keras import layers

__all__ = ["MAKERS", "make"]


def _conditioned(model: Any) -> Any:
    random = np.random.default_rng(0)
    for weight in model.weights:
        name = weight.name.rpartition("/")[2].partition(":")[0]
        if name in ("moving_variance", "gamma"):
            weight.assign(random.uniform(0.8, 1.2, weight.shape))
        elif name in ("moving_mean", "beta", "bias"):
            weight.assign(random.normal(0, 0.05, weight.shape))
    return model


def mlp() -> Any:
    model = keras.Sequential([layers.Dense(512, activation="relu", input_shape=(784,)), layers.Dropout(0.2), layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    model.fit(np.random.rand(64, 784).astype("f"), np.random.randint(0, 10, 64), verbose=0)
    return model


def lstm() -> Any:
    return keras.Sequential([layers.LSTM(128, input_shape=(100, 64)), layers.Dense(10)])


def transformer() -> Any:
    x = inputs = keras.Input((128, 128))
    for _ in range(2):
        a = layers.MultiHeadAttention(4, 32)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, a]))
        f = layers.Dense(512, activation="gelu")(x)
        x = layers.LayerNormalization()(layers.Add()([x, layers.Dense(128)(f)]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def resnet50() -> Any:
    """He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016), 50 layers, with the bias and padding that Keras gives it."""

    def norm(x: Any) -> Any:
        return layers.BatchNormalization(epsilon=1.001e-5)(x)

    def block(x: Any, filters: int, stride: int, project: bool) -> Any:
        short = norm(layers.Conv2D(4 * filters, 1, strides=stride)(x)) if project else x
        y = layers.Activation("relu")(norm(layers.Conv2D(filters, 1, strides=stride)(x)))
        y = layers.Activation("relu")(norm(layers.Conv2D(filters, 3, padding="same")(y)))
        y = norm(layers.Conv2D(4 * filters, 1)(y))
        return layers.Activation("relu")(layers.Add()([short, y]))

    inputs = keras.Input((224, 224, 3))
    x = layers.ZeroPadding2D(3)(inputs)
    x = layers.Activation("relu")(norm(layers.Conv2D(64, 7, strides=2)(x)))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for filters, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(count):
            x = block(x, filters, stride if i == 0 else 1, i == 0)
    return _conditioned(keras.Model(inputs, layers.Dense(1000, activation="softmax")(layers.GlobalAveragePooling2D()(x))))


def mobilenetv2() -> Any:
    """Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018), width 1."""

    def norm(x: Any) -> Any:
        return layers.BatchNormalization(epsilon=1e-3)(x)

    inputs = keras.Input((224, 224, 3))
    x = layers.ReLU(6.0)(norm(layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False)(inputs)))
    for expand, out, count, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for i in range(count):
            step, depth = (stride if i == 0 else 1), x.shape[-1]
            y = x
            if expand > 1:
                y = layers.ReLU(6.0)(norm(layers.Conv2D(depth * expand, 1, use_bias=False)(y)))
            if step == 2:
                y = layers.ZeroPadding2D(((0, 1), (0, 1)))(y)
            y = layers.DepthwiseConv2D(3, strides=step, padding="valid" if step == 2 else "same", use_bias=False)(y)
            y = norm(layers.Conv2D(out, 1, use_bias=False)(layers.ReLU(6.0)(norm(y))))
            x = layers.Add()([x, y]) if i else y
    x = layers.ReLU(6.0)(norm(layers.Conv2D(1280, 1, use_bias=False)(x)))
    return _conditioned(keras.Model(inputs, layers.Dense(1000, activation="softmax")(layers.GlobalAveragePooling2D()(x))))


MAKERS = {"mlp": mlp, "lstm": lstm, "transformer": transformer, "mobilenetv2": mobilenetv2, "resnet50": resnet50}


def make(folder: Path, name: str) -> Path:
    """The path of the saved network `name` in `folder`; written if it is not there."""
    path = folder / name
    if not path.exists():
        keras.utils.set_random_seed(0)
        MAKERS[name]().save(str(path))
    return path
