"""docs/incentives.md against the rules: seeded claims are played, and the mean gain is what the formula says."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, sqrt

import pytest

from protocol.game.messages import (
    AcceptBid,
    CommitAttestation,
    CommitChallenge,
    CommitClaim,
    PlaceBid,
    PostJob,
    Register,
    RevealAttestation,
    RevealChallenge,
    RevealClaim,
    attestation_seal,
    challenge_seal,
    claim_seal,
)
from protocol.game.types import claim_id
from protocol.identity import Identity
from protocol.players.attester import roots_of
from tests.protocol.attesting import ATTESTED, BOND, FEE, LAW, SALT, TRUTH, WRONG, attester, claim_of, commit, job_of
from tests.protocol.scene import Scene
from tests.protocol.toy import OTHER, SOLVER, SUBMITTER, TERMS, VERIFIER, ToyTrace

GAMES, ERRORS = 80, 4
PRICE, SLOTS = TERMS.price, ATTESTED.attesters
HONEST, LIES, GUESSES = "honest", "repeats the solver", "guesses"
HELD = {HONEST: VERIFIER, LIES: OTHER, GUESSES: OTHER}


def played(seed: int, honest: int, others: int, kind: str, *, cheats: bool, hides: bool = False) -> Scene:
    """One claim: honest tickets are the verifier's, the others' are OTHER's and play as their kind does.

    An honest attester of a wrong claim challenges it. The solver of a wrong claim lets the game run out; hides: it does
    not show its roots where an honest ticket was drawn. The seed moves the commitments, hence the draws.
    """
    scene = Scene()
    scene.after(seed + 1)
    job = scene.send(SUBMITTER, PostJob(ATTESTED, LAW.job, b"toy", b"toy"), deadline=scene.now + 1 + seed).id
    scene.play(scene.operator())
    for who, tickets in ((VERIFIER, honest), (HELD[kind], others)):
        for _ in range(tickets):
            scene.send(who, Register(), job)
    scene.send(SOLVER, PlaceBid(PRICE, LAW.interval), job)
    scene.send(SUBMITTER, AcceptBid(SOLVER.address), job)
    salt, trace = seed.to_bytes(32, "big"), WRONG if cheats else TRUTH
    roots = roots_of(trace, LAW.interval, 0, 12)
    scene.send(SOLVER, CommitClaim(0, 12, claim_seal(SOLVER.address, job, 0, 12, roots, salt)), job)
    scene.play(scene.operator())
    sealed = job_of(scene).sealed
    assert sealed is not None
    drawn = {slot.attester for slot in sealed.slots}
    said = {VERIFIER: TRUTH, OTHER: trace if kind == LIES else (TRUTH if cheats else WRONG)}
    said_ids = {who: claim_id(job, 0, 12, roots_of(run, LAW.interval, 0, 12)) for who, run in said.items()}
    for who, attested in said_ids.items():
        if who.address in drawn:
            scene.send(who, CommitAttestation(0, attestation_seal(who.address, job, 0, 12, attested, SALT)), job)
    if not (hides and VERIFIER.address in drawn):
        scene.send(SOLVER, RevealClaim(roots, salt), job)
        for who, attested in said_ids.items():
            if who.address in drawn:
                scene.send(who, RevealAttestation(claim_of(scene).id, attested, SALT), job)
        if cheats and VERIFIER.address in drawn:
            whistle(scene, job)
    for _ in range(4):
        scene.play(attester(scene, TRUTH, tickets=0))
        scene.after(TERMS.move_period_s - 10)
    scene.after(10_000)
    assert scene.coordinator.ledger.total == 10**9
    assert not any(held.open for held in scene.coordinator.ledger.reserved.values())
    return scene


def whistle(scene: Scene, job: bytes, who: Identity = VERIFIER) -> None:
    claim, root = claim_of(scene), TRUTH.state_root(8)
    seal = challenge_seal(who.address, claim.id, 1, root, SALT)
    scene.send(who, CommitChallenge(claim.id, seal), job)
    scene.send(who, RevealChallenge(claim.id, 1, root, SALT), job)


def detected(honest: int, tickets: int) -> float:
    """q of the document."""
    return 1 - comb(tickets - honest, SLOTS) / comb(tickets, SLOTS)


def slots_of(own: int, tickets: int) -> list[float]:
    """The probability of 0, 1, 2, ... slots."""
    return [comb(own, k) * comb(tickets - own, SLOTS - k) / comb(tickets, SLOTS) for k in range(SLOTS + 1)]


def holds(gains: Sequence[int], values: Sequence[float], chances: Sequence[float]) -> None:
    """The mean of the gains is the mean of the values under their chances, within ERRORS standard errors."""
    mean = sum(value * chance for value, chance in zip(values, chances, strict=True))
    variance = sum((value - mean) ** 2 * chance for value, chance in zip(values, chances, strict=True))
    assert set(gains) <= {round(value) for value in values}
    assert abs(sum(gains) / len(gains) - mean) <= ERRORS * sqrt(variance / len(gains)) + 1e-9


@pytest.mark.parametrize(("honest", "others"), [(1, 3), (3, 3), (1, 7)])
@pytest.mark.parametrize("hides", [False, True])
def test_a_solver_that_cheats(honest: int, others: int, hides: bool) -> None:
    """Showing its roots whatever was drawn, and hiding them when someone honest was."""
    gains = [played(seed, honest, others, LIES, cheats=True, hides=hides).gain(SOLVER) for seed in range(GAMES)]
    q = detected(honest, honest + others)
    holds(gains, [PRICE, -TERMS.solver_bond], [1 - q, q])


@pytest.mark.parametrize(("own", "others"), [(1, 3), (2, 4)])
def test_an_honest_verifier_and_a_guesser(own: int, others: int) -> None:
    """Of one pool, on right claims: the honest earn the fee a slot, who guesses loses a bond a slot."""
    games = [played(seed, own, others, GUESSES, cheats=False) for seed in range(GAMES)]
    tickets = own + others
    holds([game.gain(VERIFIER) for game in games], [k * FEE for k in range(SLOTS + 1)], slots_of(own, tickets))
    holds([game.gain(OTHER) for game in games], [-k * BOND for k in range(SLOTS + 1)], slots_of(others, tickets))


def test_who_repeats_a_cheats_roots_and_who_blows_the_whistle() -> None:
    """No slot honest, and the liars are paid; else each lying slot loses its bond, half of it to the honest."""
    games = [played(seed, 2, 3, LIES, cheats=True) for seed in range(GAMES)]
    chances = slots_of(2, 5)
    holds([game.gain(OTHER) for game in games], [2 * FEE, -BOND, 0], chances)
    found = TERMS.solver_bond // 2
    holds([game.gain(VERIFIER) for game in games], [0, found + BOND // 2, found], chances)


@pytest.mark.parametrize("caught", [False, True])
def test_a_solver_that_cheats_with_a_friend_who_objects_first(caught: bool) -> None:
    """The friend's share of the bond insures the cheat; what is burnt is lost, and the honest verifier is no poorer."""
    scene = Scene()
    job = claimed_by(scene, WRONG)
    whistle(scene, job, OTHER)
    # Where nobody else objects the friend falls silent; where somebody does the solver gives up before both.
    players = [scene.verifier(TRUTH, OTHER), scene.verifier(TRUTH)] if caught else [scene.solver(WRONG)]
    for _ in range(8):
        scene.play(*players)
        scene.after(TERMS.move_period_s - 10)
    scene.after(10_000)
    both = scene.gain(SOLVER) + scene.gain(OTHER)
    bond, stake = TERMS.solver_bond, TERMS.challenge_bond
    assert both == (-(bond - bond // 2) if caught else PRICE - (stake - stake // 2))
    assert scene.gain(VERIFIER) == 0


def claimed_by(scene: Scene, trace: ToyTrace) -> bytes:
    """A job without attesters, all of whose steps the solver claims."""
    job = scene.post(LAW, TERMS)
    scene.send(SOLVER, PlaceBid(PRICE, LAW.interval), job)
    scene.send(SUBMITTER, AcceptBid(SOLVER.address), job)
    scene.send(SOLVER, commit(scene, job, trace), job)
    return job


def test_an_honest_solver_earns_its_price() -> None:
    assert {played(seed, 2, 2, LIES, cheats=False).gain(SOLVER) for seed in range(5)} == {PRICE}
