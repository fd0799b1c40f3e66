"""The update steps of Keras 2.15's optimizers, in its order of operations, so that loss curves follow its to the last digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from savedmodel.keras.optimizers import schedules
from savedmodel.keras.optimizers.base import Optimizer
from savedmodel.keras.optimizers.gradients import dense
from savedmodel.keras.registration import register_keras_serializable
from tracer.composite import IndexedSlices
from tracer.public import tf
from tracer.variable import Variable

__all__ = ["SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Nadam", "RMSprop"]


def _base_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `Optimizer` among the local variables of a constructor."""
    names = "name weight_decay clipnorm clipvalue global_clipnorm use_ema ema_momentum ema_overwrite_frequency jit_compile"
    return {**{n: given[n] for n in names.split()}, **given["kwargs"]}


def _rows(gradient: IndexedSlices, values: Any) -> IndexedSlices:
    return IndexedSlices(values, gradient.indices)


class _BuiltIn(Optimizer):
    """Optimizers whose state is made once for all variables."""

    def build(self, var_list: Sequence[Any]) -> None:
        super().build(var_list)
        if getattr(self, "_built", False):
            return
        self._built = True
        self._create_slots(var_list)

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        raise NotImplementedError(f"{type(self).__name__}._create_slots: built-in optimizers make their slot variables here")

    def _slots(self, var_list: Sequence[Any], *names: str) -> list[list[Any]]:
        """A list of slot variables for each name; variable by variable."""
        out: list[list[Any]] = [[] for _ in names]
        for variable in var_list:
            for slots, name in zip(out, names, strict=True):
                slots.append(self.add_variable_from_reference(variable, name))
        return out

    def _rate_for(self, variable: Any) -> Any:
        return tf.cast(self.learning_rate, variable.dtype)

    def _step_number(self, variable: Any, ahead: int = 1) -> Any:
        return tf.cast(self.iterations + ahead, variable.dtype)


