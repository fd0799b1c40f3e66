"""Functions of a loaded model: RestoredFunction picks the concrete function that fits a call, SignatureMap holds the signatures.

It refuses to trace: what was not traced before saving cannot be called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from savedmodel.call_matching import Strictness, describe, match
from tracer import nest
from tracer.errors import InvalidArgumentError
from tracer.functions import ConcreteFunction, Function, FunctionSpec
from tracer.specs import TensorSpec, TypeSpec
from tracer.tensor import Tensor

__all__ = ["RestoredConcreteFunction", "RestoredFunction", "SignatureMap"]


class RestoredConcreteFunction(ConcreteFunction):
    """A concrete function whose body is deserialized when it is first needed."""

    def __init__(
        self, name: str, library: Any, captured: Sequence[Any], structured_inputs: Any, structured_outputs: Any,
        function_spec: Any = None,
    ):  # fmt: skip
        self._function_name = name
        self._library = library
        self.captured_inputs = list(captured)
        self.structured_input_signature = structured_inputs
        self._output_structure = structured_outputs
        self.function_spec = function_spec
        self._keywords: list[str] | None = None
        self._positional: int | None = None
        self.bare = False

    @property
    def graph(self) -> Any:  # type: ignore[override]
        return self._library[self._function_name]

    @property
    def name(self) -> str:
        return self._function_name

    @property
    def _arg_keywords(self) -> list[str]:  # type: ignore[override]
        if self._keywords is None:
            names = _spec_names(self.structured_input_signature)
            if names is None:
                graph = self.graph
                names = []
                for t in graph.inputs[: len(graph.inputs) - len(self.captured_inputs)]:
                    user = t.node.attr("_user_specified_name")
                    names.append(user.decode() if isinstance(user, bytes) else t.node.name)
            self._keywords = names
        return self._keywords

    @_arg_keywords.setter
    def _arg_keywords(self, names: Any) -> None:
        self._keywords = list(names)

    @property
    def _num_positional_args(self) -> int:  # type: ignore[override]
        return len(self._arg_keywords) if self._positional is None else self._positional

    @_num_positional_args.setter
    def _num_positional_args(self, count: int) -> None:
        self._positional = count

    def _bind_structured(self, args: Any, kwargs: Any) -> Any:
        if self.bare and self.function_spec is None:
            return None  # written by something that keeps no argument list: names and order are all there is
        return super()._bind_structured(args, kwargs)

    def _bind_flat(self, args: Any, kwargs: Any) -> Any:
        if self.bare and kwargs:
            # Composite arguments of a signature are given by name and expanded.
            expanded: dict[str, Any] = {}
            for key, value in kwargs.items():
                spec = getattr(value, "_type_spec", None)
                if spec is not None and not isinstance(value, Tensor):
                    parts = spec.to_components(value)
                    for i, part in enumerate(parts):
                        expanded[key if i == 0 else f"{key}_{i}"] = part
                else:
                    expanded[key] = value
            kwargs = expanded
        return super()._bind_flat(args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        defaults = getattr(self, "defaults", None)
        if defaults:
            kwargs = {**{k: v for k, v in defaults.items() if k not in kwargs}, **kwargs}
        return super().__call__(*args, **kwargs)

    def pretty_printed_signature(self, verbose: bool = True) -> str:
        if self.bare:
            _, kwargs = self.structured_input_signature or ((), {})
            inner = ", ".join(f"{k}={v!r}" for k, v in kwargs.items()) if kwargs else ", ".join(self._arg_keywords)
            return f"{self._function_name}({inner})"
        return super().pretty_printed_signature(verbose)


def _spec_names(signature: Any) -> list[str] | None:
    names = []
    for leaf in nest.flatten(signature):
        if not isinstance(leaf, TypeSpec):
            continue
        if not isinstance(leaf, TensorSpec) or leaf.name is None:
            return None
        names.append(leaf.name)
    return names


class RestoredFunction(Function):
    """A function of a loaded model: the traces it was saved with, and the argument list of the Python function."""

    def __init__(self, name: str, concrete: Sequence[ConcreteFunction], spec: FunctionSpec):
        def unavailable(*args: Any, **kwargs: Any) -> Any:
            return self(*args, **kwargs)

        super().__init__(unavailable, name=name, autograph=False, jit_compile=spec.jit_compile, function_spec=spec)
        self._concrete = list(concrete)
        self.input_signature = spec.input_signature
        self.__name__ = name

    @property
    def __signature__(self) -> Any:
        return _python_signature(self.function_spec)

    def concrete_functions(self) -> list[ConcreteFunction]:
        return list(self._concrete)

    _list_all_concrete_functions = concrete_functions

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> ConcreteFunction:
        """The saved trace that fits the arguments, which may be specs."""
        if not args and not kwargs and len(self._concrete) == 1:
            return self._concrete[0]
        found = self._match(args, kwargs)
        if found is None:
            raise InvalidArgumentError(self._mismatch(args, kwargs))
        return found[0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the first saved trace that fits.

        Raises:
            ValueError: none fits; the message lists, for each, what it wanted.
        """
        found = self._match(args, kwargs)
        if found is None:
            raise InvalidArgumentError(self._mismatch(args, kwargs))
        concrete, flat = found
        return concrete.call_flat(flat)

    def _match(self, args: Any, kwargs: Any) -> tuple[ConcreteFunction, list[Any]] | None:
        if not self._concrete:
            raise InvalidArgumentError(
                f"Found zero restored functions for caller function {self._name!r}: it was never called before it was saved. Call it, "
                f"or give it an input_signature, and save again."
            )
        try:
            positional, keyword = self.function_spec.bind(args, kwargs, f"{self._name}()")
        except TypeError as error:
            raise TypeError(f"{error}. {self._options()}") from None
        cast = self.input_signature is not None
        for strictness in Strictness:
            for concrete in self._concrete:
                flat = match(concrete, positional, keyword, strictness, cast)
                if not isinstance(flat, str):
                    return concrete, flat
        return None

    def _options(self, call: tuple[Any, Any] | None = None) -> str:
        """The traces, each with the reason why it does not fit the canonical `call`."""
        lines = []
        for i, concrete in enumerate(self._concrete):
            args, kwargs = concrete.structured_input_signature
            wanted = "".join(f"\n    * {a!r}" for a in args)
            reason = match(concrete, *call, Strictness.LOSSLESS, self.input_signature is not None) if call is not None else None
            why = f"\n  It does not fit: {reason}" if isinstance(reason, str) else ""
            lines.append(f"Option {i + 1}:\n  Positional arguments ({len(args)} total):{wanted}\n  Keyword arguments: {kwargs!r}{why}")
        return "\n\n".join(lines)

    def _mismatch(self, args: Any, kwargs: Any) -> str:
        positional, keyword = self.function_spec.bind(args, kwargs)
        shown = "".join(f"\n    * {describe(a)}" for a in positional)
        named = {k: describe(v) for k, v in keyword.items()}
        return (
            f"Could not find matching concrete function to call loaded from the SavedModel. Got:\n  Positional arguments "
            f"({len(positional)} total):{shown}\n  Keyword arguments: {named}\n\n Expected these arguments to match one of the following "
            f"{len(self._concrete)} option(s):\n\n{self._options((positional, keyword))}"
        )

    def __deepcopy__(self, memo: Any) -> RestoredFunction:
        return self


