"""Preprocessing of numbers: Normalization, Discretization, CategoryEncoding, Hashing, HashedCrossing."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.layers.preprocessing.base import (
    COUNT,
    INT,
    MULTI_HOT,
    ONE_HOT,
    PreprocessingLayer,
    check_choice,
    encode_categories,
    ensure_tensor,
    expand_dims,
    integer_dtype,
    listed,
)
from tracer import dtypes
from tracer.composite import RaggedTensor, SparseTensor
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor
from tracer.variable import Variable

__all__ = ["CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "Normalization"]

_log = logging.getLogger("savedmodel.keras")


class Normalization(PreprocessingLayer):
    """(inputs - mean) / sqrt(variance) for each position on `axis`; both given, or learnt by `adapt`."""

    def __init__(self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        for name, value in (("mean", mean), ("variance", variance)):
            if isinstance(value, Variable):
                raise ValueError(f"Normalization does not support passing a Variable for the `{name}` init arg.")
        if (mean is not None) != (variance is not None):
            raise ValueError(
                f"When setting values directly, both `mean` and `variance` must be set. Got mean: {mean} and variance: {variance}"
            )
        self.__dict__["input_mean"] = mean
        self.__dict__["input_variance"] = variance
        self.invert = invert

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if isinstance(input_shape, (list, tuple)) and all(isinstance(s, TensorShape) for s in input_shape):
            raise ValueError(
                "Normalization only accepts a single input. If you are passing a python list or tuple as a single input, please convert to a "
                "numpy array or `tf.Tensor`."
            )
        shape = TensorShape(input_shape).as_list()
        rank = len(shape)
        if any(a < -rank or a >= rank for a in self.axis):
            raise ValueError(f"All `axis` values must be in the range [-ndim, ndim). Found ndim: `{rank}`, axis: {self.axis}")
        kept = sorted(a % rank for a in self.axis)
        for a in kept:
            if shape[a] is None:
                raise ValueError(
                    f"All `axis` values to be kept must have known shape. Got axis: {self.axis}, input shape: {shape}, with unknown axis at "
                    f"index: {a}"
                )
        plain = self.__dict__
        plain["_keep_axis"] = kept
        plain["_reduce_axis"] = [a for a in range(rank) if a not in kept]
        plain["_broadcast_shape"] = [shape[a] if a in kept else 1 for a in range(rank)]
        sizes = tuple(shape[a] for a in kept)
        if self.input_mean is None:
            dtype = self.compute_dtype
            self.adapt_mean = self.add_weight(name="mean", shape=sizes, dtype=dtype, initializer="zeros", trainable=False)
            self.adapt_variance = self.add_weight(name="variance", shape=sizes, dtype=dtype, initializer="ones", trainable=False)
            self.count = self.add_weight(name="count", shape=(), dtype="int64", initializer="zeros", trainable=False)
            self.finalize_state()
        else:
            for name, value in (("mean", self.input_mean), ("variance", self.input_variance)):
                full = tf.reshape(np.asarray(value) * np.ones(sizes), self._broadcast_shape)
                plain[name] = tf.cast(full, self.compute_dtype)

    def update_state(self, data: Any) -> None:
        if self.input_mean is not None:
            raise ValueError(
                f"Cannot `adapt` a Normalization layer that is initialized with static `mean` and `variance`, you passed mean "
                f"{self.input_mean} and variance {self.input_variance}."
            )
        if not self.built:
            raise RuntimeError("`build` must be called before `update_state`.")
        data = tf.cast(self._standardize_inputs(data), self.adapt_mean.dtype)
        mean, variance = tf.nn.moments(data, axes=self._reduce_axis)
        shape = tf.shape(data, out_type=dtypes.int64)
        count = tf.reduce_prod(tf.gather(shape, self._reduce_axis)) if self._reduce_axis else tf.constant(1, dtype="int64")
        total = count + self.count
        weight = tf.cast(count, self.compute_dtype) / tf.cast(total, self.compute_dtype)
        before = 1.0 - weight
        total_mean = self.adapt_mean * before + mean * weight
        total_variance = (self.adapt_variance + (self.adapt_mean - total_mean) ** 2) * before + (
            variance + (mean - total_mean) ** 2
        ) * weight
        self.adapt_mean.assign(total_mean)
        self.adapt_variance.assign(total_variance)
        self.count.assign(total)

    def reset_state(self) -> None:
        if self.input_mean is not None or not self.built:
            return
        self.adapt_mean.assign(tf.zeros_like(self.adapt_mean.value()))
        self.adapt_variance.assign(tf.ones_like(self.adapt_variance.value()))
        self.count.assign(tf.zeros_like(self.count.value()))

    def finalize_state(self) -> None:
        if self.input_mean is not None or not self.built:
            return
        plain = self.__dict__
        for name, variable in (("mean", self.adapt_mean), ("variance", self.adapt_variance)):
            plain[name] = tf.cast(tf.reshape(variable, self._broadcast_shape), self.compute_dtype)

    def call(self, inputs: Any) -> Any:
        from savedmodel.keras import backend

        inputs = self._standardize_inputs(inputs)
        deviation = tf.maximum(tf.sqrt(self.variance), backend.epsilon())
        return self.mean + inputs * deviation if self.invert else (inputs - self.mean) / deviation

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def compute_output_signature(self, input_signature: Any) -> Any:
        return input_signature

    def get_config(self) -> dict[str, Any]:
        own = {"axis": self.axis, "invert": self.invert, "mean": listed(self.input_mean), "variance": listed(self.input_variance)}
        return {**super().get_config(), **own}

    def _standardize_inputs(self, inputs: Any) -> Any:
        inputs = convert_to_tensor(inputs)
        return inputs if inputs.dtype == self.compute_dtype else tf.cast(inputs, self.compute_dtype)

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self.finalize_state()


# -- Discretization --------------------------------------------------------------------------------------------------------


def _summarize(values: np.ndarray, epsilon: float) -> np.ndarray:
    """Boundaries at every `epsilon` of the sorted values, each with the number of values it stands for."""
    values = np.sort(np.ravel(values).astype(np.float32))
    increment = int(np.float32(values.size) / np.float32(1.0 / epsilon))
    step = max(increment, 1)
    boundaries = values[increment::step]
    return np.stack([boundaries, np.ones_like(boundaries) * np.float32(step)])


def _compressed(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """A summary of about 1 / epsilon boundaries."""
    if summary.shape[1] * epsilon < 1:
        return summary
    percents = epsilon + np.arange(0.0, 1.0, epsilon)
    weights = summary[1].cumsum()
    shares = weights / weights[-1]
    bins = np.interp(percents, shares, summary[0])
    weights = np.interp(percents, shares, weights)
    return np.stack((bins, weights - np.concatenate((np.array([0]), weights[:-1])))).astype(np.float32)


class Discretization(PreprocessingLayer):
    """The number of the bin that each value falls into; bins given by their boundaries, or learnt as quantiles by `adapt`."""

    def __init__(
        self, bin_boundaries: Any = None, num_bins: int | None = None, epsilon: float = 0.01, output_mode: str = "int", sparse: bool = False,
        **kwargs: Any,
    ):  # fmt: skip
        if "bins" in kwargs:
            _log.warning("bins is deprecated, please use bin_boundaries or num_bins instead.")
            bins = kwargs.pop("bins")
            if isinstance(bins, int) and num_bins is None:
                num_bins = bins
            elif bin_boundaries is None:
                bin_boundaries = bins
        integer_dtype(kwargs, output_mode)
        super().__init__(**kwargs)
        check_choice(output_mode, (INT, ONE_HOT, MULTI_HOT, COUNT), type(self).__name__, "output_mode")
        _check_sparse(sparse, output_mode)
        if num_bins is not None and num_bins < 0:
            raise ValueError(f"`num_bins` must be greater than or equal to 0. You passed `num_bins={num_bins}`")
        if num_bins is not None and bin_boundaries is not None:
            raise ValueError(
                f"Both `num_bins` and `bin_boundaries` should not be set. You passed `num_bins={num_bins}` and "
                f"`bin_boundaries={bin_boundaries}`"
            )
        bin_boundaries = listed(bin_boundaries)
        self.__dict__["input_bin_boundaries"] = bin_boundaries
        self.__dict__["bin_boundaries"] = bin_boundaries if bin_boundaries is not None else []
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.output_mode = output_mode
        self.sparse = sparse

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.input_bin_boundaries is None:
            self.summary = self.add_weight(
                name="summary", shape=(2, None), dtype="float32", initializer=lambda shape, dtype: np.zeros((2, 0), np.float32),
                trainable=False,
            )  # fmt: skip

    def update_state(self, data: Any) -> None:
        if self.input_bin_boundaries is not None:
            raise ValueError(
                f"Cannot adapt a Discretization layer that has been initialized with `bin_boundaries`, use `num_bins` instead. You passed "
                f"`bin_boundaries={self.input_bin_boundaries}`."
            )
        if not self.built:
            raise RuntimeError("`build` must be called before `update_state`.")
        summary = _summarize(np.asarray(convert_to_tensor(data)), self.epsilon)
        merged = np.concatenate((summary, np.asarray(self.summary)), axis=1)
        merged = merged[:, np.argsort(merged[0], kind="stable")]
        self.summary.assign(_compressed(merged, self.epsilon))

    def finalize_state(self) -> None:
        if self.input_bin_boundaries is not None or not self.built:
            return
        boundaries = _compressed(np.asarray(self.summary), 1.0 / self.num_bins)[0, :-1]
        self.__dict__["bin_boundaries"] = boundaries.tolist()

    def reset_state(self) -> None:
        if self.input_bin_boundaries is None and self.built:
            self.summary.assign(np.zeros((2, 0), np.float32))

    def get_config(self) -> dict[str, Any]:
        own = {
            "bin_boundaries": self.input_bin_boundaries, "num_bins": self.num_bins, "epsilon": self.epsilon,
            "output_mode": self.output_mode, "sparse": self.sparse,
        }  # fmt: skip
        return {**super().get_config(), **own}

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def call(self, inputs: Any) -> Any:
        boundaries = [float(b) for b in self.bin_boundaries]

        def bucket(x: Any) -> Any:
            return raw.Bucketize(ensure_tensor(x), boundaries=boundaries)

        if isinstance(inputs, RaggedTensor):
            found: Any = inputs.with_flat_values(bucket(inputs.flat_values))
        elif isinstance(inputs, SparseTensor):
            found = SparseTensor(indices=inputs.indices, values=bucket(inputs.values), dense_shape=inputs.dense_shape)
        else:
            found = bucket(inputs)
        return encode_categories(
            found, output_mode=self.output_mode, depth=len(boundaries) + 1, sparse=self.sparse, dtype=self.compute_dtype
        )


def _check_sparse(sparse: bool, output_mode: str) -> None:
    if sparse and output_mode == INT:
        raise ValueError(
            f"`sparse` may only be true if `output_mode` is `'one_hot'`, `'multi_hot'`, or `'count'`. Received: sparse={sparse} and "
            f"output_mode={output_mode}"
        )


class CategoryEncoding(Layer):
    """Integers below `num_tokens` as one-hot, multi-hot or count vectors."""

    def __init__(self, num_tokens: int | None = None, output_mode: str = "multi_hot", sparse: bool = False, **kwargs: Any):
        if "max_tokens" in kwargs:
            _log.warning("max_tokens is deprecated, please use num_tokens instead.")
            num_tokens = kwargs.pop("max_tokens")
        super().__init__(**kwargs)
        output_mode = MULTI_HOT if output_mode == "binary" else output_mode
        check_choice(output_mode, (COUNT, ONE_HOT, MULTI_HOT), "CategoryEncoding", "output_mode")
        if num_tokens is None:
            raise ValueError(
                "num_tokens must be set to use this layer. If the number of tokens is not known beforehand, use the IntegerLookup layer "
                "instead."
            )
        if num_tokens < 1:
            raise ValueError(f"`num_tokens` must be >= 1. Received: num_tokens={num_tokens}.")
        self.num_tokens = num_tokens
        self.output_mode = output_mode
        self.sparse = sparse

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = list(TensorShape(input_shape).as_list())
        if not shape:
            return TensorShape([self.num_tokens])
        return TensorShape([*(shape if self.output_mode == ONE_HOT and shape[-1] != 1 else shape[:-1]), self.num_tokens])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_tokens": self.num_tokens, "output_mode": self.output_mode, "sparse": self.sparse}

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        inputs = ensure_tensor(inputs)
        if count_weights is not None:
            if self.output_mode != COUNT:
                raise ValueError(
                    f"`count_weights` is not used when `output_mode` is not `'count'`. Received `count_weights={count_weights}`."
                )
            count_weights = ensure_tensor(count_weights, self.compute_dtype)
        values = inputs.values if isinstance(inputs, SparseTensor) else inputs
        most, least = tf.reduce_max(values), tf.reduce_min(values)
        fits = tf.logical_and(tf.greater(tf.cast(self.num_tokens, most.dtype), most), tf.greater_equal(least, tf.cast(0, least.dtype)))
        check = tf.debugging.Assert(
            fits, [f"Input values must be in the range 0 <= values < num_tokens with num_tokens={self.num_tokens}"]
        )
        with tf.control_dependencies([] if check is None else [check]):
            return encode_categories(
                inputs, output_mode=self.output_mode, depth=self.num_tokens, dtype=self.compute_dtype, sparse=self.sparse,
                count_weights=count_weights,
            )  # fmt: skip


class Hashing(Layer):
    """Strings or integers hashed into `num_bins` bins (FarmHash, or SipHash with `salt`)."""

    def __init__(
        self, num_bins: int, mask_value: Any = None, salt: Any = None, output_mode: str = "int", sparse: bool = False, **kwargs: Any
    ):  # fmt: skip
        if num_bins is None or num_bins <= 0:
            raise ValueError(f"The `num_bins` for `Hashing` cannot be `None` or non-positive values. Received: num_bins={num_bins}.")
        integer_dtype(kwargs, output_mode)
        super().__init__(**kwargs)
        check_choice(output_mode, (INT, ONE_HOT, MULTI_HOT, COUNT), type(self).__name__, "output_mode")
        _check_sparse(sparse, output_mode)
        self.num_bins = num_bins
        self.mask_value = mask_value
        self.strong_hash = salt is not None
        self.output_mode = output_mode
        self.sparse = sparse
        if salt is None or (isinstance(salt, (tuple, list)) and len(salt) == 2):
            self.salt = salt
        elif isinstance(salt, int):
            self.salt = [salt, salt]
        else:
            raise ValueError(
                f"The `salt` argument for `Hashing` can only be a tuple of size 2 integers, or a single integer. Received: salt={salt}."
            )

    def call(self, inputs: Any) -> Any:
        inputs = ensure_tensor(inputs)
        if isinstance(inputs, SparseTensor):
            bins: Any = SparseTensor(indices=inputs.indices, values=self._bins(inputs.values), dense_shape=inputs.dense_shape)
        elif isinstance(inputs, RaggedTensor):
            bins = inputs.with_flat_values(self._bins(inputs.flat_values))
        else:
            bins = self._bins(inputs)
        return encode_categories(bins, output_mode=self.output_mode, depth=self.num_bins, sparse=self.sparse, dtype=self.compute_dtype)

    def _bins(self, values: Any) -> Any:
        """Bins of values; the first is kept for `mask_value`."""
        count, mask = self.num_bins, None
        if self.mask_value is not None and count > 1:
            count -= 1
            mask = tf.equal(values, self.mask_value)
        if values.dtype.is_integer:
            values = tf.as_string(values)
        if self.strong_hash:
            bins = tf.strings.to_hash_bucket_strong(values, count, key=list(self.salt))
        else:
            bins = tf.strings.to_hash_bucket_fast(values, count)
        if mask is None:
            return bins
        return tf.where(mask, tf.zeros_like(bins), tf.add(bins, tf.ones_like(bins)))

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        own = {
            "num_bins": self.num_bins, "salt": list(self.salt) if isinstance(self.salt, list) else self.salt,
            "mask_value": self.mask_value, "output_mode": self.output_mode, "sparse": self.sparse,
        }  # fmt: skip
        return {**super().get_config(), **own}


class HashedCrossing(Layer):
    """Combinations of several features hashed into `num_bins` bins."""

    def __init__(self, num_bins: int, output_mode: str = "int", sparse: bool = False, **kwargs: Any):
        from savedmodel.keras import backend

        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == INT else backend.floatx()
        super().__init__(**kwargs)
        if output_mode == INT and not as_dtype(self.compute_dtype).is_integer:
            raise ValueError(f"When `output_mode='int'`, `dtype` should be an integer type. Received: dtype={kwargs['dtype']}")
        check_choice(output_mode, (INT, ONE_HOT), type(self).__name__, "output_mode")
        self.num_bins = num_bins
        self.output_mode = output_mode
        self.sparse = sparse

    def _check(self, inputs: Any) -> None:
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(f"`HashedCrossing` should be called on a list or tuple of inputs. Received: inputs={inputs}")
        if len(inputs) < 2:
            raise ValueError(f"`HashedCrossing` should be called on at least two inputs. Received: inputs={inputs}")

    def call(self, inputs: Any) -> Any:
        self._check(inputs)
        inputs = [ensure_tensor(x) for x in inputs]
        if any(isinstance(x, (RaggedTensor, SparseTensor)) for x in inputs):
            raise ValueError(f"All `HashedCrossing` inputs should be dense tensors. Received: inputs={inputs}")
        shape = inputs[0].shape.as_list()
        rank = len(shape)
        if rank > 2 or (rank == 2 and shape[-1] != 1):
            raise ValueError(
                f"All `HashedCrossing` inputs should have shape `[]`, `[batch_size]` or `[batch_size, 1]`. Received: inputs={inputs}"
            )
        if not all(x.shape.as_list() == shape for x in inputs[1:]):
            raise ValueError(f"All `HashedCrossing` inputs should have equal shape. Received: inputs={inputs}")
        if not all(x.dtype.is_integer or x.dtype == dtypes.string for x in inputs):
            raise ValueError(f"All `HashedCrossing` inputs should have an integer or string dtype. Received: inputs={inputs}")
        for _ in range(2 - rank):
            inputs = [expand_dims(x, -1) for x in inputs]
        outputs = tf.sparse.to_dense(tf.sparse.cross_hashed(inputs, self.num_bins))
        outputs = tf.reshape(outputs, {2: [-1, 1], 1: [-1], 0: []}[rank])
        return encode_categories(outputs, output_mode=self.output_mode, depth=self.num_bins, sparse=self.sparse, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        self._check(input_shape)
        shape = TensorShape(input_shape[0])
        if self.output_mode == INT:
            return shape
        dims = shape.as_list()
        return TensorShape([*(dims if dims and dims[-1] != 1 else dims[:-1]), self.num_bins])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_bins": self.num_bins, "output_mode": self.output_mode, "sparse": self.sparse}
