"""Preprocessing layers and data helpers on their own: exact small cases, errors, round trips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from savedmodel import keras
from savedmodel.data import Dataset
from tracer.public import tf

layers = keras.layers
WORDS = np.array([["b"], ["a"], ["b"], ["c"], ["b"], ["a"]], object)


def test_adapt_takes_arrays_lists_and_datasets() -> None:
    for data in (WORDS, WORDS[:, 0].tolist(), Dataset.from_tensor_slices(WORDS).batch(4)):
        layer = layers.StringLookup()
        layer.adapt(data)
        assert layer.is_adapted
        assert layer.get_vocabulary() == ["[UNK]", "b", "a", "c"]


def test_normalization_learns_mean_and_variance() -> None:
    layer = layers.Normalization()
    layer.adapt(np.array([[1.0, 2.0], [3.0, 6.0]]))
    np.testing.assert_allclose(layer(np.array([[1.0, 2.0]])), [[-1.0, -1.0]])
    assert [w.name for w in layer.weights] == ["mean:0", "variance:0", "count:0"]
    layer.adapt(np.array([[0.0, 0.0], [2.0, 2.0]]))
    np.testing.assert_allclose(layer.mean, [[1.0, 1.0]])


def test_a_vocabulary_is_a_weight_that_can_be_set() -> None:
    layer, other = layers.StringLookup(), layers.StringLookup()
    layer.adapt(WORDS)
    other.set_weights(layer.get_weights())
    assert other.get_vocabulary() == layer.get_vocabulary()


@pytest.mark.parametrize("output_mode", ["int", "multi_hot", "tf_idf"])
def test_models_with_vocabularies_are_saved_again_and_again(output_mode: str, tmp_path: Path) -> None:
    layer = layers.TextVectorization(output_mode=output_mode)
    layer.adapt(["the cat", "a dog", "the end"])
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer])
    texts = tf.constant([["the dog"], ["unknown cat"]])
    expected = model(texts).numpy()
    for generation in range(3):
        path = tmp_path / f"model{generation}{'.keras' if generation == 1 else ''}"
        model.save(str(path))
        model = keras.models.load_model(str(path))
        np.testing.assert_allclose(model(texts), expected, rtol=1e-6)
    assert model.layers[-1].get_vocabulary() == layer.get_vocabulary()


def test_two_tables_of_a_loaded_model_stay_apart(tmp_path: Path) -> None:
    first, second = keras.Input((1,), dtype="string"), keras.Input((1,), dtype="string")
    outputs = [layers.StringLookup(vocabulary=["a", "b"])(first), layers.StringLookup(vocabulary=["b", "a", "c"])(second)]
    model = keras.Model([first, second], outputs)
    x = tf.constant([["a"], ["b"], ["c"]])
    expected = [t.numpy().ravel().tolist() for t in model([x, x])]
    assert expected == [[1, 2, 0], [2, 1, 3]]
    for generation in range(2):
        model.save(tmp_path / f"m{generation}")
        model = keras.models.load_model(tmp_path / f"m{generation}")
        assert [t.numpy().ravel().tolist() for t in model([x, x])] == expected


ERRORS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("StringLookup", {"max_tokens": 1}, ValueError, "greater than 1"),
    ("StringLookup", {"vocabulary": ["a", "a"]}, ValueError, "repeated"),
    ("StringLookup", {"vocabulary": "missing.txt"}, ValueError, "does not exist"),
    ("StringLookup", {"output_mode": "bits"}, ValueError, "output_mode"),
    ("StringLookup", {"output_mode": "int", "sparse": True}, ValueError, "sparse"),
    ("IntegerLookup", {"vocabulary_dtype": "float32"}, ValueError, "integer dtype"),
    ("TextVectorization", {"ngrams": "two"}, ValueError, "ngrams"),
    ("TextVectorization", {"split": "comma"}, ValueError, "split"),
    ("TextVectorization", {"output_mode": "count", "output_sequence_length": 3}, ValueError, "output_sequence_length"),
    ("Normalization", {"mean": 1.0}, ValueError, "both `mean` and `variance`"),
    ("Discretization", {"num_bins": 3, "bin_boundaries": [1.0]}, ValueError, "Both"),
    ("CategoryEncoding", {}, ValueError, "num_tokens must be set"),
    ("Hashing", {"num_bins": 0}, ValueError, "num_bins"),
    ("RandomFlip", {"mode": "diagonal"}, ValueError, "unknown mode"),
    ("RandomZoom", {"height_factor": 2.0}, ValueError, "height_factor"),
    ("RandomTranslation", {"height_factor": 0.1, "width_factor": 0.1, "fill_mode": "mirror"}, NotImplementedError, "fill_mode"),
    ("RandomBrightness", {"factor": "much"}, ValueError, "factor"),
    ("Resizing", {"height": 2, "width": 2, "interpolation": "cubic"}, NotImplementedError, "interpolation"),
]


@pytest.mark.parametrize("name, kwargs, kind, words", ERRORS, ids=lambda v: v if isinstance(v, str) else None)
def test_arguments_that_cannot_be_are_refused(name: str, kwargs: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        getattr(layers, name)(**kwargs)


def test_unknown_tokens_are_an_error_without_numbers_for_them() -> None:
    layer = layers.StringLookup(vocabulary=["a"], num_oov_indices=0)
    with pytest.raises(ValueError, match="OOV"):
        layer(tf.constant(["b"]))


def test_adapting_a_given_vocabulary_is_refused() -> None:
    with pytest.raises(ValueError, match="static vocabulary"):
        layers.StringLookup(vocabulary=["a"]).adapt(WORDS)


def test_experimental_names_lead_to_the_same_layers() -> None:
    assert layers.experimental.preprocessing.Rescaling is layers.Rescaling


def test_applications_say_where_weights_belong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(OSError, match=r"mobilenet_2_5_128_tf\.h5"):
        keras.applications.MobileNet(input_shape=(128, 128, 3), alpha=0.25)
    with pytest.raises(OSError, match="imagenet_class_index"):
        keras.applications.mobilenet.decode_predictions(np.zeros((1, 1000)))


def test_applications_take_weights_from_a_file(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    build = keras.applications.MobileNetV2
    model = build(input_shape=(32, 32, 3), alpha=0.35, weights=None, classes=3)
    model.save_weights(str(tmp_path / "w.h5"))
    again = build(input_shape=(32, 32, 3), alpha=0.35, weights=str(tmp_path / "w.h5"), classes=3)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_get_file_copies_local_files_and_checks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "data.txt").write_text("hello")
    path = keras.utils.get_file("data.txt", origin=f"file://{tmp_path}/data.txt", md5_hash="5d41402abc4b2a76b9719d911017c592")
    assert Path(path).read_text() == "hello"
    with pytest.raises(ValueError, match="does not match"):
        keras.utils.get_file("data.txt", origin=f"file://{tmp_path}/data.txt", md5_hash="0" * 32)
    with pytest.raises(OSError, match="nothing is downloaded"):
        keras.utils.get_file("other.txt", origin="file:///nowhere/other.txt")


@pytest.mark.parametrize("options", [{}, {"show_shapes": True, "show_dtype": True, "expand_nested": True, "show_layer_activations": True}], ids=str)
def test_models_become_dot_text(options: dict[str, Any], tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="inner")], name="nested")
    x = keras.Input((4,), name="x")
    model = keras.Model(x, layers.Add(name="sum")([inner(x), layers.Dense(3, activation="relu", name="outer")(x)]))
    text = keras.utils.model_to_dot(model, **options).to_string()
    assert all(name in text for name in ("x (InputLayer)", "nested (Sequential)", "outer (Dense)", "sum (Add)"))
    assert text.count("->") == 4 + options.get("expand_nested", False)  # the input inside of the inner model
    keras.utils.plot_model(model, to_file=tmp_path / "m.dot", **options)
    assert (tmp_path / "m.dot").read_text().startswith("digraph")
