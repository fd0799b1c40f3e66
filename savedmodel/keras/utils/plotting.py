"""plot_model and model_to_dot: models as DOT text, and as pictures where Graphviz's `dot` is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

__all__ = ["Dot", "model_to_dot", "plot_model"]


class Dot:
    """A graph in Graphviz's language. `to_string()` gives the text, `write(path, format)` a picture."""

    def __init__(self, lines: list[str]):
        self._lines = lines

    def to_string(self) -> str:
        """The DOT text."""
        return "\n".join(self._lines) + "\n"

    __str__ = to_string

    def create(self, prog: str = "dot", format: str = "png", dpi: int | None = None) -> bytes:
        """The picture.

        Raises:
            ImportError: Graphviz is not installed.
        """
        program = shutil.which(prog)
        if program is None:
            raise ImportError(
                f"You must install graphviz for pictures of models: the program {prog!r} was not found. The DOT text needs none: "
                f"plot_model(model, 'model.dot')"
            )
        options = [f"-Gdpi={dpi}"] if dpi else []
        return subprocess.run([program, f"-T{format}", *options], input=self.to_string().encode(), capture_output=True, check=True).stdout

    def write(self, path: Any, format: str = "png", dpi: int | None = None) -> None:
        """Write the picture, or the text for the format "dot"."""
        content = self.to_string().encode() if format in ("dot", "raw") else self.create(format=format, dpi=dpi)
        with open(path, "wb") as file:
            file.write(content)


def _shape_text(shape: Any) -> str:
    return str([tuple(s) for s in shape]) if isinstance(shape, list) else str(shape)


def _escape(text: str) -> str:
    for char in '\\{}<>|"':
        text = text.replace(char, "\\" + char)
    return text


def _label(layer: Any, show_shapes: bool, show_dtype: bool, show_names: bool, show_activations: bool) -> str:
    kind = type(layer).__name__
    if hasattr(layer, "layer") and not hasattr(layer, "layers"):
        kind = f"{kind}({type(layer.layer).__name__})"
    parts = [_escape(f"{layer.name} ({kind})" if show_names else kind)]
    activation = getattr(layer, "activation", None)
    if show_activations and activation is not None:
        parts.append(_escape(getattr(activation, "__name__", type(activation).__name__)))
    if show_dtype:
        parts.append(_escape(str(layer.dtype)))
    text = "|".join(parts)
    if show_shapes:
        given, out = (_escape(_shape_text(getattr(layer, name, "?"))) for name in ("input_shape", "output_shape"))
        return f"{{{text}|{{input:|output:}}|{{{{{given}}}|{{{out}}}}}}}"
    return text if len(parts) == 1 else f"{{{text}}}"


def model_to_dot(
    model: Any, show_shapes: bool = False, show_dtype: bool = False, show_layer_names: bool = True, rankdir: str = "TB",
    expand_nested: bool = False, dpi: int | None = 96, subgraph: bool = False, layer_range: Any = None,
    show_layer_activations: bool = False, show_trainable: bool = False,
) -> Dot:  # fmt: skip
    """A model's layers and what goes from one to the next.

    Args:
        rankdir: "TB" from top to bottom, "LR" from left to right. expand_nested: draw the layers of inner models too.
        layer_range: names of the first and last layer to draw.

    Raises:
        ValueError: the model is not built yet.
    """
    if not model.built:
        raise ValueError("This model has not yet been built. Build the model first by calling `build()` or by calling the model on a batch of data.")
    lines = [f"digraph {'cluster_' + model.name if subgraph else 'G'} {{", f"rankdir={rankdir};", "concentrate=True;"]
    lines += [f"dpi={dpi};"] if dpi else []
    lines.append('node [shape=record];')
    _draw(model, lines, expand_nested, layer_range, (show_shapes, show_dtype, show_layer_names, show_layer_activations), show_trainable)
    return Dot([*lines, "}"])


def _draw(model: Any, lines: list[str], nested: bool, layer_range: Any, shown: tuple[bool, ...], show_trainable: bool) -> None:
    layers = list(model.layers)
    if getattr(model, "_is_graph_network", False) and hasattr(model, "_self_tracked_trackables") and type(model).__name__ == "Sequential":
        layers = list(model._self_tracked_trackables)
    if layer_range:
        names = [layer.name for layer in layers]
        missing = [n for n in layer_range if n not in names]
        if missing:
            raise ValueError(f"Passed layer_range does not match any layer: {missing}. The layers are {names}")
        layers = layers[names.index(layer_range[0]) : names.index(layer_range[1]) + 1]
    drawn = {id(layer) for layer in layers}
    for layer in layers:
        style = "" if not show_trainable else f', style="filled", fillcolor="{"#ccffcc" if layer.trainable else "#ffcccc"}"'
        if nested and hasattr(layer, "layers"):
            lines += [f'subgraph "cluster_{layer.name}" {{', f'label="{_escape(layer.name)}";']
            _draw(layer, lines, nested, None, shown, show_trainable)
            lines.append("}")
        lines.append(f'"{id(layer)}" [label="{_label(layer, *shown)}"{style}];')
    previous = None
    for layer in layers:
        nodes = [n for n in layer._inbound_nodes if not getattr(n, "is_input", False)]
        sources = [t._keras_history[0] for n in nodes for t in n.keras_inputs]
        edges = {id(s) for s in sources if id(s) in drawn}
        if not edges and previous is not None and type(model).__name__ == "Sequential":
            edges = {id(previous)}
        lines += [f'"{s}" -> "{id(layer)}";' for s in sorted(edges, key=[id(x) for x in layers].index)]
        previous = layer


def plot_model(
    model: Any, to_file: Any = "model.png", show_shapes: bool = False, show_dtype: bool = False, show_layer_names: bool = True,
    rankdir: str = "TB", expand_nested: bool = False, dpi: int | None = 96, layer_range: Any = None, show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> None:  # fmt: skip
    """Write a picture of a model; the name's ending is the format: png, svg, pdf… with Graphviz, dot without.

    Raises:
        ValueError: the model is not built yet. ImportError: Graphviz is not installed.
    """
    dot = model_to_dot(
        model, show_shapes, show_dtype, show_layer_names, rankdir, expand_nested, dpi, False, layer_range, show_layer_activations,
        show_trainable,
    )  # fmt: skip
    ending = os.path.splitext(os.fspath(to_file))[1][1:] or "png"
    dot.write(to_file, ending, dpi)
