"""save_model, load_model, save_weights, load_weights: which format a path means. The formats live in modules of their own."""

from __future__ import annotations

import os
import warnings
import zipfile
from typing import Any

from savedmodel.errors import ModelNotFoundError
from savedmodel.reader import contains_saved_model

__all__ = ["load_model", "load_weights", "save_model", "save_weights"]

_H5_SUFFIXES = (".h5", ".hdf5")


def _is_h5_object(path: Any) -> bool:
    return type(path).__module__.partition(".")[0] == "h5py"


def _text(path: Any) -> str:
    return os.fsdecode(os.fspath(path))


def save_model(model: Any, filepath: Any, overwrite: bool = True, save_format: str | None = None, **kwargs: Any) -> None:
    """Save a Keras model.

    Args:
        filepath: `.keras` means the v3 archive, `.h5` or `.hdf5` HDF5, anything else a SavedModel directory.
        overwrite: replace what is there without asking.
        save_format: "keras", "h5" or "tf", in place of what the path means.
        kwargs: include_optimizer; for SavedModel also signatures, options, save_traces.

    Raises:
        ValueError: an unknown format, or arguments that the format does not take; or a model that was never built.
    """
    if save_format is None:
        save_format = _format_of(filepath)
    else:
        save_format = {"tensorflow": "tf", "hdf5": "h5"}.get(str(save_format), str(save_format))
        if save_format not in ("keras", "tf", "h5"):
            raise ValueError(f"Unknown `save_format` argument. Expected one of 'keras', 'tf', or 'h5'. Received: save_format={save_format}")
        if save_format == "keras" and (_is_h5_object(filepath) or not _text(filepath).endswith(".keras")):
            raise ValueError(
                f"Invalid `filepath` argument: expected a path ending in `.keras` when `save_format='keras'`. Received: filepath={filepath}"
            )
        if save_format == "tf" and not _is_h5_object(filepath) and (_text(filepath).endswith((*_H5_SUFFIXES, ".keras"))):
            raise ValueError(
                f"TF SavedModel has been selected as the format, but the provided `filepath` looks like another one. Received: filepath={filepath}; "
                f"choose a path without the extension, or the matching save_format."
            )
    if save_format == "keras":
        from savedmodel.keras.saving.keras_archive import save_archive

        include = kwargs.pop("include_optimizer", None)
        unsupported = {k for k, v in kwargs.items() if v is not None}
        if include is not None:
            unsupported.add("include_optimizer")
        if unsupported:
            raise ValueError(f"The following argument(s) are not supported with the native Keras format: {sorted(unsupported)}")
        if not _may_write(filepath, overwrite):
            return
        save_archive(model, filepath)
        return
    if save_format == "h5":
        from savedmodel.keras.saving.h5 import save_h5

        if not _is_h5_object(filepath) and not _may_write(filepath, overwrite):
            return
        warnings.warn(
            "You are saving your model as an HDF5 file via `model.save()`. This file format is considered legacy. We recommend using instead "
            "the native Keras format, e.g. `model.save('my_model.keras')`.",
            stacklevel=3,
        )
        save_h5(model, filepath, include_optimizer=kwargs.pop("include_optimizer", True))
        return
    from savedmodel.keras.saving.saved_model import save_saved_model

    if not _may_write(filepath, overwrite):
        return
    save_saved_model(
        model, _text(filepath), include_optimizer=kwargs.pop("include_optimizer", True), signatures=kwargs.pop("signatures", None),
        options=kwargs.pop("options", None), save_traces=kwargs.pop("save_traces", True),
    )  # fmt: skip
    if kwargs:
        raise TypeError(f"save_model got unexpected keyword arguments {sorted(kwargs)}")


def _format_of(filepath: Any) -> str:
    if _is_h5_object(filepath):
        return "h5"
    text = _text(filepath)
    if text.endswith(".keras"):
        return "keras"
    return "h5" if text.endswith(_H5_SUFFIXES) else "tf"


def _may_write(filepath: Any, overwrite: bool) -> bool:
    if overwrite or not os.path.exists(_text(filepath)):
        return True
    answer = input(f"[WARNING] {_text(filepath)} already exists - overwrite? [y/n]").strip().lower()
    while answer not in ("y", "n"):
        answer = input('Enter "y" (overwrite) or "n" (cancel).').strip().lower()
    return answer == "y"


def load_model(
    filepath: Any, custom_objects: Any = None, compile: bool = True, safe_mode: bool = True, options: Any = None, **kwargs: Any
) -> Any:
    """Load a Keras model from a SavedModel directory (or archive of one), a `.keras` archive, or HDF5.

    Args:
        custom_objects: name → class or function.
        compile: compile as the model was.
        safe_mode: refuse Lambda bytecode in `.keras` archives.

    Raises:
        OSError: nothing, or nothing readable, at the path. ValueError: objects that are not known.
    """
    if kwargs:
        raise TypeError(f"load_model got unexpected keyword arguments {sorted(kwargs)}")
    if _is_h5_object(filepath):
        from savedmodel.keras.saving.h5 import load_h5

        return load_h5(filepath, custom_objects=custom_objects, compile=compile)
    if isinstance(filepath, (bytes, bytearray)) or "://" in str(filepath):
        from savedmodel.keras.saving.revival import load_saved_model

        return load_saved_model(filepath, custom_objects, compile, options)
    text = _text(filepath)
    if text.endswith(".keras") and os.path.isfile(text) and zipfile.is_zipfile(text):
        from savedmodel.keras.saving.keras_archive import load_archive

        return load_archive(text, custom_objects=custom_objects, compile=compile, safe_mode=safe_mode)
    if not os.path.exists(text):
        raise ModelNotFoundError(f"No file or directory found at {text}")
    if os.path.isdir(text) or contains_saved_model(text):
        from savedmodel.keras.saving.revival import load_saved_model

        return load_saved_model(text, custom_objects, compile, options)
    from savedmodel.keras.saving.h5 import load_h5

    return load_h5(text, custom_objects=custom_objects, compile=compile)


def save_weights(model: Any, filepath: Any, overwrite: bool = True, save_format: str | None = None, options: Any = None) -> Any:
    """Save the weights: `.weights.h5` (v3), HDF5 for `.h5`, `.hdf5` and `.keras`, else a TensorFlow checkpoint."""
    from savedmodel.keras.saving import weights

    return weights.save_weights(model, filepath, overwrite, save_format, options)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, by_name: bool = False, options: Any = None) -> Any:
    """Load weights from any format that holds them."""
    from savedmodel.keras.saving import weights

    return weights.load_weights(model, filepath, skip_mismatch, by_name, options)


