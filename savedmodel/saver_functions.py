"""The functions by which TensorFlow's loaders save and restore: of the whole checkpoint, and of single tables. It refuses to touch files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import savedmodel.io_ops  # noqa: F401 - registers the ops that these functions are made of
from savedmodel.checkpoint_writer import OBJECT_GRAPH_KEY, CheckpointWriter
from savedmodel.object_graph import ObjectGraph
from savedmodel.revive import RestoredResource
from tracer import dtypes
from tracer.dispatch import raw
from tracer.functions import ConcreteFunction, FunctionSpec, call_graph, trace_function
from tracer.lookup import LookupInterface
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec
from tracer.tracing import FuncGraph, trace_into

__all__ = ["add_saver_functions", "trace_restore", "trace_save"]


# -- tables ----------------------------------------------------------------------------------------------------------


def add_saver_functions(graph: ObjectGraph) -> None:
    """Make the save and restore functions of objects with state that is no variable (mutable tables) nodes of the graph."""
    for i, obj in enumerate(list(graph.nodes)):
        if isinstance(obj, RestoredResource):
            pairs = obj.saveables
        elif isinstance(obj, LookupInterface) and hasattr(obj, "_serialize_to_tensors") and getattr(obj, "_checkpoint", True):
            pairs = {"table": _table_saver(obj)}
        else:
            continue
        for name, pair in pairs.items():
            graph.add_saver(i, name, *pair)


def _table_saver(table: Any) -> tuple[ConcreteFunction, ConcreteFunction]:
    """The functions that write and read a mutable table's content, in TensorFlow's form."""
    key = TensorSpec([], dtypes.string, "checkpoint_key")

    def save_function(checkpoint_key: Any) -> Any:
        out = []
        for suffix, tensor in table._serialize_to_tensors().items():
            out.append(
                {
                    "name": raw.StringJoin([checkpoint_key, raw.Identity(_string(suffix.encode()))]),
                    "slice_spec": raw.Identity(_string(b"")),
                    "tensor": tensor,
                }
            )
        return out

    def restore_function(*tensors: Any) -> Any:
        table._restore_from_tensors({"-keys": tensors[0], "-values": tensors[1]})
        return np.array(1, np.int32)

    rows = TensorShape([None])
    arguments = (
        TensorSpec(rows.concatenate(table._key_shape), table.key_dtype, "restored_tensors_0"),
        TensorSpec(rows.concatenate(table._value_shape), table.value_dtype, "restored_tensors_1"),
    )
    return (
        trace_function(save_function, (key,), {}, "save_fn", FunctionSpec(["checkpoint_key"])),
        trace_function(restore_function, arguments, {}, "restore_fn", FunctionSpec([], "restored_tensors")),
    )


# -- the whole checkpoint --------------------------------------------------------------------------------------------


def trace_save(checkpoint: CheckpointWriter) -> FuncGraph:
    """The function by which session-based loaders write a checkpoint. It captures what it saves."""
    graph = FuncGraph("__inference__traced_save_0")
    with trace_into(graph):
        prefix = graph.add_input(dtypes.string, TensorShape([]), "file_prefix")
        is_s3 = raw.StaticRegexFullMatch(prefix, pattern="^s3://.*")
        base = raw.StringJoin([prefix, raw.Select(is_s3, _scalar(graph, b".part"), _scalar(graph, b"_temp/part"))])
        name = raw.ShardedFilename(base, np.array(0, np.int32), np.array(1, np.int32))
        keys, values = checkpoint.variable_keys()
        tensors = [raw.ReadVariableOp(v.handle, dtype=v.dtype) for v in values]
        names: list[Any] = [_scalar(graph, key.encode()) for key in keys] if checkpoint.table_keys else []
        for save, _, key in _tables(checkpoint):
            for part in save.build_outputs(_call(save, [_scalar(graph, key.encode())])):
                names.append(part["name"])
                tensors.append(part["tensor"])
        graph_key = OBJECT_GRAPH_KEY.encode()
        if names:
            joined = raw.Pack([*names, _scalar(graph, graph_key)])
        else:
            joined = graph.constant(_vector([*(k.encode() for k in keys), graph_key]), dtypes.string, "SaveV2/tensor_names")
        slices = graph.constant(_vector([b""] * (len(tensors) + 1)), dtypes.string, "SaveV2/shape_and_slices")
        raw.SaveV2(name, joined, slices, [*tensors, _scalar(graph, checkpoint.graph_bytes())])
        raw.MergeV2Checkpoints(raw.Pack([name]), prefix)
        graph.finish([prefix])
    return graph


def trace_restore(checkpoint: CheckpointWriter) -> FuncGraph:
    """The function by which session-based loaders read the checkpoint. It captures what it restores."""
    graph = FuncGraph("__inference__traced_restore_0")
    with trace_into(graph):
        prefix = graph.add_input(dtypes.string, TensorShape([]), "file_prefix")
        keys, variables = checkpoint.variable_keys()
        if variables:
            names = graph.constant(_vector([k.encode() for k in keys]), dtypes.string, "RestoreV2/tensor_names")
            slices = graph.constant(_vector([b""] * len(keys)), dtypes.string, "RestoreV2/shape_and_slices")
            values = raw.RestoreV2(prefix, names, slices, dtypes=[v.dtype for v in variables])
            for variable, value in zip(variables, values, strict=True):
                raw.AssignVariableOp(variable.handle, raw.Identity(value), dtype=variable.dtype)
        for save, restore, key in _tables(checkpoint):
            parts = save.build_outputs(_call(save, [_scalar(graph, key.encode())]))
            types = [t.dtype for t in restore.graph.inputs[: restore.arg_count]]
            names = raw.Pack([part["name"] for part in parts])
            _call(restore, raw.RestoreV2(prefix, names, raw.Pack([part["slice_spec"] for part in parts]), dtypes=types))
        graph.finish([prefix])
    return graph


def _call(function: ConcreteFunction, inputs: Sequence[Any]) -> list[Any]:
    return call_graph(function.graph, [*inputs, *function.captured_inputs])


def _tables(checkpoint: CheckpointWriter) -> list[tuple[ConcreteFunction, ConcreteFunction, str]]:
    nodes = checkpoint.graph.nodes
    return [
        (nodes[save], nodes[restore], checkpoint.table_keys[i])
        for i, pairs in checkpoint.graph.saveables.items()
        for save, restore in pairs.values()
    ]


def _vector(values: Sequence[bytes]) -> np.ndarray:
    out = np.empty(len(values), object)
    out[:] = list(values)
    return out


def _string(value: bytes) -> np.ndarray:
    out = np.empty((), object)
    out[()] = value
    return out


def _scalar(graph: FuncGraph, value: bytes) -> Any:
    return graph.constant(_string(value), dtypes.string)


