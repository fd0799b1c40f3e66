"""The older home of functions that prepare data. Names are found when first used."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.namespaces import LazyNamespace, lazy_module

_U = "savedmodel.keras.utils"
_IMAGE = ("array_to_img", "img_to_array", "load_img", "save_img", "smart_resize")
_TEXT = ("Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json")
_NAMES: dict[str, Any] = {
    "image": LazyNamespace("savedmodel.keras.preprocessing.image", {n: f"{_U}.image_files:{n}" for n in _IMAGE}),
    "image_dataset_from_directory": f"{_U}.directories:image_dataset_from_directory",
    "text": LazyNamespace("savedmodel.keras.preprocessing.text", {n: f"{_U}.text_tokens:{n}" for n in _TEXT}),
    "text_dataset_from_directory": f"{_U}.directories:text_dataset_from_directory",
    "timeseries_dataset_from_array": f"{_U}.splits:timeseries_dataset_from_array",
    "sequence": LazyNamespace(
        "savedmodel.keras.preprocessing.sequence", {"pad_sequences": "savedmodel.keras.utils.arrays:pad_sequences"}
    ),
}

__all__ = list(_NAMES)

__getattr__, __dir__ = lazy_module(__name__, _NAMES)
