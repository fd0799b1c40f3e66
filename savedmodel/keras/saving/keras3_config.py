"""Configs of Keras 3 as Keras 2 says them, and back. It refuses to read files, and names what one side does not have.

Both write `{"module", "class_name", "config"}`; they differ in a few keys of layers, in how calls inside a functional model are written, in where
the calls of a nested model are counted from, and in the optimizer's variables.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from savedmodel.errors import SavedModelError
from savedmodel.keras.saving.keras3_ops import call_as_operation, operation_as_call

__all__ = ["NoKeras3FormError", "OptimizerStore", "is_keras3_config", "optimizer_values", "readable_by_both", "to_keras2", "to_keras3", "training_to_keras2"]


class NoKeras3FormError(SavedModelError, NotImplementedError):
    """A part of a model that Keras 3 does not have."""


# A module that both have, in which Keras 3 finds `Functional`, and Keras 2.15, which looks the registered name up next, `Model`.
_SHARED_MODULE = "keras.src.models.cloning"
_KERAS3_FUNCTIONAL = "keras.src.models.functional"
_NETWORKS = ("Functional", "Model", "Sequential")
_RECURRENT = ("RNN", "SimpleRNN", "GRU", "LSTM", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")

# Keys of Keras 2 that Keras 3 does not take, and the value that makes them superfluous in both.
_ONLY_KERAS2: dict[str, dict[str, Any]] = {
    **{name: {"time_major": False} for name in _RECURRENT},
    **{f"Conv{n}DTranspose": {"groups": 1} for n in (1, 2, 3)},
    **{f"Convolution{n}DTranspose": {"groups": 1} for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": {"groups": 1} for n in (1, 2)},
    **{f"SpatialDropout{n}D": {"noise_shape": None} for n in (1, 2, 3)},
}
_SEPARABLE = tuple(f"{stem}{n}D" for stem in ("SeparableConv", "SeparableConvolution") for n in (1, 2))
_GONE_LAYERS = ("AbstractRNNCell", "LocallyConnected1D", "LocallyConnected2D", "RandomHeight", "RandomWidth", "ThresholdedReLU")

# Keys of Keras 3 that Keras 2 does not take, and the values at which they say nothing.
_ONLY_KERAS3: dict[str, tuple[Any, ...]] = {
    "flash_attention": (None, False),
    "gradient_accumulation_steps": (None,),
    "input_axes": (None,),
    "lora_alpha": (None,),
    "lora_rank": (None,),
    "loss_scale_factor": (None,),
    "optional": (False,),
    "output_axes": (None,),
    "quantization_config": (None,),
    "rms_scaling": (False,),
    "sliding_window": (None,),
    "use_gate": (False,),
    "zero_output_for_mask": (False,),
    "renorm": (False,),
    "renorm_clipping": (None,),
    "renorm_momentum": (0.99,),
}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and "class_name" in value and isinstance(value.get("config"), dict)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object config in `value`, outer ones first."""
    if isinstance(value, dict):
        if _is_object(value):
            yield value
        for inner in value.values():
            yield from _objects(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _objects(inner)


def _module(value: dict[str, Any]) -> str:
    return value.get("module") or ""


def is_keras3_config(config: Any) -> bool:
    """Whether a model's config was written by Keras 3."""
    for found in _objects(config):
        inner = found["config"]
        if _module(found) == _KERAS3_FUNCTIONAL or (found["class_name"] == "InputLayer" and "batch_shape" in inner):
            return True
        if isinstance(inner.get("dtype"), dict) and inner["dtype"].get("class_name") in ("DTypePolicy", "FloatDTypePolicy"):
            return True
    return False


# -- written so that both read it --------------------------------------------------------------------------------------


def readable_by_both(config: dict[str, Any]) -> dict[str, Any]:
    """The v3 config of a model of ours, without what Keras 3 stumbles over and Keras 2.15 does not need."""
    config = copy.deepcopy(config)
    for found in _objects(config):
        _drop_superfluous(found)
    if _module(config) == "keras.src.engine.functional" and config["class_name"] == "Functional":
        config["module"], config["registered_name"] = _SHARED_MODULE, "Model"
    compiled = config.get("compile_config")
    if isinstance(compiled, dict) and compiled.get("steps_per_execution", 1) is None:
        compiled["steps_per_execution"] = 1
    return config


def _drop_superfluous(found: dict[str, Any]) -> None:
    name, inner, module = found["class_name"], found["config"], _module(found)
    if not (module == "keras" or module.startswith("keras.")):
        return
    for key, value in _ONLY_KERAS2.get(name, {}).items():
        if key in inner and inner[key] == value:
            del inner[key]
    if name in _SEPARABLE:
        for key in ("kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            inner.pop(key, None)
        if inner.get("groups") == 1:
            del inner["groups"]
    axis = inner.get("axis")
    if name == "BatchNormalization" and isinstance(axis, (list, tuple)) and len(axis) == 1:
        inner["axis"] = axis[0]
    if name in _NETWORKS or "layers" in inner:
        layers = inner.get("layers")
        if isinstance(layers, list) and layers and isinstance(layers[0], dict) and layers[0].get("class_name") == "InputLayer":
            for layer in layers[1:]:
                if layer.get("class_name") != "InputLayer" and isinstance(layer.get("config"), dict):
                    layer["config"].pop("batch_input_shape", None)
    if module.startswith("keras.optimizers") and "schedules" not in module:
        inner.pop("jit_compile", None)
        if inner.get("is_legacy_optimizer") is False:
            del inner["is_legacy_optimizer"]
    if module == "keras.losses":
        inner.pop("fn", None)
        if inner.get("reduction") == "auto":
            inner["reduction"] = "sum_over_batch_size"


# -- Keras 3 → Keras 2 -------------------------------------------------------------------------------------------------


def to_keras2(config: dict[str, Any]) -> dict[str, Any]:
    """A model's config of Keras 3 in the words of Keras 2.

    Raises:
        NotImplementedError: it uses something that Keras 2 does not have; the message names it.
    """
    return _to_keras2(copy.deepcopy(config))


def training_to_keras2(config: dict[str, Any]) -> dict[str, Any]:
    """A training config (loss, metrics, optimizer) in the words of Keras 2."""
    saved = (config.get("optimizer_config") or {}).get("config") or {}
    config = _to_keras2(copy.deepcopy(config))
    optimizer = config.get("optimizer_config")
    if isinstance(optimizer, dict) and ("module" in optimizer or "gradient_accumulation_steps" in saved or "loss_scale_factor" in saved):
        inner = {**optimizer["config"], "is_legacy_optimizer": False}
        config["optimizer_config"] = {"class_name": f"Custom>{optimizer['class_name']}", "config": inner}
    return config


def _to_keras2(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_keras2(v) for v in value]
    if not isinstance(value, dict):
        return value
    if not _is_object(value):
        return {k: _to_keras2(v) for k, v in value.items()}
    name, inner = value["class_name"], value["config"]
    module = _module(value)
    if name in ("DTypePolicy", "FloatDTypePolicy"):
        return inner.get("name")
    if name == "__keras_tensor__":
        return value
    networks = _is_network(inner)
    out = {k: _to_keras2(v) for k, v in value.items() if k not in ("config", "inbound_nodes")}
    config = {k: _to_keras2(v) for k, v in inner.items()}
    for key, harmless in _ONLY_KERAS3.items():
        if key in config and config[key] in harmless:
            del config[key]
    if name == "InputLayer" and "batch_shape" in config:
        config["batch_input_shape"] = config.pop("batch_shape")
    if name == "LeakyReLU" and "negative_slope" in config:
        config["alpha"] = config.pop("negative_slope")
    if name in (*_RECURRENT, "MultiHeadAttention") and config.get("seed", 0) is None:
        del config["seed"]
    if module == "keras.losses":
        config.pop("dtype", None)
    if isinstance(config.get("dtype"), dict):  # a policy under a shared id, already named
        config["dtype"] = config["dtype"].get("name", "float32")
    if name == "MultiHeadAttention":
        shapes = (value.get("build_config") or {}).get("shapes_dict") or {}
        for key in ("query_shape", "key_shape", "value_shape"):
            config.setdefault(key, shapes.get(key, shapes.get("value_shape") if key == "key_shape" else None))
    if module == _KERAS3_FUNCTIONAL:
        out["module"], out["registered_name"] = "keras.src.engine.functional", "Functional"
    if name in _NETWORKS:
        config.pop("dtype", None)
        if name != "Sequential":
            config.pop("trainable", None)
    build = value.get("build_config")
    if isinstance(build, dict) and (build.get("input_shape") is None or networks):
        out.pop("build_config", None)
    compiled = out.get("compile_config")
    if isinstance(compiled, dict):
        compiled = {k: v for k, v in compiled.items() if k in _COMPILE_KEYS}
        if compiled.get("jit_compile") is not None:
            compiled["jit_compile"] = None
        out["compile_config"] = compiled
    if networks:
        _calls_to_keras2(inner, config)
    out["config"] = config
    return out


_COMPILE_KEYS = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics", "run_eagerly", "steps_per_execution", "jit_compile")


def _is_network(inner: dict[str, Any]) -> bool:
    return all(k in inner for k in ("layers", "input_layers", "output_layers"))


def _first_call(layer: dict[str, Any]) -> int:
    """The number that the first call of a layer inside a network bears in Keras 2: a nested network counts its own making."""
    inner = layer.get("config") or {}
    if _is_network(inner):
        return 1
    if layer.get("class_name") == "Sequential":
        layers = inner.get("layers") or [{}]
        return int(layers[0].get("class_name") == "InputLayer")
    return 0


def _calls_to_keras2(original: dict[str, Any], config: dict[str, Any]) -> None:
    offsets = {layer.get("name"): _first_call(layer) for layer in original["layers"]}

    def place(history: Any) -> list[Any]:
        return [history[0], history[1] + offsets.get(history[0], 0), history[2]]

    def argument(value: Any) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            return place(value["config"]["keras_history"])
        if isinstance(value, (list, tuple)):
            return [argument(v) for v in value]
        if isinstance(value, dict) and "class_name" not in value:
            return {k: argument(v) for k, v in value.items()}
        return _to_keras2(value)

    def first(value: Any, kwargs: dict[str, Any]) -> Any:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            return [*place(value["config"]["keras_history"]), kwargs]
        if isinstance(value, (list, tuple)):
            return [first(v, kwargs) for v in value]
        if isinstance(value, dict) and "class_name" not in value:
            return {k: first(v, kwargs) for k, v in value.items()}
        return ["_CONSTANT_VALUE", -1, value, kwargs]

    for layer, out in zip(original["layers"], config["layers"], strict=True):
        calls = []
        for call in layer.get("inbound_nodes", ()):
            if isinstance(call, list):  # an old call in a new config
                calls.append(call)
                continue
            # HDF5 files leave modules out; a layer always says whether it is trainable.
            if _module(layer).startswith("keras.src.ops") or (not _module(layer) and "trainable" not in layer["config"]):
                operation, call = operation_as_call(layer, call)
                out.update(operation)
            args, kwargs = list(call.get("args", ())), dict(call.get("kwargs") or {})
            if len(args) > 1:
                names = _call_names(layer)
                for name, value in zip(names[1:], args[1:], strict=False):
                    kwargs[name] = value
            kwargs = {k: argument(v) for k, v in kwargs.items() if not (v is None or (k == "training" and v is False))}
            if not args:
                continue
            node = first(args[0], kwargs)
            single = isinstance(args[0], dict) and args[0].get("class_name") == "__keras_tensor__"
            # Op layers keep the structure of their input: a single tensor stays one.
            calls.append([node] if single and out["class_name"] != "TFOpLambda" else node)
        out["inbound_nodes"] = calls
    for key in ("input_layers", "output_layers"):
        config[key] = _map_places(original[key], place)


def _map_places(value: Any, place: Callable[[Any], Any]) -> Any:
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
        return place(value)
    if isinstance(value, dict):
        return {k: _map_places(v, place) for k, v in value.items()}
    return [_map_places(v, place) for v in value]


def _call_names(layer: dict[str, Any]) -> list[str]:
    """Names of the arguments of a layer's call."""
    from savedmodel.keras import registration

    cls = registration.find_builtin(_module(layer) or "keras.layers", layer["class_name"]) or registration.get_registered_object(layer.get("registered_name") or layer["class_name"])
    call = getattr(cls, "call", None)
    if call is None:
        raise NoKeras3FormError(f"layer {layer.get('name')!r} of class {layer['class_name']}: it is called with several arguments, and the class is not known here; register it")
    return [p for p in inspect.signature(call).parameters if p != "self"]


# -- Keras 2 → Keras 3 -------------------------------------------------------------------------------------------------


def to_keras3(config: dict[str, Any]) -> dict[str, Any]:
    """The v3 config of a model of ours in the words of Keras 3.

    Raises:
        NotImplementedError: it uses something that Keras 3 does not have; the message names it.
    """
    config = copy.deepcopy(config)
    for found in _objects(config):
        _drop_superfluous(found)
    return _to_keras3(config)


def _to_keras3(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_to_keras3(v) for v in value]
    if not isinstance(value, dict):
        return value
    if not _is_object(value):
        return {k: _to_keras3(v) for k, v in value.items()}
    name, inner, module = value["class_name"], value["config"], _module(value)
    builtin = module == "keras" or module.startswith("keras.")
    where = f"layer {inner.get('name', name)!r} of class {name}"
    if builtin and name in _GONE_LAYERS:
        raise NoKeras3FormError(f"{where}: Keras 3 has no such layer; export the weights instead (`.h5`, `.safetensors` or `.npz`)")
    if name == "Lambda":
        raise NoKeras3FormError(
            f"{where}: a Lambda holds Python bytecode, which Keras 3 does not take from another Python; replace it by a registered layer, or export "
            f"the weights instead (`.h5`, `.safetensors` or `.npz`)"
        )
    network = _is_network(inner)
    out = {k: _to_keras3(v) for k, v in value.items() if k not in ("config", "inbound_nodes")}
    config = {k: _to_keras3(v) for k, v in inner.items()}
    if name == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    elif builtin:
        config.pop("batch_input_shape", None)
    if name == "MultiHeadAttention":
        for key in ("query_shape", "key_shape", "value_shape"):
            config.pop(key, None)
        out.pop("build_config", None)
    if name in _RECURRENT and config.get("time_major"):
        raise NoKeras3FormError(f"{where}: time_major=True has no form in Keras 3; transpose the inputs")
    if network and name == "Functional":
        out["module"], out["registered_name"] = _KERAS3_FUNCTIONAL, "Functional"
    if network:
        _calls_to_keras3(inner, config)
        out.pop("build_config", None)
    compiled = out.get("compile_config")
    if isinstance(compiled, dict):
        if compiled.get("steps_per_execution", 1) is None:
            compiled["steps_per_execution"] = 1
        if compiled.get("jit_compile", "auto") is None:
            compiled["jit_compile"] = "auto"
        if compiled.get("run_eagerly", False) is None:
            compiled["run_eagerly"] = False
    out["config"] = config
    return out


def _calls_to_keras3(original: dict[str, Any], config: dict[str, Any]) -> None:
    offsets = {layer.get("name"): _first_call(layer) for layer in original["layers"]}

    def tensor(place: list[Any]) -> dict[str, Any]:
        history = [place[0], place[1] - offsets.get(place[0], 0), place[2]]
        return {"class_name": "__keras_tensor__", "config": {"shape": [], "dtype": "float32", "keras_history": history}}

    def is_place(value: Any) -> bool:
        return isinstance(value, (list, tuple)) and len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int)

    def argument(value: Any, kwargs: dict[str, Any]) -> Any:
        if is_place(value):
            if len(value) == 4 and isinstance(value[3], dict):
                kwargs.update(value[3])
            return value[2] if value[0] == "_CONSTANT_VALUE" else tensor(list(value))
        if isinstance(value, (list, tuple)):
            return [argument(v, kwargs) for v in value]
        if isinstance(value, dict):
            return {k: argument(v, kwargs) for k, v in value.items()}
        return value

    def keyword(value: Any) -> Any:
        if is_place(value) and value[0] in offsets:
            return tensor(list(value))
        if isinstance(value, (list, tuple)):
            return [keyword(v) for v in value]
        return value

    for layer, out in zip(original["layers"], config["layers"], strict=True):
        calls = []
        for call in layer.get("inbound_nodes", ()):
            kwargs: dict[str, Any] = {}
            first = argument(call, kwargs)
            if isinstance(first, list) and len(first) == 1:
                first = first[0]
            new = {"args": [first], "kwargs": {k: keyword(v) for k, v in kwargs.items()}}
            if layer["class_name"] in ("TFOpLambda", "SlicingOpLambda"):
                operation, new = call_as_operation(layer, new, NoKeras3FormError)
                out.clear()
                out.update(operation, name=layer["name"])
            calls.append(new)
        out["inbound_nodes"] = calls
    for key in ("input_layers", "output_layers"):
        # Keras 3 takes the making of a nested model into account for these itself.
        config[key] = original[key]


# -- states ------------------------------------------------------------------------------------------------------------


class OptimizerStore:
    """The state of a Keras 3 optimizer as Keras 2 counts it: without the learning rate, which is variable 1 there."""

    def __init__(self, store: Any):
        self._store = store
        self._skip = "1" in store and getattr(store["1"], "shape", None) == () and getattr(store["1"], "dtype", None) is not None and store["1"].dtype.kind == "f"

    def keys(self) -> list[str]:
        count = len(self._store.keys()) - int(self._skip)
        return [str(i) for i in range(count)]

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()

    def __getitem__(self, key: str) -> Any:
        number = int(key)
        return self._store[str(number + 1) if self._skip and number else key]


_SAME_SLOT_ORDER = ("Adam", "AdamW", "Adamax", "Adagrad", "Lion", "SGD")


class OptimizerWriter:
    """A group for the state of our optimizer that counts variables as Keras 3 does."""

    def __init__(self, group: Any, learning_rate: Any):
        self._group = group
        group["1"] = learning_rate

    def __setitem__(self, key: str, value: Any) -> None:
        number = int(key)
        self._group[str(number + 1) if number else key] = value


def optimizer_writer(group: Any, optimizer: Any) -> Any:
    """`group`, or a view of it, for the state of `optimizer` in a file for Keras 3. Unknown orders stay as they are: Keras 3 skips them."""
    rate = getattr(optimizer, "_learning_rate", None)
    same = type(optimizer).__name__ in _SAME_SLOT_ORDER and not getattr(optimizer, "amsgrad", False) and not getattr(optimizer, "use_ema", False)
    if not same or not getattr(rate, "_is_variable", False):
        return group
    return OptimizerWriter(group, rate.numpy())


def optimizer_values(group: Any, values: list[Any], optimizer: Any) -> list[Any]:
    """The values of an HDF5 group of optimizer weights that our optimizer takes."""
    from savedmodel.keras.saving.h5_files import load_attributes

    names = load_attributes(group, "weight_names")
    return [v for name, v in zip(names, values, strict=True) if not (name.endswith("/learning_rate") and len(names) > 1)]
