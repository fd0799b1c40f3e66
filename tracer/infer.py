"""Shape inference: the context that an op's rule sees, and the rules that many ops share. It refuses to run kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracer.dtypes import DType
from tracer.shapes import TensorShape, as_shape, broadcast_shapes, unknown_shape

__all__ = ["InferContext", "broadcast", "constant_value", "constant_value_as_shape", "scalar", "unchanged", "unknown"]


class InferContext:
    """What a rule may look at: static shapes and dtypes of inputs, attrs, and input values where they are constant."""

    __slots__ = ("attrs", "handle_data", "inputs", "output_dtypes", "schema")

    def __init__(self, schema: Any, inputs: Sequence[Any], attrs: Mapping[str, Any], output_dtypes: Sequence[DType]):
        self.schema = schema
        self.inputs = inputs
        self.attrs = attrs
        self.output_dtypes = output_dtypes
        # a rule may set handle_data[i] = [(dtype, shape), …] for resource and variant outputs
        self.handle_data: dict[int, list[tuple[DType, TensorShape]]] = {}

    def shape(self, i: int) -> TensorShape:
        """Static shape of flat input `i`."""
        return self.inputs[i].shape

    def dtype(self, i: int) -> DType:
        return self.inputs[i].dtype

    def rank(self, i: int) -> int | None:
        return self.inputs[i].shape.rank

    def attr(self, name: str) -> Any:
        """The attr's value, or its default."""
        return self.schema.attr_value(name, self.attrs)

    def value(self, i: int) -> np.ndarray | None:
        """The value of flat input `i` where it is known while tracing, else None."""
        return constant_value(self.inputs[i])

    def value_as_shape(self, i: int) -> TensorShape:
        """Flat input `i`, a vector of sizes, as a shape that is as well known as possible (-1 is unknown)."""
        return constant_value_as_shape(self.inputs[i])

    def handle(self, i: int) -> list[tuple[DType, TensorShape]] | None:
        """What resource or variant input `i` holds, where that is known."""
        return getattr(self.inputs[i], "handle_data", None)

    def __len__(self) -> int:
        return len(self.inputs)


def constant_value(tensor: Any) -> np.ndarray | None:
    """The value of a tensor that does not depend on anything fed: eager values and Const, Shape, arithmetic on those."""
    value = getattr(tensor, "_value", None)
    if value is not None:
        return value if isinstance(value, np.ndarray) else None
    node = getattr(tensor, "node", None)
    if node is None:
        return None
    return _fold(node, tensor.index, 0)


def _fold(node: Any, index: int, depth: int) -> np.ndarray | None:
    rule = _FOLDERS.get(node.op)
    if rule is None or depth > 12:
        return None
    return rule(node, index, depth)


def _value(t: Any, depth: int) -> np.ndarray | None:
    value = getattr(t, "_value", None)
    if isinstance(value, np.ndarray):
        return value
    node = getattr(t, "node", None)
    return None if node is None else _fold(node, t.index, depth + 1)


def _fold_const(node: Any, index: int, depth: int) -> np.ndarray | None:
    return node.attrs["value"]


def _fold_first(node: Any, index: int, depth: int) -> np.ndarray | None:
    return _value(node.inputs[0], depth)


def _fold_shape(node: Any, index: int, depth: int) -> np.ndarray | None:
    shape = node.inputs[0].shape
    if not shape.is_fully_defined():
        return None
    return np.array(shape.as_list(), node.outputs[0].dtype.numpy)


def _fold_size(node: Any, index: int, depth: int) -> np.ndarray | None:
    n = node.inputs[0].shape.num_elements()
    return None if n is None else np.array(n, node.outputs[0].dtype.numpy)


def _fold_rank(node: Any, index: int, depth: int) -> np.ndarray | None:
    n = node.inputs[0].shape.rank
    return None if n is None else np.array(n, np.int32)


def _all_values(node: Any, depth: int) -> list[np.ndarray] | None:
    out = []
    for t in node.inputs:
        v = _value(t, depth)
        if v is None or v.size > 4096:
            return None
        out.append(v)
    return out


def _fold_by(function: Callable[..., Any]) -> Callable[[Any, int, int], np.ndarray | None]:
    def rule(node: Any, index: int, depth: int) -> np.ndarray | None:
        values = _all_values(node, depth)
        if values is None:
            return None
        try:
            with np.errstate(all="ignore"):
                return np.asarray(function(node, *values))
        except (ValueError, IndexError, ZeroDivisionError):
            return None

    return rule


