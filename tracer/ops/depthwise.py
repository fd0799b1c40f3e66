"""DepthwiseConv2dNative and its backprop ops, Dilation2D and its backprop ops: records, kernels, gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tracer import depthwise, infer
from tracer.dispatch import name_scope, raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.pooling import lowest
from tracer.public import public, tf
from tracer.registry import op
from tracer.shapes import TensorShape
from tracer.windows import (
    Axis,
    axes_of,
    check_unit,
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
_ATTRS = (
    "strides: list(int); padding: {'SAME', 'VALID', 'EXPLICIT'}; explicit_paddings: list(int) = []; "
    "data_format: {'NHWC', 'NCHW'} = \"NHWC\"; dilations: list(int) = [1, 1, 1, 1]"
)
depthwise_op = op(f"DepthwiseConv2dNative(input: T, filter: T) -> (output: T); T: {_FLOATS}; {_ATTRS}")
depthwise_input_op = op(
    f"DepthwiseConv2dNativeBackpropInput(input_sizes: int32, filter: T, out_backprop: T) -> (output: T); T: {_FLOATS}; {_ATTRS}"
)
depthwise_filter_op = op(
    f"DepthwiseConv2dNativeBackpropFilter(input: T, filter_sizes: int32, out_backprop: T) -> (output: T); T: {_FLOATS}; {_ATTRS}"
)


class DepthwiseGeometry:
    """What the attrs of a depthwise convolution say, checked once; gives the axes for actual sizes."""

    def __init__(self, attrs: Mapping[str, Any]):
        self.data_format = text_attr(attrs["data_format"])
        check_unit("strides", attrs["strides"], self.data_format, 4)
        dilations = attrs.get("dilations") or [1, 1, 1, 1]
        check_unit("dilations", dilations, self.data_format, 4)
        self.strides, self.dilations = spatial(attrs["strides"], self.data_format), spatial(dilations, self.data_format)
        self.padding = text_attr(attrs["padding"])
        explicit = attrs.get("explicit_paddings") or []
        self.explicit = split_explicit(explicit, self.data_format, 4) if self.padding == "EXPLICIT" else None
        self.channels_first = is_channels_first(self.data_format)
        self._known: dict[tuple[Any, ...], tuple[Axis, ...]] = {}

    def axes(self, sizes: tuple[int, ...], kernels: tuple[int, ...]) -> tuple[Axis, ...]:
        found = self._known.get((sizes, kernels))
        if found is None:
            found = axes_of(sizes, kernels, self.strides, self.dilations, self.padding, self.explicit)
            if len(self._known) < 64:
                self._known[sizes, kernels] = found
        return found

    def last(self, x: np.ndarray) -> np.ndarray:
        if x.ndim != 4:
            raise ShapeError(f"input must be 4-dimensional: {list(x.shape)}")
        return x.transpose(to_channels_last(4)) if self.channels_first else x

    def back(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.transpose(from_channels_last(4))) if self.channels_first else x


def prepare_depthwise(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    """A kernel for x, filter → output; it takes `finish` as `tracer.depthwise.forward` does."""
    geometry = DepthwiseGeometry(attrs)

    def kernel(x: np.ndarray, w: np.ndarray, finish: depthwise.Finish | None = None) -> np.ndarray:
        x = geometry.last(x)
        if w.ndim != 4 or w.shape[2] != x.shape[-1]:
            raise ShapeError(f"input and filter must have the same depth: {x.shape[-1]} vs filter {list(w.shape)}")
        rows, columns = geometry.axes(x.shape[1:-1], w.shape[:2])
        return geometry.back(depthwise.forward(x, w, rows, columns, finish))

    return kernel


depthwise_op.prepare(prepare_depthwise)


@depthwise_op.infer
def _(ctx: infer.InferContext) -> Any:
    x, w = ctx.shape(0).with_rank(4), ctx.shape(1).with_rank(4)
    geometry = DepthwiseGeometry(ctx.schema.complete(ctx.attrs))
    dims = x.as_list()
    space, channels = (dims[2:], dims[1]) if geometry.channels_first else (dims[1:3], dims[3])
    depth = TensorShape([channels]).merge_with(w[2:3])[0]
    features = None if depth is None or w[3] is None else depth * w[3]
    pads = geometry.explicit or [(0, 0), (0, 0)]
    out = [
        static_output_size(n, k, s, d, geometry.padding, p)
        for n, k, s, d, p in zip(space, w.as_list()[:2], geometry.strides, geometry.dilations, pads)
    ]
    return TensorShape([dims[0], features, *out] if geometry.channels_first else [dims[0], *out, features])


def _check_grad(dy: np.ndarray, batch: int, rows: Axis, columns: Axis, depth: int) -> None:
    if dy.shape != (batch, rows.out, columns.out, depth):
        raise ShapeError(
            f"out_backprop must have shape {[batch, rows.out, columns.out, depth]} (channels last), received {list(dy.shape)}"
        )


@depthwise_input_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    geometry = DepthwiseGeometry(attrs)

    def kernel(sizes: np.ndarray, w: np.ndarray, dy: np.ndarray) -> np.ndarray:
        shape = tuple(int(n) for n in np.ravel(sizes))
        if len(shape) != 4:
            raise ShapeError(f"input_sizes must have 4 entries, received {list(shape)}")
        space = shape[2:] if geometry.channels_first else shape[1:3]
        channels = shape[1] if geometry.channels_first else shape[3]
        dy = geometry.last(dy)
        if w.ndim != 4 or w.shape[2] != channels:
            raise ShapeError(f"input and filter must have the same depth: {channels} vs filter {list(w.shape)}")
        rows, columns = geometry.axes(space, w.shape[:2])
        _check_grad(dy, shape[0], rows, columns, channels * w.shape[3])
        return geometry.back(depthwise.backward_input(w, dy, rows, columns))

    return kernel


depthwise_input_op.infer(infer.shape_from_input(0))


@depthwise_filter_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    geometry = DepthwiseGeometry(attrs)

    def kernel(x: np.ndarray, sizes: np.ndarray, dy: np.ndarray) -> np.ndarray:
        shape = tuple(int(n) for n in np.ravel(sizes))
        if len(shape) != 4:
            raise ShapeError(f"filter_sizes must have 4 entries, received {list(shape)}")
        x, dy = geometry.last(x), geometry.last(dy)
        if shape[2] != x.shape[-1]:
            raise ShapeError(f"input and filter must have the same depth: {x.shape[-1]} vs filter {list(shape)}")
        rows, columns = geometry.axes(x.shape[1:-1], shape[:2])
        _check_grad(dy, len(x), rows, columns, shape[2] * shape[3])
        return depthwise.backward_filter(x, dy, rows, columns, shape[3])

    return kernel


depthwise_filter_op.infer(infer.shape_from_input(1))


def _attrs(node: Any) -> dict[str, Any]:
    return {n: node.attr(n) for n in ("strides", "padding", "explicit_paddings", "data_format", "dilations")}


@depthwise_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, w = node.inputs
    return (
        raw.DepthwiseConv2dNativeBackpropInput(tf.shape(x), w, grad, **_attrs(node)),
        raw.DepthwiseConv2dNativeBackpropFilter(x, tf.shape(w), grad, **_attrs(node)),
    )


@depthwise_input_op.gradient
def _(node: Any, grad: Any) -> Any:
    _, w, dy = node.inputs
    by_filter = raw.DepthwiseConv2dNativeBackpropFilter(grad, tf.shape(w), dy, **_attrs(node))
    return None, by_filter, raw.DepthwiseConv2dNative(grad, w, **_attrs(node))


@depthwise_filter_op.gradient
def _(node: Any, grad: Any) -> Any:
    x, _, dy = node.inputs
    by_input = raw.DepthwiseConv2dNativeBackpropInput(tf.shape(x), grad, dy, **_attrs(node))
    return by_input, None, raw.DepthwiseConv2dNative(x, grad, **_attrs(node))


# -- grey-scale dilation ---------------------------------------------------------------------------------------------

_DILATION = "strides: list(int) >= 4; rates: list(int) >= 4; padding: {'SAME', 'VALID'}"
dilation_op = op(f"Dilation2D(input: T, filter: T) -> (output: T); T: {_NUMBERS}; {_DILATION}")
dilation_input_op = op(f"Dilation2DBackpropInput(input: T, filter: T, out_backprop: T) -> (in_backprop: T); T: {_NUMBERS}; {_DILATION}")
dilation_filter_op = op(
    f"Dilation2DBackpropFilter(input: T, filter: T, out_backprop: T) -> (filter_backprop: T); T: {_NUMBERS}; {_DILATION}"
)


def _dilation_axes(x: np.ndarray, w: np.ndarray, strides: list[int], rates: list[int], padding: bytes) -> tuple[Axis, ...]:
    if x.ndim != 4 or w.ndim != 3 or w.shape[2] != x.shape[3]:
        raise ShapeError(f"input must be [N, H, W, C] and filter [KH, KW, C], received {list(x.shape)} and {list(w.shape)}")
    check_unit("strides", strides, "NHWC", 4)
    check_unit("rates", rates, "NHWC", 4)
    return axes_of(x.shape[1:3], w.shape[:2], strides[1:3], rates[1:3], text_attr(padding))


@dilation_op.infer
def _(ctx: infer.InferContext) -> Any:
    x, w = ctx.shape(0).with_rank(4), ctx.shape(1).with_rank(3)
    strides, rates, padding = ctx.attr("strides"), ctx.attr("rates"), text_attr(ctx.attr("padding"))
    out = [static_output_size(x[i + 1], w[i], strides[i + 1], rates[i + 1], padding) for i in range(2)]
    return TensorShape([x[0], *out, x[3:4].merge_with(w[2:3])[0]])


def _taps(axes: tuple[Axis, ...]) -> list[tuple[int, int, tuple[slice, ...], tuple[slice, ...]]]:
    """(row tap, column tap, where in the output the tap exists, which input cells those are)."""
    found = []
    for a in range(axes[0].kernel):
        for b in range(axes[1].kernel):
            reach = [axes[0].reach(a), axes[1].reach(b)]
            if all(last > first for first, last, _ in reach):
                outs = tuple(slice(first, last) for first, last, _ in reach)
                ins = tuple(
                    slice(begin, begin + (last - first - 1) * axis.stride + 1, axis.stride)
                    for (first, last, begin), axis in zip(reach, axes)
                )
                found.append((a, b, (slice(None), *outs), (slice(None), *ins)))
    return found


def _dilate(x: np.ndarray, w: np.ndarray, axes: tuple[Axis, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The largest sum of each window, and which tap (row · KW + column) first has it."""
    shape = (len(x), axes[0].out, axes[1].out, x.shape[3])
    best = np.full(shape, lowest(x.dtype), x.dtype)
    choice = np.zeros(shape, np.int32)
    for a, b, outs, ins in _taps(axes):
        value = x[ins] + w[a, b]
        mask = value > best[outs]
        np.copyto(best[outs], value, where=mask)
        np.copyto(choice[outs], a * axes[1].kernel + b, where=mask)
    return best, choice


