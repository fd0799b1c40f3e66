"""Configs of Keras objects: `serialize_keras_object` and its inverse, in the v3 form and in the legacy form. It refuses to touch files.

The v3 form is `{"module", "class_name", "config", "registered_name"}` (with build and compile configs), the legacy form
`{"class_name", "config"}`. Authority: Keras 2.15. Unlike Keras, a module named by a config is never imported while loading safely.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from savedmodel.errors import SavedModelError
from savedmodel.keras import registration
from savedmodel.keras.saving import lambda_code
from tracer import dtypes, specs
from tracer.dtypes import DType
from tracer.errors import InvalidArgumentError
from tracer.shapes import TensorShape
from tracer.tensor import Tensor, convert_to_tensor

__all__ = [
    "ObjectSharingScope",
    "SafeModeScope",
    "SharedObjectLoadingScope",
    "SharedObjectSavingScope",
    "deserialize_keras_object",
    "enable_unsafe_deserialization",
    "in_safe_mode",
    "legacy_deserialize_keras_object",
    "legacy_serialize_keras_object",
    "saved_model_scope",
    "serialize_keras_object",
    "skip_failed_serialization",
]

SHARED_OBJECT_KEY = "shared_object_id"
UNDEFINED_CONFIG = "layer was saved without config"
_PLAIN = (str, int, float, bool)
_FUNCTION_SPACES = ("activations", "constraints", "initializers", "losses", "metrics", "optimizers", "regularizers")


class UnknownObjectError(SavedModelError, TypeError):
    """A config names a class or function that is not known here."""


class UnknownNameError(SavedModelError, ValueError):
    """A legacy config names a class or function that is not known here."""


class UnsafeObjectError(SavedModelError, ValueError):
    """A config holds code, and the caller did not allow that."""


class _State(threading.local):
    def __init__(self) -> None:
        self.safe_mode: bool | None = None
        self.in_saved_model = False
        self.sharing: tuple[dict[int, Any], dict[int, Any]] | None = None  # objects, configs by id
        self.loading: dict[Any, Any] | None = None  # legacy: shared id → object
        self.saving: SharedObjectSavingScope | None = None
        self.skip_failed = False


_state = _State()


def in_safe_mode() -> bool | None:
    """The safe mode of the innermost scope; None where nothing was said."""
    return _state.safe_mode


def enable_unsafe_deserialization() -> None:
    """Allow this thread to load the code of lambdas from now on."""
    _state.safe_mode = False


class SafeModeScope:
    """A context that refuses (or allows) code in configs, whatever calls inside of it ask for."""

    def __init__(self, safe_mode: bool | None = True):
        self.safe_mode = safe_mode

    def __enter__(self) -> None:
        self._previous = _state.safe_mode
        _state.safe_mode = self.safe_mode

    def __exit__(self, *error: Any) -> None:
        _state.safe_mode = self._previous


@contextlib.contextmanager
def saved_model_scope() -> Iterator[None]:
    """A context in which configs take the legacy form, as in a SavedModel's metadata."""
    previous = _state.in_saved_model
    _state.in_saved_model = True
    try:
        yield
    finally:
        _state.in_saved_model = previous


def in_saved_model_scope() -> bool:
    return _state.in_saved_model


@contextlib.contextmanager
def skip_failed_serialization() -> Iterator[None]:
    """A context in which a legacy config says "saved without config" where an object has none, instead of raising."""
    previous = _state.skip_failed
    _state.skip_failed = True
    try:
        yield
    finally:
        _state.skip_failed = previous


class ObjectSharingScope:
    """A context of one v3 save or load, in which an object met twice is marked, or found, as the same."""

    def __enter__(self) -> None:
        self._previous = _state.sharing
        _state.sharing = ({}, {})

    def __exit__(self, *error: Any) -> None:
        _state.sharing = self._previous


# -- v3 --------------------------------------------------------------------------------------------------------------


