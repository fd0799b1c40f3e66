"""Pooling over windows and over whole dimensions."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.settings import (
    checked_data_format,
    dims,
    normalize_padding,
    normalize_tuple,
    window_length,
)
from tracer.public import tf
from tracer.shapes import TensorShape

_FORMATS = {"channels_last": ("NWC", "NHWC", "NDHWC"), "channels_first": ("NCW", "NCHW", "NCDHW")}


class _Pooling(Layer):
    """Windows over the spatial dimensions; `_kind` is "max" or "avg"."""

    _rank = 2
    _kind = "max"

    def _setup(self, pool_size: Any, strides: Any, padding: str, data_format: str | None) -> None:
        if strides is None:
            strides = pool_size
        self.pool_size = normalize_tuple(pool_size, self._rank, "pool_size")
        self.strides = normalize_tuple(strides, self._rank, "strides", allow_zero=True)
        self.padding = normalize_padding(padding)
        self.data_format = checked_data_format(data_format)
        self.input_spec = InputSpec(ndim=self._rank + 2)

    @property
    def _first(self) -> int:
        return 2 if self.data_format == "channels_first" else 1

    def call(self, inputs: Any) -> Any:
        padding = self.padding.upper()
        if self._rank == 1:
            # One-dimensional pools are two-dimensional ones over a dimension of size 1.
            extra = 2 if self.data_format == "channels_last" else 3
            pool = getattr(tf.nn, f"{self._kind}_pool2d")
            layout = "NHWC" if self.data_format == "channels_last" else "NCHW"
            wide = tf.expand_dims(inputs, extra)
            return tf.squeeze(pool(wide, (*self.pool_size, 1), (*self.strides, 1), padding, data_format=layout), extra)
        pool = getattr(tf.nn, f"{self._kind}_pool{self._rank}d")
        window, strides = (1, *self.pool_size, 1), (1, *self.strides, 1)
        if self.data_format == "channels_first":
            window, strides = (1, 1, *self.pool_size), (1, 1, *self.strides)
        return pool(inputs, window, strides, padding, data_format=_FORMATS[self.data_format][self._rank - 1])

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = list(dims(input_shape))
        for i, axis in enumerate(range(self._first, self._first + self._rank)):
            shape[axis] = window_length(shape[axis], self.pool_size[i], self.padding, self.strides[i])
        return TensorShape(shape)

    def get_config(self) -> dict[str, Any]:
        own = {"pool_size": self.pool_size, "padding": self.padding, "strides": self.strides, "data_format": self.data_format}
        if self._rank == 1:
            own = {k: own[k] for k in ("strides", "pool_size", "padding", "data_format")}
        return {**super().get_config(), **own}


class MaxPooling1D(_Pooling):
    """The greatest value in each window of steps."""

    _rank = 1

    def __init__(self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = "channels_last", **kwargs: Any):
        super().__init__(**kwargs)
        self._setup(pool_size, strides, padding, data_format)


class MaxPooling2D(_Pooling):
    """The greatest value in each window of an image."""

    def __init__(self, pool_size: Any = (2, 2), strides: Any = None, padding: str = "valid", data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._setup(pool_size, strides, padding, data_format)


class MaxPooling3D(_Pooling):
    """The greatest value in each window of a volume."""

    _rank = 3

    def __init__(self, pool_size: Any = (2, 2, 2), strides: Any = None, padding: str = "valid", data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._setup(pool_size, strides, padding, data_format)


class AveragePooling1D(MaxPooling1D):
    """The mean of each window of steps."""

    _kind = "avg"


class AveragePooling2D(MaxPooling2D):
    """The mean of each window of an image."""

    _kind = "avg"


class AveragePooling3D(MaxPooling3D):
    """The mean of each window of a volume."""

    _kind = "avg"


class _GlobalPooling(Layer):
    """One value for each channel; with `keepdims` the spatial dimensions stay with size 1."""

    _rank = 2
    _reduce = "reduce_max"

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = checked_data_format(data_format)
        self.input_spec = InputSpec(ndim=self._rank + 2)
        self.keepdims = keepdims

    @property
    def _axes(self) -> list[int]:
        first = 2 if self.data_format == "channels_first" else 1
        return list(range(first, first + self._rank))

    def call(self, inputs: Any) -> Any:
        axes: Any = self._axes if self._rank > 1 else self._axes[0]
        return getattr(tf, self._reduce)(inputs, axis=axes, keepdims=self.keepdims)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape, axes = dims(input_shape), self._axes
        if self.keepdims:
            return TensorShape([1 if i in axes else d for i, d in enumerate(shape)])
        return TensorShape([d for i, d in enumerate(shape) if i not in axes])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format, "keepdims": self.keepdims}


class GlobalMaxPooling1D(_GlobalPooling):
    """The greatest value over all steps."""

    _rank = 1

    def __init__(self, data_format: str | None = "channels_last", **kwargs: Any):
        super().__init__(data_format=data_format, **kwargs)


class GlobalMaxPooling2D(_GlobalPooling):
    """The greatest value of each channel of an image."""


class GlobalMaxPooling3D(_GlobalPooling):
    """The greatest value of each channel of a volume."""

    _rank = 3


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean over the steps that are not masked."""

    _rank = 1
    _reduce = "reduce_mean"

    def __init__(self, data_format: str | None = "channels_last", **kwargs: Any):
        super().__init__(data_format=data_format, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        (axis,) = self._axes
        if mask is None:
            return tf.reduce_mean(inputs, axis=axis, keepdims=self.keepdims)
        mask = tf.expand_dims(tf.cast(mask, inputs[0].dtype), 2 if self.data_format == "channels_last" else 1)
        inputs = inputs * mask
        return tf.reduce_sum(inputs, axis=axis, keepdims=self.keepdims) / tf.reduce_sum(mask, axis=axis, keepdims=self.keepdims)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel of an image."""

    _reduce = "reduce_mean"


class GlobalAveragePooling3D(_GlobalPooling):
    """The mean of each channel of a volume."""

    _rank = 3
    _reduce = "reduce_mean"
