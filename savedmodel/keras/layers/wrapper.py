"""Wrapper: a layer around another layer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from savedmodel.keras.engine.base_layer import Layer

__all__ = ["Wrapper"]


class Wrapper(Layer):
    """Base of layers that hold one layer as `self.layer`."""

    def __init__(self, layer: Any, **kwargs: Any):
        if not isinstance(layer, Layer):
            raise ValueError(f"Layer {layer} supplied to wrapper is not a supported layer type. Please ensure wrapped layer is a valid Keras layer.")
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape: Any = None) -> None:
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        self.built = True

    @property
    def activity_regularizer(self) -> Any:
        """That of the wrapped layer."""
        return getattr(self.layer, "activity_regularizer", None)

    def get_config(self) -> dict[str, Any]:
        from savedmodel.keras.saving import serialization

        return {**super().get_config(), "layer": serialization.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """A wrapper with the layer of a config."""
        from savedmodel.keras import layers

        config = copy.deepcopy(dict(config))
        layer = config.pop("layer")
        if isinstance(layer, dict):
            layer = layers.deserialize(layer, custom_objects=custom_objects, use_legacy_format="module" not in layer)
        return cls(layer, **config)
