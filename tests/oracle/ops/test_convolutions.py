"""Convolutions, pooling and normalisation against TensorFlow."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.oracle.compare import compare_errors, compare_fn, compare_op

RNG = np.random.default_rng(11)


def draw(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


# input, filter, attrs
CONV2D: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 5, 6, 3), (3, 3, 3, 4), {"strides": [1, 1, 1, 1], "padding": "SAME"}),
    ((2, 5, 6, 3), (3, 3, 3, 4), {"strides": [1, 1, 1, 1], "padding": "VALID"}),
    ((2, 7, 6, 3), (3, 2, 3, 4), {"strides": [1, 2, 3, 1], "padding": "SAME"}),
    ((2, 8, 9, 3), (3, 2, 3, 4), {"strides": [1, 2, 2, 1], "padding": "VALID"}),
    ((2, 5, 6, 3), (1, 1, 3, 4), {"strides": [1, 1, 1, 1], "padding": "SAME"}),
    ((2, 5, 6, 3), (1, 1, 3, 4), {"strides": [1, 2, 2, 1], "padding": "SAME"}),
    ((2, 5, 6, 3), (5, 6, 3, 4), {"strides": [1, 1, 1, 1], "padding": "VALID"}),
    ((1, 1, 9, 3), (1, 3, 3, 4), {"strides": [1, 1, 2, 1], "padding": "SAME"}),
    ((1, 2, 2, 3), (5, 5, 3, 2), {"strides": [1, 1, 1, 1], "padding": "SAME"}),
    (
        (2, 5, 6, 3),
        (3, 3, 3, 4),
        {"strides": [1, 2, 1, 1], "padding": "EXPLICIT", "explicit_paddings": [0, 0, 1, 2, 3, 0, 0, 0]},
    ),
    ((2, 5, 6, 4), (3, 3, 2, 6), {"strides": [1, 1, 1, 1], "padding": "SAME"}),
]


@pytest.mark.parametrize(("x", "w", "attrs"), CONV2D)
def test_conv2d_and_its_gradients(x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any]) -> None:
    grouped = x[3] != w[2]
    compare_op("Conv2D", [draw(*x), draw(*w)], grad=not grouped and x[0] > 0, **attrs)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_conv2d_with_dilations(padding: str) -> None:
    compare_op("Conv2D", [draw(2, 9, 8, 3), draw(3, 2, 3, 4)], strides=[1, 1, 1, 1], padding=padding, dilations=[1, 2, 3, 1])


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16, np.int32])
def test_conv2d_of_other_dtypes(dtype: Any) -> None:
    x, w = draw(2, 5, 6, 3), draw(3, 3, 3, 4)
    if dtype is np.int32:
        x, w = x * 5, w * 5
    rtol = {np.float16: 1e-2, ml_dtypes.bfloat16: 5e-2}.get(dtype)
    compare_op("Conv2D", [x.astype(dtype), w.astype(dtype)], strides=[1, 1, 1, 1], padding="SAME", rtol=rtol)


@pytest.mark.parametrize(("x", "w", "attrs"), [c for c in CONV2D if c[0][3] == c[1][2] and c[0][0]])
def test_conv2d_backprops_and_their_gradients(x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any]) -> None:
    import tensorflow as tf

    full = {k: v for k, v in attrs.items()}
    dy = draw(*tf.raw_ops.Conv2D(input=draw(*x), filter=draw(*w), **full).shape)
    compare_op("Conv2DBackpropInput", [np.array(x, np.int32), draw(*w), dy], grad=True, static=False, **attrs)
    compare_op("Conv2DBackpropFilter", [draw(*x), np.array(w, np.int32), dy], grad=True, static=False, **attrs)


def test_conv2d_refuses_what_does_not_fit() -> None:
    compare_errors("Conv2D", [draw(1, 5, 5, 3), draw(3, 3, 2, 4)], strides=[1, 1, 1, 1], padding="SAME")
    compare_errors("Conv2D", [draw(1, 5, 5, 3), draw(3, 3, 3, 4)], strides=[2, 1, 1, 1], padding="SAME")


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv3d_and_its_gradients(padding: str, stride: int) -> None:
    strides = [1, stride, 1, stride, 1]
    compare_op("Conv3D", [draw(2, 4, 5, 6, 2), draw(3, 2, 3, 2, 3)], grad=True, strides=strides, padding=padding)


DEPTHWISE = [
    ((2, 5, 6, 3), (3, 3, 3, 1), {"strides": [1, 1, 1, 1], "padding": "SAME"}),
    ((2, 5, 6, 3), (3, 3, 3, 2), {"strides": [1, 1, 1, 1], "padding": "VALID"}),
    ((2, 7, 7, 3), (3, 3, 3, 1), {"strides": [1, 2, 2, 1], "padding": "SAME"}),
    ((2, 8, 7, 3), (3, 2, 3, 2), {"strides": [1, 2, 2, 1], "padding": "VALID"}),
    ((2, 9, 8, 3), (5, 4, 3, 1), {"strides": [1, 3, 3, 1], "padding": "SAME"}),
    ((1, 5, 6, 3), (3, 3, 3, 2), {"strides": [1, 1, 1, 1], "padding": "EXPLICIT", "explicit_paddings": [0, 0, 1, 2, 2, 0, 0, 0]}),
]


@pytest.mark.parametrize(("x", "w", "attrs"), DEPTHWISE)
def test_depthwise_and_its_gradients(x: tuple[int, ...], w: tuple[int, ...], attrs: dict[str, Any]) -> None:
    compare_op("DepthwiseConv2dNative", [draw(*x), draw(*w)], grad=True, **attrs)


def test_depthwise_of_a_large_image_runs_in_blocks() -> None:
    compare_op("DepthwiseConv2dNative", [draw(2, 61, 57, 40), draw(3, 3, 40, 1)], grad=True, strides=[1, 2, 2, 1], padding="SAME", static=False, grad_rtol=2e-4)


def test_conv2d_of_a_large_image_runs_in_blocks() -> None:
    compare_op("Conv2D", [draw(3, 61, 57, 20), draw(3, 3, 20, 8)], grad=True, strides=[1, 2, 2, 1], padding="SAME", static=False, grad_rtol=2e-4)
    compare_op("Conv2D", [draw(3, 61, 57, 20), draw(3, 3, 20, 8)], grad=True, strides=[1, 1, 1, 1], padding="SAME", static=False, grad_rtol=2e-4)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_dilation2d(padding: str) -> None:
    compare_op("Dilation2D", [draw(2, 7, 8, 3), draw(3, 2, 3)], grad=True, strides=[1, 2, 1, 1], rates=[1, 1, 2, 1], padding=padding)
    compare_fn("nn.dilation2d", draw(2, 7, 8, 3), draw(3, 2, 3), strides=[1, 1, 1, 1], padding=padding, data_format="NHWC", dilations=[1, 1, 1, 1])
    compare_fn("nn.erosion2d", draw(2, 7, 8, 3), draw(3, 2, 3), strides=[1, 1, 1, 1], padding=padding, data_format="NHWC", dilations=[1, 1, 1, 1])


FUNCTIONS: list[tuple[str, tuple[tuple[int, ...], ...], dict[str, Any]]] = [
    ("conv1d", ((2, 9, 3), (3, 3, 4)), {"stride": 2, "padding": "SAME"}),
    ("conv1d", ((2, 9, 3), (3, 3, 4)), {"stride": 1, "padding": "VALID", "dilations": 1}),
    ("conv1d", ((2, 2, 9, 3), (3, 3, 4)), {"stride": 1, "padding": "VALID"}),
    ("conv2d", ((2, 3, 7, 8, 3), (3, 3, 3, 4)), {"strides": 2, "padding": "SAME"}),
    ("conv2d", ((2, 7, 8, 3), (3, 3, 3, 4)), {"strides": [1, 2], "padding": [[0, 0], [1, 1], [2, 0], [0, 0]]}),
    ("conv3d", ((2, 4, 5, 6, 2), (2, 2, 2, 2, 3)), {"strides": [1, 1, 1, 1, 1], "padding": "SAME"}),
    ("convolution", ((2, 9, 3), (3, 3, 4)), {"padding": "SAME"}),
    ("convolution", ((2, 9, 3), (3, 3, 4)), {"padding": "VALID", "dilations": 2}),
    ("convolution", ((2, 9, 8, 3), (3, 2, 3, 4)), {"padding": "SAME", "dilations": [2, 3]}),
    ("convolution", ((2, 9, 8, 3), (3, 2, 3, 4)), {"padding": "VALID", "strides": 2}),
    ("convolution", ((2, 5, 6, 7, 2), (2, 3, 2, 2, 3)), {"padding": "SAME", "dilations": 2}),
    ("atrous_conv2d", ((2, 9, 8, 3), (3, 2, 3, 4)), {"rate": 2, "padding": "SAME"}),
    ("conv1d_transpose", ((2, 5, 4), (3, 3, 4)), {"output_shape": [2, 10, 3], "strides": 2}),
    ("conv2d_transpose", ((2, 4, 5, 4), (3, 3, 3, 4)), {"output_shape": [2, 8, 10, 3], "strides": 2}),
    ("conv2d_transpose", ((2, 4, 5, 4), (3, 3, 3, 4)), {"output_shape": [2, 9, 11, 3], "strides": 2, "padding": "VALID"}),
    ("conv3d_transpose", ((2, 2, 3, 3, 4), (3, 3, 2, 2, 4)), {"output_shape": [2, 4, 6, 6, 2], "strides": 2}),
    ("conv_transpose", ((2, 5, 4), (3, 3, 4)), {"output_shape": [2, 10, 3], "strides": 2}),
    ("atrous_conv2d_transpose", ((2, 8, 10, 4), (3, 3, 3, 4)), {"output_shape": [2, 8, 10, 3], "rate": 2, "padding": "SAME"}),
    ("depthwise_conv2d", ((2, 8, 9, 3), (3, 3, 3, 2)), {"strides": [1, 1, 1, 1], "padding": "SAME", "dilations": [2, 2]}),
    ("depthwise_conv2d", ((2, 8, 9, 3), (3, 3, 3, 2)), {"strides": [1, 2, 2, 1], "padding": "VALID"}),
    ("separable_conv2d", ((2, 8, 9, 3), (3, 3, 3, 2), (1, 1, 6, 4)), {"strides": [1, 2, 2, 1], "padding": "SAME"}),
    ("max_pool", ((2, 8, 9, 3),), {"ksize": 3, "strides": 2, "padding": "SAME"}),
    ("max_pool", ((2, 8, 9, 3),), {"ksize": 3, "strides": 2, "padding": [[0, 0], [1, 0], [0, 2], [0, 0]]}),
    ("max_pool", ((2, 9, 3),), {"ksize": 2, "strides": 2, "padding": "SAME"}),
    ("max_pool3d", ((2, 5, 4, 4, 3),), {"ksize": 2, "strides": 2, "padding": "SAME"}),
    ("avg_pool", ((2, 8, 9, 3),), {"ksize": 3, "strides": 2, "padding": "SAME"}),
    ("avg_pool1d", ((2, 9, 3),), {"ksize": 2, "strides": 2, "padding": "VALID"}),
    ("avg_pool3d", ((2, 5, 4, 4, 3),), {"ksize": [2, 3, 2], "strides": 2, "padding": "SAME"}),
    ("pool", ((2, 8, 9, 3),), {"window_shape": [2, 3], "pooling_type": "AVG", "padding": "SAME"}),
    ("pool", ((2, 8, 9, 3),), {"window_shape": [2, 2], "pooling_type": "MAX", "dilations": [2, 2], "padding": "VALID"}),
    ("pool", ((2, 9, 3),), {"window_shape": [2], "pooling_type": "MAX", "strides": [2]}),
]


@pytest.mark.parametrize(("name", "shapes", "kwargs"), FUNCTIONS)
def test_a_function_of_nn_equals_tensorflows(name: str, shapes: tuple[tuple[int, ...], ...], kwargs: dict[str, Any]) -> None:
    # Several batch axes need a known rank.
    extra = name in ("conv1d", "conv2d") and len(shapes[0]) > len(shapes[1])
    compare_fn(f"nn.{name}", *(draw(*s) for s in shapes), grad=True, static=not extra, **kwargs)


POOLS = [
    {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "VALID"},
    {"ksize": [1, 3, 2, 1], "strides": [1, 2, 1, 1], "padding": "SAME"},
    {"ksize": [1, 3, 3, 1], "strides": [1, 1, 1, 1], "padding": "SAME"},
    {"ksize": [1, 1, 1, 1], "strides": [1, 2, 2, 1], "padding": "SAME"},
    {"ksize": [1, 9, 9, 1], "strides": [1, 1, 1, 1], "padding": "SAME"},
]


@pytest.mark.parametrize("attrs", POOLS)
@pytest.mark.parametrize("name", ["MaxPool", "AvgPool"])
def test_pooling_and_its_gradients(name: str, attrs: dict[str, Any]) -> None:
    compare_op(name, [draw(2, 7, 8, 3)], grad=True, **attrs)
    # TensorFlow's double kernel differs from its float kernel where the window is larger than the input.
    compare_op(name, [draw(2, 7, 8, 3, dtype=np.float64)], grad=attrs["ksize"][1] < 8, **attrs)
    compare_op(name, [draw(2, 7, 8, 3, dtype=np.float16)], **attrs, rtol=4e-3)


@pytest.mark.parametrize("attrs", POOLS)
def test_gradients_of_pooling_gradients(attrs: dict[str, Any]) -> None:
    import tensorflow as tf

    x = np.round(draw(2, 7, 8, 3) * 2)  # with ties
    y = tf.raw_ops.MaxPool(input=x, **attrs).numpy()
    dy = draw(*y.shape)
    compare_op("MaxPoolGrad", [x, y, dy], grad=True, **attrs)
    compare_op("MaxPoolGradGrad", [x, y, draw(*x.shape)], grad=True, **attrs)
    compare_op("AvgPoolGrad", [np.array(x.shape, np.int32), dy], grad=True, static=False, **attrs)
    compare_op("MaxPoolWithArgmax", [x], grad=True, **attrs)
    compare_op("MaxPoolWithArgmax", [x], Targmax="int32", include_batch_in_index=True, **attrs)
    ksize, strides = np.array(attrs["ksize"], np.int32), np.array(attrs["strides"], np.int32)
    compare_op("MaxPoolV2", [x, ksize, strides], padding=attrs["padding"], grad=True)


def test_max_pool_of_integers_and_over_depth() -> None:
    compare_op("MaxPool", [(draw(2, 6, 6, 4) * 9).astype(np.int32)], ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    compare_op("MaxPool", [draw(2, 6, 6, 4)], ksize=[1, 1, 1, 2], strides=[1, 1, 1, 2], padding="SAME")


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_pooling_3d_and_its_gradients(padding: str) -> None:
    attrs = {"ksize": [1, 2, 3, 2, 1], "strides": [1, 1, 2, 2, 1], "padding": padding}
    compare_op("MaxPool3D", [draw(2, 5, 6, 4, 3)], grad=True, **attrs)
    compare_op("AvgPool3D", [draw(2, 5, 6, 4, 3)], grad=True, **attrs)


# -- normalisation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"])
@pytest.mark.parametrize(("training", "factor"), [(True, 1.0), (True, 0.3), (False, 1.0)])
def test_batch_norm_and_its_gradient(name: str, training: bool, factor: float) -> None:
    import tensorflow as tf

    from tests.oracle.compare import compare_calls
    from tracer.dispatch import raw

    inputs = [draw(3, 4, 5, 6), draw(6), draw(6), draw(6), np.abs(draw(6)) + 0.1]
    names = ["x", "scale", "offset", "mean", "variance"]
    attrs = {"is_training": training, "epsilon": 1e-3, "exponential_avg_factor": factor}

    def theirs(*v: Any) -> list[Any]:
        return list(getattr(tf.raw_ops, name)(**dict(zip(names, v)), **attrs))[:5]

    def mine(*v: Any) -> list[Any]:
        return getattr(raw, name)(*v, **attrs)[:5]

    compare_calls(theirs, mine, inputs, name, rtol=1e-4)
    compare_calls(lambda *v: theirs(*v)[0], lambda *v: mine(*v)[0], inputs, name, grad=True, rtol=1e-4)


def test_batch_norm_of_half_and_of_nothing() -> None:
    inputs = [draw(3, 4, 5, 6, dtype=np.float16), draw(6), draw(6), draw(6), np.abs(draw(6))]
    compare_y(inputs, 5e-3)
    compare_y([np.zeros((0, 4, 5, 6), np.float32), *inputs[1:]], 1e-5)


def compare_y(inputs: list[np.ndarray], rtol: float) -> None:
    """The first output only: TensorFlow leaves the reserve spaces uninitialised in inference."""
    import tensorflow as tf

    from tests.oracle.compare import compare_calls
    from tracer.dispatch import raw

    names = ["x", "scale", "offset", "mean", "variance"]
    compare_calls(
        lambda *v: tf.raw_ops.FusedBatchNormV3(**dict(zip(names, v)), is_training=False)[0],
        lambda *v: raw.FusedBatchNormV3(*v, is_training=False)[0],
        inputs, "FusedBatchNormV3", rtol=rtol,
    )  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_of_the_batch_norm_gradient(training: bool) -> None:
    import tensorflow as tf

    from tests.oracle.compare import compare_calls
    from tracer.dispatch import raw

    inputs = [draw(3, 4, 5, 6), draw(3, 4, 5, 6), draw(6), draw(6), np.abs(draw(6)) + 0.5]
    if training:  # the saved statistics are those of x
        inputs[3], inputs[4] = inputs[1].mean(axis=(0, 1, 2)), inputs[1].var(axis=(0, 1, 2))
    names = ["y_backprop", "x", "scale", "reserve_space_1", "reserve_space_2"]
    attrs = {"is_training": training, "epsilon": 1e-2}
    count = 3 if training else 5

    def theirs(*v: Any) -> list[Any]:
        given = dict(zip(names, [*v, *inputs[len(v) :]]))
        return list(tf.raw_ops.FusedBatchNormGradV3(**given, reserve_space_3=np.zeros(0, np.float32), **attrs))[:3]

    def mine(*v: Any) -> list[Any]:
        return raw.FusedBatchNormGradV3(*v, *inputs[len(v) :], np.zeros(0, np.float32), **attrs)[:3]

    compare_calls(theirs, mine, inputs[:count], "FusedBatchNormGradV3", grad=True, rtol=2e-4)


@pytest.mark.parametrize("attrs", [{}, {"depth_radius": 2, "bias": 1.5, "alpha": 0.3, "beta": 0.75}])
def test_local_response_normalisation(attrs: dict[str, Any]) -> None:
    compare_op("LRN", [draw(2, 3, 4, 7)], grad=True, **attrs)


@pytest.mark.parametrize("name", ["FractionalMaxPool", "FractionalAvgPool"])
@pytest.mark.parametrize("pseudo", [False, True])
@pytest.mark.parametrize("overlapping", [False, True])
def test_fractional_pooling_draws_tensorflows_regions(name: str, pseudo: bool, overlapping: bool) -> None:
    attrs = {"pseudo_random": pseudo, "overlapping": overlapping, "deterministic": True, "seed": 12, "seed2": 345}
    for ratio in ([1.0, 1.44, 1.73, 1.0], [1.0, 1.5, 2.0, 1.0]):
        x = draw(2, 20, 17, 3)
        outs = compare_op(name, [x], pooling_ratio=ratio, **attrs)
        rows, columns = (t.numpy() for t in outs[1:])
        dy = draw(*outs[0].shape)
        if name == "FractionalMaxPool":
            compare_op("FractionalMaxPoolGrad", [x, outs[0].numpy(), dy, rows, columns], overlapping=overlapping)
        else:
            shape = np.array(x.shape, np.int64)
            compare_op("FractionalAvgPoolGrad", [shape, dy, rows, columns], overlapping=overlapping, static=False)