def serialize_keras_object(obj: Any) -> Any:
    """The config of `obj`: plain values as they are, containers element-wise, objects as dicts.

    Raises:
        TypeError: an object has no `get_config`.
    """
    if _state.in_saved_model:
        return legacy_serialize_keras_object(obj)
    if obj is None or isinstance(obj, _PLAIN):
        return obj
    if isinstance(obj, (list, tuple)):
        items = [serialize_keras_object(x) for x in obj]
        return tuple(items) if isinstance(obj, tuple) else items
    if isinstance(obj, Mapping):
        return serialize_dict(obj)
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, TensorShape):
        return None if obj.rank is None else obj.as_list()
    if isinstance(obj, Tensor):
        value = obj.numpy()
        return {"class_name": "__tensor__", "config": {"value": value.tolist() if hasattr(value, "tolist") else value, "dtype": obj.dtype.name}}
    if isinstance(obj, np.ndarray) and obj.ndim > 0:
        return {"class_name": "__numpy__", "config": {"value": obj.tolist(), "dtype": obj.dtype.name}}
    if isinstance(obj, (np.ndarray, np.generic)):
        return obj.item()
    if isinstance(obj, DType):
        return obj.name
    if isinstance(obj, types.FunctionType) and obj.__name__ == "<lambda>":
        warnings.warn(
            "The object being serialized includes a `lambda`. This is unsafe. In order to reload the object, you will have to pass "
            "`safe_mode=False` to the loading function. Please avoid using `lambda` in the future, and use named Python functions instead."
        )
        return {"class_name": "__lambda__", "config": {"value": lambda_code.func_dump(obj)}}
    if isinstance(obj, specs.TypeSpec):
        config = [x.as_list() if isinstance(x, TensorShape) and x.rank is not None else x.name if isinstance(x, DType) else x for x in obj.serialize()]
        return {
            "class_name": "__typespec__",
            "spec_name": type(obj).__name__,
            "module": _spec_module(obj),
            "config": config,
            "registered_name": None,
        }
    config = _object_config(obj)
    _add_build_and_compile_config(obj, config)
    _record_serialized(obj, config)
    return config


def serialize_dict(obj: Mapping[Any, Any]) -> dict[Any, Any]:
    """A dict with its values serialized."""
    return {key: serialize_keras_object(value) for key, value in obj.items()}


def _spec_module(spec: Any) -> str:
    home = {"RaggedTensorSpec": "ops.ragged.ragged_tensor", "SparseTensorSpec": "framework.sparse_tensor", "IndexedSlicesSpec": "framework.indexed_slices"}
    return "tensorflow.python." + home.get(type(spec).__name__, "framework.tensor")


def _object_config(obj: Any) -> dict[str, Any]:
    if isinstance(obj, types.FunctionType):
        inner: Any = obj.__name__
        return {"module": "builtins", "class_name": "function", "config": inner, "registered_name": "function"}
    if hasattr(obj, "get_config"):
        inner = obj.get_config()
        if not isinstance(inner, dict):
            raise TypeError(f"The `get_config()` method of {obj} should return a dict. It returned: {inner}")
        inner = serialize_dict(inner)
    elif hasattr(obj, "__name__"):
        inner = registration.get_registered_name(obj)
    else:
        raise TypeError(
            f"Cannot serialize object {obj} of type {type(obj)}. To be serializable, a class must implement the `get_config()` method."
        )
    public = registration.public_name(type(obj))
    if public is not None:
        return {"module": public[0], "class_name": public[1], "config": inner, "registered_name": None}
    cls = type(obj)
    return {
        "module": registration.module_name(cls),
        "class_name": cls.__name__,
        "config": inner,
        "registered_name": registration.get_registered_name(cls),
    }


def _add_build_and_compile_config(obj: Any, config: dict[str, Any]) -> None:
    for key, method in (("build_config", "get_build_config"), ("compile_config", "get_compile_config")):
        if hasattr(obj, method):
            value = getattr(obj, method)()
            if value is not None:
                config[key] = serialize_dict(value)


