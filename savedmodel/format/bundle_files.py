"""How a checkpoint's files are reached: mapped or read from disk, or held in memory. Refuses what is not a regular file.

A `File` gives out read-only byte arrays of any part of itself, without copying where it is mapped or in memory. Parts
of a map stay readable when the file is replaced by renaming another over it, as every writer of this package does; a
file that somebody truncates in place must be read with `memory_map=False`, because the system kills who touches a
page of a map that is gone.
"""

from __future__ import annotations

import mmap
import os
import stat
import threading
from collections.abc import Hashable, Mapping
from typing import Protocol

import numpy as np

from savedmodel.format.errors import DataLossError, MissingFileError

__all__ = ["DiskFiles", "File", "Files", "MemoryFiles"]

# Parts at least this large give their pages back to the system when the last array on them is gone.
_RELEASE_SIZE = 1 << 20
_LFS_POINTER = b"version https://git-lfs"


class File(Protocol):
    """An open file: `view(offset, size)` is a read-only uint8 array; DataLossError when it runs past `size`."""

    name: str
    size: int

    def view(self, offset: int, size: int) -> np.ndarray: ...


class Files(Protocol):
    """Where files are opened by name."""

    def open(self, name: str) -> File:
        """The file `name`; MissingFileError when there is none."""
        ...

    def identity(self, name: str) -> Hashable | None:
        """Something that changes when the file is replaced; None when there is none."""
        ...


def _check_bounds(file: File, offset: int, size: int) -> None:
    if offset < 0 or size < 0 or offset + size > file.size:
        raise DataLossError(
            f"{file.name}: bytes {offset} to {offset + size} are out of range - received a file of {file.size} bytes - "
            "it is truncated; copy it again"
        )


class _Bytes:
    def __init__(self, name: str, data: np.ndarray) -> None:
        self.name = name
        self.size = len(data)
        self._data = data

    def view(self, offset: int, size: int) -> np.ndarray:
        _check_bounds(self, offset, size)
        return self._data[offset : offset + size]


class MemoryFiles:
    """Files held in memory: `{name: bytes}`."""

    def __init__(self, contents: Mapping[str, bytes | bytearray | memoryview]) -> None:
        self._contents = contents

    def open(self, name: str) -> File:
        if name not in self._contents:
            raise MissingFileError(f"{name}: no such file among the {len(self._contents)} in memory")
        data = np.frombuffer(self._contents[name], np.uint8) if len(self._contents[name]) else np.empty(0, np.uint8)
        data = data.view()
        data.flags.writeable = False
        return _Bytes(name, data)

    def identity(self, name: str) -> Hashable | None:
        return id(self._contents[name]) if name in self._contents else None


class _Region:
    """A part of a map, as the owner of arrays; when it dies, the pages that it made resident are released."""

    __slots__ = ("__array_interface__", "_map", "_pages")

    def __init__(self, mapped: mmap.mmap, address: int, offset: int, size: int) -> None:
        self._map = mapped
        first = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE
        self._pages = (first, (offset + size) // mmap.PAGESIZE * mmap.PAGESIZE - first)
        self.__array_interface__ = {"shape": (size,), "typestr": "|u1", "data": (address + offset, True), "version": 3}

    def __del__(self) -> None:
        if self._pages[1] > 0:
            self._map.madvise(mmap.MADV_DONTNEED, *self._pages)


class _Mapped:
    def __init__(self, name: str, handle: int, size: int) -> None:
        self.name = name
        self.size = size
        self._map = mmap.mmap(handle, size, access=mmap.ACCESS_READ)
        self._whole = np.frombuffer(self._map, np.uint8)
        self._address = self._whole.__array_interface__["data"][0]

    def view(self, offset: int, size: int) -> np.ndarray:
        _check_bounds(self, offset, size)
        if size >= _RELEASE_SIZE and hasattr(mmap, "MADV_DONTNEED"):
            return np.asarray(_Region(self._map, self._address, offset, size))
        return self._whole[offset : offset + size]


class _Streamed:
    def __init__(self, name: str, handle: int, size: int) -> None:
        self.name = name
        self.size = size
        self._file = os.fdopen(os.dup(handle), "rb", buffering=0)
        self._lock = threading.Lock()

    def view(self, offset: int, size: int) -> np.ndarray:
        _check_bounds(self, offset, size)
        data = np.empty(size, np.uint8)
        done = 0
        with self._lock:
            self._file.seek(offset)
            while done < size:
                count = self._file.readinto(data[done:].data)
                if not count:
                    raise DataLossError(
                        f"{self.name}: Read less bytes than requested: {size} expected at byte {offset} - received "
                        f"{done} - the file was truncated while it was open"
                    )
                done += count
        data.flags.writeable = False
        return data


class DiskFiles:
    """Files on disk, by path. `memory_map=False` reads what is asked for instead of mapping the file."""

    def __init__(self, memory_map: bool = True) -> None:
        self._memory_map = memory_map

    def open(self, name: str) -> File:
        try:
            # Not blocking: a pipe in place of a file must not hang the reader.
            handle = os.open(name, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            raise MissingFileError(f"{name}: no such file") from None
        try:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                raise DataLossError(f"{name}: expected a regular file - received a directory, pipe or device")
            if info.st_size < 1024 and os.read(handle, len(_LFS_POINTER)) == _LFS_POINTER:
                raise DataLossError(
                    f"{name}: expected data - received a Git LFS pointer of {info.st_size} bytes - fetch the real file "
                    "with 'git lfs pull'"
                )
            if info.st_size == 0:
                return _Bytes(name, np.empty(0, np.uint8))
            return (_Mapped if self._memory_map else _Streamed)(name, handle, info.st_size)
        finally:
            os.close(handle)

    def identity(self, name: str) -> Hashable | None:
        try:
            info = os.stat(name)
        except OSError:
            return None
        return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
