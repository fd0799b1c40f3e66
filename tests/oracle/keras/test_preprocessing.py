"""Preprocessing layers against Keras 2.15: configs, outputs eager and traced, learned states, and models written and read by both sides."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as real

from savedmodel import keras
from savedmodel.keras.utils.random_seed import set_random_seed
from tests.oracle.keras.test_layers import plain
from tracer.public import tf

WORDS = np.array([["earth"], ["wind"], ["and"], ["fire"], ["earth"], ["and"], ["earth"], ["nobody"]], object)
TEXTS = np.array(["The cat, sat!", "the  mat's cat", "", "dog and Cat and dog", "a b c d e f g"], object)
RNG = np.random.default_rng(3)
FLOATS = RNG.normal(size=(70, 3)).astype("float32") * 3 + 1
IMAGES = (RNG.random((3, 8, 9, 3)) * 255).astype("float32")
BYTES = (RNG.random((2, 7, 6, 3)) * 255).astype("uint8")
NUMBERS = np.array([[5, 3, 5], [7, 5, 9], [3, 3, 1]], "int64")
TOKENS = ["earth", "wind", "and", "fire"]


@dataclass
class Case:
    """A layer class, its arguments, the data it adapts to, and what it is called with."""

    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: Any = None
    adapt: Any = None
    make: Callable[[Any], Any] | None = None  # library → inputs
    call: dict[str, Any] = field(default_factory=dict)
    model: bool = True

    @property
    def id(self) -> str:
        """The test's name."""
        shape = "" if self.make else f" {np.shape(self.inputs)}"
        return f"{self.name}({','.join(f'{k}={v}' for k, v in self.kwargs.items())}){' adapted' if self.adapt is not None else ''}{shape}"


def _ragged(library: Any) -> Any:
    return library.ragged.constant([["earth", "x"], [], ["fire"]])


def _ragged_numbers(library: Any) -> Any:
    return library.ragged.constant([[1.5, -0.5], [], [9.0]])


def _sparse(library: Any) -> Any:
    return library.sparse.from_dense(library.constant([["earth", ""], ["x", "fire"]]))


