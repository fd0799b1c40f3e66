"""Quantisation, compared with TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle.compare import compare_op, tf
from tracer.dispatch import raw
from tracer.tensor import convert_to_tensor

RNG = np.random.RandomState(11)
X = (RNG.randn(3, 4, 5) * 3).astype(np.float32)
TYPES = ["qint8", "quint8", "qint16", "quint16", "qint32"]


def compare_quantized(op: str, inputs: list[Any], **attrs: Any) -> list[np.ndarray]:
    """`inputs`: arrays, or (array, quantised type)."""
    theirs, mine = [], []
    for value in inputs:
        array, kind = value if isinstance(value, tuple) else (value, None)
        theirs.append(tf.bitcast(tf.constant(array), kind) if kind else tf.constant(array))
        mine.append(convert_to_tensor(array, kind))
    spec = getattr(tf.raw_ops, op)
    names = spec.__signature__.parameters if hasattr(spec, "__signature__") else None
    arguments = [n for n in (names or ()) if n not in attrs][: len(theirs)]
    expected = spec(**dict(zip(arguments, theirs, strict=True)), **attrs)
    actual = getattr(raw, op)(*mine, **attrs)
    expected = list(expected) if isinstance(expected, (list, tuple)) else [expected]
    actual = list(actual) if isinstance(actual, (list, tuple)) else [actual]
    for e, a in zip(expected, actual, strict=True):
        assert e.dtype.name == a.dtype.name
        e_array = tf.bitcast(e, e.dtype.name[1:]).numpy() if e.dtype.name.startswith("q") else e.numpy()
        a_array = np.asarray(a._value)
        assert e_array.shape == a_array.shape
        np.testing.assert_allclose(a_array.astype(np.float64), e_array.astype(np.float64), rtol=1e-6, err_msg=op)
    return [np.asarray(a._value) for a in actual]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("mode", ["MIN_COMBINED", "MIN_FIRST", "SCALED"])
def test_quantizing_and_back(kind: str, mode: str) -> None:
    for low, high in ((-4.0, 6.0), (0.0, 5.0), (-3.0, -1.0), (0.0, 0.0)):
        ends = [np.float32(low), np.float32(high)]
        if not (kind == "qint32" and mode != "MIN_FIRST"):  # casting the largest float to int32 is undefined there
            out, *_ = compare_quantized("QuantizeV2", [X, *ends], T=kind, mode=mode)
        else:
            out = (X * 1e8).astype(np.int32)
        if (mode != "MIN_FIRST" or low != high) and (mode != "SCALED" or kind != "qint32"):  # oneDNN lacks that one
            compare_quantized("Dequantize", [(out, kind), *ends], mode=mode)
    if kind == "qint8" and mode != "MIN_FIRST":
        ends = [-np.ones(4, np.float32) * np.arange(1, 5, dtype=np.float32), np.arange(2, 6, dtype=np.float32)]
        out, *_ = compare_quantized("QuantizeV2", [X, *ends], T=kind, mode=mode, axis=1, narrow_range=mode == "SCALED")
        compare_quantized("Dequantize", [(out, kind), *ends], mode=mode, axis=1, narrow_range=mode == "SCALED")
    if mode == "SCALED":
        compare_quantized("QuantizeV2", [X, np.float32(-2), np.float32(3)], T="qint16", mode=mode, round_mode="HALF_TO_EVEN")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_simulated_quantization(dtype: type) -> None:
    x = X.astype(dtype)
    for signed in (True, False):
        for given in (True, False):
            for mode in ("HALF_TO_EVEN", "HALF_UP"):
                for narrow in (True, False):
                    attrs = {"signed_input": signed, "range_given": given, "round_mode": mode, "narrow_range": narrow}
                    low = dtype(-2.5 if signed else 0)
                    for op in ("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4"):
                        compare_op(op, [x, low, dtype(4)], grad=dtype is np.float32, **attrs)
                        lows, highs = np.full(5, low, dtype), np.arange(2, 7).astype(dtype)
                        compare_op(op, [x, lows, highs], axis=2, **attrs)
    compare_op("QuantizeAndDequantizeV3", [x, dtype(-2), dtype(4), np.int32(6)])


def test_fake_quantization() -> None:
    for narrow in (False, True):
        for bits in (2, 8, 16):
            attrs = {"num_bits": bits, "narrow_range": narrow}
            for low, high in ((-1.3, 4.7), (0.0, 3.0), (-3.0, 0.0), (1.0, 5.0)):
                if low <= 0:
                    compare_op("FakeQuantWithMinMaxArgs", [X], grad=True, min=low, max=high, **attrs)
                compare_op("FakeQuantWithMinMaxVars", [X, np.float32(low), np.float32(high)], grad=True, **attrs)
            compare_op("FakeQuantWithMinMaxVars", [X, np.float32(0), np.float32(0)], grad=True, **attrs)
            lows = np.array([-1, -2, 0, 0, -0.5], np.float32)
            compare_op("FakeQuantWithMinMaxVarsPerChannel", [X, lows, np.array([1, 3, 0, 4, 0.7], np.float32)], grad=True, **attrs)


def test_arithmetic() -> None:
    a, b = RNG.randint(0, 256, (4, 6)).astype(np.uint8), RNG.randint(0, 256, (6, 3)).astype(np.uint8)
    ends = [np.float32(v) for v in (-1.0, 2.0, -3.0, 1.5)]
    out = compare_quantized("QuantizedMatMul", [(a, "quint8"), (b, "quint8"), *ends], Toutput="qint32")
    compare_quantized("QuantizedMatMul", [(a.T.copy(), "quint8"), (b.T.copy(), "quint8"), *ends], Toutput="qint32", transpose_a=True, transpose_b=True)
    compare_quantized("RequantizationRange", [(out[0], "qint32"), out[1], out[2]])
    compare_quantized("QuantizeDownAndShrinkRange", [(out[0], "qint32"), out[1], out[2]], out_type="quint8")
    compare_quantized("Requantize", [(out[0], "qint32"), out[1], out[2], np.float32(-2), np.float32(3)], out_type="quint8")
    compare_quantized("QuantizedBiasAdd", [(a, "quint8"), (a[0], "quint8"), *ends], out_type="qint32")
    compare_quantized("QuantizedAdd", [(a, "quint8"), (a[0], "quint8"), *ends], Toutput="qint32")
    compare_quantized("QuantizedMul", [(a, "quint8"), (a[::-1].copy(), "quint8"), *ends], Toutput="qint32")
    for op in ("QuantizedRelu", "QuantizedRelu6"):
        compare_quantized(op, [(a, "quint8"), np.float32(-3), np.float32(9)], out_type="quint8")
    compare_quantized("QuantizedReshape", [(a, "quint8"), np.array([3, 8], np.int32), np.float32(-3), np.float32(9)])


def test_convolution_and_pooling() -> None:
    x, w = RNG.randint(0, 256, (2, 5, 6, 3)).astype(np.uint8), RNG.randint(0, 256, (2, 3, 3, 4)).astype(np.uint8)
    ends = [np.float32(v) for v in (-1.0, 2.0, -3.0, 1.5)]
    for padding in ("SAME", "VALID"):
        for stride in (1, 2):
            attrs = {"strides": [1, stride, stride, 1], "padding": padding}
            compare_quantized("QuantizedConv2D", [(x, "quint8"), (w, "quint8"), *ends], out_type="qint32", **attrs)
            compare_quantized("QuantizedMaxPool", [(x, "quint8"), *ends[:2]], ksize=[1, 2, 2, 1], **attrs)
