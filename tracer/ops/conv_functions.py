"""The functions of `tf.nn` over convolutions: conv1d … conv3d, convolution, their transposes, depthwise, separable and atrous forms.

The ops are in conv.py and depthwise.py. Dilated convolutions go through SpaceToBatchND where TensorFlow's do, so that TensorFlow's CPU
kernels can run (and differentiate) what is recorded here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer.dispatch import name_scope, raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.infer import constant_value
from tracer.public import public, tf
from tracer.tensor import Tensor, convert_to_tensor
from tracer.windows import is_channels_first

_LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
_FIRST = {1: "NCW", 2: "NCHW", 3: "NCDHW"}


def _first(data_format: str | None) -> bool:
    return data_format is not None and is_channels_first(data_format)


def _sequence(value: Any, n: int, first: bool, what: str) -> list[int]:
    """Strides or dilations as n + 2 entries, given one, n or n + 2 of them."""
    if value is None:
        return [1] * (n + 2)
    values = [int(v) for v in np.ravel(value)]
    if len(values) == n + 2:
        return values
    if len(values) == 1:
        values = values * n
    elif len(values) != n:
        raise InvalidArgumentError(f"{what} should be of length 1, {n} or {n + 2}, received {value!r}")
    return [1, 1, *values] if first else [1, *values, 1]


def _padding(padding: Any, rank: int) -> tuple[str, list[int]]:
    """The attrs `padding` and `explicit_paddings` of a padding argument: a word, or a list of (before, after) for every axis."""
    if isinstance(padding, str):
        if padding == "EXPLICIT":
            raise InvalidArgumentError("'EXPLICIT' is not a valid padding argument; give a list of (before, after) pairs instead")
        return padding.upper() if padding.lower() in ("same", "valid") else padding, []
    pairs = [list(p) for p in padding]
    if len(pairs) != rank or any(len(p) != 2 for p in pairs):
        raise InvalidArgumentError(f"padding must be 'SAME', 'VALID' or a list of {rank} (before, after) pairs, received {padding!r}")
    return "EXPLICIT", [int(n) for p in pairs for n in p]


def _over_outer(x: Any, inner: int, run: Callable[[Any], Any]) -> Any:
    """`run` on `x` with its leading axes flattened to one, where there is more than one; `inner` axes are left alone."""
    rank = x.shape.rank
    if rank is None or rank <= inner + 1:
        return run(x)
    outer = x.shape[: rank - inner]
    inner_shape = x.shape[rank - inner :]
    size = tf.shape(x)
    flat = tf.reshape(x, [-1, *inner_shape.as_list()] if inner_shape.is_fully_defined() else tf.concat([[-1], size[rank - inner :]], 0))
    out = run(flat)
    shape = out.shape[1:]
    tail = shape.as_list() if shape.is_fully_defined() else tf.shape(out)[1:]
    head = outer.as_list() if outer.is_fully_defined() else size[: rank - inner]
    result = tf.reshape(out, head + tail if isinstance(head, list) and isinstance(tail, list) else tf.concat([head, tail], 0))
    result.set_shape(outer.concatenate(shape))
    return result


# -- plain -----------------------------------------------------------------------------------------------------------


@public("nn.conv1d")
def conv1d(
    input: Any, filters: Any, stride: Any, padding: Any, data_format: str | None = "NWC", dilations: Any = None, name: str | None = None
) -> Any:
    """1-D convolution, recorded as Conv2D of height 1.

    Args:
        input: [batch…, width, channels] (NWC) or [batch…, channels, width] (NCW).
        filters: [width, channels in, channels out].
    """
    with name_scope(name or "conv1d") as scope:
        first = _channels_first_1d(data_format)
        strides = [1, *_sequence(stride, 1, first, "stride")]
        dilations = [1, *_sequence(dilations, 1, first, "dilations")]
        if not isinstance(padding, str):
            pairs = [list(p) for p in padding]
            padding = [*pairs[:2], [0, 0], pairs[2]] if first and len(pairs) == 3 else [pairs[0], [0, 0], *pairs[1:]]
        words, explicit = _padding(padding, 4)
        axis = -2 if first else -3
        value = tf.expand_dims(input, axis)
        filters = tf.expand_dims(filters, 0)
        out = _over_outer(
            value,
            3,
            lambda x: raw.Conv2D(
                x,
                filters,
                strides=_height_one(strides, first),
                padding=words,
                explicit_paddings=explicit,
                data_format="NCHW" if first else "NHWC",
                dilations=_height_one(dilations, first),
                name=scope or name,
            ),
        )
        return tf.squeeze(out, [axis])


def _height_one(values: list[int], first: bool) -> list[int]:
    """[1, batch, …] of a 1-D list as four entries in the data format."""
    return [values[1], values[2], 1, values[3]] if first else [values[1], 1, values[2], values[3]]


def _channels_first_1d(data_format: str | None) -> bool:
    if data_format in (None, "NWC", "NHWC"):
        return False
    if data_format in ("NCW", "NCHW"):
        return True
    raise InvalidArgumentError(f"`data_format` must be 'NWC' or 'NCW'. Received: data_format={data_format}")


@public("nn.conv2d")
def conv2d(
    input: Any, filters: Any, strides: Any, padding: Any, data_format: str = "NHWC", dilations: Any = None, name: str | None = None
) -> Any:
    """2-D convolution (cross-correlation).

    Args:
        input: [batch…, height, width, channels] or, for NCHW, [batch, channels, height, width].
        filters: [height, width, channels in / groups, channels out].
        strides, dilations: an int, one per spatial axis, or one per axis.
        padding: SAME, VALID, or (before, after) pairs for every axis.
    """
    first = _first(data_format)
    words, explicit = _padding(padding, 4)
    strides, dilations = _sequence(strides, 2, first, "strides"), _sequence(dilations, 2, first, "dilations")
    filters = convert_to_tensor(filters)
    x = convert_to_tensor(input)
    return _over_outer(
        x,
        3,
        lambda v: raw.Conv2D(
            v, filters, strides=strides, padding=words, explicit_paddings=explicit, data_format=data_format or "NHWC",
            dilations=dilations, name=name,
        ),
    )  # fmt: skip


@public("nn.conv3d")
def conv3d(
    input: Any, filters: Any, strides: Any, padding: str, data_format: str = "NDHWC", dilations: Any = None, name: str | None = None
) -> Any:
    """3-D convolution of [batch…, depth, height, width, channels] with [depth, height, width, channels in, channels out]."""
    first = _first(data_format)
    strides, dilations = _sequence(strides, 3, first, "strides"), _sequence(dilations, 3, first, "dilations")
    filters = convert_to_tensor(filters)
    return _over_outer(
        convert_to_tensor(input),
        4,
        lambda v: raw.Conv3D(
            v, filters, strides=strides, padding=_word(padding), data_format=data_format or "NDHWC", dilations=dilations, name=name
        ),
    )


def _word(padding: Any) -> str:
    word = padding.upper() if isinstance(padding, str) else padding
    if word not in ("SAME", "VALID"):
        raise InvalidArgumentError(f"padding must be 'SAME' or 'VALID', received {padding!r}")
    return word


# -- dilation through batches ----------------------------------------------------------------------------------------


def with_space_to_batch(
    x: Any, dilations: Sequence[int], padding: Any, run: Callable[[Any, Any], Any], kernel: Any, axes: Sequence[int], rank: int
) -> Any:
    """`run(x, padding)` with a dilated window: cells that a window reads together are moved into images of their own.

    Args:
        dilations: one per spatial axis.
        kernel: window size per spatial axis, ints or a tensor (read with padding SAME only).
        axes: the spatial axes.
        rank: the rank of `x`.
    """
    if all(d == 1 for d in dilations):
        return run(x, padding)
    words, explicit = _padding(padding, rank)
    if words == "SAME":
        extra = [(kernel[i] - 1) * d for i, d in enumerate(dilations)]
        base = [[e // 2, e - e // 2] for e in extra]
    elif words == "VALID":
        base = [[0, 0] for _ in dilations]
    else:
        base = [[explicit[2 * a], explicit[2 * a + 1]] for a in axes]
    sizes = [x.shape[a] if x.shape.rank is not None else None for a in axes]
    if any(s is None for s in sizes):
        now = tf.shape(x)
        sizes = [now[a] if s is None else s for a, s in zip(axes, sizes)]
    pads: list[Any] = []
    crops: list[Any] = []
    for size, (before, after), rate in zip(sizes, base, dilations):
        rest = -(size + before + after) % rate if isinstance(size, int) and isinstance(before, int) else _rest(size + before + after, rate)
        pads.append([before, after + rest])
        crops.append([0, rest])
    gap = axes[0] - 1
    block = [1] * gap + list(dilations)
    pads, crops = [[0, 0]] * gap + pads, [[0, 0]] * gap + crops
    inner = raw.SpaceToBatchND(x, block, _matrix(pads))
    return raw.BatchToSpaceND(run(inner, "VALID"), block, _matrix(crops))


def _rest(total: Any, rate: int) -> Any:
    return raw.FloorMod(raw.Neg(total), rate)


def _matrix(pairs: list[list[Any]]) -> Any:
    if any(isinstance(v, Tensor) for p in pairs for v in p):
        return tf.stack([tf.stack([tf.cast(v, tf.int32) for v in p]) for p in pairs])
    return convert_to_tensor(np.array(pairs, np.int32))


@public("nn.convolution")
def convolution(
    input: Any, filters: Any, strides: Any = None, padding: Any = "VALID", data_format: str | None = None, dilations: Any = None,
    name: str | None = None,
) -> Any:  # fmt: skip
    """Convolution in 1, 2 or 3 spatial dimensions, as many as the filter has.

    Raises:
        ValueError: rank unknown or not 3 to 5, or arguments of wrong length.
    """
    filters = filters if hasattr(filters, "shape") and hasattr(filters, "dtype") else convert_to_tensor(filters)
    x = convert_to_tensor(input)
    filters_rank = convert_to_tensor(filters).shape.rank
    n = filters_rank - 2 if filters_rank else (x.shape.rank - 2 if x.shape.rank else 0)
    if n not in (1, 2, 3):
        raise ShapeError(f"`num_spatial_dims` must be 1, 2, or 3; received input {x.shape} and filters of rank {filters_rank}")
    first = _first(data_format)
    strides, dilations = _sequence(strides, n, first, "strides"), _sequence(dilations, n, first, "dilations")
    run = {1: conv1d, 2: conv2d, 3: conv3d}[n]
    data_format = data_format or _LAST[n]
    with name_scope(name or "convolution"):
        if all(d == 1 for d in dilations):
            return run(x, filters, strides, padding, data_format, dilations)
        space = dilations[2:] if first else dilations[1:-1]
        start = 2 if first else 1
        batch_axes = (x.shape.rank - n - 1) if x.shape.rank else 1
        if batch_axes != 1:
            raise ShapeError(f"a dilated convolution takes one batch axis, received input of shape {x.shape}")
        filters = convert_to_tensor(filters)
        kernel: Any = filters.shape[:n].as_list() if filters.shape[:n].is_fully_defined() else tf.shape(filters)
        return with_space_to_batch(
            x, space, padding, lambda v, pad: run(v, filters, strides, pad, data_format), kernel, range(start, start + n), n + 2
        )


@public("nn.atrous_conv2d")
def atrous_conv2d(value: Any, filters: Any, rate: int, padding: str, name: str | None = None) -> Any:
    """2-D convolution with `rate - 1` holes between the filter's cells."""
    return convolution(value, filters, padding=padding, dilations=[rate, rate], name=name)


