"""GraphDef and FunctionDef messages → tracer graphs; `graphdef_writer` writes them. It refuses to run or to find files.

A function body is deserialized when it is first asked for. A body that was read and never changed is written back from its message,
so that loading and saving loses nothing.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from savedmodel.format.errors import FormatError
from savedmodel.format.tensor_proto import shape_from_proto, tensor_from_proto
from tracer import infer, registry
from tracer.dtypes import DType, as_dtype
from tracer.errors import GraphError, SavedModelError, UnknownOpError
from tracer.ir.attrs import FunctionLibrary, FunctionRef, Placeholder
from tracer.ir.graph import Node
from tracer.resources import default_manager
from tracer.schema import OpSchema
from tracer.shapes import TensorShape, unknown_shape
from tracer.tracing import FuncGraph, next_uid

__all__ = [
    "MUTABLE_TABLES",
    "TABLE_OPS",
    "check_graph_def",
    "deserialize_attr",
    "deserialize_function",
    "deserialize_graph",
    "deserialize_library",
    "gradient_key",
]

# -- attrs -----------------------------------------------------------------------------------------------------------


def deserialize_attr(message: Any, library: FunctionLibrary | None = None, where: str = "attr") -> Any:
    """The value of an AttrValue (see `tracer.ir.attrs`); None where nothing is set."""
    kind = message.WhichOneof("value")
    if kind is None:
        return None
    value = getattr(message, kind)
    if kind == "list":
        for name in ("s", "i", "f", "b", "type", "shape", "tensor", "func"):
            items = getattr(value, name)
            if items:
                return [_attr_item(name, item, library, where) for item in items]
        return []
    return _attr_item(kind, value, library, where)


def _attr_item(kind: str, value: Any, library: FunctionLibrary | None, where: str) -> Any:
    if kind == "type":
        return as_dtype(value)
    if kind == "shape":
        return TensorShape(shape_from_proto(value))
    if kind == "tensor":
        return tensor_from_proto(value, where=where)
    if kind == "func":
        attrs = {k: deserialize_attr(v, library, where) for k, v in value.attr.items()}
        return FunctionRef(value.name, library, attrs)
    if kind == "placeholder":
        return Placeholder(value)
    return value


# -- checks ----------------------------------------------------------------------------------------------------------

_KINDS = {
    "string": "s", "int": "i", "float": "f", "bool": "b", "type": "type", "shape": "shape", "tensor": "tensor", "func": "func",
    "list": "list",
}  # fmt: skip


def check_graph_def(graph_def: Any, where: str, runs_main_graph: bool = False) -> set[str]:
    """Check what every loader relies on: known ops, functions that exist, attrs of the right kind, full constants.

    Args:
        runs_main_graph: whether parts of the main graph will run (models of TensorFlow 1). Then unknown ops are returned, not refused,
            since parts may do without them. Otherwise the shapes in the main graph are as little checked as TensorFlow does.

    Returns:
        The names of the ops that are not known.

    Raises:
        UnknownOpError: lists every op that is not known.
        FormatError: a node is malformed; the message names function and node.
    """
    functions = {f.signature.name: f.signature for f in graph_def.library.function}
    unknown: dict[str, str] = {}
    schemas: dict[str, dict[str, str] | None] = {}
    sound: set[bytes] = set()  # many functions hold the same nodes, and what was found sound once is sound again
    for owner, nodes in _node_lists(graph_def):
        for node in nodes:
            op = node.op
            kinds = schemas.get(op, False)
            if kinds is False:
                kinds = schemas[op] = _attr_kinds(op, functions)
                if kinds is None and op not in functions:
                    unknown[op] = f"{owner} > node {node.name!r}"
            if kinds is None:
                continue
            shown = node.SerializePartialToString()
            if shown in sound:
                continue
            _check_node(node, kinds, functions, where, owner, runs_main_graph or owner != "main graph")
            if owner != "main graph" and len(shown) < 4096:
                sound.add(shown)
    if unknown and not runs_main_graph:
        lines = ", ".join(f"{op} ({place})" for op, place in sorted(unknown.items()))
        raise UnknownOpError(
            f"{where}: the model uses {len(unknown)} op(s) that are not known here: {lines}. Register each with "
            f"tracer.op(\"Name(…) -> (…)\"), or load a part of the model that does not need them."
        )
    return set(unknown)


def _node_lists(graph_def: Any) -> Any:
    yield "main graph", graph_def.node
    for f in graph_def.library.function:
        yield f"function {f.signature.name}", f.node_def


def _attr_kinds(op: str, functions: Mapping[str, Any]) -> dict[str, str] | None:
    kinds = registry.attr_kinds(op)
    if kinds is None:
        return None
    return {name: _KINDS[kind] for name, kind in kinds.items()}


def _check_node(node: Any, kinds: Mapping[str, str], functions: Mapping[str, Any], where: str, owner: str, shapes: bool) -> None:
    attrs = node.attr
    for name in attrs:
        value = attrs[name]
        kind = value.WhichOneof("value")
        expected = kinds.get(name)
        if expected is not None and kind != expected and kind not in (None, "placeholder"):
            raise FormatError(
                f"{where} > {owner} > node {node.name!r} ({node.op}): attr {name!r} expected kind {expected!r}, received {kind!r}; "
                f"the file is damaged"
            )
        if kind == "shape":
            if shapes:
                _check_shape(value.shape, where, owner, node, name)
        elif kind == "func" and value.func.name not in functions:
            raise FormatError(
                f"{where} > {owner} > node {node.name!r} ({node.op}): it calls function {value.func.name!r}, which the library does "
                f"not hold; the file is damaged"
            )
        elif kind == "tensor":
            _check_shape(value.tensor.tensor_shape, where, owner, node, name, False)
        elif kind == "list":
            for s in value.list.shape:
                _check_shape(s, where, owner, node, name)
            for f in value.list.func:
                if f.name not in functions:
                    raise FormatError(
                        f"{where} > {owner} > node {node.name!r} ({node.op}): it refers to function {f.name!r}, which the library "
                        f"does not hold; the file is damaged"
                    )
    if node.op == "Const" and not attrs["value"].HasField("tensor"):
        raise FormatError(f"{where} > {owner} > node {node.name!r}: a Const without its value; the file is damaged")


def _check_shape(shape: Any, where: str, owner: str, node: Any, name: str, unknown_allowed: bool = True) -> None:
    for dim in shape.dim:
        if dim.size < -1 or (dim.size < 0 and not unknown_allowed):
            raise FormatError(
                f"{where} > {owner} > node {node.name!r} ({node.op}): attr {name!r} has a dimension of {dim.size}; "
                f"expected -1 (unknown) or more"
            )


# -- functions: reading ----------------------------------------------------------------------------------------------


def deserialize_library(library_def: Any, where: str = "library") -> FunctionLibrary:
    """A lazy library: each function is deserialized when it is first looked up."""
    library = FunctionLibrary()

    def thunk(message: Any) -> Callable[..., FuncGraph]:
        return lambda attrs=None: deserialize_function(message, library, where, attrs)

    for message in library_def.function:
        name, open_attrs = message.signature.name, tuple(a.name for a in message.signature.attr)
        if open_attrs:
            library.add_template(name, open_attrs, thunk(message))
        else:
            library.add_lazy(name, thunk(message))
    for g in library_def.gradient:
        if g.gradient_func not in library:
            raise FormatError(f"{where}: function {g.function_name!r} has gradient {g.gradient_func!r}, which the library does not hold; the file is damaged")
        library.gradients[g.function_name] = g.gradient_func
    library.uid = uid = next_uid()  # type: ignore[attr-defined]
    weakref.finalize(library, default_manager.forget, f"_load_{uid}")
    return library


def gradient_key(name: bytes, library: Any) -> bytes:
    """The name, in this process, of a custom gradient that functions of a loaded library know as `name`."""
    return name + getattr(library, "gradient_suffix", b"")


# Ops that make a table that is filled by calls
MUTABLE_TABLES = frozenset(
    "MutableHashTable MutableHashTableV2 MutableDenseHashTable MutableDenseHashTableV2 MutableHashTableOfTensors "
    "MutableHashTableOfTensorsV2".split()
)
# Ops that make or find a resource by name: two loads of one model must not share it.
TABLE_OPS = MUTABLE_TABLES | {"HashTable", "HashTableV2"}
_NAMED_RESOURCES = TABLE_OPS | {"VarHandleOp"}


def _filled(value: Any, given: Mapping[str, Any], where: str) -> Any:
    """An attr of a function's body where the function's open attrs are `given`."""
    if isinstance(value, Placeholder):
        if value.name not in given:
            raise FormatError(f"{where}: the function leaves attr {value.name!r} open, and its caller does not give it; the file is damaged")
        return given[value.name]
    if isinstance(value, FunctionRef) and value.attrs:
        return FunctionRef(value.name, value.library, {k: _filled(v, given, where) for k, v in value.attrs.items()})
    if isinstance(value, list):
        return [_filled(v, given, where) for v in value]
    return value


def _argument_types(arg: Any, given: Mapping[str, Any], where: str) -> list[DType] | DType:
    """The dtype of an argument of a function, or those of its items."""
    if arg.type_list_attr:
        return list(_filled(Placeholder(arg.type_list_attr), given, where))
    one = as_dtype(arg.type) if arg.type else _filled(Placeholder(arg.type_attr), given, where)
    return [one] * int(_filled(Placeholder(arg.number_attr), given, where)) if arg.number_attr else one


def _legacy_call(name: str, attrs: dict[str, Any], library: FunctionLibrary) -> tuple[str, dict[str, Any], FuncGraph]:
    """The op and attrs of a call in the way of TensorFlow 1, where the function's name is the op; and the function."""
    open_attrs = library.open_attrs(name)
    ref = FunctionRef(name, library, {k: v for k, v in attrs.items() if k in open_attrs})
    callee = ref.graph
    full = {
        **{k: v for k, v in attrs.items() if k not in open_attrs and k.startswith("_")}, "f": ref,
        "Tin": [t.dtype for t in callee.inputs], "Tout": [t.dtype for t in callee.outputs],
    }  # fmt: skip
    return "StatefulPartitionedCall" if callee.is_stateful else "PartitionedCall", full, callee


