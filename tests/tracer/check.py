"""Numeric gradient checking for the ops' tests: `check_gradients(fn, inputs)`; and `check_traced(fn, inputs)`: eager equals traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer.tape import GradientTape
from tracer.tensor import Tensor, convert_to_tensor


def _outputs(result: Any) -> list[Any]:
    """The differentiable tensors among a function's results."""
    items = result if isinstance(result, (list, tuple)) else [result]
    return [t for t in items if isinstance(t, Tensor) and t.dtype.kind in "fc"]


def _weights(shape: Sequence[int], dtype: np.dtype, index: int) -> np.ndarray:
    count = int(np.prod(shape, dtype=np.int64))
    w = np.cos(np.arange(count) * 0.7 + index + 0.3).reshape(tuple(shape))
    if dtype.kind == "c":
        w = w + 0.5j * np.sin(np.arange(count) + index).reshape(tuple(shape))
    return w.astype(dtype)


def check_gradients(
    fn: Callable[..., Any], inputs: Sequence[Any], *, wrt: Sequence[int] | None = None, step: float = 1e-6, tolerance: float = 1e-5
) -> None:
    """Compare the tape's gradients of a weighted sum of all outputs with central differences.

    Args:
        fn: takes tensors, returns a tensor or a sequence; outputs that are no floats are ignored.
        inputs: NumPy arrays; use float64 (or complex128) for those that are differentiated.
        wrt: positions to differentiate; by default all float64 and complex128 inputs.
        tolerance: relative to the size of the gradient, at least 1.

    Raises:
        AssertionError: names the input and the first place that differs.
    """
    arrays = [np.array(x) for x in inputs]
    positions = [i for i, a in enumerate(arrays) if a.dtype in (np.float64, np.complex128)] if wrt is None else list(wrt)
    tensors = [convert_to_tensor(a) for a in arrays]
    sources = [tensors[i] for i in positions]
    with GradientTape() as tape:
        tape.watch(sources)
        outputs = _outputs(fn(*tensors))
    weights = [_weights(tuple(t.shape), t.dtype.numpy, i) for i, t in enumerate(outputs)]
    found = tape.gradient(outputs, sources, output_gradients=[convert_to_tensor(w) for w in weights])

    def loss() -> float:
        results = _outputs(fn(*[convert_to_tensor(a) for a in arrays]))
        return float(sum(np.real(np.sum(np.conj(w) * r.numpy())) for w, r in zip(weights, results, strict=True)))

    for position, grad in zip(positions, found, strict=True):
        array = arrays[position]
        expected = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            old = array[index]
            for direction in (1.0, 1j) if array.dtype.kind == "c" else (1.0,):
                array[index] = old + step * direction
                up = loss()
                array[index] = old - step * direction
                down = loss()
                array[index] = old
                expected[index] += direction * (up - down) / (2 * step)
        actual = np.zeros_like(array) if grad is None else np.asarray(convert_to_tensor(grad))
        assert actual.shape == expected.shape, f"input {position}: expected a gradient of {expected.shape}, received {actual.shape}"
        scale = max(1.0, float(np.max(np.abs(expected), initial=0)))
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, err_msg=f"gradient of input {position}")


def check_traced(fn: Callable[..., Any], inputs: Sequence[Any]) -> None:
    """Compare eager results with those of a traced function, for known and for unknown input shapes."""
    from tracer.functions import function
    from tracer.specs import TensorSpec

    tensors = [convert_to_tensor(x) for x in inputs]
    eager = fn(*tensors)
    for known in (True, False):
        specs = [TensorSpec(t.shape if known else [None] * len(t.shape), t.dtype) for t in tensors]
        traced = function(fn, autograph=False).get_concrete_function(*specs)(*tensors)
        pairs = zip(eager, traced) if isinstance(eager, (list, tuple)) else [(eager, traced)]
        for e, t in pairs:
            assert e.dtype == t.dtype and e.shape == t.shape
            np.testing.assert_array_equal(np.asarray(t), np.asarray(e))
