"""What ordinary functions do with ragged tensors: elementwise functions, reductions, tf.concat, tf.stack, tf.gather… all made of ops.

Public functions refuse ragged arguments; the dispatcher registered here then answers for those that have a meaning for ragged tensors.
It refuses broadcasting between ragged tensors of different row lengths.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.dtypes import DType
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.infer import constant_value
from tracer.public import NOT_HANDLED, add_dispatcher, tf
from tracer.ragged import RaggedTensor, _cast, _first_size, _gather, is_ragged, lengths_to_splits
from tracer.tensor import EagerTensor, convert_to_tensor

__all__ = [
    "concat", "elementwise", "elementwise_operator", "expand_dims", "from_tensor", "gather", "merge_dims", "reduce", "stack",
]  # fmt: skip

_ELEMENTWISE = set(
    "abs acos acosh add angle asin asinh atan atan2 atanh cast ceil clip_by_value complex conj cos cosh digamma divide "
    "divide_no_nan dropout elu equal erf erfc exp expm1 floor floordiv floormod gelu greater greater_equal "
    "identity imag is_finite is_inf is_nan leaky_relu less less_equal lgamma log log1p log_sigmoid logical_and logical_not "
    "logical_or logical_xor maximum minimum mod multiply multiply_no_nan negative not_equal ones_like pow real reciprocal relu "
    "relu6 rint round rsqrt saturate_cast scalar_mul selu sigmoid sign silu sin sinh softplus softsign sqrt square "
    "squared_difference stop_gradient subtract swish tan tanh truediv truncatediv truncatemod where zeros_like "
    "as_string decode_base64 encode_base64 decode_raw check_numerics bitwise_and one_hot nextafter zeta xlogy xdivy "
    "strings.as_string strings.join strings.length strings.lower strings.regex_full_match strings.regex_replace strings.strip "
    "strings.substr strings.to_hash_bucket strings.to_hash_bucket_fast strings.to_hash_bucket_strong strings.to_number "
    "strings.unicode_script strings.unicode_transcode strings.upper".split()
)
_OPERATORS = {
    "add": "AddV2", "sub": "Sub", "mul": "Mul", "floordiv": "FloorDiv", "mod": "FloorMod", "pow": "Pow", "lt": "Less",
    "le": "LessEqual", "gt": "Greater", "ge": "GreaterEqual", "neg": "Neg",
}  # fmt: skip


# -- elementwise -----------------------------------------------------------------------------------------------------


def _same_partition(a: RaggedTensor, b: RaggedTensor) -> RaggedTensor:
    """`b`, whose partitions must equal those of `a`."""
    if a.ragged_rank != b.ragged_rank:
        raise InvalidArgumentError(f"ragged tensors of ragged rank {a.ragged_rank} and {b.ragged_rank} do not broadcast together")
    for x, y in zip(a.nested_row_splits, b.nested_row_splits):
        if isinstance(x, EagerTensor) and isinstance(y, EagerTensor) and not np.array_equal(x._value, y._value):
            raise InvalidArgumentError(
                f"Inputs must have identical ragged splits: received row splits {x._value.tolist()[:8]} and {y._value.tolist()[:8]}"
            )
    return b


def _spread(dense: Any, like: RaggedTensor) -> Any:
    """A dense tensor, broadcast against `like`, as flat values of `like`'s partition."""
    rank, own = like.shape.rank, dense.shape.rank
    if rank is None or own is None:
        raise InvalidArgumentError("broadcasting a dense tensor to a ragged one: the ranks must be known")
    inner = like.flat_values.shape.rank - 1
    if own <= inner:
        return dense
    if own > rank:
        raise ShapeError(f"a dense tensor of rank {own} does not broadcast to a ragged one of rank {rank}")
    for _ in range(rank - own):
        dense = raw.ExpandDims(input=dense, dim=0)
    # Follow each ragged dimension down: a size of 1 repeats, another must have one entry per value of a row.
    part: Any = like
    result = dense
    if dense.shape[0] == 1:
        count = part.nrows()
        result = raw.GatherV2(params=dense, indices=raw.ZerosLike(x=raw.Range(start=_cast(count, dtypes.int64) * 0, limit=_cast(count, dtypes.int64), delta=convert_to_tensor(1, dtypes.int64))), axis=0)
    for _ in range(like.ragged_rank):
        rowids = part.value_rowids()
        if result.shape.rank is not None and result.shape[1] == 1:
            result = raw.GatherV2(params=raw.Squeeze(input=result, squeeze_dims=[1]), indices=rowids, axis=0)
        else:
            if part.uniform_row_length is None and isinstance(part.row_splits, EagerTensor):
                lengths = np.diff(part.row_splits._value)
                if len(lengths) and (lengths != result.shape[1]).any():
                    raise InvalidArgumentError(
                        f"cannot broadcast: the ragged dimension has row lengths {lengths.tolist()[:8]}, the dense one size {result.shape[1]}"
                    )
            starts = raw.GatherV2(params=part.row_splits[:-1], indices=rowids, axis=0)
            count = _first_size(part.values, rowids.dtype)
            positions = raw.Range(start=convert_to_tensor(0, rowids.dtype), limit=count, delta=convert_to_tensor(1, rowids.dtype))
            result = raw.GatherNd(params=result, indices=raw.Pack(values=[rowids, positions - starts], axis=1))
        part = part.values
    return result


