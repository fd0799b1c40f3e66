"""TensorBoard: event files with the values of epochs and batches, weights as histograms, and the model's graph of layers.

The event messages are written by hand (they are few and frozen), so that no schema is needed.
"""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from typing import Any

import numpy as np

from savedmodel.format import crc32c
from savedmodel.keras.callbacks.base import Callback
from savedmodel.keras.engine.training import sync_to_numpy_or_python_type

__all__ = ["EventFileWriter", "TensorBoard"]

_serial = itertools.count()


def _varint(value: int) -> bytes:
    out = bytearray()
    value &= (1 << 64) - 1
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _int(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _tensor(array: np.ndarray) -> bytes:
    """A TensorProto of float32 or float64."""
    dtype, kind = (1, "<f4") if array.dtype == np.float32 else (2, "<f8")
    shape = b"".join(_field(2, _int(1, d)) for d in array.shape)
    return _int(1, dtype) + _field(2, shape) + _field(4, array.astype(kind).tobytes())


def _metadata(plugin: str, content: bytes = b"") -> bytes:
    return _field(1, _field(1, plugin.encode()) + (_field(2, content) if content else b""))


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", crc32c.mask(crc32c.value(data)))


class EventFileWriter:
    """Appends events to one `events.out.tfevents…` file in `folder`."""

    def __init__(self, folder: str):
        os.makedirs(folder, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{next(_serial)}.v2"
        self.path = os.path.join(folder, name)
        self._file = open(self.path, "wb")
        self._write(_field(3, b"brain.Event:2"))

    def _write(self, event: bytes) -> None:
        data = _double(1, time.time()) + event
        header = struct.pack("<Q", len(data))
        self._file.write(header + _checksum(header) + data + _checksum(data))

    def _value(self, tag: str, step: int, tensor: bytes, metadata: bytes) -> None:
        value = _field(1, tag.encode()) + _field(8, tensor) + _field(9, metadata)
        self._write(_int(2, step) + _field(5, _field(1, value)))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """A number."""
        self._value(tag, step, _tensor(np.asarray(value, np.float32)), _metadata("scalars"))

    def histogram(self, tag: str, values: Any, step: int, buckets: int = 30) -> None:
        """The distribution of an array: rows of (left, right, count)."""
        flat = np.asarray(values, np.float64).reshape(-1)
        if not flat.size:
            table = np.zeros((0, 3))
        elif flat.min() == flat.max():
            table = np.array([[flat[0] - 0.5, flat[0] + 0.5, flat.size]])
        else:
            counts, edges = np.histogram(flat, buckets)
            table = np.stack([edges[:-1], edges[1:], counts], axis=1)
        self._value(tag, step, _tensor(table), _metadata("histograms"))

    def text(self, tag: str, value: str, step: int, plugin: str = "text") -> None:
        """A string, as the plugin of that name reads it."""
        tensor = _int(1, 7) + _field(2, b"") + _field(8, value.encode())
        self._value(tag, step, tensor, _metadata(plugin))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class TensorBoard(Callback):
    """Writes event files that TensorBoard shows.

    Args:
        log_dir: folder; training goes to `train`, validation to `validation` inside it.
        histogram_freq: epochs between histograms of the weights (0: none). write_graph: record the graph of layers.
        update_freq: "epoch", "batch", or a number of batches between values of batches. write_steps_per_second: log the speed.
    """

    def __init__(
        self, log_dir: Any = "logs", histogram_freq: int = 0, write_graph: bool = True, write_images: bool = False,
        write_steps_per_second: bool = False, update_freq: Any = "epoch", profile_batch: Any = 0, embeddings_freq: int = 0,
        embeddings_metadata: Any = None, **kwargs: Any,
    ):  # fmt: skip
        super().__init__()
        self._supports_tf_logs = True
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_images = write_images
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.embeddings_freq = embeddings_freq
        self.embeddings_metadata = embeddings_metadata
        self._writers: dict[str, EventFileWriter] = {}
        self._step = 0

    def _writer(self, kind: str) -> EventFileWriter:
        if kind not in self._writers:
            self._writers[kind] = EventFileWriter(os.path.join(self.log_dir, kind))
        return self._writers[kind]

    def _implements_train_batch_hooks(self) -> bool:
        return self.update_freq != "epoch"

    def set_model(self, model: Any) -> None:
        self.model = model
        if self.write_graph and hasattr(model, "to_json"):
            try:
                text = model.to_json()
            except (NotImplementedError, TypeError, ValueError):
                return  # the model has no config: there is no graph of layers to show
            self._writer("train").text("keras", text, 0, "graph_keras_model")

    def on_train_begin(self, logs: Any = None) -> None:
        self._step = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch_start = time.time(), self._train_step()

    def _train_step(self) -> int:
        return int(self.model._train_counter.numpy())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._step += 1
        if isinstance(self.update_freq, int) and self._step % self.update_freq == 0:
            writer = self._writer("train")
            for name, value in sync_to_numpy_or_python_type(logs or {}).items():
                writer.scalar(f"batch_{name}", value, self._train_step())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = dict(sync_to_numpy_or_python_type(logs or {}))
        train = self._writer("train")
        rate = getattr(self.model.optimizer, "learning_rate", None)
        if hasattr(rate, "numpy"):
            logs["learning_rate"] = float(rate.numpy())
        if self.write_steps_per_second:
            start, step = self._epoch_start
            logs["steps_per_second"] = (self._train_step() - step) / max(time.time() - start, 1e-9)
        for name, value in logs.items():
            if np.ndim(value):
                continue
            if name.startswith("val_"):
                self._writer("validation").scalar(f"epoch_{name[4:]}", value, epoch)
            else:
                train.scalar(f"epoch_{name}", value, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for layer in self.model.layers:
                for weight in layer.weights:
                    train.histogram(weight.name.replace(":", "_") + "/histogram", weight.numpy(), epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_test_end(self, logs: Any = None) -> None:
        counter = getattr(self.model, "_train_counter", None)
        if counter is None or not logs:
            return
        writer = self._writer("validation")
        for name, value in sync_to_numpy_or_python_type(logs).items():
            if not np.ndim(value):
                writer.scalar(f"evaluation_{name}_vs_iterations", value, int(counter.numpy()))

    def on_train_end(self, logs: Any = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
