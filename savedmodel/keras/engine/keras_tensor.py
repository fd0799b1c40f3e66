"""KerasTensor: the static type of what a layer will return, and the call that made it. It has no value and belongs to no graph.

Operators and methods on it become layers (`op_layers`), so that they are part of the functional model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tracer import dispatch
from tracer.composite import RaggedTensor, SparseTensor
from tracer.errors import InvalidArgumentError
from tracer.infer import constant_value_as_shape
from tracer.shapes import TensorShape, as_shape
from tracer.specs import RaggedTensorSpec, SparseTensorSpec, TensorSpec, TypeSpec, type_spec_from_value
from tracer.tensor import Reference, Tensor

__all__ = ["KerasHistory", "KerasTensor", "from_tensor", "is_keras_tensor", "to_placeholder"]

_MAX_RANK = 254


class KerasHistory(NamedTuple):
    """Where a Keras tensor comes from: output `tensor_index` of the `node_index`-th call of `layer`."""

    layer: Any
    node_index: int
    tensor_index: int


class KerasTensor:
    """A symbolic input or output of layers.

    Args:
        type_spec: its static type.
        inferred_value: for integer vectors and scalars that are shapes, what is known of the value (a list with None).
        name: of the tensor.
    """

    _is_keras_tensor = True
    _overrides_tensor_operators = True
    __array_priority__ = 100
    __array_ufunc__ = None
    _keras_history: KerasHistory
    _keras_mask: Any = None

    def __init__(self, type_spec: TypeSpec, inferred_value: Any = None, name: str | None = None):
        if not isinstance(type_spec, TypeSpec):
            raise InvalidArgumentError("KerasTensors must be constructed with a `tf.TypeSpec`.")
        self._spec = type_spec
        self._inferred_value = inferred_value
        self._name = name

    @property
    def type_spec(self) -> TypeSpec:
        return self._spec

    @property
    def shape(self) -> TensorShape:
        return self._spec.shape

    def get_shape(self) -> TensorShape:
        return self.shape

    @property
    def dtype(self) -> Any:
        return self._spec.dtype

    @property
    def ndim(self) -> int | None:
        return self.shape.rank

    @property
    def name(self) -> str | None:
        return self._name

    @property
    def is_tensor_like(self) -> bool:
        return True

    @property
    def node(self) -> Any:
        """The call that made the tensor."""
        history = getattr(self, "_keras_history", None)
        return None if history is None else history.layer.inbound_nodes[history.node_index]

    @property
    def op(self) -> Any:
        raise TypeError(
            "Keras symbolic inputs/outputs do not implement `op`. You may be trying to pass Keras symbolic inputs/outputs to a TF API that "
            "does not register dispatching, preventing Keras from automatically converting the API call to a lambda layer in the Functional "
            "Model."
        )

    def set_shape(self, shape: Any) -> None:
        """Merge what `shape` tells into the static shape."""
        shape = as_shape(shape)
        if not self.shape.is_compatible_with(shape):
            raise InvalidArgumentError(
                f"Keras symbolic input/output's shape {self.shape} is not compatible with supplied shape {shape}."
            )
        from savedmodel.keras.engine.base_layer import with_shape

        self._spec = with_shape(self._spec, self.shape.merge_with(shape))

    def ref(self) -> Reference:
        return Reference(self)

    def __hash__(self) -> int:
        raise TypeError(f"Tensors are unhashable (this tensor: {self}). Instead, use tensor.ref() as the key.")

    def __len__(self) -> int:
        raise TypeError(
            "Keras symbolic inputs/outputs do not implement `__len__`. You may be trying to pass Keras symbolic inputs/outputs to a TF API "
            "that does not register dispatching, preventing Keras from automatically converting the API call to a lambda layer in the "
            "Functional Model. This error will also get raised if you try asserting a symbolic input/output directly."
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError(
            f"You are passing {self}, an intermediate Keras symbolic input/output, to a TF API that does not allow registering custom "
            f"dispatchers, such as `tf.cond`, `tf.function`, gradient tapes, or `tf.map_fn`. Keras Functional model construction only "
            f"supports TF API calls that *do* support dispatching, such as `tf.math.add` or `tf.reshape`. Other APIs cannot be called "
            f"directly on symbolic Kerasinputs/outputs. You can work around this limitation by putting the operation in a custom Keras layer "
            f"`call` and calling that layer on this symbolic input/output."
        )

    def __iter__(self) -> Iterator[Any]:
        shape = self.shape
        if shape.rank is None:
            raise TypeError("Cannot iterate over a Tensor with unknown shape.")
        if not shape.rank:
            raise TypeError("Cannot iterate over a scalar.")
        if shape[0] is None:
            raise TypeError("Cannot iterate over a Tensor with unknown first dimension.")
        return (self[i] for i in range(shape[0]))

    def __getattr__(self, name: str) -> Any:
        owner = _COMPOSITES.get(type(self.__dict__.get("_spec")))
        if owner is not None and not name.startswith("_") and hasattr(owner, name):
            from savedmodel.keras.engine import op_layers

            if isinstance(getattr(owner, name), property):
                return op_layers.InstanceProperty(name)(self)
            return lambda *args, **kwargs: op_layers.InstanceMethod(name)(self, args, kwargs)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __deepcopy__(self, memo: Any) -> KerasTensor:
        return self

    def __str__(self) -> str:
        value = "" if self._inferred_value is None else f", inferred_value={self._inferred_value}"
        name = "" if self._name is None else f", name='{self._name}'"
        history = getattr(self, "_keras_history", None)
        maker = "" if history is None else f", description=\"created by layer '{history.layer.name}'\""
        return f"KerasTensor(type_spec={self._spec}{value}{name}{maker})"

    def __repr__(self) -> str:
        text = f"shape={self.shape} dtype={self.dtype.name}" if isinstance(self._spec, TensorSpec) else f"type_spec={self._spec}"
        value = "" if self._inferred_value is None else f" inferred_value={self._inferred_value}"
        history = getattr(self, "_keras_history", None)
        maker = "" if history is None else f" (created by layer '{history.layer.name}')"
        return f"<KerasTensor: {text}{value}{maker}>"


_COMPOSITES = {RaggedTensorSpec: RaggedTensor, SparseTensorSpec: SparseTensor}

# operator → symbol, and the name under which the second operand is passed (None: by position)
_BINARY = {
    "add": "__operators__.add", "sub": "math.subtract", "mul": "math.multiply", "truediv": "math.truediv",
    "floordiv": "compat.v1.floor_div", "mod": "math.floormod", "pow": "math.pow", "matmul": "linalg.matmul",
}  # fmt: skip
_LOGICAL = {"and": "math.logical_and", "or": "math.logical_or", "xor": "math.logical_xor"}
_COMPARE = {"lt": "math.less", "le": "math.less_equal", "gt": "math.greater", "ge": "math.greater_equal"}
_UNARY = {"neg": "math.negative", "abs": "math.abs"}


def _apply(symbol: str, *args: Any, **kwargs: Any) -> Any:
    from savedmodel.keras.engine import op_layers

    return op_layers.apply_symbol(symbol, *args, **kwargs)


def _as_left(value: Any, like: KerasTensor) -> Any:
    from tracer.tensor import convert_to_tensor

    return value if getattr(value, "_is_keras_tensor", False) else convert_to_tensor(value, dtype_hint=like.dtype)


def _binary(symbol: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def method(self: Any, other: Any) -> Any:
        return _apply(symbol, self, other, name=None)

    def reflected(self: Any, other: Any) -> Any:
        return _apply(symbol, _as_left(other, self), self, name=None)

    return method, reflected


def _add_operators() -> None:
    for name, symbol in {**_BINARY, **_LOGICAL}.items():
        method, reflected = _binary(symbol)
        setattr(KerasTensor, f"__{name}__", method)
        setattr(KerasTensor, f"__r{name}__", reflected)
    for name, symbol in _COMPARE.items():
        setattr(KerasTensor, f"__{name}__", _binary(symbol)[0])
    for name in ("eq", "ne"):
        setattr(KerasTensor, f"__{name}__", _comparison(f"__operators__.{name}", name == "ne"))
    for name, symbol in _UNARY.items():
        setattr(KerasTensor, f"__{name}__", _unary(symbol))
    KerasTensor.__invert__ = lambda self: _apply(  # type: ignore[attr-defined]
        "math.logical_not" if self.dtype.kind == "b" else "bitwise.invert", self, name=None
    )
    KerasTensor.__getitem__ = lambda self, key: _apply("__operators__.getitem", self, key)  # type: ignore[attr-defined]


def _comparison(symbol: str, different: bool) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        return different if other is None else _apply(symbol, self, other)

    return method


def _unary(symbol: str) -> Callable[..., Any]:
    def method(self: Any) -> Any:
        return _apply(symbol, self) if symbol == "math.abs" else _apply(symbol, self, name=None)

    return method


_add_operators()


def is_keras_tensor(value: Any) -> bool:
    """Whether `value` is a symbolic Keras input or output."""
    return getattr(value, "_is_keras_tensor", False)


def from_tensor(tensor: Any) -> KerasTensor:
    """The Keras tensor of a tensor made while a layer's output is inferred."""
    inferred = None
    spec = type_spec_from_value(tensor)
    if isinstance(tensor, Tensor):
        spec = TensorSpec(spec.shape, spec.dtype)
        if tensor.dtype.name == "int32" and tensor.shape.rank in (0, 1):
            inferred = _known_shape(tensor)
    out = KerasTensor(spec, inferred, getattr(tensor, "name", None) if isinstance(tensor, Tensor) and not hasattr(tensor, "_value") else None)
    mask = getattr(tensor, "_keras_mask", None)
    if mask is not None:
        out._keras_mask = from_tensor(mask)
    return out


def _known_shape(tensor: Any) -> list[int | None] | None:
    """What is known of an integer vector or scalar that may be (part of) a shape."""
    try:
        if tensor.shape.rank == 0:
            tensor = dispatch.call("Pack", [tensor])
        shape = constant_value_as_shape(tensor)
    except (TypeError, ValueError):
        return None
    if shape.rank is None or not shape.rank or shape.rank > _MAX_RANK or (all(d is None for d in shape.as_list()) and tensor.shape[0] is None):
        return None
    return shape.as_list()


def to_placeholder(value: Any, graph: Any) -> Any:
    """A placeholder of `graph` for a Keras tensor (its mask too); anything else as it is."""
    if not is_keras_tensor(value):
        return value
    spec = value.type_spec
    inferred = value._inferred_value
    if inferred is not None and isinstance(spec, TensorSpec):
        known = graph.placeholder(spec.dtype, TensorShape(inferred))
        shape = dispatch.call("Shape", known, out_type=spec.dtype)
        return shape[0] if spec.shape.rank == 0 else shape
    if isinstance(spec, TensorSpec):
        return graph.placeholder(spec.dtype, spec.shape)
    return spec.from_components([graph.placeholder(c.dtype, c.shape) for c in spec.component_specs])
