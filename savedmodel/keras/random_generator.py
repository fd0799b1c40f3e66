"""How Keras objects draw random numbers: `RandomGenerator`, its three kinds of streams, and Keras' own seed generator.

It refuses to know distributions beyond those that layers and initializers draw. Authority: Keras 2.15's `backend.RandomGenerator`, checked
bit for bit in tests/oracle/keras.
"""

from __future__ import annotations

import numbers
import random
import threading
from typing import Any

from tracer import dispatch, dtypes
from tracer.dispatch import raw
from tracer.module import Module
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import Tensor, convert_to_tensor

__all__ = [
    "RandomGenerator",
    "disable_tf_random_generator",
    "draw_seed",
    "dropout",
    "enable_tf_random_generator",
    "is_tf_random_generator_enabled",
    "set_keras_seed",
]

STATELESS = "stateless"
STATEFUL = "stateful"
LEGACY_STATEFUL = "legacy_stateful"

_LARGEST_SEED = int(1e9)


class _SeedGenerator(threading.local):
    generator: random.Random | None = None


_seeds = _SeedGenerator()
_use_tf_generator = False


def set_keras_seed(seed: int | None) -> None:
    """Restart the generator that unseeded Keras objects take their seeds from (None: Python's global one again)."""
    _seeds.generator = None if seed is None else random.Random(seed)


def draw_seed() -> int:
    """A seed in [1, 1e9] for an object that was given none."""
    return (_seeds.generator or random).randint(1, _LARGEST_SEED)


def is_tf_random_generator_enabled() -> bool:
    """Whether layers draw from `tf.random.Generator` objects by default."""
    return _use_tf_generator


def enable_tf_random_generator() -> None:
    """Let layers draw from `tf.random.Generator` objects."""
    global _use_tf_generator
    _use_tf_generator = True


def disable_tf_random_generator() -> None:
    """Let layers draw from the seeded stateful ops."""
    global _use_tf_generator
    _use_tf_generator = False


class RandomGenerator(Module):
    """The random numbers of one Keras object.

    Args:
        seed: an int, or None.
        rng_type: "stateless" (the same numbers for the same shape at each call), "stateful" (a `tf.random.Generator`, whose state is a
            variable) or "legacy_stateful" (stateful ops; a given seed is increased at each draw). None: as the global switch says.
        force_generator: "stateful", whatever `rng_type` says.
    """

    RNG_STATELESS = STATELESS
    RNG_STATEFUL = STATEFUL
    RNG_LEGACY_STATEFUL = LEGACY_STATEFUL

    def __init__(self, seed: int | None = None, rng_type: str | None = None, force_generator: bool = False):
        super().__init__()
        kind = STATEFUL if force_generator else rng_type
        if kind is None:
            kind = STATEFUL if is_tf_random_generator_enabled() else LEGACY_STATEFUL
        if kind not in (STATELESS, STATEFUL, LEGACY_STATEFUL):
            raise ValueError(
                f'Invalid `rng_type` received. Valid `rng_type` are ["stateless", "stateful", "legacy_stateful"]. Got: {rng_type}'
            )
        self._seed = seed
        self._rng_type = kind
        self._generator: Any = None
        self._built = False

    def _maybe_init(self) -> None:
        """Draw a seed, or make the generator, at the first use: the order of first uses decides which seed an object gets."""
        if self._built:
            return
        if self._rng_type == STATELESS:
            self._seed = self._create_seed(self._seed)
        elif self._rng_type == STATEFUL:
            with dispatch.init_scope():
                self._generator = tf.random.Generator.from_seed(self._create_seed(self._seed))
        self._built = True

    @staticmethod
    def _create_seed(seed: int | None) -> int:
        return draw_seed() if seed is None else seed

    def make_seed_for_stateless_op(self) -> Any:
        """A seed of two numbers for a stateless op; None for legacy stateful generators."""
        self._maybe_init()
        if self._rng_type == STATELESS:
            return [self._seed, 0]
        if self._rng_type == STATEFUL:
            return self._generator.make_seeds()[:, 0]
        return None

    def make_legacy_seed(self) -> int | None:
        """The next op seed: None when unseeded, else one more at each call."""
        if self._seed is None:
            return None
        seed = self._seed
        self._seed += 1
        return seed

    def _draw(self, stateful: str, stateless: str, legacy: str, nonce: int | None, **kwargs: Any) -> Any:
        self._maybe_init()
        if kwargs["dtype"] is None:
            from savedmodel.keras import backend

            kwargs["dtype"] = backend.floatx()
        if self._rng_type == STATEFUL:
            return getattr(self._generator, stateful)(**kwargs)
        if self._rng_type == STATELESS:
            seed = self.make_seed_for_stateless_op()
            if nonce:
                seed = tf.random.fold_in(seed, nonce)
            return getattr(tf.random, stateless)(seed=seed, **kwargs)
        return getattr(tf.random, legacy)(seed=self.make_legacy_seed(), **kwargs)

    def random_normal(self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, nonce: int | None = None) -> Any:
        """Normally distributed numbers."""
        return self._draw("normal", "stateless_normal", "normal", nonce, shape=shape, mean=mean, stddev=stddev, dtype=dtype)

    def random_uniform(self, shape: Any, minval: Any = 0.0, maxval: Any = None, dtype: Any = None, nonce: int | None = None) -> Any:
        """Numbers in [minval, maxval)."""
        return self._draw("uniform", "stateless_uniform", "uniform", nonce, shape=shape, minval=minval, maxval=maxval, dtype=dtype)

    def truncated_normal(self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, nonce: int | None = None) -> Any:
        """Normally distributed numbers within two standard deviations."""
        return self._draw(
            "truncated_normal", "stateless_truncated_normal", "truncated_normal", nonce, shape=shape, mean=mean, stddev=stddev, dtype=dtype
        )

    def dropout(self, inputs: Any, rate: Any, noise_shape: Any = None) -> Any:
        """`inputs` with a share `rate` of its elements set to zero and the others scaled up."""
        self._maybe_init()
        if self._rng_type == STATEFUL:
            return dropout(inputs, rate, noise_shape, lambda shape, dtype: self._generator.uniform(shape=shape, dtype=dtype))
        if self._rng_type == STATELESS:
            seed = self.make_seed_for_stateless_op()
            return dropout(inputs, rate, noise_shape, lambda shape, dtype: tf.random.stateless_uniform(shape, seed=seed, dtype=dtype))
        return dropout(inputs, rate, noise_shape, lambda shape, dtype: tf.random.uniform(shape, dtype=dtype, seed=self.make_legacy_seed()))


