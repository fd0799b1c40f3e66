"""Checkpoints in a directory: keeping some, finding the latest, looking into one. It refuses to touch objects; `checkpoint` does.

Behaviour and words follow TensorFlow 2.15.
"""

from __future__ import annotations

import collections
import contextlib
import copy
import glob
import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from savedmodel.checkpoint import CheckpointOptions
from savedmodel.checkpoint_restore import node_names, owned, parse_object_graph
from savedmodel.errors import FormatError, MissingFileError
from savedmodel.format import checkpoint_state, v1_checkpoint
from savedmodel.format.checkpoint_state import checkpoint_exists, get_checkpoint_state, latest_checkpoint
from savedmodel.trackable import children_of, is_trackable
from savedmodel.writer import OBJECT_GRAPH_KEY
from tracer.dtypes import DType, as_dtype
from tracer.errors import InvalidArgumentError

__all__ = [
    "CheckpointManager",
    "CheckpointReader",
    "CheckpointView",
    "TrackableView",
    "checkpoint_exists",
    "checkpoints_iterator",
    "get_checkpoint_state",
    "latest_checkpoint",
    "list_variables",
    "load_checkpoint",
    "load_variable",
    "update_checkpoint_state",
]

_log = logging.getLogger("savedmodel")


def update_checkpoint_state(
    save_dir: Any, model_checkpoint_path: Any, all_model_checkpoint_paths: Any = None, latest_filename: str | None = None,
    all_model_checkpoint_timestamps: Any = None, last_preserved_timestamp: float | None = None,
) -> None:  # fmt: skip
    """Write the state file of `save_dir`; see `savedmodel.format.checkpoint_state`."""
    checkpoint_state.update_checkpoint_state(
        save_dir, model_checkpoint_path, all_model_checkpoint_paths, latest_filename, all_model_checkpoint_timestamps,
        last_preserved_timestamp,
    )  # fmt: skip


class CheckpointManager:
    """Keeps some checkpoints of a directory and deletes others. What it knows lives in the state file, and another manager goes on with it.

    Args:
        checkpoint: the Checkpoint to save.
        directory: where.
        max_to_keep: how many to keep; None: all.
        keep_checkpoint_every_n_hours: one that would be deleted stays for good when the last such one is so much older.
        checkpoint_name: start of the files' names.
        step_counter, checkpoint_interval: save only when so many steps have passed since the last save.
        init_fn: called by `restore_or_initialize` when there is nothing to restore.

    Raises:
        ValueError: `max_to_keep` is not positive; an interval without a step counter.
    """

    def __init__(
        self, checkpoint: Any, directory: Any, max_to_keep: int | None, keep_checkpoint_every_n_hours: float | None = None,
        checkpoint_name: str = "ckpt", step_counter: Any = None, checkpoint_interval: int | None = None,
        init_fn: Callable[[], Any] | None = None,
    ):  # fmt: skip
        if max_to_keep is not None and max_to_keep <= 0:
            raise InvalidArgumentError(f"Expected a positive integer or `None` for `max_to_keep`, got {max_to_keep}.")
        if checkpoint_interval is not None and step_counter is None:
            raise InvalidArgumentError("`step_counter` should be passed if `checkpoint_interval` is not None.")
        self._checkpoint = checkpoint
        self._max_to_keep = max_to_keep
        self._keep_hours = keep_checkpoint_every_n_hours
        self._directory = os.fspath(directory)
        self._prefix = os.path.join(self._directory, checkpoint_name)
        self._init_fn = init_fn
        self._step_counter = step_counter
        self._checkpoint_interval = checkpoint_interval
        self._last_checkpoint_step: int | None = None
        self._maybe_delete: collections.OrderedDict[str, float] = collections.OrderedDict()
        now = time.time()
        state = get_checkpoint_state(self._directory)
        if state is None:
            self._latest_checkpoint: str | None = None
            self._last_preserved_timestamp = now - 1.0  # a little back, so that a manager made again at once keeps the first checkpoint
            return
        self._latest_checkpoint = state.model_checkpoint_path
        self._last_preserved_timestamp = state.last_preserved_timestamp
        if now < self._last_preserved_timestamp:
            _log.warning(
                "time.time() returned a value %f seconds behind the last preserved checkpoint timestamp.", self._last_preserved_timestamp - now
            )
            self._last_preserved_timestamp = now
        paths = list(state.all_model_checkpoint_paths)
        times = list(state.all_model_checkpoint_timestamps) or [self._last_preserved_timestamp] * len(paths)
        for path, stamp in zip(paths, times, strict=False):
            stamp = min(stamp, now)
            if stamp > self._last_preserved_timestamp:
                self._maybe_delete[path] = stamp

    @property
    def directory(self) -> str:
        return self._directory

    @property
    def checkpoint_interval(self) -> int | None:
        return self._checkpoint_interval

    @property
    def checkpoint(self) -> Any:
        return self._checkpoint

    @property
    def latest_checkpoint(self) -> str | None:
        """The prefix of the newest checkpoint, or None."""
        return self._latest_checkpoint

    @property
    def checkpoints(self) -> list[str]:
        """The prefixes that may be deleted later, oldest first."""
        return list(self._maybe_delete)

    def save(self, checkpoint_number: Any = None, check_interval: bool = True, options: CheckpointOptions | None = None) -> str | None:
        """Write a checkpoint, then delete old ones.

        Args:
            checkpoint_number: an int or variable to name it by; by default the save counter, which is counted in any case.
            check_interval: save nothing before `checkpoint_interval` steps have passed.

        Returns:
            Its prefix; None where nothing was saved.
        """
        if self._checkpoint_interval is not None:
            step = _integer(self._step_counter)
            last = self._last_checkpoint_step
            if last is not None and (step == last or (check_interval and step < last + self._checkpoint_interval)):
                return None
            self._last_checkpoint_step = step
        counter = self._checkpoint.save_counter
        counter.assign_add(1)
        number = _integer(counter if checkpoint_number is None else checkpoint_number)
        options = copy.copy(options) if options is not None else CheckpointOptions()
        options.experimental_write_callbacks = [*(options.experimental_write_callbacks or []), self._record_and_sweep]
        return self._checkpoint._write(f"{self._prefix}-{number}", options)

    def _record_and_sweep(self, path: str) -> None:
        self._maybe_delete.pop(path, None)  # written again: it becomes the newest
        self._maybe_delete[path] = time.time()
        self._latest_checkpoint = path
        self._record()  # first, so that whoever is stopped while deleting finds the new one
        self._sweep()
        self._record()

    def _sweep(self) -> None:
        if not self._max_to_keep:
            return
        while len(self._maybe_delete) > self._max_to_keep:
            path, stamp = self._maybe_delete.popitem(last=False)
            if self._keep_hours and stamp - self._keep_hours * 3600.0 >= self._last_preserved_timestamp:
                self._last_preserved_timestamp = stamp
                continue
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + ".index")
            for name in glob.glob(f"{glob.escape(path)}.data-?????-of-?????"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)

    def _record(self) -> None:
        checkpoint_state.update_checkpoint_state(
            self._directory, self._latest_checkpoint or "", list(self._maybe_delete), None, list(self._maybe_delete.values()),
            self._last_preserved_timestamp, save_relative_paths=True,
        )  # fmt: skip

    def restore_or_initialize(self) -> str | None:
        """Restore the newest checkpoint and return its prefix; without one, call `init_fn` and return None."""
        if self._latest_checkpoint is not None:
            self._checkpoint.restore(self._latest_checkpoint)
            if self._checkpoint_interval is not None:
                self._last_checkpoint_step = _integer(self._step_counter)
            return self._latest_checkpoint
        if self._init_fn is not None:
            self._init_fn()
            _log.info("Customized initialization is done through the passed `init_fn`.")
        return None

    def sync(self) -> None:
        """Nothing: a checkpoint is on disk when `save` returns."""


