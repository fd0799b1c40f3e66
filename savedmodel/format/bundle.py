"""Reads checkpoints in bundle format (V2): a mapping from tensor names to tensors on disk. Refuses damaged bytes.

`BundleReader` opens the index only; data is mapped, and its bytes are touched when a tensor is read. Everything that
is read whole is checked against its checksum. The writing half, `BundleWriter` and `merge_bundles`, is to be had here too.
"""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from savedmodel.format import crc32c, dtypes, protos, tensor_bytes
from savedmodel.format.bundle_files import DiskFiles, File, Files, MemoryFiles
from savedmodel.format.bundle_publish import PREVIOUS, data_filename, directory_lock, index_filename, interrupted
from savedmodel.format.bundle_writer import HEADER_KEY, VERSION, BundleWriter, encode_key, merge_bundles
from savedmodel.format.coding import encode_slice_key
from savedmodel.format.errors import (
    DataLossError,
    FormatError,
    MissingFileError,
    MissingTensorError,
    TooLargeError,
    UnsupportedVersionError,
)
from savedmodel.format.slices import TensorSlice, covers, overlaps
from savedmodel.format.table import TableReader
from savedmodel.format.tensor_proto import element_count, shape_from_proto

__all__ = [
    "BundleReader",
    "BundleWriter",
    "CheckpointReader",
    "StoredTensor",
    "merge_bundles",
    "missing_checkpoint",
    "read_slices",
]

# Shards opened together with the index, so that a writer who replaces the checkpoint cannot come in between.
_EAGER_SHARDS = 8
_VERIFY_CHUNK = 16 << 20


class StoredTensor:
    """A tensor of a checkpoint, not read yet.

    `tensor[index]` takes NumPy's basic indices and reads what it returns, no more where the file allows it; bytes read
    in part are not checked. `np.asarray(tensor)` and `read()` read and check all of it.
    """

    __slots__ = ("_reader", "dtype", "key", "shape")

    def __init__(self, reader: CheckpointReader, key: str) -> None:
        self._reader = reader
        self.key = key
        self.dtype = reader.dtype(key)
        self.shape = reader.shape(key)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"{self.key}: a scalar has no length")
        return self.shape[0]

    def read(self) -> np.ndarray:
        """The whole value, checked, as a read-only array."""
        return self._reader.read(self.key)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = self.read()
        if dtype is not None and np.dtype(dtype) != value.dtype:
            return value.astype(dtype)
        return value.copy() if copy else value

    def __getitem__(self, index: Any) -> np.ndarray:
        items = index if isinstance(index, tuple) else (index,)
        box, rest = _bounding_box(items, self.shape)
        if box is None:
            return self.read()[index]
        return self._reader.read_slice(self.key, box)[rest]

    def __repr__(self) -> str:
        return f"<StoredTensor {self.key!r} shape={list(self.shape)} dtype={self.dtype}>"


