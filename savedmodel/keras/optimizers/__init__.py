"""Optimizers of Keras 2.15, by class and name; `legacy` holds the older ones and `schedules` learning rates that depend on the step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from savedmodel.keras import named_objects
from savedmodel.keras.optimizers import legacy, schedules
from savedmodel.keras.optimizers.algorithms import (
    SGD,
    Adadelta,
    Adafactor,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lion,
    Nadam,
    RMSprop,
)
from savedmodel.keras.optimizers.base import Optimizer, RestoredOptimizer

__all__ = [
    "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Nadam", "Optimizer", "RMSprop",
    "RestoredOptimizer", "deserialize", "get", "legacy", "schedules", "serialize",
]  # fmt: skip

# The names that `compile` and configs know; as in Keras, AdamW, Lion and Adafactor are not among them.
_NAMED = {"adadelta": Adadelta, "adagrad": Adagrad, "adam": Adam, "adamax": Adamax, "nadam": Nadam, "rmsprop": RMSprop, "sgd": SGD, "ftrl": Ftrl}
_EXPERIMENTAL = {f"experimental{name}": _NAMED[name] for name in ("adadelta", "adagrad", "adam", "sgd")}


def _objects(use_legacy: bool) -> dict[str, Any]:
    from savedmodel.keras.optimizers import loss_scale

    scaled = {"lossscaleoptimizerv3": loss_scale.LossScaleOptimizerV3, "lossscaleoptimizerv1": loss_scale.LegacyLossScaleOptimizer}
    scaled["lossscaleoptimizer"] = loss_scale.LegacyLossScaleOptimizer if use_legacy else loss_scale.LossScaleOptimizerV3
    named = {name: getattr(legacy, cls.__name__) for name, cls in _NAMED.items()} if use_legacy else _NAMED
    return {**named, **_EXPERIMENTAL, **scaled}


def serialize(optimizer: Any, use_legacy_format: bool = False) -> Any:
    """The config of an optimizer, new or legacy."""
    if isinstance(optimizer, legacy.Optimizer):
        return named_objects.serialize(optimizer, use_legacy_format)
    return named_objects.serialize(optimizer, use_legacy_format, Optimizer, "optimizers")


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False,
    use_legacy_optimizer: bool = False, **kwargs: Any,
) -> Any:  # fmt: skip
    """The optimizer of a config. A config without `is_legacy_optimizer: False` stands for a legacy one.

    Raises:
        ValueError: unknown name.
    """
    if kwargs:
        raise TypeError(f"Invalid keyword arguments: {kwargs}")
    if len(config["config"]) > 0:
        use_legacy_optimizer = config["config"].get("is_legacy_optimizer", True)
    objects = _objects(use_legacy_optimizer)
    config = dict(config)
    if config["class_name"].lower() in objects:
        config["class_name"] = config["class_name"].lower()
    return named_objects.deserialize(config, objects, "optimizer", custom_objects, use_legacy_format)


def get(identifier: Any, use_legacy_optimizer: bool = False, **kwargs: Any) -> Any:
    """An optimizer from a name, a config or an instance.

    Raises:
        ValueError: it is none of these, or the name is unknown.
    """
    if kwargs:
        raise TypeError(f"Invalid keyword arguments: {kwargs}")
    if isinstance(identifier, (Optimizer, legacy.Optimizer)):
        return identifier
    if isinstance(identifier, str):
        identifier = {"class_name": str(identifier), "config": {}}
    if isinstance(identifier, dict):
        return deserialize(identifier, use_legacy_format="module" not in identifier, use_legacy_optimizer=use_legacy_optimizer)
    raise ValueError(f"Could not interpret optimizer identifier: {identifier}")
