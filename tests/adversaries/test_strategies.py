"""Whatever a liar does, an honest party that answers in time wins and never ends poorer (cases A, C, F, G, H, N)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.game.ledger import TREASURY
from protocol.game.messages import CommitChallenge, PlaceBid, RevealChallenge, challenge_seal
from protocol.game.rules import Refused
from protocol.game.types import ClaimStatus, JobStatus
from protocol.identity import Identity
from protocol.simulation.tactics import TACTICS, PlaysOn, StopsAnswering, Tactic, with_tactic
from tests.protocol.scene import FUNDS, Scene
from tests.protocol.toy import (
    OTHER,
    SOLVER,
    SUBMITTER,
    TERMS,
    THIRD,
    VERIFIER,
    ToyLaw,
    ToyTrace,
    digest,
)

LAWS = (ToyLaw(6, 3, 5), ToyLaw(4, 1, 9))
BOND, STAKE = TERMS.solver_bond, TERMS.challenge_bond


def lie(step: int = 2, entry: int = 1, text: bytes = b"lie") -> dict[tuple[int, int], bytes]:
    return {(step, entry): digest(text)}


def play(
    scene: Scene, solver: ToyTrace, *others: tuple[ToyTrace, object, Tactic], tactic: Tactic | None = None, **terms: int
):
    """Play one job to its very end; the first of the others objects first."""
    job = scene.post(solver.law, replace(TERMS, **terms))
    first = scene.solver(solver)
    if tactic is not None:
        first = with_tactic(first, tactic)
    scene.play(first)
    scene.after(TERMS.bid_period_s)
    players = [with_tactic(scene.verifier(trace, who), how) for trace, who, how in others]
    scene.play(first, *players)
    for _ in range(100):
        scene.after(20)
        scene.play(first, *players)
        if scene.state.jobs[job].status not in (JobStatus.RUNNING, JobStatus.CLOSING):
            break
    assert scene.coordinator.ledger.total == 10**9
    assert all(not item.open and item.amount == 0 for item in scene.coordinator.ledger.reserved.values())
    assert all(balance >= 0 for balance in scene.coordinator.ledger.balances.values())
    return scene.state.jobs[job]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("arity", [2, 4, 16])
@pytest.mark.parametrize("how", TACTICS)
def test_a_wrong_solver_loses_its_bond_to_one_honest_verifier(law: ToyLaw, arity: int, how: type[Tactic]) -> None:
    scene = Scene()
    job = play(scene, ToyTrace(law, lie()), (ToyTrace(law), VERIFIER, PlaysOn()), tactic=how(), arity=arity)
    assert job.status is JobStatus.REFUTED and scene.game.wrong == (True, False)
    assert scene.gain(SOLVER) == -BOND
    assert scene.gain(VERIFIER) == BOND // 2
    assert scene.balance_of(TREASURY) == BOND - BOND // 2
    assert scene.gain(SUBMITTER) == 0


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("arity", [2, 4, 16])
@pytest.mark.parametrize("how", TACTICS)
def test_a_wrong_verifier_loses_its_bond_to_an_honest_solver(law: ToyLaw, arity: int, how: type[Tactic]) -> None:
    scene = Scene()
    job = play(scene, ToyTrace(law), (ToyTrace(law, lie()), VERIFIER, how()), arity=arity)
    assert job.status is JobStatus.DONE and scene.game.wrong == (False, True)
    assert scene.gain(SOLVER) == TERMS.price + STAKE // 2
    assert scene.gain(VERIFIER) == -STAKE
    assert scene.gain(SUBMITTER) == -TERMS.price


@pytest.mark.parametrize("law", LAWS)
def test_an_unchallenged_right_claim_is_paid(law: ToyLaw) -> None:
    scene = Scene()
    job = play(scene, ToyTrace(law), (ToyTrace(law), VERIFIER, PlaysOn()))
    assert job.status is JobStatus.DONE and not scene.state.games
    assert scene.gain(SOLVER) == TERMS.price and scene.gain(VERIFIER) == 0


def test_an_unchallenged_wrong_claim_is_paid_too() -> None:
    """C2: the promise needs one honest verifier; without one, a wrong claim becomes final. Documented, not fixed."""
    scene = Scene()
    assert play(scene, ToyTrace(LAWS[0], lie())).status is JobStatus.DONE


@pytest.mark.parametrize("law", LAWS)
def test_two_liars_and_an_honest_verifier(law: ToyLaw) -> None:
    """N17: solver and one challenger are wrong in different ways; the honest challenger decides."""
    scene = Scene()
    liar = (ToyTrace(law, lie(text=b"other lie")), OTHER, PlaysOn())
    job = play(scene, ToyTrace(law, lie()), liar, (ToyTrace(law), VERIFIER, PlaysOn()))
    assert job.status is JobStatus.REFUTED
    assert scene.gain(VERIFIER) >= 0 and scene.gain(SUBMITTER) >= 0 and scene.gain(SOLVER) == -BOND
    assert scene.gain(OTHER) <= 0


@pytest.mark.parametrize("law", LAWS)
def test_two_liars_alone_are_both_named(law: ToyLaw) -> None:
    """Both wrong about the same entry: the claim is rejected, both bonds go to the treasury."""
    scene = Scene()
    job = play(scene, ToyTrace(law, lie()), (ToyTrace(law, lie(text=b"other lie")), OTHER, PlaysOn()))
    assert scene.game.wrong == (True, True) and job.status is JobStatus.REFUTED
    assert scene.balance_of(TREASURY) == BOND + STAKE and scene.gain(SUBMITTER) == 0


@pytest.mark.parametrize("count", [2, 8, 40])
def test_many_liars_do_not_wear_out_an_honest_solver(count: int) -> None:
    """F1, F7: every challenger is wrong in its own way; the solver answers all and earns half of every bond."""
    law, scene = LAWS[0], Scene()
    job = scene.post(law)
    solver = scene.solver(ToyTrace(law))
    scene.play(solver)
    scene.after(TERMS.bid_period_s)
    liars = []
    for number in range(count):
        who = Identity.of_key(bytes([1] * 31 + [number + 1]))
        scene.deposit(who, 1000)
        liars.append(scene.verifier(ToyTrace(law, lie(number % 6, number % 5, b"%d" % number)), who))
    scene.play(solver, *liars)
    scene.after(5000)
    assert scene.state.jobs[job].status is JobStatus.DONE
    bonds = [STAKE + TERMS.challenge_bond_rise * number for number in range(count)]
    assert scene.gain(SOLVER) >= TERMS.price + sum(STAKE // 2 for _ in bonds)
    rows = -(-(law.entries - 1).bit_length() // 2)
    assert len(solver.sent) <= 3 + count * (2 + 2 + rows + 1)


def test_both_silent_is_a_rejected_claim_and_nobodys_gain() -> None:
    """C11: both clocks run out at once."""
    scene = Scene()
    job = play(
        scene,
        ToyTrace(LAWS[0]),
        (ToyTrace(LAWS[0], lie()), VERIFIER, StopsAnswering()),
        tactic=StopsAnswering(),
    )
    assert scene.game.wrong == (True, True) and job.status is JobStatus.REFUTED
    assert scene.gain(SOLVER) == -BOND and scene.gain(VERIFIER) == -STAKE and scene.gain(SUBMITTER) == 0


def test_a_sham_challenge_does_not_launder_a_wrong_claim() -> None:
    """An accomplice challenges first and loses on purpose; the honest challenge still decides."""
    law, scene = LAWS[0], Scene()
    accomplice = (ToyTrace(law, lie(0, 0)), OTHER, StopsAnswering())
    job = play(scene, ToyTrace(law, lie()), accomplice, (ToyTrace(law), VERIFIER, PlaysOn()))
    assert job.status is JobStatus.REFUTED and scene.gain(VERIFIER) == BOND // 2


def test_challenging_oneself_costs_at_least_half_the_bond() -> None:
    """F9: solver and challenger are one person; the right challenge of the accomplice ends the claim."""
    law, scene = LAWS[0], Scene()
    play(scene, ToyTrace(law, lie()), (ToyTrace(law), OTHER, PlaysOn()))
    assert scene.gain(SOLVER) + scene.gain(OTHER) == -(BOND - BOND // 2)


def test_a_copied_challenge_that_is_played_faster_earns_nothing() -> None:
    """H13, F4: the copy is committed after the reveal; whoever said it first is paid when the copy wins."""
    law, scene = LAWS[0], Scene()
    job = scene.post(law)
    solver = scene.solver(ToyTrace(law, lie()))
    scene.play(solver)
    scene.after(TERMS.bid_period_s)
    scene.play(solver)
    (claim,) = scene.state.claims.values()
    slow, fast = scene.verifier(ToyTrace(law)), scene.verifier(ToyTrace(law), OTHER)
    index, root = slow.objection(claim, law.interval)
    for who in (slow, fast):
        salt = digest(who.address.encode())
        seal = challenge_seal(who.address, claim.id, index, root, salt)
        who.send(CommitChallenge(claim.id, seal), job)
        who.send(RevealChallenge(claim.id, index, root, salt), job)
    scene.play(solver, fast)
    won = next(game for game in scene.state.games.values() if game.wrong == (True, False))
    assert won.sides[1].party == fast.address
    assert scene.gain(VERIFIER) == BOND // 2 and scene.gain(OTHER) == 0


def test_a_challenger_that_never_reveals_pays_for_the_delay() -> None:
    scene = Scene()
    job = scene.post(LAWS[0])
    solver = scene.solver(ToyTrace(LAWS[0]))
    scene.play(solver)
    scene.after(TERMS.bid_period_s)
    scene.play(solver)
    (claim,) = scene.state.claims.values()
    scene.coordinator.advance(claim.ends - 1)
    scene.send(OTHER, CommitChallenge(claim.id, digest(b"nothing")), job)
    scene.coordinator.advance(claim.ends)
    assert scene.state.claims[claim.id].status is ClaimStatus.OPEN
    scene.after(TERMS.reveal_period_s)
    assert scene.state.claims[claim.id].status is ClaimStatus.FINAL
    assert scene.gain(OTHER) == -STAKE and scene.balance_of(TREASURY) == STAKE


def test_silence_loses_at_exactly_the_deadline_and_not_before() -> None:
    """C3: a move one second before the deadline counts, a move at the deadline does not."""
    for late in (0, 1):
        scene = Scene()
        job = scene.post(LAWS[0])
        solver, verifier = scene.solver(ToyTrace(LAWS[0], lie())), scene.verifier(ToyTrace(LAWS[0]))
        scene.play(solver)
        scene.after(TERMS.bid_period_s)
        scene.play(solver)
        (claim,) = scene.state.claims.values()
        index, root = verifier.objection(claim, LAWS[0].interval)
        seal = challenge_seal(verifier.address, claim.id, index, root, digest(b"s"))
        verifier.send(CommitChallenge(claim.id, seal), job)
        verifier.send(RevealChallenge(claim.id, index, root, digest(b"s")), job)
        due = scene.game.sides[0].due(TERMS)
        assert due == scene.now + TERMS.move_period_s
        verifier.send(verifier.move(scene.game), job, scene.game.id)
        move = solver.move(scene.game)
        scene.coordinator.advance(due - 1 + late)
        if late:
            assert scene.game.wrong == (True, False) and scene.game.reason == "silence"
            with pytest.raises(Refused):
                solver.send(move, job, scene.game.id)
        else:
            solver.send(move, job, scene.game.id)
            assert scene.game.open


def test_every_state_of_a_job_ends_by_time_alone() -> None:
    """A8: stop all players after any number of messages; time alone resolves every lock."""
    law = LAWS[0]
    for stop in range(20):
        scene = Scene()
        job = scene.post(law)
        players = [scene.solver(ToyTrace(law, lie())), scene.verifier(ToyTrace(law))]
        messages = 0
        while messages < stop:
            made = 0
            for player in players:
                own, left = player.next_messages, stop - messages
                if left > 0:
                    scene.coordinator.advance(scene.now + 1)
                    made += len(own())
                    messages += made
            if not made:
                scene.after(TERMS.bid_period_s)
                if scene.state.jobs[job].status not in (JobStatus.POSTED, JobStatus.RUNNING):
                    break
        scene.coordinator.advance(scene.now + 10**6)
        assert scene.state.jobs[job].status not in (JobStatus.POSTED, JobStatus.RUNNING, JobStatus.CLOSING)
        assert not scene.coordinator.ledger.locked(SOLVER.address) + scene.coordinator.ledger.locked(SUBMITTER.address)
        assert scene.coordinator.ledger.total == 10**9


def test_a_solver_that_stops_is_paid_for_what_is_final_and_the_rest_goes_back() -> None:
    law, scene = ToyLaw(10, 2, 3), Scene()

    class HalfDone(ToyTrace):
        def last_step(self) -> int:
            return 4

    job = play(scene, HalfDone(law))
    assert job.status is JobStatus.ABANDONED and job.final_to == 4
    paid, fee = TERMS.price * 4 // 10, TERMS.abandon_fee
    assert scene.gain(SOLVER) == paid - fee and scene.gain(SUBMITTER) == fee - paid


def test_the_lowest_bid_wins_and_the_earlier_of_equals() -> None:
    scene = Scene()
    job = scene.post(LAWS[0])
    for who, price in ((SOLVER, 900), (OTHER, 800), (THIRD, 800)):
        scene.send(who, PlaceBid(price, LAWS[0].interval), job)
    scene.after(TERMS.bid_period_s)
    assert scene.state.jobs[job].solver == OTHER.address and scene.state.jobs[job].price == 800
    assert scene.balance(SUBMITTER) == FUNDS - 800 and scene.balance(SOLVER) == FUNDS


def test_a_job_without_a_bid_is_void_and_refunded() -> None:
    scene = Scene()
    job = scene.post(LAWS[0])
    scene.after(TERMS.bid_period_s)
    assert scene.state.jobs[job].status is JobStatus.VOID and scene.gain(SUBMITTER) == 0


def test_a_refuted_claim_takes_the_later_ones_with_it_and_no_bond_but_the_solvers() -> None:
    law, scene = ToyLaw(8, 2, 3), Scene()
    job = play(scene, ToyTrace(law, lie(3, 0)), (ToyTrace(law), VERIFIER, PlaysOn()), segment=2)
    statuses = [scene.state.claims[key].status for key in job.claims]
    assert statuses == [ClaimStatus.VOID, ClaimStatus.REJECTED, ClaimStatus.VOID, ClaimStatus.VOID]
    assert scene.gain(VERIFIER) == BOND // 2 and scene.gain(SUBMITTER) == 0


def test_another_honest_verifier_goes_on_from_public_data_alone() -> None:
    """F3, J5, A14: the player is thrown away after every message and made again from its key and its trace."""
    law, scene = LAWS[0], Scene()
    job = scene.post(law)
    for _ in range(60):
        scene.coordinator.advance(scene.now + 5)
        for player in (scene.solver(ToyTrace(law, lie())), scene.verifier(ToyTrace(law))):
            player.next_messages()
    assert scene.state.jobs[job].status is JobStatus.REFUTED and scene.gain(VERIFIER) == BOND // 2
