"""`.keras` archives and `.weights.h5` files: config, weights by the place of their objects, assets. Objects are walked by `weights_walk`.

What is written is read by Keras 2.15, and by Keras 3 where its layers exist there (see `keras3_config`); what both write is read. Code in an
archive is refused in safe mode.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from savedmodel.errors import DataLossError, FormatError, MissingFileError, SavedModelError, TooLargeError
from savedmodel.keras.saving import keras3_config
from savedmodel.keras.saving.h5_files import h5py_module, publishing, reading, writing
from savedmodel.keras.saving.serialization import ObjectSharingScope, deserialize_keras_object, serialize_keras_object
from savedmodel.keras.saving.weights_walk import load_state, save_state
from tracer.errors import InvalidArgumentError

__all__ = ["load_archive", "load_weights_only", "save_archive", "save_weights_only"]

_METADATA, _CONFIG, _WEIGHTS, _ASSETS = "metadata.json", "config.json", "model.weights.h5", "assets"
_MAX_RATIO = 200
_MAX_JSON = 1 << 30


# -- stores ------------------------------------------------------------------------------------------------------------


class _WeightsWriter:
    """Groups `<path>/vars` of an h5py file; with `optimizer`, that one's as Keras 3 counts its variables."""

    def __init__(self, file: Any, optimizer: Any = None):
        self._file = file
        self._optimizer = optimizer

    def make(self, path: str) -> Any:
        group = self._file.create_group(f"{path}/vars" if path else "vars")
        if path == "optimizer" and self._optimizer is not None:
            return keras3_config.optimizer_writer(group, self._optimizer)
        return group


class _WeightsReader:
    """The groups that `_WeightsWriter`, or Keras, made."""

    def __init__(self, file: Any, keras3: bool):
        self._file = file
        self._keras3 = keras3
        # Keras 2.13 stored layers under the name of a property.
        self._old = "_layer_checkpoint_dependencies" in file

    def get(self, path: str) -> Any:
        found = self._find(path)
        if self._keras3 and path.rpartition("/")[2] == "optimizer":
            return keras3_config.OptimizerStore(found)
        return found

    def _find(self, path: str) -> Any:
        names = [path]
        if self._keras3:  # attributes that are private in Keras 2
            names.append("/".join(part.lstrip("_") for part in path.split("/")))
        if self._old:
            names.append(path.replace("layers", "_layer_checkpoint_dependencies", 1))
        for name in names:
            place = f"{name}/vars" if name else "vars"
            if place in self._file:
                return self._file[place]
        return {}


class _Assets:
    """Directories for assets, by the path of their object."""

    def __init__(self, root: str):
        self._root = root

    def make(self, path: str) -> str:
        place = os.path.join(self._root, path) if path else self._root
        os.makedirs(place, exist_ok=True)
        return place

    def get(self, path: str) -> str | None:
        place = os.path.join(self._root, path) if path else self._root
        return place if os.path.exists(place) else None


# -- writing -----------------------------------------------------------------------------------------------------------


def save_archive(model: Any, filepath: Any) -> None:
    """Write a model as a `.keras` archive.

    Raises:
        ValueError: the path does not end in `.keras`. TypeError: an object has no config.
    """
    path = os.fsdecode(os.fspath(filepath))
    if not path.endswith(".keras"):
        raise InvalidArgumentError(f"Invalid `filepath` argument: expected a `.keras` extension. Received: filepath={path}")
    h5py_module()
    if not model.built:
        warnings.warn(
            "You are saving a model that has not yet been built. It might not contain any weights yet. Consider building the model first by "
            "calling it on some data.",
            stacklevel=3,
        )
    with ObjectSharingScope():
        config = serialize_keras_object(model)
    write_archive(model, path, keras3_config.readable_by_both(config))


