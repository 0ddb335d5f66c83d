"""What a job is: everything that decides a bit of a run and how it is committed to, under one id."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from itertools import chain, islice
from typing import Literal

from engine.canonical import from_canonical, to_canonical
from engine.merkle import HASH_SIZE
from engine.order import MAX_EPOCHS

FORMAT = "isobit-job-2"
MAX_STEPS = 2**32
MAX_INTERVAL = 256  # where a job leaves the interval open and names no bound itself
MAX_SEED = 2**63


@dataclass(frozen=True, slots=True)
class Job:
    """What decides the bits of a run, and nothing else.

    program, start, data, schedule: hash of the program; roots of the start state, the data set, the schedule
    records:  of the data set; batch_size: records a step
    interval: steps between two committed states (the last interval may be shorter); "auto": the solver's, frozen in
              its bid and in its run, from 1 to max_interval, which is the number itself where there is one
    """

    program: bytes
    start: bytes
    data: bytes
    schedule: bytes
    records: int
    batch_size: int
    seed: int
    steps: int
    interval: int | Literal["auto"]
    max_interval: int

    def __post_init__(self) -> None:
        _require_job(self)

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return to_canonical({"format": FORMAT, **asdict(self)})

    @property
    def id(self) -> bytes:
        """SHA-256 of the canonical bytes."""
        return hashlib.sha256(self.to_bytes()).digest()

    @property
    def intervals(self) -> tuple[int, int]:
        """The fewest and the most steps between two committed states of a run."""
        return (1 if self.interval == "auto" else self.max_interval), self.max_interval

    def require_interval(self, interval: int) -> int:
        """The same number; a ValueError where no run of this job commits so often."""
        low, high = self.intervals
        if type(interval) is not int or not low <= interval <= high:
            wanted = f"the job's {high}" if low == high else f"{low} to {high}, as the job says"
            raise ValueError(f"interval: got {interval!r:.80}, want {wanted}")
        return interval

    def committed_steps(self, interval: int, most: int | None = None) -> tuple[int, ...]:
        """The numbers of steps done at which a run of this interval commits to its state, from the start: all, or the
        first `most`. A job of few bytes may have more than fit into memory."""
        steps = range(0, self.steps, self.require_interval(interval))
        return tuple(islice(chain(steps, (self.steps,)), most))


def _require_job(job: Job) -> None:
    for name in ("program", "start", "data", "schedule"):
        value = getattr(job, name)
        if not isinstance(value, bytes) or len(value) != HASH_SIZE:
            raise ValueError(f"job: {name} is {value!r:.80}, want {HASH_SIZE} bytes")
    limits = {
        "records": (0, 2**48),
        "batch_size": (1, 2**32),
        "seed": (0, MAX_SEED),
        "steps": (1, MAX_STEPS),
        "max_interval": (1, MAX_STEPS),
    }
    for name, (low, high) in limits.items():
        value = getattr(job, name)
        if type(value) is not int or not low <= value < high:
            raise ValueError(f"job: {name} is {value!r:.80}, want an integer from {low} to {high - 1}")
    if job.interval != "auto" and (type(job.interval) is not int or job.interval != job.max_interval):
        wanted = f"'auto' or the max_interval, {job.max_interval}"
        raise ValueError(f"job: interval is {job.interval!r:.80}, want {wanted}")
    if job.records and job.steps * job.batch_size > MAX_EPOCHS * min(job.records, 2**30):
        raise ValueError(
            f"job: {job.steps} steps of {job.batch_size} of {job.records} records,"
            " want at most 2^32 epochs and 2^62 samples"
        )


def job_from_bytes(data: bytes) -> Job:
    """The job of canonical bytes; a ValueError for anything else."""
    content = from_canonical(data, "job")
    names = {field.name for field in fields(Job)}
    if not isinstance(content, dict) or set(content) != names | {"format"} or content["format"] != FORMAT:
        wanted = ", ".join(sorted(names | {"format"}))
        raise ValueError(f"job: want a map with exactly the fields {wanted}, and format {FORMAT!r}")
    return Job(**{name: content[name] for name in names})


def max_interval_of(interval: int | Literal["auto"], steps: int) -> int:
    """The bound of a job that names none: its interval, or of an open one 256 steps, or all."""
    return min(MAX_INTERVAL, steps) if interval == "auto" else interval
