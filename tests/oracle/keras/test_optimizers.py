"""Optimizers compared with Keras 2.15: ten steps, dense and sparse, eager and traced; state, names, configs; schedules."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as real

from savedmodel import keras
from tracer.composite import IndexedSlices
from tracer.public import tf

_RNG = np.random.default_rng(0)


def _normal(*shape: int) -> np.ndarray:
    return _RNG.normal(size=shape).astype("float32")


_START = (_normal(4, 3), _normal(3))
_DENSE = [(_normal(4, 3), _normal(3)) for _ in range(10)]
_ROWS = [(_normal(3, 3), _RNG.integers(0, 4, 3)) for _ in range(10)]
_FTRL = {
    "l1_regularization_strength": 0.01, "l2_regularization_strength": 0.02, "l2_shrinkage_regularization_strength": 0.1, "beta": 0.1,
}  # fmt: skip
_CASES: list[tuple[str, dict[str, Any]]] = [
    *((n, {}) for n in "SGD Adam AdamW RMSprop Adagrad Adadelta Adamax Nadam Ftrl Lion Adafactor".split()),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"weight_decay": 0.1}),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"clipnorm": 0.5}),
    ("Adam", {"global_clipnorm": 0.5}),
    ("Adam", {"clipvalue": 0.1}),
    ("Adam", {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 3}),
    ("Adam", {"learning_rate": "schedule"}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
    ("Ftrl", _FTRL),
    *((f"legacy.{n}", {}) for n in "SGD Adam RMSprop Adagrad Adadelta Adamax Nadam Ftrl".split()),
    ("legacy.SGD", {"momentum": 0.9, "nesterov": True}),
    ("legacy.Adam", {"amsgrad": True, "decay": 0.1}),
    ("legacy.Adam", {"clipnorm": 0.5}),
    ("legacy.Adam", {"learning_rate": "schedule"}),
    ("legacy.RMSprop", {"momentum": 0.9, "centered": True}),
    ("legacy.Ftrl", _FTRL),
]


def _made(module: Any, name: str, kwargs: dict[str, Any]) -> Any:
    if kwargs.get("learning_rate") == "schedule":
        kwargs = {**kwargs, "learning_rate": module.schedules.ExponentialDecay(0.1, 3, 0.5)}
    for part in name.split("."):
        module = getattr(module, part)
    return module(**kwargs)


def _gradients(library: Any, slices: Any, step: int, sparse: bool) -> list[Any]:
    first, second = (library.constant(g) for g in _DENSE[step])
    if sparse:
        values, rows = _ROWS[step]
        first = slices(library.constant(values), library.constant(rows.astype("int64")), library.constant([4, 3], dtype=library.int64))
    return [first, second]


def _variables(optimizer: Any) -> list[Any]:
    return optimizer.variables() if callable(optimizer.variables) else optimizer.variables


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize(("name", "kwargs"), _CASES)
def test_ten_steps_equal_keras(name: str, kwargs: dict[str, Any], sparse: bool) -> None:
    theirs = _made(real.keras.optimizers, name, kwargs)
    their_variables = [real.Variable(v, name=n) for v, n in zip(_START, "kb", strict=True)]
    try:
        for i in range(10):
            theirs.apply_gradients(zip(_gradients(real, real.IndexedSlices, i, sparse), their_variables, strict=True))
    except (ValueError, TypeError, NotImplementedError, AttributeError, real.errors.OpError) as error:
        pytest.skip(f"Keras takes no such gradients: {error}"[:200])
    for traced in (False,) if name == "Nadam" else (False, True):
        ours = _made(keras.optimizers, name, kwargs)
        variables = [tf.Variable(v, name=n) for v, n in zip(_START, "kb", strict=True)]

        def step(gradients: Any, ours: Any = ours, variables: Any = variables) -> None:
            ours.apply_gradients(zip(gradients, variables, strict=True))

        run = tf.function(step) if traced else step
        for i in range(10):
            run(_gradients(tf, IndexedSlices, i, sparse))
        for expected, found in zip(their_variables, variables, strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=2e-6, err_msg=f"traced={traced}")
        assert [v.name for v in _variables(theirs)] == [v.name for v in _variables(ours)]
        for expected, found in zip(_variables(theirs), _variables(ours), strict=True):
            scale = max(1.0, float(np.abs(expected.numpy()).max()))
            np.testing.assert_allclose(found.numpy() / scale, expected.numpy() / scale, atol=1e-5, err_msg=expected.name)
        assert str(theirs.get_config()) == str(ours.get_config())


@pytest.mark.parametrize(
    ("name", "arguments", "kwargs"),
    [
        ("ExponentialDecay", (0.1, 5, 0.9), {}),
        ("ExponentialDecay", (0.1, 5, 0.9), {"staircase": True}),
        ("InverseTimeDecay", (0.1, 5, 0.9), {"staircase": True}),
        ("PiecewiseConstantDecay", ([3, 7], [1.0, 0.5, 0.1]), {}),
        ("PolynomialDecay", (0.1, 5), {}),
        ("PolynomialDecay", (0.1, 5), {"cycle": True, "power": 2.0}),
        ("CosineDecay", (0.1, 8), {}),
        ("CosineDecay", (0.1, 8), {"warmup_target": 0.5, "warmup_steps": 4, "alpha": 0.1}),
        ("CosineDecayRestarts", (0.1, 4), {}),
        ("CosineDecayRestarts", (0.1, 4), {"t_mul": 1.0, "m_mul": 0.5}),
    ],
)
def test_schedule_equals_keras(name: str, arguments: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    theirs = getattr(real.keras.optimizers.schedules, name)(*arguments, **kwargs)
    ours = getattr(keras.optimizers.schedules, name)(*arguments, **kwargs)
    for step in range(0, 20, 3):
        expected = theirs(real.constant(step, real.int64)).numpy()
        np.testing.assert_allclose(ours(tf.constant(step, tf.int64)), expected, atol=1e-6)
    assert str(theirs.get_config()) == str(ours.get_config())
