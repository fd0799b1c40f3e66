"""Activations and their gradient ops: records, kernels, gradients and the functions of `tf.nn` over them. Softmax lives in softmax.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer import infer
from tracer.dispatch import name_scope, raw
from tracer.public import public, tf
from tracer.registry import op
from tracer.tensor import convert_to_tensor

_NUMBERS = "{float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64}"
_FLOATS = "{half, bfloat16, float, double}"
_SELU_SCALE = 1.0507009873554804934193349852946
_SELU_SCALE_ALPHA = 1.7580993408473768599402175208123


def _zeros_like(x: Any) -> Any:
    return raw.ZerosLike(x)


# -- rectifiers ------------------------------------------------------------------------------------------------------

relu_op = op(
    "Relu(features: T) -> (activations: T); "
    "T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64, qint8}"
)
relu_grad_op = op(f"ReluGrad(gradients: T, features: T) -> (backprops: T); T: {_NUMBERS}")
relu6_op = op(f"Relu6(features: T) -> (activations: T); T: {_NUMBERS}")
relu6_grad_op = op(f"Relu6Grad(gradients: T, features: T) -> (backprops: T); T: {_NUMBERS}")
leaky_relu_op = op(f"LeakyRelu(features: T) -> (activations: T); alpha: float = 0.20000000298023224; T: {_FLOATS} = float")
leaky_relu_grad_op = op(
    f"LeakyReluGrad(gradients: T, features: T) -> (backprops: T); alpha: float = 0.20000000298023224; T: {_FLOATS} = float"
)
for record in (relu_op, relu_grad_op, relu6_op, relu6_grad_op, leaky_relu_op, leaky_relu_grad_op):
    record.infer(infer.unchanged)


@relu_op.kernel
def _(x: np.ndarray) -> Any:
    return np.maximum(x, x.dtype.type(0))


@relu_grad_op.kernel
def _(grad: np.ndarray, x: np.ndarray) -> Any:
    return _masked(grad, x > x.dtype.type(0))


def _masked(grad: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`grad` times 1 or 0: as in TensorFlow, a NaN or infinity does not vanish behind a 0."""
    with np.errstate(invalid="ignore"):
        return np.multiply(grad, mask.astype(grad.dtype))


@relu_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.ReluGrad(grad, node.outputs[0])


@relu_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = node.inputs[1]
    return raw.ReluGrad(grad, x), _zeros_like(x)


@relu6_op.kernel
def _(x: np.ndarray) -> Any:
    out = np.maximum(x, x.dtype.type(0))
    return np.minimum(out, x.dtype.type(6), out=out) if out.ndim else np.minimum(out, x.dtype.type(6))


@relu6_grad_op.kernel
def _(grad: np.ndarray, x: np.ndarray) -> Any:
    return _masked(grad, (x > x.dtype.type(0)) & (x < x.dtype.type(6)))


@relu6_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.Relu6Grad(grad, node.outputs[0])


@relu6_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = node.inputs[1]
    return raw.Relu6Grad(grad, x), _zeros_like(x)


@leaky_relu_op.kernel
def _(x: np.ndarray, *, alpha: float) -> Any:
    slope = x.dtype.type(alpha)
    if alpha <= 1:
        return np.maximum(x, x * slope)
    return np.where(x > x.dtype.type(0), x, x * slope)


@leaky_relu_grad_op.kernel
def _(grad: np.ndarray, x: np.ndarray, *, alpha: float) -> Any:
    kind = grad.dtype
    positive = x > x.dtype.type(0)
    if 0 <= alpha <= 1 and kind.itemsize >= 4:
        slope = positive.astype(kind)  # 1 or alpha, without choosing by a mask
        slope *= kind.type(1) - kind.type(alpha)
        slope += kind.type(alpha)
        return grad * slope
    return np.where(positive, grad, grad * kind.type(alpha))


@leaky_relu_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.LeakyReluGrad(grad, node.inputs[0], alpha=node.attr("alpha"))


@leaky_relu_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    x = node.inputs[1]
    return raw.LeakyReluGrad(grad, x, alpha=node.attr("alpha")), _zeros_like(x)


# -- exponential units -----------------------------------------------------------------------------------------------

