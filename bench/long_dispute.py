"""A dispute about one step of a run of any length: the disputed step is real, the states of all others are hashes."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.job import JobFolder, store_traced
from engine.trace import TracedJob, trace_job
from protocol.game.messages import Deposit, Open, PostJob
from protocol.game.params import Params
from protocol.identity import Identity
from protocol.law import law_of
from protocol.play import FUNDS, local_terms, play_dispute, simulated_clock
from protocol.players.dishonest import ForgingSolver, flips_one_bit, node_of_operator
from protocol.players.player import Player
from protocol.players.trace import ProgramTrace
from protocol.players.verifier import Verifier
from protocol.service.coordinator import Coordinator

ARITY, INTERVALS = 16, 1000
EXAMPLE = Path(__file__).parents[1] / "examples" / "gpt_text.py"


class LongTrace(ProgramTrace):
    """A run that stands, at the disputed step, in the job's start state. party: whose the later states are."""

    def __init__(self, job: JobFolder, step: int, party: bytes, alter: Any = None) -> None:
        super().__init__(job, None, "native", 1, alter)
        self.disputed, self.party, self.seconds, self.steps_run = step, party, 0.0, 0
        self._begin = {**self._states.before(0), "step": np.array(step, np.int64)}

    def last_step(self) -> int:
        return self.folder.job.steps

    def state_root(self, step: int) -> bytes:
        if step in (self.disputed, self.disputed + 1):
            if step not in self._roots:
                self._roots[step] = self._commit(self.state_before(step)).root
            return self._roots[step]
        if step == 0:
            return self.folder.job.start
        party = self.party if step > self.disputed else b"both"
        return hashlib.sha256(party + step.to_bytes(8, "big")).digest()

    def state_before(self, step: int) -> dict[str, np.ndarray]:
        if step == self.disputed:
            return self._begin
        assert step == self.disputed + 1, "only the disputed step is run"
        return self._step(self.disputed, self._begin, None)

    def _step(self, step: int, state: dict[str, np.ndarray], watch: Any) -> dict[str, np.ndarray]:
        self.steps_run += 1
        return super()._step(step, state, watch)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a dispute took. honest_s: seconds of the honest verifier; honest_steps: steps that it ran."""

    rounds: int
    messages: int
    wire_bytes: int
    claim_bytes: int
    witness_bytes: int
    honest_s: float
    honest_steps: int
    step_s: float


def long_job(steps: int) -> JobFolder:
    """The example GPT with so many steps, committed a thousand times."""
    settings = {"steps": steps, "interval": max(1, steps // INTERVALS)}
    folder = Path(tempfile.mkdtemp(prefix="isobit-bench-")) / "job"
    return store_traced(folder, trace_job(EXAMPLE, settings))


def stored(traced: TracedJob, steps: int) -> JobFolder:
    """A traced job for so many steps, whatever it was traced for: the numbers of its first step stand for all."""
    schedule = {name: np.full(steps, values[0], values.dtype) for name, values in traced.schedule.items()}
    long = replace(traced, steps=steps, interval=max(1, steps // INTERVALS), schedule=schedule)
    return store_traced(Path(tempfile.mkdtemp(prefix="isobit-bench-")) / "job", long)


def timed(player: Player, spent: list[float]) -> Player:
    """The same player, its own work measured."""
    act: Callable[[int], Any] = player.act

    def measured(now: int) -> Any:
        started = time.perf_counter()
        try:
            return act(now)
        finally:
            spent.append(time.perf_counter() - started)

    player.act = measured  # type: ignore[method-assign]
    return player


def dispute(job: JobFolder) -> Outcome:
    """The solver flips one bit of one product in the middle of the run; an honest verifier objects."""
    steps, law_steps = job.job.steps, job.job.steps * 5 // 8
    flip = flips_one_bit(law_steps, node_of_operator(job.program, "matmul"), element=5, bit=20)
    liar, honest = LongTrace(job, law_steps, b"liar", flip), LongTrace(job, law_steps, b"honest")
    operator, submitter, solver, verifier = (Identity.of_key(bytes([0] * 31 + [i])) for i in range(1, 5))
    coordinator = Coordinator("sqlite://", Params("isobit bench", operator.address, law_of))
    bank = Player(operator, coordinator, liar)
    for identity in (submitter, solver, verifier):
        bank.send(Deposit(identity.address, FUNDS))
    terms = local_terms(steps, ARITY)
    Player(submitter, coordinator, liar).send(PostJob(terms, liar.job, liar.program_bytes, liar.data_bytes))
    claimant = ForgingSolver(solver, coordinator, trace=liar)
    claimant.act(1)
    coordinator.advance(coordinator.now + terms.bid_period_s)
    spent: list[float] = []
    players = [claimant, timed(Verifier(verifier, coordinator, trace=honest), spent)]
    transcript = play_dispute(coordinator, players, simulated_clock(coordinator.now))
    (game,) = transcript.games
    assert game.wrong == ("solver",) and game.reason != "silence", str(transcript)
    wire = [message.bytes for message in transcript.messages]
    claim = sum(message.bytes for message in transcript.messages if message.kind == "RevealClaim")
    opened = [
        len(signed.message.body.witness)
        for player in players
        for signed in player.sent
        if isinstance(signed.message.body, Open)
    ]
    return Outcome(
        transcript.rounds, len(wire), sum(wire), claim, max(opened), sum(spent), honest.steps_run, step_seconds(honest)
    )


def step_seconds(trace: LongTrace) -> float:
    """A step of the job as a run does it."""
    started = time.perf_counter()
    trace._executor.step(trace.folder.step_inputs(trace._begin))
    return time.perf_counter() - started
