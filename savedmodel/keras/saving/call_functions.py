"""Traced call functions of layers, as Keras puts them into a SavedModel. It traces; what is written where is `layer_children`'s matter.

Each layer gets `__call__`, `call_and_return_conditional_losses` and `call_and_return_all_conditional_losses`. While a layer is traced,
its sublayers' `call` is replaced by their own traced functions, so that each distinct call is traced once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from savedmodel.keras.engine.autocast_variable import enable_auto_cast_variables
from savedmodel.keras.engine.base_layer import REVIVED_LOSS_PLACEHOLDER
from savedmodel.keras.engine.call_context import call_context
from savedmodel.signature import RestoredFunction
from tracer import dispatch, nest
from tracer.functions import ConcreteFunction, Function, FunctionSpec, trace_function
from tracer.public import tf
from tracer.specs import TensorSpec, TypeSpec
from tracer.tensor import Tensor

__all__ = ["LayerCalls", "SavedFunction", "TracingSession"]


class SavedFunction(RestoredFunction):
    """A function made of traces, as it will be read back."""

    def concrete_functions(self) -> list[ConcreteFunction]:
        return list(self._concrete)


class TracingSession:
    """The traced calls of all layers of one save."""

    def __init__(self) -> None:
        self._calls: dict[int, LayerCalls] = {}
        self.loss_count = 0

    def calls_of(self, layer: Any) -> LayerCalls:
        """The call functions of `layer`; traced when they are made."""
        found = self._calls.get(id(layer))
        if found is None:
            found = self._calls[id(layer)] = LayerCalls(layer, self)
            found.trace_saved_spec()
        return found

    @contextlib.contextmanager
    def replacing_children(self, layer: Any) -> Iterator[None]:
        """Inside, layers below `layer` run their traced functions."""
        with contextlib.ExitStack() as stack:
            for child in layer._flatten_layers(include_self=False):
                if traceable(child):
                    stack.enter_context(self.calls_of(child).replacing())
            yield


def traceable(layer: Any) -> bool:
    """Whether a layer has call functions: it is built, no input layer, and not bound to be rebuilt from its config."""
    return bool(
        layer.built
        and not getattr(layer, "_is_input_layer", False)
        and type(layer).__name__ != "InputLayer"
        and not getattr(layer, "_must_restore_from_config", False)
        and not hasattr(type(layer), "update_state")
    )


class LayerCalls:
    """The traced calls of one layer.

    Attributes:
        functions: name → function, filled as traces are made.
    """

    def __init__(self, layer: Any, session: TracingSession):
        self.layer = layer
        self.session = session
        self.original: Callable[..., Any] = layer.__dict__.get("call") or layer.call
        self.takes_training = layer._call_spec.expects_training_arg
        self.uses_training = any(child._call_spec.expects_training_arg for child in layer._flatten_layers())
        self.spec = self._function_spec()
        self._traces: dict[Any, ConcreteFunction] = {}
        self._depth = 0
        base = f"{layer.name}_layer_call"
        self.conditional = SavedFunction(f"{base}_and_return_conditional_losses", [], self.spec)
        self.plain = SavedFunction(f"{base}_fn", [], self.spec)
        if layer._activity_regularizer is not None:
            self.all_losses = SavedFunction(f"{base}_and_return_all_conditional_losses", [], self.spec)
        else:
            self.all_losses = self.conditional

    def _function_spec(self) -> FunctionSpec:
        """The layer's argument list, with `training` False by default."""
        full = self.layer._call_spec.full_argspec
        args = list(full.args)
        if args and args[0] == "self":
            args = args[1:]
        defaults = list(full.defaults or ())
        kwonly, kwdefaults = list(full.kwonlyargs or ()), dict(full.kwonlydefaults or {})
        if self.uses_training and "training" not in args and "training" not in kwonly:
            kwonly.append("training")
            kwdefaults["training"] = False
        elif "training" in args:
            position = args.index("training") - (len(args) - len(defaults))
            if position >= 0 and defaults[position] is None:
                defaults[position] = False
        elif kwdefaults.get("training", False) is None:
            kwdefaults["training"] = False
        return FunctionSpec(args, full.varargs, full.varkw, tuple(defaults) or None, kwonly, kwdefaults or None)

    # -- replacing `call` --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def replacing(self) -> Iterator[None]:
        """Let the layer's `call` run the traced function."""
        attributes = self.layer.__dict__
        had = "call" in attributes
        previous = attributes.get("call")
        attributes["call"] = self.call
        try:
            yield
        finally:
            if had:
                attributes["call"] = previous
            else:
                attributes.pop("call", None)

    @contextlib.contextmanager
    def _restored(self) -> Iterator[None]:
        """Let the layer's `call` be its own again."""
        attributes = self.layer.__dict__
        previous = attributes.pop("call", None)
        if getattr(self.original, "__self__", None) is not self.layer or "call" not in dir(type(self.layer)):
            attributes["call"] = self.original
        try:
            yield
        finally:
            attributes.pop("call", None)
            if previous is not None:
                attributes["call"] = previous

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """What stands in for `call`: the traced function for these arguments; its losses are added to the layer."""
        if any(getattr(t, "_is_keras_tensor", False) for t in nest.flatten((args, kwargs))):
            return self.original(*args, **kwargs)
        training = self._training(args, kwargs)
        if isinstance(training, Tensor):
            return tf.cond(
                tf.cast(training, tf.bool), lambda: self._run(True, args, kwargs), lambda: self._run(False, args, kwargs)
            )
        return self._run(bool(training), args, kwargs)

    def _run(self, training: bool, args: Any, kwargs: Any) -> Any:
        positional, keyword = self._canonical(training, args, kwargs)
        concrete = self._concrete(positional, keyword)
        outputs, losses = concrete.call_flat(_tensors((positional, keyword)))
        if losses:
            self.layer.add_loss(list(losses))
        return outputs

    def _training(self, args: Any, kwargs: Any) -> Any:
        if "training" in kwargs:
            value = kwargs["training"]
        elif "training" in self.spec.args and self.spec.args.index("training") < len(args):
            value = args[self.spec.args.index("training")]
        else:
            value = None
        if value is None:
            value = call_context().training
        return False if value is None else value

    def _canonical(self, training: bool, args: Any, kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        kwargs = dict(kwargs)
        args = list(args)
        if self.uses_training:
            if "training" in self.spec.args and self.spec.args.index("training") < len(args):
                args[self.spec.args.index("training")] = training
            else:
                kwargs["training"] = training
        else:
            kwargs.pop("training", None)
        return self.spec.bind(args, kwargs, f"{self.layer.name}.call")

    # -- tracing -----------------------------------------------------------------------------------------------------

    def _concrete(self, positional: tuple[Any, ...], keyword: dict[str, Any]) -> ConcreteFunction:
        key = _key((positional, keyword))
        found = self._traces.get(key)
        if found is None:
            for training in (True, False) if self.uses_training else (None,):
                args, kwargs = positional, keyword
                if training is not None:
                    args, kwargs = self._canonical(training, positional, keyword)
                self._trace(_specs(args), _specs(kwargs))
            found = self._traces[key]
        return found

    def trace_saved_spec(self) -> None:
        """Trace for the arguments of the layer's first call, with an unknown batch size."""
        spec = self.layer._get_save_spec(dynamic_batch=True, inputs_only=False)
        if spec is None:
            if self.layer._call_spec.full_argspec.args[1:2]:
                self._trace_input_spec()
            return
        args, kwargs = spec
        values = [a for a in args]
        training = False
        positional, keyword = self._canonical(training, values, dict(kwargs))
        self._concrete(positional, keyword)

    def _trace_input_spec(self) -> None:
        spec = self.layer.input_spec
        flat = nest.flatten(spec)
        if not flat or any(s is None or s.shape is None for s in flat):
            return
        dtype = self.layer.compute_dtype or "float32"
        inputs = nest.map_structure(lambda s: TensorSpec(s.shape, s.dtype or dtype), spec)
        positional, keyword = self._canonical(False, (inputs,), {})
        self._concrete(positional, keyword)

    def _trace(self, args: Any, kwargs: Any) -> None:
        key = _key((args, kwargs))
        if key in self._traces:
            return
        layer = self.layer
        conditional = trace_function(self._conditional_body, args, kwargs, self.conditional.name, self.spec)
        self._traces[key] = conditional
        plain = trace_function(_calling(conditional, False), args, kwargs, self.plain.name, self.spec)
        self.conditional._concrete.append(conditional)
        self.plain._concrete.append(plain)
        if layer._activity_regularizer is not None:
            everything = trace_function(self._all_body(conditional), args, kwargs, self.all_losses.name, self.spec)
            self.all_losses._concrete.append(everything)

    def _conditional_body(self, *args: Any, **kwargs: Any) -> Any:
        layer = self.layer
        training = self._training(args, kwargs)
        if self.uses_training and not self.takes_training:
            kwargs.pop("training", None)
        kept = _take_losses(layer)
        context = call_context()
        try:
            with (
                self.session.replacing_children(layer),
                self._restored(),
                context.enter(layer, args[0] if args else None, False, training, True),
                enable_auto_cast_variables(layer._compute_dtype_value),
            ):
                run = layer._call_to_trace() if layer.__dict__.get("call") is None else self.original
                outputs = run(*args, **kwargs)
                losses = [
                    loss for child in layer._flatten_layers() for loss in child._eager_losses if loss is not REVIVED_LOSS_PLACEHOLDER
                ]
        finally:
            _give_losses_back(kept)
        return outputs, losses

    def _all_body(self, conditional: ConcreteFunction) -> Callable[..., Any]:
        layer = self.layer

        def body(*args: Any, **kwargs: Any) -> Any:
            outputs, losses = conditional.call_flat(_tensors((args, dict(sorted(kwargs.items())))))
            kept = _take_losses(layer)
            try:
                with call_context().enter(layer, args[0], False, None, True):
                    layer._handle_activity_regularization(args[0], outputs)
                    losses = [*losses, *layer._eager_losses]
            finally:
                _give_losses_back(kept)
            return outputs, losses

        return body


def _calling(conditional: ConcreteFunction, with_losses: bool) -> Callable[..., Any]:
    def body(*args: Any, **kwargs: Any) -> Any:
        outputs, losses = conditional.call_flat(_tensors((args, dict(sorted(kwargs.items())))))
        return (outputs, losses) if with_losses else outputs

    return body


def _take_losses(layer: Any) -> list[tuple[Any, Any]]:
    """Set the losses of the last calls aside, so that a trace neither sees nor changes them."""
    kept = [(child, child._eager_losses) for child in layer._flatten_layers()]
    for child, _ in kept:
        child.__dict__["_eager_losses"] = []
    return kept


def _give_losses_back(kept: list[tuple[Any, Any]]) -> None:
    for child, losses in kept:
        child.__dict__["_eager_losses"] = losses


def _specs(structure: Any) -> Any:
    def spec(value: Any) -> Any:
        if isinstance(value, TypeSpec):
            return value
        own = getattr(value, "_type_spec", None)
        if own is not None:
            return own
        return TensorSpec(value.shape, value.dtype) if isinstance(value, Tensor) else value

    return nest.map_structure(spec, structure)


def _tensors(structure: Any) -> list[Any]:
    """The tensors in canonical arguments, composites expanded."""
    out: list[Any] = []
    for leaf in nest.flatten(structure):
        spec = getattr(leaf, "_type_spec", None)
        if isinstance(leaf, Tensor):
            out.append(leaf)
        elif spec is not None:
            out.extend(spec.to_components(leaf))
    return out


def _key(structure: Any) -> Any:
    parts: list[Any] = []
    for path, leaf in nest.flatten_with_paths(structure):
        if isinstance(leaf, TensorSpec) or isinstance(leaf, Tensor):
            parts.append((path, leaf.dtype.number, leaf.shape))
        elif isinstance(leaf, TypeSpec):
            parts.append((path, leaf))
        elif hasattr(leaf, "_type_spec"):
            parts.append((path, leaf._type_spec))
        else:
            try:
                hash(leaf)
                parts.append((path, type(leaf), leaf))
            except TypeError:
                parts.append((path, id(leaf)))
    return tuple(parts)


def trace_losses(layer: Any, session: TracingSession) -> list[SavedFunction]:
    """One function without arguments for each unconditional loss of the layer itself."""
    out = []
    for compute in layer._callable_losses:
        name = f"loss_fn_{session.loss_count}"
        session.loss_count += 1
        concrete = trace_function(compute, (), {}, name, FunctionSpec(input_signature=()))
        out.append(SavedFunction(name, [concrete], FunctionSpec(input_signature=())))
    return out


def default_save_signature(model: Any) -> Function | ConcreteFunction | None:
    """The function that is exported as `serving_default`: the model on the arguments of its first call, `training=False`."""
    spec = model._get_save_spec(dynamic_batch=True, inputs_only=False)
    if spec is None:
        return None
    args, kwargs = spec
    call = getattr(model, "call", None)
    if isinstance(call, Function) and call.input_signature is not None:
        args = list(call.input_signature)
    tensors = [a for a in nest.flatten(args[1:]) if isinstance(a, TypeSpec)] + [a for a in nest.flatten(kwargs) if isinstance(a, TypeSpec)]
    if tensors:
        named = [_named_by_position(a, "args_0" if i == 0 else f"args_{i}") for i, a in enumerate(args)]
        named_kwargs = {k: _named_by_position(v, k) for k, v in kwargs.items()}
    else:
        named, named_kwargs = [_input_names(model, args[0]), *args[1:]], dict(kwargs)

    def _wrapped_model(*call_args: Any, **call_kwargs: Any) -> Any:
        kept = _take_losses(model)
        try:
            if model._call_spec.expects_training_arg:
                position = model._call_spec.arg_names.index("training") if "training" in model._call_spec.arg_names else None
                if position is not None and position < len(call_args):
                    call_args = (*call_args[:position], False, *call_args[position + 1 :])
                else:
                    call_kwargs["training"] = False
            with call_context().enter(model, nest.flatten(call_args)[0], False, False, True):
                outputs = model(*call_args, **call_kwargs)
        finally:
            _give_losses_back(kept)
        names = _output_names(model, outputs)
        return dict(zip(names, nest.flatten(outputs), strict=True))

    with dispatch.init_scope():
        return trace_function(_wrapped_model, tuple(named), named_kwargs, "_wrapped_model", FunctionSpec([], "args", "kwargs"))


def _renamed(spec: Any, name: str) -> Any:
    return TensorSpec(spec.shape, spec.dtype, name) if type(spec) is TensorSpec else spec


def _named_by_position(structure: Any, name: str) -> Any:
    flat = nest.flatten(structure)
    out = []
    for i, s in enumerate(flat):
        out.append(_renamed(s, name if i == 0 else f"{name}_{i}") if isinstance(s, TypeSpec) else s)
    return nest.pack_sequence_as(structure, out)


def _input_names(model: Any, spec: Any) -> Any:
    names = getattr(model, "input_names", None)
    flat = nest.flatten(spec)
    if names and len(names) == len(flat):
        return nest.pack_sequence_as(spec, [_renamed(s, n) for s, n in zip(flat, names, strict=True)])
    if flat and all(getattr(s, "name", None) for s in flat if type(s) is TensorSpec) and getattr(model, "_call_has_signature", False):
        return spec
    return nest.pack_sequence_as(spec, [_renamed(s, n) for s, n in zip(flat, _path_names(spec, "input"), strict=True)])


def _path_names(structure: Any, stem: str) -> list[str]:
    """Keras's names of nested inputs or outputs: keys, and positions that count from 1."""
    out = []
    for path, _ in nest.flatten_with_paths(structure):
        parts = [str(p + 1) if isinstance(p, int) else str(p) for p in path]
        if not path:
            parts = ["1"]
        if not path or isinstance(path[0], int):
            parts.insert(0, stem)
        out.append("_".join(parts))
    return out


def _output_names(model: Any, outputs: Any) -> list[str]:
    names = getattr(model, "output_names", None)
    flat = nest.flatten(outputs)
    if names and len(names) == len(flat):
        seen: dict[str, int] = {}
        out = []
        for name in names:
            count = seen.get(name, 0)
            seen[name] = count + 1
            out.append(name if count == 0 else f"{name}_{count}")
        return out
    return _path_names(outputs, "output")
