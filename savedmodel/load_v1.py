"""load_v1: SavedModels of TensorFlow 1 become objects with signatures. It refuses models that hold an object graph.

The meta graph is a plain graph with signatures, a saver and an init op. Variables are read from the checkpoint by what the saver's
restore part says (names and slices); only what that part does beyond assigning variables is run. Then the init op runs, with the real
paths of the assets. `savedmodel.v1_graph` turns signatures, and any other feeds and fetches, into functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from savedmodel.errors import FormatError, ModelNotFoundError, SavedModelError, UnknownOpError
from savedmodel.format import protos
from savedmodel.format.slices import parse_shape_and_slice
from savedmodel.format.tensor_proto import shape_from_proto
from savedmodel.graphdef import check_graph_def, deserialize_graph, deserialize_library
from savedmodel.io_ops import allow_files
from savedmodel.reader import SavedModelReader
from savedmodel.revive import Asset, RestoredResource
from savedmodel.signature import RestoredConcreteFunction, SignatureMap
from savedmodel.structured import deserialize_type_spec
from savedmodel.trackable import AutoTrackable
from savedmodel.v1_graph import TABLE_INITIALIZERS, VARIABLE_OPS, GraphState, missing_ops, needed_nodes, prune
from tracer import dispatch, nest
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError
from tracer.functions import Function
from tracer.ir.graph import Node
from tracer.resources import use_manager
from tracer.shapes import TensorShape
from tracer.specs import SparseTensorSpec, TensorSpec, TypeSpec
from tracer.tensor import EagerTensor, Tensor, convert_to_tensor
from tracer.tracing import FuncGraph, next_uid

__all__ = ["GraphModel", "PrunedFunction", "load_v1"]

INIT_SIGNATURE = "__saved_model_init_op"
TRAIN_SIGNATURE = "__saved_model_train_op"
_READS = ("Restore", "RestoreSlice", "RestoreV2")  # ops that read a checkpoint
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


def load_v1(reader: SavedModelReader, meta_graph: Any, tags: Any = None, options: Any = None) -> GraphModel:
    """The object that stands for one meta graph of TensorFlow 1, restored and initialised.

    Raises:
        NotImplementedError: signatures or initialisers need unknown ops; all are listed. ValueError, OSError: the files are damaged.
    """
    return _V1Loader(reader, meta_graph, options).load()


class PrunedFunction(RestoredConcreteFunction):
    """A part of a graph as a function: from feeds to fetches. The part is cut out when it is first needed."""

    def __init__(
        self, state: GraphState, name: str, feeds: Sequence[Any], fetches: Sequence[Any], keywords: Sequence[str], positional: int,
        structured_inputs: Any, structured_outputs: Any,
    ):  # fmt: skip
        self._state = state
        self._feeds = list(feeds)
        self._fetches = list(fetches)
        self._cut: tuple[FuncGraph, list[EagerTensor]] | None = None
        self._variants: dict[tuple[str, ...], PrunedFunction] = {}
        super().__init__(name, None, (), structured_inputs, structured_outputs)
        self._keywords = list(keywords)
        self._positional = positional
        self.bare = True

    def _parts(self) -> tuple[FuncGraph, list[EagerTensor]]:
        if self._cut is None:
            self._cut = prune(self._state, self._feeds, self._fetches, self._function_name)
        return self._cut

    @property
    def graph(self) -> FuncGraph:  # type: ignore[override]
        return self._parts()[0]

    @property
    def captured_inputs(self) -> list[EagerTensor]:  # type: ignore[override]
        return self._parts()[1]

    @captured_inputs.setter
    def captured_inputs(self, value: Any) -> None:
        """Captures come from the graph; what the base class sets is ignored."""

    def call_flat(self, args: Sequence[Any]) -> Any:
        with use_manager(self._state.manager):
            return super().call_flat(args)

    def prune(self, feeds: Any, fetches: Any, name: str = "pruned", input_signature: Any = None) -> PrunedFunction:
        """A function of the whole graph, from other feeds to other fetches; see GraphModel.prune."""
        return make_function(self._state, feeds, fetches, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call with tensors by name (or by position, where there is one). An input that the graph itself can compute may be left out.

        Raises:
            TypeError: an input is missing or unknown.
        """
        parts = self._expanded(kwargs)
        if not args and len(parts) < len(self._feeds):
            part = self._with_feeds(parts)
            if part is not None:
                return RestoredConcreteFunction.__call__(part, **parts)
        return super().__call__(*args, **parts)

    def _with_feeds(self, given: Any) -> PrunedFunction | None:
        """The function that takes only the inputs `given`; None where an input that is left out has no value of its own."""
        names = tuple(n for n in self._arg_keywords if n in given)
        if len(names) != len(given):
            return None
        for name, t in zip(self._arg_keywords, self._feeds, strict=True):
            if name not in given and t.node.op in ("Placeholder", "PlaceholderV2"):
                return None
        found = self._variants.get(names)
        if found is None:
            feeds = [t for n, t in zip(self._arg_keywords, self._feeds, strict=True) if n in given]
            found = self._variants[names] = PrunedFunction(
                self._state, self._function_name, feeds, self._fetches, names, 0, None, self._output_structure
            )
        return found

    @staticmethod
    def _expanded(kwargs: Any) -> dict[str, Any]:
        """Keyword arguments with composite tensors taken apart."""
        parts: dict[str, Any] = {}
        for key, value in kwargs.items():
            spec = getattr(value, "_type_spec", None)
            if isinstance(spec, TypeSpec) and spec.is_composite_spec and not isinstance(value, Tensor):
                parts.update(zip(_component_names(key, spec), spec.to_components(value), strict=True))
            else:
                parts[key] = value
        return parts


