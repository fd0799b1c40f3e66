"""Ragged labels and predictions as flat values for metrics. It refuses to mix ragged and dense arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import dispatch
from tracer.composite import RaggedTensor
from tracer.public import tf

__all__ = ["flat_values"]


def _check_splits(splits: Sequence[Sequence[Any]]) -> None:
    """Raises ValueError when row splits differ; symbolic ones are compared by number alone."""
    text = f"Inputs must have identical ragged splits. Input received: {splits}"
    for other in splits[1:]:
        if len(other) != len(splits[0]):
            raise ValueError(text)
        if dispatch.executing_eagerly():
            for a, b in zip(splits[0], other, strict=True):
                if not np.array_equal(np.asarray(a), np.asarray(b)):
                    raise ValueError(text)


def flat_values(values: list[Any], mask: Any = None) -> tuple[list[Any], Any]:
    """(values, mask), ragged ones flattened to [n, 1]; dense ones as they are.

    Raises:
        TypeError: some are ragged, others not.
        ValueError: different row lengths.
    """
    ragged = [isinstance(v, RaggedTensor) for v in values]
    if all(ragged):
        splits = [v.nested_row_splits for v in values]
        _check_splits(splits)
        if isinstance(mask, RaggedTensor):
            _check_splits([splits[0], mask.nested_row_splits])
            mask = tf.expand_dims(mask.flat_values, -1)
        return [tf.expand_dims(v.flat_values, -1) for v in values], mask
    if any(ragged):
        raise TypeError(f"Some of the inputs are not tf.RaggedTensor. Input received: {values}")
    if isinstance(mask, RaggedTensor):
        raise TypeError(f"Ragged mask is not allowed with non-ragged inputs. Input received: {values}, mask received: {mask}")
    return values, mask
