"""While loops: bodies prepared once, and products of the list elements that a turn reads taken out of the loop, all turns in one product.

A recurrent layer multiplies, in turn t, element t of a list by weights that the loop does not change. One product of all elements costs less
than one a turn. It refuses where the elements are not matrices of one shape, or would take too much memory: then turns multiply as written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer.errors import InvalidArgumentError
from tracer.exec.numpy_engine import NumpyRunnable, optimize
from tracer.exec.plan import Plan, Step, make_plan, uses_old_control_flow
from tracer.tracing import RANDOM_OPS

__all__ = ["hoist_products", "while_loop"]

_MOST_BYTES = 1 << 27


class Hoisted:
    """A loop body that reads rows of products computed before the loop.

    Attributes:
        body: takes the loop's variables and then one array for each product; returns the loop's variables alone.
        products: for each, the loop variables that are the list and the weights.
    """

    def __init__(self, body: NumpyRunnable, products: list[tuple[int, int]]):
        self.body = body
        self.products = products

    def before(self, values: tuple[Any, ...]) -> list[np.ndarray] | None:
        """The products for a loop that starts with `values`; None where they cannot be had."""
        out = []
        for list_index, weight_index in self.products:
            stacked = _stacked(values[list_index])
            weights = values[weight_index]
            if stacked is None or weights.ndim != 2 or stacked.shape[-1] != weights.shape[0] or stacked.dtype != weights.dtype:
                return None
            turns, rows, depth = stacked.shape
            if turns * rows * weights.shape[1] * weights.itemsize > _MOST_BYTES or not stacked.size:
                return None
            out.append(np.matmul(stacked.reshape(turns * rows, depth), weights).reshape(turns, rows, weights.shape[1]))
        return out


def _stacked(value: Any) -> np.ndarray | None:
    items = getattr(value, "items", None)
    if not isinstance(items, (list, tuple)) or not items:
        return None
    first = items[0]
    if type(first) is not np.ndarray or first.ndim != 2 or first.dtype not in (np.float32, np.float64):
        return None
    for item in items:
        if type(item) is not np.ndarray or item.shape != first.shape or item.dtype != first.dtype:
            return None
    base = first.base
    if type(base) is np.ndarray and base.ndim == 3 and len(base) == len(items) and base.flags.c_contiguous and base.dtype == first.dtype:
        start = base.__array_interface__["data"][0]
        step = base.strides[0]
        if all(i.base is base and i.__array_interface__["data"][0] == start + k * step and i.flags.c_contiguous for k, i in enumerate(items)):
            return base  # the list was made of one array: its elements lie there in order
    return np.stack(items)


def hoist_products(graph: Any) -> Hoisted | None:
    """The body `graph` of a loop with its products taken out; None where there are none."""
    if uses_old_control_flow(graph):
        return None
    plan = make_plan(graph)
    if len(plan.outputs) != plan.inputs or any(s.node.op in RANDOM_OPS for s in plan.steps):  # a stream has one home
        return None
    fixed = {i for i, slot in enumerate(plan.outputs) if slot == i}
    made: dict[int, Step] = {s: step for step in plan.steps for s in step.outputs}
    products: list[tuple[int, int]] = []
    extra: dict[int, tuple[Step, int]] = {}
    for step in plan.steps:
        if step.op != "MatMul" or step.node.attrs.get("transpose_a") or step.node.attrs.get("transpose_b") or step.inputs[1] not in fixed:
            continue
        read = made.get(step.inputs[0])
        if read is None or read.op != "TensorListGetItem" or read.inputs[0] not in fixed or not _counts(plan, made, read.inputs[1]):
            continue
        extra[id(step)] = (read, len(products))
        products.append((read.inputs[0], step.inputs[1]))
    if not products:
        return None
    shift = len(products)
    _insert_inputs(plan, shift)
    first = plan.inputs - shift
    for step in plan.steps:
        if id(step) in extra:
            read, k = extra[id(step)]
            step.inputs = [first + k, read.inputs[1]]
            step.op = "MatMul of all turns"
            step.kernel = _row
            step.fresh = False
    plan.drop_unused()
    return Hoisted(NumpyRunnable(optimize(plan)), products)


def _counts(plan: Plan, made: dict[int, Step], slot: int) -> bool:
    """Whether a slot is a loop variable that grows by 1 a turn."""
    if slot >= plan.inputs:
        return False
    step = made.get(plan.outputs[slot])
    if step is None or step.op not in ("AddV2", "Add") or slot not in step.inputs:
        return False
    other = [i for i in step.inputs if i != slot]
    return len(other) == 1 and np.size(plan.constants.get(other[0], ())) == 1 and int(plan.constants[other[0]]) == 1


def _insert_inputs(plan: Plan, count: int) -> None:
    """Make room for `count` more inputs after the plan's own."""
    start = plan.inputs

    def move(slot: int) -> int:
        return slot + count if slot >= start else slot

    for step in plan.steps:
        step.inputs = [move(i) for i in step.inputs]
        step.outputs = [move(i) for i in step.outputs]
    plan.outputs = [move(i) for i in plan.outputs]
    plan.constants = {move(i): v for i, v in plan.constants.items()}
    plan.inputs += count
    plan.slots += count


def _row(products: np.ndarray, turn: np.ndarray) -> Any:
    if turn < 0:
        raise InvalidArgumentError(f"Trying to access element {int(turn)} in a list with {len(products)} elements.")
    return products[turn]


def while_loop(cond: Any, body: Any, hoisted: Callable[[], Hoisted | None], truth: Callable[[Any], bool]) -> Callable[..., Any]:
    """The kernel of a While.

    Args:
        cond, body: runnables. hoisted: gives the body with its products taken out. truth: whether a condition holds.
    """
    found: list[Hoisted | None] = []

    def run(*values: Any) -> Any:
        if not found:
            found.append(hoisted())
        other = found[0]
        if other is not None:
            more = other.before(values)
            if more is not None:
                inner = other.body
                while truth(cond.nested(*values)[0]):
                    values = inner.nested(*values, *more)
                return values
        while truth(cond.nested(*values)[0]):
            values = body.nested(*values)
        return values

    return run
