"""Preprocessing layers, by name; each family has a module of its own."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.namespaces import LazyNamespace, lazy_module

_P = __name__
_FAMILIES = {
    "base": "PreprocessingLayer",
    "categorical": "CategoryEncoding HashedCrossing Hashing",
    "discretization": "Discretization",
    "image_augmentation": "RandomBrightness RandomContrast RandomCrop RandomFlip RandomHeight RandomWidth",
    "image_resizing": "CenterCrop Rescaling Resizing",
    "image_transforms": "RandomRotation RandomTranslation RandomZoom",
    "lookup": "IntegerLookup StringLookup",
    "normalization": "Normalization",
    "text_vectorization": "TextVectorization",
}
_NAMES: dict[str, Any] = {name: f"{_P}.{module}:{name}" for module, names in _FAMILIES.items() for name in names.split()}
_NAMES["experimental"] = LazyNamespace(
    "savedmodel.keras.layers.experimental",
    {
        "EinsumDense": "savedmodel.keras.layers.core:EinsumDense",
        "SyncBatchNormalization": "savedmodel.keras.layers.normalization:SyncBatchNormalization",
        "preprocessing": LazyNamespace("savedmodel.keras.layers.experimental.preprocessing", dict(_NAMES)),
    },
)

__all__ = sorted(_NAMES)  # noqa: PLE0605

__getattr__, __dir__ = lazy_module(__name__, _NAMES)
