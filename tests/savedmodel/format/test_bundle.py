"""Checkpoints: golden files of TensorFlow 2.15.1 are read; the same content written by us gives the same bytes; damage is named."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from savedmodel.format import bundle_publish, crc32c, protos
from savedmodel.format.bundle import BundleReader, BundleWriter, merge_bundles
from savedmodel.format.errors import (
    DataLossError,
    FormatError,
    MissingFileError,
    MissingTensorError,
    SavedModelError,
    UnsupportedVersionError,
)
from savedmodel.format.slices import parse_shape_and_slice
from savedmodel.format.table import TableBuilder, TableReader
from savedmodel.format.v1_checkpoint import open_checkpoint

GOLDEN = Path(__file__).parents[2] / "golden"
_spec = importlib.util.spec_from_file_location("make_bundles", GOLDEN / "make_bundles.py")
make_bundles = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_bundles)
BUNDLES = GOLDEN / "bundles"
TENSORS = make_bundles.tensors()


def equal(expected, actual):
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    assert not actual.flags.writeable
    assert actual.tolist() == expected.tolist()


def element_type(name):
    kind = name.split("/")[-1]
    return kind if kind.startswith("q") else None


def write(prefix, contents, **options):
    with BundleWriter(prefix, **options) as writer:
        for name, value in contents.items():
            writer.add(name, value, element_type(name))


def same_files(golden, written):
    for path in BUNDLES.glob(f"{golden}.*"):
        assert path.read_bytes() == Path(f"{written}{path.name.removeprefix(golden)}").read_bytes(), path.name


def copy(name, to):
    for path in BUNDLES.glob(f"{name}.*"):
        shutil.copy(path, to)
    return str(to / name)


def edit_index(prefix, change):
    """Rewrites the index; `change` gets the dict of entries."""
    path = Path(f"{prefix}.index")
    entries = dict(TableReader(memoryview(path.read_bytes())))
    change(entries)
    table = TableBuilder()
    for key in sorted(entries):
        table.add(key, entries[key])
    path.write_bytes(table.finish())


def edit_entry(entries, key, **fields):
    kind = protos.BundleHeaderProto if key == b"" else protos.BundleEntryProto
    message = kind.FromString(entries[key])
    for name, value in fields.items():
        setattr(message, name, value)
    entries[key] = message.SerializeToString()


@pytest.mark.parametrize("memory_map", [True, False])
@pytest.mark.parametrize("name", TENSORS)
def test_every_type_that_tensorflow_saves_is_read(name, memory_map):
    reader = BundleReader(BUNDLES / "tensors", memory_map=memory_map)
    equal(TENSORS[name], reader.read(name))
    assert (reader[name].dtype, reader[name].shape) == (TENSORS[name].dtype, TENSORS[name].shape)


def test_names_come_sorted_by_their_bytes_without_header():
    assert list(BundleReader(BUNDLES / "tensors")) == sorted(TENSORS, key=str.encode)


def test_written_files_equal_those_of_tensorflow(tmp_path):
    write(tmp_path / "tensors", TENSORS)
    same_files("tensors", tmp_path / "tensors")
    assert sorted(os.listdir(tmp_path)) == ["tensors.data-00000-of-00001", "tensors.index"]


def test_an_index_of_several_blocks_equals_that_of_tensorflow(tmp_path):
    write(tmp_path / "many", make_bundles.many())
    expected = json.loads((BUNDLES / "digests.json").read_text())
    assert expected == {
        name: hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in os.listdir(tmp_path)
    }
    reader = BundleReader(tmp_path / "many")
    for name, value in list(make_bundles.many().items())[::37]:
        equal(value, reader.read(name))
    assert len(reader) == 2001


def test_slices_are_written_as_tensorflow_writes_them_and_read_whole_or_in_part(tmp_path):
    with BundleWriter(tmp_path / "sliced") as writer:
        for name, spec, value in make_bundles.sliced():
            if spec:
                writer.add_slice(name, *parse_shape_and_slice(spec), value)
            else:
                writer.add(name, value)
    same_files("sliced", tmp_path / "sliced")
    reader = BundleReader(BUNDLES / "sliced")
    assert list(reader) == sorted({name for name, _, _ in make_bundles.sliced()}, key=str.encode)
    rows, grid = np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    for name, whole, specs in (
        ("rows", rows, ["-:-", "0,2:-", "0,2:0,3", "1,2:-", "3,1:1,1", "0,4:-"]),
        ("grid", grid, ["-:-:-", "0,2:0,1:-", "-:1,2:1,2", "1,1:-:3,1"]),
        ("whole", rows, ["1,2:1,2"]),
    ):
        equal(whole, reader.read(name))
        for spec in specs:
            part = whole[parse_shape_and_slice(" ".join(map(str, whole.shape)) + " " + spec)[1].resolve(whole.shape)]
            equal(part, reader.read_slice(name, spec))
            equal(part, reader.read_slice(name, spec, verify=True))
    assert reader["grid"][:, -1, ::-2].tolist() == grid[:, -1, ::-2].tolist()
    assert reader["rows"][1].tolist() == rows[1].tolist()
    assert np.bincount(reader.read("far")).tolist() == [64, 8191, 745]
    assert reader.read_slice("gap", "0,1").tolist() == [0.0]
    with pytest.raises(FormatError, match="Does not have sufficient slices for partitioned tensor gap"):
        reader.read("gap")
    with pytest.raises(FormatError, match="out of bounds"):
        reader.read_slice("rows", "3,2:-")


def test_merged_shards_are_read_and_merging_gives_tensorflows_files(tmp_path):
    parts = []
    for number, part in enumerate(make_bundles.shards()):
        parts.append(tmp_path / "parts" / f"part{number}")
        with BundleWriter(parts[-1]) as writer:
            for name, value in part.items():
                writer.add(name, value)
            writer.add_slice("across", (3, 2), f"{number},1:-", np.full((1, 2), number, np.float32))
    merge_bundles(parts, tmp_path / "merged")
    same_files("merged", tmp_path / "merged")
    assert sorted(os.listdir(tmp_path)) == sorted(path.name for path in BUNDLES.glob("merged.*"))
    reader = BundleReader(BUNDLES / "merged")
    assert reader.num_shards == 3
    assert reader.read("across").tolist() == [[0, 0], [1, 1], [2, 2]]
    assert {name: reader.read(name).tolist() for name in "0abc"} == {
        "0": 7, "a": [b"s"], "b": [0, 1, 2, 3], "c": [[1, 1], [1, 1]],
    }  # fmt: skip


def test_merging_bundles_that_hold_the_same_tensor_moves_nothing(tmp_path):
    for part in "ab":
        write(tmp_path / part, {"same": np.zeros(2)})
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(FormatError, match="Duplicate tensor keyed by same encountered, when merging prefix"):
        merge_bundles([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert sorted(os.listdir(tmp_path)) == before
    with pytest.raises(MissingFileError):
        merge_bundles([tmp_path / "a", tmp_path / "nothing"], tmp_path / "c")
    merge_bundles([tmp_path / "a", tmp_path / "nothing"], tmp_path / "c", allow_missing=True)
    assert list(BundleReader(tmp_path / "c")) == ["same"]


def test_a_shard_is_needed_only_by_its_tensors(tmp_path):
    prefix = copy("merged", tmp_path)
    os.unlink(f"{prefix}.data-00001-of-00003")
    reader = BundleReader(prefix)
    assert reader.read("b").tolist() == [0, 1, 2, 3]
    with pytest.raises(MissingFileError, match=r"data-00001-of-00003"):
        reader.read("c")


def test_variants_keep_their_bytes(tmp_path):
    reader = BundleReader(BUNDLES / "variants")
    one, two = reader.read("one"), reader.read("two")
    assert (one.shape, two.shape) == ((), (2,))
    assert one[()].type_name == "tensorflow::TensorList"
    assert one[()].tensors[0].tolist() == [1.0, 2.0]
    write(tmp_path / "v", {})
    with BundleWriter(tmp_path / "v") as writer:
        writer.add("one", one, "variant")
        writer.add("two", two, "variant")
    again = BundleReader(tmp_path / "v").read("two")
    assert again[1].tensors[0].tolist() == two[1].tensors[0].tolist()
    same_files("variants", tmp_path / "v")


@pytest.mark.parametrize("name", ["v1", "v1_sharded", "v1_sharded-?????-of-00001"])
def test_checkpoints_of_the_first_format_are_read(name):
    reader = open_checkpoint(BUNDLES / name)
    for key in [key for key in reader if key.startswith("v/")]:
        equal(make_bundles.number_tensor(key[2:]), reader.read(key))
    assert sum(key.startswith("v/") for key in reader) == 11
    assert reader.read("strings").tolist() == [b"ab", b"", b"c"]
    assert (reader.read("scalar").tolist(), reader.read("empty").shape) == (7, (0, 2))
    assert reader.read("parts").tolist() == np.arange(15.0).reshape(5, 3).tolist()
    assert reader["parts"][2:4, 1].tolist() == [7.0, 10.0]
    with pytest.raises(MissingTensorError, match="Key other not found"):
        reader.read("other")


def test_files_in_memory_are_read_without_a_disk():
    contents = {path.name: path.read_bytes() for path in BUNDLES.glob("merged.*")}
    assert BundleReader(contents).read("b").tolist() == [0, 1, 2, 3]
    assert open_checkpoint("merged", contents).read("0") == 7
    assert open_checkpoint("v1", {"v1": (BUNDLES / "v1").read_bytes()}).read("scalar") == 7


def test_what_was_written_on_a_big_endian_machine_is_swapped(tmp_path):
    names = [name for name in TENSORS if not name.startswith("strings")]
    offset = 0
    entries = {}
    data = b""
    for name in names:
        value = TENSORS[name]
        part = value.dtype.itemsize // (2 if value.dtype.kind == "c" else 1)
        raw = np.ascontiguousarray(value).reshape(-1).view(f"u{part}").byteswap().tobytes()
        number = BundleReader(BUNDLES / "tensors").dtype_number(name)
        entry = protos.BundleEntryProto(
            dtype=number, offset=offset, size=len(raw), crc32c=crc32c.mask(crc32c.value(raw))
        )
        for size in value.shape:
            entry.shape.dim.add(size=size)
        entries[name.encode()] = entry.SerializeToString()
        data += raw
        offset += len(raw)
    lengths = np.array([1, 2], ">u4").tobytes()
    table = bytes([1, 2]) + crc32c.mask(crc32c.value(lengths)).to_bytes(4, "big")
    crc = crc32c.extend(crc32c.value(lengths + table[2:]), b"abc")
    entry = protos.BundleEntryProto(dtype=7, offset=offset, size=9, crc32c=crc32c.mask(crc))
    entry.shape.dim.add(size=2)
    entries[b"text"] = entry.SerializeToString()
    header = protos.BundleHeaderProto(num_shards=1, endianness=protos.BundleHeaderProto.BIG)
    header.version.producer = 1
    index = TableBuilder()
    for key, value in sorted({b"": header.SerializeToString(), **entries}.items()):
        index.add(key, value)
    reader = BundleReader({"x.index": index.finish(), "x.data-00000-of-00001": data + table + b"abc"})
    for name in names:
        equal(TENSORS[name], reader.read(name))
        if TENSORS[name].ndim:
            equal(TENSORS[name][1:], reader[name][1:])
    assert reader.read("text").tolist() == [b"a", b"bc"]


def test_aligned_data_is_read_by_offset(tmp_path):
    write(tmp_path / "a", TENSORS, alignment=4096)
    reader = BundleReader(tmp_path / "a")
    assert reader.entry("scalar").offset % 4096 == 0
    for name, value in TENSORS.items():
        equal(value, reader.read(name))
        reader.verify(name)


def test_reading_a_part_touches_only_its_rows():
    class Watched(dict):
        pass

    taken = []
    reader = BundleReader(BUNDLES / "tensors")
    for file in reader._shards.values():
        view = file.view
        file.view = lambda offset, size, view=view: taken.append(size) or view(offset, size)
    assert reader["z/float64"][1].tolist() == TENSORS["z/float64"][1].tolist()
    assert taken == [24]


def test_non_contiguous_and_foreign_byte_order_arrays_are_stored_in_row_major_little_endian(tmp_path):
    big = np.arange(3 << 20, dtype=">f8").reshape(3, -1)
    write(tmp_path / "a", {"t": big.T, "step": big[:, ::2], "row": big[0]})
    reader = BundleReader(tmp_path / "a")
    assert np.array_equal(reader.read("t"), big.T)
    assert np.array_equal(reader.read("step"), big[:, ::2])
    assert reader.read("row").dtype == np.dtype("<f8")


@pytest.mark.parametrize("name", [name for name, value in TENSORS.items() if value.size])
def test_every_flipped_bit_of_the_data_is_found(name, tmp_path):
    contents = {path.name: path.read_bytes() for path in BUNDLES.glob("tensors.*")}
    entry = BundleReader(contents).entry(name)
    data = contents["tensors.data-00000-of-00001"]
    for at in sorted({entry.offset, entry.offset + 3, entry.offset + entry.size // 2, entry.offset + entry.size - 1}):
        if entry.offset <= at < entry.offset + entry.size:
            contents["tensors.data-00000-of-00001"] = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
            for read in (BundleReader(contents).read, BundleReader(contents).verify):
                with pytest.raises(
                    DataLossError, match=r"tensors.data-00000-of-00001: tensor .*" + name.split("/")[-1]
                ):
                    read(name)


def test_a_damaged_length_of_a_string_is_told_from_damaged_text(tmp_path):
    contents = {path.name: path.read_bytes() for path in BUNDLES.glob("tensors.*")}
    entry = BundleReader(contents).entry("strings/scalar")
    data = contents["tensors.data-00000-of-00001"]
    for at, sentence in (
        (1, "The length checksum does not match"),
        (5, "Checksum does not match"),
        (0, "String lengths longer"),
    ):
        at += entry.offset
        contents["tensors.data-00000-of-00001"] = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(DataLossError, match=sentence):
            BundleReader(contents).read("strings/scalar")


def test_every_flipped_bit_of_an_index_gives_an_error_or_the_same_names():
    index = (BUNDLES / "merged.index").read_bytes()
    for at in range(len(index)):
        for bit in (0, 6):
            damaged = index[:at] + bytes([index[at] ^ 1 << bit]) + index[at + 1 :]
            try:
                reader = BundleReader({"m.index": damaged})
                assert list(reader) == ["0", "a", "across", "b", "c"]
            except SavedModelError:
                pass


@pytest.mark.parametrize("size", [0, 10, 47, 48, 200, 331])
def test_a_truncated_index_is_named(size):
    index = (BUNDLES / "merged.index").read_bytes()[:size]
    with pytest.raises(DataLossError, match=r"m\.index"):
        BundleReader({"m.index": index})


def test_a_truncated_data_file_is_out_of_range(tmp_path):
    prefix = copy("tensors", tmp_path)
    os.truncate(f"{prefix}.data-00000-of-00001", 100)
    reader = BundleReader(prefix)
    for name in ("z/float32", "strings/many"):
        with pytest.raises(
            DataLossError, match=rf"data-00000-of-00001: tensor {name} at byte \d+: .*out of range.*100 bytes"
        ):
            reader.read(name)


def test_a_git_lfs_pointer_is_called_by_its_name(tmp_path):
    (tmp_path / "a.index").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    with pytest.raises(DataLossError, match="git lfs pull"):
        BundleReader(tmp_path / "a")


def test_a_pipe_in_place_of_a_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.index")
    with pytest.raises(DataLossError, match="expected a regular file"):
        BundleReader(tmp_path / "a")


def test_missing_checkpoints_and_tensors_have_errors_of_their_own(tmp_path):
    with pytest.raises(FileNotFoundError, match="Failed to find any matching files"):
        BundleReader(tmp_path / "nothing")
    with pytest.raises(MissingFileError, match="Failed to find any matching files"):
        open_checkpoint(tmp_path / "nothing")
    os.makedirs(tmp_path / "model" / "variables")
    write(tmp_path / "model" / "variables" / "variables", {"x": np.zeros(1)})
    for opener in (BundleReader, open_checkpoint):
        with pytest.raises(
            MissingFileError, match=r"received a SavedModel - its checkpoint is .*model/variables/variables"
        ):
            opener(tmp_path / "model")
    reader = BundleReader(BUNDLES / "tensors")
    with pytest.raises(KeyError, match=r"Key float32 not found in checkpoint .*z/float32"):
        reader.read("float32")
    assert "float32" not in reader
    assert reader.get("float32") is None
    assert "" not in reader


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"min_consumer": 2}, "Checkpoint min consumer version 2 above current version 1 .* Please upgrade"),
        ({"producer": -1}, "Checkpoint producer version -1 below min producer 0"),
        ({"bad_consumers": [3, 1]}, "Checkpoint disallows consumer version 1. Please upgrade"),
    ],
)
def test_versions_are_checked_with_tensorflows_sentences(fields, sentence, tmp_path):
    prefix = copy("merged", tmp_path)

    def change(entries):
        header = protos.BundleHeaderProto.FromString(entries[b""])
        header.version.MergeFrom(protos.VersionDef(**fields))
        entries[b""] = header.SerializeToString()

    edit_index(prefix, change)
    with pytest.raises(UnsupportedVersionError, match=sentence):
        BundleReader(prefix)


def test_a_newer_producer_or_a_header_without_version_is_accepted(tmp_path):
    prefix = copy("merged", tmp_path)
    for header in (b"\x08\x03\x1a\x02\x08\x09", b"\x08\x03"):
        edit_index(prefix, lambda entries, header=header: entries.update({b"": header}))
        assert BundleReader(prefix).read("0") == 7


@pytest.mark.parametrize(
    "fields",
    [
        {"size": 3}, {"size": 1 << 62}, {"offset": 1 << 62}, {"offset": -4}, {"size": -4}, {"shard_id": 3}, {"shard_id": -1},
        {"dtype": 0}, {"dtype": 20}, {"dtype": 21}, {"dtype": 107}, {"dtype": 7}, {"dtype": 99},
    ],
)  # fmt: skip
def test_entries_that_cannot_be_are_refused(fields, tmp_path):
    prefix = copy("merged", tmp_path)
    edit_index(prefix, lambda entries: edit_entry(entries, b"b", **fields))
    with pytest.raises(FormatError, match="b"):
        BundleReader(prefix).read("b")


@pytest.mark.parametrize("sizes", [[-1], [1 << 62, 1 << 62], [1 << 40], [0, 1 << 62, 1 << 62], [1] * 300])
@pytest.mark.parametrize("dtype", [1, 7, 21])
def test_shapes_that_cannot_be_are_refused_before_memory_is_taken(sizes, dtype, tmp_path):
    prefix = copy("merged", tmp_path)

    def change(entries):
        edit_entry(entries, b"b", dtype=dtype)
        entry = protos.BundleEntryProto.FromString(entries[b"b"])
        del entry.shape.dim[:]
        for size in sizes:
            entry.shape.dim.add(size=size)
        entries[b"b"] = entry.SerializeToString()

    edit_index(prefix, change)
    with pytest.raises(FormatError):
        BundleReader(prefix).read("b")


def test_a_writer_that_fails_leaves_nothing_and_what_was_there(tmp_path):
    write(tmp_path / "a", {"x": np.arange(3)})
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(ZeroDivisionError), BundleWriter(tmp_path / "a") as writer:
        writer.add("x", np.arange(4))
        raise ZeroDivisionError
    with pytest.raises(FormatError, match="Adding duplicate key: x"), BundleWriter(tmp_path / "a") as writer:
        writer.add("x", np.arange(4))
        writer.add("x", np.arange(4))
    with pytest.raises(FormatError, match="Overlapping slices"), BundleWriter(tmp_path / "a") as writer:
        writer.add_slice("x", (4,), "0,2", np.arange(2))
        writer.add_slice("x", (4,), "1,2", np.arange(2))
    writer = BundleWriter(tmp_path / "a")
    del writer
    assert sorted(os.listdir(tmp_path)) == before
    assert BundleReader(tmp_path / "a").read("x").tolist() == [0, 1, 2]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", range(9))
def test_a_writer_killed_between_any_two_renames_leaves_the_old_or_the_new_checkpoint(step, tmp_path, monkeypatch):
    def sharded(where, value):
        for number in range(2):
            write(tmp_path / f"part{number}", {f"x{number}": np.full(3, value)})
        merge_bundles([tmp_path / "part0", tmp_path / "part1"], where)

    sharded(tmp_path / "a", 1)
    count = [0]

    def dying(function):
        def call(*arguments):
            if str(arguments[-1]).startswith(str(tmp_path / "a")):
                if count[0] >= step:
                    raise Killed
                count[0] += 1
            return function(*arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("link", "replace", "unlink"):
            patch.setattr(os, name, dying(getattr(os, name)))
        with pytest.raises(Killed):
            sharded(tmp_path / "a", 2)
            raise Killed
    reader = BundleReader(tmp_path / "a")
    values = {tuple(reader.read(name).tolist()) for name in ("x0", "x1")}
    assert values in ({(1, 1, 1)}, {(2, 2, 2)})
    sharded(tmp_path / "a", 3)
    reader = BundleReader(tmp_path / "a")
    assert [reader.read(name).tolist() for name in reader] == [[3, 3, 3]] * 2
    assert not [name for name in os.listdir(tmp_path) if name.endswith(bundle_publish.PREVIOUS)]


def test_a_checkpoint_replaced_while_it_is_open_stays_what_it_was(tmp_path):
    write(tmp_path / "a", {"x": np.arange(3)})
    reader = BundleReader(tmp_path / "a")
    write(tmp_path / "a", {"x": np.arange(4)})
    assert reader.read("x").tolist() == [0, 1, 2]
    assert BundleReader(tmp_path / "a").read("x").tolist() == [0, 1, 2, 3]
