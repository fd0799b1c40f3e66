"""Checkpoint: saving the values of an object graph and giving them back. How values are matched lives in `checkpoint_restore`.

It refuses to keep track of files on disk beyond the state file; `checkpoint_management` does. Behaviour and words follow TensorFlow 2.15.
"""

from __future__ import annotations

import copy
import inspect
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from savedmodel.checkpoint_restore import (
    CheckpointLoadStatus,
    CheckpointPosition,
    InitializationOnlyStatus,
    NameBasedRestore,
    NameBasedSaverStatus,
    RestoreCoordinator,
    parse_object_graph,
)
from savedmodel.errors import MissingFileError, NotSavableError
from savedmodel.format import checkpoint_state, v1_checkpoint
from savedmodel.object_graph import ObjectGraph
from savedmodel.trackable import AutoTrackable, NoDependency, Trackable, is_trackable
from savedmodel.writer import OBJECT_GRAPH_KEY, CheckpointWriter
from tracer import dispatch
from tracer.errors import InvalidArgumentError
from tracer.variable import Variable

__all__ = ["Checkpoint", "CheckpointOptions", "PythonState", "read_checkpoint", "write_checkpoint"]


class CheckpointOptions:
    """How to write and read a checkpoint.

    Args:
        experimental_io_device: kept; files are written and read by this process.
        experimental_enable_async_checkpoint, enable_async: kept; a checkpoint is on disk when the call returns.
        experimental_write_callbacks: functions of nothing or of the path, called in order after the checkpoint is written.

    Raises:
        ValueError: a callback takes more than one argument.
    """

    def __init__(
        self, experimental_io_device: str | None = None, experimental_enable_async_checkpoint: bool = False,
        experimental_write_callbacks: Sequence[Callable[..., Any]] | None = None, enable_async: bool = False,
        experimental_skip_slot_variables: bool = False, experimental_sharding_callback: Any = None,
    ):  # fmt: skip
        self.experimental_io_device = experimental_io_device
        self.enable_async = experimental_enable_async_checkpoint or enable_async
        self.experimental_enable_async_checkpoint = self.enable_async
        for callback in experimental_write_callbacks or ():
            if len(inspect.signature(callback).parameters) > 1:
                raise InvalidArgumentError(
                    f"CheckpointOptions > experimental_write_callbacks: expected functions of at most one argument (the path) - received {callback!r}"
                )
        self.experimental_write_callbacks = list(experimental_write_callbacks) if experimental_write_callbacks is not None else None
        self.experimental_skip_slot_variables = experimental_skip_slot_variables

    def __copy__(self) -> CheckpointOptions:
        result = CheckpointOptions.__new__(CheckpointOptions)
        result.__dict__.update(self.__dict__)
        result.experimental_write_callbacks = copy.copy(self.experimental_write_callbacks)
        return result


class PythonState(Trackable):
    """An object whose state is a string in the checkpoint. Subclasses define `serialize() -> str` and `deserialize(str)`."""

    def serialize(self) -> str:
        raise NotImplementedError(f"{type(self).__name__}.serialize: expected a method that returns the state as a string; define it")

    def deserialize(self, string_value: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__}.deserialize: expected a method that takes the state from a string; define it")

    _saved_last = True

    def _serialize_to_tensors(self) -> dict[str, Any]:
        return {"py_state": self.serialize()}

    def _restore_from_tensors(self, restored_tensors: dict[str, Any]) -> None:
        self.deserialize(restored_tensors["py_state"].numpy())


def write_checkpoint(root: Any, prefix: str, extra_root_children: dict[str, Any] | None = None) -> str:
    """Write the values of `root` and all below it at `prefix`; returns `prefix`.

    Raises:
        ValueError: a container was changed in a way that a checkpoint cannot express. OSError: the disk refuses.
    """
    if dispatch.current_graph() is not None:
        raise NotImplementedError(
            "Calling tf.train.Checkpoint.write() or save() from a function is not supported: files are written by Python code. Call it outside of tf.function."
        )
    if os.path.isdir(prefix + ".index"):
        raise NotSavableError(f"{prefix}: the checkpoint's index collides with a directory of that name; choose another prefix")
    graph = ObjectGraph(root, "checkpoint", extra_root_children)
    CheckpointWriter(graph).write(prefix, sync=True)
    return prefix