# -- transposed ------------------------------------------------------------------------------------------------------


def _sizes(output_shape: Any) -> Any:
    """An output shape as an int32 vector; entries may be tensors."""
    if isinstance(output_shape, (list, tuple)) and any(isinstance(v, Tensor) for v in output_shape):
        return tf.stack([tf.cast(v, tf.int32) for v in output_shape])
    shape = convert_to_tensor(output_shape, dtype_hint=tf.int32)
    return shape if shape.dtype == tf.int32 else tf.cast(shape, tf.int32)


@public("nn.conv1d_transpose")
def conv1d_transpose(
    input: Any, filters: Any, output_shape: Any, strides: Any, padding: str = "SAME", data_format: str | None = "NWC",
    dilations: Any = None, name: str | None = None,
) -> Any:  # fmt: skip
    """The transpose (gradient) of `conv1d`. filters: [width, channels out, channels in]."""
    with name_scope(name or "conv1d_transpose") as scope:
        first = _channels_first_1d(data_format)
        strides = [1, *_sequence(strides, 1, first, "stride")]
        dilations = [1, *_sequence(dilations, 1, first, "dilations")]
        axis = 2 if first else 1
        shape = _sizes(output_shape)
        shape = tf.concat([shape[:axis], [1], shape[axis:]], 0)
        out = raw.Conv2DBackpropInput(
            shape,
            tf.expand_dims(filters, 0),
            tf.expand_dims(input, axis),
            strides=_height_one(strides, first),
            padding=_word(padding),
            data_format="NCHW" if first else "NHWC",
            dilations=_height_one(dilations, first),
            name=scope or name,
        )
        return tf.squeeze(out, [axis])