def _component_names(key: str, spec: Any) -> list[str]:
    """The names of the flat arguments that a composite argument of a signature has."""
    if isinstance(spec, SparseTensorSpec):
        return [f"{key}_indices", f"{key}_values", f"{key}_dense_shape"]
    return [f"{key}_component_{i}" for i in range(len(spec.component_specs))]


def _spec_of(t: Any, name: str | None = None) -> TensorSpec:
    return TensorSpec(t.shape, t.dtype.base_dtype, name)


def make_function(state: GraphState, feeds: Any, fetches: Any, name: str = "pruned") -> PrunedFunction:
    """The function from `feeds` to `fetches`: tensors, names of tensors, TensorInfo messages, or structures of these.

    A fetch may also be an operation (or its name, without `:0`): it runs, and gives None.
    """
    flat_feeds: list[Any] = []
    for item in nest.flatten(feeds):
        given = _decode(state, item)
        for t in given[1] if isinstance(given, tuple) else [given]:
            if isinstance(t, Node):
                if len(t.outputs) != 1:
                    raise InvalidArgumentError(f"All members of argument `feeds` must be tensors. Got {t!r}.")
                t = t.outputs[0]
            flat_feeds.append(t)
    tensors: list[Any] = []
    operations: list[Any] = []

    def fetch(item: Any) -> Any:
        found = _decode(state, item)
        if isinstance(found, Node):
            operations.append(found)
            return None
        if isinstance(found, tuple):
            tensors.extend(found[1])
            return found[0]
        tensors.append(found)
        return _spec_of(found)

    outputs = nest.map_structure(fetch, fetches)
    keywords = [t.node.name for t in flat_feeds]
    return PrunedFunction(state, name, flat_feeds, [*tensors, *operations], keywords, len(flat_feeds), None, outputs)


def _decode(state: GraphState, item: Any) -> Any:
    """The tensor, the node, or (spec, component tensors) that `item` means."""
    if isinstance(item, protos.TensorInfo):
        return _decode_info(state, item)
    components = getattr(item, "components", None)
    if components is not None and hasattr(item, "_type_spec"):
        return item._type_spec, [state.element(t) for t in components]
    return state.element(item)


def _decode_info(state: GraphState, info: Any) -> Any:
    """What a TensorInfo means: a tensor, a node (names without an index), or (spec, component tensors)."""
    kind = info.WhichOneof("encoding")
    shape = TensorShape(shape_from_proto(info.tensor_shape)) if info.HasField("tensor_shape") else TensorShape(None)
    if kind == "coo_sparse":
        names = (info.coo_sparse.indices_tensor_name, info.coo_sparse.values_tensor_name, info.coo_sparse.dense_shape_tensor_name)
        parts = [state.element(n) for n in names]
        return SparseTensorSpec(shape, parts[1].dtype.base_dtype), parts
    if kind == "composite_tensor":
        spec = deserialize_type_spec(info.composite_tensor.type_spec)
        return spec, [_decode_info(state, c) for c in info.composite_tensor.components]
    return state.element(info.name)


