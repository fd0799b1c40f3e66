"""Model: a layer that can be trained, summarised and saved. Training lives in `training`; persistence in `savedmodel.keras.saving`."""

from __future__ import annotations

import copy
import inspect
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

from savedmodel.keras.engine.base_layer import Layer, as_shapes, default, is_default, tensor_spec
from savedmodel.keras.engine.compile_containers import create_pseudo_input_names
from savedmodel.keras.engine.config_json import json_default
from savedmodel.keras.engine.layer_tracking import has_weights, is_layer
from savedmodel.keras.engine.training import Training
from savedmodel.trackable import no_automatic_dependency_tracking
from tracer import dispatch, nest
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec, TypeSpec
from tracer.tracing import FuncGraph, trace_into
from tracer.variable import Variable, VariableAggregation

__all__ = ["KERAS_VERSION", "Model", "inject_functional_model_class", "is_functional_model_init_params"]

KERAS_VERSION = "2.15.0"
_log = logging.getLogger("savedmodel")


def is_functional_model_init_params(args: Any, kwargs: Any) -> bool:
    """Whether constructor arguments are inputs and outputs."""
    return len(args) == 2 or (len(args) == 1 and "outputs" in kwargs) or ("inputs" in kwargs and "outputs" in kwargs)


def inject_functional_model_class(cls: type) -> type:
    """Make subclass `cls` of Model a subclass of Functional: Model among its bases is replaced."""
    from savedmodel.keras.engine.functional import Functional

    if cls is Model:
        return Functional
    if cls is object or not issubclass(cls, Model) or issubclass(cls, Functional):
        return cls
    cls.__bases__ = tuple(inject_functional_model_class(base) for base in cls.__bases__)
    return cls


