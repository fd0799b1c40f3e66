"""Losses of Keras 2.15: functions that give one value a sample, and classes that weigh and reduce them. It refuses distribution strategies."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from savedmodel.keras import crossentropy as entropies
from savedmodel.keras import named_objects
from savedmodel.keras.loss_reduction import (
    Reduction,
    apply_valid_mask,
    compute_weighted_loss,
    get_mask,
    squeeze_or_expand_dimensions,
)
from tracer.composite import RaggedTensor
from tracer.public import tf
from tracer.tensor import Tensor, convert_to_tensor, is_tensor

_AUTO = Reduction.AUTO


# -- classes ---------------------------------------------------------------------------------------------------------


class Loss:
    """Base: `call(y_true, y_pred)` gives losses that `__call__` masks, weighs with `sample_weight` and reduces.

    Args:
        reduction: a member of `Reduction`.
        name: shown in logs and configs.
    """

    def __init__(self, reduction: str = _AUTO, name: str | None = None):
        Reduction.validate(reduction)
        self.reduction = reduction
        self.name = name
        self._allow_sum_over_batch_size = False
        self._set_name_scope()

    def _set_name_scope(self) -> None:
        if self.name is None:
            self._name_scope = type(self).__name__.strip("_")
        else:
            self._name_scope = "lambda" if self.name == "<lambda>" else self.name.strip("_")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        with tf.name_scope(self._name_scope):
            losses = self.call(y_true, y_pred)
            masks = [mask for mask in (get_mask(y_pred), get_mask(losses)) if mask is not None]
            mask = functools.reduce(lambda a, b: a & b, masks) if masks else None
            reduction = self._get_reduction()
            sample_weight = apply_valid_mask(losses, sample_weight, mask, reduction)
            return compute_weighted_loss(losses, sample_weight, reduction=reduction)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """An instance with the arguments in `config`."""
        return cls(**config)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {"reduction": self.reduction, "name": self.name}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The losses before reduction: one dimension less than `y_pred`."""
        raise NotImplementedError(f"{type(self).__name__}.call: Must be implemented in subclasses.")

    def _get_reduction(self) -> str:
        return Reduction.SUM_OVER_BATCH_SIZE if self.reduction == _AUTO else self.reduction


