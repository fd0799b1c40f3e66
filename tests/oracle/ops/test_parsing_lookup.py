"""Parsing of examples, raw bytes and CSV, and lookup tables, against TensorFlow."""

from __future__ import annotations

import gzip
import pathlib
import zlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.oracle.compare import compare_errors, compare_op
from tracer import lookup as our_lookup
from tracer.public import tf as ours


def s(*items: Any) -> np.ndarray:
    return np.array([i if isinstance(i, bytes) else i.encode() for i in items], object)


def s0(item: Any) -> np.ndarray:
    return s(item).reshape(())


def i64(values: Any) -> np.ndarray:
    return np.array(values, np.int64)


def feature(values: list[Any]) -> tf.train.Feature:
    if not values:
        return tf.train.Feature()
    if values and isinstance(values[0], (str, bytes)):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[v.encode() if isinstance(v, str) else v for v in values]))
    if values and isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(**features: list[Any]) -> bytes:
    return tf.train.Example(features=tf.train.Features(feature={k: feature(v) for k, v in features.items()})).SerializeToString()


def sequence(context: dict[str, list[Any]], lists: dict[str, list[list[Any]]]) -> bytes:
    return tf.train.SequenceExample(
        context=tf.train.Features(feature={k: feature(v) for k, v in context.items()}),
        feature_lists=tf.train.FeatureLists(
            feature_list={k: tf.train.FeatureList(feature=[feature(f) for f in v]) for k, v in lists.items()}
        ),
    ).SerializeToString()


BATCH = [
    example(age=[3], name=["ann", "b"], w=[1.0, 2.0], seq=[1.5, 2.5, 3.5, 4.5], ix=[2, 0], val=[5.0, 6.0], lens=[1, 1]),
    example(age=[-4], w=[3.0, 4.0], seq=[9.5, 8.5], ix=[1], val=[7.0], name=["c"], lens=[1]),
    example(age=[5], w=[5.0, 6.0], ix=[], val=[], lens=[]),
]


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if hasattr(value, "dense_shape") and hasattr(value, "indices"):
        return [plain(value.indices), plain(value.values), plain(value.dense_shape)]
    if hasattr(value, "to_list"):
        return [value.dtype.name, value.row_splits.dtype.name, value.to_list()]
    return [value.dtype.name, value.shape.as_list(), np.asarray(value).tolist()]


def specification(t: Any) -> dict[str, Any]:
    return {
        "age": t.io.FixedLenFeature([], t.int64),
        "w": t.io.FixedLenFeature([2], t.float32),
        "none": t.io.FixedLenFeature([2], t.string, default_value=["x", "y"]),
        "name": t.io.VarLenFeature(t.string),
        "seq": t.io.FixedLenSequenceFeature([2], t.float32, allow_missing=True, default_value=-1.0),
        "sp": t.io.SparseFeature("ix", "val", t.float32, 4),
        "rag": t.io.RaggedFeature(t.float32, "seq"),
        "part": t.io.RaggedFeature(t.float32, "val", partitions=[t.io.RaggedFeature.RowLengths("lens")]),
    }


@pytest.mark.parametrize("keys", [["age", "w"], ["none"], ["name"], ["seq"], ["sp"], ["rag"], ["part"]], ids=str)
def test_parse_example_gives_what_tensorflow_gives(keys: list[str]) -> None:
    def run(t: Any, serialized: Any) -> Any:
        features = {k: v for k, v in specification(t).items() if k in keys}
        return plain(t.io.parse_example(serialized, features) if serialized is BATCH else t.io.parse_single_example(serialized, features))

    assert run(tf, BATCH) == run(ours, BATCH)
    for single in BATCH:
        assert run(tf, single) == run(ours, single)


@pytest.mark.parametrize(
    "features",
    [
        lambda t: {"age": t.io.FixedLenFeature([], t.float32)},
        lambda t: {"absent": t.io.FixedLenFeature([], t.int64)},
        lambda t: {"w": t.io.FixedLenFeature([3], t.float32)},
        lambda t: {"w": t.io.FixedLenSequenceFeature([3], t.float32, allow_missing=True)},
    ],
)
def test_parse_example_refuses_what_tensorflow_refuses(features: Any) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.parse_example(BATCH, features(tf))
    with pytest.raises(ValueError):
        ours.io.parse_example(BATCH, features(ours))
    with pytest.raises(ValueError):
        ours.io.parse_example([b"\x0a\xff"], features(ours))


SEQUENCES = [
    sequence({"id": [1], "tags": ["a", "b"]}, {"tok": [["x"], ["y", "z"], []], "vec": [[1.0, 2.0], [3.0, 4.0]]}),
    sequence({"id": [2]}, {"tok": [["w"]], "vec": [[5.0, 6.0]]}),
    sequence({"id": [3]}, {"vec": []}),
]


