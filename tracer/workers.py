"""A small shared thread pool for kernels, and scratch memory that each thread keeps. It refuses work that is too small to split.

NumPy releases the interpreter's lock inside its loops, so that blocks of one kernel run on all cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

__all__ = ["cores", "run_blocks", "scratch"]

_LOCAL = threading.local()
_LOCK = threading.Lock()
_POOL: ThreadPoolExecutor | None = None
_LARGEST_SCRATCH = 1 << 26


def _count() -> int:
    try:
        found = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every platform
        found = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(found, int(limit))) if limit.isdigit() and int(limit) > 0 else max(1, found)


cores: int = _count()
"""How many threads a kernel may use, the calling one included: what the process may run on, or OMP_NUM_THREADS."""


def _pool() -> ThreadPoolExecutor:
    global _POOL
    if _POOL is None:
        with _LOCK:
            if _POOL is None:
                _POOL = ThreadPoolExecutor(max(1, cores - 1), thread_name_prefix="kernel")
    return _POOL


def _forget_pool() -> None:
    """A forked child has none of its parent's threads."""
    global _POOL
    _POOL = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def run_blocks(work: Callable[[int], Any], count: int, parallel: bool = True) -> None:
    """Run work(0) … work(count - 1), over all cores where `parallel`; raises the first error.

    The calling thread takes part. A call from inside a block runs in that block's thread.
    """
    helpers = min(cores, count) - 1
    if not parallel or helpers < 1 or getattr(_LOCAL, "busy", False):
        for i in range(count):
            work(i)
        return
    step = iter(range(count))
    lock = threading.Lock()

    def drain() -> None:
        _LOCAL.busy = True
        try:
            with np.errstate(all="ignore"):  # a thread of the pool does not inherit the caller's
                while True:
                    with lock:
                        i = next(step, None)
                    if i is None:
                        return
                    work(i)
        finally:
            _LOCAL.busy = False

    pending = [_pool().submit(drain) for _ in range(helpers)]
    try:
        drain()
    finally:
        errors = [f.exception() for f in pending]
    for error in errors:
        if error is not None:
            raise error


def scratch(slot: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Uninitialised memory of the calling thread, reused by the next request for the same slot.

    A result never lives in it. Very large requests are not kept.
    """
    dtype = np.dtype(dtype)
    count = 1
    for n in shape:
        count *= n
    size = count * dtype.itemsize
    if size > _LARGEST_SCRATCH:
        return np.empty(shape, dtype)
    slots = _LOCAL.__dict__.setdefault("slots", {})
    memory = slots.get(slot)
    if memory is None or memory.nbytes < size:
        memory = slots[slot] = np.empty(max(size, 4096), np.uint8)
    return np.ndarray(shape, dtype, memory)
