"""PreprocessingLayer: layers that learn from data in `adapt`; and the encodings of integers that they share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import Layer
from tracer import dispatch
from tracer.composite import RaggedTensor, SparseTensor
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import Tensor, convert_to_tensor, is_tensor

__all__ = [
    "COUNT", "INT", "MULTI_HOT", "ONE_HOT", "TF_IDF", "PreprocessingLayer", "check_choice", "encode_categories", "ensure_tensor",
    "expand_dims", "integer_dtype", "listed",
]  # fmt: skip

INT = "int"
ONE_HOT = "one_hot"
MULTI_HOT = "multi_hot"
COUNT = "count"
TF_IDF = "tf_idf"


def ensure_tensor(inputs: Any, dtype: Any = None) -> Any:
    """`inputs` as a tensor (dense, sparse or ragged), of `dtype` if given."""
    if not isinstance(inputs, (Tensor, RaggedTensor, SparseTensor)):
        inputs = convert_to_tensor(inputs, dtype) if not isinstance(inputs, np.ndarray) else convert_to_tensor(inputs)
    return tf.cast(inputs, dtype) if dtype is not None and inputs.dtype != dtype else inputs


def expand_dims(inputs: Any, axis: int) -> Any:
    """A new axis, also for sparse tensors."""
    return tf.sparse.expand_dims(inputs, axis) if isinstance(inputs, SparseTensor) else tf.expand_dims(inputs, axis)


def listed(value: Any) -> Any:
    """Tensors and arrays as lists, for configs."""
    if is_tensor(value):
        value = value.numpy()
    return value.tolist() if isinstance(value, np.ndarray) else value


def check_choice(value: Any, choices: tuple[str, ...], layer: str, argument: str, none: bool = False, functions: bool = False) -> None:
    """Raises ValueError unless `value` is one of `choices` (or None, or callable, where allowed)."""
    if (none and value is None) or (functions and callable(value)) or (isinstance(value, str) and value in choices):
        return
    allowed = "`None`, " if none else ""
    allowed += "a `Callable`, " if functions else ""
    raise ValueError(
        f"Unkown value for `{argument}` argument of layer {layer}. Allowed values are: {allowed}or one of the following values: {choices}. "
        f"Received: {value}"
    )


def integer_dtype(kwargs: dict[str, Any], output_mode: str) -> None:
    """Fill in the dtype of a layer that gives integers or encodings."""
    from savedmodel.keras import backend
    from tracer.dtypes import as_dtype

    if kwargs.get("dtype") is None:
        kwargs["dtype"] = "int64" if output_mode == INT else backend.floatx()
    elif output_mode == INT and not as_dtype(kwargs["dtype"]).is_integer:
        kwargs["dtype"] = "int64"


def encode_categories(
    inputs: Any, output_mode: str, depth: Any, dtype: Any = "float32", sparse: bool = False, count_weights: Any = None, idf_weights: Any = None
) -> Any:
    """Integers below `depth` as they are ("int"), or as vectors over [0, depth).

    Raises:
        ValueError: the output would have more than two dimensions.
    """
    if output_mode == INT:
        return tf.identity(tf.cast(inputs, dtype)) if not isinstance(inputs, (RaggedTensor, SparseTensor)) else tf.cast(inputs, dtype)
    shape = inputs.shape
    if inputs.shape.rank == 0:
        inputs = expand_dims(inputs, -1)
    if output_mode == ONE_HOT and inputs.shape[-1] != 1:
        inputs = expand_dims(inputs, -1)
    if inputs.shape.rank > 2:
        raise ValueError(
            f"When output_mode is not `'int'`, maximum supported output rank is 2. Received output_mode {output_mode} and input shape "
            f"{shape}, which would result in output rank {inputs.shape.rank}."
        )
    binary = output_mode in (MULTI_HOT, ONE_HOT)
    if sparse:
        counts = tf.sparse.bincount(inputs, weights=count_weights, minlength=depth, maxlength=depth, axis=-1, binary_output=binary)
        values = tf.cast(counts.values, dtype)
        full = (depth,) if inputs.shape.rank == 1 else (tf.shape(counts)[0], depth)
        counts = SparseTensor(indices=counts.indices, values=values, dense_shape=tf.cast(tf.stack(list(full)), "int64"))
    else:
        counts = tf.math.bincount(
            inputs, weights=count_weights, minlength=depth, maxlength=depth, dtype=dtype, axis=-1, binary_output=binary
        )
        counts.set_shape(TensorShape([depth] if inputs.shape.rank == 1 else [inputs.shape[0], depth]))
    if output_mode != TF_IDF:
        return counts
    if idf_weights is None:
        raise ValueError(
            f"When output mode is `'tf_idf'`, idf_weights must be provided. Received: output_mode={output_mode} and idf_weights={idf_weights}"
        )
    if sparse:
        weights = tf.gather(idf_weights, counts.indices[:, -1])
        return SparseTensor(counts.indices, weights * counts.values, counts.dense_shape)
    return tf.multiply(counts, idf_weights)


def _batches(data: Any, batch_size: int | None, steps: int | None) -> Iterator[Any]:
    """Batches of arrays, tensors, lists; of datasets and generators their elements."""
    if isinstance(data, (list, tuple)):
        data = convert_to_tensor(np.asarray(data, dtype=object) if data and isinstance(data[0], (str, bytes)) else np.asarray(data))
    if hasattr(data, "to_numpy"):
        data = convert_to_tensor(data.to_numpy())
    if isinstance(data, np.ndarray):
        data = convert_to_tensor(data)
    if isinstance(data, RaggedTensor):
        size = batch_size or 32
        rows = int(data.nrows())
        pieces: Iterator[Any] = (data[i : i + size] for i in range(0, rows, size))
    elif isinstance(data, SparseTensor):
        pieces = iter([data])
    elif isinstance(data, Tensor):
        size = batch_size or 32
        if data.shape.rank == 0:
            pieces = iter([data])
        else:
            pieces = (data[i : i + size] for i in range(0, data.shape[0], size))
    else:
        pieces = iter(data)
    for i, piece in enumerate(pieces):
        if steps is not None and i >= steps:
            return
        yield piece[0] if isinstance(piece, tuple) else piece


class PreprocessingLayer(Layer):
    """A layer with state that `adapt` computes from data: `update_state(batch)`, `reset_state()`, `finalize_state()`."""

    _must_restore_from_config = True

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.__dict__["_is_compiled"] = False
        self.__dict__["_is_adapted"] = False

    @property
    def is_adapted(self) -> bool:
        """Whether `adapt` has run."""
        return self._is_adapted

    def update_state(self, data: Any) -> None:
        """Take a batch into the state."""
        raise NotImplementedError(f"{type(self).__name__}.update_state(data): preprocessing layers that adapt must define it")

    def reset_state(self) -> None:
        """Forget the state."""
        raise NotImplementedError(f"{type(self).__name__}.reset_state(): preprocessing layers that adapt must define it")

    def finalize_state(self) -> None:
        """Make what `call` uses out of the state."""

    def compile(self, run_eagerly: bool | None = None, steps_per_execution: int | None = None) -> None:
        """Accepted for likeness with models; nothing is compiled."""
        self.__dict__["_is_compiled"] = True

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Compute the state from `data`: arrays, tensors, lists, or an iterable of batches.

        Raises:
            RuntimeError: inside of a tf.function.
        """
        if not dispatch.executing_eagerly():
            raise RuntimeError(
                "Detected a call to `PreprocessingLayer.adapt` inside a `tf.function`. `PreprocessingLayer.adapt is a high-level endpoint that "
                "manages its own `tf.function`. Please move the call to `PreprocessingLayer.adapt` outside of all enclosing `tf.function`s. "
                "Note that you can call a `PreprocessingLayer` directly on `Tensor`s inside a `tf.function` like: `layer(x)`, or update its "
                "state like: `layer.update_state(x)`."
            )
        if self.built:
            self.reset_state()
        for batch in _batches(data, batch_size, steps):
            self._adapt_maybe_build(batch)
            self.update_state(batch)
        self.finalize_state()
        self.__dict__["_is_adapted"] = True

    def _adapt_maybe_build(self, data: Any) -> None:
        if self.built:
            return
        shape = getattr(data, "shape", None)
        if getattr(self, "_batch_input_shape", None) is None:
            self._batch_input_shape = None if shape is None else tuple([None] * len(shape))
        # The number of rows of a batch is no property of the data.
        self.build(None if shape is None else TensorShape([None, *TensorShape(shape).as_list()[1:]]) if len(shape) else shape)
        self.built = True
