"""EfficientNets B0 to B7 (Tan and Le, 2019)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame, divisible

__all__ = [f"EfficientNetB{i}" for i in range(8)]

_CONV = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"}}
_DENSE = {"class_name": "VarianceScaling", "config": {"scale": 1.0 / 3.0, "mode": "fan_out", "distribution": "uniform"}}
_STD = (0.229, 0.224, 0.225)
# kernel size, repeats, filters in and out, expansion, strides
_STAGES = (
    (3, 1, 32, 16, 1, 1), (3, 2, 16, 24, 6, 2), (5, 2, 24, 40, 6, 2), (3, 3, 40, 80, 6, 2), (5, 3, 80, 112, 6, 1), (5, 4, 112, 192, 6, 2),
    (3, 1, 192, 320, 6, 1),
)  # fmt: skip
# width, depth, size of images, dropout
_MODELS = (
    (1.0, 1.0, 224, 0.2), (1.0, 1.1, 240, 0.2), (1.1, 1.2, 260, 0.3), (1.2, 1.4, 300, 0.3), (1.4, 1.8, 380, 0.4), (1.6, 2.2, 456, 0.4),
    (1.8, 2.6, 528, 0.5), (2.0, 3.1, 600, 0.5),
)  # fmt: skip


def _block(f: Frame, inputs: Any, name: str, drop: float, size: int, before: int, after: int, expand: int, stride: int, activation: Any) -> Any:
    filters, x = before * expand, inputs
    if expand != 1:
        x = f.conv(x, filters, 1, padding="same", kernel_initializer=_CONV, name=f"{name}expand_conv")
        x = f.act(f.norm(x, f"{name}expand_bn"), f"{name}expand_activation", activation)
    if stride == 2:
        x = layers.ZeroPadding2D(padding=f.pads(x, size), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        size, strides=stride, padding="valid" if stride == 2 else "same", use_bias=False, depthwise_initializer=_CONV, name=f"{name}dwconv"
    )(x)
    x = f.act(f.norm(x, f"{name}bn"), f"{name}activation", activation)
    gate = layers.GlobalAveragePooling2D(name=f"{name}se_squeeze")(x)
    gate = layers.Reshape((filters, 1, 1) if f.first else (1, 1, filters), name=f"{name}se_reshape")(gate)
    settings = {"padding": "same", "bias": True, "kernel_initializer": _CONV}
    gate = f.conv(gate, max(1, int(before * 0.25)), 1, activation=activation, name=f"{name}se_reduce", **settings)
    gate = f.conv(gate, filters, 1, activation="sigmoid", name=f"{name}se_expand", **settings)
    x = layers.multiply([x, gate], name=f"{name}se_excite")
    x = f.norm(f.conv(x, after, 1, padding="same", kernel_initializer=_CONV, name=f"{name}project_conv"), f"{name}project_bn")
    if stride == 1 and before == after:
        if drop > 0:
            x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}drop")(x)
        x = layers.add([x, inputs], name=f"{name}add")
    return x


def _efficientnet(
    name: str, width: float, depth: float, size: int, dropout: float, args: tuple[Any, ...], drop_connect: float = 0.2, divisor: int = 8,
    activation: Any = "swish",
) -> Any:  # fmt: skip
    f = Frame(*args, size, 32, [f"{name}.h5", f"{name}_notop.h5"])
    x = layers.Rescaling(1.0 / 255.0)(f.images)
    x = layers.Normalization(axis=f.axis)(x)
    if f.weights == "imagenet":
        x = layers.Rescaling([1.0 / math.sqrt(s) for s in _STD])(x)
    x = layers.ZeroPadding2D(padding=f.pads(x, 3), name="stem_conv_pad")(x)
    x = f.conv(x, divisible(32 * width, divisor), 3, 2, kernel_initializer=_CONV, name="stem_conv")
    x = f.act(f.norm(x, "stem_bn"), "stem_activation", activation)
    repeats = [math.ceil(depth * stage[1]) for stage in _STAGES]
    done, total = 0, float(sum(repeats))
    for i, ((kernel, _, before, after, expand, stride), times) in enumerate(zip(_STAGES, repeats, strict=True), 1):
        before, after = divisible(before * width, divisor), divisible(after * width, divisor)
        for j in range(times):
            block = f"block{i}{chr(j + 97)}_"
            x = _block(
                f, x, block, drop_connect * done / total, kernel, after if j else before, after, expand, 1 if j else stride, activation
            )
            done += 1
    x = f.conv(x, divisible(1280 * width, divisor), 1, padding="same", kernel_initializer=_CONV, name="top_conv")
    x = f.act(f.norm(x, "top_bn"), "top_activation", activation)

    def dropped(y: Any) -> Any:
        return layers.Dropout(dropout, name="top_dropout")(y) if dropout > 0 else y

    return f.model(f.top(x, without=("avg_pool", "max_pool"), before=dropped, kernel_initializer=_DENSE), name)


def _builder(i: int) -> Callable[..., Any]:
    def build(
        include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None, pooling: str | None = None,
        classes: int = 1000, classifier_activation: Any = "softmax",
    ) -> Any:  # fmt: skip
        return _efficientnet(
            f"efficientnetb{i}", *_MODELS[i], (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
        )

    build.__name__ = build.__qualname__ = f"EfficientNetB{i}"
    build.__doc__ = f"EfficientNetB{i}, for images of {_MODELS[i][2]} × {_MODELS[i][2]} with values in [0, 255]."
    return build


for _i in range(8):
    globals()[f"EfficientNetB{_i}"] = _builder(_i)
