"""Lookup tables: the ops that make, fill, read and change them. The tables are in tracer/tables.py, the public classes in tracer/lookup.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import infer
from tracer.dtypes import DType
from tracer.errors import InvalidArgumentError
from tracer.lookup import text_file_entries
from tracer.registry import op
from tracer.resources import current_manager
from tracer.shapes import TensorShape, unknown_shape
from tracer.tables import DenseTable, MutableTable, StaticTable, Table

_NAMED = 'container: string = ""; shared_name: string = ""; use_node_name_sharing: bool = false; '
_TYPES = "key_dtype: type; value_dtype: type"
_DENSE = "; value_shape: shape = []; initial_num_buckets: int = 131072; max_load_factor: float = 0.800000011920929"


def _shape(attrs: dict[str, Any]) -> tuple[int, ...]:
    shape = attrs.get("value_shape")
    if shape is None:
        return ()
    if not shape.is_fully_defined():
        raise InvalidArgumentError(f"lookup table: expected a fully defined value_shape, received {shape}")
    return tuple(shape.as_list())


def _make_static(attrs: dict[str, Any]) -> Table:
    return StaticTable(attrs["key_dtype"], attrs["value_dtype"])


def _make_mutable(attrs: dict[str, Any]) -> Table:
    return MutableTable(attrs["key_dtype"], attrs["value_dtype"], _shape(attrs))


def _make_dense(attrs: dict[str, Any], empty_key: np.ndarray, deleted_key: np.ndarray | None = None) -> Table:
    return DenseTable(
        attrs["key_dtype"], attrs["value_dtype"], _shape(attrs), empty_key, deleted_key, attrs["initial_num_buckets"],
        attrs["max_load_factor"],
    )  # fmt: skip


def _checked(table: Table, kind: type[Table], attrs: dict[str, Any], name: str) -> Table:
    """A table found by name must be of the kind and dtypes that the op asks for."""
    wanted: tuple[DType, DType] = (attrs["key_dtype"], attrs["value_dtype"])
    if type(table) is not kind or (table.key_dtype, table.value_dtype) != wanted:
        raise InvalidArgumentError(
            f"Conflicting key/value dtypes {wanted[0].name}->{wanted[1].name} with {table.key_dtype.name}-"
            f"{table.value_dtype.name} for table {name}"
        )
    return table


def _table_op(name: str, inputs: str, output: str, attrs: str, kind: type[Table], make: Callable[..., Table]) -> None:
    """An op that gives a table: the one of its name, else one of its own per node, else (eagerly) a new one."""
    record = op(f"{name}({inputs}) -> (table_handle: {output}) !stateful; {attrs}").not_differentiable()

    @record.infer
    def _(ctx: Any) -> Any:
        key_shape = ctx.shape(0) if len(ctx) else TensorShape([])
        value_shape = ctx.attr("value_shape") if "value_shape" in ctx.schema.attrs else TensorShape([])
        ctx.handle_data[0] = [(ctx.attr("key_dtype"), key_shape), (ctx.attr("value_dtype"), value_shape)]
        return TensorShape([])

    @record.prepare
    def _(attrs: dict[str, Any]) -> Any:
        node_name = attrs.get("_node_name", "")
        node_name = node_name.decode() if isinstance(node_name, bytes) else node_name
        shared = attrs.get("shared_name", b"").decode()
        container = attrs.get("container", b"").decode()
        if not shared and attrs.get("use_node_name_sharing"):
            shared = node_name
        own: list[Table] = []

        def kernel(*inputs: np.ndarray) -> Table:
            if shared:
                found = current_manager().get_or_create("table", container, shared, lambda: make(attrs, *inputs))
                return _checked(found, kind, attrs, shared)
            if not node_name or name.startswith("Anonymous"):
                return make(attrs, *inputs)
            if not own:
                own.append(make(attrs, *inputs))
            return own[0]

        return kernel


for _version, _output in (("", "ref(string)"), ("V2", "resource")):
    _table_op(f"HashTable{_version}", "", _output, _NAMED + _TYPES, StaticTable, _make_static)
    _table_op(f"MutableHashTable{_version}", "", _output, _NAMED + _TYPES, MutableTable, _make_mutable)
    _table_op(
        f"MutableHashTableOfTensors{_version}", "", _output, _NAMED + _TYPES + "; value_shape: shape = []", MutableTable,
        _make_mutable,
    )  # fmt: skip
    _table_op(
        f"MutableDenseHashTable{_version}", "empty_key: key_dtype" + (", deleted_key: key_dtype" if _version else ""), _output,
        _NAMED + _TYPES + _DENSE, DenseTable, _make_dense,
    )  # fmt: skip
_table_op("AnonymousHashTable", "", "resource", _TYPES, StaticTable, _make_static)
_table_op("AnonymousMutableHashTable", "", "resource", _TYPES, MutableTable, _make_mutable)
_table_op(
    "AnonymousMutableHashTableOfTensors", "", "resource", _TYPES + "; value_shape: shape = []", MutableTable, _make_mutable
)
_table_op(
    "AnonymousMutableDenseHashTable", "empty_key: key_dtype, deleted_key: key_dtype", "resource", _TYPES + _DENSE, DenseTable,
    _make_dense,
)  # fmt: skip


def _table(handle: Any) -> Table:
    """The table in a handle; a handle of TensorFlow 1 is a reference that may come as a 0-d array."""
    found = handle[()] if isinstance(handle, np.ndarray) else handle
    found = getattr(found, "table", found)
    if not isinstance(found, Table):
        raise InvalidArgumentError(f"table_handle: expected a lookup table, received {type(found).__name__}")
    return found


def _both(name: str, rest: str, outputs: str, attrs: str, kernel: Callable[..., Any], rule: Any = None, v2_only: bool = False) -> None:
    """The op for references (TensorFlow 1) and its V2 for resources."""
    for version, handle in (("", "ref(string)"), ("V2", "resource")):
        if v2_only and not version:
            continue
        flags = " !stateful" if version else ""
        record = op(f"{name}{version}(table_handle: {handle}{rest}) -> ({outputs}){flags}{attrs}").not_differentiable()
        record.kernel(kernel)
        if rule is not None:
            record.infer(rule)


def _initialize(handle: Any, keys: np.ndarray, values: np.ndarray) -> Any:
    table = _table(handle)
    if not isinstance(table, StaticTable):
        raise InvalidArgumentError("InitializeTable: expected a static hash table, received a mutable one")
    if keys.ndim != 1 or keys.shape != values.shape:
        raise InvalidArgumentError(f"Keys and values must have the same size: keys {keys.shape} vs values {values.shape}")
    table.initialize(keys, values)
    return ()


_both("InitializeTable", ", keys: Tkey, values: Tval", "", "; Tkey: type; Tval: type", _initialize)


def _initialize_from_file(
    handle: Any, filename: np.ndarray, *, key_index: int, value_index: int, vocab_size: int, delimiter: bytes, offset: int
) -> Any:
    table = _table(handle)
    if not isinstance(table, StaticTable):
        raise InvalidArgumentError("InitializeTableFromTextFile: expected a static hash table, received a mutable one")
    name = filename.reshape(-1)[0]
    table.initialize_from(
        lambda: text_file_entries(
            name, table.key_dtype, key_index, table.value_dtype, value_index, vocab_size, delimiter, offset
        )
    )
    return ()


_both(
    "InitializeTableFromTextFile", ", filename: string", "",
    '; key_index: int >= -2; value_index: int >= -2; vocab_size: int >= -1 = -1; delimiter: string = "\\t"; offset: int = 0',
    _initialize_from_file,
)  # fmt: skip


def _find_rule(ctx: Any) -> Any:
    keys, data = ctx.shape(1), ctx.handle(0)
    if data is not None and len(data) == 2:
        key_rank = data[0][1].rank
        if keys.rank is None or key_rank is None:
            return unknown_shape()
        return keys[: keys.rank - key_rank].concatenate(data[1][1])
    return keys if ctx.rank(2) == 0 else unknown_shape()


_both(
    "LookupTableFind", ", keys: Tin, default_value: Tout", "values: Tout", "; Tin: type; Tout: type",
    lambda handle, keys, default: _table(handle).find(keys, default), _find_rule,
)  # fmt: skip


def _change(method: str) -> Callable[..., Any]:
    def kernel(handle: Any, *arrays: np.ndarray) -> Any:
        getattr(_table(handle), method)(*arrays)
        return ()

    return kernel


_both("LookupTableInsert", ", keys: Tin, values: Tout", "", "; Tin: type; Tout: type", _change("insert"))
_both("LookupTableImport", ", keys: Tin, values: Tout", "", "; Tin: type; Tout: type", _change("replace"))
_both("LookupTableRemove", ", keys: Tin", "", "; Tin: type", _change("remove"), v2_only=True)
_both(
    "LookupTableSize", "", "size: int64", "", lambda handle: np.array(_table(handle).size(), np.int64), infer.scalar
)


def _export(handle: Any, *, Tkeys: DType, Tvalues: DType) -> Any:
    table = _table(handle)
    if (table.key_dtype, table.value_dtype) != (Tkeys, Tvalues):
        raise InvalidArgumentError(
            f"LookupTableExport: expected a table of {Tkeys.name} -> {Tvalues.name}, received {table!r}"
        )
    return table.export()


_both(
    "LookupTableExport", "", "keys: Tkeys, values: Tvalues", "; Tkeys: type; Tvalues: type", _export,
    lambda ctx: [unknown_shape(), unknown_shape()],
)  # fmt: skip
