"""tf.signal beside the Fourier transforms: windows, frames, short-time transforms, cosine transforms, mel scales. It defines no ops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.infer import constant_value
from tracer.public import public, tf
from tracer.tensor import Tensor, convert_to_tensor

__all__: list[str] = []


def _static(value: Any) -> Any:
    """A scalar argument as a Python int where it is known, else as an int32 scalar tensor."""
    if isinstance(value, Tensor):
        known = constant_value(value)
        if known is not None:
            return int(known)
        return value if value.dtype is dtypes.int32 else raw.Cast(value, DstT=dtypes.int32)
    return int(value)


def _dim(x: Any, axis: int) -> Any:
    """Size `axis` of `x`: a Python int where it is known, else a scalar tensor."""
    size = x.shape[axis] if x.shape.rank is not None else None
    return raw.Shape(x)[axis] if size is None else size


def _ceil_div(a: Any, b: Any) -> Any:
    return -(-a // b)


def _number(value: Any, dtype: Any) -> Any:
    return raw.Cast(value, DstT=dtype) if isinstance(value, Tensor) else convert_to_tensor(np.asarray(value).astype(dtype.numpy))


def _largest(a: Any, b: Any) -> Any:
    return raw.Maximum(a, b) if isinstance(a, Tensor) or isinstance(b, Tensor) else max(a, b)


def _vector(*parts: Any) -> Any:
    """Sizes (ints, scalars, vectors) as one int32 vector."""
    pieces = []
    for p in parts:
        if isinstance(p, (list, tuple)):
            pieces.append(np.array(p, np.int32))
        elif isinstance(p, Tensor):
            pieces.append(raw.Reshape(p, [1]) if p.shape.rank == 0 else p)
        else:
            pieces.append(np.array([p], np.int32))
    if all(isinstance(p, np.ndarray) for p in pieces):
        return convert_to_tensor(np.concatenate(pieces))
    return raw.ConcatV2(pieces, 0) if len(pieces) > 1 else pieces[0]


def _outer(x: Any, count: int) -> Any:
    """All sizes of `x` but the last `count`."""
    shape = x.shape
    if shape.rank is not None and all(d is not None for d in shape.as_list()[: shape.rank - count]):
        return shape.as_list()[: shape.rank - count]
    return raw.Shape(x)[:-count]


# -- windows ---------------------------------------------------------------------------------------------------------


def _float_dtype(dtype: Any) -> Any:
    dtype = as_dtype(dtype)
    if not dtype.is_floating:
        raise InvalidArgumentError(f"dtype must be a floating point type. Found {dtype}")
    return dtype


def _raised_cosine(length: Any, periodic: Any, dtype: Any, a: float, b: float) -> Any:
    dtype, length = _float_dtype(dtype), _static(length)
    if isinstance(length, int) and length == 1:
        return convert_to_tensor(np.ones(1, dtype.numpy))
    even = 1 - length % 2
    if isinstance(periodic, Tensor):
        even = raw.Cast(periodic, DstT=dtypes.int32) * even
    elif not periodic:
        even = 0
    n = _number(length + even - 1, dtype)
    count = raw.Cast(raw.Range(0, length, 1), DstT=dtype)
    angle = _number(2 * np.pi, dtype) * count / n
    window = _number(a, dtype) - _number(b, dtype) * raw.Cos(angle)
    if isinstance(length, int):
        return window
    return raw.SelectV2(raw.Equal(length, 1), raw.OnesLike(window), window)


@public("signal.hann_window")
def hann_window(window_length, periodic=True, dtype=dtypes.float32, name=None):
    """A Hann window."""
    return _raised_cosine(window_length, periodic, dtype, 0.5, 0.5)


@public("signal.hamming_window")
def hamming_window(window_length, periodic=True, dtype=dtypes.float32, name=None):
    """A Hamming window."""
    return _raised_cosine(window_length, periodic, dtype, 0.54, 0.46)


@public("signal.vorbis_window")
def vorbis_window(window_length, dtype=dtypes.float32, name=None):
    """The window of Vorbis: power-complementary."""
    dtype, length = _float_dtype(dtype), _static(window_length)
    at = raw.Cast(raw.Range(0, length, 1), DstT=dtype)
    inner = raw.Sin(_number(np.pi, dtype) / _number(length, dtype) * (at + _number(0.5, dtype)))
    return raw.Sin(_number(np.pi / 2.0, dtype) * raw.Pow(inner, _number(2.0, dtype)))


@public("signal.kaiser_window")
def kaiser_window(window_length, beta=12.0, dtype=dtypes.float32, name=None):
    """A Kaiser window with shape parameter `beta`."""
    dtype, length = _float_dtype(dtype), _static(window_length)
    if isinstance(length, int) and length == 1:
        return convert_to_tensor(np.ones(1, dtype.numpy))
    half = (_number(length, dtypes.float32) - np.float32(1)) / np.float32(2)
    at = raw.Cast(raw.Cast(raw.Range(0, length, 1), DstT=dtypes.float32) - half, DstT=dtype)
    half, beta, one = raw.Cast(half, DstT=dtype), _number(beta, dtype), _number(1.0, dtype)
    num = beta * raw.Sqrt(raw.Relu(one - raw.Square(at / half)))
    return raw.Exp(num - beta) * (raw.BesselI0e(num) / raw.BesselI0e(beta))


@public("signal.kaiser_bessel_derived_window")
def kaiser_bessel_derived_window(window_length, beta=12.0, dtype=dtypes.float32, name=None):
    """A Kaiser-Bessel derived window: power-complementary."""
    half = _static(window_length) // 2
    sums = raw.Cumsum(kaiser_window(half + 1, beta, dtype), 0)
    left = raw.Sqrt(sums[:-1] / sums[-1])
    return raw.ConcatV2([left, raw.ReverseV2(left, [0])], 0)


# -- frames ----------------------------------------------------------------------------------------------------------


@public("signal.frame")
def frame(signal, frame_length, frame_step, pad_end=False, pad_value=0, axis=-1, name=None):
    """`signal` cut into overlapping frames: `axis` becomes (frames, frame_length).

    Args:
        pad_end: whether frames that reach past the end are kept and filled with `pad_value`.
    """
    signal = convert_to_tensor(signal)
    length, step, axis = _static(frame_length), _static(frame_step), int(_static(axis))
    rank = signal.shape.rank
    if rank is None:
        raise ShapeError("signal.frame: expected a signal of known rank, received one of unknown rank; give it a shape first")
    if rank < 1:
        raise ShapeError(f"signal.frame: expected rank at least 1, received shape {signal.shape}")
    axis = range(rank)[axis]
    samples = _dim(signal, axis)
    if pad_end:
        count = _ceil_div(samples, step)
        missing = _largest(length + step * (count - 1) - samples, 0)
        rows = [_vector(0, missing if i == axis else 0) for i in range(rank)]
        fill = convert_to_tensor(pad_value, signal.dtype) if not isinstance(pad_value, Tensor) else pad_value
        signal = raw.PadV2(signal, raw.Pack(rows), fill)
    else:
        count = _largest((samples - length + step) // step, 0)
    starts = raw.Reshape(raw.Range(0, count, 1) * step, [-1, 1])
    inner = raw.Reshape(raw.Range(0, length, 1), [1, -1])
    return raw.GatherV2(signal, starts + inner, axis, name=name)


@public("signal.overlap_and_add")
def overlap_and_add(signal, frame_step, name=None):
    """Frames (…, frames, frame_length) added up at distances of `frame_step`: shape (…, output_length)."""
    signal = convert_to_tensor(signal)
    if isinstance(frame_step, Tensor) and not frame_step.dtype.is_integer:
        raise InvalidArgumentError(f"frame_step must be an integer. Got {frame_step.dtype}")
    if signal.shape.rank is not None and signal.shape.rank < 2:
        raise ShapeError(f"signal.overlap_and_add: expected rank at least 2, received shape {signal.shape}")
    step, length, frames = _static(frame_step), _dim(signal, -1), _dim(signal, -2)
    outer = _outer(signal, 2)
    total = length + step * (frames - 1)
    if isinstance(step, int) and isinstance(length, int) and step == length:
        return raw.Reshape(signal, _vector(outer, total), name=name)
    segments = _ceil_div(length, step)
    # Frames are filled up to whole segments; segment s of frame f belongs to place f + s of the output.
    signal = _pad_two(signal, segments, segments * step - length)
    signal = raw.Reshape(signal, _vector(outer, frames + segments, segments, step))
    signal = _swap(signal)
    signal = raw.Reshape(signal, _vector(outer, (frames + segments) * segments, step))
    signal = signal[..., : (frames + segments - 1) * segments, :]
    signal = raw.Reshape(signal, _vector(outer, segments, frames + segments - 1, step))
    signal = raw.Sum(signal, [-3])
    signal = raw.Reshape(signal, _vector(outer, (frames + segments - 1) * step))
    return signal[..., :total]


def _pad_two(x: Any, rows: Any, columns: Any) -> Any:
    rank = raw.Rank(x) if x.shape.rank is None else x.shape.rank
    after = raw.Pack([_vector(0, rows), _vector(0, columns)])
    before = raw.Fill(_vector(rank - 2, 2), 0)
    return raw.Pad(x, raw.ConcatV2([before, after], 0))


def _swap(x: Any) -> Any:
    """The third and second axes from the end exchanged."""
    if x.shape.rank is not None:
        order = list(range(x.shape.rank))
        order[-3], order[-2] = order[-2], order[-3]
        return raw.Transpose(x, np.array(order, np.int32))
    rank = raw.Rank(x)
    return raw.Transpose(x, _vector(raw.Range(0, rank - 3, 1), rank - 2, rank - 3, rank - 1))


# -- short-time transforms -------------------------------------------------------------------------------------------


def _enclosing_power_of_two(length: Any) -> Any:
    if isinstance(length, int):
        return 2 ** math.ceil(math.log(length) / math.log(2.0)) if length > 0 else 0
    exponent = raw.Ceil(raw.Log(raw.Cast(length, DstT=dtypes.float32)) / np.float32(math.log(2.0)))
    return raw.Cast(raw.Pow(np.float32(2), exponent), DstT=dtypes.int32)


@public("signal.stft")
def stft(signals, frame_length, frame_step, fft_length=None, window_fn=hann_window, pad_end=False, name=None):
    """Short-time Fourier transform: (…, samples) real to (…, frames, fft_length / 2 + 1) complex."""
    signals, length = convert_to_tensor(signals), _static(frame_length)
    points = _enclosing_power_of_two(length) if fft_length is None else _static(fft_length)
    framed = frame(signals, length, frame_step, pad_end=pad_end)
    if window_fn is not None:
        framed = framed * window_fn(length, dtype=framed.dtype)
    return tf.signal.rfft(framed, _vector(points))


@public("signal.inverse_stft_window_fn")
def inverse_stft_window_fn(frame_step, forward_window_fn=hann_window, name=None):
    """A window function for `inverse_stft` that undoes `stft` with `forward_window_fn` exactly."""

    def inverse_window(frame_length, dtype):
        length, step = _static(frame_length), _static(frame_step)
        window = forward_window_fn(length, dtype=dtype)
        overlaps = _ceil_div(length, step)
        total = raw.Pad(raw.Square(window), raw.Reshape(_vector(0, overlaps * step - length), [1, 2]))
        total = raw.Sum(raw.Reshape(total, _vector(overlaps, step)), [0], keep_dims=True)
        total = raw.Reshape(raw.Tile(total, _vector(overlaps, 1)), _vector(overlaps * step))
        return window / total[:length]

    return inverse_window


@public("signal.inverse_stft")
def inverse_stft(stfts, frame_length, frame_step, fft_length=None, window_fn=hann_window, name=None):
    """The signal that a short-time transform (…, frames, bins) stands for."""
    stfts, length = convert_to_tensor(stfts), _static(frame_length)
    points = _enclosing_power_of_two(length) if fft_length is None else _static(fft_length)
    frames = tf.signal.irfft(stfts, _vector(points))
    frames = frames[..., :length]
    short = _largest(length - _dim(frames, -1), 0)
    if not isinstance(short, int) or short > 0:
        frames = _pad_two(frames, 0, short)
    if window_fn is not None:
        frames = frames * window_fn(length, dtype=frames.dtype)
    return overlap_and_add(frames, frame_step, name=name)


# -- cosine transforms -----------------------------------------------------------------------------------------------


@public("signal.dct")
def dct(input, type=2, n=None, axis=-1, norm=None, name=None):
    """Discrete cosine transform of type 1 to 4 along the last axis, which is cropped or padded to `n`.

    Raises:
        NotImplementedError: another axis. ValueError: an unknown type or norm.
    """
    _check_dct(input, type, n, axis, norm)
    return _dct(convert_to_tensor(input), type, n, norm)


@public("signal.idct")
def idct(input, type=2, n=None, axis=-1, norm=None, name=None):
    """The inverse of `dct`, up to a factor where `norm` is None."""
    _check_dct(input, type, n, axis, norm)
    return _dct(convert_to_tensor(input), {1: 1, 2: 3, 3: 2, 4: 4}[type], n, norm)


def _check_dct(x: Any, kind: Any, n: Any, axis: Any, norm: Any) -> None:
    if axis != -1:
        raise NotImplementedError(f"signal.dct: axis must be -1. Got: {axis}. Transpose the tensor first.")
    if n is not None and n < 1:
        raise InvalidArgumentError(f"n should be a positive integer or None, received {n}")
    if kind not in (1, 2, 3, 4):
        raise InvalidArgumentError(f"Types I, II, III and IV (I)DCT are supported, received {kind}")
    if kind == 1:
        if norm == "ortho":
            raise InvalidArgumentError("Normalization is not supported for the Type-I DCT.")
        size = convert_to_tensor(x).shape[-1]
        if size is not None and size < 2:
            raise InvalidArgumentError("Type-I DCT requires the dimension to be greater than one.")
    if norm not in (None, "ortho"):
        raise InvalidArgumentError(f"Unknown normalization. Expected None or 'ortho', got: {norm}")


def _dct(x: Any, kind: int, n: Any, norm: str | None) -> Any:
    dtype = x.dtype
    if n is not None:
        x = x[..., :n]
        missing = _largest(n - _dim(x, -1), 0)
        if not isinstance(missing, int) or missing > 0:
            x = raw.Pad(x, _last_padding(x, missing))
    size = _dim(x, -1)
    real_size = _number(size, dtype)
    pair = dtypes.complex64 if dtype is dtypes.float32 else dtypes.complex128
    if kind == 1:
        mirrored = raw.ConcatV2([x, x[..., -2:0:-1]], -1)
        return raw.Real(tf.signal.rfft(mirrored), Tout=dtype)
    if kind == 4:
        result = _dct(x, 2, 2 * size, None)[..., 1::2]
        return result * (_number(math.sqrt(0.5), dtype) * raw.Rsqrt(real_size)) if norm == "ortho" else result
    sign = -1.0 if kind == 2 else 1.0
    angle = raw.Cast(raw.Range(0, size, 1), DstT=dtype) * _number(sign * math.pi * 0.5, dtype) / real_size
    turn = raw.Complex(_number(2.0, dtype) * raw.Cos(angle), _number(2.0, dtype) * raw.Sin(angle), Tout=pair)
    double = _vector(2 * size)
    if kind == 2:
        result = raw.Real(tf.signal.rfft(x, double)[..., :size] * turn, Tout=dtype)
        if norm == "ortho":
            result = result * _ortho(size, _number(0.5, dtype) * raw.Rsqrt(real_size), math.sqrt(2.0), dtype)
        return result
    x = x * (_ortho(size, raw.Sqrt(real_size), math.sqrt(0.5), dtype) if norm == "ortho" else real_size)
    spectrum = turn * raw.Complex(x, raw.ZerosLike(x), Tout=pair)
    return tf.signal.irfft(spectrum, double)[..., :size]


def _ortho(size: Any, first: Any, ratio: float, dtype: Any) -> Any:
    """A vector of `size`: `first`, then `first` times `ratio`."""
    at = raw.Range(0, size, 1)
    return raw.SelectV2(raw.Equal(at, 0), first, first * _number(ratio, dtype))


def _last_padding(x: Any, after: Any) -> Any:
    rank = raw.Rank(x) if x.shape.rank is None else x.shape.rank
    return raw.ConcatV2([raw.Fill(_vector(rank - 1, 2), 0), raw.Reshape(_vector(0, after), [1, 2])], 0)


def _quarters(x: Any, count: int) -> list[Any]:
    return raw.Split(-1, x, num_split=count)


@public("signal.mdct")
def mdct(signals, frame_length, window_fn=vorbis_window, pad_end=False, norm=None, name=None):
    """Modified discrete cosine transform: (…, samples) to (…, frames, frame_length / 2)."""
    signals, length = convert_to_tensor(signals), _static(frame_length)
    if isinstance(length, int) and length % 4:
        raise InvalidArgumentError(f"The frame length must be a multiple of 4, received {length}")
    framed = frame(signals, length, length // 2, pad_end=pad_end)
    if window_fn is not None:
        framed = framed * window_fn(length, dtype=framed.dtype)
    else:
        framed = framed * _number(1.0 / math.sqrt(2), framed.dtype)
    a, b, c, d = _quarters(framed, 4)
    first, second = raw.Neg(raw.ReverseV2(c, [-1])) - d, a - raw.ReverseV2(b, [-1])
    return dct(raw.ConcatV2([first, second], -1), type=4, norm=norm)


@public("signal.inverse_mdct")
def inverse_mdct(mdcts, window_fn=vorbis_window, norm=None, name=None):
    """The signal that a modified discrete cosine transform (…, frames, half frame length) stands for."""
    mdcts = convert_to_tensor(mdcts)
    half = _dim(mdcts, -1)
    result = _dct(mdcts, 4, None, norm)
    if norm is None:
        result = _number(0.5, mdcts.dtype) / _number(half, mdcts.dtype) * result
    elif norm != "ortho":
        raise InvalidArgumentError(f"Unknown normalization. Expected None or 'ortho', got: {norm}")
    first, second = _quarters(result, 2)
    frames = raw.ConcatV2([second, raw.Neg(raw.ReverseV2(second, [-1])), raw.Neg(raw.ReverseV2(first, [-1])), raw.Neg(first)], -1)
    if window_fn is not None:
        frames = frames * window_fn(2 * half, dtype=mdcts.dtype)
    else:
        frames = frames * _number(1.0 / math.sqrt(2), mdcts.dtype)
    return overlap_and_add(frames, half, name=name)


# -- mel scale -------------------------------------------------------------------------------------------------------


@public("signal.linear_to_mel_weight_matrix")
def linear_to_mel_weight_matrix(
    num_mel_bins=20, num_spectrogram_bins=129, sample_rate=8000, lower_edge_hertz=125.0, upper_edge_hertz=3800.0, dtype=dtypes.float32, name=None
):  # fmt: skip
    """Weights (num_spectrogram_bins, num_mel_bins) that turn linear frequencies into triangular mel bands.

    Raises:
        ValueError: edges that are negative, out of order, or beyond half the sample rate.
    """
    dtype = as_dtype(dtype)
    known = constant_value(sample_rate) if isinstance(sample_rate, Tensor) else sample_rate
    if num_mel_bins <= 0:
        raise InvalidArgumentError(f"num_mel_bins must be positive. Got: {num_mel_bins}")
    if lower_edge_hertz < 0.0:
        raise InvalidArgumentError(f"lower_edge_hertz must be non-negative. Got: {lower_edge_hertz}")
    if lower_edge_hertz >= upper_edge_hertz:
        raise InvalidArgumentError(f"lower_edge_hertz {lower_edge_hertz:.1f} >= upper_edge_hertz {upper_edge_hertz:.1f}")
    if known is not None:
        if known <= 0:
            raise InvalidArgumentError(f"sample_rate must be positive. Got: {known}")
        if upper_edge_hertz > known / 2:
            raise InvalidArgumentError(
                f"upper_edge_hertz must not be larger than the Nyquist frequency (sample_rate / 2). Got {upper_edge_hertz} for sample_rate: {known}"
            )
    if not dtype.is_floating:
        raise InvalidArgumentError(f"dtype must be a floating point type. Got: {dtype}")
    zero, one = _number(0.0, dtype), _number(1.0, dtype)

    def mel(hertz: Any) -> Any:
        return _number(1127.0, dtype) * raw.Log(one + hertz / _number(700.0, dtype))

    nyquist = _number(sample_rate, dtype) / _number(2.0, dtype)
    linear = raw.LinSpace(zero, nyquist, num_spectrogram_bins)[1:]
    spectrogram = raw.ExpandDims(mel(linear), 1)
    edges = raw.LinSpace(mel(_number(lower_edge_hertz, dtype)), mel(_number(upper_edge_hertz, dtype)), num_mel_bins + 2)
    lower, center, upper = (raw.Reshape(edges[i : num_mel_bins + i], [1, num_mel_bins]) for i in range(3))
    rising, falling = (spectrogram - lower) / (center - lower), (upper - spectrogram) / (upper - center)
    return raw.Pad(raw.Maximum(zero, raw.Minimum(rising, falling)), [[1, 0], [0, 0]], name=name)


@public("signal.mfccs_from_log_mel_spectrograms")
def mfccs_from_log_mel_spectrograms(log_mel_spectrograms, name=None):
    """Mel-frequency cepstral coefficients of log-magnitude mel spectrograms (…, num_mel_bins)."""
    x = convert_to_tensor(log_mel_spectrograms)
    bins = _dim(x, -1)
    if isinstance(bins, int) and bins == 0:
        raise InvalidArgumentError(f"num_mel_bins must be positive. Got: {x}")
    return dct(x, type=2) * raw.Rsqrt(_number(bins, x.dtype) * _number(2.0, x.dtype))
