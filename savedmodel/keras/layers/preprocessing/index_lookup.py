"""IndexLookup: a vocabulary, learned or given, as a table from tokens to numbers or back. `lookup` and `text_vectorization` build on it.

Attributes are named as in Keras 2.15, because saved models refer to them: `lookup_table`, `token_counts`, `idf_weights`….
"""

from __future__ import annotations

import collections
import os
from typing import Any

import numpy as np

from savedmodel import io_ops
from savedmodel.keras.layers.preprocessing.base import PreprocessingLayer, checked_choice
from savedmodel.keras.layers.preprocessing.categorical import check_integer_output
from savedmodel.keras.layers.preprocessing.encoding import (
    COUNT,
    INT,
    MULTI_HOT,
    ONE_HOT,
    TF_IDF,
    encode,
    ensure_tensor,
    expand_dims,
    listed,
)
from tracer import dispatch, dtypes
from tracer.composite import RaggedTensor, SparseTensor
from tracer.dtypes import as_dtype
from tracer.lookup import (
    KeyValueTensorInitializer,
    MutableHashTable,
    StaticHashTable,
    TableInitializerBase,
    TextFileIndex,
    TextFileInitializer,
    set_text_file_reader,
)
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec
from tracer.tensor import Tensor, convert_to_tensor
from tracer.variable import Variable

__all__ = ["IndexLookup"]


class _Empty(TableInitializerBase):
    """Leaves a table empty. `files` are the assets of the function that fills it in its stead, where a loaded model has one."""

    def __init__(self, key_dtype: Any, value_dtype: Any):
        super().__init__(key_dtype, value_dtype)
        self.files: dict[str, Any] = {}

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        return dict(self.files)

    def initialize(self, table: Any) -> None:
        return None


class VocabularyWeight:
    """The vocabulary as one of the layer's weights, for `get_weights` and `set_weights`."""

    trainable = False
    num_tensors = 1

    def __init__(self, layer: IndexLookup):
        self._layer = layer

    @property
    def dtype(self) -> Any:
        return self._layer.vocabulary_dtype

    def get_tensors(self) -> list[np.ndarray]:
        """The tokens, without the special ones."""
        tokens = self._layer.get_vocabulary(include_special_tokens=False)
        return [convert_to_tensor(np.asarray(tokens, dtype=object if self._layer._is_text else None), self.dtype).numpy()]

    def set_weights(self, weights: Any) -> None:
        self._layer.lookup_table = self._layer._table_of_tokens(convert_to_tensor(weights[0], self.dtype))