def _strided_slice(node: Any, x: np.ndarray, begin: np.ndarray, end: np.ndarray, strides: np.ndarray) -> np.ndarray | None:
    if x.ndim != 1 or len(begin) != 1 or node.attr("ellipsis_mask", 0) or node.attr("new_axis_mask", 0):
        raise ValueError("only one-dimensional slices fold")
    b, e, s = int(begin[0]), int(end[0]), int(strides[0])
    if node.attr("shrink_axis_mask", 0) & 1:
        return x[b]
    return x[slice(None if node.attr("begin_mask", 0) & 1 else b, None if node.attr("end_mask", 0) & 1 else e, s)]


def _fold_strided_slice(node: Any, index: int, depth: int) -> np.ndarray | None:
    found = _fold_by(_strided_slice)(node, index, depth)
    if found is not None:
        return found
    # One element of a partly known shape vector.
    rest = [_value(t, depth) for t in node.inputs[1:]]
    if any(r is None or r.shape != (1,) for r in rest) or not node.attr("shrink_axis_mask", 0) & 1:
        return None
    shape = constant_value_as_shape(node.inputs[0])
    if shape.rank is None:
        return None
    position = int(rest[0][0])  # type: ignore[index]
    if not -shape.rank <= position < shape.rank or shape[position] is None:
        return None
    return np.array(shape[position], node.outputs[0].dtype.numpy)


_FOLDERS: dict[str, Callable[[Any, int, int], np.ndarray | None]] = {
    "Const": _fold_const,
    "Identity": _fold_first,
    "StopGradient": _fold_first,
    "Shape": _fold_shape,
    "Size": _fold_size,
    "Rank": _fold_rank,
    "StridedSlice": _fold_strided_slice,
    "Cast": _fold_by(lambda node, x: x.astype(node.attrs["DstT"].numpy)),
    "Pack": _fold_by(lambda node, *xs: np.stack(xs, axis=node.attr("axis", 0))),
    "ConcatV2": _fold_by(lambda node, *xs: np.concatenate(xs[:-1], axis=int(xs[-1]))),
    "Range": _fold_by(lambda node, a, b, c: np.arange(a, b, c, dtype=a.dtype)),
    "AddV2": _fold_by(lambda node, x, y: np.add(x, y)),
    "Add": _fold_by(lambda node, x, y: np.add(x, y)),
    "Sub": _fold_by(lambda node, x, y: np.subtract(x, y)),
    "Mul": _fold_by(lambda node, x, y: np.multiply(x, y)),
    "Neg": _fold_by(lambda node, x: np.negative(x)),
    "FloorDiv": _fold_by(lambda node, x, y: np.floor_divide(x, y) if np.all(y != 0) else None),
    "Maximum": _fold_by(lambda node, x, y: np.maximum(x, y)),
    "Minimum": _fold_by(lambda node, x, y: np.minimum(x, y)),
    "Prod": _fold_by(lambda node, x, axis: np.prod(x, axis=tuple(np.ravel(axis)), keepdims=node.attr("keep_dims", False)).astype(x.dtype)),
    "Reshape": _fold_by(lambda node, x, shape: x.reshape(shape)),
    "ExpandDims": _fold_by(lambda node, x, axis: np.expand_dims(x, int(axis))),
    "Squeeze": _fold_by(lambda node, x: np.squeeze(x)),
    "GatherV2": _fold_by(lambda node, x, i, axis: np.take(x, i, axis=int(axis))),
    "Fill": _fold_by(lambda node, dims, value: np.full(tuple(dims), value)),
    "Equal": _fold_by(lambda node, x, y: x == y),
    "Greater": _fold_by(lambda node, x, y: x > y),
    "Less": _fold_by(lambda node, x, y: x < y),
    "LogicalAnd": _fold_by(lambda node, x, y: np.logical_and(x, y)),
    "LogicalOr": _fold_by(lambda node, x, y: np.logical_or(x, y)),
    "LogicalNot": _fold_by(lambda node, x: np.logical_not(x)),
}