def _integer(value: Any) -> int:
    return int(value.numpy()) if hasattr(value, "numpy") else int(value)


# -- waiting -----------------------------------------------------------------------------------------------------------


def checkpoints_iterator(
    checkpoint_dir: Any, min_interval_secs: float = 0, timeout: float | None = None, timeout_fn: Callable[[], Any] | None = None
) -> Iterator[str]:
    """Yield the latest checkpoint of a directory whenever there is a new one.

    Args:
        min_interval_secs: least time between two.
        timeout: how long to wait for each; None: for ever.
        timeout_fn: called when it is over; True ends the iteration, False goes on waiting. Without it, the iteration ends.
    """
    path: str | None = None
    while True:
        new = _wait_for_new(checkpoint_dir, path, timeout)
        if new is None:
            if timeout_fn is None or timeout_fn():
                return
            continue
        start = time.time()
        path = new
        yield path
        left = start + min_interval_secs - time.time()
        if left > 0:
            time.sleep(left)


def _wait_for_new(directory: Any, last: str | None, timeout: float | None, pause: float = 1.0) -> str | None:
    stop = None if timeout is None else time.time() + timeout
    while True:
        path = latest_checkpoint(directory)
        if path is not None and path != last:
            return path
        if stop is not None and time.time() + pause > stop:
            return None
        time.sleep(pause)


# -- looking into one --------------------------------------------------------------------------------------------------


class CheckpointReader:
    """The tensors of one checkpoint by key, whatever its version.

    Raises:
        FileNotFoundError: there is no checkpoint at `path`. DataLossError: damaged bytes.
    """

    def __init__(self, path: Any):
        self._reader = v1_checkpoint.open_checkpoint(os.fspath(path), memory_map=False)

    @property
    def variables(self) -> Any:
        """The mapping from key to lazily read tensor."""
        return self._reader

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        return {key: list(self._reader.shape(key)) for key in self._reader}

    def get_variable_to_dtype_map(self) -> dict[str, DType]:
        return {key: as_dtype(self._reader.dtype_number(key)) for key in self._reader}

    def has_tensor(self, tensor_str: str) -> bool:
        return tensor_str in self._reader

    def get_tensor(self, tensor_str: str) -> Any:
        """The value as an array of its own; bytes for a scalar string. KeyError where there is none."""
        value = owned(self._reader.read(tensor_str))
        return value.item() if value.dtype == object and value.ndim == 0 else value

    def debug_string(self) -> bytes:
        """A line per tensor: key, dtype and shape."""
        lines = [f"{key} (DT_{as_dtype(self._reader.dtype_number(key)).name.upper()}) {list(self._reader.shape(key))}" for key in self._reader]
        return "\n".join(lines).encode()


