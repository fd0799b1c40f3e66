"""Fused ops of optimised and frozen graphs: _FusedConv2D, _FusedConv3D, _FusedDepthwiseConv2dNative, _FusedMatMul, padded convolutions.

They are for inference: none of them has a gradient. What may be fused is told by tracer/fused_steps.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tracer import infer
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.fused_steps import finish_of
from tracer.registry import get_op, op
from tracer.shapes import TensorShape, unknown_shape
from tracer.windows import text_attr

_TAIL = "fused_ops: list(string) = []; epsilon: float = 9.999999747378752e-05; leakyrelu_alpha: float = 0.20000000298023224"

fused_conv2d_op = op(
    "_FusedConv2D(input: T, filter: T, args: TArgs, host_args: num_host_args * float) -> (output: T); T: {half, float, double, int8, qint8}; "
    "TArgs: list(type) >= 1; num_args: int >= 0; num_host_args: int >= 0 = 0; strides: list(int); padding: {'SAME', 'VALID', 'EXPLICIT'}; "
    "explicit_paddings: list(int) = []; data_format: {'NHWC', 'NCHW', 'NCHW_VECT_C'} = \"NHWC\"; "
    "filter_format: {'HWIO', 'OIHW', 'OIHW_VECT_I'} = \"HWIO\"; dilations: list(int) = [1, 1, 1, 1]; use_cudnn_on_gpu: bool = true; " + _TAIL
).not_differentiable()
fused_conv3d_op = op(
    "_FusedConv3D(input: T, filter: T, args: num_args * T) -> (output: T); T: {bfloat16, float}; num_args: int >= 0; "
    "strides: list(int) >= 5; padding: {'SAME', 'VALID'}; data_format: {'NDHWC', 'NCDHW'} = \"NDHWC\"; "
    "dilations: list(int) = [1, 1, 1, 1, 1]; padding_list: list(int) = []; " + _TAIL
).not_differentiable()
fused_depthwise_op = op(
    "_FusedDepthwiseConv2dNative(input: T, filter: T, args: num_args * T) -> (output: T); T: {half, bfloat16, float, double}; "
    "num_args: int >= 0; strides: list(int); padding: {'SAME', 'VALID'}; data_format: {'NHWC', 'NCHW'} = \"NHWC\"; "
    "dilations: list(int) = [1, 1, 1, 1]; " + _TAIL
).not_differentiable()
fused_matmul_op = op(
    "_FusedMatMul(a: T, b: T, args: num_args * T) -> (product: T); transpose_a: bool = false; transpose_b: bool = false; "
    "T: {bfloat16, half, float}; num_args: int >= 0; " + _TAIL
).not_differentiable()
pad_conv_op = op(
    "FusedPadConv2D(input: T, paddings: int32, filter: T) -> (output: T); T: {half, bfloat16, float, double}; "
    "mode: {'REFLECT', 'SYMMETRIC'}; strides: list(int); padding: {'SAME', 'VALID'}"
).not_differentiable()
resize_pad_conv_op = op(
    "FusedResizeAndPadConv2D(input: T, size: int32, paddings: int32, filter: T) -> (output: T); T: {half, float, double}; "
    "resize_align_corners: bool = false; mode: {'REFLECT', 'SYMMETRIC'}; strides: list(int); padding: {'SAME', 'VALID'}"
).not_differentiable()


def _steps(attrs: Mapping[str, Any]) -> list[str]:
    return [text_attr(s) for s in attrs["fused_ops"]]


def _prepare(base: str, attrs: Mapping[str, Any], rank: int) -> Callable[..., np.ndarray]:
    """A kernel for input, filter, *args on top of the plain op's."""
    if "filter_format" in attrs and attrs["filter_format"] != b"HWIO":
        raise InvalidArgumentError(f"filter_format {attrs['filter_format'].decode()} exists on GPUs only; use HWIO")
    run = get_op(base).prepare_fn
    assert run is not None
    kernel = run(attrs)
    steps, epsilon, alpha = _steps(attrs), attrs["epsilon"], attrs["leakyrelu_alpha"]
    first = text_attr(attrs["data_format"]).startswith("NC")

    def fused(x: np.ndarray, w: np.ndarray, *args: np.ndarray) -> np.ndarray:
        if first:  # blocks have channels last, so must a whole tensor that is added
            args = tuple(np.moveaxis(a, 1, -1) if a.ndim == rank else a for a in args)
        finish, whole = finish_of(steps, args, epsilon, alpha)
        out = kernel(x, w, finish)
        if whole is not None:
            whole(np.moveaxis(out, 1, -1) if first else out)
        return out

    return fused


