"""What convolution layers of every kind and rank share: arguments, weights, shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from savedmodel.keras import regularizers
from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.settings import (
    checked_data_format,
    describe,
    keep,
    normalize_padding,
    normalize_tuple,
    window_length,
)
from tracer import dispatch
from tracer.public import tf
from tracer.shapes import TensorShape

__all__ = ["Conv", "arguments", "deconvolution_length", "layout"]

_LAYOUTS = {"channels_last": ("NWC", "NHWC", "NDHWC"), "channels_first": ("NCW", "NCHW", "NCDHW")}


def layout(data_format: str, rank: int) -> str:
    """The op's name of a data format."""
    return _LAYOUTS[data_format][rank - 1]


def arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor, from its local variables."""
    return {**{k: v for k, v in given.items() if k not in ("self", "kwargs", "__class__")}, **given["kwargs"]}


def deconvolution_length(
    length: Any, kernel: int, padding: str, output_padding: int | None, stride: int, dilation: int = 1
) -> Any:
    """The length that a transposed convolution gives; `length` may be a tensor."""
    if length is None:
        return None
    kernel = kernel + (kernel - 1) * (dilation - 1)
    if output_padding is None:
        if padding == "valid":
            return length * stride + max(kernel - stride, 0)
        return length * stride - (stride + kernel - 2) if padding == "full" else length * stride
    pad = {"same": kernel // 2, "valid": 0, "full": kernel - 1}[padding]
    return (length - 1) * stride + kernel - 2 * pad + output_padding


class Conv(Layer):
    """Convolution over `rank` spatial dimensions."""

    _kernel_names: tuple[str, ...] = ("kernel",)

    def __init__(
        self, rank: int, filters: Any, kernel_size: Any, strides: Any = 1, padding: Any = "valid", data_format: str | None = None,
        dilation_rate: Any = 1, groups: int = 1, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        trainable: bool = True, name: str | None = None, conv_op: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(trainable=trainable, name=name, activity_regularizer=regularizers.get(activity_regularizer), **kwargs)
        self.rank = rank
        if isinstance(filters, float):
            filters = int(filters)
        if filters is not None and filters <= 0:
            raise ValueError(f"Invalid value for argument `filters`. Expected a strictly positive value. Received filters={filters}.")
        self.filters = filters
        self.groups = groups or 1
        self.kernel_size = normalize_tuple(kernel_size, rank, "kernel_size")
        self.strides = normalize_tuple(strides, rank, "strides", allow_zero=True)
        self.padding = normalize_padding(padding)
        self.data_format = checked_data_format(data_format)
        self.dilation_rate = normalize_tuple(dilation_rate, rank, "dilation_rate")
        keep(
            self, locals(),
            "activation use_bias kernel_initializer bias_initializer kernel_regularizer bias_regularizer kernel_constraint bias_constraint",
        )  # fmt: skip
        self.input_spec = InputSpec(min_ndim=rank + 2)
        self._check_arguments()
        self._is_causal = self.padding == "causal"
        self._channels_first = self.data_format == "channels_first"
        self._tf_data_format = layout(self.data_format, rank)

    _allows_causal = False

    def _check_arguments(self) -> None:
        if self.filters is not None and self.filters % self.groups != 0:
            raise ValueError(
                f"The number of filters must be evenly divisible by the number of groups. Received: groups={self.groups}, filters={self.filters}"
            )
        if not all(self.kernel_size):
            raise ValueError(f"The argument `kernel_size` cannot contain 0(s). Received: {self.kernel_size}")
        if not all(self.strides):
            raise ValueError(f"The argument `strides` cannot contains 0(s). Received: {self.strides}")
        if self.padding == "causal" and not self._allows_causal:
            raise ValueError("Causal padding is only supported for `Conv1D`and `SeparableConv1D`.")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"`strides > 1` not supported in conjunction with `dilation_rate > 1`. Received: strides={self.strides} and "
                f"dilation_rate={self.dilation_rate}"
            )

    # -- weights -----------------------------------------------------------------------------------------------------

    def _get_channel_axis(self) -> int:
        return -1 - self.rank if self.data_format == "channels_first" else -1

    def _get_input_channel(self, input_shape: TensorShape) -> int:
        axis = self._get_channel_axis()
        if input_shape[axis] is None:
            raise ValueError(
                f"The channel dimension of the inputs should be defined. The input_shape received is {input_shape}, where axis {axis} "
                f"(0-based) is the channel dimension, which found to be `None`."
            )
        return int(input_shape[axis])

    def _add_kernel(self, shape: Sequence[int], kind: str = "kernel", name: str | None = None) -> Any:
        return self.add_weight(
            name=name or kind, shape=shape, initializer=getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"), constraint=getattr(self, f"{kind}_constraint"), trainable=True,
            dtype=self.dtype,
        )  # fmt: skip

    def build(self, input_shape: Any) -> None:
        input_shape = TensorShape(input_shape)
        channels = self._get_input_channel(input_shape)
        if channels % self.groups != 0:
            raise ValueError(
                f"The number of input channels must be evenly divisible by the number of groups. Received groups={self.groups}, but the input "
                f"has {channels} channels (full input shape is {input_shape})."
            )
        self.compute_output_shape(input_shape)  # refuses inputs that are too small
        self.kernel = self._add_kernel((*self.kernel_size, channels // self.groups, self.filters))
        self.bias = self._add_kernel((self.filters,), "bias") if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=self.rank + 2, axes={self._get_channel_axis(): channels})
        self.built = True

    # -- computing ---------------------------------------------------------------------------------------------------

    def _op_padding(self) -> Any:
        if self.padding == "causal":
            return "VALID"
        return self.padding.upper() if isinstance(self.padding, str) else self.padding

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution itself; subclasses may replace it."""
        return tf.nn.convolution(
            inputs, kernel, strides=list(self.strides), padding=self._op_padding(), dilations=list(self.dilation_rate),
            data_format=self._tf_data_format,
        )  # fmt: skip

    def _compute_causal_padding(self, inputs: Any) -> list[list[int]]:
        before = self.dilation_rate[0] * (self.kernel_size[0] - 1)
        batch = 1 if inputs.shape.rank is None else inputs.shape.rank - 2
        steps = [[before, 0], [0, 0]] if self.data_format == "channels_last" else [[0, 0], [before, 0]]
        return [[0, 0]] * batch + steps

    def call(self, inputs: Any) -> Any:
        shape = inputs.shape
        if self._is_causal:
            inputs = tf.pad(inputs, self._compute_causal_padding(inputs))
        outputs = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            outputs = self._add_bias(outputs)
        if not dispatch.executing_eagerly() and shape.rank:
            outputs.set_shape(self.compute_output_shape(shape))
        return outputs if self.activation is None else self.activation(outputs)

    def _add_bias(self, outputs: Any) -> Any:
        if self.rank == 1 and self._channels_first:
            return outputs + tf.reshape(self.bias, (1, self.filters, 1))
        rank = outputs.shape.rank
        if rank is not None and rank > 2 + self.rank:
            if self._channels_first:
                return outputs + tf.reshape(self.bias, (self.filters, *(1,) * self.rank))
            return outputs + self.bias
        return tf.nn.bias_add(outputs, self.bias, data_format=self._tf_data_format)

    def _spatial_output_shape(self, lengths: Sequence[int | None]) -> list[int | None]:
        return [
            window_length(length, self.kernel_size[i], self.padding, self.strides[i], self.dilation_rate[i])
            for i, length in enumerate(lengths)
        ]

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape).as_list()
        batch = len(shape) - self.rank - 1
        if self.data_format == "channels_last":
            out = shape[:batch] + self._spatial_output_shape(shape[batch:-1]) + [self.filters]
        else:
            out = shape[:batch] + [self.filters] + self._spatial_output_shape(shape[batch + 1 :])
        if any(d is not None and d < 0 for d in out):
            raise ValueError(
                f"One of the dimensions in the output is <= 0 due to downsampling in {self.name}. Consider increasing the input size. Received "
                f"input shape {shape} which would produce output shape with a zero or negative value in a dimension."
            )
        return TensorShape(out)

    def get_config(self) -> dict[str, Any]:
        own = describe(
            self,
            "filters kernel_size strides padding data_format dilation_rate groups activation use_bias kernel_initializer bias_initializer "
            "kernel_regularizer bias_regularizer activity_regularizer kernel_constraint bias_constraint",
        )
        return {**super().get_config(), **own}
