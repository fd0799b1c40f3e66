"""Tensors: EagerTensor holds a value, SymbolicTensor is a slot of a graph; both have the same operators. It refuses to know ops.

Operators call ops by name through `tracer.dispatch`. Conversion of Python and NumPy values to tensors lives here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, specs
from tracer.dtypes import DType, as_dtype
from tracer.errors import DTypeError, InvalidArgumentError, OutOfRangeError, ShapeError, SymbolicTensorError
from tracer.ir.graph import Tensor as _Slot
from tracer.shapes import TensorShape, from_array_shape

__all__ = [
    "EagerTensor",
    "SymbolicTensor",
    "Tensor",
    "constant",
    "convert_to_tensor",
    "is_tensor",
    "register_conversion",
]


def _operator(name: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        try:
            return _binary(name, self, other)
        except NotATensorError:
            return NotImplemented

    return method


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        return _binary(name, convert_to_tensor(other, dtype_hint(self, other)), self)

    return method


class NotATensorError(DTypeError):
    """The other operand cannot become a tensor: Python may try its reflected operator."""


def dtype_hint(like: Any, other: Any) -> DType | None:
    """The dtype that a bare Python or NumPy operand takes beside tensor `like`."""
    return None if isinstance(other, Tensor) else like.dtype.base_dtype


def _binary(name: str, x: Any, y: Any) -> Any:
    if not isinstance(y, Tensor):
        if getattr(type(y), "_overrides_tensor_operators", False):
            raise NotATensorError(f"operand of {type(y).__name__} handles the operator itself")
        y = convert_to_tensor(y, x.dtype.base_dtype)
    if x.dtype is not y.dtype and x.dtype.base_dtype != y.dtype.base_dtype:
        raise DTypeError(
            f"cannot compute {name} as input #1(zero-based) was expected to be a {x.dtype.base_dtype.name} tensor "
            f"but is a {y.dtype.base_dtype.name} tensor; cast one of them with tf.cast"
        )
    if name == "Div":  # tf.Tensor's `/`: integers divide as floats
        return _true_divide(x, y)
    if name == "AddV2" and x.dtype.kind == "s":  # AddV2 has no strings
        name = "Add"
    if x.dtype.kind == "b" and name in _LOGICAL:
        name = _LOGICAL[name]
    return dispatch.call(name, x, y)


_LOGICAL = {"BitwiseAnd": "LogicalAnd", "BitwiseOr": "LogicalOr", "BitwiseXor": "NotEqual"}


def _true_divide(x: Any, y: Any) -> Any:
    dtype = x.dtype.base_dtype
    if dtype.is_integer:
        wide = dtypes.float32 if dtype.size < 4 else dtypes.float64
        x, y = dispatch.call("Cast", x, DstT=wide), dispatch.call("Cast", y, DstT=wide)
    return dispatch.call("RealDiv", x, y)


class Tensor:
    """What eager and symbolic tensors share: a dtype, a static shape, and operators that call ops."""

    __slots__ = ()
    __array_priority__ = 100
    dtype: DType
    shape: TensorShape

    def get_shape(self) -> TensorShape:
        return self.shape

    @property
    def ndim(self) -> int | None:
        return self.shape.rank

    @property
    def op(self) -> Any:
        raise AttributeError("an eager tensor has no op: it was not made by a graph")

    @property
    def _type_spec_plain(self) -> specs.TensorSpec:
        return specs.TensorSpec(self.shape, self.dtype)

    __add__ = _operator("AddV2")
    __radd__ = _reflected("AddV2")
    __sub__ = _operator("Sub")
    __rsub__ = _reflected("Sub")
    __mul__ = _operator("Mul")
    __rmul__ = _reflected("Mul")
    __truediv__ = _operator("Div")
    __rtruediv__ = _reflected("Div")
    __floordiv__ = _operator("FloorDiv")
    __rfloordiv__ = _reflected("FloorDiv")
    __mod__ = _operator("FloorMod")
    __rmod__ = _reflected("FloorMod")
    __pow__ = _operator("Pow")
    __rpow__ = _reflected("Pow")
    __and__ = _operator("BitwiseAnd")
    __rand__ = _reflected("BitwiseAnd")
    __or__ = _operator("BitwiseOr")
    __ror__ = _reflected("BitwiseOr")
    __xor__ = _operator("BitwiseXor")
    __rxor__ = _reflected("BitwiseXor")
    __lt__ = _operator("Less")
    __le__ = _operator("LessEqual")
    __gt__ = _operator("Greater")
    __ge__ = _operator("GreaterEqual")

    def __matmul__(self, other: Any) -> Any:
        return _matmul(self, convert_to_tensor(other, dtype_hint(self, other)))

    def __rmatmul__(self, other: Any) -> Any:
        return _matmul(convert_to_tensor(other, dtype_hint(self, other)), self)

    def __neg__(self) -> Any:
        return dispatch.call("Neg", self)

    def __abs__(self) -> Any:
        if self.dtype.is_complex:
            return dispatch.call("ComplexAbs", self, Tout=self.dtype.real_dtype)
        return dispatch.call("Abs", self)

    def __invert__(self) -> Any:
        return dispatch.call("LogicalNot" if self.dtype.kind == "b" else "Invert", self)

    def __eq__(self, other: Any) -> Any:
        return _compare("Equal", self, other)

    def __ne__(self, other: Any) -> Any:
        return _compare("NotEqual", self, other)

    def __hash__(self) -> int:
        raise TypeError("Tensor is unhashable. Instead, use tensor.ref() as the key.")

    def ref(self) -> Reference:
        """A hashable stand-in that compares by identity."""
        return Reference(self)

    def __getitem__(self, key: Any) -> Any:
        return strided_slice_of(self, key)

    def __iter__(self) -> Any:
        if self.shape.rank == 0:
            raise TypeError("iterating over a scalar tensor: expected a tensor of rank >= 1")
        if self.shape.rank is None or self.shape[0] is None:
            raise SymbolicTensorError(
                "iterating over a symbolic tensor whose first dimension is unknown: use tf.map_fn, tf.while_loop or a "
                "`for` inside a tf.function with autograph (which needs `pip install savedmodel[autograph]`)"
            )
        return iter([self[i] for i in range(self.shape[0])])


def _matmul(x: Any, y: Any) -> Any:
    from tracer.public import tf

    return tf.matmul(x, y)


def _compare(name: str, x: Any, y: Any) -> Any:
    if y is None:
        return name == "NotEqual"
    try:
        y = convert_to_tensor(y, dtype_hint(x, y))
    except (TypeError, ValueError):
        return name == "NotEqual"
    if x.dtype.base_dtype != y.dtype.base_dtype:
        raise DTypeError(f"cannot compare {x.dtype.name} with {y.dtype.name}; cast one of them with tf.cast")
    return dispatch.call(name, x, y, incompatible_shape_error=False)


class Reference:
    """Identity of a tensor or variable, usable as a dictionary key."""

    __slots__ = ("_referent",)

    def __init__(self, referent: Any):
        self._referent = referent

    def deref(self) -> Any:
        return self._referent

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._referent is other._referent

    def __hash__(self) -> int:
        return id(self._referent)

    def __repr__(self) -> str:
        return f"<Reference to {self._referent!r}>"


class EagerTensor(Tensor):
    """A tensor that has its value: an ndarray, or the plain Python object of a resource or scalar variant."""

    __slots__ = ("__weakref__", "_keras_logits", "_keras_mask", "_shape", "_value", "dtype", "handle_data")

    def __init__(self, value: Any, dtype: DType):
        self._value = value
        self.dtype = dtype
        self._shape: TensorShape | None = None
        self.handle_data: Any = None

    @property
    def shape(self) -> TensorShape:  # type: ignore[override]
        if self._shape is None:
            value = self._value
            self._shape = from_array_shape(value.shape) if isinstance(value, np.ndarray) else TensorShape([])
        return self._shape

    @property
    def device(self) -> str:
        return "/job:localhost/replica:0/task:0/device:CPU:0"

    def numpy(self) -> Any:
        """The value as an array of its own; strings as bytes; a scalar as a NumPy scalar."""
        value = self._value
        if not isinstance(value, np.ndarray):
            raise DTypeError(f"a tensor of dtype {self.dtype.name} has no NumPy value")
        if value.ndim == 0:
            return value[()]
        return value.copy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        value = self._value
        if not isinstance(value, np.ndarray):
            raise DTypeError(f"a tensor of dtype {self.dtype.name} has no NumPy value")
        if dtype is not None and value.dtype != dtype:
            return value.astype(dtype)
        return value.copy() if copy or copy is None else value

    def _scalar(self, what: str) -> Any:
        value = self._value
        if value.size != 1:
            raise TypeError(f"only tensors with one element convert to {what}, received shape {self.shape}")
        return value.reshape(())[()]

    def __bool__(self) -> bool:
        value = self._value
        if not isinstance(value, np.ndarray):
            raise TypeError(f"a tensor of dtype {self.dtype.name} has no truth value")
        if value.size != 1:
            raise InvalidArgumentError(
                "The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()"
            )
        return bool(value.reshape(())[()])

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def __float__(self) -> float:
        return float(self._scalar("float"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex"))

    def __index__(self) -> int:
        value = self._scalar("an index")
        if not self.dtype.is_integer:
            raise TypeError(f"only integer tensors serve as an index, received {self.dtype.name}")
        return int(value)

    def __round__(self, ndigits: int = 0) -> Any:
        return round(self._scalar("a rounded number"), ndigits)

    def __len__(self) -> int:
        if self.shape.rank == 0:
            raise TypeError("Scalar tensor has no `len()`")
        return int(self.shape[0])  # type: ignore[arg-type]

    def __format__(self, spec: str) -> str:
        return format(self.numpy(), spec) if self.shape.rank == 0 else format(str(self), spec)

    def __iter__(self) -> Any:
        if self.shape.rank == 0:
            raise TypeError("Cannot iterate over a scalar tensor.")
        return iter([self[i] for i in range(len(self))])

    def __copy__(self) -> EagerTensor:
        return self

    def __deepcopy__(self, memo: Any) -> EagerTensor:
        return self

    def __reduce__(self) -> Any:
        return convert_to_tensor, (self._value, self.dtype.name)

    def set_shape(self, shape: Any) -> None:
        if not self.shape.is_compatible_with(shape):
            raise ShapeError(f"Tensor's shape {self.shape} is not compatible with supplied shape {shape}.")

    @property
    def is_eager(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<tf.Tensor: shape={self.shape}, dtype={self.dtype.name}, numpy={_text(self, True)}>"

    def __str__(self) -> str:
        return f"tf.Tensor({_text(self, False)}, shape={self.shape}, dtype={self.dtype.name})"


def _text(t: EagerTensor, is_repr: bool) -> str:
    value = t._value
    if not isinstance(value, np.ndarray):
        return "<unprintable>"
    if value.ndim == 0:
        return repr(value[()]) if t.dtype.kind in "sb" or (is_repr is False and t.dtype.kind == "s") else str(value[()])
    return repr(value) if is_repr else str(value)


class SymbolicTensor(_Slot, Tensor):  # type: ignore[misc]
    """A tensor of a graph that is being traced: no value, the same operators."""

    __slots__ = ("_keras_history", "_keras_logits", "_keras_mask")

    @property
    def op(self) -> Any:
        return self.node

    @property
    def device(self) -> str:
        return self.node.device

    def numpy(self) -> Any:
        raise SymbolicTensorError(
            f"{self.name}: numpy() needs a value, and a symbolic tensor has none while a function is traced. "
            f"Compute with TensorFlow ops, or return the tensor."
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise SymbolicTensorError(
            f"Cannot convert a symbolic tf.Tensor ({self.name}) to a numpy array. This error may indicate that you're trying "
            f"to pass a Tensor to a NumPy call, which is not supported."
        )

    def __bool__(self) -> bool:
        raise SymbolicTensorError(
            f"Using a symbolic `tf.Tensor` ({self.name}) as a Python `bool` is not allowed: its value is unknown while tracing. "
            f"Use tf.cond, or a plain `if` inside a tf.function with autograph (which needs `pip install savedmodel[autograph]`)."
        )

    def __len__(self) -> int:
        raise SymbolicTensorError(f"len is not well defined for a symbolic Tensor ({self.name}). Use `tf.shape(x)[0]`.")

    def __int__(self) -> int:
        raise SymbolicTensorError(f"{self.name}: int() needs a value; a symbolic tensor has none while tracing")

    __index__ = __int__

    def __float__(self) -> float:
        raise SymbolicTensorError(f"{self.name}: float() needs a value; a symbolic tensor has none while tracing")

    @property
    def is_eager(self) -> bool:
        return False

    __eq__ = Tensor.__eq__
    __ne__ = Tensor.__ne__
    __hash__ = Tensor.__hash__

    def __copy__(self) -> SymbolicTensor:
        return self

    def __deepcopy__(self, memo: Any) -> SymbolicTensor:
        return self

    def __repr__(self) -> str:
        return f"<tf.Tensor {self.name!r} shape={self.shape} dtype={self.dtype.name}>"

    def __str__(self) -> str:
        return f"Tensor({self.name!r}, shape={self.shape}, dtype={self.dtype.name})"


# -- slicing ---------------------------------------------------------------------------------------------------------


def strided_slice_of(x: Any, key: Any) -> Any:
    """`x[key]` with Python's slicing: integers, slices, Ellipsis, newaxis, tensors as bounds, a boolean mask."""
    items = key if isinstance(key, tuple) else (key,)
    if not isinstance(key, (tuple, slice, int)) and getattr(key, "dtype", None) is not None:
        if as_dtype(key.dtype) == dtypes.bool and len(np.shape(key) if isinstance(key, np.ndarray) else key.shape) > 0:
            from tracer.public import tf

            return tf.boolean_mask(x, key)
    if isinstance(key, list):
        items = tuple(key)
    begin: list[Any] = []
    end: list[Any] = []
    strides: list[Any] = []
    masks = dict.fromkeys(("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"), 0)
    for i, item in enumerate(items):
        bit = 1 << i
        if isinstance(item, slice):
            begin.append(0 if item.start is None else _bound(item.start))
            end.append(0 if item.stop is None else _bound(item.stop))
            strides.append(1 if item.step is None else _bound(item.step))
            if item.start is None:
                masks["begin_mask"] |= bit
            if item.stop is None:
                masks["end_mask"] |= bit
        elif item is Ellipsis:
            begin.append(0)
            end.append(0)
            strides.append(1)
            masks["ellipsis_mask"] |= bit
        elif item is None:
            begin.append(0)
            end.append(0)
            strides.append(1)
            masks["new_axis_mask"] |= bit
        else:
            number = _bound(item)
            begin.append(number)
            end.append(number + 1)
            strides.append(1)
            masks["shrink_axis_mask"] |= bit
    if isinstance(x, EagerTensor) and all(isinstance(b, int) for b in begin):
        _check_bounds(x, items)
    wide = any(getattr(b, "dtype", None) == dtypes.int64 for b in (*begin, *end, *strides))
    index = dtypes.int64 if wide else dtypes.int32
    return dispatch.call(
        "StridedSlice", x, _pack_bounds(begin, index), _pack_bounds(end, index), _pack_bounds(strides, index), **masks
    )


