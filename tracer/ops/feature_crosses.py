"""Feature crosses: SparseCross in its three versions and RaggedCross. Hashes are in tracer/hashing.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer.byte_strings import array_of_bytes
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.hashing import fingerprint64, fingerprint_cat64, siphash24
from tracer.public import public
from tracer.ragged import RaggedTensor, is_ragged
from tracer.registry import op
from tracer.shapes import TensorShape
from tracer.sparse import SparseTensor, SparseTensorValue
from tracer.tensor import convert_to_tensor

_MAX = (1 << 63) - 1
_MASK = (1 << 64) - 1

Rows = list[list[Any]]


def _sparse_rows(indices: np.ndarray, values: np.ndarray, batch: int) -> Rows:
    rows: Rows = [[] for _ in range(batch)]
    for row, value in zip(indices[:, 0].tolist(), values.tolist()):
        if not 0 <= row < batch:
            raise InvalidArgumentError(f"feature cross: row {row} lies outside of the batch of {batch}")
        rows[row].append(value)
    return rows


def _ragged_rows(values: np.ndarray, splits: np.ndarray) -> Rows:
    items, bounds = values.tolist(), splits.tolist()
    return [items[a:b] for a, b in itertools.pairwise(bounds)]


def _batch_size(shapes: Sequence[np.ndarray], dense: Sequence[np.ndarray], rows: Sequence[Rows] = ()) -> int:
    sizes = {int(s[0]) for s in shapes} | {len(d) for d in dense} | {len(r) for r in rows}
    if len(sizes) > 1:
        raise ShapeError(f"feature cross: expected inputs of one batch size, received {sorted(sizes)}")
    return sizes.pop() if sizes else 0


def _cross(columns: Sequence[Rows], batch: int, combine: Callable[[tuple[Any, ...]], Any]) -> Rows:
    """Per batch entry, `combine` of each way to take one feature per column; the last column varies fastest."""
    return [[combine(p) for p in itertools.product(*(c[b] for c in columns))] for b in range(batch)]


def _text(feature: Any) -> bytes:
    return feature if isinstance(feature, bytes) else str(feature).encode()


def _joiner(separator: bytes) -> Callable[[tuple[Any, ...]], bytes]:
    return lambda features: separator.join(map(_text, features))


def _plain_hash(feature: Any) -> int:
    return fingerprint64(feature) if isinstance(feature, bytes) else feature & _MASK


def _hasher(buckets: int, key: int) -> Callable[[tuple[Any, ...]], int]:
    def combine(features: tuple[Any, ...]) -> int:
        found = key & _MASK
        for feature in features:
            found = fingerprint_cat64(found, _plain_hash(feature))
        return found % (buckets or _MAX)

    return combine


def _salted_hash(strong: bool, salt: tuple[int, int], dense: bool) -> Callable[[Any], int]:
    """A feature's hash in SparseCrossHashed: of integers, dense ones are taken as they are, of sparse ones the low four bytes are hashed."""

    def hash_of(feature: Any) -> int:
        if not isinstance(feature, bytes):
            if dense:
                return feature & _MASK
            feature = (feature & 0xFFFFFFFF).to_bytes(4, "little")
        return siphash24(salt, feature) if strong else fingerprint64(feature)

    return hash_of


def _hash_joiner(buckets: int) -> Callable[[tuple[Any, ...]], int]:
    def combine(hashes: tuple[Any, ...]) -> int:
        found = hashes[0]
        for h in hashes[1:]:
            found = fingerprint_cat64(found, h)
        return found % (buckets or _MAX)

    return combine


def _as_sparse(rows: Rows, text: bool) -> Any:
    indices = [(b, i) for b, row in enumerate(rows) for i in range(len(row))]
    flat = [v for row in rows for v in row]
    shape = np.array([len(rows), max((len(r) for r in rows), default=0)], np.int64)
    values = array_of_bytes(flat) if text else np.array(flat, np.uint64).astype(np.int64)
    return np.array(indices, np.int64).reshape(-1, 2), values, shape


def _split_inputs(inputs: Sequence[np.ndarray], count: int) -> tuple[Any, Any, Any, Any]:
    return inputs[:count], inputs[count : 2 * count], inputs[2 * count : 3 * count], inputs[3 * count :]


def _columns(indices: Any, values: Any, shapes: Any, dense: Any) -> tuple[list[Rows], int]:
    batch = _batch_size(shapes, dense)
    columns = [_sparse_rows(i, v, batch) for i, v in zip(indices, values)]
    columns += [d.tolist() for d in dense]
    return columns, batch


