"""Progress of a run on a terminal or in a log: step, loss, rate, time left."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from engine.train import Progress

LOG_PERIOD_S = 5.0
TERMINAL_PERIOD_S = 0.1


class ProgressLine:
    """Called after each step; rewrites one line of a terminal, or adds a line to a log every few seconds."""

    def __init__(self, label: str = "", stream: TextIO | None = None) -> None:
        self.label, self.stream = label, stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.shown_at = time.monotonic()
        self.text = ""

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.terminal and self.text:
            self.stream.write("\r\x1b[K")

    def __call__(self, now: Progress) -> None:
        period = TERMINAL_PERIOD_S if self.terminal else LOG_PERIOD_S
        if now.step == now.steps or time.monotonic() - self.shown_at >= period:
            self.shown_at = time.monotonic()
            self.text = self.label + text_of(now)
            self.stream.write(f"\r\x1b[K{self.text}" if self.terminal else self.text + "\n")
            self.stream.flush()


def text_of(now: Progress) -> str:
    """`step 40/200  loss 2.8312  57.1 steps/s  3 s left`"""
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in now.metrics.items())
    return f"step {now.step}/{now.steps}  {metrics}  {now.rate:.1f} steps/s  {now.left_s:.0f} s left"