elu_op = op(f"Elu(features: T) -> (activations: T); T: {_FLOATS}")
elu_grad_op = op(f"EluGrad(gradients: T, outputs: T) -> (backprops: T); T: {_FLOATS}")
selu_op = op(f"Selu(features: T) -> (activations: T); T: {_FLOATS}")
selu_grad_op = op(f"SeluGrad(gradients: T, outputs: T) -> (backprops: T); T: {_FLOATS}")
softplus_op = op(f"Softplus(features: T) -> (activations: T); T: {_FLOATS}")
softplus_grad_op = op(f"SoftplusGrad(gradients: T, features: T) -> (backprops: T); T: {_FLOATS}")
softsign_op = op(f"Softsign(features: T) -> (activations: T); T: {_FLOATS}")
softsign_grad_op = op(f"SoftsignGrad(gradients: T, features: T) -> (backprops: T); T: {_FLOATS}")
for record in (elu_op, elu_grad_op, selu_op, selu_grad_op, softplus_op, softplus_grad_op, softsign_op, softsign_grad_op):
    record.infer(infer.unchanged)


@elu_op.kernel
def _(x: np.ndarray) -> Any:
    # A sum of both sides: choosing by a mask costs several times more where signs are mixed.
    zero = x.dtype.type(0)
    out = np.expm1(np.minimum(x, zero))
    return out + np.maximum(x, zero)


@elu_grad_op.kernel
def _(grad: np.ndarray, y: np.ndarray) -> Any:
    with np.errstate(all="ignore"):
        return grad * (np.minimum(y, y.dtype.type(0)) + y.dtype.type(1))


@elu_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.EluGrad(grad, node.outputs[0])


@elu_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    dy, y = node.inputs
    return raw.EluGrad(grad, y), tf.where(y < 0, grad * dy, _zeros_like(y))


@selu_op.kernel
def _(x: np.ndarray) -> Any:
    kind = x.dtype.type
    return kind(_SELU_SCALE_ALPHA) * np.expm1(np.minimum(x, kind(0))) + kind(_SELU_SCALE) * np.maximum(x, kind(0))


@selu_grad_op.kernel
def _(grad: np.ndarray, y: np.ndarray) -> Any:
    kind = y.dtype.type
    with np.errstate(all="ignore"):
        return np.where(y < kind(0), grad * (y + kind(_SELU_SCALE_ALPHA)), grad * kind(_SELU_SCALE))


@selu_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.SeluGrad(grad, node.outputs[0])


@selu_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    dy, y = node.inputs
    return raw.SeluGrad(grad, y), tf.where(y < 0, grad * dy, _zeros_like(y))


@softplus_op.kernel
def _(x: np.ndarray) -> Any:
    wide = _wide(x)
    # max(x, 0) + log1p(exp(-|x|)) is stable on both sides.
    out = np.array(np.abs(wide))
    np.negative(out, out=out)
    np.exp(out, out=out)
    np.log1p(out, out=out)
    out += np.maximum(wide, wide.dtype.type(0))
    return out.astype(x.dtype, copy=False)


def _wide(x: np.ndarray) -> np.ndarray:
    """Short floats as float32; the rest as it is."""
    return x if x.dtype.itemsize >= 4 else x.astype(np.float32)


@softplus_grad_op.kernel
def _(grad: np.ndarray, x: np.ndarray) -> Any:
    with np.errstate(over="ignore"):
        return grad / (np.exp(-x) + x.dtype.type(1))


@softplus_op.gradient
def _(node: Any, grad: Any) -> Any:
    return grad * raw.Sigmoid(node.inputs[0])


@softplus_grad_op.gradient
def _(node: Any, grad: Any) -> Any:
    dy, x = node.inputs
    return raw.SoftplusGrad(grad, x), grad * dy / (raw.Exp(-x) + 2.0 + raw.Exp(x))


@softsign_op.kernel
def _(x: np.ndarray) -> Any:
    with np.errstate(invalid="ignore"):
        return x / (x.dtype.type(1) + np.abs(x))


@softsign_grad_op.kernel
def _(grad: np.ndarray, x: np.ndarray) -> Any:
    return grad / np.square(x.dtype.type(1) + np.abs(x))


