"""The states of a party's run: the last ones are kept while they fit, any other follows from a checkpoint before it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.job import JobFolder
from engine.run import RunFolder

Array = np.ndarray
State = dict[str, Array]
KEPT_BYTES = 2**30


class States:
    """States by the number of steps done.

    advance: (step, state before it) -> state after it
    A dispute asks for the state before one step, the one after it and the one before again: as long as an interval of
    states fits into KEPT_BYTES, nothing is computed twice; otherwise from the nearest checkpoint once more.
    """

    def __init__(
        self, folder: JobFolder, run: RunFolder | None, backend: str, advance: Callable[[int, State], State]
    ) -> None:
        self._folder, self._run, self._backend, self._advance = folder, run, backend, advance
        start = folder.start_state(backend)
        if (int(start["step"]), int(start["seed"])) != (0, folder.job.seed):
            got = f"step {start['step']} and seed {start['seed']}"
            raise ValueError(f"trace: the start state is of {got}, want step 0 and seed {folder.job.seed}")
        self._kept: dict[int, State] = {0: start}
        self._size = sum(array.nbytes for array in start.values())

    def before(self, step: int) -> State:
        """The arrays of the state before a step, from the nearest one before it that is kept or saved."""
        if step in self._kept:
            return self._kept[step]
        at, state = self._nearest(step)
        while at < step:
            state = self._advance(at, state)
            at += 1
            self.keep(at, state)
        return state

    def keep(self, step: int, state: State) -> None:
        """Keep a state; the oldest ones go when there is no room, but never the last two."""
        self._kept.pop(step, None)
        self._kept[step] = state
        while len(self._kept) > 2 and len(self._kept) * self._size > KEPT_BYTES:
            self._kept.pop(next(iter(self._kept)))

    def _nearest(self, step: int) -> tuple[int, State]:
        kept = max((at for at in self._kept if at <= step), default=-1)
        saved = [at for at in self._run.checkpoints() if kept < at <= step] if self._run is not None else []
        if saved:
            assert self._run is not None, "only a run has checkpoints"
            store = self._run.store
            return max(saved), store.read_arrays(store.read_manifest(max(saved)), self._backend)
        return (kept, self._kept[kept]) if kept >= 0 else (0, self._folder.start_state(self._backend))
