"""Constructor arguments of layers: kept as attributes, described in configs. Knows which names stand for initializers, activations, …."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from savedmodel.keras import activations, constraints, initializers, regularizers
from tracer.shapes import TensorShape

__all__ = ["checked_data_format", "describe", "dims", "keep", "normalize_padding", "normalize_tuple", "window_length"]

_KINDS: dict[str, Any] = {
    "initializer": initializers, "regularizer": regularizers, "constraint": constraints, "activation": activations,
}  # fmt: skip


def _kind(name: str) -> Any:
    return _KINDS.get(name.rpartition("_")[2])


def keep(layer: Any, given: Mapping[str, Any], names: str) -> None:
    """Set attributes from arguments; those named `…_initializer`, `…_activation` and so on are looked up first."""
    for name in names.split():
        kind = _kind(name)
        setattr(layer, name, given[name] if kind is None else kind.get(given[name]))


def describe(layer: Any, names: str) -> dict[str, Any]:
    """Attributes as config entries, in the given order."""
    config = {}
    for name in names.split():
        value, kind = getattr(layer, name), _kind(name)
        config[name] = value if kind is None else kind.serialize(value)
    return config


def dims(shape: Any) -> tuple[int | None, ...]:
    """A shape as a tuple."""
    return tuple(TensorShape(shape).as_list())


def normalize_tuple(value: Any, n: int, name: str, allow_zero: bool = False) -> tuple[int, ...]:
    """An int, or `n` ints, as a tuple.

    Raises:
        ValueError: something else, or values that are too small.
    """
    text = f"The `{name}` argument must be a tuple of {n} integers. Received: {value}"
    if isinstance(value, int):
        values: tuple[int, ...] = (value,) * n
    else:
        try:
            values = tuple(value)
        except TypeError:
            raise ValueError(text) from None
        if len(values) != n:
            raise ValueError(text)
        for single in values:
            try:
                int(single)
            except (ValueError, TypeError):
                raise ValueError(f"{text} including element {single} of type {type(single)}") from None
    wrong = {v for v in values if (v < 0 if allow_zero else v <= 0)}
    if wrong:
        raise ValueError(f"{text} including {wrong} that does not satisfy the requirement `{'>= 0' if allow_zero else '> 0'}`.")
    return values


def checked_data_format(value: str | None) -> str:
    """`value`, or the default of the backend.

    Raises:
        ValueError: neither channels_first nor channels_last.
    """
    from savedmodel.keras import backend

    if value is None:
        value = backend.image_data_format()
    data_format = value.lower()
    if data_format not in {"channels_first", "channels_last"}:
        raise ValueError(f'The `data_format` argument must be one of "channels_first", "channels_last". Received: {value}')
    return data_format


def normalize_padding(value: Any) -> str:
    """A padding name in lower case.

    Raises:
        ValueError: unknown padding.
    """
    if isinstance(value, (list, tuple)):
        return value  # type: ignore[return-value]
    padding = value.lower()
    if padding not in {"valid", "same", "causal"}:
        raise ValueError(f'The `padding` argument must be a list/tuple or one of "valid", "same" (or "causal", only for `Conv1D). Received: {padding}')
    return padding


def window_length(length: int | None, window: int, padding: str, stride: int, dilation: int = 1) -> int | None:
    """How many windows fit a dimension: the output length of convolutions and pools."""
    if length is None:
        return None
    dilated = window + (window - 1) * (dilation - 1)
    if padding in ("same", "causal"):
        out = length
    elif padding == "valid":
        out = length - dilated + 1
    else:
        out = length + dilated - 1
    return (out + stride - 1) // stride


def product(values: Sequence[int]) -> int:
    """Of all values."""
    out = 1
    for v in values:
        out *= v
    return out
