"""A program that has no value at some step: whoever claims one loses, and so does whoever says so without a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.job import JobFolder, open_job
from engine.train import train
from kernels.types import Fault
from protocol.game.messages import PostJob
from protocol.game.params import Params
from protocol.game.types import CHALLENGER, SOLVER, JobStatus, Stage
from protocol.law import law_of
from protocol.players.trace import ProgramTrace, Take
from protocol.referee.judge import FAULT_ROOT
from tests.engine.small_jobs import BACKEND, BATCH, RECORDS, ROWS, small_job, small_parts
from tests.protocol.scene import Scene, real_duel
from tests.protocol.toy import OPERATOR, SUBMITTER, TERMS
from tests.protocol.toy import SOLVER as SOLVER_PARTY


def faulty_job(folder: Path, interval: int, record: int = 4) -> JobFolder:
    """A job in which one record names a row that the table does not have."""
    fields = small_parts()["data_fields"]
    ids = fields["ids"].copy()
    ids[record] = ROWS + 2
    return small_job(folder, data_fields={**fields, "ids": ids}, interval=interval)


@pytest.fixture(scope="module", params=[1, 4], ids=lambda interval: f"interval {interval}")
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    return faulty_job(tmp_path_factory.mktemp("job") / "job", request.param)


def faulting_step(trace: ProgramTrace) -> int:
    """The first step after which there is no state."""
    return next(step for step in range(12) if trace.state_root(step + 1) == FAULT_ROOT)


class Clipped:
    """A job folder whose indices are cut to the table."""

    def __init__(self, folder: JobFolder) -> None:
        self._folder = folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._folder, name)

    def step_inputs(self, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = self._folder.step_inputs(state)
        return {**values, "ids": np.minimum(values["ids"], ROWS - 1)}


class ClaimsAValue(ProgramTrace):
    """Commits to the right batch, and computes on as if the index were the last row."""

    def __init__(self, job: JobFolder) -> None:
        super().__init__(job, None, BACKEND, alter=lambda step, node, result: None)
        self.honest, self.folder = job, Clipped(job)  # type: ignore[assignment]

    def _traced(self, step: int, take: Take) -> dict[str, np.ndarray] | None:
        ids = self.honest.step_inputs(self.state_before(step))["ids"]

        def committed(key: tuple[str, int, int], array: np.ndarray) -> None:
            take(key, ids if key[0] == "batch" and array.dtype == ids.dtype else array)

        return super()._traced(step, committed)


class SaysThereIsNone(ProgramTrace):
    """Says at one entry of one step that there is no value, and after it."""

    def __init__(self, job: JobFolder, step: int, entry: int) -> None:
        super().__init__(job, None, BACKEND, alter=lambda step, node, result: None)
        self.none = step, entry

    def state_root(self, step: int) -> bytes:
        return FAULT_ROOT if step > self.none[0] else super().state_root(step)

    def entry_roots(self, step: int) -> tuple[bytes, ...]:
        roots = super().entry_roots(step)
        if step != self.none[0]:
            return roots
        return (*roots[: self.none[1]], *(FAULT_ROOT,) * (self.law.entries - self.none[1]))


def test_a_faulting_program_has_no_state_from_there_on(job: JobFolder) -> None:
    trace = ProgramTrace(job, None, BACKEND)
    step = faulting_step(trace)
    assert 0 <= step < RECORDS // BATCH + 1
    assert all(trace.state_root(later) == FAULT_ROOT for later in range(step + 1, 13))
    roots = trace.entry_roots(step)
    first = roots.index(FAULT_ROOT)
    assert trace.law.node(first).op == "take_rows" and set(roots[first:]) == {FAULT_ROOT}
    assert set(trace.entry_roots(step + 1)) == {FAULT_ROOT}


def test_whoever_claims_a_value_where_there_is_none_loses(job: JobFolder) -> None:
    honest, liar = ProgramTrace(job, None, BACKEND), ClaimsAValue(job)
    step = faulting_step(honest)
    for roles in ((liar, honest), (honest, liar)):
        game = real_duel(*roles)
        assert (game.step, honest.law.node(game.entry).op) == (step, "take_rows")
        assert game.wrong == (roles[0] is liar, roles[1] is liar)
        assert game.stage is Stage.DONE and game.reason != "silence"


@pytest.mark.parametrize("later", [0, 1, 4])
def test_whoever_says_without_a_reason_that_there_is_no_value_loses(job: JobFolder, later: int) -> None:
    honest = ProgramTrace(small_job_like(job), None, BACKEND)
    liar = SaysThereIsNone(honest.folder, 2, 3 + later)
    for roles in ((liar, honest), (honest, liar)):
        game = real_duel(*roles)
        assert game.wrong == (roles[0] is liar, roles[1] is liar)
        assert game.sides[SOLVER].party != game.sides[CHALLENGER].party and (game.step, game.entry) == (2, 3 + later)


def small_job_like(job: JobFolder) -> JobFolder:
    """The same job with sound data."""
    folder = job.folder.parent / "sound"
    return open_job(folder, BACKEND) if folder.exists() else small_job(folder, interval=job.job.interval)


@pytest.mark.parametrize("ran", [False, True])
def test_a_job_that_faults_is_paid_up_to_there_and_ends(job: JobFolder, tmp_path: Path, ran: bool) -> None:
    """Nobody traps a solver with a job that cannot be finished: the fault is claimed, final, and the rest refunded."""
    if ran:
        with pytest.raises(Fault):
            train(job, tmp_path / "run", BACKEND)
    trace = ProgramTrace(job, tmp_path / "run" if ran else None, BACKEND)
    step, interval = faulting_step(ProgramTrace(job, None, BACKEND)), job.job.interval
    scene = Scene(Params("isobit real", OPERATOR.address, law_of, supply=10**9))
    posted = scene.send(SUBMITTER, PostJob(TERMS, trace.job, trace.program_bytes, trace.data_bytes)).id
    players = [scene.solver(trace), scene.verifier(ProgramTrace(job, None, BACKEND))]
    scene.play(players[0])
    scene.after(TERMS.bid_period_s)
    scene.play(*players)
    scene.after(TERMS.challenge_period_s)
    found = scene.state.jobs[posted]
    delivered = TERMS.price * (step // interval * interval) // job.job.steps
    assert found.status is JobStatus.FAULTED and not scene.state.games
    assert scene.gain(SOLVER_PARTY) == delivered and scene.gain(SUBMITTER) == -delivered