def deserialize_function(
    message: Any, library: FunctionLibrary, where: str = "library", given: Mapping[str, Any] | None = None
) -> FuncGraph:
    """The graph of a FunctionDef; functions it calls are looked up in `library` when they are needed.

    Args:
        given: values of the attrs that the function leaves open (TensorFlow 1).

    Raises:
        UnknownOpError: lists every op of the body that is not known.
        FormatError: a reference inside does not resolve; the message names function and node.
    """
    name = message.signature.name
    graph = FuncGraph(name, None, library)
    graph.is_stateful_override = message.signature.is_stateful or None
    graph.extra["message"] = message
    registry.require_ops((n.op for n in message.node_def if n.op not in library), f"{where} > function {name}")
    given = {**{a.name: deserialize_attr(a.default_value) for a in message.signature.attr if a.HasField("default_value")}, **(given or {})}
    tensors: dict[str, Any] = {}
    for i, arg in enumerate(message.signature.input_arg):
        shape, user, handle = unknown_shape(), None, None
        if i in message.arg_attr:
            attrs = message.arg_attr[i].attr
            if "_output_shapes" in attrs and attrs["_output_shapes"].list.shape:
                shape = TensorShape(shape_from_proto(attrs["_output_shapes"].list.shape[0]))
            if "_user_specified_name" in attrs:
                user = attrs["_user_specified_name"].s.decode("utf-8", "replace")
        types = _argument_types(arg, given, f"{where} > function {name} > argument {arg.name}")
        if isinstance(types, list):
            for k, one in enumerate(types):
                node = graph.add_named_node("Placeholder", (), {"dtype": one, "shape": shape}, [(one, shape)], f"{arg.name}_{k}")
                graph.inputs.append(node.outputs[0])
                tensors[f"{arg.name}:{k}"] = node.outputs[0]
            continue
        dtype = types
        if dtype.kind == "r":
            shape = TensorShape([])
        if arg.handle_data:
            handle = [(as_dtype(h.dtype), TensorShape(shape_from_proto(h.shape))) for h in arg.handle_data]
        attrs_in: dict[str, Any] = {"dtype": dtype, "shape": shape}
        if user:
            attrs_in["_user_specified_name"] = user.encode()
        node = graph.add_named_node("Placeholder", (), attrs_in, [(dtype, shape)], arg.name)
        node.outputs[0].handle_data = handle
        graph.inputs.append(node.outputs[0])
        tensors[arg.name] = node.outputs[0]
    pending: list[tuple[Node, Any]] = []
    for n in message.node_def:
        here = f"{where} > function {name} > node {n.name!r}"
        attrs = {k: _filled(deserialize_attr(n.attr[k], library, f"{name} > {n.name}"), given, here) for k in n.attr}
        op_name, ranges = n.op, None
        if n.op in library:
            op_name, attrs, callee = _legacy_call(n.op, attrs, library)
            ranges = _legacy_ranges(callee)
        record = registry.get_op(op_name)
        if op_name in _NAMED_RESOURCES and attrs.get("shared_name"):
            attrs["shared_name"] += b"_load_" + str(library.uid).encode()  # type: ignore[attr-defined]
        if "_gradient_op_type" in attrs:
            attrs["_gradient_op_type"] = gradient_key(attrs["_gradient_op_type"], library)
        schema = record.schema
        try:
            _check_required(schema, attrs)
            dtypes = schema.output_dtypes(attrs)
            ranges = ranges or schema.output_ranges(attrs)
        except (GraphError, TypeError, ValueError) as error:
            raise FormatError(f"{where} > function {name} > node {n.name!r} ({n.op}): {error}") from error
        node = graph.add_named_node(op_name, (), attrs, [(d, unknown_shape()) for d in dtypes], n.name, (), n.device)
        for out_name, (start, count) in ranges.items():
            for k in range(count):
                tensors[f"{n.name}:{out_name}:{k}"] = node.outputs[start + k]
        pending.append((node, n))
    for node, n in pending:
        for text in n.input:
            if text.startswith("^"):
                target = graph.nodes.get(text[1:])
                if target is None:
                    raise FormatError(f"{where} > function {name} > node {node.name!r}: control input {text!r} does not exist")
                node.control_inputs.append(target)
            else:
                node.inputs.extend(_find_all(tensors, text, where, name, node.name))
    _infer_all(graph)
    for arg in message.signature.output_arg:
        if arg.name not in message.ret:
            raise FormatError(f"{where} > function {name}: output {arg.name!r} has no entry in ret; the file is damaged")
        listed = arg.number_attr or arg.type_list_attr
        find = _find_all if listed else _find_one
        graph.outputs.extend(find(tensors, message.ret[arg.name], where, name, f"output {arg.name}"))
    for control in message.signature.control_output:
        target = message.control_ret.get(control, control)
        if target in graph.nodes:
            graph.control_outputs.append(graph.nodes[target])
    for control in message.control_ret.values():
        if control in graph.nodes and graph.nodes[control] not in graph.control_outputs:
            graph.control_outputs.append(graph.nodes[control])
    return graph


