"""VGG16 and VGG19 (Simonyan and Zisserman, 2014)."""

from __future__ import annotations

from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.builders.frame import Frame

__all__ = ["VGG16", "VGG19"]


def _vgg(name: str, depths: tuple[int, ...], *args: Any) -> Any:
    files = [f"{name}_weights_tf_dim_ordering_tf_kernels{end}.h5" for end in ("", "_notop")]
    f = Frame(*args, files=files)
    x = f.images
    for block, depth in enumerate(depths, 1):
        filters = min(64 * 2 ** (block - 1), 512)
        for i in range(1, depth + 1):
            x = f.conv(x, filters, (3, 3), padding="same", bias=True, activation="relu", name=f"block{block}_conv{i}")
        x = layers.MaxPooling2D((2, 2), strides=(2, 2), name=f"block{block}_pool")(x)
    if f.include_top:
        x = layers.Flatten(name="flatten")(x)
        for name_of_layer in ("fc1", "fc2"):
            x = layers.Dense(4096, activation="relu", name=name_of_layer)(x)
        f.check_activation()
        x = layers.Dense(f.classes, activation=f.activation, name="predictions")(x)
    else:
        x = f.pooled(x)
    return f.model(x, name)


def VGG16(
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None, pooling: str | None = None,
    classes: int = 1000, classifier_activation: Any = "softmax",
) -> Any:  # fmt: skip
    """VGG with 16 layers that have weights."""
    return _vgg("vgg16", (2, 2, 3, 3, 3), include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)


def VGG19(
    include_top: bool = True, weights: Any = "imagenet", input_tensor: Any = None, input_shape: Any = None, pooling: str | None = None,
    classes: int = 1000, classifier_activation: Any = "softmax",
) -> Any:  # fmt: skip
    """VGG with 19 layers that have weights."""
    return _vgg("vgg19", (2, 2, 4, 4, 4), include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
