"""What of a plan does not change from call to call: constants folded once, and values of variables that the plan only reads.

Static steps run when a variable behind them was written since, and never otherwise. It refuses to fold what is random, has effects or
would take much more memory than it came from.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import registry
from tracer.errors import MissingKernelError, SavedModelError
from tracer.exec.plan import Plan, Step, finds_resources, has_effect, writes_resources
from tracer.tracing import CALL_OPS, RANDOM_OPS

__all__ = ["AliasedError", "StaticValues", "bind", "conform", "find_static", "fold_constants", "split"]

_RESOURCE = 20  # the number of tf.resource
_FREE_BYTES = 1 << 16
_GROWTH = 4


def bind(step: Step) -> Any:
    """The kernel of a step; made once."""
    if step.kernel is None:
        step.kernel = registry.get_op(step.node.op).kernel_for(step.node.attrs)
    return step.kernel


def conform(value: Any, dtype: Any) -> Any:
    """A kernel's result as an array of the dtype that the op promises."""
    if dtype.hasobject:
        if isinstance(value, np.ndarray):
            return value
        out = np.empty((), object)
        out[()] = value
        return out
    array = np.asarray(value)
    return array if array.dtype == dtype else array.astype(dtype)


def run_step(step: Step, values: Any) -> None:
    """Run one step on `values`, a list or dict by slot."""
    result = bind(step)(*[values[i] for i in step.inputs])
    results = (result,) if step.single else result
    if step.outputs:
        for slot, dtype, value in zip(step.outputs, step.dtypes, results, strict=True):
            if dtype is not None and (type(value) is not np.ndarray or value.dtype is not dtype):
                value = conform(value, dtype)
            values[slot] = value


def is_pure(step: Step) -> bool:
    """Whether a step gives the same for the same inputs, and does nothing else."""
    node = step.node
    if step.keep or node.op in CALL_OPS or node.op in RANDOM_OPS or None in step.dtypes or not step.outputs:
        return False
    return not registry.get_op(node.op).schema.is_stateful and not has_effect(node)


def fold_constants(plan: Plan) -> None:
    """Replace the steps that depend on constants alone by what they give."""
    constants, kept = plan.constants, []
    for step in plan.steps:
        if not all(i in constants for i in step.inputs) or not is_pure(step) or not _fits(step, constants):
            kept.append(step)
            continue
        values = {i: constants[i] for i in step.inputs}
        try:
            with np.errstate(all="ignore"):
                run_step(step, values)
        except (SavedModelError, ValueError, IndexError, TypeError, OverflowError, AttributeError, MissingKernelError):
            kept.append(step)  # it fails when it runs, and then says where
            continue
        if _size(values[i] for i in step.outputs) > max(_FREE_BYTES, _GROWTH * _size(values[i] for i in step.inputs)):
            kept.append(step)
            continue
        for i in step.outputs:
            constants[i] = values[i]
    plan.steps = kept


def _fits(step: Step, constants: Any) -> bool:
    """Whether the static shapes promise that folding does not make a small constant large."""
    total = 0
    for t, dtype in zip(step.node.outputs, step.dtypes, strict=True):
        count = t.shape.num_elements()
        if count is None:
            return step.op not in _GROWING or max((np.max(constants[i], initial=0) for i in step.inputs if constants[i].dtype.kind in "iu"), default=0) < 4096
        total += count * dtype.itemsize
    return total <= max(_FREE_BYTES, _GROWTH * _size(constants[i] for i in step.inputs))


_GROWING = frozenset("Fill BroadcastTo Tile Range LinSpace Pad PadV2 MirrorPad OneHot Eye MatrixDiagV3 MatrixDiagV2 SequenceMask Repeat".split())


def _size(values: Any) -> int:
    return sum(getattr(v, "nbytes", 0) for v in values)


