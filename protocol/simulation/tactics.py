"""How a dishonest party answers a game, each way named after what it does."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from protocol.game.levels import number_of, word
from protocol.game.messages import Body, Enter, Open, Row, Show
from protocol.game.rules import Refused
from protocol.game.types import ELEMENT, LEVELS, Game, Stage
from protocol.players.player import Player
from protocol.service.receipts import Receipt
from protocol.simulation.toy import digest


class Tactic:
    """How a party answers a game; wraps the one honest answer to its own (wrong) trace."""

    player: Player

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)

    def move(self, game: Game, own: Body | None) -> Body | None:
        """What the party sends instead of its own trace's answer."""
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
    """Opens or shows other bytes."""

    def move(self, game: Game, own: Body | None) -> Body | None:
        if isinstance(own, Open):
            return replace(own, witness=own.witness.replace(own.witness[-32:], digest(b"else")))
        return replace(own, leaf=bytes(len(own.leaf))) if isinstance(own, Show) else own


class StopsAtStage(Tactic):
    """Answers until a level and stage drawn from the seed (Quitter)."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.last = self.chance.choice(list(Stage)), self.chance.randrange(len(LEVELS))

    def move(self, game: Game, own: Body | None) -> Body | None:
        return None if (game.stage, game.level) == self.last else own


class AnswersLate(Tactic):
    """Answers in the last seconds of its clock (Slowpoke)."""

    def move(self, game: Game, own: Body | None) -> Body | None:
        state, now = self.player.coordinator.state, self.player.coordinator.now
        due = game.sides[game.side_of(self.player.address)].due(state.jobs[game.job].terms)
        return own if due is not None and due - now <= 15 else None


class SharesNoSum(Tactic):
    """Parts its sum into integers that add up and mean nothing."""

    def move(self, game: Game, own: Body | None) -> Body | None:
        if not isinstance(own, Enter | Row) or game.level != ELEMENT or len(own.row) < 2:
            return own
        numbers = [number_of(part) for part in own.row]
        shift = self.chance.randrange(1, 10**6)
        return replace(own, row=(word(numbers[0] + shift), word(numbers[1] - shift), *own.row[2:]))


TACTICS = (
    PlaysOn,
    StopsAnswering,
    StopsAtLevel,
    StopsAtTheOpening,
    AnswersAtRandom,
    ChangesItsRoot,
    OpensSomethingElse,
    StopsAtStage,
    AnswersLate,
    SharesNoSum,
)


def with_tactic(player: Player, tactic: Tactic) -> Player:
    """The same player, answering its games by a tactic; what is refused is not tried again in the same turn."""
    own, send = player.move, player.send
    tactic.player = player

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
