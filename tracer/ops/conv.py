"""Conv2D, Conv3D, the newer Conv and their backprop ops: records, kernels, gradients. The functions of `tf.nn` are in conv_functions.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tracer import convolution, infer
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import tf
from tracer.registry import Op, op
from tracer.shapes import TensorShape, unknown_shape
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
_NUMBERS = "{half, bfloat16, float, double, int32}"
_ATTRS_2D = (
    "strides: list(int); use_cudnn_on_gpu: bool = true; padding: {'SAME', 'VALID', 'EXPLICIT'}; explicit_paddings: list(int) = []; "
    "data_format: {'NHWC', 'NCHW'} = \"NHWC\"; dilations: list(int) = [1, 1, 1, 1]"
)
_ATTRS_3D = (
    "strides: list(int) >= 5; padding: {'SAME', 'VALID'}; data_format: {'NDHWC', 'NCDHW'} = \"NDHWC\"; "
    "dilations: list(int) = [1, 1, 1, 1, 1]"
)
_ATTRS_3D_OLD = "strides: list(int) >= 5; padding: {'SAME', 'VALID'}; dilations: list(int) = [1, 1, 1, 1, 1]"

conv2d_op = op(f"Conv2D(input: T, filter: T) -> (output: T); T: {_NUMBERS}; {_ATTRS_2D}")
conv2d_input_op = op(
    f"Conv2DBackpropInput(input_sizes: int32, filter: T, out_backprop: T) -> (output: T); T: {_NUMBERS}; {_ATTRS_2D}"
)
conv2d_filter_op = op(f"Conv2DBackpropFilter(input: T, filter_sizes: int32, out_backprop: T) -> (output: T); T: {_FLOATS}; {_ATTRS_2D}")
conv2d_input_v2_op = op(f"Conv2DBackpropInputV2(input: T, filter: T, out_backprop: T) -> (output: T); T: {_NUMBERS}; {_ATTRS_2D}")
conv2d_filter_v2_op = op(f"Conv2DBackpropFilterV2(input: T, filter: T, out_backprop: T) -> (output: T); T: {_FLOATS}; {_ATTRS_2D}")
conv3d_op = op(f"Conv3D(input: T, filter: T) -> (output: T); T: {_FLOATS}; {_ATTRS_3D}")
conv3d_input_op = op(
    "Conv3DBackpropInputV2(input_sizes: Tshape, filter: T, out_backprop: T) -> (output: T); "
    f"T: {_FLOATS}; {_ATTRS_3D}; Tshape: {{int32, int64}} = int32"
)
conv3d_filter_op = op(
    f"Conv3DBackpropFilterV2(input: T, filter_sizes: int32, out_backprop: T) -> (output: T); T: {_FLOATS}; {_ATTRS_3D}"
)
conv3d_input_old_op = op(
    f"Conv3DBackpropInput(input: T, filter: T, out_backprop: T) -> (output: T); T: {{half, float, double}}; {_ATTRS_3D_OLD}"
)
conv3d_filter_old_op = op(
    f"Conv3DBackpropFilter(input: T, filter: T, out_backprop: T) -> (output: T); T: {{half, float, double}}; {_ATTRS_3D_OLD}"
)
conv_op = op(
    f"Conv(input: T, filter: T) -> (output: T); T: {_NUMBERS}; strides: list(int); padding: {{'SAME', 'VALID', 'EXPLICIT'}}; "
    "explicit_paddings: list(int) = []; data_format: {'CHANNELS_FIRST', 'CHANNELS_LAST'} = \"CHANNELS_LAST\"; "
    "dilations: list(int) = []; batch_dims: int = 1; groups: int = 1"
)


# -- geometry of one node --------------------------------------------------------------------------------------------


class Geometry:
    """What the attrs of a convolution say, checked once; gives the axes for actual sizes and remembers them."""

    def __init__(self, attrs: Mapping[str, Any], rank: int, default_format: str):
        self.rank = rank
        self.data_format = text_attr(attrs.get("data_format", default_format))
        dilations = list(attrs.get("dilations") or [1] * rank)
        strides = list(attrs["strides"])
        check_unit("strides", strides, self.data_format, rank)
        check_unit("dilations", dilations, self.data_format, rank)
        self.strides = spatial(strides, self.data_format)
        self.dilations = spatial(dilations, self.data_format)
        self.padding = text_attr(attrs["padding"])
        explicit = attrs.get("explicit_paddings") or []
        if self.padding == "EXPLICIT":
            self.explicit: list[tuple[int, int]] | None = split_explicit(explicit, self.data_format, rank)
        else:
            if any(explicit):
                raise InvalidArgumentError(f"explicit_paddings are for padding EXPLICIT only, received padding {self.padding} and {explicit}")
            self.explicit = None
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
        """`x` with channels last."""
        return x.transpose(to_channels_last(self.rank)) if self.channels_first else x

    def back(self, x: np.ndarray) -> np.ndarray:
        """A result with channels last, in the data format."""
        return np.ascontiguousarray(x.transpose(from_channels_last(self.rank))) if self.channels_first else x

    def sizes_last(self, sizes: Any) -> tuple[int, ...]:
        """Sizes of a tensor in the data format, with channels last."""
        values = tuple(int(n) for n in sizes)
        return (values[0], *values[2:], values[1]) if self.channels_first else values


def groups_of(channels: int, depth: int, features: int) -> int:
    """How many groups a filter of `depth` input channels makes of `channels`.

    Raises:
        ShapeError: channels or features cannot be cut so.
    """
    if depth < 1 or channels % depth:
        if channels == depth == 0:
            return 1
        raise ShapeError(f"input depth must be evenly divisible by filter depth: {channels} vs {depth}")
    groups = max(1, channels // depth)
    if features % groups:
        raise ShapeError(f"output depth must be evenly divisible by number of groups: {features} vs {groups}")
    return groups


def _check_rank(what: str, x: np.ndarray, rank: int) -> None:
    if x.ndim != rank:
        raise ShapeError(f"{what} must be {rank}-dimensional: {list(x.shape)}")


def prepare_forward(attrs: Mapping[str, Any], rank: int, default_format: str) -> Callable[..., np.ndarray]:
    """A kernel for x, filter → output with the geometry of `attrs`; it takes `finish` as `tracer.convolution.forward` does."""
    geometry = Geometry(attrs, rank, default_format)

    def kernel(x: np.ndarray, w: np.ndarray, finish: convolution.Finish | None = None) -> np.ndarray:
        _check_rank("input", x, rank)
        _check_rank("filter", w, rank)
        x = geometry.last(x)
        groups = groups_of(x.shape[-1], w.shape[-2], w.shape[-1])
        axes = geometry.axes(x.shape[1:-1], w.shape[:-2])
        return geometry.back(convolution.forward(x, w, axes, groups, finish))

    return kernel


def _prepare_backward_input(attrs: Mapping[str, Any], rank: int, default_format: str, by_shape: bool) -> Callable[..., np.ndarray]:
    geometry = Geometry(attrs, rank, default_format)

    def kernel(sizes: np.ndarray, w: np.ndarray, dy: np.ndarray) -> np.ndarray:
        _check_rank("filter", w, rank)
        _check_rank("out_backprop", dy, rank)
        wanted = sizes.shape if by_shape else _input_sizes(sizes, w, dy, geometry)
        full = geometry.sizes_last(wanted)
        dy = geometry.last(dy)
        axes = geometry.axes(full[1:-1], w.shape[:-2])
        _check_grad(dy, full[0], axes, w.shape[-1])
        groups = groups_of(full[-1], w.shape[-2], w.shape[-1])
        return geometry.back(convolution.backward_input(w, dy, axes, full[-1], groups))

    return kernel


def _input_sizes(sizes: np.ndarray, w: np.ndarray, dy: np.ndarray, geometry: Geometry) -> tuple[int, ...]:
    """The full sizes: as given, or spatial ones completed with the batch of `dy` and the filter's channels (2-D only)."""
    values = tuple(int(n) for n in np.ravel(sizes))
    if len(values) == geometry.rank:
        return values
    if len(values) == geometry.rank - 2:
        batch, channels = dy.shape[0], w.shape[-2]
        return (batch, channels, *values) if geometry.channels_first else (batch, *values, channels)
    raise ShapeError(f"input_sizes must have {geometry.rank} entries (or {geometry.rank - 2}: the spatial ones), received {list(values)}")