def elementwise(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """`function` on the flat values of the ragged arguments; dense arguments are broadcast to them."""
    everything = [*args, *kwargs.values()]
    ragged = [a for a in _leaves(everything) if is_ragged(a)]
    first = max(ragged, key=lambda r: r.ragged_rank)
    if any(r.row_splits.dtype != first.row_splits.dtype for r in ragged):
        first = first.with_row_splits_dtype(dtypes.int64)

    def flat(value: Any) -> Any:
        if is_ragged(value):
            value = value.with_row_splits_dtype(first.row_splits.dtype)
            return _same_partition(first, value).flat_values
        if isinstance(value, (list, tuple)) and any(is_ragged(v) for v in _leaves(value)):
            return type(value)(flat(v) for v in value)
        if hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, (DType, np.generic, type)):
            t = convert_to_tensor(value)
            return _spread(t, first) if t.shape.rank else t
        if isinstance(value, list) and value and not isinstance(value[0], str):
            t = convert_to_tensor(value, first.dtype)
            return _spread(t, first) if t.shape.rank else t
        return value

    result = function(*[flat(a) for a in args], **{k: flat(v) for k, v in kwargs.items()})
    return first.with_flat_values(result)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in _leaves(v)]
    return [value]


def elementwise_operator(name: str, *args: Any) -> Any:
    """Python operator `name` where an operand is ragged."""
    if name in ("eq", "ne") and any(a is None for a in args):
        return name == "ne"
    first = next(a for a in args if is_ragged(a))
    values = [a if is_ragged(a) else convert_to_tensor(a, None if hasattr(a, "dtype") else first.dtype) for a in args]

    def apply(*flat: Any) -> Any:
        if name == "truediv":
            return flat[0] / flat[1]
        if name in ("and", "or", "xor"):
            return {"and": lambda: flat[0] & flat[1], "or": lambda: flat[0] | flat[1], "xor": lambda: flat[0] ^ flat[1]}[name]()
        if name in ("eq", "ne"):
            return raw.Equal(x=flat[0], y=flat[1]) if name == "eq" else raw.NotEqual(x=flat[0], y=flat[1])
        if name == "abs":
            return abs(flat[0])
        if name == "invert":
            return ~flat[0]
        return getattr(raw, _OPERATORS[name])(*flat)

    return elementwise(apply, values, {})


# -- structure -------------------------------------------------------------------------------------------------------


