"""The layers that `add_loss` and `add_metric` put into a functional model."""

from __future__ import annotations

from typing import Any

from savedmodel.keras.engine.base_layer import Layer

__all__ = ["AddLoss", "AddMetric"]


class AddLoss(Layer):
    """Adds its input to the losses and returns it.

    Args:
        unconditional: whether the loss does not depend on the model's inputs.
    """

    def __init__(self, unconditional: bool, **kwargs: Any):
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        self.unconditional = unconditional

    def call(self, inputs: Any) -> Any:  # type: ignore[override]
        self.add_loss(inputs, inputs=not self.unconditional)
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "unconditional": self.unconditional}


class AddMetric(Layer):
    """Reports its input as a metric and returns it.

    Args:
        aggregation: "mean" or None. metric_name: its name in logs.
    """

    def __init__(self, aggregation: str | None = None, metric_name: str | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.aggregation = aggregation
        self.metric_name = metric_name

    def call(self, inputs: Any) -> Any:  # type: ignore[override]
        self.add_metric(inputs, aggregation=self.aggregation, name=self.metric_name)
        return inputs

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "aggregation": self.aggregation, "metric_name": self.metric_name}
