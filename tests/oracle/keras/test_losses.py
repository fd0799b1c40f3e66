"""Losses and initialisers compared with Keras 2.15: values with weights and reductions, eager and traced; drawn bits; configs."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as real

from savedmodel import keras
from tracer.public import tf

_RNG = np.random.default_rng(0)
_NUMBERS, _GUESSES = (_RNG.random((5, 4)).astype("float32") for _ in range(2))
_GUESSES /= _GUESSES.sum(-1, keepdims=True)
_CLASSES = np.array([0, 1, 2, 3, 1])
_WEIGHTS = _RNG.random(5).astype("float32")

_NAMES = (
    "MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError BinaryCrossentropy "
    "BinaryFocalCrossentropy CategoricalCrossentropy CategoricalFocalCrossentropy SparseCategoricalCrossentropy CosineSimilarity Hinge "
    "SquaredHinge CategoricalHinge Poisson LogCosh KLDivergence Huber"
).split()
_SETTINGS: list[dict[str, Any]] = [
    {}, {"from_logits": True}, {"label_smoothing": 0.1}, {"reduction": "none"}, {"reduction": "sum"}, {"ignore_class": 1},
    {"apply_class_balancing": True},
]  # fmt: skip


def _accepts(name: str, kwargs: dict[str, Any]) -> bool:
    try:
        getattr(real.keras.losses, name)(**kwargs)
    except TypeError:
        return False
    return True


_CASES = [(name, kwargs) for name in _NAMES for kwargs in _SETTINGS if _accepts(name, kwargs)]


@pytest.mark.parametrize(("name", "kwargs"), _CASES)
def test_loss_equals_keras(name: str, kwargs: dict[str, Any]) -> None:
    theirs, ours = getattr(real.keras.losses, name)(**kwargs), getattr(keras.losses, name)(**kwargs)
    one_hot = np.eye(4, dtype="float32")[_CLASSES]
    y = _CLASSES if "Sparse" in name else one_hot if "Cat" in name or "Binary" in name else _NUMBERS
    for weights in (None, _WEIGHTS):
        expected = theirs(y, _GUESSES, weights).numpy()
        np.testing.assert_allclose(ours(y, _GUESSES, weights), expected, rtol=2e-6, atol=1e-7)
        traced = tf.function(lambda a, b, w=weights: ours(a, b, w))
        np.testing.assert_allclose(traced(tf.constant(y), tf.constant(_GUESSES)), expected, rtol=2e-6, atol=1e-7)
    assert str(ours.get_config()) == str(theirs.get_config())


@pytest.mark.parametrize("shape", [(4, 3), (3, 3, 2, 5), (7,)], ids=str)
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        *((n, {}) for n in "GlorotUniform GlorotNormal HeNormal HeUniform LecunNormal LecunUniform RandomNormal".split()),
        *((n, {}) for n in "RandomUniform TruncatedNormal Zeros Ones".split()),
        ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"}),
        ("GlorotUniform", {"seed": 5}),
        ("Constant", {"value": 3}),
    ],
)
def test_initialiser_draws_the_bits_of_keras(name: str, kwargs: dict[str, Any], shape: tuple[int, ...]) -> None:
    real.keras.utils.set_random_seed(1)
    theirs = getattr(real.keras.initializers, name)(**kwargs)
    expected = theirs(shape).numpy()
    keras.utils.set_random_seed(1)
    ours = getattr(keras.initializers, name)(**kwargs)
    np.testing.assert_array_equal(expected, ours(shape))
    assert theirs.get_config() == ours.get_config()
