"""Bias, batch normalisation and activations applied in place to a block of a product while it is in the cache.

The fused ops of optimised graphs name them in attr `fused_ops`; a plan that fuses them itself builds the same steps. It refuses to know ops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer.errors import InvalidArgumentError

__all__ = ["ACTIVATIONS", "activate", "finish_of"]

_GELU = 0.7978845608028654


def _relu(x: np.ndarray, alpha: float) -> None:
    np.maximum(x, 0, out=x)


def _relu6(x: np.ndarray, alpha: float) -> None:
    np.maximum(x, 0, out=x)
    np.minimum(x, 6, out=x)


def _elu(x: np.ndarray, alpha: float) -> None:
    low = np.minimum(x, 0)
    np.expm1(low, out=low)
    np.maximum(x, 0, out=x)
    x += low


def _leaky(x: np.ndarray, alpha: float) -> None:
    if alpha <= 1:
        np.maximum(x, x * x.dtype.type(alpha), out=x)
    else:
        np.multiply(x, x.dtype.type(alpha), out=x, where=x < 0)


def _tanh(x: np.ndarray, alpha: float) -> None:
    np.tanh(x, out=x)


def _sigmoid(x: np.ndarray, alpha: float) -> None:
    with np.errstate(over="ignore"):
        np.negative(x, out=x)
        np.exp(x, out=x)
        x += x.dtype.type(1)
        np.reciprocal(x, out=x)


def _gelu_tanh(x: np.ndarray, alpha: float) -> None:
    kind = x.dtype.type
    inner = np.square(x)
    inner *= kind(0.044715)
    inner += kind(1)
    inner *= x
    inner *= kind(_GELU)
    np.tanh(inner, out=inner)
    inner += kind(1)
    inner *= kind(0.5)
    x *= inner


def _gelu_erf(x: np.ndarray, alpha: float) -> None:
    from tracer.registry import get_op

    inner = np.asarray(get_op("Erf").cached_kernel({})(x * x.dtype.type(0.7071067811865476)))
    x *= (inner + x.dtype.type(1)) * x.dtype.type(0.5)


ACTIVATIONS: dict[str, Callable[[np.ndarray, float], None]] = {
    "Relu": _relu,
    "Relu6": _relu6,
    "Elu": _elu,
    "LeakyRelu": _leaky,
    "Tanh": _tanh,
    "Sigmoid": _sigmoid,
    "GeluApproximate": _gelu_tanh,
    "GeluExact": _gelu_erf,
}
"""By name, in place: f(x, alpha)."""


def activate(name: str, x: np.ndarray, alpha: float = 0.2) -> np.ndarray:
    """Apply an activation to `x` in place, and return it."""
    ACTIVATIONS[name](x, alpha)
    return x


def finish_of(
    steps: Sequence[str], args: Sequence[np.ndarray], epsilon: float, alpha: float
) -> tuple[Callable[[np.ndarray], Any] | None, Callable[[np.ndarray], Any] | None]:
    """(what to do to each block, what to do to the whole result afterwards) for a list of fused steps.

    Args:
        steps: BiasAdd or FusedBatchNorm, Add, and at most one activation, in the order of attr `fused_ops`.
        args: the tensors they take, in the same order. Add takes a tensor of the result's shape, so that it and what follows wait for
            the whole result.

    Raises:
        ValueError: a step that is not known, or too few tensors.
    """
    rest = list(args)
    blocks: list[Callable[[np.ndarray], Any]] = []
    whole: list[Callable[[np.ndarray], Any]] = []

    def take() -> np.ndarray:
        if not rest:
            raise InvalidArgumentError(f"fused_ops {list(steps)} need more tensors than the {len(args)} received")
        return rest.pop(0)

    for step in steps:
        target = whole if whole else blocks
        if step in ("BiasAdd", "BiasAddV1"):
            bias = take().reshape(-1)
            target.append(lambda x, bias=bias: np.add(x, bias, out=x))
        elif step == "FusedBatchNorm":
            scale, offset, mean, variance = (take() for _ in range(4))
            gain = scale / np.sqrt(variance + variance.dtype.type(epsilon))
            shift = offset - mean * gain

            def normalise(x: np.ndarray, gain: np.ndarray = gain, shift: np.ndarray = shift) -> None:
                x *= gain
                x += shift

            target.append(normalise)
        elif step in ("Add", "AddV2"):
            side = take()
            whole.append(lambda x, side=side: np.add(x, side, out=x))
        elif step in ACTIVATIONS:
            run = ACTIVATIONS[step]
            target.append(lambda x, run=run: run(x, alpha))
        else:
            raise InvalidArgumentError(f"fused_ops: step {step!r} is not known, expected BiasAdd, FusedBatchNorm, Add, {', '.join(ACTIVATIONS)}")
    return _chain(blocks), _chain(whole)


def _chain(steps: list[Callable[[np.ndarray], Any]]) -> Callable[[np.ndarray], Any] | None:
    if not steps:
        return None

    def run(x: np.ndarray) -> None:
        for step in steps:
            step(x)

    return run
