"""How often a run should commit: the smallest interval whose hashing costs little beside the steps.

Measured once, by whoever makes the job. The number becomes part of the job; who runs or checks it reads it there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from engine.job import JobFolder, next_state
from engine.resident import Resident
from engine.state import StateHasher

Array = np.ndarray
SHARE = 0.02
MEASURED_STEPS = 3


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of a step and of the commitment to a state, on one machine."""

    step_s: float
    commit_s: float

    def interval(self, share: float = SHARE, steps: int | None = None) -> int:
        """The fewest steps between commitments such that hashing takes at most this share of the steps' time."""
        fewest = max(1, ceil(self.commit_s / (share * self.step_s)))
        return fewest if steps is None else min(fewest, steps)


def measure(job: JobFolder, state: Mapping[str, Array], backend: str = "native", threads: int = 1) -> Costs:
    """The costs of a job's first steps from a state: the fastest of three, after one that warms up."""
    resident, hasher = Resident(job.program, backend, threads), StateHasher(backend, threads)
    resident.load(state)
    hasher.commit({**state, **resident.state})
    times = []
    for _ in range(MEASURED_STEPS + 1):
        first = int(state["step"]) % job.job.steps
        inputs = job.step_inputs({**state, "step": np.array(first, np.int64)})
        started = time.perf_counter()
        resident.step(inputs)
        state = next_state(job.program, state, resident.state)
        stepped = time.perf_counter()
        hasher.commit(state)
        times.append((stepped - started, time.perf_counter() - stepped))
    steps, commits = zip(*times[1:], strict=True)
    return Costs(min(steps), min(commits))
