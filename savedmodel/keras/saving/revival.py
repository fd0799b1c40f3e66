"""Keras models from SavedModel directories: rebuilt by config where that can be done, else revived from their traced functions.

Each Keras node is first tried by its config (a class known here, registered, or given in `custom_objects`); failing that it becomes an
object of a class that is made up on the spot: named like the original, with its weights, sublayers, losses and metrics, whose `call` runs
the traced function. Functional and Sequential models are connected when all their layers are there.
"""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from savedmodel.errors import FormatError
from savedmodel.keras import registration
from savedmodel.keras.engine.base_layer import REVIVED_LOSS_PLACEHOLDER, Layer
from savedmodel.keras.engine.call_context import call_context
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.saving import serialization
from savedmodel.keras.saving.layer_records import RESTORES_OPTIMIZER
from savedmodel.keras.saving.metadata_json import decode
from savedmodel.keras.saving.optimizer_state import restore_optimizer
from savedmodel.keras.saving.training_config import compile_arguments
from savedmodel.loader import Loader
from savedmodel.options import LoadOptions
from savedmodel.reader import SavedModelReader
from savedmodel.trackable import no_automatic_dependency_tracking_scope
from tracer import dispatch
from tracer.errors import InvalidArgumentError
from tracer.public import tf
from tracer.tensor import Tensor

__all__ = ["load_saved_model"]

log = logging.getLogger("savedmodel.keras")

REVIVED_MODULE = "keras.src.saving.legacy.saved_model.load"
_KERAS_KINDS = ("model", "network", "sequential", "layer", "rnn_layer", "input_layer", "metric")
_IDENTIFIERS = {f"_tf_keras_{k}": k for k in _KERAS_KINDS}
_FUNCTION_NAMES = ("__call__", "call_and_return_conditional_losses", "call_and_return_all_conditional_losses", "_default_save_signature")
_LIST_NAMES = ("variables", "trainable_variables", "non_trainable_variables", "regularization_losses")


def load_saved_model(path: Any, custom_objects: Any = None, compile: bool = True, options: LoadOptions | None = None) -> Any:
    """Load a Keras model from a SavedModel directory.

    Args:
        custom_objects: name → class or function of what the model uses beyond Keras's own.
        compile: compile as the model was, and restore the optimizer's state.

    Returns:
        The model; or, for a SavedModel without Keras objects, what `savedmodel.load` gives.

    Raises:
        OSError: no model there. ValueError: it is no Keras model, or needs objects that are not known.
    """
    reader = path if isinstance(path, SavedModelReader) else SavedModelReader(path)
    if not reader.is_object_based:
        raise FormatError(
            f"Unable to create a Keras model from SavedModel at {reader.path}: it has no object graph (TensorFlow 1). Load it with "
            f"savedmodel.load, which gives its signatures."
        )
    meta_graph = reader.select(None)
    records = _records(reader, meta_graph)
    if not records:
        from savedmodel.loader import load

        return load(reader, options=options)
    with registration.CustomObjectScope(custom_objects or {}), serialization.saved_model_scope():
        revival = _Revival(reader, meta_graph, records, options or LoadOptions(), compile)
        return revival.load()


def _records(reader: SavedModelReader, meta_graph: Any) -> dict[int, tuple[str, dict[str, Any]]]:
    """Node id → (kind, metadata) of every Keras node."""
    nodes = meta_graph.object_graph_def.nodes
    keras_nodes = [i for i, n in enumerate(nodes) if n.WhichOneof("kind") == "user_object" and n.user_object.identifier in _IDENTIFIERS]
    metadata = reader.keras_metadata
    out: dict[int, tuple[str, dict[str, Any]]] = {}
    if metadata is None:
        # TensorFlow 2.0 to 2.4 kept the records inside of the object graph.
        if not keras_nodes:
            return {}
        for i in keras_nodes:
            text = nodes[i].user_object.metadata
            if not text:
                raise FormatError(
                    f"Unable to create a Keras model from SavedModel at {reader.path}. This SavedModel was exported with "
                    f"`tf.saved_model.save`, and lacks the Keras metadata file. Please save your Keras model by calling `model.save` or "
                    f"`tf.keras.models.save_model`. Note that you can still load this SavedModel with `tf.saved_model.load`."
                )
            out[i] = (_IDENTIFIERS[nodes[i].user_object.identifier], decode(text))
    else:
        for record in metadata.nodes:
            if not 0 <= record.node_id < len(nodes):
                raise FormatError(f"{reader.path} > keras_metadata.pb: node {record.node_id} of {len(nodes)}; the files do not belong together")
            kind = _IDENTIFIERS.get(record.identifier)
            if kind is None:
                raise FormatError(f"{reader.path} > keras_metadata.pb > node {record.node_id}: unknown identifier {record.identifier!r}")
            out[record.node_id] = (kind, decode(record.metadata))
    for kind, record in out.values():
        if kind in ("model", "network", "sequential") and record.get("full_save_spec") is None and record.get("save_spec") is not None:
            record["full_save_spec"] = ([record["save_spec"]], {})
    return out


