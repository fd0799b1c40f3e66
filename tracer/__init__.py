"""tracer: records Python into an op graph, differentiates it, runs it on NumPy. It knows no disk and no protobuf.

Everything is reached lazily: importing the package imports no kernel. Public names follow TensorFlow; see `tracer.public`.
"""

from __future__ import annotations

import importlib
from typing import Any

# name -> module that owns it
_OWNERS = {
    "ConcreteFunction": "functions",
    "DType": "dtypes",
    "EagerTensor": "tensor",
    "FuncGraph": "tracing",
    "Function": "functions",
    "GradientTape": "tape",
    "Module": "module",
    "RaggedTensorSpec": "specs",
    "SparseTensorSpec": "specs",
    "SymbolicTensor": "tensor",
    "Tensor": "tensor",
    "TensorShape": "shapes",
    "TensorSpec": "specs",
    "TypeSpec": "specs",
    "Variable": "variable",
    "as_dtype": "dtypes",
    "convert_to_tensor": "tensor",
    "custom_gradient": "gradients",
    "function": "functions",
    "op": "registry",
}

__all__ = sorted(_OWNERS)  # noqa: PLE0605 - a list all the same


def __getattr__(name: str) -> Any:
    owner = _OWNERS.get(name)
    if owner is None:
        raise AttributeError(f"module 'tracer' has no attribute {name!r}")
    module = importlib.import_module(f"tracer.{owner}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_OWNERS})