class GraphModel(AutoTrackable):
    """A loaded model of TensorFlow 1.

    Attributes:
        signatures: key → function with keyword tensors that returns a dictionary.
        variables: all variables of the graph that its functions may use. They are shared by all functions.
        graph: the whole graph; `graph.get_tensor_by_name("x:0")`.
        asset_paths: the files that came with the model.
        initializer: runs the model's init op again; takes the assets' paths.
        tensorflow_version: of the program that wrote the model.
    """

    def __init__(self, state: GraphState, restore: Callable[..., None]):
        object.__setattr__(self, "_state", state)
        object.__setattr__(self, "_restore", restore)
        object.__setattr__(self, "_tables", None)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)
        children.pop("initializer", None)  # the main graph's; each object brings its own
        if save_type == "savedmodel":
            if self._tables is None:
                object.__setattr__(self, "_tables", _tables(self._state))
            children.update(self._tables)
        return children

    @property
    def graph(self) -> FuncGraph:
        return self._state.graph

    def restore(self, save_path: Any = None) -> None:
        """Read the variables again: those of the model's own checkpoint, or of the one at `save_path`."""
        self._restore(save_path)

    def prune(self, feeds: Any, fetches: Any, name: str = "pruned", input_signature: Any = None) -> PrunedFunction:
        """The function from `feeds` to `fetches` of the graph.

        Args:
            feeds: tensors, or their names (`x:0`), or a structure of these; any tensor may be fed.
            fetches: tensors, operations, names of either, or a structure of these; an operation runs and gives None.

        Returns:
            A function: called with one tensor for each feed, by position, it returns the structure of `fetches`.

        Raises:
            KeyError: no such tensor. NotImplementedError: it needs ops that are not known.
        """
        return make_function(self._state, feeds, fetches, name)


def _tables(state: GraphState) -> dict[str, RestoredResource]:
    """The tables that come filled with constants or from files, as objects with functions that make and fill them, by attribute."""
    out: dict[str, RestoredResource] = {}
    for node, handle in state.static_tables():
        fillers = [n for n in state.graph if n.op in TABLE_INITIALIZERS and state.origin(n.inputs[0]) is node]
        if len(fillers) != 1:
            continue
        table = RestoredResource()
        table._create_resource = _table_maker(node)
        table._initialize = _table_filler(state, fillers[0])
        table.__dict__["made_handle"] = handle
        out[f"_table_{len(out)}"] = table
    return out


def _table_maker(node: Any) -> Any:
    attrs = {k: node.attrs[k] for k in ("key_dtype", "value_dtype")}
    name = f"{node.name}_{next_uid()}"

    def create() -> Any:
        return dispatch.call("HashTableV2", shared_name=name, use_node_name_sharing=True, **attrs)

    return _traced(create)


def _table_filler(state: GraphState, node: Any) -> Any:
    fill = make_function(state, [], [node], "fill_table")

    def initialize() -> Any:
        fill.call_flat([])
        return convert_to_tensor(1)

    return _traced(initialize)


def _traced(python: Callable[[], Any]) -> Function:
    function = Function(python, input_signature=[], autograph=False)
    function.get_concrete_function()
    return function