def _legacy_ranges(callee: FuncGraph) -> dict[str, tuple[int, int]]:
    args = callee.extra["message"].signature.output_arg
    if any(a.number_attr or a.type_list_attr for a in args):
        return {args[0].name: (0, len(callee.outputs))} if len(args) == 1 else {}
    return {arg.name: (i, 1) for i, arg in enumerate(args)}


def _find_one(tensors: Mapping[str, Any], text: str, where: str, function: str, node: str) -> list[Any]:
    return [_find(tensors, text, where, function, node)]


def _find_all(tensors: Mapping[str, Any], text: str, where: str, function: str, node: str) -> list[Any]:
    """The tensors that an input means: one, or all items of a list (`argument`, `node:output` without an index)."""
    if text in tensors or f"{text}:1" not in tensors:
        return _find_one(tensors, text, where, function, node)
    found = []
    while f"{text}:{len(found)}" in tensors:
        found.append(tensors[f"{text}:{len(found)}"])
    return found


def _find(tensors: Mapping[str, Any], text: str, where: str, function: str, node: str) -> Any:
    found = tensors.get(text)
    if found is None and text.count(":") == 1:
        head, _, tail = text.partition(":")
        found = tensors.get(head) if tail == "0" else None
        if found is None:
            found = tensors.get(f"{text}:0")
    if found is None:
        raise FormatError(
            f"{where} > function {function} > {node}: input {text!r} does not exist; expected an argument of the function or "
            f"`node:output:index`"
        )
    return found


