"""Models come back from SavedModel directories: with their classes, and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from savedmodel import keras, tf


class Shift(keras.layers.Layer):
    def build(self, shape: Any) -> None:
        self.offset = self.add_weight(name="offset", shape=(shape[-1],), initializer="ones")

    def call(self, inputs: Any) -> Any:
        self.add_loss(tf.reduce_sum(tf.square(self.offset)))
        return inputs + self.offset


class Net(keras.Model):
    def __init__(self, sizes: Any) -> None:
        super().__init__()
        self.parts = [keras.layers.Dense(n, activation="tanh") for n in sizes]
        self.shift = Shift()
        self.dropout = keras.layers.Dropout(0.5)

    def call(self, inputs: Any, training: Any = None) -> Any:
        for part in self.parts:
            inputs = part(inputs)
        return self.dropout(self.shift(inputs), training=training)


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Any, str, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, y = rng.random((24, 5), np.float32), rng.random((24, 3), np.float32)
    model = Net([4, 3])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, y, epochs=2, batch_size=8, verbose=0)
    path = str(tmp_path / "net")
    model.save(path)
    return model, path, x, y


def test_a_model_without_its_class_is_revived_under_its_name(trained: Any) -> None:
    model, path, x, y = trained
    revived = keras.models.load_model(path)
    assert type(revived).__name__ == "Net"
    assert type(revived) is not Net
    assert isinstance(revived, keras.Model)
    np.testing.assert_array_equal(revived(x), model(x))
    assert [w.name for w in revived.weights] == [w.name for w in model.weights]
    assert float(revived.losses[0]) == float(model.losses[0])
    np.testing.assert_allclose(revived.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-6)


def test_the_optimizers_state_comes_back_and_training_goes_on(trained: Any) -> None:
    model, path, x, y = trained
    revived = keras.models.load_model(path)
    assert int(revived.optimizer.iterations) == int(model.optimizer.iterations) == 6
    for mine, theirs in zip(revived.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    before = revived.evaluate(x, y, verbose=0)[0]
    revived.fit(x, y, epochs=10, verbose=0)
    assert revived.evaluate(x, y, verbose=0)[0] < before


def test_a_given_class_is_used_and_its_python_call_runs(trained: Any) -> None:
    model, path, x, _ = trained
    loaded = keras.models.load_model(path, custom_objects={"Net": Net, "Shift": Shift})
    assert type(loaded) is Net
    np.testing.assert_array_equal(loaded(x), model(x))


def test_what_was_revived_is_saved_and_revived_again(trained: Any, tmp_path: Path) -> None:
    model, path, x, _ = trained
    second = str(tmp_path / "second")
    keras.models.load_model(path).save(second)
    third = str(tmp_path / "third")
    keras.models.load_model(second).save(third)
    np.testing.assert_array_equal(keras.models.load_model(third)(x), model(x))


def test_without_traces_a_class_is_needed(tmp_path: Path) -> None:
    model = Net([3])
    x = np.ones((2, 4), np.float32)
    model(x)
    model.save(tmp_path / "bare", save_traces=False)
    with pytest.raises(ValueError, match="Cannot call custom layer"):
        keras.models.load_model(tmp_path / "bare")(x)
    loaded = keras.models.load_model(tmp_path / "bare", custom_objects={"Net": Net, "Shift": Shift})
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.mark.parametrize("model", [Net([3]), keras.Sequential([keras.layers.Dense(2)])], ids=["subclass", "sequential"])
def test_a_model_that_was_never_built_is_not_saved_and_the_error_says_how_to_build_it(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be saved.*(as opposed to `model.call\(\)`|specify an input shape either by calling)"):
        model.save(tmp_path / "unbuilt")
    assert not (tmp_path / "unbuilt").exists()


def test_a_plain_saved_model_of_a_keras_model_is_not_taken_for_one_of_keras(trained: Any, tmp_path: Path) -> None:
    model, *_ = trained
    tf.saved_model.save(model, str(tmp_path / "plain"))
    with pytest.raises(ValueError, match="Unable to create a Keras model"):
        keras.models.load_model(tmp_path / "plain")
