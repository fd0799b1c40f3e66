"""Convolution in any number of spatial dimensions: blocked im2col into reused buffers, and one matrix product a block.

Arrays have channels last: input [N, *space, C], filter [*kernel, C / groups, F], output [N, *space, F]. Other data formats are the caller's
business. Blocks are sized so that the gathered patches stay in the cache while the product reads them. It refuses to know ops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from tracer.windows import Axis
from tracer.workers import scratch

__all__ = ["backward_filter", "backward_input", "forward"]

BLOCK_BYTES = 1 << 22
"""How much of the gathered patches one product reads."""
_LEAST_POSITIONS = 384
"""Positions that a product should have at least, so that packing a large filter for it pays."""

Finish = Callable[[np.ndarray], Any]


def forward(x: np.ndarray, w: np.ndarray, axes: Sequence[Axis], groups: int = 1, finish: Finish | None = None) -> np.ndarray:
    """The convolution of `x` with `w`.

    Args:
        x: [N, *space, C].
        w: [*kernel, C / groups, F].
        axes: the spatial axes.
        groups: channels are cut into this many independent convolutions.
        finish: changes a block [positions, F] of the result in place while it is in the cache (bias, activation).
    """
    if w.dtype.itemsize < 4 and w.dtype.kind in "fV":
        return forward(x.astype(np.float32), w.astype(np.float32), axes, groups, finish).astype(x.dtype)
    batch, features = x.shape[0], w.shape[-1]
    out = np.empty((batch, *(a.out for a in axes), features), x.dtype)
    if not out.size:
        return out
    if not w.size or not x.size:
        out.fill(0)
        if finish is not None:
            finish(out.reshape(-1, features))
        return out
    x = np.ascontiguousarray(x)
    axes, x, shape = _drop_trivial(axes, x, w)
    w = w.reshape(shape)
    flat = out.reshape(-1, features)
    if groups == 1:
        direct = _as_matrix(x, axes)
        if direct is not None:
            _multiply(direct, np.ascontiguousarray(w).reshape(direct.shape[1], features), flat, finish)
            return out
        weights = np.ascontiguousarray(w).reshape(-1, features)
        for start, stop, patches in _blocks(x, axes, 1):
            block = flat[start:stop]
            np.matmul(patches, weights, out=block)
            if finish is not None:
                finish(block)
        return out
    depth = w.shape[-2]
    weights = np.ascontiguousarray(w).reshape(-1, groups, features // groups).transpose(1, 0, 2)
    for start, stop, patches in _blocks(x, axes, groups):
        block = flat[start:stop]
        np.matmul(patches, weights, out=block.reshape(stop - start, groups, features // groups).transpose(1, 0, 2))
        if finish is not None:
            finish(block)
    assert depth * groups == x.shape[-1]
    return out


def _multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray, finish: Finish | None) -> None:
    """One product; in blocks of rows where `finish` should find them in the cache."""
    rows = len(a)
    step = rows if finish is None else max(256, BLOCK_BYTES // max(1, out.shape[1] * out.itemsize))
    for start in range(0, rows, step):
        block = out[start : start + step]
        np.matmul(a[start : start + step], b, out=block)
        if finish is not None:
            finish(block)


def _drop_trivial(axes: Sequence[Axis], x: np.ndarray, w: np.ndarray) -> tuple[tuple[Axis, ...], np.ndarray, tuple[int, ...]]:
    """Without the axes that have one cell and one tap (a 1-D convolution as 2-D), but one axis at least."""
    kept = [i for i, a in enumerate(axes) if not (a.size == a.kernel == a.out == 1 and a.before == 0)]
    if not kept:
        kept = [len(axes) - 1]
    if len(kept) == len(axes):
        return tuple(axes), x, w.shape
    some = tuple(axes[i] for i in kept)
    return some, x.reshape(x.shape[0], *(a.size for a in some), x.shape[-1]), (*(a.kernel for a in some), *w.shape[-2:])


def _as_matrix(x: np.ndarray, axes: Sequence[Axis]) -> np.ndarray | None:
    """The patches as a matrix where no gathering is needed: 1×1 kernels, and kernels as large as the input."""
    if all(a.kernel == 1 and a.before == 0 and (a.out - 1) * a.stride < a.size for a in axes):
        if any(a.stride > 1 or a.out != a.size for a in axes):
            picked = x[(slice(None), *(slice(0, (a.out - 1) * a.stride + 1, a.stride) for a in axes))]
            return picked.reshape(-1, x.shape[-1])
        return x.reshape(-1, x.shape[-1])
    if all(a.out == 1 and a.before == 0 and a.extent == a.size and a.dilation == 1 for a in axes):
        return x.reshape(x.shape[0], -1)
    return None


# -- blocks of patches -----------------------------------------------------------------------------------------------


def _plan_blocks(batch: int, axes: Sequence[Axis], row_bytes: int, target: int) -> Iterator[tuple[int, int, int, int]]:
    """(first image, last image, first row, last row) of each block; rows of several images only where whole images fit."""
    rows = axes[0].out
    fitting = max(1, target // max(1, row_bytes))
    if fitting >= rows:
        images = max(1, min(batch, fitting // rows))
        for n in range(0, batch, images):
            yield n, min(batch, n + images), 0, rows
        return
    parts = -(-rows // fitting)
    step = -(-rows // parts)
    for n in range(batch):
        for r in range(0, rows, step):
            yield n, n + 1, r, min(rows, r + step)


def _blocks(
    x: np.ndarray, axes: Sequence[Axis], groups: int, target: int | None = None
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Blocks of output positions with their patches: (start, stop, [positions, taps·C] or [groups, positions, taps·C/groups]).

    The patches live in scratch memory until the next step.
    """
    batch, channels = x.shape[0], x.shape[-1]
    width = prod(a.out for a in axes[1:])
    taps = prod(a.kernel for a in axes)
    rows = axes[0].out
    per_row = width * taps * channels * x.itemsize
    target = target or max(BLOCK_BYTES, _LEAST_POSITIONS * taps * channels * x.itemsize)
    for n0, n1, r0, r1 in _plan_blocks(batch, axes, per_row, target):
        source, strides, offset = _padded(x, axes, n0, n1, r0, r1)
        count = (n1 - n0) * (r1 - r0) * width
        shape = (n1 - n0, r1 - r0, *(a.out for a in axes[1:]), *(a.kernel for a in axes))
        steps = (strides[0], *(s * a.stride for s, a in zip(strides[1:-1], axes)), *(s * a.dilation for s, a in zip(strides[1:-1], axes)))
        if groups == 1:
            view = np.ndarray((*shape, channels), x.dtype, source, offset, (*steps, x.itemsize))
            patches = scratch("patches", (count, taps * channels), x.dtype)
            np.copyto(patches.reshape(view.shape), view)
        else:
            depth = channels // groups
            view = np.ndarray((groups, *shape, depth), x.dtype, source, offset, (depth * x.itemsize, *steps, x.itemsize))
            patches = scratch("patches", (groups, count, taps * depth), x.dtype)
            np.copyto(patches.reshape(view.shape), view)
        start = (n0 * rows + r0) * width
        yield start, start + count, patches


