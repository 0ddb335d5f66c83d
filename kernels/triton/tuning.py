"""Which way of cutting a product is the fastest on this device: measured once a size, as no way changes a bit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import TypeVar

import torch
import triton

# More shared memory than this device has, or more registers than its assembler finds.
TOO_LARGE = (triton.runtime.errors.OutOfResources, triton.runtime.errors.PTXASError)
Way = TypeVar("Way", bound=Hashable)

_measured: dict[tuple[object, ...], dict[object, float]] = {}


def fastest(key: tuple[object, ...], ways: Iterable[Way], work: Callable[[Way], object]) -> Way:
    """The way whose work takes the least time; what is found for a key is kept."""
    if key not in _measured:
        taken: dict[object, float] = {}
        for way in ways:
            try:
                taken[way] = milliseconds(partial(work, way))
            except TOO_LARGE:
                continue
        if not taken:
            raise ValueError(f"tuning: got no way that fits this device for {key}")
        _measured[key] = taken
    return min(_measured[key], key=_measured[key].__getitem__)  # type: ignore[return-value]


def milliseconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of a few runs on the GPU, after one that compiles."""
    work()
    times = []
    for _ in range(repeats):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop))
    return min(times)


def measured() -> dict[tuple[object, ...], dict[object, float]]:
    """The milliseconds of each way, by what it was measured for."""
    return {key: dict(taken) for key, taken in _measured.items()}
