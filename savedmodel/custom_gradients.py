"""Custom gradients, saved and loaded: a function of its own that captured tensors of the forward pass. It refuses ordinary gradients,
which follow from the ops.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

from savedmodel.errors import FormatError, MissingGradientError, UntrackedCaptureError
from savedmodel.format import protos
from savedmodel.graphdef import gradient_key
from savedmodel.graphdef_writer import flat_tensor_name
from savedmodel.structured import serialize_structure
from tracer import nest, tape
from tracer.functions import call_graph
from tracer.gradients import custom_gradient_rule
from tracer.ir.attrs import FunctionRef
from tracer.specs import TensorSpec
from tracer.tensor import EagerTensor
from tracer.tracing import FuncGraph, trace_into

__all__ = ["LoadedGradient", "collect_gradients"]


class LoadedGradient:
    """The rule of an IdentityN with a saved custom gradient."""

    accepts_none = True

    def __init__(self, library: Any, function: str):
        # The rule is registered for the whole process: it must not keep the model alive.
        self._library = weakref.ref(library)
        self.function = function

    @property
    def concrete(self) -> Any:
        """The gradient function with its captures."""
        return self._library().gradient_functions[self.function]

    def __call__(self, record: Any, *grads: Any) -> list[Any]:
        concrete = self.concrete
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


class _SavedGradient:
    """One gradient function on its way into a model."""

    def __init__(self, op_type: bytes, graph: FuncGraph, captured: list[Any], outputs: list[Any], own: int):
        self.op_type = op_type
        self.graph = graph
        self.captured = captured  # (node id) | (forward tensor name, forward graph)
        self.outputs = outputs
        self.own = own

    def write(self, objects: Any, writer: Any) -> None:
        """Add the function, its captures and its registration to the messages."""
        name = writer.functions.add(self.graph)
        message = objects.concrete_functions[name]
        for capture in self.captured:
            if isinstance(capture, int):
                message.bound_inputs.append(capture)
                continue
            tensor_name, graph = capture
            node = objects.nodes.add()
            node.captured_tensor.name = tensor_name
            node.captured_tensor.concrete_function = writer.functions.add(graph)
            message.bound_inputs.append(len(objects.nodes) - 1)
        grads = [TensorSpec(t.shape, t.dtype, f"result_grads_{i}") for i, t in enumerate(self.graph.inputs[: self.own])]
        message.canonicalized_input_signature.CopyFrom(serialize_structure(((None, *grads), {})))
        message.output_signature.CopyFrom(serialize_structure(self.outputs))
        writer.meta.graph_def.library.registered_gradients.add(gradient_func=name, registered_op_type=self.op_type.decode())


def collect_gradients(writer: Any) -> list[_SavedGradient]:
    """The gradient functions of every custom gradient in the functions being saved."""
    found: dict[bytes, _SavedGradient | None] = {}
    done = 0
    while done < len(writer.functions.graphs):  # gradient functions that are found join the list
        graph = writer.functions.graphs[done]
        done += 1
        for key, node in _marked_nodes(graph):
            if key in found:
                continue
            try:
                rule = custom_gradient_rule(key)
            except MissingGradientError:
                found[key] = None  # the model that was loaded had none either
                continue
            op_type = writer.functions.gradient_name(key)
            found[key] = entry = _loaded(writer, op_type, rule) if node is None else _traced(writer, graph, node, op_type, rule)
            writer.functions.add(entry.graph)
    return [entry for entry in found.values() if entry is not None]


def _marked_nodes(graph: FuncGraph) -> Iterator[tuple[bytes, Any]]:
    """The registered name of every custom gradient in a function, and its node where the function was traced here."""
    message = graph.extra.get("message")
    if message is not None and not graph.extra.get("changed"):
        for node in message.node_def:
            if "_gradient_op_type" in node.attr:
                yield gradient_key(node.attr["_gradient_op_type"].s, graph.library), None
        return
    for node in list(graph):
        key = node.attrs.get("_gradient_op_type")
        if key is not None and node.op not in ("PartitionedCall", "StatefulPartitionedCall"):
            yield key, node


def _loaded(writer: Any, op_type: bytes, rule: LoadedGradient) -> _SavedGradient:
    concrete = rule.concrete
    captured: list[Any] = []
    for capture in concrete.captured_inputs:
        if isinstance(capture, protos.CapturedTensor):
            captured.append((capture.name, FunctionRef(capture.concrete_function, concrete.graph.library).graph))
        else:
            captured.append(_node_id(writer, capture, rule.function))
    own = len(concrete.graph.inputs) - len(captured)
    return _SavedGradient(op_type, concrete.graph, captured, concrete.structured_outputs, own)


def _node_id(writer: Any, tensor: Any, function: str) -> int:
    node = writer.graph.node_of_capture(tensor)
    if node is None:
        raise UntrackedCaptureError(f"custom gradient {function}: it uses {tensor!r}, which is no attribute of the saved object; track it")
    return node


def _traced(writer: Any, graph: FuncGraph, node: Any, op_type: bytes, rule: Any) -> _SavedGradient:
    inner = FuncGraph("internal_grad_fn", graph)
    record = tape.Record(None, list(node.inputs), list(node.outputs), node.attrs)
    with trace_into(inner):
        grads = [inner.add_input(t.dtype, t.shape, f"result_grads_{i}") for i, t in enumerate(node.outputs)]
        results = [None if g is None else tape.densify(g) for g in rule(record, *grads)]
        inner.finish([g for g in results if g is not None])
    inner.name = "__inference_internal_grad_fn_0"
    captured: list[Any] = []
    outer_captures = {id(placeholder): tensor for tensor, placeholder in graph.captures}
    for tensor, _ in inner.captures:
        if isinstance(tensor, EagerTensor):
            captured.append(_node_id(writer, tensor, inner.name))
        elif id(tensor) in outer_captures and isinstance(outer_captures[id(tensor)], EagerTensor):
            captured.append(_node_id(writer, outer_captures[id(tensor)], inner.name))
        else:
            captured.append((flat_tensor_name(graph, tensor), graph))
    outputs = [None if g is None else TensorSpec(g.shape, g.dtype, f"tensor_{i}") for i, g in enumerate(results)]
    return _SavedGradient(op_type, inner, captured, outputs, len(grads))
