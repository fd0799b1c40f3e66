"""Discretization: numbers as the buckets they fall into; boundaries are given or learned as approximate quantiles."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from savedmodel.keras.layers.preprocessing.base import PreprocessingLayer, checked_choice
from savedmodel.keras.layers.preprocessing.categorical import _check_sparse, _is_integer, check_integer_output
from savedmodel.keras.layers.preprocessing.encoding import COUNT, INT, MULTI_HOT, ONE_HOT, encode, integer_dtype, listed
from tracer import dtypes
from tracer.composite import RaggedTensor, SparseTensor
from tracer.dispatch import raw
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.specs import SparseTensorSpec, TensorSpec
from tracer.tensor import convert_to_tensor

__all__ = ["Discretization"]

log = logging.getLogger("savedmodel.keras")


def summarize(values: np.ndarray, epsilon: float) -> np.ndarray:
    """Boundaries of about 1 / epsilon equal parts of `values`, and the number of values in each part: [2, parts]."""
    ordered = np.sort(np.asarray(values, np.float32).reshape(-1))
    start = int(np.float32(ordered.size) / np.float32(1.0 / epsilon))
    step = max(start, 1)
    boundaries = ordered[start::step]
    return np.stack([boundaries, np.full_like(boundaries, step)])


def compress(summary: np.ndarray, epsilon: float) -> np.ndarray:
    """A summary with no more than about 1 / epsilon parts."""
    if summary.shape[1] * epsilon < 1:
        return summary
    wanted = epsilon + np.arange(0.0, 1.0, epsilon)
    sums = summary[1].cumsum()
    shares = sums / sums[-1]
    boundaries = np.interp(wanted, shares, summary[0])
    sums = np.interp(wanted, shares, sums)
    return np.stack((boundaries, sums - np.concatenate((np.array([0]), sums[:-1])))).astype(np.float32)


def merge(first: np.ndarray, second: np.ndarray, epsilon: float) -> np.ndarray:
    """The summary of what two summaries describe."""
    joined = np.concatenate([first, second], axis=1)
    return compress(joined[:, np.argsort(joined[0], kind="stable")], epsilon)


class Discretization(PreprocessingLayer):
    """The number of the bucket that each value falls into.

    Args:
        bin_boundaries: increasing boundaries between buckets; the outer buckets are open.
        num_bins: how many buckets `adapt` makes, where no boundaries are given.
        epsilon: how exact the learned quantiles are.
        output_mode: "int", "one_hot", "multi_hot" or "count".
    """

    def __init__(
        self, bin_boundaries: Any = None, num_bins: int | None = None, epsilon: float = 0.01, output_mode: str = INT, sparse: bool = False,
        **kwargs: Any,
    ):  # fmt: skip
        if "bins" in kwargs:
            log.warning("bins is deprecated, please use bin_boundaries or num_bins instead.")
            bins = kwargs.pop("bins")
            if isinstance(bins, int) and num_bins is None:
                num_bins = bins
            elif bin_boundaries is None:
                bin_boundaries = bins
        integer_dtype(kwargs, output_mode)
        if output_mode == INT and not _is_integer(kwargs["dtype"]):
            kwargs["dtype"] = "int64"
        super().__init__(**kwargs)
        check_integer_output(self, output_mode, kwargs["dtype"])
        checked_choice(output_mode, (INT, ONE_HOT, MULTI_HOT, COUNT), type(self).__name__, "output_mode")
        _check_sparse(sparse, output_mode)
        if num_bins is not None and num_bins < 0:
            raise ValueError(f"`num_bins` must be greater than or equal to 0. You passed `num_bins={num_bins}`")
        if num_bins is not None and bin_boundaries is not None:
            raise ValueError(
                f"Both `num_bins` and `bin_boundaries` should not be set. You passed `num_bins={num_bins}` and `bin_boundaries={bin_boundaries}`"
            )
        bin_boundaries = listed(bin_boundaries)
        self.input_bin_boundaries = bin_boundaries
        self.bin_boundaries = bin_boundaries if bin_boundaries is not None else []
        self.num_bins = num_bins
        self.epsilon = epsilon
        self.output_mode = output_mode
        self.sparse = sparse

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.input_bin_boundaries is None:
            self.summary = self.add_weight(
                "summary", shape=(2, None), dtype=dtypes.float32, initializer=_no_summary, trainable=False
            )

    def update_state(self, data: Any) -> None:
        if self.input_bin_boundaries is not None:
            raise ValueError(
                f"Cannot adapt a Discretization layer that has been initialized with `bin_boundaries`, use `num_bins` instead. You passed "
                f"`bin_boundaries={self.input_bin_boundaries}`."
            )
        if not self.built:
            raise RuntimeError("`build` must be called before `update_state`.")
        values = convert_to_tensor(data)
        values = tf.cast(values, dtypes.float32).numpy()
        self.summary.assign(merge(summarize(values, self.epsilon), self.summary.numpy(), self.epsilon))

    def finalize_state(self) -> None:
        if self.input_bin_boundaries is not None or not self.built or self.num_bins is None:
            return
        self.bin_boundaries = compress(self.summary.numpy(), 1.0 / self.num_bins)[0, :-1].tolist()

    def reset_state(self) -> None:
        if self.input_bin_boundaries is not None or not self.built:
            return
        self.summary.assign(np.zeros((2, 0), np.float32))
        self.__dict__["_is_adapted"] = False

    def load_own_variables(self, store: Any) -> None:
        super().load_own_variables(store)
        self.finalize_state()

    def call(self, inputs: Any) -> Any:
        boundaries = list(self.bin_boundaries)

        def bucketize(x: Any) -> Any:
            return raw.Bucketize(input=x, boundaries=boundaries)

        if isinstance(inputs, RaggedTensor):
            buckets = tf.ragged.map_flat_values(bucketize, inputs)
        elif isinstance(inputs, SparseTensor):
            buckets = SparseTensor(tf.identity(inputs.indices), bucketize(inputs.values), tf.identity(inputs.dense_shape))
        else:
            buckets = bucketize(inputs)
        return encode(buckets, self.output_mode, len(boundaries) + 1, self.compute_dtype, self.sparse)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return TensorShape(input_shape)

    def compute_output_signature(self, input_spec: Any) -> Any:
        shape = self.compute_output_shape(input_spec.shape)
        return (SparseTensorSpec if isinstance(input_spec, SparseTensorSpec) else TensorSpec)(shape, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(), "bin_boundaries": self.input_bin_boundaries, "num_bins": self.num_bins, "epsilon": self.epsilon,
            "output_mode": self.output_mode, "sparse": self.sparse,
        }  # fmt: skip


def _no_summary(shape: Any, dtype: Any = None, **kwargs: Any) -> np.ndarray:
    return np.zeros((2, 0), np.float32)
