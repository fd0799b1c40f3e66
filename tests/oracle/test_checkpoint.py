"""Checkpoints of ours and TensorFlow's: equal files for equal objects, each reads the other's, the same assertions fail."""

from __future__ import annotations

import collections
import os
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from savedmodel import checkpoint, trackable
from savedmodel.checkpoint_management import CheckpointManager, CheckpointView, list_variables, load_checkpoint
from savedmodel.keras import optimizers
from savedmodel.keras.optimizers import legacy
from tracer.public import tf as our_tf

OURS = SimpleNamespace(
    tf=our_tf, Module=trackable.Module, Checkpoint=checkpoint.Checkpoint, PythonState=checkpoint.PythonState, Manager=CheckpointManager,
    optimizers=optimizers, legacy=legacy, load_checkpoint=load_checkpoint, list_variables=list_variables, View=CheckpointView,
)  # fmt: skip
THEIRS = SimpleNamespace(
    tf=tf, Module=tf.Module, Checkpoint=tf.train.Checkpoint, PythonState=tf.train.experimental.PythonState, Manager=tf.train.CheckpointManager,
    optimizers=tf.keras.optimizers, legacy=tf.keras.optimizers.legacy, load_checkpoint=tf.train.load_checkpoint,
    list_variables=tf.train.list_variables, View=tf.train.CheckpointView,
)  # fmt: skip
Pair = collections.namedtuple("Pair", "first second")


def nested(lib: Any) -> Any:
    m = lib.Module(name="m")
    m.b = lib.tf.Variable(np.arange(6.0, dtype=np.float32).reshape(2, 3), name="b")
    m.items = [lib.tf.Variable(1), 3, [lib.tf.Variable([True, False])], {"k.x/y": lib.tf.Variable("text"), "a": 4}]
    m.pair = Pair(lib.tf.Variable(1.5), lib.tf.Variable(2.5))
    m.tuple = (lib.tf.Variable(7.0), 5)
    m.child = lib.Module()
    m.child.up = m.b
    m.child.parent = m
    m.function = lib.tf.function(lambda x: x)
    m.plain = [1, 2]
    return lib.Checkpoint(model=m, step=lib.tf.Variable(3, dtype="int64"))


def rooted(lib: Any) -> Any:
    m = lib.Module()
    m.w = lib.tf.Variable(1.0)
    return lib.Checkpoint(m, extra=lib.tf.Variable(4.0), w=m.w)


def new_optimizer(lib: Any) -> Any:
    v, w = lib.tf.Variable([1.0, 2.0], name="v"), lib.tf.Variable([[3.0]], name="w")
    optimizer = lib.optimizers.Adam(0.01)
    optimizer.build([v, w])
    with lib.tf.GradientTape() as tape:
        loss = lib.tf.reduce_sum(v * v) + lib.tf.reduce_sum(w * w)
    optimizer.apply_gradients(zip(tape.gradient(loss, [v, w]), [v, w]))
    return lib.Checkpoint(optimizer=optimizer, v=v, w=w)


def old_optimizer(lib: Any) -> Any:
    v, w = lib.tf.Variable([1.0, 2.0], name="v"), lib.tf.Variable([[3.0]], name="w")
    optimizer = lib.legacy.Adam(0.01)
    with lib.tf.GradientTape() as tape:
        loss = lib.tf.reduce_sum(v * v) + lib.tf.reduce_sum(w * w)
    optimizer.apply_gradients(zip(tape.gradient(loss, [v, w]), [v, w]))
    return lib.Checkpoint(w=w, optimizer=optimizer, v=v)


def table(lib: Any) -> Any:
    found = lib.tf.lookup.experimental.MutableHashTable(lib.tf.string, lib.tf.int64, -1)
    found.insert(lib.tf.constant(["a"]), lib.tf.constant([1], lib.tf.int64))
    return lib.Checkpoint(table=found)


def python_state(lib: Any) -> Any:
    class State(lib.PythonState):
        value = "start"

        def serialize(self) -> str:
            return self.value

        def deserialize(self, string_value: Any) -> None:
            self.value = string_value.decode() if isinstance(string_value, bytes) else string_value

    return lib.Checkpoint(state=State())


BUILDERS = [nested, rooted, new_optimizer, old_optimizer, table, python_state]