def _check_bounds(x: EagerTensor, items: tuple[Any, ...]) -> None:
    axis = 0
    for item in items:
        if item is Ellipsis:
            return
        if item is None:
            continue
        if not isinstance(item, slice) and axis < len(x.shape):
            number, size = int(item), x.shape[axis]
            if not -size <= number < size:
                raise OutOfRangeError(f"slice index {number} of dimension {axis} out of bounds: the size is {size}")
        axis += 1


def _bound(value: Any) -> Any:
    if isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, EagerTensor) and value.dtype.is_integer and value.shape.rank == 0:
        return int(value)
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iu":
        return int(value)
    converted = value if isinstance(value, Tensor) else getattr(value, "value", lambda: value)()
    if isinstance(converted, Tensor) and converted.dtype.is_integer:
        return int(converted) if isinstance(converted, EagerTensor) else converted
    raise TypeError(
        f"Only integers, slices (`:`), ellipsis (`...`), tf.newaxis (`None`) and scalar tf.int32/tf.int64 tensors are valid "
        f"indices, got {value!r}"
    )


def _pack_bounds(bounds: Sequence[Any], dtype: DType) -> Any:
    if all(isinstance(b, int) for b in bounds):
        return convert_to_tensor(np.array(bounds, dtype.numpy).reshape(len(bounds)))
    parts = []
    for b in bounds:
        t = convert_to_tensor(b, dtype) if isinstance(b, int) else b
        parts.append(dispatch.call("Cast", t, DstT=dtype) if t.dtype != dtype else t)
    return dispatch.call("Pack", parts)


