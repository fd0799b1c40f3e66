"""Modules that TensorFlow wrote are loaded and answer as TensorFlow does."""

from __future__ import annotations

import pytest

import savedmodel
from savedmodel import tf
from tests.savedmodel.kinds import GOLDEN, KINDS, check


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_that_tensorflow_wrote_answers_as_in_tensorflow(kind, tmp_path):
    loaded = savedmodel.load(GOLDEN / "modules" / kind)
    check(tf, kind, loaded, KINDS[kind](tf, str(tmp_path)).calls)