def _record_serialized(obj: Any, config: dict[str, Any]) -> None:
    if config["module"] == "__main__":
        config["module"] = None
    if _state.sharing is None:
        return
    seen = _state.sharing[1]
    key = id(obj)
    if key not in seen:
        seen[key] = config
    else:
        config[SHARED_OBJECT_KEY] = key
        seen[key][SHARED_OBJECT_KEY] = key


def deserialize_keras_object(
    config: Any, custom_objects: Mapping[str, Any] | None = None, safe_mode: bool = True, **kwargs: Any
) -> Any:
    """The object of a config made by `serialize_keras_object`.

    Args:
        custom_objects: name → class or function, beside the registered ones.
        safe_mode: refuse lambdas and modules that are not imported yet.
        **kwargs: `module_objects` (names looked up first; then `config` may be a bare name), `printable_module_name` (for messages).

    Raises:
        TypeError: a class or function is not known, or has no `from_config`. ValueError: code in safe mode.
    """
    module_objects = kwargs.pop("module_objects", None)
    kind = kwargs.pop("printable_module_name", "object")
    if kwargs:
        raise InvalidArgumentError(f"The following argument(s) are not supported: {list(kwargs)}")
    if _state.safe_mode is not None:
        safe_mode = _state.safe_mode
    custom = {**(custom_objects or {}), **registration.scoped_objects(), **registration.get_custom_objects()}
    if _state.in_saved_model:
        return legacy_deserialize_keras_object(config, module_objects, custom, kind)
    if config is None:
        return None
    if isinstance(config, str) and custom.get(config) is not None:
        return custom[config]
    if isinstance(config, (list, tuple)):
        return [deserialize_keras_object(x, custom_objects=custom, safe_mode=safe_mode) for x in config]
    if module_objects is not None:
        found, value = _from_module_objects(config, module_objects, custom)
        if found:
            return value
    if isinstance(config, _PLAIN):
        return config
    if not isinstance(config, Mapping):
        raise TypeError(f"Could not parse config: {config}")
    if "class_name" not in config or "config" not in config:
        return {k: deserialize_keras_object(v, custom_objects=custom, safe_mode=safe_mode) for k, v in config.items()}
    return _from_dict(config, custom, safe_mode)


def _from_module_objects(config: Any, objects: Mapping[str, Any], custom: Mapping[str, Any]) -> tuple[bool, Any]:
    """Look a name, or the class named by a dict, up among `objects`. Returns (whether that settles it, the result)."""
    inner = None
    name = config
    if isinstance(config, Mapping):
        inner = config.get("config")
        if "class_name" not in config:
            raise InvalidArgumentError(f"Unknown `config` as a `dict`, config={config}")
        class_name = config["class_name"]
        if class_name in custom or config.get("registered_name") in custom or (isinstance(inner, str) and inner in custom):
            return False, None
        if class_name == "function":
            name = inner if config.get("module") == "builtins" else config.get("registered_name")
        elif config.get("module", "_") is None:
            raise UnknownObjectError(
                f"Cannot deserialize object of type `{class_name}`. If `{class_name}` is a custom class, please register it using the "
                f"`@keras.saving.register_keras_serializable()` decorator."
            )
        else:
            name = class_name
    if not isinstance(name, str) or name not in objects:
        return (False, None) if isinstance(config, Mapping) and config.get("module") else (True, name)
    target = objects[name]
    if not inspect.isclass(target):
        return True, target
    # As in Keras, build and compile configs do not count on this road: layers are built when they are called.
    with registration.custom_object_scope(dict(custom)):
        return True, _construct(target, inner or {})


def _construct(cls: Any, config: Any) -> Any:
    return cls.from_config(config) if hasattr(cls, "from_config") else cls(**config)


