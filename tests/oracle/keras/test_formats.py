"""Every way to keep a Keras model, between this library and Keras 2.15: equal predictions, equal next training step, equal files."""

from __future__ import annotations

import json
import os
import zipfile
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy as np
import pytest
import tensorflow as tf

from savedmodel import keras
from savedmodel import tf as our_tf
from savedmodel.checkpoint_management import list_variables

OURS = SimpleNamespace(keras=keras, tf=our_tf)
THEIRS = SimpleNamespace(keras=tf.keras, tf=tf)
RNG = np.random.default_rng(0)


def sequential(lib: Any) -> Any:
    layers = lib.keras.layers
    return lib.keras.Sequential(
        [layers.Dense(8, activation="relu", input_shape=(4,), name="one"), layers.Dropout(0.0, name="drop"), layers.BatchNormalization(name="bn"), layers.Dense(2, name="two")],
        name="seq",
    )


def functional(lib: Any) -> Any:
    layers = lib.keras.layers
    a, b = lib.keras.Input((4,), name="a"), lib.keras.Input((3,), name="b")
    shared = layers.Dense(5, activation="tanh", name="shared")
    x = layers.Concatenate(name="joined")([shared(a), shared(layers.Dense(4, name="to4")(b))])
    return lib.keras.Model([a, b], [layers.Dense(2, name="p")(x), layers.Dense(1, activation="sigmoid", name="q")(x)], name="two_heads")


def nested(lib: Any) -> Any:
    layers = lib.keras.layers
    i = lib.keras.Input((4,), name="inner_in")
    inner = lib.keras.Model(i, layers.BatchNormalization(name="ibn")(layers.Dense(3, name="i1")(i)), name="inner")
    chain = lib.keras.Sequential([layers.Dense(3, name="c1", input_shape=(3,)), layers.Dense(3, name="c2")], name="chain")
    x = lib.keras.Input((4,), name="x")
    return lib.keras.Model(x, layers.Dense(2, name="out")(chain(inner(x))), name="outer")


def convolutional(lib: Any) -> Any:
    layers = lib.keras.layers
    return lib.keras.Sequential(
        [
            layers.Conv2D(3, 3, input_shape=(8, 8, 1), name="conv"), layers.MaxPooling2D(name="pool"), layers.DepthwiseConv2D(2, name="depth"),
            layers.SeparableConv2D(2, 1, name="separable"), layers.Flatten(name="flat"), layers.Dense(2, name="dense"),
        ],
        name="cnn",
    )  # fmt: skip


def recurrent(lib: Any) -> Any:
    layers = lib.keras.layers
    x = lib.keras.Input((5, 3), name="x")
    y = layers.LSTM(4, return_sequences=True, name="lstm")(x)
    y = layers.Bidirectional(layers.GRU(2, name="gru"), name="both")(y)
    return lib.keras.Model(x, layers.Dense(2, name="out")(y), name="rnn")


def attention(lib: Any) -> Any:
    layers = lib.keras.layers
    x = lib.keras.Input((5, 4), name="x")
    y = layers.MultiHeadAttention(2, 3, name="mha")(x, x)
    y = layers.LayerNormalization(name="ln")(layers.Add(name="add")([x, y]))
    return lib.keras.Model(x, layers.Dense(2, name="out")(layers.GlobalAveragePooling1D(name="gap")(y)), name="att")


def operators(lib: Any) -> Any:
    x = lib.keras.Input((4,), name="x")
    y = lib.keras.layers.Dense(4, name="d")(x)
    return lib.keras.Model(x, lib.keras.layers.Dense(2, name="out")(lib.tf.nn.relu(y + x) * 2.0), name="ops")


def subclassed(lib: Any) -> Any:
    class Block(lib.keras.layers.Layer):
        def __init__(self, units: int = 3, **kwargs: Any):
            super().__init__(**kwargs)
            self.units = units
            self.inner = [lib.keras.layers.Dense(units, name="first"), lib.keras.layers.Dense(units, name="second")]

        def build(self, input_shape: Any) -> None:
            self.scale = self.add_weight("scale", (), initializer="ones")
            super().build(input_shape)

        def call(self, x: Any) -> Any:
            return self.scale * self.inner[1](self.inner[0](x))

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    class Net(lib.keras.Model):
        def __init__(self, **kwargs: Any):
            super().__init__(**kwargs)
            self.block = Block(name="block")
            self.parts = {"head": lib.keras.layers.Dense(2, name="head")}

        def call(self, x: Any) -> Any:
            return self.parts["head"](self.block(x))

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name}

    model = Net(name="net")
    model(np.zeros((1, 4), np.float32))
    lib.custom = {"Net": Net, "Block": Block}
    return model


