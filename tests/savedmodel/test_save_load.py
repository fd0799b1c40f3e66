"""Objects are saved, loaded, and saved again: what they answer stays what TensorFlow answers. Behaviours of saving plain objects."""

from __future__ import annotations

import pytest

import savedmodel
from savedmodel import tf
from tests.savedmodel.kinds import KINDS, check


@pytest.mark.parametrize("cycles", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_and_loaded_answers_as_in_tensorflow(kind, cycles, tmp_path):
    built = KINDS[kind](tf, str(tmp_path / "files"))
    obj, signatures = built.module, built.signatures
    for cycle in range(cycles):
        savedmodel.save(obj, tmp_path / str(cycle), signatures)
        obj, signatures = savedmodel.load(tmp_path / str(cycle)), None
    check(tf, kind, obj, built.calls)
