"""What `show`, `ops` and `weights` print, in the layout of saved_model_cli where it has one. Nothing is executed."""

from __future__ import annotations

import collections
import importlib
from typing import Any

import savedmodel
from savedmodel.format import protos
from savedmodel.format.tensor_proto import shape_from_proto

__all__ = ["ops", "show", "weights"]

_INIT = "__saved_model_init_op"


def _shape_text(message: Any) -> str:
    shape = shape_from_proto(message)
    if shape is None:
        return "unknown_rank"
    return "(" + ", ".join("-1" if d is None else str(d) for d in shape) + ")"


def _info(info: Any) -> dict[str, str]:
    dtype = protos.DataType(info.dtype).name if info.dtype < 100 else str(info.dtype)
    return {"dtype": dtype, "shape": _shape_text(info.tensor_shape), "name": info.name}


def _signature_lines(definition: Any, indent: str) -> list[str]:
    lines = [f"{indent}The given SavedModel SignatureDef contains the following input(s):"]
    for kind, tensors in (("inputs", definition.inputs), ("outputs", definition.outputs)):
        if kind == "outputs":
            lines.append(f"{indent}The given SavedModel SignatureDef contains the following output(s):")
        for name in sorted(tensors):
            info = _info(tensors[name])
            lines.append(f"{indent}  {kind}['{name}'] tensor_info:")
            lines += [f"{indent}      dtype: {info['dtype']}", f"{indent}      shape: {info['shape']}", f"{indent}      name: {info['name']}"]
    lines.append(f"{indent}Method name is: {definition.method_name}")
    return lines


def show(path: str, tag_set: str | None = None, signature: str | None = None, everything: bool = False) -> tuple[Any, str]:
    """The tag sets, signatures and their tensors: as a value and as text."""
    reader = savedmodel.open(path)
    value: list[Any] = []
    lines: list[str] = []
    graphs = reader.meta_graphs if tag_set is None else [reader.select(tag_set.split(","))]
    for graph in graphs:
        tags = ",".join(sorted(graph.meta_info_def.tags))
        entry: dict[str, Any] = {"tags": sorted(graph.meta_info_def.tags), "signatures": {}}
        if tag_set is None and not everything:
            lines.append(f"tag set: {tags}")
        for key in sorted(graph.signature_def):
            if signature is not None and key != signature:
                continue
            definition = graph.signature_def[key]
            entry["signatures"][key] = {
                "inputs": {n: _info(definition.inputs[n]) for n in sorted(definition.inputs)},
                "outputs": {n: _info(definition.outputs[n]) for n in sorted(definition.outputs)},
                "method_name": definition.method_name,
            }
            if everything:
                lines += ["", f"MetaGraphDef with tag-set: '{tags}' contains the following SignatureDefs:", ""] if key == min(graph.signature_def) else []
                lines += [f"signature_def['{key}']:", *_signature_lines(definition, "  "), ""]
            elif signature is not None:
                lines += _signature_lines(definition, "")
            else:
                ins = ", ".join(f"{n}: {_info(definition.inputs[n])['dtype'][3:].lower()}{_info(definition.inputs[n])['shape']}" for n in sorted(definition.inputs))
                outs = ", ".join(f"{n}: {_info(definition.outputs[n])['dtype'][3:].lower()}{_info(definition.outputs[n])['shape']}" for n in sorted(definition.outputs))
                if key != _INIT:
                    lines.append(f"  {key}({ins}) -> ({outs})")
        value.append(entry)
    if signature is not None and not any(e["signatures"] for e in value):
        raise savedmodel.errors.FormatError(f"{path}: no signature {signature!r}; the model has {sorted(graphs[0].signature_def)}")
    return value, "\n".join(lines)


def ops(path: str) -> tuple[Any, str]:
    """How often each op occurs, and which are not known here."""
    from tracer import registry

    reader = savedmodel.open(path)
    counts: collections.Counter[str] = collections.Counter()
    for graph in reader.meta_graphs:
        counts.update(n.op for n in graph.graph_def.node)
        names = {f.signature.name for f in graph.graph_def.library.function}
        for f in graph.graph_def.library.function:
            counts.update(n.op for n in f.node_def)
        for name in names:
            counts.pop(name, None)
    importlib.import_module("savedmodel.io_ops")  # registers the ops that touch files

    missing = sorted(name for name in counts if registry.find_op(name) is None)
    lines = [f"{count:7d}  {name}{'   NOT KNOWN' if name in missing else ''}" for name, count in sorted(counts.items(), key=lambda x: (-x[1], x[0]))]
    lines.append(f"{len(counts)} ops, {len(missing)} not known{': ' + ', '.join(missing) if missing else ''}")
    return {"ops": dict(counts), "missing": missing}, "\n".join(lines)


def weights(path: str) -> tuple[Any, str]:
    """The tensors of the checkpoint."""
    reader = savedmodel.open(path)
    rows = []
    for key in reader.variables:
        if key == "_CHECKPOINTABLE_OBJECT_GRAPH":
            continue
        shape = tuple(reader.variables.shape(key))
        rows.append({"name": key, "shape": list(shape), "dtype": protos.DataType(reader.variables.dtype_number(key)).name[3:].lower()})
    lines = [f"{row['dtype']:10s} {tuple(row['shape'])!s:20s} {row['name']}" for row in rows]
    return rows, "\n".join(lines)
