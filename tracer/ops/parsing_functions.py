"""tf.io's example parsing: feature specifications and the functions that take them. The ops are in parsing.py."""

from __future__ import annotations

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np

from tracer import dtypes, example_messages
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError
from tracer.public import public
from tracer.ragged import RaggedTensor
from tracer.shapes import TensorShape
from tracer.sparse import SparseTensor
from tracer.tensor import convert_to_tensor

# -- specifications --------------------------------------------------------------------------------------------------


@public("io.VarLenFeature")
class VarLenFeature(collections.namedtuple("VarLenFeature", ["dtype"])):
    """A feature of any number of values: a sparse tensor."""


@public("io.FixedLenFeature")
class FixedLenFeature(collections.namedtuple("FixedLenFeature", ["shape", "dtype", "default_value"])):
    """A feature of a fixed shape: a dense tensor. Required where there is no `default_value`."""

    def __new__(cls, shape: Any, dtype: Any, default_value: Any = None) -> FixedLenFeature:
        return super().__new__(cls, shape, dtype, default_value)


@public("io.FixedLenSequenceFeature")
class FixedLenSequenceFeature(
    collections.namedtuple("FixedLenSequenceFeature", ["shape", "dtype", "allow_missing", "default_value"])
):
    """A feature of any number of entries of a fixed shape: a dense tensor, padded with `default_value`."""

    def __new__(cls, shape: Any, dtype: Any, allow_missing: bool = False, default_value: Any = None) -> FixedLenSequenceFeature:
        return super().__new__(cls, shape, dtype, allow_missing, default_value)


@public("io.SparseFeature")
class SparseFeature(collections.namedtuple("SparseFeature", ["index_key", "value_key", "dtype", "size", "already_sorted"])):
    """A sparse tensor whose indices and values are features of their own."""

    def __new__(cls, index_key: Any, value_key: str, dtype: Any, size: Any, already_sorted: bool = False) -> SparseFeature:
        return super().__new__(cls, index_key, value_key, dtype, size, already_sorted)


@public("io.RaggedFeature")
class RaggedFeature(collections.namedtuple("RaggedFeature", ["dtype", "value_key", "partitions", "row_splits_dtype", "validate"])):
    """A ragged tensor; `partitions` name features that partition its values further."""

    RowSplits = collections.namedtuple("RowSplits", ["key"])
    RowLengths = collections.namedtuple("RowLengths", ["key"])
    RowStarts = collections.namedtuple("RowStarts", ["key"])
    RowLimits = collections.namedtuple("RowLimits", ["key"])
    ValueRowIds = collections.namedtuple("ValueRowIds", ["key"])
    UniformRowLength = collections.namedtuple("UniformRowLength", ["length"])

    def __new__(
        cls, dtype: Any, value_key: str | None = None, partitions: Any = (), row_splits_dtype: Any = dtypes.int32, validate: bool = False
    ) -> RaggedFeature:
        return super().__new__(cls, dtype, value_key, tuple(partitions), row_splits_dtype, validate)


