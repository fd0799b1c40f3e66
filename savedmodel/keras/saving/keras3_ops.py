"""Operations on Keras tensors (`x + y`, `tf.nn.relu(x)`) between the op layers of Keras 2 and the operations of Keras 3.

Only operations with the same meaning on both sides are listed; others are refused by name.
"""

from __future__ import annotations

from typing import Any

from savedmodel.errors import SavedModelError

__all__ = ["call_as_operation", "operation_as_call"]


class UnknownOperationError(SavedModelError, NotImplementedError):
    """An operation without a counterpart."""


# (module, class in Keras 3): (function in Keras 2, its arguments in the order of Keras 3's call, keys of the config as arguments)
_OPERATIONS: dict[tuple[str, str], tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    ("numpy", "Add"): ("__operators__.add", ("x", "y"), ()),
    ("numpy", "Subtract"): ("math.subtract", ("x", "y"), ()),
    ("numpy", "Multiply"): ("math.multiply", ("x", "y"), ()),
    ("numpy", "TrueDivide"): ("math.truediv", ("x", "y"), ()),
    ("numpy", "Divide"): ("math.divide", ("x", "y"), ()),
    ("numpy", "FloorDivide"): ("math.floordiv", ("x", "y"), ()),
    ("numpy", "Power"): ("math.pow", ("x", "y"), ()),
    ("numpy", "Maximum"): ("math.maximum", ("x", "y"), ()),
    ("numpy", "Minimum"): ("math.minimum", ("x", "y"), ()),
    ("numpy", "Matmul"): ("linalg.matmul", ("a", "b"), ()),
    ("numpy", "Negative"): ("math.negative", ("x",), ()),
    ("numpy", "Absolute"): ("math.abs", ("x",), ()),
    ("numpy", "Sqrt"): ("math.sqrt", ("x",), ()),
    ("numpy", "Square"): ("math.square", ("x",), ()),
    ("numpy", "Exp"): ("math.exp", ("x",), ()),
    ("numpy", "Log"): ("math.log", ("x",), ()),
    ("numpy", "Sin"): ("math.sin", ("x",), ()),
    ("numpy", "Cos"): ("math.cos", ("x",), ()),
    ("numpy", "Tanh"): ("math.tanh", ("x",), ()),
    ("numpy", "Mean"): ("math.reduce_mean", ("input_tensor",), ("axis", "keepdims")),
    ("numpy", "Sum"): ("math.reduce_sum", ("input_tensor",), ("axis", "keepdims")),
    ("numpy", "Max"): ("math.reduce_max", ("input_tensor",), ("axis", "keepdims")),
    ("numpy", "Min"): ("math.reduce_min", ("input_tensor",), ("axis", "keepdims")),
    ("numpy", "Prod"): ("math.reduce_prod", ("input_tensor",), ("axis", "keepdims")),
    ("numpy", "Reshape"): ("reshape", ("tensor",), ("newshape>shape",)),
    ("numpy", "ExpandDims"): ("expand_dims", ("input",), ("axis",)),
    ("numpy", "Squeeze"): ("squeeze", ("input",), ("axis",)),
    ("numpy", "Transpose"): ("transpose", ("a",), ("axes>perm",)),
    ("numpy", "Concatenate"): ("concat", ("values",), ("axis",)),
    ("numpy", "Stack"): ("stack", ("values",), ("axis",)),
    ("nn", "Relu"): ("nn.relu", ("features",), ()),
    ("nn", "Relu6"): ("nn.relu6", ("features",), ()),
    ("nn", "Sigmoid"): ("math.sigmoid", ("x",), ()),
    ("nn", "Softplus"): ("math.softplus", ("features",), ()),
    ("nn", "Elu"): ("nn.elu", ("features",), ()),
    ("nn", "Selu"): ("nn.selu", ("features",), ()),
    ("nn", "Softmax"): ("nn.softmax", ("logits",), ("axis",)),
    ("nn", "LogSoftmax"): ("nn.log_softmax", ("logits",), ("axis",)),
}
_BY_FUNCTION = {function: key for key, (function, _, _) in reversed(_OPERATIONS.items())}


def _pairs(keys: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(k.partition(">")[0], k.partition(">")[2] or k) for k in keys]


def operation_as_call(layer: dict[str, Any], call: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(op layer of Keras 2, its call) for an operation of Keras 3. Raises NotImplementedError for an unknown one."""
    space = (layer.get("module") or "").rpartition(".")[2]
    spaces = (space,) if space else ("numpy", "nn")
    found = next((_OPERATIONS[s, layer["class_name"]] for s in spaces if (s, layer["class_name"]) in _OPERATIONS), None)
    if found is None:
        raise UnknownOperationError(
            f"operation {layer.get('name')!r}: keras.ops.{layer['class_name']} of Keras 3 has no counterpart here; known are "
            f"{sorted(name for _, name in _OPERATIONS)}"
        )
    function, names, keys = found
    kwargs = dict(call.get("kwargs") or {})
    args = list(call.get("args", ()))
    for name, value in zip(names[1:], args[1:], strict=False):
        kwargs[name] = value
    for key, argument in _pairs(keys):
        value = layer["config"].get(key)
        if value is not None:
            kwargs[argument] = value
    config = {"name": layer["config"].get("name", layer.get("name")), "trainable": True, "dtype": "float32", "function": function}
    entry = {"module": "keras.src.layers.core.tf_op_layer", "class_name": "TFOpLambda", "config": config, "registered_name": "TFOpLambda"}
    first = args[0] if args else kwargs.pop(names[0])
    if len(args) > 1 and not _has_tensor(first) and _has_tensor(args[1]):
        # a constant comes first: the tensor stays the first argument of the layer, the constant is named
        raise UnknownOperationError(f"operation {layer.get('name')!r}: {layer['class_name']} of a constant and a tensor, in this order, has no counterpart here")
    return entry, {"args": [first], "kwargs": kwargs}


def _has_tensor(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("class_name") == "__keras_tensor__" or any(_has_tensor(v) for v in value.values())
    return isinstance(value, (list, tuple)) and any(_has_tensor(v) for v in value)


def call_as_operation(layer: dict[str, Any], call: dict[str, Any], error: type[Exception]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(operation of Keras 3, its call) for an op layer of Keras 2. Raises `error` for one that is not listed."""
    function = layer["config"].get("function")
    key = _BY_FUNCTION.get(function)
    if key is None:
        raise error(
            f"layer {layer.get('name')!r}: the operation tf.{function} on Keras tensors has no counterpart in Keras 3 here; make it a registered "
            f"layer, or export the weights instead (`.h5`, `.safetensors` or `.npz`)"
        )
    _, names, keys = _OPERATIONS[key]
    space, name = key
    config: dict[str, Any] = {"name": layer["config"].get("name", layer.get("name"))}
    kwargs = {k: v for k, v in call.get("kwargs", {}).items() if v is not None and k != "name"}
    args = list(call.get("args", ()))
    for argument in names[len(args) :]:
        if argument in kwargs:
            args.append(kwargs.pop(argument))
    for kept, argument in _pairs(keys):
        if argument in kwargs:
            config[kept] = kwargs.pop(argument)
        elif kept == "axis" and name in ("Concatenate", "Stack", "ExpandDims"):
            config[kept] = -1 if name == "Concatenate" else 0
    if kwargs:
        raise error(f"layer {layer.get('name')!r}: the operation tf.{function} has arguments {sorted(kwargs)} without a counterpart in Keras 3")
    entry = {"module": f"keras.src.ops.{space}", "class_name": name, "config": config, "registered_name": name}
    return entry, {"args": args, "kwargs": {}}
