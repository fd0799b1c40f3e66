"""Values in configs as plain JSON (`to_json`, arguments of calls). Tagged JSON for metadata lives in `saving.metadata_json`."""

from __future__ import annotations

import collections.abc
import enum
from typing import Any

import numpy as np

from tracer.dtypes import DType
from tracer.shapes import TensorShape
from tracer.specs import TypeSpec

__all__ = ["json_default"]


def json_default(obj: Any) -> Any:
    """`json.dumps(…, default=json_default)`: objects with a config, arrays, shapes, dtypes, functions and specs.

    Raises:
        TypeError: nothing of that.
    """
    if hasattr(obj, "get_config") and not isinstance(obj, type):
        from savedmodel.keras.saving import serialization

        config = serialization.legacy_serialize_keras_object(obj)
        config["__passive_serialization__"] = True
        return config
    if isinstance(obj, np.ndarray):
        return obj.tolist()
    if isinstance(obj, np.generic):
        return obj.item()
    if isinstance(obj, enum.Enum):
        return obj.value
    if isinstance(obj, DType):
        return obj.name
    if isinstance(obj, TensorShape):
        return obj.as_list()
    if isinstance(obj, TypeSpec) or hasattr(obj, "_type_spec"):
        import json

        from savedmodel.keras.saving import metadata_json

        return json.loads(metadata_json.encode(obj))
    if callable(obj):
        return obj.__name__
    if isinstance(obj, collections.abc.Mapping):
        return dict(obj)
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__"}
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "value": obj.decode("utf-8")}
    raise TypeError(f"Unable to serialize {obj} to JSON. Unrecognized type {type(obj)}.")
