"""Training ops: one table of update rules gives the ops on references, on resources, and on rows of either (Sparse).

A rule gets the values of the state and the other inputs under the names of the op's inputs, and returns the new state. Arithmetic is
that of TensorFlow's CPU kernels, in the variable's own dtype. It refuses to know optimizers: these live where they are defined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracer import infer
from tracer.errors import InvalidArgumentError, OutOfRangeError
from tracer.registry import op

Arrays = dict[str, Any]
Rule = Callable[..., Arrays]

NUMBERS = (
    "{float, double, int32, uint8, int16, int8, complex64, int64, qint8, quint8, qint32, bfloat16, qint16, quint16, uint16, complex128, "
    "half, uint32, uint64}"
)


# -- rules -----------------------------------------------------------------------------------------------------------


def _shrunk(value: Any, by: Any) -> Any:
    """`value` moved towards zero by `by`, not past it."""
    return np.sign(value) * np.maximum(np.abs(value) - by, value.dtype.type(0))


def _gradient_descent(var: Any, alpha: Any, delta: Any) -> Arrays:
    return {"var": var - delta * alpha}


def _proximal_gradient_descent(var: Any, alpha: Any, l1: Any, l2: Any, delta: Any = None, grad: Any = None) -> Arrays:
    moved = var - (grad if delta is None else delta) * alpha
    return {"var": (_shrunk(moved, alpha * l1) if l1 > 0 else moved) / (1 + l2 * alpha)}


def _adadelta(var: Any, accum: Any, accum_update: Any, lr: Any, rho: Any, epsilon: Any, grad: Any) -> Arrays:
    accum = accum * rho + grad * grad * (1 - rho)
    update = np.sqrt(accum_update + epsilon) / np.sqrt(accum + epsilon) * grad
    return {"var": var - update * lr, "accum": accum, "accum_update": accum_update * rho + update * update * (1 - rho)}


def _adagrad(var: Any, accum: Any, lr: Any, grad: Any, update_slots: bool) -> Arrays:
    if update_slots:
        accum = accum + grad * grad
    return {"var": var - grad * lr / np.sqrt(accum), "accum": accum}


def _adagrad_v2(var: Any, accum: Any, lr: Any, epsilon: Any, grad: Any, update_slots: bool) -> Arrays:
    if update_slots:
        accum = accum + grad * grad
    return {"var": var - grad * lr / (np.sqrt(accum) + epsilon), "accum": accum}


def _proximal_adagrad(var: Any, accum: Any, lr: Any, l1: Any, l2: Any, grad: Any) -> Arrays:
    accum = accum + grad * grad
    rate = lr / np.sqrt(accum)
    moved = var - grad * rate
    return {"var": (_shrunk(moved, rate * l1) if l1 > 0 else moved) / (1 + l2 * rate), "accum": accum}


def _adagrad_da(
    var: Any, gradient_accumulator: Any, gradient_squared_accumulator: Any, grad: Any, lr: Any, l1: Any, l2: Any, global_step: Any
) -> Arrays:
    step = global_step.astype(grad.dtype)
    total = gradient_accumulator + grad
    squares = gradient_squared_accumulator + grad * grad
    kept = _shrunk(total, l1 * step) if l1 > 0 else total
    new = -lr * kept / (l2 * step * lr + np.sqrt(squares))
    return {"var": new, "gradient_accumulator": total, "gradient_squared_accumulator": squares}


def _ftrl(
    var: Any, accum: Any, linear: Any, grad: Any, lr: Any, l1: Any, l2: Any, lr_power: Any, multiply_linear_by_lr: bool, l2_shrinkage: Any = None
) -> Arrays:  # fmt: skip
    shrinking = grad if l2_shrinkage is None else grad + 2 * l2_shrinkage * var
    new_accum = accum + grad * grad
    half = float(lr_power) == -0.5
    after = np.sqrt(new_accum) if half else np.power(new_accum, -lr_power)
    before = np.sqrt(accum) if half else np.power(accum, -lr_power)
    if multiply_linear_by_lr:
        linear = linear + shrinking * lr - (after - before) * var
        bound, y = l1 * lr, after + 2 * l2 * lr
    else:
        linear = linear + shrinking - (after - before) / lr * var
        bound, y = l1, after / lr + 2 * l2
    new = np.where(np.abs(linear) > bound, (np.sign(linear) * bound - linear) / y, linear.dtype.type(0))
    return {"var": new.astype(var.dtype), "accum": new_accum, "linear": linear}


def _momentum(var: Any, accum: Any, lr: Any, grad: Any, momentum: Any, use_nesterov: bool) -> Arrays:
    accum = accum * momentum + grad
    return {"var": var - (grad * lr + accum * momentum * lr if use_nesterov else accum * lr), "accum": accum}


def _keras_momentum(var: Any, accum: Any, lr: Any, grad: Any, momentum: Any, use_nesterov: bool) -> Arrays:
    accum = accum * momentum - grad * lr
    return {"var": var + (accum * momentum - grad * lr if use_nesterov else accum), "accum": accum}


def _adam(
    var: Any, m: Any, v: Any, beta1_power: Any, beta2_power: Any, lr: Any, beta1: Any, beta2: Any, epsilon: Any, grad: Any, use_nesterov: bool
) -> Arrays:
    rate = lr * np.sqrt(1 - beta2_power) / (1 - beta1_power)
    m = m + (grad - m) * (1 - beta1)
    v = v + (grad * grad - v) * (1 - beta2)
    step = grad * (1 - beta1) + beta1 * m if use_nesterov else m
    return {"var": var - step * rate / (np.sqrt(v) + epsilon), "m": m, "v": v}


def _adam_amsgrad(
    var: Any, m: Any, v: Any, vhat: Any, beta1_power: Any, beta2_power: Any, lr: Any, beta1: Any, beta2: Any, epsilon: Any, grad: Any
) -> Arrays:
    rate = lr * np.sqrt(1 - beta2_power) / (1 - beta1_power)
    m = m + (grad - m) * (1 - beta1)
    v = v + (grad * grad - v) * (1 - beta2)
    vhat = np.maximum(vhat, v)
    return {"var": var - m * rate / (np.sqrt(vhat) + epsilon), "m": m, "v": v, "vhat": vhat}


def _adamax(var: Any, m: Any, v: Any, beta1_power: Any, lr: Any, beta1: Any, beta2: Any, epsilon: Any, grad: Any) -> Arrays:
    m = m + (grad - m) * (1 - beta1)
    v = np.maximum(beta2 * v, np.abs(grad))
    return {"var": var - lr / (1 - beta1_power) * (m / (v + epsilon)), "m": m, "v": v}


def _rmsprop(var: Any, ms: Any, mom: Any, lr: Any, rho: Any, momentum: Any, epsilon: Any, grad: Any) -> Arrays:
    ms = ms + (grad * grad - ms) * (1 - rho)
    mom = mom * momentum + grad * lr / np.sqrt(ms + epsilon)
    return {"var": var - mom, "ms": ms, "mom": mom}


def _centered_rmsprop(var: Any, mg: Any, ms: Any, mom: Any, lr: Any, rho: Any, momentum: Any, epsilon: Any, grad: Any) -> Arrays:
    ms = ms + (grad * grad - ms) * (1 - rho)
    mg = mg + (grad - mg) * (1 - rho)
    mom = mom * momentum + grad * lr / np.sqrt(ms - mg * mg + epsilon)
    return {"var": var - mom, "mg": mg, "ms": ms, "mom": mom}


def _add_sign(var: Any, m: Any, lr: Any, alpha: Any, sign_decay: Any, beta: Any, grad: Any) -> Arrays:
    m = m * beta + grad * (1 - beta)
    return {"var": var - lr * (alpha + sign_decay * (np.sign(grad) * np.sign(m))) * grad, "m": m}


def _power_sign(var: Any, m: Any, lr: Any, logbase: Any, sign_decay: Any, beta: Any, grad: Any) -> Arrays:
    m = m * beta + grad * (1 - beta)
    return {"var": var - lr * np.exp(logbase * sign_decay * (np.sign(grad) * np.sign(m))) * grad, "m": m}


# -- forms -----------------------------------------------------------------------------------------------------------


def _register(text: str, state: list[str], others: list[str], rule: Rule) -> None:
    record = op(text).not_differentiable()
    gives_ref = not record.name.startswith("Resource")
    sparse = "SparseApply" in record.name
    if gives_ref:
        record.infer(infer.like_input(0))
    names = [n for n in others if n != "indices"]
    wanted = [name for name in ("update_slots", "use_nesterov", "multiply_linear_by_lr") if name in record.schema.attrs]

    @record.prepare
    def _(attrs: dict[str, Any]) -> Callable[..., Any]:
        fixed = {name: attrs[name] for name in wanted}

        def kernel(*inputs: Any) -> Any:
            variables = dict(zip(state, inputs, strict=False))
            values = dict(zip(others, inputs[len(state) :], strict=True))
            old = {name: v.read() for name, v in variables.items()}
            change = values.get("grad", values.get("delta"))
            if sparse:
                new = _on_rows(old, values.pop("indices"), values, names, rule, fixed)
            else:
                if change.shape != old["var"].shape:
                    raise InvalidArgumentError(
                        f"var and {'grad' if 'grad' in values else 'delta'} do not have the same shape: {list(old['var'].shape)} {list(change.shape)}"
                    )
                new = rule(**old, **values, **fixed)
            for name, value in new.items():
                if value is not old[name]:
                    variables[name].write(np.asarray(value, old[name].dtype))
            return inputs[0] if gives_ref else ()

        return kernel


def _on_rows(old: Arrays, indices: Any, values: Arrays, names: list[str], rule: Rule, fixed: dict[str, Any]) -> Arrays:
    """Apply `rule` to the rows `indices`, as if one after the other: rows that come again see what came before."""
    size = old["var"].shape[0] if old["var"].ndim else 0
    if indices.size and (indices.min() < 0 or indices.max() >= size):
        k = int(np.flatnonzero((indices < 0) | (indices >= size))[0])
        raise OutOfRangeError(f"Index {indices[k]} at offset {k} in indices is out of range: expected 0 to {size - 1}")
    new = {name: value.copy() for name, value in old.items()}
    grad = values["grad"]
    if grad.shape != (indices.shape[0], *old["var"].shape[1:]):
        raise InvalidArgumentError(f"grad has shape {list(grad.shape)}; expected one row of var, {list(old['var'].shape)}, for each of {indices.shape[0]} indices")
    for picked in _turns(indices):
        rows = indices[picked]
        part = {name: value[rows] for name, value in new.items()}
        given = {name: grad[picked] if name == "grad" else values[name] for name in names}
        if "delta" in _names_of(rule) and "grad" not in _names_of(rule):
            given["delta"] = given.pop("grad")
        for name, value in rule(**part, **given, **fixed).items():
            new[name][rows] = value
    return new


def _names_of(rule: Rule) -> tuple[str, ...]:
    return rule.__code__.co_varnames[: rule.__code__.co_argcount]


def _turns(indices: Any) -> list[Any]:
    """Positions in groups that hold no index twice, earlier ones first."""
    order = np.argsort(indices, kind="stable")
    in_order = indices[order]
    starts = np.flatnonzero(np.r_[True, in_order[1:] != in_order[:-1]]) if indices.size else np.zeros(0, np.intp)
    counts = np.diff(np.r_[starts, indices.size])
    turn = np.empty(indices.size, np.intp)
    turn[order] = np.arange(indices.size) - np.repeat(starts, counts)
    return [np.flatnonzero(turn == t) for t in range(int(counts.max()) if indices.size else 0)]


# name: (state, other inputs with the gradient in its place, own attrs, rule, forms: r reference, s sparse reference, R resource, S sparse resource)
_TABLE: dict[str, tuple[str, str, str, Rule, str]] = {
    "GradientDescent": ("var", "alpha delta", "", _gradient_descent, "rR"),
    "ProximalGradientDescent": ("var", "alpha l1 l2 delta", "", _proximal_gradient_descent, "rsRS"),
    "Adadelta": ("var accum accum_update", "lr rho epsilon grad", "", _adadelta, "rsRS"),
    "Adagrad": ("var accum", "lr grad", "; update_slots: bool = true", _adagrad, "rsRS"),
    "AdagradV2": ("var accum", "lr epsilon grad", "; update_slots: bool = true", _adagrad_v2, "rsRS"),
    "ProximalAdagrad": ("var accum", "lr l1 l2 grad", "", _proximal_adagrad, "rsRS"),
    "AdagradDA": ("var gradient_accumulator gradient_squared_accumulator", "grad lr l1 l2 global_step", "", _adagrad_da, "rsRS"),
    "Ftrl": ("var accum linear", "grad lr l1 l2 lr_power", "; multiply_linear_by_lr: bool = false", _ftrl, "rsRS"),
    "FtrlV2": ("var accum linear", "grad lr l1 l2 l2_shrinkage lr_power", "; multiply_linear_by_lr: bool = false", _ftrl, "rsRS"),
    "Momentum": ("var accum", "lr grad momentum", "; use_nesterov: bool = false", _momentum, "rsRS"),
    "KerasMomentum": ("var accum", "lr grad momentum", "; use_nesterov: bool = false", _keras_momentum, "RS"),
    "Adam": ("var m v", "beta1_power beta2_power lr beta1 beta2 epsilon grad", "; use_nesterov: bool = false", _adam, "rR"),
    "AdamWithAmsgrad": ("var m v vhat", "beta1_power beta2_power lr beta1 beta2 epsilon grad", "", _adam_amsgrad, "R"),
    "AdaMax": ("var m v", "beta1_power lr beta1 beta2 epsilon grad", "", _adamax, "rR"),
    "RMSProp": ("var ms mom", "lr rho momentum epsilon grad", "", _rmsprop, "rsRS"),
    "CenteredRMSProp": ("var mg ms mom", "lr rho momentum epsilon grad", "", _centered_rmsprop, "rsRS"),
    "AddSign": ("var m", "lr alpha sign_decay beta grad", "", _add_sign, "rR"),
    "PowerSign": ("var m", "lr logbase sign_decay beta grad", "", _power_sign, "rR"),
}

for _name, (_state, _others, _attrs, _rule, _forms) in _TABLE.items():
    for _form in _forms:
        _kind, _result = ("ref(T)", "(out: ref(T))") if _form in "rs" else ("resource", "() !stateful")
        _values = _others.split()
        if _form in "sS":
            _values = [n for v in _values for n in (("grad", "indices") if v in ("grad", "delta") else (v,))]
        _types = {"indices": "Tindices", "global_step": "int64"}
        _inputs = [f"{n}: {_kind}" for n in _state.split()] + [f"{n}: {_types.get(n, 'T')}" for n in _values]
        _prefix = {"r": "Apply", "s": "SparseApply", "R": "ResourceApply", "S": "ResourceSparseApply"}[_form]
        _register(
            f"{_prefix}{_name}({', '.join(_inputs)}) -> {_result}; T: {NUMBERS}; "
            f"{'Tindices: {int32, int64}; ' if _form in 'sS' else ''}use_locking: bool = false{_attrs}",
            _state.split(), _values, _rule,
        )  # fmt: skip