def _check_grad(dy: np.ndarray, batch: int, axes: tuple[Axis, ...], features: int) -> None:
    expected = (batch, *(a.out for a in axes), features)
    if dy.shape != expected:
        raise ShapeError(
            f"Size of out_backprop doesn't match computed: expected {list(expected)} (channels last), received {list(dy.shape)}"
        )


def _prepare_backward_filter(attrs: Mapping[str, Any], rank: int, default_format: str, by_shape: bool) -> Callable[..., np.ndarray]:
    geometry = Geometry(attrs, rank, default_format)

    def kernel(x: np.ndarray, sizes: np.ndarray, dy: np.ndarray) -> np.ndarray:
        _check_rank("input", x, rank)
        _check_rank("out_backprop", dy, rank)
        shape = tuple(sizes.shape) if by_shape else tuple(int(n) for n in np.ravel(sizes))
        if len(shape) != rank:
            raise ShapeError(f"filter_sizes must have {rank} entries, received {list(shape)}")
        x, dy = geometry.last(x), geometry.last(dy)
        axes = geometry.axes(x.shape[1:-1], shape[:-2])
        _check_grad(dy, x.shape[0], axes, shape[-1])
        groups = groups_of(x.shape[-1], shape[-2], shape[-1])
        return convolution.backward_filter(x, dy, axes, groups)

    return kernel