def _needs(axis: Axis, first: int, last: int) -> tuple[int, int, int, int]:
    """Input cells of output rows [first, last): begin and end inside the input, and the padding before and after them."""
    begin = first * axis.stride - axis.before
    end = (last - 1) * axis.stride - axis.before + axis.extent
    inner_begin, inner_end = min(max(begin, 0), axis.size), max(min(end, axis.size), 0)
    if inner_end <= inner_begin:  # padding only
        return 0, 0, end - begin, 0
    return inner_begin, inner_end, max(0, -begin), max(0, end - axis.size)


def _padded(x: np.ndarray, axes: Sequence[Axis], n0: int, n1: int, r0: int, r1: int) -> tuple[np.ndarray, tuple[int, ...], int]:
    """A contiguous array, its strides and a byte offset where the windows of rows [r0, r1) begin, padding included.

    That is `x` itself where the block needs no padding.
    """
    needs = [_needs(axes[0], r0, r1), *(_needs(a, 0, a.out) for a in axes[1:])]
    if not any(before or after for _, _, before, after in needs):
        # Windows that begin at cell 0 of the later axes: only images and rows move.
        return x, x.strides, n0 * x.strides[0] + needs[0][0] * x.strides[1]
    shape = (n1 - n0, *(before + end - begin + after for begin, end, before, after in needs), x.shape[-1])
    memory = scratch("padded", shape, x.dtype)
    inner: list[Any] = [slice(None)]
    for axis, (begin, end, before, after) in enumerate(needs, 1):
        size = end - begin
        if before:
            memory[(*inner, slice(0, before))] = 0
        if after:
            memory[(*inner, slice(before + size, None))] = 0
        inner.append(slice(before, before + size))
        assert memory.shape[axis] == before + size + after
    memory[tuple(inner)] = x[(slice(n0, n1), *(slice(begin, end) for begin, end, _, _ in needs))]
    return memory, memory.strides, 0


