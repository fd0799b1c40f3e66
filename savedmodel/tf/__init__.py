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
    "constant_initializer": "savedmodel.keras.initializers:Constant",
    "get_current_name_scope": "tracer.dispatch:current_scope",
    "ones_initializer": "savedmodel.keras.initializers:Ones",
    "random_normal_initializer": "savedmodel.keras.initializers:RandomNormal",
    "random_uniform_initializer": "savedmodel.keras.initializers:RandomUniform",
    "type_spec_from_value": "tracer.specs:type_spec_from_value",
    "zeros_initializer": "savedmodel.keras.initializers:Zeros",
}
_SPACES: dict[str, Any] = {
    "compat": LazyNamespace("savedmodel.tf.compat", {"v1": "savedmodel.tf.compat_v1_names"}),
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
    "io": LazyNamespace(
        "savedmodel.tf.io",
        {
            "gfile": "savedmodel.tf.gfile_names",
            "matching_files": "savedmodel.io_ops:matching_files",
            "read_file": "savedmodel.io_ops:read_file",
            "write_file": "savedmodel.io_ops:write_file",
        },
    ),
    "saved_model": LazyNamespace("savedmodel.tf.saved_model", {}, ("savedmodel.tf.saved_model_names",)),
    "train": LazyNamespace(
        "savedmodel.tf.train",
        {
            "Checkpoint": "savedmodel.checkpoint:Checkpoint",
            "CheckpointOptions": "savedmodel.checkpoint:CheckpointOptions",
            "experimental": LazyNamespace("savedmodel.tf.train.experimental", {"PythonState": "savedmodel.checkpoint:PythonState"}),
            "get_checkpoint_state": "savedmodel.format.checkpoint_state:get_checkpoint_state",
            "latest_checkpoint": "savedmodel.format.checkpoint_state:latest_checkpoint",
        },
        ("savedmodel.checkpoint_management",),
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