class _Revival:
    """One load."""

    def __init__(self, reader: SavedModelReader, meta_graph: Any, records: dict[int, Any], options: LoadOptions, compile: bool):
        self.reader = reader
        self.meta_graph = meta_graph
        self.nodes = meta_graph.object_graph_def.nodes
        self.records = records
        self.options = options
        self.compile = compile
        self.presets: dict[int, tuple[Any, Callable[[Any, str, Any], None]]] = {}
        self.by_config: set[int] = set()
        self.networks: dict[int, dict[str, Any]] = {}  # node id of a blank network → its "layer-N" children
        self.connected: set[int] = set()
        self.optimizers: dict[int, Any] = {}  # node id of a model → saved optimizer
        self.states: dict[int, Any] = {}

    def load(self) -> Any:
        with serialization.SharedObjectLoadingScope():
            metrics = []
            for i, (kind, record) in self.records.items():
                if kind == "metric":
                    metrics.append((i, record))
                else:
                    self._make(i, kind, record)
            for i, record in metrics:
                self._make_metric(i, record)
        loader = Loader(self.reader, self.meta_graph, self.options, self.presets)
        root = loader.load()
        self.loader = loader
        self._finish_layers()
        for i in list(self.networks):
            self._connect(i)
        self._finish_networks()
        if 0 in self.records and self.records[0][0] in ("model", "network", "sequential"):
            root = self._compile(root)
        return root

    # -- making objects ----------------------------------------------------------------------------------------------

    def _make(self, i: int, kind: str, record: dict[str, Any]) -> Any:
        if i in self.presets:
            obj = self.presets[i][0]
            self._update(obj, record)
            return obj
        obj = self._from_config(i, kind, record)
        if obj is not None:
            self.presets[i] = (obj, self._set_on_config(i))
            if i not in self.networks:
                self._adopt_children(obj, i)
            return obj
        obj = self._without_class(i, kind, record)
        self.presets[i] = (obj, self._set_on_revived(i))
        log.info("layer %r: revived from its traced functions", record.get("name"))
        return obj

    def _from_config(self, i: int, kind: str, record: dict[str, Any]) -> Any:
        obj = self._blank_network(i, record)
        if obj is not None:
            return obj
        class_name, config = record.get("class_name"), record.get("config")
        if class_name is None or not isinstance(config, dict) or serialization.UNDEFINED_CONFIG in config:
            return None
        must = record.get("must_restore_from_config", False)
        try:
            obj = serialization.legacy_deserialize_keras_object(
                {"class_name": class_name, "config": config, **({"shared_object_id": record["shared_object_id"]} if "shared_object_id" in record else {})},
                _layer_classes(), registration.scoped_objects() or None, printable_module_name="layer",
            )  # fmt: skip
        except Exception as error:
            if must:
                raise
            log.info("layer %r: not rebuilt from its config (%s: %s)", record.get("name"), type(error).__name__, error)
            return None
        if not isinstance(obj, Layer):
            return None
        self._update(obj, record)
        if not self._build(obj, i, record):
            return None
        self.by_config.add(i)
        return obj

    def _update(self, obj: Any, record: dict[str, Any]) -> None:
        """Give an object made from its config what the record says beyond it."""
        obj.__dict__["_hides_build_config"] = type(obj).build is Layer.build
        with no_automatic_dependency_tracking_scope():
            obj._name = record["name"]
            if record.get("trainable") is not None:
                obj.trainable = record["trainable"]
            if record.get("dtype") is not None:
                obj._set_dtype_policy(_plain_policy(record["dtype"]))
            if record.get("stateful") is not None:
                obj.stateful = record["stateful"]
            if record.get("autocast") is not None:
                obj._autocast = record["autocast"]
            spec = record.get("full_save_spec")
            if spec is not None:
                args, kwargs = spec
                args = list(args)
                if args:
                    obj._set_save_spec(args.pop(0), args, kwargs)

    def _build(self, obj: Any, i: int, record: dict[str, Any]) -> bool:
        """Create the weights of a rebuilt layer. False: it cannot be done without its traced functions."""
        if obj.built or (type(obj).build is Layer.build and not hasattr(type(obj), "train_step")):
            if not obj.built and type(obj).build is Layer.build:
                shape = record.get("build_input_shape")
                Layer.build(obj, shape)
            return True
        shape = record.get("build_input_shape")
        if shape is None:
            shape = self._traced_input_shape(i)
        if shape is None:
            return hasattr(type(obj), "train_step") or type(obj).build is Layer.build
        try:
            with dispatch.name_scope(obj.name):
                obj.build(shape)
            Layer.build(obj, shape) if not hasattr(type(obj), "train_step") else None
        except Exception as error:
            log.info("layer %r: not built from its config (%s: %s)", record.get("name"), type(error).__name__, error)
            return hasattr(type(obj), "train_step")
        return True

    def _traced_input_shape(self, i: int) -> Any:
        from savedmodel.structured import deserialize_structure
        from tracer import nest

        for child in self.nodes[i].children:
            if child.local_name == "call_and_return_all_conditional_losses":
                names = self.nodes[child.node_id].function.concrete_functions
                if names:
                    saved = self.meta_graph.object_graph_def.concrete_functions[names[0]]
                    args, _ = deserialize_structure(saved.canonicalized_input_signature)
                    return nest.map_structure(lambda s: getattr(s, "shape", None), args[0]) if args else None
        return None

    def _blank_network(self, i: int, record: dict[str, Any]) -> Any:
        """A Functional or Sequential model without layers yet, for a node that is one."""
        from savedmodel.keras.engine.functional import Functional
        from savedmodel.keras.engine.sequential import Sequential

        class_name, config = record.get("class_name"), record.get("config")
        if not isinstance(config, dict) or "layers" not in config:
            return None
        if class_name in (registration.scoped_objects() or {}) or registration.get_registered_object(class_name or "") is not None:
            return None
        if not (record.get("is_graph_network") or class_name in ("Sequential", "Functional", "Model")):
            return None
        kind = self.records[i][0]
        if kind == "sequential" or class_name == "Sequential":
            model: Any = Sequential(name=config.get("name"))
        else:
            model = Functional.__new__(Functional)
            with no_automatic_dependency_tracking_scope():
                Layer.__init__(model, name=config.get("name"))
        model._name = record["name"]
        self.networks[i] = {}
        self.by_config.add(i)
        return model

    def _adopt_children(self, obj: Any, i: int) -> None:
        """Sublayers and variables that a rebuilt layer made itself stand for the nodes of the same names."""
        for child in self.nodes[i].children:
            if child.local_name in _FUNCTION_NAMES or child.local_name in _LIST_NAMES or child.local_name in ("keras_api", "signatures"):
                continue
            found = _lookup(obj, child.local_name)
            if found is None:
                continue
            j = child.node_id
            if j in self.presets:
                if self.presets[j][0] is not found:
                    log.warning(
                        "Looks like there is an object (perhaps variable or layer) that is shared between different layers/models: %r of %r",
                        child.local_name, getattr(obj, "name", obj),
                    )  # fmt: skip
                continue
            kind = self.nodes[j].WhichOneof("kind")
            if getattr(found, "_is_variable", False) != (kind == "variable"):
                continue
            if kind == "function":
                continue
            if kind == "variable" and self.nodes[j].variable.name:
                # the scope in which the layer was built is not in its config; its variables' names are in the file
                found._shared_name = found._resource.name = self.nodes[j].variable.name
            self.presets[j] = (found, self._set_on_config(j))
            if j in self.records:
                self.by_config.add(j)
                record = self.records[j][1]
                if isinstance(found, Layer) and self.records[j][0] != "metric":
                    self._update(found, record)
                    self._build(found, j, record)
            self._adopt_children(found, j)

    def _make_metric(self, i: int, record: dict[str, Any]) -> None:
        from savedmodel.keras import metrics

        if i in self.presets:
            return
        try:
            config = {"class_name": record["class_name"], "config": record.get("config", {})}
            if "shared_object_id" in record:
                config["shared_object_id"] = record["shared_object_id"]
            obj = metrics.deserialize(config, registration.scoped_objects() or None)
        except (ValueError, TypeError, KeyError) as error:
            message = (
                f"Unable to restore custom object of class \"{record.get('class_name')}\" (type _tf_keras_metric). Please make sure that any "
                f"custom layers are included in the `custom_objects` arg when calling `load_model()` and make sure that all layers implement "
                f"`get_config` and `from_config`."
            )
            if self.compile:
                raise InvalidArgumentError(message) from error
            warnings.warn(message + " The metric is left out.", stacklevel=6)
            return
        self.by_config.add(i)
        shape = record.get("build_input_shape")
        if shape is not None and hasattr(obj, "_build"):
            obj._build(shape)
        self.presets[i] = (obj, self._set_on_config(i))
        self._adopt_children(obj, i)

    # -- objects without their class ---------------------------------------------------------------------------------

    def _without_class(self, i: int, kind: str, record: dict[str, Any]) -> Any:
        from savedmodel.keras.engine.input_layer import InputLayer
        from savedmodel.keras.engine.model import Model

        if kind == "rnn_layer":
            raise InvalidArgumentError(
                f"Unable to restore custom object of class \"{record.get('class_name')}\" (type _tf_keras_rnn_layer). Please make sure that any "
                f"custom layers are included in the `custom_objects` arg when calling `load_model()` and make sure that all layers implement "
                f"`get_config` and `from_config`."
            )
        name = str(record.get("class_name") or "Revived")
        if kind == "input_layer":
            return InputLayer(
                name=record["name"], dtype=record["dtype"], sparse=record["sparse"], ragged=record["ragged"],
                batch_input_shape=record["batch_input_shape"],
            )  # fmt: skip
        base = Model if kind in ("model", "network", "sequential") else Layer
        mixin = RevivedNetwork if base is Model else RevivedLayer
        cls = type(name, (mixin, base), {"__module__": REVIVED_MODULE, "_is_revived": True})
        obj = cls.__new__(cls)
        with no_automatic_dependency_tracking_scope():
            arguments: dict[str, Any] = {"name": record["name"], "trainable": record["trainable"]}
            if record.get("dtype") is not None:
                arguments["dtype"] = _plain_policy(record["dtype"])
            base.__init__(obj, **arguments)
            if record.get("batch_input_shape") is not None:
                obj.__dict__["_batch_input_shape"] = tuple(record["batch_input_shape"])
        obj.__dict__["_hides_build_config"] = True
        obj.__dict__["_revived_config"] = record.get("config")
        obj.__dict__["_revived_functions"] = {}
        obj.__dict__["_expects_training"] = record.get("expects_training_arg", False)
        if record.get("input_spec") is not None:
            with no_automatic_dependency_tracking_scope():
                obj.input_spec = _input_spec(record["input_spec"])
        if record.get("activity_regularizer") is not None:
            from savedmodel.keras import regularizers

            obj.activity_regularizer = regularizers.deserialize(record["activity_regularizer"])
        obj.__dict__["_preserve_input_structure_in_config"] = record.get("preserve_input_structure_in_config", False)
        obj.__dict__["_autocast"] = record.get("autocast", True)
        if record.get("stateful"):
            obj.stateful = True
        spec = record.get("full_save_spec")
        if spec is not None and spec[0]:
            args = list(spec[0])
            obj._set_save_spec(args.pop(0), args, spec[1])
        if record.get("build_input_shape") is not None:
            obj.__dict__["_build_input_shape"] = record["build_input_shape"]
        return obj

    # -- children ----------------------------------------------------------------------------------------------------

    def _set_on_config(self, i: int) -> Callable[[Any, str, Any], None]:
        def setter(obj: Any, name: str, child: Any) -> None:
            if name == "keras_api":
                self._note_api(i, child)
            elif name == "signatures":
                obj.__dict__["signatures"] = child
            elif name == "optimizer" and i in self.records:
                self.optimizers[i] = child
            elif i in self.networks and (name.startswith(("layer-", "layer_with_weights-"))):
                self.networks[i][name] = child
            elif name in _FUNCTION_NAMES or name in _LIST_NAMES:
                return
            elif i in self.networks and hasattr(obj, "_track_trackable") and _lookup(obj, name) is None and name not in dir(type(obj)):
                return  # attributes that the constructor of a network sets itself

        return setter

    def _set_on_revived(self, i: int) -> Callable[[Any, str, Any], None]:
        def setter(obj: Any, name: str, child: Any) -> None:
            if name in _FUNCTION_NAMES:
                obj._revived_functions[name] = child
            elif name == "keras_api":
                self._note_api(i, child)
                obj.__dict__["keras_api"] = child
            elif name in _LIST_NAMES:
                return
            elif name == "signatures":
                obj.__dict__["signatures"] = child
            elif name == "optimizer":
                self.optimizers[i] = child
            elif name.startswith(("layer-", "layer_with_weights-")) and name.rpartition("-")[2].isdigit():
                obj.__dict__.setdefault("_revived_layers", {})[name] = child
            elif hasattr(type(obj), name):
                obj._track_trackable(child, name, overwrite=True)
                obj.__dict__.setdefault("_revived_children", {})[name] = child
            elif getattr(obj, name, None) is None:
                setattr(obj, name, child)

        return setter

    def _note_api(self, i: int, api: Any) -> None:
        self.states[i] = api

    # -- finishing ---------------------------------------------------------------------------------------------------

    def _finish_layers(self) -> None:
        for i in self.by_config:
            if i in self.presets and hasattr(self.presets[i][0], "_adopt_table"):
                self._fill_table(i, self.presets[i][0])
        for i, (kind, _) in self.records.items():
            if kind == "metric" or i not in self.presets:
                continue
            obj = self.presets[i][0]
            if i in self.by_config:
                self._finish_config(i, obj)
            elif getattr(type(obj), "_is_revived", False):
                self._finish_revived(i, obj)

    def _finish_config(self, i: int, obj: Any) -> None:
        api = self.states.get(i)
        states = getattr(api, "states", None) if api is not None else None
        if states is not None and getattr(obj, "stateful", False) and hasattr(obj, "cell"):
            values = [v.read_value() for v in states]
            if getattr(obj, "states", None) is not None and all(s is not None for s in obj.states):
                for own, value in zip(obj.states, values, strict=False):
                    own.assign(value) if hasattr(own, "assign") else None
            elif hasattr(obj, "reset_states"):
                obj._set_restored_states(list(states)) if hasattr(obj, "_set_restored_states") else obj.__dict__.update(_states=list(states))
        if hasattr(obj, "finalize_state") and not hasattr(type(obj), "train_step"):
            obj.finalize_state()

    def _fill_table(self, i: int, obj: Any) -> None:
        """The vocabulary of a rebuilt layer, by the functions of its table."""
        for child in self.nodes[i].children:
            if child.local_name == "lookup_table":
                found = {c.local_name: c.node_id for c in self.nodes[child.node_id].children}
                files = self.nodes[found["_initializer"]].children if "_initializer" in found else ()
                if "_initialize" in found:
                    create = self.loader.objects[found["_create_resource"]] if "_create_resource" in found else None
                    assets = {c.local_name: self.loader.objects[c.node_id] for c in files}
                    obj._adopt_table(create, self.loader.objects[found["_initialize"]], assets)

    def _finish_revived(self, i: int, obj: Any) -> None:
        obj.built = True
        functions = obj._revived_functions
        api = self.states.get(i)
        for key in (*_FUNCTION_NAMES, "activity_regularizer_fn") if api is not None else ():
            found = api._lookup_dependency(key)
            if found is not None and hasattr(found, "concrete_functions"):
                functions.setdefault(key, found)
        call = functions.get("call_and_return_conditional_losses")
        if call is not None and call.concrete_functions():
            obj.__dict__["call"] = _RevivedCall(obj, call)
            obj._init_call_spec(obj._expects_training or "training" in _argument_names(call))
        else:
            obj.__dict__["call"] = functools.partial(_cannot_call, obj)
            obj._init_call_spec(obj._expects_training)
        if api is None:
            return
        for loss in getattr(api, "layer_regularization_losses", ()) or ():
            obj.add_loss(loss)
        metrics = getattr(api, "layer_metrics", None) or {}
        known = obj.__dict__.setdefault("_metrics", [])
        for metric in metrics.values():
            if all(m is not metric for m in known):
                known.append(metric)

    def _connect(self, i: int) -> None:
        """Connect the layers of a blank network, inner networks first."""
        if i in self.connected:
            return
        self.connected.add(i)
        for child in self.nodes[i].children:
            if child.node_id in self.networks and child.node_id != i:
                self._connect(child.node_id)
        model, children = self.presets[i][0], self.networks[i]
        layers = []
        while f"layer-{len(layers)}" in children:
            layers.append(children[f"layer-{len(layers)}"])
        record = self.records[i][1]
        for layer in layers:  # a network deeper inside of a layer
            for inner in layer._flatten_layers() if isinstance(layer, Layer) else ():
                for j in self.networks:
                    if self.presets[j][0] is inner:
                        self._connect(j)
        config = record["config"]
        try:
            self._connect_network(model, config, layers)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise InvalidArgumentError(
                f"Error loading model(s) in the SavedModel format. The model {record['name']!r} could not be connected from its config: {error}"
            ) from error
        self._update(model, {**record, "dtype": None, "trainable": None})

    def _connect_network(self, model: Any, config: dict[str, Any], layers: Sequence[Any]) -> None:
        from savedmodel.keras.engine.network_config import connect_ancillary_layers, reconstruct_from_config
        from savedmodel.keras.engine.sequential import Sequential

        if isinstance(model, Sequential):
            entries = config["layers"]
            if entries and entries[0].get("class_name") == "InputLayer":
                from savedmodel.keras.engine.input_layer import InputLayer

                model.add(InputLayer.from_config(dict(entries[0]["config"])))
            for layer in layers:
                model.add(layer)
            if not model.built and config.get("build_input_shape") is not None:
                model.build(config["build_input_shape"])
            return
        inputs, outputs, created = reconstruct_from_config(config, None, {layer.name: layer for layer in layers})
        name = model.name
        type(model).__init__(model, inputs, outputs, name=name, trainable=config.get("trainable", True))
        connect_ancillary_layers(model, created)

    def _finish_networks(self) -> None:
        for i in self.networks:
            model = self.presets[i][0]
            record = self.records[i][1]
            if record.get("trainable") is False:
                model._trainable = False  # of the model itself: its layers have their own flags
            api = self.states.get(i)
            for loss in getattr(api, "layer_regularization_losses", ()) or ():
                model.add_loss(loss)

    # -- compile -----------------------------------------------------------------------------------------------------

    def _compile(self, model: Any) -> Any:
        record = self.records[0][1]
        config = record.get("training_config")
        if not self.compile:
            return model
        if config is None:
            log.warning("No training configuration found in save file, so the model was *not* compiled. Compile it manually.")
            return model
        model.compile(**compile_arguments(config), from_serialized=True) if _takes_from_serialized(model) else model.compile(**compile_arguments(config))
        self._restore_compiled_metrics(model)
        saved = self.optimizers.get(0)
        wanted = self.options.restore_optimizer_state
        if wanted is None:
            wanted = bool(config.get(RESTORES_OPTIMIZER))
        if wanted and saved is not None and model.optimizer is not None:
            restore_optimizer(model, saved, self.loader)
        return model

    def _restore_compiled_metrics(self, model: Any) -> None:
        """Build losses and metrics where the model's outputs are known, as Keras does."""
        if getattr(model, "outputs", None):
            from savedmodel.keras.saving.saved_model import _build_optimizer

            _build_optimizer(model)


