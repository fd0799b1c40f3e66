"""Names by which custom classes and functions are found again: global registration, scopes, and the public names of built-in classes."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any

from tracer.errors import InvalidArgumentError

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "public_name",
    "register_keras_serializable",
    "scoped_objects",
]

_registered: dict[str, Any] = {}
_names: dict[Any, str] = {}


class _Scopes(threading.local):
    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}


_scopes = _Scopes()


class CustomObjectScope:
    """A context in which names in configs mean the given objects. Scopes nest; leaving one restores what was there before.

    Args:
        *args: mappings from name to class or function.
    """

    def __init__(self, *args: Mapping[str, Any] | None):
        self.custom_objects = args
        self._backup: dict[str, Any] = {}

    def __enter__(self) -> CustomObjectScope:
        self._backup = dict(_scopes.objects)
        for objects in self.custom_objects:
            _scopes.objects.update(objects or {})
        return self

    def __exit__(self, *error: Any) -> None:
        _scopes.objects.clear()
        _scopes.objects.update(self._backup)


custom_object_scope = CustomObjectScope


def scoped_objects() -> dict[str, Any]:
    """The objects of the open scopes of this thread."""
    return _scopes.objects


def get_custom_objects() -> dict[str, Any]:
    """The global registry: registered name → class or function. It may be changed in place."""
    return _registered


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[Any], Any]:
    """Decorator: register a class or function as `package>name` (name: its own by default).

    Raises:
        ValueError: a class has no `get_config`.
    """

    def decorate(target: Any) -> Any:
        if inspect.isclass(target) and not hasattr(target, "get_config"):
            raise InvalidArgumentError(
                f"Cannot register a class that does not have a get_config() method. Received: {target.__name__}; define get_config() in it."
            )
        registered = f"{package}>{name if name is not None else target.__name__}"
        _registered[registered] = target
        _names[target] = registered
        return target

    return decorate


def get_registered_name(obj: Any) -> str:
    """The registered name of a class or function; its own name when it is not registered."""
    try:
        found = _names.get(obj)
    except TypeError:
        found = None
    return found if found is not None else obj.__name__


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any:
    """What `name` means: in an open scope, in the registry, in `custom_objects`, in `module_objects`; else None."""
    for objects in (_scopes.objects, _registered, custom_objects, module_objects):
        if objects and name in objects:
            return objects[name]
    return None


# -- public names of built-in classes -----------------------------------------------------------------------------------

# Public classes whose module does not tell their namespace; modules of Keras 2.15 of classes that are not public.
_NAMESPACES = {
    "Layer": "keras.layers",
    "InputLayer": "keras.layers",
    "InputSpec": "keras.layers",
    "Model": "keras",
    "Sequential": "keras",
    "Policy": "keras.mixed_precision",
    "LossScaleOptimizer": "keras.mixed_precision",
}
_PRIVATE_MODULES = {
    "Functional": "keras.src.engine.functional",
    "TFOpLambda": "keras.src.layers.core.tf_op_layer",
    "SlicingOpLambda": "keras.src.layers.core.tf_op_layer",
    "ClassMethod": "keras.src.layers.core.tf_op_layer",
    "InstanceMethod": "keras.src.layers.core.tf_op_layer",
    "InstanceProperty": "keras.src.layers.core.tf_op_layer",
    "BaseRandomLayer": "keras.src.engine.base_layer",
    "AddLoss": "keras.src.engine.base_layer",
    "AddMetric": "keras.src.engine.base_layer",
}
_OWN = "savedmodel.keras."


def public_name(cls: Any) -> tuple[str, str] | None:
    """(namespace, name) under which `keras` has the built-in class or function `cls`; None where it is not public.

    `keras.layers.Dense` gives ("keras.layers", "Dense").
    """
    module = getattr(cls, "__module__", None) or ""
    if not module.startswith(_OWN) or cls.__name__ in _PRIVATE_MODULES:
        return None
    name = getattr(cls, "_keras_api_name", cls.__name__)
    if "." in name:
        space, _, name = name.rpartition(".")
        return space, name
    if cls.__name__ in _NAMESPACES:
        return _NAMESPACES[cls.__name__], name
    parts = module[len(_OWN) :].split(".")
    candidates = ["keras." + ".".join(parts[:i]) for i in range(1, len(parts) + 1)]
    if parts[0] == "optimizers" or "schedule" in module:
        candidates = ["keras.optimizers.schedules", "keras.optimizers.legacy", *candidates] if "legacy" in module else [
            "keras.optimizers.schedules",
            *candidates,
        ]
    candidates += [f"keras.{n}" for n in ("layers", "losses", "metrics", "optimizers", "initializers", "regularizers", "constraints")]
    for space in candidates:
        if _lookup(space, name) is cls:
            return space, name
    return None


def _lookup(space: str, name: str) -> Any:
    from savedmodel import keras

    found: Any = keras
    for part in space.split(".")[1:]:
        found = getattr(found, part, None)
        if found is None:
            return None
    return getattr(found, name, None)


def module_name(cls: Any) -> str:
    """The module that a config names for a class or function that is not public: Keras 2.15's for built-in ones, else its own."""
    if cls.__name__ in _PRIVATE_MODULES and cls.__module__.startswith(_OWN):
        return _PRIVATE_MODULES[cls.__name__]
    if cls.__module__.startswith(_OWN):
        return "keras.src." + cls.__module__[len(_OWN) :]
    return cls.__module__


def find_builtin(module: str, name: str) -> Any:
    """The class or function of ours that `keras…` module and name mean (public, or one of Keras 2.15's own modules); None where there is none."""
    if not (module == "keras" or module.startswith("keras.")):
        return None
    if name in _PRIVATE_MODULES:
        return _private_class(name)
    if not module.startswith("keras.src"):
        found = _lookup(module, name)
        if found is not None:
            return found
    for space in (
        "keras.layers", "keras.losses", "keras.metrics", "keras.optimizers", "keras.optimizers.schedules", "keras.initializers",
        "keras.regularizers", "keras.constraints", "keras.activations", "keras.mixed_precision", "keras",
    ):  # fmt: skip
        found = _lookup(space, name)
        if found is not None:
            return found
    return None


def _private_class(name: str) -> Any:
    if name == "Functional":
        from savedmodel.keras.engine.functional import Functional

        return Functional
    if name in ("AddLoss", "AddMetric", "BaseRandomLayer"):
        from savedmodel.keras.engine import added_losses, base_layer

        return getattr(added_losses, name, None) or getattr(base_layer, name)
    from savedmodel.keras.engine import op_layers

    return getattr(op_layers, name)
