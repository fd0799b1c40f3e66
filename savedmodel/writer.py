"""save: objects become a SavedModel directory that TensorFlow loads. It walks, traces and writes; the formats live in `format`.

Order of work: the object graph, the functions and what they captured, the main graph that session-based loaders run, the messages, the
checkpoint, then everything is published at once by renaming a finished directory.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from savedmodel.checkpoint_writer import OBJECT_GRAPH_KEY, CheckpointWriter
from savedmodel.custom_gradients import collect_gradients
from savedmodel.errors import NotSavableError, UntrackedCaptureError
from savedmodel.format import fingerprint, protos, wire
from savedmodel.function_library import FunctionLibraryWriter
from savedmodel.graphdef_writer import referenced_functions, serialize_op_def
from savedmodel.main_graph import MainGraph
from savedmodel.object_graph import Constant, ObjectGraph, identifier_of
from savedmodel.object_messages import fill_bare_function, fill_function_spec, fill_signature, fill_variable
from savedmodel.options import SaveOptions
from savedmodel.publish import published
from savedmodel.revive import Asset, RestoredResource
from savedmodel.saver_functions import add_saver_functions
from savedmodel.signatures import canonical_signatures
from savedmodel.trackable import is_trackable
from tracer import dispatch, registry
from tracer.errors import SymbolicTensorError
from tracer.functions import ConcreteFunction, Function
from tracer.lookup import LookupInterface
from tracer.tensor import EagerTensor
from tracer.variable import Variable

__all__ = ["OBJECT_GRAPH_KEY", "CheckpointWriter", "SavedModelWriter", "save"]

# The TensorFlow release whose conventions are followed; loaders print it, none depends on it.
TENSORFLOW_VERSION = "2.15.1"
_GRAPH_PRODUCER = 1645

logger = logging.getLogger("savedmodel")


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
    """One save: everything is traced and put together when it is made; `write` puts it on disk.

    Attributes:
        graph: the object graph; node ids are those of the file.
        message: the SavedModel message.
    """

    def __init__(self, obj: Any, signatures: Any, options: SaveOptions):
        if dispatch.current_graph() is not None:
            raise SymbolicTensorError(
                "tf.saved_model.save is not supported inside a traced tf.function. Move the call to the outer eagerly-executed context."
            )
        if not is_trackable(obj) or isinstance(obj, (Variable, Function, ConcreteFunction)):
            raise NotSavableError(
                f"Expected a Trackable object for export, got {obj!r} of type {type(obj).__name__}; put it on a tf.Module and save that"
            )
        self.options = options
        self._files: dict[str, bytes] = {}
        cache: dict[Any, Any] = {}
        self.signatures, wrapped = canonical_signatures(obj, signatures, cache)
        extra = {"signatures": self.signatures} if self.signatures is not None else {}
        self.graph = ObjectGraph(obj, "savedmodel", extra, cache)
        add_saver_functions(self.graph)
        self.message = protos.SavedModel(saved_model_schema_version=1)
        self.meta = self.message.meta_graphs.add()
        self.functions = FunctionLibraryWriter()
        self._checkpoint = CheckpointWriter(self.graph)
        self._collect_functions()
        self.main = MainGraph(self.graph, self.meta, self._node_of)
        self.main.build(wrapped, None if options.experimental_skip_saver else self._checkpoint)
        self._write_objects()
        self._write_meta()

    # -- functions ---------------------------------------------------------------------------------------------------

    def _collect_functions(self) -> None:
        self.concrete: dict[int, ConcreteFunction] = {}  # by graph id
        self.concrete_names: dict[int, str] = {}
        untraced = []
        for obj in self.graph.nodes:
            if isinstance(obj, Function):
                found = obj.concrete_functions()
                if not found:
                    untraced.append(obj.name)
            else:
                found = [obj] if isinstance(obj, ConcreteFunction) else []
            for concrete in found:
                key = id(concrete.graph)
                if key not in self.concrete:
                    self.concrete[key] = concrete
                    self.concrete_names[key] = self.functions.add(concrete.graph)
        if untraced:
            logger.warning(
                "Found untraced functions such as %s while saving (showing %d of %d). These functions will not be directly callable after loading.",
                ", ".join(untraced[:5]), min(5, len(untraced)), len(untraced),
            )  # fmt: skip

    def _node_of(self, concrete: ConcreteFunction, k: int) -> int:
        """The node that capture `k` of a function stands for."""
        node = self.graph.node_of_capture(concrete.captured_inputs[k])
        if node is None:
            raise UntrackedCaptureError(_untracked(concrete, k))
        return node

    # -- messages ----------------------------------------------------------------------------------------------------

    def _write_objects(self) -> None:
        out = self.meta.object_graph_def
        for i, obj in enumerate(self.graph.nodes):
            node = out.nodes.add()
            self.graph.fill_children(i, node)
            self._write_kind(i, obj, node)
            if isinstance(obj, (Function, ConcreteFunction)):
                node.dependencies.extend(node.children)
            for name, (save_id, restore_id) in self.graph.saveables.get(i, {}).items():
                node.saveable_objects[name].save_function = save_id
                node.saveable_objects[name].restore_function = restore_id
        gradients = collect_gradients(self) if self.options.experimental_custom_gradients else []
        for key, concrete in self.concrete.items():
            message = out.concrete_functions[self.concrete_names[key]]
            message.bound_inputs.extend(self._node_of(concrete, k) for k in range(len(concrete.captured_inputs)))
            try:
                fill_signature(message, concrete)
            except (ValueError, TypeError) as error:
                raise NotSavableError(f"function {concrete.name}: its arguments or results cannot be saved: {error}") from error
        for entry in gradients:
            entry.write(out, self)

    def _write_kind(self, i: int, obj: Any, node: Any) -> None:
        if isinstance(obj, Variable):
            fill_variable(node.variable, obj)
        elif isinstance(obj, Function):
            node.function.SetInParent()
            node.function.concrete_functions.extend(self.concrete_names[id(c.graph)] for c in obj.concrete_functions())
            fill_function_spec(node.function.function_spec, obj.function_spec)
        elif isinstance(obj, ConcreteFunction):
            fill_bare_function(node.bare_concrete_function, obj, self.concrete_names[id(obj.graph)])
        elif isinstance(obj, Constant):
            node.constant.operation = self.main.constant_names[i]
            node.registered_name = "tf.TrackableConstant"
        elif isinstance(obj, Asset):
            node.asset.asset_file_def_index = self.main.asset_index[i]
        elif isinstance(obj, (LookupInterface, RestoredResource)):
            node.resource.device = getattr(obj, "_device", "") or ""
            node.resource.SetInParent()
            static = type(obj).__name__ == "StaticHashTable"
            node.registered_name = "tf.StaticHashTable" if static else getattr(obj, "_registered_name", "")
        else:
            identifier, producer, consumer = identifier_of(obj)
            node.user_object.identifier = identifier
            node.user_object.version.producer = producer
            node.user_object.version.min_consumer = consumer

    def _write_meta(self) -> None:
        meta = self.meta
        info = meta.meta_info_def
        info.tags.append("serve")
        info.tensorflow_version = TENSORFLOW_VERSION
        info.tensorflow_git_version = "unknown"
        info.stripped_default_attrs = True
        self._write_aliases(info)
        meta.graph_def.library.SetInParent()
        self._reach_main()
        self.functions.write(meta.graph_def.library)
        self.main.write(meta.graph_def, self.functions)
        meta.graph_def.versions.producer = _GRAPH_PRODUCER
        meta.graph_def.versions.min_consumer = 12 if meta.graph_def.library.function else 0
        ops = {n.op for n in meta.graph_def.node} | {n.op for f in meta.graph_def.library.function for n in f.node_def}
        ops -= {f.signature.name for f in meta.graph_def.library.function}
        self._check_namespaces(ops)
        for name in sorted(ops):
            record = registry.find_op(name)
            if record is not None:
                info.stripped_op_list.op.append(serialize_op_def(record.schema))

    def _reach_main(self) -> None:
        """Include the functions that only the main graph calls."""
        for ref in referenced_functions(self.main.graph):
            self.functions.rename(ref)

    def _write_aliases(self, info: Any) -> None:
        for alias, function in self.options.function_aliases.items():
            if isinstance(function, Function):
                found = function.concrete_functions()
            elif isinstance(function, ConcreteFunction):
                found = [function]
            else:
                raise TypeError(
                    f"Unsupported type {type(function)}. Functions in `function_aliases` should be created by tf.function, or be concrete functions."
                )
            for concrete in found:
                name = self.functions.add(concrete.graph)
                if info.function_aliases.get(name, alias) != alias:
                    raise NotSavableError(
                        f"SaveOptions(function_aliases=…): {concrete.name} has two aliases, {info.function_aliases[name]!r} and {alias!r}; give it one"
                    )
                info.function_aliases[name] = alias

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
        """Write everything beside `path`, then put it in place.

        Raises:
            OSError: the disk refuses. ValueError: a file is in the way.
        """
        target = Path(os.fsdecode(os.fspath(path)))
        with published(target) as folder:
            (folder / "assets").mkdir()
            (folder / "variables").mkdir()
            for name, source in self.main.assets:
                shutil.copyfile(source, folder / "assets" / name)
            if not self.options.experimental_skip_checkpoint:
                self._checkpoint.write(str(folder / "variables" / "variables"))
            (folder / "saved_model.pb").write_bytes(wire.serialize(self.message))
            index = folder / "variables" / "variables.index"
            mark = fingerprint.fingerprint_of(self.message, index.read_bytes() if index.exists() else b"")
            (folder / "fingerprint.pb").write_bytes(wire.serialize(mark))
            for name, content in self._files.items():
                (folder / name).write_bytes(content)


def _untracked(concrete: ConcreteFunction, k: int) -> str:
    tensor = concrete.captured_inputs[k]
    value = getattr(tensor, "_value", None)
    name = getattr(value, "name", None) or getattr(tensor, "name", None) or type(value).__name__
    if isinstance(tensor, EagerTensor) and tensor.dtype.kind == "r":
        what = f"the variable or table {name!r}"
    elif isinstance(tensor, EagerTensor):
        what = f"a tensor of shape {tensor.shape}"
    else:
        what = f"the symbolic tensor {tensor!r}"
    return (
        f"Tried to export a function which references an 'untracked' resource. Trackable referencing this tensor ({name}) and its "
        f"tf.function must be reachable: function {concrete.name!r} uses {what}, which is not reachable from root. TensorFlow objects (e.g. "
        f"tf.Variable, HashTable) captured by functions must be 'tracked' by assigning them to an attribute of a tracked object or "
        f"assigned to an attribute of the main object directly. Capture {k} of {len(concrete.captured_inputs)}."
    )
