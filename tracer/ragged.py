"""The RaggedTensor class: rows of differing lengths, as flat values and row splits. Its ops live in tracer/ops/ragged.py.

A RaggedTensor is `values` (a tensor, or another RaggedTensor) and `row_splits`, a vector of nrows + 1 offsets: row i is
`values[row_splits[i]:row_splits[i + 1]]`. Everything here is made of ops, so that it works eagerly and while tracing.
Indexing is in ragged_slicing.py; what functions like tf.concat do with ragged tensors is in ragged_functions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tracer import dtypes, specs
from tracer.dispatch import executing_eagerly, raw
from tracer.dtypes import DType, as_dtype
from tracer.errors import DTypeError, InvalidArgumentError, SymbolicTensorError
from tracer.infer import constant_value
from tracer.shapes import TensorShape, unknown_shape
from tracer.tensor import EagerTensor, convert_to_tensor

__all__ = ["RaggedTensor", "is_ragged", "lengths_to_splits", "rowids_to_splits"]


def is_ragged(value: Any) -> bool:
    """Whether `value` is a RaggedTensor."""
    return isinstance(value, RaggedTensor)


def _index(value: Any, dtype: DType | None = None) -> Any:
    """An integer partition tensor: int32 or int64, Python values as int64."""
    if not hasattr(value, "dtype"):
        return convert_to_tensor(value, dtype or dtypes.int64)
    t = convert_to_tensor(value)
    if t.dtype not in (dtypes.int32, dtypes.int64):
        raise DTypeError(f"row partition: expected int32 or int64, received {t.dtype.name}")
    return t if dtype is None or t.dtype == dtype else raw.Cast(x=t, DstT=dtype)


def _zero(dtype: DType) -> Any:
    return convert_to_tensor(np.zeros(1, dtype.numpy))


def lengths_to_splits(lengths: Any) -> Any:
    """[0, l0, l0 + l1, …]"""
    return raw.ConcatV2(values=[_zero(lengths.dtype), raw.Cumsum(x=lengths, axis=0)], axis=0)


def rowids_to_splits(rowids: Any, nrows: Any) -> Any:
    """The row splits of sorted `rowids` over `nrows` rows."""
    ones = raw.Fill(dims=raw.Shape(input=rowids), value=convert_to_tensor(1, rowids.dtype))
    return lengths_to_splits(raw.UnsortedSegmentSum(data=ones, segment_ids=rowids, num_segments=nrows))


def _first_size(value: Any, dtype: DType) -> Any:
    """The number of rows of a tensor or ragged tensor."""
    return value.nrows(dtype) if is_ragged(value) else raw.Shape(input=value, out_type=dtype)[0]


def _gather(values: Any, indices: Any) -> Any:
    """Rows `indices` of a tensor or ragged tensor."""
    if not is_ragged(values):
        return raw.GatherV2(params=values, indices=indices, axis=0)
    found = raw.RaggedGather(
        params_nested_splits=list(values.nested_row_splits),
        params_dense_values=values.flat_values,
        indices=indices,
        OUTPUT_RAGGED_RANK=len(values.nested_row_splits) + indices.shape.rank - 1,
    )
    return RaggedTensor.from_nested_row_splits(found[1], found[0], validate=False)


class RaggedTensor:
    """A tensor whose rows have differing lengths. Make one with a `from_…` constructor or `tf.ragged.constant`."""

    _overrides_tensor_operators = True
    __array_priority__ = 200

    def __init__(self, values: Any, row_splits: Any, uniform_row_length: Any = None):
        self._values = values
        self._row_splits = row_splits
        self._uniform_row_length = uniform_row_length  # int64 or int32 scalar tensor, or None

    # -- constructors ----------------------------------------------------------------------------------------------

    @classmethod
    def from_row_splits(cls, values: Any, row_splits: Any, name: str | None = None, validate: bool = True) -> RaggedTensor:
        """Rows are `values[row_splits[i]:row_splits[i + 1]]`.

        Raises:
            InvalidArgumentError: the splits do not start at 0, decrease, or do not end at the number of values.
        """
        values = _as_values(values)
        if isinstance(row_splits, (list, tuple)) and not row_splits:
            raise InvalidArgumentError("row_splits tensor may not be empty")
        splits = _match(_index(row_splits), values)
        splits.shape.assert_has_rank(1)
        values = _match_values(values, splits)
        if validate:
            _check_splits(splits, values)
        return cls(values, splits)

    @classmethod
    def from_row_lengths(cls, values: Any, row_lengths: Any, name: str | None = None, validate: bool = True) -> RaggedTensor:
        """Row i has the next `row_lengths[i]` values."""
        values = _as_values(values)
        lengths = _match(_index(row_lengths), values)
        lengths.shape.assert_has_rank(1)
        if validate and isinstance(lengths, EagerTensor) and (lengths._value < 0).any():
            raise InvalidArgumentError(f"row_lengths: expected no negative length, received {lengths._value.tolist()}")
        return cls.from_row_splits(values, lengths_to_splits(lengths), validate=validate)

    @classmethod
    def from_value_rowids(
        cls, values: Any, value_rowids: Any, nrows: Any = None, name: str | None = None, validate: bool = True
    ) -> RaggedTensor:
        """Value i belongs to row `value_rowids[i]`; the row ids are sorted. `nrows` defaults to the last row id + 1."""
        values = _as_values(values)
        rowids = _match(_index(value_rowids), values)
        rowids.shape.assert_has_rank(1)
        if validate and isinstance(rowids, EagerTensor):
            _check_rowids(rowids._value, nrows, values)
        if nrows is None:
            # The last id + 1; 0 where there are none.
            last = raw.ConcatV2(values=[convert_to_tensor(np.array([-1], rowids.dtype.numpy)), rowids], axis=0)[-1]
            nrows = last + 1
        else:
            nrows = _index(nrows, rowids.dtype)
        return cls(_match_values(values, rowids), rowids_to_splits(rowids, nrows))

    @classmethod
    def from_row_starts(cls, values: Any, row_starts: Any, name: str | None = None, validate: bool = True) -> RaggedTensor:
        """Row i starts at value `row_starts[i]` and ends where the next starts."""
        values = _as_values(values)
        starts = _match(_index(row_starts), values)
        end = raw.Reshape(tensor=_first_size(values, starts.dtype), shape=[1])
        return cls.from_row_splits(values, raw.ConcatV2(values=[starts, end], axis=0), validate=validate)

    @classmethod
    def from_row_limits(cls, values: Any, row_limits: Any, name: str | None = None, validate: bool = True) -> RaggedTensor:
        """Row i ends before value `row_limits[i]`."""
        values = _as_values(values)
        limits = _match(_index(row_limits), values)
        return cls.from_row_splits(values, raw.ConcatV2(values=[_zero(limits.dtype), limits], axis=0), validate=validate)

    @classmethod
    def from_uniform_row_length(
        cls, values: Any, uniform_row_length: Any, nrows: Any = None, name: str | None = None, validate: bool = True
    ) -> RaggedTensor:
        """Every row has `uniform_row_length` values. `nrows` is needed where that is zero."""
        values = _as_values(values)
        dtype = values.row_splits.dtype if is_ragged(values) else dtypes.int64
        length = _index(uniform_row_length, dtype)
        known = constant_value(length)
        if known is not None and int(known) < 0:
            raise InvalidArgumentError(f"uniform_row_length must be greater than or equal to 0, received {int(known)}")
        if nrows is None:
            count = _first_size(values, dtype)
            total = constant_value(count)
            if known is not None and total is not None:
                if int(known) and int(total) % int(known):
                    raise InvalidArgumentError(
                        f"uniform_row_length: expected a divisor of the number of values {int(total)}, received {int(known)}"
                    )
                nrows = convert_to_tensor(int(total) // int(known) if int(known) else 0, dtype)
            else:
                nrows = count // raw.Maximum(x=length, y=convert_to_tensor(1, dtype))
        else:
            nrows = _index(nrows, dtype)
        splits = raw.Range(start=convert_to_tensor(0, dtype), limit=nrows + 1, delta=convert_to_tensor(1, dtype)) * length
        if validate:
            _check_splits(splits, values)
        return cls(values, splits, length)

    @classmethod
    def from_nested_row_splits(
        cls, flat_values: Any, nested_row_splits: Sequence[Any], name: str | None = None, validate: bool = True
    ) -> Any:
        """A ragged tensor of ragged rank `len(nested_row_splits)`; the outermost splits come first."""
        if hasattr(nested_row_splits, "dtype"):
            raise TypeError(f"Argument `nested_row_splits` must be a list of Tensors. Received {nested_row_splits!r}.")
        result = flat_values
        for splits in reversed(nested_row_splits):
            result = cls.from_row_splits(result, splits, validate=validate)
        return result

    @classmethod
    def from_nested_row_lengths(
        cls, flat_values: Any, nested_row_lengths: Sequence[Any], name: str | None = None, validate: bool = True
    ) -> Any:
        """As `from_nested_row_splits`, with row lengths."""
        if hasattr(nested_row_lengths, "dtype"):
            raise TypeError(f"Argument `nested_row_lengths` must be a list of Tensors. Received {nested_row_lengths!r}.")
        result = flat_values
        for lengths in reversed(nested_row_lengths):
            result = cls.from_row_lengths(result, lengths, validate=validate)
        return result

    @classmethod
    def from_nested_value_rowids(
        cls,
        flat_values: Any,
        nested_value_rowids: Sequence[Any],
        nested_nrows: Sequence[Any] | None = None,
        name: str | None = None,
        validate: bool = True,
    ) -> Any:
        """As `from_nested_row_splits`, with value row ids and, where given, numbers of rows."""
        if hasattr(nested_value_rowids, "dtype"):
            raise TypeError(f"Argument `nested_value_rowids` must be a list of Tensors. Received {nested_value_rowids!r}.")
        counts = [None] * len(nested_value_rowids) if nested_nrows is None else list(nested_nrows)
        if len(counts) != len(nested_value_rowids):
            raise InvalidArgumentError("Argument `nested_nrows` must have the same length as argument `nested_value_rowids`")
        result = flat_values
        for rowids, nrows in zip(reversed(nested_value_rowids), reversed(counts)):
            result = cls.from_value_rowids(result, rowids, nrows, validate=validate)
        return result

    @classmethod
    def from_tensor(
        cls,
        tensor: Any,
        lengths: Any = None,
        padding: Any = None,
        ragged_rank: int = 1,
        name: str | None = None,
        row_splits_dtype: Any = dtypes.int64,
    ) -> Any:
        """A dense tensor as a ragged one, rows cut to `lengths` or before trailing `padding` values."""
        from tracer import ragged_functions

        return ragged_functions.from_tensor(cls, tensor, lengths, padding, ragged_rank, as_dtype(row_splits_dtype))

    @classmethod
    def from_sparse(cls, st_input: Any, name: str | None = None, row_splits_dtype: Any = dtypes.int64) -> RaggedTensor:
        """A sparse matrix as a ragged tensor; each row's elements must be at columns 0, 1, 2, …"""
        dtype = as_dtype(row_splits_dtype)
        indices, values = st_input.indices, st_input.values
        if st_input.dense_shape.shape.rank == 1 and st_input.dense_shape.shape[0] not in (None, 2):
            raise InvalidArgumentError(f"rank(st_input) must be 2, received {st_input.dense_shape.shape[0]}")
        if isinstance(indices, EagerTensor):
            _check_right_aligned(indices._value)
        rowids = raw.Cast(x=indices[:, 0], DstT=dtype)
        nrows = raw.Cast(x=st_input.dense_shape[0], DstT=dtype)
        return cls.from_value_rowids(values, rowids, nrows, validate=False)

    # -- parts -----------------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> DType:
        return self._values.dtype

    @property
    def values(self) -> Any:
        """All rows one after another: a tensor, or a RaggedTensor of one rank less."""
        return self._values

    @property
    def row_splits(self) -> Any:
        return self._row_splits

    @property
    def uniform_row_length(self) -> Any:
        return self._uniform_row_length

    @property
    def flat_values(self) -> Any:
        """The innermost values, without any partition."""
        values = self._values
        while is_ragged(values):
            values = values._values
        return values

    @property
    def nested_row_splits(self) -> tuple[Any, ...]:
        """The row splits of every ragged dimension, outermost first."""
        out, part = [], self
        while is_ragged(part):
            out.append(part._row_splits)
            part = part._values
        return tuple(out)

    @property
    def ragged_rank(self) -> int:
        return len(self.nested_row_splits)

    @property
    def shape(self) -> TensorShape:
        splits = self._row_splits.shape
        rows = splits[0] - 1 if splits.rank == 1 and splits[0] is not None else None
        length = None if self._uniform_row_length is None else constant_value(self._uniform_row_length)
        inner = self._values.shape
        if inner.rank is None:
            return unknown_shape()
        return TensorShape([rows, None if length is None else int(length)]).concatenate(inner[1:])

    def get_shape(self) -> TensorShape:
        return self.shape

    @property
    def ndim(self) -> int | None:
        return self.shape.rank

    @property
    def components(self) -> list[Any]:
        return [self.flat_values, *self.nested_row_splits]

    @property
    def _type_spec(self) -> specs.RaggedTensorSpec:
        return specs.RaggedTensorSpec(self.shape, self.dtype, self.ragged_rank, self._row_splits.dtype)

    def nrows(self, out_type: Any = None, name: str | None = None) -> Any:
        """The number of rows, an integer scalar."""
        dtype = self._row_splits.dtype if out_type is None else as_dtype(out_type)
        return raw.Shape(input=self._row_splits, out_type=dtype)[0] - 1

    def row_starts(self, name: str | None = None) -> Any:
        return self._row_splits[:-1]

    def row_limits(self, name: str | None = None) -> Any:
        return self._row_splits[1:]

    def row_lengths(self, axis: int = 1, name: str | None = None) -> Any:
        """The lengths of the rows along `axis`: a vector for axis 1, ragged for inner axes."""
        if axis == 0:
            return self.nrows()
        if axis == 1:
            return self._row_splits[1:] - self._row_splits[:-1]
        if is_ragged(self._values):
            return self.with_values(self._values.row_lengths(axis - 1))
        shape = raw.Shape(input=self._values, out_type=self._row_splits.dtype)
        lengths = raw.Fill(dims=shape[: axis - 1], value=shape[axis - 1])
        return self.with_values(lengths)

    def nested_row_lengths(self, name: str | None = None) -> tuple[Any, ...]:
        return tuple(s[1:] - s[:-1] for s in self.nested_row_splits)

    def value_rowids(self, name: str | None = None) -> Any:
        """The row of each value."""
        splits = self._row_splits
        dtype = splits.dtype
        count = _first_size(self._values, dtype)
        positions = raw.Range(start=convert_to_tensor(0, dtype), limit=count, delta=convert_to_tensor(1, dtype))
        found = raw.UpperBound(
            sorted_inputs=raw.ExpandDims(input=splits, dim=0), values=raw.ExpandDims(input=positions, dim=0), out_type=dtype
        )
        return raw.Squeeze(input=found, squeeze_dims=[0]) - 1

    def nested_value_rowids(self, name: str | None = None) -> tuple[Any, ...]:
        out, part = [], self
        while is_ragged(part):
            out.append(part.value_rowids())
            part = part._values
        return tuple(out)

    def bounding_shape(self, axis: Any = None, name: str | None = None, out_type: Any = None) -> Any:
        """The sizes of the smallest dense tensor that holds this one; of one `axis` where that is given."""
        dtype = self._row_splits.dtype if out_type is None else as_dtype(out_type)
        if isinstance(axis, int) and axis == 0:
            return self.nrows(dtype)
        if isinstance(axis, int) and axis == 1:
            return _cast(_longest(self._row_splits), dtype)
        parts = [raw.Reshape(tensor=self.nrows(dtype), shape=[1])]
        parts += [raw.Reshape(tensor=_cast(_longest(s), dtype), shape=[1]) for s in self.nested_row_splits]
        parts.append(raw.Shape(input=self.flat_values, out_type=dtype)[1:])
        whole = raw.ConcatV2(values=parts, axis=0)
        return whole if axis is None else raw.GatherV2(params=whole, indices=axis, axis=0)

    # -- variations ------------------------------------------------------------------------------------------------

    def with_values(self, new_values: Any) -> RaggedTensor:
        """The same rows with other values."""
        new_values = _as_values(new_values)
        return RaggedTensor(_match_values(new_values, self._row_splits), self._row_splits, self._uniform_row_length)

    def with_flat_values(self, new_values: Any) -> RaggedTensor:
        """The same partitions with other innermost values."""
        if is_ragged(self._values):
            return self.with_values(self._values.with_flat_values(new_values))
        return self.with_values(new_values)

    def _without_uniform(self) -> RaggedTensor:
        """The same tensor, its outermost inner dimension ragged in type."""
        return RaggedTensor(self._values, self._row_splits)

    def with_row_splits_dtype(self, dtype: Any) -> RaggedTensor:
        """The same tensor with int32 or int64 partitions."""
        dtype = as_dtype(dtype)
        if dtype not in (dtypes.int32, dtypes.int64):
            raise InvalidArgumentError(f"Argument `row_splits` dtype must be int32 or int64. Received {dtype.name}.")
        if dtype == self._row_splits.dtype:
            return self
        values = self._values.with_row_splits_dtype(dtype) if is_ragged(self._values) else self._values
        length = None if self._uniform_row_length is None else _cast(self._uniform_row_length, dtype)
        return RaggedTensor(values, _cast(self._row_splits, dtype), length)

    def merge_dims(self, outer_axis: int, inner_axis: int) -> Any:
        """Merge dimensions `outer_axis` … `inner_axis` into one."""
        from tracer import ragged_functions

        return ragged_functions.merge_dims(self, outer_axis, inner_axis)

    def to_tensor(self, default_value: Any = None, name: str | None = None, shape: Any = None) -> Any:
        """The dense tensor, short rows padded with `default_value` (zero), cut or padded to `shape` where given."""
        flat = self.flat_values
        if default_value is None:
            default = convert_to_tensor(b"" if self.dtype.kind == "s" else np.zeros((), self.dtype.numpy), self.dtype)
        else:
            default = convert_to_tensor(default_value, self.dtype)
        if shape is None or isinstance(shape, (TensorShape, list, tuple)):
            shape = TensorShape(shape)
            wanted = np.array(-1, np.int64) if shape.rank is None else np.array([-1 if d is None else d for d in shape], np.int64)
            static: TensorShape | None = shape
            shape_tensor = convert_to_tensor(wanted)
        else:
            shape_tensor = _index(shape)
            static = None
        splits = list(self.nested_row_splits)
        if shape_tensor.dtype != splits[0].dtype:
            shape_tensor = _cast(shape_tensor, splits[0].dtype)
        result = raw.RaggedTensorToTensor(
            shape=shape_tensor, values=flat, default_value=default, row_partition_tensors=splits,
            row_partition_types=["ROW_SPLITS"] * len(splits), name=name,
        )  # fmt: skip
        if not executing_eagerly() and self.shape.rank is not None and hasattr(result, "set_shape"):
            own = self.shape
            if static is not None and static.rank == own.rank:
                own = TensorShape([s if s is not None else o for s, o in zip(static, own)])
            elif static is None:
                own = unknown_shape(own.rank)
            result.set_shape(own)
        return result

    def to_sparse(self, name: str | None = None) -> Any:
        """The same elements as a SparseTensor."""
        from tracer.sparse import SparseTensor

        found = raw.RaggedTensorToSparse(
            rt_nested_splits=list(self.nested_row_splits), rt_dense_values=self.flat_values, name=name
        )
        return SparseTensor(*found)

    # -- values ----------------------------------------------------------------------------------------------------

    def to_list(self) -> list[Any]:
        """Nested Python lists of the values. Raises TypeError while tracing."""
        if not isinstance(self._row_splits, EagerTensor):
            raise SymbolicTensorError("RaggedTensor.to_list needs values: it works on eager tensors only")
        values = self._values.to_list() if is_ragged(self._values) else self._values.numpy().tolist()
        splits = self._row_splits._value
        return [values[splits[i] : splits[i + 1]] for i in range(len(splits) - 1)]

    def numpy(self) -> np.ndarray:
        """The rows as an array: an ordinary one where all rows have the same length, else an object array of arrays."""
        if not isinstance(self._row_splits, EagerTensor):
            raise SymbolicTensorError("RaggedTensor.numpy needs values: it works on eager tensors only")
        values, splits = self._values.numpy(), self._row_splits._value
        rows = [values[splits[i] : splits[i + 1]] for i in range(len(splits) - 1)]
        if not rows:
            return np.zeros((0, 0, *values.shape[1:]), values.dtype)
        if all(len(r) == len(rows[0]) and getattr(r, "shape", ()) == rows[0].shape for r in rows):
            return np.stack(rows)
        out = np.empty(len(rows), object)
        for i, row in enumerate(rows):
            out[i] = row
        return out

    def eval(self, session: Any = None) -> Any:
        raise NotImplementedError("RaggedTensor.eval: there are no sessions here; call .numpy() or .to_list()")

    def __len__(self) -> int:
        if not isinstance(self._row_splits, EagerTensor):
            raise SymbolicTensorError("len of a symbolic RaggedTensor is unknown: use rt.nrows()")
        return len(self._row_splits._value) - 1

    def __iter__(self) -> Iterator[Any]:
        count = len(self) if isinstance(self._row_splits, EagerTensor) else self.shape[0]
        if count is None:
            raise SymbolicTensorError("iterating over a symbolic RaggedTensor whose number of rows is unknown: use tf.map_fn")
        return iter([self[i] for i in range(count)])

    def __getitem__(self, key: Any) -> Any:
        from tracer import ragged_slicing

        return ragged_slicing.getitem(self, key)

    def __repr__(self) -> str:
        if isinstance(self._row_splits, EagerTensor):
            return f"<tf.RaggedTensor {self.to_list()}>"
        return f"tf.RaggedTensor(values={self._values!r}, row_splits={self._row_splits!r})"

    def __hash__(self) -> int:
        raise TypeError("RaggedTensor is unhashable")


