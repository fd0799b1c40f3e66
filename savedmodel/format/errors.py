"""The errors that reading and writing files of the format raise; it refuses to know ops, graphs and objects.

Every class is also a builtin, because callers catch builtins:

    SavedModelError
    ├── FormatError (ValueError)                          bytes or a message that break a rule of the format
    │   ├── DataLossError (OSError)                       bytes are missing or changed: truncated, a checksum differs
    │   ├── UnsupportedVersionError (NotImplementedError) well formed, of a version or a kind that this release cannot read
    │   ├── UnknownDTypeError (TypeError)                 an element type without a NumPy dtype, or without a number
    │   └── TooLargeError                                 more elements or bytes than the limits or the file allow
    ├── MissingFileError (FileNotFoundError)              a file of a bundle or model that is not there
    └── MissingTensorError (KeyError)                     a name that a bundle does not hold

A text says where, what was expected, `received ...`, and what to do.
"""

from __future__ import annotations

from tracer.errors import SavedModelError  # the one name that this leaf takes from below: the root of the tree

__all__ = [
    "DataLossError",
    "FormatError",
    "MissingFileError",
    "MissingTensorError",
    "SavedModelError",
    "TooLargeError",
    "UnknownDTypeError",
    "UnsupportedVersionError",
]


class FormatError(SavedModelError, ValueError):
    """Bytes or a message break a rule of the format."""


class DataLossError(FormatError, OSError):
    """Bytes are missing or changed: a file ends early, or a checksum differs."""


class UnsupportedVersionError(FormatError, NotImplementedError):
    """A file is well formed and of a version or a kind that this release cannot read."""


class UnknownDTypeError(FormatError, TypeError):
    """An element type has no NumPy dtype, or a NumPy dtype has no DataType number."""


class TooLargeError(FormatError):
    """A message or file asks for more elements or bytes than the limits, or its own size, allow."""


class MissingFileError(SavedModelError, FileNotFoundError):
    """A file that a bundle or a model consists of is not there."""


class MissingTensorError(SavedModelError, KeyError):
    """A bundle holds no tensor of that name."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would show the repr, quotes and all
