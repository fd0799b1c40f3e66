"""Writes checkpoints in bundle format (V2), one shard at a time, and merges them. Refuses duplicate keys.

The data file is streamed while tensors are added, and the index is written last; neither has its final name before
both are whole. For the same tensors in the same order both files equal TensorFlow's byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

import numpy as np

from savedmodel.format import crc32c, dtypes, protos, tensor_bytes
from savedmodel.format.bundle_files import DiskFiles
from savedmodel.format.bundle_publish import data_filename, index_filename, publish
from savedmodel.format.coding import encode_slice_key
from savedmodel.format.errors import DataLossError, FormatError, MissingFileError
from savedmodel.format.slices import TensorSlice, overlaps
from savedmodel.format.table import TableBuilder, TableReader
from savedmodel.format.tensor_proto import shape_to_proto

__all__ = ["HEADER_KEY", "VERSION", "BundleWriter", "encode_key", "merge_bundles"]

#: The version of the bundle format that is written and, as a consumer, read.
VERSION = 1
#: The key of the header entry.
HEADER_KEY = b""

_BUFFER = 1 << 20


def encode_key(key: str | bytes) -> bytes:
    """A tensor's name as a table key. Names that are not UTF-8 survive reading and writing."""
    return key if isinstance(key, bytes) else key.encode("utf-8", "surrogateescape")


def _index_bytes(header: protos.BundleHeaderProto, entries: Mapping[bytes, bytes]) -> bytes:
    table = TableBuilder()
    table.add(HEADER_KEY, header.SerializeToString())
    for key in sorted(entries):
        table.add(key, entries[key])
    return table.finish()


def _temporary(path: str) -> str:
    return f"{path}.tempstate{int.from_bytes(os.urandom(8), 'little')}"


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Errors of the system name the file that was to be written."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(
            error.errno, f"{os.strerror(error.errno)}; nothing was published, what was there is unchanged", path
        ) from error


