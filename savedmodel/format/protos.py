"""Owns the message classes of the format; refuses protobuf's default pool, which belongs to whoever imports TensorFlow.

The messages are those of `proto/*.proto`, compiled by `proto/build.py` into `schema.binpb`. They are built on first use,
in a descriptor pool of our own: a process may import TensorFlow before or after us, and the same file serves protobuf
4.25 and every later release. Classes of two pools are different types: exchange bytes with TensorFlow's messages.

- A message is an attribute of this module under its simple name: `protos.SavedModel`, `protos.GraphDef`; nested ones
  are attributes of the outer one: `protos.MetaGraphDef.MetaInfoDef`.
- Keras's own `SavedObject` is `protos.KerasSavedObject`, its `VersionDef` is `protos.KerasVersionDef`.
- An enum at the top level is an `enum.IntEnum`: `protos.DataType.DT_FLOAT`. Fields hold plain ints, equal to its members,
  because a file may hold a number that we do not know. The values of a nested enum are attributes of its message:
  `protos.SaverDef.V2`.
"""

from __future__ import annotations

import enum
import threading
import typing
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

_SCHEMA = Path(__file__).with_name("schema.binpb")

# `typing.Any` is written out below: `Any` here is a message.
# Where simple names live, in order of search, and the names that two packages have.
_PACKAGES = ("tensorflow", "google.protobuf", "third_party.py.keras.protobuf", "tensorflow.proto_splitter")
_RENAMED = {
    "KerasSavedObject": "third_party.py.keras.protobuf.SavedObject",
    "KerasVersionDef": "third_party.py.keras.protobuf.VersionDef",
    "ErrorCode": "tensorflow.error.Code",
}

_lock = threading.Lock()
_pool: descriptor_pool.DescriptorPool | None = None


def pool() -> descriptor_pool.DescriptorPool:
    """The private pool with all messages; built on the first call."""
    global _pool
    if _pool is None:
        with _lock:
            if _pool is None:
                built = descriptor_pool.DescriptorPool()
                for file in descriptor_pb2.FileDescriptorSet.FromString(_SCHEMA.read_bytes()).file:
                    built.AddSerializedFile(file.SerializeToString())
                _pool = built
    return _pool


def message_type(full_name: str) -> type[Message]:
    """The class of the message `full_name` ("tensorflow.AssetFileDef"), as the type_url of an Any names it.

    Raises:
        KeyError: no message of that name is part of the format.
    """
    return _class(pool().FindMessageTypeByName(full_name))


def _class(descriptor: Descriptor) -> type[Message]:
    made = message_factory.GetMessageClass(descriptor)
    for nested in descriptor.nested_types:  # protobuf without its C extension does not make these attributes itself
        if not nested.GetOptions().map_entry and not hasattr(made, nested.name):
            setattr(made, nested.name, _class(nested))
    return made


def _lookup(name: str) -> typing.Any:
    for full_name in [_RENAMED[name]] if name in _RENAMED else [f"{package}.{name}" for package in _PACKAGES]:
        try:
            return message_type(full_name)
        except KeyError:
            pass
        try:
            found = pool().FindEnumTypeByName(full_name)
        except KeyError:
            continue
        return enum.IntEnum(name, [(value.name, value.number) for value in found.values], module=__name__)
    return None


def __getattr__(name: str) -> typing.Any:
    found = None if name.startswith("_") else _lookup(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no message {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    simple = {full_name: name for name, full_name in _RENAMED.items()}
    names = set(globals())
    for file in descriptor_pb2.FileDescriptorSet.FromString(_SCHEMA.read_bytes()).file:
        for name in [message.name for message in file.message_type] + [listed.name for listed in file.enum_type]:
            names.add(simple.get(f"{file.package}.{name}", name))
    return sorted(names)
