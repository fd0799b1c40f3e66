"""StringLookup and IntegerLookup: vocabularies of strings and of integers. How a vocabulary works is `index_lookup`'s matter."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from savedmodel.keras.layers.preprocessing.encoding import INT
from savedmodel.keras.layers.preprocessing.index_lookup import IndexLookup
from tracer import dtypes
from tracer.dtypes import as_dtype

__all__ = ["IntegerLookup", "StringLookup"]

log = logging.getLogger("savedmodel.keras")


class StringLookup(IndexLookup):
    """Strings as their numbers in a vocabulary, or back with `invert`; arguments as in IndexLookup, `encoding` is that of the tokens."""

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: str | None = None, oov_token: str = "[UNK]",
        vocabulary: Any = None, idf_weights: Any = None, encoding: str = "utf-8", invert: bool = False, output_mode: str = INT,
        sparse: bool = False, pad_to_max_tokens: bool = False, **kwargs: Any,
    ):  # fmt: skip
        if kwargs.get("dtype") is not None and _named(kwargs["dtype"]) == "string":
            del kwargs["dtype"]  # older versions kept the dtype of the inputs
        self.encoding = encoding
        super().__init__(
            max_tokens=max_tokens, num_oov_indices=num_oov_indices, mask_token=mask_token, oov_token=oov_token, vocabulary=vocabulary,
            vocabulary_dtype=dtypes.string, idf_weights=idf_weights, invert=invert, output_mode=output_mode, sparse=sparse,
            pad_to_max_tokens=pad_to_max_tokens, **kwargs,
        )  # fmt: skip

    def _as_tokens(self, tensor: Any) -> np.ndarray:
        return np.array([t.decode(self.encoding) if isinstance(t, bytes) else t for t in tensor.numpy().ravel().tolist()])

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["vocabulary_dtype"]
        return {**config, "encoding": self.encoding}


class IntegerLookup(IndexLookup):
    """Integers as their numbers in a vocabulary, or back with `invert`; arguments as in IndexLookup."""

    def __init__(
        self, max_tokens: int | None = None, num_oov_indices: int = 1, mask_token: int | None = None, oov_token: int = -1,
        vocabulary: Any = None, vocabulary_dtype: Any = "int64", idf_weights: Any = None, invert: bool = False, output_mode: str = INT,
        sparse: bool = False, pad_to_max_tokens: bool = False, **kwargs: Any,
    ):  # fmt: skip
        if not as_dtype(vocabulary_dtype).is_integer:
            raise ValueError(f"`vocabulary_dtype` must be an integer dtype. Received: {vocabulary_dtype}")
        if output_mode != INT and kwargs.get("dtype") is not None and _named(kwargs["dtype"]) == "int64":
            del kwargs["dtype"]  # older versions kept the dtype of the inputs
        given = {"max_tokens": max_tokens, "mask_token": mask_token, "oov_token": oov_token}
        for old, new in (("max_values", "max_tokens"), ("mask_value", "mask_token"), ("oov_value", "oov_token")):
            if old in kwargs:
                log.warning("%s is deprecated, use %s instead.", old, new)
                given[new] = kwargs.pop(old)
        if given["max_tokens"] is not None and given["max_tokens"] <= 1:
            raise ValueError(
                f"If `max_tokens` is set for `IntegerLookup`, it must be greater than 1. Received: max_tokens={given['max_tokens']}."
            )
        if num_oov_indices < 0:
            raise ValueError(
                f"The value of `num_oov_indices` argument for `IntegerLookup` must >= 0. Received num_oov_indices={num_oov_indices}."
            )
        for name in ("mask_token", "oov_token"):
            given[name] = None if given[name] is None else np.int64(given[name])
        super().__init__(
            **given, num_oov_indices=num_oov_indices, vocabulary=vocabulary, vocabulary_dtype=vocabulary_dtype, idf_weights=idf_weights,
            invert=invert, output_mode=output_mode, sparse=sparse, pad_to_max_tokens=pad_to_max_tokens, **kwargs,
        )  # fmt: skip


def _named(dtype: Any) -> str | None:
    return getattr(dtype, "name", dtype)
