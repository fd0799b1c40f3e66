"""The kinds of modules that saving and loading is proved with, as functions of a `tf` namespace: TensorFlow's or ours.

`make_modules.py` builds each with TensorFlow and keeps what TensorFlow answers; tests load those files, and build the same modules with
this library. It refuses to import either.
"""

from __future__ import annotations

import collections
import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["DTYPES", "KINDS", "Built", "Call", "answers", "flat"]

Pair = collections.namedtuple("Pair", ["left", "right"])


@dataclass
class Call:
    """One question to a module: call `path` (dotted; `signatures/key` for a signature; `path=` reads a value)."""

    path: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    gradients: tuple[str, ...] | None = None  # variables (dotted) to differentiate by, after the float arguments
    raises: str | None = None  # part of the message of the ValueError or TypeError that is expected


@dataclass
class Built:
    """A module, its signatures, and what to ask it, in order."""

    module: Any
    calls: list[Call]
    signatures: Any = None


KINDS: dict[str, Callable[[Any, str], Built]] = {}


def kind(build: Callable[[Any, str], Built]) -> Callable[[Any, str], Built]:
    KINDS[build.__name__] = build
    return build


# -- asking ----------------------------------------------------------------------------------------------------------


def find(root: Any, path: str) -> Any:
    """What a dotted path leads to; digits index sequences, other names index mappings where there is no attribute."""
    if path.startswith("signatures/"):
        return root.signatures[path.partition("/")[2]]
    for part in path.split(".") if path else ():
        if part.isdigit():
            root = root[int(part)]
        elif isinstance(root, dict):
            root = root[part]
        else:
            root = getattr(root, part)
    return root


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Path → array, for every tensor of a result; None and literals are kept as their repr."""
    if isinstance(value, dict):
        return {k: v for name in sorted(value) for k, v in flat(value[name], f"{prefix}/{name}").items()}
    if hasattr(value, "row_splits") and hasattr(value, "flat_values"):
        parts = flat(value.flat_values, f"{prefix}/flat_values")
        for i, splits in enumerate(value.nested_row_splits):
            parts.update(flat(splits, f"{prefix}/splits{i}"))
        return parts
    if hasattr(value, "dense_shape") and hasattr(value, "values"):
        return {k: v for name in ("indices", "values", "dense_shape") for k, v in flat(getattr(value, name), f"{prefix}/{name}").items()}
    if hasattr(value, "numpy"):
        array = value.numpy()
        return {prefix: np.asarray(array, object if isinstance(array, bytes) else None)}
    if isinstance(value, (list, tuple)):
        return {k: v for i, item in enumerate(value) for k, v in flat(item, f"{prefix}/{i}").items()}
    return {prefix: np.asarray(repr(value))}


def answers(tf: Any, root: Any, calls: list[Call]) -> list[dict[str, Any]]:
    """What `root` answers to each call."""
    return [_answer(tf, root, call) for call in calls]


def _answer(tf: Any, root: Any, call: Call) -> dict[str, Any]:
    if call.path.endswith("="):
        return flat(find(root, call.path[:-1]))
    function = find(root, call.path)
    if call.raises is not None:
        try:
            function(*call.args, **call.kwargs)
        except (TypeError, ValueError) as error:
            if call.raises not in str(error):
                raise AssertionError(f"{call.path}: expected an error with {call.raises!r}, received {error}") from error
            return {"": np.asarray("raised")}
        raise AssertionError(f"{call.path}: expected an error with {call.raises!r}")
    if call.gradients is None:
        return flat(function(*call.args, **call.kwargs))
    sources = [tf.constant(a) for a in call.args]
    variables = [find(root, path) for path in call.gradients]
    with tf.GradientTape() as tape:
        for source in sources:
            tape.watch(source)
        result = function(*sources, **call.kwargs)
        loss = tf.reduce_sum(result * result)
    grads = tape.gradient(loss, [*sources, *variables])
    grads = [tf.convert_to_tensor(g) if hasattr(g, "indices") else g for g in grads]
    return {**flat(result, "/result"), **flat(grads, "/gradient")}


# -- kinds -----------------------------------------------------------------------------------------------------------

F = np.float32


def _spec(tf: Any, shape: Any, dtype: str = "float32", name: str | None = None) -> Any:
    return tf.TensorSpec(shape, getattr(tf, dtype), name)


@kind
def polymorphic(tf: Any, folder: str) -> Built:
    m = tf.Module()

    @tf.function
    def f(x, factor=2, flip=False):
        y = x * tf.cast(factor, x.dtype)
        return -y if flip else y

    m.f = f
    for args, kwargs in (
        ((_spec(tf, [3]),), {}), ((_spec(tf, [None, 2]),), {}), ((_spec(tf, [2], "int32"),), {}), ((_spec(tf, [3]), 5), {}),
        ((_spec(tf, [3]),), {"flip": True}), ((_spec(tf, None),), {"factor": _spec(tf, [])}),
    ):  # fmt: skip
        f.get_concrete_function(*args, **kwargs)
    x = np.arange(3, dtype=F)
    return Built(m, [
        Call("f", (x,)), Call("f", (np.ones((4, 2), F),)), Call("f", (np.array([1, 2], np.int32),)), Call("f", (x, 5)),
        Call("f", (x,), {"flip": True}), Call("f", (np.ones((2, 2, 2), F), np.float32(3))), Call("f", ([1.0, 2.0, 3.0],)),
        Call("f", (np.ones(2, np.int64),), raises="Could not find matching concrete function to call"),
        Call("f", (x, 7), {"flip": True}, raises="Could not find matching concrete function to call"),
        Call("f", (x,), {"flop": True}, raises="flop"),
    ])  # fmt: skip


@kind
def structures(tf: Any, folder: str) -> Built:
    m = tf.Module()

    @tf.function
    def nested(x, more):
        return {"z": x["b"][0] + more.left, "a": (x["a"], [more.right["q"], None]), "pair": Pair(x["b"][1], {"k": x["a"] * 2.0})}

    @tf.function
    def nothing(x):
        return None

    @tf.function
    def empty(x):
        return [], {}, ()

    @tf.function
    def tuples(pair):
        left, right = pair
        return Pair(right, left)

    m.nested, m.nothing, m.empty, m.tuples = nested, nothing, empty, tuples
    one = F(1)
    x = {"b": [np.arange(2, dtype=F), np.ones(2, F)], "a": np.array([3.0], F)}
    more = Pair(np.array([1, 2], F), {"q": np.array([[7]], np.int32)})
    for fn, args in ((nested, (x, more)), (nothing, (one,)), (empty, (one,)), (tuples, ((one, np.int32(4)),))):
        fn(*tf.nest.map_structure(tf.constant, args))
    as_tensors = lambda v: tf.nest.map_structure(tf.constant, v)
    return Built(m, [
        Call("nested", as_tensors((x, more))), Call("nothing", (tf.constant(one),)), Call("empty", (tf.constant(one),)),
        Call("tuples", ((tf.constant(2.0), tf.constant(5)),)),
        Call("tuples", ((tf.constant(2.0),),), raises="Could not find matching concrete function to call"),
    ])  # fmt: skip


@kind
def arguments(tf: Any, folder: str) -> Built:
    """Defaults of all sorts, keyword-only arguments, variable arguments."""
    m = tf.Module()
    offset = np.array([10.0, 20.0], F)

    @tf.function
    def defaults(x, training=False, mask=None, scale=2.0, mode="up"):
        y = x * scale
        if training:
            y = y + 1.0
        if mask is not None:
            y = y * mask
        return y if mode == "up" else -y

    @tf.function
    def keyword_only(x, *, power, shift=1.0):
        return x**power + shift

    @tf.function
    def varargs(*xs):
        return tf.add_n(list(xs))

    @tf.function
    def varkw(x, **rest):
        for key in sorted(rest):
            x = x - rest[key]
        return x

    @tf.function(input_signature=[_spec(tf, [None])])
    def by_signature(x, training=True):
        return x + 1.0 if training else x

    m.defaults, m.keyword_only, m.varargs, m.varkw, m.by_signature = defaults, keyword_only, varargs, varkw, by_signature
    m.offset = tf.Variable(offset)
    x = tf.constant([1.0, 2.0])
    defaults(x)
    defaults(x, True)
    defaults(x, mask=x)
    defaults(x, mode="down")
    keyword_only(x, power=2)
    keyword_only(x, power=3, shift=x)
    varargs(x, x)
    varargs(x, x, x)
    varkw(x, a=x, b=x)
    return Built(m, [
        Call("defaults", (x,)), Call("defaults", (x, True)), Call("defaults", (x,), {"training": True}), Call("defaults", (x,), {"mask": x}),
        Call("defaults", (x, False, None, 2.0, "down")), Call("keyword_only", (x,), {"power": 2}),
        Call("keyword_only", (x,), {"power": 3, "shift": x}), Call("varargs", (x, x)), Call("varargs", (x, x, x)),
        Call("varkw", (x,), {"b": x, "a": x}), Call("by_signature", (x,)), Call("by_signature", ([4.0],)),
        Call("keyword_only", (x,), raises="power"), Call("defaults", (x,), {"mode": "sideways"}, raises="Could not find matching"),
        Call("varargs", (x,), raises="Could not find matching"),
    ])  # fmt: skip


@kind
def methods(tf: Any, folder: str) -> Built:
    """Methods, `__call__`, partial functions, one function under two names, a concrete function as attribute."""

    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable([[1.0, 2.0], [3.0, 4.0]], name="w")
            self.half = tf.function(functools.partial(self.scale, factor=0.5))
            self.third = tf.function(functools.partial(self.plain, 3.0))

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def __call__(self, x):
            return tf.matmul(x, self.w)

        @tf.function
        def scale(self, x, factor=1.0):
            return self(x) * factor

        def plain(self, a, x):
            return a * x

        @tf.function
        def outer(self, x):
            return self.inner(x) + self.inner(x + 1.0)

        @tf.function
        def inner(self, x):
            return tf.reduce_sum(self.w * x)

    m = Model()
    x = np.array([[1, 1]], F)
    m.scale(tf.constant(x))
    m.half(tf.constant(x))
    m.third(tf.constant(x))
    m.outer(tf.constant(2.0))
    m.again = m.inner
    m.concrete = m.inner.get_concrete_function(tf.TensorSpec([], tf.float32))
    return Built(m, [
        Call("", (x,)), Call("", (x,), gradients=("w",)), Call("scale", (tf.constant(x),)), Call("half", (tf.constant(x),)),
        Call("third", (tf.constant(x),)), Call("outer", (F(2),), gradients=("w",)), Call("again", (F(3),)), Call("concrete", (tf.constant(3.0),)),
        Call("signatures/serving_default", (), {"x": tf.constant(x)}),
    ], {"serving_default": m.__call__})  # fmt: skip


@kind
def graph_of_objects(tf: Any, folder: str) -> Built:
    """Cycles, shared objects, lists, dicts, tuples, empty and uninitialised submodules."""
    m, a, b = tf.Module(), tf.Module(), tf.Module()
    m.a, m.b, a.other, b.other, b.root = a, b, b, a, m
    shared = tf.Variable(5.0, name="shared")
    m.shared, a.v, b.v = shared, shared, shared
    m.list = [tf.Variable(1.0), [tf.Variable(2.0)], {"x": tf.Variable(3.0)}]
    m.dict = {"one": tf.Variable(4.0), "two": [a, b]}
    m.tuple = (tf.Variable(6.0), (tf.Variable(7.0), shared))
    m.empty_list, m.empty_dict, m.bare = [], {}, tf.Module()
    m.plain, m.text = 3, "text"

    @tf.function(input_signature=[_spec(tf, [])])
    def f(x):
        m.list[0].assign_add(x)
        return shared + m.dict["one"] + m.tuple[0] + m.list[1][0] * x

    a.f = f
    b.f = f
    return Built(m, [
        Call("a.other.f", (F(2),)), Call("b.f", (F(1),)), Call("list.0="), Call("list.1.0="), Call("list.2.x="), Call("dict.one="),
        Call("dict.two.1.v="), Call("tuple.0="), Call("tuple.1.0="), Call("tuple.1.1="), Call("b.root.a.other.root.shared="),
        Call("a.f", (F(2),), gradients=("shared", "tuple.0", "list.1.0")),
    ])  # fmt: skip


DTYPES = (
    "bfloat16 bool complex128 complex64 float16 float32 float64 int16 int32 int64 int8 string uint16 uint32 uint64 uint8"
).split()


def _value(tf: Any, dtype: str) -> Any:
    if dtype == "string":
        return tf.constant([[b"", b"a\x00b"], ["é".encode(), b"x" * 300]])
    if dtype == "bool":
        return tf.constant([True, False])
    if dtype.startswith("complex"):
        return tf.constant([1 + 2j, -0.5j], getattr(tf, dtype))
    return tf.cast(tf.constant([0, 1, 2, 100]), getattr(tf, dtype))


@kind
def variables(tf: Any, folder: str) -> Built:
    """Variables of every dtype, scalars, empty ones, ones whose shape is known in part; their attributes."""
    m = tf.Module()
    calls = []
    m.reads = {}
    for dtype in DTYPES:
        variable = tf.Variable(_value(tf, dtype), name=f"v_{dtype}")
        setattr(m, dtype, variable)
        m.reads[dtype] = tf.function(functools.partial(tf.identity, variable), input_signature=[])
        if dtype != "bfloat16":
            calls += [Call(f"{dtype}="), Call(f"reads.{dtype}", ())]
    m.scalar = tf.Variable(2.5)
    m.no_elements = tf.Variable(tf.zeros([0, 3]))
    m.partly = tf.Variable([[1.0, 2.0]], shape=tf.TensorShape([None, 2]), name="partly")
    m.unknown = tf.Variable([1, 2, 3], shape=tf.TensorShape(None))
    m.fixed = tf.Variable(7.0, trainable=False, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
    m.on_read = tf.Variable(8.0, synchronization=tf.VariableSynchronization.ON_READ)

    @tf.function(input_signature=[_spec(tf, [None, 2])])
    def replace(x):
        m.partly.assign(x)
        return tf.reduce_sum(m.partly)

    m.replace = replace
    calls += [Call(f"{name}=") for name in ("scalar", "no_elements", "partly", "unknown", "fixed", "on_read")]
    calls += [Call("replace", (np.ones((3, 2), F),)), Call("partly=")]
    return Built(m, calls)


@kind
def captured_tensors(tf: Any, folder: str) -> Built:
    m = tf.Module()
    big = tf.constant(np.arange(200, dtype=F).reshape(100, 2))
    words = tf.constant([b"w%d" % i for i in range(150)])
    small = tf.constant([1.0, 2.0])

    @tf.function(input_signature=[_spec(tf, [None], "int32")])
    def f(i):
        return {"rows": tf.gather(big, i) + small, "words": tf.gather(words, i)}

    @tf.function(input_signature=[_spec(tf, [None], "int32")])
    def g(i):
        return f(i)["rows"] * big[0, 1]

    m.f, m.g = f, g
    return Built(m, [Call("f", (np.array([0, 99], np.int32),)), Call("g", (np.array([], np.int32),)), Call("g", (np.array([5], np.int32),))])


def _write(folder: str, name: str, text: str) -> str:
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


@kind
def assets(tf: Any, folder: str) -> Built:
    """Assets by themselves and in tables; two files of one name; one file twice."""
    m = tf.Module()
    first = _write(os.path.join(folder, "one"), "words.txt", "alpha\nbeta\ngamma\n")
    second = _write(os.path.join(folder, "two"), "words.txt", "eins\t1.5\nzwei\t2.5\n")
    m.asset = tf.saved_model.Asset(first)
    m.same = tf.saved_model.Asset(first)
    whole, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    m.ids = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(first, tf.string, whole, tf.int64, number), -1)
    m.words = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(first, tf.int64, number, tf.string, whole), "?")
    m.numbers = tf.lookup.StaticHashTable(tf.lookup.TextFileInitializer(second, tf.string, 0, tf.float32, 1), -1.0)

    @tf.function(input_signature=[])
    def content():
        return tf.io.read_file(m.asset.asset_path)

    @tf.function(input_signature=[_spec(tf, [None], "string", "keys")])
    def look_up(keys):
        found = m.ids.lookup(keys)
        return {"ids": found, "words": m.words.lookup(found), "numbers": m.numbers.lookup(keys), "size": m.ids.size()}

    m.content, m.look_up = content, look_up
    keys = np.array([b"beta", b"zwei", b"nothing"], object)
    return Built(
        m, [Call("content", ()), Call("look_up", (keys,)), Call("signatures/serving_default", (), {"keys": tf.constant(keys)})], {"serving_default": look_up}
    )


@kind
def tables(tf: Any, folder: str) -> Built:
    """Static and mutable tables of several types."""
    m = tf.Module()
    init = tf.lookup.KeyValueTensorInitializer
    m.static = tf.lookup.StaticHashTable(init(["a", "b"], tf.constant([1, 2], tf.int64)), -1)
    m.names = tf.lookup.StaticHashTable(init(tf.constant([1, 2], tf.int64), ["one", "two"]), "none")
    m.vocabulary = tf.lookup.StaticVocabularyTable(init(["x", "y"], tf.constant([0, 1], tf.int64)), 3)
    m.mutable = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    m.mutable.insert(["k", "l"], tf.constant([10, 11], tf.int64))
    m.vectors = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, tf.constant([0.0, 0.0]))
    m.vectors.insert(tf.constant([7], tf.int64), [[1.5, 2.5]])

    @tf.function(input_signature=[_spec(tf, [None], "string")])
    def look_up(keys):
        ids = m.static.lookup(keys)
        return {"ids": ids, "names": m.names.lookup(ids), "vocabulary": m.vocabulary.lookup(keys), "mutable": m.mutable.lookup(keys)}

    @tf.function(input_signature=[_spec(tf, [None], "int64")])
    def numbers(keys):
        return {"vectors": m.vectors.lookup(keys)}

    @tf.function(input_signature=[_spec(tf, [None], "string"), _spec(tf, [None], "int64")])
    def insert(keys, values):
        m.mutable.insert(keys, values)
        return m.mutable.size()

    m.look_up, m.numbers, m.insert = look_up, numbers, insert
    keys = np.array([b"b", b"k", b"y", b"new"], object)
    return Built(m, [
        Call("look_up", (keys,)), Call("numbers", (np.array([7, 1], np.int64),)),
        Call("insert", (np.array([b"new"], object), np.array([99], np.int64))), Call("look_up", (keys,)),
    ])  # fmt: skip


@kind
def composites(tf: Any, folder: str) -> Built:
    """Ragged and sparse arguments and results."""
    m = tf.Module()

    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.float32)])
    def ragged(x, factor):
        return {"ragged": x * factor, "sums": tf.reduce_sum(x, axis=1), "dense": x.to_tensor()}

    @tf.function(input_signature=[tf.SparseTensorSpec([None, 3], tf.float32)])
    def sparse(x):
        y = tf.sparse.reorder(x)
        return y, tf.sparse.to_dense(y) + 1.0

    @tf.function
    def both(parts):
        return tf.concat([parts["r"].flat_values, parts["s"].values], 0)

    m.ragged, m.sparse, m.both = ragged, sparse, both
    r = tf.ragged.constant([[1.0, 2.0], [], [3.0]])
    s = tf.SparseTensor(tf.constant([[1, 2], [0, 0]], tf.int64), tf.constant([4.0, 5.0]), tf.constant([2, 3], tf.int64))
    both({"r": r, "s": s})
    return Built(m, [Call("ragged", (r, F(2))), Call("sparse", (s,)), Call("both", ({"r": r, "s": s},))])


@kind
def custom_gradients(tf: Any, folder: str) -> Built:
    """Gradients written in Python: plain, with variables, one inside the other, with a captured constant, None gradients."""
    m = tf.Module()
    m.w = tf.Variable([2.0, 3.0], name="w")

    @tf.custom_gradient
    def clip(x):
        y = tf.exp(x)

        def grad(dy):
            return tf.clip_by_value(dy * y, -1.0, 1.0)

        return y, grad

    @tf.custom_gradient
    def with_variable(x):
        def grad(dy, variables=None):
            return dy * 100.0, [dy * 10.0 * x for _ in variables]

        return x * m.w, grad

    @tf.custom_gradient
    def two(x, y):
        z = x * y

        def grad(dz, dw):
            return dz * 2.0 + dw, None

        return (z, x + y), grad

    @tf.function(input_signature=[_spec(tf, [None])])
    def simple(x):
        return clip(x) * 2.0

    @tf.function(input_signature=[_spec(tf, [2])])
    def variable(x):
        return with_variable(x) + 1.0

    @tf.function(input_signature=[_spec(tf, [2]), _spec(tf, [2])])
    def pairs(x, y):
        a, b = two(x, y)
        return a + 3.0 * b

    @tf.function(input_signature=[_spec(tf, [2])])
    def nested(x):
        return simple(with_variable(clip(x)))

    m.simple, m.variable, m.pairs, m.nested = simple, variable, pairs, nested
    x, y = np.array([0.1, -2.0], F), np.array([0.5, 4.0], F)
    return Built(m, [
        Call("simple", (x,), gradients=()), Call("variable", (x,), gradients=("w",)), Call("pairs", (x, y), gradients=()),
        Call("nested", (x,), gradients=("w",)), Call("simple", (x,)),
    ])  # fmt: skip


@kind
def control_flow(tf: Any, folder: str) -> Built:
    m = tf.Module()
    m.w = tf.Variable(1.5, name="w")

    @tf.function(input_signature=[_spec(tf, [None])])
    def cond(x):
        return tf.cond(tf.reduce_sum(x) > 0.0, lambda: x * m.w, lambda: x - m.w)

    @tf.function(input_signature=[_spec(tf, []), _spec(tf, [], "int32")])
    def power(x, n):
        return tf.while_loop(lambda i, y: i < n, lambda i, y: (i + 1, y * x * m.w), [tf.constant(0), tf.constant(1.0)])[1]

    @tf.function(input_signature=[_spec(tf, [None])])
    def nested(x):
        def body(i, total):
            return i + 1, total + tf.cond(x[i] > 0.0, lambda: x[i] * m.w, lambda: power(x[i], 2))

        return tf.while_loop(lambda i, t: i < tf.shape(x)[0], body, [0, 0.0])[1]

    @tf.function(input_signature=[_spec(tf, [], "int32"), _spec(tf, [None])])
    def choose(i, x):
        return tf.switch_case(i, [lambda: x, lambda: x * 2.0, lambda: x * m.w])

    @tf.function(input_signature=[_spec(tf, [None])])
    def scan(x):
        return tf.map_fn(lambda v: v * m.w, x)

    m.cond, m.power, m.nested, m.choose, m.scan = cond, power, nested, choose, scan
    x = np.array([1.0, -2.0, 3.0], F)
    return Built(m, [
        Call("cond", (x,), gradients=("w",)), Call("cond", (-x,), gradients=("w",)), Call("power", (F(2), np.int32(3))),
        Call("power", (F(2), np.int32(0))), Call("nested", (x,), gradients=("w",)), Call("choose", (np.int32(2), x)),
        Call("choose", (np.int32(9), x)), Call("scan", (x,), gradients=("w",)),
    ])  # fmt: skip


@kind
def signatures(tf: Any, folder: str) -> Built:
    """Several signatures; results as a tensor, a sequence, a named tuple, a mapping; names that need cleaning."""
    m = tf.Module()
    m.w = tf.Variable(3.0, name="w")

    @tf.function(input_signature=[_spec(tf, [None], name="x")])
    def one(x):
        return x * m.w

    @tf.function(input_signature=[_spec(tf, [None], name="b"), _spec(tf, [None], name="a")])
    def two(b, a):
        return b - a, b + m.w

    @tf.function
    def named(x):
        return Pair(x["q"], x["p"] * 2)

    @tf.function
    def mapping(x):
        m.w.assign_add(1.0)
        return {"z": x, "a": x + m.w}

    m.one = one
    chosen = {
        "serving_default": one, "two": two,
        "named": named.get_concrete_function({"p": _spec(tf, [2], "int32", "p"), "q": _spec(tf, [], name="q")}),
        "mapping": mapping.get_concrete_function(_spec(tf, [], name="in_1")),
    }  # fmt: skip
    x = tf.constant([1.0, 2.0])
    return Built(m, [
        Call("signatures/serving_default", (x,)), Call("signatures/serving_default", (), {"x": x}), Call("signatures/two", (), {"a": x, "b": x + x}),
        Call("signatures/named", (), {"p": tf.constant([1, 2]), "q": tf.constant(1.0)}), Call("signatures/mapping", (tf.constant(1.0),)),
        Call("signatures/mapping", (tf.constant(1.0),)), Call("w="), Call("signatures/two", (x, x), raises="positional"),
        Call("signatures/two", (), {"a": x}, raises="b"), Call("signatures/serving_default", (), {"y": x}, raises="x"),
    ], chosen)  # fmt: skip


@kind
def signature_defaults(tf: Any, folder: str) -> Built:
    m = tf.Module()
    four = tf.constant(4.0)

    @tf.function(input_signature=[_spec(tf, [None], name="x"), _spec(tf, [], name="scale")])
    def f(x, scale=four):
        return {"y": x * scale}

    m.f = f
    x = tf.constant([1.0, 2.0])
    return Built(m, [
        Call("signatures/serving_default", (), {"x": x, "scale": tf.constant(2.0)}), Call("f", (x,)),
        Call("f", (x, tf.constant(0.5))),
    ], {"serving_default": f})  # fmt: skip


@kind
def state(tf: Any, folder: str) -> Built:
    """Effects in order, at every level; a function that was never traced."""
    m = tf.Module()
    m.count = tf.Variable(0, name="count")
    m.log = tf.Variable([0.0], shape=[None], name="log")

    @tf.function(input_signature=[])
    def step():
        m.count.assign_add(1)
        return m.count.read_value()

    @tf.function(input_signature=[_spec(tf, [])])
    def twice(x):
        step()
        m.log.assign(tf.concat([m.log, [x]], 0))
        return step() + m.count

    @tf.function(input_signature=[_spec(tf, [])])
    def silent(x):
        m.log.assign(tf.concat([m.log, [x * 2.0]], 0))

    @tf.function
    def untraced(x):
        return x

    m.step, m.twice, m.silent, m.untraced = step, twice, silent, untraced
    return Built(m, [
        Call("step", ()), Call("twice", (F(3),)), Call("silent", (F(4),)), Call("count="), Call("log="),
        Call("untraced", (F(1),), raises="Found zero restored functions for caller function"),
    ])  # fmt: skip


@kind
def convolution(tf: Any, folder: str) -> Built:
    m = tf.Module()
    m.kernel = tf.Variable(np.linspace(-1, 1, 54, dtype=F).reshape(3, 3, 2, 3), name="conv/kernel")
    m.bias = tf.Variable([0.5, 0.0, -0.5], name="conv/bias")
    m.dense = tf.Variable(np.linspace(-1, 1, 12, dtype=F).reshape(3, 4), name="dense")

    @tf.function(input_signature=[_spec(tf, [None, 6, 6, 2], name="image")])
    def serve(image):
        h = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(image, m.kernel, 1, "SAME"), m.bias))
        h = tf.nn.max_pool2d(h, 2, 2, "VALID")
        return {"probabilities": tf.nn.softmax(tf.matmul(tf.reduce_mean(h, [1, 2]), m.dense))}

    @tf.function(input_signature=[_spec(tf, [None, 6, 6, 2], name="image")])
    def loss(image):
        return tf.reduce_mean(serve(image)["probabilities"][:, 0])

    m.serve, m.loss = serve, loss
    image = np.sin(np.arange(144, dtype=F)).reshape(2, 6, 6, 2)
    return Built(m, [
        Call("serve", (image,)), Call("loss", (image,), gradients=("kernel", "bias", "dense")),
        Call("signatures/serving_default", (), {"image": tf.constant(image)}),
    ], {"serving_default": serve})  # fmt: skip
