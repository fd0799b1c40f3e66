"""Autograph: Python control flow on tensors becomes graph control flow. It refuses to trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["convert", "convert_in_context"]


def convert(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` as it is."""
    return fn


def convert_in_context(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` as it is."""
    return fn
