"""tf.io.gfile: files of the local disk under TensorFlow's names."""

import glob as _glob
import os
import shutil
from typing import Any

__all__ = ["GFile", "copy", "exists", "glob", "isdir", "join", "listdir", "makedirs", "mkdir", "remove", "rename", "rmtree", "walk"]

GFile = open
exists = os.path.exists
isdir = os.path.isdir
join = os.path.join
listdir = os.listdir
mkdir = os.mkdir
remove = os.remove
rmtree = shutil.rmtree
walk = os.walk


def glob(pattern: Any) -> list[str]:
    """The paths that match a pattern, or any of several."""
    patterns = [pattern] if isinstance(pattern, (str, os.PathLike)) else pattern
    return sorted(path for p in patterns for path in _glob.glob(os.fspath(p)))


def makedirs(path: Any) -> None:
    """Make a folder and those above it; it may exist already."""
    os.makedirs(path, exist_ok=True)


def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Copy a file. Raises FileExistsError where it exists and `overwrite` is False."""
    if not overwrite and os.path.exists(dst):
        raise FileExistsError(f"file already exists: {dst}")
    shutil.copyfile(src, dst)


def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Rename a file. Raises FileExistsError where it exists and `overwrite` is False."""
    if not overwrite and os.path.exists(dst):
        raise FileExistsError(f"file already exists: {dst}")
    os.replace(src, dst)
