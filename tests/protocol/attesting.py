"""Jobs with attesters, brought to the point that a test is about."""

from __future__ import annotations

from dataclasses import replace

from protocol.game.messages import (
    AcceptBid,
    CommitAttestation,
    CommitClaim,
    PlaceBid,
    RevealAttestation,
    RevealClaim,
    attestation_seal,
    claim_seal,
)
from protocol.game.params import Terms
from protocol.game.types import Claim, Job, JobStatus, Sealed, claim_id
from protocol.identity import Identity
from protocol.players.attester import roots_of
from protocol.players.verifier import Verifier
from tests.protocol.scene import Scene
from tests.protocol.toy import SOLVER, SUBMITTER, TERMS, VERIFIER, ToyLaw, ToyTrace, digest

LAW = ToyLaw(12, 4, 9)
TRUTH, WRONG = ToyTrace(LAW), ToyTrace(LAW, {(5, 3): digest(b"lie")})
SALT = digest(b"salt")
FEE, BOND = 61, 103
FAR = 100_000
ATTESTED = replace(TERMS, attesters=2, attestation_fee=FEE, attester_bond=BOND, attestation_period_s=40, segment=12)


def job_of(scene: Scene) -> Job:
    (job,) = scene.state.jobs.values()
    return job


def sealed_of(scene: Scene) -> Sealed:
    sealed = job_of(scene).sealed
    assert sealed is not None, "the solver has committed"
    return sealed


def claim_of(scene: Scene) -> Claim:
    (claim,) = scene.state.claims.values()
    return claim


class Silent(Verifier):
    """Attests, and never objects on its own."""

    def objection(self, claim: Claim, interval: int) -> None:  # type: ignore[override]
        return None


def attester(scene: Scene, trace: ToyTrace, who: Identity = VERIFIER, tickets: int = 1) -> Silent:
    player = Silent(scene.identity(who), scene.coordinator, trace=trace)
    player.tickets = tickets
    return player


def enrolled(scene: Scene, *attesters: Silent, anchored: bool = True, terms: Terms = ATTESTED) -> bytes:
    """A running job: anchored, with the attesters' tickets in the pool, nothing committed yet."""
    job = scene.post(LAW, terms)
    if anchored:
        scene.play(scene.operator())
    scene.send(SOLVER, PlaceBid(1000, LAW.interval), job)
    scene.send(SUBMITTER, AcceptBid(SOLVER.address), job)
    for player in attesters:
        player.act(scene.now)
    return job


def commit(scene: Scene, job: bytes, trace: ToyTrace = TRUTH) -> RevealClaim:
    """The solver commits to all steps; its reveal is returned."""
    shown = roots_of(trace, LAW.interval, 0, 12)
    scene.send(SOLVER, CommitClaim(0, 12, claim_seal(SOLVER.address, job, 0, 12, shown, SALT)), job)
    return RevealClaim(shown, SALT)


def drawn(scene: Scene, *attesters: Silent, trace: ToyTrace = TRUTH) -> tuple[bytes, RevealClaim]:
    """The claim is committed and its attesters drawn; nobody has committed an attestation."""
    job = enrolled(scene, *attesters)
    reveal = commit(scene, job, trace)
    scene.play(scene.operator())
    return job, reveal


def shown(scene: Scene, *attesters: Silent, trace: ToyTrace = TRUTH) -> bytes:
    """The claim is shown; the attesters have committed and not yet revealed."""
    job, reveal = drawn(scene, *attesters, trace=trace)
    for player in attesters:
        player.act(scene.now)
    scene.send(SOLVER, reveal, job)
    return job


def attestation(job: bytes, trace: ToyTrace = TRUTH, who: Identity = VERIFIER) -> tuple[CommitAttestation, bytes]:
    """A commitment to the claim of a trace, and what it commits to."""
    attested = claim_id(job, 0, 12, roots_of(trace, LAW.interval, 0, 12))
    return CommitAttestation(0, attestation_seal(who.address, job, 0, 12, attested, SALT)), attested


def reveal_of(scene: Scene, attested: bytes) -> RevealAttestation:
    return RevealAttestation(claim_of(scene).id, attested, SALT)


def ended(scene: Scene, *wanted: JobStatus) -> None:
    """Time decides the rest; money is where the rules put it, and none is left in a reservation."""
    scene.after(FAR)
    assert job_of(scene).status in wanted
    assert scene.coordinator.ledger.total == 10**9
    assert not any(held.open for held in scene.coordinator.ledger.reserved.values())
