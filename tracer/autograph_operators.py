"""What code rewritten by autograph calls: statements and operators that run as Python, or stage on tensors. It refuses to rewrite code.

A statement's state is the values of the variables it may change, read and written through the closures `get_state` and `set_state`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, nest
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import tf
from tracer.shapes import TensorShape, unknown_shape
from tracer.specs import TensorSpec, TypeSpec, type_spec_from_value
from tracer.tensor import Tensor, convert_to_tensor
from tracer.tracing import FuncGraph, trace_into

__all__ = ["and_", "assert_stmt", "eq", "for_stmt", "if_exp", "if_stmt", "not_", "not_eq", "or_", "while_stmt"]

_NUMBERS = (bool, int, float, complex, str, bytes, np.ndarray, np.generic)


def _staged(value: Any) -> bool:
    """Whether a condition on `value` must be staged: a tensor or variable, while a graph is traced."""
    return dispatch.context.graph is not None and (isinstance(value, Tensor) or getattr(value, "_is_variable", False))


def _undefined(value: Any) -> bool:
    return type(value).__name__ in ("Undefined", "UndefinedReturnValue") and type(value).__module__ == "malt.operators.variables"


def _is_return(value: Any) -> bool:
    return type(value).__name__ == "UndefinedReturnValue"


def _tensor_like(leaf: Any) -> bool:
    return isinstance(leaf, (Tensor, *_NUMBERS)) or getattr(leaf, "_is_variable", False) or hasattr(leaf, "_type_spec")


class _Fixed:
    """A part of the state that is no tensor and must stay what it is."""

    def __init__(self, value: Any):
        self.value = value


def _split(state: Sequence[Any]) -> tuple[list[Any], Any]:
    """State values as leaves that can be tensors, and the structure around them with all else fixed."""
    tensors: list[Any] = []

    def leaf(value: Any) -> Any:
        if value is None or _undefined(value) or not _tensor_like(value):
            return _Fixed(value)
        tensors.append(value)
        return None

    return tensors, nest.map_structure(leaf, list(state))


def _join(tensors: Sequence[Any], structure: Any) -> list[Any]:
    leaves = iter(tensors)
    return nest.map_structure(lambda s: s.value if isinstance(s, _Fixed) else next(leaves), structure)


def _as_value(leaf: Any) -> Any:
    if isinstance(leaf, Tensor) or (hasattr(leaf, "_type_spec") and not getattr(leaf, "_is_variable", False)):
        return leaf
    return convert_to_tensor(leaf)


# -- if --------------------------------------------------------------------------------------------------------------


def if_stmt(cond: Any, body: Any, orelse: Any, get_state: Any, set_state: Any, symbol_names: Sequence[str], nouts: int) -> None:
    """An `if` statement; `nouts` of the state's values are used afterwards."""
    if not _staged(cond):
        if cond:
            body()
        else:
            orelse()
        return
    before = get_state()
    results: list[list[Any]] = []
    shapes: list[Any] = []
    keep: list[_Fixed | None] = []

    def branch(run: Callable[[], Any]) -> Callable[[], Any]:
        def traced() -> Any:
            set_state(before)
            run()
            results.append(list(get_state()[:nouts]))
            if len(results) == 2:  # both were traced: tell by the names of the variables what differs
                keep.extend(_check_if(results, symbol_names))
            tensors, structure = _split(results[-1])
            shapes.append(structure)
            return [_as_value(t) for t in tensors]

        return traced

    outputs = tf.cond(_scalar(cond), branch(body), branch(orelse))
    after = _join(outputs, shapes[0])
    after = [v if k is None else k.value for k, v in zip(keep, after, strict=True)]
    set_state((*after, *before[nouts:]))