_SPARSE = "indices: N * int64, values: sparse_types, shapes: N * int64, dense_inputs: dense_types"
_TYPES = "sparse_types: list{int64, string} >= 0; dense_types: list{int64, string} >= 0"


def _sparse_rule(ctx: Any) -> Any:
    return [TensorShape([None, 2]), TensorShape([None]), TensorShape([2])]


cross_op = op(
    f"SparseCross({_SPARSE}) -> (output_indices: int64, output_values: out_type, output_shape: int64); N: int >= 0; "
    f"hashed_output: bool; num_buckets: int >= 0; hash_key: int; {_TYPES}; out_type: {{int64, string}}; "
    "internal_type: {int64, string}"
).not_differentiable()
cross_op.infer(_sparse_rule)


@cross_op.kernel
def _(*inputs: np.ndarray, N: int, hashed_output: bool, num_buckets: int, hash_key: int) -> Any:
    columns, batch = _columns(*_split_inputs(inputs, N))
    combine = _hasher(num_buckets, hash_key) if hashed_output else _joiner(b"_X_")
    return _as_sparse(_cross(columns, batch, combine), not hashed_output)


cross_v2_op = op(
    f"SparseCrossV2({_SPARSE}, sep: string) -> (output_indices: int64, output_values: string, output_shape: int64); "
    f"N: int >= 0; {_TYPES}"
).not_differentiable()
cross_v2_op.infer(_sparse_rule)


@cross_v2_op.kernel
def _(*inputs: np.ndarray, N: int) -> Any:
    columns, batch = _columns(*_split_inputs(inputs[:-1], N))
    return _as_sparse(_cross(columns, batch, _joiner(inputs[-1][()])), True)


cross_hashed_op = op(
    f"SparseCrossHashed({_SPARSE}, num_buckets: int64, strong_hash: bool, salt: int64) -> (output_indices: int64, "
    f"output_values: int64, output_shape: int64); N: int >= 0; {_TYPES}"
).not_differentiable()
cross_hashed_op.infer(_sparse_rule)


@cross_hashed_op.kernel
def _(*inputs: np.ndarray, N: int) -> Any:
    *features, buckets, strong, salt = inputs
    columns, batch = _columns(*_split_inputs(features, N))
    key = (int(salt[0]), int(salt[1]))
    hashed = []
    for i, column in enumerate(columns):
        hash_of = _salted_hash(bool(strong), key, dense=i >= N)
        hashed.append([[hash_of(f) for f in row] for row in column])
    return _as_sparse(_cross(hashed, batch, _hash_joiner(int(buckets))), False)


ragged_cross_op = op(
    "RaggedCross(ragged_values: ragged_values_types, ragged_row_splits: ragged_splits_types, sparse_indices: Nsparse * int64, "
    "sparse_values: sparse_values_types, sparse_shape: Nsparse * int64, dense_inputs: dense_types) -> (output_values: "
    "out_values_type, output_row_splits: out_row_splits_type); Nsparse: int >= 0; input_order: string; hashed_output: bool; "
    "num_buckets: int >= 0; hash_key: int; ragged_values_types: list{int64, string} >= 0; ragged_splits_types: list{int32, int64} "
    ">= 0; sparse_values_types: list{int64, string} >= 0; dense_types: list{int64, string} >= 0; out_values_type: {int64, string}; "
    "out_row_splits_type: {int32, int64}"
).not_differentiable()
ragged_cross_op.infer(lambda ctx: [TensorShape([None]), TensorShape([None])])


@ragged_cross_op.kernel
def _(
    *inputs: np.ndarray, Nsparse: int, input_order: bytes, hashed_output: bool, num_buckets: int, hash_key: int,
    ragged_values_types: list[Any], out_row_splits_type: Any,
) -> Any:  # fmt: skip
    count = len(ragged_values_types)
    ragged = [_ragged_rows(v, s) for v, s in zip(inputs[:count], inputs[count : 2 * count])]
    indices, values, shapes, dense = _split_inputs(inputs[2 * count :], Nsparse)
    batch = _batch_size(shapes, dense, ragged)
    sparse = [_sparse_rows(i, v, batch) for i, v in zip(indices, values)]
    kinds = {"R": iter(ragged), "S": iter(sparse), "D": iter([d.tolist() for d in dense])}
    columns = [next(kinds[k]) for k in input_order.decode()]
    combine = _hasher(num_buckets, hash_key) if hashed_output else _joiner(b"_X_")
    rows = _cross(columns, batch, combine)
    flat = [v for row in rows for v in row]
    splits = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(out_row_splits_type.numpy)
    return np.array(flat, np.uint64).astype(np.int64) if hashed_output else array_of_bytes(flat), splits


