"""Whoever attested a claim that fell stands accused by its challengers: who loses, who shares, who defends itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.game.ledger import TREASURY
from protocol.game.messages import (
    CommitChallenge,
    RevealChallenge,
    challenge_seal,
)
from protocol.game.types import JobStatus, Stage
from protocol.game.whistleblowing import is_accusation
from protocol.identity import Identity
from protocol.players.verifier import Verifier
from tests.protocol.attesting import (
    ATTESTED,
    BOND,
    FEE,
    SALT,
    TRUTH,
    WRONG,
    Silent,
    attester,
    claim_of,
    ended,
    enrolled,
    job_of,
    shown,
)
from tests.protocol.scene import Scene
from tests.protocol.toy import OTHER, SOLVER, TERMS, THIRD, VERIFIER, ToyTrace, digest


def objected(scene: Scene, who: Identity, index: int = 1, salt: bytes = SALT) -> RevealChallenge:
    """A committed challenge with the right root; its reveal is returned."""
    claim = claim_of(scene)
    root = TRUTH.state_root(4 * (index + 1))
    seal = challenge_seal(who.address, claim.id, index, root, salt)
    scene.send(who, CommitChallenge(claim.id, seal), claim.job)
    return RevealChallenge(claim.id, index, root, salt)


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