def _check_if(results: list[list[Any]], names: Sequence[str]) -> list[_Fixed | None]:
    """Check that both branches leave variables that fit. Returns what is fixed and need not be returned by the branches."""
    out: list[_Fixed | None] = []
    for name, a, b in zip(names, *results, strict=False):
        if _undefined(a) or _undefined(b):
            if _undefined(a) and _undefined(b):
                out.append(_Fixed(a))
                continue
            missing = "main" if _undefined(a) else "else"
            if _is_return(a) or _is_return(b):
                raise InvalidArgumentError(
                    f"A value must also be returned from the {missing} branch. If a value is returned from one branch of a conditional a "
                    f"value must be returned from all branches."
                )
            raise InvalidArgumentError(f"'{name}' must also be initialized in the {missing} branch")
        la, lb = nest.flatten(a), nest.flatten(b)
        if not any(map(_tensor_like, [*la, *lb])):
            if a is b or (len(la) == len(lb) and all(x is y or _equal(x, y) for x, y in zip(la, lb, strict=True))):
                out.append(_Fixed(a))
                continue
        elif len(la) == len(lb) == 1 and a is b and isinstance(a, _NUMBERS) and not isinstance(a, (np.ndarray, np.generic)):
            out.append(_Fixed(a))  # a Python value that neither branch changed
            continue
        try:
            nest.assert_same_structure(a, b, check_types=False)
        except (TypeError, ValueError) as error:
            raise TypeError(f"'{name}' must have the same nested structure in the main and else branches:\n\n{error}") from None
        for x, y in zip(la, lb, strict=True):
            if (x is None) != (y is None):
                which = "main" if x is None else "else"
                raise InvalidArgumentError(f"'{name}' is None at the end of the {which} branch, but a tensor at the end of the other one.")
            if x is None or x is y:
                continue
            if not _tensor_like(x) or not _tensor_like(y):
                raise TypeError(
                    f"'{name}' must be a tensor, or the same value, in the main and else branches; received {x!r} and {y!r}. Values that "
                    f"depend on a condition on tensors must be tensors."
                )
            dx, dy = _dtype_of(x), _dtype_of(y)
            if dx is not None and dy is not None and dx != dy:
                raise TypeError(f"'{name}' has dtype {dx.name} in the main branch, but dtype {dy.name} in the else branch")
        out.append(None)
    return out


def _equal(x: Any, y: Any) -> bool:
    return type(x) is type(y) and type(x).__eq__ is not object.__eq__ and bool(x == y)


def _dtype_of(x: Any) -> Any:
    found = getattr(x, "dtype", None)
    if isinstance(found, dtypes.DType):
        return found.base_dtype
    return convert_to_tensor(x).dtype if isinstance(x, _NUMBERS) else None


def _scalar(cond: Any) -> Any:
    cond = convert_to_tensor(cond)
    if cond.shape.rank not in (None, 0) and cond.shape.num_elements() != 1:
        raise InvalidArgumentError(f"condition of if statement expected to be `tf.bool` scalar, got {cond!r}; to reduce it use tf.reduce_any or tf.reduce_all")
    if cond.dtype is not dtypes.bool:
        if not (cond.dtype.is_integer or cond.dtype.is_floating):
            raise InvalidArgumentError(f"condition of if statement expected to be `tf.bool` scalar, got {cond!r}")
        return raw.NotEqual(cond, np.zeros((), cond.dtype.numpy))
    return cond


# -- while -----------------------------------------------------------------------------------------------------------


def while_stmt(test: Any, body: Any, get_state: Any, set_state: Any, symbol_names: Sequence[str], opts: dict[str, Any]) -> None:
    """A `while` statement."""
    if dispatch.context.graph is None:
        while test():
            body()
        return
    with trace_into(FuncGraph("probe", dispatch.current_graph())):
        first = test()
    if _staged(first):
        _staged_while(test, body, get_state, set_state, symbol_names, opts)
        return
    while True:
        result = test()
        if _staged(result):
            raise NotImplementedError(
                "The condition of while loop started as non-Tensor, then changed to Tensor. This may happen either because variables "
                "changed type, or when a break or return statement inside the loop depends on a Tensor condition. In both cases, "
                "changing to a TF loop should remove the error."
            )
        if not result:
            return
        body()


