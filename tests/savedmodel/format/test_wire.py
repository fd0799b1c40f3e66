"""Bytes, text and fingerprints of messages, against files that TensorFlow wrote (golden/format)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from savedmodel.format import protos
from savedmodel.format.errors import DataLossError, FormatError
from savedmodel.format.farmhash import fingerprint64
from savedmodel.format.fingerprint import fingerprint_of, read_fingerprint, singleprint, verify
from savedmodel.format.text import parse_text, print_text
from savedmodel.format.wire import parse, serialize

GOLDEN = Path(__file__).parents[2] / "golden" / "format"
MODELS = ("plain", "prefixes", "strings")


def _model(name: str) -> protos.SavedModel:
    return parse(protos.SavedModel, (GOLDEN / name / "saved_model.pb").read_bytes(), name)


def test_entries_of_maps_are_written_by_ascending_key() -> None:
    function = protos.FunctionDef()
    for key in ("ab", "a", "", "b", "é", "aé"):
        function.ret[key] = key.upper()
    for number in (5, 0, 300, 2):
        function.arg_attr[number].attr["x"].i = number
    function.resource_arg_unique_id[0] = 0
    function.resource_arg_unique_id[7] = 1

    def entry(tag: int, *body: bytes) -> bytes:
        whole = b"".join(body)
        return bytes((tag, len(whole))) + whole

    def text(tag: int, value: str) -> bytes:
        return entry(tag, value.encode())

    expected = b"".join(entry(0x22, text(10, key), text(18, key.upper())) for key in ("", "a", "ab", "aé", "b", "é"))
    for varint in (b"\0", b"\2", b"\5", b"\xac\x02"):
        attr = entry(0x0A, text(10, "x"), entry(0x12, b"\x18", varint))
        expected += entry(0x3A, b"\x08", varint, entry(0x12, attr))
    expected += entry(0x42, b"\x08\0\x10\0") + entry(0x42, b"\x08\x07\x10\x01")
    assert serialize(function) == expected


def test_messages_around_a_misordered_map_keep_all_they_hold() -> None:
    model = protos.SavedModel(saved_model_schema_version=1)
    meta = model.meta_graphs.add()
    meta.meta_info_def.tags.extend(["serve", "gpu"])
    meta.saver_def.keep_checkpoint_every_n_hours = 0.5
    node = meta.graph_def.node.add(name="n", op="Sum", input=["a", "^b"], device="/cpu:0")
    node.attr["Tidx"].type = 3
    node.attr["T"].type = 1
    node.attr["f"].func.attr["bb"].list.func.add(name="g").attr["x"].list.SetInParent()
    node.attr["f"].func.attr["b"].s = b"\xff"
    trace = meta.graph_def.debug_info.traces_by_id
    trace[9].frame_id.extend([1, 2])
    trace[1 << 63].SetInParent()
    meta.graph_def.library.function.add().arg_attr[3].SetInParent()
    meta.graph_def.versions.bad_consumers.extend([1, 2])
    data = serialize(model)
    assert protos.SavedModel.FromString(data) == model
    assert len(data) == model.ByteSize()
    assert data.index(b"\x0a\x01T\x12") < data.index(b"\x0a\x04Tidx")


def test_unknown_fields_are_kept() -> None:
    node = protos.NodeDef(name="n")
    node.attr["ab"].i = node.attr["a"].i = 1
    data = serialize(node) + b"\xf2\x3f\x03new"
    again = serialize(parse(protos.NodeDef, data))
    assert again == data


@pytest.mark.parametrize("name", MODELS)
def test_serializing_is_lossless(name: str) -> None:
    model = _model(name)
    assert protos.SavedModel.FromString(serialize(model)) == model
    assert len(serialize(model)) == model.ByteSize()


@pytest.mark.parametrize("data", [b"\x0a", b"\x12\xff\xff\xff\xff\x0f", b"PK\x03\x04", b"\x12\x05abc"], ids=repr)
def test_bytes_that_are_no_message_are_data_loss_naming_the_file(data: bytes) -> None:
    with pytest.raises(DataLossError, match=r"m/saved_model.pb: expected a serialized SavedModel"):
        parse(protos.SavedModel, data, "m/saved_model.pb")


def test_fingerprint64_equals_farmhash() -> None:
    for size, expected in json.loads((GOLDEN / "hashes.json").read_text()).items():
        assert fingerprint64((np.arange(int(size)) * 7).astype(np.uint8).tobytes()) == expected, size


@pytest.mark.parametrize("name", MODELS)
def test_fingerprints_equal_those_that_tensorflow_stored(name: str) -> None:
    stored = read_fingerprint(GOLDEN / name)
    assert stored is not None
    index = (GOLDEN / name / "variables.index").read_bytes()
    assert fingerprint_of(_model(name), index) == stored
    assert verify(stored, _model(name), index) == {}


def test_verify_names_what_changed() -> None:
    stored = read_fingerprint(GOLDEN / "plain")
    assert stored is not None
    model = _model("plain")
    model.meta_graphs[0].signature_def["serving_default"].method_name = "other"
    assert set(verify(stored, model, b"other")) == {"saved_model_checksum", "signature_def_hash", "checkpoint_hash"}
    assert singleprint(stored).count("/") == 3


def test_a_missing_fingerprint_is_none_and_a_damaged_one_is_data_loss(tmp_path: Path) -> None:
    assert read_fingerprint(tmp_path) is None
    (tmp_path / "fingerprint.pb").write_bytes(b"\xff\xff")
    with pytest.raises(DataLossError, match=r"fingerprint\.pb"):
        read_fingerprint(tmp_path)


def test_text_written_by_tensorflow_is_read_and_written_again() -> None:
    text = (GOLDEN / "text.pbtxt").read_text()
    model = parse_text(protos.SavedModel, text, "text.pbtxt")
    packed = model.meta_graphs[0].collection_def["saved_model_assets"].any_list.value[0]
    assert packed.type_url == "type.googleapis.com/tensorflow.AssetFileDef"
    assert protos.AssetFileDef.FromString(packed.value).filename == "words.txt"
    assert print_text(model) == text
    del model.meta_graphs[0].collection_def["saved_model_assets"]
    assert model == _model("plain")


def test_checkpoint_state_is_read_from_text() -> None:
    text = (
        'model_checkpoint_path: "ckpt-2"\nall_model_checkpoint_paths: "ckpt-1"\nall_model_checkpoint_paths: "ckpt-2"\n'
    )
    state = parse_text(protos.CheckpointState, text)
    assert list(state.all_model_checkpoint_paths) == ["ckpt-1", "ckpt-2"]
    assert print_text(state) == text


BAD_TEXT = {
    "unknown field": ("meta_graphs {\n  foo: 1\n}", r"m.pbtxt:2:3: .* no field named .foo"),
    "wrong type": ("saved_model_schema_version:\n\n'a'", "m.pbtxt:3:1"),
    "open brace": ("meta_graphs {\n", "m.pbtxt:"),
    "unknown Any": (
        'meta_graphs { collection_def { key: "a" value { any_list { value { [type.googleapis.com/x.Y] {} } } } } }',
        "x.Y not found",
    ),
    "no UTF-8": (b"# one\n\xff", "m.pbtxt:2: .* no UTF-8"),
    "too deep": (
        "meta_graphs { object_graph_def { concrete_functions { value { output_signature {"
        + "list_value { values { " * 5000,
        "nested too deep",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_TEXT.values(), ids=BAD_TEXT)
def test_bad_text_is_refused_with_its_place(text: str | bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse_text(protos.SavedModel, text, "m.pbtxt")


def test_unknown_fields_of_a_text_are_dropped_when_asked() -> None:
    text = 'meta_graphs { foo { bar: "x" } meta_info_def { tags: "serve" } }'
    model = parse_text(protos.SavedModel, text, allow_unknown=True)
    assert list(model.meta_graphs[0].meta_info_def.tags) == ["serve"]
