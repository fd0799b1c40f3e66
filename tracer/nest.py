"""Nested structures of Python containers, flattened in TensorFlow's order (mapping keys sorted). It refuses to look at leaves.

Containers are lists, tuples, namedtuples, mappings and, where `expand_composites` is set, composite tensors and their specs
(objects with `_type_spec`, and TypeSpecs with `_component_specs`).
"""

from __future__ import annotations

import collections
import collections.abc
from collections.abc import Callable, Iterator
from typing import Any

from tracer.errors import InvalidArgumentError

__all__ = ["assert_same_structure", "flatten", "flatten_with_paths", "is_nested", "map_structure", "pack_sequence_as"]


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def is_nested(value: Any) -> bool:
    """Whether `value` is a container (strings and arrays are leaves)."""
    return isinstance(value, (list, tuple, collections.abc.Mapping)) and not isinstance(value, (str, bytes))


def _sorted_keys(mapping: Any) -> list[Any]:
    try:
        return sorted(mapping)
    except TypeError:
        raise TypeError(f"nest only supports dicts with sortable keys; received keys {list(mapping)!r}") from None


def _is_composite(value: Any) -> bool:
    """A composite tensor, or the spec of one."""
    return hasattr(value, "_type_spec") or getattr(value, "is_composite_spec", False)


def _composite_parts(value: Any) -> list[Any]:
    spec = getattr(value, "_type_spec", None)
    if spec is not None:
        return list(spec.to_components(value))
    return list(value.component_specs)


def _composite_build(like: Any, parts: list[Any]) -> Any:
    spec = getattr(like, "_type_spec", None) or like
    return spec.from_components(parts)


def _children(value: Any, expand_composites: bool) -> list[Any] | None:
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, collections.abc.Mapping):
        return [value[k] for k in _sorted_keys(value)]
    if expand_composites and _is_composite(value):
        return _composite_parts(value)
    return None


def _flatten_into(value: Any, out: list[Any], expand_composites: bool) -> None:
    if isinstance(value, (list, tuple)):
        for v in value:
            _flatten_into(v, out, expand_composites)
    elif isinstance(value, collections.abc.Mapping):
        for k in _sorted_keys(value):
            _flatten_into(value[k], out, expand_composites)
    elif expand_composites and _is_composite(value):
        for v in _composite_parts(value):
            _flatten_into(v, out, expand_composites)
    else:
        out.append(value)


def flatten(structure: Any, expand_composites: bool = False) -> list[Any]:
    """The leaves of `structure`, depth first, mapping values by sorted key."""
    out: list[Any] = []
    _flatten_into(structure, out, expand_composites)
    return out


def flatten_with_paths(structure: Any, expand_composites: bool = False) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves with the keys and indices that lead to each."""
    out: list[tuple[tuple[Any, ...], Any]] = []

    def walk(value: Any, path: tuple[Any, ...]) -> None:
        if isinstance(value, collections.abc.Mapping):
            for k in _sorted_keys(value):
                walk(value[k], (*path, k))
        elif _is_namedtuple(value):
            for k in value._fields:
                walk(getattr(value, k), (*path, k))
        elif isinstance(value, (list, tuple)):
            for i, v in enumerate(value):
                walk(v, (*path, i))
        elif expand_composites and _is_composite(value):
            for i, v in enumerate(_composite_parts(value)):
                walk(v, (*path, i))
        else:
            out.append((path, value))

    walk(structure, ())
    return out


def rebuild(like: Any, children: list[Any]) -> Any:
    """A container of the type of `like` with `children` in `like`'s flatten order."""
    if _is_namedtuple(like):
        return type(like)(*children)
    if isinstance(like, collections.abc.Mapping):
        by_key = dict(zip(_sorted_keys(like), children, strict=True))
        ordered = [(k, by_key[k]) for k in like]
        kind = type(like)
        if kind is dict:
            return dict(ordered)
        if isinstance(like, collections.defaultdict):
            return kind(like.default_factory, ordered)
        try:
            return kind(ordered)
        except TypeError:
            return dict(ordered)
    if isinstance(like, tuple):
        return tuple(children) if type(like) is tuple else _rebuild_sequence(like, children, tuple)
    if isinstance(like, list):
        return children if type(like) is list else _rebuild_sequence(like, children, list)
    return _composite_build(like, children)


def _rebuild_sequence(like: Any, children: list[Any], fallback: type) -> Any:
    try:
        return type(like)(children)
    except TypeError:
        return fallback(children)


def _pack(like: Any, leaves: Iterator[Any], expand_composites: bool) -> Any:
    children = _children(like, expand_composites)
    if children is None:
        return next(leaves)
    return rebuild(like, [_pack(c, leaves, expand_composites) for c in children])


def pack_sequence_as(structure: Any, flat: Any, expand_composites: bool = False) -> Any:
    """`flat` leaves in the shape of `structure`.

    Raises:
        ValueError: the number of leaves differs.
    """
    flat = list(flat)
    expected = len(flatten(structure, expand_composites))
    if len(flat) != expected:
        raise InvalidArgumentError(
            f"Could not pack sequence: the structure has {expected} leaves, received {len(flat)}. Structure: {structure!r}"
        )
    return _pack(structure, iter(flat), expand_composites)


def map_structure(func: Callable[..., Any], *structures: Any, expand_composites: bool = False, **kwargs: Any) -> Any:
    """Apply `func` to corresponding leaves; the result has the structure of the first."""
    check_types = kwargs.pop("check_types", True)
    if kwargs:
        raise TypeError(f"map_structure: unexpected keyword arguments {sorted(kwargs)}")
    if not structures:
        raise InvalidArgumentError("map_structure needs at least one structure")
    for other in structures[1:]:
        assert_same_structure(structures[0], other, check_types=check_types, expand_composites=expand_composites)
    flat = [flatten(s, expand_composites) for s in structures]
    return _pack(structures[0], iter([func(*leaves) for leaves in zip(*flat, strict=True)]), expand_composites)


def assert_same_structure(a: Any, b: Any, check_types: bool = True, expand_composites: bool = False) -> None:
    """Raise ValueError (structure) or TypeError (container types) where `a` and `b` are nested differently."""
    ca, cb = _children(a, expand_composites), _children(b, expand_composites)
    if ca is None and cb is None:
        return
    if ca is None or cb is None:
        raise InvalidArgumentError(
            f"The two structures don't have the same nested structure: one part is a container, the other a leaf.\n"
            f"First: {a!r}\nSecond: {b!r}"
        )
    mappings = isinstance(a, collections.abc.Mapping), isinstance(b, collections.abc.Mapping)
    if check_types and mappings[0] != mappings[1]:
        raise TypeError(f"The two structures don't have the same sequence type: {type(a)} and {type(b)}")
    if check_types and not mappings[0] and isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        same = isinstance(a, type(b)) or isinstance(b, type(a))
        if _is_namedtuple(a) and _is_namedtuple(b):
            same = type(a).__name__ == type(b).__name__ and a._fields == b._fields
        if not same:
            raise TypeError(f"The two structures don't have the same sequence type: {type(a)} and {type(b)}")
    if all(mappings) and set(a) != set(b):
        raise InvalidArgumentError(
            f"The two dictionaries don't have the same set of keys: {_sorted_keys(a)} and {_sorted_keys(b)}"
        )
    if len(ca) != len(cb):
        raise InvalidArgumentError(
            f"The two structures don't have the same number of elements: {len(ca)} and {len(cb)}.\nFirst: {a!r}\nSecond: {b!r}"
        )
    for x, y in zip(ca, cb, strict=True):
        assert_same_structure(x, y, check_types, expand_composites)