def _staged_while(
    test: Callable[[], Any], body: Callable[[], Any], get_state: Any, set_state: Any, names: Sequence[str], opts: dict[str, Any],
    extra: Sequence[Any] = (), step: Callable[..., Any] | None = None,
) -> None:  # fmt: skip
    """A while loop over the state. `extra` are loop variables of the loop's own, handed to test and body; `step` advances them."""
    before = list(get_state())
    own = list(extra)

    def run_test(mine: Sequence[Any]) -> Any:
        return test(*mine) if step is not None else test()

    def run_body(mine: Sequence[Any]) -> list[Any]:
        if step is None:
            body()
            return []
        body(*mine)
        return list(step(*mine))

    after = list(before)
    if any(v is None or _undefined(v) for v in before):  # look at one turn, to see what becomes of variables that the loop itself defines
        with trace_into(FuncGraph("probe", dispatch.current_graph())):
            run_test(own)
            run_body(own)
            after = list(get_state())
        set_state(tuple(before))
    start, fixed, invariants = [], [], []
    given = _given_invariants(opts, before)
    for name, a, b in zip(names, before, after, strict=True):
        value, is_fixed = _loop_start(name, a, b)
        start.append(value)
        fixed.append(is_fixed)
        if not is_fixed:
            invariants.append(_invariant(value, given.get(id(a)), name, a, b))
    moving = [v for v, f in zip(start, fixed, strict=True) if not f]
    tensors, structure = _split(moving)
    moving_names = [n for n, f in zip(names, fixed, strict=True) if not f]

    def put(values: Sequence[Any]) -> None:
        rest = iter(_join(values, structure))
        set_state(tuple(v if f else next(rest) for v, f in zip(start, fixed, strict=True)))

    def cond(mine: Any, values: Any) -> Any:
        put(values)
        return _scalar(run_test(mine))

    def turn(mine: Any, values: Any) -> Any:
        put(values)
        new_own = run_body(mine)
        now_all = get_state()
        for name, was, now, f in zip(names, start, now_all, fixed, strict=True):
            if f:
                _check_fixed(name, was, now)
        state = [v for v, f in zip(now_all, fixed, strict=True) if not f]
        for name, was, now in zip(moving_names, moving, state, strict=True):
            _check_turn(name, was, now)
        now_tensors, _ = _split(state)
        return new_own, [_like(t, s) for t, s in zip(now_tensors, tensors, strict=True)]

    values = [_as_value(t) for t in tensors]
    flat_invariants = [s for group in invariants for s in group]
    options = {k: opts[k] for k in ("parallel_iterations", "maximum_iterations", "swap_memory") if opts.get(k) is not None}
    try:
        _, out = tf.while_loop(
            cond, turn, (own, values), shape_invariants=([TensorShape([]) for _ in own], flat_invariants), **options
        )
    except ShapeError as error:
        raise ShapeError(
            f"a variable of the loop ({', '.join(moving_names)}) changes its shape: {error} Use "
            f"tf.autograph.experimental.set_loop_options to set shape invariants."
        ) from None
    put(out)


def _like(now: Any, was: Any) -> Any:
    """A value at the end of a turn, a bare Python number in the dtype that the variable has."""
    if isinstance(now, Tensor) or hasattr(now, "_type_spec"):
        return now
    return convert_to_tensor(now, _dtype_of(was)) if isinstance(now, (bool, int, float)) and isinstance(was, Tensor) else convert_to_tensor(now)


def _loop_start(name: str, a: Any, b: Any) -> tuple[Any, bool]:
    """A loop variable before the loop, and whether it is fixed (no tensor, and unchanged)."""
    if a is None or _undefined(a):
        if b is None or _undefined(b):
            return a, True
        leaves = nest.flatten(b)
        if not all(v is None or _tensor_like(v) for v in leaves):
            raise InvalidArgumentError(
                f"'{name}' must be defined before the loop: it is set inside to {b!r}, which is no tensor, and the loop depends on tensors"
            )
        return nest.map_structure(lambda v: None if v is None else _blank(v), b), False
    # a structure without tensors in it is fixed: that it stays as it is, is checked after the turn
    return a, not any(map(_tensor_like, nest.flatten(a)))


def _check_fixed(name: str, a: Any, b: Any) -> None:
    if a is b or (_undefined(a) and _undefined(b)):
        return
    la, lb = nest.flatten(a), nest.flatten(b)
    if len(la) == len(lb) and all(x is y or _equal(x, y) for x, y in zip(la, lb, strict=True)):
        return
    raise InvalidArgumentError(f"'{name}' must be a tensor: the loop depends on tensors, and the variable changes inside from {a!r} to {b!r}")


