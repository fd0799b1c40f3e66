"""Runs one op or public function in TensorFlow and in the tracer and compares values, dtypes, static shapes and gradients.

    compare_op("MatMul", [a, b], transpose_a=True, grad=True)
    compare_fn("linalg.norm", x, ord=1, axis=-1, grad=True)

Inputs are NumPy arrays (or Python values); they are handed to both sides as constants of the same dtype.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tracer.dispatch import raw
from tracer.public import tf as ours
from tracer.registry import get_op
from tracer.tensor import EagerTensor, convert_to_tensor
from tracer.tensor import Tensor as OurTensor

_TOLERANCES = {"float64": 1e-11, "complex128": 1e-11, "float16": 2e-3, "bfloat16": 2e-2}


def tolerance_of(dtype: Any) -> float:
    """The relative tolerance that values of `dtype` are compared with."""
    return _TOLERANCES.get(np.dtype(dtype).name if not isinstance(dtype, str) else dtype, 2e-5)


def assert_same(expected: Any, actual: Any, where: str, rtol: float | None = None, atol: float | None = None) -> None:
    """Equal shapes, dtypes and values, NaN equal to NaN; floats within `rtol` (by default what their precision allows)."""
    if isinstance(expected, tf.IndexedSlices):
        expected = tf.convert_to_tensor(expected)
    if type(actual).__name__ == "IndexedSlices":
        actual = ours.convert_to_tensor(actual)
    if isinstance(expected, (list, tuple)):
        assert len(expected) == len(actual), f"{where}: expected {len(expected)} values, received {len(actual)}"
        for i, (e, a) in enumerate(zip(expected, actual)):
            assert_same(e, a, f"{where}[{i}]", rtol, atol)
        return
    if expected is None or isinstance(expected, (int, float, bool, str, bytes)):
        assert expected == actual, f"{where}: expected {expected!r}, received {actual!r}"
        return
    if hasattr(expected, "dtype") and hasattr(actual, "dtype"):
        name = getattr(expected.dtype, "name", str(expected.dtype))
        got = getattr(actual.dtype, "name", str(actual.dtype))
        assert name == got, f"{where}: expected dtype {name}, received {got}"
        if name in ("resource", "variant"):
            return
    e = np.asarray(expected.numpy() if hasattr(expected, "numpy") else expected)
    a = np.asarray(actual.numpy() if hasattr(actual, "numpy") else actual)
    assert e.shape == a.shape, f"{where}: expected shape {e.shape}, received {a.shape}"
    if e.dtype.kind in "fcV":
        limit = tolerance_of(getattr(expected.dtype, "name", "float32")) if rtol is None else rtol
        wide = np.complex128 if e.dtype.kind == "c" else np.float64
        e, a = e.astype(wide), a.astype(wide)
        np.testing.assert_allclose(a, e, rtol=limit, atol=limit if atol is None else atol, equal_nan=True, err_msg=where)
    else:
        np.testing.assert_array_equal(a, e, err_msg=where)


def pair(value: Any) -> tuple[Any, Any]:
    """`value` as a constant of TensorFlow and one of the tracer, of the same dtype."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, np.ndarray) for v in value):
        both = [pair(v) for v in value]
        return [b[0] for b in both], [b[1] for b in both]
    theirs = tf.constant(value)
    return theirs, convert_to_tensor(np.asarray(theirs), theirs.dtype.name)


def _floats(values: Any, kind: type) -> list[Any]:
    flat: list[Any] = []
    for v in values if isinstance(values, (list, tuple)) else [values]:
        if isinstance(v, (list, tuple)):
            flat.extend(_floats(v, kind))
        elif isinstance(v, kind) and (v.dtype.is_floating or v.dtype.is_complex):
            flat.append(v)
    return flat


def _weights(index: int, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    n = int(np.prod(shape, dtype=np.int64))
    w = np.cos(np.arange(n) * 0.7 + index + 0.3).reshape(tuple(shape))
    return (w + 0.5j * np.sin(np.arange(n)).reshape(tuple(shape)) if dtype.kind == "c" else w).astype(dtype)


def _gradients(
    call_theirs: Callable[..., Any], call_ours: Callable[..., Any], theirs: list[Any], mine: list[Any], where: str,
    rtol: float | None, atol: float | None,
) -> None:  # fmt: skip
    from tracer.tape import GradientTape

    t_sources, m_sources = _floats(theirs, tf.Tensor), _floats(mine, OurTensor)
    with tf.GradientTape() as tape:
        tape.watch(t_sources)
        t_out = _floats(call_theirs(*theirs), tf.Tensor)
    weights = [_weights(i, t.shape, np.dtype(t.dtype.as_numpy_dtype)) for i, t in enumerate(t_out)]
    expected = tape.gradient(t_out, t_sources, output_gradients=[tf.constant(w) for w in weights])
    with GradientTape() as our_tape:
        our_tape.watch(m_sources)
        m_out = _floats(call_ours(*mine), OurTensor)
    actual = our_tape.gradient(m_out, m_sources, output_gradients=[convert_to_tensor(w, t.dtype) for w, t in zip(weights, m_out)])
    for i, (e, a) in enumerate(zip(expected, actual)):
        assert_same(e, a, f"{where}: gradient of input {i}", rtol, atol)


def compare_calls(
    call_theirs: Callable[..., Any], call_ours: Callable[..., Any], inputs: Sequence[Any], where: str, *, grad: bool = False,
    rtol: float | None = None, atol: float | None = None, grad_rtol: float | None = None, static: bool = True,
) -> Any:  # fmt: skip
    """Call both with tensors of `inputs`, compare values (and gradients, and inferred static shapes). Returns our result."""
    pairs = [pair(v) for v in inputs]
    theirs, mine = [p[0] for p in pairs], [p[1] for p in pairs]
    expected, actual = call_theirs(*theirs), call_ours(*mine)
    assert_same(expected, actual, where, rtol, atol)
    if static:
        _static_shapes(call_ours, mine, actual, where)
    if grad:
        _gradients(call_theirs, call_ours, theirs, mine, where, grad_rtol or rtol, atol)
    return actual


def _static_shapes(call_ours: Callable[..., Any], mine: list[Any], actual: Any, where: str) -> None:
    """The static shapes found while tracing must fit the real ones, with known and with unknown input shapes."""
    try:
        from tracer.functions import function
    except ImportError:
        return
    from tracer.specs import TensorSpec

    if not all(isinstance(m, EagerTensor) for m in mine):
        return
    real = [t for t in _flat(actual) if isinstance(t, OurTensor)]
    for known in (True, False):
        specs = [TensorSpec(m.shape if known else None, m.dtype) for m in mine]
        try:
            concrete = function(call_ours, autograph=False).get_concrete_function(*specs)
        except (TypeError, ValueError):
            if known:
                raise
            continue  # not every function takes an unknown rank
        found = [t for t in _flat(concrete.structured_outputs) if hasattr(t, "shape")]
        for f, r in zip(found, real):
            assert f.shape.is_compatible_with(r.shape), f"{where}: inferred {f.shape}, real {r.shape} (known: {known})"
        again = _flat(concrete(*mine))
        for f, r in zip([t for t in again if isinstance(t, OurTensor)], real):
            assert f.shape == r.shape and f.dtype == r.dtype, f"{where}: traced gives {f!r}, eager {r!r}"


def _flat(values: Any) -> list[Any]:
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, (list, tuple)):
        return [x for v in values for x in _flat(v)]
    return [values]


