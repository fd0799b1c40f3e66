"""Activation functions of Keras 2.15, by function and by name."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

from savedmodel.keras import named_objects
from tracer.public import tf
from tracer.tensor import Tensor, convert_to_tensor

__all__ = [
    "deserialize", "elu", "exponential", "gelu", "get", "hard_sigmoid", "leaky_relu", "linear", "log_softmax", "mish", "relu", "relu6",
    "selu", "serialize", "sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh",
]  # fmt: skip


def _tensor(x: Any) -> Any:
    """Arrays and Python values as tensors; whatever else has a dtype (tensors, functional inputs) as it is."""
    return x if hasattr(x, "dtype") and hasattr(x, "shape") and not hasattr(x, "__array_interface__") else convert_to_tensor(x)


def _with_logits(output: Any, logits: Any) -> Any:
    """`output` that remembers the tensor it was made of, so that losses can work on logits."""
    if isinstance(output, Tensor):
        output._keras_logits = logits
    return output


def softmax(x: Any, axis: Any = -1) -> Any:
    """exp(x) normalised along `axis` (an int or several).

    Raises:
        ValueError: `x` has one dimension.
    """
    x = _tensor(x)
    if x.shape.rank is not None and x.shape.rank <= 1:
        raise ValueError(f"Cannot apply softmax to a tensor that is 1D. Received input: {x}")
    if isinstance(axis, int):
        output = tf.nn.softmax(x, axis=axis)
    else:
        exponents = tf.exp(x - tf.reduce_max(x, axis=axis, keepdims=True))
        output = exponents / tf.reduce_sum(exponents, axis=axis, keepdims=True)
    return _with_logits(output, x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x, and alpha·(exp(x) - 1) below zero."""
    x = _tensor(x)
    result = tf.nn.elu(x)
    return result if alpha == 1 else tf.where(x > 0, result, alpha * result)


def selu(x: Any) -> Any:
    """The scaled exponential linear unit."""
    return tf.nn.selu(x)


def softplus(x: Any) -> Any:
    """log(exp(x) + 1)."""
    return tf.math.softplus(x)


def softsign(x: Any) -> Any:
    """x / (|x| + 1)."""
    return tf.math.softsign(x)


def swish(x: Any) -> Any:
    """x·sigmoid(x)."""
    return tf.nn.silu(x)


def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Any:
    """x at and above `threshold` (at most `max_value`), alpha·(x - threshold) below."""
    x = _tensor(x)
    dtype = x.dtype
    negative = None
    if alpha != 0.0:
        if max_value is None and threshold == 0:
            return tf.nn.leaky_relu(x, alpha=alpha)
        negative = tf.nn.relu(-x + threshold) if threshold != 0 else tf.nn.relu(-x)
    if threshold != 0:
        out = x * tf.cast(tf.greater(x, threshold), dtype)
    elif max_value == 6:
        out = tf.nn.relu6(x)
    else:
        out = tf.nn.relu(x)
    if max_value is not None and (threshold != 0 or max_value != 6):
        out = tf.clip_by_value(out, convert_to_tensor(0, dtype=dtype), convert_to_tensor(max_value, dtype=dtype))
    if negative is not None:
        out = out - convert_to_tensor(alpha, dtype=dtype) * negative
    return out


def gelu(x: Any, approximate: bool = False) -> Any:
    """x times the normal distribution function of x."""
    return tf.nn.gelu(x, approximate)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return tf.tanh(x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    x = _tensor(x)
    return _with_logits(tf.sigmoid(x), x)


def exponential(x: Any) -> Any:
    """exp(x)."""
    return tf.exp(x)


def hard_sigmoid(x: Any) -> Any:
    """0.2·x + 0.5 within [0, 1]."""
    x = _tensor(x)
    x = tf.multiply(x, convert_to_tensor(0.2, dtype=x.dtype))
    x = tf.add(x, convert_to_tensor(0.5, dtype=x.dtype))
    return tf.clip_by_value(x, 0.0, 1.0)


def linear(x: Any) -> Any:
    """x."""
    return x


def mish(x: Any) -> Any:
    """x·tanh(softplus(x))."""
    return _tensor(x) * tf.math.tanh(tf.math.softplus(x))


leaky_relu = tf.nn.leaky_relu
log_softmax = tf.nn.log_softmax
relu6 = tf.nn.relu6
silu = tf.nn.silu

_FUNCTIONS: dict[str, Any] = {
    f.__name__: f
    for f in (softmax, elu, selu, softplus, softsign, swish, relu, gelu, tanh, sigmoid, exponential, hard_sigmoid, linear, mish)
}
_FUNCTIONS |= {"leaky_relu": leaky_relu, "log_softmax": log_softmax, "relu6": relu6, "silu": silu}


def _objects() -> dict[str, Any]:
    from savedmodel.keras.layers import activation as layers

    classes = {name: getattr(layers, name) for name in ("ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU")}
    return {**_FUNCTIONS, **classes}


def serialize(activation: Any, use_legacy_format: bool = False) -> Any:
    """The name of a built-in function, the registered name of a custom one, or the config of an activation layer.

    Raises:
        ValueError: a function whose name leads nowhere.
    """
    from savedmodel.keras import registration

    if getattr(activation, "__name__", None) == "softmax_v2":
        return "softmax"
    if use_legacy_format:
        return named_objects.serialize(activation, True)
    public_name = getattr(activation, "__name__", None)
    if _FUNCTIONS.get(public_name or "") is activation:
        return public_name
    config = named_objects.serialize(activation)
    if not isinstance(config, dict):
        return config
    if "config" not in config:
        raise ValueError(
            f"Unknown activation function '{activation}' cannot be serialized due to invalid function name. Make sure to use an activation "
            f"name that matches the references defined in activations.py or use `@keras.saving.register_keras_serializable()` to register "
            f"any custom activations. config={config}"
        )
    if not isinstance(activation, types.FunctionType):
        return config
    if isinstance(config["config"], str) and config["config"] not in _FUNCTIONS:
        return {**config, "config": registration.get_registered_name(activation)}
    return config["config"]


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False) -> Any:
    """The function of a name or config.

    Raises:
        ValueError: no function has that name.
    """
    if isinstance(name, str) and not custom_objects:
        found = _FUNCTIONS.get(name)
        if found is not None and not _is_overridden(name):
            return found
    result = named_objects.deserialize(name, _objects(), "activation function", custom_objects, use_legacy_format)
    if isinstance(result, str):
        raise ValueError(f"Unknown activation function '{name}' cannot be deserialized.")
    return result


def _is_overridden(name: str) -> bool:
    from savedmodel.keras import registration

    return registration.get_registered_object(name) is not None


def get(identifier: Any) -> Any:
    """An activation function from None (linear), a name, a config or any callable.

    Raises:
        TypeError: it is none of these.
        ValueError: unknown name.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return deserialize(str(identifier))
    if isinstance(identifier, dict):
        return deserialize(identifier, use_legacy_format="module" not in identifier)
    if callable(identifier):
        return identifier
    raise TypeError(f"Could not interpret activation function identifier: {identifier}")
