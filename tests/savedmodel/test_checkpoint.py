"""Checkpoints without TensorFlow: deferred values, statuses, numbering, managers, and what is refused."""

from __future__ import annotations

import gc
import logging
import os
import time
from typing import Any

import numpy as np
import pytest

from savedmodel import tf
from savedmodel.checkpoint import Checkpoint, CheckpointOptions
from savedmodel.checkpoint_management import (
    CheckpointManager,
    CheckpointView,
    TrackableView,
    checkpoints_iterator,
    load_variable,
)
from savedmodel.trackable import Module


def module(**values: Any) -> Module:
    made = Module()
    for name, value in values.items():
        setattr(made, name, tf.Variable(value) if isinstance(value, (float, list)) else value)
    return made


def test_values_wait_for_objects_that_come_later(tmp_path: Any) -> None:
    path = Checkpoint(m=module(v=1.0, inner=module(w=[1.0, 2.0]))).write(tmp_path / "c")
    target = Module()
    status = Checkpoint(m=target).read(path)
    with pytest.raises(AssertionError, match=r"\(root\)\.m\.v"):
        status.assert_consumed()
    target.v = tf.Variable(0.0)
    target.inner = Module()
    target.inner.w = tf.Variable([0.0, 0.0])
    status.assert_consumed()
    np.testing.assert_array_equal(target.inner.w.numpy(), [1.0, 2.0])
    target.v.assign(5.0)
    target.again = target.v  # tracking once more changes nothing
    assert float(target.v) == 5.0


def test_of_two_restores_the_newer_counts(tmp_path: Any) -> None:
    first = Checkpoint(m=module(v=1.0, w=1.0)).write(tmp_path / "first")
    second = Checkpoint(m=module(v=2.0)).write(tmp_path / "second")
    target = Module()
    checkpoint = Checkpoint(m=target)
    checkpoint.read(first).expect_partial()
    checkpoint.read(second).expect_partial()
    target.v, target.w = tf.Variable(0.0), tf.Variable(0.0)
    assert (float(target.v), float(target.w)) == (2.0, 1.0)


def test_values_that_nothing_takes_are_told_when_the_status_goes(tmp_path: Any, caplog: Any) -> None:
    path = Checkpoint(v1=tf.Variable(1.0), v2=tf.Variable(2.0)).write(tmp_path / "c")
    with caplog.at_level(logging.WARNING, "savedmodel"):
        status = Checkpoint(v2=tf.Variable(0.0)).read(path)
        del status
        gc.collect()
        assert "(root).v1" in caplog.text and "expect_partial()" in caplog.text and "(root).v2" not in caplog.text
        caplog.clear()
        Checkpoint(v2=tf.Variable(0.0)).read(path).expect_partial()
        gc.collect()
        assert not caplog.text


def test_save_numbers_and_write_does_not(tmp_path: Any) -> None:
    checkpoint = Checkpoint(v=tf.Variable(1.0))
    seen: list[str] = []
    options = CheckpointOptions(experimental_write_callbacks=[seen.append])
    assert checkpoint.save(tmp_path / "c", options) == str(tmp_path / "c-1")
    assert checkpoint.save(str(tmp_path / "c")) == str(tmp_path / "c-2")
    assert checkpoint.write(tmp_path / "w") == str(tmp_path / "w")
    assert seen == [str(tmp_path / "c-1")]
    assert tf.train.latest_checkpoint(tmp_path) == str(tmp_path / "c-2")
    assert load_variable(tmp_path, "save_counter/.ATTRIBUTES/VARIABLE_VALUE") == 2