def constant_value_as_shape(tensor: Any) -> TensorShape:
    """A vector of sizes as a shape, as well known as possible."""
    value = constant_value(tensor)
    if value is not None:
        if value.ndim == 0:
            return unknown_shape()
        return TensorShape([None if int(d) < 0 else int(d) for d in value])
    node = getattr(tensor, "node", None)
    length = tensor.shape[0] if tensor.shape.rank == 1 else None
    if node is None:
        return unknown_shape(length)
    if node.op == "Shape":
        return node.inputs[0].shape
    if node.op in ("Identity", "Cast"):
        return constant_value_as_shape(node.inputs[0])
    if node.op == "Pack" and node.attr("axis", 0) == 0:
        dims = []
        for t in node.inputs:
            v = constant_value(t)
            dims.append(None if v is None or int(v) < 0 else int(v))
        return TensorShape(dims)
    if node.op == "ConcatV2":
        out = TensorShape([])
        for t in node.inputs[:-1]:
            out = out.concatenate(constant_value_as_shape(t))
        return out
    if node.op == "StridedSlice" and not node.attr("shrink_axis_mask", 0):
        rest = [constant_value(t) for t in node.inputs[1:]]
        plain = not (node.attr("ellipsis_mask", 0) or node.attr("new_axis_mask", 0))
        if plain and all(r is not None and r.shape == (1,) for r in rest):
            inner = constant_value_as_shape(node.inputs[0])
            b = None if node.attr("begin_mask", 0) & 1 else int(rest[0][0])  # type: ignore[index]
            e = None if node.attr("end_mask", 0) & 1 else int(rest[1][0])  # type: ignore[index]
            s = int(rest[2][0])  # type: ignore[index]
            if inner.rank is not None:
                return TensorShape(inner.as_list()[b:e:s])
    if node.op == "BroadcastArgs":
        try:
            return broadcast_shapes([constant_value_as_shape(t) for t in node.inputs])
        except ValueError:
            return unknown_shape(length)
    return unknown_shape(length)


# -- rules that many ops share ---------------------------------------------------------------------------------------


def unchanged(ctx: InferContext) -> Any:
    """Every output has the shape of the first input."""
    return [ctx.shape(0)] * len(ctx.output_dtypes)


def broadcast(ctx: InferContext) -> Any:
    """One output: all inputs broadcast together."""
    return broadcast_shapes([t.shape for t in ctx.inputs])


def scalar(ctx: InferContext) -> Any:
    """Every output is a scalar."""
    return [TensorShape([])] * len(ctx.output_dtypes)


def unknown(ctx: InferContext) -> Any:
    """Nothing is known of any output."""
    return [unknown_shape()] * len(ctx.output_dtypes)


def from_attr(name: str) -> Callable[[InferContext], Any]:
    """Every output has the shape in attr `name`."""
    return lambda ctx: [as_shape(ctx.attr(name))] * len(ctx.output_dtypes)


def like_input(i: int) -> Callable[[InferContext], Any]:
    """Every output has the shape of flat input `i`."""
    return lambda ctx: [ctx.shape(i)] * len(ctx.output_dtypes)


def shape_from_input(i: int) -> Callable[[InferContext], Any]:
    """One output, whose shape is the value of flat input `i`."""
    return lambda ctx: ctx.value_as_shape(i)


def reduction(ctx: InferContext) -> Any:
    """One output: input 0 reduced over the axes in input 1, with attr keep_dims (or keepdims)."""
    shape, axes = ctx.shape(0), ctx.value(1)
    keep = bool(ctx.attrs.get("keep_dims", ctx.attrs.get("keepdims", False)))
    if shape.rank is None:
        return unknown_shape()
    if axes is None:
        return unknown_shape(shape.rank) if keep else unknown_shape(0 if shape.rank == 0 else None)
    dropped = {int(a) % shape.rank if shape.rank else 0 for a in np.ravel(axes)}
    if keep:
        return TensorShape([1 if i in dropped else d for i, d in enumerate(shape)])
    return TensorShape([d for i, d in enumerate(shape) if i not in dropped])


def infer_shapes(record: Any, inputs: Sequence[Any], attrs: Mapping[str, Any], output_dtypes: Sequence[DType]) -> Any:
    """Run an op's rule. Returns (shapes, handle_data); unknown shapes where the op has no rule."""
    if not output_dtypes:
        if record.infer_fn is not None and getattr(record.infer_fn, "checks", False):
            record.infer_fn(InferContext(record.schema, inputs, attrs, output_dtypes))
        return (), {}
    if record.infer_fn is None:
        return [unknown_shape()] * len(output_dtypes), {}
    ctx = InferContext(record.schema, inputs, attrs, output_dtypes)
    found = record.infer_fn(ctx)
    if isinstance(found, TensorShape):
        found = [found] * len(output_dtypes) if len(output_dtypes) == 1 else [found]
    return [as_shape(s) for s in found], ctx.handle_data