class _V1Loader:
    def __init__(self, reader: SavedModelReader, meta_graph: Any, options: Any):
        self.reader = reader
        self.meta_graph = meta_graph
        self.options = options
        self.where = reader.where
        self.asset_tensors: list[Any] = []

    def load(self) -> GraphModel:
        graph_def = self.meta_graph.graph_def
        unknown = check_graph_def(graph_def, self.where, runs_main_graph=True)
        library = deserialize_library(graph_def.library, self.where)
        left_out: dict[str, list[str]] = {}
        if unknown:
            graph_def, left_out = _without(graph_def, unknown)
            self._require(left_out)
        graph = deserialize_graph(graph_def, library, self.where)
        suffix = b"_load_" + str(library.uid).encode()  # type: ignore[attr-defined]
        self.state = state = GraphState(graph, self._trainable(), suffix, left_out, self.where)
        assets = self._assets()
        model = GraphModel(state, self._restore)
        for node in graph:
            if node.op in VARIABLE_OPS and node.op != "TemporaryVariable":
                state.handle(node)
        model.variables = [v for _, v in sorted(state.variables.items(), key=lambda item: graph[item[0]].position)]
        model.asset_paths = assets
        info = self.meta_graph.meta_info_def
        model.tensorflow_version = info.tensorflow_version
        model.tensorflow_git_version = info.tensorflow_git_version
        if not getattr(self.options, "experimental_skip_checkpoint", False):
            self._restore(None)
        model.initializer = self._initializer()
        if model.initializer is not None:
            model.initializer(*(state.fixed[id(t)] for t in self.asset_tensors))
        model.signatures = SignatureMap(dict(self._signatures()))
        return model

    # -- what is needed ----------------------------------------------------------------------------------------------

    def _init_names(self) -> list[str]:
        """The nodes that initialise the model, in the order in which loaders look for them."""
        signature = self.meta_graph.signature_def.get(INIT_SIGNATURE)
        if signature is not None and INIT_SIGNATURE in signature.outputs:
            return [signature.outputs[INIT_SIGNATURE].name]
        collections = self.meta_graph.collection_def
        for key in _INIT_COLLECTIONS:
            if key in collections:
                names = list(collections[key].node_list.value)
                if len(names) != 1:
                    raise FormatError(f"{self.where}: Expected exactly one {key} op, received {len(names)}: {names}")
                return names
        names = [d.initializer_name for d in self._definitions("local_variables") if d.initializer_name]
        if "table_initializer" in collections:
            names += list(collections["table_initializer"].node_list.value)
        return names

    def _require(self, left_out: Mapping[str, Sequence[str]]) -> None:
        """Refuse when a signature or the initialisation needs a node that had to be left out; lists all ops at once."""
        wanted = {name.partition(":")[0] for name in self._init_names()}
        keys = []
        for key, signature in self.meta_graph.signature_def.items():
            names = {n.partition(":")[0] for info in (*signature.inputs.values(), *signature.outputs.values()) for n in _names_in(info)}
            if names & left_out.keys():
                keys.append(key)
            wanted |= names
        ops = [op for name in wanted for op in left_out.get(name, ())]
        if ops:
            what = f"signature {', '.join(map(repr, sorted(keys)))}" if keys else "the init op"
            raise UnknownOpError(missing_ops(self.where, what, ops))

    def _definitions(self, collection: str) -> list[Any]:
        """The VariableDef messages of a collection."""
        out = []
        if collection in self.meta_graph.collection_def:
            for data in self.meta_graph.collection_def[collection].bytes_list.value:
                try:
                    out.append(protos.VariableDef.FromString(data))
                except DecodeError:
                    raise FormatError(f"{self.where}: collection {collection!r} holds something that is no VariableDef; the file is damaged") from None
        return out

    def _trainable(self) -> set[str]:
        return {d.variable_name.partition(":")[0] for d in self._definitions("trainable_variables")}

    # -- assets ------------------------------------------------------------------------------------------------------

    def _assets(self) -> list[Any]:
        """The model's files; the tensors that hold their paths get the real ones."""
        infos = list(self.meta_graph.asset_file_def)
        collections = self.meta_graph.collection_def
        if not infos and "saved_model_assets" in collections:
            for packed in collections["saved_model_assets"].any_list.value:
                try:
                    infos.append(protos.AssetFileDef.FromString(packed.value))
                except DecodeError:
                    raise FormatError(f"{self.where}: collection 'saved_model_assets' is damaged") from None
        assets = []
        for info in infos:
            asset = Asset(self.reader.asset_path(info.filename))
            assets.append(asset)
            name = info.tensor_info.name
            if name.partition(":")[0] in self.state.graph.nodes:
                t = self.state.element(name if ":" in name else f"{name}:0")
                self.state.fixed[id(t)] = asset.asset_path
                self.asset_tensors.append(t)
        return assets

    # -- values ------------------------------------------------------------------------------------------------------

    def _restore(self, path: Any = None) -> None:
        """Give variables their values, lazily, as the restore part of the graph says."""
        if path is None:
            if not self.reader.has_variables:
                return
            prefix: Any = self.reader.source.path("variables/variables")
            bundle = self.reader.variables
        else:
            from savedmodel.format.v1_checkpoint import open_checkpoint

            prefix, bundle = path, open_checkpoint(path)
        saver = self.meta_graph.saver_def
        graph = self.state.graph
        if not saver.restore_op_name or saver.restore_op_name not in graph.nodes:
            for name, variable in self.state.variables.items():
                if name in bundle:
                    self._set(variable, bundle, name, "")
            return
        rest = []
        for node in _effects_of(graph[saver.restore_op_name]):
            source = self._source(node)
            if source is None:
                rest.append(node)
            else:
                variable, key, piece = source
                self._set(variable, bundle, key, piece)
        if rest:
            self._run_rest(rest, bundle, prefix)

    def _run_rest(self, nodes: Sequence[Any], bundle: Any, prefix: Any) -> None:
        """Run the part of the restoration that is no plain assignment (tables): with what it reads from the checkpoint given to it."""
        feeds: list[Any] = []
        values: list[Any] = []
        for read in self.state.graph:
            if read.op in _READS and all(t.node.op == "Const" for t in read.inputs[1:]):
                for t in read.outputs:
                    key, piece = _stored(read, t.index, self.where)
                    if key in bundle:
                        feeds.append(t)
                        values.append((key, parse_shape_and_slice(piece)))
        used = {id(t) for n in needed_nodes(nodes, feeds) for t in n.inputs}
        picked = [(t, v) for t, v in zip(feeds, values, strict=True) if id(t) in used]
        name = self.meta_graph.saver_def.filename_tensor_name
        names = [self.state.element(name)] if name else []
        run = make_function(self.state, [*(t for t, _ in picked), *names], nodes, "restore")
        arrays = [bundle.read(key) if piece is None else bundle.read_slice(key, piece[1]) for _, (key, piece) in picked]
        with allow_files(prefix):
            run(*(EagerTensor(a, t.dtype) for a, (t, _) in zip(arrays, picked, strict=True)), *(convert_to_tensor(prefix) for _ in names))

    def _source(self, node: Any) -> tuple[Any, str, str] | None:
        """(variable, checkpoint key, slice) when `node` assigns a restored value to a variable, else None."""
        if node.op not in ("Assign", "AssignVariableOp"):
            return None
        handle, value = node.inputs[0].node, node.inputs[1]
        while value.node.op == "Identity":
            value = value.node.inputs[0]
        while handle.op == "Identity":
            handle = handle.inputs[0].node
        read = value.node
        if handle.op not in VARIABLE_OPS or read.op not in _READS:
            return None
        if any(t.node.op != "Const" for t in read.inputs[1:]):
            return None
        key, piece = _stored(read, value.index, self.where)
        self.state.handle(handle)
        return self.state.variables[handle.name], key, piece

    def _set(self, variable: Any, bundle: Any, key: str, piece: str) -> None:
        if key not in bundle:
            if getattr(self.options, "allow_partial_checkpoint", False):
                return
            raise ModelNotFoundError(f"{self.reader.path}: Key {key} not found in checkpoint variables/variables; it was not saved whole")
        parsed = parse_shape_and_slice(piece)
        shape = bundle.shape(key) if parsed is None else parsed[1].shape_in(bundle.shape(key))
        number = bundle.dtype_number(key)
        if number != variable.dtype.number or not variable.shape.is_compatible_with(shape):
            raise FormatError(
                f"{self.reader.path}: variable {variable.name} expects {variable.dtype.name} of shape {variable.shape}, received "
                f"{as_dtype(number).name} of shape {tuple(shape)} under key {key!r} of the checkpoint"
            )
        if parsed is None and hasattr(bundle, "check"):
            bundle.check(key)
        variable._resource.set_loader(lambda: bundle.read(key) if parsed is None else bundle.read_slice(key, parsed[1]))

    # -- functions ---------------------------------------------------------------------------------------------------

    def _initializer(self) -> PrunedFunction | None:
        names = self._init_names()
        if not names:
            return None
        fetches = []
        for name in names:
            node = name.partition(":")[0]
            if node not in self.state.graph.nodes:
                raise FormatError(f"{self.where}: the init op {name!r} is not in the graph; the file is damaged")
            fetches.append(self.state.graph[node])
        return make_function(self.state, self.asset_tensors, fetches, "initializer")

    def _signatures(self) -> Iterator[tuple[str, PrunedFunction]]:
        for key in sorted(self.meta_graph.signature_def):
            if key in (INIT_SIGNATURE, TRAIN_SIGNATURE):
                continue
            try:
                yield key, self._signature(key, self.meta_graph.signature_def[key])
            except KeyError as error:
                raise FormatError(f"{self.where} > signature {key!r}: {error.args[0]}; the file is damaged") from None
            except SavedModelError as error:
                raise type(error)(f"{self.where} > signature {key!r}: {error}") from error

    def _signature(self, key: str, signature: Any) -> PrunedFunction:
        names: list[str] = []
        feeds: list[Any] = []
        for name in sorted(signature.inputs):
            found = _decode_info(self.state, signature.inputs[name])
            if isinstance(found, tuple):
                names.extend(_component_names(name, found[0]))
                feeds.extend(found[1])
            else:
                names.append(name)
                feeds.append(found.outputs[0] if isinstance(found, Node) else found)
        outputs = {name: signature.outputs[name] for name in sorted(signature.outputs)}
        function = make_function(self.state, feeds, outputs, f"signature_{key}")
        specs = {n: _spec_of(t, n) for n, t in zip(names, feeds, strict=True)}
        function.structured_input_signature = ((), specs)
        function._arg_keywords = names
        function._num_positional_args = 1 if len(names) == 1 else 0
        return function


