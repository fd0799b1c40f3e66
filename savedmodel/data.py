"""A small tf.data: pipelines over eager tensors, in Python. It refuses to read files and to run in the background.

Elements are structures of tensors; functions given to `map`, `filter`… are called eagerly. Order, shapes of batches and the errors of
exhausted pipelines follow tf.data.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracer import dtypes, nest
from tracer import random as streams
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError
from tracer.public import tf
from tracer.shapes import TensorShape, as_shape
from tracer.specs import RaggedTensorSpec, SparseTensorSpec, TensorSpec, TypeSpec, type_spec_from_value
from tracer.tensor import EagerTensor, Tensor, convert_to_tensor

__all__ = ["AUTOTUNE", "Dataset", "INFINITE_CARDINALITY", "Options", "UNKNOWN_CARDINALITY"]

AUTOTUNE = -1
INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2


def _tuples(structure: Any) -> Any:
    """Lists of tensors become one tensor, as tf.data takes them; tuples and dicts stay structures."""
    if isinstance(structure, dict):
        return type(structure)((k, _tuples(v)) for k, v in structure.items()) if type(structure) is not dict else {k: _tuples(v) for k, v in structure.items()}
    if isinstance(structure, tuple):
        items = [_tuples(v) for v in structure]
        return type(structure)(*items) if hasattr(structure, "_fields") else tuple(items)
    if isinstance(structure, Dataset) or hasattr(structure, "_type_spec"):
        return structure
    return structure if isinstance(structure, Tensor) else convert_to_tensor(structure)


def _spec(value: Any) -> TypeSpec:
    spec = type_spec_from_value(value)
    return TensorSpec(spec.shape, spec.dtype) if isinstance(spec, TensorSpec) else spec


def _reshaped(spec: Any, change: Callable[[list[int | None]], list[int | None]]) -> Any:
    """A spec with its dimensions changed; unknown ranks stay unknown."""
    if isinstance(spec, TensorSpec):
        return TensorSpec(None if spec.shape.rank is None else change(spec.shape.as_list()), spec.dtype)
    dims = None if spec.shape.rank is None else TensorShape(change(spec.shape.as_list()))
    if isinstance(spec, RaggedTensorSpec):
        grown = 0 if dims is None or spec.shape.rank is None else len(dims) - spec.shape.rank
        return RaggedTensorSpec(dims, spec.dtype, spec.ragged_rank + grown, spec.row_splits_dtype)
    if isinstance(spec, SparseTensorSpec):
        return SparseTensorSpec(dims, spec.dtype)
    return spec


def _rows(value: Any) -> int:
    shape = value.shape
    if shape.rank == 0:
        raise InvalidArgumentError("Unbatching a tensor is only supported for rank >= 1")
    return int(shape[0])


class Options:
    """Accepted and ignored: pipelines here have nothing to tune."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = Options()
        self.__dict__[name] = value
        return value


class _DatasetIterator:
    """An iterator over the elements of a dataset."""

    def __init__(self, elements: Iterator[Any], element_spec: Any):
        self._elements = elements
        self.element_spec = element_spec

    def __iter__(self) -> _DatasetIterator:
        return self

    def __next__(self) -> Any:
        return next(self._elements)

    def get_next(self) -> Any:
        return next(self)


