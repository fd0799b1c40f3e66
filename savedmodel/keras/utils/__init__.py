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
    "custom_object_scope": f"{_REGISTRATION}:custom_object_scope",
    "deserialize_keras_object": f"{_SERIALIZATION}:deserialize_keras_object",
    "disable_interactive_logging": f"{_K}.progbar:disable_interactive_logging",
    "enable_interactive_logging": f"{_K}.progbar:enable_interactive_logging",
    "get_custom_objects": f"{_REGISTRATION}:get_custom_objects",
    "get_registered_name": f"{_REGISTRATION}:get_registered_name",
    "get_registered_object": f"{_REGISTRATION}:get_registered_object",
    "is_interactive_logging_enabled": f"{_K}.progbar:is_interactive_logging_enabled",
    "legacy": LazyNamespace(
        "savedmodel.keras.utils.legacy",
        {
            "deserialize_keras_object": f"{_SERIALIZATION}:legacy_deserialize_keras_object",
            "serialize_keras_object": f"{_SERIALIZATION}:legacy_serialize_keras_object",
        },
    ),
    "normalize": f"{_K}.utils.arrays:normalize",
    "pack_x_y_sample_weight": f"{_K}.engine.data_adapter:pack_x_y_sample_weight",
    "pad_sequences": f"{_K}.utils.arrays:pad_sequences",
    "register_keras_serializable": f"{_REGISTRATION}:register_keras_serializable",
    "serialize_keras_object": f"{_SERIALIZATION}:serialize_keras_object",
    "set_random_seed": f"{_K}.utils.random_seed:set_random_seed",
    "to_categorical": f"{_K}.utils.arrays:to_categorical",
    "to_ordinal": f"{_K}.utils.arrays:to_ordinal",
    "unpack_x_y_sample_weight": f"{_K}.engine.data_adapter:unpack_x_y_sample_weight",
}

__all__ = list(_NAMES)

__getattr__, __dir__ = lazy_module(__name__, _NAMES)
