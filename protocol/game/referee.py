"""The referee: who was wrong about one entry, from openings alone."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.game.params import Law, Point
from protocol.game.types import Game


@dataclass(frozen=True, slots=True)
class Ruling:
    """truth: the entry's true root; wrong: whether the solver, and whether the challenger, has another."""

    truth: bytes
    wrong: tuple[bool, bool]


def decide(law: Law, game: Game, who: int, witness: bytes) -> Ruling:
    """The ruling on a game that stands at one entry. Total: a ruling, or a refusal of the witness.

    who: the party to whose root the proofs of the witness lead; before the entry both roots hold the same leaves
    """
    assert game.start is not None, "both parties showed the start when they entered the level"
    root = game.sides[who].root
    assert root is not None, "both parties entered the level"
    truth = law.decide(Point(game.start, game.step, game.first, root), witness)
    leaf = law.leaf(game.first, truth)
    return Ruling(truth, (game.sides[0].node != leaf, game.sides[1].node != leaf))
