"""Random ops and functions give TensorFlow's numbers, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.oracle.compare import tf
from tracer.dispatch import raw
from tracer.dtypes import as_dtype
from tracer.functions import function
from tracer.public import tf as ours
from tracer.tensor import Tensor

SIZES = [0, 1, 3, 7, 1001, 70_003]
FLOATS = ["float16", "bfloat16", "float32", "float64"]


def assert_bits(expected: Any, actual: Any, where: str = "") -> None:
    if isinstance(expected, (list, tuple)):
        for e, a in zip(expected, actual, strict=True):
            assert_bits(e, a, where)
        return
    e, a = np.asarray(expected), actual.numpy() if isinstance(actual, Tensor) else np.asarray(actual)
    assert e.dtype == a.dtype and e.shape == a.shape, where
    different = (np.ascontiguousarray(e).view(f"u{e.dtype.itemsize}") != np.ascontiguousarray(a).view(f"u{a.dtype.itemsize}")).sum()
    assert different == 0, f"{where}: {different} of {e.size} differ"


def array(value: Any, dtype: str) -> np.ndarray:
    return np.asarray(value).astype(as_dtype(dtype).numpy)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["RandomUniform", "RandomStandardNormal", "TruncatedNormal"])
def test_a_seeded_op_continues_its_stream_as_tensorflow_does(op: str, dtype: str) -> None:
    tf.random.set_seed(3)
    ours.random.set_seed(3)
    for n in SIZES:
        assert_bits(getattr(tf.raw_ops, op)(shape=[n], dtype=dtype, seed=5, seed2=9), getattr(raw, op)([n], dtype=dtype, seed=5, seed2=9), f"{op} {n}")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ["StatelessRandomUniform", "StatelessRandomNormal", "StatelessTruncatedNormal"])
def test_a_stateless_op_gives_the_numbers_of_its_seed(op: str, dtype: str) -> None:
    for n in SIZES:
        for seed in ([1, 2], [-5, 2**40]):
            assert_bits(getattr(tf.raw_ops, op)(shape=[n], dtype=dtype, seed=seed), getattr(raw, op)([n], seed, dtype=dtype), f"{op} {n}")
            key, counter, alg = raw.StatelessRandomGetKeyCounterAlg(seed)
            assert_bits(tf.raw_ops.StatelessRandomGetKeyCounterAlg(seed=seed), [key, counter, alg])
            name = op + "V2"
            expected = getattr(tf.raw_ops, name)(shape=[n], dtype=dtype, key=key.numpy(), counter=counter.numpy(), alg=1)
            assert_bits(expected, getattr(raw, name)([n], key, counter, alg, dtype=dtype), name)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "uint64"])
def test_integers_are_equal(dtype: str) -> None:
    for n in SIZES:
        assert_bits(tf.raw_ops.StatelessRandomUniformFullInt(shape=[n], seed=[1, 2], dtype=dtype), raw.StatelessRandomUniformFullInt([n], [1, 2], dtype=dtype))
        if dtype[0] == "i":
            low, high = array(-7, dtype), array(2**31 - 1, dtype)
            expected = tf.raw_ops.StatelessRandomUniformInt(shape=[n], seed=[1, 2], minval=low, maxval=high)
            assert_bits(expected, raw.StatelessRandomUniformInt([n], [1, 2], low, high))
            tf.random.set_seed(3)
            ours.random.set_seed(3)
            for _ in range(2):
                assert_bits(tf.random.uniform([n], -9, 1000, dtype), ours.random.uniform([n], -9, 1000, dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_gamma_poisson_and_binomial_are_equal(dtype: str) -> None:
    alpha = array([0.1, 0.5, 1, 1.5, 3, 30, 1e4], dtype)
    rate = array([0, 0.1, 1, 2, 5, 9.9, 10, 11, 30, 1000], dtype)
    counts = array([0, 5, 10, 100, 1000, 20000, 30, 30, 40, 1e4], dtype)
    probs = array([0.5, 0.1, 0.7, 0.3, 0.9, 0.01, 0, 1, 0.5, 0.999], dtype)
    tf.random.set_seed(3)
    ours.random.set_seed(3)
    for n in (1, 700):
        assert_bits(tf.raw_ops.StatelessRandomGammaV2(shape=[n, 7], seed=[1, 2], alpha=alpha), raw.StatelessRandomGammaV2([n, 7], [1, 2], alpha))
        for _ in range(2):
            assert_bits(tf.raw_ops.RandomGamma(shape=[n], alpha=alpha, seed=4, seed2=1), raw.RandomGamma([n], alpha, seed=4, seed2=1), "gamma")
        for out in ("float32", "int64"):
            expected = tf.raw_ops.StatelessRandomPoisson(shape=[n, 10], seed=[1, 2], lam=rate, dtype=out)
            assert_bits(expected, raw.StatelessRandomPoisson([n, 10], [1, 2], rate, dtype=out), "poisson")
            expected = tf.raw_ops.RandomPoissonV2(shape=[n], rate=rate, dtype=out, seed=4, seed2=1)
            assert_bits(expected, raw.RandomPoissonV2([n], rate, dtype=out, seed=4, seed2=1), "stateful poisson")
            expected = tf.raw_ops.StatelessRandomBinomial(shape=[n, 10], seed=[1, 2], counts=counts, probs=probs, dtype=out)
            assert_bits(expected, raw.StatelessRandomBinomial([n, 10], [1, 2], counts, probs, dtype=out), "binomial")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("limits", [(-2, 2), (1, 5), (3, 3.5), (-np.inf, 1), (2, np.inf), (-5, -4)])
def test_truncated_normals_with_parameters_are_equal(dtype: str, limits: tuple[float, float]) -> None:
    mean, deviation, low, high = (array(v, dtype) for v in (0.5, 2, *limits))
    tf.random.set_seed(3)
    ours.random.set_seed(3)
    for n in (1, 350, 3000):
        expected = tf.raw_ops.StatelessParameterizedTruncatedNormal(shape=[n], seed=[1, 2], means=mean, stddevs=deviation, minvals=low, maxvals=high)
        assert_bits(expected, raw.StatelessParameterizedTruncatedNormal([n], [1, 2], mean, deviation, low, high))
        expected = tf.raw_ops.ParameterizedTruncatedNormal(shape=[n], means=mean, stdevs=deviation, minvals=low, maxvals=high, seed=3)
        assert_bits(expected, raw.ParameterizedTruncatedNormal([n], mean, deviation, low, high, seed=3))
    means = array([0.5, 1, 1.5], dtype)
    expected = tf.raw_ops.ParameterizedTruncatedNormal(shape=[3, 50], means=means, stdevs=deviation, minvals=low, maxvals=high, seed=8)
    assert_bits(expected, raw.ParameterizedTruncatedNormal([3, 50], means, deviation, low, high, seed=8))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_class_numbers_are_equal(dtype: str) -> None:
    tf.random.set_seed(3)
    ours.random.set_seed(3)
    for rows, samples in ((1, 1), (1, 1000), (64, 7), (500, 13), (3, 0), (0, 3)):
        logits = array(np.random.RandomState(0).randn(rows, 10), dtype)
        if rows:
            logits[0, 3] = -np.inf
        assert_bits(tf.raw_ops.StatelessMultinomial(logits=logits, num_samples=samples, seed=[1, 2]), raw.StatelessMultinomial(logits, samples, [1, 2]))
        for _ in range(2):
            assert_bits(tf.random.categorical(logits, samples, seed=4), ours.random.categorical(logits, samples, seed=4))


def test_shuffles_are_equal() -> None:
    tf.random.set_seed(3)
    ours.random.set_seed(3)
    for shape in ((1,), (7,), (100, 3), (0, 2), (1001,)):
        value = np.arange(int(np.prod(shape))).reshape(shape)
        for _ in range(2):
            assert_bits(tf.random.shuffle(value, seed=5), ours.random.shuffle(value, seed=5))
        assert_bits(tf.random.experimental.stateless_shuffle(value, [1, 2]), ours.random.experimental.stateless_shuffle(value, [1, 2]))
    for largest in (1, 2, 5, 1000, 70000):
        for index in range(0, largest + 1, max(1, largest // 5)):
            assert_bits(tf.random.experimental.index_shuffle(index, [1, 2], largest), ours.random.experimental.index_shuffle(index, [1, 2], largest))


def test_eager_functions_draw_op_seeds_as_tensorflow_does() -> None:
    for seed in (0, 1, 42, 2**40):
        tf.random.set_seed(seed)
        ours.random.set_seed(seed)
        for _ in range(2):
            assert_bits(tf.random.uniform([3]), ours.random.uniform([3]))
            assert_bits(tf.random.normal([2, 3], 1.5, 3.0), ours.random.normal([2, 3], 1.5, 3.0))
            assert_bits(tf.random.normal([5], seed=7), ours.random.normal([5], seed=7))
            assert_bits(tf.random.truncated_normal([5], dtype=tf.float16), ours.random.truncated_normal([5], dtype="float16"))
            assert_bits(tf.random.gamma([5], [0.5, 2.0], [1.0, 3.0]), ours.random.gamma([5], [0.5, 2.0], [1.0, 3.0]))
            assert_bits(tf.random.poisson([5], [0.5, 20.0]), ours.random.poisson([5], [0.5, 20.0]))
            assert_bits(tf.random.uniform([4], 2, 3), ours.random.uniform([4], 2, 3))


def test_functions_number_their_random_ops_and_restart_with_the_seed() -> None:
    results = []
    for t, fn in ((tf, tf.function), (ours, lambda f: function(f, autograph=False))):
        t.random.set_seed(1)

        @fn
        def inner(t: Any = t) -> Any:
            return t.random.uniform([2])

        @fn
        def outer(t: Any = t) -> Any:
            return t.random.normal([2]), t.random.uniform([2]), t.random.uniform([2], seed=4)

        found = [outer(), outer(), inner(), inner()]
        t.random.set_seed(2)
        results.append([*found, inner(), outer()])
    for expected, actual in zip(*results, strict=True):
        assert_bits(expected, actual)


def test_stateless_functions_are_equal() -> None:
    for alg in ("auto_select", "philox"):
        assert_bits(tf.random.stateless_uniform([5], [1, 2], 3, 9, alg=alg), ours.random.stateless_uniform([5], [1, 2], 3, 9, alg=alg))
        assert_bits(tf.random.stateless_normal([5], [1, 2], 3, 9, alg=alg), ours.random.stateless_normal([5], [1, 2], 3, 9, alg=alg))
        assert_bits(tf.random.split([1, 2], 3, alg), ours.random.split([1, 2], 3, alg))
        assert_bits(tf.random.fold_in([1, 2], 3, alg), ours.random.fold_in([1, 2], 3, alg))
    assert_bits(tf.random.stateless_truncated_normal([5], [1, 2], 3, 9), ours.random.stateless_truncated_normal([5], [1, 2], 3, 9))
    assert_bits(tf.random.stateless_uniform([5], [1, 2], 3, 9, "int64"), ours.random.stateless_uniform([5], [1, 2], 3, 9, "int64"))
    assert_bits(tf.random.stateless_uniform([5], [1, 2], None, None, "int32"), ours.random.stateless_uniform([5], [1, 2], None, None, "int32"))
    assert_bits(tf.random.stateless_gamma([5, 2], [1, 2], [0.5, 2.0], 3.0), ours.random.stateless_gamma([5, 2], [1, 2], [0.5, 2.0], 3.0))
    assert_bits(tf.random.stateless_poisson([5, 2], [1, 2], [0.5, 20.0]), ours.random.stateless_poisson([5, 2], [1, 2], [0.5, 20.0]))
    assert_bits(tf.random.stateless_binomial([5, 2], [1, 2], [5.0, 20.0], 0.3), ours.random.stateless_binomial([5, 2], [1, 2], [5.0, 20.0], 0.3))
    assert_bits(tf.random.stateless_categorical([[0.1, 0.7]], 9, [1, 2]), ours.random.stateless_categorical([[0.1, 0.7]], 9, [1, 2]))


def test_generators_are_equal() -> None:
    for make in (
        lambda t: t.random.Generator.from_seed(1234),
        lambda t: t.random.Generator.from_seed(-(2**70)),
        lambda t: t.random.Generator.from_seed([1, 2, 3]),
        lambda t: t.random.Generator.from_state([1, -2, 3], "philox"),
        lambda t: t.random.Generator.from_state([-1, -1, 3], 1),
        lambda t: t.random.Generator.from_key_counter(5, [1, 2], "philox"),
        lambda t: t.random.Generator(t.random.Generator.from_seed(3)),
    ):
        a, b = make(tf), make(ours)
        for _ in range(2):
            assert_bits(a.state.read_value(), b.state.read_value())
            assert_bits(a.normal([2, 3], 1.0, 2.0), b.normal([2, 3], 1.0, 2.0))
            assert_bits(a.uniform([3]), b.uniform([3]))
            assert_bits(a.uniform([], 1, 9, "int32"), b.uniform([], 1, 9, "int32"))
            assert_bits(a.uniform_full_int([3]), b.uniform_full_int([3]))
            assert_bits(a.truncated_normal([3], dtype="float64"), b.truncated_normal([3], dtype="float64"))
            assert_bits(a.binomial([4, 2], [5.0, 50.0], [0.3, 0.6]), b.binomial([4, 2], [5.0, 50.0], [0.3, 0.6]))
            assert_bits(a.make_seeds(3), b.make_seeds(3))
            assert_bits(a.key, b.key)
            for x, y in zip(a.split(2), b.split(2), strict=True):
                assert_bits(x.normal([3]), y.normal([3]))
        a.reset_from_seed(9), b.reset_from_seed(9)
        assert_bits(a.state.read_value(), b.state.read_value())
        a.reset_from_key_counter(9, [1, 2]), b.reset_from_key_counter(9, [1, 2])
        assert_bits(a.state.read_value(), b.state.read_value())
        a.skip(10), b.skip(10)
        assert_bits(a.state.read_value(), b.state.read_value())
        for op in ("StatefulStandardNormalV2", "StatefulUniform", "StatefulTruncatedNormal"):
            expected = getattr(tf.raw_ops, op)(resource=a.state.handle, algorithm=1, shape=[5], dtype=tf.float32)
            assert_bits(expected, getattr(raw, op)(b.state.handle, 1, np.array([5], np.int64), dtype="float32"))


def test_gradients_of_samples_are_tensorflows() -> None:
    from tests.oracle.compare import compare_fn, compare_op

    compare_op("RandomGammaGrad", [np.array([0.1, 0.5, 1, 3, 30.0]), np.array([0.01, 1.0, 1.3, 2.0, 40.0])], rtol=1e-8)
    compare_op("RandomGammaGrad", [np.array([[2.0, 8.0]], np.float32), np.array([[0.1, 9.0], [3.0, 4.0]], np.float32)], rtol=1e-4)
    compare_fn("random.stateless_gamma", [40, 3], [1, 2], np.array([0.5, 2.0, 9.0], np.float32), grad=True, rtol=1e-3)
    parameters = [np.array([0.1, 0.3]), np.array(1.5), np.array([-1.0, 0.1]), np.array([[2.0], [3.0]])]
    compare_op("StatelessParameterizedTruncatedNormal", [np.array([6, 2, 2], np.int32), np.array([1, 2]), *parameters], grad=True)
