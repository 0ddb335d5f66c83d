"""What the host does while a step is started: every operator of torch and every kernel, and whether one waits.

A CUDA graph holds what is put on the device. A host that reads a value there, or does something else because of one,
cannot be recorded; torch refuses that on a GPU, and this finds it without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from triton.runtime import interpreter

WAITS = {"_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "unique_dim"}
FROM_HOST = {"lift_fresh", "lift_fresh_copy"}  # what torch.tensor of numbers ends in


class HostWaits(AssertionError):
    """The host asked the device for a value."""


def place_of(x: torch.Tensor, fixed: set[int]) -> tuple[Any, ...]:
    """A tensor's shape and strides, and its address where that is the same in every step."""
    address = x.data_ptr() if x.untyped_storage().data_ptr() in fixed else None
    return tuple(x.shape), tuple(x.stride()), str(x.dtype), address


class Trace(TorchDispatchMode):
    """Writes down what is put on the device; a HostWaits where the host would wait for it."""

    def __init__(self, fixed: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.fixed = {x.untyped_storage().data_ptr() for x in fixed}
        self.events: list[Any] = []

    def seen(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return place_of(value, self.fixed)
        if isinstance(value, (list, tuple)):
            return tuple(self.seen(x) for x in value)
        return repr(value)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().split("::")[1].split(".")[0]
        if name in WAITS or (name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])):
            raise HostWaits(name)
        if name in FROM_HOST or (name == "_to_copy" and (kwargs or {}).get("device") is not None):
            raise HostWaits(f"{name}: a copy between host and device")
        self.events.append((name, self.seen(args), self.seen(sorted((kwargs or {}).items(), key=lambda x: x[0]))))
        return func(*args, **(kwargs or {}))


def traced(work: Callable[[], object], fixed: Iterable[torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What work puts on the device, in order. The interpreter's own use of torch and NumPy is the kernel's."""
    trace, inside = Trace(fixed), [False]
    launch, numpy = interpreter.GridExecutor.__call__, torch.Tensor.numpy

    def launched(self: Any, *args: Any, **kwargs: Any) -> None:
        constants = sorted((name, repr(value)) for name, value in kwargs.items())
        trace.events.append((self.fn.__name__, tuple(map(trace.seen, args)), constants))
        inside[0] = True
        try:
            with _disable_current_modes():
                launch(self, *args, **kwargs)
        finally:
            inside[0] = False

    def to_numpy(x: torch.Tensor, *args: Any, **kwargs: Any) -> np.ndarray:
        if not inside[0]:
            raise HostWaits("numpy")
        return numpy(x, *args, **kwargs)

    def from_numpy(x: np.ndarray) -> torch.Tensor:
        if not inside[0]:
            raise HostWaits("from_numpy")
        return original(x)

    original = torch.from_numpy
    with monkeypatch.context() as patch:
        patch.setattr(interpreter.GridExecutor, "__call__", launched)
        patch.setattr(torch.Tensor, "numpy", to_numpy)
        patch.setattr(torch, "from_numpy", from_numpy)
        with trace, np.errstate(all="ignore"):
            work()
    return trace.events
