"""Integer codes as one-hot, multi-hot, count and TF-IDF vectors, dense or sparse: what categorical layers share. It owns no layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer.composite import RaggedTensor, SparseTensor
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import Tensor, convert_to_tensor

__all__ = ["COUNT", "INT", "MULTI_HOT", "ONE_HOT", "TF_IDF", "encode", "encoded_shape", "ensure_tensor", "expand_dims", "integer_dtype", "listed"]

INT, ONE_HOT, MULTI_HOT, COUNT, TF_IDF = "int", "one_hot", "multi_hot", "count", "tf_idf"


def ensure_tensor(inputs: Any, dtype: Any = None) -> Any:
    """`inputs` as a dense, sparse or ragged tensor, of `dtype` where it is given."""
    if not isinstance(inputs, (Tensor, RaggedTensor, SparseTensor)):
        inputs = convert_to_tensor(inputs, dtype)
    if dtype is not None and inputs.dtype != dtype:
        inputs = tf.cast(inputs, dtype)
    return inputs


def listed(x: Any) -> Any:
    """Tensors and arrays as lists, for configs; anything else as it is."""
    if isinstance(x, Tensor):
        x = x.numpy()
    return x.tolist() if isinstance(x, np.ndarray) else x


def expand_dims(inputs: Any, axis: int) -> Any:
    """`tf.expand_dims` for dense, ragged and sparse tensors."""
    return tf.sparse.expand_dims(inputs, axis) if isinstance(inputs, SparseTensor) else tf.expand_dims(inputs, axis)


def integer_dtype(kwargs: dict[str, Any], output_mode: str) -> None:
    """Set the dtype of a layer that gives int64 codes or float vectors, where `kwargs` does not say."""
    from savedmodel.keras import backend

    if kwargs.get("dtype") is None:
        kwargs["dtype"] = "int64" if output_mode == INT else backend.floatx()


def encode(
    inputs: Any, output_mode: str, depth: Any, dtype: Any = "float32", sparse: bool = False, count_weights: Any = None, idf_weights: Any = None
) -> Any:  # fmt: skip
    """Encode integer codes along the last axis.

    Args:
        inputs: codes below `depth`, of rank 2 at most (unless `output_mode` is "int", which returns them).
        count_weights: what each code adds to its count. idf_weights: factors per code, for "tf_idf".

    Raises:
        ValueError: the result would have more than two dimensions; "tf_idf" without weights.
    """
    if output_mode == INT:
        return tf.identity(tf.cast(inputs, dtype))
    given = inputs.shape
    if inputs.shape.rank == 0:
        inputs = expand_dims(inputs, -1)
    if output_mode == ONE_HOT and inputs.shape[-1] != 1:
        inputs = expand_dims(inputs, -1)
    if inputs.shape.rank > 2:
        raise ValueError(
            f"When output_mode is not `'int'`, maximum supported output rank is 2. Received output_mode {output_mode} and input shape {given}, "
            f"which would result in output rank {inputs.shape.rank}."
        )
    binary = output_mode in (MULTI_HOT, ONE_HOT)
    counts = (_sparse_counts if sparse else _dense_counts)(inputs, depth, binary, dtype, count_weights)
    if output_mode != TF_IDF:
        return counts
    if idf_weights is None:
        raise ValueError(f"When output mode is `'tf_idf'`, idf_weights must be provided. Received: output_mode={output_mode} and idf_weights=None")
    if sparse:
        weights = tf.gather(idf_weights, counts.indices[:, -1])
        return SparseTensor(counts.indices, weights * counts.values, counts.dense_shape)
    return tf.multiply(counts, idf_weights)


def _sparse_counts(inputs: Any, depth: Any, binary: bool, dtype: Any, weights: Any) -> Any:
    found = tf.sparse.bincount(inputs, weights=weights, minlength=depth, maxlength=depth, axis=-1, binary_output=binary)
    found = tf.cast(found, dtype)
    if inputs.shape.rank == 1:
        return SparseTensor(found.indices, found.values, [depth])
    shape = tf.stack([found.dense_shape[0], convert_to_tensor(depth, "int64")])
    return SparseTensor(found.indices, found.values, shape)


def _dense_counts(inputs: Any, depth: Any, binary: bool, dtype: Any, weights: Any) -> Any:
    found = tf.math.bincount(inputs, weights=weights, minlength=depth, maxlength=depth, dtype=dtype, axis=-1, binary_output=binary)
    known = depth if isinstance(depth, (int, np.integer)) else None
    found.set_shape(TensorShape([known] if inputs.shape.rank == 1 else [inputs.shape.as_list()[0], known]))
    return found


def encoded_shape(shape: Any, output_mode: str, depth: Any) -> TensorShape:
    """The static shape of what `encode` returns for codes of `shape`."""
    dims = TensorShape(shape).as_list()
    if output_mode == INT:
        return TensorShape(dims)
    if not dims:
        return TensorShape([depth])
    return TensorShape([*dims, depth] if output_mode == ONE_HOT and dims[-1] != 1 else [*dims[:-1], depth])
