"""The loop over time steps that recurrent layers share. It refuses to know cells. Authority: Keras 2.15's `keras.backend.rnn`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from tracer import nest
from tracer.public import tf
from tracer.shapes import TensorShape
from tracer.tensor import Tensor

__all__ = ["has_argument", "is_multiple_state", "loop", "zero_state", "zero_state_of"]


def has_argument(fn: Callable[..., Any], name: str) -> bool:
    """Whether a function takes an argument by that name."""
    try:
        parameters = inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters


def is_multiple_state(state_size: Any) -> bool:
    """Whether a state size stands for several states."""
    return hasattr(state_size, "__len__") and not isinstance(state_size, TensorShape)


def zero_state(batch_size: Any, state_size: Any, dtype: Any) -> Any:
    """Zeros in the structure of `state_size`.

    Raises:
        ValueError: no batch size or dtype.
    """
    if batch_size is None or dtype is None:
        raise ValueError(
            f"batch_size and dtype cannot be None while constructing initial state. Received: batch_size={batch_size}, dtype={dtype}"
        )

    def zeros(size: Any) -> Any:
        dims = [batch_size, *TensorShape(size).as_list()]
        return tf.zeros(tf.stack(dims) if isinstance(batch_size, Tensor) else dims, dtype=dtype)

    if isinstance(state_size, TensorShape):
        return zeros(state_size)
    return nest.map_structure(zeros, state_size) if nest.is_nested(state_size) else zeros(state_size)


def zero_state_of(cell: Any, inputs: Any, batch_size: Any, dtype: Any) -> Any:
    """Zeros for a cell, with batch size and dtype of `inputs` if given."""
    if inputs is not None:
        batch_size, dtype = tf.shape(inputs)[0], inputs.dtype
    return zero_state(batch_size, cell.state_size, dtype)


def _swapped(x: Any) -> Any:
    """Batch and time exchanged."""
    return tf.transpose(x, [1, 0, *range(2, len(x.shape))])


def _spread(mask: Any, like: Any) -> Any:
    """A mask with as many dimensions as `like`, for broadcasting."""
    for _ in range(len(like.shape) - len(mask.shape)):
        mask = tf.expand_dims(mask, -1)
    return mask


def _chosen(mask: Any, new: Sequence[Any], old: Sequence[Any]) -> tuple[Any, ...]:
    out = []
    for n, o in zip(new, old, strict=True):
        value = tf.where(_spread(mask, n), n, o)
        if isinstance(value, Tensor) and n.shape.rank is not None:
            value.set_shape(n.shape)
        out.append(value)
    return tuple(out)


def loop(
    step: Callable[[Any, Any], tuple[Any, Any]], inputs: Any, initial_states: Any, go_backwards: bool = False, mask: Any = None,
    constants: Any = None, unroll: bool = False, input_length: Any = None, time_major: bool = False, zero_output_for_mask: bool = False,
    return_all_outputs: bool = True,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Run `step(input, states + constants) -> (output, new states)` over time.

    Where the mask is False, states stay as they are and the output is the one before (or zero).

    Returns:
        (last output, outputs of all steps — or of the last one —, last states).

    Raises:
        ValueError: unrolling without a known number of steps.
    """
    if not time_major:
        inputs = nest.map_structure(_swapped, inputs)
    flat_inputs = nest.flatten(inputs)
    steps, batch = flat_inputs[0].shape[0], flat_inputs[0].shape[1]
    for x in flat_inputs:
        x.shape.with_rank_at_least(3)
    if mask is not None:
        mask = mask if mask.dtype == tf.bool else tf.cast(mask, "bool")
        if len(mask.shape) == 2:
            mask = tf.expand_dims(mask, -1)
        if not time_major:
            mask = _swapped(mask)
    constants = tuple(constants or ())
    run = _unrolled if unroll else _looped
    last, outputs, states = run(
        step, inputs, flat_inputs, tuple(initial_states), constants, mask, steps, go_backwards, input_length, zero_output_for_mask,
        return_all_outputs,
    )  # fmt: skip

    def finished(output: Any) -> Any:
        if isinstance(output, Tensor) and output.shape.rank is not None:
            output.set_shape([steps if return_all_outputs else 1, batch, *output.shape.as_list()[2:]])
        return output if time_major else _swapped(output)

    return last, nest.map_structure(finished, outputs), states