def _takes_from_serialized(model: Any) -> bool:
    import inspect

    try:
        parameters = inspect.signature(model.compile).parameters
    except (TypeError, ValueError):
        return False
    return "from_serialized" in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values())


class _Classes(dict[str, Any]):
    """Classes by name: those given, then Keras's layers, which are imported when they are asked for."""

    def get(self, name: Any, default: Any = None) -> Any:
        found = dict.get(self, name)
        if found is None and isinstance(name, str):
            from savedmodel.keras import layers

            found = getattr(layers, name, None)
        return found if isinstance(found, type) else default

    def __contains__(self, name: object) -> bool:
        return self.get(name) is not None

    def __getitem__(self, name: str) -> Any:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found


def _layer_classes() -> dict[str, Any]:
    """Keras's own layers and models by class name."""
    from savedmodel.keras.engine import op_layers
    from savedmodel.keras.engine.functional import Functional
    from savedmodel.keras.engine.input_layer import InputLayer
    from savedmodel.keras.engine.model import Model
    from savedmodel.keras.engine.sequential import Sequential

    own = {n: c for n, c in vars(op_layers).items() if isinstance(c, type) and issubclass(c, Layer)}
    return _Classes({**own, "Functional": Functional, "InputLayer": InputLayer, "Model": Model, "Sequential": Sequential})


