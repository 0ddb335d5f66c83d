"""Any state, any step, any value of a run again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.entries import TraceEntry, entry_hash, entry_index, scale_count, sources, step_entries
from engine.execute import Executor
from engine.job import JobFolder, next_state, open_job
from engine.merkle import root_of
from engine.run import RunFolder, open_run, read_state
from engine.schedule import node_of
from engine.state import StateCommitment, StateHasher, tensor_root
from kernels.backends import load

__all__ = ["Difference", "Replay", "StepTrace", "check", "sources", "step_entries"]

Array = np.ndarray
MOST_KEPT = 64


@dataclass(frozen=True)
class StepTrace:
    """What a step commits to: its entries with their tensor roots; the last is the post-state's root."""

    entries: tuple[TraceEntry, ...]
    roots: tuple[bytes, ...]

    @cached_property
    def hashes(self) -> tuple[bytes, ...]:
        """The leaf hashes of the entries."""
        return tuple(entry_hash(entry, root) for entry, root in zip(self.entries, self.roots, strict=True))

    @cached_property
    def root(self) -> bytes:
        """The root over the entries."""
        return root_of(self.hashes)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first committed step at which a replay gives another root than the run's log."""

    step: int
    got: bytes
    want: bytes


class Replay:
    """Computes a job again. A run folder is only a source of checkpoints and of roots to compare them with."""

    def __init__(
        self,
        job_folder: JobFolder | str | Path,
        run_folder: RunFolder | str | Path | None = None,
        backend: str = "native",
        threads: int = 1,
    ) -> None:
        self.job = job_folder if isinstance(job_folder, JobFolder) else open_job(job_folder, backend, threads)
        self.run = run_folder if isinstance(run_folder, RunFolder | None) else open_run(run_folder, self.job)
        self.program, self._backend, self._threads = self.job.program, backend, threads
        self._executor, self._memory = Executor(self.program, backend, threads), load(backend).memory
        self._hasher = StateHasher(backend, threads)
        self._at: dict[str, Any] | None = None
        self._kept_step, self._kept = -1, dict[int, Array]()

    @cached_property
    def entries(self) -> tuple[TraceEntry, ...]:
        """The static table of every step's trace."""
        return step_entries(self.program)

    def state_before(self, step: int) -> dict[str, Array]:
        """The state after `step` steps, from the nearest checkpoint at or before it, or from the last state asked for.

        A ValueError where a checkpoint's root is not the one in the run's log.
        """
        return {name: self._memory.get(array) for name, array in self._reach(step).items()}

    def _reach(self, step: int) -> dict[str, Any]:
        """As `state_before`, in the backend's memory."""
        if not 0 <= step <= self.job.job.steps:
            raise ValueError(f"replay: got step {step}, want 0 to {self.job.job.steps}")
        saved = max((s for s in self.run.checkpoints() if s <= step), default=0) if self.run else 0
        if self._at is None or not saved <= int(self._at["step"]) <= step:
            self._at = self._load(saved)
        return self._forward(self._at, step)

    def _forward(self, state: dict[str, Any], step: int) -> dict[str, Any]:
        """The state after `step` steps, every step between computed."""
        while int(state["step"]) < step:
            state = next_state(self.program, state, self._executor.advance(self.job.step_inputs(state)))
        self._at = state
        return dict(state)

    def _load(self, step: int) -> dict[str, Array]:
        state = read_state(self.job, self.run, step, self._backend)
        logged = self.run.roots().get(step) if self.run else None
        root = self._hasher.commit(state).root
        if logged is not None and root != logged:
            raise ValueError(f"replay: checkpoint {step} has root {root.hex()}, the run logged {logged.hex()}")
        return state

    def commitment(self, step: int) -> StateCommitment:
        """The commitment to the state after `step` steps."""
        return self._hasher.commit(self._reach(step))

    def roots(self, steps: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """(steps done, state root) after ascending numbers of steps; no other state is hashed. Only the first may come
        from a checkpoint: the steps between are computed, even where the run has a checkpoint of its own."""
        state = self._reach(steps[0])
        for step in steps:
            state = self._forward(state, step)
            yield step, self._hasher.commit(state).root

    def step_trace(self, step: int) -> StepTrace:
        """The trace of step number `step`, which takes the state after `step` steps to the next."""
        roots: dict[int, bytes] = {}

        def hash_value(index: int, value: Callable[[], Array]) -> None:
            roots[index] = tensor_root(value(), self._backend, self._threads)

        after = self._go_through(step, hash_value)
        roots[len(self.entries) - 1] = self._hasher.commit(after).root
        return StepTrace(self.entries, tuple(roots[index] for index in range(len(self.entries))))

    def value(self, step: int, index: int) -> Array:
        """The array of an entry of a step's trace. The post-state entry has none: see `state_before(step + 1)`."""
        return self.values(step, [index])[index]

    def values(self, step: int, indices: Iterable[int]) -> dict[int, Array]:
        """The arrays of several entries of a step's trace, by index, from one pass."""
        wanted = set(indices)
        if wanted and not 0 <= min(wanted) <= max(wanted) < len(self.entries) - 1:
            raise ValueError(f"replay: got entries {sorted(wanted)}, want 0 to {len(self.entries) - 2}")
        if self._kept_step != step or len(self._kept) > MOST_KEPT:
            self._kept_step, self._kept = step, {}
        missing = wanted - self._kept.keys()

        def keep(index: int, value: Callable[[], Array]) -> None:
            if index in missing:
                self._kept[index] = value()

        if missing:
            self._go_through(step, keep)
        return {index: self._kept[index] for index in wanted}

    def operands(self, step: int, index: int) -> tuple[Array, ...]:
        """The operand arrays of a node entry, or the one operand of a scale entry, as the node reads them."""
        entry = self.entries[index]
        if entry.kind not in ("node", "scale"):
            raise ValueError(f"replay: entry {index} is a {entry.kind}, want a node or a scale")
        found: list[tuple[Array, ...]] = []

        def watch(number: int, operands: Sequence[Array], result: Array) -> None:
            if number == entry.number:
                found.append(tuple(operands if entry.kind == "node" else [operands[entry.operand]]))

        self._executor.advance(self.job.step_inputs(self._reach(step)), watch)
        return found[0]

    def _go_through(self, step: int, see: Callable[[int, Callable[[], Array]], None]) -> dict[str, Any]:
        """Run a step and show each entry's index and a way to its array; gives the post-state."""
        state, places = self._reach(step), entry_index(self.program)
        inputs = self.job.step_inputs(state)
        for number, value in enumerate(self.program.inputs):
            if value.role == "batch":
                see(places["batch", number, 0], partial(inputs.__getitem__, value.name))

        def watch(number: int, operands: Sequence[Array], result: Array) -> None:
            maxima = cache(partial(self._maxima, number, operands))
            place = places["node", number, 0]
            scales = scale_count(self.program, number)
            for which in range(scales):
                see(place - scales + which, lambda which=which: maxima()[which])  # type: ignore[misc]
            see(place, lambda: result)

        after = next_state(self.program, state, self._executor.advance(inputs, watch))
        slots = list(after.values())
        for index, entry in enumerate(self.entries):
            if entry.kind == "slot":
                see(index, partial(self._memory.get, slots[entry.number]))
        return after

    def _maxima(self, number: int, operands: Sequence[Array]) -> list[Array]:
        node = node_of(self.program, number)
        return load(self._backend).group_maxima(node.op, operands, node.attributes, self._threads)


def check(
    job_folder: JobFolder | str | Path,
    run_folder: RunFolder | str | Path,
    first: int,
    last: int,
    backend: str = "native",
    threads: int = 1,
) -> Difference | None:
    """The first logged root of the steps from first to last that a replay does not give; None where all agree.

    A ValueError where the run has no root in that range: nothing would be checked.
    """
    replay = Replay(job_folder, run_folder, backend, threads)
    assert replay.run is not None, "a run folder was given"
    logged = {step: root for step, root in replay.run.roots().items() if first <= step <= last}
    if not logged:
        raise ValueError(f"check: the run has no root from step {first} to {last}")
    for step, got in replay.roots(sorted({first, *logged})):
        if step in logged and got != logged[step]:
            return Difference(step, got, logged[step])
    return None
