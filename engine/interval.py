"""How often a run commits: where the job leaves it open, the smallest interval whose hashing costs little.

Measured once, by who solves the job, before it bids or its run begins. The number is signed into the bid and stands in
the run's folder; who resumes, checks or disputes the run reads it and measures nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median_low

from engine.execute import NodeFault
from engine.job import JobFolder, next_state
from engine.resident import Resident
from engine.state import StateHasher

PERCENT = 2
MEASURED_STEPS = 3
PATIENCE_NS = 10 * 10**9
Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Costs:
    """Nanoseconds of a step and of the commitment to a state, on one machine. No step: the program has no first one."""

    step_ns: int
    commit_ns: int

    def interval(self, most: int) -> int:
        """The fewest steps between commitments, up to `most`, for which hashing takes at most 2 % of their time."""
        if self.step_ns == 0:
            return 1
        return min(max(1, -(-100 * self.commit_ns // (PERCENT * self.step_ns))), most)


def resolve(job: JobFolder, backend: str = "native", threads: int = 1, clock: Clock = time.perf_counter_ns) -> int:
    """The steps between two commitments of a run that begins here: the job's number, or what is measured once."""
    low, high = job.job.intervals
    return high if low == high else measure(job, backend, threads, clock).interval(high)


def measure(job: JobFolder, backend: str = "native", threads: int = 1, clock: Clock = time.perf_counter_ns) -> Costs:
    """The costs of a job's first steps: the middle of three after one that warms up, of fewer where they take long."""
    resident, hasher = Resident(job.program, backend, threads), StateHasher(backend, threads)
    state = job.start_state(backend, resident.slots)
    resident.load(state)
    state.update(resident.state)
    hasher.commit(state)
    times: list[tuple[int, int]] = []
    begun = clock()
    for number in range(MEASURED_STEPS + 1):
        started = clock()
        try:
            resident.step(job.other_inputs(number % job.job.steps, job.job.seed))
        except NodeFault:
            break
        state = next_state(job.program, state, resident.state)
        stepped = clock()
        hasher.commit(state)
        committed = clock()
        times.append((stepped - started, committed - stepped))
        if len(times) > 1 and committed - begun > PATIENCE_NS:
            break
    steps, commits = zip(*times[1:] or times or [(0, 0)], strict=True)
    return Costs(median_low(steps), median_low(commits))
