"""The order in which `.keras` archives store states: a walk over the attributes of Keras objects. It refuses to know files.

Authority: Keras 2.15. Attributes are visited in reverse alphabetical order; an object is stored once, at the first path that reaches it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from savedmodel.errors import SavedModelError
from savedmodel.keras import naming

__all__ = ["load_state", "save_state"]

# Attributes that lead to objects by another way than the one they are stored under; computed lists; and bookkeeping of our own.
_SKIPPED = frozenset(
    """
    _callable_losses _captured_weight_regularizer _checkpoint_dependencies _layer_checkpoint_dependencies _deferred_dependencies _eager_losses
    _inbound_nodes _inbound_nodes_value _output_layers _input_layers _name_based_restores _outbound_nodes _outbound_nodes_value
    _saved_model_arg_spec _self_tracked_trackables _saved_model_inputs_spec _trainable_weights _non_trainable_weights _updates
    inbound_nodes outbound_nodes input_shape output_shape submodules weights non_trainable_weights trainable_weights variables
    non_trainable_variables trainable_variables updates state_updates
    _tracked _tracked_children _compile_config _compiled_trainable_state _call_spec _losses losses input output input_mask output_mask
    """.split()
)


def _is_keras_trackable(obj: Any) -> bool:
    from savedmodel.keras.engine.base_layer import Layer
    from savedmodel.keras.losses import Loss
    from savedmodel.keras.optimizers.base import Optimizer

    return isinstance(obj, (Layer, Optimizer, Loss))  # a metric is a Layer


def _attributes(obj: Any) -> Iterator[tuple[str, Any]]:
    for name in sorted(dir(obj), reverse=True):
        if name.startswith("__") or name in _SKIPPED:
            continue
        try:
            value = getattr(obj, name)
        except (SavedModelError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError, KeyError, IndexError):
            continue  # a property that has no value yet
        yield name, value


def _children(obj: Any, path: str, visited: set[int]) -> Iterator[tuple[Any, str]]:
    """(child, its path) for each child that was not visited; the caller visits each before it asks for the next."""
    for name, value in _attributes(obj):
        inner = f"{path}/{name}" if path else name
        if _is_keras_trackable(value):
            yield value, inner
        elif isinstance(value, (list, dict, tuple, set)):
            used: dict[str, int] = {}
            for item in list(value.values()) if isinstance(value, dict) else list(value):
                if not _is_keras_trackable(item) or id(item) in visited:
                    continue
                kind = naming.to_snake_case(type(item).__name__)
                if kind in used:
                    used[kind] += 1
                    yield item, f"{inner}/{kind}_{used[kind]}"
                else:
                    used[kind] = 0
                    yield item, f"{inner}/{kind}"


def save_state(obj: Any, variables: Any, assets: Any, path: str = "", visited: set[int] | None = None) -> None:
    """Let `obj`, and all Keras objects below it, put their state into the stores.

    Args:
        variables: its `make(path)` gives the mapping for an object's variables. assets: its `make(path)` a directory; or None.
    """
    visited = set() if visited is None else visited
    if id(obj) in visited:
        return
    if hasattr(obj, "save_own_variables"):
        obj.save_own_variables(variables.make(path))
    if assets is not None and hasattr(obj, "save_assets"):
        obj.save_assets(assets.make(path))
    visited.add(id(obj))
    for child, inner in _children(obj, path, visited):
        save_state(child, variables, assets, inner, visited)


def load_state(
    obj: Any, variables: Any, assets: Any, path: str = "", skip_mismatch: bool = False, visited: set[int] | None = None
) -> None:
    """Let `obj`, and all Keras objects below it, take their state from the stores.

    Args:
        variables: its `get(path)` gives the mapping for an object's variables, empty where there is none. assets: its `get(path)` a
            directory or None; or None.
        skip_mismatch: warn and go on where an object does not take its state.

    Raises:
        ValueError: numbers or shapes of variables differ.
    """
    visited = set() if visited is None else visited
    if id(obj) in visited:
        return
    for method, store in (("load_own_variables", variables), ("load_assets", assets)):
        if store is None or not hasattr(obj, method):
            continue
        try:
            getattr(obj, method)(store.get(path))
        except (SavedModelError, ValueError, KeyError, TypeError, OSError) as error:
            if not skip_mismatch:
                raise
            warnings.warn(f"Could not load weights in object {obj}. Skipping object. Exception encountered: {error}", stacklevel=2)
    visited.add(id(obj))
    for child, inner in _children(obj, path, visited):
        load_state(child, variables, assets, inner, skip_mismatch, visited)