def _build_and_compile(instance: Any, config: Mapping[str, Any]) -> None:
    if config.get("build_config"):
        instance.build_from_config(config["build_config"])
    if config.get("compile_config"):
        instance.compile_from_config(config["compile_config"])


def _from_dict(config: Mapping[str, Any], custom: dict[str, Any], safe_mode: bool) -> Any:
    class_name = config["class_name"]
    inner = config["config"] or {}
    if class_name == "__tensor__":
        return convert_to_tensor(inner["value"], dtype=inner["dtype"])
    if class_name == "__numpy__":
        return np.array(inner["value"], dtype=inner["dtype"])
    if class_name == "__bytes__":
        return inner["value"].encode("utf-8")
    if class_name == "__lambda__":
        if safe_mode:
            raise UnsafeObjectError(
                "Requested the deserialization of a `lambda` object. This carries a potential risk of arbitrary code execution and thus it is "
                "disallowed by default. If you trust the source of the saved model, you can pass `safe_mode=False` to the loading function in "
                "order to allow `lambda` loading."
            )
        return lambda_code.func_load(inner["value"])
    if class_name == "__typespec__":
        return _type_spec(config)
    module = config.get("module")
    registered = config.get("registered_name", class_name)
    if class_name == "function":
        return _find(config["config"], registered, module, "function", config, custom, safe_mode)
    shared = config.get(SHARED_OBJECT_KEY)
    if shared is not None and _state.sharing is not None and shared in _state.sharing[0]:
        return _state.sharing[0][shared]
    cls = _find(class_name, registered, module, "class", config, custom, safe_mode)
    if isinstance(cls, types.FunctionType):
        return cls
    if not hasattr(cls, "from_config"):
        raise UnknownObjectError(
            f"Unable to reconstruct an instance of '{class_name}' because the class is missing a `from_config()` method. Full object config: "
            f"{config}"
        )
    with registration.custom_object_scope(custom), SafeModeScope(safe_mode):
        instance = cls.from_config(inner)
        _build_and_compile(instance, config)
    if shared is not None and _state.sharing is not None:
        _state.sharing[0][shared] = instance
    return instance


def _type_spec(config: Mapping[str, Any]) -> Any:
    cls = getattr(specs, str(config.get("spec_name")), None)
    if not (inspect.isclass(cls) and issubclass(cls, specs.TypeSpec)):
        raise UnknownObjectError(f"Could not locate class '{config.get('spec_name')}': no such TypeSpec. Full object config: {config}")
    arguments = []
    for x in config["config"]:
        if isinstance(x, list):
            x = TensorShape(x)
        elif isinstance(x, str) and isinstance(getattr(dtypes, x, None), DType):
            x = getattr(dtypes, x)
        arguments.append(x)
    return cls(*arguments)


def _find(name: str, registered: Any, module: Any, kind: str, full: Any, custom: Mapping[str, Any], safe_mode: bool) -> Any:
    """The class or function that a config names.

    Raises:
        TypeError: nothing is known under that name.
    """
    found = registration.get_registered_object(name if kind == "function" else registered, custom)
    if found is not None:
        return found
    if module:
        found = registration.find_builtin(module, name)
        if found is not None:
            return found
        if kind == "function" and module == "builtins":
            from savedmodel import keras

            for space in _FUNCTION_SPACES:
                found = getattr(getattr(keras, space), name, None)
                if found is not None:
                    return found
            for key, value in custom.items():
                if key.endswith(str(full["config"])):
                    return value
        found = _from_module(module, name, registered, kind, full, safe_mode)
        if found is not None:
            return found
    raise UnknownObjectError(
        f"Could not locate {kind} '{name}'. Make sure custom classes are decorated with `@keras.saving.register_keras_serializable()`. Full "
        f"object config: {full}"
    )


