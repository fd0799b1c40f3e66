"""savedmodel: load, run, train, inspect and write TensorFlow SavedModels without TensorFlow. Names are found when first used."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# name → (module, attribute); attribute None: the module itself
_NAMES: dict[str, tuple[str, str | None]] = {
    "errors": ("savedmodel.errors", None),
    "keras": ("savedmodel.keras", None),
    "load": ("savedmodel.loader", "load"),
    "open": ("savedmodel.reader", "open_model"),
    "save": ("savedmodel.writer", "save"),
    "tf": ("savedmodel.tf", None),
}

__all__ = ["__version__", *_NAMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _NAMES[name]
    except KeyError:
        raise AttributeError(f"module 'savedmodel' has no attribute {name!r}") from None
    found = importlib.import_module(module)
    value = found if attribute is None else getattr(found, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
