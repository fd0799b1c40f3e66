"""Names of nodes: validity, scopes and uniqueness, by TensorFlow's rules."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from tracer.errors import GraphError

__all__ = ["NameScopes", "is_valid_node_name", "sanitize"]

_VALID = re.compile(r"^[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*$")
_VALID_SCOPE = re.compile(r"^[A-Za-z0-9_.\\/>-]*$")


def is_valid_node_name(name: str) -> bool:
    return _VALID.match(name) is not None


def sanitize(name: str) -> str:
    """`name` with every character that node names may not hold replaced by an underscore."""
    fixed = re.sub(r"[^A-Za-z0-9_.\\/>-]", "_", name)
    return fixed if is_valid_node_name(fixed) else "." + fixed


class NameScopes:
    """A stack of scopes and the names taken so far (compared without case, as TensorFlow does)."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self.current = ""

    def reserve(self, name: str) -> None:
        """Mark `name`, and the scopes it lies in, as taken."""
        self._counts.setdefault(name.lower(), 1)

    def unique(self, name: str, mark: bool = True) -> str:
        """`name` inside the current scope, with `_1`, `_2`… added where it is taken. A trailing `/` means: exactly this name."""
        if name.endswith("/"):
            full = name[:-1]
        else:
            if not _VALID_SCOPE.match(name) or (not self.current and not _VALID.match(name)):
                raise GraphError(f"{name!r} is not a valid node name: allowed are letters, digits and _ . \\ / > -")
            full = f"{self.current}/{name}" if self.current else name
        key = full.lower()
        count = self._counts.get(key, 0)
        if mark:
            self._counts[key] = count + 1
        if count == 0:
            return full
        candidate = key
        while candidate in self._counts:
            candidate = f"{key}_{count}"
            suffix = count
            count += 1
        if mark:
            self._counts[key] = count
            self._counts[candidate] = 1
        return f"{full}_{suffix}"

    @contextlib.contextmanager
    def scope(self, name: str | None) -> Iterator[str]:
        """Enter a scope: None or "" leaves all scopes, a trailing `/` re-enters exactly that one. Yields the scope with `/`."""
        previous = self.current
        if not name:
            new = ""
        elif name.endswith("/"):
            new = name[:-1]
        else:
            new = self.unique(name)
        self.current = new
        try:
            yield new + "/" if new else ""
        finally:
            self.current = previous
