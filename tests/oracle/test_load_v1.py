"""Models of TensorFlow 1 that TensorFlow writes here and now: our signatures against its session, call by call."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.ops import lookup_ops
from tensorflow.python.training import saver as savers

import savedmodel
from tracer.public import tf as ours

tf1 = tf.compat.v1
MODELS: dict[str, Callable[[Any], Any]] = {}
F = np.float32


def model(build: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Register `build(session) -> (signatures {key: (inputs, outputs)}, calls [(key, inputs)], options of the builder)`."""
    MODELS[build.__name__] = build
    return build


def start(session: Any) -> None:
    session.run([tf1.global_variables_initializer(), tf1.local_variables_initializer(), tf1.tables_initializer()])


@model
def checkpoint_of_the_first_format(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [None], "x")
    with tf1.variable_scope("p", partitioner=tf1.fixed_size_partitioner(2)):
        v = tf1.get_variable("v", [5], initializer=tf1.random_normal_initializer(seed=1), use_resource=False)
    w = tf1.get_variable("w", initializer=np.arange(5, dtype=F))
    y = x + v.as_tensor() * w
    start(session)
    saver = savers.Saver(write_version=tf1.train.SaverDef.V1, sharded=False)
    return {"s": ({"x": x}, {"y": y})}, [("s", {"x": np.ones(5, F)})], {"saver": saver}


@model
def variables_saved_under_other_names(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [], "x")
    a, b = (tf1.get_variable(n, initializer=F(k), use_resource=k > 1) for k, n in ((1, "a"), (2, "b")))
    start(session)
    saver = tf1.train.Saver({"b": a, "other/name": b})
    return {"s": ({"x": x}, {"y": x * a + 10 * b})}, [("s", {"x": F(3)})], {"saver": saver}


@model
def every_kind_of_variable(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [], "x")
    values = {
        "half": np.float16([1.5]), "double": np.float64([2]), "int64": np.int64([3]), "bool": np.bool_([True]), "complex": np.complex64([1j]),
        "text": np.array([b"a", b""]), "uint8": np.uint8([9]), "empty": np.zeros((0, 2), F), "scalar": F(4),
    }  # fmt: skip
    out = {"x": x + 1}
    for ref in (False, True):
        for name, value in values.items():
            v = tf1.get_variable(f"{name}_{ref}", initializer=tf.constant(value), use_resource=not ref)
            out[f"{name}_{ref}"] = tf.identity(v)
    start(session)
    return {"s": ({"x": x}, out)}, [("s", {"x": F(1)})], {}


def _optimizer(make: Callable[[], Any], resource: bool) -> Callable[[Any], Any]:
    def build(session: Any) -> Any:
        x = tf1.placeholder(tf.float32, [None, 3], "x")
        ids = tf1.placeholder(tf.int64, [None], "ids")
        w = tf1.get_variable("w", [3, 2], initializer=tf1.random_normal_initializer(seed=1), use_resource=resource)
        table = tf1.get_variable("table", [4, 2], initializer=tf1.random_normal_initializer(seed=2), use_resource=resource)
        loss = tf.reduce_sum((tf.matmul(x, w) - tf1.nn.embedding_lookup(table, ids)) ** 2)
        step = make().minimize(loss, tf1.train.get_or_create_global_step())
        with tf.control_dependencies([step]):
            done = tf.identity(loss)
        start(session)
        inputs = {"x": x, "ids": ids}
        data = {"x": np.arange(9, dtype=F).reshape(3, 3) / 9, "ids": np.int64([1, 3, 1])}
        signatures = {"train": (inputs, {"loss": done}), "look": (inputs, {"w": tf.identity(w), "table": tf.identity(table), "loss": loss})}
        return signatures, [("train", data), ("train", data), ("train", data), ("look", data)], {}

    return build


for _name, _make in {
    "sgd": lambda: tf1.train.GradientDescentOptimizer(0.1),
    "momentum": lambda: tf1.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
    "adagrad": lambda: tf1.train.AdagradOptimizer(0.1),
    "adadelta": lambda: tf1.train.AdadeltaOptimizer(0.5),
    "adam": lambda: tf1.train.AdamOptimizer(0.1),
    "rmsprop": lambda: tf1.train.RMSPropOptimizer(0.1, momentum=0.5, centered=True),
    "ftrl": lambda: tf1.train.FtrlOptimizer(0.1, l1_regularization_strength=0.01),
    "proximal_adagrad": lambda: tf1.train.ProximalAdagradOptimizer(0.1, l1_regularization_strength=0.01),
}.items():
    for _resource in (False, True):
        MODELS[f"{_name}_{'resource' if _resource else 'reference'}"] = _optimizer(_make, _resource)


