"""Restoring: the objects of a checkpoint are matched with live objects by the names of edges, now or when these come to be.

It refuses to write. Matching follows TensorFlow 2.15: breadth-first from the root, the first object that reaches a node is the node's object,
values whose object does not exist yet wait on the object that will hold it, and of two restores that meet an object the newer one counts.
"""

from __future__ import annotations

import collections
import itertools
import logging
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from savedmodel.errors import DataLossError, UnboundObjectsError
from savedmodel.format import dtypes as format_dtypes
from savedmodel.format import protos
from savedmodel.object_graph import ObjectGraph
from savedmodel.trackable import TrackableContainer, UntrackableError, children_of
from tracer import dispatch
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.lookup import LookupInterface
from tracer.tensor import EagerTensor
from tracer.variable import Variable

__all__ = [
    "CheckpointLoadStatus",
    "CheckpointPosition",
    "InitializationOnlyStatus",
    "NameBasedRestore",
    "NameBasedSaverStatus",
    "RestoreCoordinator",
    "has_values",
    "new_uid",
    "node_names",
]

_log = logging.getLogger("savedmodel")
_uids = itertools.count(1)


def new_uid() -> int:
    """A number greater than that of every earlier restore."""
    return next(_uids)


def has_values(obj: Any) -> bool:
    """Whether a checkpoint stores a value of `obj` itself."""
    if isinstance(obj, LookupInterface) and not getattr(obj, "_checkpoint", True):
        return False
    return isinstance(obj, Variable) or (hasattr(obj, "_serialize_to_tensors") and hasattr(obj, "_restore_from_tensors"))


def _uid_of(obj: Any) -> int:
    return getattr(obj, "_update_uid", -1)


def _set_uid(obj: Any, uid: int) -> None:
    object.__setattr__(obj, "_update_uid", uid)


def _named_children(obj: Any) -> dict[str, Any]:
    try:
        return children_of(obj, "checkpoint")
    except UntrackableError:  # a list or dict that could not be saved: what it holds can be given values all the same
        return dict(obj._tracked)


def _find_child(obj: Any, name: str, children: dict[str, Any]) -> Any:
    look = getattr(obj, "_lookup_dependency", None)
    found = look(name, children) if look is not None else None
    return children.get(name) if found is None else found


def node_names(message: Any) -> dict[int, str]:
    """A readable path for each node of a TrackableObjectGraph: "(root).layer.kernel"; slot variables by optimizer and variable."""
    names = {0: "(root)"}
    queue = collections.deque([0])
    count = len(message.nodes)
    while queue:
        i = queue.popleft()
        for child in message.nodes[i].children:
            if child.node_id not in names and 0 <= child.node_id < count:
                names[child.node_id] = f"{names[i]}.{child.local_name}"
                queue.append(child.node_id)
    for i, node in enumerate(message.nodes):
        for slot in node.slot_variables:
            names[slot.slot_variable_node_id] = (
                f"{names.get(i, i)}'s state '{slot.slot_name}' for {names.get(slot.original_variable_node_id, slot.original_variable_node_id)}"
            )
    return collections.defaultdict(lambda: "(unreachable)", names)


class _Deleter:
    """Tells, when the last reference to a restore goes, which values nothing took."""

    def __init__(self, message: Any, matched: set[int], unused: dict[int, list[str]]):
        self.expect_partial = False
        self._message = message
        self._matched = matched
        self._unused = unused

    def __del__(self) -> None:
        if self.expect_partial:
            return
        left = [i for i, node in enumerate(self._message.nodes) if node.attributes and i not in self._matched]
        if not left and not self._unused:
            return
        warn = _log.warning if _log is not None else print  # a process that ends may have dropped the name
        names = node_names(self._message)
        warn(
            "Detecting that an object or model or tf.train.Checkpoint is being deleted with unrestored values. The values follow. To silence "
            "these warnings, use `status.expect_partial()` on what restore() returned."
        )
        for i in left:
            warn(f"Value in checkpoint could not be found in the restored object: {names[i]}")
        for i, attributes in self._unused.items():
            warn(f"An attribute in the restored object could not be found in the checkpoint. Object: {names[i]}, attribute: {attributes}")