@public("nn.conv2d_transpose")
def conv2d_transpose(
    input: Any, filters: Any, output_shape: Any, strides: Any, padding: Any = "SAME", data_format: str | None = "NHWC",
    dilations: Any = None, name: str | None = None,
) -> Any:  # fmt: skip
    """The transpose (gradient) of `conv2d`. filters: [height, width, channels out, channels in]."""
    first = _first(data_format)
    words, explicit = _padding(padding, 4)
    with name_scope(name or "conv2d_transpose") as scope:
        x = convert_to_tensor(input)
        return raw.Conv2DBackpropInput(
            _sizes(output_shape),
            convert_to_tensor(filters),
            x,
            strides=_sequence(strides, 2, first, "strides"),
            padding=words,
            explicit_paddings=explicit,
            data_format=data_format or "NHWC",
            dilations=_sequence(dilations, 2, first, "dilations"),
            name=scope or name,
        )


@public("nn.conv3d_transpose")
def conv3d_transpose(
    input: Any, filters: Any, output_shape: Any, strides: Any, padding: str = "SAME", data_format: str | None = "NDHWC",
    dilations: Any = None, name: str | None = None,
) -> Any:  # fmt: skip
    """The transpose (gradient) of `conv3d`. filters: [depth, height, width, channels out, channels in]."""
    first = _first(data_format)
    with name_scope(name or "conv3d_transpose") as scope:
        return raw.Conv3DBackpropInputV2(
            _sizes(output_shape),
            convert_to_tensor(filters),
            convert_to_tensor(input),
            strides=_sequence(strides, 3, first, "strides"),
            padding=_word(padding),
            data_format=data_format or "NDHWC",
            dilations=_sequence(dilations, 3, first, "dilations"),
            name=scope or name,
        )