C = Case
MODES = ("one_hot", "multi_hot", "count")
CASES = [
    C("Normalization", {}, FLOATS[:4], FLOATS),
    C("Normalization", {"axis": None}, FLOATS[:4], FLOATS),
    C("Normalization", {"axis": (1, 2)}, FLOATS[:4, :, None], FLOATS[..., None]),
    C("Normalization", {"invert": True}, FLOATS[:4], FLOATS),
    C("Normalization", {"mean": 3.0, "variance": 2.0}, FLOATS[:4]),
    C("Normalization", {"mean": [1.0, 2.0, 3.0], "variance": [2.0, 1.0, 0.5], "invert": True}, FLOATS[:4]),
    C("Normalization", {}, NUMBERS, NUMBERS),
    C("Discretization", {"bin_boundaries": [0.0, 1.0, 2.0]}, FLOATS[:5]),
    C("Discretization", {"num_bins": 4}, FLOATS[:5], FLOATS),
    C("Discretization", {"num_bins": 5, "epsilon": 0.1, "output_mode": "one_hot"}, FLOATS[:5, :1], FLOATS),
    *(C("Discretization", {"bin_boundaries": [-1.0, 0.5, 2.0], "output_mode": m}, FLOATS[:5, :2] if m != "one_hot" else FLOATS[:5, :1]) for m in MODES),
    C("Discretization", {"bin_boundaries": [-1.0, 0.5], "output_mode": "count", "sparse": True}, FLOATS[:5], model=False),
    C("Discretization", {"bin_boundaries": [-1.0, 0.5, 2.0]}, make=_ragged_numbers, model=False),
    *(C("CategoryEncoding", {"num_tokens": 10, "output_mode": m}, NUMBERS if m != "one_hot" else NUMBERS[:, :1]) for m in MODES),
    C("CategoryEncoding", {"num_tokens": 10, "output_mode": "one_hot"}, NUMBERS[0], model=False),
    C("CategoryEncoding", {"num_tokens": 10, "output_mode": "count", "sparse": True}, NUMBERS, model=False),
    C("CategoryEncoding", {"num_tokens": 10, "output_mode": "count"}, NUMBERS, call={"count_weights": NUMBERS / 7.0}, model=False),
    C("Hashing", {"num_bins": 7}, WORDS),
    C("Hashing", {"num_bins": 7}, NUMBERS),
    C("Hashing", {"num_bins": 7, "salt": 1337}, WORDS),
    C("Hashing", {"num_bins": 7, "salt": [133, 137]}, NUMBERS),
    C("Hashing", {"num_bins": 7, "mask_value": "and"}, WORDS),
    *(C("Hashing", {"num_bins": 5, "output_mode": m}, NUMBERS if m != "one_hot" else WORDS) for m in MODES),
    C("Hashing", {"num_bins": 5}, make=_sparse, model=False),
    C("HashedCrossing", {"num_bins": 5}, [WORDS, NUMBERS.reshape(-1, 1)[:8]], model=False),
    C("HashedCrossing", {"num_bins": 5, "output_mode": "one_hot"}, [WORDS[:, 0], NUMBERS.reshape(-1)[:8]], model=False),
    C("HashedCrossing", {"num_bins": 11}, ["a", 3], model=False),
    C("StringLookup", {"vocabulary": TOKENS}, WORDS),
    C("StringLookup", {"vocabulary": TOKENS, "mask_token": "wind2"}, WORDS),
    C("StringLookup", {"vocabulary": TOKENS, "num_oov_indices": 3, "mask_token": ""}, WORDS),
    C("StringLookup", {"vocabulary": [*TOKENS, "nobody"], "num_oov_indices": 0}, WORDS),
    C("StringLookup", {"vocabulary": TOKENS, "invert": True}, NUMBERS),
    C("StringLookup", {"vocabulary": ["", "[UNK]", *TOKENS], "mask_token": "", "invert": True}, NUMBERS),
    *(C("StringLookup", {"vocabulary": TOKENS, "output_mode": m}, WORDS) for m in MODES),
    C("StringLookup", {"vocabulary": TOKENS, "output_mode": "count", "max_tokens": 9, "pad_to_max_tokens": True}, WORDS),
    C("StringLookup", {"vocabulary": TOKENS, "output_mode": "tf_idf", "idf_weights": [0.1, 0.2, 0.3, 0.4]}, WORDS),
    C("StringLookup", {}, WORDS, WORDS),
    C("StringLookup", {"max_tokens": 3}, WORDS, WORDS),
    C("StringLookup", {"mask_token": "and", "dtype": "int32"}, WORDS, WORDS),
    C("StringLookup", {"output_mode": "tf_idf"}, WORDS, WORDS),
    C("StringLookup", {"output_mode": "tf_idf", "max_tokens": 9, "pad_to_max_tokens": True}, WORDS.reshape(4, 2), WORDS.reshape(4, 2)),
    C("StringLookup", {"output_mode": "multi_hot", "sparse": True, "vocabulary": TOKENS}, WORDS, model=False),
    C("StringLookup", {"vocabulary": TOKENS}, make=_ragged, model=False),
    C("StringLookup", {"vocabulary": TOKENS}, make=_sparse, model=False),
    C("StringLookup", {"vocabulary": TOKENS}, "fire", model=False),
    C("IntegerLookup", {"vocabulary": [5, 7, 3]}, NUMBERS),
    C("IntegerLookup", {"vocabulary": np.array([5, 7, 3]), "mask_token": 9, "num_oov_indices": 2}, NUMBERS),
    C("IntegerLookup", {"vocabulary": [5, 7, 3], "invert": True, "oov_token": -7}, NUMBERS),
    C("IntegerLookup", {"vocabulary": [5, 7, 3], "dtype": "int32", "vocabulary_dtype": "int32"}, NUMBERS.astype("int32")),
    C("IntegerLookup", {}, NUMBERS, NUMBERS),
    C("IntegerLookup", {"output_mode": "tf_idf", "num_oov_indices": 2}, NUMBERS[:, :1], NUMBERS.reshape(-1, 1)),
    C("TextVectorization", {}, TEXTS, TEXTS),
    C("TextVectorization", {"max_tokens": 5, "output_sequence_length": 4}, TEXTS[:, None], TEXTS),
    C("TextVectorization", {"output_mode": "multi_hot"}, TEXTS[:, None], TEXTS),
    C("TextVectorization", {"output_mode": "count", "max_tokens": 20, "pad_to_max_tokens": True}, TEXTS[:, None], TEXTS),
    C("TextVectorization", {"output_mode": "tf_idf"}, TEXTS[:, None], TEXTS),
    C("TextVectorization", {"ngrams": 2}, TEXTS, TEXTS),
    C("TextVectorization", {"ngrams": (2, 3), "standardize": "lower"}, TEXTS, TEXTS),
    C("TextVectorization", {"split": "character", "standardize": "strip_punctuation"}, TEXTS, TEXTS),
    C("TextVectorization", {"ragged": True}, TEXTS, TEXTS, model=False),
    C("TextVectorization", {"vocabulary": ["cat", "dog"]}, TEXTS),
    C("TextVectorization", {"vocabulary": ["cat", "dog"], "output_mode": "tf_idf", "idf_weights": [0.5, 2.0]}, TEXTS[:, None]),
    C("TextVectorization", {"standardize": None, "split": None, "vocabulary": TOKENS, "output_sequence_length": 3}, WORDS.reshape(4, 2), model=False),
    C("TextVectorization", {"output_mode": None}, TEXTS, model=False),
    C("Rescaling", {"scale": 1 / 255, "offset": -0.5}, BYTES),
    *(C("Resizing", {"height": 5, "width": 6, "interpolation": i}, IMAGES) for i in ("bilinear", "nearest", "bicubic", "area", "lanczos3", "gaussian")),
    C("Resizing", {"height": 5, "width": 4, "crop_to_aspect_ratio": True}, IMAGES),
    C("Resizing", {"height": 5, "width": 4}, BYTES[0], model=False),
    C("CenterCrop", {"height": 5, "width": 4}, IMAGES),
    C("CenterCrop", {"height": 12, "width": 4}, BYTES),
    C("RandomCrop", {"height": 5, "width": 4, "seed": 3}, IMAGES),
    C("RandomFlip", {"seed": 3}, IMAGES),
    C("RandomFlip", {"mode": "horizontal", "seed": 4}, IMAGES[0], model=False),
    C("RandomTranslation", {"height_factor": 0.3, "width_factor": (-0.1, 0.2), "seed": 3}, IMAGES),
    C("RandomTranslation", {"height_factor": 0.3, "width_factor": 0.2, "fill_mode": "constant", "fill_value": 7.0, "seed": 3}, IMAGES),
    C("RandomRotation", {"factor": 0.3, "seed": 3}, IMAGES),
    C("RandomRotation", {"factor": (0.1, 0.2), "interpolation": "nearest", "fill_mode": "wrap", "seed": 3}, IMAGES[0], model=False),
    C("RandomZoom", {"height_factor": 0.3, "seed": 3}, IMAGES),
    C("RandomZoom", {"height_factor": 0.3, "width_factor": (0.1, 0.3), "fill_mode": "nearest", "seed": 3}, IMAGES),
    C("RandomContrast", {"factor": 0.4, "seed": 3}, IMAGES),
    C("RandomContrast", {"factor": (0.1, 0.4), "seed": 3}, IMAGES),
    C("RandomBrightness", {"factor": 0.4, "seed": 3}, IMAGES),
    C("RandomBrightness", {"factor": (-0.1, 0.4), "value_range": [0.0, 1.0], "seed": 3}, IMAGES / 255),
    C("RandomHeight", {"factor": 0.4, "seed": 3}, IMAGES),
    C("RandomWidth", {"factor": (0.1, 0.4), "interpolation": "nearest", "seed": 3}, IMAGES),
]  # fmt: skip