class RestoreCoordinator:
    """One restore: which node of the checkpoint is which object, and what still waits.

    Args:
        message: the TrackableObjectGraph. reader: the checkpoint's reader.
    """

    def __init__(self, message: Any, reader: Any):
        self.message = message
        self.reader = reader
        self.uid = new_uid()
        self.matched: set[int] = set()
        self.unused: dict[int, list[str]] = {}
        self._objects: dict[int, Any] = {}  # node id → weak reference
        self._python: dict[int, Any] = {}  # id(object) → weak reference
        self.waiting_for_optimizer: dict[int, list[tuple[Any, int, str]]] = {}
        self.slots: dict[int, list[tuple[int, int, str]]] = {}  # variable's node → (optimizer's node, slot's node, name)
        count = len(message.nodes)
        for i, node in enumerate(message.nodes):
            ids = [c.node_id for c in node.children]
            ids += [n for s in node.slot_variables for n in (s.original_variable_node_id, s.slot_variable_node_id)]
            for n in ids:
                if not 0 <= n < count:
                    raise DataLossError(
                        f"{reader.prefix} > object graph > node {i}: expected node ids below {count} - received {n}; the checkpoint is damaged"
                    )
            for slot in node.slot_variables:
                self.slots.setdefault(slot.original_variable_node_id, []).append((i, slot.slot_variable_node_id, slot.slot_name))
        self._deleter = _Deleter(message, self.matched, self.unused)

    def expect_partial(self) -> None:
        self._deleter.expect_partial = True

    def object_of(self, node: int) -> Any:
        """The live object of a node, or None."""
        found = self._objects.get(node)
        return found() if found is not None else None

    def bind(self, node: int, obj: Any) -> bool:
        """Say that `obj` is the object of `node`; False where the node had one already."""
        self.note(obj)
        self.matched.add(node)
        current = self.object_of(node)
        if current is None:
            self._objects[node] = weakref.ref(obj)
            return True
        if current is not obj:
            _log.warning(
                "Inconsistent references when loading the checkpoint into this object graph. For example, in the saved checkpoint object, "
                "`model.layer.weight` and `model.layer_copy.weight` reference the same variable, while in the current object these are two "
                "different variables. The referenced variables are:(%r and %r).",
                current, obj,
            )  # fmt: skip
        return False

    def note(self, obj: Any) -> None:
        self._python[id(obj)] = weakref.ref(obj)

    def bound_objects(self) -> list[Any]:
        return [obj for obj in (r() for r in self._objects.values()) if obj is not None]

    def python_objects(self) -> list[Any]:
        return [obj for obj in (r() for r in self._python.values()) if obj is not None]


