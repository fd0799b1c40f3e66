"""save: objects become a SavedModel directory that TensorFlow loads. It walks, traces and writes; the formats live in `format`.

Order of work: the object graph, the functions and what they captured, the main graph that session-based loaders run, the messages, the
checkpoint, then everything is published at once by renaming a finished directory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import savedmodel.io_ops  # noqa: F401 - registers the ops that the saver functions are made of
from savedmodel.custom_gradients import collect_gradients
from savedmodel.errors import NotSavableError, UntrackedCaptureError
from savedmodel.format import fingerprint, protos, wire
from savedmodel.format.bundle import BundleWriter
from savedmodel.format.tensor_proto import shape_to_proto, tensor_to_proto
from savedmodel.function_library import FunctionLibraryWriter
from savedmodel.graphdef import serialize_node_attrs, serialize_op_def
from savedmodel.object_graph import Constant, ObjectGraph, identifier_of
from savedmodel.options import SaveOptions
from savedmodel.revive import Asset, RestoredResource
from savedmodel.signatures import canonical_signatures
from savedmodel.structured import named_tuple, serialize_structure
from savedmodel.trackable import is_trackable, unwrap
from tracer import dispatch, dtypes, nest, registry, specs
from tracer.dispatch import raw
from tracer.functions import ConcreteFunction, Function, FunctionSpec, call_graph, reference, trace_function
from tracer.lookup import LookupInterface
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec
from tracer.tensor import EagerTensor
from tracer.tracing import FuncGraph, next_uid, trace_into
from tracer.variable import Variable

__all__ = ["CheckpointWriter", "SavedModelWriter", "save"]

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
# The TensorFlow release whose conventions are followed; loaders print it, none depends on it.
TENSORFLOW_VERSION = "2.15.1"
_GRAPH_PRODUCER = 1645
INIT_OP_KEY = "__saved_model_init_op"


def save(obj: Any, path: Any, signatures: Any = None, options: SaveOptions | None = None) -> None:
    """Write `obj` and everything it holds as a SavedModel directory at `path`.

    Args:
        obj: any trackable object: a Module, Keras model, loaded object, ….
        signatures: a function with an input signature, a concrete function, or key → such; None: the one obvious function, if any.
        options: see SaveOptions.

    Raises:
        ValueError: `obj` or a signature cannot be saved; the message says why. AssertionError: a function uses a variable, table or
            file that is no attribute of `obj`.
    """
    SavedModelWriter(obj, signatures, options or SaveOptions()).write(path)


class SavedModelWriter:
    """One save: everything is traced and put together when it is made; `write` puts it on disk."""

    def __init__(self, obj: Any, signatures: Any, options: SaveOptions):
        if not is_trackable(obj) or isinstance(obj, (Variable, Function, ConcreteFunction)):
            raise NotSavableError(
                f"Expected a Trackable object for export, got {obj!r} of type {type(obj).__name__}; put it on a tf.Module and save that"
            )
        self.obj = obj
        self.options = options
        self._files: dict[str, bytes] = {}
        with dispatch.init_scope():
            cache: dict[Any, Any] = {}
            self.signatures, self.signature_functions = canonical_signatures(obj, signatures, cache)
            extra = {"signatures": self.signatures} if self.signatures is not None else {}
            self.graph = ObjectGraph(obj, "savedmodel", extra, cache)
            self.message = protos.SavedModel(saved_model_schema_version=1)
            self.meta = self.message.meta_graphs.add()
            self.meta.SetInParent()
            self.functions = FunctionLibraryWriter()
            self.assets: list[tuple[str, str]] = []  # (file name in assets/, source path)
            self._asset_index: dict[int, int] = {}
            self._checkpoint = CheckpointWriter(self.graph, self._saveable_functions())
            self._collect_functions()
            self._build_main_graph()
            self._write_objects()
            self._write_meta()

    # -- functions ---------------------------------------------------------------------------------------------------

    def _saveable_functions(self) -> dict[int, dict[str, tuple[int, int]]]:
        """Save and restore functions of objects with state of their own (mutable tables); they become nodes."""
        out: dict[int, dict[str, tuple[int, int]]] = {}
        for i, obj in enumerate(list(self.graph.nodes)):
            make = getattr(obj, "_serialize_to_tensors", None)
            if make is None or isinstance(obj, Variable) or not isinstance(obj, LookupInterface):
                continue
            save_fn, restore_fn = _table_saver(obj)
            ids = []
            for fn in (save_fn, restore_fn):
                new = self.graph._add(fn, (*self.graph.paths[i], "saver"))
                if new == len(self.graph.children):
                    self.graph.children.append([])
                    self.graph.slots.append([])
                ids.append(new)
            out[i] = {"table": (ids[0], ids[1])}
        self._saveables = out
        return out

    def _collect_functions(self) -> None:
        self.concrete: dict[int, ConcreteFunction] = {}  # by graph id
        self.concrete_names: dict[int, str] = {}
        for obj in self.graph.nodes:
            found: Sequence[ConcreteFunction] = ()
            if isinstance(obj, Function):
                found = obj.concrete_functions()
            elif isinstance(obj, ConcreteFunction):
                found = [obj]
            for concrete in found:
                key = id(concrete.graph)
                if key not in self.concrete:
                    self.concrete[key] = concrete
                    self.concrete_names[key] = self.functions.add(concrete.graph)

    def _captures_of(self, concrete: ConcreteFunction) -> list[int]:
        out = []
        for k, t in enumerate(concrete.captured_inputs):
            node = self.graph.node_of_capture(t)
            if node is None:
                raise UntrackedCaptureError(self._untracked(concrete, t, k))
            out.append(node)
        return out

    def _untracked(self, concrete: ConcreteFunction, tensor: Any, k: int) -> str:
        value = getattr(tensor, "_value", None)
        name = getattr(value, "name", None) or getattr(tensor, "name", None) or type(value).__name__
        if isinstance(tensor, EagerTensor) and tensor.dtype.kind == "r":
            what = f"the variable or table {name!r}"
        elif isinstance(tensor, EagerTensor):
            what = f"a tensor of shape {tensor.shape}"
        else:
            what = f"the symbolic tensor {tensor!r}"
        kind = "tf.function"
        return (
            f"Tried to export a function which references an 'untracked' resource. Trackable referencing this tensor ({name}) and its "
            f"{kind} must be reachable: function {concrete.name!r} uses {what}, which is not reachable from root. TensorFlow objects (e.g. "
            f"tf.Variable, HashTable) captured by functions must be 'tracked' by assigning them to an attribute of a tracked object or "
            f"assigned to an attribute of the main object directly. Capture {k} of {len(concrete.captured_inputs)}."
        )

    # -- main graph --------------------------------------------------------------------------------------------------

    def _build_main_graph(self) -> None:
        main = self.main = FuncGraph("main")
        self._variable_ids: list[int] = []
        names: set[str] = set()
        self._shared: dict[int, str] = {}
        initializers: list[Any] = []
        with trace_into(main):
            for i, obj in enumerate(self.graph.nodes):
                if isinstance(obj, Variable):
                    self._add_variable(i, obj, names)
                elif isinstance(obj, Constant):
                    t = obj.tensor
                    out = main.constant(t._value, t.dtype, "Const")
                    main._captured[id(t)] = (t, out)
                    self._constant_node(i, out)
            for i, obj in enumerate(self.graph.nodes):
                if isinstance(obj, Asset):
                    initializers.append(self._add_asset(i, obj, names))
            for obj in self.graph.nodes:
                if isinstance(obj, (LookupInterface, RestoredResource)):
                    self._add_table_handle(obj)
            self._add_signatures()
            for obj in self.graph.nodes:
                if isinstance(obj, (LookupInterface, RestoredResource)):
                    node = self._add_table_initializer(obj)
                    if node is not None:
                        initializers.append(node)
            init = main.add_node("NoOp", (), {}, (), "NoOp", [n for n in initializers if n is not None])
            self._init_name = init.name
            if not self.options.experimental_skip_saver:
                self._add_saver()
        main.control_outputs = []

    def _add_variable(self, i: int, variable: Variable, names: set[str]) -> None:
        main = self.main
        stem = _node_name(variable._shared_name)
        unique, k = stem, 0
        while unique in names:
            k += 1
            unique = f"{stem}_{k}"
        names.add(unique)
        self._shared[i] = unique
        attrs = {
            "dtype": variable.dtype, "shape": variable.shape, "shared_name": unique.encode(), "debug_name": (unique + "/").encode(),
        }  # fmt: skip
        handle = main.add_node("VarHandleOp", (), attrs, [(dtypes.resource, TensorShape([]))], unique).outputs[0]
        handle.handle_data = [(variable.dtype, variable.shape)]
        main._captured[id(variable.handle)] = (variable.handle, handle)
        read = {"dtype": variable.dtype}
        main.add_node("ReadVariableOp", [handle], read, [(variable.dtype, variable.shape)], f"{unique}/Read/ReadVariableOp")
        self._variable_ids.append(i)

    def _constant_node(self, i: int, tensor: Any) -> None:
        self.__dict__.setdefault("_constant_names", {})[i] = tensor.node.name

    def _add_asset(self, i: int, asset: Asset, names: set[str]) -> Any:
        main = self.main
        path = os.fsdecode(asset.asset_path._value.item())
        filename = self._asset_filename(path)
        scalar = TensorShape([])
        placeholder = main.placeholder(dtypes.string, scalar, "asset_path_initializer")
        stem, k = "Variable", 0
        while stem in names:
            k += 1
            stem = f"Variable_{k}"
        names.add(stem)
        attrs = {"dtype": dtypes.string, "shape": scalar, "shared_name": stem.encode(), "debug_name": (stem + "/").encode()}
        handle = main.add_node("VarHandleOp", (), attrs, [(dtypes.resource, scalar)], stem).outputs[0]
        handle.handle_data = [(dtypes.string, scalar)]
        assign = main.add_node("AssignVariableOp", [handle, placeholder], {"dtype": dtypes.string}, (), f"{stem}/Assign")
        read = main.add_node("ReadVariableOp", [handle], {"dtype": dtypes.string}, [(dtypes.string, scalar)], "ReadVariableOp", [assign])
        tensor = asset.asset_path
        main._captured[id(tensor)] = (tensor, read.outputs[0])
        info = self.meta.asset_file_def.add(filename=filename)
        info.tensor_info.name = f"{placeholder.node.name}:0"
        self._asset_index[i] = len(self.meta.asset_file_def) - 1
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

    def _add_table_handle(self, table: Any) -> None:
        create = _resource_function(self.graph, table, "_create_resource")
        if create is None:
            return
        outputs = call_graph(create.graph, create.captured_inputs)
        handle = table.resource_handle
        self.main._captured[id(handle)] = (handle, outputs[0])
        for t in _handles_of(table):
            self.main._captured[id(t)] = (t, outputs[0])

    def _add_table_initializer(self, table: Any) -> Any:
        fill = _resource_function(self.graph, table, "_initialize")
        if fill is None or not len(fill.graph.nodes):
            return None
        outputs = call_graph(fill.graph, fill.captured_inputs)
        return outputs[0].node if outputs else None

    def _add_signatures(self) -> None:
        for key in sorted(self.signature_functions):
            concrete = self.signature_functions[key]
            count = len(concrete.graph.inputs) - len(concrete.captured_inputs)
            definition = self.meta.signature_def[key]
            definition.method_name = "tensorflow/serving/predict"
            inputs = []
            names = concrete._arg_keywords
            defaults = getattr(concrete, "defaults", None) or {}
            for name, t in zip(names, concrete.graph.inputs[:count], strict=True):
                node_name = _node_name(f"{key}_{name}")
                placeholder = self.main.placeholder(t.dtype, t.shape, node_name, t.handle_data)
                inputs.append(placeholder)
                info = definition.inputs[name]
                info.name, info.dtype = f"{placeholder.node.name}:0", t.dtype.number
                info.tensor_shape.CopyFrom(_shape_proto(t.shape))
                if name in defaults:
                    definition.defaults[name].CopyFrom(tensor_to_proto(defaults[name]._value, t.dtype.number))
            for c in concrete.captured_inputs:
                if self.graph.node_of_capture(c) is None:
                    raise UntrackedCaptureError(self._untracked(concrete, c, 0))
            outputs = call_graph(concrete.graph, [*inputs, *self._main_captures(concrete)])
            structure = concrete.structured_outputs
            flat_keys = [path[0] if path else "output_0" for path, _ in nest.flatten_with_paths(structure)]
            at = 0
            for name, spec in zip(flat_keys, nest.flatten(structure), strict=True):
                if isinstance(spec, specs.TypeSpec) and spec.is_composite_spec:
                    info = definition.outputs[str(name)]
                    info.dtype = getattr(spec, "dtype", dtypes.variant).number
                    info.composite_tensor.type_spec.CopyFrom(serialize_structure(spec).type_spec_value)
                    info.tensor_shape.CopyFrom(_shape_proto(getattr(spec, "shape", TensorShape(None))))
                    for _ in spec.component_specs:
                        part = info.composite_tensor.components.add()
                        _fill_info(part, outputs[at])
                        at += 1
                else:
                    _fill_info(definition.outputs[str(name)], outputs[at])
                    at += 1
            if not len(definition.outputs):
                definition.SetInParent()

    def _main_captures(self, concrete: ConcreteFunction) -> list[Any]:
        out = []
        for t in concrete.captured_inputs:
            known = self.main._captured.get(id(t))
            if known is None:
                node = self.graph.node_of_capture(t)
                obj = self.graph.nodes[node] if node is not None else None
                if isinstance(obj, Variable):
                    known = self.main._captured[id(obj.handle)]
                elif isinstance(obj, (LookupInterface, RestoredResource)):
                    known = self.main._captured[id(obj.resource_handle)]
                elif isinstance(obj, Asset):
                    known = self.main._captured[id(obj.asset_path)]
            out.append(known[1] if known is not None else t)
        return out

    def _add_saver(self) -> None:
        main = self.main
        keys, values = self._checkpoint.variable_keys()
        graph_bytes = self._checkpoint.graph_bytes()
        save_fn = _trace_save(keys, values, graph_bytes)
        restore_fn = _trace_restore(keys, values)
        scalar = TensorShape([])
        filename = main.placeholder(dtypes.string, scalar, "saver_filename")
        handles = [main._captured[id(v.handle)][1] for v in values]
        saved = _call_node(main, save_fn, [filename, *handles])
        restored = _call_node(main, restore_fn, [filename, *handles])
        saver = self.meta.saver_def
        saver.filename_tensor_name = f"{filename.node.name}:0"
        saver.save_tensor_name = f"{saved.name}:0"
        saver.restore_op_name = restored.name
        saver.version = protos.SaverDef.V2
        self.functions.add(save_fn)
        self.functions.add(restore_fn)

    # -- messages ----------------------------------------------------------------------------------------------------

    def _write_objects(self) -> None:
        out = self.meta.object_graph_def
        function_name = lambda c: self.concrete_names[id(c.graph)]  # noqa: E731
        for i, obj in enumerate(self.graph.nodes):
            node = out.nodes.add()
            self.graph.fill_children(i, node)
            if isinstance(obj, Variable):
                _variable_message(node.variable, obj)
            elif isinstance(obj, Function):
                node.function.SetInParent()
                node.function.concrete_functions.extend(function_name(c) for c in obj.concrete_functions())
                _function_spec_message(node.function.function_spec, obj.function_spec)
                for name, child in self.graph.children[i]:
                    node.dependencies.add(node_id=child, local_name=name)
            elif isinstance(obj, ConcreteFunction):
                _bare_message(node.bare_concrete_function, obj, function_name(obj))
                for name, child in self.graph.children[i]:
                    node.dependencies.add(node_id=child, local_name=name)
            elif isinstance(obj, Constant):
                node.constant.operation = self.__dict__["_constant_names"][i]
                node.registered_name = "tf.TrackableConstant"
            elif isinstance(obj, Asset):
                node.asset.asset_file_def_index = self._asset_index[i]
            elif isinstance(obj, (LookupInterface, RestoredResource)):
                node.resource.device = getattr(obj, "_device", "") or ""
                node.resource.SetInParent()
                registered = getattr(obj, "_registered_name", "")
                if type(obj).__name__ == "StaticHashTable":
                    registered = "tf.StaticHashTable"
                if registered:
                    node.registered_name = registered
            else:
                identifier, producer, consumer = identifier_of(obj)
                node.user_object.identifier = identifier
                node.user_object.version.producer = producer
                node.user_object.version.min_consumer = consumer
            for name, (save_id, restore_id) in self._saveables.get(i, {}).items():
                node.saveable_objects[name].save_function = save_id
                node.saveable_objects[name].restore_function = restore_id
        gradients = collect_gradients(self) if self.options.experimental_custom_gradients else []
        for key, concrete in self.concrete.items():
            message = out.concrete_functions[self.concrete_names[key]]
            try:
                message.bound_inputs.extend(self._captures_of(concrete))
                message.canonicalized_input_signature.CopyFrom(serialize_structure(_pure(concrete.structured_input_signature)))
                message.output_signature.CopyFrom(serialize_structure(_named_outputs(_pure(concrete.structured_outputs))))
            except (ValueError, TypeError) as error:
                if isinstance(error, UntrackedCaptureError):
                    raise
                raise NotSavableError(f"function {concrete.name}: its arguments or results cannot be saved: {error}") from error
        for entry in gradients:
            entry.write(out, self)

    def _write_meta(self) -> None:
        meta = self.meta
        info = meta.meta_info_def
        info.tags.append("serve")
        info.tensorflow_version = TENSORFLOW_VERSION
        info.tensorflow_git_version = "unknown"
        info.stripped_default_attrs = True
        self.functions.write(meta.graph_def.library)
        meta.graph_def.library.SetInParent()
        for alias, function in self.options.function_aliases.items():
            if isinstance(function, Function):
                for c in function.concrete_functions():
                    info.function_aliases[self.functions.add(c.graph)] = alias
            elif isinstance(function, ConcreteFunction):
                info.function_aliases[self.functions.add(function.graph)] = alias
            else:
                raise TypeError(f"Unsupported type {type(function)}. Functions in `function_aliases` should be created by tf.function, or be concrete functions.")
        _write_graph(self.main, meta.graph_def, self.functions.rename)
        meta.graph_def.versions.producer = _GRAPH_PRODUCER
        meta.graph_def.versions.min_consumer = 12 if meta.graph_def.library.function else 0
        init = meta.signature_def[INIT_OP_KEY].outputs[INIT_OP_KEY]
        init.name = self._init_name
        init.tensor_shape.unknown_rank = True
        meta.collection_def["saved_model_main_op"].node_list.value.append(self._init_name)
        ops = {n.op for n in meta.graph_def.node} | {n.op for f in meta.graph_def.library.function for n in f.node_def}
        names = {f.signature.name for f in meta.graph_def.library.function}
        for name in sorted(ops - names):
            record = registry.find_op(name)
            if record is not None:
                info.stripped_op_list.op.append(serialize_op_def(record.schema))
        self._check_namespaces(ops - names)

    def _check_namespaces(self, ops: set[str]) -> None:
        allowed = set(self.options.namespace_whitelist)
        bad = sorted(name for name in ops if ">" in name and name.partition(">")[0] not in allowed)
        if bad:
            raise NotSavableError(
                f"Attempted to save ops from non-whitelisted namespaces to SavedModel: {bad}. Please verify that these ops should be saved, "
                f"since they must be available when loading the SavedModel, and pass SaveOptions(namespace_whitelist=[…])"
            )

    def add_file(self, name: str, content: bytes) -> None:
        """Put one more file into the directory."""
        self._files[name] = content

    # -- disk --------------------------------------------------------------------------------------------------------

    def write(self, path: Any) -> None:
        """Write everything beside `path`, then put it in place."""
        target = Path(os.fsdecode(os.fspath(path)))
        with published(target) as folder:
            (folder / "assets").mkdir()
            (folder / "variables").mkdir()
            for name, source in self.assets:
                shutil.copyfile(source, folder / "assets" / name)
            if not self.options.experimental_skip_checkpoint:
                self._checkpoint.write(str(folder / "variables" / "variables"))
            data = wire.serialize(self.message)
            (folder / "saved_model.pb").write_bytes(data)
            index = folder / "variables" / "variables.index"
            mark = fingerprint.fingerprint_of(self.message, index.read_bytes() if index.exists() else b"")
            (folder / "fingerprint.pb").write_bytes(wire.serialize(mark))
            for name, content in self._files.items():
                (folder / name).write_bytes(content)


@contextlib.contextmanager
def published(target: Path) -> Any:
    """A fresh directory beside `target` that takes its place when the block ends well; what was there stays until then."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not target.is_dir():
        raise NotSavableError(f"{target}: expected a directory or nothing at the path, received a file; remove it or choose another path")
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    os.chmod(folder, 0o777 & ~_umask())
    try:
        yield folder
        _sync_tree(folder)
        _put_in_place(folder, target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_tree(folder: Path) -> None:
    for directory, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(directory, name), "rb") as file:
                os.fsync(file.fileno())
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _put_in_place(folder: Path, target: Path) -> None:
    if not target.exists():
        os.rename(folder, target)
        return
    if not _exchange(folder, target):
        old = target.with_name(f".{target.name}.{os.getpid()}.old")
        os.rename(target, old)
        os.rename(folder, target)
        folder = old
    # What a user keeps beside the model's own files (assets.extra, notes) stays.
    for entry in folder.iterdir():
        if not (target / entry.name).exists() and entry.name not in _OWN_FILES:
            shutil.move(str(entry), str(target / entry.name))
    shutil.rmtree(folder, ignore_errors=True)


