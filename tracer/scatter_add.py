"""Adding (and otherwise reducing) rows of an array at repeated positions, fast: what scatters, segment sums and sparse gradients come down to."""

from __future__ import annotations

import numpy as np

__all__ = ["add_at", "reduce_by_id", "sum_by_id"]


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
    return reduce_by_id(np.add, ids, rows)


def reduce_by_id(ufunc: np.ufunc, ids: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct `ids` in ascending order, and for each its rows reduced with `ufunc`, from the first to the last."""
    if len(ids) < 2 or (ids[1:] > ids[:-1]).all():
        return ids, rows
    if not (ids[1:] >= ids[:-1]).all():
        order = np.argsort(ids, kind="stable")
        ids, rows = ids[order], rows[order]
    starts = np.flatnonzero(np.concatenate([[True], ids[1:] != ids[:-1]]))
    if len(starts) == len(ids):
        return ids, rows
    if ufunc in (np.maximum, np.minimum):
        return ids[starts], ufunc.reduceat(rows, starts, axis=0)
    return ids[starts], ufunc.reduceat(rows, starts, axis=0, dtype=rows.dtype)