def from_tensor(
    cls: type[RaggedTensor], tensor: Any, lengths: Any, padding: Any, ragged_rank: int, splits_dtype: DType
) -> Any:
    """See RaggedTensor.from_tensor."""
    if lengths is not None and padding is not None:
        raise InvalidArgumentError("Specify argument `lengths` or `padding`, but not both.")
    if ragged_rank < 1:
        raise InvalidArgumentError(f"Argument `ragged_rank` must be greater than 0, received {ragged_rank}")
    x = convert_to_tensor(tensor)
    rank = x.shape.rank
    if rank is not None and rank <= ragged_rank:
        raise InvalidArgumentError(f"Argument `ragged_rank`={ragged_rank} must be less than the rank {rank} of the tensor")
    if isinstance(lengths, (list, tuple)) and lengths and not isinstance(lengths[0], (int, np.integer, float)):
        # One vector of lengths per ragged dimension.
        vectors = [convert_to_tensor(v, None if hasattr(v, "dtype") else splits_dtype) for v in lengths]
        inner = merge_outer(x, len(vectors))
        kept = from_tensor(cls, inner, vectors[-1], None, 1, splits_dtype)
        if len(vectors) == 1:
            return kept
        return cls.from_nested_row_lengths(kept.values, vectors, validate=True)
    if ragged_rank > 1 and lengths is None:
        flat = merge_outer(x, ragged_rank)
        inner_rows = from_tensor(cls, flat, None, padding, 1, splits_dtype)
        result: Any = inner_rows
        shape = raw.Shape(input=x, out_type=splits_dtype)
        for axis in range(ragged_rank - 1, 0, -1):
            static = x.shape[axis] if rank is not None else None
            size = shape[axis] if static is None else convert_to_tensor(static, splits_dtype)
            rows = tf.reduce_prod(shape[:axis])
            result = cls.from_uniform_row_length(result, size, nrows=rows, validate=False)
        return result
    shape = raw.Shape(input=x, out_type=splits_dtype)
    rows, columns = shape[0], shape[1]
    if padding is not None:
        pad = convert_to_tensor(padding, x.dtype)
        equal = raw.Equal(x=x, y=pad)
        if rank is not None and rank > 2:
            equal = tf.reduce_all(equal, axis=list(range(2, rank)))
        numbers = raw.Range(start=convert_to_tensor(1, splits_dtype), limit=columns + 1, delta=convert_to_tensor(1, splits_dtype))
        used = raw.SelectV2(condition=equal, t=raw.ZerosLike(x=numbers), e=numbers)
        zero = raw.Fill(dims=raw.Pack(values=[rows, convert_to_tensor(1, splits_dtype)]), value=convert_to_tensor(0, splits_dtype))
        lengths = tf.reduce_max(raw.ConcatV2(values=[zero, used], axis=1), axis=1)
    if lengths is not None:
        given = convert_to_tensor(lengths, None if hasattr(lengths, "dtype") else splits_dtype)
        given = _cast(given, splits_dtype)
        given = raw.Maximum(x=raw.Minimum(x=given, y=columns), y=convert_to_tensor(0, splits_dtype))
        mask = raw.ExpandDims(input=raw.Range(start=convert_to_tensor(0, splits_dtype), limit=columns, delta=convert_to_tensor(1, splits_dtype)), dim=0) < raw.ExpandDims(input=given, dim=1)
        positions = raw.Where(input=mask)
        return cls(raw.GatherNd(params=x, indices=positions), lengths_to_splits(given))
    return cls.from_uniform_row_length(
        merge_outer(x, 2), convert_to_tensor(x.shape[1], splits_dtype) if rank is not None and x.shape[1] is not None else columns,
        nrows=rows if rank is None or x.shape[0] is None else convert_to_tensor(x.shape[0], splits_dtype), validate=False,
    )._without_uniform()  # fmt: skip


def merge_outer(x: Any, count: int) -> Any:
    """A dense tensor with its first `count` dimensions merged."""
    if count < 2:
        return x
    static = x.shape
    if static.rank is not None and static[count:].is_fully_defined():
        merged = static[:count].num_elements()
        rest = static[count:].as_list()
        if merged is None and 0 not in rest:
            merged = -1
        if merged is not None:
            return raw.Reshape(tensor=x, shape=np.array([merged, *rest], np.int32))
    shape = raw.Shape(input=x)
    lead = raw.ExpandDims(input=tf.reduce_prod(shape[:count]), dim=0)
    return raw.Reshape(tensor=x, shape=raw.ConcatV2(values=[lead, shape[count:]], axis=0))