def find_static(plan: Plan) -> set[int]:
    """The slots whose values follow from constants and from variables that nothing in the plan writes."""
    static = set(plan.constants)
    handles = set(range(plan.inputs))
    handles.update(s.outputs[0] for s in plan.steps if s.op == "VarHandleOp" and s.node.attrs.get("shared_name"))
    written: set[int] = set()
    for step in plan.steps:
        if writes_resources(step.node):
            found = {i for i, t in zip(step.inputs, step.node.inputs, strict=True) if t.dtype.number == _RESOURCE}
            if not found or not found <= handles or finds_resources(step.node):
                return static  # it may write anything
            written |= found
    plan.written = sorted(written)
    read: dict[int, int] = {}
    same: dict[int, int] = {}
    kept = []
    for step in plan.steps:
        if same:
            step.inputs = [same.get(i, i) for i in step.inputs]
        if step.op == "ReadVariableOp" and step.inputs[0] in handles and step.inputs[0] not in written:
            known = read.setdefault(step.inputs[0], step.outputs[0])
            if known != step.outputs[0]:
                same[step.outputs[0]] = known
                continue
            static.add(known)
        elif step.inputs and is_pure(step) and static.issuperset(step.inputs) and _stays_small(step):
            static.update(step.outputs)
        kept.append(step)
    plan.steps = kept
    if same:
        plan.outputs = [same.get(i, i) for i in plan.outputs]
    return static


def _stays_small(step: Step) -> bool:
    out = [t.shape.num_elements() for t in step.node.outputs]
    if None in out:
        return step.op not in _GROWING
    given = [t.shape.num_elements() or 0 for t in step.node.inputs]
    return sum(out) <= max(_FREE_BYTES // 4, _GROWTH * sum(given))  # type: ignore[arg-type]


def split(plan: Plan, static: set[int]) -> None:
    """Move the static steps of a plan, and the handles they read, out of `steps`."""
    steps, needed = [], set(plan.outputs)
    for step in plan.steps:
        if step.outputs and static.issuperset(step.outputs):
            plan.static.append(step)
        else:
            steps.append(step)
            needed.update(step.inputs)
    kept = []
    for step in reversed(plan.static):
        if not needed.isdisjoint(step.outputs):
            needed.update(step.inputs)
            kept.append(step)
    kept.reverse()
    plan.static = kept
    plan.sources = sorted({s.inputs[0] for s in kept if s.op == "ReadVariableOp"})
    made = {*plan.sources, *plan.written} - set(range(plan.inputs))
    plan.first = [s for s in steps if not made.isdisjoint(s.outputs)]
    plan.steps = [s for s in steps if made.isdisjoint(s.outputs)]


class AliasedError(Exception):
    """A resource that the plan writes is also one that it took to be read only: two arguments are one variable."""


class StaticValues:
    """The values of a plan's static steps for the variables they were last read from. Calls may run at the same time.

    `state` is (resources, their counts of writes, values of `slots`), replaced as a whole.
    """

    def __init__(self, plan: Plan):
        self.steps = plan.static
        self.sources = plan.sources
        self.handles = [*plan.sources, *plan.written]
        produced = {i for s in plan.static for i in s.outputs}
        read = {*plan.outputs, *(i for s in plan.steps for i in s.inputs)}
        self.slots = sorted(produced & read)
        self.constants = {i: plan.constants[i] for s in plan.static for i in s.inputs if i in plan.constants}
        self.state: tuple[Any, Any, Any] = (None, None, ())
        self._last: tuple[Any, Any, dict[int, Any]] = ((), [], {})

    def refresh(self, resources: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        """The state for `resources`, only what changed computed again."""
        old_resources, old_writes, old = self._last
        count = len(self.sources)
        if any(w is r for w in resources[count:] for r in resources[:count]):
            raise AliasedError
        # Counts first: a write that comes in between makes this state old, never wrong.
        writes = [r.writes for r in resources[:count]]
        changed = {
            slot for i, slot in enumerate(self.sources)
            if not old or resources[i] is not old_resources[i] or writes[i] != old_writes[i]
        }  # fmt: skip
        values = dict(self.constants)
        values.update(zip(self.handles, resources, strict=True))
        for step in self.steps:
            if changed.isdisjoint(step.inputs) and old:
                for slot in step.outputs:
                    values[slot] = old[slot]
            else:
                try:
                    run_step(step, values)
                except (ValueError, IndexError, TypeError, OverflowError, AttributeError, SavedModelError) as error:
                    error.step = step  # type: ignore[union-attr, attr-defined]
                    raise
                changed.update(step.outputs)
        self._last = (resources, writes, values)
        state = self.state = (resources, writes, tuple([values[i] for i in self.slots]))
        return state

    def current(self, resources: tuple[Any, ...]) -> tuple[Any, ...]:
        """The values of `slots`."""
        state = self.state
        if state[0] != resources or state[1] != [r.writes for r in resources[: len(self.sources)]]:
            state = self.refresh(resources)
        return state[2]

