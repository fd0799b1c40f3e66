"""Autograph's converter: diastatic-malt's source transformations with our operators, calls from converted code, errors. It stages nothing itself."""

from __future__ import annotations

import functools
import inspect
import os
import traceback
import types
import unittest
import warnings
import weakref
from collections.abc import Callable
from typing import Any

from malt.converters import directives as directive_converter
from malt.core import converter
from malt.impl import api
from malt.lang import directives
from malt.operators import py_builtins, variables
from malt.pyct import anno, inspect_utils

from tracer import autograph
from tracer import autograph_operators as operators
from tracer.errors import SavedModelError

__all__ = ["call_converted", "converted_call", "converted_source"]

_OPTIONS = converter.ConversionOptions(
    recursive=True, user_requested=False, internal_convert_user_code=True, optional_features=converter.Feature.ASSERT_STATEMENTS
)


class FunctionScope:
    """The block that the body of a converted function runs in."""

    def __init__(self, function_name: str, scope_name: str, options: Any):
        self.name = scope_name
        self.options = options
        self.callopts = options

    def __enter__(self) -> FunctionScope:
        return self

    def __exit__(self, *error: Any) -> None:
        return None

    def ret(self, value: Any, did_return: Any) -> Any:
        """What the function returns."""
        return None if isinstance(value, variables.UndefinedReturnValue) else value


def with_function_scope(thunk: Callable[[Any], Any], scope_name: str, options: Any) -> Any:
    """The scope of a lambda."""
    with FunctionScope("lambda_", scope_name, options) as scope:
        return thunk(scope)


def autograph_artifact(entity: Any, extras: Any = None) -> Any:
    """Mark a function that was converted together with the one that defines it."""
    entity.autograph_info__ = extras if extras is not None else {"converted": True}
    return entity


class _Directives(directive_converter.DirectivesTransformer):
    """Finds tf.autograph.experimental.set_loop_options under our names."""

    def visit_Name(self, node: Any) -> Any:
        return self._translated(super().visit_Name(node))

    def visit_Attribute(self, node: Any) -> Any:
        node = super().visit_Attribute(node)
        value = getattr(node, "value", None)
        parent = anno.getanno(value, directive_converter.STATIC_VALUE, default=None) if value is not None else None
        if parent is not None and type(parent).__name__ in ("Namespace", "SimpleNamespace", "module"):
            try:
                anno.setanno(node, directive_converter.STATIC_VALUE, getattr(parent, node.attr))
            except AttributeError:
                return node
        return self._translated(node)

    @staticmethod
    def _translated(node: Any) -> Any:
        if anno.getanno(node, directive_converter.STATIC_VALUE, default=None) is autograph.set_loop_options:
            anno.setanno(node, directive_converter.STATIC_VALUE, directives.set_loop_options)
        return node


class _DirectiveModule:
    """Stands for malt's module of directives in its list of passes."""

    @staticmethod
    def transform(node: Any, ctx: Any) -> Any:
        return _Directives(ctx).visit(node)


class _Transpiler(api.PyToPy):
    """malt's passes, with our operators behind the generated calls."""

    def get_extra_locals(self) -> dict[str, Any]:
        if self._extra_locals is None:
            module = types.ModuleType("tracer_autograph")
            for name in operators.__all__:
                setattr(module, name, getattr(operators, name))
            for name in ("ld", "ldu", "Undefined", "UndefinedReturnValue"):
                setattr(module, name, getattr(variables, name))
            module.ConversionOptions = converter.ConversionOptions  # type: ignore[attr-defined]
            module.Feature = converter.Feature  # type: ignore[attr-defined]
            module.STD = converter.STANDARD_OPTIONS  # type: ignore[attr-defined]
            module.FunctionScope = FunctionScope  # type: ignore[attr-defined]
            module.with_function_scope = with_function_scope  # type: ignore[attr-defined]
            module.autograph_artifact = autograph_artifact  # type: ignore[attr-defined]
            module.converted_call = converted_call  # type: ignore[attr-defined]
            self._extra_locals = {"ag__": module}
        return self._extra_locals

    def transform_ast(self, node: Any, ctx: Any) -> Any:
        from malt.converters import (
            asserts,
            break_statements,
            call_trees,
            conditional_expressions,
            continue_statements,
            control_flow,
            functions,
            logical_expressions,
            return_statements,
        )
        from malt.converters import variables as variable_accesses
        from malt.core import unsupported_features_checker

        unsupported_features_checker.verify(node)
        node = self.initial_analysis(node, ctx)
        for module in (
            functions, _DirectiveModule, break_statements, asserts, continue_statements, return_statements, call_trees, control_flow,
            conditional_expressions, logical_expressions, variable_accesses,
        ):  # fmt: skip
            node = module.transform(node, ctx)
        return node


_TRANSPILER = _Transpiler()
_SOURCE_MAPS: dict[str, dict[Any, Any]] = {}
_UNCONVERTIBLE: weakref.WeakSet[Any] = weakref.WeakSet()


