"""Ops on the reference variables of TensorFlow 1 beyond plain assignment: scatters by coordinates, slices, counters.

The value of a reference is its VariableResource. The variables themselves, Assign and the row scatters are in variables.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.errors import OutOfRangeError
from tracer.registry import find_op, op

_NUMBERS = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, complex128, "
    "half, uint32, uint64}"
)


def _through(text: str, resource_op: str) -> None:
    """An op that does to a reference what `resource_op` does to a resource, and hands the reference on."""
    record = op(text).not_differentiable()
    record.infer(infer.like_input(0))

    @record.prepare
    def _(attrs: dict[str, Any]) -> Any:
        twin = find_op(resource_op)
        assert twin is not None  # in variables.py
        apply = twin.kernel_for({k: v for k, v in attrs.items() if k in twin.schema.attrs})

        def kernel(ref: Any, *inputs: Any) -> Any:
            apply(ref, *inputs)
            return ref

        return kernel


for _name in ("Add", "Max", "Min", "Sub", "Update"):
    _through(
        f"ScatterNd{_name}(ref: ref(T), indices: Tindices, updates: T) -> (output_ref: ref(T)); "
        f"T: {'type' if _name == 'Update' else _NUMBERS}; Tindices: {{int32, int64}}; "
        f"use_locking: bool = {'true' if _name == 'Update' else 'false'}",
        f"ResourceScatterNd{_name}",
    )
_through(
    "StridedSliceAssign(ref: ref(T), begin: Index, end: Index, strides: Index, value: T) -> (output_ref: ref(T)); T: type; "
    "Index: {int32, int64}; begin_mask: int = 0; end_mask: int = 0; ellipsis_mask: int = 0; new_axis_mask: int = 0; shrink_axis_mask: int = 0",
    "ResourceStridedSliceAssign",
)

destroy_temporary_op = op("DestroyTemporaryVariable(ref: ref(T)) -> (value: T); T: type; var_name: string").not_differentiable()
destroy_temporary_op.infer(infer.like_input(0))
destroy_temporary_op.kernel(lambda ref: ref.read())

count_op = op("ResourceCountUpTo(resource: resource) -> (output: T) !stateful; limit: int; T: {int32, int64}").not_differentiable()
count_op.infer(infer.scalar)


@count_op.kernel
def _(resource: Any, *, limit: int) -> Any:
    old = resource.read()
    if old >= limit:
        raise OutOfRangeError(f"Reached limit of {limit}")
    resource.write(np.asarray(old + 1, old.dtype))
    return old
