"""Dot-product and additive attention over [query, value, key]."""

from __future__ import annotations

import logging
from typing import Any

from savedmodel.keras.engine.base_layer import BaseRandomLayer
from savedmodel.keras.layers.regularization import smart_cond, training_value
from tracer import dtypes
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor

__all__ = ["AdditiveAttention", "Attention"]

_log = logging.getLogger("savedmodel.keras")


def _lower_triangle(shape: Any) -> Any:
    ones = tf.ones(shape=shape, dtype=dtypes.int32)
    return tf.greater_equal(tf.cumsum(ones, axis=-2), tf.cumsum(ones, axis=-1))


class _DenseAttention(BaseRandomLayer):
    """Values weighted by the softmax of scores between queries and keys."""

    def __init__(self, dropout: float = 0.0, **kwargs: Any):
        if "causal" in kwargs:
            _log.warning("`causal` argument is deprecated. Please use `use_causal_mask` in call() method to specify causal masking.")
        causal = kwargs.pop("causal", False)
        super().__init__(**kwargs)
        self.causal = causal
        self.dropout = dropout
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        if self.dropout > 0:
            super().build(input_shape)
        self.built = True

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._calculate_scores(query, key): attention layers give [batch, queries, keys] here")

    def _apply_scores(self, scores: Any, value: Any, scores_mask: Any, training: Any) -> tuple[Any, Any]:
        if scores_mask is not None:
            much = 65504.0 if scores.dtype == dtypes.float16 else 1.0e9
            scores = scores - much * tf.cast(tf.logical_not(scores_mask), scores.dtype)
        weights = tf.nn.softmax(scores)
        if self.dropout > 0:
            plain = weights
            weights = smart_cond(
                training_value(training), lambda: self._random_generator.dropout(plain, rate=self.dropout), lambda: tf.identity(plain)
            )
        return tf.matmul(weights, value), weights

    def call(
        self, inputs: Any, mask: Any = None, training: Any = None, return_attention_scores: bool = False, use_causal_mask: bool = False
    ) -> Any:  # fmt: skip
        self._validate_call_args(inputs, mask)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (mask[0], mask[1]) if mask else (None, None)
        scores = self._calculate_scores(query=query, key=key)
        masks = [] if value_mask is None else [tf.expand_dims(value_mask, axis=-2)]
        if self.causal or use_causal_mask:
            shape = tf.shape(scores)
            masks.append(_lower_triangle(tf.concat([tf.ones_like(shape[:-2]), shape[-2:]], axis=0)))
        scores_mask = tf.logical_and(*masks) if len(masks) == 2 else (masks or [None])[0]
        result, weights = self._apply_scores(scores, value, scores_mask, training)
        if query_mask is not None:
            result *= tf.cast(tf.expand_dims(query_mask, axis=-1), result.dtype)
        return (result, weights) if return_attention_scores else result

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        self._validate_call_args(inputs, mask)
        return convert_to_tensor(mask[0]) if mask and mask[0] is not None else None

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape[0])

    def _validate_call_args(self, inputs: Any, mask: Any) -> None:
        name = type(self).__name__
        if not isinstance(inputs, list):
            raise ValueError(f"{name} layer must be called on a list of inputs, namely [query, value] or [query, value, key]. Received: {inputs}.")
        if len(inputs) < 2 or len(inputs) > 3:
            raise ValueError(
                f"{name} layer accepts inputs list of length 2 or 3, namely [query, value] or [query, value, key]. Received length: "
                f"{len(inputs)}."
            )
        if mask:
            if not isinstance(mask, list):
                raise ValueError(f"{name} layer mask must be a list, namely [query_mask, value_mask]. Received: {mask}.")
            if len(mask) < 2 or len(mask) > len(inputs):
                raise ValueError(
                    f"{name} layer mask must be a list of length 2, namely [query_mask, value_mask]. Received length: {len(mask)}."
                )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dropout": self.dropout}


class Attention(_DenseAttention):
    """Scores are dot products, or sums of tanh(query + key) with `score_mode="concat"`."""

    def __init__(self, use_scale: bool = False, score_mode: str = "dot", **kwargs: Any):
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.score_mode = score_mode
        if score_mode not in ("dot", "concat"):
            raise ValueError(f'Received: score_mode={score_mode}. Acceptable values are: ["dot", "concat"]')

    def build(self, input_shape: Any) -> None:
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones", dtype=self.dtype, trainable=True)
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                name="concat_score_weight", shape=(), initializer="ones", dtype=self.dtype, trainable=True
            )
        super().build(input_shape)

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        if self.score_mode == "dot":
            scores = tf.matmul(query, key, transpose_b=True)
            return scores if self.scale is None else scores * self.scale
        both = tf.expand_dims(query, axis=-2) + tf.expand_dims(key, axis=-3)
        if self.scale is not None:
            both = self.scale * both
        return self.concat_score_weight * tf.reduce_sum(tf.tanh(both), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "use_scale": self.use_scale, "score_mode": self.score_mode}


class AdditiveAttention(_DenseAttention):
    """Scores are learnt sums of tanh(query + key)."""

    def __init__(self, use_scale: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.use_scale = use_scale

    def build(self, input_shape: Any) -> None:
        self.scale = None
        if self.use_scale:
            size = TensorShape(input_shape[1])[-1]
            self.scale = self.add_weight(name="scale", shape=[size], initializer="glorot_uniform", dtype=self.dtype, trainable=True)
        super().build(input_shape)

    def _calculate_scores(self, query: Any, key: Any) -> Any:
        both = tf.tanh(tf.expand_dims(query, axis=-2) + tf.expand_dims(key, axis=-3))
        return tf.reduce_sum((self.scale if self.use_scale else 1.0) * both, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "use_scale": self.use_scale}
