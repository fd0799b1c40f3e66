"""Learning rates that depend on the step. Authority: Keras 2.15's `keras.optimizers.schedules`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from savedmodel.keras import named_objects
from tracer import nest
from tracer.public import tf
from tracer.tensor import convert_to_tensor


class LearningRateSchedule:
    """Base: `__call__(step)` gives the learning rate."""

    _arguments: tuple[str, ...] = ()
    name: str | None = None

    def __call__(self, step: Any) -> Any:
        raise NotImplementedError(f"Learning rate schedule '{type(self).__name__}' must override `__call__(self, step)`.")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments by name."""
        if not self._arguments:
            raise NotImplementedError(
                f"Learning rate schedule '{type(self).__name__}' must override `get_config()` in order to be serializable."
            )
        return {name: getattr(self, name) for name in self._arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An instance with the arguments in `config`."""
        return cls(**config)

    def _scope(self, default: str) -> Any:
        return tf.name_scope(self.name or default)


def _turns(x: Any) -> Any:
    return tf.cos(convert_to_tensor(math.pi, dtype=x.dtype) * x)


class _RateDecay(LearningRateSchedule):
    _arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(self, initial_learning_rate: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False, name: str | None = None):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def _progress(self, step: Any) -> tuple[Any, Any, Any]:
        """(initial rate, decay rate, how many times `decay_steps` have passed)."""
        initial = convert_to_tensor(self.initial_learning_rate)
        progress = tf.cast(step, initial.dtype) / tf.cast(self.decay_steps, initial.dtype)
        return initial, tf.cast(self.decay_rate, initial.dtype), tf.floor(progress) if self.staircase else progress


class ExponentialDecay(_RateDecay):
    """initial · decay_rate^(step / decay_steps)."""

    def __call__(self, step: Any) -> Any:
        with self._scope("ExponentialDecay"):
            initial, rate, progress = self._progress(step)
            return tf.multiply(initial, tf.pow(rate, progress))


class InverseTimeDecay(_RateDecay):
    """initial / (1 + decay_rate · step / decay_steps)."""

    def __call__(self, step: Any) -> Any:
        with self._scope("InverseTimeDecay"):
            initial, rate, progress = self._progress(step)
            return tf.divide(initial, tf.add(tf.cast(1, initial.dtype), tf.multiply(rate, progress)))


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and at boundaries[i], the last value after all of them."""

    _arguments = ("boundaries", "values", "name")

    def __init__(self, boundaries: Sequence[Any], values: Sequence[Any], name: str | None = None):
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"The length of boundaries should be 1 less than the length of values. Received: boundaries={boundaries} of length "
                f"{len(boundaries)}, and values={values} of length {len(values)}."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Any) -> Any:
        with self._scope("PiecewiseConstant"):
            step = convert_to_tensor(step)
            values = [convert_to_tensor(v) for v in nest.flatten(self.values)]
            rate = values[0]
            for boundary, value in zip(nest.flatten(self.boundaries), values[1:], strict=True):
                rate = tf.where(step > tf.cast(boundary, step.dtype), value, rate)
            return rate


class PolynomialDecay(LearningRateSchedule):
    """From the initial to the end rate in `decay_steps`, as (1 - step / decay_steps)^power; `cycle` begins anew after that."""

    _arguments = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle", "name")

    def __init__(
        self, initial_learning_rate: Any, decay_steps: Any, end_learning_rate: Any = 0.0001, power: Any = 1.0, cycle: bool = False,
        name: str | None = None,
    ):  # fmt: skip
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Any:
        with self._scope("PolynomialDecay"):
            initial = convert_to_tensor(self.initial_learning_rate)
            dtype = initial.dtype
            end, power = tf.cast(self.end_learning_rate, dtype), tf.cast(self.power, dtype)
            step, steps = tf.cast(step, dtype), tf.cast(self.decay_steps, dtype)
            if self.cycle:
                # At step 0 the first cycle is under way.
                steps = tf.multiply(steps, tf.where(tf.equal(step, 0), tf.cast(1.0, dtype), tf.math.ceil(step / tf.cast(self.decay_steps, dtype))))
            else:
                step = tf.minimum(step, steps)
            return tf.add(tf.multiply(initial - end, tf.pow(1 - tf.divide(step, steps), power)), end)


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to `alpha` times it, after an optional linear rise to `warmup_target`."""

    _arguments = ("initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps")

    def __init__(
        self, initial_learning_rate: Any, decay_steps: Any, alpha: Any = 0.0, name: str | None = None, warmup_target: Any = None,
        warmup_steps: Any = 0,
    ):  # fmt: skip
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_steps = warmup_steps
        self.warmup_target = warmup_target

    def _decayed(self, step: Any, steps: Any, start: Any) -> Any:
        share = 0.5 * (1.0 + _turns(step / steps))
        return tf.multiply(start, (1 - self.alpha) * share + self.alpha)

    def __call__(self, step: Any) -> Any:
        with self._scope("CosineDecay"):
            initial = convert_to_tensor(self.initial_learning_rate)
            dtype = initial.dtype
            step, steps = tf.cast(step, dtype), tf.cast(self.decay_steps, dtype)
            if self.warmup_target is None:
                return self._decayed(tf.minimum(step, steps), steps, initial)
            target, rise = tf.cast(self.warmup_target, dtype), tf.cast(self.warmup_steps, dtype)
            step = tf.minimum(step, steps + rise)
            return tf.cond(
                step < rise, lambda: (target - initial) * (step / rise) + initial, lambda: self._decayed(step - rise, steps, target)
            )


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after the other, each `t_mul` times as long and `m_mul` times as high as the one before."""

    def __init__(
        self, initial_learning_rate: Any, first_decay_steps: Any, t_mul: Any = 2.0, m_mul: Any = 1.0, alpha: Any = 0.0,
        name: str | None = None,
    ):  # fmt: skip
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self._t_mul = t_mul
        self._m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Any:
        with self._scope("SGDRDecay"):
            initial = convert_to_tensor(self.initial_learning_rate)
            dtype = initial.dtype
            longer, higher, alpha = tf.cast(self._t_mul, dtype), tf.cast(self._m_mul, dtype), tf.cast(self.alpha, dtype)
            passed = tf.cast(step, dtype) / tf.cast(self.first_decay_steps, dtype)

            def even() -> Any:
                restarts = tf.floor(passed)
                return restarts, passed - restarts

            def growing() -> Any:
                restarts = tf.floor(tf.math.log(1.0 - passed * (1.0 - longer)) / tf.math.log(longer))
                begun = (1.0 - longer**restarts) / (1.0 - longer)
                return restarts, (passed - begun) / longer**restarts

            restarts, share = tf.cond(tf.equal(longer, 1.0), even, growing)
            cosine = 0.5 * higher**restarts * (1.0 + _turns(share))
            return tf.multiply(initial, (1 - alpha) * cosine + alpha)

    def get_config(self) -> dict[str, Any]:
        return {
            "initial_learning_rate": self.initial_learning_rate, "first_decay_steps": self.first_decay_steps, "t_mul": self._t_mul,
            "m_mul": self._m_mul, "alpha": self.alpha, "name": self.name,
        }  # fmt: skip


