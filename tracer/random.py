"""Random number streams: Philox4x32-10 in NumPy, the state of seeded ops, and the global seed. It refuses to know distributions and ops.

A stream is a 64-bit key and a 128-bit counter; block `i` of a stream is four 32-bit words that depend on (key, counter + i) alone.
Authority: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), laid out as TensorFlow 2.15 lays it out.

Seeds follow TensorFlow: an op has the pair (seed, seed2). Eager ops without a seed of their own draw seed2 from a Python generator that
`set_seed` restarts; ops of a traced function number themselves 0, 1, 2… in their graph. (0, 0) stands for entropy of the system.

What an engine must respect: a seeded op is prepared once per node and the prepared kernel is kept between calls, because it continues
its stream from call to call. Two call sites of a function are two nodes. `set_seed` restarts every prepared stream, also those inside
of functions that were traced before (which keep the seeds they were traced with).
"""

from __future__ import annotations

import os
import random as _python_random
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracer import dispatch

__all__ = ["DEFAULT_GRAPH_SEED", "SeededState", "Stream", "blocks", "get_seed", "global_seed", "set_seed", "stateless_stream"]

DEFAULT_GRAPH_SEED = 87654321
_MAX_INT32 = 2**31 - 1
_MASK64 = 2**64 - 1
_MASK128 = 2**128 - 1

_MULTIPLIER_A = np.uint64(0xD2511F53)
_MULTIPLIER_B = np.uint64(0xCD9E8D57)
_WEYL_A = 0x9E3779B9
_WEYL_B = 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_CHUNK = 1 << 15


@dataclass(frozen=True)
class Stream:
    """A position in a Philox stream: 64-bit key, 128-bit counter (of blocks of four words)."""

    key: int
    counter: int

    def skip(self, count: int) -> Stream:
        """The stream `count` blocks later."""
        return Stream(self.key, (self.counter + int(count)) & _MASK128)

    def blocks(self, count: int) -> np.ndarray:
        """The first `count` blocks: uint32, shape (count, 4)."""
        return blocks(self, np.arange(count, dtype=np.uint64))


def blocks(stream: Stream, offsets: np.ndarray) -> np.ndarray:
    """The blocks at `offsets` (uint64, any one-dimensional array) of `stream`: uint32, shape (len(offsets), 4)."""
    out = np.empty((len(offsets), 4), np.uint32)
    for start in range(0, len(offsets), _CHUNK):
        _philox(stream, offsets[start : start + _CHUNK], out[start : start + _CHUNK])
    return out


def _philox(stream: Stream, offsets: np.ndarray, out: np.ndarray) -> None:
    low = np.uint64(stream.counter & _MASK64)
    counter_low = offsets + low
    high = np.uint64(stream.counter >> 64)
    with np.errstate(over="ignore"):
        counter_high = high + (counter_low < low).astype(np.uint64)
    c0, c1 = counter_low & _LOW, counter_low >> _SHIFT
    c2, c3 = counter_high & _LOW, counter_high >> _SHIFT
    k0, k1 = stream.key & 0xFFFFFFFF, stream.key >> 32
    for _ in range(10):
        product_a = c0 * _MULTIPLIER_A
        product_b = c2 * _MULTIPLIER_B
        c0 = (product_b >> _SHIFT) ^ c1 ^ np.uint64(k0)
        c1 = product_b & _LOW
        c2 = (product_a >> _SHIFT) ^ c3 ^ np.uint64(k1)
        c3 = product_a & _LOW
        k0 = (k0 + _WEYL_A) & 0xFFFFFFFF
        k1 = (k1 + _WEYL_B) & 0xFFFFFFFF
    out[:, 0], out[:, 1], out[:, 2], out[:, 3] = c0, c1, c2, c3


def _words(low: Any, high: Any) -> int:
    return int(low) | int(high) << 32


def stateless_stream(seed0: int, seed1: int) -> Stream:
    """The stream of a stateless op with seed [seed0, seed1], whose words are first scrambled."""
    counter = (int(seed0) & _MASK64) | (int(seed1) & _MASK64) << 64
    mix = Stream(0x02461E293EC8F720, counter).blocks(1)[0]
    return Stream(_words(mix[0], mix[1]), _words(mix[2], mix[3]) << 64)


def entropy64() -> int:
    """64 bits from the operating system."""
    return int.from_bytes(os.urandom(8), "little")


# -- the global seed -------------------------------------------------------------------------------------------------


class _GlobalSeed:
    def __init__(self) -> None:
        self.seed: int | None = None
        self.python: _python_random.Random | None = None
        self.generation = 0
        self.op_counts: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


_global = _GlobalSeed()


def set_seed(seed: int | None) -> None:
    """Set the global seed, and restart every seeded stream. None: op seeds are random again."""
    value = None if seed is None else int(seed)
    _global.seed = value
    _global.python = _python_random.Random(value)
    _global.generation += 1


def global_seed() -> int | None:
    """The global seed, or None."""
    return _global.seed


def get_seed(op_seed: int | None) -> tuple[int, int]:
    """The pair (seed, seed2) for an op that was given `op_seed` (None: none); (0, 0) where nothing was seeded.

    Authority: TensorFlow 2.15 tf.compat.v1.get_seed.
    """
    graph = dispatch.current_graph()
    base = _global.seed if graph is None else graph.seed
    if base is None:
        if op_seed is None:
            return 0, 0
        pair = DEFAULT_GRAPH_SEED, int(op_seed) % _MAX_INT32
    else:
        if op_seed is None:
            if graph is None:
                assert _global.python is not None
                op_seed = _global.python.randint(0, _MAX_INT32)
            else:
                op_seed = _global.op_counts.get(graph, 0)
                _global.op_counts[graph] = op_seed + 1
        pair = int(base) % _MAX_INT32, int(op_seed) % _MAX_INT32
    return (0, _MAX_INT32) if pair == (0, 0) else pair


class SeededState:
    """The stream that one prepared kernel continues from call to call; thread-safe."""

    __slots__ = ("_generation", "_lock", "_seeds", "_stream")

    def __init__(self, seed: int, seed2: int):
        self._seeds = int(seed), int(seed2)
        self._lock = threading.Lock()
        self._start()

    def _start(self) -> None:
        seed, seed2 = self._seeds
        if seed == 0 and seed2 == 0:
            seed, seed2 = entropy64(), entropy64()
        self._generation = _global.generation
        self._stream = Stream(seed & _MASK64, (seed2 & _MASK64) << 64)

    def reserve(self, count: int) -> Stream:
        """The stream as it stands; the next call gets it `count` blocks later."""
        with self._lock:
            if self._generation != _global.generation:
                self._start()
            stream = self._stream
            self._stream = stream.skip(count)
            return stream
