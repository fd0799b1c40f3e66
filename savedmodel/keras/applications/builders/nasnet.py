"""NASNet, mobile and large (Zoph et al., 2018). For images with channels last only."""

from __future__ import annotations

from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame

__all__ = ["NASNetLarge", "NASNetMobile"]

_NORM = {"momentum": 0.9997, "epsilon": 1e-3}
_HE = {"kernel_initializer": "he_normal"}


def _separable(f: Frame, x: Any, filters: int, size: int, name: str, stride: int = 1) -> Any:
    """Two separable convolutions, the first of them strided."""
    x = f.act(x)
    if stride == 2:
        x = layers.ZeroPadding2D(padding=f.pads(x, size), name=f"separable_conv_1_pad_{name}")(x)
    for i, (step, padding) in enumerate([(stride, "valid" if stride == 2 else "same"), (1, "same")], 1):
        if i == 2:
            x = f.act(x)
        x = layers.SeparableConv2D(
            filters, (size, size), strides=(step, step), name=f"separable_conv_{i}_{name}", padding=padding, use_bias=False, **_HE
        )(x)
        x = f.norm(x, f"separable_conv_{i}_bn_{name}", **_NORM)
    return x


def _adjusted(f: Frame, previous: Any, x: Any, filters: int, block: str) -> Any:
    """The output before last in the shape of the last one."""
    if previous is None:
        return x
    if previous.shape[-2] != x.shape[-2]:
        p = f.act(previous, f"adjust_relu_1_{block}")
        first = layers.AveragePooling2D((1, 1), strides=(2, 2), padding="valid", name=f"adjust_avg_pool_1_{block}")(p)
        first = f.conv(first, filters // 2, (1, 1), padding="same", name=f"adjust_conv_1_{block}", **_HE)
        second = layers.ZeroPadding2D(padding=((0, 1), (0, 1)))(p)
        second = layers.Cropping2D(cropping=((1, 0), (1, 0)))(second)
        second = layers.AveragePooling2D((1, 1), strides=(2, 2), padding="valid", name=f"adjust_avg_pool_2_{block}")(second)
        second = f.conv(second, filters // 2, (1, 1), padding="same", name=f"adjust_conv_2_{block}", **_HE)
        return f.norm(layers.concatenate([first, second], axis=-1), f"adjust_bn_{block}", **_NORM)
    if previous.shape[-1] != filters:
        p = f.conv(f.act(previous), filters, (1, 1), (1, 1), "same", name=f"adjust_conv_projection_{block}", **_HE)
        return f.norm(p, f"adjust_bn_{block}", **_NORM)
    return previous


def _squeezed(f: Frame, x: Any, filters: int, kind: str, block: str) -> Any:
    x = f.conv(f.act(x), filters, (1, 1), (1, 1), "same", name=f"{kind}_conv_1_{block}", **_HE)
    return f.norm(x, f"{kind}_bn_1_{block}", **_NORM)


def _average(x: Any, name: str) -> Any:
    return layers.AveragePooling2D((3, 3), strides=(1, 1), padding="same", name=name)(x)


def _normal(f: Frame, x: Any, previous: Any, filters: int, block: str) -> Any:
    p = _adjusted(f, previous, x, filters, block)
    h = _squeezed(f, x, filters, "normal", block)
    parts = [p]
    left = _separable(f, h, filters, 5, f"normal_left1_{block}")
    parts.append(layers.add([left, _separable(f, p, filters, 3, f"normal_right1_{block}")], name=f"normal_add_1_{block}"))
    left = _separable(f, p, filters, 5, f"normal_left2_{block}")
    parts.append(layers.add([left, _separable(f, p, filters, 3, f"normal_right2_{block}")], name=f"normal_add_2_{block}"))
    parts.append(layers.add([_average(h, f"normal_left3_{block}"), p], name=f"normal_add_3_{block}"))
    left = _average(p, f"normal_left4_{block}")
    parts.append(layers.add([left, _average(p, f"normal_right4_{block}")], name=f"normal_add_4_{block}"))
    parts.append(layers.add([_separable(f, h, filters, 3, f"normal_left5_{block}"), h], name=f"normal_add_5_{block}"))
    return layers.concatenate(parts, axis=-1, name=f"normal_concat_{block}")


def _reduction(f: Frame, x: Any, previous: Any, filters: int, block: str) -> Any:
    p = _adjusted(f, previous, x, filters, block)
    h = _squeezed(f, x, filters, "reduction", block)
    padded = layers.ZeroPadding2D(padding=f.pads(h, 3), name=f"reduction_pad_1_{block}")(h)

    def pool(kind: Any, name: str) -> Any:
        return kind((3, 3), strides=(2, 2), padding="valid", name=f"reduction_{name}_{block}")(padded)

    left = _separable(f, h, filters, 5, f"reduction_left1_{block}", 2)
    one = layers.add([left, _separable(f, p, filters, 7, f"reduction_right1_{block}", 2)], name=f"reduction_add_1_{block}")
    left = pool(layers.MaxPooling2D, "left2")
    two = layers.add([left, _separable(f, p, filters, 7, f"reduction_right2_{block}", 2)], name=f"reduction_add_2_{block}")
    left = pool(layers.AveragePooling2D, "left3")
    three = layers.add([left, _separable(f, p, filters, 5, f"reduction_right3_{block}", 2)], name=f"reduction_add3_{block}")
    four = layers.add([two, _average(one, f"reduction_left4_{block}")])
    left = _separable(f, one, filters, 3, f"reduction_left4_{block}")
    five = layers.add([left, pool(layers.MaxPooling2D, "right5")], name=f"reduction_add4_{block}")
    return layers.concatenate([two, three, four, five], axis=-1, name=f"reduction_concat_{block}")


def _nasnet(size: int, penultimate: int, blocks: int, stem: int, skip: bool, kind: str, args: tuple[Any, ...]) -> Any:
    f = Frame(*args, size, 32, [f"nasnet_{kind}.h5", f"nasnet_{kind}_no_top.h5"])
    if f.first:
        raise ValueError(f"NASNet{kind.title()}: expected images with channels last; call keras.backend.set_image_data_format('channels_last')")
    filters = penultimate // 24
    x = f.norm(f.conv(f.images, stem, (3, 3), (2, 2), name="stem_conv1", **_HE), "stem_bn1", **_NORM)
    previous = None
    for i, share in ((1, 4), (2, 2)):
        x, previous = _reduction(f, x, previous, filters // share, f"stem_{i}"), x
    for stage in range(3):
        width, start = filters * 2**stage, stage * blocks + (stage > 0)
        if stage:
            new = _reduction(f, x, previous, width, f"reduce_{stage * blocks}")
            x, previous = new, previous if skip else x
        for i in range(blocks):
            x, previous = _normal(f, x, previous, width, str(start + i)), x
    return f.model(f.top(f.act(x), average=None), "NASNet")


def NASNetMobile(
    input_shape: Any = None, include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, pooling: str | None = None,
    classes: int = 1000, classifier_activation: Any = "softmax",
) -> Any:  # fmt: skip
    """The NASNet for small devices."""
    args = (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
    return _nasnet(224, 1056, 4, 32, False, "mobile", args)


def NASNetLarge(
    input_shape: Any = None, include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, pooling: str | None = None,
    classes: int = 1000, classifier_activation: Any = "softmax",
) -> Any:  # fmt: skip
    """The large NASNet."""
    args = (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
    return _nasnet(331, 4032, 6, 96, True, "large", args)