class LinearCosineDecay(LearningRateSchedule):
    """A linear decay times a cosine of `num_periods`."""

    _arguments = ("initial_learning_rate", "decay_steps", "num_periods", "alpha", "beta", "name")

    def __init__(
        self, initial_learning_rate: Any, decay_steps: Any, num_periods: Any = 0.5, alpha: Any = 0.0, beta: Any = 0.001,
        name: str | None = None,
    ):  # fmt: skip
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.num_periods = num_periods
        self.alpha = alpha
        self.beta = beta
        self.name = name

    def __call__(self, step: Any) -> Any:
        with self._scope(type(self).__name__):
            initial = convert_to_tensor(self.initial_learning_rate)
            dtype = initial.dtype
            steps = tf.cast(self.decay_steps, dtype)
            step = tf.minimum(tf.cast(step, dtype), steps)
            linear = (steps - step) / steps
            cosine = 0.5 * (1.0 + _turns(2.0 * tf.cast(self.num_periods, dtype) * (step / steps)))
            return tf.multiply(initial, (tf.cast(self.alpha, dtype) + self._noisy(linear, step)) * cosine + tf.cast(self.beta, dtype))

    def _noisy(self, linear: Any, step: Any) -> Any:
        return linear


class NoisyLinearCosineDecay(LinearCosineDecay):
    """`LinearCosineDecay` with normal noise whose variance decays."""

    _arguments = (
        "initial_learning_rate", "decay_steps", "initial_variance", "variance_decay", "num_periods", "alpha", "beta", "seed", "name",
    )  # fmt: skip

    def __init__(
        self, initial_learning_rate: Any, decay_steps: Any, initial_variance: Any = 1.0, variance_decay: Any = 0.55,
        num_periods: Any = 0.5, alpha: Any = 0.0, beta: Any = 0.001, seed: int | None = None, name: str | None = None,
    ):  # fmt: skip
        from savedmodel.keras.random_generator import RandomGenerator

        super().__init__(initial_learning_rate, decay_steps, num_periods, alpha, beta, name)
        self.initial_variance = initial_variance
        self.variance_decay = variance_decay
        self.seed = seed
        self._random_generator = RandomGenerator(seed)

    def _noisy(self, linear: Any, step: Any) -> Any:
        variance = tf.cast(self.initial_variance, step.dtype) / tf.pow(1.0 + step, tf.cast(self.variance_decay, step.dtype))
        return linear + self._random_generator.random_normal(linear.shape, stddev=tf.sqrt(variance), dtype=linear.dtype)


OBJECTS: dict[str, Any] = {
    cls.__name__: cls
    for cls in (
        LearningRateSchedule, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay, CosineDecay,
        CosineDecayRestarts, LinearCosineDecay, NoisyLinearCosineDecay,
    )
}  # fmt: skip


def serialize(learning_rate_schedule: Any, use_legacy_format: bool = False) -> Any:
    """The config of a schedule."""
    return named_objects.serialize(learning_rate_schedule, use_legacy_format)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False) -> Any:
    """The schedule of a config."""
    return named_objects.deserialize(config, OBJECTS, "decay", custom_objects, use_legacy_format)
