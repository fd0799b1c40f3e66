"""save_weights and load_weights: which format a path means, and TensorFlow checkpoints of models. Other formats have modules of their own.

Authority: Keras 2.15.
"""

from __future__ import annotations

import os
import zipfile
from typing import Any

from savedmodel.errors import FormatError, MissingFileError, SavedModelError
from savedmodel.format import checkpoint_state, v1_checkpoint
from savedmodel.keras.saving.h5_files import is_h5_object
from savedmodel.reader import contains_saved_model
from tracer.errors import InvalidArgumentError

__all__ = ["load_weights", "save_weights"]

_H5_ENDINGS = (".h5", ".keras", ".hdf5")


class ByNameError(SavedModelError, NotImplementedError):
    """Checkpoints are matched by attributes, not by layers' names."""


def save_weights(model: Any, filepath: Any, overwrite: bool = True, save_format: str | None = None, options: Any = None) -> Any:
    """Save the weights of a model.

    Args:
        filepath: `.weights.h5` means the layout of `.keras` archives; `.h5`, `.hdf5` and `.keras` HDF5; anything else is the prefix of a
            TensorFlow checkpoint.
        overwrite: replace what is there without asking.
        save_format: "h5" or "tf" in place of what the path means.

    Raises:
        ValueError: an unknown format, "tf" for a path of HDF5, or a model that was never built.
    """
    from savedmodel.keras.saving.saving_api import _may_write

    if is_h5_object(filepath):
        from savedmodel.keras.saving.h5 import save_h5_weights

        model._assert_weights_created()
        save_h5_weights(model, filepath)
        return None
    path = os.fsdecode(os.fspath(filepath))
    if path.endswith(".weights.h5"):
        from savedmodel.keras.saving.keras_archive import save_weights_only

        if _may_write(path, overwrite):
            save_weights_only(model, path)
        return None
    model._assert_weights_created()
    looks_h5 = path.endswith(_H5_ENDINGS)
    if save_format is None:
        kind = "h5" if looks_h5 else "tf"
    else:
        kind = {"tensorflow": "tf", "tf": "tf", "hdf5": "h5", "h5": "h5", "keras": "h5"}.get(save_format.lower().strip(), "")
        if not kind:
            raise InvalidArgumentError(f'Unknown format. Received: `save_format`={save_format}. Was expecting one of {{"tf", "h5"}}.')
        if kind == "tf" and looks_h5:
            raise InvalidArgumentError(
                f'save_weights got save_format="tf"/"tensorflow", but the filepath ({path}) looks like an HDF5 file. Omit the ".h5"/".keras" '
                f"when saving in TensorFlow format."
            )
    check = path if kind == "h5" else path + ".index"
    if os.path.isfile(check) and not _may_write(check, overwrite):
        return None
    if kind == "h5":
        from savedmodel.keras.saving.h5 import save_h5_weights

        save_h5_weights(model, path)
        return None
    checkpoint_of(model).write(path, options=options)
    checkpoint_state.update_checkpoint_state(os.path.dirname(path), path, [path], save_relative_paths=True)
    return None


def checkpoint_of(model: Any) -> Any:
    """The Checkpoint whose root is `model`; a model keeps one."""
    from savedmodel.checkpoint import Checkpoint

    return Checkpoint(root=model)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False, by_name: bool = False, options: Any = None) -> Any:
    """Load weights that `save_weights` or `save` wrote.

    Args:
        filepath: `.weights.h5`, a `.keras` archive, HDF5, the prefix of a checkpoint, or a SavedModel directory.
        skip_mismatch: leave out what does not fit (with `by_name`, and for `.weights.h5` and `.keras`).
        by_name: by the layers' names (HDF5 only).

    Returns:
        For checkpoints a status object (see `Checkpoint.restore`), else None.

    Raises:
        ValueError: weights do not fit, or the model is not built. FileNotFoundError: nothing there. AssertionError: a checkpoint that has
            nothing for this model. NotImplementedError: `by_name` with a checkpoint.
    """
    path = filepath if is_h5_object(filepath) else os.fsdecode(os.fspath(filepath))
    if isinstance(path, str) and (path.endswith(".weights.h5") or (path.endswith(".keras") and zipfile.is_zipfile(path))):
        from savedmodel.keras.saving.keras_archive import load_weights_only

        load_weights_only(model, path, skip_mismatch=skip_mismatch)
        return None
    if skip_mismatch and not by_name:
        raise InvalidArgumentError("When calling model.load_weights, skip_mismatch can only be set to True when by_name is True.")
    path, kind = (path, "h5") if not isinstance(path, str) else _detect(path)
    if kind == "tf":
        if by_name:
            raise ByNameError(
                "Weights may only be loaded based on topology into Models when loading TensorFlow-formatted weights (got by_name=True to "
                "load_weights)."
            )
        status = checkpoint_of(model).read(path, options)
        status.assert_nontrivial_match()
    else:
        from savedmodel.keras.saving.h5 import load_h5_weights

        if not model._is_graph_network and not model.built:
            raise InvalidArgumentError(
                "Unable to load weights saved in HDF5 format into a subclassed Model which has not created its variables yet. Call the Model "
                "first, then load the weights."
            )
        model._assert_weights_created()
        load_h5_weights(model, path, by_name, skip_mismatch)
        status = None
    for layer in model.layers:
        layer.finalize_state()
    return status


def _detect(path: str) -> tuple[str, str]:
    """(path of the weights, format)."""
    if path.endswith(_H5_ENDINGS):
        return path, "h5"
    if _is_checkpoint(path):
        return path, "tf"
    if contains_saved_model(path):
        inner = os.path.join(path, "variables", "variables")
        if _is_checkpoint(inner):
            return inner, "tf"
        raise FormatError(
            f"Unable to load weights. filepath {path} appears to be a SavedModel directory, but checkpoint either doesn't exist, or is incorrectly "
            f"formatted."
        )
    if os.path.isfile(path):
        return path, "h5"
    v1_checkpoint.open_checkpoint(path)  # raises, and says what is there instead
    raise MissingFileError(f"{path}: expected weights; nothing is there")


def _is_checkpoint(path: str) -> bool:
    if not (os.path.isfile(path + ".index") or os.path.isfile(path)):
        return False
    try:
        v1_checkpoint.open_checkpoint(path)
    except (FormatError, MissingFileError):
        return os.path.isfile(path + ".index")
    return True
