"""The functions of keras.backend on tensors: Keras' names and argument orders for TensorFlow's functions. Settings live in `backend`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from savedmodel.keras import backend
from tracer import dispatch, nest
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError
from tracer.public import tf
from tracer.tensor import EagerTensor, Tensor
from tracer.variable import Variable

__all__ = [
    "abs", "all", "any", "arange", "argmax", "argmin", "batch_dot", "batch_flatten", "batch_get_value",
    "batch_normalization", "batch_set_value", "bias_add", "binary_crossentropy", "cast", "cast_to_floatx",
    "categorical_crossentropy", "clip", "conv1d", "conv2d", "conv3d", "pool2d", "pool3d", "concatenate", "constant", "cos", "count_params", "cumprod", "cumsum", "dot",
    "dropout", "dtype", "elu", "equal", "eval", "exp", "expand_dims", "eye", "flatten", "foldl", "foldr", "function",
    "gather", "get_value", "gradients", "greater", "greater_equal", "hard_sigmoid", "identity", "in_test_phase",
    "in_top_k", "in_train_phase", "int_shape", "is_keras_tensor", "is_sparse", "l2_normalize", "less", "less_equal",
    "log", "logsumexp", "map_fn", "max", "maximum", "mean", "min", "minimum", "moving_average_update", "name_scope",
    "ndim", "not_equal", "one_hot", "ones", "ones_like", "permute_dimensions", "placeholder", "pow", "print_tensor",
    "prod", "random_bernoulli", "random_binomial", "random_normal", "random_uniform", "relu", "repeat",
    "repeat_elements", "reshape", "reverse", "round", "set_value", "shape", "sigmoid", "sign", "sin", "softmax",
    "softplus", "softsign", "sparse_categorical_crossentropy", "spatial_2d_padding", "spatial_3d_padding", "sqrt",
    "square", "squeeze", "stack", "std", "stop_gradient", "sum", "switch", "tanh", "temporal_padding", "tile",
    "to_dense", "transpose", "truncated_normal", "update", "update_add", "update_sub", "var", "variable", "zeros",
    "zeros_like",
]  # fmt: skip

# -- plain renames ---------------------------------------------------------------------------------------------------

def _elementwise(name: str) -> Callable[..., Any]:
    def function(x: Any, *others: Any) -> Any:
        return getattr(tf.math, name)(x, *others)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"tf.math.{name}."
    return function


abs = _elementwise("abs")
sqrt = _elementwise("sqrt")
exp = _elementwise("exp")
log = _elementwise("log")
round = _elementwise("round")
sign = _elementwise("sign")
sin = _elementwise("sin")
cos = _elementwise("cos")
square = _elementwise("square")
sigmoid = _elementwise("sigmoid")
tanh = _elementwise("tanh")
maximum = _elementwise("maximum")
minimum = _elementwise("minimum")
equal = _elementwise("equal")
not_equal = _elementwise("not_equal")
greater = _elementwise("greater")
greater_equal = _elementwise("greater_equal")
less = _elementwise("less")
less_equal = _elementwise("less_equal")


def _reduction(name: str, target: str) -> Callable[..., Any]:
    def function(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if name in ("mean", "any", "all"):
            dtype = getattr(x, "dtype", None)
            if name == "mean" and dtype is not None and as_dtype(dtype).kind == "b":
                x = tf.cast(x, backend.floatx())
            elif name != "mean":
                x = tf.cast(x, "bool")
        return getattr(tf, target)(x, axis, keepdims)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"tf.{target}; `axis` may be a list."
    return function


max = _reduction("max", "reduce_max")
min = _reduction("min", "reduce_min")
sum = _reduction("sum", "reduce_sum")
prod = _reduction("prod", "reduce_prod")
mean = _reduction("mean", "reduce_mean")
any = _reduction("any", "reduce_any")
all = _reduction("all", "reduce_all")
logsumexp = _reduction("logsumexp", "reduce_logsumexp")


def var(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """tf.math.reduce_variance."""
    return tf.math.reduce_variance(x, axis=axis, keepdims=keepdims)


def std(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """tf.math.reduce_std."""
    return tf.math.reduce_std(x, axis=axis, keepdims=keepdims)


def cumsum(x: Any, axis: int = 0) -> Any:
    """tf.cumsum."""
    return tf.cumsum(x, axis=axis)


def cumprod(x: Any, axis: int = 0) -> Any:
    """tf.math.cumprod."""
    return tf.math.cumprod(x, axis=axis)


def argmax(x: Any, axis: int = -1) -> Any:
    """tf.argmax."""
    return tf.argmax(x, axis)


def argmin(x: Any, axis: int = -1) -> Any:
    """tf.argmin."""
    return tf.argmin(x, axis)


def pow(x: Any, a: Any) -> Any:
    """tf.pow."""
    return tf.pow(x, a)


def clip(x: Any, min_value: Any, max_value: Any) -> Any:
    """tf.clip_by_value; None is no bound."""
    if isinstance(min_value, (int, float)) and isinstance(max_value, (int, float)) and max_value < min_value:
        max_value = min_value
    return tf.clip_by_value(x, -np.inf if min_value is None else min_value, np.inf if max_value is None else max_value)


# -- making tensors and variables ------------------------------------------------------------------------------------


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Any:
    """A variable with that value."""
    return Variable(value, dtype=as_dtype(dtype or backend.floatx()), name=name, constraint=constraint)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """A constant in the float type of the backend."""
    return tf.constant(value, dtype=dtype or backend.floatx(), shape=shape)


def placeholder(
    shape: Any = None, ndim: int | None = None, dtype: Any = None, sparse: bool = False, name: str | None = None, ragged: bool = False
) -> Any:
    """A Keras input of that (whole) shape."""
    from savedmodel.keras.engine.input_layer import Input

    if shape is None and ndim:
        shape = (None,) * ndim
    return Input(batch_shape=tuple(shape), dtype=dtype or backend.floatx(), sparse=sparse, ragged=ragged, name=name)


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A variable of zeros."""
    return Variable(tf.zeros(shape, dtype or backend.floatx()), name=name)


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A variable of ones."""
    return Variable(tf.ones(shape, dtype or backend.floatx()), name=name)


def eye(size: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A variable that holds an identity matrix."""
    return Variable(tf.eye(size, dtype=dtype or backend.floatx()), name=name)


