"""Labels and samples as NumPy arrays: one-hot and ordinal rows, unit norms, sequences of one length. No tensors here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["normalize", "pad_sequences", "to_categorical", "to_ordinal"]


def _labels(y: Any, num_classes: int | None) -> tuple[np.ndarray, tuple[int, ...], int]:
    labels = np.asarray(y).astype(int)
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    flat = labels.reshape(-1)
    return flat, shape, num_classes or int(flat.max()) + 1


def to_categorical(y: Any, num_classes: int | None = None, dtype: Any = "float32") -> np.ndarray:
    """Labels as one-hot rows; a last axis of size 1 is dropped first. `num_classes` is the greatest label plus one unless given."""
    labels, shape, count = _labels(y, num_classes)
    rows = np.zeros((len(labels), count), dtype)
    rows[np.arange(len(labels)), labels] = 1
    return rows.reshape(*shape, count)


def to_ordinal(y: Any, num_classes: int | None = None, dtype: Any = "float32") -> np.ndarray:
    """Labels as rows of `num_classes - 1` answers to "is it past class i?"."""
    labels, shape, count = _labels(y, num_classes)
    return (np.arange(count - 1) < labels[:, None]).astype(dtype).reshape(*shape, count - 1)


def normalize(x: Any, axis: int = -1, order: Any = 2) -> np.ndarray:
    """`x` over its norms along `axis`; vectors of zeros stay."""
    norms = np.atleast_1d(np.linalg.norm(x, order, axis))
    norms[norms == 0] = 1
    return x / np.expand_dims(norms, axis)


def _sample_shape(sequences: Sequence[Any]) -> tuple[int, ...]:
    for sequence in sequences:
        try:
            length = len(sequence)
        except TypeError as error:
            raise ValueError(f"`sequences` must be a list of iterables. Found non-iterable: {sequence}") from error
        if length:
            return np.asarray(sequence).shape[1:]
    return ()


def pad_sequences(
    sequences: Sequence[Any], maxlen: int | None = None, dtype: Any = "int32", padding: str = "pre", truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:  # fmt: skip
    """Sequences as rows of one length, cut or filled with `value` at the start ("pre") or the end ("post").

    Args:
        maxlen: the length; that of the longest sequence unless given.

    Raises:
        ValueError: a sequence that is none, samples of other shapes, words that are neither "pre" nor "post".
    """
    if not hasattr(sequences, "__len__"):
        raise ValueError("`sequences` must be iterable.")
    shape = _sample_shape(sequences)
    not_iterable = [s for s in sequences if not hasattr(s, "__len__")]
    if not_iterable:
        raise ValueError(f"`sequences` must be a list of iterables. Found non-iterable: {not_iterable[0]}")
    if maxlen is None:
        maxlen = max(len(s) for s in sequences)
    if isinstance(value, str) and np.dtype(dtype).kind not in "OU":
        raise ValueError(
            f"`dtype` {dtype} is not compatible with `value`'s type: {type(value)}\nYou should set `dtype=object` for variable length strings."
        )
    rows = np.full((len(sequences), maxlen, *shape), value, dtype)
    for i, sequence in enumerate(sequences):
        if not len(sequence):
            continue
        if truncating not in ("pre", "post"):
            raise ValueError(f'Truncating type "{truncating}" not understood')
        kept = np.asarray(sequence[-maxlen:] if truncating == "pre" else sequence[:maxlen], dtype)
        if kept.shape[1:] != shape:
            raise ValueError(
                f"Shape of sample {kept.shape[1:]} of sequence at position {i} is different from expected shape {shape}"
            )
        if padding == "post":
            rows[i, : len(kept)] = kept
        elif padding == "pre":
            rows[i, maxlen - len(kept) :] = kept
        else:
            raise ValueError(f'Padding type "{padding}" not understood')
    return rows
