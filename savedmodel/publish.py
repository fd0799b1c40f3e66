"""Puts a finished directory in its place in one step, so that a reader finds the old model or the new one, never a mix.

It refuses to replace a file by a directory. What a user keeps in the directory beside the model's own files stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from savedmodel.errors import NotSavableError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["published"]

_SUFFIX = ".tmp"
_GRACE = 1.0  # seconds in which a directory may be there and not locked yet
_OWN_FILES = frozenset(["assets", "variables", "saved_model.pb", "saved_model.pbtxt", "keras_metadata.pb", "fingerprint.pb", "debug"])


@contextlib.contextmanager
def published(target: Path) -> Iterator[Path]:
    """A fresh directory beside `target` that takes its place when the block ends well; what was there stays until then.

    Raises:
        ValueError: a file is in the way. OSError: the disk refuses; the message names the directory.
    """
    for place in (target, *target.parents):
        if place.exists() and not place.is_dir():
            raise NotSavableError(f"{target}: expected a directory or nothing at {place}, received a file; remove it or choose another path")
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=_SUFFIX, dir=target.parent))
    lock = _locked(folder)
    try:
        os.chmod(folder, 0o777 & ~_umask())
        yield folder
        _sync_tree(folder)
        _put_in_place(folder, target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """A handle that holds a lock on a directory, by which others see that its writer lives; None where there are no locks."""
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _remove_abandoned(target: Path) -> None:
    """Remove what writers of `target` that died left behind."""
    for folder in target.parent.glob(f".{glob.escape(target.name)}.*{_SUFFIX}"):
        if time.time() - folder.stat().st_mtime < _GRACE:
            continue
        lock = _locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_tree(folder: Path) -> None:
    for directory, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(directory, name), "rb") as file:
                os.fsync(file.fileno())
        _sync_directory(Path(directory))


def _sync_directory(directory: Path) -> None:
    with contextlib.suppress(OSError):  # Windows opens no directories, some network file systems sync none
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _put_in_place(folder: Path, target: Path) -> None:
    if not target.exists():
        os.rename(folder, target)
        _sync_directory(target.parent)
        return
    # What a user keeps beside the model's own files (assets.extra, notes) is linked or copied before anything moves: a process that
    # dies now leaves the old directory whole.
    for entry in target.iterdir():
        if entry.name not in _OWN_FILES and not (folder / entry.name).exists():
            _copy(entry, folder / entry.name)
    if _exchange(folder, target):
        old = folder
    else:
        old = target.with_name(f".{target.name}.{os.getpid()}{_SUFFIX}")
        os.rename(target, old)
        os.rename(folder, target)
    _sync_directory(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True, copy_function=_link_or_copy)
    else:
        _link_or_copy(source, target)


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two directories in one step (Linux's renameat2); False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    at_cwd, exchange = -100, 2
    return rename(at_cwd, os.fsencode(a), at_cwd, os.fsencode(b), exchange) == 0
