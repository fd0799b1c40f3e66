"""FuncGraph: a graph that is being traced or was loaded, with inputs, outputs, captures and ordered side effects. It refuses to run.

Captures are tensors of an outer graph or concrete tensors that the body uses; small concrete tensors become constants, as in
TensorFlow. Side effects keep their order by control edges per resource (TensorFlow's automatic control dependencies).
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

from tracer import dispatch, dtypes, infer, random, registry
from tracer.dtypes import DType
from tracer.errors import GraphError, SymbolicTensorError
from tracer.ir.attrs import FunctionLibrary
from tracer.ir.graph import Graph, Node
from tracer.shapes import TensorShape, from_array_shape
from tracer.tensor import EagerTensor, SymbolicTensor

__all__ = ["FuncGraph", "Graph", "next_uid"]

# TensorFlow inlines concrete tensors of at most this many elements as constants.
_CONSTANT_ELEMENTS = 128
# Stateful ops whose order does not matter and that need not run for their own sake.
RANDOM_OPS = frozenset(
    "Multinomial ParameterizedTruncatedNormal RandomGamma RandomPoisson RandomPoissonV2 RandomShuffle RandomStandardNormal "
    "RandomUniform RandomUniformInt TruncatedNormal".split()
)
# Ops that only read the resources they get.
READ_ONLY_OPS = frozenset(
    "ReadVariableOp ResourceGather ResourceGatherNd VariableShape VarIsInitializedOp LookupTableFind LookupTableFindV2 "
    "LookupTableSize LookupTableSizeV2 LookupTableExport LookupTableExportV2 DisableCopyOnRead "
    "TensorArrayReadV3 TensorArraySizeV3".split()
)
# Ops flagged stateful only because they name a resource.
HANDLE_OPS = frozenset(
    "VarHandleOp HashTable HashTableV2 MutableHashTable MutableHashTableV2 MutableDenseHashTableV2 MutableHashTableOfTensorsV2 "
    "AnonymousHashTable AnonymousMutableHashTable Placeholder".split()
)
# Ops that call functions with the resources they get.
CALL_OPS = frozenset("PartitionedCall StatefulPartitionedCall If StatelessIf Case StatelessCase While StatelessWhile".split())

_uids = itertools.count(1)


def next_uid() -> int:
    """A number that no function of this process has had."""
    return next(_uids)


def reserve_uids(at_least: int) -> None:
    """Make `next_uid` give numbers above `at_least` (a loaded model holds numbered names)."""
    global _uids
    _uids = itertools.count(max(next(_uids), at_least + 1))


class FuncGraph(Graph):
    """The body of a function.

    Attributes:
        inputs: placeholders, the function's own arguments first, then one per capture.
        outputs: flat output tensors.
        captures: (outer tensor, placeholder) pairs in the order of the trailing inputs.
        control_outputs: nodes that must run for their effects.
        outer: the graph that was being traced when this one began, or None.
        library: the library of the model it was loaded from, if any.
        attrs: the function's own attrs (kept for the writer).
    """

    tensor_class = SymbolicTensor

    def __init__(self, name: str, outer: Any = None, library: FunctionLibrary | None = None):
        super().__init__(name)
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.captures: list[tuple[Any, Any]] = []
        self.control_outputs: list[Node] = []
        self.outer = outer
        self.library = library
        self.attrs: dict[str, Any] = {}
        self.structured_inputs: Any = None
        self.structured_outputs: Any = None
        self.variables: list[Any] = []
        self.created_variables: list[Any] = []
        self.made_variables = False  # whether tracing made variables, be it outside of the trace (init_scope)
        self.is_stateful_override: bool | None = None
        self._captured: dict[int, tuple[Any, Any]] = {}
        self._control: list[Node] = []
        self._last_write: dict[int, Node] = {}
        self._readers: dict[int, list[Node]] = {}
        self._last_stateful: Node | None = None
        self._resource_roots: dict[int, int] = {}
        self._must_run: list[Node] = []
        self.seed: int | None = random.global_seed() if outer is None else getattr(outer, "seed", None)

    # -- building ----------------------------------------------------------------------------------------------------

    def placeholder(
        self, dtype: DType, shape: TensorShape, name: str | None = None, handle_data: Any = None, user_name: str | None = None
    ) -> Any:
        """Append a Placeholder (not yet an input)."""
        attrs: dict[str, Any] = {"dtype": dtype, "shape": shape}
        if user_name is not None:
            attrs["_user_specified_name"] = user_name.encode()
        node = self.add_node("Placeholder", (), attrs, [(dtype, shape)], name or "Placeholder")
        out = node.outputs[0]
        out.handle_data = handle_data
        return out

    def add_input(self, dtype: DType, shape: TensorShape, name: str | None = None, handle_data: Any = None) -> Any:
        """Append a Placeholder that is an argument of the function."""
        clean = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name or "args_0")
        if not re.match(r"[A-Za-z0-9.]", clean):
            clean = "arg" + clean
        t = self.placeholder(dtype, shape, clean, handle_data, name)
        self.inputs.append(t)
        return t

    def constant(self, array: Any, dtype: DType, name: str | None = None) -> Any:
        """Append a Const holding `array`."""
        attrs = {"value": array, "dtype": dtype}
        with self._no_control():
            return self.add_node("Const", (), attrs, [(dtype, from_array_shape(array.shape))], name or "Const").outputs[0]

    def append(self, op: registry.Op, inputs: Sequence[Any], attrs: dict[str, Any], name: str | None = None) -> list[Any]:
        """Append a node for `op`; captures what does not belong to this graph. Returns its outputs."""
        own = [t if getattr(t, "node", None) is not None and t.node.graph is self else self.capture(t) for t in inputs]
        schema = op.schema
        types = schema.output_dtypes(attrs)
        shapes, handles = infer.infer_shapes(op, own, attrs, types)
        node = self.add_node(op.name, own, attrs, list(zip(types, shapes, strict=True)), name, self._control_for(own))
        for i, data in handles.items():
            node.outputs[i].handle_data = data
        if schema.is_stateful or op.name in CALL_OPS:
            self._order(node, schema)
        return node.outputs

    def _control_for(self, inputs: Sequence[Any]) -> list[Node]:
        if not self._control:
            return []
        have = {id(t.node) for t in inputs}
        return [n for n in self._control if id(n) not in have]

    def capture(self, tensor: Any, name: str | None = None) -> Any:
        """The tensor of this graph that stands for outer or concrete `tensor`."""
        for source, maps in dispatch.context.aliases:
            tensor = next((m[id(tensor)] for m in maps if id(tensor) in m), tensor)
            del source  # named in the alias to keep its tensors, and so their ids, alive
        if getattr(tensor, "node", None) is not None and tensor.node.graph is self:
            return tensor
        known = self._captured.get(id(tensor))
        if known is not None:
            return known[1]
        if isinstance(tensor, EagerTensor):
            value = tensor._value
            if tensor.dtype.kind not in "rvs" and value.size <= _CONSTANT_ELEMENTS:
                with self._at_top():
                    inner = self.constant(value, tensor.dtype)
                self._captured[id(tensor)] = (tensor, inner)
                return inner
            handle = tensor.handle_data
            label = name or ("resource" if tensor.dtype.kind == "r" else "unknown")
        elif isinstance(tensor, SymbolicTensor):
            graph = self.outer
            while graph is not None and graph is not tensor.node.graph:
                graph = graph.outer if isinstance(graph, FuncGraph) else None
            if graph is None:
                raise SymbolicTensorError(
                    f"{tensor!r} is out of scope and cannot be used here: it belongs to {tensor.node.graph!r}, this is {self!r}. "
                    f"Use return values, explicit Python locals or TensorFlow collections to access it."
                )
            handle = tensor.handle_data
            label = name or tensor.node.name.rpartition("/")[2]
        else:
            raise GraphError(f"{self!r}: cannot capture {tensor!r} of type {type(tensor).__name__}; expected a tensor")
        with self._at_top():
            inner = self.placeholder(tensor.dtype, tensor.shape, label, handle, label)
        self.captures.append((tensor, inner))
        self.inputs.append(inner)
        self._captured[id(tensor)] = (tensor, inner)
        return inner

    def capture_as_input(self, tensor: Any, placeholder: Any) -> None:
        """Let `placeholder`, an input made elsewhere, stand for outer `tensor`."""
        self._captured[id(tensor)] = (tensor, placeholder)
        self.captures.append((tensor, placeholder))

    @property
    def external_captures(self) -> list[Any]:
        return [outer for outer, _ in self.captures]

    # -- control edges -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def control_dependencies(self, inputs: Sequence[Any] | None) -> Iterator[None]:
        """Nodes appended inside run after `inputs`: tensors of this graph, outer ones (ignored), or nodes; None clears."""
        previous = self._control
        if inputs is None:
            self._control = []
        else:
            new = list(previous)
            for item in inputs:
                node = item if isinstance(item, Node) else getattr(item, "node", None)
                if node is not None and node.graph is self and node not in new:
                    new.append(node)
            self._control = new
        try:
            yield
        finally:
            self._control = previous

    @contextlib.contextmanager
    def _no_control(self) -> Iterator[None]:
        previous, self._control = self._control, []
        try:
            yield
        finally:
            self._control = previous

    @contextlib.contextmanager
    def _at_top(self) -> Iterator[None]:
        previous, self._control = self._control, []
        try:
            with self.scopes.scope(None):
                yield
        finally:
            self._control = previous

    def _root(self, t: Any) -> int:
        """Which resource a handle is: the placeholder or handle op it comes from."""
        while t.node.op in ("Identity", "IdentityN", "Switch", "Enter"):
            t = t.node.inputs[t.index if t.node.op == "IdentityN" else 0]
        return id(t.node)

    def _order(self, node: Node, schema: Any) -> None:
        """Order a stateful node after the effects it may depend on."""
        if node.op in RANDOM_OPS or node.op in HANDLE_OPS:
            return
        resources = [t for t in node.inputs if t.dtype is dtypes.resource]
        before: list[Node] = []
        if node.op in CALL_OPS and not self._call_is_stateful(node):
            if not resources:
                return
        if resources:
            only_read = node.attrs.get("_read_only_resource_inputs") or ()
            kept = {id(node.inputs[i]) for i in only_read if i < len(node.inputs)}
            for t in resources:
                read_only = node.op in READ_ONLY_OPS or id(t) in kept
                root = self._root(t)
                write = self._last_write.get(root)
                if write is not None:
                    before.append(write)
                if read_only:
                    self._readers.setdefault(root, []).append(node)
                else:
                    before.extend(self._readers.pop(root, ()))
                    self._last_write[root] = node
        if not resources or (node.op in CALL_OPS and self._call_has_other_effects(node)):
            if self._last_stateful is not None:
                before.append(self._last_stateful)
            self._last_stateful = node
        have = {id(t.node) for t in node.inputs} | {id(n) for n in node.control_inputs}
        for b in before:
            if b is not node and id(b) not in have:
                node.control_inputs.append(b)
                have.add(id(b))
        self._must_run.append(node)

    @staticmethod
    def _callees(node: Node) -> list[Any]:
        from tracer.ir.attrs import FunctionRef

        out = []
        for value in node.attrs.values():
            for ref in value if isinstance(value, list) else (value,):
                if isinstance(ref, FunctionRef):
                    out.append(ref.graph)
        return out

    def _call_is_stateful(self, node: Node) -> bool:
        return any(g.is_stateful for g in self._callees(node))

    def _call_has_other_effects(self, node: Node) -> bool:
        return any(
            getattr(g, "has_free_effects", True) for g in self._callees(node)
        )

    @property
    def is_stateful(self) -> bool:
        """Whether a node has or observes side effects."""
        if self.is_stateful_override is not None:
            return self.is_stateful_override
        for node in self:
            record = registry.find_op(node.op)
            if node.op in CALL_OPS:
                if self._call_is_stateful(node):
                    return True
            elif record is not None and record.schema.is_stateful and node.op != "Placeholder":
                return True
        return False

    @property
    def has_free_effects(self) -> bool:
        """Whether a node has side effects on something else than the resources it is given."""
        return self._last_stateful is not None

    def effect_nodes(self) -> list[Node]:
        """The nodes that must run for their effects, in order."""
        return list(self._must_run)

    def finish(self, outputs: Sequence[Any]) -> None:
        """Set the outputs, behind Identity nodes that run after all effects, as TensorFlow writes them."""
        effects = self.effect_nodes()
        own = [t if getattr(t, "node", None) is not None and t.node.graph is self else self.capture(t) for t in outputs]
        with self._at_top():
            control: list[Node] = []
            if effects and own:
                control = [self.add_node("NoOp", (), {}, (), "NoOp", effects)]
            self.outputs = []
            for t in own:
                node = self.add_node("Identity", [t], {"T": t.dtype}, [(t.dtype, t.shape)], "Identity", control)
                node.outputs[0].handle_data = t.handle_data
                self.outputs.append(node.outputs[0])
        self.control_outputs = effects


# -- copying ---------------------------------------------------------------------------------------------------------


def copy_nodes(
    source: FuncGraph, target: FuncGraph, mapping: dict[int, Any], inline: bool = False, prefix: str = "",
    after: Sequence[Node] = (), around: tuple[dict[int, Any], ...] = (),
) -> dict[int, list[Node]]:  # fmt: skip
    """Append copies of `source`'s nodes to `target`.

    Args:
        mapping: id of a source tensor → target tensor; holds the inputs on entry, is filled with all outputs.
        inline: replace calls of functions by their bodies.
        prefix: put before node names.
        after: target nodes that everything without inputs, and every effect, must follow.
        around: the mappings of the calls that this one is inlined into, innermost first.

    Returns:
        id of a source node → the target nodes that a control edge on it means.
    """
    from tracer.ir.graph import topological_order

    nodes: dict[int, list[Node]] = {}
    inputs = {id(t.node) for t in source.inputs}
    for outer, inner in source.captures:
        if id(inner) in mapping:
            mapping.setdefault(id(outer), mapping[id(inner)])
    # Gradients written in Python close over tensors of the graph they were traced in: remember what stands for these here.
    known_aliases = source.extra.get("aliases", {})
    aliases = target.extra.setdefault("aliases", {})
    origins = _Origins(source, mapping)
    for node in topological_order(source):
        if id(node) in inputs:
            # an input given from outside: nothing to wait for but its maker
            given = mapping.get(id(node.outputs[0]))
            nodes[id(node)] = [given.node] if getattr(given, "node", None) is not None and given.node.graph is target else []
            continue
        ins = [mapping[id(t)] for t in node.inputs]
        control: list[Node] = []
        for c in node.control_inputs:
            control.extend(n for n in nodes.get(id(c), ()) if n not in control)
        if after and (not ins or node.op in CALL_OPS or _is_effect(node)):
            control.extend(n for n in after if n not in control)
        if inline and node.op in ("PartitionedCall", "StatefulPartitionedCall"):
            nodes[id(node)] = inline_call(node, ins, control, target, mapping, prefix, around)
            continue
        own = [t if getattr(t, "node", None) is not None and t.node.graph is target else target.capture(t) for t in ins]
        copy = target.add_node(
            node.op, own, dict(node.attrs), [(t.dtype, t.shape) for t in node.outputs], prefix + node.name if prefix else node.name, control, node.device
        )
        for old, new in zip(node.outputs, copy.outputs, strict=True):
            new.handle_data = old.handle_data
            mapping[id(old)] = new
        origins.note(node, copy)
        nodes[id(node)] = [copy]
        if "_gradient_op_type" in node.attrs:
            aliases[copy.name] = (*known_aliases.get(node.name, ()), (source, (mapping, *around)))
        if _is_effect(node):
            target._must_run.append(copy)
    return nodes


class _Origins:
    """Keeps, on copies, the tensors of the same body by the names they had in the function it came from (see Node.extra).

    A saved custom gradient names tensors of the forward pass by these names.
    """

    def __init__(self, source: FuncGraph, mapping: dict[int, Any]):
        self._by_origin: dict[int, dict[str, Any]] = {}
        for t in source.inputs:
            if id(t) in mapping:
                self._of(t.node)[f"{self._name(t.node)}:0"] = mapping[id(t)]

    def _of(self, node: Node) -> dict[str, Any]:
        key = 0 if node.extra is None else id(node.extra[0])
        return self._by_origin.setdefault(key, {})

    @staticmethod
    def _name(node: Node) -> str:
        return node.name if node.extra is None else node.extra[1]

    def note(self, node: Node, copy: Node) -> None:
        tensors, name = self._of(node), self._name(node)
        copy.extra = (tensors, name)
        for i, t in enumerate(copy.outputs):
            tensors[f"{name}:{i}"] = t


def _is_effect(node: Node) -> bool:
    if node.op in RANDOM_OPS or node.op in HANDLE_OPS:
        return False
    record = registry.find_op(node.op)
    return record is not None and record.schema.is_stateful


def inline_call(
    node: Node, inputs: Sequence[Any], control: Sequence[Node], target: FuncGraph, mapping: dict[int, Any], prefix: str = "",
    around: tuple[dict[int, Any], ...] = (),
) -> list[Node]:  # fmt: skip
    """Append the body of the function that call `node` calls. Returns the nodes that a control edge on `node` means."""
    body = node.attrs["f"].graph
    inner: dict[int, Any] = {id(p): t for p, t in zip(body.inputs, inputs, strict=True)}
    made = copy_nodes(body, target, inner, True, f"{prefix}{node.name}/", control, (mapping, *around))
    for old, new in zip(node.outputs, body.outputs, strict=True):
        mapping[id(old)] = inner[id(new)]
    done: list[Node] = []
    for c in body.control_outputs:
        done.extend(n for n in made.get(id(c), ()) if n not in done)
    if not done:
        done = [inner[id(t)].node for t in body.outputs if getattr(inner[id(t)], "node", None) is not None]
    return done


def copy_func_graph(source: FuncGraph, name: str, inline: bool = True) -> tuple[FuncGraph, dict[int, Any]]:
    """A copy of `source` with calls inlined; captures become plain inputs. Returns the copy and id(old tensor) → new tensor."""
    target = FuncGraph(name, None, source.library)
    target.seed = source.seed
    mapping: dict[int, Any] = {}
    for t in source.inputs:
        new = target.placeholder(t.dtype, t.shape, t.node.name, t.handle_data)
        target.inputs.append(new)
        mapping[id(t)] = new
    nodes = copy_nodes(source, target, mapping, inline)
    target.outputs = [mapping[id(t)] for t in source.outputs]
    target.control_outputs = [n for c in source.control_outputs for n in nodes.get(id(c), ())]
    target._last_stateful = source._last_stateful
    return target, mapping


@contextlib.contextmanager
def trace_into(graph: FuncGraph) -> Iterator[FuncGraph]:
    """Make `graph` the one that ops append to; tapes outside do not listen to its ops."""
    context = dispatch.context
    tapes, outer = context.tapes, context.trace
    context.tapes, context.trace = (), graph
    try:
        with dispatch.enter_graph(graph):
            yield graph
    finally:
        context.tapes, context.trace = tapes, outer
        if outer is not None and graph.made_variables:
            outer.made_variables = True


def register_function(graph: FuncGraph, stem: str) -> Any:
    """Name `graph` uniquely `__inference_<stem>_<uid>` and return a reference to it."""
    from tracer.ir.attrs import FunctionRef

    clean = re.sub(r"[^A-Za-z0-9_]", "_", stem)
    graph.name = f"__inference_{clean}_{next_uid()}"
    return FunctionRef(graph.name, graph=graph)

