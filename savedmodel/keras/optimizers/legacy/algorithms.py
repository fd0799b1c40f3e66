"""The update steps of Keras' legacy optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from savedmodel.keras.optimizers import schedules
from savedmodel.keras.optimizers.legacy.base import Optimizer
from tracer.composite import IndexedSlices
from tracer.public import tf
from tracer.tensor import convert_to_tensor
from tracer.variable import VariableAggregation

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "Adamax", "Ftrl", "Nadam", "RMSprop"]


def _epsilon(given: float | None) -> float:
    from savedmodel.keras import backend

    return given or backend.epsilon()


class _BuiltIn(Optimizer):
    """Hyperparameters named in `_hypers`, plain settings in `_settings`; both are the config."""

    _hypers: tuple[str, ...] = ()
    _settings: tuple[str, ...] = ()
    _config_order: tuple[str, ...] = ()

    def _set_hypers(self, given: Mapping[str, Any]) -> None:
        self._set_hyper("learning_rate", given["kwargs"].get("lr", given["learning_rate"]))
        self._set_hyper("decay", self._initial_decay)
        for name in self._hypers:
            self._set_hyper(name, given[name])

    def _numbers(self, dtype: Any, state: dict[str, Any]) -> None:
        for name in self._hypers:
            state[name] = tf.identity(self._get_hyper(name, dtype))
        if "epsilon" in self._settings:
            state["epsilon"] = convert_to_tensor(self.epsilon, dtype=dtype)

    def _prepare_local(self, dtype: Any, state: dict[str, Any]) -> None:
        super()._prepare_local(dtype, state)
        self._numbers(dtype, state)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "learning_rate": self._serialize_hyperparameter("learning_rate"), "decay": self._initial_decay}
        for name in self._config_order or (*self._hypers, *self._settings):
            config[name] = self._serialize_hyperparameter(name) if name in self._hyper else getattr(self, name)
        return config

    def _slot_for_all(self, var_list: Sequence[Any], *names: str) -> None:
        for name in names:
            for variable in var_list:
                self.add_slot(variable, name)


def _add_rows(variable: Any, rows: Any, values: Any) -> Any:
    """Add `values` to rows of a variable; its new value."""
    variable.scatter_add(IndexedSlices(values, rows))
    return variable.value()


def _check_momentum(momentum: Any) -> bool:
    """Whether momentum is in use.

    Raises:
        ValueError: outside of [0, 1].
    """
    if isinstance(momentum, (int, float)) and (momentum < 0 or momentum > 1):
        raise ValueError(f"`momentum` must be between [0, 1]. Received: momentum={momentum} (of type {type(momentum)}).")
    return callable(momentum) or not isinstance(momentum, (int, float)) or momentum > 0


class SGD(_BuiltIn):
    """Gradient descent with optional momentum."""

    _hypers = ("momentum",)
    _settings = ("nesterov",)

    def __init__(self, learning_rate: Any = 0.01, momentum: Any = 0.0, nesterov: bool = False, name: str = "SGD", **kwargs: Any):
        super().__init__(name, **dict(kwargs))
        self._momentum = _check_momentum(momentum)
        self._set_hypers(locals())
        self.nesterov = nesterov

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        if self._momentum:
            self._slot_for_all(var_list, "momentum")

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> None:
        lr = apply_state["lr_t"]
        if not self._momentum:
            var.assign_sub(grad * lr)
            return
        accumulated = self.get_slot(var, "momentum")
        momentum = apply_state["momentum"]
        accumulated.assign(accumulated * momentum - grad * lr)
        var.assign_add(accumulated * momentum - grad * lr if self.nesterov else accumulated)

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> None:
        lr = apply_state["lr_t"]
        if not self._momentum:
            _add_rows(var, indices, -grad * lr)
            return
        accumulated = self.get_slot(var, "momentum")
        momentum = apply_state["momentum"]
        rows = tf.gather(accumulated, indices) * momentum - grad * lr
        accumulated.scatter_update(IndexedSlices(rows, indices))
        _add_rows(var, indices, rows * momentum - grad * lr if self.nesterov else rows)


class Adam(_BuiltIn):
    """Adam, with AMSGrad if wanted."""

    _hypers = ("beta_1", "beta_2")
    _settings = ("epsilon", "amsgrad")

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: float = 1e-7, amsgrad: bool = False,
        name: str = "Adam", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(name, **dict(kwargs))
        self._set_hypers(locals())
        self.epsilon = _epsilon(epsilon)
        self.amsgrad = amsgrad

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._slot_for_all(var_list, "m", "v", *(("vhat",) if self.amsgrad else ()))

    def _prepare_local(self, dtype: Any, state: dict[str, Any]) -> None:
        super()._prepare_local(dtype, state)
        step = tf.cast(self.iterations + 1, dtype)
        state["scaled"] = state["lr_t"] * (tf.sqrt(1 - tf.pow(state["beta_2"], step)) / (1 - tf.pow(state["beta_1"], step)))

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign `weights`; the third slots of older AMSGrad-like lists are dropped."""
        count = (len(self.weights) - 1) // 2
        super().set_weights(weights[: len(self.weights)] if len(weights) == 3 * count + 1 else weights)

    def _step(self, var: Any, m: Any, v: Any, state: Any) -> None:
        if self.amsgrad:
            greatest = self.get_slot(var, "vhat")
            greatest.assign(tf.maximum(greatest, v))
            v = greatest
        var.assign_sub(state["scaled"] * m / (tf.sqrt(v) + state["epsilon"]))

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> None:
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m.assign_add((grad - m) * (1 - apply_state["beta_1"]))
        v.assign_add((tf.square(grad) - v) * (1 - apply_state["beta_2"]))
        self._step(var, m, v, apply_state)

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> None:
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m.assign(m * apply_state["beta_1"])
        _add_rows(m, indices, grad * (1 - apply_state["beta_1"]))
        v.assign(v * apply_state["beta_2"])
        _add_rows(v, indices, grad * grad * (1 - apply_state["beta_2"]))
        self._step(var, m, v, apply_state)


