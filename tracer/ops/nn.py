"""What is left of `tf.nn`: dropout, embedding_lookup and losses without an op of their own."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from tracer.dispatch import name_scope, raw
from tracer.errors import DTypeError, InvalidArgumentError, ShapeError
from tracer.public import public, tf
from tracer.shapes import as_shape
from tracer.tensor import Tensor, convert_to_tensor

# -- dropout ---------------------------------------------------------------------------------------------------------


def _noise_shape(x: Any, noise_shape: Any) -> Any:
    """The shape of the random tensor: as given, with unknown sizes taken from `x`."""
    if noise_shape is None:
        return tf.shape(x)
    if isinstance(noise_shape, Tensor):
        return noise_shape
    try:
        wanted = as_shape(noise_shape)
    except (TypeError, ValueError):
        return noise_shape
    if wanted.rank is None or x.shape.rank != wanted.rank:
        return noise_shape
    dims = [n if n is not None else m for n, m in zip(wanted, x.shape)]
    if any(d is None for d in dims):
        now = tf.shape(x)
        return tf.stack([now[i] if d is None else tf.constant(d) for i, d in enumerate(dims)])
    return dims


def _dropout(x: Any, rate: Any, noise_shape: Any, sample: Any, name: str | None, default: str) -> Any:
    with name_scope(name or default):
        is_number = isinstance(rate, numbers.Real)
        if is_number and not 0 <= rate < 1:
            raise InvalidArgumentError(f"`rate` must be a scalar tensor or a float in the range [0, 1). Received: rate={rate}")
        x = convert_to_tensor(x)
        if not x.dtype.is_floating:
            raise InvalidArgumentError(f"`x.dtype` must be a floating point tensor as `x` will be scaled. Received: x_dtype={x.dtype}")
        if is_number and rate == 0:
            sample([0], x.dtype)  # the random stream moves on whether or not anything is dropped
            return x
        if is_number:
            kept = raw.Mul(x, convert_to_tensor(1 / (1 - rate), dtype=x.dtype))
        else:
            rate = convert_to_tensor(rate)
            if rate.shape.rank not in (0, None):
                raise ShapeError(f"`rate` must be a scalar, received shape {rate.shape}")
            if rate.dtype != x.dtype:
                raise DTypeError(f"`x.dtype` must be compatible with `rate.dtype`. Received: x.dtype={x.dtype} and rate.dtype={rate.dtype}")
            kept = raw.RealDiv(x, raw.Sub(tf.constant(1, dtype=x.dtype), rate))
        keep = sample(_noise_shape(x, noise_shape), x.dtype) >= rate
        out = raw.SelectV2(keep, kept, tf.constant(0, dtype=x.dtype))
        out.set_shape(x.shape)
        return out


@public("nn.dropout")
def dropout(x: Any, rate: Any, noise_shape: Any = None, seed: int | None = None, name: str | None = None) -> Any:
    """Each element 0 with probability `rate`, else scaled by 1 / (1 - rate).

    Args:
        noise_shape: shape of the random decisions, which broadcast to `x`.

    Raises:
        ValueError: a rate outside of [0, 1), or integers in `x`.
    """
    return _dropout(x, rate, noise_shape, lambda shape, dtype: tf.random.uniform(shape, seed=seed, dtype=dtype), name, "dropout")


@public("nn.experimental.stateless_dropout")
def stateless_dropout(
    x: Any, rate: Any, seed: Any, rng_alg: str = "auto_select", noise_shape: Any = None, name: str | None = None
) -> Any:
    """`dropout` that depends on nothing but `seed`, a vector of two integers."""

    def sample(shape: Any, dtype: Any) -> Any:
        return tf.random.stateless_uniform(shape, seed=seed, dtype=dtype, alg=rng_alg)

    return _dropout(x, rate, noise_shape, sample, name, "stateless_dropout")


# -- embedding -------------------------------------------------------------------------------------------------------


def _clip_rows(rows: Any, ids_rank: int | None, max_norm: Any) -> Any:
    if max_norm is None:
        return rows
    if ids_rank is None or rows.shape.rank is None:
        raise ShapeError("max_norm needs ids and params of known rank")
    return tf.clip_by_norm(rows, max_norm, axes=list(range(ids_rank, rows.shape.rank)))


def _rows_of(table: Any, ids: Any) -> Any:
    """Rows of a tensor or a variable; a variable is read at those rows only."""
    gather = getattr(table, "sparse_read", None)
    return gather(ids) if gather is not None else tf.gather(table, ids)


@public("nn.embedding_lookup")
def embedding_lookup(params: Any, ids: Any, max_norm: Any = None, name: str | None = None) -> Any:
    """Rows `ids` of `params`: [ids shape…, row shape…].

    Args:
        params: a tensor or variable, or a list of them over which the rows are dealt out in contiguous shares ("div").
        max_norm: rows with a larger 2-norm are scaled down to it.
    """
    return _lookup(params, ids, "div", max_norm, name)


@public("compat.v1.nn.embedding_lookup")
def embedding_lookup_v1(
    params: Any, ids: Any, partition_strategy: str = "mod", name: str | None = None, validate_indices: bool = True, max_norm: Any = None
) -> Any:
    """`embedding_lookup` with the share of a row chosen by `partition_strategy`: id modulo the shares ("mod"), or "div"."""
    return _lookup(params, ids, partition_strategy, max_norm, name)


def _lookup(params: Any, ids: Any, strategy: str, max_norm: Any, name: str | None) -> Any:
    tables: Sequence[Any] = list(params) if isinstance(params, (list, tuple)) else [params]
    if not tables:
        raise InvalidArgumentError(f"params must hold at least one table, received {params!r}")
    if strategy not in ("mod", "div"):
        raise InvalidArgumentError(f"partition_strategy must be 'mod' or 'div', received {strategy!r}")
    with name_scope(name or "embedding_lookup"):
        ids = convert_to_tensor(ids)
        if len(tables) == 1:
            return tf.identity(_clip_rows(_rows_of(tables[0], ids), ids.shape.rank, max_norm))
        flat = tf.reshape(ids, [-1])
        kind = flat.dtype
        count = len(tables)
        if strategy == "mod":
            share, row = raw.FloorMod(flat, tf.constant(count, dtype=kind)), raw.FloorDiv(flat, tf.constant(count, dtype=kind))
        else:
            rows = [convert_to_tensor(tf.shape(t)[0]) for t in tables]
            total = tf.cast(raw.AddN(rows), kind)
            each, extra = total // count, raw.FloorMod(total, tf.constant(count, dtype=kind))
            share = raw.Maximum(flat // (each + 1), (flat - extra) // each)
            row = tf.where(share < extra, raw.FloorMod(flat, each + 1), raw.FloorMod(flat - extra, each))
        share = tf.cast(share, tf.int32)
        parts = raw.DynamicPartition(row, share, num_partitions=count)
        places = raw.DynamicPartition(tf.range(tf.size(flat)), share, num_partitions=count)
        found = raw.DynamicStitch(places, [_rows_of(t, p) for t, p in zip(tables, parts)])
        row_shape = convert_to_tensor(tables[0]).shape[1:]
        tail = row_shape.as_list() if row_shape.is_fully_defined() else tf.shape(tables[0])[1:]
        found = tf.reshape(found, tf.concat([tf.shape(ids), tail], 0))
        found.set_shape(ids.shape.concatenate(row_shape))
        return _clip_rows(found, ids.shape.rank, max_norm)


# -- losses ----------------------------------------------------------------------------------------------------------


@public("nn.log_poisson_loss")
def log_poisson_loss(targets: Any, log_input: Any, compute_full_loss: bool = False, name: str | None = None) -> Any:
    """exp(c) - z·c for the logarithm c of the prediction; with Stirling's term for z > 1 where `compute_full_loss`."""
    with name_scope(name or "log_poisson_loss"):
        log_input = convert_to_tensor(log_input)
        targets = convert_to_tensor(targets, dtype=log_input.dtype)
        if not targets.shape.is_compatible_with(log_input.shape):
            raise ShapeError(f"`log_input` and `targets` must have the same shape, received ({log_input.shape} vs {targets.shape})")
        loss = raw.Exp(log_input) - log_input * targets
        if not compute_full_loss:
            return loss
        two_pi = tf.constant(2 * math.pi, dtype=targets.dtype)
        half = tf.constant(0.5, dtype=targets.dtype)
        stirling = targets * raw.Log(targets) - targets + half * raw.Log(two_pi * targets)
        small = tf.logical_and(targets >= 0, targets <= 1)
        return loss + tf.where(small, raw.ZerosLike(targets), stirling)


@public("nn.compute_average_loss")
def compute_average_loss(per_example_loss: Any, sample_weight: Any = None, global_batch_size: Any = None) -> Any:
    """The weighted sum of losses over the global batch size, which is the length of the losses unless given."""
    loss = convert_to_tensor(per_example_loss)
    kind = loss.dtype
    if sample_weight is not None:
        weight = tf.cast(sample_weight, tf.float32)
        rank, weight_rank = loss.shape.rank, weight.shape.rank
        if rank is not None and weight_rank is not None and rank > weight_rank > 0:
            for _ in range(rank - weight_rank):
                weight = tf.expand_dims(weight, -1)
        loss = tf.cast(loss, tf.float32) * weight
    loss = tf.cast(loss, kind)
    size = tf.shape(loss)[0] if global_batch_size is None else global_batch_size
    return tf.reduce_sum(loss) / tf.cast(size, kind)


@public("nn.scale_regularization_loss")
def scale_regularization_loss(regularization_loss: Any) -> Any:
    """The sum of the losses; there is one replica."""
    return tf.reduce_sum(regularization_loss)
