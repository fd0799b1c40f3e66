"""Tracer graphs → GraphDef and FunctionDef messages; `graphdef` reads them. It refuses to decide on names: see Names.

A body that was read and never changed is written back from its message, so that loading and saving loses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from savedmodel.format import protos
from savedmodel.format.tensor_proto import shape_to_proto, tensor_to_proto
from tracer import registry
from tracer.dtypes import DType
from tracer.errors import GraphError
from tracer.ir.attrs import FunctionRef, Placeholder
from tracer.ir.graph import Node
from tracer.schema import OpSchema
from tracer.shapes import TensorShape
from tracer.tracing import FuncGraph

__all__ = [
    "Names",
    "flat_tensor_name",
    "referenced_functions",
    "serialize_attr",
    "serialize_function",
    "serialize_node_attrs",
    "serialize_op_def",
]

# -- attrs -----------------------------------------------------------------------------------------------------------


class Names(Protocol):
    """Under which names functions and custom gradients stand in the model that is being written."""

    def rename(self, ref: FunctionRef) -> str: ...

    def gradient_name(self, key: bytes) -> bytes: ...

    def loaded_gradient_name(self, name: bytes, library: Any) -> bytes: ...


def serialize_attr(value: Any, out: Any, rename: Callable[[FunctionRef], str] | None = None, dtype: int | None = None) -> None:
    """Write `value` into AttrValue `out`. `rename` gives the name of a referenced function; `dtype` that of an array."""
    if value is None:
        return
    if isinstance(value, (list, tuple)):
        out.list.SetInParent()
        for v in value:
            _serialize_item(v, out.list, rename, dtype)
        return
    if isinstance(value, Placeholder):
        out.placeholder = value.name
        return
    _serialize_single(value, out, rename, dtype)


def _serialize_single(value: Any, out: Any, rename: Any, dtype: int | None) -> None:
    if isinstance(value, bool):
        out.b = value
    elif isinstance(value, bytes):
        out.s = value
    elif isinstance(value, str):
        out.s = value.encode()
    elif isinstance(value, (int, np.integer)):
        out.i = int(value)
    elif isinstance(value, (float, np.floating)):
        out.f = float(value)
    elif isinstance(value, DType):
        out.type = value.number
    elif isinstance(value, TensorShape):
        out.shape.CopyFrom(shape_to_proto(None if value.rank is None else value.as_list()))
    elif isinstance(value, np.ndarray):
        out.tensor.CopyFrom(tensor_to_proto(value, dtype))
    elif isinstance(value, FunctionRef):
        _serialize_ref(value, out.func, rename)
    else:
        raise GraphError(f"attr: a value of type {type(value).__name__} has no form in a graph: {value!r}")


def _serialize_ref(ref: FunctionRef, out: Any, rename: Any) -> None:
    out.name = rename(ref) if rename is not None else ref.name
    for k, v in ref.attrs.items():
        serialize_attr(v, out.attr[k], rename)


def _serialize_item(value: Any, out: Any, rename: Any, dtype: int | None) -> None:
    if isinstance(value, bool):
        out.b.append(value)
    elif isinstance(value, bytes):
        out.s.append(value)
    elif isinstance(value, str):
        out.s.append(value.encode())
    elif isinstance(value, (int, np.integer)):
        out.i.append(int(value))
    elif isinstance(value, (float, np.floating)):
        out.f.append(float(value))
    elif isinstance(value, DType):
        out.type.append(value.number)
    elif isinstance(value, TensorShape):
        out.shape.append(shape_to_proto(None if value.rank is None else value.as_list()))
    elif isinstance(value, np.ndarray):
        out.tensor.append(tensor_to_proto(value, dtype))
    elif isinstance(value, FunctionRef):
        _serialize_ref(value, out.func.add(), rename)
    else:
        raise GraphError(f"attr: a list item of type {type(value).__name__} has no form in a graph: {value!r}")


# -- ops -------------------------------------------------------------------------------------------------------------


def serialize_op_def(schema: OpSchema) -> Any:
    """The OpDef of an op's schema."""
    out = protos.OpDef(name=schema.name)
    for args, target in ((schema.inputs, out.input_arg), (schema.outputs, out.output_arg)):
        for arg in args:
            m = target.add(name=arg.name, is_ref=arg.is_ref)
            if arg.dtype is not None:
                m.type = arg.dtype.number
            if arg.type_attr:
                m.type_attr = arg.type_attr
            if arg.number_attr:
                m.number_attr = arg.number_attr
            if arg.type_list_attr:
                m.type_list_attr = arg.type_list_attr
    for attr in schema.attrs.values():
        m = out.attr.add(name=attr.name, type=attr.kind)
        if attr.has_default:
            serialize_attr(attr.default, m.default_value)
            m.default_value.SetInParent()
        if attr.minimum is not None:
            m.has_minimum = True
            m.minimum = attr.minimum
        if attr.allowed is not None:
            serialize_attr(list(attr.allowed), m.allowed_values)
    out.is_commutative = schema.is_commutative
    out.is_aggregate = schema.is_aggregate
    out.is_stateful = schema.is_stateful
    out.allows_uninitialized_input = schema.allows_uninitialized_input
    return out


