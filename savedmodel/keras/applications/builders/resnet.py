"""ResNets (He et al., 2015 and, with activations before convolutions, 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame

__all__ = ["ResNet50", "ResNet50V2", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2"]

_EPSILON = 1.001e-5


def _block(f: Frame, x: Any, filters: int, stride: int, widen: bool, name: str) -> Any:
    shortcut = x
    if widen:
        shortcut = f.conv(x, 4 * filters, 1, stride, bias=True, name=f"{name}_0_conv")
        shortcut = f.norm(shortcut, f"{name}_0_bn", epsilon=_EPSILON)
    for i, (width, size, step, padding) in enumerate(
        [(filters, 1, stride, "valid"), (filters, 3, 1, "same"), (4 * filters, 1, 1, "valid")], 1
    ):
        x = f.conv(x, width, size, step, padding, bias=True, name=f"{name}_{i}_conv")
        x = f.norm(x, f"{name}_{i}_bn", epsilon=_EPSILON)
        if i < 3:
            x = f.act(x, f"{name}_{i}_relu")
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return f.act(x, f"{name}_out")


def _block_v2(f: Frame, x: Any, filters: int, stride: int, widen: bool, name: str) -> Any:
    ready = f.act(f.norm(x, f"{name}_preact_bn", epsilon=_EPSILON), f"{name}_preact_relu")
    if widen:
        shortcut = f.conv(ready, 4 * filters, 1, stride, bias=True, name=f"{name}_0_conv")
    else:
        shortcut = layers.MaxPooling2D(1, strides=stride)(x) if stride > 1 else x
    x = f.conv(ready, filters, 1, name=f"{name}_1_conv")
    x = f.act(f.norm(x, f"{name}_1_bn", epsilon=_EPSILON), f"{name}_1_relu")
    x = layers.ZeroPadding2D(padding=((1, 1), (1, 1)), name=f"{name}_2_pad")(x)
    x = f.conv(x, filters, 3, stride, name=f"{name}_2_conv")
    x = f.act(f.norm(x, f"{name}_2_bn", epsilon=_EPSILON), f"{name}_2_relu")
    x = f.conv(x, 4 * filters, 1, bias=True, name=f"{name}_3_conv")
    return layers.Add(name=f"{name}_out")([shortcut, x])


def _resnet(name: str, depths: tuple[int, ...], second: bool, args: tuple[Any, ...]) -> Any:
    files = [f"{name}_weights_tf_dim_ordering_tf_kernels{end}.h5" for end in ("", "_notop")]
    f = Frame(*args, files=files)
    x = layers.ZeroPadding2D(padding=((3, 3), (3, 3)), name="conv1_pad")(f.images)
    x = f.conv(x, 64, 7, 2, bias=True, name="conv1_conv")
    if not second:
        x = f.act(f.norm(x, "conv1_bn", epsilon=_EPSILON), "conv1_relu")
    x = layers.ZeroPadding2D(padding=((1, 1), (1, 1)), name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)
    for i, depth in enumerate(depths):
        last = i == len(depths) - 1
        for j in range(1, depth + 1):
            block = f"conv{i + 2}_block{j}"
            if second:
                x = _block_v2(f, x, 64 * 2**i, 2 if j == depth and not last else 1, j == 1, block)
            else:
                x = _block(f, x, 64 * 2**i, 2 if j == 1 and i else 1, j == 1, block)
    if second:
        x = f.act(f.norm(x, "post_bn", epsilon=_EPSILON), "post_relu")
    return f.model(f.top(x, without=("avg_pool", "max_pool")), name)


def _builder(title: str, depths: tuple[int, ...], second: bool) -> Callable[..., Any]:
    def build(
        include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None, pooling: str | None = None,
        classes: int = 1000, classifier_activation: Any = "softmax",
    ) -> Any:  # fmt: skip
        return _resnet(
            title.lower(), depths, second, (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
        )

    build.__name__ = build.__qualname__ = title
    build.__doc__ = f"{title}: {sum(depths)} blocks of three convolutions."
    return build


ResNet50 = _builder("ResNet50", (3, 4, 6, 3), False)
ResNet101 = _builder("ResNet101", (3, 4, 23, 3), False)
ResNet152 = _builder("ResNet152", (3, 8, 36, 3), False)
ResNet50V2 = _builder("ResNet50V2", (3, 4, 6, 3), True)
ResNet101V2 = _builder("ResNet101V2", (3, 4, 23, 3), True)
ResNet152V2 = _builder("ResNet152V2", (3, 8, 36, 3), True)
