"""The intermediate representation: graphs of named nodes. Structure only: it never executes, and knows no op's meaning."""

from tracer.ir.attrs import FunctionLibrary, FunctionRef
from tracer.ir.graph import Graph, Node, Tensor

__all__ = ["FunctionLibrary", "FunctionRef", "Graph", "Node", "Tensor"]
