"""GradientTape and the reverse sweep that tapes and graphs share. It refuses to know any op: rules come from the records.

A tape listens to `dispatch.bind`. The same sweep differentiates eager computations, traces under way, and finished graphs.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer import dispatch, dtypes, nest
from tracer import tensor as tensors
from tracer.errors import InvalidArgumentError, MissingGradientError
from tracer.tensor import convert_to_tensor

__all__ = ["GradientTape", "Record", "UnconnectedGradients", "sweep"]


class UnconnectedGradients(enum.Enum):
    """What the gradient of an unconnected source is."""

    NONE = "none"
    ZERO = "zero"


class Record:
    """One op that a tape heard, or a node of a graph, as a gradient rule sees it."""

    __slots__ = ("attrs", "backward", "inputs", "op", "outputs")

    def __init__(
        self, op: Any, inputs: Sequence[Any], outputs: Sequence[Any], attrs: dict[str, Any], backward: Callable[..., Any] | None = None
    ):
        self.op = op
        self.inputs = inputs
        self.outputs = outputs
        self.attrs = attrs
        self.backward = backward

    def attr(self, name: str, default: Any = None) -> Any:
        """The attr, its default by the schema, or `default`."""
        found = self.attrs.get(name)
        if found is None:
            spec = self.op.schema.attrs.get(name)
            found = spec.default if spec is not None and spec.has_default else default
        return found

    get_attr = attr

    @property
    def type(self) -> str:
        return self.op.name

    @property
    def node(self) -> Any:
        """The graph node behind it; None for an op that ran eagerly."""
        return getattr(self.outputs[0], "node", None) if self.outputs else None

    def __repr__(self) -> str:
        return f"<Record {self.op.name if self.op else 'function'}>"


def _differentiable(t: Any) -> bool:
    return t.dtype.base_dtype.kind in "fcrv"


def add_gradients(grads: Sequence[Any]) -> Any:
    """The sum of gradients, of which some may be IndexedSlices."""
    if len(grads) == 1:
        return grads[0]
    sparse = [g for g in grads if not isinstance(g, tensors.Tensor)]
    if sparse and len(sparse) == len(grads):
        from tracer.composite import IndexedSlices

        indices = [g.indices for g in grads]
        if any(i.dtype is dtypes.int64 for i in indices):
            indices = [dispatch.call("Cast", i, DstT=dtypes.int64) for i in indices]
        return IndexedSlices(
            dispatch.call("ConcatV2", [g.values for g in grads], 0), dispatch.call("ConcatV2", indices, 0), grads[0].dense_shape
        )
    dense = [densify(g) for g in grads]
    if dense[0].dtype is dtypes.variant:
        return dispatch.call("AddN", dense)
    if len(dense) == 2:
        return dispatch.call("AddV2", dense[0], dense[1])
    return dispatch.call("AddN", dense)


def densify(grad: Any) -> Any:
    """`grad` as a dense tensor."""
    return grad if isinstance(grad, tensors.Tensor) else convert_to_tensor(grad)


def zeros_like(t: Any) -> Any:
    """Zeros in the shape of `t`; of the variable it holds, for a resource; None where that is not known."""
    kind = t.dtype.base_dtype.kind
    if kind == "r":
        return None
    if kind not in "fc":
        return dispatch.call("ZerosLike", t) if kind == "v" else None
    return dispatch.call("ZerosLike", t)


def sweep(
    records: Sequence[Record], targets: Sequence[Any], sources: Sequence[Any], target_grads: Sequence[Any]
) -> list[Any]:
    """Reverse-mode differentiation over `records` (in the order they ran).

    Args:
        targets, target_grads: tensors to differentiate and their incoming gradients.
        sources: tensors (or resource handles of variables) to differentiate by.

    Returns:
        One gradient per source: a tensor, IndexedSlices, or None where no path leads.
    """
    pending: dict[int, list[Any]] = {}
    for t, g in zip(targets, target_grads, strict=True):
        pending.setdefault(id(t), []).append(g)
    wanted = {id(s) for s in sources}
    needed = _needed(records, wanted, pending)
    result: dict[int, Any] = {}
    for index in range(len(records) - 1, -1, -1):
        if not needed[index]:
            continue
        record = records[index]
        out_grads: list[Any] = []
        found = False
        for t in record.outputs:
            key = id(t)
            got = pending.pop(key, None)
            if got is None:
                out_grads.append(None)
                continue
            total = add_gradients(got)
            if key in wanted:
                result[key] = total
            out_grads.append(total)
            found = True
        if not found:
            continue
        in_grads = _apply(record, out_grads)
        for t, g in zip(record.inputs, in_grads, strict=True):
            if g is not None:
                pending.setdefault(id(t), []).append(g)
    out = []
    for s in sources:
        key = id(s)
        if key in pending:
            grads = pending[key]
            if key in result:
                grads = [result[key], *grads]
            result[key] = add_gradients(grads)
            del pending[key]
        out.append(result.get(key))
    return out


def _needed(records: Sequence[Record], wanted: set[int], pending: dict[int, Any]) -> list[bool]:
    """Which records lie on a path from a source to a target."""
    forward = set(wanted)
    reached = []
    for r in records:
        hit = any(id(t) in forward for t in r.inputs)
        if hit:
            forward.update(id(t) for t in r.outputs if _differentiable(t))
        reached.append(hit)
    backward = set(pending)
    out = [False] * len(records)
    for i in range(len(records) - 1, -1, -1):
        r = records[i]
        if any(id(t) in backward for t in r.outputs):
            backward.update(id(t) for t in r.inputs)
            out[i] = reached[i]
    return out


def _apply(record: Record, out_grads: list[Any]) -> Sequence[Any]:
    if record.backward is not None:
        return record.backward(*out_grads)
    op = record.op
    name = record.attrs.get("_gradient_op_type")
    rule = op.gradient_fn
    if name is not None and op.name not in ("PartitionedCall", "StatefulPartitionedCall"):
        from tracer.gradients import custom_gradient_rule

        rule = custom_gradient_rule(name)
    if rule is None:
        if op.no_gradient:
            return [None] * len(record.inputs)
        raise MissingGradientError(
            f"op {op.name} has no gradient: it lies on the path between target and source; wrap it in tf.stop_gradient or "
            f"give it one with tracer.op(…).gradient"
        )
    filled: list[Any] = []
    keeps_none = getattr(rule, "accepts_none", False)
    for t, g in zip(record.outputs, out_grads, strict=True):
        if g is None and not keeps_none:
            g = zeros_like(t)
        elif g is not None and not isinstance(g, tensors.Tensor) and not getattr(rule, "accepts_sparse", False):
            g = densify(g)
        filled.append(g)
    found = rule(record, *filled)
    if found is None or isinstance(found, tensors.Tensor) or hasattr(found, "_type_spec"):
        found = [found]
    if len(found) != len(record.inputs):
        raise InvalidArgumentError(
            f"op {op.name}: its gradient returned {len(found)} values, expected one for each of {len(record.inputs)} inputs"
        )
    return found


class GradientTape:
    """Records what is computed from watched tensors and variables, and differentiates it.

    Args:
        persistent: allow `gradient` more than once.
        watch_accessed_variables: watch every trainable variable that is read.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True):
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._records: list[Record] = []
        self._watched: dict[int, Any] = {}
        self._variables: dict[int, Any] = {}
        self._recording = False
        self._used = False

    # -- recording ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> GradientTape:
        self._push()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._recording:
            self._pop()

    def _push(self) -> None:
        if self._recording:
            raise InvalidArgumentError("Tape is still recording, This can happen if you try to re-enter an already-active tape.")
        self._recording = True
        dispatch.context.tapes = (*dispatch.context.tapes, self)

    def _pop(self) -> None:
        self._recording = False
        dispatch.context.tapes = tuple(t for t in dispatch.context.tapes if t is not self)

    def watches(self, inputs: Sequence[Any]) -> bool:
        """Whether any of `inputs` is watched."""
        watched = self._watched
        return any(id(t) in watched for t in inputs)

    def record(
        self, op: Any, inputs: Sequence[Any], outputs: Sequence[Any], attrs: dict[str, Any], backward: Callable[..., Any] | None = None
    ) -> None:
        """Called by bind for every op."""
        watched = self._watched
        for t in inputs:
            if id(t) in watched:
                break
        else:
            return
        any_output = False
        for t in outputs:
            if t.dtype.kind in "fcv":
                watched[id(t)] = t
                any_output = True
        if any_output:
            # The outputs are the node's own list: the gradient of a loop adds to it, and an outer tape must see that.
            self._records.append(Record(op, list(inputs), outputs, attrs, backward))

    def watch_output(self, tensor: Any) -> None:
        """Watch an output that was added to a recorded op."""
        self._watched[id(tensor)] = tensor

    def variable_accessed(self, variable: Any) -> None:
        """Called when a trainable variable is read."""
        if self._watch_accessed:
            self._watch_variable(variable)

    def _watch_variable(self, variable: Any) -> None:
        handle = variable.handle
        self._watched[id(handle)] = handle
        self._variables.setdefault(id(variable), variable)

    def watch(self, tensor: Any) -> None:
        """Record what is computed from `tensor` (a structure of tensors or variables)."""
        for t in nest.flatten(tensor, expand_composites=False):
            if getattr(t, "_is_variable", False):
                self._watch_variable(t)
                continue
            for part in nest.flatten(t, expand_composites=True):
                if not isinstance(part, tensors.Tensor):
                    raise InvalidArgumentError(
                        f"Passed in object {t!r} of type {type(t).__name__!r}, not tf.Tensor or tf.Variable or ExtensionType."
                    )
                if part.dtype.kind in "fcv" or part.dtype.kind == "r":
                    self._watched[id(part)] = part

    def watched_variables(self) -> tuple[Any, ...]:
        """The variables watched so far, in the order they were first read."""
        return tuple(self._variables.values())

    def stop_recording(self) -> Any:
        """A context in which nothing is recorded."""
        @contextlib.contextmanager
        def pause() -> Any:
            if not self._recording:
                raise InvalidArgumentError("Tape is not recording.")
            self._pop()
            try:
                yield
            finally:
                self._push()

        return pause()

    def reset(self) -> None:
        """Forget everything recorded."""
        self._records, self._watched, self._variables = [], {}, {}
        self._used = False

    # -- differentiating ---------------------------------------------------------------------------------------------

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
    ) -> Any:
        """Gradients of the sum of `target` by each of `sources`, in the structure of `sources`.

        Args:
            output_gradients: incoming gradients, one per target (default: ones).
            unconnected_gradients: NONE or ZERO for sources that `target` does not depend on.

        Raises:
            RuntimeError: a tape that is not persistent was used twice.
        """
        self._check_use()
        unconnected = UnconnectedGradients(unconnected_gradients)
        flat_targets = [_as_target(t) for t in nest.flatten(target, expand_composites=True) if t is not None]
        flat_sources = nest.flatten(sources)
        handles, kinds = [], []
        for s in flat_sources:
            if s is None:
                raise TypeError("tape.gradient: a source is None; expected tensors or variables")
            # a composite's gradient is that of its values, which come first
            handles.append(s.handle if getattr(s, "_is_variable", False) else nest.flatten(s, expand_composites=True)[0])
            kinds.append(s)
        if output_gradients is None:
            grads = [None] * len(flat_targets)
        else:
            grads = [None if g is None else convert_to_tensor(g, t.dtype) if not hasattr(g, "indices") else g
                     for g, t in zip(nest.flatten(output_gradients), flat_targets, strict=True)]  # fmt: skip
        pairs = [(t, _ones(t) if g is None else g) for t, g in zip(flat_targets, grads, strict=True) if _differentiable(t)]
        resume = self._recording and not self._persistent
        if resume:
            self._pop()
        records = list(self._records)
        if not self._persistent:
            self._records = []
            self._used = True
        found = sweep(records, [p[0] for p in pairs], handles, [p[1] for p in pairs])
        out = []
        for s, g in zip(kinds, found, strict=True):
            if g is None and unconnected is UnconnectedGradients.ZERO:
                g = dispatch.call("ZerosLike", s.read_value() if getattr(s, "_is_variable", False) else s)
            if g is not None and hasattr(s, "_type_spec") and not isinstance(s, tensors.Tensor) and hasattr(s, "with_flat_values"):
                g = s.with_flat_values(densify(g))
            out.append(g)
        return nest.pack_sequence_as(sources, out)

    def _check_use(self) -> None:
        if self._used:
            raise RuntimeError(
                "A non-persistent GradientTape can only be used to compute one set of gradients (or jacobians)"
            )
        if self._recording and self._persistent:
            return

    def jacobian(
        self, target: Any, sources: Any, unconnected_gradients: Any = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None, experimental_use_pfor: bool = True,
    ) -> Any:  # fmt: skip
        """The matrix of derivatives of each element of `target` by each of `sources`: shape target.shape + source.shape."""
        self._check_use()
        persistent, self._persistent = self._persistent, True
        recording = self._recording
        if recording:
            self._pop()
        try:
            size = target.shape.num_elements()
            if size is None:
                raise InvalidArgumentError("tape.jacobian: the target's shape must be known")
            rows = []
            for i in range(size):
                seed = np.zeros(size, target.dtype.numpy)
                seed[i] = 1
                rows.append(
                    nest.flatten(self.gradient(target, sources, seed.reshape(target.shape.as_list()), unconnected_gradients))
                )
            out = []
            for j, s in enumerate(nest.flatten(sources)):
                column = [r[j] for r in rows]
                if not column or column[0] is None:
                    out.append(None)
                    continue
                stacked = dispatch.call("Pack", [densify(c) for c in column])
                shape = [*target.shape.as_list(), *s.shape.as_list()]
                out.append(dispatch.call("Reshape", stacked, shape))
            return nest.pack_sequence_as(sources, out)
        finally:
            self._persistent = persistent
            if not persistent:
                self._records, self._used = [], True
            elif recording:
                self._push()

    def batch_jacobian(
        self, target: Any, source: Any, unconnected_gradients: Any = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None, experimental_use_pfor: bool = True,
    ) -> Any:  # fmt: skip
        """Per example: derivatives of each element of target[b] by source[b]; shape [b, …target, …source]."""
        batch = target.shape[0]
        if batch is None or source.shape[0] != batch:
            raise InvalidArgumentError("Need first dimension of target shape and source shape to match.")
        full = self.jacobian(target, source, unconnected_gradients)
        if full is None:
            return None
        rows = [full[(i, *[slice(None)] * (len(target.shape) - 1), i)] for i in range(batch)]
        return dispatch.call("Pack", rows)


