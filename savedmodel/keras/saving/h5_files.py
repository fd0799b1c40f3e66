"""HDF5 files: opening them, publishing them whole, and lists of names as attributes. It refuses to know models.

h5py comes with the extra `savedmodel[h5]`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from savedmodel.errors import DataLossError, MissingFileError, SavedModelError
from savedmodel.format.bundle_publish import synced

__all__ = ["MissingExtraError", "h5py_module", "is_h5_object", "load_attributes", "publishing", "reading", "save_attributes", "writing"]

_HEADER_LIMIT = 64512  # bytes: what fits beside the rest in the header of an HDF5 object


class MissingExtraError(SavedModelError, ImportError):
    """A format needs a package that is not installed."""


def h5py_module() -> Any:
    """The package h5py. Raises ImportError, naming the extra, where it is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError(f"HDF5 and .keras files need the package h5py, which is not installed ({error}); install savedmodel[h5]") from None
    return h5py


def is_h5_object(path: Any) -> bool:
    """Whether `path` is an open h5py file or group."""
    return type(path).__module__.partition(".")[0] == "h5py"


@contextlib.contextmanager
def reading(path: Any) -> Iterator[Any]:
    """The file at a path, or an open one, as an h5py group.

    Raises:
        FileNotFoundError: there is none. DataLossError (an OSError): it is no HDF5 file, or a damaged one.
    """
    if is_h5_object(path):
        yield path
        return
    h5py = h5py_module()
    name = path if hasattr(path, "read") else os.fsdecode(os.fspath(path))
    if isinstance(name, str) and not os.path.exists(name):
        raise MissingFileError(f"{name}: Unable to open file (No such file or directory): expected an HDF5 file; check the path")
    try:
        file = h5py.File(name, "r")
    except OSError as error:
        raise DataLossError(f"{name}: expected an HDF5 file - received one that cannot be opened ({error})") from None
    with file:
        yield file


@contextlib.contextmanager
def publishing(path: str) -> Iterator[str]:
    """A name beside `path` for a new file; when the block ends well, that file is synced and takes the place of `path`, else it goes."""
    directory = os.path.dirname(path)
    if os.path.isdir(path):
        raise IsADirectoryError(f"Unable to create file {path}: it is a directory; give the path of a file")
    os.makedirs(directory or ".", exist_ok=True)
    temporary = f"{path}.tmp{os.urandom(8).hex()}"
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    synced(directory)


@contextlib.contextmanager
def writing(path: Any) -> Iterator[Any]:
    """A new file for `path` as an h5py group; it replaces what is there when the block ends well. Open files are written into."""
    if is_h5_object(path):
        yield path
        path.file.flush()
        return
    h5py = h5py_module()
    with publishing(os.fsdecode(os.fspath(path))) as temporary, h5py.File(temporary, "w") as file:
        yield file


def save_attributes(group: Any, name: str, data: Sequence[bytes]) -> None:
    """Store names as attribute `name`; more than fit are split over `name0`, `name1`, ….

    Raises:
        RuntimeError: a single name does not fit.
    """
    too_long = [x for x in data if len(x) > _HEADER_LIMIT]
    if too_long:
        raise RuntimeError(
            f"The following attributes cannot be saved to HDF5 file because they are larger than {_HEADER_LIMIT} bytes: {too_long}"
        )
    array = np.asarray(data)
    count = 1
    pieces = [array]
    while any(piece.nbytes > _HEADER_LIMIT for piece in pieces):
        count += 1
        pieces = np.array_split(array, count)
    if count == 1:
        group.attrs[name] = data
        return
    for i, piece in enumerate(pieces):
        group.attrs[f"{name}{i}"] = piece


def load_attributes(group: Any, name: str) -> list[str]:
    """The names that `save_attributes` stored."""

    def texts(values: Any) -> list[str]:
        return [v.decode("utf8") if hasattr(v, "decode") else v for v in values]

    if name in group.attrs:
        return texts(group.attrs[name])
    out: list[str] = []
    i = 0
    while f"{name}{i}" in group.attrs:
        out.extend(texts(group.attrs[f"{name}{i}"]))
        i += 1
    return out
