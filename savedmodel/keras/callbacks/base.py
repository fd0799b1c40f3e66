"""Callback and the list that calls them; the callbacks that every training loop has (history, progress bar) and the plainest others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from savedmodel.keras.engine.base_layer import default, is_default
from savedmodel.keras.engine.training import sync_to_numpy_or_python_type
from savedmodel.keras.progbar import Progbar, print_msg
from tracer import nest
from tracer.errors import InvalidArgumentError

__all__ = ["BaseLogger", "Callback", "CallbackList", "History", "LambdaCallback", "ProgbarLogger", "TerminateOnNaN"]


class Callback:
    """Override the hooks you need. `self.model` is the model, `self.params` has `verbose`, `epochs` and `steps`.

    `logs` are values by name; `batch` and `epoch` count from 0.
    """

    def __init__(self) -> None:
        self.validation_data = None
        self.model: Any = None
        self._chief_worker_only = None
        self._supports_tf_logs = False

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self.model = model

    @default
    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Another name of `on_train_batch_begin`."""

    @default
    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Another name of `on_train_batch_end`."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before an epoch of training."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """After an epoch of training and its validation."""

    @default
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a training batch."""
        self.on_batch_begin(batch, logs=logs)

    @default
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a training batch."""
        self.on_batch_end(batch, logs=logs)

    @default
    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a batch of evaluation, also of validation in `fit`."""

    @default
    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch of evaluation, also of validation in `fit`."""

    @default
    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a batch of prediction."""

    @default
    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch of prediction."""

    def on_train_begin(self, logs: Any = None) -> None:
        """When `fit` begins."""

    def on_train_end(self, logs: Any = None) -> None:
        """When `fit` ends."""

    def on_test_begin(self, logs: Any = None) -> None:
        """When `evaluate` or a validation begins."""

    def on_test_end(self, logs: Any = None) -> None:
        """When `evaluate` or a validation ends."""

    def on_predict_begin(self, logs: Any = None) -> None:
        """When `predict` begins."""

    def on_predict_end(self, logs: Any = None) -> None:
        """When `predict` ends."""

    def _implements_train_batch_hooks(self) -> bool:
        hooks = (self.on_batch_begin, self.on_batch_end, self.on_train_batch_begin, self.on_train_batch_end)
        return not all(is_default(h) for h in hooks)

    def _implements_test_batch_hooks(self) -> bool:
        return not (is_default(self.on_test_batch_begin) and is_default(self.on_test_batch_end))

    def _implements_predict_batch_hooks(self) -> bool:
        return not (is_default(self.on_predict_batch_begin) and is_default(self.on_predict_batch_end))


