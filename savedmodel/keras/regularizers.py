"""Penalties on weights and activities: Keras 2.15's regularizers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from savedmodel.keras import named_objects
from tracer.public import tf
from tracer.tensor import convert_to_tensor


def _penalty(value: Any) -> Any:
    """A penalty factor as a floatx scalar.

    Raises:
        ValueError: no number, or not finite.
    """
    if not isinstance(value, (float, int)):
        raise ValueError(f"Value {value} is not a valid regularization penalty number, expected an int or float value.")
    if math.isinf(value) or math.isnan(value):
        raise ValueError(f"Value {value} is not a valid regularization penalty number, an infinite number or NaN are not valid values.")
    from savedmodel.keras import backend

    return np.asarray(value, dtype=backend.floatx())


class Regularizer:
    """Base: `__call__(x)` gives the penalty of a tensor."""

    def __call__(self, x: Any) -> Any:
        return 0.0

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An instance with the arguments in `config`."""
        return cls(**config)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments by name."""
        raise NotImplementedError(f"{self} does not implement get_config(); return its constructor arguments to save models that use it")


def _absolute_sum(factor: Any, x: Any) -> Any:
    return factor * tf.reduce_sum(tf.abs(x))


def _square_sum(factor: Any, x: Any) -> Any:
    return 2.0 * factor * tf.nn.l2_loss(x)  # l2_loss halves


class L1L2(Regularizer):
    """l1·Σ|x| + l2·Σx²."""

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0):
        self.l1 = _penalty(0.0 if l1 is None else l1)
        self.l2 = _penalty(0.0 if l2 is None else l2)

    def __call__(self, x: Any) -> Any:
        total = convert_to_tensor(0.0, dtype=x.dtype)
        if self.l1:
            total += _absolute_sum(self.l1, x)
        if self.l2:
            total += _square_sum(self.l2, x)
        return total

    def get_config(self) -> dict[str, Any]:
        return {"l1": float(self.l1), "l2": float(self.l2)}


class _OnePenalty(Regularizer):
    _key = ""

    def _set(self, value: Any, kwargs: dict[str, Any]) -> None:
        value = kwargs.pop("l", value)  # the argument's name in old configs
        if kwargs:
            raise TypeError(f"Argument(s) not recognized: {kwargs}")
        setattr(self, self._key, _penalty(0.01 if value is None else value))

    def get_config(self) -> dict[str, Any]:
        return {self._key: float(getattr(self, self._key))}


class L1(_OnePenalty):
    """l1·Σ|x|."""

    _key = "l1"
    l1: Any

    def __init__(self, l1: float | None = 0.01, **kwargs: Any):
        self._set(l1, kwargs)

    def __call__(self, x: Any) -> Any:
        return _absolute_sum(self.l1, x)


class L2(_OnePenalty):
    """l2·Σx²."""

    _key = "l2"
    l2: Any

    def __init__(self, l2: float | None = 0.01, **kwargs: Any):
        self._set(l2, kwargs)

    def __call__(self, x: Any) -> Any:
        return _square_sum(self.l2, x)


class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean absolute cosine between different rows (or columns) of a matrix."""

    def __init__(self, factor: float = 0.01, mode: str = "rows"):
        self.factor = _penalty(factor)
        if mode not in {"rows", "columns"}:
            raise ValueError(f'Invalid value for argument `mode`. Expected one of {{"rows", "columns"}}. Received: mode={mode}')
        self.mode = mode

    def __call__(self, inputs: Any) -> Any:
        if inputs.shape.rank != 2:
            raise ValueError(f"Inputs to OrthogonalRegularizer must have rank 2. Received: inputs.shape == {inputs.shape}")
        by_rows = self.mode == "rows"
        unit = tf.math.l2_normalize(inputs, axis=1 if by_rows else 0)
        turned = tf.transpose(unit)
        product = tf.matmul(unit, turned) if by_rows else tf.matmul(turned, unit)
        size = inputs.shape[0 if by_rows else 1]
        off_diagonal = product * (1.0 - tf.eye(size, dtype=inputs.dtype))
        return self.factor * 0.5 * tf.reduce_sum(tf.abs(off_diagonal)) / (size * (size - 1.0) / 2.0)

    def get_config(self) -> dict[str, Any]:
        return {"factor": float(self.factor), "mode": self.mode}


def l1_l2(l1: float = 0.01, l2: float = 0.01) -> L1L2:
    """Both penalties."""
    return L1L2(l1=l1, l2=l2)


l1 = L1
l2 = L2
orthogonal_regularizer = OrthogonalRegularizer

OBJECTS: dict[str, Any] = {
    "Regularizer": Regularizer, "L1L2": L1L2, "L1": L1, "L2": L2, "l1": L1, "l2": L2, "l1_l2": l1_l2,
    "OrthogonalRegularizer": OrthogonalRegularizer, "orthogonal_regularizer": OrthogonalRegularizer,
}  # fmt: skip


def serialize(regularizer: Any, use_legacy_format: bool = False) -> Any:
    """The config of a regularizer."""
    return named_objects.serialize(regularizer, use_legacy_format, Regularizer, "regularizers")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False) -> Any:
    """The regularizer of a name or config."""
    if config == "l1_l2":
        return L1L2(l1=0.01, l2=0.01)
    if isinstance(config, str) and config in OBJECTS and not custom_objects:
        return OBJECTS[config]()
    return named_objects.deserialize(config, OBJECTS, "regularizer", custom_objects, use_legacy_format)


def get(identifier: Any) -> Any:
    """A regularizer from a name, a config or any callable.

    Raises:
        ValueError: it is none of these, or the name is unknown.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return named_objects.deserialize_from_identifier(identifier, OBJECTS, "regularizer")
    if isinstance(identifier, str):
        return deserialize(str(identifier))
    if callable(identifier):
        return identifier
    raise ValueError(f"Could not interpret regularizer identifier: {identifier}")
