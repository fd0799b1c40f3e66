"""The TensorFlow-named functions of the op families, found lazily by name: `tf.matmul`, `tf.nn.conv2d`, `tf.strings.lower`.

A family declares its functions with `@public("matmul", "linalg.matmul")`. The generated index (`tracer/ops/index.py`) tells which
module holds a name, so that nothing is imported before it is used. Vocabulary (`tf.float32`, `tf.Variable`, `tf.function`…) is found in
the modules that own it. This module holds no logic of its own.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Namespace", "add_dispatcher", "public", "tf"]

_FUNCTIONS: dict[str, Any] = {}
_VOCABULARY: dict[str, tuple[str, str]] = {}
_DISPATCHERS: list[Callable[[str, Any, tuple[Any, ...], dict[str, Any]], Any]] = []
_SYMBOLIC: list[type] = []
NOT_HANDLED = object()


def public(*names: str) -> Callable[[Any], Any]:
    """Declare a function under its dotted TensorFlow names (without `tf.`). The first name is its canonical one.

    Arguments that are no tensors, but that a layer above knows how to take (a Keras functional input), are handed to the dispatchers.
    """

    def decorate(fn: Any) -> Any:
        if isinstance(fn, type):
            wrapped = fn
        else:
            canonical = names[0]

            @functools.wraps(fn)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                if _SYMBOLIC and any(type(a) in _SYMBOLIC for a in args):
                    result = _dispatched(canonical, wrapped, args, kwargs)
                    if result is not NOT_HANDLED:
                        return result
                try:
                    return fn(*args, **kwargs)
                except (TypeError, ValueError):
                    result = _dispatched(canonical, wrapped, args, kwargs)
                    if result is NOT_HANDLED:
                        raise
                    return result

            wrapped.public_name = canonical  # type: ignore[attr-defined]
        for name in names:
            _FUNCTIONS[name] = wrapped
        return wrapped

    return decorate


def _dispatched(name: str, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    for handle in _DISPATCHERS:
        result = handle(name, fn, args, kwargs)
        if result is not NOT_HANDLED:
            return result
    return NOT_HANDLED


def add_dispatcher(handle: Callable[[str, Any, tuple[Any, ...], dict[str, Any]], Any], *symbolic: type) -> None:
    """`handle(name, function, args, kwargs)` is asked when a public function refuses its arguments; NOT_HANDLED passes on.

    Where a positional argument is of a type in `symbolic`, it is asked at once.
    """
    _DISPATCHERS.append(handle)
    _SYMBOLIC.extend(symbolic)


def _vocabulary() -> dict[str, tuple[str, str]]:
    if not _VOCABULARY:
        from tracer import dtypes

        for name in vars(dtypes):
            if isinstance(getattr(dtypes, name), dtypes.DType):
                _VOCABULARY[name] = ("dtypes", name)
                _VOCABULARY[f"dtypes.{name}"] = ("dtypes", name)
        for dotted, owner in {
            "DType": "dtypes",
            "as_dtype": "dtypes",
            "TensorShape": "shapes",
            "TensorSpec": "specs",
            "TypeSpec": "specs",
            "RaggedTensorSpec": "specs",
            "SparseTensorSpec": "specs",
            "IndexedSlicesSpec": "specs",
            "Tensor": "tensor",
            "constant": "tensor",
            "convert_to_tensor": "tensor",
            "is_tensor": "tensor",
            "Variable": "variable",
            "VariableAggregation": "variable",
            "VariableSynchronization": "variable",
            "Module": "module",
            "GradientTape": "tape",
            "UnconnectedGradients": "tape",
            "custom_gradient": "gradients",
            "gradients": "gradients",
            "function": "functions",
            "init_scope": "dispatch",
            "name_scope": "dispatch",
            "control_dependencies": "dispatch",
            "executing_eagerly": "dispatch",
            "RaggedTensor": "composite",
            "SparseTensor": "composite",
            "IndexedSlices": "composite",
            "TensorArray": "tensor_array",
            "TensorArraySpec": "tensor_array",
            "Graph": "tracing",
        }.items():
            _VOCABULARY[dotted] = (owner, dotted)
        _VOCABULARY["compat.v1.SparseTensorValue"] = ("sparse", "SparseTensorValue")
        _VOCABULARY["sparse.SparseTensor"] = ("composite", "SparseTensor")
        for name in (
            "KeyValueTensorInitializer", "StaticHashTable", "StaticVocabularyTable", "TextFileIdTableInitializer", "TextFileIndex",
            "TextFileInitializer", "TextFileStringTableInitializer",
        ):  # fmt: skip
            _VOCABULARY[f"lookup.{name}"] = ("lookup", name)
        for name in ("DenseHashTable", "MutableHashTable"):
            _VOCABULARY[f"lookup.experimental.{name}"] = ("lookup", name)
        for name in ("BytesList", "Example", "Feature", "FeatureList", "FeatureLists", "Features", "FloatList", "Int64List", "SequenceExample"):
            _VOCABULARY[f"train.{name}"] = ("example_messages", name)
        _VOCABULARY["raw_ops"] = ("dispatch", "raw")
        _VOCABULARY["autograph"] = ("autograph", "autograph")
        for fn in ("flatten", "map_structure", "pack_sequence_as", "assert_same_structure", "is_nested"):
            _VOCABULARY[f"nest.{fn}"] = ("nest", fn)
    return _VOCABULARY


def _index() -> dict[str, str]:
    try:
        from tracer.ops.index import PUBLIC
    except ImportError:
        return {}
    return PUBLIC


def _load_all() -> None:
    import tracer.ops

    for info in pkgutil.iter_modules(tracer.ops.__path__):
        if info.name not in ("index", "attr_index", "__main__"):
            importlib.import_module(f"tracer.ops.{info.name}")


def find(name: str) -> Any:
    """The object of dotted `name`, or None."""
    found = _FUNCTIONS.get(name)
    if found is not None:
        return found
    owner = _vocabulary().get(name)
    if owner is not None:
        return getattr(importlib.import_module(f"tracer.{owner[0]}"), owner[1])
    index = _index()
    if name in index:
        importlib.import_module(f"tracer.{index[name]}")
    elif not index or not any(k.startswith(name + ".") for k in index):
        _load_all()
    return _FUNCTIONS.get(name)


def names() -> list[str]:
    """Every dotted public name."""
    _load_all()
    return sorted({*_FUNCTIONS, *_vocabulary()})


class Namespace:
    """A dotted prefix of public names, as attributes."""

    def __init__(self, prefix: str = ""):
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        dotted = f"{self._prefix}.{name}" if self._prefix else name
        found = find(dotted)
        if found is None:
            if not any(k.startswith(dotted + ".") for k in (*_index(), *_FUNCTIONS, *_vocabulary())):
                raise AttributeError(f"tf has no attribute {dotted!r}")
            found = Namespace(dotted)
        self.__dict__[name] = found
        return found

    def __dir__(self) -> Iterator[str]:  # type: ignore[override]
        start = f"{self._prefix}." if self._prefix else ""
        return iter(sorted({n[len(start) :].split(".")[0] for n in names() if n.startswith(start)}))

    def __repr__(self) -> str:
        return f"<namespace tf{'.' + self._prefix if self._prefix else ''}>"


tf: Any = Namespace()
