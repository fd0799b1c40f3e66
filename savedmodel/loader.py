"""load: a SavedModel becomes live objects, with variables mapped from disk and functions deserialized at their first call.

The object graph's nodes are made first, then joined by its edges, then given the checkpoint's values, then initialised. Models of
TensorFlow 1, which have no object graph, are loaded by `savedmodel.load_v1`.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from savedmodel import io_ops
from savedmodel.custom_gradients import LoadedGradient
from savedmodel.errors import (
    DataLossError,
    FormatError,
    MissingFileError,
    ModelNotFoundError,
    SavedModelError,
    UnboundObjectsError,
)
from savedmodel.format import protos, wire
from savedmodel.format.tensor_proto import shape_from_proto, tensor_from_proto
from savedmodel.graphdef import check_graph_def, deserialize_library
from savedmodel.options import LoadOptions
from savedmodel.reader import SavedModelReader
from savedmodel.revive import Asset, LazyHandle, RestoredResource, RestoredTuple, revive
from savedmodel.signature import RestoredConcreteFunction, RestoredFunction, SignatureMap
from savedmodel.structured import deserialize_structure
from tracer import lookup
from tracer.dtypes import as_dtype
from tracer.functions import FunctionSpec
from tracer.gradients import register_custom_gradient, unregister_custom_gradient
from tracer.shapes import TensorShape
from tracer.tensor import EagerTensor, convert_to_tensor
from tracer.tracing import next_uid, reserve_uids
from tracer.variable import Variable

__all__ = ["Loader", "load", "load_partial"]

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"


def load(path: Any, tags: Any = None, engine: str = "numpy", options: LoadOptions | None = None) -> Any:
    """Load a SavedModel.

    Args:
        path: directory, `.pb` in it, archive (path or bytes), or URL.
        tags: the tag set of the meta graph; None where there is only one.
        engine: "numpy".
        options: see LoadOptions.

    Returns:
        The root object: attributes as they were saved, functions that can be called and differentiated, and `.signatures`.

    Raises:
        OSError: no model there, or damaged. ValueError: no such tags, or malformed. NotImplementedError: unknown ops, all listed.
    """
    reader = path if isinstance(path, SavedModelReader) else SavedModelReader(path)
    if engine != "numpy":
        raise ModelNotFoundError(f"engine {engine!r} is not known; expected 'numpy'")
    meta_graph = reader.select(tags)
    if not reader.is_object_based:
        from savedmodel.load_v1 import load_v1

        return load_v1(reader, meta_graph, tags, options)
    return Loader(reader, meta_graph, options or LoadOptions()).load()


def load_partial(
    path: Any, filters: Iterable[str], tags: Any = None, options: LoadOptions | None = None
) -> dict[str, Any]:
    """Load the objects at some paths of a model, each with all that is below it.

    Args:
        filters: paths of attributes from the root, as in "root.encoder.weights".

    Returns:
        Path → object.

    Raises:
        ValueError: there is nothing at a path; or a function there uses what no path leads to.
    """
    reader = SavedModelReader(path)
    loader = Loader(reader, reader.select(tags), options)
    nodes = loader.message.nodes
    wanted: dict[str, int] = {}
    for name in filters:
        at = 0
        for part in name.split(".")[1:]:
            children = {c.local_name: c.node_id for c in nodes[at].children}
            if part not in children:
                raise FormatError(f"{reader.path}: there is nothing at {name!r}: no {part!r} among {sorted(children)}")
            at = children[part]
        wanted[name] = at
    included = set(wanted.values())
    queue = list(included)
    for i in queue:
        new = {c.node_id for c in nodes[i].children} - included
        included |= new
        queue.extend(sorted(new))
    functions = loader.message.concrete_functions
    for i in sorted(included):
        for name in (*nodes[i].function.concrete_functions, nodes[i].bare_concrete_function.concrete_function_name):
            missing = set(functions[name].bound_inputs) - included if name in functions else ()
            if missing:
                raise FormatError(
                    f"{reader.path}: Unable to partially load SavedModel since the specified filter does not include all required objects for "
                    f"loading: function {name} uses objects {sorted(missing)}; add paths that lead to them"
                )
    loader.load()
    return {name: loader.objects[i] for name, i in wanted.items()}


class Loader:
    """Makes live objects of one object-based meta graph.

    Args:
        presets: node id → (object, setter) for nodes that are there already (Keras makes its layers itself); `setter(object, name,
            child)` is called for each child.
    """

    def __init__(
        self, reader: SavedModelReader, meta_graph: Any, options: LoadOptions | None = None,
        presets: Mapping[int, tuple[Any, Callable[[Any, str, Any], None]]] | None = None,
    ):  # fmt: skip
        self.reader = reader
        self.meta_graph = meta_graph
        self.options = options or LoadOptions()
        self.presets = dict(presets or {})
        self.graph_def = meta_graph.graph_def
        self.message = meta_graph.object_graph_def
        self.objects: dict[int, Any] = {}
        self.setters: dict[int, Callable[[Any, str, Any], None]] = {}
        check_graph_def(self.graph_def, reader.where)
        self._check_objects()
        self.library = deserialize_library(self.graph_def.library, reader.where)
        self.concrete: dict[str, RestoredConcreteFunction] = {}
        self._specs: dict[bytes, FunctionSpec] = {}
        self._structures: dict[bytes, Any] = {}
        reserve_uids(max((_uid(f.signature.name) for f in self.graph_def.library.function), default=0))

    def _check_objects(self) -> None:
        nodes = self.message.nodes
        count = len(nodes)
        if not count:
            raise FormatError(f"{self.reader.where}: the object graph is empty; expected at least a root; the file is damaged")
        names = {f.signature.name for f in self.graph_def.library.function}
        for i, node in enumerate(nodes):
            for child in (*node.children, *node.dependencies):
                if not 0 <= child.node_id < count:
                    raise FormatError(
                        f"{self.reader.where} > object {i}: child {child.local_name!r} is node {child.node_id} of {count}; the file is damaged"
                    )
            for name, saveable in node.saveable_objects.items():
                for function in (saveable.save_function, saveable.restore_function):
                    if not 0 <= function < count or nodes[function].WhichOneof("kind") not in ("function", "bare_concrete_function"):
                        raise FormatError(
                            f"{self.reader.where} > object {i}: state {name!r} is saved or restored by node {function}, which is no function; "
                            f"the file is damaged"
                        )
            for slot in node.slot_variables:
                if not (0 <= slot.original_variable_node_id < count and 0 <= slot.slot_variable_node_id < count):
                    raise FormatError(f"{self.reader.where} > object {i}: a slot variable refers to no node; the file is damaged")
            if node.WhichOneof("kind") == "function":
                for name in node.function.concrete_functions:
                    if name not in self.message.concrete_functions:
                        raise FormatError(
                            f"{self.reader.where} > object {i}: function {name!r} is not among the concrete functions; the file is damaged"
                        )
        for name, saved in self.message.concrete_functions.items():
            if name not in names:
                raise FormatError(f"{self.reader.where}: function {name!r} is not in the library; the file is damaged")
            for bound in saved.bound_inputs:
                if not 0 <= bound < count:
                    raise FormatError(f"{self.reader.where} > function {name}: captures node {bound} of {count}; the file is damaged")

    # -- orchestration -----------------------------------------------------------------------------------------------

    def load(self) -> Any:
        """All nodes, joined and with their values; returns the root."""
        self._make_nodes()
        self._make_functions()
        self._join()
        self._bind_captures()
        self._attach_savers()
        self._attach_signature_defaults()
        self._register_gradients()
        if not self.options.experimental_skip_checkpoint:
            self.restore()
        self._initialize()
        root = self.objects[0]
        self._describe(root)
        return root

    def _describe(self, root: Any) -> None:
        info = self.meta_graph.meta_info_def
        for name, value in (
            ("tensorflow_version", info.tensorflow_version),
            ("tensorflow_git_version", info.tensorflow_git_version),
        ):
            try:
                object.__setattr__(root, name, value)
            except AttributeError:
                return  # a root of a builtin type: nothing to describe
        if not hasattr(root, "signatures"):
            object.__setattr__(root, "signatures", SignatureMap())
        object.__setattr__(root, "_loader", self)

    # -- nodes -------------------------------------------------------------------------------------------------------

    def _make_nodes(self) -> None:
        constants = {n.name: n for n in self.graph_def.node if n.op == "Const"}
        for i, node in enumerate(self.message.nodes):
            if i in self.presets:
                self.objects[i], self.setters[i] = self.presets[i]
                continue
            kind = node.WhichOneof("kind")
            if kind is None:
                raise FormatError(f"{self.reader.where} > object {i}: no kind is set; expected user object, variable, function…; the file is damaged")
            make = getattr(self, f"_make_{kind}")
            self.objects[i] = make(i, getattr(node, kind), node, constants)

    def _make_user_object(self, i: int, saved: Any, node: Any, constants: Any) -> Any:
        obj, self.setters[i] = revive(saved)
        return obj

    def _make_variable(self, i: int, saved: Any, node: Any, constants: Any) -> Variable:
        shape = TensorShape(shape_from_proto(saved.shape)) if saved.HasField("shape") else TensorShape([])
        return Variable.uninitialized(
            as_dtype(saved.dtype), shape, saved.name or "Variable", saved.trainable, saved.synchronization, saved.aggregation
        )

    def _make_function(self, i: int, saved: Any, node: Any, constants: Any) -> Any:
        return None  # made in _make_functions, when all captures are there

    _make_bare_concrete_function = _make_function

    def _make_constant(self, i: int, saved: Any, node: Any, constants: Any) -> EagerTensor:
        const = constants.get(saved.operation)
        if const is None:
            raise FormatError(f"{self.reader.where} > object {i}: constant {saved.operation!r} is not in the main graph; the file is damaged")
        tensor = const.attr["value"].tensor
        return EagerTensor(tensor_from_proto(tensor), as_dtype(tensor.dtype))

    def _make_asset(self, i: int, saved: Any, node: Any, constants: Any) -> Any:
        assets = self.meta_graph.asset_file_def
        if not 0 <= saved.asset_file_def_index < len(assets):
            raise FormatError(
                f"{self.reader.where} > object {i}: asset {saved.asset_file_def_index} of {len(assets)}; the file is damaged"
            )
        return Asset(self.reader.asset_path(assets[saved.asset_file_def_index].filename))

    def _make_resource(self, i: int, saved: Any, node: Any, constants: Any) -> RestoredResource:
        return RestoredResource(saved.device, node.registered_name)

    def _make_captured_tensor(self, i: int, saved: Any, node: Any, constants: Any) -> Any:
        return saved  # resolved where the gradient function that uses it is built

    # -- functions ---------------------------------------------------------------------------------------------------

    def _make_functions(self) -> None:
        for name in sorted(self.message.concrete_functions):
            saved = self.message.concrete_functions[name]
            where = f"{self.reader.where} > function {name}"
            try:
                inputs = self._structure(saved.canonicalized_input_signature)
                outputs = self._structure(saved.output_signature)
            except SavedModelError as error:
                raise type(error)(f"{where}: {error}") from error
            self.concrete[name] = RestoredConcreteFunction(name, self.library, [], inputs, outputs)
        for i, node in enumerate(self.message.nodes):
            kind = node.WhichOneof("kind")
            if i in self.presets:
                continue
            if kind == "function":
                spec = self._function_spec(node.function.function_spec)
                concrete = [self.concrete[n] for n in node.function.concrete_functions]
                for c in concrete:
                    c.function_spec = spec
                name = _plain_name(node.function.concrete_functions[0]) if concrete else f"function_{i}"
                self.objects[i] = RestoredFunction(name, concrete, spec)
                self.setters[i] = _ignore
            elif kind == "bare_concrete_function":
                saved = node.bare_concrete_function
                concrete_function = self.concrete.get(saved.concrete_function_name)
                if concrete_function is None:
                    raise FormatError(f"{self.reader.where} > object {i}: function {saved.concrete_function_name!r} is not there; the file is damaged")
                self.objects[i] = self._bare(concrete_function, saved)
                self.setters[i] = _ignore

    def _structure(self, message: Any) -> Any:
        """The value of a StructuredValue; one object where many functions have the same of tuples and specs."""
        if message.WhichOneof("kind") not in ("tuple_value", "tensor_spec_value"):
            return deserialize_structure(message)
        key = message.SerializePartialToString()
        found = self._structures.get(key)
        if found is None:
            found = deserialize_structure(message)
            if not any(type(v) is list or (isinstance(v, dict) and v) for v in _levels(found)):
                self._structures[key] = found
        return found

    def _function_spec(self, message: Any) -> FunctionSpec:
        """The argument list in a message; one object for all functions that have the same."""
        key = message.SerializePartialToString()
        found = self._specs.get(key)
        if found is None:
            found = self._specs[key] = _function_spec(message)
        return found

    def _bare(self, concrete: RestoredConcreteFunction, saved: Any) -> RestoredConcreteFunction:
        bare = RestoredConcreteFunction(
            concrete.name, self.library, concrete.captured_inputs, concrete.structured_input_signature, concrete.structured_outputs
        )
        bare.captured_inputs = concrete.captured_inputs  # one list: captures are bound once
        if saved.HasField("function_spec"):
            bare.function_spec = self._function_spec(saved.function_spec)
        if saved.argument_keywords:
            bare._arg_keywords = list(saved.argument_keywords)
        elif concrete.structured_input_signature == ((), {}):
            bare._arg_keywords = []
        bare._num_positional_args = saved.allowed_positional_arguments
        bare.bare = True
        return bare

    def _bind_captures(self) -> None:
        for name, concrete in self.concrete.items():
            saved = self.message.concrete_functions[name]
            concrete.captured_inputs.extend(_Capture(self, i) for i in saved.bound_inputs)
        for concrete in self.concrete.values():
            captured = concrete.captured_inputs
            for k, c in enumerate(captured):
                captured[k] = c.resolve_early()

    def capture(self, i: int) -> Any:
        """The tensor that stands for node `i` in a function's captures."""
        obj = self.objects[i]
        if getattr(obj, "_is_variable", False):
            return obj.handle
        if isinstance(obj, EagerTensor):
            return obj
        if isinstance(obj, Asset):
            path = obj.asset_path
            return path if isinstance(path, EagerTensor) else convert_to_tensor(path)
        handle = getattr(obj, "resource_handle", None)
        if handle is not None:
            return handle
        raise FormatError(
            f"{self.reader.where}: a function captures object {i} of type {type(obj).__name__}, which has no tensor; expected a "
            f"variable, table, asset or constant"
        )

    # -- edges -------------------------------------------------------------------------------------------------------

    def _join(self) -> None:
        for i in self._edge_order():
            node = self.message.nodes[i]
            obj = self.objects[i]
            setter = self.setters.get(i)
            if setter is None:
                if getattr(obj, "_is_variable", False) or isinstance(obj, (EagerTensor, Asset)):
                    continue
                setter = _set_attribute
            for child in node.children:
                value = self.objects[child.node_id]
                if isinstance(value, RestoredTuple):
                    value = value.whole
                setter(obj, child.local_name, value)

    def _edge_order(self) -> list[int]:
        """Nodes so that tuples are whole before they are handed to those that hold them."""
        tuples = {i for i, o in self.objects.items() if isinstance(o, RestoredTuple)}
        if not tuples:
            return list(range(len(self.message.nodes)))
        out: list[int] = []
        state: dict[int, bool] = {}  # False: its elements are being put in order, True: done
        stack = sorted(tuples, reverse=True)
        while stack:
            i = stack[-1]
            if i in state:
                stack.pop()
                if not state[i]:
                    state[i] = True
                    out.append(i)
                continue
            state[i] = False
            for child in self.message.nodes[i].children:
                if child.node_id in tuples and not state.get(child.node_id, True):
                    raise FormatError(f"{self.reader.where} > object {i}: a tuple that holds itself; the file is damaged")
                if child.node_id in tuples and child.node_id not in state:
                    stack.append(child.node_id)
        return out + [i for i in range(len(self.message.nodes)) if i not in tuples]

    # -- values ------------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Give every variable its value in the checkpoint, lazily; refill mutable tables."""
        if not self.reader.has_variables:
            if self.reader.source.exists("variables/variables.data-00000-of-00001") or any(
                n.WhichOneof("kind") == "variable" for n in self.message.nodes
            ):
                raise MissingFileError(
                    f"{self.reader.path}: the model has variables, and variables/variables.index is missing; copy the whole directory"
                )
            return
        bundle = self.reader.variables
        unbound: list[str] = []
        if OBJECT_GRAPH_KEY in bundle:
            data = bundle.read(OBJECT_GRAPH_KEY)
            graph = wire.parse(protos.TrackableObjectGraph, data.reshape(-1)[0], f"{self.reader.path} > checkpoint > {OBJECT_GRAPH_KEY}")
            pairs = self._match_checkpoint(graph)
        else:
            pairs, graph = {}, None
        for i, node in enumerate(self.message.nodes):
            obj = self.objects.get(i)
            if not getattr(obj, "_is_variable", False):
                if node.saveable_objects and graph is not None and i in pairs:
                    self._restore_saveables(obj, node, graph.nodes[pairs[i]], bundle)
                elif graph is not None and i in pairs and hasattr(obj, "_restore_own_values"):
                    obj._restore_own_values(graph.nodes[pairs[i]], bundle)
                continue
            saved = graph.nodes[pairs[i]] if graph is not None and i in pairs else None
            keys = {a.name: a.checkpoint_key for a in saved.attributes} if saved is not None else {}
            key = keys.get("VARIABLE_VALUE")
            if key is None:
                if saved is None and i not in self.presets:
                    unbound.append(f"{i}: {obj.name}")
                continue
            self._assign(obj, key, bundle)
        if unbound and not self.options.allow_partial_checkpoint:
            raise UnboundObjectsError(
                f"{self.reader.path}: {len(unbound)} variables were not bound to checkpointed values, likely due to changes in the "
                f"model or an incomplete save: {', '.join(unbound[:10])}. Pass LoadOptions(allow_partial_checkpoint=True) to leave them without a value."
            )

    def _assign(self, variable: Any, key: str, bundle: Any) -> None:
        partial = self.options.allow_partial_checkpoint
        if key not in bundle:
            if partial:
                return
            raise DataLossError(f"{self.reader.path}: Key {key} not found in checkpoint variables/variables; it was not saved whole")
        shape, dtype = bundle.shape(key), bundle.dtype_number(key)
        if dtype != variable.dtype.number or not variable.shape.is_compatible_with(shape):
            raise FormatError(
                f"{self.reader.path}: Received incompatible tensor with shape {tuple(shape)} and dtype {as_dtype(dtype).name} when attempting to "
                f"restore variable {variable.name} with shape {variable.shape} and dtype {variable.dtype.name}"
            )
        try:
            bundle.check(key) if hasattr(bundle, "check") else None
        except DataLossError:
            if partial:
                return
            raise
        variable._resource.set_loader(lambda: bundle.read(key))

    def _match_checkpoint(self, graph: Any) -> dict[int, int]:
        """Node id of the object graph → node id of the checkpoint's graph, walking both from the root by edge names."""
        pairs = {0: 0}
        queue = [0]
        nodes = self.message.nodes
        count = len(graph.nodes)
        for i in queue:
            node, saved = nodes[i], graph.nodes[pairs[i]]
            if saved.children:
                children = {c.local_name: c.node_id for c in saved.children}
                for c in node.children:
                    j = children.get(c.local_name)
                    if j is not None and 0 <= j < count and c.node_id not in pairs:
                        pairs[c.node_id] = j
                        queue.append(c.node_id)
            if not node.slot_variables:
                continue
            slots = {(s.original_variable_node_id, s.slot_name): s.slot_variable_node_id for s in saved.slot_variables}
            for s in node.slot_variables:
                j = slots.get((pairs.get(s.original_variable_node_id, -1), s.slot_name))
                if j is not None and 0 <= j < count:
                    pairs.setdefault(s.slot_variable_node_id, j)
        return pairs

    def _attach_signature_defaults(self) -> None:
        """Default values of signature arguments stand in the signature's definition, which session-based loaders read."""
        signatures = getattr(self.objects[0], "signatures", None)
        if not isinstance(signatures, SignatureMap):
            return
        for key, definition in self.meta_graph.signature_def.items():
            if definition.defaults and key in signatures:
                signatures[key].defaults = {
                    name: EagerTensor(tensor_from_proto(tensor), as_dtype(tensor.dtype)) for name, tensor in definition.defaults.items()
                }

    def _attach_savers(self) -> None:
        for i, node in enumerate(self.message.nodes):
            obj = self.objects.get(i)
            if isinstance(obj, RestoredResource):
                for name, saveable in sorted(node.saveable_objects.items()):
                    obj.saveables[name] = (self.objects[saveable.save_function], self.objects[saveable.restore_function])

    def _restore_saveables(self, obj: Any, node: Any, saved: Any, bundle: Any) -> None:
        keys = {a.name: a.checkpoint_key for a in saved.attributes}
        for name, saveable in sorted(node.saveable_objects.items()):
            key = keys.get(name)
            if key is None and len(keys) == 1:
                key = next(iter(keys.values()))
            if key is None:
                continue
            save, restore = self.objects[saveable.save_function], self.objects[saveable.restore_function]
            parts = save(convert_to_tensor(key))
            tensors = []
            for part in parts if isinstance(parts, (list, tuple)) else [parts]:
                tensor_name = part["name"].numpy().decode()
                tensors.append(EagerTensor(bundle.read(tensor_name), as_dtype(bundle.dtype_number(tensor_name))))
            restore(*tensors)

    def _initialize(self) -> None:
        for i, node in enumerate(self.message.nodes):
            if node.WhichOneof("kind") == "resource" and i not in self.presets:
                self.objects[i].initialize()

    # -- custom gradients --------------------------------------------------------------------------------------------

    def _register_gradients(self) -> None:
        """Custom gradients get names of their own in this process, so that two models do not mix; they go when the model goes."""
        registered = self.graph_def.library.registered_gradients
        if not registered:
            return
        suffix = f"-{next_uid()}".encode()
        self.library.gradient_suffix = suffix  # type: ignore[attr-defined]
        functions = self.library.gradient_functions = {}  # type: ignore[attr-defined]
        for entry in registered:
            if entry.gradient_func not in self.concrete:
                raise FormatError(
                    f"{self.reader.where}: custom gradient {entry.registered_op_type!r} names function {entry.gradient_func!r}, which is "
                    f"not among the concrete functions; the file is damaged"
                )
            functions[entry.gradient_func] = self.concrete[entry.gradient_func]
            key = entry.registered_op_type.encode() + suffix
            register_custom_gradient(key, LoadedGradient(self.library, entry.gradient_func))
            weakref.finalize(self.library, unregister_custom_gradient, key)


