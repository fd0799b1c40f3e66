"""Table files (`.index`, V1 checkpoints): sorted key/value blocks, read with every bound checked, written as TensorFlow writes them.

Refuses blocks whose checksum, lengths or key order are wrong, and never takes more memory than the file justifies.
README.md of this package draws the bytes.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator

from savedmodel.format import crc32c, snappy
from savedmodel.format.coding import encode_varint, read_varint
from savedmodel.format.errors import DataLossError

__all__ = ["TableBuilder", "TableReader"]

MAGIC = 0xDB4775248B80FB57
FOOTER_SIZE = 48
_TRAILER_SIZE = 5
_NO_COMPRESSION = 0
_SNAPPY = 1

# Keys share prefixes, so a small block can spell out huge keys. Real ones expand less than twenty times.
_MAX_KEY_EXPANSION = 64
_FREE_KEY_BYTES = 1 << 20

_U32 = struct.Struct("<I")


class _Block:
    """One decoded block: entries, then the restart offsets at which a key is stored whole."""

    __slots__ = ("_limit", "_restarts", "_where", "data")

    def __init__(self, data: bytes, where: str) -> None:
        self.data = data
        self._where = where
        count = _U32.unpack_from(data, len(data) - 4)[0] if len(data) >= 4 else -1
        self._limit = len(data) - 4 - 4 * count
        if count < 0 or self._limit < 0:
            raise DataLossError(f"{where}: bad entry in block: {count} restarts do not fit into {len(data)} bytes")
        self._restarts = struct.unpack_from(f"<{count}I", data, self._limit)

    def entries(self, position: int = 0) -> Iterator[tuple[bytes, bytes]]:
        """Yields (key, value) from the restart at `position` on; keys must ascend strictly."""
        data, limit = self.data, self._limit
        key, first = b"", True
        budget = _MAX_KEY_EXPANSION * len(data) + _FREE_KEY_BYTES
        while position < limit:
            # Three one-byte varints are the rule. At least four bytes follow `limit`, so indexing is safe.
            shared, unshared, size = data[position], data[position + 1], data[position + 2]
            if shared | unshared | size < 0x80:
                start = position + 3
            else:
                shared, start = read_varint(data, position, limit)
                unshared, start = read_varint(data, start, limit)
                size, start = read_varint(data, start, limit)
            middle = start + unshared
            end = middle + size
            if shared > len(key) or end > limit:
                raise DataLossError(
                    f"{self._where}: bad entry in block at byte {position}: shares {shared} of {len(key)} key bytes, "
                    f"ends at {end} of {limit}"
                )
            budget -= shared + unshared
            if budget < 0:
                raise DataLossError(
                    f"{self._where}: the keys expand to over {_MAX_KEY_EXPANSION} times the block's size"
                )
            previous = key
            key = previous[:shared] + data[start:middle]
            if key <= previous and not first:
                raise DataLossError(f"{self._where}: keys are not in ascending order: {previous!r}, then {key!r}")
            first = False
            yield key, data[middle:end]
            position = end

    def get(self, target: bytes) -> bytes | None:
        """The value stored under `target`: binary search over the restarts, then at most one run of entries."""
        low, high = 0, len(self._restarts) - 1
        while low < high:  # The last restart whose key is below or equal to the target.
            middle = (low + high + 1) // 2
            first = next(self.entries(self._restarts[middle]), None)
            if first is not None and first[0] <= target:
                low = middle
            else:
                high = middle - 1
        for key, value in self.entries(self._restarts[low] if self._restarts else 0):
            if key >= target:
                return value if key == target else None
        return None


class TableReader:
    """Read-only view of a table file held in `data` (a map or bytes). `name` is used in errors.

    Opening reads the footer and the index block; a lookup reads one data block; each block's checksum is checked once.
    """

    def __init__(self, data: memoryview, name: str = "table") -> None:
        self.name = name
        self._data = data
        self._end = len(data) - FOOTER_SIZE
        if self._end < 0:
            raise DataLossError(
                f"{name}: file is too short to be an sstable: expected at least {FOOTER_SIZE} bytes - "
                f"received {len(data)} - the file is truncated or of another kind; copy it again"
            )
        footer = bytes(data[self._end :])
        magic = int.from_bytes(footer[40:], "little")
        if magic != MAGIC:
            raise DataLossError(
                f"{name}: not an sstable (bad magic number): expected {MAGIC:016x} in the last 8 bytes - received "
                f"{magic:016x} - the file is truncated or of another kind; copy it again"
            )
        _, position = self._handle(footer, 0, 40, "the metaindex handle in the footer")
        index, _ = self._handle(footer, position, 40, "the index handle in the footer")
        self._keys: list[bytes] = []
        self._handles: list[bytes] = []
        for key, handle in self._block(*index, "index block").entries():
            self._keys.append(key)
            self._handles.append(handle)
        self._blocks: dict[int, _Block] = {}

    def _handle(self, data: bytes, position: int, limit: int, what: str) -> tuple[tuple[int, int], int]:
        try:
            offset, position = read_varint(data, position, limit)
            size, position = read_varint(data, position, limit)
        except DataLossError as error:
            raise DataLossError(f"{self.name}: {what} is damaged: {error}") from None
        return (offset, size), position

    def _block(self, offset: int, size: int, what: str) -> _Block:
        where = f"{self.name}: {what} at byte {offset}"
        if offset + size + _TRAILER_SIZE > self._end:
            raise DataLossError(
                f"{where}: truncated block read: {size} + {_TRAILER_SIZE} bytes expected - received a file of "
                f"{len(self._data)} bytes with a {FOOTER_SIZE}-byte footer - the index is damaged; copy it again"
            )
        raw = self._data[offset : offset + size + 1]
        stored = _U32.unpack_from(self._data, offset + size + 1)[0]
        actual = crc32c.mask(crc32c.value(raw))
        if stored != actual:
            raise DataLossError(
                f"{where}: block checksum mismatch: stored {stored:#010x} - calculated {actual:#010x} over {size + 1} "
                "bytes - the file is damaged; copy it again"
            )
        kind = raw[size]
        if kind == _NO_COMPRESSION:
            return _Block(bytes(raw[:size]), where)
        if kind != _SNAPPY:
            raise DataLossError(f"{where}: bad block type: expected 0 (plain) or 1 (snappy) - received {kind}")
        try:
            return _Block(snappy.decompress(raw[:size]), where)
        except DataLossError as error:
            raise DataLossError(f"{where}: {error}") from None

    def _data_block(self, number: int) -> _Block:
        block = self._blocks.get(number)
        if block is None:
            (offset, size), _ = self._handle(
                self._handles[number], 0, len(self._handles[number]), f"the handle of data block {number}"
            )
            block = self._blocks[number] = self._block(offset, size, f"data block {number}")
        return block

    def get(self, key: bytes) -> bytes | None:
        """The value stored under `key`, or None. Reads the one data block that may hold it."""
        number = bisect_left(self._keys, key)
        return self._data_block(number).get(key) if number < len(self._keys) else None

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yields every (key, value) in key order."""
        last: bytes | None = None
        for number in range(len(self._keys)):
            for key, value in self._data_block(number).entries():
                if last is not None and key <= last:
                    raise DataLossError(f"{self.name}: keys are not in ascending order: {last!r}, then {key!r}")
                yield key, value
                last = key
            # The caller has what it wanted; the text of the block need not stay.
            self._blocks.pop(number, None)


