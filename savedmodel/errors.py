"""All errors of the library under one root, `SavedModelError`; each is also a builtin. See `tracer.errors` and `savedmodel.format.errors`."""

from __future__ import annotations

from savedmodel.format.errors import (
    DataLossError,
    FormatError,
    MissingFileError,
    MissingTensorError,
    TooLargeError,
    UnknownDTypeError,
    UnsupportedVersionError,
)
from tracer.errors import (
    AssertionFailedError,
    DTypeError,
    GraphError,
    InvalidArgumentError,
    LimitError,
    MissingGradientError,
    MissingKernelError,
    OutOfRangeError,
    RefusedOpError,
    SavedModelError,
    ShapeError,
    SymbolicTensorError,
    UninitializedError,
    UnknownOpError,
)

__all__ = [
    "AssertionFailedError",
    "DTypeError",
    "DataLossError",
    "FormatError",
    "GraphError",
    "InvalidArgumentError",
    "LimitError",
    "MissingFileError",
    "MissingGradientError",
    "MissingKernelError",
    "MissingTensorError",
    "ModelNotFoundError",
    "NoSuchTagsError",
    "NotSavableError",
    "OutOfRangeError",
    "RefusedOpError",
    "SavedModelError",
    "ShapeError",
    "SymbolicTensorError",
    "TooLargeError",
    "UnboundObjectsError",
    "UninitializedError",
    "UnknownDTypeError",
    "UnknownOpError",
    "UnsupportedVersionError",
    "UntrackedCaptureError",
]


class ModelNotFoundError(SavedModelError, OSError):
    """There is no model at the path, or it is not one."""


class NoSuchTagsError(FormatError, RuntimeError):
    """The model has no meta graph with the tags that were asked for."""


class NotSavableError(SavedModelError, ValueError):
    """An object cannot be saved as it is; the message says what to change."""


class UntrackedCaptureError(NotSavableError, AssertionError, KeyError):
    """A function uses a variable, table or file that is no attribute of the saved object."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class UnboundObjectsError(SavedModelError, AssertionError):
    """Objects and checkpoint do not match each other."""
