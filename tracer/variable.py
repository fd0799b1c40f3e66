"""Variables: a handle with a dtype, shape and name, and the value behind it. Reads and writes are ops; it knows no file."""

from __future__ import annotations

import enum
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, specs, tape
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, ShapeError, UninitializedError
from tracer.shapes import TensorShape, as_shape
from tracer.tensor import EagerTensor, Reference, Tensor, convert_to_tensor, register_conversion

__all__ = ["Variable", "VariableAggregation", "VariableResource", "VariableSynchronization"]


class VariableSynchronization(enum.Enum):
    """When copies of a distributed variable are joined; kept for the format."""

    AUTO = 0
    NONE = 1
    ON_WRITE = 2
    ON_READ = 3


class VariableAggregation(enum.Enum):
    """How copies of a distributed variable are joined; kept for the format."""

    NONE = 0
    SUM = 1
    MEAN = 2
    ONLY_FIRST_REPLICA = 3


class VariableResource:
    """The object behind a variable's handle.

    The value is an array that is never written in place, so readers may keep it; or a loader, called at the first read.
    """

    __slots__ = ("__weakref__", "_load", "_value", "dtype", "name", "owner", "shape", "writes")

    def __init__(self, dtype: Any, shape: Any, name: str = ""):
        self.dtype = as_dtype(dtype)
        self.shape = as_shape(shape)
        self.name = name
        self.owner: Callable[[], Any] = lambda: None  # weak reference to the Variable
        self.writes = 0  # counts writes: a plan that folded the value in can tell that it changed
        self._value: Any = None
        self._load: Callable[[], Any] | None = None

    @property
    def is_initialized(self) -> bool:
        return self._value is not None or self._load is not None

    def set_loader(self, load: Callable[[], Any]) -> None:
        """Let `load()` give the value when it is first read."""
        self._value, self._load = None, load
        self.writes += 1

    def read(self) -> Any:
        """The value. Raises UninitializedError when nothing was ever written."""
        value = self._value
        if value is None:
            if self._load is None:
                raise UninitializedError(
                    f"Could not find variable {self.name}. This could mean that the variable has been deleted or was never "
                    f"initialized: assign a value first, or run the initialiser."
                )
            value = self._value = self._load()
            self._load = None
        return value

    def write(self, value: Any) -> None:
        """Replace the value; the array is taken over."""
        self._value = value
        self._load = None
        self.writes += 1

    def __repr__(self) -> str:
        return f"<VariableResource {self.name!r} {self.dtype.name} {self.shape}>"


def make_handle(resource: Any, dtype: Any, shape: Any) -> EagerTensor:
    """An eager resource tensor for `resource`."""
    handle = EagerTensor(resource, dtypes.resource)
    handle.handle_data = [(as_dtype(dtype), as_shape(shape))]
    return handle


def _operator(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any) -> Any:
        return getattr(self.value(), name)(*args)

    method.__name__ = name
    return method