def make_layer(case: Case, library: Any, module: Any, seed: Any) -> Any:
    seed(7)
    layer = getattr(module.layers, case.name)(name="layer", **case.kwargs)
    if case.adapt is not None:
        layer.adapt(case.adapt)
    return layer


def make_inputs(case: Case, library: Any) -> Any:
    if case.make is not None:
        return case.make(library)
    return [library.constant(x) for x in case.inputs] if isinstance(case.inputs, list) else library.constant(case.inputs)


def arrays(value: Any) -> list[np.ndarray]:
    if hasattr(value, "dense_shape"):
        return [value.indices.numpy(), value.values.numpy(), value.dense_shape.numpy()]
    if hasattr(value, "nested_row_splits"):
        return [value.flat_values.numpy(), *(s.numpy() for s in value.nested_row_splits)]
    return [value.numpy() if hasattr(value, "numpy") else np.asarray(value)]


def same(expected: Any, actual: Any, message: str = "", tolerance: float = 1e-5) -> None:
    for a, b in zip(arrays(expected), arrays(actual), strict=True):
        assert (np.shape(a), getattr(a, "dtype", None)) == (np.shape(b), getattr(b, "dtype", None)), message
        if getattr(a, "dtype", np.dtype(object)).kind == "f":
            np.testing.assert_allclose(b, a, rtol=tolerance, atol=tolerance, err_msg=message)
        else:
            np.testing.assert_array_equal(a, b, err_msg=message)


