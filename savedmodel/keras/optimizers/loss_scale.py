"""Loss scaling for half-precision training: a wrapper around an optimizer. It refuses to choose a policy.

Authority: Keras 2.15's `keras.mixed_precision.LossScaleOptimizer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from savedmodel.keras.optimizers import gradients as grads_of
from savedmodel.keras.optimizers import legacy
from savedmodel.keras.optimizers.base import Optimizer, outside_traces
from savedmodel.keras.registration import register_keras_serializable
from savedmodel.trackable import Trackable
from tracer import dispatch, dtypes, nest
from tracer.composite import IndexedSlices
from tracer.public import tf
from tracer.tensor import convert_to_tensor
from tracer.variable import Variable

__all__ = ["DynamicLossScale", "LegacyLossScaleOptimizer", "LossScaleOptimizer", "LossScaleOptimizerV3"]

_INITIAL_SCALE = 2**15
_GROWTH_STEPS = 2000


class DynamicLossScale(Trackable):
    """A scale that doubles after `growth_steps` steps with finite gradients, and is halved when some are not finite."""

    def __init__(self, initial_loss_scale: float, growth_steps: int, multiplier: float):
        self.initial_loss_scale = float(initial_loss_scale)
        self.growth_steps = int(growth_steps)
        self.multiplier = float(multiplier)
        with dispatch.init_scope():
            self.current_loss_scale = Variable(self.initial_loss_scale, name="current_loss_scale", dtype=dtypes.float32, trainable=False)
            self.counter = Variable(0, name="good_steps", dtype=dtypes.int64, trainable=False)
        self._track_trackable(self.current_loss_scale, "current_loss_scale")
        self._track_trackable(self.counter, "good_steps")

    def __call__(self) -> Any:
        return self.current_loss_scale.value()

    def update(self, gradients: Sequence[Any]) -> Any:
        """Adjust the scale. Returns whether all gradients are finite, as a bool tensor."""
        finite = _all_finite(gradients)

        def grow() -> None:
            wanted = self.current_loss_scale * self.multiplier
            self.current_loss_scale.assign(tf.where(tf.math.is_finite(wanted), wanted, self.current_loss_scale.value()))
            self.counter.assign(0)

        def count() -> None:
            self.counter.assign_add(1)

        def when_finite() -> None:
            tf.cond(self.counter + 1 >= self.growth_steps, grow, count)

        def when_not() -> None:
            self.counter.assign(0)
            self.current_loss_scale.assign(tf.maximum(self.current_loss_scale / self.multiplier, 1.0))

        tf.cond(finite, when_finite, when_not)
        return finite


def _all_finite(gradients: Sequence[Any]) -> Any:
    flat = [g.values if isinstance(g, IndexedSlices) else g for g in nest.flatten(gradients) if g is not None]
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(g)) for g in flat]))


def _times(gradient: Any, scale: Any) -> Any:
    if isinstance(gradient, IndexedSlices):
        values = gradient.values * tf.cast(scale, gradient.values.dtype)
        return IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return gradient * tf.cast(scale, gradient.dtype)


class _Scaling:
    """What both kinds of scaling optimizers share; `_optimizer` is the wrapped one."""

    _optimizer: Any
    _loss_scale: Any

    def _wrap(self: Any, inner: Any, kind: type, dynamic: bool, initial_scale: float | None, growth_steps: int | None) -> None:
        if not isinstance(inner, kind):
            raise TypeError(
                f'"inner_optimizer" must be an instance of `{"tf.keras.optimizers.Optimizer" if kind is Optimizer else "tf.keras.optimizers.legacy.Optimizer"}`, '
                f"but got: {inner}. "
            )
        if not isinstance(dynamic, bool):
            raise TypeError(f'"dynamic" argument to LossScaleOptimizer.__init__ must be a bool, but got: {dynamic!r}')
        if isinstance(inner, _Scaling):
            raise TypeError(f"LossScaleOptimizer cannot wrap another LossScaleOptimizer, but got: {inner}")
        if getattr(inner, "_is_wrapped_by_loss_scale_optimizer", False):
            raise ValueError(
                '"inner_optimizer" is already wrapped by a LossScaleOptimizer. An optimizer can only be wrapped by a single LossScaleOptimizer'
            )
        attributes = self.__dict__
        attributes["_optimizer"] = inner
        inner.__dict__["_is_wrapped_by_loss_scale_optimizer"] = True
        if dynamic:
            scale = DynamicLossScale(
                _INITIAL_SCALE if initial_scale is None else initial_scale, _GROWTH_STEPS if growth_steps is None else growth_steps, 2
            )
            attributes["_loss_scale"] = scale
            return
        if initial_scale is None:
            raise ValueError('"initial_scale" must be specified if "dynamic" is False')
        if growth_steps is not None:
            raise ValueError(f'"dynamic_growth_steps" must be None if "dynamic" is False, but got: {growth_steps}')
        attributes["_loss_scale"] = float(initial_scale)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = dict(self._optimizer._trackable_children(save_type, **kwargs))
        if self.dynamic:
            children["loss_scale"] = self._loss_scale
        return children

    @property
    def dynamic(self) -> bool:
        """Whether the scale changes."""
        return isinstance(self._loss_scale, DynamicLossScale)

    @property
    def loss_scale(self) -> Any:
        """The present scale."""
        return self._loss_scale() if self.dynamic else convert_to_tensor(self._loss_scale)

    @property
    def dynamic_counter(self) -> Any:
        """Steps with finite gradients since the scale changed, or None."""
        return self._loss_scale.counter if self.dynamic else None

    @property
    def initial_scale(self) -> float:
        """The first scale."""
        return self._loss_scale.initial_loss_scale if self.dynamic else self._loss_scale

    @property
    def dynamic_growth_steps(self) -> int | None:
        """After how many good steps the scale doubles, or None."""
        return self._loss_scale.growth_steps if self.dynamic else None

    @property
    def inner_optimizer(self) -> Any:
        """The wrapped optimizer."""
        return self._optimizer

    def get_scaled_loss(self, loss: Any) -> Any:
        """The loss (a tensor, or a function that gives one) times the scale."""
        if callable(loss):
            make: Callable[[], Any] = loss
            return lambda: self.get_scaled_loss(make())
        return loss * tf.cast(self.loss_scale, loss.dtype)

    def get_unscaled_gradients(self, grads: Sequence[Any]) -> list[Any]:
        """Gradients divided by the scale."""
        scale = 1.0 / self.loss_scale
        return [None if g is None else _times(g, scale) for g in grads]

    def _apply_if_finite(self, pairs: Any, build: Callable[[Any], Any], apply: Callable[[Any], Any]) -> Any:
        pairs = grads_of.filter_empty_gradients(pairs)
        if not pairs:
            return self._optimizer.iterations
        with dispatch.name_scope(getattr(self._optimizer, "name", None) or self._optimizer.__dict__.get("_name")), outside_traces():
            build([v for _, v in pairs])
        if not self.dynamic:
            return apply(pairs)
        finite = self._loss_scale.update([g for g, _ in pairs])
        tf.cond(finite, lambda: _nothing(apply(pairs)), lambda: _nothing(self._optimizer.iterations.assign_add(1)))
        return self._optimizer.iterations

    def get_config(self) -> dict[str, Any]:
        """The inner optimizer's config and the settings of the scale."""
        from savedmodel.keras import optimizers

        return {
            "inner_optimizer": optimizers.serialize(self._optimizer), "dynamic": self.dynamic, "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }  # fmt: skip

    @classmethod
    def from_config(cls: Any, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """An instance with the arguments in `config`."""
        from savedmodel.keras import optimizers

        config = dict(config)
        inner = config.pop("inner_optimizer")
        if isinstance(inner, Mapping):
            inner = optimizers.deserialize(
                dict(inner), custom_objects=custom_objects, use_legacy_format="module" not in inner,
                use_legacy_optimizer=cls is LegacyLossScaleOptimizer,
            )  # fmt: skip
        return cls(inner, **config)


def _nothing(_: Any) -> None:
    """For branches that are run for what they change."""


class LossScaleOptimizer:
    """Scales losses and gradients around an optimizer, new or legacy: an instance of the class for its kind is made."""

    def __new__(cls, inner_optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        if cls is not LossScaleOptimizer:
            return super().__new__(cls)
        if isinstance(inner_optimizer, legacy.Optimizer):
            return LegacyLossScaleOptimizer(inner_optimizer, *args, **kwargs)
        if isinstance(inner_optimizer, Optimizer):
            return LossScaleOptimizerV3(inner_optimizer, *args, **kwargs)
        raise TypeError(
            f'"inner_optimizer" must be an instance of `tf.keras.optimizers.Optimizer` or `tf.keras.optimizers.experimental.Optimizer`, but '
            f"got: {inner_optimizer}."
        )


class LossScaleOptimizerV3(_Scaling, Optimizer, LossScaleOptimizer):
    """`LossScaleOptimizer` of a new optimizer."""

    def __init__(
        self, inner_optimizer: Any, dynamic: bool = True, initial_scale: float | None = None, dynamic_growth_steps: int | None = None
    ):  # fmt: skip
        self._wrap(inner_optimizer, Optimizer, dynamic, initial_scale, dynamic_growth_steps)

    def __getattr__(self, name: str) -> Any:
        inner = self.__dict__.get("_optimizer")
        if inner is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("learning_rate", "lr", "iterations", "clipnorm", "clipvalue", "global_clipnorm", "use_ema"):
            setattr(self._optimizer, name, value)
        else:
            self.__dict__[name] = value

    @property
    def iterations(self) -> Any:  # type: ignore[override]
        """The inner optimizer's count of steps."""
        return self._optimizer.iterations

    @property
    def learning_rate(self) -> Any:  # type: ignore[override]
        """The inner optimizer's learning rate."""
        return self._optimizer.learning_rate

    @property
    def variables(self) -> Any:
        return self._optimizer.variables

    def build(self, var_list: Sequence[Any]) -> None:
        self._optimizer.build(var_list)

    def compute_gradients(self, loss: Any, var_list: Any, tape: Any = None) -> list[tuple[Any, Any]]:
        """Gradients of a loss, computed on the scaled loss and scaled back."""
        tape = tf.GradientTape() if tape is None else tape
        with tape:
            loss = self.get_scaled_loss(loss)
        pairs = self._optimizer.compute_gradients(loss, var_list, tape=tape)
        return list(zip(self.get_unscaled_gradients([g for g, _ in pairs]), [v for _, v in pairs], strict=True))

    def apply_gradients(self, grads_and_vars: Any, name: str | None = None, skip_gradients_aggregation: bool = False, **kwargs: Any) -> Any:
        """Take a step with unscaled gradients, unless some are not finite."""
        return self._apply_if_finite(grads_and_vars, self._optimizer.build, lambda pairs: self._optimizer.apply_gradients(pairs, name=name))

    def finalize_variable_values(self, var_list: Sequence[Any]) -> None:
        self._optimizer.finalize_variable_values(var_list)

    def set_weights(self, weights: Sequence[Any]) -> None:
        self._optimizer.set_weights(weights)


class LegacyLossScaleOptimizer(_Scaling, legacy.Optimizer, LossScaleOptimizer):
    """`LossScaleOptimizer` of a legacy optimizer."""

    def __init__(
        self, inner_optimizer: Any, dynamic: bool = True, initial_scale: float | None = None, dynamic_growth_steps: int | None = None
    ):  # fmt: skip
        self._wrap(inner_optimizer, legacy.Optimizer, dynamic, initial_scale, dynamic_growth_steps)

    def __getattr__(self, name: str) -> Any:
        inner = self.__dict__.get("_optimizer")
        if inner is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._optimizer, name, value)

    @property
    def iterations(self) -> Any:  # type: ignore[override]
        """The inner optimizer's count of steps."""
        return self._optimizer.iterations

    def variables(self) -> list[Any]:
        return self._optimizer.variables()

    @property
    def weights(self) -> list[Any]:
        return self._optimizer.weights

    def get_weights(self) -> list[Any]:
        return self._optimizer.get_weights()

    def set_weights(self, weights: Sequence[Any]) -> None:
        self._optimizer.set_weights(weights)

    def get_slot(self, var: Any, slot_name: str) -> Any:
        return self._optimizer.get_slot(var, slot_name)

    def add_slot(self, var: Any, slot_name: str, initializer: Any = "zeros", shape: Any = None) -> Any:
        return self._optimizer.add_slot(var, slot_name, initializer, shape)

    def get_slot_names(self) -> list[str]:
        return self._optimizer.get_slot_names()

    def _create_or_restore_slot_variable(self, slot_variable_position: Any, slot_name: str, variable: Any) -> Any:
        return self._optimizer._create_or_restore_slot_variable(slot_variable_position, slot_name, variable)

    def _compute_gradients(self, loss: Any, var_list: Any, grad_loss: Any = None, tape: Any = None) -> list[tuple[Any, Any]]:
        tape = tf.GradientTape() if tape is None else tape
        with tape:
            loss = self.get_scaled_loss(loss)
        pairs = self._optimizer._compute_gradients(loss, var_list, grad_loss, tape=tape)
        return list(zip(self.get_unscaled_gradients([g for g, _ in pairs]), [v for _, v in pairs], strict=True))

    def apply_gradients(self, grads_and_vars: Any, name: str | None = None, experimental_aggregate_gradients: bool = True) -> Any:
        """Take a step with unscaled gradients, unless some are not finite."""
        inner = self._optimizer
        return self._apply_if_finite(grads_and_vars, inner._create_all_weights, lambda pairs: inner.apply_gradients(pairs, name=name))


register_keras_serializable()(LossScaleOptimizerV3)
