"""Work on the device recorded once as a CUDA graph, and started again as one.

Every operand and result has its place for good (engine/resident.py), and what an operator takes in between lies in the
graph's own memory. Nothing that is recorded may ask the device for a value: that is what torch refuses while recording.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from kernels.triton.faults import deferred
from kernels.triton.launch import INTERPRETED
from kernels.types import Fault

Call = tuple[str, Callable[[], object]]


def record(calls: Sequence[Call]) -> Callable[[], None]:
    """A function that does the calls again; it raises a Fault, without saying which, where one of them would.

    calls: (what it is called, what it does), each done once before: kernels are compiled and tilings chosen by then

    A ValueError naming the call that cannot be recorded, or why nothing can be here.
    """
    if INTERPRETED:
        raise ValueError("graphs: got Triton's interpreter, want an NVIDIA GPU: it records no CUDA graph")
    graph, now = torch.cuda.CUDAGraph(), "nothing"
    try:
        with deferred() as faults, torch.cuda.graph(graph):
            for name, call in calls:
                now = name
                call()
            faulted = faults.joined()
    except RuntimeError as error:
        raise ValueError(f"graphs: cannot record {now}: {str(error).splitlines()[0]}") from error

    def replay() -> None:
        graph.replay()
        if faulted is not None and bool(faulted):
            raise Fault("step", 0, "an operator faulted")

    return replay