_OWN_FILES = frozenset(["assets", "variables", "saved_model.pb", "saved_model.pbtxt", "keras_metadata.pb", "fingerprint.pb", "debug"])


def _exchange(a: Path, b: Path) -> bool:
    """Swap two directories in one step (Linux's renameat2); False where the system cannot."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        rename = libc.renameat2
    except (OSError, AttributeError):
        return False
    at_cwd, exchange = -100, 2
    return rename(at_cwd, os.fsencode(a), at_cwd, os.fsencode(b), exchange) == 0


# -- checkpoints -----------------------------------------------------------------------------------------------------


class CheckpointWriter:
    """The checkpoint of an object graph: keys, the graph's message, the bundle."""

    def __init__(self, graph: ObjectGraph, saveables: Mapping[int, Any] | None = None):
        self.graph = graph
        self.entries: list[tuple[str, Any, Any]] = []  # key, variable or array, dtype
        self._late: list[tuple[str, Any, Any]] = []
        self.message = protos.TrackableObjectGraph()
        skip = {fn for pairs in (saveables or {}).values() for ids in pairs.values() for fn in ids}
        for i, obj in enumerate(graph.nodes):
            if i in skip:
                continue
            node = self.message.nodes.add()
            graph.fill_children(i, node)
            self._attributes(i, obj, node)
        _mark_values(self.message)
        self.entries += self._late

    def _attributes(self, i: int, obj: Any, node: Any) -> None:
        prefix = self.graph.checkpoint_prefix(i)
        if isinstance(obj, Variable):
            key = f"{prefix}/.ATTRIBUTES/VARIABLE_VALUE"
            node.attributes.add(name="VARIABLE_VALUE", full_name=obj._shared_name, checkpoint_key=key)
            self.entries.append((key, obj, obj.dtype))
            return
        serialize = getattr(obj, "_serialize_to_tensors", None)
        if serialize is None or isinstance(obj, (Function, ConcreteFunction)):
            return
        if isinstance(obj, LookupInterface):
            if not getattr(obj, "_checkpoint", True):
                return
            key = f"{prefix}/.ATTRIBUTES/table"
            node.attributes.add(name="table", full_name="", checkpoint_key=key)
            for suffix, t in serialize().items():
                self.entries.append((key + suffix, t._value, t.dtype))
            return
        entries = self._late if getattr(obj, "_saved_last", False) else self.entries
        for name, value in serialize().items():
            key = f"{prefix}/.ATTRIBUTES/{name}"
            node.attributes.add(name=name, full_name="", checkpoint_key=key)
            array, dtype = _array(value)
            entries.append((key, array, dtype))

    def variable_keys(self) -> tuple[list[str], list[Variable]]:
        """Keys and variables, in order."""
        pairs = [(k, v) for k, v, _ in self.entries if isinstance(v, Variable)]
        return [k for k, _ in pairs], [v for _, v in pairs]

    def graph_bytes(self) -> bytes:
        """The serialized TrackableObjectGraph."""
        return wire.serialize(self.message)

    def write(self, prefix: str, sync: bool = False) -> None:
        """Write the bundle; with `sync`, wait for the disk before it is published."""
        with BundleWriter(prefix, sync=sync) as writer:
            for key, value, dtype in self.entries:
                array = value._resource.read() if isinstance(value, Variable) else value
                writer.add(key, array, dtype.name)
            scalar = np.empty((), object)
            scalar[()] = self.graph_bytes()
            writer.add(OBJECT_GRAPH_KEY, scalar)


