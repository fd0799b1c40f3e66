"""Callbacks that steer training: stop early, change the learning rate."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from savedmodel.keras.callbacks.base import Callback
from savedmodel.keras.progbar import print_msg
from tracer.errors import InvalidArgumentError
from tracer.tensor import Tensor

__all__ = ["EarlyStopping", "LearningRateScheduler", "ReduceLROnPlateau"]

_log = logging.getLogger("savedmodel")


def _check_mode(owner: str, mode: str) -> str:
    if mode in ("auto", "min", "max"):
        return mode
    _log.warning("%s mode %s is unknown, fallback to auto mode.", owner, mode)
    return "auto"


class EarlyStopping(Callback):
    """Stops training when a value has not improved for some epochs.

    Args:
        monitor: name of the value. min_delta: least change that counts. patience: epochs to wait.
        mode: whether smaller ("min") or larger ("max") is better, or "auto" by the name.
        baseline: value that must be reached. restore_best_weights: go back to the weights of the best epoch.
        start_from_epoch: epochs that do not count.
    """

    def __init__(
        self, monitor: str = "val_loss", min_delta: float = 0, patience: int = 0, verbose: int = 0, mode: str = "auto",
        baseline: float | None = None, restore_best_weights: bool = False, start_from_epoch: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.monitor = monitor
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.wait = 0
        self.stopped_epoch = 0
        self.restore_best_weights = restore_best_weights
        self.best_weights: Any = None
        self.start_from_epoch = start_from_epoch
        mode = _check_mode("EarlyStopping", mode)
        larger = mode == "max" or (mode == "auto" and self.monitor.endswith(("acc", "accuracy", "auc")))
        self.monitor_op = np.greater if larger else np.less
        self.min_delta = abs(min_delta) if larger else -abs(min_delta)

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = np.inf if self.monitor_op is np.less else -np.inf
        self.best_weights = None
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True
            if self.restore_best_weights and self.best_weights is not None:
                if self.verbose > 0:
                    print_msg(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
                self.model.set_weights(self.best_weights)

    def on_train_end(self, logs: Any = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            print_msg(f"Epoch {self.stopped_epoch + 1}: early stopping")

    def get_monitor_value(self, logs: Any) -> Any:
        """The monitored value, or None and a warning where the logs lack it."""
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            _log.warning(
                "Early stopping conditioned on metric `%s` which is not available. Available metrics are: %s", self.monitor, ",".join(logs)
            )
        return value

    def _is_improvement(self, value: Any, reference: Any) -> bool:
        return bool(self.monitor_op(value - self.min_delta, reference))


def _learning_rate(optimizer: Any) -> Any:
    return getattr(optimizer, "learning_rate", None) if hasattr(optimizer, "learning_rate") else getattr(optimizer, "lr", None)


def _value(rate: Any) -> float:
    return float(rate.numpy()) if hasattr(rate, "numpy") else float(rate)


def _set_learning_rate(optimizer: Any, value: float) -> None:
    rate = _learning_rate(optimizer)
    if hasattr(rate, "assign"):
        rate.assign(value)
    else:
        optimizer.learning_rate = value


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch.

    Args:
        schedule: `schedule(epoch, rate)` (or `schedule(epoch)`) → new rate.
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0):
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if _learning_rate(self.model.optimizer) is None:
            raise InvalidArgumentError('Optimizer must have a "lr" attribute.')
        try:
            rate = self.schedule(epoch, _value(_learning_rate(self.model.optimizer)))
        except TypeError:
            rate = self.schedule(epoch)
        if not isinstance(rate, (Tensor, float, np.float32, np.float64)):
            raise InvalidArgumentError(f'The output of the "schedule" function should be float. Got: {rate}')
        if isinstance(rate, Tensor) and not rate.dtype.is_floating:
            raise InvalidArgumentError(f"The dtype of `lr` Tensor should be float. Got: {rate.dtype}")
        _set_learning_rate(self.model.optimizer, _value(rate))
        if self.verbose > 0:
            print_msg(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["lr"] = _learning_rate(self.model.optimizer).numpy()


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when a value has not improved for some epochs.

    Args:
        monitor, patience, mode, min_delta: as for EarlyStopping. cooldown: epochs to wait after a reduction. min_lr: lowest rate.

    Raises:
        ValueError: `factor` is not below 1.
    """

    def __init__(
        self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0, mode: str = "auto",
        min_delta: float = 0.0001, cooldown: int = 0, min_lr: float = 0, **kwargs: Any,
    ):  # fmt: skip
        super().__init__()
        if factor >= 1.0:
            raise InvalidArgumentError(f"ReduceLROnPlateau does not support a factor >= 1.0. Got {factor}")
        if "epsilon" in kwargs:
            min_delta = kwargs.pop("epsilon")
            _log.warning("`epsilon` argument is deprecated and will be removed, use `min_delta` instead.")
        self.monitor = monitor
        self.factor = factor
        self.min_lr = min_lr
        self.min_delta = min_delta
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.mode = _check_mode("Learning rate reduction", mode)
        self._reset()

    def _reset(self) -> None:
        smaller = self.mode == "min" or (self.mode == "auto" and "acc" not in self.monitor)
        delta = self.min_delta
        self.monitor_op = (lambda a, b: np.less(a, b - delta)) if smaller else (lambda a, b: np.greater(a, b + delta))
        self.best = np.inf if smaller else -np.inf
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs if logs is not None else {}
        logs["lr"] = _learning_rate(self.model.optimizer).numpy()
        current = logs.get(self.monitor)
        if current is None:
            _log.warning(
                "Learning rate reduction is conditioned on metric `%s` which is not available. Available metrics are: %s",
                self.monitor,
                ",".join(logs),
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.monitor_op(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        old = _learning_rate(self.model.optimizer).numpy()
        if old <= np.float32(self.min_lr):
            return
        new = max(float(old) * self.factor, self.min_lr)
        _set_learning_rate(self.model.optimizer, new)
        if self.verbose > 0:
            print_msg(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0

    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0
