"""Short ways through calls that look like the last one: eager tensors in, eager tensors out, no tape, no trace. It refuses all else.

The long way (tracer/functions.py) binds arguments and checks them; a path remembers what came of it, and repeats it for arguments of the same
kind. A path that cannot tell returns None, and the call takes the long way.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracer.specs import TensorSpec
from tracer.tensor import EagerTensor, make_eager

__all__ = ["KeywordPath", "argument_key", "order_of", "runner"]

_PLAIN = frozenset((bool, int, float, str, bytes, type(None)))


def runner(function: Any) -> Callable[[list[Any]], Any]:
    """fn(flat values of the arguments) → structured result, for a concrete function whose captures are added here."""
    graph = function.graph
    runnable = importlib.import_module("tracer.exec").prepare(graph)
    dtypes = [t.dtype for t in graph.outputs]
    handles = [(i, t.handle_data) for i, t in enumerate(graph.outputs) if t.handle_data is not None]
    checked = any(d.kind in "rv" or d.number > 100 for d in dtypes)
    structure = function.structured_outputs
    keys: list[Any] | None = None
    if type(structure) is dict and all(type(v) is TensorSpec for v in structure.values()) and len(structure) == len(dtypes):
        keys = sorted(structure)
        if list(structure) != keys:
            keys = None  # the result keeps the order of the structure: build_outputs knows
    alone = type(structure) is TensorSpec and len(dtypes) == 1
    captured = function.captured_inputs
    build = function.build_outputs

    def run(values: list[Any]) -> Any:
        for t in captured:
            values.append(t._value)
        results = runnable(*values)
        if checked:
            outputs = [make_eager(v, d) for v, d in zip(results, dtypes, strict=True)]
        else:
            outputs = [EagerTensor(v, d) for v, d in zip(results, dtypes)]
        for i, data in handles:
            outputs[i].handle_data = data
        if alone:
            return outputs[0]
        if keys is not None:
            return dict(zip(keys, outputs))
        return build(outputs)

    return run


def order_of(given: Sequence[Any], flat: Sequence[Any]) -> list[int] | None:
    """For each flat tensor the index of the given argument that it is; None where one is none of them or an argument was not used."""
    positions = {id(v): i for i, v in enumerate(given) if type(v) is EagerTensor}
    order = [positions.get(id(t), -1) for t in flat]
    return order if -1 not in order and len(set(order)) == len(order) == len(positions) else None


class KeywordPath:
    """Calls of one concrete function with eager tensors by keyword."""

    __slots__ = ("_captured", "_length", "_slots", "function", "run")

    def __init__(self, function: Any, kwargs: Mapping[str, Any], flat: Sequence[Any], order: Sequence[int]):
        names = list(kwargs)
        self.function = function
        self.run = runner(function)
        self._captured = function.captured_inputs
        self._length = len(names)
        # name, dtype, static shape, the last shape that fitted
        self._slots = [[names[k], t.dtype, wanted.shape, t._value.shape] for k, t, wanted in zip(order, flat, function.graph.inputs)]

    @classmethod
    def of(cls, function: Any, kwargs: Mapping[str, Any], flat: Sequence[Any]) -> KeywordPath | None:
        """The path for calls like this one, None where there is none."""
        order = order_of(list(kwargs.values()), flat)
        if order is None or len(order) != len(kwargs) or not all(type(t._value) is np.ndarray for t in flat):
            return None
        return cls(function, kwargs, flat, order)

    def bind(self, kwargs: Mapping[str, Any]) -> list[Any] | None:
        """The values of the arguments; None where they are not of the kind that is known to fit."""
        if len(kwargs) != self._length or self.function.captured_inputs is not self._captured:
            return None
        values = []
        for slot in self._slots:
            tensor = kwargs.get(slot[0])
            if type(tensor) is not EagerTensor or tensor.dtype is not slot[1]:
                return None
            value = tensor._value
            if value.shape != slot[3]:
                if not slot[2].is_compatible_with(tensor.shape):
                    return None
                slot[3] = value.shape
            values.append(value)
        return values


def argument_key(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """What tells calls of a polymorphic function apart whose arguments are eager tensors and plain Python values; None for others."""
    parts: list[Any] = []
    for value in args:
        kind = type(value)
        if kind is EagerTensor:
            inner = value._value
            if type(inner) is not np.ndarray:
                return None
            parts.append(value.dtype)
            parts.append(inner.shape)
        elif kind in _PLAIN:
            parts.append(kind)
            parts.append(value)
        else:
            return None
    if kwargs:
        for name, value in kwargs.items():
            kind = type(value)
            if kind is EagerTensor:
                inner = value._value
                if type(inner) is not np.ndarray:
                    return None
                parts.append((name, value.dtype, inner.shape))
            elif kind in _PLAIN:
                parts.append((name, kind, value))
            else:
                return None
    return tuple(parts)
