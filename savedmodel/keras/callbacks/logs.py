"""Callbacks that report epochs: to a CSV file, to an HTTP server."""

from __future__ import annotations

import collections.abc
import csv
import json
import logging
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import numpy as np

from savedmodel.keras.callbacks.base import Callback

__all__ = ["CSVLogger", "RemoteMonitor"]

_log = logging.getLogger("savedmodel")


class CSVLogger(Callback):
    """Writes the values of each epoch to a CSV file.

    Args:
        filename: the file. separator: between values. append: continue an existing file.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False):
        super().__init__()
        self.sep = separator
        self.filename = os.fspath(filename)
        self.append = append
        self.writer: Any = None
        self.keys: list[str] | None = None
        self.append_header = True

    def on_train_begin(self, logs: Any = None) -> None:
        if self.append and os.path.exists(self.filename):
            with open(self.filename) as file:
                self.append_header = not file.readline()
        self.csv_file = open(self.filename, "a" if self.append else "w", newline="")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(k.startswith("val_") for k in self.keys):  # validation may run in later epochs
                self.keys += [f"val_{k}" for k in self.keys]
        if self.writer is None:
            self.writer = csv.DictWriter(self.csv_file, fieldnames=["epoch", *self.keys], delimiter=self.sep, lineterminator="\r\n")
            if self.append_header:
                self.writer.writeheader()
        self.writer.writerow({"epoch": epoch, **{k: _cell(logs.get(k, "NA")) for k in self.keys}})
        self.csv_file.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self.csv_file.close()
        self.writer = None


def _cell(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, collections.abc.Iterable) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value
    return f'"[{", ".join(map(str, value))}]"'


class RemoteMonitor(Callback):
    """Posts the values of each epoch to an HTTP server, as JSON in a form field or as the body.

    Args:
        root, path: of the address. field: name of the form field. headers: extra HTTP headers. send_as_json: post the JSON itself.
    """

    def __init__(
        self, root: str = "http://localhost:9000", path: str = "/publish/epoch/end/", field: str = "data", headers: Any = None,
        send_as_json: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = {"epoch": epoch, **{k: v.item() if isinstance(v, (np.ndarray, np.generic)) else v for k, v in (logs or {}).items()}}
        headers = dict(self.headers or {})
        if self.send_as_json:
            body = json.dumps(values).encode()
            headers.setdefault("Content-Type", "application/json")
        else:
            body = urllib.parse.urlencode({self.field: json.dumps(values)}).encode()
        if not self.root.startswith(("http://", "https://")):
            raise ValueError(f"RemoteMonitor: expected root to be an http or https address, received {self.root!r}")
        try:
            with urllib.request.urlopen(urllib.request.Request(self.root + self.path, body, headers), timeout=10):
                pass
        except (urllib.error.URLError, OSError):
            _log.warning("Warning: could not reach RemoteMonitor root server at %s", self.root)