def _blank(value: Any) -> Any:
    """A value of the type of `value` for a variable that has none before the loop: zeros."""
    if hasattr(value, "_type_spec") and not isinstance(value, Tensor) and not getattr(value, "_is_variable", False):
        spec = value._type_spec
        return spec.from_components([_zeros(s) for s in spec.component_specs])
    if isinstance(value, Tensor) or getattr(value, "_is_variable", False):
        return _zeros(TensorSpec(value.shape, value.dtype))
    t = convert_to_tensor(value)
    return _zeros(TensorSpec(t.shape, t.dtype))


def _zeros(spec: TensorSpec) -> Any:
    sizes = [d or 0 for d in spec.shape] if spec.shape.rank is not None else []
    if spec.dtype.kind == "v":
        return raw.EmptyTensorList(np.array(-1, np.int32), np.array(-1, np.int32), element_dtype=dtypes.float32)
    t = tf.zeros(sizes, spec.dtype)
    return t


def _given_invariants(opts: dict[str, Any], before: Sequence[Any]) -> dict[int, Any]:
    out: dict[int, Any] = {}
    for value, shape in opts.get("shape_invariants") or ():
        for b in before:
            if b is value:
                out[id(b)] = shape
    return out


def _invariant(start: Any, given: Any, name: str, a: Any, b: Any) -> list[Any]:
    """Shape invariants of the leaves of one loop variable."""
    leaves = [v for v in nest.flatten(start) if v is not None and _tensor_like(v)]
    if given is not None:
        flat = nest.flatten(given) if not isinstance(given, (TensorShape, TypeSpec)) else [given]
        if isinstance(given, (list, tuple)) and all(isinstance(g, (int, type(None))) for g in given):
            flat = [TensorShape(given)]
        return [flat[min(i, len(flat) - 1)] for i in range(len(leaves))]
    if a is not None and not _undefined(a):
        return [None] * len(leaves)
    # what the loop defines may differ from turn to turn where its shape is not known
    out: list[Any] = []
    for v in (x for x in nest.flatten(b) if x is not None):
        spec = type_spec_from_value(v if not isinstance(v, _NUMBERS) else convert_to_tensor(v))
        out.append(spec if spec.is_composite_spec else spec.shape)
    return out


def _check_turn(name: str, was: Any, now: Any) -> None:
    if _undefined(now):
        raise InvalidArgumentError(f"'{name}' must be defined at the end of each turn of the loop")
    try:
        nest.assert_same_structure(was, now, check_types=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"'{name}' does not have the same nested structure after one iteration.\n\n{error}") from None
    for x, y in zip(nest.flatten(was), nest.flatten(now), strict=True):
        if x is None and y is not None:
            raise InvalidArgumentError(f"'{name}' is None before the loop, but {y!r} after one iteration")
        if y is None and x is not None:
            raise InvalidArgumentError(f"'{name}' is not allowed to be None after one iteration")
        if x is None:
            continue
        if not _tensor_like(y):
            raise TypeError(f"'{name}' must stay a tensor in the loop; received {y!r} after one iteration")
        dx, dy = _dtype_of(x), _dtype_of(y)
        if dx is not None and dy is not None and dx != dy and not isinstance(y, (bool, int, float)):
            raise TypeError(f"'{name}' has dtype {dx.name} before the loop, but dtype {dy.name} after one iteration")


# -- for -------------------------------------------------------------------------------------------------------------


def for_stmt(
    iter_: Any, extra_test: Any, body: Any, get_state: Any, set_state: Any, symbol_names: Sequence[str], opts: dict[str, Any]
) -> None:
    """A `for` statement over anything that Python iterates, or over the first dimension of a tensor."""
    if _staged(iter_) or (dispatch.context.graph is not None and hasattr(iter_, "nested_row_splits")):
        if getattr(iter_, "node", None) is not None and iter_.node.op == "Range" and iter_.node.graph is dispatch.current_graph():
            _for_range(iter_, extra_test, body, get_state, set_state, symbol_names, opts)
        else:
            _for_rows(iter_, extra_test, body, get_state, set_state, symbol_names, opts)
        return
    if extra_test is None:
        for target in iter_:
            body(target)
        return
    if _plain(extra_test()):
        for target in iter_:
            body(target)
            if not _plain(extra_test()):
                break