def _as_values(values: Any) -> Any:
    return values if is_ragged(values) else convert_to_tensor(values)


def _cast(x: Any, dtype: DType) -> Any:
    return x if x.dtype == dtype else raw.Cast(x=x, DstT=dtype)


def _match(partition: Any, values: Any) -> Any:
    """An int32 partition over int64-partitioned values becomes int64."""
    if is_ragged(values) and values._row_splits.dtype != partition.dtype:
        return _cast(partition, dtypes.int64)
    return partition


def _match_values(values: Any, partition: Any) -> Any:
    return values.with_row_splits_dtype(partition.dtype) if is_ragged(values) else values


def _longest(splits: Any) -> Any:
    lengths = splits[1:] - splits[:-1]
    padded = raw.ConcatV2(values=[_zero(splits.dtype), lengths], axis=0)
    return raw.Max(input=padded, reduction_indices=0, keep_dims=False)


def _check_splits(splits: Any, values: Any) -> None:
    if not isinstance(splits, EagerTensor):
        return
    found = splits._value
    if not len(found) or found[0] != 0:
        raise InvalidArgumentError(f"Arguments to from_row_splits do not form a valid RaggedTensor: row_splits must start with 0, received {found[:1].tolist()}")
    if (found[1:] < found[:-1]).any():
        raise InvalidArgumentError(f"Arguments to from_row_splits do not form a valid RaggedTensor: row_splits must not decrease, received {found.tolist()}")
    part = values._row_splits if is_ragged(values) else values
    if isinstance(part, EagerTensor):
        if part.shape.rank == 0:
            raise InvalidArgumentError("values: expected at least one dimension, received a scalar")
        count = len(part._value) - (1 if is_ragged(values) else 0)
        if found[-1] != count:
            raise InvalidArgumentError(
                f"Arguments to from_row_splits do not form a valid RaggedTensor: expected the last split to be the number of "
                f"values {count}, received {int(found[-1])}"
            )


