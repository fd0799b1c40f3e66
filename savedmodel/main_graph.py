"""The main graph of a model being saved: what session-based loaders run. It refuses to know messages of objects and files.

Order of nodes as TensorFlow writes them: variables, constants, assets, tables, signature inputs and calls, initialisers, saver.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from savedmodel.checkpoint_writer import CheckpointWriter
from savedmodel.errors import NotSavableError
from savedmodel.format import protos
from savedmodel.format.tensor_proto import tensor_to_proto
from savedmodel.graphdef_writer import serialize_node_attrs
from savedmodel.object_graph import Constant, ObjectGraph
from savedmodel.object_messages import shape_proto
from savedmodel.revive import Asset, RestoredResource
from savedmodel.saver_functions import trace_restore, trace_save
from savedmodel.structured import serialize_structure
from tracer import dtypes, nest, specs
from tracer.functions import ConcreteFunction, Function, call_graph, reference
from tracer.lookup import LookupInterface
from tracer.shapes import TensorShape
from tracer.tracing import FuncGraph, copy_nodes, trace_into
from tracer.variable import Variable

__all__ = ["MainGraph"]

_SCALAR = TensorShape([])
_INIT_OP_KEY = "__saved_model_init_op"


class MainGraph:
    """The main graph, and the parts of a MetaGraphDef that name its nodes.

    Args:
        objects: the object graph.
        meta: the MetaGraphDef; signatures, assets, saver and init op are written into it.
        node_of: the node id that a captured tensor of a function stands for; raises where there is none.

    Attributes:
        assets: (name under assets/, source path) of every file that belongs to the model.
        asset_index: node id → index among the asset_file_defs. constant_names: node id → name of the Const.
    """

    def __init__(self, objects: ObjectGraph, meta: Any, node_of: Callable[[ConcreteFunction, int], int]):
        self.objects = objects
        self.meta = meta
        self.graph = _UnorderedGraph("main")
        self.assets: list[tuple[str, str]] = []
        self.asset_index: dict[int, int] = {}
        self.constant_names: dict[int, str] = {}
        self._node_of = node_of
        self._tensors: dict[int, Any] = {}  # node id → what stands for it here
        self._shared_names: set[str] = set()
        self._tables: list[tuple[Any, FuncGraph]] = []  # the node that makes a table here, and the function that makes it elsewhere

    def build(self, signatures: Mapping[str, ConcreteFunction], checkpoint: CheckpointWriter | None) -> None:
        """Add everything; `checkpoint` None leaves the saver out."""
        initializers: list[Any] = []
        nodes = list(enumerate(self.objects.nodes))
        with trace_into(self.graph):
            for i, obj in nodes:
                if isinstance(obj, Variable):
                    self._tensors[i] = self._add_variable(obj)
                elif isinstance(obj, Constant):
                    out = self.graph.constant(obj.tensor._value, obj.tensor.dtype, "Const")
                    self._tensors[i] = out
                    self.constant_names[i] = out.node.name
            for i, obj in nodes:
                if isinstance(obj, Asset):
                    initializers.append(self._add_asset(i, obj))
            tables = [(i, obj) for i, obj in nodes if isinstance(obj, (LookupInterface, RestoredResource))]
            for i, _ in tables:
                self._add_table(i)
            for key in sorted(signatures):
                self._add_signature(key, signatures[key])
            for i, _ in tables:
                initializers.append(self._add_table_initializer(i))
            init = self.graph.add_node("NoOp", (), {}, (), "NoOp", [n for n in initializers if n is not None])
            self._describe_init(init.name)
            if checkpoint is not None:
                self._add_saver(checkpoint)

    def write(self, out: Any, names: Any) -> None:
        """Append the nodes to GraphDef `out`, whose functions are written already."""
        for node, creator in self._tables:
            shared = names.table_names.get(names.add(creator))
            if shared and "shared_name" in node.attrs:
                node.attrs["shared_name"] = shared
        for node in self.graph:
            m = out.node.add(name=node.name, op=node.op, device=node.device)
            for t in node.inputs:
                m.input.append(t.node.name if t.index == 0 else f"{t.node.name}:{t.index}")
            for c in dict.fromkeys(node.control_inputs):
                m.input.append("^" + c.name)
            serialize_node_attrs(node, m, names)

    # -- objects -----------------------------------------------------------------------------------------------------

    def _handle(self, name: str, dtype: Any, shape: TensorShape) -> Any:
        """A variable's handle under a name that no other has: session-based loaders find values by it."""
        unique, k = name, 0
        while unique in self._shared_names:
            k += 1
            unique = f"{name}_{k}"
        self._shared_names.add(unique)
        attrs = {"dtype": dtype, "shape": shape, "shared_name": unique.encode(), "debug_name": (unique + "/").encode()}
        handle = self.graph.add_node("VarHandleOp", (), attrs, [(dtypes.resource, _SCALAR)], unique).outputs[0]
        handle.handle_data = [(dtype, shape)]
        return handle

    def _add_variable(self, variable: Variable) -> Any:
        handle = self._handle(_node_name(variable._shared_name), variable.dtype, variable.shape)
        outputs = [(variable.dtype, variable.shape)]
        self.graph.add_node("ReadVariableOp", [handle], {"dtype": variable.dtype}, outputs, f"{handle.node.name}/Read/ReadVariableOp")
        return handle

    def _add_asset(self, i: int, asset: Asset) -> Any:
        graph = self.graph
        filename = self._asset_filename(os.fsdecode(asset.asset_path._value.item()))
        placeholder = graph.placeholder(dtypes.string, _SCALAR, "asset_path_initializer")
        handle = self._handle("Variable", dtypes.string, _SCALAR)
        attrs = {"dtype": dtypes.string}
        assign = graph.add_node("AssignVariableOp", [handle, placeholder], attrs, (), f"{handle.node.name}/Assign")
        read = graph.add_node("ReadVariableOp", [handle], attrs, [(dtypes.string, _SCALAR)], "ReadVariableOp", [assign])
        self._tensors[i] = read.outputs[0]
        info = self.meta.asset_file_def.add(filename=filename)
        info.tensor_info.name = f"{placeholder.node.name}:0"
        info.tensor_info.dtype = dtypes.string.number
        info.tensor_info.tensor_shape.SetInParent()
        self.asset_index[i] = len(self.meta.asset_file_def) - 1
        return assign

    def _asset_filename(self, path: str) -> str:
        for name, source in self.assets:
            if source == path or _same_file(source, path):
                return name
        if not os.path.isfile(path):
            raise NotSavableError(f"asset {path!r}: no such file; an asset must exist when the model is saved (a tf.function reads it)")
        base = os.path.basename(path)
        taken = {name for name, _ in self.assets}
        name, k = base, 0
        while name in taken:
            k += 1
            name = f"{base}_{k}"
        self.assets.append((name, path))
        return name

    def _add_table(self, i: int) -> None:
        create = self._resource_function(i, "_create_resource")
        if create is None:
            return
        # the body itself: converters look for the table's op here
        mapping = dict(zip(map(id, create.graph.inputs), self._captures(create), strict=True))
        copy_nodes(create.graph, self.graph, mapping, inline=True)
        handle = mapping[id(create.graph.outputs[0])]
        while handle.node.op == "Identity":
            handle = handle.node.inputs[0]
        self._tensors[i] = handle
        self._tables.append((handle.node, create.graph))

    def _add_table_initializer(self, i: int) -> Any:
        fill = self._resource_function(i, "_initialize")
        if fill is None or not len(fill.graph.nodes):
            return None
        return _call_node(self.graph, fill.graph, self._captures(fill))

    def _resource_function(self, i: int, name: str) -> ConcreteFunction | None:
        for child_name, child in self.objects.children[i]:
            if child_name == name:
                found = self.objects.nodes[child]
                if isinstance(found, Function):
                    concrete = found.concrete_functions()
                    return concrete[0] if concrete else None
                return found
        return None

    def _captures(self, function: ConcreteFunction) -> list[Any]:
        """What stands here for the captured tensors of a function."""
        return [self._tensors[self._node_of(function, k)] for k in range(len(function.captured_inputs))]

    # -- signatures --------------------------------------------------------------------------------------------------

    def _add_signature(self, key: str, concrete: ConcreteFunction) -> None:
        definition = self.meta.signature_def[key]
        definition.method_name = "tensorflow/serving/predict"
        defaults = getattr(concrete, "defaults", None) or {}
        inputs = []
        for name, t in zip(concrete._arg_keywords, concrete.graph.inputs[: concrete.arg_count], strict=True):
            placeholder = self._signature_input(_node_name(f"{key}_{name}"), t, defaults.get(name))
            inputs.append(placeholder)
            _fill_info(definition.inputs[name], placeholder)
            if name in defaults:
                definition.defaults[name].CopyFrom(tensor_to_proto(defaults[name]._value, t.dtype.number))
        outputs = iter(call_graph(concrete.graph, [*inputs, *self._captures(concrete)]))
        structure = concrete.structured_outputs
        keys = [path[0] if path else "output_0" for path, _ in nest.flatten_with_paths(structure)]
        for name, spec in zip(keys, nest.flatten(structure), strict=True):
            info = definition.outputs[str(name)]
            if isinstance(spec, specs.TypeSpec) and spec.is_composite_spec:
                info.dtype = getattr(spec, "dtype", dtypes.variant).number
                info.composite_tensor.type_spec.CopyFrom(serialize_structure(spec).type_spec_value)
                info.tensor_shape.CopyFrom(shape_proto(getattr(spec, "shape", TensorShape(None))))
                for _ in spec.component_specs:
                    _fill_info(info.composite_tensor.components.add(), next(outputs))
            else:
                _fill_info(info, next(outputs))

    def _signature_input(self, name: str, t: Any, default: Any) -> Any:
        if default is None:
            return self.graph.placeholder(t.dtype, t.shape, name, t.handle_data)
        value = self.graph.constant(default._value, t.dtype, f"{name}/input")
        attrs = {"dtype": t.dtype, "shape": t.shape}
        return self.graph.add_node("PlaceholderWithDefault", [value], attrs, [(t.dtype, t.shape)], name).outputs[0]

    # -- init and saver ----------------------------------------------------------------------------------------------

    def _describe_init(self, name: str) -> None:
        init = self.meta.signature_def[_INIT_OP_KEY].outputs[_INIT_OP_KEY]
        init.name = name
        init.tensor_shape.unknown_rank = True
        self.meta.collection_def["saved_model_main_op"].node_list.value.append(name)

    def _add_saver(self, checkpoint: CheckpointWriter) -> None:
        filename = self.graph.placeholder(dtypes.string, _SCALAR, "saver_filename")
        calls = []
        for traced in (trace_save(checkpoint), trace_restore(checkpoint)):
            captured = [self._tensors[self.objects.node_of_capture(t)] for t in traced.external_captures]
            calls.append(_call_node(self.graph, traced, [filename, *captured]))
        saver = self.meta.saver_def
        saver.filename_tensor_name = f"{filename.node.name}:0"
        saver.save_tensor_name = f"{calls[0].name}:0"
        saver.restore_op_name = calls[1].name
        saver.version = protos.SaverDef.V2


