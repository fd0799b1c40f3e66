"""Convolutions with weights of their own at every place; also `local_conv`, the function of `keras.backend`.

The three implementations hold different weights: patches by place (1), everything to everything under a mask (2), the connected
pairs only (3).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.merging import batch_dot
from savedmodel.keras.layers.settings import (
    checked_data_format,
    describe,
    dims,
    keep,
    normalize_padding,
    normalize_tuple,
    window_length,
)
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.sparse import SparseTensor

__all__ = ["LocallyConnected1D", "LocallyConnected2D", "local_conv"]

_CONFIG = (
    "filters kernel_size strides padding data_format activation use_bias kernel_initializer bias_initializer kernel_regularizer "
    "bias_regularizer activity_regularizer kernel_constraint bias_constraint implementation"
)


def local_conv(
    inputs: Any, kernel: Any, kernel_size: Sequence[int], strides: Sequence[int], output_shape: Sequence[int],
    data_format: str | None = None,
) -> Any:  # fmt: skip
    """A convolution with a matrix for every output place.

    Args:
        kernel: `(places, features of a patch, filters)`.
        output_shape: how many places there are along each spatial axis.
    """
    first = checked_data_format(data_format) == "channels_first"
    rank, (_, features, filters) = len(output_shape), dims(kernel.shape)
    patches = []
    for place in itertools.product(*map(range, output_shape)):
        window = [slice(p * s, p * s + k) for p, s, k in zip(place, strides, kernel_size, strict=True)]
        at = (slice(None), slice(None), *window) if first else (slice(None), *window, slice(None))
        patches.append(tf.reshape(inputs[at], (1, -1, features)))
    out = tf.reshape(batch_dot(tf.concat(patches, axis=0), kernel), (*output_shape, -1, filters))
    spatial = list(range(rank))
    return tf.transpose(out, [rank, rank + 1, *spatial] if first else [rank, *spatial, rank + 1])


class _LocallyConnected(Layer):
    """Weights, the three ways to apply them, and shapes, for any rank."""

    _rank = 1

    def _setup(self, given: Mapping[str, Any]) -> None:
        super().__init__(**given["kwargs"])
        n = self._rank
        keep(self, given, _CONFIG)
        self.kernel_size = normalize_tuple(given["kernel_size"], n, "kernel_size")
        self.strides = normalize_tuple(given["strides"], n, "strides", allow_zero=True)
        self.padding = normalize_padding(given["padding"])
        if self.padding != "valid" and self.implementation == 1:
            raise ValueError(
                f'Invalid border mode for LocallyConnected{n}D (only "valid" is supported if implementation is 1): {self.padding}'
            )
        self.data_format = checked_data_format(given["data_format"])
        self.input_spec = InputSpec(ndim=n + 2)

    @property
    def _use_input_spec_as_call_signature(self) -> bool:
        return False

    @property
    def _first(self) -> bool:
        return self.data_format == "channels_first"

    def _sizes(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        sizes = shape[2:] if self._first else shape[1:-1]
        return tuple(window_length(n, self.kernel_size[i], self.padding, self.strides[i]) for i, n in enumerate(sizes))

    def _arranged(self, sizes: Sequence[Any], channels: Any) -> tuple[Any, ...]:
        return (channels, *sizes) if self._first else (*sizes, channels)

    def build(self, input_shape: Any) -> None:
        shape, n = dims(input_shape), self._rank
        channels = shape[1] if self._first else shape[-1]
        sizes = shape[2:] if self._first else shape[1:-1]
        if None in sizes:
            raise ValueError(
                f"The spatial dimensions of the inputs to a LocallyConnected{n}D layer should be fully-defined, but layer received the "
                f"inputs shape {shape}"
            )
        if channels is None:
            raise ValueError(f"Axis {1 if self._first else n + 1} of input should be fully-defined. Found shape: {shape}")
        outputs: Any = self._sizes(shape)
        if any(size <= 0 for size in outputs):
            raise ValueError(
                f"One of the dimensions in the output is <= 0 due to downsampling in {self.name}. Consider increasing the input size. "
                f"Received input shape {shape} which would produce output shape with a zero or negative value in a dimension."
            )
        self._outputs = outputs
        if self.implementation == 1:
            self.kernel_shape = (int(np.prod(outputs)), int(np.prod(self.kernel_size)) * channels, self.filters)
        elif self.implementation == 2:
            self.kernel_shape = (*self._arranged(sizes, channels), *self._arranged(outputs, self.filters))
            mask = np.zeros((*sizes, *outputs), bool)
            for there, here in self._connections(sizes):
                mask[(*here, *there)] = True
            channel_axes = (0, n + 1) if self._first else (n, 2 * n + 1)
            self.kernel_mask = np.expand_dims(mask, channel_axes)
        elif self.implementation == 3:
            self.kernel_shape = (int(np.prod(outputs)) * self.filters, int(np.prod(sizes)) * channels)
            self.kernel_idxs = self._pairs(sizes, channels)
        else:
            raise ValueError(f"Unrecognized implementation mode: {self.implementation}.")
        self.kernel = self.add_weight(
            shape=(len(self.kernel_idxs),) if self.implementation == 3 else self.kernel_shape, initializer=self.kernel_initializer,
            name="kernel", regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
        )  # fmt: skip
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(*outputs, self.filters), initializer=self.bias_initializer, name="bias", regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )  # fmt: skip
        self.input_spec = InputSpec(ndim=n + 2, axes={1 if self._first else -1: channels})
        self.built = True

    def _connections(self, sizes: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Every output place with every input place that it sees."""
        for there in itertools.product(*map(range, self._outputs)):
            seen = []
            for place, size, kernel, stride in zip(there, sizes, self.kernel_size, self.strides, strict=True):
                before = kernel // 2
                centre = place * stride + (before if self.padding == "valid" else 0)
                seen.append(range(max(0, centre - before), min(size, centre - before + kernel)))
            for here in itertools.product(*seen):
                yield there, here

    def _pairs(self, sizes: Sequence[int], channels: int) -> list[tuple[int, int]]:
        """Places in the matrix of all outputs by all inputs that hold weights, in rising order."""
        out_shape, in_shape = self._arranged(self._outputs, self.filters), self._arranged(sizes, channels)
        pairs = []
        for there, here in self._connections(sizes):
            for filter_, channel in itertools.product(range(self.filters), range(channels)):
                to = np.ravel_multi_index(self._arranged(there, filter_), out_shape)
                pairs.append((int(to), int(np.ravel_multi_index(self._arranged(here, channel), in_shape))))
        return sorted(pairs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = dims(input_shape)
        return TensorShape([shape[0], *self._arranged(self._sizes(shape), self.filters)])

    def call(self, inputs: Any) -> Any:  # type: ignore[override]
        if self.implementation == 1:
            out = local_conv(inputs, self.kernel, self.kernel_size, self.strides, self._outputs, self.data_format)
        else:
            flat = tf.reshape(inputs, (tf.shape(inputs)[0], -1))
            out = self._masked(flat) if self.implementation == 2 else self._paired(flat)
            out = tf.reshape(out, [tf.shape(out)[0], *self._arranged(self._outputs, self.filters)])
        if self.use_bias:
            out = self._biased(out)
        return self.activation(out)

    def _masked(self, flat: Any) -> Any:
        kernel = tf.cast(self.kernel_mask, self.kernel.dtype) * self.kernel
        shape = tf.shape(kernel)
        split = self._rank + 1
        matrix = tf.reshape(kernel, (tf.reduce_prod(shape[:split]), tf.reduce_prod(shape[split:])))
        return tf.matmul(flat, matrix, b_is_sparse=True)

    def _paired(self, flat: Any) -> Any:
        weights = SparseTensor(self.kernel_idxs, self.kernel, self.kernel_shape)
        return tf.transpose(tf.sparse.sparse_dense_matmul(weights, flat, adjoint_b=True))

    def _biased(self, out: Any) -> Any:
        shape = dims(self.bias.shape)
        if self._first:
            return out + tf.reshape(self.bias, (1, shape[-1], *shape[:-1]))
        return out + tf.reshape(self.bias, (1, *shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, _CONFIG)}


class LocallyConnected1D(_LocallyConnected):
    """A convolution over steps with weights of its own at every step."""

    _rank = 1

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
        activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
        bias_constraint: Any = None, implementation: int = 1, **kwargs: Any,
    ):  # fmt: skip
        self._setup(locals())


class LocallyConnected2D(_LocallyConnected):
    """A convolution over images with weights of its own at every place."""

    _rank = 2

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid", data_format: str | None = None,
        activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
        bias_constraint: Any = None, implementation: int = 1, **kwargs: Any,
    ):  # fmt: skip
        self._setup(locals())