class RMSprop(_BuiltIn):
    """RMSprop; with momentum the constant goes under the root, without it outside, as TensorFlow's kernels do."""

    _hypers = ("rho", "momentum")
    _settings = ("epsilon", "centered")

    def __init__(
        self, learning_rate: Any = 0.001, rho: Any = 0.9, momentum: Any = 0.0, epsilon: float = 1e-7, centered: bool = False,
        name: str = "RMSprop", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(name, **dict(kwargs))
        self._momentum = _check_momentum(momentum)
        self._set_hypers(locals())
        self.epsilon = _epsilon(epsilon)
        self.centered = centered

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._slot_for_all(var_list, "rms", *(("momentum",) if self._momentum else ()), *(("mg",) if self.centered else ()))

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign `weights`; lists of before there was an iteration count begin with a zero."""
        super().set_weights([np.array(0), *weights] if len(self.weights) == len(weights) + 1 else weights)

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> None:
        lr, rho, epsilon = apply_state["lr_t"], apply_state["rho"], apply_state["epsilon"]
        rms = self.get_slot(var, "rms")
        rms.assign(rho * rms + (1.0 - rho) * tf.square(grad))
        denominator = rms.value()
        if self.centered:
            mean = self.get_slot(var, "mg")
            mean.assign(rho * mean + (1.0 - rho) * grad)
            denominator = denominator - tf.square(mean)
        if not self._momentum:
            var.assign(var - lr * grad / (tf.sqrt(denominator) + epsilon))
            return
        momentum = self.get_slot(var, "momentum")
        momentum.assign(apply_state["momentum"] * momentum + lr * grad * tf.math.rsqrt(denominator + epsilon))
        var.assign_sub(momentum)

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> None:
        lr, rho, epsilon = apply_state["lr_t"], apply_state["rho"], apply_state["epsilon"]
        rms = self.get_slot(var, "rms")
        if self._momentum:
            # Only the rows of the gradient are touched.
            rows = rho * tf.gather(rms, indices) + (1.0 - rho) * tf.square(grad)
            rms.scatter_update(IndexedSlices(rows, indices))
            if self.centered:
                mean = self.get_slot(var, "mg")
                means = rho * tf.gather(mean, indices) + (1.0 - rho) * grad
                mean.scatter_update(IndexedSlices(means, indices))
                rows = rows - tf.square(means)
            momentum = self.get_slot(var, "momentum")
            step = apply_state["momentum"] * tf.gather(momentum, indices) + lr * grad * tf.math.rsqrt(rows + epsilon)
            momentum.scatter_update(IndexedSlices(step, indices))
            _add_rows(var, indices, -step)
            return
        rms.assign(rms * rho)
        rows = tf.gather(_add_rows(rms, indices, grad * grad * (1.0 - rho)), indices)
        if self.centered:
            mean = self.get_slot(var, "mg")
            mean.assign(mean * rho)
            rows = rows - tf.square(tf.gather(_add_rows(mean, indices, grad * (1.0 - rho)), indices))
        _add_rows(var, indices, -lr * grad / (tf.sqrt(rows) + epsilon))


RMSProp = RMSprop


class Adagrad(_BuiltIn):
    """Adagrad."""

    _settings = ("initial_accumulator_value", "epsilon")

    def __init__(
        self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7, name: str = "Adagrad",
        **kwargs: Any,
    ):  # fmt: skip
        if initial_accumulator_value < 0.0:
            raise ValueError(f"initial_accumulator_value must be non-negative: {initial_accumulator_value}")
        super().__init__(name, **dict(kwargs))
        self._set_hypers(locals())
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = _epsilon(epsilon)

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        from savedmodel.keras import initializers

        for variable in var_list:
            self.add_slot(variable, "accumulator", initializers.Constant(self.initial_accumulator_value))

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign `weights`; lists of before there was an iteration count begin with a zero."""
        super().set_weights([np.array(0), *weights] if len(self.weights) == len(weights) + 1 else weights)

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> None:
        accumulator = self.get_slot(var, "accumulator")
        accumulator.assign_add(tf.square(grad))
        var.assign_sub(grad * apply_state["lr_t"] / (tf.sqrt(accumulator) + apply_state["epsilon"]))

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> None:
        rows = tf.gather(_add_rows(self.get_slot(var, "accumulator"), indices, tf.square(grad)), indices)
        _add_rows(var, indices, -grad * apply_state["lr_t"] / (tf.sqrt(rows) + apply_state["epsilon"]))


class Adadelta(_BuiltIn):
    """Adadelta."""

    _hypers = ("rho",)
    _settings = ("epsilon",)

    def __init__(self, learning_rate: Any = 0.001, rho: Any = 0.95, epsilon: float = 1e-7, name: str = "Adadelta", **kwargs: Any):
        super().__init__(name, **dict(kwargs))
        self._set_hypers(locals())
        self.epsilon = _epsilon(epsilon)

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        for variable in var_list:
            self.add_slot(variable, "accum_grad")
        for variable in var_list:
            self.add_slot(variable, "accum_var")

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign `weights`; lists of before there was an iteration count begin with a zero."""
        super().set_weights([np.array(0), *weights] if len(self.weights) == len(weights) + 1 else weights)

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> None:
        squares, steps = self.get_slot(var, "accum_grad"), self.get_slot(var, "accum_var")
        rho, epsilon = apply_state["rho"], apply_state["epsilon"]
        squares.assign(squares * rho + tf.square(grad) * (1 - rho))
        step = tf.sqrt(steps + epsilon) * tf.math.rsqrt(squares + epsilon) * grad
        var.assign_sub(step * apply_state["lr_t"])
        steps.assign(steps * rho + tf.square(step) * (1 - rho))

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> None:
        squares, steps = self.get_slot(var, "accum_grad"), self.get_slot(var, "accum_var")
        rho, epsilon = apply_state["rho"], apply_state["epsilon"]
        rows = tf.gather(squares, indices) * rho + tf.square(grad) * (1 - rho)
        squares.scatter_update(IndexedSlices(rows, indices))
        old = tf.gather(steps, indices)
        step = tf.sqrt(old + epsilon) * tf.math.rsqrt(rows + epsilon) * grad
        _add_rows(var, indices, -step * apply_state["lr_t"])
        steps.scatter_update(IndexedSlices(old * rho + tf.square(step) * (1 - rho), indices))


class Adamax(_BuiltIn):
    """Adam with the infinity norm."""

    _hypers = ("beta_1", "beta_2")
    _settings = ("epsilon",)

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: float = 1e-7, name: str = "Adamax",
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(name, **dict(kwargs))
        self._set_hypers(locals())
        self.epsilon = _epsilon(epsilon)

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._slot_for_all(var_list, "m", "v")

    def _prepare_local(self, dtype: Any, state: dict[str, Any]) -> None:
        super()._prepare_local(dtype, state)
        state["scaled"] = state["lr_t"] / (1 - tf.pow(state["beta_1"], tf.cast(self.iterations + 1, dtype)))

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> None:
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m.assign_add((grad - m) * (1 - apply_state["beta_1"]))
        v.assign(tf.maximum(apply_state["beta_2"] * v, tf.abs(grad)))
        var.assign_sub(apply_state["scaled"] * (m / (v + apply_state["epsilon"])))

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> None:
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m_rows = tf.gather(m, indices) * apply_state["beta_1"] + grad * (1 - apply_state["beta_1"])
        m.scatter_update(IndexedSlices(m_rows, indices))
        v_rows = tf.maximum(tf.gather(v, indices) * apply_state["beta_2"], tf.abs(grad))
        v.scatter_update(IndexedSlices(v_rows, indices))
        _add_rows(var, indices, -apply_state["scaled"] * (m_rows / (v_rows + apply_state["epsilon"])))


class Nadam(_BuiltIn):
    """Adam with Nesterov's momentum, whose schedule decays."""

    _hypers = ("beta_1", "beta_2")
    _settings = ("epsilon",)

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: Any = 0.9, beta_2: Any = 0.999, epsilon: float = 1e-7, name: str = "Nadam",
        **kwargs: Any,
    ):  # fmt: skip
        kwargs["decay"] = kwargs.pop("schedule_decay", kwargs.get("decay", 0.004))
        if isinstance(kwargs.get("lr", learning_rate), schedules.LearningRateSchedule):
            raise ValueError("The Nadam optimizer does not support tf.keras.optimizers.LearningRateSchedules as the learning rate.")
        super().__init__(name, **dict(kwargs))
        self._set_hypers(locals())
        self.epsilon = _epsilon(epsilon)
        self._m_cache: Any = None

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        if self._m_cache is None:
            self._m_cache = self.add_weight(
                "momentum_cache", shape=[], dtype=var_list[0].dtype.base_dtype, initializer="ones", trainable=False,
                aggregation=VariableAggregation.ONLY_FIRST_REPLICA,
            )  # fmt: skip
            self._weights.append(self._m_cache)
        self._slot_for_all(var_list, "m", "v")

    def _prepare(self, var_list: Sequence[Any]) -> dict[Any, dict[str, Any]]:
        self._m_cache_read = tf.identity(self._m_cache)
        return super()._prepare(var_list)

    def _prepare_local(self, dtype: Any, state: dict[str, Any]) -> None:
        state["lr_t"] = tf.identity(self._get_hyper("learning_rate", dtype))
        self._numbers(dtype, state)
        decay, beta_1 = tf.cast(0.96, dtype), state["beta_1"]
        step, next_step = tf.cast(self.iterations + 1, dtype), tf.cast(self.iterations + 2, dtype)
        m_t = beta_1 * (1.0 - 0.5 * tf.pow(decay, self._initial_decay * step))
        m_t_1 = beta_1 * (1.0 - 0.5 * tf.pow(decay, self._initial_decay * next_step))
        schedule = tf.cast(self._m_cache_read, dtype) * m_t
        if dtype == self._m_cache.dtype:
            self._m_cache.assign(schedule)
        state |= {
            "m_t": m_t, "m_t_1": m_t_1, "rest": 1.0 - schedule, "rest_next": 1.0 - schedule * m_t_1,
            "v_rest": 1.0 - tf.pow(state["beta_2"], step),
        }  # fmt: skip

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> None:
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m.assign(apply_state["beta_1"] * m + (1 - apply_state["beta_1"]) * grad)
        v.assign(apply_state["beta_2"] * v + (1 - apply_state["beta_2"]) * tf.square(grad))
        var.assign(var - self._change(grad, m, v, apply_state))

    def _change(self, grad: Any, m: Any, v: Any, state: Any) -> Any:
        ahead = (1.0 - state["m_t"]) * (grad / state["rest"]) + state["m_t_1"] * (m / state["rest_next"])
        return state["lr_t"] * ahead / (tf.sqrt(v / state["v_rest"]) + state["epsilon"])

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> None:
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        m.assign(m * apply_state["beta_1"])
        m_rows = tf.gather(_add_rows(m, indices, grad * (1 - apply_state["beta_1"])), indices)
        v.assign(v * apply_state["beta_2"])
        v_rows = tf.gather(_add_rows(v, indices, grad * grad * (1 - apply_state["beta_2"])), indices)
        _add_rows(var, indices, -self._change(grad, m_rows, v_rows, apply_state))