class CheckpointPosition:
    """A node of a checkpoint that is being restored. Calling it with an object restores that object."""

    __slots__ = ("checkpoint", "node")

    def __init__(self, checkpoint: RestoreCoordinator, node: int):
        self.checkpoint = checkpoint
        self.node = node

    @property
    def message(self) -> Any:
        return self.checkpoint.message.nodes[self.node]

    def __call__(self, obj: Any) -> None:
        self.restore(obj)

    def restore(self, obj: Any) -> None:
        """Give `obj`, and what is below it, the values of this node; values without an object wait."""
        with dispatch.init_scope():
            if not self.checkpoint.bind(self.node, obj):
                return
            queue: collections.deque[tuple[CheckpointPosition, Any]] = collections.deque([(self, obj)])
            while queue:
                position, current = queue.popleft()
                position._restore_one(current)
                position._queue_children(current, queue)
                position._queue_slots(current, queue)

    # -- one object --------------------------------------------------------------------------------------------------

    def _restore_one(self, obj: Any) -> None:
        checkpoint = self.checkpoint
        if checkpoint.uid <= _uid_of(obj):
            return  # a newer restore has been here
        attributes = self.message.attributes
        if attributes:
            keys = {a.name: a.checkpoint_key for a in attributes}
            if isinstance(obj, Variable) and "VARIABLE_VALUE" in keys:
                assign(obj, checkpoint.reader, keys["VARIABLE_VALUE"])
            elif isinstance(obj, LookupInterface) and hasattr(obj, "_restore_from_tensors"):
                restore_table(obj, checkpoint.reader, next(iter(keys.values())))
            elif not isinstance(obj, Variable) and has_values(obj):
                known = {name: _tensor(checkpoint.reader, key) for name, key in keys.items()}
                obj._restore_from_tensors(known)
            else:
                checkpoint.unused.setdefault(self.node, []).extend(keys)
        _set_uid(obj, checkpoint.uid)

    def _queue_children(self, obj: Any, queue: collections.deque[Any]) -> None:
        checkpoint = self.checkpoint
        children = _named_children(obj)
        for child in self.message.children:
            if checkpoint.object_of(child.node_id) is not None:
                continue
            position = CheckpointPosition(checkpoint, child.node_id)
            found = _find_child(obj, child.local_name, children)
            if found is None:
                message = position.message
                if message.HasField("has_checkpoint_values"):
                    wanted = message.has_checkpoint_values.value
                else:
                    wanted = bool(message.children or message.attributes or message.slot_variables or message.HasField("registered_saver"))
                defer = getattr(obj, "_defer_dependency", None)
                if wanted and defer is not None:
                    defer(child.local_name, position)
            elif checkpoint.bind(child.node_id, found):
                queue.append((position, found))

    def _queue_slots(self, obj: Any, queue: collections.deque[Any]) -> None:
        checkpoint = self.checkpoint
        for variable, node, name in checkpoint.waiting_for_optimizer.pop(self.node, ()):
            self._slot(obj, variable(), node, name, queue)
        for optimizer_node, node, name in checkpoint.slots.pop(self.node, ()):
            optimizer = checkpoint.object_of(optimizer_node)
            if optimizer is None:
                waiting = checkpoint.waiting_for_optimizer.setdefault(optimizer_node, [])
                waiting.append((weakref.ref(obj), node, name))
            else:
                self._slot(optimizer, obj, node, name, queue)

    def _slot(self, optimizer: Any, variable: Any, node: int, name: str, queue: collections.deque[Any]) -> None:
        create = getattr(optimizer, "_create_or_restore_slot_variable", None)
        if create is None or variable is None:
            return
        position = CheckpointPosition(self.checkpoint, node)
        slot = create(slot_variable_position=position, variable=variable, slot_name=name)
        if slot is not None and self.checkpoint.bind(node, slot):
            queue.append((position, slot))


# -- values ------------------------------------------------------------------------------------------------------------


def assign(variable: Variable, reader: Any, key: str) -> None:
    """Give `variable` the value stored under `key`, in memory of its own.

    Raises:
        ValueError: shape or dtype do not fit. DataLossError: the bytes are damaged or missing.
    """
    shape, dtype = tuple(reader.shape(key)), as_dtype(reader.dtype_number(key))
    if not variable.shape.is_compatible_with(shape):
        raise ShapeError(
            f"{reader.prefix} > {key}: Received incompatible tensor with shape {shape} when attempting to restore variable with shape "
            f"{variable.shape} and name {variable.name}."
        )
    if dtype is not variable.dtype.base_dtype:
        raise InvalidArgumentError(
            f"{reader.prefix} > tensor_name = {key}; expected dtype {variable.dtype.name} does not equal original dtype {dtype.name}: the "
            f"checkpoint does not fit variable {variable.name}"
        )
    variable._resource.write(owned(reader.read(key)))


def owned(value: np.ndarray) -> np.ndarray:
    """`value` in memory that no file backs, so that the file may be changed or deleted; writable."""
    root = value
    while isinstance(root.base, np.ndarray):
        root = root.base
    if not root.flags.owndata:
        return np.array(value)
    root.flags.writeable = True
    value.flags.writeable = True
    return value


def _tensor(reader: Any, key: str) -> EagerTensor:
    return EagerTensor(owned(reader.read(key)), as_dtype(reader.dtype_number(key)))


def restore_table(table: Any, reader: Any, key: str) -> None:
    """Refill a mutable table from the pair of tensors stored for it."""
    table._restore_from_tensors({suffix: _tensor(reader, key + suffix) for suffix in ("-keys", "-values")})


