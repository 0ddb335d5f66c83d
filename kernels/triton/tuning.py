"""Which way of cutting a product is the fastest on this device: measured once a size, as no way changes a bit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

import torch
import triton

# More shared memory than this device has, or more registers than its assembler finds.
TOO_LARGE = (triton.runtime.errors.OutOfResources, triton.runtime.errors.PTXASError)
Way = TypeVar("Way", bound=Hashable)

_fastest: dict[tuple[object, ...], object] = {}


def fastest(key: tuple[object, ...], ways: Iterable[Way], work: Callable[[Way], object]) -> Way:
    """The way whose work takes the least time; what is found for a key is kept."""
    if key not in _fastest:
        seconds: dict[Way, float] = {}
        for way in ways:
            try:
                seconds[way] = milliseconds(lambda way=way: work(way))  # type: ignore[misc]
            except TOO_LARGE:
                continue
        if not seconds:
            raise ValueError(f"tuning: got no way that fits this device for {key}")
        _fastest[key] = min(seconds, key=seconds.__getitem__)
    return _fastest[key]  # type: ignore[return-value]


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


def chosen() -> dict[tuple[object, ...], object]:
    """The ways that were measured fastest so far, by what they were measured for."""
    return dict(_fastest)
