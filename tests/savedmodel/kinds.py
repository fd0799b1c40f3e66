"""Golden modules for tests: what TensorFlow answered, and how to compare with it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"


def _module_kinds() -> Any:
    name = "golden_module_kinds"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, GOLDEN / "module_kinds.py")
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


module_kinds = _module_kinds()
KINDS = module_kinds.KINDS
answers = module_kinds.answers


def expected(kind: str) -> dict[str, np.ndarray]:
    """What TensorFlow answered: `<call>/<path>` → array."""
    with np.load(GOLDEN / "modules" / kind / "golden.npz") as arrays:
        return {key: _restored(arrays[key]) for key in arrays.files}


def _restored(value: np.ndarray) -> np.ndarray:
    if value.dtype.kind != "S":
        return value
    out = np.empty(value.shape, object)
    for index, item in np.ndenumerate(value):
        out[index] = bytes.fromhex(item[4:].decode())
    return out


def check(tf: Any, kind: str, root: Any, calls: Any) -> None:
    """Ask `root` every call and compare with TensorFlow's answers."""
    wanted = expected(kind)
    found = {f"{i}{path}": value for i, answer in enumerate(answers(tf, root, calls)) for path, value in answer.items()}
    assert sorted(found) == sorted(wanted)
    for key, want in wanted.items():
        got = found[key]
        where = f"{kind}: call {key} ({calls[int(key.partition('/')[0])].path})"
        assert got.shape == want.shape, f"{where}: expected shape {want.shape}, received {got.shape}"
        if want.dtype.kind in "fc":
            assert got.dtype == want.dtype, f"{where}: expected dtype {want.dtype}, received {got.dtype}"
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6, err_msg=where)
        elif want.dtype.kind == "U":
            assert str(got) == str(want), where
        else:
            assert got.dtype == want.dtype, f"{where}: expected dtype {want.dtype}, received {got.dtype}"
            assert got.tolist() == want.tolist(), where