class Dataset:
    """A sequence of elements, each a structure of tensors.

    Args:
        make: gives a fresh iterator over the elements.
        element_spec: the structure of specs of an element.
        cardinality: number of elements, INFINITE_CARDINALITY or UNKNOWN_CARDINALITY.
    """

    def __init__(self, make: Callable[[], Iterator[Any]], element_spec: Any, cardinality: int = UNKNOWN_CARDINALITY):
        self._make = make
        self._element_spec = element_spec
        self._size = cardinality

    @property
    def element_spec(self) -> Any:
        """The structure of specs of an element."""
        return self._element_spec

    def _cardinality(self) -> int:
        return self._size

    def cardinality(self) -> Any:
        """The number of elements as a scalar tensor: -1 infinite, -2 unknown."""
        return convert_to_tensor(np.int64(self._size))

    def __iter__(self) -> _DatasetIterator:
        return _DatasetIterator(self._make(), self._element_spec)

    def __len__(self) -> int:
        if self._size == INFINITE_CARDINALITY:
            raise TypeError("The dataset is infinite.")
        if self._size == UNKNOWN_CARDINALITY:
            raise TypeError("The dataset length is unknown.")
        return self._size

    def __bool__(self) -> bool:
        return True

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements with arrays instead of tensors."""
        return (nest.map_structure(lambda t: t.numpy() if isinstance(t, Tensor) else t, e) for e in self)

    # -- sources -----------------------------------------------------------------------------------------------------

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> Dataset:
        """One element: `tensors`."""
        element = _tuples(tensors)
        return Dataset(lambda: iter([element]), nest.map_structure(_spec, element), 1)

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Dataset:
        """One element per row of `tensors`, whose first dimensions agree."""
        whole = _tuples(tensors)
        flat = nest.flatten(whole)
        if not flat:
            raise InvalidArgumentError("Invalid `tensors`. `tensors` should not be empty.")
        counts = {_rows(t) for t in flat}
        if len(counts) > 1:
            raise InvalidArgumentError(f"Dimensions {' and '.join(map(str, sorted(counts)))} are not compatible")
        count = counts.pop()

        def make() -> Iterator[Any]:
            for i in range(count):
                yield nest.pack_sequence_as(whole, [_row(t, i) for t in flat])

        return Dataset(make, nest.map_structure(lambda t: _reshaped(_spec(t), lambda d: d[1:]), whole), count)

    @staticmethod
    def from_generator(
        generator: Callable[..., Any], output_types: Any = None, output_shapes: Any = None, args: Any = None, output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:  # fmt: skip
        """The elements that `generator(*args)` yields; give their specs as `output_signature`, or types and shapes."""
        if not callable(generator):
            raise TypeError("`generator` must be a Python callable.")
        if output_signature is not None:
            spec = output_signature
        elif output_types is None:
            raise TypeError("To specify the output signature you need to provide either the `output_signature` argument or the `output_types` argument.")
        elif output_shapes is None:
            spec = nest.map_structure(lambda t: TensorSpec(None, as_dtype(t)), output_types)
        else:
            shapes = _shapes_like(output_types, output_shapes)
            spec = nest.map_structure(lambda t, s: TensorSpec(s.value, as_dtype(t)), output_types, shapes)

        def make() -> Iterator[Any]:
            for value in generator(*(args or ())):
                yield _conform(value, spec)

        return Dataset(make, spec)

    @staticmethod
    def range(*args: Any, output_type: Any = dtypes.int64, name: str | None = None, **kwargs: Any) -> Dataset:
        """The integers of Python's `range`, as int64."""
        numbers = range(*[int(a) for a in args])
        dtype = as_dtype(output_type)
        return Dataset(lambda: (EagerTensor(np.array(n, dtype.numpy), dtype) for n in numbers), TensorSpec([], dtype), len(numbers))

    @staticmethod
    def zip(*args: Any, datasets: Any = None, name: str | None = None) -> Dataset:
        """Elements of several datasets side by side, in the structure they are given in; the shortest ends it."""
        given = datasets if datasets is not None else args[0] if len(args) == 1 and not isinstance(args[0], Dataset) else tuple(args)
        flat = nest.flatten(given)
        for d in flat:
            if not isinstance(d, Dataset):
                raise TypeError(f"Invalid input to `zip`. Inputs are expected to be (nested) structures of `tf.data.Dataset` objects but encountered object of type {type(d)}.")

        def make() -> Iterator[Any]:
            return (nest.pack_sequence_as(given, list(parts)) for parts in zip(*flat))

        sizes = [d._size for d in flat]
        finite = [s for s in sizes if s != INFINITE_CARDINALITY]
        size = INFINITE_CARDINALITY if not finite else UNKNOWN_CARDINALITY if UNKNOWN_CARDINALITY in finite else min(finite)
        return Dataset(make, nest.map_structure(lambda d: d._element_spec, given), size)

    @staticmethod
    def random(seed: Any = None, name: str | None = None, **kwargs: Any) -> Dataset:
        """Endless random int64 numbers."""
        def make() -> Iterator[Any]:
            source = random.Random(seed)
            while True:
                yield convert_to_tensor(np.int64(source.getrandbits(32)))

        return Dataset(make, TensorSpec([], dtypes.int64), INFINITE_CARDINALITY)

    @staticmethod
    def choose_from_datasets(datasets: Any, choice_dataset: Dataset, stop_on_empty_dataset: bool = True) -> Dataset:
        """The next element of the dataset whose number `choice_dataset` gives."""
        def make() -> Iterator[Any]:
            sources = [iter(d) for d in datasets]
            for choice in choice_dataset:
                try:
                    yield next(sources[int(choice)])
                except StopIteration:
                    if stop_on_empty_dataset:
                        return

        return Dataset(make, datasets[0]._element_spec)

    # -- one element at a time ---------------------------------------------------------------------------------------

    def map(self, map_func: Callable[..., Any], num_parallel_calls: Any = None, deterministic: Any = None, name: str | None = None) -> Dataset:
        """`map_func` of each element; a tuple element is spread over its arguments."""
        def apply(element: Any) -> Any:
            result = map_func(*element) if isinstance(element, tuple) and not hasattr(element, "_fields") else map_func(element)
            return _tuples(tuple(result) if isinstance(result, list) else result)

        return Dataset(lambda: map(apply, self._make()), _Lazy(lambda: self._mapped_spec(map_func, apply)), self._size)._resolved()

    def _mapped_spec(self, map_func: Callable[..., Any], apply: Callable[[Any], Any]) -> Any:
        """The spec of mapped elements: by tracing the function on specs, else from the first element."""
        from tracer.tracing import FuncGraph, trace_into

        try:
            graph = FuncGraph("map_spec")
            with trace_into(graph):
                def place(spec: Any) -> Any:
                    if isinstance(spec, TensorSpec):
                        return graph.placeholder(spec.dtype, spec.shape)
                    return spec.from_components([graph.placeholder(c.dtype, c.shape) for c in spec.component_specs])

                return nest.map_structure(_spec, apply(nest.map_structure(place, self._element_spec)))
        except (TypeError, ValueError, AttributeError, NotImplementedError, KeyError, RuntimeError):
            # the function needs values (NumPy code): learn from the first element, with a free first dimension where sizes may differ
            first = next(iter(self), None)
            if first is None:
                return self._element_spec
            return nest.map_structure(_spec, apply(first))

    def _resolved(self) -> Dataset:
        if isinstance(self._element_spec, _Lazy):
            self._element_spec = self._element_spec.get()
        return self

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements for which `predicate` is true."""
        def keep(element: Any) -> bool:
            return bool(predicate(*element) if isinstance(element, tuple) else predicate(element))

        return Dataset(lambda: filter(keep, self._make()), self._element_spec)

    def flat_map(self, map_func: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements of the datasets that `map_func` makes of each element."""
        def call(element: Any) -> Dataset:
            return map_func(*element) if isinstance(element, tuple) else map_func(element)

        def make() -> Iterator[Any]:
            return itertools.chain.from_iterable(call(e) for e in self._make())

        first = next(iter(self), None)
        return Dataset(make, self._element_spec if first is None else call(first)._element_spec)

    def interleave(self, map_func: Callable[..., Any], cycle_length: Any = None, block_length: int = 1, num_parallel_calls: Any = None, deterministic: Any = None, name: str | None = None) -> Dataset:
        """Like `flat_map`, taking `block_length` elements in turn from `cycle_length` datasets."""
        length = cycle_length or 1
        length = 16 if length == AUTOTUNE else int(length)

        def call(element: Any) -> Dataset:
            return map_func(*element) if isinstance(element, tuple) else map_func(element)

        def make() -> Iterator[Any]:
            waiting = self._make()
            active = [iter(call(e)) for e in itertools.islice(waiting, length)]
            while active:
                kept = []
                for source in active:
                    block = list(itertools.islice(source, block_length))
                    yield from block
                    if len(block) == block_length:
                        kept.append(source)
                    else:
                        new = next(waiting, None)
                        if new is not None:
                            kept.append(iter(call(new)))
                active = kept

        first = next(iter(self), None)
        return Dataset(make, self._element_spec if first is None else call(first)._element_spec)

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """(number, element) pairs."""
        return Dataset(
            lambda: ((convert_to_tensor(np.int64(i)), e) for i, e in enumerate(self._make(), int(start))),
            (TensorSpec([], dtypes.int64), self._element_spec),
            self._size,
        )

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """`transformation_func(self)`."""
        found = transformation_func(self)
        if not isinstance(found, Dataset):
            raise TypeError(f"`transformation_func` must return a `tf.data.Dataset` object. Got {type(found)}.")
        return found

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any], name: str | None = None) -> Any:
        """`state = reduce_func(state, element)` over all elements."""
        state = _tuples(initial_state)
        for element in self:
            state = reduce_func(state, element)
        return nest.map_structure(lambda t: t if isinstance(t, Tensor) else convert_to_tensor(t), state)

    def scan(self, initial_state: Any, scan_func: Callable[[Any, Any], Any], name: str | None = None) -> Dataset:
        """The outputs of `state, output = scan_func(state, element)`."""
        def make() -> Iterator[Any]:
            state = _tuples(initial_state)
            for element in self._make():
                state, output = scan_func(state, element)
                yield _tuples(output)

        first = next(make(), None)
        return Dataset(make, self._element_spec if first is None else nest.map_structure(_spec, first), self._size)

    # -- batches -----------------------------------------------------------------------------------------------------

    def batch(self, batch_size: Any, drop_remainder: bool = False, num_parallel_calls: Any = None, deterministic: Any = None, name: str | None = None) -> Dataset:
        """Consecutive elements stacked; the last batch may be smaller unless `drop_remainder`."""
        size = int(batch_size)
        if size <= 0:
            raise InvalidArgumentError(f"batch_size must be greater than zero, received {size}")

        def make() -> Iterator[Any]:
            source = self._make()
            while True:
                elements = list(itertools.islice(source, size))
                if not elements or (drop_remainder and len(elements) < size):
                    return
                yield _stack(elements)

        first = size if drop_remainder else None
        spec = nest.map_structure(lambda s: _reshaped(s, lambda d: [first, *d]), self._element_spec)
        count = self._size if self._size < 0 else self._size // size if drop_remainder else -(-self._size // size)
        return Dataset(make, spec, count)

    def padded_batch(self, batch_size: Any, padded_shapes: Any = None, padding_values: Any = None, drop_remainder: bool = False, name: str | None = None) -> Dataset:
        """Consecutive elements stacked after padding them to `padded_shapes` (None or -1: the longest of the batch)."""
        size = int(batch_size)
        specs = nest.flatten(self._element_spec)
        if padded_shapes is None:
            shapes = [s.shape for s in specs]
        else:
            shapes = [as_shape(s.value) for s in nest.flatten(_shapes_like(self._element_spec, padded_shapes))]
        if padding_values is None:
            values: list[Any] = [None] * len(specs)
        else:
            values = nest.flatten(padding_values) if nest.is_nested(padding_values) else [padding_values] * len(specs)

        def pad(arrays: list[np.ndarray], shape: TensorShape, value: Any, spec: Any) -> Any:
            rank = arrays[0].ndim
            dims = [max(a.shape[i] for a in arrays) if shape[i] is None else shape[i] for i in range(rank)]
            fill = value.numpy() if isinstance(value, Tensor) else value
            if fill is None:
                fill = b"" if spec.dtype is dtypes.string else 0
            elif isinstance(fill, str):
                fill = fill.encode()
            out = np.full([len(arrays), *dims], fill, dtype=spec.dtype.numpy)
            for i, a in enumerate(arrays):
                if any(n > d for n, d in zip(a.shape, dims, strict=True)):
                    raise InvalidArgumentError(f"Attempted to pad to a smaller size than the input element: {a.shape} to {dims}")
                out[(i, *[slice(0, n) for n in a.shape])] = a
            return EagerTensor(out, spec.dtype)

        def make() -> Iterator[Any]:
            source = self._make()
            while True:
                elements = list(itertools.islice(source, size))
                if not elements or (drop_remainder and len(elements) < size):
                    return
                flats = [nest.flatten(e) for e in elements]
                parts = [pad([f[i]._value for f in flats], shapes[i], values[i], specs[i]) for i in range(len(specs))]
                yield nest.pack_sequence_as(self._element_spec, parts)

        first = size if drop_remainder else None
        flat = [TensorSpec([first, *s.as_list()] if s.rank is not None else None, spec.dtype) for s, spec in zip(shapes, specs, strict=True)]
        count = self._size if self._size < 0 else self._size // size if drop_remainder else -(-self._size // size)
        return Dataset(make, nest.pack_sequence_as(self._element_spec, flat), count)

    def ragged_batch(self, batch_size: Any, drop_remainder: bool = False, row_splits_dtype: Any = dtypes.int64, name: str | None = None) -> Dataset:
        """Consecutive elements as ragged tensors."""
        size = int(batch_size)

        def make() -> Iterator[Any]:
            source = self._make()
            while True:
                elements = list(itertools.islice(source, size))
                if not elements or (drop_remainder and len(elements) < size):
                    return
                flats = [nest.flatten(e) for e in elements]
                parts = [tf.ragged.stack([f[i] for f in flats]) for i in range(len(flats[0]))]
                yield nest.pack_sequence_as(elements[0], parts)

        first = next(make(), None)
        spec = self._element_spec if first is None else nest.map_structure(lambda t: _reshaped(_spec(t), lambda d: [None, *d[1:]]), first)
        return Dataset(make, spec)

    def unbatch(self, name: str | None = None) -> Dataset:
        """The rows of each element."""
        def make() -> Iterator[Any]:
            for element in self._make():
                flat = nest.flatten(element)
                for i in range(_rows(flat[0])):
                    yield nest.pack_sequence_as(element, [_row(t, i) for t in flat])

        first = nest.flatten(self._element_spec)[0].shape
        rows = first[0] if first.rank else None
        size = self._size * rows if self._size >= 0 and rows is not None else UNKNOWN_CARDINALITY
        return Dataset(make, nest.map_structure(lambda s: _reshaped(s, lambda d: d[1:]), self._element_spec), size)

    def window(self, size: int, shift: int | None = None, stride: int = 1, drop_remainder: bool = False, name: str | None = None) -> Dataset:
        """Datasets of `size` elements each, `shift` apart."""
        step = shift or size

        def make() -> Iterator[Any]:
            elements = list(self._make())
            for start in range(0, len(elements), step):
                chosen = elements[start : start + size * stride : stride]
                if drop_remainder and len(chosen) < size:
                    return
                flats = [nest.flatten(e) for e in chosen]
                spec = nest.flatten(self._element_spec)
                inner = [
                    Dataset(lambda i=i, flats=flats: iter([f[i] for f in flats]), s, len(chosen)) for i, s in enumerate(spec)
                ]
                yield nest.pack_sequence_as(self._element_spec, inner)

        return Dataset(make, self._element_spec)

    # -- order and number --------------------------------------------------------------------------------------------

    def shuffle(self, buffer_size: Any = None, seed: Any = None, reshuffle_each_iteration: bool | None = True, name: str | None = None) -> Dataset:
        """Elements in random order, drawn from a buffer of `buffer_size`."""
        size = None if buffer_size is None else int(buffer_size)
        again = reshuffle_each_iteration is None or reshuffle_each_iteration
        base = streams.global_seed()
        start = None if seed is None and base is None else hash((base, None if seed is None else int(seed)))
        state = {"source": random.Random(start)}

        def make() -> Iterator[Any]:
            if not again:
                state["source"] = random.Random(start) if start is not None else state["source"]
            draw = state["source"] if again else random.Random(state.setdefault("fixed", state["source"].random()))  # type: ignore[arg-type]
            source = self._make()
            buffer = list(source) if size is None else list(itertools.islice(source, size))
            for element in source:
                i = draw.randrange(len(buffer))
                chosen, buffer[i] = buffer[i], element
                yield chosen
            draw.shuffle(buffer)
            yield from buffer

        return Dataset(make, self._element_spec, self._size)

    def repeat(self, count: Any = None, name: str | None = None) -> Dataset:
        """The elements `count` times over (None or -1: without end)."""
        times = -1 if count is None else int(count)

        def make() -> Iterator[Any]:
            done = 0
            while times < 0 or done < times:
                empty = True
                for element in self._make():
                    empty = False
                    yield element
                if empty and times < 0:
                    return
                done += 1

        if times < 0:
            size = 0 if self._size == 0 else INFINITE_CARDINALITY
        else:
            size = 0 if times == 0 else self._size if self._size < 0 else self._size * times
        return Dataset(make, self._element_spec, size)

    def take(self, count: Any, name: str | None = None) -> Dataset:
        """The first `count` elements (-1: all)."""
        number = int(count)
        if number < 0:
            return self
        size = number if self._size == INFINITE_CARDINALITY else self._size if self._size < 0 else min(number, self._size)
        return Dataset(lambda: itertools.islice(self._make(), number), self._element_spec, size)

    def skip(self, count: Any, name: str | None = None) -> Dataset:
        """All but the first `count` elements (-1: none)."""
        number = int(count)
        size = 0 if number < 0 else self._size if self._size < 0 else max(self._size - number, 0)
        return Dataset(lambda: iter(()) if number < 0 else itertools.islice(self._make(), number, None), self._element_spec, size)

    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements before the first for which `predicate` is false."""
        def keep(element: Any) -> bool:
            return bool(predicate(*element) if isinstance(element, tuple) else predicate(element))

        return Dataset(lambda: itertools.takewhile(keep, self._make()), self._element_spec)

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Dataset:
        """Every `num_shards`-th element from `index` on."""
        size = self._size if self._size < 0 else len(range(index, self._size, num_shards))
        return Dataset(lambda: itertools.islice(self._make(), index, None, num_shards), self._element_spec, size)

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """The elements of both, one after the other."""
        spec = nest.map_structure(lambda a, b: a.most_general(b) or a, self._element_spec, dataset._element_spec)
        sizes = (self._size, dataset._size)
        if INFINITE_CARDINALITY in sizes:
            size = INFINITE_CARDINALITY
        else:
            size = UNKNOWN_CARDINALITY if UNKNOWN_CARDINALITY in sizes else sum(sizes)
        return Dataset(lambda: itertools.chain(self._make(), dataset._make()), spec, size)

    def unique(self, name: str | None = None) -> Dataset:
        """Elements (scalars) that were not seen before."""
        def make() -> Iterator[Any]:
            seen: set[Any] = set()
            for element in self._make():
                key = element.numpy().tobytes() if hasattr(element.numpy(), "tobytes") else element.numpy()
                if key not in seen:
                    seen.add(key)
                    yield element

        return Dataset(make, self._element_spec)

    # -- what only matters for speed ---------------------------------------------------------------------------------

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """Elements are kept in memory after the first complete pass."""
        kept: dict[str, list[Any]] = {}

        def make() -> Iterator[Any]:
            if "all" in kept:
                yield from kept["all"]
                return
            elements: list[Any] = []
            for element in self._make():
                elements.append(element)
                yield element
            kept["all"] = elements

        return Dataset(make, self._element_spec, self._size)

    def prefetch(self, buffer_size: Any = None, name: str | None = None) -> Dataset:
        """The same elements."""
        return Dataset(self._make, self._element_spec, self._size)

    def with_options(self, options: Any, name: str | None = None) -> Dataset:
        """The same elements."""
        return Dataset(self._make, self._element_spec, self._size)

    def options(self) -> Options:
        return Options()

    def get_single_element(self, name: str | None = None) -> Any:
        """The only element. Raises ValueError where there is another number of them."""
        found = list(itertools.islice(self._make(), 2))
        if len(found) != 1:
            raise InvalidArgumentError("Dataset was empty." if not found else "Dataset had more than one element.")
        return found[0]

    def __repr__(self) -> str:
        return f"<_Dataset element_spec={self._element_spec!r}>"


class _Lazy:
    """A spec that is computed when the dataset is complete."""

    def __init__(self, get: Callable[[], Any]):
        self.get = get


class _ShapeLeaf:
    def __init__(self, value: Any):
        self.value = value


def _shapes_like(structure: Any, shapes: Any) -> Any:
    """`shapes` in the structure of `structure`, each shape as a leaf."""
    if isinstance(structure, dict):
        return {k: _shapes_like(v, shapes[k]) for k, v in structure.items()}
    if isinstance(structure, (list, tuple)):
        items = [_shapes_like(v, s) for v, s in zip(structure, shapes, strict=True)]
        return type(structure)(items) if not hasattr(structure, "_fields") else type(structure)(*items)
    return _ShapeLeaf(shapes)


def _row(t: Any, i: int) -> Any:
    if isinstance(t, EagerTensor) and isinstance(t._value, np.ndarray):
        value = t._value[i]
        if not isinstance(value, np.ndarray):
            array = np.empty((), t.dtype.numpy)
            array[()] = value
            value = array
        return EagerTensor(value, t.dtype)
    if hasattr(t, "dense_shape") and hasattr(t, "indices"):
        return tf.sparse.reshape(tf.sparse.slice(t, [i] + [0] * (t.shape.rank - 1), [1, *t.shape.as_list()[1:]]), t.shape.as_list()[1:])
    return t[i]


def _stack(elements: list[Any]) -> Any:
    flats = [nest.flatten(e) for e in elements]
    parts = []
    for column in zip(*flats, strict=True):
        first = column[0]
        if isinstance(first, EagerTensor):
            arrays = [t._value for t in column]
            if any(a.shape != arrays[0].shape for a in arrays):
                raise InvalidArgumentError(
                    f"Cannot batch tensors with different shapes in component {len(parts)}. First element had shape {list(arrays[0].shape)} and "
                    f"another element had shape {list(next(a.shape for a in arrays if a.shape != arrays[0].shape))}."
                )
            parts.append(EagerTensor(np.stack(arrays), first.dtype))
        elif hasattr(first, "row_splits"):
            parts.append(tf.ragged.stack(list(column)))
        else:
            parts.append(tf.sparse.concat(axis=0, sp_inputs=[tf.sparse.expand_dims(t, 0) for t in column]))
    return nest.pack_sequence_as(elements[0], parts)


def _conform(value: Any, spec: Any) -> Any:
    """What a generator yielded, as tensors of `spec`.

    Raises:
        TypeError: another structure, dtype or shape.
    """
    if isinstance(spec, dict):
        return {k: _conform(value[k], s) for k, s in spec.items()}
    if isinstance(spec, (list, tuple)):
        if not isinstance(value, (list, tuple)) or len(value) != len(spec):
            raise TypeError(f"`generator` yielded an element that did not match the expected structure. The expected structure was {spec}, but the yielded element was {value}.")
        return tuple(_conform(v, s) for v, s in zip(value, spec, strict=True))
    if not isinstance(spec, TensorSpec):
        return value
    try:
        t = value if isinstance(value, Tensor) else convert_to_tensor(value, dtype=spec.dtype)
    except (TypeError, ValueError):
        raise TypeError(f"`generator` yielded an element that could not be converted to the expected type. The expected type was {spec.dtype.name}, but the yielded element was {value}.") from None
    if not spec.shape.is_compatible_with(t.shape):
        raise TypeError(f"`generator` yielded an element of shape {t.shape} where an element of shape {spec.shape} was expected.")
    return t
