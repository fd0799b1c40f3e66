"""The NumPy engine: makes the plan of a function, binds its steps to kernels and runs them. It refuses to know any op by name.

The first calls walk the list of steps; then the plan becomes generated Python (see codegen.py). Kernels that continue a state from call to
call, such as seeded random ops, are bound once for each step of a runnable and kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer.errors import InvalidArgumentError, SavedModelError
from tracer.exec.codegen import Program, generate
from tracer.exec.fuse import fuse_products, join_gelu, reuse_buffers
from tracer.exec.plan import Plan, make_plan
from tracer.exec.static import AliasedError, StaticValues, bind, conform, find_static, fold_constants, split

__all__ = ["NumpyRunnable", "optimize", "prepare"]

_CALLS_BEFORE_CODE = 8
_ERRORS = (ValueError, IndexError, TypeError, OverflowError, AttributeError)


def optimize(plan: Plan) -> Plan:
    """Fold, fuse and order `plan` in place."""
    fold_constants(plan)
    static = find_static(plan)
    plan.drop_unused()
    join_gelu(plan)
    fuse_products(plan, static)
    split(plan, static)
    plan.drop_unused()
    reuse_buffers(plan)
    return plan


class NumpyRunnable:
    """A function bound to kernels. Calls are independent of each other, but for the resources they share; threads may call at once.

    Attributes:
        nested: as the runnable itself, for calls from inside a run: NumPy's error state is set already.
        plan: what it runs. program: the generated code, once there is some.
    """

    def __init__(self, plan: Plan, compile_after: int | None = None):
        self.plan = plan
        self._graph = plan.graph
        self._fallback: NumpyRunnable | None = None
        plan.mark_last_uses()
        self._steps = [*plan.first, *plan.steps]
        for step in (*self._steps, *plan.static):
            bind(step)
        self._static = StaticValues(plan) if plan.static else None
        self._head = len(plan.first)
        # Code pays after as many calls as it takes to make: some 60 µs a step, for less than 1 µs a step and call.
        self._left = _CALLS_BEFORE_CODE + len(self._steps) // 16 if compile_after is None else compile_after
        self.program: Program | None = None
        self.nested: Callable[..., list[Any]] = self._interpret

    def __call__(self, *values: Any) -> list[Any]:
        """Run. `values` are the flat inputs; returns the flat outputs."""
        with np.errstate(all="ignore"):  # values overflow, divide by zero and make NaN silently, as TensorFlow's do
            return self.nested(*values)

    def compile(self) -> None:
        """Generate code for the plan, and use it from now on."""
        program = generate(self.plan, self._static, self._explain, _ERRORS, self._plain)
        self.program = program
        self.nested = program.run

    def _interpret(self, *values: Any) -> list[Any]:
        self._left -= 1
        if self._left < 0:
            self.compile()
            return self.nested(*values)
        plan = self.plan
        slots: list[Any] = [None] * plan.slots
        for slot, value in plan.constants.items():
            slots[slot] = value
        if len(values) != plan.inputs:
            raise InvalidArgumentError(f"function {plan.name}: expected {plan.inputs} values, received {len(values)}")
        slots[: plan.inputs] = values
        index: int | None = 0
        try:
            for index, step in enumerate(self._steps):
                if index == self._head:
                    self._fill_static(slots)
                result = step.kernel(*[slots[i] for i in step.inputs])  # type: ignore[misc]
                outputs = step.outputs
                if outputs:
                    for slot, dtype, value in zip(outputs, step.dtypes, (result,) if step.single else result, strict=True):
                        if dtype is not None and (type(value) is not np.ndarray or value.dtype is not dtype):
                            value = conform(value, dtype)
                        slots[slot] = value
                result = value = None
                for slot in step.free:
                    slots[slot] = None
            if self._head >= len(self._steps):
                index = None
                self._fill_static(slots)
        except AliasedError:
            return self._plain(*values)
        except _ERRORS as error:
            raise self._explain(index, dict(enumerate(slots)), error) from error
        return [slots[i] for i in plan.outputs]

    def _plain(self, *values: Any) -> list[Any]:
        """Run without static values; used where two arguments turn out to be one variable, before any step has run."""
        if self._fallback is None:
            self._fallback = NumpyRunnable(make_plan(self._graph))
        return self._fallback.nested(*values[: self._fallback.plan.inputs])  # a loop's body may have got more

    def _fill_static(self, slots: list[Any]) -> None:
        static = self._static
        if static is not None:
            for slot, value in zip(static.slots, static.current(tuple([slots[i] for i in static.handles])), strict=True):
                slots[slot] = value

    def _explain(self, index: int | None, values: dict[int, Any], error: BaseException) -> BaseException:
        step = getattr(error, "step", None)
        if step is None:
            if index is None:
                return error
            step = self._steps[index]
        where = f"function {step.where} > node {step.node.name!r} ({step.node.op})"
        if isinstance(error, SavedModelError):
            if where not in str(error) and not getattr(error, "located", False):
                located = type(error)(f"{where}: {error}")
                located.located = True  # type: ignore[attr-defined]
                return located
            return error
        given = [values.get(i, self.plan.constants.get(i)) for i in step.inputs]
        got = ", ".join(f"{getattr(v, 'dtype', type(v).__name__)}{getattr(v, 'shape', '')}" for v in given)
        return InvalidArgumentError(f"{where}: {error} — received ({got}); check the values fed to the function")


def prepare(graph: Any) -> NumpyRunnable:
    """The runnable of `graph`."""
    return NumpyRunnable(optimize(make_plan(graph)))
