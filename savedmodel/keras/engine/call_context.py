"""How a layer is being called: the stack of calls in this thread, and the argument list of a layer's `call`. It refuses to run calls."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["CallContext", "CallSpec", "call_context"]


class CallContext(threading.local):
    """The innermost layer call of this thread.

    Attributes:
        in_call: whether a layer is being called.
        layer, inputs: that layer and its first argument.
        training: its training mode (bool, tensor or None).
        building: whether the call only infers what the layer returns (functional construction).
        saving: whether call functions are being traced for a SavedModel.
    """

    def __init__(self) -> None:
        self.in_call = False
        self.layer: Any = None
        self.inputs: Any = None
        self.training: Any = None
        self.building = False
        self.saving: Any = None

    @contextlib.contextmanager
    def enter(self, layer: Any, inputs: Any, building: bool, training: Any, saving: Any = None) -> Iterator[None]:
        previous = (self.in_call, self.layer, self.inputs, self.training, self.building, self.saving)
        self.in_call, self.layer, self.inputs, self.training, self.building, self.saving = True, layer, inputs, training, building, saving
        try:
            yield
        finally:
            self.in_call, self.layer, self.inputs, self.training, self.building, self.saving = previous

    @property
    def frozen(self) -> bool:
        """Whether the innermost layer is not trainable."""
        return self.layer is not None and not self.layer.trainable


_context = CallContext()


def call_context() -> CallContext:
    """The context of this thread."""
    return _context


class CallSpec:
    """The arguments of a layer's `call`, without self.

    Attributes:
        arg_names: positional, then keyword-only names.
        expects_training_arg, expects_mask_arg: whether it can be given them.
        default_training_arg: the default of `training`, or None.
        full_argspec: inspect.FullArgSpec of the method.
        required: positional arguments without a default.
    """

    def __init__(self, call: Callable[..., Any]):
        full = _full_argspec(call)
        self.full_argspec = full
        names = list(full.args)
        if names and (inspect.ismethod(call) or names[0] == "self"):
            names = names[1:]
        self._positional = list(names)
        self.required = names[: len(names) - len(full.defaults or ())]
        names += full.kwonlyargs or []
        self.arg_names = names
        takes_any = full.varkw is not None
        self.expects_training_arg = "training" in names or takes_any
        self.expects_mask_arg = "mask" in names or takes_any
        defaults = dict(zip(self._positional[len(self._positional) - len(full.defaults or ()) :], full.defaults or (), strict=False))
        defaults.update(full.kwonlydefaults or {})
        self.default_training_arg = defaults.get("training")

    def was_passed(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
        """Whether `name` is among the arguments after the first."""
        return name in kwargs or name in self.arg_names[1 : len(args) + 1]

    def value(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """The argument `name` of a call that passed it."""
        return kwargs[name] if name in kwargs else args[self.arg_names.index(name) - 1]

    def replace(
        self, name: str, value: Any, args: tuple[Any, ...], kwargs: dict[str, Any], drop_none: bool = False
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments after the first with `name` set to `value`; a keyword that becomes None goes where `drop_none`."""
        if name in self._positional:
            position = self._positional.index(name) - 1
            if position < len(args):
                return (*args[:position], value, *args[position + 1 :]), kwargs
        kwargs = dict(kwargs)
        if value is None and drop_none:
            kwargs.pop(name, None)
        else:
            kwargs[name] = value
        return args, kwargs

    def split_first(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The first argument, and the others.

        Raises:
            ValueError: the call has no first argument.
        """
        if args:
            return args[0], tuple(args[1:]), dict(kwargs)
        if self.arg_names and self.arg_names[0] in kwargs:
            rest = dict(kwargs)
            return rest.pop(self.arg_names[0]), (), rest
        raise ValueError("The first argument to `Layer.call` must always be passed.")


def _full_argspec(call: Callable[..., Any]) -> inspect.FullArgSpec:
    spec = getattr(call, "function_spec", None)
    if spec is not None:  # a traced function
        return inspect.FullArgSpec(
            list(spec.args), spec.varargs, spec.varkw, spec.defaults, list(spec.kwonlyargs), spec.kwonlydefaults, {}
        )
    try:
        return inspect.getfullargspec(inspect.unwrap(call) if not inspect.ismethod(call) else call)
    except TypeError:
        return inspect.FullArgSpec([], "args", "kwargs", None, [], None, {})