@model
def mutable_tables(session: Any) -> Any:
    keys, values = tf1.placeholder(tf.string, [None], "keys"), tf1.placeholder(tf.int64, [None], "values")
    table = lookup_ops.MutableHashTable(tf.string, tf.int64, -1)
    dense = lookup_ops.DenseHashTable(tf.int64, tf.float32, -1.0, empty_key=-1, deleted_key=-2)
    with tf.control_dependencies([table.insert(keys, values), dense.insert(values, tf.cast(values, tf.float32) * 2)]):
        inserted = table.size()
    start(session)
    session.run(table.insert(tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64)))
    session.run(dense.insert(tf.constant([1, 2], tf.int64), [5.0, 6.0]))
    signatures = {
        "insert": ({"keys": keys, "values": values}, {"n": inserted}),
        "find": ({"keys": keys, "values": values}, {"found": table.lookup(keys), "dense": dense.lookup(values)}),
    }
    find = ("find", {"keys": np.array([b"a", b"c", b"b"], object), "values": np.int64([1, 2, 7])})
    return signatures, [find, ("insert", {"keys": np.array([b"c"], object), "values": np.int64([7])}), find], {}


@model
def references_in_branches_and_loops(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [], "x")
    v = tf1.get_variable("v", initializer=F([1, 2]), use_resource=False)
    r = tf1.get_variable("r", initializer=F(5), use_resource=True)
    both = tf1.cond(x > 0, lambda: tf1.assign_add(v, [x, x]), lambda: tf1.scatter_update(v, [0], [x]))
    read = tf1.cond(x > 1, lambda: r.assign_add(x).value() if hasattr(r.assign_add(0.0), "value") else r.assign_add(x), lambda: r * 2)

    def body(i: Any, t: Any) -> Any:
        with tf.control_dependencies([tf1.assign_add(v, [1.0, 0.0])]):
            return i + 1, t + tf.reduce_sum(v.read_value())

    _, total = tf.while_loop(lambda i, t: i < 3, body, (0, 0.0), parallel_iterations=1)
    start(session)
    signatures = {"cond": ({"x": x}, {"v": tf.identity(both)}), "r": ({"x": x}, {"r": read}), "loop": ({"x": x}, {"t": total + x})}
    calls = [("cond", {"x": F(2)}), ("cond", {"x": F(-3)}), ("r", {"x": F(0)}), ("loop", {"x": F(1)}), ("cond", {"x": F(1)})]
    return signatures, calls, {}


@model
def recurrent_layers_and_scans(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [None, 4, 3], "x")
    lengths = tf1.placeholder(tf.int32, [None], "lengths")
    forward, backward = tf1.nn.rnn_cell.GRUCell(2), tf1.nn.rnn_cell.LSTMCell(2, use_peepholes=True, num_proj=2)
    outputs, _ = tf1.nn.bidirectional_dynamic_rnn(forward, backward, x, lengths, dtype=tf.float32)
    sums = tf.scan(lambda a, b: a + b, tf.transpose(x, [1, 0, 2]))
    folded = tf.foldl(lambda a, b: a * 0.5 + b, tf.transpose(x, [1, 0, 2]))
    loss = sum(tf.reduce_sum(tf.sin(o)) for o in outputs)
    gradient = tf.gradients(loss, x)[0]
    session.run(tf1.global_variables_initializer())
    data = {"x": np.random.default_rng(0).standard_normal((2, 4, 3)).astype(F), "lengths": np.int32([4, 2])}
    out = {"fw": outputs[0], "bw": outputs[1], "sums": sums, "folded": folded, "gradient": gradient}
    return {"s": ({"x": x, "lengths": lengths}, out)}, [("s", data)], {}


