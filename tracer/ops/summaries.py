"""Summary ops: scalars, histograms, images, sounds and tensors as serialized Summary messages. Writers of event files are refused."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from tracer import infer, wire
from tracer.errors import InvalidArgumentError
from tracer.registry import get_op, op

_REAL = "{float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}"
# Fields of Summary.Value.
_TAG, _SIMPLE, _IMAGE, _HISTOGRAM, _AUDIO, _NODE, _TENSOR, _METADATA = 1, 2, 4, 5, 6, 7, 8, 9


def _value(tag: bytes, content: bytes) -> bytes:
    """One field `value` of a Summary."""
    return wire.bytes_field(1, wire.bytes_field(_TAG, tag) + content)


def _double(number: int, value: float) -> bytes:
    return wire.varint(number << 3 | 1) + struct.pack("<d", value) if value else b""


def _float(number: int, value: float) -> bytes:
    return wire.varint(number << 3 | 5) + struct.pack("<f", value)


def _int(number: int, value: int) -> bytes:
    return wire.varint_field(number, value) if value else b""


def _scalar_tag(tag: Any, what: str) -> bytes:
    if tag.ndim:
        raise InvalidArgumentError(f"{what}: tag must be scalar, received shape {list(tag.shape)}")
    return tag.item()


scalar_op = op(f"ScalarSummary(tags: string, values: T) -> (summary: string); T: {_REAL}").not_differentiable()
scalar_op.infer(infer.scalar)


@scalar_op.kernel
def _(tags: Any, values: Any) -> Any:
    if tags.shape != values.shape and not (tags.size == 1 and values.size == 1):
        raise InvalidArgumentError(f"tags and values are not the same shape: {list(tags.shape)} != {list(values.shape)}")
    pairs = zip(tags.reshape(-1), values.reshape(-1).astype(np.float32), strict=True)
    return b"".join(_value(tag, _float(_SIMPLE, value)) for tag, value in pairs)


# -- histograms ------------------------------------------------------------------------------------------------------


def _limits() -> np.ndarray:
    """The upper ends of TensorFlow's histogram buckets: powers of 1.1 on both sides of zero."""
    positive = []
    v = 1.0e-12
    while v < 1.0e20:
        positive.append(v)
        v *= 1.1
    top = float(np.finfo(np.float64).max)
    return np.array([-top, *(-p for p in reversed(positive)), 0.0, *positive, top])


def _running_sum(values: np.ndarray) -> float:
    """The sum in order, as TensorFlow adds up."""
    return float(np.add.accumulate(values)[-1]) if values.size else 0.0


def _histogram(values: np.ndarray) -> bytes:
    limits = _limits()
    counts = np.bincount(np.searchsorted(limits, values, side="right"), minlength=len(limits))[: len(limits)] if values.size else np.zeros(len(limits))
    top = float(np.finfo(np.float64).max)
    out = _double(1, float(values.min()) if values.size else top) + _double(2, float(values.max()) if values.size else -top)
    out += _double(3, float(values.size)) + _double(4, _running_sum(values)) + _double(5, _running_sum(np.square(values)))
    ends: list[float] = []
    filled: list[float] = []
    i = 0
    while i < len(limits):  # neighbouring empty buckets become one
        end, count = limits[i], counts[i]
        i += 1
        if count <= 0:
            while i < len(limits) and counts[i] <= 0:
                end = limits[i]
                i += 1
        ends.append(float(end))
        filled.append(float(count))
    if not any(filled):
        ends, filled = [top], [0.0]
    return out + b"".join(wire.bytes_field(n, struct.pack(f"<{len(v)}d", *v)) for n, v in ((6, ends), (7, filled)))


histogram_op = op(f"HistogramSummary(tag: string, values: T) -> (summary: string); T: {_REAL} = float").not_differentiable()
histogram_op.infer(infer.scalar)


@histogram_op.kernel
def _(tag: Any, values: Any) -> Any:
    flat = values.reshape(-1).astype(np.float64)
    if not np.isfinite(flat).all():
        kind = "Nan" if np.isnan(flat).any() else "Infinity"
        raise InvalidArgumentError(f"{kind} in summary histogram for: {_scalar_tag(tag, 'HistogramSummary').decode(errors='replace')}")
    return _value(_scalar_tag(tag, "HistogramSummary"), wire.bytes_field(_HISTOGRAM, _histogram(flat)))


