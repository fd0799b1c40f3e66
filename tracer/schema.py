"""Op schemas: the names and types of an op's arguments and attrs, written in one line of text. It refuses to know what ops do.

    MatMul(a: T, b: T) -> (product: T); transpose_a: bool = false; T: {half, float, double}
    ConcatV2(values: N * T, axis: Tidx) -> (output: T); N: int >= 2; T: type; Tidx: {int32, int64} = int32
    AssignVariableOp(resource: resource, value: dtype) -> () !stateful; dtype: type

An argument's type is a dtype, a type attr, `N * T` (N tensors of one type), a `list(type)` attr (a list of mixed types), or
`ref(T)` (a mutable reference of TensorFlow 1). Flags: !stateful !commutative !aggregate !allows_uninitialized_input.
Names, order and defaults are those of TensorFlow's op registry, because they are what a saved graph refers to.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracer.dtypes import DType, as_dtype
from tracer.errors import DTypeError, GraphError, InvalidArgumentError
from tracer.ir.attrs import FunctionRef
from tracer.shapes import TensorShape

__all__ = ["Arg", "Attr", "OpSchema", "parse_schema"]


@dataclass(frozen=True)
class Arg:
    """One input or output argument: exactly one of `dtype`, `type_attr`, `type_list_attr`; `number_attr` repeats it."""

    name: str
    dtype: DType | None = None
    type_attr: str = ""
    number_attr: str = ""
    type_list_attr: str = ""
    is_ref: bool = False

    @property
    def is_list(self) -> bool:
        return bool(self.number_attr or self.type_list_attr)


@dataclass(frozen=True)
class Attr:
    """One attr: its kind ("int", "list(type)", …), the values it may take, its least value or length, its default."""

    name: str
    kind: str
    allowed: tuple[Any, ...] | None = None
    minimum: int | None = None
    default: Any = None
    has_default: bool = False


@dataclass(frozen=True)
class OpSchema:
    """Names and types of an op's inputs, outputs and attrs."""

    name: str
    inputs: tuple[Arg, ...]
    outputs: tuple[Arg, ...]
    attrs: Mapping[str, Attr]
    is_stateful: bool = False
    is_commutative: bool = False
    is_aggregate: bool = False
    allows_uninitialized_input: bool = False
    inferred_attrs: frozenset[str] = field(default_factory=frozenset)

    def output_dtypes(self, attrs: Mapping[str, Any]) -> list[DType]:
        """The dtypes of the flat outputs of a node with `attrs`."""
        return self._flat_dtypes(self.outputs, attrs)

    def input_dtypes(self, attrs: Mapping[str, Any]) -> list[DType]:
        """The dtypes of the flat inputs of a node with `attrs`."""
        return self._flat_dtypes(self.inputs, attrs)

    def _flat_dtypes(self, args: Sequence[Arg], attrs: Mapping[str, Any]) -> list[DType]:
        out: list[DType] = []
        for arg in args:
            out.extend(self._arg_dtypes(arg, attrs))
        return out

    def _arg_dtypes(self, arg: Arg, attrs: Mapping[str, Any]) -> list[DType]:
        if arg.type_list_attr:
            return list(self.attr_value(arg.type_list_attr, attrs))
        one = arg.dtype if arg.dtype is not None else self.attr_value(arg.type_attr, attrs)
        if arg.is_ref:
            one = as_dtype(one.number + 100) if one.number < 100 else one
        return [one] * (int(self.attr_value(arg.number_attr, attrs)) if arg.number_attr else 1)

    def attr_value(self, name: str, attrs: Mapping[str, Any]) -> Any:
        """The attr's value in `attrs`, or its default. Raises GraphError when there is neither."""
        if name in attrs:
            return attrs[name]
        spec = self.attrs.get(name)
        if spec is not None and spec.has_default:
            return spec.default
        raise GraphError(f"op {self.name}: attr {name!r} has no default and was not given")

    def complete(self, attrs: Mapping[str, Any]) -> dict[str, Any]:
        """`attrs` with the defaults filled in."""
        full = {n: a.default for n, a in self.attrs.items() if a.has_default}
        full.update(attrs)
        return full

    def output_ranges(self, attrs: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
        """For each output argument, its first flat index and count."""
        out: dict[str, tuple[int, int]] = {}
        start = 0
        for arg in self.outputs:
            count = len(self._arg_dtypes(arg, attrs))
            out[arg.name] = (start, count)
            start += count
        return out


_HEAD = re.compile(r"^\s*([A-Za-z0-9_>]+)\((.*?)\)\s*->\s*\((.*?)\)\s*((?:![a-z_]+\s*)*)$", re.S)
_ATTR = re.compile(r"^\s*([A-Za-z0-9_]+)\s*:\s*(list\([a-z]+\)|list\{[^}]*\}|\{[^}]*\}|[a-z]+)\s*(?:>=\s*(-?\d+))?\s*(?:=\s*(.*))?$", re.S)


def parse_schema(text: str) -> OpSchema:
    """The schema written in `text` (see the module's docstring).

    Raises:
        InvalidArgumentError: the text does not follow the grammar.
    """
    head, *rest = _split(text, ";")
    match = _HEAD.match(head)
    if match is None:
        raise InvalidArgumentError(f"op schema: expected `Name(inputs) -> (outputs)`, received {head!r}")
    name, inputs, outputs, flags = match.groups()
    attrs: dict[str, Attr] = {}
    for part in rest:
        if part.strip():
            attr = _parse_attr(name, part)
            attrs[attr.name] = attr
    args = [tuple(_parse_arg(a, attrs) for a in _split(side, ",") if a.strip()) for side in (inputs, outputs)]
    inferred = {n for a in args[0] for n in (a.type_attr, a.number_attr, a.type_list_attr) if n}
    words = flags.split()
    return OpSchema(
        name, args[0], args[1], attrs, "!stateful" in words, "!commutative" in words, "!aggregate" in words,
        "!allows_uninitialized_input" in words, frozenset(inferred),
    )  # fmt: skip


def _split(text: str, mark: str) -> list[str]:
    """Split at `mark` outside of brackets and quotes."""
    out, depth, quote, start = [], 0, "", 0
    i = 0
    while i < len(text):
        c = text[i]
        if quote:
            if c == "\\":
                i += 1
            elif c == quote:
                quote = ""
        elif c in "'\"":
            quote = c
        elif c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        elif c == mark and depth == 0:
            out.append(text[start:i])
            start = i + 1
        i += 1
    out.append(text[start:])
    return out


def _parse_arg(text: str, attrs: Mapping[str, Attr]) -> Arg:
    name, _, kind = (s.strip() for s in text.partition(":"))
    is_ref = kind.startswith("ref(")
    if is_ref:
        kind = kind[4:-1].strip()
    number = ""
    if "*" in kind:
        number, kind = (s.strip() for s in kind.split("*"))
    attr = attrs.get(kind)
    if attr is None:
        return Arg(name, as_dtype(kind), number_attr=number, is_ref=is_ref)
    if attr.kind == "list(type)":
        return Arg(name, type_list_attr=kind, is_ref=is_ref)
    return Arg(name, type_attr=kind, number_attr=number, is_ref=is_ref)


def _parse_attr(op: str, text: str) -> Attr:
    match = _ATTR.match(text)
    if match is None:
        raise InvalidArgumentError(f"op schema {op}: expected `name: kind >= minimum = default`, received {text.strip()!r}")
    name, kind, minimum, default = match.groups()
    allowed: tuple[Any, ...] | None = None
    if "{" in kind:
        is_list = kind.startswith("list")
        words = [w.strip() for w in kind[kind.index("{") + 1 : -1].split(",") if w.strip()]
        if words and words[0][0] in "'\"":
            allowed = tuple(ast.literal_eval(w).encode() for w in words)
            kind = "string"
        else:
            allowed = tuple(as_dtype(w) for w in words)
            kind = "type"
        if is_list:
            kind = f"list({kind})"
    has_default = default is not None
    value = _parse_default(kind, default.strip()) if has_default else None
    return Attr(name, kind, allowed, None if minimum is None else int(minimum), value, has_default)


def _parse_default(kind: str, text: str) -> Any:
    if kind.startswith("list("):
        inner = kind[5:-1]
        return [_parse_default(inner, w.strip()) for w in _split(text.strip()[1:-1], ",") if w.strip()]
    if kind == "string":
        return ast.literal_eval(text).encode("latin1")
    if kind == "int":
        return int(text)
    if kind == "float":
        return float(text)
    if kind == "bool":
        return text == "true"
    if kind == "type":
        return as_dtype(text)
    if kind == "shape":
        return TensorShape(None) if text == "?" else TensorShape([int(w) for w in text[1:-1].split(",") if w.strip()])
    if kind == "func":
        return FunctionRef(text.lstrip("@"))
    raise InvalidArgumentError(f"op schema: no defaults of kind {kind!r}, received {text!r}")


def coerce_attr(op: str, spec: Attr, value: Any) -> Any:
    """`value` as the attr's kind wants it. Raises TypeError or ValueError naming op and attr."""
    kind = spec.kind
    try:
        if kind.startswith("list("):
            if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
                raise TypeError(f"expected a list, received {value!r}")
            out: Any = [_coerce_one(kind[5:-1], v) for v in value]
            items = out
            if spec.minimum is not None and len(out) < spec.minimum:
                raise InvalidArgumentError(f"expected at least {spec.minimum} items, received {len(out)}")
        else:
            out = _coerce_one(kind, value)
            items = [out]
            if spec.minimum is not None and out < spec.minimum:
                raise InvalidArgumentError(f"expected at least {spec.minimum}, received {out}")
    except (TypeError, ValueError) as error:
        raise (DTypeError if isinstance(error, TypeError) else InvalidArgumentError)(
            f"op {op}, attr {spec.name!r} ({kind}): {error}"
        ) from None
    if spec.allowed is not None:
        for item in items:
            if item not in spec.allowed:
                names = ", ".join(a.name if isinstance(a, DType) else repr(a.decode()) for a in spec.allowed)
                got = item.name if isinstance(item, DType) else repr(item)
                error_class = DTypeError if kind.endswith("type)") or kind == "type" else InvalidArgumentError
                raise error_class(f"op {op}: Value for attr {spec.name!r} of {got} is not in the list of allowed values: {names}")
    return out


def _coerce_one(kind: str, value: Any) -> Any:
    if kind == "type":
        dtype = as_dtype(value)
        return dtype.base_dtype
    if kind == "int":
        if isinstance(value, float) or isinstance(value, (str, bytes)):
            raise TypeError(f"expected int, received {value!r}")
        return int(value)
    if kind == "bool":
        if not isinstance(value, (bool, int)) and not hasattr(value, "__bool__"):
            raise TypeError(f"expected bool, received {value!r}")
        return bool(value)
    if kind == "float":
        return float(value)
    if kind == "string":
        return value if isinstance(value, bytes) else str(value).encode()
    if kind == "shape":
        return value if isinstance(value, TensorShape) else TensorShape(value)
    return value