@model
def control_flow_of_the_second_kind(session: Any) -> Any:
    tf1.enable_control_flow_v2()
    try:
        x = tf1.placeholder(tf.float32, [], "x")
        v = tf1.get_variable("v", initializer=F(1), use_resource=True)
        y = tf1.cond(x > 0, lambda: v.assign_add(x) + 0.0, lambda: v - x)
        _, z = tf.while_loop(lambda i, t: i < 4, lambda i, t: (i + 1, t * 2 + v), (0, x))
        gradient = tf.gradients(z, x)[0]
    finally:
        tf1.disable_control_flow_v2()
    start(session)
    return {"s": ({"x": x}, {"y": y}), "t": ({"x": x}, {"z": z, "g": gradient})}, [("s", {"x": F(k)}) for k in (2, -1)] + [("t", {"x": F(1)})], {}


@model
def layers_in_both_modes(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [None, 6, 6, 2], "x")
    training = tf1.placeholder_with_default(False, [], "training")
    h = tf1.layers.conv2d(x, 3, 3, activation=tf.nn.relu, kernel_initializer=tf1.random_normal_initializer(seed=1))
    h = tf1.layers.batch_normalization(h, training=training, fused=True)
    h = tf1.layers.batch_normalization(h, training=training, fused=False)
    h = tf1.layers.separable_conv2d(h, 4, 3, padding="same", depthwise_initializer=tf1.random_normal_initializer(seed=2))
    h = tf1.layers.max_pooling2d(h, 2, 2)
    y = tf1.layers.dense(tf1.layers.flatten(h), 3, kernel_initializer=tf1.random_normal_initializer(seed=3))
    with tf.control_dependencies(tf1.get_collection(tf1.GraphKeys.UPDATE_OPS)):
        updated = tf.identity(y)
    average = tf1.train.ExponentialMovingAverage(0.9)
    start(session)
    del average
    data = {"x": np.random.default_rng(0).standard_normal((2, 6, 6, 2)).astype(F)}
    train = {**data, "training": np.bool_(True)}
    signatures = {"serve": ({"x": x}, {"y": y}), "update": ({"x": x, "training": training}, {"y": updated})}
    return signatures, [("serve", data), ("update", train), ("update", train), ("serve", data)], {}


@model
def parsing_and_strings(session: Any) -> Any:
    examples = tf1.placeholder(tf.string, [None], "examples")
    parsed = tf1.io.parse_example(
        examples,
        {
            "a": tf1.io.FixedLenFeature([2], tf.float32, [0.0, 1.0]),
            "b": tf1.io.VarLenFeature(tf.string),
            "c": tf1.io.FixedLenSequenceFeature([], tf.int64, True),
        },
    )
    words = tf.strings.to_hash_bucket_fast(parsed["b"].values, 50)
    emb = tf1.get_variable("emb", [50, 2], initializer=tf1.random_normal_initializer(seed=1), use_resource=False)
    sparse_ids = tf.SparseTensor(parsed["b"].indices, words, parsed["b"].dense_shape)
    pooled = tf1.nn.embedding_lookup_sparse(emb, sparse_ids, None, combiner="mean")
    start(session)
    Feature, L = tf.train.Feature, tf.train
    data = [
        {"a": Feature(float_list=L.FloatList(value=[3, 4])), "b": Feature(bytes_list=L.BytesList(value=[b"x", b"y"]))},
        {"b": Feature(bytes_list=L.BytesList(value=[b"z"])), "c": Feature(int64_list=L.Int64List(value=[7, 8]))},
    ]
    made = np.array([L.Example(features=L.Features(feature=d)).SerializeToString() for d in data], object)
    out = {"a": parsed["a"], "b": parsed["b"], "c": parsed["c"], "pooled": pooled}
    return {"s": ({"examples": examples}, out)}, [("s", {"examples": made})], {}


@model
def iterators_and_datasets(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [None], "x")
    iterator = tf1.data.make_initializable_iterator(tf1.data.Dataset.range(5).map(lambda v: v * 2))
    session.run(iterator.initializer)
    y = x + tf.cast(iterator.get_next(), tf.float32)
    start(session)
    return {"s": ({"x": x}, {"y": y})}, [("s", {"x": F([1])}), ("s", {"x": F([1])})], {"main_op": iterator.initializer}


@model
def asserts_prints_and_summaries(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [None], "x")
    with tf.control_dependencies([tf1.assert_less(x, 100.0), tf1.Assert(tf.size(x) > 0, [x]), tf1.debugging.assert_rank(x, 1)]):
        y = tf1.where(x > 0, x, tf.zeros_like(x))
    summary = tf1.summary.merge([tf1.summary.scalar("sum", tf.reduce_sum(y)), tf1.summary.histogram("y", y)])
    start(session)
    return {"s": ({"x": x}, {"y": y, "summary": summary})}, [("s", {"x": F([1, -1])})], {}