class _Plan:
    """What to ask of the op: keys and types of sparse, dense and ragged features."""

    def __init__(self, features: Mapping[str, Any]):
        self.sparse: dict[str, Any] = {}
        self.dense: dict[str, Any] = {}
        self.ragged: dict[str, tuple[Any, Any]] = {}
        for key in sorted(features):
            self._add(key, features[key])

    def _set(self, table: dict[str, Any], key: str, value: Any) -> None:
        for other in (self.sparse, self.dense, self.ragged):
            if key in other and (other is not table or other[key] != value):
                raise InvalidArgumentError(f"Conflicting type {value!r} vs {other[key]!r} for feature {key!r}.")
        table[key] = value

    def _add(self, key: str, feature: Any) -> None:
        if isinstance(feature, VarLenFeature):
            self._set(self.sparse, key, as_dtype(feature.dtype))
        elif isinstance(feature, SparseFeature):
            keys = [feature.index_key] if isinstance(feature.index_key, str) else list(feature.index_key)
            for index_key in sorted(keys):
                self._set(self.sparse, index_key, dtypes.int64)
            self._set(self.sparse, feature.value_key, as_dtype(feature.dtype))
        elif isinstance(feature, FixedLenSequenceFeature):
            if not feature.allow_missing:
                raise InvalidArgumentError(
                    f"Unsupported: FixedLenSequenceFeature requires allow_missing to be True. Received feature {key!r}"
                )
            shape = TensorShape(feature.shape)
            dtype = as_dtype(feature.dtype)
            default = b"" if dtype.kind == "s" else 0
            given = default if feature.default_value is None else feature.default_value
            self.dense[key] = (TensorShape([None]).concatenate(shape), dtype, convert_to_tensor(given, dtype))
        elif isinstance(feature, FixedLenFeature):
            shape, dtype = TensorShape(feature.shape), as_dtype(feature.dtype)
            if not shape.is_fully_defined():
                raise InvalidArgumentError(f"dense feature {key!r}: expected a fully defined shape, received {shape}")
            if feature.default_value is None:
                default_tensor = convert_to_tensor(np.zeros(0, dtype.numpy), dtype)
            else:
                value = feature.default_value
                if isinstance(value, (str, bytes, int, float)) and shape.num_elements() != 1:
                    value = np.full(shape.as_list(), value if not isinstance(value, str) else value.encode(), dtype.numpy)
                default_tensor = raw.Reshape(tensor=convert_to_tensor(value, dtype), shape=np.array(shape.as_list(), np.int32))
            self.dense[key] = (shape, dtype, default_tensor)
        elif isinstance(feature, RaggedFeature):
            splits = as_dtype(feature.row_splits_dtype)
            self._set(self.ragged, key if feature.value_key is None else feature.value_key, (as_dtype(feature.dtype), splits))
            for part in feature.partitions:
                if not isinstance(part, RaggedFeature.UniformRowLength):
                    self._set(self.ragged, part.key, (dtypes.int64, splits))
        else:
            raise InvalidArgumentError(f"Invalid feature {key!r}:{feature!r}.")


def _key_tensor(keys: Any) -> Any:
    return convert_to_tensor(np.array([k.encode() if isinstance(k, str) else k for k in keys], object), dtypes.string)


@public("io.parse_example")
def parse_example(serialized: Any, features: Mapping[str, Any], example_names: Any = None, name: str | None = None) -> dict[str, Any]:
    """Tensors by feature name, from a vector of serialized Examples (or a scalar: without batch dimension).

    Raises:
        InvalidArgumentError: a required feature is missing, or holds values of another type or number.
    """
    if not features:
        raise InvalidArgumentError("Argument `features` cannot be None.")
    plan = _Plan(features)
    x = convert_to_tensor(serialized, dtypes.string)
    names = convert_to_tensor(np.zeros(0, object), dtypes.string) if example_names is None else example_names
    found = raw.ParseExampleV2(
        serialized=x, names=names, sparse_keys=_key_tensor(plan.sparse), dense_keys=_key_tensor(plan.dense),
        ragged_keys=_key_tensor(plan.ragged), dense_defaults=[d[2] for d in plan.dense.values()],
        Tdense=[d[1] for d in plan.dense.values()], num_sparse=len(plan.sparse), sparse_types=list(plan.sparse.values()),
        ragged_value_types=[r[0] for r in plan.ragged.values()], ragged_split_types=[r[1] for r in plan.ragged.values()],
        dense_shapes=[d[0] for d in plan.dense.values()], name=name,
    )  # fmt: skip
    indices, values, shapes, dense, ragged_values, ragged_splits = found
    out: dict[str, Any] = {}
    out.update(zip(plan.sparse, (SparseTensor(*parts) for parts in zip(indices, values, shapes))))
    out.update(zip(plan.dense, dense))
    single = x.shape.rank == 0
    for key, v, s in zip(plan.ragged, ragged_values, ragged_splits):
        out[key] = v if single else RaggedTensor(v, s)
    return {key: _finish(key, feature, out, single) for key, feature in features.items()}


def _finish(key: str, feature: Any, parsed: dict[str, Any], single: bool) -> Any:
    if isinstance(feature, SparseFeature):
        return _join_sparse(feature, parsed)
    if isinstance(feature, RaggedFeature):
        return _join_ragged(key, feature, parsed, single)
    return parsed[key]


def _join_sparse(feature: SparseFeature, parsed: dict[str, Any]) -> SparseTensor:
    """A sparse tensor from its index and value features."""
    multiple = not isinstance(feature.index_key, str)
    keys = list(feature.index_key) if multiple else [feature.index_key]
    sizes = list(feature.size) if isinstance(feature.size, (list, tuple)) else [feature.size]
    values = parsed[feature.value_key]
    columns = [raw.ExpandDims(parsed[k].values, 1) for k in keys]
    rank = values.indices.shape[1]
    lead = [values.indices[:, :-1]] if rank is None or rank > 1 else []
    indices = raw.ConcatV2(values=[*lead, *columns], axis=1) if len(lead) + len(columns) > 1 else columns[0]
    shape = raw.ConcatV2(values=[values.dense_shape[:-1], convert_to_tensor(np.array(sizes, np.int64))], axis=0)
    result = SparseTensor(indices, values.values, shape)
    if feature.already_sorted:
        return result
    order = raw.SparseReorder(input_indices=result.indices, input_values=result.values, input_shape=result.dense_shape)
    return SparseTensor(order[0], order[1], result.dense_shape)


