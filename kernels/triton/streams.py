"""A second stream of the device, for hashes: what runs there may overlap with the next step.

The interpreter has one order only: what is begun is done at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch

from kernels.triton.launch import INTERPRETED

_reading: list[torch.cuda.Event] = []  # what must be over before the state is overwritten


@cache
def _second() -> torch.cuda.Stream:
    return torch.cuda.Stream()


@contextmanager
def beside() -> Iterator[None]:
    """Work within it goes to the second stream, after all that was begun on the first."""
    if INTERPRETED:
        yield
        return
    second = _second()
    second.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(second):
        yield
        event = torch.cuda.Event()
        event.record()
        _reading.append(event)


def fetch(x: torch.Tensor) -> Callable[[], torch.Tensor]:
    """Begins to copy a tensor to the host; the function that it gives waits for the copy, not for the device."""
    if INTERPRETED:
        return lambda: x
    copy = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    copy.copy_(x, non_blocking=True)
    done = torch.cuda.Event()
    done.record()

    def wait() -> torch.Tensor:
        done.synchronize()
        return copy

    return wait


def join() -> None:
    """Lets the first stream wait, on the device, for what the second one reads."""
    for event in _reading:
        torch.cuda.current_stream().wait_event(event)
    _reading.clear()