def _mark_values(message: Any) -> None:
    """Say of every node whether it, or a node below it, has a value."""
    parents: dict[int, set[int]] = {}
    found = set()
    for i, node in enumerate(message.nodes):
        if node.attributes or node.slot_variables:
            found.add(i)
        for child in node.children:
            parents.setdefault(child.node_id, set()).add(i)
    queue = list(found)
    while queue:
        for parent in parents.pop(queue.pop(), ()):
            if parent not in found:
                found.add(parent)
                queue.append(parent)
    for i, node in enumerate(message.nodes):
        node.has_checkpoint_values.value = i in found


def _array(value: Any) -> tuple[Any, Any]:
    if isinstance(value, EagerTensor):
        return value._value, value.dtype
    if isinstance(value, (str, bytes)):
        scalar = np.empty((), object)
        scalar[()] = value.encode() if isinstance(value, str) else value
        return scalar, dtypes.string
    array = np.asarray(value)
    return array, dtypes.as_dtype(array.dtype)


# -- graph pieces ----------------------------------------------------------------------------------------------------


def _node_name(text: str) -> str:
    fixed = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", text)
    return fixed if re.match(r"[A-Za-z0-9.]", fixed) else "." + fixed


def _shape_proto(shape: TensorShape) -> Any:
    return shape_to_proto(None if shape.rank is None else shape.as_list())


