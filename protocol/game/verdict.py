"""How a game ends: by the referee or by silence, and what that pays."""

from __future__ import annotations

from dataclasses import replace

from protocol.game import ledger
from protocol.game.jobs import refute
from protocol.game.types import CHALLENGER, Game, Stage, State
from protocol.game.whistleblowing import end_accusation, is_accusation, same_objection

REFEREE, SILENCE = "the referee computed the place", "silence"


def time_out(state: State, game: Game, due: int) -> State:
    """Every party whose clock ran out at this moment loses."""
    terms = state.jobs[game.job].terms
    silent = tuple(side.due(terms) == due for side in game.sides)
    return end_game(state, replace(game, wrong=silent, reason=SILENCE))  # type: ignore[arg-type]


def end_game(state: State, game: Game) -> State:
    """The payouts of a verdict. No verdict makes a claim final; one against the solver ends the job."""
    state = state.with_game(replace(game, stage=Stage.DONE))
    if is_accusation(state, game):
        return end_accusation(state, state.games[game.id])
    job, claim = state.jobs[game.job], state.claims[game.claim]
    solver_wrong, challenger_wrong = game.wrong
    if challenger_wrong:
        books = ledger.slash(state.ledger, game.bond, None if solver_wrong else job.solver)
        state = replace(state, ledger=books)
    elif not solver_wrong:
        state = replace(state, ledger=ledger.close(state.ledger, game.bond))
    winner = None if challenger_wrong else _first_to_say(state, game)
    return refute(state, job, claim, game, winner) if solver_wrong else state


def _first_to_say(state: State, game: Game) -> str:
    """Who committed first to what the winner says: copying a challenge and playing it faster earns nothing."""
    return min(same_objection(state, game), key=lambda other: other.order).sides[CHALLENGER].party
