"""Owns parsing of messages from bytes and their one canonical serialization; refuses bytes that are no such message.

`serialize` writes what TensorFlow's C++ writes in its deterministic mode: fields in the order of their numbers, the entries of a
map by ascending key. protobuf's Python extension sorts maps in its own way (of two strings of which one begins the
other, the longer comes first; unsigned integers descend), so that two saves would agree with one another, and not with
the hashes in fingerprint.pb. Therefore: whatever has no map that the extension would misorder is left to it, and only
the messages on the way to such a map are put together here.
"""

from __future__ import annotations

import threading
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from savedmodel.format.errors import DataLossError

__all__ = ["parse", "serialize"]

M = TypeVar("M", bound=Message)


def parse(message_type: type[M], data: bytes | memoryview, where: str = "") -> M:
    """The message of `message_type` that `data` holds; `where` (a file name) is named by errors.

    Raises:
        DataLossError: `data` is not such a message: truncated, damaged, or something else.
    """
    try:
        return message_type.FromString(bytes(data))
    except DecodeError as error:
        name = message_type.DESCRIPTOR.name
        raise DataLossError(
            f"{where or 'bytes'}: expected a serialized {name}, received {len(data)} bytes that are none ({error}); "
            "the file is truncated, damaged, or of another kind"
        ) from error


def serialize(message: Message) -> bytes:
    """The canonical bytes of a message: what C++ protobuf writes when asked to be deterministic."""
    plan = _plan(typing.cast(Descriptor, message.DESCRIPTOR))
    if plan is None:
        return message.SerializeToString()
    misordered = plan.examine(message)
    return message.SerializeToString(deterministic=True) if misordered is None else plan.emit(message, misordered)


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _is_repeated(field: FieldDescriptor) -> bool:
    if hasattr(field, "is_repeated"):
        return field.is_repeated
    label: int = getattr(field, "label")  # noqa: B009 - protobuf 4 has only this, protobuf 7 does not know it
    return label == FieldDescriptor.LABEL_REPEATED


#: What `examine` finds in one message: for a field number, what it found in each child (None: nothing), in map fields by
#: key. A message in which nothing is misordered has None instead.
_Found = dict[int, Any]


class _Plan:
    """How messages of one type are examined and emitted; made only for types that can reach a map."""

    def __init__(self) -> None:
        self.maps: list[_Map] = []
        self.singles: list[tuple[str, int, _Plan]] = []
        self.lists: list[tuple[str, int, _Plan]] = []
        self.emitters: dict[int, Callable[[Message, Any, Any], list[bytes]]] = {}

    def fill(self, descriptor: Descriptor) -> None:
        for field in descriptor.fields:
            if _is_map(field):
                entry = _Map(field)
                self.maps.append(entry)
                self.emitters[field.number] = entry.emit
                continue
            plan = _plan(field.message_type) if field.message_type is not None else None
            repeated = _is_repeated(field)
            if plan is not None:
                (self.lists if repeated else self.singles).append((field.name, field.number, plan))
            self.emitters[field.number] = _emitter(field, repeated, plan)

    def probes(self) -> list[str] | None:
        """The fields of which one must be present for a map to be reached; None if that cannot be told so."""
        return None if self.maps or self.lists else [name for name, _, _ in self.singles]

    def examine(self, message: Any) -> _Found | None:
        found: _Found | None = None
        inner: Any
        for entry in self.maps:
            inner = entry.examine(getattr(message, entry.name))
            if inner is not None:
                found = found or {}
                found[entry.number] = inner
        for name, number, plan in self.singles:
            if message.HasField(name):
                inner = plan.examine(getattr(message, name))
                if inner is not None:
                    found = found or {}
                    found[number] = inner
        for name, number, plan in self.lists:
            values = getattr(message, name)
            if values:
                children = [plan.examine(child) for child in values]
                if children.count(None) < len(children):
                    found = found or {}
                    found[number] = children
        return found

    def emit(self, message: Message, found: _Found) -> bytes:
        parts: list[bytes] = []
        for field, value in message.ListFields():
            parts += self.emitters[field.number](message, value, found.get(field.number))
        if len(UnknownFieldSet(message)):
            rest = type(message)()
            rest.CopyFrom(message)
            for field, _ in message.ListFields():
                rest.ClearField(field.name)
            parts.append(rest.SerializeToString())
        return b"".join(parts)


