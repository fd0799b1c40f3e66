"""The older home of functions that prepare data. Names are found when first used."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.namespaces import LazyNamespace, lazy_module

_NAMES: dict[str, Any] = {
    "sequence": LazyNamespace(
        "savedmodel.keras.preprocessing.sequence", {"pad_sequences": "savedmodel.keras.utils.arrays:pad_sequences"}
    ),
}

__all__ = list(_NAMES)

__getattr__, __dir__ = lazy_module(__name__, _NAMES)
