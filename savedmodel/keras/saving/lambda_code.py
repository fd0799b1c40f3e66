"""The code of Python lambdas in configs: dumped for files that Keras reads, loaded only when the caller allowed unsafe code.

This is the only module that turns stored bytes into running Python. It is reached from a file only with `safe_mode=False`.
"""

from __future__ import annotations

import binascii
import codecs
import marshal
import types
from typing import Any

from savedmodel.errors import SavedModelError

__all__ = ["func_dump", "func_load"]


def func_dump(func: Any) -> tuple[str, Any, Any]:
    """(base64 of the code, defaults, values of the closure) of a Python function."""
    code = codecs.encode(marshal.dumps(func.__code__), "base64").decode("ascii")
    closure = tuple(c.cell_contents for c in func.__closure__) if func.__closure__ else None
    return code, func.__defaults__, closure


class UnreadableCodeError(SavedModelError, ValueError):
    """The stored code of a lambda is not of this Python version."""


def func_load(code: Any, defaults: Any = None, closure: Any = None, globs: dict[str, Any] | None = None) -> Any:
    """The function that `func_dump` gave. The caller must have made sure that the source is trusted.

    Raises:
        ValueError: the code was written by another Python version.
    """
    if isinstance(code, (tuple, list)):
        code, defaults, closure = code
    if isinstance(defaults, list):
        defaults = tuple(defaults)
    cells = None if closure is None else tuple(v if isinstance(v, types.CellType) else types.CellType(v) for v in closure)
    try:
        raw = codecs.decode(code.encode("ascii"), "base64")
    except (UnicodeEncodeError, binascii.Error):
        raw = code.encode("raw_unicode_escape")
    try:
        body = marshal.loads(raw)
    except (EOFError, ValueError, TypeError) as error:
        raise UnreadableCodeError(
            f"lambda: the stored bytecode cannot be read ({error}); it belongs to another Python version. Pass the function by name, with "
            f"custom_objects."
        ) from None
    if globs is None:
        import importlib

        import numpy

        from savedmodel import keras

        globs = {"tf": importlib.import_module("savedmodel.tf"), "keras": keras, "K": keras.backend, "np": numpy, "numpy": numpy}
    return types.FunctionType(body, globs, name=body.co_name, argdefs=defaults, closure=cells)