def _infer_all(graph: FuncGraph) -> None:
    """Run shape inference over the body, in an order in which inputs come first where there is one."""
    from tracer.ir.graph import topological_order

    try:
        order = topological_order(graph)
    except GraphError:
        order = list(graph)  # loops of old control flow: back edges stay unknown
    for node in order:
        if node.op == "Placeholder" or not node.outputs:
            continue
        infer_node(node)


def infer_node(node: Node) -> None:
    """Set the static shapes of a node's outputs where its op has a rule that applies."""
    record = registry.find_op(node.op)
    if record is None or record.infer_fn is None:
        return
    try:
        shapes, handles = infer.infer_shapes(record, node.inputs, node.attrs, [t.dtype for t in node.outputs])
    except (SavedModelError, ValueError, IndexError, KeyError, TypeError):
        return  # inference is a help: what cannot be known stays unknown, and running tells
    for t, shape in zip(node.outputs, shapes, strict=False):
        t._shape = shape
    for i, data in handles.items():
        node.outputs[i].handle_data = data


# -- graphs: reading -------------------------------------------------------------------------------------------------


def _check_required(schema: OpSchema, attrs: Mapping[str, Any]) -> None:
    """Refuse a node that lacks an attr which has no default."""
    for name, spec in schema.attrs.items():
        if name not in attrs and not spec.has_default and spec.kind != "tensor":
            raise GraphError(f"attr {name!r} has no default and is not there; the file is damaged")