@softsign_op.gradient
def _(node: Any, grad: Any) -> Any:
    return raw.SoftsignGrad(grad, node.inputs[0])


# -- functions -------------------------------------------------------------------------------------------------------


@public("nn.relu")
def relu(features: Any, name: str | None = None) -> Any:
    """max(features, 0), elementwise; keeps NaN."""
    return raw.Relu(features, name=name)


@public("nn.relu6")
def relu6(features: Any, name: str | None = None) -> Any:
    """min(max(features, 0), 6), elementwise."""
    return raw.Relu6(features, name=name)


@public("nn.leaky_relu")
def leaky_relu(features: Any, alpha: Any = 0.2, name: str | None = None) -> Any:
    """`features` where positive, else alpha · features. Integers become float32; `alpha` may be a tensor."""
    features = convert_to_tensor(features)
    if features.dtype.is_integer:
        features = tf.cast(features, tf.float32)
    if hasattr(alpha, "dtype") and not isinstance(alpha, (np.ndarray, np.generic)):
        return raw.Maximum(alpha * features, features, name=name)
    return raw.LeakyRelu(features, alpha=float(alpha), name=name)


@public("nn.elu")
def elu(features: Any, name: str | None = None) -> Any:
    """exp(x) - 1 below 0, else x."""
    return raw.Elu(features, name=name)


@public("nn.selu")
def selu(features: Any, name: str | None = None) -> Any:
    """Scaled exponential linear unit (Klambauer et al., 2017)."""
    return raw.Selu(features, name=name)


@public("math.softplus", "nn.softplus")
def softplus(features: Any, name: str | None = None) -> Any:
    """log(1 + exp(features)), stable for large values."""
    return raw.Softplus(features, name=name)


@public("nn.softsign", "math.softsign")
def softsign(features: Any, name: str | None = None) -> Any:
    """x / (1 + |x|)."""
    return raw.Softsign(features, name=name)


@public("nn.crelu")
def crelu(features: Any, axis: int = -1, name: str | None = None) -> Any:
    """Relu of `features` and of its negative, side by side along `axis`."""
    with name_scope(name or "CRelu"):
        features = convert_to_tensor(features)
        return raw.Relu(tf.concat([features, -features], axis))


@public("nn.gelu")
def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
    """x · Φ(x) (Hendrycks and Gimpel, 2016), exactly by erf or approximately by tanh.

    Raises:
        ValueError: `features` is not floating.
    """
    with name_scope(name or "Gelu"):
        features = convert_to_tensor(features)
        if not features.dtype.is_floating:
            raise ValueError(f"tf.nn.gelu: expected floating features, received {features.dtype.name}; cast them with tf.cast")
        dtype = features.dtype
        if approximate:
            cubic = convert_to_tensor(0.044715, dtype)
            inner = convert_to_tensor(0.7978845608028654, dtype) * (features + cubic * raw.Pow(features, convert_to_tensor(3, dtype)))
            return convert_to_tensor(0.5, dtype) * features * (convert_to_tensor(1.0, dtype) + raw.Tanh(inner))
        root = convert_to_tensor(1.4142135623730951, dtype)
        return convert_to_tensor(0.5, dtype) * features * (convert_to_tensor(1.0, dtype) + raw.Erf(features / root))


@public("nn.silu", "nn.swish")
def silu(features: Any, beta: Any = 1.0) -> Any:
    """x · sigmoid(beta · x) (Elfwing et al., 2017). Traced as TensorFlow does it: the product goes through an IdentityN."""
    features = convert_to_tensor(features)
    beta = convert_to_tensor(beta, features.dtype)

    @tf.custom_gradient
    def swish(features: Any, beta: Any) -> Any:
        def grad(dy: Any) -> Any:
            with tf.control_dependencies([dy]):
                gate = raw.Sigmoid(beta * features)
            slope = gate * (1.0 + beta * features * (1.0 - gate))
            by_beta = raw.Sum(dy * raw.Square(features) * gate * (1.0 - gate), tf.range(tf.rank(features)))
            return dy * slope, by_beta

        return features * raw.Sigmoid(beta * features), grad

    return swish(features, beta)