def _plain(result: Any) -> bool:
    if _staged(result):
        raise NotImplementedError(
            "break and return statements which depend on a TF condition are not supported in Python for loops. Did you intend to make it a "
            "TF loop? Iterate over tf.range or a tensor instead."
        )
    return bool(result)


def _for_range(iter_: Any, extra_test: Any, body: Any, get_state: Any, set_state: Any, names: Sequence[str], opts: dict[str, Any]) -> None:
    start, limit, delta = iter_.node.inputs
    known = tf.get_static_value(delta)

    def within(i: Any) -> Any:
        if known is not None:
            return raw.Less(i, limit) if known >= 0 else raw.Greater(i, limit)
        zero = np.zeros((), delta.dtype.numpy)
        up = raw.LogicalAnd(raw.GreaterEqual(delta, zero), raw.Less(i, limit))
        return raw.LogicalOr(up, raw.LogicalAnd(raw.Less(delta, zero), raw.Greater(i, limit)))

    def test(i: Any) -> Any:
        return _with_extra(within(i), extra_test)

    def count() -> Any:
        # how many numbers the range has, as the bound that keeps what gradients need small
        return raw.Cast(raw.Size(iter_), DstT=dtypes.int32) if iter_.shape.num_elements() is None else iter_.shape.num_elements()

    if opts.get("maximum_iterations") is None:
        opts = {**opts, "maximum_iterations": count()}
    _staged_while(test, body, get_state, set_state, names, opts, [start], lambda i: [raw.AddV2(i, delta)])


def _for_rows(iter_: Any, extra_test: Any, body: Any, get_state: Any, set_state: Any, names: Sequence[str], opts: dict[str, Any]) -> None:
    ragged = hasattr(iter_, "nested_row_splits")
    rows = iter_ if ragged else convert_to_tensor(iter_)
    if not ragged and rows.shape.rank == 0:
        raise TypeError(f"cannot iterate over a scalar tensor: {rows!r}")
    if ragged:
        size = raw.Cast(rows.nrows(), DstT=dtypes.int32)
        inner = unknown_shape()
    else:
        known = rows.shape[0] if rows.shape.rank is not None else None
        size = convert_to_tensor(known, dtypes.int32) if known is not None else raw.Shape(rows)[0]
        inner = rows.shape[1:] if rows.shape.rank is not None else unknown_shape()
    if ragged:
        read = lambda i: rows[i]
    else:
        element = np.array([-1 if d is None else d for d in inner] if inner.rank is not None else -1, np.int32)
        handle = raw.TensorListFromTensor(rows, raw.Shape(rows)[1:] if not inner.is_fully_defined() else element)

        def read(i: Any) -> Any:
            row = raw.TensorListGetItem(handle, i, element, element_dtype=rows.dtype)
            row.set_shape(inner)
            return row

    def test(i: Any) -> Any:
        return _with_extra(raw.Less(i, size), extra_test)

    if opts.get("maximum_iterations") is None:
        opts = {**opts, "maximum_iterations": size}
    zero = convert_to_tensor(0, dtypes.int32)
    _staged_while(test, lambda i: body(read(i)), get_state, set_state, names, opts, [zero], lambda i: [raw.AddV2(i, 1)])


def _with_extra(more: Any, extra_test: Any) -> Any:
    if extra_test is None:
        return more
    return tf.cond(more, lambda: convert_to_tensor(_truth(extra_test()), dtypes.bool), lambda: convert_to_tensor(False))


def _truth(value: Any) -> Any:
    return value if isinstance(value, Tensor) else bool(value)


# -- operators -------------------------------------------------------------------------------------------------------


def if_exp(cond: Any, if_true: Callable[[], Any], if_false: Callable[[], Any], expr_repr: str) -> Any:
    """A conditional expression."""
    if not _staged(cond):
        return if_true() if cond else if_false()
    return tf.cond(_scalar(cond), if_true, if_false)


