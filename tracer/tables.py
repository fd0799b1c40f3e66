"""The state behind lookup tables: static, mutable and dense hash tables as Python objects. It refuses to know ops and files."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tracer.byte_strings import array_of_bytes
from tracer.dtypes import DType
from tracer.errors import InvalidArgumentError, ShapeError, UninitializedError
from tracer.hashing import hash64

__all__ = ["DenseTable", "MutableTable", "StaticTable", "Table"]


def _pack(items: list[Any], dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    """Python values, or arrays of one shape, as an array."""
    if dtype.kind == "s":
        if items and isinstance(items[0], tuple):
            return array_of_bytes([s for item in items for s in item], shape)
        return array_of_bytes(items, shape)
    return np.array(items, dtype.numpy).reshape(shape)


def _items(array: np.ndarray, inner: int) -> Iterable[Any]:
    """The entries of `array`: Python values, or tuples where an entry has `inner` dimensions."""
    if not inner:
        return array.ravel().tolist()
    width = math.prod(array.shape[array.ndim - inner :])
    return [tuple(row) for row in array.reshape(-1, width).tolist()]


class Table:
    """Keys to values. Entries are Python values; a value that is a tensor is a tuple of its elements."""

    kind = "table"

    def __init__(
        self, key_dtype: DType, value_dtype: DType, value_shape: tuple[int, ...] = (), key_shape: tuple[int, ...] = ()
    ):
        self.key_dtype = key_dtype
        self.value_dtype = value_dtype
        self.key_shape = key_shape
        self.value_shape = value_shape
        self._items: dict[Any, Any] = {}
        self._lock = threading.RLock()

    @property
    def is_initialized(self) -> bool:
        return True

    def size(self) -> int:
        return len(self._items)

    def check(self, keys: np.ndarray, values: np.ndarray | None = None) -> tuple[int, ...]:
        """Check dtypes and shapes; returns the leading dimensions of `keys`."""
        self._check_dtype("keys", keys, self.key_dtype)
        inner = len(self.key_shape)
        lead = keys.shape[: keys.ndim - inner]
        if keys.ndim < inner or keys.shape[keys.ndim - inner :] != self.key_shape:
            raise ShapeError(f"lookup table: expected keys that end in {self.key_shape}, received shape {keys.shape}")
        if values is not None:
            self._check_dtype("values", values, self.value_dtype)
            if values.shape != (*lead, *self.value_shape):
                raise ShapeError(f"Expected shape {(*lead, *self.value_shape)} for value, got {values.shape}")
        return lead

    def _check_dtype(self, what: str, array: np.ndarray, dtype: DType) -> None:
        if array.dtype != dtype.numpy:
            raise InvalidArgumentError(
                f"lookup table of {self.key_dtype.name} -> {self.value_dtype.name}: {what} are {array.dtype}; cast them"
            )

    def find(self, keys: np.ndarray, default: np.ndarray) -> np.ndarray:
        """The value of each key, `default` (one, or one per key) where there is none."""
        lead = self.check(keys)
        self._check_dtype("default_value", default, self.value_dtype)
        get = self._items.get
        wanted = _items(keys, len(self.key_shape))
        inner = len(self.value_shape)
        many = default.shape == (*lead, *self.value_shape) and len(lead) > 0 and self.takes_many_defaults
        if many:
            found = [get(k, d) for k, d in zip(wanted, _items(default, inner))]
        else:
            if inner and default.shape != self.value_shape:
                raise ShapeError(f"lookup table: expected default_value of shape {self.value_shape}, received {default.shape}")
            one = tuple(default.ravel().tolist()) if inner else default.reshape(-1)[:1].tolist()[0]
            found = [get(k, one) for k in wanted]
        return _pack(found, self.value_dtype, (*lead, *self.value_shape))

    takes_many_defaults = False

    def insert(self, keys: np.ndarray, values: np.ndarray) -> None:
        self.check(keys, values)
        with self._lock:
            self._items.update(zip(_items(keys, len(self.key_shape)), _items(values, len(self.value_shape))))

    def remove(self, keys: np.ndarray) -> None:
        self.check(keys)
        with self._lock:
            for k in _items(keys, len(self.key_shape)):
                self._items.pop(k, None)

    def replace(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Forget everything and insert."""
        self.check(keys, values)
        with self._lock:
            self._items = dict(zip(_items(keys, len(self.key_shape)), _items(values, len(self.value_shape))))

    def export(self) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            keys, values = list(self._items), list(self._items.values())
        count = len(keys)
        return (
            _pack(keys, self.key_dtype, (count, *self.key_shape)),
            _pack(values, self.value_dtype, (count, *self.value_shape)),
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key_dtype.name} -> {self.value_dtype.name}, {self.size()} entries>"