class LossFunctionWrapper(Loss):
    """A loss made of a function `fn(y_true, y_pred, **kwargs)`."""

    def __init__(self, fn: Callable[..., Any], reduction: str = _AUTO, name: str | None = None, **kwargs: Any):
        super().__init__(reduction=reduction, name=name)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if is_tensor(y_pred) and is_tensor(y_true) and not isinstance(y_pred, RaggedTensor) and not isinstance(y_true, RaggedTensor):
            y_pred, y_true = squeeze_or_expand_dimensions(y_pred, y_true)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        from savedmodel.keras import registration

        arguments = {k: v.numpy() if isinstance(v, Tensor) else v for k, v in self._fn_kwargs.items()}
        return {**super().get_config(), **arguments, "fn": registration.get_registered_name(self.fn)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        config = dict(config)
        fn = config.pop("fn", None)
        if fn and cls is LossFunctionWrapper:
            config["fn"] = get(fn)
        return cls(**config)


def _simple(class_name: str, fn: Callable[..., Any], name: str, doc: str) -> type[LossFunctionWrapper]:
    """A class without arguments of its own."""

    def __init__(self: Any, reduction: str = _AUTO, name: str | None = name) -> None:
        LossFunctionWrapper.__init__(self, fn, name=name, reduction=reduction)

    return type(class_name, (LossFunctionWrapper,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})


# -- functions -------------------------------------------------------------------------------------------------------


def _both(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    y_pred = convert_to_tensor(y_pred)
    return tf.cast(y_true, y_pred.dtype), y_pred


def _mean(x: Any, axis: Any = -1) -> Any:
    return tf.reduce_mean(x, axis=axis)


def _smoothed(y_true: Any, label_smoothing: Any, smooth: Callable[[Any], Any]) -> Any:
    """Labels after `smooth(label_smoothing)`, unless it is zero; a symbolic amount decides at run time."""
    if isinstance(label_smoothing, Tensor) and not hasattr(label_smoothing, "_value"):
        return tf.cond(tf.cast(label_smoothing, "bool"), lambda: smooth(label_smoothing), lambda: y_true)
    return smooth(label_smoothing) if bool(label_smoothing) else y_true


def _ragged(extra_dimension: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a loss function take ragged arguments: the loss of each sample on its own rows, as a ragged result."""

    def decorate(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapped(y_true: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(y_true, RaggedTensor) and not isinstance(y_pred, RaggedTensor):
                return fn(y_true, y_pred, *args, **kwargs)
            from savedmodel.keras.ragged_losses import apply_ragged

            return apply_ragged(functools.partial(fn, **kwargs), y_true, y_pred, *args, extra_dimension=extra_dimension)

        return wrapped

    return decorate


@_ragged()
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean((y_true - y_pred)²) along the last axis."""
    y_true, y_pred = _both(y_true, y_pred)
    return _mean(tf.math.squared_difference(y_pred, y_true))


@_ragged()
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean(|y_true - y_pred|) along the last axis."""
    y_true, y_pred = _both(y_true, y_pred)
    return _mean(tf.abs(y_pred - y_true))


def _epsilon() -> float:
    from savedmodel.keras import backend

    return backend.epsilon()


@_ragged()
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """100·mean(|(y_true - y_pred) / y_true|) along the last axis."""
    y_true, y_pred = _both(y_true, y_pred)
    return 100.0 * _mean(tf.abs((y_true - y_pred) / tf.maximum(tf.abs(y_true), _epsilon())))


@_ragged()
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean((log(y_true + 1) - log(y_pred + 1))²) along the last axis; negative values count as zero."""
    y_true, y_pred = _both(y_true, y_pred)
    first = tf.math.log(tf.maximum(y_pred, _epsilon()) + 1.0)
    second = tf.math.log(tf.maximum(y_true, _epsilon()) + 1.0)
    return _mean(tf.math.squared_difference(first, second))


def _signed_labels(y_true: Any) -> Any:
    """Labels 0 and 1 as -1 and 1; others as they are."""
    binary = tf.reduce_all(tf.logical_or(tf.equal(y_true, 0), tf.equal(y_true, 1)))
    if hasattr(binary, "_value"):
        return 2.0 * y_true - 1.0 if bool(binary) else y_true
    return tf.cond(binary, lambda: 2.0 * y_true - 1.0, lambda: y_true)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - y_true·y_pred, 0)²) along the last axis, labels being -1 and 1."""
    y_true, y_pred = _both(y_true, y_pred)
    return _mean(tf.square(tf.maximum(1.0 - _signed_labels(y_true) * y_pred, 0.0)))


def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean(max(1 - y_true·y_pred, 0)) along the last axis, labels being -1 and 1."""
    y_true, y_pred = _both(y_true, y_pred)
    return _mean(tf.maximum(1.0 - _signed_labels(y_true) * y_pred, 0.0))


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(best wrong class - right class + 1, 0)."""
    y_true, y_pred = _both(y_true, y_pred)
    right = tf.reduce_sum(y_true * y_pred, axis=-1)
    wrong = tf.reduce_max((1.0 - y_true) * y_pred, axis=-1)
    return tf.maximum(wrong - right + 1.0, tf.cast(0.0, y_pred.dtype))


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Squares within `delta`, linear beyond; mean along the last axis. Works in the float type of the backend."""
    from savedmodel.keras import backend

    dtype = backend.floatx()
    error = tf.subtract(tf.cast(y_pred, dtype), tf.cast(y_true, dtype))
    size, delta = tf.abs(error), tf.cast(delta, dtype)
    half = convert_to_tensor(0.5, dtype=size.dtype)
    return _mean(tf.where(size <= delta, half * tf.square(error), delta * size - half * tf.square(delta)))


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean(log(cosh(y_pred - y_true))) along the last axis."""
    y_true, y_pred = _both(y_true, y_pred)
    error = y_pred - y_true
    return _mean(error + tf.math.softplus(-2.0 * error) - tf.cast(tf.math.log(2.0), error.dtype))


def _check_axis(axis: Any) -> None:
    if isinstance(axis, bool):
        raise ValueError(f"`axis` must be of type `int`. Received: axis={axis} of type {type(axis)}")


def _warn_single_class(fn: str, y_pred: Any) -> None:
    if y_pred.shape.rank and y_pred.shape[-1] == 1:
        warnings.warn(
            f"In loss {fn}, expected y_pred.shape to be (batch_size, num_classes) with num_classes > 1. Received: y_pred.shape="
            f"{y_pred.shape}. Consider using 'binary_crossentropy' if you only have 2 classes.",
            SyntaxWarning,
            stacklevel=3,
        )


def _spread(y_true: Any, y_pred: Any, axis: int, amount: Any) -> Any:
    amount = tf.cast(amount, y_pred.dtype)
    classes = tf.cast(tf.shape(y_true)[axis], y_pred.dtype)
    return y_true * (1.0 - amount) + amount / classes


@_ragged()
def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: Any = 0.0, axis: int = -1) -> Any:
    """Cross entropy of one-hot labels (or distributions) along `axis`."""
    _check_axis(axis)
    y_true, y_pred = _both(y_true, y_pred)
    _warn_single_class("categorical_crossentropy", y_pred)
    y_true = _smoothed(y_true, label_smoothing, lambda amount: _spread(y_true, y_pred, axis, amount))
    return entropies.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@_ragged()
def categorical_focal_crossentropy(
    y_true: Any, y_pred: Any, alpha: Any = 0.25, gamma: Any = 2.0, from_logits: bool = False, label_smoothing: Any = 0.0, axis: int = -1
) -> Any:
    """Categorical cross entropy with less weight on easy samples."""
    _check_axis(axis)
    y_true, y_pred = _both(y_true, y_pred)
    _warn_single_class("categorical_focal_crossentropy", y_pred)
    y_true = _smoothed(y_true, label_smoothing, lambda amount: _spread(y_true, y_pred, -1, amount))
    return entropies.categorical_focal_crossentropy(
        target=y_true, output=y_pred, alpha=alpha, gamma=gamma, from_logits=from_logits, axis=axis
    )


@_ragged(extra_dimension=True)
def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, axis: int = -1, ignore_class: int | None = None
) -> Any:
    """Cross entropy of class numbers along `axis`."""
    return entropies.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, ignore_class=ignore_class, axis=axis)


def _towards_half(y_true: Any, y_pred: Any, amount: Any) -> Any:
    amount = tf.cast(amount, y_pred.dtype)
    return y_true * (1.0 - amount) + 0.5 * amount


@_ragged()
def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: Any = 0.0, axis: int = -1) -> Any:
    """Mean binary cross entropy along `axis`."""
    y_true, y_pred = _both(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, lambda amount: _towards_half(y_true, y_pred, amount))
    return _mean(entropies.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis)


@_ragged()
def binary_focal_crossentropy(
    y_true: Any, y_pred: Any, apply_class_balancing: bool = False, alpha: Any = 0.25, gamma: Any = 2.0, from_logits: bool = False,
    label_smoothing: Any = 0.0, axis: int = -1,
) -> Any:  # fmt: skip
    """Mean binary cross entropy along `axis`, with less weight on easy elements."""
    y_true, y_pred = _both(y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, lambda amount: _towards_half(y_true, y_pred, amount))
    focal = entropies.binary_focal_crossentropy(
        target=y_true, output=y_pred, apply_class_balancing=apply_class_balancing, alpha=alpha, gamma=gamma, from_logits=from_logits
    )
    return _mean(focal, axis)


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """Σ y_true·log(y_true / y_pred) along the last axis."""
    y_true, y_pred = _both(y_true, y_pred)
    y_true = tf.clip_by_value(y_true, _epsilon(), 1.0)
    y_pred = tf.clip_by_value(y_pred, _epsilon(), 1.0)
    return tf.reduce_sum(y_true * tf.math.log(y_true / y_pred), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean(y_pred - y_true·log(y_pred)) along the last axis."""
    y_true, y_pred = _both(y_true, y_pred)
    return _mean(y_pred - y_true * tf.math.log(y_pred + _epsilon()))


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Minus the cosine between labels and predictions along `axis`."""
    y_true = tf.linalg.l2_normalize(y_true, axis=axis)
    y_pred = tf.linalg.l2_normalize(y_pred, axis=axis)
    return -tf.reduce_sum(y_true * y_pred, axis=axis)


MeanSquaredError = _simple("MeanSquaredError", mean_squared_error, "mean_squared_error", "Mean of squared errors.")
MeanAbsoluteError = _simple("MeanAbsoluteError", mean_absolute_error, "mean_absolute_error", "Mean of absolute errors.")
MeanAbsolutePercentageError = _simple(
    "MeanAbsolutePercentageError", mean_absolute_percentage_error, "mean_absolute_percentage_error", "Mean of absolute errors in percent."
)
MeanSquaredLogarithmicError = _simple(
    "MeanSquaredLogarithmicError", mean_squared_logarithmic_error, "mean_squared_logarithmic_error", "Mean of squared errors of logarithms."
)
Hinge = _simple("Hinge", hinge, "hinge", "Hinge loss.")
SquaredHinge = _simple("SquaredHinge", squared_hinge, "squared_hinge", "Squared hinge loss.")
CategoricalHinge = _simple("CategoricalHinge", categorical_hinge, "categorical_hinge", "Hinge loss between classes.")
Poisson = _simple("Poisson", poisson, "poisson", "Poisson loss.")
LogCosh = _simple("LogCosh", log_cosh, "log_cosh", "Logarithm of the hyperbolic cosine of errors.")
KLDivergence = _simple("KLDivergence", kl_divergence, "kl_divergence", "Kullback-Leibler divergence.")


class BinaryCrossentropy(LossFunctionWrapper):
    """Binary cross entropy of probabilities, or of logits."""

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str = _AUTO,
        name: str | None = "binary_crossentropy",
    ):  # fmt: skip
        super().__init__(
            binary_crossentropy, name=name, reduction=reduction, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
        )
        self.from_logits = from_logits


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary cross entropy with less weight on easy elements."""

    def __init__(
        self, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False,
        label_smoothing: float = 0.0, axis: int = -1, reduction: str = _AUTO, name: str | None = "binary_focal_crossentropy",
    ):  # fmt: skip
        super().__init__(
            binary_focal_crossentropy, apply_class_balancing=apply_class_balancing, alpha=alpha, gamma=gamma, name=name,
            reduction=reduction, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip
        self.from_logits = from_logits
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma


class CategoricalCrossentropy(LossFunctionWrapper):
    """Cross entropy with one-hot labels."""

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str = _AUTO,
        name: str | None = "categorical_crossentropy",
    ):  # fmt: skip
        super().__init__(
            categorical_crossentropy, name=name, reduction=reduction, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
        )


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Cross entropy with one-hot labels and less weight on easy samples."""

    def __init__(
        self, alpha: Any = 0.25, gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
        reduction: str = _AUTO, name: str | None = "categorical_focal_crossentropy",
    ):  # fmt: skip
        super().__init__(
            categorical_focal_crossentropy, alpha=alpha, gamma=gamma, name=name, reduction=reduction, from_logits=from_logits,
            label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip
        self.from_logits = from_logits
        self.alpha = alpha
        self.gamma = gamma


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Cross entropy with class numbers as labels; those equal to `ignore_class` do not count."""

    def __init__(
        self, from_logits: bool = False, ignore_class: int | None = None, reduction: str = _AUTO,
        name: str | None = "sparse_categorical_crossentropy",
    ):  # fmt: skip
        super().__init__(
            sparse_categorical_crossentropy, name=name, reduction=reduction, from_logits=from_logits, ignore_class=ignore_class
        )


class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine between labels and predictions."""

    def __init__(self, axis: int = -1, reduction: str = _AUTO, name: str | None = "cosine_similarity"):
        super().__init__(cosine_similarity, reduction=reduction, name=name, axis=axis)


class Huber(LossFunctionWrapper):
    """Squared errors within `delta`, absolute ones beyond."""

    def __init__(self, delta: float = 1.0, reduction: str = _AUTO, name: str | None = "huber_loss"):
        super().__init__(huber, name=name, reduction=reduction, delta=delta)


# -- names -----------------------------------------------------------------------------------------------------------

bce = BCE = binary_crossentropy
mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh
huber_loss = huber

FUNCTIONS: dict[str, Any] = {
    f.__name__: f
    for f in (
        mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, mean_squared_logarithmic_error, squared_hinge, hinge,
        categorical_hinge, huber, log_cosh, categorical_crossentropy, categorical_focal_crossentropy, sparse_categorical_crossentropy,
        binary_crossentropy, binary_focal_crossentropy, kl_divergence, poisson, cosine_similarity,
    )
}  # fmt: skip
FUNCTIONS |= {
    "bce": bce, "BCE": bce, "mse": mse, "MSE": mse, "mae": mae, "MAE": mae, "mape": mape, "MAPE": mape, "msle": msle, "MSLE": msle,
    "kld": kld, "KLD": kld, "kullback_leibler_divergence": kld, "logcosh": log_cosh, "huber_loss": huber,
}  # fmt: skip

OBJECTS: dict[str, Any] = {
    **FUNCTIONS,
    **{
        c.__name__: c
        for c in (
            Loss, LossFunctionWrapper, MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError,
            BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy, CategoricalFocalCrossentropy,
            SparseCategoricalCrossentropy, CosineSimilarity, Hinge, SquaredHinge, CategoricalHinge, Poisson, LogCosh, KLDivergence, Huber,
        )
    },
}  # fmt: skip


def is_categorical_crossentropy(loss: Any) -> bool:
    """Whether `loss`, in any form, is the categorical cross entropy."""
    return (
        isinstance(loss, CategoricalCrossentropy)
        or (isinstance(loss, LossFunctionWrapper) and loss.fn is categorical_crossentropy)
        or getattr(loss, "__name__", None) == "categorical_crossentropy"
        or (isinstance(loss, str) and loss == "categorical_crossentropy")
    )


def serialize(loss: Any, use_legacy_format: bool = False) -> Any:
    """The config of a loss."""
    return named_objects.serialize(loss, use_legacy_format, Loss, "losses")


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None, use_legacy_format: bool = False) -> Any:
    """The loss of a name or config."""
    return named_objects.deserialize(name, OBJECTS, "loss function", custom_objects, use_legacy_format)


def get(identifier: Any) -> Any:
    """A loss from a name, a config or any callable.

    Raises:
        ValueError: it is none of these, or the name is unknown.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        return deserialize(str(identifier), use_legacy_format=True)
    if isinstance(identifier, dict):
        return deserialize(identifier, use_legacy_format="module" not in identifier)
    if callable(identifier):
        return identifier
    raise ValueError(f"Could not interpret loss function identifier: {identifier}")
