"""Runs graphs by letting values flow along their edges: loops and branches of TensorFlow 1, and any part of any graph as a session does.

A value belongs to an iteration of a frame (a running loop). Enter takes it into a frame, NextIteration to the next turn, Exit back out;
Switch sends it one way and a dead token the other; a node with a dead input gives dead tokens; Merge takes the first live one.
Graphs without such nodes run in plain order. It refuses to choose engines or to inline: `prepare` and `run` take graphs as they are.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tracer import registry
from tracer.errors import GraphError, InvalidArgumentError, SavedModelError
from tracer.exec.plan import has_effect
from tracer.exec.static import conform
from tracer.ir.graph import Node, topological_order
from tracer.resources import ResourceManager, use_manager

__all__ = ["Program", "needs_dataflow", "prepare", "run"]

_PLAIN, _SWITCH, _SWITCH_N, _MERGE, _ENTER, _EXIT, _NEXT = range(7)
_KINDS = {
    "Switch": _SWITCH, "RefSwitch": _SWITCH, "_SwitchN": _SWITCH_N, "Merge": _MERGE, "RefMerge": _MERGE, "Enter": _ENTER,
    "RefEnter": _ENTER, "Exit": _EXIT, "RefExit": _EXIT, "NextIteration": _NEXT, "RefNextIteration": _NEXT,
}  # fmt: skip
_DEAD: Any = type("Dead", (), {"__repr__": lambda self: "<dead>"})()
_CONTROL = -1


def needs_dataflow(nodes: Any) -> bool:
    """Whether a graph, or any of `nodes`, branches and loops in the way of TensorFlow 1."""
    return any(n.op in _KINDS for n in nodes)


class _Actor:
    """A node bound to its kernel, with the edges that leave it."""

    __slots__ = ("constant", "controls", "deref", "dtypes", "frame", "inputs", "kernel", "kind", "node", "pending", "single", "targets")

    def __init__(self, node: Node):
        self.node = node
        self.kind = _KINDS.get(node.op, _PLAIN)
        self.inputs = len(node.inputs)
        self.controls: list[_Actor] = []
        self.targets: list[list[tuple[_Actor, int]]] = [[] for _ in node.outputs]
        self.pending = 0
        self.kernel: Callable[..., Any] | None = None
        self.dtypes = [t.dtype.numpy if t.dtype.kind not in "rv" and t.dtype.number < 100 else None for t in node.outputs]
        self.single = True
        self.deref: tuple[int, ...] = ()
        frame = node.attrs.get("frame_name", b"")
        self.frame = frame
        self.constant = bool(node.attrs.get("is_constant", False))

    def bind(self) -> None:
        """Find the kernel."""
        node = self.node
        if self.kind != _PLAIN or node.op in ("NoOp", "Const", "Placeholder", "PlaceholderWithDefault"):
            return
        record = registry.get_op(node.op)
        attrs = node.attrs
        if "shared_name" in record.schema.attrs and not attrs.get("shared_name"):
            attrs = {**attrs, "shared_name": node.name.encode()}  # a resource without a name has its node's
        self.kernel = record.kernel_for(attrs)
        outputs = record.schema.outputs
        self.single = len(outputs) == 1 and not outputs[0].is_list
        refs = [False] * self.inputs
        position = 0
        for arg in record.schema.inputs:
            width = len(record.schema._arg_dtypes(arg, attrs))
            refs[position : position + width] = [arg.is_ref] * width
            position += width
        self.deref = tuple(i for i, t in enumerate(node.inputs) if t.dtype.number >= 100 and not refs[i])

    def compute(self, values: Sequence[Any]) -> list[Any]:
        """The outputs for live inputs."""
        node = self.node
        if self.kernel is None:
            if node.op == "Const":
                return [node.attrs["value"]]
            if node.op == "PlaceholderWithDefault":
                return [values[0]]
            if node.op == "Placeholder":
                raise InvalidArgumentError(
                    f"You must feed a value for placeholder tensor {node.name!r} with dtype {node.attrs['dtype'].name} and shape "
                    f"{node.attrs.get('shape')}"
                )
            return []
        if self.deref:
            values = list(values)
            for i in self.deref:
                if hasattr(values[i], "read"):
                    values[i] = values[i].read()
        try:
            result = self.kernel(*values)
        except (ValueError, IndexError, TypeError, OverflowError, AttributeError) as error:
            raise self._explain(values, error) from error
        if self.single:
            return [result if self.dtypes[0] is None else conform(result, self.dtypes[0])]
        return [r if d is None else conform(r, d) for r, d in zip(result, self.dtypes, strict=True)] if self.dtypes else []

    def _explain(self, values: Sequence[Any], error: Exception) -> Exception:
        where = f"node {self.node.name!r} ({self.node.op})"
        if isinstance(error, SavedModelError):
            if getattr(error, "located", False):
                return error
            located = type(error)(f"{where}: {error}")
            located.located = True  # type: ignore[attr-defined]
            return located
        got = ", ".join(f"{getattr(v, 'dtype', type(v).__name__)}{getattr(v, 'shape', '')}" for v in values)
        return InvalidArgumentError(f"{where}: {error} — received ({got}); check the values fed to the graph")


class _Frame:
    """A loop that runs: its turns, and what Enter brought in for all of them."""

    __slots__ = ("children", "constants", "parent", "parent_turn", "turns")

    def __init__(self, parent: _Frame | None, parent_turn: int):
        self.parent = parent
        self.parent_turn = parent_turn
        self.turns: list[dict[_Actor, list[Any]]] = [{}]
        self.constants: list[tuple[_Actor, Any]] = []
        self.children: dict[tuple[int, bytes], _Frame] = {}


class Program:
    """The part of a graph that `fetches` need, given `feeds`, ready to run again and again. Thread-safe but for resources.

    Args:
        fetches: tensors, and nodes that are run for their effects.
        feeds: tensors whose values are given.

    Raises:
        UnknownOpError: lists every op that has no record.
    """

    def __init__(self, graph: Any, fetches: Sequence[Any], feeds: Sequence[Any]):
        self.graph = graph
        self.fetches = list(fetches)
        self.feeds = list(feeds)
        fed = {id(t) for t in feeds}
        nodes = _needed(fetches, fed)
        registry.require_ops((n.op for n in nodes), f"graph {getattr(graph, 'name', '')}")
        self._plain = not needs_dataflow(nodes)
        if self._plain:
            nodes = topological_order(sorted(nodes, key=lambda n: n.position))
        self._actors = {id(n): _Actor(n) for n in nodes}
        self._order = list(self._actors.values())
        self._fed_targets: list[list[tuple[_Actor, int]]] = [[] for _ in feeds]
        position = {id(t): i for i, t in enumerate(feeds)}
        for actor in self._order:
            for i, t in enumerate(actor.node.inputs):
                k = position.get(id(t))
                (self._fed_targets[k] if k is not None else self._actors[id(t.node)].targets[t.index]).append((actor, i))
            waits = 0
            for c in actor.node.control_inputs:
                source = self._actors.get(id(c))
                if source is not None:
                    source.controls.append(actor)
                    waits += 1
            actor.pending = waits + (0 if actor.kind == _MERGE else actor.inputs)
            actor.bind()
        self._wanted: dict[tuple[int, int], list[int]] = {}
        self._direct: list[tuple[int, int]] = []
        for k, f in enumerate(self.fetches):
            if isinstance(f, Node):
                continue
            if id(f) in position:
                self._direct.append((k, position[id(f)]))
            else:
                self._wanted.setdefault((id(f.node), f.index), []).append(k)
        self._uses = self._count_uses() if self._plain else {}

    def _count_uses(self) -> dict[int, int]:
        """How often each output is read in a plain run, so that it can be let go."""
        uses: dict[int, int] = {}
        for actor in self._order:
            for t in actor.node.inputs:
                uses[id(t)] = uses.get(id(t), 0) + 1
        for f in self.fetches:
            if not isinstance(f, Node):
                uses[id(f)] = uses.get(id(f), 0) + 1
        return uses

    def __call__(self, *values: Any) -> list[Any]:
        """Run. `values` are those of the feeds; returns the fetches, None for nodes.

        Raises:
            InvalidArgumentError: a placeholder was not fed; a fetched tensor lies on a branch that was not taken.
        """
        with np.errstate(all="ignore"):
            return self._run_plain(values) if self._plain else self._flow(values)

    nested = __call__  # what a loop or branch calls

    def _run_plain(self, values: Sequence[Any]) -> list[Any]:
        have: dict[int, Any] = {id(t): v for t, v in zip(self.feeds, values, strict=True)}
        fed = set(have)
        left = dict(self._uses)
        for actor in self._order:
            node = actor.node
            results = actor.compute([have[id(t)] for t in node.inputs])
            for t in node.inputs:
                key = id(t)
                left[key] -= 1
                if not left[key]:
                    del have[key]
            for t, r in zip(node.outputs, results, strict=True):
                if id(t) not in fed and left.get(id(t)):
                    have[id(t)] = r
        return [None if isinstance(f, Node) else _read(have[id(f)], f) for f in self.fetches]

    # -- flowing -----------------------------------------------------------------------------------------------------

    def _flow(self, values: Sequence[Any]) -> list[Any]:
        root = _Frame(None, 0)
        ready: deque[tuple[_Actor, list[Any], bool, _Frame, int]] = deque()
        results: list[Any] = [_DEAD] * len(self.fetches)
        exits: dict[tuple[int, _Actor], tuple[_Frame, _Actor | None]] = {}
        for actor in self._order:
            if actor.pending == 0 and (actor.kind != _MERGE or not actor.inputs):
                ready.append((actor, [], False, root, 0))
        for k, i in self._direct:
            results[k] = values[i]
        for targets, value in zip(self._fed_targets, values, strict=True):
            for actor, i in targets:
                self._deliver(ready, actor, i, value, root, 0)
        while ready or exits:
            if not ready:
                self._let_out_dead(ready, exits)
                continue
            actor, inputs, dead, frame, turn = ready.popleft()
            outputs, to_frame, to_turn = self._step(ready, actor, inputs, dead, frame, turn, exits)
            if outputs is None:
                continue
            if to_frame is root and to_turn == 0:
                for index, value in enumerate(outputs):
                    for k in self._wanted.get((id(actor.node), index), ()):
                        results[k] = value
            all_dead = dead and actor.kind != _MERGE
            if actor.kind == _ENTER and actor.constant:
                for t in range(1, len(to_frame.turns)):
                    self._send(ready, actor, outputs, all_dead, to_frame, t)
                to_frame.constants.append((actor, outputs))
            self._send(ready, actor, outputs, all_dead, to_frame, to_turn)
        out = []
        for f, value in zip(self.fetches, results, strict=True):
            if isinstance(f, Node):
                out.append(None)
            elif value is _DEAD:
                raise InvalidArgumentError(f"Retval {f.node.name}:{f.index} does not have value: it lies on a branch that was not taken")
            else:
                out.append(_read(value, f))
        return out

    def _send(self, ready: Any, actor: _Actor, outputs: Sequence[Any], dead: bool, frame: _Frame, turn: int) -> None:
        for targets, value in zip(actor.targets, outputs, strict=True):
            for target, i in targets:
                self._deliver(ready, target, i, value, frame, turn)
        for target in actor.controls:
            self._deliver(ready, target, _CONTROL, _DEAD if dead else None, frame, turn)

    @staticmethod
    def _deliver(ready: Any, actor: _Actor, i: int, value: Any, frame: _Frame, turn: int) -> None:
        table = frame.turns[turn]
        state = table.get(actor)
        if state is None:
            # [what is waited for, inputs, a dead one came, (merge) dead inputs, (merge) fired]
            state = table[actor] = [actor.pending, [_DEAD] * actor.inputs, False, 0, False]
        if actor.kind != _MERGE:
            state[0] -= 1
            if i != _CONTROL:
                state[1][i] = value
            if value is _DEAD:
                state[2] = True
            if not state[0]:
                del table[actor]
                ready.append((actor, state[1], state[2], frame, turn))
            return
        if i == _CONTROL:
            state[0] -= 1
        elif value is _DEAD:
            state[3] += 1
        elif all(v is _DEAD for v in state[1]):  # the first live one counts
            state[1][i] = value
        live = any(v is not _DEAD for v in state[1])
        if state[0] == 0 and not state[4] and (live or state[3] == actor.inputs):
            state[4] = True
            ready.append((actor, state[1], not live, frame, turn))

    def _step(
        self, ready: Any, actor: _Actor, inputs: list[Any], dead: bool, frame: _Frame, turn: int, exits: dict[Any, Any]
    ) -> tuple[list[Any] | None, _Frame, int]:
        """What a node gives, and the frame and turn it gives it to. None: nothing flows on."""
        kind = actor.kind
        if kind == _PLAIN:
            if dead:
                return [_DEAD] * len(actor.targets), frame, turn
            return actor.compute(inputs), frame, turn
        if kind == _SWITCH:
            if dead:
                return [_DEAD, _DEAD], frame, turn
            data, pred = inputs
            return ([_DEAD, data] if bool(_plain_value(pred)) else [data, _DEAD]), frame, turn
        if kind == _SWITCH_N:
            outputs = [_DEAD] * len(actor.targets)
            if not dead:
                index = int(_plain_value(inputs[1]))
                outputs[index if 0 <= index < len(outputs) else -1] = inputs[0]
            return outputs, frame, turn
        if kind == _MERGE:
            if dead:
                return [_DEAD, _DEAD], frame, turn
            index = next(i for i, v in enumerate(inputs) if v is not _DEAD)
            return [inputs[index], np.array(index, np.int32)], frame, turn
        value = _DEAD if dead else inputs[0]
        if kind == _ENTER:
            key = (turn, actor.frame)
            child = frame.children.get(key)
            if child is None:
                child = frame.children[key] = _Frame(frame, turn)
            return [value], child, 0
        if kind == _EXIT:
            if frame.parent is None:
                raise GraphError(f"node {actor.node.name!r} (Exit): expected to stand in a loop, found no Enter before it")
            place = (id(frame), actor)
            if dead:
                exits.setdefault(place, (frame, actor))
                return None, frame, turn
            exits[place] = (frame, None)  # it did let out a value
            return [value], frame.parent, frame.parent_turn
        # NextIteration
        if dead:
            return None, frame, turn
        if len(frame.turns) == turn + 1:
            frame.turns.append({})
            for constant, outputs in frame.constants:
                self._send(ready, constant, outputs, outputs[0] is _DEAD, frame, turn + 1)
        return [value], frame, turn + 1

    def _let_out_dead(self, ready: Any, exits: dict[Any, Any]) -> None:
        """All is quiet: the innermost loops that never let out a value let out dead tokens."""
        waiting = {key: (frame, actor) for key, (frame, actor) in exits.items() if actor is not None}
        exits.clear()
        deepest = max((_depth(frame) for frame, _ in waiting.values()), default=0)
        for key, (frame, actor) in waiting.items():
            if _depth(frame) < deepest:
                exits[key] = (frame, actor)
            else:
                self._send(ready, actor, [_DEAD], True, frame.parent, frame.parent_turn)


def _depth(frame: _Frame | None) -> int:
    depth = 0
    while frame is not None:
        depth, frame = depth + 1, frame.parent
    return depth


def _plain_value(value: Any) -> Any:
    return value.read() if hasattr(value, "read") and not isinstance(value, np.ndarray) else value


def _read(value: Any, t: Any) -> Any:
    """The value of a fetched tensor: what a variable holds, for a ref tensor."""
    return value.read() if t.dtype.number >= 100 and hasattr(value, "read") else value


def _needed(fetches: Sequence[Any], fed: set[int]) -> list[Node]:
    """The nodes that `fetches` depend on, without going past tensors that are fed."""
    seen: set[int] = set()
    found: list[Node] = []
    stack = [f if isinstance(f, Node) else f.node for f in fetches if isinstance(f, Node) or id(f) not in fed]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        found.append(node)
        stack.extend(t.node for t in node.inputs if id(t) not in fed)
        stack.extend(c for c in node.control_inputs if not (c.op == "Placeholder" and c.outputs and id(c.outputs[0]) in fed))
    found.sort(key=lambda n: n.position)
    return found


# -- entry points ----------------------------------------------------------------------------------------------------


def prepare(graph: Any) -> Program:
    """The runnable of a function graph: takes its inputs as flat values, returns its outputs."""
    effects = list(graph.control_outputs) or [n for n in graph if has_effect(n) and n.op != "Placeholder"]
    program = Program(graph, [*graph.outputs, *effects], graph.inputs)
    count = len(graph.outputs)
    return _Outputs(program, count) if effects else program  # type: ignore[return-value]


class _Outputs:
    """A program whose last fetches are run for their effects alone."""

    def __init__(self, program: Program, count: int):
        self.program = program
        self.count = count

    def __call__(self, *values: Any) -> list[Any]:
        return self.program(*values)[: self.count]


    nested = __call__


def run(graph: Any, fetches: Any, feeds: Mapping[Any, Any] | None = None, manager: ResourceManager | None = None) -> Any:
    """Run the part of `graph` that `fetches` need, as a session of TensorFlow 1 does.

    Args:
        fetches: a tensor (or its name, `node:0`), a node (or its name) to run for its effects, or a structure of these.
        feeds: values by tensor or tensor name; any tensor may be fed, and what only it needs does not run.
        manager: holds the variables and tables that the graph names; by default the current one.

    Returns:
        Arrays in the structure of `fetches`; None for nodes.

    Raises:
        KeyError: no such node. InvalidArgumentError: a placeholder that is needed is not fed, or a value does not fit.
    """
    from tracer import nest

    flat = [_find(graph, f) for f in nest.flatten(fetches)]
    given = {}
    for key, value in (feeds or {}).items():
        t = _find(graph, key if not isinstance(key, str) or ":" in key else key + ":0")
        given[id(t)] = (t, _fed_value(t, value))
    tensors = [t for t, _ in given.values()]
    key = (len(graph), tuple(map(id, flat)), tuple(given))
    programs = graph.extra.setdefault("programs", {})
    program = programs.get(key)
    if program is None:
        program = programs[key] = Program(graph, flat, tensors)
    with use_manager(manager) if manager is not None else contextlib.nullcontext():
        values = program(*(v for _, v in given.values()))
    return nest.pack_sequence_as(fetches, values)


def _find(graph: Any, what: Any) -> Any:
    if isinstance(what, str):
        return graph.get_tensor(what) if ":" in what else graph[what.removeprefix("^")]
    return what


def _fed_value(t: Any, value: Any) -> Any:
    from tracer.tensor import convert_to_tensor

    if t.dtype.kind in "rv":
        return getattr(value, "_value", value)
    fed = convert_to_tensor(value, t.dtype.base_dtype)
    if not fed.shape.is_compatible_with(t.shape):
        raise InvalidArgumentError(
            f"Cannot feed value of shape {fed.shape} for tensor {t.node.name}:{t.index}, which has shape {t.shape}"
        )
    return fed._value
