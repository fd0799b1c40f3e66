"""Parsing Example and SequenceExample messages: records and kernels. The tf.io functions are in parsing_functions.py."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer import infer
from tracer.byte_strings import map_bytes
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.examples import dense_batch, dense_steps, pick, ragged_batch, ragged_steps, sparse_batch, sparse_steps
from tracer.registry import op
from tracer.shapes import TensorShape, unknown_shape
from tracer.wire import read_example, read_sequence_example, write_example

_T3 = "list{float, int64, string} >= 0"
_SPLITS = "list{int32, int64} >= 0"


def _texts(keys: Any) -> list[bytes]:
    return [k if isinstance(k, bytes) else k.reshape(-1)[0] for k in keys] if isinstance(keys, (list, tuple)) else keys.reshape(-1).tolist()


def _dims(shape: TensorShape) -> list[int | None]:
    if shape.rank is None:
        raise InvalidArgumentError("ParseExample: dense_shapes must have a known rank")
    return shape.as_list()


class _Stack:
    """Takes flat kernel inputs in turn."""

    def __init__(self, inputs: Sequence[np.ndarray]):
        self._inputs = list(inputs)
        self._at = 0

    def take(self, count: int) -> list[np.ndarray]:
        self._at += count
        return self._inputs[self._at - count : self._at]

    def one(self) -> np.ndarray:
        return self.take(1)[0]


def _parse(
    serialized: np.ndarray, sparse: list[bytes], dense: list[bytes], ragged: list[bytes], defaults: Sequence[np.ndarray],
    attrs: dict[str, Any],
) -> list[Any]:  # fmt: skip
    """The outputs of the ParseExample ops, in their order; a scalar gives them without batch dimension."""
    if serialized.ndim > 1:
        raise ShapeError(f"ParseExample: serialized must be a scalar or vector, received shape {serialized.shape}")
    single = serialized.ndim == 0
    examples = [read_example(s) for s in serialized.reshape(-1).tolist()]
    groups: list[list[np.ndarray]] = [[], [], []]
    for key, dtype in zip(sparse, attrs["sparse_types"]):
        rows = [pick(e.get(key), dtype, f"Key: {key.decode(errors='replace')}") for e in examples]
        for group, part in zip(groups, sparse_batch(rows, dtype, single)):
            group.append(part)
    found = [p for g in groups for p in g]
    for key, dtype, shape, default in zip(dense, attrs["Tdense"], attrs["dense_shapes"], defaults):
        name = key.decode(errors="replace")
        rows = [pick(e.get(key), dtype, f"Key: {name}") for e in examples]
        batch = dense_batch(rows, dtype, _dims(shape), default, name)
        found.append(batch[0] if single else batch)
    values, splits = [], []
    for key, dtype, splits_dtype in zip(ragged, attrs.get("ragged_value_types", ()), attrs.get("ragged_split_types", ())):
        rows = [pick(e.get(key), dtype, f"Key: {key.decode(errors='replace')}") for e in examples]
        v, s = ragged_batch(rows, dtype, splits_dtype)
        values.append(v)
        splits.append(s[:0] if single else s)
    return [*found, *values, *splits]


def _parse_shapes(ctx: Any, sparse: int, ragged: int = 0) -> Any:
    lead = ctx.shape(0)
    rank = lead.rank
    wide = None if rank is None else rank + 1
    dense = [lead.concatenate(s) for s in ctx.attr("dense_shapes")]
    splits = [TensorShape([None if not lead.rank or lead[0] is None else lead[0] + 1])] * ragged
    if rank == 0:
        splits = [TensorShape([0])] * ragged
    return [
        *[TensorShape([None, wide])] * sparse, *[TensorShape([None])] * sparse, *[TensorShape([wide])] * sparse, *dense,
        *[TensorShape([None])] * ragged, *splits,
    ]  # fmt: skip


parse_op = op(
    "ParseExample(serialized: string, names: string, sparse_keys: Nsparse * string, dense_keys: Ndense * string, dense_defaults: "
    "Tdense) -> (sparse_indices: Nsparse * int64, sparse_values: sparse_types, sparse_shapes: Nsparse * int64, dense_values: Tdense); "
    f"Nsparse: int >= 0; Ndense: int >= 0; sparse_types: {_T3}; Tdense: {_T3}; dense_shapes: list(shape) >= 0"
).not_differentiable()
parse_op.infer(lambda ctx: _parse_shapes(ctx, ctx.attr("Nsparse")))


@parse_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    def kernel(*inputs: np.ndarray) -> Any:
        rest = _Stack(inputs)
        serialized, _ = rest.take(2)
        sparse, dense = _texts(rest.take(attrs["Nsparse"])), _texts(rest.take(attrs["Ndense"]))
        return _parse(serialized, sparse, dense, [], rest.take(len(dense)), attrs)

    return kernel


parse_v2_op = op(
    "ParseExampleV2(serialized: string, names: string, sparse_keys: string, dense_keys: string, ragged_keys: string, dense_defaults: "
    "Tdense) -> (sparse_indices: num_sparse * int64, sparse_values: sparse_types, sparse_shapes: num_sparse * int64, dense_values: "
    f"Tdense, ragged_values: ragged_value_types, ragged_row_splits: ragged_split_types); Tdense: {_T3}; num_sparse: int >= 0; "
    f"sparse_types: {_T3}; ragged_value_types: {_T3}; ragged_split_types: {_SPLITS}; dense_shapes: list(shape) >= 0"
).not_differentiable()
parse_v2_op.infer(lambda ctx: _parse_shapes(ctx, ctx.attr("num_sparse"), len(ctx.attr("ragged_value_types"))))


@parse_v2_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    def kernel(serialized: np.ndarray, _: np.ndarray, sparse: np.ndarray, dense: np.ndarray, ragged: np.ndarray, *defaults: np.ndarray) -> Any:
        return _parse(serialized, _texts(sparse), _texts(dense), _texts(ragged), defaults, attrs)

    return kernel


parse_single_op = op(
    "ParseSingleExample(serialized: string, dense_defaults: Tdense) -> (sparse_indices: num_sparse * int64, sparse_values: "
    "sparse_types, sparse_shapes: num_sparse * int64, dense_values: Tdense); num_sparse: int >= 0; sparse_keys: list(string) >= 0; "
    f"dense_keys: list(string) >= 0; sparse_types: {_T3}; Tdense: {_T3}; dense_shapes: list(shape) >= 0"
).not_differentiable()
parse_single_op.infer(lambda ctx: _parse_shapes(ctx, ctx.attr("num_sparse")))
parse_single_op.prepare(
    lambda attrs: lambda serialized, *defaults: _parse(serialized, attrs["sparse_keys"], attrs["dense_keys"], [], defaults, attrs)
)

# -- sequences -------------------------------------------------------------------------------------------------------


def _parse_sequence(serialized: np.ndarray, keys: dict[str, list[bytes]], missing_ok: dict[bytes, bool], defaults: Any, attrs: dict[str, Any]) -> list[Any]:
    """The outputs of the ParseSequenceExample ops, in their order. `keys`: names per group of outputs."""
    if serialized.ndim > 1:
        raise ShapeError(f"ParseSequenceExample: serialized must be a scalar or vector, received shape {serialized.shape}")
    single = serialized.ndim == 0
    parsed = [read_sequence_example(s) for s in serialized.reshape(-1).tolist()]
    context = [p[0] for p in parsed]
    wrapped = {
        "sparse_types": attrs["context_sparse_types"], "Tdense": attrs["Tcontext_dense"], "dense_shapes": attrs["context_dense_shapes"],
    }  # fmt: skip
    groups: list[list[np.ndarray]] = [[], [], []]
    for key, dtype in zip(keys["context_sparse"], wrapped["sparse_types"]):
        rows = [pick(c.get(key), dtype, f"Key: {key!r}") for c in context]
        for group, part in zip(groups, sparse_batch(rows, dtype, single)):
            group.append(part)
    out = [p for g in groups for p in g]
    for key, dtype, shape, default in zip(keys["context_dense"], wrapped["Tdense"], wrapped["dense_shapes"], defaults):
        name = key.decode(errors="replace")
        batch = dense_batch([pick(c.get(key), dtype, f"Key: {name}") for c in context], dtype, _dims(shape), default, name)
        out.append(batch[0] if single else batch)
    values, splits = [], []
    for key, dtype, sd in zip(keys["context_ragged"], attrs.get("context_ragged_value_types", ()), attrs.get("context_ragged_split_types", ())):
        v, s = ragged_batch([pick(c.get(key), dtype, f"Key: {key!r}") for c in context], dtype, sd)
        values.append(v)
        splits.append(s)
    out += [*values, *splits]

    def steps(key: bytes, dtype: Any, required: bool) -> list[list[Any]]:
        rows = []
        for i, (_, lists) in enumerate(parsed):
            if key not in lists and required:
                raise InvalidArgumentError(
                    f"Name: <unknown>, Feature list '{key.decode(errors='replace')}' is required but could not be found (example {i}). "
                    "Did you mean to include it in feature_list_dense_missing_assumed_empty?"
                )
            rows.append([pick(f, dtype, f"Feature list: {key!r}") for f in lists.get(key, [])])
        return rows

    groups = [[], [], []]
    for key, dtype in zip(keys["list_sparse"], attrs["feature_list_sparse_types"]):
        for group, part in zip(groups, sparse_steps(steps(key, dtype, False), dtype, single)):
            group.append(part)
    out += [p for g in groups for p in g]
    dense, lengths = [], []
    for key, dtype, shape in zip(keys["list_dense"], attrs["feature_list_dense_types"], attrs["feature_list_dense_shapes"]):
        d, n = dense_steps(steps(key, dtype, not missing_ok.get(key, False)), dtype, _dims(shape), key.decode(errors="replace"))
        dense.append(d[0] if single else d)
        lengths.append(n[0] if single else n)
    out += dense
    if attrs.get("_with_lengths", True):
        out += lengths
    flat, outer, inner = [], [], []
    for key, dtype, sd in zip(keys["list_ragged"], attrs.get("feature_list_ragged_value_types", ()), attrs.get("feature_list_ragged_split_types", ())):
        v, o, i = ragged_steps(steps(key, dtype, False), dtype, sd)
        flat.append(v)
        outer.append(o)
        inner.append(i)
    return [*out, *flat, *outer, *inner]


def _sequence_shapes(ctx: Any) -> Any:
    return [unknown_shape()] * len(ctx.output_dtypes)


sequence_op = op(
    "ParseSequenceExample(serialized: string, debug_name: string, context_dense_defaults: Tcontext_dense) -> (context_sparse_indices: "
    "Ncontext_sparse * int64, context_sparse_values: context_sparse_types, context_sparse_shapes: Ncontext_sparse * int64, "
    "context_dense_values: Tcontext_dense, feature_list_sparse_indices: Nfeature_list_sparse * int64, feature_list_sparse_values: "
    "feature_list_sparse_types, feature_list_sparse_shapes: Nfeature_list_sparse * int64, feature_list_dense_values: "
    "feature_list_dense_types, feature_list_dense_lengths: Nfeature_list_dense * int64); feature_list_dense_missing_assumed_empty: "
    "list(string) >= 0; context_sparse_keys: list(string) >= 0; context_dense_keys: list(string) >= 0; feature_list_sparse_keys: "
    "list(string) >= 0; feature_list_dense_keys: list(string) >= 0; Ncontext_sparse: int >= 0 = 0; Ncontext_dense: int >= 0 = 0; "
    f"Nfeature_list_sparse: int >= 0 = 0; Nfeature_list_dense: int >= 0 = 0; context_sparse_types: {_T3} = []; Tcontext_dense: {_T3} = "
    f"[]; feature_list_dense_types: {_T3} = []; context_dense_shapes: list(shape) >= 0 = []; feature_list_sparse_types: {_T3} = []; "
    "feature_list_dense_shapes: list(shape) >= 0 = []"
).not_differentiable()
sequence_op.infer(_sequence_shapes)


@sequence_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    keys = {
        "context_sparse": attrs["context_sparse_keys"], "context_dense": attrs["context_dense_keys"], "context_ragged": [],
        "list_sparse": attrs["feature_list_sparse_keys"], "list_dense": attrs["feature_list_dense_keys"], "list_ragged": [],
    }  # fmt: skip
    missing = {k: True for k in attrs["feature_list_dense_missing_assumed_empty"]}
    return lambda serialized, _, *defaults: _parse_sequence(serialized, keys, missing, defaults, attrs)


sequence_v2_op = op(
    "ParseSequenceExampleV2(serialized: string, debug_name: string, context_sparse_keys: string, context_dense_keys: string, "
    "context_ragged_keys: string, feature_list_sparse_keys: string, feature_list_dense_keys: string, feature_list_ragged_keys: string, "
    "feature_list_dense_missing_assumed_empty: bool, context_dense_defaults: Tcontext_dense) -> (context_sparse_indices: "
    "Ncontext_sparse * int64, context_sparse_values: context_sparse_types, context_sparse_shapes: Ncontext_sparse * int64, "
    "context_dense_values: Tcontext_dense, context_ragged_values: context_ragged_value_types, context_ragged_row_splits: "
    "context_ragged_split_types, feature_list_sparse_indices: Nfeature_list_sparse * int64, feature_list_sparse_values: "
    "feature_list_sparse_types, feature_list_sparse_shapes: Nfeature_list_sparse * int64, feature_list_dense_values: "
    "feature_list_dense_types, feature_list_dense_lengths: Nfeature_list_dense * int64, feature_list_ragged_values: "
    "feature_list_ragged_value_types, feature_list_ragged_outer_splits: feature_list_ragged_split_types, "
    "feature_list_ragged_inner_splits: feature_list_ragged_split_types); Ncontext_sparse: int >= 0 = 0; "
    f"Tcontext_dense: {_T3} = []; context_sparse_types: {_T3} = []; context_ragged_value_types: {_T3} = []; "
    f"context_ragged_split_types: {_SPLITS} = []; context_dense_shapes: list(shape) >= 0 = []; Nfeature_list_sparse: int >= 0 = 0; "
    f"Nfeature_list_dense: int >= 0 = 0; feature_list_dense_types: {_T3} = []; feature_list_sparse_types: {_T3} = []; "
    f"feature_list_ragged_value_types: {_T3} = []; feature_list_ragged_split_types: {_SPLITS} = []; "
    "feature_list_dense_shapes: list(shape) >= 0 = []"
).not_differentiable()
sequence_v2_op.infer(_sequence_shapes)


@sequence_v2_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    names = ("context_sparse", "context_dense", "context_ragged", "list_sparse", "list_dense", "list_ragged")

    def kernel(serialized: np.ndarray, _: np.ndarray, *inputs: np.ndarray) -> Any:
        keys = {n: _texts(k) for n, k in zip(names, inputs)}
        missing = dict(zip(keys["list_dense"], inputs[6].reshape(-1).tolist()))
        return _parse_sequence(serialized, keys, missing, inputs[7:], attrs)

    return kernel


single_sequence_op = op(
    "ParseSingleSequenceExample(serialized: string, feature_list_dense_missing_assumed_empty: string, context_sparse_keys: "
    "Ncontext_sparse * string, context_dense_keys: Ncontext_dense * string, feature_list_sparse_keys: Nfeature_list_sparse * string, "
    "feature_list_dense_keys: Nfeature_list_dense * string, context_dense_defaults: Tcontext_dense, debug_name: string) -> "
    "(context_sparse_indices: Ncontext_sparse * int64, context_sparse_values: context_sparse_types, context_sparse_shapes: "
    "Ncontext_sparse * int64, context_dense_values: Tcontext_dense, feature_list_sparse_indices: Nfeature_list_sparse * int64, "
    "feature_list_sparse_values: feature_list_sparse_types, feature_list_sparse_shapes: Nfeature_list_sparse * int64, "
    "feature_list_dense_values: feature_list_dense_types); Ncontext_sparse: int >= 0 = 0; Ncontext_dense: int >= 0 = 0; "
    f"Nfeature_list_sparse: int >= 0 = 0; Nfeature_list_dense: int >= 0 = 0; context_sparse_types: {_T3} = []; Tcontext_dense: {_T3} = "
    f"[]; feature_list_dense_types: {_T3} = []; context_dense_shapes: list(shape) >= 0 = []; feature_list_sparse_types: {_T3} = []; "
    "feature_list_dense_shapes: list(shape) >= 0 = []"
).not_differentiable()
single_sequence_op.infer(_sequence_shapes)


@single_sequence_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    without = {**attrs, "_with_lengths": False}

    def kernel(*inputs: np.ndarray) -> Any:
        rest = _Stack(inputs)
        serialized, missing = rest.take(2)
        keys = {
            "context_sparse": _texts(rest.take(attrs["Ncontext_sparse"])), "context_dense": _texts(rest.take(attrs["Ncontext_dense"])),
            "context_ragged": [], "list_sparse": _texts(rest.take(attrs["Nfeature_list_sparse"])),
            "list_dense": _texts(rest.take(attrs["Nfeature_list_dense"])), "list_ragged": [],
        }  # fmt: skip
        allowed = {k: True for k in missing.reshape(-1).tolist()}
        return _parse_sequence(serialized, keys, allowed, rest.take(len(keys["context_dense"])), without)

    return kernel


# -- JSON ------------------------------------------------------------------------------------------------------------

json_op = op("DecodeJSONExample(json_examples: string) -> (binary_examples: string)").not_differentiable()
json_op.infer(infer.unchanged)

_LISTS = {"bytesList": "bytes", "bytes_list": "bytes", "floatList": "float", "float_list": "float", "int64List": "int64", "int64_list": "int64"}


def _from_json(text: bytes) -> bytes:
    try:
        features = json.loads(text).get("features", {}).get("feature", {})
        out: dict[bytes, Any] = {}
        for name, feature in features.items():
            out[name.encode()] = ("", ())
            for key, body in feature.items():
                kind = _LISTS[key]
                values = body.get("value", [])
                if kind == "bytes":
                    values = [base64.b64decode(v.replace("-", "+").replace("_", "/") + "=" * (-len(v) % 4)) for v in values]
                out[name.encode()] = (kind, [float(v) for v in values] if kind == "float" else [int(v) for v in values] if kind == "int64" else values)
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, binascii.Error) as error:
        raise InvalidArgumentError(f"Error while parsing JSON: expected an Example, received {text[:60]!r} ({error})") from None
    return write_example(out, packed=False)


json_op.kernel(lambda strings: map_bytes(_from_json, strings))
