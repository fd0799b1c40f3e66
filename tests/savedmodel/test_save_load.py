"""Objects are saved, loaded, and saved again: what they answer stays what TensorFlow answers. Behaviours of saving plain objects."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

import savedmodel
from savedmodel import tf
from tests.savedmodel.kinds import GOLDEN, KINDS, answers, check

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("cycles", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_saved_and_loaded_answers_as_in_tensorflow(kind, cycles, tmp_path):
    built = KINDS[kind](tf, str(tmp_path / "files"))
    obj, signatures = built.module, built.signatures
    for cycle in range(cycles):
        savedmodel.save(obj, tmp_path / str(cycle), signatures)
        obj, signatures = savedmodel.load(tmp_path / str(cycle)), None
    check(tf, kind, obj, built.calls)


# -- behaviours of saving plain objects ------------------------------------------------------------------------------


def module(**attributes):
    out = tf.Module()
    for name, value in attributes.items():
        setattr(out, name, value)
    return out


def cycle(obj, path, **kwargs):
    savedmodel.save(obj, path, **kwargs)
    return savedmodel.load(path)


def spec(*shape, dtype=None, name=None):
    return tf.TensorSpec(list(shape), dtype or tf.float32, name)


def test_identity_and_cycles_are_preserved(tmp_path):
    a, b = module(), module()
    a.b, b.a, a.me = b, a, a
    a.list = [b, b]
    loaded = cycle(a, tmp_path / "m")
    assert loaded.b.a is loaded and loaded.me is loaded
    assert loaded.list[0] is loaded.list[1] is loaded.b


def test_a_variable_keeps_what_describes_it(tmp_path):
    v = tf.Variable(
        [1, 2], name="first/second", dtype=tf.int16, trainable=False, shape=[None], synchronization=tf.VariableSynchronization.ON_WRITE,
        aggregation=tf.VariableAggregation.MEAN,
    )  # fmt: skip
    loaded = cycle(module(v=v), tmp_path / "m").v
    for attribute in ("name", "dtype", "trainable", "synchronization", "aggregation"):
        assert getattr(loaded, attribute) == getattr(v, attribute)
    assert loaded.shape.as_list() == [None]
    loaded.assign([1, 2, 3])


def test_the_most_specific_trace_is_taken(tmp_path):
    @tf.function
    def f(x):
        return tf.constant(0 if x.shape.rank is None else x.shape.num_elements() or 1)

    for shape in ([4], [None], None):
        f.get_concrete_function(tf.TensorSpec(shape, tf.float32))
    loaded = cycle(module(f=f), tmp_path / "m")
    assert [int(loaded.f(tf.zeros(s))) for s in ([4], [3], [2, 2])] == [4, 1, 0]


def test_arrays_are_cast_where_no_value_can_change(tmp_path):
    f = tf.function(lambda x: x)
    f.get_concrete_function(spec(None, dtype=tf.int64))
    loaded = cycle(module(f=f), tmp_path / "m")
    assert loaded.f(np.array([1, 2], np.int32)).dtype == tf.int64
    with pytest.raises(ValueError, match="Could not find matching concrete function to call"):
        loaded.f(np.array([1.5]))


def test_a_mismatch_tells_for_every_option_what_it_wanted_and_what_came(tmp_path):
    f = tf.function(lambda x, flag=True: x)
    f.get_concrete_function(spec(2))
    f.get_concrete_function(spec(3), False)
    loaded = cycle(module(f=f), tmp_path / "m")
    with pytest.raises(ValueError, match=r"(?s)Got:.*shape=\(4,\).*Option 1:.*does not fit: x wants .*Option 2:.*x wants") as error:
        loaded.f(tf.zeros(4))
    assert isinstance(error.value, savedmodel.errors.SavedModelError)


def test_an_untraced_function_is_named_when_saved_and_refused_when_called(tmp_path, caplog):
    f = tf.function(lambda x: x)
    loaded = cycle(module(f=f), tmp_path / "m")
    assert "Found untraced functions such as" in caplog.text and "while saving" in caplog.text
    with pytest.raises(ValueError, match="Found zero restored functions for caller function"):
        loaded.f(1.0)


def test_a_function_with_a_signature_is_traced_when_it_is_saved_and_may_make_variables(tmp_path):
    class Lazy(tf.Module):
        def __init__(self):
            super().__init__()
            self.v = None

        @tf.function(input_signature=[spec()])
        def __call__(self, x):
            if self.v is None:
                self.v = tf.Variable(3.0)
            return x * self.v

    loaded = cycle(Lazy(), tmp_path / "m")
    assert float(loaded(2.0)) == 6.0
    assert float(loaded.v.numpy()) == 3.0


def test_the_only_function_with_a_signature_becomes_serving_default(tmp_path):
    one = tf.function(lambda x: x, input_signature=[spec(name="x")])
    other = tf.function(lambda x: x)
    assert list(cycle(module(one=one, other=other), tmp_path / "1").signatures) == ["serving_default"]
    two = tf.function(lambda x: x, input_signature=[spec(name="y")])
    assert list(cycle(module(one=one, two=two), tmp_path / "2").signatures) == []
    nothing = tf.function(lambda: None, input_signature=[])
    assert list(cycle(module(one=one, nothing=nothing), tmp_path / "3").signatures) == ["serving_default"]


def test_signatures_take_names_only_give_dictionaries_and_cannot_be_changed(tmp_path):
    f = tf.function(lambda a, b: [a + b, a - b], input_signature=[spec(name="a"), spec(name="b")])
    loaded = cycle(module(f=f), tmp_path / "m", signatures=f)
    signature = loaded.signatures["serving_default"]
    assert sorted(signature(a=tf.constant(1.0), b=tf.constant(2.0))) == ["output_0", "output_1"]
    with pytest.raises(TypeError, match="positional"):
        signature(tf.constant(1.0), tf.constant(2.0))
    with pytest.raises(TypeError):
        loaded.signatures["other"] = signature
    assert cycle(loaded, tmp_path / "again").signatures["serving_default"](a=tf.constant(1.0), b=tf.constant(2.0))["output_1"].numpy() == -1.0


def test_a_default_of_a_signature_is_used_when_the_argument_is_left_out(tmp_path):
    four = tf.constant(4.0)
    f = tf.function(lambda x, scale=four: x * scale, input_signature=[spec(name="x"), spec(name="scale")])
    loaded = module(f=f)
    for i in range(3):
        loaded = cycle(loaded, tmp_path / str(i), signatures=f if i == 0 else None)
        signature = loaded.signatures["serving_default"]
        assert float(signature(x=tf.constant(2.0))["output_0"]) == 8.0
        assert float(signature(x=tf.constant(2.0), scale=tf.constant(1.0))["output_0"]) == 2.0


@pytest.mark.parametrize(
    ("signatures", "error", "words"),
    [
        (lambda: (lambda x: x), ValueError, "Expected a TensorFlow function"),
        (lambda: tf.function(lambda x: x), ValueError, "Only `tf.functions` with an input signature or concrete functions"),
        (lambda: tf.function(lambda x: {"a": {"b": x}}, input_signature=[spec()]), ValueError, "non-Tensor value"),
        (lambda: tf.function(lambda x: None, input_signature=[spec()]), ValueError, "non-Tensor value"),
        (lambda: {1: tf.function(lambda x: x, input_signature=[spec()])}, ValueError, "strings"),
        (lambda: tf.function(lambda v: v + 1.0).get_concrete_function(tf.Variable(1.0)), TypeError, "variable"),
        (
            lambda: tf.function(lambda x, y: x).get_concrete_function(spec(name="same"), spec(name="same")), ValueError,
            "non-unique argument names",
        ),
    ],
)  # fmt: skip
def test_what_is_no_signature_is_refused(signatures, error, words, tmp_path):
    with pytest.raises(error, match=words):
        savedmodel.save(tf.Module(), tmp_path / "m", signatures())
    assert not (tmp_path / "m").exists()


def test_an_attribute_called_signatures_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"del obj\.signatures"):
        savedmodel.save(module(signatures=[tf.Variable(1.0)]), tmp_path / "m")


def test_names_with_unsupported_characters_are_cleaned_with_a_message(tmp_path, caplog):
    f = tf.function(lambda x: x, input_signature=[spec(name="A-b")])
    loaded = cycle(module(f=f), tmp_path / "m", signatures=f)
    assert list(savedmodel.open(tmp_path / "m").signatures["serving_default"].inputs) == ["A-b"]
    assert list(loaded.signatures["serving_default"].structured_input_signature[1]) == ["A_b"]
    assert float(loaded.signatures["serving_default"](A_b=tf.constant(1.0))["output_0"]) == 1.0
    assert float(loaded.signatures["serving_default"](**{"A-b": tf.constant(1.0)})["output_0"]) == 1.0
    assert "unsupported characters" in caplog.text


def test_an_untracked_variable_or_table_is_named(tmp_path):
    hidden = tf.Variable(1.0, name="some_unique_name")
    f = tf.function(lambda: hidden + 1.0, input_signature=[])
    for error in (AssertionError, KeyError, ValueError):
        with pytest.raises(error, match=r"(?s)Trackable referencing this tensor.*some_unique_name.*not reachable from root"):
            savedmodel.save(module(f=f), tmp_path / "m")
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(["a"], [1]), -1)
    g = tf.function(lambda k: table.lookup(k), input_signature=[spec(dtype=tf.string)])
    with pytest.raises(AssertionError, match="HashTable"):
        savedmodel.save(module(g=g), tmp_path / "m")


def test_only_trackable_objects_are_saved(tmp_path):
    for obj in (tf.function(lambda: 1), 3, tf.Variable(1.0), "text", [1]):
        with pytest.raises(ValueError, match="Expected a Trackable object"):
            savedmodel.save(obj, tmp_path / "m")


def test_saving_inside_of_a_traced_function_is_refused(tmp_path):
    @tf.function(autograph=False)
    def f():
        savedmodel.save(tf.Module(), tmp_path / "m")

    with pytest.raises(savedmodel.errors.SavedModelError, match="not supported inside a traced"):
        f()


def test_options(tmp_path):
    from savedmodel.options import LoadOptions, SaveOptions

    f = tf.function(lambda x: x, input_signature=[spec()])
    m = module(f=f, v=tf.Variable(1.0))
    savedmodel.save(m, tmp_path / "alias", options=SaveOptions(function_aliases={"my": f}))
    info = savedmodel.open(tmp_path / "alias").meta_graphs[0].meta_info_def
    assert set(info.function_aliases.values()) == {"my"}
    with pytest.raises(TypeError, match="Unsupported type"):
        savedmodel.save(m, tmp_path / "x", options=SaveOptions(function_aliases={"my": 3}))
    with pytest.raises(ValueError, match="two aliases"):
        savedmodel.save(m, tmp_path / "x", options=SaveOptions(function_aliases={"my": f, "other": f}))
    with pytest.raises(ValueError, match="invalid VariablePolicy value"):
        SaveOptions(experimental_variable_policy="no")
    savedmodel.save(m, tmp_path / "skip", options=SaveOptions(experimental_skip_checkpoint=True))
    with pytest.raises(FileNotFoundError):
        savedmodel.load(tmp_path / "skip")
    loaded = savedmodel.load(tmp_path / "skip", options=LoadOptions(experimental_skip_checkpoint=True))
    assert loaded.v.shape == []


# -- files -----------------------------------------------------------------------------------------------------------


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_assets_are_found_after_the_directory_moved_and_are_written_once(tmp_path):
    built = KINDS["assets"](tf, str(tmp_path / "files"))
    savedmodel.save(built.module, tmp_path / "m")
    shutil.rmtree(tmp_path / "files")
    (tmp_path / "m").rename(tmp_path / "moved")
    assert sorted(p.name for p in (tmp_path / "moved" / "assets").iterdir()) == ["words.txt", "words.txt_1"]
    loaded = savedmodel.load(tmp_path / "moved")
    assert loaded.asset.asset_path.numpy().decode().startswith(str(tmp_path / "moved"))
    savedmodel.save(loaded, tmp_path / "moved")  # over itself: the assets are read from where they are written to
    assert savedmodel.load(tmp_path / "moved").look_up(["gamma"])["ids"].numpy().tolist() == [2]


def test_a_missing_asset_is_refused_when_the_model_is_saved(tmp_path):
    with pytest.raises(ValueError, match=r"tf\.function"):
        savedmodel.save(module(a=tf.saved_model.Asset(str(tmp_path / "none.txt"))), tmp_path / "m")


BUILD = """
import sys, savedmodel
from savedmodel import tf
from tests.savedmodel.kinds import KINDS
noise = int(sys.argv[2])
for k in range(noise):  # whatever was traced before must not show
    tf.function(lambda x: tf.cond(x > 0.0, lambda: x, lambda: -x))(tf.constant(1.0))
    tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, k)