def write_archive(model: Any, path: str, config: dict[str, Any], keras_version: str | None = None) -> None:
    """Write an archive of `model` with the given config; it replaces what is at `path` when it is whole."""
    from savedmodel.keras.engine.model import KERAS_VERSION

    try:
        text = json.dumps(config)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{path} > {_CONFIG}: a value in the model's config has no JSON form ({error}); let get_config() return plain values") from None
    metadata = {
        "keras_version": keras_version or KERAS_VERSION,
        "date_saved": datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
    }
    with publishing(path) as temporary, _scratch(path) as scratch:
        weights, assets = os.path.join(scratch, _WEIGHTS), os.path.join(scratch, _ASSETS)
        os.makedirs(assets)
        with writing(weights) as file:
            keras3 = (keras_version or "").startswith("3")
            save_state(model, _WeightsWriter(file, model.optimizer if keras3 else None), _Assets(assets))
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_METADATA, json.dumps(metadata))
            archive.writestr(_CONFIG, text)
            archive.write(weights, _WEIGHTS)
            for folder, names, files in sorted(os.walk(assets)):
                names.sort()
                for name in sorted(files):
                    full = os.path.join(folder, name)
                    archive.write(full, f"{_ASSETS}/{os.path.relpath(full, assets).replace(os.sep, '/')}")


@contextlib.contextmanager
def _scratch(path: str) -> Iterator[str]:
    """A directory that goes when the block ends."""
    found = tempfile.mkdtemp(prefix=".keras-", dir=os.path.dirname(path) or ".")
    try:
        yield found
    finally:
        shutil.rmtree(found, ignore_errors=True)


def save_weights_only(model: Any, filepath: Any) -> None:
    """Write the states of a model to `….weights.h5`. Raises ValueError for another ending."""
    path = os.fsdecode(os.fspath(filepath))
    if not path.endswith(".weights.h5"):
        raise InvalidArgumentError(f"Invalid `filepath` argument: expected a `.weights.h5` extension. Received: filepath={path}")
    with writing(path) as file:
        save_state(model, _WeightsWriter(file), None)


