"""What TensorFlow wrote and this library loads and saves again keeps its functions to the last attr, and its objects."""

from __future__ import annotations

import re

import pytest

import savedmodel
from savedmodel.format import protos
from savedmodel.options import SaveOptions
from savedmodel.writer import SavedModelWriter
from tests.savedmodel.kinds import GOLDEN, KINDS


def written(kind):
    loaded = savedmodel.load(GOLDEN / "modules" / kind)
    return SavedModelWriter(loaded, None, SaveOptions())


def renamed(message, names):
    """A copy of a FunctionDef with function and gradient names replaced."""
    out = protos.FunctionDef.FromString(message.SerializeToString())
    out.signature.name = names[out.signature.name]
    for node in out.node_def:
        for key in node.attr:
            value = node.attr[key]
            if key == "_gradient_op_type":
                value.s = names.get(value.s.decode(), value.s.decode()).encode()
            elif key == "shared_name" and b"table_" in value.s:
                value.s = b"table"  # numbered anew
            for func in (value.func, *value.list.func) if value.WhichOneof("value") in ("func", "list") else ():
                func.name = names.get(func.name, func.name)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_functions_keep_their_nodes_attrs_devices_and_order(kind):
    writer = written(kind)
    original = savedmodel.open(GOLDEN / "modules" / kind).functions
    new = {f.signature.name: f for f in writer.meta.graph_def.library.function}
    pairs = {writer.functions.add(g): g.extra["message"].signature.name for g in writer.functions.graphs if "message" in g.extra}
    names = dict(pairs)
    for key, name in writer.functions._gradients.items():
        names[name.decode()] = re.sub(r"-\d+$", "", key.decode())
    assert len(set(pairs.values())) == len(pairs) > 0
    same = {name: name for name in original}
    for name, old in pairs.items():
        assert renamed(new[name], names) == renamed(original[old], same), old


@pytest.mark.parametrize("kind", KINDS)
def test_every_function_that_an_object_or_gradient_needs_is_kept(kind):
    writer = written(kind)
    reader = savedmodel.open(GOLDEN / "modules" / kind)
    stems = lambda saved: sorted(re.sub(r"_\d+$", "", name) for name in saved.concrete_functions if "signature_wrapper" not in name)
    assert stems(writer.meta.object_graph_def) == stems(reader.objects)


def shape_of(objects, i, seen):
    """The tree of edges below a node, kinds and descriptions at the nodes; nodes met before by their number in this walk."""
    if i in seen:
        return seen[i]
    seen[i] = len(seen)
    node = objects.nodes[i]
    kind = node.WhichOneof("kind")
    described = None
    if kind in ("variable", "resource", "user_object"):
        described = str(getattr(node, kind))
    elif kind == "function":
        described = str(node.function.function_spec)
    edges = sorted((c.local_name, c.node_id) for c in node.children if c.local_name != "signatures" and not c.local_name.startswith(("trace_", "capture_")))
    return seen[i], kind, described, [(name, shape_of(objects, child, seen)) for name, child in edges]


@pytest.mark.parametrize("kind", KINDS)
def test_objects_keep_their_edges_and_descriptions(kind):
    saved = written(kind).meta.object_graph_def
    original = savedmodel.open(GOLDEN / "modules" / kind).objects
    assert shape_of(saved, 0, {}) == shape_of(original, 0, {})
