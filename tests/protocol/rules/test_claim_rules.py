"""Rules of claims: what is sealed, shown, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.game.messages import NOTHING, CommitClaim, RevealClaim, claim_seal
from protocol.game.rules import Rule
from protocol.referee.judge import FAULT_ROOT
from tests.protocol.rules.playing import LAW, LIE, SALT, claimed, commit_to, objection, refuses, roots, running, sealed
from tests.protocol.scene import Scene
from tests.protocol.toy import OTHER, SOLVER, TERMS, VERIFIER, ToyTrace, digest


def test_refuses_claim_range(scene: Scene) -> None:
    job = running(scene, terms=replace(TERMS, segment=8))
    for first, last in ((0, 0), (4, 8), (0, 12), (0, 5), (0, 16), (0, 2**63 - 1)):
        body = CommitClaim(first, last, SALT)
        refuses(Rule.CLAIM_RANGE, lambda body=body: scene.send(SOLVER, body, job), scene)
    scene.send(SOLVER, CommitClaim(0, 8, SALT), job)


def test_a_claim_has_no_more_roots_than_a_message_holds(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A submitter whose segments are longer than that would otherwise have a solver commit to what it cannot show."""
    for name in ("game.fields", "game.claims", "players.solver"):
        monkeypatch.setattr(f"protocol.{name}.MAX_HASHES", 3)
    job = running(scene)
    refuses(Rule.CLAIM_RANGE, lambda: scene.send(SOLVER, CommitClaim(0, 12, SALT), job), scene)
    scene.play(scene.solver(ToyTrace(LAW)))
    assert [(claim.first, claim.last) for claim in scene.state.claims.values()] == [(0, 8), (8, 12)]


def test_refuses_claim_window(scene: Scene) -> None:
    job = running(scene, terms=replace(TERMS, claims_ahead=1))
    scene.send(SOLVER, sealed(scene, job, ToyTrace(LAW), 0, 4), job)
    refuses(Rule.CLAIM_WINDOW, lambda: scene.send(SOLVER, CommitClaim(4, 8, SALT), job), scene)


def test_refuses_claim_sealed(scene: Scene) -> None:
    job = running(scene)
    refuses(Rule.CLAIM_SEALED, lambda: scene.send(SOLVER, RevealClaim(roots(ToyTrace(LAW)), SALT), job), scene)
    sealed(scene, job, ToyTrace(LAW))
    refuses(Rule.CLAIM_SEALED, lambda: scene.send(SOLVER, CommitClaim(0, 4, SALT), job), scene)


def test_refuses_claim_reveal(scene: Scene) -> None:
    job = running(scene)
    body = sealed(scene, job, ToyTrace(LAW))
    refuses(Rule.CLAIM_REVEAL, lambda: scene.send(SOLVER, replace(body, salt=NOTHING), job), scene)
    other = replace(body, roots=roots(ToyTrace(LAW, LIE)))
    refuses(Rule.CLAIM_REVEAL, lambda: scene.send(SOLVER, other, job), scene)


def test_a_commitment_copied_from_another_solver_cannot_be_revealed(scene: Scene) -> None:
    job = running(scene)
    shown = roots(ToyTrace(LAW))
    scene.send(SOLVER, CommitClaim(0, 12, claim_seal(OTHER.address, job, 0, 12, shown, SALT)), job)
    refuses(Rule.CLAIM_REVEAL, lambda: scene.send(SOLVER, RevealClaim(shown, SALT), job), scene)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda r: r[:-1],
        lambda r: (*r, r[-1]),
        lambda r: (digest(b"x"), *r[1:]),
        lambda r: (),
        lambda r: (r[0], FAULT_ROOT, *r[2:]),
    ],
)
def test_refuses_claim_leaves(scene: Scene, wrong: Callable[[tuple[bytes, ...]], tuple[bytes, ...]]) -> None:
    job = running(scene)
    shown = wrong(roots(ToyTrace(LAW)))
    scene.send(SOLVER, CommitClaim(0, 12, claim_seal(SOLVER.address, job, 0, 12, shown, SALT)), job)
    refuses(Rule.CLAIM_LEAVES, lambda: scene.send(SOLVER, RevealClaim(shown, SALT), job), scene)


def test_refuses_claim_exists(scene: Scene) -> None:
    job, _ = claimed(scene)
    body = objection(digest(b"none"))
    refuses(Rule.CLAIM_EXISTS, lambda: scene.send(VERIFIER, commit_to(body), job), scene)
    refuses(Rule.CLAIM_EXISTS, lambda: scene.send(VERIFIER, body, job), scene)


def test_refuses_claim_open(scene: Scene) -> None:
    job, claim = claimed(scene)
    scene.after(TERMS.challenge_period_s - 1)
    scene.send(OTHER, commit_to(objection(claim), OTHER), job)
    scene.after(1)
    refuses(Rule.CLAIM_OPEN, lambda: scene.send(VERIFIER, commit_to(objection(claim)), job), scene)
    scene.after(TERMS.reveal_period_s)
    assert scene.state.claims[claim].status.value == "final"
    refuses(Rule.CLAIM_OPEN, lambda: scene.send(OTHER, objection(claim), job), scene)


def test_refuses_challenge_self(scene: Scene) -> None:
    job, claim = claimed(scene)
    refuses(Rule.CHALLENGE_SELF, lambda: scene.send(SOLVER, commit_to(objection(claim), SOLVER), job), scene)


def test_refuses_challenge_once(scene: Scene) -> None:
    job, claim = claimed(scene)
    scene.send(VERIFIER, commit_to(objection(claim)), job)
    refuses(Rule.CHALLENGE_ONCE, lambda: scene.send(VERIFIER, commit_to(objection(claim, 0)), job), scene)
    scene.send(VERIFIER, objection(claim), job)
    again = objection(claim, root=digest(b"other"))
    scene.send(VERIFIER, commit_to(again), job)
    refuses(Rule.CHALLENGE_ONCE, lambda: scene.send(VERIFIER, again, job), scene)


def test_refuses_challenge_sealed(scene: Scene) -> None:
    job, claim = claimed(scene)
    refuses(Rule.CHALLENGE_SEALED, lambda: scene.send(VERIFIER, objection(claim), job), scene)


def test_refuses_challenge_reveal(scene: Scene) -> None:
    job, claim = claimed(scene)
    scene.send(VERIFIER, commit_to(objection(claim)), job)
    refuses(Rule.CHALLENGE_REVEAL, lambda: scene.send(VERIFIER, objection(claim, 0), job), scene)
    scene.send(OTHER, commit_to(objection(claim)), job)  # VERIFIER's commitment, copied
    refuses(Rule.CHALLENGE_REVEAL, lambda: scene.send(OTHER, objection(claim), job), scene)


def test_refuses_challenge_index(scene: Scene) -> None:
    job, claim = claimed(scene)
    body = replace(objection(claim), index=3)
    scene.send(VERIFIER, commit_to(body), job)
    refuses(Rule.CHALLENGE_INDEX, lambda: scene.send(VERIFIER, body, job), scene)


def test_refuses_challenge_differs(scene: Scene) -> None:
    job, claim = claimed(scene)
    body = objection(claim, 0)
    scene.send(VERIFIER, commit_to(body), job)
    refuses(Rule.CHALLENGE_DIFFERS, lambda: scene.send(VERIFIER, body, job), scene)