# -- reading -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _open(path: str) -> Iterator[zipfile.ZipFile]:
    """The archive, its members' names and sizes checked.

    Raises:
        FileNotFoundError: there is none. DataLossError: it is no zip file, or damaged. TooLargeError: a decompression bomb.
    """
    if not os.path.isfile(path):
        raise MissingFileError(f"{path}: expected a .keras archive; no such file")
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataLossError(f"{path}: expected a .keras archive (a zip file) - received one that is damaged: {error}; copy it again") from None
    with archive:
        total = 0
        for info in archive.infolist():
            name = PurePosixPath(info.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts or (name.parts and ":" in name.parts[0]):
                raise FormatError(f"{path} > {info.filename!r}: a path that leads out of the archive; refused")
            if (info.external_attr >> 16) & 0o170000 == 0o120000:
                raise FormatError(f"{path} > {info.filename!r}: a symbolic link; refused")
            total += info.file_size
        size = os.path.getsize(path)
        if total > max(size, 1 << 20) * _MAX_RATIO:
            raise TooLargeError(f"{path}: the archive unpacks to {total} bytes from {size}; refused as a decompression bomb")
        yield archive


def _member(archive: zipfile.ZipFile, name: str, path: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise DataLossError(f"{path}: expected a member {name!r} - received {archive.namelist()[:10]}; it is no .keras archive, or an incomplete one") from None
    if info.file_size > _MAX_JSON:
        raise TooLargeError(f"{path} > {name}: {info.file_size} bytes of JSON; refused")
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, EOFError) as error:
        raise DataLossError(f"{path} > {name}: {error}; the archive is damaged, copy it again") from None


def _parse(data: bytes, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataLossError(f"{where}: expected JSON - received {data[:60]!r}… ({error}); the archive is damaged") from None


@contextlib.contextmanager
def _weights(archive: zipfile.ZipFile, path: str, keras3: bool) -> Iterator[_WeightsReader]:
    h5py = h5py_module()
    names = archive.namelist()
    if _WEIGHTS not in names:
        raise FormatError(f"{path}: Expected a {_WEIGHTS} file in the archive; it holds {names[:10]}")
    with archive.open(_WEIGHTS) as member:
        try:
            file = h5py.File(member, "r")
        except OSError as error:
            raise DataLossError(f"{path} > {_WEIGHTS}: expected an HDF5 file - received one that cannot be opened ({error})") from None
        with file:
            yield _WeightsReader(file, keras3)


def _keras3_metadata(archive: zipfile.ZipFile, path: str) -> bool:
    if _METADATA not in archive.namelist():
        return False
    metadata = _parse(_member(archive, _METADATA, path), f"{path} > {_METADATA}")
    return isinstance(metadata, dict) and str(metadata.get("keras_version", "")).startswith("3")


def load_archive(filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True) -> Any:
    """The model in a `.keras` archive, of Keras 2.13 or later, or of Keras 3.

    Args:
        custom_objects: name → class or function. compile: compile it as it was. safe_mode: refuse code.

    Raises:
        TypeError: a class or function is not known. ValueError: code in safe mode, or weights that do not fit. OSError: damaged.
    """
    path = os.fsdecode(os.fspath(filepath))
    if not path.endswith(".keras"):
        raise InvalidArgumentError(f"Invalid filename: expected a `.keras` extension. Received: filepath={path}")
    with _open(path) as archive:
        config = _parse(_member(archive, _CONFIG, path), f"{path} > {_CONFIG}")
        if not isinstance(config, dict):
            raise DataLossError(f"{path} > {_CONFIG}: expected a JSON object - received {type(config).__name__}")
        keras3 = _keras3_metadata(archive, path) or keras3_config.is_keras3_config(config)
        if keras3:
            config = keras3_config.to_keras2(config)
        if not compile:
            config["compile_config"] = None
        with ObjectSharingScope():
            model = deserialize_keras_object(config, custom_objects, safe_mode=safe_mode)
        if not hasattr(model, "layers"):
            raise FormatError(f"{path} > {_CONFIG}: expected the config of a model - received one of {config.get('class_name')!r}")
        _load(model, archive, path, keras3)
    return model


def _load(model: Any, archive: zipfile.ZipFile, path: str, keras3: bool, skip_mismatch: bool = False, assets: bool = True) -> None:
    members = [n for n in archive.namelist() if assets and n.startswith(_ASSETS + "/") and not n.endswith("/")]
    with contextlib.ExitStack() as stack:
        store = None
        if members:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="keras-"))
            for name in members:
                archive.extract(name, folder)
            store = _Assets(os.path.join(folder, _ASSETS))
        variables = stack.enter_context(_weights(archive, path, keras3))
        try:
            load_state(model, variables, store, skip_mismatch=skip_mismatch)
        except SavedModelError:
            raise
        except OSError as error:
            raise DataLossError(f"{path} > {_WEIGHTS}: {error}; the archive is damaged, copy it again") from None


def load_weights_only(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Load the states in a `….weights.h5` file or a `.keras` archive into a model.

    Raises:
        ValueError: they do not fit, unless `skip_mismatch` (then a warning).
    """
    path = os.fsdecode(os.fspath(filepath))
    if path.endswith(".keras"):
        with _open(path) as archive:
            _load(model, archive, path, _keras3_metadata(archive, path), skip_mismatch, assets=False)
        return
    with reading(path) as file:
        if "vars" not in file and "layer_names" in file.attrs:
            raise FormatError(f"{path}: expected the layout of .weights.h5 - received weights by layers' names; rename the file to end in .h5 only")
        keras3 = any("name" in group.attrs for group in _vars_groups(file))
        load_state(model, _WeightsReader(file, keras3), None, skip_mismatch=skip_mismatch)


def _vars_groups(file: Any) -> Iterator[Any]:
    """Some groups of variables: Keras 3 names them."""
    if "vars" in file:
        yield file["vars"]
    layers = file.get("layers")
    for name in list(layers)[:3] if layers is not None else ():
        if "vars" in layers[name]:
            yield layers[name]["vars"]
