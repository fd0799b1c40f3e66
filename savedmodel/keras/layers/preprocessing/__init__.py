"""Preprocessing layers."""

from __future__ import annotations

from savedmodel.keras.layers.preprocessing.base import PreprocessingLayer
from savedmodel.keras.layers.preprocessing.image import (
    CenterCrop,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomFlip,
    RandomHeight,
    RandomRotation,
    RandomTranslation,
    RandomWidth,
    RandomZoom,
    Rescaling,
    Resizing,
)
from savedmodel.keras.layers.preprocessing.lookup import IntegerLookup, StringLookup
from savedmodel.keras.layers.preprocessing.numeric import (
    CategoryEncoding,
    Discretization,
    HashedCrossing,
    Hashing,
    Normalization,
)
from savedmodel.keras.layers.preprocessing.text import TextVectorization

__all__ = [
    "CategoryEncoding", "CenterCrop", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup", "Normalization",
    "PreprocessingLayer", "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip", "RandomHeight", "RandomRotation",
    "RandomTranslation", "RandomWidth", "RandomZoom", "Rescaling", "Resizing", "StringLookup", "TextVectorization",
]  # fmt: skip