def _from_module(module: str, name: str, registered: Any, kind: str, full: Any, safe_mode: bool) -> Any:
    """`name` in a module of the user; only modules that are imported already are looked at in safe mode, and never the standard library."""
    if module.partition(".")[0] in sys.stdlib_module_names and module != "__main__":
        return None
    loaded = sys.modules.get(module)
    if loaded is None:
        if safe_mode:
            raise UnknownObjectError(
                f"Could not deserialize {kind} '{name}': its module {module} is not imported, and loading does not import modules by itself. "
                f"Import it before, or pass custom_objects. Full object config: {full}"
            )
        try:
            loaded = importlib.import_module(module)
        except ModuleNotFoundError:
            raise UnknownObjectError(
                f"Could not deserialize {kind} '{name}' because its parent module {module} cannot be imported. Full object config: {full}"
            ) from None
    found = vars(loaded).get(name)
    if found is None and registered is not None:
        found = vars(loaded).get(registered)
    if found is None and name.count(".") == 1:
        outer, inner = name.split(".")
        found = getattr(vars(loaded).get(outer), inner, None)
    if kind == "class" and found is not None and not inspect.isclass(found) and not inspect.isfunction(found):
        return None
    return found


# -- legacy ----------------------------------------------------------------------------------------------------------


class _SharedConfig(dict):
    """A legacy config that gets its shared id when the object is met a second time."""

    def __init__(self, base: Mapping[str, Any], object_id: int):
        super().__init__(base)
        self.object_id = object_id
        self.met = 1

    def meet(self) -> None:
        if self.met == 1:
            self[SHARED_OBJECT_KEY] = self.object_id
        self.met += 1


class SharedObjectSavingScope:
    """A context of one legacy save, in which an object met twice gets a shared id. Inner scopes use the outer one."""

    def __enter__(self) -> SharedObjectSavingScope:
        self._outer = _state.saving
        if self._outer is None:
            self._next = 0
            self._by_weak: weakref.WeakKeyDictionary[Any, _SharedConfig] = weakref.WeakKeyDictionary()
            _state.saving = self
            return self
        return self._outer

    def __exit__(self, *error: Any) -> None:
        if self._outer is None:
            _state.saving = None

    def get_config(self, obj: Any) -> Any:
        try:
            found = self._by_weak[obj]
        except (TypeError, KeyError):
            return None
        found.meet()
        return found

    def create_config(self, base: Mapping[str, Any], obj: Any) -> Any:
        config = _SharedConfig(base, self._next)
        self._next += 1
        try:
            self._by_weak[obj] = config
        except TypeError:
            pass  # the object cannot be referred to weakly: it is never found again
        return config


class SharedObjectLoadingScope:
    """A context of one legacy load, in which equal shared ids give the same object."""

    def __enter__(self) -> SharedObjectLoadingScope:
        self._outer = _state.loading
        _state.loading = {}
        return self

    def get(self, object_id: Any) -> Any:
        return None if object_id is None or _state.loading is None else _state.loading.get(object_id)

    def set(self, object_id: Any, obj: Any) -> None:
        if object_id is not None and _state.loading is not None:
            _state.loading[object_id] = obj

    def __exit__(self, *error: Any) -> None:
        _state.loading = self._outer


def serialize_keras_class_and_config(cls_name: str, cls_config: Any, obj: Any = None, shared_object_id: Any = None) -> Any:
    """`{"class_name", "config"}`, shared with earlier configs of the same object inside a saving scope."""
    base = {"class_name": cls_name, "config": cls_config}
    if shared_object_id is not None:
        base[SHARED_OBJECT_KEY] = shared_object_id
    scope = _state.saving
    if scope is None or obj is None:
        return base
    return scope.get_config(obj) or scope.create_config(base, obj)