def _plain_policy(dtype: Any) -> Any:
    if isinstance(dtype, dict):
        from savedmodel.keras import policy

        return policy.deserialize(dtype)
    return dtype


def _lookup(obj: Any, name: str) -> Any:
    method = getattr(obj, "_lookup_dependency", None)
    if method is None:
        return None
    found = method(name)
    if found is None and hasattr(obj, "_trackable_children"):
        found = obj._trackable_children("savedmodel").get(name) if name.startswith(("layer", "_")) or name.isdigit() else None
    return found


def _input_spec(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_input_spec(v) for v in value)
    if isinstance(value, dict) and value.get("class_name") == "InputSpec":
        config = dict(value["config"])
        axes = config.get("axes")
        if axes:
            config["axes"] = {int(k): v for k, v in axes.items()}
        return InputSpec.from_config(config) if hasattr(InputSpec, "from_config") else InputSpec(**config)
    if isinstance(value, dict):
        return {k: _input_spec(v) for k, v in value.items()}
    return value


# -- revived classes -------------------------------------------------------------------------------------------------


class RevivedLayer:
    """What a layer has whose class is not known: its saved config, its functions, and what it tracked."""

    @property
    def keras_api(self) -> Any:
        return self.__dict__.get("keras_api")

    def get_config(self) -> dict[str, Any]:
        """The saved config. Raises NotImplementedError for a layer that was saved without one."""
        config = self.__dict__.get("_revived_config")
        if not isinstance(config, dict) or serialization.UNDEFINED_CONFIG in config:
            raise NotImplementedError(
                f"layer {self.name!r} of class {type(self).__name__}: it was saved without a config; give the class to load_model in custom_objects"  # type: ignore[attr-defined]
            )
        return dict(config)