@public("nn.conv_transpose")
def conv_transpose(
    input: Any, filters: Any, output_shape: Any, strides: Any, padding: Any = "SAME", data_format: str | None = None,
    dilations: Any = None, name: str | None = None,
) -> Any:  # fmt: skip
    """The transpose of `convolution`, for 1, 2 or 3 spatial dimensions.

    Raises:
        ValueError: the length of `output_shape` is not known or not 3 to 5.
    """
    shape = convert_to_tensor(_sizes(output_shape))
    length = shape.shape[0] if shape.shape.rank == 1 else None
    if length not in (3, 4, 5):
        raise InvalidArgumentError(f"output_shape must be a vector of known length 3, 4 or 5, received {output_shape!r}")
    run = {3: conv1d_transpose, 4: conv2d_transpose, 5: conv3d_transpose}[length]
    return run(input, filters, shape, strides, padding, data_format or _LAST[length - 2], dilations, name)


@public("nn.atrous_conv2d_transpose")
def atrous_conv2d_transpose(
    value: Any, filters: Any, output_shape: Any, rate: int, padding: str, name: str | None = None
) -> Any:
    """The transpose of `atrous_conv2d`; NHWC, stride 1."""
    if rate < 1:
        raise InvalidArgumentError(f"`rate` cannot be less than one. Received: rate={rate}")
    with name_scope(name or "atrous_conv2d_transpose"):
        value, filters = convert_to_tensor(value), convert_to_tensor(filters)
        if rate == 1:
            return conv2d_transpose(value, filters, output_shape, 1, padding)
        shape = _sizes(output_shape)
        known = constant_value(shape)
        sizes: list[Any] = [int(n) for n in known] if known is not None else [shape[i] for i in range(4)]
        kernel: Any = filters.shape[:2].as_list() if filters.shape[:2].is_fully_defined() else tf.shape(filters)
        low, high, extra, inner = [], [], [], []
        for i in range(2):
            total = (kernel[i] - 1) * rate if _word(padding) == "SAME" else 0
            full = sizes[i + 1] + total
            rest = -full % rate if isinstance(full, int) else _rest(full, rate)
            low.append(total // 2)
            high.append(total - total // 2)
            extra.append(rest)
            inner.append((full + rest) // rate)
        moved = raw.SpaceToBatchND(value, [rate, rate], _matrix([[0, extra[0]], [0, extra[1]]]))
        back = raw.Conv2DBackpropInput(
            _sizes([rate * rate * sizes[0], inner[0], inner[1], sizes[3]]), filters, moved, strides=[1, 1, 1, 1], padding="VALID"
        )
        return raw.BatchToSpaceND(back, [rate, rate], _matrix([[low[i], high[i] + extra[i]] for i in range(2)]))


# -- depthwise and separable -----------------------------------------------------------------------------------------


@public("nn.depthwise_conv2d")
def depthwise_conv2d(
    input: Any, filter: Any, strides: Any, padding: Any, data_format: str | None = None, dilations: Any = None, name: str | None = None
) -> Any:
    """Each channel convolved on its own.

    Args:
        filter: [height, width, channels, multiplier]; the result has channels · multiplier channels.
        strides: four entries.
        dilations: two entries, for height and width.
    """
    with name_scope(name or "depthwise"):
        x, w = convert_to_tensor(input), convert_to_tensor(filter)
        first = _first(data_format)
        rates = [1, 1] if dilations is None else [int(d) for d in np.ravel(dilations)]
        if len(rates) == 1:
            rates = rates * 2
        if len(rates) == 4:
            rates = rates[2:] if first else rates[1:3]
        strides = _sequence(strides, 2, first, "strides")

        def run(v: Any, pad: Any) -> Any:
            words, explicit = _padding(pad, 4)
            return raw.DepthwiseConv2dNative(
                v, w, strides=strides, padding=words, explicit_paddings=explicit, data_format=data_format or "NHWC"
            )

        kernel: Any = w.shape[:2].as_list() if w.shape[:2].is_fully_defined() else tf.shape(w)
        start = 2 if first else 1
        return with_space_to_batch(x, rates, padding, run, kernel, range(start, start + 2), 4)


@public("nn.separable_conv2d")
def separable_conv2d(
    input: Any, depthwise_filter: Any, pointwise_filter: Any, strides: Any, padding: Any, data_format: str | None = None,
    dilations: Any = None, name: str | None = None,
) -> Any:  # fmt: skip
    """A depthwise convolution followed by a 1×1 convolution over channels."""
    with name_scope(name or "separable_conv2d"):
        point = convert_to_tensor(pointwise_filter)
        point_shape = point.shape.with_rank(4)
        if any(d not in (1, None) for d in point_shape[:2]):
            raise ShapeError(f"the pointwise filter must be 1 × 1, received shape {point_shape}")
        inner = depthwise_conv2d(input, depthwise_filter, strides, padding, data_format, dilations)
        return raw.Conv2D(inner, point, strides=[1, 1, 1, 1], padding="VALID", data_format=data_format or "NHWC")


@public("nn.depthwise_conv2d_backprop_input")
def depthwise_conv2d_backprop_input(
    input_sizes: Any, filter: Any, out_backprop: Any, strides: Any, padding: Any, data_format: str = "NHWC",
    dilations: Sequence[int] = (1, 1, 1, 1), name: str | None = None,
) -> Any:  # fmt: skip
    """The gradient of `depthwise_conv2d` by its input."""
    words, explicit = _padding(padding, 4)
    return raw.DepthwiseConv2dNativeBackpropInput(
        input_sizes, filter, out_backprop, strides=list(strides), padding=words, explicit_paddings=explicit, data_format=data_format,
        dilations=list(dilations), name=name,
    )  # fmt: skip


@public("nn.depthwise_conv2d_backprop_filter")
def depthwise_conv2d_backprop_filter(
    input: Any, filter_sizes: Any, out_backprop: Any, strides: Any, padding: Any, data_format: str = "NHWC",
    dilations: Sequence[int] = (1, 1, 1, 1), name: str | None = None,
) -> Any:  # fmt: skip
    """The gradient of `depthwise_conv2d` by its filter."""
    words, explicit = _padding(padding, 4)
    return raw.DepthwiseConv2dNativeBackpropFilter(
        input, filter_sizes, out_backprop, strides=list(strides), padding=words, explicit_paddings=explicit, data_format=data_format,
        dilations=list(dilations), name=name,
    )  # fmt: skip
