"""Datasets, iterators and optionals inside of graphs: records and kernels. The pipelines that users build are in savedmodel/data.py.

A dataset is a variant whose value is an iterable of tuples of arrays; an iterator is a resource that holds a running Python iterator.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tracer import infer
from tracer.errors import InvalidArgumentError, OutOfRangeError, UninitializedError
from tracer.functions import prepare
from tracer.registry import op
from tracer.resources import current_manager
from tracer.shapes import TensorShape

_TYPES = "output_types: list(type) >= 1; output_shapes: list(shape) >= 1"
_META = _TYPES + '; metadata: string = ""'


class DatasetValue:
    """A dataset as a value: `make()` gives a new iterator over tuples of arrays; `size` is their number, -1 for no end, -2 unknown."""

    def __init__(self, make: Callable[[], Iterator[tuple[Any, ...]]], size: int = -2):
        self.make = make
        self.size = size

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self.make()


class IteratorValue:
    """A running iterator over a dataset."""

    def __init__(self) -> None:
        self.items: Iterator[tuple[Any, ...]] | None = None

    def start(self, dataset: DatasetValue) -> None:
        self.items = iter(dataset)

    def next(self) -> tuple[Any, ...]:
        """The next element. Raises OutOfRangeError at the end."""
        if self.items is None:
            raise UninitializedError("iterator: it was not started; run its initialiser first")
        try:
            return next(self.items)
        except StopIteration:
            raise OutOfRangeError("End of sequence") from None


def _stack(items: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(np.stack([np.asarray(x) for x in column]) for column in zip(*items, strict=True))


def _scalar_variant(record: Any) -> Any:
    record.not_differentiable()
    record.infer(infer.scalar)
    return record


def _from_attr_shapes(record: Any) -> Any:
    record.not_differentiable()
    record.infer(lambda ctx: list(ctx.attr("output_shapes")) or [TensorShape(None)] * len(ctx.output_dtypes))
    return record


# -- sources ---------------------------------------------------------------------------------------------------------

tensor_op = _scalar_variant(
    op('TensorDataset(components: Toutput_types) -> (handle: variant) !stateful; Toutput_types: list(type) >= 1; output_shapes: list(shape) >= 1; metadata: string = ""')
)
tensor_op.kernel(lambda *components: DatasetValue(lambda: iter([components]), 1))

slice_op = _scalar_variant(
    op(
        "TensorSliceDataset(components: Toutput_types) -> (handle: variant) !stateful; Toutput_types: list(type) >= 1; "
        'output_shapes: list(shape) >= 1; is_files: bool = false; metadata: string = ""; replicate_on_split: bool = false'
    )
)


@slice_op.kernel
def _(*components: Any) -> Any:
    sizes = {len(c) for c in components}
    if len(sizes) != 1:
        raise InvalidArgumentError(f"TensorSliceDataset: all components must have the same first dimension, received {sorted(sizes)}")
    size = sizes.pop()
    return DatasetValue(lambda: (tuple(np.asarray(c[i]) for c in components) for i in range(size)), size)


range_op = _scalar_variant(
    op(f"RangeDataset(start: int64, stop: int64, step: int64) -> (handle: variant) !stateful; {_META}; replicate_on_split: bool = false")
)


@range_op.kernel
def _(start: Any, stop: Any, step: Any, *, output_types: Any) -> Any:
    if int(step) == 0:
        raise InvalidArgumentError("RangeDataset: step cannot be zero")
    values = range(int(start), int(stop), int(step))
    dtype = output_types[0].numpy
    return DatasetValue(lambda: ((np.array(i, dtype),) for i in values), len(values))


# -- transformations -------------------------------------------------------------------------------------------------


def _mapper(attrs: dict[str, Any], name: str = "f") -> Callable[..., Any]:
    run = prepare(attrs[name].graph)
    return lambda others, item: tuple(run(*item, *others))


def _map(attrs: dict[str, Any]) -> Any:
    apply = _mapper(attrs)
    parallel = "num_parallel_calls" in attrs or attrs.get("_parallel")

    def kernel(dataset: Any, *others: Any) -> Any:
        captured = others[:-1] if parallel else others
        return DatasetValue(lambda: (apply(captured, item) for item in dataset), dataset.size)

    return kernel


for _line, _parallel in (
    (f"MapDataset(input_dataset: variant, other_arguments: Targuments) -> (handle: variant); f: func; Targuments: list(type) >= 0; {_TYPES}; "
     'use_inter_op_parallelism: bool = true; preserve_cardinality: bool = false; metadata: string = ""', False),
    (f"ParallelMapDataset(input_dataset: variant, other_arguments: Targuments, num_parallel_calls: int32) -> (handle: variant); f: func; Targuments: list(type) >= 0; {_TYPES}; "
     'use_inter_op_parallelism: bool = true; sloppy: bool = false; preserve_cardinality: bool = false; metadata: string = ""', True),
    (f"ParallelMapDatasetV2(input_dataset: variant, other_arguments: Targuments, num_parallel_calls: int64) -> (handle: variant); f: func; Targuments: list(type) >= 0; {_TYPES}; "
     'use_inter_op_parallelism: bool = true; deterministic: string = "default"; preserve_cardinality: bool = false; metadata: string = ""', True),
):  # fmt: skip
    _scalar_variant(op(_line)).prepare(lambda attrs, _p=_parallel: _map({**attrs, "_parallel": _p}))

filter_op = _scalar_variant(
    op(f"FilterDataset(input_dataset: variant, other_arguments: Targuments) -> (handle: variant); predicate: func; Targuments: list(type) >= 0; {_META}")
)


@filter_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    test = _mapper(attrs, "predicate")
    return lambda dataset, *others: DatasetValue(lambda: (item for item in dataset if bool(test(others, item)[0])))


flat_map_op = _scalar_variant(
    op(f"FlatMapDataset(input_dataset: variant, other_arguments: Targuments) -> (handle: variant); f: func; Targuments: list(type) >= 0; {_META}")
)


@flat_map_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    apply = _mapper(attrs)
    return lambda dataset, *others: DatasetValue(
        lambda: itertools.chain.from_iterable(apply(others, item)[0] for item in dataset)
    )


def _batches(dataset: Any, size: int, drop: bool) -> Iterator[tuple[Any, ...]]:
    items = iter(dataset)
    while True:
        batch = list(itertools.islice(items, size))
        if not batch or (drop and len(batch) < size):
            return
        yield _stack(batch)


def _batch_size(dataset: Any, size: int, drop: bool) -> int:
    return dataset.size if dataset.size < 0 else dataset.size // size if drop else -(-dataset.size // size)


_scalar_variant(op(f"BatchDataset(input_dataset: variant, batch_size: int64) -> (handle: variant); {_META}")).kernel(
    lambda dataset, size: DatasetValue(lambda: _batches(dataset, int(size), False), _batch_size(dataset, int(size), False))
)
_scalar_variant(
    op(f"BatchDatasetV2(input_dataset: variant, batch_size: int64, drop_remainder: bool) -> (handle: variant); parallel_copy: bool = false; {_META}")
).kernel(
    lambda dataset, size, drop: DatasetValue(
        lambda: _batches(dataset, int(size), bool(drop)), _batch_size(dataset, int(size), bool(drop))
    )
)


def _repeated(dataset: Any, count: int) -> Iterator[tuple[Any, ...]]:
    for _ in itertools.count() if count < 0 else range(count):
        empty = True
        for item in dataset:
            empty = False
            yield item
        if empty:
            return


_scalar_variant(op(f"RepeatDataset(input_dataset: variant, count: int64) -> (handle: variant); {_META}")).kernel(
    lambda dataset, count: DatasetValue(
        lambda: _repeated(dataset, int(count)), -1 if int(count) < 0 else dataset.size if dataset.size < 0 else dataset.size * int(count)
    )
)
_scalar_variant(op(f"TakeDataset(input_dataset: variant, count: int64) -> (handle: variant); {_META}")).kernel(
    lambda dataset, count: DatasetValue(
        lambda: itertools.islice(iter(dataset), None if int(count) < 0 else int(count)),
        dataset.size if int(count) < 0 else int(count) if dataset.size == -1 else min(dataset.size, int(count)),
    )
)
_scalar_variant(op(f"SkipDataset(input_dataset: variant, count: int64) -> (handle: variant); {_META}")).kernel(
    lambda dataset, count: DatasetValue(
        lambda: iter(()) if int(count) < 0 else itertools.islice(iter(dataset), int(count), None),
        0 if int(count) < 0 else dataset.size if dataset.size < 0 else max(dataset.size - int(count), 0),
    )
)
_scalar_variant(op(f"ConcatenateDataset(input_dataset: variant, another_dataset: variant) -> (handle: variant); {_META}")).kernel(
    lambda a, b: DatasetValue(lambda: itertools.chain(a, b), -1 if -1 in (a.size, b.size) else -2 if -2 in (a.size, b.size) else a.size + b.size)
)
_scalar_variant(
    op(f'ZipDataset(input_datasets: N * variant) -> (handle: variant); {_TYPES}; N: int >= 1; metadata: string = ""')
).kernel(
    lambda *datasets: DatasetValue(
        lambda: (tuple(itertools.chain.from_iterable(parts)) for parts in zip(*datasets, strict=False)),
        min((d.size for d in datasets if d.size >= 0), default=-2) if all(d.size != -2 for d in datasets) else -2,
    )
)


def _same(dataset: Any, *others: Any) -> Any:
    """Hints for speed change nothing in what a dataset holds."""
    return dataset


for _line in (
    f'PrefetchDataset(input_dataset: variant, buffer_size: int64) -> (handle: variant); {_TYPES}; slack_period: int = 0; legacy_autotune: bool = true; buffer_size_min: int = 0; metadata: string = ""',
    f"ModelDataset(input_dataset: variant) -> (handle: variant); algorithm: int = 0; cpu_budget: int = 0; ram_budget: int = 0; {_TYPES}",
    f'OptionsDataset(input_dataset: variant) -> (handle: variant); serialized_options: string; {_META}',
    f"OptimizeDatasetV2(input_dataset: variant, optimizations_enabled: string, optimizations_disabled: string, optimizations_default: string) -> (handle: variant); {_TYPES}; optimization_configs: list(string) = []",
    f"FinalizeDataset(input_dataset: variant) -> (handle: variant); has_captured_ref: bool = false; {_TYPES}",
    "WrapDatasetVariant(input_handle: variant) -> (output_handle: variant)",
    "UnwrapDatasetVariant(input_handle: variant) -> (output_handle: variant)",
):
    _scalar_variant(op(_line)).kernel(_same)

reduce_op = _from_attr_shapes(
    op(
        "ReduceDataset(input_dataset: variant, initial_state: Tstate, other_arguments: Targuments) -> (components: output_types) !stateful; "
        f'f: func; Tstate: list(type) >= 1; Targuments: list(type) >= 0; {_TYPES}; use_inter_op_parallelism: bool = true; metadata: string = ""'
    )
)


@reduce_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    run, states = prepare(attrs["f"].graph), len(attrs["Tstate"])

    def kernel(dataset: Any, *rest: Any) -> Any:
        state, others = rest[:states], rest[states:]
        for item in dataset:
            state = run(*state, *item, *others)
        return list(state)

    return kernel


single_op = _from_attr_shapes(op(f"DatasetToSingleElement(dataset: variant) -> (components: output_types) !stateful; {_META}"))


@single_op.kernel
def _(dataset: Any) -> Any:
    items = list(itertools.islice(iter(dataset), 2))
    if len(items) != 1:
        raise InvalidArgumentError(f"Dataset had {'more than one' if items else 'no'} element: expected exactly one")
    return list(items[0])


cardinality_op = _scalar_variant(op('DatasetCardinality(input_dataset: variant) -> (cardinality: int64); cardinality_options: string = ""'))
cardinality_op.kernel(lambda dataset: np.array(dataset.size, np.int64))

# -- iterators -------------------------------------------------------------------------------------------------------

_scalar_variant(op(f"IteratorV2() -> (handle: resource) !stateful; shared_name: string; container: string; {_TYPES}")).kernel(
    lambda *, shared_name, container: current_manager().get_or_create("iterator", container.decode(), shared_name.decode(), IteratorValue)
)
for _name in ("AnonymousIterator", "AnonymousIteratorV3"):
    _scalar_variant(op(f"{_name}() -> (handle: resource) !stateful; {_TYPES}")).kernel(lambda: IteratorValue())
_scalar_variant(op(f"AnonymousIteratorV2() -> (handle: resource, deleter: variant) !stateful; {_TYPES}")).kernel(lambda: (IteratorValue(), None))


@op("MakeIterator(dataset: variant, iterator: resource) -> () !stateful").not_differentiable().kernel
def _(dataset: Any, iterator: Any) -> Any:
    iterator.start(dataset)
    return ()


op("DeleteIterator(handle: resource, deleter: variant) -> () !stateful").not_differentiable().kernel(lambda handle, deleter: ())

one_shot_op = _scalar_variant(
    op(f'OneShotIterator() -> (handle: resource) !stateful; dataset_factory: func; {_TYPES}; container: string = ""; shared_name: string = ""')
)


@one_shot_op.prepare
def _(attrs: dict[str, Any]) -> Any:
    factory, made = attrs["dataset_factory"], []

    def kernel() -> Any:
        if not made:
            iterator = IteratorValue()
            iterator.start(prepare(factory.graph)()[0])
            made.append(iterator)
        return made[0]

    return kernel


for _name in ("IteratorGetNext", "IteratorGetNextSync"):
    _from_attr_shapes(op(f"{_name}(iterator: resource) -> (components: output_types) !stateful; {_TYPES}")).kernel(
        lambda iterator: list(iterator.next())
    )


@_scalar_variant(op(f"IteratorGetNextAsOptional(iterator: resource) -> (optional: variant) !stateful; {_TYPES}")).kernel
def _(iterator: Any) -> Any:
    try:
        return OptionalValue(tuple(iterator.next()))
    except OutOfRangeError:
        return OptionalValue(None)


# -- optionals -------------------------------------------------------------------------------------------------------


class OptionalValue:
    """Some tensors, or nothing."""

    __slots__ = ("components",)

    def __init__(self, components: tuple[Any, ...] | None):
        self.components = components


from_value_op = op("OptionalFromValue(components: Toutput_types) -> (optional: variant); Toutput_types: list(type) >= 1")
from_value_op.infer(infer.scalar)
from_value_op.kernel(lambda *components: OptionalValue(components))


@from_value_op.gradient
def _(node: Any, grad: Any) -> Any:
    from tracer.dispatch import raw

    return raw.OptionalGetValue(
        grad, output_types=[t.dtype for t in node.inputs], output_shapes=[t.shape for t in node.inputs]
    )


none_op = _scalar_variant(op("OptionalNone() -> (optional: variant)"))
none_op.kernel(lambda: OptionalValue(None))
has_op = _scalar_variant(op("OptionalHasValue(optional: variant) -> (has_value: bool)"))
has_op.kernel(lambda optional: np.array(optional.components is not None))
get_op = op(f"OptionalGetValue(optional: variant) -> (components: output_types); {_TYPES}")
get_op.infer(lambda ctx: list(ctx.attr("output_shapes")))


@get_op.kernel
def _(optional: Any) -> Any:
    if optional.components is None:
        raise InvalidArgumentError("The given optional does not have a value.")
    return list(optional.components)


@get_op.gradient
def _(node: Any, *grads: Any) -> Any:
    from tracer.dispatch import raw

    return raw.OptionalFromValue(list(grads))