# -- gradients -------------------------------------------------------------------------------------------------------


def backward_input(w: np.ndarray, dy: np.ndarray, axes: Sequence[Axis], channels: int, groups: int = 1) -> np.ndarray:
    """The gradient by the input: what each output cell gives back to the cells it read (a transposed convolution).

    Args:
        w: [*kernel, C / groups, F].
        dy: [N, *out, F].
        axes: the spatial axes of the forward convolution.
        channels: C.
    """
    if w.dtype.itemsize < 4 and w.dtype.kind in "fV":
        return backward_input(w.astype(np.float32), dy.astype(np.float32), axes, channels, groups).astype(dy.dtype)
    batch, features = dy.shape[0], w.shape[-1]
    result_shape = (batch, *(a.size for a in axes), channels)
    if not dy.size or not w.size:
        return np.zeros(result_shape, dy.dtype)
    dy, w = np.ascontiguousarray(dy), np.ascontiguousarray(w)
    plain = all(a.kernel == 1 and a.stride == 1 and a.before == 0 and a.out == a.size for a in axes)
    if groups == 1 and plain:
        return np.matmul(dy.reshape(-1, features), w.reshape(-1, features).T).reshape(result_shape)
    if all(a.stride == 1 for a in axes):
        # The same core the other way round: a convolution of dy with the mirrored filter, channels and features swapped.
        depth = w.shape[-2]
        mirrored = w[tuple(slice(None, None, -1) for _ in axes)]
        grouped = mirrored.reshape(*mirrored.shape[:-1], groups, features // groups)
        turned = np.moveaxis(grouped, -3, -1)  # [*kernel, groups, F / groups, C / groups]
        turned = np.moveaxis(turned, -3, -2).reshape(*w.shape[:-2], features // groups, groups * depth)
        back = tuple(
            Axis(a.out, a.kernel, 1, a.dilation, a.extent - 1 - a.before, 0, a.size) for a in axes
        )
        if all(b.before >= 0 for b in back):
            return forward(dy, turned, back, groups)
    low = [a.before for a in axes]
    spans = [max((a.out - 1) * a.stride + a.extent, a.before + a.size) for a in axes]
    room = np.zeros((batch, *spans, channels), dy.dtype)
    taps, depth = prod(a.kernel for a in axes), w.shape[-2]
    width = prod(a.out for a in axes[1:])
    rows = axes[0].out
    per_row = width * taps * channels * dy.itemsize
    if groups == 1:
        weights = w.reshape(-1, features).T
    else:
        weights = w.reshape(taps * depth, groups, features // groups).transpose(1, 2, 0)
    flat = dy.reshape(-1, features)
    for n0, n1, r0, r1 in _plan_blocks(batch, axes, per_row, BLOCK_BYTES):
        start = (n0 * rows + r0) * width
        count = (n1 - n0) * (r1 - r0) * width
        block = flat[start : start + count]
        outs = (n1 - n0, r1 - r0, *(a.out for a in axes[1:]))
        kernels = tuple(a.kernel for a in axes)
        if groups == 1:
            columns = scratch("patches", (count, taps * channels), dy.dtype)
            np.matmul(block, weights, out=columns)
            shaped = columns.reshape(*outs, *kernels, channels)
        else:
            columns = scratch("patches", (groups, count, taps * depth), dy.dtype)
            np.matmul(block.reshape(count, groups, features // groups).transpose(1, 0, 2), weights, out=columns)
            shaped = np.moveaxis(columns.reshape(groups, *outs, *kernels, depth), 0, -2)
        for tap in np.ndindex(*kernels):
            where: list[Any] = [slice(n0, n1)]
            for i, (a, t) in enumerate(zip(axes, tap)):
                first, last = (r0, r1) if i == 0 else (0, a.out)
                begin = first * a.stride + t * a.dilation
                where.append(slice(begin, begin + (last - first - 1) * a.stride + 1, a.stride))
            target = room[tuple(where)]
            part = shaped[(slice(None), *(slice(None) for _ in axes), *tap)]
            if groups > 1:
                target = target.reshape(*target.shape[:-1], groups, depth) if target.flags.c_contiguous else _split_last(target, groups)
            target += part
    inner = room[(slice(None), *(slice(b, b + a.size) for b, a in zip(low, axes)))]
    return np.ascontiguousarray(inner)


def _split_last(x: np.ndarray, groups: int) -> np.ndarray:
    """A view with the last axis cut into [groups, rest]."""
    depth = x.shape[-1] // groups
    view = np.lib.stride_tricks.as_strided(
        x, (*x.shape[:-1], groups, depth), (*x.strides[:-1], depth * x.strides[-1], x.strides[-1])
    )
    return view


def backward_filter(x: np.ndarray, dy: np.ndarray, axes: Sequence[Axis], groups: int = 1) -> np.ndarray:
    """The gradient by the filter, [*kernel, C / groups, F]."""
    if x.dtype.itemsize < 4 and x.dtype.kind in "fV":
        return backward_filter(x.astype(np.float32), dy.astype(np.float32), axes, groups).astype(x.dtype)
    features, channels = dy.shape[-1], x.shape[-1]
    kernels = tuple(a.kernel for a in axes)
    depth = channels // groups
    shape = (*kernels, depth, features)
    if not dy.size or not x.size:
        return np.zeros(shape, x.dtype)
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    flat = dy.reshape(-1, features)
    if groups == 1:
        direct = _as_matrix(x, axes)
        if direct is not None:
            return np.matmul(direct.T, flat).reshape(shape)
    taps = prod(kernels)
    # Each product adds into the whole filter: blocks large enough that this is cheap beside the product.
    target = max(BLOCK_BYTES, 4 * taps * channels * features // groups * x.itemsize)
    target = min(target, 1 << 25)
    total: np.ndarray | None = None
    for start, stop, patches in _blocks(x, axes, groups, target):
        block = flat[start:stop]
        if groups == 1:
            part = np.matmul(patches.T, block)
        else:
            grads = block.reshape(stop - start, groups, features // groups).transpose(1, 0, 2)
            part = np.matmul(patches.transpose(0, 2, 1), grads)
        if total is None:
            total = part
        else:
            total += part
    assert total is not None
    if groups > 1:
        total = total.transpose(1, 0, 2)
    return np.ascontiguousarray(total).reshape(shape)