def _fill_info(info: Any, tensor: Any) -> None:
    info.name, info.dtype = f"{tensor.node.name}:{tensor.index}", tensor.dtype.number
    info.tensor_shape.CopyFrom(_shape_proto(tensor.shape))


def _call_node(main: FuncGraph, graph: FuncGraph, inputs: Sequence[Any]) -> Any:
    attrs = {"Tin": [t.dtype for t in inputs], "Tout": [t.dtype for t in graph.outputs], "f": reference(graph)}
    outputs = [(t.dtype, t.shape) for t in graph.outputs]
    return main.add_node("StatefulPartitionedCall", inputs, attrs, outputs, "StatefulPartitionedCall")


def _write_graph(graph: FuncGraph, out: Any, rename: Any) -> None:
    for node in graph:
        m = out.node.add(name=node.name, op=node.op, device=node.device)
        for t in node.inputs:
            m.input.append(t.node.name if t.index == 0 else f"{t.node.name}:{t.index}")
        for c in dict.fromkeys(node.control_inputs):
            m.input.append("^" + c.name)
        serialize_node_attrs(node, m, rename)


def _names_constant(values: Sequence[str]) -> np.ndarray:
    out = np.empty(len(values), object)
    out[:] = [v.encode() for v in values]
    return out


def _trace_save(keys: Sequence[str], variables: Sequence[Variable], graph_bytes: bytes) -> FuncGraph:
    """The function by which session-based loaders write a checkpoint."""
    graph = FuncGraph("traced_save")
    with trace_into(graph):
        prefix = graph.add_input(dtypes.string, TensorShape([]), "file_prefix")
        handles = [
            graph.add_input(dtypes.resource, TensorShape([]), _node_name(v._shared_name), v.handle.handle_data) for v in variables
        ]
        is_s3 = raw.StaticRegexFullMatch(prefix, pattern="^s3://.*")
        part = _scalar(graph, b".part")
        temp = _scalar(graph, b"_temp/part")
        base = raw.StringJoin([prefix, raw.SelectV2(is_s3, part, temp)])
        name = raw.ShardedFilename(base, np.array(0, np.int32), np.array(1, np.int32))
        reads = [raw.ReadVariableOp(h, dtype=v.dtype) for h, v in zip(handles, variables, strict=True)]
        names = graph.constant(_names_constant([*keys, OBJECT_GRAPH_KEY]), dtypes.string, "SaveV2/tensor_names")
        slices = graph.constant(_names_constant([""] * (len(keys) + 1)), dtypes.string, "SaveV2/shape_and_slices")
        raw.SaveV2(name, names, slices, [*reads, _scalar(graph, graph_bytes)])
        raw.MergeV2Checkpoints(raw.Pack([name]), prefix)
        graph.finish([prefix])
    graph.name = f"__inference__traced_save_{next_uid()}"
    return graph


