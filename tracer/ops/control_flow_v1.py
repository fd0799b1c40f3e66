"""The control flow of TensorFlow 1: Switch, Merge, the frames of loops, and the stacks that their gradients keep values on.

Switch, Merge and the ops of frames have no kernel, because what they do is decide which nodes run: tracer/exec/dataflow.py, which lets
values flow along edges, does that.
"""

from __future__ import annotations

from typing import Any

from tracer import infer
from tracer.errors import InvalidArgumentError
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape

_WHY = "it steers which nodes of a graph run; run it inside a graph (tracer.exec.dataflow), or use tf.cond and tf.while_loop"


def _same(ctx: Any) -> list[TensorShape]:
    for i in range(len(ctx.output_dtypes)):
        if ctx.handle(0) is not None:
            ctx.handle_data[i] = ctx.handle(0)
    return [ctx.shape(0)] * len(ctx.output_dtypes)


def _merged(ctx: Any) -> list[TensorShape]:
    shape = ctx.shape(0)
    for i in range(1, len(ctx)):
        shape = shape.most_general(ctx.shape(i))
    if all(ctx.handle(i) == ctx.handle(0) for i in range(len(ctx))) and ctx.handle(0) is not None:
        ctx.handle_data[0] = ctx.handle(0)
    return [shape, TensorShape([])]


def _entered(ctx: Any) -> list[TensorShape]:
    # what goes round a loop may change its shape; what is constant in it does not
    return _same(ctx) if ctx.attr("is_constant") or ctx.dtype(0).kind == "r" else [unknown_shape(ctx.rank(0))]


for _text, _rule in (
    ("Switch(data: T, pred: bool) -> (output_false: T, output_true: T); T: type", _same),
    ("RefSwitch(data: ref(T), pred: bool) -> (output_false: ref(T), output_true: ref(T)) !allows_uninitialized_input; T: type", _same),
    ("_SwitchN(data: T, output_index: int32) -> (outputs: num_outs * T); num_outs: int >= 1; T: type", _same),
    ("Merge(inputs: N * T) -> (output: T, value_index: int32); T: type; N: int >= 1", _merged),
    ("RefMerge(inputs: ref(N * T)) -> (output: ref(T), value_index: int32); T: type; N: int >= 1", _merged),
    (
        "Enter(data: T) -> (output: T); T: type; frame_name: string; is_constant: bool = false; parallel_iterations: int = 10",
        _entered,
    ),
    (
        "RefEnter(data: ref(T)) -> (output: ref(T)); T: type; frame_name: string; is_constant: bool = false; "
        "parallel_iterations: int = 10",
        _same,
    ),
    ("Exit(data: T) -> (output: T); T: type", _same),
    ("RefExit(data: ref(T)) -> (output: ref(T)); T: type", _same),
    ("NextIteration(data: T) -> (output: T); T: type", _same),
    ("RefNextIteration(data: ref(T)) -> (output: ref(T)); T: type", _same),
):
    _record = op(_text)
    _record.infer(_rule)
    _record.no_kernel = _WHY

loop_cond_op = op("LoopCond(input: bool) -> (output: bool)").not_differentiable()
loop_cond_op.infer(infer.scalar)
loop_cond_op.kernel(lambda x: x)

control_trigger_op = op("ControlTrigger() -> ()").not_differentiable()
control_trigger_op.infer(lambda ctx: [])
control_trigger_op.kernel(lambda: ())

ref_select_op = op("RefSelect(index: int32, inputs: ref(N * T)) -> (output: ref(T)); T: type; N: int >= 1").not_differentiable()
ref_select_op.infer(infer.unknown)
ref_select_op.kernel(lambda index, *refs: refs[int(index)])


# -- stacks ----------------------------------------------------------------------------------------------------------


class Stack:
    """What a forward loop pushes and its gradient pops; it lives as long as a run of the graph."""

    def __init__(self) -> None:
        self.items: list[Any] = []

    def push(self, value: Any) -> Any:
        self.items.append(value)
        return value

    def pop(self) -> Any:
        if not self.items:
            raise InvalidArgumentError("Stack is empty when calling Pop(): the loop that pops turned more often than the one that pushes")
        return self.items.pop()


for _text, _kernel in (
    ('StackV2(max_size: int32) -> (handle: resource) !stateful; elem_type: type; stack_name: string = ""', lambda size: Stack()),
    (
        "StackPushV2(handle: resource, elem: T) -> (output: T) !stateful; T: type; swap_memory: bool = false",
        lambda stack, value: stack.push(value),
    ),
    ("StackPopV2(handle: resource) -> (elem: elem_type) !stateful; elem_type: type", lambda stack: stack.pop()),
    ("StackCloseV2(handle: resource) -> () !stateful", lambda stack: ()),
):
    _record = op(_text).not_differentiable()
    _record.infer(infer.like_input(1) if "elem: T" in _text else infer.unknown)
    _record.kernel(_kernel)