# -- shapes ----------------------------------------------------------------------------------------------------------


def conv_shape(x: TensorShape, w: TensorShape, attrs: Mapping[str, Any], rank: int, default_format: str) -> TensorShape:
    """The static shape of a convolution's output; `attrs` complete."""
    x, w = x.with_rank(rank), w.with_rank(rank)
    geometry = Geometry(attrs, rank, default_format)
    dims = x.as_list()
    space = dims[2:] if geometry.channels_first else dims[1:-1]
    channels = dims[1] if geometry.channels_first else dims[-1]
    depth, features = w[-2], w[-1]
    if channels is not None and depth is not None:
        groups_of(channels, depth, features if features is not None else 0)
    pads = geometry.explicit or [(0, 0)] * len(space)
    out = [
        static_output_size(n, k, s, d, geometry.padding, p)
        for n, k, s, d, p in zip(space, w.as_list()[:-2], geometry.strides, geometry.dilations, pads)
    ]
    return TensorShape([dims[0], features, *out] if geometry.channels_first else [dims[0], *out, features])


def _complete(ctx: infer.InferContext) -> dict[str, Any]:
    return ctx.schema.complete(ctx.attrs)


def _input_shape(rank: int) -> Callable[[infer.InferContext], Any]:
    def rule(ctx: infer.InferContext) -> Any:
        sizes = ctx.value_as_shape(0)
        w, dy = ctx.shape(1).with_rank(rank), ctx.shape(2).with_rank(rank)
        if sizes.rank == rank - 2 and rank == 4:
            first = is_channels_first(text_attr(ctx.attr("data_format")))
            dims = sizes.as_list()
            return TensorShape([dy[0], w[-2], *dims] if first else [dy[0], *dims, w[-2]])
        return sizes.with_rank(rank)

    return rule


def _register(record: Op, rank: int, default_format: str, kind: str) -> None:
    if kind == "forward":
        record.prepare(lambda attrs: prepare_forward(attrs, rank, default_format))
        record.infer(lambda ctx: conv_shape(ctx.shape(0), ctx.shape(1), _complete(ctx), rank, default_format))
    elif kind == "input":
        record.prepare(lambda attrs: _prepare_backward_input(attrs, rank, default_format, False))
        record.infer(_input_shape(rank))
    elif kind == "filter":
        record.prepare(lambda attrs: _prepare_backward_filter(attrs, rank, default_format, False))
        record.infer(lambda ctx: ctx.value_as_shape(1).with_rank(rank))
    elif kind == "input_like":
        record.prepare(lambda attrs: _prepare_backward_input(attrs, rank, default_format, True))
        record.infer(infer.unchanged)
    else:
        record.prepare(lambda attrs: _prepare_backward_filter(attrs, rank, default_format, True))
        record.infer(infer.like_input(1))


