"""Blind attestation: verifiers drawn by a beacon commit to their own roots before the solver shows its own."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from protocol.game import ledger, tickets
from protocol.game.claims import open_claim
from protocol.game.jobs import job_of
from protocol.game.messages import (
    AnchorBeacon,
    CommitAttestation,
    DrawAttesters,
    Message,
    Register,
    RevealAttestation,
    Unregister,
    attestation_seal,
)
from protocol.game.params import Params
from protocol.game.rules import Rule, require
from protocol.game.types import Claim, Job, JobStatus, Slot, State, Ticket

TAKES_ATTESTERS = (JobStatus.POSTED, JobStatus.RUNNING)


def register(state: State, message: Message, body: Register, now: int, params: Params) -> State:
    """A verifier buys a ticket: the more bonds, the more draws, whatever the number of keys."""
    job = job_of(state, message)
    require(job.terms.attesters and job.status in TAKES_ATTESTERS, Rule.ATTESTERS)
    require(message.sender != job.solver, Rule.ATTEST_SELF)
    require(not awaits_draw(job, now), Rule.POOL_FROZEN)
    books = ledger.reserve(state.ledger, job.ticket(job.issued), message.sender, job.terms.attester_bond)
    pool = (*job.tickets, Ticket(job.issued, message.sender))
    return replace(state.with_job(replace(job, tickets=pool, issued=job.issued + 1)), ledger=books)


def unregister(state: State, message: Message, body: Unregister, now: int, params: Params) -> State:
    """A ticket that is in no slot, nor accused, goes back."""
    job = job_of(state, message)
    ticket = Ticket(body.ticket, message.sender)
    require(ticket in job.tickets, Rule.TICKET_OWNER)
    require(job.status is not JobStatus.REFUTED, Rule.TICKET_FREE)
    require(ticket.number not in tickets.in_slots(state, job), Rule.TICKET_FREE)
    require(not awaits_draw(job, now), Rule.POOL_FROZEN)
    books = ledger.close(state.ledger, job.ticket(ticket.number))
    pool = tuple(item for item in job.tickets if item != ticket)
    return replace(state.with_job(replace(job, tickets=pool)), ledger=books)


def awaits_draw(job: Job, now: int) -> bool:
    """Whether a claim is committed and its attesters may still be drawn."""
    sealed, terms = job.sealed, job.terms
    waits = terms.attesters > 0 and sealed is not None and not sealed.drawn
    return waits and sealed is not None and now < sealed.opens - terms.attestation_period_s


def anchor_beacon(state: State, message: Message, body: AnchorBeacon, now: int, params: Params) -> State:
    """The operator fixes all links of a job's beacon before any claim is committed."""
    job = job_of(state, message)
    require(message.sender == params.operator, Rule.OPERATOR_ONLY)
    require(job.terms.attesters and job.status in TAKES_ATTESTERS, Rule.ATTESTERS)
    require(not job.beacon and job.sealed is None and not job.claims, Rule.BEACON_ANCHOR)
    return state.with_job(replace(job, beacon=body.anchor))


def draw_attesters(state: State, message: Message, body: DrawAttesters, now: int, params: Params) -> State:
    """The operator shows one more link, and it decides who attests the committed claim."""
    job = job_of(state, message)
    require(message.sender == params.operator, Rule.OPERATOR_ONLY)
    require(awaits_draw(job, now), Rule.DRAW_ONCE)
    require(hashlib.sha256(body.link).digest() == job.beacon, Rule.BEACON_LINK)
    assert job.sealed is not None, "it awaits a draw"
    busy = tickets.in_slots(state, job)
    pool = tuple(item for item in job.tickets if item.attester != job.solver and item.number not in busy)
    slots = tickets.draw(pool, job.terms.attesters, tickets.beacon_value(job, job.sealed, body.link))
    sealed = replace(job.sealed, slots=slots, drawn=True)
    return state.with_job(replace(job, sealed=sealed, beacon=body.link))


def commit_attestation(state: State, message: Message, body: CommitAttestation, now: int, params: Params) -> State:
    """A drawn attester commits to its own roots, for all its slots of the claim."""
    job = job_of(state, message)
    sealed = job.sealed
    require(sealed is not None and sealed.first == body.first and now < sealed.opens, Rule.ATTEST_PERIOD)
    assert sealed is not None, "required above"
    own = _own(sealed.slots, message.sender)
    require(all(slot.seal is None for slot in own), Rule.ATTEST_ONCE)
    slots = tuple(replace(slot, seal=body.commitment) if slot in own else slot for slot in sealed.slots)
    return state.with_job(replace(job, sealed=replace(sealed, slots=slots)))


def reveal_attestation(state: State, message: Message, body: RevealAttestation, now: int, params: Params) -> State:
    """An attester shows what it committed to; whether it was right is known when the claim is final or refuted."""
    job, claim = open_claim(state, message, body.claim)
    own = _own(claim.slots, message.sender)
    require(now < claim.attested_by, Rule.ATTEST_PERIOD)
    require(all(slot.attested is None for slot in own), Rule.ATTEST_ONCE)
    seal = attestation_seal(message.sender, job.id, claim.first, claim.last, body.attested, body.salt)
    require(all(slot.seal == seal for slot in own), Rule.ATTEST_REVEAL)
    slots = tuple(replace(slot, attested=body.attested) if slot in own else slot for slot in claim.slots)
    return state.with_claim(replace(claim, slots=slots))


def _own(slots: tuple[Slot, ...], attester: str) -> list[Slot]:
    own = [slot for slot in slots if slot.attester == attester]
    require(own, Rule.SLOT)
    return own


def drop_uncommitted(state: State, job: Job) -> State:
    """The time to commit is over: who was drawn and is silent loses its ticket, and the slot is gone."""
    assert job.sealed is not None, "only a committed claim has slots to fill"
    silent = [slot for slot in job.sealed.slots if slot.seal is None]
    slots = tuple(slot for slot in job.sealed.slots if slot.seal is not None)
    return tickets.lose(state, replace(job, sealed=replace(job.sealed, slots=slots)), silent)


def drop_unrevealed(state: State, claim: Claim) -> State:
    """The time to show attestations is over: who committed and is silent loses its ticket."""
    silent = [slot for slot in claim.slots if slot.attested is None]
    slots = tuple(slot for slot in claim.slots if slot.attested is not None)
    return tickets.lose(state.with_claim(replace(claim, slots=slots)), state.jobs[claim.job], silent)
