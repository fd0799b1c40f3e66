"""Data for training loops: arrays, lists, dicts, frames, generators, Sequences and datasets as batches, epoch by epoch.

Batches are nested tuples of eager tensors. Order, batch sizes and messages follow Keras 2.15; a shuffle draws the same permutations.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from savedmodel import data as datasets
from savedmodel.keras import backend
from tracer import nest
from tracer.composite import RaggedTensor, SparseTensor
from tracer.errors import InvalidArgumentError
from tracer.functions import Function
from tracer.public import tf
from tracer.specs import TensorSpec, type_spec_from_value
from tracer.tensor import EagerTensor, Tensor, convert_to_tensor
from tracer.variable import Variable

__all__ = [
    "DataHandler",
    "pack_x_y_sample_weight",
    "single_batch_iterator",
    "train_validation_split",
    "unpack_x_y_sample_weight",
]

_log = logging.getLogger("savedmodel")


# -- (x, y, sample_weight) -------------------------------------------------------------------------------------------


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """`x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` as three values, None for those that are missing.

    Raises:
        ValueError: more than three parts.
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3:
        raise InvalidArgumentError(
            f"Data is expected to be in format `x`, `(x,)`, `(x, y)`, or `(x, y, sample_weight)`, found: {data}"
        )
    return (*data, None, None)[:3]  # type: ignore[return-value]


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """The inverse of `unpack_x_y_sample_weight`."""
    if y is None:
        return (x,) if isinstance(x, tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def _list_to_tuple(structure: Any) -> Any:
    if isinstance(structure, dict):
        return {k: _list_to_tuple(v) for k, v in structure.items()}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*[_list_to_tuple(v) for v in structure])
    if isinstance(structure, (list, tuple)):
        return tuple(_list_to_tuple(v) for v in structure)
    return structure


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"


def _is_series(x: Any) -> bool:
    return _kind(x).startswith("pandas.") and type(x).__name__ == "Series"


def _is_frame(x: Any) -> bool:
    return _kind(x).startswith("pandas.") and type(x).__name__ == "DataFrame"


def _is_scipy_sparse(x: Any) -> bool:
    return type(x).__module__.startswith("scipy.sparse") and hasattr(x, "tocoo")


def _is_array(x: Any) -> bool:
    return isinstance(x, (np.ndarray, Tensor, Variable, RaggedTensor, SparseTensor)) or _is_frame(x) or _is_series(x) or _is_scipy_sparse(x)


def _is_array_like(x: Any) -> bool:
    """Not an array, but something that can be sliced along a length and has a dtype and shape (an HDF5 dataset)."""
    return all(hasattr(x, a) for a in ("__getitem__", "shape", "dtype", "__len__")) and not getattr(x, "_is_keras_tensor", False)


def _as_tensor(x: Any) -> Any:
    if _is_series(x):
        x = np.expand_dims(x.to_numpy(), axis=-1)
    elif _is_frame(x):
        x = x.to_numpy()
    if isinstance(x, np.ndarray):
        return convert_to_tensor(x, dtype=backend.floatx() if np.issubdtype(x.dtype, np.floating) else None)
    if _is_scipy_sparse(x):
        coo = x.tocoo()
        values = coo.data.astype(backend.floatx()) if np.issubdtype(coo.data.dtype, np.floating) else coo.data
        return SparseTensor(np.stack([coo.row, coo.col], axis=1).astype(np.int64), values, coo.shape)
    if isinstance(x, Variable):
        return x.read_value()
    return x


def _tensors(structure: Any) -> Any:
    return _list_to_tuple(nest.map_structure(_as_tensor, structure))


def _length(x: Any) -> int:
    return int(x.shape[0])


def _check_lengths(data: tuple[Any, ...]) -> int:
    """The common number of samples. Raises ValueError where they differ."""
    sizes = {_length(t) for t in nest.flatten(data) if t is not None}
    if len(sizes) > 1:
        text = "Data cardinality is ambiguous:\n"
        for label, part in zip(("x", "y", "sample_weight"), data, strict=False):
            text += f"  {label} sizes: {', '.join(str(t.shape[0]) for t in nest.flatten(part))}\n"
        raise InvalidArgumentError(text + "Make sure all arrays contain the same number of samples.")
    return sizes.pop() if sizes else 0


