"""InputSpec: what a layer asks of the rank, dtype and dimensions of its inputs, and the check of it. Words as Keras 2.15's."""

from __future__ import annotations

from typing import Any

from tracer import nest
from tracer.dtypes import as_dtype
from tracer.errors import DTypeError, InvalidArgumentError
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec

__all__ = ["InputSpec", "assert_input_compatibility", "to_tensor_shape", "to_tensor_spec"]


class InputSpec:
    """Rank, dtype and dimensions that one input must have; None everywhere means anything.

    Args:
        shape: expected shape, None for free dimensions; fixes `ndim`.
        ndim, min_ndim, max_ndim: exact, least and greatest rank.
        axes: {axis: expected size}.
        allow_last_axis_squeeze: a trailing dimension of size 1 may be missing or extra.
        name: key of the input where the layer takes a dict.

    Raises:
        TypeError: `axes` is not a dict with integer keys. ValueError: an axis lies outside of the rank.
    """

    def __init__(
        self, dtype: Any = None, shape: Any = None, ndim: int | None = None, max_ndim: int | None = None, min_ndim: int | None = None,
        axes: Any = None, allow_last_axis_squeeze: bool = False, name: str | None = None,
    ):  # fmt: skip
        self.dtype = None if dtype is None else as_dtype(dtype).name
        known = TensorShape(shape)
        self.shape = None if known.rank is None else tuple(known.as_list())
        self.ndim = ndim if self.shape is None else len(self.shape)
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.name = name
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        try:
            self.axes = {int(k): v for k, v in (axes or {}).items()}
        except (AttributeError, TypeError, ValueError):
            raise TypeError(f"Argument `axes` must be a dict with integer keys. Received: axes={axes}") from None
        if self.axes and (self.ndim is not None or self.max_ndim is not None):
            limit = (self.ndim if self.ndim else self.max_ndim) - 1  # type: ignore[operator]
            if max(self.axes) > limit:
                raise InvalidArgumentError(f"Axis {max(self.axes)} is greater than the maximum allowed value: {limit}")

    def get_config(self) -> dict[str, Any]:
        return {k: getattr(self, k) for k in ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InputSpec:
        return cls(**config)

    def __repr__(self) -> str:
        parts = [f"{k}={v}" for k, v in self.get_config().items() if v]
        return f"InputSpec({', '.join(parts)})"


def to_tensor_shape(spec: InputSpec) -> TensorShape:
    """The most general static shape that `spec` allows."""
    if spec.shape is not None:
        return TensorShape(spec.shape)
    if spec.ndim is None:
        return TensorShape(None)
    dims: list[int | None] = [None] * spec.ndim
    for axis, size in spec.axes.items():
        dims[axis] = size
    return TensorShape(dims)


def to_tensor_spec(input_spec: Any, default_dtype: Any = None) -> TensorSpec:
    """The TensorSpec that `input_spec` allows; of unknown shape where it is no InputSpec."""
    if default_dtype is None:
        from savedmodel.keras import backend

        default_dtype = backend.floatx()
    if isinstance(input_spec, InputSpec):
        return TensorSpec(to_tensor_shape(input_spec), input_spec.dtype or default_dtype)
    return TensorSpec(None, default_dtype)


def _shown(shape: Any) -> str:
    return str(tuple(TensorShape(shape).as_list()))


def assert_input_compatibility(input_spec: Any, inputs: Any, layer_name: str) -> None:
    """Check `inputs` (a structure of tensors) against the spec or structure of specs of a layer.

    Raises:
        ValueError: the number of inputs, a rank, dtype or dimension does not fit. TypeError: an input is no tensor.
    """
    if not input_spec:
        return
    specs = nest.flatten(input_spec)
    if isinstance(inputs, dict):
        names = [s.name for s in specs]
        if all(names):
            for name in names:
                if name not in inputs:
                    raise InvalidArgumentError(
                        f'Missing data for input "{name}". You passed a data dictionary with keys {list(inputs)}. Expected the '
                        f"following keys: {names}"
                    )
            inputs = [inputs[name] for name in names]
    inputs = nest.flatten(inputs)
    for x in inputs:
        if not hasattr(x, "shape"):
            raise DTypeError(
                f"Inputs to a layer should be tensors. Got '{x}' (of type {type(x)}) as input for layer '{layer_name}'."
            )
    if len(inputs) != len(specs):
        raise InvalidArgumentError(
            f'Layer "{layer_name}" expects {len(specs)} input(s), but it received {len(inputs)} input tensors. Inputs received: {inputs}'
        )
    for index, (x, spec) in enumerate(zip(inputs, specs, strict=True)):
        if spec is None:
            continue
        if TensorShape(x.shape).rank is None:
            return
        problem = _mismatch(spec, x)
        if problem:
            raise InvalidArgumentError(f'Input {index} of layer "{layer_name}" is incompatible with the layer: {problem}')


def _mismatch(spec: InputSpec, x: Any) -> str | None:
    """What about `x` does not fit `spec`."""
    shape = TensorShape(x.shape)
    dims = shape.as_list()
    rank = len(dims)
    full = f"Full shape received: {tuple(dims)}"
    if spec.ndim is not None and not spec.allow_last_axis_squeeze and rank != spec.ndim:
        return f"expected ndim={spec.ndim}, found ndim={rank}. {full}"
    if spec.max_ndim is not None and rank > spec.max_ndim:
        return f"expected max_ndim={spec.max_ndim}, found ndim={rank}"
    if spec.min_ndim is not None and rank < spec.min_ndim:
        return f"expected min_ndim={spec.min_ndim}, found ndim={rank}. {full}"
    if spec.dtype is not None and as_dtype(x.dtype).name != spec.dtype:
        return f"expected dtype={spec.dtype}, found dtype={x.dtype}"
    for axis, size in spec.axes.items():
        size = getattr(size, "value", size)
        if size is not None and dims[axis] not in (size, None):
            return f"expected axis {axis} of input shape to have value {size}, but received input with shape {_shown(shape)}"
    if spec.shape is not None:
        wanted = list(spec.shape)
        if spec.allow_last_axis_squeeze:
            dims = dims[:-1] if dims and dims[-1] == 1 else dims
            wanted = wanted[:-1] if wanted and wanted[-1] == 1 else wanted
        for want, have in zip(wanted, dims, strict=False):
            if want is not None and have is not None and want != have:
                return f"expected shape={spec.shape}, found shape={_shown(shape)}"
    return None
