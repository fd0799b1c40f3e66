"""Writes SavedModels of TensorFlow 1 with TensorFlow 2.15's compat.v1 API into tests/golden/v1, with what their signatures return.

    CUDA_VISIBLE_DEVICES=-1 python tests/golden/make_v1.py        # needs TensorFlow 2.15; written 2026-11-22

Values are in golden.npz under `<model>/<tags>/<number of the call>/<signature>/{in,out}/<name>`; calls of one model and tag set run in
order in one session, so state carries over.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import function
from tensorflow.python.ops import lookup_ops

tf1 = tf.compat.v1
HERE = Path(__file__).parent / "v1"
GOLDEN: dict[str, np.ndarray] = {}
Calls = list[tuple[str, dict[str, Any]]]


def signature(inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    infos = [{k: tf1.saved_model.build_tensor_info(t) for k, t in side.items()} for side in (inputs, outputs)]
    return tf1.saved_model.build_signature_def(*infos, "tensorflow/serving/predict")


def write(name: str, build: Callable[[Any], tuple[dict[str, Any], dict[str, Any]]], calls: Calls, **options: Any) -> None:
    """Build a model in a fresh graph, save it, load it and keep what `calls` return."""
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    as_text = options.pop("as_text", False)
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(1)
        signatures, extra = build(session)
        builder = tf1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures, strip_default_attrs=True, **extra)
        builder.save(as_text=as_text)
    keep(name, ["serve"], calls)


def keep(name: str, tags: list[str], calls: Calls) -> None:
    with tf.Graph().as_default(), tf1.Session() as session:
        graph_def = tf1.saved_model.load(session, tags, str(HERE / name))
        for i, (key, inputs) in enumerate(calls):
            info = graph_def.signature_def[key]
            feeds = {}
            for k, v in inputs.items():
                if info.inputs[k].WhichOneof("encoding") == "coo_sparse":
                    sparse = info.inputs[k].coo_sparse
                    names = (sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name)
                    feeds.update(zip(names, v, strict=True))
                    for part, array in zip(("indices", "values", "dense_shape"), v, strict=True):
                        put(f"{name}/{','.join(tags)}/{i}/{key}/in/{k}_{part}", array)
                else:
                    feeds[info.inputs[k].name] = v
                    put(f"{name}/{','.join(tags)}/{i}/{key}/in/{k}", v)
            for k, v in session.run({k: v.name for k, v in info.outputs.items()}, feeds).items():
                put(f"{name}/{','.join(tags)}/{i}/{key}/out/{k}", v)


def put(key: str, value: Any) -> None:
    array = np.asarray(value)
    if array.dtype == object:  # strings; npz holds no objects here
        array = np.array([v if isinstance(v, bytes) else v.encode() for v in array.reshape(-1)], "S").reshape(array.shape)
    GOLDEN[key] = array


def ref_variables(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [None, 2], "x")
    w = tf1.get_variable("w", [2, 3], initializer=tf1.random_normal_initializer(seed=1), use_resource=False)
    count = tf1.get_variable("count", [], tf.int64, tf1.zeros_initializer(), trainable=False, use_resource=False)
    y = tf.identity(tf.matmul(x, w), "y")
    with tf.control_dependencies([tf1.assign_add(count, 2)]):
        after = tf.identity(count.read_value(), "after")
    loss = tf.reduce_sum(y * y)
    step = tf1.train.AdamOptimizer(0.1).minimize(loss)
    with tf.control_dependencies([step]):
        trained = tf.identity(loss, "trained")
    session.run(tf1.global_variables_initializer())
    signatures = {
        "serving_default": signature({"x": x}, {"y": y}),
        "bump": signature({}, {"count": after}),
        "train": signature({"x": x}, {"loss": trained}),
    }
    return signatures, {}


def while_loop(session: Any) -> Any:
    tf1.disable_control_flow_v2()
    x = tf1.placeholder(tf.float32, [None], "x")
    n = tf1.placeholder(tf.int32, [], "n")
    scale = tf1.get_variable("scale", initializer=np.float32(1.5), use_resource=False)

    def body(i: Any, total: Any) -> Any:
        _, inner = tf.while_loop(lambda j, t: j < i, lambda j, t: (j + 1, t + tf.cast(j, tf.float32)), (0, total))
        return i + 1, inner * scale

    _, y = tf.while_loop(lambda i, t: i < n, body, (0, x))
    squares = tf.map_fn(lambda v: tf.cond(v > 0, lambda: v * v, lambda: -v), x)
    gradient = tf.gradients(y, x)[0]
    session.run(tf1.global_variables_initializer())
    return {"serving_default": signature({"x": x, "n": n}, {"y": y, "squares": squares, "gradient": gradient})}, {}


def cond(session: Any) -> Any:
    tf1.disable_control_flow_v2()
    x = tf1.placeholder(tf.float32, [], "x")
    v = tf1.get_variable("v", initializer=np.float32(10), use_resource=False)
    result = tf1.cond(x > 0, lambda: tf1.assign_add(v, x), lambda: tf1.cond(x < -5, lambda: tf1.assign(v, 0.0), lambda: v.read_value()))
    session.run(tf1.global_variables_initializer())
    return {"serving_default": signature({"x": x}, {"y": tf.identity(result, "y")})}, {}


def table(session: Any) -> Any:
    vocabulary = HERE / "vocabulary.txt"
    vocabulary.write_text("red\ngreen\nblue\n")
    words = tf1.placeholder(tf.string, [None], "words")
    ids = tf1.placeholder(tf.int64, [None], "ids")
    index = lookup_ops.index_table_from_file(str(vocabulary), num_oov_buckets=2)
    back = lookup_ops.index_to_string_table_from_file(str(vocabulary), default_value="?")
    found = index.lookup(words)
    session.run(tf1.tables_initializer())
    assets = tf1.get_collection(tf1.GraphKeys.ASSET_FILEPATHS)
    signatures = {"index": signature({"words": words}, {"ids": found}), "back": signature({"ids": ids}, {"words": back.lookup(ids)})}
    return signatures, {"assets_collection": assets, "main_op": tf1.tables_initializer()}


def partitioned(session: Any) -> Any:
    ids = tf1.placeholder(tf.int64, [None], "ids")
    with tf1.variable_scope("p", partitioner=tf1.fixed_size_partitioner(3), use_resource=False):
        embedding = tf1.get_variable("table", [7, 2], initializer=tf1.random_uniform_initializer(seed=3))
    rows = tf1.nn.embedding_lookup(embedding, ids, partition_strategy="div")
    session.run(tf1.global_variables_initializer())
    return {"serving_default": signature({"ids": ids}, {"rows": rows})}, {}


def init_op(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [], "x")
    local = tf1.get_variable("local", initializer=np.float32(0), collections=[tf1.GraphKeys.LOCAL_VARIABLES], use_resource=False)
    w = tf1.get_variable("w", initializer=np.float32(2), use_resource=True)
    y = x * w + local
    session.run([tf1.global_variables_initializer(), tf1.local_variables_initializer()])
    return {"serving_default": signature({"x": x}, {"y": y})}, {"main_op": tf1.assign(local, w * 100).op}


def sparse(session: Any) -> Any:
    s = tf1.sparse_placeholder(tf.float32, [None, 3], "s")
    y = tf.sparse.to_dense(s) * 2.0
    return {"serving_default": signature({"s": s}, {"y": y})}, {}


def defun(session: Any) -> Any:
    @function.Defun(tf.float32, tf.float32, tf.float32)
    def cube_gradient(x: Any, y: Any, dy: Any) -> Any:
        return dy * 10.0 * x, dy * y

    @function.Defun(tf.float32, tf.float32, grad_func=cube_gradient, func_name="cube")
    def cube(x: Any, y: Any) -> Any:
        return x * x * y

    @function.Defun(tf.float32, func_name="plain")
    def plain(x: Any) -> Any:
        return tf.sin(x) * x

    x = tf1.placeholder(tf.float32, [None], "x")
    y, z = cube(x, x + 1.0), plain(x)
    out = {"y": y, "by_own_rule": tf.gradients(y, x)[0], "z": z, "derived": tf.gradients(z, x)[0]}
    return {"serving_default": signature({"x": x}, out)}, {}


def two_tag_sets() -> None:
    path = HERE / "two_tag_sets"
    shutil.rmtree(path, ignore_errors=True)
    builder = tf1.saved_model.Builder(str(path))
    with tf.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf.float32, [None], "x")
        w = tf1.get_variable("w", initializer=np.float32(3), use_resource=True)
        session.run(tf1.global_variables_initializer())
        builder.add_meta_graph_and_variables(session, ["train"], {"a": signature({"x": x}, {"y": x * w})})
    with tf.Graph().as_default():
        x = tf1.placeholder(tf.float32, [None], "x")
        w = tf1.get_variable("w", initializer=np.float32(0), use_resource=True)
        builder.add_meta_graph(["serve", "gpu"], {"b": signature({"x": x}, {"y": x + w})})
    builder.save()
    keep("two_tag_sets", ["train"], [("a", {"x": np.float32([1, 2])})])
    keep("two_tag_sets", ["serve", "gpu"], [("b", {"x": np.float32([1, 2])})])


def main() -> None:
    rng = np.random.default_rng(0)
    HERE.mkdir(exist_ok=True)
    x = rng.standard_normal((4, 2)).astype(np.float32)
    calls: Calls = [("serving_default", {"x": x}), ("bump", {}), ("bump", {})]
    calls += [("train", {"x": x}), ("train", {"x": x}), ("serving_default", {"x": x})]
    write("ref_variables", ref_variables, calls)
    v = np.float32([0.5, -2, 3])
    write("while_loop", while_loop, [("serving_default", {"x": v, "n": np.int32(k)}) for k in (4, 0, 1)])
    write("cond", cond, [("serving_default", {"x": np.float32(k)}) for k in (2, -1, 3, -9, -1)])
    words = np.array([b"blue", b"red", b"pink", b""], object)
    write("table", table, [("index", {"words": words}), ("back", {"ids": np.int64([0, 2, 9])})])
    write("partitioned", partitioned, [("serving_default", {"ids": np.int64([0, 6, 3, 3])})])
    write("init_op", init_op, [("serving_default", {"x": np.float32(1)})])
    s = (np.int64([[0, 1], [2, 2]]), np.float32([1, 2]), np.int64([3, 3]))
    write("sparse", sparse, [("serving_default", {"s": s})], as_text=True)
    write("defun", defun, [("serving_default", {"x": np.float32([1, 2, 3])})])
    two_tag_sets()
    (HERE / "vocabulary.txt").unlink()
    np.savez_compressed(HERE / "golden.npz", **GOLDEN)


if __name__ == "__main__":
    main()