def merge_dims(rt: RaggedTensor, outer_axis: int, inner_axis: int) -> Any:
    """See RaggedTensor.merge_dims."""
    rank = rt.shape.rank
    if outer_axis < 0 or inner_axis < 0:
        if rank is None:
            raise InvalidArgumentError("merge_dims: negative axes need a known rank")
        outer_axis, inner_axis = outer_axis % rank, inner_axis % rank
    if outer_axis > inner_axis:
        raise InvalidArgumentError(f"outer_axis={outer_axis} is larger than inner_axis={inner_axis}")
    if rank is not None and inner_axis >= rank:
        raise InvalidArgumentError(f"inner_axis={inner_axis} is out of bounds for rank {rank}")

    def merge(part: Any, outer: int, inner: int) -> Any:
        if outer == inner:
            return part
        if not is_ragged(part):
            if outer == 0:
                return merge_outer(part, inner + 1)
            shape = raw.Shape(input=part)
            middle = raw.ExpandDims(input=tf.reduce_prod(shape[outer : inner + 1]), dim=0)
            return raw.Reshape(tensor=part, shape=raw.ConcatV2(values=[shape[:outer], middle, shape[inner + 1 :]], axis=0))
        if outer > 0:
            if outer == 1 and is_ragged(part.values):
                values: Any = part.values
                splits = part.row_splits
                for _ in range(inner - outer):
                    if is_ragged(values):
                        splits = raw.GatherV2(params=values.row_splits, indices=splits, axis=0)
                        values = values.values
                    else:
                        splits = splits * _cast(raw.Shape(input=values)[1], splits.dtype)
                        values = merge_outer(values, 2)
                return RaggedTensor(values, splits)
            if outer == 1:
                width = _cast(tf.reduce_prod(raw.Shape(input=part.values)[1:inner]), part.row_splits.dtype)
                return RaggedTensor(merge_outer(part.values, inner), part.row_splits * width)
            return part.with_values(merge(part.values, outer - 1, inner - 1))
        return merge(part.values, 0, inner - 1)

    return merge(rt, outer_axis, inner_axis)


def expand_dims(rt: RaggedTensor, axis: int) -> RaggedTensor:
    """A dimension of size 1 at `axis`."""
    rank = rt.shape.rank
    axis = axis + rank + 1 if axis < 0 and rank is not None else axis
    if axis == 0:
        return RaggedTensor.from_uniform_row_length(rt, rt.nrows(), nrows=1, validate=False)
    if axis == 1:
        return RaggedTensor.from_uniform_row_length(rt, 1, nrows=rt.nrows(), validate=False)
    inner = rt.values
    return rt.with_values(expand_dims(inner, axis - 1) if is_ragged(inner) else raw.ExpandDims(input=inner, dim=axis - 1))


def _as_ragged(values: Sequence[Any]) -> list[RaggedTensor]:
    """All values as ragged tensors of the same ragged rank and splits dtype."""
    ragged = [v for v in values if is_ragged(v)]
    dtype = ragged[0].dtype if ragged else None
    tensors = [v if is_ragged(v) else convert_to_tensor(v, None if hasattr(v, "dtype") else dtype) for v in values]
    rank = max([v.ragged_rank for v in ragged], default=1)
    wide = any(v.row_splits.dtype == dtypes.int64 for v in ragged) or not ragged
    splits_dtype = dtypes.int64 if wide else dtypes.int32
    out = []
    for t in tensors:
        if not is_ragged(t):
            t = RaggedTensor.from_tensor(t, ragged_rank=min(rank, t.shape.rank - 1), row_splits_dtype=splits_dtype)
        if t.ragged_rank < rank:
            t = t.with_flat_values(RaggedTensor.from_tensor(t.flat_values, ragged_rank=rank - t.ragged_rank, row_splits_dtype=splits_dtype))
        out.append(t.with_row_splits_dtype(splits_dtype))
    return out


