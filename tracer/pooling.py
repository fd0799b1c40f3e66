"""Pooling in any number of spatial dimensions, as whole-array passes over window taps, one axis after the other. It refuses to know ops.

Arrays have channels last: [N, *space, C].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer.windows import Axis
from tracer.workers import run_blocks

__all__ = ["average", "average_gradient", "counts", "lowest", "maximum", "maximum_choice", "maximum_gradient", "pick_by_choice"]

_PARALLEL_ELEMENTS = 1 << 17
_BLOCK_BYTES = 1 << 22


def lowest(dtype: Any) -> Any:
    """The smallest finite value of a dtype: what TensorFlow starts a maximum with."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        return np.iinfo(dtype).min
    if dtype.kind == "f":
        return np.finfo(dtype).min
    import ml_dtypes

    return ml_dtypes.finfo(dtype).min


def _along(x: np.ndarray, axis: Axis, dim: int, combine: Callable[..., Any], empty: Any) -> np.ndarray:
    """Combine the taps of the windows along one dimension."""
    if axis.kernel == 1 and axis.stride == 1 and axis.out == axis.size and not axis.before:
        return x
    shape = (*x.shape[:dim], axis.out, *x.shape[dim + 1 :])
    lead = (slice(None),) * dim
    taps = [(t, *axis.reach(t)) for t in range(axis.kernel)]
    whole = [t for t in taps if t[1] == 0 and t[2] == axis.out]
    if whole:
        tap = whole[0]
        taps.remove(tap)
        begin = tap[3]
        first_slice = x[(*lead, slice(begin, begin + (axis.out - 1) * axis.stride + 1, axis.stride))]
        if taps and taps[0][1] == 0 and taps[0][2] == axis.out:
            other = taps.pop(0)[3]
            out = combine(first_slice, x[(*lead, slice(other, other + (axis.out - 1) * axis.stride + 1, axis.stride))])
        else:
            out = first_slice.copy()
    else:
        out = np.full(shape, empty, x.dtype)
    for _, first, last, begin in taps:
        if last <= first:
            continue
        target = out[(*lead, slice(first, last))]
        combine(target, x[(*lead, slice(begin, begin + (last - first - 1) * axis.stride + 1, axis.stride))], out=target)
    return out


