"""Formats of Keras models without TensorFlow: files of Keras 2.15 and Keras 3 load, ours come back, and what does not fit is refused."""

from __future__ import annotations

import io
import json
import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py")

from savedmodel import keras  # noqa: E402
from savedmodel.convert import convert  # noqa: E402
from savedmodel.convert.tensor_files import read_safetensors  # noqa: E402
from savedmodel.keras.saving import keras3_config  # noqa: E402
from savedmodel.keras.saving.h5_files import load_attributes, save_attributes  # noqa: E402
from savedmodel.keras.saving.h5_layouts import convert_weights  # noqa: E402
from savedmodel.keras.saving.serialization import serialize_keras_object  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "golden" / "keras_formats"
L = keras.layers


def mlp(width: int = 3, names: tuple[str, str] = ("one", "two")) -> Any:
    return keras.Sequential([L.Dense(width, input_shape=(4,), name=names[0]), L.Dense(2, name=names[1])], name="mlp")


def trained() -> Any:
    model = mlp()
    model.compile("adam", "mse", metrics=["mae"])
    x = np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4)
    model.fit(x, x[:, :2], verbose=0)
    return model


def same(a: Any, b: Any) -> None:
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# -- files of Keras ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["heads", "nested", "recurrent"])
@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_files_of_keras_load_and_predict_the_same(name: str, version: int, ending: str) -> None:
    stem = GOLDEN / f"{name}_k{version}"
    values = np.load(f"{stem}.npz")
    xs, ys = ([values[k] for k in values.files if k.startswith(p)] for p in "xy")
    if ending == ".weights.h5":
        model = keras.models.load_model(f"{stem}.keras", compile=False)
        model.set_weights([np.zeros_like(w) for w in model.get_weights()])
        model.load_weights(f"{stem}{ending}")
    else:
        model = keras.models.load_model(f"{stem}{ending}")
        assert int(model.optimizer.iterations) == 2
    outputs = model.predict(xs if len(xs) > 1 else xs[0], verbose=0)
    for one, other in zip(outputs if isinstance(outputs, list) else [outputs], ys, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["heads", "nested", "recurrent"])
def test_configs_survive_the_way_to_keras_3_and_back(name: str) -> None:
    model = keras.models.load_model(GOLDEN / f"{name}_k2.keras", compile=False)
    config = json.loads(json.dumps(serialize_keras_object(model)))
    there = keras3_config.to_keras3(config)
    assert keras3_config.is_keras3_config(there) and not keras3_config.is_keras3_config(config)
    again = keras.saving.deserialize_keras_object(keras3_config.to_keras2(there))
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    again.set_weights(model.get_weights())
    x = [np.ones((1, *t.shape[1:]), np.float32) for t in model.inputs]
    np.testing.assert_allclose(np.asarray(again(x if len(x) > 1 else x[0])[0]), np.asarray(model(x if len(x) > 1 else x[0])[0]), rtol=1e-6)


# -- our own -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.hdf5"])
def test_models_come_back_with_their_optimizer(name: str, tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path / name)
    again = keras.models.load_model(tmp_path / name)
    same(model, again)
    for one, other in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    x = np.zeros((2, 4), np.float32)
    assert again.evaluate(x, x[:, :2], verbose=0) == model.evaluate(x, x[:, :2], verbose=0)
    assert again.metrics_names == ["loss", "mae"]
    assert keras.models.load_model(tmp_path / name, compile=False).optimizer is None
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.weights.h5", "b.h5", "c.keras", "deep/er/prefix", "saved_model", "whole.keras", "whole.h5"])
def test_weights_load_from_every_format(name: str, tmp_path: Path) -> None:
    model = trained()
    path = str(tmp_path / name)
    model.save(path) if name.startswith(("saved", "whole")) else model.save_weights(path)
    other = mlp()
    status = other.load_weights(path)
    if status is not None:
        status.expect_partial()
    same(model, other)