class CallbackList:
    """Several callbacks as one.

    Args:
        callbacks: a callback or a list. add_history, add_progbar: add these where they are missing.
        model: of all callbacks. **params: of all callbacks.
    """

    def __init__(self, callbacks: Any = None, add_history: bool = False, add_progbar: bool = False, model: Any = None, **params: Any):
        self.callbacks: list[Any] = nest.flatten(callbacks) if callbacks else []
        self._history = next((c for c in self.callbacks if isinstance(c, History)), None)
        self._progbar = next((c for c in self.callbacks if isinstance(c, ProgbarLogger)), None)
        if self._history is None and add_history:
            self._history = History()
            self.callbacks.append(self._history)
        if self._progbar is None and add_progbar:
            self._progbar = ProgbarLogger(count_mode="steps")
            self.callbacks.append(self._progbar)
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)
        self._take_tensors = all(getattr(c, "_supports_tf_logs", False) for c in self.callbacks)
        kinds = ("train", "test", "predict")
        self._batch_callbacks = {k: [c for c in self.callbacks if getattr(c, f"_implements_{k}_batch_hooks")()] for k in kinds}
        self._batch_take_tensors = {k: all(getattr(c, "_supports_tf_logs", False) for c in found) for k, found in self._batch_callbacks.items()}

    def append(self, callback: Any) -> None:
        """Add a callback."""
        self.callbacks.append(callback)
        for kind, found in self._batch_callbacks.items():
            if getattr(callback, f"_implements_{kind}_batch_hooks")():
                found.append(callback)
                self._batch_take_tensors[kind] &= getattr(callback, "_supports_tf_logs", False)
        self._take_tensors &= getattr(callback, "_supports_tf_logs", False)

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params
        for c in self.callbacks:
            c.set_params(params)

    def set_model(self, model: Any) -> None:
        self.model = model
        if self._history is not None:
            model.history = self._history
        for c in self.callbacks:
            c.set_model(model)

    def _call(self, hook: str, *args: Any, logs: Any = None) -> None:
        logs = {} if logs is None else logs if self._take_tensors else sync_to_numpy_or_python_type(logs)
        for c in self.callbacks:
            getattr(c, hook)(*args, logs)

    def _call_batch(self, kind: str, when: str, batch: int, logs: Any) -> None:
        found = self._batch_callbacks[kind]
        if not found:
            return
        logs = {} if logs is None else logs if self._batch_take_tensors[kind] else sync_to_numpy_or_python_type(logs)
        for c in found:
            getattr(c, f"on_{kind}_batch_{when}")(batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._call("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._call("on_epoch_end", epoch, logs=logs)

    def on_train_begin(self, logs: Any = None) -> None:
        self._call("on_train_begin", logs=logs)

    def on_train_end(self, logs: Any = None) -> None:
        self._call("on_train_end", logs=logs)

    def on_test_begin(self, logs: Any = None) -> None:
        self._call("on_test_begin", logs=logs)

    def on_test_end(self, logs: Any = None) -> None:
        self._call("on_test_end", logs=logs)

    def on_predict_begin(self, logs: Any = None) -> None:
        self._call("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Any = None) -> None:
        self._call("on_predict_end", logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call_batch("train", "begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call_batch("train", "end", batch, logs)

    on_batch_begin = on_train_batch_begin
    on_batch_end = on_train_batch_end

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call_batch("test", "begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call_batch("test", "end", batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._call_batch("predict", "begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._call_batch("predict", "end", batch, logs)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.callbacks)


class BaseLogger(Callback):
    """Averages of metrics over an epoch.

    Args:
        stateful_metrics: names of values that are not averaged.
    """

    def __init__(self, stateful_metrics: Iterable[str] | None = None):
        super().__init__()
        self.stateful_metrics = set(stateful_metrics or ())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.seen = 0
        self.totals: dict[str, Any] = {}

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        logs = logs or {}
        size = logs.get("size", 0)
        self.seen += size * logs.get("num_steps", 1)
        for k, v in logs.items():
            self.totals[k] = v if k in self.stateful_metrics else self.totals.get(k, 0) + v * size

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is None:
            return
        for k in self.params["metrics"]:
            if k in self.totals:
                logs[k] = self.totals[k] if k in self.stateful_metrics else self.totals[k] / self.seen


class History(Callback):
    """Records the values of each epoch.

    Attributes:
        history: name → list of values. epoch: the epochs recorded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Any = None) -> None:
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for k, v in (logs or {}).items():
            self.history.setdefault(k, []).append(v)
        self.model.history = self


class TerminateOnNaN(Callback):
    """Stops training when the loss is no longer a number."""

    def __init__(self) -> None:
        super().__init__()
        self._supports_tf_logs = True

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(sync_to_numpy_or_python_type(loss)):
            print_msg(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True


class LambdaCallback(Callback):
    """Hooks given as functions; any hook by its name."""

    def __init__(
        self, on_epoch_begin: Callable[..., Any] | None = None, on_epoch_end: Callable[..., Any] | None = None,
        on_batch_begin: Callable[..., Any] | None = None, on_batch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None, on_train_end: Callable[..., Any] | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__()
        self.__dict__.update(kwargs)
        hooks = {
            "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_batch_begin": on_batch_begin, "on_batch_end": on_batch_end,
            "on_train_begin": on_train_begin, "on_train_end": on_train_end,
        }  # fmt: skip
        self.__dict__.update({k: v for k, v in hooks.items() if v is not None})


class ProgbarLogger(Callback):
    """The progress bar of training loops.

    Args:
        count_mode: "samples" or "steps". stateful_metrics: names of values that are not averaged.

    Raises:
        ValueError: another `count_mode`.
    """

    def __init__(self, count_mode: str = "samples", stateful_metrics: Iterable[str] | None = None):
        super().__init__()
        if count_mode not in ("samples", "steps"):
            raise InvalidArgumentError(f'Unknown `count_mode`: {count_mode}. Expected values are ["samples", "steps"]')
        self._supports_tf_logs = True
        self.use_steps = count_mode == "steps"
        self.stateful_metrics = set(stateful_metrics or ())
        self.seen = 0
        self.progbar: Progbar | None = None
        self.target: int | None = None
        self.verbose = 1
        self.epochs = 1
        self._counters: dict[str, Any] = {}
        self._call_batch_hooks = True
        self._in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        self.verbose = params["verbose"]
        self.epochs = params["epochs"]
        self.target = params.get("steps" if self.use_steps else "samples")
        self._call_batch_hooks = self.verbose == 1
        if self.target is None:
            counters = {k: getattr(self.model, f"_{k}_counter", None) for k in ("train", "test", "predict")}
            if any(v is None for v in counters.values()):
                self._call_batch_hooks = True
            else:
                self._counters = counters

    def _implements_train_batch_hooks(self) -> bool:
        return self._call_batch_hooks

    _implements_test_batch_hooks = _implements_train_batch_hooks
    _implements_predict_batch_hooks = _implements_train_batch_hooks

    def on_train_begin(self, logs: Any = None) -> None:
        self._in_fit = True

    def on_test_begin(self, logs: Any = None) -> None:
        if not self._in_fit:
            self._reset()

    def on_predict_begin(self, logs: Any = None) -> None:
        self._reset()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._reset()
        if self.verbose and self.epochs > 1:
            print_msg(f"Epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._update(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._in_fit:
            self._update(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._update(batch, None)  # outputs are no metrics

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._finish(logs, "train")

    def on_test_end(self, logs: Any = None) -> None:
        if not self._in_fit:
            self._finish(logs, "test")

    def on_predict_end(self, logs: Any = None) -> None:
        self._finish(logs, "predict")

    def _reset(self) -> None:
        self.seen = 0
        self.progbar = None
        self._start()

    def _start(self) -> Progbar:
        if self.model is not None:
            self.stateful_metrics |= {m.name for m in self.model.metrics}
        if self.progbar is None:
            self.progbar = Progbar(
                target=self.target, verbose=self.verbose, stateful_metrics=self.stateful_metrics, unit_name="step" if self.use_steps else "sample"
            )
        self.progbar._update_stateful_metrics(self.stateful_metrics)
        return self.progbar

    def _update(self, batch: int, logs: Any) -> None:
        logs = dict(logs or {})
        bar = self._start() if self.progbar is None or batch <= 1 else self.progbar
        if self.use_steps:
            self.seen = batch + 1
        else:
            logs.pop("batch", None)
            self.seen += logs.pop("num_steps", 1) * logs.pop("size", 0)
        if self.verbose == 1:
            bar.update(self.seen, list(sync_to_numpy_or_python_type(logs).items()), finalize=False)

    def _finish(self, logs: Any, kind: str) -> None:
        logs = sync_to_numpy_or_python_type(logs or {})
        bar = self._start() if self.progbar is None else self.progbar
        if self.target is None:
            counter = self._counters.get(kind)
            counted = int(counter.numpy()) if counter is not None else 0
            if counter is not None and not self.use_steps:
                counted *= logs.get("size", 1)
            self.target = counted or self.seen
            bar.target = self.target
        bar.update(self.target, list(logs.items()), finalize=True)
