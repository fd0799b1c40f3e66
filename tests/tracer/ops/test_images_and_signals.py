"""Images, Fourier transforms, quantisation and sound in small exact cases. No TensorFlow needed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tracer.check import check_gradients, check_traced
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError
from tracer.public import tf

RNG = np.random.RandomState(4)
SQUARE = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)[None, :, :, None]


def test_resizing_by_two_interpolates_between_pixel_centres() -> None:
    bilinear = tf.image.resize(SQUARE, [4, 4]).numpy()[0, :, :, 0]
    assert bilinear[0].tolist() == [1.0, 1.25, 1.75, 2.0] and bilinear[:, 0].tolist() == [1.0, 1.5, 2.5, 3.0]
    assert tf.image.resize(SQUARE, [4, 4], "nearest").numpy()[0, :, :, 0].tolist() == np.kron([[1, 2], [3, 4]], np.ones((2, 2))).tolist()
    assert tf.image.resize(SQUARE, [1, 1], "area").numpy().ravel().tolist() == [2.5]


def test_resizing_has_the_numeric_gradient() -> None:
    image = RNG.rand(1, 3, 4, 2)
    for method in ("bilinear", "nearest", "bicubic"):
        check_gradients(lambda x, m=method: tf.cast(tf.image.resize(x, [5, 3], m), "float64"), [image], step=1e-2, tolerance=1e-3)


@pytest.mark.parametrize("k", range(4))
def test_turning_agrees_with_numpy(k: int) -> None:
    image = RNG.rand(3, 4, 2).astype(np.float32)
    np.testing.assert_array_equal(np.rot90(image, k), tf.image.rot90(image, k).numpy())
    check_traced(lambda x: tf.image.rot90(x, k), [image])


def test_suppression_keeps_the_best_of_overlapping_boxes() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3]], np.float32)
    assert tf.image.non_max_suppression(boxes, [0.9, 0.95, 0.2], 3).numpy().tolist() == [1, 2]
    assert tf.image.non_max_suppression(boxes, [0.9, 0.95, 0.2], 3, score_threshold=0.5).numpy().tolist() == [1]


def test_png_files_hold_what_was_written() -> None:
    pytest.importorskip("PIL")
    image = RNG.randint(0, 256, (7, 9, 3)).astype(np.uint8)
    np.testing.assert_array_equal(image, tf.io.decode_png(tf.io.encode_png(image)).numpy())


def test_fourier_transforms_agree_with_numpy_and_their_gradients_with_differences() -> None:
    x = RNG.randn(2, 6)
    np.testing.assert_allclose(tf.signal.rfft(tf.constant(x)).numpy(), np.fft.rfft(x))
    check_gradients(lambda v: tf.math.abs(tf.signal.rfft(v)), [x])
    check_gradients(lambda v: tf.signal.irfft(tf.signal.rfft(v, [5]), [7]), [x])
    check_gradients(lambda v: tf.math.abs(tf.signal.rfft2d(v)), [x])
    check_gradients(tf.signal.fft, [x + 1j * x[::-1]])


def test_a_short_time_transform_is_undone_by_its_inverse() -> None:
    x = RNG.randn(64).astype(np.float32)
    window = tf.signal.inverse_stft_window_fn(4)
    back = tf.signal.inverse_stft(tf.signal.stft(x, 16, 4), 16, 4, window_fn=window).numpy()
    np.testing.assert_allclose(back[16:48], x[16:48], atol=1e-5)


def test_cosine_transforms_undo_each_other() -> None:
    x = RNG.randn(3, 8)
    for kind in (2, 3, 4):
        np.testing.assert_allclose(tf.signal.idct(tf.signal.dct(x, kind, norm="ortho"), kind, norm="ortho").numpy(), x, atol=1e-12)


def test_fake_quantisation_keeps_zero_and_its_range() -> None:
    out = tf.quantization.fake_quant_with_min_max_args(np.array([-9.0, 0.0, 0.01, 9.0], np.float32), -1.0, 3.0).numpy()
    assert out[1] == 0 and abs(out[0] + 1) < 0.01 and abs(out[3] - 3) < 0.01


def test_quantised_values_come_back_within_one_step() -> None:
    x = RNG.uniform(-2, 3, 50).astype(np.float32)
    for kind in ("qint8", "quint8", "qint16"):
        for mode in ("MIN_COMBINED", "MIN_FIRST"):
            values, low, high = tf.quantization.quantize(x, -2.0, 3.0, kind, mode)
            back = tf.quantization.dequantize(values, low, high, mode).numpy()
            assert np.abs(back - x).max() <= 5 / 255


def test_sound_files_hold_what_was_written() -> None:
    audio = np.linspace(-1, 0.9, 20, dtype=np.float32).reshape(10, 2)
    back, rate = tf.audio.decode_wav(tf.audio.encode_wav(audio, 16000))
    np.testing.assert_allclose(back.numpy(), audio, atol=1 / 32768)
    assert rate.numpy() == 16000


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        tf.image.resize(SQUARE, [0, 4])
    with pytest.raises(InvalidArgumentError):
        tf.image.crop_to_bounding_box(SQUARE, 1, 1, 5, 5)
    with pytest.raises(InvalidArgumentError):
        raw.AudioSpectrogram(np.zeros((9, 1), np.float32), window_size=1, stride=1)
    with pytest.raises(InvalidArgumentError):
        tf.quantization.fake_quant_with_min_max_args([1.0], 3.0, 1.0)
