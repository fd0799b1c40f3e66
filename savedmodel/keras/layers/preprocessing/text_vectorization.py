"""TextVectorization: text cleaned, cut into tokens and turned into numbers. The vocabulary is a StringLookup's."""

from __future__ import annotations

from typing import Any

import numpy as np

from savedmodel.keras.layers.preprocessing.base import PreprocessingLayer, checked_choice
from savedmodel.keras.layers.preprocessing.encoding import COUNT, INT, MULTI_HOT, TF_IDF, ensure_tensor, listed
from savedmodel.keras.layers.preprocessing.lookup import StringLookup
from tracer import dtypes
from tracer.composite import RaggedTensor
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec
from tracer.tensor import convert_to_tensor

__all__ = ["TextVectorization"]

LOWER_AND_STRIP, STRIP, LOWER = "lower_and_strip_punctuation", "strip_punctuation", "lower"
WHITESPACE, CHARACTER = "whitespace", "character"
# The characters that Keras takes for punctuation.
_PUNCTUATION = r'[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']'


class TextVectorization(PreprocessingLayer):
    """Strings as sequences of token numbers, or as vectors.

    Args:
        max_tokens: greatest size of the vocabulary.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function of string tensors.
        split: "whitespace", "character", None, or a function of string tensors.
        ngrams: n-grams of up to this size, or of these sizes.
        output_mode: "int", "multi_hot", "count", "tf_idf", or None for the tokens themselves.
        output_sequence_length: sequences are cut or padded to this length.
        vocabulary, idf_weights, pad_to_max_tokens, sparse, encoding: see StringLookup. ragged: give RaggedTensors.

    Raises:
        ValueError: arguments that do not go together.
    """

    def __init__(
        self, max_tokens: int | None = None, standardize: Any = LOWER_AND_STRIP, split: Any = WHITESPACE, ngrams: Any = None,
        output_mode: str | None = INT, output_sequence_length: int | None = None, pad_to_max_tokens: bool = False, vocabulary: Any = None,
        idf_weights: Any = None, sparse: bool = False, ragged: bool = False, encoding: str = "utf-8", **kwargs: Any,
    ):  # fmt: skip
        dtype = kwargs.setdefault("dtype", "string")
        if getattr(dtype, "name", dtype) != "string":
            raise ValueError(f"`TextVectorization` may only have a dtype of string. Received dtype: {dtype}.")
        output_mode = {"binary": MULTI_HOT, "tf-idf": TF_IDF}.get(output_mode, output_mode) if output_mode else output_mode
        checked_choice(standardize, (LOWER_AND_STRIP, LOWER, STRIP), "TextVectorization", "standardize", True, True)
        checked_choice(split, (WHITESPACE, CHARACTER), "TextVectorization", "split", True, True)
        checked_choice(output_mode, (INT, COUNT, MULTI_HOT, TF_IDF), "TextVectorization", "output_mode", True)
        ngrams = tuple(ngrams) if isinstance(ngrams, list) else ngrams
        _check(ngrams, output_mode, output_sequence_length, ragged)
        self._max_tokens = max_tokens
        self._standardize = standardize
        self._split = split
        self._ngrams_arg = ngrams
        self._ngrams = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams
        self._ragged = ragged
        self._output_mode = output_mode
        self._output_sequence_length = output_sequence_length
        self._encoding = encoding
        self._has_input_vocabulary = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        vocabulary_size = kwargs.pop("vocabulary_size", None)
        super().__init__(**kwargs)
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens, vocabulary=vocabulary, idf_weights=idf_weights, pad_to_max_tokens=pad_to_max_tokens, mask_token="",
            output_mode=output_mode if output_mode is not None else INT, sparse=sparse, has_input_vocabulary=self._has_input_vocabulary,
            encoding=encoding, vocabulary_size=vocabulary_size,
        )  # fmt: skip

    # -- vocabulary --------------------------------------------------------------------------------------------------

    def update_state(self, data: Any) -> None:
        self._lookup_layer.update_state(self._tokens(data))

    def finalize_state(self) -> None:
        self._lookup_layer.finalize_state()

    def reset_state(self) -> None:
        self._lookup_layer.reset_state()
        self.__dict__["_is_adapted"] = False

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The tokens in the order of their numbers, with or without padding and the token for unknown ones."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> Any:
        """The number of tokens, with padding and the token for unknown ones."""
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Replace the vocabulary: see StringLookup.set_vocabulary."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights=idf_weights)

    # -- calls -------------------------------------------------------------------------------------------------------

    def _tokens(self, inputs: Any) -> Any:
        inputs = ensure_tensor(inputs, dtypes.string)
        if self._standardize in (LOWER, LOWER_AND_STRIP):
            inputs = tf.strings.lower(inputs)
        if self._standardize in (STRIP, LOWER_AND_STRIP):
            inputs = tf.strings.regex_replace(inputs, _PUNCTUATION, "")
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
            if self._split == WHITESPACE:
                inputs = tf.strings.split(inputs)
            elif self._split == CHARACTER:
                inputs = tf.strings.unicode_split(inputs, "UTF-8")
            else:
                inputs = self._split(inputs)
        if self._ngrams is not None:
            inputs = tf.strings.ngrams(inputs, ngram_width=self._ngrams, separator=" ")
        return inputs

    def call(self, inputs: Any) -> Any:
        if isinstance(inputs, (list, tuple, np.ndarray)):
            inputs = convert_to_tensor(inputs)
        inputs = self._tokens(inputs)
        if self._output_mode is None:
            return inputs
        found = self._lookup_layer(inputs)
        if self._output_mode != INT or self._ragged:
            return found
        length = self._output_sequence_length
        if isinstance(found, RaggedTensor):
            return found.to_tensor(default_value=0, shape=[*found.shape.as_list()[:-1], length])
        if length is not None:
            found = found[..., :length]
            shape = tf.shape(found)
            missing = tf.concat((shape[:-1], [length]), 0) - shape
            return tf.pad(found, tf.stack([tf.zeros_like(missing), missing], axis=1))
        return found

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        dims = TensorShape(input_shape).as_list()
        if self._output_mode == INT:
            return TensorShape([dims[0], self._output_sequence_length])
        if self._split is not None:
            dims = [*dims, None]
        elif len(dims) <= 1:
            dims = [*dims, 1]
        return self._lookup_layer.compute_output_shape(dims)

    def compute_output_signature(self, input_spec: Any) -> Any:
        from savedmodel.keras import backend

        return TensorSpec(self.compute_output_shape(input_spec.shape), "int64" if self._output_mode == INT else backend.floatx())

    # -- persistence -------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        words = self._lookup_layer
        return {
            **super().get_config(), "max_tokens": words.max_tokens, "standardize": self._standardize, "split": self._split,
            "ngrams": self._ngrams_arg, "output_mode": self._output_mode, "output_sequence_length": self._output_sequence_length,
            "pad_to_max_tokens": words.pad_to_max_tokens, "sparse": words.sparse, "ragged": self._ragged,
            "vocabulary": listed(words.input_vocabulary), "idf_weights": listed(words.input_idf_weights), "encoding": self._encoding,
            "vocabulary_size": self.vocabulary_size(),
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        from savedmodel.keras.saving.serialization import deserialize_keras_object

        config = dict(config)
        for key, known in (("standardize", (LOWER_AND_STRIP, LOWER, STRIP)), ("split", (WHITESPACE, CHARACTER))):
            value = config.get(key)
            if value is not None and not callable(value) and not (isinstance(value, str) and value in known):
                config[key] = deserialize_keras_object(value)
        return super().from_config(config)

    def save_own_variables(self, store: Any) -> None:
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: Any) -> None:
        """Write a learned vocabulary to `vocabulary.txt`."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: Any) -> None:
        """Take the vocabulary from `vocabulary.txt`."""
        self._lookup_layer.load_assets(dir_path)


def _check(ngrams: Any, output_mode: str | None, length: Any, ragged: bool) -> None:
    if not (ngrams is None or isinstance(ngrams, int) or (isinstance(ngrams, tuple) and all(isinstance(n, int) for n in ngrams))):
        raise ValueError(f"`ngrams` must be None, an integer, or a tuple of integers. Received: ngrams={ngrams}")
    if output_mode == INT and not (length is None or isinstance(length, int)):
        raise ValueError(
            f"`output_sequence_length` must be either None or an integer when `output_mode` is 'int'. Received: output_sequence_length={length}"
        )
    if output_mode != INT and length is not None:
        raise ValueError(
            f"`output_sequence_length` must not be set if `output_mode` is not 'int'. Received output_sequence_length={length}."
        )
    if ragged and output_mode != INT:
        raise ValueError(f"`ragged` must not be true if `output_mode` is not `'int'`. Received: ragged={ragged} and output_mode={output_mode}")
    if ragged and length is not None:
        raise ValueError(
            f"`output_sequence_length` must not be set if ragged is True. Received: ragged={ragged} and output_sequence_length={length}"
        )
