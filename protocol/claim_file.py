"""A claim as a file: every committed state root of a run, for whoever wants to object to one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from engine.canonical import from_canonical, to_canonical
from engine.job import JobFolder
from engine.job_id import Job
from engine.merkle import HASH_SIZE, leaf_hash, root_of
from engine.replay import Difference, Replay
from engine.run import RunFolder

FORMAT = "isobit-claim-1"
FIELDS = {"format", "job", "steps", "roots"}


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """What a run claims. job: its id; steps, roots: after how many steps which state root, the start state first."""

    job: bytes
    steps: tuple[int, ...]
    roots: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        """The RFC 6962 root whose leaves are the state roots."""
        return root_of([leaf_hash(root) for root in self.roots])

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        return to_canonical({"format": FORMAT, **asdict(self)})

    def __str__(self) -> str:
        lines = [
            f"claim of steps {self.steps[0]} to {self.steps[-1]} of job {self.job.hex()}",
            f"root {self.root.hex()}",
        ]
        lines += [f"{step:8}  {root.hex()}" for step, root in zip(self.steps, self.roots, strict=True)]
        return "\n".join(lines) + "\n"


def require_committed(job: Job, steps: tuple[int, ...]) -> None:
    """A ValueError unless a claim's steps are those that a run of an interval of the job commits to, from the start."""
    low, high = job.intervals
    interval = high if low == high else min(steps[1], high)
    wanted = job.committed_steps(interval, len(steps))
    if steps != wanted:
        raise ValueError(
            f"claim: holds the states after {_few(steps)} steps, want {_few(wanted)}: every {interval} steps"
        )


def _few(steps: tuple[int, ...]) -> str:
    return ", ".join(map(str, steps[:5])) + (", ..." if len(steps) > 5 else "")


def claim_of(run: RunFolder) -> ClaimFile:
    """The claim of all that a run has committed to."""
    roots = sorted(run.roots().items())
    if len(roots) < 2:
        raise ValueError(f"claim: {run.folder} has committed to no step yet, want one or more")
    return ClaimFile(run.job_id, tuple(step for step, _ in roots), tuple(root for _, root in roots))


def claim_from_bytes(data: bytes, what: str) -> ClaimFile:
    """The claim of canonical bytes; a ValueError for anything else."""
    content = from_canonical(data, what)
    if not isinstance(content, dict) or set(content) != FIELDS or content["format"] != FORMAT:
        raise ValueError(f"{what}: want a map with exactly the fields {', '.join(sorted(FIELDS))}, format {FORMAT!r}")
    steps, roots = content["steps"], content["roots"]
    if not _is_list(steps, int) or not _is_list(roots, bytes) or len(steps) != len(roots) or len(steps) < 2:
        raise ValueError(f"{what}: want as many steps as roots, two or more")
    if steps[0] < 0 or any(a >= b for a, b in pairwise(steps)):
        raise ValueError(f"{what}: want ascending steps")
    if not _is_list([content["job"]], bytes) or any(len(root) != HASH_SIZE for root in (content["job"], *roots)):
        raise ValueError(f"{what}: want a job id and roots of {HASH_SIZE} bytes")
    return ClaimFile(content["job"], tuple(steps), tuple(roots))


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)


def check_claim(job: JobFolder, claim: ClaimFile, last: int, backend: str, threads: int) -> Difference | None:
    """The first claimed root, up to the step `last`, that running the job from its start does not give."""
    if claim.job != job.id:
        raise ValueError(f"claim: is of job {claim.job.hex()}, want {job.id.hex()}")
    if max(claim.steps[-1], last) > job.job.steps:
        raise ValueError(f"claim: goes to step {max(claim.steps[-1], last)}, the job has {job.job.steps}")
    require_committed(job.job, claim.steps)
    claimed = dict(zip(claim.steps, claim.roots, strict=True))
    wanted = [step for step in claim.steps if step <= last]
    for step, root in Replay(job, None, backend, threads).roots(wanted):
        if claimed[step] != root:
            return Difference(step, root, claimed[step])
    return None