def _axis_of(axis: Any, rank: int | None, what: str) -> int:
    known = constant_value(convert_to_tensor(axis)) if not isinstance(axis, int) else np.array(axis)
    if known is None:
        raise InvalidArgumentError(f"{what}: the axis must be known for ragged tensors")
    value = int(known)
    if value < 0:
        if rank is None:
            raise InvalidArgumentError(f"{what}: a negative axis needs a known rank")
        value += rank
    return value


def concat(values: Sequence[Any], axis: Any) -> Any:
    """tf.concat where a value is ragged."""
    axis = _axis_of(axis, next((v.shape.rank for v in values if is_ragged(v)), None), "concat")
    parts = _as_ragged(values)
    return _concat(parts, axis)


def _concat(parts: list[Any], axis: int) -> Any:
    if len(parts) == 1:
        return parts[0]
    if not is_ragged(parts[0]):
        return raw.ConcatV2(values=parts, axis=axis)
    if axis == 0:
        values = _concat([p.values for p in parts], 0)
        splits = [parts[0].row_splits]
        for p in parts[1:]:
            splits.append(p.row_splits[1:] + splits[-1][-1])
        return RaggedTensor(values, raw.ConcatV2(values=splits, axis=0))
    if axis == 1:
        count = len(parts)
        rows = parts[0].nrows()
        for p in parts[1:]:
            if isinstance(p.row_splits, EagerTensor) and isinstance(parts[0].row_splits, EagerTensor) and len(p) != len(parts[0]):
                raise InvalidArgumentError(f"concat of ragged tensors along axis 1: numbers of rows differ: {len(parts[0])} and {len(p)}")
        whole = _concat(parts, 0)
        dtype = whole.row_splits.dtype
        numbers = raw.Range(start=convert_to_tensor(0, dtype), limit=rows * count, delta=convert_to_tensor(1, dtype))
        table = raw.Reshape(tensor=numbers, shape=raw.Pack(values=[convert_to_tensor(count, dtype), rows]))
        order = raw.Reshape(tensor=raw.Transpose(x=table, perm=[1, 0]), shape=[-1])
        mixed = _gather(whole, order)
        return RaggedTensor(mixed.values, mixed.row_splits[::count])
    return parts[0].with_values(_concat([p.values for p in parts], axis - 1))


def stack(values: Sequence[Any], axis: Any) -> Any:
    """tf.stack where a value is ragged, and tf.ragged.stack."""
    rank = next((v.shape.rank for v in values if is_ragged(v)), None)
    axis = _axis_of(axis, None if rank is None else rank + 1, "stack")
    parts = _as_ragged(values)
    return _concat([expand_dims(p, axis) for p in parts], axis)._without_uniform()


def gather(params: Any, indices: Any, axis: Any = None, batch_dims: int = 0) -> Any:
    """tf.gather where params or indices are ragged."""
    if not is_ragged(indices):
        indices = convert_to_tensor(indices)
    axis = batch_dims if axis is None else _axis_of(axis, params.shape.rank, "gather")
    if batch_dims == 0:
        if is_ragged(indices):
            return indices.with_flat_values(gather(params, indices.flat_values, axis))
        if axis == 0:
            return _gather(params, indices)
        if not is_ragged(params):
            return raw.GatherV2(params=params, indices=indices, axis=axis)
        if axis == 1 and params.uniform_row_length is None:
            raise InvalidArgumentError("gather along a ragged dimension: use batch_dims=1, rows differ in length")
        return params.with_values(gather(params.values, indices, axis - 1))
    if batch_dims == 1 and axis == 1:
        if not is_ragged(indices):
            indices = RaggedTensor.from_tensor(indices)
        if not is_ragged(params):
            params = RaggedTensor.from_tensor(params)
        starts = raw.GatherV2(params=params.row_starts(), indices=indices.value_rowids(), axis=0)
        inner = indices.values
        if is_ragged(inner):
            raise InvalidArgumentError("gather with batch_dims=1: expected indices of ragged rank 1")
        return indices.with_values(_gather(params.values, _cast(inner, starts.dtype) + starts))
    raise InvalidArgumentError(f"gather of ragged tensors: expected batch_dims 0, or 1 with axis 1; received {batch_dims} and {axis}")


