"""`from savedmodel import tf`: TensorFlow's names. Re-exports only; everything is found when first used."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from savedmodel.keras.namespaces import LazyNamespace
from tracer import public

__all__ = ["tf"]

__version__ = "2.15.0"

_LOADED: dict[str, str] = {
    "keras": "savedmodel.keras",
    "initializers": "savedmodel.keras.initializers",
    "losses": "savedmodel.keras.losses",
    "metrics": "savedmodel.keras.metrics",
    "optimizers": "savedmodel.keras.optimizers",
    "Module": "savedmodel.trackable:Module",
}
_SPACES: dict[str, Any] = {
    "data": LazyNamespace(
        "savedmodel.tf.data",
        {
            "experimental": LazyNamespace(
                "savedmodel.tf.data.experimental",
                {
                    "AUTOTUNE": "savedmodel.data:AUTOTUNE",
                    "INFINITE_CARDINALITY": "savedmodel.data:INFINITE_CARDINALITY",
                    "UNKNOWN_CARDINALITY": "savedmodel.data:UNKNOWN_CARDINALITY",
                },
            ),
        },
        ("savedmodel.data",),
    ),
    "errors": LazyNamespace("savedmodel.tf.errors", {}, ("savedmodel.tf.error_names",)),
    "io": LazyNamespace("savedmodel.tf.io", {"gfile": "savedmodel.tf.gfile_names"}),
    "saved_model": LazyNamespace("savedmodel.tf.saved_model", {}, ("savedmodel.tf.saved_model_names",)),
    "train": LazyNamespace(
        "savedmodel.tf.train",
        {
            "Checkpoint": "savedmodel.checkpoint:Checkpoint",
            "CheckpointManager": "savedmodel.checkpoint_management:CheckpointManager",
            "CheckpointOptions": "savedmodel.checkpoint:CheckpointOptions",
            "CheckpointView": "savedmodel.checkpoint_management:CheckpointView",
            "TrackableView": "savedmodel.checkpoint_management:TrackableView",
            "checkpoint_exists": "savedmodel.checkpoint_management:checkpoint_exists",
            "checkpoints_iterator": "savedmodel.checkpoint_management:checkpoints_iterator",
            "get_checkpoint_state": "savedmodel.checkpoint_management:get_checkpoint_state",
            "latest_checkpoint": "savedmodel.checkpoint_management:latest_checkpoint",
            "list_variables": "savedmodel.checkpoint_management:list_variables",
            "load_checkpoint": "savedmodel.checkpoint_management:load_checkpoint",
            "load_variable": "savedmodel.checkpoint_management:load_variable",
            "update_checkpoint_state": "savedmodel.checkpoint_management:update_checkpoint_state",
            "experimental": LazyNamespace("savedmodel.tf.train.experimental", {"PythonState": "savedmodel.checkpoint:PythonState"}),
        },
    ),
    "version": LazyNamespace("savedmodel.tf.version", {}, ("savedmodel.tf.version_names",)),
    "config": LazyNamespace("savedmodel.tf.config", {}, ("savedmodel.tf.config_names",)),
}


class _Joined(ModuleType):
    """A namespace of ours in front of the tracer's namespace of the same name."""

    def __init__(self, name: str, first: Any, second: Any):
        super().__init__(name)
        self.__dict__["_parts"] = (first, second)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        for part in self.__dict__["_parts"]:
            try:
                value = getattr(part, name)
            except (AttributeError, ModuleNotFoundError):
                continue
            self.__dict__[name] = value
            return value
        raise AttributeError(f"{self.__name__} has no attribute {name!r}")


class _Tf(ModuleType):
    """The namespace `tf`."""

    __version__ = "2.15.0"
    newaxis = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        if name in _LOADED:
            module, _, attribute = _LOADED[name].partition(":")
            value: Any = importlib.import_module(module)
            value = getattr(value, attribute) if attribute else value
        elif name in _SPACES:
            try:
                value = _Joined(f"tf.{name}", _SPACES[name], getattr(public.tf, name))
            except AttributeError:
                value = _SPACES[name]
        else:
            value = getattr(public.tf, name)
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        return sorted({*_LOADED, *_SPACES, *dir(public.tf)})


tf: Any = _Tf("savedmodel.tf")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(tf, name)


