"""Pixels as the classifiers expect them, and names for what they answer. It refuses to read or resize images."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from savedmodel.keras.applications.files import model_file
from tracer.public import tf

__all__ = ["decode_predictions", "prepare_caffe", "prepare_nothing", "prepare_tf", "prepare_torch", "preprocess_input"]

_CAFFE_MEAN = (103.939, 116.779, 123.68)
_TORCH_MEAN, _TORCH_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_classes: dict[str, Any] = {}


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Images with values in [0, 255] as a classifier expects them.

    Args:
        x: array or tensor, one image or a batch; a float array is changed in place.
        mode: "tf": in [-1, 1]; "torch": in [0, 1], then normalized; "caffe": BGR, centred.

    Raises:
        ValueError: an unknown mode or data format.
    """
    from savedmodel.keras import backend

    if mode not in ("caffe", "tf", "torch"):
        raise ValueError(f"Expected mode to be one of `caffe`, `tf` or `torch`. Received: mode={mode}")
    data_format = backend.image_data_format() if data_format is None else data_format
    if data_format not in ("channels_first", "channels_last"):
        raise ValueError(f"Expected data_format to be one of `channels_first` or `channels_last`. Received: data_format={data_format}")
    array = isinstance(x, np.ndarray)
    if array and not np.issubdtype(x.dtype, np.floating):
        x = x.astype(backend.floatx())
    if mode == "tf":
        x /= 127.5
        x -= 1.0
        return x
    rank = x.ndim if array else x.shape.rank
    axis = rank - 1 if data_format == "channels_last" else rank - 3
    along = [1] * rank
    along[axis] = 3
    if mode == "torch":
        x /= 255.0
        mean, std = np.array(_TORCH_MEAN), np.array(_TORCH_STD)
    else:
        x = x[tuple(slice(None, None, -1) if i == axis else slice(None) for i in range(rank))]
        mean, std = np.array(_CAFFE_MEAN), None
    if array:
        x -= mean.reshape(along).astype(x.dtype)
        if std is not None:
            x /= std.reshape(along).astype(x.dtype)
        return x
    x = x + tf.constant(-mean.reshape(along), dtype=x.dtype)
    return x if std is None else x / tf.constant(std.reshape(along), dtype=x.dtype)


def prepare_tf(x: Any, data_format: str | None = None) -> Any:
    """Images with values in [0, 255] brought to [-1, 1]; a float array is changed in place."""
    return preprocess_input(x, data_format, "tf")


def prepare_torch(x: Any, data_format: str | None = None) -> Any:
    """Images with values in [0, 255] brought to [0, 1] and normalized; a float array is changed in place."""
    return preprocess_input(x, data_format, "torch")


def prepare_caffe(x: Any, data_format: str | None = None) -> Any:
    """RGB images with values in [0, 255] as centred BGR; a float array is changed in place."""
    return preprocess_input(x, data_format, "caffe")


def prepare_nothing(x: Any, data_format: str | None = None) -> Any:
    """The images as they are: the model prepares them itself."""
    return x


def decode_predictions(preds: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """The `top` best of 1,000 ImageNet classes of each row: (class id, name, score).

    Raises:
        ValueError: `preds` is no matrix with 1,000 columns. OSError: the list of class names is not in the local cache.
    """
    scores = np.asarray(preds)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ValueError(
            f"`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape (samples, 1000)). Found array with shape: {scores.shape}"
        )
    if not _classes:
        with open(model_file("imagenet_class_index.json"), encoding="utf-8") as file:
            _classes.update(json.load(file))
    out = []
    for row in scores:
        best = row.argsort()[-top:][::-1]
        out.append(sorted(((*_classes[str(i)], row[i]) for i in best), key=lambda entry: entry[2], reverse=True))
    return out
