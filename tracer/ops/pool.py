"""Max and average pooling in two and three dimensions, with all their gradient ops. Fractional pooling lives in fractional_pool.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracer import infer, pooling
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import tf
from tracer.registry import Op, op
from tracer.shapes import TensorShape, unknown_shape
from tracer.windows import (
    Axis,
    axes_of,
    from_channels_last,
    is_channels_first,
    spatial,
    split_explicit,
    static_output_size,
    text_attr,
    to_channels_last,
)

_FLOATS = "{half, bfloat16, float, double}"
_NUMBERS = "{float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}"
_MAX_TYPES = "{half, bfloat16, float, double, int32, int64, uint8, int16, int8, uint16, qint8}"
_WINDOW_2D = "ksize: list(int) >= 4; strides: list(int) >= 4"
_WINDOW_3D = "ksize: list(int) >= 5; strides: list(int) >= 5; padding: {'SAME', 'VALID'}; data_format: {'NDHWC', 'NCDHW'} = \"NDHWC\""
_PAD = "padding: {'SAME', 'VALID'}"
_PAD_EXPLICIT = "padding: {'SAME', 'VALID', 'EXPLICIT'}; explicit_paddings: list(int) = []"
_NHWC = "data_format: {'NHWC', 'NCHW'} = \"NHWC\""
_VECT = "data_format: {'NHWC', 'NCHW', 'NCHW_VECT_C'} = \"NHWC\""

max_pool_op = op(f"MaxPool(input: T) -> (output: T); T: {_MAX_TYPES} = float; {_WINDOW_2D}; {_PAD_EXPLICIT}; {_VECT}")
max_pool_v2_op = op(f"MaxPoolV2(input: T, ksize: int32, strides: int32) -> (output: T); T: {_MAX_TYPES} = float; {_PAD}; {_VECT}")
max_pool_grad_op = op(
    f"MaxPoolGrad(orig_input: T, orig_output: T, grad: T) -> (output: T); {_WINDOW_2D}; {_PAD_EXPLICIT}; {_NHWC}; T: {_NUMBERS} = float"
)
max_pool_grad_v2_op = op(
    "MaxPoolGradV2(orig_input: T, orig_output: T, grad: T, ksize: int32, strides: int32) -> (output: T); "
    f"{_PAD}; {_NHWC}; T: {_NUMBERS} = float"
)
max_pool_grad_grad_op = op(
    f"MaxPoolGradGrad(orig_input: T, orig_output: T, grad: T) -> (output: T); {_WINDOW_2D}; {_PAD}; {_NHWC}; T: {_NUMBERS}"
)
max_pool_grad_grad_v2_op = op(
    "MaxPoolGradGradV2(orig_input: T, orig_output: T, grad: T, ksize: int32, strides: int32) -> (output: T); "
    f"{_PAD}; {_NHWC}; T: {_NUMBERS}"
)
max_pool_3d_op = op(f"MaxPool3D(input: T) -> (output: T); {_WINDOW_3D}; T: {{half, bfloat16, float}}")
max_pool_3d_grad_op = op(
    f"MaxPool3DGrad(orig_input: TInput, orig_output: TInput, grad: T) -> (output: T); {_WINDOW_3D}; "
    "T: {half, bfloat16, float} = float; TInput: {half, bfloat16, float} = float"
)
max_pool_3d_grad_grad_op = op(f"MaxPool3DGradGrad(orig_input: T, orig_output: T, grad: T) -> (output: T); {_WINDOW_3D}; T: {_NUMBERS}")
avg_pool_op = op(f"AvgPool(value: T) -> (output: T); {_WINDOW_2D}; {_PAD}; {_NHWC}; T: {_FLOATS}")
avg_pool_grad_op = op(f"AvgPoolGrad(orig_input_shape: int32, grad: T) -> (output: T); {_WINDOW_2D}; {_PAD}; {_NHWC}; T: {_FLOATS}")
avg_pool_3d_op = op(f"AvgPool3D(input: T) -> (output: T); {_WINDOW_3D}; T: {_FLOATS}")
avg_pool_3d_grad_op = op(f"AvgPool3DGrad(orig_input_shape: int32, grad: T) -> (output: T); {_WINDOW_3D}; T: {_FLOATS}")
argmax_op = op(
    f"MaxPoolWithArgmax(input: T) -> (output: T, argmax: Targmax); {_WINDOW_2D}; Targmax: {{int32, int64}} = int64; {_PAD}; "
    f"include_batch_in_index: bool = false; T: {_NUMBERS}"
)
argmax_grad_op = op(
    f"MaxPoolGradWithArgmax(input: T, grad: T, argmax: Targmax) -> (output: T); {_WINDOW_2D}; {_PAD}; "
    f"include_batch_in_index: bool = false; Targmax: {{int32, int64}}; T: {_NUMBERS}"
)
argmax_grad_grad_op = op(
    f"MaxPoolGradGradWithArgmax(input: T, grad: T, argmax: Targmax) -> (output: T); {_WINDOW_2D}; {_PAD}; "
    f"include_batch_in_index: bool = false; Targmax: {{int32, int64}}; T: {_NUMBERS}"
)


class Window:
    """ksize, strides and padding of one node, checked once; gives the axes for actual sizes."""

    def __init__(
        self, ksize: Sequence[int], strides: Sequence[int], padding: Any, data_format: Any, explicit: Sequence[int] = (), rank: int = 4
    ):
        ksize, strides = [int(k) for k in ksize], [int(s) for s in strides]
        if len(ksize) != rank or len(strides) != rank:
            raise InvalidArgumentError(f"ksize and strides must have {rank} entries, received {ksize} and {strides}")
        if min(ksize) < 1 or min(strides) < 1:
            raise InvalidArgumentError(f"ksize and strides must be positive, received {ksize} and {strides}")
        if ksize[0] != 1 or strides[0] != 1:
            raise InvalidArgumentError(f"Pooling is not supported on the batch dimension, received ksize {ksize}, strides {strides}")
        padding, data_format = text_attr(padding), text_attr(data_format)
        if data_format == "NCHW_VECT_C":
            raise InvalidArgumentError("data format NCHW_VECT_C exists on GPUs only; use NHWC or NCHW")
        self.rank = rank
        self.channels_first = is_channels_first(data_format)
        self.kernels, self.strides = spatial(ksize, data_format), spatial(strides, data_format)
        channel = 1 if self.channels_first else rank - 1
        self.depth = ksize[channel]
        if self.depth != strides[channel] or (self.depth > 1 and max(self.kernels) > 1):
            raise InvalidArgumentError(
                f"Depthwise pooling needs the depth window to equal the depth stride and no spatial window, received ksize {ksize}, strides {strides}"
            )
        self.padding = padding
        self.explicit = split_explicit(explicit, data_format, rank) if padding == "EXPLICIT" else None
        self._known: dict[tuple[int, ...], tuple[Axis, ...]] = {}

    def axes(self, sizes: tuple[int, ...]) -> tuple[Axis, ...]:
        found = self._known.get(sizes)
        if found is None:
            found = axes_of(sizes, self.kernels, self.strides, [1] * len(sizes), self.padding, self.explicit)
            if len(self._known) < 64:
                self._known[sizes] = found
        return found

    def last(self, x: np.ndarray) -> np.ndarray:
        if x.ndim != self.rank:
            raise ShapeError(f"tensor_in must be {self.rank}-dimensional, received shape {list(x.shape)}")
        return x.transpose(to_channels_last(self.rank)) if self.channels_first else x

    def back(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.transpose(from_channels_last(self.rank))) if self.channels_first else x

    def shape(self, x: TensorShape) -> TensorShape:
        """The static shape of the pooled result."""
        x = x.with_rank(self.rank)
        dims = x.as_list()
        space = dims[2:] if self.channels_first else dims[1:-1]
        channels = dims[1] if self.channels_first else dims[-1]
        if channels is not None and self.depth > 1:
            channels //= self.depth
        pads = self.explicit or [(0, 0)] * len(space)
        out = [static_output_size(n, k, s, 1, self.padding, p) for n, k, s, p in zip(space, self.kernels, self.strides, pads)]
        return TensorShape([dims[0], channels, *out] if self.channels_first else [dims[0], *out, channels])

    def maximum(self, x: np.ndarray) -> np.ndarray:
        x = self.last(x)
        if self.depth > 1:
            if x.shape[-1] % self.depth:
                raise InvalidArgumentError(f"Depthwise max pooling needs {self.depth} to evenly divide the {x.shape[-1]} channels")
            x = x.reshape(*x.shape[:-1], -1, self.depth).max(axis=-1)
            return self.back(np.ascontiguousarray(x[(slice(None), *(slice(None, None, s) for s in self.strides))]))
        return self.back(pooling.maximum(x, self.axes(x.shape[1:-1])))

    def maximum_gradient(self, x: np.ndarray, grad: np.ndarray) -> np.ndarray:
        x, grad = self.last(x), self.last(grad)
        if self.depth > 1:
            raise InvalidArgumentError("MaxPoolGrad is not supported on the depth dimension")
        axes = self.axes(x.shape[1:-1])
        self._check(grad, x.shape[0], axes, x.shape[-1])
        return self.back(pooling.maximum_gradient(x, grad, axes))

    def maximum_second(self, x: np.ndarray, y: np.ndarray, grad: np.ndarray) -> np.ndarray:
        x, y, grad = self.last(x), self.last(y), self.last(grad)
        if self.depth > 1:
            raise InvalidArgumentError("MaxPoolGradGrad is not supported on the depth dimension")
        axes = self.axes(x.shape[1:-1])
        self._check(y, x.shape[0], axes, x.shape[-1])
        if grad.shape != x.shape:
            raise ShapeError(f"grad must have the shape of orig_input {list(x.shape)}, received {list(grad.shape)} (channels last)")
        return self.back(pooling.pick_by_choice(grad, x, y, axes))

    @staticmethod
    def _check(grad: np.ndarray, batch: int, axes: Sequence[Axis], channels: int) -> None:
        expected = (batch, *(a.out for a in axes), channels)
        if grad.shape != expected:
            raise ShapeError(f"Expected grad shape to be {list(expected)} (channels last), but got {list(grad.shape)}")

    def average(self, x: np.ndarray) -> np.ndarray:
        if self.depth > 1:
            raise InvalidArgumentError("Non-spatial average pooling is not supported")
        x = self.last(x)
        return self.back(pooling.average(x, self.axes(x.shape[1:-1])))

    def average_gradient(self, shape: np.ndarray, grad: np.ndarray) -> np.ndarray:
        sizes = tuple(int(n) for n in np.ravel(shape))
        if len(sizes) != self.rank:
            raise ShapeError(f"orig_input_shape must have {self.rank} entries, received {list(sizes)}")
        if self.channels_first:
            sizes = (sizes[0], *sizes[2:], sizes[1])
        grad = self.last(grad)
        axes = self.axes(sizes[1:-1])
        self._check(grad, sizes[0], axes, sizes[-1])
        return self.back(pooling.average_gradient(sizes, grad, axes))


def window_of(attrs: Mapping[str, Any], rank: int) -> Window:
    """The window in complete `attrs`."""
    data_format = attrs.get("data_format", "NHWC")
    return Window(attrs["ksize"], attrs["strides"], attrs["padding"], data_format, attrs.get("explicit_paddings") or (), rank)


def _pooled_shape(rank: int) -> Callable[[infer.InferContext], Any]:
    return lambda ctx: window_of(ctx.schema.complete(ctx.attrs), rank).shape(ctx.shape(0))


# -- from attrs ------------------------------------------------------------------------------------------------------


def _method(name: str, rank: int) -> Callable[[Mapping[str, Any]], Callable[..., np.ndarray]]:
    return lambda attrs: getattr(window_of(attrs, rank), name)


def _gradient_of_max(rank: int) -> Callable[[Mapping[str, Any]], Callable[..., np.ndarray]]:
    def prepare(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
        window = window_of(attrs, rank)
        return lambda x, y, grad: window.maximum_gradient(x, grad)

    return prepare


for _record, _name, _rank in (
    (max_pool_op, "maximum", 4), (max_pool_3d_op, "maximum", 5), (avg_pool_op, "average", 4), (avg_pool_3d_op, "average", 5),
):  # fmt: skip
    _record.prepare(_method(_name, _rank))
    _record.infer(_pooled_shape(_rank))
for _record, _rank in ((avg_pool_grad_op, 4), (avg_pool_3d_grad_op, 5)):
    _record.prepare(_method("average_gradient", _rank))
    _record.infer(infer.shape_from_input(0))
for _record, _rank in ((max_pool_grad_op, 4), (max_pool_3d_grad_op, 5)):
    _record.prepare(_gradient_of_max(_rank))
    _record.infer(infer.unchanged)
for _record, _rank in ((max_pool_grad_grad_op, 4), (max_pool_3d_grad_grad_op, 5)):
    _record.prepare(_method("maximum_second", _rank))
    _record.infer(infer.like_input(1))


# -- windows as inputs -----------------------------------------------------------------------------------------------


@max_pool_v2_op.infer
def _(ctx: infer.InferContext) -> Any:
    ksize, strides = ctx.value(1), ctx.value(2)
    shape = ctx.shape(0).with_rank(4)
    if ksize is None or strides is None:
        dims = shape.as_list()
        return TensorShape([dims[0], None, None, None])
    return Window(ksize, strides, ctx.attr("padding"), ctx.attr("data_format")).shape(shape)


@max_pool_v2_op.kernel
def _(x: np.ndarray, ksize: np.ndarray, strides: np.ndarray, *, padding: bytes, data_format: bytes) -> Any:
    return Window(ksize, strides, padding, data_format).maximum(x)


max_pool_grad_v2_op.infer(infer.unchanged)


@max_pool_grad_v2_op.kernel
def _(x: np.ndarray, y: np.ndarray, grad: np.ndarray, ksize: np.ndarray, strides: np.ndarray, *, padding: bytes, data_format: bytes) -> Any:
    return Window(ksize, strides, padding, data_format).maximum_gradient(x, grad)


max_pool_grad_grad_v2_op.infer(infer.like_input(1))


@max_pool_grad_grad_v2_op.kernel
def _(x: np.ndarray, y: np.ndarray, grad: np.ndarray, ksize: np.ndarray, strides: np.ndarray, *, padding: bytes, data_format: bytes) -> Any:
    return Window(ksize, strides, padding, data_format).maximum_second(x, y, grad)


# -- gradients -------------------------------------------------------------------------------------------------------


def _attrs(node: Any, *names: str) -> dict[str, Any]:
    return {n: node.attr(n) for n in names}


_NAMES = ("ksize", "strides", "padding", "data_format")


def _average_gradients(forward: Op, backward: Op, name: str) -> None:
    @forward.gradient
    def _(node: Any, grad: Any) -> Any:
        return getattr(raw, backward.name)(tf.shape(node.inputs[0]), grad, **_attrs(node, *_NAMES))

    @backward.gradient
    def _(node: Any, grad: Any) -> Any:
        return None, getattr(raw, forward.name)(grad, **_attrs(node, *_NAMES))


_average_gradients(avg_pool_op, avg_pool_grad_op, "AvgPool")
_average_gradients(avg_pool_3d_op, avg_pool_3d_grad_op, "AvgPool3D")


def _maximum_gradients(forward: Op, backward: Op, second: Op, names: tuple[str, ...]) -> None:
    @forward.gradient
    def _(node: Any, grad: Any) -> Any:
        return getattr(raw, backward.name)(node.inputs[0], node.outputs[0], grad, **_attrs(node, *names))

    @backward.gradient
    def _(node: Any, grad: Any) -> Any:
        x, y, _ = node.inputs
        return raw.ZerosLike(x), raw.ZerosLike(y), getattr(raw, second.name)(x, y, grad, **_attrs(node, *_NAMES))

    @second.gradient
    def _(node: Any, grad: Any) -> Any:
        x, y, _ = node.inputs
        return raw.ZerosLike(x), raw.ZerosLike(y), getattr(raw, backward.name)(x, y, grad, **_attrs(node, *_NAMES))


_maximum_gradients(max_pool_op, max_pool_grad_op, max_pool_grad_grad_op, (*_NAMES, "explicit_paddings"))
_maximum_gradients(max_pool_3d_op, max_pool_3d_grad_op, max_pool_3d_grad_grad_op, _NAMES)


@max_pool_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, ksize, strides = node.inputs
    return raw.MaxPoolGradV2(x, node.outputs[0], grad, ksize, strides, **_attrs(node, "padding", "data_format")), None, None


@max_pool_grad_v2_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, y, _, ksize, strides = node.inputs
    second = raw.MaxPoolGradGradV2(x, y, grad, ksize, strides, **_attrs(node, "padding", "data_format"))
    return raw.ZerosLike(x), raw.ZerosLike(y), second, None, None


max_pool_grad_grad_v2_op.not_differentiable()


# -- with argmax -----------------------------------------------------------------------------------------------------


@argmax_op.infer
def _(ctx: infer.InferContext) -> Any:
    shape = window_of(ctx.schema.complete(ctx.attrs), 4).shape(ctx.shape(0)) if ctx.rank(0) is not None else unknown_shape(4)
    return [shape, shape]


@argmax_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., Any]:
    window = window_of(attrs, 4)
    with_batch, kind = attrs["include_batch_in_index"], attrs["Targmax"].numpy

    def kernel(x: np.ndarray) -> Any:
        x = window.last(x)
        best, where = pooling.maximum_choice(x, window.axes(x.shape[1:-1]))
        where *= x.shape[-1]
        where += np.arange(x.shape[-1])
        if with_batch:
            per_image = x.shape[1] * x.shape[2] * x.shape[3]
            where += (np.arange(len(x), dtype=np.int64) * per_image)[:, None, None, None]
        return best, where.astype(kind, copy=False)

    return kernel


@argmax_op.gradient
def _(node: Any, grad: Any, _: Any) -> Any:
    return raw.MaxPoolGradWithArgmax(
        node.inputs[0], grad, node.outputs[1], **_attrs(node, "ksize", "strides", "padding", "include_batch_in_index")
    )


def _flat_index(argmax: np.ndarray, x: np.ndarray, with_batch: bool) -> np.ndarray:
    index = argmax.astype(np.int64)
    if not with_batch:
        per_image = x[0].size if len(x) else 0
        index = index + (np.arange(len(x), dtype=np.int64) * per_image)[:, None, None, None]
    if index.size and (index.min() < 0 or index.max() >= x.size):
        raise InvalidArgumentError(f"argmax must lie inside of the {x.size} cells of the input, received {index.min()} … {index.max()}")
    return index


argmax_grad_op.infer(infer.unchanged)


@argmax_grad_op.kernel
def _(x: np.ndarray, grad: np.ndarray, argmax: np.ndarray, *, include_batch_in_index: bool) -> Any:
    if grad.shape != argmax.shape:
        raise ShapeError(f"grad and argmax must have one shape, received {list(grad.shape)} and {list(argmax.shape)}")
    wide = grad.astype(np.float32) if grad.dtype.itemsize < 4 and grad.dtype.kind in "fV" else grad
    out = np.zeros(x.size, wide.dtype)
    np.add.at(out, _flat_index(argmax, x, include_batch_in_index).ravel(), wide.ravel())
    return out.reshape(x.shape).astype(grad.dtype, copy=False)


@argmax_grad_grad_op.infer
def _(ctx: infer.InferContext) -> Any:
    return ctx.shape(2)


@argmax_grad_grad_op.kernel
def _(x: np.ndarray, grad: np.ndarray, argmax: np.ndarray, *, include_batch_in_index: bool) -> Any:
    return grad.ravel()[_flat_index(argmax, x, include_batch_in_index)]


@argmax_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, _, argmax = node.inputs
    second = raw.MaxPoolGradGradWithArgmax(x, grad, argmax, **_attrs(node, "ksize", "strides", "padding", "include_batch_in_index"))
    return raw.ZerosLike(x), second, None
