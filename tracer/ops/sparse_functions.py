"""tf.sparse: conversions, arithmetic, shapes, slices and reductions of sparse tensors. Public functions only; the ops are in sparse.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError
from tracer.infer import constant_value
from tracer.public import public, tf
from tracer.ragged import is_ragged
from tracer.sparse import SparseTensor, SparseTensorValue, as_sparse
from tracer.tensor import convert_to_tensor


def _is_sparse(value: Any) -> bool:
    return isinstance(value, (SparseTensor, SparseTensorValue))


def _int64(value: Any) -> Any:
    t = convert_to_tensor(value, None if hasattr(value, "dtype") else dtypes.int64)
    return t if t.dtype == dtypes.int64 else raw.Cast(x=t, DstT=dtypes.int64)


def _zero_of(dtype: Any) -> Any:
    return convert_to_tensor(b"" if dtype.kind == "s" else np.zeros((), dtype.numpy), dtype)


@public("sparse.from_dense")
def from_dense(tensor: Any, name: str | None = None) -> SparseTensor:
    """The entries of a dense tensor that are not zero (not empty, for strings)."""
    x = convert_to_tensor(tensor)
    nonzero = x if x.dtype == dtypes.bool else raw.NotEqual(x=x, y=_zero_of(x.dtype))
    indices = raw.Where(input=nonzero)
    return SparseTensor(indices, raw.GatherNd(params=x, indices=indices), raw.Shape(input=x, out_type=dtypes.int64))


@public("sparse.to_dense")
def to_dense(sp_input: Any, default_value: Any = None, validate_indices: bool = True, name: str | None = None) -> Any:
    """The dense tensor, `default_value` (zero) where nothing is stored. Indices must be sorted and distinct."""
    sp = as_sparse(sp_input)
    default = _zero_of(sp.dtype) if default_value is None else convert_to_tensor(default_value, sp.dtype)
    return raw.SparseToDense(
        sparse_indices=sp.indices, output_shape=sp.dense_shape, sparse_values=sp.values, default_value=default,
        validate_indices=validate_indices, name=name,
    )  # fmt: skip


@public("sparse.to_indicator")
def to_indicator(sp_input: Any, vocab_size: int, name: str | None = None) -> Any:
    """A bool tensor: which of `vocab_size` ids each row holds."""
    sp = as_sparse(sp_input)
    indices = raw.ConcatV2(values=[sp.indices[:, :-1], raw.ExpandDims(_int64(sp.values), -1)], axis=1)
    shape = raw.ConcatV2(values=[sp.dense_shape[:-1], _int64([vocab_size])], axis=0)
    ones = raw.Fill(dims=raw.Shape(input=sp.values), value=True)
    ids = SparseTensor(indices, ones, shape)
    return to_dense(reorder(ids), default_value=False, validate_indices=False)


@public("sparse.reorder")
def reorder(sp_input: Any, name: str | None = None) -> SparseTensor:
    """The same tensor, its entries in row-major order."""
    sp = as_sparse(sp_input)
    found = raw.SparseReorder(input_indices=sp.indices, input_values=sp.values, input_shape=sp.dense_shape, name=name)
    return SparseTensor(found[0], found[1], sp.dense_shape)


@public("sparse.reshape")
def reshape(sp_input: Any, shape: Any, name: str | None = None) -> SparseTensor:
    """The same entries in another shape; one size may be -1."""
    sp = as_sparse(sp_input)
    found = raw.SparseReshape(input_indices=sp.indices, input_shape=sp.dense_shape, new_shape=_int64(shape), name=name)
    return SparseTensor(found[0], sp.values, found[1])


@public("sparse.expand_dims")
def expand_dims(sp_input: Any, axis: Any = None, name: str | None = None) -> SparseTensor:
    """A dimension of size 1 at `axis` (-1 by default)."""
    sp = as_sparse(sp_input)
    axis = -1 if axis is None else int(axis)
    rank = sp.dense_shape.shape[0]
    if rank is None:
        raise InvalidArgumentError("tf.sparse.expand_dims: the rank must be known while tracing")
    if not -rank - 1 <= axis <= rank:
        raise InvalidArgumentError(f"Axis must lie in [{-rank - 1}, {rank}], received {axis}")
    at = axis % (rank + 1)
    zeros = raw.ZerosLike(x=raw.Cast(x=sp.values if sp.dtype != dtypes.string else raw.StringLength(input=sp.values), DstT=dtypes.int64))
    indices = raw.ConcatV2(values=[sp.indices[:, :at], raw.ExpandDims(zeros, 1), sp.indices[:, at:]], axis=1)
    shape = raw.ConcatV2(values=[sp.dense_shape[:at], _int64([1]), sp.dense_shape[at:]], axis=0)
    return SparseTensor(indices, sp.values, shape)


@public("sparse.transpose")
def transpose(sp_input: Any, perm: Any = None, name: str | None = None) -> SparseTensor:
    """Dimensions permuted; reversed by default."""
    sp = as_sparse(sp_input)
    if perm is None:
        rank = raw.Size(input=sp.dense_shape)
        order = rank - 1 - raw.Range(start=0, limit=rank, delta=1)
    else:
        order = convert_to_tensor(perm)
    indices = raw.GatherV2(params=sp.indices, indices=order, axis=1)
    return reorder(SparseTensor(indices, sp.values, raw.GatherV2(params=sp.dense_shape, indices=order, axis=0)))


@public("sparse.retain")
def retain(sp_input: Any, to_retain: Any) -> SparseTensor:
    """The entries where the bool vector `to_retain` is true."""
    sp = as_sparse(sp_input)
    keep = raw.Reshape(tensor=raw.Where(input=convert_to_tensor(to_retain, dtypes.bool)), shape=[-1])
    indices = raw.GatherV2(params=sp.indices, indices=keep, axis=0)
    return SparseTensor(indices, raw.GatherV2(params=sp.values, indices=keep, axis=0), sp.dense_shape)


@public("sparse.reset_shape")
def reset_shape(sp_input: Any, new_shape: Any = None) -> SparseTensor:
    """The same entries in a larger shape; in the smallest that holds them by default."""
    sp = as_sparse(sp_input)
    if new_shape is None:
        rank = sp.dense_shape.shape[0]
        padded = raw.ConcatV2(values=[raw.Fill(dims=_int64([1, rank or 0]), value=_int64(-1)), sp.indices], axis=0)
        shape = raw.Max(input=padded, reduction_indices=0) + 1
    else:
        shape = _int64(new_shape)
        old, new = constant_value(sp.dense_shape), constant_value(shape)
        if old is not None and new is not None and (len(old) != len(new) or (new < old).any()):
            raise InvalidArgumentError(f"New shape should have dimension sizes >= the current ones: {old.tolist()} and {new.tolist()}")
    return SparseTensor(sp.indices, sp.values, shape)


@public("sparse.fill_empty_rows")
def fill_empty_rows(sp_input: Any, default_value: Any, name: str | None = None) -> tuple[SparseTensor, Any]:
    """Empty rows get one entry `default_value`. Returns the tensor and which rows were empty."""
    sp = as_sparse(sp_input)
    default = convert_to_tensor(default_value, sp.dtype)
    found = raw.SparseFillEmptyRows(indices=sp.indices, values=sp.values, dense_shape=sp.dense_shape, default_value=default, name=name)
    return SparseTensor(found[0], found[1], sp.dense_shape), found[2]


@public("sparse.concat")
def concat(axis: int, sp_inputs: Any, expand_nonconcat_dims: bool = False, name: str | None = None) -> SparseTensor:
    """Sparse tensors one after another along `axis`."""
    items = [as_sparse(s) for s in sp_inputs]
    if len(items) == 1:
        return items[0]
    shapes = [s.dense_shape for s in items]
    if expand_nonconcat_dims:
        rank = items[0].dense_shape.shape[0] or 0
        at = axis % rank
        widest = raw.Max(input=raw.Pack(values=shapes), reduction_indices=0)
        shapes = [raw.ConcatV2(values=[widest[:at], s[at : at + 1], widest[at + 1 :]], axis=0) for s in shapes]
    found = raw.SparseConcat(
        indices=[s.indices for s in items], values=[s.values for s in items], shapes=shapes, concat_dim=axis, name=name
    )
    return SparseTensor(*found)


@public("sparse.slice")
def slice(sp_input: Any, start: Any, size: Any, name: str | None = None) -> SparseTensor:
    """The entries inside of a box, moved to its corner."""
    sp = as_sparse(sp_input)
    found = raw.SparseSlice(indices=sp.indices, values=sp.values, shape=sp.dense_shape, start=_int64(start), size=_int64(size), name=name)
    return SparseTensor(*found)


@public("sparse.split")
def split(sp_input: Any = None, num_split: int | None = None, axis: Any = None, name: str | None = None) -> list[SparseTensor]:
    """`num_split` pieces along `axis`; the first ones are longer where it does not divide evenly."""
    if sp_input is None or num_split is None or axis is None:
        raise InvalidArgumentError("tf.sparse.split: expected sp_input, num_split and axis")
    sp = as_sparse(sp_input)
    found = raw.SparseSplit(split_dim=_int64(axis), indices=sp.indices, values=sp.values, shape=sp.dense_shape, num_split=num_split, name=name)
    return [SparseTensor(i, v, s) for i, v, s in zip(*found)]


@public("sparse.add")
def add(a: Any, b: Any, threshold: Any = 0) -> Any:
    """The sum; sparse where both are sparse (entries below `threshold` are dropped), else dense."""
    if not _is_sparse(a) and not _is_sparse(b):
        raise TypeError("At least one input should be SparseTensor; do you mean to use tf.add()?")
    if _is_sparse(a) and _is_sparse(b):
        a, b = as_sparse(a), as_sparse(b)
        limit = convert_to_tensor(threshold, a.dtype.real_dtype)
        found = raw.SparseAdd(
            a_indices=a.indices, a_values=a.values, a_shape=a.dense_shape, b_indices=b.indices, b_values=b.values,
            b_shape=b.dense_shape, thresh=limit,
        )  # fmt: skip
        return SparseTensor(*found)
    if _is_sparse(b):
        a, b = b, a
    a = as_sparse(a)
    return raw.SparseTensorDenseAdd(a_indices=a.indices, a_values=a.values, a_shape=a.dense_shape, b=b)


def _extreme(op: str, a: Any, b: Any, name: str | None) -> SparseTensor:
    a, b = as_sparse(a, "sp_a"), as_sparse(b, "sp_b")
    found = getattr(raw, op)(
        a_indices=a.indices, a_values=a.values, a_shape=a.dense_shape, b_indices=b.indices, b_values=b.values,
        b_shape=b.dense_shape, name=name,
    )  # fmt: skip
    return SparseTensor(found[0], found[1], a.dense_shape)


@public("sparse.maximum")
def maximum(sp_a: Any, sp_b: Any, name: str | None = None) -> SparseTensor:
    """The larger of each pair of entries, a missing one being 0."""
    return _extreme("SparseSparseMaximum", sp_a, sp_b, name)


@public("sparse.minimum")
def minimum(sp_a: Any, sp_b: Any, name: str | None = None) -> SparseTensor:
    """The smaller of each pair of entries, a missing one being 0."""
    return _extreme("SparseSparseMinimum", sp_a, sp_b, name)


@public("sparse.sparse_dense_matmul", "sparse.matmul")
def sparse_dense_matmul(sp_a: Any, b: Any, adjoint_a: bool = False, adjoint_b: bool = False, name: str | None = None) -> Any:
    """The matrix product of a sparse and a dense matrix, in either order; dense."""
    if _is_sparse(b):
        b = as_sparse(b)
        dense = convert_to_tensor(sp_a, b.dtype)
        flipped = raw.SparseTensorDenseMatMul(
            a_indices=b.indices, a_values=b.values, a_shape=b.dense_shape, b=dense, adjoint_a=not adjoint_b, adjoint_b=not adjoint_a
        )
        return (raw.ConjugateTranspose if b.dtype.is_complex else raw.Transpose)(x=flipped, perm=[1, 0])
    sp = as_sparse(sp_a)
    return raw.SparseTensorDenseMatMul(
        a_indices=sp.indices, a_values=sp.values, a_shape=sp.dense_shape, b=convert_to_tensor(b, sp.dtype), adjoint_a=adjoint_a,
        adjoint_b=adjoint_b, name=name,
    )  # fmt: skip


@public("sparse.softmax")
def softmax(sp_input: Any, name: str | None = None) -> SparseTensor:
    """The softmax of the stored entries along the last dimension."""
    sp = as_sparse(sp_input)
    return sp.with_values(raw.SparseSoftmax(sp_indices=sp.indices, sp_values=sp.values, sp_shape=sp.dense_shape, name=name))


def _reduce(op: str, sp_input: Any, axis: Any, keepdims: bool | None, is_sparse: bool, name: str | None) -> Any:
    sp = as_sparse(sp_input)
    if axis is None:
        rank = raw.Size(input=sp.dense_shape)
        axes = raw.Range(start=0, limit=rank, delta=1)
    else:
        axes = convert_to_tensor(axis, dtypes.int32)
    found = getattr(raw, op + ("Sparse" if is_sparse else ""))(
        input_indices=sp.indices, input_values=sp.values, input_shape=sp.dense_shape, reduction_axes=axes, keep_dims=bool(keepdims),
        name=name,
    )  # fmt: skip
    return SparseTensor(*found) if is_sparse else found


@public("sparse.reduce_sum")
def reduce_sum(
    sp_input: Any, axis: Any = None, keepdims: bool | None = None, output_is_sparse: bool = False, name: str | None = None
) -> Any:
    """The sums along `axis` (all by default), dense or sparse."""
    return _reduce("SparseReduceSum", sp_input, axis, keepdims, output_is_sparse, name)


@public("sparse.reduce_max")
def reduce_max(
    sp_input: Any, axis: Any = None, keepdims: bool | None = None, output_is_sparse: bool = False, name: str | None = None
) -> Any:
    """The largest stored entries along `axis` (all by default), 0 where there is none; dense or sparse."""
    return _reduce("SparseReduceMax", sp_input, axis, keepdims, output_is_sparse, name)


@public("sparse.mask")
def mask(a: Any, mask_indices: Any, name: str | None = None) -> Any:
    """IndexedSlices without the rows named by `mask_indices`."""
    from tracer.composite import IndexedSlices

    kept, places = raw.ListDiff(x=a.indices, y=mask_indices)
    return IndexedSlices(raw.GatherV2(params=a.values, indices=places, axis=0), kept, a.dense_shape)


@public("sparse.eye")
def eye(num_rows: int, num_columns: int | None = None, dtype: Any = dtypes.float32, name: str | None = None) -> SparseTensor:
    """The identity matrix."""
    columns = num_rows if num_columns is None else num_columns
    count = min(num_rows, columns)
    diagonal = np.repeat(np.arange(count, dtype=np.int64)[:, None], 2, axis=1)
    return SparseTensor(diagonal, convert_to_tensor(np.ones(count, as_dtype(dtype).numpy)), _int64([num_rows, columns]))


@public("sparse.map_values")
def map_values(op: Any, *args: Any, **kwargs: Any) -> SparseTensor:
    """`op` on the values of the sparse arguments, whose positions must be the same."""
    sparse = [a for a in [*args, *kwargs.values()] if _is_sparse(a)]
    if not sparse:
        raise InvalidArgumentError("No SparseTensor in argument list of map_values")
    first = as_sparse(sparse[0])

    def values(x: Any) -> Any:
        return as_sparse(x).values if _is_sparse(x) else x

    found = op(*[values(a) for a in args], **{k: values(v) for k, v in kwargs.items()})
    return SparseTensor(first.indices, found, first.dense_shape)


@public("sparse.bincount")
def bincount(
    values: Any, weights: Any = None, axis: int = 0, minlength: int | None = None, maxlength: int | None = None,
    binary_output: bool = False, name: str | None = None,
) -> SparseTensor:  # fmt: skip
    """How often each value occurs in each row (axis -1) or in all (axis 0), as a sparse tensor."""
    if axis not in (0, -1):
        raise InvalidArgumentError(f"Unsupported value for argument axis={axis}. Only 0 and -1 are currently supported.")
    attrs = {
        "minlength": -1 if minlength is None else minlength, "maxlength": -1 if maxlength is None else maxlength,
        "binary_output": binary_output, "name": name,
    }  # fmt: skip
    if not _is_sparse(values) and not is_ragged(values):
        values = convert_to_tensor(values)
        if axis == 0:
            values = raw.Reshape(tensor=values, shape=[-1])
            weights = None if weights is None else raw.Reshape(tensor=weights, shape=[-1])
    elif axis == 0:
        weights = None if weights is None else getattr(weights, "flat_values", getattr(weights, "values", weights))
        values = values.flat_values if is_ragged(values) else as_sparse(values).values
    given = weights
    if given is not None and (_is_sparse(given) or is_ragged(given)):
        given = given.flat_values if is_ragged(given) else as_sparse(given).values
    if given is None:
        given, out = convert_to_tensor(np.zeros(0, np.int64)), dtypes.int64
    else:
        given = convert_to_tensor(given)
        out = given.dtype
    if isinstance(values, (SparseTensor, SparseTensorValue)):
        sp = as_sparse(values)
        found = raw.SparseCountSparseOutput(
            indices=sp.indices, values=sp.values, dense_shape=sp.dense_shape, weights=given, output_type=out, **attrs
        )
    elif is_ragged(values):
        found = raw.RaggedCountSparseOutput(splits=_int64(values.row_splits), values=values.values, weights=given, output_type=out, **attrs)
    else:
        found = raw.DenseCountSparseOutput(values=values, weights=given, output_type=out, **attrs)
    return SparseTensor(*found)


@public("nn.embedding_lookup_sparse")
def embedding_lookup_sparse(
    params: Any, sp_ids: Any, sp_weights: Any, combiner: str | None = None, max_norm: Any = None, name: str | None = None,
    allow_fast_lookup: bool = False,
) -> Any:  # fmt: skip
    """The sum, mean or sqrtn ("sum" divided by the root of the summed squared weights) of the rows that each row of ids names."""
    combiner = combiner or "mean"
    if combiner not in ("mean", "sqrtn", "sum"):
        raise InvalidArgumentError(f"combiner must be one of 'mean', 'sqrtn' or 'sum', got {combiner}")
    if isinstance(params, (list, tuple)):
        if len(params) != 1:
            raise InvalidArgumentError("embedding_lookup_sparse: expected one table, received several; concatenate them first")
        params = params[0]
    if is_ragged(sp_ids):
        ids, segments = sp_ids.values, sp_ids.value_rowids()
    else:
        sp = as_sparse(sp_ids, "sp_ids")
        ids, segments = sp.values, sp.indices[:, 0]
    segments = segments if segments.dtype == dtypes.int32 else raw.Cast(x=segments, DstT=dtypes.int32)
    unique, positions = raw.Unique(x=ids)
    rows = tf.nn.embedding_lookup(params, unique, max_norm=max_norm)
    if sp_weights is None:
        op = {"sum": raw.SparseSegmentSum, "mean": raw.SparseSegmentMean, "sqrtn": raw.SparseSegmentSqrtN}[combiner]
        return op(data=rows, indices=positions, segment_ids=segments)
    weights = sp_weights.values if is_ragged(sp_weights) else as_sparse(sp_weights, "sp_weights").values
    rows = raw.GatherV2(params=rows, indices=positions, axis=0)
    weights = weights if weights.dtype == rows.dtype else raw.Cast(x=weights, DstT=rows.dtype)
    shaped = raw.Reshape(tensor=weights, shape=[-1] + [1] * (rows.shape.rank - 1))
    total = raw.SegmentSum(data=rows * shaped, segment_ids=segments)
    if combiner == "sum":
        return total
    if combiner == "mean":
        return raw.DivNoNan(x=total, y=raw.SegmentSum(data=shaped, segment_ids=segments))
    squares = raw.SegmentSum(data=raw.Square(x=shaped), segment_ids=segments)
    return raw.DivNoNan(x=total, y=raw.Sqrt(x=squares))
