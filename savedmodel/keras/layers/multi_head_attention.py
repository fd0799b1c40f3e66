"""MultiHeadAttention: projections of query, key and value, attention over chosen axes, a projection of the result."""

from __future__ import annotations

import logging
import math
import string
from collections.abc import Mapping, Sequence, Sized
from typing import Any

from savedmodel.keras import constraints, initializers, regularizers
from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.layers.activation import Softmax
from savedmodel.keras.layers.core import EinsumDense
from savedmodel.keras.layers.regularization import Dropout
from tracer.composite import RaggedTensor
from tracer.public import tf
from tracer.shapes import TensorShape

__all__ = ["MultiHeadAttention"]

_log = logging.getLogger("savedmodel.keras")
_LETTERS = string.ascii_lowercase


def _projection(free: int, bound: int, outputs: int) -> tuple[str, str, int]:
    """(equation, bias axes, rank of the output) of a projection that keeps `free` axes and sums over `bound` ones."""
    kept, summed, made = _LETTERS[:free], _LETTERS[free : free + bound], _LETTERS[free + bound : free + bound + outputs]
    return f"{kept}{summed},{summed}{made}->{kept}{made}", made, free + outputs


def _attention_equations(rank: int, axes: Sequence[int]) -> tuple[str, str, int]:
    """Equations of scores and of their use, for tensors of `rank` whose last axis is the feature and the one before the head."""
    target = _LETTERS[:rank]
    batch = [i for i in range(rank) if i not in axes and i != rank - 1]
    fresh = iter(_LETTERS[rank:])
    source = "".join(target[i] if i in batch or i == rank - 1 else next(fresh) for i in range(rank))
    scores = "".join([*(target[i] for i in batch), *(target[i] for i in axes), *(source[i] for i in axes)])
    return f"{source},{target}->{scores}", f"{scores},{source}->{target}", len(scores)


