"""Writes tests/golden/modules: each kind of module_kinds.py saved by TensorFlow, with what TensorFlow answers to its calls once it is loaded.

Run with TensorFlow 2.15: `python tests/golden/make_modules.py`. Written 2026-11-22 by TensorFlow 2.15.1.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import module_kinds  # noqa: E402 - beside this script

OUT = HERE / "modules"


def main(names: list[str]) -> None:
    for name in names or list(module_kinds.KINDS):
        with tempfile.TemporaryDirectory() as folder:
            built = module_kinds.KINDS[name](tf, folder)
            target = OUT / name
            shutil.rmtree(target, ignore_errors=True)
            tf.saved_model.save(built.module, str(target), signatures=built.signatures)
        for extra in ("assets",):
            if (target / extra).is_dir() and not any((target / extra).iterdir()):
                (target / extra).rmdir()
        found = module_kinds.answers(tf, tf.saved_model.load(str(target)), built.calls)
        arrays = {f"{i}{path}": as_storable(value) for i, answer in enumerate(found) for path, value in answer.items()}
        np.savez_compressed(target / "golden.npz", **arrays)
        print(f"{name}: {len(built.calls)} calls, {sum(f.stat().st_size for f in target.rglob('*') if f.is_file())} bytes")


def as_storable(value: np.ndarray) -> np.ndarray:
    """Object arrays of bytes as arrays of hexadecimal text: no pickles."""
    if value.dtype == object:
        return np.array([b"hex:" + v.hex().encode() for v in value.ravel()], "S").reshape(value.shape)
    return value


if __name__ == "__main__":
    main(sys.argv[1:])
