"""The functions of a model being saved: which there are, under which unique names, and their messages. It refuses to know objects."""

from __future__ import annotations

import re
from typing import Any

from savedmodel.graphdef import referenced_functions, serialize_function
from tracer.ir.attrs import FunctionRef
from tracer.tracing import FuncGraph, next_uid

__all__ = ["FunctionLibraryWriter"]


class FunctionLibraryWriter:
    """Collects function graphs and those that they call, each once, and names them uniquely."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._graphs: list[FuncGraph] = []
        self._taken: set[str] = set()

    def add(self, graph: FuncGraph) -> str:
        """Include `graph` and all that it calls. Returns its name in the model."""
        known = self._names.get(id(graph))
        if known is not None:
            return known
        name = graph.name
        if name in self._taken or not _numbered(name):
            stem = re.sub(r"_\d+$", "", name)
            if not stem.startswith("__inference_") and graph.extra.get("reference") is None:
                stem = "__inference_" + stem
            name = f"{stem}_{next_uid()}"
        self._taken.add(name)
        self._names[id(graph)] = name
        self._graphs.append(graph)
        for ref in referenced_functions(graph):
            if ref.library is None or ref.name in ref.library:
                self.add(ref.graph)
        return name

    def rename(self, ref: FunctionRef) -> str:
        """The name in the model of a referenced function."""
        return self.add(ref.graph)

    def write(self, library: Any) -> None:
        """Append every function's message to FunctionDefLibrary `library`."""
        i = 0
        while i < len(self._graphs):
            graph = self._graphs[i]
            library.function.append(serialize_function(graph, self._names[id(graph)], self.rename))
            i += 1

    @property
    def graphs(self) -> list[FuncGraph]:
        return list(self._graphs)


def _numbered(name: str) -> bool:
    """Whether the name ends in a number, which fingerprints need."""
    return re.search(r"_\d+$", name) is not None