def and_(a: Callable[[], Any], b: Callable[[], Any]) -> Any:
    """`a and b`; the right side is evaluated only where the left is true."""
    left = a()
    if _staged(left):
        return tf.cond(_scalar(left), lambda: convert_to_tensor(b()), lambda: convert_to_tensor(left))
    return left and b()


def or_(a: Callable[[], Any], b: Callable[[], Any]) -> Any:
    """`a or b`; the right side is evaluated only where the left is false."""
    left = a()
    if _staged(left):
        return tf.cond(_scalar(left), lambda: convert_to_tensor(left), lambda: convert_to_tensor(b()))
    return left or b()


def not_(a: Any) -> Any:
    """`not a`."""
    return tf.logical_not(convert_to_tensor(a)) if _staged(a) else not a


def eq(a: Any, b: Any) -> Any:
    """`a == b`."""
    return a == b


def not_eq(a: Any, b: Any) -> Any:
    """`a != b`."""
    return a != b


def assert_stmt(condition: Any, message: Callable[[], Any]) -> None:
    """An `assert` statement."""
    if _staged(condition):
        raw.Assert(_scalar(condition), [message()])
        return
    assert condition, message()


# -- builtins --------------------------------------------------------------------------------------------------------


def _len(value: Any) -> Any:
    if not _staged(value) or getattr(value, "_is_variable", False):
        return builtins.len(value)
    if value.shape.rank == 0:
        raise InvalidArgumentError(f"len requires a non-scalar tensor, got {value!r}")
    if value.shape.rank is not None and value.shape[0] is not None:
        return value.shape[0]
    return raw.Shape(value)[0]


def _range(*bounds: Any) -> Any:
    return tf.range(*bounds) if any(map(_staged, bounds)) else builtins.range(*bounds)


def _int(x: Any = 0, base: Any = None) -> Any:
    if not _staged(x):
        return builtins.int(x) if base is None else builtins.int(x, base)
    x = convert_to_tensor(x)
    return raw.StringToNumber(x, out_type=dtypes.int32) if x.dtype is dtypes.string else tf.cast(x, dtypes.int32)


def _float(x: Any = 0) -> Any:
    if not _staged(x):
        return builtins.float(x)
    x = convert_to_tensor(x)
    return raw.StringToNumber(x, out_type=dtypes.float32) if x.dtype is dtypes.string else tf.cast(x, dtypes.float32)


def _bool(x: Any = False) -> Any:
    return _scalar(x) if _staged(x) else builtins.bool(x)


def _reducer(name: str, reduce: str) -> Callable[..., Any]:
    plain = getattr(builtins, name)

    def run(*args: Any, **kwargs: Any) -> Any:
        if builtins.len(args) == 1 and not kwargs and _staged(args[0]):
            return getattr(tf, reduce)(args[0], axis=0)
        return plain(*args, **kwargs)

    return run


def _sorted(values: Any, key: Any = None, reverse: bool = False) -> Any:
    if not _staged(values):
        return builtins.sorted(values, key=key, reverse=reverse)
    if key is not None:
        order = tf.argsort(tf.map_fn(key, values), direction="DESCENDING" if reverse else "ASCENDING")
        return tf.gather(values, order)
    return tf.sort(values, direction="DESCENDING" if reverse else "ASCENDING")


_BUILTINS: dict[Any, Callable[..., Any]] = {
    builtins.len: _len,
    builtins.range: _range,
    builtins.int: _int,
    builtins.float: _float,
    builtins.bool: _bool,
    builtins.sum: _reducer("sum", "reduce_sum"),
    builtins.max: _reducer("max", "reduce_max"),
    builtins.min: _reducer("min", "reduce_min"),
    builtins.any: _reducer("any", "reduce_any"),
    builtins.all: _reducer("all", "reduce_all"),
    builtins.sorted: _sorted,
}


def builtin(fn: Any) -> Callable[..., Any]:
    """The overload of a builtin function that takes tensors too; the builtin itself where it has none."""
    return _BUILTINS.get(fn, fn)