# -- status ------------------------------------------------------------------------------------------------------------


class _Status:
    """What restore returns: ways to insist on what was restored. The values themselves are restored already."""

    def __init__(self, list_objects: Callable[[], ObjectGraph], root: Any):
        self._graph = list_objects
        self._root = root  # kept alive as long as the status

    def run_restore_ops(self, session: Any = None) -> None:
        """Nothing: values are restored when restore is called, or when their objects are made."""

    def initialize_or_restore(self, session: Any = None) -> None:
        """Nothing: values are restored, and variables initialised, as they are made."""

    def expect_partial(self) -> Any:
        """Let no warning be given for values that nothing takes. Returns self."""
        return self


class CheckpointLoadStatus(_Status):
    """The status of an object-based restore. Each assertion returns the status itself."""

    def __init__(self, checkpoint: RestoreCoordinator, list_objects: Callable[[], ObjectGraph], root: Any):
        super().__init__(list_objects, root)
        self._checkpoint = checkpoint

    def assert_consumed(self) -> CheckpointLoadStatus:
        """Raise AssertionError unless every object has its value and every value its object."""
        checkpoint = self._checkpoint
        names = node_names(checkpoint.message)
        self.assert_existing_objects_matched()
        for i, node in enumerate(checkpoint.message.nodes):
            if node.attributes and checkpoint.object_of(i) is None:
                keys = ", ".join(a.checkpoint_key for a in node.attributes)
                raise UnboundObjectsError(
                    f"Unresolved object in checkpoint {names[i]}: no object in Python took its value ({keys}). Create the object, or use "
                    f"assert_existing_objects_matched() or expect_partial() where the rest is not wanted."
                )
        if checkpoint.slots:
            left = sorted({f"'{name}' of {names[i]}" for i, found in checkpoint.slots.items() for _, _, name in found})
            raise UnboundObjectsError(f"Unresolved slot restorations: {', '.join(left)}")
        if checkpoint.unused:
            lines = "\n".join(f"{names[i]} ({checkpoint.object_of(i)!r}): {found}" for i, found in checkpoint.unused.items())
            raise UnboundObjectsError(
                f"Unused attributes in these objects (the attributes exist in the checkpoint but were not restored):\n{lines}"
            )
        return self

    def _objects(self) -> Iterator[Any]:
        for obj in self._graph().nodes:
            if isinstance(obj, TrackableContainer) and not _named_children(obj):
                continue
            yield obj

    def _without_value(self) -> list[Any]:
        checkpoint = self._checkpoint
        bound = {id(o) for o in checkpoint.bound_objects()}
        return [o for o in checkpoint.python_objects() if has_values(o) and id(o) not in bound]

    def assert_existing_objects_matched(self) -> CheckpointLoadStatus:
        """Raise AssertionError where an object that exists has no value in the checkpoint."""
        checkpoint = self._checkpoint
        names = node_names(checkpoint.message)
        for i in range(len(checkpoint.message.nodes)):
            obj = checkpoint.object_of(i)
            if obj is not None and _uid_of(obj) < checkpoint.uid:
                raise UnboundObjectsError(f"Object {names[i]} not assigned a value from checkpoint.")
        for obj in self._objects():
            checkpoint.note(obj)
        left = self._without_value()
        if left:
            shown = left[:10]
            raise UnboundObjectsError(
                f"Found {len(left)} Python objects that were not bound to checkpointed values, likely due to changes in the Python program. "
                f"Showing {len(shown)} of {len(left)} unmatched objects: {shown}"
            )
        return self

    def assert_nontrivial_match(self) -> CheckpointLoadStatus:
        """Raise AssertionError where nothing but the root found its place."""
        checkpoint = self._checkpoint
        for obj in self._graph().nodes:
            checkpoint.note(obj)
        if len(checkpoint.bound_objects()) <= 1:
            left = self._without_value()
            if left:
                raise UnboundObjectsError(
                    f"Nothing except the root object matched a checkpointed value. Typically this means that the checkpoint does not match "
                    f"the Python program. The following objects have no matching checkpointed value: {left}"
                )
            raise UnboundObjectsError(f"Nothing to load. No dependencies have been added to {self._root!r} yet.")
        return self

    def expect_partial(self) -> CheckpointLoadStatus:
        self._checkpoint.expect_partial()
        return self