def train_validation_split(arrays: Any, validation_split: float) -> tuple[Any, Any]:
    """`arrays` cut in two: the last `validation_split` part of the samples is for validation.

    Raises:
        ValueError: something cannot be cut, or there are too few samples.
    """
    flat = nest.flatten(arrays)
    wrong = [type(t) for t in flat if t is not None and not (_is_array(t) or isinstance(t, np.ndarray))]
    if wrong:
        raise InvalidArgumentError(
            f"`validation_split` is only supported for Tensors or NumPy arrays, found following types in the input: {wrong}"
        )
    first = next((t for t in flat if t is not None), None)
    if first is None:
        return arrays, arrays
    total = _length(first)
    at = math.floor(total * (1.0 - validation_split))
    if at in (0, total):
        raise InvalidArgumentError(
            f"Training data contains {total} samples, which is not sufficient to split it into a validation and training set as specified by "
            f"`validation_split={validation_split}`. Either provide more data, or a different value for the `validation_split` argument."
        )

    def cut(start: int, end: int) -> Any:
        return nest.map_structure(lambda t: None if t is None else t[start:end], arrays)

    return cut(0, at), cut(at, total)


# -- adapters --------------------------------------------------------------------------------------------------------


class Batches:
    """An iterator over batches that knows their spec.

    Attributes:
        element_spec: structure of specs that every batch fits.
    """

    def __init__(self, batches: Iterator[Any], element_spec: Any):
        self._batches = batches
        self.element_spec = element_spec

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> Any:
        return next(self._batches)


