"""What this library writes, TensorFlow reads: values, gradients, argument lists, sessions, saves of its own, fingerprints."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import savedmodel
from savedmodel import tf as ours
from tests.savedmodel.kinds import GOLDEN, KINDS, check


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Every kind of module, built and saved by this library: kind → (directory, calls)."""
    out = {}
    for kind, build in KINDS.items():
        folder = tmp_path_factory.mktemp(kind)
        built = build(ours, str(folder / "files"))
        savedmodel.save(built.module, folder / "model", built.signatures)
        out[kind] = (str(folder / "model"), build(tf, str(folder / "files")).calls)
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_tensorflow_loads_what_was_saved_and_answers_the_same(kind, written):
    path, calls = written[kind]
    check(tf, kind, tf.saved_model.load(path), calls)


@pytest.mark.parametrize("kind", KINDS)
def test_what_tensorflow_saves_again_answers_the_same_here(kind, written, tmp_path):
    path, _ = written[kind]
    again = str(tmp_path / "again")
    loaded = tf.saved_model.load(path)
    tf.saved_model.save(loaded, again, loaded.signatures)
    check(ours, kind, savedmodel.load(again), KINDS[kind](ours, str(tmp_path)).calls)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_loaded_from_tensorflow_and_saved_again_answers_the_same_in_tensorflow(kind, tmp_path):
    again = str(tmp_path / "again")
    savedmodel.save(savedmodel.load(GOLDEN / "modules" / kind), again)
    check(tf, kind, tf.saved_model.load(again), KINDS[kind](tf, str(tmp_path / "files")).calls)


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_restores_initialises_and_answers_as_the_signatures_do(kind, written, tmp_path):
    path, calls = written[kind]
    wanted = savedmodel.load(path)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], path)
        for call in calls:
            if not call.path.startswith("signatures/") or call.raises is not None:
                continue
            signature = meta.signature_def[call.path.partition("/")[2]]
            values = dict(call.kwargs) or {next(iter(signature.inputs)): call.args[0]}
            feeds = {signature.inputs[name].name: np.asarray(value) for name, value in values.items()}
            found = session.run({k: v.name for k, v in signature.outputs.items()}, feeds)
            answer = wanted.signatures[call.path.partition("/")[2]](**{k: ours.constant(np.asarray(v)) for k, v in values.items()})
            assert sorted(found) == sorted(answer)
            for name, value in answer.items():
                value = value.numpy()
                if value.dtype == object:
                    assert found[name].tolist() == value.tolist()
                else:
                    np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
        # the saver: what a session writes is a checkpoint with the same tensors
        prefix = str(tmp_path / "checkpoint" / "variables")
        os.makedirs(os.path.dirname(prefix))
        session.run(meta.saver_def.save_tensor_name, {meta.saver_def.filename_tensor_name: prefix})
    saved, own = tf.train.load_checkpoint(prefix), tf.train.load_checkpoint(path + "/variables/variables")
    assert saved.get_variable_to_shape_map().keys() == own.get_variable_to_shape_map().keys()


@pytest.mark.parametrize("kind", KINDS)
def test_argument_lists_are_those_of_a_model_that_tensorflow_saved(kind, written):
    path, calls = written[kind]
    own, theirs = tf.saved_model.load(path), tf.saved_model.load(str(GOLDEN / "modules" / kind))
    from tests.savedmodel.kinds import module_kinds

    for name in sorted({c.path for c in calls if not c.path.endswith("=")}):
        a, b = (module_kinds.find(root, name or "__call__") for root in (own, theirs))
        assert str(a.structured_input_signature if hasattr(a, "structured_input_signature") else a.function_spec.fullargspec) == str(
            b.structured_input_signature if hasattr(b, "structured_input_signature") else b.function_spec.fullargspec
        ), name
        if hasattr(a, "structured_outputs"):
            assert str(a.structured_outputs) == str(b.structured_outputs), name
        if hasattr(a, "concrete_functions"):
            assert [str(c.structured_input_signature) for c in a.concrete_functions] == [str(c.structured_input_signature) for c in b.concrete_functions]
        assert inspect.ismethod(a) == inspect.ismethod(b)


@pytest.mark.parametrize("kind", KINDS)
def test_tensorflow_computes_the_fingerprint_that_is_stored(kind, written):
    from tensorflow.core.protobuf import fingerprint_pb2
    from tensorflow.python.saved_model.pywrap_saved_model import fingerprinting

    path, _ = written[kind]
    computed = fingerprint_pb2.FingerprintDef.FromString(fingerprinting.CreateFingerprintDef(path))
    stored = fingerprint_pb2.FingerprintDef.FromString((Path(path) / "fingerprint.pb").read_bytes())
    for field in ("saved_model_checksum", "graph_def_program_hash", "signature_def_hash", "saved_object_graph_hash", "checkpoint_hash"):
        assert getattr(stored, field) == getattr(computed, field), field
