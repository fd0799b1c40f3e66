"""SymbolicGradient: the gradient of a function by its arguments, as functions of TensorFlow 1 have it."""

from __future__ import annotations

from typing import Any

from tracer.functions import prepare
from tracer.gradients import gradients
from tracer.ir.attrs import FunctionRef
from tracer.registry import op
from tracer.shapes import TensorShape
from tracer.tracing import FuncGraph, copy_nodes, trace_into

symbolic_op = op(
    "SymbolicGradient(input: Tin) -> (output: Tout); Tin: list(type) >= 1; Tout: list(type) >= 1; f: func"
).not_differentiable()


@symbolic_op.infer
def _(ctx: Any) -> Any:
    return [ctx.shape(i) for i in range(len(ctx.output_dtypes))]


@symbolic_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    graph = _gradient_graph(attrs["f"])
    runnable: list[Any] = []

    def kernel(*inputs: Any) -> list[Any]:
        if not runnable:
            runnable.append(prepare(graph))
        return runnable[0](*inputs)

    return kernel


def _gradient_graph(ref: FunctionRef) -> Any:
    """The function from (arguments, gradients of the results) to gradients of the arguments: the model's own, or derived."""
    library = ref.library
    if library is not None and ref.name in library.gradients:
        return library.instance(library.gradients[ref.name], ref.attrs)
    body = ref.graph
    graph = FuncGraph(f"{ref.name}_gradient", None, body.library)
    xs = [graph.add_input(t.dtype, t.shape, t.node.name) for t in body.inputs]
    grad_ys = [graph.add_input(t.dtype, TensorShape(None), f"grad_{i}") for i, t in enumerate(body.outputs)]
    mapping = {id(inner): x for inner, x in zip(body.inputs, xs, strict=True)}
    with trace_into(graph):
        copy_nodes(body, graph, mapping, inline=True)
        ys = [mapping[id(t)] for t in body.outputs]
        graph.finish(gradients(ys, xs, grad_ys, unconnected_gradients="zero"))
    return graph