def _argument_names(name: str) -> list[str]:
    """What `tf.raw_ops` calls the op's inputs: its Python names differ from the schema's for a few old ops."""
    schema = get_op(name).schema
    names = [a.name for a in schema.inputs]
    known = list(inspect.signature(getattr(tf.raw_ops, name)).parameters)
    renamed = [p for p in known if p not in names and p not in schema.attrs and p != "name"]
    missing = dict(zip([n for n in names if n not in known], renamed))
    return [missing.get(n, n) for n in names]


def compare_op(
    name: str, inputs: Sequence[Any], *, grad: bool = False, rtol: float | None = None, atol: float | None = None,
    grad_rtol: float | None = None, static: bool = True, **attrs: Any,
) -> Any:  # fmt: skip
    """`tf.raw_ops.<name>` against our `raw.<name>`: one entry of `inputs` per argument of the op (a list for a list argument).

    Attrs are given by name; dtypes as strings or NumPy types.
    """
    names = _python_names(name, [a.name for a in get_op(name).schema.inputs])

    def theirs(*values: Any) -> Any:
        out = getattr(tf.raw_ops, name)(**dict(zip(names, values)), **attrs)
        return list(out) if isinstance(out, tuple) else out

    def mine(*values: Any) -> Any:
        return getattr(raw, name)(*values, **attrs)

    where = f"{name}({', '.join(_describe(v) for v in inputs)}, {attrs})"
    return compare_calls(theirs, mine, inputs, where, grad=grad, rtol=rtol, atol=atol, grad_rtol=grad_rtol, static=static)


def _python_names(name: str, names: list[str]) -> list[str]:
    """The argument names of `tf.raw_ops.<name>`, a few of which differ from the op's own (ExpandDims: axis for dim)."""
    taken = list(inspect.signature(getattr(tf.raw_ops, name)).parameters)
    free = [p for p in taken if p not in names]
    return [n if n in taken else free.pop(0) for n in names]


def _describe(v: Any) -> str:
    if isinstance(v, np.ndarray):
        return f"{v.dtype.name}{list(v.shape)}"
    return repr(v)[:40]


def _lookup(root: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        root = getattr(root, part)
    return root


def compare_fn(
    name: str, *inputs: Any, grad: bool = False, rtol: float | None = None, atol: float | None = None,
    grad_rtol: float | None = None, static: bool = True, **kwargs: Any,
) -> Any:  # fmt: skip
    """`tf.<name>` against our public function of that name: positional `inputs` become tensors, `kwargs` go as they are."""
    call_theirs, call_ours = _lookup(tf, name), _lookup(ours, name)
    where = f"tf.{name}({', '.join(_describe(v) for v in inputs)}, {kwargs})"
    return compare_calls(
        lambda *v: call_theirs(*v, **kwargs), lambda *v: call_ours(*v, **kwargs), inputs, where,
        grad=grad, rtol=rtol, atol=atol, grad_rtol=grad_rtol, static=static,
    )  # fmt: skip


def compare_errors(name: str, inputs: Sequence[Any], **attrs: Any) -> None:
    """Both sides refuse `inputs`."""
    from tracer.errors import SavedModelError

    names = _python_names(name, [a.name for a in get_op(name).schema.inputs])
    pairs = [pair(v) for v in inputs]
    for call, refusal in (
        (lambda: getattr(tf.raw_ops, name)(**dict(zip(names, [p[0] for p in pairs])), **attrs), (tf.errors.OpError, ValueError, TypeError)),
        (lambda: getattr(raw, name)(*[p[1] for p in pairs], **attrs), SavedModelError),
    ):
        try:
            result = call()
        except refusal:
            continue
        raise AssertionError(f"{name}({', '.join(_describe(v) for v in inputs)}): expected an error, received {result!r}")