class _Adapter:
    """One way to make batches. `epoch_batches()` starts (or, where it must not start anew, continues) the batches of an epoch."""

    restarts_each_epoch = True

    def batches(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define batches()")

    element_spec: Any = None

    def size(self) -> int | None:
        """Number of batches of an epoch, where it is known."""
        return None

    def on_epoch_end(self) -> None:
        """Called after each epoch."""


class ArrayAdapter(_Adapter):
    """Arrays of one length, cut into batches; shuffled anew each epoch where asked."""

    restarts_each_epoch = False

    def __init__(self, x: Any, y: Any, sample_weight: Any, batch_size: int | None, steps: int | None, epochs: int, shuffle: Any):
        x, y, sample_weight = _tensors((x, y, sample_weight))
        sample_weight = _fill_partial_weights(y, sample_weight)
        self._data = pack_x_y_sample_weight(x, y, sample_weight)
        whole = self._data if isinstance(self._data, tuple) else (self._data,)
        self._samples = _check_lengths(whole)
        if not batch_size:
            batch_size = math.ceil(self._samples / steps) if steps else 32
        self.batch_size = batch_size
        self._epochs = epochs
        self._shuffle = shuffle.lower() if isinstance(shuffle, str) else shuffle
        self.element_spec = nest.map_structure(_free_batch, self._data)

    def size(self) -> int:
        return math.ceil(self._samples / self.batch_size)

    def _permutation(self) -> Callable[[], np.ndarray] | None:
        """Draws the order of one epoch. The function is traced like Keras' pipeline, so that a global seed gives the same orders."""
        if not self._shuffle or self._shuffle == "batch":
            return None
        count = self._samples
        draw = Function(lambda: tf.random.shuffle(tf.range(count, dtype=tf.int64)), "permutation", autograph=False)
        return lambda: draw()._value

    def batches(self) -> Iterator[Any]:
        permutation = self._permutation()
        flat = nest.flatten(self._data)
        size, total = self.batch_size, self._samples
        for _ in range(max(self._epochs, 1)):
            order = permutation() if permutation is not None else None
            starts = list(range(0, total, size))
            if self._shuffle == "batch":
                np.random.shuffle(starts)
            for start in starts:
                if order is None:
                    parts = [_rows(t, start, min(start + size, total)) for t in flat]
                else:
                    chosen = order[start : start + size]
                    parts = [_take(t, chosen) for t in flat]
                if self._shuffle == "batch":
                    mixed = np.random.permutation(min(size, total - start))
                    parts = [_take(t, mixed) for t in parts]
                yield nest.pack_sequence_as(self._data, parts)


def _free_batch(t: Any) -> Any:
    from savedmodel.keras.engine.base_layer import with_shape

    spec = type_spec_from_value(t)
    if spec.shape.rank:
        spec = with_shape(spec, [None, *spec.shape.as_list()[1:]])
    return TensorSpec(spec.shape, spec.dtype) if isinstance(spec, TensorSpec) else spec


def _rows(t: Any, start: int, end: int) -> Any:
    if isinstance(t, EagerTensor):
        return EagerTensor(t._value[start:end], t.dtype)
    if isinstance(t, SparseTensor):
        return raw_sparse_rows(t, np.arange(start, end))
    return t[start:end]


def _take(t: Any, chosen: np.ndarray) -> Any:
    if isinstance(t, EagerTensor):
        return EagerTensor(np.take(t._value, chosen, axis=0), t.dtype)
    if isinstance(t, SparseTensor):
        return raw_sparse_rows(t, chosen)
    return tf.gather(t, chosen)


def raw_sparse_rows(t: Any, chosen: np.ndarray) -> Any:
    """Rows `chosen` of a sparse tensor, in that order."""
    indices, values = t.indices.numpy(), t.values.numpy()
    where = np.full(int(t.dense_shape.numpy()[0]), -1, np.int64)
    where[chosen] = np.arange(len(chosen))
    rows = where[indices[:, 0]]
    keep = rows >= 0
    kept = np.concatenate([rows[keep, None], indices[keep, 1:]], axis=1)
    order = np.lexsort(kept.T[::-1])
    shape = [len(chosen), *t.dense_shape.numpy()[1:]]
    return SparseTensor(kept[order], values[keep][order], np.array(shape, np.int64))


def _fill_partial_weights(y: Any, sample_weight: Any) -> Any:
    """Ones for the outputs that have no sample weights while others have."""
    flat = nest.flatten(sample_weight)
    if sample_weight is None or all(w is not None for w in flat) or all(w is None for w in flat):
        return None if sample_weight is None or all(w is None for w in flat) else sample_weight
    truths = nest.flatten(y)
    filled = [convert_to_tensor(np.ones(_length(t), backend.floatx())) if w is None else w for w, t in zip(flat, truths, strict=True)]
    return nest.pack_sequence_as(sample_weight, filled)


class SliceAdapter(ArrayAdapter):
    """Array-like objects that are read batch by batch (HDF5 datasets)."""

    def __init__(self, x: Any, y: Any, sample_weight: Any, batch_size: int | None, steps: int | None, epochs: int, shuffle: Any):
        if shuffle and shuffle != "batch":
            _log.warning("Keras is training/fitting/evaluating on array-like data. Keras may not be optimized for this format; it is shuffled batch by batch.")
        self._data = _list_to_tuple(pack_x_y_sample_weight(x, y, sample_weight))
        self._samples = _check_lengths(self._data if isinstance(self._data, tuple) else (self._data,))
        self.batch_size = batch_size or (math.ceil(self._samples / steps) if steps else 32)
        self._epochs = epochs
        self._shuffle = shuffle
        self.element_spec = nest.map_structure(lambda t: _free_batch(_as_tensor(np.asarray(t[0:1]))), self._data)

    def batches(self) -> Iterator[Any]:
        permutation = self._permutation()
        for _ in range(max(self._epochs, 1)):
            order = permutation() if permutation is not None else np.arange(self._samples)
            for start in range(0, self._samples, self.batch_size):
                chosen = order[start : start + self.batch_size]

                def read(t: Any, chosen: np.ndarray = chosen) -> Any:
                    if isinstance(t, Tensor):
                        return _take(t, chosen)
                    rank = np.argsort(chosen)
                    rows = np.asarray(t[chosen[rank].tolist()]) if not isinstance(t, np.ndarray) else t[chosen[rank]]
                    return _as_tensor(rows[np.argsort(rank)])

                yield nest.map_structure(read, self._data)


class DatasetAdapter(_Adapter):
    """A `tf.data.Dataset`."""

    def __init__(self, x: Any, y: Any, sample_weight: Any, steps: int | None):
        _refuse_targets(y, sample_weight, "dataset")
        self._dataset = x
        self._steps = steps
        self.element_spec = x.element_spec
        size = x._cardinality()
        if steps is None and size == datasets.INFINITE_CARDINALITY:
            raise InvalidArgumentError(
                "When providing an infinite dataset, you must specify the number of steps to run (if you did not intend to create an infinite "
                "dataset, make sure to not call `repeat()` on the dataset)."
            )
        self.restarts_each_epoch = steps is None or size == steps

    def size(self) -> int | None:
        size = self._dataset._cardinality()
        return size if size >= 0 else None

    def batches(self) -> Iterator[Any]:
        return iter(self._dataset)


class GeneratorAdapter(_Adapter):
    """A Python generator (or any iterator) of batches."""

    restarts_each_epoch = False

    def __init__(self, x: Any, y: Any, sample_weight: Any, model: Any):
        _refuse_targets(y, sample_weight, self._what)
        first, self._rest = self._peek(x)
        first = self._batch(first)
        if model is not None and not model.built:
            with contextlib.suppress(NotImplementedError):
                model(unpack_x_y_sample_weight(first)[0], training=False)
        self.element_spec = nest.map_structure(_ranks_only, first)

    _what = "python generator"

    def _peek(self, x: Any) -> tuple[Any, Any]:
        first = next(x)
        return first, itertools.chain([first], x)

    @staticmethod
    def _batch(data: Any) -> Any:
        return _tensors(pack_x_y_sample_weight(*unpack_x_y_sample_weight(data)))

    def _source(self) -> Iterator[Any]:
        return iter(self._rest)

    def batches(self) -> Iterator[Any]:
        wanted = nest.flatten(self.element_spec)
        for data in self._source():
            batch = self._batch(data)
            flat = nest.flatten(batch)
            if len(flat) != len(wanted):
                raise InvalidArgumentError(
                    f"{self._what}: expected batches of {len(wanted)} arrays as the first one had, received {len(flat)}"
                )
            parts = [_fit(t, s) for t, s in zip(flat, wanted, strict=True)]
            yield nest.pack_sequence_as(self.element_spec, parts)


def _fit(t: Any, spec: Any) -> Any:
    if not isinstance(spec, TensorSpec):
        return t
    t = t if isinstance(t, Tensor) else convert_to_tensor(t, dtype=spec.dtype)
    return tf.cast(t, spec.dtype) if t.dtype != spec.dtype else t


def _ranks_only(t: Any) -> Any:
    t = t if hasattr(t, "_type_spec") or isinstance(t, Tensor) else convert_to_tensor(t)
    spec = type_spec_from_value(t)
    if isinstance(spec, TensorSpec):
        return TensorSpec([None] * (spec.shape.rank or 0), spec.dtype)
    from savedmodel.keras.engine.base_layer import with_shape

    return with_shape(spec, [None] * (spec.shape.rank or 0))


class SequenceAdapter(GeneratorAdapter):
    """A `keras.utils.Sequence`."""

    restarts_each_epoch = True
    _what = "`keras.utils.Sequence`"

    def __init__(self, x: Any, y: Any, sample_weight: Any, model: Any, shuffle: Any, workers: int, queue: int):
        self._sequence = x
        self._shuffle = shuffle
        self._workers = workers
        self._queue = queue
        super().__init__(x, y, sample_weight, model)

    def _peek(self, x: Any) -> tuple[Any, Any]:
        return x[0], x

    def size(self) -> int:
        return len(self._sequence)

    def _source(self) -> Iterator[Any]:
        order = list(range(len(self._sequence)))
        if self._shuffle:
            random.shuffle(order)
        if self._workers <= 1:
            for i in order:
                yield self._sequence[i]
            return
        import collections
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self._workers) as pool:
            pending: collections.deque[Any] = collections.deque()
            for i in order:
                pending.append(pool.submit(self._sequence.__getitem__, i))
                if len(pending) >= max(self._queue, 1):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def on_epoch_end(self) -> None:
        self._sequence.on_epoch_end()


