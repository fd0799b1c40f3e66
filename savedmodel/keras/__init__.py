"""Keras 2.15: `from savedmodel import keras`. Names are found when first used."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.namespaces import LazyNamespace, lazy_module

__version__ = "2.15.0"

_K = "savedmodel.keras"
_SERIALIZATION = f"{_K}.saving.serialization"
_API = f"{_K}.saving.saving_api"

_MODELS = LazyNamespace(
    "savedmodel.keras.models",
    {
        "Model": f"{_K}.engine.model:Model",
        "Sequential": f"{_K}.engine.sequential:Sequential",
        "clone_model": f"{_K}.engine.cloning:clone_model",
        "load_model": f"{_API}:load_model",
        "model_from_config": f"{_K}.engine.cloning:model_from_config",
        "model_from_json": f"{_K}.engine.cloning:model_from_json",
        "model_from_yaml": f"{_K}.engine.cloning:model_from_yaml",
        "save_model": f"{_API}:save_model",
    },
)
_INTERNAL = LazyNamespace(
    "savedmodel.keras.__internal__",
    {
        "KerasTensor": f"{_K}.engine.keras_tensor:KerasTensor",
        "enable_unsafe_deserialization": f"{_SERIALIZATION}:enable_unsafe_deserialization",
        "layers": LazyNamespace(
            "savedmodel.keras.__internal__.layers", {"BaseRandomLayer": f"{_K}.engine.base_layer:BaseRandomLayer"}
        ),
    },
)

_NAMES: dict[str, Any] = {
    "Input": f"{_K}.engine.input_layer:Input",
    "Model": f"{_K}.engine.model:Model",
    "Sequential": f"{_K}.engine.sequential:Sequential",
    "activations": f"{_K}.activations",
    "applications": f"{_K}.applications",
    "backend": f"{_K}.backend",
    "callbacks": f"{_K}.callbacks",
    "constraints": f"{_K}.constraints",
    "datasets": f"{_K}.datasets",
    "experimental": LazyNamespace(
        "savedmodel.keras.experimental",
        {
            "CosineDecay": f"{_K}.optimizers.schedules:CosineDecay",
            "CosineDecayRestarts": f"{_K}.optimizers.schedules:CosineDecayRestarts",
        },
    ),
    "export": LazyNamespace("savedmodel.keras.export", {"ExportArchive": f"{_K}.saving.export:ExportArchive"}),
    "initializers": f"{_K}.initializers",
    "layers": f"{_K}.layers",
    "losses": f"{_K}.losses",
    "metrics": f"{_K}.metrics",
    "mixed_precision": LazyNamespace(
        "savedmodel.keras.mixed_precision",
        {
            "LossScaleOptimizer": f"{_K}.optimizers.loss_scale:LossScaleOptimizer",
            "Policy": f"{_K}.policy:Policy",
            "global_policy": f"{_K}.policy:global_policy",
            "set_global_policy": f"{_K}.policy:set_global_policy",
        },
    ),
    "models": _MODELS,
    "optimizers": f"{_K}.optimizers",
    "preprocessing": f"{_K}.preprocessing",
    "regularizers": f"{_K}.regularizers",
    "saving": f"{_K}.saving",
    "utils": f"{_K}.utils",
}

__all__ = ["__version__", *_NAMES]  # noqa: PLE0604


_find, __dir__ = lazy_module(__name__, _NAMES)


def __getattr__(name: str) -> Any:
    if name == "__internal__":
        return _INTERNAL
    return _find(name)
