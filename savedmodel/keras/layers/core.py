"""Core layers: Dense, EinsumDense, Embedding, Activation, Masking, Identity. `Lambda` lives in lambda_layer.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from savedmodel.keras import regularizers
from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.settings import describe, dims, keep
from tracer import dispatch, dtypes
from tracer.composite import RaggedTensor, SparseTensor
from tracer.dtypes import as_dtype
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import Tensor

_DENSE = (
    "units activation use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer activity_regularizer "
    "kernel_constraint bias_constraint"
)


class Dense(Layer):
    """activation(inputs · kernel + bias) along the last axis."""

    def __init__(
        self, units: int, activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = units if isinstance(units, int) else int(units)
        if self.units < 0:
            raise ValueError(f"Received an invalid value for `units`, expected a positive integer. Received: units={units}")
        keep(
            self, locals(),
            "activation use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer kernel_constraint bias_constraint",
        )  # fmt: skip
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        from savedmodel.keras import backend

        dtype = as_dtype(self.dtype or backend.floatx())
        if not (dtype.is_floating or dtype.is_complex):
            raise TypeError(f"A Dense layer can only be built with a floating-point dtype. Received: dtype={dtype}")
        input_shape = TensorShape(input_shape)
        last = input_shape[-1]
        if last is None:
            raise ValueError(
                f"The last dimension of the inputs to a Dense layer should be defined. Found None. Full input shape received: {input_shape}"
            )
        self.input_spec = InputSpec(min_ndim=2, axes={-1: last})
        self.kernel = self.add_weight(
            "kernel", shape=[last, self.units], initializer=self.kernel_initializer, regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint, dtype=self.dtype, trainable=True,
        )  # fmt: skip
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias", shape=[self.units], initializer=self.bias_initializer, regularizer=self.bias_regularizer,
                constraint=self.bias_constraint, dtype=self.dtype, trainable=True,
            )  # fmt: skip
        self.built = True

    def call(self, inputs: Any) -> Any:
        if inputs.dtype.base_dtype != self._compute_dtype_object.base_dtype:
            inputs = tf.cast(inputs, self._compute_dtype_object)
        if isinstance(inputs, RaggedTensor):
            return self._call_ragged(inputs)
        return self._call_dense(inputs)

    def _call_ragged(self, inputs: Any) -> Any:
        if inputs.shape[-1] is None:
            raise ValueError(
                f"Dense layer only supports RaggedTensors when the innermost dimension is non-ragged. Received: inputs.shape={inputs.shape}."
            )
        if inputs.flat_values.shape.rank > 1:
            return inputs.with_flat_values(self._call_dense(inputs.flat_values))
        if inputs.shape.rank == 2:
            return self._call_dense(inputs.to_tensor())
        # A last axis that is ragged in form only: its rows all have one length.
        inner = inputs
        for _ in range(inputs.ragged_rank - 1):
            inner = inner.values
        outputs = self._call_dense(inner.to_tensor())
        return RaggedTensor.from_nested_row_splits(outputs, inputs.nested_row_splits[:-1])

    def _call_dense(self, inputs: Any) -> Any:
        rank = inputs.shape.rank
        if isinstance(inputs, SparseTensor):
            outputs = tf.sparse.sparse_dense_matmul(inputs, self.kernel)
        elif rank == 2 or rank is None:
            outputs = tf.matmul(a=inputs, b=self.kernel)
        else:
            outputs = tf.tensordot(inputs, self.kernel, [[rank - 1], [0]])
            if not dispatch.executing_eagerly():
                outputs.set_shape([*inputs.shape.as_list()[:-1], self.kernel.shape[-1]])
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        input_shape = TensorShape(input_shape).with_rank_at_least(2)
        if input_shape[-1] is None:
            raise ValueError(
                f"The last dimension of the input shape of a Dense layer should be defined. Found None. Received: input_shape={input_shape}"
            )
        return input_shape[:-1].concatenate(self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, _DENSE)}


_EINSUM = (
    "activation bias_axes kernel_initializer bias_initializer kernel_regularizer bias_regularizer activity_regularizer kernel_constraint "
    "bias_constraint"
)


class EinsumDense(Layer):
    """activation(einsum(equation, inputs, kernel) + bias); the bias has the axes named in `bias_axes`."""

    def __init__(
        self, equation: str, output_shape: Any, activation: Any = None, bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.equation = equation
        self.partial_output_shape = [output_shape] if isinstance(output_shape, int) else list(output_shape)
        keep(self, locals(), _EINSUM.replace(" activity_regularizer", ""))
        if activity_regularizer is not None:
            self.activity_regularizer = regularizers.get(activity_regularizer)

    def build(self, input_shape: Any) -> None:
        shapes = einsum_shapes(self.equation, self.bias_axes, dims(input_shape), self.partial_output_shape)
        kernel_shape, bias_shape, self.full_output_shape = shapes
        self.kernel = self.add_weight(
            "kernel", shape=kernel_shape, initializer=self.kernel_initializer, regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint, dtype=self.dtype, trainable=True,
        )  # fmt: skip
        self.bias = None
        if bias_shape is not None:
            self.bias = self.add_weight(
                "bias", shape=bias_shape, initializer=self.bias_initializer, regularizer=self.bias_regularizer,
                constraint=self.bias_constraint, dtype=self.dtype, trainable=True,
            )  # fmt: skip
        super().build(input_shape)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(self.full_output_shape)

    def call(self, inputs: Any) -> Any:
        outputs = tf.einsum(self.equation, inputs, self.kernel)
        if self.bias is not None:
            outputs += self.bias
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self) -> dict[str, Any]:
        own = {"output_shape": list(self.partial_output_shape), "equation": self.equation, **describe(self, _EINSUM)}
        return {**super().get_config(), **own}


_EQUATIONS = (
    (r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)", False),
    (r"0([a-zA-Z]+),([a-zA-Z]+)->0([a-zA-Z]+)", True),
    (r"([a-zA-Z]{2,})0,([a-zA-Z]+)->([a-zA-Z]+)0", False),
)


def einsum_shapes(
    equation: str, bias_axes: str | None, input_shape: Sequence[int | None], output_shape: Sequence[int | None]
) -> tuple[list[Any], list[Any] | None, list[Any]]:
    """(kernel shape, bias shape, full output shape) of an EinsumDense equation; "..." may begin or end inputs and outputs.

    Raises:
        ValueError: another form of equation, or shapes that contradict it.
    """
    text = equation.replace("...", "0")
    for pattern, left in _EQUATIONS:
        match = re.match(pattern, text)
        if match:
            return _shapes(*match.groups(), bias_axes, list(input_shape), list(output_shape), left)
    raise ValueError(
        f"Invalid einsum equation '{equation}'. Equations must be in the form [X],[Y]->[Z], ...[X],[Y]->...[Z], or [X]...,[Y]->[Z]...."
    )


def _shapes(
    inputs: str, weights: str, outputs: str, bias_axes: str | None, input_shape: list[Any], output_shape: list[Any], left: bool
) -> tuple[list[Any], list[Any] | None, list[Any]]:
    elided = len(input_shape) - len(inputs)
    output_shape.insert(0, input_shape[0])
    if elided > 0 and left:
        output_shape[1:1] = reversed(input_shape[1:elided])
    elif elided > 0:
        output_shape += input_shape[len(input_shape) - elided :]
    shift = elided if left else 0
    input_at = {dim: i + (elided - len(input_shape) if left else 0) for i, dim in enumerate(inputs)}
    output_at = {dim: i + shift for i, dim in enumerate(outputs)}
    for dim, at in input_at.items():
        if dim in output_at:
            wanted = output_shape[output_at[dim]]
            if wanted is not None and wanted != input_shape[at]:
                raise ValueError(
                    f"Input shape and output shape do not match at shared dimension '{dim}'. Input shape is {input_shape[at]}, and output "
                    f"shape is {wanted}."
                )
    for dim in outputs:
        if dim not in inputs and dim not in weights:
            raise ValueError(
                f"Dimension '{dim}' was specified in the output '{outputs}' but has no corresponding dim in the input spec '{inputs}' or "
                f"weight spec '{weights}'"
            )
    kernel = []
    for dim in weights:
        if dim in input_at:
            kernel.append(input_shape[input_at[dim]])
        elif dim in output_at:
            kernel.append(output_shape[output_at[dim]])
        else:
            raise ValueError(
                f"Weight dimension '{dim}' did not have a match in either the input spec '{inputs}' or the output spec '{outputs}'. For this "
                f"layer, the weight must be fully specified."
            )
    if bias_axes is None:
        return kernel, None, output_shape
    for dim in bias_axes:
        if dim not in outputs:
            raise ValueError(f"Bias dimension '{dim}' was requested, but is not part of the output spec '{outputs}'")
    first = min(outputs.find(dim) for dim in bias_axes)
    bias = [output_shape[output_at[dim]] if dim in bias_axes else 1 for dim in outputs[first:]]
    return kernel, bias if left else bias + [1] * elided, output_shape


class Embedding(Layer):
    """Rows of a table for integer inputs; zero is padding when `mask_zero`."""

    def __init__(
        self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform", embeddings_regularizer: Any = None,
        activity_regularizer: Any = None, embeddings_constraint: Any = None, mask_zero: bool = False, input_length: Any = None,
        sparse: bool = False, **kwargs: Any,
    ):  # fmt: skip
        if "input_shape" not in kwargs:
            kwargs["input_shape"] = (input_length,) if input_length else (None,)
        if input_dim <= 0 or output_dim <= 0:
            raise ValueError(
                f"Both `input_dim` and `output_dim` should be positive, Received input_dim = {input_dim} and output_dim = {output_dim}"
            )
        kwargs["autocast"] = False
        self_one_hot = kwargs.pop("use_one_hot_matmul", False)
        super().__init__(**kwargs)
        keep(
            self, locals(),
            "input_dim output_dim embeddings_initializer embeddings_regularizer activity_regularizer embeddings_constraint mask_zero",
        )  # fmt: skip
        self.supports_masking = mask_zero
        self.input_length = input_length
        self.sparse = sparse
        if sparse and mask_zero:
            raise ValueError("`mask_zero` cannot be enabled when `tf.keras.layers.Embedding` is used with `tf.SparseTensor` input.")
        self._use_one_hot_matmul = self_one_hot

    def build(self, input_shape: Any = None) -> None:
        self.embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim), initializer=self.embeddings_initializer, name="embeddings",
            regularizer=self.embeddings_regularizer, constraint=self.embeddings_constraint, experimental_autocast=False,
        )  # fmt: skip
        self.built = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return tf.not_equal(inputs, 0) if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = dims(input_shape)
        if self.input_length is None:
            return TensorShape([*shape, self.output_dim])
        lengths = list(self.input_length) if isinstance(self.input_length, (list, tuple)) else [self.input_length]
        text = f'"input_length" is {self.input_length}, but received input has shape {shape}'
        if len(lengths) != len(shape) - 1:
            raise ValueError(text)
        for i, (wanted, got) in enumerate(zip(lengths, shape[1:], strict=True)):
            if wanted is not None and got is not None and wanted != got:
                raise ValueError(text)
            lengths[i] = got if wanted is None else wanted
        return TensorShape([shape[0], *lengths, self.output_dim])

    def call(self, inputs: Any) -> Any:
        if inputs.dtype not in (dtypes.int32, dtypes.int64):
            inputs = tf.cast(inputs, dtypes.int32)
        if isinstance(inputs, SparseTensor):
            out = self._call_sparse(inputs)
        elif isinstance(inputs, RaggedTensor):
            out = inputs.with_flat_values(self._rows(inputs.flat_values))
        elif self._use_one_hot_matmul:
            out = tf.matmul(tf.one_hot(inputs, depth=self.input_dim, dtype=self.dtype), self.embeddings)
        else:
            out = self._rows(inputs)
        if self.sparse and not isinstance(out, SparseTensor):
            out = tf.sparse.from_dense(out)
        if self._dtype_policy.compute_dtype != self._dtype_policy.variable_dtype:
            out = tf.cast(out, self._dtype_policy.compute_dtype)
        return out

    def _rows(self, ids: Any) -> Any:
        return tf.identity(self.embeddings.sparse_read(ids))

    def _call_sparse(self, inputs: Any) -> Any:
        """Sparse ids: a sparse result with `sparse`, else the rows with missing ids as row 0."""
        if not self.sparse:
            return self._rows(tf.sparse.to_dense(inputs))
        size = self.output_dim
        rows = tf.reshape(self._rows(inputs.values), [-1])
        count = tf.shape(inputs.indices)[0]
        last = tf.expand_dims(tf.tile(tf.range(size, dtype=dtypes.int64), [count]), -1)
        indices = tf.concat([tf.repeat(inputs.indices, size, axis=0), last], 1)
        shape = tf.concat([tf.cast(inputs.dense_shape, dtypes.int64), tf.constant([size], dtypes.int64)], axis=-1)
        return SparseTensor(indices=indices, values=rows, dense_shape=shape)

    def get_config(self) -> dict[str, Any]:
        own = describe(
            self,
            "input_dim output_dim embeddings_initializer embeddings_regularizer activity_regularizer embeddings_constraint mask_zero input_length",
        )
        return {**super().get_config(), **own}


class Activation(Layer):
    """An activation function as a layer."""

    def __init__(self, activation: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True
        keep(self, locals(), "activation")

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, "activation")}


class Masking(Layer):
    """Masks time steps whose features all equal `mask_value`, and sets them to zero."""

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.mask_value = mask_value
        self._compute_output_and_mask_jointly = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return tf.reduce_any(tf.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs: Any) -> Any:
        present = tf.reduce_any(tf.not_equal(inputs, self.mask_value), axis=-1, keepdims=True)
        outputs = inputs * tf.cast(present, inputs.dtype)
        if isinstance(outputs, Tensor):
            outputs._keras_mask = tf.squeeze(present, axis=-1)
        return outputs

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}


class Identity(Layer):
    """The inputs as they are."""

    def call(self, inputs: Any) -> Any:
        from tracer import nest

        return nest.map_structure(tf.identity, inputs)
