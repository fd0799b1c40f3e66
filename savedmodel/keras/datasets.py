"""keras.datasets: the classic data sets, read from the local Keras cache. It downloads nothing: the error says where a file belongs."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from savedmodel.errors import MissingFileError

__all__ = ["boston_housing", "cifar10", "cifar100", "fashion_mnist", "imdb", "mnist", "reuters"]


def _cache(name: str) -> Path:
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return Path(home) / "datasets" / name


def _find(path: str) -> Path:
    """The file of a data set: as given, or in the cache."""
    given = Path(path)
    if given.is_file():
        return given
    cached = _cache(path)
    if not cached.is_file():
        raise MissingFileError(
            f"{path}: not in the local cache; put the file that Keras names {path!r} at {cached} (or set KERAS_HOME to where it is): "
            f"data sets are not downloaded"
        )
    return cached


def _arrays(path: str, *names: str) -> list[np.ndarray]:
    with np.load(_find(path), allow_pickle=False) as data:
        return [data[n] for n in names]


def _mnist(path: str = "mnist.npz") -> Any:
    """((x_train, y_train), (x_test, y_test)): uint8 images [n, 28, 28] and labels [n]."""
    x, y, x_test, y_test = _arrays(path, "x_train", "y_train", "x_test", "y_test")
    return (x, y), (x_test, y_test)


def _idx(path: Path) -> np.ndarray:
    """An array in the IDX format of unsigned bytes, gzipped or not."""
    import gzip

    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rank = data[3]
    shape = np.frombuffer(data, ">i4", rank, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def _fashion_mnist() -> Any:
    """((x_train, y_train), (x_test, y_test)): uint8 images [n, 28, 28] and labels [n]."""
    parts = []
    for stem in ("train", "t10k"):
        images = _idx(_find(os.path.join("fashion-mnist", f"{stem}-images-idx3-ubyte.gz")))
        labels = _idx(_find(os.path.join("fashion-mnist", f"{stem}-labels-idx1-ubyte.gz")))
        parts.append((images, labels))
    return parts[0], parts[1]


def _boston_housing(path: str = "boston_housing.npz", test_split: float = 0.2, seed: int = 113) -> Any:
    """((x_train, y_train), (x_test, y_test)): float features [n, 13] and prices [n], shuffled by `seed`."""
    x, y = _arrays(path, "x", "y")
    order = np.random.RandomState(seed).permutation(len(x))
    x, y = x[order], y[order]
    split = int(len(x) * (1 - test_split))
    return (x[:split], y[:split]), (x[split:], y[split:])


def _refused(name: str, form: str) -> Any:
    def load_data(*args: Any, **kwargs: Any) -> Any:
        raise MissingFileError(
            f"keras.datasets.{name}.load_data: Keras publishes this set as {form}, and pickles are not read here because they run code; "
            f"convert it once to .npz and load it with numpy.load"
        )

    return load_data


mnist = SimpleNamespace(load_data=_mnist)
fashion_mnist = SimpleNamespace(load_data=_fashion_mnist)
boston_housing = SimpleNamespace(load_data=_boston_housing)
cifar10 = SimpleNamespace(load_data=_refused("cifar10", "pickled batches"))
cifar100 = SimpleNamespace(load_data=_refused("cifar100", "pickled batches"))
imdb = SimpleNamespace(load_data=_refused("imdb", "an archive of pickled lists"))
reuters = SimpleNamespace(load_data=_refused("reuters", "an archive of pickled lists"))
