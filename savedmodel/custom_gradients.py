"""Custom gradients of loaded functions: the saved gradient function runs with the tensors of the forward pass that it captured."""

from __future__ import annotations

from typing import Any

from savedmodel.errors import FormatError
from savedmodel.format import protos
from tracer import nest, tape
from tracer.functions import call_graph

__all__ = ["LoadedGradient"]


class LoadedGradient:
    """The rule of an IdentityN with a saved custom gradient."""

    accepts_none = True

    def __init__(self, loader: Any, function: str):
        self.loader = loader
        self.function = function

    def __call__(self, record: Any, *grads: Any) -> list[Any]:
        concrete = self.loader.concrete[self.function]
        graph = concrete.graph
        captured = [self._resolve(c, record) for c in concrete.captured_inputs]
        own = len(graph.inputs) - len(captured)
        given = [tape.zeros_like(t) if g is None else g for t, g in zip(record.outputs, grads, strict=True)]
        flat = [g for g in given if g is not None][:own] if len(given) != own else given
        outputs = call_graph(graph, [*flat, *captured])
        found = nest.flatten(concrete.build_outputs(outputs))
        if len(found) == len(record.inputs):
            return found
        return [None] * (len(record.inputs) - len(found)) + found

    def _resolve(self, capture: Any, record: Any) -> Any:
        if not isinstance(capture, protos.CapturedTensor):
            return capture
        node = record.node
        name = capture.name if ":" in capture.name else capture.name + ":0"
        if node is not None:
            if node.extra is not None:
                found = node.extra[0].get(name)
                if found is not None:
                    return found
            base = name.partition(":")[0]
            if base in node.graph.nodes:
                return node.graph.get_tensor(name)
        raise FormatError(
            f"custom gradient {self.function}: the forward tensor {capture.name!r} of {capture.concrete_function} is not to be found; "
            f"the gradient can only be taken of the function it was saved with"
        )
