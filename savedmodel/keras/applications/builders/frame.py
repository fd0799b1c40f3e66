"""What all builders share: arguments, input and top of a classifier, and short forms of its commonest layers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from savedmodel.keras import layers
from savedmodel.keras.applications.files import model_file

__all__ = ["Frame", "divisible"]


def divisible(value: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `value`, not more than a tenth below it."""
    new = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return int(new + divisor if new < 0.9 * value else new)


class Frame:
    """The input, the data format and the end of one classifier.

    Args:
        default_size, min_size: height and width of images: where they are not given, and at least.
        files: names of the weight files with and without top, for weights="imagenet".
        free_size: images may have any size, with the top too.

    Raises:
        ValueError: arguments that do not go together, or a shape that cannot be. OSError: the weight file is not there.
    """

    def __init__(
        self, include_top: bool, weights: Any, input_tensor: Any, input_shape: Any, pooling: str | None, classes: int,
        classifier_activation: Any, default_size: int = 224, min_size: int = 32, files: Sequence[str] = (), free_size: bool = False,
    ):  # fmt: skip
        from savedmodel.keras import backend
        from savedmodel.keras.engine.input_layer import Input

        weights = os.fspath(weights) if isinstance(weights, os.PathLike) else weights
        if not (weights in ("imagenet", None) or os.path.exists(weights) or os.path.exists(f"{weights}.index")):
            raise ValueError(
                f"The `weights` argument should be either `None` (random initialization), `imagenet` (pre-training on ImageNet), or the path to "
                f"the weights file to be loaded. Received: weights={weights}"
            )
        if weights == "imagenet" and include_top and classes != 1000:
            raise ValueError(
                f"If using `weights` as `'imagenet'` with `include_top` as true, `classes` should be 1000. Received: classes={classes}"
            )
        self.first = backend.image_data_format() == "channels_first"
        self.axis = 1 if self.first else 3
        self.include_top, self.weights, self.pooling = include_top, weights, pooling
        self.classes, self.activation = classes, classifier_activation
        self.files = list(files)
        if free_size and input_shape is None:
            input_shape = (None, None, 3) if input_tensor is None else tuple(input_tensor.shape[1:])
            self.shape = input_shape
        else:
            self.shape = _image_shape(input_shape, default_size, min_size, self.first, include_top and not free_size, weights)
        if input_tensor is None:
            self.inputs = self.images = Input(shape=self.shape)
        elif not getattr(input_tensor, "_is_keras_tensor", False):
            self.inputs = self.images = Input(tensor=input_tensor, shape=self.shape)
        else:
            self.images = input_tensor
            self.inputs = _sources(input_tensor)

    # -- layers ------------------------------------------------------------------------------------------------------

    def conv(self, x: Any, filters: int, size: Any, strides: Any = 1, padding: str = "valid", bias: bool = False, **kwargs: Any) -> Any:
        """A convolution, without bias unless asked."""
        return layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=bias, **kwargs)(x)

    def norm(self, x: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Batch normalization of the channels."""
        return layers.BatchNormalization(axis=self.axis, name=name, **kwargs)(x)

    def act(self, x: Any, name: str | None = None, activation: Any = "relu") -> Any:
        """An activation layer."""
        return layers.Activation(activation, name=name)(x)

    def channels(self, x: Any) -> int:
        """The number of channels."""
        return x.shape[self.axis]

    def pads(self, x: Any, size: int | Sequence[int]) -> Any:
        """Zeros around images so that a strided "valid" convolution of this size fits."""
        sizes = (size, size) if isinstance(size, int) else size
        extents = x.shape[2:4] if self.first else x.shape[1:3]
        odd = (1, 1) if extents[0] is None else tuple(1 - n % 2 for n in extents)
        return tuple((s // 2 - o, s // 2) for s, o in zip(sizes, odd, strict=True))

    # -- end ---------------------------------------------------------------------------------------------------------

    def check_activation(self) -> None:
        """Raise ValueError for an activation that trained weights do not go with."""
        from savedmodel.keras import activations

        if self.weights is not None and activations.get(self.activation) not in (activations.get("softmax"), activations.get(None)):
            raise ValueError(
                f"Only `None` and `softmax` activations are allowed for the `classifier_activation` argument when using pretrained weights, "
                f"with `include_top=True`; Received: classifier_activation={self.activation}"
            )

    def pooled(self, x: Any, average: str | None = None, highest: str | None = None) -> Any:
        """What stands in place of the top."""
        if self.pooling == "avg":
            return layers.GlobalAveragePooling2D(name=average)(x)
        return layers.GlobalMaxPooling2D(name=highest)(x) if self.pooling == "max" else x

    def top(
        self, x: Any, average: str | None = "avg_pool", without: tuple[str | None, str | None] = (None, None),
        before: Callable[[Any], Any] | None = None, **kwargs: Any,
    ) -> Any:  # fmt: skip
        """The classifier: pooling, `before`, and a dense layer; or the pooling asked for, its layers named `without`."""
        if not self.include_top:
            return self.pooled(x, *without)
        x = layers.GlobalAveragePooling2D(name=average)(x)
        x = x if before is None else before(x)
        self.check_activation()
        return layers.Dense(self.classes, activation=self.activation, name="predictions", **kwargs)(x)

    def model(self, x: Any, name: str) -> Any:
        """The model that ends in `x`, with its weights."""
        from savedmodel.keras.engine.functional import Functional

        model = Functional(self.inputs, x, name=name)
        if self.weights == "imagenet":
            model.load_weights(model_file(self.files[0 if self.include_top else 1]))
        elif self.weights is not None:
            model.load_weights(self.weights)
        return model


def _sources(tensor: Any) -> Any:
    """The inputs that a Keras tensor was computed from."""
    found: list[Any] = []
    seen: set[int] = set()
    stack = [tensor]
    while stack:
        t = stack.pop()
        if id(t) in seen:
            continue
        seen.add(id(t))
        layer, node_index, _ = t._keras_history
        node = layer._inbound_nodes[node_index]
        if node.is_input or not node.keras_inputs:
            found.append(t)
        stack.extend(node.keras_inputs)
    return found[0] if len(found) == 1 else found


def _image_shape(given: Any, default: int, smallest: int, first: bool, fixed: bool, weights: Any) -> tuple[int | None, ...]:
    channel = 0 if first else -1

    def shape(size: int | None, channels: int) -> tuple[int | None, ...]:
        return (channels, size, size) if first else (size, size, channels)

    if weights != "imagenet" and given and len(given) == 3:
        if given[channel] not in (1, 3):
            warnings.warn(
                f"This model usually expects 1 or 3 input channels. However, it was passed an input_shape with {given[channel]} input channels.",
                stacklevel=4,
            )
        expected = shape(default, given[channel])
    else:
        expected = shape(default, 3)
    if weights == "imagenet" and fixed:
        if given is not None and tuple(given) != expected:
            raise ValueError(
                f"When setting `include_top=True` and loading `imagenet` weights, `input_shape` should be {expected}. Received: "
                f"input_shape={given}"
            )
        return expected
    if not given:
        return expected if fixed else shape(None, 3)
    if len(given) != 3:
        raise ValueError(f"`input_shape` must be a tuple of three integers. Received: input_shape={given}")
    if given[channel] != 3 and weights == "imagenet":
        raise ValueError(f"The input must have 3 channels; Received `input_shape={given}`")
    extents = given[1:] if first else given[:2]
    if any(n is not None and n < smallest for n in extents):
        raise ValueError(f"Input size must be at least {smallest}x{smallest}; Received: input_shape={given}")
    if fixed and None in given:
        raise ValueError(f"If `include_top` is True, you should specify a static `input_shape`. Received: input_shape={given}")
    return tuple(given)
