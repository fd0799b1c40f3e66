"""Regular expressions over strings: records, kernels and public functions. Patterns are RE2's; see tracer/regex.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.byte_strings import map_bytes, map_to
from tracer.dispatch import raw
from tracer.errors import ShapeError
from tracer.public import public
from tracer.regex import compile_regex, parse_rewrite
from tracer.registry import op


def _replace(strings: np.ndarray, pattern: bytes, rewrite: bytes, everywhere: bool) -> np.ndarray:
    regex = compile_regex(pattern)
    parts = parse_rewrite(rewrite)
    return map_bytes(lambda s: regex.replace(s, parts, everywhere), strings)


def _scalar(array: np.ndarray, what: str) -> bytes:
    if array.ndim:
        raise ShapeError(f"{what} must be scalar, but received shape {array.shape}")
    return array[()]


static_replace_op = op(
    "StaticRegexReplace(input: string) -> (output: string); pattern: string; rewrite: string; replace_global: bool = true"
).not_differentiable()
static_replace_op.infer(infer.unchanged)


@static_replace_op.kernel
def _(strings: np.ndarray, *, pattern: bytes, rewrite: bytes, replace_global: bool) -> np.ndarray:
    return _replace(strings, pattern, rewrite, replace_global)


replace_op = op(
    "RegexReplace(input: string, pattern: string, rewrite: string) -> (output: string); replace_global: bool = true"
).not_differentiable()
replace_op.infer(infer.unchanged)


@replace_op.kernel
def _(strings: np.ndarray, pattern: np.ndarray, rewrite: np.ndarray, *, replace_global: bool) -> np.ndarray:
    return _replace(strings, _scalar(pattern, "Pattern"), _scalar(rewrite, "Rewrite"), replace_global)


static_match_op = op("StaticRegexFullMatch(input: string) -> (output: bool); pattern: string").not_differentiable()
static_match_op.infer(infer.unchanged)


@static_match_op.kernel
def _(strings: np.ndarray, *, pattern: bytes) -> np.ndarray:
    return map_to(bool, compile_regex(pattern).full_match, strings)


match_op = op("RegexFullMatch(input: string, pattern: string) -> (output: bool)").not_differentiable()
match_op.infer(infer.unchanged)


@match_op.kernel
def _(strings: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    return map_to(bool, compile_regex(_scalar(pattern, "Pattern")).full_match, strings)


@public("strings.regex_replace")
def regex_replace(input: Any, pattern: Any, rewrite: Any, replace_global: bool = True, name: str | None = None) -> Any:
    r"""`input` with matches of RE2 `pattern` replaced by `rewrite`, in which `\1` … `\9` are groups and `\0` the match."""
    plain = (str, bytes)
    if isinstance(pattern, plain) and isinstance(rewrite, plain):
        return raw.StaticRegexReplace(input=input, pattern=pattern, rewrite=rewrite, replace_global=replace_global, name=name)
    return raw.RegexReplace(input=input, pattern=pattern, rewrite=rewrite, replace_global=replace_global, name=name)


@public("strings.regex_full_match")
def regex_full_match(input: Any, pattern: Any, name: str | None = None) -> Any:
    """Whether the whole of each string matches RE2 `pattern`."""
    if isinstance(pattern, (str, bytes)):
        return raw.StaticRegexFullMatch(input=input, pattern=pattern, name=name)
    return raw.RegexFullMatch(input=input, pattern=pattern, name=name)
