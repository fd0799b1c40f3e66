"""Compiles the .proto files of this directory into savedmodel/format/schema.binpb and protos.pyi; writes nothing else.

Run `python proto/build.py` after a change here (needs grpcio-tools 1.62 or newer; the result does not depend on its version).
`schema.binpb` is a FileDescriptorSet, in the order of dependencies, without comments and without the names JSON would use.
It holds its own Any and BoolValue, because the pool it is loaded into knows no other file.
"""

from __future__ import annotations

import keyword
import sys
import tempfile
from pathlib import Path

from google.protobuf import any_pb2, descriptor_pb2, wrappers_pb2

HERE = Path(__file__).resolve().parent
FORMAT = HERE.parent / "savedmodel" / "format"

#: Messages and enums whose Python name is not the last part of their full name, because another one has that already.
RENAMED = {
    "third_party.py.keras.protobuf.SavedObject": "KerasSavedObject",
    "third_party.py.keras.protobuf.VersionDef": "KerasVersionDef",
    "tensorflow.error.Code": "ErrorCode",
}

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    _Field.TYPE_DOUBLE: "float",
    _Field.TYPE_FLOAT: "float",
    _Field.TYPE_BOOL: "bool",
    _Field.TYPE_STRING: "str",
    _Field.TYPE_BYTES: "bytes",
}


def _well_known() -> list[descriptor_pb2.FileDescriptorProto]:
    """Any and BoolValue, reduced to what is on the wire, so that every protobuf release yields the same bytes."""
    files = []
    for module, keep in ((any_pb2, "Any"), (wrappers_pb2, "BoolValue")):
        whole = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        file = descriptor_pb2.FileDescriptorProto(name=whole.name, package=whole.package, syntax="proto3")
        file.message_type.extend(message for message in whole.message_type if message.name == keep)
        files.append(file)
    return files