def _join_ragged(key: str, feature: RaggedFeature, parsed: dict[str, Any], single: bool) -> Any:
    """The values of a ragged feature, partitioned as it says, innermost partition last."""
    result = parsed[key if feature.value_key is None else feature.value_key]
    if not feature.partitions:
        return result
    outer_splits = None if single else result.row_splits
    flat = result if single else result.values
    limits = outer_splits
    for part in reversed(feature.partitions):
        if isinstance(part, RaggedFeature.UniformRowLength):
            flat = RaggedTensor.from_uniform_row_length(flat, part.length)
            if limits is not None:
                limits = limits // part.length
            continue
        rows = parsed[part.key]
        numbers = rows if single else rows.values
        splits_dtype = as_dtype(feature.row_splits_dtype)
        numbers = numbers if numbers.dtype == splits_dtype else raw.Cast(x=numbers, DstT=splits_dtype)
        make = {
            "RowSplits": RaggedTensor.from_row_splits, "RowLengths": RaggedTensor.from_row_lengths,
            "RowStarts": RaggedTensor.from_row_starts, "RowLimits": RaggedTensor.from_row_limits,
            "ValueRowIds": RaggedTensor.from_value_rowids,
        }[type(part).__name__]  # fmt: skip
        if single:
            flat = make(flat, numbers, validate=feature.validate)
            continue
        if type(part).__name__ != "RowLengths":
            numbers, counts = _lengths_per_row(type(part).__name__, rows.with_values(numbers), limits)
        else:
            counts = rows.row_lengths()
        flat = RaggedTensor.from_row_lengths(flat, numbers, validate=feature.validate)
        limits = raw.ConcatV2(values=[convert_to_tensor(np.zeros(1, splits_dtype.numpy)), raw.Cumsum(x=_as(counts, splits_dtype), axis=0)], axis=0)
    return flat if single else RaggedTensor(flat, limits)


def _as(x: Any, dtype: Any) -> Any:
    return x if x.dtype == dtype else raw.Cast(x=x, DstT=dtype)


def _lengths_per_row(kind: str, rows: RaggedTensor, limits: Any) -> tuple[Any, Any]:
    """Row lengths of a partition that is given per example, and how many rows each example has."""
    if kind == "RowSplits":
        inner = rows[:, 1:] - rows[:, :-1]
        return inner.values, inner.row_lengths()
    if kind in ("RowStarts", "RowLimits"):
        totals = raw.ExpandDims(_as(limits[1:] - limits[:-1], rows.values.dtype), 1)
        from tracer.ragged_functions import concat

        if kind == "RowStarts":
            ends = concat([rows[:, 1:], totals], 1)
            return (ends.values - rows.values), rows.row_lengths()
        zeros = raw.ZerosLike(x=totals)
        starts = concat([zeros, rows[:, :-1]], 1)
        return (rows.values - starts.values), rows.row_lengths()
    raise InvalidArgumentError("RaggedFeature: ValueRowIds partitions need a single example; use RowLengths or RowSplits in batches")


@public("io.parse_single_example")
def parse_single_example(
    serialized: Any, features: Mapping[str, Any], example_names: Any = None, name: str | None = None
) -> dict[str, Any]:
    """Tensors by feature name, from one serialized Example."""
    x = convert_to_tensor(serialized, dtypes.string)
    x.shape.assert_has_rank(0)
    return parse_example(x, features, example_names, name)


