"""Layers that move elements without computing: Flatten, Reshape, Permute, RepeatVector, cropping, padding and up-sampling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.settings import checked_data_format, dims, normalize_tuple
from tracer import dispatch
from tracer.public import tf
from tracer.shapes import TensorShape


class Flatten(Layer):
    """All but the batch dimension as one."""

    def __init__(self, data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = checked_data_format(data_format)
        self.input_spec = InputSpec(min_ndim=1)
        self._channels_first = self.data_format == "channels_first"

    def call(self, inputs: Any) -> Any:
        if self._channels_first and inputs.shape.rank is not None and inputs.shape.rank > 1:
            inputs = tf.transpose(inputs, perm=[0, *range(2, inputs.shape.rank), 1])
        shape = inputs.shape
        if shape.rank is not None and all(d is not None for d in shape[1:]):
            # The static size keeps the shape known to what follows.
            return tf.reshape(inputs, (shape[0] or -1, math.prod(shape[1:])) if shape.rank > 1 else (-1, 1))
        if shape.rank == 1:
            return tf.expand_dims(inputs, axis=1)
        flat = tf.reshape(inputs, [tf.shape(inputs)[0], -1])
        if shape.rank is not None:
            flat.set_shape(self.compute_output_shape(shape))
        return flat

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape)
        if shape.rank is None:
            return TensorShape([None, None])
        rest = dims(shape)[1:]
        return TensorShape([shape[0], None if None in rest else math.prod(rest)])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}


class Reshape(Layer):
    """Each sample in `target_shape`, of which one size may be -1."""

    def __init__(self, target_shape: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)

    def _sample_shape(self, shape: tuple[Any, ...]) -> list[Any]:
        """The target with -1 filled in.

        Raises:
            ValueError: another number of elements.
        """
        target = list(self.target_shape)
        text = (
            f"total size of new array must be unchanged, input_shape = {list(shape)}, output_shape = {target}"
        )
        known, unknown = 1, None
        for i, dim in enumerate(target):
            if dim < 0:
                if unknown is not None:
                    raise ValueError(f"There must be at most one unknown dimension in output_shape. Received: output_shape={target}.")
                unknown = i
            else:
                known *= dim
        total = int(np.prod(shape, dtype=int))
        if unknown is not None:
            if known == 0 or total % known:
                raise ValueError(text)
            target[unknown] = total // known
        elif total != known:
            raise ValueError(text)
        return target

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = dims(input_shape)
        if None in shape[1:]:
            return TensorShape([shape[0], *(d if d != -1 else None for d in self.target_shape)])
        return TensorShape([shape[0], *self._sample_shape(shape[1:])])

    def call(self, inputs: Any) -> Any:
        result = tf.reshape(inputs, (tf.shape(inputs)[0], *self.target_shape))
        if not dispatch.executing_eagerly():
            result.set_shape(self.compute_output_shape(inputs.shape))
        return result

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": self.target_shape}


class Permute(Layer):
    """Dimensions of each sample in the order `dims`, counted from 1."""

    def __init__(self, dims: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(dims) != list(range(1, len(dims) + 1)):
            raise ValueError(
                f"Invalid permutation argument `dims` for Permute Layer. The set of indices in `dims` must be consecutive and start from 1. "
                f"Received dims={dims}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = dims(input_shape)
        return TensorShape([shape[0], *(shape[d] for d in self.dims)])

    def call(self, inputs: Any) -> Any:
        return tf.transpose(inputs, perm=(0, *self.dims))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dims": self.dims}


class RepeatVector(Layer):
    """Each vector `n` times: (samples, features) → (samples, n, features)."""

    def __init__(self, n: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.n = n
        if not isinstance(n, int):
            raise TypeError(f"Expected an integer value for `n`, got {type(n)}.")
        self.input_spec = InputSpec(ndim=2)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = dims(input_shape)
        return TensorShape([shape[0], self.n, shape[1]])

    def call(self, inputs: Any) -> Any:
        return tf.tile(tf.expand_dims(inputs, 1), tf.stack([1, self.n, 1]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n": self.n}


def _pairs(value: Any, n: int, name: str) -> tuple[tuple[int, int], ...]:
    """An int, n ints or n pairs as n pairs."""
    if isinstance(value, int):
        return ((value, value),) * n
    if hasattr(value, "__len__"):
        if len(value) != n:
            raise ValueError(f"`{name}` should have {n} elements. Received: {value}.")
        return tuple(normalize_tuple(v, 2, f"{i + 1}. entry of {name}", allow_zero=True) for i, v in enumerate(value))  # type: ignore[misc]
    raise ValueError(f"`{name}` should be either an int, a tuple of {n} ints, or a tuple of {n} tuples of 2 ints. Received: {value}.")


class _Bordered(Layer):
    """Layers with a number of elements before and after each spatial dimension."""

    _rank = 1
    _border_name = ""

    def _setup(self, value: Any, data_format: str | None) -> None:
        self.data_format = checked_data_format(data_format)
        if self._rank == 1:
            setattr(self, self._border_name, normalize_tuple(value, 2, self._border_name, allow_zero=True))
        else:
            setattr(self, self._border_name, _pairs(value, self._rank, self._border_name))
        self.input_spec = InputSpec(ndim=self._rank + 2)

    @property
    def _borders(self) -> list[tuple[int, int]]:
        value = getattr(self, self._border_name)
        return [tuple(value)] if self._rank == 1 else [tuple(v) for v in value]

    @property
    def _first(self) -> int:
        """Where the spatial dimensions begin."""
        return 2 if self._rank > 1 and self.data_format == "channels_first" else 1

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), self._border_name: getattr(self, self._border_name)}
        if self._rank > 1:
            config["data_format"] = self.data_format
        return config


class _ZeroPadding(_Bordered):
    _border_name = "padding"

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = list(dims(input_shape))
        for axis, (before, after) in enumerate(self._borders, self._first):
            if shape[axis] is not None:
                shape[axis] += before + after
        return TensorShape(shape)

    def call(self, inputs: Any) -> Any:
        pattern = [[0, 0] for _ in range(self._rank + 2)]
        for axis, border in enumerate(self._borders, self._first):
            pattern[axis] = list(border)
        return tf.pad(inputs, pattern)


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after the steps."""

    def __init__(self, padding: Any = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self._setup(padding, "channels_last")


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images."""

    _rank = 2

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._setup(padding, data_format)


class ZeroPadding3D(_ZeroPadding):
    """Zeros around volumes."""

    _rank = 3

    def __init__(self, padding: Any = (1, 1, 1), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._setup(padding, data_format)


class _Cropping(_Bordered):
    _border_name = "cropping"

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = list(dims(input_shape))
        for axis, (before, after) in enumerate(self._borders, self._first):
            if shape[axis] is not None:
                shape[axis] -= before + after
        return TensorShape(shape)

    def call(self, inputs: Any) -> Any:
        shape = inputs.shape
        for axis, (before, after) in enumerate(self._borders, self._first):
            if self._rank > 1 and shape[axis] is not None and before + after >= shape[axis]:
                raise ValueError(
                    f"Argument `cropping` must be greater than the input shape. Received: inputs.shape={inputs.shape}, and "
                    f"cropping={getattr(self, self._border_name)}"
                )
        slices = [slice(None)] * (self._rank + 2)
        for axis, (before, after) in enumerate(self._borders, self._first):
            slices[axis] = slice(before, -after if after else None)
        return inputs[tuple(slices)]


class Cropping1D(_Cropping):
    """Steps without the first and last ones."""

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any):
        super().__init__(**kwargs)
        self._setup(cropping, "channels_last")


class Cropping2D(_Cropping):
    """Images without their borders."""

    _rank = 2

    def __init__(self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._setup(cropping, data_format)


class Cropping3D(_Cropping):
    """Volumes without their borders."""

    _rank = 3

    def __init__(self, cropping: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self._setup(cropping, data_format)


def repeat_elements(x: Any, times: int, axis: int) -> Any:
    """Each element along `axis` several times in a row."""
    size = x.shape[axis]
    if size is not None:
        parts = tf.split(value=x, num_or_size_splits=size, axis=axis)
        return tf.concat([part for part in parts for _ in range(times)], axis)
    rank = x.shape.rank
    multiples = [1] * (rank + 1)
    multiples[axis + 1] = times
    factors = [1] * rank
    factors[axis] = times
    out = tf.reshape(tf.tile(tf.expand_dims(x, axis + 1), multiples), tf.shape(x) * tf.constant(factors, dtype="int32"))
    out.set_shape(x.shape)
    return out


class UpSampling1D(Layer):
    """Each step `size` times."""

    def __init__(self, size: int = 2, **kwargs: Any):
        super().__init__(**kwargs)
        self.size = int(size)
        self.input_spec = InputSpec(ndim=3)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = dims(input_shape)
        return TensorShape([shape[0], None if shape[1] is None else self.size * shape[1], shape[2]])

    def call(self, inputs: Any) -> Any:
        return repeat_elements(inputs, self.size, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


_INTERPOLATIONS = ("area", "bicubic", "bilinear", "gaussian", "lanczos3", "lanczos5", "mitchellcubic", "nearest")


class UpSampling2D(Layer):
    """Images `size` times as large."""

    def __init__(self, size: Any = (2, 2), data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = checked_data_format(data_format)
        self.size = normalize_tuple(size, 2, "size")
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f"`interpolation` argument should be one of: {', '.join(_INTERPOLATIONS)}. Received: {interpolation}."
            )
        self.interpolation = interpolation
        self.input_spec = InputSpec(ndim=4)

    @property
    def _rows(self) -> int:
        return 2 if self.data_format == "channels_first" else 1

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = list(dims(input_shape))
        for axis, factor in enumerate(self.size, self._rows):
            shape[axis] = None if shape[axis] is None else factor * shape[axis]
        return TensorShape(shape)

    def call(self, inputs: Any) -> Any:
        at = self._rows
        known = inputs.shape[at : at + 2]
        size = tf.constant(known.as_list(), dtype="int32") if known.is_fully_defined() else tf.shape(inputs)[at : at + 2]
        size = size * tf.constant(np.array(self.size, dtype="int32"))
        if at == 2:
            inputs = tf.transpose(inputs, [0, 2, 3, 1])
        out = tf.image.resize(inputs, size, method=self.interpolation)
        return tf.transpose(out, [0, 3, 1, 2]) if at == 2 else out

    def get_config(self) -> dict[str, Any]:
        own = {"size": self.size, "data_format": self.data_format, "interpolation": self.interpolation}
        return {**super().get_config(), **own}


class UpSampling3D(Layer):
    """Volumes `size` times as large, by repetition."""

    def __init__(self, size: Any = (2, 2, 2), data_format: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.data_format = checked_data_format(data_format)
        self.size = normalize_tuple(size, 3, "size")
        self.input_spec = InputSpec(ndim=5)

    @property
    def _first(self) -> int:
        return 2 if self.data_format == "channels_first" else 1

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = list(dims(input_shape))
        for axis, factor in enumerate(self.size, self._first):
            shape[axis] = None if shape[axis] is None else factor * shape[axis]
        return TensorShape(shape)

    def call(self, inputs: Any) -> Any:
        for axis, factor in enumerate(self.size, self._first):
            inputs = repeat_elements(inputs, factor, axis)
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}