# -- functions: writing ----------------------------------------------------------------------------------------------


def serialize_function(graph: FuncGraph, name: str, names_in_model: Names) -> Any:
    """The FunctionDef of `graph` under `name`."""
    message = graph.extra.get("message")
    if message is not None and not graph.extra.get("changed"):
        return _renamed(message, name, graph, names_in_model)
    out = protos.FunctionDef()
    out.signature.name = name
    taken: dict[str, int] = {}
    names: dict[int, str] = {}
    inputs = {id(t.node) for t in graph.inputs}
    for i, t in enumerate(graph.inputs):
        arg = out.signature.input_arg.add(name=_argument(t.node.name, taken), type=t.dtype.number)
        names[id(t)] = arg.name
        attrs = out.arg_attr[i].attr
        attrs["_output_shapes"].list.shape.append(_shape_proto(t.shape))
        user = t.node.attrs.get("_user_specified_name")
        if user is not None:
            attrs["_user_specified_name"].s = user
        if t.handle_data and t.dtype.kind == "r":
            for dtype, shape in t.handle_data:
                arg.handle_data.add(dtype=dtype.number).shape.CopyFrom(_shape_proto(shape))
    node_names: dict[int, str] = {}
    used = {a.lower() for a in taken}
    for node in graph:
        if id(node) in inputs:
            node_names[id(node)] = names[id(node.outputs[0])]
            continue
        unique, k = node.name, 0
        while unique.lower() in used:
            k += 1
            unique = f"{node.name}_{k}"
        used.add(unique.lower())
        node_names[id(node)] = unique
        for arg_name, (start, count) in registry.get_op(node.op).schema.output_ranges(node.attrs).items():
            for k in range(count):
                names[id(node.outputs[start + k])] = f"{unique}:{arg_name}:{k}"
    for node in graph:
        if id(node) in inputs:
            continue
        m = out.node_def.add(name=node_names[id(node)], op=node.op, device=node.device)
        for t in node.inputs:
            m.input.append(names[id(t)])
        for c in dict.fromkeys(node.control_inputs):
            m.input.append("^" + node_names[id(c)])
        serialize_node_attrs(node, m, names_in_model)
    taken = {}
    for t in graph.outputs:
        arg = out.signature.output_arg.add(name=_argument(t.node.name, taken), type=t.dtype.number)
        if t.handle_data and t.dtype.kind == "r":
            for dtype, shape in t.handle_data:
                arg.handle_data.add(dtype=dtype.number).shape.CopyFrom(_shape_proto(shape))
        out.ret[arg.name] = names[id(t)]
    for c in graph.control_outputs:
        label = node_names[id(c)]
        if label not in out.control_ret:
            out.signature.control_output.append(label)
            out.control_ret[label] = label
    out.signature.is_stateful = graph.is_stateful
    out.attr["_construction_context"].s = b"kEagerRuntime"
    shapes = out.attr["_input_shapes"].list
    shapes.SetInParent()
    for t in graph.inputs:
        shapes.shape.append(_shape_proto(t.shape))
    for key, value in graph.attrs.items():
        serialize_attr(value, out.attr[key], names_in_model.rename)
    return out


