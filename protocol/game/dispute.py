"""A dispute: two parties narrow to the first place where their traces differ. One set of rules serves every level."""

from __future__ import annotations

from dataclasses import replace

from engine.merkle import leaf_hash, verify_inclusion
from protocol.game import ledger
from protocol.game.jobs import refute
from protocol.game.messages import Enter, Message, Open, Row
from protocol.game.params import Law, Params
from protocol.game.referee import decide
from protocol.game.rows import first_difference, root_of_row, row_sizes
from protocol.game.rules import Rule, require
from protocol.game.types import (
    CHALLENGER,
    INTERVAL,
    LEVELS,
    SOLVER,
    STEP,
    Claim,
    Game,
    Job,
    Sealed,
    Side,
    Stage,
    State,
    game_id,
)


def new_game(
    state: State, job: Job, claim: Claim, law: Law, index: int, rival: bytes, sealed: Sealed, now: int
) -> Game:
    """A game about leaf index + 1 of a claim; both parties owe the entry to the first level."""
    step = claim.first + index * law.interval
    level = INTERVAL if _steps_in(law, step) > 1 else STEP
    others = {state.games[key].index for key in claim.games if state.games[key].open} - {index}
    clock = job.terms.clock_s
    solver = Side(
        claim.solver, leaf_hash(claim.roots[index + 1]), clock + job.terms.level_extension_s * len(others), now
    )
    sides = solver, Side(sealed.sender, leaf_hash(rival), clock, now)
    return Game(
        id=game_id(claim.id, index, sealed.sender),
        job=job.id,
        claim=claim.id,
        index=index,
        rival=rival,
        level=level,
        stage=Stage.ENTER,
        step=step,
        sides=sides,
        start=claim.roots[index],
        bond=sealed.key,
        order=sealed.order,
        path=(index,),
    )


def _steps_in(law: Law, step: int) -> int:
    """The steps of the interval that begins at a step; the last may be shorter."""
    return min(law.interval, law.steps - step)


def level_size(law: Law, game: Game) -> int:
    """The number of leaves of the level that a game is at."""
    return _steps_in(law, game.step) + 1 if game.level == INTERVAL else law.entries


def _leaf(law: Law, level: int, index: int, value: bytes) -> bytes:
    """The leaf hash of a value at a level. Above the first level stands the claim, whose leaves are state roots."""
    return law.leaf(index, value) if level == STEP else leaf_hash(value)


def _game(state: State, message: Message, stage: Stage) -> Game:
    require(message.game in state.games, Rule.GAME_EXISTS)
    game = state.games[message.game]
    require(message.job == game.job, Rule.SCOPE)
    require(game.open, Rule.GAME_OPEN)
    require(game.stage is stage, Rule.STAGE)
    return game


def _law(state: State, game: Game, params: Params) -> Law:
    job = state.jobs[game.job]
    return params.law_of(job.job, job.program)


def enter(state: State, message: Message, body: Enter, now: int, params: Params) -> State:
    """A party enters a level: its root, tied to the agreed start and to its own value above, and its first row."""
    game = _game(state, message, Stage.ENTER)
    who = game.side_of(message.sender)
    side, law, arity = game.sides[who], _law(state, game, params), state.jobs[game.job].terms.arity
    key, size = (game.claim, game.path, message.sender), level_size(law, game)
    require(side.root is None, Rule.MOVE_ONCE)
    require(state.roots.get(key, body.root) == body.root, Rule.ROOT_ONCE)
    require(leaf_hash(body.value) == side.node, Rule.VALUE)
    _require_start(game, side, body)
    if game.level == INTERVAL:
        require(verify_inclusion(body.root, leaf_hash(body.start), 0, size, body.first_proof), Rule.FIRST_LEAF)
    else:
        require(body.first_proof == (), Rule.FIRST_LEAF)
    last = _leaf(law, game.level, size - 1, body.value)
    require(verify_inclusion(body.root, last, size - 1, size, body.last_proof), Rule.LAST_LEAF)
    _require_row(body.row, body.root, size, arity)
    side = _moved(replace(side, root=body.root, node=body.root, row=body.row), now)
    game = replace(_with_side(game, who, side), first=0, size=size, start=body.start)
    state = replace(state, roots={**state.roots, key: body.root})
    return state.with_game(_narrowed(game, state.jobs[game.job], size, now))


