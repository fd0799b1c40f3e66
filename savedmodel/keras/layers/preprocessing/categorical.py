"""CategoryEncoding, Hashing, HashedCrossing: categories without a vocabulary. Vocabularies live in `lookup`."""

from __future__ import annotations

import logging
from typing import Any

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.layers.preprocessing.base import checked_choice
from savedmodel.keras.layers.preprocessing.encoding import (
    COUNT,
    INT,
    MULTI_HOT,
    ONE_HOT,
    encode,
    encoded_shape,
    ensure_tensor,
    expand_dims,
    integer_dtype,
)
from tracer import dispatch
from tracer.composite import RaggedTensor, SparseTensor
from tracer.dtypes import as_dtype
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.specs import SparseTensorSpec, TensorSpec

__all__ = ["CategoryEncoding", "HashedCrossing", "Hashing", "check_integer_output"]

log = logging.getLogger("savedmodel.keras")


def check_integer_output(layer: Any, output_mode: str, dtype: Any) -> None:
    """Raise ValueError where a layer gives codes and its dtype is no integer."""
    if output_mode == INT and not as_dtype(layer.compute_dtype).is_integer:
        raise ValueError(f"When `output_mode='int'`, `dtype` should be an integer type. Received: dtype={dtype}")


def _check_sparse(sparse: bool, output_mode: str) -> None:
    if sparse and output_mode == INT:
        raise ValueError(
            f"`sparse` may only be true if `output_mode` is `'one_hot'`, `'multi_hot'`, or `'count'`. Received: sparse={sparse} and "
            f"output_mode={output_mode}"
        )


class CategoryEncoding(Layer):
    """Integers in [0, num_tokens) as vectors of length `num_tokens`.

    Args:
        output_mode: "one_hot" (a vector for each integer), "multi_hot" or "count" (a vector for each row).
        sparse: give SparseTensors.

    Raises:
        ValueError: an unknown mode, or `num_tokens` below 1.
    """

    def __init__(self, num_tokens: int | None = None, output_mode: str = MULTI_HOT, sparse: bool = False, **kwargs: Any):
        from savedmodel.keras import backend

        if "max_tokens" in kwargs:
            log.warning("max_tokens is deprecated, please use num_tokens instead.")
            num_tokens = kwargs.pop("max_tokens")
        kwargs.setdefault("dtype", backend.floatx())
        super().__init__(**kwargs)
        output_mode = MULTI_HOT if output_mode == "binary" else output_mode
        checked_choice(output_mode, (COUNT, ONE_HOT, MULTI_HOT), "CategoryEncoding", "output_mode")
        if num_tokens is None:
            raise ValueError(
                "num_tokens must be set to use this layer. If the number of tokens is not known beforehand, use the IntegerLookup layer instead."
            )
        if num_tokens < 1:
            raise ValueError(f"`num_tokens` must be >= 1. Received: num_tokens={num_tokens}.")
        self.num_tokens = num_tokens
        self.output_mode = output_mode
        self.sparse = sparse

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        inputs = ensure_tensor(inputs)
        if count_weights is not None:
            if self.output_mode != COUNT:
                raise ValueError(
                    f"`count_weights` is not used when `output_mode` is not `'count'`. Received `count_weights={count_weights}`."
                )
            count_weights = ensure_tensor(count_weights, as_dtype(self.compute_dtype))
        values = inputs.values if isinstance(inputs, SparseTensor) else inputs
        highest, lowest = tf.reduce_max(values), tf.reduce_min(values)
        fits = tf.logical_and(
            tf.greater(tf.cast(self.num_tokens, highest.dtype), highest), tf.greater_equal(lowest, tf.cast(0, lowest.dtype))
        )
        text = f"Input values must be in the range 0 <= values < num_tokens with num_tokens={self.num_tokens}"
        with dispatch.control_dependencies([tf.Assert(fits, [text])]):
            return encode(inputs, self.output_mode, self.num_tokens, self.compute_dtype, self.sparse, count_weights)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return encoded_shape(input_shape, self.output_mode, self.num_tokens)

    def compute_output_signature(self, input_spec: Any) -> Any:
        shape = self.compute_output_shape(input_spec.shape)
        return SparseTensorSpec(shape, "int64") if self.sparse else TensorSpec(shape, "int64")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_tokens": self.num_tokens, "output_mode": self.output_mode, "sparse": self.sparse}


