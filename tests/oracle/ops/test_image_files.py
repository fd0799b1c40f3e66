"""Image and sound files, read and written, compared with TensorFlow."""

from __future__ import annotations

import io

import numpy as np
import pytest

from tests.oracle.compare import compare_op, tf
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError
from tracer.public import tf as ours

RNG = np.random.RandomState(2)
SMOOTH = np.clip(np.add.outer(np.arange(37) * 3, np.arange(50) * 2)[:, :, None] + np.array([0, 20, 60]), 0, 255).astype(np.uint8)
NOISE = RNG.randint(0, 256, (21, 30, 4)).astype(np.uint8)


def same(expected: tf.Tensor, actual: object, tolerance: float = 0) -> None:
    a, e = actual.numpy(), expected.numpy()  # type: ignore[attr-defined]
    assert a.shape == e.shape and a.dtype == e.dtype
    assert np.abs(a.astype(np.float64) - e.astype(np.float64)).max(initial=0) <= tolerance


def test_png_files_are_read_alike_and_ours_are_valid() -> None:
    for depth in (np.uint8, np.uint16):
        for channels in (1, 2, 3, 4):
            image = NOISE[:, :, :channels].astype(depth) * (257 if depth is np.uint16 else 1)
            mine = raw.EncodePng(image).numpy()
            assert (tf.io.decode_png(mine, dtype=depth).numpy() == image).all()
            theirs = tf.io.encode_png(image).numpy()
            if depth is np.uint8 or channels == 1:
                same(tf.io.decode_png(theirs, dtype=depth), ours.io.decode_png(theirs, dtype=depth))
            if channels != 2:
                for wanted in (1, 3, 4):
                    same(tf.io.decode_png(theirs, wanted), ours.io.decode_png(theirs, wanted), 1 if wanted == 1 else 0)
                for dtype in ("uint8", "uint16", "float32"):
                    if depth is np.uint8 or channels == 1:
                        same(tf.io.decode_image(theirs, dtype=dtype), ours.io.decode_image(theirs, dtype=dtype), 1e-6)
    assert raw.EncodePng(np.stack([NOISE, NOISE])).shape == [2]


def test_jpeg_files_are_read_alike() -> None:
    for image in (SMOOTH, SMOOTH[:, :, :1]):
        theirs = tf.io.encode_jpeg(image).numpy()
        for channels in (0, 1, 3):
            for ratio in (1, 2):
                accurate = {"channels": channels, "ratio": ratio, "dct_method": "INTEGER_ACCURATE"}
                same(tf.io.decode_jpeg(theirs, **accurate), ours.io.decode_jpeg(theirs, **accurate), 1)
                same(tf.io.decode_jpeg(theirs, channels, ratio), ours.io.decode_jpeg(theirs, channels, ratio), 6)
        same(tf.io.extract_jpeg_shape(theirs), ours.io.extract_jpeg_shape(theirs))
        same(tf.io.decode_and_crop_jpeg(theirs, [3, 4, 10, 12]), ours.io.decode_and_crop_jpeg(theirs, [3, 4, 10, 12]), 6)
        mine = ours.io.encode_jpeg(image, quality=90).numpy()
        assert np.abs(tf.io.decode_jpeg(mine).numpy().astype(int) - image).mean() < 3
        assert ours.io.is_jpeg(mine).numpy() and tf.io.is_jpeg(mine).numpy()


def test_gif_and_bmp_files_are_read_alike() -> None:
    from PIL import Image

    frames = [Image.fromarray(NOISE[:, :, :3]).quantize(256), Image.fromarray(NOISE[::-1, :, :3].copy()).quantize(256)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    same(tf.io.decode_gif(stream.getvalue()), ours.io.decode_gif(stream.getvalue()))
    for expand in (True, False):
        same(tf.io.decode_image(stream.getvalue(), expand_animations=expand), ours.io.decode_image(stream.getvalue(), expand_animations=expand))
    for image in (NOISE[:, :, :3], NOISE[:, :, 0]):
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(stream, "BMP")
        same(tf.io.decode_bmp(stream.getvalue()), ours.io.decode_bmp(stream.getvalue()))


def test_bytes_that_are_no_image_are_refused() -> None:
    for data in (b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"0" * 30, b"GIF89a", b"BM12", b"\xff\xd8\xff\xe0"):
        for read in (ours.io.decode_image, ours.io.decode_png, ours.io.decode_jpeg, ours.io.decode_gif, ours.io.decode_bmp):
            with pytest.raises(InvalidArgumentError):
                read(data)


def test_sound() -> None:
    audio = np.clip(RNG.randn(300, 2) * 0.5, -1.2, 1.2).astype(np.float32)
    contents = tf.audio.encode_wav(audio, 8000).numpy()
    assert contents == ours.audio.encode_wav(audio, 8000).numpy()
    for channels, samples in ((-1, -1), (1, 100), (3, 400)):
        for e, a in zip(tf.audio.decode_wav(contents, channels, samples), ours.audio.decode_wav(contents, channels, samples), strict=True):
            same(e, a)
    for squared in (False, True):
        compare_op("AudioSpectrogram", [audio], window_size=30, stride=11, magnitude_squared=squared, rtol=1e-4, atol=1e-4)
    spectrogram = tf.raw_ops.AudioSpectrogram(input=audio, window_size=200, stride=50, magnitude_squared=True).numpy()
    compare_op("Mfcc", [spectrogram, np.int32(8000)], rtol=1e-4, atol=1e-4, filterbank_channel_count=20, upper_frequency_limit=3800.0)
    with pytest.raises(InvalidArgumentError):
        ours.audio.decode_wav(contents[:60])