class InitializationOnlyStatus(_Status):
    """The status of a restore without a path: every assertion fails."""

    def _nothing(self) -> Any:
        raise UnboundObjectsError("No checkpoint specified (save_path=None); nothing is being restored.")

    def assert_consumed(self) -> Any:
        self._nothing()

    def assert_existing_objects_matched(self) -> Any:
        self._nothing()

    def assert_nontrivial_match(self) -> Any:
        self._nothing()

    def run_restore_ops(self, session: Any = None) -> None:
        raise UnboundObjectsError("No checkpoint specified, so no restore ops are available (save_path=None to Saver.restore).")


class NameBasedRestore:
    """A restore from a checkpoint without an object graph: variables take the tensor of their name."""

    def __init__(self, reader: Any):
        self.reader = reader
        self.uid = new_uid()
        self.missing: list[tuple[Any, str]] = []

    def restore(self, obj: Any) -> None:
        """Give `obj` its value, where it is a variable or table with a name in the checkpoint."""
        if self.uid <= _uid_of(obj):
            return
        _set_uid(obj, self.uid)
        if isinstance(obj, Variable):
            name = obj._shared_name
            if name in self.reader:
                assign(obj, self.reader, name)
            else:
                self.missing.append((obj, name))
        elif isinstance(obj, LookupInterface) and hasattr(obj, "_restore_from_tensors"):
            name = getattr(obj, "_name", "") or ""
            if name + "-keys" in self.reader:
                restore_table(obj, self.reader, name)
            else:
                self.missing.append((obj, name))
        self._wait(obj)

    def _wait(self, obj: Any) -> None:
        """Let children that come later be restored too."""
        if hasattr(obj, "_defer_dependency"):
            obj.__dict__.setdefault("_name_based_restores", []).append(self)


class NameBasedSaverStatus(_Status):
    """The status of a restore by names. All assertions mean the same: every object found its name."""

    def __init__(self, checkpoint: NameBasedRestore, list_objects: Callable[[], ObjectGraph], root: Any):
        super().__init__(list_objects, root)
        self._checkpoint = checkpoint
        self._optional: list[Any] = []
        _log.warning(
            "Restoring a name-based tf.train.Saver checkpoint using the object-based restore API. Names match variables, which breaks when "
            "they change: save() with the object-based Checkpoint, and use that checkpoint from now on."
        )

    def add_to_optionally_restored(self, var: Any) -> None:
        """Let assertions pass where `var` was not in the checkpoint."""
        self._optional.append(var)

    def assert_consumed(self) -> NameBasedSaverStatus:
        left = [(o, n) for o, n in self._checkpoint.missing if all(o is not x for x in self._optional)]
        if left:
            lines = "".join(f"\n    {obj!r}: ['{name}']" for obj, name in left)
            raise UnboundObjectsError(f"Some objects had attributes which were not restored: {lines}")
        for obj in self._graph().nodes:
            if has_values(obj) and _uid_of(obj) < self._checkpoint.uid and all(obj is not x for x in self._optional):
                raise UnboundObjectsError(f"Object not restored: {obj!r}")
        return self

    assert_existing_objects_matched = assert_consumed
    assert_nontrivial_match = assert_consumed


def parse_object_graph(reader: Any, key: str) -> Any:
    """The TrackableObjectGraph message of a checkpoint; None where it has none (it is a name-based one)."""
    from savedmodel.format import wire

    if key not in reader:
        return None
    if reader.dtype_number(key) != format_dtypes.DT_STRING or reader.shape(key) != ():
        raise DataLossError(f"{reader.prefix} > {key}: expected a scalar string - received shape {reader.shape(key)}; the checkpoint is damaged")
    return wire.parse(protos.TrackableObjectGraph, reader.read(key).reshape(-1)[0], f"{reader.prefix} > {key}")
