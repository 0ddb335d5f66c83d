"""The honest attester: buys tickets, commits to what its own run gives when it is drawn, and shows it in time."""

from __future__ import annotations

from protocol.game.attestation import TAKES_ATTESTERS, awaits_draw
from protocol.game.claims import claim_leaves
from protocol.game.jobs import NEVER, open_claims
from protocol.game.messages import CommitAttestation, Register, RevealAttestation, attestation_seal
from protocol.game.types import Job, Slot, claim_id
from protocol.players.player import Player
from protocol.players.trace import Trace
from protocol.service.receipts import Receipt


def roots_of(trace: Trace, interval: int, first: int, last: int) -> tuple[bytes, ...]:
    """The roots of a claim of steps [first, last) that a run gives."""
    steps = [min(first + index * interval, last) for index in range(claim_leaves(interval, first, last))]
    return tuple(trace.state_root(step) for step in steps)


class Attester(Player):
    """Attests claims of the jobs that its trace is of. tickets: how many it holds of each such job."""

    tickets = 1

    def attest(self, job: Job) -> list[Receipt]:
        """A ticket, a commitment or a reveal: whatever comes next."""
        return self._register(job) + self._commit_attestation(job) + self._reveal_attestations(job)

    def _register(self, job: Job) -> list[Receipt]:
        terms, now = job.terms, self.coordinator.now
        held = sum(ticket.attester == self.address for ticket in job.tickets)
        # Whoever attests must be able to object to every claim that waits, or it would lose by another's lie.
        needed = terms.attester_bond + 2 * terms.claims_ahead * terms.challenge_bond
        wanted = terms.attesters > 0 and held < self.tickets and job.status in TAKES_ATTESTERS and self.has_time(terms)
        if not wanted or job.deadline == NEVER or job.solver == self.address or awaits_draw(job, now):
            return []
        supported = self.trace.last_step() >= job.claimed_to and self.trace.state_root(job.claimed_to) == job.tip
        return [self.send(Register(), job.id)] if supported and self.coordinator.balance(self.address) >= needed else []

    def _commit_attestation(self, job: Job) -> list[Receipt]:
        sealed = job.sealed
        if sealed is None or self.coordinator.now >= sealed.opens or self.trace.last_step() < sealed.last:
            return []
        if not any(slot.seal is None for slot in self._own(sealed.slots)):
            return []
        _, seal, _ = self._attestation(job, sealed.first, sealed.last)
        return [self.send(CommitAttestation(sealed.first, seal), job.id)]

    def _reveal_attestations(self, job: Job) -> list[Receipt]:
        receipts = []
        for claim in open_claims(self.coordinator.state, job):
            own = self._own(claim.slots)
            if self.coordinator.now < claim.attested_by and any(slot.attested is None for slot in own):
                attested, seal, salt = self._attestation(job, claim.first, claim.last)
                if all(slot.seal == seal for slot in own):
                    receipts.append(self.send(RevealAttestation(claim.id, attested, salt), job.id))
        return receipts

    def _own(self, slots: tuple[Slot, ...]) -> list[Slot]:
        return [slot for slot in slots if slot.attester == self.address]

    def _attestation(self, job: Job, first: int, last: int) -> tuple[bytes, bytes, bytes]:
        """What the own run attests of steps [first, last), its commitment and its salt."""
        attested = claim_id(job.id, first, last, roots_of(self.trace, job.interval, first, last))
        salt = self.salt(b"attestation", job.id, first)
        return attested, attestation_seal(self.address, job.id, first, last, attested, salt), salt