def _write_file(path: str, data: bytes, sync: bool) -> None:
    with _naming(path), open(path, "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def _discard(file: object, path: str) -> None:
    try:
        file.close()  # type: ignore[attr-defined]
    finally:  # On a full disk, closing fails too.
        with contextlib.suppress(OSError):
            os.unlink(path)


class BundleWriter:
    """Streams tensors into `<prefix>.data-00000-of-00001`, and at the end writes `<prefix>.index`.

        with BundleWriter("variables/variables") as writer:
            writer.add("w", array)

    Data lies in the order of the calls; the index is sorted. Leaving the block publishes the checkpoint, unless an
    exception passes: then nothing is left behind. Until `finish` returns, a checkpoint of the same name stays as it was.

    Args:
        prefix: path of the checkpoint; its directory is made.
        alignment: each tensor begins at a multiple of this many bytes. 1, as TensorFlow writes, packs them.
        sync: wait for the disk before publishing, so that a crash of the system leaves the old or the new checkpoint.
    """

    def __init__(self, prefix: str | os.PathLike[str], *, alignment: int = 1, sync: bool = True) -> None:
        if alignment < 1:
            raise ValueError(f"alignment: expected at least 1 - received {alignment}")
        self.prefix = os.fspath(prefix)
        self._alignment = alignment
        self._sync = sync
        self._entries: dict[bytes, protos.BundleEntryProto] = {}
        self._slices: dict[bytes, list[TensorSlice]] = {}
        self._offset = 0
        os.makedirs(os.path.dirname(self.prefix) or ".", exist_ok=True)
        self._data_path = _temporary(data_filename(self.prefix, 0, 1))
        self._file = open(self._data_path, "wb", buffering=_BUFFER)
        self._cleanup = weakref.finalize(self, _discard, self._file, self._data_path)

    def add(self, key: str | bytes, array: np.ndarray, dtype: object = None) -> None:
        """Stores `array` under `key`.

        Args:
            key: the tensor's name, not empty.
            array: numbers, or an object array of bytes or str (strings), or of `VariantValue`. It is not copied: at
                most 4 MiB of it are.
            dtype: DataType number or name, where the array's dtype does not tell: "qint8", "variant".

        Raises:
            FormatError: the key is there already, or the array does not hold such values.
            OSError: the disk is full or broken; the writer is then closed.
        """
        name = encode_key(key)
        array = np.asarray(array)
        number = dtypes.datatype_number(array.dtype if dtype is None else dtype)
        encoder = tensor_bytes.encode(array, number)
        self._check_new(name)
        start = self._offset
        try:
            with _naming(self._data_path):
                for chunk in encoder:
                    self._file.write(chunk if isinstance(chunk, bytes) else chunk.data)
                    self._offset += len(chunk)
                size = self._offset - start
                padding = -self._offset % self._alignment
                self._file.write(bytes(padding))
                self._offset += padding
        except BaseException:
            self.abort()
            raise
        entry = protos.BundleEntryProto(dtype=number, offset=start, size=size, crc32c=crc32c.mask(encoder.crc))
        entry.shape.CopyFrom(shape_to_proto(array.shape))
        self._entries[name] = entry

    def _check_new(self, name: bytes) -> None:
        if not self._cleanup.alive:
            raise ValueError(f"{self.prefix}: this BundleWriter is closed; make a new one")
        if not name:
            raise FormatError(f"{self.prefix}: the empty key belongs to the header; give the tensor a name")
        if name in self._entries:
            raise FormatError(
                f"{self.prefix}: Adding duplicate key: {name.decode('utf-8', 'replace')}; each name is stored once"
            )

    def add_slice(
        self, key: str | bytes, shape: Sequence[int], piece: TensorSlice | str, array: np.ndarray, dtype: object = None
    ) -> None:
        """Stores `array` as the part `piece` ("0,2:-") of the tensor `key` of full `shape`.

        A slice that takes everything is stored as a plain tensor. FormatError when the slice does not fit the shape or
        the array, meets another slice of the tensor, or differs from it in shape or dtype.
        """
        piece = TensorSlice.parse(piece) if isinstance(piece, str) else piece
        name, shape = encode_key(key), tuple(int(size) for size in shape)
        array = np.asarray(array)
        number = dtypes.datatype_number(array.dtype if dtype is None else dtype)
        where = f"{self.prefix}: slice {piece} of {name.decode('utf-8', 'replace')}"
        if piece.shape_in(shape) != array.shape:
            raise FormatError(
                f"{where}: expected an array of shape {list(piece.shape_in(shape))} - received {list(array.shape)}"
            )
        if piece.is_full(shape):
            self.add(name, array, number)
            return
        known = self._slices.get(name)
        if known is None:
            self._check_new(name)
            entry = protos.BundleEntryProto(dtype=number, shape=shape_to_proto(shape))
        else:
            entry = self._entries[name]
            stored = tuple(dim.size for dim in entry.shape.dim)
            if (entry.dtype, stored) != (number, shape):
                raise FormatError(
                    f"{where}: expected part of a {dtypes.name(entry.dtype)} tensor of shape {list(stored)} - received "
                    f"{dtypes.name(number)} of {list(shape)}"
                )
            for other, _, _ in overlaps(piece, known, shape):
                raise FormatError(f"{where}: Overlapping slices: existing slice = {known[other]}, new slice = {piece}")
        self.add(encode_slice_key(name, piece.extents), array, number)
        entry.slices.append(piece.to_message())
        self._entries[name] = entry
        self._slices.setdefault(name, []).append(piece)

    def finish(self) -> None:
        """Writes the index and publishes both files. The writer is closed afterwards, whatever happens."""
        if not self._cleanup.alive:
            raise ValueError(f"{self.prefix}: this BundleWriter is closed; make a new one")
        header = protos.BundleHeaderProto(num_shards=1)
        header.version.producer = VERSION
        index_path = _temporary(index_filename(self.prefix))
        try:
            with _naming(self._data_path):
                self._file.flush()
                if self._sync:
                    os.fsync(self._file.fileno())
                self._file.close()
            _write_file(
                index_path,
                _index_bytes(header, {key: entry.SerializeToString() for key, entry in self._entries.items()}),
                self._sync,
            )
            publish(self.prefix, [(self._data_path, data_filename(self.prefix, 0, 1))], index_path, sync=self._sync)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(index_path)
            self.abort()
            raise
        self._cleanup.detach()

    def abort(self) -> None:
        """Closes the writer and removes what it wrote. Does nothing when it is closed already."""
        with contextlib.suppress(OSError):  # A full disk fails again when buffers are flushed.
            self._cleanup()

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort()
        elif self._cleanup.alive:
            self.finish()


# --- merging -----------------------------------------------------------------------------------------------------


class _Merge:
    def __init__(self) -> None:
        self.header: protos.BundleHeaderProto | None = None
        self.entries: dict[bytes, protos.BundleEntryProto] = {}
        self.shards: dict[str, int] = {}  # data file as it is called now -> shard of the result

    def add(self, prefix: str) -> None:
        name = index_filename(prefix)
        file = DiskFiles().open(name)
        table = TableReader(file.view(0, file.size).data, name)
        count = 0
        for key, value in table:
            if key == HEADER_KEY:
                count = self._header(value, name)
                continue
            entry = protos.BundleEntryProto.FromString(value)
            known = self.entries.get(key)
            if known is None:
                path = data_filename(prefix, entry.shard_id, count)
                entry.shard_id = self.shards.setdefault(path, len(self.shards))
                self.entries[key] = entry
                continue
            text = key.decode("utf-8", "replace")
            if not known.slices or not entry.slices:
                raise FormatError(f"Duplicate tensor keyed by {text} encountered, when merging prefix: {prefix}")
            if (known.dtype, known.shape) != (entry.dtype, entry.shape):
                raise FormatError(
                    f"{name}: slices of {text} differ in dtype or full shape from those of earlier prefixes"
                )
            known.slices.extend(entry.slices)

    def _header(self, value: bytes, name: str) -> int:
        header = protos.BundleHeaderProto.FromString(value)
        if self.header is None:
            self.header = header
        elif self.header.endianness != header.endianness:
            raise FormatError(f"{name}: Merging bundles with conflicting endianness; inputs corrupted?")
        elif self.header.version != header.version:
            raise FormatError(f"{name}: Merging bundles with different format versions")
        return header.num_shards


def merge_bundles(
    prefixes: Sequence[str | os.PathLike[str]],
    merged: str | os.PathLike[str],
    *,
    allow_missing: bool = False,
    sync: bool = True,
) -> None:
    """Makes one checkpoint of several: their data files are renamed, not copied, and become its shards in order.

    The indexes of the parts are deleted, and their directories when these are empty.

    Raises:
        MissingFileError: a part has no index (with `allow_missing`, only when no part has one).
        FormatError: two parts hold the same tensor, or their byte order or version differs. Nothing is moved then.
    """
    target = os.fspath(merged)
    merge = _Merge()
    found = []
    for part in [os.fspath(prefix) for prefix in prefixes]:
        try:
            merge.add(part)
        except MissingFileError:
            if not allow_missing:
                raise
            continue
        found.append(part)
    if merge.header is None:
        raise MissingFileError(f"{target}: none of the {len(prefixes)} checkpoints to merge exists")
    for path in merge.shards:
        if not os.path.isfile(path):
            raise DataLossError(f"{path}: the data file of a checkpoint to merge is missing")
    merge.header.num_shards = max(1, len(merge.shards))
    os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
    index_path = _temporary(index_filename(target))
    count = len(merge.shards)
    try:
        _write_file(
            index_path,
            _index_bytes(merge.header, {key: entry.SerializeToString() for key, entry in merge.entries.items()}),
            sync,
        )
        publish(
            target,
            [(path, data_filename(target, shard, count)) for path, shard in merge.shards.items()],
            index_path,
            sync=sync,
        )
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(index_path)
        raise
    for part in found:
        if os.path.abspath(part) == os.path.abspath(target):
            continue
        with contextlib.suppress(OSError):
            os.unlink(index_filename(part))
        if os.path.abspath(os.path.dirname(part)) != os.path.abspath(os.path.dirname(target)):
            with contextlib.suppress(OSError):  # Not empty: somebody else's files are in there.
                os.rmdir(os.path.dirname(part))