def _filename(path: Any) -> str | None:
    text = os.fspath(path)
    return latest_checkpoint(text) if os.path.isdir(text) else text


def load_checkpoint(ckpt_dir_or_file: Any) -> CheckpointReader:
    """A reader of the checkpoint at a prefix, or of the latest of a directory.

    Raises:
        ValueError: the directory has no checkpoint. FileNotFoundError: nothing at the prefix.
    """
    path = _filename(ckpt_dir_or_file)
    if path is None:
        raise FormatError(f"Couldn't find 'checkpoint' file or checkpoints in given directory {os.fspath(ckpt_dir_or_file)}")
    return CheckpointReader(path)


def load_variable(ckpt_dir_or_file: Any, name: str) -> Any:
    """The value stored under `name` (`:0` at its end is dropped), as an array. KeyError where there is none."""
    return load_checkpoint(ckpt_dir_or_file).get_tensor(name.removesuffix(":0"))


def list_variables(ckpt_dir_or_file: Any) -> list[tuple[str, list[int]]]:
    """(key, shape) of everything in a checkpoint, sorted by key."""
    return sorted(load_checkpoint(ckpt_dir_or_file).get_variable_to_shape_map().items())


# -- views -------------------------------------------------------------------------------------------------------------


class TrackableView:
    """The object graph below a live object.

    Args:
        root: a trackable object.
    """

    def __init__(self, root: Any):
        self._root = root

    @property
    def root(self) -> Any:
        return self._root

    @classmethod
    def children(cls, obj: Any, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        """The children of `obj` by name."""
        return dict(children_of(obj, save_type, **kwargs))

    def descendants(self) -> list[Any]:
        """All objects from the root, breadth-first."""
        found, seen = [self._root], {id(self._root)}
        for obj in found:
            for child in self.children(obj).values():
                if id(child) not in seen:
                    seen.add(id(child))
                    found.append(child)
        return found


class CheckpointView:
    """The object graph inside a checkpoint.

    Raises:
        ValueError: the checkpoint has no object graph (it is name-based). FileNotFoundError: there is none.
    """

    def __init__(self, save_path: Any):
        try:
            reader = v1_checkpoint.open_checkpoint(os.fspath(save_path))
        except MissingFileError as error:
            raise MissingFileError(f"CheckpointView: {error}") from None
        message = parse_object_graph(reader, OBJECT_GRAPH_KEY)
        if message is None:
            raise FormatError(
                f'The specified checkpoint "{save_path}" does not appear to be object-based (saved with TF2) since it is missing the key '
                f'"{OBJECT_GRAPH_KEY}". Likely it was created with the TF1 name-based saver and does not contain an object dependency graph.'
            )
        self._message = message

    def children(self, node_id: int) -> dict[str, int]:
        """Name → node id of the children of a node."""
        return {c.local_name: c.node_id for c in self._message.nodes[node_id].children}

    def descendants(self) -> list[int]:
        """Node ids reachable from the root, breadth-first."""
        found, seen = [0], {0}
        for i in found:
            for child in self.children(i).values():
                if child not in seen:
                    seen.add(child)
                    found.append(child)
        return found

    def names(self) -> dict[int, str]:
        """Node id → readable path."""
        return dict(node_names(self._message))

    def match(self, obj: Any) -> dict[int, Any]:
        """Node id → object of `obj`'s graph at the same place.

        Raises:
            ValueError: `obj` is not trackable.
        """
        if not is_trackable(obj):
            raise InvalidArgumentError(f"Expected a Trackable, got {obj!r} of type {type(obj)}.")
        found: dict[int, Any] = {0: obj}
        queue: collections.deque[tuple[int, Any]] = collections.deque([(0, obj)])
        visited: set[int] = set()
        while queue:
            node, current = queue.popleft()
            live = TrackableView.children(current)
            for name, child in self.children(node).items():
                if child in visited or child == 0 or name not in live:
                    continue
                if child not in found:
                    found[child] = live[name]
                    queue.append((child, live[name]))
                elif found[child] is not live[name]:
                    _log.warning(
                        "Inconsistent references when matching the checkpoint into this object graph. The referenced objects are: (%r and %r).",
                        found[child], live[name],
                    )  # fmt: skip
            visited.add(node)
        return found

    def diff(self, obj: Any) -> tuple[dict[int, Any], list[int], list[Any]]:
        """(what matches, node ids only in the checkpoint, objects only in `obj`'s graph)."""
        matching = self.match(obj)
        there = {id(o) for o in matching.values()}
        return matching, [i for i in self.descendants() if i not in matching], [o for o in TrackableView(obj).descendants() if id(o) not in there]

