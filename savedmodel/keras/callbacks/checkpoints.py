"""Callbacks that save while training: the model or its weights, and backups to resume from."""

from __future__ import annotations

import logging
import os
import re
import shutil
from typing import Any

import numpy as np

from savedmodel.keras.callbacks.base import Callback
from savedmodel.keras.engine.training import sync_to_numpy_or_python_type
from savedmodel.keras.progbar import print_msg
from tracer.errors import InvalidArgumentError
from tracer.variable import Variable

__all__ = ["BackupAndRestore", "ModelCheckpoint"]

_log = logging.getLogger("savedmodel")


class ModelCheckpoint(Callback):
    """Saves the model or its weights every epoch, or every `save_freq` batches.

    Args:
        filepath: may hold `{epoch}`, `{batch}` and names of logged values as format fields; its suffix chooses the format.
        monitor, mode: the value that decides what is best, and whether it should be small or large.
        save_best_only: only save when it improved. save_weights_only: weights instead of the model.
        save_freq: "epoch", or a number of batches. initial_value_threshold: what must be beaten first.

    Raises:
        ValueError: another `save_freq`; TypeError: options of the wrong kind.
    """

    def __init__(
        self, filepath: Any, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False, save_weights_only: bool = False,
        mode: str = "auto", save_freq: Any = "epoch", options: Any = None, initial_value_threshold: float | None = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__()
        self._supports_tf_logs = True
        self.monitor = monitor
        self.verbose = verbose
        self.filepath = os.fspath(filepath)
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.epochs_since_last_save = 0
        self._batches_seen_since_last_saving = 0
        self._last_batch_seen = -1
        self._current_epoch = 0
        self._options = self._check_options(options)
        self.load_weights_on_restart = kwargs.get("load_weights_on_restart", False)
        if "load_weights_on_restart" in kwargs:
            _log.warning(
                "`load_weights_on_restart` argument is deprecated. Please use `model.load_weights()` for loading weights before the start of "
                "`model.fit()`."
            )
        self.period = kwargs.get("period", 1)
        if "period" in kwargs:
            _log.warning("`period` argument is deprecated. Please use `save_freq` to specify the frequency in number of batches seen.")
        if mode not in ("auto", "min", "max"):
            _log.warning("ModelCheckpoint mode %s is unknown, fallback to auto mode.", mode)
            mode = "auto"
        larger = mode == "max" or (mode == "auto" and ("acc" in self.monitor or self.monitor.startswith("fmeasure")))
        self.monitor_op = np.greater if larger else np.less
        self.best = initial_value_threshold if initial_value_threshold is not None else (-np.inf if larger else np.inf)
        if self.save_freq != "epoch" and not isinstance(self.save_freq, int):
            raise InvalidArgumentError(f'Unrecognized save_freq: {self.save_freq}. Expected save_freq are "epoch" or integer')

    def _check_options(self, options: Any) -> Any:
        if not self.save_weights_only and self.filepath.endswith(".keras") and options is not None:
            raise InvalidArgumentError(
                "The native Keras format does not support the `options` argument. Please remove the `options` argument, or use the SavedModel "
                "format by removing the `.keras` extension from the model filepath."
            )
        if options is None:
            return None
        wanted = "CheckpointOptions" if self.save_weights_only else "SaveOptions"
        if type(options).__name__ != wanted:
            space = "train" if self.save_weights_only else "saved_model"
            raise TypeError(
                f"If save_weights_only is {self.save_weights_only}, then `options` must be either None or a tf.{space}.{wanted}. Got {options}."
            )
        return options

    def on_train_begin(self, logs: Any = None) -> None:
        if not self.load_weights_on_restart:
            return
        path = self._get_most_recently_modified_file_matching_pattern(self.filepath)
        if path is not None and self._checkpoint_exists(path):
            try:
                self.model.load_weights(path)
            except (OSError, ValueError) as error:
                raise InvalidArgumentError(f"Error loading file from {path}. Reason: {error}") from error

    def _implements_train_batch_hooks(self) -> bool:
        return self.save_freq != "epoch"

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._should_save_on_batch(batch):
            self._save_model(self._current_epoch, batch, logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._current_epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs_since_last_save += 1
        if self.save_freq == "epoch":
            self._save_model(epoch, None, logs)

    def _should_save_on_batch(self, batch: int) -> bool:
        if self.save_freq == "epoch":
            return False
        new = batch + 1 if batch <= self._last_batch_seen else batch - self._last_batch_seen
        self._batches_seen_since_last_saving += new
        self._last_batch_seen = batch
        if self._batches_seen_since_last_saving >= self.save_freq:
            self._batches_seen_since_last_saving = 0
            return True
        return False

    def _save_model(self, epoch: int, batch: int | None, logs: Any) -> None:
        if not (isinstance(self.save_freq, int) or self.epochs_since_last_save >= self.period):
            return
        logs = sync_to_numpy_or_python_type(logs or {})
        self.epochs_since_last_save = 0
        path = self._get_file_path(epoch, batch, logs)
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_best_only:
            current = logs.get(self.monitor)
            if current is None:
                _log.warning("Can save best model only with %s available, skipping.", self.monitor)
                return
            if not self.monitor_op(current, self.best):
                if self.verbose > 0:
                    print_msg(f"\nEpoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5f}")
                return
            if self.verbose > 0:
                print_msg(f"\nEpoch {epoch + 1}: {self.monitor} improved from {self.best:.5f} to {current:.5f}, saving model to {path}")
            self.best = current
        elif self.verbose > 0:
            print_msg(f"\nEpoch {epoch + 1}: saving model to {path}")
        self._save_handler(path)

    def _save_handler(self, path: str) -> None:
        try:
            if self.save_weights_only:
                options = {} if path.endswith(".weights.h5") or self._options is None else {"options": self._options}
                self.model.save_weights(path, overwrite=True, **options)
            else:
                options = {} if path.endswith(".keras") or self._options is None else {"options": self._options}
                self.model.save(path, overwrite=True, **options)
        except OSError as error:
            if isinstance(error, IsADirectoryError) or "is a directory" in str(error).lower():
                raise OSError(
                    f"Please specify a non-directory filepath for ModelCheckpoint. Filepath used is an existing directory: {path}"
                ) from error
            raise

    def _get_file_path(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        try:
            if batch is None or "batch" in logs:
                return self.filepath.format(epoch=epoch + 1, **logs)
            return self.filepath.format(epoch=epoch + 1, batch=batch + 1, **logs)
        except KeyError as error:
            raise KeyError(f'Failed to format this callback filepath: "{self.filepath}". Reason: {error}') from None

    @staticmethod
    def _checkpoint_exists(path: str) -> bool:
        return os.path.exists(path) or (not path.endswith(".h5") and os.path.exists(path + ".index"))

    @staticmethod
    def _get_most_recently_modified_file_matching_pattern(pattern: str) -> str | None:
        """The newest file that the path pattern matches; the latest checkpoint of its folder comes first."""
        from savedmodel.format.checkpoint_state import latest_checkpoint

        folder, base = os.path.dirname(pattern), os.path.basename(pattern)
        expression = "^" + re.sub("{.*}", ".*", base) + "$"
        latest = latest_checkpoint(folder)
        if latest is not None and re.match(expression, os.path.basename(latest)):
            return latest
        if not os.path.isdir(folder):
            return None
        found = [os.path.join(folder, name) for name in os.listdir(folder) if re.match(expression, name)]
        if not found:
            return None
        times = [os.path.getmtime(path) for path in found]
        newest = [path for path, time in zip(found, times, strict=True) if time == max(times)]
        return newest[0] if len(newest) == 1 else max(found)


_NEVER = -1


class TrainingState:
    """The backup of one training run: model, optimizer, epoch and batch, in a checkpoint."""

    def __init__(self, model: Any, directory: str, save_freq: Any):
        from savedmodel.checkpoint import Checkpoint
        from savedmodel.checkpoint_management import CheckpointManager

        self._save_freq = save_freq
        self._ckpt_saved_epoch = Variable(np.int64(_NEVER), name="ckpt_saved_epoch", trainable=False)
        self._ckpt_saved_batch = Variable(np.int64(_NEVER), name="ckpt_saved_batch", trainable=False)
        checkpoint = Checkpoint(
            model=model, ckpt_saved_epoch=self._ckpt_saved_epoch, ckpt_saved_batch=self._ckpt_saved_batch, train_counter=model._train_counter
        )
        self.manager = CheckpointManager(checkpoint, directory=os.path.join(directory, "chief"), max_to_keep=1)

    def back_up(self, epoch: int, batch: int = 0) -> None:
        self.manager.save()

    def restore(self) -> None:
        self.manager.restore_or_initialize()

    def delete_backup(self) -> None:
        shutil.rmtree(self.manager.directory, ignore_errors=True)

    def maybe_load_initial_counters_from_ckpt(self, steps_per_epoch: int | None, initial_epoch: int) -> tuple[int, int]:
        """The epoch and the step in it to go on with."""
        epoch, batch = int(self._ckpt_saved_epoch.numpy()), int(self._ckpt_saved_batch.numpy())
        if isinstance(self._save_freq, int) and not isinstance(self._save_freq, bool):
            if batch >= 0:
                return (epoch + 1, 0) if steps_per_epoch is not None and batch == steps_per_epoch - 1 else (epoch, batch + 1)
        elif epoch >= 0:
            return epoch + 1, 0
        return initial_epoch, 0


class BackupAndRestore(Callback):
    """Backs training up, so that an interrupted `fit` resumes where it was when it is run again.

    Args:
        backup_dir: folder of the backup. save_freq: "epoch" or a number of batches.
        delete_checkpoint: remove the backup when training is done.

    Raises:
        ValueError: no `save_freq`.
    """

    def __init__(self, backup_dir: Any, save_freq: Any = "epoch", delete_checkpoint: bool = True, save_before_preemption: bool = False):
        super().__init__()
        if not save_freq and not save_before_preemption:
            raise InvalidArgumentError("Either `save_freq` or `save_before_preemption` must be set.")
        self.backup_dir = os.fspath(backup_dir)
        self._supports_tf_logs = True
        self.save_freq = save_freq
        self.delete_checkpoint = delete_checkpoint
        self.save_before_preemption = save_before_preemption
        self._batches_count = 0
        self._current_epoch = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._training_state = TrainingState(self.model, self.backup_dir, self.save_freq)
        self.model.__dict__["_training_state"] = self._training_state
        self._training_state.restore()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._training_state._ckpt_saved_batch.assign(batch)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.save_freq and self.save_freq != "epoch":
            self._batches_count += 1
            if self._batches_count >= self.save_freq:
                self._batches_count = 0
                self._training_state.back_up(self._current_epoch, batch)

    def _implements_train_batch_hooks(self) -> bool:
        return self.save_freq != "epoch"

    def on_train_end(self, logs: Any = None) -> None:
        if self.delete_checkpoint:
            self._training_state.delete_backup()
        del self._training_state
        self.model.__dict__["_training_state"] = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._training_state._ckpt_saved_epoch.assign(epoch)
        self._current_epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            self._training_state.back_up(epoch)
