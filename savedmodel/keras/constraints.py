"""Projections of weights after an update: Keras 2.15's constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from savedmodel.keras import named_objects
from tracer.public import tf
from tracer.tensor import convert_to_tensor


class Constraint:
    """Base: `__call__(w)` gives the projected weights."""

    _arguments: tuple[str, ...] = ()

    def __call__(self, w: Any) -> Any:
        return w

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {name: getattr(self, name) for name in self._arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An instance with the arguments in `config`."""
        return cls(**config)


def _norms(w: Any, axis: Any) -> Any:
    squares = tf.reduce_sum(tf.square(w), axis=axis, keepdims=True)
    return tf.sqrt(tf.maximum(squares, 0.0))


def _epsilon() -> float:
    from savedmodel.keras import backend

    return backend.epsilon()


class MaxNorm(Constraint):
    """Norms along `axis` at most `max_value`."""

    _arguments = ("max_value", "axis")

    def __init__(self, max_value: Any = 2, axis: Any = 0):
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        wanted = tf.clip_by_value(norms, 0.0, float(max(self.max_value, 0)))
        return w * (wanted / (_epsilon() + norms))


class NonNeg(Constraint):
    """Negative weights become zero."""

    def __call__(self, w: Any) -> Any:
        from savedmodel.keras import backend

        return w * tf.cast(tf.greater_equal(w, 0.0), backend.floatx())


class UnitNorm(Constraint):
    """Norms along `axis` become one."""

    _arguments = ("axis",)

    def __init__(self, axis: Any = 0):
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return w / (_epsilon() + _norms(w, self.axis))


class MinMaxNorm(Constraint):
    """Norms along `axis` move by `rate` into [min_value, max_value]."""

    _arguments = ("min_value", "max_value", "rate", "axis")

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0):
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        norms = _norms(w, self.axis)
        clipped = tf.clip_by_value(norms, float(self.min_value), float(max(self.max_value, self.min_value)))
        wanted = self.rate * clipped + (1 - self.rate) * norms
        return w * (wanted / (_epsilon() + norms))


class RadialConstraint(Constraint):
    """Convolution kernels that depend on the distance from their centre alone; square kernels of rank 4."""

    def __call__(self, w: Any) -> Any:
        if w.shape.rank != 4:
            raise ValueError(f"The weight tensor must have rank 4. Received weight tensor with shape: {w.shape}")
        w = convert_to_tensor(w)
        size = w.shape[0]
        start = size // 2
        # Ring r of each kernel holds the value at row and column `start + r`; an even kernel begins with a 2x2 centre.
        rings = [w[start - 1 : start, start - 1 : start]]
        if size % 2 == 0:
            rings[0] = tf.tile(rings[0], [2, 2, 1, 1])
        kernel = rings[0]
        for i in range(1 - size % 2, start):
            value = w[start + i : start + i + 1, start + i : start + i + 1]
            inside = tf.pad(tf.ones_like(kernel), [[1, 1], [1, 1], [0, 0], [0, 0]])
            kernel = tf.pad(kernel, [[1, 1], [1, 1], [0, 0], [0, 0]]) + (1.0 - inside) * value
        return kernel


max_norm = maxnorm = MaxNorm
non_neg = nonneg = NonNeg
unit_norm = unitnorm = UnitNorm
min_max_norm = MinMaxNorm
radial_constraint = RadialConstraint

OBJECTS: dict[str, Any] = {
    "Constraint": Constraint, "MaxNorm": MaxNorm, "NonNeg": NonNeg, "UnitNorm": UnitNorm, "MinMaxNorm": MinMaxNorm,
    "RadialConstraint": RadialConstraint, "max_norm": MaxNorm, "maxnorm": MaxNorm, "non_neg": NonNeg, "nonneg": NonNeg,
    "unit_norm": UnitNorm, "unitnorm": UnitNorm, "min_max_norm": MinMaxNorm, "radial_constraint": RadialConstraint,
}  # fmt: skip


def serialize(constraint: Any, use_legacy_format: bool = False) -> Any:
    """The config of a constraint."""
    return named_objects.serialize(constraint, use_legacy_format, Constraint, "constraints")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False) -> Any:
    """The constraint of a config."""
    return named_objects.deserialize(config, OBJECTS, "constraint", custom_objects, use_legacy_format)


def get(identifier: Any) -> Any:
    """A constraint from a name, a config or any callable.

    Raises:
        ValueError: it is none of these, or the name is unknown.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        identifier = {"class_name": str(identifier), "config": {}}
    if isinstance(identifier, dict):
        return named_objects.deserialize_from_identifier(identifier, OBJECTS, "constraint")
    if callable(identifier):
        return identifier
    raise ValueError(f"Could not interpret constraint function identifier: {identifier}")
