"""Layers made of TensorFlow functions, operators and methods that are called on Keras tensors.

`tf.reduce_sum(x)` on a Keras tensor is a TFOpLambda layer that calls `tf.math.reduce_sum`. Names and configs follow Keras 2.15.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from savedmodel.keras import naming
from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.call_context import CallSpec
from savedmodel.keras.engine.keras_tensor import KerasTensor
from savedmodel.keras.engine.op_names import CANONICAL
from savedmodel.trackable import no_automatic_dependency_tracking
from tracer import nest, public
from tracer.dtypes import DType, as_dtype
from tracer.errors import InvalidArgumentError
from tracer.public import tf
from tracer.tensor import convert_to_tensor

__all__ = ["ClassMethod", "InstanceMethod", "InstanceProperty", "SlicingOpLambda", "TFOpLambda", "apply_symbol", "find_symbol"]


def _slice_to_dict(x: Any) -> Any:
    return {"start": x.start, "stop": x.stop, "step": x.step} if isinstance(x, slice) else x


def _dict_to_slice(x: Any) -> Any:
    if isinstance(x, dict):
        return slice(x["start"], x["stop"], x["step"])
    return x


# -- functions that exist as operators, or in TensorFlow 1's namespace, only -----------------------------------------


def _pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Both operands as tensors of one dtype: that of the one which is a tensor already."""
    if not hasattr(x, "dtype"):
        y = convert_to_tensor(y)
        return convert_to_tensor(x, dtype_hint=y.dtype), y
    x = convert_to_tensor(x)
    return x, convert_to_tensor(y, dtype=None if isinstance(getattr(y, "dtype", None), DType) else x.dtype)


def _add(x: Any, y: Any, name: str | None = None) -> Any:
    x, y = _pair(x, y)
    return x + y


def _equal(self: Any, other: Any) -> Any:
    return convert_to_tensor(self) == other


def _not_equal(self: Any, other: Any) -> Any:
    return convert_to_tensor(self) != other


def _getitem(tensor: Any, slice_spec: Any, var: Any = None) -> Any:
    return (tensor if hasattr(tensor, "_type_spec") else convert_to_tensor(tensor))[slice_spec]


def _ragged_getitem(rt_input: Any, key: Any) -> Any:
    return rt_input[key]


def _floor_div(x: Any, y: Any, name: str | None = None) -> Any:
    x, y = _pair(x, y)
    return x // y


def _shape(input: Any, name: str | None = None, out_type: Any = "int32") -> Any:
    return tf.shape(input, out_type=as_dtype(out_type))


def _transpose(a: Any, perm: Any = None, name: str = "transpose", conjugate: bool = False) -> Any:
    return tf.transpose(a, perm=perm, conjugate=conjugate)


_OPERATORS: dict[str, Callable[..., Any]] = {
    "__operators__.add": _add,
    "__operators__.eq": _equal,
    "__operators__.ne": _not_equal,
    "__operators__.getitem": _getitem,
    "__operators__.ragged_getitem": _ragged_getitem,
    "compat.v1.floor_div": _floor_div,
    "compat.v1.shape": _shape,
    "compat.v1.transpose": _transpose,
}
_MADE_FROM = {"shape": "compat.v1.shape", "transpose": "compat.v1.transpose"}
for _symbol, _function in _OPERATORS.items():
    _function.symbol = _symbol  # type: ignore[attr-defined]


def find_symbol(symbol: str) -> Any:
    """The function of a symbol such as `math.add`, `nn.relu`, `compat.v1.shape`, `keras.backend.mean`; None where there is none."""
    found = _OPERATORS.get(symbol)
    if found is None:
        found = public.find(symbol)
    if found is None and symbol.startswith("compat."):
        found = public.find(symbol.split(".", 2)[2])
    if found is None:
        target: Any = tf
        if symbol.startswith("keras."):
            from savedmodel import keras as target

            symbol = symbol[len("keras.") :]
        for part in symbol.split("."):
            target = getattr(target, part, None)
            if target is None:
                return None
        found = target
    return found


def symbol_of(function: Any) -> str | None:
    """The symbol under which configs name a function; None where it is not public."""
    own = getattr(function, "symbol", None)
    if own is not None:
        return own
    name = getattr(function, "public_name", None)
    if name is None:
        return None
    name = CANONICAL.get(name, name)
    return _MADE_FROM.get(name, name)


class _OpLayer(Layer):
    """What the layers of this module share: no casting of inputs, config only, no training or mask argument."""

    _must_restore_from_config = True

    def _finish(self) -> None:
        attributes = self.__dict__
        attributes["_preserve_input_structure_in_config"] = True


def _unique(name: str) -> str:
    return naming.unique_object_name(name, zero_based=True, avoid_observed_names=True)


