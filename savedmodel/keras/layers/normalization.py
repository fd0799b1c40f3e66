"""Normalisation of batches, layers, groups, vectors; spectral normalisation of kernels. Authority: Keras 2.15, compared in tests/oracle."""

from __future__ import annotations

import warnings
from typing import Any

from savedmodel.keras.engine.base_layer import Layer
from savedmodel.keras.engine.input_spec import InputSpec
from savedmodel.keras.layers.regularization import smart_cond, training_value
from savedmodel.keras.layers.settings import describe, keep
from savedmodel.keras.layers.wrapper import Wrapper
from tracer import dispatch, dtypes
from tracer.composite import RaggedTensor
from tracer.dispatch import raw
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import Tensor, convert_to_tensor
from tracer.variable import VariableAggregation, VariableSynchronization

__all__ = [
    "BatchNormalization", "GroupNormalization", "LayerNormalization", "SpectralNormalization", "SyncBatchNormalization",
    "UnitNormalization", "validate_axis",
]  # fmt: skip

_AFFINE = "beta_initializer gamma_initializer beta_regularizer gamma_regularizer beta_constraint gamma_constraint"


def validate_axis(axis: Any, input_shape: Any) -> list[int]:
    """Axes as positive numbers.

    Raises:
        ValueError: unknown rank, an axis outside of the rank, or one named twice.
    """
    shape = TensorShape(input_shape)
    if shape.rank is None:
        raise ValueError("Input shape has undefined rank.")
    axes = [axis] if isinstance(axis, int) else list(axis)
    axes = [a + shape.rank if a < 0 else a for a in axes]
    for a in axes:
        if a < 0 or a >= shape.rank:
            raise ValueError(f"Invalid value for `axis` argument. Expected 0 <= axis < inputs.rank (with inputs.rank={shape.rank}). Received: axis={tuple(axes)}")
    if len(axes) != len(set(axes)):
        raise ValueError(f"Duplicate axis: {tuple(axes)}")
    return axes


def _check_axis_type(axis: Any) -> Any:
    if isinstance(axis, (list, tuple)):
        return axis[:]
    if isinstance(axis, int):
        return axis
    raise TypeError(f"Expected an int or a list/tuple of ints for the argument 'axis', but received: {axis!r}")


