"""PreprocessingLayer: a layer whose state is computed by `adapt` before training. It refuses to know what the state is."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.engine.base_layer import Layer
from tracer import dispatch
from tracer.tensor import Tensor

__all__ = ["PreprocessingLayer", "checked_choice"]


def checked_choice(value: Any, choices: tuple[str, ...], layer: str, argument: str, or_none: bool = False, or_callable: bool = False) -> None:
    """Raise ValueError unless `value` is one of `choices` (or None, or a callable, where these are allowed)."""
    if (or_none and value is None) or (or_callable and callable(value)) or (isinstance(value, str) and value in choices):
        return
    if callable(value):
        raise ValueError(
            f"The `{argument}` argument of layer {layer} received a callable. Callables are not supported for it: only the values {choices} are."
        )
    allowed = ("`None`, " if or_none else "") + ("a `Callable`, or " if or_callable else "") + f"one of the following values: {choices}"
    raise ValueError(f"Unknown value for `{argument}` argument of layer {layer}. Allowed values are: {allowed}. Received: {value}")


class PreprocessingLayer(Layer):
    """A layer with `adapt`. Subclasses define `update_state`, `reset_state` and, where needed, `finalize_state`.

    Such layers are rebuilt from their config when a model is loaded, never revived from traced functions.
    """

    _must_restore_from_config = True

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self._is_adapted = False

    @property
    def is_adapted(self) -> bool:
        """Whether `adapt` ran, and the state was not reset since."""
        return self._is_adapted

    def update_state(self, data: Any) -> None:
        """Take a batch into account."""
        raise NotImplementedError(f"{type(self).__name__}.update_state: define it to accumulate statistics of a batch, or do not call adapt()")

    def reset_state(self) -> None:
        """Forget all batches."""
        raise NotImplementedError(f"{type(self).__name__}.reset_state: define it to forget the statistics, or do not call adapt()")

    def compile(self, run_eagerly: bool | None = None, steps_per_execution: int | None = None) -> None:
        """Accepted for compatibility: `adapt` always runs eagerly, batch by batch."""

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Compute the state from data.

        Args:
            data: an array, tensor, list of values, or a Dataset of batches.
            batch_size: rows per update, 32 by default; for arrays only.
            steps: how many batches to take; all by default.

        Raises:
            RuntimeError: called while a function is traced.
        """
        from savedmodel.keras.engine.data_adapter import DataHandler

        if not dispatch.executing_eagerly():
            raise RuntimeError(
                f"Detected a call to `{type(self).__name__}.adapt` inside a `tf.function`. `adapt` computes a state from concrete data; call it "
                f"outside of all `tf.function`s."
            )
        if self.built:
            self.reset_state()
        handler = DataHandler(data, batch_size=batch_size, steps_per_epoch=steps, epochs=1)
        for _, batches in handler.enumerate_epochs():
            with handler.catch_stop_iteration():
                for _ in handler.steps():
                    batch = next(batches)
                    self._adapt_maybe_build(batch)
                    self.update_state(batch)
        self.finalize_state()
        self.__dict__["_is_adapted"] = True

    def _adapt_maybe_build(self, data: Any) -> None:
        if self.built:
            return
        shape = getattr(data, "shape", None)
        if getattr(self, "_batch_input_shape", None) is None:
            self.__dict__["_batch_input_shape"] = None if shape is None or shape.rank is None else (None,) * shape.rank
        if isinstance(data, Tensor) and shape is not None:
            # The number of rows of the first batch is nobody's business.
            shape = type(shape)([None, *shape.as_list()[1:]]) if shape.rank else shape
        self.build(shape)
        self.__dict__["built"] = True