SHAPES: dict[Any, Any] = {
    sequential: [(4,)], functional: [(4,), (3,)], nested: [(4,)], convolutional: [(8, 8, 1)], recurrent: [(5, 3)], attention: [(5, 4)],
    operators: [(4,)], subclassed: [(4,)],
}  # fmt: skip
BUILDERS = list(SHAPES)
by_name = pytest.mark.parametrize("build", BUILDERS, ids=lambda b: b.__name__)
both_ways = pytest.mark.parametrize(("writer", "reader"), [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours-theirs", "theirs-ours"])


def data(build: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    xs = [rng.standard_normal((8, *shape)).astype(np.float32) for shape in SHAPES[build]]
    y: Any = rng.random((8, 2)).astype(np.float32)
    if build is functional:
        y = [y, rng.integers(0, 2, (8, 1)).astype(np.float32)]
    return (xs if len(xs) > 1 else xs[0]), y


def trained(build: Any, lib: Any, optimizer: Any = None) -> Any:
    rng = np.random.default_rng(3)
    model = build(lib)
    model.set_weights([rng.standard_normal(w.shape).astype(np.float32) * 0.3 + (0.5 if "variance" in v.name else 0) for w, v in zip(model.get_weights(), model.weights)])
    model.compile(optimizer or lib.keras.optimizers.Adam(0.01), loss="mse" if build is not functional else ["mse", "binary_crossentropy"])
    x, y = data(build)
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    return model


def flat(value: Any) -> list[Any]:
    return [np.asarray(v) for v in (value if isinstance(value, (list, tuple)) else [value])]


def check_same(a: Any, b: Any, build: Any, train: bool = True) -> None:
    x, y = data(build)
    for one, other in zip(flat(a.predict(x, verbose=0)), flat(b.predict(x, verbose=0)), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)
    if not train:
        return
    assert int(a.optimizer.iterations) == int(b.optimizer.iterations) == 2
    for model in (a, b):
        model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@by_name
@both_ways
@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_whole_models(build: Any, writer: Any, reader: Any, ending: str, tmp_path: Any) -> None:
    if build is subclassed and ending == ".h5":
        with pytest.raises(NotImplementedError):  # HDF5 holds functional and Sequential models only
            trained(build, writer).save(str(tmp_path / "model.h5"))
        return
    model = trained(build, writer)
    path = str(tmp_path / f"model{ending}")
    model.save(path)
    custom = None
    if build is subclassed:
        build(reader)
        custom = reader.custom
    check_same(model, reader.keras.models.load_model(path, custom_objects=custom), build)


@by_name
@both_ways
@pytest.mark.parametrize("name", ["w.weights.h5", "w.h5", "w"])
def test_weights_alone(build: Any, writer: Any, reader: Any, name: str, tmp_path: Any) -> None:
    model = trained(build, writer)
    path = str(tmp_path / name)
    model.save_weights(path)
    other = build(reader)
    optimizer_state = name != "w.h5"
    other.compile(reader.keras.optimizers.Adam(0.01), loss="mse" if build is not functional else ["mse", "binary_crossentropy"])
    if optimizer_state:
        other.optimizer.build(other.trainable_variables)
    status = other.load_weights(path)
    if name == "w":
        status.assert_consumed()
    check_same(model, other, build, train=optimizer_state)


def _tree(file: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    file.visititems(lambda n, o: found.update({n: (o.shape, str(o.dtype)) if isinstance(o, h5py.Dataset) else sorted(o.attrs)}))
    found[""] = sorted(file.attrs)
    return found


@by_name
def test_files_have_the_same_layout(build: Any, tmp_path: Any) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    trees, lists, configs = [], [], []
    for name, lib in (("ours", OURS), ("theirs", THEIRS)):
        model = trained(build, lib)
        folder = tmp_path / name
        model.save_weights(str(folder / "c"))
        model.save_weights(str(folder / "w.h5"))
        model.save(str(folder / "m.keras"))
        tree = {}
        with h5py.File(folder / "w.h5") as file:
            tree["w.h5"] = _tree(file)
        with zipfile.ZipFile(folder / "m.keras") as archive:
            assert archive.namelist()[:3] == ["metadata.json", "config.json", "model.weights.h5"]
            configs.append(json.loads(archive.read("config.json")))
            with archive.open("model.weights.h5") as member, h5py.File(member) as file:
                tree["m.keras"] = _tree(file)
        if build is not subclassed:
            model.save(str(folder / "m.h5"))
            with h5py.File(folder / "m.h5") as file:
                tree["m.h5"] = _tree(file)
                tree["config"] = json.loads(file.attrs["model_config"].replace('{"name": null}', "{}"))
        trees.append(tree)
        lists.append(list_variables(str(folder / "c")))
    for key in trees[1]:
        assert trees[0][key] == trees[1][key], key
    assert lists[0] == lists[1]
    assert configs[0].keys() == configs[1].keys()


@pytest.mark.parametrize("build", [sequential, functional, nested, subclassed], ids=lambda b: b.__name__)
@pytest.mark.parametrize("fitted", [False, True])
def test_the_index_of_a_checkpoint_equals_tensorflows(build: Any, fitted: bool, tmp_path: Any) -> None:
    for name, lib in (("ours", OURS), ("theirs", THEIRS)):
        model = trained(build, lib) if fitted else build(lib)
        if not fitted:
            model.compile(lib.keras.optimizers.Adam(0.01), "mse")
        model.set_weights([np.full(w.shape, 0.5, np.float32) for w in model.get_weights()])
        for v in model.optimizer.variables if fitted else ():
            v.assign(np.zeros(v.shape, v.dtype.as_numpy_dtype if hasattr(v.dtype, "as_numpy_dtype") else v.dtype.numpy))
        (tmp_path / name).mkdir()
        model.save_weights(str(tmp_path / name / "c"))
    for file in ("c.index", "c.data-00000-of-00001", "checkpoint"):
        assert (tmp_path / "ours" / file).read_bytes() == (tmp_path / "theirs" / file).read_bytes(), file