class Model(Training, Layer):
    """A trainable graph of layers.

    Args:
        inputs, outputs: Keras tensors, or structures of them: then it is a Functional model. Otherwise subclasses define `call`.
        name, trainable, dtype, dynamic: as for layers.
    """

    _TF_MODULE_IGNORED_PROPERTIES = Layer._TF_MODULE_IGNORED_PROPERTIES | {
        "_train_counter", "_test_counter", "_predict_counter", "_compiled_trainable_state",
    }  # fmt: skip

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Model and is_functional_model_init_params(args, kwargs):
            from savedmodel.keras.engine.functional import Functional

            return Functional(*args, skip_init=True, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    @no_automatic_dependency_tracking
    def __init__(self, *args: Any, **kwargs: Any):
        from savedmodel.keras.engine.functional import Functional

        if is_functional_model_init_params(args, kwargs) and not isinstance(self, Functional):
            self._init_as_functional(args, kwargs)
            return
        for key in kwargs:
            if key not in ("trainable", "dtype", "dynamic", "name", "autocast", "inputs", "outputs"):
                raise TypeError("Keyword argument not understood:", key)
        if args:
            raise TypeError(f"{type(self).__name__}.__init__() takes inputs and outputs, or keywords only; received {args!r}")
        super().__init__(**{k: v for k, v in kwargs.items() if k not in ("inputs", "outputs")})
        self._is_graph_network = False
        self.inputs = None
        self.outputs = None
        self.input_names = None
        self.output_names = None
        self.stop_training = False
        self.history = None
        self.compiled_loss = None
        self.compiled_metrics = None
        self._compute_output_and_mask_jointly = False
        self.__dict__.setdefault("_is_compiled", False)
        self.__dict__.setdefault("optimizer", None)
        self._run_eagerly = None
        self._reset_compile_cache()
        self._training_state = None
        self._steps_per_execution = None
        self._init_batch_counters()
        self._base_model_initialized = True
        self._jit_compile = None

    def _init_as_functional(self, args: Any, kwargs: Any) -> None:
        from savedmodel.keras.engine.functional import Functional

        own = {k: v for k, v in kwargs.items() if k in ("inputs", "outputs", "name", "trainable", "skip_init")}
        rest = {k: v for k, v in kwargs.items() if k not in own}
        inject_functional_model_class(type(self))
        Functional.__init__(self, *args, **own)  # type: ignore[arg-type]
        others, found = [], False
        for base in type(self).__bases__:
            if issubclass(base, Functional):
                found = True
            elif found:
                others.append(base)
        for base in others:
            base.__init__(self, *args, **rest)
        if rest and not others:
            raise TypeError(f"The following keyword arguments passed to `Model` aren't supported: {rest}.")

    def _init_batch_counters(self) -> None:
        with dispatch.init_scope(), dispatch.name_scope(None):
            for name in ("_train_counter", "_test_counter", "_predict_counter"):
                self.__dict__[name] = Variable(0, dtype="int64", trainable=False, aggregation=VariableAggregation.ONLY_FIRST_REPLICA)

    def __setattr__(self, name: str, value: Any) -> None:
        if "_base_model_initialized" not in self.__dict__ and self.__dict__.get("_self_setattr_tracking", True):
            flat = nest.flatten(value)
            if all(is_layer(v) or isinstance(v, Variable) or has_weights(v) for v in flat):
                raise RuntimeError(
                    "It looks like you are subclassing `Model` and you forgot to call `super().__init__()`. Always start with this line."
                )
        super().__setattr__(name, value)

    # -- build and call ----------------------------------------------------------------------------------------------

    @default
    def build(self, input_shape: Any) -> None:
        """Create the variables by calling the model on symbolic floats of these shapes.

        Args:
            input_shape: a tuple, TensorShape, or list or dict of shapes, batch dimension included.

        Raises:
            ValueError: no shape, or the model's call takes something else than float inputs.
        """
        if self._is_graph_network:
            Layer.build(self, input_shape)
            return
        if input_shape is None:
            raise InvalidArgumentError("Input shape must be defined when calling `build()` on a `Model` subclass.")
        if not isinstance(input_shape, (tuple, list, TensorShape, dict)):
            raise InvalidArgumentError(
                f"Specified input shape is not one of the valid types. Please specify a batch input shape of type tuple or list of input "
                f"shapes. User provided input type: {type(input_shape)}."
            )
        if input_shape and not self.inputs:
            self._build_by_call(input_shape)
        Layer.build(self, input_shape)

    def _build_by_call(self, input_shape: Any) -> None:
        spec = self._call_spec
        required = spec.required[1:]
        kwargs: dict[str, Any] = {}
        if not spec._positional:
            raise InvalidArgumentError("You can only call `build()` on a model if its `call()` method accepts an `inputs` argument.")
        for arg in required:
            if arg != "training":
                raise InvalidArgumentError(
                    "Currently, you cannot build your model if it has positional or keyword arguments that are not inputs to the model, but "
                    "are required for its `call()` method. Instead, in order to instantiate and build your model, `call()` your model on real "
                    "tensor data with all expected call arguments. The argument for `call()` can be a single list/tuple that contains multiple "
                    "inputs."
                )
            kwargs["training"] = False
        graph = FuncGraph("build_graph")
        scope = dispatch.current_scope()
        with trace_into(graph), dispatch.name_scope(scope + "/" if scope else None):
            floatx = as_dtype(self._compute_dtype or "float32")
            shapes = as_shapes(input_shape)
            inputs = nest.map_structure(lambda s: graph.placeholder(floatx, s), shapes)
            try:
                self._call_to_trace()(inputs, **kwargs)
            except (InvalidArgumentError, TypeError) as error:
                raise InvalidArgumentError(
                    f"You cannot build your model by calling `build` if your layers do not support float type inputs. Instead, in order to "
                    f"instantiate and build your model, call your model on real tensor data (of the correct dtype).\n\nThe actual error from "
                    f"`call` is: {error}."
                ) from error

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:  # type: ignore[override]
        raise NotImplementedError(
            "Unimplemented `tf.keras.Model.call()`: if you intend to create a `Model` with the Functional API, please provide `inputs` and "
            "`outputs` arguments. Otherwise, subclass `Model` with an overridden `call()` method."
        )

    # -- layers and weights ------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Any]:
        """The direct sublayers."""
        return list(self._flatten_layers(include_self=False, recursive=False))

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError("`Model.layers` attribute is reserved and should not be used. Please use another name.")

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer of that name or index. Raises ValueError where there is none."""
        layers = self.layers
        if index is not None and name is not None:
            raise InvalidArgumentError(f"Provide only a layer name or a layer index. Received: index={index}, name={name}.")
        if index is not None:
            if len(layers) <= index:
                raise InvalidArgumentError(f"Was asked to retrieve layer at index {index} but model only has {len(layers)} layers.")
            return layers[index]
        if name is not None:
            for layer in layers:
                if layer.name == name:
                    return layer
            raise InvalidArgumentError(f"No such layer: {name}. Existing layers are: {[layer.name for layer in layers]}.")
        raise InvalidArgumentError("Provide either a layer name or layer index at `get_layer`.")

    def _sources(self) -> Iterator[Any]:
        """The tracked objects that may hold variables, as attributes were assigned."""
        yield from self.__dict__.get("_self_tracked_trackables", ())

    def _gather(self, attribute: str) -> list[Any]:
        out: list[Any] = []
        for source in self._sources():
            out.extend(getattr(source, attribute))
        return out

    @property
    def trainable_weights(self) -> list[Any]:
        self._assert_weights_created()
        if not self._trainable:
            return []
        return self._dedup_weights(self._gather("trainable_variables") + self._own_list("_trainable_weights"))

    @property
    def non_trainable_weights(self) -> list[Any]:
        self._assert_weights_created()
        fixed = self._gather("non_trainable_variables")
        own = self._own_list("_non_trainable_weights")
        if self._trainable:
            return self._dedup_weights(fixed + own)
        return self._dedup_weights(self._gather("trainable_variables") + self._own_list("_trainable_weights") + fixed + own)

    @property
    def weights(self) -> list[Any]:
        """All variables, layer by layer, then the model's own."""
        self._assert_weights_created()
        own = self._own_list("_trainable_weights") + self._own_list("_non_trainable_weights")
        return self._dedup_weights(self._gather("variables") + own)

    def _assert_weights_created(self) -> None:
        if self.dynamic or self.built:
            return
        if "build" in type(self).__dict__ and type(self) is not Model:
            raise InvalidArgumentError(
                f"Weights for model '{self.name}' have not yet been created. Weights are created when the model is first called on inputs or "
                f"`build()` is called with an `input_shape`."
            )

    def get_weight_paths(self) -> dict[str, Any]:
        """Variables by the path of attribute names that leads to them."""
        from savedmodel.trackable import children_of

        out: dict[str, Any] = {}
        seen = {id(self)}
        queue: list[tuple[str, Any]] = [("", self)]
        while queue:
            path, item = queue.pop(0)
            if isinstance(item, Variable):
                out[path] = item
                continue
            for name, child in children_of(item).items():
                if id(child) not in seen:
                    seen.add(id(child))
                    queue.append((f"{path}.{name}" if path else name, child))
        return out

    def reset_states(self) -> None:
        """Reset the states of all stateful layers."""
        for layer in self.layers:
            if hasattr(layer, "reset_states") and getattr(layer, "stateful", False):
                layer.reset_states()

    def summary(
        self, line_length: int | None = None, positions: Any = None, print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False, show_trainable: bool = False, layer_range: Any = None,
    ) -> None:  # fmt: skip
        """Print a table of layers, output shapes and numbers of parameters. Raises ValueError before the model is built."""
        if not self.built:
            raise InvalidArgumentError(
                "This model has not yet been built. Build the model first by calling `build()` or by calling the model on a batch of data."
            )
        from savedmodel.keras.engine.summary import print_summary

        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    # -- specs -------------------------------------------------------------------------------------------------------

    def _set_save_spec(self, inputs: Any, args: Any = None, kwargs: Any = None) -> None:
        if self._saved_model_inputs_spec is not None:
            return
        names = self.input_names or create_pseudo_input_names(inputs)
        flat = nest.flatten(inputs)
        specs = [_named(tensor_spec(t), name) for t, name in zip(flat, names, strict=False)]
        packed = nest.pack_sequence_as(inputs, specs)
        super()._set_save_spec(packed, args or [], kwargs or {})
        if type(self).__name__ == "Sequential" and self._build_input_shape is None:
            self.__dict__["_build_input_shape"] = nest.map_structure(lambda s: None if s is None else s.shape, packed)

    def save_spec(self, dynamic_batch: bool = True) -> Any:
        """(positional arguments, keywords) with specs for tensors, of the call the model was built by; None before."""
        return self._get_save_spec(dynamic_batch, inputs_only=False)

    def _set_inputs(self, inputs: Any, outputs: Any = None, training: Any = None) -> None:
        self._set_save_spec(inputs)

    # -- configuration -----------------------------------------------------------------------------------------------

    @default
    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments where all are plain values; else {} and a warning. Subclasses that override it start from {}."""
        if not is_default(self.get_config):
            return {}
        try:
            return Layer.get_config(self)
        except NotImplementedError:
            _log.warning(
                "Model's `__init__()` arguments contain non-serializable objects. Please implement a `get_config()` method in the subclassed "
                "Model for proper saving and loading. Defaulting to empty config."
            )
            return {}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A model of a config: of a graph of layers where the config holds one, else `cls(**config)`.

        Raises:
            TypeError: the constructor does not take the config.
        """
        from savedmodel.keras.engine import functional, network_config
        from savedmodel.keras.saving import serialization

        with serialization.SharedObjectLoadingScope():
            spec = inspect.getfullargspec(cls.__init__)
            plain = inspect.getfullargspec(functional.Functional.__init__).args[1:]
            graph_like = cls in (functional.Functional, Model) or spec.args[1:] == plain or (spec.varargs == "args" and spec.varkw == "kwargs")
            if graph_like and all(k in config for k in ("name", "layers", "input_layers", "output_layers")):
                inputs, outputs, created = network_config.reconstruct_from_config(config, custom_objects)
                model = cls(inputs=inputs, outputs=outputs, name=config.get("name"))
                network_config.connect_ancillary_layers(model, created)
                return model
            try:
                return cls(**config)
            except TypeError as error:
                raise TypeError(
                    f"Unable to revive model from config. When overriding the `get_config()` method, make sure that the returned config contains "
                    f"all items used as arguments in the  constructor to {cls}, which is the default behavior. You can override this default "
                    f"behavior by defining a `from_config(cls, config)` class method to specify how to create an instance of {cls.__name__} from "
                    f"its config.\n\nReceived config={config}\n\nError encountered during deserialization: {error}"
                ) from error

    def _updated_config(self) -> dict[str, Any]:
        return {"class_name": type(self).__name__, "config": self.get_config(), "keras_version": KERAS_VERSION, "backend": "tensorflow"}

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON; `model_from_json` reads it. `**kwargs` go to `json.dumps`."""
        return json.dumps(self._updated_config(), default=json_default, **kwargs)

    def to_yaml(self, **kwargs: Any) -> str:
        raise RuntimeError(
            "Method `model.to_yaml()` has been removed due to security risk of arbitrary code execution. Please use `model.to_json()` instead."
        )

    # -- persistence -------------------------------------------------------------------------------------------------

    def save(self, filepath: Any, overwrite: bool = True, save_format: str | None = None, **kwargs: Any) -> None:
        """Save the model: as a SavedModel directory, HDF5 file or .keras archive (by `save_format` or the suffix)."""
        from savedmodel.keras.saving import saving_api

        saving_api.save_model(self, filepath, overwrite=overwrite, save_format=save_format, **kwargs)

    def save_weights(self, filepath: Any, overwrite: bool = True, save_format: str | None = None, options: Any = None) -> Any:
        """Save the variables: as a TensorFlow checkpoint, or HDF5 by the suffix."""
        from savedmodel.keras.saving import saving_api

        return saving_api.save_weights(self, filepath, overwrite=overwrite, save_format=save_format, options=options)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False, by_name: bool = False, options: Any = None) -> Any:
        """Load what `save_weights` (or `save`) wrote. For checkpoints it returns a status object."""
        from savedmodel.keras.saving import saving_api

        return saving_api.load_weights(self, filepath, skip_mismatch=skip_mismatch, by_name=by_name, options=options)

    def export(self, filepath: Any) -> None:
        """Write a SavedModel for serving only: the forward pass as endpoint `serve`."""
        from savedmodel.keras.saving import saving_api

        saving_api.export_model(self, filepath)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "savedmodel":
            for name in ("train_function", "test_function", "predict_function", "train_tf_function"):
                children.pop(name, None)
        return children

    def __copy__(self) -> Any:
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for key in ("train_function", "test_function", "predict_function", "train_tf_function"):
            state[key] = None  # traced functions are made again
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)


def _named(spec: Any, name: str) -> Any:
    if isinstance(spec, TensorSpec) and spec.name != name:
        return TensorSpec(spec.shape, spec.dtype, name)
    return spec if isinstance(spec, TypeSpec) else None
