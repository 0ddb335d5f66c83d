"""Dishonest players of the toy game, each named after what it does."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from protocol.game.messages import Body, Enter, Open, Row
from protocol.game.rules import Refused
from protocol.game.types import Game, Stage
from protocol.players.player import Player
from protocol.service.coordinator import Receipt
from tests.protocol.toy import digest


class Tactic:
    """How a party answers a game; wraps the one honest answer to its own (wrong) trace."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)

    def move(self, game: Game, own: Body | None) -> Body | None:
        return own


class PlaysOn(Tactic):
    """Answers consistently to the end: the strongest liar."""


class StopsAnswering(Tactic):
    """Never answers."""

    def move(self, game: Game, own: Body | None) -> Body | None:
        return None


class StopsAtLevel(Tactic):
    """Answers until the second level."""

    def move(self, game: Game, own: Body | None) -> Body | None:
        return own if game.level == 0 else None


class StopsAtTheOpening(Tactic):
    """Narrows to the end and opens nothing."""

    def move(self, game: Game, own: Body | None) -> Body | None:
        return None if game.stage is Stage.OPEN else own


class AnswersAtRandom(Tactic):
    """Random hashes wherever hashes are wanted (E12)."""

    def move(self, game: Game, own: Body | None) -> Body | None:
        if isinstance(own, Enter):
            return replace(own, root=self.hash(), row=tuple(self.hash() for _ in own.row))
        if isinstance(own, Row):
            return replace(own, row=tuple(self.hash() for _ in own.row))
        return Open(own.party, self.chance.randbytes(60)) if isinstance(own, Open) else own

    def hash(self) -> bytes:
        return self.chance.randbytes(32)


class ChangesItsRoot(Tactic):
    """Enters a level with another root than the one its proofs belong to (Drifter)."""

    def move(self, game: Game, own: Body | None) -> Body | None:
        return replace(own, root=digest(own.root)) if isinstance(own, Enter) else own


class OpensSomethingElse(Tactic):
    """Opens a wrong operand."""

    def move(self, game: Game, own: Body | None) -> Body | None:
        if isinstance(own, Open):
            return replace(own, witness=own.witness.replace(own.witness[3:35], digest(b"else")))
        return own


TACTICS = (
    PlaysOn,
    StopsAnswering,
    StopsAtLevel,
    StopsAtTheOpening,
    AnswersAtRandom,
    ChangesItsRoot,
    OpensSomethingElse,
)


def with_tactic(player: Player, tactic: Tactic) -> Player:
    """The same player, answering its games by a tactic; what is refused is not tried again in the same turn."""
    own, send = player.move, player.send

    def move(game: Game) -> Body | None:
        return tactic.move(game, own(game))

    def answer(game: Game) -> list[Receipt]:
        if not game.open or not player._owes(game):
            return []
        body = player.move(game)
        try:
            return [] if body is None else [send(body, game.job, game.id)]
        except Refused:
            return []

    changed: dict[str, Callable[..., Any]] = {"move": move, "_answer": answer}
    for name, function in changed.items():
        setattr(player, name, function)
    return player
