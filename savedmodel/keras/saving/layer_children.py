"""What a Keras object adds to the object graph of a SavedModel: `keras_api`, variables, losses and traced calls. It writes no files.

`children` is found by `savedmodel.object_graph` through the class attribute `_saved_model_visitor` of layers.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from savedmodel.keras.saving.call_functions import (
    SavedFunction,
    TracingSession,
    default_save_signature,
    trace_losses,
    traceable,
)
from savedmodel.trackable import AutoTrackable, DictWrapper, ListWrapper

__all__ = ["children", "identifier", "saving_options"]


class _Options(threading.local):
    """How the current save was asked for."""

    def __init__(self) -> None:
        self.save_traces = True
        self.include_optimizer = True


saving_options = _Options()


class KerasApi(AutoTrackable):
    """The node that holds what Keras needs to revive a layer."""


def children(obj: Any, own: Mapping[str, Any], cache: dict[Any, Any]) -> dict[str, Any]:
    """The children of a Keras layer, metric or model in a SavedModel, in Keras's order."""
    own = {k: v for k, v in own.items() if k not in _NOT_SAVED}
    if type(obj).__name__ == "InputLayer":
        return {}
    if hasattr(type(obj), "update_state") and hasattr(type(obj), "result"):
        return _metric_children(obj, own)
    session = cache.setdefault("keras_session", _Session())
    if not saving_options.include_optimizer:
        own.pop("optimizer", None)
    graph_layers = {k: v for k, v in own.items() if k.startswith(("layer-", "layer_with_weights-"))}
    made = session.attributes(obj)
    rest = {k: v for k, v in own.items() if k not in graph_layers and k not in made}
    return {**graph_layers, **made, **rest}


def identifier(obj: Any) -> str:
    """The identifier of a Keras object's node."""
    from savedmodel.keras.saving.layer_records import keras_identifier

    return keras_identifier(obj) or "_generic_user_object"


# Attributes that Python needs and no loader does.
_NOT_SAVED = frozenset(["train_function", "test_function", "predict_function", "train_tf_function", "_compiled_trainable_state"])


def _metric_children(metric: Any, own: dict[str, Any]) -> dict[str, Any]:
    variables = ListWrapper(list(metric.variables))
    api = KerasApi()
    api.variables = variables
    return {"variables": variables, "keras_api": api, **own}


class _Session:
    """Children made for one save; each layer's once."""

    def __init__(self) -> None:
        self.tracing = TracingSession()
        self._attributes: dict[int, dict[str, Any]] = {}
        self._losses: dict[int, list[SavedFunction]] = {}
        self._is_root = True

    def attributes(self, layer: Any) -> dict[str, Any]:
        found = self._attributes.get(id(layer))
        if found is None:
            found = self._attributes[id(layer)] = self._make(layer)
        return found

    def _make(self, layer: Any) -> dict[str, Any]:
        api = KerasApi()
        out: dict[str, Any] = {"keras_api": api}
        root, self._is_root = self._is_root, False
        if getattr(layer, "_must_restore_from_config", False) or not layer.built:
            return out
        signature = default_save_signature(layer) if root and _is_model(layer) and saving_options.save_traces else None
        states = getattr(layer, "states", None)
        if states is not None and type(layer).__mro__ and hasattr(layer, "cell"):
            api.states = ListWrapper(list(states)) if isinstance(states, (list, tuple)) else states
        sublayers = _direct_layers(layer)
        functions = self._functions(layer) if saving_options.save_traces else {}
        own_losses = self._own_losses(layer) if saving_options.save_traces else []
        all_losses = list(own_losses)
        if saving_options.save_traces:
            for child in sublayers:
                if traceable(child):
                    all_losses += [f for f in self._losses_below(child) if all(f is not g for g in all_losses)]
        shared: dict[str, Any] = {
            "variables": ListWrapper(list(layer.variables)),
            "trainable_variables": ListWrapper(list(layer.trainable_variables)),
            "regularization_losses": ListWrapper(all_losses),
        }
        api.non_trainable_variables = ListWrapper(list(layer.non_trainable_variables))
        api.layers = ListWrapper(sublayers)
        api.metrics = ListWrapper(list(layer.metrics))
        api.layer_regularization_losses = ListWrapper(own_losses)
        api.layer_metrics = DictWrapper({m.name: m for m in layer.__dict__.get("_metrics", ())})
        for name, value in shared.items():
            setattr(api, name, value)
        if "__call__" in functions:
            api._track_trackable(functions["__call__"], "__call__")
        if signature is not None:
            api._track_trackable(signature, "_default_save_signature")
        for name, value in functions.items():
            if name != "__call__":
                api._track_trackable(value, name)
        out = {**shared, "keras_api": api}
        for name in ("__call__", "call_and_return_all_conditional_losses"):
            if name in functions:
                out[name] = functions[name]
        if signature is not None:
            out["_default_save_signature"] = signature
        return out

    def _functions(self, layer: Any) -> dict[str, Any]:
        if not traceable(layer):
            return {}
        revived = getattr(layer, "_revived_functions", None)
        if revived is not None and type(layer).__dict__.get("_is_revived"):
            return {k: v for k, v in revived.items() if k != "_default_save_signature"}
        calls = self.tracing.calls_of(layer)
        functions: dict[str, Any] = {"__call__": calls.plain}
        if layer._activity_regularizer is not None:
            from tracer import specs
            from tracer.functions import FunctionSpec, trace_function

            spec = specs.TensorSpec(None, layer.compute_dtype or "float32", "x")
            regularizer = layer._activity_regularizer
            concrete = trace_function(lambda x: regularizer(x), (spec,), {}, f"{layer.name}_activity_regularizer", FunctionSpec(["x"]))
            functions["activity_regularizer_fn"] = SavedFunction(
                concrete.name, [concrete], FunctionSpec(["x"], input_signature=(spec,))
            )
        functions["call_and_return_all_conditional_losses"] = calls.all_losses
        functions["call_and_return_conditional_losses"] = calls.conditional
        return functions

    def _own_losses(self, layer: Any) -> list[SavedFunction]:
        found = self._losses.get(id(layer))
        if found is None:
            found = self._losses[id(layer)] = trace_losses(layer, self.tracing)
        return found

    def _losses_below(self, layer: Any) -> list[SavedFunction]:
        out = []
        for child in layer._flatten_layers():
            if traceable(child):
                out.extend(self._own_losses(child))
        return out


def _is_model(layer: Any) -> bool:
    return hasattr(type(layer), "train_step")


def _direct_layers(layer: Any) -> list[Any]:
    if _is_model(layer):
        return list(layer.layers)
    return list(layer._flatten_layers(recursive=False, include_self=False))
