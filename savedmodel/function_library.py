"""The functions of a model being saved: which there are, under which names, and their messages. It refuses to know objects.

Names are numbered in the order in which functions are reached, so that a saved model does not depend on what was traced before it.
"""

from __future__ import annotations

import re
from typing import Any

from savedmodel.graphdef import MUTABLE_TABLES, TABLE_OPS, gradient_key
from savedmodel.graphdef_writer import referenced_functions, serialize_function
from tracer.errors import MissingGradientError
from tracer.gradients import custom_gradient_rule
from tracer.ir.attrs import FunctionRef
from tracer.tracing import FuncGraph

__all__ = ["FunctionLibraryWriter"]

_PREFIX = "__inference_"


class FunctionLibraryWriter:
    """Collects function graphs and those that they call, each once, and names them.

    Attributes:
        graphs: the graphs in the order of their names.
        table_names: name of a function that makes a table → shared name of the table; there after `write`.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._gradients: dict[bytes, bytes] = {}
        self.graphs: list[FuncGraph] = []
        self.table_names: dict[str, bytes] = {}

    def add(self, graph: FuncGraph) -> str:
        """Include `graph` and all that it calls. Returns its name in the model."""
        known = self._names.get(id(graph))
        if known is not None:
            return known
        # Session-based loaders and fingerprints need the number; the prefix marks what TensorFlow numbers anew when it loads.
        name = self._names[id(graph)] = f"{_stem(graph.name)}_{len(self._names)}"
        self.graphs.append(graph)
        for ref in referenced_functions(graph):
            if ref.library is None or ref.name in ref.library:
                self.add(ref.graph)
        return name

    def rename(self, ref: FunctionRef) -> str:
        """The name in the model of a referenced function."""
        return self.add(ref.graph)

    def gradient_name(self, key: bytes) -> bytes:
        """The name in the model of the custom gradient registered under `key`; `key` itself where none is."""
        found = self._gradients.get(key)
        if found is None:
            try:
                custom_gradient_rule(key)
            except MissingGradientError:
                return key
            found = self._gradients[key] = b"CustomGradient-%d" % len(self._gradients)
        return found

    def loaded_gradient_name(self, name: bytes, library: Any) -> bytes:
        """The name in the model of a custom gradient that a loaded function names `name`."""
        key = gradient_key(name, library)
        found = self.gradient_name(key)
        return name if found == key else found

    def write(self, library: Any) -> None:
        """Append every function's message to FunctionDefLibrary `library`."""
        i = 0
        while i < len(self.graphs):
            graph = self.graphs[i]
            library.function.append(serialize_function(graph, self._names[id(graph)], self))
            i += 1
        self.table_names = _name_tables(library)


def _stem(name: str) -> str:
    """A function's name without numbers given by this process or another: what is left is the same in every process."""
    marked = name.startswith(_PREFIX)
    stem = name[len(_PREFIX) :] if marked else name
    stem = re.sub(r"_\d+(?=_(forward|backward)\b)", "", stem)
    stem = re.sub(r"_\d+$", "", stem)
    return _PREFIX + stem if marked else stem


def _name_tables(library: Any) -> dict[str, bytes]:
    """Number the mutable tables of this process anew, and give those that different functions make under one name names of their own:
    loaders in sessions share tables by name. Returns function name → name of the table that it makes."""
    found: dict[str, bytes] = {}
    taken: set[bytes] = set()
    for function in library.function:
        for node in function.node_def:
            if node.op not in TABLE_OPS or not function.signature.name.startswith("__inference__creator"):
                continue
            attr = node.attr["shared_name"]
            stem, k = (b"table", 0) if re.fullmatch(rb"table_\d+", attr.s) else (attr.s, None)
            if node.op in MUTABLE_TABLES and attr.s:
                name = stem if k is None else b"table_0"
                while name in taken:
                    k = 1 if k is None else k + 1
                    name = b"%s_%d" % (stem, k)
                taken.add(name)
                attr.s = name
            found[function.signature.name] = attr.s
    return found
