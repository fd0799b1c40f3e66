"""Utilities of Keras 2.15. Names are found when first used."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.namespaces import LazyNamespace, lazy_module

_K = "savedmodel.keras"
_REGISTRATION = f"{_K}.registration"
_SERIALIZATION = f"{_K}.saving.serialization"

_NAMES: dict[str, Any] = {
    "CustomObjectScope": f"{_REGISTRATION}:CustomObjectScope",
    "Progbar": f"{_K}.progbar:Progbar",
    "Sequence": f"{_K}.utils.sequence:Sequence",
    "array_to_img": f"{_K}.utils.image_files:array_to_img",
    "audio_dataset_from_directory": f"{_K}.utils.directories:audio_dataset_from_directory",
    "custom_object_scope": f"{_REGISTRATION}:custom_object_scope",
    "deserialize_keras_object": f"{_SERIALIZATION}:deserialize_keras_object",
    "disable_interactive_logging": f"{_K}.progbar:disable_interactive_logging",
    "enable_interactive_logging": f"{_K}.progbar:enable_interactive_logging",
    "get_custom_objects": f"{_REGISTRATION}:get_custom_objects",
    "get_file": f"{_K}.utils.file_cache:get_file",
    "get_registered_name": f"{_REGISTRATION}:get_registered_name",
    "get_registered_object": f"{_REGISTRATION}:get_registered_object",
    "image_dataset_from_directory": f"{_K}.utils.directories:image_dataset_from_directory",
    "img_to_array": f"{_K}.utils.image_files:img_to_array",
    "is_interactive_logging_enabled": f"{_K}.progbar:is_interactive_logging_enabled",
    "legacy": LazyNamespace(
        "savedmodel.keras.utils.legacy",
        {
            "deserialize_keras_object": f"{_SERIALIZATION}:legacy_deserialize_keras_object",
            "serialize_keras_object": f"{_SERIALIZATION}:legacy_serialize_keras_object",
        },
    ),
    "load_img": f"{_K}.utils.image_files:load_img",
    "model_to_dot": f"{_K}.utils.plotting:model_to_dot",
    "normalize": f"{_K}.utils.arrays:normalize",
    "pack_x_y_sample_weight": f"{_K}.engine.data_adapter:pack_x_y_sample_weight",
    "pad_sequences": f"{_K}.utils.arrays:pad_sequences",
    "plot_model": f"{_K}.utils.plotting:plot_model",
    "register_keras_serializable": f"{_REGISTRATION}:register_keras_serializable",
    "save_img": f"{_K}.utils.image_files:save_img",
    "serialize_keras_object": f"{_SERIALIZATION}:serialize_keras_object",
    "set_random_seed": f"{_K}.utils.random_seed:set_random_seed",
    "split_dataset": f"{_K}.utils.splits:split_dataset",
    "text_dataset_from_directory": f"{_K}.utils.directories:text_dataset_from_directory",
    "timeseries_dataset_from_array": f"{_K}.utils.splits:timeseries_dataset_from_array",
    "to_categorical": f"{_K}.utils.arrays:to_categorical",
    "to_ordinal": f"{_K}.utils.arrays:to_ordinal",
    "unpack_x_y_sample_weight": f"{_K}.engine.data_adapter:unpack_x_y_sample_weight",
}

__all__ = list(_NAMES)

__getattr__, __dir__ = lazy_module(__name__, _NAMES)