def zeros_like(x: Any, dtype: Any = None, name: str | None = None) -> Any:
    """tf.zeros_like."""
    return tf.zeros_like(x, dtype=dtype)


def ones_like(x: Any, dtype: Any = None, name: str | None = None) -> Any:
    """tf.ones_like."""
    return tf.ones_like(x, dtype=dtype)


def identity(x: Any, name: str | None = None) -> Any:
    """tf.identity."""
    return tf.identity(x)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = "int32") -> Any:
    """tf.range; a single argument is the end."""
    if stop is None and start < 0:
        start = 0
    result = tf.range(start, limit=stop, delta=step) if stop is not None else tf.range(start, delta=step)
    return tf.cast(result, dtype) if dtype != "int32" else result


def random_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normal values."""
    return tf.random.normal(shape, mean=mean, stddev=stddev, dtype=dtype or backend.floatx(), seed=_seed(seed))


def random_uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Uniform values."""
    return tf.random.uniform(shape, minval=minval, maxval=maxval, dtype=dtype or backend.floatx(), seed=_seed(seed))


def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normal values within two deviations."""
    return tf.random.truncated_normal(shape, mean, stddev, dtype=dtype or backend.floatx(), seed=_seed(seed))


def random_bernoulli(shape: Any, p: Any = 0.0, dtype: Any = None, seed: Any = None) -> Any:
    """Ones with probability `p`, else zeros."""
    dtype = dtype or backend.floatx()
    return tf.where(tf.random.uniform(shape, dtype=dtype, seed=_seed(seed)) <= p, tf.ones(shape, dtype), tf.zeros(shape, dtype))


random_binomial = random_bernoulli


def _seed(seed: Any) -> Any:
    return int(np.random.randint(10_000_000)) if seed is None else seed


# -- values and shapes -----------------------------------------------------------------------------------------------


def cast(x: Any, dtype: Any) -> Any:
    """tf.cast."""
    return tf.cast(x, dtype)


def cast_to_floatx(x: Any) -> Any:
    """`x` in the float type of the backend: tensors stay tensors, the rest becomes an array."""
    if isinstance(x, (Tensor, Variable)):
        return tf.cast(x, backend.floatx())
    return np.asarray(x, dtype=backend.floatx())


def shape(x: Any) -> Any:
    """tf.shape."""
    return tf.shape(x)


def int_shape(x: Any) -> Any:
    """The static shape as a tuple, or None."""
    from savedmodel.keras.engine.layer_nodes import static_shape

    return static_shape(x)


def ndim(x: Any) -> int | None:
    """The static rank."""
    return x.shape.rank


def dtype(x: Any) -> str:
    """The name of the dtype."""
    return as_dtype(x.dtype).base_dtype.name


def is_keras_tensor(x: Any) -> bool:
    """Whether `x` is a symbolic Keras input or output. Raises ValueError for what is no tensor at all."""
    if getattr(x, "_is_keras_tensor", False):
        return True
    if not isinstance(x, (Tensor, Variable)) and not hasattr(x, "_type_spec"):
        raise InvalidArgumentError(f"Unexpectedly found an instance of type `{type(x)}`. Expected a symbolic tensor instance.")
    return hasattr(x, "_keras_history")


def is_sparse(tensor: Any) -> bool:
    """Whether `tensor` is a SparseTensor."""
    from tracer.composite import SparseTensor

    spec = getattr(tensor, "type_spec", None)
    return isinstance(tensor, SparseTensor) or type(spec).__name__ == "SparseTensorSpec"


def to_dense(tensor: Any) -> Any:
    """A sparse tensor as a dense one."""
    return tf.sparse.to_dense(tensor) if is_sparse(tensor) else tensor


def count_params(x: Any) -> int:
    """The number of elements."""
    return int(np.prod(x.shape.as_list()))


def eval(x: Any) -> Any:
    """The value as an array."""
    return get_value(to_dense(x))


def get_value(x: Any) -> Any:
    """The value as an array; what is no tensor as it is."""
    if isinstance(x, (EagerTensor, Variable)):
        return x.numpy()
    return x


def batch_get_value(tensors: Sequence[Any]) -> list[Any]:
    """The values as arrays."""
    return [get_value(t) for t in tensors]


def set_value(x: Any, value: Any) -> None:
    """Assign a value to a variable."""
    x.assign(np.asarray(value, dtype=x.dtype.numpy))


def batch_set_value(tuples: Sequence[tuple[Any, Any]]) -> None:
    """Assign values to variables."""
    for x, value in tuples:
        set_value(x, value)


def print_tensor(x: Any, message: str = "", summarize: int = 3) -> Any:
    """Print the value when it is computed; returns it."""
    tf.print(message, x, summarize=summarize)
    return x


def update(x: Any, new_x: Any) -> Any:
    """Assign."""
    return x.assign(new_x)


def update_add(x: Any, increment: Any) -> Any:
    """Assign the sum."""
    return x.assign_add(increment)


def update_sub(x: Any, decrement: Any) -> Any:
    """Assign the difference."""
    return x.assign_sub(decrement)


def moving_average_update(x: Any, value: Any, momentum: Any) -> Any:
    """x ← x · momentum + value · (1 − momentum)."""
    momentum, value = tf.cast(momentum, x.dtype), tf.cast(value, x.dtype)
    return x.assign_sub((x - value) * (1 - momentum))


# -- rearranging -----------------------------------------------------------------------------------------------------


def reshape(x: Any, shape: Any) -> Any:
    """tf.reshape."""
    return tf.reshape(x, shape)


def permute_dimensions(x: Any, pattern: Any) -> Any:
    """tf.transpose."""
    return tf.transpose(x, perm=pattern)


def transpose(x: Any) -> Any:
    """tf.transpose."""
    return tf.transpose(x)


def gather(reference: Any, indices: Any) -> Any:
    """tf.gather."""
    return tf.gather(reference, indices)


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Any:
    """tf.concat; a negative axis counts from the end."""
    if axis < 0:
        rank = tensors[0].shape.rank
        axis = axis % rank if rank else 0
    return tf.concat([to_dense(x) for x in tensors], axis)


def stack(x: Any, axis: int = 0) -> Any:
    """tf.stack."""
    return tf.stack(x, axis=axis)


def expand_dims(x: Any, axis: int = -1) -> Any:
    """tf.expand_dims."""
    return tf.expand_dims(x, axis)


def squeeze(x: Any, axis: Any) -> Any:
    """tf.squeeze."""
    return tf.squeeze(x, [axis] if isinstance(axis, int) else axis)


def tile(x: Any, n: Any) -> Any:
    """tf.tile."""
    return tf.tile(x, [n] if isinstance(n, int) else n)


def repeat(x: Any, n: int) -> Any:
    """[batch, features] → [batch, n, features]."""
    return tf.tile(tf.expand_dims(x, 1), tf.stack([1, n, 1]))


def repeat_elements(x: Any, rep: int, axis: int) -> Any:
    """Each element along `axis` `rep` times."""
    return tf.repeat(x, rep, axis=axis)


def flatten(x: Any) -> Any:
    """All elements in one dimension."""
    return tf.reshape(x, [-1])


def batch_flatten(x: Any) -> Any:
    """All dimensions but the first in one."""
    rest = x.shape[1:]
    size = rest.num_elements() if x.shape.rank is not None else None
    return tf.reshape(x, [-1, size] if size is not None else tf.stack([-1, tf.reduce_prod(tf.shape(x)[1:])]))


def reverse(x: Any, axes: Any) -> Any:
    """tf.reverse."""
    return tf.reverse(x, [axes] if isinstance(axes, int) else axes)


def one_hot(indices: Any, num_classes: int) -> Any:
    """tf.one_hot."""
    return tf.one_hot(indices, depth=num_classes, axis=-1)


def temporal_padding(x: Any, padding: Any = (1, 1)) -> Any:
    """Zeros around the middle dimension."""
    return tf.pad(x, [[0, 0], list(padding), [0, 0]])


def _spatial_padding(x: Any, padding: Any, data_format: str | None) -> Any:
    data_format = data_format or backend.image_data_format()
    if data_format not in ("channels_first", "channels_last"):
        raise InvalidArgumentError(f"Unknown data_format: {data_format}")
    inner = [list(p) for p in padding]
    return tf.pad(x, [[0, 0], [0, 0], *inner] if data_format == "channels_first" else [[0, 0], *inner, [0, 0]])


def spatial_2d_padding(x: Any, padding: Any = ((1, 1), (1, 1)), data_format: str | None = None) -> Any:
    """Zeros around two dimensions."""
    return _spatial_padding(x, padding, data_format)


def spatial_3d_padding(x: Any, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None) -> Any:
    """Zeros around three dimensions."""
    return _spatial_padding(x, padding, data_format)


# -- products and activations ----------------------------------------------------------------------------------------


def dot(x: Any, y: Any) -> Any:
    """The last dimension of `x` with the second to last of `y`."""
    if (x.shape.rank or 0) <= 2 and (y.shape.rank or 0) <= 2:
        return tf.matmul(x, y)
    return tf.tensordot(x, y, axes=[[x.shape.rank - 1], [_summed_axis(y)]])


def _summed_axis(y: Any) -> int:
    """The axis of `y` that `dot` sums over."""
    return y.shape.rank - 2 if y.shape.rank > 1 else 0


def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """Products per batch entry; `axes` are the dimensions that are summed."""
    rx, ry = x.shape.rank, y.shape.rank
    if axes is None:
        axes = (rx - 1, ry - 1 if ry == 2 else ry - 2)
    axes = [axes, axes] if isinstance(axes, int) else list(axes)
    a, b = axes[0] % rx, axes[1] % ry
    left = [chr(ord("b") + i) for i in range(rx - 1)]
    right = [chr(ord("n") + i) for i in range(ry - 1)]
    right[b - 1] = left[a - 1]
    out = [c for i, c in enumerate(left) if i != a - 1] + [c for i, c in enumerate(right) if i != b - 1]
    result = tf.einsum(f"a{''.join(left)},a{''.join(right)}->a{''.join(out)}", x, y)
    return tf.expand_dims(result, 1) if not out else result


def relu(x: Any, alpha: float = 0.0, max_value: Any = None, threshold: float = 0.0) -> Any:
    """keras.activations.relu."""
    from savedmodel.keras import activations

    return activations.relu(x, alpha=alpha, max_value=max_value, threshold=threshold)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """keras.activations.elu."""
    from savedmodel.keras import activations

    return activations.elu(x, alpha=alpha)


def softmax(x: Any, axis: int = -1) -> Any:
    """tf.nn.softmax."""
    return tf.nn.softmax(x, axis=axis)


def softplus(x: Any) -> Any:
    """tf.math.softplus."""
    return tf.math.softplus(x)


def softsign(x: Any) -> Any:
    """tf.nn.softsign."""
    return tf.nn.softsign(x)


def hard_sigmoid(x: Any) -> Any:
    """clip(0.2 x + 0.5, 0, 1)."""
    from savedmodel.keras import activations

    return activations.hard_sigmoid(x)


def l2_normalize(x: Any, axis: Any = None) -> Any:
    """tf.math.l2_normalize."""
    return tf.math.l2_normalize(x, axis=axis)


def dropout(x: Any, level: Any, noise_shape: Any = None, seed: Any = None) -> Any:
    """tf.nn.dropout."""
    return tf.nn.dropout(x, rate=level, noise_shape=noise_shape, seed=_seed(seed))


def in_top_k(predictions: Any, targets: Any, k: int) -> Any:
    """tf.math.in_top_k."""
    return tf.math.in_top_k(targets, predictions, k)


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Any:
    """`x + bias` along the channels."""
    data_format = data_format or backend.image_data_format()
    return tf.nn.bias_add(x, bias, data_format="NCHW" if data_format == "channels_first" else "NHWC")


def batch_normalization(x: Any, mean: Any, var: Any, beta: Any, gamma: Any, axis: int = -1, epsilon: float = 1e-3) -> Any:
    """tf.nn.batch_normalization."""
    return tf.nn.batch_normalization(x, mean, var, beta, gamma, epsilon)


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Any:
    """Crossentropy of distributions, per sample."""
    from savedmodel.keras import crossentropy

    return crossentropy.categorical_crossentropy(target, output, from_logits=from_logits, axis=axis)


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1, ignore_class: Any = None) -> Any:
    """Crossentropy of class numbers, per sample."""
    from savedmodel.keras import crossentropy

    return crossentropy.sparse_categorical_crossentropy(target, output, from_logits=from_logits, axis=axis, ignore_class=ignore_class)


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """Crossentropy of probabilities, element by element."""
    from savedmodel.keras import crossentropy

    return crossentropy.binary_crossentropy(target, output, from_logits=from_logits)


def _convolve(x: Any, kernel: Any, strides: Any, padding: str, data_format: str | None, dilation_rate: Any, rank: int) -> Any:
    first = (data_format or backend.image_data_format()) == "channels_first"
    spatial = "DHW"[3 - rank :]
    pair = (lambda v: [v] * rank if isinstance(v, int) else list(v))
    return tf.nn.convolution(
        x, kernel, strides=pair(strides), padding=padding.upper(), data_format="NC" + spatial if first else "N" + spatial + "C",
        dilations=pair(dilation_rate),
    )  # fmt: skip


def conv1d(x: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None, dilation_rate: Any = 1) -> Any:
    """A convolution over one dimension; `padding` may be "causal"."""
    if padding == "causal":
        left = dilation_rate * (kernel.shape.as_list()[0] - 1)
        x, padding = temporal_padding(x, (left, 0)), "valid"
    return _convolve(x, kernel, strides, padding, data_format, dilation_rate, 1)


def conv2d(
    x: Any, kernel: Any, strides: Any = (1, 1), padding: str = "valid", data_format: str | None = None, dilation_rate: Any = (1, 1)
) -> Any:
    """A convolution over two dimensions."""
    return _convolve(x, kernel, strides, padding, data_format, dilation_rate, 2)


def conv3d(
    x: Any, kernel: Any, strides: Any = (1, 1, 1), padding: str = "valid", data_format: str | None = None, dilation_rate: Any = (1, 1, 1)
) -> Any:
    """A convolution over three dimensions."""
    return _convolve(x, kernel, strides, padding, data_format, dilation_rate, 3)


def _pool(x: Any, pool_size: Any, strides: Any, padding: str, data_format: str | None, pool_mode: str) -> Any:
    if pool_mode not in ("max", "avg"):
        raise InvalidArgumentError(f"Invalid pooling mode: {pool_mode}")
    rank = len(pool_size)
    first = (data_format or backend.image_data_format()) == "channels_first"
    layout = "NC" + "DHW"[3 - rank :] if first else "N" + "DHW"[3 - rank :] + "C"
    kind = "MAX" if pool_mode == "max" else "AVG"
    return tf.nn.pool(x, list(pool_size), kind, strides=list(strides), padding=padding.upper(), data_format=layout)


def pool2d(
    x: Any, pool_size: Any, strides: Any = (1, 1), padding: str = "valid", data_format: str | None = None, pool_mode: str = "max"
) -> Any:
    """Greatest or mean values of windows over two dimensions."""
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


def pool3d(
    x: Any, pool_size: Any, strides: Any = (1, 1, 1), padding: str = "valid", data_format: str | None = None, pool_mode: str = "max"
) -> Any:
    """Greatest or mean values of windows over three dimensions."""
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


# -- control and gradients -------------------------------------------------------------------------------------------


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One of two expressions (or functions): by a scalar, or element by element."""
    if getattr(getattr(condition, "shape", None), "rank", 0) in (0, None):
        then = then_expression if callable(then_expression) else lambda: then_expression
        other = else_expression if callable(else_expression) else lambda: else_expression
        return tf.cond(tf.cast(condition, "bool"), then, other)
    then, other = (e() if callable(e) else e for e in (then_expression, else_expression))
    condition = tf.cast(condition, "bool")
    while condition.shape.rank < then.shape.rank:
        condition = tf.expand_dims(condition, -1)
    return tf.where(condition, then, other)


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in training, else `alt`; both may be functions."""
    if training is None:
        training = backend.learning_phase()
    if not isinstance(training, Tensor):
        chosen = x if training in (1, True) else alt
        return chosen() if callable(chosen) else chosen
    return switch(training, x, alt)


def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in inference, else `alt`."""
    return in_train_phase(alt, x, training=training)