def _bounding_box(items: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[TensorSlice | None, tuple[Any, ...]]:
    """The box that basic indices touch, and what is left to take from it; (None, ()) when all must be read."""
    if any(item is None or not (item is ... or isinstance(item, (int, np.integer, slice))) for item in items):
        return None, ()
    dots = sum(item is ... for item in items)
    if dots > 1 or len(items) - dots > len(shape):
        return None, ()
    at = items.index(...) if dots else len(items)
    fill = (slice(None),) * (len(shape) - len(items) + dots)
    box: list[slice] = []
    rest: list[Any] = []
    for item, size in zip((*items[:at], *fill, *items[at + dots :]), shape, strict=True):
        if isinstance(item, slice):
            taken = range(size)[item]
            if not taken:
                return None, ()
            low, high = min(taken[0], taken[-1]), max(taken[0], taken[-1])
            box.append(slice(low, high + 1))
            rest.append(slice(None, None, taken.step))
        else:
            if isinstance(item, bool) or not -size <= item < size:
                return None, ()
            box.append(slice(int(item) % size, int(item) % size + 1))
            rest.append(0)
    return TensorSlice.from_index(box, shape), tuple(rest)


class CheckpointReader(Mapping[str, StoredTensor]):
    """What readers of both checkpoint versions have in common: names mapped to tensors."""

    prefix: str

    def dtype(self, key: str) -> np.dtype:
        """The NumPy dtype of a tensor. MissingTensorError, FormatError."""
        return dtypes.numpy_dtype(self.dtype_number(key))

    @abstractmethod
    def dtype_number(self, key: str) -> int:
        """The DataType number of a tensor, which tells quantized types from plain integers."""

    @abstractmethod
    def shape(self, key: str) -> tuple[int, ...]:
        """The full shape of a tensor."""

    @abstractmethod
    def read(self, key: str, *, verify: bool | None = None) -> np.ndarray:
        """The value of a tensor as a read-only array."""

    @abstractmethod
    def read_slice(
        self, key: str, piece: TensorSlice | str | Sequence[slice], *, verify: bool | None = None
    ) -> np.ndarray:
        """Part of a tensor as a read-only array."""

    def __getitem__(self, key: str) -> StoredTensor:
        return StoredTensor(self, key)

    def _piece(self, key: str, piece: TensorSlice | str | Sequence[slice]) -> TensorSlice:
        if isinstance(piece, str):
            return TensorSlice.parse(piece)
        return piece if isinstance(piece, TensorSlice) else TensorSlice.from_index(piece, self.shape(key))


def read_slices(
    key: str, dtype: np.dtype, shape: tuple[int, ...], target: TensorSlice, stored: Sequence[TensorSlice], read: Any
) -> np.ndarray:
    """Puts `target` together from stored slices; `read(number, part)` gives that part of one of them. FormatError."""
    if not covers(target, stored, shape):
        raise FormatError(
            f"Does not have sufficient slices for partitioned tensor {key} to restore in slice_spec: {target} - stored "
            f"are {', '.join(map(str, stored)) or 'none'} of shape {list(shape)}"
        )
    out = np.empty(target.shape_in(shape), dtype)
    for number, part, place in overlaps(target, stored, shape):
        out[place] = read(number, part)
    out.flags.writeable = False
    return out


class BundleReader(CheckpointReader):
    """A checkpoint of the V2 format, opened for reading.

    Args:
        prefix: path without `.index`; or `{name: bytes}` with exactly one name that ends in `.index`.
        files: where names are opened; by default the disk. A mapping `{name: bytes}` is taken as files in memory.
        verify: check the checksum of every tensor that is read whole.
        memory_map: map data files; False reads from them (see `bundle_files`).

    Raises:
        MissingFileError: there is no such checkpoint.
        DataLossError: the index is damaged.
        UnsupportedVersionError: the bundle is of a version that this release must not read.
    """

    def __init__(
        self,
        prefix: str | os.PathLike[str] | Mapping[str, bytes],
        files: Files | Mapping[str, bytes] | None = None,
        *,
        verify: bool = True,
        memory_map: bool = True,
    ) -> None:
        if isinstance(prefix, Mapping):
            files, prefix = prefix, _only_index(prefix)
        self.prefix = os.fspath(prefix)
        self._verify = verify
        if isinstance(files, Mapping):
            files = MemoryFiles(files)
        self._files: Files = files or DiskFiles(memory_map)
        self._on_disk = isinstance(self._files, DiskFiles)
        self._index = index_filename(self.prefix)
        self._open()

    # --- opening

    def _open(self) -> None:
        previous = self._index + PREVIOUS
        busy = self._files.identity(previous) is not None
        self._load_index("")
        if not self._on_disk or not (busy or self._replaced()):
            return
        # A writer is at work, or died at work. Under its lock there is only the latter.
        with directory_lock(self.prefix, exclusive=False):
            self._load_index(PREVIOUS if interrupted(self.prefix) else "")

    def _load_index(self, suffix: str) -> None:
        self._suffix = suffix
        self._identity = self._files.identity(self._index)
        try:
            file = self._files.open(self._index)
        except MissingFileError:
            raise missing_checkpoint(self.prefix, self._index) from None
        self._table = TableReader(file.view(0, file.size).data, self._index)
        self._values: dict[bytes, bytes] | None = None
        self._last: tuple[bytes, protos.BundleEntryProto] | None = None
        self._shards: dict[int, File] = {}
        header = self._parse(protos.BundleHeaderProto, self._table.get(HEADER_KEY), "the header")
        self.num_shards: int = header.num_shards
        self.version = header.version
        self._swap = (header.endianness == protos.BundleHeaderProto.BIG) == np.little_endian
        self._check_version(header.version)
        if 0 < self.num_shards <= _EAGER_SHARDS:
            for shard in range(self.num_shards):
                if self._files.identity(self._shard_name(shard)) is not None:
                    self._shard(shard, opening=True)

    def _replaced(self) -> bool:
        """Whether a writer may have replaced files since the index was opened."""
        return (
            self._files.identity(self._index + PREVIOUS) is not None
            or self._files.identity(self._index) != self._identity
        )

    def _check_version(self, version: protos.VersionDef) -> None:
        problem = None
        if version.min_consumer > VERSION:
            problem = (
                f"Checkpoint min consumer version {version.min_consumer} above current version {VERSION} for this "
                "release. Please upgrade it."
            )
        elif version.producer < 0:
            problem = (
                f"Checkpoint producer version {version.producer} below min producer 0 supported by this release. "
                "Please regenerate your checkpoint."
            )
        elif VERSION in version.bad_consumers:
            problem = f"Checkpoint disallows consumer version {VERSION}. Please upgrade this release: this version is likely buggy."
        if problem:
            raise UnsupportedVersionError(f"{self._index}: {problem}")

    def _parse(self, kind: Any, value: bytes | None, what: str) -> Any:
        if value is None:
            raise DataLossError(f"{self._index}: {what} is missing: the file is not the index of a checkpoint")
        try:
            return kind.FromString(value)
        except DecodeError as error:
            raise DataLossError(f"{self._index}: {what} is not parseable: {error}; the index is damaged") from None

    def _shard_name(self, shard: int) -> str:
        name = data_filename(self.prefix, shard, self.num_shards)
        if self._suffix and self._files.identity(name + self._suffix) is not None:
            return name + self._suffix
        return name

    def _shard(self, shard: int, opening: bool = False) -> File:
        file = self._shards.get(shard)
        if file is None:
            name = self._shard_name(shard)
            try:
                file = self._files.open(name)
            except MissingFileError:
                raise MissingFileError(
                    f"{name}: no such file: expected shard {shard} of the {self.num_shards} of checkpoint {self.prefix} - "
                    "copy it beside the index"
                ) from None
            if not opening and self._on_disk and not self._suffix and self._replaced():
                raise DataLossError(f"{self.prefix}: the checkpoint was replaced while it was open; open it again")
            self._shards[shard] = file
        return file

    # --- the mapping

    def _all(self) -> dict[bytes, bytes]:
        """Every entry but the header, by key; read once, when all names are asked for."""
        if self._values is None:
            self._values = {key: value for key, value in self._table if key != HEADER_KEY}
        return self._values

    def __iter__(self) -> Iterator[str]:
        values = self._all()
        hidden = self._slice_keys() if any(key[0] == 0 for key in values) else ()
        for key in values:
            if key not in hidden:
                yield key.decode("utf-8", "surrogateescape")

    def _slice_keys(self) -> set[bytes]:
        return {
            encode_slice_key(key, TensorSlice.from_message(piece).extents)
            for key, value in self._all().items()
            for piece in self._parse(protos.BundleEntryProto, value, f"the entry of {key!r}").slices
        }

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        name = encode_key(key)
        last = self._last
        return (last is not None and last[0] == name) or self._value(name) is not None

    def _value(self, key: bytes) -> bytes | None:
        if key == HEADER_KEY:
            return None
        return self._table.get(key) if self._values is None else self._values.get(key)

    def entry(self, key: str) -> protos.BundleEntryProto:
        """The entry of a tensor as it is stored, its fields checked. MissingTensorError, FormatError."""
        return self._entry(encode_key(key), key)

    def _entry(self, name: bytes, text: str) -> protos.BundleEntryProto:
        last = self._last
        if last is not None and last[0] == name:  # dtype, shape and value of one tensor are asked for in a row
            return last[1]
        value = self._value(name)
        if value is None:
            raise MissingTensorError(f"Key {text} not found in checkpoint {self.prefix}{self._alike(text)}")
        entry = self._parse(protos.BundleEntryProto, value, f"Entry for key {text}")
        where = f"{self._index}: {text}"
        shape = shape_from_proto(entry.shape)
        if shape is None or None in shape:
            raise DataLossError(
                f"{where}: Invalid tensor shape: expected known sizes - received {shape}; the index is damaged"
            )
        try:
            element_count([size or 0 for size in shape], where)
            dtypes.numpy_dtype(entry.dtype)
            if entry.dtype > dtypes.REF_OFFSET:
                raise FormatError(f"expected no reference type - received {dtypes.name(entry.dtype)}")
        except (TooLargeError, FormatError) as error:
            raise type(error)(f"{where}: {error}") from None
        if not entry.slices and not (0 <= entry.shard_id < self.num_shards and entry.offset >= 0 and entry.size >= 0):
            raise DataLossError(
                f"{where}: shard {entry.shard_id} of {self.num_shards}, offset {entry.offset}, size {entry.size} cannot be; "
                "the index is damaged"
            )
        self._last = (name, entry)
        return entry

    def _alike(self, text: str) -> str:
        """A hint at names that end alike, or at how many there are."""
        tail = text.rsplit("/", 1)[-1]
        alike = [key for key in self if tail in key][:3]
        return f"; it has {', '.join(alike)}" if alike else f"; it has {len(self)} tensors"

    def dtype_number(self, key: str) -> int:
        return self.entry(key).dtype

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(dim.size for dim in self.entry(key).shape.dim)

    # --- values

    def read(self, key: str, *, verify: bool | None = None) -> np.ndarray:
        """The value of `key`: a read-only array, a view of the mapped file where bytes can stay as they are.

        Strings are an object array of bytes, variants one of `VariantValue`. `verify` overrides the reader's setting.

        Raises:
            MissingTensorError: no such tensor.
            MissingFileError: its data file is not there.
            DataLossError: the file is too short, or a checksum differs.
        """
        entry = self.entry(key)
        if entry.slices:
            return self._assemble(key, entry, TensorSlice.full(len(entry.shape.dim)), verify)
        return self._load(key, entry, verify)

    def read_slice(
        self, key: str, piece: TensorSlice | str | Sequence[slice], *, verify: bool | None = None
    ) -> np.ndarray:
        """The part `piece` of `key`: a TensorSlice, its text ("0,2:-"), or Python slices of step 1.

        Of numbers stored whole, only the bytes of the part are read, and not checked unless `verify` is True. Stored
        slices that are taken whole are checked. Errors as for `read`; FormatError when the slice does not fit.
        """
        piece = self._piece(key, piece)
        entry = self.entry(key)
        shape = tuple(dim.size for dim in entry.shape.dim)
        if entry.slices:
            piece.resolve(shape)
            return self._assemble(key, entry, piece, verify)
        return self._part(key, entry, piece.resolve(shape), verify)

    def _part(
        self, key: str, entry: protos.BundleEntryProto, part: tuple[slice, ...], verify: bool | None
    ) -> np.ndarray:
        shape = tuple(dim.size for dim in entry.shape.dim)
        if all(piece == slice(0, size) for piece, size in zip(part, shape, strict=True)):
            return self._load(key, entry, verify)
        item = dtypes.item_size(entry.dtype)
        if verify or item is None:
            return self._load(key, entry, verify)[part]
        # Rows outside of the part are not touched: neither read from a stream nor copied when bytes are swapped.
        where = self._where(key, entry)
        tensor_bytes.check_size(entry.dtype, shape, entry.size, where)
        row = math.prod(shape[1:]) * item
        raw = self._bytes(entry, where, part[0].start * row, (part[0].stop - part[0].start) * row)
        rows = (part[0].stop - part[0].start, *shape[1:])
        rest = (slice(None), *part[1:])
        return _aligned(tensor_bytes.decode_numbers(entry.dtype, rows, raw, self._swap)[rest])

    def _assemble(
        self, key: str, entry: protos.BundleEntryProto, target: TensorSlice, verify: bool | None
    ) -> np.ndarray:
        pieces = [TensorSlice.from_message(message) for message in entry.slices]
        shape = tuple(dim.size for dim in entry.shape.dim)

        def read(number: int, part: tuple[slice, ...]) -> np.ndarray:
            piece = pieces[number]
            text = f"{key} [{piece}]"
            stored = self._entry(encode_slice_key(encode_key(key), piece.extents), text)
            if stored.slices or stored.dtype != entry.dtype or _dims(stored) != piece.shape_in(shape):
                raise DataLossError(
                    f"{self._index}: slice {text}: expected {dtypes.name(entry.dtype)} of shape {list(piece.shape_in(shape))} - "
                    f"received {dtypes.name(stored.dtype)} of {list(_dims(stored))}; the index is damaged"
                )
            return self._part(text, stored, part, verify)

        missing = [piece for piece in pieces if piece.rank != len(shape)]
        if missing:
            raise DataLossError(
                f"{self._index}: {key}: slice {missing[0]} does not fit shape {list(shape)}; the index is damaged"
            )
        return read_slices(key, dtypes.numpy_dtype(entry.dtype), shape, target, pieces, read)

    def _where(self, key: str, entry: protos.BundleEntryProto) -> str:
        return f"{self._shard_name(entry.shard_id)}: tensor {key} at byte {entry.offset}"

    def _bytes(self, entry: protos.BundleEntryProto, where: str, start: int, size: int) -> np.ndarray:
        if not entry.size:
            return np.empty(0, np.uint8)
        file = self._shard(entry.shard_id)
        if entry.offset + entry.size > file.size:
            raise DataLossError(
                f"{where}: Read less bytes than requested: {entry.size} bytes are out of range - received a file of "
                f"{file.size} bytes - it is truncated or of another checkpoint; copy it again"
            )
        return file.view(entry.offset + start, size)

    def _load(self, key: str, entry: protos.BundleEntryProto, verify: bool | None) -> np.ndarray:
        verify = self._verify if verify is None else verify
        where, shape = self._where(key, entry), _dims(entry)
        tensor_bytes.check_size(entry.dtype, shape, entry.size, where)
        raw = self._bytes(entry, where, 0, entry.size)
        if entry.dtype == dtypes.DT_STRING:
            value, crc = tensor_bytes.decode_strings(shape, raw, self._swap, where)
        elif entry.dtype == dtypes.DT_VARIANT:
            value, crc = tensor_bytes.decode_variants(shape, raw, self._swap, where)
        else:
            crc = crc32c.value(raw) if verify else 0
            value = tensor_bytes.decode_numbers(entry.dtype, shape, raw, self._swap)
        if verify and crc32c.mask(crc) != entry.crc32c:
            raise DataLossError(
                f"{where}: TensorBundle at {self.prefix} shard {entry.shard_id} ({entry.size} bytes): Checksum does not "
                f"match: stored {crc32c.unmask(entry.crc32c):08d} vs. calculated on the restored bytes {crc:08d}; the file is "
                "damaged, copy it again"
            )
        return _aligned(value)

    def verify(self, key: str) -> None:
        """Reads and checks every byte of a tensor, slices included, in little memory. Errors as for `read`."""
        entry = self.entry(key)
        parts = [(key, entry)]
        if entry.slices:
            name = encode_key(key)
            pieces = [TensorSlice.from_message(message) for message in entry.slices]
            parts = [(f"{key} [{p}]", self._entry(encode_slice_key(name, p.extents), f"{key} [{p}]")) for p in pieces]
        for text, part in parts:
            where = self._where(text, part)
            tensor_bytes.check_size(part.dtype, _dims(part), part.size, where)
            if dtypes.item_size(part.dtype) is None or part.size <= _VERIFY_CHUNK:
                self._load(text, part, True)
                continue
            crc = 0
            for start in range(0, part.size, _VERIFY_CHUNK):
                crc = crc32c.extend(crc, self._bytes(part, where, start, min(_VERIFY_CHUNK, part.size - start)))
            if crc32c.mask(crc) != part.crc32c:
                raise DataLossError(
                    f"{where} ({part.size} bytes): Checksum does not match: stored {crc32c.unmask(part.crc32c):08d} vs. "
                    f"calculated on the restored bytes {crc:08d}; the file is damaged, copy it again"
                )

    def __repr__(self) -> str:
        return f"<BundleReader {self.prefix!r} shards={self.num_shards}>"


def missing_checkpoint(prefix: str, expected: str) -> MissingFileError:
    """The error for a prefix without a checkpoint; tells what is there instead."""
    if os.path.isfile(os.path.join(prefix, "variables", "variables.index")):
        advice = f"received a SavedModel - its checkpoint is {os.path.join(prefix, 'variables', 'variables')}"
    elif os.path.isdir(prefix):
        advice = "received a directory - give the path of a checkpoint in it, without its .index or .data ending"
    else:
        advice = "received no such file - give the path of a checkpoint without its .index or .data ending"
    return MissingFileError(f"{prefix}: Failed to find any matching files: expected {expected} - {advice}")


def _dims(entry: protos.BundleEntryProto) -> tuple[int, ...]:
    return tuple(dim.size for dim in entry.shape.dim)


def _only_index(contents: Mapping[str, bytes]) -> str:
    names = [name for name in contents if name.endswith(".index")]
    if len(names) != 1:
        raise FormatError(
            f"files in memory: expected one name that ends in .index - received {len(names)}; give the prefix too"
        )
    return names[0].removesuffix(".index")


def _aligned(array: np.ndarray) -> np.ndarray:
    """Tensors lie packed in the file; what lies askew is copied, because other libraries refuse it or are slow with it."""
    if not array.flags.aligned:
        array = array.copy()
    array.flags.writeable = False
    return array
