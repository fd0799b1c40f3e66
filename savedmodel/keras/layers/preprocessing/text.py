"""TextVectorization: strings to tokens to numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from savedmodel.keras.layers.preprocessing.base import (
    COUNT,
    INT,
    MULTI_HOT,
    TF_IDF,
    PreprocessingLayer,
    check_choice,
    ensure_tensor,
    listed,
)
from savedmodel.keras.layers.preprocessing.lookup import StringLookup
from tracer import dtypes
from tracer.composite import RaggedTensor
from tracer.dtypes import as_dtype
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor

__all__ = ["TextVectorization"]

_LOWER_AND_STRIP = "lower_and_strip_punctuation"
_STANDARDIZE = (_LOWER_AND_STRIP, "lower", "strip_punctuation")
_SPLIT = ("whitespace", "character")
# Punctuation that is taken out of texts.
_STRIPPED = r'[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']'


class TextVectorization(PreprocessingLayer):
    """Standardises and splits texts, forms n-grams, and gives numbers, counts or weights of tokens."""

    def __init__(
        self, max_tokens: int | None = None, standardize: Any = _LOWER_AND_STRIP, split: Any = "whitespace", ngrams: Any = None,
        output_mode: str | None = "int", output_sequence_length: int | None = None, pad_to_max_tokens: bool = False, vocabulary: Any = None,
        idf_weights: Any = None, sparse: bool = False, ragged: bool = False, encoding: str = "utf-8", **kwargs: Any,
    ):  # fmt: skip
        if "dtype" in kwargs and as_dtype(kwargs["dtype"]) != dtypes.string:
            raise ValueError(f"`TextVectorization` may only have a dtype of string. Received dtype: {kwargs['dtype']}.")
        kwargs["dtype"] = "string"
        check_choice(standardize, _STANDARDIZE, "TextVectorization", "standardize", none=True, functions=True)
        check_choice(split, _SPLIT, "TextVectorization", "split", none=True, functions=True)
        output_mode = {"binary": MULTI_HOT, "tf-idf": TF_IDF}.get(output_mode, output_mode)  # type: ignore[arg-type]
        check_choice(output_mode, (INT, COUNT, MULTI_HOT, TF_IDF), "TextVectorization", "output_mode", none=True)
        if isinstance(ngrams, list):
            ngrams = tuple(ngrams)
        if not (ngrams is None or isinstance(ngrams, int) or (isinstance(ngrams, tuple) and all(isinstance(n, int) for n in ngrams))):
            raise ValueError(f"`ngrams` must be None, an integer, or a tuple of integers. Received: ngrams={ngrams}")
        if output_mode == INT and not (isinstance(output_sequence_length, int) or output_sequence_length is None):
            raise ValueError(
                f"`output_sequence_length` must be either None or an integer when `output_mode` is 'int'. Received: "
                f"output_sequence_length={output_sequence_length}"
            )
        if output_mode != INT and output_sequence_length is not None:
            raise ValueError(
                f"`output_sequence_length` must not be set if `output_mode` is not 'int'. Received "
                f"output_sequence_length={output_sequence_length}."
            )
        if ragged and output_mode != INT:
            raise ValueError(f"`ragged` must not be true if `output_mode` is `'int'`. Received: ragged={ragged} and output_mode={output_mode}")
        if ragged and output_sequence_length is not None:
            raise ValueError(
                f"`output_sequence_length` must not be set if ragged is True. Received: ragged={ragged} and "
                f"output_sequence_length={output_sequence_length}"
            )
        has_vocabulary = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        vocabulary_size = kwargs.pop("vocabulary_size", None)
        super().__init__(**kwargs)
        self.__dict__.update(
            _max_tokens=max_tokens, _standardize=standardize, _split=split, _ngrams_arg=ngrams,
            _ngrams=tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams, _ragged=ragged, _output_mode=output_mode,
            _output_sequence_length=output_sequence_length, _encoding=encoding, _has_input_vocabulary=has_vocabulary,
        )  # fmt: skip
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens, vocabulary=vocabulary, idf_weights=idf_weights, pad_to_max_tokens=pad_to_max_tokens, mask_token="",
            output_mode=output_mode if output_mode is not None else INT, sparse=sparse, has_input_vocabulary=has_vocabulary,
            encoding=encoding, vocabulary_size=vocabulary_size,
        )  # fmt: skip

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape).as_list()
        if self._output_mode == INT:
            return TensorShape([shape[0], self._output_sequence_length])
        if self._split is not None:
            shape = [*shape, None]
        elif len(shape) <= 1:
            shape = [*shape, 1]
        return self._lookup_layer.compute_output_shape(shape)

    def update_state(self, data: Any) -> None:
        self._lookup_layer.update_state(self._preprocess(data))

    def finalize_state(self) -> None:
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        self._lookup_layer.reset_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The tokens by number."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> Any:
        """The number of tokens, with the special ones."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Use given tokens."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights=idf_weights)

    def _preprocess(self, inputs: Any) -> Any:
        inputs = ensure_tensor(inputs, dtype=dtypes.string)
        if self._standardize in ("lower", _LOWER_AND_STRIP):
            inputs = _on_values(tf.strings.lower, inputs)
        if self._standardize in ("strip_punctuation", _LOWER_AND_STRIP):
            inputs = _on_values(lambda x: tf.strings.regex_replace(x, _STRIPPED, ""), inputs)
        if callable(self._standardize):
            inputs = self._standardize(inputs)
        if self._split is not None:
            if inputs.shape.rank > 1:
                if inputs.shape[-1] != 1:
                    raise ValueError(
                        f"When using `TextVectorization` to tokenize strings, the input rank must be 1 or the last shape dimension must be 1. "
                        f"Received: inputs.shape={inputs.shape} with rank={inputs.shape.rank}"
                    )
                inputs = tf.squeeze(inputs, axis=-1)
            if self._split == "whitespace":
                inputs = tf.strings.split(inputs)
            elif self._split == "character":
                inputs = tf.strings.unicode_split(inputs, "UTF-8")
            else:
                inputs = self._split(inputs)
        if self._ngrams is not None:
            inputs = tf.strings.ngrams(inputs, ngram_width=self._ngrams, separator=" ")
        return inputs

    def call(self, inputs: Any) -> Any:
        if isinstance(inputs, (list, tuple, np.ndarray)):
            inputs = convert_to_tensor(inputs)
        inputs = self._preprocess(inputs)
        if self._output_mode is None:
            return inputs
        found = self._lookup_layer(inputs)
        if self._output_mode != INT or self._ragged:
            return found
        length = self._output_sequence_length
        if isinstance(found, RaggedTensor):
            shape = found.shape.as_list()
            shape[-1] = length
            return found.to_tensor(default_value=0, shape=shape)
        if length is not None:
            found = found[..., :length]
            missing = length - tf.shape(found)[-1]
            front = [[0, 0]] * (found.shape.rank - 1)
            padding = tf.concat([tf.constant(front, "int32"), tf.reshape(tf.stack([0, missing]), [1, 2])], 0) if front else [[0, missing]]
            return tf.pad(found, padding)
        return found

    def get_config(self) -> dict[str, Any]:
        lookup = self._lookup_layer
        config = {
            "max_tokens": lookup.max_tokens, "standardize": self._standardize, "split": self._split, "ngrams": self._ngrams_arg,
            "output_mode": self._output_mode, "output_sequence_length": self._output_sequence_length,
            "pad_to_max_tokens": lookup.pad_to_max_tokens, "sparse": lookup.sparse, "ragged": self._ragged,
            "vocabulary": listed(lookup.input_vocabulary), "idf_weights": listed(lookup.input_idf_weights), "encoding": self._encoding,
            "vocabulary_size": self.vocabulary_size(),
        }  # fmt: skip
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """A layer with the functions of a config."""
        from savedmodel.keras.saving import serialization

        config = dict(config)
        for key, names in (("standardize", _STANDARDIZE), ("split", _SPLIT)):
            if config.get(key) is not None and not callable(config[key]) and config[key] not in names:
                config[key] = serialization.deserialize_keras_object(config[key])
        return cls(**config)

    def save_own_variables(self, store: Any) -> None:
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: Any) -> None:
        """Write the vocabulary into a directory."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: Any) -> None:
        """Read what `save_assets` wrote."""
        self._lookup_layer.load_assets(dir_path)


def _on_values(fn: Any, inputs: Any) -> Any:
    return inputs.with_flat_values(fn(inputs.flat_values)) if isinstance(inputs, RaggedTensor) else fn(inputs)
