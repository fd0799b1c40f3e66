"""Integer and string encodings of the table file: varints and OrderedCode. Refuses truncated and overlong numbers.

Varints are base 128, least significant group first. OrderedCode writes values so that the bytewise order of the
encodings is the order of the values; checkpoint keys of tensor slices are built from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from savedmodel.format.errors import DataLossError

__all__ = [
    "decode_slice_key",
    "encode_slice_key",
    "encode_varint",
    "read_varint",
]

Buffer = bytes | bytearray | memoryview

_MAX_VARINT_BYTES = 10


def encode_varint(value: int) -> bytes:
    """Encodes `value` (0 <= value < 2**64) as a varint. ValueError outside of that range."""
    if value < 0x80 and value >= 0:
        return bytes((value,))
    if not 0 <= value < 1 << 64:
        raise ValueError(f"a varint holds 0 to 2**64-1; received {value}")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(buffer: Buffer, position: int, limit: int) -> tuple[int, int]:
    """Reads a varint of at most 64 bits at `position`; returns (value, position after it).

    DataLossError when the number runs past `limit` or past 64 bits.
    """
    value = shift = 0
    for index in range(position, min(limit, position + _MAX_VARINT_BYTES)):
        byte = buffer[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise DataLossError(f"the varint at byte {position} exceeds 64 bits")
            return value, index + 1
        shift += 7
    raise DataLossError(f"the varint at byte {position} does not end before byte {limit}")


# --- OrderedCode -------------------------------------------------------------------------------------------------

_ESCAPES = {0x00: b"\x00\xff", 0xFF: b"\xff\x00"}
_END_OF_STRING = b"\x00\x01"


def _ordered_string(value: bytes) -> bytes:
    if b"\x00" in value or b"\xff" in value:
        value = b"".join(_ESCAPES.get(byte) or bytes((byte,)) for byte in value)
    return value + _END_OF_STRING


def _ordered_unsigned(value: int) -> bytes:
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((len(digits),)) + digits


def _ordered_signed(value: int) -> bytes:
    """n bytes hold 7n-1 bits and a sign: two's complement with the n leading bits flipped."""
    magnitude = ~value if value < 0 else value
    size = 1 if magnitude < 64 else (magnitude.bit_length() + 7) // 7
    return ((value % (1 << 8 * size)) ^ (((1 << size) - 1) << 7 * size)).to_bytes(size, "big")


def encode_slice_key(name: bytes, extents: Sequence[tuple[int, int]]) -> bytes:
    """The table key under which one slice of tensor `name` is stored.

    `extents` holds (start, length) per dimension; a dimension taken whole is (0, -1).
    """
    parts = [_ordered_unsigned(0), _ordered_string(name), _ordered_unsigned(len(extents))]
    for start, length in extents:
        parts += (_ordered_signed(start), _ordered_signed(length))
    return b"".join(parts)


def _read_ordered_string(key: bytes, position: int) -> tuple[bytes, int]:
    out = bytearray()
    while position + 1 < len(key):
        pair = key[position : position + 2]
        if pair == _END_OF_STRING:
            return bytes(out), position + 2
        if pair == b"\x00\xff" or pair == b"\xff\x00":
            out.append(pair[0])
            position += 2
        elif pair[0] in _ESCAPES:
            break
        else:
            out.append(pair[0])
            position += 1
    raise DataLossError(f"{key!r} is not a slice key: the name is not terminated at byte {position}")


def _read_ordered_unsigned(key: bytes, position: int) -> tuple[int, int]:
    size = key[position] if position < len(key) else 9
    if size > 8 or position + 1 + size > len(key):
        raise DataLossError(f"{key!r} is not a slice key: bad number at byte {position}")
    return int.from_bytes(key[position + 1 : position + 1 + size], "big"), position + 1 + size


def _read_ordered_signed(key: bytes, position: int) -> tuple[int, int]:
    head = int.from_bytes(key[position : position + 2].ljust(2, b"\x00"), "big")
    if not head & 0x8000:
        head ^= 0xFFFF
    size = 1
    while size <= 10 and head & (0x8000 >> size):
        size += 1
    if size > 10 or position + size > len(key):
        raise DataLossError(f"{key!r} is not a slice key: bad number at byte {position}")
    bits = 8 * size
    value = int.from_bytes(key[position : position + size], "big") ^ (((1 << size) - 1) << 7 * size)
    return (value - (1 << bits) if value >> (bits - 1) else value), position + size


def decode_slice_key(key: bytes) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """The inverse of `encode_slice_key`: (name, extents). DataLossError when `key` is not such a key."""
    marker, position = _read_ordered_unsigned(key, 0)
    if marker != 0:
        raise DataLossError(f"{key!r} is not a slice key: it must begin with byte 00")
    name, position = _read_ordered_string(key, position)
    rank, position = _read_ordered_unsigned(key, position)
    if rank > len(key):
        raise DataLossError(f"{key!r} is not a slice key: rank {rank} does not fit")
    extents = []
    for _ in range(rank):
        start, position = _read_ordered_signed(key, position)
        length, position = _read_ordered_signed(key, position)
        extents.append((start, length))
    if position != len(key):
        raise DataLossError(f"{key!r} is not a slice key: {len(key) - position} bytes are left over")
    return name, tuple(extents)