def read_checkpoint(
    root: Any, path: str | None, list_objects: Callable[[], ObjectGraph] | None = None, attached: dict[str, Any] | None = None
) -> Any:
    """Restore `root` and what is below it from the checkpoint at `path`; returns a status object.

    Args:
        path: the prefix, or None: then nothing is restored.
        list_objects: the object graph of `root` as it is when asked for. attached: further children of the root.

    Raises:
        FileNotFoundError: there is no checkpoint. ValueError: a shape or dtype does not fit. DataLossError: damaged bytes.
    """
    list_objects = list_objects or (lambda: ObjectGraph(root, "checkpoint"))
    if path is None:
        return InitializationOnlyStatus(list_objects, root)
    reader = v1_checkpoint.open_checkpoint(path, memory_map=False)  # variables get memory of their own
    message = parse_object_graph(reader, OBJECT_GRAPH_KEY)
    if message is None:
        restore = NameBasedRestore(reader)
        for obj in list_objects().nodes:
            restore.restore(obj)
        return NameBasedSaverStatus(restore, list_objects, root)
    coordinator = RestoreCoordinator(message, reader)
    CheckpointPosition(coordinator, 0).restore(root)
    ids = {child.local_name: child.node_id for child in message.nodes[0].children}
    for name, child in (attached or {}).items():
        if name != "root" and name in ids and coordinator.object_of(ids[name]) is None:
            CheckpointPosition(coordinator, ids[name]).restore(child)
    return CheckpointLoadStatus(coordinator, list_objects, root)


def _assert_trackable(obj: Any, name: str) -> None:
    if not is_trackable(obj):
        raise InvalidArgumentError(
            f"`Checkpoint` was expecting {name} to be a trackable object (an object derived from `Trackable`), got {obj!r}. Give it a variable, "
            f"module, layer, optimizer, or a list or dict of them."
        )


