"""Blind attestation as it is played: who is drawn, who is paid, who loses a bond, and what nobody gains by trying."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.game.ledger import TREASURY
from protocol.game.messages import (
    AcceptBid,
    CommitAttestation,
    PlaceBid,
    Register,
    RevealAttestation,
)
from protocol.game.rules import Refused
from protocol.game.tickets import draw
from protocol.game.types import JobStatus, Ticket
from tests.protocol.attesting import (
    ATTESTED,
    BOND,
    FEE,
    LAW,
    SALT,
    TRUTH,
    WRONG,
    attestation,
    attester,
    claim_of,
    commit,
    drawn,
    ended,
    enrolled,
    job_of,
    shown,
)
from tests.protocol.scene import Scene
from tests.protocol.toy import OTHER, SOLVER, SUBMITTER, TERMS, VERIFIER, digest


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
