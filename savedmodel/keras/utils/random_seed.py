"""set_random_seed: one number that decides all random numbers of a program."""

from __future__ import annotations

import random

import numpy as np

from savedmodel.keras.random_generator import set_keras_seed
from tracer.random import set_seed

__all__ = ["set_random_seed"]


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy, the tensor ops and Keras' own generator.

    Raises:
        ValueError: `seed` is no integer.
    """
    if not isinstance(seed, int):
        raise ValueError(f"Expected `seed` argument to be an integer. Received: seed={seed} (of type {type(seed)})")
    random.seed(seed)
    np.random.seed(seed)
    set_seed(seed)
    set_keras_seed(seed)