class IndexLookup(PreprocessingLayer):
    """Tokens of a vocabulary as their numbers.

    Numbers start with the mask token (0, where there is one and the mode is "int"), then come `num_oov_indices` numbers for tokens that are
    not in the vocabulary, then the vocabulary.

    Args:
        max_tokens: greatest size of the vocabulary with its special tokens.
        num_oov_indices: 0: unknown tokens are an error; more than 1: by their hash or remainder.
        mask_token, oov_token: the special tokens.
        vocabulary_dtype: dtype of tokens.
        vocabulary: tokens, or the path of a text file with one token per line; None: `adapt` learns it.
        idf_weights: factors of the tokens, for "tf_idf".
        invert: numbers to tokens.
        output_mode: "int", "one_hot", "multi_hot", "count" or "tf_idf".
        sparse: give SparseTensors. pad_to_max_tokens: vectors have `max_tokens` elements even if there are fewer tokens.

    Raises:
        ValueError: arguments that do not go together.
    """

    def __init__(
        self, max_tokens: int | None, num_oov_indices: int, mask_token: Any, oov_token: Any, vocabulary_dtype: Any, vocabulary: Any = None,
        idf_weights: Any = None, invert: bool = False, output_mode: str = INT, sparse: bool = False, pad_to_max_tokens: bool = False,
        **kwargs: Any,
    ):  # fmt: skip
        from savedmodel.keras import backend

        output_mode = {"binary": MULTI_HOT, "tf-idf": TF_IDF}.get(output_mode, output_mode)
        _check_arguments(type(self).__name__, max_tokens, num_oov_indices, output_mode, invert, sparse, pad_to_max_tokens, idf_weights)
        self.invert = invert
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.output_mode = output_mode
        self.sparse = sparse
        self.pad_to_max_tokens = pad_to_max_tokens
        self.vocabulary_dtype = as_dtype(vocabulary_dtype).name
        self._frozen_vocab_size = kwargs.pop("vocabulary_size", None)
        self.input_vocabulary = vocabulary
        self.input_idf_weights = idf_weights
        self._has_input_vocabulary = kwargs.pop("has_input_vocabulary", vocabulary is not None)
        kwargs.pop("has_static_table", None)
        kwargs.setdefault("dtype", "int64" if output_mode == INT else backend.floatx())
        super().__init__(**kwargs)
        check_integer_output(self, output_mode, kwargs["dtype"])
        tokens, numbers = as_dtype(vocabulary_dtype), as_dtype(self.dtype) if output_mode == INT else dtypes.int64
        if invert:
            self._key_dtype, self._value_dtype = numbers, tokens
            mask_key: Any = 0
            mask_value: Any = mask_token
            self._default_value = self.oov_token
        else:
            self._key_dtype, self._value_dtype = tokens, numbers
            mask_key = mask_token
            mask_value = 0 if output_mode == INT else numbers.max
            self._default_value = self._oov_start_index() if num_oov_indices == 1 else -1
        if self.mask_token is not None:
            self._mask_key = convert_to_tensor(mask_key, self._key_dtype)
            self._mask_value = convert_to_tensor(mask_value, self._value_dtype)
        if output_mode == TF_IDF:
            # A known size of the vocabulary fits the vectors of a model that is rebuilt before its vocabulary is there.
            known = self.max_tokens if pad_to_max_tokens else self._frozen_vocab_size
            self.idf_weights = Variable(
                [0] * (self._token_start_index() if known is None else known), shape=TensorShape([None]), dtype=as_dtype(self.compute_dtype), trainable=False
            )
            self._set_idf_constant()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)
        else:
            self.lookup_table = self._empty_table()
        if not self._has_input_vocabulary:
            self._own_list("_non_trainable_weights").append(VocabularyWeight(self))
            self.token_counts = MutableHashTable(tokens, dtypes.int64, 0)
            if output_mode == TF_IDF:
                self.token_document_counts = MutableHashTable(tokens, dtypes.int64, 0)
                self.num_documents = Variable(0, dtype=dtypes.int64, trainable=False)

    @property
    def _is_text(self) -> bool:
        return as_dtype(self.vocabulary_dtype) == dtypes.string

    # -- vocabulary --------------------------------------------------------------------------------------------------

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The tokens in the order of their numbers, with or without those for masks and unknown tokens."""
        keys, values = self.lookup_table.export()
        tokens, numbers = (values, keys) if self.invert else (keys, values)
        found = collections.defaultdict(lambda: self.oov_token, zip(numbers.numpy().tolist(), self._as_tokens(tokens), strict=True))
        vocabulary = [found[i] for i in range(self.vocabulary_size())]
        if self.mask_token is not None and self.output_mode == INT and vocabulary:
            vocabulary[0] = self.mask_token
        return vocabulary if include_special_tokens else vocabulary[self._token_start_index() :]

    def _as_tokens(self, tensor: Any) -> Any:
        """The values of a tensor of tokens."""
        return tensor.numpy()

    def vocabulary_size(self) -> Any:
        """The number of tokens, with those for masks and unknown tokens."""
        size = self.lookup_table.size()
        if dispatch.executing_eagerly():
            return int(size.numpy()) + self._token_start_index()
        return size + self._token_start_index()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Replace the vocabulary.

        Args:
            vocabulary: tokens (list, array or tensor), with or without the special tokens in front; or the path of a text file.
            idf_weights: one factor for each token, for "tf_idf" only; False keeps the weights.

        Raises:
            ValueError: an empty or too large vocabulary, repeated or misplaced tokens, a missing file, or wrong weights.
            RuntimeError: the size of output vectors would change.
        """
        if self.output_mode == TF_IDF:
            if idf_weights is None:
                raise ValueError("`idf_weights` must be set if output_mode is TF_IDF")
        elif idf_weights is not None:
            raise ValueError(
                f"`idf_weights` should only be set if output_mode is `'tf_idf'`. Received: output_mode={self.output_mode} and "
                f"idf_weights={idf_weights}"
            )
        if isinstance(vocabulary, (str, os.PathLike)):
            self._set_vocabulary_file(os.fspath(vocabulary))
            return
        if not dispatch.executing_eagerly() and (isinstance(vocabulary, Tensor) or isinstance(idf_weights, Tensor)):
            raise RuntimeError(
                f"Cannot set a tensor vocabulary on {type(self).__name__} layer {self.name} when not executing eagerly. Create this layer or "
                f"call `set_vocabulary` outside of any `tf.function`s and with eager execution enabled."
            )
        vocabulary = self._as_tokens(vocabulary) if isinstance(vocabulary, Tensor) else np.array(vocabulary)
        if vocabulary.size == 0:
            raise ValueError(f"Cannot set an empty vocabulary, you passed {vocabulary}.")
        tokens, special_given = self._without_special(vocabulary)
        self.lookup_table = self._table_of_tokens(tokens)
        self._record_vocabulary_size()
        if self.output_mode == TF_IDF and idf_weights is not False:
            self._set_idf_weights(idf_weights, len(vocabulary), special_given)

    def _set_vocabulary_file(self, path: str) -> None:
        if not os.path.exists(path):
            raise ValueError(f"Vocabulary file {path} does not exist.")
        if self.output_mode == TF_IDF:
            raise ValueError("output_mode `'tf_idf'` does not support loading a vocabulary from file.")
        self.lookup_table = self._table_of_file(path)
        self._record_vocabulary_size()

    def _without_special(self, vocabulary: np.ndarray) -> tuple[np.ndarray, bool]:
        """The tokens after the special ones, and whether those were given."""
        start = self._token_start_index()
        special = [self.mask_token] * self._oov_start_index() + [self.oov_token] * self.num_oov_indices
        given = np.array_equal(special, vocabulary[:start])
        tokens = vocabulary[start:] if given else vocabulary
        repeated = [t for t, n in collections.Counter(tokens.tolist()).items() if n > 1]
        if repeated:
            raise ValueError(
                f"The passed vocabulary has at least one repeated term. Please uniquify your dataset. The repeated terms are {repeated}"
            )
        reserved = [("mask", self.mask_token)] + ([("OOV", self.oov_token)] if self.invert else [])
        for kind, token in reserved:
            if token is not None and token in tokens:
                where = np.argwhere(vocabulary == token)[-1]
                raise ValueError(
                    f"Found reserved {kind} token at unexpected location in `vocabulary`. Note that passed `vocabulary` does not need to include "
                    f"the OOV and mask tokens. Either remove all mask and OOV tokens, or include them only at the start of the vocabulary in "
                    f"precisely this order: {special}. Received: {kind.lower()}_token={token} at vocabulary index {where}"
                )
        size = start + len(tokens)
        if self.max_tokens is not None and size > self.max_tokens:
            raise ValueError(
                f"Attempted to set a vocabulary larger than the maximum vocab size. Passed vocab size is {size}, max vocab size is "
                f"{self.max_tokens}."
            )
        return tokens, given

    def _set_idf_weights(self, idf_weights: Any, tokens: int, special_given: bool) -> None:
        weights = idf_weights.numpy() if isinstance(idf_weights, Tensor) else np.asarray(idf_weights)
        if tokens != len(weights):
            raise ValueError(
                f"`idf_weights` must be the same length as vocabulary. len(idf_weights) is {tokens}, len(vocabulary) is {len(weights)}"
            )
        if weights.ndim != 1:
            raise ValueError(f"TF-IDF data must be a 1-index array, but received an array of shape {weights.shape}")
        front = 0 if special_given else self._token_start_index()
        back = self.max_tokens - front - len(weights) if self.pad_to_max_tokens and self.max_tokens is not None else 0
        weights = np.pad(weights, (front, back), "constant", constant_values=(np.average(weights) if front else 0, 0))
        self.idf_weights.assign(convert_to_tensor(weights, dtype=self.compute_dtype))
        self._set_idf_constant()

    def _set_idf_constant(self) -> None:
        self.idf_weights_const = self.idf_weights.read_value()

    def _record_vocabulary_size(self) -> None:
        """Keep the size, which decides the length of output vectors; it may not change any more."""
        with dispatch.init_scope():
            size = self.vocabulary_size()
        if self.output_mode != INT and not self.pad_to_max_tokens and self._frozen_vocab_size not in (None, size):
            raise RuntimeError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, the vocabulary size cannot be changed after the "
                f"layer is called. Old vocab size is {self._frozen_vocab_size}, new vocab size is {size}"
            )
        self._frozen_vocab_size = size

    # -- tables ------------------------------------------------------------------------------------------------------

    def _empty_table(self) -> StaticHashTable:
        with dispatch.init_scope():
            return StaticHashTable(_Empty(self._key_dtype, self._value_dtype), self._default_value)

    def _table_of_tokens(self, tokens: Any) -> StaticHashTable:
        with dispatch.init_scope():
            words = convert_to_tensor(tokens, self._value_dtype if self.invert else self._key_dtype)
            start = self._token_start_index()
            numbers = tf.range(start, start + tf.size(words), dtype=self._key_dtype if self.invert else self._value_dtype)
            keys, values = (numbers, words) if self.invert else (words, numbers)
            return StaticHashTable(KeyValueTensorInitializer(keys, values, self._key_dtype, self._value_dtype), self._default_value)

    def _table_of_file(self, path: str) -> StaticHashTable:
        set_text_file_reader(io_ops.read_asset)
        columns = (TextFileIndex.WHOLE_LINE, TextFileIndex.LINE_NUMBER)
        key, value = reversed(columns) if self.invert else columns
        with dispatch.init_scope():
            initializer = TextFileInitializer(
                path, self._key_dtype, key, self._value_dtype, value, value_index_offset=self._token_start_index()
            )
            return StaticHashTable(initializer, self._default_value)

    def _oov_start_index(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == INT else 0

    def _token_start_index(self) -> int:
        return self._oov_start_index() + self.num_oov_indices

    # -- adapt -------------------------------------------------------------------------------------------------------

    def update_state(self, data: Any) -> None:
        if self._has_input_vocabulary:
            raise ValueError(
                f"Cannot adapt {type(self).__name__} layer after setting a static vocabulary via init argument or `set_vocabulary`."
            )
        data = ensure_tensor(data, as_dtype(self.vocabulary_dtype))
        while data.shape.rank < 2:
            data = expand_dims(data, 0)
        _add_counts(self.token_counts, _flat(data))
        if self.output_mode == TF_IDF:
            rows = _rows(data)
            once = [np.unique(row) for row in rows]
            _add_counts(self.token_document_counts, np.concatenate(once) if once else _flat(data))
            self.num_documents.assign_add(len(rows))

    def finalize_state(self) -> None:
        if self._has_input_vocabulary or int(self.token_counts.size().numpy()) == 0:
            if self.output_mode == TF_IDF:
                self._set_idf_constant()
            self._record_vocabulary_size()
            return
        for token in (self.mask_token, self.oov_token):
            if token is not None:
                self.token_counts.remove(convert_to_tensor([token], self.vocabulary_dtype))
        tokens, counts = (t.numpy() for t in self.token_counts.export())
        order = np.lexsort((tokens, counts))[::-1]
        if self.max_tokens:
            order = order[: self.max_tokens - self._token_start_index()]
        tokens = convert_to_tensor(tokens[order], self.vocabulary_dtype)
        self.lookup_table = self._table_of_tokens(tokens)
        if self.output_mode == TF_IDF:
            self._learn_idf_weights(tokens)
        self.reset_state()
        self._record_vocabulary_size()

    def _learn_idf_weights(self, tokens: Any) -> None:
        documents = self.token_document_counts.lookup(tokens)
        weights = tf.cast(tf.math.log(1 + self.num_documents / (1 + documents)), self.compute_dtype)
        weights = tf.pad(weights, [[self._token_start_index(), 0]], constant_values=tf.reduce_mean(weights))
        if self.pad_to_max_tokens and self.max_tokens is not None:
            weights = tf.pad(weights, [[0, self.max_tokens - int(weights.shape[0])]], constant_values=0)
        self.idf_weights.assign(weights)
        self._set_idf_constant()

    def reset_state(self) -> None:
        self.__dict__["_is_adapted"] = False
        if self._has_input_vocabulary:
            return
        self.token_counts.remove(self.token_counts.export()[0])
        if self.output_mode == TF_IDF:
            self.token_document_counts.remove(self.token_document_counts.export()[0])
            self.num_documents.assign(0)

    # -- calls -------------------------------------------------------------------------------------------------------

    def call(self, inputs: Any) -> Any:
        if self.output_mode != INT and not self.pad_to_max_tokens and self._frozen_vocab_size is None:
            raise RuntimeError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, you must set the layer's vocabulary before calling "
                f"it. Either pass a `vocabulary` argument to the layer, or call `adapt` with some sample data."
            )
        inputs = ensure_tensor(inputs, self._key_dtype)
        scalar = inputs.shape.rank == 0
        if scalar:
            inputs = expand_dims(inputs, -1)
        if isinstance(inputs, SparseTensor):
            found = SparseTensor(inputs.indices, self._find(inputs.values), inputs.dense_shape)
        elif isinstance(inputs, RaggedTensor):
            found = tf.ragged.map_flat_values(self._find, inputs)
        else:
            found = self._find(inputs)
        if self.output_mode == INT:
            return tf.squeeze(found, -1) if scalar else found
        depth = self.max_tokens if self.pad_to_max_tokens else self._frozen_vocab_size
        weights = self.idf_weights_const if self.output_mode == TF_IDF else None
        return encode(found, self.output_mode, depth, self.compute_dtype, self.sparse, idf_weights=weights)

    def _find(self, inputs: Any) -> Any:
        """The values of dense keys, with those of masks and unknown tokens."""
        found = self.lookup_table.lookup(inputs)
        if self.mask_token is not None:
            found = tf.where(tf.equal(inputs, self._mask_key), self._mask_value, found)
        if self.invert:
            return found
        checks = []
        if self.num_oov_indices == 0:
            unknown = tf.where(tf.equal(found, convert_to_tensor(-1, found.dtype)))
            text = tf.strings.format(
                "When `num_oov_indices=0` all inputs should be in vocabulary, found OOV values {}, consider setting `num_oov_indices=1`.",
                (tf.gather_nd(inputs, unknown),),
            )
            checks.append(tf.Assert(tf.equal(tf.size(unknown), 0), [text]))
        elif self.num_oov_indices > 1:
            if self._key_dtype.is_integer:
                buckets = tf.cast(tf.math.floormod(inputs, self.num_oov_indices), found.dtype)
            else:
                buckets = tf.cast(tf.strings.to_hash_bucket_fast(inputs, num_buckets=self.num_oov_indices), found.dtype)
            found = tf.where(tf.equal(found, self._default_value), buckets + self._oov_start_index(), found)
        with dispatch.control_dependencies([c for c in checks if c is not None] or None):
            return tf.identity(found)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape)
        if self.output_mode == INT:
            return shape
        return TensorShape([shape[0], self.max_tokens if self.pad_to_max_tokens else self._frozen_vocab_size])

    def compute_output_signature(self, input_spec: Any) -> Any:
        return TensorSpec(self.compute_output_shape(input_spec.shape), self.vocabulary_dtype if self.invert else self.compute_dtype)

    # -- persistence -------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "invert": self.invert, "max_tokens": self.max_tokens, "num_oov_indices": self.num_oov_indices,
            "oov_token": self.oov_token, "mask_token": self.mask_token, "output_mode": self.output_mode, "sparse": self.sparse,
            "pad_to_max_tokens": self.pad_to_max_tokens, "vocabulary_dtype": self.vocabulary_dtype,
            "idf_weights": listed(self.input_idf_weights), "vocabulary": listed(self.input_vocabulary),
            "vocabulary_size": self._frozen_vocab_size,
        }  # fmt: skip

    def save_own_variables(self, store: Any) -> None:
        if self.output_mode == TF_IDF:
            store["idf_weights"] = self.idf_weights_const.numpy()

    def load_own_variables(self, store: Any) -> None:
        if self.output_mode == TF_IDF:
            self.idf_weights.assign(store["idf_weights"])
            self._set_idf_constant()

    def save_assets(self, dir_path: Any) -> None:
        """Write a learned vocabulary to `vocabulary.txt`."""
        if self.input_vocabulary:
            return
        with open(os.path.join(os.fspath(dir_path), "vocabulary.txt"), "w", encoding="utf-8", newline="\n") as file:
            file.write("\n".join(str(token) for token in self.get_vocabulary(include_special_tokens=True)))

    def load_assets(self, dir_path: Any) -> None:
        """Take the vocabulary from `vocabulary.txt`."""
        if self.input_vocabulary:
            return
        with open(os.path.join(os.fspath(dir_path), "vocabulary.txt"), encoding="utf-8", newline="\n") as file:
            lines = file.read().split("\n")
        tokens: list[Any] = lines if self._is_text else [int(line) for line in lines]
        self.set_vocabulary(tokens, idf_weights=False if self.output_mode == TF_IDF else None)

    def _adopt_table(self, create: Any, initialize: Any, files: dict[str, Any]) -> None:
        """Fill the table as a loaded model says, with its own functions; a later save writes them again."""
        table = self.lookup_table
        if create is not None:
            table._create_resource = create
        table._initialize = initialize
        table._initializer.files = files
        initialize()


