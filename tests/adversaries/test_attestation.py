"""Blind attestation as it is played: who is paid, who loses a bond, and what nobody gains by trying."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.game.ledger import TREASURY
from protocol.game.messages import (
    AcceptBid,
    CommitAttestation,
    CommitChallenge,
    PlaceBid,
    Register,
    RevealAttestation,
    RevealChallenge,
    challenge_seal,
)
from protocol.game.rules import Refused
from protocol.game.tickets import draw
from protocol.game.types import JobStatus, Stage, Ticket
from protocol.game.whistleblowing import is_accusation
from protocol.identity import Identity
from protocol.players.verifier import Verifier
from tests.protocol.attesting import (
    ATTESTED,
    BOND,
    FEE,
    LAW,
    SALT,
    TRUTH,
    WRONG,
    Silent,
    attestation,
    attester,
    claim_of,
    commit,
    drawn,
    enrolled,
    job_of,
    shown,
)
from tests.protocol.scene import Scene
from tests.protocol.toy import OTHER, SOLVER, SUBMITTER, TERMS, THIRD, VERIFIER, ToyTrace, digest

FAR = 100_000


def ended(scene: Scene, *wanted: JobStatus) -> None:
    """Time decides the rest; money is where the rules put it, and none is left in a reservation."""
    scene.after(FAR)
    assert job_of(scene).status in wanted
    assert scene.coordinator.ledger.total == 10**9
    assert not any(held.open for held in scene.coordinator.ledger.reserved.values())


def objected(scene: Scene, who: Identity, index: int = 1, salt: bytes = SALT) -> RevealChallenge:
    """A committed challenge with the right root; its reveal is returned."""
    claim = claim_of(scene)
    root = TRUTH.state_root(4 * (index + 1))
    seal = challenge_seal(who.address, claim.id, index, root, salt)
    scene.send(who, CommitChallenge(claim.id, seal), claim.job)
    return RevealChallenge(claim.id, index, root, salt)


# draws


@pytest.mark.parametrize("slots", [1, 2, 5, 9])
def test_a_draw_does_not_ask_whose_a_ticket_is(slots: int) -> None:
    """The same tickets on one key or on seven are drawn alike, so that many keys gain nothing."""
    for number in range(200):
        value = digest(b"beacon", number)
        one = draw(tuple(Ticket(at, "0x1") for at in range(7)), slots, value)
        many = draw(tuple(Ticket(at, f"0x{at}") for at in range(7)), slots, value)
        assert [slot.ticket for slot in one] == [slot.ticket for slot in many]
        assert len({slot.ticket for slot in one}) == len(one) == min(slots, 7)


def test_every_ticket_is_drawn_as_often() -> None:
    """2 of 7 tickets in 7,000 draws: each 2,000 times, within 4 standard deviations (151)."""
    tickets, counts = tuple(Ticket(at, "0x1") for at in range(7)), [0] * 7
    for number in range(7000):
        for slot in draw(tickets, 2, digest(b"beacon", number)):
            counts[slot.ticket] += 1
    assert all(abs(count - 2000) <= 151 for count in counts), counts


def test_a_solver_does_not_draw_itself() -> None:
    """A ticket that it bought before its bid won has no part in the draws of its own claims."""
    scene = Scene()
    job = scene.post(LAW, ATTESTED)
    scene.send(SOLVER, Register(), job)
    scene.play(scene.operator())
    scene.send(SOLVER, PlaceBid(1000, LAW.interval), job)
    scene.send(SUBMITTER, AcceptBid(SOLVER.address), job)
    commit(scene, job)
    scene.play(scene.operator())
    sealed = job_of(scene).sealed
    assert sealed is not None and sealed.drawn and sealed.slots == ()


def test_one_ticket_holds_one_undecided_slot() -> None:
    scene = Scene()
    player = attester(scene, TRUTH)
    job = enrolled(scene, player, terms=replace(ATTESTED, segment=4))
    scene.play(scene.solver(TRUTH), scene.operator(), player)
    assert [len(scene.state.claims[key].slots) for key in scene.state.jobs[job].claims] == [1, 0, 0]


# payouts


def test_right_attestations_are_paid_and_the_rest_goes_back() -> None:
    scene = Scene()
    players = attester(scene, TRUTH), attester(scene, TRUTH, OTHER)
    shown(scene, *players)
    scene.play(*players)
    ended(scene, JobStatus.DONE)
    assert (scene.gain(VERIFIER), scene.gain(OTHER)) == (FEE, FEE)
    assert (scene.gain(SOLVER), scene.gain(SUBMITTER)) == (1000, -1000 - 2 * FEE)


def test_the_fees_of_slots_that_nobody_filled_go_back() -> None:
    scene = Scene()
    player = attester(scene, TRUTH)
    shown(scene, player)
    scene.play(player)
    ended(scene, JobStatus.DONE)
    assert (scene.gain(VERIFIER), scene.gain(SUBMITTER)) == (FEE, -1000 - FEE)


def test_many_segments_pay_the_fee_in_proportion_to_their_steps() -> None:
    scene = Scene()
    players = attester(scene, TRUTH, tickets=2), scene.solver(TRUTH), scene.operator()
    enrolled(scene, players[0], terms=replace(ATTESTED, segment=4, claims_ahead=1, attesters=1))
    for _ in range(20):
        scene.play(*players)
        scene.after(TERMS.challenge_period_s)
    ended(scene, JobStatus.DONE)
    assert (scene.gain(VERIFIER), scene.gain(SOLVER)) == (FEE, 1000)


def test_an_operator_that_draws_nobody_delays_and_changes_nothing_else() -> None:
    scene = Scene()
    job = enrolled(scene, attester(scene, TRUTH))
    reveal = commit(scene, job)
    scene.after(2 * ATTESTED.attestation_period_s)
    scene.send(SOLVER, reveal, job)
    ended(scene, JobStatus.DONE)
    assert (scene.gain(SOLVER), scene.gain(SUBMITTER), scene.gain(VERIFIER)) == (1000, -1000, 0)


def test_a_guess_loses_the_bond() -> None:
    scene = Scene()
    job, reveal = drawn(scene, attester(scene, TRUTH))
    body, guess = attestation(job, WRONG)
    scene.send(VERIFIER, body, job)
    scene.send(SOLVER, reveal, job)
    scene.send(VERIFIER, RevealAttestation(claim_of(scene).id, guess, SALT), job)
    ended(scene, JobStatus.DONE)
    assert (scene.gain(VERIFIER), scene.balance_of(TREASURY)) == (-BOND, BOND)


def test_a_copied_commitment_cannot_be_shown_and_loses_the_bond() -> None:
    scene = Scene()
    honest = attester(scene, TRUTH)
    job, reveal = drawn(scene, honest, attester(scene, TRUTH, OTHER))
    honest.act(scene.now)
    sealed = job_of(scene).sealed
    assert sealed is not None
    copied = next(slot.seal for slot in sealed.slots if slot.seal is not None)
    scene.send(OTHER, CommitAttestation(0, copied), job)
    scene.send(SOLVER, reveal, job)
    honest.act(scene.now)
    shown_by_honest = honest.sent[-1].message.body
    assert isinstance(shown_by_honest, RevealAttestation)
    with pytest.raises(Refused, match="ATTEST_REVEAL"):
        scene.send(OTHER, shown_by_honest, job)
    ended(scene, JobStatus.DONE)
    assert (scene.gain(VERIFIER), scene.gain(OTHER)) == (FEE, -BOND)


def test_silence_before_or_after_the_roots_are_shown_loses_the_bond() -> None:
    scene = Scene()
    job, reveal = drawn(scene, attester(scene, TRUTH), attester(scene, TRUTH, OTHER))
    scene.send(VERIFIER, attestation(job)[0], job)
    scene.after(2 * ATTESTED.attestation_period_s)
    assert [ticket.attester for ticket in job_of(scene).tickets] == [VERIFIER.address]
    scene.send(SOLVER, reveal, job)
    scene.after(ATTESTED.attestation_period_s)
    assert job_of(scene).tickets == ()
    ended(scene, JobStatus.DONE)
    assert (scene.gain(VERIFIER), scene.gain(OTHER), scene.balance_of(TREASURY)) == (-BOND, -BOND, 2 * BOND)


def test_a_solver_that_dislikes_its_draw_and_hides_its_roots_loses_its_bond() -> None:
    """Or it could commit again until it draws whom it likes."""
    scene = Scene()
    job, _ = drawn(scene, attester(scene, TRUTH), trace=WRONG)
    scene.send(VERIFIER, attestation(job)[0], job)
    ended(scene, JobStatus.ABANDONED)
    fee = TERMS.abandon_fee
    assert (scene.gain(SOLVER), scene.gain(SUBMITTER)) == (-TERMS.solver_bond, fee)
    assert (scene.gain(VERIFIER), scene.balance_of(TREASURY)) == (0, TERMS.solver_bond - fee)


def test_a_claim_committed_at_the_last_moment_is_still_held_to_its_reveal() -> None:
    """The end of the time for a claim does not take a commitment away whose draw the solver has seen."""
    scene = Scene()
    job = enrolled(scene, attester(scene, TRUTH))
    scene.coordinator.advance(job_of(scene).deadline - 1)
    commit(scene, job, WRONG)
    scene.after(5)
    assert job_of(scene).sealed is not None
    ended(scene, JobStatus.ABANDONED)
    assert scene.gain(SOLVER) == -TERMS.solver_bond


# whistleblowers


def colluding(scene: Scene, *others: Silent) -> bytes:
    """A wrong claim with two attestations of it, all shown."""
    liars = attester(scene, WRONG, OTHER), attester(scene, WRONG, THIRD)
    job = shown(scene, *liars, trace=WRONG)
    scene.play(*liars)
    assert [slot.attested for slot in claim_of(scene).slots] == [claim_of(scene).id] * 2
    return job


@pytest.mark.parametrize("defended", [False, True])
def test_a_whistleblower_earns_half_the_bonds_of_solver_and_attesters(defended: bool) -> None:
    scene = Scene()
    colluding(scene)
    liars = [scene.solver(WRONG), scene.verifier(WRONG, OTHER), scene.verifier(WRONG, THIRD)] if defended else []
    honest = scene.verifier(TRUTH)
    for _ in range(20):
        scene.play(honest, *liars)
        scene.after(TERMS.move_period_s - 10)
    games = list(scene.state.games.values())
    assert [is_accusation(scene.state, game) for game in games] == [False, True, True]
    assert all(game.wrong == (True, False) for game in games)
    ended(scene, JobStatus.REFUTED)
    assert scene.gain(VERIFIER) == TERMS.solver_bond // 2 + 2 * (BOND // 2)
    assert (scene.gain(SOLVER), scene.gain(OTHER), scene.gain(THIRD)) == (-TERMS.solver_bond, -BOND, -BOND)


def test_an_attester_of_a_right_claim_survives_its_solvers_silence() -> None:
    """A solver may lose a right claim on purpose to a friend: those who attested it defend themselves, and earn."""
    scene = Scene()
    honest = attester(scene, TRUTH)
    shown(scene, honest)
    scene.play(honest)
    friend = scene.verifier(WRONG, OTHER)
    for _ in range(20):
        scene.play(honest, friend)
        scene.after(TERMS.move_period_s - 10)
    ended(scene, JobStatus.REFUTED)
    accusation = next(game for game in scene.state.games.values() if is_accusation(scene.state, game))
    assert accusation.wrong == (False, True)
    assert scene.gain(VERIFIER) == TERMS.challenge_bond // 2
    assert scene.gain(SOLVER) + scene.gain(OTHER) < 0


def test_an_attester_of_the_truth_keeps_its_bond_when_the_claim_falls() -> None:
    scene = Scene()
    honest, liar = attester(scene, TRUTH), attester(scene, WRONG, OTHER)
    shown(scene, honest, liar, trace=WRONG)
    scene.play(honest, liar)
    whistleblower = scene.verifier(TRUTH, VERIFIER)
    for _ in range(20):
        scene.play(whistleblower)
        scene.after(TERMS.move_period_s - 10)
    ended(scene, JobStatus.REFUTED)
    assert scene.gain(VERIFIER) == TERMS.solver_bond // 2 + BOND // 2
    assert scene.gain(OTHER) == -BOND


def test_those_who_committed_before_the_first_reveal_share_and_a_copier_does_not() -> None:
    """Two challengers commit, one shows; a third copies what it showed and is the first to move."""
    scene = Scene()
    liar = attester(scene, WRONG, OTHER)
    shown(scene, liar, trace=WRONG)
    scene.play(liar)
    late = Identity.of_key(bytes([8] * 32))
    scene.deposit(late, 10_000)
    one, two = objected(scene, VERIFIER), objected(scene, THIRD)
    scene.send(VERIFIER, one, job_of(scene).id)
    three = objected(scene, late)
    scene.send(late, three, job_of(scene).id)
    scene.send(THIRD, two, job_of(scene).id)
    players = [scene.verifier(TRUTH, who) for who in (late, VERIFIER, THIRD)]
    for _ in range(20):
        scene.play(*players)
        scene.after(TERMS.move_period_s - 10)
    ended(scene, JobStatus.REFUTED)
    share = BOND // 2 // 2
    assert scene.gain(VERIFIER) == TERMS.solver_bond // 2 + share
    assert scene.gain(THIRD) == share
    assert scene.balance(late) == 10_000
    assert scene.gain(OTHER) == -BOND


def test_a_challenger_that_wins_by_a_friends_silence_lets_no_attester_off_for_the_others() -> None:
    """The solver concedes to a friend at once; the honest challenger still holds the claim against the attester."""
    scene = Scene()
    liar = attester(scene, WRONG, OTHER)
    job = shown(scene, liar, trace=WRONG)
    scene.play(liar)
    honest = scene.verifier(TRUTH)
    sham = RevealChallenge(claim_of(scene).id, 2, digest(b"sham"), SALT)
    seal = challenge_seal(THIRD.address, sham.claim, 2, sham.root, SALT)
    scene.send(THIRD, CommitChallenge(sham.claim, seal), job)
    scene.send(THIRD, sham, job)
    for _ in range(20):
        scene.play(honest)
        scene.after(TERMS.move_period_s - 10)
    ended(scene, JobStatus.REFUTED)
    assert scene.gain(VERIFIER) >= BOND // 2
    assert scene.gain(OTHER) == -BOND
    assert scene.gain(THIRD) <= 0


def test_accusing_oneself_costs_half_of_every_bond() -> None:
    """Solver, attester and challenger are one: what comes back is half, rounded down, of each bond."""
    scene = Scene()
    liar = attester(scene, WRONG, OTHER)
    shown(scene, liar, trace=WRONG)
    scene.play(liar)
    accomplice = scene.verifier(TRUTH, THIRD)
    for _ in range(20):
        scene.play(accomplice)
        scene.after(TERMS.move_period_s - 10)
    ended(scene, JobStatus.REFUTED)
    lost = TERMS.solver_bond - TERMS.solver_bond // 2 + BOND - BOND // 2
    assert scene.gain(SOLVER) + scene.gain(OTHER) + scene.gain(THIRD) == -lost
    assert scene.balance_of(TREASURY) == lost


# order, restarts


def test_claims_beside_a_refuted_one_are_void_and_their_attesters_keep_their_bonds() -> None:
    scene = Scene()
    terms = replace(ATTESTED, segment=4, attesters=1)
    liars = attester(scene, WRONG, OTHER, 3), scene.solver(WRONG), scene.operator()
    enrolled(scene, liars[0], terms=terms)
    for _ in range(3):
        scene.play(*liars)
        scene.after(1)
    claims = [scene.state.claims[key] for key in job_of(scene).claims]
    assert [len(claim.slots) for claim in claims] == [1, 1, 1]
    honest = scene.verifier(TRUTH)
    for _ in range(20):
        scene.play(honest, *liars)
        scene.after(TERMS.move_period_s - 10)
    ended(scene, JobStatus.REFUTED)
    assert [scene.state.claims[claim.id].status.value for claim in claims] == ["void", "rejected", "void"]
    assert scene.gain(OTHER) == -BOND
    assert scene.gain(VERIFIER) == TERMS.solver_bond // 2 + BOND // 2
    assert scene.gain(SOLVER) == -TERMS.solver_bond


def test_an_attester_and_the_operator_restart_at_every_message() -> None:
    """Whatever they need follows from the log, their keys and the attester's own run."""
    scene = Scene()
    enrolled(scene, anchored=False)
    for _ in range(60):
        for player in (scene.operator(), scene.verifier(TRUTH), scene.solver(TRUTH)):
            scene.coordinator.advance(scene.now + 1)
            player.next_messages()
    ended(scene, JobStatus.DONE)
    assert scene.gain(VERIFIER) == FEE


def test_another_of_the_same_key_does_not_attest_what_its_own_run_does_not_give() -> None:
    """A run that was altered after the commitment has nothing to show: it keeps silent and does not guess."""
    scene = Scene()
    player = attester(scene, TRUTH)
    shown(scene, player)
    other = attester(scene, WRONG)
    assert other.act(scene.now) == []


def test_a_challenger_alone_against_an_honest_attester_and_solver_loses() -> None:
    scene = Scene()
    honest = attester(scene, TRUTH)
    shown(scene, honest)
    players: list[Verifier] = [honest, scene.verifier(WRONG, OTHER)]
    for _ in range(20):
        scene.play(scene.solver(TRUTH), *players)
        scene.after(TERMS.move_period_s - 10)
    ended(scene, JobStatus.DONE)
    assert all(game.stage is Stage.DONE and game.wrong == (False, True) for game in scene.state.games.values())
    assert scene.gain(VERIFIER) == FEE
    assert scene.gain(OTHER) == -TERMS.challenge_bond
    assert isinstance(players[1].trace, ToyTrace)
