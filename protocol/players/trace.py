"""A party's own trace: the roots of its states and of the entries of any step, and the openings the referee needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.canonical import to_canonical
from engine.encoding import program_to_bytes
from engine.entries import Source
from engine.execute import Executor
from engine.job import JobFolder, next_state, open_job
from engine.merkle import LEAF_SIZE, inclusion_proof
from engine.run import RunFolder, open_run
from engine.state import StateCommitment, StateHasher, commit, leaf_hashes, tensor_root
from kernels import backends
from kernels.hashing import as_bytes
from kernels.types import NUMPY_DTYPE
from protocol.game.rows import Tree
from protocol.law import ProgramLaw, law_of, needs
from protocol.records import record_leaves

Array = np.ndarray
Alter = Callable[[int, int, Array], None]


class Trace(Protocol):
    """What a player must be able to say about its own run."""

    @property
    def job(self) -> bytes:
        """The canonical bytes of the job."""
        ...

    def last_step(self) -> int:
        """The number of steps that the run has done."""
        ...

    def state_root(self, step: int) -> bytes:
        """The root of the state before a step."""
        ...

    def entry_roots(self, step: int) -> Sequence[bytes]:
        """The root of every entry of a step."""
        ...

    def witness(self, step: int, entry: int, tree: Tree) -> bytes:
        """The openings of an entry. tree: over the step's entry leaves."""
        ...