def deserialize_graph(graph_def: Any, library: FunctionLibrary, where: str = "graph") -> FuncGraph:
    """The main graph of a GraphDef, for running by feeds and fetches. Nodes keep their names."""
    graph = FuncGraph("main", None, library)
    graph.versions = (graph_def.versions.producer, graph_def.versions.min_consumer)
    registry.require_ops((n.op for n in graph_def.node if n.op not in library), where)
    pending: list[tuple[Node, Any]] = []
    for n in graph_def.node:
        attrs = {k: deserialize_attr(n.attr[k], library, f"{where} > {n.name}") for k in n.attr}
        op_name = n.op
        if n.op in library:
            op_name, attrs, _ = _legacy_call(n.op, attrs, library)
        if op_name in ("VariableV2", "Variable", "VarHandleOp", *_NAMED_RESOURCES) and not attrs.get("shared_name"):
            attrs["shared_name"] = n.name.encode()
        schema = registry.get_op(op_name).schema
        try:
            _check_required(schema, attrs)
            dtypes = schema.output_dtypes(attrs)
        except (GraphError, TypeError, ValueError) as error:
            raise FormatError(f"{where} > node {n.name!r} ({n.op}): {error}") from error
        node = graph.add_named_node(op_name, (), attrs, [(d, unknown_shape()) for d in dtypes], n.name, (), n.device)
        pending.append((node, n))
    for node, n in pending:
        for text in n.input:
            if text.startswith("^"):
                target = graph.nodes.get(text[1:])
            else:
                base, _, index = text.partition(":")
                target = graph.nodes.get(base)
                if target is not None:
                    position = int(index) if index.isdecimal() else (0 if not index else len(target.outputs))
                    if position >= len(target.outputs):
                        raise FormatError(f"{where} > node {node.name!r}: input {text!r} does not exist; the file is damaged")
                    node.inputs.append(target.outputs[position])
                    continue
            if target is None:
                raise FormatError(f"{where} > node {node.name!r}: input {text!r} does not exist; the file is damaged")
            node.control_inputs.append(target)
    for node in graph:
        if node.op in ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"):
            shape = node.attrs.get("shape")
            if shape is not None:
                if node.op == "Placeholder" and shape.rank == 0 and 0 < graph.versions[0] <= 21:
                    shape = unknown_shape()  # old graphs wrote a scalar for "unknown"
                node.outputs[0]._shape = shape
    _infer_all(graph)
    return graph
