"""Weights as older Keras and cuDNN layers laid them out, turned into the present layout. It refuses to read files.

Authority: Keras 2.15 (`preprocess_weights_for_loading`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer.errors import InvalidArgumentError

__all__ = ["convert_weights"]

_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")


def convert_weights(layer: Any, weights: list[Any], keras_version: str | None = None, backend: str | None = None) -> list[Any]:
    """The weights of a file in the layout of `layer`.

    Args:
        weights: arrays, in the order of the file. keras_version: "1" for files that name none.

    Raises:
        ValueError: they belong to a layer that cannot be turned into this one. AssertionError: a kernel of Keras 1 has another shape.
    """
    kind = type(layer).__name__
    if kind == "Bidirectional":
        half = len(weights) // 2
        weights = convert_weights(layer.forward_layer, weights[:half], keras_version, backend) + convert_weights(
            layer.backward_layer, weights[half:], keras_version, backend
        )
    if kind == "TimeDistributed":
        weights = convert_weights(layer.layer, weights, keras_version, backend)
    elif kind in ("Model", "Sequential", "Functional"):
        weights = _nested(layer, weights, keras_version, backend)
    if keras_version == "1":
        weights = _from_version_1(layer, kind, weights)
    if kind in _CONVOLUTIONS and weights and tuple(layer.weights[0].shape) != weights[0].shape:
        weights = list(weights)
        weights[0] = np.transpose(weights[0], (3, 2, 0, 1))
        if kind == "ConvLSTM2D":
            weights[1] = np.transpose(weights[1], (3, 2, 0, 1))
    if len(weights) == 3:
        if kind in ("LSTM", "CuDNNLSTM"):
            return _lstm(kind, weights)
        if kind in ("GRU", "CuDNNGRU"):
            return _gru(layer, kind, weights)
    return weights


def _nested(model: Any, weights: list[Any], keras_version: str | None, backend: str | None) -> list[Any]:
    """A model inside: all trainable weights come first in the file, layer by layer, then the others."""
    count = len(model.trainable_weights)
    trainable, fixed = list(weights[:count]), list(weights[count:])
    new_trainable: list[Any] = []
    new_fixed: list[Any] = []
    for sublayer in model.layers:
        a, b = len(sublayer.trainable_weights), len(sublayer.non_trainable_weights)
        if not a + b:
            continue
        converted = convert_weights(sublayer, trainable[:a] + fixed[:b], keras_version, backend)
        new_trainable += converted[:a]
        new_fixed += converted[a:]
        trainable, fixed = trainable[a:], fixed[b:]
    return new_trainable + trainable + new_fixed + fixed


def _from_version_1(layer: Any, kind: str, weights: list[Any]) -> list[Any]:
    if kind == "TimeDistributed":
        return convert_weights(layer.layer, weights, "1")
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    weights = list(weights)
    if kind == "Conv1D":
        shape = weights[0].shape
        length = layer.kernel_size[0]
        if shape[:2] != (length, 1) or shape[3:] != (layer.filters,):
            if len(shape) != 4 or shape[0] != layer.filters or shape[2:] != (length, 1):
                raise AssertionError(
                    f"layer {layer.name}: expected a Keras 1 kernel of shape ({layer.filters}, channels, {length}, 1) - received {shape}; the file "
                    f"names no keras_version: add that attribute if it is newer"
                )
            weights[0] = np.transpose(weights[0], (2, 3, 1, 0))
        weights[0] = weights[0][:, 0, :, :]
    elif kind == "Conv2D" and channels_first:
        weights[0] = np.transpose(weights[0], (2, 3, 1, 0))
    elif kind == "Conv2DTranspose":
        weights[0] = np.transpose(weights[0], (2, 3, 0, 1) if channels_first else (0, 1, 3, 2))
    elif kind == "Conv3D" and channels_first:
        weights[0] = np.transpose(weights[0], (2, 3, 4, 1, 0))
    elif kind == "GRU" and len(weights) == 9:
        weights = [np.concatenate([weights[i + 3 * gate] for gate in (0, 1, 2)], axis=-1) for i in range(3)]
    elif kind in ("LSTM", "ConvLSTM2D") and len(weights) == 12:
        # gates i, c, f, o became i, f, c, o
        weights = [np.concatenate([weights[i + 3 * gate] for gate in (0, 2, 1, 3)], axis=-1) for i in range(3)]
        if kind == "ConvLSTM2D" and channels_first:
            weights[:2] = [np.transpose(w, (2, 3, 1, 0)) for w in weights[:2]]
    return weights


def _per_gate(kernels: Any, change: Callable[[Any], Any], gates: int) -> Any:
    return np.hstack([change(k) for k in np.hsplit(kernels, gates)])


def _input_kernel(from_cudnn: bool) -> Callable[[Any], Any]:
    order: Any = "F" if from_cudnn else "C"
    return lambda kernel: kernel.T.reshape(kernel.shape, order=order)


def _lstm(target: str, weights: list[Any]) -> list[Any]:
    units, bias = weights[1].shape[0], weights[2].shape
    if bias == (8 * units,):
        source = "CuDNNLSTM"
    elif bias == (4 * units,):
        source = "LSTM"
    else:
        raise InvalidArgumentError(f"Invalid bias shape: {bias}; expected ({4 * units},) of an LSTM or ({8 * units},) of a CuDNNLSTM")
    if source == target:
        return weights
    from_cudnn = source == "CuDNNLSTM"
    biases = np.sum(np.split(weights[2], 2, axis=0), axis=0) if from_cudnn else np.tile(0.5 * weights[2], 2)
    return [_per_gate(weights[0], _input_kernel(from_cudnn), 4), _per_gate(weights[1], lambda k: k.T, 4), biases]


def _gru(layer: Any, kind: str, weights: list[Any]) -> list[Any]:
    units, bias = weights[1].shape[0], weights[2].shape
    shapes = {(6 * units,): "CuDNNGRU", (2, 3 * units): "GRU(reset_after=True)", (3 * units,): "GRU(reset_after=False)"}
    source = shapes.get(bias)
    if source is None:
        raise InvalidArgumentError(f"Invalid bias shape: {bias}; expected one of {list(shapes)}")
    target = kind if kind == "CuDNNGRU" else f"GRU(reset_after={bool(layer.reset_after)})"
    if source == target:
        return weights
    if "GRU(reset_after=False)" in (source, target):
        raise InvalidArgumentError(f"{source} is not compatible with {target}")
    from_cudnn = source == "CuDNNGRU"
    biases = np.array(weights[2]).reshape((2, -1) if from_cudnn else -1)
    return [_per_gate(weights[0], _input_kernel(from_cudnn), 3), _per_gate(weights[1], lambda k: k.T, 3), biases]
