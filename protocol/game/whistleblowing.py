"""Whistleblowers: a challenger of a refuted claim holds it against each of those who attested it, in a game of its own.

That a solver lost says nothing about its attesters: it may have kept silent, or lost on purpose. So each of them
may defend what it attested, with the same moves; only who loses such a game, or does not answer, loses its tickets.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from engine.canonical import to_canonical
from engine.merkle import leaf_hash
from protocol.game import ledger, tickets
from protocol.game.levels import first_level, first_step
from protocol.game.types import (
    CHALLENGER,
    SOLVER,
    Claim,
    Game,
    Job,
    Side,
    Stage,
    State,
)

Pair = tuple[Game, str]  # a challenger's game with the solver, and an attester


def accusation_id(claim: bytes, index: int, challenger: str, attester: str) -> bytes:
    """Of the game in which a challenger holds a refuted claim against one who attested it."""
    return hashlib.sha256(to_canonical(["accusation", claim, index, challenger, attester])).digest()


def is_accusation(state: State, game: Game) -> bool:
    """Whether a game is with an attester of its claim."""
    return game.sides[SOLVER].party != state.claims[game.claim].solver


def accusations(state: State, claim: Claim, won: Game) -> list[Pair]:
    """Who holds a refuted claim against whom: every challenger that still stands, against all that attested it."""
    games = [state.games[key] for key in claim.games]
    standing = [game for game in games if game.open or (game.id == won.id and not game.wrong[CHALLENGER])]
    attesters = sorted({slot.attester for slot in claim.slots if slot.attested == claim.id})
    return [(game, who) for game in standing for who in attesters if who != game.sides[CHALLENGER].party]


def accuse(state: State, job: Job, pairs: list[Pair]) -> State:
    """The games begin: about the interval that the challenger named, from its first level on.

    The attester's clock has, as a solver's, one more extension for each other interval in dispute.
    """
    clock = job.terms.clock_s + job.terms.level_extension_s * (len({game.index for game, _ in pairs}) - 1)
    for game, attester in pairs:
        claim, accused = state.claims[game.claim], _accusation(state, job, game, attester, clock)
        state = state.with_game(accused).with_claim(replace(claim, games=(*claim.games, accused.id)))
    return state


def _accusation(state: State, job: Job, game: Game, attester: str, clock: int) -> Game:
    challenger, claim = game.sides[CHALLENGER].party, state.claims[game.claim]
    nodes = leaf_hash(claim.roots[game.index + 1]), leaf_hash(game.rival)
    return Game(
        id=accusation_id(game.claim, game.index, challenger, attester),
        job=game.job,
        claim=game.claim,
        index=game.index,
        rival=game.rival,
        level=first_level(game.interval),
        stage=Stage.ENTER,
        step=first_step(game),
        interval=game.interval,
        sides=(
            Side(attester, nodes[0], clock, state.now),
            Side(challenger, nodes[1], job.terms.clock_s, state.now),
        ),
        start=claim.roots[game.index],
        bond=game.bond,
        order=game.order,
        before=game.before,
        path=(game.index,),
    )


def same_objection(state: State, game: Game) -> list[Game]:
    """The games against one party whose challengers say the same, and still stand."""
    games = (state.games[key] for key in state.claims[game.claim].games)
    same = [item for item in games if _said(item) == _said(game)]
    return [item for item in same if item.open or item.id == game.id]


def _said(game: Game) -> tuple[int, bytes, str]:
    return game.index, game.rival, game.sides[SOLVER].party


def whistleblowers(state: State, game: Game) -> tuple[str, ...]:
    """Who shares a wrong attester's bond: who committed to the objection before anyone showed it, and still stands."""
    games = (state.games[key] for key in state.claims[game.claim].games)
    shown = min(item.before for item in games if _said(item) == _said(game))
    standing = same_objection(state, game)
    first = [item for item in standing if item.order < shown] or [game]
    return tuple(item.sides[CHALLENGER].party for item in sorted(first, key=lambda item: item.order))


def end_accusation(state: State, game: Game) -> State:
    """The payouts of a game with an attester, which has ended."""
    attester_wrong, challenger_wrong = game.wrong
    job, attester = state.jobs[game.job], game.sides[SOLVER].party
    if challenger_wrong and state.ledger.reserved[game.bond].open:
        books = ledger.slash(state.ledger, game.bond, None if attester_wrong else attester)
        state = replace(state, ledger=books)
    if attester_wrong:
        state = _convict(state, job, game, () if challenger_wrong else whistleblowers(state, game))
    return _release(state, game)


def _convict(state: State, job: Job, game: Game, winners: tuple[str, ...]) -> State:
    """An attester was proven wrong: the tickets of its slots are slashed, and the other games with it are void."""
    claim, attester = state.claims[game.claim], game.sides[SOLVER].party
    slots = [slot for slot in claim.slots if slot.attester == attester]
    state = tickets.lose(state, job, slots, winners)
    for other in (state.games[key] for key in claim.games):
        if other.open and other.sides[SOLVER].party == attester:
            ended = replace(other, stage=Stage.VOID, reason="the attester was proven wrong")
            state = _release(state.with_game(ended), ended)
    return state


def _release(state: State, game: Game) -> State:
    """What no open game holds any more goes back: a challenger's bond, the tickets of an attester."""
    open_games = [item for item in map(state.games.__getitem__, state.claims[game.claim].games) if item.open]
    books, attester = state.ledger, game.sides[SOLVER].party
    if books.reserved[game.bond].open and game.bond not in [item.bond for item in open_games]:
        books = ledger.close(books, game.bond)
    job = state.jobs[game.job]
    if attester in [item.sides[SOLVER].party for item in open_games]:
        return replace(state, ledger=books)
    for ticket in job.tickets:
        if ticket.attester == attester:
            books = ledger.close(books, job.ticket(ticket.number))
    left = tuple(ticket for ticket in job.tickets if ticket.attester != attester)
    return replace(state.with_job(replace(job, tickets=left)), ledger=books)
