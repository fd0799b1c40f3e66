"""Adding rows of an array at repeated positions, fast: what scatters, segment sums and sparse gradients come down to."""

from __future__ import annotations

import numpy as np

__all__ = ["add_at", "sum_by_id"]


def add_at(out: np.ndarray, index: tuple[np.ndarray, ...], rows: np.ndarray) -> None:
    """`out[index] += rows` where a position may be met several times. `index` holds one flat array per leading axis of `out`."""
    if not len(rows):
        return
    if rows.ndim == 1 or out.dtype.kind in "OV":
        np.add.at(out, index, rows)
        return
    ids = index[0] if len(index) == 1 else np.ravel_multi_index(index, out.shape[: len(index)])
    flat = out.reshape(-1, *out.shape[len(index) :])
    positions, sums = sum_by_id(ids, rows)
    flat[positions] += sums
    if not np.shares_memory(flat, out):
        out[...] = flat.reshape(out.shape)


def sum_by_id(ids: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct `ids` in ascending order, and for each the sum of its rows in the order they stand."""
    if len(ids) < 2 or (ids[1:] > ids[:-1]).all():
        return ids, rows
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if len(starts) == len(ids):
        return ordered, rows[order]
    return ordered[starts], np.add.reduceat(rows[order], starts, axis=0, dtype=rows.dtype)
