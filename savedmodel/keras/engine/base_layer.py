"""Layer: variables, calls, losses, masks and configuration of a Keras layer. It refuses to know models, training and files.

Behaviour and words follow Keras 2.15. How a call on symbolic Keras tensors is recorded lives in `functional_call`, what a layer finds in
its attributes in `layer_tracking`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from savedmodel.keras import naming
from savedmodel.keras import policy as policies
from savedmodel.keras.engine import input_spec as input_specs
from savedmodel.keras.engine.autocast_variable import AutoCastVariable, enable_auto_cast_variables
from savedmodel.keras.engine.call_context import CallSpec, call_context
from savedmodel.keras.engine.layer_nodes import LayerNodes
from savedmodel.trackable import no_automatic_dependency_tracking
from tracer import dispatch, nest
from tracer.composite import RaggedTensor, SparseTensor
from tracer.dtypes import DType, as_dtype
from tracer.errors import InvalidArgumentError
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec, type_spec_from_value
from tracer.tensor import Tensor, convert_to_tensor, is_tensor
from tracer.tracing import FuncGraph, trace_into
from tracer.variable import Variable, VariableAggregation, VariableSynchronization

__all__ = ["BaseRandomLayer", "Layer", "REVIVED_LOSS_PLACEHOLDER", "default", "is_default"]

REVIVED_LOSS_PLACEHOLDER = "This layer's losses have been added to the parent layer."
_CAST_TYPES = (Tensor, SparseTensor, RaggedTensor)
_PLAIN_ARGUMENTS = (Tensor, np.ndarray, np.generic, float, int)
_CONSTRUCTOR_KEYWORDS = (
    "input_dim", "input_shape", "batch_input_shape", "batch_size", "weights", "activity_regularizer", "autocast", "implementation",
)  # fmt: skip


def default(method: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a method as the one that a class has when it does not define its own."""
    method._is_default = True  # type: ignore[attr-defined]
    return method


def is_default(method: Callable[..., Any]) -> bool:
    """Whether `method` was marked by `default`, that is: not overridden."""
    return getattr(method, "_is_default", False)