def _in_blocks(
    x: np.ndarray, axes: Sequence[Axis], run: Callable[[np.ndarray, Sequence[Axis]], np.ndarray], kind: Any
) -> np.ndarray:
    """`run` on blocks of output rows that stay in the cache, over all cores; at once where the input is small."""
    per_image = x[0].nbytes
    if x.nbytes <= _BLOCK_BYTES:
        return run(x, axes)
    first = axes[0]
    out = np.empty((len(x), *(a.out for a in axes), x.shape[-1]), kind)
    parts = min(first.out, max(1, -(-per_image // _BLOCK_BYTES)))
    step = -(-first.out // parts)
    blocks = [(n, r, min(first.out, r + step)) for n in range(len(x)) for r in range(0, first.out, step)]

    def work(i: int) -> None:
        n, r0, r1 = blocks[i]
        begin, end = r0 * first.stride - first.before, (r1 - 1) * first.stride - first.before + first.kernel
        low = min(max(begin, 0), first.size)
        high = max(low, min(end, first.size))
        rows = Axis(high - low, first.kernel, first.stride, 1, low - begin, 0, r1 - r0)
        out[n, r0:r1] = run(x[n : n + 1, low:high], (rows, *axes[1:]))[0]

    run_blocks(work, len(blocks))
    return out


def maximum(x: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """The maximum of each window; padding does not count."""
    if not x.size:
        return np.full((len(x), *(a.out for a in axes), x.shape[-1]), lowest(x.dtype), x.dtype)
    empty = lowest(x.dtype)

    def run(part: np.ndarray, some: Sequence[Axis]) -> np.ndarray:
        for dim, axis in enumerate(some, 1):
            part = _along(part, axis, dim, np.maximum, empty)
        return part

    out = _in_blocks(x, axes, run, x.dtype)
    return out.copy() if out is x else out


def counts(axes: Sequence[Axis], dtype: Any) -> np.ndarray:
    """How many cells of the input each window covers, [*out, 1]."""
    total = np.ones((), dtype)
    for axis in axes:
        starts = np.arange(axis.out) * axis.stride - axis.before
        some = np.minimum(starts + axis.kernel, axis.size) - np.maximum(starts, 0)
        total = total[..., None] * np.maximum(some, 0).astype(dtype)
    return total[..., None]


def average(x: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """The mean of each window over the cells that exist."""
    kind = x.dtype
    wide = x if kind.itemsize >= 4 else x.astype(np.float32)
    shape = (len(x), *(a.out for a in axes), x.shape[-1])
    if not x.size:
        return np.zeros(shape, kind)

    def run(part: np.ndarray, some: Sequence[Axis]) -> np.ndarray:
        scale = (1 / counts(some, np.float64)).astype(wide.dtype)
        for dim, axis in enumerate(some, 1):
            part = _along(part, axis, dim, np.add, 0)
        return part * scale

    return _in_blocks(wide, axes, run, wide.dtype).astype(kind, copy=False)


def _taps(axes: Sequence[Axis]) -> list[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """For each tap of the window: (tap, where in the output it exists, which input cells those are)."""
    found = []
    for tap in np.ndindex(*(a.kernel for a in axes)):
        outs, ins = [], []
        for axis, t in zip(axes, tap):
            first, last, begin = axis.reach(t)
            if last <= first:
                break
            outs.append(slice(first, last))
            ins.append(slice(begin, begin + (last - first - 1) * axis.stride + 1, axis.stride))
        else:
            found.append((tap, (slice(None), *outs), (slice(None), *ins)))
    return found


def average_gradient(shape: Sequence[int], grad: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """Spread each window's gradient evenly over the cells it covers."""
    kind = grad.dtype
    wide = grad if kind.itemsize >= 4 else grad.astype(np.float32)
    if not grad.size:
        return np.zeros(tuple(shape), kind)
    part = wide * (1 / counts(axes, np.float64)).astype(wide.dtype)
    # One axis after the other, as in the forward direction.
    for dim in range(len(axes), 0, -1):
        axis = axes[dim - 1]
        lead = (slice(None),) * dim
        spread = np.zeros((*part.shape[:dim], axis.size, *part.shape[dim + 1 :]), part.dtype)
        for tap in range(axis.kernel):
            first, last, begin = axis.reach(tap)
            if last > first:
                spread[(*lead, slice(begin, begin + (last - first - 1) * axis.stride + 1, axis.stride))] += part[(*lead, slice(first, last))]
        part = spread
    return part.astype(kind, copy=False)


def maximum_choice(x: np.ndarray, axes: Sequence[Axis]) -> tuple[np.ndarray, np.ndarray]:
    """The maximum of each window, and the flat spatial index of the first cell that has it (scan order)."""
    shape = (len(x), *(a.out for a in axes), x.shape[-1])
    best = np.full(shape, lowest(x.dtype), x.dtype)
    where = np.full(shape, -1, np.int64)
    sizes = [a.size for a in axes]
    for _, outs, ins in _taps(axes):
        values = x[ins]
        mask = values > best[outs]
        mask |= where[outs] < 0
        position = np.zeros((), np.int64)
        for i, s in enumerate(ins[1:]):
            line = np.arange(s.start, s.stop, s.step, dtype=np.int64)
            position = position * sizes[i] + line.reshape((-1,) + (1,) * (len(sizes) - i - 1))
        np.copyto(best[outs], values, where=mask)
        np.copyto(where[outs], position[..., None], where=mask)
    return best, where


def maximum_gradient(x: np.ndarray, grad: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """Each window's gradient goes to the first cell (scan order) that holds its maximum."""
    kind = grad.dtype
    wide = grad if kind.itemsize >= 4 or kind.kind in "iu" else grad.astype(np.float32)
    out = np.zeros(x.shape, wide.dtype)
    if not grad.size:
        return out.astype(kind, copy=False)
    parts = len(x) if x.size >= _PARALLEL_ELEMENTS else 1

    def work(i: int) -> None:
        part = slice(i, i + 1) if parts > 1 else slice(None)
        _spread_maximum(x[part], wide[part], out[part], axes)

    run_blocks(work, parts)
    return out.astype(kind, copy=False)


def _spread_maximum(x: np.ndarray, grad: np.ndarray, out: np.ndarray, axes: Sequence[Axis]) -> None:
    best = maximum(x, axes)
    disjoint = all(a.stride >= a.kernel for a in axes)
    open_ = np.ones(best.shape, bool)
    for _, outs, ins in _taps(axes):
        mask = x[ins] == best[outs]
        mask &= open_[outs]
        open_[outs] &= ~mask
        if disjoint:
            np.multiply(grad[outs], mask, out=out[ins])
        else:
            out[ins] += grad[outs] * mask


def pick_by_choice(grad: np.ndarray, x: np.ndarray, best: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """For each window, `grad` at the first cell of `x` that equals `best`."""
    out = np.zeros(best.shape, grad.dtype)
    open_ = np.ones(best.shape, bool)
    for _, outs, ins in _taps(axes):
        mask = x[ins] == best[outs]
        mask &= open_[outs]
        open_[outs] &= ~mask
        np.copyto(out[outs], grad[ins], where=mask)
    return out
