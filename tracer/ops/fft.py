"""Discrete Fourier transforms: complex and real ones over one, two, three or any axes, their gradients, and tf.signal's functions on them.

Windows, framing and the short-time transform live in signal.py. NumPy's FFT computes the values; TensorFlow's agree within rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.infer import constant_value
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import convert_to_tensor

__all__: list[str] = []

# -- complex transforms ----------------------------------------------------------------------------------------------


def _axes(rank: int) -> tuple[int, ...]:
    return tuple(range(-rank, 0))


def _complex_size(x: Any, rank: int) -> Any:
    """How many points a transform over the last `rank` axes of `x` has, as a scalar of its dtype."""
    count = raw.Prod(raw.Shape(x)[-rank:], [0])
    return raw.Cast(count, DstT=x.dtype)


def _register_complex(name: str, rank: int, function: Callable[..., np.ndarray], inverse: str, grows: bool) -> None:
    record = op(f"{name}(input: Tcomplex) -> (output: Tcomplex); Tcomplex: {{complex64, complex128}} = complex64")

    @record.infer
    def _(ctx: Any) -> Any:
        if ctx.rank(0) is not None and ctx.rank(0) < rank:
            raise ShapeError(f"op {name}: expected rank at least {rank}, received shape {ctx.shape(0)}")
        return ctx.shape(0)

    @record.kernel
    def _(x: np.ndarray) -> np.ndarray:
        if x.ndim < rank:
            raise ShapeError(f"Input must have rank of at least {rank} but got shape {list(x.shape)}")
        return function(x, axes=_axes(rank)).astype(x.dtype, copy=False) if x.size else x

    @record.gradient
    def _(node: Any, grad: Any) -> Any:
        back, size = getattr(raw, inverse)(grad), _complex_size(grad, rank)
        return raw.Mul(back, size) if grows else raw.Mul(back, raw.Reciprocal(size))


for _rank, _suffix in ((1, ""), (2, "2D"), (3, "3D")):
    _register_complex(f"FFT{_suffix}", _rank, np.fft.fftn, f"IFFT{_suffix}", True)
    _register_complex(f"IFFT{_suffix}", _rank, np.fft.ifftn, f"FFT{_suffix}", False)


# -- real transforms -------------------------------------------------------------------------------------------------


def _lengths(length: np.ndarray, rank: int) -> tuple[int, ...]:
    if length.shape != (rank,):
        raise ShapeError(f"fft_length must have shape [{rank}], received {list(length.shape)}")
    if (length < 0).any():
        raise InvalidArgumentError(f"fft_length must be >= 0, but got: {length.tolist()}")
    return tuple(int(n) for n in length)


def _cropped(x: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """The first `sizes` elements along the last axes. Raises ShapeError where `x` is too short."""
    have = x.shape[x.ndim - len(sizes) :]
    if x.ndim < len(sizes):
        raise ShapeError(f"Input must have rank of at least {len(sizes)} but got shape {list(x.shape)}")
    if any(h < s for h, s in zip(have, sizes, strict=True)):
        raise ShapeError(f"Input dimensions {list(have)} must have length of at least {list(sizes)}")
    return x[(..., *(slice(0, s) for s in sizes))]


def _real_shape(rank: int, halved: bool) -> Callable[[Any], Any]:
    def rule(ctx: Any) -> Any:
        shape = ctx.shape(0)
        if shape.rank is None:
            return unknown_shape()
        if shape.rank < rank:
            raise ShapeError(f"expected rank at least {rank}, received shape {shape}")
        length = ctx.value_as_shape(1)
        inner: list[int | None] = [None] * rank if length.rank != rank else list(length)
        if halved and inner[-1] is not None:
            inner[-1] = inner[-1] // 2 + 1 if inner[-1] else 0
        return TensorShape([*shape.as_list()[: shape.rank - rank], *inner])

    return rule


def _pad_last(x: Any, sizes: Any, rank: int) -> Any:
    """`x` filled up with zeros to `sizes` (an int32 vector) along its last `rank` axes."""
    missing = raw.Sub(sizes, raw.Shape(x)[-rank:])
    outer = raw.Fill(raw.Reshape(raw.Sub(raw.Rank(x), rank), [1]), 0)
    after = raw.ConcatV2([outer, missing], 0)
    return raw.Pad(x, raw.Pack([raw.ZerosLike(after), after], axis=1))


def _register_real(rank: int, suffix: str) -> None:
    forward = op(f"RFFT{suffix}(input: Treal, fft_length: int32) -> (output: Tcomplex); Treal: {{float, double}} = float; Tcomplex: {{complex64, complex128}} = complex64")  # fmt: skip
    backward = op(f"IRFFT{suffix}(input: Tcomplex, fft_length: int32) -> (output: Treal); Treal: {{float, double}} = float; Tcomplex: {{complex64, complex128}} = complex64")  # fmt: skip
    forward.infer(_real_shape(rank, True))
    backward.infer(_real_shape(rank, False))

    @forward.kernel
    def _(x: np.ndarray, length: np.ndarray, *, Tcomplex: Any) -> np.ndarray:
        sizes = _lengths(length, rank)
        half = (*sizes[:-1], sizes[-1] // 2 + 1 if sizes[-1] else 0)
        if x.size == 0 or 0 in sizes:
            return np.zeros((*x.shape[: x.ndim - rank], *half), Tcomplex.numpy)
        return np.fft.rfftn(_cropped(x, sizes), axes=_axes(rank)).astype(Tcomplex.numpy, copy=False)

    @backward.kernel
    def _(x: np.ndarray, length: np.ndarray, *, Treal: Any) -> np.ndarray:
        sizes = _lengths(length, rank)
        half = (*sizes[:-1], sizes[-1] // 2 + 1 if sizes[-1] else 0)
        if x.size == 0 or 0 in sizes:
            return np.zeros((*x.shape[: x.ndim - rank], *sizes), Treal.numpy)
        return np.fft.irfftn(_cropped(x, half), s=sizes, axes=_axes(rank)).astype(Treal.numpy, copy=False)

    inverse = f"IFFT{suffix}"

    @forward.gradient
    def _(node: Any, grad: Any) -> Any:
        # The adjoint: the half spectrum with zeros for the rest, transformed back without a factor; real part.
        x, length = node.inputs
        full = getattr(raw, inverse)(_pad_last(grad, length, rank))
        real = raw.Real(raw.Mul(full, _complex_size(full, rank)), Tout=x.dtype)
        return _pad_last(real, raw.Shape(x)[-rank:], rank), None

    @backward.gradient
    def _(node: Any, grad: Any) -> Any:
        x, length = node.inputs
        odd = raw.FloorMod(length[-1], 2)
        half = raw.FloorDiv(length[-1], 2) + 1
        at = raw.Range(0, half, 1)
        single = raw.LogicalOr(raw.Equal(at, 0), raw.LogicalAnd(raw.Equal(at, half - 1), raw.Equal(odd, 0)))
        one = np.ones((), grad.dtype.numpy)
        mask = raw.SelectV2(single, one, one + one)
        size = raw.Cast(raw.Prod(length, [0]), DstT=grad.dtype)
        spectrum = getattr(raw, f"RFFT{suffix}")(grad, length, Tcomplex=x.dtype)
        result = raw.Mul(spectrum, raw.Cast(raw.RealDiv(mask, size), DstT=x.dtype))
        return _pad_last(result, raw.Shape(x)[-rank:], rank), None


for _rank, _suffix in ((1, ""), (2, "2D"), (3, "3D")):
    _register_real(_rank, _suffix)


# -- any axes --------------------------------------------------------------------------------------------------------


def _resized(x: np.ndarray, sizes: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    for size, axis in zip(sizes, axes, strict=True):
        if x.shape[axis] > size:
            x = np.take(x, np.arange(size), axis=axis)
        elif x.shape[axis] < size:
            pad = [(0, 0)] * x.ndim
            pad[axis] = (0, size - x.shape[axis])
            x = np.pad(x, pad)
    return x


def _nd_arguments(x: np.ndarray, length: np.ndarray, axes: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if length.ndim != 1 or axes.shape != length.shape:
        raise ShapeError(f"fft_length and axes must be vectors of one length, received {list(length.shape)} and {list(axes.shape)}")
    places = tuple(int(a) % x.ndim for a in axes)
    if len(set(places)) != len(places):
        raise InvalidArgumentError(f"axes must be unique, received {axes.tolist()}")
    return _lengths(length, len(length)), places


def _nd_shape(change: str) -> Callable[[Any], Any]:
    def rule(ctx: Any) -> Any:
        shape, length, axes = ctx.shape(0), ctx.value(1), ctx.value(2)
        if shape.rank is None or length is None or axes is None:
            return unknown_shape(shape.rank)
        dims = shape.as_list()
        for n, axis in zip(length, axes, strict=False):
            dims[int(axis)] = int(n)
        if change == "halve" and len(axes):
            dims[int(axes[-1])] = int(length[-1]) // 2 + 1
        return TensorShape(dims)

    return rule


def _register_nd(text: str, change: str, function: Callable[..., np.ndarray]) -> None:
    record = op(text)
    record.infer(_nd_shape(change))
    result = "Treal" if change == "double" else "Tcomplex"

    @record.prepare
    def _(attrs: Any) -> Callable[..., Any]:
        kind = attrs[result].numpy

        def kernel(x: np.ndarray, length: np.ndarray, axes: np.ndarray) -> np.ndarray:
            sizes, places = _nd_arguments(x, length, axes)
            if not places:
                return x.astype(kind)
            if change == "double":
                return function(x, s=sizes, axes=places).astype(kind, copy=False)
            return function(_resized(x, sizes, places), axes=places).astype(kind, copy=False)

        return kernel


_COMPLEX = "Tcomplex: {complex64, complex128} = complex64"
_REAL = "Treal: {float, double} = float; " + _COMPLEX
_register_nd(f"FFTND(input: Tcomplex, fft_length: int32, axes: int32) -> (output: Tcomplex); {_COMPLEX}", "keep", np.fft.fftn)
_register_nd(f"IFFTND(input: Tcomplex, fft_length: int32, axes: int32) -> (output: Tcomplex); {_COMPLEX}", "keep", np.fft.ifftn)
_register_nd(f"RFFTND(input: Treal, fft_length: int32, axes: int32) -> (output: Tcomplex); {_REAL}", "halve", np.fft.rfftn)
_register_nd(f"IRFFTND(input: Tcomplex, fft_length: int32, axes: int32) -> (output: Treal); {_REAL}", "double", np.fft.irfftn)


# -- tf.signal -------------------------------------------------------------------------------------------------------


def _complex_function(op_name: str) -> Callable[..., Any]:
    def transform(input, name=None):
        """The transform over the innermost axes of a complex tensor."""
        return getattr(raw, op_name)(convert_to_tensor(input), name=name)

    return transform


for _name in ("fft", "ifft", "fft2d", "ifft2d", "fft3d", "ifft3d"):
    public(f"signal.{_name}")(_complex_function(_name.upper()))


def _inner_shape(x: Any, rank: int) -> Any:
    """The last `rank` sizes of `x`: an int32 vector, constant where it is known."""
    shape = x.shape
    if shape.rank is not None and all(d is not None for d in shape.as_list()[-rank:]):
        return convert_to_tensor(np.array(shape.as_list()[-rank:], np.int32))
    return raw.Shape(x)[-rank:]


def _halved(length: Any) -> Any:
    return raw.ConcatV2([length[:-1], raw.FloorDiv(length[-1:], 2) + 1], 0)


def _doubled(shape: Any) -> Any:
    return raw.ConcatV2([shape[:-1], raw.Maximum(2 * (shape[-1:] - 1), 0)], 0)


def _pad_up(x: Any, wanted: Any, rank: int) -> Any:
    """`x` with zeros added where it is shorter than `wanted` along its last axes; empty tensors stay as they are."""
    have, want = constant_value(_inner_shape(x, rank)), constant_value(wanted)
    if x.shape.rank is not None and 0 in x.shape.as_list():
        return x
    if have is not None and want is not None:
        missing = np.maximum(want - have, 0)
        if not missing.any():
            return x
        paddings = np.zeros((x.shape.rank, 2), np.int32)
        paddings[-rank:, 1] = missing
        return raw.Pad(x, paddings)
    return _pad_last(x, raw.Maximum(wanted, raw.Shape(x)[-rank:]), rank)


def _real_function(op_name: str, rank: int) -> Callable[..., Any]:
    def transform(input_tensor, fft_length=None, name=None):
        """The half spectrum of a real tensor over its innermost axes, cropped or padded to `fft_length`.

        Raises:
            ValueError: the tensor is not float32 or float64, or has too few axes.
        """
        x = convert_to_tensor(input_tensor, dtype_hint=dtypes.float32)
        if x.dtype not in (dtypes.float32, dtypes.float64):
            raise InvalidArgumentError(f"RFFT requires tf.float32 or tf.float64 inputs, got: {x}")
        length = _inner_shape(x, rank) if fft_length is None else convert_to_tensor(fft_length, dtypes.int32)
        kind = dtypes.complex64 if x.dtype is dtypes.float32 else dtypes.complex128
        return getattr(raw, op_name)(_pad_up(x, length, rank), length, Tcomplex=kind, name=name)

    return transform


def _inverse_real_function(op_name: str, rank: int) -> Callable[..., Any]:
    def transform(input_tensor, fft_length=None, name=None):
        """The real tensor that a half spectrum over the innermost axes stands for, of size `fft_length` along them.

        Raises:
            ValueError: the tensor is not complex, or has too few axes.
        """
        x = convert_to_tensor(input_tensor, dtype_hint=dtypes.complex64)
        if not x.dtype.is_complex:
            raise InvalidArgumentError(f"IRFFT requires tf.complex64 or tf.complex128 inputs, got: {x}")
        length = _doubled(_inner_shape(x, rank)) if fft_length is None else convert_to_tensor(fft_length, dtypes.int32)
        kind = dtypes.float32 if x.dtype is dtypes.complex64 else dtypes.float64
        return getattr(raw, op_name)(_pad_up(x, _halved(length), rank), length, Treal=kind, name=name)

    return transform


for _rank, _suffix in ((1, ""), (2, "2D"), (3, "3D")):
    public(f"signal.rfft{_suffix.lower()}")(_real_function(f"RFFT{_suffix}", _rank))
    public(f"signal.irfft{_suffix.lower()}")(_inverse_real_function(f"IRFFT{_suffix}", _rank))


def _nd_function(op_name: str, inverse: bool, real_input: bool, real_output: bool) -> Callable[..., Any]:
    def transform(input_tensor, fft_length=None, axes=None, norm=None, name=None):
        """The transform over `axes` (default: all), normalised as `norm` says: "backward", "ortho" or "forward"."""
        x = convert_to_tensor(input_tensor, dtype_hint=dtypes.float32 if real_input else dtypes.complex64)
        rank = x.shape.rank
        axes = convert_to_tensor(np.arange(rank, dtype=np.int32) if axes is None else axes, dtypes.int32)
        if fft_length is None:
            length = _inner_shape(x, rank)
            length = _doubled(length) if real_output else length
        else:
            length = convert_to_tensor(fft_length, dtypes.int32)
        if norm not in (None, "backward", "ortho", "forward"):
            raise InvalidArgumentError(f"norm: expected 'backward', 'ortho' or 'forward', received {norm!r}")
        if norm in ("ortho", "forward"):
            count = raw.Cast(raw.Prod(length, [0]), DstT=x.dtype)
            factor = raw.Sqrt(count) if norm == "ortho" else count
            x = raw.Mul(x, factor) if inverse else raw.RealDiv(x, factor)
        if real_input:
            kind = {"Tcomplex": dtypes.complex64 if x.dtype is dtypes.float32 else dtypes.complex128}
        elif real_output:
            kind = {"Treal": dtypes.float32 if x.dtype is dtypes.complex64 else dtypes.float64}
        else:
            kind = {}
        return getattr(raw, op_name)(x, length, axes, name=name, **kind)

    return transform


for _name, _flags in (
    ("fftnd", (False, False, False)), ("ifftnd", (True, False, False)), ("rfftnd", (False, True, False)), ("irfftnd", (True, False, True)),
):  # fmt: skip
    public(f"signal.{_name}")(_nd_function(_name.upper(), *_flags))


def _shift(x: Any, axes: Any, inverse: bool, name: str | None) -> Any:
    x = convert_to_tensor(x)
    if axes is None:
        axes = list(range(x.shape.rank))
    single = isinstance(axes, int)
    places = convert_to_tensor([axes] if single else axes, dtypes.int32)
    places = raw.SelectV2(raw.Less(places, 0), places + raw.Rank(x), places)
    by = raw.FloorDiv(raw.GatherV2(raw.Shape(x), places, 0), 2)
    return raw.Roll(x, raw.Neg(by) if inverse else by, places, name=name)


@public("signal.fftshift")
def fftshift(x, axes=None, name=None):
    """`x` with the zero frequency in the middle of `axes`."""
    return _shift(x, axes, False, name)


@public("signal.ifftshift")
def ifftshift(x, axes=None, name=None):
    """Undo `fftshift`."""
    return _shift(x, axes, True, name)