def dropout(x: Any, rate: Any, noise_shape: Any, sampler: Any) -> Any:
    """Dropout with uniform numbers of `sampler(shape, dtype)`; the ops of TensorFlow 2.15's `tf.nn.dropout`.

    Raises:
        ValueError: `rate` outside of [0, 1), or `x` is no float tensor.
    """
    x = convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise ValueError(
            f"`x.dtype` must be a floating point tensor as `x` will be scaled. Received: x_dtype={x.dtype!r}. Cast `x` to a float dtype."
        )
    if isinstance(rate, numbers.Real):
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must be a scalar tensor or a float in the range [0, 1). Received: rate={rate}")
        if rate == 0:
            return x
        scaled = raw.Mul(x, convert_to_tensor(1.0 / (1.0 - rate), dtype=x.dtype))
    else:
        rate = convert_to_tensor(rate, dtype=x.dtype)
        scaled = raw.RealDiv(x, raw.Sub(convert_to_tensor(1, dtype=x.dtype), rate))
    numbers_drawn = sampler(_noise_shape(x, noise_shape), x.dtype)
    keep = raw.GreaterEqual(numbers_drawn, rate)
    out = raw.SelectV2(keep, scaled, convert_to_tensor(0, dtype=x.dtype))
    if not dispatch.executing_eagerly():
        out.set_shape(x.shape)
    return out


def _noise_shape(x: Any, noise_shape: Any) -> Any:
    if noise_shape is None:
        return tf.shape(x)
    if isinstance(noise_shape, Tensor):
        return noise_shape
    dims = list(noise_shape.as_list() if isinstance(noise_shape, TensorShape) else noise_shape)
    if any(isinstance(d, Tensor) for d in dims):
        return tf.stack([convert_to_tensor(d, dtype=dtypes.int32) for d in dims])
    if x.shape.rank == len(dims):
        dims = [known if wanted is None else wanted for wanted, known in zip(dims, x.shape.as_list(), strict=True)]
    return dims