# -- reductions ------------------------------------------------------------------------------------------------------

_SEGMENTS = {
    "sum": "UnsortedSegmentSum", "prod": "UnsortedSegmentProd", "max": "UnsortedSegmentMax", "min": "UnsortedSegmentMin",
}  # fmt: skip


def reduce(kind: str, rt: RaggedTensor, axis: Any = None, keepdims: bool = False) -> Any:
    """tf.reduce_<kind> of a ragged tensor."""
    if kind == "any":
        counted = reduce("sum", rt.with_flat_values(raw.Cast(x=rt.flat_values, DstT=dtypes.int32)), axis, keepdims)
        return _flat_map(lambda v: v > 0, counted)
    if kind == "all":
        product = reduce("prod", rt.with_flat_values(raw.Cast(x=rt.flat_values, DstT=dtypes.int32)), axis, keepdims)
        return _flat_map(lambda v: v > 0, product)
    if kind == "mean":
        total = reduce("sum", rt, axis, keepdims)
        ones = rt.with_flat_values(raw.OnesLike(x=rt.flat_values))
        count = reduce("sum", ones, axis, keepdims)
        if is_ragged(total):
            return total.with_flat_values(_mean(total.flat_values, count.flat_values))
        return _mean(total, count)
    if kind in ("variance", "std"):
        squares = reduce("mean", rt.with_flat_values(raw.Square(x=rt.flat_values)), axis, keepdims)
        mean = reduce("mean", rt, axis, keepdims)
        variance = squares - mean * mean
        return _flat_map(lambda v: raw.Sqrt(x=v), variance) if kind == "std" else variance
    if axis is None:
        return getattr(tf, f"reduce_{kind}")(rt.flat_values)
    rank = rt.shape.rank
    axes = [int(a) for a in np.ravel(axis.numpy() if hasattr(axis, "numpy") else axis)]
    axes = sorted({_axis_of(a, rank, f"reduce_{kind}") for a in axes}, reverse=True)
    result: Any = rt
    for a in axes:
        result = _reduce_axis(kind, result, a) if is_ragged(result) else getattr(tf, f"reduce_{kind}")(result, axis=a)
        if keepdims:
            result = expand_dims(result, a) if is_ragged(result) else raw.ExpandDims(input=result, dim=a)
    return result


def _mean(total: Any, count: Any) -> Any:
    return total / count if total.dtype.is_floating or total.dtype.is_complex else raw.FloorDiv(x=total, y=count)


def _flat_map(function: Callable[[Any], Any], value: Any) -> Any:
    return value.with_flat_values(function(value.flat_values)) if is_ragged(value) else function(value)


def _columns(rt: RaggedTensor) -> Any:
    """The position of each value within its row."""
    rowids = rt.value_rowids()
    count = _first_size(rt.values, rowids.dtype)
    numbers = raw.Range(start=convert_to_tensor(0, rowids.dtype), limit=count, delta=convert_to_tensor(1, rowids.dtype))
    return numbers - raw.GatherV2(params=rt.row_splits[:-1], indices=rowids, axis=0)


def _segments(kind: str, values: Any, ids: Any, count: Any) -> Any:
    """Values of equal id combined; for ragged values, element by element of their rows."""
    if not is_ragged(values):
        return getattr(raw, _SEGMENTS[kind])(data=values, segment_ids=ids, num_segments=count)
    if is_ragged(values.values):
        raise InvalidArgumentError(f"reduce_{kind}: more than one ragged dimension behind the reduced one is not supported")
    lengths = values.row_lengths()
    widths = raw.UnsortedSegmentMax(data=lengths, segment_ids=ids, num_segments=count)
    widths = raw.Maximum(x=widths, y=convert_to_tensor(0, widths.dtype))
    splits = lengths_to_splits(widths)
    owner = raw.GatherV2(params=ids, indices=values.value_rowids(), axis=0)
    places = raw.GatherV2(params=splits[:-1], indices=owner, axis=0) + _columns(values)
    return RaggedTensor(_segments(kind, values.values, places, splits[-1]), splits)