def _check_arguments(
    layer: str, max_tokens: Any, num_oov_indices: int, output_mode: str, invert: bool, sparse: bool, pad: bool, idf_weights: Any
) -> None:  # fmt: skip
    if max_tokens is not None and max_tokens <= 1:
        raise ValueError(f"If set, `max_tokens` must be greater than 1. Received: max_tokens={max_tokens}")
    if pad and max_tokens is None:
        raise ValueError(f"If pad_to_max_tokens is True, must set `max_tokens`. Received: max_tokens={max_tokens}")
    if num_oov_indices < 0:
        raise ValueError(f"`num_oov_indices` must be greater than or equal to 0. Received: num_oov_indices={num_oov_indices}")
    checked_choice(output_mode, (INT, ONE_HOT, MULTI_HOT, COUNT, TF_IDF), layer, "output_mode")
    if invert and output_mode != INT:
        raise ValueError(f"`output_mode` must be `'int'` when `invert` is true. Received: output_mode={output_mode}")
    if sparse and output_mode == INT:
        raise ValueError(
            f"`sparse` may only be true if `output_mode` is `'one_hot'`, `'multi_hot'`, `'count'` or `'tf_idf'`. Received: sparse={sparse} and "
            f"output_mode={output_mode}"
        )
    if idf_weights is not None and output_mode != TF_IDF:
        raise ValueError(
            f"`idf_weights` should only be set if `output_mode` is `'tf_idf'`. Received: idf_weights={idf_weights} and output_mode={output_mode}"
        )


def _flat(data: Any) -> np.ndarray:
    if isinstance(data, SparseTensor):
        return data.values.numpy()
    return (data.flat_values if isinstance(data, RaggedTensor) else data).numpy().reshape(-1)


def _rows(data: Any) -> list[np.ndarray]:
    """The values of each element of the first axis."""
    if isinstance(data, SparseTensor):
        first, values = data.indices.numpy()[:, 0], data.values.numpy()
        return [values[first == i] for i in range(int(data.dense_shape.numpy()[0]))]
    if isinstance(data, RaggedTensor):
        return [_flat(data[i]) for i in range(int(data.nrows().numpy()))]
    return [row.reshape(-1) for row in data.numpy()]


def _add_counts(table: MutableHashTable, flat: np.ndarray) -> None:
    if not flat.size:
        return
    tokens, counts = np.unique(flat, return_counts=True)
    keys = convert_to_tensor(tokens, table.key_dtype)
    table.insert(keys, convert_to_tensor(counts, dtypes.int64) + table.lookup(keys))
