"""Reads checkpoints of TensorFlow's first format (V1): one table file that holds the values. Refuses to write it.

The entry under the empty key lists names, shapes, types and slices; each slice is an entry of its own, a message whose
values lie in typed lists. A checkpoint may be several such files: then each lists what it holds.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from savedmodel.format import dtypes, protos
from savedmodel.format.bundle import BundleReader, CheckpointReader, missing_checkpoint, read_slices
from savedmodel.format.bundle_files import DiskFiles, Files, MemoryFiles
from savedmodel.format.bundle_publish import index_filename
from savedmodel.format.bundle_writer import HEADER_KEY, encode_key
from savedmodel.format.coding import encode_slice_key
from savedmodel.format.errors import (
    DataLossError,
    FormatError,
    MissingTensorError,
    TooLargeError,
    UnsupportedVersionError,
)
from savedmodel.format.slices import TensorSlice
from savedmodel.format.table import TableReader
from savedmodel.format.tensor_proto import element_count, shape_from_proto, tensor_from_proto

__all__ = ["V1Reader", "open_checkpoint"]

_VERSION = 1


@dataclass(slots=True)
class _Tensor:
    number: int
    shape: tuple[int, ...]
    pieces: list[TensorSlice] = field(default_factory=list)
    tables: list[TableReader] = field(default_factory=list)  # one per piece


class V1Reader(CheckpointReader):
    """A checkpoint of the V1 format, opened for reading; the interface of `BundleReader`.

    Values are decoded from messages, so nothing is mapped; blocks of the file are checked as they are read.

    Args:
        prefix: path of the file; the common start of `<prefix>-00000-of-00002`; or that with "?" for the digits.
        files: where names are opened; by default the disk. A mapping `{name: bytes}` is taken as files in memory.
    """

    def __init__(self, prefix: str | os.PathLike[str], files: Files | Mapping[str, bytes] | None = None) -> None:
        self.prefix = os.fspath(prefix)
        names = [self.prefix] if files is not None else _matching_files(self.prefix)
        opener: Files = MemoryFiles(files) if isinstance(files, Mapping) else files or DiskFiles()
        self._tensors: dict[str, _Tensor] = {}
        for name in names:
            self._load(name, opener)
        if not names:
            raise missing_checkpoint(self.prefix, f"{index_filename(self.prefix)} or {self.prefix}")

    def _load(self, name: str, files: Files) -> None:
        file = files.open(name)
        table = TableReader(file.view(0, file.size).data, name)
        meta = _parse(table.get(HEADER_KEY), f"{name}: the header").meta
        version = meta.versions
        if version.min_consumer > _VERSION:
            raise UnsupportedVersionError(
                f"{name}: Checkpoint min consumer version {version.min_consumer} above current version {_VERSION} for this "
                "release. Please upgrade it."
            )
        if _VERSION in version.bad_consumers:
            raise UnsupportedVersionError(
                f"{name}: Checkpoint disallows consumer version {_VERSION}. Please upgrade this release."
            )
        for saved in meta.tensor:
            where = f"{name}: {saved.name}"
            shape = shape_from_proto(saved.shape)
            if shape is None or None in shape:
                raise DataLossError(f"{where}: Invalid tensor shape: expected known sizes - received {shape}")
            dims = tuple(size or 0 for size in shape)
            try:
                element_count(dims, where)
                dtypes.numpy_dtype(saved.type)
            except (TooLargeError, FormatError) as error:
                raise type(error)(f"{where}: {error}") from None
            tensor = self._tensors.setdefault(saved.name, _Tensor(saved.type, dims))
            if (tensor.number, tensor.shape) != (saved.type, dims):
                raise DataLossError(f"{where}: dtype or full shape differ from those in another file of the checkpoint")
            for message in saved.slice:
                piece = TensorSlice.from_message(message)
                piece.resolve(dims)
                tensor.pieces.append(piece)
                tensor.tables.append(table)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._tensors, key=encode_key))

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, key: object) -> bool:
        return key in self._tensors

    def _tensor(self, key: str) -> _Tensor:
        tensor = self._tensors.get(key)
        if tensor is None:
            raise MissingTensorError(f"Key {key} not found in checkpoint {self.prefix}; it has {len(self)} tensors")
        return tensor

    def dtype_number(self, key: str) -> int:
        return self._tensor(key).number

    def shape(self, key: str) -> tuple[int, ...]:
        return self._tensor(key).shape

    def read(self, key: str, *, verify: bool | None = None) -> np.ndarray:
        """The value of `key`, a read-only array; what is read is always checked, whatever `verify`.

        MissingTensorError, DataLossError.
        """
        return self.read_slice(key, TensorSlice.full(len(self.shape(key))))

    def read_slice(
        self, key: str, piece: TensorSlice | str | Sequence[slice], *, verify: bool | None = None
    ) -> np.ndarray:
        """The part `piece` of `key`; stored slices that it meets are decoded whole. Errors as for `read`."""
        tensor = self._tensor(key)

        def read(number: int, part: tuple[slice, ...]) -> Any:
            return self._value(key, tensor, number)[part]

        piece = self._piece(key, piece)
        return read_slices(key, dtypes.numpy_dtype(tensor.number), tensor.shape, piece, tensor.pieces, read)

    def _value(self, key: str, tensor: _Tensor, number: int) -> np.ndarray:
        table, piece = tensor.tables[number], tensor.pieces[number]
        where = f"{table.name}: {key} [{piece}]"
        data = _parse(table.get(encode_slice_key(encode_key(key), piece.extents)), where).data.data
        expected = piece.shape_in(tensor.shape)
        # The writer of this format gives the message neither shape nor, sometimes, dtype: the header has them.
        message = protos.TensorProto()
        message.CopyFrom(data)
        message.dtype = tensor.number
        del message.tensor_shape.dim[:]
        for size in expected:
            message.tensor_shape.dim.add(size=size)
        return tensor_from_proto(message, where=where)

    def verify(self, key: str) -> None:
        """Reads and checks every slice of a tensor. Errors as for `read`."""
        tensor = self._tensor(key)
        for number in range(len(tensor.pieces)):
            self._value(key, tensor, number)

    def __repr__(self) -> str:
        return f"<V1Reader {self.prefix!r}>"


def _parse(value: bytes | None, where: str) -> protos.SavedTensorSlices:
    if value is None:
        raise DataLossError(f"{where} is missing; the file is damaged or no checkpoint")
    try:
        return protos.SavedTensorSlices.FromString(value)
    except DecodeError as error:
        raise DataLossError(f"{where} is not parseable: {error}; the file is damaged or no checkpoint") from None


def _matching_files(prefix: str) -> list[str]:
    """The file `prefix`, else its shards `<prefix>-00000-of-00002`; question marks stand for one character each."""
    if os.path.isfile(prefix):
        return [prefix]
    pattern = "?".join(glob.escape(part) for part in prefix.split("?"))
    if "?" in prefix:
        return sorted(glob.glob(pattern))
    shards = sorted(glob.glob(f"{pattern}-?????-of-?????"))
    return [name for name in shards if re.fullmatch(r"-\d{5}-of-\d{5}", name[-15:])]


def open_checkpoint(
    prefix: str | os.PathLike[str],
    files: Files | Mapping[str, bytes] | None = None,
    *,
    verify: bool = True,
    memory_map: bool = True,
) -> CheckpointReader:
    """Opens a checkpoint of either format: V2 where `<prefix>.index` exists, else V1.

    Raises:
        MissingFileError: neither is there.
        DataLossError, UnsupportedVersionError: see the readers.
    """
    path = os.fspath(prefix)
    opener: Files = MemoryFiles(files) if isinstance(files, Mapping) else files or DiskFiles(memory_map)
    if opener.identity(index_filename(path)) is not None:
        return BundleReader(path, opener, verify=verify, memory_map=memory_map)
    return V1Reader(path, None if files is None else opener)