def _parse_sequence(serialized: Any, context: Any, sequence: Any, name: str | None) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    context_plan = _Plan(context or {})
    sequence = sequence or {}
    sparse = {k: as_dtype(f.dtype) for k, f in sorted(sequence.items()) if isinstance(f, VarLenFeature)}
    dense = {k: f for k, f in sorted(sequence.items()) if isinstance(f, FixedLenSequenceFeature)}
    ragged = {k: f for k, f in sorted(sequence.items()) if isinstance(f, RaggedFeature)}
    unknown = set(sequence) - set(sparse) - set(dense) - set(ragged)
    if unknown:
        raise InvalidArgumentError(f"sequence_features: expected VarLenFeature, FixedLenSequenceFeature or RaggedFeature for {sorted(unknown)}")
    if any(f.partitions for f in ragged.values()):
        raise InvalidArgumentError("sequence_features: RaggedFeature with partitions is not supported in feature lists")
    x = convert_to_tensor(serialized, dtypes.string)
    found = raw.ParseSequenceExampleV2(
        serialized=x, debug_name=_key_tensor([]), context_sparse_keys=_key_tensor(context_plan.sparse),
        context_dense_keys=_key_tensor(context_plan.dense), context_ragged_keys=_key_tensor(context_plan.ragged),
        feature_list_sparse_keys=_key_tensor(sparse), feature_list_dense_keys=_key_tensor(dense), feature_list_ragged_keys=_key_tensor(ragged),
        feature_list_dense_missing_assumed_empty=np.array([bool(f.allow_missing) for f in dense.values()], bool),
        context_dense_defaults=[d[2] for d in context_plan.dense.values()], Ncontext_sparse=len(context_plan.sparse),
        Tcontext_dense=[d[1] for d in context_plan.dense.values()], context_sparse_types=list(context_plan.sparse.values()),
        context_ragged_value_types=[r[0] for r in context_plan.ragged.values()],
        context_ragged_split_types=[r[1] for r in context_plan.ragged.values()],
        context_dense_shapes=[d[0] for d in context_plan.dense.values()], Nfeature_list_sparse=len(sparse), Nfeature_list_dense=len(dense),
        feature_list_dense_types=[as_dtype(f.dtype) for f in dense.values()], feature_list_sparse_types=list(sparse.values()),
        feature_list_ragged_value_types=[as_dtype(f.dtype) for f in ragged.values()],
        feature_list_ragged_split_types=[as_dtype(f.row_splits_dtype) for f in ragged.values()],
        feature_list_dense_shapes=[TensorShape(f.shape) for f in dense.values()], name=name,
    )  # fmt: skip
    ci, cv, cs, cd, crv, crs, fi, fv, fs, fd, fl, frv, fro, fri = found
    single = x.shape.rank == 0
    parsed: dict[str, Any] = dict(zip(context_plan.sparse, (SparseTensor(*p) for p in zip(ci, cv, cs))))
    parsed.update(zip(context_plan.dense, cd))
    parsed.update(zip(context_plan.ragged, (v if single else RaggedTensor(v, s) for v, s in zip(crv, crs))))
    lists: dict[str, Any] = dict(zip(sparse, (SparseTensor(*p) for p in zip(fi, fv, fs))))
    lists.update(zip(dense, fd))
    for key, v, o, i in zip(ragged, frv, fro, fri):
        steps = RaggedTensor(v, i)
        lists[key] = steps if single else RaggedTensor(steps, o)
    context_out = {k: _finish(k, f, parsed, single) for k, f in (context or {}).items()}
    lengths: dict[str, Any] = dict(zip(dense, fl))
    return context_out, lists, lengths


@public("io.parse_sequence_example")
def parse_sequence_example(
    serialized: Any, context_features: Any = None, sequence_features: Any = None, example_names: Any = None, name: str | None = None
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Context tensors, sequence tensors and (of dense features) sequence lengths by name, from a vector of SequenceExamples."""
    if not context_features and not sequence_features:
        raise InvalidArgumentError("Missing both `context_features` and `sequence_features` argument. At least one is needed.")
    return _parse_sequence(serialized, context_features, sequence_features, name)


@public("io.parse_single_sequence_example")
def parse_single_sequence_example(
    serialized: Any, context_features: Any = None, sequence_features: Any = None, example_name: Any = None, name: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Context tensors and sequence tensors by feature name, from one SequenceExample."""
    if not context_features and not sequence_features:
        raise InvalidArgumentError("Missing both `context_features` and `sequence_features` argument. At least one is needed.")
    return _parse_sequence(serialized, context_features, sequence_features, name)[:2]


@public("io.decode_json_example")
def decode_json_example(json_examples: Any, name: str | None = None) -> Any:
    """JSON texts of Examples as serialized Examples."""
    return raw.DecodeJSONExample(json_examples=json_examples, name=name)


# tf.train.Example and the rest: imported here so that their names are found with this family.
__all__ = ["example_messages", "parse_example", "parse_sequence_example", "parse_single_example", "parse_single_sequence_example"]