# -- conversion ------------------------------------------------------------------------------------------------------

_CONVERSIONS: list[tuple[type, Callable[[Any, DType | None], Any]]] = []


def register_conversion(kind: type, convert: Callable[[Any, DType | None], Any]) -> None:
    """Tell how values of `kind` become tensors: `convert(value, dtype or None)`."""
    _CONVERSIONS.append((kind, convert))


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor, a variable or a composite tensor."""
    return isinstance(value, Tensor) or hasattr(value, "_type_spec") or getattr(value, "_is_variable", False)


def make_eager(value: Any, dtype: DType) -> EagerTensor:
    """An EagerTensor that takes over a kernel's result without a copy."""
    kind = dtype.kind
    if kind == "r" or (kind == "v" and not isinstance(value, np.ndarray)):
        return EagerTensor(value, dtype)
    if type(value) is not np.ndarray:
        if kind == "s" and isinstance(value, bytes):
            array = np.empty((), object)
            array[()] = value
            return EagerTensor(array, dtype)
        value = np.asarray(value, dtype.numpy)
    if value.dtype != dtype.numpy:
        value = value.astype(dtype.numpy)
    return EagerTensor(value, dtype)


def dtype_of_array(array: Any) -> DType:
    """The DType of a NumPy array or scalar."""
    if array.dtype == object:
        return dtypes.string
    return as_dtype(array.dtype)


