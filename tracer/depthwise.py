"""Depthwise convolution: each channel on its own, as one fused multiply-add pass over blocks of rows. It refuses to know ops.

A block of rows is padded into scratch memory with its columns sorted by phase (column modulo stride), so that all cells one tap reads for
a row of output lie side by side; the filter is repeated to the same length. One einsum then runs over long rows, whatever the channels.
Arrays have channels last: input [N, H, W, C], filter [KH, KW, C, M], output [N, OH, OW, C·M].
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import gcd
from typing import Any

import numpy as np

from tracer.windows import Axis
from tracer.workers import cores, run_blocks, scratch

__all__ = ["backward_filter", "backward_input", "forward"]

_BLOCK_BYTES = 1 << 19
_PARALLEL_BYTES = 1 << 20

Finish = Callable[[np.ndarray], Any]


def _is_short(x: np.ndarray) -> bool:
    return x.dtype.itemsize < 4


def forward(x: np.ndarray, w: np.ndarray, rows: Axis, columns: Axis, finish: Finish | None = None) -> np.ndarray:
    """The depthwise convolution.

    Args:
        x: [N, H, W, C].
        w: [KH, KW, C, M].
        finish: changes a block [rows, OW, C·M] of the result in place while it is in the cache.
    """
    if _is_short(x):
        return forward(x.astype(np.float32), w.astype(np.float32), rows, columns, finish).astype(x.dtype)
    depth = w.shape[2] * w.shape[3]
    out = np.empty((len(x), rows.out, columns.out, depth), x.dtype)
    if not out.size:
        return out
    if not w.size or not x.size:
        out.fill(0)
    else:
        layout = _Layout(x, w.shape[3], rows, columns)
        taps = layout.repeat(w)

        def work(i: int) -> None:
            n, r0, r1 = layout.blocks[i]
            memory, offset, step = layout.padded(n, r0, r1)
            block = out[n, r0:r1].reshape(r1 - r0, -1)
            for k, (first, weights) in enumerate(taps):
                view = layout.view(memory, offset, step, first, r1 - r0)
                if k == 0:
                    np.einsum("rabn,abn->rn", view, weights, out=block)
                else:
                    part = scratch("part", block.shape, x.dtype)
                    np.einsum("rabn,abn->rn", view, weights, out=part)
                    np.add(block, part, out=block)
            if finish is not None:
                finish(out[n, r0:r1])

        run_blocks(work, len(layout.blocks), out.nbytes >= _PARALLEL_BYTES)
        return out
    if finish is not None:
        finish(out)
    return out


class _Layout:
    """How rows of a padded image lie in memory: [row, phase, column // stride, channel·multiplier]."""

    def __init__(self, x: np.ndarray, multiplier: int, rows: Axis, columns: Axis):
        self.x, self.rows, self.columns, self.multiplier = np.ascontiguousarray(x), rows, columns, multiplier
        self.depth = x.shape[-1] * multiplier
        self.length = columns.out * self.depth
        self.stride = columns.stride
        needed = (columns.out - 1) * columns.stride + columns.extent
        self.per_phase = -(-needed // self.stride)
        self.plain = self.stride == 1 and multiplier == 1 and columns.before == 0 and needed <= columns.size
        # Taps by the phase they read: within a group they are evenly spaced.
        jump = self.stride // gcd(self.stride, columns.dilation)
        self.groups = [list(range(first, columns.kernel, jump)) for first in range(min(jump, columns.kernel))]
        self.tap_step = jump * columns.dilation // self.stride
        per_row = max(1, self.stride * self.per_phase * self.depth * x.itemsize)
        fitting = max(1, min(rows.out, _BLOCK_BYTES // per_row))
        parts = -(-rows.out // fitting)
        if len(x) * parts < cores and len(x) * rows.out * per_row >= _PARALLEL_BYTES:
            parts = min(rows.out, -(-cores // len(x)))  # something for every core
        step = -(-rows.out // parts)
        self.blocks = [(n, r, min(rows.out, r + step)) for n in range(len(x)) for r in range(0, rows.out, step)]

    def repeat(self, w: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """For each group of taps: its first tap, and the weights [KH, taps, OW·depth]."""
        flat = np.ascontiguousarray(w).reshape(*w.shape[:2], 1, self.depth)
        found = []
        for group in self.groups:
            some = flat[:, group[0] :: (group[1] - group[0]) if len(group) > 1 else max(1, self.columns.kernel)][:, : len(group)]
            long = np.empty((w.shape[0], len(group), self.columns.out, self.depth), w.dtype)
            long[...] = some
            found.append((group[0], long.reshape(w.shape[0], len(group), self.length)))
        return found

    def padded(self, n: int, r0: int, r1: int) -> tuple[np.ndarray, int, int]:
        """(array, byte offset of the first cell, bytes from row to row) for output rows [r0, r1) of image n."""
        rows, columns = self.rows, self.columns
        begin = r0 * rows.stride - rows.before
        end = (r1 - 1) * rows.stride - rows.before + rows.extent
        if self.plain and begin >= 0 and end <= rows.size:
            return self.x, n * self.x.strides[0] + begin * self.x.strides[1], self.x.strides[1]
        low, high = min(max(begin, 0), rows.size), max(min(end, rows.size), 0)
        memory = scratch("padded", (end - begin, self.stride, self.per_phase, self.depth), self.x.dtype)
        if high <= low:
            memory.fill(0)
            return memory, 0, memory.strides[0]
        top = low - begin
        if top:
            memory[:top] = 0
        if end > high:
            memory[top + high - low :] = 0
        inner = memory[top : top + high - low]
        source = self.x[n, low:high]
        for phase in range(self.stride):
            first = -(-(columns.before - phase) // self.stride) if columns.before > phase else 0
            cell = first * self.stride + phase - columns.before
            count = max(0, min(self.per_phase - first, -(-(columns.size - cell) // self.stride)))
            target = inner[:, phase]
            if first:
                target[:, :first] = 0
            if first + count < self.per_phase:
                target[:, first + count :] = 0
            if count:
                picked = source[:, cell : cell + (count - 1) * self.stride + 1 : self.stride]
                if self.multiplier == 1:
                    target[:, first : first + count] = picked
                else:
                    shape = (high - low, count, picked.shape[-1], self.multiplier)
                    target[:, first : first + count] = np.broadcast_to(picked[..., None], shape).reshape(*shape[:2], -1)
        return memory, 0, memory.strides[0]

    def view(self, memory: np.ndarray, offset: int, step: int, first: int, count: int) -> np.ndarray:
        """[row, KH, taps of the group, OW·depth] of what those taps read."""
        size = memory.itemsize
        phase, column = (first * self.columns.dilation) % self.stride, (first * self.columns.dilation) // self.stride
        start = offset + (phase * self.per_phase + column) * self.depth * size
        group = next(g for g in self.groups if g[0] == first)
        shape = (count, self.rows.kernel, len(group), self.length)
        strides = (step * self.rows.stride, step * self.rows.dilation, self.tap_step * self.depth * size, size)
        return np.ndarray(shape, memory.dtype, memory, start, strides)


def backward_input(w: np.ndarray, dy: np.ndarray, rows: Axis, columns: Axis) -> np.ndarray:
    """The gradient by the input: the mirrored convolution of `dy`, with zeros put between its cells where there are strides."""
    if _is_short(dy):
        return backward_input(w.astype(np.float32), dy.astype(np.float32), rows, columns).astype(dy.dtype)
    channels, multiplier = w.shape[2:]
    batch = len(dy)
    if not dy.size or not w.size:
        return np.zeros((batch, rows.size, columns.size, channels), dy.dtype)
    if rows.stride > 1 or columns.stride > 1:
        wide = np.zeros((batch, (rows.out - 1) * rows.stride + 1, (columns.out - 1) * columns.stride + 1, dy.shape[-1]), dy.dtype)
        wide[:, :: rows.stride, :: columns.stride] = dy
        dy = wide
    mirrored = w[::-1, ::-1].reshape(*w.shape[:2], channels * multiplier, 1)
    back, skip = [], []
    for axis, size in ((rows, dy.shape[1]), (columns, dy.shape[2])):
        before = axis.extent - 1 - axis.before
        skipped = max(0, -before)
        back.append(Axis(size, axis.kernel, 1, axis.dilation, max(0, before), 0, axis.size + skipped))
        skip.append(skipped)
    dx = forward(dy, mirrored, back[0], back[1])
    dx = dx[:, skip[0] :, skip[1] :]
    if multiplier > 1:
        dx = dx.reshape(*dx.shape[:3], channels, multiplier).sum(axis=-1)
    return np.ascontiguousarray(dx)


def backward_filter(x: np.ndarray, dy: np.ndarray, rows: Axis, columns: Axis, multiplier: int) -> np.ndarray:
    """The gradient by the filter, [KH, KW, C, M]."""
    if _is_short(x):
        return backward_filter(x.astype(np.float32), dy.astype(np.float32), rows, columns, multiplier).astype(x.dtype)
    channels = x.shape[-1]
    depth = channels * multiplier
    total = np.zeros((rows.kernel, columns.kernel, depth), x.dtype)
    if dy.size and x.size:
        dy = np.ascontiguousarray(dy)
        layout = _Layout(x, multiplier, rows, columns)
        lock = threading.Lock()

        def work(i: int) -> None:
            n, r0, r1 = layout.blocks[i]
            memory, offset, step = layout.padded(n, r0, r1)
            block = dy[n, r0:r1].reshape(r1 - r0, -1)
            for group in layout.groups:
                view = layout.view(memory, offset, step, group[0], r1 - r0)
                part = scratch("part", view.shape[1:], x.dtype)
                np.einsum("rabn,rn->abn", view, block, out=part)
                sums = part.reshape(*part.shape[:2], columns.out, depth).sum(axis=2)
                with lock:
                    total[:, group] += sums

        run_blocks(work, len(layout.blocks), dy.nbytes >= _PARALLEL_BYTES)
    return total.reshape(rows.kernel, columns.kernel, channels, multiplier)
