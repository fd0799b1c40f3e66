"""Autograph, its light end: which functions need conversion, and `tf.autograph`. It refuses to import the converter before one does.

Python `if`, `while`, `for`, `and`, `or`, `not`, `assert` and conditional expressions on tensors become graph control flow. The source is
rewritten by the package diastatic-malt (extra `autograph`); what the rewritten code calls is in autograph_operators.py. Without the
package, functions run as they are.
"""

from __future__ import annotations

import dis
import functools
import importlib.util
import inspect
import itertools
import os
import sys
import sysconfig
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["autograph", "convert", "convert_in_context", "do_not_convert", "is_enabled", "needs_conversion", "set_loop_options"]

_HERE = os.path.dirname(os.path.abspath(__file__))
# Code in these places is taken as it is: it does its control flow with ops, or has none on tensors.
_LIBRARIES = ("absl", "google", "h5py", "hypothesis", "jax", "keras", "malt", "matplotlib", "ml_dtypes", "numpy", "onnx", "onnxruntime",
              "pandas", "PIL", "pluggy", "pytest", "_pytest", "scipy", "tensorflow", "torch", "wrapt")  # fmt: skip


class _Status(threading.local):
    """Whether functions called by the running code are converted: None where nobody said."""

    enabled: bool | None = None


status = _Status()


def is_enabled() -> bool:
    """Whether the running code was converted, so that functions handed to it are to be converted too."""
    return bool(status.enabled)


class entering:
    """Set the status inside a block."""

    def __init__(self, enabled: bool | None):
        self._enabled = enabled
        self._previous: bool | None = None

    def __enter__(self) -> None:
        self._previous, status.enabled = status.enabled, self._enabled

    def __exit__(self, *error: Any) -> None:
        status.enabled = self._previous


# -- what needs conversion -------------------------------------------------------------------------------------------


@functools.cache
def _own_places() -> tuple[str, ...]:
    places = [_HERE + os.sep, os.path.join(os.path.dirname(_HERE), "savedmodel") + os.sep]
    return tuple(places)


@functools.cache
def _library_places() -> tuple[str, ...]:
    roots = {sysconfig.get_paths()[k] for k in ("purelib", "platlib")}
    return tuple(os.path.join(r, name) for r in sorted(roots) for name in _LIBRARIES)


@functools.cache
def _standard_places() -> tuple[str, ...]:
    return tuple({sysconfig.get_paths()["stdlib"] + os.sep, sysconfig.get_paths()["platstdlib"] + os.sep})


@functools.lru_cache(maxsize=4096)
def is_library_file(name: str) -> bool:
    """Whether code from file `name` is never converted."""
    if name.startswith("<frozen"):
        return True
    if name.startswith("<"):
        return False
    full = os.path.abspath(name)
    if full.startswith(_own_places()):
        return True
    if "site-packages" in full or "dist-packages" in full:
        return any(full.startswith((p + os.sep, p + ".")) for p in _library_places())
    return full.startswith(_standard_places())


def is_library(fn: Any) -> bool:
    """Whether `fn` belongs to a library whose code is never converted."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return True
    return is_library_file(code.co_filename)


_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
_BRANCHES = frozenset(
    i for i, name in enumerate(dis.opname) if name in ("UNARY_NOT", "FOR_ITER", "GET_ITER")
) | frozenset(i for i in _JUMPS if dis.opname[i] != "SEND")


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from _codes(const)


def has_control_flow(code: types.CodeType) -> bool:
    """Whether `code`, or a function defined in it, branches, loops or negates."""
    return any(op in _BRANCHES for c in _codes(code) for op in c.co_code[::2])


@functools.cache
def _tensor_attributes() -> frozenset[str]:
    from tracer.tensor import EagerTensor, SymbolicTensor
    from tracer.variable import Variable

    return frozenset({*dir(EagerTensor), *dir(SymbolicTensor), *dir(Variable), *dir(dict), *dir(list), *dir(str)})


def needs_conversion(fn: Any, depth: int = 0) -> bool:
    """Whether `fn`, or a user's function that it calls, may hold control flow. Errs towards yes."""
    fn = inspect.unwrap(fn) if depth == 0 and hasattr(fn, "__wrapped__") and is_library(fn) else fn
    if isinstance(fn, functools.partial):
        return needs_conversion(fn.func, depth)
    function = getattr(fn, "__func__", fn)
    code = getattr(function, "__code__", None)
    if code is None:
        kind = type(fn)
        if kind.__module__.partition(".")[0] in ("builtins", "tracer", "savedmodel", "numpy"):
            return False
        call = vars(kind).get("__call__")
        return isinstance(call, types.FunctionType) and needs_conversion(call, depth + 1)
    if is_library(function):
        return False
    if depth > 8 or has_control_flow(code):
        return True
    if getattr(fn, "__self__", None) is not None:
        return True  # it may call other methods, which only running it tells
    known = {**function.__globals__}
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            known[name] = cell.cell_contents
        except ValueError:
            return True
    for c in _codes(code):
        for instruction in dis.get_instructions(c):
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_NAME", "LOAD_CLASSDEREF"):
                value = known.get(instruction.argval)
                if value is not None and callable(value) and not isinstance(value, type) and needs_conversion(value, depth + 1):
                    return True
                if isinstance(value, type) and value.__module__.partition(".")[0] not in ("builtins", "tracer", "savedmodel", "numpy"):
                    return True
                if isinstance(value, types.ModuleType) and not _is_library_module(value):
                    return True
            elif instruction.opname.startswith("LOAD_FAST"):
                if {"self", "cls"} & _names_of(instruction):
                    return True
            elif _loads_method(instruction) and instruction.argval not in _tensor_attributes():
                if not any(_has_library_attribute(v, instruction.argval) for v in (known.get(n) for n in c.co_names)):
                    return True
    # A call of a value that was handed in cannot be seen from here.
    names = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    return any(_calls_argument(c, names) for c in _codes(code))


