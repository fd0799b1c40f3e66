"""Random ops whose state is a variable, and tf.random.Generator on them. Authority for every value: TensorFlow 2.15's CPU kernels.

The state of Philox is three int64 numbers: a 128-bit counter, low word first, and the key. Each call moves the counter on by 256 blocks
an element, so that two calls never share a block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import dtypes, infer
from tracer import random_distributions as draw
from tracer.dispatch import init_scope, name_scope, raw
from tracer.dtypes import as_dtype
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.public import public
from tracer.random import Stream, entropy64
from tracer.random_arguments import algorithm_number, check_algorithm, dims_of, shape_tensor, size_of, unsupported
from tracer.registry import op
from tracer.shapes import TensorShape
from tracer.tensor import convert_to_tensor
from tracer.variable import Variable

__all__: list[str] = []

_BLOCKS = draw.RESERVED_BLOCKS
_LOCK = threading.Lock()
_MASK = 2**64 - 1

# -- ops -------------------------------------------------------------------------------------------------------------


def _advance(resource: Any, blocks: int, tag: int = 0) -> tuple[Stream, np.ndarray]:
    """The stream that the state variable stands for, and its value, before moving it on by `blocks`."""
    with _LOCK:
        state = resource.read()
        if state.dtype != np.int64:
            raise InvalidArgumentError(f"dtype of RNG state variable must be int64, not {state.dtype}")
        if state.ndim != 1 or len(state) < 3 + tag:
            raise ShapeError(f"For the Philox algorithm, the size of state must be at least {3 + tag}; got shape {list(state.shape)}")
        low, high, key = (int(v) & _MASK for v in state[tag : tag + 3])
        stream = Stream(key, low | high << 64)
        counter = stream.skip(blocks).counter
        new = state.copy()
        new[tag : tag + 2] = np.array([counter & _MASK, counter >> 64], np.uint64).view(np.int64)
        resource.write(new)
        return stream, state


def _from_state(resource: Any, algorithm: Any, shape: Any, sample: Callable[..., np.ndarray], *arguments: Any) -> np.ndarray:
    tag = 0
    if algorithm is None:
        algorithm, tag = resource.read()[0], 1
    check_algorithm(algorithm)
    dims = dims_of(shape)
    count = size_of(dims)
    stream, _ = _advance(resource, count * _BLOCKS, tag)
    return sample(stream, count, *arguments).reshape(dims)


def _register(text: str, shape_index: int, sample: Callable[..., np.ndarray]) -> None:
    record = op(text)
    record.infer(infer.shape_from_input(shape_index))
    if shape_index == 1:
        record.kernel(_with_dtype(lambda resource, shape, dtype: _from_state(resource, None, shape, sample, dtype)))
    else:
        record.kernel(_with_algorithm(sample))
    record.not_differentiable()


def _with_dtype(run: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(resource: Any, shape: Any, *, dtype: Any) -> Any:
        return run(resource, shape, dtype)

    return kernel


def _with_algorithm(sample: Callable[..., np.ndarray]) -> Callable[..., Any]:
    def kernel(resource: Any, algorithm: Any, shape: Any, *, dtype: Any) -> Any:
        return _from_state(resource, algorithm, shape, sample, dtype)

    return kernel


for _text, _index, _sample in (
    ("StatefulStandardNormal(resource: resource, shape: shape_dtype) -> (output: dtype) !stateful; dtype: type = float; shape_dtype: type = int64", 1, draw.normal),
    ("StatefulStandardNormalV2(resource: resource, algorithm: int64, shape: shape_dtype) -> (output: dtype) !stateful; dtype: type = float; shape_dtype: type = int64", 2, draw.normal),
    ("StatefulTruncatedNormal(resource: resource, algorithm: int64, shape: shape_dtype) -> (output: dtype) !stateful; dtype: type = float; shape_dtype: type = int64", 2, draw.truncated_normal),
    ("StatefulUniform(resource: resource, algorithm: int64, shape: shape_dtype) -> (output: dtype) !stateful; dtype: type = float; shape_dtype: type = int64", 2, draw.uniform),
    ("StatefulUniformFullInt(resource: resource, algorithm: int64, shape: shape_dtype) -> (output: dtype) !stateful; dtype: type = uint64; shape_dtype: type = int64", 2, draw.full_int),
):  # fmt: skip
    _register(_text, _index, _sample)

uniform_int_op = op("StatefulUniformInt(resource: resource, algorithm: int64, shape: shape_dtype, minval: dtype, maxval: dtype) -> (output: dtype) !stateful; dtype: type = int64; shape_dtype: type = int64")  # fmt: skip
uniform_int_op.infer(infer.shape_from_input(2))
uniform_int_op.not_differentiable()


@uniform_int_op.kernel
def _(resource: Any, algorithm: Any, shape: Any, low: Any, high: Any, *, dtype: Any) -> np.ndarray:
    if low.ndim or high.ndim:
        raise ShapeError(f"minval and maxval must be 0-D, got shapes {list(low.shape)} and {list(high.shape)}")
    if low >= high:
        raise InvalidArgumentError(f"Need minval < maxval, got {low} >= {high}")
    return _from_state(resource, algorithm, shape, draw.uniform_int, low, high, dtype)


binomial_op = op("StatefulRandomBinomial(resource: resource, algorithm: int64, shape: S, counts: T, probs: T) -> (output: dtype) !stateful; S: {int32, int64}; T: {half, float, double, int32, int64} = double; dtype: {half, float, double, int32, int64} = int64")  # fmt: skip
binomial_op.infer(infer.shape_from_input(2))
binomial_op.not_differentiable()


@binomial_op.kernel
def _(resource: Any, algorithm: Any, shape: Any, counts: Any, probs: Any, *, dtype: Any) -> np.ndarray:
    check_algorithm(algorithm)
    dims = dims_of(shape)
    counts, probs = np.broadcast_arrays(counts, probs)
    rank = counts.ndim
    if rank > len(dims) or (rank and dims[-rank:] != counts.shape):
        raise ShapeError(f"Shape passed in must end with broadcasted shape. Received {list(dims)}, parameters of shape {list(counts.shape)}")
    each, batches = size_of(dims[: len(dims) - rank]), counts.size
    stream, _ = _advance(resource, batches * 2 * 100 * (each + 3) // 4 * _BLOCKS)
    if size_of(dims) == 0:
        return np.zeros(dims, dtype.numpy)
    return draw.binomial(stream, each, counts.reshape(-1), probs.reshape(-1), dtype).reshape(dims)


skip_op = op("RngSkip(resource: resource, algorithm: int64, delta: int64) -> () !stateful").not_differentiable()


@skip_op.kernel
def _(resource: Any, algorithm: Any, delta: Any) -> Any:
    check_algorithm(algorithm)
    _advance(resource, int(delta) * _BLOCKS)
    return ()


read_and_skip_op = op("RngReadAndSkip(resource: resource, alg: int32, delta: uint64) -> (value: int64) !stateful").not_differentiable()
read_and_skip_op.infer(lambda ctx: TensorShape([3]))


@read_and_skip_op.kernel
def _(resource: Any, algorithm: Any, delta: Any) -> Any:
    check_algorithm(algorithm)
    return _advance(resource, int(delta) * _BLOCKS)[1][:3].copy()


entropy_op = op("NonDeterministicInts(shape: shape_dtype) -> (output: dtype) !stateful; dtype: type = int64; shape_dtype: type = int64")
entropy_op.infer(infer.shape_from_input(0))
entropy_op.not_differentiable()


@entropy_op.kernel
def _(shape: Any, *, dtype: Any) -> Any:
    if dtype not in (dtypes.int32, dtypes.uint32, dtypes.int64, dtypes.uint64):
        raise InvalidArgumentError(f"Unsupported dtype: {dtype.name}; expected int32, uint32, int64 or uint64")
    dims = dims_of(shape)
    words = np.array([entropy64() for _ in range(size_of(dims))], np.uint64)
    return words.astype(dtype.numpy).reshape(dims)


# -- tf.random.Generator ---------------------------------------------------------------------------------------------

_STATE_SIZES = {1: 3, 2: 2, 3: 3}


def _state_size(alg: int) -> int:
    if alg not in _STATE_SIZES:
        raise InvalidArgumentError(unsupported(alg))
    return _STATE_SIZES[alg]


def _signed(n: Any) -> Any:
    if isinstance(n, (list, tuple)):
        return [_signed(v) for v in n]
    return n - 2**64 if isinstance(n, int) and n > 2**63 - 1 else n


def _as_state(value: Any) -> Any:
    value = _signed(value)
    if isinstance(value, Variable):
        value = value.read_value()
    if isinstance(value, (int, list)) and not _has_tensors(value):
        return convert_to_tensor(np.array(value, np.int64))
    value = convert_to_tensor(value)
    return value if value.dtype is dtypes.int64 else raw.Cast(value, DstT=dtypes.int64)


def _has_tensors(value: Any) -> bool:
    if isinstance(value, list):
        return any(_has_tensors(v) for v in value)
    return not isinstance(value, (int, np.integer))


@public("random.create_rng_state", "random.experimental.create_rng_state")
def create_rng_state(seed: Any, alg: Any) -> Any:
    """The state of a generator with `seed` (an int of any size, or numbers), zeros first: int64, one dimension."""
    size = _state_size(algorithm_number(alg))
    if isinstance(seed, int) and not isinstance(seed, bool):
        seed = [(seed >> (64 * i)) & _MASK for i in range(size)]
    state = raw.Reshape(_as_state(seed), [-1])[:size]
    have = state.shape[0]
    if have is None:
        state = raw.PadV2(state, raw.Reshape(raw.Pack([size - raw.Shape(state)[0], 0]), [1, 2]), np.int64(0))
        return raw.EnsureShape(state, shape=TensorShape([size]))
    if have < size:
        state = raw.ConcatV2([np.zeros(size - have, np.int64), state], 0)
    return state


@public("random.Generator", "random.experimental.Generator")
class Generator:
    """A random number generator whose state is the variable `state`.

    Make one with `from_seed`, `from_state`, `from_key_counter` or `from_non_deterministic_state`; or copy one with `Generator(other)`.
    """

    def __init__(self, copy_from: Generator | None = None, state: Any = None, alg: Any = None):
        if copy_from is not None:
            if state is not None or alg is not None:
                raise InvalidArgumentError("Generator: `copy_from` excludes `state` and `alg`")
            self._state_var = _state_variable(copy_from.state.read_value())
            self._alg = copy_from.algorithm
            return
        if alg is None or state is None:
            raise InvalidArgumentError("Generator: expected `copy_from`, or both `state` and `alg`")
        self._alg = algorithm_number(alg)
        if not isinstance(state, Variable):
            state = _state_variable(_as_state(state))
        if isinstance(self._alg, int) and not state.shape.is_compatible_with(TensorShape([_state_size(self._alg)])):
            raise ShapeError(f"Generator: expected a state of shape [{_state_size(self._alg)}], received {state.shape}")
        self._state_var = state

    @classmethod
    def from_state(cls, state: Any, alg: Any) -> Generator:
        """A generator with this state; a Variable is shared, not copied."""
        return cls(alg=alg, state=state)

    @classmethod
    def from_seed(cls, seed: Any, alg: Any = None) -> Generator:
        """A generator whose stream depends on `seed` alone."""
        alg = 1 if alg is None else algorithm_number(alg)
        return cls(state=create_rng_state(seed, alg), alg=alg)

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """A generator that starts from the operating system's entropy."""
        alg = 1 if alg is None else algorithm_number(alg)
        state = raw.NonDeterministicInts(np.array([_state_size(alg)], np.int64), dtype=dtypes.int64)
        return cls(state=state, alg=alg)

    @classmethod
    def from_key_counter(cls, key: Any, counter: Any, alg: Any) -> Generator:
        """A generator that starts at `counter` of the stream `key`."""
        alg = algorithm_number(alg)
        return cls(state=_key_counter_state(key, counter, alg), alg=alg)

    def reset(self, state: Any) -> None:
        """Set the state."""
        self._state_var.assign(_as_state(state))

    def reset_from_seed(self, seed: Any) -> None:
        """Start again as `from_seed(seed)`."""
        self._state_var.assign(create_rng_state(seed, self._alg))

    def reset_from_key_counter(self, key: Any, counter: Any) -> None:
        """Start again as `from_key_counter(key, counter)`."""
        self._state_var.assign(_key_counter_state(key, counter, self._alg))

    @property
    def state(self) -> Variable:
        return self._state_var

    @property
    def algorithm(self) -> Any:
        return self._alg

    @property
    def key(self) -> Any:
        """The key of the stream, a scalar."""
        return self._state_var.read_value()[-1]

    def _trackable_children(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return {"_state_var": self._state_var}

    def skip(self, delta: Any) -> Any:
        """Move the counter on by `delta` elements; returns the state before."""
        delta = convert_to_tensor(delta)
        if delta.dtype is not dtypes.uint64:
            delta = raw.Cast(delta, DstT=dtypes.uint64)
        return raw.RngReadAndSkip(self._state_var.handle, np.int32(self._alg) if isinstance(self._alg, int) else self._alg, delta)

    def _key_counter(self, shape: Any) -> tuple[Any, Any]:
        words = raw.Bitcast(self.skip(raw.Prod(shape, [0])), type=dtypes.uint64)
        size = _state_size(self._alg) - 1 if isinstance(self._alg, int) else 2
        return words[size : size + 1], words[:size]

    def _draw(self, op_name: str, shape: Any, name: str | None = None, **attrs: Any) -> Any:
        key, counter = self._key_counter(shape)
        return getattr(raw, op_name)(shape, key=key, counter=counter, alg=self._alg, name=name, **attrs)

    def normal(self, shape, mean=0.0, stddev=1.0, dtype=dtypes.float32, name=None):
        """Values of a normal distribution."""
        return self._scaled("StatelessRandomNormalV2", shape, mean, stddev, dtype, name)

    def truncated_normal(self, shape, mean=0.0, stddev=1.0, dtype=dtypes.float32, name=None):
        """Values of a normal distribution, those beyond two standard deviations drawn again."""
        return self._scaled("StatelessTruncatedNormalV2", shape, mean, stddev, dtype, name)

    def _scaled(self, op_name: str, shape: Any, mean: Any, stddev: Any, dtype: Any, name: str | None) -> Any:
        shape = shape_tensor(shape, dtypes.int64)
        mean, stddev = convert_to_tensor(mean, dtype), convert_to_tensor(stddev, dtype)
        return raw.AddV2(raw.Mul(self._draw(op_name, shape, dtype=as_dtype(dtype)), stddev), mean, name=name)

    def uniform(self, shape, minval=0, maxval=None, dtype=dtypes.float32, name=None):
        """Values over [minval, maxval); integers over their whole range where both are None.

        Raises:
            ValueError: only one bound for an integer dtype.
        """
        dtype = as_dtype(dtype)
        if dtype.is_integer:
            if (minval is None) != (maxval is None):
                raise InvalidArgumentError(
                    f"For integer dtype {dtype}, minval and maxval must be both `None` or both non-`None`; got minval={minval} and maxval={maxval}"
                )
        elif maxval is None:
            maxval = 1
        shape = shape_tensor(shape, dtypes.int64)
        if dtype.is_integer and minval is None:
            return self._draw("StatelessRandomUniformFullIntV2", shape, name, dtype=dtype)
        minval, maxval = convert_to_tensor(minval, dtype), convert_to_tensor(maxval, dtype)
        if dtype.is_integer:
            return self._draw("StatelessRandomUniformIntV2", shape, name, minval=minval, maxval=maxval)
        rnd = self._draw("StatelessRandomUniformV2", shape, dtype=dtype)
        return raw.AddV2(raw.Mul(rnd, raw.Sub(maxval, minval)), minval, name=name)

    def uniform_full_int(self, shape, dtype=dtypes.uint64, name=None):
        """Integers over the whole range of `dtype`."""
        return self._draw("StatelessRandomUniformFullIntV2", shape_tensor(shape, dtypes.int64), name, dtype=as_dtype(dtype))

    def binomial(self, shape, counts, probs, dtype=dtypes.int32, name=None):
        """Successes among `counts` trials with probability `probs`; `shape` ends with their broadcast shape."""
        return raw.StatefulRandomBinomial(
            self._state_var.handle, np.int64(self._alg), shape_tensor(shape, dtypes.int64), convert_to_tensor(counts), convert_to_tensor(probs),
            dtype=as_dtype(dtype), name=name,
        )  # fmt: skip

    def make_seeds(self, count=1):
        """Seeds for stateless functions: int64, shape (2, count)."""
        keys = self.uniform_full_int([count], dtypes.int64)
        return raw.Pack([keys, raw.ZerosLike(keys)])

    def split(self, count: int = 1) -> list[Generator]:
        """`count` independent generators."""
        keys = raw.Unpack(self.uniform_full_int([count], dtypes.int64), num=count)
        size = _state_size(self._alg)
        return [Generator(state=raw.ConcatV2([np.zeros(size - 1, np.int64), raw.Reshape(k, [1])], 0), alg=self._alg) for k in keys]


def _state_variable(value: Any) -> Variable:
    with name_scope("random_generator"):
        return Variable(value, dtype=dtypes.int64, trainable=False, name="StateVar")


def _key_counter_state(key: Any, counter: Any, alg: int) -> Any:
    counter, key = _as_state(counter), _as_state(key)
    if not counter.shape.is_compatible_with(TensorShape([_state_size(alg) - 1])) or key.shape.rank not in (None, 0):
        raise ShapeError(f"expected a counter of shape [{_state_size(alg) - 1}] and a scalar key, received {counter.shape} and {key.shape}")
    return raw.ConcatV2([counter, raw.Reshape(key, [1])], 0)


_global_generator: list[Generator] = []


@public("random.get_global_generator", "random.experimental.get_global_generator")
def get_global_generator() -> Generator:
    """The global generator; made from entropy when first asked for."""
    if not _global_generator:
        with init_scope():
            _global_generator.append(Generator.from_non_deterministic_state())
    return _global_generator[0]


@public("random.set_global_generator", "random.experimental.set_global_generator")
def set_global_generator(generator: Generator) -> None:
    """Replace the global generator. Functions traced before keep the one that they were traced with."""
    _global_generator[:] = [generator]