class MultiHeadAttention(Layer):
    """Attention in `num_heads` subspaces of `key_dim` (and `value_dim`) features."""

    def __init__(
        self, num_heads: int, key_dim: int, value_dim: int | None = None, dropout: float = 0.0, use_bias: bool = True,
        output_shape: Any = None, attention_axes: Any = None, kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None,
        bias_constraint: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.supports_masking = True
        self._num_heads = num_heads
        self._key_dim = key_dim
        self._value_dim = value_dim if value_dim else key_dim
        self._dropout = dropout
        self._use_bias = use_bias
        self._output_shape = output_shape
        self._kernel_initializer = initializers.get(kernel_initializer)
        self._bias_initializer = initializers.get(bias_initializer)
        self._kernel_regularizer = regularizers.get(kernel_regularizer)
        self._bias_regularizer = regularizers.get(bias_regularizer)
        self._activity_regularizer = regularizers.get(activity_regularizer)
        self._kernel_constraint = constraints.get(kernel_constraint)
        self._bias_constraint = constraints.get(bias_constraint)
        one = attention_axes is not None and not isinstance(attention_axes, Sized)
        self._attention_axes = (attention_axes,) if one else attention_axes
        self._built_from_signature = False
        self._query_shape = self._key_shape = self._value_shape = None

    def get_config(self) -> dict[str, Any]:
        config = {
            "num_heads": self._num_heads, "key_dim": self._key_dim, "value_dim": self._value_dim, "dropout": self._dropout,
            "use_bias": self._use_bias, "output_shape": self._output_shape, "attention_axes": self._attention_axes,
            "kernel_initializer": initializers.serialize(self._kernel_initializer),
            "bias_initializer": initializers.serialize(self._bias_initializer),
            "kernel_regularizer": regularizers.serialize(self._kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self._bias_regularizer),
            "activity_regularizer": regularizers.serialize(self._activity_regularizer),
            "kernel_constraint": constraints.serialize(self._kernel_constraint),
            "bias_constraint": constraints.serialize(self._bias_constraint), "query_shape": self._query_shape,
            "key_shape": self._key_shape, "value_shape": self._value_shape,
        }  # fmt: skip
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """A layer with its weights, where the config remembers the shapes of the inputs."""
        config = dict(config)
        query, key, value = (config.pop(f"{name}_shape", None) for name in ("query", "key", "value"))
        layer = cls(**config)
        if None in (query, key, value):
            _log.warning(
                "One of dimensions of the input shape is missing. It should have been memorized when the layer was serialized. %s is created "
                "without weights.",
                cls,
            )
        else:
            layer._build_from_signature(query, value, key)
        return layer

    def _build_from_signature(self, query: Any, value: Any, key: Any = None) -> None:
        """Make the projections for the shapes of `query`, `value` and `key` (tensors or shapes)."""
        self._built_from_signature = True

        def shape_of(x: Any) -> TensorShape:
            return TensorShape(x.shape if hasattr(x, "shape") else x)

        self._query_shape, self._value_shape = shape_of(query), shape_of(value)
        self._key_shape = self._value_shape if key is None else shape_of(key)
        with self._outside_traces():
            free = self._query_shape.rank - 1
            self._query_dense, _ = self._project("query", free, 1, [self._num_heads, self._key_dim])
            self._key_dense, _ = self._project("key", self._key_shape.rank - 1, 1, [self._num_heads, self._key_dim])
            self._value_dense, rank = self._project("value", self._value_shape.rank - 1, 1, [self._num_heads, self._value_dim])
            self._build_attention(rank)
            wanted = self._output_shape or self._query_shape[-1]
            self._output_dense, _ = self._project("attention_output", free, 2, list(wanted) if isinstance(wanted, Sized) else [wanted])

    def _project(self, name: str, free: int, bound: int, last: list[int]) -> tuple[EinsumDense, int]:
        equation, bias_axes, rank = _projection(free, bound, len(last))

        def again(initializer: Any) -> Any:
            """A fresh initializer, so that each projection draws its own values."""
            return type(initializer).from_config(initializer.get_config())

        layer = EinsumDense(
            equation, output_shape=[None] * (rank - 1 - len(last)) + last, bias_axes=bias_axes if self._use_bias else None, name=name,
            kernel_initializer=again(self._kernel_initializer), bias_initializer=again(self._bias_initializer),
            kernel_regularizer=self._kernel_regularizer, bias_regularizer=self._bias_regularizer,
            activity_regularizer=self._activity_regularizer, kernel_constraint=self._kernel_constraint,
            bias_constraint=self._bias_constraint, dtype=self._dtype_policy,
        )  # fmt: skip
        return layer, rank

    def _build_attention(self, rank: int) -> None:
        axes = self._attention_axes
        self._attention_axes = tuple(range(1, rank - 2)) if axes is None else tuple(axes)
        self._dot_product_equation, self._combine_equation, scores_rank = _attention_equations(rank, self._attention_axes)
        over = tuple(range(scores_rank - len(self._attention_axes), scores_rank))
        self._softmax = Softmax(axis=over, dtype=self._dtype_policy)
        self._dropout_layer = Dropout(rate=self._dropout, dtype=self._dtype_policy)

    def _masked_softmax(self, scores: Any, attention_mask: Any = None) -> Any:
        if attention_mask is not None:
            axis = -len(self._attention_axes) * 2 - 1
            for _ in range(len(scores.shape) - len(attention_mask.shape)):
                attention_mask = tf.expand_dims(attention_mask, axis=axis)
        return self._softmax(scores, attention_mask)

    def _compute_attention(self, query: Any, key: Any, value: Any, attention_mask: Any = None, training: Any = None) -> tuple[Any, Any]:
        query = tf.multiply(query, 1.0 / math.sqrt(float(self._key_dim)))
        scores = self._masked_softmax(tf.einsum(self._dot_product_equation, key, query), attention_mask)
        dropped = self._dropout_layer(scores, training=training)
        return tf.einsum(self._combine_equation, dropped, value), scores

    def call(
        self, query: Any, value: Any, key: Any = None, attention_mask: Any = None, return_attention_scores: bool = False,
        training: Any = None, use_causal_mask: bool = False,
    ) -> Any:  # fmt: skip
        if not self._built_from_signature:
            self._build_from_signature(query=query, value=value, key=key)
        if key is None:
            key = value
        lengths = None
        if isinstance(query, RaggedTensor):
            lengths = query.nested_row_lengths()
            query = query.to_tensor()
        key, value = _dense_pair(key, value)
        attention_mask = self._compute_attention_mask(query, value, key, attention_mask, use_causal_mask)
        output, scores = self._compute_attention(
            self._query_dense(query), self._key_dense(key), self._value_dense(value), attention_mask, training
        )
        output = self._output_dense(output)
        if lengths is not None:
            output = RaggedTensor.from_tensor(output, lengths=lengths)
        return (output, scores) if return_attention_scores else output

    def _compute_attention_mask(self, query: Any, value: Any, key: Any = None, attention_mask: Any = None, use_causal_mask: bool = False) -> Any:
        """The masks that travel with the tensors, the causal one and the given one, joined."""
        masks = []
        for tensor, axis in ((query, 2), (value, 1), (key, 1)):
            mask = getattr(tensor, "_keras_mask", None)
            if mask is not None:
                masks.append(tf.expand_dims(tf.cast(mask, "bool"), axis))
        if use_causal_mask:
            masks.append(self._compute_causal_mask(query, value))
        if not masks:
            return attention_mask
        joined = masks[0]
        for mask in masks[1:]:
            joined = joined & mask
        return joined if attention_mask is None else tf.cast(attention_mask, "bool") & joined

    def _compute_causal_mask(self, query: Any, value: Any = None) -> Any:
        steps = tf.shape(query)[1]
        return tf.linalg.band_part(tf.ones((1, steps, steps if value is None else tf.shape(value)[1]), "bool"), -1, 0)

    def compute_output_shape(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> TensorShape:
        query_shape, value_shape = TensorShape(query_shape), TensorShape(value_shape)
        key_shape = value_shape if key_shape is None else TensorShape(key_shape)
        if query_shape[-1] != value_shape[-1]:
            raise ValueError(
                f"The last dimension of `query_shape` and `value_shape` must be equal, but are {query_shape[-1]}, {value_shape[-1]}. Received: "
                f"query_shape={query_shape}, value_shape={value_shape}"
            )
        if value_shape[1:-1] != key_shape[1:-1]:
            raise ValueError(
                f"All dimensions of `value` and `key`, except the last one, must be equal. Received {value_shape} and {key_shape}"
            )
        return query_shape[:-1].concatenate(self._output_shape) if self._output_shape else query_shape


def _dense_pair(key: Any, value: Any) -> tuple[Any, Any]:
    """Ragged keys and values as dense ones of one shape."""
    ragged = isinstance(key, RaggedTensor), isinstance(value, RaggedTensor)
    if all(ragged):
        bounds = tf.math.maximum(key.bounding_shape(), value.bounding_shape())
        return key.to_tensor(shape=bounds), value.to_tensor(shape=bounds)
    if ragged[0]:
        return key.to_tensor(shape=tf.shape(value)), value
    return (key, value.to_tensor(shape=tf.shape(key))) if ragged[1] else (key, value)
