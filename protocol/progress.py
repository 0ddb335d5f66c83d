"""Progress of long work on a terminal or in a log: step, loss, rate, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

LOG_PERIOD_S = 5.0
TERMINAL_PERIOD_S = 0.1


class Progress:
    """Called after each step with (step, metrics); writes at most a few lines a second, none of them to stdout."""

    def __init__(
        self, steps: int, label: str = "", stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.steps, self.label, self.clock = steps, label, clock
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.first: tuple[int, float] | None = None
        self.shown_at = float("-inf")
        self.line = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.terminal and self.line:
            self.stream.write("\n")

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        now = self.clock()
        if self.first is None:
            self.first = (step, now)
        self.line = self._text(step, metrics, now)
        if step == self.steps or now - self.shown_at >= (TERMINAL_PERIOD_S if self.terminal else LOG_PERIOD_S):
            self.shown_at = now
            self.stream.write(f"\r\x1b[K{self.line}" if self.terminal else self.line + "\n")
            self.stream.flush()

    def _text(self, step: int, metrics: Mapping[str, float], now: float) -> str:
        values = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        return f"{self.label}step {step}/{self.steps}  {values}{self._rate(step, now)}"

    def _rate(self, step: int, now: float) -> str:
        assert self.first is not None
        done, seconds = step - self.first[0], now - self.first[1]
        if done < 1 or seconds <= 0:
            return ""
        return f"  {done / seconds:.1f} steps/s  {(self.steps - step) * seconds / done:.0f} s left"