@fused_conv2d_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    count = len(attrs["TArgs"])
    run = _prepare("Conv2D", attrs, 4)
    return lambda x, w, *args: run(x, w, *args[:count])


@fused_conv3d_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    return _prepare("Conv3D", attrs, 5)


@fused_depthwise_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    return _prepare("DepthwiseConv2dNative", attrs, 4)


def _like(base: str) -> Callable[[infer.InferContext], Any]:
    """The shape rule of the plain op."""

    def rule(ctx: infer.InferContext) -> Any:
        plain = get_op(base)
        assert plain.infer_fn is not None
        attrs = {k: v for k, v in ctx.schema.complete(ctx.attrs).items() if k in plain.schema.attrs}
        inner = infer.InferContext(plain.schema, ctx.inputs[:2], attrs, ctx.output_dtypes)
        return plain.infer_fn(inner)

    return rule


fused_conv2d_op.infer(_like("Conv2D"))
fused_conv3d_op.infer(_like("Conv3D"))
fused_depthwise_op.infer(_like("DepthwiseConv2dNative"))


@fused_matmul_op.infer
def _(ctx: infer.InferContext) -> Any:
    a, b = ctx.shape(0).with_rank(2), ctx.shape(1).with_rank(2)
    rows = a[1] if ctx.attr("transpose_a") else a[0]
    columns = b[0] if ctx.attr("transpose_b") else b[1]
    return TensorShape([rows, columns])


@fused_matmul_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    steps, epsilon, alpha = _steps(attrs), attrs["epsilon"], attrs["leakyrelu_alpha"]
    turn_a, turn_b = attrs["transpose_a"], attrs["transpose_b"]

    def kernel(a: np.ndarray, b: np.ndarray, *args: np.ndarray) -> np.ndarray:
        kind = a.dtype
        if kind.itemsize < 4:
            a, b, args = a.astype(np.float32), b.astype(np.float32), tuple(v.astype(np.float32) for v in args)
        if a.ndim != 2 or b.ndim != 2:
            raise ShapeError(f"a and b must be matrices, received shapes {list(a.shape)} and {list(b.shape)}")
        out = np.matmul(a.T if turn_a else a, b.T if turn_b else b)
        for finish in finish_of(steps, args, epsilon, alpha):
            if finish is not None:
                finish(out)
        return out.astype(kind, copy=False)

    return kernel


def _pad_mode(mode: bytes) -> Any:
    return {"REFLECT": "reflect", "SYMMETRIC": "symmetric"}[text_attr(mode)]


def _prepare_padded(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    base = get_op("Conv2D")
    convolve = base.kernel_for({"strides": attrs["strides"], "padding": attrs["padding"]})
    mode = _pad_mode(attrs["mode"])

    def kernel(x: np.ndarray, paddings: np.ndarray, w: np.ndarray) -> np.ndarray:
        if paddings.shape != (4, 2):
            raise ShapeError(f"paddings must be a matrix with 2 columns and 4 rows, received {list(paddings.shape)}")
        return convolve(np.pad(x, [(int(a), int(b)) for a, b in paddings], mode=mode), w)

    return kernel


pad_conv_op.prepare(_prepare_padded)
pad_conv_op.infer(lambda ctx: unknown_shape(4))
resize_pad_conv_op.infer(lambda ctx: unknown_shape(4))


@resize_pad_conv_op.prepare
def _(attrs: Mapping[str, Any]) -> Callable[..., np.ndarray]:
    run = _prepare_padded(attrs)
    align = attrs["resize_align_corners"]

    def kernel(x: np.ndarray, size: np.ndarray, paddings: np.ndarray, w: np.ndarray) -> np.ndarray:
        resize = get_op("ResizeBilinear").kernel_for({"align_corners": align, "half_pixel_centers": False})
        return run(np.asarray(resize(x, size)).astype(x.dtype, copy=False), paddings, w)

    return kernel
