"""Medians of interleaved runs: every round times each competitor once, so drift of the machine meets all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from statistics import median
from time import perf_counter


def batch_seconds(work: Callable[[], object], calls: int) -> float:
    """Seconds per call over one batch, after one untimed call that brings caches and thread pools back."""
    work()
    start = perf_counter()
    for _ in range(calls):
        work()
    return (perf_counter() - start) / calls


def interleaved(works: Mapping[str, Callable[[], object]], rounds: int, batch_s: float) -> dict[str, float]:
    """The median seconds per call of each work.

    rounds:  how often each is timed
    batch_s: a batch repeats its work until it lasts about this long
    """
    calls = {name: max(1, ceil(batch_s / batch_seconds(work, 1))) for name, work in works.items()}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(batch_seconds(work, calls[name]))
    return {name: median(values) for name, values in seconds.items()}
