"""Vocabularies: tokens to numbers and back. StringLookup and IntegerLookup."""

from __future__ import annotations

import collections
import logging
import os
from typing import Any

import numpy as np

from savedmodel.keras.layers.preprocessing.base import (
    COUNT,
    INT,
    MULTI_HOT,
    ONE_HOT,
    TF_IDF,
    PreprocessingLayer,
    check_choice,
    encode_categories,
    ensure_tensor,
    expand_dims,
    listed,
)
from tracer import dispatch, dtypes
from tracer.composite import RaggedTensor, SparseTensor
from tracer.dtypes import as_dtype
from tracer.lookup import TableInitializerBase
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor, is_tensor
from tracer.variable import Variable

__all__ = ["IndexLookup", "IntegerLookup", "StringLookup"]

_log = logging.getLogger("savedmodel.keras")


class _NoVocabulary(TableInitializerBase):
    """Leaves a table empty."""

    def initialize(self, table: Any) -> Any:
        return None


class IndexLookup(PreprocessingLayer):
    """Tokens as numbers in a vocabulary: mask token first, then numbers for unknown tokens, then known ones."""

    def __init__(
        self, max_tokens: int | None, num_oov_indices: int, mask_token: Any, oov_token: Any, vocabulary_dtype: Any, vocabulary: Any = None,
        idf_weights: Any = None, invert: bool = False, output_mode: str = "int", sparse: bool = False, pad_to_max_tokens: bool = False,
        **kwargs: Any,
    ):  # fmt: skip
        from savedmodel.keras import backend

        if max_tokens is not None and max_tokens <= 1:
            raise ValueError(f"If set, `max_tokens` must be greater than 1. Received: max_tokens={max_tokens}")
        if pad_to_max_tokens and max_tokens is None:
            raise ValueError(f"If pad_to_max_tokens is True, must set `max_tokens`. Received: max_tokens={max_tokens}")
        if num_oov_indices < 0:
            raise ValueError(f"`num_oov_indices` must be greater than or equal to 0. Received: num_oov_indices={num_oov_indices}")
        output_mode = {"binary": MULTI_HOT, "tf-idf": TF_IDF}.get(output_mode, output_mode)
        check_choice(output_mode, (INT, ONE_HOT, MULTI_HOT, COUNT, TF_IDF), type(self).__name__, "output_mode")
        if invert and output_mode != INT:
            raise ValueError(f"`output_mode` must be `'int'` when `invert` is true. Received: output_mode={output_mode}")
        if sparse and output_mode == INT:
            raise ValueError(
                f"`sparse` may only be true if `output_mode` is `'one_hot'`, `'multi_hot'`, `'count'` or `'tf_idf'`. Received: "
                f"sparse={sparse} and output_mode={output_mode}"
            )
        if idf_weights is not None and output_mode != TF_IDF:
            raise ValueError(
                f"`idf_weights` should only be set if `output_mode` is `'tf_idf'`. Received: idf_weights={idf_weights} and "
                f"output_mode={output_mode}"
            )
        frozen = kwargs.pop("vocabulary_size", None)
        has_vocabulary = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        kwargs.pop("has_static_table", None)
        if "dtype" not in kwargs:
            kwargs["dtype"] = "int64" if output_mode == INT else backend.floatx()
        super().__init__(**kwargs)
        if output_mode == INT and not as_dtype(self.compute_dtype).is_integer:
            raise ValueError(f"When `output_mode='int'`, `dtype` should be an integer type. Received: dtype={kwargs['dtype']}")
        plain = self.__dict__
        plain |= {
            "invert": invert, "max_tokens": max_tokens, "num_oov_indices": num_oov_indices, "mask_token": mask_token,
            "oov_token": oov_token, "output_mode": output_mode, "sparse": sparse, "pad_to_max_tokens": pad_to_max_tokens,
            "vocabulary_dtype": as_dtype(vocabulary_dtype).name, "_frozen_vocab_size": frozen, "input_vocabulary": vocabulary,
            "input_idf_weights": idf_weights, "_has_input_vocabulary": has_vocabulary,
        }  # fmt: skip
        number = as_dtype(self.dtype) if output_mode == INT else dtypes.int64
        token = as_dtype(vocabulary_dtype)
        if invert:
            plain["_key_dtype"], plain["_value_dtype"] = number, token
            mask_key, mask_value, default = 0, mask_token, oov_token
        else:
            plain["_key_dtype"], plain["_value_dtype"] = token, number
            mask_key, mask_value = mask_token, 0 if output_mode == INT else number.max
            default = self._oov_start_index() if num_oov_indices == 1 else -1
        plain["_default_value"] = default
        if mask_token is not None:
            plain["_mask_key"] = convert_to_tensor(mask_key, self._key_dtype)
            plain["_mask_value"] = convert_to_tensor(mask_value, self._value_dtype)
        if output_mode == TF_IDF:
            self.idf_weights = Variable(
                [0] * self._token_start_index(), shape=TensorShape([None]), dtype=self.compute_dtype, trainable=False
            )
            plain["idf_weights_const"] = self.idf_weights.value()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
        else:
            with dispatch.init_scope():
                self.lookup_table = tf.lookup.StaticHashTable(_NoVocabulary(self._key_dtype, self._value_dtype), default)
        if not has_vocabulary:
            counting = tf.lookup.experimental.MutableHashTable
            self.token_counts = counting(key_dtype=token, value_dtype=dtypes.int64, default_value=0)
            if output_mode == TF_IDF:
                self.token_document_counts = counting(key_dtype=token, value_dtype=dtypes.int64, default_value=0)
                self.num_documents = Variable(0, dtype=dtypes.int64, trainable=False)

    # -- the vocabulary ------------------------------------------------------------------------------------------------

    def _oov_start_index(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == INT else 0

    def _token_start_index(self) -> int:
        return self._oov_start_index() + self.num_oov_indices

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens by number."""
        found: dict[Any, Any] = {}
        if int(self.lookup_table.size()) > 0:
            keys, values = self.lookup_table.export()
            tokens, numbers = (values, keys) if self.invert else (keys, values)
            found = dict(zip(numbers.numpy().tolist(), self._tokens_to_numpy(tokens).tolist(), strict=True))
        vocabulary = [found.get(i, self.oov_token) for i in range(self.vocabulary_size())]
        if self.mask_token is not None and self.output_mode == INT:
            vocabulary[0] = self.mask_token
        return vocabulary if include_special_tokens else vocabulary[self._token_start_index() :]

    def vocabulary_size(self) -> Any:
        """The number of tokens, with the special ones."""
        size = self.lookup_table.size()
        return (int(size) if dispatch.executing_eagerly() else size) + self._token_start_index()

    def vocab_size(self) -> Any:
        """`vocabulary_size` by its older name."""
        _log.warning("vocab_size is deprecated, please use vocabulary_size.")
        return self.vocabulary_size()

    def _tokens_to_numpy(self, tokens: Any) -> np.ndarray:
        return tokens.numpy()

    def _record_vocabulary_size(self) -> None:
        with dispatch.init_scope():
            size = self.vocabulary_size()
        fixed = self.output_mode != INT and not self.pad_to_max_tokens
        if fixed and self._frozen_vocab_size is not None and size != self._frozen_vocab_size:
            raise RuntimeError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, the vocabulary size cannot be changed after the "
                f"layer is called. Old vocab size is {self._frozen_vocab_size}, new vocab size is {size}"
            )
        self.__dict__["_frozen_vocab_size"] = size

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Use given tokens: an array, a list, or the path of a file with one token a line.

        Raises:
            ValueError: empty, repeated or too many tokens; special tokens at wrong places; weights that do not fit.
        """
        if self.output_mode == TF_IDF:
            if idf_weights is None:
                raise ValueError("`idf_weights` must be set if output_mode is TF_IDF")
        elif idf_weights is not None:
            raise ValueError(
                f"`idf_weights` should only be set if output_mode is `'tf_idf'`. Received: output_mode={self.output_mode} and "
                f"idf_weights={idf_weights}"
            )
        if isinstance(vocabulary, str):
            self._use_file(vocabulary)
            return
        if is_tensor(vocabulary):
            vocabulary = self._tokens_to_numpy(vocabulary)
        elif isinstance(vocabulary, (list, tuple)):
            vocabulary = np.array(vocabulary)
        idf_weights = idf_weights if idf_weights is False or idf_weights is None else np.asarray(idf_weights)
        if vocabulary.size == 0:
            raise ValueError(f"Cannot set an empty vocabulary, you passed {vocabulary}.")
        start = self._token_start_index()
        special = [self.mask_token] * self._oov_start_index() + [self.oov_token] * self.num_oov_indices
        given_special = np.array_equal(special, vocabulary[:start])
        tokens = vocabulary[start:] if given_special else vocabulary
        repeated = [t for t, n in collections.Counter(tokens.tolist()).items() if n > 1]
        if repeated:
            raise ValueError(
                f"The passed vocabulary has at least one repeated term. Please uniquify your dataset. The repeated terms are {repeated}"
            )
        for kind, token in (("mask", self.mask_token), ("OOV", self.oov_token if self.invert else None)):
            if token is not None and token in tokens:
                at = np.argwhere(vocabulary == token)[-1]
                raise ValueError(
                    f"Found reserved {kind} token at unexpected location in `vocabulary`. Note that passed `vocabulary` does not need to "
                    f"include the OOV and mask tokens. Either remove all mask and OOV tokens, or include them only at the start of the "
                    f"vocabulary in precisely this order: {special}. Received: {kind.lower()}_token={token} at vocabulary index {at}"
                )
        size = start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(
                f"Attempted to set a vocabulary larger than the maximum vocab size. Passed vocab size is {size}, max vocab size is "
                f"{self.max_tokens}."
            )
        self.lookup_table = self._table_of(tokens)
        self._record_vocabulary_size()
        if self.output_mode == TF_IDF and idf_weights is not False:
            self._set_idf_weights(idf_weights, len(vocabulary), given_special)

    def _set_idf_weights(self, weights: np.ndarray, tokens: int, given_special: bool) -> None:
        if tokens != len(weights):
            raise ValueError(
                f"`idf_weights` must be the same length as vocabulary. len(idf_weights) is {len(weights)}, len(vocabulary) is {tokens}"
            )
        if weights.ndim != 1:
            raise ValueError(f"TF-IDF data must be a 1-index array, but received {type(weights)}")
        front = 0 if given_special else self._token_start_index()
        back = self.max_tokens - front - len(weights) if self.pad_to_max_tokens and self.max_tokens is not None else 0
        padded = np.pad(weights, (front, back), "constant", constant_values=(0 if given_special else np.average(weights), 0))
        self.idf_weights.assign(convert_to_tensor(padded.astype(as_dtype(self.compute_dtype).as_numpy_dtype)))
        self.__dict__["idf_weights_const"] = self.idf_weights.value()

    def _table_of(self, tokens: Any) -> Any:
        with dispatch.init_scope():
            tokens = convert_to_tensor(tokens if is_tensor(tokens) else np.asarray(tokens).tolist(), as_dtype(self.vocabulary_dtype))
            start = self._token_start_index()
            numbers = self._key_dtype if self.invert else self._value_dtype
            indices = tf.cast(tf.range(start, start + tokens.shape[0]), numbers)
            keys, values = (indices, tokens) if self.invert else (tokens, indices)
            initializer = tf.lookup.KeyValueTensorInitializer(keys, values, self._key_dtype, self._value_dtype)
            return tf.lookup.StaticHashTable(initializer, self._default_value)

    def _use_file(self, path: str) -> None:
        if not os.path.exists(path):
            raise ValueError(f"Vocabulary file {path} does not exist.")
        if self.output_mode == TF_IDF:
            raise ValueError("output_mode `'tf_idf'` does not support loading a vocabulary from file.")
        index = tf.lookup.TextFileIndex
        parts = (index.LINE_NUMBER, index.WHOLE_LINE) if self.invert else (index.WHOLE_LINE, index.LINE_NUMBER)
        with dispatch.init_scope():
            initializer = tf.lookup.TextFileInitializer(
                filename=path, key_dtype=self._key_dtype, key_index=parts[0], value_dtype=self._value_dtype, value_index=parts[1],
                value_index_offset=self._token_start_index(),
            )  # fmt: skip
            self.lookup_table = tf.lookup.StaticHashTable(initializer, self._default_value)
        self._record_vocabulary_size()

    # -- adapting ------------------------------------------------------------------------------------------------------

    def update_state(self, data: Any) -> None:
        if self._has_input_vocabulary:
            raise ValueError(
                f"Cannot adapt {type(self).__name__} layer after setting a static vocabulary via init argument or `set_vocabulary`."
            )
        data = ensure_tensor(data, dtype=as_dtype(self.vocabulary_dtype))
        while data.shape.rank < 2:
            data = tf.expand_dims(data, 0)
        tokens, counts = _counted(_flat(data))
        self.token_counts.insert(tokens, counts + self.token_counts.lookup(tokens))
        if self.output_mode != TF_IDF:
            return
        documents = [data[i] for i in range(int(data.nrows()) if isinstance(data, RaggedTensor) else data.shape[0])]
        once = tf.concat([tf.unique(_flat(d))[0] for d in documents], 0)
        tokens, counts = _counted(once)
        self.token_document_counts.insert(tokens, counts + self.token_document_counts.lookup(tokens))
        self.num_documents.assign_add(len(documents))

    def finalize_state(self) -> None:
        """Sort the counted tokens: most frequent first, then in reverse order of the tokens."""
        plain = self.__dict__
        if self._has_input_vocabulary or int(self.token_counts.size()) == 0:
            if self.output_mode == TF_IDF:
                plain["idf_weights_const"] = self.idf_weights.value()
            self._record_vocabulary_size()
            return
        for token in (self.mask_token, self.oov_token):
            if token is not None:
                self.token_counts.remove(convert_to_tensor([token], as_dtype(self.vocabulary_dtype)))
        tokens, counts = self.token_counts.export()
        order = np.lexsort((tokens.numpy(), counts.numpy()))[::-1]
        start = self._token_start_index()
        if self.max_tokens:
            order = order[: self.max_tokens - start]
        tokens = tf.gather(tokens, np.ascontiguousarray(order))
        self.lookup_table = self._table_of(tokens)
        if self.output_mode == TF_IDF:
            found = self.token_document_counts.lookup(tokens)
            weights = tf.cast(tf.math.log(1 + self.num_documents / (1 + found)), self.compute_dtype)
            weights = np.pad(weights.numpy(), (start, 0), constant_values=np.mean(weights.numpy()))
            if self.pad_to_max_tokens and self.max_tokens is not None:
                weights = np.pad(weights, (0, self.max_tokens - len(weights)))
            self.idf_weights.assign(weights)
            plain["idf_weights_const"] = self.idf_weights.value()
        self.reset_state()
        self._record_vocabulary_size()

    def reset_state(self) -> None:
        if self._has_input_vocabulary:
            return
        self.token_counts.remove(self.token_counts.export()[0])
        if self.output_mode == TF_IDF:
            self.token_document_counts.remove(self.token_document_counts.export()[0])
            self.num_documents.assign(0)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        if self.output_mode == INT:
            return TensorShape(input_shape)
        return TensorShape([TensorShape(input_shape)[0], self.max_tokens if self.pad_to_max_tokens else self._frozen_vocab_size])

    def call(self, inputs: Any) -> Any:
        if self.output_mode != INT and not self.pad_to_max_tokens and self._frozen_vocab_size is None:
            raise RuntimeError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, you must set the layer's vocabulary before "
                f"calling it. Either pass a `vocabulary` argument to the layer, or call `adapt` with some sample data."
            )
        inputs = ensure_tensor(inputs, dtype=self._key_dtype)
        scalar = inputs.shape.rank == 0
        if scalar:
            inputs = expand_dims(inputs, -1)
        if isinstance(inputs, SparseTensor):
            found: Any = SparseTensor(inputs.indices, self._lookup_dense(inputs.values), inputs.dense_shape)
        elif isinstance(inputs, RaggedTensor):
            found = inputs.with_flat_values(self._lookup_dense(inputs.flat_values))
        else:
            found = self._lookup_dense(inputs)
        if self.output_mode == INT:
            return tf.squeeze(found, -1) if scalar else found
        return encode_categories(
            found, output_mode=self.output_mode, depth=self.max_tokens if self.pad_to_max_tokens else self._frozen_vocab_size,
            dtype=self.compute_dtype, sparse=self.sparse, idf_weights=self.idf_weights_const if self.output_mode == TF_IDF else None,
        )  # fmt: skip

    def _lookup_dense(self, inputs: Any) -> Any:
        found = self.lookup_table.lookup(inputs)
        if self.mask_token is not None:
            found = tf.where(tf.equal(inputs, self._mask_key), self._mask_value, found)
        if self.invert:
            return found
        checks = []
        if self.num_oov_indices == 0:
            at = tf.where(tf.equal(found, -1))
            text = tf.strings.format(
                "When `num_oov_indices=0` all inputs should be in vocabulary, found OOV values {}, consider setting `num_oov_indices=1`.",
                (tf.gather_nd(inputs, at),),
            )
            check = tf.debugging.Assert(tf.equal(tf.size(at), 0), [text])
            checks = [] if check is None else [check]
        elif self.num_oov_indices > 1:
            if self._key_dtype.is_integer:
                spread = tf.math.floormod(inputs, self.num_oov_indices)
            else:
                spread = tf.strings.to_hash_bucket_fast(inputs, num_buckets=self.num_oov_indices)
            spread = tf.cast(spread, found.dtype) + self._oov_start_index()
            found = tf.where(tf.equal(found, self._default_value), spread, found)
        with tf.control_dependencies(checks):
            return tf.identity(found)

    # -- saving --------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        config = {
            "invert": self.invert, "max_tokens": self.max_tokens, "num_oov_indices": self.num_oov_indices, "oov_token": self.oov_token,
            "mask_token": self.mask_token, "output_mode": self.output_mode, "sparse": self.sparse,
            "pad_to_max_tokens": self.pad_to_max_tokens, "vocabulary_dtype": self.vocabulary_dtype,
            "idf_weights": listed(self.input_idf_weights), "vocabulary": listed(self.input_vocabulary),
            "vocabulary_size": self._frozen_vocab_size,
        }  # fmt: skip
        return {**super().get_config(), **config}

    def save_own_variables(self, store: Any) -> None:
        if self.output_mode == TF_IDF:
            store["idf_weights"] = self.idf_weights_const.numpy()

    def load_own_variables(self, store: Any) -> None:
        if self.output_mode == TF_IDF:
            self.idf_weights.assign(np.asarray(store["idf_weights"]))
            self.__dict__["idf_weights_const"] = self.idf_weights.value()

    def save_assets(self, dir_path: Any) -> None:
        """Write `vocabulary.txt` into a directory, unless the vocabulary is in the config."""
        if self.input_vocabulary is not None:
            return
        with open(os.path.join(dir_path, "vocabulary.txt"), "w", encoding="utf-8") as f:
            f.write("\n".join(str(token) for token in self.get_vocabulary(include_special_tokens=True)))

    def load_assets(self, dir_path: Any) -> None:
        """Read what `save_assets` wrote."""
        if self.input_vocabulary is not None:
            return
        with open(os.path.join(dir_path, "vocabulary.txt"), encoding="utf-8") as f:
            lines: list[Any] = f.read().split("\n")
        values = lines if as_dtype(self.vocabulary_dtype) == dtypes.string else [int(line) for line in lines]
        self.set_vocabulary(values, idf_weights=False if self.output_mode == TF_IDF else None)