def _refuse_targets(y: Any, sample_weight: Any, what: str) -> None:
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None and not (isinstance(value, (list, tuple)) and not value):
            raise InvalidArgumentError(f"`{name}` argument is not supported when using {what} as input.")


def _is_list_of_scalars(x: Any) -> bool:
    if isinstance(x, (float, int, str, bytes, bytearray)):
        return True
    return isinstance(x, (list, tuple)) and bool(x) and _is_list_of_scalars(x[0])


def _is_sequence(x: Any) -> bool:
    """A `keras.utils.Sequence`: known by its marker or by its base class."""
    return getattr(x, "_is_keras_sequence", False) or any(c.__name__ == "Sequence" and hasattr(c, "on_epoch_end") for c in type(x).__mro__)


def _select(
    x: Any, y: Any, sample_weight: Any, batch_size: int | None, steps: int | None, epochs: int, shuffle: Any, model: Any, workers: int, queue: int
) -> _Adapter:
    if isinstance(x, datasets.Dataset):
        return DatasetAdapter(x, y, sample_weight, steps)
    if _is_sequence(x):
        return SequenceAdapter(x, y, sample_weight, model, shuffle, workers, queue)
    if hasattr(x, "__next__") and hasattr(x, "__iter__"):
        return GeneratorAdapter(x, y, sample_weight, model)
    flat = [t for t in (*nest.flatten(x), *nest.flatten(y)) if t is not None]
    if flat and all(_is_array(t) for t in flat):
        return ArrayAdapter(x, y, sample_weight, batch_size, steps, epochs, shuffle)
    if flat and all(_is_array(t) or _is_array_like(t) for t in flat):
        return SliceAdapter(x, y, sample_weight, batch_size, steps, epochs, shuffle)
    if _is_list_of_scalars(x) and (y is None or _is_list_of_scalars(y)):
        as_array = [None if v is None else np.asarray(v) for v in (x, y, sample_weight)]
        return ArrayAdapter(*as_array, batch_size, steps, epochs, shuffle)
    raise InvalidArgumentError(f"Failed to find data adapter that can handle input: {_described(x)}, {_described(y)}")


