"""Loops over the elements of tensors: tf.map_fn, vectorized_map, scan, foldl, foldr. The loops themselves are control.py's.

Eagerly they are Python loops. While tracing each is one while loop over tensor lists, as TensorFlow writes them; results of varying
length are joined into ragged tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, nest
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError
from tracer.public import public, tf
from tracer.shapes import TensorShape, unknown_shape
from tracer.specs import RaggedTensorSpec, TensorSpec, TypeSpec
from tracer.tensor import Tensor, convert_to_tensor


def _converted(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` with its control flow staged, where the caller's is."""
    from tracer.autograph import convert_in_context

    return convert_in_context(fn)


def _is_composite(value: Any) -> bool:
    return hasattr(value, "_type_spec") and not isinstance(value, Tensor)


def _as_elements(value: Any, what: str) -> Any:
    if not _is_composite(value):
        value = convert_to_tensor(value)
    if value.shape.rank == 0:
        raise InvalidArgumentError(f"{what}: elements must have a first dimension to go along, received a scalar {value!r}")
    return value


def _count(elements: Sequence[Any]) -> tuple[int | None, Any]:
    """The number of rows: static where known, and as a tensor."""
    known: int | None = None
    for e in elements:
        first = e.shape[0] if e.shape.rank is not None else None
        if first is not None:
            if known is not None and known != first:
                raise InvalidArgumentError(f"all elems must have the same first dimension, received {known} and {first}")
            known = first
    if known is not None:
        return known, convert_to_tensor(known, dtypes.int32)
    e = elements[0]
    return None, raw.Cast(e.nrows(), DstT=dtypes.int32) if hasattr(e, "nrows") else raw.Shape(e)[0]


class _Rows:
    """The rows of dense and composite tensors, readable by number inside a loop."""

    def __init__(self, elements: Sequence[Any]):
        self.elements = list(elements)
        self.lists: list[Any] = []
        eager = dispatch.executing_eagerly()
        for e in self.elements:
            if eager or _is_composite(e):
                self.lists.append(None)
                continue
            inner = raw.Shape(e)[1:] if not (e.shape.rank is not None and e.shape[1:].is_fully_defined()) else e.shape[1:].as_list()
            self.lists.append(raw.TensorListFromTensor(e, np.array(inner, np.int32) if isinstance(inner, list) else inner))

    def __call__(self, i: Any) -> list[Any]:
        out = []
        for e, rows in zip(self.elements, self.lists, strict=True):
            if rows is None:
                out.append(e[i])
                continue
            inner = e.shape[1:] if e.shape.rank is not None else unknown_shape()
            wanted = np.array(inner.as_list() if inner.is_fully_defined() else -1, np.int32)
            row = raw.TensorListGetItem(rows, i, wanted, element_dtype=e.dtype)
            row.set_shape(inner)
            out.append(row)
        return out


def _spec_of_result(value: Any) -> Any:
    if isinstance(value, TypeSpec):
        return value
    return TensorSpec(unknown_shape(), as_dtype(value))


# -- map_fn ----------------------------------------------------------------------------------------------------------


@public("map_fn")
def map_fn(
    fn: Any, elems: Any, dtype: Any = None, parallel_iterations: int | None = None, back_prop: bool = True, swap_memory: bool = False,
    infer_shape: bool = True, name: str | None = None, fn_output_signature: Any = None,
) -> Any:  # fmt: skip
    """`fn` of each row of `elems` (a tensor, ragged tensor or structure of them), stacked.

    Args:
        fn_output_signature: dtypes or specs of what `fn` returns; by default the dtypes of `elems`. A RaggedTensorSpec lets rows
            differ in length: the results are joined into a ragged tensor.

    Raises:
        TypeError, ValueError: `fn` is not callable; elems are scalars or of different lengths; the results do not fit the signature.
    """
    if not callable(fn):
        raise TypeError(f"The provided function {fn!r} is not callable. fn must be callable.")
    wanted = fn_output_signature if fn_output_signature is not None else dtype
    fn = _converted(fn)
    flat = [_as_elements(e, "tf.map_fn") for e in nest.flatten(elems)]
    if not flat:
        raise InvalidArgumentError("elems must be a Tensor or (possibly nested) sequence of Tensors. Got no tensors.")
    if wanted is None:
        wanted = nest.map_structure(_default_spec, nest.pack_sequence_as(elems, flat))
    signature = nest.map_structure(_spec_of_result, wanted)
    with dispatch.name_scope(name or "map"):
        static, count = _count(flat)
        rows = _Rows(flat)

        def one(i: Any) -> list[Any]:
            result = fn(nest.pack_sequence_as(elems, rows(i)))
            nest.assert_same_structure(signature, result, check_types=False)
            return [_fit(r, s) for r, s in zip(nest.flatten(result), nest.flatten(signature), strict=True)]

        out = _collect(one, nest.flatten(signature), static, count, parallel_iterations, infer_shape)
        return nest.pack_sequence_as(signature, out)


