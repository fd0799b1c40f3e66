"""InceptionResNetV2 (Szegedy et al., 2017), and the layer of its own."""

from __future__ import annotations

from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame
from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.registration import register_keras_serializable

__all__ = ["CustomScaleLayer", "InceptionResNetV2"]

# The branches of each kind of block: (filters, size) of their convolutions.
_BLOCKS: dict[str, Any] = {
    "block35": (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))),
    "block17": (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))),
    "block8": (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))),
}


@register_keras_serializable()
class CustomScaleLayer(Layer):
    """The first input plus the second one times `scale`. The name is Keras's, so that models go both ways."""

    def __init__(self, scale: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs: Any) -> Any:
        return inputs[0] + inputs[1] * self.scale

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


def _unit(f: Frame, x: Any, filters: int, size: Any, strides: int = 1, padding: str = "same", name: str | None = None) -> Any:
    x = f.conv(x, filters, size, strides, padding, name=name)
    x = f.norm(x, None if name is None else f"{name}_bn", scale=False)
    return f.act(x, None if name is None else f"{name}_ac")


def _branch(f: Frame, x: Any, *steps: tuple[Any, ...]) -> Any:
    for step in steps:
        x = _unit(f, x, *step)
    return x


def _block(f: Frame, x: Any, scale: float, kind: str, i: int, last: bool = False) -> Any:
    name = f"{kind}_{i}"
    mixed = layers.Concatenate(axis=f.axis, name=f"{name}_mixed")([_branch(f, x, *steps) for steps in _BLOCKS[kind]])
    up = f.conv(mixed, f.channels(x), 1, padding="same", bias=True, name=f"{name}_conv")
    x = CustomScaleLayer(scale)([x, up])
    return x if last else f.act(x, f"{name}_ac")


def InceptionResNetV2(
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None, pooling: str | None = None,
    classes: int = 1000, classifier_activation: Any = "softmax",
) -> Any:  # fmt: skip
    """InceptionResNetV2: parallel convolutions with shortcuts."""
    files = [f"inception_resnet_v2_weights_tf_dim_ordering_tf_kernels{end}.h5" for end in ("", "_notop")]
    f = Frame(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, 299, 75, files)
    half = (2, "valid")
    x = _branch(f, f.images, (32, 3, *half), (32, 3, 1, "valid"), (64, 3))
    x = layers.MaxPooling2D(3, strides=2)(x)
    x = _branch(f, x, (80, 1, 1, "valid"), (192, 3, 1, "valid"))
    x = layers.MaxPooling2D(3, strides=2)(x)
    parts = [_branch(f, x, (96, 1)), _branch(f, x, (48, 1), (64, 5)), _branch(f, x, (64, 1), (96, 3), (96, 3))]
    parts.append(_unit(f, layers.AveragePooling2D(3, strides=1, padding="same")(x), 64, 1))
    x = layers.Concatenate(axis=f.axis, name="mixed_5b")(parts)
    for i in range(1, 11):
        x = _block(f, x, 0.17, "block35", i)
    parts = [_branch(f, x, (384, 3, *half)), _branch(f, x, (256, 1), (256, 3), (384, 3, *half))]
    x = layers.Concatenate(axis=f.axis, name="mixed_6a")([*parts, layers.MaxPooling2D(3, strides=2, padding="valid")(x)])
    for i in range(1, 21):
        x = _block(f, x, 0.1, "block17", i)
    parts = [
        _branch(f, x, (256, 1), (384, 3, *half)), _branch(f, x, (256, 1), (288, 3, *half)),
        _branch(f, x, (256, 1), (288, 3), (320, 3, *half)),
    ]  # fmt: skip
    x = layers.Concatenate(axis=f.axis, name="mixed_7a")([*parts, layers.MaxPooling2D(3, strides=2, padding="valid")(x)])
    for i in range(1, 10):
        x = _block(f, x, 0.2, "block8", i)
    x = _block(f, x, 1.0, "block8", 10, last=True)
    x = _unit(f, x, 1536, 1, name="conv_7b")
    return f.model(f.top(x), "inception_resnet_v2")
