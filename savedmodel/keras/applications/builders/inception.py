"""InceptionV3 (Szegedy et al., 2015)."""

from __future__ import annotations

from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame

__all__ = ["InceptionV3"]

_Step = tuple[Any, ...]


def _unit(f: Frame, x: Any, filters: int, height: int, width: int, strides: Any = 1, padding: str = "same") -> Any:
    return f.act(f.norm(f.conv(x, filters, (height, width), strides, padding), scale=False))


def _branch(f: Frame, x: Any, *steps: _Step) -> Any:
    for step in steps:
        x = _unit(f, x, *step)
    return x


def _pooled(f: Frame, x: Any, filters: int) -> Any:
    return _unit(f, layers.AveragePooling2D((3, 3), strides=(1, 1), padding="same")(x), filters, 1, 1)


def _join(f: Frame, parts: list[Any], name: str | None = None) -> Any:
    return layers.concatenate(parts, axis=f.axis, name=name)


def _wide(f: Frame, x: Any, last: int) -> list[Any]:
    """35 × 35."""
    return [
        _branch(f, x, (64, 1, 1)), _branch(f, x, (48, 1, 1), (64, 5, 5)), _branch(f, x, (64, 1, 1), (96, 3, 3), (96, 3, 3)),
        _pooled(f, x, last),
    ]  # fmt: skip


def _middle(f: Frame, x: Any, n: int) -> list[Any]:
    """17 × 17."""
    return [
        _branch(f, x, (192, 1, 1)), _branch(f, x, (n, 1, 1), (n, 1, 7), (192, 7, 1)),
        _branch(f, x, (n, 1, 1), (n, 7, 1), (n, 1, 7), (n, 7, 1), (192, 1, 7)), _pooled(f, x, 192),
    ]  # fmt: skip


def _narrow(f: Frame, x: Any, i: int) -> list[Any]:
    """8 × 8."""
    single = _branch(f, x, (320, 1, 1))
    stem = _branch(f, x, (384, 1, 1))
    fork = _join(f, [_unit(f, stem, 384, 1, 3), _unit(f, stem, 384, 3, 1)], f"mixed9_{i}")
    stem = _branch(f, x, (448, 1, 1), (384, 3, 3))
    double = _join(f, [_unit(f, stem, 384, 1, 3), _unit(f, stem, 384, 3, 1)])
    return [single, fork, double, _pooled(f, x, 192)]


def InceptionV3(
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None, pooling: str | None = None,
    classes: int = 1000, classifier_activation: Any = "softmax",
) -> Any:  # fmt: skip
    """InceptionV3: parallel convolutions of several sizes."""
    files = [f"inception_v3_weights_tf_dim_ordering_tf_kernels{end}.h5" for end in ("", "_notop")]
    f = Frame(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, 299, 75, files)
    half = ((2, 2), "valid")
    x = _branch(f, f.images, (32, 3, 3, *half), (32, 3, 3, 1, "valid"), (64, 3, 3))
    x = layers.MaxPooling2D((3, 3), strides=(2, 2))(x)
    x = _branch(f, x, (80, 1, 1, 1, "valid"), (192, 3, 3, 1, "valid"))
    x = layers.MaxPooling2D((3, 3), strides=(2, 2))(x)
    for i, last in enumerate((32, 64, 64)):
        x = _join(f, _wide(f, x, last), f"mixed{i}")
    parts = [_branch(f, x, (384, 3, 3, *half)), _branch(f, x, (64, 1, 1), (96, 3, 3), (96, 3, 3, *half))]
    x = _join(f, [*parts, layers.MaxPooling2D((3, 3), strides=(2, 2))(x)], "mixed3")
    for i, width in enumerate((128, 160, 160, 192), 4):
        x = _join(f, _middle(f, x, width), f"mixed{i}")
    parts = [
        _branch(f, x, (192, 1, 1), (320, 3, 3, *half)), _branch(f, x, (192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, *half)),
    ]  # fmt: skip
    x = _join(f, [*parts, layers.MaxPooling2D((3, 3), strides=(2, 2))(x)], "mixed8")
    for i in range(2):
        x = _join(f, _narrow(f, x, i), f"mixed{9 + i}")
    return f.model(f.top(x), "inception_v3")