def _image_tolerance(case: Case) -> float:
    return 2e-3 if case.name.startswith("Random") else 1e-5


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_preprocessing_layer_equals_keras(case: Case) -> None:
    theirs = make_layer(case, real, real.keras, real.keras.utils.set_random_seed)
    ours = make_layer(case, tf, keras, set_random_seed)
    a, b = make_inputs(case, real), make_inputs(case, tf)
    for training in (False, True) if ours._expects_training_arg else (None,):
        extra = {} if training is None else {"training": training}
        call_a = {k: real.constant(v) for k, v in case.call.items()}
        call_b = {k: tf.constant(v) for k, v in case.call.items()}
        same(theirs(a, **call_a, **extra), ours(b, **call_b, **extra), f"training={training}", _image_tolerance(case))
    assert plain(theirs.get_config()) == plain(ours.get_config())
    again = type(ours).from_config(ours.get_config())
    sizes = {"vocabulary_size": None}  # a learned vocabulary is no part of the config
    assert plain({**again.get_config(), **sizes}) == plain({**ours.get_config(), **sizes})
    if hasattr(ours, "get_vocabulary"):
        assert list(map(str, theirs.get_vocabulary())) == list(map(str, ours.get_vocabulary()))
    for w, v in zip(theirs.weights, ours.weights, strict=True):
        if hasattr(w, "numpy"):
            same(w, v, w.name)
        else:
            same(w.get_tensors()[0], v.get_tensors()[0])


def _traced_inputs(case: Case) -> tf.TensorSpec:
    value = tf.constant(case.inputs)
    return tf.TensorSpec([None, *value.shape.as_list()[1:]], value.dtype)


@pytest.mark.parametrize("case", [c for c in CASES if c.model], ids=lambda c: c.id)
def test_traced_preprocessing_layer_equals_eager(case: Case) -> None:
    layer = make_layer(case, tf, keras, set_random_seed)
    extra = {"training": False} if layer._expects_training_arg else {}
    x = make_inputs(case, tf)
    eager = layer(x, **extra)
    traced = tf.function(lambda t: layer(t, **extra), input_signature=[_traced_inputs(case)])
    same(eager, traced(x))


def _model(case: Case, library: Any, module: Any, seed: Any) -> Any:
    layer = make_layer(case, library, module, seed)
    value = library.constant(case.inputs)
    inputs = module.Input(value.shape[1:], dtype=value.dtype)
    outputs = layer(inputs)
    return module.Model(inputs, outputs)