def _check_rowids(rowids: np.ndarray, nrows: Any, values: Any) -> None:
    where = "Arguments to from_value_rowids do not form a valid RaggedTensor"
    if (rowids[1:] < rowids[:-1]).any() or (len(rowids) and rowids[0] < 0):
        raise InvalidArgumentError(f"{where}: value_rowids must be sorted and not negative, received {rowids.tolist()}")
    known = None if nrows is None else constant_value(convert_to_tensor(nrows))
    if known is not None and (int(known) < 0 or (len(rowids) and rowids[-1] >= int(known))):
        raise InvalidArgumentError(f"{where}: expected value_rowids below nrows = {int(known)}, received {rowids.tolist()}")
    part = values._row_splits if is_ragged(values) else values
    if isinstance(part, EagerTensor) and len(rowids) != len(part._value) - (1 if is_ragged(values) else 0):
        raise InvalidArgumentError(f"{where}: expected one row id per value, received {len(rowids)} ids")


def _check_right_aligned(indices: np.ndarray) -> None:
    rows, columns = indices[:, 0], indices[:, 1]
    starts = np.concatenate([[True], rows[1:] != rows[:-1]]) if len(rows) else np.zeros(0, bool)
    expected = np.zeros(len(rows), np.int64)
    if len(rows):
        positions = np.arange(len(rows))
        expected = positions - np.maximum.accumulate(np.where(starts, positions, 0))
    if not np.array_equal(columns, expected) or (rows[1:] < rows[:-1]).any():
        raise InvalidArgumentError("SparseTensor is not right-ragged: expected each row's elements at columns 0, 1, 2, …")


