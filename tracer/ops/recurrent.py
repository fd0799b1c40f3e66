"""Block LSTM and GRU cells: BlockLSTM(V2), LSTMBlockCell, GRUBlockCell and their gradient ops. The cuDNN ops are known by name, and refused.

One product for the inputs of all steps, then one product a step for the state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import raw
from tracer.errors import ShapeError
from tracer.registry import op
from tracer.shapes import TensorShape

_SHORT = "{half, float}"
_CELL = "x: T, cs_prev: T, h_prev: T, w: T, wci: T, wcf: T, wco: T, b: T"
_GATES = "i: T, cs: T, f: T, o: T, ci: T, co: T, h: T"
_GRADS = "(x_grad: T, cs_prev_grad: T, h_prev_grad: T, w_grad: T, wci_grad: T, wcf_grad: T, wco_grad: T, b_grad: T)"

block_lstm_op = op(
    f"BlockLSTM(seq_len_max: int64, {_CELL}) -> ({_GATES}); forget_bias: float = 1.0; cell_clip: float = 3.0; "
    f"use_peephole: bool = false; T: {_SHORT}"
)
block_lstm_v2_op = op(
    f"BlockLSTMV2(seq_len_max: int64, {_CELL}) -> ({_GATES}); cell_clip: float = 0.0; use_peephole: bool = false; T: {_SHORT}"
)
block_lstm_grad_op = op(
    f"BlockLSTMGrad(seq_len_max: int64, {_CELL}, {_GATES}, cs_grad: T, h_grad: T) -> {_GRADS}; use_peephole: bool; T: {_SHORT}"
)
block_lstm_grad_v2_op = op(
    f"BlockLSTMGradV2(seq_len_max: int64, {_CELL}, {_GATES}, cs_grad: T, h_grad: T) -> {_GRADS}; use_peephole: bool; T: {_SHORT}"
)
lstm_cell_op = op(
    f"LSTMBlockCell({_CELL}) -> ({_GATES}); forget_bias: float = 1.0; cell_clip: float = 3.0; use_peephole: bool = false; T: {_SHORT}"
)
lstm_cell_grad_op = op(
    f"LSTMBlockCellGrad({_CELL}, i: T, cs: T, f: T, o: T, ci: T, co: T, cs_grad: T, h_grad: T) -> "
    f"(cs_prev_grad: T, dicfo: T, wci_grad: T, wcf_grad: T, wco_grad: T); use_peephole: bool; T: {_SHORT}"
)
gru_cell_op = op("GRUBlockCell(x: T, h_prev: T, w_ru: T, w_c: T, b_ru: T, b_c: T) -> (r: T, u: T, c: T, h: T); T: {float}")
gru_cell_grad_op = op(
    "GRUBlockCellGrad(x: T, h_prev: T, w_ru: T, w_c: T, b_ru: T, b_c: T, r: T, u: T, c: T, d_h: T) -> "
    "(d_x: T, d_h_prev: T, d_c_bar: T, d_r_bar_u_bar: T); T: {float}"
)

# Where the four gates lie in the product: input, cell, forget, output in the first version; input, forget, cell, output in the second.
_ICFO = (0, 1, 2, 3)
_IFCO = (0, 2, 1, 3)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    out = np.negative(x)
    with np.errstate(over="ignore"):
        np.exp(out, out=out)
    out += out.dtype.type(1)
    return np.reciprocal(out, out=out)


class _Cell:
    """One LSTM step on gate sums [batch, 4 · units]."""

    def __init__(self, order: tuple[int, ...], forget_bias: float, clip: float, peephole: tuple[np.ndarray, ...] | None, kind: Any):
        self.order, self.clip, self.peephole = order, clip, peephole
        self.forget_bias = kind(forget_bias)

    def __call__(self, gates: np.ndarray, cs_prev: np.ndarray) -> tuple[np.ndarray, ...]:
        units = cs_prev.shape[1]
        i_in, c_in, f_in, o_in = (gates[:, p * units : (p + 1) * units] for p in self.order)
        if self.peephole is not None:
            wci, wcf, _ = self.peephole
            i_in, f_in = i_in + cs_prev * wci, f_in + cs_prev * wcf
        i, ci, f = _sigmoid(i_in), np.tanh(c_in), _sigmoid(f_in + self.forget_bias)
        cs = cs_prev * f
        cs += ci * i
        if self.clip > 0:
            np.clip(cs, -self.clip, self.clip, out=cs)
        o = _sigmoid(o_in + cs * self.peephole[2] if self.peephole is not None else o_in)
        co = np.tanh(cs)
        return i, cs, f, o, ci, co, co * o


def _wide(*arrays: np.ndarray) -> list[np.ndarray]:
    return [a.astype(np.float32) if a.dtype.itemsize < 4 else a for a in arrays]


def _check(x: np.ndarray, cs: np.ndarray, h: np.ndarray, w: np.ndarray, b: np.ndarray) -> None:
    units = cs.shape[-1]
    if cs.ndim != 2 or h.shape != cs.shape or w.shape != (x.shape[-1] + units, 4 * units) or b.shape != (4 * units,) or x.shape[-2] != len(cs):
        raise ShapeError(
            f"expected x […, batch, inputs], states [batch, units], w [inputs + units, 4·units], b [4·units]; received x {list(x.shape)}, "
            f"cs_prev {list(cs.shape)}, h_prev {list(h.shape)}, w {list(w.shape)}, b {list(b.shape)}"
        )


def _run_block(
    length: np.ndarray, arrays: tuple[np.ndarray, ...], order: tuple[int, ...], forget_bias: float, clip: float, peephole: bool
) -> list[np.ndarray]:
    kind = arrays[0].dtype
    x, cs, h, w, wci, wcf, wco, b = _wide(*arrays)
    if x.ndim != 3:
        raise ShapeError(f"x must be 3-dimensional [time, batch, inputs], received {list(x.shape)}")
    _check(x, cs, h, w, b)
    steps, inputs = x.shape[0], x.shape[2]
    last = min(steps, int(length))
    cell = _Cell(order, forget_bias, clip, (wci, wcf, wco) if peephole else None, x.dtype.type)
    outs = [np.zeros((steps, *cs.shape), kind) for _ in range(7)]
    if last > 0:
        sums = (x[:last].reshape(-1, inputs) @ w[:inputs]).reshape(last, len(cs), -1)
        sums += b
        state = np.ascontiguousarray(w[inputs:])
        for t in range(last):
            gates = h @ state
            gates += sums[t]
            values = cell(gates, cs)
            for out, value in zip(outs, values):
                out[t] = value
            cs, h = values[1], values[6]
    return outs


@block_lstm_op.kernel
def _(length: np.ndarray, *arrays: np.ndarray, forget_bias: float, cell_clip: float, use_peephole: bool) -> Any:
    return _run_block(length, arrays, _ICFO, forget_bias, cell_clip, use_peephole)


@block_lstm_v2_op.kernel
def _(length: np.ndarray, *arrays: np.ndarray, cell_clip: float, use_peephole: bool) -> Any:
    return _run_block(length, arrays, _IFCO, 0.0, cell_clip, use_peephole)


def _block_shapes(ctx: infer.InferContext) -> Any:
    x, b = ctx.shape(1).with_rank(3), ctx.shape(8).with_rank(1)
    units = None if b[0] is None else b[0] // 4
    return [TensorShape([x[0], x[1], units])] * 7


block_lstm_op.infer(_block_shapes)
block_lstm_v2_op.infer(_block_shapes)


def _cell_gradient(
    dcs: np.ndarray, dh: np.ndarray, cs_prev: np.ndarray, values: tuple[np.ndarray, ...], peephole: tuple[np.ndarray, ...] | None,
    order: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(gradient of cs_prev, of the gate sums, of the input, forget and output gates' sums)."""
    i, _, f, o, ci, co = values
    d_o = dh * co * o * (1 - o)
    d_cs = dcs + dh * o * (1 - co * co)
    if peephole is not None:
        d_cs += d_o * peephole[2]
    d_ci = d_cs * i * (1 - ci * ci)
    d_f = d_cs * cs_prev * f * (1 - f)
    d_i = d_cs * ci * i * (1 - i)
    d_prev = d_cs * f
    if peephole is not None:
        d_prev += d_i * peephole[0] + d_f * peephole[1]
    parts: list[Any] = [None] * 4
    for place, value in zip(order, (d_i, d_ci, d_f, d_o)):
        parts[place] = value
    return d_prev, np.concatenate(parts, axis=1), d_i, d_f, d_o


