"""Data helpers of keras.utils and keras.preprocessing against Keras 2.15."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as real

from savedmodel import keras


@pytest.fixture(scope="module")
def directory(tmp_path_factory: Any) -> Any:
    root = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    for label in ("cats", "dogs", "emus"):
        (root / "images" / label).mkdir(parents=True)
        (root / "texts" / label).mkdir(parents=True)
        for i in range(4):
            pixels = (rng.random((9 + i, 7, 3)) * 255).astype("uint8")
            (root / "images" / label / f"{i}.png").write_bytes(real.io.encode_png(pixels).numpy())
            (root / "texts" / label / f"{i}.txt").write_text(f"{label} number {i}")
    return root


def _same(theirs: Any, ours: Any) -> None:
    a, b = list(theirs.as_numpy_iterator()), list(ours.as_numpy_iterator())
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        for p, q in zip(x if isinstance(x, tuple) else (x,), y if isinstance(y, tuple) else (y,), strict=True):
            assert (p.dtype, p.shape) == (q.dtype, q.shape)
            np.testing.assert_array_equal(p, q) if p.dtype.kind in "OSi" else np.testing.assert_allclose(q, p, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    "kwargs",
    [
        {}, {"label_mode": "categorical", "color_mode": "grayscale"}, {"labels": None}, {"batch_size": None, "interpolation": "nearest"},
        {"crop_to_aspect_ratio": True, "class_names": ["emus", "dogs", "cats"]}, {"validation_split": 0.3, "subset": "validation", "seed": 3},
    ],
    ids=str,
)  # fmt: skip
def test_image_directories_equal_keras(directory: Any, kwargs: dict[str, Any]) -> None:
    args = {"image_size": (6, 5), "batch_size": 5, "shuffle": False, **kwargs}
    theirs = real.keras.utils.image_dataset_from_directory(directory / "images", **args)
    ours = keras.utils.image_dataset_from_directory(directory / "images", **args)
    assert theirs.class_names == ours.class_names
    assert theirs.file_paths == ours.file_paths
    _same(theirs, ours)


@pytest.mark.parametrize("kwargs", [{}, {"max_length": 3}, {"label_mode": None}], ids=str)
def test_text_directories_equal_keras(directory: Any, kwargs: dict[str, Any]) -> None:
    args = {"batch_size": 5, "shuffle": False, **kwargs}
    _same(
        real.keras.utils.text_dataset_from_directory(directory / "texts", **args),
        keras.utils.text_dataset_from_directory(directory / "texts", **args),
    )


def test_shuffled_directories_have_keras_order_of_files(directory: Any) -> None:
    args = {"seed": 5, "validation_split": 0.25, "subset": "both", "image_size": (4, 4)}
    theirs = real.keras.utils.image_dataset_from_directory(directory / "images", **args)
    ours = keras.utils.image_dataset_from_directory(directory / "images", **args)
    for a, b in zip(theirs, ours, strict=True):
        assert a.file_paths == b.file_paths


@pytest.mark.parametrize(
    "kwargs",
    [
        {"sequence_length": 3}, {"sequence_length": 4, "sequence_stride": 3, "sampling_rate": 2, "batch_size": 4},
        {"sequence_length": 3, "start_index": 5, "end_index": 15, "batch_size": None},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("with_targets", [False, True])
def test_time_series_equal_keras(kwargs: dict[str, Any], with_targets: bool) -> None:
    data = np.arange(60).reshape(30, 2)
    targets = np.arange(30) * 10 if with_targets else None
    _same(
        real.keras.utils.timeseries_dataset_from_array(data, targets, **kwargs),
        keras.utils.timeseries_dataset_from_array(data, targets, **kwargs),
    )


@pytest.mark.parametrize("kwargs", [{"left_size": 0.7}, {"right_size": 3}, {"left_size": 2, "right_size": 4}], ids=str)
def test_split_datasets_equal_keras(kwargs: dict[str, Any]) -> None:
    data = np.random.default_rng(0).random((10, 3)).astype("float32")
    for a, b in zip(real.keras.utils.split_dataset(data, **kwargs), keras.utils.split_dataset(data, **kwargs), strict=True):
        _same(a, b)


@pytest.mark.parametrize("kwargs", [{}, {"num_words": 4}, {"oov_token": "?", "num_words": 5}, {"char_level": True}], ids=str)
def test_tokenizers_equal_keras(kwargs: dict[str, Any]) -> None:
    texts = ["The cat sat, the cat ran", "a dog! and a cat", "the end"]
    theirs, ours = real.keras.preprocessing.text.Tokenizer(**kwargs), keras.preprocessing.text.Tokenizer(**kwargs)
    theirs.fit_on_texts(texts)
    ours.fit_on_texts(texts)
    new = ["the dog and the unicorn", "cat cat"]
    assert theirs.word_index == ours.word_index
    assert theirs.texts_to_sequences(new) == ours.texts_to_sequences(new)
    assert theirs.sequences_to_texts([[1, 2, 99]]) == ours.sequences_to_texts([[1, 2, 99]])
    for mode in ("binary", "count", "freq", "tfidf"):
        np.testing.assert_allclose(theirs.texts_to_matrix(new, mode), ours.texts_to_matrix(new, mode))
    again = keras.preprocessing.text.tokenizer_from_json(theirs.to_json())
    assert again.texts_to_sequences(new) == ours.texts_to_sequences(new)


@pytest.mark.parametrize("mode", ["rgb", "rgba", "grayscale"])
def test_image_files_equal_keras(directory: Any, mode: str) -> None:
    pytest.importorskip("PIL")
    path = directory / "images" / "cats" / "1.png"
    for extra in ({}, {"target_size": (5, 4)}, {"target_size": (5, 4), "interpolation": "bilinear", "keep_aspect_ratio": True}):
        a = real.keras.utils.img_to_array(real.keras.utils.load_img(path, color_mode=mode, **extra))
        b = keras.utils.img_to_array(keras.utils.load_img(path, color_mode=mode, **extra))
        np.testing.assert_array_equal(a, b)
    images = [lib.utils.array_to_img(a) for lib in (real.keras, keras)]
    np.testing.assert_array_equal(np.asarray(images[0]), np.asarray(images[1]))