@pytest.mark.parametrize("case", [c for c in CASES if c.model], ids=lambda c: c.id)
def test_saved_models_go_both_ways(case: Case, tmp_path: Any) -> None:
    theirs = _model(case, real, real.keras, real.keras.utils.set_random_seed)
    ours = _model(case, tf, keras, set_random_seed)
    a, b = make_inputs(case, real), make_inputs(case, tf)
    expected = theirs(a, training=False)
    same(expected, ours(b, training=False))
    ours.save(tmp_path / "ours")
    theirs.save(tmp_path / "theirs", save_format="tf")
    same(expected, real.keras.models.load_model(tmp_path / "ours")(a, training=False), "ours, read by TensorFlow")
    same(expected, real.saved_model.load(str(tmp_path / "ours"))(a, training=False), "ours, plainly loaded by TensorFlow")
    loaded = keras.models.load_model(tmp_path / "theirs")
    assert type(loaded.get_layer("layer")).__name__ == case.name
    same(expected, loaded(b, training=False), "TensorFlow's, read by us")
    if hasattr(loaded.get_layer("layer"), "get_vocabulary"):
        assert loaded.get_layer("layer").get_vocabulary() == ours.get_layer("layer").get_vocabulary()
    loaded.save(tmp_path / "again")
    same(expected, real.keras.models.load_model(tmp_path / "again")(a, training=False), "second generation")
    same(expected, keras.models.load_model(tmp_path / "again")(b, training=False), "second generation, read by us")


@pytest.mark.parametrize("library, module, other", [(tf, keras, real.keras), (real, real.keras, keras)], ids=["ours", "theirs"])
@pytest.mark.parametrize("kwargs", [{}, {"invert": True}, {"output_mode": "count"}], ids=str)
def test_vocabulary_files_travel_with_models(library: Any, module: Any, other: Any, kwargs: Any, tmp_path: Any) -> None:
    vocabulary = tmp_path / "tokens.txt"
    vocabulary.write_text("\n".join(TOKENS) + "\n")
    data = NUMBERS if "invert" in kwargs else WORDS
    layer = module.layers.StringLookup(vocabulary=str(vocabulary), **kwargs)
    inputs = module.Input(data.shape[1:], dtype=library.constant(data).dtype)
    model = module.Model(inputs, layer(inputs))
    expected = model(library.constant(data)).numpy()
    model.save(tmp_path / "model", save_format="tf")
    vocabulary.unlink()
    loaded = other.models.load_model(str(tmp_path / "model"))
    foreign = real if library is tf else tf
    np.testing.assert_array_equal(loaded(foreign.constant(data)).numpy(), expected)
    if library is tf:
        return  # TensorFlow's second generation holds the path of the first one's file
    loaded.save(str(tmp_path / "again"))
    shutil.rmtree(tmp_path / "model")
    again = module.models.load_model(str(tmp_path / "again"))
    np.testing.assert_array_equal(again(library.constant(data)).numpy(), expected)


@pytest.mark.parametrize("library, module, other", [(tf, keras, real.keras), (real, real.keras, keras)], ids=["ours", "theirs"])
@pytest.mark.parametrize(
    "case",
    [c for c in CASES if c.model and c.adapt is not None and c.name in ("StringLookup", "TextVectorization", "Normalization", "IntegerLookup", "Discretization")],
    ids=lambda c: c.id,
)
def test_archives_keep_learned_states(library: Any, module: Any, other: Any, case: Case, tmp_path: Any) -> None:
    if library is tf and (case.name == "Discretization" or "tf_idf" in case.kwargs.values() or isinstance(case.kwargs.get("ngrams"), tuple)):
        other, foreign = keras, tf  # Keras 2.15 does not read its own archives of these
    else:
        foreign = real if library is tf else tf
    seed = set_random_seed if library is tf else real.keras.utils.set_random_seed
    model = _model(case, library, module, seed)
    expected = model(make_inputs(case, library))
    model.save(str(tmp_path / "model.keras"))
    loaded = other.models.load_model(str(tmp_path / "model.keras"))
    same(expected, loaded(make_inputs(case, foreign)))
