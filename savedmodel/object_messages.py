"""The messages of single objects in a SavedObjectGraph: variables, functions, argument lists. It refuses to walk the graph."""

from __future__ import annotations

from typing import Any

from savedmodel.format.tensor_proto import shape_to_proto
from savedmodel.structured import named_tuple, serialize_structure
from savedmodel.trackable import unwrap
from tracer import nest
from tracer.functions import ConcreteFunction
from tracer.shapes import TensorShape
from tracer.specs import TensorSpec
from tracer.variable import Variable

__all__ = ["fill_bare_function", "fill_function_spec", "fill_signature", "fill_variable", "shape_proto"]


def shape_proto(shape: TensorShape) -> Any:
    """The TensorShapeProto of a shape."""
    return shape_to_proto(None if shape.rank is None else shape.as_list())


def fill_signature(message: Any, concrete: ConcreteFunction) -> None:
    """Write the structures of arguments and results into a SavedConcreteFunction.

    Raises:
        ValueError, TypeError: a part has no form in the file.
    """
    message.canonicalized_input_signature.CopyFrom(serialize_structure(unwrap(concrete.structured_input_signature)))
    message.output_signature.CopyFrom(serialize_structure(_named_outputs(unwrap(concrete.structured_outputs))))


def fill_variable(message: Any, variable: Variable) -> None:
    """Write a variable's description into a SavedVariable."""
    message.dtype = variable.dtype.number
    message.shape.CopyFrom(shape_proto(variable.shape))
    message.trainable = variable.trainable
    message.synchronization = variable.synchronization.value
    message.aggregation = variable.aggregation.value
    message.name = variable._shared_name


def fill_function_spec(message: Any, spec: Any) -> None:
    """Write an argument list into a FunctionSpec."""
    full = named_tuple(
        "FullArgSpec",
        [
            ("args", list(spec.args)),
            ("varargs", spec.varargs),
            ("varkw", spec.varkw),
            ("defaults", tuple(spec.defaults) if spec.defaults else None),
            ("kwonlyargs", list(spec.kwonlyargs)),
            ("kwonlydefaults", dict(spec.kwonlydefaults) if spec.kwonlydefaults else None),
            ("annotations", {}),
        ],
    )
    try:
        message.fullargspec.CopyFrom(serialize_structure(full))
    except ValueError:
        # a default that has no form in the file: a call that relies on it will find no trace, and say so
        bare = full._replace(defaults=_encodable(spec.defaults), kwonlydefaults=_encodable_map(spec.kwonlydefaults))
        message.fullargspec.CopyFrom(serialize_structure(bare))
    message.input_signature.CopyFrom(serialize_structure(unwrap(spec.input_signature)))
    message.jit_compile = {None: 0, True: 1, False: 2}[spec.jit_compile]


def _encodable(values: Any) -> Any:
    out = []
    for v in values or ():
        try:
            serialize_structure(v)
            out.append(v)
        except ValueError:
            out.append(None)
    return tuple(out) or None


def _encodable_map(values: Any) -> Any:
    return None if not values else dict(zip(values, _encodable(tuple(values.values())), strict=True))


def fill_bare_function(message: Any, concrete: ConcreteFunction, name: str) -> None:
    """Write a trace's name and argument list into a SavedBareConcreteFunction."""
    message.concrete_function_name = name
    message.argument_keywords.extend(concrete._arg_keywords)
    message.allowed_positional_arguments = min(concrete._num_positional_args, len(concrete._arg_keywords))
    spec = concrete.function_spec
    if spec is not None and concrete.structured_input_signature is not None:
        args, kwargs = concrete.structured_input_signature
        names = list(spec.args[: len(args)])
        names += [f"{spec.varargs or 'args'}_{k}" for k in range(len(args) - len(names))]
        bare = type(spec)(names, None, None, None, sorted(kwargs), None, None, spec.jit_compile)
        fill_function_spec(message.function_spec, bare)


def _named_outputs(structure: Any) -> Any:
    """Output specs with TensorFlow's names, made of the path that leads to each."""
    if not nest.is_nested(structure):
        return TensorSpec(structure.shape, structure.dtype, "unknown") if type(structure) is TensorSpec else structure
    out = []
    for path, spec in nest.flatten_with_paths(structure):
        if type(spec) is TensorSpec:
            parts = [str(p) for p in path]
            if not isinstance(path[0], str):
                parts.insert(0, "tensor")
            spec = TensorSpec(spec.shape, spec.dtype, "_".join(parts))
        out.append(spec)
    return nest.pack_sequence_as(structure, out)
