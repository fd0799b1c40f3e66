"""Einsum: sums of products named by axes, with broadcasting ellipsis and repeated labels. Other products live in matmul.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracer.dispatch import raw
from tracer.errors import InvalidArgumentError, ShapeError
from tracer.gradient_rules import conjugate, unbroadcast
from tracer.public import public
from tracer.registry import op
from tracer.shapes import TensorShape, broadcast_shapes, unknown_shape
from tracer.tensor import convert_to_tensor

einsum_op = op("Einsum(inputs: N * T) -> (output: T); equation: string; N: int >= 1; T: type")

_ELLIPSIS = "..."


def _terms(equation: str) -> tuple[list[str], str]:
    """Input terms and output term of an explicit equation."""
    text = equation.replace(" ", "")
    if text.count("->") != 1:
        raise InvalidArgumentError(f"einsum: expected an equation with one '->', received {equation!r}")
    left, right = text.split("->")
    terms = left.split(",")
    for term in (*terms, right):
        if term.count(_ELLIPSIS) > 1 or not all(c.isalpha() for c in term.replace(_ELLIPSIS, "", 1)):
            raise InvalidArgumentError(f"einsum: expected letters and at most one ellipsis in each term, received {term!r} in {equation!r}")
    known = set("".join(terms))
    for c in right.replace(_ELLIPSIS, ""):
        if c not in known:
            raise InvalidArgumentError(f"einsum: output label {c!r} does not appear in any input of {equation!r}")
    return terms, right


def _labels(term: str, rank: int, equation: str) -> tuple[list[Any], int]:
    """One label per axis; the axes of the ellipsis are numbered from the back: -1, -2, … Returns also how many those are."""
    before, dots, after = term.partition(_ELLIPSIS)
    extra = rank - len(before) - len(after)
    if extra < 0 or (extra and not dots):
        raise InvalidArgumentError(f"einsum: expected rank {len(before) + len(after)} for term {term!r} of {equation!r}, received {rank}")
    return [*before, *range(-extra, 0), *after], extra


@einsum_op.infer
def _(ctx: Any) -> Any:
    equation = _text(ctx.attr("equation"))
    terms, right = _terms(equation)
    if len(terms) != len(ctx):
        raise InvalidArgumentError(f"einsum: {equation!r} names {len(terms)} inputs, received {len(ctx)}")
    sizes: dict[str, int | None] = {}
    batch = []
    is_ragged = False
    for i, term in enumerate(terms):
        shape = ctx.shape(i)
        before, dots, after = term.partition(_ELLIPSIS)
        if shape.rank is None:
            is_ragged = is_ragged or bool(dots)
            continue
        _, extra = _labels(term, shape.rank, equation)
        dims = shape.as_list()
        if dots:
            batch.append(dims[len(before) : len(before) + extra])
        for label, d in [*zip(before, dims), *zip(after, dims[len(before) + extra :])]:
            old = sizes.get(label)
            if old is not None and d is not None and old != d:
                raise ShapeError(f"einsum: label {label!r} of {equation!r} has sizes {old} and {d}")
            sizes[label] = d if old is None else old
    if _ELLIPSIS in right and is_ragged:
        return unknown_shape()
    lead = broadcast_shapes(batch).as_list() if batch else []
    out: list[int | None] = []
    before, dots, after = right.partition(_ELLIPSIS)
    out += [sizes.get(c) for c in before]
    if dots:
        out += lead
    out += [sizes.get(c) for c in after]
    return TensorShape(out)


def _text(equation: Any) -> str:
    return equation.decode() if isinstance(equation, bytes) else equation


# -- kernel ----------------------------------------------------------------------------------------------------------


def _take_diagonals(x: np.ndarray, labels: list[Any]) -> tuple[np.ndarray, list[Any]]:
    """Axes with the same label become one."""
    labels = list(labels)
    while len(set(labels)) != len(labels):
        i = next(i for i, c in enumerate(labels) if c in labels[i + 1 :])
        j = labels.index(labels[i], i + 1)
        if x.shape[i] != x.shape[j]:
            raise InvalidArgumentError(f"einsum: label {labels[i]!r} has sizes {x.shape[i]} and {x.shape[j]}")
        x = np.diagonal(x, axis1=i, axis2=j)
        label = labels[i]
        labels = [c for k, c in enumerate(labels) if k not in (i, j)] + [label]
    return x, labels


def _sum_out(x: np.ndarray, labels: list[Any], keep: set[Any]) -> tuple[np.ndarray, list[Any]]:
    axes = tuple(i for i, c in enumerate(labels) if c not in keep)
    if not axes:
        return x, labels
    return np.add.reduce(x, axis=axes, dtype=x.dtype), [c for c in labels if c in keep]


def _arranged(x: np.ndarray, labels: list[Any], order: Sequence[Any]) -> np.ndarray:
    """`x` with its axes in `order`; a label it lacks becomes an axis of size 1."""
    perm = [labels.index(c) for c in order if c in labels]
    if perm != list(range(len(perm))):
        x = x.transpose(perm)
    if len(perm) != len(order):
        sizes = iter(x.shape)
        x = x.reshape([next(sizes) if c in labels else 1 for c in order])
    return x


def _contract(a: np.ndarray, la: list[Any], b: np.ndarray, lb: list[Any], out: list[Any]) -> np.ndarray:
    """The product of two operands with unique labels, summed over what `out` does not name."""
    wanted = set(out)
    a, la = _sum_out(a, la, wanted | set(lb))
    b, lb = _sum_out(b, lb, wanted | set(la))
    common = [c for c in la if c in lb]
    summed = [c for c in common if c not in wanted]
    for c in common:
        m, n = a.shape[la.index(c)], b.shape[lb.index(c)]
        if m != n and not (isinstance(c, int) and 1 in (m, n)):
            raise InvalidArgumentError(f"einsum: label {c!r} has sizes {m} and {n}: expected the same size in all inputs")
    if not summed:
        return np.multiply(_arranged(a, la, out), _arranged(b, lb, out))
    batch = [c for c in out if c in la and c in lb]
    free_a = [c for c in out if c in la and c not in lb]
    free_b = [c for c in out if c in lb and c not in la]
    # matrices: (batch, free of a, summed) @ (batch, summed, free of b)
    x, y = _arranged(a, la, batch + free_a + summed), _arranged(b, lb, batch + summed + free_b)
    n, f = len(batch), len(free_a)
    sizes_a, sizes_b = x.shape[n : n + f], y.shape[n + len(summed) :]
    inner_a, inner_b = x.shape[n + f :], y.shape[n : n + len(summed)]
    if inner_a != inner_b:  # an ellipsis that is summed over and broadcast
        inner = np.broadcast_shapes(inner_a, inner_b)
        x = np.broadcast_to(x, x.shape[: n + f] + inner)
        y = np.broadcast_to(y, y.shape[:n] + inner + sizes_b)
        inner_a = inner
    depth, rows, cols = _product(inner_a), _product(sizes_a), _product(sizes_b)
    x = x.reshape(x.shape[:n] + (rows, depth))
    y = y.reshape(y.shape[:n] + (depth, cols))
    z = np.matmul(x, y)
    z = z.reshape(z.shape[:n] + tuple(sizes_a) + tuple(sizes_b))
    labels = batch + free_a + free_b
    return z if labels == out else z.transpose([labels.index(c) for c in out])


def _product(sizes: Sequence[int]) -> int:
    n = 1
    for s in sizes:
        n *= s
    return n


def _insert_diagonals(x: np.ndarray, labels: list[Any], target: list[Any]) -> np.ndarray:
    """`x` with unique `labels` spread on the diagonals that repeated labels of `target` mean."""
    if labels == target:
        return x
    sizes = dict(zip(labels, x.shape))
    full = np.zeros([sizes[c] for c in target], x.dtype)
    view, order = full, list(target)
    strides = []
    for c in labels:
        strides.append(sum(s for s, t in zip(view.strides, order) if t == c))
    np.lib.stride_tricks.as_strided(full, x.shape, strides)[...] = x
    return full


@einsum_op.prepare
def _(attrs: Any) -> Any:
    equation = _text(attrs["equation"])
    terms, right = _terms(equation)
    if len(terms) != attrs["N"]:
        raise InvalidArgumentError(f"einsum: {equation!r} names {len(terms)} inputs, received {attrs['N']}")
    dtype = attrs["T"].numpy
    is_narrow = dtype.itemsize == 2 and dtype.kind not in "iu"
    plans: dict[tuple[int, ...], tuple[list[list[Any]], list[Any], list[Any]]] = {}

    def plan(ranks: tuple[int, ...]) -> tuple[list[list[Any]], list[Any], list[Any]]:
        parsed = [_labels(t, r, equation) for t, r in zip(terms, ranks)]
        widest = max(extra for _, extra in parsed)
        before, dots, after = right.partition(_ELLIPSIS)
        if dots and not any(_ELLIPSIS in t for t in terms):
            widest = 0
        target = [*before, *(range(-widest, 0) if dots else ()), *after]
        return [p[0] for p in parsed], target, list(dict.fromkeys(target))

    def kernel(*arrays: np.ndarray) -> Any:
        ranks = tuple(a.ndim for a in arrays)
        found = plans.get(ranks)
        if found is None:
            found = plans[ranks] = plan(ranks)
        labels, target, unique = found
        if is_narrow:
            arrays = tuple(a.astype(np.float32) for a in arrays)
        operands = [_take_diagonals(a, l) for a, l in zip(arrays, labels)]
        if len(operands) == 1:
            x, own = _sum_out(*operands[0], set(unique))
            x = _arranged(x, own, unique)
        else:
            x, own = operands[0]
            for i, (y, other) in enumerate(operands[1:], 1):
                later = {c for _, rest in operands[i + 1 :] for c in rest}
                if later:
                    step = list(dict.fromkeys(c for c in [*own, *other] if c in later or c in unique))
                else:
                    step = unique
                x, own = _contract(x, own, y, other, step), step
        x = _insert_diagonals(x, unique, target)
        return x.astype(dtype) if is_narrow else x

    return kernel


# -- gradient --------------------------------------------------------------------------------------------------------


def _operand_gradient(grad: Any, out: str, x: Any, x_term: str, other: Any, other_term: str | None) -> Any:
    """The slope to operand `x`, where the op is `x_term(, other_term)->out`."""
    inputs = [grad] if other is None else [grad, conjugate(other)]
    left = out if other_term is None else f"{out},{other_term}"
    unique = list(dict.fromkeys(c for c in x_term.replace(_ELLIPSIS, "")))
    available = set(left)
    kept = "".join(c for c in unique if c in available)
    lost = "".join(c for c in unique if c not in available)
    dots = _ELLIPSIS if _ELLIPSIS in x_term and _ELLIPSIS in left else ""
    direct = not lost and (not dots or other is None or _same_batch(grad, out, x, x_term))
    if direct:
        return raw.Einsum(inputs, equation=f"{left}->{x_term}")
    # With the ellipsis in front and unique labels behind: broadcast what was summed away, undo what was broadcast.
    slope = raw.Einsum(inputs, equation=f"{left}->{dots}{kept}")
    x_dots = _ELLIPSIS if _ELLIPSIS in x_term else ""
    like = raw.Einsum([x], equation=f"{x_term}->{x_dots}{kept}{lost}")
    if lost or x_dots != dots:
        view = slope
        if x_dots and not dots:  # a summed ellipsis: its axes come back in front
            batch_rank = raw.Sub(raw.Rank(like), np.int32(len(kept) + len(lost)))
            ones = raw.Fill(raw.Reshape(batch_rank, np.array([1], np.int32)), np.int32(1))
            view = raw.Reshape(view, raw.ConcatV2([ones, raw.Shape(view)], np.int32(0)))
        for _ in lost:
            view = raw.ExpandDims(view, np.int32(-1))
        slope = raw.AddV2(view, raw.ZerosLike(like)) if dots else raw.BroadcastTo(view, raw.Shape(like))
    slope = unbroadcast(slope, like)
    return raw.Einsum([slope], equation=f"{x_dots}{kept}{lost}->{x_term}")


def _same_batch(grad: Any, out: str, x: Any, x_term: str) -> bool:
    """Whether it is certain that the ellipsis of `x` was not broadcast."""
    if _ELLIPSIS not in out or grad.shape.rank is None or x.shape.rank is None:
        return False

    def batch(shape: Any, term: str) -> list[int | None]:
        before, _, after = term.partition(_ELLIPSIS)
        dims = shape.as_list()
        return dims[len(before) : len(dims) - len(after)]

    own = batch(x.shape, x_term)
    return None not in own and own == batch(grad.shape, out)


@einsum_op.gradient
def _(node: Any, grad: Any) -> Any:
    terms, out = _terms(_text(node.attr("equation")))
    inputs = node.inputs
    if len(inputs) == 1:
        return _operand_gradient(grad, out, inputs[0], terms[0], None, None)
    if len(inputs) == 2:
        x, y = inputs
        return (
            _operand_gradient(grad, out, x, terms[0], y, terms[1]),
            _operand_gradient(grad, out, y, terms[1], x, terms[0]),
        )
    slopes = []
    for i, x in enumerate(inputs):
        # all other operands as one, with every label that is still needed
        others = [j for j in range(len(inputs)) if j != i]
        joint = ",".join(terms[j] for j in others)
        needed = "".join(dict.fromkeys(c for j in others for c in terms[j].replace(_ELLIPSIS, "") if c in out or c in terms[i]))
        dots = _ELLIPSIS if _ELLIPSIS in joint else ""
        product = raw.Einsum([inputs[j] for j in others], equation=f"{joint}->{dots}{needed}")
        slopes.append(_operand_gradient(grad, out, x, terms[i], product, dots + needed))
    return slopes


# -- public function -------------------------------------------------------------------------------------------------


def _explicit(equation: str) -> str:
    text = equation.replace(" ", "")
    if "->" in text:
        return text
    letters = text.replace(_ELLIPSIS, "").replace(",", "")
    once = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    return f"{text}->{_ELLIPSIS if _ELLIPSIS in text else ''}{once}"


@public("einsum", "linalg.einsum")
def einsum(equation: str, *inputs: Any, **kwargs: Any) -> Any:
    """The sum of products of `inputs` that `equation` tells, as in NumPy: `"bij,bjk->bik"`.

    An ellipsis stands for axes that broadcast. Without `->` the output has the labels that occur once, in alphabetical order.

    Args:
        optimize: how more than two inputs are paired up: "greedy", "optimal", "auto" and others all choose by size.
        name: of the result.

    Raises:
        ValueError: the equation does not fit the inputs.
    """
    name = kwargs.pop("name", None)
    kwargs.pop("optimize", None)
    if kwargs:
        raise TypeError(f"Invalid keyword arguments for einsum: {', '.join(kwargs)}. Valid arguments: name, optimize")
    if len(inputs) == 1 and isinstance(inputs[0], (list, tuple)):
        inputs = tuple(inputs[0])
    tensors: list[Any] = []
    dtype = next((t.dtype for t in map(_with_dtype, inputs) if t is not None), None)
    for x in inputs:
        tensors.append(convert_to_tensor(x, None if dtype is None else dtype.base_dtype) if _with_dtype(x) is None else convert_to_tensor(x))
    text = _explicit(equation)
    terms, out = _terms(text)
    if len(terms) != len(tensors):
        raise InvalidArgumentError(f"einsum: {equation!r} names {len(terms)} inputs, received {len(tensors)}")
    if len(tensors) <= 2:
        return raw.Einsum(tensors, equation=text, name=name)
    return _pairwise(terms, out, tensors, name)


def _with_dtype(x: Any) -> Any:
    from tracer.dtypes import DType

    return x if isinstance(getattr(x, "dtype", None), DType) else None


def _pairwise(terms: list[str], out: str, tensors: list[Any], name: str | None) -> Any:
    """More than two inputs: pair by pair, each time the pair whose product is smallest."""
    sizes: dict[str, int] = {}
    for term, t in zip(terms, tensors):
        if t.shape.rank is not None:
            before, _, after = term.partition(_ELLIPSIS)
            dims = t.shape.as_list()
            for c, d in [*zip(before, dims), *zip(reversed(after), reversed(dims))]:
                sizes[c] = d or 1
    work = list(zip(terms, tensors))
    while len(work) > 2:
        best: tuple[int, int, int, str] | None = None
        for i in range(len(work)):
            for j in range(i + 1, len(work)):
                rest = out + "".join(t for k, (t, _) in enumerate(work) if k not in (i, j))
                both = work[i][0] + work[j][0]
                labels = "".join(dict.fromkeys(c for c in both.replace(_ELLIPSIS, "") if c in rest.replace(_ELLIPSIS, "")))
                dots = _ELLIPSIS if _ELLIPSIS in both else ""
                before = sum(_product([sizes.get(c, 1) for c in w[0].replace(_ELLIPSIS, "")]) for w in (work[i], work[j]))
                cost = _product([sizes.get(c, 1) for c in labels]) - before
                if best is None or cost < best[0]:
                    best = (cost, i, j, dots + labels)
        _, i, j, term = best  # type: ignore[misc]
        product = raw.Einsum([work[i][1], work[j][1]], equation=f"{work[i][0]},{work[j][0]}->{term}")
        work = [w for k, w in enumerate(work) if k not in (i, j)] + [(term, product)]
    return raw.Einsum([w[1] for w in work], equation=f"{work[0][0]},{work[1][0]}->{out}", name=name)