class Variable:
    """A tensor-valued state that functions read and write.

    Args:
        initial_value: tensor, array, Python value, or a callable that returns one.
        trainable: whether tapes watch it (None: yes for floats unless the synchronization is ON_READ).
        shape: a static shape more general than the initial value's.
        dtype, name: as given; the name gets `:0`.
        constraint: applied by optimizers after each update.

    Raises:
        ValueError: no initial value; or `initial_value` does not fit `shape`.
    """

    _is_variable = True
    __array_priority__ = 100
    def __init__(
        self, initial_value: Any = None, trainable: bool | None = None, validate_shape: bool = True, caching_device: Any = None,
        name: str | None = None, variable_def: Any = None, dtype: Any = None, import_scope: str | None = None, constraint: Any = None,
        synchronization: VariableSynchronization = VariableSynchronization.AUTO,
        aggregation: VariableAggregation = VariableAggregation.NONE, shape: Any = None, experimental_enable_variable_lifting: bool = True,
    ):  # fmt: skip
        graph = dispatch.current_graph()
        scope = dispatch.current_scope()
        if initial_value is None:
            raise InvalidArgumentError(
                "The `initial_value` arg to `tf.Variable` must be specified except when you are not providing a `variable_def`."
            )
        value = None
        if graph is not None and not callable(initial_value) and not _is_concrete(initial_value):
            value = _lift(initial_value)
        with dispatch.init_scope():
            if value is None:
                value = initial_value() if callable(initial_value) else initial_value
            if isinstance(value, Variable):
                value = value.read_value()
            value = convert_to_tensor(value, dtype=None if dtype is None else as_dtype(dtype))
        full = TensorShape(shape) if shape is not None else value.shape
        if not full.is_compatible_with(value.shape):
            raise ShapeError(
                f"In this `tf.Variable` creation, the initial value's shape ({value.shape}) is not compatible with the explicitly "
                f"supplied `shape` argument ({full})."
            )
        label = name or "Variable"
        label = f"{scope}/{label}" if scope and not label.endswith("/") else label.rstrip("/")
        self._setup(value.dtype.base_dtype, full, label, trainable, synchronization, aggregation, constraint)
        self._resource.write(value._value)
        if graph is not None:
            graph.created_variables.append(self)
        if dispatch.context.trace is not None:
            dispatch.context.trace.made_variables = True

    def _setup(
        self, dtype: Any, shape: Any, name: str, trainable: bool | None, synchronization: Any = VariableSynchronization.AUTO,
        aggregation: Any = VariableAggregation.NONE, constraint: Any = None,
    ) -> None:  # fmt: skip
        self._dtype = as_dtype(dtype)
        self._shape = as_shape(shape)
        self._shared_name = name
        self._synchronization = VariableSynchronization(synchronization) if synchronization is not None else VariableSynchronization.AUTO
        self._aggregation = VariableAggregation(aggregation) if aggregation is not None else VariableAggregation.NONE
        if trainable is None:
            trainable = self._synchronization is not VariableSynchronization.ON_READ
        self._trainable = bool(trainable)
        self.constraint = constraint
        self._resource = VariableResource(self._dtype, self._shape, name)
        self._resource.owner = weakref.ref(self)
        self._handle = make_handle(self._resource, self._dtype, self._shape)

    @classmethod
    def uninitialized(
        cls, dtype: Any, shape: Any, name: str = "Variable", trainable: bool | None = True, synchronization: Any = VariableSynchronization.AUTO,
        aggregation: Any = VariableAggregation.NONE,
    ) -> Variable:  # fmt: skip
        """A variable without a value yet, as a loader makes it."""
        self = cls.__new__(cls)
        self._setup(dtype, shape, name, trainable, synchronization, aggregation)
        return self

    # -- description -------------------------------------------------------------------------------------------------

    @property
    def handle(self) -> EagerTensor:
        return self._handle

    @property
    def dtype(self) -> Any:
        return self._dtype

    @property
    def shape(self) -> TensorShape:
        return self._shape

    def get_shape(self) -> TensorShape:
        return self._shape

    @property
    def name(self) -> str:
        return self._shared_name + ":0"

    @property
    def trainable(self) -> bool:
        return self._trainable

    @property
    def synchronization(self) -> VariableSynchronization:
        return self._synchronization

    @property
    def aggregation(self) -> VariableAggregation:
        return self._aggregation

    @property
    def device(self) -> str:
        return "/job:localhost/replica:0/task:0/device:CPU:0"

    @property
    def variable_spec(self) -> specs.VariableSpec:
        return specs.VariableSpec(self._shape, self._dtype, self._trainable)

    def experimental_ref(self) -> Reference:
        return Reference(self)

    def ref(self) -> Reference:
        """A hashable stand-in that compares by identity."""
        return Reference(self)

    @property
    def ndim(self) -> int | None:
        return self._shape.rank

    # -- reading -----------------------------------------------------------------------------------------------------

    def read_value(self) -> Any:
        """The current value as a tensor."""
        if self._trainable and dispatch.context.tapes:
            tape.variable_accessed(self)
        return dispatch.call("ReadVariableOp", self._handle, dtype=self._dtype)

    value = read_value

    def initialized_value(self) -> Any:
        return self.read_value()

    def is_initialized(self, name: str | None = None) -> bool:
        return self._resource.is_initialized

    def numpy(self) -> Any:
        """A copy of the current value."""
        if dispatch.current_graph() is not None:
            raise NotImplementedError("numpy() is only available when eager execution is enabled.")
        return EagerTensor(self._resource.read(), self._dtype).numpy()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self._resource.read(), dtype=dtype)

    def sparse_read(self, indices: Any, name: str | None = None) -> Any:
        """Rows `indices` of the value; the gradient is IndexedSlices."""
        if self._trainable and dispatch.context.tapes:
            tape.variable_accessed(self)
        return dispatch.call("ResourceGather", self._handle, indices, dtype=self._dtype, name=name)

    def gather_nd(self, indices: Any, name: str | None = None) -> Any:
        if self._trainable and dispatch.context.tapes:
            tape.variable_accessed(self)
        return dispatch.call("ResourceGatherNd", self._handle, indices, dtype=self._dtype, name=name)

    # -- writing -----------------------------------------------------------------------------------------------------

    def _converted(self, value: Any, what: str) -> Any:
        t = convert_to_tensor(value, dtype=self._dtype)
        if not self._shape.is_compatible_with(t.shape):
            raise ShapeError(
                f"Cannot assign value to variable '{self.name}': Shape mismatch. The variable shape {self._shape}, and the "
                f"assigned value shape {t.shape} are incompatible."
            )
        return t

    def assign(self, value: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        """Replace the value."""
        t = self._converted(value, "assign")
        dispatch.call("AssignVariableOp", self._handle, t, dtype=self._dtype, name=name)
        return self if read_value else None

    def assign_add(self, delta: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        """Add `delta` to the value."""
        dispatch.call("AssignAddVariableOp", self._handle, convert_to_tensor(delta, dtype=self._dtype), dtype=self._dtype, name=name)
        return self if read_value else None

    def assign_sub(self, delta: Any, use_locking: Any = None, name: str | None = None, read_value: bool = True) -> Any:
        """Subtract `delta` from the value."""
        dispatch.call("AssignSubVariableOp", self._handle, convert_to_tensor(delta, dtype=self._dtype), dtype=self._dtype, name=name)
        return self if read_value else None

    def _scatter(self, op: str, slices: Any, name: str | None) -> Any:
        if not hasattr(slices, "indices"):
            raise TypeError(f"sparse_delta is not IndexedSlices: {slices!r}")
        values = convert_to_tensor(slices.values, dtype=self._dtype)
        dispatch.call(op, self._handle, slices.indices, values, dtype=self._dtype, name=name)
        return self

    def scatter_add(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Any:
        return self._scatter("ResourceScatterAdd", sparse_delta, name)

    def scatter_sub(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Any:
        return self._scatter("ResourceScatterSub", sparse_delta, name)

    def scatter_mul(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Any:
        return self._scatter("ResourceScatterMul", sparse_delta, name)

    def scatter_div(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Any:
        return self._scatter("ResourceScatterDiv", sparse_delta, name)

    def scatter_max(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Any:
        return self._scatter("ResourceScatterMax", sparse_delta, name)

    def scatter_min(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Any:
        return self._scatter("ResourceScatterMin", sparse_delta, name)

    def scatter_update(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Any:
        return self._scatter("ResourceScatterUpdate", sparse_delta, name)

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        dispatch.call("ResourceScatterNdAdd", self._handle, indices, convert_to_tensor(updates, self._dtype), name=name)
        return self

    def scatter_nd_sub(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        dispatch.call("ResourceScatterNdSub", self._handle, indices, convert_to_tensor(updates, self._dtype), name=name)
        return self

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Any:
        dispatch.call("ResourceScatterNdUpdate", self._handle, indices, convert_to_tensor(updates, self._dtype), name=name)
        return self

    def batch_scatter_update(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Any:
        return self._scatter("ResourceScatterUpdate", sparse_delta, name)

    def set_shape(self, shape: Any) -> None:
        self._shape = self._shape.merge_with(shape)

    # -- Python ------------------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        return self.read_value()[key]

    def __iter__(self) -> Any:
        return iter(self.read_value())

    def __len__(self) -> int:
        return len(self.read_value())

    def __bool__(self) -> bool:
        return bool(self.read_value())

    def __int__(self) -> int:
        return int(self.read_value())

    def __float__(self) -> float:
        return float(self.read_value())

    def __index__(self) -> int:
        return self.read_value().__index__()

    def __eq__(self, other: Any) -> Any:
        return self.read_value() == other

    def __ne__(self, other: Any) -> Any:
        return self.read_value() != other

    def __hash__(self) -> int:
        raise TypeError("Variable is unhashable. Instead, use variable.ref() as the key.")

    def __iadd__(self, other: Any) -> Any:
        raise RuntimeError("`variable += value` with `tf.Variable`s is not supported. Use `variable.assign_add(value)`.")

    def __isub__(self, other: Any) -> Any:
        raise RuntimeError("`variable -= value` with `tf.Variable`s is not supported. Use `variable.assign_sub(value)`.")

    def __imul__(self, other: Any) -> Any:
        raise RuntimeError("`var *= value` with `tf.Variable`s is not supported. Use `var.assign(var * value)`.")

    def __deepcopy__(self, memo: Any) -> Variable:
        copy = type(self).__new__(type(self))
        copy._setup(
            self._dtype, self._shape, self._shared_name, self._trainable, self._synchronization, self._aggregation, self.constraint
        )
        if self._resource.is_initialized:
            copy._resource.write(np.array(self._resource.read()))
        memo[id(self)] = copy
        return copy

    def __repr__(self) -> str:
        if dispatch.current_graph() is not None or not self._resource.is_initialized:
            return f"<tf.Variable '{self.name}' shape={self._shape} dtype={self._dtype.name}>"
        value = self._resource.read()
        text = repr(value[()]) if value.ndim == 0 and self._dtype.kind in "sb" else str(value) if value.ndim == 0 else repr(value)
        return f"<tf.Variable '{self.name}' shape={self._shape} dtype={self._dtype.name}, numpy={text}>"


for _name in (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul and rand or ror xor rxor "
    "lt le gt ge neg abs invert"
).split():
    setattr(Variable, f"__{_name}__", _operator(f"__{_name}__"))


def _is_concrete(value: Any) -> bool:
    if isinstance(value, EagerTensor):
        return True
    return not isinstance(value, Tensor)


def _lift(value: Any) -> Any:
    """The value of a symbolic initial value that depends on nothing that is fed."""
    from tracer.functions import lift_to_eager

    lifted = lift_to_eager(value)
    if lifted is None:
        raise InvalidArgumentError(
            f"Tensor-typed variable initializers must either be wrapped in an init_scope or callable (e.g., "
            f"`tf.Variable(lambda : tf.truncated_normal([10, 40]))`) when building functions; received {value!r}"
        )
    return lifted


def _convert(value: Any, dtype: Any) -> Any:
    if dtype is not None and as_dtype(dtype).base_dtype is not value.dtype:
        raise InvalidArgumentError(
            f"Incompatible type conversion requested to type {as_dtype(dtype).name!r} for variable of type {value.dtype.name!r} (Variable: {value!r})"
        )
    return value.read_value()


register_conversion(Variable, _convert)