class _BatchNormalizationBase(Layer):
    """Batch normalisation with renormalisation, virtual batches and the fused op."""

    def __init__(
        self, axis: Any = -1, momentum: float = 0.99, epsilon: float = 0.001, center: bool = True, scale: bool = True,
        beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones", beta_regularizer: Any = None, gamma_regularizer: Any = None,
        beta_constraint: Any = None, gamma_constraint: Any = None, renorm: bool = False, renorm_clipping: Any = None,
        renorm_momentum: float = 0.99, fused: bool | None = None, trainable: bool = True, virtual_batch_size: int | None = None,
        adjustment: Any = None, name: str | None = None, synchronized: bool = False, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(name=name, **kwargs)
        self.axis = _check_axis_type(axis)
        if synchronized and fused:
            raise ValueError("`fused=True` is not supported when `synchronized=True`.")
        self.synchronized = synchronized
        if synchronized:
            fused = False
        keep(self, locals(), f"momentum epsilon center scale moving_mean_initializer moving_variance_initializer {_AFFINE}")
        self.renorm = renorm
        self.virtual_batch_size = virtual_batch_size
        self.adjustment = adjustment
        obstacle = self._fusing_obstacle()
        if fused and obstacle:
            raise ValueError(obstacle)
        self.fused = False if fused is None and obstacle else fused
        self.supports_masking = True
        self.trainable = trainable
        if renorm:
            clipping = renorm_clipping or {}
            keys = ["rmax", "rmin", "dmax"]
            if set(clipping) - set(keys):
                raise ValueError(f"Received invalid keys for `renorm_clipping` argument: {clipping}. Supported values: {keys}.")
            self.renorm_clipping = clipping
            self.renorm_momentum = renorm_momentum

    def _fusing_obstacle(self) -> str | None:
        """Why the fused op cannot be used, or None."""
        if self.renorm:
            return "Passing both `fused=True` and `renorm=True` is not supported"
        axis = [self.axis] if isinstance(self.axis, int) else self.axis
        if len(axis) > 1 or axis[0] not in (-4, -3, -1, 1, 3, 4):
            return (
                f"Passing `fused=True` is only supported when axis is 1 or 3 for input rank = 4 or 1 or 4 for input rank = 5. Got axis {axis}"
            )
        if self.virtual_batch_size is not None:
            return "Passing `fused=True` is not supported when `virtual_batch_size` is specified."
        if self.adjustment is not None:
            return "Passing `fused=True` is not supported when `adjustment` is specified."
        if self._compute_dtype not in ("float16", "bfloat16", "float32", None):
            return (
                f"Passing `fused=True` is only supported when the compute dtype is float16, bfloat16, or float32. Got dtype: "
                f"{self._compute_dtype}"
            )
        return None

    @property
    def trainable(self) -> Any:
        """Whether the weights are trained; a frozen layer also normalises with its moving statistics."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: Any) -> None:
        self.__dict__["_trainable"] = value

    @property
    def _param_dtype(self) -> Any:
        return "float32" if self.dtype in ("float16", "bfloat16") else self.dtype or "float32"

    def build(self, input_shape: Any) -> None:
        self.axis = validate_axis(self.axis, input_shape)
        input_shape = TensorShape(input_shape)
        rank = input_shape.rank
        if self.virtual_batch_size is not None:
            if self.virtual_batch_size <= 0:
                raise ValueError(
                    f"`virtual_batch_size` must be a positive integer that divides the true batch size of the input tensor. Received: "
                    f"virtual_batch_size={self.virtual_batch_size}"
                )
            if 0 in self.axis:
                raise ValueError(
                    f"When using `virtual_batch_size`, the batch dimension must be 0 and thus axis cannot include 0. Received axis={self.axis}"
                )
            if self.adjustment is not None:
                raise ValueError("When using `virtual_batch_size`, adjustment cannot be specified")
        self._choose_fused(input_shape)
        sizes = {a: input_shape[a] for a in self.axis}
        if None in sizes.values():
            raise ValueError(
                f"Input has undefined `axis` dimension. Received input with shape {tuple(input_shape)} and axis={tuple(self.axis)}"
            )
        self.input_spec = InputSpec(ndim=rank, axes=sizes)
        if len(sizes) == 1 and self.virtual_batch_size is None:
            shape: Any = (next(iter(sizes.values())),)
        else:
            shape = [sizes.get(i, 1) for i in range(rank)]
            if self.virtual_batch_size is not None:
                shape.insert(1, 1)
                self.axis = [a + 1 for a in self.axis]
        self._param_shape = shape
        self.gamma = self._affine("gamma") if self.scale else None
        self.beta = self._affine("beta") if self.center else None
        self.moving_mean = self._statistic("moving_mean", self.moving_mean_initializer)
        self.moving_variance = self._statistic("moving_variance", self.moving_variance_initializer)
        if self.renorm:

            def deviation(*args: Any, **kwargs: Any) -> Any:
                return tf.sqrt(self.moving_variance_initializer(*args, **kwargs))

            self.moving_stddev = self._statistic("moving_stddev", deviation)
            self.renorm_mean = self._statistic("renorm_mean", self.moving_mean_initializer)
            self.renorm_stddev = self._statistic("renorm_stddev", deviation)
        self.built = True

    def _choose_fused(self, input_shape: TensorShape) -> None:
        rank = input_shape.rank
        if self.fused is None:
            self.fused = rank in (4, 5)
        elif self.fused and rank not in (4, 5):
            raise ValueError(
                f"Batch normalization layers with `fused=True` only support 4D or 5D input tensors. Received tensor with shape: "
                f"{tuple(input_shape)}"
            )
        if not self.fused:
            return
        layouts = {(4, 1): "NCHW", (5, 1): "NCDHW", (4, 3): "NHWC", (5, 4): "NDHWC"}
        layout = layouts.get((rank, self.axis[0]))
        if layout is None and rank == 4:
            raise ValueError(
                f"Unsupported axis. The use of `fused=True` is only possible with `axis=1` or `axis=3` for 4D input tensors. Received: "
                f"axis={tuple(self.axis)}"
            )
        self.fused = layout is not None
        self._data_format = layout

    def _affine(self, name: str) -> Any:
        return self.add_weight(
            name=name, shape=self._param_shape, dtype=self._param_dtype, initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"), constraint=getattr(self, f"{name}_constraint"), trainable=True,
            experimental_autocast=False,
        )  # fmt: skip

    def _statistic(self, name: str, initializer: Any) -> Any:
        return self.add_weight(
            name=name, shape=self._param_shape, dtype=self._param_dtype, initializer=initializer,
            synchronization=VariableSynchronization.ON_READ, trainable=False, aggregation=VariableAggregation.MEAN,
            experimental_autocast=False,
        )  # fmt: skip

    def _get_training_value(self, training: Any = None) -> Any:
        training = training_value(training)
        if isinstance(training, int):
            training = bool(training)
        return training if self.trainable else False

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        inputs = tf.cast(inputs, self.compute_dtype)
        training = self._get_training_value(training)
        known = _known(training)
        original = None
        if self.virtual_batch_size is not None:
            original = tf.concat([tf.constant([-1]), tf.shape(inputs)[1:]], axis=0)
            front = [self.virtual_batch_size, -1] if known else [-1, 1]
            inputs = tf.reshape(inputs, tf.concat([tf.constant(front), original[1:]], axis=0))
        outputs = self._call_fused(inputs, mask, training) if self.fused else self._call_plain(inputs, mask, training, known)
        return outputs if original is None else tf.reshape(outputs, original)

    # -- fused -----------------------------------------------------------------------------------------------------------

    def _call_fused(self, inputs: Any, mask: Any, training: Any) -> Any:
        if mask is not None:
            warnings.warn(
                "Masking is not supported with `fused=True`. You should either turn off fusing (`fused=False`) or you should not pass a "
                "`mask` argument when calling the layer. For the moment `mask` will be ignored for the normalization."
            )
        dtype = self._param_dtype
        beta = self.beta if self.center else tf.constant(0.0, dtype=dtype, shape=self._param_shape)
        gamma = self.gamma if self.scale else tf.constant(1.0, dtype=dtype, shape=self._param_shape)

        def norm(is_training: bool, factor: float) -> Any:
            scale, offset, mean, variance = (convert_to_tensor(v) for v in (gamma, beta, self.moving_mean, self.moving_variance))
            out = raw.FusedBatchNormV3(
                inputs, scale, offset, mean, variance, epsilon=max(self.epsilon, 1.001e-5), exponential_avg_factor=factor,
                data_format=self._data_format, is_training=is_training,
            )  # fmt: skip
            return out[0], out[1], out[2]

        output, mean, variance = smart_cond(training, lambda: norm(True, 1.0 - self.momentum), lambda: norm(False, 1.0))
        known = _known(training)
        if known or known is None:
            self.moving_mean.assign(mean)
            self.moving_variance.assign(variance)
        return output

    # -- written out -------------------------------------------------------------------------------------------------------

    def _call_plain(self, inputs: Any, mask: Any, training: Any, known: Any) -> Any:
        inputs_dtype = inputs.dtype.base_dtype
        if inputs_dtype in (dtypes.float16, dtypes.bfloat16):
            inputs = tf.cast(inputs, dtypes.float32)
        shape = inputs.shape
        rank = len(shape)
        axes = [i for i in range(rank) if i not in self.axis]
        if self.virtual_batch_size is not None:
            del axes[1]
        broadcast_shape = [1] * rank
        broadcast_shape[self.axis[0]] = shape[self.axis[0]]

        def spread(v: Any) -> Any:
            if v is not None and len(v.shape) != rank and axes != list(range(rank - 1)):
                return tf.reshape(v, broadcast_shape)
            return v

        scale, offset = spread(self.gamma), spread(self.beta)
        if known is False:
            mean, variance = self.moving_mean.value(), self.moving_variance.value()
        else:
            if self.adjustment:
                adj_scale, adj_bias = self.adjustment(tf.shape(inputs))
                adj_scale = smart_cond(training, lambda: adj_scale, lambda: tf.ones_like(adj_scale))
                adj_bias = smart_cond(training, lambda: adj_bias, lambda: tf.zeros_like(adj_bias))
                scale, offset = _composed(adj_scale, adj_bias, scale, offset)
            keepdims = self.virtual_batch_size is not None or len(self.axis) > 1
            batch_mean, batch_variance = self._moments(tf.cast(inputs, self._param_dtype), axes, keepdims, mask)
            mean = smart_cond(training, lambda: batch_mean, lambda: self.moving_mean.value())
            variance = smart_cond(training, lambda: batch_variance, lambda: self.moving_variance.value())
            if self.virtual_batch_size is not None:
                new_mean = tf.reduce_mean(mean, axis=1, keepdims=True)
                new_variance = tf.reduce_mean(variance, axis=1, keepdims=True)
            else:
                new_mean, new_variance = mean, variance
            if self.renorm:
                r, d = self._renorm(new_mean, new_variance, training)
                scale, offset = _composed(spread(tf.stop_gradient(r)), spread(tf.stop_gradient(d)), scale, offset)
            smart_cond(training, lambda: self._update(new_mean, new_variance), lambda: None)
        mean, variance = tf.cast(mean, inputs.dtype), tf.cast(variance, inputs.dtype)
        offset = None if offset is None else tf.cast(offset, inputs.dtype)
        scale = None if scale is None else tf.cast(scale, inputs.dtype)
        outputs = tf.nn.batch_normalization(inputs, spread(mean), spread(variance), offset, scale, self.epsilon)
        if inputs_dtype in (dtypes.float16, dtypes.bfloat16):
            outputs = tf.cast(outputs, inputs_dtype)
        outputs.set_shape(shape)
        return outputs

    def _moments(self, inputs: Any, axes: list[int], keepdims: bool, mask: Any) -> tuple[Any, Any]:
        if self.synchronized:
            return self._moments_from_sums(inputs, axes, keepdims, mask)
        if mask is None:
            return tf.nn.moments(inputs, axes, keepdims=keepdims)
        weights = tf.expand_dims(tf.cast(mask, self.compute_dtype), axis=-1)
        return tf.nn.weighted_moments(inputs, axes=axes, frequency_weights=weights, keepdims=keepdims)

    def _moments_from_sums(self, x: Any, axes: list[int], keepdims: bool, mask: Any) -> tuple[Any, Any]:
        """Moments as replicas would join them: sums, squared sums and counts."""
        y = tf.cast(x, dtypes.float32) if x.dtype == dtypes.float16 else x
        if mask is None:
            counts = tf.ones_like(y)
        else:
            weights = tf.expand_dims(tf.cast(mask, y.dtype), axis=-1)
            y = y * weights
            counts = tf.broadcast_to(weights, tf.shape(y))
        total, squares, count = (tf.reduce_sum(v, axis=axes, keepdims=True) for v in (y, tf.square(y), counts))
        mean = total / count
        variance = squares / count - tf.square(mean)
        if not keepdims:
            mean, variance = tf.squeeze(mean, axes), tf.squeeze(variance, axes)
        return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)

    def _update(self, mean: Any, variance: Any) -> None:
        self._move(self.moving_mean, mean, self.momentum)
        if self.renorm:
            self._move(self.moving_stddev, tf.sqrt(variance + self.epsilon), self.momentum)
            self.moving_variance.assign(tf.nn.relu(self.moving_stddev * self.moving_stddev - self.epsilon))
        else:
            self._move(self.moving_variance, variance, self.momentum)

    def _move(self, variable: Any, value: Any, momentum: Any) -> None:
        with dispatch.name_scope("AssignMovingAvg"):
            decay = convert_to_tensor(1.0 - momentum, dtype=variable.dtype)
            variable.assign_sub((variable - tf.cast(value, variable.dtype)) * decay)

    def _renorm(self, mean: Any, variance: Any, training: Any) -> tuple[Any, Any]:
        """Corrections r and d towards the moving statistics (Ioffe 2017), which are updated."""
        stddev = tf.sqrt(variance + self.epsilon)
        known_stddev = tf.maximum(self.renorm_stddev, tf.sqrt(self.epsilon))
        r = stddev / known_stddev
        d = (mean - self.renorm_mean) / known_stddev
        low, high, most = (self.renorm_clipping.get(key) for key in ("rmin", "rmax", "dmax"))
        if low is not None:
            r = tf.maximum(r, low)
        if high is not None:
            r = tf.minimum(r, high)
        if most is not None:
            d = tf.minimum(tf.maximum(d, -most), most)

        def update() -> None:
            self._move(self.renorm_mean, mean, self.renorm_momentum)
            self._move(self.renorm_stddev, stddev, self.renorm_momentum)

        out_r = smart_cond(training, lambda: r, lambda: tf.ones_like(r))
        out_d = smart_cond(training, lambda: d, lambda: tf.zeros_like(d))
        smart_cond(training, update, lambda: None)
        return out_r, out_d

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        config = {
            "axis": list(self.axis) if isinstance(self.axis, list) else self.axis,
            **describe(
                self,
                "momentum epsilon center scale beta_initializer gamma_initializer moving_mean_initializer moving_variance_initializer "
                "beta_regularizer gamma_regularizer beta_constraint gamma_constraint",
            ),
        }
        if self.renorm:
            config |= {"renorm": True, "renorm_clipping": self.renorm_clipping, "renorm_momentum": self.renorm_momentum}
        if self.virtual_batch_size is not None:
            config["virtual_batch_size"] = self.virtual_batch_size
        return {**super().get_config(), **config}


def _known(training: Any) -> Any:
    """A Python bool, or None for a symbolic value."""
    if isinstance(training, Tensor) and not hasattr(training, "_value"):
        return None
    return bool(training)


def _composed(scale: Any, offset: Any, then_scale: Any, then_offset: Any) -> tuple[Any, Any]:
    if then_scale is not None:
        scale, offset = scale * then_scale, offset * then_scale
    return scale, offset if then_offset is None else offset + then_offset


class BatchNormalization(_BatchNormalizationBase):
    """Each channel with mean `beta` and deviation `gamma` over the batch; moving statistics while not training."""

    def __init__(
        self, axis: Any = -1, momentum: float = 0.99, epsilon: float = 0.001, center: bool = True, scale: bool = True,
        beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones", beta_regularizer: Any = None, gamma_regularizer: Any = None,
        beta_constraint: Any = None, gamma_constraint: Any = None, synchronized: bool = False, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(
            axis=axis, momentum=momentum, epsilon=epsilon, center=center, scale=scale, beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer, moving_mean_initializer=moving_mean_initializer,
            moving_variance_initializer=moving_variance_initializer, beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer, beta_constraint=beta_constraint, gamma_constraint=gamma_constraint,
            synchronized=synchronized, **kwargs,
        )  # fmt: skip


class SyncBatchNormalization(_BatchNormalizationBase):
    """`BatchNormalization(synchronized=True)` by its older name."""

    def __init__(self, axis: Any = -1, **kwargs: Any):
        super().__init__(axis=axis, synchronized=True, **kwargs)


class LayerNormalization(Layer):
    """Each sample with mean `beta` and deviation `gamma` over `axis`."""

    def __init__(
        self, axis: Any = -1, epsilon: float = 0.001, center: bool = True, scale: bool = True, beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones", beta_regularizer: Any = None, gamma_regularizer: Any = None, beta_constraint: Any = None,
        gamma_constraint: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**kwargs)
        axis = _check_axis_type(axis)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        keep(self, locals(), f"epsilon center scale {_AFFINE}")
        self.supports_masking = True
        self._fused: bool | None = None

    def build(self, input_shape: Any) -> None:
        self.axis = validate_axis(self.axis, input_shape)
        input_shape = TensorShape(input_shape)
        shape = [input_shape[a] for a in self.axis]

        def weight(name: str) -> Any:
            return self.add_weight(
                name=name, shape=shape, initializer=getattr(self, f"{name}_initializer"), regularizer=getattr(self, f"{name}_regularizer"),
                constraint=getattr(self, f"{name}_constraint"), trainable=True, experimental_autocast=False,
            )  # fmt: skip

        self.gamma = weight("gamma") if self.scale else None
        self.beta = weight("beta") if self.center else None
        axes = sorted(self.axis)
        trailing = axes[-1] == input_shape.rank - 1 and axes[-1] - axes[0] == len(axes) - 1
        # The fused op needs a constant of some size and float32.
        self._fused = trailing and self.epsilon >= 1.001e-5 and self.dtype == "float32"
        self.built = True

    def call(self, inputs: Any) -> Any:
        lengths = None
        if isinstance(inputs, RaggedTensor):
            lengths = inputs.nested_row_lengths()
            inputs = inputs.to_tensor()
        inputs = tf.cast(inputs, self.compute_dtype)
        shape = inputs.shape
        rank = len(shape)
        broadcast_shape = [1] * rank
        for a in self.axis:
            broadcast_shape[a] = shape[a]

        def spread(v: Any) -> Any:
            return tf.reshape(v, broadcast_shape) if v is not None and len(v.shape) != rank and self.axis != [rank - 1] else v

        if self._fused:
            outputs = self._call_fused(inputs, spread)
        else:
            dtype = inputs.dtype
            if dtype in (dtypes.float16, dtypes.bfloat16) and self.dtype == "float32":
                inputs = tf.cast(inputs, dtypes.float32)
            mean, variance = tf.nn.moments(inputs, self.axis, keepdims=True)
            outputs = tf.nn.batch_normalization(
                inputs, mean, variance, offset=spread(self.beta), scale=spread(self.gamma), variance_epsilon=self.epsilon
            )
            outputs = tf.cast(outputs, dtype)
        outputs.set_shape(shape)
        return outputs if lengths is None else RaggedTensor.from_tensor(outputs, lengths)

    def _call_fused(self, inputs: Any, spread: Any) -> Any:
        """The samples as channels of one batch for the fused op."""
        first = min(self.axis)
        shape = tf.shape(inputs)
        samples, size = tf.reduce_prod(shape[:first]), tf.reduce_prod(shape[first:])
        flat = tf.reshape(inputs, tf.stack([1, samples, size, 1]))
        ones, zeros = tf.fill(tf.stack([samples]), tf.constant(1.0, self.dtype)), tf.fill(tf.stack([samples]), tf.constant(0.0, self.dtype))
        empty = tf.constant([], dtype=self.dtype)
        outputs = raw.FusedBatchNormV3(
            flat, ones, zeros, empty, empty, epsilon=self.epsilon, exponential_avg_factor=1.0, data_format="NCHW", is_training=True
        )[0]
        outputs = tf.reshape(outputs, shape)
        scale, offset = spread(self.gamma), spread(self.beta)
        if scale is not None:
            outputs = outputs * tf.cast(scale, outputs.dtype)
        return outputs if offset is None else outputs + tf.cast(offset, outputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        axis = list(self.axis) if isinstance(self.axis, list) else self.axis
        return {**super().get_config(), "axis": axis, **describe(self, f"epsilon center scale {_AFFINE}")}


class GroupNormalization(Layer):
    """Each group of channels of each sample normalised; a mask excludes elements from the statistics."""

    def __init__(
        self, groups: int = 32, axis: int = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True,
        beta_initializer: Any = "zeros", gamma_initializer: Any = "ones", beta_regularizer: Any = None, gamma_regularizer: Any = None,
        beta_constraint: Any = None, gamma_constraint: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__(**kwargs)
        self.supports_masking = True
        keep(self, locals(), f"groups axis epsilon center scale {_AFFINE}")

    def build(self, input_shape: Any) -> None:
        validate_axis(self.axis, input_shape)
        input_shape = TensorShape(input_shape)
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                f"Axis {self.axis} of input tensor should have a defined dimension but the layer received an input with shape {input_shape}."
            )
        if self.groups == -1:
            self.groups = channels
        if channels < self.groups:
            raise ValueError(f"Number of groups ({self.groups}) cannot be more than the number of channels ({channels}).")
        if channels % self.groups != 0:
            raise ValueError(f"Number of groups ({self.groups}) must be a multiple of the number of channels ({channels}).")
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

        def weight(name: str) -> Any:
            return self.add_weight(
                shape=(channels,), name=name, initializer=getattr(self, f"{name}_initializer"),
                regularizer=getattr(self, f"{name}_regularizer"), constraint=getattr(self, f"{name}_constraint"),
            )  # fmt: skip

        self.gamma = weight("gamma") if self.scale else None
        self.beta = weight("beta") if self.center else None
        super().build(input_shape)

    def _in_groups(self, x: Any, shape: Any) -> Any:
        sizes = [shape[i] for i in range(x.shape.rank)]
        sizes[self.axis] = shape[self.axis] // self.groups
        sizes.insert(self.axis, self.groups)
        return tf.reshape(x, tf.stack(sizes))

    def call(self, inputs: Any, mask: Any = None) -> Any:
        shape = tf.shape(inputs)
        mask = tf.ones_like(inputs) if mask is None else tf.broadcast_to(mask, shape)
        grouped = self._in_groups(inputs, shape)
        weights = tf.cast(self._in_groups(mask, shape), grouped.dtype)
        axes = list(range(1, grouped.shape.rank))
        axes.pop(self.axis - 1)
        mean, variance = tf.nn.weighted_moments(grouped, axes=axes, frequency_weights=weights, keepdims=True)
        per_channel: list[Any] = [1] * inputs.shape.rank
        per_channel[self.axis] = shape[self.axis] // self.groups
        per_channel.insert(self.axis, self.groups)
        target = tf.stack(per_channel)
        gamma = tf.reshape(self.gamma, target) if self.scale else None
        beta = tf.reshape(self.beta, target) if self.center else None
        normalized = tf.nn.batch_normalization(grouped, mean=mean, variance=variance, scale=gamma, offset=beta, variance_epsilon=self.epsilon)
        return tf.reshape(normalized, shape)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **describe(self, f"groups axis epsilon center scale {_AFFINE}")}


class UnitNormalization(Layer):
    """Vectors along `axis` with L2 norm one."""

    def __init__(self, axis: Any = -1, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(axis, (list, tuple, int)):
            raise TypeError(f"Invalid value for `axis` argument: expected an int or a list/tuple of ints. Received: axis={axis}")
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.axis = validate_axis(self.axis, input_shape)

    def call(self, inputs: Any) -> Any:
        return tf.linalg.l2_normalize(tf.cast(inputs, self.compute_dtype), axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(input_shape)

    def get_config(self) -> dict[str, Any]:
        axis = list(self.axis) if isinstance(self.axis, list) else self.axis
        return {**super().get_config(), "axis": axis}


class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its spectral norm at each training call (Miyato et al. 2018)."""

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any):
        super().__init__(layer, **kwargs)
        if power_iterations <= 0:
            raise ValueError(f"`power_iterations` should be greater than zero. Received: `power_iterations={power_iterations}`")
        self.power_iterations = power_iterations

    def build(self, input_shape: Any) -> None:
        from savedmodel.keras import initializers

        super().build(input_shape)
        input_shape = TensorShape(input_shape)
        self.input_spec = InputSpec(shape=[None, *input_shape.as_list()[1:]])
        if hasattr(self.layer, "kernel"):
            self.kernel = self.layer.kernel
        elif hasattr(self.layer, "embeddings"):
            self.kernel = self.layer.embeddings
        else:
            raise ValueError(f"{type(self.layer).__name__} object has no attribute 'kernel' nor 'embeddings'")
        self.kernel_shape = self.kernel.shape.as_list()
        self.vector_u = self.add_weight(
            shape=(1, self.kernel_shape[-1]), initializer=initializers.TruncatedNormal(stddev=0.02), trainable=False, name="vector_u",
            dtype=self.kernel.dtype,
        )  # fmt: skip

    def call(self, inputs: Any, training: Any = False) -> Any:
        if training:
            self.normalize_weights()
        return self.layer(inputs)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        return TensorShape(TensorShape(self.layer.compute_output_shape(input_shape)).as_list())

    def normalize_weights(self) -> None:
        """Divide the kernel by its largest singular value, found by power iteration; zero kernels stay."""
        weights = tf.reshape(self.kernel, [-1, self.kernel_shape[-1]])

        def normalize() -> None:
            u, v = self.vector_u.value(), None
            for _ in range(self.power_iterations):
                v = tf.math.l2_normalize(tf.matmul(u, weights, transpose_b=True))
                u = tf.math.l2_normalize(tf.matmul(v, weights))
            u, v = tf.stop_gradient(u), tf.stop_gradient(v)
            sigma = tf.matmul(tf.matmul(v, weights), u, transpose_b=True)
            self.vector_u.assign(tf.cast(u, self.vector_u.dtype))
            self.kernel.assign(tf.cast(tf.reshape(self.kernel / sigma, self.kernel_shape), self.kernel.dtype))

        smart_cond(tf.logical_not(tf.reduce_all(tf.equal(weights, 0.0))), normalize, lambda: None)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power_iterations": self.power_iterations}
