"""Steps joined: bias, inference batch normalisation and activation into the product before them; elementwise steps in place.

A product is a convolution or a matrix product in float32 or float64. Batch normalisation by static values becomes part of static weights
where there are any, else a scale and a shift. Nothing changes a result beyond rounding. It refuses to touch values that something else
reads, or that the caller or a variable may hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer import fused_steps, registry
from tracer.errors import ShapeError
from tracer.exec.plan import Plan, Step
from tracer.exec.static import bind
from tracer.workers import run_blocks

__all__ = ["fuse_products", "join_gelu", "reuse_buffers"]

_CONVOLUTIONS = frozenset(("Conv2D", "DepthwiseConv2dNative", "Conv3D"))
_PRODUCTS = _CONVOLUTIONS | {"MatMul"}
_NORMS = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
_FLOATS = frozenset((np.dtype(np.float32), np.dtype(np.float64)))
_ACTIVATIONS = frozenset(("Relu", "Relu6", "Elu", "LeakyRelu", "Tanh", "Sigmoid", "GeluExact"))

Finish = Callable[[np.ndarray], Any]


# -- products --------------------------------------------------------------------------------------------------------


def fuse_products(plan: Plan, static: set[int]) -> None:
    """Join each product with the steps that follow it and that alone read its result."""
    uses = plan.uses()
    reader: dict[int, Step] = {}
    for step in plan.steps:
        for slot in step.inputs:
            reader[slot] = step
    gone: set[int] = set()
    replaced: dict[int, list[Step]] = {}
    for step in plan.steps:
        if step.op in _NORMS and id(step) not in gone and _is_inference(step, uses):
            made = _scale_and_shift(plan, step, static)
            if made is not None:
                replaced[id(step)] = made
        elif step.op in _PRODUCTS and step.dtypes[0] in _FLOATS:
            chain = _Chain(plan, step, static, uses, reader)
            if chain.steps:
                gone.update(map(id, chain.members))
                replaced[id(chain.members[-1])] = chain.build()
    out: list[Step] = []
    for step in plan.steps:
        if id(step) in replaced:
            out.extend(replaced[id(step)])
        elif id(step) not in gone:
            out.append(step)
    plan.steps = out


def _is_inference(step: Step, uses: dict[int, int]) -> bool:
    training = registry.get_op(step.op).schema.attr_value("is_training", step.node.attrs)
    return not training and step.dtypes[0] in _FLOATS and not any(uses.get(s) for s in step.outputs[1:])


def _format(step: Step) -> Any:
    schema = registry.get_op(step.op).schema
    return schema.attr_value("data_format", step.node.attrs) if "data_format" in schema.attrs else b"NHWC"


def _made(plan: Plan, like: Step, op: str, inputs: list[int], kernel: Callable[..., Any], count: int = 1) -> Step:
    outputs = [plan.slot() for _ in range(count)]
    step = Step(like.node, like.where, op, inputs, outputs, [None] * count, count == 1)
    step.kernel = kernel
    return step


def _gain(epsilon: float) -> Callable[..., Any]:
    small = np.float32(epsilon)

    def kernel(scale: np.ndarray, offset: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not scale.shape == offset.shape == mean.shape == variance.shape or scale.ndim != 1:
            raise ShapeError(
                f"scale, offset, mean and variance must be vectors of one length, received shapes {scale.shape}, {offset.shape}, "
                f"{mean.shape} and {variance.shape}"
            )
        gain = scale / np.sqrt(variance + small)
        return gain, offset - mean * gain

    return kernel


def _norm_step(plan: Plan, step: Step) -> Step:
    """The step that gives scale and shift of a batch normalisation."""
    epsilon = registry.get_op(step.op).schema.attr_value("epsilon", step.node.attrs)
    return _made(plan, step, "scale and shift", step.inputs[1:5], _gain(epsilon), 2)


def _scale_and_shift(plan: Plan, step: Step, static: set[int]) -> list[Step] | None:
    """A batch normalisation on its own, as a product and a sum."""
    if not static.issuperset(step.inputs[1:5]) or step.inputs[0] in static:
        return None
    first = _format(step) in (b"NCHW", b"NCDHW")
    rank = step.node.inputs[0].shape.rank
    if first and rank is None:
        return None
    norm = _norm_step(plan, step)
    static.update(norm.outputs)

    def kernel(x: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> np.ndarray:
        channels = x.shape[1 if first else -1]
        if len(gain) != channels:
            raise ShapeError(f"scale and offset must have shape [{channels}], received [{len(gain)}]")
        if first:
            gain, shift = (v.reshape((-1,) + (1,) * (x.ndim - 2)) for v in (gain, shift))
        return normalise(x, gain, shift)

    main = Step(step.node, step.where, "Scale", [step.inputs[0], *norm.outputs], step.outputs[:1], step.dtypes[:1], True)
    main.kernel, main.fresh = kernel, True
    return [norm, main]


_BLOCK = 1 << 16


def normalise(x: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """x · gain + shift, in blocks of rows that stay in the cache."""
    if x.size <= _BLOCK or gain.ndim > 1 or not x.flags.c_contiguous:
        y = np.multiply(x, gain)
        y += shift
        return y
    flat = x.reshape(-1, x.shape[-1])
    y = np.empty(flat.shape, x.dtype)
    rows = max(1, _BLOCK // flat.shape[1])

    def work(i: int) -> None:
        part = y[i * rows : (i + 1) * rows]
        np.multiply(flat[i * rows : (i + 1) * rows], gain, out=part)
        part += shift

    run_blocks(work, -(-len(flat) // rows))
    return y.reshape(x.shape)


class _Chain:
    """A product and what may be joined to it, found greedily."""

    def __init__(self, plan: Plan, product: Step, static: set[int], uses: dict[int, int], reader: dict[int, Step]):
        self.plan, self.product, self.static = plan, product, static
        self.members = [product]
        self.steps: list[tuple[str, list[int], float]] = []  # (what, slots it takes, alpha)
        self.before: list[Step] = []
        self.reshapes: list[Step] = []
        self.weights, self.bias = product.inputs[1], None
        self.dtype = product.dtypes[0]
        shape = product.node.outputs[0].shape
        self.features = None
        if product.op == "MatMul" or _format(product) in (b"NHWC", b"NDHWC"):
            self.features = shape[-1] if shape.rank else None
        elif shape.rank:
            self.features = shape[1]
        slot = product.outputs[0]
        members = [product]
        while uses.get(slot) == 1 and slot in reader:
            step = reader[slot]
            if not self._join(step, slot, uses):
                break
            members.append(step)
            slot = step.outputs[0]
            if self.steps and not (step.op == "Reshape"):
                self.members = list(members)
                self.done = (list(self.reshapes), slot)
            if step.op in _ACTIVATIONS:
                break

    def _join(self, step: Step, slot: int, uses: dict[int, int]) -> bool:
        op, inputs = step.op, step.inputs
        if not step.dtypes or step.dtypes[0] != self.dtype or inputs.count(slot) != 1:  # an op without outputs ends the chain
            return False
        if op in ("BiasAdd", "BiasAddV1"):
            if inputs[0] != slot or not self._same_format(step):
                return False
            self.steps.append(("add", [inputs[1]], 0.0))
            return True
        if op in ("AddV2", "Add"):
            index = 1 - inputs.index(slot)
            other = step.node.inputs[index]
            if self.features is None or other.shape.rank != 1 or other.shape[0] != self.features or not self._last_axis():
                return False
            self.steps.append(("add", [inputs[index]], 0.0))
            return True
        if op in _NORMS:
            if inputs[0] != slot or not self._same_format(step) or not _is_inference(step, uses) or self.reshapes:
                return False
            if not self.static.issuperset(inputs[1:5]):
                return False
            norm = _norm_step(self.plan, step)
            self.static.update(norm.outputs)
            self.before.append(norm)
            self.steps.append(("norm", norm.outputs, 0.0))
            return True
        if op in _ACTIVATIONS:
            alpha = step.node.attrs.get("alpha", 0.2) if op == "LeakyRelu" else 0.0
            self.steps.append((op, [], alpha))
            return True
        if op == "Reshape" and self.product.op == "MatMul" and inputs[0] == slot:
            shape = step.node.outputs[0].shape
            if self.features is None or not shape.rank or shape.rank < 2 or shape[-1] != self.features:
                return False
            self.reshapes.append(step)
            return True
        return False

    def _last_axis(self) -> bool:
        return self.product.op == "MatMul" or _format(self.product) in (b"NHWC", b"NDHWC")

    def _same_format(self, step: Step) -> bool:
        channels_first = _format(step) in (b"NCHW", b"NCDHW")
        return channels_first != self._last_axis()

    def build(self) -> list[Step]:
        """The steps that stand for the whole chain."""
        plan, product = self.plan, self.product
        reshapes, last = self.done
        steps = self.steps
        weights = product.inputs[1]
        made = list(self.before)
        if weights in self.static and any(s[0] == "norm" for s in steps):
            weights, steps = self._fold(made, weights)
        kinds, slots = [], [product.inputs[0], weights]
        for kind, taken, alpha in steps:
            kinds.append((kind, alpha))
            slots.extend(taken)
        output = plan.slot() if reshapes else last
        name = "+".join([product.op, *(k if k[0].isupper() else {"add": "BiasAdd", "norm": "Scale"}[k] for k, _ in kinds)])
        fused = Step(product.node, product.where, name, slots, [output], [self.dtype], True)
        fused.kernel = _product_kernel(product, kinds)
        fused.fresh = True
        made.append(fused)
        for i, step in enumerate(reshapes):
            step.inputs = [output, *step.inputs[1:]]
            output = last if i == len(reshapes) - 1 else plan.slot()
            step.outputs = [output]
            made.append(step)
        return made

    def _fold(self, made: list[Step], weights: int) -> tuple[int, list[tuple[str, list[int], float]]]:
        """Leading sums and scales by static values, as new weights and one sum."""
        product, plan = self.product, self.plan
        bias: int | None = None
        rest = list(self.steps)
        while rest and rest[0][0] in ("add", "norm") and self.static.issuperset(rest[0][1]):
            kind, taken, _ = rest.pop(0)
            if kind == "add":
                if bias is None:
                    bias = taken[0]
                else:
                    step = _made(plan, product, "fold", [bias, taken[0]], np.add)
                    made.append(step)
                    bias = step.outputs[0]
                continue
            scaled = _made(plan, product, "fold", [weights, taken[0]], _scaled_weights(product))
            made.append(scaled)
            weights = scaled.outputs[0]
            self.static.add(weights)
            if bias is None:
                bias = taken[1]
            else:
                step = _made(plan, product, "fold", [bias, *taken], lambda b, gain, shift: b * gain + shift)
                made.append(step)
                bias = step.outputs[0]
            self.static.add(bias)
        self.static.update(s for step in made for s in step.outputs)
        return weights, [("add", [bias], 0.0), *rest] if bias is not None else rest


def _scaled_weights(product: Step) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    if product.op == "DepthwiseConv2dNative":
        return lambda w, gain: w * gain.reshape(w.shape[2:])
    if product.op == "MatMul" and product.node.attrs.get("transpose_b"):
        return lambda w, gain: w * gain[:, None]
    return lambda w, gain: w * gain


def _finish_maker(kinds: Sequence[tuple[str, float]]) -> Callable[[Sequence[np.ndarray], int], Finish]:
    """fn(tensors the steps take, number of features) → what to do to a block."""

    def check(vector: np.ndarray, features: int) -> None:
        if vector.shape != (features,):
            raise ShapeError(f"Must provide as many biases as the last dimension of the input tensor: {list(vector.shape)} vs. [{features}]")

    names = [k for k, _ in kinds]
    if names == ["add"]:

        def add_only(extra: Sequence[np.ndarray], features: int) -> Finish:
            (bias,) = extra
            check(bias, features)
            return lambda block: np.add(block, bias, out=block)

        return add_only
    if len(names) == 1 and names[0] in fused_steps.ACTIVATIONS:
        run, alpha = fused_steps.ACTIVATIONS[names[0]], kinds[0][1]
        return lambda extra, features: lambda block: run(block, alpha)
    if len(names) == 2 and names[0] == "add" and names[1] in fused_steps.ACTIVATIONS:
        run_then, alpha_then = fused_steps.ACTIVATIONS[names[1]], kinds[1][1]

        def add_then(extra: Sequence[np.ndarray], features: int) -> Finish:
            (bias,) = extra
            check(bias, features)

            def finish(block: np.ndarray) -> None:
                np.add(block, bias, out=block)
                run_then(block, alpha_then)

            return finish

        return add_then

    def general(extra: Sequence[np.ndarray], features: int) -> Finish:
        rest = iter(extra)
        jobs: list[Finish] = []
        for kind, alpha in kinds:
            if kind == "add":
                bias = next(rest)
                check(bias, features)
                jobs.append(lambda block, bias=bias: np.add(block, bias, out=block))  # type: ignore[misc]
            elif kind == "norm":
                gain, shift = next(rest), next(rest)
                check(gain, features)
                jobs.append(lambda block, gain=gain, shift=shift: np.add(np.multiply(block, gain, out=block), shift, out=block))  # type: ignore[misc]
            else:
                jobs.append(lambda block, run=fused_steps.ACTIVATIONS[kind], alpha=alpha: run(block, alpha))  # type: ignore[misc]

        def finish(block: np.ndarray) -> None:
            for job in jobs:
                job(block)

        return finish

    return general


def _product_kernel(product: Step, kinds: Sequence[tuple[str, float]]) -> Callable[..., np.ndarray]:
    base = bind(product)
    maker = _finish_maker(kinds)
    if product.op == "MatMul":
        turned = bool(product.node.attrs.get("transpose_b"))
        if [k for k, _ in kinds] in (["add"], ["add", "Relu"]):
            return _dense(base, len(kinds) == 2)

        def multiply(a: np.ndarray, b: np.ndarray, *extra: np.ndarray) -> np.ndarray:
            out = base(a, b)
            finish = maker(extra, b.shape[0 if turned else 1])
            rows = max(1, _BLOCK // max(1, out.shape[1]))
            if len(out) <= rows:
                finish(out)
            else:
                run_blocks(lambda i: finish(out[i * rows : (i + 1) * rows]), -(-len(out) // rows))
            return out

        return multiply
    depthwise = product.op == "DepthwiseConv2dNative"

    def convolve(x: np.ndarray, w: np.ndarray, *extra: np.ndarray) -> np.ndarray:
        return base(x, w, maker(extra, w.shape[2] * w.shape[3] if depthwise and w.ndim == 4 else w.shape[-1]))

    return convolve


def _dense(base: Callable[..., np.ndarray], rectify: bool) -> Callable[..., np.ndarray]:
    """A matrix product with bias, and perhaps Relu: the commonest of all, without a step of Python that it can do without."""

    def dense(a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> np.ndarray:
        out = base(a, b)
        if bias.ndim != 1 or bias.shape[0] != out.shape[1]:
            raise ShapeError(f"Must provide as many biases as the last dimension of the input tensor: {list(bias.shape)} vs. {list(out.shape)}")
        out += bias
        return np.maximum(out, 0, out=out) if rectify else out

    return dense


# -- activations made of several ops ---------------------------------------------------------------------------------


def join_gelu(plan: Plan) -> None:
    """Let 0.5 · x · (1 + erf(x / √2)), as Keras writes it, be one step."""
    uses = plan.uses()
    made = {s: step for step in plan.steps for s in step.outputs}
    found = False
    for step in plan.steps:
        if step.op != "Mul" or step.dtypes[0] not in _FLOATS:
            continue
        for halved, grown in (step.inputs, step.inputs[::-1]):
            x = _times(plan, made, uses, halved, 0.5)
            inner = _other(plan, made, uses, grown, ("AddV2", "Add"), 1.0)
            erf = made.get(inner) if inner is not None else None
            if x is None or erf is None or erf.op != "Erf" or uses.get(erf.outputs[0]) != 1:
                continue
            scaled = erf.inputs[0]
            if _times(plan, made, uses, scaled, 0.5**0.5) != x and _other(plan, made, uses, scaled, ("RealDiv",), 2**0.5) != x:
                continue
            step.op, step.inputs, step.fresh = "GeluExact", [x], True
            step.kernel = _gelu
            found = True
            break
    if found:
        plan.drop_unused()


def _times(plan: Plan, made: dict[int, Step], uses: dict[int, int], slot: int, factor: float) -> int | None:
    return _other(plan, made, uses, slot, ("Mul",), factor)


def _other(plan: Plan, made: dict[int, Step], uses: dict[int, int], slot: int, ops: Sequence[str], constant: float) -> int | None:
    """The operand beside a scalar constant in the step that alone is read here; None where that is not what `slot` is."""
    step = made.get(slot)
    if step is None or step.op not in ops or uses.get(slot) != 1:
        return None
    for i in (1,) if step.op == "RealDiv" else (0, 1):
        value = plan.constants.get(step.inputs[i])
        if value is not None and value.ndim == 0 and abs(float(value) - constant) <= 1e-6:
            return step.inputs[1 - i]
    return None


def _gelu(x: np.ndarray) -> np.ndarray:
    y = np.array(x)
    fused_steps.ACTIVATIONS["GeluExact"](y, 0.0)
    return y


# -- buffers ---------------------------------------------------------------------------------------------------------

_BINARY: dict[str, Any] = {
    "AddV2": np.add, "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "RealDiv": np.divide, "Div": np.divide,
    "Maximum": np.maximum, "Minimum": np.minimum, "BiasAdd": np.add,
}  # fmt: skip
_UNARY: dict[str, Any] = {
    "Neg": np.negative, "Exp": np.exp, "Sqrt": np.sqrt, "Square": np.square, "Log": np.log, "Abs": np.abs, "Floor": np.floor,
    "Ceil": np.ceil, "Reciprocal": np.reciprocal, "Inv": np.reciprocal,
}  # fmt: skip
_IN_PLACE_ACTIVATIONS = frozenset(("Relu", "Relu6", "Tanh", "Sigmoid"))
# Ops whose results nothing else holds, and which hold on to nothing they were given.
_FRESH = frozenset(_BINARY) | frozenset(_UNARY) | _PRODUCTS | frozenset(
    "Relu Relu6 Tanh Sigmoid Elu LeakyRelu Softplus Selu Erf Rsqrt SquaredDifference BatchMatMul BatchMatMulV2 BatchMatMulV3 "
    "Less Greater LessEqual GreaterEqual Equal NotEqual ReluGrad Relu6Grad TanhGrad SigmoidGrad Sin Cos Log1p Expm1".split()
)  # fmt: skip


def reuse_buffers(plan: Plan) -> None:
    """Let elementwise steps write into an operand that dies there.

    The operand must be an array that a step of this run allocated, that no view or object can still refer to.
    """
    made: dict[int, Step] = {}
    readers: dict[int, list[Step]] = {}
    for step in plan.steps:
        for slot in step.outputs:
            made[slot] = step
        for slot in step.inputs:
            readers.setdefault(slot, []).append(step)
    results = set(plan.outputs)

    def is_free(slot: int, step: Step) -> bool:
        maker = made.get(slot)
        if maker is None or slot in results or not (maker.fresh or maker.op in _FRESH) or maker.dtypes[0] not in _FLOATS:
            return False
        others = readers[slot]
        return others[-1] is step and all(o.fresh or o.op in _FRESH for o in others)

    for step in plan.steps:
        if step.kernel is not None or not step.single or step.dtypes[0] not in _FLOATS or _is_small(step):
            continue
        op, dtype = step.op, step.dtypes[0]
        if op in _BINARY and all(t.dtype.numpy == dtype for t in step.node.inputs):
            if op == "BiasAdd" and (_format(step) != b"NHWC" or step.node.inputs[0].shape.rank in (None, 1)):
                continue
            both = [is_free(s, step) for s in step.inputs]
            if op == "BiasAdd":
                both[1] = False
            if any(both):
                step.kernel = _into(_BINARY[op], both[0], both[1], op == "BiasAdd")
                step.fresh = True
        elif (op in _UNARY or op in _IN_PLACE_ACTIVATIONS) and is_free(step.inputs[0], step):
            step.kernel = _onto(_UNARY[op]) if op in _UNARY else _activate(op)
            step.fresh = True


def _is_small(step: Step) -> bool:
    """Whether the result is known to be so small that a new array costs nothing."""
    count = step.node.outputs[0].shape.num_elements()
    return count is not None and count < 2048


def _into(function: Any, first: bool, second: bool, check_bias: bool) -> Callable[..., Any]:
    def kernel(a: np.ndarray, b: np.ndarray) -> Any:
        if check_bias and (b.ndim != 1 or a.shape[-1] != b.shape[0]):
            raise ShapeError(f"Must provide as many biases as the last dimension of the input tensor: {list(b.shape)} vs. {list(a.shape)}")
        x, y = a.shape, b.shape
        if first and (x == y or y == x[-1:] or not y):
            return function(a, b, out=a)
        if second and (x == y or x == y[-1:] or not x):
            return function(a, b, out=b)
        return function(a, b)

    return kernel


def _onto(function: Any) -> Callable[..., Any]:
    return lambda a: function(a, out=a)


def _activate(name: str) -> Callable[..., Any]:
    run = fused_steps.ACTIVATIONS[name]

    def kernel(a: np.ndarray) -> np.ndarray:
        run(a, 0.0)
        return a

    return kernel
