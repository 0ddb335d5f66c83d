"""The inputs of the next step, read while this one is computed elsewhere."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from engine.job import JobFolder


class Ahead:
    """What a job's steps take beside the state, one step ahead; a step that was not expected is read when asked for."""

    def __init__(self, job: JobFolder) -> None:
        self._job, self._pool = job, ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._next: tuple[int, int, Future[dict[str, Any]]] | None = None

    def inputs(self, step: int, seed: int) -> dict[str, Any]:
        """The inputs of a step, and the next one's begun."""
        waiting, self._next = self._next, None
        if waiting is not None and waiting[:2] == (step, seed):
            values = waiting[2].result()
        else:
            values = self._job.other_inputs(step, seed)
        if step + 1 < self._job.job.steps:
            self._next = (step + 1, seed, self._pool.submit(self._job.other_inputs, step + 1, seed))
        return values

    def close(self) -> None:
        """Wait for what was begun."""
        self._pool.shutdown()