@dilation_op.kernel
def _(x: np.ndarray, w: np.ndarray, *, strides: list[int], rates: list[int], padding: bytes) -> Any:
    return _dilate(x, w, _dilation_axes(x, w, strides, rates, padding))[0]


dilation_input_op.infer(infer.unchanged)
dilation_filter_op.infer(infer.like_input(1))


@dilation_input_op.kernel
def _(x: np.ndarray, w: np.ndarray, dy: np.ndarray, *, strides: list[int], rates: list[int], padding: bytes) -> Any:
    axes = _dilation_axes(x, w, strides, rates, padding)
    choice = _dilate(x, w, axes)[1]
    if dy.shape != choice.shape:
        raise ShapeError(f"out_backprop must have shape {list(choice.shape)}, received {list(dy.shape)}")
    dx = np.zeros(x.shape, x.dtype)
    for a, b, outs, ins in _taps(axes):
        dx[ins] += np.where(choice[outs] == a * axes[1].kernel + b, dy[outs], dy.dtype.type(0))
    return dx


@dilation_filter_op.kernel
def _(x: np.ndarray, w: np.ndarray, dy: np.ndarray, *, strides: list[int], rates: list[int], padding: bytes) -> Any:
    axes = _dilation_axes(x, w, strides, rates, padding)
    choice = _dilate(x, w, axes)[1]
    if dy.shape != choice.shape:
        raise ShapeError(f"out_backprop must have shape {list(choice.shape)}, received {list(dy.shape)}")
    dw = np.zeros(w.shape, w.dtype)
    for a in range(w.shape[0]):
        for b in range(w.shape[1]):
            picked = np.where(choice == a * w.shape[1] + b, dy, dy.dtype.type(0))
            dw[a, b] = picked.reshape(-1, w.shape[2]).sum(axis=0)
    return dw


