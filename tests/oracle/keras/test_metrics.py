"""Metrics compared with Keras 2.15 after an eager and a traced update: results, states, names, configs."""

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

_N = 12
_RNG = np.random.default_rng(0)
_NUMBERS, _GUESSES = (_RNG.random((_N, 4)).astype("float32") for _ in range(2))
_CHANCES = _GUESSES / _GUESSES.sum(-1, keepdims=True)
_CLASSES, _CHOICES = (_RNG.integers(0, 4, _N) for _ in range(2))
_ONE_HOT = np.eye(4, dtype="float32")[_CLASSES]
_WEIGHTS = _RNG.random(_N).astype("float32")
_YES, _LIKELY = (_RNG.random((_N, 1)) > 0.5).astype("float32"), _RNG.random((_N, 1)).astype("float32")

_REGRESSION = (
    "MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredLogarithmicError RootMeanSquaredError CosineSimilarity "
    "LogCoshError Poisson KLDivergence R2Score Mean Sum MeanTensor"
).split()
_ONE_HOT_LABELS = "Hinge SquaredHinge CategoricalHinge CategoricalAccuracy CategoricalCrossentropy BinaryCrossentropy BinaryAccuracy".split()
_COUNTS = "Precision Recall TruePositives FalsePositives TrueNegatives FalseNegatives".split()
_CASES: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    *((n, {}, (_NUMBERS,) if n in ("Mean", "Sum", "MeanTensor") else (_NUMBERS, _GUESSES)) for n in _REGRESSION),
    ("R2Score", {"num_regressors": 2}, (_NUMBERS, _GUESSES)),
    ("R2Score", {"class_aggregation": None}, (_NUMBERS, _GUESSES)),
    *((n, {}, (_ONE_HOT, _CHANCES)) for n in _ONE_HOT_LABELS),
    ("TopKCategoricalAccuracy", {"k": 2}, (_ONE_HOT, _CHANCES)),
    ("Accuracy", {}, (_CLASSES, _CHOICES)),
    *((n, {}, (_CLASSES, _CHANCES)) for n in ("SparseCategoricalAccuracy", "SparseCategoricalCrossentropy")),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, (_CLASSES[:, None], _CHANCES)),
    *((n, kw, (_YES, _LIKELY)) for n in _COUNTS for kw in ({}, {"thresholds": [0.2, 0.5, 0.7]}, {"thresholds": 0.3})),
    *((n, kw, (_ONE_HOT, _CHANCES)) for n in ("Precision", "Recall") for kw in ({"top_k": 2}, {"class_id": 1})),
    ("PrecisionAtRecall", {"recall": 0.4}, (_YES, _LIKELY)),
    ("RecallAtPrecision", {"precision": 0.4}, (_YES, _LIKELY)),
    ("SensitivityAtSpecificity", {"specificity": 0.4}, (_YES, _LIKELY)),
    ("SpecificityAtSensitivity", {"sensitivity": 0.4}, (_YES, _LIKELY)),
    *(
        ("AUC", kw, (_ONE_HOT, _CHANCES))
        for kw in (
            {}, {"curve": "PR"}, {"summation_method": "majoring"}, {"thresholds": [0.1, 0.5]}, {"multi_label": True},
            {"multi_label": True, "label_weights": [0.1, 0.2, 0.3, 0.4]}, {"from_logits": True},
        )
    ),
    ("MeanIoU", {"num_classes": 4}, (_CLASSES, _CHOICES)),
    ("IoU", {"num_classes": 4, "target_class_ids": [0, 2], "ignore_class": 1}, (_CLASSES, _CHOICES)),
    ("BinaryIoU", {}, (_YES[:, 0], _LIKELY[:, 0])),
    ("OneHotIoU", {"num_classes": 4, "target_class_ids": [0, 2]}, (_ONE_HOT, _CHANCES)),
    ("OneHotMeanIoU", {"num_classes": 4}, (_ONE_HOT, _CHANCES)),
    ("F1Score", {"average": "micro", "threshold": 0.3}, (_ONE_HOT, _CHANCES)),
    ("FBetaScore", {"average": "weighted", "beta": 2.0}, (_ONE_HOT, _CHANCES)),
]  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(("name", "kwargs", "arguments"), _CASES, ids=[f"{n}-{kw}" for n, kw, _ in _CASES])
def test_metric_equals_keras(name: str, kwargs: dict[str, Any], arguments: tuple[Any, ...], weighted: bool) -> None:
    weights = _WEIGHTS if weighted else None
    theirs, ours = getattr(real.keras.metrics, name)(**kwargs), getattr(keras.metrics, name)(**kwargs)
    try:
        for _ in range(2):
            theirs.update_state(*arguments, sample_weight=weights)
        expected = theirs.result().numpy()
    except (ValueError, TypeError, real.errors.OpError):
        with pytest.raises((ValueError, TypeError)):
            ours.update_state(*arguments, sample_weight=weights)
        return
    ours.update_state(*arguments, sample_weight=weights)
    extra = () if weights is None else (tf.constant(weights),)

    @tf.function
    def update(values: Any, *extra: Any) -> None:
        ours.update_state(*values, sample_weight=extra[0] if extra else None)

    update(tuple(tf.constant(a) for a in arguments), *extra)
    np.testing.assert_allclose(ours.result(), expected, rtol=1e-5, atol=1e-6)
    assert [w.name for w in theirs.weights] == [w.name for w in ours.weights]
    for a, b in zip(theirs.weights, ours.weights, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-5, atol=1e-5, err_msg=a.name)
    configs = [{k: v for k, v in m.get_config().items() if k != "name"} for m in (theirs, ours)]
    np.testing.assert_equal(configs[1], configs[0])
    ours.reset_state()
    assert not any(w.numpy().any() for w in ours.weights)
