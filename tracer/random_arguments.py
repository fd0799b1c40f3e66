"""Arguments that random functions of several families share: shapes, seeds, algorithm names. It refuses to draw numbers."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from tracer import dtypes
from tracer.dispatch import raw
from tracer.errors import DTypeError, InvalidArgumentError, ShapeError
from tracer.random import Stream, stateless_stream
from tracer.tensor import Tensor, convert_to_tensor

__all__ = ["Algorithm", "algorithm_number", "checked_samples", "dims_of", "key_counter_algorithm", "seed_stream", "shape_tensor", "size_of", "stream_of"]


class Algorithm(enum.Enum):
    """Algorithms of random number generators."""

    PHILOX = 1
    THREEFRY = 2
    AUTO_SELECT = 3


_NAMES = {"philox": 1, "threefry": 2, "autoselect": 3}


def unsupported(alg: Any) -> str:
    return (
        f"Argument `alg` got unsupported value {alg!r}. Supported values are 1 ('philox') for the Philox algorithm, "
        f"2 ('threefry') for the ThreeFry algorithm, and 3 ('auto_select') for auto-selection."
    )


def algorithm_number(alg: Any) -> Any:
    """`alg` (number, Algorithm, name, tensor, None) as a number; a tensor stays one.

    Raises:
        ValueError, TypeError: no such algorithm.
    """
    if alg is None:
        return Algorithm.AUTO_SELECT.value
    if isinstance(alg, (int, np.integer)):
        return int(alg)
    if isinstance(alg, Algorithm):
        return alg.value
    if isinstance(alg, Tensor):
        return alg
    if isinstance(alg, str):
        number = _NAMES.get(alg.strip().lower().replace("-", "").replace("_", ""))
        if number is None:
            raise InvalidArgumentError(unsupported(alg))
        return number
    raise DTypeError(f"Can't convert argument `alg` (of value {alg} and type {type(alg)}) to int.")


def shape_tensor(shape: Any, dtype: Any = None) -> Any:
    """A shape argument as an int32 or int64 vector; an empty list has `dtype` (int32 by default)."""
    if isinstance(shape, (list, tuple)) and not shape:
        return convert_to_tensor(np.zeros(0, (dtype or dtypes.int32).numpy))
    return convert_to_tensor(shape)


def dims_of(shape: np.ndarray) -> tuple[int, ...]:
    """The value of a shape argument.

    Raises:
        ShapeError: not a vector of sizes.
    """
    if shape.ndim > 1 or (shape.ndim == 0 and shape != -1 and shape < 0):
        raise ShapeError(f"shape must be a vector of {{int32,int64}}, got shape {list(shape.shape)}")
    dims = tuple(int(d) for d in np.ravel(shape))
    if any(d < 0 for d in dims):
        raise ShapeError(f"Dimensions must be >= 0, received shape {list(dims)}")
    return dims


def size_of(dims: tuple[int, ...]) -> int:
    """How many elements a tensor with `dims` has."""
    size = 1
    for d in dims:
        size *= d
    return size


def seed_stream(seed: np.ndarray) -> Stream:
    """The stream of a stateless op's `seed` argument."""
    if seed.shape != (2,):
        raise ShapeError(f"seed must have shape [2], not {list(seed.shape)}")
    return stateless_stream(int(seed[0]), int(seed[1]))


def stream_of(key: np.ndarray, counter: np.ndarray, alg: np.ndarray) -> Stream:
    """The stream that (key, counter, alg) inputs of a V2 op stand for."""
    check_algorithm(alg)
    if key.shape != (1,):
        raise ShapeError(f"key must have shape [1], not {list(key.shape)}. (Note that batched keys are not supported yet.)")
    if counter.ndim != 1 or len(counter) < 2:
        raise ShapeError(f"counter must be a vector with length at least 2; got shape: {list(counter.shape)}")
    return Stream(int(key[0]), int(counter[0]) | int(counter[1]) << 64)


def check_algorithm(alg: Any) -> None:
    """Refuse all but Philox, as TensorFlow's CPU kernels do."""
    if int(alg) not in (1, 3):
        raise InvalidArgumentError(f"Unsupported algorithm id: {int(alg)}; on this engine only Philox (1) generates numbers")


def key_counter_algorithm(seed: Any, alg: Any) -> tuple[Any, Any, Any]:
    """A stateless seed as the (key, counter, alg) inputs of a V2 op.

    Authority: TensorFlow 2.15 tf.random.stateless_uniform; ThreeFry takes the seed as it is, Philox scrambles it.
    """
    alg = algorithm_number(alg)
    seed = convert_to_tensor(seed)
    if alg == Algorithm.AUTO_SELECT.value:
        key, counter = raw.StatelessRandomGetKeyCounter(seed)
    elif alg == Algorithm.PHILOX.value:
        mix = raw.StatelessRandomUniformFullIntV2(
            [4], key=np.array([0x02461E293EC8F720], np.uint64), counter=raw.Cast(seed, DstT=dtypes.uint64), dtype=dtypes.uint32, alg=1
        )
        key = raw.Reshape(_join(mix[0], mix[1]), [1])
        counter = raw.Pack([np.uint64(0), _join(mix[2], mix[3])])
    elif alg == Algorithm.THREEFRY.value:
        words = raw.Cast(seed, DstT=dtypes.uint32)
        key = raw.Reshape(_join(words[0], words[1]), [1])
        counter = convert_to_tensor(np.zeros(1, np.uint64))
    else:
        raise InvalidArgumentError(unsupported(alg))
    return key, counter, alg


def _join(low: Any, high: Any) -> Any:
    high = raw.LeftShift(raw.Cast(high, DstT=dtypes.uint64), np.uint64(32))
    return raw.BitwiseOr(raw.Cast(low, DstT=dtypes.uint64), high)


def checked_samples(logits: np.ndarray, samples: np.ndarray) -> int:
    """The number of samples of a multinomial op.

    Raises:
        ShapeError, InvalidArgumentError: `logits` is no matrix with classes, or the number is negative.
    """
    if logits.ndim != 2:
        raise ShapeError(f"logits should be a matrix, got shape {list(logits.shape)}")
    if samples.ndim:
        raise ShapeError(f"num_samples should be a scalar, got shape {list(samples.shape)}")
    if samples < 0 or logits.shape[1] <= 0:
        raise InvalidArgumentError(f"num_samples should be non-negative and num_classes positive, got {samples} and {logits.shape[1]}")
    return int(samples)