# -- operators -------------------------------------------------------------------------------------------------------


def _operator(function: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        from tracer import ragged_functions

        return ragged_functions.elementwise_operator(function, self, other)

    return method


def _reflected(function: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        from tracer import ragged_functions

        return ragged_functions.elementwise_operator(function, other, self)

    return method


def _unary(function: str) -> Callable[[Any], Any]:
    def method(self: Any) -> Any:
        from tracer import ragged_functions

        return ragged_functions.elementwise_operator(function, self)

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor"):
    setattr(RaggedTensor, f"__{_name}__", _operator(_name))
    setattr(RaggedTensor, f"__r{_name}__", _reflected(_name))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(RaggedTensor, f"__{_name}__", _operator(_name))
for _name in ("neg", "abs", "invert"):
    setattr(RaggedTensor, f"__{_name}__", _unary(_name))


def _build(spec: Any, parts: Sequence[Any]) -> Any:
    if spec.ragged_rank == 0:
        return parts[0]
    result = parts[0]
    shape = spec.shape
    for level in range(spec.ragged_rank, 0, -1):
        length = None
        if shape.rank is not None and shape.rank > level and shape[level] is not None:
            length = convert_to_tensor(np.array(shape[level], spec.row_splits_dtype.numpy))
        result = RaggedTensor(result, parts[level], length)
    return result


specs.register_value_builder("RaggedTensorSpec", _build)
