"""Strings, patterns, hashes, tables, ragged and sparse tensors: small exact cases that need no TensorFlow."""

from __future__ import annotations

import time
import zlib

import numpy as np
import pytest

from tracer import composite, lookup, regex, wire
from tracer.errors import InvalidArgumentError, LimitError, RefusedOpError, UninitializedError
from tracer.functions import function
from tracer.hashing import fingerprint64, hash64, siphash24
from tracer.ops import decode
from tracer.public import tf
from tracer.resources import ResourceManager, use_manager
from tracer.tape import GradientTape


def test_fingerprint64_has_farmhash_values() -> None:
    assert fingerprint64(b"") == 0x9AE16A3B2F90404F
    assert fingerprint64(b"a") % 1000 == int(tf.strings.to_hash_bucket_fast(["a"], 1000)[0])


def test_siphash_has_the_reference_value() -> None:
    key = (0x0706050403020100, 0x0F0E0D0C0B0A0908)
    assert siphash24(key, bytes(range(15))) == 0xA129CA6149BE45E5


def test_hash64_of_nothing_is_a_hash_of_the_seed() -> None:
    assert hash64(b"") != hash64(b"\0")


@pytest.mark.parametrize("pattern, text", [(r"(a*)*b", "a" * 3000), (r"(a|aa)+$", "a" * 3000 + "b"), ("a?" * 25 + "a" * 25, "a" * 25), (r"(x+x+)+y", "x" * 2000)])
def test_a_pattern_that_backtracks_badly_ends_soon(pattern: str, text: str) -> None:
    start = time.perf_counter()
    regex.compile_regex(pattern.encode()).full_match(text.encode())
    tf.strings.regex_replace([text], pattern, "")
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "a++", "a{1001}", "[z-a]", "(", r"\Z"])
def test_a_pattern_that_re2_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgumentError, match="Invalid pattern"):
        tf.strings.regex_replace(["a"], pattern, "")


def test_split_and_ngrams_make_ragged_tensors() -> None:
    words = tf.strings.split(["a b c", "d"])
    assert words.to_list() == [[b"a", b"b", b"c"], [b"d"]]
    assert tf.strings.ngrams(words, 2).to_list() == [[b"a b", b"b c"], []]


def test_a_table_serves_inside_of_a_function() -> None:
    table = lookup.StaticHashTable(lookup.KeyValueTensorInitializer(["a", "b"], [1, 2]), -1)
    traced = function(lambda x: table.lookup(x) * 2, autograph=False)
    assert traced(tf.constant(["b", "z"])).numpy().tolist() == [4, -2]


def test_tables_of_one_name_are_one_table_per_manager() -> None:
    def find() -> int:
        handle = tf.raw_ops.HashTableV2(shared_name="shared", key_dtype=tf.string, value_dtype=tf.int64)
        return int(tf.raw_ops.LookupTableSizeV2(table_handle=handle))

    with use_manager(ResourceManager()):
        handle = tf.raw_ops.HashTableV2(shared_name="shared", key_dtype=tf.string, value_dtype=tf.int64)
        tf.raw_ops.InitializeTableV2(table_handle=handle, keys=["a"], values=tf.constant([1], tf.int64))
        assert find() == 1
    with use_manager(ResourceManager()):
        assert find() == 0
        with pytest.raises(UninitializedError):
            empty = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
            tf.raw_ops.LookupTableFindV2(table_handle=empty, keys=["a"], default_value=tf.constant(0, tf.int64))


def test_a_vocabulary_file_is_refused_without_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "read_text_file", lookup._refuse)  # another test may have given one
    start = lookup.TextFileInitializer("v.txt", tf.string, -2, tf.int64, -1)
    with pytest.raises(RefusedOpError):
        lookup.StaticHashTable(start, -1)


def test_composites_pass_through_functions() -> None:
    ragged = tf.ragged.constant([[1.0, 2.0], [3.0]])
    sparse = tf.sparse.from_dense([[0.0, 5.0]])
    doubled = function(lambda r, s: (r * 2.0, s * 2.0), autograph=False)(ragged, sparse)
    assert doubled[0].to_list() == [[2.0, 4.0], [6.0]]
    assert tf.sparse.to_dense(doubled[1]).numpy().tolist() == [[0.0, 10.0]]


def test_gradients_flow_through_ragged_tensors() -> None:
    x = tf.constant([1.0, 2.0, 3.0])
    with GradientTape() as tape:
        tape.watch(x)
        rows = tf.RaggedTensor.from_row_splits(x, [0, 2, 3])
        y = tf.reduce_sum(rows * rows, axis=1)[0] + tf.reduce_sum(rows.to_tensor()[1])
    assert tape.gradient(y, x).numpy().tolist() == [2.0, 4.0, 1.0]


def test_functions_take_ragged_tensors() -> None:
    rows = tf.ragged.constant([[0, 1], [2]])
    assert tf.nn.embedding_lookup(tf.constant([5.0, 6.0, 7.0]), rows).to_list() == [[5.0, 6.0], [7.0]]
    assert tf.cast(rows, np.float32).to_list() == [[0.0, 1.0], [2.0]]
    assert tf.concat([rows, rows], axis=1).to_list() == [[0, 1, 0, 1], [2, 2]]


def test_indexed_slices_become_dense() -> None:
    slices = composite.IndexedSlices(tf.constant([[1.0], [2.0], [3.0]]), tf.constant([0, 2, 0]), tf.constant([3, 1]))
    assert tf.convert_to_tensor(slices).numpy().tolist() == [[4.0], [0.0], [2.0]]


def test_a_ragged_tensor_refuses_bad_splits() -> None:
    for splits in ([1, 2], [0, 2, 1, 3], [0, 2]):
        with pytest.raises(ValueError, match=r"row_splits|last split"):
            tf.RaggedTensor.from_row_splits([1, 2, 3], splits)


def test_a_compressed_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_UNPACKED", 1000)
    bomb = zlib.compress(b"\0" * 1_000_000)
    with pytest.raises(LimitError):
        tf.io.decode_compressed([bomb], "ZLIB")


@pytest.mark.parametrize("data", [b"\x0a\xff", b"\x08", b"\x0a\x05ab", b"\x07", b"\xff" * 12])
def test_damaged_messages_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        list(wire.fields(data))


def test_tensors_survive_the_wire() -> None:
    for array in (np.arange(6, dtype=np.float32).reshape(2, 3), np.array([b"a", b""], object), np.zeros((0, 3), np.int64)):
        dtype = tf.as_dtype(array.dtype)
        back, found = wire.read_tensor(wire.write_tensor(array, dtype))
        assert found == dtype
        assert back.shape == array.shape
        assert back.tolist() == array.tolist()


def test_a_tensor_that_announces_too_much_is_refused() -> None:
    huge = wire.varint_field(1, 1) + wire.bytes_field(2, wire.bytes_field(2, wire.varint_field(1, 1 << 50)))
    with pytest.raises(InvalidArgumentError):
        wire.read_tensor(huge)