def _scalar(graph: FuncGraph, value: bytes) -> Any:
    array = np.empty((), object)
    array[()] = value
    return graph.constant(array, dtypes.string)


def _trace_restore(keys: Sequence[str], variables: Sequence[Variable]) -> FuncGraph:
    """The function by which session-based loaders read the checkpoint."""
    graph = FuncGraph("traced_restore")
    with trace_into(graph):
        prefix = graph.add_input(dtypes.string, TensorShape([]), "file_prefix")
        handles = [
            graph.add_input(dtypes.resource, TensorShape([]), f"assignvariableop_{_node_name(v._shared_name)}", v.handle.handle_data)
            for v in variables
        ]
        if variables:
            names = graph.constant(_names_constant(keys), dtypes.string, "RestoreV2/tensor_names")
            slices = graph.constant(_names_constant([""] * len(keys)), dtypes.string, "RestoreV2/shape_and_slices")
            values = raw.RestoreV2(prefix, names, slices, dtypes=[v.dtype for v in variables])
            for handle, value, variable in zip(handles, values, variables, strict=True):
                raw.AssignVariableOp(handle, raw.Identity(value), dtype=variable.dtype)
        graph.finish([prefix])
    graph.name = f"__inference__traced_restore_{next_uid()}"
    return graph


