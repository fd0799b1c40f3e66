"""RE2 patterns over byte strings. It refuses what RE2 refuses: look-around, back-references, possessive and stacked quantifiers.

A pattern is parsed into a tree. From the tree come
- a Python `re` pattern with the same meaning, and a bound on the work that a backtracking search could do with it, and
- a program for a breadth-first matcher (Pike's), whose time is linear in text times program, whatever the pattern.
A search takes `re` where its bound, for the text at hand, stays under `BUDGET` steps, and the linear matcher otherwise: so no pattern
and text can make a search take exponential time. Matches are leftmost-first (as in Perl), which both engines give.

Text is matched as UTF-8: bytes that are no UTF-8 match nothing but literal bytes, as in RE2.
Authority: the RE2 syntax page (github.com/google/re2/wiki/Syntax).
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

from tracer.errors import InvalidArgumentError
from tracer.regex_program import compile_program, run_program

__all__ = ["BUDGET", "Regex", "compile_regex"]

BUDGET = 5_000_000
_MAX_REPEAT = 1000
_MAX_SIZE = 20_000
_TOP = 0x10FFFF
# Bytes that are no UTF-8 decode to these (Python's surrogateescape); no class matches them.
_LOW_RAW, _HIGH_RAW = 0xDC80, 0xDCFF

Ranges = tuple[tuple[int, int], ...]

_PERL: dict[str, Ranges] = {
    "d": ((48, 57),),
    "s": ((9, 10), (12, 13), (32, 32)),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
}
_POSIX: dict[str, Ranges] = {
    "alnum": ((48, 57), (65, 90), (97, 122)), "alpha": ((65, 90), (97, 122)), "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)), "cntrl": ((0, 31), (127, 127)), "digit": ((48, 57),), "graph": ((33, 126),),
    "lower": ((97, 122),), "print": ((32, 126),), "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)), "upper": ((65, 90),), "word": _PERL["w"], "xdigit": ((48, 57), (65, 70), (97, 102)),
}  # fmt: skip
_SIMPLE_ESCAPES = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}


@dataclass(frozen=True)
class Chars:
    """One character out of `ranges`."""

    ranges: Ranges


@dataclass(frozen=True)
class Assertion:
    """A place: "begin", "end" (of text), "line_begin", "line_end", "word", "not_word"."""

    kind: str


@dataclass(frozen=True)
class Sequence:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Choice:
    options: tuple[Any, ...]


@dataclass(frozen=True)
class Repeat:
    part: Any
    least: int
    most: int | None
    greedy: bool


@dataclass(frozen=True)
class Group:
    part: Any
    number: int


def normalize(ranges: Any) -> Ranges:
    """Sorted ranges that neither overlap nor touch."""
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], high))
        else:
            out.append((low, high))
    return tuple(out)


def negate(ranges: Ranges) -> Ranges:
    out, start = [], 0
    for low, high in normalize((*ranges, (0xD800, 0xDFFF))):
        if low > start:
            out.append((start, low - 1))
        start = high + 1
    if start <= _TOP:
        out.append((start, _TOP))
    return tuple(out)


_ANY_BUT_NEWLINE = negate(((10, 10),))
_ANY = negate(())


def _fold(ranges: Ranges) -> Ranges:
    """`ranges` and the other cases of their characters."""
    out = list(ranges)
    for low, high in ranges:
        if high - low > 0x3000:
            continue  # wide classes hold both cases already
        for code in range(low, high + 1):
            char = chr(code)
            for other in {char.lower(), char.upper(), char.casefold()}:
                if len(other) == 1 and other != char:
                    out.append((ord(other), ord(other)))
                    # Characters with three cases, e.g. K, k and the Kelvin sign.
                    out.extend((ord(o), ord(o)) for o in _other_cases(other))
            out.extend((ord(o), ord(o)) for o in _other_cases(char))
    return normalize(out)


_SPECIAL_CASES = {"k": "\u212a", "K": "\u212a", "s": "\u017f", "S": "\u017f", "\u03c3": "\u03c2", "\u03a3": "\u03c2", "\u212b": "\u00e5\u00c5", "\u00e5": "\u212b", "\u00c5": "\u212b"}


def _other_cases(char: str) -> str:
    return _SPECIAL_CASES.get(char, "")


@functools.cache
def _unicode_class(name: str) -> Ranges | None:
    """The code points of a general category (`L`, `Lu`) or script (`Greek`)."""
    if name == "Any":
        return ((0, _TOP),)
    if len(name) <= 2:
        found, start = [], -1
        for code in range(_TOP + 2):
            inside = code <= _TOP and unicodedata.category(chr(code)).startswith(name)
            if inside and start < 0:
                start = code
            elif not inside and start >= 0:
                found.append((start, code - 1))
                start = -1
        return tuple(found) or None
    from tracer.unicode_scripts import script_ranges

    return script_ranges(name)


class _Parser:
    def __init__(self, pattern: str):
        self.text = pattern
        self.at = 0
        self.groups = 0
        self.names: dict[str, int] = {}
        self.flags = {"i": False, "m": False, "s": False, "U": False}
        self.depth = 0

    def fail(self, why: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"Invalid pattern: {self.text!r}, error: {why}")

    def parse(self) -> Any:
        node = self.choice()
        if self.at < len(self.text):
            raise self.fail("unexpected ): " + self.text)
        return node

    def peek(self, what: str) -> bool:
        return self.text.startswith(what, self.at)

    def choice(self) -> Any:
        options = [self.sequence()]
        while self.peek("|"):
            self.at += 1
            options.append(self.sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def sequence(self) -> Any:
        parts: list[Any] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            parts.extend(self.quantified())
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def quantified(self) -> list[Any]:
        start = self.at
        atoms = self.atom()
        if self.at >= len(self.text):
            return atoms
        bounds = self.quantifier()
        if bounds is None:
            return atoms
        if not atoms:
            raise self.fail("no argument for repetition operator: " + self.text[start : self.at])
        greedy = not self.flags["U"]
        if self.peek("?"):
            self.at += 1
            greedy = not greedy
        again = self.at
        if self.quantifier() is not None:
            raise self.fail("bad repetition operator: " + self.text[again - 1 : self.at])
        least, most = bounds
        return [*atoms[:-1], Repeat(atoms[-1], least, most, greedy)]

    def quantifier(self) -> tuple[int, int | None] | None:
        if self.at >= len(self.text):
            return None
        char = self.text[self.at]
        if char in "*+?":
            self.at += 1
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
        if char != "{":
            return None
        found = re.compile(r"\{(\d+)(,(\d*))?\}", re.A).match(self.text, self.at)
        if found is None:
            return None
        least = int(found[1])
        most = least if found[2] is None else int(found[3]) if found[3] else None
        if least > _MAX_REPEAT or (most is not None and (most > _MAX_REPEAT or most < least)):
            raise self.fail("invalid repetition size: " + found[0])
        self.at = found.end()
        return least, most

    def atom(self) -> list[Any]:
        char = self.text[self.at]
        if char == "(":
            return self.group()
        if char == "[":
            return [Chars(self.char_class())]
        if char in "*+?":
            raise self.fail("no argument for repetition operator: " + char)
        self.at += 1
        if char == ".":
            return [Chars(_ANY if self.flags["s"] else _ANY_BUT_NEWLINE)]
        if char == "^":
            return [Assertion("line_begin" if self.flags["m"] else "begin")]
        if char == "$":
            return [Assertion("line_end" if self.flags["m"] else "end")]
        if char == "\\":
            return self.escape()
        return [self.literal(ord(char))]

    def literal(self, code: int) -> Chars:
        ranges: Ranges = ((code, code),)
        return Chars(_fold(ranges) if self.flags["i"] else ranges)

    def group(self) -> list[Any]:
        self.depth += 1
        if self.depth > 200:
            raise self.fail("expression nests too deeply")
        start = self.at
        saved = dict(self.flags)
        number = 0
        if self.peek("(?"):
            named = re.compile(r"\(\?P?<(\w+)>", re.A).match(self.text, self.at)
            flags = re.compile(r"\(\?([imsU]*)(?:-([imsU]+))?([:)])").match(self.text, self.at)
            if named is not None:
                if named[1] in self.names:
                    raise self.fail("duplicate capture group name: " + named[1])
                self.at = named.end()
                self.groups += 1
                number = self.names[named[1]] = self.groups
            elif flags is not None:
                self.at = flags.end()
                for f in flags[1]:
                    self.flags[f] = True
                for f in flags[2] or "":
                    self.flags[f] = False
                if flags[3] == ")":
                    self.depth -= 1
                    return []
            else:
                raise self.fail("invalid perl operator: " + self.text[start : start + 3])
        else:
            self.at += 1
            self.groups += 1
            number = self.groups
        part = self.choice()
        if not self.peek(")"):
            raise self.fail("missing ): " + self.text)
        self.at += 1
        self.depth -= 1
        self.flags = saved
        return [Group(part, number)] if number else [part if not isinstance(part, Sequence) or part.parts else Sequence(())]

    def escape(self) -> list[Any]:
        if self.at >= len(self.text):
            raise self.fail("trailing \\ at end of expression")
        char = self.text[self.at]
        if char == "Q":
            end = self.text.find("\\E", self.at)
            stop = len(self.text) if end < 0 else end
            found: list[Any] = [self.literal(ord(c)) for c in self.text[self.at + 1 : stop]]
            self.at = stop if end < 0 else end + 2
            return found
        if char in "AzbB":
            self.at += 1
            return [Assertion({"A": "begin", "z": "end", "b": "word", "B": "not_word"}[char])]
        if char == "C":
            raise self.fail("\\C (any byte) has no meaning for text matched by characters")
        ranges = self.class_escape()
        if ranges is not None:
            return [Chars(ranges)]
        return [self.literal(self.code_escape())]

    def class_escape(self) -> Ranges | None:
        r"""`\d`, `\pL`, `\p{Greek}` … at the character after the backslash; None for something else."""
        char = self.text[self.at]
        if char in "dsw":
            self.at += 1
            return _PERL[char]
        if char in "DSW":
            self.at += 1
            return negate(_PERL[char.lower()])
        if char in "pP":
            found = re.compile(r"[pP](?:\{(\^?)(\w+)\}|(\w))").match(self.text, self.at)
            ranges = None if found is None else _unicode_class(found[2] or found[3])
            if found is None or ranges is None:
                raise self.fail("invalid character class range: \\" + self.text[self.at : self.at + 8])
            self.at = found.end()
            return negate(ranges) if (char == "P") != (found[1] == "^") else normalize(ranges)
        return None

    def code_escape(self) -> int:
        char = self.text[self.at]
        self.at += 1
        if char in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[char]
        if char == "x":
            found = re.compile(r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})").match(self.text, self.at)
            if found is None or int(found[1] or found[2], 16) > _TOP:
                raise self.fail("invalid escape sequence: \\x")
            self.at = found.end()
            return int(found[1] or found[2], 16)
        if char in "01234567" and (char == "0" or self.text[self.at : self.at + 1] in tuple("01234567")):
            found = re.compile(r"[0-7]{0,2}").match(self.text, self.at)
            assert found is not None
            self.at = found.end()
            return int(char + found[0], 8)
        if (char.isascii() and not char.isalnum() and char != "_") or char == "_":
            return ord(char)
        raise self.fail("invalid escape sequence: \\" + char)

    def char_class(self) -> Ranges:
        start = self.at
        self.at += 1
        negated = self.peek("^")
        self.at += negated
        ranges: list[tuple[int, int]] = []
        folded: list[tuple[int, int]] = []
        first = True
        while True:
            if self.at >= len(self.text):
                raise self.fail("missing ]: " + self.text[start:])
            if self.peek("]") and not first:
                break
            first = False
            posix = re.compile(r"\[:(\^?)([a-z]+):\]").match(self.text, self.at)
            if posix is not None:
                if posix[2] not in _POSIX:
                    raise self.fail("invalid character class range: " + posix[0])
                self.at = posix.end()
                ranges.extend(negate(_POSIX[posix[2]]) if posix[1] else _POSIX[posix[2]])
                continue
            if self.peek("\\") and self.at + 1 < len(self.text):
                self.at += 1
                found = self.class_escape()
                if found is not None:
                    ranges.extend(found)
                    continue
                self.at -= 1
            low = high = self.class_char()
            if self.peek("-") and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self.class_char()
                if high < low:
                    raise self.fail("invalid character class range: " + self.text[start : self.at])
            folded.append((low, high))
        self.at += 1
        ranges.extend(_fold(tuple(folded)) if self.flags["i"] else folded)
        return negate(tuple(ranges)) if negated else normalize(ranges)

    def class_char(self) -> int:
        char = self.text[self.at]
        self.at += 1
        if char != "\\":
            return ord(char)
        if self.at >= len(self.text):
            raise self.fail("missing ]")
        return self.code_escape()


# -- Python's re -----------------------------------------------------------------------------------------------------

_PLACES = {
    "begin": r"\A", "end": r"\Z", "line_begin": "(?m:^)", "line_end": "(?m:$)", "word": r"(?a:\b)", "not_word": r"(?a:(?!\b))",
}  # fmt: skip


def _char(code: int) -> str:
    if code < 128 and chr(code).isalnum():
        return chr(code)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _python(node: Any) -> str:
    if isinstance(node, Chars):
        ranges = node.ranges
        if not ranges:
            return r"(?!)"
        if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
            return _char(ranges[0][0])
        return "[" + "".join(_char(a) if a == b else f"{_char(a)}-{_char(b)}" for a, b in ranges) + "]"
    if isinstance(node, Assertion):
        return _PLACES[node.kind]
    if isinstance(node, Sequence):
        return "".join(f"(?:{_python(p)})" if isinstance(p, Choice) else _python(p) for p in node.parts)
    if isinstance(node, Choice):
        return "|".join(_python(o) for o in node.options)
    if isinstance(node, Group):
        return f"({_python(node.part)})"
    inner = _python(node.part)
    if not isinstance(node.part, (Chars, Group)):
        inner = f"(?:{inner})"
    bounds = f"{{{node.least},{'' if node.most is None else node.most}}}"
    return inner + bounds + ("" if node.greedy else "?")


# -- how much a backtracking search may do ---------------------------------------------------------------------------


def _first(node: Any) -> tuple[Ranges, bool]:
    """The characters that `node` may begin with, and whether it may match the empty string."""
    if isinstance(node, Chars):
        return node.ranges, False
    if isinstance(node, Assertion):
        return (), True
    if isinstance(node, Sequence):
        ranges: list[tuple[int, int]] = []
        for part in node.parts:
            found, empty = _first(part)
            ranges.extend(found)
            if not empty:
                return normalize(ranges), False
        return normalize(ranges), True
    if isinstance(node, Choice):
        both = [_first(o) for o in node.options]
        return normalize([r for f, _ in both for r in f]), any(e for _, e in both)
    found, empty = _first(node.part)
    return found, empty or (isinstance(node, Repeat) and node.least == 0)


def _overlap(options: tuple[Any, ...]) -> bool:
    seen: list[tuple[int, int]] = []
    for option in options:
        ranges, empty = _first(option)
        if empty:
            return True
        seen.extend(ranges)
    seen.sort()
    return any(b[0] <= a[1] for a, b in itertools.pairwise(seen))


def _choices(node: Any, last: bool, length: int) -> float:
    """An upper bound on the ways in which `node` can match from one place of a text; 1 where it cannot come back."""
    if isinstance(node, (Chars, Assertion)):
        return 1
    if isinstance(node, Group):
        return _choices(node.part, last, length)
    if isinstance(node, Sequence):
        total = 1.0
        for i, part in enumerate(node.parts):
            total *= _choices(part, last and i == len(node.parts) - 1, length)
        return total
    if isinstance(node, Choice):
        each = [_choices(o, last, length) for o in node.options]
        return sum(each) if _overlap(node.options) else max(each)
    inner = _choices(node.part, False, length)
    most = length if node.most is None else min(node.most, length)
    if inner == 1 and not _first(node.part)[1]:
        # One way per count; nothing comes after the last one, so the first way found is taken.
        return 1 if last or node.least == node.most else most - min(node.least, most) + 1
    if most <= 1:
        return 1 + inner
    return float("inf") if most * inner > 64 else (1 + inner) ** most


# -- the public face -------------------------------------------------------------------------------------------------


class Regex:
    """A compiled RE2 pattern over bytes."""

    def __init__(self, pattern: bytes):
        try:
            text = pattern.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidArgumentError(f"Invalid pattern: {pattern!r}, error: invalid UTF-8") from None
        parser = _Parser(text)
        self.pattern = pattern
        self._tree = parser.parse()
        self.groups = parser.groups
        if _size(self._tree) > _MAX_SIZE:
            raise InvalidArgumentError(f"Invalid pattern: {pattern!r}, error: pattern too large - compile failed")
        try:
            self._fast: re.Pattern[str] | None = None if _repeats_nothing(self._tree) else re.compile(_python(self._tree))
        except (re.error, OverflowError, RecursionError):
            self._fast = None
        self._program: Any = None
        self._costs: dict[int, float] = {}

    def _is_cheap(self, length: int) -> bool:
        """Whether `re` surely needs less than BUDGET steps for a search in a text of `length` characters."""
        if self._fast is None:
            return False
        size = 1 << length.bit_length()
        cost = self._costs.get(size)
        if cost is None:
            cost = self._costs[size] = _choices(self._tree, True, size) * size
        return cost <= BUDGET

    def _linear(self) -> Any:
        if self._program is None:
            self._program = compile_program(self._tree)
        return self._program

    def _search(self, text: str, start: int) -> tuple[tuple[int, int], ...] | None:
        """The spans of the leftmost match at or after `start` and of its groups ((-1, -1): took no part)."""
        if self._is_cheap(len(text)):
            found = self._fast.search(text, start)  # type: ignore[union-attr]
            return None if found is None else tuple(found.span(i) for i in range(self.groups + 1))
        return run_program(self._linear(), text, start, self.groups, full=False)

    def full_match(self, data: bytes) -> bool:
        """Whether the whole of `data` matches."""
        text = data.decode("utf-8", "surrogateescape")
        if _full_is_cheap(self, len(text)):
            return self._fast.fullmatch(text) is not None  # type: ignore[union-attr]
        return run_program(self._linear(), text, 0, self.groups, full=True) is not None

    def replace(self, data: bytes, rewrite: list[bytes | int], everywhere: bool) -> bytes:
        """`data` with its matches (all, or the first) replaced by `rewrite`, as `parse_rewrite` gives it."""
        if any(isinstance(p, int) and p > self.groups for p in rewrite):
            return data  # a group that the pattern lacks: RE2 replaces nothing
        text = data.decode("utf-8", "surrogateescape")
        constant = b"".join(p for p in rewrite if isinstance(p, bytes)) if not any(isinstance(p, int) for p in rewrite) else None
        out: list[str | bytes] = []
        at, last_end, copied = 0, -1, 0
        while at <= len(text):
            spans = self._search(text, at)
            if spans is None:
                break
            begin, end = spans[0]
            if begin == end == last_end:
                # An empty match right after a match does not count: go on behind the next character.
                at = begin + 1
                continue
            out.append(text[copied:begin])
            if constant is not None:
                out.append(constant)
            else:
                for part in rewrite:
                    out.append(part if isinstance(part, bytes) else text[slice(*spans[part])] if spans[part][0] >= 0 else "")
            copied = at = last_end = end
            if not everywhere:
                break
        if not out:
            return data
        out.append(text[copied:])
        return b"".join(p if isinstance(p, bytes) else p.encode("utf-8", "surrogateescape") for p in out)


def _full_is_cheap(regex: Regex, length: int) -> bool:
    """As `_is_cheap`, for a match of the whole text, where the last repetition may have to come back."""
    if regex._fast is None:
        return False
    size = 1 << length.bit_length()
    cost = regex._costs.get(-size)
    if cost is None:
        cost = regex._costs[-size] = _choices(regex._tree, False, size) * max(_size(regex._tree), 1)
    return cost <= BUDGET


def _repeats_nothing(node: Any) -> bool:
    """Whether something that may be empty is repeated: there `re` and RE2 differ."""
    if isinstance(node, (Chars, Assertion)):
        return False
    if isinstance(node, (Sequence, Choice)):
        return any(_repeats_nothing(p) for p in (node.parts if isinstance(node, Sequence) else node.options))
    return (isinstance(node, Repeat) and node.most != 1 and _first(node.part)[1]) or _repeats_nothing(node.part)


def _size(node: Any) -> int:
    """The number of states that `node` needs."""
    if isinstance(node, (Chars, Assertion)):
        return 1
    if isinstance(node, Group):
        return 2 + _size(node.part)
    if isinstance(node, (Sequence, Choice)):
        parts = node.parts if isinstance(node, Sequence) else node.options
        return 1 + sum(_size(p) for p in parts)
    times = node.least + 1 if node.most is None else max(node.most, 1)
    return 1 + _size(node.part) * times


def parse_rewrite(rewrite: bytes) -> list[bytes | int]:
    r"""A replacement as literal pieces and group numbers (`\0` … `\9`; `\\` is a backslash).

    Raises:
        InvalidArgumentError: a backslash before something else.
    """
    out: list[bytes | int] = []
    piece = bytearray()
    i = 0
    while i < len(rewrite):
        c = rewrite[i : i + 1]
        if c != b"\\":
            piece += c
            i += 1
            continue
        following = rewrite[i + 1 : i + 2]
        if following == b"\\":
            piece += b"\\"
        elif following.isdigit():
            out += [bytes(piece), int(following)]
            piece.clear()
        else:
            raise InvalidArgumentError(f"Invalid rewrite {rewrite!r}: '\\' must be followed by a digit or '\\'")
        i += 2
    out.append(bytes(piece))
    return [p for p in out if p != b""]


@functools.lru_cache(maxsize=256)
def compile_regex(pattern: bytes) -> Regex:
    """The compiled pattern, remembered.

    Raises:
        InvalidArgumentError: RE2 does not accept the pattern.
    """
    return Regex(pattern)