def _convert(function: Any) -> Any:
    """The converted form of a plain function (or of the function of a method)."""
    converted, module, source_map = _TRANSPILER.transform(function, converter.ProgramContext(options=_OPTIONS))
    _SOURCE_MAPS.setdefault(module.__file__, source_map)
    return converted


def converted_source(function: Any) -> str:
    """The source that `function` is converted to."""
    function = inspect.unwrap(function)
    with open(_TRANSPILER.transform(function, converter.ProgramContext(options=_OPTIONS))[1].__file__) as file:
        return file.read()


# -- calls -----------------------------------------------------------------------------------------------------------


def call_converted(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the converted form of `fn`; an error from inside tells the user's own lines."""
    try:
        return converted_call(fn, args, kwargs, None)
    except Exception as error:
        _tell_lines(error)
        raise


def _leave(fn: Any) -> bool:
    """Whether `fn` is called as it is."""
    if getattr(fn, "autograph_info__", None) is not None:
        return True
    if isinstance(fn, (types.BuiltinFunctionType, type)) or inspect_utils.isconstructor(fn):
        return True
    function = getattr(fn, "__func__", fn)
    if not hasattr(function, "__code__"):
        return not isinstance(vars(type(fn)).get("__call__"), types.FunctionType)
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        return True
    if autograph.is_library(function):
        return getattr(fn, "autograph_target", None) is None
    owner = getattr(fn, "__self__", None)
    return isinstance(owner, unittest.TestCase)


def converted_call(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None, caller_fn_scope: Any, options: Any = None) -> Any:
    """Call `fn` from converted code: builtins by their overloads, users' functions converted, all else as it is."""
    kwargs = kwargs or {}
    if isinstance(fn, functools.partial):
        return converted_call(fn.func, (*fn.args, *args), {**fn.keywords, **kwargs}, caller_fn_scope)
    if _hashable(fn) and (inspect_utils.isbuiltin(fn) or operators.builtin(fn) is not fn or fn is super):
        if caller_fn_scope is not None:
            if fn is eval:
                return py_builtins.eval_in_original_context(fn, args, caller_fn_scope)
            if fn is super:
                return py_builtins.super_in_original_context(fn, args, caller_fn_scope)
            if fn is globals:
                return py_builtins.globals_in_original_context(caller_fn_scope)
            if fn is locals:
                return py_builtins.locals_in_original_context(caller_fn_scope)
        return operators.builtin(fn)(*args, **kwargs)
    if autograph.status.enabled is False or _leave(fn):
        return fn(*args, **kwargs)
    target = getattr(fn, "autograph_target", None)
    if target is not None:
        plain, instance = target
        return converted_call(plain, (instance(), *args), kwargs, caller_fn_scope)
    function, given = fn, args
    if inspect.ismethod(fn):
        function, given = fn.__func__, (fn.__self__, *args)
    elif not hasattr(fn, "__code__"):
        function, given = type(fn).__call__, (fn, *args)
        if _leave(function):
            return fn(*args, **kwargs)
    if function in _UNCONVERTIBLE:
        return fn(*args, **kwargs)
    try:
        converted = _convert(function)
    except Exception as error:
        _UNCONVERTIBLE.add(function)
        if autograph.has_control_flow(function.__code__):
            warnings.warn(
                f"AutoGraph could not transform {function!r} and will run it as-is: {error}. Where it branches on tensors, use tf.cond "
                f"and tf.while_loop, or define it in a file. To silence this warning, decorate it with "
                f"@tf.autograph.experimental.do_not_convert"
            )
        return fn(*args, **kwargs)
    return converted(*given, **kwargs)


def _hashable(fn: Any) -> bool:
    try:
        hash(fn)
    except TypeError:
        return False
    return True


# -- errors ----------------------------------------------------------------------------------------------------------


def _tell_lines(error: Exception) -> None:
    """Put the user's own lines, which the generated code stands for, before the message of `error`."""
    if getattr(error, "autograph_lines", False):
        return
    if len(error.args) != 1 or not isinstance(error.args[0], str) or isinstance(error, KeyError):
        if not isinstance(error, SavedModelError):
            return
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        source_map = _SOURCE_MAPS.get(frame.filename)
        if source_map is not None:
            origin = next(
                (o for loc, o in source_map.items() if loc.lineno == frame.lineno and os.path.samefile(loc.filename, frame.filename)), None
            )
            if origin is not None:
                lines.append(
                    f'    File "{origin.loc.filename}", line {origin.loc.lineno}, in {origin.function_name}  *\n'
                    f"        {(origin.source_code_line or '').strip()}\n"
                )
        elif not autograph.is_library_file(frame.filename):
            lines.append(f'    File "{frame.filename}", line {frame.lineno}, in {frame.name}\n        {frame.line}\n')
    if not lines:
        return
    message = str(error.args[0]) if error.args else ""
    error.args = ("in user code:\n\n" + "".join(lines) + f"\n    {type(error).__name__}: {message}\n", *error.args[1:])
    error.autograph_lines = True  # type: ignore[attr-defined]


