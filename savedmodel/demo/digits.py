"""The UCI handwritten digits: 1,797 images of 8×8 pixels with values 0 to 16. E. Alpaydin and C. Kaynak, CC BY 4.0, as scikit-learn ships them."""

from __future__ import annotations

from importlib import resources

import numpy as np

__all__ = ["load_digits"]


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images, float32 [1797, 64] in [0, 1], and labels, int64 [1797], in an order that mixes the writers."""
    order = np.random.default_rng(0).permutation(1797)
    with resources.files("savedmodel.demo").joinpath("digits.npz").open("rb") as file, np.load(file) as data:
        images = data["images"].reshape(-1, 64).astype(np.float32) / 16.0
        return images[order], data["labels"].astype(np.int64)[order]