def _prepare_block_gradient(order: tuple[int, ...]) -> Callable[..., Any]:
    def kernel(length: np.ndarray, *arrays: np.ndarray, use_peephole: bool) -> Any:
        kind = arrays[0].dtype
        x, cs0, h0, w, wci, wcf, wco, b, i, cs, f, o, ci, co, h, cs_grad, h_grad = _wide(*arrays)
        steps, inputs = x.shape[0], x.shape[2]
        last = min(steps, int(length))
        hole = (wci, wcf, wco) if use_peephole else None
        dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
        d_wci, d_wcf, d_wco = np.zeros_like(wci), np.zeros_like(wcf), np.zeros_like(wco)
        dcs, dh = np.zeros_like(cs0), np.zeros_like(h0)
        gates = np.zeros((last, len(cs0), b.shape[0]), x.dtype)
        for t in range(last - 1, -1, -1):
            before = cs[t - 1] if t else cs0
            dcs, gates[t], d_i, d_f, d_o = _cell_gradient(
                dcs + cs_grad[t], dh + h_grad[t], before, (i[t], cs[t], f[t], o[t], ci[t], co[t]), hole, order
            )
            dh = gates[t] @ w[inputs:].T
            if use_peephole:
                d_wci += (d_i * before).sum(axis=0)
                d_wcf += (d_f * before).sum(axis=0)
                d_wco += (d_o * cs[t]).sum(axis=0)
        if last > 0:
            flat = gates.reshape(-1, b.shape[0])
            dx[:last] = (flat @ w[:inputs].T).reshape(last, *x.shape[1:])
            dw[:inputs] = x[:last].reshape(-1, inputs).T @ flat
            states = np.concatenate([h0[None], h[: last - 1]], axis=0).reshape(-1, h0.shape[1])
            dw[inputs:] = states.T @ flat
            db = flat.sum(axis=0)
        return [a.astype(kind, copy=False) for a in (dx, dcs, dh, dw, d_wci, d_wcf, d_wco, db)]

    return kernel


