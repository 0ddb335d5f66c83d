"""How a game ends: by the referee or by silence, and what that pays."""

from __future__ import annotations

from dataclasses import replace

from protocol.game import ledger
from protocol.game.jobs import refute
from protocol.game.types import CHALLENGER, Claim, Game, Stage, State

REFEREE, SILENCE = "the referee computed the place", "silence"


def time_out(state: State, game: Game, due: int) -> State:
    """Every party whose clock ran out at this moment loses."""
    terms = state.jobs[game.job].terms
    silent = tuple(side.due(terms) == due for side in game.sides)
    return end_game(state, replace(game, wrong=silent, reason=SILENCE))  # type: ignore[arg-type]


def end_game(state: State, game: Game) -> State:
    """The payouts of a verdict. No verdict makes a claim final; one against the solver ends the job."""
    state = state.with_game(replace(game, stage=Stage.DONE))
    job, claim = state.jobs[game.job], state.claims[game.claim]
    solver_wrong, challenger_wrong = game.wrong
    if challenger_wrong:
        books = ledger.slash(state.ledger, game.bond, None if solver_wrong else job.solver)
    else:
        books = ledger.close(state.ledger, game.bond)
    state = replace(state, ledger=books)
    winner = None if challenger_wrong else _first_to_say(state, claim, game)
    return refute(state, job, claim, winner) if solver_wrong else state


def _first_to_say(state: State, claim: Claim, game: Game) -> str:
    """Who committed first to what the winner says: copying a challenge and playing it faster earns nothing."""
    games = [state.games[key] for key in claim.games]
    same = [other for other in games if (other.index, other.rival) == (game.index, game.rival)]
    standing = [other for other in same if other.open or other.id == game.id]
    return min(standing, key=lambda other: other.order).sides[CHALLENGER].party