def test_parse_sequence_example_gives_what_tensorflow_gives() -> None:
    def run(t: Any, serialized: Any) -> Any:
        context = {"id": t.io.FixedLenFeature([], t.int64), "tags": t.io.VarLenFeature(t.string)}
        lists = {
            "tok": t.io.VarLenFeature(t.string), "vec": t.io.FixedLenSequenceFeature([2], t.float32), "rag": t.io.RaggedFeature(t.string),
        }  # fmt: skip
        lists.pop("rag")
        if serialized is SEQUENCES:
            return plain(t.io.parse_sequence_example(serialized, context, lists))
        return plain(t.io.parse_single_sequence_example(serialized, context, lists))

    assert run(tf, SEQUENCES) == run(ours, SEQUENCES)
    for single in SEQUENCES[:2]:
        assert run(tf, single) == run(ours, single)


def test_parse_sequence_example_makes_ragged_tensors() -> None:
    def run(t: Any) -> Any:
        return plain(t.io.parse_sequence_example(SEQUENCES, {"tags": t.io.RaggedFeature(t.string)}, {"tok": t.io.RaggedFeature(t.string)}))

    assert run(tf) == run(ours)


CASES: list[Any] = [
    ("DecodeRaw", [s(b"\x01\x02\x03\x04", b"\x05\x06\x07\x08")], {"out_type": "int16"}),
    ("DecodeRaw", [s(b"\x01\x02\x03\x04", b"\x05\x06\x07\x08")], {"out_type": "int16", "little_endian": False}),
    ("DecodeRaw", [s0(b"\x00\x00\x80\x3f")], {"out_type": "float32"}),
    ("DecodePaddedRaw", [s(b"\x01\x02\x03", b"", b"123456"), np.int32(4)], {"out_type": "int16"}),
    ("DecodeCompressed", [s(zlib.compress(b"abc" * 50), zlib.compress(b""))], {"compression_type": "ZLIB"}),
    ("DecodeCompressed", [s(gzip.compress(b"abc"))], {"compression_type": "GZIP"}),
    ("DecodeCSV", [s('1,"a, ""q""",2.5', "2,b,"), [np.array([], np.int32), s0("z"), np.array(7, np.float32)]], {}),
    ("DecodeCSV", [s("1;x;3;NA"), [i64([0]), i64([9])]], {"field_delim": ";", "select_cols": [2, 3], "na_value": "NA"}),
    ("DecodeCSV", [s('a"b,c'), [s0("z"), s0("z")]], {"use_quote_delim": False}),
    *[("SerializeTensor", [a], {}) for a in (np.arange(6, dtype=np.float32).reshape(2, 3), s("a", "bc"), np.zeros((0, 2), np.int64), np.array(True), np.float16([1.5]))],
    *[("ParseTensor", [s0(tf.make_tensor_proto(a).SerializeToString())], {"out_type": a.dtype.name if a.dtype != object else "string"})
      for a in (np.arange(6, dtype=np.float32).reshape(2, 3), s("a", "bc"), i64(-5), np.array([True]), np.float16([1.5]), np.uint8([200]), np.array([1 + 2j]))],
    ("SerializeSparse", [i64([[0, 1]]), np.float32([2]), i64([2, 2])], {}),
    ("SerializeManySparse", [i64([[0, 1], [2, 0]]), np.float32([2, 3]), i64([3, 2])], {}),
    ("DecodeJSONExample", [s('{"features": {"feature": {"a": {"int64List": {"value": ["1", "-2"]}}, "b": {"bytesList": {"value": ["YWI="]}}, "Z": {"floatList": {"value": [1.5, -2]}}}}}')], {}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
def test_op_gives_what_tensorflow_gives(case: Any) -> None:
    name, inputs, attrs = case
    compare_op(name, inputs, **attrs)


REFUSED: list[Any] = [
    ("DecodeRaw", [s("abc")], {"out_type": "int16"}),
    ("DecodeRaw", [s("a", "bc")], {"out_type": "uint8"}),
    ("DecodeCompressed", [s("abc")], {"compression_type": "ZLIB"}),
    ("DecodeCSV", [s(",b"), [np.array([], np.int32), s0("z")]], {}),
    ("DecodeCSV", [s("x,b"), [np.array([], np.int32), s0("z")]], {}),
    ("DecodeCSV", [s("1"), [np.array([], np.int32), s0("z")]], {}),
    ("DecodeCSV", [s('a"b,c'), [s0("z"), s0("z")]], {}),
    ("ParseTensor", [s0("nonsense")], {"out_type": "float32"}),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c[0])
def test_op_refuses_what_tensorflow_refuses(case: Any) -> None:
    name, inputs, attrs = case
    compare_errors(name, inputs, **attrs)


def test_sparse_tensors_survive_serialization() -> None:
    def run(t: Any) -> Any:
        sp = t.sparse.from_dense([[0, 3.0, 0], [1.0, 0, 2.0]])
        return [plain(t.io.deserialize_many_sparse(t.io.serialize_many_sparse(sp), t.float32)), plain(t.io.serialize_sparse(sp))]

    assert run(tf) == run(ours)


# -- tables ----------------------------------------------------------------------------------------------------------


def tables(t: Any) -> list[Any]:
    static = t.lookup.StaticHashTable(t.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2]), -1)
    keys = t.constant(["b", "z", "a"])
    out = [static.lookup(keys), static.size(), static.lookup(t.ragged.constant([["a"], ["z", "b"]])), static.lookup(t.sparse.from_dense(["a", "", "z"]))]
    mutable = t.lookup.experimental.MutableHashTable(t.string, t.int64, -1)
    mutable.insert(["x", "y"], t.constant([1, 2], t.int64))
    mutable.insert(t.constant(["x"]), t.constant([5], t.int64))
    mutable.remove(t.constant(["y", "q"]))
    out += [mutable.lookup(t.constant([["x"], ["y"]])), mutable.size(), mutable.export()]
    vector = t.lookup.experimental.MutableHashTable(t.int64, t.float32, [0.0, 0.5])
    vector.insert(t.constant([3], t.int64), [[1.0, 2.0]])
    out += [vector.lookup(t.constant([[3, 4]], t.int64)), vector.export()]
    dense = t.lookup.experimental.DenseHashTable(t.int64, t.int64, -1, empty_key=0, deleted_key=-1, initial_num_buckets=8)
    dense.insert(t.constant([1, 2, 9, 17], t.int64), t.constant([10, 20, 90, 170], t.int64))
    out += [dense.size(), dense.lookup(t.constant([1, 9, 5], t.int64)), dense.export()]
    words = t.lookup.experimental.DenseHashTable(t.string, t.int64, -1, empty_key="", deleted_key="$", initial_num_buckets=4)
    words.insert(t.constant(["p", "q", "r", "s", "t"]), t.constant([1, 2, 3, 4, 5], t.int64))
    out += [words.size(), words.lookup(t.constant(["p", "t", "u"]))]
    vocabulary = t.lookup.StaticVocabularyTable(t.lookup.KeyValueTensorInitializer(["a", "b"], t.constant([0, 1], t.int64)), 3)
    out += [vocabulary.lookup(t.constant(["a", "q", "zz", "hello"])), vocabulary.size()]
    numbers = t.lookup.StaticVocabularyTable(t.lookup.KeyValueTensorInitializer(t.constant([5, 7], t.int64), t.constant([0, 1], t.int64)), 3)
    out += [numbers.lookup(t.constant([5, 100, -3], t.int32)) if t is None else numbers.lookup(t.constant([5, 100, -3], t.int64))]
    out += [t.lookup.StaticVocabularyTable(None, 3, lookup_key_dtype=t.string).lookup(t.constant(["a", "b"]))]
    return plain(out)