def _unrolled(
    step: Any, inputs: Any, flat_inputs: Any, states: Any, constants: Any, mask: Any, steps: Any, backwards: bool, length: Any,
    zero_output: bool, all_outputs: bool,
) -> tuple[Any, Any, Any]:  # fmt: skip
    if not steps:
        raise ValueError("Unrolling requires a fixed number of timesteps.")

    def parts(x: Any) -> list[Any]:
        pieces = tf.unstack(x)
        return pieces[::-1] if backwards else pieces

    split = [parts(x) for x in flat_inputs]
    masks = None if mask is None else parts(mask)
    results: list[Any] = []
    previous = None
    for i in range(steps):
        current = nest.pack_sequence_as(inputs, [pieces[i] for pieces in split])
        output, new_states = step(current, tuple(states) + constants)
        if masks is not None:
            before = tf.zeros_like(output) if previous is None else previous
            output = tf.where(_spread(masks[i], output), output, before)
            flat = _chosen(masks[i], nest.flatten(new_states), nest.flatten(states))
            states = nest.pack_sequence_as(states, list(flat))
        else:
            states = new_states
        previous = output
        results = [*results, output] if all_outputs else [output]
    outputs = nest.map_structure(lambda *xs: tf.stack(list(xs)), *results)
    last = results[-1]
    if masks is not None and zero_output:
        last = tf.where(_spread(masks[-1], last), last, tf.zeros_like(last))
        whole = mask if not backwards else tf.reverse(mask, [0])
        outputs = tf.where(_spread(whole, outputs), outputs, tf.zeros_like(outputs))
    return last, outputs, states


def _looped(
    step: Any, inputs: Any, flat_inputs: Any, states: Any, constants: Any, mask: Any, steps: Any, backwards: bool, length: Any,
    zero_output: bool, all_outputs: bool,
) -> tuple[Any, Any, Any]:  # fmt: skip
    count = tf.shape(flat_inputs[0])[0]
    arrays = tuple(
        tf.TensorArray(dtype=x.dtype, size=count, tensor_array_name=f"input_ta_{i}").unstack(tf.reverse(x, [0]) if backwards else x)
        for i, x in enumerate(flat_inputs)
    )
    # One step beforehand tells dtypes and shapes of the outputs.
    first_output, _ = step(nest.pack_sequence_as(inputs, [x[0] for x in flat_inputs]), states + constants)
    flat_first = nest.flatten(first_output)
    written = tuple(
        tf.TensorArray(dtype=x.dtype, size=count if all_outputs else 1, element_shape=x.shape, tensor_array_name=f"output_ta_{i}")
        for i, x in enumerate(flat_first)
    )
    mask_at = _mask_function(mask, length, count, backwards)
    zeros = tuple(tf.zeros_like(x) for x in flat_first)

    def body(time: Any, outputs: Any, previous: Any, *states: Any) -> Any:
        current = nest.pack_sequence_as(inputs, [array.read(time) for array in arrays])
        output, new_states = step(current, tuple(states) + constants)
        flat_output, flat_old, flat_new = nest.flatten(output), nest.flatten(states), nest.flatten(new_states)
        for old, new in zip(flat_old, flat_new, strict=True):
            if isinstance(new, Tensor) and old.shape.rank is not None:
                new.set_shape(old.shape)
        if mask_at is not None:
            now = mask_at(time)
            flat_output = list(_chosen(now, flat_output, zeros if zero_output else nest.flatten(previous)))
            flat_new = list(_chosen(now, flat_new, flat_old))
        at = time if all_outputs else 0
        outputs = tuple(array.write(at, x) for array, x in zip(outputs, flat_output, strict=True))
        kept = tuple(flat_output) if mask_at is not None else ()
        return (time + 1, outputs, kept, *nest.pack_sequence_as(tuple(states), flat_new))

    start = (tf.constant(0, dtype="int32", name="time"), written, zeros if mask_at is not None else (), *states)
    final = tf.while_loop(
        lambda time, *_: time < count, body, loop_vars=start, parallel_iterations=32, swap_memory=True
    )
    stacked = [array.stack() for array in final[1]]
    outputs = nest.pack_sequence_as(first_output, stacked)
    last = nest.pack_sequence_as(first_output, [x[-1] for x in stacked])
    return last, outputs, tuple(final[3:])


def _mask_function(mask: Any, length: Any, count: Any, backwards: bool) -> Callable[[Any], Any] | None:
    """A function of the step that gives its mask, or None."""
    if mask is not None:
        array = tf.TensorArray(dtype=tf.bool, size=count, tensor_array_name="mask_ta")
        array = array.unstack(tf.reverse(mask, [0]) if backwards else mask)
        return array.read
    if not isinstance(length, Tensor):
        return None
    if backwards:
        waiting = tf.subtract(tf.reduce_max(length, axis=0) - 1, length)
        return lambda time: tf.less(waiting, time)
    return lambda time: tf.greater(length, time)
