"""Random numbers: values recorded from TensorFlow 2.15.1, and the rules of streams and seeds. No TensorFlow needed."""

from __future__ import annotations

import numpy as np
import pytest

from tests.tracer.check import check_traced
from tracer import random as streams
from tracer import random_distributions as draw
from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.functions import function
from tracer.public import tf


def close(expected: list[float], actual: object) -> None:
    np.testing.assert_allclose(actual.numpy(), np.array(expected, np.float32), rtol=1e-7, atol=1e-8)  # type: ignore[attr-defined]


def test_philox_gives_the_known_answers_of_its_authors() -> None:
    assert streams.Stream(0, 0).blocks(1)[0].tolist() == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = streams.Stream(2**64 - 1, 2**128 - 1).blocks(1)[0].tolist()
    assert ones == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


def test_the_counter_carries_over_its_whole_width() -> None:
    stream = streams.Stream(7, 2**64 - 2)
    for i in range(4):
        assert stream.blocks(4)[i].tolist() == stream.skip(i).blocks(1)[0].tolist()


def test_eager_functions_give_tensorflows_numbers() -> None:
    tf.random.set_seed(5)
    close([0.6263931, 0.5298432], tf.random.uniform([2]))
    close([0.7017075, 0.04336786], tf.random.uniform([2]))
    close([0.2886784, 0.6889242], tf.random.uniform([2], seed=3))
    close([0.50560665, 0.73339117], tf.random.uniform([2], seed=3))


def test_a_function_continues_its_stream_and_set_seed_restarts_it() -> None:
    tf.random.set_seed(1)

    @function(autograph=False)
    def sample():
        return tf.random.uniform([2])

    first = [[0.81269646, 0.07857466], [0.8489425, 0.09832478]]
    for expected in first:
        close(expected, sample())
    tf.random.set_seed(2)
    for expected in first:
        close(expected, sample())


def test_without_seeds_numbers_differ_from_call_to_call() -> None:
    streams.set_seed(None)
    assert (tf.random.uniform([8]).numpy() != tf.random.uniform([8]).numpy()).any()


def test_many_other_kernels_do_not_make_a_seeded_one_forget_its_place() -> None:
    tf.random.set_seed(5)
    first = tf.random.uniform([2], seed=3).numpy()
    for _ in range(600):
        tf.random.uniform([1])
    assert (tf.random.uniform([2], seed=3).numpy() != first).all()


def test_traced_stateless_functions_equal_eager_ones() -> None:
    check_traced(lambda seed: tf.random.stateless_normal([3, 5], seed), [np.array([1, 2])])
    check_traced(lambda seed: tf.random.stateless_uniform([7], seed, 3, 90, "int32"), [np.array([1, 2])])
    check_traced(lambda seed: tf.random.split(seed, 3), [np.array([1, 2])])


def test_a_generator_never_gives_a_number_twice_and_can_be_reset() -> None:
    generator = tf.random.Generator.from_seed(3)
    first = generator.normal([4]).numpy()
    assert (generator.normal([4]).numpy() != first).all()
    generator.reset_from_seed(3)
    assert (generator.normal([4]).numpy() == first).all()


def test_arguments_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ShapeError):
        raw.RandomUniform([-1], dtype="float32")
    with pytest.raises(InvalidArgumentError, match="minval < maxval"):
        tf.random.uniform([2], 5, 5, "int32")
    with pytest.raises(ShapeError, match="shape \\[2\\]"):
        raw.StatelessRandomUniform([2], [1, 2, 3])
    with pytest.raises(InvalidArgumentError, match="algorithm id: 2"):
        tf.random.stateless_uniform([2], [1, 2], alg="threefry")


def test_shards_cover_their_range_once() -> None:
    for total in (1, 7, 1000, 12345):
        for threads in (1, 2, 7):
            found = draw.shards(total, 500.0, threads)
            assert [b for a, b in found[:-1]] == [a for a, b in found[1:]] and found[0][0] == 0 and found[-1][1] == total


def test_gamma_samples_have_the_derivative_of_their_distribution_function() -> None:
    # P(x; 1) = 1 - exp(-x) and P(x; 2) = 1 - (1 + x) exp(-x); the derivative between them has no closed form, but moves x upwards.
    slope = raw.RandomGammaGrad(np.array([1.0, 2.0, 50.0]), np.array([0.5, 1.5, 49.0])).numpy()
    assert (slope > 0).all() and abs(slope[2] - 1) < 0.05
