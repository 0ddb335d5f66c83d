"""Players that cheat, each named after what it does. Tests and the demonstration use them; an honest run never does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from engine.entries import source_of
from engine.execute import Executor
from engine.interval import resolve
from engine.job import JobFolder, next_state, open_job
from engine.program import Program
from engine.run import writing
from engine.state import StateHasher
from engine.store import Checkpoint
from protocol.game.claims import claim_leaves
from protocol.game.levels import question_of
from protocol.game.types import Game, Job
from protocol.identity import Identity
from protocol.players.player import Player
from protocol.players.solver import Solver
from protocol.players.trace import Alter, ProgramTrace
from protocol.players.verifier import Verifier
from protocol.referee.question import Question
from protocol.referee.sums import MAX_SUM, rounded
from protocol.service.coordinator import Coordinator

Array = np.ndarray


def flips_one_bit(step: int, node: int, element: int = 0, bit: int = 0) -> Alter:
    """One bit of one element of one node's result is flipped at one step; everything after is computed from it."""

    def alter(at_step: int, at_node: int, result: Array) -> None:
        if (at_step, at_node) == (step, node):
            flat = result.reshape(-1).view(np.uint8)
            assert np.shares_memory(flat, result), "a node's result is row-major, so the flip is seen by its readers"
            flat[element * result.itemsize + bit // 8] ^= np.uint8(1 << bit % 8)

    return alter


def node_of_weight(program: Program, name: str | None = None) -> int:
    """The node whose result becomes a state slot after the step: of this name, or of the first that a node writes."""
    for output in program.outputs_of("state"):
        source = source_of(program, output.value)
        if name in (None, output.name) and source.kind == "entry":
            return source.number
    raise ValueError(f"dishonest: no node of the program writes the slot {name!r}")


def node_of_operator(program: Program, op: str) -> int:
    """The last node of an operator: in a training step, of the gradients."""
    numbers = [number for number, node in program.numbered_nodes() if node.op == op]
    if numbers:
        return numbers[-1]
    raise ValueError(f"dishonest: the program has no node of {op!r}")


def train_altered(
    job_folder: JobFolder | str | Path,
    run_folder: str | Path,
    alter: Alter,
    backend: str = "native",
    threads: int = 1,
    checkpoint_every: int | None = None,
    interval: int | None = None,
) -> None:
    """A run folder like any other, of an execution that was altered on the way. interval: as of a run's train."""
    job = job_folder if isinstance(job_folder, JobFolder) else open_job(job_folder, backend, threads)
    every = checkpoint_every or job.job.steps
    executor, hasher = Executor(job.program, backend, threads), StateHasher(backend, threads)
    state = job.start_state(backend)
    with (
        writing(run_folder, job, lambda: resolve(job, backend, threads) if interval is None else interval) as run,
        closing(run.roots_log.open([])) as log,
    ):
        committed = frozenset(job.job.committed_steps(run.interval))
        log.write(0, hasher.commit(state).root)
        for step in range(job.job.steps):
            outputs = executor.step(job.step_inputs(state), partial(_altered, alter, step))
            state = next_state(job.program, state, outputs)
            if step + 1 in committed:
                commitment = hasher.commit(state)
                log.write(step + 1, commitment.root)
                if (step + 1) % every == 0 or step + 1 == job.job.steps:
                    checkpoint = Checkpoint(job.id, step + 1, commitment.slots, commitment.chunks)
                    run.store.write_checkpoint(checkpoint, state)
        log.sync()


def _altered(alter: Alter, step: int, node: int, operands: Sequence[Array], result: Array) -> None:
    alter(step, node, result)


class Forger(Player):
    """Plays on inside an element: bends one term so that the sum becomes what it claims, where any sum does."""

    bent = -1

    def _terms(self, game: Game) -> Sequence[int]:
        terms = super()._terms(game)
        question = question_of(self._law(game), game, game.side_of(self.address))
        claim = game.sides[game.side_of(self.address)].value
        assert claim is not None, "the game has come to an element"
        wanted = sum_that_becomes(question, claim)
        if wanted is None or rounded(question, sum(terms)) == claim:
            return terms
        changed = list(terms)
        changed[self.bent] += wanted - sum(terms)
        return changed


class ForgingSolver(Forger, Solver):
    """A solver that forges sums."""


class ForgingVerifier(Forger, Verifier):
    """A verifier that forges sums."""


class MiscountingSolver(Solver):
    """A solver whose claims hold as many states as its bid says, and those of another interval."""

    def _roots(self, job: Job, first: int, last: int) -> tuple[bytes, ...]:
        count = claim_leaves(job.interval, first, last)
        steps = [min(first + index * (job.interval + 1), last) for index in range(count)]
        return tuple(self.trace.state_root(step) for step in steps)


def sum_that_becomes(question: Question, claim: int) -> int | None:
    """An integer that rounds to a claimed pattern; None where none does."""
    base, *shifts = question.facts
    if question.dtype != "float32":
        total = claim - base
        return total if rounded(question, total) == claim else None
    value, start = (np.array([bits], np.uint32).view(np.float32).astype(np.float64)[0] for bits in (claim, base))
    if not np.isfinite(value - start):
        return None
    total = round(Fraction(value - start) * Fraction(2) ** sum(shifts))
    return total if abs(total) < MAX_SUM and rounded(question, total) == claim else None


def dishonest_solver(
    identity: Identity,
    coordinator: Coordinator,
    job_folder: JobFolder | str | Path,
    run_folder: str | Path | None,
    alter: Alter,
    backend: str = "native",
    threads: int = 1,
) -> Solver:
    """A solver that claims an altered run and can answer for it at every level."""
    trace = ProgramTrace(job_folder, run_folder, backend, threads, alter)
    return ForgingSolver(identity, coordinator, trace=trace)


def dishonest_verifier(
    identity: Identity,
    coordinator: Coordinator,
    job_folder: JobFolder | str | Path,
    alter: Alter,
    backend: str = "native",
    threads: int = 1,
) -> Verifier:
    """A verifier that challenges right claims with the roots of an altered run, and plays on to the end."""
    return ForgingVerifier(identity, coordinator, trace=ProgramTrace(job_folder, None, backend, threads, alter))
