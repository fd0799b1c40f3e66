"""Assertions, printing and the time: Assert, Print, PrintV2, Timestamp, tf.debugging. Numeric checks live in identity.py."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from tracer import dtypes, infer
from tracer.dispatch import executing_eagerly, raw
from tracer.dtypes import as_dtype
from tracer.errors import AssertionFailedError, InvalidArgumentError, RefusedOpError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import as_shape
from tracer.tensor import EagerTensor, Tensor, convert_to_tensor
from tracer.tensor_text import escape_bytes, shortest_float

__all__: list[str] = []

# -- Assert ----------------------------------------------------------------------------------------------------------

assert_op = op("Assert(condition: bool, data: T) -> () !stateful; T: list(type) >= 1; summarize: int = 3").not_differentiable()


def _element(x: Any, dtype: np.dtype) -> str:
    if isinstance(x, bytes):
        return escape_bytes(x).decode("utf-8", "replace")
    if dtype.kind == "b":
        return "1" if x else "0"
    if dtype.kind in "iu":
        return str(int(x))
    if dtype.kind in "fV":
        return shortest_float(float(x), dtype.itemsize < 8)
    return "?"  # TensorFlow writes complex numbers and handles so


def _summary(value: Any, limit: int) -> str:
    """The first `limit` elements (all where negative) in nested brackets, as old-style messages write them."""
    if not isinstance(value, np.ndarray):
        return "?"
    if value.ndim == 0:
        return _element(value[()], value.dtype) if limit else "..."
    limit = value.size if limit < 0 else min(limit, value.size)
    flat = value.reshape(-1)
    shape = value.shape
    position = 0

    def one_axis(axis: int) -> str:
        nonlocal position
        if position >= limit:
            return ""
        out = ""
        for i in range(shape[axis]):
            if axis == len(shape) - 1:
                if position >= limit:
                    return out + ("..." if axis else "")
                out += (" " if i else "") + _element(flat[position], value.dtype)
                position += 1
            else:
                opened = position < limit
                out += "[" if opened else ""
                out += one_axis(axis + 1)
                out += "]" if opened else ""
        return out

    return one_axis(0) + ("..." if value.size > limit else "")


@assert_op.kernel
def _(condition: np.ndarray, *data: Any, summarize: int) -> Any:
    if condition.size != 1:
        raise InvalidArgumentError(f"In[0] should be a scalar: {list(condition.shape)}")
    if condition.reshape(())[()]:
        return ()
    raise AssertionFailedError("assertion failed:" + "".join(f" [{_summary(d, summarize)}]" for d in data))


# -- Print -----------------------------------------------------------------------------------------------------------

print_op = op("Print(input: T, data: U) -> (output: T) !stateful; T: type; U: list(type) >= 0; message: string = ''; first_n: int = -1; summarize: int = 3")
print_op.infer(infer.unchanged)


@print_op.prepare
def _(attrs: dict[str, Any]) -> Callable[..., Any]:
    message, first, limit = attrs["message"].decode(errors="replace"), attrs["first_n"], attrs["summarize"]
    calls = 0

    def kernel(x: Any, *data: Any) -> Any:
        nonlocal calls
        if first < 0 or calls < first:
            calls += 1
            print(message + "".join(f"[{_summary(d, limit)}]" for d in data), file=sys.stderr)
        return x

    return kernel


@print_op.gradient
def _(node: Any, grad: Any) -> Any:
    return [grad, *[None] * (len(node.inputs) - 1)]


print_v2_op = op("PrintV2(input: string) -> () !stateful; output_stream: string = 'stderr'; end: string = '\\n'").not_differentiable()


@print_v2_op.kernel
def _(text: np.ndarray, *, output_stream: bytes, end: bytes) -> Any:
    where = output_stream.decode(errors="replace")
    if where == "file://" + os.devnull:
        return ()
    if where.startswith("file://"):
        raise RefusedOpError(f"op PrintV2: expected output_stream stderr or stdout, received {where!r}; printing to files is not done here")
    line = text.reshape(())[()].decode("utf-8", "replace") + end.decode("utf-8", "replace")
    stream = sys.stdout if where == "stdout" else sys.stderr
    stream.write(line)
    stream.flush()
    return ()


timestamp_op = op("Timestamp() -> (ts: double) !stateful").not_differentiable()
timestamp_op.infer(infer.scalar)
timestamp_op.kernel(lambda: np.array(time.time()))


@public("timestamp")
def timestamp(name: str | None = None) -> Any:
    """Seconds since the epoch, as a float64 scalar, at the time it runs."""
    return raw.Timestamp(name=name)


def _printed(value: Any, tensors: list[Any], top: bool = True) -> list[str | None]:
    """The text of `value` in pieces; None stands for a tensor, which goes to `tensors`."""
    if isinstance(value, str):
        return [value if top else repr(value)]
    if hasattr(value, "indices") and hasattr(value, "dense_shape") and hasattr(value, "_type_spec"):
        parts = [_printed(v, tensors) for v in (value.indices, value.values, value.dense_shape)]
        return ["'SparseTensor(indices=", *parts[0], ", values=", *parts[1], ", shape=", *parts[2], ")'"]
    if isinstance(value, (Tensor, np.ndarray)) or getattr(value, "_is_variable", False):
        tensors.append(convert_to_tensor(value))
        return [None]
    if isinstance(value, dict):
        items = [[f"{k!r}: ", *_printed(v, tensors, False)] for k, v in value.items()]
        return ["{", *_joined(items), "}"]
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        items = [_printed(v, tensors, False) for v in value]
        opening, closing = ("[", "]") if isinstance(value, list) else ("(", ",)" if len(value) == 1 else ")")
        return [opening, *_joined(items), closing]
    return [str(value) if top else repr(value)]


def _joined(items: list[list[str | None]], sep: str = ", ") -> list[str | None]:
    out: list[str | None] = []
    for i, item in enumerate(items):
        out += [sep, *item] if i else item
    return out


def _unlike(texts: list[str]) -> str:
    """A placeholder that none of `texts` holds."""
    hole, n = "{}", 0
    while any(hole in t for t in texts):
        hole, n = f"<tensor {n}>", n + 1
    return hole


@public("print")
def print_(*inputs: Any, **kwargs: Any) -> Any:
    """Write values to a stream when they are computed (default: stderr); tensors are shortened to `summarize` items from either end.

    Args:
        output_stream: sys.stderr, sys.stdout, or "stderr"/"stdout". sep, end: between and after the values. summarize: -1 for all.
    """
    stream = kwargs.pop("output_stream", sys.stderr)
    sep, end = kwargs.pop("sep", " "), kwargs.pop("end", "\n")
    summarize, name = kwargs.pop("summarize", 3), kwargs.pop("name", None)
    if kwargs:
        raise InvalidArgumentError(f"Unrecognized keyword arguments for tf.print: {sorted(kwargs)}")
    target = {sys.stdout: "stdout", sys.stderr: "stderr", sys.__stdout__: "stdout", sys.__stderr__: "stderr"}.get(stream, stream)
    if not isinstance(target, str):
        raise InvalidArgumentError(f"Unsupported output stream, logging level, or file {stream!r}: supported are sys.stdout and sys.stderr")
    if len(inputs) == 1 and isinstance(inputs[0], Tensor) and inputs[0].dtype == dtypes.string and inputs[0].shape.rank == 0:
        text = inputs[0]
    else:
        tensors: list[Any] = []
        parts = _joined([_printed(v, tensors) for v in inputs], sep)
        hole = _unlike(["".join(p or "\0" for p in parts)])
        template = "".join(hole if p is None else p for p in parts)
        text = raw.StringFormat(inputs=tensors, template=template, placeholder=hole, summarize=summarize)
    return raw.PrintV2(text, output_stream=target, end=end, name=name)


# -- tf.debugging ----------------------------------------------------------------------------------------------------


def _static(value: Any) -> np.ndarray | None:
    return infer.constant_value(value) if isinstance(value, Tensor) else None


def _passed() -> Any:
    return None if executing_eagerly() else raw.NoOp(name="static_checks_determined_all_ok")


@public("debugging.Assert", "Assert")
def assert_(condition: Any, data: Sequence[Any], summarize: int | None = None, name: str | None = None) -> Any:
    """Raise InvalidArgumentError with `data` when `condition` is false where it runs."""
    summarize = 3 if summarize is None else summarize
    if executing_eagerly():
        flag = convert_to_tensor(condition)
        if not bool(flag):
            text = "\n".join(_eager_text(d, summarize) for d in data)
            raise AssertionFailedError(f"Expected '{condition}' to be true. Summarized data: {text}")
        return None
    return raw.Assert(condition, [convert_to_tensor(d) for d in data], summarize=summarize, name=name)


def _eager_text(value: Any, summarize: int) -> str:
    array = np.asarray(convert_to_tensor(value))
    flat = array.reshape(-1)
    limit = flat.size if summarize < 0 else summarize
    shown = [str(v) for v in flat[:limit]] + (["..."] if flat.size > limit else [])
    return ", ".join(shown)


def _first(array: np.ndarray, limit: int) -> str:
    flat = np.asarray(array).reshape(-1)
    return f"First {min(limit, flat.size)} elements of {{}}:\n{flat[:limit]}"


def _compare(x: Any, y: Any, sign: str, compare: Callable[[Any, Any], Any], message: str | None, summarize: int | None, name: str | None) -> Any:
    """Assert that `compare(x, y)` holds everywhere: at once where both are known, else when it runs."""
    x = convert_to_tensor(x)
    y = convert_to_tensor(y, x.dtype) if not isinstance(y, Tensor) else y
    limit = 3 if summarize is None else summarize
    if executing_eagerly():
        held = compare(x, y)
        if not np.asarray(held).all():
            raise AssertionFailedError(_unequal_text(np.asarray(x), np.asarray(y), np.asarray(held), sign, message, limit))
        return None
    known = _static(x), _static(y)
    if known[0] is not None and known[1] is not None and known[0].dtype != object:
        table = {"==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
        if np.all(table[sign](known[0], known[1])):
            return _passed()
        raise AssertionFailedError(f"{message or ''}\nCondition x {sign} y did not hold.\n{known[0]} {sign} {known[1]}: received values known while tracing")
    data = [message or "", f"Condition x {sign} y did not hold element-wise:", f"x ({x.name}) = ", x, f"y ({y.name}) = ", y]
    return assert_(tf.reduce_all(compare(x, y)), data, summarize=summarize, name=name)


def _unequal_text(x: np.ndarray, y: np.ndarray, held: np.ndarray, sign: str, message: str | None, limit: int) -> str:
    lines = [message] if message else []
    lines.append(f"Condition x {sign} y did not hold.")
    if sign == "==" and x.shape == y.shape and x.ndim:
        wrong = np.argwhere(~held)[:limit]
        places = tuple(wrong.T)
        lines += [
            f"Indices of first {len(wrong)} different values:\n{wrong}",
            f"Corresponding x values:\n{x[places]}",
            f"Corresponding y values:\n{y[places]}",
        ]
    lines.append(_first(x, limit).format("x"))
    lines.append(_first(y, limit).format("y"))
    return "\n".join(lines)


def _public_compare(label: str, sign: str, function: str) -> None:
    def check(x: Any, y: Any, message: str | None = None, summarize: int | None = None, name: str | None = None) -> Any:
        return _compare(x, y, sign, lambda a, b: getattr(tf, function)(a, b), message, summarize, name)

    check.__name__ = label
    check.__doc__ = f"Raise unless x {sign} y for every pair of elements, at once where both are known."
    public(f"debugging.{label}")(check)


for _label, _sign, _function in (
    ("assert_equal", "==", "equal"),
    ("assert_none_equal", "!=", "not_equal"),
    ("assert_less", "<", "less"),
    ("assert_less_equal", "<=", "less_equal"),
    ("assert_greater", ">", "greater"),
    ("assert_greater_equal", ">=", "greater_equal"),
):
    _public_compare(_label, _sign, _function)


def _public_sign(label: str, sign: str, function: str) -> None:
    def check(x: Any, message: str | None = None, summarize: int | None = None, name: str | None = None) -> Any:
        x = convert_to_tensor(x)
        zero = convert_to_tensor(np.zeros((), x.dtype.numpy), x.dtype)
        held = getattr(tf, function)(x, zero)
        text = f"Condition x {sign} 0 did not hold element-wise:"
        if executing_eagerly():
            if np.asarray(held).all():
                return None
            shown = _eager_text(x, 3 if summarize is None else summarize)
            raise AssertionFailedError(f"{message or ''}\n{text}\nx (shape={x.shape} dtype={x.dtype.name}) = \n{shown}")
        known = _static(x)
        if known is not None and np.all({">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal}[sign](known, 0)):
            return _passed()
        return assert_(tf.reduce_all(held), [message or "", text, f"x ({x.name}) = ", x], summarize=summarize, name=name)

    check.__name__ = label
    check.__doc__ = f"Raise unless x {sign} 0 for every element."
    public(f"debugging.{label}")(check)


for _label, _sign, _function in (
    ("assert_positive", ">", "greater"),
    ("assert_negative", "<", "less"),
    ("assert_non_negative", ">=", "greater_equal"),
    ("assert_non_positive", "<=", "less_equal"),
):
    _public_sign(_label, _sign, _function)


@public("debugging.assert_near")
def assert_near(
    x: Any, y: Any, rtol: Any = None, atol: Any = None, message: str | None = None, summarize: int | None = None, name: str | None = None
) -> Any:
    """Raise unless |x - y| <= atol + rtol * |y| for every pair of elements; both tolerances default to ten times the dtype's epsilon."""
    x = convert_to_tensor(x)
    y = convert_to_tensor(y, x.dtype) if not isinstance(y, Tensor) else y
    default = 10 * float(ml_dtypes.finfo(x.dtype.real_dtype.numpy).eps)
    rtol = convert_to_tensor(default if rtol is None else rtol, x.dtype.real_dtype)
    atol = convert_to_tensor(default if atol is None else atol, x.dtype.real_dtype)
    held = tf.reduce_all(tf.abs(x - y) <= atol + rtol * tf.abs(y))
    data = [
        message or "", f"x and y not equal to tolerance rtol = {rtol}, atol = {atol}", f"x (shape={x.shape} dtype={x.dtype.name}) = ", x,
        f"y (shape={y.shape} dtype={y.dtype.name}) = ", y,
    ]  # fmt: skip
    return assert_(held, data, summarize=summarize, name=name)