class _Map:
    """A map field. An entry is written as key and value both, even where these are the defaults of their types."""

    def __init__(self, field: FieldDescriptor) -> None:
        assert field.message_type is not None
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        self.name = field.name
        self.number = field.number
        self.tag = _varint(field.number << 3 | 2)
        self.by_text = key.type == FieldDescriptor.TYPE_STRING
        self.has_messages = value.message_type is not None
        self.plan = _plan(value.message_type) if value.message_type is not None else None

    def examine(self, mapping: Any) -> tuple[list[Any], dict[Any, _Found]] | None:
        """The keys in ascending order and what is misordered below each, or None if the extension's order is right."""
        if not mapping:
            return None
        keys = sorted(mapping)  # by code points, which is the order of the UTF-8 bytes
        wrong = False
        if len(keys) > 1:
            wrong = not self.by_text or any(map(str.startswith, keys[1:], keys))
        below: dict[Any, _Found] = {}
        if self.plan is not None:
            examine = self.plan.examine
            probes = self.plan.probes()
            for key in keys:
                value = mapping[key]
                if probes is not None:  # values without a message to look into are most of all there are
                    for name in probes:
                        if value.HasField(name):
                            break
                    else:
                        continue
                inner = examine(value)
                if inner is not None:
                    below[key] = inner
        return (keys, below) if wrong or below else None

    def emit(self, message: Message, mapping: Any, found: Any) -> list[bytes]:
        parts = []
        keys, below = found if found is not None else (sorted(mapping), {})
        for key in keys:
            if not self.has_messages:
                single = type(message)()
                getattr(single, self.name)[key] = mapping[key]
                parts.append(single.SerializeToString())
                continue
            if key in below:
                assert self.plan is not None
                body = self.plan.emit(mapping[key], below[key])
            else:
                body = mapping[key].SerializeToString(deterministic=True)
            head = self._key(message, key)
            parts += (self.tag, _varint(len(head) + 1 + len(_varint(len(body))) + len(body)), head, b"\x12")
            parts += (_varint(len(body)), body)
        return parts

    def _key(self, message: Message, key: Any) -> bytes:
        if self.by_text:
            text = key.encode()
            return b"\x0a" + _varint(len(text)) + text
        single = type(message)()
        getattr(single, self.name).get_or_create(key)
        return single.SerializeToString()[len(self.tag) + 1 : -2]  # tag, length (short), key, an empty value


def _emitter(field: FieldDescriptor, repeated: bool, plan: _Plan | None) -> Callable[[Message, Any, Any], list[bytes]]:
    """The function (message, value, found) → parts of a field that is no map."""
    tag = _varint(field.number << 3 | 2)
    name = field.name

    def emit_messages(message: Message, value: Any, found: Any) -> list[bytes]:
        parts: list[bytes] = []
        children = value if repeated else [value]
        for child, below in zip(children, found if repeated and found else [found] * len(children), strict=True):
            if below is not None:
                assert plan is not None
                body = plan.emit(child, below)
            else:
                body = child.SerializeToString(deterministic=True)
            parts += (tag, _varint(len(body)), body)
        return parts

    def emit_texts(message: Message, value: Any, found: Any) -> list[bytes]:
        parts: list[bytes] = []
        for text in value if repeated else [value]:
            body = text.encode() if isinstance(text, str) else text
            parts += (tag, _varint(len(body)), body)
        return parts

    def emit_numbers(message: Message, value: Any, found: Any) -> list[bytes]:
        single = type(message)()
        if repeated:
            getattr(single, name).extend(value)
        else:
            setattr(single, name, value)
        return [single.SerializeToString()]

    if field.message_type is not None:
        return emit_messages
    if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        return emit_texts
    return emit_numbers


# A type and those below it are published together, when all of them are filled: types refer to one another in circles.
_plans: dict[Descriptor, _Plan | None] = {}
_drafts: dict[Descriptor, _Plan | None] = {}
_plans_lock = threading.RLock()


def _plan(descriptor: Descriptor) -> _Plan | None:
    """The plan of a type, or None if no map can be reached from it."""
    if descriptor in _plans:
        return _plans[descriptor]
    with _plans_lock:
        if descriptor in _drafts:
            return _drafts[descriptor]
        outermost = not _drafts
        made = _drafts[descriptor] = _Plan() if _reaches_map(descriptor, set()) else None
        if made is not None:
            made.fill(descriptor)
        if outermost:
            _plans.update(_drafts)
            _drafts.clear()
        return made


def _reaches_map(descriptor: Descriptor, seen: set[str]) -> bool:
    if descriptor.full_name in seen:
        return False
    seen.add(descriptor.full_name)
    return any(
        _is_map(field) or _reaches_map(field.message_type, seen)
        for field in descriptor.fields
        if field.message_type is not None
    )
