"""Operations on the bits of integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.public import public
from tracer.registry import op

_INTS = "{int8, int16, int32, int64, uint8, uint16, uint32, uint64}"


def _binary(name: str, kernel: Callable[..., Any], flags: str = "") -> None:
    record = op(f"{name}(x: T, y: T) -> (z: T){flags}; T: {_INTS}").not_differentiable()
    record.infer(infer.broadcast)
    record.kernel(kernel)


def _shift(shift: Callable[..., Any]) -> Callable[..., Any]:
    """Shifts by less than 0 count as 0, by too much as the width less one."""

    def kernel(x: np.ndarray, y: np.ndarray) -> Any:
        return shift(x, np.clip(y, 0, 8 * x.dtype.itemsize - 1).astype(x.dtype))

    return kernel


_binary("BitwiseAnd", np.bitwise_and, " !commutative")
_binary("BitwiseOr", np.bitwise_or, " !commutative")
_binary("BitwiseXor", np.bitwise_xor, " !commutative")
_binary("LeftShift", _shift(np.left_shift))
_binary("RightShift", _shift(np.right_shift))

invert_op = op(f"Invert(x: T) -> (y: T); T: {_INTS}").not_differentiable()
invert_op.infer(infer.unchanged)
invert_op.kernel(np.invert)

population_count_op = op(f"PopulationCount(x: T) -> (y: uint8); T: {_INTS}").not_differentiable()
population_count_op.infer(infer.unchanged)


@population_count_op.kernel
def _(x: np.ndarray) -> Any:
    """Bits that are set, counted in parallel in ever wider fields."""
    width = x.dtype.itemsize
    bits = np.ascontiguousarray(x).reshape(x.shape).view(f"u{width}").astype(np.uint64)
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)


def _public(record_name: str, what: str, name: str) -> None:
    def function(x: Any, y: Any, name: str | None = None) -> Any:
        return getattr(raw, record_name)(x, y, name=name)

    function.__name__ = function.__qualname__ = name.rpartition(".")[2]
    function.__doc__ = f"{what}, elementwise with broadcasting, for integers."
    public(name)(function)


_public("BitwiseAnd", "x and y, bit by bit", "bitwise.bitwise_and")
_public("BitwiseOr", "x or y, bit by bit", "bitwise.bitwise_or")
_public("BitwiseXor", "x exclusive-or y, bit by bit", "bitwise.bitwise_xor")
_public("LeftShift", "x shifted left by y bits", "bitwise.left_shift")
_public("RightShift", "x shifted right by y bits, signed numbers keep their sign", "bitwise.right_shift")


@public("bitwise.invert")
def invert(x: Any, name: str | None = None) -> Any:
    """All bits flipped."""
    return raw.Invert(x, name=name)