class StaticTable(Table):
    """A table that is filled once; later initialisations change nothing."""

    kind = "hash_table"

    def __init__(self, key_dtype: DType, value_dtype: DType):
        super().__init__(key_dtype, value_dtype)
        self._ready = False

    @property
    def is_initialized(self) -> bool:
        return self._ready

    def initialize(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Fill the table. Raises InvalidArgumentError where a key has two values."""
        self.check(keys, values)
        self.initialize_from(lambda: zip(keys.ravel().tolist(), values.ravel().tolist()))

    def initialize_from(self, entries: Callable[[], Iterable[tuple[Any, Any]]]) -> None:
        with self._lock:
            if self._ready:
                return
            items: dict[Any, Any] = {}
            for k, v in entries():
                if items.setdefault(k, v) != v:
                    raise InvalidArgumentError(
                        f"HashTable has different value for same key. Key {k!r} has {items[k]!r} and trying to add value {v!r}"
                    )
            self._items = items
            self._ready = True

    def find(self, keys: np.ndarray, default: np.ndarray) -> np.ndarray:
        if not self._ready:
            raise UninitializedError("Table not initialized: run the model's initializer, or InitializeTableV2, before a lookup.")
        return super().find(keys, default)

    def insert(self, keys: np.ndarray, values: np.ndarray) -> None:
        raise InvalidArgumentError("Insert not supported by InitializableLookupTable implementations: use a mutable table")

    def remove(self, keys: np.ndarray) -> None:
        raise InvalidArgumentError("Remove not supported by InitializableLookupTable implementations: use a mutable table")

    def replace(self, keys: np.ndarray, values: np.ndarray) -> None:
        self.initialize(keys, values)


class MutableTable(Table):
    """A table that may be changed at any time; values may be tensors of one shape."""

    kind = "mutable_hash_table"
    takes_many_defaults = True


class DenseTable(Table):
    """A table of open addressing with two keys that stand for "empty" and "deleted". Exports have its buckets' layout."""

    kind = "mutable_dense_hash_table"

    def __init__(
        self, key_dtype: DType, value_dtype: DType, value_shape: tuple[int, ...], empty_key: np.ndarray,
        deleted_key: np.ndarray | None, initial_num_buckets: int, max_load_factor: float,
    ):  # fmt: skip
        super().__init__(key_dtype, value_dtype, value_shape, empty_key.shape)
        if initial_num_buckets <= 0 or initial_num_buckets & (initial_num_buckets - 1):
            raise InvalidArgumentError(f"Number of buckets must be a power of two, received {initial_num_buckets}")
        if not 0 < max_load_factor < 1:
            raise InvalidArgumentError(f"max_load_factor must be between 0 and 1, received {max_load_factor}")
        inner = empty_key.ndim
        self._empty = next(iter(_items(empty_key, inner)))
        self._deleted = None if deleted_key is None else next(iter(_items(deleted_key, inner)))
        if self._empty == self._deleted:
            raise InvalidArgumentError("Empty and deleted keys cannot be equal")
        self._buckets = initial_num_buckets
        self._load = max_load_factor

    def check(self, keys: np.ndarray, values: np.ndarray | None = None) -> tuple[int, ...]:
        lead = super().check(keys, values)
        for k in _items(keys, len(self.key_shape)):
            if k == self._empty:
                raise InvalidArgumentError("Using the empty_key as a table key is not allowed")
            if k == self._deleted:
                raise InvalidArgumentError("Using the deleted_key as a table key is not allowed")
        return lead

    def _hash(self, key: Any) -> int:
        parts = key if isinstance(key, tuple) else (key,)
        result = 0
        for i, part in enumerate(parts):
            if isinstance(part, bytes):
                h = hash64(part)
            elif isinstance(part, int):
                h = part & 0xFFFFFFFFFFFFFFFF
            else:
                h = hash64(np.asarray(part, self.key_dtype.numpy).tobytes())
            if not i and not isinstance(key, tuple):
                return h
            a, b = result, h
            result = (a ^ (b + 0x9E3779B97F4A7800 + (a << 10) + (a >> 4))) & 0xFFFFFFFFFFFFFFFF
        return result

    def export(self) -> tuple[np.ndarray, np.ndarray]:
        """All buckets, the empty ones with the empty key: [buckets, key width] and [buckets, value width]."""
        with self._lock:
            entries = list(self._items.items())
        buckets = self._buckets
        while len(entries) > buckets * self._load:
            buckets *= 2
        self._buckets = buckets
        inner_value = len(self.value_shape)
        zero: Any = b"" if self.value_dtype.kind == "s" else self.value_dtype.numpy.type(0).item()
        nothing = (zero,) * math.prod(self.value_shape) if inner_value else zero
        keys, values = [self._empty] * buckets, [nothing] * buckets
        mask = buckets - 1
        for k, v in entries:
            at, probes = self._hash(k) & mask, 0
            while keys[at] != self._empty:
                probes += 1
                at = (at + probes) & mask
            keys[at], values[at] = k, v
        width = math.prod(self.key_shape)
        return (
            _pack(keys, self.key_dtype, (buckets, width)),
            _pack(values, self.value_dtype, (buckets, math.prod(self.value_shape))),
        )

    def replace(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Take over exported buckets."""
        self._check_dtype("keys", keys, self.key_dtype)
        self._check_dtype("values", values, self.value_dtype)
        count = len(keys)
        if len(values) != count:
            raise ShapeError(f"Expected as many values as keys ({count}), got {len(values)}")
        found_keys = _items(keys.reshape(count, *self.key_shape), len(self.key_shape))
        found_values = _items(values.reshape(count, *self.value_shape), len(self.value_shape))
        marks = (self._empty, self._deleted)
        with self._lock:
            self._items = {k: v for k, v in zip(found_keys, found_values) if k not in marks}
            if count and not count & (count - 1):
                self._buckets = count
