"""Plans as straight-line Python: one assignment a step, values let go at their last use. It refuses to change what a plan computes.

    v7 = k12(v3, v4)  # dense/MatMul (MatMul)
    if type(v7) is not A or v7.dtype is not d2: v7 = conform(v7, d2)
    del v3

The source is kept in `linecache`, so that a traceback shows the line with the node's name. Long plans become several functions over one
list of slots, because a compiler's cost grows faster than the length of a function.
"""

from __future__ import annotations

import itertools
import linecache
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracer.exec.plan import Plan, Step
from tracer.exec.static import AliasedError, StaticValues, conform

__all__ = ["Program", "generate"]

_LONGEST = 1500
_CHUNK = 400
_numbers = itertools.count(1)


class Program:
    """Generated code.

    Attributes:
        run: takes the plan's inputs, returns the list of its outputs. source: the text. filename: what tracebacks call it.
    """

    def __init__(self, filename: str, source: str, lines: dict[int, int], namespace: dict[str, Any]):
        self.filename = filename
        self.source = source
        self._lines = lines
        exec(compile(source, filename, "exec"), namespace)  # noqa: S102 — our own text: names of nodes stand in comments only
        self.run: Callable[..., list[Any]] = namespace["run"]
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        weakref.finalize(self, linecache.cache.pop, filename, None)

    def step_at(self, error: BaseException) -> tuple[int | None, dict[int, Any]]:
        """The index of the step in which `error` was raised (None: in no step), and the values by slot at that time."""
        trace, found = error.__traceback__, None
        values: dict[int, Any] = {}
        while trace is not None:
            frame = trace.tb_frame
            if frame.f_code.co_filename == self.filename:
                found = self._lines.get(trace.tb_lineno, found)
                names = frame.f_locals
                values = dict(enumerate(names["s"])) if "s" in names else {int(k[1:]): v for k, v in names.items() if k[0] == "v"}
            trace = trace.tb_next
        return found, values


class _Writer:
    def __init__(self) -> None:
        self.text: list[str] = []
        self.steps: dict[int, int] = {}

    def line(self, text: str, step: int | None = None) -> None:
        self.text.append(text)
        if step is not None:
            self.steps[len(self.text)] = step


def _label(step: Step) -> str:
    text = f"{step.where} > {step.node.name} ({step.op})"
    return "".join(c if c.isprintable() else "?" for c in text)


def generate(
    plan: Plan, static: StaticValues | None, explain: Callable[..., BaseException], errors: tuple[type, ...], plain: Callable[..., Any]
) -> Program:
    """The code of a plan whose steps have kernels.

    Args:
        static: the values of its static steps, None where there are none.
        explain: (index of the step, values by slot, error) → the error to raise instead of one of `errors`.
        plain: what runs instead where a variable that is written is also one of those behind the static values.
    """
    steps = [*plan.first, *plan.steps]
    long = len(steps) > _LONGEST
    namespace: dict[str, Any] = {"A": np.ndarray, "conform": conform, "errors": errors, "AliasedError": AliasedError, "plain": plain}
    constants = plan.constants
    used = {i for s in steps for i in s.inputs} | set(plan.outputs)
    if long:
        spell: Callable[[int], str] = "s[{}]".format
    else:
        for slot in used:
            if slot in constants:
                namespace[f"c{slot}"] = constants[slot]

        def spell(slot: int) -> str:
            return f"c{slot}" if slot in constants else f"v{slot}"

    writer = _Writer()
    dtypes: dict[Any, str] = {}
    head = len(plan.first)

    def write(chunk: Sequence[Step], start: int, indent: str) -> None:
        for i, step in enumerate(chunk, start):
            _write_step(writer, step, i, indent, spell, used, dtypes, namespace, long)

    if long:
        template: list[Any] = [None] * plan.slots
        for slot in used:
            if slot in constants:
                template[slot] = constants[slot]
        namespace["template"] = template
        starts = list(range(head, len(steps), _CHUNK))
        for n, start in enumerate(starts):
            writer.line(f"def chunk{n}(s):")
            write(steps[start : start + _CHUNK], start, "    ")
    arguments = ", ".join(f"a{i}" if long else f"v{i}" for i in range(plan.inputs))
    writer.line(f"def run({arguments}):")
    writer.line("    try:")
    pad = " " * 8
    if long:
        writer.line(f"{pad}s = template.copy()")
        if plan.inputs:
            writer.line(f"{pad}s[:{plan.inputs}] = ({arguments},)")
    write(steps[:head], 0, pad)
    if static is not None:
        namespace["static"] = static
        sources = "".join(f"{spell(i)}, " for i in static.handles)
        counts = ", ".join(f"{spell(i)}.writes" for i in static.sources)
        writer.line(f"{pad}r = ({sources})")
        writer.line(f"{pad}p = static.state")
        writer.line(f"{pad}if p[0] != r or p[1] != [{counts}]: p = static.refresh(r)")
        if static.slots:
            writer.line(f"{pad}{''.join(f'{spell(i)}, ' for i in static.slots)} = p[2]")
    if long:
        for n in range(len(starts)):
            writer.line(f"{pad}chunk{n}(s)")
    else:
        write(steps[head:], head, pad)
    writer.line(f"{pad}return [{', '.join(spell(i) for i in plan.outputs)}]")
    if static is not None:
        writer.line("    except AliasedError:")
        writer.line(f"        return plain({arguments})")
    writer.line("    except errors as error:")
    writer.line("        raise explain(error) from error")
    filename = f"<plan {next(_numbers)} of {plan.name}>"
    program: list[Program] = []
    namespace["explain"] = lambda error: explain(*program[0].step_at(error), error)
    made = Program(filename, "\n".join(writer.text) + "\n", writer.steps, namespace)
    # The code refers to the program weakly: it is kept by its owner.
    reference = weakref.proxy(made)
    program.append(reference)
    return made


def _write_step(
    writer: _Writer, step: Step, index: int, indent: str, spell: Callable[[int], str], used: set[int], dtypes: dict[Any, str],
    namespace: dict[str, Any], long: bool,
) -> None:  # fmt: skip
    name = f"k{index}"
    namespace[name] = step.kernel
    call = f"{name}({', '.join([spell(i) for i in step.inputs])})  # {_label(step)}"
    if not step.outputs:
        writer.line(f"{indent}{call}", index)
        return
    if step.single:
        writer.line(f"{indent}{spell(step.outputs[0])} = {call}", index)
    else:
        targets = ", ".join([spell(i) for i in step.outputs])
        writer.line(f"{indent}{targets}, = {call}" if len(step.outputs) == 1 else f"{indent}{targets} = {call}", index)
    for slot, dtype in zip(step.outputs, step.dtypes, strict=True):
        if dtype is None or slot not in used:
            continue
        d = dtypes.get(dtype)
        if d is None:
            d = dtypes[dtype] = f"d{len(dtypes)}"
            namespace[d] = dtype
        v = spell(slot)
        writer.line(f"{indent}if type({v}) is not A or {v}.dtype is not {d}: {v} = conform({v}, {d})", index)
    if step.free:
        if long:
            writer.line(f"{indent}{' = '.join([spell(i) for i in step.free])} = None")
        else:
            writer.line(f"{indent}del {', '.join([spell(i) for i in step.free])}")
