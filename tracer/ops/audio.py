"""Sound: WAV files read and written, spectrograms and mel-frequency cepstral coefficients. Values as TensorFlow 2.15's CPU kernels."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape

__all__: list[str] = []

_SKIPPED = (b"JUNK", b"bext", b"iXML", b"qlty", b"mext", b"levl", b"link", b"axml")


class _Reader:
    """Takes fields off the front of bytes. Raises InvalidArgumentError where they end too soon."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise InvalidArgumentError(f"Data too short when trying to read a WAV file: expected {count} bytes at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, kind: str) -> int:
        return struct.unpack("<" + kind, self.take(struct.calcsize(kind)))[0]

    def expect(self, text: bytes) -> None:
        found = self.take(4)
        if found != text:
            raise InvalidArgumentError(f"Header mismatch: Expected {text.decode()} but found {found!r}")


def _read_wav(data: bytes) -> tuple[np.ndarray, int]:
    """Samples (samples, channels) in [-1, 1) of a 16-bit WAV file, and its rate."""
    reader = _Reader(data)
    reader.expect(b"RIFF")
    reader.number("I")
    reader.expect(b"WAVE")
    name = reader.take(4)
    while name != b"fmt ":
        if name not in _SKIPPED:
            raise InvalidArgumentError(f"Unexpected field {name!r}")
        reader.take(reader.number("I"))
        name = reader.take(4)
    size = reader.number("I")
    if size not in (16, 18):
        raise InvalidArgumentError(f"Bad format chunk size for WAV: Expected 16 or 18, but got {size}")
    audio_format, channels, rate, per_second, per_sample, bits = (reader.number(k) for k in "HHIIHH")
    if audio_format != 1:
        raise InvalidArgumentError(f"Bad audio format for WAV: Expected 1 (PCM), but got {audio_format}")
    if channels < 1:
        raise InvalidArgumentError(f"Bad number of channels for WAV: Expected at least 1, but got {channels}")
    if bits != 16:
        raise InvalidArgumentError(f"Can only read 16-bit WAV files, but received {bits}")
    if per_sample != 2 * channels:
        raise InvalidArgumentError(f"Bad bytes per sample in WAV header: Expected {2 * channels} but got {per_sample}")
    if per_second != per_sample * rate:
        raise InvalidArgumentError(f"Bad bytes per second in WAV header: Expected {per_sample * rate} but got {per_second}")
    if size == 18:
        reader.take(2)
    samples = None
    while reader.at < len(data):
        name, size = reader.take(4), reader.number("I")
        if name != b"data":
            reader.at += size
            continue
        if samples is not None:
            raise InvalidArgumentError("More than one data chunk found in WAV")
        count = size // per_sample
        raw_samples = np.frombuffer(reader.take(count * per_sample), "<i2").reshape(count, channels)
        samples = raw_samples.astype(np.float32) * np.float32(1.0 / 32768)
    if samples is None:
        raise InvalidArgumentError("No data chunk found in WAV")
    return samples, rate


decode_op = op("DecodeWav(contents: string) -> (audio: float, sample_rate: int32); desired_channels: int = -1; desired_samples: int = -1").not_differentiable()  # fmt: skip


@decode_op.infer
def _(ctx: Any) -> Any:
    samples, channels = ctx.attr("desired_samples"), ctx.attr("desired_channels")
    return [TensorShape([None if samples == -1 else samples, None if channels == -1 else channels]), TensorShape([])]


@decode_op.kernel
def _(contents: Any, *, desired_channels: int, desired_samples: int) -> Any:
    contents = np.asarray(contents, object)
    if contents.ndim:
        raise ShapeError(f"contents must be scalar, got shape {list(contents.shape)}")
    if desired_channels < -1 or desired_samples < -1:
        raise InvalidArgumentError(f"desired_channels and desired_samples must be >= -1, got {desired_channels} and {desired_samples}")
    audio, rate = _read_wav(contents[()])
    count = len(audio) if desired_samples == -1 else desired_samples
    channels = audio.shape[1] if desired_channels == -1 else desired_channels
    out = np.zeros((count, channels), np.float32)
    have = min(count, len(audio))
    out[:have] = audio[:have, np.minimum(np.arange(channels), audio.shape[1] - 1)]
    return out, np.uint32(rate).astype(np.int32)


encode_op = op("EncodeWav(audio: float, sample_rate: int32) -> (contents: string)").not_differentiable()
encode_op.infer(lambda ctx: TensorShape([]))


@encode_op.kernel
def _(audio: Any, rate: Any) -> Any:
    if audio.ndim != 2 or not 0 < audio.shape[1] < 65536:
        raise ShapeError(f"audio must be 2-dimensional (samples, channels), received shape {list(audio.shape)}")
    if rate.ndim or rate <= 0:
        raise InvalidArgumentError(f"sample_rate must be a positive scalar, received {rate}")
    scaled = audio * np.float32(32768)
    rounded = np.copysign(np.floor(np.abs(scaled) + np.float32(0.5)), scaled)
    data = np.clip(rounded, -32768, 32767).astype("<i2").tobytes()
    channels, rate = audio.shape[1], int(rate)
    header = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + b"fmt " + struct.pack(
        "<IHHIIHH", 16, 1, channels, rate, rate * 2 * channels, 2 * channels, 16
    )  # fmt: skip
    out = np.empty((), object)
    out[()] = header + b"data" + struct.pack("<I", len(data)) + data
    return out


# -- spectra ---------------------------------------------------------------------------------------------------------