def test_tables_give_what_tensorflow_gives() -> None:
    expected, actual = tables(tf), tables(ours)
    for i, (e, a) in enumerate(zip(expected, actual, strict=True)):
        assert e == a, f"result {i}"


@pytest.mark.parametrize(
    "columns", [("string", -2, "int64", -1), ("string", 0, "int64", 2), ("int64", -1, "string", 1), ("string", 1, "string", 0), ("int64", 2, "string", 0)]
)
def test_vocabulary_files_give_what_tensorflow_gives(columns: Any, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(b"a\tx\t1\r\nb\ty\t2\n")
    key_dtype, key, value_dtype, value = columns

    def run(t: Any) -> Any:
        start = t.lookup.TextFileInitializer(str(path), t.as_dtype(key_dtype), key, t.as_dtype(value_dtype), value)
        found = t.lookup.StaticHashTable(start, "q" if value_dtype == "string" else -1).export()
        return sorted(zip(*(np.asarray(f).tolist() for f in found)))

    previous = our_lookup.read_text_file
    our_lookup.set_text_file_reader(lambda name: pathlib.Path(name.decode()).read_bytes())
    try:
        assert run(tf) == run(ours)
        our_lookup.set_text_file_reader(None)
        with pytest.raises(PermissionError):
            run(ours)
    finally:
        our_lookup.read_text_file = previous


def test_example_messages_have_the_bytes_that_tensorflow_writes() -> None:
    def run(t: Any) -> list[bytes]:
        tr = t.train
        features = tr.Features(feature={
            "a": tr.Feature(int64_list=tr.Int64List(value=[1, -2])), "b": tr.Feature(bytes_list=tr.BytesList(value=[b"x"])),
            "c": tr.Feature(float_list=tr.FloatList(value=[1.5])), "d": tr.Feature(),
        })  # fmt: skip
        lists = tr.FeatureLists(feature_list={"s": tr.FeatureList(feature=[features.feature["a"], features.feature["b"]])})
        return [
            tr.Example(features=features).SerializeToString(deterministic=True),
            tr.SequenceExample(context=features, feature_lists=lists).SerializeToString(deterministic=True),
        ]

    assert run(tf) == run(ours)
    whole, steps = run(ours)
    assert ours.train.Example.FromString(whole).SerializeToString() == whole
    assert ours.train.SequenceExample.FromString(steps).SerializeToString() == steps
