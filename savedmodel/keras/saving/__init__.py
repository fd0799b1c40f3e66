"""All persistence of Keras objects: configs, SavedModel, HDF5 and .keras archives. Names of `keras.saving` are found when first used."""

from __future__ import annotations

from savedmodel.keras.namespaces import lazy_module

_REGISTRATION = "savedmodel.keras.registration"
_SERIALIZATION = "savedmodel.keras.saving.serialization"
_NAMES = {
    "custom_object_scope": f"{_REGISTRATION}:custom_object_scope",
    "deserialize_keras_object": f"{_SERIALIZATION}:deserialize_keras_object",
    "get_custom_objects": f"{_REGISTRATION}:get_custom_objects",
    "get_registered_name": f"{_REGISTRATION}:get_registered_name",
    "get_registered_object": f"{_REGISTRATION}:get_registered_object",
    "load_model": "savedmodel.keras.saving.saving_api:load_model",
    "register_keras_serializable": f"{_REGISTRATION}:register_keras_serializable",
    "save_model": "savedmodel.keras.saving.saving_api:save_model",
    "serialize_keras_object": f"{_SERIALIZATION}:serialize_keras_object",
}
__all__ = list(_NAMES)

__getattr__, __dir__ = lazy_module(__name__, _NAMES)