def test_weights_by_prefix_in_the_working_directory(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    mlp().save_weights("ackpt")
    assert sorted(os.listdir()) == ["ackpt.data-00000-of-00001", "ackpt.index", "checkpoint"]
    mlp().load_weights("ackpt").assert_consumed()


def test_open_and_in_memory_hdf5_files(tmp_path: Path) -> None:
    model = trained()
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        model.save(file)
    with h5py.File(buffer, "r") as file:
        same(model, keras.models.load_model(file))


def test_long_lists_of_names_are_split() -> None:
    with h5py.File(io.BytesIO(), "w") as file:
        names = [f"{i:04d}".encode() + b"x" * 150 for i in range(500)]
        save_attributes(file, "layer_names", names)
        assert sorted(file.attrs) == ["layer_names0", "layer_names1"]
        assert load_attributes(file, "layer_names") == [n.decode() for n in names]
        with pytest.raises(RuntimeError, match="larger than"):
            save_attributes(file, "more", [b"x" * 70000])


def test_loading_by_name_says_what_does_not_fit(tmp_path: Path, caplog: Any) -> None:
    model, path = mlp(), str(tmp_path / "w.h5")
    model.save_weights(path)
    other = mlp(5)
    with pytest.raises(ValueError, match=r"Shape mismatch in layer #0 \(named one\) for weight one/kernel:0. Weight expects shape \(4, 5\)"):
        other.load_weights(path, by_name=True)
    with caplog.at_level(logging.WARNING, "savedmodel"):
        other.load_weights(path, by_name=True, skip_mismatch=True)
    assert "mismatch in shape" in caplog.text
    np.testing.assert_array_equal(other.get_weights()[3], model.get_weights()[3])
    flat = keras.Sequential([L.Dense(3, use_bias=False, input_shape=(4,), name="one"), L.Dense(2, name="two")])
    with pytest.raises(ValueError, match=r"Weight count mismatch for layer #0 \(named one\). Layer expects 1 weight\(s\). Received 2"):
        flat.load_weights(path, by_name=True)
    with pytest.raises(ValueError, match="Weight count mismatch for layer #0"):
        flat.load_weights(path)
    with pytest.raises(ValueError, match=r"Layer count mismatch when loading weights from file\. Model expected 1 layers, found 2"):
        keras.Sequential([L.Dense(3, input_shape=(4,))]).load_weights(path)
    with pytest.raises(ValueError, match="by_name is True"):
        other.load_weights(path, skip_mismatch=True)
    model.save_weights(str(tmp_path / "ck"))
    with pytest.raises(NotImplementedError, match="by_name=True"):
        other.load_weights(str(tmp_path / "ck"), by_name=True)


def test_archives_say_what_does_not_fit_and_skip_it(tmp_path: Path) -> None:
    model, path = mlp(), str(tmp_path / "w.weights.h5")
    model.save_weights(path)
    with pytest.raises(ValueError, match="Shape mismatch"):
        mlp(5).load_weights(path)
    other = mlp(5)
    with pytest.warns(UserWarning, match="Skipping object"):
        other.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(other.get_weights()[3], model.get_weights()[3])


def test_formats_are_refused_where_they_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unknown format"):
        mlp().save_weights(str(tmp_path / "w"), save_format="zip")
    with pytest.raises(ValueError, match="looks like an HDF5 file"):
        mlp().save_weights(str(tmp_path / "w.h5"), save_format="tf")
    with pytest.raises(ValueError, match="have not yet been created"):
        keras.Sequential([L.Dense(2)]).save_weights(str(tmp_path / "w"))
    with pytest.raises(FileNotFoundError):
        mlp().load_weights(str(tmp_path / "nothing"))
    with pytest.raises(OSError):
        keras.models.load_model(tmp_path / "nothing.keras")
    (tmp_path / "bad.h5").write_bytes(b"no hdf5")
    with pytest.raises(OSError, match=r"bad\.h5"):
        mlp().load_weights(tmp_path / "bad.h5")
    assert sorted(os.listdir(tmp_path)) == ["bad.h5"]


def _archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return path


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    bomb = _archive(tmp_path / "bomb.keras", config_dot_json=b" " * (300 << 20))
    with pytest.raises(ValueError, match="decompression bomb"):
        keras.models.load_model(bomb)
    with zipfile.ZipFile(tmp_path / "out.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("assets/../../evil", "x")
    with pytest.raises(ValueError, match="leads out"):
        keras.models.load_model(tmp_path / "out.keras")
    with pytest.raises(OSError, match="expected JSON"):
        keras.models.load_model(_archive(tmp_path / "j.keras", config_dot_json=b"{"))


def test_lambda_code_is_refused_in_safe_mode(tmp_path: Path) -> None:
    x = keras.Input((2,))
    model = keras.Model(x, L.Lambda(lambda t: t * 2.0)(x))
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"arbitrary code execution|lambda"):
        keras.models.load_model(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", safe_mode=False)
    np.testing.assert_array_equal(np.asarray(loaded(np.ones((1, 2), np.float32))), [[2.0, 2.0]])


def test_state_hooks_get_back_what_they_wrote(tmp_path: Path) -> None:
    class Keeper(L.Layer):
        secret = b""

        def build(self, shape: Any) -> None:
            self.w = self.add_weight("w", (2,))

        def call(self, x: Any) -> Any:
            return x * self.w

        def save_own_variables(self, store: Any) -> None:
            store["mine"] = self.w.numpy() * 2.0

        def load_own_variables(self, store: Any) -> None:
            self.w.assign(np.asarray(store["mine"]) / 2.0)

        def save_assets(self, folder: str) -> None:
            Path(folder, "secret.txt").write_bytes(self.secret)

        def load_assets(self, folder: str) -> None:
            self.secret = Path(folder, "secret.txt").read_bytes()

    model = keras.Sequential([keras.Input((2,)), Keeper()])
    model.layers[0].secret = b"words"
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert "assets/layers/keeper/secret.txt" in archive.namelist()
    again = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Keeper": Keeper})
    assert again.layers[0].secret == b"words"
    same(model, again)


@pytest.mark.parametrize("layer_name", ["LSTM", "GRU"])
def test_old_recurrent_weights_are_converted(layer_name: str) -> None:
    layer = getattr(L, layer_name)(2) if layer_name == "LSTM" else L.GRU(2, reset_after=False)
    layer.build((None, None, 3))
    gates = 4 if layer_name == "LSTM" else 3
    old = [np.full(s, 10 * g + i, np.float32) for g in range(gates) for i, s in enumerate(((3, 2), (2, 2), (2,)))]
    new = convert_weights(layer, old, "1")
    order = [0, 2, 1, 3] if layer_name == "LSTM" else [0, 1, 2]
    np.testing.assert_array_equal(new[2].reshape(gates, 2)[:, 0], [10 * g + 2 for g in order])
    assert [w.shape for w in convert_weights(layer, list(new), "2")] == [tuple(w.shape) for w in layer.weights]


def test_cudnn_weights_are_converted_and_back() -> None:
    layer = L.LSTM(2)
    layer.build((None, None, 3))
    rng = np.random.default_rng(0)
    cudnn = [rng.standard_normal(s) for s in ((3, 8), (2, 8), (16,))]
    kernel, recurrent, bias = convert_weights(layer, cudnn, "2")
    np.testing.assert_allclose(bias, cudnn[2][:8] + cudnn[2][8:])
    np.testing.assert_allclose(recurrent[:, :2], cudnn[1][:, :2].T)
    assert kernel.shape == (3, 8)
    with pytest.raises(ValueError, match="Invalid bias shape"):
        convert_weights(layer, [kernel, recurrent, bias[:3]], "2")


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    class Broken(L.Layer):
        def call(self, x: Any) -> Any:
            return x

        def save_own_variables(self, store: Any) -> None:
            raise ValueError("no")

    model = trained()
    for name in ("m.keras", "m.weights.h5"):
        path = tmp_path / name
        model.save(path) if name == "m.keras" else model.save_weights(path)
        before = path.read_bytes()
        broken = keras.Sequential([keras.Input((2,)), Broken()])
        with pytest.raises(ValueError, match="no"):
            broken.save(path) if name == "m.keras" else broken.save_weights(path)
        assert path.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["m.keras", "m.weights.h5"]


# -- convert -------------------------------------------------------------------------------------------------------------


def test_a_saved_model_becomes_every_format(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path / "dir")
    for name in ("k3.keras", "k2.keras", "m.h5", "w.weights.h5", "w.safetensors", "w.npz"):
        convert(tmp_path / "dir", tmp_path / name, keras=2 if name == "k2.keras" else 3)
    for name in ("k3.keras", "k2.keras", "m.h5"):
        again = keras.models.load_model(tmp_path / name)
        same(model, again)
        assert int(again.optimizer.iterations) == 1
    names = [w.name.removesuffix(":0") for w in model.weights]
    with np.load(tmp_path / "w.npz") as arrays:
        for found in (read_safetensors(str(tmp_path / "w.safetensors")), arrays):
            for name, value in zip(names, model.get_weights(), strict=True):
                np.testing.assert_array_equal(found[name], value)
    with pytest.raises(ValueError, match="expected a path that ends in"):
        convert(tmp_path / "dir", tmp_path / "x.onyx")


def test_a_model_without_configs_offers_its_weights(tmp_path: Path) -> None:
    class Net(keras.Model):
        def __init__(self, units: Any) -> None:
            super().__init__()
            self.d = L.Dense(units[0])

        def call(self, x: Any) -> Any:
            return self.d(x)

    model = Net([2])
    model(np.zeros((1, 3), np.float32))
    model.save(tmp_path / "net")
    with pytest.raises(NotImplementedError, match=r"class Net.*\.safetensors"):
        convert(tmp_path / "net", tmp_path / "net.keras")
    assert convert(tmp_path / "net", tmp_path / "net.npz")["tensors"] == 2
