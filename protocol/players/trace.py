"""A party's own trace: the roots of its states and of the entries of any step, and the openings the referee needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine.canonical import to_canonical
from engine.encoding import program_to_bytes
from engine.entries import TraceEntry, entry_index, sources
from engine.execute import Executor, NodeFault
from engine.interval import resolve
from engine.job import JobFolder, next_state, open_job
from engine.merkle import inclusion_proof
from engine.run import RunFolder, open_run
from engine.state import StateCommitment, StateHasher, commit, tensor_root
from kernels import backends
from kernels.types import NUMPY_DTYPE
from protocol.law import ProgramLaw, law_of
from protocol.players.states import States
from protocol.players.tensors import Tensor
from protocol.referee.judge import FAULT_ROOT
from protocol.referee.question import Operand

Array = np.ndarray
Alter = Callable[[int, int, Array], None]
Take = Callable[[tuple[str, int, int], Array], None]


class Trace(Protocol):
    """What a player must be able to say about its own run."""

    @property
    def job(self) -> bytes:
        """The canonical bytes of the job."""
        ...

    def own_interval(self) -> int:
        """The steps between two commitments of the run: what its solver bids."""
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

    def slot_hashes(self, step: int) -> Sequence[bytes]:
        """The leaves of the state after a step."""
        ...

    def tensor(self, step: int, entry: int, operand: Operand | None = None) -> Tensor:
        """The array of an entry, or of an operand that a question about it reads."""
        ...

    def slot_proof(self, step: int, operand: Operand) -> tuple[bytes, ...]:
        """The proof of a slot of the state before a step, or of a schedule."""
        ...

    def fault(self, step: int) -> tuple[int, int] | None:
        """The entry of a step that has no value, and the lowest element (as the law counts it) that has none."""
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
        self._opened: tuple[int, int, dict[Any, Tensor]] | None = None
        self._fault: tuple[int, NodeFault] | None = None
        self.program_bytes = program_to_bytes(self.program)
        self.data_bytes = to_canonical([field.to_list() for field in self.folder.dataset.fields])
        self._law = law_of(self.job, self.program_bytes, self.data_bytes)
        self._states = States(self.folder, self.run, backend, self._advanced)
        self._roots[0] = self.folder.job.start

    def own_interval(self) -> int:
        """The steps between two commitments: the run's own; measured where there is none and the job leaves it open."""
        return self.run.interval if self.run is not None else resolve(self.folder, self.backend, self.threads)

    def last_step(self) -> int:
        """The number of steps that the run has done; all of the job without a run folder, or where it met a fault."""
        if self.run is None or self.run.fault() is not None:
            return self.folder.job.steps
        return max(self.run.roots(), default=0)

    def state_root(self, step: int) -> bytes:
        """The root of the state before a step: from the run's log, or computed."""
        if step not in self._roots and self.run is not None:
            self._roots.update(self.run.roots())
        if step not in self._roots and not self._is_after_fault(step):
            with suppress(NodeFault):
                self._roots[step] = self._commit(self.state_before(step)).root
        return FAULT_ROOT if self._is_after_fault(step) else self._roots[step]

    def _is_after_fault(self, step: int) -> bool:
        return self._fault is not None and step > self._fault[0]

    def _commit(self, state: dict[str, Array]) -> StateCommitment:
        return self._hasher.commit(state)

    def state_before(self, step: int) -> dict[str, Array]:
        """The arrays of the state before a step."""
        return self._states.before(step)

    def _advanced(self, step: int, state: dict[str, Array]) -> dict[str, Array]:
        """The state after a step; where there is none, that is noted."""
        try:
            return self._step(step, state, None)
        except NodeFault as fault:
            self._fault = step, fault
            raise

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
        if self._is_after_fault(step):
            return (FAULT_ROOT,) * self.law.entries
        if self._entries is None or self._entries[0] != step:
            roots: dict[tuple[str, int, int], bytes] = {}
            state = self._traced(step, lambda key, array: roots.update({key: self._tensor_root(array)}))
            found = [roots.get((e.kind, e.number, e.operand), FAULT_ROOT) for e in self.law.table[:-1]]
            self._entries = step, (*found, FAULT_ROOT if state is None else self._commit(state).root)
        return self._entries[1]

    def fault(self, step: int) -> tuple[int, int] | None:
        """The entry of a step that has no value, and the lowest element (as the law counts it) that has none."""
        if self._fault is None or self._fault[0] != step:
            return None
        return entry_index(self.program)["node", self._fault[1].node, 0], self._fault[1].element

    def _tensor_root(self, array: Array) -> bytes:
        return tensor_root(array, self.backend, self.threads)

    def _traced(self, step: int, take: Take) -> dict[str, Array] | None:
        """Run a step and hand over every entry's array as (kind, number, operand); gives the state after it.

        None where the program has no value for a node: then nothing is handed over from that node on.
        """
        state = self.state_before(step)
        inputs = self.folder.step_inputs(state)
        for number, value in enumerate(self.program.inputs):
            if value.role == "batch":
                take(("batch", number, 0), inputs[value.name])

        def watch(number: int, operands: Sequence[Array], result: Array) -> None:
            self._take_scales(number, operands, take)
            take(("node", number, 0), result)

        try:
            after = self._step(step, state, watch)
        except NodeFault as fault:
            self._fault = step, fault
            self._take_scales(fault.node, fault.operands, take)
            return None
        self._states.keep(step, state)
        self._states.keep(step + 1, after)
        slots = list(after.values())
        for entry in self.law.table:
            if entry.kind == "slot":
                take(("slot", entry.number, 0), slots[entry.number])
        return after

    def _take_scales(self, number: int, operands: Sequence[Array], take: Take) -> None:
        """Hand over the maxima of a node's operands that are quantised."""
        wanted = [
            operand for operand in range(len(operands)) if ("scale", number, operand) in entry_index(self.program)
        ]
        if wanted:
            node = self.program.nodes[number - self.program.first_node]
            maxima = backends.load(self.backend).group_maxima(node.op, operands, node.attributes, self.threads)
            for operand, array in zip(wanted, maxima, strict=True):
                take(("scale", number, operand), array)

    def slot_hashes(self, step: int) -> tuple[bytes, ...]:
        """The leaves of the state after a step."""
        return self._commit(self.state_before(step + 1)).hashes

    def slot_proof(self, step: int, operand: Operand) -> tuple[bytes, ...]:
        """The proof of a slot of the state before a step, or of a schedule."""
        if operand.anchor == self.folder.job.schedule:
            return inclusion_proof(commit(self.folder.schedule, self.backend).hashes, operand.index)
        return inclusion_proof(self._commit(self.state_before(step)).hashes, operand.index)

    def tensor(self, step: int, entry: int, operand: Operand | None = None) -> Tensor:
        """The array of an entry, or of an operand that a question about it reads: all from one run of the step."""
        if self._opened is None or self._opened[:2] != (step, entry):
            self._opened = step, entry, self._captured(step, entry)
        tensors = self._opened[2]
        if operand is None or operand.label == ():
            return tensors[("tensor", operand.anchor)] if operand is not None else tensors["own"]
        return tensors[(operand.kind, operand.anchor == self.folder.job.schedule, *operand.label)]

    def _captured(self, step: int, entry: int) -> dict[Any, Tensor]:
        """Everything that questions about an entry may read."""
        item, found = self.law.table[entry], dict[Any, Tensor]()
        keys = {(e.kind, e.number, e.operand) for e in self._read_by(entry)}

        def take(key: tuple[str, int, int], array: Array) -> None:
            if key in keys:
                found["entry", False, *key] = Tensor(array.copy(), self.backend)

        self._traced(step, take)
        for name, array in self.state_before(step).items():
            found["slot", False, name] = Tensor(array, self.backend)
        for name, array in self.folder.schedule.items():
            found["slot", True, name] = Tensor(array, self.backend)
        found.update({("tensor", root): tensor for root, tensor in self._known.items()})
        own = found.get(("entry", False, item.kind, item.number, item.operand))
        if own is not None:  # the post-state has no array, nor has an entry without a value
            found["own"] = found["tensor", own.tree.root] = own
        return found

    def _read_by(self, entry: int) -> list[TraceEntry]:
        """The entry itself, and those that its operands and scales are."""
        item, table = self.law.table[entry], self.law.table
        read = [source.index for source in sources(self.program, item) if source.kind in ("entry", "batch")]
        scales = [e for e in table if e.kind == "scale" and item.kind == "node" and e.number == item.number]
        return [item, *(table[index] for index in read), *scales]

    @cached_property
    def _known(self) -> dict[bytes, Tensor]:
        """The tensors that everybody knows by their roots: constants of the program, fields of the data set."""
        dataset = self.folder.dataset
        known = {field.root: Tensor(dataset.arrays[field.name], self.backend) for field in dataset.fields}
        for constant in self.program.constants:
            array = np.frombuffer(constant.data, NUMPY_DTYPE[constant.type.dtype]).reshape(constant.type.shape)
            known[self._tensor_root(array)] = Tensor(array, self.backend)
        return known