for kind in KINDS:
    built = KINDS[kind](tf, sys.argv[1] + "/files")
    savedmodel.save(built.module, f"{sys.argv[1]}/{sys.argv[3]}/{kind}", built.signatures)
    savedmodel.save(savedmodel.load(f"{sys.argv[1]}/{sys.argv[3]}/{kind}"), f"{sys.argv[1]}/{sys.argv[3]}/{kind}_again")
"""


def test_two_saves_are_equal_to_the_byte_also_from_other_processes(tmp_path):
    for k, name in enumerate(("first", "second")):
        environment = {**os.environ, "PYTHONHASHSEED": str(k + 1), "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", BUILD, str(tmp_path), str(3 * k), name], check=True, env=environment, cwd=ROOT)
    first, second = content(tmp_path / "first"), content(tmp_path / "second")
    assert [name for name in first if first[name] != second.get(name)] == []
    assert len(first) == len(second)


def test_two_saves_of_one_object_are_equal_to_the_byte(tmp_path):
    for kind in KINDS:
        built = KINDS[kind](tf, str(tmp_path / "files"))
        savedmodel.save(built.module, tmp_path / "a", built.signatures)
        savedmodel.save(built.module, tmp_path / "b", built.signatures)
        a, b = content(tmp_path / "a"), content(tmp_path / "b")
        assert [name for name in a if a[name] != b.get(name)] == [], kind


def test_saving_over_a_model_replaces_it_and_keeps_what_the_user_put_beside_it(tmp_path):
    target = tmp_path / "m"
    savedmodel.save(module(v=tf.Variable(1.0), extra=tf.Variable(5.0)), target)
    (target / "notes.txt").write_text("mine")
    (target / "assets.extra").mkdir()
    (target / "assets.extra" / "warmup").write_bytes(b"1")
    (target / "keras_metadata.pb").write_bytes(b"old")
    loaded = savedmodel.load(target)
    savedmodel.save(module(v=tf.Variable(2.0)), target)
    assert (target / "notes.txt").read_text() == "mine" and (target / "assets.extra" / "warmup").read_bytes() == b"1"
    assert not (target / "keras_metadata.pb").exists()
    assert float(savedmodel.load(target).v.numpy()) == 2.0
    assert float(loaded.v.numpy()) == 1.0 and float(loaded.extra.numpy()) == 5.0  # what was loaded before keeps its values
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="received a file"):
            savedmodel.save(tf.Module(), path)
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_directory_that_may_not_be_written_is_an_oserror(tmp_path):
    (tmp_path / "locked").mkdir()
    (tmp_path / "locked").chmod(0o500)
    with pytest.raises(OSError, match="locked"):
        savedmodel.save(tf.Module(), tmp_path / "locked" / "m")


def test_an_error_while_writing_leaves_the_old_model_and_nothing_else(tmp_path, monkeypatch):
    savedmodel.save(module(v=tf.Variable(1.0)), tmp_path / "m")
    before = content(tmp_path)
    monkeypatch.setattr("savedmodel.checkpoint_writer.BundleWriter.add", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match="No space left"):
        savedmodel.save(module(v=tf.Variable(2.0)), tmp_path / "m")
    assert content(tmp_path) == before and [p.name for p in tmp_path.iterdir()] == ["m"]


SAVE_FOREVER = """
import sys, itertools, savedmodel
from savedmodel import tf
m = tf.Module()
m.v = tf.Variable(tf.zeros([20000]))
m.text = tf.Variable("x" * 100)
for i in itertools.count():
    m.v.assign(tf.fill([20000], float(i)))
    savedmodel.save(m, sys.argv[1])
    print(i, flush=True)