spectrogram_op = op("AudioSpectrogram(input: float) -> (spectrogram: float); window_size: int; stride: int; magnitude_squared: bool = false").not_differentiable()  # fmt: skip


def _points(window: int) -> int:
    return 1 << (window - 1).bit_length()


@spectrogram_op.infer
def _(ctx: Any) -> Any:
    window, stride = ctx.attr("window_size"), ctx.attr("stride")
    if window <= 1 or stride <= 0:
        raise InvalidArgumentError(f"window_size must be > 1 and stride > 0, got {window} and {stride}")
    shape = ctx.shape(0)
    samples, channels = shape.as_list() if shape.rank == 2 else (None, None)
    frames = None if samples is None else (0 if samples < window else 1 + (samples - window) // stride)
    return TensorShape([channels, frames, 1 + _points(window) // 2])


@spectrogram_op.kernel
def _(x: Any, *, window_size: int, stride: int, magnitude_squared: bool) -> np.ndarray:
    if x.ndim != 2:
        raise ShapeError(f"input must be 2-dimensional (samples, channels), received shape {list(x.shape)}")
    if window_size <= 1 or stride <= 0:
        raise InvalidArgumentError(f"window_size must be > 1 and stride > 0, got {window_size} and {stride}")
    points = _points(window_size)
    samples, channels = x.shape
    if samples < window_size:
        return np.zeros((channels, 0, 1 + points // 2), np.float32)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_size) / window_size)
    frames = np.lib.stride_tricks.sliding_window_view(x.T.astype(np.float64), window_size, axis=1)[:, ::stride]
    spectrum = np.fft.rfft(frames * hann, points)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return power if magnitude_squared else np.sqrt(power)


mfcc_op = op("Mfcc(spectrogram: float, sample_rate: int32) -> (output: float); upper_frequency_limit: float = 4000.0; lower_frequency_limit: float = 20.0; filterbank_channel_count: int = 40; dct_coefficient_count: int = 13").not_differentiable()  # fmt: skip


@mfcc_op.infer
def _(ctx: Any) -> Any:
    shape = ctx.shape(0)
    channels, frames = shape.as_list()[:2] if shape.rank == 3 else (None, None)
    return TensorShape([channels, frames, ctx.attr("dct_coefficient_count")])


def _filterbank(bins: int, rate: int, count: int, low: float, high: float) -> np.ndarray:
    """Triangular weights (bins, count) at equal distances on the mel scale; a bin counts in at most two channels."""

    def mel(frequency: Any) -> Any:
        return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)

    low_mel, high_mel = float(mel(low)), float(mel(high))
    centers = low_mel + (high_mel - low_mel) / (count + 1) * (np.arange(count + 1) + 1)
    width = 0.5 * rate / (bins - 1)
    first, last = int(1.5 + low / width), int(high / width)
    if last >= bins:
        raise InvalidArgumentError(f"Mfcc: the upper frequency limit {high} lies beyond the {bins} bins of a spectrogram at {rate} Hz")
    weights = np.zeros((bins, count))
    for i in range(first, last + 1):
        at = float(mel(i * width))
        channel = min(int(np.searchsorted(centers[:count], at)), count) - 1
        below = centers[channel] if channel >= 0 else low_mel
        share = (centers[channel + 1] - at) / (centers[channel + 1] - below)
        if channel >= 0:
            weights[i, channel] += share
        if channel + 1 < count:
            weights[i, channel + 1] += 1.0 - share
    return weights


@mfcc_op.kernel
def _(
    x: Any, rate: Any, *, upper_frequency_limit: float, lower_frequency_limit: float, filterbank_channel_count: int, dct_coefficient_count: int
) -> np.ndarray:  # fmt: skip
    count, kept = filterbank_channel_count, dct_coefficient_count
    if x.ndim != 3 or x.shape[2] < 2:
        raise ShapeError(f"spectrogram must be 3-dimensional (channels, frames, bins), received shape {list(x.shape)}")
    if rate.size != 1 or rate.reshape(()) <= 0:
        raise InvalidArgumentError(f"sample_rate must be a positive number, received {rate}")
    if not 0 <= lower_frequency_limit < upper_frequency_limit or count < 1 or not 1 <= kept <= count:
        raise InvalidArgumentError(
            f"Mfcc: expected 0 <= lower < upper frequency limit and 1 <= coefficients <= channels, received {lower_frequency_limit}, "
            f"{upper_frequency_limit}, {kept}, {count}"
        )
    bank = _filterbank(x.shape[2], int(rate.reshape(())), count, lower_frequency_limit, upper_frequency_limit)
    energies = np.log(np.maximum(np.sqrt(x.astype(np.float64)) @ bank, 1e-12))
    cosines = np.sqrt(2.0 / count) * np.cos(np.arange(kept)[:, None] * (np.pi / count) * (np.arange(count) + 0.5))
    return (energies @ cosines.T).astype(np.float32)


# -- tf.audio --------------------------------------------------------------------------------------------------------


@public("audio.decode_wav")
def decode_wav(contents, desired_channels=-1, desired_samples=-1, name=None):
    """A 16-bit WAV file as (audio in [-1, 1) of shape (samples, channels), sample_rate)."""
    return raw.DecodeWav(contents, desired_channels=desired_channels, desired_samples=desired_samples, name=name)


@public("audio.encode_wav")
def encode_wav(audio, sample_rate, name=None):
    """Audio in [-1, 1] of shape (samples, channels) as a 16-bit WAV file."""
    return raw.EncodeWav(audio, sample_rate, name=name)