def _described(x: Any) -> str:
    if isinstance(x, (list, tuple)):
        kinds = sorted({_described(v) for v in x})
        return f"({type(x)} containing values of types {{{', '.join(repr(k) for k in kinds)}}})"
    if isinstance(x, dict):
        keys, values = ({_described(k) for k in x}, {_described(v) for v in x.values()})
        return f"({type(x)} containing {keys} keys and {values} values)"
    return str(type(x))


# -- class weights ---------------------------------------------------------------------------------------------------


def class_weight_map(class_weight: dict[int, float]) -> Callable[..., Any]:
    """A function on batches that gives each sample the weight of its class.

    Raises:
        ValueError: the classes are not 0, 1, 2…; the model has several outputs.
    """
    ids = sorted(class_weight)
    if ids != list(range(len(ids))):
        raise InvalidArgumentError(
            f"Expected `class_weight` to be a dict with keys from 0 to one less than the number of classes, found {class_weight}"
        )
    table = np.array([class_weight[i] for i in ids], np.float32)

    def weigh(data: Any) -> Any:
        x, y, weight = unpack_x_y_sample_weight(data)
        if nest.is_nested(y):
            raise InvalidArgumentError("`class_weight` is only supported for Models with a single output.")
        labels = y.numpy() if isinstance(y, Tensor) else np.asarray(y)
        if labels.ndim >= 2:
            classes = labels.argmax(-1) if labels.shape[-1] > 1 else np.rint(labels[..., 0]).astype(np.int64)
        else:
            classes = np.rint(labels).astype(np.int64)
        if classes.size and (classes.min() < 0 or classes.max() >= len(table)):
            raise InvalidArgumentError(f"class_weight: the labels hold classes {sorted(set(classes.ravel().tolist()))}, expected 0 to {len(table) - 1}")
        found = table[classes]
        if weight is not None:
            given = weight.numpy()
            found = found.astype(given.dtype)
            found = given.reshape(given.shape + (1,) * (found.ndim - given.ndim)) * found
        return x, y, convert_to_tensor(found)

    return weigh


# -- epochs ----------------------------------------------------------------------------------------------------------