def _stored(read: Any, k: int, where: str) -> tuple[str, str]:
    """The checkpoint key, and the slice (empty: all of it), of output `k` of a node that reads a checkpoint."""
    texts = [t.node.attrs["value"].reshape(-1) for t in read.inputs[1:]]
    if any(k >= len(part) for part in texts):
        raise FormatError(f"{where} > node {read.name!r}: output {k} of {len(texts[0])} tensors; the file is damaged")
    try:
        return texts[0][k].decode(), texts[1][k].decode() if len(texts) > 1 else ""
    except UnicodeDecodeError:
        raise FormatError(f"{where} > node {read.name!r}: expected the name of a tensor, received {texts[0][k]!r}; the file is damaged") from None


def _names_in(info: Any) -> list[str]:
    """The names of the tensors in a TensorInfo."""
    kind = info.WhichOneof("encoding")
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        return [sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name]
    if kind == "composite_tensor":
        return [n for c in info.composite_tensor.components for n in _names_in(c)]
    return [info.name]


def _effects_of(node: Any) -> list[Any]:
    """The nodes that do something among those that `node` waits for."""
    out: list[Any] = []
    seen: set[int] = set()
    stack = [node]
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if item.op in ("NoOp", "Identity"):
            stack.extend(item.control_inputs)
            stack.extend(t.node for t in item.inputs)
        elif item.op not in ("Const", "Placeholder", "PlaceholderWithDefault"):
            out.append(item)
    return sorted(out, key=lambda n: n.position)


