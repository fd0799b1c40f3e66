"""The Op record and the registry of ops: name, schema, shape inference, kernel, gradient. It imports no op by itself until asked.

    square = op("Square(x: T) -> (y: T); T: {half, float, double, int32}")
    square.infer(infer.unchanged)

    @square.kernel
    def _(x):
        return np.square(x)

    @square.gradient
    def _(node, grad):
        return raw.Mul(x=grad, y=...)
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from tracer.errors import MissingKernelError, UnknownOpError
from tracer.ir.attrs import freeze
from tracer.schema import OpSchema, parse_schema

__all__ = ["Op", "attr_kinds", "find_op", "get_op", "known_ops", "op", "require_ops"]

KIND_LETTERS = {
    "string": "s", "int": "i", "float": "f", "bool": "b", "type": "t", "shape": "h", "tensor": "v", "func": "c", "list": "l",
}  # fmt: skip
_KIND_WORDS = {letter: word for word, letter in KIND_LETTERS.items()}
_OPS: dict[str, Op] = {}
_ALL_LOADED = False


class Op:
    """One operation: what it takes and gives (`schema`), and the functions attached to it.

    `infer(fn)`, `kernel(fn)`, `prepare(fn)` and `gradient(fn)` attach a function and return it, so they serve as decorators.

    A kernel gets the flat input arrays as positional arguments and, as keyword-only arguments, the attrs it names in its own
    signature. It returns the output array for an op with exactly one non-list output, else a flat sequence of outputs.
    Tensors of dtype resource, and scalars of dtype variant, are plain Python objects; strings are object arrays of bytes.
    A kernel never writes into its inputs.

    `prepare(attrs) -> kernel` is for ops that gain from specialising once per node.
    """

    __slots__ = (
        "_bound", "_schema", "allows_python", "gradient_fn", "infer_fn", "kernel_attrs", "kernel_fn", "module", "name",
        "no_gradient", "no_kernel", "prepare_fn", "short", "text",
    )  # fmt: skip

    def __init__(self, text: str, module: str = ""):
        self.text = text
        self.name = text[: text.index("(")].strip()
        self.module = module
        self._schema: OpSchema | None = None
        self.infer_fn: Callable[..., Any] | None = None
        self.kernel_fn: Callable[..., Any] | None = None
        self.kernel_attrs: tuple[str, ...] = ()
        self.prepare_fn: Callable[..., Any] | None = None
        self.gradient_fn: Callable[..., Any] | None = None
        self.no_gradient = False
        self.no_kernel = ""
        self.allows_python = False
        self._bound: dict[Any, Callable[..., Any]] = {}
        # dtype → (inputs, kernel, output dtype): eager calls that dispatch need not bind again
        self.short: dict[Any, tuple[int, Callable[..., Any], Any]] = {}

    @property
    def schema(self) -> OpSchema:
        if self._schema is None:
            self._schema = parse_schema(self.text)
        return self._schema

    def infer(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Attach shape inference: `fn(ctx) -> shape or list of shapes`; see `tracer.infer`."""
        self.infer_fn = fn
        return fn

    def kernel(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Attach the NumPy kernel."""
        self.kernel_fn = fn
        self.kernel_attrs = _keyword_only(fn)
        self._bound.clear()
        self.short.clear()
        return fn

    def prepare(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Attach a kernel factory: `fn(attrs) -> kernel`, with all attrs present."""
        self.prepare_fn = fn
        self._bound.clear()
        self.short.clear()
        return fn

    def gradient(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Attach the gradient: `fn(node, *output_grads) -> grad or sequence of grads`, one (or None) per flat input.

        `node` has `.inputs`, `.outputs`, `.attrs`, `.attr(name)`; it calls ops, never NumPy, so that it works eagerly,
        while tracing, and twice. Grads of outputs that nothing depends on are zeros.
        """
        self.gradient_fn = fn
        return fn

    def not_differentiable(self) -> Op:
        """Declare that gradients stop here, as TensorFlow does for this op."""
        self.no_gradient = True
        return self

    def kernel_for(self, attrs: Mapping[str, Any]) -> Callable[..., Any]:
        """The kernel with `attrs` bound; takes the flat input arrays.

        Raises:
            MissingKernelError: the op has no kernel, with the reason if one is known.
        """
        if self.prepare_fn is not None:
            return self.prepare_fn(self.schema.complete(attrs))
        fn = self.kernel_fn
        if fn is None:
            why = self.no_kernel or "it is known by name and types only"
            raise MissingKernelError(f"op {self.name} cannot run: {why}. Register one with tracer.op(…).kernel.")
        if not self.kernel_attrs:
            return fn
        schema = self.schema
        return partial(fn, **{k: _kernel_attr(schema, k, attrs) for k in self.kernel_attrs})

    def cached_kernel(self, attrs: Mapping[str, Any]) -> Callable[..., Any]:
        """`kernel_for`, remembered by the attrs' values; for eager calls."""
        if not attrs:
            key: Any = None
        else:
            try:
                key = tuple(attrs.items())
                found = self._bound.get(key)
            except TypeError:
                key = tuple((k, freeze(v)) for k, v in attrs.items())
        found = self._bound.get(key)
        if found is None:
            found = self.kernel_for(attrs)
            # A stateful kernel goes on where its last call left off, so it must not be forgotten soon.
            if len(self._bound) >= (65536 if self.schema.is_stateful else 512):
                del self._bound[next(iter(self._bound))]
            self._bound[key] = found
        return found

    def __repr__(self) -> str:
        return f"<Op {self.text}>"


def _kernel_attr(schema: OpSchema, name: str, attrs: Mapping[str, Any]) -> Any:
    value = schema.attr_value(name, attrs) if (name in attrs or name in schema.attrs) else None
    return value


def _keyword_only(fn: Callable[..., Any]) -> tuple[str, ...]:
    code = getattr(fn, "__code__", None)
    if code is None:  # a NumPy ufunc or another builtin: no attrs to hand over
        return ()
    start = code.co_argcount
    return code.co_varnames[start : start + code.co_kwonlyargcount]


def op(text: str) -> Op:
    """Register the op whose schema is `text` and return its record, ready for `.kernel` and the rest.

    Registering a name again replaces the record: the public way to add or override an op.
    """
    frame = inspect.currentframe()
    module = frame.f_back.f_globals.get("__name__", "") if frame is not None and frame.f_back is not None else ""
    record = Op(text, module)
    _OPS[record.name] = record
    return record


def find_op(name: str) -> Op | None:
    """The record of op `name`, or None; loads the family that holds it."""
    record = _OPS.get(name)
    if record is None:
        _load_family_of(name)
        record = _OPS.get(name)
    return record


def get_op(name: str) -> Op:
    """The record of op `name`.

    Raises:
        UnknownOpError: no such op.
    """
    record = _OPS.get(name) or find_op(name)
    if record is None:
        raise UnknownOpError(
            f"op {name!r} is not known: expected one of the registered ops; register it with tracer.op(\"{name}(…) -> (…)\")"
        )
    return record


def require_ops(names: Iterable[str], where: str = "graph") -> None:
    """Check that all ops have records with kernels.

    Raises:
        UnknownOpError: lists every missing op at once.
    """
    missing = sorted({n for n in names if find_op(n) is None})
    if missing:
        raise UnknownOpError(
            f"{where}: {len(missing)} op(s) are not known: {', '.join(missing)}. Register them with tracer.op(…), "
            f"or remove the part of the model that uses them."
        )


def attr_kinds(name: str) -> dict[str, str] | None:
    """The kind of each attr of op `name` (any list: "list"); None for no such op.

    Loads no family where the index of attrs knows the op.
    """
    record = _OPS.get(name)
    if record is None:
        try:
            from tracer.ops.attr_index import ATTRS
        except ImportError:
            ATTRS = {}
        line = ATTRS.get(name)
        if line is not None:
            return {k: _KIND_WORDS[letter] for k, _, letter in (item.partition(":") for item in line.split())}
        record = find_op(name)
    return None if record is None else {k: a.kind.partition("(")[0] for k, a in record.schema.attrs.items()}


def known_ops() -> dict[str, Op]:
    """All records by name; loads every family."""
    _load_all()
    return dict(sorted(_OPS.items()))


def _load_family_of(name: str) -> None:
    index = _index()
    family = index.get(name)
    if family is not None:
        importlib.import_module(f"tracer.{family}")
    elif not index:
        _load_all()
    if name not in _OPS and not _ALL_LOADED:
        _load_all()


def _index() -> Mapping[str, str]:
    try:
        from tracer.ops.index import OPS
    except ImportError:
        return {}
    return OPS


def _load_all() -> None:
    global _ALL_LOADED
    if _ALL_LOADED:
        return
    import tracer.ops

    for info in pkgutil.iter_modules(tracer.ops.__path__):
        if info.name not in ("index", "attr_index", "__main__"):
            importlib.import_module(f"tracer.ops.{info.name}")
    _ALL_LOADED = True