def _flat(data: Any) -> Any:
    if isinstance(data, SparseTensor):
        return data.values
    return data.flat_values if isinstance(data, RaggedTensor) else tf.reshape(data, [-1])


def _counted(values: Any) -> tuple[Any, Any]:
    tokens, _, counts = tf.unique_with_counts(values, out_idx=dtypes.int64)
    return tokens, counts


class StringLookup(IndexLookup):
    """Strings as numbers in a vocabulary."""

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: str | None = None, oov_token: str = "[UNK]",
        vocabulary: Any = None, idf_weights: Any = None, encoding: str = "utf-8", invert: bool = False, output_mode: str = "int",
        sparse: bool = False, pad_to_max_tokens: bool = False, **kwargs: Any,
    ):  # fmt: skip
        if kwargs.get("dtype") is not None and as_dtype(kwargs["dtype"]) == dtypes.string:
            del kwargs["dtype"]
        self.__dict__["encoding"] = encoding
        super().__init__(
            max_tokens=max_tokens, num_oov_indices=num_oov_indices, mask_token=mask_token, oov_token=oov_token, vocabulary=vocabulary,
            vocabulary_dtype="string", idf_weights=idf_weights, invert=invert, output_mode=output_mode, sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens, **kwargs,
        )  # fmt: skip
        self.__dict__["encoding"] = encoding

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["vocabulary_dtype"]
        return {**config, "encoding": self.encoding}

    def _tokens_to_numpy(self, tokens: Any) -> np.ndarray:
        return np.array([t.decode(self.encoding) if isinstance(t, bytes) else t for t in np.ravel(tokens.numpy())])