def _default_spec(e: Any) -> Any:
    if _is_composite(e):
        spec = e._type_spec
        if isinstance(spec, RaggedTensorSpec):
            if spec.ragged_rank <= 1:
                return TensorSpec(spec.shape[1:], spec.dtype)
            return RaggedTensorSpec(spec.shape[1:], spec.dtype, spec.ragged_rank - 1, spec.row_splits_dtype)
    return TensorSpec(unknown_shape(), e.dtype)


def _fit(value: Any, spec: Any) -> Any:
    if isinstance(spec, TensorSpec):
        t = convert_to_tensor(value, spec.dtype) if not isinstance(value, Tensor) else value
        if t.dtype != spec.dtype:
            raise TypeError(f"tf.map_fn: fn returned {t.dtype.name}, but fn_output_signature asks for {spec.dtype.name}")
        if not t.shape.is_compatible_with(spec.shape):
            raise InvalidArgumentError(f"tf.map_fn: fn returned shape {t.shape}, but fn_output_signature asks for {spec.shape}")
        return t
    if isinstance(spec, RaggedTensorSpec):
        if spec.ragged_rank == 0 or not _is_composite(value):
            if spec.ragged_rank > 0:
                return tf.RaggedTensor.from_tensor(value, ragged_rank=spec.ragged_rank, row_splits_dtype=spec.row_splits_dtype)
            return convert_to_tensor(value, spec.dtype)
        return value
    if not spec.is_compatible_with(value):
        raise InvalidArgumentError(f"tf.map_fn: fn returned {value!r}, but fn_output_signature asks for {spec!r}")
    return value


def _collect(
    one: Callable[[Any], list[Any]], specs: Sequence[Any], static: int | None, count: Any, parallel: int | None, infer_shape: bool
) -> list[Any]:
    """Run `one(i)` for all rows and stack each of its results."""
    if dispatch.executing_eagerly():
        gathered: list[list[Any]] = [[] for _ in specs]
        for i in range(int(count)):
            for column, value in zip(gathered, one(convert_to_tensor(i, dtypes.int32)), strict=True):
                column.append(value)
        return [_stack_eagerly(column, spec) for column, spec in zip(gathered, specs, strict=True)]
    parts = [_parts_of(s) for s in specs]
    initial = []
    for dtype, shape, grows in [p for ps in parts for p in ps]:
        static_shape = [-1 if d is None else d for d in shape] if shape.rank is not None else -1
        del grows
        initial.append(raw.TensorListReserve(np.array(static_shape, np.int32), count, element_dtype=dtype))
        initial[-1].handle_data = [(dtype, shape)]
    shapes: list[TensorShape | None] = [None] * len(initial)

    def body(i: Any, lists: Sequence[Any]) -> Any:
        values = [t for v, s in zip(one(i), specs, strict=True) for t in _split(v, s)]
        out = []
        for k, (handle, t) in enumerate(zip(lists, values, strict=True)):
            shapes[k] = t.shape
            out.append(raw.TensorListSetItem(handle, i, t, element_dtype=t.dtype))
            out[-1].handle_data = handle.handle_data
        return raw.AddV2(i, 1), out

    zero = convert_to_tensor(0, dtypes.int32)
    _, lists = tf.while_loop(
        lambda i, _: raw.Less(i, count), body, (zero, initial), parallel_iterations=parallel or 10, maximum_iterations=count
    )
    joined = []
    for handle, (dtype, shape, grows), found in zip(lists, [p for ps in parts for p in ps], shapes, strict=True):
        known = found if found is not None and infer_shape else shape
        if grows:
            inner = known[1:] if known.rank is not None else unknown_shape()
            whole = np.array([-1, *(-1 if d is None else d for d in inner)] if inner.rank is not None else -1, np.int32)
            joined.append(raw.TensorListConcatV2(handle, whole, np.zeros(0, np.int64), element_dtype=dtype))
            continue
        size = np.array([-1 if d is None else d for d in known] if known.rank is not None else -1, np.int32)
        t = raw.TensorListStack(handle, size, element_dtype=dtype, num_elements=-1 if static is None else static)
        t.set_shape(TensorShape([static]).concatenate(known))
        joined.append(t)
    out, at = [], 0
    for spec, ps in zip(specs, parts, strict=True):
        out.append(_join(joined[at : at + len(ps)], spec, count))
        at += len(ps)
    return out