class SGD(_BuiltIn):
    """Gradient descent, with momentum and Nesterov's look ahead if wanted."""

    _arguments = ("learning_rate", "momentum", "nesterov")

    def __init__(
        self, learning_rate: Any = 0.01, momentum: float = 0.0, nesterov: bool = False, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "SGD",
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.momentum = momentum
        self.nesterov = nesterov
        if isinstance(momentum, (int, float)) and (momentum < 0 or momentum > 1):
            raise ValueError("`momentum` must be between [0, 1].")

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        (self.momentums,) = self._slots(var_list, "m")

    def update_step(self, gradient: Any, variable: Any) -> None:
        lr = self._rate_for(variable)
        momentum = tf.cast(self.momentum, variable.dtype)
        m = self._slot(self.momentums, variable)
        if isinstance(gradient, IndexedSlices):
            change = _rows(gradient, -gradient.values * lr)
            m.assign(m * momentum)
            m.scatter_add(change)
            if self.nesterov:
                variable.scatter_add(change)
                variable.assign_add(m * momentum)
            else:
                variable.assign_add(m)
            return
        m.assign(-gradient * lr + m * momentum)
        variable.assign_add(-gradient * lr + m * momentum if self.nesterov else m)


class _AdamStep(_BuiltIn):
    """Adam's state and step."""

    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._momentums, self._velocities = self._slots(var_list, "m", "v")
        if self.amsgrad:
            (self._velocity_hats,) = self._slots(var_list, "vhat")

    def update_step(self, gradient: Any, variable: Any) -> None:
        dtype = variable.dtype
        lr, step = self._rate_for(variable), self._step_number(variable)
        beta_1_power = tf.pow(tf.cast(self.beta_1, dtype), step)
        beta_2_power = tf.pow(tf.cast(self.beta_2, dtype), step)
        m, v = self._slot(self._momentums, variable), self._slot(self._velocities, variable)
        alpha = lr * tf.sqrt(1 - beta_2_power) / (1 - beta_1_power)
        if isinstance(gradient, IndexedSlices):
            m.assign_add(-m * (1 - self.beta_1))
            m.scatter_add(_rows(gradient, gradient.values * (1 - self.beta_1)))
            v.assign_add(-v * (1 - self.beta_2))
            v.scatter_add(_rows(gradient, tf.square(gradient.values) * (1 - self.beta_2)))
        else:
            m.assign_add((gradient - m) * (1 - self.beta_1))
            v.assign_add((tf.square(gradient) - v) * (1 - self.beta_2))
        if self.amsgrad:
            greatest = self._slot(self._velocity_hats, variable)
            greatest.assign(tf.maximum(greatest, v))
            v = greatest
        variable.assign_sub(m * alpha / (tf.sqrt(v) + self.epsilon))


class Adam(_AdamStep):
    """Moving averages of gradients and their squares (Kingma & Ba 2014); `amsgrad` keeps the greatest of the latter."""

    _arguments = ("learning_rate", "beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7, amsgrad: bool = False,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "Adam", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad


class AdamW(_AdamStep):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    _arguments = ("learning_rate", "weight_decay", "beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float | None = 0.004, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, amsgrad: bool = False, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "AdamW", **kwargs: Any,
    ):  # fmt: skip
        if weight_decay is None:
            raise ValueError("Missing value of `weight_decay` which is required and must be a float value.")
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad


class RMSprop(_BuiltIn):
    """Gradients over the root of a moving average of their squares, with momentum and centring if wanted."""

    _arguments = ("learning_rate", "rho", "momentum", "epsilon", "centered")

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.9, momentum: float = 0.0, epsilon: float = 1e-7, centered: bool = False,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = 100, jit_compile: bool = True, name: str = "RMSprop", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        (self._velocities,) = self._slots(var_list, "velocity")
        self._momentums = self._slots(var_list, "momentum")[0] if self.momentum > 0 else []
        self._average_gradients = self._slots(var_list, "average_gradient")[0] if self.centered else []

    def update_step(self, gradient: Any, variable: Any) -> None:
        lr, rho = self._rate_for(variable), self.rho
        velocity = self._slot(self._velocities, variable)
        momentum = self._slot(self._momentums, variable) if self.momentum > 0 else None
        average = self._slot(self._average_gradients, variable) if self.centered else None
        sparse = isinstance(gradient, IndexedSlices)
        if sparse:
            velocity.assign(rho * velocity)
            velocity.scatter_add(_rows(gradient, tf.square(gradient.values) * (1 - rho)))
            if average is not None:
                average.assign(rho * average)
                average.scatter_add(_rows(gradient, gradient.values * (1 - rho)))
        else:
            velocity.assign(rho * velocity + (1 - rho) * tf.square(gradient))
            if average is not None:
                average.assign(rho * average + (1 - rho) * gradient)
        if average is not None:
            denominator = velocity - tf.square(average) + self.epsilon
        else:
            denominator = velocity + self.epsilon
        if sparse:
            step = lr * gradient.values * tf.math.rsqrt(tf.gather(denominator, gradient.indices))
            if momentum is None:
                variable.scatter_add(_rows(gradient, -step))
                return
            momentum.assign(self.momentum * momentum)
            momentum.scatter_add(_rows(gradient, step))
            variable.assign_add(-momentum)
            return
        step = lr * gradient * tf.math.rsqrt(denominator)
        if momentum is None:
            variable.assign_add(-step)
            return
        momentum.assign(self.momentum * momentum + step)
        variable.assign_add(-momentum)


class Adagrad(_BuiltIn):
    """Gradients over the root of the sum of their squares (Duchi et al. 2011)."""

    _arguments = ("learning_rate", "initial_accumulator_value", "epsilon")

    def __init__(
        self, learning_rate: Any = 0.001, initial_accumulator_value: float = 0.1, epsilon: float = 1e-7,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "Adagrad", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._accumulators = [
            self.add_variable_from_reference(
                v, "accumulator", initial_value=tf.cast(tf.fill(v.shape, self.initial_accumulator_value), v.dtype)
            )
            for v in var_list
        ]

    def update_step(self, gradient: Any, variable: Any) -> None:
        lr = self._rate_for(variable)
        accumulator = self._slot(self._accumulators, variable)
        if isinstance(gradient, IndexedSlices):
            accumulator.scatter_add(_rows(gradient, gradient.values * gradient.values))
            root = tf.sqrt(tf.gather(accumulator, indices=gradient.indices) + self.epsilon)
            variable.scatter_add(_rows(gradient, -lr * gradient.values / root))
        else:
            accumulator.assign_add(gradient * gradient)
            variable.assign_sub(lr * gradient / tf.sqrt(accumulator + self.epsilon))


class Adadelta(_BuiltIn):
    """Steps whose size follows that of former steps (Zeiler 2012)."""

    _arguments = ("learning_rate", "rho", "epsilon")

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "Adadelta",
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.rho = rho
        self.epsilon = epsilon

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._accumulated_grads, self._accumulated_delta_vars = self._slots(var_list, "accumulated_grad", "accumulated_delta_var")

    def update_step(self, gradient: Any, variable: Any) -> None:
        lr, rho = self._rate_for(variable), self.rho
        squares = self._slot(self._accumulated_grads, variable)
        steps = self._slot(self._accumulated_delta_vars, variable)
        if isinstance(gradient, IndexedSlices):
            squares.assign_add((rho - 1) * squares)
            squares.scatter_add(_rows(gradient, (1 - rho) * tf.square(gradient.values)))
            gradient = dense(gradient)
        else:
            squares.assign(rho * squares + (1 - rho) * gradient * gradient)
        step = -tf.sqrt(steps + self.epsilon) * gradient / tf.sqrt(squares + self.epsilon)
        steps.assign(rho * steps + (1 - rho) * step * step)
        variable.assign_add(lr * step)


class Adamax(_BuiltIn):
    """Adam with the infinity norm."""

    _arguments = ("learning_rate", "beta_1", "beta_2", "epsilon")

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "Adamax", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._m, self._u = self._slots(var_list, "m", "u")

    def update_step(self, gradient: Any, variable: Any) -> None:
        lr = self._rate_for(variable)
        power = tf.pow(tf.cast(self.beta_1, variable.dtype), self._step_number(variable))
        m, u = self._slot(self._m, variable), self._slot(self._u, variable)
        if isinstance(gradient, IndexedSlices):
            m.assign_add(-m * (1 - self.beta_1))
            m.scatter_add(_rows(gradient, gradient.values * (1 - self.beta_1)))
            u.assign(u * self.beta_2)
            rows = tf.gather(u, gradient.indices)
            u.scatter_add(_rows(gradient, tf.maximum(rows, tf.abs(gradient.values)) - rows))
        else:
            m.assign_add((gradient - m) * (1 - self.beta_1))
            u.assign(tf.maximum(self.beta_2 * u, tf.abs(gradient)))
        variable.assign_sub(lr * m / ((1 - power) * (u + self.epsilon)))


class Nadam(_BuiltIn):
    """Adam with Nesterov's momentum (Dozat 2016)."""

    _arguments = ("learning_rate", "beta_1", "beta_2", "epsilon")

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7,
        weight_decay: float | None = None, clipnorm: float | None = None, clipvalue: float | None = None,
        global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "Nadam", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._u_product = Variable(1.0, dtype=var_list[0].dtype)
        self._u_product_counter = 1
        self._momentums, self._velocities = self._slots(var_list, "m", "v")

    def _product(self, u_t: Any) -> Any:
        """The running product of momenta. As in Keras, a Python counter tells whether this step's was taken; a trace bakes it in."""

        def cached() -> Any:
            return self._u_product.value()

        def taken_now() -> Any:
            product = self._u_product * u_t
            self._u_product.assign(product)
            self._u_product_counter += 1
            return product

        return tf.cond(tf.equal(tf.cast(self._u_product_counter, tf.int64), self.iterations + 2), cached, taken_now)

    def update_step(self, gradient: Any, variable: Any) -> None:
        dtype = variable.dtype
        lr = self._rate_for(variable)
        step, next_step = self._step_number(variable), self._step_number(variable, 2)
        decay = tf.cast(0.96, dtype)
        beta_1, beta_2 = tf.cast(self.beta_1, dtype), tf.cast(self.beta_2, dtype)
        u_t = beta_1 * (1.0 - 0.5 * tf.pow(decay, step))
        u_t_1 = beta_1 * (1.0 - 0.5 * tf.pow(decay, next_step))
        product = self._product(u_t)
        product_1 = product * u_t_1
        beta_2_power = tf.pow(beta_2, step)
        m, v = self._slot(self._momentums, variable), self._slot(self._velocities, variable)
        if isinstance(gradient, IndexedSlices):
            m.assign_add(-m * (1 - beta_1))
            m.scatter_add(_rows(gradient, gradient.values * (1 - beta_1)))
            v.assign_add(-v * (1 - beta_2))
            v.scatter_add(_rows(gradient, tf.square(gradient.values) * (1 - beta_2)))
            gradient = dense(gradient)
        else:
            m.assign_add((gradient - m) * (1 - beta_1))
            v.assign_add((tf.square(gradient) - v) * (1 - beta_2))
        m_hat = u_t_1 * m / (1 - product_1) + (1 - u_t) * gradient / (1 - product)
        v_hat = v / (1 - beta_2_power)
        variable.assign_sub(m_hat * lr / (tf.sqrt(v_hat) + self.epsilon))


class Ftrl(_BuiltIn):
    """Follow the regularised leader (McMahan et al. 2013)."""

    _arguments = (
        "learning_rate", "learning_rate_power", "initial_accumulator_value", "l1_regularization_strength", "l2_regularization_strength",
        "l2_shrinkage_regularization_strength", "beta",
    )  # fmt: skip

    def __init__(
        self, learning_rate: Any = 0.001, learning_rate_power: float = -0.5, initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0, l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0, beta: float = 0.0, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "Ftrl",
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        given = locals()
        for argument in self._arguments[2:6]:
            if given[argument] < 0.0:
                raise ValueError(f"`{argument}` needs to be positive or zero. Received: {argument}={given[argument]}.")
        if learning_rate_power > 0.0:
            raise ValueError(
                f"`learning_rate_power` needs to be negative or zero. Received: learning_rate_power={learning_rate_power}."
            )
        self._learning_rate = self._build_learning_rate(learning_rate)
        for argument in self._arguments[1:]:
            setattr(self, argument, given[argument])

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._accumulators, self._linears = [], []
        for v in var_list:
            start = tf.cast(tf.fill(v.shape, self.initial_accumulator_value), v.dtype)
            self._accumulators.append(self.add_variable_from_reference(v, "accumulator", initial_value=start))
            self._linears.append(self.add_variable_from_reference(v, "linear"))

    def update_step(self, gradient: Any, variable: Any) -> None:
        gradient = dense(gradient)
        lr = self._rate_for(variable)
        squares, linear = self._slot(self._accumulators, variable), self._slot(self._linears, variable)
        power, l1 = -self.learning_rate_power, self.l1_regularization_strength
        l2 = self.l2_regularization_strength + self.beta / (2.0 * lr)
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * variable
        new_squares = squares + tf.pow(gradient, 2)
        linear.assign_add(shrunk - (tf.pow(new_squares, power) - tf.pow(squares, power)) / lr * variable)
        quadratic = tf.pow(new_squares, power) / lr + 2 * l2
        variable.assign((tf.clip_by_value(linear, -l1, l1) - linear) / quadratic)
        squares.assign(new_squares)


class Lion(_BuiltIn):
    """The sign of a momentum (Chen et al. 2023)."""

    _arguments = ("learning_rate", "beta_1", "beta_2")

    def __init__(
        self, learning_rate: Any = 0.0001, beta_1: float = 0.9, beta_2: float = 0.99, weight_decay: float | None = None,
        clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False,
        ema_momentum: float = 0.99, ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "Lion",
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        if beta_1 <= 0 or beta_1 > 1:
            raise ValueError(f"`beta_1`={beta_1} must be between ]0, 1]. Otherwise, the optimizer degenerates to SignSGD.")

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        (self.momentums,) = self._slots(var_list, "m")

    def update_step(self, gradient: Any, variable: Any) -> None:
        lr = self._rate_for(variable)
        beta_1, beta_2 = tf.cast(self.beta_1, variable.dtype), tf.cast(self.beta_2, variable.dtype)
        m = self._slot(self.momentums, variable)
        if isinstance(gradient, IndexedSlices):
            m.assign(m * beta_1)
            m.scatter_add(_rows(gradient, gradient.values * (1.0 - beta_1)))
            variable.assign_sub(lr * tf.math.sign(m))
            m.assign(m * beta_2 / beta_1)
            m.scatter_add(_rows(gradient, gradient.values * (1.0 - beta_2 / beta_1)))
        else:
            variable.assign_sub(lr * tf.math.sign(m * beta_1 + gradient * (1.0 - beta_1)))
            m.assign(m * beta_2 + gradient * (1.0 - beta_2))


class Adafactor(_BuiltIn):
    """Adam's second moment as a product of row and column means (Shazeer & Stern 2018)."""

    _arguments = ("learning_rate", "beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step")

    def __init__(
        self, learning_rate: Any = 0.001, beta_2_decay: float = -0.8, epsilon_1: float = 1e-30, epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0, relative_step: bool = True, weight_decay: float | None = None, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None, use_ema: bool = False, ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None, jit_compile: bool = True, name: str = "Adafactor", **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_base_arguments(locals()))
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def _create_slots(self, var_list: Sequence[Any]) -> None:
        self._r, self._c, self._v = [], [], []
        for v in var_list:
            if len(v.shape) < 2:
                # Not factored: placeholders keep the lists aligned.
                self._r.append(Variable(0, name=f"r/{v._shared_name}"))
                self._c.append(Variable(0, name=f"r/{v._shared_name}"))
            else:
                dims = v.shape.as_list()
                self._r.append(self.add_variable(shape=dims[:-1], dtype=v.dtype, name=f"r/{v._shared_name}"))
                self._c.append(self.add_variable(shape=[*dims[:-2], dims[-1]], dtype=v.dtype, name=f"c/{v._shared_name}"))
            self._v.append(self.add_variable_from_reference(v, "v"))

    def update_step(self, gradient: Any, variable: Any) -> None:
        gradient = dense(gradient)
        dtype = variable.dtype
        lr, step = self._rate_for(variable), self._step_number(variable)
        if not isinstance(self._learning_rate, schedules.LearningRateSchedule) and self.relative_step:
            lr = tf.minimum(lr, tf.math.rsqrt(step))
        r, c, v = (self._slot(slots, variable) for slots in (self._r, self._c, self._v))
        rho = tf.minimum(lr, tf.math.rsqrt(step))
        alpha = tf.maximum(tf.cast(self.epsilon_2, dtype), _root_mean_square(variable)) * rho
        squares = tf.square(gradient) + self.epsilon_1
        beta = 1 - tf.pow(step, self.beta_2_decay)
        if len(variable.shape) >= 2:
            r.assign(beta * r + (1 - beta) * tf.reduce_mean(squares, axis=-1))
            c.assign(beta * c + (1 - beta) * tf.reduce_mean(squares, axis=-2))
            v.assign(tf.expand_dims(r / tf.reduce_mean(r, axis=-1, keepdims=True), axis=-1) * tf.expand_dims(c, -2))
        else:
            v.assign(beta * v + (1 - beta) * squares)
        step_size = gradient * tf.math.rsqrt(v)
        clipped = step_size / tf.maximum(tf.cast(1.0, dtype), _root_mean_square(step_size) / self.clip_threshold)
        variable.assign_add(-alpha * clipped)


def _root_mean_square(x: Any) -> Any:
    return tf.sqrt(tf.reduce_mean(tf.square(x)))


# Configs name these classes as registered ones (`Custom>Adam`), which tells them from the legacy classes of the same names.
for _class in (SGD, Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lion, Nadam, RMSprop):
    register_keras_serializable()(_class)