class RevivedNetwork(RevivedLayer):
    """What a subclassed model has whose class is not known."""


def _argument_names(function: Any) -> list[str]:
    spec = function.function_spec
    return [*spec.args, *spec.kwonlyargs]


class _RevivedCall:
    """The `call` of a revived layer: runs the traced function that fits, and adds the losses it returns."""

    def __init__(self, layer: Any, function: Any):
        self.layer = layer
        self.function = function
        self.function_spec = function.function_spec
        self.__name__ = "call"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        names = _argument_names(self.function)
        if "training" not in names:
            kwargs.pop("training", None)
            return self._run(args, kwargs)
        position = self.function_spec.args.index("training") if "training" in self.function_spec.args else None
        if position is not None and position < len(args):
            training = args[position]
            args = args[:position] + args[position + 1 :] if position == len(args) - 1 else args
            if position < len(args):
                args = (*args[:position], None, *args[position + 1 :])
        else:
            training = kwargs.pop("training", None)
        if training is None:
            training = call_context().training
        if training is None:
            training = False

        def run(mode: bool) -> Any:
            if position is not None and position < len(args):
                return self._run((*args[:position], mode, *args[position + 1 :]), kwargs)
            return self._run(args, {**kwargs, "training": mode})

        if isinstance(training, Tensor) and getattr(training, "_value", None) is None:
            return tf.cond(tf.cast(training, tf.bool), lambda: run(True), lambda: run(False))
        return run(bool(training))

    def _run(self, args: Any, kwargs: Any) -> Any:
        outputs, losses = self.function(*args, **kwargs)
        layer = self.layer
        if losses:
            layer.add_loss(list(losses))
        if dispatch.executing_eagerly():
            for child in layer._flatten_layers():
                if child is not layer:
                    child.__dict__["_eager_losses"] = [REVIVED_LOSS_PLACEHOLDER]
        return outputs


def _cannot_call(layer: Any, *args: Any, **kwargs: Any) -> Any:
    raise InvalidArgumentError(
        f"Cannot call custom layer {layer.name} of type {type(layer)}, because the call function was not serialized to the SavedModel. Please try "
        f"one of the following methods to fix this issue: (1) Implement `get_config` and `from_config` in the layer/model class, and pass the "
        f"object to the `custom_objects` argument when loading the model. (2) Ensure that the subclassed model or layer overwrites `call` and not "
        f"`__call__`; the input shape and dtype will be automatically recorded when the object is called, and used when saving."
    )


