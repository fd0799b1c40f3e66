"""The table that `Model.summary` prints, as Keras 2.15 prints it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import count_params
from tracer.errors import InvalidArgumentError

__all__ = ["print_summary"]

_BREAKS = ("),", "},", "],", "',")


def weight_memory_size(weights: Sequence[Any]) -> int:
    """Bytes of all variables of known shape, each counted once."""
    total = 0
    for w in {id(w): w for w in weights}.values():
        shape = getattr(w, "shape", None)
        if shape is not None and shape.is_fully_defined():
            total += int(np.prod(shape.as_list(), dtype=np.int64)) * w.dtype.size
    return total


def readable_memory_size(size: float) -> str:
    """`12.34 KB`."""
    units = ["Byte", "KB", "MB", "GB", "TB", "PB"]
    for unit in units:
        if size / 1024 < 1:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} {units[-1]}"


def _range(model: Any, layer_range: Any) -> tuple[int, int]:
    names = [layer.name for layer in model.layers]
    if layer_range is None:
        return 0, len(names)
    if len(layer_range) != 2:
        raise InvalidArgumentError(
            f"layer_range must be a list or tuple of length 2. Received: layer_range = {layer_range} of length {len(layer_range)}"
        )
    if not all(isinstance(n, str) for n in layer_range):
        raise InvalidArgumentError(f"layer_range should contain string type only. Received: {layer_range}")
    low = [i for i, n in enumerate(names) if re.match(layer_range[0], n)]
    high = [i for i, n in enumerate(names) if re.match(layer_range[1], n)]
    if not low or not high:
        raise InvalidArgumentError(f"Passed layer_names do not match the layer names in the model. Received: {layer_range}")
    return (min(high), max(low) + 1) if min(low) > max(high) else (min(low), max(high) + 1)


def _is_a_line(model: Any) -> bool:
    """Whether the layers follow each other one by one, so that no column of connections is needed."""
    if type(model).__name__ == "Sequential" or not model._is_graph_network:
        return True
    nodes: set[int] = set()
    for found in model._nodes_by_depth.values():
        if len(found) > 1 or (len(found) == 1 and len(found[0].keras_inputs) > 1):
            return False
        nodes.update(id(n) for n in found)
    return all(sum(id(n) in nodes for n in layer._inbound_nodes) <= 1 for layer in model.layers)


class _Table:
    def __init__(self, model: Any, line_length: int | None, positions: Any, write: Callable[[str], Any], nested: bool, trainable: bool):
        self.plain = _is_a_line(model)
        self.write = write
        self.nested = nested
        self.trainable = trainable
        self.line_length = line_length or (65 if self.plain else 98)
        positions = list(positions or ([0.45, 0.85, 1.0] if self.plain else [0.3, 0.6, 0.7, 1.0]))
        if positions[-1] <= 1:
            positions = [int(self.line_length * p) for p in positions]
        self.header = ["Layer (type)", "Output Shape", "Param #"]
        self.nodes: set[int] = set()
        if not self.plain:
            self.header.append("Connected to")
            self.nodes = {id(n) for found in model._nodes_by_depth.values() for n in found}
        if trainable:
            self.line_length += 11
            positions.append(self.line_length)
            self.header.append("Trainable")
        self.positions = positions

    def row(self, fields: Sequence[Any], level: int = 0) -> None:
        left = [str(f) for f in fields]
        last = len(self.positions) - 1
        while any(left):
            line = ""
            for column, text in enumerate(left):
                start = self.positions[column - 1] if column else 0
                end = self.positions[column]
                space = 0 if column == last else 2
                cutoff = end - start - space - (0 if column == last else 1) - (level if column == 0 else 0)
                fit = text[:cutoff]
                breaks = [fit.find(b) + len(b) for b in _BREAKS if fit.find(b) >= 0]
                if breaks:
                    cutoff = min(breaks)
                    fit = fit[:cutoff]
                if column == 0:
                    line += "|" * level + " "
                line += fit + " " * space
                left[column] = text[cutoff:]
                line += " " * (end - len(line) - (level if level and column == last else 0))
            self.write(line + "|" * level)

    def layer(self, layer: Any, level: int = 0, is_last: bool = False) -> None:
        try:
            shape: Any = layer.output_shape
        except AttributeError:
            shape = "multiple"
        except RuntimeError:
            shape = "?"
        label = f"{layer.name} ({type(layer).__name__})"
        if self.plain and not layer.built and not getattr(layer, "_is_graph_network", False):
            fields: list[Any] = [label, shape, "0 (unused)"]
        else:
            fields = [label, shape, layer.count_params()]
        if not self.plain:
            fields.append(
                [
                    f"{source.name}[{node_index}][{tensor_index}]"
                    for node in layer._inbound_nodes
                    if not self.nodes or id(node) in self.nodes
                    for source, node_index, tensor_index, _ in node.iterate_inbound()
                ]
            )
        if self.trainable:
            fields.append("Y" if layer.trainable else "N")
        self.row(fields, level)
        inner = getattr(layer, "layers", None) if self.nested else None
        width = self.line_length
        if inner:
            self.write("|" * (level + 1) + "¯" * (width - 2 * level - 2) + "|" * (level + 1))
            for i, item in enumerate(inner):
                is_last = i == len(inner) - 1
                self.layer(item, level + 1, is_last)
            self.write("|" * level + "¯" * (width - 2 * level) + "|" * level)
        if not is_last:
            self.write("|" * level + " " * (width - 2 * level) + "|" * level)


def print_summary(
    model: Any, line_length: int | None = None, positions: Any = None, print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False, show_trainable: bool = False, layer_range: Any = None,
) -> None:  # fmt: skip
    """Write the table line by line.

    Args:
        line_length: of the table. positions: ends of the columns, in characters or as parts of the length.
        print_fn: takes each line; prints by default. expand_nested: show the layers inside of layers.
        show_trainable: add a column. layer_range: [first, last] layer to show, as regular expressions of names.
    """
    if print_fn is None:
        from savedmodel.keras.progbar import print_msg

        print_fn = print_msg
    table = _Table(model, line_length, positions, print_fn, expand_nested, show_trainable)
    first, last = _range(model, layer_range)
    width = table.line_length
    print_fn(f'Model: "{model.name}"')
    print_fn("_" * width)
    table.row(table.header)
    print_fn("=" * width)
    for layer in model.layers[first:last]:
        table.layer(layer)
    print_fn("=" * width)
    trained = model.__dict__.get("_collected_trainable_weights", model.trainable_weights)
    fixed = model.non_trainable_weights
    counts = count_params(trained), count_params(fixed)
    sizes = weight_memory_size(trained), weight_memory_size(fixed)
    print_fn(f"Total params: {sum(counts)} ({readable_memory_size(sum(sizes))})")
    print_fn(f"Trainable params: {counts[0]} ({readable_memory_size(sizes[0])})")
    print_fn(f"Non-trainable params: {counts[1]} ({readable_memory_size(sizes[1])})")
    print_fn("_" * width)