def convert_to_tensor(value: Any, dtype: Any = None, name: str | None = None, dtype_hint: Any = None) -> Any:
    """`value` as a tensor: eager, or a constant of the graph being traced.

    Args:
        value: tensor, variable, NumPy array, Python scalar, or nested list of these.
        dtype: required element type; a tensor of another dtype is refused, Python and NumPy values are converted where
            that loses nothing.
        dtype_hint: preferred element type, dropped where it does not fit.

    Raises:
        TypeError, ValueError: no tensor can be made of it.
    """
    if type(value) is EagerTensor or isinstance(value, Tensor):
        if dtype is not None and value.dtype.base_dtype != as_dtype(dtype).base_dtype:
            raise InvalidArgumentError(
                f"Tensor conversion requested dtype {as_dtype(dtype).name} for Tensor with dtype {value.dtype.name}: {value!r}"
            )
        return value
    wanted = None if dtype is None else as_dtype(dtype)
    if dtype_hint is not None and wanted is None:
        try:
            return convert_to_tensor(value, dtype_hint, name)
        except (TypeError, ValueError):
            pass
    for kind, convert in _CONVERSIONS:
        if isinstance(value, kind):
            return convert(value, wanted)
    if isinstance(value, (list, tuple)) and _holds_tensors(value):
        return _pack(value, wanted)
    array, found = array_of(value, wanted)
    return from_array(array, found, name)


