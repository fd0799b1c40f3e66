"""The NumPy engine: binds the steps of a plan to kernels and runs them in order. It refuses to know any op by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import registry
from tracer.errors import InvalidArgumentError, SavedModelError
from tracer.exec.plan import Plan, make_plan

__all__ = ["NumpyRunnable", "prepare"]


class NumpyRunnable:
    """A function bound to kernels. Calls are independent of each other, but for the resources they share."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self._template: list[Any] = [None] * plan.slots
        for slot, value in plan.constants.items():
            self._template[slot] = value
        self._steps: list[tuple[Callable[..., Any], list[int], list[int], list[Any], list[int], Any]] = []
        for step in plan.steps:
            record = registry.get_op(step.node.op)
            kernel = record.kernel_for(step.node.attrs)
            args = record.schema.outputs
            single = len(args) == 1 and not args[0].is_list
            dtypes = [t.dtype.numpy if t.dtype.kind not in "rv" and t.dtype.number < 100 else None for t in step.node.outputs]
            self._steps.append((kernel, step.inputs, step.outputs, dtypes, step.free, single))
        self._outputs = plan.outputs
        self._arity = len(plan.inputs)

    def __call__(self, *values: Any) -> list[Any]:
        """Run. `values` are the flat inputs; returns the flat outputs."""
        slots = self._template.copy()
        slots[: self._arity] = values
        index = 0
        try:
            with np.errstate(all="ignore"):
                for kernel, ins, outs, dtypes, free, single in self._steps:
                    result = kernel(*[slots[i] for i in ins])
                    if single:
                        dtype = dtypes[0]
                        if dtype is not None and (type(result) is not np.ndarray or result.dtype is not dtype):
                            result = _as_array(result, dtype)
                        slots[outs[0]] = result
                    elif outs:
                        for slot, dtype, value in zip(outs, dtypes, result, strict=True):
                            if dtype is not None and (type(value) is not np.ndarray or value.dtype is not dtype):
                                value = _as_array(value, dtype)
                            slots[slot] = value
                    for slot in free:
                        slots[slot] = None
                    index += 1
        except (ValueError, IndexError, TypeError, OverflowError, AttributeError) as error:
            raise self._explain(index, slots, error) from error
        return [slots[i] for i in self._outputs]

    def _explain(self, index: int, slots: list[Any], error: Exception) -> Exception:
        node = self.plan.steps[index].node
        where = f"function {self.plan.name} > node {node.name!r} ({node.op})"
        if isinstance(error, SavedModelError):
            if where not in str(error) and not getattr(error, "located", False):
                located = type(error)(f"{where}: {error}")
                located.located = True  # type: ignore[attr-defined]
                return located
            return error
        got = ", ".join(f"{getattr(v, 'dtype', type(v).__name__)}{getattr(v, 'shape', '')}" for v in (slots[i] for i in self._steps[index][1]))
        return InvalidArgumentError(f"{where}: {error} — received ({got}); check the values fed to the function")


def _as_array(value: Any, dtype: Any) -> Any:
    if dtype == object:
        if isinstance(value, np.ndarray):
            return value
        out = np.empty((), object)
        out[()] = value
        return out
    array = np.asarray(value)
    return array if array.dtype == dtype else array.astype(dtype)


def prepare(graph: Any) -> NumpyRunnable:
    """The runnable of `graph`."""
    return NumpyRunnable(make_plan(graph))
