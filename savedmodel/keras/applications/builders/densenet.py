"""DenseNets (Huang et al., 2017)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201"]

_EPSILON = 1.001e-5
_GROWTH = 32


def _layer(f: Frame, x: Any, name: str) -> Any:
    new = f.act(f.norm(x, f"{name}_0_bn", epsilon=_EPSILON), f"{name}_0_relu")
    new = f.conv(new, 4 * _GROWTH, 1, name=f"{name}_1_conv")
    new = f.act(f.norm(new, f"{name}_1_bn", epsilon=_EPSILON), f"{name}_1_relu")
    new = f.conv(new, _GROWTH, 3, padding="same", name=f"{name}_2_conv")
    return layers.Concatenate(axis=f.axis, name=f"{name}_concat")([x, new])


def _transition(f: Frame, x: Any, name: str) -> Any:
    x = f.act(f.norm(x, f"{name}_bn", epsilon=_EPSILON), f"{name}_relu")
    x = f.conv(x, int(f.channels(x) * 0.5), 1, name=f"{name}_conv")
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _densenet(name: str, depths: tuple[int, ...], args: tuple[Any, ...]) -> Any:
    f = Frame(*args, files=[f"{name}_weights_tf_dim_ordering_tf_kernels{end}.h5" for end in ("", "_notop")])
    x = layers.ZeroPadding2D(padding=((3, 3), (3, 3)))(f.images)
    x = f.conv(x, 64, 7, 2, name="conv1/conv")
    x = f.act(f.norm(x, "conv1/bn", epsilon=_EPSILON), "conv1/relu")
    x = layers.ZeroPadding2D(padding=((1, 1), (1, 1)))(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for i, depth in enumerate(depths, 2):
        for j in range(1, depth + 1):
            x = _layer(f, x, f"conv{i}_block{j}")
        if i < 5:
            x = _transition(f, x, f"pool{i}")
    x = f.act(f.norm(x, "bn", epsilon=_EPSILON), "relu")
    return f.model(f.top(x, without=("avg_pool", "max_pool")), name)


def _builder(title: str, depths: tuple[int, ...]) -> Callable[..., Any]:
    def build(
        include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None, pooling: str | None = None,
        classes: int = 1000, classifier_activation: Any = "softmax",
    ) -> Any:  # fmt: skip
        return _densenet(
            title.lower(), depths, (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
        )

    build.__name__ = build.__qualname__ = title
    build.__doc__ = f"{title}: four dense blocks of {depths} layers."
    return build


DenseNet121 = _builder("DenseNet121", (6, 12, 24, 16))
DenseNet169 = _builder("DenseNet169", (6, 12, 32, 32))
DenseNet201 = _builder("DenseNet201", (6, 12, 48, 32))
