"""keras.backend: the global settings of Keras (float type, epsilon, data format, learning phase, name counters)."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from savedmodel.keras import naming
from tracer.errors import InvalidArgumentError

__all__ = ["clear_session", "epsilon", "floatx", "image_data_format", "learning_phase", "set_epsilon", "set_floatx", "set_image_data_format"]


class _Settings:
    floatx = "float32"
    epsilon = 1e-7
    image_data_format = "channels_last"
    phase: int | None = None  # None: never set


class _LocalPhase(threading.local):
    value: int | None = None


_local = _LocalPhase()


def backend() -> str:
    """The name of the backend, as models record it."""
    return "tensorflow"


def floatx() -> str:
    """The default float type."""
    return _Settings.floatx


def set_floatx(value: str) -> None:
    """Set the default float type: float16, float32 or float64."""
    if value not in ("float16", "float32", "float64"):
        raise InvalidArgumentError(f"Unknown `floatx` value: {value}. Expected one of {{'float16', 'float32', 'float64'}}")
    _Settings.floatx = str(value)


def epsilon() -> float:
    """The fuzz factor of numeric expressions."""
    return _Settings.epsilon


def set_epsilon(value: float) -> None:
    _Settings.epsilon = value


def image_data_format() -> str:
    """`channels_last` or `channels_first`."""
    return _Settings.image_data_format


def set_image_data_format(data_format: str) -> None:
    if data_format not in ("channels_last", "channels_first"):
        raise InvalidArgumentError(f"Unknown `data_format`: {data_format}. Expected one of {{'channels_last', 'channels_first'}}")
    _Settings.image_data_format = str(data_format)


# -- learning phase --------------------------------------------------------------------------------------------------


def learning_phase() -> Any:
    """0 (inference) or 1 (training), for layers that are told nothing else."""
    if _local.value is not None:
        return _local.value
    return 0 if _Settings.phase is None else _Settings.phase


def global_learning_phase_is_set() -> bool:
    """Whether `set_learning_phase` was called, or a learning phase scope is open."""
    return _Settings.phase is not None or _local.value is not None


def set_learning_phase(value: Any) -> None:
    """Set the learning phase for good."""
    warnings.warn(
        "`tf.keras.backend.set_learning_phase` is deprecated and will be removed after 2020-10-11. To update it, simply pass a True/False "
        "value to the `training` argument of the `__call__` method of your layer or model."
    )
    if value not in (0, 1):
        raise InvalidArgumentError("Expected learning phase to be 0 or 1.")
    _Settings.phase = value


@contextlib.contextmanager
def learning_phase_scope(value: Any) -> Iterator[None]:
    """A context with that learning phase."""
    if value not in (0, 1):
        raise InvalidArgumentError("Expected learning phase to be 0 or 1.")
    previous = _local.value
    _local.value = value
    try:
        yield
    finally:
        _local.value = previous


# -- names -----------------------------------------------------------------------------------------------------------


def get_uid(prefix: str = "") -> int:
    """1, 2, 3… for each call with `prefix`."""
    counts = naming.uids()
    counts[prefix] = counts.get(prefix, 0) + 1
    return counts[prefix]


def reset_uids() -> None:
    """Start the counters of automatic names anew."""
    naming.clear()


def clear_session() -> None:
    """Forget what Keras keeps globally: name counters and the learning phase."""
    naming.clear()
    _Settings.phase = None


def unique_object_name(*args: Any, **kwargs: Any) -> str:
    """See `naming.unique_object_name`."""
    return naming.unique_object_name(*args, **kwargs)


def __getattr__(name: str) -> Any:
    # the functions on tensors live apart, so that reading a setting imports no op family
    if not name.startswith("_"):
        from savedmodel.keras import backend_functions

        found = backend_functions.__dict__.get(name)
        if found is not None and name in backend_functions.__all__:
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