def _require_start(game: Game, side: Side, body: Enter) -> None:
    if side.above is None:
        require(body.start == game.start and body.start_proof == (), Rule.START)
    else:
        # The last step of the path is the leaf before the first difference above: both roots hold the same one.
        leaf, before = leaf_hash(body.start), game.path[-1]
        require(verify_inclusion(side.above, leaf, before, game.above, body.start_proof), Rule.START)


def _require_row(row: tuple[bytes, ...], node: bytes, size: int, arity: int) -> None:
    require(len(row) == len(row_sizes(size, arity)), Rule.ROW_LENGTH)
    require(root_of_row(row, size, arity) == node, Rule.ROW)


def row(state: State, message: Message, body: Row, now: int, params: Params) -> State:
    """Anyone shows the children of a party's node."""
    game = _game(state, message, Stage.NARROW)
    who = game.side_of(body.party)
    side = game.sides[who]
    require(side.row is None, Rule.MOVE_ONCE)
    _require_row(body.row, side.node, game.size, state.jobs[game.job].terms.arity)
    game = _with_side(game, who, _moved(replace(side, row=body.row), now))
    whole = level_size(_law(state, game, params), game)
    return state.with_game(_narrowed(game, state.jobs[game.job], whole, now))


def _moved(side: Side, now: int) -> Side:
    """The side with its clock stopped."""
    assert side.since is not None, "a side that owes a move has a running clock"
    return replace(side, clock=side.clock - (now - side.since), since=None)


def _with_side(game: Game, who: int, side: Side) -> Game:
    return replace(game, sides=(side, game.sides[1]) if who == SOLVER else (game.sides[0], side))


def _narrowed(game: Game, job: Job, whole: int, now: int) -> Game:
    """Once both rows lie there: on to the first child in which they differ, and at a single leaf to the next level."""
    one, other = (side.row for side in game.sides)
    if one is None or other is None:
        return game
    sizes = row_sizes(game.size, job.terms.arity)
    child = first_difference(one, other)
    sides = (
        replace(game.sides[SOLVER], node=one[child], row=None, since=now),
        replace(game.sides[CHALLENGER], node=other[child], row=None, since=now),
    )
    game = replace(
        game,
        stage=Stage.NARROW,
        sides=sides,
        first=game.first + sum(sizes[:child]),
        size=sizes[child],
        rounds=game.rounds + 1,
    )
    return game if game.size > 1 else _at_leaf(game, job, whole)


def _at_leaf(game: Game, job: Job, whole: int) -> Game:
    """The first difference is one leaf: of an interval, a step to enter; of a step, an entry for the referee."""
    if game.level == len(LEVELS) - 1:
        return replace(game, stage=Stage.OPEN)
    extension = job.terms.level_extension_s
    one, other = game.sides
    sides = (
        replace(one, above=one.root, root=None, clock=one.clock + extension),
        replace(other, above=other.root, root=None, clock=other.clock + extension),
    )
    before = game.first - 1
    assert before >= 0, "leaf 0 of an interval is the agreed start in both roots"
    return replace(
        game,
        level=game.level + 1,
        stage=Stage.ENTER,
        sides=sides,
        step=game.step + before,
        start=None,
        above=whole,
        path=(*game.path, before),
    )


def open_entry(state: State, message: Message, body: Open, now: int, params: Params) -> State:
    """Anyone opens what the disputed entry was computed from; the referee computes it and names who was wrong."""
    game = _game(state, message, Stage.OPEN)
    who = game.side_of(body.party)
    require(len(body.witness) <= params.max_witness_bytes, Rule.WITNESS_SIZE)
    ruling = decide(_law(state, game, params), game, who, body.witness)
    game = replace(game, wrong=ruling.wrong, truth=ruling.truth, reason="the referee computed the entry")
    return end_game(state, game)


def time_out(state: State, game: Game, due: int) -> State:
    """Every party whose clock ran out at this moment loses."""
    terms = state.jobs[game.job].terms
    silent = tuple(side.due(terms) == due for side in game.sides)
    return end_game(state, replace(game, wrong=silent, reason="silence"))  # type: ignore[arg-type]


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
