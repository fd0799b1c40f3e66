"""The optimizer's state of a SavedModel: put back into a compiled model (which Keras 2.15 does not do). It refuses to know files."""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["restore_optimizer"]

log = logging.getLogger("savedmodel.keras")


def restore_optimizer(model: Any, saved: Any, loader: Any) -> bool:
    """Give the optimizer of `model` the state of the `saved` optimizer object. Returns whether that was possible."""
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    variables = getattr(saved, "_variables", None)
    if variables is None:
        return _restore_legacy(model, inner, saved, loader)
    values = [v for v in variables if getattr(v, "_is_variable", False) and v.is_initialized()]
    if len(values) > 1 or getattr(inner, "_built", False):
        inner.build(model.trainable_variables)
    own = list(inner.variables() if callable(inner.variables) else inner.variables)
    own = [v for v in own if v is not getattr(inner, "_learning_rate", None)]
    saved_values = [v for v in values if v is not getattr(saved, "_learning_rate", None)]
    if len(own) != len(saved_values) or any(a.shape != b.shape for a, b in zip(own, saved_values, strict=True)):
        log.warning(
            "The optimizer's state was not restored: the saved one has %d variables, the new one %d; training goes on from a fresh state.",
            len(saved_values), len(own),
        )  # fmt: skip
        iterations = getattr(saved, "_iterations", None)
        if iterations is not None and iterations.is_initialized():
            inner.iterations.assign(iterations.read_value())
        return False
    for variable, value in zip(own, saved_values, strict=True):
        variable.assign(value.read_value())
    rate = getattr(saved, "_learning_rate", None)
    if getattr(rate, "_is_variable", False) and rate.is_initialized() and getattr(getattr(inner, "_learning_rate", None), "_is_variable", False):
        inner._learning_rate.assign(rate.read_value())
    return True


def _restore_legacy(model: Any, optimizer: Any, saved: Any, loader: Any) -> bool:
    """An OptimizerV2: hyperparameters by name, slots by the variables they belong to."""
    iterations = getattr(saved, "iter", None)
    if iterations is None or not hasattr(optimizer, "get_slot_names"):
        return False
    optimizer.iterations.assign(iterations.read_value())
    node = next((i for i, o in loader.objects.items() if o is saved), None)
    if node is None:
        return False
    trainable = {id(v) for v in model.trainable_variables}
    if not loader.message.nodes[node].slot_variables:
        return True
    if hasattr(optimizer, "_create_all_weights"):
        optimizer._create_all_weights(model.trainable_variables)
    for slot in loader.message.nodes[node].slot_variables:
        original = loader.objects.get(slot.original_variable_node_id)
        value = loader.objects.get(slot.slot_variable_node_id)
        if original is None or id(original) not in trainable or value is None:
            continue
        optimizer.get_slot(original, slot.slot_name).assign(value.read_value())
    return True