class DataHandler:
    """The batches of all epochs of one `fit`, `evaluate` or `predict`.

    Attributes:
        inferred_steps: batches per epoch, or None while that is not known.
    """

    def __init__(
        self, x: Any, y: Any = None, sample_weight: Any = None, batch_size: int | None = None, steps_per_epoch: int | None = None,
        initial_epoch: int = 0, epochs: int = 1, shuffle: Any = False, class_weight: Any = None, max_queue_size: int = 10, workers: int = 1,
        use_multiprocessing: bool = False, model: Any = None, steps_per_execution: int = 1,
    ):  # fmt: skip
        if steps_per_epoch == 0:
            raise InvalidArgumentError(
                "Unexpected value for `steps_per_epoch`. Received value is 0. Please check the docstring for `model.fit()` for supported values."
            )
        self._initial_epoch = initial_epoch
        self._initial_step = 0
        self._epochs = epochs
        self._steps_per_epoch = steps_per_epoch
        self._per_execution = steps_per_execution
        self._insufficient_data = False
        self._current_step = 0
        self.step_increment = steps_per_execution - 1
        self.execution_steps = steps_per_execution
        self._adapter = _select(
            x, y, sample_weight, batch_size, steps_per_epoch, epochs - initial_epoch, shuffle, model, workers, max_queue_size
        )
        self._weigh = class_weight_map(class_weight) if class_weight else None
        self.element_spec = self._adapter.element_spec
        if self._weigh is not None:
            parts = unpack_x_y_sample_weight(self.element_spec)
            label = parts[1]
            rank = getattr(getattr(label, "shape", None), "rank", None)
            shape = None if rank is None else [None] * max(rank - 1 if rank >= 2 else rank, 1)
            self.element_spec = (*parts[:2], parts[2] if parts[2] is not None else TensorSpec(shape, "float32"))
        if steps_per_epoch == -1:
            _log.warning("The training loop will run indefinitely since you have set `steps_per_epoch=-1`. Please use batch-level callbacks to save checkpoints or log training progress, etc")
            self.inferred_steps = None
        else:
            self.inferred_steps = steps_per_epoch if steps_per_epoch is not None else self._adapter.size()
        if self.inferred_steps == 0:
            raise InvalidArgumentError("Expected input data to be non-empty.")
        if steps_per_execution > 1 and self.inferred_steps is None:
            raise InvalidArgumentError(
                "Could not infer the size of the data. With `steps_per_execution > 1`, you must specify the number of steps to run."
            )

    def _start(self) -> Batches:
        found = self._adapter.batches()
        return Batches(map(self._weigh, found) if self._weigh is not None else found, self.element_spec)

    def enumerate_epochs(self) -> Iterator[tuple[int, Batches]]:
        """(epoch, its batches) for each epoch."""
        batches: Batches | None = None
        for epoch in range(self._initial_epoch, self._epochs):
            if self._insufficient_data:
                break
            if batches is None or self._adapter.restarts_each_epoch:
                batches = self._start()
                if self._adapter.restarts_each_epoch and self._steps_per_epoch is None:
                    size = self._adapter.size()
                    if size is not None:
                        self.inferred_steps = size
            yield epoch, batches
            self._adapter.on_epoch_end()

    @contextlib.contextmanager
    def catch_stop_iteration(self) -> Iterator[None]:
        """Ends an epoch where the data end; warns where that was too early."""
        try:
            yield
        except StopIteration:
            if self.inferred_steps is None:
                self.inferred_steps = self._current_step
            else:
                self._insufficient_data = True
                wanted = (self._epochs - self._initial_epoch) * self.inferred_steps
                _log.warning(
                    "Your input ran out of data; interrupting training. Make sure that your dataset or generator can generate at least "
                    "`steps_per_epoch * epochs` batches (in this case, %s batches). You may need to use the repeat() function when building your "
                    "dataset.",
                    wanted,
                )

    def steps(self) -> Iterator[int]:
        """The number of the first step of each execution in the epoch; `execution_steps` says how many steps it has."""
        self._current_step = self._initial_step
        self._initial_step = 0
        while self.inferred_steps is None or self._current_step < self.inferred_steps:
            if self._insufficient_data:
                break
            left = self._per_execution if self.inferred_steps is None else self.inferred_steps - self._current_step
            self.execution_steps = min(self._per_execution, left)
            self.step_increment = self.execution_steps - 1
            yield self._current_step
            self._current_step += self.execution_steps


def single_batch_iterator(x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None) -> Batches:
    """One batch, for the `…_on_batch` methods."""
    x, y, sample_weight = _tensors((x, y, sample_weight))
    data = (x,) if y is None else (x, y) if sample_weight is None else (x, y, sample_weight)
    flat = nest.flatten(data)
    data = nest.pack_sequence_as(data, [t if isinstance(t, Tensor) or hasattr(t, "_type_spec") else convert_to_tensor(t) for t in flat])
    _check_lengths(data)
    if class_weight:
        data = class_weight_map(class_weight)(data)
    return Batches(iter([data]), nest.map_structure(_free_batch, data))


