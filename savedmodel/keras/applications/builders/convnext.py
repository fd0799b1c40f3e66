"""ConvNeXts (Liu et al., 2022), and the two layers of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from savedmodel.keras import initializers, layers
from savedmodel.keras.applications.builders.frame import Frame
from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.layers.regularization import smart_cond, training_value
from tracer.public import tf

__all__ = ["ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "LayerScale", "StochasticDepth"]

_MODELS = {
    "Tiny": ((3, 3, 9, 3), (96, 192, 384, 768)), "Small": ((3, 3, 27, 3), (96, 192, 384, 768)), "Base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "Large": ((3, 3, 27, 3), (192, 384, 768, 1536)), "XLarge": ((3, 3, 27, 3), (256, 512, 1024, 2048)),
}  # fmt: skip
_EPSILON = 1e-6
_SCALE = 1e-6


class StochasticDepth(Layer):
    """Whole samples are dropped while training, a share `drop_path_rate` of them."""

    def __init__(self, drop_path_rate: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.drop_path_rate = drop_path_rate

    def call(self, x: Any, training: Any = None) -> Any:
        def dropped() -> Any:
            keep = 1 - self.drop_path_rate
            shape = tf.stack([tf.shape(x)[0], *[1] * (x.shape.rank - 1)])
            return x / keep * tf.floor(keep + tf.random.uniform(shape, 0, 1))

        return smart_cond(training_value(training), dropped, lambda: x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "drop_path_rate": self.drop_path_rate}


class LayerScale(Layer):
    """Each channel times a weight that starts at `init_values`."""

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.init_values = init_values
        self.projection_dim = projection_dim

    def build(self, input_shape: Any) -> None:
        self.gamma = self.add_weight("gamma", shape=(self.projection_dim,), initializer=initializers.Constant(self.init_values))

    def call(self, x: Any) -> Any:
        return x * self.gamma

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "init_values": self.init_values, "projection_dim": self.projection_dim}


def _block(f: Frame, inputs: Any, width: int, name: str) -> Any:
    x = f.conv(inputs, width, 7, padding="same", bias=True, groups=width, name=f"{name}_depthwise_conv")
    x = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_layernorm")(x)
    x = layers.Dense(4 * width, name=f"{name}_pointwise_conv_1")(x)
    x = f.act(x, f"{name}_gelu", "gelu")
    x = layers.Dense(width, name=f"{name}_pointwise_conv_2")(x)
    x = LayerScale(_SCALE, width, name=f"{name}_layer_scale")(x)
    return inputs + f.act(x, f"{name}_identity", "linear")


def _convnext(name: str, depths: tuple[int, ...], widths: tuple[int, ...], prepare: bool, args: tuple[Any, ...]) -> Any:
    from savedmodel.keras.engine.sequential import Sequential

    f = Frame(*args, 224, 32, [f"{name}.h5", f"{name}_notop.h5"])
    x = f.inputs
    if prepare and f.shape[f.axis - 1] == 3:
        x = layers.Normalization(
            mean=[0.485 * 255, 0.456 * 255, 0.406 * 255], variance=[(0.229 * 255) ** 2, (0.224 * 255) ** 2, (0.225 * 255) ** 2],
            name=f"{name}_prestem_normalization",
        )(x)  # fmt: skip
    stem = [
        layers.Conv2D(widths[0], kernel_size=4, strides=4, name=f"{name}_stem_conv"),
        layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_stem_layernorm"),
    ]
    shrink = [Sequential(stem, name=f"{name}_stem")]
    for i, width in enumerate(widths[1:]):
        parts = [
            layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_downsampling_layernorm_{i}"),
            layers.Conv2D(width, kernel_size=2, strides=2, name=f"{name}_downsampling_conv_{i}"),
        ]
        shrink.append(Sequential(parts, name=f"{name}_downsampling_block_{i}"))
    for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        x = shrink[i](x)
        for j in range(depth):
            x = _block(f, x, width, f"{name}_stage_{i}_block_{j}")
    if f.include_top:
        f.check_activation()
        x = layers.GlobalAveragePooling2D(name=f"{name}_head_gap")(x)
        x = layers.LayerNormalization(epsilon=_EPSILON, name=f"{name}_head_layernorm")(x)
        x = layers.Dense(f.classes, activation=f.activation, name=f"{name}_head_dense")(x)
    else:
        x = layers.LayerNormalization(epsilon=_EPSILON)(f.pooled(x))
    return f.model(x, name)


def _builder(size: str) -> Callable[..., Any]:
    def build(
        model_name: str = f"convnext_{size.lower()}", include_top: bool = True, include_preprocessing: bool = True,
        weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None, pooling: str | None = None, classes: int = 1000,
        classifier_activation: Any = "softmax",
    ) -> Any:  # fmt: skip
        args = (include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
        return _convnext(model_name, *_MODELS[size], include_preprocessing, args)

    build.__name__ = build.__qualname__ = f"ConvNeXt{size}"
    build.__doc__ = f"ConvNeXt{size}, for images with values in [0, 255]."
    return build


ConvNeXtTiny = _builder("Tiny")
ConvNeXtSmall = _builder("Small")
ConvNeXtBase = _builder("Base")
ConvNeXtLarge = _builder("Large")
ConvNeXtXLarge = _builder("XLarge")
