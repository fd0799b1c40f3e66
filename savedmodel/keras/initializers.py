"""Initial values of weights: Keras 2.15's initializers, equal to TensorFlow's bit for bit. It refuses partitioned and distributed variables."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from savedmodel.keras import named_objects
from savedmodel.keras.naming import to_snake_case
from savedmodel.keras.random_generator import RandomGenerator
from tracer import dtypes
from tracer.public import tf

_ALLOWED_KWARGS = ["partition_shape", "partition_offset", "layout"]

# The standard deviation of a standard normal distribution cut at two.
_TRUNCATED_DEVIATION = 0.87962566103423978


class Initializer:
    """Base: `__call__(shape, dtype=None, **kwargs)` gives a tensor; `get_config` the constructor's arguments."""

    _arguments: tuple[str, ...] = ()  # attributes that are constructor arguments

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: Initializer subclasses must implement the `__call__()` method.")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {name: getattr(self, name) for name in self._arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An instance with the arguments in `config`; a `dtype` entry of old configs is dropped."""
        return cls(**{key: value for key, value in config.items() if key != "dtype"})

    def _arguments_of_call(self, shape: Any, dtype: Any, kwargs: Mapping[str, Any], partitions: bool = True) -> tuple[Any, Any, int | None]:
        """(shape, dtype, nonce) that a call asks for.

        Raises:
            TypeError: unknown keyword arguments.
            ValueError: partition arguments where there can be none.
        """
        invalid = [key for key in kwargs if key not in _ALLOWED_KWARGS]
        if invalid:
            raise TypeError(f"Unknown keyword arguments: {invalid}. Allowed keyword arguments: {_ALLOWED_KWARGS}.")
        if not partitions and ("partition_shape" in kwargs or "partition_offset" in kwargs):
            raise ValueError(f"{type(self).__name__} initializer doesn't support partition-related arguments.")
        offset = kwargs.get("partition_offset")
        return kwargs.get("partition_shape", shape), _dtype(dtype), hash(offset) if offset else None


def _dtype(dtype: Any) -> dtypes.DType:
    if dtype is None:
        from savedmodel.keras import backend

        dtype = backend.floatx()
    return dtypes.as_dtype(dtype)


class _Filled(Initializer):
    _fill = ""

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        shape, dtype, _ = self._arguments_of_call(shape, dtype, kwargs)
        if not dtype.is_numpy_compatible or dtype == dtypes.string:
            raise ValueError(f"Expected numeric or boolean dtype, got {dtype}.")
        return getattr(tf, self._fill)(shape, dtype)


class Zeros(_Filled):
    """All zero."""

    _fill = "zeros"


class Ones(_Filled):
    """All one."""

    _fill = "ones"


class Constant(Initializer):
    """`value`, a scalar or an array of the shape."""

    _arguments = ("value",)

    def __init__(self, value: Any = 0):
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        shape, dtype, _ = self._arguments_of_call(shape, dtype, kwargs)
        return tf.constant(self.value, dtype=dtype, shape=shape)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        arguments = {key: value for key, value in config.items() if key != "dtype"}
        if isinstance(arguments.get("value"), dict):
            from savedmodel.keras.saving import serialization

            arguments["value"] = serialization.deserialize_keras_object(arguments["value"])
        return cls(**arguments)


class _Random(Initializer):
    """Initializers with a seed. The same instance gives the same values at each call, seeded or not."""

    def __init__(self, seed: int | None):
        self.seed = seed
        self._random_generator = RandomGenerator(seed, rng_type="stateless")
        self._used = False

    def _floating(self, dtype: dtypes.DType) -> None:
        if not dtype.is_floating:
            raise ValueError(f"Expected floating point type, got {dtype}.")

    def _warn_reuse(self, kwargs: Mapping[str, Any]) -> None:
        if kwargs.get("partition_offset") is not None:
            return
        if self._used and self.seed is None:
            warnings.warn(
                f"The initializer {type(self).__name__} is unseeded and being called multiple times, which will return identical values "
                f"each time (even if the initializer is unseeded). Please update your code to provide a seed to the initializer, or avoid "
                f"using the same initializer instance more than once."
            )
        self._used = True


