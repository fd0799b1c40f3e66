"""Arithmetic of sliding windows: output sizes, padding, strides, dilation, data formats. It refuses to touch any values.

Convolutions and poolings share it, both while tracing (sizes may be None) and in kernels (all sizes known).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tracer.errors import InvalidArgumentError, ShapeError

__all__ = ["Axis", "axes_of", "check_unit", "from_channels_last", "output_size", "spatial", "split_explicit", "static_output_size", "text_attr", "to_channels_last", "window_axis"]


def text_attr(value: Any) -> str:
    """A string attr (bytes, as attrs hold them) as text."""
    return value.decode() if isinstance(value, bytes) else value


class Axis(NamedTuple):
    """One spatial axis of a sliding window: `size` in, `out` out, `before` and `after` cells of padding."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    out: int

    @property
    def extent(self) -> int:
        """Cells from the first to the last tap of a window."""
        return (self.kernel - 1) * self.dilation + 1

    def reach(self, tap: int) -> tuple[int, int, int]:
        """For one tap of the window: the first and one-past-last output whose input cell exists, and that first input cell."""
        offset = tap * self.dilation - self.before
        first = 0 if offset >= 0 else -(offset // self.stride)
        last = min(self.out, (self.size - 1 - offset) // self.stride + 1)
        return first, max(first, last), offset + first * self.stride


def output_size(
    size: int | None, kernel: int | None, stride: int, dilation: int, padding: str, explicit: tuple[int, int] = (0, 0)
) -> int | None:
    """How many windows there are along an axis; None where a size is unknown.

    Raises:
        ShapeError: the window is larger than the padded input.
    """
    if stride < 1 or dilation < 1:
        raise InvalidArgumentError(f"strides and dilations must be positive, received stride {stride}, dilation {dilation}")
    if size is None:
        return None
    if padding == "SAME":
        return -(-size // stride)
    if kernel is None:
        return None
    extent = (kernel - 1) * dilation + 1
    room = size if padding == "VALID" else size + explicit[0] + explicit[1]
    if room + stride - extent < 0:
        raise ShapeError(
            f"a window of {extent} cells (kernel {kernel}, dilation {dilation}) must fit into the padded input; "
            f"received {room} cells with padding {padding}: Computed output size would be negative"
        )
    return (room - extent + stride) // stride


def static_output_size(
    size: int | None, kernel: int | None, stride: int, dilation: int, padding: str, explicit: tuple[int, int] = (0, 0)
) -> int | None:
    """`output_size` while tracing, where TensorFlow refuses a window that does not fit even once (its kernels give nothing then)."""
    if size is not None and kernel is not None and padding != "SAME":
        room, extent = size + sum(explicit), (kernel - 1) * dilation + 1
        if room < extent:
            raise ShapeError(
                f"Negative dimension size caused by subtracting {extent} from {room}: the window (kernel {kernel}, dilation {dilation}) "
                f"must fit into the input with padding {padding}; received {size} cells. Use a smaller window, or padding SAME"
            )
    return output_size(size, kernel, stride, dilation, padding, explicit)


def window_axis(size: int, kernel: int, stride: int, dilation: int, padding: str, explicit: tuple[int, int] = (0, 0)) -> Axis:
    """One axis with its padding worked out."""
    out = output_size(size, kernel, stride, dilation, padding, explicit)
    assert out is not None
    if padding == "SAME":
        total = max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - size)
        before, after = total // 2, total - total // 2
    elif padding == "VALID":
        before = after = 0
    else:
        before, after = explicit
    return Axis(size, kernel, stride, dilation, before, after, out)


def axes_of(
    sizes: Sequence[int],
    kernels: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: str,
    explicit: Sequence[tuple[int, int]] | None = None,
) -> tuple[Axis, ...]:
    """All spatial axes of a window."""
    pads = explicit if explicit else [(0, 0)] * len(sizes)
    return tuple(
        window_axis(n, k, s, d, padding, (p[0], p[1])) for n, k, s, d, p in zip(sizes, kernels, strides, dilations, pads, strict=True)
    )


def is_channels_first(data_format: str) -> bool:
    """Whether channels come before the spatial axes: NCHW, NCDHW, CHANNELS_FIRST."""
    return data_format.startswith("NC") or data_format == "CHANNELS_FIRST"


def spatial(values: Sequence[int], data_format: str) -> tuple[int, ...]:
    """The spatial entries of a list with one entry per tensor axis (strides, dilations, ksize)."""
    return tuple(values[2:]) if is_channels_first(data_format) else tuple(values[1:-1])


def check_unit(what: str, values: Sequence[int], data_format: str, rank: int) -> None:
    """Strides and dilations move over space only.

    Raises:
        InvalidArgumentError: a wrong length, an entry that is not positive, or batch or channel entries other than 1.
    """
    if len(values) != rank:
        raise InvalidArgumentError(f"{what} must have {rank} entries, received {list(values)}")
    channel = values[1] if is_channels_first(data_format) else values[-1]
    if values[0] != 1 or channel != 1:
        raise InvalidArgumentError(f"{what} over batch and channels must be 1, received {list(values)} for {data_format}")
    if min(values) < 1:
        raise InvalidArgumentError(f"{what} must be positive, received {list(values)}")


def split_explicit(explicit: Sequence[int], data_format: str, rank: int) -> list[tuple[int, int]]:
    """The spatial (before, after) pairs of attr `explicit_paddings`.

    Raises:
        InvalidArgumentError: a wrong length, negative entries, or padding of batch or channels.
    """
    if len(explicit) != 2 * rank:
        raise InvalidArgumentError(f"explicit_paddings must have {2 * rank} entries with padding EXPLICIT, received {list(explicit)}")
    pairs = [(int(explicit[2 * i]), int(explicit[2 * i + 1])) for i in range(rank)]
    if min(min(p) for p in pairs) < 0:
        raise InvalidArgumentError(f"explicit_paddings must not be negative, received {list(explicit)}")
    channel = 1 if is_channels_first(data_format) else rank - 1
    if pairs[0] != (0, 0) or pairs[channel] != (0, 0):
        raise InvalidArgumentError(f"explicit_paddings of batch and channels must be 0, received {list(explicit)} for {data_format}")
    return pairs[2:] if channel == 1 else pairs[1:-1]


def to_channels_last(rank: int) -> tuple[int, ...]:
    """The permutation NC… → N…C."""
    return (0, *range(2, rank), 1)


def from_channels_last(rank: int) -> tuple[int, ...]:
    """The permutation N…C → NC…"""
    return (0, rank - 1, *range(1, rank - 1))