"""


def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_model(tmp_path):
    target = tmp_path / "m"
    for round_ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOREVER, str(target)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        for _ in range(2 + round_):
            process.stdout.readline()
        time.sleep(0.003 * round_)
        process.kill()
        process.wait()
        value = savedmodel.load(target).v.numpy()
        assert (value == value[0]).all()
        assert savedmodel.open(target).verify() == []
    time.sleep(1.1)
    savedmodel.save(module(v=tf.Variable(1.0)), target)
    assert [p.name for p in tmp_path.iterdir()] == ["m"]  # what the dead left behind is gone


def forms(path, tmp_path):
    archive = shutil.make_archive(str(tmp_path / "zipped"), "zip", path.parent, path.name)
    packed = shutil.make_archive(str(tmp_path / "packed"), "gztar", path)
    return {
        "str": str(path), "PathLike": path, "pb": path / "saved_model.pb", "file": path.as_uri(), "bytes": os.fsencode(path),
        "zip": archive, "zip bytes": Path(archive).read_bytes(), "tar.gz": Path(packed), "tar.gz bytes": Path(packed).read_bytes(),
    }  # fmt: skip


@pytest.mark.parametrize("form", ["str", "PathLike", "pb", "file", "bytes", "zip", "zip bytes", "tar.gz", "tar.gz bytes"])
def test_a_model_is_loaded_from_every_form_of_path(form, tmp_path):
    built = KINDS["assets"](tf, str(tmp_path / "files"))
    built.module.v = tf.Variable([1.0, 2.0])
    path = tmp_path / "Modell é 模型"
    savedmodel.save(built.module, path, built.signatures)
    given = forms(path, tmp_path)[form]
    if "zip" in form or "tar" in form:
        shutil.rmtree(path)
    loaded = savedmodel.load(given)
    check(tf, "assets", loaded, built.calls)
    assert loaded.v.numpy().tolist() == [1.0, 2.0]
    savedmodel.save(loaded, tmp_path / "again")
    assert savedmodel.load(tmp_path / "again").look_up(["beta"])["ids"].numpy().tolist() == [1]


# -- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tables", "custom_gradients", "control_flow", "assets", "variables"])
def test_a_loaded_model_that_is_dropped_leaves_nothing(kind, tmp_path):
    from tracer import gradients, resources

    calls = [c for c in KINDS[kind](tf, str(tmp_path)).calls if c.raises is None]

    def use():
        loaded = savedmodel.load(GOLDEN / "modules" / kind)
        answers(tf, loaded, calls)
        return weakref.ref(loaded._loader.library), weakref.ref(loaded._loader)

    use()
    gc.collect()
    before = len(resources.default_manager), len(gradients._CUSTOM)
    alive = [use() for _ in range(3)]
    gc.collect()
    assert all(ref() is None for refs in alive for ref in refs)
    assert (len(resources.default_manager), len(gradients._CUSTOM)) == before