@public("debugging.assert_all_finite")
def assert_all_finite(x: Any, message: str, name: str | None = None) -> Any:
    """`x`, checked to hold no NaN and no infinity when it runs."""
    return raw.CheckNumerics(convert_to_tensor(x), message=message, name=name)


# -- ranks, shapes, types --------------------------------------------------------------------------------------------


def _dense(x: Any) -> Any:
    return x if hasattr(x, "shape") and hasattr(x, "dtype") and not isinstance(x, np.ndarray) else convert_to_tensor(x)


def _rank_check(x: Any, word: str, holds: Callable[[int], bool], dynamic: Callable[[Any], Any], message: str | None, name: str | None) -> Any:
    x = _dense(x)
    found = as_shape(x.shape).rank
    label = "" if isinstance(x, EagerTensor) else getattr(x, "name", "")
    text = f"{message}.  " if message else ""
    if found is not None:
        if not holds(found):
            raise ShapeError(f"{text}Tensor {label} must have {word}.  Received rank {found}, shape {x.shape}")
        return _passed()
    return assert_(dynamic(tf.rank(x)), [f"{text}Tensor {label} must have {word}", "Received shape: ", tf.shape(x)], name=name)


def _fixed(rank: Any) -> int | None:
    if isinstance(rank, Tensor):
        value = infer.constant_value(rank)
        return None if value is None else int(value)
    return int(rank)