class _Capture:
    """A capture that is not resolved yet."""

    def __init__(self, loader: Loader, i: int):
        self.loader = loader
        self.i = i

    def resolve_early(self) -> Any:
        obj = self.loader.objects[self.i]
        if isinstance(obj, RestoredResource):
            return LazyHandle(obj)
        if isinstance(obj, protos.CapturedTensor):
            return obj
        return self.loader.capture(self.i)


def _set_attribute(obj: Any, name: str, child: Any) -> None:
    setattr(obj, name, child)


def _ignore(obj: Any, name: str, child: Any) -> None:
    """Edges of functions lead to their traces, which they have already."""


def _levels(value: Any) -> Any:
    """`value` and all that its tuples and dictionaries hold."""
    yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ():
        yield from _levels(item)


def _plain_name(name: str) -> str:
    stem = name[len("__inference_") :] if name.startswith("__inference_") else name
    head, _, tail = stem.rpartition("_")
    return head if head and tail.isdigit() else stem


def _uid(name: str) -> int:
    tail = name.rpartition("_")[2]
    return int(tail) if tail.isdigit() and len(tail) < 12 else 0


def _function_spec(message: Any) -> FunctionSpec:
    """The argument list in a FunctionSpec message, `self` dropped."""
    if not message.HasField("fullargspec") or message.fullargspec.WhichOneof("kind") is None:
        return FunctionSpec([], "args", "kwargs")
    full = deserialize_structure(message.fullargspec)
    args = list(full.args)
    if message.is_method or (args and args[0] == "self"):
        args = args[1:]
    signature = None
    if message.HasField("input_signature") and message.input_signature.WhichOneof("kind") not in (None, "none_value"):
        signature = deserialize_structure(message.input_signature)
    jit = {1: True, 2: False}.get(message.jit_compile)
    return FunctionSpec(
        args, full.varargs, full.varkw, tuple(full.defaults) if full.defaults else None, list(full.kwonlyargs or ()),
        dict(full.kwonlydefaults) if full.kwonlydefaults else None, signature, jit,
    )  # fmt: skip


lookup.set_text_file_reader(io_ops.read_asset)
