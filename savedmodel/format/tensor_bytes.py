"""Values of tensors as the bytes of a data file, both ways. Refuses sizes that do not fit the shape, and bad checksums.

Numbers are their row-major bytes. Strings are a table of lengths with a checksum of its own, then the bytes. Variants
are length, message and checksum, one after the other. README.md of this package draws the bytes.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterator

import numpy as np
from google.protobuf.message import DecodeError, Message

from savedmodel.format import crc32c, dtypes, protos
from savedmodel.format.coding import encode_varint, read_varint
from savedmodel.format.errors import DataLossError, FormatError, UnsupportedVersionError
from savedmodel.format.tensor_proto import VariantValue, tensor_to_proto, variant_from_proto

__all__ = ["Encoder", "check_size", "decode_numbers", "decode_strings", "decode_variants", "encode"]

_LITTLE = np.little_endian
_CHUNK = 4 << 20
_U32_MAX = 2**32 - 1
_NUMBER_BITS_IN_A_BYTE = {"int4": 0x0F, "uint4": 0x0F, "int2": 0x03, "uint2": 0x03}


def check_size(number: int, shape: tuple[int, ...], size: int, where: str) -> None:
    """Checks the stored size of a tensor against its data type and shape, before any memory is taken. DataLossError."""
    count = math.prod(shape)
    item = dtypes.item_size(number)
    if item is not None:
        if size != count * item:
            raise DataLossError(
                f"{where}: Invalid size in bundle entry: stored size {size}; expected size {count * item} for shape "
                f"{list(shape)} of {dtypes.name(number)}"
            )
        return
    # A string takes a length byte, and all together four bytes of checksum; a variant takes five bytes and more.
    least = count + 4 if number == dtypes.DT_STRING else count * 5
    if number == dtypes.DT_RESOURCE:
        raise DataLossError(f"{where}: resources have no bytes; the index is damaged")
    if size < least and (size or count):
        raise DataLossError(
            f"{where}: Invalid size in bundle entry: stored size {size}; expected size is at least {least} for shape "
            f"{list(shape)} of {dtypes.name(number)}"
        )


def decode_numbers(number: int, shape: tuple[int, ...], raw: np.ndarray, swap: bool) -> np.ndarray:
    """A view of `raw` (uint8) as an array, without a copy unless bytes are swapped. `check_size` was called."""
    dtype = dtypes.numpy_dtype(number)
    if swap and dtype.itemsize > 1:
        # Complex numbers are two numbers; types of ml_dtypes swap as integers of their size.
        part = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
        raw = raw.view(f"u{part}").byteswap()
    if dtype.kind == "b" and raw.size and raw.max() > 1:
        return (raw != 0).reshape(shape)  # NumPy takes a bool of another byte for neither true nor false.
    return raw.view(dtype).reshape(shape)


def _lengths_crc(crc: int, lengths: list[int], order: str) -> int:
    """Lengths are summed as 4-byte numbers, those that need it as 8-byte numbers."""
    for wide, group in itertools.groupby(lengths, key=lambda length: length > _U32_MAX):
        crc = crc32c.extend(crc, np.fromiter(group, f"{order}u{8 if wide else 4}"))
    return crc


def decode_strings(shape: tuple[int, ...], raw: np.ndarray, swap: bool, where: str) -> tuple[np.ndarray, int]:
    """(object array of bytes, checksum of the entry). DataLossError naming `where` if lengths or their sum are wrong."""
    count, size = math.prod(shape), len(raw)
    out = np.empty(count, object)
    if not size:
        return out.reshape(shape), 0
    lengths, position = _read_lengths(raw, count, where)
    if position + 4 > size or position + 4 + sum(lengths) != size:
        raise DataLossError(
            f"{where}: String lengths longer than expected: {count} lengths in {position} bytes, a checksum and "
            f"{sum(lengths)} bytes of text - received {size} bytes"
        )
    order = ">" if swap else "<"
    actual = _lengths_crc(0, lengths, order)
    stored_bytes = raw[position : position + 4].tobytes()
    stored = crc32c.unmask(struct.unpack(f"{order}I", stored_bytes)[0])
    if stored != actual:
        raise DataLossError(
            f"{where}: The length checksum does not match: expected {stored:08d} but actual is {actual:08d}; the file is "
            "damaged, copy it again"
        )
    text = raw[position + 4 :]
    crc = crc32c.extend(crc32c.extend(actual, stored_bytes), text)
    data, start = text.tobytes(), 0
    for number, length in enumerate(lengths):
        out[number] = data[start : start + length]
        start += length
    return out.reshape(shape), crc


def _read_lengths(raw: np.ndarray, count: int, where: str) -> tuple[list[int], int]:
    if count <= len(raw) and not (raw[:count] & 0x80).any():  # Each length is one byte.
        return raw[:count].tolist(), count
    lengths: list[int] = []
    position = 0
    try:
        # The table is read in parts: what follows it may be large.
        buffer, base = b"", 0
        while len(lengths) < count:
            if position - base + 10 > len(buffer) and base + len(buffer) < len(raw):
                base, buffer = position, raw[position : position + (1 << 16)].tobytes()
            length, end = read_varint(buffer, position - base, len(buffer))
            position = base + end
            lengths.append(length)
    except DataLossError as error:
        raise DataLossError(f"{where}: length {len(lengths)} of {count} strings: {error}") from None
    return lengths, position


def decode_variants(shape: tuple[int, ...], raw: np.ndarray, swap: bool, where: str) -> tuple[np.ndarray, int]:
    """(object array of VariantValue, checksum of the entry). DataLossError if a checksum in between is wrong."""
    if swap:
        raise UnsupportedVersionError(
            f"{where}: Byte-swapping of variant tensors is not currently implemented: the bundle was written on a "
            "big-endian machine; write it again on a little-endian one"
        )
    count = math.prod(shape)
    out = np.empty(count, object)
    data, position, crc = raw.tobytes(), 0, 0
    for number in range(count):
        try:
            size, position = read_varint(data, position, len(data))
        except DataLossError as error:
            raise DataLossError(f"{where}: variant {number}: {error}") from None
        end = position + size
        if end + 4 > len(data):
            raise DataLossError(f"{where}: variant {number} of {size} bytes runs past the entry of {len(data)} bytes")
        crc = crc32c.extend(crc32c.extend(crc, struct.pack("<Q", size)), data[position:end])
        stored = crc32c.unmask(struct.unpack_from("<I", data, end)[0])
        if stored != crc:
            raise DataLossError(
                f"{where}: The checksum after Variant {number} does not match. Expected: {stored:08d} Actual: {crc:08d}; "
                "the file is damaged, copy it again"
            )
        crc = crc32c.extend(crc, data[end : end + 4])
        out[number] = _parse_variant(data[position:end], f"{where}: variant {number}")
        position = end + 4
    if position != len(data):
        raise DataLossError(f"{where}: {count} variants take {position} bytes - received {len(data)} bytes")
    return out.reshape(shape), crc


def _parse_variant(data: bytes, where: str) -> VariantValue:
    try:
        return variant_from_proto(protos.VariantTensorDataProto.FromString(data), where=where)
    except DecodeError as error:
        raise DataLossError(
            f"{where}: Unable to parse VariantTensorDataProto from {len(data)} bytes: {error}"
        ) from None


# --- writing -----------------------------------------------------------------------------------------------------


class Encoder:
    """The bytes of one tensor in chunks, and, when they are used up, their checksum."""

    def __init__(self, array: np.ndarray, number: int) -> None:
        self.crc = 0
        self._array = array
        self._number = number

    def __iter__(self) -> Iterator[bytes | np.ndarray]:
        """Yields chunks; each must be used before the next one is taken."""
        if self._number == dtypes.DT_STRING:
            return self._strings()
        if self._number == dtypes.DT_VARIANT:
            return self._variants()
        return self._numbers()

    def _numbers(self) -> Iterator[np.ndarray]:
        array = self._array
        dtype = array.dtype
        bits = _NUMBER_BITS_IN_A_BYTE.get(dtype.name)
        swap = dtype.byteorder == ">" or (dtype.byteorder in "=|" and not _LITTLE and dtype.itemsize > 1)
        # An integer of the same size moves the bits unchanged, and NumPy's iterator knows it.
        part = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
        for chunk in _chunks(array):
            data = np.ascontiguousarray(chunk).reshape(-1).view(f"u{part}")
            if swap:
                data = data.byteswap()
            if bits is not None:
                data = data & np.uint8(bits)
            data = data.view(np.uint8)
            self.crc = crc32c.extend(self.crc, data)
            yield data

    def _strings(self) -> Iterator[bytes]:
        values = [_as_bytes(value) for value in self._array.ravel().tolist()]
        lengths = [len(value) for value in values]
        table = b"".join(map(encode_varint, lengths))
        crc = _lengths_crc(0, lengths, "<")
        stored = struct.pack("<I", crc32c.mask(crc))
        yield table + stored
        self.crc = crc32c.extend(crc, stored)
        for group in _groups(values):
            self.crc = crc32c.extend(self.crc, group)
            yield group

    def _variants(self) -> Iterator[bytes]:
        for value in self._array.ravel().tolist():
            data = _variant_bytes(value)
            crc = crc32c.extend(crc32c.extend(self.crc, struct.pack("<Q", len(data))), data)
            stored = struct.pack("<I", crc32c.mask(crc))
            self.crc = crc32c.extend(crc, stored)
            yield encode_varint(len(data)) + data + stored


def encode(array: np.ndarray, number: int) -> Encoder:
    """Prepares the bytes of `array` as DataType `number`. FormatError when the array does not hold such values."""
    expected = dtypes.numpy_dtype(number)
    if number == dtypes.DT_RESOURCE:
        raise FormatError("a resource has no bytes to store: store what it holds")
    if array.dtype.kind in "SU" and number == dtypes.DT_STRING:
        array = array.astype(object)
    given = array.dtype.newbyteorder("=") if array.dtype.kind in "iufc" else array.dtype
    if given != expected:
        raise FormatError(
            f"{dtypes.name(number)}: expected an array of {expected} - received {array.dtype}; convert it"
        )
    return Encoder(array, number)


def _chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Pieces of `array` in row-major order, of about 4 MiB; only views are made here."""
    if array.nbytes <= _CHUNK or array.ndim == 0:
        if array.size:
            yield array
        return
    if array.flags.c_contiguous:
        array = array.reshape(-1)
    row = array.nbytes // len(array)
    if row > _CHUNK:
        for part in array:
            yield from _chunks(part)
        return
    step = max(1, _CHUNK // row)
    for start in range(0, len(array), step):
        yield array[start : start + step]


def _groups(values: list[bytes]) -> Iterator[bytes]:
    """Joins small strings to chunks; large ones pass as they are."""
    small: list[bytes] = []
    size = 0
    for value in values:
        small.append(value)
        size += len(value)
        if size >= _CHUNK:
            yield b"".join(small)
            small, size = [], 0
    if small:
        yield b"".join(small)


def _as_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    raise FormatError(f"string tensor: expected elements of type bytes or str - received {type(value).__name__}")


def _variant_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, VariantValue):
        holder = np.empty((), object)
        holder[()] = value
        value = tensor_to_proto(holder, dtypes.DT_VARIANT).variant_val[0]
    if isinstance(value, Message):
        return value.SerializeToString()
    raise FormatError(f"variant tensor: expected elements of type VariantValue - received {type(value).__name__}")
