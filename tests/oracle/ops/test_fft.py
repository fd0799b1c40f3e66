"""Fourier transforms and tf.signal, compared with TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle.compare import compare_calls, compare_op, tf
from tracer.public import tf as ours

RNG = np.random.RandomState(5)
REAL = RNG.randn(2, 3, 6, 8).astype(np.float32)


def compare_fn(name: str, x: Any = None, *args: Any, **limits: Any) -> None:
    """tf.signal's function on a tensor and Python arguments."""
    short = name.split(".")[1]
    theirs, mine = getattr(tf.signal, short), getattr(ours.signal, short)
    if x is None or not isinstance(x, np.ndarray):
        args = args if x is None else (x, *args)
        compare_calls(lambda: theirs(*args), lambda: mine(*args), [], name, **limits)
    else:
        compare_calls(lambda v: theirs(v, *args), lambda v: mine(v, *args), [x], name, **limits)


COMPLEX = (REAL + 1j * RNG.randn(*REAL.shape)).astype(np.complex64)


@pytest.mark.parametrize("op", ["FFT", "IFFT", "FFT2D", "IFFT2D", "FFT3D", "IFFT3D"])
def test_complex_transforms(op: str) -> None:
    compare_op(op, [COMPLEX], grad=True, rtol=1e-4, atol=1e-4)
    compare_op(op, [COMPLEX.astype(np.complex128)], grad=True)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_real_transforms(rank: int) -> None:
    name = "rfft" + ("" if rank == 1 else f"{rank}d")
    for lengths in (None, [8, 6, 3][:rank][::-1], [9, 7, 2][:rank][::-1], [5, 4, 4][:rank][::-1]):
        for x in (REAL, REAL.astype(np.float64), REAL[..., :7]):
            grad = rank < 3 and lengths is None
            theirs, mine = getattr(tf.signal, name), getattr(ours.signal, name)
            compare_calls(lambda t, f=theirs, n=lengths: f(t, n), lambda t, f=mine, n=lengths: f(t, n), [x], name, grad=grad, rtol=1e-4, atol=1e-4)
        theirs, mine = getattr(tf.signal, "i" + name), getattr(ours.signal, "i" + name)
        compare_calls(lambda t, f=theirs, n=lengths: f(t, n), lambda t, f=mine, n=lengths: f(t, n), [COMPLEX], name, grad=grad, rtol=1e-4, atol=1e-4)


def test_shifts() -> None:
    for axes in (None, 1, [0, -1]):
        compare_fn("signal.fftshift", REAL, axes)
        compare_fn("signal.ifftshift", REAL[..., :7], axes)


@pytest.mark.parametrize("length", [1, 2, 7, 16])
def test_windows(length: int) -> None:
    for dtype in ("float32", "float64"):
        t, m = getattr(tf, dtype), getattr(ours, dtype)
        for name in ("hann_window", "hamming_window"):
            for periodic in (True, False):
                compare_calls(
                    lambda n=name, p=periodic, d=t: getattr(tf.signal, n)(length, p, d),
                    lambda n=name, p=periodic, d=m: getattr(ours.signal, n)(length, p, d), [], name, atol=1e-6,
                )  # fmt: skip
        for name in ("vorbis_window", "kaiser_window", "kaiser_bessel_derived_window"):
            if length % 2 == 0 or name != "kaiser_bessel_derived_window":
                compare_calls(
                    lambda n=name, d=t: getattr(tf.signal, n)(length, dtype=d), lambda n=name, d=m: getattr(ours.signal, n)(length, dtype=d), [], name,
                    atol=1e-6,
                )  # fmt: skip


def test_frames() -> None:
    x = RNG.randn(2, 23, 3).astype(np.float32)
    for length, step in ((5, 2), (4, 4), (3, 7), (30, 3)):
        for pad in (False, True):
            compare_fn("signal.frame", x, length, step, pad, 1.5, 1, grad=True)
            compare_fn("signal.frame", x[:, :, 0], length, step, pad)
    for step in (1, 2, 3, 5, 7):
        compare_fn("signal.overlap_and_add", RNG.randn(2, 4, 5).astype(np.float32), step, grad=True)


def test_short_time_transforms() -> None:
    x = RNG.randn(2, 100).astype(np.float32)
    for length, step, points in ((16, 8, None), (20, 7, None), (20, 7, 25)):
        compare_fn("signal.stft", x, length, step, points, rtol=1e-4, atol=1e-4)
        s = tf.signal.stft(x, length, step, points).numpy()
        compare_fn("signal.inverse_stft", s, length, step, points, rtol=1e-4, atol=1e-4)
        theirs, mine = tf.signal.inverse_stft_window_fn(step), ours.signal.inverse_stft_window_fn(step)
        compare_calls(
            lambda v, w=theirs, a=(length, step, points): tf.signal.inverse_stft(v, *a, w),
            lambda v, w=mine, a=(length, step, points): ours.signal.inverse_stft(v, *a, w), [s], "exact", rtol=1e-4, atol=1e-4,
        )  # fmt: skip
    compare_fn("signal.mdct", x, 16, rtol=1e-4, atol=1e-4)
    compare_fn("signal.inverse_mdct", tf.signal.mdct(x, 16).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_cosine_transforms(kind: int) -> None:
    for norm in (None, "ortho"):
        if kind == 1 and norm:
            continue
        for n in (None, 5, 12):
            for name in ("signal.dct", "signal.idct"):
                compare_fn(name, REAL, kind, n, -1, norm, rtol=1e-4, atol=1e-4)
                compare_fn(name, REAL.astype(np.float64), kind, n, -1, norm, rtol=1e-9, atol=1e-9)


def test_mel_scale() -> None:
    compare_fn("signal.linear_to_mel_weight_matrix", rtol=1e-3, atol=1e-5)
    compare_fn("signal.linear_to_mel_weight_matrix", 40, 257, 16000, 80.0, 7600.0, rtol=1e-3, atol=1e-5)
    compare_fn("signal.mfccs_from_log_mel_spectrograms", REAL, rtol=1e-4, atol=1e-4)
