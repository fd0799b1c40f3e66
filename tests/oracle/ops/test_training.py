"""Training ops compared with TensorFlow: every resource form, dense and on rows, two steps, several dtypes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tracer.ops.training as training
from tracer import dispatch
from tracer.public import tf as ours

_POSITIVE = {"accum", "accum_update", "v", "vhat", "ms", "gradient_squared_accumulator"}
_SCALARS = {
    "alpha": 0.1, "lr": 0.1, "l1": 0.02, "l2": 0.1, "rho": 0.9, "epsilon": 1e-3, "momentum": 0.8, "beta1_power": 0.9, "beta2_power": 0.99,
    "beta1": 0.9, "beta2": 0.99, "l2_shrinkage": 0.05, "lr_power": -0.5, "sign_decay": 0.7, "beta": 0.9, "logbase": 1.2,
}  # fmt: skip


def _cases() -> list[tuple[str, str, dict[str, object]]]:
    out = []
    for name, (_, _, attrs, _, forms) in training._TABLE.items():
        flag = attrs.strip("; ").partition(":")[0]
        for form in forms:
            if form in "RS":
                prefix = "ResourceApply" if form == "R" else "ResourceSparseApply"
                out.append((prefix + name, name, {}))
                if flag:
                    out.append((prefix + name, name, {flag: flag != "update_slots"}))
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize(("op_name", "rule", "attrs"), _cases(), ids=lambda v: str(v))
def test_update_equals_tensorflows(op_name: str, rule: str, attrs: dict[str, object], dtype: str) -> None:
    rng = np.random.default_rng(0)
    state, _, _, _, _ = training._TABLE[rule]
    shape = (5, 3)
    theirs, mine = {}, {}
    for name in state.split():
        value = (rng.random(shape) + 0.5 if name in _POSITIVE else rng.standard_normal(shape)).astype(dtype)
        if name == "ms":
            value = value + np.asarray(2, dtype)
        theirs[name], mine[name] = tf.Variable(value), ours.Variable(value)
    record = training.op.__globals__["_OPS"][op_name]
    for step in range(2):
        values: dict[str, object] = {}
        for arg in record.schema.inputs:
            name = arg.name
            if name in mine:
                continue
            if name == "indices":
                values[name] = np.array([3, 0, 3, 4], "int32")
            elif name in ("grad", "delta"):
                values[name] = rng.standard_normal((4, 3) if "Sparse" in op_name else shape).astype(dtype)
            elif name == "global_step":
                values[name] = np.array(step + 1, "int64")
            else:
                values[name] = np.array(_SCALARS[name], dtype)
        if rule.startswith("Ftrl") and step == 1:
            values["lr_power"] = np.array(-0.7, dtype)
        try:
            getattr(tf.raw_ops, op_name)(
                **{n: v.handle for n, v in theirs.items()}, **{n: tf.constant(v) for n, v in values.items()}, **attrs
            )
        except tf.errors.InvalidArgumentError as error:
            if "No OpKernel" not in str(error):
                raise
            pytest.skip("TensorFlow has no kernel for this dtype")
        flat = [mine[a.name].handle if a.name in mine else ours.constant(values[a.name]) for a in record.schema.inputs]
        dispatch.call(op_name, *flat, **attrs)
    tolerance = {"float16": 2e-2, "float32": 2e-6, "float64": 1e-12}[dtype]
    for name in mine:
        np.testing.assert_allclose(mine[name].numpy(), theirs[name].numpy(), rtol=tolerance, atol=tolerance, err_msg=name)
        assert mine[name].numpy().dtype == theirs[name].numpy().dtype