for _record, _order in ((block_lstm_grad_op, _ICFO), (block_lstm_grad_v2_op, _IFCO)):
    _record.kernel(_prepare_block_gradient(_order))
    _record.infer(lambda ctx: [ctx.shape(k) for k in range(1, 9)])


def _block_gradient(name: str) -> Callable[..., Any]:
    """TensorFlow 2.15 calls BlockLSTMGrad for the second version too, whose gates lie in another order; here each has its own."""

    def gradient(node: Any, *grads: Any) -> Any:
        found = getattr(raw, name)(*node.inputs, *node.outputs, grads[1], grads[6], use_peephole=node.attr("use_peephole"))
        return [None, *found]

    return gradient


block_lstm_op.gradient(_block_gradient("BlockLSTMGrad"))
block_lstm_v2_op.gradient(_block_gradient("BlockLSTMGradV2"))


# -- single cells ----------------------------------------------------------------------------------------------------


@lstm_cell_op.infer
def _(ctx: infer.InferContext) -> Any:
    x, cs = ctx.shape(0).with_rank(2), ctx.shape(1).with_rank(2)
    return [x[:1].concatenate(cs[1:])] * 7


@lstm_cell_op.kernel
def _(*arrays: np.ndarray, forget_bias: float, cell_clip: float, use_peephole: bool) -> Any:
    kind = arrays[0].dtype
    x, cs, h, w, wci, wcf, wco, b = _wide(*arrays)
    _check(x, cs, h, w, b)
    cell = _Cell(_ICFO, forget_bias, cell_clip, (wci, wcf, wco) if use_peephole else None, x.dtype.type)
    gates = x @ w[: x.shape[1]]
    gates += h @ w[x.shape[1] :]
    gates += b
    return [v.astype(kind, copy=False) for v in cell(gates, cs)]


@lstm_cell_grad_op.infer
def _(ctx: infer.InferContext) -> Any:
    cs, b = ctx.shape(1).with_rank(2), ctx.shape(7).with_rank(1)
    return [cs, cs[:1].concatenate(b), ctx.shape(4), ctx.shape(5), ctx.shape(6)]


@lstm_cell_grad_op.kernel
def _(*arrays: np.ndarray, use_peephole: bool) -> Any:
    kind = arrays[0].dtype
    _, cs_prev, _, _, wci, wcf, wco, _, i, cs, f, o, ci, co, cs_grad, h_grad = _wide(*arrays)
    hole = (wci, wcf, wco) if use_peephole else None
    d_prev, gates, d_i, d_f, d_o = _cell_gradient(cs_grad, h_grad, cs_prev, (i, cs, f, o, ci, co), hole, _ICFO)
    if use_peephole:
        weights = [(d_i * cs_prev).sum(axis=0), (d_f * cs_prev).sum(axis=0), (d_o * cs).sum(axis=0)]
    else:
        weights = [np.zeros_like(v) for v in (wci, wcf, wco)]
    return [v.astype(kind, copy=False) for v in (d_prev, gates, *weights)]


@gru_cell_op.infer
def _(ctx: infer.InferContext) -> Any:
    x, h = ctx.shape(0).with_rank(2), ctx.shape(1).with_rank(2)
    return [x[:1].concatenate(h[1:])] * 4


