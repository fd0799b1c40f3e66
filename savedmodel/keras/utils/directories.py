"""Datasets of the files in a directory, labelled by their subdirectories: images, texts, sounds. Order and labels follow Keras 2.15."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from savedmodel.data import Dataset
from savedmodel.keras.layers.preprocessing.image_resizing import interpolation_method, smart_resize
from savedmodel.keras.progbar import print_msg
from tracer.public import tf
from tracer.specs import TensorSpec

__all__ = ["audio_dataset_from_directory", "image_dataset_from_directory", "text_dataset_from_directory"]

_CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}


def _check(labels: Any, label_mode: str | None, class_names: Any, split: float | None, subset: str | None, shuffle: bool, seed: Any) -> None:
    if labels not in ("inferred", None) if isinstance(labels, str) or labels is None else not isinstance(labels, (list, tuple)):
        raise ValueError(
            f'`labels` argument should be a list/tuple of integer labels, of the same size as the number of files in the target directory; '
            f'"inferred" takes them from the subdirectories, None gives no labels. Received: labels={labels}'
        )
    if isinstance(labels, (list, tuple)) and class_names:
        raise ValueError(
            f'You can only pass `class_names` if `labels="inferred"`. Received: labels={labels}, and class_names={class_names}'
        )
    if label_mode not in ("int", "categorical", "binary", None):
        raise ValueError(
            f'`label_mode` argument must be one of "int", "categorical", "binary", or None. Received: label_mode={label_mode}'
        )
    if split and not 0 < split < 1:
        raise ValueError(f"`validation_split` must be between 0 and 1, received: {split}")
    if bool(split) != bool(subset):
        raise ValueError("If `subset` is set, `validation_split` must be set, and inversely.")
    if subset not in ("training", "validation", "both", None):
        raise ValueError(f'`subset` must be either "training", "validation" or "both", received: {subset}')
    if split and shuffle and seed is None:
        raise ValueError(
            "If using `validation_split` and shuffling the data, you must provide a `seed` argument, to make sure that there is no overlap "
            "between the training and validation subset."
        )


def _files_below(directory: str, formats: tuple[str, ...], follow_links: bool) -> list[str]:
    found = []
    for root, _, names in sorted(os.walk(directory, followlinks=follow_links), key=lambda entry: entry[0]):
        found += [os.path.join(root, name) for name in sorted(names) if name.lower().endswith(formats)]
    return found


def _index(
    directory: Any, labels: Any, formats: tuple[str, ...], class_names: Any, shuffle: bool, seed: int, follow_links: bool
) -> tuple[list[str], Any, list[Any]]:  # fmt: skip
    """Paths of the files, their labels, and the names of the classes."""
    directory = os.fspath(directory)
    if isinstance(labels, str):
        folders = sorted(e for e in os.listdir(directory) if os.path.isdir(os.path.join(directory, e)) and not e.startswith("."))
        if class_names and set(class_names) != set(folders):
            raise ValueError(
                f"The `class_names` passed did not match the names of the subdirectories of the target directory. Expected: {folders}, but "
                f"received: {class_names}"
            )
        class_names = list(class_names or folders)
        paths: list[str] = []
        numbers: list[int] = []
        for folder in folders:
            found = _files_below(os.path.join(directory, folder), formats, follow_links)
            paths += found
            numbers += [class_names.index(folder)] * len(found)
        labels = np.array(numbers, "int32")
        print_msg(f"Found {len(paths)} files belonging to {len(class_names)} classes.")
    else:
        paths = _files_below(directory, formats, follow_links)
        class_names = [""]
        if labels is None:
            print_msg(f"Found {len(paths)} files.")
        else:
            if len(labels) != len(paths):
                raise ValueError(
                    f"Expected the lengths of `labels` to match the number of files in the target directory. len(labels) is {len(labels)} while "
                    f"we found {len(paths)} files in directory {directory}."
                )
            labels, class_names = list(labels), sorted(set(labels))
            print_msg(f"Found {len(paths)} files belonging to {len(class_names)} classes.")
    if shuffle:
        np.random.RandomState(seed).shuffle(paths)
        if labels is not None:
            np.random.RandomState(seed).shuffle(labels)
    return paths, labels, class_names


def _label_rows(labels: Any, mode: str, classes: int) -> np.ndarray:
    if mode == "binary":
        return np.asarray(labels, "float32")[:, None]
    if mode == "categorical":
        return np.eye(classes, dtype="float32")[np.asarray(labels)]
    return np.asarray(labels, "int32")


def _dataset(paths: list[str], labels: Any, mode: str | None, classes: int, load: Callable[[str], Any], spec: TensorSpec) -> Dataset:
    rows = None if mode is None else _label_rows(labels, mode, classes)

    def generate() -> Any:
        for i, path in enumerate(paths):
            value = load(path)
            yield value if rows is None else (value, rows[i])

    signature: Any = spec if rows is None else (spec, TensorSpec(rows.shape[1:], rows.dtype.name))
    return Dataset.from_generator(generate, output_signature=signature).apply(_known_size(len(paths)))


def _known_size(size: int) -> Callable[[Dataset], Dataset]:
    return lambda dataset: Dataset(dataset._make, dataset.element_spec, size)


def _from_directory(
    what: str, directory: Any, labels: Any, label_mode: str | None, class_names: Any, formats: tuple[str, ...], batch_size: int | None,
    shuffle: bool, seed: int | None, validation_split: float | None, subset: str | None, follow_links: bool,
    load: Callable[[str], Any], spec: TensorSpec, batch: Callable[[Dataset, int], Dataset] | None = None,
) -> Any:  # fmt: skip
    _check(labels, label_mode, class_names, validation_split, subset, shuffle, seed)
    if labels is None or label_mode is None:
        labels, label_mode = None, None
    seed = int(np.random.randint(1e6)) if seed is None else seed
    paths, labels, class_names = _index(directory, labels, formats, class_names, shuffle, seed, follow_links)
    if label_mode == "binary" and len(class_names) != 2:
        raise ValueError(f'When passing `label_mode="binary"`, there must be exactly 2 class_names. Received: class_names={class_names}')
    count = int(validation_split * len(paths)) if validation_split else 0
    parts = {"training": slice(None, len(paths) - count), "validation": slice(len(paths) - count, None), None: slice(None)}
    out = []
    for part in ("training", "validation") if subset == "both" else (subset,):
        chosen, of = paths[parts[part]], None if labels is None else labels[parts[part]]
        if part is not None:
            print_msg(f"Using {len(chosen)} files for {part}.")
        if not chosen:
            raise ValueError(f"No {what} files found in directory {directory}. Allowed formats: {formats}")
        dataset = _dataset(chosen, of, label_mode, len(class_names), load, spec)
        if shuffle and not (subset == "both" and part == "validation"):
            dataset = dataset.shuffle(batch_size * 8 if batch_size is not None else 1024, seed=seed)
        if batch_size is not None:
            dataset = dataset.batch(batch_size) if batch is None else batch(dataset, batch_size)
        dataset.class_names = class_names  # type: ignore[attr-defined]
        dataset.file_paths = chosen  # type: ignore[attr-defined]
        out.append(dataset)
    return out if subset == "both" else out[0]


def image_dataset_from_directory(
    directory: Any, labels: Any = "inferred", label_mode: str | None = "int", class_names: Any = None, color_mode: str = "rgb",
    batch_size: int | None = 32, image_size: tuple[int, int] = (256, 256), shuffle: bool = True, seed: int | None = None,
    validation_split: float | None = None, subset: str | None = None, interpolation: str = "bilinear", follow_links: bool = False,
    crop_to_aspect_ratio: bool = False, **kwargs: Any,
) -> Any:  # fmt: skip
    """Images of a directory, resized, as batches of (images, labels): float32 [batch, height, width, channels].

    Args:
        labels: "inferred" (a class for each subdirectory), a list of numbers for the files in order, or None.
        label_mode: "int", "categorical", "binary", or None for images alone.
        subset: "training", "validation", or "both" (a pair of datasets), with `validation_split`.

    Raises:
        ValueError: arguments that do not go together, or no images.
    """
    crop = kwargs.pop("smart_resize", crop_to_aspect_ratio)
    if kwargs:
        raise TypeError(f"Unknown keywords argument(s): {tuple(kwargs)}")
    if color_mode not in _CHANNELS:
        raise ValueError(f'`color_mode` must be one of {{"rgb", "rgba", "grayscale"}}. Received: color_mode={color_mode}')
    method, channels = interpolation_method(interpolation), _CHANNELS[color_mode]

    def load(path: str) -> Any:
        with open(path, "rb") as file:
            image = tf.image.decode_image(file.read(), channels=channels, expand_animations=False)
        if crop:
            return smart_resize(image, image_size, method)
        return tf.image.resize(image, list(image_size), method=method)

    spec = TensorSpec([*image_size, channels], "float32")
    formats = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
    return _from_directory(
        "image", directory, labels, label_mode, class_names, formats, batch_size, shuffle, seed, validation_split, subset, follow_links,
        load, spec,
    )  # fmt: skip


def text_dataset_from_directory(
    directory: Any, labels: Any = "inferred", label_mode: str | None = "int", class_names: Any = None, batch_size: int | None = 32,
    max_length: int | None = None, shuffle: bool = True, seed: int | None = None, validation_split: float | None = None,
    subset: str | None = None, follow_links: bool = False,
) -> Any:  # fmt: skip
    """Texts (.txt) of a directory as batches of (strings, labels); `max_length` cuts them. Arguments as for images."""

    def load(path: str) -> Any:
        with open(path, "rb") as file:
            return file.read() if max_length is None else file.read()[:max_length]

    return _from_directory(
        "text", directory, labels, label_mode, class_names, (".txt",), batch_size, shuffle, seed, validation_split, subset, follow_links,
        load, TensorSpec([], "string"),
    )  # fmt: skip


def audio_dataset_from_directory(
    directory: Any, labels: Any = "inferred", label_mode: str | None = "int", class_names: Any = None, batch_size: int | None = 32,
    sampling_rate: int | None = None, output_sequence_length: int | None = None, ragged: bool = False, shuffle: bool = True,
    seed: int | None = None, validation_split: float | None = None, subset: str | None = None, follow_links: bool = False,
) -> Any:  # fmt: skip
    """Sounds (.wav) of a directory as batches of (float32 [batch, samples, channels], labels). Arguments as for images.

    Raises:
        ValueError: both `ragged` and `output_sequence_length`. NotImplementedError: `sampling_rate`, because nothing here resamples.
    """
    if ragged and output_sequence_length is not None:
        raise ValueError("Cannot set both `ragged` and `output_sequence_length`")
    if sampling_rate is not None:
        raise NotImplementedError(
            f"audio_dataset_from_directory: sampling_rate={sampling_rate} asks for resampling, which is not available; convert the files first"
        )
    wanted = -1 if output_sequence_length is None else output_sequence_length

    def load(path: str) -> Any:
        with open(path, "rb") as file:
            return tf.audio.decode_wav(file.read(), desired_samples=wanted)[0]

    def batch(dataset: Dataset, size: int) -> Dataset:
        if ragged:
            return dataset.ragged_batch(size)
        return dataset.batch(size) if output_sequence_length is not None else dataset.padded_batch(size)

    return _from_directory(
        "audio", directory, labels, label_mode, class_names, (".wav",), batch_size, shuffle, seed, validation_split, subset, follow_links,
        load, TensorSpec([output_sequence_length, None], "float32"), batch,
    )  # fmt: skip