def _parts_of(spec: Any) -> list[tuple[Any, TensorShape, bool]]:
    """What is kept for each row of a result: (dtype, shape, whether the first dimension differs between rows)."""
    if isinstance(spec, RaggedTensorSpec):
        rank = spec.ragged_rank
        inner = spec.shape[rank + 1 if rank else 1 :] if spec.shape.rank is not None else unknown_shape()
        flat = TensorShape([None]).concatenate(inner)
        return [(spec.dtype, flat, True), *((spec.row_splits_dtype, TensorShape([None]), True) for _ in range(rank))]
    if isinstance(spec, TensorSpec):
        return [(spec.dtype, spec.shape, False)]
    raise InvalidArgumentError(
        f"tf.map_fn: results of spec {spec!r} cannot be joined while tracing; expected TensorSpec or RaggedTensorSpec. Return the "
        f"components as tensors instead."
    )


def _split(value: Any, spec: Any) -> list[Any]:
    if not isinstance(spec, RaggedTensorSpec):
        return [value]
    if spec.ragged_rank == 0:
        return [value]
    lengths = [raw.Cast(n, DstT=spec.row_splits_dtype) if n.dtype != spec.row_splits_dtype else n for n in value.nested_row_lengths()]
    return [value.flat_values, *lengths]


def _join(parts: Sequence[Any], spec: Any, count: Any) -> Any:
    if not isinstance(spec, RaggedTensorSpec):
        return parts[0]
    (flat, flat_lengths), *levels = parts
    outer = levels[0][1] if levels else flat_lengths
    splits = spec.row_splits_dtype
    lengths = [outer, *(values for values, _ in levels)]
    lengths = [n if n.dtype == splits else raw.Cast(n, DstT=splits) for n in lengths]
    return tf.RaggedTensor.from_nested_row_lengths(flat, lengths, validate=False)


def _stack_eagerly(column: list[Any], spec: Any) -> Any:
    if isinstance(spec, RaggedTensorSpec):
        if not column:
            inner = spec.shape[spec.ragged_rank + 1 :] if spec.shape.rank is not None else TensorShape([])
            flat = np.zeros([0, *(d or 0 for d in inner)], spec.dtype.numpy)
            levels = [np.zeros(0, spec.row_splits_dtype.numpy) for _ in range(spec.ragged_rank + 1)]
            return tf.RaggedTensor.from_nested_row_lengths(flat, levels, validate=False)
        columns = list(zip(*(_split(v, spec) for v in column), strict=True))
        parts = []
        for values in columns:
            lengths = np.array([v.shape[0] for v in values], np.int64)
            parts.append((raw.ConcatV2(list(values), 0), convert_to_tensor(lengths)))
        return _join(parts, spec, None)
    if not column:
        if not isinstance(spec, TensorSpec):
            raise InvalidArgumentError("tf.map_fn: cannot stack no results of a composite type")
        sizes = [d or 0 for d in spec.shape] if spec.shape.rank is not None else []
        return convert_to_tensor(np.zeros([0, *sizes], spec.dtype.numpy), spec.dtype)
    if isinstance(spec, TensorSpec):
        return raw.Pack(column)
    return tf.stack(column)