# -- public functions ------------------------------------------------------------------------------------------------

_DEFAULT_KEY = 0xDECAFCAFFE


def _as_feature(value: Any) -> Any:
    if isinstance(value, SparseTensorValue):
        value = SparseTensor.from_value(value)
    if isinstance(value, SparseTensor) or is_ragged(value):
        flat = value.values
        rebuild: Any = value.with_values
    else:
        flat, rebuild = convert_to_tensor(value), lambda v: v
    if flat.dtype.is_integer and flat.dtype.name != "int64":
        return rebuild(raw.Cast(x=flat, DstT="int64"))
    return rebuild(flat)


def _sparse_and_dense(inputs: Any) -> dict[str, Any]:
    features = [_as_feature(i) for i in inputs]
    sparse = [f for f in features if isinstance(f, SparseTensor)]
    return {
        "indices": [f.indices for f in sparse],
        "values": [f.values for f in sparse],
        "shapes": [f.dense_shape for f in sparse],
        "dense_inputs": [f for f in features if not isinstance(f, SparseTensor)],
    }


@public("sparse.cross")
def sparse_cross(inputs: Any, name: str | None = None, separator: str | None = None) -> SparseTensor:
    """The crosses of the inputs' features (sparse or dense matrices) as strings joined by `separator` ("_X_")."""
    found = raw.SparseCrossV2(**_sparse_and_dense(inputs), sep="_X_" if separator is None else separator, name=name)
    return SparseTensor(*found)


@public("sparse.cross_hashed")
def sparse_cross_hashed(inputs: Any, num_buckets: int = 0, hash_key: int | None = None, name: str | None = None) -> SparseTensor:
    """The crosses of the inputs' features, hashed into `num_buckets` (0: all of int64)."""
    found = raw.SparseCross(
        **_sparse_and_dense(inputs), hashed_output=True, num_buckets=num_buckets, hash_key=_DEFAULT_KEY if hash_key is None else hash_key,
        out_type="int64", internal_type="int64", name=name,
    )  # fmt: skip
    return SparseTensor(*found)


def _ragged_cross(inputs: Any, hashed: bool, buckets: int, key: int | None, name: str | None) -> RaggedTensor:
    features = [_as_feature(i) for i in inputs]
    ragged = [f for f in features if is_ragged(f)]
    sparse = [f for f in features if isinstance(f, SparseTensor)]
    dense = [f for f in features if not is_ragged(f) and not isinstance(f, SparseTensor)]
    if any(f.ragged_rank != 1 for f in ragged):
        raise InvalidArgumentError("tf.ragged.cross only supports inputs with rank=2")
    order = "".join("R" if is_ragged(f) else "S" if isinstance(f, SparseTensor) else "D" for f in features)
    wide = not ragged or any(f.row_splits.dtype.name == "int64" for f in ragged)
    values, splits = raw.RaggedCross(
        ragged_values=[f.values for f in ragged], ragged_row_splits=[f.row_splits for f in ragged],
        sparse_indices=[f.indices for f in sparse], sparse_values=[f.values for f in sparse],
        sparse_shape=[f.dense_shape for f in sparse], dense_inputs=dense, input_order=order, hashed_output=hashed,
        num_buckets=buckets, hash_key=_DEFAULT_KEY if key is None else key, out_values_type="int64" if hashed else "string",
        out_row_splits_type="int64" if wide else "int32", name=name,
    )  # fmt: skip
    return RaggedTensor(values, splits)


@public("ragged.cross")
def ragged_cross(inputs: Any, name: str | None = None) -> RaggedTensor:
    """The crosses of the inputs' features (ragged, sparse or dense) as strings joined by "_X_"."""
    return _ragged_cross(inputs, False, 0, None, name)


@public("ragged.cross_hashed")
def ragged_cross_hashed(inputs: Any, num_buckets: int = 0, hash_key: int | None = None, name: str | None = None) -> RaggedTensor:
    """The crosses of the inputs' features, hashed into `num_buckets` (0: all of int64)."""
    return _ragged_cross(inputs, True, num_buckets, hash_key, name)
