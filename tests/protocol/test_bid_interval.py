"""The interval is the accepted bid's: claims, disputes and payments follow it, and nobody else measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.job import JobFolder
from engine.run import RunFolder
from engine.train import train
from protocol.claim_file import check_claim, claim_of
from protocol.game.levels import first_step
from protocol.game.messages import AcceptBid, CommitClaim, PlaceBid, PostJob, RevealClaim, claim_seal
from protocol.game.params import Params
from protocol.game.rules import Refused, Rule
from protocol.game.types import STEP, Claim, ClaimStatus, Job, State
from protocol.law import law_of
from protocol.play import local_dispute
from protocol.players.dishonest import MiscountingSolver, flips_one_bit, train_altered
from protocol.players.trace import ProgramTrace
from tests.engine.small_jobs import BACKEND, small_job
from tests.protocol.scene import Scene, duel
from tests.protocol.toy import OPERATOR, OTHER, SOLVER, SUBMITTER, TERMS, VERIFIER, ToyLaw, ToyTrace, digest

LAW = ToyLaw(12, 6, 9, is_open=True)
SALT = digest(b"salt")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """The small job of 12 steps, its interval left to the solver."""
    return small_job(tmp_path_factory.mktemp("job") / "job", interval="auto", max_interval=6)


def run_of(job: JobFolder, folder: Path, interval: int) -> Path:
    train(job, folder, BACKEND, interval=interval)
    return folder


def gradient_of_weight(job: JobFolder) -> int:
    """The second of three products: of no row that dropout may hide."""
    return [number for number, node in job.program.numbered_nodes() if node.op == "matmul"][1]


def claimed(job: JobFolder, run: Path | None, verifier: ProgramTrace) -> tuple[State, Job, Claim]:
    """The solver of a run bids, wins and claims; a verifier looks; time passes."""
    scene, trace = Scene(Params("isobit real", OPERATOR.address, law_of, supply=10**9)), ProgramTrace(job, run, BACKEND)
    scene.send(SUBMITTER, PostJob(TERMS, trace.job, trace.program_bytes, trace.data_bytes))
    scene.play(solver := scene.solver(trace))
    scene.after(TERMS.bid_period_s)
    scene.play(solver, scene.verifier(verifier))
    scene.after(TERMS.challenge_period_s)
    ((claim,), (posted,)) = scene.state.claims.values(), scene.state.jobs.values()
    return scene.state, posted, claim


def test_solvers_that_measure_differently_claim_differently_and_both_are_right(job: JobFolder, tmp_path: Path) -> None:
    claims = []
    for interval, steps in ((2, range(0, 13, 2)), (5, [0, 5, 10, 12])):
        run = run_of(job, tmp_path / f"every {interval}", interval)
        own = ProgramTrace(job, run_of(job, tmp_path / f"verifier of {interval}", 3), BACKEND)
        for verifier in (ProgramTrace(job, None, BACKEND), own):
            state, posted, claim = claimed(job, run, verifier)
            assert posted.interval == interval and not state.games
            assert claim.status is ClaimStatus.FINAL and posted.status.value == "done"
            assert claim.roots == tuple(verifier.state_root(step) for step in steps)
        claims.append(claim.roots)
        assert check_claim(job, claim_of(RunFolder(run)), 12, BACKEND, 1) is None
    assert len(claims[0]) != len(claims[1]) and claims[0][-1] == claims[1][-1]


def test_a_solver_without_a_run_measures_once_and_a_verifier_never(
    job: JobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [4]
    monkeypatch.setattr("protocol.players.trace.resolve", lambda *_: left.pop())
    _, posted, claim = claimed(job, None, ProgramTrace(job, None, BACKEND))
    assert not left and posted.interval == 4 and len(claim.roots) == 4


def test_a_solver_may_train_at_another_interval_than_it_bid(job: JobFolder, tmp_path: Path) -> None:
    """States that its run did not commit to follow from its checkpoints."""
    scene, trace = (
        Scene(Params("isobit real", OPERATOR.address, law_of, supply=10**9)),
        ProgramTrace(job, None, BACKEND),
    )
    posted = scene.send(SUBMITTER, PostJob(TERMS, trace.job, trace.program_bytes, trace.data_bytes)).id
    scene.send(SOLVER, PlaceBid(1000, 3), posted)
    scene.send(SUBMITTER, AcceptBid(SOLVER.address), posted)
    other = ProgramTrace(job, run_of(job, tmp_path / "run", 4), BACKEND)
    scene.play(scene.solver(other), scene.verifier(trace))
    (claim,) = scene.state.claims.values()
    assert claim.roots == tuple(trace.state_root(step) for step in range(0, 13, 3)) and not scene.state.games


@pytest.mark.parametrize("step", [0, 2, 7, 10])
@pytest.mark.parametrize("interval", [4, 5])
def test_a_lie_inside_an_interval_is_found_down_to_its_term(
    job: JobFolder, tmp_path: Path, interval: int, step: int
) -> None:
    flip = flips_one_bit(step, gradient_of_weight(job), bit=22)
    train_altered(job, tmp_path / "liar", flip, BACKEND, interval=interval)
    honest = run_of(job, tmp_path / "honest", 3)
    transcript = local_dispute(job, tmp_path / "liar", honest, backend=BACKEND, alter_a=flip, arity=2)
    (game,) = transcript.games
    assert [level.level for level in game.levels] == ["interval", "step", "node", "element"]
    first = game.levels[0]
    assert first.name == f"step {step}" and first.leaves == min(interval, 12 - step // interval * interval) + 1
    assert game.wrong == ("solver",) and "matmul" in game.referee and "term" in game.referee


def test_states_inside_an_interval_are_hashed_in_a_dispute_only(job: JobFolder, tmp_path: Path) -> None:
    hashed: list[int] = []

    class Counted(ProgramTrace):
        def _commit(self, state: Any) -> Any:
            hashed.append(int(state["step"]))
            return super()._commit(state)

    _, _, claim = claimed(job, run_of(job, tmp_path / "run", 5), Counted(job, None, BACKEND))
    assert claim.status is ClaimStatus.FINAL and hashed == [5, 10, 12]
    hashed.clear()
    flip = flips_one_bit(7, gradient_of_weight(job), bit=22)
    train_altered(job, tmp_path / "liar", flip, BACKEND, interval=5)
    state, _, _ = claimed_by_liar(job, tmp_path / "liar", flip, Counted(job, None, BACKEND))
    (game,) = state.games.values()
    assert game.wrong == (True, False) and game.step == 7 and game.interval == 5
    assert set(hashed) == {5, 6, 7, 8, 9, 10}, "those of the disputed interval, and no others"


def claimed_by_liar(job: JobFolder, run: Path, alter: Any, verifier: ProgramTrace) -> tuple[State, Job, Claim]:
    scene, trace = (
        Scene(Params("isobit real", OPERATOR.address, law_of, supply=10**9)),
        ProgramTrace(job, run, BACKEND, alter=alter),
    )
    scene.send(SUBMITTER, PostJob(TERMS, trace.job, trace.program_bytes, trace.data_bytes))
    scene.play(solver := scene.solver(trace))
    scene.after(TERMS.bid_period_s)
    scene.play(solver, scene.verifier(verifier))
    scene.settle()
    ((claim,), (posted,)) = scene.state.claims.values(), scene.state.jobs.values()
    return scene.state, posted, claim


def test_the_toy_job_is_disputed_at_every_interval_that_a_bid_may_name() -> None:
    for interval in range(1, 7):
        for step in range(12):
            scene = Scene()
            liar = ToyTrace(LAW, {(step, 3): digest(b"lie")}, interval=interval)
            duel(scene, liar, ToyTrace(LAW))
            game = scene.game
            assert (game.step, game.wrong) == (step, (True, False)), (interval, step)
            assert game.interval == min(interval, 12 - step // interval * interval)
            assert game.level > STEP and first_step(game) == game.index * interval


def running(scene: Scene, interval: int, law: ToyLaw = LAW) -> bytes:
    job = scene.post(law)
    scene.send(SOLVER, PlaceBid(1000, interval), job)
    scene.send(SUBMITTER, AcceptBid(SOLVER.address), job)
    return job


@pytest.mark.parametrize("signed, used", [(2, 3), (3, 2), (1, 6), (6, 1), (4, 6)])
def test_a_claim_of_another_interval_than_the_bid_is_refused(signed: int, used: int) -> None:
    scene, trace = Scene(), ToyTrace(LAW)
    job = running(scene, signed)
    shown = tuple(trace.state_root(min(step, 12)) for step in range(0, 12 + used, used))
    scene.send(SOLVER, CommitClaim(0, 12, claim_seal(SOLVER.address, job, 0, 12, shown, SALT)), job)
    before = scene.coordinator.state_hash()
    with pytest.raises(Refused) as refused:
        scene.send(SOLVER, RevealClaim(shown, SALT), job)
    assert refused.value.rule is Rule.CLAIM_LEAVES and scene.coordinator.state_hash() == before


@pytest.mark.parametrize("interval", [1, 2, 3, 4, 5])
def test_a_claim_with_the_states_of_another_interval_loses(interval: int) -> None:
    """As many leaves as the bid says, every one a right state of the run, and the last one the right end."""
    scene, trace = Scene(), ToyTrace(LAW, interval=interval)
    job = scene.post(LAW)
    solver = MiscountingSolver(scene.identity(SOLVER), scene.coordinator, trace=trace)
    scene.play(solver)
    scene.after(TERMS.bid_period_s)
    scene.play(solver, scene.verifier(ToyTrace(LAW, interval=6)))
    assert scene.state.jobs[job].interval == interval and len(scene.state.claims) == 1
    scene.settle()
    assert scene.state.jobs[job].status.value == "refuted" and scene.game.wrong == (True, False)
    assert scene.gain(SOLVER) == -TERMS.solver_bond and scene.gain(VERIFIER) == TERMS.solver_bond // 2
    assert scene.gain(SUBMITTER) == 0


def test_a_claim_ends_where_an_interval_of_the_bid_ends() -> None:
    scene = Scene()
    job = running(scene, 5)
    for last in (3, 6, 11):
        with pytest.raises(Refused, match="CLAIM_RANGE"):
            scene.send(SOLVER, CommitClaim(0, last, SALT), job)
    scene.send(SOLVER, CommitClaim(0, 10, SALT), job)


def test_a_segment_holds_the_longest_interval_that_a_bid_may_name() -> None:
    scene = Scene()
    for law in (LAW, replace(LAW, is_open=False)):
        with pytest.raises(Refused, match="a segment holds no interval of 6 steps"):
            scene.post(law, replace(TERMS, segment=5))
        scene.post(law, replace(TERMS, segment=6))
    scene.post(replace(LAW, steps=5), replace(TERMS, segment=5))


def test_the_interval_of_the_winning_bid_stays_as_it_was_signed(tmp_path: Path) -> None:
    """The lowest bid wins with its own interval; a bid cannot be made again; the log alone gives the same."""
    path = f"sqlite:///{tmp_path}/log.db"
    scene = Scene(path=path)
    job = scene.post(LAW)
    for who, price, interval in ((SOLVER, 900, 2), (OTHER, 800, 5)):
        scene.send(who, PlaceBid(price, interval), job)
        with pytest.raises(Refused, match="BID_ONCE"):
            scene.send(who, PlaceBid(price, interval + 1), job)
    scene.after(TERMS.bid_period_s)
    posted = scene.state.jobs[job]
    assert (posted.solver, posted.interval) == (OTHER.address, 5)
    with pytest.raises(Refused, match="JOB_POSTED"):
        scene.send(OTHER, PlaceBid(800, 6), job)
    held = scene.coordinator.state_hash()
    scene.coordinator.close()
    assert Scene(path=path).coordinator.state_hash() == held


def test_a_claim_file_of_no_interval_of_the_job_is_refused(job: JobFolder, tmp_path: Path) -> None:
    run = RunFolder(run_of(job, tmp_path / "run", 1))
    claim, roots = claim_of(run), run.roots()
    assert check_claim(job, claim, 12, BACKEND, 1) is None
    for steps in ((0, 1, 3), (0, 12), (1, 2, 3), (0, 4, 8, 11), (0, 2, 3)):
        few = replace(claim, steps=steps, roots=tuple(roots[step] for step in steps))
        with pytest.raises(ValueError, match="claim: holds the states after"):
            check_claim(job, few, 12, BACKEND, 1)
    for steps in ((0, 4, 8), (0, 5, 10, 12), (0, 6, 12)):
        few = replace(claim, steps=steps, roots=tuple(roots[step] for step in steps))
        assert check_claim(job, few, 12, BACKEND, 1) is None


def test_players_of_one_job_are_told_its_interval_by_the_game_alone() -> None:
    """A verifier's own run commits to other states, and its objection is about the bid's intervals."""
    scene = Scene()
    duel(scene, ToyTrace(LAW, {(7, 2): digest(b"lie")}, interval=4), ToyTrace(LAW, interval=3))
    assert (scene.game.index, scene.game.interval, scene.game.wrong) == (1, 4, (True, False))
