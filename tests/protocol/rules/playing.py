"""A job played to where a rule applies, and the one way to see it refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from protocol.game.messages import (
    AcceptBid,
    CommitChallenge,
    CommitClaim,
    PlaceBid,
    RevealChallenge,
    RevealClaim,
    challenge_seal,
    claim_seal,
)
from protocol.game.params import Terms
from protocol.game.rules import Refused, Rule
from protocol.game.types import Game, Stage
from protocol.identity import Identity
from protocol.players.player import Player
from tests.protocol.scene import Scene
from tests.protocol.toy import SOLVER, SUBMITTER, TERMS, VERIFIER, ToyLaw, ToyTrace, digest

LAW = ToyLaw(12, 4, 9)
LIE = {(5, 3): digest(b"lie")}
SALT = digest(b"salt")


def refuses(rule: Rule, action: Callable[[], object], scene: Scene | None = None) -> None:
    before = scene.coordinator.state_hash() if scene is not None else b""
    with pytest.raises(Refused) as refused:
        action()
    assert refused.value.rule is rule, refused.value
    if scene is not None:
        assert scene.coordinator.state_hash() == before


def posted(scene: Scene, law: ToyLaw = LAW, terms: Terms = TERMS) -> bytes:
    return scene.post(law, terms)


def running(scene: Scene, law: ToyLaw = LAW, terms: Terms = TERMS) -> bytes:
    job = posted(scene, law, terms)
    scene.send(SOLVER, PlaceBid(1000, 4), job)
    scene.send(SUBMITTER, AcceptBid(SOLVER.address), job)
    return job


def roots(trace: ToyTrace, first: int = 0, last: int = 12) -> tuple[bytes, ...]:
    return tuple(trace.state_root(step) for step in range(first, last + 1, trace.law.interval))


def sealed(scene: Scene, job: bytes, trace: ToyTrace, first: int = 0, last: int = 12) -> RevealClaim:
    shown = roots(trace, first, last)
    scene.send(SOLVER, CommitClaim(first, last, claim_seal(SOLVER.address, job, first, last, shown, SALT)), job)
    return RevealClaim(shown, SALT)


def claimed(scene: Scene, trace: ToyTrace | None = None, terms: Terms = TERMS) -> tuple[bytes, bytes]:
    job = running(scene, terms=terms)
    scene.send(SOLVER, sealed(scene, job, trace or ToyTrace(LAW, LIE)), job)
    return job, scene.state.jobs[job].claims[-1]


def objection(claim: bytes, index: int = 1, root: bytes | None = None) -> RevealChallenge:
    return RevealChallenge(claim, index, root or ToyTrace(LAW).state_root(4 * (index + 1)), SALT)


def commit_to(body: RevealChallenge, who: Identity = VERIFIER) -> CommitChallenge:
    return CommitChallenge(body.claim, challenge_seal(who.address, body.claim, body.index, body.root, body.salt))


def challenged(scene: Scene, arity: int = TERMS.arity, entry: int = 3) -> tuple[bytes, Game]:
    """A game at its first level: the solver lies in step 5, the second of interval 1."""
    job, claim = claimed(scene, ToyTrace(LAW, {(5, entry): digest(b"lie")}), replace(TERMS, arity=arity))
    scene.send(VERIFIER, commit_to(objection(claim)), job)
    scene.send(VERIFIER, objection(claim), job)
    return job, scene.game


def honest(scene: Scene) -> Player:
    return scene.verifier(ToyTrace(LAW))


def liar(scene: Scene, entry: int = 3) -> Player:
    return scene.solver(ToyTrace(LAW, {(5, entry): digest(b"lie")}))


def player_of(scene: Scene, who: Identity) -> Player:
    return liar(scene) if who is SOLVER else honest(scene)


def until(scene: Scene, stage: Stage, level: int, entry: int = 3) -> Game:
    """Play on until the game waits for a stage at a level."""
    for _ in range(50):
        game = scene.game
        if (game.stage, game.level) == (stage, level):
            return game
        for player in (liar(scene, entry), honest(scene)):
            side = scene.game.sides[scene.game.side_of(player.address)]
            if scene.game.id == game.id and scene.game.stage is game.stage and side.since is not None:
                body = player.move(scene.game)
                assert body is not None
                player.send(body, game.job, game.id)
    raise AssertionError("the game never came there")


def send_in(scene: Scene, who: Identity, body: Any) -> Callable[[], object]:
    game = scene.game
    return lambda: scene.send(who, body, game.job, game.id)


def own_move(scene: Scene, player: Player) -> Any:
    body = player.move(scene.game)
    assert body is not None
    return body
