"""The linear-time matcher of tracer/regex.py: Thompson's construction, run breadth-first with captures (Pike). It refuses to parse.

Instructions are tuples: ("char", ranges), ("place", kind), ("split", first, second), ("jump", to), ("save", slot), ("match",).
Threads are kept in order of preference, so that the match found is the one that a backtracking search would find first.
"""

from __future__ import annotations

import bisect
from typing import Any

__all__ = ["compile_program", "run_program"]

Instruction = tuple[Any, ...]


def compile_program(tree: Any) -> list[Instruction]:
    """The program of a pattern's tree."""
    out: list[Instruction] = [("save", 0)]
    _emit(tree, out)
    out.append(("save", 1))
    out.append(("match",))
    return out


def _emit(node: Any, out: list[Instruction]) -> None:
    kind = type(node).__name__
    if kind == "Chars":
        out.append(("char", [low for low, _ in node.ranges], [high for _, high in node.ranges]))
    elif kind == "Assertion":
        out.append(("place", node.kind))
    elif kind == "Sequence":
        for part in node.parts:
            _emit(part, out)
    elif kind == "Group":
        out.append(("save", 2 * node.number))
        _emit(node.part, out)
        out.append(("save", 2 * node.number + 1))
    elif kind == "Choice":
        jumps = []
        for option in node.options[:-1]:
            split = len(out)
            out.append(())
            _emit(option, out)
            jumps.append(len(out))
            out.append(())
            out[split] = ("split", split + 1, len(out))
        _emit(node.options[-1], out)
        for jump in jumps:
            out[jump] = ("jump", len(out))
    else:
        _emit_repeat(node, out)


def _emit_repeat(node: Any, out: list[Instruction]) -> None:
    if node.most is None:
        # As RE2 does, x* is (x+)?: where x may be empty, the first way through x decides.
        skip = len(out) if node.least == 0 else -1
        if skip >= 0:
            out.append(())
        for _ in range(node.least - 1):
            _emit(node.part, out)
        body = len(out)
        _emit(node.part, out)
        out.append(_split(body, len(out) + 1, node.greedy))
        if skip >= 0:
            out[skip] = _split(skip + 1, len(out), node.greedy)
        return
    for _ in range(node.least):
        _emit(node.part, out)
    splits = []
    for _ in range(node.most - node.least):
        splits.append(len(out))
        out.append(())
        _emit(node.part, out)
    for split in splits:
        out[split] = _split(split + 1, len(out), node.greedy)


def _split(inside: int, after: int, greedy: bool) -> Instruction:
    return ("split", inside, after) if greedy else ("split", after, inside)


def _is_word(text: str, at: int) -> bool:
    if not 0 <= at < len(text):
        return False
    c = text[at]
    return c.isascii() and (c.isalnum() or c == "_")


def _holds(kind: str, text: str, at: int) -> bool:
    if kind == "begin":
        return at == 0
    if kind == "end":
        return at == len(text)
    if kind == "line_begin":
        return at == 0 or text[at - 1] == "\n"
    if kind == "line_end":
        return at == len(text) or text[at] == "\n"
    return (_is_word(text, at - 1) != _is_word(text, at)) == (kind == "word")


def run_program(
    program: list[Instruction], text: str, start: int, groups: int, full: bool
) -> tuple[tuple[int, int], ...] | None:
    """The spans of the leftmost-first match from `start` on and of its groups, or None. `full`: the whole text must match."""
    empty = (-1,) * (2 * groups + 2)
    current: list[tuple[int, tuple[int, ...]]] = []
    found: tuple[int, ...] | None = None
    at = start
    while True:
        seen = bytearray(len(program))
        following: list[tuple[int, tuple[int, ...]]] = []
        code = ord(text[at]) if at < len(text) else -1
        threads = current
        if found is None and (not full or at == start):
            threads = [*current, (0, empty)]
        stack = [(pc, slots) for pc, slots in reversed(threads)]
        while stack:
            pc, slots = stack.pop()
            if seen[pc]:
                continue
            seen[pc] = 1
            step = program[pc]
            name = step[0]
            if name == "char":
                i = bisect.bisect_right(step[1], code) - 1
                if code >= 0 and i >= 0 and code <= step[2][i]:
                    following.append((pc + 1, slots))
            elif name == "split":
                stack.append((step[2], slots))
                stack.append((step[1], slots))
            elif name == "jump":
                stack.append((step[1], slots))
            elif name == "save":
                slot = step[1]
                stack.append((pc + 1, (*slots[:slot], at, *slots[slot + 1 :])))
            elif name == "place":
                if _holds(step[1], text, at):
                    stack.append((pc + 1, slots))
            elif not full or at == len(text):
                found = slots
                break  # threads of lower preference are cut off
        current = following
        at += 1
        if at > len(text) or (not current and (found is not None or full)):
            break
    if found is None:
        return None
    return tuple((found[2 * i], found[2 * i + 1]) for i in range(groups + 1))