@public("debugging.assert_rank")
def assert_rank(x: Any, rank: Any, message: str | None = None, name: str | None = None) -> Any:
    """Raise unless `x` has `rank`."""
    wanted = _fixed(rank)
    if wanted is None:
        return assert_(tf.equal(tf.rank(x), rank), [message or "", "Tensor must have the given rank. Received shape: ", tf.shape(x)], name=name)
    return _rank_check(x, f"rank {wanted}", lambda r: r == wanted, lambda r: tf.equal(r, wanted), message, name)


@public("debugging.assert_rank_at_least")
def assert_rank_at_least(x: Any, rank: Any, message: str | None = None, name: str | None = None) -> Any:
    """Raise unless `x` has at least `rank` axes."""
    wanted = _fixed(rank)
    if wanted is None:
        return assert_(tf.greater_equal(tf.rank(x), rank), [message or "", "Tensor must have at least the given rank. Received shape: ", tf.shape(x)], name=name)
    return _rank_check(x, f"rank at least {wanted}", lambda r: r >= wanted, lambda r: tf.greater_equal(r, wanted), message, name)


@public("debugging.assert_rank_in")
def assert_rank_in(x: Any, ranks: Sequence[Any], message: str | None = None, name: str | None = None) -> Any:
    """Raise unless the rank of `x` is one of `ranks`."""
    wanted = tuple(int(r) for r in ranks)
    return _rank_check(
        x, f"rank in {wanted}", lambda r: r in wanted, lambda r: tf.reduce_any(tf.equal(r, np.array(wanted, np.int32))), message, name
    )