@public("vectorized_map")
def vectorized_map(fn: Any, elems: Any, fallback_to_while_loop: bool = True, warn: bool = True) -> Any:
    """`fn` of each row of `elems`, stacked; the result's structure and dtypes are what `fn` returns. Rows are computed one by one."""
    fn = _converted(fn)
    flat = [_as_elements(e, "tf.vectorized_map") for e in nest.flatten(elems)]
    _, count = _count(flat)
    if dispatch.executing_eagerly():
        rows = [fn(nest.pack_sequence_as(elems, [e[i] for e in flat])) for i in range(int(count))]
        if not rows:
            raise InvalidArgumentError("vectorized_map: expected at least one row, received none")
        columns = [tf.stack([convert_to_tensor(v) for v in c]) for c in zip(*(nest.flatten(r) for r in rows), strict=True)]
        return nest.pack_sequence_as(rows[0], columns)
    # What fn returns is known only from tracing it once, which leaves nothing behind in this graph.
    from tracer.tracing import FuncGraph, trace_into

    probe = FuncGraph("probe", dispatch.current_graph())
    with trace_into(probe):
        result = nest.map_structure(convert_to_tensor, fn(nest.pack_sequence_as(elems, _Rows(flat)(convert_to_tensor(0)))))
        signature = nest.map_structure(lambda t: TensorSpec(t.shape, t.dtype), result)
    return map_fn(fn, elems, fn_output_signature=signature)


# -- folds -----------------------------------------------------------------------------------------------------------


def _start(flat: Sequence[Any], elems: Any, initializer: Any, rows: _Rows, first: Any) -> tuple[Any, bool]:
    """The first value of the accumulator, and whether it is a row of `elems`."""
    if initializer is None:
        return nest.pack_sequence_as(elems, rows(first)), True
    return nest.map_structure(convert_to_tensor, initializer), False


def _checked_fold(fn: Any, what: str) -> Callable[..., Any]:
    if not callable(fn):
        raise TypeError(f"{what}: fn must be callable, received {fn!r}")
    return _converted(fn)


def _fold(fn: Any, elems: Any, initializer: Any, parallel: int | None, name: str, reverse: bool) -> Any:
    fn = _checked_fold(fn, f"tf.{name}")
    flat = [_as_elements(e, f"tf.{name}") for e in nest.flatten(elems)]
    with dispatch.name_scope(name):
        _, count = _count(flat)
        rows = _Rows(flat)
        acc, used = _start(flat, elems, initializer, rows, raw.Sub(count, 1) if reverse else convert_to_tensor(0, dtypes.int32))

        def step(i: Any, a: Any) -> Any:
            at = raw.Sub(raw.Sub(count, 1), i) if reverse else i
            return nest.map_structure(convert_to_tensor, fn(a, nest.pack_sequence_as(elems, rows(at))))

        if dispatch.executing_eagerly():
            for i in range(1 if used else 0, int(count)):
                acc = step(convert_to_tensor(i, dtypes.int32), acc)
            return acc
        begin = convert_to_tensor(1 if used else 0, dtypes.int32)
        _, acc = tf.while_loop(
            lambda i, a: raw.Less(i, count), lambda i, a: (raw.AddV2(i, 1), step(i, a)), (begin, acc),
            parallel_iterations=parallel or 10, maximum_iterations=count,
        )  # fmt: skip
        return acc


@public("foldl")
def foldl(
    fn: Any, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True, swap_memory: bool = False,
    name: str | None = None,
) -> Any:  # fmt: skip
    """`acc = fn(acc, row)` over the rows of `elems` from first to last, beginning with `initializer` or else the first row."""
    return _fold(fn, elems, initializer, parallel_iterations, name or "foldl", False)