def _table_saver(table: Any) -> tuple[ConcreteFunction, ConcreteFunction]:
    """The functions that write and read a mutable table's content, in TensorFlow's form."""
    key = TensorSpec([], dtypes.string, "checkpoint_key")

    def save_function(checkpoint_key: Any) -> Any:
        out = []
        for suffix, tensor in table._serialize_to_tensors().items():
            out.append(
                {
                    "name": raw.StringJoin([checkpoint_key, raw.Identity(_eager_string(suffix))]),
                    "slice_spec": raw.Identity(_eager_string("")),
                    "tensor": tensor,
                }
            )
        return out

    def restore_function(*tensors: Any) -> Any:
        table._restore_from_tensors({"-keys": tensors[0], "-values": tensors[1]})
        return np.array(1, np.int32)

    shape = TensorShape([None]).concatenate(table._value_shape)
    arguments = (
        TensorSpec([None], table.key_dtype, "restored_tensors_0"),
        TensorSpec(shape, table.value_dtype, "restored_tensors_1"),
    )
    return (
        trace_function(save_function, (key,), {}, "save_fn", FunctionSpec(["checkpoint_key"])),
        trace_function(restore_function, arguments, {}, "restore_fn", FunctionSpec([], "restored_tensors")),
    )


def _eager_string(text: str) -> np.ndarray:
    out = np.empty((), object)
    out[()] = text.encode()
    return out


