"""Layers of Keras 2.15, by class and name. Classes are found in their family's module when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

_FAMILIES: dict[str, str] = {
    "core": "Activation Dense EinsumDense Embedding Identity Masking",
    "lambda_layer": "Lambda",
    "activation": "ELU LeakyReLU PReLU ReLU Softmax ThresholdedReLU",
    "merging": (
        "Add Average Concatenate Dot Maximum Minimum Multiply Subtract add average concatenate dot maximum minimum multiply subtract"
    ),
    "reshaping": (
        "Cropping1D Cropping2D Cropping3D Flatten Permute RepeatVector Reshape UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D "
        "ZeroPadding2D ZeroPadding3D"
    ),
    "pooling": (
        "AveragePooling1D AveragePooling2D AveragePooling3D GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D "
        "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D MaxPooling1D MaxPooling2D MaxPooling3D"
    ),
    "regularization": (
        "ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D SpatialDropout3D"
    ),
    "normalization": (
        "BatchNormalization GroupNormalization LayerNormalization SpectralNormalization SyncBatchNormalization UnitNormalization"
    ),
    "wrapper": "Wrapper",
    "convolutional": (
        "Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D"
    ),
    "locally_connected": "LocallyConnected1D LocallyConnected2D",
    "attention": "AdditiveAttention Attention",
    "multi_head_attention": "MultiHeadAttention",
    "rnn": (
        "AbstractRNNCell Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D GRU GRUCell LSTM LSTMCell RNN SimpleRNN SimpleRNNCell "
        "StackedRNNCells TimeDistributed"
    ),
    "preprocessing": (
        "CategoryEncoding CenterCrop Discretization HashedCrossing Hashing IntegerLookup Normalization RandomBrightness RandomContrast "
        "RandomCrop RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth RandomZoom Rescaling Resizing StringLookup "
        "TextVectorization"
    ),
}
_ELSEWHERE: dict[str, tuple[str, str]] = {
    "Layer": ("savedmodel.keras.engine.base_layer", "Layer"),
    "BaseRandomLayer": ("savedmodel.keras.engine.base_layer", "BaseRandomLayer"),
    "InputSpec": ("savedmodel.keras.engine.input_spec", "InputSpec"),
    "Input": ("savedmodel.keras.engine.input_layer", "Input"),
    "InputLayer": ("savedmodel.keras.engine.input_layer", "InputLayer"),
}
_ALIASES: dict[str, str] = {
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    **{f"Convolution{n}DTranspose": f"Conv{n}DTranspose" for n in (2, 3)},
    **{f"SeparableConvolution{n}D": f"SeparableConv{n}D" for n in (1, 2)},
    **{f"MaxPool{n}D": f"MaxPooling{n}D" for n in (1, 2, 3)},
    **{f"AvgPool{n}D": f"AveragePooling{n}D" for n in (1, 2, 3)},
    **{f"GlobalMaxPool{n}D": f"GlobalMaxPooling{n}D" for n in (1, 2, 3)},
    **{f"GlobalAvgPool{n}D": f"GlobalAveragePooling{n}D" for n in (1, 2, 3)},
}
_NAMESPACES: dict[str, tuple[str, str]] = {"experimental": (f"{__name__}.preprocessing", "experimental")}
# Names that configs of older Keras versions hold.
_OLD_NAMES: dict[str, str] = {
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization", "GRUV2": "GRU", "LSTMV2": "LSTM",
    "CuDNNGRU": "GRU", "CuDNNLSTM": "LSTM", "TimeDistributedV2": "TimeDistributed",
}  # fmt: skip

_OWNERS: dict[str, tuple[str, str]] = {
    **{name: (f"{__name__}.{family}", name) for family, names in _FAMILIES.items() for name in names.split()},
    **_ELSEWHERE,
}
_OWNERS |= {alias: _OWNERS[name] for alias, name in _ALIASES.items()}

__all__ = [*sorted(_OWNERS), "deserialize", "serialize"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    owner = _OWNERS.get(name) or _NAMESPACES.get(name)
    if owner is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(owner[0]), owner[1])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_OWNERS, *_NAMESPACES})


class _Objects(Mapping):
    """Every layer and model class by name, without importing those that are not asked for."""

    def __getitem__(self, name: str) -> Any:
        name = _OLD_NAMES.get(name, name)
        if name in _OWNERS:
            return __getattr__(name)
        found = _engine_class(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (_OLD_NAMES.get(name, name) in _OWNERS or _engine_class(name) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter({**_OWNERS, **_OLD_NAMES, **_ENGINE})

    def __len__(self) -> int:
        return len(list(iter(self)))


_ENGINE: dict[str, tuple[str, str]] = {
    "Functional": ("savedmodel.keras.engine.functional", "Functional"),
    "Model": ("savedmodel.keras.engine.model", "Model"),
    "Sequential": ("savedmodel.keras.engine.sequential", "Sequential"),
    "TFOpLambda": ("savedmodel.keras.engine.op_layers", "TFOpLambda"),
    "SlicingOpLambda": ("savedmodel.keras.engine.op_layers", "SlicingOpLambda"),
    "ClassMethod": ("savedmodel.keras.engine.op_layers", "ClassMethod"),
    "InstanceMethod": ("savedmodel.keras.engine.op_layers", "InstanceMethod"),
    "InstanceProperty": ("savedmodel.keras.engine.op_layers", "InstanceProperty"),
    "AddLoss": ("savedmodel.keras.engine.added_losses", "AddLoss"),
    "AddMetric": ("savedmodel.keras.engine.added_losses", "AddMetric"),
}


def _engine_class(name: str) -> Any:
    owner = _ENGINE.get(name)
    return None if owner is None else getattr(importlib.import_module(owner[0]), owner[1])


OBJECTS: Mapping[str, Any] = _Objects()


def serialize(layer: Any, use_legacy_format: bool = False) -> Any:
    """The config of a layer."""
    from savedmodel.keras import metrics, named_objects

    if isinstance(layer, metrics.Metric):
        raise ValueError(f"Cannot serialize {layer} since it is a metric. Please use the `keras.metrics.serialize()` and `keras.metrics.deserialize()` APIs to serialize and deserialize metrics.")
    return named_objects.serialize(layer, use_legacy_format)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False) -> Any:
    """The layer of a config.

    Raises:
        ValueError: no layer has that name; the config is none; it is that of a metric.
    """
    from savedmodel.keras import metrics, named_objects

    if not config:
        raise ValueError(f"Cannot deserialize empty config. Received: config={config}")
    result = named_objects.deserialize(config, OBJECTS, "layer", custom_objects, use_legacy_format)
    if isinstance(result, metrics.Metric):
        raise ValueError(f"Cannot deserialize {config} since it is a metric. Please use the `keras.metrics.serialize()` and `keras.metrics.deserialize()` APIs.")
    return result
