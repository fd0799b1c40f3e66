"""The optimizer that Keras 2.15 calls new: state as a flat list of variables, one `update_step` a variable. It refuses to know models.

Authority: Keras 2.15's `keras.optimizers.Optimizer`; update steps are compared over ten steps in tests/oracle/keras.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from savedmodel.keras.optimizers import gradients as grads_of
from savedmodel.keras.optimizers import schedules
from savedmodel.trackable import AutoTrackable
from tracer import dispatch
from tracer.functions import function
from tracer.public import tf
from tracer.tensor import convert_to_tensor
from tracer.variable import Variable

__all__ = ["Optimizer", "RestoredOptimizer", "outside_traces", "var_key"]

_log = logging.getLogger("savedmodel.keras")
_LEGACY_ARGUMENTS = {"decay", "gradient_aggregator", "gradient_transformers"}


class _CallableList(list):
    """The list of variables, which older code calls as a function."""

    def __call__(self) -> _CallableList:
        return self


def var_key(variable: Any) -> str:
    """What identifies a variable in an optimizer."""
    unique = getattr(variable, "_unique_id", None)
    return unique if unique is not None else f"{variable._shared_name}_{id(variable)}"


@contextlib.contextmanager
def outside_traces() -> Iterator[None]:
    """Run eagerly, with the name scope kept, so that variables made inside are named after it."""
    scope = dispatch.current_scope()
    with dispatch.init_scope(), dispatch.name_scope(scope + "/" if scope else None):
        yield


class Optimizer(AutoTrackable):
    """Base of optimizers: subclasses make slot variables in `build` and use them in `update_step(gradient, variable)`.

    Args:
        name: prefix of slot variables made while training.
        weight_decay: share of each weight, times the learning rate, that is taken off at each step.
        clipnorm, clipvalue, global_clipnorm: limits of gradients: each norm, each element, the norm of all.
        use_ema, ema_momentum, ema_overwrite_frequency: keep moving averages of the weights, and overwrite the weights with them every
            so many steps (None: when training ends).
        jit_compile: accepted; nothing is compiled.
    """

    _object_identifier = "experimentalOptimizer"  # of its node in a SavedModel
    _object_version = (2, 1)

    def __init__(
        self, name: str, weight_decay: float | None = 0, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, jit_compile: bool = True, **kwargs: Any,
    ):  # fmt: skip
        kwargs.pop("mesh", None)
        self.name = name
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.global_clipnorm = global_clipnorm
        self.clipvalue = clipvalue
        self.use_ema = use_ema
        self.jit_compile = False
        if use_ema:
            if ema_momentum > 1 or ema_momentum < 0:
                raise ValueError(f"`ema_momentum` must be in the range [0, 1]. Received: ema_momentum={ema_momentum}")
            if ema_overwrite_frequency and (not isinstance(ema_overwrite_frequency, int) or ema_overwrite_frequency < 1):
                raise ValueError(
                    f"`ema_overwrite_frequency` must be an integer > 1 or None. Received: ema_overwrite_frequency={ema_overwrite_frequency}"
                )
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        if clipnorm is not None and global_clipnorm is not None:
            raise ValueError(
                f"At most one of `clipnorm` and `global_clipnorm` can be set. Received: clipnorm={clipnorm}, global_clipnorm={global_clipnorm}."
            )
        self._variables: list[Any] = []
        self._create_iteration_variable()
        self._process_kwargs(kwargs)

    def _create_iteration_variable(self) -> None:
        with dispatch.init_scope():
            self._iterations = Variable(0, name="iteration", dtype=tf.int64, trainable=False)
        self._variables.append(self._iterations)

    def _process_kwargs(self, kwargs: dict[str, Any]) -> None:
        """Refuse arguments that optimizers do not have (any more)."""
        kwargs.pop("is_legacy_optimizer", None)
        legacy = f"tf.keras.optimizers.legacy.{type(self).__name__}"
        if kwargs.pop("lr", None):
            _log.warning("`lr` is deprecated in Keras optimizer, please use `learning_rate` or use the legacy optimizer, e.g.,%s.", legacy)
        for key in kwargs:
            if key in _LEGACY_ARGUMENTS:
                raise ValueError(
                    f"{key} is deprecated in the new Keras optimizer, please check the docstring for valid arguments, or use the legacy "
                    f"optimizer, e.g., {legacy}."
                )
            raise TypeError(f"{key} is not a valid argument, kwargs should be empty  for `optimizer_experimental.Optimizer`.")

    def _create_or_restore_slot_variable(self, **kwargs: Any) -> None:
        raise ValueError(
            f"You are trying to restore a checkpoint from a legacy Keras optimizer into a v2.11+ Optimizer, which can cause errors. Please "
            f"update the optimizer referenced in your code to be an instance of `tf.keras.optimizers.legacy.Optimizer`, e.g.: "
            f"`tf.keras.optimizers.legacy.{type(self).__name__}`."
        )

    def _var_key(self, variable: Any) -> str:
        return var_key(variable)

    # -- the learning rate and other numbers ---------------------------------------------------------------------------

    @property
    def iterations(self) -> Any:
        """How many steps were taken: an int64 variable."""
        return self._iterations

    @iterations.setter
    def iterations(self, variable: Any) -> None:
        if getattr(self, "_built", False):
            raise RuntimeError(
                f"Cannot set `iterations` to a new Variable after the Optimizer weights have been created. Here it is attempting to set "
                f"`iterations` to {variable}.Usually this means you are trying to set `iterations` after calling `apply_gradients()`. "
                f"Please set `iterations` before calling `apply_gradients()`."
            )
        self._iterations = variable

    def _build_learning_rate(self, learning_rate: Any) -> Any:
        """A variable for a number; a schedule as it is, with a variable for its present value."""
        from savedmodel.keras import backend

        with dispatch.init_scope():
            if isinstance(learning_rate, schedules.LearningRateSchedule):
                current = convert_to_tensor(learning_rate(self.iterations))
                self._current_learning_rate = Variable(current, name="current_learning_rate", dtype=current.dtype, trainable=False)
                return learning_rate
            return Variable(learning_rate, name="learning_rate", dtype=backend.floatx(), trainable=False)

    @property
    def learning_rate(self) -> Any:
        """The variable that holds the present learning rate."""
        rate = getattr(self, "_learning_rate", None)
        if rate is None:
            raise ValueError("Missing learning rate, please set self.learning_rate at optimizer creation time.")
        return self._current_learning_rate if isinstance(rate, schedules.LearningRateSchedule) else rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        if isinstance(learning_rate, schedules.LearningRateSchedule):
            self._learning_rate = learning_rate
            return
        if isinstance(self._learning_rate, schedules.LearningRateSchedule):
            raise TypeError(
                "This optimizer was created with a `LearningRateSchedule` object as its `learning_rate` constructor argument, hence its "
                "learning rate is not settable. If you need the learning rate to be settable, you should instantiate the optimizer with a "
                "float `learning_rate` argument."
            )
        self._learning_rate.assign(learning_rate)

    @property
    def lr(self) -> Any:
        """`learning_rate` by its older name."""
        return self.learning_rate

    @lr.setter
    def lr(self, learning_rate: Any) -> None:
        self.learning_rate = learning_rate

    def _compute_current_learning_rate(self) -> None:
        schedule = self._learning_rate
        if not isinstance(schedule, schedules.LearningRateSchedule):
            return
        rate = schedule(self.iterations)
        if hasattr(self, "_current_learning_rate"):
            self._current_learning_rate.assign(rate)
        else:
            rate = convert_to_tensor(rate)
            self._current_learning_rate = Variable(rate, name="current_learning_rate", dtype=rate.dtype, trainable=False)

    # -- state ---------------------------------------------------------------------------------------------------------

    def build(self, var_list: Sequence[Any]) -> None:
        """Make the state for `var_list`. Subclasses extend it and set `_built`."""
        if getattr(self, "_built", False):
            return
        self._build_index_dict(var_list)
        if self.use_ema:
            self._model_variables_moving_average = []
            for variable in var_list:
                average = self.add_variable_from_reference(variable, "average", initial_value=variable)
                self._model_variables_moving_average.append(average)

    def _build_index_dict(self, var_list: Sequence[Any]) -> None:
        self._index_dict = {self._var_key(variable): i for i, variable in enumerate(var_list)}

    def _slot(self, variables: Sequence[Any], variable: Any) -> Any:
        """The slot variable of `variable` in a list that `build` made."""
        return variables[self._index_dict[self._var_key(variable)]]

    def add_variable(self, shape: Any, dtype: Any = None, initializer: Any = "zeros", name: str | None = None) -> Any:
        """A variable of the state, with any shape."""
        from savedmodel.keras import backend, initializers

        if isinstance(initializer, str):
            initializer = initializers.get(initializer)
        value = initializer([] if shape is None else shape, dtype or backend.floatx())
        variable = Variable(value, name=name, trainable=False)
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(self, model_variable: Any, variable_name: str, shape: Any = None, initial_value: Any = None) -> Any:
        """A variable of the state for a model variable: of its shape and zero unless given, named `variable_name/<its name>`."""
        if initial_value is None:
            if shape is None and model_variable.shape.rank is None:
                initial_value = tf.zeros_like(model_variable, dtype=model_variable.dtype)
            else:
                initial_value = tf.zeros(model_variable.shape if shape is None else shape, dtype=model_variable.dtype)
        variable = Variable(
            initial_value, name=f"{variable_name}/{model_variable._shared_name}", dtype=model_variable.dtype, trainable=False
        )
        self._variables.append(variable)
        return variable

    @property
    def variables(self) -> Any:
        """The state: the number of iterations, then slot variables."""
        return _CallableList(self._variables)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign the state.

        Raises:
            ValueError: not built, or a shape does not fit.
        """
        if not getattr(self, "_built", False):
            raise ValueError(
                "You are calling `set_weights()` on an optimizer that has not yet been built. Please call "
                "`optimizer.build(trainable_variables)` to create the optimizer weights before calling `set_weights()`."
            )
        for variable, weight in zip(self._variables, weights, strict=False):
            if tuple(variable.shape) != tuple(weight.shape):
                raise ValueError(
                    f"Optimizer variable {self._var_key(variable)} has shape {variable.shape} not compatible with provided weight shape "
                    f"{weight.shape}."
                )
            variable.assign(weight)

    def save_own_variables(self, store: Any) -> None:
        """Put the state into a mapping from "0", "1", … to arrays."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take the state from such a mapping; another number of variables is skipped with a warning."""
        if len(store.keys()) != len(self.variables):
            text = (
                f"Skipping variable loading for optimizer '{self.name}', because it has {len(self.variables)} variables whereas the saved "
                f"optimizer has {len(store.keys())} variables. "
            )
            if len(self.variables) == 0:
                text += "This is likely because the optimizer has not been called/built yet."
            _log.warning(text)
            return
        for i, variable in enumerate(self.variables):
            variable.assign(np.asarray(store[str(i)]))

    # -- steps ---------------------------------------------------------------------------------------------------------

    def update_step(self, gradient: Any, variable: Any) -> None:
        """Change `variable` by its gradient (a tensor or IndexedSlices)."""
        raise NotImplementedError(f"{type(self).__name__}.update_step(gradient, variable): subclasses of Optimizer must define it.")

    @function(jit_compile=True)
    def _update_step_xla(self, gradient: Any, variable: Any, key: Any) -> None:
        return self._update_step(gradient, variable)

    def _update_step(self, gradient: Any, variable: Any) -> None:
        if self._var_key(variable) not in self._index_dict:
            raise KeyError(
                f"The optimizer cannot recognize variable {variable.name}. This usually means you are trying to call the optimizer to update "
                f"different parts of the model separately. Please call `optimizer.build(variables)` with the full list of trainable "
                f"variables before the training loop or use legacy optimizer `tf.keras.optimizers.legacy.{type(self).__name__}."
            )
        self.update_step(gradient, variable)

    def compute_gradients(self, loss: Any, var_list: Any, tape: Any = None) -> list[tuple[Any, Any]]:
        """(gradient, variable) pairs of a loss function, or of a loss that `tape` has recorded.

        Raises:
            ValueError: a loss tensor without a tape.
        """
        if not callable(loss) and tape is None:
            raise ValueError(f"`tape` is required when a `Tensor` loss is passed. Received: loss={loss}, tape={tape}.")
        if tape is None:
            tape = tf.GradientTape()
        if callable(loss):
            with tape:
                if not callable(var_list):
                    tape.watch(var_list)
                loss = loss()
                if callable(var_list):
                    var_list = var_list()
        return list(zip(tape.gradient(loss, var_list), var_list, strict=True))

    def minimize(self, loss: Any, var_list: Any, tape: Any = None) -> None:
        """Take a step down a loss."""
        self.apply_gradients(self.compute_gradients(loss, var_list, tape))

    def aggregate_gradients(self, grads_and_vars: Any) -> Any:
        """The pairs as they are: there is one replica."""
        return list(grads_and_vars)

    def apply_gradients(self, grads_and_vars: Any, name: str | None = None, skip_gradients_aggregation: bool = False, **kwargs: Any) -> Any:
        """Take a step with given gradients. Returns the number of iterations.

        Raises:
            ValueError: no variable has a gradient. KeyError: a variable that the optimizer was not built for.
        """
        kwargs.pop("experimental_aggregate_gradients", True)
        pairs = list(grads_and_vars)
        self._compute_current_learning_rate()
        if not pairs:
            return self._iterations
        with dispatch.name_scope(name or self.name or "optimizer"):
            with outside_traces():
                self.build([v for _, v in pairs])
            pairs = list(grads_of.filter_empty_gradients(pairs))
            variables = [v for _, v in pairs]
            grads = grads_of.join_repeated_rows(self._clip_gradients([g for g, _ in pairs]))
            self._apply_weight_decay(variables)
            iteration = self._internal_apply_gradients(list(zip(grads, variables, strict=True)))
            for variable in variables:
                if getattr(variable, "constraint", None) is not None:
                    variable.assign(variable.constraint(variable))
            return iteration

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        if self.clipnorm and self.clipnorm > 0:
            return [None if g is None else grads_of.clip_by_norm(g, self.clipnorm) for g in grads]
        if self.global_clipnorm and self.global_clipnorm > 0:
            return grads_of.clip_by_global_norm(grads, self.global_clipnorm)
        if self.clipvalue and self.clipvalue > 0:
            return [None if g is None else grads_of.clip_by_value(g, self.clipvalue) for g in grads]
        return grads

    def _internal_apply_gradients(self, grads_and_vars: list[tuple[Any, Any]]) -> Any:
        for gradient, variable in grads_and_vars:
            self._update_step(gradient, variable)
        if self.use_ema:
            variables = [v for _, v in grads_and_vars]
            self._update_model_variables_moving_average(variables)
            if self.ema_overwrite_frequency:
                overwrite = (self.iterations + 1) % self.ema_overwrite_frequency == 0
                tf.cond(tf.cast(overwrite, tf.bool), lambda: self._overwrite_model_variables_with_average_value(variables), lambda: None)
        return self.iterations.assign_add(1)

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Sequence[str] | None = None) -> None:
        """Name variables, or patterns of their names, that weight decay leaves alone. Before the optimizer is built."""
        if getattr(self, "_built", False):
            raise ValueError("`exclude_from_weight_decay()` can only be configued before the optimizer is built.")
        self._exclude_from_weight_decay = [self._var_key(variable) for variable in var_list or ()]
        self._exclude_from_weight_decay_names = list(var_names or ())

    def _use_weight_decay(self, variable: Any) -> bool:
        if self._var_key(variable) in getattr(self, "_exclude_from_weight_decay", ()):
            return False
        return not any(re.search(name, variable.name) for name in getattr(self, "_exclude_from_weight_decay_names", ()))

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        if self.weight_decay is None:
            return
        for variable in variables:
            if self._use_weight_decay(variable):
                rate = tf.cast(self.learning_rate, variable.dtype)
                variable.assign_sub(variable * tf.cast(self.weight_decay, variable.dtype) * rate)

    def _update_model_variables_moving_average(self, var_list: Sequence[Any]) -> None:
        if self.use_ema:
            for variable in var_list:
                average = self._slot(self._model_variables_moving_average, variable)
                average.assign(self.ema_momentum * average + (1 - self.ema_momentum) * variable)

    def _overwrite_model_variables_with_average_value(self, var_list: Sequence[Any]) -> None:
        for variable in var_list:
            variable.assign(self._slot(self._model_variables_moving_average, variable).value())

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        """At the end of training: moving averages become the weights, where they are kept."""
        if self.use_ema:
            self._overwrite_model_variables_with_average_value(var_list)

    # -- config --------------------------------------------------------------------------------------------------------

    _arguments: tuple[str, ...] = ()

    def _serialize_hyperparameter(self, hyperparameter: Any) -> Any:
        if isinstance(hyperparameter, schedules.LearningRateSchedule):
            return schedules.serialize(hyperparameter)
        if isinstance(hyperparameter, Variable):
            return hyperparameter.numpy()
        return hyperparameter() if callable(hyperparameter) else hyperparameter

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments by name, with the present learning rate."""
        config = {
            "name": self.name, "weight_decay": self.weight_decay, "clipnorm": self.clipnorm, "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue, "use_ema": self.use_ema, "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency, "jit_compile": self.jit_compile, "is_legacy_optimizer": False,
        }  # fmt: skip
        for argument in self._arguments:
            config[argument] = self._serialize_hyperparameter(
                self._learning_rate if argument == "learning_rate" else getattr(self, argument)
            )
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """An instance with the arguments in `config`."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = schedules.deserialize(
                config["learning_rate"], custom_objects=custom_objects, use_legacy_format="module" not in config["learning_rate"]
            )
        return cls(**config)


class RestoredOptimizer(Optimizer):
    """An optimizer that was loaded without its class: state without steps."""

    def __init__(self) -> None:
        super().__init__("RestoredOptimizer")

    def get_config(self) -> dict[str, Any]:
        raise NotImplementedError(
            "Restoring functional Optimizers from SavedModels is not currently supported: load the model with the optimizer's class in "
            "`custom_objects` to get its config."
        )