def serialize_node_attrs(node: Node, m: Any, names: Names) -> None:
    """Attrs that are not at their default, as TensorFlow strips them, and the static shapes of the outputs."""
    schema = registry.get_op(node.op).schema
    for key, value in node.attrs.items():
        if key == "_gradient_op_type" and isinstance(value, bytes):
            m.attr[key].s = names.gradient_name(value)
            continue
        spec = schema.attrs.get(key)
        if spec is not None and spec.has_default and _equal(spec.default, value):
            continue
        dtype = None
        if isinstance(value, np.ndarray):
            dtype = node.attrs["dtype"].number if "dtype" in node.attrs else None
        serialize_attr(value, m.attr[key], names.rename, dtype)
        m.attr[key].SetInParent()
    if "_output_shapes" not in node.attrs:
        # Readers take the shapes of calls from here: a function call has no shape inference of its own.
        shapes = m.attr["_output_shapes"].list
        shapes.SetInParent()
        for t in node.outputs:
            shapes.shape.append(_shape_proto(t.shape))


def _equal(default: Any, value: Any) -> bool:
    if isinstance(value, np.ndarray) or isinstance(default, np.ndarray):
        return False
    if isinstance(default, TensorShape) and isinstance(value, TensorShape):
        return default.rank == value.rank and default == value
    if isinstance(default, float) and isinstance(value, (float, int)):
        return np.float32(default) == np.float32(value)
    return (type(default) is type(value) and default == value) or (isinstance(default, list) and list(value) == default)


def _shape_proto(shape: TensorShape) -> Any:
    return shape_to_proto(None if shape.rank is None else shape.as_list())


def _argument(node_name: str, taken: dict[str, int]) -> str:
    """TensorFlow's name of a function argument that is made from a node's name."""
    text = re.sub(r"[^a-z0-9_]", "_", node_name.lower())
    text = re.sub(r"^[^a-z]+", "", text) or "unknown"
    count = taken.get(text)
    if count is None:
        taken[text] = 0
        return text
    while True:
        candidate = f"{text}_{count}"
        count += 1
        if candidate not in taken:
            break
    taken[text] = count
    taken[candidate] = 0
    return candidate


def flat_tensor_name(graph: FuncGraph, tensor: Any) -> str:
    """The name `node:index` that a tensor of `graph` has once the written function is read again."""
    taken: dict[str, int] = {}
    for t in graph.inputs:
        name = _argument(t.node.name, taken)
        if t is tensor:
            return f"{name}:0"
    return f"{tensor.node.name}:{tensor.index}"


def _renamed(message: Any, name: str, graph: FuncGraph, names: Names) -> Any:
    """A copy of a function's message under another name, with the functions and custom gradients that it names renamed."""
    out = protos.FunctionDef()
    out.CopyFrom(message)
    out.signature.name = name
    library = graph.library

    def new_name(old: str) -> str:
        return names.rename(FunctionRef(old, library))

    for n in out.node_def:
        if library is not None and n.op in library and registry.find_op(n.op) is None:
            n.op = new_name(n.op)
        if "_gradient_op_type" in n.attr:
            attr = n.attr["_gradient_op_type"]
            attr.s = names.loaded_gradient_name(attr.s, library)
        _rename_refs(n.attr, new_name)
    _rename_refs(out.attr, new_name)
    return out


def _rename_refs(attrs: Any, new_name: Callable[[str], str]) -> None:
    for key in attrs:
        value = attrs[key]
        kind = value.WhichOneof("value")
        if kind == "func" and value.func.name:
            value.func.name = new_name(value.func.name)
        elif kind == "list":
            for f in value.list.func:
                f.name = new_name(f.name)


def referenced_functions(graph: FuncGraph) -> list[FunctionRef]:
    """The functions that `graph` refers to, without deserializing a body that was only read."""
    message = graph.extra.get("message")
    out: list[FunctionRef] = []
    if message is not None and not graph.extra.get("changed"):
        for n in message.node_def:
            if graph.library is not None and n.op in graph.library:
                out.append(FunctionRef(n.op, graph.library))
            for key in sorted(n.attr):  # maps of messages have no order of their own
                value = n.attr[key]
                kind = value.WhichOneof("value")
                if kind == "func" and value.func.name:
                    out.append(FunctionRef(value.func.name, graph.library))
                elif kind == "list":
                    out.extend(FunctionRef(f.name, graph.library) for f in value.list.func)
        return out
    for node in graph:
        for key in sorted(node.attrs):
            value = node.attrs[key]
            items: Sequence[Any] = value if isinstance(value, list) else (value,)
            out.extend(v for v in items if isinstance(v, FunctionRef))
    return out
