"""The compiled schema is that of proto/*.proto, and its classes stay out of protobuf's default pool."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool

from savedmodel.format import protos

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "proto" / "build.py"


def _build():
    spec = importlib.util.spec_from_file_location("proto_build", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_schema_and_stub_are_what_build_py_writes() -> None:
    pytest.importorskip("grpc_tools")
    build = _build()
    schema = build.compile_schema()
    folder = ROOT / "savedmodel" / "format"
    assert (folder / "schema.binpb").read_bytes() == schema.SerializeToString(deterministic=True)
    assert (folder / "protos.pyi").read_text(encoding="utf-8") == build.stub_text(schema)


def test_names_of_the_module_are_those_of_build_py() -> None:
    build = _build()
    schema = build.descriptor_pb2.FileDescriptorSet.FromString((ROOT / "savedmodel/format/schema.binpb").read_bytes())
    names = build.python_names(schema)
    assert {name: getattr(protos, name).__name__ for name in names.values()}
    assert set(names.values()) <= set(dir(protos))
    for full_name, name in names.items():
        found = getattr(protos, name)
        assert getattr(found, "DESCRIPTOR", None) is None or found.DESCRIPTOR.full_name == full_name


def test_the_default_pool_stays_empty() -> None:
    assert protos.SavedModel.DESCRIPTOR.full_name == "tensorflow.SavedModel"
    code = (
        "from google.protobuf import descriptor_pool\n"
        "from savedmodel.format import protos\n"
        "protos.SavedModel()\n"
        "descriptor_pool.Default().FindMessageTypeByName('tensorflow.SavedModel')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "KeyError" in done.stderr
    assert protos.pool() is not descriptor_pool.Default()


def test_messages_with_one_simple_name_have_two_python_names() -> None:
    assert protos.SavedObject.DESCRIPTOR.full_name == "tensorflow.SavedObject"
    assert protos.KerasSavedObject.DESCRIPTOR.full_name == "third_party.py.keras.protobuf.SavedObject"
    assert protos.SavedMetadata(nodes=[protos.KerasSavedObject(node_id=3)]).nodes[0].node_id == 3


def test_enums_nested_messages_and_any_are_at_hand() -> None:
    tensor = protos.TensorProto(dtype=protos.DataType.DT_BFLOAT16)
    assert tensor.dtype == protos.DataType.DT_BFLOAT16 == 14
    assert protos.SaverDef(version=protos.SaverDef.V2).version == 2
    assert protos.MetaGraphDef.MetaInfoDef(tags=["serve"]).tags == ["serve"]
    packed = protos.Any()
    packed.Pack(protos.AssetFileDef(filename="a"))
    assert packed.type_url == "type.googleapis.com/tensorflow.AssetFileDef"
    assert protos.message_type("tensorflow.AssetFileDef").FromString(packed.value).filename == "a"


def test_a_name_that_is_no_message_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no message 'Nonsense'"):
        protos.Nonsense  # noqa: B018
