"""keras.utils.set_random_seed: one seed for Python, NumPy, the ops and Keras itself."""

from __future__ import annotations

import random

import numpy as np

from tracer import random as streams
from tracer.errors import InvalidArgumentError

__all__ = ["set_random_seed"]


def set_random_seed(seed: int) -> None:
    """Seed every generator, so that initial weights and shuffles repeat. Raises ValueError when `seed` is no integer."""
    from savedmodel.keras.random_generator import set_keras_seed

    if not isinstance(seed, int):
        raise InvalidArgumentError(f"Expected `seed` argument to be an integer. Received: seed={seed} (of type {type(seed)})")
    random.seed(seed)
    np.random.seed(seed)
    streams.set_seed(seed)
    set_keras_seed(seed)