@dilation_op.gradient
def _(node: Any, grad: Any) -> Any:
    attrs = {n: node.attr(n) for n in ("strides", "rates", "padding")}
    x, w = node.inputs
    return raw.Dilation2DBackpropInput(x, w, grad, **attrs), raw.Dilation2DBackpropFilter(x, w, grad, **attrs)


def _quad(values: Any) -> list[int]:
    return [int(v) for v in np.ravel(values)]


@public("nn.dilation2d")
def dilation2d(input: Any, filters: Any, strides: Any, padding: str, data_format: str, dilations: Any, name: str | None = None) -> Any:
    """Grey-scale dilation: the largest input + filter of each window. input [N, H, W, C], filters [KH, KW, C]."""
    if data_format != "NHWC":
        raise InvalidArgumentError(f"`data_format` values other than 'NHWC' are not supported. Received: data_format={data_format}")
    return raw.Dilation2D(input, filters, strides=_quad(strides), rates=_quad(dilations), padding=padding, name=name)


@public("nn.erosion2d")
def erosion2d(value: Any, filters: Any, strides: Any, padding: str, data_format: str, dilations: Any, name: str | None = None) -> Any:
    """Grey-scale erosion: the smallest input - filter of each window; the dual of `dilation2d`."""
    if data_format != "NHWC":
        raise InvalidArgumentError(f"`data_format` values other than 'NHWC' are not supported. Received: data_format={data_format}")
    with name_scope(name or "erosion2d"):
        mirrored = tf.reverse(filters, [0, 1])
        out = raw.Dilation2D(raw.Neg(value), mirrored, strides=_quad(strides), rates=_quad(dilations), padding=padding)
        return raw.Neg(out)
