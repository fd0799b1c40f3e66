"""Options of save and load, with TensorFlow's names. They refuse values that cannot mean anything here."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

from tracer.errors import InvalidArgumentError

__all__ = ["LoadOptions", "SaveOptions", "VariablePolicy"]


class VariablePolicy(enum.Enum):
    """How distributed variables are saved; kept for the format."""

    NONE = None
    SAVE_VARIABLE_DEVICES = "save_variable_devices"
    EXPAND_DISTRIBUTED_VARIABLES = "expand_distributed_variables"

    @classmethod
    def from_obj(cls, value: Any) -> VariablePolicy:
        """The policy named by an enum member, None, or a string."""
        if value is None or isinstance(value, VariablePolicy):
            return value or VariablePolicy.NONE
        for policy in cls:
            if policy.value is not None and str(value).lower() == policy.value:
                return policy
        raise InvalidArgumentError(f"invalid VariablePolicy value {value!r}; expected one of {[p.value for p in cls]}")


class SaveOptions:
    """How to save.

    Args:
        namespace_whitelist: namespaces (`Addons>`) of custom ops that may be saved.
        save_debug_info: write `debug/saved_model_debug_info.pb`.
        function_aliases: alias → function.
        experimental_io_device: kept; files are written by this process.
        experimental_variable_policy: see VariablePolicy.
        experimental_custom_gradients: save custom gradients.
        experimental_image_format: refused, as in open TensorFlow.
        experimental_skip_saver: leave the save and restore functions out of the graph.
        experimental_skip_checkpoint: write no variables.
    """

    def __init__(
        self, namespace_whitelist: Sequence[str] | None = None, save_debug_info: bool = False,
        function_aliases: Mapping[str, Any] | None = None, experimental_debug_stripper: bool = False,
        experimental_io_device: str | None = None, experimental_variable_policy: Any = None,
        experimental_custom_gradients: bool = True, experimental_image_format: bool = False, experimental_skip_saver: bool = False,
        experimental_sharding_callback: Any = None, extra_tags: Any = None, experimental_skip_checkpoint: bool = False,
    ):  # fmt: skip
        if namespace_whitelist is not None and not isinstance(namespace_whitelist, (list, tuple, set)):
            raise TypeError(f"Namespace whitelist must be a list of strings, received {namespace_whitelist!r}")
        for item in namespace_whitelist or ():
            if not isinstance(item, str):
                raise InvalidArgumentError(f"Whitelisted namespace must be a string. Got: {item!r} of type {type(item)}.")
        self.namespace_whitelist = list(namespace_whitelist or ())
        self.save_debug_info = save_debug_info
        self.function_aliases = dict(function_aliases or {})
        self.experimental_io_device = experimental_io_device
        self.experimental_variable_policy = VariablePolicy.from_obj(experimental_variable_policy)
        self.experimental_custom_gradients = experimental_custom_gradients
        if experimental_image_format:
            raise InvalidArgumentError("SaveOptions(experimental_image_format=True) is disabled in open TensorFlow, and no loader reads it; leave it out")
        self.experimental_image_format = False
        self.experimental_skip_saver = experimental_skip_saver
        self.experimental_skip_checkpoint = experimental_skip_checkpoint


class LoadOptions:
    """How to load.

    Args:
        allow_partial_checkpoint: leave variables that the checkpoint lacks, or that are damaged, without a value.
        experimental_io_device: kept; files are read by this process.
        experimental_skip_checkpoint: read no variables.
        restore_optimizer_state: give a compiled Keras model its optimizer's saved state. None: for models written by this library;
            one that Keras 2.15 wrote is compiled afresh, as Keras 2.15 does, so that training goes on with the same numbers.
    """

    def __init__(
        self, allow_partial_checkpoint: bool = False, experimental_io_device: str | None = None,
        experimental_skip_checkpoint: bool = False, experimental_variable_policy: Any = None,
        experimental_load_function_aliases: bool = False, restore_optimizer_state: bool | None = None,
    ):  # fmt: skip
        self.restore_optimizer_state = restore_optimizer_state
        self.allow_partial_checkpoint = allow_partial_checkpoint
        self.experimental_io_device = experimental_io_device
        self.experimental_skip_checkpoint = experimental_skip_checkpoint
        self.experimental_variable_policy = VariablePolicy.from_obj(experimental_variable_policy)
        self.experimental_load_function_aliases = experimental_load_function_aliases