@public("foldr")
def foldr(
    fn: Any, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True, swap_memory: bool = False,
    name: str | None = None,
) -> Any:  # fmt: skip
    """`acc = fn(acc, row)` over the rows of `elems` from last to first, beginning with `initializer` or else the last row."""
    return _fold(fn, elems, initializer, parallel_iterations, name or "foldr", True)


@public("scan")
def scan(
    fn: Any, elems: Any, initializer: Any = None, parallel_iterations: int = 10, back_prop: bool = True, swap_memory: bool = False,
    infer_shape: bool = True, reverse: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """All values of `acc = fn(acc, row)` over the rows of `elems`, stacked in the order of the rows.

    Without `initializer` the first (or last, if `reverse`) row is the first value.
    """
    fn = _checked_fold(fn, "tf.scan")
    flat = [_as_elements(e, "tf.scan") for e in nest.flatten(elems)]
    with dispatch.name_scope(name or "scan"):
        static, count = _count(flat)
        rows = _Rows(flat)
        acc, used = _start(flat, elems, initializer, rows, raw.Sub(count, 1) if reverse else convert_to_tensor(0, dtypes.int32))

        def step(i: Any, a: Any) -> Any:
            result = fn(a, nest.pack_sequence_as(elems, rows(i)))
            nest.assert_same_structure(a, result, check_types=False)
            return nest.pack_sequence_as(a, [convert_to_tensor(r) for r in nest.flatten(result)])

        if dispatch.executing_eagerly():
            found = [acc] if used else []
            n = int(count)
            for i in range(1 if used else 0, n):
                acc = step(convert_to_tensor(n - 1 - i if reverse else i, dtypes.int32), acc)
                found.append(acc)
            if reverse:
                found.reverse()
            columns = zip(*(nest.flatten(f) for f in found), strict=True)
            if not found:
                columns = ((),) * len(nest.flatten(acc))  # type: ignore[assignment]
            stacked = [
                raw.Pack(list(c)) if c else convert_to_tensor(np.zeros([0, *a.shape], a.dtype.numpy), a.dtype)
                for c, a in zip(columns, nest.flatten(acc), strict=True)
            ]
            return nest.pack_sequence_as(acc, stacked)
        return _traced_scan(step, acc, used, static, count, parallel_iterations, reverse)


def _traced_scan(step: Any, acc: Any, used: bool, static: int | None, count: Any, parallel: int | None, reverse: bool) -> Any:
    leaves = nest.flatten(acc)
    initial = []
    last = raw.Sub(count, 1)
    for t in leaves:
        shape = np.array([-1 if d is None else d for d in t.shape] if t.shape.rank is not None else -1, np.int32)
        handle = raw.TensorListReserve(shape, count, element_dtype=t.dtype)
        if used:
            handle = raw.TensorListSetItem(handle, last if reverse else 0, t, element_dtype=t.dtype)
        handle.handle_data = [(t.dtype, t.shape)]
        initial.append(handle)

    def body(i: Any, a: Any, lists: Sequence[Any]) -> Any:
        at = raw.Sub(last, i) if reverse else i
        a = step(at, a)
        out = []
        for handle, t in zip(lists, nest.flatten(a), strict=True):
            out.append(raw.TensorListSetItem(handle, at, t, element_dtype=t.dtype))
            out[-1].handle_data = handle.handle_data
        return raw.AddV2(i, 1), a, out

    begin = convert_to_tensor(1 if used else 0, dtypes.int32)
    _, _, lists = tf.while_loop(
        lambda i, a, _: raw.Less(i, count), body, (begin, acc, initial), parallel_iterations=parallel or 10, maximum_iterations=count
    )
    out = []
    for handle, t in zip(lists, leaves, strict=True):
        size = np.array([-1 if d is None else d for d in t.shape] if t.shape.rank is not None else -1, np.int32)
        stacked = raw.TensorListStack(handle, size, element_dtype=t.dtype, num_elements=-1 if static is None else static)
        stacked.set_shape(TensorShape([static]).concatenate(t.shape))
        out.append(stacked)
    return nest.pack_sequence_as(acc, out)
