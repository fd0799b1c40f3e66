"""Layers that join several inputs: Add, Subtract, Multiply, Average, Maximum, Minimum, Concatenate, Dot, and their functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from savedmodel.keras.engine.base_layer import Layer
from tracer.public import tf
from tracer.shapes import TensorShape

Shape = tuple[Any, ...]


def _shape_list(shapes: Any) -> list[Shape | None]:
    """Shapes as tuples; None where the rank is unknown."""
    out = []
    for shape in shapes:
        shape = TensorShape(shape)
        out.append(None if shape.rank is None else tuple(shape.as_list()))
    return out


def _is_list_of_shapes(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and (value[0] is None or isinstance(value[0], (list, tuple, TensorShape)))


def _joined(a: Shape | None, b: Shape | None) -> Shape | None:
    """The shape of an element-wise operation without batch dimensions."""
    if a is None or b is None:
        return None
    if len(a) < len(b):
        a, b = b, a
    if not b:
        return a
    out = list(a[: -len(b)])
    for i, j in zip(a[-len(b) :], b, strict=True):
        if i is None or j is None:
            out.append(None)
        elif i == 1 or j == 1:
            out.append(j if i == 1 else i)
        elif i != j:
            raise ValueError(f"Inputs have incompatible shapes. Received shapes {a} and {b}")
        else:
            out.append(i)
    return tuple(out)


class _Merge(Layer):
    """Element-wise layers over a list of tensors, whose ranks may differ."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.supports_masking = True
        self._reshape_required = False

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._merge_function: merge layers join a list of tensors here")

    def build(self, input_shape: Any) -> None:
        if not _is_list_of_shapes(input_shape):
            raise ValueError(
                f"A merge layer should be called on a list of inputs. Received: input_shape={input_shape} (not a list of shapes)"
            )
        shapes = _shape_list(input_shape)
        if len({s[0] for s in shapes if s} - {None}) > 1:
            raise ValueError(f"Cannot merge tensors with different batch sizes. Got tensors with shapes {shapes}")
        joined = None if shapes[0] is None else shapes[0][1:]
        for shape in shapes[1:]:
            joined = _joined(joined, None if shape is None else shape[1:])
        self._reshape_required = None in shapes or len({len(s) for s in shapes}) != 1

    def call(self, inputs: Any) -> Any:
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(f"A merge layer should be called on a list of inputs. Received: inputs={inputs} (not a list of tensors)")
        if not self._reshape_required:
            return self._merge_function(inputs)
        ranks = [x.shape.rank for x in inputs]
        if None in ranks:
            # The batch dimension goes last, so that broadcasting aligns the others.
            return _batch_first(self._merge_function([_batch_last(x) for x in inputs]))
        most = max(ranks)
        aligned = []
        for x, rank in zip(inputs, ranks, strict=True):
            for _ in range(most - rank):
                x = tf.expand_dims(x, axis=1)
            aligned.append(x)
        return self._merge_function(aligned)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        shapes = _shape_list(input_shape)
        joined = None if shapes[0] is None else shapes[0][1:]
        for shape in shapes[1:]:
            joined = _joined(joined, None if shape is None else shape[1:])
        batches = {s[0] for s in shapes if s is not None} - {None}
        if joined is None:
            return TensorShape(None)
        return TensorShape([batches.pop() if len(batches) == 1 else None, *joined])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return None
        if not isinstance(mask, (tuple, list)):
            raise ValueError(f"`mask` should be a list. Received: mask={mask}")
        if not isinstance(inputs, (tuple, list)):
            raise ValueError(f"`inputs` should be a list. Received: inputs={inputs}")
        if len(mask) != len(inputs):
            raise ValueError(
                f"The lists `inputs` and `mask` should have the same length. Received: inputs={inputs} of length {len(inputs)}, and "
                f"mask={mask} of length {len(mask)}"
            )
        present = [tf.expand_dims(m, axis=0) for m in mask if m is not None]
        return tf.reduce_all(tf.concat(present, axis=0), axis=0, keepdims=False) if present else None

    def get_config(self) -> dict[str, Any]:
        return super().get_config()


def _batch_last(x: Any) -> Any:
    shape = tf.shape(x)
    flat = tf.transpose(tf.reshape(x, tf.stack([shape[0], -1])), perm=[1, 0])
    return tf.reshape(flat, tf.concat([shape[1:], shape[:1]], 0))


def _batch_first(y: Any) -> Any:
    shape = tf.shape(y)
    flat = tf.transpose(tf.reshape(y, tf.stack([-1, shape[-1]])), perm=[1, 0])
    return tf.reshape(flat, tf.concat([shape[-1:], shape[:-1]], 0))


