"""Running sums, products and log-sum-exps along one axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError
from tracer.public import public
from tracer.registry import Op, op
from tracer.tensor import convert_to_tensor

_NUMBER = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, "
    "complex128, half, uint32, uint64}"
)


def _axis_of(x: np.ndarray, axis: np.ndarray) -> int:
    number = int(axis)
    if not -x.ndim <= number < x.ndim:
        raise InvalidArgumentError(f"ScanOp: Expected scan axis in the range [{-x.ndim}, {x.ndim}), but got {number}")
    return number % x.ndim


def _scan(name: str, types: str, accumulate: Callable[..., Any], start: float) -> Op:
    record = op(
        f"{name}(x: T, axis: Tidx) -> (out: T); exclusive: bool = false; reverse: bool = false; T: {types}; "
        "Tidx: {int32, int64} = int32"
    )
    record.infer(infer.unchanged)

    @record.kernel
    def _(x: np.ndarray, axis: np.ndarray, *, exclusive: bool, reverse: bool) -> Any:
        along = _axis_of(x, axis)
        if x.size == 0:
            return x
        if reverse:
            x = np.flip(x, along)
        if exclusive:
            # shifted by one, with the neutral element in front
            out = np.empty_like(x)
            head = (slice(None),) * along
            out[(*head, slice(0, 1))] = np.array(start).astype(x.dtype)
            out[(*head, slice(1, None))] = accumulate(x[(*head, slice(0, -1))], along)
        else:
            out = accumulate(x, along)
        return np.flip(out, along) if reverse else out

    return record


def _log_add(x: np.ndarray, axis: int) -> Any:
    if x.dtype.itemsize == 2:
        return np.logaddexp.accumulate(x.astype(np.float32), axis=axis).astype(x.dtype)
    return np.logaddexp.accumulate(x, axis=axis)


cumsum_op = _scan("Cumsum", _NUMBER, lambda x, axis: np.add.accumulate(x, axis=axis, dtype=x.dtype), 0)
cumprod_op = _scan("Cumprod", _NUMBER, lambda x, axis: np.multiply.accumulate(x, axis=axis, dtype=x.dtype), 1)
cumulative_logsumexp_op = _scan("CumulativeLogsumexp", "{bfloat16, half, float, double}", _log_add, -np.inf)


def _flags(node: Any) -> tuple[bool, bool]:
    return bool(node.attr("exclusive")), bool(node.attr("reverse"))


@cumsum_op.gradient
def _(node: Any, grad: Any) -> Any:
    exclusive, reverse = _flags(node)
    return raw.Cumsum(grad, node.inputs[1], exclusive=exclusive, reverse=not reverse), None


@cumprod_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, axis = node.inputs
    exclusive, reverse = _flags(node)
    product = raw.Cumprod(x, axis, exclusive=exclusive, reverse=reverse)
    total = raw.Cumsum(raw.Mul(product, grad), axis, exclusive=exclusive, reverse=not reverse)
    return raw.DivNoNan(total, x), None


@cumulative_logsumexp_op.gradient
def _(node: Any, grad: Any) -> Any:
    """Positive and negative slopes apart, each in the log domain."""
    x, axis = node.inputs
    result = node.outputs[0]
    exclusive, reverse = _flags(node)
    lowest = convert_to_tensor(np.array(grad.dtype.min).astype(grad.dtype.numpy), grad.dtype)
    zero = convert_to_tensor(np.zeros((), grad.dtype.numpy), grad.dtype)

    def part(mask: Any, size: Any) -> Any:
        log_grad = raw.SelectV2(mask, raw.Log(size), raw.BroadcastTo(lowest, raw.Shape(grad)))
        scanned = raw.CumulativeLogsumexp(raw.Sub(log_grad, result), axis, exclusive=exclusive, reverse=not reverse)
        return raw.Exp(raw.AddV2(scanned, x))

    return raw.Sub(part(raw.Greater(grad, zero), grad), part(raw.Less(grad, zero), raw.Neg(grad))), None


def _public_scan(record_name: str, what: str, *names: str) -> None:
    def function(x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None) -> Any:
        return getattr(raw, record_name)(x, axis, exclusive=exclusive, reverse=reverse, name=name)

    function.__name__ = function.__qualname__ = names[0].rpartition(".")[2]
    function.__doc__ = f"{what} along `axis`; `exclusive` leaves out the element itself, `reverse` runs from the end."
    public(*names)(function)


_public_scan("Cumsum", "The running sum", "cumsum", "math.cumsum")
_public_scan("Cumprod", "The running product", "math.cumprod")
_public_scan("CumulativeLogsumexp", "The running log of the sum of exponentials", "math.cumulative_logsumexp")
