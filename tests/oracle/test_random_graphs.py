"""Random programs give the same values and gradients eagerly, traced, loaded from disk, and in TensorFlow, which loads the same files."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import savedmodel
from savedmodel import tf as ours
from tests.oracle.random_graphs import OPS, make, run

BATCHES, BATCH = 8, 25


def inputs_of(program, seed):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1.5, 1.5, shape).astype(np.float32) for shape in (*program.shapes, program.variable)]


def runner(program, variable):
    return lambda *inputs: run(ours, program, list(inputs), variable)


def value_and_gradients(tf_, function, inputs, variable):
    tensors = [tf_.constant(x) for x in inputs]
    with tf_.GradientTape() as tape:
        for t in tensors:
            tape.watch(t)
        results = function(*tensors)
        loss = tf_.add_n([tf_.reduce_sum(tf_.cos(r) * r) for r in results])
    gradients = tape.gradient(loss, [*tensors, variable])
    return [np.asarray(r) for r in results], [None if g is None else np.asarray(tf_.convert_to_tensor(g)) for g in gradients]


def assert_same(name, found, expected):
    for kind, a, b in zip(("result", "gradient"), found, expected, strict=True):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            where = f"{name}: {kind} {i}"
            assert (x is None) == (y is None), where
            if x is not None:
                assert x.shape == y.shape and x.dtype == y.dtype, where
                np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-4 * max(1.0, float(np.abs(y).max(initial=0.0))), err_msg=where)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_programs_agree_eagerly_traced_loaded_and_in_tensorflow(batch, tmp_path):
    seeds = range(batch * BATCH, (batch + 1) * BATCH)
    module, programs, eager = ours.Module(), {}, {}
    for seed in seeds:
        program = programs[seed] = make(seed)
        *inputs, start = inputs_of(program, seed)
        variable = ours.Variable(start, name=f"v{seed}")
        plain = runner(program, variable)
        eager[seed] = value_and_gradients(ours, plain, inputs, variable)
        traced = ours.function(plain, autograph=False, input_signature=[ours.TensorSpec(x.shape, ours.float32) for x in inputs])
        assert_same(f"program {seed}, traced: {program}", value_and_gradients(ours, traced, inputs, variable), eager[seed])
        setattr(module, f"f{seed}", traced)
        setattr(module, f"v{seed}", variable)
    savedmodel.save(module, tmp_path / "m")
    for tf_, where, loaded in ((ours, "loaded", savedmodel.load(tmp_path / "m")), (tf, "TensorFlow", tf.saved_model.load(str(tmp_path / "m")))):
        for seed in seeds:
            *inputs, _ = inputs_of(programs[seed], seed)
            found = value_and_gradients(tf_, getattr(loaded, f"f{seed}"), inputs, getattr(loaded, f"v{seed}"))
            assert_same(f"program {seed}, {where}: {programs[seed]}", found, eager[seed])


def test_the_programs_use_every_op():
    used = {name for seed in range(BATCHES * BATCH) for name, _, _ in make(seed).steps}
    assert used == set(OPS)