class ProgramTrace:
    """The trace of a job folder, with a run folder for its committed roots and checkpoints, or computed from the start.

    alter: called as (step, node, result) for each result, which it may change: what a dishonest execution does
    """

    def __init__(
        self,
        job_folder: JobFolder | str | Path,
        run_folder: RunFolder | str | Path | None = None,
        backend: str = "native",
        threads: int = 1,
        alter: Alter | None = None,
    ) -> None:
        self.folder = job_folder if isinstance(job_folder, JobFolder) else open_job(job_folder, backend, threads)
        self.job: bytes = self.folder.job.to_bytes()
        self.program = self.folder.program
        self.run = run_folder if isinstance(run_folder, RunFolder | None) else open_run(run_folder, self.folder)
        self.backend, self.threads, self._alter = backend, threads, alter
        self._executor = Executor(self.program, backend, threads)
        self._hasher = StateHasher(backend, threads)
        self._roots: dict[int, bytes] = dict(self.run.roots()) if self.run is not None else {}
        self._entries: tuple[int, tuple[bytes, ...]] | None = None
        self.program_bytes = program_to_bytes(self.program)
        self._law = law_of(self.job, self.program_bytes)
        self._at = 0
        self._state = self._start()

    def _start(self) -> dict[str, Array]:
        state = self.folder.start_state(self.backend)
        if (int(state["step"]), int(state["seed"])) != (0, self.folder.job.seed):
            got = f"step {state['step']} and seed {state['seed']}"
            raise ValueError(f"trace: the start state is of {got}, want step 0 and seed {self.folder.job.seed}")
        self._roots[0] = self.folder.job.start
        return state

    def last_step(self) -> int:
        """The number of steps that the run has done; all of the job without a run folder."""
        return self.folder.job.steps if self.run is None else max(self.run.roots(), default=0)

    def state_root(self, step: int) -> bytes:
        """The root of the state before a step: from the run's log, or computed."""
        if step not in self._roots and self.run is not None:
            self._roots.update(self.run.roots())
        if step not in self._roots:
            self._roots[step] = self._commit(self.state_before(step)).root
        return self._roots[step]

    def _commit(self, state: dict[str, Array]) -> StateCommitment:
        return self._hasher.commit(state)

    def state_before(self, step: int) -> dict[str, Array]:
        """The arrays of the state before a step, from the nearest state or checkpoint before it."""
        if self._at > step:
            self._at, self._state = 0, self._start()
        self._nearest_checkpoint(step)
        while self._at < step:
            self._state = self._step(self._at, self._state, None)
            self._at += 1
            if self._at not in self._roots:
                self._roots[self._at] = self._commit(self._state).root
        return self._state

    def _nearest_checkpoint(self, step: int) -> None:
        stored = (
            [number for number in self.run.checkpoints() if self._at < number <= step] if self.run is not None else []
        )
        if stored:
            assert self.run is not None, "only a run has checkpoints"
            store = self.run.store
            self._at, self._state = max(stored), store.read_arrays(store.read_manifest(max(stored)), self.backend)

    def _step(self, step: int, state: dict[str, Array], watch: Any) -> dict[str, Array]:
        """The state after a step. watch: as Executor.step's."""

        def seen(node: int, operands: Sequence[Array], result: Array) -> None:
            if self._alter is not None:
                self._alter(step, node, result)
            if watch is not None:
                watch(node, operands, result)

        needed = watch is not None or self._alter is not None
        outputs = self._executor.step(self.folder.step_inputs(state), seen if needed else None)
        return next_state(self.program, state, outputs)

    @property
    def law(self) -> ProgramLaw:
        """The law of the trace's job."""
        return self._law

    def entry_roots(self, step: int) -> tuple[bytes, ...]:
        """The root of every entry of a step, by running it again."""
        if self._entries is None or self._entries[0] != step:
            arrays: dict[tuple[str, int, int], bytes] = {}
            state = self._traced(step, lambda key, array: arrays.update({key: self._tensor_root(array)}))
            found = [arrays[e.kind, e.number, e.operand] for e in self.law.table[:-1]]
            self._entries = step, (*found, self._commit(state).root)
        return self._entries[1]

    def _tensor_root(self, array: Array) -> bytes:
        return tensor_root(array, self.backend, self.threads)

    def _traced(self, step: int, take: Callable[[tuple[str, int, int], Array], None]) -> dict[str, Array]:
        """Run a step and hand over every entry's array as (kind, number, operand); gives the state after it."""
        state = self.state_before(step)
        inputs = self.folder.step_inputs(state)
        for number, value in enumerate(self.program.inputs):
            if value.role == "batch":
                take(("batch", number, 0), inputs[value.name])
        scaled = {(e.number, e.operand) for e in self.law.table if e.kind == "scale"}
        backend = backends.load(self.backend)

        def watch(number: int, operands: Sequence[Array], result: Array) -> None:
            wanted = [operand for operand in range(len(operands)) if (number, operand) in scaled]
            if wanted:
                node = self.program.nodes[number - self.program.first_node]
                maxima = backend.group_maxima(node.op, operands, node.attributes, self.threads)
                for operand, array in zip(wanted, maxima, strict=True):
                    take(("scale", number, operand), array)
            take(("node", number, 0), result)

        return self._step(step, state, watch)

    def witness(self, step: int, entry: int, tree: Tree) -> bytes:
        """The openings of an entry from this party's own run."""
        item = self.law.table[entry]
        if item.kind == "batch":
            return self._records(step, self.program.inputs[item.number].name)
        wanted, roots = needs(self.program, item), self.entry_roots(step)
        arrays = self._arrays(step, [need.source for need in wanted if need.whole])
        commitment = commit(self.state_before(step), self.backend, self.threads)
        openings: list[Any] = []
        for need in wanted:
            kind, index = need.source.kind, need.source.index
            if kind == "schedule":
                openings.append(self._schedule(need.source, step))
                continue
            root = commitment.slots[index].root if kind == "state" else roots[index]
            data = bytes(as_bytes(arrays[kind, index])) if need.whole else root
            proof = inclusion_proof(commitment.hashes, index) if kind == "state" else tree.proof(index)
            openings.append([data, list(proof)])
        return to_canonical(openings)

    def _arrays(self, step: int, wanted: list[Source]) -> dict[tuple[str, int], Array]:
        """The arrays of sources, as (kind, index)."""
        state, table, found = self.state_before(step), self.law.table, {}
        for source in wanted:
            if source.kind == "state":
                found["state", source.index] = state[self.law.slots[source.index][0]]
        entries = {(table[s.index].kind, table[s.index].number, 0): s for s in wanted if s.kind in ("entry", "batch")}

        def take(key: tuple[str, int, int], array: Array) -> None:
            if key in entries:
                found[entries[key].kind, entries[key].index] = array.copy()

        if entries:
            self._traced(step, take)
        return found

    def _schedule(self, source: Source, step: int) -> list[Any]:
        name = self.program.inputs_of("schedule")[source.index].name
        array, commitment = self.folder.schedule[name], commit(self.folder.schedule, self.backend)
        index, slot, proof = commitment.opening(name)
        leaf = step * NUMPY_DTYPE[slot.type.dtype].itemsize // LEAF_SIZE
        data = bytes(as_bytes(array)[leaf * LEAF_SIZE : (leaf + 1) * LEAF_SIZE])
        assert index == source.index, "a schedule stands in the order of the program's inputs"
        return [slot.root, list(proof), data, list(inclusion_proof(leaf_hashes(array, self.backend), leaf))]

    def _records(self, step: int, name: str) -> bytes:
        """The records of a batch input: the fields, and each leaf that the records lie in."""
        dataset = self.folder.dataset
        field, data = dataset.field(name), as_bytes(dataset.arrays[name])
        tree = Tree(leaf_hashes(dataset.arrays[name], self.backend))
        leaves = record_leaves(field, self.folder.job, step)
        opened = [[bytes(data[i * LEAF_SIZE : (i + 1) * LEAF_SIZE]), list(tree.proof(i))] for i in leaves]
        return to_canonical([[field.to_list() for field in dataset.fields], opened])
