"""Lambda: a Python function as a layer. Its code is loaded from configs only where unsafe loading is allowed."""

from __future__ import annotations

import inspect
import logging
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.saving import lambda_code, serialization
from savedmodel.trackable import no_automatic_dependency_tracking
from tracer import nest
from tracer.public import tf
from tracer.shapes import TensorShape

__all__ = ["Lambda"]

_log = logging.getLogger("savedmodel.keras")


def _shapes(value: Any) -> Any:
    """Tuples (or structures of them) as TensorShapes."""
    if value is None or isinstance(value, TensorShape):
        return value
    if isinstance(value, Mapping):
        return {key: _shapes(v) for key, v in value.items()}
    if all(d is None or isinstance(d, (int, np.integer)) for d in value):
        return TensorShape(value)
    return type(value)(_shapes(v) for v in value)


class Lambda(Layer):
    """`function(inputs, **arguments)`; `mask` and `training` are passed on when the function takes them."""

    @no_automatic_dependency_tracking
    def __init__(self, function: Callable[..., Any], output_shape: Any = None, mask: Any = None, arguments: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.arguments = arguments or {}
        self.function = function
        if mask is not None:
            self.supports_masking = True
        self.mask = mask
        self._output_shape = output_shape
        self._already_warned = False
        try:
            names = inspect.signature(function).parameters
        except (TypeError, ValueError):
            names = {}  # type: ignore[assignment]
        self._fn_expects_training_arg = "training" in names
        self._fn_expects_mask_arg = "mask" in names

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._output_shape is None:
            try:
                return super().compute_output_shape(input_shape)
            except NotImplementedError:
                raise NotImplementedError(
                    "We could not automatically infer the shape of the Lambda's output. Please specify `output_shape` for this Lambda."
                ) from None
        if callable(self._output_shape):
            return _shapes(self._output_shape(nest.map_structure(lambda s: tuple(s.as_list()) if isinstance(s, TensorShape) else s, input_shape)))
        given = nest.flatten(_shapes(input_shape))
        batch = given[0][0] if given else None
        return nest.map_structure(lambda s: TensorShape([batch, *s.as_list()]), _shapes(self._output_shape))

    def call(self, inputs: Any, mask: Any = None, training: Any = None) -> Any:
        kwargs = dict(self.arguments)
        if self._fn_expects_mask_arg:
            kwargs["mask"] = mask
        if self._fn_expects_training_arg:
            kwargs["training"] = training
        with tf.GradientTape(watch_accessed_variables=True) as tape:
            result = self.function(inputs, **kwargs)
        self._check_variables(tape.watched_variables())
        return result

    def _call_to_trace(self) -> Callable[..., Any]:
        from tracer.autograph import convert

        plain = self.function

        def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
            self.__dict__["function"] = convert(plain)
            try:
                return self.call(inputs, *args, **kwargs)
            finally:
                self.__dict__["function"] = plain

        return call

    def _check_variables(self, used: Any) -> None:
        """Warn about variables that the layer does not own."""
        known = {id(v) for v in self.weights}
        strangers = [v for v in used if id(v) not in known]
        if strangers and not self._already_warned:
            names = "\n".join(f"  {v}" for v in strangers)
            _log.warning(
                "\nThe following Variables were used a Lambda layer's call (%s), but\nare not present in its tracked objects:\n%s\nIt is "
                "possible that this is intended behavior, but it is more likely\nan omission. This is a strong indication that this layer "
                "should be\nformulated as a subclassed Layer rather than a Lambda layer.",
                self.name,
                names,
            )
            self.__dict__["_already_warned"] = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self) -> dict[str, Any]:
        config: dict[str, Any] = {}
        config["function"], config["function_type"], config["module"] = _described(self.function)
        config["output_shape"], config["output_shape_type"], config["output_shape_module"] = _described(self._output_shape, raw=True)
        if self.mask is not None:
            config["mask"], config["mask_type"], config["mask_module"] = _described(self.mask)
        return {**super().get_config(), **config, "arguments": self.arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
        """A layer with the functions of a config.

        Raises:
            ValueError: the function is stored as code and the caller does not allow unsafe loading.
        """
        config = dict(config)
        config["function"] = _loaded(config, custom_objects, "function", "module")
        config["output_shape"] = _loaded(config, custom_objects, "output_shape", "output_shape_module")
        config["mask"] = _loaded(config, custom_objects, "mask", "mask_module") if "mask" in config else None
        arguments = dict(config.get("arguments") or {})
        for key, value in arguments.items():
            if isinstance(value, dict) and value.get("type") == "ndarray":
                arguments[key] = np.array(value["value"])
        config["arguments"] = arguments
        return cls(**config)


def _described(value: Any, raw: bool = False) -> tuple[Any, str, Any]:
    """(what is stored, "lambda" | "function" | "raw", the module) of a function or a plain value."""
    if isinstance(value, types.FunctionType):
        return lambda_code.func_dump(value), "lambda", value.__module__
    if callable(value):
        return value.__name__, "function", value.__module__
    if raw:
        return value, "raw", None
    raise ValueError(f"Invalid input for serialization, type: {type(value)} ")


def _loaded(config: dict[str, Any], custom_objects: Mapping[str, Any] | None, key: str, module_key: str) -> Any:
    module = config.pop(module_key, None)
    kind = config.pop(f"{key}_type", "raw")
    value = config.get(key)
    if kind == "raw":
        return tuple(value) if isinstance(value, list) else value
    if kind == "function":
        return serialization.deserialize_keras_object(
            value, module_objects=None, custom_objects=custom_objects, printable_module_name="function in Lambda layer"
        )
    if kind != "lambda":
        raise TypeError(
            f"Unsupported value for `function_type` argument. Received: function_type={kind}. Expected one of ['function', 'lambda', 'raw']"
        )
    if serialization.in_safe_mode():
        raise ValueError(
            "Requested the deserialization of a Lambda layer with a Python `lambda` inside it. This carries a potential risk of arbitrary code "
            "execution and thus it is disallowed by default. If you trust the source of the saved model, you can pass `safe_mode=False` to the "
            "loading function in order to allow Lambda layer loading."
        )
    globs: dict[str, Any] = {**_names_of_lambdas()}
    if module in sys.modules:
        globs.update(vars(sys.modules[module]))
    elif module is not None:
        warnings.warn(f"{module} is not loaded, but a Lambda layer uses it. It may cause errors.", UserWarning, stacklevel=3)
    globs.update(custom_objects or {})
    return lambda_code.func_load(value, globs=globs)


def _names_of_lambdas() -> dict[str, Any]:
    """Names that the code of a lambda may use without its module."""
    from savedmodel.keras import backend

    return {"__builtins__": __builtins__, "np": np, "numpy": np, "tf": tf, "K": backend, "backend": backend}
