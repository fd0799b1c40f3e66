"""`serialize` and `deserialize` of the named kinds of Keras objects (initializers, losses, …). It owns no kind and no format itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

__all__ = ["deserialize", "deserialize_from_identifier", "serialize"]


def serialize(obj: Any, use_legacy_format: bool = False, expected: type | None = None, api: str = "") -> Any:
    """The config of `obj`: `{"module", "class_name", "config", "registered_name"}`, or legacy `{"class_name", "config"}`.

    Warns, as Keras does, when `obj` is no instance of `expected`.
    """
    from savedmodel.keras.saving import serialization

    if obj is None:
        return None
    if expected is not None and not isinstance(obj, expected):
        warnings.warn(
            f"The `keras.{api}.serialize()` API should only be used for objects of type `keras.{api}.{expected.__name__}`. "
            f"Found an instance of type {type(obj)}, which may lead to improper serialization."
        )
    if use_legacy_format:
        return serialization.legacy_serialize_keras_object(obj)
    return serialization.serialize_keras_object(obj)


def deserialize(
    config: Any, objects: Mapping[str, Any], kind: str, custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False
) -> Any:
    """The object of `config` (a name or a dict), looked up in custom objects, then among `objects`.

    Raises:
        ValueError: nothing has that name; `kind` says what was looked for.
    """
    from savedmodel.keras.saving import serialization

    if use_legacy_format:
        return serialization.legacy_deserialize_keras_object(
            config, module_objects=objects, custom_objects=custom_objects, printable_module_name=kind
        )
    return serialization.deserialize_keras_object(
        config, module_objects=objects, custom_objects=custom_objects, printable_module_name=kind
    )


def deserialize_from_identifier(config: Mapping[str, Any], objects: Mapping[str, Any], kind: str) -> Any:
    """`deserialize` of a dict whose format shows in the presence of its `module` key."""
    return deserialize(config, objects, kind, use_legacy_format="module" not in config)
