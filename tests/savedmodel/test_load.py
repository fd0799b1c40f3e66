"""Modules that TensorFlow wrote are loaded and answer as TensorFlow does."""

from __future__ import annotations

import pytest

import savedmodel
from savedmodel import tf
from savedmodel.loader import load_partial
from tests.savedmodel.kinds import GOLDEN, KINDS, check


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_that_tensorflow_wrote_answers_as_in_tensorflow(kind, tmp_path):
    loaded = savedmodel.load(GOLDEN / "modules" / kind)
    check(tf, kind, loaded, KINDS[kind](tf, str(tmp_path)).calls)


def test_parts_of_a_model_are_loaded_by_their_paths():
    path = GOLDEN / "modules" / "graph_of_objects"
    parts = load_partial(path, ["root.dict", "root.a", "root.tuple", "root.list", "root.shared"])
    assert sorted(parts) == ["root.a", "root.dict", "root.list", "root.shared", "root.tuple"]
    assert float(parts["root.a"].v.numpy()) == 5.0 and parts["root.a"].v is parts["root.shared"]
    with pytest.raises(ValueError, match="does not include all required objects for loading"):
        load_partial(GOLDEN / "modules" / "convolution", ["root.serve"])
    with pytest.raises(ValueError, match=r"nothing at 'root\.none'"):
        load_partial(path, ["root.none"])