class Layer(LayerNodes):
    """A callable object that transforms tensors and may own variables.

    Args:
        trainable: whether its variables are trained.
        name: unique name; derived from the class name when None.
        dtype: dtype, name or policy of computations and variables.
        dynamic: whether `call` can only run eagerly.
        **kwargs: `input_shape`, `batch_input_shape`, `batch_size`, `input_dim`, `weights`, `activity_regularizer`, `autocast`.

    Raises:
        TypeError: an unknown keyword; `trainable` or `dynamic` is no bool; `name` is no string.
    """

    _must_restore_from_config = False
    _is_graph_network = False
    _keras_style = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__new__(cls)
        config = dict(kwargs)
        config.update(zip(_positional_names(cls)[: len(args)], args, strict=False))
        captured = _is_plain(config)
        instance.__dict__["_auto_get_config"] = captured
        if captured:
            instance.__dict__["_auto_config"] = config
        return instance

    @no_automatic_dependency_tracking
    def __init__(self, trainable: Any = True, name: str | None = None, dtype: Any = None, dynamic: bool = False, **kwargs: Any):
        for key in kwargs:
            if key not in _CONSTRUCTOR_KEYWORDS:
                raise TypeError("Keyword argument not understood:", key)
        if not (isinstance(trainable, (bool, np.bool_)) or (is_tensor(trainable) and trainable.dtype == tf.bool)):
            raise TypeError(f"Expected `trainable` argument to be a boolean, but got: {trainable}")
        if not isinstance(dynamic, bool):
            raise TypeError(f"Expected `dynamic` argument to be a boolean, but got: {dynamic}")
        self._trainable = trainable
        self._stateful = False
        self.built = False
        self._input_spec = None
        self._build_input_shape = None
        self._saved_model_inputs_spec = None
        self._saved_model_arg_spec = None
        self._supports_masking = not is_default(self.compute_mask)
        self._init_set_name(name)
        self._activity_regularizer = _regularizer(kwargs.get("activity_regularizer"))
        self._own_list("_trainable_weights")
        self._own_list("_non_trainable_weights")
        self._own_list("_self_tracked_trackables")
        self._updates: list[Any] = []
        self._callable_losses: list[Any] = []
        self._losses: list[Any] = []
        self._eager_losses: list[Any] = []
        self._metrics: list[Any] = []
        self._set_dtype_policy(dtype)
        self._autocast = kwargs.get("autocast", True)
        self._inbound_nodes_value: list[Any] = []
        self._outbound_nodes_value: list[Any] = []
        self._init_call_spec()
        self._dynamic = dynamic
        if "input_dim" in kwargs and "input_shape" not in kwargs:
            kwargs["input_shape"] = (kwargs["input_dim"],)
        if "batch_input_shape" in kwargs:
            self._batch_input_shape = tuple(kwargs["batch_input_shape"])
        elif "input_shape" in kwargs:
            self._batch_input_shape = (kwargs.get("batch_size"), *kwargs["input_shape"])
        self._initial_weights = kwargs.get("weights")
        self._auto_track_sub_layers = True
        self._preserve_input_structure_in_config = False
        self._captured_weight_regularizer: list[Any] = []

    def _init_call_spec(self, expects_training_arg: bool | None = None) -> None:
        """Look at the arguments of `call` (again, where it was replaced)."""
        self.__dict__["_call_spec"] = CallSpec(self.call)
        if expects_training_arg is not None:
            self._call_spec.expects_training_arg = expects_training_arg

    def _init_set_name(self, name: str | None, zero_based: bool = True) -> None:
        if name is None:
            self._name = naming.unique_object_name(naming.to_snake_case(type(self).__name__), zero_based=zero_based)
        elif isinstance(name, str):
            naming.observe_object_name(name)
            self._name = name
        else:
            raise TypeError(f"Expected `name` argument to be a string, but got: {name}")

    # -- description -------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._name

    @property
    def dtype(self) -> str | None:
        """The dtype of the variables."""
        return self._dtype_policy.variable_dtype

    @property
    def variable_dtype(self) -> str | None:
        return self._dtype_policy.variable_dtype

    @property
    def compute_dtype(self) -> str | None:
        return self._dtype_policy.compute_dtype

    @property
    def dtype_policy(self) -> Any:
        return self._dtype_policy

    @property
    def _compute_dtype(self) -> str | None:
        return self._dtype_policy.compute_dtype

    @property
    def _compute_dtype_object(self) -> DType | None:
        return self._compute_dtype_value

    def _set_dtype_policy(self, dtype: Any) -> None:
        policy = policies.get_policy(dtype)
        attributes = self.__dict__
        attributes["_dtype_policy"] = policy
        attributes["_compute_dtype_value"] = None if policy.compute_dtype is None else as_dtype(policy.compute_dtype)

    @property
    def dynamic(self) -> bool:
        """Whether the layer, or one inside of it, runs eagerly only."""
        return any(layer._dynamic for layer in self._flatten_layers())

    @property
    def stateful(self) -> bool:
        return any(getattr(layer, "_stateful", False) for layer in self._flatten_layers())

    @stateful.setter
    def stateful(self, value: bool) -> None:
        self.__dict__["_stateful"] = value

    @property
    def trainable(self) -> Any:
        return self._trainable

    @trainable.setter
    def trainable(self, value: Any) -> None:
        for layer in self._flatten_layers():
            layer.__dict__["_trainable"] = value

    @property
    def supports_masking(self) -> bool:
        """Whether the layer computes a mask for its output."""
        return self._supports_masking

    @supports_masking.setter
    def supports_masking(self, value: bool) -> None:
        self.__dict__["_supports_masking"] = value

    @property
    def activity_regularizer(self) -> Any:
        return self._activity_regularizer

    @activity_regularizer.setter
    def activity_regularizer(self, regularizer: Any) -> None:
        self.__dict__["_activity_regularizer"] = regularizer

    @property
    def input_spec(self) -> Any:
        """InputSpec, or a structure of them, that inputs are checked against."""
        return self._input_spec

    @input_spec.setter
    def input_spec(self, value: Any) -> None:
        for spec in nest.flatten(value):
            if spec is not None and not isinstance(spec, input_specs.InputSpec):
                raise TypeError(f"Layer input_spec must be an instance of InputSpec. Got: {spec}")
        self.__dict__["_input_spec"] = value

    @property
    def _expects_training_arg(self) -> bool:
        return self._call_spec.expects_training_arg

    @property
    def _expects_mask_arg(self) -> bool:
        return self._call_spec.expects_mask_arg

    @property
    def submodules(self) -> tuple[Any, ...]:
        return tuple(self._flatten_modules(include_self=False))

    # -- variables ---------------------------------------------------------------------------------------------------

    @default
    def build(self, input_shape: Any) -> None:
        """Create the variables. Override it where their shapes depend on the input.

        Args:
            input_shape: TensorShape, or a structure of them.
        """
        self.__dict__["_build_input_shape"] = input_shape
        self.__dict__["built"] = True

    def add_weight(
        self, name: str | None = None, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
        trainable: bool | None = None, constraint: Any = None, use_resource: bool | None = None,
        synchronization: VariableSynchronization = VariableSynchronization.AUTO,
        aggregation: VariableAggregation = VariableAggregation.NONE, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """Create a variable of the layer.

        Args:
            shape: its shape; scalar by default. dtype: the layer's variable dtype by default.
            initializer, regularizer, constraint: objects, names or configs; floats default to glorot_uniform, others to zeros.
            trainable: by default True, unless `synchronization` is ON_READ.

        Raises:
            ValueError: trainable with ON_READ; no default initializer for the dtype. TypeError: an unknown keyword.
        """
        from savedmodel.keras import constraints, initializers

        cast = kwargs.pop("experimental_autocast", True)
        getter = kwargs.pop("getter", None)
        for key in kwargs:
            if key not in ("collections", "caching_device", "layout", "experimental_enable_variable_lifting", "partitioner"):
                raise TypeError("Unknown keyword argument:", key)
        shape = () if shape is None else shape
        kind = as_dtype(dtype if dtype is not None else self.dtype or _floatx())
        if self._dtype_policy.variable_dtype is None:
            self._set_dtype_policy(policies.Policy(kind.base_dtype.name))
        make = initializers.get(initializer)
        penalty = _regularizer(regularizer)
        limit = constraints.get(constraint)
        if synchronization == VariableSynchronization.ON_READ:
            if trainable:
                raise InvalidArgumentError(
                    "Synchronization value can be set to VariableSynchronization.ON_READ only for non-trainable variables. You have "
                    "specified trainable=True and synchronization=VariableSynchronization.ON_READ."
                )
            trainable = False
        elif trainable is None:
            trainable = True
        if make is None:
            if kind.is_floating:
                make = initializers.get("glorot_uniform")
            elif kind.is_integer or kind.kind == "b":
                make = initializers.get("zeros")
            elif getter is None:
                raise InvalidArgumentError(
                    f"An initializer for variable {name} of type {kind.base_dtype} is required for layer {self.name}. Received: {make}."
                )
        full = TensorShape(shape)
        mixed = cast and kind.is_floating and self._dtype_policy.compute_dtype != self._dtype_policy.variable_dtype
        if getter is not None:
            variable = getter(
                name=name, shape=full, dtype=kind, initializer=make, trainable=trainable, constraint=limit, overwrite=True,
                synchronization=synchronization, aggregation=aggregation, use_resource=use_resource,
            )  # fmt: skip
        else:
            variable = (AutoCastVariable if mixed else Variable)(
                functools.partial(_initial_value, make, full, kind), trainable=trainable, name=name, dtype=kind, constraint=limit,
                synchronization=synchronization, aggregation=aggregation, shape=full,
            )  # fmt: skip
        if name is not None:
            self._track_trackable(variable, name, overwrite=True)
        if penalty is not None:
            self._handle_weight_regularization(variable.name.partition(":")[0], variable, penalty)
        own = self._own_list("_trainable_weights" if trainable else "_non_trainable_weights")
        own.append(variable)
        return variable

    add_variable = add_weight

    def _handle_weight_regularization(self, name: str, variable: Any, regularizer: Any) -> None:
        def loss_of_weight(v: Any) -> Any:
            with dispatch.name_scope(name + "/Regularizer"):
                return regularizer(v)

        self._captured_weight_regularizer.append((variable, regularizer))
        self.add_loss(functools.partial(loss_of_weight, variable))

    @property
    def trainable_weights(self) -> list[Any]:
        """The variables that training changes: own ones first, then those of sublayers."""
        if not self.trainable:
            return []
        return self._dedup_weights(self._own_list("_trainable_weights") + self._gather_children_attribute("trainable_variables"))

    @property
    def non_trainable_weights(self) -> list[Any]:
        """All other variables."""
        own, fixed = self._own_list("_trainable_weights"), self._own_list("_non_trainable_weights")
        if self.trainable:
            return self._dedup_weights(fixed + self._gather_children_attribute("non_trainable_variables"))
        return self._dedup_weights(own + fixed + self._gather_children_attribute("variables"))

    @property
    def weights(self) -> list[Any]:
        """All variables: trainable ones first."""
        return self._dedup_weights(self.trainable_weights + self.non_trainable_weights)

    @property
    def trainable_variables(self) -> list[Any]:  # type: ignore[override]
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Any]:  # type: ignore[override]
        return self.non_trainable_weights

    @property
    def variables(self) -> list[Any]:  # type: ignore[override]
        return self.weights

    def count_params(self) -> int:
        """The number of scalars in all variables. Raises ValueError when the layer has none yet because it is not built."""
        if not self.built:
            if not self._is_graph_network:
                raise InvalidArgumentError(
                    f"You tried to call `count_params` on layer {self.name}, but the layer isn't built. You can build it manually via: "
                    f"`{self.name}.build(batch_input_shape)`."
                )
            self._maybe_build(self.inputs)
        return count_params(self.weights)

    def get_weights(self) -> list[Any]:
        """The values of all variables, as arrays."""
        out: list[Any] = []
        for w in self.weights:
            out.extend(w.get_tensors()) if hasattr(w, "get_tensors") else out.append(np.asarray(w.numpy()))
        return out

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign the values of all variables.

        Raises:
            ValueError: their number or a shape differs.
        """
        targets = self.weights
        expected = sum(getattr(w, "num_tensors", 1) for w in targets)
        if expected != len(weights):
            raise InvalidArgumentError(
                f'You called `set_weights(weights)` on layer "{self.name}" with a weight list of length {len(weights)}, but the layer was '
                f"expecting {expected} weights. Provided weights: {str(weights)[:50]}..."
            )
        pairs, position = [], 0
        for w in targets:
            count = getattr(w, "num_tensors", None)
            if count is not None:
                w.set_weights(weights[position : position + count])
                position += count
                continue
            value = weights[position]
            position += 1
            given = getattr(value, "shape", ())
            if not w.shape.is_compatible_with(given):
                raise InvalidArgumentError(
                    f"Layer {self.name} weight shape {w.shape} is not compatible with provided weight shape {given}."
                )
            pairs.append((w, value))
        for w, value in pairs:
            w.assign(np.asarray(value, dtype=w.dtype.numpy))
        for layer in self._flatten_layers():
            layer.finalize_state()

    def finalize_state(self) -> None:
        """Called after a state was set from outside (for layers that keep more than variables)."""

    def save_own_variables(self, store: Any) -> None:
        """Put the layer's own variables (not its sublayers') into a mapping, under "0", "1"…"""
        for i, v in enumerate(self._own_list("_trainable_weights") + self._own_list("_non_trainable_weights")):
            store[f"{i}"] = v.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take the layer's own variables from a mapping that `save_own_variables` filled.

        Raises:
            ValueError: the number of variables differs.
        """
        own = self._own_list("_trainable_weights") + self._own_list("_non_trainable_weights")
        if len(store.keys()) != len(own):
            raise InvalidArgumentError(
                f"Layer '{self.name}' expected {len(own)} variables, but received {len(store.keys())} variables during loading. Expected: "
                f"{[v.name for v in own]}"
            )
        for i, v in enumerate(own):
            v.assign(store[f"{i}"])

    # -- calls -------------------------------------------------------------------------------------------------------

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The computation. Override it."""
        return inputs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the layer: check and convert inputs, build, run `call`, compute masks and activity losses.

        Raises:
            RuntimeError: `super().__init__()` was not called. ValueError: the inputs do not fit `input_spec`.
        """
        spec = self.__dict__.get("_call_spec")
        if spec is None:
            raise RuntimeError("You must call `super().__init__()` in the layer constructor.")
        inputs, args, kwargs = spec.split_first(args, kwargs)
        flat = nest.flatten(inputs)
        if any(getattr(t, "_is_keras_tensor", False) for t in (*flat, *nest.flatten((args, kwargs)))):
            from savedmodel.keras.engine import functional_call

            return functional_call.symbolic_call(self, inputs, args, kwargs)
        if any(isinstance(x, _PLAIN_ARGUMENTS) and not isinstance(x, Tensor) for x in flat):
            inputs = nest.map_structure(_as_tensor, inputs)
            flat = nest.flatten(inputs)
        masks, implicit = self._get_input_masks(inputs, flat, args, kwargs)
        if implicit and spec.expects_mask_arg:
            kwargs["mask"] = masks
        context = call_context()
        args, kwargs, training = self._set_training_mode(args, kwargs, context)
        if not context.in_call:
            self._clear_losses()
        eager = dispatch.executing_eagerly()
        with context.enter(self, inputs, False, training, context.saving):
            wanted = self.input_spec
            if wanted is not None:
                input_specs.assert_input_compatibility(wanted, inputs, self.name)
            with dispatch.name_scope(self._name if eager else self._name_scope()):
                if not self.built or self._initial_weights is not None:
                    self._maybe_build(inputs)
                if self._autocast:
                    inputs = self._maybe_cast_inputs(inputs, flat)
                with enable_auto_cast_variables(self._compute_dtype_value):
                    outputs = (self.call if eager else self._call_to_trace())(inputs, *args, **kwargs)
                if self._activity_regularizer is not None:
                    self._handle_activity_regularization(inputs, outputs)
                if self._supports_masking:
                    self._set_mask_metadata(inputs, outputs, masks)
                if self._saved_model_inputs_spec is None:
                    self._set_save_spec(inputs, args, kwargs)
        return outputs

    def _call_to_trace(self) -> Callable[..., Any]:
        """`call`, with Python control flow of the user's own code turned into graph control flow."""
        return converted(self.call, type(self).__module__)

    def _name_scope(self) -> str:
        """The exact scope of the layer's nodes: inside of the current one, never numbered."""
        current = dispatch.current_scope()
        return f"{current}/{self.name}/" if current else f"{self.name}/"

    def _set_training_mode(self, args: tuple[Any, ...], kwargs: dict[str, Any], context: Any) -> tuple[Any, dict[str, Any], Any]:
        """Decide `training`: as passed, else that of the outer call, else the learning phase, else the default of `call`."""
        spec = self._call_spec
        if not spec.expects_training_arg:
            return args, kwargs, kwargs.pop("training") if "training" in kwargs else context.training
        training = spec.value("training", args, kwargs) if spec.was_passed("training", args, kwargs) else None
        if training is None:
            training = _inherited_training(context, spec)
            args, kwargs = spec.replace("training", training, args, kwargs)
        return args, kwargs, training

    def _maybe_build(self, inputs: Any) -> None:
        """Build for `inputs` where that has not been done, outside of any trace."""
        if not self.built:
            input_specs.assert_input_compatibility(self.input_spec, inputs, self.name)
            flat = nest.flatten(inputs)
            if flat and self._dtype_policy.compute_dtype is None and hasattr(flat[0], "dtype"):
                self._set_dtype_policy(policies.Policy(as_dtype(flat[0].dtype).base_dtype.name))
            shapes = None
            if any(hasattr(x, "shape") for x in flat):
                shapes = nest.map_structure(lambda x: getattr(x, "shape", None), inputs)
            else:
                with contextlib.suppress(TypeError, ValueError):
                    shapes = as_shapes(inputs)
            if not is_default(self.build):
                with self._outside_traces():
                    self.build(shapes)
            Layer.build(self, shapes)
        if self._initial_weights is not None:
            with dispatch.init_scope():
                self.set_weights(self._initial_weights)
            self.__dict__["_initial_weights"] = None

    @contextlib.contextmanager
    def _outside_traces(self) -> Iterator[None]:
        """Leave all traces but keep the name scope, so that variables get their full names."""
        scope = dispatch.current_scope()
        with dispatch.init_scope(), dispatch.name_scope(scope + "/" if scope else None), enable_auto_cast_variables(None):
            yield

    def _should_cast_single_input(self, x: Any) -> bool:
        wanted = self._compute_dtype_value
        return wanted is not None and isinstance(x, _CAST_TYPES) and x.dtype != wanted and x.dtype.is_floating

    def _cast_single_input(self, x: Any) -> Any:
        return tf.cast(x, self._compute_dtype_value) if self._should_cast_single_input(x) else x

    def _maybe_cast_inputs(self, inputs: Any, flat: list[Any] | None = None) -> Any:
        """Float inputs in the compute dtype."""
        wanted = self._compute_dtype_value
        if not (self._autocast and wanted is not None and wanted.is_floating):
            return inputs
        if any(self._should_cast_single_input(x) for x in (nest.flatten(inputs) if flat is None else flat)):
            return nest.map_structure(self._cast_single_input, inputs)
        return inputs

    # -- masks -------------------------------------------------------------------------------------------------------

    def _get_input_masks(self, inputs: Any, flat: list[Any], args: Any, kwargs: dict[str, Any]) -> tuple[Any, bool]:
        """The masks of the inputs, and whether they came with the tensors rather than as an argument."""
        spec = self._call_spec
        if not self._supports_masking and not spec.expects_mask_arg:
            return None, False
        if spec.was_passed("mask", args, kwargs):
            return spec.value("mask", args, kwargs), False
        masks = [getattr(t, "_keras_mask", None) for t in flat]
        if all(m is None for m in masks):
            return None, False
        return nest.pack_sequence_as(inputs, masks), True

    @default
    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the output. Raises TypeError where a mask arrives and the layer does not support masking."""
        if not self._supports_masking:
            if any(m is not None for m in nest.flatten(mask)):
                raise TypeError(f"Layer {self.name} does not support masking, but was passed an input_mask: {mask}")
            return None
        return mask

    def _set_mask_metadata(self, inputs: Any, outputs: Any, previous_mask: Any) -> None:
        if not self._supports_masking:
            return
        flat = nest.flatten(outputs)
        if getattr(self, "_compute_output_and_mask_jointly", False) or all(getattr(x, "_keras_mask", None) is not None for x in flat):
            return
        masks = self.compute_mask(inputs, previous_mask)
        if masks is None:
            return
        for tensor, mask in zip(flat, nest.flatten(masks), strict=False):
            with contextlib.suppress(AttributeError):
                tensor._keras_mask = mask

    # -- losses, metrics, updates ------------------------------------------------------------------------------------

    @property
    def losses(self) -> list[Any]:
        """The losses of this layer and the ones inside: those added in the last call, then those that callables compute now."""
        out: list[Any] = []
        for layer in self._flatten_layers():
            if layer._eager_losses:
                if layer._eager_losses[0] is not REVIVED_LOSS_PLACEHOLDER:
                    out.extend(layer._eager_losses)
            else:
                out.extend(layer._losses)
            for compute in layer._callable_losses:
                value = compute()
                if value is not None:
                    out.append(value)
        return out

    def _clear_losses(self) -> None:
        for layer in self._flatten_layers():
            if layer._eager_losses:
                layer.__dict__["_eager_losses"] = []

    def add_loss(self, losses: Any, **kwargs: Any) -> None:
        """Add losses: tensors computed in `call`, callables without arguments, or Keras tensors of a functional model.

        Raises:
            ValueError: a concrete tensor is added outside of `call`.
        """
        kwargs.pop("inputs", None)
        if kwargs:
            raise TypeError(f"Unknown keyword arguments: {kwargs.keys()}")
        in_call = call_context().in_call
        for loss in nest.flatten(losses):
            if loss is None:
                continue
            if getattr(loss, "_is_keras_tensor", False):
                if self._is_graph_network:
                    self._graph_network_add_loss(loss)
                else:
                    self._losses.append(loss)
            elif callable(loss):
                self._callable_losses.append(functools.partial(_compute_loss, loss))
            else:
                if not is_tensor(loss):
                    loss = convert_to_tensor(loss, dtype=_floatx())
                if not in_call:
                    raise InvalidArgumentError(
                        "Expected a symbolic Tensors or a callable for the loss value. Please wrap your loss computation in a zero "
                        "argument `lambda`."
                    )
                self._eager_losses.append(loss)

    def _handle_activity_regularization(self, inputs: Any, outputs: Any) -> None:
        regularizer = self._activity_regularizer
        if regularizer is None:
            return
        with dispatch.name_scope("ActivityRegularizer"):
            for output in nest.flatten(outputs):
                loss = convert_to_tensor(regularizer(output))
                batch = tf.cast(tf.shape(output)[0], loss.dtype)
                self.add_loss(tf.math.divide_no_nan(loss, batch))

    @property
    def metrics(self) -> list[Any]:
        """The metrics of this layer and the ones inside."""
        out: list[Any] = []
        for layer in self._flatten_layers():
            out.extend(layer.__dict__.get("_metrics", ()))
        return out

    def add_metric(self, value: Any, name: str | None = None, **kwargs: Any) -> None:
        """Report the mean of `value` under `name` while training and evaluating.

        Raises:
            ValueError: no name; a concrete value outside of `call`. TypeError: an unknown keyword.
        """
        if set(kwargs) - {"aggregation"}:
            raise TypeError(f"Unknown keyword arguments: {kwargs.keys()}. Expected `aggregation`.")
        from_metric = getattr(value, "_metric_obj", None)
        symbolic = getattr(value, "_is_keras_tensor", False)
        in_call = call_context().in_call
        if from_metric is not None:
            name = from_metric.name
        elif name is None:
            raise InvalidArgumentError(
                "Please provide a name for your metric like `self.add_metric(tf.reduce_sum(inputs), name='mean_activation')`"
            )
        if not in_call and not symbolic:
            raise InvalidArgumentError(f"Expected a symbolic Tensor for the metric value, received: {value}")
        if in_call or not self._is_graph_network:
            metric = self._get_existing_metric(name) or from_metric
            if metric is None:
                from savedmodel.keras import metrics

                metric = metrics.Mean(name=name, dtype=getattr(value, "dtype", None))
            if not any(m is metric for m in self._metrics):
                self._metrics.append(metric)
            if from_metric is None:
                metric(value)
        else:
            if from_metric is not None:
                raise InvalidArgumentError(
                    "Using the result of calling a `Metric` object when calling `add_metric` on a Functional Model is not supported. "
                    "Please pass the Tensor to monitor directly."
                )
            self._graph_network_add_metric(value, "mean", name)

    def _get_existing_metric(self, name: str | None = None) -> Any:
        found = [m for m in self._metrics if m.name == name]
        if len(found) > 1:
            raise InvalidArgumentError(
                f'Please provide different names for the metrics you have added. We found {len(found)} metrics with the name: "{name}"'
            )
        return found[0] if found else None

    @property
    def updates(self) -> list[Any]:
        """Always empty: updates run where they are made."""
        return []

    def add_update(self, updates: Any) -> None:
        """Run the update callables in `updates`, unless the layer is frozen or only its output is being inferred."""
        context = call_context()
        if context.building or context.frozen:
            return
        for update in nest.flatten(updates):
            if callable(update):
                update()

    # -- specs and shapes --------------------------------------------------------------------------------------------

    def _set_save_spec(self, inputs: Any, args: Any = None, kwargs: Any = None) -> None:
        """Keep the specs of the first call's arguments, for saving."""
        if self._saved_model_inputs_spec is not None:
            return
        keywords = {}
        for key, value in (kwargs or {}).items():
            specs = [tensor_spec(x) for x in nest.flatten(value)]
            if not any(s is None for s in specs):
                keywords[key] = nest.pack_sequence_as(value, specs)
        spec = nest.map_structure(tensor_spec, inputs)
        self.__dict__["_saved_model_inputs_spec"] = spec
        self.__dict__["_saved_model_arg_spec"] = ([spec, *nest.map_structure(tensor_spec, list(args or []))], keywords)

    def _get_save_spec(self, dynamic_batch: bool = True, inputs_only: bool = True) -> Any:
        if self._saved_model_inputs_spec is None:
            return None
        spec = nest.map_structure(lambda t: tensor_spec(t, dynamic_batch), self._saved_model_arg_spec)
        return spec[0][0] if inputs_only else spec

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape of the output for an input shape (or structure of shapes).

        Raises:
            NotImplementedError: `call` cannot run on inputs of the layer's dtype; the layer must define this method.
        """
        shapes = as_shapes(input_shape)
        self._maybe_build(shapes)
        graph = FuncGraph(f"{self.name}_scratch_graph")
        with trace_into(graph):
            dtype = as_dtype(self.dtype or _floatx())
            inputs = nest.map_structure(lambda s: graph.placeholder(dtype, s), shapes)
            try:
                outputs = self(inputs, training=False)
            except TypeError as error:
                raise NotImplementedError(
                    "We could not automatically infer the static shape of the layer's output. Please implement the "
                    f"`compute_output_shape` method on your layer ({type(self).__name__})."
                ) from error
        return nest.map_structure(lambda t: t.shape, outputs)

    def compute_output_signature(self, input_signature: Any) -> Any:
        """The TensorSpec of the output for TensorSpecs of the input."""

        def shape_of(spec: Any) -> TensorShape:
            if not isinstance(spec, TensorSpec):
                raise TypeError(f"Only TensorSpec signature types are supported. Received: {spec}.")
            return spec.shape

        shapes = self.compute_output_shape(nest.map_structure(shape_of, input_signature))
        dtype = self._compute_dtype or nest.flatten(input_signature)[0].dtype
        return nest.map_structure(lambda s: TensorSpec(s, dtype), as_shapes(shapes))

    # -- configuration -----------------------------------------------------------------------------------------------

    @default
    def get_config(self) -> dict[str, Any]:
        """What `from_config` needs: name, trainable, dtype, and the constructor's arguments where all of them are plain values.

        Raises:
            NotImplementedError: the arguments are not plain and the class does not override this method.
        """
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable, "dtype": policies.serialize(self._dtype_policy)}
        if hasattr(self, "_batch_input_shape"):
            config["batch_input_shape"] = self._batch_input_shape
        if not is_default(self.get_config):
            return config
        if not self.__dict__.get("_auto_get_config", False):
            raise NotImplementedError(
                f"Layer {type(self).__name__} was created by passing non-serializable argument values in `__init__()`, and therefore the "
                f"layer must override `get_config()` in order to be serializable. Please implement `get_config()`: start from "
                f"`super().get_config()` and add the arguments of `__init__()`."
            )
        extra = set(config)
        config.update(self._auto_config)
        names = inspect.getfullargspec(type(self).__init__)
        if names.varkw != "kwargs":
            for key in extra - set(names.args[1:]):
                config.pop(key, None)
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A layer with the configuration that `get_config` gave.

        Raises:
            TypeError: the constructor does not take it.
        """
        try:
            return cls(**config)
        except Exception as error:
            raise TypeError(
                f"Error when deserializing class '{cls.__name__}' using config={config}.\n\nException encountered: {error}"
            ) from error

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build_from_config` needs to build the layer as it is built now."""
        shape = self._build_input_shape
        if shape is None or self.__dict__.get("_hides_build_config"):
            return None  # as Keras 2.15, which forgets it for layers from a SavedModel that have no build of their own
        return {"input_shape": nest.map_structure(lambda s: tuple(s.as_list()) if isinstance(s, TensorShape) and s else s, shape)}

    def build_from_config(self, config: dict[str, Any]) -> None:
        shape = config["input_shape"]
        if shape is not None:
            self.build(shape)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} object at {id(self):#x}>"


class BaseRandomLayer(Layer):
    """A layer that draws random numbers from `self._random_generator`.

    Args:
        seed: of the generator. rng_type: "stateless", "stateful" or "legacy_stateful".
        force_generator: draw from a generator with a variable state.
    """

    @no_automatic_dependency_tracking
    def __init__(self, seed: Any = None, force_generator: bool = False, rng_type: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        from savedmodel.keras.random_generator import RandomGenerator

        self._random_generator = RandomGenerator(seed, force_generator=force_generator, rng_type=rng_type)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self._random_generator._maybe_init()

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = super()._trackable_children(save_type, **kwargs)
        if save_type == "savedmodel":
            children.setdefault("_random_generator", self._random_generator)
        return children

    def _lookup_dependency(self, name: str, cached_dependencies: Any = None) -> Any:
        if name == "_random_generator":
            return self._random_generator
        return super()._lookup_dependency(name, cached_dependencies)


# -- pieces ----------------------------------------------------------------------------------------------------------


def converted(method: Callable[..., Any], module: str) -> Callable[..., Any]:
    """`method` of a class in `module` with Python control flow turned into graph control flow; library code is taken as it is."""
    if module.partition(".")[0] in ("savedmodel", "keras"):  # classes revived from files stand in keras' own module
        return method
    from tracer.autograph import convert

    return convert(method)


def _floatx() -> str:
    from savedmodel.keras import backend

    return backend.floatx()


def _regularizer(identifier: Any) -> Any:
    if identifier is None:
        return None
    from savedmodel.keras import regularizers

    return regularizers.get(identifier)


def _initial_value(initializer: Any, shape: TensorShape, dtype: DType) -> Any:
    if isinstance(initializer, type):
        initializer = initializer()
    return initializer(shape, dtype=dtype)


def _compute_loss(loss: Callable[[], Any]) -> Any:
    with enable_auto_cast_variables(None):
        value = loss()
    if value is not None and not is_tensor(value):
        value = convert_to_tensor(value, dtype=_floatx())
    return value


def _as_tensor(x: Any) -> Any:
    return convert_to_tensor(x) if isinstance(x, _PLAIN_ARGUMENTS) else x


def _inherited_training(context: Any, spec: CallSpec) -> Any:
    """The training mode of a call that does not state it."""
    from savedmodel.keras import backend

    if context.training is not None:
        return context.training
    if backend.global_learning_phase_is_set():
        return bool(backend.learning_phase())
    return spec.default_training_arg


@functools.lru_cache(maxsize=4096)
def _positional_names(cls: type) -> tuple[str, ...]:
    return tuple(inspect.getfullargspec(cls.__init__).args[1:])


def _is_plain(value: Any) -> bool:
    """Whether a structure of constructor arguments holds nothing but plain values."""
    if isinstance(value, dict):
        return all(_is_plain(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, (str, int, float, bool))


def _is_dimension(value: Any) -> bool:
    return value is None or (isinstance(value, (int, np.integer)) and not isinstance(value, bool))


def as_shapes(value: Any) -> Any:
    """A shape, or a structure of shapes given as tuples, lists or TensorShapes, with TensorShapes for leaves."""
    if isinstance(value, TensorShape) or _is_dimension(value):
        return TensorShape(value)
    if isinstance(value, (list, tuple)) and all(_is_dimension(d) for d in value):
        return TensorShape(value)
    if isinstance(value, dict):
        return {k: as_shapes(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        items = [as_shapes(v) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return TensorShape(value)


def tensor_spec(value: Any, dynamic_batch: bool = False) -> Any:
    """The spec of a tensor, Keras tensor or spec (None for anything else), with an unknown first dimension where `dynamic_batch`."""
    try:
        spec = value.type_spec if getattr(value, "_is_keras_tensor", False) else type_spec_from_value(value)
    except (TypeError, ValueError):
        return None
    if not dynamic_batch or not spec.shape.rank:
        return spec
    return with_shape(spec, [None, *spec.shape.as_list()[1:]])


def with_shape(spec: Any, shape: Any) -> Any:
    """`spec` with another shape."""
    if isinstance(spec, TensorSpec):
        return TensorSpec(shape, spec.dtype, spec.name)
    _, *rest = spec.serialize()
    return type(spec)(TensorShape(shape), *rest)


def count_params(weights: Sequence[Any]) -> int:
    """The number of scalars in `weights`, each counted once."""
    seen: dict[int, Any] = {id(w): w for w in weights}
    total = 0
    for w in seen.values():
        shape = getattr(w, "shape", None)
        if shape is not None:
            total += int(np.prod([d or 0 for d in shape.as_list()], dtype=np.int64)) if shape.rank else 1
    return total