@gru_cell_op.kernel
def _(x: np.ndarray, h: np.ndarray, w_ru: np.ndarray, w_c: np.ndarray, b_ru: np.ndarray, b_c: np.ndarray) -> Any:
    inputs, units = x.shape[1], h.shape[1]
    if w_ru.shape != (inputs + units, 2 * units) or w_c.shape != (inputs + units, units):
        raise ShapeError(
            f"w_ru must be [{inputs + units}, {2 * units}] and w_c [{inputs + units}, {units}], received {list(w_ru.shape)} and {list(w_c.shape)}"
        )
    both = _sigmoid(x @ w_ru[:inputs] + h @ w_ru[inputs:] + b_ru)
    r, u = np.ascontiguousarray(both[:, :units]), np.ascontiguousarray(both[:, units:])
    c = np.tanh(x @ w_c[:inputs] + (h * r) @ w_c[inputs:] + b_c)
    return r, u, c, u * (h - c) + c


@gru_cell_grad_op.infer
def _(ctx: infer.InferContext) -> Any:
    x, h = ctx.shape(0).with_rank(2), ctx.shape(1).with_rank(2)
    double = None if h[1] is None else 2 * h[1]
    return [x, h, h, TensorShape([h[0], double])]


@gru_cell_grad_op.kernel
def _(
    x: np.ndarray, h: np.ndarray, w_ru: np.ndarray, w_c: np.ndarray, b_ru: np.ndarray, b_c: np.ndarray, r: np.ndarray, u: np.ndarray,
    c: np.ndarray, dh: np.ndarray,
) -> Any:  # fmt: skip
    inputs = x.shape[1]
    d_c = dh * (1 - u) * (1 - c * c)
    d_u = dh * (h - c) * u * (1 - u)
    d_hr = d_c @ w_c[inputs:].T
    d_ru = np.concatenate([d_hr * h * r * (1 - r), d_u], axis=1)
    dx = d_ru @ w_ru[:inputs].T + d_c @ w_c[:inputs].T
    d_prev = d_ru @ w_ru[inputs:].T + d_hr * r + dh * u
    return dx, d_prev, d_c, d_ru


# -- cuDNN -----------------------------------------------------------------------------------------------------------

_CUDNN = (
    "T: {bfloat16, half, float, double}; rnn_mode: {'rnn_relu', 'rnn_tanh', 'lstm', 'gru'} = \"lstm\"; "
    "input_mode: {'linear_input', 'skip_input', 'auto_select'} = \"linear_input\"; "
    "direction: {'unidirectional', 'bidirectional'} = \"unidirectional\"; dropout: float = 0.0; seed: int = 0; seed2: int = 0"
)
_STATES = "input: T, input_h: T, input_c: T, params: T"
_RESULTS = "output: T, output_h: T, output_c: T, reserve_space: T"
_BACK_IN = "output: T, output_h: T, output_c: T, output_backprop: T, output_h_backprop: T, output_c_backprop: T, reserve_space: T"
_BACK_OUT = "(input_backprop: T, input_h_backprop: T, input_c_backprop: T, params_backprop: T)"
for _text in (
    f"CudnnRNN({_STATES}) -> ({_RESULTS}) !stateful; {_CUDNN}; is_training: bool = true",
    f"CudnnRNNV2({_STATES}) -> ({_RESULTS}, host_reserved: int8) !stateful; {_CUDNN}; is_training: bool = true",
    f"CudnnRNNV3({_STATES}, sequence_lengths: int32) -> ({_RESULTS}, host_reserved: int8) !stateful; {_CUDNN}; num_proj: int = 0; "
    "is_training: bool = true; time_major: bool = true",
    f"CudnnRNNBackprop({_STATES}, {_BACK_IN}) -> {_BACK_OUT} !stateful; {_CUDNN}",
    f"CudnnRNNBackpropV2({_STATES}, {_BACK_IN}, host_reserved: int8) -> {_BACK_OUT} !stateful; {_CUDNN}",
    f"CudnnRNNBackpropV3({_STATES}, sequence_lengths: int32, {_BACK_IN}, host_reserved: int8) -> {_BACK_OUT} !stateful; {_CUDNN}; "
    "num_proj: int = 0; time_major: bool = true",
):
    _record = op(_text)
    _record.no_kernel = (
        "it is cuDNN's and runs on NVIDIA GPUs only, in TensorFlow too; call the signature or the function of the layer that was saved for "
        "CPUs (Keras LSTM and GRU layers save both)"
    )
