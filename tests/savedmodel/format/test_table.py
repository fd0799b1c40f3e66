"""Table files, their number encodings, checksums and snappy blocks: round trips, and every kind of damage."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from savedmodel.format import crc32c, snappy
from savedmodel.format.coding import decode_slice_key, encode_slice_key, encode_varint, read_varint
from savedmodel.format.errors import DataLossError, SavedModelError
from savedmodel.format.table import FOOTER_SIZE, MAGIC, TableBuilder, TableReader


def build(entries):
    table = TableBuilder()
    for key in sorted(entries):
        table.add(key, entries[key])
    return table.finish()


def block(entries, compress=False, restarts=(0,)):
    """A block with its trailer, from (shared, rest of key, value) triples."""
    body = b"".join(
        encode_varint(shared) + encode_varint(len(rest)) + encode_varint(len(value)) + rest + value
        for shared, rest, value in entries
    )
    body += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    if compress:  # One literal.
        body = encode_varint(len(body)) + bytes([61 << 2]) + struct.pack("<H", len(body) - 1) + body
    body += bytes([int(compress)])
    return body + struct.pack("<I", crc32c.mask(crc32c.value(body)))


def table_of(data_blocks, compress=False):
    """A whole file with one index entry (last key, block) for each block given as bytes."""
    out, handles = b"", []
    for last_key, data in data_blocks:
        handles.append((0, last_key, encode_varint(len(out)) + encode_varint(len(data) - 5)))
        out += data
    index = block(handles, compress, restarts=[0])
    footer = b"\x00\x00" + encode_varint(len(out)) + encode_varint(len(index) - 5)
    return out + index + footer.ljust(FOOTER_SIZE - 8, b"\x00") + MAGIC.to_bytes(8, "little")


def read(data):
    return list(TableReader(memoryview(data), "t"))


@given(st.dictionaries(st.binary(max_size=12), st.binary(max_size=40), max_size=60))
@settings(max_examples=60, deadline=None)
def test_what_is_built_is_read_in_order_and_found_by_key(entries):
    data = build(entries)
    assert read(data) == sorted(entries.items())
    reader = TableReader(memoryview(data), "t")
    for key in entries:
        assert reader.get(key) == entries[key]
        assert reader.get(key + b"\x00") == entries.get(key + b"\x00")


def test_lookups_work_across_many_blocks():
    entries = {f"key{number:06d}".encode(): bytes(number % 300) for number in range(5000)}
    entries[b"long"] = bytes(600000)
    reader = TableReader(memoryview(build(entries)), "t")
    for key in list(entries)[::61] + [b"long"]:
        assert reader.get(key) == entries[key]
    assert [reader.get(key) for key in (b"", b"key", b"key0000005", b"zzz")] == [None] * 4


def test_keys_must_ascend():
    table = TableBuilder()
    table.add(b"b", b"")
    for key in (b"b", b"a"):
        with pytest.raises(ValueError, match="must ascend"):
            table.add(key, b"")


def test_compressed_blocks_and_any_restart_interval_are_read():
    entries = [(0, b"alpha", b"1"), (5, b"bet", b"2"), (0, b"beta", b"3")]
    expected = [(b"alpha", b"1"), (b"alphabet", b"2"), (b"beta", b"3")]
    for compress in (False, True):
        data = table_of([(b"beta", block(entries, compress, restarts=(0, 16)))], compress)
        assert read(data) == expected
        assert TableReader(memoryview(data), "t").get(b"alphabet") == b"2"


@pytest.mark.parametrize(
    ("blocks", "sentence"),
    [
        ([(b"b", block([(1, b"b", b"")]))], "bad entry in block"),
        ([(b"b", block([(0, b"b", b""), (9, b"c", b"")]))], "bad entry in block"),
        ([(b"b", block([(0, b"b", b""), (0, b"a", b"")]))], "not in ascending order"),
        ([(b"a", block([(0, b"a", b"")])), (b"b", block([(0, b"a", b"")]))], "not in ascending order"),
        ([(b"b", block([(0, b"b", b"")])[:-1] + b"!")], "block checksum mismatch"),
        ([(b"b", b"\xff\xff\xff\x0f" + bytes([0]) + struct.pack("<I", crc32c.mask(crc32c.value(b"\xff\xff\xff\x0f\x00"))))], "restarts"),
        ([(b"b", b"\x05" + struct.pack("<I", crc32c.mask(crc32c.value(b"\x05"))))], "bad block type"),
        ([(b"z", block([(0, b"k" * 500000, b""), *((499999 - n, b"z", b"") for n in range(20000))]))], "expand"),
    ],
    ids=["first shares", "shares too much", "order", "order of blocks", "checksum", "restarts", "type", "key bomb"],
)  # fmt: skip
def test_damaged_blocks_are_refused(blocks, sentence):
    with pytest.raises(DataLossError, match=sentence):
        read(table_of(blocks))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_mutated_files_raise_only_our_errors(data):
    good = build({f"k{number}".encode(): bytes(number) for number in range(40)})
    raw = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for damaged in (raw, raw[cut:], raw[:cut]):
        try:
            read(bytes(damaged))
        except SavedModelError:
            pass


# --- numbers -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**64 - 1))
def test_varints_round_trip(value):
    data = encode_varint(value)
    assert read_varint(data, 0, len(data)) == (value, len(data))
    with pytest.raises(DataLossError):
        read_varint(data, 0, len(data) - 1)


def test_varints_beyond_64_bits_are_refused():
    for data in (b"\xff" * 11, b"\xff" * 9 + b"\x02"):
        with pytest.raises(DataLossError):
            read_varint(data, 0, len(data))
    with pytest.raises(ValueError, match="varint"):
        encode_varint(1 << 64)


INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.binary(max_size=20), st.lists(st.tuples(INT64, INT64), max_size=4))
def test_slice_keys_round_trip(name, extents):
    assert decode_slice_key(encode_slice_key(name, extents)) == (name, tuple(extents))


@given(st.tuples(st.binary(max_size=5), INT64), st.tuples(st.binary(max_size=5), INT64))
def test_slice_keys_sort_as_names_and_numbers(a, b):
    keys = [encode_slice_key(name, [(start, 1)]) for name, start in (a, b)]
    assert (keys[0] < keys[1]) == (a < b)


@given(st.binary(max_size=30))
def test_bytes_that_are_no_slice_key_are_refused(data):
    try:
        name, extents = decode_slice_key(data)
    except DataLossError:
        return
    assert decode_slice_key(encode_slice_key(name, extents)) == (name, extents)


@pytest.mark.parametrize(
    ("start", "length", "encoded"),
    [(0, -1, "807f"), (2, 64, "82c040"), (8191, 8192, "dfffe02000"), (100000, 63, "e186a0bf")],
)
def test_slice_keys_are_those_of_tensorflow(start, length, encoded):
    assert encode_slice_key(b"a", [(start, length)]).hex() == "00" + "61" + "0001" + "0101" + encoded


# --- checksums, snappy -------------------------------------------------------------------------------------------


def test_checksums_are_castagnolis_and_masked():
    assert crc32c.value(b"123456789") == 0xE3069283
    assert crc32c.mask(0) == 0xA282EAD8
    assert [crc32c.unmask(crc32c.mask(crc)) for crc in (0, 1, 0xE3069283, 0xFFFFFFFF)] == [0, 1, 0xE3069283, 0xFFFFFFFF]
    assert crc32c.extend(crc32c.value(b"1234"), memoryview(bytearray(b"56789"))) == 0xE3069283
    assert crc32c.extend(7, b"") == crc32c.extend(7, memoryview(b"")) == 7


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        ("00", b""),
        ("0308616263", b"abc"),
        ("0c08616263 1503", b"abcabcabcabc"),  # copy with a one-byte distance, overlapping
        ("0800780100 0d01", None),
        ("06 08616263 0a0300", b"abcabc"),  # two-byte distance
        ("06 08616263 0b03000000", b"abcabc"),  # four-byte distance
        ("03 f002616263", b"abc"),  # literal with its length in one byte
    ],
)
def test_snappy_elements_of_every_kind_are_read(data, plain):
    if plain is None:
        with pytest.raises(DataLossError):
            snappy.decompress(bytes.fromhex(data))
    else:
        assert snappy.decompress(bytes.fromhex(data)) == plain


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("", "does not end"),
        ("ffffff7f00", "more than it can expand to"),
        ("0308616", "past the block"),
        ("0208616263", "holds more"),
        ("0408616263", "holds 3"),
        ("0608616263 0a0400", "reaches 4 bytes back"),
        ("0608616263 0a0000", "reaches 0 bytes back"),
        ("0608616263 0a03", "cut off"),
    ],
)
def test_snappy_blocks_that_lie_are_refused(data, sentence):
    data = data.replace(" ", "")
    with pytest.raises(DataLossError, match=sentence):
        snappy.decompress(bytes.fromhex(data + "0" * (len(data) % 2)))
