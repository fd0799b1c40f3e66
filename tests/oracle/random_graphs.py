"""Random programs over common ops, control flow and nested functions, as data: run by TensorFlow or by this library, eagerly or traced.

A program is a list of steps (op, operands, parameters) over float tensors of small static shapes. It is made together with the shapes, so
that every step fits.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

__all__ = ["OPS", "Program", "make", "run"]


@dataclass
class Program:
    """Steps that refer to values by number: inputs first, then the variable, then the result of each step."""

    shapes: list[tuple[int, ...]]  # of the inputs
    variable: tuple[int, ...]
    steps: list[tuple[str, tuple[int, ...], Any]]
    results: list[int]


Shape = tuple[int, ...]

# name → (operands, shape rule: (rng, shapes) → (parameters, shape) or None where it does not fit, run: (tf, values, parameters) → tensor)
OPS: dict[str, tuple[int, Any, Any]] = {}


def _same(rng: random.Random, shapes: list[Shape]) -> Any:
    return None, shapes[0]


def _broadcast(rng: random.Random, shapes: list[Shape]) -> Any:
    a, b = shapes
    out = []
    for i in range(max(len(a), len(b))):
        p, q = (s[-1 - i] if i < len(s) else 1 for s in (a, b))
        if p != q and 1 not in (p, q):
            return None
        out.append(max(p, q) if 0 not in (p, q) else 0)
    return None, tuple(reversed(out))


def _unary(name: str, run: Any) -> None:
    OPS[name] = (1, _same, lambda tf, v, p: run(tf, v[0]))


def _binary(name: str, run: Any) -> None:
    OPS[name] = (2, _broadcast, lambda tf, v, p: run(tf, v[0], v[1]))


for _name in "tanh sin cos sigmoid abs negative square floor".split():
    _unary(_name, lambda tf, x, n=_name: getattr(tf, n)(x))
for _name in "relu softplus elu leaky_relu gelu".split():
    _unary(_name, lambda tf, x, n=_name: getattr(tf.nn, n)(x))
_unary("exp", lambda tf, x: tf.exp(tf.minimum(x, 2.0)))
_unary("log", lambda tf, x: tf.math.log(tf.abs(x) + 1.0))
_unary("sqrt", lambda tf, x: tf.sqrt(tf.abs(x) + 1.0))
_unary("rsqrt", lambda tf, x: tf.math.rsqrt(x * x + 1.0))
_unary("erf", lambda tf, x: tf.math.erf(x))
_unary("cast", lambda tf, x: tf.cast(tf.cast(x, tf.float64) * 2.0, tf.float32))
_unary("clip", lambda tf, x: tf.clip_by_value(x, -0.7, 0.9))
_unary("stop", lambda tf, x: x + tf.stop_gradient(x))
for _name in "add subtract multiply maximum minimum".split():
    _binary(_name, lambda tf, a, b, n=_name: getattr(tf, n)(a, b))
_binary("squared_difference", lambda tf, a, b: tf.math.squared_difference(a, b))
_binary("divide", lambda tf, a, b: a / (b * b + 1.0))
_binary("where", lambda tf, a, b: tf.where(a > b, a * 2.0, b))
_binary("atan2", lambda tf, a, b: tf.math.atan2(a, b * b + 0.5))


def _op(name: str, operands: int) -> Any:
    def decorate(rule_and_run: Any) -> Any:
        rule, run = rule_and_run()
        OPS[name] = (operands, rule, run)
        return rule_and_run

    return decorate


def _rank_at_least(rank: int, then: Any) -> Any:
    return lambda rng, shapes: then(rng, shapes[0]) if len(shapes[0]) >= rank else None


@_op("matmul", 2)
def _() -> Any:
    def rule(rng: Any, shapes: Any) -> Any:
        a, b = shapes
        return ((), (a[0], b[1])) if len(a) == len(b) == 2 and a[1] == b[0] else None

    return rule, lambda tf, v, p: tf.matmul(v[0], v[1])


@_op("gram", 1)
def _() -> Any:
    rule = lambda rng, shapes: ((), (shapes[0][1], shapes[0][1])) if len(shapes[0]) == 2 else None
    return rule, lambda tf, v, p: tf.matmul(v[0], v[0], transpose_a=True)


@_op("einsum", 2)
def _() -> Any:
    rule = lambda rng, shapes: ((), (shapes[0][0], shapes[1][0])) if len(shapes[0]) == len(shapes[1]) == 2 and shapes[0][1] == shapes[1][1] else None
    return rule, lambda tf, v, p: tf.einsum("ij,kj->ik", v[0], v[1])


@_op("transpose", 1)
def _() -> Any:
    def then(rng: Any, s: Shape) -> Any:
        perm = rng.sample(range(len(s)), len(s))
        return perm, tuple(s[i] for i in perm)

    return _rank_at_least(1, then), lambda tf, v, p: tf.transpose(v[0], p)


@_op("reshape", 1)
def _() -> Any:
    def then(rng: Any, s: Shape) -> Any:
        return [-1], (_size(s),)

    return _rank_at_least(2, then), lambda tf, v, p: tf.reshape(v[0], p)


def _size(s: Shape) -> int:
    n = 1
    for d in s:
        n *= d
    return n


for _name in "reduce_sum reduce_mean reduce_max reduce_logsumexp".split():

    @_op(_name, 1)
    def _(name: str = _name) -> Any:
        def then(rng: Any, s: Shape) -> Any:
            axis = rng.randrange(len(s))
            keep = rng.random() < 0.5
            return (axis, keep), tuple(1 if i == axis else d for i, d in enumerate(s) if keep or i != axis)

        return _rank_at_least(1, then), lambda tf, v, p: getattr(tf, name)(v[0], axis=p[0], keepdims=p[1])


def _axis(rng: Any, s: Shape) -> Any:
    return rng.randrange(len(s)), s


OPS["softmax"] = (1, _rank_at_least(1, _axis), lambda tf, v, p: tf.nn.softmax(v[0], axis=p))
OPS["log_softmax"] = (1, _rank_at_least(1, _axis), lambda tf, v, p: tf.nn.log_softmax(v[0], axis=p))
OPS["cumsum"] = (1, _rank_at_least(1, _axis), lambda tf, v, p: tf.cumsum(v[0], axis=p, exclusive=p == 0, reverse=p == 1))
OPS["reverse"] = (1, _rank_at_least(1, _axis), lambda tf, v, p: tf.reverse(v[0], [p]))
OPS["roll"] = (1, _rank_at_least(1, _axis), lambda tf, v, p: tf.roll(v[0], 1, p))


@_op("expand", 1)
def _() -> Any:
    rule = lambda rng, shapes: (0, (1, *shapes[0])) if len(shapes[0]) < 3 else None
    return rule, lambda tf, v, p: tf.expand_dims(v[0], p)


@_op("squeeze", 1)
def _() -> Any:
    rule = lambda rng, shapes: ((), shapes[0][1:]) if shapes[0][:1] == (1,) else None
    return rule, lambda tf, v, p: tf.squeeze(v[0], [0])


@_op("concat", 2)
def _() -> Any:
    rule = lambda rng, shapes: ((), (shapes[0][0] + shapes[1][0], *shapes[0][1:])) if shapes[0] and shapes[0][1:] == shapes[1][1:] and shapes[1] and shapes[0][0] + shapes[1][0] < 9 else None
    return rule, lambda tf, v, p: tf.concat([v[0], v[1]], 0)


@_op("stack", 2)
def _() -> Any:
    rule = lambda rng, shapes: ((), (2, *shapes[0])) if shapes[0] == shapes[1] and len(shapes[0]) < 3 else None
    return rule, lambda tf, v, p: tf.stack([v[0], v[1]])


@_op("split", 1)
def _() -> Any:
    rule = lambda rng, shapes: ((), (shapes[0][0] // 2, *shapes[0][1:])) if shapes[0] and shapes[0][0] % 2 == 0 and shapes[0][0] else None

    def run(tf: Any, v: Any, p: Any) -> Any:
        a, b = tf.split(v[0], 2)
        return a - 2.0 * b

    return rule, run


@_op("unstack", 1)
def _() -> Any:
    return _rank_at_least(1, lambda rng, s: ((), s[1:])), lambda tf, v, p: tf.add_n(tf.unstack(v[0]))


@_op("gather", 1)
def _() -> Any:
    def then(rng: Any, s: Shape) -> Any:
        indices = [rng.randrange(s[0]) for _ in range(3)]
        return indices, (3, *s[1:])

    return _rank_at_least(1, then), lambda tf, v, p: tf.gather(v[0], p)


@_op("slice", 1)
def _() -> Any:
    def then(rng: Any, s: Shape) -> Any:
        return ((), (len(range(0, s[0], 2)), *s[1:]))

    return _rank_at_least(1, then), lambda tf, v, p: v[0][::2]


@_op("pad", 1)
def _() -> Any:
    def then(rng: Any, s: Shape) -> Any:
        return ([[1, 0]] + [[0, 0]] * (len(s) - 1), (s[0] + 1, *s[1:])) if s[0] < 6 else None

    return _rank_at_least(1, then), lambda tf, v, p: tf.pad(v[0], p, constant_values=0.5)


@_op("tile", 1)
def _() -> Any:
    def then(rng: Any, s: Shape) -> Any:
        return ([2] + [1] * (len(s) - 1), (2 * s[0], *s[1:])) if s[0] < 4 else None

    return _rank_at_least(1, then), lambda tf, v, p: tf.tile(v[0], p)


@_op("one_hot", 1)
def _() -> Any:
    def then(rng: Any, s: Shape) -> Any:
        return ((), s) if len(s) == 2 else None

    return _rank_at_least(2, then), lambda tf, v, p: v[0] * tf.one_hot(tf.argmax(v[0], axis=1), v[0].shape[1]) + 0.1 * v[0]


@_op("top_k", 1)
def _() -> Any:
    return _rank_at_least(1, lambda rng, s: ((), (*s[:-1], 1))), lambda tf, v, p: tf.nn.top_k(v[0], 1).values


@_op("cond", 2)
def _() -> Any:
    rule = lambda rng, shapes: (rng.choice([-100.0, 0.0, 100.0]), shapes[0]) if shapes[0] == shapes[1] else None
    return rule, lambda tf, v, p: tf.cond(tf.reduce_sum(v[0]) > p, lambda: tf.tanh(v[0]) * v[1], lambda: v[0] - tf.sin(v[1]))


@_op("while_loop", 2)
def _() -> Any:
    rule = lambda rng, shapes: (rng.randrange(0, 4), shapes[0]) if shapes[0] == shapes[1] else None

    def run(tf: Any, v: Any, p: Any) -> Any:
        return tf.while_loop(lambda i, x: i < p, lambda i, x: (i + 1, tf.tanh(x * v[1] + v[0])), [tf.constant(0), v[0]])[1]

    return rule, run


@_op("nested", 2)
def _() -> Any:
    def run(tf: Any, v: Any, p: Any) -> Any:
        @tf.function(autograph=False)
        def inner(a: Any, b: Any) -> Any:
            return tf.sin(a) * 2.0 + tf.cond(tf.reduce_mean(b) > 0.0, lambda: a, lambda: a * a)

        return inner(v[0], v[1])

    return lambda rng, shapes: ((), shapes[0]), run


def make(seed: int) -> Program:
    """A random program: the same for the same seed."""
    rng = random.Random(seed)
    dims = [rng.randint(1, 4) for _ in range(3)]
    pick = lambda: tuple(rng.choice(dims) for _ in range(rng.randint(0, 3)))
    shapes = [pick() for _ in range(rng.randint(1, 3))]
    variable = pick()
    known: list[Shape] = [*shapes, variable]
    steps: list[tuple[str, tuple[int, ...], Any]] = []
    names = sorted(OPS)
    rare = {"cond", "while_loop", "nested"}
    while len(steps) < rng.randint(8, 20):
        name = rng.choice(names)
        if name in rare and sum(s[0] in rare for s in steps) >= 3:
            continue
        count, rule, _ = OPS[name]
        # later values more often, so that programs grow deep
        operands = tuple(max(rng.randrange(len(known)) for _ in range(2)) for _ in range(count))
        found = rule(rng, [known[i] for i in operands])
        if found is None or _size(found[1]) > 200 or len(found[1]) > 4:
            continue
        steps.append((name, operands, found[0]))
        known.append(found[1])
    used = {i for _, operands, _ in steps for i in operands}
    results = [i for i in range(len(shapes) + 1, len(known)) if i not in used][-3:]
    return Program(shapes, variable, steps, results)


def run(tf: Any, program: Program, inputs: list[Any], variable: Any) -> list[Any]:
    """The results of a program."""
    values = [*inputs, variable + 0.0]
    for k, (name, operands, parameters) in enumerate(program.steps):
        out = OPS[name][2](tf, [values[i] for i in operands], parameters)
        values.append(tf.tanh(out) if k % 4 == 3 else out)
    return [values[i] for i in program.results]