class _UnorderedGraph(FuncGraph):
    """A graph whose nodes run only when they are asked for: one signature must not wait for the effects of another."""

    def _order(self, node: Any, schema: Any) -> None:
        """Effects are not ordered."""


def _call_node(main: FuncGraph, graph: FuncGraph, inputs: Sequence[Any]) -> Any:
    """A call that keeps its name and runs for its effects, whether the function counts as stateful or not."""
    attrs = {"Tin": [t.dtype for t in inputs], "Tout": [t.dtype for t in graph.outputs], "f": reference(graph)}
    outputs = [(t.dtype, t.shape) for t in graph.outputs]
    return main.add_node("StatefulPartitionedCall", inputs, attrs, outputs, "StatefulPartitionedCall")


def _fill_info(info: Any, tensor: Any) -> None:
    info.name, info.dtype = f"{tensor.node.name}:{tensor.index}", tensor.dtype.number
    info.tensor_shape.CopyFrom(shape_proto(tensor.shape))


def _node_name(text: str) -> str:
    fixed = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", text)
    return fixed if re.match(r"[A-Za-z0-9.]", fixed) else "." + fixed


def _same_file(a: str, b: str) -> bool:
    if os.path.basename(a) != os.path.basename(b):
        return False
    try:
        return os.path.samefile(a, b) or Path(a).read_bytes() == Path(b).read_bytes()
    except OSError:
        return False

