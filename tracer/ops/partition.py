"""Taking rows apart by label and putting them together by index: DynamicPartition, DynamicStitch."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []

partition_op = op("DynamicPartition(data: T, partitions: int32) -> (outputs: num_partitions * T); num_partitions: int >= 1; T: type")


@partition_op.infer
def _(ctx: Any) -> Any:
    data, labels, n = ctx.shape(0), ctx.shape(1), ctx.attr("num_partitions")
    if data.rank is None or labels.rank is None:
        return [unknown_shape()] * n
    if not data[: labels.rank].is_compatible_with(labels):
        raise ShapeError(f"DynamicPartition: data.shape {data} does not start with partitions.shape {labels}")
    return [TensorShape([None]).concatenate(data[labels.rank :])] * n


@partition_op.kernel
def _(data: np.ndarray, partitions: np.ndarray, *, num_partitions: int) -> Any:
    if data.shape[: partitions.ndim] != partitions.shape:
        raise InvalidArgumentError(f"data.shape must start with partitions.shape, got data.shape = {list(data.shape)}, partitions.shape = {list(partitions.shape)}")
    labels = partitions.reshape(-1)
    bad = (labels < 0) | (labels >= num_partitions)
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        where = ",".join(str(v) for v in np.unravel_index(i, partitions.shape)) if partitions.ndim else ""
        raise InvalidArgumentError(f"partitions[{where}] = {int(labels[i])} is not in [0, {num_partitions})")
    rows = data.reshape(labels.size, *data.shape[partitions.ndim :])
    return [rows[labels == i] for i in range(num_partitions)]


@partition_op.gradient
def _(node: Any, *grads: Any) -> Any:
    data, partitions = node.inputs
    shape = tf.shape(partitions)
    places = tf.reshape(tf.range(tf.reduce_prod(shape)), shape)
    parts = raw.DynamicPartition(places, partitions, num_partitions=node.attr("num_partitions"))
    joined = raw.ParallelDynamicStitch(parts, list(grads))
    return tf.reshape(joined, tf.shape(data)), None


def _stitched_shape(ctx: Any) -> Any:
    n = len(ctx) // 2
    inner: Any = unknown_shape()
    values = [ctx.value(i) for i in range(n)]
    for i in range(n):
        indices, data = ctx.shape(i), ctx.shape(n + i)
        if indices.rank is not None and data.rank is not None:
            if not data[: indices.rank].is_compatible_with(indices):
                raise ShapeError(f"{ctx.schema.name}: data[{i}].shape {data} does not start with indices[{i}].shape {indices}")
            inner = inner.merge_with(data[indices.rank :])
    size = None
    if all(v is not None for v in values):
        size = max((int(v.max()) for v in values if v.size), default=-1) + 1
    return TensorShape([size]).concatenate(inner)


def _stitch(*arrays: np.ndarray) -> np.ndarray:
    n = len(arrays) // 2
    indices, data = arrays[:n], arrays[n:]
    inner = data[0].shape[indices[0].ndim :]
    for i in range(n):
        if data[i].shape[: indices[i].ndim] != indices[i].shape:
            raise InvalidArgumentError(f"data[{i}].shape = {list(data[i].shape)} does not start with indices[{i}].shape = {list(indices[i].shape)}")
        if data[i].shape[indices[i].ndim :] != inner:
            raise InvalidArgumentError(f"Need data[0].shape[{indices[0].ndim}:] = data[{i}].shape[{indices[i].ndim}:], got {list(inner)} and {list(data[i].shape)}")
        if indices[i].size and indices[i].min() < 0:
            raise InvalidArgumentError(f"indices[{i}] holds {int(indices[i].min())}: expected indices >= 0")
    size = max((int(i.max()) for i in indices if i.size), default=-1) + 1
    out = np.full((size, *inner), b"", object) if data[0].dtype == object else np.zeros((size, *inner), data[0].dtype)
    for i, d in zip(indices, data):
        out[i.reshape(-1)] = d.reshape(i.size, *inner)
    return out


for _name in ("DynamicStitch", "ParallelDynamicStitch"):
    _record = op(f"{_name}(indices: N * int32, data: N * T) -> (merged: T); N: int >= 1; T: type")
    _record.infer(_stitched_shape)
    _record.kernel(_stitch)

    @_record.gradient
    def _(node: Any, grad: Any) -> Any:
        n = len(node.inputs) // 2
        return [None] * n + [tf.gather(grad, indices) for indices in node.inputs[:n]]


@public("dynamic_partition")
def dynamic_partition(data: Any, partitions: Any, num_partitions: int, name: str | None = None) -> Any:
    """The rows of `data` sorted into `num_partitions` tensors by their label in `partitions`."""
    labels = convert_to_tensor(partitions)
    labels = labels if labels.dtype == dtypes.int32 else tf.cast(labels, dtypes.int32)
    return raw.DynamicPartition(data, labels, num_partitions=num_partitions, name=name)


@public("dynamic_stitch")
def dynamic_stitch(indices: Any, data: Any, name: str | None = None) -> Any:
    """One tensor whose row `indices[m][i]` is `data[m][i]`; later ones win."""
    return raw.DynamicStitch(list(indices), [convert_to_tensor(d) for d in data], name=name)
