"""Whether a call fits one of the traces that a function was saved with, and why not. It refuses to trace and to run."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracer import nest, specs
from tracer.errors import SavedModelError
from tracer.functions import ConcreteFunction
from tracer.specs import TensorSpec, TypeSpec
from tracer.tensor import Tensor, convert_to_tensor

__all__ = ["Strictness", "describe", "match"]


class Strictness(enum.Enum):
    """How much a call may differ from a trace; the first that finds one decides, so that the most specific trace is taken."""

    EXACT = 0  # tensors and arrays of the very dtypes
    CONVERT = 1  # Python values become tensors of the wanted dtype
    LOSSLESS = 2  # arrays are cast where no value can change; lists stand for tuples and the other way round


class _Mismatch(Exception):
    """Why a call does not fit a trace."""


def match(
    concrete: ConcreteFunction, positional: Sequence[Any], keyword: Mapping[str, Any], strictness: Strictness, cast: bool = False
) -> list[Any] | str:  # fmt: skip
    """The flat tensors of a call if they fit the trace, else a sentence that says why not.

    Args:
        positional, keyword: the arguments in canonical form, defaults filled in; leaves may be specs.
        cast: arrays of other dtypes are cast, as for functions with an input signature.
    """
    want_args, want_kwargs = concrete.structured_input_signature
    if len(positional) != len(want_args):
        return f"it takes {len(want_args)} positional arguments, {len(positional)} came"
    if set(keyword) != set(want_kwargs):
        return f"its keyword arguments are {sorted(want_kwargs)}, {sorted(keyword)} came"
    names = concrete.function_spec.args if concrete.function_spec is not None else []
    flat: list[Any] = []
    try:
        for i, (value, spec) in enumerate(zip(positional, want_args, strict=True)):
            _fit(value, spec, names[i] if i < len(names) else f"argument {i}", strictness, cast, flat)
        for key in sorted(want_kwargs):
            _fit(keyword[key], want_kwargs[key], key, strictness, cast, flat)
    except _Mismatch as reason:
        return str(reason)
    return flat


def _fit(value: Any, spec: Any, path: str, strictness: Strictness, cast: bool, flat: list[Any]) -> None:
    """Append the tensors of `value` where it fits `spec`, a structure of specs and literals."""
    if nest.is_nested(spec):
        for part, (inner, wanted) in _parts(value, spec, path, strictness).items():
            _fit(inner, wanted, f"{path}[{part!r}]", strictness, cast, flat)
    elif isinstance(spec, TensorSpec):
        flat.append(_tensor(value, spec, path, strictness, cast))
    elif isinstance(spec, specs.VariableSpec):
        if not getattr(value, "_is_variable", False):
            raise _Mismatch(f"{path} wants a variable {spec!r}, {describe(value)} came")
        flat.append(value.handle)
    elif isinstance(spec, TypeSpec):
        own = value if isinstance(value, TypeSpec) else getattr(value, "_type_spec", None)
        if own is None or not spec.is_compatible_with(own):
            raise _Mismatch(f"{path} wants {spec!r}, {describe(value)} came")
        if own is not value:
            flat.extend(spec.to_components(value))
    elif not _literal_equal(value, spec):
        raise _Mismatch(f"{path} was {spec!r} when it was traced, {describe(value)} came")


def _parts(value: Any, spec: Any, path: str, strictness: Strictness) -> dict[Any, tuple[Any, Any]]:
    """The parts of a container with the specs they shall fit, in the order in which they are flattened."""
    if isinstance(spec, Mapping):
        if not isinstance(value, Mapping) or set(value) != set(spec):
            raise _Mismatch(f"{path} wants a mapping with keys {sorted(spec)}, {describe(value)} came")
        return {key: (value[key], spec[key]) for key in sorted(spec)}
    if not isinstance(value, (list, tuple)) or len(value) != len(spec):
        raise _Mismatch(f"{path} wants a {_kind(spec)} of {len(spec)}, {describe(value)} came")
    if strictness is not Strictness.LOSSLESS and _kind(value) != _kind(spec):
        raise _Mismatch(f"{path} wants a {_kind(spec)}, a {_kind(value)} came")
    return {i: pair for i, pair in enumerate(zip(value, spec, strict=True))}


def _kind(value: Any) -> str:
    """What makes two sequences the same: named tuples are compared by name and fields, since their class is not saved."""
    if hasattr(value, "_fields"):
        return f"{type(value).__name__}({', '.join(value._fields)})"
    return "list" if isinstance(value, list) else "tuple"


def _tensor(value: Any, spec: TensorSpec, path: str, strictness: Strictness, cast: bool) -> Any:
    given = value
    if not isinstance(value, (Tensor, TensorSpec)):
        value = _converted(value, spec, path, strictness, cast)
    if value.dtype.base_dtype != spec.dtype.base_dtype or not spec.shape.is_compatible_with(value.shape):
        raise _Mismatch(f"{path} wants {spec!r}, {describe(given)} came")
    return value


def _converted(value: Any, spec: TensorSpec, path: str, strictness: Strictness, cast: bool) -> Any:
    dtype = None
    if isinstance(value, (np.ndarray, np.generic)):
        if cast and strictness is not Strictness.EXACT:
            dtype = spec.dtype
        elif strictness is Strictness.LOSSLESS and spec.dtype.kind not in "srv" and np.can_cast(value.dtype, spec.dtype.numpy, "safe"):
            dtype = spec.dtype
    elif not getattr(value, "_is_variable", False):
        if strictness is Strictness.EXACT or value is None or hasattr(value, "_type_spec"):
            raise _Mismatch(f"{path} wants {spec!r}, {describe(value)} came")
        dtype = spec.dtype
    try:
        return convert_to_tensor(value, dtype=dtype)
    except (TypeError, ValueError, SavedModelError):
        raise _Mismatch(f"{path} wants {spec!r}, {describe(value)} came") from None


def _literal_equal(value: Any, literal: Any) -> bool:
    if literal is None or value is None:
        return value is literal
    if isinstance(value, Tensor) and not isinstance(literal, Tensor):
        if getattr(value, "_value", None) is None or value.shape.rank != 0:
            return False
        return bool(value._value == literal) and isinstance(literal, (bool, int, float))
    if isinstance(literal, bool) != isinstance(value, (bool, np.bool_)):
        return False
    try:
        return bool(np.all(np.asarray(value == literal)))
    except (TypeError, ValueError):
        return False


def describe(value: Any) -> str:
    """An argument for a message: tensors by their spec."""

    def one(v: Any) -> Any:
        return specs.type_spec_from_value(v) if (hasattr(v, "shape") and hasattr(v, "dtype")) or hasattr(v, "_type_spec") else v

    return repr(nest.map_structure(one, value))