@public("debugging.assert_scalar")
def assert_scalar(tensor: Any, message: str | None = None, name: str | None = None) -> Any:
    """`tensor`, refused unless it is a scalar."""
    x = _dense(tensor)
    if as_shape(x.shape).rank != 0:
        text = f"{message or ''} Expected scalar shape, saw shape: {x.shape}." if x.shape.rank is not None else f"{message or ''} Expected scalar shape, received an unknown rank."
        raise ShapeError(text.strip())
    return x


@public("debugging.assert_type")
def assert_type(tensor: Any, tf_type: Any, message: str | None = None, name: str | None = None) -> Any:
    """Raise TypeError unless `tensor` has dtype `tf_type`."""
    x, wanted = _dense(tensor), as_dtype(tf_type)
    if x.dtype != wanted:
        label = "tensor" if isinstance(x, EagerTensor) else getattr(x, "name", "tensor")
        raise TypeError(f"{message + ': ' if message else ''}{label} must be of type {wanted!r}; got {x.dtype!r}")
    return _passed()


@public("debugging.assert_integer")
def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> Any:
    """Raise TypeError unless `x` has an integer dtype."""
    x = _dense(x)
    if not x.dtype.is_integer:
        label = "x" if isinstance(x, EagerTensor) else getattr(x, "name", "x")
        raise TypeError(f'{message + " " if message else ""}Expected "{label}" to be integer type.  Found: tensor of dtype {x.dtype}')
    return _passed()