def _fold(fn: Any, inputs: Sequence[Any]) -> Any:
    out = inputs[0]
    for x in inputs[1:]:
        out = fn(out, x)
    return out


class Add(_Merge):
    """The sum."""

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        return _fold(lambda a, b: a + b, inputs)


class Subtract(_Merge):
    """The first input minus the second."""

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if len(input_shape) != 2:
            raise ValueError(f"A `Subtract` layer should be called on exactly 2 inputs. Received: input_shape={input_shape}")

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        if len(inputs) != 2:
            raise ValueError(f"A `Subtract` layer should be called on exactly 2 inputs. Received: inputs={inputs}")
        return inputs[0] - inputs[1]


class Multiply(_Merge):
    """The product."""

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        return _fold(lambda a, b: a * b, inputs)


class Average(_Merge):
    """The mean."""

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        return _fold(lambda a, b: a + b, inputs) / len(inputs)


class Maximum(_Merge):
    """The greatest values."""

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        return _fold(tf.maximum, inputs)


class Minimum(_Merge):
    """The least values."""

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        return _fold(tf.minimum, inputs)


class Concatenate(_Merge):
    """Inputs one after the other along `axis`."""

    def __init__(self, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        if not _is_list_of_shapes(input_shape):
            raise ValueError(f"A `Concatenate` layer should be called on a list of at least 1 input. Received: input_shape={input_shape}")
        shapes = _shape_list(input_shape)
        if all(s is None for s in shapes):
            return
        rest = []
        for shape in shapes:
            if shape is None:
                continue
            others = list(shape)
            del others[self.axis]
            rest.append(others)
        text = (
            f"A `Concatenate` layer requires inputs with matching shapes except for the concatenation axis. Received: input_shape={shapes}"
        )
        if len({len(r) for r in rest}) > 1:
            raise ValueError(text)
        if any(len({d for d in sizes if d is not None}) > 1 for sizes in zip(*rest, strict=True)):
            raise ValueError(text)

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        return tf.concat(list(inputs), axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        if not _is_list_of_shapes(input_shape):
            raise ValueError(f"A `Concatenate` layer should be called on a list of inputs. Received: input_shape={input_shape}")
        shapes = _shape_list(input_shape)
        out = list(shapes[0] or ())
        for shape in shapes[1:]:
            if shape is None or out[self.axis] is None or shape[self.axis] is None:
                out[self.axis] = None
                break
            out[self.axis] += shape[self.axis]
        return TensorShape(out)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if mask is None:
            return None
        if not isinstance(mask, (tuple, list)):
            raise ValueError(f"`mask` should be a list. Received mask={mask}")
        if not isinstance(inputs, (tuple, list)):
            raise ValueError(f"`inputs` should be a list. Received: inputs={inputs}")
        if len(mask) != len(inputs):
            raise ValueError(
                f"The lists `inputs` and `mask` should have the same length. Received: inputs={inputs} of length {len(inputs)}, and "
                f"mask={mask} of length {len(mask)}"
            )
        if all(m is None for m in mask):
            return None
        masks = []
        for x, m in zip(inputs, mask, strict=True):
            if m is None:
                masks.append(tf.ones_like(x, dtype="bool"))
            elif m.shape.rank < x.shape.rank:
                masks.append(tf.expand_dims(m, axis=-1))
            else:
                masks.append(m)
        return tf.reduce_all(tf.concat(masks, axis=self.axis), axis=-1, keepdims=False)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis}


class Dot(_Merge):
    """Products of two inputs summed over `axes`, sample by sample; cosines when `normalize`."""

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        if not isinstance(axes, int):
            if not isinstance(axes, (list, tuple)):
                raise TypeError(f"Invalid type for argument `axes`: it should be a list or an int. Received: axes={axes}")
            if len(axes) != 2:
                raise ValueError(f"Invalid format for argument `axes`: it should contain two elements. Received: axes={axes}")
            if not isinstance(axes[0], int) or not isinstance(axes[1], int):
                raise ValueError(f"Invalid format for argument `axes`: list elements should be integers. Received: axes={axes}")
        self.axes = axes
        self.normalize = normalize

    def _axes_for(self, ranks: Sequence[int]) -> list[int]:
        axes = [self.axes] * 2 if isinstance(self.axes, int) else list(self.axes)
        return [a % rank if a < 0 else a for a, rank in zip(axes, ranks, strict=True)]

    def build(self, input_shape: Any) -> None:
        if not _is_list_of_shapes(input_shape) or len(input_shape) != 2:
            raise ValueError(f"A `Dot` layer should be called on a list of 2 inputs. Received: input_shape={input_shape}")
        one, two = _shape_list(input_shape)
        if one is None or two is None:
            return
        a, b = self._axes_for([len(one), len(two)])
        if one[a] != two[b]:
            raise ValueError(
                f"Incompatible input shapes: axis values {one[a]} (at axis {a}) != {two[b]} (at axis {b}). Full input shapes: {one}, {two}"
            )

    def _merge_function(self, inputs: Sequence[Any]) -> Any:
        if len(inputs) != 2:
            raise ValueError(f"A `Dot` layer should be called on exactly 2 inputs. Received: inputs={inputs}")
        one, two = inputs
        axes = self._axes_for([one.shape.rank, two.shape.rank])
        if self.normalize:
            one, two = tf.linalg.l2_normalize(one, axis=axes[0]), tf.linalg.l2_normalize(two, axis=axes[1])
        return batch_dot(one, two, axes)

    def compute_output_shape(self, input_shape: Any) -> TensorShape:
        if not _is_list_of_shapes(input_shape) or len(input_shape) != 2:
            raise ValueError(f"A `Dot` layer should be called on a list of 2 inputs. Received: input_shape={input_shape}")
        one, two = (list(s or ()) for s in _shape_list(input_shape))
        a, b = self._axes_for([len(one), len(two)])
        one.pop(a)
        two.pop(b)
        two.pop(0)
        out = one + two
        return TensorShape(out if len(out) > 1 else [*out, 1])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axes": self.axes, "normalize": self.normalize}


def batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    """Sums of products over one axis of each of two batches (the ops of Keras' `batch_dot`).

    Raises:
        ValueError: the shapes do not fit.
    """
    x_shape, y_shape = x.shape.as_list(), y.shape.as_list()
    x_rank, y_rank = len(x_shape), len(y_shape)
    text = f"Cannot do batch_dot on inputs with shapes {tuple(x_shape)} and {tuple(y_shape)}"
    if x_rank < 2 or y_rank < 2:
        raise ValueError(f"Cannot do batch_dot on inputs with rank < 2. Received inputs with shapes {tuple(x_shape)} and {tuple(y_shape)}.")
    if None not in (x_shape[0], y_shape[0]) and x_shape[0] != y_shape[0]:
        raise ValueError(
            f"Cannot do batch_dot on inputs with different batch sizes. Received inputs with shapes {tuple(x_shape)} and {tuple(y_shape)}."
        )
    if axes is None:
        axes = [x_rank - 1, y_rank - 1 if y_rank == 2 else y_rank - 2]
    a, b = [axes, axes] if isinstance(axes, int) else axes
    a, b = a % x_rank, b % y_rank
    if a == 0 or b == 0:
        raise ValueError(
            "Cannot perform batch_dot over axis 0. If your inputs are not batched, add a dummy batch dimension to your inputs using "
            "K.expand_dims(x, 0)"
        )
    if None not in (x_shape[a], y_shape[b]) and x_shape[a] != y_shape[b]:
        raise ValueError(f"{text} with axes={[a, b]}. x.shape[{a}] != y.shape[{b}] ({x_shape[a]} != {y_shape[b]}).")
    rows, columns = x_rank == 2, y_rank == 2
    if rows:
        x, a, x_rank = tf.expand_dims(x, 1), a + 1, 3
    if columns:
        y, y_rank = tf.expand_dims(y, 2), 3
    if a != x_rank - 1:
        x = tf.transpose(x, [i for i in range(x_rank) if i != a] + [a])
    if b != 1:
        y = tf.transpose(y, [0, b] + [i for i in range(1, y_rank) if i != b])
    middle = trailing = None
    if x_rank > 3:
        shape = tf.shape(x)
        middle = shape[1:-1]
        x = tf.reshape(x, tf.stack([shape[0], -1, shape[-1]]))
    if y_rank > 3:
        shape = tf.shape(y)
        trailing = shape[2:]
        y = tf.reshape(y, tf.stack([shape[0], shape[1], -1]))
    out = tf.matmul(x, y)
    if middle is not None or trailing is not None:
        shape = tf.shape(out)
        inner = shape[1:2] if middle is None else middle
        outer = shape[2:] if trailing is None else trailing
        out = tf.reshape(out, tf.concat([shape[:1], inner, outer], 0))
    if rows:
        return tf.squeeze(out, 1)
    return tf.squeeze(out, -1) if columns else out


def add(inputs: Any, **kwargs: Any) -> Any:
    """`Add` of `inputs`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """`Subtract` of `inputs`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """`Multiply` of `inputs`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """`Average` of `inputs`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """`Maximum` of `inputs`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """`Minimum` of `inputs`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate` of `inputs`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any, normalize: bool = False, **kwargs: Any) -> Any:
    """`Dot` of `inputs`."""
    return Dot(axes=axes, normalize=normalize, **kwargs)(inputs)