def legacy_serialize_keras_object(instance: Any) -> Any:
    """The legacy config of an object with `get_config`, or the (registered) name of a function or class.

    Raises:
        ValueError: it is neither.
    """
    if instance is None:
        return None
    if hasattr(instance, "get_config") and not isinstance(instance, type):
        name = registration.get_registered_name(type(instance))
        try:
            config = instance.get_config()
        except NotImplementedError:
            if _state.skip_failed:
                return serialize_keras_class_and_config(name, {UNDEFINED_CONFIG: True})
            raise
        out = {}
        for key, item in config.items():
            if isinstance(item, str):
                out[key] = item
                continue
            try:
                value = legacy_serialize_keras_object(item)
                if isinstance(value, dict) and not isinstance(item, dict):
                    value["__passive_serialization__"] = True
                out[key] = value
            except ValueError:
                out[key] = item
        return serialize_keras_class_and_config(name, out, instance)
    if hasattr(instance, "__name__"):
        return registration.get_registered_name(instance)
    raise InvalidArgumentError(f"Cannot serialize {instance} because it doesn't implement `get_config()`.")


def _unknown(kind: str, name: str) -> Exception:
    return UnknownNameError(
        f"Unknown {kind}: '{name}'. Please ensure you are using a `keras.utils.custom_object_scope` and that this object is included in the "
        f"scope. See https://www.tensorflow.org/guide/keras/save_and_serialize#registering_the_custom_object for details."
    )


def class_and_config_for_serialized_keras_object(
    config: Any, module_objects: Mapping[str, Any] | None = None, custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> tuple[Any, Any]:  # fmt: skip
    """The class that a legacy config names, and its config with nested objects made.

    Raises:
        ValueError: the config has another form, or the class is not known.
    """
    if not isinstance(config, dict) or "class_name" not in config or "config" not in config:
        raise InvalidArgumentError(
            f"Improper config format for {config}. Expecting python dict contains `class_name` and `config` as keys"
        )
    name = config["class_name"]
    cls = registration.get_registered_object(name, custom_objects, module_objects)
    if cls is None:
        raise _unknown(printable_module_name, name)
    inner = config["config"]
    if isinstance(inner, list):
        return cls, inner
    made = {}
    for key, item in inner.items():
        if key == "name":
            continue
        if isinstance(item, dict) and "__passive_serialization__" in item:
            made[key] = legacy_deserialize_keras_object(item, module_objects, custom_objects, "config_item")
        elif isinstance(item, str):
            found = registration.get_registered_object(item, custom_objects)
            if inspect.isfunction(found):
                made[key] = found
    return cls, {**inner, **made}


def legacy_deserialize_keras_object(
    identifier: Any, module_objects: Mapping[str, Any] | None = None, custom_objects: Mapping[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:  # fmt: skip
    """The object of a legacy config: a dict, a name, or a function (returned as it is).

    Raises:
        ValueError: the name is not known, or the identifier has another form.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        cls, config = class_and_config_for_serialized_keras_object(identifier, module_objects, custom_objects, printable_module_name)
        shared = identifier.get(SHARED_OBJECT_KEY)
        loading = _state.loading
        if loading is not None and shared is not None and shared in loading:
            return loading[shared]
        custom = dict(custom_objects or {})
        if hasattr(cls, "from_config"):
            if "custom_objects" in inspect.signature(cls.from_config).parameters:
                everything = {**registration.get_custom_objects(), **registration.scoped_objects(), **custom}
                made = cls.from_config(config, custom_objects=everything)
            else:
                with registration.custom_object_scope(custom):
                    made = cls.from_config(config)
        else:
            with registration.custom_object_scope(custom):
                made = cls(**config)
        if loading is not None and shared is not None:
            loading[shared] = made
        return made
    if isinstance(identifier, str):
        found = (custom_objects or {}).get(identifier)
        if found is None:
            found = registration.get_registered_object(identifier, None, module_objects)
        if found is None:
            raise _unknown(printable_module_name, identifier)
        return found() if inspect.isclass(found) else found
    if inspect.isfunction(identifier):
        return identifier
    raise InvalidArgumentError(f"Could not interpret serialized {printable_module_name}: {identifier}")