def _reduce_axis(kind: str, rt: RaggedTensor, axis: int) -> Any:
    if axis == 0:
        return _segments(kind, rt.values, _columns(rt), rt.bounding_shape(axis=1))
    if axis == 1:
        return _segments(kind, rt.values, rt.value_rowids(), rt.nrows())
    inner = rt.values
    return rt.with_values(_reduce_axis(kind, inner, axis - 1) if is_ragged(inner) else getattr(tf, f"reduce_{kind}")(inner, axis=axis - 1))


# -- dispatch --------------------------------------------------------------------------------------------------------


def _argument(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def _handle(name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not any(is_ragged(a) for a in _leaves([*args, *kwargs.values()])):
        return NOT_HANDLED
    last = name.rpartition(".")[2]
    if name in _ELEMENTWISE or (last in _ELEMENTWISE and not name.startswith("strings.")):
        return elementwise(function, args, kwargs)
    given = _argument(function, args, kwargs)
    values = list(given.values())
    if last.startswith("reduce_") and last[7:] in ("sum", "prod", "max", "min", "mean", "any", "all", "variance", "std") and is_ragged(values[0]):
        return reduce(last[7:], values[0], given.get("axis"), bool(given.get("keepdims")))
    if last == "embedding_lookup" and is_ragged(given.get("ids")):
        ids = given.pop("ids")
        return ids.with_flat_values(function(ids=ids.flat_values, **given))
    if last == "concat":
        return concat(values[0], given["axis"])
    if last == "stack":
        return stack(values[0], given.get("axis", 0))
    if last == "expand_dims":
        return expand_dims(values[0], int(given["axis"]))
    if last == "gather":
        return gather(given["params"], given["indices"], given.get("axis"), given.get("batch_dims") or 0)
    if last == "size":
        return raw.Size(input=values[0].flat_values, out_type=given.get("out_type") or dtypes.int32)
    if last == "rank":
        return convert_to_tensor(values[0].shape.rank)
    if last == "shape":
        return values[0].bounding_shape()
    if last == "boolean_mask":
        return tf.ragged.boolean_mask(values[0], values[1])
    if last == "reverse":
        return _reverse(values[0], values[1])
    if last == "softmax" and is_ragged(values[0]):
        return _softmax(values[0], given.get("axis"))
    return NOT_HANDLED


def _softmax(rt: RaggedTensor, axis: Any) -> Any:
    rank = rt.shape.rank
    if _axis_of(-1 if axis is None else axis, rank, "softmax") != rt.ragged_rank or rank != rt.ragged_rank + 1:
        raise InvalidArgumentError("softmax of a ragged tensor: expected the innermost ragged dimension")
    inner = rt
    while is_ragged(inner.values):
        inner = inner.values
    top = raw.GatherV2(params=_reduce_axis("max", inner, 1), indices=inner.value_rowids(), axis=0)
    weights = raw.Exp(x=inner.values - raw.StopGradient(input=top))
    total = _reduce_axis("sum", inner.with_values(weights), 1)
    return rt.with_flat_values(weights / raw.GatherV2(params=total, indices=inner.value_rowids(), axis=0))


def _reverse(rt: RaggedTensor, axis: Any) -> Any:
    axes = {_axis_of(int(a), rt.shape.rank, "reverse") for a in np.ravel(axis.numpy() if hasattr(axis, "numpy") else axis)}

    def apply(part: Any, wanted: set[int]) -> Any:
        if not wanted:
            return part
        if not is_ragged(part):
            return raw.ReverseV2(tensor=part, axis=np.array(sorted(wanted), np.int32))
        if 0 in wanted:
            part = part[::-1]
        if 1 in wanted and is_ragged(part):
            part = part[:, ::-1]
        inner = {a - 1 for a in wanted if a > 1}
        return part.with_values(apply(part.values, inner)) if inner else part

    return apply(rt, axes)


add_dispatcher(_handle)