# -- images and sounds -----------------------------------------------------------------------------------------------


def _tags(tag: bytes, kind: bytes, shown: int, most: int) -> Iterator[bytes]:
    for i in range(shown):
        yield tag + b"/" + kind if most == 1 else b"%s/%s/%d" % (tag, kind, i)


def _pixels(image: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Floats as bytes: from 0 to the largest if none is negative, else with zero in the middle; non-finite pixels get `bad`."""
    if image.dtype == np.uint8:
        return image
    finite = np.isfinite(image).all(-1)
    known = image[finite].astype(np.float32)
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    if low < 0:
        reach = max(abs(low), abs(high))
        scale, offset = (0.0 if reach < 1e-6 else 127.0 / reach), 128.0
    else:
        scale, offset = (0.0 if high < 1e-6 else 255.0 / high), 0.0
    out = np.empty(image.shape, np.uint8)
    out[finite] = (known * np.float32(scale) + np.float32(offset)).astype(np.uint8)
    out[~finite] = np.resize(bad.reshape(-1), image.shape[-1])
    return out


image_op = op(
    "ImageSummary(tag: string, tensor: T) -> (summary: string); max_images: int >= 1 = 3; T: {uint8, float, half, double} = float; "
    "bad_color: tensor"
).not_differentiable()
image_op.infer(infer.scalar)


@image_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    most = attrs["max_images"]
    bad = attrs.get("bad_color")
    bad = np.array([255, 0, 0, 255], np.uint8) if bad is None else np.asarray(bad, np.uint8)
    encode = get_op("EncodePng").kernel_for({})

    def kernel(tag: Any, tensor: Any) -> Any:
        if tensor.ndim != 4 or tensor.shape[3] not in (1, 3, 4):
            raise InvalidArgumentError(f"Tensor must be 4-D with last dim 1, 3, or 4, not {list(tensor.shape)}")
        shown = min(most, tensor.shape[0])
        out = b""
        for name, image in zip(_tags(_scalar_tag(tag, "ImageSummary"), b"image", shown, most), tensor, strict=False):
            png = np.asarray(encode(_pixels(image, bad)), object).item()
            height, width, depth = image.shape
            content = _int(1, height) + _int(2, width) + _int(3, depth) + wire.bytes_field(4, png)
            out += _value(name, wire.bytes_field(_IMAGE, content))
        return out

    return kernel


def _audio(tag: Any, tensor: Any, rate: float, most: int) -> bytes:
    if tensor.ndim not in (2, 3) or rate <= 0:
        raise InvalidArgumentError(f"expected a tensor of 2 or 3 dimensions and a positive sample_rate, received {list(tensor.shape)} and {rate}")
    encode = get_op("EncodeWav").kernel_for({})
    sounds = tensor if tensor.ndim == 3 else tensor[:, :, None]
    shown = min(most, len(sounds))
    out = b""
    for name, sound in zip(_tags(_scalar_tag(tag, "AudioSummary"), b"audio", shown, most), sounds, strict=False):
        wav = np.asarray(encode(sound, np.array(int(rate), np.int32)), object).item()
        frames, channels = sound.shape
        content = _float(1, rate) + _int(2, channels) + _int(3, frames) + wire.bytes_field(4, wav) + wire.bytes_field(5, b"audio/wav")
        out += _value(name, wire.bytes_field(_AUDIO, content))
    return out


audio_op = op("AudioSummary(tag: string, tensor: float) -> (summary: string); sample_rate: float; max_outputs: int >= 1 = 3").not_differentiable()
audio_op.infer(infer.scalar)


@audio_op.kernel
def _(tag: Any, tensor: Any, *, sample_rate: float, max_outputs: int) -> Any:
    return _audio(tag, tensor, sample_rate, max_outputs)


audio_v2_op = op(
    "AudioSummaryV2(tag: string, tensor: float, sample_rate: float) -> (summary: string); max_outputs: int >= 1 = 3"
).not_differentiable()
audio_v2_op.infer(infer.scalar)


@audio_v2_op.kernel
def _(tag: Any, tensor: Any, sample_rate: Any, *, max_outputs: int) -> Any:
    return _audio(tag, tensor, float(sample_rate), max_outputs)


# -- tensors and merging ---------------------------------------------------------------------------------------------

tensor_op = op(
    'TensorSummary(tensor: T) -> (summary: string); T: type; description: string = ""; labels: list(string) = []; display_name: string = ""'
).not_differentiable()
tensor_op.infer(infer.scalar)


@tensor_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    name = attrs.get("_node_name", b"")
    name = name.encode() if isinstance(name, str) else name

    def kernel(tensor: Any) -> Any:
        content = wire.bytes_field(_NODE, name) + wire.bytes_field(_TENSOR, wire.write_tensor(np.asarray(tensor), attrs["T"]))
        return wire.bytes_field(1, content)

    return kernel


tensor_v2_op = op(
    "TensorSummaryV2(tag: string, tensor: T, serialized_summary_metadata: string) -> (summary: string); T: type"
).not_differentiable()
tensor_v2_op.infer(infer.scalar)


@tensor_v2_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    def kernel(tag: Any, tensor: Any, metadata: Any) -> Any:
        content = wire.bytes_field(_TENSOR, wire.write_tensor(np.asarray(tensor), attrs["T"])) + wire.bytes_field(_METADATA, metadata.item())
        return _value(_scalar_tag(tag, "TensorSummaryV2"), content)

    return kernel


merge_op = op("MergeSummary(inputs: N * string) -> (summary: string); N: int >= 1").not_differentiable()
merge_op.infer(infer.scalar)


@merge_op.kernel
def _(*inputs: Any) -> Any:
    seen: set[bytes] = set()
    out = b""
    for given in inputs:
        for data in given.reshape(-1):
            for number, _, value in wire.fields(data):
                if number != 1:
                    continue
                tag = next((v for n, _, v in wire.fields(value) if n == _TAG), b"")
                if tag and tag in seen:
                    raise InvalidArgumentError(f"Duplicate tag {tag.decode(errors='replace')} found in summary inputs")
                seen.add(tag)
                out += wire.bytes_field(1, value)
    return out


# -- event files -----------------------------------------------------------------------------------------------------

_WRITERS = (
    'SummaryWriter() -> (writer: resource) !stateful; shared_name: string = ""; container: string = ""',
    "CreateSummaryFileWriter(writer: resource, logdir: string, max_queue: int32, flush_millis: int32, filename_suffix: string) -> () !stateful",
    "CreateSummaryDbWriter(writer: resource, db_uri: string, experiment_name: string, run_name: string, user_name: string) -> () !stateful",
    "FlushSummaryWriter(writer: resource) -> () !stateful",
    "CloseSummaryWriter(writer: resource) -> () !stateful",
    "WriteSummary(writer: resource, step: int64, tensor: T, tag: string, summary_metadata: string) -> () !stateful; T: type",
    "WriteRawProtoSummary(writer: resource, step: int64, tensor: string) -> () !stateful",
    f"WriteScalarSummary(writer: resource, step: int64, tag: string, value: T) -> () !stateful; T: {_REAL}",
    "WriteHistogramSummary(writer: resource, step: int64, tag: string, values: T) -> () !stateful; "
    "T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64, bool} = float",
    "WriteImageSummary(writer: resource, step: int64, tag: string, tensor: T, bad_color: uint8) -> () !stateful; max_images: int >= 1 = 3; "
    "T: {uint8, double, float, half} = float",
    "WriteAudioSummary(writer: resource, step: int64, tag: string, tensor: float, sample_rate: float) -> () !stateful; "
    "max_outputs: int >= 1 = 3",
    "WriteGraphSummary(writer: resource, step: int64, tensor: string) -> () !stateful",
)
for _line in _WRITERS:
    _record = op(_line).not_differentiable()
    _record.infer(infer.scalar if "-> (writer" in _line else infer.unknown)
    _record.no_kernel = "it writes event files for TensorBoard, and models may not write files; leave it out of the graph that is saved"