class TFOpLambda(_OpLayer):
    """A layer that calls a public TensorFlow function.

    Args:
        function: the function. **kwargs: of `Layer`.
    """

    @no_automatic_dependency_tracking
    def __init__(self, function: Callable[..., Any], **kwargs: Any):
        self.function = function
        self.symbol = symbol_of(function)
        if "name" not in kwargs:
            kwargs["name"] = _unique(f"tf.{self.symbol}" if self.symbol else function.__name__)
        kwargs["autocast"] = False
        self.call = self._call_function
        super().__init__(**kwargs)
        self._call_spec = CallSpec(function)
        self._call_spec.expects_training_arg = False
        self._call_spec.expects_mask_arg = False
        self._finish()

    def _call_function(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("name", None)
        return self.function(*args, **kwargs)

    def _call_to_trace(self) -> Callable[..., Any]:
        return self.call

    def get_config(self) -> dict[str, Any]:
        if not self.symbol:
            raise InvalidArgumentError(
                f"This Keras op layer was generated from {self.function}, a method that is not publicly exposed in the TensorFlow API. To ensure "
                f"cross-version compatibility of Keras models that use op layers, only op layers produced from public TensorFlow API symbols "
                f"can be serialized."
            )
        return {**super().get_config(), "function": self.symbol}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        function = find_symbol(config["function"])
        if function is None:
            raise InvalidArgumentError(
                f"TF symbol `{config['function']}` could not be found: this function is not implemented here."
            )
        return cls(**{**config, "function": function})


class SlicingOpLambda(TFOpLambda):
    """A TFOpLambda whose arguments hold slices; in configs they are dicts."""

    def _call_function(self, *args: Any, **kwargs: Any) -> Any:
        def restore(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return tuple(_dict_to_slice(v) for v in value)
            return _dict_to_slice(value)

        return super()._call_function(*map(restore, args), **{k: restore(v) for k, v in kwargs.items()})


class ClassMethod(_OpLayer):
    """A layer that calls a class method of a public TensorFlow class, such as `tf.RaggedTensor.from_tensor`."""

    @no_automatic_dependency_tracking
    def __init__(self, cls_ref: Any, method_name: str, **kwargs: Any):
        self.cls_ref = cls_ref
        self.method_name = method_name
        self.cls_symbol = cls_ref.__name__ if public.find(cls_ref.__name__) is cls_ref else None
        if "name" not in kwargs:
            kwargs["name"] = _unique(f"tf.{self.cls_symbol}.{method_name}")
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        self._call_spec.expects_training_arg = False
        self._call_spec.expects_mask_arg = False
        self._finish()

    def call(self, args: Any, kwargs: Any) -> Any:  # type: ignore[override]
        return getattr(self.cls_ref, self.method_name)(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        if not self.cls_symbol:
            raise InvalidArgumentError(
                f"This Keras class method conversion tried to convert a method belonging to class {self.cls_ref}, a class that is not publicly "
                f"exposed in the TensorFlow API; only public symbols can be serialized."
            )
        return {**super().get_config(), "cls_symbol": self.cls_symbol, "method_name": self.method_name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        config = dict(config)
        symbol = config.pop("cls_symbol")
        found = public.find(symbol)
        if not inspect.isclass(found) or config["method_name"].startswith("_"):
            raise InvalidArgumentError(f"TensorFlow symbol `{symbol}` could not be found.")
        return cls(cls_ref=found, **config)


class InstanceProperty(_OpLayer):
    """A layer that reads a property of a composite Keras tensor, such as `ragged.flat_values`."""

    @no_automatic_dependency_tracking
    def __init__(self, attr_name: str, **kwargs: Any):
        self.attr_name = attr_name
        if attr_name.startswith("_"):
            raise InvalidArgumentError(f"InstanceProperty: expected the name of a public property or method, received {attr_name!r}")
        if "name" not in kwargs:
            kwargs["name"] = _unique(f"input.{attr_name}")
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        self._finish()

    def call(self, obj: Any) -> Any:  # type: ignore[override]
        return getattr(obj, self.attr_name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "attr_name": self.attr_name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        return cls(**config)


class InstanceMethod(InstanceProperty):
    """A layer that calls a method of a composite Keras tensor, such as `ragged.to_tensor()`."""

    def call(self, obj: Any, args: Any, kwargs: Any) -> Any:  # type: ignore[override]
        return getattr(obj, self.attr_name)(*args, **kwargs)


# -- dispatch --------------------------------------------------------------------------------------------------------


def apply_symbol(symbol: str, *args: Any, **kwargs: Any) -> Any:
    """Call the function of `symbol` as a layer on arguments that hold Keras tensors."""
    function = find_symbol(symbol)
    if function is None:
        raise InvalidArgumentError(f"TF symbol `{symbol}` could not be found: this function is not implemented here.")
    if symbol.endswith("getitem"):
        args = nest.map_structure(_slice_to_dict, args)
        return SlicingOpLambda(function)(*args, **kwargs)
    return TFOpLambda(function)(*args, **kwargs)


def _handle(name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not any(getattr(t, "_is_keras_tensor", False) for t in nest.flatten((args, kwargs))):
        return public.NOT_HANDLED
    symbol = symbol_of(function)
    if symbol in _OPERATORS:
        return apply_symbol(symbol, *args, **kwargs)
    return TFOpLambda(function)(*args, **kwargs)


def install() -> None:
    """Let public functions take Keras tensors: such a call becomes a layer."""
    if _handle not in public._DISPATCHERS:
        public.add_dispatcher(_handle, KerasTensor)
