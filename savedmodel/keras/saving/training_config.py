"""How a compiled model's loss, metrics and optimizer are written into metadata and HDF5, and compiled again. It refuses to train."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.saving import serialization

__all__ = ["compile_arguments", "optimizer_config", "training_config"]


def training_config(model: Any) -> dict[str, Any] | None:
    """The `training_config` of a compiled model, or None."""
    if not getattr(model, "_is_compiled", False) or getattr(model, "optimizer", None) is None:
        return None
    arguments = model._get_compile_args(user_metrics=False)
    out = {k: v for k, v in arguments.items() if k in ("loss", "metrics", "weighted_metrics", "loss_weights")}
    config = _serialize_structure(out)
    config["optimizer_config"] = optimizer_config(model.optimizer)
    return config


def optimizer_config(optimizer: Any) -> dict[str, Any]:
    """The legacy config of an optimizer: `{"class_name": "Custom>Adam", "config": {…}}` for the present API."""
    name = type(optimizer).__name__
    from savedmodel.keras import registration

    registered = registration.get_registered_name(type(optimizer))
    if ">" not in registered and type(optimizer).__module__.startswith("savedmodel.keras.optimizers"):
        registered = name if getattr(optimizer, "_is_legacy", False) or "legacy" in type(optimizer).__module__ else f"Custom>{name}"
    config = optimizer.get_config()
    if registered.startswith("Custom>"):
        config.setdefault("is_legacy_optimizer", False)
    return {"class_name": registered, "config": config}


def _serialize_structure(value: Any) -> Any:
    def one(v: Any) -> Any:
        if v is None or isinstance(v, (str, int, float, bool)):
            return v
        if hasattr(v, "get_config"):
            return serialization.legacy_serialize_keras_object(v)
        if callable(v):
            return getattr(v, "__name__", type(v).__name__)
        return v

    if isinstance(value, dict):
        return {k: _serialize_structure(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_serialize_structure(v) for v in value]
    return one(value)


def compile_arguments(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> dict[str, Any]:
    """The arguments of `compile` that a `training_config` stands for.

    Raises:
        ValueError: a loss, metric or optimizer is not known; the message names it.
    """
    from savedmodel.keras import losses, metrics, optimizers, registration

    with registration.CustomObjectScope(custom_objects or {}):
        optimizer = optimizers.deserialize(config["optimizer_config"], custom_objects=custom_objects)
        loss = None
        if config.get("loss") is not None:
            loss = _deserialize(losses.deserialize, config["loss"], custom_objects)
        found_metrics = None
        if config.get("metrics") is not None:
            found_metrics = _deserialize(metrics.deserialize, config["metrics"], custom_objects, keep=("accuracy", "acc", "crossentropy", "ce"))
        weighted = None
        if config.get("weighted_metrics") is not None:
            weighted = _deserialize(metrics.deserialize, config["weighted_metrics"], custom_objects, keep=("accuracy", "acc", "crossentropy", "ce"))
    return {
        "optimizer": optimizer,
        "loss": loss,
        "metrics": found_metrics,
        "weighted_metrics": weighted,
        "loss_weights": config.get("loss_weights"),
    }


def _deserialize(deserialize: Any, value: Any, custom_objects: Any, keep: tuple[str, ...] = ()) -> Any:
    if value is None:
        return None
    if isinstance(value, dict):
        if "class_name" in value and "config" in value:
            return deserialize(value, custom_objects)
        return {k: _deserialize(deserialize, v, custom_objects, keep) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_deserialize(deserialize, v, custom_objects, keep) for v in value]
    if isinstance(value, str) and value not in keep:
        return deserialize(value, custom_objects)
    return value


