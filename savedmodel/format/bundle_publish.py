"""Puts the finished files of a checkpoint in place, so that a reader finds the old one or the new one, never a mix.

A checkpoint is several files, and one rename moves one file. Where a checkpoint is already there, its files first get
second names (`<file>.previous`, hard links, the index last); then the new data files and, as the last one, the new
index are renamed over the old names; then the second names go. A process that dies in between leaves `.previous`
names behind: while the index is still the old one, the old checkpoint is read from them, and the next writer puts
them back. Refuses to guess: a file system without hard links gets plain renames.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
from collections.abc import Iterator, Sequence

__all__ = ["PREVIOUS", "data_filename", "directory_lock", "index_filename", "interrupted", "publish", "synced"]

PREVIOUS = ".previous"

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def index_filename(prefix: str) -> str:
    """The name of the index of the bundle `prefix`."""
    return prefix + ".index"


def data_filename(prefix: str, shard: int, count: int) -> str:
    """The name of a data file of the bundle `prefix`."""
    return f"{prefix}.data-{shard:05d}-of-{count:05d}"


@contextlib.contextmanager
def directory_lock(path: str, *, exclusive: bool) -> Iterator[None]:
    """Holds an advisory lock on the directory of `path`, where the system has such locks."""
    handle = None
    if fcntl is not None:
        try:
            handle = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        except OSError:  # A file system without locks: writers to one path must then take turns by themselves.
            pass
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def synced(path: str) -> None:
    """Waits until the directory entries at `path` are on disk."""
    try:
        handle = os.open(path or ".", os.O_RDONLY)
    except OSError:  # Windows opens no directories.
        return
    try:
        os.fsync(handle)
    except OSError:  # Some network file systems sync no directories.
        pass
    finally:
        os.close(handle)


def interrupted(prefix: str) -> bool:
    """Whether a writer died between the renames: the files to read are then the `.previous` ones."""
    index = index_filename(prefix)
    try:
        return filecmp.cmp(index, index + PREVIOUS, shallow=False)
    except OSError:
        return False


def _previous_data(prefix: str) -> list[str]:
    """The data files with a second name."""
    directory, base = os.path.split(prefix)
    with os.scandir(directory or ".") as entries:
        names = [entry.name for entry in entries]
    start = base + ".data-"
    return [
        os.path.join(directory, name[: -len(PREVIOUS)])
        for name in names
        if name.startswith(start) and name.endswith(PREVIOUS)
    ]


def _recover(prefix: str) -> None:
    """Brings back the old checkpoint if the last writer died before its index was in place; removes second names."""
    index = index_filename(prefix)
    data = _previous_data(prefix)
    if interrupted(prefix):
        for name in data:
            os.replace(name + PREVIOUS, name)
    # Where both names are one file still, the rename did nothing: remove what is left.
    for name in (index, *data):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name + PREVIOUS)


def publish(prefix: str, data: Sequence[tuple[str, str]], index: str, *, sync: bool = True) -> None:
    """Renames the data files (pairs of present and final name), then `index` to the index of `prefix`.

    All files are complete and, where that matters, synced. Two publishers of one prefix take turns.
    """
    final_index = index_filename(prefix)
    with directory_lock(prefix, exclusive=True):
        _recover(prefix)
        links = []
        if os.path.exists(final_index):
            try:
                for _, final in data:
                    if os.path.exists(final):
                        os.link(final, final + PREVIOUS)
                        links.append(final)
                if links:
                    os.link(final_index, final_index + PREVIOUS)
                    links.append(final_index)
            except OSError:  # No hard links here.
                _unlink(links)
                links = []
            if links and sync:
                synced(os.path.dirname(prefix))
        for present, final in data:
            os.replace(present, final)
        if sync and data:
            synced(os.path.dirname(prefix))
        os.replace(index, final_index)
        if sync:
            synced(os.path.dirname(prefix))
        _unlink(links)


def _unlink(links: Sequence[str]) -> None:
    """Removes second names, the index first: it alone says that they count."""
    for name in reversed(links):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name + PREVIOUS)