def from_array(array: Any, dtype: DType, name: str | None = None) -> Any:
    """A tensor that owns `array`: eager, or a Const node while tracing."""
    graph = dispatch.context.graph
    if graph is None:
        return EagerTensor(array, dtype)
    return graph.constant(array, dtype, name)


def _holds_tensors(value: Any) -> bool:
    for v in value:
        if isinstance(v, (list, tuple)):
            if _holds_tensors(v):
                return True
        elif isinstance(v, Tensor) or any(isinstance(v, kind) for kind, _ in _CONVERSIONS):
            return True
    return False


def _first_dtype(value: Any) -> DType | None:
    for v in value:
        found = _first_dtype(v) if isinstance(v, (list, tuple)) else getattr(v, "dtype", None)
        if isinstance(found, DType):
            return found.base_dtype
    return None


def _pack(value: Any, dtype: DType | None) -> Any:
    dtype = dtype or _first_dtype(value)
    return dispatch.call("Pack", [_pack(v, dtype) if isinstance(v, (list, tuple)) and _holds_tensors(v) else convert_to_tensor(v, dtype) for v in value])


def array_of(value: Any, dtype: DType | None) -> tuple[Any, DType]:
    """A fresh array for a Python or NumPy value, and its DType, by TensorFlow's rules for Python numbers."""
    if value is None:
        raise InvalidArgumentError("Attempt to convert a value (None) with an unsupported type (<class 'NoneType'>) to a Tensor.")
    if isinstance(value, (np.ndarray, np.generic)):
        return _from_numpy(np.asarray(value), dtype)
    if isinstance(value, TensorShape):
        if not value.is_fully_defined():
            raise InvalidArgumentError(f"Cannot convert a partially known TensorShape {value} to a Tensor.")
        return np.array(value.as_list(), (dtype or dtypes.int32).numpy), dtype or dtypes.int32
    if isinstance(value, DType):
        return np.array(value.number, np.int32), dtypes.int32
    if not isinstance(value, (bool, int, float, complex, str, bytes, list, tuple, range)):
        if isinstance(value, memoryview) or hasattr(value, "__array__"):
            return _from_numpy(np.asarray(value), dtype)
        raise InvalidArgumentError(
            f"Attempt to convert a value ({value!r}) with an unsupported type ({type(value)}) to a Tensor."
        )
    return _from_python(value, dtype)


