"""keras_metadata.pb: one JSON record for each Keras object of the object graph. It refuses to trace or to load.

Keys, their order and their values are Keras 2.15's.
"""

from __future__ import annotations

from typing import Any

from savedmodel.format import protos, wire
from savedmodel.keras.saving import serialization
from savedmodel.keras.saving.metadata_json import encode
from savedmodel.keras.saving.training_config import training_config

__all__ = ["RESTORES_OPTIMIZER", "keras_identifier", "metadata_bytes"]

# Marks models whose optimizer state is to be restored. Keras 2.15 ignores the key, and the state: a model that it wrote starts with a
# fresh optimizer, and does so here too unless LoadOptions(restore_optimizer_state=True) asks for more.
RESTORES_OPTIMIZER = "restores_optimizer_state"

KERAS_VERSION = "2.15.0"


def _kind(obj: Any) -> str | None:
    """The family of a Keras object that gets a record; None for everything else."""
    if not getattr(obj, "_is_keras_layer", False) or isinstance(obj, type):
        return None
    if hasattr(type(obj), "update_state") and hasattr(type(obj), "result"):
        return "metric"
    if type(obj).__name__ == "InputLayer":
        return "input_layer"
    names = {c.__name__ for c in type(obj).__mro__ if c.__module__.startswith("savedmodel.keras")}
    if hasattr(type(obj), "train_step"):
        if "Sequential" in names:
            return "sequential"
        if "Functional" in names:
            return "network"
        return "model"
    if "RNN" in names:
        return "rnn_layer"
    return "layer"


def keras_identifier(obj: Any) -> str | None:
    """The identifier of a Keras object's node, e.g. `_tf_keras_layer`."""
    kind = _kind(obj)
    return None if kind is None else f"_tf_keras_{kind}"


def metadata_bytes(graph: Any, include_optimizer: bool = True) -> bytes:
    """The content of keras_metadata.pb for the objects of `graph`."""
    out = protos.SavedMetadata()
    with serialization.saved_model_scope(), serialization.SharedObjectSavingScope():
        for i, obj in enumerate(graph.nodes):
            kind = _kind(obj)
            if kind is None:
                continue
            node = out.nodes.add(node_id=i, identifier=f"_tf_keras_{kind}")
            node.node_path = ".".join(("root", *graph.paths[i]))
            node.version.producer, node.version.min_consumer = 2, 1
            node.metadata = encode(_RECORDS[kind](obj, include_optimizer))
    return wire.serialize(out)


def _serialized(obj: Any) -> dict[str, Any]:
    with serialization.skip_failed_serialization():
        return dict(serialization.legacy_serialize_keras_object(obj))


def _layer(layer: Any, include_optimizer: bool) -> dict[str, Any]:
    batch_shape = getattr(layer, "_batch_input_shape", None)
    policy = layer._dtype_policy
    out: dict[str, Any] = {
        "name": layer.name,
        "trainable": bool(layer.trainable),
        "expects_training_arg": bool(layer._call_spec.expects_training_arg),
        "dtype": _policy(policy),
        "batch_input_shape": None if batch_shape is None else tuple(batch_shape),
        "stateful": bool(layer.stateful),
        "must_restore_from_config": bool(getattr(layer, "_must_restore_from_config", False)),
        "preserve_input_structure_in_config": bool(layer._preserve_input_structure_in_config),
        "autocast": bool(layer._autocast),
    }
    out.update(_serialized(layer))
    if hasattr(layer, "_has_input_vocabulary") and isinstance(out.get("config"), dict):
        # The table of the object graph holds the vocabulary.
        out["config"] = {**out["config"], "vocabulary": None, "has_input_vocabulary": bool(layer._has_input_vocabulary)}
    if layer.input_spec is not None:
        out["input_spec"] = _input_spec(layer.input_spec)
    regularizer = layer._activity_regularizer
    if regularizer is not None and hasattr(regularizer, "get_config"):
        out["activity_regularizer"] = serialization.legacy_serialize_keras_object(regularizer)
    if layer._build_input_shape is not None:
        out["build_input_shape"] = layer._build_input_shape
    return out


def _policy(policy: Any) -> Any:
    from savedmodel.keras import policy as policies

    serialized = policies.serialize(policy)
    return serialized


def _input_spec(spec: Any) -> Any:
    if isinstance(spec, (list, tuple)):
        return type(spec)(_input_spec(s) for s in spec)
    if isinstance(spec, dict):
        return {k: _input_spec(v) for k, v in spec.items()}
    if spec is None:
        return None
    return {"class_name": "InputSpec", "config": spec.get_config()}


def _model(model: Any, include_optimizer: bool) -> dict[str, Any]:
    out = _layer(model, include_optimizer)
    out.pop("stateful")
    out["is_graph_network"] = bool(model._is_graph_network)
    spec = model._get_save_spec(dynamic_batch=False, inputs_only=False)
    # lists of positional specs are written as lists inside of a tuple
    out["full_save_spec"] = None if spec is None else (list(spec[0]), dict(spec[1]))
    out["save_spec"] = model._get_save_spec(dynamic_batch=False)
    out["keras_version"] = KERAS_VERSION
    out["backend"] = "tensorflow"
    serialized = _serialized(model)
    out["model_config"] = {"class_name": type(model).__name__, "config": serialized.get("config")}
    if include_optimizer:
        training = training_config(model)
        if training is not None:
            out["training_config"] = {**training, RESTORES_OPTIMIZER: True}
    return out


def _input_layer(layer: Any, include_optimizer: bool) -> dict[str, Any]:
    config = layer.get_config()
    return {
        "class_name": type(layer).__name__,
        "name": layer.name,
        "dtype": layer.dtype,
        "sparse": config["sparse"],
        "ragged": config["ragged"],
        "batch_input_shape": config["batch_input_shape"],
        "config": config,
    }


def _metric(metric: Any, include_optimizer: bool) -> dict[str, Any]:
    from savedmodel.keras import registration

    out: dict[str, Any] = {"class_name": registration.get_registered_name(type(metric)), "name": metric.name, "dtype": metric.dtype}
    out.update(_serialized(metric))
    if metric._build_input_shape is not None:
        out["build_input_shape"] = metric._build_input_shape
    return out


_RECORDS = {
    "layer": _layer,
    "rnn_layer": _layer,
    "model": _model,
    "network": _model,
    "sequential": _model,
    "input_layer": _input_layer,
    "metric": _metric,
}
