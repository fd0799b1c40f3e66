"""Dtype policies: in which dtype a layer computes and in which it keeps its variables. It refuses to scale losses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer.dtypes import DType, as_dtype
from tracer.errors import DTypeError, InvalidArgumentError

__all__ = ["Policy", "deserialize", "get_policy", "global_policy", "serialize", "set_global_policy", "with_input_dtype"]

_INFER = "_infer"
_MIXED = {"mixed_float16": ("float16", "float32"), "mixed_bfloat16": ("bfloat16", "float32"), _INFER: (None, None)}


class Policy:
    """A dtype policy.

    Args:
        name: the name of a dtype (computations and variables use it), `mixed_float16` or `mixed_bfloat16` (variables stay float32).

    Raises:
        TypeError: `name` is no string. ValueError: no policy has that name.
    """

    def __init__(self, name: str):
        if isinstance(name, DType):
            raise DTypeError(f"'name' must be a string, not a DType. Instead, pass DType.name. Received: name={name.name}")
        if not isinstance(name, str):
            raise TypeError(f"'name' must be a string, but got: {name}")
        self._name = name
        if name in _MIXED:
            self._compute_dtype, self._variable_dtype = _MIXED[name]
            return
        try:
            dtype = as_dtype(name).name
        except (TypeError, ValueError):
            raise InvalidArgumentError(
                f"Cannot convert value {name} to a mixed precision Policy. Valid policies include 'mixed_float16', 'mixed_bfloat16', "
                f"and the name of any dtype such as 'float32'."
            ) from None
        self._compute_dtype = self._variable_dtype = dtype

    @property
    def name(self) -> str:
        return self._name

    @property
    def compute_dtype(self) -> str | None:
        """The dtype in which layers compute; None while it is still to be inferred."""
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str | None:
        return self._variable_dtype

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Policy:
        config = {k: v for k, v in config.items() if k != "loss_scale"}
        return cls(**config)

    def __repr__(self) -> str:
        return f'<Policy "{self._name}">'


class _Global:
    policy: Policy | None = None
    on_change: list[Callable[[], None]] = []


def global_policy() -> Policy:
    """The policy of layers that are given none: the float type of the backend, unless set."""
    if _Global.policy is None:
        from savedmodel.keras import backend

        return Policy(backend.floatx())
    return _Global.policy


def set_global_policy(policy: Any) -> None:
    """Set the policy of layers that are given none (a Policy, a name, or None for the default).

    Raises:
        ValueError: the policy does not compute in floating point.
    """
    if policy is not None and not isinstance(policy, Policy):
        policy = Policy(policy)
    if policy is not None and policy.compute_dtype is not None and not as_dtype(policy.compute_dtype).is_floating:
        raise InvalidArgumentError(
            f"set_global_policy can only be used to set the global policy to floating-point policies, such as \"float32\" and "
            f"\"mixed_float16\", but got policy: {policy.name}"
        )
    _Global.policy = policy


def with_input_dtype(policy: Policy, dtype: Any) -> Policy:
    """`policy`, or where it is still to be inferred, the one of `dtype`."""
    return policy if policy.compute_dtype else Policy(as_dtype(dtype).base_dtype.name)


def get_policy(identifier: Any) -> Policy:
    """The policy that a layer's `dtype` argument means: a Policy, its config, a dtype or name, or None for the global one."""
    if isinstance(identifier, Policy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str) and identifier in ("mixed_float16", "mixed_bfloat16"):
        return Policy(identifier)
    if identifier:
        return Policy(as_dtype(identifier).name)
    return global_policy()


def _is_dtype_name(name: str) -> bool:
    try:
        as_dtype(name)
    except (TypeError, ValueError):
        return False
    return True


def serialize(policy: Policy) -> Any:
    """The policy as it stands in a layer's config: a dtype name where that says it all, else a serialized object."""
    if type(policy) is Policy and (policy.name == _INFER or _is_dtype_name(policy.name)):
        return None if policy.name == _INFER else policy.name
    from savedmodel.keras.saving import serialization

    return serialization.serialize_keras_object(policy)


def deserialize(config: Any, custom_objects: Any = None) -> Policy:
    """The policy of a config made by `serialize`."""
    if config is None:
        return Policy(_INFER)
    if isinstance(config, str):
        return Policy(config)
    if isinstance(config, dict) and config.get("class_name") in ("Policy", "PolicyV1") and not config.get("registered_name"):
        return Policy.from_config(config["config"])
    from savedmodel.keras.saving import serialization

    return serialization.deserialize_keras_object(config, custom_objects=custom_objects)
