"""tf.compat.v1: the names that do without sessions. Re-exports only; a session is refused by not being there."""

from __future__ import annotations

from typing import Any

from savedmodel.tf import compat_v1_saved_model_names as saved_model
from tracer.public import tf as _tf

__all__ = ["saved_model"]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(_tf.compat.v1, name)
