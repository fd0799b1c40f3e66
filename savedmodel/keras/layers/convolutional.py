"""Convolution layers: plain, transposed, depthwise and separable."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.convolution_base import Conv, arguments, deconvolution_length, layout
from savedmodel.keras.layers.settings import describe, keep, normalize_tuple
from tracer import dispatch
from tracer.public import tf
from tracer.shapes import TensorShape


class Conv1D(Conv):
    """Convolution over steps."""

    _allows_causal = True

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = "channels_last",
        dilation_rate: Any = 1, groups: int = 1, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(rank=1, **arguments(locals()))


class Conv2D(Conv):
    """Convolution over images."""

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: Any = "valid", data_format: str | None = None,
        dilation_rate: Any = (1, 1), groups: int = 1, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(rank=2, **arguments(locals()))


class Conv3D(Conv):
    """Convolution over volumes."""

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = (1, 1, 1), padding: str = "valid", data_format: str | None = None,
        dilation_rate: Any = (1, 1, 1), groups: int = 1, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(rank=3, **arguments(locals()))


# -- transposed ----------------------------------------------------------------------------------------------------------


class _Transposed:
    """Transposed convolutions: kernels are (…, filters, channels)."""

    def _setup_transposed(self: Any, output_padding: Any) -> None:
        self.output_padding = output_padding
        if output_padding is None:
            return
        self.output_padding = normalize_tuple(output_padding, self.rank, "output_padding", allow_zero=True)
        for stride, extra in zip(self.strides, self.output_padding, strict=True):
            if extra >= stride:
                raise ValueError(
                    f"Strides must be greater than output padding. Received strides={self.strides}, output_padding={self.output_padding}."
                )

    def build(self: Any, input_shape: Any) -> None:
        input_shape = TensorShape(input_shape)
        if len(input_shape) != self.rank + 2:
            raise ValueError(f"Inputs should have rank {self.rank + 2}. Received input_shape={input_shape}.")
        axis = self._get_channel_axis()
        if input_shape[axis] is None:
            raise ValueError(
                f"The channel dimension of the inputs to `{type(self).__name__}` should be defined. The input_shape received is {input_shape}, "
                f"where axis {axis} (0-based) is the channel dimension, which found to be `None`."
            )
        channels = int(input_shape[axis])
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})
        self.kernel = self._add_kernel((*self.kernel_size, self.filters, channels))
        self.bias = self._add_kernel((self.filters,), "bias") if self.use_bias else None
        self.built = True

    def _lengths(self: Any, lengths: Any) -> list[Any]:
        extra = self.output_padding or (None,) * self.rank
        return [
            deconvolution_length(length, self.kernel_size[i], self.padding, extra[i], self.strides[i], self.dilation_rate[i])
            for i, length in enumerate(lengths)
        ]

    def call(self: Any, inputs: Any) -> Any:
        shape = tf.shape(inputs)
        first = 2 if self.data_format == "channels_first" else 1
        spatial = range(first, first + self.rank)
        static = inputs.shape.as_list() if inputs.shape.rank is not None else [None] * (self.rank + 2)
        # Only two-dimensional ones use known sizes, as Keras does.
        lengths = self._lengths([static[a] if self.rank == 2 and static[a] is not None else shape[a] for a in spatial])
        full = [shape[0], self.filters, *lengths] if first == 2 else [shape[0], *lengths, self.filters]
        outputs = self._transposed(inputs, tf.stack(full))
        if not dispatch.executing_eagerly() and inputs.shape.rank:
            outputs.set_shape(self.compute_output_shape(inputs.shape))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias, data_format=layout(self.data_format, self.rank))
        return outputs if self.activation is None else self.activation(outputs)

    def _transposed(self: Any, inputs: Any, shape: Any) -> Any:
        if self.rank == 2 and self.dilation_rate != (1, 1):
            if self.dilation_rate[0] != self.dilation_rate[1]:
                raise ValueError(
                    f"Expected the 2 dimensions of the `dilation_rate` argument to be equal to each other. Received: "
                    f"dilation_rate={self.dilation_rate}"
                )
            first = self.data_format == "channels_first"
            if first:
                inputs, shape = tf.transpose(inputs, [0, 2, 3, 1]), tf.gather(shape, [0, 2, 3, 1])
            out = tf.nn.atrous_conv2d_transpose(inputs, self.kernel, shape, rate=self.dilation_rate[0], padding=self.padding.upper())
            return tf.transpose(out, [0, 3, 1, 2]) if first else out
        transposed = getattr(tf.nn, f"conv{self.rank}d_transpose")
        kwargs = {"dilations": self.dilation_rate} if self.rank == 1 else {}
        return transposed(
            inputs, self.kernel, shape, strides=list(self.strides), padding=self.padding.upper(),
            data_format=layout(self.data_format, self.rank), **kwargs,
        )  # fmt: skip

    def compute_output_shape(self: Any, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape).as_list()
        first = 2 if self.data_format == "channels_first" else 1
        lengths = self._lengths(shape[first : first + self.rank])
        return TensorShape([shape[0], self.filters, *lengths] if first == 2 else [shape[0], *lengths, self.filters])

    def get_config(self: Any) -> dict[str, Any]:
        config = super().get_config()  # type: ignore[misc]
        if self.rank == 3:
            config.pop("dilation_rate")
        return {**config, "output_padding": self.output_padding}


def _for_conv(given: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in arguments(given).items() if k != "output_padding"}


class Conv1DTranspose(_Transposed, Conv1D):
    """Transposed convolution over steps."""

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", output_padding: Any = None,
        data_format: str | None = None, dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_for_conv(locals()))
        self._setup_transposed(output_padding)


class Conv2DTranspose(_Transposed, Conv2D):
    """Transposed convolution over images."""

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid", output_padding: Any = None,
        data_format: str | None = None, dilation_rate: Any = (1, 1), activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros", kernel_regularizer: Any = None,
        bias_regularizer: Any = None, activity_regularizer: Any = None, kernel_constraint: Any = None, bias_constraint: Any = None,
        **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_for_conv(locals()))
        self._setup_transposed(output_padding)


class Conv3DTranspose(_Transposed, Conv3D):
    """Transposed convolution over volumes."""

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = (1, 1, 1), padding: str = "valid", output_padding: Any = None,
        data_format: str | None = None, activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None, activity_regularizer: Any = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**_for_conv(locals()))
        self._setup_transposed(output_padding)


# -- depthwise -------------------------------------------------------------------------------------------------------------


class _DepthwiseConv(Conv):
    """Each channel convolved with `depth_multiplier` kernels of its own."""

    def __init__(self, rank: int, given: dict[str, Any]):
        own = ("depth_multiplier", "depthwise_initializer", "depthwise_regularizer", "depthwise_constraint")
        given = arguments(given)
        super().__init__(rank, filters=None, **{k: v for k, v in given.items() if k not in own})
        keep(self, given, " ".join(own))

    def build(self, input_shape: Any) -> None:
        input_shape = TensorShape(input_shape)
        if len(input_shape) < self.rank + 2:
            raise ValueError(f"Inputs to `DepthwiseConv` should have rank {self.rank + 2}. Received input_shape={input_shape}.")
        axis = self._get_channel_axis()
        if input_shape[axis] is None:
            raise ValueError(
                f"The channel dimension of the inputs to `DepthwiseConv` should be defined. The input_shape received is {input_shape}, where "
                f"axis {axis} (0-based) is the channel dimension, which found to be `None`."
            )
        channels = int(input_shape[axis])
        self.depthwise_kernel = self._add_kernel((*self.kernel_size, channels, self.depth_multiplier), "depthwise", "depthwise_kernel")
        self.bias = self._add_kernel((channels * self.depth_multiplier,), "bias") if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=self.rank + 2, axes={axis: channels})
        self.built = True

    def _depthwise(self, inputs: Any, kernel: Any, strides: Any, dilations: Any) -> Any:
        full = (1, *strides, 1) if self.data_format == "channels_last" else (1, 1, *strides)
        return tf.nn.depthwise_conv2d(
            inputs, kernel, strides=full, padding=self._op_padding(), dilations=dilations, data_format=layout(self.data_format, 2)
        )

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shape = TensorShape(input_shape).as_list()
        if self.data_format == "channels_first":
            return TensorShape([shape[0], shape[1] * self.depth_multiplier, *self._spatial_output_shape(shape[2:])])
        return TensorShape([shape[0], *self._spatial_output_shape(shape[1:-1]), shape[-1] * self.depth_multiplier])

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for key in ("filters", "kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            config.pop(key)
        return {**config, **describe(self, "depth_multiplier depthwise_initializer depthwise_regularizer depthwise_constraint")}


class DepthwiseConv1D(_DepthwiseConv):
    """Depthwise convolution over steps."""

    def __init__(
        self, kernel_size: Any, strides: Any = 1, padding: str = "valid", depth_multiplier: int = 1, data_format: str | None = None,
        dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True, depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", depthwise_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, depthwise_constraint: Any = None, bias_constraint: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(1, locals())

    def call(self, inputs: Any) -> Any:
        at = 1 if self.data_format == "channels_last" else 2
        outputs = self._depthwise(
            tf.expand_dims(inputs, at), tf.expand_dims(self.depthwise_kernel, axis=0), self.strides * 2, (1, *self.dilation_rate)
        )
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias, data_format=layout(self.data_format, 2))
        outputs = tf.squeeze(outputs, [at])
        return outputs if self.activation is None else self.activation(outputs)


class DepthwiseConv2D(_DepthwiseConv):
    """Depthwise convolution over images."""

    def __init__(
        self, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid", depth_multiplier: int = 1, data_format: str | None = None,
        dilation_rate: Any = (1, 1), activation: Any = None, use_bias: bool = True, depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", depthwise_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, depthwise_constraint: Any = None, bias_constraint: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(2, locals())

    def call(self, inputs: Any) -> Any:
        outputs = self._depthwise(inputs, self.depthwise_kernel, self.strides, self.dilation_rate)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, self.bias, data_format=layout(self.data_format, 2))
        return outputs if self.activation is None else self.activation(outputs)


# -- separable -------------------------------------------------------------------------------------------------------------

_SEPARABLE = (
    "depth_multiplier", "depthwise_initializer", "pointwise_initializer", "depthwise_regularizer", "pointwise_regularizer",
    "depthwise_constraint", "pointwise_constraint",
)  # fmt: skip


class _SeparableConv(Conv):
    """A depthwise convolution followed by one with kernels of size 1."""

    def __init__(self, rank: int, given: dict[str, Any]):
        given = arguments(given)
        super().__init__(rank, **{k: v for k, v in given.items() if k not in _SEPARABLE})
        keep(self, given, " ".join(_SEPARABLE))

    def build(self, input_shape: Any) -> None:
        input_shape = TensorShape(input_shape)
        channels = self._get_input_channel(input_shape)
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={self._get_channel_axis(): channels})
        depth = self.depth_multiplier
        self.depthwise_kernel = self._add_kernel((*self.kernel_size, channels, depth), "depthwise", "depthwise_kernel")
        self.pointwise_kernel = self._add_kernel((*(1,) * self.rank, depth * channels, self.filters), "pointwise", "pointwise_kernel")
        self.bias = self._add_kernel((self.filters,), "bias") if self.use_bias else None
        self.built = True

    def _separable(self, inputs: Any, depthwise: Any, pointwise: Any, strides: Any, dilations: Any) -> Any:
        full = (1, *strides, 1) if self.data_format == "channels_last" else (1, 1, *strides)
        outputs = tf.nn.separable_conv2d(
            inputs, depthwise, pointwise, strides=full, padding=self._op_padding(), dilations=dilations, data_format=layout(self.data_format, 2)
        )
        return tf.nn.bias_add(outputs, self.bias, data_format=layout(self.data_format, 2)) if self.use_bias else outputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, " ".join(_SEPARABLE))}


class SeparableConv1D(_SeparableConv):
    """Separable convolution over steps."""

    _allows_causal = True

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
        dilation_rate: Any = 1, depth_multiplier: int = 1, activation: Any = None, use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform", pointwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None, pointwise_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, depthwise_constraint: Any = None, pointwise_constraint: Any = None,
        bias_constraint: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(1, locals())

    def call(self, inputs: Any) -> Any:
        if self._is_causal:
            inputs = tf.pad(inputs, self._compute_causal_padding(inputs))
        at = 1 if self.data_format == "channels_last" else 2
        outputs = self._separable(
            tf.expand_dims(inputs, at), tf.expand_dims(self.depthwise_kernel, 0), tf.expand_dims(self.pointwise_kernel, 0), self.strides * 2,
            (1, *self.dilation_rate),
        )  # fmt: skip
        outputs = tf.squeeze(outputs, [at])
        return outputs if self.activation is None else self.activation(outputs)


class SeparableConv2D(_SeparableConv):
    """Separable convolution over images."""

    def __init__(
        self, filters: int, kernel_size: Any, strides: Any = (1, 1), padding: str = "valid", data_format: str | None = None,
        dilation_rate: Any = (1, 1), depth_multiplier: int = 1, activation: Any = None, use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform", pointwise_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None, pointwise_regularizer: Any = None, bias_regularizer: Any = None,
        activity_regularizer: Any = None, depthwise_constraint: Any = None, pointwise_constraint: Any = None,
        bias_constraint: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(2, locals())

    def call(self, inputs: Any) -> Any:
        outputs = self._separable(inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides, self.dilation_rate)
        return outputs if self.activation is None else self.activation(outputs)
