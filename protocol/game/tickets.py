"""The bonds of attesters: which are drawn, which are lost, what a right attestation is paid, and what goes back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from engine.canonical import to_canonical
from protocol.game import ledger
from protocol.game.ledger import Ledger
from protocol.game.types import Claim, ClaimStatus, Job, Sealed, Slot, State, Ticket


def escrow_fees(books: Ledger, job: Job) -> Ledger:
    """Reserve what all attestations of a job can cost."""
    amount = job.terms.attesters * job.terms.attestation_fee
    return ledger.reserve(books, job.fees, job.submitter, amount) if amount else books


def beacon_value(job: Job, sealed: Sealed, link: bytes) -> bytes:
    """What decides a draw: the solver does not know the link when it commits, nor the operator the commitment."""
    head = ["beacon", job.id, sealed.first, sealed.last, sealed.commitment, link]
    return hashlib.sha256(to_canonical(head)).digest()


def draw(tickets: tuple[Ticket, ...], slots: int, value: bytes) -> tuple[Slot, ...]:
    """As many tickets as there are slots, each as likely as any other, none twice. Keys have no part in it."""
    left, drawn = list(tickets), []
    for number in range(min(slots, len(left))):
        digest = hashlib.sha256(to_canonical(["draw", value, number])).digest()
        ticket = left.pop(int.from_bytes(digest, "big") % len(left))
        drawn.append(Slot(ticket.number, ticket.attester))
    return tuple(drawn)


def in_slots(state: State, job: Job) -> set[int]:
    """The numbers of the tickets that an undecided slot holds."""
    slots = list(job.sealed.slots) if job.sealed is not None else []
    for key in job.claims:
        if state.claims[key].status is ClaimStatus.OPEN:
            slots += state.claims[key].slots
    return {slot.ticket for slot in slots}


def lose(state: State, job: Job, slots: Iterable[Slot], winners: tuple[str, ...] = ()) -> State:
    """The tickets of some slots are slashed, and are no longer in the pool."""
    books, lost = state.ledger, {slot.ticket for slot in slots}
    for number in sorted(lost):
        books = ledger.slash_among(books, job.ticket(number), winners)
    left = tuple(ticket for ticket in job.tickets if ticket.number not in lost)
    return replace(state.with_job(replace(job, tickets=left)), ledger=books)


def reward(state: State, job: Job, claim: Claim, steps: int) -> State:
    """A claim is final: who attested it is paid, who attested something else loses the ticket."""
    fee, books = job.terms.attestation_fee, state.ledger
    share = fee * claim.last // steps - fee * claim.first // steps
    for slot in claim.slots:
        if slot.attested == claim.id:
            books = ledger.pay(books, job.fees, slot.attester, share, "attestation")
    wrong = [slot for slot in claim.slots if slot.attested != claim.id]
    return lose(replace(state, ledger=books), job, wrong)


def release(state: State, job: Job, kept: frozenset[str] = frozenset()) -> State:
    """A job ends: the fees that are left and every ticket go back, but for those of attesters who stand accused."""
    books = state.ledger
    if job.terms.attesters:
        books = ledger.close(books, job.fees, "refund: fees")
    for ticket in job.tickets:
        if ticket.attester not in kept:
            books = ledger.close(books, job.ticket(ticket.number))
    left = tuple(ticket for ticket in job.tickets if ticket.attester in kept)
    return replace(state.with_job(replace(job, tickets=left)), ledger=books)