class IntegerLookup(IndexLookup):
    """Integers as numbers in a vocabulary."""

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: int | None = None, oov_token: int | None = -1,
        vocabulary: Any = None, vocabulary_dtype: Any = "int64", idf_weights: Any = None, invert: bool = False, output_mode: str = "int",
        sparse: bool = False, pad_to_max_tokens: bool = False, **kwargs: Any,
    ):  # fmt: skip
        if not as_dtype(vocabulary_dtype).is_integer:
            raise ValueError(f"`vocabulary_dtype` must be an integer dtype. Received: {vocabulary_dtype}")
        if output_mode != "int" and kwargs.get("dtype") in ("int64", dtypes.int64):
            del kwargs["dtype"]
        for old, new in (("max_values", "max_tokens"), ("mask_value", "mask_token"), ("oov_value", "oov_token")):
            if old in kwargs:
                _log.warning("%s is deprecated, use %s instead.", old, new)
        max_tokens = kwargs.pop("max_values", max_tokens)
        mask_token = kwargs.pop("mask_value", mask_token)
        oov_token = kwargs.pop("oov_value", oov_token)
        if max_tokens is not None and max_tokens <= 1:
            raise ValueError(f"If `max_tokens` is set for `IntegerLookup`, it must be greater than 1. Received: max_tokens={max_tokens}.")
        if num_oov_indices < 0:
            raise ValueError(
                f"The value of `num_oov_indices` argument for `IntegerLookup` must >= 0. Received num_oov_indices={num_oov_indices}."
            )
        super().__init__(
            max_tokens=max_tokens, num_oov_indices=num_oov_indices, mask_token=None if mask_token is None else np.int64(mask_token),
            oov_token=None if oov_token is None else np.int64(oov_token), vocabulary=vocabulary, vocabulary_dtype=vocabulary_dtype,
            idf_weights=idf_weights, invert=invert, output_mode=output_mode, sparse=sparse, pad_to_max_tokens=pad_to_max_tokens, **kwargs,
        )  # fmt: skip