def test_what_cannot_be_restored_is_refused(tmp_path: Any) -> None:
    path = Checkpoint(v=tf.Variable([1.0, 2.0])).write(tmp_path / "c")
    with pytest.raises(ValueError, match="incompatible tensor with shape"):
        Checkpoint(v=tf.Variable(1.0)).read(path)
    with pytest.raises(ValueError, match="does not equal original dtype"):
        Checkpoint(v=tf.Variable([1, 2])).read(path)
    with pytest.raises(ValueError, match="trackable object"):
        Checkpoint(v=3)
    with pytest.raises(ValueError, match=r"root\.v already exists"):
        Checkpoint(module(v=1.0), v=tf.Variable(2.0))
    with pytest.raises(FileNotFoundError, match="missing the checkpoint suffix"):
        Checkpoint(v=tf.Variable(1.0)).restore(tmp_path / "nothing")
    with pytest.raises(AssertionError, match="Nothing except the root object matched"):
        Checkpoint(module(other=1.0)).read(path).expect_partial().assert_nontrivial_match()
    with pytest.raises(AssertionError, match="No checkpoint specified"):
        Checkpoint(v=tf.Variable(1.0)).restore(None).assert_consumed()
    os.mkdir(tmp_path / "taken.index")
    with pytest.raises(ValueError, match="collides with"):
        Checkpoint(v=tf.Variable(1.0)).write(tmp_path / "taken")


def test_changes_that_a_checkpoint_cannot_express_fail_at_save(tmp_path: Any) -> None:
    m = Module()
    m.items = [tf.Variable(1.0), tf.Variable(2.0)]
    m.items[0] = tf.Variable(3.0)
    with pytest.raises(ValueError, match="A list element was replaced"):
        Checkpoint(m).write(tmp_path / "c")
    other = Module()
    other.table = {1: tf.Variable(1.0)}
    with pytest.raises(ValueError, match="non-string key"):
        Checkpoint(other).write(tmp_path / "c")
    assert os.listdir(tmp_path) == []


def test_a_manager_keeps_what_it_is_told(tmp_path: Any, monkeypatch: Any) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    step = tf.Variable(0, dtype="int64")
    checkpoint = Checkpoint(v=tf.Variable(1.0), step=step)
    called: list[int] = []
    manager = CheckpointManager(
        checkpoint, tmp_path, 2, keep_checkpoint_every_n_hours=2.0, step_counter=step, checkpoint_interval=2, init_fn=lambda: called.append(1)
    )
    assert manager.restore_or_initialize() is None and called == [1]
    for _ in range(8):
        now[0] += 3600.0
        manager.save()
        step.assign_add(1)
    left = sorted(int(n.split("-")[1].split(".")[0]) for n in os.listdir(tmp_path) if n.endswith(".index"))
    assert [os.path.basename(p) for p in manager.checkpoints] == ["ckpt-3", "ckpt-4"]
    assert left == [2, 3, 4]  # the second is more than two hours younger than the start, the first was not
    now[0] -= 20 * 3600.0
    again = CheckpointManager(checkpoint, tmp_path, 2)
    assert again.latest_checkpoint == manager.latest_checkpoint
    with pytest.raises(ValueError, match="positive integer"):
        CheckpointManager(checkpoint, tmp_path, 0)
    with pytest.raises(ValueError, match="step_counter"):
        CheckpointManager(checkpoint, tmp_path, 1, checkpoint_interval=2)


def test_the_iterator_ends_when_nothing_comes(tmp_path: Any) -> None:
    path = Checkpoint(v=tf.Variable(1.0)).save(tmp_path / "c")
    assert list(checkpoints_iterator(tmp_path, timeout=0)) == [path]


def test_views_match_by_name(tmp_path: Any) -> None:
    path = Checkpoint(module(a=1.0, b=2.0)).write(tmp_path / "c")
    view = CheckpointView(path)
    other = module(a=0.0, c=0.0)
    matching, only_there, only_here = view.diff(other)
    assert {id(o) for o in matching.values()} == {id(other), id(other.a)}
    assert len(only_there) == 1 and only_here[0] is other.c
    assert len(TrackableView(other).descendants()) == 3


def test_restored_values_do_not_depend_on_the_file(tmp_path: Any) -> None:
    path = Checkpoint(v=tf.Variable(np.arange(1000.0))).write(tmp_path / "c")
    v = tf.Variable(np.zeros(1000))
    Checkpoint(v=v).read(path).assert_consumed()
    with open(path + ".data-00000-of-00001", "r+b") as file:
        file.truncate(0)
    np.testing.assert_array_equal(v.numpy(), np.arange(1000.0))
