"""Models of TensorFlow 1: loading, running and changing them, compared with what TensorFlow 2.15 returned (tests/golden/make_v1.py)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import savedmodel
from savedmodel import errors
from savedmodel.format import protos
from savedmodel.format.tensor_proto import tensor_to_proto
from savedmodel.graphdef import deserialize_graph, deserialize_library
from savedmodel.v1_graph import GraphState, prune
from tracer.exec import prepare
from tracer.public import tf

GOLDEN = Path(__file__).parent.parent / "golden" / "v1"


def _calls() -> dict[tuple[str, str], list[tuple[str, dict[str, Any], dict[str, Any]]]]:
    """(model, tags) → calls in order: signature, inputs, outputs."""
    found: dict[tuple[str, str], dict[int, tuple[str, dict[str, Any], dict[str, Any]]]] = {}
    with np.load(GOLDEN / "golden.npz") as arrays:
        for key in arrays.files:
            model, tags, number, rest = key.split("/", 3)
            signature, side, name = rest.rsplit("/", 2)
            call = found.setdefault((model, tags), {}).setdefault(int(number), (signature, {}, {}))
            array = arrays[key]
            call[1 if side == "in" else 2][name] = array.astype(object) if array.dtype.kind == "S" else array
    return {k: [v[i] for i in sorted(v)] for k, v in found.items()}


CALLS = _calls()


@pytest.mark.parametrize(("model", "tags"), sorted(CALLS), ids=str)
def test_signatures_return_what_tensorflow_returned(model: str, tags: str) -> None:
    loaded = savedmodel.load(GOLDEN / model, tags=tags.split(","))
    for signature, inputs, outputs in CALLS[model, tags]:
        results = loaded.signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
        assert sorted(results) == sorted(outputs)
        for name, expected in outputs.items():
            actual = results[name].numpy()
            if expected.dtype == object:
                np.testing.assert_array_equal(actual, expected)
            else:
                assert actual.dtype == expected.dtype
                np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-7)


def test_state_is_shared_among_the_signatures_of_one_load_only() -> None:
    first, second = savedmodel.load(GOLDEN / "ref_variables"), savedmodel.load(GOLDEN / "ref_variables")
    assert first.signatures["bump"]()["count"].numpy() == 2
    assert first.signatures["bump"]()["count"].numpy() == 4
    assert second.signatures["bump"]()["count"].numpy() == 2
    count = next(v for v in first.variables if v.name == "count:0")
    assert count.numpy() == 4 and not count.trainable
    first.restore()
    assert count.numpy() == 0


def test_any_tensors_can_be_fed_and_fetched() -> None:
    loaded = savedmodel.load(GOLDEN / "ref_variables")
    w = next(v for v in loaded.variables if v.name == "w:0").numpy()
    x = np.ones((1, 2), np.float32)
    fn = loaded.prune("x:0", {"y": "y:0", "twice": ["y:0", "w:0"]})
    got = fn(tf.constant(x))
    np.testing.assert_allclose(got["y"], x @ w, rtol=1e-6)
    np.testing.assert_array_equal(got["twice"][1], w)
    matrix = loaded.graph.get_tensor_by_name("MatMul:0")
    np.testing.assert_array_equal(loaded.prune([matrix], "y:0")(tf.constant(2 * w)), 2 * w)
    assert loaded.prune([], "AssignAdd")() is None
    assert loaded.signatures["bump"]()["count"].numpy() == 4
    with pytest.raises(KeyError, match="not in the graph"):
        loaded.prune([], "nothing:0")


def test_gradients_pass_through_reference_variables() -> None:
    loaded = savedmodel.load(GOLDEN / "ref_variables")
    w = next(v for v in loaded.variables if v.name == "w:0")
    x = tf.constant([[1.0, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = loaded.signatures["serving_default"](x)["y"]
    dx, dw = tape.gradient(y, [x, w])
    np.testing.assert_allclose(dx, w.numpy().sum(1)[None], rtol=1e-6)
    np.testing.assert_allclose(dw, [[1.0] * 3, [2.0] * 3])


def test_gradients_pass_through_old_loops_and_branches() -> None:
    loaded = savedmodel.load(GOLDEN / "while_loop")
    (scale,) = loaded.variables
    x = tf.constant([1.0, -2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = loaded.signatures["serving_default"](x=x, n=tf.constant(4))
        loss = tf.reduce_sum(out["y"]) + tf.reduce_sum(out["squares"])
    dx, ds = tape.gradient(loss, [x, scale])
    np.testing.assert_allclose(dx, [1.5**4 + 2, 1.5**4 - 1])  # y = x s⁴ + s² + 3s; squares: x² or -x
    np.testing.assert_allclose(ds, sum(4 * v * 1.5**3 + 2 * 1.5 + 3 for v in (1, -2)))


def test_archives_bring_their_assets(tmp_path: Path) -> None:
    archive = shutil.make_archive(str(tmp_path / "model"), "zip", GOLDEN, "table")
    loaded = savedmodel.load(Path(archive).read_bytes())
    assert loaded.signatures["index"](tf.constant(["blue"]))["ids"].numpy() == [2]


def test_signatures_describe_themselves() -> None:
    fn = savedmodel.load(GOLDEN / "ref_variables").signatures["serving_default"]
    assert fn.structured_input_signature == ((), {"x": tf.TensorSpec([None, 2], tf.float32, "x")})
    assert fn.structured_outputs == {"y": tf.TensorSpec([None, 3], tf.float32)}
    assert [t.shape.as_list() for t in fn.inputs][:1] == [[None, 2]]
    assert [v.name for v in fn.variables] == ["w:0"]
    with pytest.raises(TypeError, match="missing required arguments: x"):
        fn()


def test_tags_must_be_given_where_there_are_several() -> None:
    with pytest.raises(ValueError, match="requires a `tags=` argument"):
        savedmodel.load(GOLDEN / "two_tag_sets")
    with pytest.raises(ValueError, match="could not be found"):
        savedmodel.load(GOLDEN / "two_tag_sets", tags=["serve"])


@pytest.mark.parametrize("model", ["cond", "defun", "init_op", "partitioned", "ref_variables", "table", "while_loop"])
def test_a_loaded_model_is_saved_as_one_of_tensorflow_2(model: str, tmp_path: Path) -> None:
    loaded = savedmodel.load(GOLDEN / model)
    savedmodel.save(loaded, tmp_path / "again")
    again = savedmodel.load(tmp_path / "again")
    assert savedmodel.open(tmp_path / "again").is_object_based
    for signature, inputs, outputs in CALLS[model, "serve"]:
        results = again.signatures[signature](**{k: tf.constant(v) for k, v in inputs.items()})
        for name, expected in outputs.items():
            if expected.dtype == object:
                np.testing.assert_array_equal(results[name].numpy(), expected)
            else:
                np.testing.assert_allclose(results[name].numpy(), expected, rtol=1e-6, atol=1e-7)


def test_assets_have_their_real_paths() -> None:
    loaded = savedmodel.load(GOLDEN / "table")
    assert [Path(a.asset_path.numpy().decode()).name for a in loaded.asset_paths] == ["vocabulary.txt"] * 2  # two tables, one file
    assert Path(loaded.asset_paths[0].asset_path.numpy().decode()).exists()


def _graph(*nodes: Any, functions: Any = ()) -> Any:
    out = protos.GraphDef()
    for name, op, inputs, attrs in nodes:
        node = out.node.add(name=name, op=op, input=inputs)
        for key, value in attrs.items():
            _put(node.attr[key], value)
    out.library.function.extend(functions)
    return out


def _put(attr: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        attr.tensor.CopyFrom(tensor_to_proto(value))
    elif isinstance(value, str):
        attr.placeholder = value
    else:
        attr.type = value


def test_unknown_ops_stop_only_those_who_need_them(tmp_path: Path) -> None:
    message = protos.SavedModel(saved_model_schema_version=1)
    meta = message.meta_graphs.add()
    meta.meta_info_def.tags.append("serve")
    meta.graph_def.CopyFrom(
        _graph(
            ("x", "Placeholder", [], {"dtype": 1}),
            ("y", "Neg", ["x"], {"T": 1}),
            ("strange", "NobodyKnowsThis", ["x"], {}),
            ("stranger", "NorThis", ["strange"], {}),
            ("sum", "AddV2", ["y", "stranger"], {"T": 1}),
        )
    )
    good = meta.signature_def["good"]
    good.inputs["x"].name, good.outputs["y"].name = "x:0", "y:0"
    (tmp_path / "saved_model.pb").write_bytes(message.SerializeToString())
    loaded = savedmodel.load(tmp_path)
    assert loaded.signatures["good"](tf.constant([1.0]))["y"].numpy() == [-1.0]
    with pytest.raises(errors.UnknownOpError, match=r"2 op.*NobodyKnowsThis, NorThis"):
        loaded.prune("x:0", "sum:0")
    bad = meta.signature_def["bad"]
    bad.inputs["x"].name, bad.outputs["y"].name = "x:0", "sum:0"
    (tmp_path / "saved_model.pb").write_bytes(message.SerializeToString())
    with pytest.raises(errors.UnknownOpError, match=r"'bad' needs 2 op.*NobodyKnowsThis, NorThis"):
        savedmodel.load(tmp_path)


def test_functions_with_open_attrs_are_made_for_each_type() -> None:
    function = protos.FunctionDef()
    function.signature.name = "twice"
    function.signature.input_arg.add(name="x", type_attr="T")
    function.signature.output_arg.add(name="y", type_attr="T")
    function.signature.attr.add(name="T", type="type")
    node = function.node_def.add(name="sum", op="AddV2", input=["x", "x"])
    node.attr["T"].placeholder = "T"
    function.ret["y"] = "sum:z:0"
    graph_def = _graph(
        ("a", "Placeholder", [], {"dtype": 1}),
        ("b", "Placeholder", [], {"dtype": 3}),
        ("aa", "twice", ["a"], {"T": 1}),
        ("bb", "twice", ["b"], {"T": 3}),
        functions=[function],
    )
    graph = deserialize_graph(graph_def, deserialize_library(graph_def.library))
    wanted = [graph.get_tensor("aa:0"), graph.get_tensor("bb:0")]
    assert [t.dtype.name for t in wanted] == ["float32", "int32"]
    body, captured = prune(GraphState(graph), [graph.get_tensor("a:0"), graph.get_tensor("b:0")], wanted, "both")
    assert captured == []
    results = prepare(body)(np.float32([1.5]), np.int32([4]))
    assert [r.tolist() for r in results] == [[3.0], [8]]
