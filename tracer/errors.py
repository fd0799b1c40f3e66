"""The root of the error tree and the tracer's own errors; it refuses to know files or formats.

Every class is also a builtin, because callers catch builtins:

    SavedModelError
    ├── InvalidArgumentError (ValueError)      an op or function got an argument it cannot take
    ├── ShapeError (ValueError)                shapes that do not fit together
    ├── DTypeError (TypeError)                 dtypes that do not fit together
    ├── GraphError (ValueError)                a graph that is not well formed
    ├── UnknownOpError (NotImplementedError)   ops without a record; lists all of them at once
    ├── MissingKernelError (NotImplementedError)
    ├── MissingGradientError (LookupError)
    ├── SymbolicTensorError (TypeError)        a symbolic tensor used where a value is needed
    ├── UninitializedError (RuntimeError)      a variable or table read before it was written
    ├── OutOfRangeError (IndexError)
    ├── AssertionFailedError (AssertionError, ValueError)    a runtime assertion of the graph failed
    ├── LimitError (ValueError)                more work or memory than `Limits` allow
    └── RefusedOpError (PermissionError)       an op that touches files or runs Python, not allowed by name
"""

from __future__ import annotations

__all__ = [
    "AssertionFailedError",
    "DTypeError",
    "GraphError",
    "InvalidArgumentError",
    "LimitError",
    "MissingGradientError",
    "MissingKernelError",
    "OutOfRangeError",
    "RefusedOpError",
    "SavedModelError",
    "ShapeError",
    "SymbolicTensorError",
    "UninitializedError",
    "UnknownOpError",
]


class SavedModelError(Exception):
    """Root of all errors that `tracer` and `savedmodel` raise on purpose."""


class InvalidArgumentError(SavedModelError, ValueError):
    """An op or function got an argument that it cannot take."""


class ShapeError(InvalidArgumentError):
    """Shapes do not fit together."""


class DTypeError(SavedModelError, TypeError, ValueError):
    """Dtypes do not fit together. Also a ValueError: TensorFlow raises that for dtype mismatches in conversions."""


class GraphError(SavedModelError, ValueError):
    """A graph is not well formed: a missing input, a cycle, a duplicate name."""


class UnknownOpError(SavedModelError, NotImplementedError):
    """One or more ops have no record; the message lists all of them."""


class MissingKernelError(SavedModelError, NotImplementedError):
    """An op has a record, but no kernel."""


class MissingGradientError(SavedModelError, LookupError):
    """An op on the path from target to source has no gradient."""


class SymbolicTensorError(SavedModelError, TypeError):
    """A symbolic tensor was used where a concrete value is needed."""


class UninitializedError(SavedModelError, RuntimeError):
    """A variable or table was read before it was written."""


class OutOfRangeError(SavedModelError, IndexError, ValueError):
    """An index lies outside of its tensor, list or table."""


class AssertionFailedError(InvalidArgumentError, AssertionError):
    """An assertion inside a graph failed."""


class LimitError(SavedModelError, ValueError):
    """More work or memory was asked for than the limits allow."""


class RefusedOpError(SavedModelError, PermissionError):
    """An op that touches files or runs foreign Python was met and is not allowed by name."""
