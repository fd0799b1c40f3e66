"""Datasets cut into windows of a series, and into two parts. Files are `directories`' matter."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from savedmodel.data import Dataset
from tracer import nest

__all__ = ["split_dataset", "timeseries_dataset_from_array"]


def timeseries_dataset_from_array(
    data: Any, targets: Any, sequence_length: int, sequence_stride: int = 1, sampling_rate: int = 1, batch_size: int | None = 128,
    shuffle: bool = False, seed: int | None = None, start_index: int | None = None, end_index: int | None = None,
) -> Dataset:  # fmt: skip
    """Windows of `sequence_length` time steps, with the targets of their first steps, as batches.

    Args:
        data: array [time, ...]. targets: array of the same length, or None.
        sequence_stride: steps between windows. sampling_rate: steps between the elements of a window.

    Raises:
        ValueError: a length, stride, rate or index that cannot be.
    """
    length = len(data)
    for name, index in (("start_index", start_index), ("end_index", end_index)):
        if index and not (0 <= index < length if name == "start_index" else 0 < index <= length):
            raise ValueError(f"`{name}` must lie within the data, of length {length}. Received: {name}={index}")
    if start_index and end_index and end_index <= start_index:
        raise ValueError(f"`end_index` must be higher than `start_index`. Received: start_index={start_index}, end_index={end_index}")
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        if not 0 < value < length:
            raise ValueError(f"`{name}` must be higher than 0 and lower than the length of the data. Received: {name}={value}")
    start, end = start_index or 0, length if end_index is None else end_index
    count = end - start - sequence_length * sampling_rate + 1
    if targets is not None:
        count = min(count, len(targets))
    positions = np.arange(0, count, sequence_stride)
    if shuffle:
        seed = int(np.random.randint(1e6)) if seed is None else seed
        np.random.RandomState(seed).shuffle(positions)
    series = np.asarray(data)[start:end]
    steps = np.arange(sequence_length) * sampling_rate
    windows = series[positions[:, None] + steps] if len(positions) else series[:0][:, None]
    dataset = Dataset.from_tensor_slices(windows)
    if targets is not None:
        dataset = Dataset.zip((dataset, Dataset.from_tensor_slices(np.asarray(targets)[start:end][positions])))
    if batch_size is None:
        return dataset.shuffle(1024, seed=seed) if shuffle else dataset
    return (dataset.shuffle(batch_size * 8, seed=seed) if shuffle else dataset).batch(batch_size)


def split_dataset(
    dataset: Any, left_size: Any = None, right_size: Any = None, shuffle: bool = False, seed: int | None = None
) -> tuple[Dataset, Dataset]:
    """Two datasets with the first and the other samples of a Dataset, array, list or tuple of arrays.

    Args:
        left_size, right_size: numbers of samples, or shares between 0 and 1; the other size follows from one.

    Raises:
        ValueError: sizes that do not fit. TypeError: sizes or data of other types.
    """
    if isinstance(dataset, Dataset):
        samples = list(dataset)
    elif isinstance(dataset, (np.ndarray, list)):
        samples = list(dataset)
    elif isinstance(dataset, (tuple, dict)):
        flat = nest.flatten(dataset)
        samples = [nest.pack_sequence_as(dataset, [x[i] for x in flat]) for i in range(len(flat[0]))]
    else:
        raise TypeError(f"`dataset` must be either a Dataset or a list/tuple of arrays. Received: {type(dataset)}")
    total = len(samples)
    if not total:
        raise ValueError("Received an empty dataset; expected at least one sample.")
    left, right = _count(left_size, total, "left_size"), _count(right_size, total, "right_size")
    if left is None and right is None:
        raise ValueError("At least one of the `left_size` or `right_size` must be specified. Received: left_size=None and right_size=None")
    left = total - right if left is None else left  # type: ignore[operator]
    right = total - left if right is None else right
    if left + right > total or left <= 0 or right <= 0:
        raise ValueError(
            f"The parts do not fit into a dataset of {total} samples. Received: left_size={left_size}, right_size={right_size}; use sizes that "
            f"leave samples for both parts"
        )
    if shuffle:
        random.Random(random.randint(0, int(1e6)) if seed is None else seed).shuffle(samples)
    return _of_samples(samples[:left]), _of_samples(samples[len(samples) - right :])


def _count(size: Any, total: int, name: str) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, (int, float)):
        raise TypeError(f"Invalid `{name}`: expected an integer or a float, received {size} of type {type(size)}")
    if isinstance(size, float):
        if not 0 < size < 1:
            raise ValueError(f"`{name}` must be between 0 and 1 as a share. Received: {name}={size}")
        return round(size * total) if name == "left_size" else total - round((1 - size) * total)
    return size


def _of_samples(samples: list[Any]) -> Dataset:
    flats = [nest.flatten(s) for s in samples]
    columns = [np.stack([x.numpy() if hasattr(x, "numpy") else np.asarray(x) for x in column]) for column in zip(*flats, strict=True)]
    return Dataset.from_tensor_slices(nest.pack_sequence_as(samples[0], columns))
