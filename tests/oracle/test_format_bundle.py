"""Checkpoints against TensorFlow itself: files written by one are read by the other, and are the same bytes."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from savedmodel.format import checkpoint_state, protos
from savedmodel.format.bundle import BundleReader, BundleWriter, merge_bundles
from savedmodel.format.errors import SavedModelError
from savedmodel.format.slices import parse_shape_and_slice
from savedmodel.format.table import TableBuilder, TableReader
from savedmodel.format.v1_checkpoint import open_checkpoint

tf = pytest.importorskip("tensorflow")

_spec = importlib.util.spec_from_file_location("make_bundles", Path(__file__).parents[1] / "golden" / "make_bundles.py")
make_bundles = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_bundles)
TENSORS = make_bundles.tensors()


def tf_restore(prefix, name, dtype, spec=""):
    (value,) = tf.raw_ops.RestoreV2(
        prefix=str(prefix), tensor_names=[name], shape_and_slices=[spec], dtypes=[tf.dtypes.as_dtype(dtype)]
    )
    return value


def plain(tensor):
    return tf.cast(tensor, tf.int8).numpy() if "int4" in tensor.dtype.name else tensor.numpy()


def write(prefix, contents):
    with BundleWriter(prefix) as writer:
        for name, value in contents.items():
            kind = name.split("/")[-1]
            writer.add(name, value, kind if kind.startswith("q") else None)


def test_tensorflow_reads_every_type_that_we_write(tmp_path):
    write(tmp_path / "ours", TENSORS)
    reader = tf.train.load_checkpoint(str(tmp_path / "ours"))
    assert reader.get_variable_to_shape_map() == {name: list(value.shape) for name, value in TENSORS.items()}
    for name, value in TENSORS.items():
        number = BundleReader(tmp_path / "ours").dtype_number(name)
        restored = np.asarray(plain(tf_restore(tmp_path / "ours", name, number)), object)
        assert restored.shape == value.shape
        assert restored.tolist() == value.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_random_contents_give_the_same_files(seed, tmp_path):
    random = np.random.default_rng(seed)
    contents = {}
    for number in range(int(random.integers(1, 300))):
        name = "/".join(
            random.choice(["a", "layer", "ÿ", "kernel", "zz", "x" * 70, "\x01"], int(random.integers(1, 6)))
        )
        kind = str(random.choice(["float32", "int64", "bool", "string"]))
        shape = tuple(random.integers(0, 4, int(random.integers(0, 4))))
        value = random.integers(0, 2, shape)
        contents[f"{name}_{number}"] = (
            np.array([b"s" * int(item * 150) for item in value.ravel()], object).reshape(shape)
            if kind == "string"
            else np.asarray(value).astype(kind)
        )
    make_bundles.save(
        tf, str(tmp_path / "t"), [(name, "", make_bundles.to_tf(tf, name, value)) for name, value in contents.items()]
    )
    write(tmp_path / "o", contents)
    for end in (".index", ".data-00000-of-00001"):
        assert Path(f"{tmp_path}/t{end}").read_bytes() == Path(f"{tmp_path}/o{end}").read_bytes()
    reader = BundleReader(tmp_path / "t")
    for name, value in contents.items():
        assert reader.read(name).tolist() == value.tolist()


def test_a_key_that_fills_blocks_gives_the_same_index(tmp_path):
    contents = {"a": np.zeros(1), "b" * 600000: np.zeros(2), "c" * 300000: np.zeros(3), "d": np.zeros(4)}
    make_bundles.save(tf, str(tmp_path / "t"), [(name, "", tf.constant(value)) for name, value in contents.items()])
    write(tmp_path / "o", contents)
    assert (tmp_path / "t.index").read_bytes() == (tmp_path / "o.index").read_bytes()
    assert BundleReader(tmp_path / "t").shape("c" * 300000) == (3,)


def test_slices_are_restored_by_each_from_the_other(tmp_path):
    make_bundles.save(
        tf, str(tmp_path / "t"), [(name, spec, tf.constant(value)) for name, spec, value in make_bundles.sliced()]
    )
    with BundleWriter(tmp_path / "o") as writer:
        for name, spec, value in make_bundles.sliced():
            if spec:
                writer.add_slice(name, *parse_shape_and_slice(spec), value)
            else:
                writer.add(name, value)
    reader = BundleReader(tmp_path / "t")
    for name, shape, part in (
        ("rows", "4 3", "1,2:-"), ("rows", "4 3", "-:0,2"), ("rows", "4 3", "2,2:-"), ("rows", "4 3", "2,2:0,3"),
        ("grid", "2 3 4", "-:1,2:1,2"), ("whole", "4 3", "0,2:1,1"), ("far", "9000", "60,10"), ("gap", "4", "0,1"),
    ):  # fmt: skip
        theirs = tf_restore(tmp_path / "o", name, reader.dtype_number(name), f"{shape} {part}")
        assert theirs.numpy().tolist() == reader.read_slice(name, part).tolist()
    for spec in ("4 0,2", "4 1,1"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="sufficient slices"):
            tf_restore(tmp_path / "o", "gap", tf.float32, spec)
        with pytest.raises(SavedModelError, match="sufficient slices"):
            reader.read_slice("gap", spec.split()[1])


@pytest.mark.parametrize("theirs_merge", [True, False])
def test_parts_of_either_are_merged_by_either_into_the_same_files(theirs_merge, tmp_path):
    results = []
    for side in ("t", "o"):
        parts = []
        for number, part in enumerate(make_bundles.shards()):
            parts.append(f"{tmp_path}/{side}_temp/part{number}")
            named = [(name, "", value) for name, value in part.items()]
            named.append(("across", f"3 2 {number},1:-", np.full((1, 2), number, np.float32)))
            if side == "t":
                make_bundles.save(
                    tf, parts[-1], [(name, spec, make_bundles.to_tf(tf, "", value)) for name, spec, value in named]
                )
                continue
            with BundleWriter(parts[-1]) as writer:
                for name, spec, value in named:
                    writer.add_slice(name, *parse_shape_and_slice(spec), value) if spec else writer.add(name, value)
        target = f"{tmp_path}/{side}"
        if (side == "t") == theirs_merge:
            tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=target)
        else:
            merge_bundles(parts, target)
        assert not os.path.exists(f"{tmp_path}/{side}_temp")
        results.append({path.name[1:]: path.read_bytes() for path in tmp_path.glob(f"{side}.*")})
    assert results[0] == results[1]
    assert tf_restore(tmp_path / "o", "across", tf.float32).numpy().tolist() == [[0, 0], [1, 1], [2, 2]]


def change_header(prefix, **fields):
    path = Path(f"{prefix}.index")
    table = TableBuilder()
    for key, value in TableReader(memoryview(path.read_bytes())):
        if key == b"":
            header = protos.BundleHeaderProto.FromString(value)
            header.version.MergeFrom(protos.VersionDef(**fields))
            value = header.SerializeToString()
        table.add(key, value)
    path.write_bytes(table.finish())


@pytest.mark.parametrize("fields", [{"min_consumer": 2}, {"bad_consumers": [1]}, {"producer": -1}], ids=str)
def test_versions_are_refused_with_tensorflows_sentence(fields, tmp_path):
    write(tmp_path / "a", {"x": np.zeros(1)})
    change_header(tmp_path / "a", **fields)
    with pytest.raises(tf.errors.InvalidArgumentError) as theirs:
        tf_restore(tmp_path / "a", "x", tf.float64)
    with pytest.raises(SavedModelError) as ours:
        BundleReader(tmp_path / "a")
    sentence = str(theirs.value).split("}} ")[-1]
    for part in sentence.split("TensorFlow")[0].split(" supported by ")[0].split(" for ")[:1]:
        assert part.split(". ")[0] in str(ours.value)


def test_each_flipped_bit_of_a_shard_is_found_by_both(tmp_path):
    contents = {"f": np.arange(4, dtype=np.float32), "s": np.array([b"ab", b"c"], object)}
    write(tmp_path / "a", contents)
    path = tmp_path / "a.data-00000-of-00001"
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        name = "f" if at < 16 else "s"
        with pytest.raises((tf.errors.DataLossError, tf.errors.OutOfRangeError)):
            tf_restore(tmp_path / "a", name, tf.float32 if name == "f" else tf.string)
        with pytest.raises(SavedModelError, match=r"a\.data-00000-of-00001: tensor " + name):
            BundleReader(tmp_path / "a").read(name)


@pytest.mark.parametrize("sharded", [False, True])
def test_name_based_checkpoints_of_both_formats_are_read(sharded, tmp_path):
    tf1 = tf.compat.v1
    for version in (tf1.train.SaverDef.V1, tf1.train.SaverDef.V2):
        with tf1.Graph().as_default(), tf1.Session() as session:
            tf1.get_variable("w", initializer=tf.range(7), use_resource=False)
            tf1.get_variable(
                "p",
                initializer=tf.reshape(tf.range(15.0), [5, 3]),
                partitioner=tf1.fixed_size_partitioner(3),
                use_resource=False,
            )
            session.run(tf1.global_variables_initializer())
            saver = tf1.train.Saver(write_version=version, sharded=sharded)
            prefix = saver.save(session, str(tmp_path / f"v{version}"), global_step=3)
        reader = open_checkpoint(prefix)
        assert sorted(reader) == ["p", "w"]
        assert reader.read("w").tolist() == list(range(7))
        assert reader.read("p").tolist() == np.arange(15.0).reshape(5, 3).tolist()
        assert reader["p"][1:4, 2].tolist() == [5.0, 8.0, 11.0]


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("times", [None, [1.5, 1700000000.123456]])
@pytest.mark.parametrize("paths", [None, ["{0}/ck-1", "{0}/ck-2"], ["{0}/ck-0", "{0}/ck-1"][:1]])
@pytest.mark.parametrize("absolute", [True, False])
def test_the_state_file_has_the_same_bytes(relative, times, paths, absolute, tmp_path, monkeypatch):
    from tensorflow.python.checkpoint import checkpoint_management

    monkeypatch.chdir(tmp_path)
    written = []
    for side, module in (("t", checkpoint_management), ("o", checkpoint_state)):
        directory = str(tmp_path / "d") if absolute else "d"
        os.makedirs(directory, exist_ok=True)
        kept = [path.format(directory) for path in paths or ()]
        update = module.update_checkpoint_state_internal if side == "t" else module.update_checkpoint_state
        try:
            update(
                directory, f"{directory}/ck-2", kept, all_model_checkpoint_timestamps=times,
                last_preserved_timestamp=times and times[0], save_relative_paths=relative,
            )  # fmt: skip
        except ValueError as error:
            written.append("Checkpoint timestamps, if provided, must match" in str(error))
            continue
        written.append(Path(directory, "checkpoint").read_bytes())
        state = module.get_checkpoint_state(directory)
        written[-1] += state.SerializeToString()
        assert module.latest_checkpoint(directory) is None
        Path(f"{directory}/ck-2.index").touch()
        latest = module.latest_checkpoint(directory)
        written[-1] += str(latest).encode()
        Path(f"{directory}/ck-2.index").unlink()
    assert written[0] == written[1]
