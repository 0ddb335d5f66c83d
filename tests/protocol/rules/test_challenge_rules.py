"""Rules of challenges: who objects to what, and when a game begins."""

from __future__ import annotations

from protocol.game.messages import Open, Row, Show
from protocol.game.rules import Rule
from tests.protocol.rules.playing import challenged, honest, own_move, refuses, send_in
from tests.protocol.scene import Scene
from tests.protocol.toy import OTHER, TERMS, VERIFIER, digest


def test_refuses_game_exists(scene: Scene) -> None:
    _, game = challenged(scene)
    body = own_move(scene, honest(scene))
    refuses(Rule.GAME_EXISTS, lambda: scene.send(VERIFIER, body, game.job, digest(b"none")), scene)


def test_refuses_game_open(scene: Scene) -> None:
    challenged(scene)
    body = own_move(scene, honest(scene))
    scene.after(TERMS.move_period_s)
    refuses(Rule.GAME_OPEN, send_in(scene, VERIFIER, body), scene)
    for late in (Row(VERIFIER.address, ()), Show(VERIFIER.address, b""), Open(VERIFIER.address, b"")):
        refuses(Rule.GAME_OPEN, send_in(scene, OTHER, late), scene)
