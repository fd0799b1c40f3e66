"""Losses of ragged labels and predictions: each row with its own length. It refuses rows whose lengths differ between both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dispatch
from tracer.composite import RaggedTensor
from tracer.public import tf

__all__ = ["apply_ragged"]


def apply_ragged(fn: Callable[..., Any], y_true: Any, y_pred: Any, *args: Any, extra_dimension: bool = False) -> Any:
    """`fn` on ragged arguments.

    A loss reduces the last axis. Where that axis is dense, the loss of the flat values keeps the outer rows; where it is the only ragged
    one, each row is reduced on its own. `extra_dimension`: predictions have one axis more than labels.

    Raises:
        ValueError: row lengths differ.
    """
    if not isinstance(y_true, RaggedTensor):
        return fn(y_true, y_pred.to_tensor(), *args)
    if not isinstance(y_pred, RaggedTensor):
        return fn(y_true.to_tensor(), y_pred, *args)
    splits = [list(rt.nested_row_splits) for rt in (y_true, y_pred)]
    if extra_dimension and len(splits[0]) == len(splits[1]) - 1:
        splits[1] = splits[1][:-1]
    if len(splits[0]) != len(splits[1]):
        raise ValueError(f"Inputs must have identical ragged splits. Input received: {splits}")
    if dispatch.executing_eagerly():
        for a, b in zip(*splits, strict=True):
            if not np.array_equal(np.asarray(a), np.asarray(b)):
                raise ValueError(f"Inputs must have identical ragged splits. Input received: {splits}")
    values = y_pred.flat_values
    if values.shape.rank is not None and values.shape.rank > 1:
        return _with_rows(fn(y_true.flat_values, values, *args), splits[0])
    # The reduced axis is ragged: the mean (or sum) of each innermost row, taken on elements of size one.
    if dispatch.executing_eagerly():
        return _row_by_row(fn, y_true, y_pred, args)
    raise ValueError(
        "losses of ragged tensors whose last axis is ragged cannot be traced: expected a dense last axis, received row splits "
        f"{splits}; add a last axis of a fixed size, or compute the loss outside of tf.function"
    )


def _with_rows(values: Any, splits: list[Any]) -> Any:
    """Losses of each element as ragged rows; their mean for each sample where only one ragged axis stands above them."""
    result = values
    for row_splits in reversed(splits):
        result = RaggedTensor.from_row_splits(result, row_splits)
    return result


def _row_by_row(fn: Callable[..., Any], y_true: Any, y_pred: Any, args: tuple[Any, ...]) -> Any:
    inner_true, inner_pred = np.asarray(y_true.nested_row_splits[-1]), np.asarray(y_pred.nested_row_splits[-1])
    losses = [
        fn(y_true.flat_values[a:b], y_pred.flat_values[c:d], *args)
        for a, b, c, d in zip(inner_true[:-1], inner_true[1:], inner_pred[:-1], inner_pred[1:], strict=True)
    ]
    result = tf.stack(losses)
    for row_splits in reversed(y_true.nested_row_splits[:-1]):
        result = RaggedTensor.from_row_splits(result, row_splits)
    return result
