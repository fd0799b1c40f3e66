"""Damaged files and wrong calls: each has an error of its own, which is also a builtin, and says what was expected, what came, what to do."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import savedmodel
from savedmodel import errors, tf
from savedmodel.format import protos
from tests.savedmodel.kinds import GOLDEN


@pytest.fixture
def model(tmp_path):
    """A copy of a model that TensorFlow wrote: a convolution with three variables."""
    shutil.copytree(GOLDEN / "modules" / "convolution", tmp_path / "m")
    return tmp_path / "m"


def shard(model):
    return model / "variables" / "variables.data-00000-of-00001"


def rewrite(model, change):
    """Change the parsed saved_model.pb."""
    message = protos.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    change(message.meta_graphs[0])
    (model / "saved_model.pb").write_bytes(message.SerializeToString())


def node(meta, op):
    for function in meta.graph_def.library.function:
        for n in function.node_def:
            if n.op == op:
                return n
    raise AssertionError(op)


def flip(path, at, bit=1):
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    path.write_bytes(bytes(data))


def truncate(path, keep):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def unlink(path):
    path.unlink()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"


def missing_op(meta):
    node(meta, "Conv2D").op = "Addons>NoSuchOp"
    node(meta, "Softmax").op = "AlsoNotThere"


# name → (what to do to the directory, error class, builtin, words of the message)
DAMAGE = {
    "no pb": (lambda m: unlink(m / "saved_model.pb"), errors.ModelNotFoundError, OSError, r"SavedModel file does not exist at: .*saved_model\.pbtxt\|saved_model\.pb"),
    "nothing there": (shutil.rmtree, errors.ModelNotFoundError, OSError, "SavedModel file does not exist at"),
    "git lfs pointer": (lambda m: (m / "saved_model.pb").write_bytes(LFS), errors.DataLossError, OSError, "Git LFS pointer.*git lfs pull"),
    "git lfs pointer for a shard": (lambda m: shard(m).write_bytes(LFS), errors.DataLossError, OSError, "(?i)git.lfs"),
    "git lfs pointer for the index": (lambda m: (m / "variables/variables.index").write_bytes(LFS), errors.DataLossError, OSError, "(?i)git.lfs"),
    "empty pb": (lambda m: truncate(m / "saved_model.pb", 0), errors.DataLossError, OSError, "empty"),
    "truncated pb": (lambda m: truncate(m / "saved_model.pb", 0.6), errors.DataLossError, OSError, r"saved_model\.pb"),
    "pb of noise": (lambda m: (m / "saved_model.pb").write_bytes(bytes(range(256)) * 8), errors.DataLossError, OSError, r"saved_model\.pb"),
    "truncated shard": (lambda m: truncate(shard(m), 0.5), errors.DataLossError, OSError, "(?s)variables.data-00000-of-00001.*truncated|bytes"),
    "flipped bit": (lambda m: flip(shard(m), 40), errors.DataLossError, OSError, "(?i)checksum"),
    "missing shard": (lambda m: unlink(shard(m)), errors.MissingFileError, FileNotFoundError, "variables.data-00000-of-00001"),
    "missing index": (lambda m: unlink(m / "variables/variables.index"), errors.MissingFileError, FileNotFoundError, "variables.index"),
    "no variables": (lambda m: shutil.rmtree(m / "variables"), errors.MissingFileError, FileNotFoundError, "variables.index"),
    "truncated index": (lambda m: truncate(m / "variables/variables.index", 0.5), errors.DataLossError, OSError, "variables.index"),
    "flipped bit in the index": (lambda m: flip(m / "variables/variables.index", 20), errors.DataLossError, OSError, "(?i)checksum|variables.index"),
    "unknown ops": (
        lambda m: rewrite(m, missing_op), errors.UnknownOpError, NotImplementedError, r"2 op\(s\).*Addons>NoSuchOp.*AlsoNotThere.*Register",
    ),
    "missing function": (
        lambda m: rewrite(m, lambda meta: meta.graph_def.library.function.pop()), errors.FormatError, ValueError, "function .*which the library|not in the library",
    ),
    "constant without value": (
        lambda m: rewrite(m, lambda meta: node(meta, "Const").attr.pop("value")), errors.FormatError, ValueError, "Const without its value",
    ),
    "attr of the wrong kind": (
        lambda m: rewrite(m, lambda meta: setattr(node(meta, "Conv2D").attr["strides"], "i", 3)), errors.FormatError, ValueError,
        "attr 'strides' expected kind 'list', received 'i'",
    ),
    "negative dimension": (
        lambda m: rewrite(m, lambda meta: node(meta, "Const").attr["value"].tensor.tensor_shape.dim.add(size=-5)), errors.FormatError, ValueError,
        "dimension of -5",
    ),
    "edge to no object": (
        lambda m: rewrite(m, lambda meta: setattr(meta.object_graph_def.nodes[0].children[0], "node_id", 999)), errors.FormatError, ValueError,
        "node 999 of",
    ),
    "object of no kind": (
        lambda m: rewrite(m, lambda meta: meta.object_graph_def.nodes[1].ClearField(meta.object_graph_def.nodes[1].WhichOneof("kind"))),
        errors.FormatError, ValueError, "no kind is set",
    ),
    "variable of another shape": (
        lambda m: rewrite(m, lambda meta: next(n for n in meta.object_graph_def.nodes if n.WhichOneof("kind") == "variable").variable.shape.dim.add(size=7)),
        errors.FormatError, ValueError, "incompatible tensor with shape",
    ),
    "capture of no object": (
        lambda m: rewrite(m, lambda meta: next(f for f in meta.object_graph_def.concrete_functions.values() if f.bound_inputs).bound_inputs.append(999)),
        errors.FormatError, ValueError, "captures node 999",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_model_has_an_error_of_its_own(damage, model):
    do, kind, builtin, words = DAMAGE[damage]
    do(model)
    with pytest.raises(kind, match=words) as caught:
        use(savedmodel.load(model))
    assert isinstance(caught.value, builtin) and isinstance(caught.value, errors.SavedModelError)
    assert len(str(caught.value)) > 40


def use(loaded):
    """What was read lazily is read now."""
    for name in ("kernel", "bias", "dense"):
        getattr(loaded, name).numpy()
    loaded.loss(np.zeros((1, 6, 6, 2), np.float32))


def test_wrong_tags_list_those_that_are_there(model):
    with pytest.raises(ValueError, match=r"(?s)tags.*\['train'\].*available tags.*'serve'.*savedmodel show"):
        savedmodel.load(model, tags=["train"])
    for tags in ("serve", ["serve"], {"serve"}, ("serve",)):
        savedmodel.load(model, tags=tags)


@pytest.mark.parametrize("path", ["", "nowhere", "\0", "https://example.invalid/model"])
def test_a_wrong_path_is_an_oserror(path):
    with pytest.raises(OSError, match=r"\w"):
        savedmodel.load(path)


@pytest.mark.parametrize("path", [3, None, object(), ["a"]])
def test_what_is_no_path_is_a_type_error_that_says_what_a_path_may_be(path):
    with pytest.raises(TypeError, match="path"):
        savedmodel.load(path)


def test_a_frozen_graph_and_a_file_of_another_kind_are_told_apart(tmp_path, model):
    frozen = tmp_path / "frozen.pb"
    frozen.write_bytes(b"\n\x05")
    with pytest.raises(OSError, match="frozen GraphDef"):
        savedmodel.load(frozen)
    other = tmp_path / "other.bin"
    other.write_bytes(b"x" * 5000)
    with pytest.raises(OSError, match="neither"):
        savedmodel.load(other)


def test_state_that_no_function_restores_and_tuples_that_hold_themselves_are_refused(tmp_path):
    shutil.copytree(GOLDEN / "modules" / "tables", tmp_path / "t")
    rewrite(tmp_path / "t", lambda meta: [setattr(s, "save_function", 0) for n in meta.object_graph_def.nodes for s in n.saveable_objects.values()])
    with pytest.raises(errors.FormatError, match="no function"):
        savedmodel.load(tmp_path / "t")
    shutil.copytree(GOLDEN / "modules" / "graph_of_objects", tmp_path / "g")

    def tie(meta):
        for i, n in enumerate(meta.object_graph_def.nodes):
            if n.user_object.identifier == "trackable_tuple_wrapper":
                n.children.add(node_id=i, local_name="5")

    rewrite(tmp_path / "g", tie)
    with pytest.raises(errors.FormatError, match="holds itself"):
        savedmodel.load(tmp_path / "g")


def test_tuples_may_be_nested_deeply(tmp_path):
    value = (tf.Variable(1.0),)
    for _ in range(60):
        value = (value,)
    m = tf.Module()
    m.deep = value
    savedmodel.save(m, tmp_path / "m")
    loaded = savedmodel.load(tmp_path / "m").deep
    for _ in range(61):
        (loaded,) = loaded
    assert float(loaded.numpy()) == 1.0


CALLS = {
    "wrong dtype": (lambda f: f(image=tf.zeros([1, 6, 6, 2], tf.int32)), TypeError, "'image' expected dtype float32, received int32.*tf.cast"),
    "wrong shape": (lambda f: f(image=tf.zeros([1, 5, 6, 2])), ValueError, r"'image' expected shape \(None, 6, 6, 2\), received \(1, 5, 6, 2\)"),
    "wrong rank": (lambda f: f(image=tf.zeros([2])), ValueError, r"'image' expected shape .* received \(2,\)"),
    "wrong name": (lambda f: f(picture=tf.zeros([1, 6, 6, 2])), TypeError, "missing required arguments: image|unexpected keyword"),
    "one name too many": (lambda f: f(image=tf.zeros([1, 6, 6, 2]), other=1), TypeError, "unexpected keyword arguments: other"),
    "nothing": (lambda f: f(), TypeError, "missing required arguments: image"),
    "no tensor": (lambda f: f(image="text"), TypeError, "'image' expected a tensor of dtype float32"),
    "two positional": (lambda f: f(tf.zeros([1, 6, 6, 2]), tf.zeros([1])), TypeError, "positional"),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_wrong_call_of_a_signature_tells_what_was_expected_and_what_came(call, model):
    do, kind, words = CALLS[call]
    with pytest.raises(kind, match=words) as caught:
        do(savedmodel.load(model).signatures["serving_default"])
    assert "image" in str(caught.value)


def test_a_signature_that_is_not_there_is_a_key_error_that_lists_them(model):
    with pytest.raises(KeyError, match=r"'other'.*\['serving_default'\]"):
        savedmodel.load(model).signatures["other"]