@pytest.mark.parametrize("build", BUILDERS, ids=lambda b: b.__name__)
def test_the_same_objects_give_the_same_files(build: Any, tmp_path: Any) -> None:
    (tmp_path / "ours").mkdir()
    ours, theirs = build(OURS).save(tmp_path / "ours" / "c"), build(THEIRS).save(str(tmp_path / "theirs" / "c"))
    for name in ("checkpoint", "c-1.data-00000-of-00001", "c-1.index"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes(), name
    assert ours.endswith("c-1")
    assert [(k, list(s)) for k, s in THEIRS.list_variables(theirs)] == OURS.list_variables(theirs)
    mine, other = OURS.load_checkpoint(ours), THEIRS.load_checkpoint(ours)
    assert mine.get_variable_to_shape_map() == other.get_variable_to_shape_map()
    assert {k: d.name for k, d in mine.get_variable_to_dtype_map().items()} == {k: d.name for k, d in other.get_variable_to_dtype_map().items()}
    view, their_view = OURS.View(ours), THEIRS.View(ours)
    assert view.descendants() == their_view.descendants()


@pytest.mark.parametrize("build", BUILDERS, ids=lambda b: b.__name__)
@pytest.mark.parametrize(("writer", "reader"), [(OURS, THEIRS), (THEIRS, OURS), (OURS, OURS)], ids=["ours-theirs", "theirs-ours", "ours-ours"])
def test_each_library_restores_the_others_checkpoint(build: Any, writer: Any, reader: Any, tmp_path: Any) -> None:
    path = build(writer).save(str(tmp_path / "c"))
    target = build(reader)
    assert int(target.save_counter) == 0
    target.restore(path).assert_consumed()
    assert int(target.save_counter) == 1
    again = target.write(str(tmp_path / "again"))
    first, second = load_checkpoint(path), load_checkpoint(again)
    for key in first.get_variable_to_shape_map():
        if key != "_CHECKPOINTABLE_OBJECT_GRAPH":
            np.testing.assert_array_equal(first.get_tensor(key), second.get_tensor(key))


def _training_step(lib: Any, checkpoint_: Any) -> Any:
    v = checkpoint_.v
    with lib.tf.GradientTape() as tape:
        loss = lib.tf.reduce_sum(v * v * v)
    checkpoint_.optimizer.apply_gradients([(tape.gradient(loss, v), v)])
    return v.numpy()


@pytest.mark.parametrize("build", [new_optimizer, old_optimizer], ids=lambda b: b.__name__)
def test_training_goes_on_alike(build: Any, tmp_path: Any) -> None:
    theirs = build(THEIRS)
    path = theirs.save(str(tmp_path / "c"))
    ours = build(OURS)
    ours.v.assign([0.0, 0.0])
    ours.restore(path).assert_consumed()
    for _ in range(3):
        np.testing.assert_allclose(_training_step(OURS, ours), _training_step(THEIRS, theirs), rtol=1e-6)


def late(lib: Any, path: str) -> list[str]:
    """Which assertions fail while objects come into being; the values at the end."""
    out = []
    m = lib.Module()
    status = lib.Checkpoint(model=m).read(path)

    def check(what: str) -> None:
        for name in ("assert_consumed", "assert_existing_objects_matched", "assert_nontrivial_match"):
            try:
                getattr(status, name)()
                out.append(f"{what} {name}")
            except AssertionError as error:
                out.append(f"{what} {name} fails: {str(error).split(' ')[0]}")

    check("empty")
    m.items = []
    check("list")
    m.items.append(lib.tf.Variable(0))
    m.items.append(3)
    m.items.append([])
    m.items[2].append(lib.tf.Variable([False, False]))
    check("some")
    m.items.append({"k.x/y": lib.tf.Variable(""), "a": 4})
    m.b = lib.tf.Variable(np.zeros((2, 3), np.float32))
    m.pair = Pair(lib.tf.Variable(0.0), lib.tf.Variable(0.0))
    m.tuple = (lib.tf.Variable(0.0), 5)
    check("all")
    m.other = lib.tf.Variable(1.0)
    check("more")
    status.expect_partial()
    return [*out, m.items[0].numpy(), m.items[2][0].numpy().tolist(), m.b.numpy().tolist(), float(m.pair.second), float(m.tuple[0])]


def test_deferred_values_arrive_and_assertions_agree(tmp_path: Any) -> None:
    path = nested(THEIRS).write(str(tmp_path / "c"))
    assert late(OURS, path) == late(THEIRS, path)


def test_managers_delete_alike(tmp_path: Any) -> None:
    for name, lib in (("ours", OURS), ("theirs", THEIRS)):
        manager = lib.Manager(lib.Checkpoint(v=lib.tf.Variable(1.0)), str(tmp_path / name), max_to_keep=2, checkpoint_name="k")
        for _ in range(4):
            manager.save()
        manager.save(checkpoint_number=50)
    assert sorted(os.listdir(tmp_path / "ours")) == sorted(os.listdir(tmp_path / "theirs"))
    ours, theirs = (
        [line.partition(" ")[0] for line in (tmp_path / n / "checkpoint").read_text().splitlines()] for n in ("ours", "theirs")
    )
    assert ours == theirs
    other = OURS.Manager(OURS.Checkpoint(v=our_tf.Variable(0.0)), str(tmp_path / "theirs"), max_to_keep=1)
    assert [os.path.basename(p) for p in other.checkpoints] == ["k-4", "k-50"]
    assert other.restore_or_initialize().endswith("k-50")
    assert int(other.checkpoint.save_counter) == 5


def test_a_name_based_checkpoint_of_tensorflow_1_restores_by_names(tmp_path: Any) -> None:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable("v", initializer=[1.0, 2.0])
        session.run(variable.initializer)
        path = tf.compat.v1.train.Saver([variable]).save(session, str(tmp_path / "one"))
    m = trackable.Module()
    m.v = our_tf.Variable([0.0, 0.0], name="v")
    status = checkpoint.Checkpoint(m).restore(path)
    status.assert_consumed()
    np.testing.assert_array_equal(m.v.numpy(), [1.0, 2.0])
    m.w = our_tf.Variable(0.0, name="w")
    with pytest.raises(AssertionError, match="not restored"):
        status.assert_consumed()


def test_a_saved_model_gives_its_variables(tmp_path: Any) -> None:
    m = tf.Module()
    m.v = tf.Variable([1.0, 2.0])
    tf.saved_model.save(m, str(tmp_path / "model"))
    mine = trackable.Module()
    mine.v = our_tf.Variable([0.0, 0.0])
    checkpoint.Checkpoint(mine).restore(tmp_path / "model").assert_existing_objects_matched()
    np.testing.assert_array_equal(mine.v.numpy(), [1.0, 2.0])
    mine.v.assign([0.0, 0.0])
    checkpoint.Checkpoint(mine).read(tmp_path / "model" / "variables" / "variables").expect_partial()
    np.testing.assert_array_equal(mine.v.numpy(), [1.0, 2.0])