def stop_gradient(variables: Any) -> Any:
    """tf.stop_gradient, on a tensor or each of a list."""
    return nest.map_structure(tf.stop_gradient, variables)


def gradients(loss: Any, variables: Any) -> Any:
    """tf.gradients, inside of a traced function."""
    return tf.gradients(loss, variables)


def function(inputs: Any, outputs: Any, updates: Any = None, name: str | None = None, **kwargs: Any) -> Callable[[Any], Any]:
    """A function from input arrays to the arrays of Keras tensors `outputs`."""
    from savedmodel.keras.engine.model import Model

    model = Model(inputs=inputs, outputs=outputs)
    several = isinstance(outputs, list)

    def call(values: Any) -> Any:
        results = model(values)
        if several and not isinstance(results, list):
            results = [results]
        return nest.map_structure(get_value, results)

    return call


def name_scope(name: str) -> Any:
    """tf.name_scope."""
    return dispatch.name_scope(name)


def map_fn(fn: Callable[[Any], Any], elems: Any, name: str | None = None, dtype: Any = None) -> Any:
    """tf.map_fn."""
    return tf.map_fn(fn, elems, dtype=dtype)


def foldl(fn: Callable[..., Any], elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """tf.foldl."""
    return tf.foldl(fn, elems, initializer=initializer)


def foldr(fn: Callable[..., Any], elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """tf.foldr."""
    return tf.foldr(fn, elems, initializer=initializer)

