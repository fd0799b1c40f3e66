"""Lookup tables as objects: tf.lookup's classes and initialisers. The tracer has no disk: files are read through `read_text_file`.

A table's attributes are named as in TensorFlow's object graph (`_initializer`, `_filename`), because saved models refer to them.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

from tracer import dtypes
from tracer.dispatch import executing_eagerly, init_scope, raw
from tracer.dtypes import DType, as_dtype
from tracer.errors import DTypeError, InvalidArgumentError, RefusedOpError
from tracer.public import public
from tracer.ragged import is_ragged
from tracer.shapes import TensorShape
from tracer.sparse import SparseTensor
from tracer.tensor import EagerTensor, convert_to_tensor

__all__ = [
    "DenseHashTable",
    "KeyValueTensorInitializer",
    "MutableHashTable",
    "StaticHashTable",
    "StaticVocabularyTable",
    "TextFileIdTableInitializer",
    "TextFileIndex",
    "TextFileInitializer",
    "TextFileStringTableInitializer",
    "set_text_file_reader",
    "text_file_entries",
]

_names = itertools.count(1)


# -- files -----------------------------------------------------------------------------------------------------------


def _refuse(filename: bytes) -> bytes:
    raise RefusedOpError(
        f"InitializeTableFromTextFile: reading {filename.decode(errors='replace')!r} needs a disk, and none was given; "
        f"load the model with savedmodel.load, or set a reader with tracer.lookup.set_text_file_reader"
    )


read_text_file: Callable[[bytes], bytes] = _refuse
# Real paths of the files that assets of this process stand for: made by its own code, or belonging to a model that was loaded.
known_assets: set[str] = set()


def set_text_file_reader(reader: Callable[[bytes], bytes] | None) -> None:
    """Give the function that reads vocabulary files: `reader(filename) -> content`. None refuses all files again."""
    global read_text_file
    read_text_file = reader or _refuse


class TextFileIndex:
    """Special columns of a vocabulary file."""

    WHOLE_LINE = -2
    LINE_NUMBER = -1


public("lookup.TextFileIndex")(TextFileIndex)


def text_file_entries(
    filename: bytes, key_dtype: DType, key_index: int, value_dtype: DType, value_index: int, vocab_size: int, delimiter: bytes,
    offset: int,
) -> Iterator[tuple[Any, Any]]:  # fmt: skip
    """The (key, value) pairs of a vocabulary file.

    Raises:
        RefusedOpError: no reader was set.
        InvalidArgumentError: a line has too few columns or a number does not parse, or the file is shorter than `vocab_size`.
    """
    lines = read_text_file(filename).replace(b"\r", b"").split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    where = filename.decode(errors="replace")
    if 0 <= vocab_size < len(lines):
        lines = lines[:vocab_size]
    elif vocab_size > len(lines):
        raise InvalidArgumentError(f"Invalid vocab_size in {where}: expected {vocab_size} but got {len(lines)}")
    columns = max(key_index, value_index) + 1
    for number, line in enumerate(lines):
        parts = line.split(delimiter) if columns > 0 else []
        if len(parts) < columns:
            raise InvalidArgumentError(
                f"Invalid number of columns in {where} line {number} ({line!r}) : expected at least {columns} got {len(parts)}"
            )
        yield (
            _field(line, parts, number, key_index, key_dtype, offset, where),
            _field(line, parts, number, value_index, value_dtype, offset, where),
        )


def _field(line: bytes, parts: list[bytes], number: int, index: int, dtype: DType, offset: int, where: str) -> Any:
    if index == TextFileIndex.LINE_NUMBER:
        if not dtype.is_integer:
            raise InvalidArgumentError(f"Index.LINE_NUMBER: expected an integer dtype, received {dtype.name}")
        return number + offset
    text = line if index == TextFileIndex.WHOLE_LINE else parts[index]
    if dtype.kind == "s":
        return text
    try:
        if dtype.is_integer:
            return int(text)
        return dtype.numpy.type(float(text)).item()
    except ValueError:
        raise InvalidArgumentError(f"Field {text!r} in line {number} of {where} is not a valid {dtype.name}.") from None


class AssetPath(EagerTensor):
    """The path of an asset as a tensor that knows its asset."""

    __slots__ = ("asset",)


@public("saved_model.Asset")
class Asset:
    """A file that belongs to a model. `asset_path` is a string tensor with its name."""

    def __init__(self, path: Any):
        self._path = path
        with init_scope():
            # one tensor for good: functions capture it, and the writer finds the file by it
            plain = path if isinstance(path, EagerTensor) else convert_to_tensor(os.fspath(path), dtypes.string)
        self._tensor = AssetPath(plain._value, dtypes.string)
        self._tensor.asset = self
        known_assets.add(os.path.realpath(os.fsdecode(plain._value.item())))

    @property
    def asset_path(self) -> EagerTensor:
        """The path, a scalar string."""
        return self._tensor

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        return {}


# -- initialisers ----------------------------------------------------------------------------------------------------


class TableInitializerBase:
    """What fills a static table."""

    def __init__(self, key_dtype: Any, value_dtype: Any):
        self._key_dtype = as_dtype(key_dtype)
        self._value_dtype = as_dtype(value_dtype)

    @property
    def key_dtype(self) -> DType:
        return self._key_dtype

    @property
    def value_dtype(self) -> DType:
        return self._value_dtype

    @property
    def _shared_name(self) -> str:
        return f"table_{next(_names)}"

    def _check_table(self, table: Any) -> None:
        if (table.key_dtype, table.value_dtype) != (self._key_dtype, self._value_dtype):
            raise DTypeError(
                f"Invalid key/value dtype of the table: expected {self._key_dtype.name} -> {self._value_dtype.name}, "
                f"received {table.key_dtype.name} -> {table.value_dtype.name}"
            )

    def initialize(self, table: Any) -> Any:
        """Fill `table`."""
        raise NotImplementedError(f"{type(self).__name__}.initialize: define it to fill the table given")

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        return {}


@public("lookup.KeyValueTensorInitializer")
class KeyValueTensorInitializer(TableInitializerBase):
    """Fills a table from a vector of keys and one of values; Python integers are int64."""

    def __init__(self, keys: Any, values: Any, key_dtype: Any = None, value_dtype: Any = None, name: str | None = None):
        with contextlib.nullcontext() if _is_symbolic(keys) or _is_symbolic(values) else init_scope():
            self._keys = convert_to_tensor(keys, key_dtype)
            self._values = convert_to_tensor(values, value_dtype)
        self._name = name or "key_value_init"
        super().__init__(self._keys.dtype, self._values.dtype)

    @property
    def _shared_name(self) -> str:
        if not isinstance(self._keys, EagerTensor) or not isinstance(self._values, EagerTensor):
            return super()._shared_name
        digest = hashlib.sha1(usedforsecurity=False)
        for t in (self._keys, self._values):
            items = t._value.ravel().tolist()
            digest.update(repr((t.dtype.name, items)).encode())
        return f"table_{digest.hexdigest()[:20]}"

    def initialize(self, table: Any) -> Any:
        self._check_table(table)
        return raw.LookupTableImportV2(table_handle=table.resource_handle, keys=self._keys, values=self._values)


def _is_symbolic(value: Any) -> bool:
    return getattr(value, "is_eager", True) is False


@public("lookup.TextFileInitializer")
class TextFileInitializer(TableInitializerBase):
    """Fills a table from the lines of a text file.

    Args:
        key_index, value_index: a column, or TextFileIndex.WHOLE_LINE or LINE_NUMBER.
        vocab_size: how many lines to take; all by default.
        value_index_offset: added to line numbers.
    """

    def __init__(
        self, filename: Any, key_dtype: Any, key_index: int, value_dtype: Any, value_index: int, vocab_size: int | None = None,
        delimiter: str = "\t", name: str | None = None, value_index_offset: int = 0,
    ):  # fmt: skip
        if not hasattr(filename, "dtype") and not filename:
            raise InvalidArgumentError("`filename` argument required for tf.lookup.TextFileInitializer")
        key_dtype, value_dtype = as_dtype(key_dtype), as_dtype(value_dtype)
        for what, index, dtype in (("Key", key_index, key_dtype), ("Value", value_index, value_dtype)):
            if index < -2:
                raise InvalidArgumentError(f"Invalid {what.lower()} index {index}.")
            if index == TextFileIndex.LINE_NUMBER and dtype != dtypes.int64 and (what == "Key" or not dtype.is_integer):
                raise InvalidArgumentError(f"`{what.lower()}_dtype` must be int64 if index is LINE_NUMBER, received: {dtype}")
            if index == TextFileIndex.WHOLE_LINE and dtype.kind not in "sif":
                raise InvalidArgumentError(f"{what} dtype must be string or numeric for the whole line, received {dtype}")
        if vocab_size is not None and vocab_size <= 0:
            raise InvalidArgumentError(f"`vocab_size` must be greater than 0, received {vocab_size}")
        if key_index == value_index:
            raise InvalidArgumentError(f"`key_index` and `value_index` must be different, received both {key_index}")
        self._filename_arg = filename
        self._filename = Asset(filename)
        self._key_index, self._value_index = key_index, value_index
        self._vocab_size, self._delimiter, self._name = vocab_size, delimiter, name
        self._offset = value_index_offset
        super().__init__(key_dtype, value_dtype)

    @property
    def _shared_name(self) -> str:
        size = f"{self._vocab_size}_" if self._vocab_size else ""
        tail = f"_{self._offset}" if self._offset else ""
        return f"hash_table_{self._filename_arg}_{size}{self._key_index}_{self._value_index}{tail}"

    def initialize(self, table: Any) -> Any:
        self._check_table(table)
        return raw.InitializeTableFromTextFileV2(
            table_handle=table.resource_handle, filename=self._filename.asset_path, key_index=self._key_index,
            value_index=self._value_index, vocab_size=-1 if self._vocab_size is None else self._vocab_size,
            delimiter=self._delimiter, offset=self._offset,
        )  # fmt: skip

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        return {"_filename": self._filename}


@public("lookup.TextFileStringTableInitializer")
class TextFileStringTableInitializer(TextFileInitializer):
    """Line numbers to strings."""

    def __init__(
        self, filename: Any, key_column_index: int = TextFileIndex.LINE_NUMBER, value_column_index: int = TextFileIndex.WHOLE_LINE,
        vocab_size: int | None = None, delimiter: str = "\t", name: str = "text_file_string_table_init",
    ):  # fmt: skip
        super().__init__(
            filename, dtypes.int64, key_column_index, dtypes.string, value_column_index, vocab_size, delimiter, name
        )


@public("lookup.TextFileIdTableInitializer")
class TextFileIdTableInitializer(TextFileInitializer):
    """Strings to line numbers."""

    def __init__(
        self, filename: Any, key_column_index: int = TextFileIndex.WHOLE_LINE, value_column_index: int = TextFileIndex.LINE_NUMBER,
        vocab_size: int | None = None, delimiter: str = "\t", name: str = "text_file_id_table_init", key_dtype: Any = dtypes.string,
    ):  # fmt: skip
        super().__init__(
            filename, key_dtype, key_column_index, dtypes.int64, value_column_index, vocab_size, delimiter, name
        )


# -- tables ----------------------------------------------------------------------------------------------------------


class LookupInterface:
    """What all tables share: dtypes, the resource handle, and its life cycle (`_create_resource`, `_initialize`)."""

    _resource_handle_value: Any = None
    _value_shape: TensorShape = TensorShape([])
    _key_shape: TensorShape = TensorShape([])

    def __init__(self, key_dtype: Any, value_dtype: Any):
        self._key_dtype = as_dtype(key_dtype)
        self._value_dtype = as_dtype(value_dtype)

    @property
    def key_dtype(self) -> DType:
        return self._key_dtype

    @property
    def value_dtype(self) -> DType:
        return self._value_dtype

    @property
    def name(self) -> str | None:
        return getattr(self, "_name", None)

    @property
    def resource_handle(self) -> Any:
        """The resource tensor; made at the first use."""
        if self._resource_handle_value is None:
            with init_scope():
                self._resource_handle = self._create_resource()
        return self._resource_handle_value

    @property
    def _resource_handle(self) -> Any:
        return self._resource_handle_value

    @_resource_handle.setter
    def _resource_handle(self, value: Any) -> None:
        self._resource_handle_value = value
        if isinstance(value, EagerTensor):
            value.handle_data = [(self._key_dtype, self._key_shape), (self._value_dtype, self._value_shape)]

    def _create_resource(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._create_resource: define it to return the table's resource tensor")

    def _initialize(self) -> Any:
        """Fill the table with its first content; a mutable table has none."""
        return None

    def _name_to_share(self) -> str:
        """Eager tables belong to their object alone; in a graph a name is what later calls find the table by."""
        return "" if executing_eagerly() else getattr(self, "_shared_name", "")

    def _lookup_keys(self, keys: Any) -> tuple[Any, Any]:
        """The dense keys of a tensor or composite, and the function that puts values in their place."""
        if isinstance(keys, SparseTensor):
            return keys.values, keys.with_values
        if is_ragged(keys):
            return keys.flat_values, keys.with_flat_values
        return keys, lambda values: values

    def _check_keys(self, keys: Any) -> None:
        if keys.dtype.base_dtype != self._key_dtype:
            raise DTypeError(f"Dtype of argument `keys` must be {self._key_dtype}, received: {keys.dtype}")

    def _as_tensor(self, keys: Any) -> Any:
        if isinstance(keys, SparseTensor) or is_ragged(keys):
            return keys
        return convert_to_tensor(keys) if hasattr(keys, "dtype") else convert_to_tensor(keys, self._key_dtype)

    def _find(self, keys: Any, default: Any) -> Any:
        flat, rebuild = self._lookup_keys(keys)
        return rebuild(raw.LookupTableFindV2(table_handle=self.resource_handle, keys=flat, default_value=default))

    def size(self, name: str | None = None) -> Any:
        """The number of entries, an int64 scalar."""
        return raw.LookupTableSizeV2(table_handle=self.resource_handle, name=name)

    def export(self, name: str | None = None) -> tuple[Any, Any]:
        """All keys and values, in no particular order."""
        found = raw.LookupTableExportV2(
            table_handle=self.resource_handle, Tkeys=self._key_dtype, Tvalues=self._value_dtype, name=name
        )
        return found[0], found[1]

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        """The value of each key. Takes dense, sparse and ragged keys."""
        raise NotImplementedError(f"{type(self).__name__}.lookup: define it to return the values of `keys`")

    def __getitem__(self, keys: Any) -> Any:
        return self.lookup(keys)


@public("lookup.StaticHashTable")
class StaticHashTable(LookupInterface):
    """A table that its initialiser fills once.

    Args:
        initializer: a KeyValueTensorInitializer or TextFileInitializer.
        default_value: what a missing key gives.
        experimental_is_anonymous: never share the table by name.
    """

    def __init__(
        self, initializer: Any, default_value: Any, name: str | None = None, experimental_is_anonymous: bool = False
    ):
        super().__init__(initializer.key_dtype, initializer.value_dtype)
        self._initializer = initializer
        self._is_anonymous = experimental_is_anonymous
        self._shared_name = "" if experimental_is_anonymous else initializer._shared_name
        self._name = name or "hash_table"
        self._table_name = None
        with init_scope():
            self._default_value = convert_to_tensor(default_value, self._value_dtype)
            if self._default_value.shape.rank != 0:
                raise InvalidArgumentError(f"default_value: expected a scalar, received shape {self._default_value.shape}")
            self._resource_handle = self._create_resource()
            self._initialize()

    def _create_resource(self) -> Any:
        if self._is_anonymous:
            return raw.AnonymousHashTable(key_dtype=self._key_dtype, value_dtype=self._value_dtype)
        return raw.HashTableV2(
            shared_name=self._name_to_share(), key_dtype=self._key_dtype, value_dtype=self._value_dtype, name=self._name
        )

    def _initialize(self) -> Any:
        return self._initializer.initialize(self)

    @property
    def default_value(self) -> Any:
        return self._default_value

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        keys = self._as_tensor(keys)
        self._check_keys(keys)
        return self._find(keys, self._default_value)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        return {"_initializer": self._initializer}


@public("lookup.StaticVocabularyTable")
class StaticVocabularyTable(LookupInterface):
    """String or integer keys to ids; a key that is not in the vocabulary gets one of `num_oov_buckets` further ids by its hash.

    Args:
        initializer: gives int64 values 0 … n - 1; None for buckets only.
        num_oov_buckets: at least 1.
        lookup_key_dtype: dtype of the keys, where it differs from the initialiser's.
    """

    def __init__(
        self, initializer: Any, num_oov_buckets: int, lookup_key_dtype: Any = None, name: str | None = None,
        experimental_is_anonymous: bool = False,
    ):  # fmt: skip
        if num_oov_buckets <= 0:
            raise InvalidArgumentError(f"`num_oov_buckets` must be > 0; use StaticHashTable. Received: {num_oov_buckets}")
        if lookup_key_dtype is None and initializer is not None:
            lookup_key_dtype = initializer.key_dtype
        key_dtype = as_dtype(lookup_key_dtype)
        if not key_dtype.is_integer and key_dtype != dtypes.string:
            raise DTypeError(f"Invalid `key_dtype`: expected integer or string, received {key_dtype.name}")
        self._num_oov_buckets = num_oov_buckets
        self._initializer = initializer
        self._table = None
        if initializer is not None:
            if initializer.value_dtype != dtypes.int64:
                raise DTypeError(f"Invalid `value_dtype`: expected int64 but got {initializer.value_dtype}.")
            if initializer.key_dtype.is_integer != key_dtype.is_integer:
                raise DTypeError(f"Invalid `key_dtype`: expected {initializer.key_dtype} but got {key_dtype}.")
            self._table = StaticHashTable(initializer, -1, experimental_is_anonymous=experimental_is_anonymous)
            name = name or self._table.name
        self._name = name
        super().__init__(key_dtype, dtypes.int64)

    @property
    def resource_handle(self) -> Any:
        return None if self._table is None else self._table.resource_handle

    @property
    def _resource_handle(self) -> Any:
        return None if self._table is None else self._table._resource_handle

    def _create_resource(self) -> Any:
        return None if self._table is None else self._table._create_resource()

    def _initialize(self) -> Any:
        return None if self._table is None else self._table._initialize()

    def size(self, name: str | None = None) -> Any:
        oov = convert_to_tensor(self._num_oov_buckets, dtypes.int64)
        return oov if self._table is None else self._table.size() + oov

    def lookup(self, keys: Any, name: str | None = None) -> Any:
        keys = self._as_tensor(keys)
        self._check_keys(keys)
        values, rebuild = self._lookup_keys(keys)
        if self._table is not None and self._table.key_dtype == dtypes.int64 and values.dtype != dtypes.int64:
            values = raw.Cast(x=values, DstT=dtypes.int64)
        text = values if values.dtype == dtypes.string else raw.AsString(input=values)
        buckets = raw.StringToHashBucketFast(input=text, num_buckets=self._num_oov_buckets)
        if self._table is None:
            return rebuild(buckets)
        ids = self._table.lookup(values)
        known = raw.NotEqual(x=ids, y=self._table.default_value)
        return rebuild(raw.SelectV2(condition=known, t=ids, e=buckets + self._table.size()))

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        children = {"_initializer": self._initializer, "_table": self._table}
        return {k: v for k, v in children.items() if v is not None}


class _Mutable(LookupInterface):
    _default_value: Any
    _checkpoint = True

    def insert(self, keys: Any, values: Any, name: str | None = None) -> Any:
        """Set the values of `keys`."""
        keys = self._as_tensor(keys)
        self._check_keys(keys)
        values = convert_to_tensor(values, self._value_dtype)
        return raw.LookupTableInsertV2(table_handle=self.resource_handle, keys=keys, values=values, name=name)

    def remove(self, keys: Any, name: str | None = None) -> Any:
        """Forget `keys`; those that are not there are ignored."""
        keys = self._as_tensor(keys)
        self._check_keys(keys)
        return raw.LookupTableRemoveV2(table_handle=self.resource_handle, keys=keys, name=name)

    def lookup(self, keys: Any, dynamic_default_values: Any = None, name: str | None = None) -> Any:
        """The value of each key; `dynamic_default_values`, one per key, replaces the table's default."""
        keys = self._as_tensor(keys)
        self._check_keys(keys)
        default = self._default_value if dynamic_default_values is None else convert_to_tensor(
            dynamic_default_values, self._value_dtype
        )
        return self._find(keys, default)

    def _serialize_to_tensors(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        keys, values = self.export()
        return {"-keys": keys, "-values": values}

    def _restore_from_tensors(self, restored_tensors: dict[str, Any]) -> Any:
        return raw.LookupTableImportV2(
            table_handle=self.resource_handle, keys=restored_tensors["-keys"], values=restored_tensors["-values"]
        )

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        return {}


@public("lookup.experimental.MutableHashTable")
class MutableHashTable(_Mutable):
    """A table that may be changed at any time. Values have the shape of `default_value`, a scalar or a vector."""

    def __init__(
        self, key_dtype: Any, value_dtype: Any, default_value: Any, name: str = "MutableHashTable", checkpoint: bool = True,
        experimental_is_anonymous: bool = False,
    ):  # fmt: skip
        super().__init__(key_dtype, value_dtype)
        self._name = name
        self._checkpoint = checkpoint
        self._is_anonymous = experimental_is_anonymous
        self._shared_name = "" if experimental_is_anonymous else f"table_{next(_names)}"
        with init_scope():
            self._default_value = convert_to_tensor(default_value, self._value_dtype)
            self._value_shape = self._default_value.shape
            self._resource_handle = self._create_resource()

    def _create_resource(self) -> Any:
        types: dict[str, Any] = {"key_dtype": self._key_dtype, "value_dtype": self._value_dtype}
        plain = self._value_shape.rank == 0
        if not plain:
            types["value_shape"] = self._value_shape
        if self._is_anonymous:
            return raw.AnonymousMutableHashTable(**types) if plain else raw.AnonymousMutableHashTableOfTensors(**types)
        make = raw.MutableHashTableV2 if plain else raw.MutableHashTableOfTensorsV2
        return make(shared_name=self._name_to_share(), name=self._name, **types)


@public("lookup.experimental.DenseHashTable")
class DenseHashTable(_Mutable):
    """A mutable table for numeric keys, with two keys set aside to mark empty and deleted buckets."""

    def __init__(
        self, key_dtype: Any, value_dtype: Any, default_value: Any, empty_key: Any, deleted_key: Any,
        initial_num_buckets: int | None = None, name: str = "MutableDenseHashTable", checkpoint: bool = True,
        experimental_is_anonymous: bool = False,
    ):  # fmt: skip
        super().__init__(key_dtype, value_dtype)
        self._name = name
        self._checkpoint = checkpoint
        self._initial_num_buckets = initial_num_buckets
        self._is_anonymous = experimental_is_anonymous
        self._shared_name = "" if experimental_is_anonymous else f"table_{next(_names)}"
        with init_scope():
            self._default_value = convert_to_tensor(default_value, self._value_dtype)
            self._empty_key = convert_to_tensor(empty_key, self._key_dtype)
            self._deleted_key = convert_to_tensor(deleted_key, self._key_dtype)
            self._value_shape = self._default_value.shape
            self._key_shape = self._empty_key.shape
            self._resource_handle = self._create_resource()

    def _create_resource(self) -> Any:
        attrs: dict[str, Any] = {"value_dtype": self._value_dtype, "value_shape": self._value_shape, "name": self._name}
        if self._initial_num_buckets is not None:
            attrs["initial_num_buckets"] = self._initial_num_buckets
        if self._is_anonymous:
            return raw.AnonymousMutableDenseHashTable(empty_key=self._empty_key, deleted_key=self._deleted_key, **attrs)
        return raw.MutableDenseHashTableV2(
            empty_key=self._empty_key, deleted_key=self._deleted_key, shared_name=self._name_to_share(), **attrs
        )

    insert_or_assign = _Mutable.insert
    erase = _Mutable.remove