def _without(graph_def: Any, unknown: set[str]) -> tuple[Any, dict[str, list[str]]]:
    """The graph without the nodes that need unknown ops, and those nodes with the ops that they need."""
    causes: dict[str, set[str]] = {}
    functions = {f.signature.name: f for f in graph_def.library.function}
    bad = _functions_that_need(functions, unknown)
    readers: dict[str, list[str]] = {}
    for n in graph_def.node:
        own = {n.op} & unknown
        for name in _functions_named(n):
            own |= bad.get(name, set())
        if own:
            causes[n.name] = own
        for text in n.input:
            readers.setdefault(text.removeprefix("^").partition(":")[0], []).append(n.name)
    queue = list(causes)
    while queue:
        name = queue.pop()
        for reader in readers.get(name, ()):
            before = causes.setdefault(reader, set())
            if not causes[name] <= before:
                before |= causes[name]
                queue.append(reader)
    out = type(graph_def)()
    out.versions.CopyFrom(graph_def.versions)
    out.library.CopyFrom(graph_def.library)
    out.node.extend(n for n in graph_def.node if n.name not in causes)
    return out, {name: sorted(ops) for name, ops in causes.items()}


def _functions_named(node_def: Any) -> list[str]:
    names = [node_def.op]
    for key in node_def.attr:
        value = node_def.attr[key]
        kind = value.WhichOneof("value")
        if kind == "func":
            names.append(value.func.name)
        elif kind == "list":
            names.extend(f.name for f in value.list.func)
    return names


def _functions_that_need(functions: Mapping[str, Any], unknown: set[str]) -> dict[str, set[str]]:
    """Function name → the unknown ops that its body, or a function it calls, uses."""
    found = {name: {n.op for n in f.node_def} & unknown for name, f in functions.items()}
    calls = {name: {c for n in f.node_def for c in _functions_named(n) if c in functions} for name, f in functions.items()}
    changed = True
    while changed:
        changed = False
        for name, callees in calls.items():
            for callee in callees:
                if not found[callee] <= found[name]:
                    found[name] |= found[callee]
                    changed = True
    return {name: ops for name, ops in found.items() if ops}
