"""Sequence: batches by index, for `fit`, `evaluate` and `predict`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["Sequence"]


class Sequence:
    """Base class of data that know their batches by number. Define `__getitem__` and `__len__`."""

    _is_keras_sequence = True

    def __getitem__(self, index: int) -> Any:
        """Batch number `index`."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index), the batch of that number")

    def __len__(self) -> int:
        """The number of batches."""
        raise NotImplementedError(f"{type(self).__name__} must define __len__(), the number of batches")

    def on_epoch_end(self) -> None:
        """Called after each epoch; may reorder the data."""

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))