@public("debugging.assert_proper_iterable")
def assert_proper_iterable(values: Any) -> None:
    """Raise TypeError unless `values` is an iterable that is no tensor, array or string."""
    odd = isinstance(values, (Tensor, np.ndarray, bytes, str)) or hasattr(values, "_type_spec")
    if odd or not hasattr(values, "__iter__"):
        raise TypeError(f'Expected argument "values" to be a "proper" iterable.  Found: {type(values)}')


@public("debugging.assert_same_float_dtype")
def assert_same_float_dtype(tensors: Sequence[Any] | None = None, dtype: Any = None) -> Any:
    """The float dtype that all `tensors` (and `dtype`) share; float32 where there are none.

    Raises:
        ValueError: they differ, or the dtype is no float.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    first = None
    for t in tensors or ():
        if t is None:
            continue
        if wanted is not None and t.dtype.base_dtype != wanted:
            like = f" as {first}" if first is not None else ""
            raise InvalidArgumentError(f"{t}, type={t.dtype}, must be of the same type ({wanted}){like}.")
        wanted, first = t.dtype.base_dtype, t if first is None else first
    wanted = wanted or dtypes.float32
    if not wanted.is_floating:
        raise InvalidArgumentError(f"Expected floating point type, got {wanted}.")
    return wanted


@public("debugging.is_numeric_tensor")
def is_numeric_tensor(tensor: Any) -> bool:
    """Whether `tensor` is a tensor of numbers."""
    return isinstance(tensor, Tensor) and tensor.dtype.base_dtype.is_numeric


@public("debugging.assert_shapes")
def assert_shapes(shapes: Any, data: Any = None, summarize: int | None = None, message: str | None = None, name: str | None = None) -> Any:
    """Raise unless each tensor has its shape; a symbol (string) stands for one size wherever it appears, "..." or "*" for a run of axes at the front.

    Args:
        shapes: a mapping or a list of pairs from tensors to shapes; sizes are ints, None (any) or symbols.
    """
    pairs = list(shapes.items()) if isinstance(shapes, dict) else list(shapes)
    text = f"{message}.  " if message else ""
    known: dict[str, tuple[Any, str]] = {}
    for x, symbols in pairs:
        tensor = _dense(x.deref() if hasattr(x, "deref") else x)
        symbols = [symbols] if isinstance(symbols, (str, int)) and symbols not in ("...", "*") else list(symbols)
        if isinstance(symbols, list) and any(s in ("...", "*") for s in symbols[1:]):
            raise InvalidArgumentError(f"{text}Tensor {tensor} specified shape index {symbols}: an ellipsis is allowed at the front only")
        open_front = bool(symbols) and symbols[0] in ("...", "*")
        wanted = symbols[1:] if open_front else symbols
        shape = as_shape(tensor.shape)
        label = f"{'' if isinstance(tensor, EagerTensor) else tensor.name + ' '}shape={shape} dtype={tensor.dtype.name}"
        if shape.rank is not None and (shape.rank < len(wanted) if open_front else shape.rank != len(wanted)):
            raise ShapeError(f"{text}Tensor {label} must have rank {'at least ' if open_front else ''}{len(wanted)}.  Received rank {shape.rank}, shape {shape}")
        sizes = tf.shape(tensor)
        for i, symbol in enumerate(wanted):
            place = i - len(wanted)
            size: Any = shape[place] if shape.rank is not None else None
            if size is None:
                size = sizes[place]
            if symbol is None or symbol == ".":
                continue
            if isinstance(symbol, str) and not symbol.isdigit():
                if symbol not in known:
                    known[symbol] = size, f"Specified by tensor {label} dimension {i}"
                    continue
                expected, origin = known[symbol]
            else:
                expected, origin = int(symbol), "Specified explicitly"
            if isinstance(size, int) and isinstance(expected, int):
                if size != expected:
                    raise ShapeError(f"{text}{origin}.  Tensor {label} dimension {i} must have size {expected}.  Received size {size}, shape {shape}")
            else:
                note = f"{text}{origin}.  Tensor {label} dimension {i} must have size"
                assert_(tf.equal(size, expected), data or [note, expected, "Received shape: ", sizes], summarize=summarize, name=name)
    return _passed()
