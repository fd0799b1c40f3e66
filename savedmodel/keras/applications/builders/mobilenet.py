"""MobileNet (Howard et al., 2017) and MobileNetV2 (Sandler et al., 2018)."""

from __future__ import annotations

from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame, divisible

__all__ = ["MobileNet", "MobileNetV2"]


def _default_size(input_shape: Any, input_tensor: Any, known: tuple[int, ...]) -> int:
    from savedmodel.keras import backend

    shape = input_shape if input_shape is not None else None if input_tensor is None else tuple(input_tensor.shape[1:])
    if shape is None:
        return 224
    height, width = shape[1:3] if backend.image_data_format() == "channels_first" else shape[:2]
    return height if height == width and height in known else 224


def _rows(f: Frame) -> Any:
    return f.shape[1] if f.first else f.shape[0]


def MobileNet(
    input_shape: Any = None, alpha: float = 1.0, depth_multiplier: int = 1, dropout: float = 0.001, include_top: bool = True,
    weights: Any = "imagenet", input_tensor: Any = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:  # fmt: skip
    """MobileNet; `alpha` scales the numbers of filters."""
    sizes = (128, 160, 192, 224)
    size = _default_size(input_shape, None, sizes)
    f = Frame(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, size)
    if weights == "imagenet" and (depth_multiplier != 1 or alpha not in (0.25, 0.5, 0.75, 1.0)):
        raise ValueError(
            f"If imagenet weights are being loaded, depth multiplier must be 1 and alpha one of 0.25, 0.5, 0.75, 1.0. Received: "
            f"depth_multiplier={depth_multiplier}, alpha={alpha}"
        )
    rows = _rows(f)
    if weights == "imagenet":
        rows = rows if rows in sizes and f.shape[1] == f.shape[2 if f.first else 0] else 224
        text = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0"}.get(alpha, "2_5")
        f.files = [f"mobilenet_{text}_{rows}_tf.h5", f"mobilenet_{text}_{rows}_tf_no_top.h5"]
    x = f.conv(f.images, int(32 * alpha), (3, 3), (2, 2), "same", name="conv1")
    x = layers.ReLU(6.0, name="conv1_relu")(f.norm(x, "conv1_bn"))
    for i, (filters, stride) in enumerate(
        [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)], 1
    ):
        if stride == 2:
            x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x)
        x = layers.DepthwiseConv2D(
            (3, 3), padding="same" if stride == 1 else "valid", depth_multiplier=depth_multiplier, strides=(stride, stride), use_bias=False,
            name=f"conv_dw_{i}",
        )(x)  # fmt: skip
        x = layers.ReLU(6.0, name=f"conv_dw_{i}_relu")(f.norm(x, f"conv_dw_{i}_bn"))
        x = f.conv(x, int(filters * alpha), (1, 1), (1, 1), "same", name=f"conv_pw_{i}")
        x = layers.ReLU(6.0, name=f"conv_pw_{i}_relu")(f.norm(x, f"conv_pw_{i}_bn"))
    if include_top:
        x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        x = layers.Dropout(dropout, name="dropout")(x)
        x = f.conv(x, classes, (1, 1), padding="same", bias=True, name="conv_preds")
        x = layers.Reshape((classes,), name="reshape_2")(x)
        f.check_activation()
        x = f.act(x, "predictions", classifier_activation)
    else:
        x = f.pooled(x)
    return f.model(x, f"mobilenet_{alpha:0.2f}_{rows}")


def _inverted(f: Frame, inputs: Any, filters: int, alpha: float, stride: int, expansion: int, i: int) -> Any:
    """A block that widens, filters each channel, and narrows."""
    settings = {"epsilon": 1e-3, "momentum": 0.999}
    before, after = f.channels(inputs), divisible(int(filters * alpha))
    x, prefix = inputs, f"block_{i}_" if i else "expanded_conv_"
    if i:
        x = f.conv(x, expansion * before, 1, padding="same", name=f"{prefix}expand")
        x = layers.ReLU(6.0, name=f"{prefix}expand_relu")(f.norm(x, f"{prefix}expand_BN", **settings))
    if stride == 2:
        x = layers.ZeroPadding2D(padding=f.pads(x, 3), name=f"{prefix}pad")(x)
    x = layers.DepthwiseConv2D(
        3, strides=stride, use_bias=False, padding="same" if stride == 1 else "valid", name=f"{prefix}depthwise"
    )(x)
    x = layers.ReLU(6.0, name=f"{prefix}depthwise_relu")(f.norm(x, f"{prefix}depthwise_BN", **settings))
    x = f.norm(f.conv(x, after, 1, padding="same", name=f"{prefix}project"), f"{prefix}project_BN", **settings)
    return layers.Add(name=f"{prefix}add")([inputs, x]) if before == after and stride == 1 else x


def MobileNetV2(
    input_shape: Any = None, alpha: float = 1.0, include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None,
    pooling: str | None = None, classes: int = 1000, classifier_activation: Any = "softmax",
) -> Any:  # fmt: skip
    """MobileNetV2; `alpha` scales the numbers of filters."""
    sizes = (96, 128, 160, 192, 224)
    size = _default_size(input_shape, input_tensor, sizes)
    f = Frame(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, size)
    rows = _rows(f)
    if weights == "imagenet":
        if alpha not in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4):
            raise ValueError(
                f"If imagenet weights are being loaded, alpha must be one of `0.35`, `0.50`, `0.75`, `1.0`, `1.3` or `1.4` only; Received "
                f"`alpha={alpha}`"
            )
        rows = rows if rows in sizes and f.shape[1] == f.shape[2 if f.first else 0] else 224
        f.files = [f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{rows}{end}.h5" for end in ("", "_no_top")]
    settings = {"epsilon": 1e-3, "momentum": 0.999}
    x = f.conv(f.images, divisible(32 * alpha), 3, (2, 2), "same", name="Conv1")
    x = layers.ReLU(6.0, name="Conv1_relu")(f.norm(x, "bn_Conv1", **settings))
    blocks = [
        (16, 1, 1), (24, 2, 6), (24, 1, 6), (32, 2, 6), *[(32, 1, 6)] * 2, (64, 2, 6), *[(64, 1, 6)] * 3, *[(96, 1, 6)] * 3, (160, 2, 6),
        *[(160, 1, 6)] * 2, (320, 1, 6),
    ]  # fmt: skip
    for i, (filters, stride, expansion) in enumerate(blocks):
        x = _inverted(f, x, filters, alpha, stride, expansion, i)
    x = f.conv(x, divisible(1280 * alpha) if alpha > 1.0 else 1280, 1, name="Conv_1")
    x = layers.ReLU(6.0, name="out_relu")(f.norm(x, "Conv_1_bn", **settings))
    return f.model(f.top(x, average=None), f"mobilenetv2_{alpha:0.2f}_{rows}")
