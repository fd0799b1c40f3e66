"""MobileNetV3, small and large (Howard et al., 2019)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame, divisible

__all__ = ["MobileNetV3Large", "MobileNetV3Small"]

_NORM = {"epsilon": 1e-3, "momentum": 0.999}
# expansion, filters, kernel ("k": the large one), stride, squeeze, hard swish
_SMALL = (
    (1, 16, 3, 2, True, False), (72.0 / 16, 24, 3, 2, False, False), (88.0 / 24, 24, 3, 1, False, False), (4, 40, "k", 2, True, True),
    (6, 40, "k", 1, True, True), (6, 40, "k", 1, True, True), (3, 48, "k", 1, True, True), (3, 48, "k", 1, True, True),
    (6, 96, "k", 2, True, True), (6, 96, "k", 1, True, True), (6, 96, "k", 1, True, True),
)  # fmt: skip
_LARGE = (
    (1, 16, 3, 1, False, False), (4, 24, 3, 2, False, False), (3, 24, 3, 1, False, False), (3, 40, "k", 2, True, False),
    (3, 40, "k", 1, True, False), (3, 40, "k", 1, True, False), (6, 80, 3, 2, False, True), (2.5, 80, 3, 1, False, True),
    (2.3, 80, 3, 1, False, True), (2.3, 80, 3, 1, False, True), (6, 112, 3, 1, True, True), (6, 112, 3, 1, True, True),
    (6, 160, "k", 2, True, True), (6, 160, "k", 1, True, True), (6, 160, "k", 1, True, True),
)  # fmt: skip


def _relu(x: Any) -> Any:
    return layers.ReLU()(x)


def _hard_sigmoid(x: Any) -> Any:
    return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)


def _hard_swish(x: Any) -> Any:
    return layers.Multiply()([x, _hard_sigmoid(x)])


def _squeeze(f: Frame, inputs: Any, filters: int, prefix: str) -> Any:
    prefix = f"{prefix}squeeze_excite/"
    x = layers.GlobalAveragePooling2D(keepdims=True, name=f"{prefix}AvgPool")(inputs)
    x = f.conv(x, divisible(filters * 0.25), 1, padding="same", bias=True, name=f"{prefix}Conv")
    x = layers.ReLU(name=f"{prefix}Relu")(x)
    x = f.conv(x, filters, 1, padding="same", bias=True, name=f"{prefix}Conv_1")
    return layers.Multiply(name=f"{prefix}Mul")([inputs, _hard_sigmoid(x)])


def _block(
    f: Frame, x: Any, expansion: float, filters: int, kernel: int, stride: int, squeeze: bool, activation: Callable[[Any], Any], i: int
) -> Any:  # fmt: skip
    shortcut, before, prefix = x, f.channels(x), f"expanded_conv_{i}/" if i else "expanded_conv/"
    wide = divisible(before * expansion)
    if i:
        x = f.conv(x, wide, 1, padding="same", name=f"{prefix}expand")
        x = activation(f.norm(x, f"{prefix}expand/BatchNorm", **_NORM))
    if stride == 2:
        x = layers.ZeroPadding2D(padding=f.pads(x, kernel), name=f"{prefix}depthwise/pad")(x)
    x = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same" if stride == 1 else "valid", use_bias=False, name=f"{prefix}depthwise"
    )(x)
    x = activation(f.norm(x, f"{prefix}depthwise/BatchNorm", **_NORM))
    if squeeze:
        x = _squeeze(f, x, wide, prefix)
    x = f.norm(f.conv(x, filters, 1, padding="same", name=f"{prefix}project"), f"{prefix}project/BatchNorm", **_NORM)
    return layers.Add(name=f"{prefix}Add")([shortcut, x]) if stride == 1 and before == filters else x


def _mobilenet_v3(
    size: str, blocks: tuple[Any, ...], last: int, input_shape: Any, alpha: float, minimalistic: bool, include_top: bool, weights: Any,
    input_tensor: Any, classes: int, pooling: str | None, dropout_rate: float, classifier_activation: Any, include_preprocessing: bool,
) -> Any:  # fmt: skip
    if weights == "imagenet" and (alpha != 1.0 if minimalistic else alpha not in (0.75, 1.0)):
        raise ValueError(
            "If imagenet weights are being loaded, alpha can be one of `0.75`, `1.0` for non minimalistic or `1.0` for minimalistic only."
        )
    kind = f"{size}{'_minimalistic' if minimalistic else ''}_224_{alpha}_float"
    files = [f"weights_mobilenet_v3_{kind}{end}.h5" for end in ("", "_no_top_v2")]
    f = Frame(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, files=files, free_size=True)
    activation = _relu if minimalistic else _hard_swish
    x = f.images
    if include_preprocessing:
        x = layers.Rescaling(scale=1.0 / 127.5, offset=-1.0)(x)
    x = f.conv(x, 16, 3, (2, 2), "same", name="Conv")
    x = activation(f.norm(x, "Conv/BatchNorm", **_NORM))
    for i, (expansion, filters, kernel, stride, squeeze, swish) in enumerate(blocks):
        size_of_kernel = kernel if kernel == 3 or not minimalistic else 3
        x = _block(
            f, x, expansion, divisible(filters * alpha), 5 if size_of_kernel == "k" else size_of_kernel, stride, squeeze and not minimalistic,
            activation if swish else _relu, i,
        )  # fmt: skip
    x = f.conv(x, divisible(f.channels(x) * 6), 1, padding="same", name="Conv_1")
    x = activation(f.norm(x, "Conv_1/BatchNorm", **_NORM))
    if include_top:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = f.conv(x, divisible(last * alpha) if alpha > 1.0 else last, 1, padding="same", bias=True, name="Conv_2")
        x = activation(x)
        if dropout_rate > 0:
            x = layers.Dropout(dropout_rate)(x)
        x = f.conv(x, classes, 1, padding="same", bias=True, name="Logits")
        x = layers.Flatten()(x)
        f.check_activation()
        x = f.act(x, "Predictions", classifier_activation)
    else:
        x = f.pooled(x, "avg_pool", "max_pool")
    return f.model(x, f"MobilenetV3{size}")


def MobileNetV3Small(
    input_shape: Any = None, alpha: float = 1.0, minimalistic: bool = False, include_top: bool = True, weights: Any = "imagenet",
    input_tensor: Any = None, classes: int = 1000, pooling: str | None = None, dropout_rate: float = 0.2,
    classifier_activation: Any = "softmax", include_preprocessing: bool = True,
) -> Any:  # fmt: skip
    """MobileNetV3Small, for images with values in [0, 255]; `minimalistic` leaves out squeezes, hard swishes and 5 × 5 kernels."""
    return _mobilenet_v3(
        "small", _SMALL, 1024, input_shape, alpha, minimalistic, include_top, weights, input_tensor, classes, pooling, dropout_rate,
        classifier_activation, include_preprocessing,
    )  # fmt: skip


def MobileNetV3Large(
    input_shape: Any = None, alpha: float = 1.0, minimalistic: bool = False, include_top: bool = True, weights: Any = "imagenet",
    input_tensor: Any = None, classes: int = 1000, pooling: str | None = None, dropout_rate: float = 0.2,
    classifier_activation: Any = "softmax", include_preprocessing: bool = True,
) -> Any:  # fmt: skip
    """MobileNetV3Large, for images with values in [0, 255]; `minimalistic` leaves out squeezes, hard swishes and 5 × 5 kernels."""
    return _mobilenet_v3(
        "large", _LARGE, 1280, input_shape, alpha, minimalistic, include_top, weights, input_tensor, classes, pooling, dropout_rate,
        classifier_activation, include_preprocessing,
    )  # fmt: skip
