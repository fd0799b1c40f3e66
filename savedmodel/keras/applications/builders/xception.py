"""Xception (Chollet, 2017)."""

from __future__ import annotations

from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame

__all__ = ["Xception"]


def _separable(f: Frame, x: Any, filters: int, name: str) -> Any:
    x = layers.SeparableConv2D(filters, (3, 3), padding="same", use_bias=False, name=name)(x)
    return f.norm(x, f"{name}_bn")


def _shortcut(f: Frame, x: Any, filters: int) -> Any:
    return f.norm(f.conv(x, filters, (1, 1), (2, 2), "same"))


def Xception(
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None, pooling: str | None = None,
    classes: int = 1000, classifier_activation: Any = "softmax",
) -> Any:  # fmt: skip
    """Xception: depthwise separable convolutions with shortcuts."""
    files = [f"xception_weights_tf_dim_ordering_tf_kernels{end}.h5" for end in ("", "_notop")]
    f = Frame(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, 299, 71, files)
    x = f.conv(f.images, 32, (3, 3), (2, 2), name="block1_conv1")
    x = f.act(f.norm(x, "block1_conv1_bn"), "block1_conv1_act")
    x = f.conv(x, 64, (3, 3), name="block1_conv2")
    x = f.act(f.norm(x, "block1_conv2_bn"), "block1_conv2_act")
    for block, widths in ((2, (128, 128)), (3, (256, 256)), (4, (728, 728)), *((b, (728,) * 3) for b in range(5, 13)), (13, (728, 1024))):
        middle = len(widths) == 3
        residual = x if middle else _shortcut(f, x, widths[-1])
        for i, width in enumerate(widths, 1):
            name = f"block{block}_sepconv{i}"
            if block > 2 or i > 1:
                x = f.act(x, f"{name}_act")
            x = _separable(f, x, width, name)
        if not middle:
            x = layers.MaxPooling2D((3, 3), strides=(2, 2), padding="same", name=f"block{block}_pool")(x)
        x = layers.add([x, residual])
    for i, width in enumerate((1536, 2048), 1):
        x = f.act(_separable(f, x, width, f"block14_sepconv{i}"), f"block14_sepconv{i}_act")
    return f.model(f.top(x), "xception")