for _record, _rank, _format, _kind in (
    (conv2d_op, 4, "NHWC", "forward"),
    (conv2d_input_op, 4, "NHWC", "input"),
    (conv2d_filter_op, 4, "NHWC", "filter"),
    (conv2d_input_v2_op, 4, "NHWC", "input_like"),
    (conv2d_filter_v2_op, 4, "NHWC", "filter_like"),
    (conv3d_op, 5, "NDHWC", "forward"),
    (conv3d_input_op, 5, "NDHWC", "input"),
    (conv3d_filter_op, 5, "NDHWC", "filter"),
    (conv3d_input_old_op, 5, "NDHWC", "input_like"),
    (conv3d_filter_old_op, 5, "NDHWC", "filter_like"),
):
    _register(_record, _rank, _format, _kind)


# -- gradients -------------------------------------------------------------------------------------------------------


def _same_attrs(node: Any, *names: str) -> dict[str, Any]:
    return {n: node.attr(n) for n in names}


_NAMES_2D = ("strides", "padding", "explicit_paddings", "use_cudnn_on_gpu", "data_format", "dilations")
_NAMES_3D = ("strides", "padding", "data_format", "dilations")


def _forward_gradient(by_input: str, by_filter: str, names: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    def gradient(node: Any, grad: Any) -> Any:
        x, w = node.inputs
        attrs = _same_attrs(node, *names)
        return getattr(raw, by_input)(tf.shape(x), w, grad, **attrs), getattr(raw, by_filter)(x, tf.shape(w), grad, **attrs)

    return gradient


def _input_gradient(forward: str, by_filter: str, names: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    def gradient(node: Any, grad: Any) -> Any:
        _, w, dy = node.inputs
        attrs = _same_attrs(node, *names)
        return None, getattr(raw, by_filter)(grad, tf.shape(w), dy, **attrs), getattr(raw, forward)(grad, w, **attrs)

    return gradient


def _filter_gradient(forward: str, by_input: str, names: tuple[str, ...]) -> Callable[[Any, Any], Any]:
    def gradient(node: Any, grad: Any) -> Any:
        x, _, dy = node.inputs
        attrs = _same_attrs(node, *names)
        return getattr(raw, by_input)(tf.shape(x), grad, dy, **attrs), None, getattr(raw, forward)(x, grad, **attrs)

    return gradient


conv2d_op.gradient(_forward_gradient("Conv2DBackpropInput", "Conv2DBackpropFilter", _NAMES_2D))
conv2d_input_op.gradient(_input_gradient("Conv2D", "Conv2DBackpropFilter", _NAMES_2D))
conv2d_filter_op.gradient(_filter_gradient("Conv2D", "Conv2DBackpropInput", _NAMES_2D))
conv3d_op.gradient(_forward_gradient("Conv3DBackpropInputV2", "Conv3DBackpropFilterV2", _NAMES_3D))
conv3d_input_op.gradient(_input_gradient("Conv3D", "Conv3DBackpropFilterV2", _NAMES_3D))
conv3d_filter_op.gradient(_filter_gradient("Conv3D", "Conv3DBackpropInputV2", _NAMES_3D))


# -- Conv: any number of spatial axes, several batch axes, explicit groups -------------------------------------------


@conv_op.infer
def _(ctx: infer.InferContext) -> Any:
    x, w = ctx.shape(0), ctx.shape(1)
    if x.rank is None or w.rank is None:
        return unknown_shape(x.rank)
    batch_dims = ctx.attr("batch_dims")
    attrs = _complete(ctx)
    inner = TensorShape([1, *x.as_list()[batch_dims:]])
    out = conv_shape(inner, w, attrs, inner.rank, "CHANNELS_LAST")
    return x[:batch_dims].concatenate(out[1:])


@conv_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    batch_dims, groups = attrs["batch_dims"], attrs["groups"]
    known: dict[int, Callable[..., np.ndarray]] = {}

    def kernel(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        flat = x.reshape(-1, *x.shape[batch_dims:])
        channel = 1 if attrs["data_format"] == b"CHANNELS_FIRST" else -1
        if flat.shape[channel] != groups * w.shape[-2]:
            raise ShapeError(
                f"the input must have groups × filter depth = {groups} × {w.shape[-2]} channels, received {flat.shape[channel]}"
            )
        run = known.get(flat.ndim)
        if run is None:
            run = known[flat.ndim] = prepare_forward(attrs, flat.ndim, "CHANNELS_LAST")
        out = run(flat, w)
        return out.reshape(*x.shape[:batch_dims], *out.shape[1:])

    return kernel


conv_op.not_differentiable()
