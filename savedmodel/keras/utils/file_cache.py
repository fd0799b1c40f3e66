"""get_file: files of the local Keras cache. It downloads nothing: `file:` addresses are copied, others must be there already."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from savedmodel.errors import MissingFileError

__all__ = ["get_file"]


def _digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() if hasattr(hashlib, "file_digest") else hashlib.new(algorithm, file.read()).hexdigest()


def get_file(
    fname: str | None = None, origin: str | None = None, untar: bool = False, md5_hash: str | None = None, file_hash: str | None = None,
    cache_subdir: str = "datasets", hash_algorithm: str = "auto", extract: bool = False, archive_format: Any = "auto",
    cache_dir: Any = None,
) -> str:  # fmt: skip
    """The path of a file in the cache (`KERAS_HOME`, or `.keras` in the home directory), unpacked where asked.

    Raises:
        OSError: it is not there and `origin` is no local file; the message says where to put it. ValueError: another hash, or no `origin`.
    """
    if origin is None:
        raise ValueError('Please specify the "origin" argument (URL of the file to download).')
    home = cache_dir or os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    parts = urlparse(origin)
    fname = os.fspath(fname) if fname else os.path.basename(parts.path)
    if untar and not fname.endswith(".tar.gz"):
        fname = f"{fname}.tar.gz"
    path = Path(home) / cache_subdir / fname
    if not path.is_file() and parts.scheme in ("file", "") and os.path.isfile(unquote(parts.path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(unquote(parts.path), path)
    if not path.is_file():
        raise MissingFileError(f"{fname}: not in the local cache; fetch it from {origin} and put it at {path}: nothing is downloaded")
    wanted = file_hash or md5_hash
    if wanted:
        algorithm = hash_algorithm if hash_algorithm != "auto" and file_hash else "sha256" if len(wanted) == 64 else "md5"
        if _digest(path, algorithm) != wanted:
            raise ValueError(f"Incomplete or corrupted file detected: {path}. The {algorithm} file hash does not match the provided value of {wanted}.")
    if untar or extract:
        _unpack(path)
        if untar:
            return str(path)[: -len(".tar.gz")]
    return str(path)


def _unpack(path: Path) -> None:
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            archive.extractall(path.parent, filter="data")
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path.parent)