def _names_of(instruction: dis.Instruction) -> set[str]:
    """The variables that an instruction loads: from Python 3.13 on there may be two."""
    value = instruction.argval
    return set(value) if isinstance(value, tuple) else {value}


def _loads_method(instruction: dis.Instruction) -> bool:
    if sys.version_info >= (3, 12):  # an attribute that is called is marked by a bit
        return instruction.opname == "LOAD_ATTR" and bool((instruction.arg or 0) & 1)
    return instruction.opname == "LOAD_METHOD"


def _is_library_module(module: types.ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return file is None or is_library_file(file)


def _has_library_attribute(value: Any, name: str) -> bool:
    if isinstance(value, types.ModuleType):
        return _is_library_module(value)
    return type(value).__module__.partition(".")[0] in ("tracer", "savedmodel", "numpy")


def _calls_argument(code: types.CodeType, names: set[str]) -> bool:
    """Whether an argument stands where a callee stands: beside PUSH_NULL. Python 3.10 has no mark, so there any call of a function counts."""
    found = list(dis.get_instructions(code))
    for first, second in itertools.pairwise(found):
        mark, load = (first, second) if first.opname == "PUSH_NULL" else (second, first)
        if mark.opname == "PUSH_NULL" and load.opname.startswith(("LOAD_FAST", "LOAD_DEREF")) and names & _names_of(load):
            return True
    return False


@functools.cache
def is_available() -> bool:
    """Whether the converter is installed."""
    return importlib.util.find_spec("malt") is not None


# -- conversion ------------------------------------------------------------------------------------------------------


def convert(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` with its control flow on tensors staged, and that of the functions it calls; `fn` itself where nothing needs it."""
    target = getattr(fn, "autograph_target", None)
    if target is not None:  # a method of a traced class, behind a wrapper that holds its instance weakly
        plain, instance = target
        converted = convert(plain)
        if converted is plain:
            return fn
        return functools.wraps(fn)(lambda *args, **kwargs: converted(instance(), *args, **kwargs))
    if getattr(fn, "autograph_info__", None) is not None or not is_available() or not needs_conversion(fn):
        return fn

    @functools.wraps(fn)
    def staged(*args: Any, **kwargs: Any) -> Any:
        from tracer.autograph_conversion import call_converted

        with entering(True):
            return call_converted(fn, args, kwargs)

    staged.autograph_info__ = {"converted": True}  # type: ignore[attr-defined]
    return staged


def convert_in_context(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`convert(fn)` where the running code was converted, else `fn`."""
    return convert(fn) if status.enabled else fn


def do_not_convert(func: Callable[..., Any] | None = None) -> Any:
    """Decorator: the function, and what it calls, runs as plain Python while it is traced."""
    if func is None:
        return do_not_convert

    @functools.wraps(func)
    def unconverted(*args: Any, **kwargs: Any) -> Any:
        with entering(False):
            return func(*args, **kwargs)

    unconverted.autograph_info__ = {"converted": False}  # type: ignore[attr-defined]
    return unconverted


def set_loop_options(
    parallel_iterations: Any = None, swap_memory: Any = None, maximum_iterations: Any = None, shape_invariants: Any = None
) -> None:
    """Options of the loop whose first statement this is: those of tf.while_loop; `shape_invariants` is a list of (variable, shape).

    Outside of converted code it does nothing.
    """


def to_graph(entity: Callable[..., Any], recursive: bool = True, experimental_optional_features: Any = None) -> Callable[..., Any]:
    """The converted form of `entity`, a function that stages its control flow when it is called."""
    return convert(entity)


def to_code(entity: Callable[..., Any], recursive: bool = True, experimental_optional_features: Any = None) -> str:
    """The source that `entity` is converted to."""
    from tracer.autograph_conversion import converted_source

    return converted_source(entity)


def set_verbosity(level: int, alsologtostdout: bool = False) -> None:
    """Accepted for compatibility: conversion logs nothing."""


def trace(*args: Any) -> None:
    """Print the arguments while tracing."""
    print(*args)


experimental = types.SimpleNamespace(do_not_convert=do_not_convert, set_loop_options=set_loop_options)
autograph = types.SimpleNamespace(
    experimental=experimental, set_verbosity=set_verbosity, to_code=to_code, to_graph=to_graph, trace=trace
)
