"""Faults that are looked for together: each check leaves a bit on the device, and one wait reads them all.

Outside `deferred` a check waits for the device at once and names the lowest element. Inside, an operator goes on with
an index or a divisor that is safe, and whoever opened it asks once; then the step runs again to find the first fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from kernels.types import Fault

_pending: list[Deferred] = []


class Deferred:
    """Checks that did not wait."""

    def __init__(self) -> None:
        self.found: list[torch.Tensor] = []

    def joined(self) -> torch.Tensor | None:
        """Whether any failed, on the device; None where there were no checks."""
        return torch.stack(self.found).any() if self.found else None

    def __call__(self) -> None:
        """Waits for the device; a Fault where any failed."""
        faulted = self.joined()
        self.found.clear()
        if faulted is not None and bool(faulted):
            raise Fault("step", 0, "an operator faulted")


@contextmanager
def deferred() -> Iterator[Deferred]:
    """Checks within it do not wait; what it gives does, when it is called."""
    found = Deferred()
    _pending.append(found)
    try:
        yield found
    finally:
        _pending.pop()


def require(op: str, wrong: torch.Tensor, reason: Callable[[int], str]) -> bool:
    """Whether the operator may go on as if nothing were wrong: True, or a Fault at the lowest wrong element.

    wrong:  bool, one per element; inside `deferred` the operator must replace the wrong elements itself
    reason: what is wrong with an element, by its number
    returns: False inside `deferred`, where wrong elements may be left
    """
    if _pending:
        _pending[-1].found.append(wrong.any())
        return False
    places = wrong.reshape(-1).nonzero()
    if places.numel():
        element = int(places[0])
        raise Fault(op, element, reason(element))
    return True
