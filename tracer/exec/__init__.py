"""Execution: engines turn function graphs into runnables. The NumPy engine is always there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer.exec.numpy_engine import prepare as _prepare

__all__ = ["prepare"]


def prepare(graph: Any) -> Callable[..., Any]:
    """The runnable of function graph `graph`, made once: takes its inputs as flat values, returns its outputs."""
    found = graph.extra.get("runnable")
    if found is None:
        found = graph.extra["runnable"] = _prepare(graph)
    return found
