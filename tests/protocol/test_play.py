"""Disputes about a real program: the first wrong entry is found, computed again, and its owner pays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.job import JobFolder
from engine.train import train
from protocol.play import local_dispute
from protocol.players.dishonest import flips_one_bit, node_of_weight, train_altered
from protocol.players.trace import ProgramTrace
from protocol.transcript import Transcript
from tests.engine.small_jobs import BACKEND, small_job
from tests.protocol.scene import real_duel


@pytest.fixture(scope="module", params=[1, 4, 5], ids=lambda interval: f"interval {interval}")
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    return small_job(tmp_path_factory.mktemp("job") / "job", interval=request.param)


@pytest.fixture(scope="module")
def honest_run(job: JobFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest") / "run"
    train(job, folder, BACKEND)
    return folder


def named(transcript: Transcript, name: str) -> int:
    """What the party of a name has more, or less."""
    (address,) = [address for address, known in transcript.names.items() if known == name]
    return transcript.payouts[address]


def altered_run(job: JobFolder, folder: Path, step: int, node: int) -> Path:
    train_altered(job, folder, flips_one_bit(step, node), BACKEND, checkpoint_every=job.job.interval)
    return folder


@pytest.mark.parametrize("step", [0, 4, 6, 11])
def test_a_flipped_bit_of_a_weight_is_found_and_slashed(
    job: JobFolder, honest_run: Path, tmp_path: Path, step: int
) -> None:
    node = node_of_weight(job.program)
    wrong = altered_run(job, tmp_path / "run", step, node)
    flip = flips_one_bit(step, node)
    transcript = local_dispute(job, wrong, honest_run, backend=BACKEND, alter_a=flip, arity=4)
    (game,) = transcript.games
    assert game.wrong == ("solver",)
    assert game.referee.startswith(f"node %{node} = ")
    assert f"step {step}" in [level.name for level in game.levels]
    assert transcript.payouts[game.solver] == -50_000 and transcript.payouts[game.challenger] == 25_000
    assert named(transcript, "submitter") == 0 and transcript.payouts["treasury"] == 25_000
    assert set(transcript.claims.values()) == {"rejected"}


@pytest.mark.parametrize("step", [0, 7])
def test_a_verifier_that_flips_a_bit_loses_to_an_honest_solver(
    job: JobFolder, honest_run: Path, tmp_path: Path, step: int
) -> None:
    node = node_of_weight(job.program, "weight")
    wrong = altered_run(job, tmp_path / "run", step, node)
    transcript = local_dispute(job, honest_run, wrong, backend=BACKEND, alter_b=flips_one_bit(step, node))
    (game,) = transcript.games
    assert game.wrong == ("challenger",)
    assert transcript.payouts[game.challenger] == -10_000 and transcript.payouts[game.solver] == 105_000
    assert named(transcript, "submitter") == -100_000 and transcript.payouts["treasury"] == 5_000
    assert set(transcript.claims.values()) == {"final"}


def test_equal_runs_are_not_disputed(job: JobFolder, honest_run: Path) -> None:
    transcript = local_dispute(job, honest_run, honest_run, backend=BACKEND)
    assert not transcript.disputed and set(transcript.claims.values()) == {"final"}
    paid = [named(transcript, name) for name in ("submitter", "solver", "verifier")]
    assert paid == [-100_000, 100_000, 0] and sum(transcript.payouts.values()) == 0


def test_runs_are_disputed_as_far_as_both_have_come(job: JobFolder, honest_run: Path, tmp_path: Path) -> None:
    train(job, tmp_path / "none", BACKEND, until=0)
    with pytest.raises(ValueError, match=r"\[0, 12\] committed steps"):
        local_dispute(job, tmp_path / "none", honest_run, backend=BACKEND)
    train(job, tmp_path / "half", BACKEND, until=job.job.interval)
    assert not local_dispute(job, tmp_path / "half", honest_run, backend=BACKEND).disputed


def test_a_run_that_cannot_be_run_again_to_its_own_roots_loses_by_silence(
    job: JobFolder, honest_run: Path, tmp_path: Path
) -> None:
    wrong = altered_run(job, tmp_path / "run", 5, node_of_weight(job.program))
    transcript = local_dispute(job, wrong, honest_run, backend=BACKEND)
    (game,) = transcript.games
    assert (game.wrong, game.reason) == (("solver",), "silence")


def test_every_entry_of_a_step_can_be_the_one_that_is_disputed(job: JobFolder) -> None:
    """One flipped bit in the result of any node that reaches the state ends at that node, for both roles."""

    trace = ProgramTrace(job, None, BACKEND)
    honest, reached = trace.state_root(job.job.interval), 0
    for entry in trace.law.table:
        if entry.kind == "node" and entry.type is not None and entry.type.dtype == "float32":
            flip = flips_one_bit(0, entry.number, bit=30)
            liar = ProgramTrace(job, None, BACKEND, alter=flip)
            if liar.state_root(job.job.interval) == honest:
                continue
            reached += 1
            for roles in ((liar, trace), (trace, liar)):
                game = real_duel(*roles)
                assert trace.law.table[game.entry].number == entry.number, trace.law.name(game.entry)
                assert game.wrong == (roles[0] is liar, roles[1] is liar)
    assert reached >= 5


def bent(array: np.ndarray) -> np.ndarray:
    """The array with the lowest bit of its last element flipped."""
    changed = array.copy()
    changed.reshape(-1).view(np.uint8)[-array.itemsize] ^= 1
    return changed


class Patched(ProgramTrace):
    """A run whose commitment to one entry of one step is bent, and whose first slot is, from that step on."""

    def __init__(self, job: JobFolder, step: int, entry: int) -> None:
        super().__init__(job, None, BACKEND, alter=lambda step, node, result: None)
        item = self.law.table[entry]
        self.patched = step, (item.kind, item.number, item.operand)

    def _step(self, step: int, state: dict[str, np.ndarray], watch: Any) -> dict[str, np.ndarray]:
        after = super()._step(step, state, watch)
        first = next(iter(after))
        return {**after, first: bent(after[first])} if step == self.patched[0] else after

    def _traced(self, step: int, take: Any) -> dict[str, np.ndarray] | None:
        def bend(key: tuple[str, int, int], array: np.ndarray) -> None:
            take(key, bent(array) if (step, key) == self.patched else array)

        return super()._traced(step, bend)


def test_a_lie_about_any_entry_ends_there(job: JobFolder) -> None:
    """Batch, scale, node, slot and state entries alike (D1, E10, N2): the game ends there and the liar is named."""
    honest = ProgramTrace(job, None, BACKEND)
    for entry in range(honest.law.entries):
        step = entry % 3
        liar = Patched(job, step, entry)
        for roles in ((liar, honest), (honest, liar)):
            game = real_duel(*roles)
            assert (game.step, game.entry) == (step, entry), honest.law.name(entry)
            assert game.wrong == (roles[0] is liar, roles[1] is liar), (honest.law.name(entry), game.reason)


@pytest.mark.parametrize("step", [0, 4, 6, 11])
def test_the_honest_side_runs_one_interval_and_two_steps_at_most(
    job: JobFolder, honest_run: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step is run again but the disputed one: for its trace, and for what is opened of it."""
    runs: list[int] = []
    liar = ProgramTrace(job, None, BACKEND, alter=flips_one_bit(step, node_of_weight(job.program)))
    honest = ProgramTrace(job, honest_run, BACKEND)
    counted = honest._executor.step
    monkeypatch.setattr(honest._executor, "step", lambda *given: runs.append(1) or counted(*given))
    for roles in ((liar, honest), (honest, liar)):
        before = len(runs)
        game = real_duel(*roles)
        assert game.step == step and game.wrong == (roles[0] is liar, roles[1] is liar)
        interval = job.job.interval
        replayed = interval if interval > 1 else 0
        since_checkpoint = step // interval * interval
        assert len(runs) - before <= since_checkpoint + replayed + 2
