"""The functions of `tf.nn` over pooling, for one to three spatial dimensions. The ops are in pool.py and fractional_pool.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer.dispatch import name_scope, raw
from tracer.dtypes import int64
from tracer.errors import InvalidArgumentError
from tracer.public import public, tf
from tracer.tensor import convert_to_tensor
from tracer.windows import is_channels_first


def _entries(value: Any, n: int, first: bool, what: str) -> list[int]:
    """ksize or strides as n + 2 entries, given one, n or n + 2 of them."""
    values = [1] if value is None else [int(v) for v in np.ravel(value)]
    if len(values) == n + 2:
        return values
    if len(values) == 1:
        values = values * n
    elif len(values) != n:
        raise InvalidArgumentError(f"{what} should be of length 1, {n} or {n + 2}, received {value!r}")
    return [1, 1, *values] if first else [1, *values, 1]


def _first(data_format: str | None) -> bool:
    return data_format is not None and is_channels_first(data_format)


def _spatial_count(x: Any, data_format: str | None) -> int:
    """How many spatial axes there are, by the data format or the rank of the input."""
    rank = len(data_format) if data_format is not None else x.shape.rank
    if rank not in (3, 4, 5):
        raise InvalidArgumentError(f"the input must have 3 to 5 dimensions, received shape {x.shape} and data format {data_format}")
    return rank - 2


@public("nn.max_pool")
def max_pool(
    input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None, name: str | None = None
) -> Any:
    """The maximum over windows, with as many spatial axes as the input has."""
    x = convert_to_tensor(input)
    n = _spatial_count(x, data_format)
    if not isinstance(padding, str) and n != 2:
        raise InvalidArgumentError(f"explicit padding is for 2-D max pooling only, received {n} spatial axes")
    run = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}[n]
    return run(x, ksize, strides, padding, data_format or {1: "NWC", 2: "NHWC", 3: "NDHWC"}[n], name)


@public("nn.max_pool1d")
def max_pool1d(input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NWC", name: str | None = None) -> Any:
    """The maximum over windows of [batch, width, channels]."""
    return _one_dimensional(raw.MaxPool, "MaxPool1d", input, ksize, strides, padding, data_format, name)


def _one_dimensional(
    run: Any, default: str, input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None, name: str | None
) -> Any:
    with name_scope(name or default):
        first = _first(data_format)
        axis = 2 if first else 1

        def flat(value: Any, what: str) -> list[int]:
            entries = _entries(value, 1, first, what)
            return [*entries[:axis], 1, *entries[axis:]]

        out = run(
            tf.expand_dims(input, axis), ksize=flat(ksize, "ksize"), strides=flat(strides, "strides"), padding=padding,
            data_format="NCHW" if first else "NHWC",
        )  # fmt: skip
        return tf.squeeze(out, [axis])


@public("nn.max_pool2d")
def max_pool2d(input: Any, ksize: Any, strides: Any, padding: Any, data_format: str = "NHWC", name: str | None = None) -> Any:
    """The maximum over windows of [batch, height, width, channels]; padding may be (before, after) pairs for every axis."""
    first = _first(data_format)
    explicit: list[int] = []
    if not isinstance(padding, str):
        explicit = [int(n) for p in padding for n in p]
        padding = "EXPLICIT"
    elif padding == "EXPLICIT":
        raise InvalidArgumentError("'EXPLICIT' is not a valid padding argument; give a list of (before, after) pairs instead")
    return raw.MaxPool(
        input, ksize=_entries(ksize, 2, first, "ksize"), strides=_entries(strides, 2, first, "strides"), padding=padding,
        explicit_paddings=explicit, data_format=data_format or "NHWC", name=name,
    )  # fmt: skip


@public("nn.max_pool3d")
def max_pool3d(input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NDHWC", name: str | None = None) -> Any:
    """The maximum over windows of [batch, depth, height, width, channels]."""
    first = _first(data_format)
    return raw.MaxPool3D(
        input, ksize=_entries(ksize, 3, first, "ksize"), strides=_entries(strides, 3, first, "strides"), padding=padding,
        data_format=data_format or "NDHWC", name=name,
    )  # fmt: skip


@public("nn.avg_pool")
def avg_pool(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None = None, name: str | None = None
) -> Any:
    """The mean over windows, with as many spatial axes as the input has; padding does not count."""
    x = convert_to_tensor(input)
    n = _spatial_count(x, data_format)
    run = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}[n]
    return run(x, ksize, strides, padding, data_format or {1: "NWC", 2: "NHWC", 3: "NDHWC"}[n], name)


@public("nn.avg_pool1d")
def avg_pool1d(input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NWC", name: str | None = None) -> Any:
    """The mean over windows of [batch, width, channels]."""
    return _one_dimensional(raw.AvgPool, "AvgPool1D", input, ksize, strides, padding, data_format, name)


@public("nn.avg_pool2d")
def avg_pool2d(input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", name: str | None = None) -> Any:
    """The mean over windows of [batch, height, width, channels]."""
    first = _first(data_format)
    return raw.AvgPool(
        input, ksize=_entries(ksize, 2, first, "ksize"), strides=_entries(strides, 2, first, "strides"), padding=padding,
        data_format=data_format or "NHWC", name=name,
    )  # fmt: skip


@public("nn.avg_pool3d")
def avg_pool3d(input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NDHWC", name: str | None = None) -> Any:
    """The mean over windows of [batch, depth, height, width, channels]."""
    first = _first(data_format)
    return raw.AvgPool3D(
        input, ksize=_entries(ksize, 3, first, "ksize"), strides=_entries(strides, 3, first, "strides"), padding=padding,
        data_format=data_format or "NDHWC", name=name,
    )  # fmt: skip


@public("nn.max_pool_with_argmax")
def max_pool_with_argmax(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", output_dtype: Any = int64,
    include_batch_in_index: bool = False, name: str | None = None,
) -> Any:  # fmt: skip
    """The maximum over windows and the flat index of the cell that has it, ((b · height + y) · width + x) · channels + c."""
    if data_format != "NHWC":
        raise InvalidArgumentError(f"`data_format` values other than 'NHWC' are not supported. Received: data_format={data_format}")
    return raw.MaxPoolWithArgmax(
        input, ksize=_entries(ksize, 2, False, "ksize"), strides=_entries(strides, 2, False, "strides"), padding=padding,
        Targmax=output_dtype, include_batch_in_index=include_batch_in_index, name=name,
    )  # fmt: skip


@public("nn.pool")
def pool(
    input: Any, window_shape: Sequence[int], pooling_type: str, strides: Any = None, padding: str = "VALID",
    data_format: str | None = None, dilations: Any = None, name: str | None = None,
) -> Any:  # fmt: skip
    """Max or average pooling (`pooling_type` "MAX", "AVG") over 1 to 3 axes, with holes where `dilations` > 1.

    Raises:
        ValueError: SAME padding or strides together with dilations, or strides beyond the window.
    """
    window = [int(k) for k in window_shape]
    n = len(window)
    if n not in (1, 2, 3):
        raise InvalidArgumentError(f"`len(window_shape)` must be 1, 2, or 3. Received: window_shape={window}")
    if pooling_type not in ("MAX", "AVG"):
        raise InvalidArgumentError(f"pooling_type must be 'MAX' or 'AVG', received {pooling_type!r}")
    steps = [1] * n if strides is None else [int(s) for s in strides]
    rates = [1] * n if dilations is None else [int(d) for d in dilations]
    if len(steps) != n or len(rates) != n:
        raise InvalidArgumentError(f"strides and dilations must have {n} entries, received {strides} and {dilations}")
    if max(rates) > 1 and max(steps) > 1:
        raise InvalidArgumentError("`strides > 1` not supported in conjunction with `dilations > 1`")
    if max(rates) > 1 and padding == "SAME":
        raise InvalidArgumentError("pooling with 'SAME' padding is not implemented for `dilations` > 1")
    if any(s > k for s, k in zip(steps, window)):
        raise InvalidArgumentError(f"`strides` > `window_shape` is not supported. Received: strides={steps}, window_shape={window}")
    with name_scope(name or f"{pooling_type.lower()}_pool"):
        x = convert_to_tensor(input)
        run = {"MAX": max_pool, "AVG": avg_pool}[pooling_type]
        data_format = data_format or {1: "NWC", 2: "NHWC", 3: "NDHWC"}[n]
        if max(rates) == 1:
            return run(x, window, steps, padding, data_format)
        start = 2 if _first(data_format) else 1
        axes = range(start, start + n)
        sizes = x.shape[start : start + n].as_list()
        now = tf.shape(x)
        extra = [
            -size % rate if size is not None else raw.FloorMod(raw.Neg(now[a]), rate) for a, size, rate in zip(axes, sizes, rates)
        ]
        gap = [[0, 0]] * (start - 1)
        block = [1] * (start - 1) + rates
        if all(isinstance(e, int) for e in extra):
            margins: Any = [*gap, *([0, e] for e in extra)]
        else:
            margins = tf.stack([*(tf.constant(g) for g in gap), *(tf.stack([0, e]) for e in extra)])
        inner = raw.SpaceToBatchND(x, block, margins)
        return raw.BatchToSpaceND(run(inner, window, steps, "VALID", data_format), block, margins)


@public("nn.fractional_max_pool")
def fractional_max_pool(
    value: Any, pooling_ratio: Any, pseudo_random: bool = False, overlapping: bool = False, seed: int = 0, name: str | None = None
) -> Any:
    """Max pooling with regions of random sizes (Graham, 2015): (output, row boundaries, column boundaries)."""
    return raw.FractionalMaxPool(
        value, pooling_ratio=_ratios(pooling_ratio), pseudo_random=pseudo_random, overlapping=overlapping, **_seeds(seed), name=name
    )


@public("nn.fractional_avg_pool")
def fractional_avg_pool(
    value: Any, pooling_ratio: Any, pseudo_random: bool = False, overlapping: bool = False, seed: int = 0, name: str | None = None
) -> Any:
    """Average pooling with regions of random sizes: (output, row boundaries, column boundaries)."""
    return raw.FractionalAvgPool(
        value, pooling_ratio=_ratios(pooling_ratio), pseudo_random=pseudo_random, overlapping=overlapping, **_seeds(seed), name=name
    )


def _ratios(value: Any) -> list[float]:
    values = [float(v) for v in np.ravel(value)]
    if len(values) == 1:
        values = values * 2
    if len(values) == 2:
        values = [1.0, *values, 1.0]
    if min(values) < 1:
        raise InvalidArgumentError(f"pooling_ratio should be >= 1, received {value!r}")
    return values


def _seeds(seed: int) -> dict[str, Any]:
    if not seed:
        return {"deterministic": False}
    # An op seed alone goes with TensorFlow's fixed graph seed.
    return {"deterministic": True, "seed": 87654321, "seed2": int(seed)}