class RandomUniform(_Random):
    """Uniform in [minval, maxval)."""

    _arguments = ("minval", "maxval", "seed")

    def __init__(self, minval: Any = -0.05, maxval: Any = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        shape, dtype, nonce = self._arguments_of_call(shape, dtype, kwargs)
        if not dtype.is_floating and not dtype.is_integer:
            raise ValueError(f"Expected float or integer dtype, got {dtype}.")
        self._warn_reuse(kwargs)
        return self._random_generator.random_uniform(shape, self.minval, self.maxval, dtype, nonce)


class _Normal(_Random):
    _arguments = ("mean", "stddev", "seed")
    _draw = ""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None):
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        shape, dtype, nonce = self._arguments_of_call(shape, dtype, kwargs)
        self._floating(dtype)
        self._warn_reuse(kwargs)
        return getattr(self._random_generator, self._draw)(shape, self.mean, self.stddev, dtype, nonce)


class RandomNormal(_Normal):
    """Normal with `mean` and `stddev`."""

    _draw = "random_normal"


class TruncatedNormal(_Normal):
    """Normal with `mean` and `stddev`, redrawn outside of two deviations."""

    _draw = "truncated_normal"


class VarianceScaling(_Random):
    """Values whose variance is `scale` / n, n being the inputs ("fan_in"), the outputs ("fan_out") or their mean ("fan_avg")."""

    _arguments = ("scale", "mode", "distribution", "seed")

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "truncated_normal", seed: int | None = None):
        if scale <= 0.0:
            raise ValueError(f"`scale` must be positive float. Received: scale={scale}.")
        modes = {"fan_in", "fan_out", "fan_avg"}
        if mode not in modes:
            raise ValueError(f"Invalid `mode` argument: {mode}. Please use one of the {modes}.")
        distribution = distribution.lower()
        if distribution == "normal":
            distribution = "truncated_normal"
        distributions = {"uniform", "truncated_normal", "untruncated_normal"}
        if distribution not in distributions:
            raise ValueError(f"Invalid `distribution` argument: {distribution}. Allowed distributions: {distributions}.")
        super().__init__(seed)
        self.scale = scale
        self.mode = mode
        self.distribution = distribution

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        shape, dtype, nonce = self._arguments_of_call(shape, dtype, kwargs)
        self._floating(dtype)
        self._warn_reuse(kwargs)
        fan_in, fan_out = _fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "truncated_normal":
            return self._random_generator.truncated_normal(shape, 0.0, math.sqrt(variance) / _TRUNCATED_DEVIATION, dtype, nonce)
        if self.distribution == "untruncated_normal":
            return self._random_generator.random_normal(shape, 0.0, math.sqrt(variance), dtype, nonce)
        limit = math.sqrt(3.0 * variance)
        return self._random_generator.random_uniform(shape, -limit, limit, dtype, nonce)


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs and outputs a unit with weights of `shape` has; kernels end in (inputs, outputs)."""
    dims = [int(d) for d in shape]
    if len(dims) < 2:
        fan = dims[0] if dims else 1
        return fan, fan
    field = math.prod(dims[:-2])
    return dims[-2] * field, dims[-1] * field


def _scaled(name: str, scale: float, mode: str, distribution: str, doc: str) -> type[VarianceScaling]:
    def __init__(self: Any, seed: int | None = None) -> None:
        VarianceScaling.__init__(self, scale=scale, mode=mode, distribution=distribution, seed=seed)

    body = {"__init__": __init__, "__doc__": doc, "__module__": __name__, "_arguments": ("seed",)}
    return type(name, (VarianceScaling,), body)


GlorotUniform = _scaled("GlorotUniform", 1.0, "fan_avg", "uniform", "Uniform within ±sqrt(6 / (inputs + outputs)).")
GlorotNormal = _scaled("GlorotNormal", 1.0, "fan_avg", "truncated_normal", "Truncated normal of variance 2 / (inputs + outputs).")
LecunNormal = _scaled("LecunNormal", 1.0, "fan_in", "truncated_normal", "Truncated normal of variance 1 / inputs.")
LecunUniform = _scaled("LecunUniform", 1.0, "fan_in", "uniform", "Uniform within ±sqrt(3 / inputs).")
HeNormal = _scaled("HeNormal", 2.0, "fan_in", "truncated_normal", "Truncated normal of variance 2 / inputs.")
HeUniform = _scaled("HeUniform", 2.0, "fan_in", "uniform", "Uniform within ±sqrt(6 / inputs).")


class Orthogonal(_Random):
    """A matrix with orthogonal rows or columns times `gain`, for at least two dimensions (all but the last are one)."""

    _arguments = ("gain", "seed")

    def __init__(self, gain: float = 1.0, seed: int | None = None):
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        shape, dtype, _ = self._arguments_of_call(shape, dtype, kwargs, partitions=False)
        self._floating(dtype)
        if len(shape) < 2:
            raise ValueError(
                f"The tensor to initialize must be at least two-dimensional. Received: shape={shape} of rank {len(shape)}."
            )
        self._warn_reuse(kwargs)
        rows, columns = math.prod(int(d) for d in shape[:-1]), int(shape[-1])
        drawn = self._random_generator.random_normal((max(rows, columns), min(rows, columns)), dtype=dtype)
        q, r = tf.linalg.qr(drawn, full_matrices=False)
        q = q * tf.sign(tf.linalg.tensor_diag_part(r))  # makes the result uniform
        if rows < columns:
            q = tf.linalg.matrix_transpose(q)
        return self.gain * tf.reshape(q, shape)


class Identity(Initializer):
    """`gain` times the identity; two dimensions only."""

    _arguments = ("gain",)

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Any:
        shape, dtype, _ = self._arguments_of_call(shape, dtype, kwargs, partitions=False)
        if not dtype.is_floating:
            raise ValueError(f"Expected floating point type, got {dtype}.")
        if len(shape) != 2:
            raise ValueError(
                f"Identity matrix initializer can only be used for 2D matrices. Received: shape={shape} of rank {len(shape)}."
            )
        return self.gain * tf.eye(*shape, dtype=dtype)


_CLASSES: tuple[type[Initializer], ...] = (
    Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, Initializer, LecunNormal, LecunUniform, Ones, Orthogonal,
    RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, Zeros,
)  # fmt: skip

constant, glorot_normal, glorot_uniform, he_normal, he_uniform, identity = (
    Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity
)  # fmt: skip
lecun_normal, lecun_uniform, ones, orthogonal = LecunNormal, LecunUniform, Ones, Orthogonal
random_normal, random_uniform, truncated_normal, variance_scaling, zeros = (
    RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, Zeros
)  # fmt: skip
normal, uniform, one, zero = RandomNormal, RandomUniform, Ones, Zeros

OBJECTS: dict[str, Any] = {
    **{name: cls for cls in _CLASSES for name in (cls.__name__, to_snake_case(cls.__name__), f"{cls.__name__}V2")},
    **{f"{n}V2": c for n, c in (("glorot_normal", GlorotNormal), ("glorot_uniform", GlorotUniform), ("he_normal", HeNormal))},
    **{f"{n}V2": c for n, c in (("he_uniform", HeUniform), ("lecun_normal", LecunNormal), ("lecun_uniform", LecunUniform))},
    "normal": RandomNormal,
    "uniform": RandomUniform,
    "one": Ones,
    "zero": Zeros,
}


def serialize(initializer: Any, use_legacy_format: bool = False) -> Any:
    """The config of an initializer."""
    return named_objects.serialize(initializer, use_legacy_format, Initializer, "initializers")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False) -> Any:
    """The initializer of a config."""
    return named_objects.deserialize(config, OBJECTS, "initializer", custom_objects, use_legacy_format)


def get(identifier: Any) -> Any:
    """An initializer from a name, a config, a class, an instance or any callable.

    Raises:
        ValueError: it is none of these, or the name is unknown.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        identifier = {"class_name": str(identifier), "config": {}}
    if isinstance(identifier, dict):
        return named_objects.deserialize_from_identifier(identifier, OBJECTS, "initializer")
    if callable(identifier):
        return identifier() if inspect.isclass(identifier) else identifier
    raise ValueError(f"Could not interpret initializer identifier: {identifier}")
