"""The `checkpoint` file beside checkpoints: which is the latest, which are kept. Refuses to name itself as a checkpoint.

A message CheckpointState in text format, as TensorFlow 2.15 writes it: paths relative to the directory or absolute.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Sequence

from google.protobuf import text_format

from savedmodel.format import protos
from savedmodel.format.bundle_publish import index_filename, synced
from savedmodel.format.errors import FormatError

__all__ = [
    "STATE_FILENAME",
    "checkpoint_exists",
    "get_checkpoint_state",
    "latest_checkpoint",
    "make_checkpoint_state",
    "update_checkpoint_state",
]

#: The usual name of the state file.
STATE_FILENAME = "checkpoint"

_MAX_BYTES = 64 << 20
_log = logging.getLogger(__name__)


def _state_path(directory: str | os.PathLike[str], latest_filename: str | None) -> str:
    return os.path.join(os.fspath(directory), latest_filename or STATE_FILENAME)


def make_checkpoint_state(
    directory: str | os.PathLike[str],
    model_checkpoint_path: str,
    all_model_checkpoint_paths: Sequence[str] | None = None,
    all_model_checkpoint_timestamps: Sequence[float] | None = None,
    last_preserved_timestamp: float | None = None,
) -> protos.CheckpointState:
    """The state in which `model_checkpoint_path` is the latest; it is added to the paths, oldest first, if it is not last.

    In a relative `directory`, relative paths are taken as seen from the working directory and written as seen from
    `directory`. FormatError when the number of timestamps is not that of the paths.
    """
    directory = os.fspath(directory)
    paths = [os.fspath(path) for path in all_model_checkpoint_paths or ()]
    latest = os.fspath(model_checkpoint_path)
    if not paths or paths[-1] != latest:
        paths.append(latest)
    if all_model_checkpoint_timestamps and len(all_model_checkpoint_timestamps) != len(paths):
        raise FormatError(
            f"{directory}: Checkpoint timestamps, if provided, must match checkpoint paths (got paths {paths} and timestamps "
            f"{list(all_model_checkpoint_timestamps)})"
        )
    if not os.path.isabs(directory):
        latest, *paths = (
            path if os.path.isabs(path) else os.path.relpath(path, directory) for path in (latest, *paths)
        )
    return protos.CheckpointState(
        model_checkpoint_path=latest,
        all_model_checkpoint_paths=paths,
        all_model_checkpoint_timestamps=all_model_checkpoint_timestamps,
        last_preserved_timestamp=last_preserved_timestamp,
    )


def update_checkpoint_state(
    directory: str | os.PathLike[str],
    model_checkpoint_path: str | os.PathLike[str],
    all_model_checkpoint_paths: Sequence[str] | None = None,
    latest_filename: str | None = None,
    all_model_checkpoint_timestamps: Sequence[float] | None = None,
    last_preserved_timestamp: float | None = None,
    *,
    save_relative_paths: bool = False,
) -> None:
    """Writes the state file of `directory`, whole or not at all.

    Args:
        directory: where the checkpoints are.
        model_checkpoint_path: prefix of the latest one.
        all_model_checkpoint_paths: prefixes of those kept, oldest first.
        latest_filename: name of the state file, `checkpoint` by default.
        all_model_checkpoint_timestamps: seconds since the epoch, one per path.
        last_preserved_timestamp: when a checkpoint was last kept for good.
        save_relative_paths: write absolute paths as seen from the directory, so that it can be moved.

    Raises:
        FormatError: timestamps and paths differ in number.
        RuntimeError: the checkpoint would be the state file itself.
    """
    directory = os.fspath(directory)
    latest = os.fspath(model_checkpoint_path)
    paths = [os.fspath(path) for path in all_model_checkpoint_paths or ()]
    if save_relative_paths:
        latest, *paths = (
            os.path.relpath(path, directory) if os.path.isabs(path) else path for path in (latest, *paths)
        )
    state = make_checkpoint_state(directory, latest, paths, all_model_checkpoint_timestamps, last_preserved_timestamp)
    target = _state_path(directory, latest_filename)
    if target == state.model_checkpoint_path:
        raise RuntimeError(
            f"Save path '{os.fspath(model_checkpoint_path)}' conflicts with path used for checkpoint state.  "
            "Please use a different save path."
        )
    temporary = f"{target}.tmp{os.urandom(8).hex()}"
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text_format.MessageToString(state))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    synced(os.path.dirname(target))


def get_checkpoint_state(
    directory: str | os.PathLike[str], latest_filename: str | None = None
) -> protos.CheckpointState | None:
    """The state of `directory`, its paths joined to the directory; None if there is none or it is unreadable (logged).

    FormatError (a ValueError) when the state names no latest checkpoint.
    """
    directory = os.fspath(directory)
    path = _state_path(directory, latest_filename)
    try:
        if not os.path.isfile(path):
            return None
        with open(path, encoding="utf-8") as file:
            text = file.read(_MAX_BYTES)
        state = text_format.Parse(text, protos.CheckpointState())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        _log.warning("%s: %s", type(error).__name__, error)
        _log.warning("%s: Checkpoint ignored", path)
        return None
    if not state.model_checkpoint_path:
        raise FormatError(
            f"Invalid checkpoint state loaded from {directory}: {path} names no model_checkpoint_path; delete it"
        )
    state.model_checkpoint_path = os.path.join(directory, state.model_checkpoint_path)
    paths = [os.path.join(directory, kept) for kept in state.all_model_checkpoint_paths]
    del state.all_model_checkpoint_paths[:]
    state.all_model_checkpoint_paths.extend(paths)
    return state


def checkpoint_exists(prefix: str | os.PathLike[str]) -> bool:
    """Whether a checkpoint of either format is at `prefix`, which may hold wildcards as TensorFlow's may."""
    path = os.fspath(prefix)
    return any(os.path.exists(name) or glob.glob(name) for name in (index_filename(path), path))


def latest_checkpoint(directory: str | os.PathLike[str], latest_filename: str | None = None) -> str | None:
    """The prefix of the latest checkpoint of `directory`; None without a state file, or when its checkpoint is gone."""
    state = get_checkpoint_state(directory, latest_filename)
    if state is None:
        return None
    if checkpoint_exists(state.model_checkpoint_path):
        return state.model_checkpoint_path
    _log.error("Couldn't match files for checkpoint %s", state.model_checkpoint_path)
    return None