def _without_json_names(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _without_json_names(nested)


def compile_schema() -> descriptor_pb2.FileDescriptorSet:
    """The FileDescriptorSet of all .proto files here, dependencies first."""
    from grpc_tools import protoc

    include = str(Path(protoc.__file__).resolve().parent / "_proto")
    sources = sorted(path.name for path in HERE.glob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set.binpb"
        arguments = ["protoc", f"-I{HERE}", f"-I{include}", f"--descriptor_set_out={out}", *sources]
        if protoc.main(arguments):
            raise SystemExit("proto/build.py: protoc refused the files above")
        compiled = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    waiting = {file.name: file for file in [*_well_known(), *compiled.file]}
    schema = descriptor_pb2.FileDescriptorSet()
    while waiting:
        ready = sorted(name for name, file in waiting.items() if not any(other in waiting for other in file.dependency))
        for name in ready:
            file = waiting.pop(name)
            for message in file.message_type:
                _without_json_names(message)
            schema.file.append(file)
    return schema


def python_names(schema: descriptor_pb2.FileDescriptorSet) -> dict[str, str]:
    """Full name → name in `savedmodel.format.protos`, for messages and enums at the top level of their files."""
    names: dict[str, str] = {}
    for file in schema.file:
        for item in [*file.message_type, *file.enum_type]:
            full = f"{file.package}.{item.name}"
            names[full] = RENAMED.get(full, item.name)
    if len(set(names.values())) != len(names):
        raise SystemExit("proto/build.py: two messages have one Python name; add a row to RENAMED")
    return names


class _Stub:
    """Writes protos.pyi."""

    def __init__(self, schema: descriptor_pb2.FileDescriptorSet) -> None:
        self.schema = schema
        self.names = python_names(schema)
        self.lines: list[str] = []

    def text(self) -> str:
        self.lines = [
            "# Written by proto/build.py. Do not edit.",
            "from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence",
            "from enum import IntEnum",
            "from typing import Any as _Any",
            "from typing import ClassVar, TypeVar",
            "",
            "from google.protobuf.descriptor_pool import DescriptorPool",
            "from google.protobuf.message import Message",
            "",
            '_M = TypeVar("_M", bound=Message)',
            '_K = TypeVar("_K", int, str)',
            "",
            "class _Repeated(MutableSequence[_M]):",
            "    def add(self, **fields: _Any) -> _M: ...",
            "    def MergeFrom(self, other: Iterable[_M]) -> None: ...",
            "",
            "class _MessageMap(MutableMapping[_K, _M]):",
            "    def get_or_create(self, key: _K) -> _M: ...",
            "",
            "def pool() -> DescriptorPool: ...",
            "def message_type(full_name: str) -> type[Message]: ...",
        ]
        for file in self.schema.file:
            for enum in file.enum_type:
                self._enum(enum, self.names[f"{file.package}.{enum.name}"])
            for message in file.message_type:
                full = f"{file.package}.{message.name}"
                self._message(message, full, self.names[full], "")
        return "\n".join(self.lines) + "\n"

    def _enum(self, enum: descriptor_pb2.EnumDescriptorProto, name: str) -> None:
        self.lines += ["", f"class {name}(IntEnum):"]
        self.lines += [f"    {value.name} = {value.number}" for value in enum.value]

    def _reference(self, type_name: str) -> str:
        full = type_name.lstrip(".")
        parts = full.split(".")
        for cut in range(len(parts), 0, -1):
            known = self.names.get(".".join(parts[:cut]))
            if known is not None:
                return ".".join([known, *parts[cut:]])
        raise SystemExit(f"proto/build.py: no message {full}")

    def _element(self, field: descriptor_pb2.FieldDescriptorProto) -> str:
        if field.type == _Field.TYPE_MESSAGE:
            return self._reference(field.type_name)
        return _SCALARS.get(field.type, "int")  # enums are plain ints: a reader may meet numbers it does not know

    def _message(self, message: descriptor_pb2.DescriptorProto, full: str, name: str, indent: str) -> None:
        self.lines += ["", f"{indent}class {name}(Message):"]
        inner = indent + "    "
        maps = {f".{full}.{nested.name}": nested for nested in message.nested_type if nested.options.map_entry}
        for enum in message.enum_type:
            self.lines += [f"{inner}{value.name}: ClassVar[int]" for value in enum.value]
            self.lines.append(f"{inner}{enum.name}: ClassVar[_Any]")
        for nested in message.nested_type:
            if not nested.options.map_entry:
                self._message(nested, f"{full}.{nested.name}", nested.name, inner)
        arguments = []
        for field in message.field:
            if field.type_name in maps:
                key, value = maps[field.type_name].field
                kind = "_MessageMap" if value.type == _Field.TYPE_MESSAGE else "MutableMapping"
                declared = f"{kind}[{self._element(key)}, {self._element(value)}]"
                accepted = f"Mapping[{self._element(key)}, {self._element(value)}]"
                writable = False
            elif field.label == _Field.LABEL_REPEATED:
                element = self._element(field)
                kind = "_Repeated" if field.type == _Field.TYPE_MESSAGE else "MutableSequence"
                declared, accepted, writable = f"{kind}[{element}]", f"Iterable[{element}]", False
            else:
                declared = accepted = self._element(field)
                writable = field.type != _Field.TYPE_MESSAGE
            if keyword.iskeyword(field.name):
                raise SystemExit(f"proto/build.py: field {full}.{field.name} is a Python keyword")
            if writable:
                self.lines.append(f"{inner}{field.name}: {declared}")
            else:
                self.lines += [f"{inner}@property", f"{inner}def {field.name}(self) -> {declared}: ..."]
            arguments.append(f"{field.name}: {accepted} | None = ...")
        if not arguments:
            self.lines.append(f"{inner}def __init__(self) -> None: ...")
        else:
            wrapped = [f"{inner}    {argument}," for argument in ["self", "*", *arguments]]
            self.lines += [f"{inner}def __init__(", *wrapped, f"{inner}) -> None: ..."]


def stub_text(schema: descriptor_pb2.FileDescriptorSet) -> str:
    """What protos.pyi holds for a schema."""
    return _Stub(schema).text()


def main() -> None:
    schema = compile_schema()
    (FORMAT / "schema.binpb").write_bytes(schema.SerializeToString(deterministic=True))
    (FORMAT / "protos.pyi").write_text(stub_text(schema), encoding="utf-8")
    sys.stdout.write(f"{len(schema.file)} files, {len(python_names(schema))} messages and enums\n")


if __name__ == "__main__":
    main()