def _from_numpy(array: np.ndarray, dtype: DType | None) -> tuple[np.ndarray, DType]:
    if array.dtype.kind in "SU" or array.dtype == object:
        return _strings(array), _check_string(dtype)
    own = as_dtype(array.dtype)
    if dtype is None or dtype == own:
        return np.array(array, own.numpy, order="C"), own
    if dtype.kind == "q" and own.numpy == dtype.numpy:
        return np.array(array, order="C"), dtype
    if dtype.kind in "srv":
        raise DTypeError(f"Cannot convert an array of {own.name} to {dtype.name}")
    if (own.kind == "c" and dtype.kind != "c") or (own.kind == "f" and dtype.kind in "iu" and not _integral(array)):
        raise DTypeError(f"Cannot convert an array of {own.name} to {dtype.name} without loss; cast it first")
    if dtype.kind == "b" and own.kind != "b":
        raise DTypeError(f"Cannot convert an array of {own.name} to bool; cast it first")
    return array.astype(dtype.numpy), dtype


def _integral(array: np.ndarray) -> bool:
    return False


def _check_string(dtype: DType | None) -> DType:
    if dtype not in (None, dtypes.string):
        raise DTypeError(f"Cannot convert strings to {dtype.name}")  # type: ignore[union-attr]
    return dtypes.string


def _strings(array: np.ndarray) -> np.ndarray:
    out = np.empty(array.shape, object)
    flat_out, flat_in = out.reshape(-1), array.reshape(-1)
    for i, item in enumerate(flat_in):
        if isinstance(item, str):
            flat_out[i] = item.encode("utf-8")
        elif isinstance(item, bytes):
            flat_out[i] = bytes(item)
        else:
            raise DTypeError(f"Failed to convert a NumPy array to a Tensor (Unsupported object type {type(item).__name__}).")
    return out


def _leaf_kinds(value: Any, found: set[str], depth: int = 0) -> None:
    if isinstance(value, (list, tuple, range)):
        if depth > 64:
            raise InvalidArgumentError("nested lists are too deep for a tensor: more than 64 levels")
        for v in value:
            _leaf_kinds(v, found, depth + 1)
    elif isinstance(value, (bool, np.bool_)):
        found.add("b")
    elif isinstance(value, (np.ndarray, np.generic)):
        found.add("numpy")
    elif isinstance(value, int):
        found.add("i")
    elif isinstance(value, float):
        found.add("f")
    elif isinstance(value, complex):
        found.add("c")
    elif isinstance(value, (str, bytes)):
        found.add("s")
    elif value is None:
        found.add("none")
    else:
        found.add("numpy" if hasattr(value, "__array__") else "other")


