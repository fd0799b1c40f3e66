"""Progress on the terminal: `Progbar`, and where messages for users go. The texts are Keras 2.15's."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["Progbar", "disable_interactive_logging", "enable_interactive_logging", "is_interactive_logging_enabled", "print_msg"]


class _Interactive:
    enabled = True


def enable_interactive_logging() -> None:
    """Write progress to stdout."""
    _Interactive.enabled = True


def disable_interactive_logging() -> None:
    """Write progress to the log (and by lines instead of bars) rather than to stdout."""
    _Interactive.enabled = False


def is_interactive_logging_enabled() -> bool:
    return _Interactive.enabled


def print_msg(message: str, line_break: bool = True) -> None:
    """A message for the user, on stdout or in the log."""
    if _Interactive.enabled:
        sys.stdout.write(message + "\n" if line_break else message)
        sys.stdout.flush()
        return
    import logging

    logging.getLogger("savedmodel").info(message)


def _number(value: float, small: bool) -> str:
    return f" {value:.4e}" if small else f" {value:.4f}"


class Progbar:
    """A progress bar.

    Args:
        target: number of steps, or None where it is unknown. width: of the bar in characters.
        verbose: 0 nothing, 1 a bar, 2 a line at the end. interval: least seconds between updates.
        stateful_metrics: names of values that are shown as they are rather than averaged over the steps.
    """

    def __init__(
        self, target: int | None, width: int = 30, verbose: int = 1, interval: float = 0.05, stateful_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ):  # fmt: skip
        self.target = target
        self.width = width
        self.verbose = verbose
        self.interval = interval
        self.unit_name = unit_name
        self.stateful_metrics = set(stateful_metrics or ())
        self._dynamic_display = (
            (hasattr(sys.stdout, "isatty") and sys.stdout.isatty()) or "ipykernel" in sys.modules or "posix" in sys.modules
            or "PYCHARM_HOSTED" in os.environ
        )  # fmt: skip
        self._total_width = 0
        self._seen_so_far = 0
        self._values: dict[str, Any] = {}  # name → [sum, count]
        self._start = self._epoch_start = time.time()
        self._last_update = 0.0
        self._epoch_end: float | None = None
        self._after_first: float | None = None

    def _update_stateful_metrics(self, names: Iterable[str]) -> None:
        self.stateful_metrics |= set(names)

    def update(self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None) -> None:
        """Show that `current` steps are done.

        Args:
            values: (name, value) pairs. finalize: whether this is the last update; by default when the target is reached.
        """
        if finalize is None:
            finalize = self.target is not None and current >= self.target
        for name, value in values or ():
            if name in self.stateful_metrics:
                self._values[name] = [value, 1]
                continue
            count = max(current - self._seen_so_far, 1)
            known = self._values.setdefault(name, [0.0, 0])
            known[0] += value * count
            known[1] += count
        self._seen_so_far = current
        now = time.time()
        if current == self.target:
            self._epoch_end = now
        if self.verbose == 1:
            if now - self._last_update < self.interval and not finalize:
                return
            print_msg(self._bar(current, now, finalize), line_break=False)
        elif self.verbose == 2 and finalize:
            print_msg(self._line(current, now), line_break=False)
        self._last_update = now

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done."""
        self.update(self._seen_so_far + n, values)

    def _bar(self, current: int, now: float, finalize: bool) -> str:
        previous = self._total_width
        message = "\b" * previous + "\r" if self._dynamic_display else "\n"
        if self.target is not None:
            digits = int(np.log10(self.target)) + 1
            bar = f"{current:{digits}d}/{self.target} ["
            done = int(self.width * (float(current) / self.target))
            if done > 0:
                bar += "=" * (done - 1) + (">" if current < self.target else "=")
            bar += "." * (self.width - done) + "]"
        else:
            bar = f"{current:7d}/Unknown"
        per_step = self._step_duration(current, now)
        if self.target is None or finalize:
            info = f" - {now - self._start:.0f}s{_duration(per_step, self.unit_name)}"
        else:
            info = f" - ETA: {_eta(per_step * (self.target - current))}"
        for name, (total, count) in self._values.items():
            average = np.mean(total / max(1, count))
            info += f" - {name}:" + _number(average, not abs(average) > 0.001)
        self._total_width = len(bar) + len(info)
        info += " " * max(previous - self._total_width, 0)
        return message + bar + info + ("\n" if finalize else "")

    def _line(self, current: int, now: float) -> str:
        target = self.target or current or 1
        digits = int(np.log10(target)) + 1
        info = f"{current:{digits}d}/{target} - {now - self._start:.0f}s"
        for name, (total, count) in self._values.items():
            average = np.mean(total / max(1, count))
            info += f" - {name}:" + _number(average, not average > 0.001)
        if self._epoch_end:
            epoch = self._epoch_end - self._epoch_start
            self._epoch_start, self._epoch_end = now, None
            info += f" -{_duration(epoch, 'epoch')} -{_duration(epoch / target, self.unit_name)}\n"
        return info

    def _step_duration(self, current: int, now: float) -> float:
        if not current:
            return 0.0
        if self._after_first is not None and current > 1:
            per_step = (now - self._after_first) / (current - 1)
        else:
            per_step = (now - self._start) / current
        if current == 1:
            self._after_first = now
        return per_step


def _duration(seconds: float, unit: str) -> str:
    if seconds >= 1 or seconds == 0:
        return f" {seconds:.0f}s/{unit}"
    return f" {seconds * 1e3:.0f}ms/{unit}" if seconds >= 1e-3 else f" {seconds * 1e6:.0f}us/{unit}"


def _eta(seconds: float) -> str:
    whole = math.floor(seconds)
    if seconds > 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if seconds > 60 else f"{whole}s"
