"""Progress of a run on a terminal or in a log: step, loss, rate, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from engine.train import Progress

LOG_PERIOD_S = 5.0
TERMINAL_PERIOD_S = 0.1


class ProgressLine:
    """Called after each step; rewrites one line of a terminal, or adds a line to a log every few seconds."""

    def __init__(self, label: str = "", stream: TextIO | None = None) -> None:
        self.label, self.stream = label, stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.begun = self.shown_at = time.monotonic()
        self.text = ""

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.terminal and self.text:
            self.stream.write("\r\x1b[K")

    def __call__(self, now: Progress) -> None:
        self._show(now.step == now.steps, lambda: text_of(now))

    def counted(self, done: int, total: int) -> None:
        """So many things of so many are done."""
        rate = done / max(time.monotonic() - self.begun, 1e-9)
        self._show(done == total, lambda: f"{done}/{total}  {rate:.1f} a second  {(total - done) / rate:.0f} s left")

    def _show(self, last: bool, text: Callable[[], str]) -> None:
        period = TERMINAL_PERIOD_S if self.terminal else LOG_PERIOD_S
        if last or time.monotonic() - self.shown_at >= period:
            self.shown_at = time.monotonic()
            self.text = self.label + text()
            self.stream.write(f"\r\x1b[K{self.text}" if self.terminal else self.text + "\n")
            self.stream.flush()


def text_of(now: Progress) -> str:
    """`step 40/200  loss 2.8312  57.1 steps/s  3 s left`"""
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in now.metrics.items())
    return f"step {now.step}/{now.steps}  {metrics}  {now.rate:.1f} steps/s  {now.left_s:.0f} s left"