class Hashing(Layer):
    """Strings and integers as the number of one of `num_bins` bins, by their hash.

    Args:
        mask_value: this value goes to bin 0, others to bins from 1 on.
        salt: a number or two: SipHash with that key in place of FarmHash.
        output_mode: "int", "one_hot", "multi_hot" or "count".
    """

    def __init__(
        self, num_bins: int, mask_value: Any = None, salt: Any = None, output_mode: str = INT, sparse: bool = False, **kwargs: Any
    ):  # fmt: skip
        if num_bins is None or num_bins <= 0:
            raise ValueError(f"The `num_bins` for `Hashing` cannot be `None` or non-positive values. Received: num_bins={num_bins}.")
        integer_dtype(kwargs, output_mode)
        if output_mode == INT and not _is_integer(kwargs["dtype"]):
            kwargs["dtype"] = "int64"
        super().__init__(**kwargs)
        check_integer_output(self, output_mode, kwargs["dtype"])
        checked_choice(output_mode, (INT, ONE_HOT, MULTI_HOT, COUNT), type(self).__name__, "output_mode")
        _check_sparse(sparse, output_mode)
        self.num_bins = num_bins
        self.mask_value = mask_value
        self.strong_hash = salt is not None
        self.output_mode = output_mode
        self.sparse = sparse
        self.salt = None
        if salt is not None:
            if isinstance(salt, (tuple, list)) and len(salt) == 2:
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
            bins = SparseTensor(inputs.indices, self._bins(inputs.values), inputs.dense_shape)
        elif isinstance(inputs, RaggedTensor):
            bins = tf.ragged.map_flat_values(self._bins, inputs)
        else:
            bins = self._bins(inputs)
        return encode(bins, self.output_mode, self.num_bins, self.compute_dtype, self.sparse)

    def _bins(self, values: Any) -> Any:
        count, mask = self.num_bins, None
        if self.mask_value is not None and count > 1:
            count -= 1
            mask = tf.equal(values, self.mask_value)
        if values.dtype.is_integer:
            values = tf.as_string(values)
        if self.strong_hash:
            values = tf.strings.to_hash_bucket_strong(values, count, key=list(self.salt), name="hash")
        else:
            values = tf.strings.to_hash_bucket_fast(values, count, name="hash")
        if mask is not None:
            values = tf.add(values, tf.ones_like(values))
            values = tf.where(mask, tf.zeros_like(values), values)
        return values

    def compute_output_shape(self, input_shape: Any) -> Any:
        return TensorShape(input_shape)

    def compute_output_signature(self, input_spec: Any) -> Any:
        return type(input_spec)(self.compute_output_shape(input_spec.shape), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "num_bins": self.num_bins, "salt": self.salt, "mask_value": self.mask_value,
            "output_mode": self.output_mode, "sparse": self.sparse,
        }  # fmt: skip


def _is_integer(dtype: Any) -> bool:
    return as_dtype(getattr(dtype, "compute_dtype", dtype)).is_integer


class HashedCrossing(Layer):
    """The bin of two or more features together: a hash of their cross, one of `num_bins`.

    Inputs are a list of integer or string tensors of one shape: [], [batch] or [batch, 1].
    """

    def __init__(self, num_bins: int, output_mode: str = INT, sparse: bool = False, **kwargs: Any):
        integer_dtype(kwargs, output_mode)
        super().__init__(**kwargs)
        check_integer_output(self, output_mode, kwargs["dtype"])
        checked_choice(output_mode, (INT, ONE_HOT), type(self).__name__, "output_mode")
        self.num_bins = num_bins
        self.output_mode = output_mode
        self.sparse = sparse

    def call(self, inputs: Any) -> Any:
        _check_several(inputs)
        tensors = [ensure_tensor(x) for x in inputs]
        _check_features(tensors)
        rank = tensors[0].shape.rank
        if rank < 2:
            tensors = [expand_dims(x, -1) for x in tensors]
        if rank < 1:
            tensors = [expand_dims(x, -1) for x in tensors]
        crossed = tf.sparse.to_dense(tf.sparse.cross_hashed(tensors, self.num_bins))
        crossed = tf.reshape(crossed, {0: [], 1: [-1], 2: [-1, 1]}[rank])
        return encode(crossed, self.output_mode, self.num_bins, self.compute_dtype, self.sparse)

    def compute_output_shape(self, input_shapes: Any) -> TensorShape:
        _check_several(input_shapes)
        return encoded_shape(input_shapes[0], self.output_mode, self.num_bins)

    def compute_output_signature(self, input_specs: Any) -> Any:
        shape = self.compute_output_shape([s.shape for s in input_specs])
        sparse = self.sparse or any(isinstance(s, SparseTensorSpec) for s in input_specs)
        return (SparseTensorSpec if sparse else TensorSpec)(shape, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_bins": self.num_bins, "output_mode": self.output_mode, "sparse": self.sparse}


def _check_several(inputs: Any) -> None:
    if not isinstance(inputs, (list, tuple)):
        raise ValueError(f"`HashedCrossing` should be called on a list or tuple of inputs. Received: inputs={inputs}")
    if len(inputs) < 2:
        raise ValueError(f"`HashedCrossing` should be called on at least two inputs. Received: inputs={inputs}")


def _check_features(tensors: list[Any]) -> None:
    first = tensors[0].shape.as_list()
    if len(first) > 2 or (len(first) == 2 and first[-1] != 1):
        raise ValueError(
            f"All `HashedCrossing` inputs should have shape `[]`, `[batch_size]` or `[batch_size, 1]`. Received: inputs={tensors}"
        )
    if any(x.shape.as_list() != first for x in tensors[1:]):
        raise ValueError(f"All `HashedCrossing` inputs should have equal shape. Received: inputs={tensors}")
    if any(isinstance(x, (RaggedTensor, SparseTensor)) for x in tensors):
        raise ValueError(f"All `HashedCrossing` inputs should be dense tensors. Received: inputs={tensors}")
    if not all(x.dtype.is_integer or x.dtype == "string" for x in tensors):
        raise ValueError(f"All `HashedCrossing` inputs should have an integer or string dtype. Received: inputs={tensors}")