def _resource_function(graph: ObjectGraph, table: Any, name: str) -> ConcreteFunction | None:
    i = graph.ids[id(table)]
    for child_name, child in graph.children[i]:
        if child_name == name:
            found = graph.nodes[child]
            if isinstance(found, Function):
                concrete = found.concrete_functions()
                return concrete[0] if concrete else None
            return found
    return None


def _handles_of(table: Any) -> list[Any]:
    """Every tensor object that stands for the table's resource."""
    return getattr(table, "_lazy_handles", [])


# -- messages --------------------------------------------------------------------------------------------------------


def _variable_message(message: Any, variable: Variable) -> None:
    message.dtype = variable.dtype.number
    message.shape.CopyFrom(_shape_proto(variable.shape))
    message.trainable = variable.trainable
    message.synchronization = variable.synchronization.value
    message.aggregation = variable.aggregation.value
    message.name = variable._shared_name


def _function_spec_message(message: Any, spec: Any) -> None:
    full = named_tuple(
        "FullArgSpec",
        [
            ("args", list(spec.args)),
            ("varargs", spec.varargs),
            ("varkw", spec.varkw),
            ("defaults", tuple(spec.defaults) if spec.defaults else None),
            ("kwonlyargs", list(spec.kwonlyargs)),
            ("kwonlydefaults", dict(spec.kwonlydefaults) if spec.kwonlydefaults else None),
            ("annotations", {}),
        ],
    )
    try:
        message.fullargspec.CopyFrom(serialize_structure(full))
    except ValueError:
        # a default that has no form in the file: the argument becomes a required one
        bare = full._replace(defaults=_encodable(spec.defaults), kwonlydefaults=_encodable_map(spec.kwonlydefaults))
        message.fullargspec.CopyFrom(serialize_structure(bare))
    message.input_signature.CopyFrom(serialize_structure(_pure(spec.input_signature)))
    message.jit_compile = {None: 0, True: 1, False: 2}[spec.jit_compile]