class Ftrl(_BuiltIn):
    """Follow the regularised leader."""

    _hypers = ("learning_rate_power", "l1_regularization_strength", "l2_regularization_strength", "beta")
    _config_order = (
        "initial_accumulator_value", "learning_rate_power", "l1_regularization_strength", "l2_regularization_strength", "beta",
        "l2_shrinkage_regularization_strength",
    )  # fmt: skip

    def __init__(
        self, learning_rate: Any = 0.001, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0, name: str = "Ftrl",
        l2_shrinkage_regularization_strength: float = 0.0, beta: float = 0.0, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(name, **dict(kwargs))
        given = locals()
        for argument in (
            "initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength", "l2_shrinkage_regularization_strength",
        ):  # fmt: skip
            if given[argument] < 0.0:
                raise ValueError(f"`{argument}` needs to be positive or zero. Received: {argument}={given[argument]}.")
        if learning_rate_power > 0.0:
            raise ValueError(
                f"`learning_rate_power` needs to be negative or zero. Received: learning_rate_power={learning_rate_power}."
            )
        self._set_hypers(given)
        self.initial_accumulator_value = initial_accumulator_value
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        from savedmodel.keras import initializers

        for variable in var_list:
            self.add_slot(variable, "accumulator", initializers.Constant(self.initial_accumulator_value))
            self.add_slot(variable, "linear")

    def _changed(self, grad: Any, var: Any, squares: Any, linear: Any, state: Any) -> tuple[Any, Any, Any]:
        """New (variable, accumulator, linear) for given ones."""
        lr, power = state["lr_t"], -state["learning_rate_power"]
        l1 = state["l1_regularization_strength"]
        l2 = state["l2_regularization_strength"] + state["beta"] / (2.0 * lr)
        shrunk = grad + 2 * self.l2_shrinkage_regularization_strength * var if self.l2_shrinkage_regularization_strength > 0 else grad
        new_squares = squares + tf.square(grad)
        new_linear = linear + shrunk - (tf.pow(new_squares, power) - tf.pow(squares, power)) / lr * var
        quadratic = tf.pow(new_squares, power) / lr + 2 * l2
        return (tf.clip_by_value(new_linear, -l1, l1) - new_linear) / quadratic, new_squares, new_linear

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> None:
        squares, linear = self.get_slot(var, "accumulator"), self.get_slot(var, "linear")
        value, new_squares, new_linear = self._changed(grad, var.value(), squares.value(), linear.value(), apply_state)
        var.assign(value)
        squares.assign(new_squares)
        linear.assign(new_linear)

    def _resource_apply_sparse(self, grad: Any, var: Any, indices: Any, apply_state: Any = None) -> None:
        state = (var, self.get_slot(var, "accumulator"), self.get_slot(var, "linear"))
        changed = self._changed(grad, *(tf.gather(v, indices) for v in state), apply_state)
        for variable, rows in zip(state, changed, strict=True):
            variable.scatter_update(IndexedSlices(rows, indices))