# --- writing -----------------------------------------------------------------------------------------------------

_BLOCK_SIZE = 262144
_RESTART_INTERVAL = 16


class _BlockBuilder:
    def __init__(self, interval: int) -> None:
        self._interval = interval
        self.clear()

    def clear(self) -> None:
        self._out = bytearray()
        self._restarts = [0]
        self._run = 0
        self.last_key = b""

    def __len__(self) -> int:
        return len(self._out)

    @property
    def size(self) -> int:
        """Bytes of the block if it ended here."""
        return len(self._out) + 4 * len(self._restarts) + 4

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._run < self._interval:
            last = self.last_key
            most = min(len(last), len(key))
            while shared < most and last[shared] == key[shared]:
                shared += 1
        else:
            self._restarts.append(len(self._out))
            self._run = 0
        self._run += 1
        self._out += encode_varint(shared) + encode_varint(len(key) - shared) + encode_varint(len(value))
        self._out += key[shared:]
        self._out += value
        self.last_key = key

    def finish(self) -> bytes:
        return bytes(self._out) + struct.pack(f"<{len(self._restarts) + 1}I", *self._restarts, len(self._restarts))


def _separator(low: bytes, high: bytes) -> bytes:
    """A short key k with low <= k < high, as the index of the blocks keeps it."""
    at = 0
    while at < min(len(low), len(high)) and low[at] == high[at]:
        at += 1
    if at < min(len(low), len(high)) and low[at] < 0xFF and low[at] + 1 < high[at]:
        return low[:at] + bytes((low[at] + 1,))
    return low


def _successor(key: bytes) -> bytes:
    """A short key that is not below `key`."""
    for at, byte in enumerate(key):
        if byte != 0xFF:
            return key[:at] + bytes((byte + 1,))
    return key


class TableBuilder:
    """Builds a table file in memory; the bytes equal those of TensorFlow's writer for the same entries."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._block = _BlockBuilder(_RESTART_INTERVAL)
        self._index = _BlockBuilder(1)
        self._pending: tuple[bytes, bytes] | None = None  # last key and handle of a block not yet in the index
        self._last_key: bytes | None = None

    def add(self, key: bytes, value: bytes) -> None:
        """Appends an entry. ValueError unless `key` is above all keys before it."""
        if self._last_key is not None and key <= self._last_key:
            raise ValueError(f"table keys must ascend: {key!r} was added after {self._last_key!r}")
        if len(self._block) and len(key) + len(value) >= 2 * _BLOCK_SIZE:
            self._flush()
        if self._pending is not None:
            last, handle = self._pending
            self._index.add(_separator(last, key), handle)
            self._pending = None
        self._block.add(key, value)
        self._last_key = key
        if self._block.size >= _BLOCK_SIZE:
            self._flush()

    def finish(self) -> bytes:
        """Ends the table and returns the whole file."""
        self._flush()
        metaindex = self._write(_BlockBuilder(_RESTART_INTERVAL))
        if self._pending is not None:
            last, handle = self._pending
            self._index.add(_successor(last), handle)
            self._pending = None
        footer = metaindex + self._write(self._index)
        self._out += footer.ljust(FOOTER_SIZE - 8, b"\x00") + MAGIC.to_bytes(8, "little")
        return bytes(self._out)

    def _flush(self) -> None:
        if len(self._block):
            last = self._block.last_key
            self._pending = (last, self._write(self._block))
            self._block.clear()

    def _write(self, block: _BlockBuilder) -> bytes:
        """Appends block and trailer; returns the block's handle."""
        data = block.finish()
        handle = encode_varint(len(self._out)) + encode_varint(len(data))
        data += bytes((_NO_COMPRESSION,))
        self._out += data
        self._out += _U32.pack(crc32c.mask(crc32c.value(data)))
        return handle