def _as_target(t: Any) -> Any:
    if getattr(t, "_is_variable", False):
        return t.handle
    return t if isinstance(t, tensors.Tensor) else convert_to_tensor(t)


def _ones(t: Any) -> Any:
    if t.dtype is dtypes.resource:  # the handle of a variable that is itself the target
        dtype, _ = t.handle_data[0]
        return dispatch.call("OnesLike", dispatch.call("ReadVariableOp", t, dtype=dtype))
    return dispatch.call("OnesLike", t)


def record_function(inputs: Sequence[Any], outputs: Sequence[Any], backward: Callable[..., Any], tapes: Sequence[Any]) -> None:
    """Tell `tapes` of a computation whose gradient is `backward(*output_grads) -> input grads`."""
    for tape in tapes:
        tape.record(None, inputs, outputs, {}, backward)


def listening(inputs: Sequence[Any]) -> list[Any]:
    """The tapes that watch any of `inputs`."""
    return [t for t in dispatch.context.tapes if t.watches(inputs)]


def stop_recording() -> Any:
    """A context in which no tape listens."""
    @contextlib.contextmanager
    def pause() -> Any:
        tapes, dispatch.context.tapes = dispatch.context.tapes, ()
        try:
            yield
        finally:
            dispatch.context.tapes = tapes

    return pause()


def variable_accessed(variable: Any) -> None:
    """Tell the listening tapes that `variable` was read."""
    for tape in dispatch.context.tapes:
        tape.variable_accessed(variable)

