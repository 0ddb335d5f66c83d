"""The operator's part in the game: it anchors a beacon for each job with attesters and shows one link a claim."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from protocol.game.attestation import TAKES_ATTESTERS, awaits_draw
from protocol.game.jobs import claims_at_most
from protocol.game.messages import AnchorBeacon, DrawAttesters
from protocol.game.params import Law
from protocol.game.types import Job
from protocol.players.client import Client
from protocol.service.receipts import Receipt


class Operator(Client):
    """Draws the attesters of every committed claim. Its links follow from its key, so it too may restart."""

    def next_messages(self) -> list[Receipt]:
        """An anchor or a link."""
        receipts = []
        for job in list(self.coordinator.state.jobs.values()):
            if job.terms.attesters and job.status in TAKES_ATTESTERS:
                receipts += self._on_job(job, self.coordinator.params.law_of(job.job, job.program, job.data))
        return receipts

    def _on_job(self, job: Job, law: Law) -> list[Receipt]:
        links = self._links(job, law)
        if not job.beacon and job.sealed is None and not job.claims:
            return [self.send(AnchorBeacon(links[-1]), job.id)]
        if awaits_draw(job, self.coordinator.now) and job.beacon in links[1:]:
            return [self.send(DrawAttesters(links[links.index(job.beacon) - 1]), job.id)]
        return []

    def _links(self, job: Job, law: Law) -> list[bytes]:
        """The last link first, the anchor last: one link for each claim that there can be."""
        return _chain(self.salt(b"beacon", job.id), claims_at_most(law))


@lru_cache(maxsize=8)
def _chain(seed: bytes, links: int) -> list[bytes]:
    """A seed and as many hashes, each of the one before."""
    chain = [seed]
    for _ in range(links):
        chain.append(hashlib.sha256(chain[-1]).digest())
    return chain
