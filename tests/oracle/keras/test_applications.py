"""Classifiers against Keras 2.15: names, shapes and order of layers and weights; outputs with the same weights."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as real

from savedmodel import keras
from savedmodel.keras import backend

SMALL = {"input_shape": (96, 96, 3), "classes": 7}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("MobileNet", {"input_shape": (64, 64, 3), "alpha": 0.25, "classes": 7}),
    ("MobileNet", {"include_top": False, "pooling": "avg", "alpha": 0.5}),
    ("MobileNetV2", {"input_shape": (64, 64, 3), "alpha": 0.35, "classes": 7}),
    ("MobileNetV2", {"input_shape": (96, 64, 3), "alpha": 1.3, "include_top": False, "pooling": "max"}),
    ("MobileNetV3Small", SMALL),
    ("MobileNetV3Small", {"minimalistic": True, "include_top": False, "pooling": "avg", "alpha": 0.75}),
    ("MobileNetV3Large", {**SMALL, "dropout_rate": 0.0}),
    ("ResNet50", {"input_shape": (32, 32, 3), "classes": 7}),
    ("ResNet101", {"include_top": False}),
    ("ResNet50V2", {"input_shape": (32, 32, 3), "classes": 7}),
    ("EfficientNetB0", {"input_shape": (33, 32, 3), "classes": 7}),
    ("EfficientNetB2", {"include_top": False, "pooling": "max"}),
    ("VGG16", {"input_shape": (32, 32, 3), "include_top": False}),
    ("VGG19", {"input_shape": (32, 32, 3), "include_top": False, "pooling": "max"}),
    ("InceptionV3", {"input_shape": (75, 75, 3), "classes": 7}),
    ("InceptionResNetV2", {"input_shape": (75, 75, 3), "classes": 7}),
    ("Xception", {"input_shape": (71, 71, 3), "classes": 7}),
    ("DenseNet121", {"input_shape": (32, 32, 3), "classes": 7}),
    ("NASNetMobile", {"input_shape": (32, 32, 3), "classes": 7}),
    ("ConvNeXtTiny", {"input_shape": (32, 32, 3), "classes": 7}),
    ("ConvNeXtTiny", {"input_shape": (32, 32, 3), "include_top": False, "pooling": "avg"}),
]  # fmt: skip
COMPUTED = {"MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny", "InceptionV3", "NASNetMobile"}


def _pair(name: str, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    real.keras.backend.clear_session()
    backend.clear_session()
    theirs = getattr(real.keras.applications, name)(weights=None, **kwargs)
    ours = getattr(keras.applications, name)(weights=None, **kwargs)
    return theirs, ours


def _layers(model: Any) -> list[tuple[str, str, Any]]:
    found = []
    for layer in model.layers:
        shape = layer.output_shape
        shape = shape[0] if isinstance(shape, list) else shape
        found.append((layer.name, type(layer).__name__, tuple(shape)))
    return found


@pytest.mark.parametrize("name, kwargs", CASES, ids=lambda v: v if isinstance(v, str) else ",".join(v))
def test_classifier_has_the_layers_and_weights_of_keras(name: str, kwargs: dict[str, Any]) -> None:
    theirs, ours = _pair(name, kwargs)
    assert theirs.name == ours.name
    assert _layers(theirs) == _layers(ours)
    assert [(w.name, tuple(w.shape)) for w in theirs.weights] == [(w.name, tuple(w.shape)) for w in ours.weights]
    if name not in COMPUTED or not kwargs.get("input_shape"):
        return
    rng = np.random.default_rng(1)
    values = [w + 0.02 * rng.random(w.shape).astype(w.dtype) if w.dtype.kind == "f" else w for w in theirs.get_weights()]
    theirs.set_weights(values)
    ours.set_weights(values)
    x = (rng.random((2, *kwargs["input_shape"])) * 255).astype("float32")
    expected = theirs(x, training=False).numpy()
    np.testing.assert_allclose(ours(x, training=False).numpy(), expected, rtol=2e-3, atol=1e-4 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("mode", ["vgg16", "densenet", "mobilenet", "efficientnet"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_preprocess_input_equals_keras(mode: str, dtype: str) -> None:
    images = (np.random.default_rng(2).random((2, 4, 5, 3)) * 255).astype(dtype)
    expected = getattr(real.keras.applications, mode).preprocess_input(images.copy())
    actual = getattr(keras.applications, mode).preprocess_input(images.copy())
    assert expected.dtype == actual.dtype
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-4)
    if dtype == "float32":
        from tracer.public import tf

        tensor = getattr(keras.applications, mode).preprocess_input(tf.constant(images))
        np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-5, atol=1e-4)
