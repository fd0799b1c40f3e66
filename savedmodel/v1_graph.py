"""Graphs of TensorFlow 1 as functions: the part between feeds and fetches, with state as captures. It refuses to read files.

A graph of TensorFlow 1 holds its state inside: variables and tables are nodes, and variables may be references that ops write
through. Here each such node becomes a capture of the function (one object per name, shared by all functions of a graph), reads of a
reference become ReadVariableOp, and ops that write through it become their resource twins, so that engine, gradients and writer
meet nothing but ordinary functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tracer import dispatch, dtypes, registry
from tracer.errors import GraphError, InvalidArgumentError, UnknownOpError
from tracer.ir.attrs import FunctionRef
from tracer.ir.graph import Node
from tracer.resources import ResourceManager, use_manager
from tracer.shapes import TensorShape
from tracer.tensor import EagerTensor
from tracer.tracing import FuncGraph
from tracer.variable import Variable

__all__ = ["TABLE_INITIALIZERS", "VARIABLE_OPS", "GraphState", "prune"]

VARIABLE_OPS = frozenset(["TemporaryVariable", "VarHandleOp", "Variable", "VariableV2"])
# Ops that make or find a table or iterator by name; one object serves all functions of a graph.
_SHARED_OPS = frozenset(
    "HashTable HashTableV2 MutableHashTable MutableHashTableV2 MutableHashTableOfTensors MutableHashTableOfTensorsV2 "
    "MutableDenseHashTable MutableDenseHashTableV2 Iterator IteratorV2 OneShotIterator".split()
)
TABLE_INITIALIZERS = frozenset(["InitializeTable", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "InitializeTableV2"])
PLACEHOLDERS = frozenset(["Placeholder", "PlaceholderV2", "PlaceholderWithDefault"])
# Old control flow: such graphs may have cycles, and their values may be dead.
OLD_CONTROL_FLOW = frozenset("Switch Merge Enter Exit NextIteration LoopCond RefSwitch RefMerge RefEnter RefExit RefNextIteration".split())

_WRITES = ("Add", "Div", "Max", "Min", "Mul", "Sub", "Update")
# op that takes references → (op that takes resources, {its attr: the old op's attr}); None: the attrs are the same
_TWINS: dict[str, tuple[str, dict[str, str] | None]] = {
    "Assign": ("AssignVariableOp", {"dtype": "T", "validate_shape": "validate_shape"}),
    "AssignAdd": ("AssignAddVariableOp", {"dtype": "T"}),
    "AssignSub": ("AssignSubVariableOp", {"dtype": "T"}),
    "CountUpTo": ("ResourceCountUpTo", None),
    "DestroyTemporaryVariable": ("ReadVariableOp", {"dtype": "T"}),
    "IsVariableInitialized": ("VarIsInitializedOp", {}),
    "StridedSliceAssign": ("ResourceStridedSliceAssign", None),
    **{f"Scatter{name}": (f"ResourceScatter{name}", {"dtype": "T", "Tindices": "Tindices"}) for name in _WRITES},
    **{f"ScatterNd{name}": (f"ResourceScatterNd{name}", None) for name in _WRITES},
    **{f"Ref{name}": (name, None) for name in ("Enter", "Exit", "Identity", "Merge", "NextIteration", "Switch")},
}
_FLOW = frozenset(["RefEnter", "RefExit", "RefIdentity", "RefMerge", "RefNextIteration", "RefSwitch"])


def _twin(node: Node, schema: Any) -> tuple[str, dict[str, Any]]:
    """The op and attrs that stand for `node` where references have become resources."""
    attrs = {k: v for k, v in node.attrs.items() if k not in ("_class", "_output_shapes")}
    if node.op == "SymbolicGradient":
        ref = attrs["f"]
        rules = getattr(ref.library, "gradients", {})
        if ref.name in rules:  # a call of the function's own rule: rules of this kind have no place in newer models
            own = FunctionRef(rules[ref.name], ref.library, ref.attrs)
            return "StatefulPartitionedCall" if own.graph.is_stateful else "PartitionedCall", {**attrs, "f": own}
    found = _TWINS.get(node.op)
    if found is not None:
        name, names = found
        if names is not None:
            attrs = {new: schema.attr_value(old, node.attrs) for new, old in names.items()}
        if node.op in _FLOW:
            attrs["T"] = dtypes.resource
        return name, attrs
    if any(arg.is_ref for arg in schema.inputs):
        for candidate in (f"Resource{node.op}", f"{node.op}V2"):  # ApplyAdam → ResourceApplyAdam; LookupTableFind → LookupTableFindV2
            if registry.find_op(candidate) is not None:
                return candidate, attrs
        raise InvalidArgumentError(
            f"node {node.name!r} ({node.op}): it works on a reference of TensorFlow 1, and no op that does the same on a resource is known; "
            f"fetch something that does not need it"
        )
    return node.op, attrs


class GraphState:
    """The variables, tables and iterators of one graph, each made when it is first needed.

    Args:
        graph: the main graph, as `deserialize_graph` gives it.
        fixed: tensors whose value is known from elsewhere (paths of assets), by id.
        trainable: names of the variables that are to be trained.
        suffix: what deserialized function bodies have put behind the names of resources.
        left_out: nodes that are not in the graph → the unknown ops that they need.
    """

    def __init__(
        self, graph: FuncGraph, trainable: Iterable[str] = (), suffix: bytes = b"", left_out: Mapping[str, Sequence[str]] | None = None,
        where: str = "graph",
    ):  # fmt: skip
        self.graph = graph
        self.fixed: dict[int, EagerTensor] = {}
        self.manager = ResourceManager()
        self.variables: dict[str, Variable] = {}
        self.left_out = dict(left_out or {})
        self.where = where
        self._trainable = frozenset(trainable)
        self._suffix = suffix
        self._handles: dict[int, EagerTensor] = {}

    def is_state(self, node: Node) -> bool:
        """Whether `node` stands for an object that outlives a run."""
        return node.op in VARIABLE_OPS or node.op in _SHARED_OPS

    def handle(self, node: Node) -> EagerTensor:
        """The resource tensor of a state node."""
        found = self._handles.get(id(node))
        if found is None:
            found = self._handles[id(node)] = self._variable(node).handle if node.op in VARIABLE_OPS else self._shared(node)
        return found

    def static_tables(self) -> list[tuple[Node, EagerTensor]]:
        """The tables that functions have used and that are filled once, with their handles."""
        return [(n, self._handles[id(n)]) for n in self.graph if n.op in ("HashTable", "HashTableV2") and id(n) in self._handles]

    @staticmethod
    def origin(t: Any) -> Node:
        """The node that a handle comes from."""
        while t.node.op in ("Identity", "RefIdentity"):
            t = t.node.inputs[0]
        return t.node

    def _variable(self, node: Node) -> Variable:
        container = _text(node.attr("container"))
        name = _text(node.attr("shared_name") or node.attr("var_name")) or node.name
        shape = node.attr("shape", TensorShape(None))

        def make() -> Variable:
            return Variable.uninitialized(node.attrs["dtype"], shape, node.name, node.name in self._trainable)

        variable = self.manager.get_or_create("variable object", container, name, make)
        for key in {name, name + self._suffix.decode()}:  # where ops inside of functions look for it
            self.manager.put("variable", container, key, variable._resource)
        self.variables[node.name] = variable
        return variable

    def _shared(self, node: Node) -> EagerTensor:
        values: list[Any] = []
        for t in node.inputs:
            value = self.fixed.get(id(t)) or constant_value(t)
            if value is None:
                raise InvalidArgumentError(
                    f"{self.where} > node {node.name!r} ({node.op}): expected constants as inputs of what makes a table, received "
                    f"{t.name!r} of op {t.node.op}"
                )
            values.append(value)
        name, attrs = node.op, dict(node.attrs)
        if registry.get_op(name).schema.output_dtypes(attrs)[0]._is_ref_dtype:
            name += "V2"
            if name == "MutableDenseHashTableV2":
                raise InvalidArgumentError(
                    f"{self.where} > node {node.name!r}: MutableDenseHashTable has no deleted key, which its successor needs; it cannot run here"
                )
        container, key = _text(attrs.get("container")), _text(attrs.get("shared_name"))
        attrs["shared_name"], attrs["container"] = key.encode(), container.encode()
        with use_manager(self.manager), dispatch.init_scope():
            handle = dispatch.run_eagerly(registry.get_op(name), values, attrs)[0]
        self.manager.put("table", container, key + self._suffix.decode(), handle._value)
        return handle

    def element(self, name: Any) -> Any:
        """The tensor `node:index` or the node `node` of the graph; tensors and nodes of it are given back.

        Raises:
            KeyError: there is none. UnknownOpError: it needs ops that are not known.
        """
        if isinstance(name, Node) or not isinstance(name, (str, bytes)):
            node = name if isinstance(name, Node) else getattr(name, "node", None)
            if node is None:
                raise TypeError(f"{self.where}: expected a tensor, an operation, or a name, received {name!r}")
            if node.graph is not self.graph:
                raise InvalidArgumentError(
                    f"Can only prune function whose feeds and fetches are from this graph ({self.graph.name}). Input {name} is from a different graph"
                )
            return name
        text = name.decode() if isinstance(name, bytes) else name
        base, colon, _ = text.removeprefix("^").partition(":")
        if base in self.left_out:
            raise UnknownOpError(missing_ops(self.where, f"{text!r}", self.left_out[base]))
        if base not in self.graph.nodes:
            raise KeyError(f"{self.where}: The name {text!r} refers to an Operation not in the graph.")
        return self.graph.get_tensor(text) if colon else self.graph[base]


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="backslashreplace")


def missing_ops(where: str, what: str, ops: Iterable[str]) -> str:
    """The message of an UnknownOpError."""
    names = sorted(set(ops))
    return (
        f"{where}: {what} needs {len(names)} op(s) that are not known here: {', '.join(names)}. Register each with "
        f"tracer.op(\"Name(…) -> (…)\"), or use parts of the model that do without."
    )


def constant_value(t: Any) -> EagerTensor | None:
    """The value of a tensor that is a constant, else None."""
    node = t.node
    while node.op == "Identity":
        t = node.inputs[0]
        node = t.node
    return EagerTensor(node.attrs["value"], t.dtype) if node.op == "Const" else None


def prune(state: GraphState, feeds: Sequence[Any], fetches: Sequence[Any], name: str) -> tuple[FuncGraph, list[EagerTensor]]:
    """The function from tensors `feeds` to `fetches`, tensors or nodes (run for their effects; no output), and its captures.

    Raises:
        GraphError: a fetch depends on nothing that could run (a node is missing).
    """
    return _Pruning(state, feeds, fetches, name).run()


def needed_nodes(fetches: Sequence[Any], feeds: Sequence[Any], state: GraphState | None = None) -> list[Node]:
    """The nodes that `fetches`, tensors or nodes, need when `feeds` are given, in graph order; not past what `state` holds."""
    fed = {id(t) for t in feeds}
    fed_nodes = {id(t.node) for t in feeds}
    seen: set[int] = set()
    found: list[Node] = []
    stack = [f if isinstance(f, Node) else f.node for f in fetches if isinstance(f, Node) or id(f) not in fed]
    while stack:
        node = stack.pop()
        if id(node) in seen or (node.op in PLACEHOLDERS and id(node) in fed_nodes):
            continue
        seen.add(id(node))
        found.append(node)
        if state is not None and (state.is_state(node) or (node.outputs and id(node.outputs[0]) in state.fixed)):
            continue
        stack.extend(t.node for t in node.inputs if id(t) not in fed)
        stack.extend(node.control_inputs)
    return sorted(found, key=lambda n: n.position)


class _Pruning:
    def __init__(self, state: GraphState, feeds: Sequence[Any], fetches: Sequence[Any], name: str):
        self.state = state
        self.feeds = list(feeds)
        self.fetches = list(fetches)
        self.target = FuncGraph(name, None, state.graph.library)
        self.mapping: dict[int, Any] = {}  # id of a source tensor → target tensor
        self.made: dict[int, Node] = {}  # id of a source node → the target node that control edges on it mean
        self.carriers: dict[int, list[tuple[Node, Node]]] = {}  # id of a source node → (Identity, writer): references it hands on
        self.captured: list[EagerTensor] = []

    def run(self) -> tuple[FuncGraph, list[EagerTensor]]:
        target = self.target
        for t in self.feeds:
            shape, handle = t.shape, getattr(t, "handle_data", None)
            given = target.placeholder(t.dtype.base_dtype, shape, t.node.name, handle, t.node.name)
            target.inputs.append(given)
            self.mapping[id(t)] = given
        nodes = needed_nodes(self.fetches, self.feeds, self.state)
        for node in nodes:
            self._make(node)
        for node in nodes:
            self._join(node)
        for fetch in self.fetches:
            if isinstance(fetch, Node):
                made = self.made.get(id(fetch))
                if made is not None and made not in target.control_outputs:
                    target.control_outputs.append(made)
            else:
                target.outputs.append(self._value(fetch, None))
        target.inputs.extend(inner for _, inner in target.captures)
        old_flow = any(n.op in OLD_CONTROL_FLOW for n in target)
        for node in target:
            record = registry.find_op(node.op)
            if record is None or not record.schema.is_stateful or node.op == "Placeholder":
                continue
            if not old_flow and node.op not in ("ReadVariableOp", "VariableShape", "VarIsInitializedOp") and node not in target.control_outputs:
                target.control_outputs.append(node)
            if not any(t.dtype is dtypes.resource for t in node.inputs):
                target._last_stateful = node
        return target, self.captured

    # -- nodes without inputs yet ------------------------------------------------------------------------------------

    def _capture(self, source: Any, outer: EagerTensor, dtype: Any) -> None:
        for known, inner in self.target.captures:
            if known is outer:
                self.mapping[id(source)] = inner
                return
        shape = TensorShape([]) if dtype is dtypes.resource else outer.shape
        inner = self.target.placeholder(dtype, shape, source.node.name, outer.handle_data, source.node.name)
        self.target.capture_as_input(outer, inner)
        self.captured.append(outer)
        self.mapping[id(source)] = inner

    def _make(self, node: Node) -> None:
        state, target = self.state, self.target
        if state.is_state(node):
            self._capture(node.outputs[0], state.handle(node), dtypes.resource)
            return
        if node.outputs and id(node.outputs[0]) in state.fixed:
            fixed = state.fixed[id(node.outputs[0])]
            self._capture(node.outputs[0], fixed, fixed.dtype)
            return
        schema = registry.get_op(node.op).schema
        op, attrs = _twin(node, schema)
        if op == node.op or node.op in _FLOW or not any(a.is_ref for a in schema.outputs):
            slots = [(dtypes.resource if t.dtype._is_ref_dtype else t.dtype, t.shape) for t in node.outputs]
            made = target.add_node(op, (), attrs, slots, node.name, (), node.device)
            for old, new in zip(node.outputs, made.outputs, strict=True):
                new.handle_data = [(old.dtype.base_dtype, old.shape)] if old.dtype._is_ref_dtype else old.handle_data
                self.mapping.setdefault(id(old), new)
            self.made[id(node)] = made
            return
        # An op that writes through a reference and hands it on: the write, and an Identity of the handle that waits for it.
        made = target.add_node(op, (), attrs, (), node.name, (), node.device)
        self.made[id(node)] = made
        for old in node.outputs:
            carrier = target.add_node("Identity", (), {"T": dtypes.resource}, [(dtypes.resource, TensorShape([]))], f"{node.name}/ref", [made])
            carrier.outputs[0].handle_data = [(old.dtype.base_dtype, old.shape)]
            self.mapping.setdefault(id(old), carrier.outputs[0])
            self.carriers.setdefault(id(node), []).append((carrier, made))

    # -- inputs ------------------------------------------------------------------------------------------------------

    def _join(self, node: Node) -> None:
        made = self.made.get(id(node))
        if made is None:
            return
        for c in node.control_inputs:
            before = self.made.get(id(c))
            if before is not None and before not in made.control_inputs:
                made.control_inputs.append(before)
        schema = registry.get_op(node.op).schema
        wanted = schema.input_dtypes(node.attrs)
        if len(wanted) != len(node.inputs):
            raise GraphError(
                f"{self.state.where} > node {node.name!r} ({node.op}): expected {len(wanted)} inputs, received {len(node.inputs)}; the file is damaged"
            )
        for t, dtype in zip(node.inputs, wanted, strict=True):
            made.inputs.append(self.mapping[id(t)] if dtype._is_ref_dtype else self._value(t, made))
        for carrier, _ in self.carriers.get(id(node), ()):
            carrier.inputs.append(made.inputs[0])

    def _value(self, t: Any, reader: Node | None) -> Any:
        """What a reader of `t` gets: the tensor itself, or the value that its reference has when `reader` runs."""
        found = self.mapping[id(t)]
        if not t.dtype._is_ref_dtype or found.dtype is not dtypes.resource:
            return found
        dtype = t.dtype.base_dtype
        control = list(reader.control_inputs) if reader is not None else []
        name = f"{t.node.name if reader is None else reader.name}/ReadVariableOp"
        read = self.target.add_node("ReadVariableOp", [found], {"dtype": dtype}, [(dtype, t.shape)], name, control)
        return read.outputs[0]