def _python_signature(spec: FunctionSpec) -> Any:
    import inspect
    import keyword

    P = inspect.Parameter
    parameters = []
    defaults = spec.defaults or ()
    first = len(spec.args) - len(defaults)

    def legal(name: str) -> bool:
        return name.isidentifier() and not keyword.iskeyword(name)

    for i, name in enumerate(spec.args):
        if legal(name):
            parameters.append(P(name, P.POSITIONAL_OR_KEYWORD, default=defaults[i - first] if i >= first else P.empty))
    if spec.varargs and legal(spec.varargs):
        parameters.append(P(spec.varargs, P.VAR_POSITIONAL))
    for name in spec.kwonlyargs:
        if legal(name):
            parameters.append(P(name, P.KEYWORD_ONLY, default=(spec.kwonlydefaults or {}).get(name, P.empty)))
    if spec.varkw and legal(spec.varkw):
        parameters.append(P(spec.varkw, P.VAR_KEYWORD))
    try:
        return inspect.Signature(parameters)
    except ValueError:
        return inspect.Signature([P("args", P.VAR_POSITIONAL), P("kwargs", P.VAR_KEYWORD)])


class SignatureMap(Mapping[str, ConcreteFunction]):
    """The signatures of a loaded model, by key; immutable."""

    def __init__(self, functions: Mapping[str, ConcreteFunction] | None = None):
        self._signatures = dict(functions or {})

    def _add_signature(self, name: str, function: ConcreteFunction) -> None:
        self._signatures[name] = function

    def __getitem__(self, key: str) -> ConcreteFunction:
        try:
            return self._signatures[key]
        except KeyError:
            raise KeyError(f"signature {key!r} is not there; the model has {sorted(self._signatures)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._signatures)

    def __len__(self) -> int:
        return len(self._signatures)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        return dict(self._signatures) if save_type == "savedmodel" else {}

    def __repr__(self) -> str:
        return f"_SignatureMap({self._signatures})"
