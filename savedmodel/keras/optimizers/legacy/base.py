"""The legacy optimizer: hyperparameters that become variables, slot variables by name, one apply function for dense and one for sparse
gradients. It refuses distribution strategies. Authority: Keras 2.15's `keras.optimizers.legacy.Optimizer`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from savedmodel.keras import naming
from savedmodel.keras.optimizers import gradients as grads_of
from savedmodel.keras.optimizers import schedules
from savedmodel.keras.optimizers.base import outside_traces, var_key
from savedmodel.trackable import Trackable
from tracer import dispatch, dtypes, nest
from tracer.composite import IndexedSlices
from tracer.public import tf
from tracer.tensor import Tensor, convert_to_tensor
from tracer.variable import Variable, VariableAggregation, VariableSynchronization

__all__ = ["Optimizer", "RestoredOptimizer"]

_ALLOWED = {"clipnorm", "clipvalue", "lr", "decay", "global_clipnorm"}
_VALID = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128)


class Optimizer(Trackable):
    """Base of legacy optimizers.

    Subclasses make slots in `_create_slots`, numbers of a step in `_prepare_local`, and change variables in `_resource_apply_dense` and
    `_resource_apply_sparse`.

    Args:
        name: prefix of the optimizer's variables.
        gradient_aggregator, gradient_transformers: functions of (gradient, variable) pairs.
        **kwargs: `clipnorm`, `clipvalue`, `global_clipnorm`, `decay`, `lr`.
    """

    _object_identifier = "optimizer"  # of its node in a SavedModel
    _object_version = (2, 1)

    def __init__(
        self, name: str, gradient_aggregator: Callable[..., Any] | None = None, gradient_transformers: Any = None, **kwargs: Any
    ):  # fmt: skip
        for key, value in kwargs.items():
            if key not in _ALLOWED:
                raise TypeError(f"Unexpected keyword argument passed to optimizer: {key}. Allowed kwargs are {_ALLOWED}.")
            if value is not None and not callable(value) and value < 0:
                raise ValueError(f"Expected {key} >= 0, received: {value}")
            if key == "lr":
                warnings.warn("The `lr` argument is deprecated, use `learning_rate` instead.", stacklevel=3)
        self._use_locking = True
        self._name = name or naming.unique_object_name(naming.to_snake_case(type(self).__name__), zero_based=True)
        self._hyper: dict[str, Any] = {}
        self._slots: dict[str, dict[str, Any]] = {}
        self._slot_names: list[str] = []
        self._weights: list[Any] = []
        self._iterations: Any = None
        self._initial_decay = kwargs.pop("decay", 0.0)
        self._hypers_created = False
        self.gradient_aggregator = gradient_aggregator or (lambda pairs: pairs)
        self.gradient_transformers = list(gradient_transformers or ())
        self.clipnorm = kwargs.pop("clipnorm", None)
        self.global_clipnorm = kwargs.pop("global_clipnorm", None)
        self.clipvalue = kwargs.pop("clipvalue", None)
        if self.clipnorm is not None and self.global_clipnorm is not None:
            raise ValueError(
                f"Cannot accept both `clipnorm` and `global_clipnorm`. Received: `clipnorm`={self.clipnorm}, "
                f"`global_clipnorm`={self.global_clipnorm}."
            )

    # -- hyperparameters -----------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        hyper = self.__dict__.get("_hyper", {})
        name = "learning_rate" if name == "lr" else name
        if name in hyper:
            return self._get_hyper(name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        name = "learning_rate" if name == "lr" else name
        if name in self.__dict__.get("_hyper", {}):
            self._set_hyper(name, value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        extra = {*self._hyper, *(("lr",) if "learning_rate" in self._hyper else ())}
        return sorted({*super().__dir__(), *extra})

    def _set_hyper(self, name: str, value: Any) -> None:
        """Set a hyperparameter: a number, a callable, a tensor or a schedule."""
        if isinstance(value, Trackable):
            self._track_trackable(value, name, overwrite=True)
        previous = self._hyper.get(name)
        assign = previous is not None and not callable(previous) and not callable(value) and not isinstance(previous, (int, float, Tensor))
        if assign and not isinstance(value, (Tensor, schedules.LearningRateSchedule)):
            previous.assign(value)
        else:
            self._hyper[name] = value

    def _get_hyper(self, name: str, dtype: Any = None) -> Any:
        """A hyperparameter, as a tensor of `dtype` if given."""
        if not self._hypers_created:
            self._create_hypers()
        value = self._hyper[name]
        if isinstance(value, schedules.LearningRateSchedule):
            return value
        if callable(value):
            value = value()
        return tf.cast(value, dtype) if dtype else value

    def _create_hypers(self) -> None:
        if self._hypers_created:
            return
        with outside_traces():
            for name, value in sorted(self._hyper.items()):
                if isinstance(value, (Tensor, Variable)) or callable(value):
                    continue
                self._hyper[name] = self.add_weight(
                    name, shape=[], trainable=False, initializer=value, aggregation=VariableAggregation.ONLY_FIRST_REPLICA
                )
        self._hypers_created = True

    def _serialize_hyperparameter(self, name: str) -> Any:
        value = self._hyper[name]
        if isinstance(value, schedules.LearningRateSchedule):
            return schedules.serialize(value)
        if callable(value):
            return value()
        return value.numpy() if isinstance(value, (Tensor, Variable)) else value

    @property
    def iterations(self) -> Any:
        """How many steps were taken: an int64 variable."""
        if self._iterations is None:
            self._iterations = self.add_weight(
                "iter", shape=[], dtype=dtypes.int64, trainable=False, aggregation=VariableAggregation.ONLY_FIRST_REPLICA
            )
            self._weights.append(self._iterations)
        return self._iterations

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        if self._iterations is not None:
            raise RuntimeError(
                f"Cannot set `iterations` to a new Variable after the Optimizer weights have been created. Here it is attempting to set "
                f"`iterations` to {variable}."
            )
        self._iterations = variable
        self._weights.append(variable)

    def _decayed_lr(self, dtype: Any) -> Any:
        """The learning rate of this step."""
        rate = self._get_hyper("learning_rate", dtype)
        if isinstance(rate, schedules.LearningRateSchedule):
            rate = tf.cast(rate(tf.cast(self.iterations, dtype)), dtype)
        if self._initial_decay > 0.0:
            rate = rate / (1.0 + tf.cast(self._initial_decay, dtype) * tf.cast(self.iterations, dtype))
        return rate

    # -- state ---------------------------------------------------------------------------------------------------------

    def add_weight(
        self, name: str, shape: Any, dtype: Any = None, initializer: Any = "zeros", trainable: bool | None = None,
        synchronization: VariableSynchronization = VariableSynchronization.AUTO,
        aggregation: VariableAggregation = VariableAggregation.NONE,
    ) -> Any:  # fmt: skip
        """A variable of the optimizer, tracked under `name`."""
        from savedmodel.keras import initializers

        dtype = dtype or dtypes.float32
        if isinstance(initializer, str) or callable(initializer):
            value: Any = functools.partial(initializers.get(initializer), shape, dtype)
        else:
            value = initializer
        with dispatch.init_scope():
            variable = Variable(
                value, name=f"{self._name}/{name}" if not dispatch.current_scope() else name, dtype=dtype,
                trainable=True if trainable is None else trainable, synchronization=synchronization, aggregation=aggregation,
            )  # fmt: skip
        self._track_trackable(variable, name, overwrite=True)
        return variable

    def get_slot_names(self) -> list[str]:
        """Names of slots, in the order of their making."""
        return self._slot_names

    def add_slot(self, var: Any, slot_name: str, initializer: Any = "zeros", shape: Any = None) -> Any:
        """The slot variable `slot_name` of `var`, made when there is none."""
        from savedmodel.keras import initializers

        if slot_name not in self._slot_names:
            self._slot_names.append(slot_name)
        slots = self._slots.setdefault(var_key(var), {})
        slot = slots.get(slot_name)
        if slot is None:
            value = initializer
            if isinstance(initializer, str) or callable(initializer):
                value = functools.partial(initializers.get(initializer), shape=var.shape if shape is None else shape, dtype=var.dtype)
            slot = Variable(value, name=f"{var._shared_name}/{slot_name}", dtype=var.dtype, trainable=False)
            slots[slot_name] = slot
            self._weights.append(slot)
        return slot

    def get_slot(self, var: Any, slot_name: str) -> Any:
        """The slot variable `slot_name` of `var`."""
        return self._slots[var_key(var)][slot_name]

    def _create_or_restore_slot_variable(self, slot_variable_position: Any, slot_name: str, variable: Any) -> Any:
        """The slot variable that a checkpoint is about to fill, made when there is none."""
        slot = self._slots.get(var_key(variable), {}).get(slot_name)
        return self.add_slot(variable, slot_name) if slot is None else slot

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        """Make slot variables; none by default."""

    def _create_all_weights(self, var_list: Sequence[Any]) -> None:
        _ = self.iterations
        self._create_hypers()
        self._create_slots(var_list)

    build = _create_all_weights

    def variables(self) -> list[Any]:
        """The number of iterations, then slot variables."""
        return self._weights

    @property
    def weights(self) -> list[Any]:
        return self._weights

    def get_weights(self) -> list[Any]:
        """Values of `weights`."""
        return [v.numpy() for v in self._weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign `weights`.

        Raises:
            ValueError: another number, or a shape does not fit.
        """
        if len(self._weights) != len(weights):
            raise ValueError(
                f"You called `set_weights(weights)` on optimizer {self._name} with a  weight list of length {len(weights)}, but the optimizer "
                f"was expecting {len(self._weights)} weights. Provided weights: {str(weights)[:50]}..."
            )
        for variable, weight in zip(self._weights, weights, strict=True):
            if tuple(variable.shape) != tuple(weight.shape):
                raise ValueError(f"Optimizer weight shape {variable.shape} not compatible with provided weight shape {weight.shape}.")
            variable.assign(weight)

    # -- steps ---------------------------------------------------------------------------------------------------------

    def minimize(self, loss: Any, var_list: Any, grad_loss: Any = None, name: str | None = None, tape: Any = None) -> Any:
        """Take a step down a loss (a function, or a tensor that `tape` recorded)."""
        return self.apply_gradients(self._compute_gradients(loss, var_list, grad_loss, tape), name=name)

    def _transform_loss(self, loss: Any) -> Any:
        return loss

    def _transform_unaggregated_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars

    def _aggregate_gradients(self, grads_and_vars: Any) -> Any:
        return self.gradient_aggregator(grads_and_vars)

    def _get_gradients(self, tape: Any, loss: Any, var_list: Any, grad_loss: Any = None) -> list[tuple[Any, Any]]:
        return list(zip(tape.gradient(loss, var_list, grad_loss), var_list, strict=True))

    def _compute_gradients(self, loss: Any, var_list: Any, grad_loss: Any = None, tape: Any = None) -> list[tuple[Any, Any]]:
        if not callable(loss) and tape is None:
            raise ValueError(f"`tape` is required when a `Tensor` loss is passed. Received: loss={loss}, tape={tape}.")
        tape = tape if tape is not None else tf.GradientTape()
        if callable(loss):
            with tape:
                if not callable(var_list):
                    tape.watch(var_list)
                loss = loss()
                if callable(var_list):
                    var_list = var_list()
        with tape:
            loss = self._transform_loss(loss)
        variables = nest.flatten(var_list)
        with dispatch.name_scope(self._name + "/gradients"):
            pairs = self._get_gradients(tape, loss, variables, grad_loss)
        for gradient, variable in pairs:
            if gradient is not None and variable.dtype not in _VALID:
                raise ValueError(f"Invalid type {variable.dtype} for {variable.name}, expected: {list(_VALID)}.")
        return pairs

    def _transform_gradients(self, grads_and_vars: Any) -> Any:
        pairs = list(grads_and_vars)
        if self.clipvalue is not None:
            pairs = [(grads_of.clip_by_value(g, self.clipvalue), v) for g, v in pairs]
        if self.clipnorm is not None:
            pairs = [(grads_of.clip_by_norm(g, self.clipnorm), v) for g, v in pairs]
        if self.global_clipnorm is not None:
            clipped = grads_of.clip_by_global_norm([g for g, _ in pairs], self.global_clipnorm)
            pairs = list(zip(clipped, [v for _, v in pairs], strict=True))
        for transform in self.gradient_transformers:
            pairs = transform(pairs)
        return pairs

    def _prepare_local(self, dtype: Any, state: dict[str, Any]) -> None:
        """Put the numbers of this step for variables of `dtype` into `state`."""
        if "learning_rate" in self._hyper:
            state["lr_t"] = tf.identity(self._decayed_lr(dtype))

    def _prepare(self, var_list: Sequence[Any]) -> dict[Any, dict[str, Any]]:
        apply_state: dict[Any, dict[str, Any]] = {}
        for variable in var_list:
            dtype = variable.dtype.base_dtype
            if dtype.name not in apply_state:
                apply_state[dtype.name] = {}
                self._prepare_local(dtype, apply_state[dtype.name])
        return apply_state

    def apply_gradients(self, grads_and_vars: Any, name: str | None = None, experimental_aggregate_gradients: bool = True) -> Any:
        """Take a step with given gradients. Returns the number of iterations.

        Raises:
            ValueError: no variable has a gradient.
        """
        pairs = grads_of.filter_empty_gradients(grads_and_vars)
        variables = [v for _, v in pairs]
        with dispatch.name_scope(self._name):
            with outside_traces():
                self._create_all_weights(variables)
            if not pairs:
                return None
            state = self._prepare(variables)
            if experimental_aggregate_gradients:
                pairs = self._aggregate_gradients(self._transform_unaggregated_gradients(pairs))
            for gradient, variable in self._transform_gradients(pairs):
                self._apply(gradient, variable, state[variable.dtype.base_dtype.name])
            return self.iterations.assign_add(1)

    def _apply(self, gradient: Any, variable: Any, state: dict[str, Any]) -> None:
        constraint = getattr(variable, "constraint", None)
        if isinstance(gradient, IndexedSlices):
            if constraint is not None:
                raise RuntimeError(
                    f"Cannot use a constraint function on a sparse variable. Received: grad={gradient}, var.constraint={constraint}."
                )
            (gradient,) = grads_of.join_repeated_rows([gradient])
            self._resource_apply_sparse(gradient.values, variable, gradient.indices, state)
            return
        self._resource_apply_dense(convert_to_tensor(gradient), variable, state)
        if constraint is not None:
            variable.assign(constraint(variable))

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: `_resource_apply_dense` must be implemented in subclasses.")

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: `_resource_apply_sparse` Must be implemented in subclasses.")

    # -- config --------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The name and the limits of gradients that were given."""
        config: dict[str, Any] = {"name": self._name}
        for key in ("clipnorm", "clipvalue", "global_clipnorm"):
            if getattr(self, key) is not None:
                config[key] = getattr(self, key)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """An instance with the arguments in `config`."""
        config = dict(config)
        config.pop("is_legacy_optimizer", None)
        if "lr" in config:
            config["learning_rate"] = config.pop("lr")
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(
                config["learning_rate"], custom_objects=custom_objects, use_legacy_format="module" not in config["learning_rate"]
            )
        return cls(**config)


class RestoredOptimizer(Optimizer):
    """A legacy optimizer that was loaded without its class: state without steps."""

    def __init__(self) -> None:
        super().__init__("RestoredOptimizer")
        self._hypers_created = True

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(
            "Restoring functional Optimizers from SavedModels is not currently supported: load the model with the optimizer's class in "
            "`custom_objects` to get its config."
        )
