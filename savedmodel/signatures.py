"""Signatures of a model being saved: which functions they are, and the wrappers that take keyword tensors and return a dictionary."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from savedmodel.errors import NotSavableError
from savedmodel.object_graph import saved_children
from savedmodel.signature import SignatureMap
from tracer import nest, specs
from tracer.dispatch import init_scope
from tracer.functions import ConcreteFunction, Function, FunctionSpec, trace_function
from tracer.specs import TensorSpec, TypeSpec
from tracer.tensor import EagerTensor, Tensor, convert_to_tensor

__all__ = ["DEFAULT_SIGNATURE", "canonical_signatures"]

DEFAULT_SIGNATURE = "serving_default"
logger = logging.getLogger("savedmodel")
_DEFAULT_ATTRIBUTE = "_default_save_signature"


def canonical_signatures(root: Any, signatures: Any, cache: dict[Any, Any] | None = None) -> tuple[SignatureMap | None, dict[str, ConcreteFunction]]:
    """The signature map to attach to the root, and the wrapped functions by key. `cache` belongs to the save (see ObjectGraph).

    Raises:
        ValueError: something given as a signature is none; the message says what was expected.
    """
    children = saved_children(root, {} if cache is None else cache)
    existing = children.get("signatures")
    if existing is not None and not isinstance(existing, SignatureMap):
        raise NotSavableError(
            f"Exporting an object {root!r} which has an attribute named 'signatures'. This is a reserved attribute used to store "
            f"SavedModel signatures in objects which come from `tf.saved_model.load`. Delete this attribute (e.g. `del obj.signatures`) "
            f"before saving if this shadowing is acceptable."
        )
    if signatures is None:
        if existing is not None and len(existing):
            signatures = dict(existing)
        else:
            signatures = _find_default(children)
    if signatures is None:
        return SignatureMap(), {}
    if not isinstance(signatures, Mapping):
        signatures = {DEFAULT_SIGNATURE: signatures}
    wrapped: dict[str, ConcreteFunction] = {}
    for key, function in signatures.items():
        if not isinstance(key, str):
            raise NotSavableError(f"signatures: keys must be strings, received {key!r}")
        wrapped[key] = _wrap(key, _concrete(key, function))
    return SignatureMap(wrapped), wrapped


def _find_default(children: Mapping[str, Any]) -> Any:
    candidates = []
    for name, child in children.items():
        if not isinstance(child, (Function, ConcreteFunction)):
            continue
        if name == _DEFAULT_ATTRIBUTE:
            return child
        concrete = _single(child)
        if concrete is not None and _has_tensor_outputs(concrete):
            candidates.append(concrete)
    return candidates[0] if len(candidates) == 1 else None


def _single(function: Any) -> ConcreteFunction | None:
    if isinstance(function, ConcreteFunction):
        return function
    if function.input_signature is None:
        return None
    return function.get_concrete_function()


def _has_tensor_outputs(concrete: ConcreteFunction) -> bool:
    if not concrete.structured_outputs and concrete.structured_outputs != 0:
        if not isinstance(concrete.structured_outputs, TypeSpec):
            return False
    try:
        _normalized(concrete.structured_outputs, concrete.name, "")
    except ValueError:
        return False
    return True


def _concrete(key: str, function: Any) -> ConcreteFunction:
    if isinstance(function, ConcreteFunction):
        return function
    if not isinstance(function, Function):
        raise NotSavableError(
            f"Expected a TensorFlow function for which to generate a signature, but got {function!r} (signature {key!r}). Only `tf.functions` "
            f"with an input signature or concrete functions can be used as a signature."
        )
    if function.input_signature is None:
        traces = function.concrete_functions()
        if len(traces) == 1 and type(function) is not Function:
            return traces[0]
        raise NotSavableError(
            f"The function {function!r} (signature {key!r}) has no input signature. Only `tf.functions` with an input signature or concrete "
            f"functions can be used as a signature: call get_concrete_function(…), or give @tf.function an input_signature."
        )
    return function.get_concrete_function()


def _normalized(outputs: Any, function: str, key: str) -> dict[str, Any]:
    """The outputs as a flat dictionary of specs.

    Raises:
        ValueError: an output is not a tensor.
    """
    if isinstance(outputs, Mapping):
        named = dict(outputs)
        for name in named:
            if not isinstance(name, str):
                raise NotSavableError(f"Got a dictionary with a non-string key {name!r} in the output of the function {function} used to generate the SavedModel signature {key!r}.")
    elif hasattr(outputs, "_fields"):
        named = outputs._asdict()
    elif isinstance(outputs, (list, tuple)):
        named = {f"output_{i}": v for i, v in enumerate(outputs)}
    else:
        named = {"output_0": outputs}
    for name, value in named.items():
        if not isinstance(value, (TypeSpec, Tensor)) and not hasattr(value, "_type_spec"):
            raise NotSavableError(
                f"Got a non-Tensor value {value!r} for key {name!r} in the output of the function {function} used to generate the SavedModel "
                f"signature {key!r}. Outputs for functions used as signatures must be a single Tensor, a sequence of Tensors, or a dictionary "
                f"from string to Tensor."
            )
    return named


def _wrap(key: str, concrete: ConcreteFunction) -> ConcreteFunction:
    """A concrete function with keyword tensors in and a dictionary out that calls `concrete`."""
    _normalized(concrete.structured_outputs, concrete.name, key)
    names, inputs, defaults = _inputs(key, concrete)

    keys = {name: _parameter_name(name) for name in names}

    def signature_wrapper(**kwargs: Any) -> dict[str, Any]:
        outputs = concrete.call_flat([kwargs[keys[name]] for name in names])
        return {k: v if hasattr(v, "_type_spec") else convert_to_tensor(v) for k, v in _normalized(outputs, concrete.name, key).items()}

    stem = re.sub(r"^__inference_|_\d+$", "", concrete.name)
    label = "signature_wrapper" if stem.startswith("signature_wrapper") else f"signature_wrapper_{stem}"
    wrapped = trace_function(signature_wrapper, (), {keys[name]: spec for name, spec in inputs.items()}, label, FunctionSpec([], None, "kwargs"))
    wrapped._arg_keywords = sorted(names, key=keys.__getitem__)
    wrapped._num_positional_args = 1 if len(names) == 1 else 0
    wrapped.defaults = defaults  # type: ignore[attr-defined]
    return wrapped


def _parameter_name(name: str) -> str:
    """An input's name as that of a keyword argument; the signature's definition keeps the name itself."""
    cleaned = "".join(c if c.isalnum() else "_" for c in name)
    cleaned = cleaned if cleaned[:1].isalpha() else "arg_" + cleaned
    if re.sub(r"\W", "", name) != name or not name.isidentifier():
        logger.warning("`%s` is not a valid tf.function parameter name (it has unsupported characters). Sanitizing to `%s`.", name, cleaned)
        return cleaned
    return name


def _inputs(key: str, concrete: ConcreteFunction) -> tuple[list[str], dict[str, TensorSpec], dict[str, EagerTensor]]:
    """The names of the flat tensor inputs, their specs, and the defaults of those that have one."""
    count = len(concrete.graph.inputs) - len(concrete.captured_inputs)
    names = list(concrete._arg_keywords)
    if len(names) != count:
        names = [f"args_{i}" for i in range(count)]
    if len(set(names)) != len(names):
        raise NotSavableError(
            f"Got non-flat/non-unique argument names for SavedModel signature {key!r}: more than one argument to {concrete.name} was named "
            f"{sorted(n for n in set(names) if names.count(n) > 1)}. Signatures have one Tensor per named input, so give tf.TensorSpec "
            f"arguments unique names."
        )
    structured = concrete.structured_input_signature
    if structured is not None:
        for leaf in nest.flatten(structured):
            if isinstance(leaf, specs.VariableSpec):
                raise TypeError(f"signature {key!r}: function {concrete.name} takes a variable as argument; signatures take tensors only")
    inputs = {n: TensorSpec(t.shape, t.dtype, n) for n, t in zip(names, concrete.graph.inputs, strict=False)}
    return names, inputs, _defaults(concrete, names)


def _defaults(concrete: ConcreteFunction, names: list[str]) -> dict[str, EagerTensor]:
    spec = concrete.function_spec
    found: dict[str, EagerTensor] = dict(getattr(concrete, "defaults", None) or {})
    if spec is None:
        return found
    values = dict(zip(spec.args[len(spec.args) - len(spec.defaults or ()) :], spec.defaults or (), strict=True))
    values.update(spec.kwonlydefaults or {})
    for name, value in values.items():
        if name in names and isinstance(value, EagerTensor):
            with init_scope():
                found[name] = value
    return found
