"""Owns fingerprint.pb: the five hashes of a SavedModel; it refuses to judge a model by them (TensorFlow never does).

Hashes are FarmHash fingerprints of canonical bytes (`wire.serialize`). Those of the graph and of the object graph leave
out what changes from one save to the next: numbers at the end of function names, device configuration, and paths in
constants. Only the first meta graph takes part. Authority: the values that TensorFlow 2.11 to 2.21 stored.
"""

from __future__ import annotations

import re
from pathlib import Path

from savedmodel.format import protos
from savedmodel.format.dtypes import DT_STRING
from savedmodel.format.errors import FormatError
from savedmodel.format.farmhash import fingerprint64, fingerprint_cat64
from savedmodel.format.wire import parse, serialize

__all__ = ["FILE_NAME", "fingerprint_of", "read_fingerprint", "singleprint", "verify"]

FILE_NAME = "fingerprint.pb"

#: The version that TensorFlow 2.15 writes.
_PRODUCER = 1

_HASHES = (
    "saved_model_checksum",
    "graph_def_program_hash",
    "signature_def_hash",
    "saved_object_graph_hash",
    "checkpoint_hash",
)
_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")


def fingerprint_of(saved_model: protos.SavedModel, index: bytes | memoryview = b"") -> protos.FingerprintDef:
    """The fingerprint of a SavedModel, as TensorFlow 2.15 computes it.

    Args:
        saved_model: the message of saved_model.pb.
        index: the bytes of variables/variables.index; empty if there is none.

    Raises:
        FormatError: no meta graph, or a concrete function whose name does not end in an underscore and a number.
    """
    if not saved_model.meta_graphs:
        raise FormatError("fingerprint: expected a SavedModel with a meta graph, received one without")
    meta_graph = saved_model.meta_graphs[0]
    return protos.FingerprintDef(
        saved_model_checksum=fingerprint64(serialize(saved_model)),
        graph_def_program_hash=fingerprint64(serialize(_regular(meta_graph.graph_def))),
        signature_def_hash=_hash_signatures(meta_graph),
        saved_object_graph_hash=_hash_functions(meta_graph.object_graph_def),
        checkpoint_hash=fingerprint64(index) if index else 0,
        version=protos.VersionDef(producer=_PRODUCER),
    )


def read_fingerprint(directory: str | Path) -> protos.FingerprintDef | None:
    """What fingerprint.pb in `directory` holds, or None if there is no such file. DataLossError if it is damaged."""
    path = Path(directory) / FILE_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return parse(protos.FingerprintDef, data, str(path))


def verify(
    stored: protos.FingerprintDef,
    saved_model: protos.SavedModel,
    index: bytes | memoryview = b"",
    *,
    data: bytes | memoryview = b"",
) -> dict[str, tuple[int, int]]:
    """The hashes that differ: field name → (stored, computed). Empty if all agree.

    What earlier releases stored is accepted too: 2.11 the hash of the graph in place of that of the file, 2.11 and 2.12
    signatures without their keys, some the hash of the file's bytes as they are. A stored `checkpoint_hash` of 0 stands
    for "not computed".

    Args:
        stored: the message of fingerprint.pb.
        saved_model: the message of saved_model.pb.
        index: the bytes of variables/variables.index; empty if there is none.
        data: the bytes of saved_model.pb, if at hand.

    Raises:
        FormatError: as `fingerprint_of`.
    """
    computed = fingerprint_of(saved_model, index)
    different = {}
    for name in _HASHES:
        expected, actual = getattr(stored, name), getattr(computed, name)
        if expected != actual and not _was_once_right(name, expected, stored, saved_model, data):
            different[name] = (expected, actual)
    return different


def _was_once_right(
    name: str,
    expected: int,
    stored: protos.FingerprintDef,
    saved_model: protos.SavedModel,
    data: bytes | memoryview,
) -> bool:
    meta_graph = saved_model.meta_graphs[0]
    if name == "checkpoint_hash":
        return expected == 0
    if name == "signature_def_hash":
        return expected == _hash_signatures(meta_graph, with_keys=False)
    if name == "saved_model_checksum":
        if stored.version.producer == 0 and expected == fingerprint64(serialize(meta_graph.graph_def)):
            return True
        return bool(data) and expected == fingerprint64(data)
    return False


def singleprint(fingerprint: protos.FingerprintDef) -> str:
    """The one string that TensorFlow Serving and registries know a model by: four hashes, not the checksum of the file."""
    return "/".join(str(getattr(fingerprint, name)) for name in _HASHES[1:])


def _regular(graph: protos.GraphDef) -> protos.GraphDef:
    """A copy of the top-level graph without what changes from save to save; library and versions empty, yet present."""
    regular = protos.GraphDef(node=graph.node, version=graph.version)
    if graph.HasField("debug_info"):
        regular.debug_info.CopyFrom(graph.debug_info)
    regular.library.SetInParent()
    regular.versions.SetInParent()
    for node in regular.node:
        if node.op in ("PartitionedCall", "StatefulPartitionedCall"):
            if "f" in node.attr:
                function = node.attr["f"].func
                uid = _uid(function.name)
                if uid is not None:
                    function.name = function.name.removesuffix(str(uid))
            if "config_proto" in node.attr:
                node.attr["config_proto"].s = b""
        elif node.op == "Const" and node.attr["dtype"].type == DT_STRING:
            node.attr["value"].Clear()
    return regular


def _hash_signatures(meta_graph: protos.MetaGraphDef, *, with_keys: bool = True) -> int:
    result = 0
    for key in sorted(meta_graph.signature_def):
        if with_keys:
            result = fingerprint_cat64(result, fingerprint64(key.encode()))
        result = fingerprint_cat64(result, fingerprint64(serialize(meta_graph.signature_def[key])))
    return result


def _hash_functions(objects: protos.SavedObjectGraph) -> int:
    by_uid: dict[int, str] = {}
    for name in sorted(objects.concrete_functions):
        uid = _uid(name)
        if uid is None:
            raise FormatError(
                f"fingerprint: expected concrete functions named like `__inference_f_12`, received {name!r}; "
                "end its name in an underscore and a number"
            )
        by_uid.setdefault(uid, name)
    result = 0
    for uid, name in sorted(by_uid.items()):
        result = fingerprint_cat64(result, fingerprint64(name.removesuffix(str(uid)).encode()))
        result = fingerprint_cat64(result, fingerprint64(serialize(objects.concrete_functions[name])))
    return result


def _uid(name: str) -> int | None:
    """The number after the last underscore of a function's name, if it is one of 64 bits."""
    last = name.rpartition("_")[2]
    if _INTEGER.fullmatch(last):
        number = int(last)
        if -(1 << 63) <= number < 1 << 63:
            return number
    return None
