"""InputLayer and Input: the entries of functional models."""

from __future__ import annotations

from typing import Any

from savedmodel.keras import backend
from savedmodel.keras.engine import op_layers
from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.keras_tensor import KerasTensor, from_tensor, is_keras_tensor
from savedmodel.keras.engine.node import Node
from savedmodel.trackable import no_automatic_dependency_tracking
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError
from tracer.shapes import TensorShape
from tracer.specs import RaggedTensorSpec, SparseTensorSpec, TensorSpec

__all__ = ["Input", "InputLayer"]


op_layers.install()  # from here on, tf functions take Keras tensors


class InputLayer(Layer):
    """An entry point of a model.

    Args:
        input_shape: shape without the batch dimension. batch_size: fixed batch size, or None.
        dtype: of the input; the float type of the backend by default.
        input_tensor: an existing tensor to wrap. type_spec: the full type instead of shape and dtype.
        sparse, ragged: the kind of tensor that will be fed.

    Raises:
        ValueError: contradicting or unknown arguments.
    """

    @no_automatic_dependency_tracking
    def __init__(
        self, input_shape: Any = None, batch_size: int | None = None, dtype: Any = None, input_tensor: Any = None, sparse: Any = None,
        name: str | None = None, ragged: Any = None, type_spec: Any = None, **kwargs: Any,
    ):  # fmt: skip
        self._init_type_spec = type_spec
        given = {
            "(input_)shape": input_shape, "batch_size": batch_size, "dtype": dtype, "input_tensor": input_tensor, "sparse": sparse,
            "ragged": ragged,
        }  # fmt: skip
        if "batch_input_shape" in kwargs:
            full = kwargs.pop("batch_input_shape")
            if input_shape and full:
                raise InvalidArgumentError(
                    "Only provide the input_shape OR batch_input_shape argument to InputLayer, not both at the same time."
                )
            if full:
                batch_size, input_shape = full[0], full[1:]
        if kwargs:
            raise InvalidArgumentError(f"Unrecognized keyword arguments: {list(kwargs)}")
        if sparse and ragged:
            raise InvalidArgumentError("Cannot set both sparse and ragged to True in a Keras input.")
        if not name:
            name = f"input_{backend.get_uid('input')}"
        if not dtype:
            dtype = backend.floatx() if input_tensor is None else as_dtype(input_tensor.dtype).name
        elif input_tensor is not None and input_tensor.dtype != as_dtype(dtype):
            raise InvalidArgumentError(
                f"`input_tensor.dtype` differs from `dtype`. Received: input_tensor.dtype={input_tensor.dtype} but expected dtype={dtype}"
            )
        super().__init__(dtype=dtype, name=name)
        self.built = True
        self.sparse = bool(sparse)
        self.ragged = bool(ragged)
        self.batch_size = batch_size
        self.supports_masking = True
        self.is_placeholder = True
        if type_spec is not None:
            for key, value in given.items():
                if value is not None:
                    raise InvalidArgumentError(f"When `type_spec` is not None, all other args except `name` must be None, but {key} is not None.")
            if isinstance(type_spec, dict):
                from savedmodel.keras.saving import serialization

                type_spec = serialization.deserialize_keras_object(type_spec)
            tensor = KerasTensor(type_spec, name=name)
            self.sparse = isinstance(type_spec, SparseTensorSpec)
            self.ragged = isinstance(type_spec, RaggedTensorSpec)
            self._batch_input_shape = _as_tuple(type_spec.shape)
        elif input_tensor is None:
            if isinstance(input_shape, TensorShape):
                input_shape = tuple(input_shape.as_list())
            elif isinstance(input_shape, int):
                input_shape = (input_shape,)
            full = None if input_shape is None else (batch_size, *input_shape)
            tensor = KerasTensor(_spec(full, as_dtype(dtype), name, self.sparse, self.ragged), name=name)
            self._batch_input_shape = full
        else:
            tensor = input_tensor if is_keras_tensor(input_tensor) else from_tensor(input_tensor)
            self.is_placeholder = False
            self._batch_input_shape = _as_tuple(tensor.shape)
        tensor._keras_mask = None
        Node(self, outputs=tensor)
        self._type_spec = tensor.type_spec

    def get_config(self) -> dict[str, Any]:
        if self._init_type_spec is not None:
            return {"name": self.name, "type_spec": self._init_type_spec}
        return {
            "batch_input_shape": self._batch_input_shape,
            "dtype": self.dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
        }


def _as_tuple(shape: TensorShape) -> tuple[int | None, ...] | None:
    return None if shape.rank is None else tuple(shape.as_list())


def _spec(shape: Any, dtype: Any, name: str, sparse: bool, ragged: bool) -> Any:
    if sparse:
        return SparseTensorSpec(shape, dtype)
    if ragged:
        rank = 0
        for i, d in enumerate(shape or ()):
            if i >= 1 and d is None:
                rank = i
        return RaggedTensorSpec(shape, dtype, ragged_rank=rank)
    return TensorSpec(shape, dtype, name)


def Input(
    shape: Any = None, batch_size: int | None = None, name: str | None = None, dtype: Any = None, sparse: Any = None, tensor: Any = None,
    ragged: Any = None, type_spec: Any = None, **kwargs: Any,
) -> Any:  # fmt: skip
    """A Keras tensor to start a functional model from.

    Args:
        shape: without the batch dimension. Others: see `InputLayer`; `batch_shape` gives the whole shape.

    Raises:
        ValueError: neither shape nor tensor nor type_spec, or contradicting arguments.
    """
    if sparse and ragged:
        raise InvalidArgumentError("Cannot set both `sparse` and `ragged` to `True` in a Keras `Input`.")
    from_spec = name is None and type_spec is not None and hasattr(type_spec, "name")
    if from_spec:
        name = type_spec.name
    full = kwargs.pop("batch_input_shape", kwargs.pop("batch_shape", None))
    if shape is not None and full is not None:
        raise InvalidArgumentError("Only provide the `shape` OR `batch_input_shape` argument to Input, not both at the same time.")
    if full is None and shape is None and tensor is None and type_spec is None:
        raise InvalidArgumentError(
            "Please provide to Input a `shape` or a `tensor` or a `type_spec` argument. Note that `shape` does not include the batch "
            "dimension."
        )
    if kwargs:
        raise InvalidArgumentError(f"Unrecognized keyword arguments: {list(kwargs)}")
    common = {"name": name, "dtype": dtype, "sparse": sparse, "ragged": ragged, "input_tensor": tensor, "type_spec": type_spec}
    layer = InputLayer(batch_input_shape=full, **common) if full else InputLayer(batch_size=batch_size, input_shape=shape, **common)
    return layer._inbound_nodes[0].outputs
