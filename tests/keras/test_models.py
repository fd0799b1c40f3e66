"""Models without TensorFlow at hand: building, calling, cloning, configs, errors, callbacks."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from savedmodel import keras, tf

L = keras.layers
X = np.random.RandomState(0).rand(32, 6).astype("float32")
Y = X[:, :1] * 2


@pytest.fixture(autouse=True)
def _fresh_names():
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)


def _two_headed():
    i = keras.Input((6,), name="x")
    h = L.Dense(4, activation="relu", name="h")(i)
    return keras.Model({"x": i}, {"a": L.Dense(1, name="a")(h), "b": tf.reduce_sum(h * 2.0, axis=1)})


def test_config_and_json_make_an_equal_model() -> None:
    model = _two_headed()
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    assert again.get_config() == model.get_config() == keras.models.model_from_json(model.to_json()).get_config()
    np.testing.assert_allclose(again({"x": X})["b"], model({"x": X})["b"])


def test_intermediate_tensors_can_be_inputs() -> None:
    i = keras.Input((6,))
    h = L.Dense(3)(i)
    o = L.Dense(2)(h)
    part = keras.Model(h, o)
    np.testing.assert_allclose(part(keras.Model(i, h)(X)), keras.Model(i, o)(X), rtol=1e-6)


def test_shared_layers_share_weights_and_keep_both_calls() -> None:
    shared = L.Dense(6)
    i = keras.Input((6,))
    model = keras.Model(i, shared(shared(i)))
    assert len(model.weights) == 2 and len(shared.inbound_nodes) == 2


def test_pop_and_add_rebuild_a_sequential_model() -> None:
    model = keras.Sequential([L.Dense(3, input_shape=(6,)), L.Dense(2)])
    model.pop()
    model.add(L.Dense(5))
    assert model.output_shape == (None, 5) and model(X).shape == (32, 5)


def test_a_deep_copy_of_a_layer_has_variables_of_its_own() -> None:
    layer = L.Dense(2)
    layer(X)
    twin = copy.deepcopy(layer)
    twin.kernel.assign_add(np.ones((6, 2), np.float32))
    assert not np.allclose(twin.kernel, layer.kernel)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda m: m.fit(X, Y), "You must compile your model"),
        (lambda m: m(np.ones((2, 5), "float32")), "expected shape=\\(None, 6\\), found shape=\\(2, 5\\)"),
        (lambda m: m.add(3), "must be an instance of class Layer"),
        (lambda m: m.set_weights([1]), "with a weight list of length 1"),
        (lambda m: m.get_layer("q"), "No such layer: q"),
        (lambda m: keras.Model(X, Y), "Found unexpected instance"),
        (lambda m: (m.compile("sgd", "mse"), m.fit(X, Y[:3])), "Data cardinality is ambiguous"),
        (lambda m: keras.Input(), "Please provide to Input"),
        (lambda m: L.Dense(2).count_params(), "isn't built"),
    ],
)
def test_errors_say_what_was_expected(act, words) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError), match=words):
        act(keras.Sequential([L.Dense(1, input_shape=(6,))]))


def test_forgetting_super_init_is_told() -> None:
    class Bad(keras.Model):
        def __init__(self):
            self.d = L.Dense(1)

    with pytest.raises(RuntimeError, match="forgot to call"):
        Bad()


def test_early_stopping_restores_the_best_weights() -> None:
    model = keras.Sequential([L.Dense(1, input_shape=(6,))])
    model.compile(keras.optimizers.SGD(10.0), "mse")
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=2, restore_best_weights=True)
    history = model.fit(X, Y, epochs=20, verbose=0, callbacks=[stop])
    assert len(history.epoch) < 20 and stop.best_epoch == int(np.argmin(history.history["loss"]))


def test_event_files_hold_whole_records(tmp_path) -> None:
    model = keras.Sequential([L.Dense(1, input_shape=(6,))])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0, epochs=2, validation_data=(X, Y), callbacks=[keras.callbacks.TensorBoard(tmp_path, histogram_freq=1)])
    for kind, tag in (("train", b"epoch_loss"), ("validation", b"epoch_loss")):
        (file,) = (tmp_path / kind).iterdir()
        data = file.read_bytes()
        records, at = [], 0
        while at < len(data):
            size = int.from_bytes(data[at : at + 8], "little")
            records.append(data[at + 12 : at + 12 + size])
            at += 16 + size
        assert at == len(data) and b"brain.Event:2" in records[0] and sum(tag in r for r in records) == 2
