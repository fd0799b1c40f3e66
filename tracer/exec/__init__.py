"""Execution: engines turn function graphs into runnables. The NumPy engine is always there; bodies with Switch and Merge flow (dataflow)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer.exec.numpy_engine import prepare as _prepare
from tracer.exec.plan import uses_old_control_flow

__all__ = ["prepare"]


def prepare(graph: Any) -> Callable[..., Any]:
    """The runnable of function graph `graph`, made once: takes its inputs as flat values, returns its outputs."""
    found = graph.extra.get("runnable")
    if found is None:
        if uses_old_control_flow(graph):
            from tracer.exec.dataflow import prepare as flowing

            found = flowing(graph)
        else:
            found = _prepare(graph)
        graph.extra["runnable"] = found
    return found