class Checkpoint(AutoTrackable):
    """Groups trackable objects, saves and restores their values.

    Args:
        root: the object at the root of the checkpoint; the Checkpoint itself by default. It may be a weak reference.
        **kwargs: further objects, under these names.

    Raises:
        ValueError: an argument cannot be tracked, or `root` has another child of that name.
    """

    def __init__(self, root: Any = None, **kwargs: Any):
        self._save_counter = NoDependency(None)
        attached = None
        if root is not None:
            target = root() if isinstance(root, weakref.ref) else root
            _assert_trackable(target, "root")
            attached = {}
            kwargs["root"] = root
            self._save_counter = NoDependency(_child(target, "save_counter"))
        for name, value in sorted(kwargs.items()):
            setattr(self, name, value)
            held = self._tracked.get(name, getattr(self, name))
            if isinstance(held, weakref.ref):
                held = held()
            _assert_trackable(held, name)
            if root is not None:
                child = _child(target, name)
                if child is None:
                    attached[name] = held  # type: ignore[index]
                elif child is not held:
                    raise InvalidArgumentError(f"Cannot create a Checkpoint with keyword argument {name} if root.{name} already exists.")
        self.__dict__["_attached"] = attached

    # -- the graph ---------------------------------------------------------------------------------------------------

    @property
    def _graph_root(self) -> Any:
        if self._attached is None:
            return self
        root = self.root() if isinstance(self.root, weakref.ref) else self.root
        if root is None:
            raise InvalidArgumentError("Checkpoint > root: the object that the weak reference led to is gone; keep a reference to it")
        return root

    def _object_graph(self) -> ObjectGraph:
        return ObjectGraph(self._graph_root, "checkpoint", self._attached)

    @property
    def save_counter(self) -> Any:
        """The int64 variable that counts saves and numbers them."""
        self._maybe_create_save_counter()
        return self._save_counter

    def _maybe_create_save_counter(self) -> None:
        if self._save_counter is not None:
            return
        with dispatch.init_scope(), dispatch.name_scope(None):
            counter = Variable(0, dtype="int64", trainable=False, name="save_counter")
        self._save_counter = NoDependency(counter)
        if self._attached is None:
            self._track_trackable(counter, "save_counter")
            return
        self._attached["save_counter"] = counter
        handle = getattr(self._graph_root, "_handle_deferred_dependencies", None)
        if handle is not None:  # a restore came first, and its counter waits at the root
            handle("save_counter", counter)

    # -- writing -----------------------------------------------------------------------------------------------------

    def write(self, file_prefix: Any, options: CheckpointOptions | None = None) -> str:
        """Write a checkpoint at exactly `file_prefix`. Neither counts nor touches the state file. Returns the prefix.

        Raises:
            ValueError: a container was changed in a way that a checkpoint cannot express.
        """
        return self._write(os.fspath(file_prefix), options)

    def _write(self, prefix: str, options: CheckpointOptions | None = None) -> str:
        write_checkpoint(self._graph_root, prefix, self._attached)
        for callback in (options.experimental_write_callbacks if options is not None else None) or ():
            if inspect.signature(callback).parameters:
                callback(prefix)
            else:
                callback()
        return prefix

    def save(self, file_prefix: Any, options: CheckpointOptions | None = None) -> str:
        """Write `<file_prefix>-<n>`, n counted by `save_counter`, and name it the latest in the state file. Returns the path."""
        prefix = os.fspath(file_prefix)
        if dispatch.current_graph() is not None:
            raise NotImplementedError(
                "Calling tf.train.Checkpoint.save() from a function is not supported, as save() writes files. Call it outside of tf.function."
            )
        options = copy.copy(options) if options is not None else CheckpointOptions()
        callbacks = options.experimental_write_callbacks or []
        options.experimental_write_callbacks = [*callbacks, _name_latest]
        self.save_counter.assign_add(1)
        return self._write(f"{prefix}-{int(self.save_counter.numpy())}", options)

    def sync(self) -> None:
        """Nothing: a checkpoint is on disk when `save` returns."""

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, save_path: Any, options: CheckpointOptions | None = None) -> Any:
        """Restore what `write` wrote. Returns a status object; see `restore`."""
        path = None if save_path is None else os.fspath(save_path)
        me = weakref.ref(self)
        root = self._graph_root

        def list_objects() -> ObjectGraph:
            found = me()
            return found._object_graph() if found is not None else ObjectGraph(root, "checkpoint")

        return read_checkpoint(root, path, list_objects, self._attached)

    def restore(self, save_path: Any, options: CheckpointOptions | None = None) -> Any:
        """Restore what `save` wrote, or the variables of a SavedModel directory.

        Values of objects that exist are assigned at once; others when their objects are made and tracked.

        Args:
            save_path: a path as `save` returned it, a SavedModel directory, or None: then nothing happens.

        Returns:
            A status object: `assert_consumed`, `assert_existing_objects_matched`, `assert_nontrivial_match`, `expect_partial`.

        Raises:
            FileNotFoundError: there is no checkpoint. ValueError: a shape or dtype does not fit.
        """
        path = None if save_path is None else os.fspath(save_path)
        if path is not None and any(os.path.isfile(os.path.join(path, n)) for n in ("saved_model.pb", "saved_model.pbtxt")):
            path = os.path.join(path, "variables", "variables")
        try:
            status = self.read(path, options)
        except MissingFileError as error:
            raise MissingFileError(
                f"Error when restoring from checkpoint or SavedModel at {save_path}: {error}\nPlease double-check that the path is correct. You "
                f"may be missing the checkpoint suffix (e.g. the '-1' in 'path/to/ckpt-1')."
            ) from None
        self._maybe_create_save_counter()
        if isinstance(status, NameBasedSaverStatus):
            status.add_to_optionally_restored(self.save_counter)
        return status


def _child(obj: Any, name: str) -> Any:
    look = getattr(obj, "_lookup_dependency", None)
    if look is not None:
        return look(name)
    from savedmodel.trackable import children_of

    return children_of(obj).get(name)


def _name_latest(path: str) -> None:
    checkpoint_state.update_checkpoint_state(
        os.path.dirname(path), path, [path], save_relative_paths=True
    )