@model
def functions_of_tensorflow_2(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [None], "x")
    v = tf1.get_variable("v", initializer=F(2), use_resource=True)

    @tf.function
    def f(t: Any) -> Any:
        v.assign_add(1.0)
        return tf.where(t > 0, t * v, t)

    @tf.custom_gradient
    def g(t: Any) -> Any:
        return t * t, lambda dy: dy * 100.0

    y = f(x)
    start(session)
    return {"s": ({"x": x}, {"y": y, "g": tf.gradients(g(x), x)[0]})}, [("s", {"x": F([1, -1])})] * 2, {}


@model
def scatters_and_slices_of_references(session: Any) -> Any:
    x = tf1.placeholder(tf.float32, [2], "x")
    v = tf1.get_variable("v", initializer=np.ones((3, 2), F), use_resource=False)
    n = tf1.get_variable("n", initializer=np.int32(0), use_resource=False)
    a = tf1.scatter_add(v, [0, 2, 0], tf.stack([x, x, x]))
    with tf.control_dependencies([a]):
        b = tf1.scatter_nd_update(v, [[1, 1]], x[:1])
    with tf.control_dependencies([b]):
        c = v[2].assign(x * 10)
    with tf.control_dependencies([c]):
        d = tf1.assign_sub(v, tf.ones_like(v))
    start(session)
    return {"s": ({"x": x}, {"v": tf.identity(d)}), "n": ({"x": x}, {"n": n.count_up_to(10)})}, [("s", {"x": F([1, 2])}), ("n", {"x": F([0, 0])})] * 2, {}


def _infos(side: dict[str, Any]) -> dict[str, Any]:
    return {k: tf1.saved_model.build_tensor_info(t) for k, t in side.items()}


def _session_results(path: Path, calls: Any) -> list[dict[str, Any]]:
    out = []
    with tf.Graph().as_default(), tf1.Session() as session:
        meta = tf1.saved_model.load(session, ["serve"], str(path))
        for key, inputs in calls:
            signature = meta.signature_def[key]
            fetches: dict[str, Any] = {}
            for k, info in signature.outputs.items():
                sparse = info.coo_sparse
                names = (sparse.indices_tensor_name, sparse.values_tensor_name, sparse.dense_shape_tensor_name)
                fetches[k] = list(names) if info.WhichOneof("encoding") == "coo_sparse" else info.name
            out.append(session.run(fetches, {signature.inputs[k].name: v for k, v in inputs.items()}))
    return out


@pytest.mark.parametrize("name", sorted(MODELS))
def test_signatures_equal_the_session(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    tf1.disable_control_flow_v2()
    with tf.Graph().as_default(), tf1.Session() as session:
        tf1.set_random_seed(zlib.crc32(name.encode()))
        signatures, calls, options = MODELS[name](session)
        builder = tf1.saved_model.Builder(str(path))
        made = {k: tf1.saved_model.build_signature_def(_infos(i), _infos(o), "tensorflow/serving/predict") for k, (i, o) in signatures.items()}
        options.setdefault("main_op", tf1.tables_initializer())
        builder.add_meta_graph_and_variables(session, ["serve"], made, strip_default_attrs=len(name) % 2 == 0, **options)
        builder.save()
    expected = _session_results(path, calls)
    loaded = savedmodel.load(path)
    for (key, inputs), results in zip(calls, expected, strict=True):
        actual = loaded.signatures[key](**{k: ours.constant(v) for k, v in inputs.items()})
        assert sorted(actual) == sorted(results)
        for k, value in results.items():
            mine = actual[k]
            parts = [mine.indices, mine.values, mine.dense_shape] if isinstance(value, list) else [mine]
            for a, b in zip(parts, value if isinstance(value, list) else [value], strict=True):
                b = np.asarray(b)
                if b.dtype.kind in "OS":
                    np.testing.assert_array_equal(a.numpy(), b, err_msg=f"{key} > {k}")
                else:
                    assert a.numpy().dtype == b.dtype, (key, k)
                    np.testing.assert_allclose(a.numpy(), b, rtol=2e-5, atol=1e-6, err_msg=f"{key} > {k}")
