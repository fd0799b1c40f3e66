"""Where weight files of classifiers are: in the local cache of Keras. It downloads nothing."""

from __future__ import annotations

import os
from pathlib import Path

from savedmodel.errors import MissingFileError

__all__ = ["model_file"]


def model_file(name: str) -> str:
    """The path of `name` in the `models` directory of the Keras cache.

    Raises:
        OSError: it is not there; the message says where to put it.
    """
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    path = Path(home) / "models" / name
    if not path.is_file():
        raise MissingFileError(
            f"{name}: not in the local cache; put the file that Keras names {name!r} at {path} (or set KERAS_HOME to where it is), pass "
            f"`weights=` with the path of a file, or `weights=None`: nothing is downloaded"
        )
    return str(path)
