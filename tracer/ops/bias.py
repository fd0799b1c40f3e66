"""BiasAdd and its gradient: records, kernels and public function."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import name_scope, raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

_ANY = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, "
    "complex128, half, uint32, uint64}"
)
bias_add_op = op(f'BiasAdd(value: T, bias: T) -> (output: T); T: {_ANY}; data_format: {{\'NHWC\', \'NCHW\'}} = "NHWC"')
bias_add_v1_op = op(f"BiasAddV1(value: T, bias: T) -> (output: T); T: {_ANY}")
bias_add_grad_op = op(f'BiasAddGrad(out_backprop: T) -> (output: T); T: {_ANY}; data_format: {{\'NHWC\', \'NCHW\'}} = "NHWC"')


def _channel(rank: int, data_format: bytes) -> int:
    return 1 if data_format == b"NCHW" and rank > 1 else rank - 1


def _add_shape(ctx: infer.InferContext) -> Any:
    value, bias = ctx.shape(0), ctx.shape(1).with_rank(1)
    if value.rank is None:
        return unknown_shape()
    data_format = ctx.attrs.get("data_format", b"NHWC")
    least = 3 if data_format == b"NCHW" else 2
    if value.rank < least:
        raise ShapeError(f"value must have at least {least} dimensions with data format {data_format.decode()}, received {value}")
    axis = _channel(value.rank, data_format)
    dims = value.as_list()
    dims[axis] = value[axis : axis + 1].merge_with(bias)[0]
    return TensorShape(dims)


bias_add_op.infer(_add_shape)
bias_add_v1_op.infer(_add_shape)


def _add(value: np.ndarray, bias: np.ndarray, data_format: bytes = b"NHWC") -> np.ndarray:
    if bias.ndim != 1:
        raise ShapeError(f"Biases must be 1D: {list(bias.shape)}")
    if value.ndim < 2:
        raise ShapeError(f"Input tensor must be at least 2D: {list(value.shape)}")
    axis = _channel(value.ndim, data_format)
    if value.shape[axis] != bias.shape[0]:
        raise ShapeError(f"Must provide as many biases as the channels of the input: {list(bias.shape)} vs. {list(value.shape)}")
    return value + (bias if axis == value.ndim - 1 else bias.reshape((-1,) + (1,) * (value.ndim - axis - 1)))


@bias_add_op.kernel
def _(value: np.ndarray, bias: np.ndarray, *, data_format: bytes) -> Any:
    return _add(value, bias, data_format)


@bias_add_v1_op.kernel
def _(value: np.ndarray, bias: np.ndarray) -> Any:
    return _add(value, bias)


@bias_add_op.gradient
def _(node: Any, grad: Any) -> Any:
    return grad, raw.BiasAddGrad(grad, data_format=node.attr("data_format"))


@bias_add_v1_op.gradient
def _(node: Any, grad: Any) -> Any:
    return grad, tf.reduce_sum(grad, tf.range(tf.rank(grad) - 1))


@bias_add_grad_op.infer
def _(ctx: infer.InferContext) -> Any:
    shape = ctx.shape(0)
    if shape.rank is None:
        return unknown_shape(1)
    axis = _channel(shape.rank, ctx.attr("data_format"))
    return shape[axis : axis + 1]


@bias_add_grad_op.kernel
def _(grad: np.ndarray, *, data_format: bytes) -> Any:
    if grad.ndim < 2:
        raise ShapeError(f"Input tensor must be at least 2D: {list(grad.shape)}")
    axis = _channel(grad.ndim, data_format)
    if grad.dtype.kind not in "fcV" or grad.dtype.itemsize < 4:
        wide = np.float32 if grad.dtype.kind not in "iuc" else grad.dtype
        return grad.sum(axis=tuple(i for i in range(grad.ndim) if i != axis), dtype=wide).astype(grad.dtype, copy=False)
    if axis == grad.ndim - 1:
        flat = grad.reshape(-1, grad.shape[-1])
        # A product with ones runs on all cores, and adds in blocks rather than one after the other.
        return np.ones(len(flat), grad.dtype) @ flat
    return grad.sum(axis=tuple(i for i in range(grad.ndim) if i != axis))


@bias_add_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    shape = tf.shape(node.inputs[0])
    if node.attr("data_format") == b"NCHW":
        inner = tf.concat([tf.ones_like(shape[:1]), tf.shape(grad), tf.ones_like(shape[2:])], 0)
        tiles = tf.concat([shape[:1], [1], shape[2:]], 0)
    else:
        inner = tf.concat([tf.ones_like(shape[:-1]), tf.shape(grad)], 0)
        tiles = tf.concat([shape[:-1], [1]], 0)
    return tf.tile(tf.reshape(grad, inner), tiles)


@public("nn.bias_add")
def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Any:
    """`value` plus a vector along its channels: the last axis, or the second for data formats NC….

    Raises:
        ValueError: unknown data format, or sizes that differ.
    """
    with name_scope(name or "BiasAdd") as scope:
        if data_format is None or (data_format.startswith("N") and data_format.endswith("C")):
            data_format = "NHWC"
        elif data_format.startswith("NC"):
            data_format = "NCHW"
        else:
            raise InvalidArgumentError(f"`data_format` must be of the form `N...C` or `NC...`. Received: data_format={data_format}")
        value = convert_to_tensor(value)
        bias = convert_to_tensor(bias, dtype=value.dtype)
        return raw.BiasAdd(value, bias, data_format=data_format, name=scope or name)
