"""Keras models as SavedModel directories: writing. Reading is `revival`'s matter; other formats have modules of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from savedmodel.keras.saving.layer_children import saving_options
from savedmodel.keras.saving.layer_records import metadata_bytes
from savedmodel.options import SaveOptions
from savedmodel.writer import SavedModelWriter

__all__ = ["save_saved_model"]


@contextlib.contextmanager
def _options(save_traces: bool, include_optimizer: bool) -> Iterator[None]:
    previous = saving_options.save_traces, saving_options.include_optimizer
    saving_options.save_traces, saving_options.include_optimizer = save_traces, include_optimizer
    try:
        yield
    finally:
        saving_options.save_traces, saving_options.include_optimizer = previous


def save_saved_model(
    model: Any, path: Any, include_optimizer: bool = True, signatures: Any = None, options: SaveOptions | None = None, save_traces: bool = True
) -> None:
    """Write `model` as a SavedModel with Keras's metadata.

    Args:
        include_optimizer: keep the optimizer's state and the compile arguments.
        signatures: in place of `serving_default`; see `savedmodel.save`.
        save_traces: trace the layers' calls, so that they can be revived without their classes.

    Raises:
        ValueError: the model was never built; the message tells how to build it.
    """
    check_savable(model)
    if include_optimizer and getattr(model, "optimizer", None) is not None and hasattr(model.optimizer, "build"):
        _build_optimizer(model)
    with _options(save_traces, include_optimizer):
        writer = SavedModelWriter(model, signatures, options or SaveOptions())
        metadata = metadata_bytes(writer.graph, include_optimizer)
    writer.add_file("keras_metadata.pb", metadata)
    writer.write(path)


def _build_optimizer(model: Any) -> None:
    """Metrics and losses of a compiled model with outputs are made before it is saved, as Keras does."""
    if getattr(model, "outputs", None):
        for name in ("compiled_loss", "compiled_metrics"):
            container = getattr(model, name, None)
            if container is not None and not getattr(container, "built", getattr(container, "_built", True)):
                container.build(model.outputs, model.outputs) if name == "compiled_metrics" else container.build(model.outputs)


def check_savable(model: Any) -> None:
    """Raise ValueError for a model that was never called or built."""
    if getattr(model, "_is_graph_network", False) or not hasattr(type(model), "train_step"):
        return
    if model._get_save_spec() is not None:
        return
    call = getattr(model, "call", None)
    if getattr(call, "input_signature", None) is not None:
        return
    name = model.name
    if any(c.__name__ == "Sequential" for c in type(model).__mro__):
        raise ValueError(
            f"Model {name} cannot be saved because the input shape is not available or because the forward pass of the model is not "
            f"defined. To define a forward pass, please override `Model.call()`. To specify an input shape, either call `build(input_shape)` "
            f"directly, or call the model on actual data using `Model()`, `Model.fit()`, or `Model.predict()`; specify an input shape either by calling one of these."
        )
    raise ValueError(
        f"Model {name} cannot be saved either because the input shape is not available or because the forward pass of the model is not "
        f"defined. To define a forward pass, please override `Model.call()`. To specify an input shape, either call `build(input_shape)` "
        f"directly, or call the model on actual data using `Model()`, `Model.fit()`, or `Model.predict()`. If you have a custom training step, "
        f"please make sure to invoke the forward pass in train step through `Model.__call__`, i.e. `model(inputs)`, as opposed to `model.call()`."
    )
