"""The second process of the demo: it knows none of the model's classes. Loads, compares, trains on, saves again."""

from __future__ import annotations

import sys

import numpy as np

from savedmodel import keras
from savedmodel.demo.digits import load_digits

__all__ = ["revive"]


def revive(path: str, scores_file: str, epochs: int, verbose: int = 2) -> None:
    """Load the model at `path`, check its scores against `scores_file`, and train it further."""
    x, y = load_digits()
    model = keras.models.load_model(path)
    print(f"revived        {type(model).__module__}.{type(model).__name__}, layers: {', '.join(type(la).__name__ for la in model.layers)}")
    print(f"classes here   DigitReader defined in this process: {'savedmodel.demo.train' in sys.modules}")
    expected = np.load(scores_file)
    same = np.array_equal(np.asarray(model(x[1500:])), expected)
    print(f"outputs        {expected.shape[0]} images, equal to the bit: {same}")
    if not same:
        raise SystemExit("the revived model's outputs differ from the original's")
    steps = int(model.optimizer.iterations)
    moments = sum(int(np.any(np.asarray(v))) for v in model.optimizer.variables[1:] if v.shape.rank)
    print(f"optimizer      {type(model.optimizer).__name__} at step {steps}, {moments} moment variables restored")
    if steps == 0:
        raise SystemExit("the optimizer's state was not restored")
    before = model.evaluate(x[1500:], y[1500:], verbose=0, return_dict=True)
    model.fit(x[:1500], y[:1500], batch_size=32, epochs=epochs, verbose=verbose)
    after = model.evaluate(x[1500:], y[1500:], verbose=0, return_dict=True)
    print(f"trained on     test accuracy {before['accuracy']:.3f} → {after['accuracy']:.3f}, optimizer now at step {int(model.optimizer.iterations)}")
    model.save(path + "_again")
    again = keras.models.load_model(path + "_again")
    print(f"saved again    {np.array_equal(np.asarray(again(x[:5])), np.asarray(model(x[:5])))}")


if __name__ == "__main__":
    revive(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