def _encodable(values: Any) -> Any:
    out = []
    for v in values or ():
        try:
            serialize_structure(v)
            out.append(v)
        except ValueError:
            out.append(None)
    return tuple(out) or None


def _encodable_map(values: Any) -> Any:
    return None if not values else dict(zip(values, _encodable(tuple(values.values())), strict=True))


def _bare_message(message: Any, concrete: ConcreteFunction, name: str) -> None:
    message.concrete_function_name = name
    message.argument_keywords.extend(concrete._arg_keywords)
    message.allowed_positional_arguments = min(concrete._num_positional_args, len(concrete._arg_keywords))
    spec = concrete.function_spec
    if spec is not None and concrete.structured_input_signature is not None:
        args, kwargs = concrete.structured_input_signature
        names = list(spec.args[: len(args)])
        names += [f"{spec.varargs or 'args'}_{k}" for k in range(len(args) - len(names))]
        bare = type(spec)(names, None, None, None, sorted(kwargs), None, None, spec.jit_compile)
        _function_spec_message(message.function_spec, bare)


def _pure(value: Any) -> Any:
    """`value` with tracked containers replaced by plain ones, so that the file holds lists and dicts."""
    return unwrap(value)


def _named_outputs(structure: Any) -> Any:
    """Output specs with TensorFlow's names, made of the path that leads to each."""
    if not nest.is_nested(structure):
        return TensorSpec(structure.shape, structure.dtype, "unknown") if type(structure) is TensorSpec else structure
    out = []
    for path, spec in nest.flatten_with_paths(structure):
        if type(spec) is TensorSpec:
            parts = [str(p) for p in path]
            if not isinstance(path[0], str):
                parts.insert(0, "tensor")
            spec = TensorSpec(spec.shape, spec.dtype, "_".join(parts))
        out.append(spec)
    return nest.pack_sequence_as(structure, out)


def _same_file(a: str, b: str) -> bool:
    if os.path.basename(a) != os.path.basename(b):
        return False
    try:
        return os.path.samefile(a, b) or Path(a).read_bytes() == Path(b).read_bytes()
    except OSError:
        return False