def _from_python(value: Any, dtype: DType | None) -> tuple[np.ndarray, DType]:
    kinds: set[str] = set()
    _leaf_kinds(value, kinds)
    if "none" in kinds or "other" in kinds:
        raise InvalidArgumentError(f"Attempt to convert a value ({value!r}) with an unsupported type to a Tensor.")
    if "s" in kinds:
        if len(kinds) > 1:
            raise DTypeError("Can't convert Python sequence with mixed types to Tensor.")
        if isinstance(value, (str, bytes)):
            out = np.empty((), object)
            out[()] = value.encode("utf-8") if isinstance(value, str) else value
            return out, _check_string(dtype)
        array = np.array(value, dtype=object)
        if any(isinstance(v, (list, tuple)) for v in array.reshape(-1)):
            raise InvalidArgumentError("Can't convert non-rectangular Python sequence to Tensor.")
        return _strings(array), _check_string(dtype)
    if "numpy" in kinds:
        try:
            array = np.asarray(value)
        except ValueError:
            raise InvalidArgumentError("Can't convert non-rectangular Python sequence to Tensor.") from None
        return _from_numpy(array, dtype)
    if dtype is None:
        target = _default_dtype(value, kinds)
    else:
        target = dtype
        if target.kind in "srv":
            raise DTypeError(f"Cannot convert {value!r} to EagerTensor of dtype {target.name}")
        if ("c" in kinds and target.kind != "c") or ("f" in kinds and target.kind not in "fc"):
            raise DTypeError(f"Cannot convert {value!r} to EagerTensor of dtype {target.name}")
        if ("b" in kinds and target.kind != "b") or (target.kind == "b" and kinds - {"b"}):
            raise DTypeError(f"Cannot convert {value!r} to EagerTensor of dtype {target.name}")
    try:
        if (target.kind in "iu" and target.size < 8) or target.kind == "q":
            wide = np.array(value, dtype=np.int64 if kinds else target.numpy)
            limits = target.min, target.max
            if wide.size and (wide.min() < limits[0] or wide.max() > limits[1]):
                raise InvalidArgumentError(f"Cannot convert {value!r} to EagerTensor of dtype {target.name}: out of range {limits}")
            return wide.astype(target.numpy), target
        if target.numpy.kind == "V" or target.name in ("bfloat16", "float16"):
            return np.array(value, dtype=np.float32).astype(target.numpy), target
        return np.array(value, dtype=target.numpy), target
    except OverflowError:
        raise InvalidArgumentError(f"Cannot convert {value!r} to EagerTensor of dtype {target.name}: out of range") from None
    except ValueError as error:
        if isinstance(error, InvalidArgumentError):
            raise
        raise InvalidArgumentError("Can't convert non-rectangular Python sequence to Tensor.") from None


def _default_dtype(value: Any, kinds: set[str]) -> DType:
    if "c" in kinds:
        return dtypes.complex128
    if "f" in kinds or not kinds:
        if "b" in kinds:
            raise InvalidArgumentError("Can't convert Python sequence with mixed types to Tensor.")
        return dtypes.float32
    if kinds == {"b"}:
        return dtypes.bool
    if "b" in kinds:
        raise InvalidArgumentError("Can't convert Python sequence with mixed types to Tensor.")
    if isinstance(value, int):
        return dtypes.int32 if -(2**31) <= value < 2**31 else dtypes.int64
    array = np.array(value, dtype=object)
    flat = [v for v in array.reshape(-1) if isinstance(v, int)]
    return dtypes.int32 if all(-(2**31) <= v < 2**31 for v in flat) else dtypes.int64


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = "Const") -> Any:
    """A constant tensor. A given `shape` reshapes the value, or fills with it where it is a single element.

    Raises:
        TypeError: the number of elements does not fit `shape`.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(value, Tensor):
        if isinstance(value, EagerTensor):
            value = value._value
        else:
            raise DTypeError("tf.constant takes values, received a symbolic tensor; use tf.convert_to_tensor or tf.identity")
    array, found = array_of(value, wanted)
    if shape is not None:
        dims = TensorShape(shape).as_list()
        count = int(np.prod(dims, dtype=np.int64)) if dims else 1
        if array.size == count:
            array = array.reshape(dims)
        elif array.size == 1:
            array = np.full(dims, array.reshape(())[()], dtype=array.dtype)
        else:
            raise DTypeError(f"Eager execution of tf.constant with unsupported shape. Tensor {array!r} (converted from {value!r}) has {array.size} elements, but got `shape` {dims} with {count} elements).")
    return from_array(array, found, name)
