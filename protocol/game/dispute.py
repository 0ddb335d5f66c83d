"""A dispute: two parties narrow to the first place where their traces differ. One set of rules serves every level."""

from __future__ import annotations

from dataclasses import replace

from engine.merkle import leaf_hash, verify_inclusion
from protocol.game.levels import (
    first_element,
    first_level,
    is_bounded,
    law_of,
    leaf_at,
    level_size,
    number_of,
    question_of,
    shown_bytes,
)
from protocol.game.messages import Enter, Message, Open, Row, Show
from protocol.game.params import Law, Params
from protocol.game.rows import first_difference, root_of_row, row_sizes
from protocol.game.rules import Refused, Rule, require
from protocol.game.types import (
    ELEMENT,
    INTERVAL,
    NODE,
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
from protocol.game.verdict import REFEREE, end_game
from protocol.referee.judge import FAULT_ROOT, judge
from protocol.referee.openings import Refusal
from protocol.referee.outcome import Burden, Outcome, Sum
from protocol.referee.question import ITEM_BYTES
from protocol.referee.sums import rounded

OPENABLE = (Stage.OPEN, Stage.PROVE, Stage.FAULT)


def new_game(state: State, job: Job, claim: Claim, index: int, rival: bytes, sealed: Sealed, now: int) -> Game:
    """A game about leaf index + 1 of a claim; both parties owe the entry to the first level."""
    step = claim.first + index * job.interval
    interval = min(job.interval, claim.last - step)
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
        level=first_level(interval),
        stage=Stage.ENTER,
        step=step,
        interval=interval,
        sides=sides,
        start=claim.roots[index],
        bond=sealed.key,
        order=sealed.order,
        path=(index,),
    )


def _game(state: State, message: Message, *stages: Stage) -> Game:
    require(message.game in state.games, Rule.GAME_EXISTS)
    game = state.games[message.game]
    require(message.job == game.job, Rule.SCOPE)
    require(game.open, Rule.GAME_OPEN)
    require(game.stage in stages, Rule.STAGE)
    return game


def enter(state: State, message: Message, body: Enter, now: int, params: Params) -> State:
    """A party enters a level: its root, tied to the agreed start and to its own value above, and its first row."""
    game = _game(state, message, Stage.ENTER)
    who = game.side_of(message.sender)
    side, law, arity = game.sides[who], law_of(state, game, params), state.jobs[game.job].terms.arity
    key, size = (game.claim, game.path, message.sender), level_size(law, game)
    require(side.root is None, Rule.MOVE_ONCE)
    require(state.roots.get(key, body.root) == body.root, Rule.ROOT_ONCE)
    if game.level in (INTERVAL, STEP):
        _require_state_level(law, game, side, body, size)
    else:
        _require_own_root(law, game, who, body)
    faulted = game.level == NODE and body.root == FAULT_ROOT
    _require_row(game, body.row, body.root, 0 if faulted else size, arity)
    side = _moved(replace(side, root=body.root, node=body.root, row=body.row), now)
    if game.level == NODE:
        side = replace(side, tensor=body.root)
    game = replace(_with_side(game, who, side), first=0, size=size, start=body.start)
    state = replace(state, roots={**state.roots, key: body.root})
    return state.with_game(_narrowed(game, state.jobs[game.job], law, now))


def _require_state_level(law: Law, game: Game, side: Side, body: Enter, size: int) -> None:
    """The leaves are between two states: the party's own state above stands last, the agreed one before."""
    require(leaf_hash(body.value) == side.node, Rule.VALUE)
    _require_start(game, side, body)
    if game.level == INTERVAL:
        require(verify_inclusion(body.root, leaf_hash(body.start), 0, size, body.first_proof), Rule.FIRST_LEAF)
    else:
        require(body.first_proof == (), Rule.FIRST_LEAF)
    last = leaf_at(law, game.level, size - 1, body.value)
    require(verify_inclusion(body.root, last, size - 1, size, body.last_proof), Rule.LAST_LEAF)


def _require_start(game: Game, side: Side, body: Enter) -> None:
    if side.above is None:
        require(body.start == game.start and body.start_proof == (), Rule.START)
    else:
        # The last step of the path is the leaf before the first difference above: both roots hold the same one.
        leaf, before = leaf_hash(body.start), game.path[-1]
        require(verify_inclusion(side.above, leaf, before, game.interval + 1, body.start_proof), Rule.START)


def _require_own_root(law: Law, game: Game, who: int, body: Enter) -> None:
    """The root is the party's own value above: an entry's root, or an integer that rounds to the element."""
    side = game.sides[who]
    require(body.value == body.root, Rule.VALUE)
    require(body.start == game.start and body.start_proof == (), Rule.START)
    require(body.first_proof == (), Rule.FIRST_LEAF)
    require(body.last_proof == (), Rule.LAST_LEAF)
    if game.level == NODE:
        require(law.leaf(game.entry, body.value) == side.node, Rule.VALUE)
    else:
        require(is_bounded(body.root), Rule.SUM)
        require(rounded(question_of(law, game, who), number_of(body.root)) == side.value, Rule.SUM)


def _require_row(game: Game, row: tuple[bytes, ...], node: bytes, size: int, arity: int) -> None:
    if size == 0:
        require(row == (), Rule.ROW_LENGTH)
        return
    require(len(row) == len(row_sizes(size, arity)), Rule.ROW_LENGTH)
    if game.level == ELEMENT:
        require(all(map(is_bounded, row)) and sum(map(number_of, row)) == number_of(node), Rule.ROW)
    else:
        require(root_of_row(row, size, arity) == node, Rule.ROW)


def row(state: State, message: Message, body: Row, now: int, params: Params) -> State:
    """The children of a party's node. Hashes prove themselves, so anyone shows them; integers only their party."""
    game = _game(state, message, Stage.NARROW)
    who = game.side_of(body.party)
    side = game.sides[who]
    require(game.level != ELEMENT or message.sender == body.party, Rule.PARTY)
    require(side.row is None, Rule.MOVE_ONCE)
    _require_row(game, body.row, side.node, game.size, state.jobs[game.job].terms.arity)
    game = _with_side(game, who, _moved(replace(side, row=body.row), now))
    return state.with_game(_narrowed(game, state.jobs[game.job], law_of(state, game, params), now))


def show(state: State, message: Message, body: Show, now: int, params: Params) -> State:
    """Anyone shows the one leaf of a party's array in which the first difference lies."""
    game = _game(state, message, Stage.SHOW)
    who = game.side_of(body.party)
    side, law = game.sides[who], law_of(state, game, params)
    require(side.leaf is None, Rule.MOVE_ONCE)
    require(len(body.leaf) == shown_bytes(law, game) and leaf_hash(body.leaf) == side.node, Rule.LEAF)
    game = _with_side(game, who, _moved(replace(side, leaf=body.leaf), now))
    return state.with_game(_at_element(game, law, now))


def _moved(side: Side, now: int) -> Side:
    """The side with its clock stopped."""
    assert side.since is not None, "a side that owes a move has a running clock"
    return replace(side, clock=side.clock - (now - side.since), since=None)


def _with_side(game: Game, who: int, side: Side) -> Game:
    return replace(game, sides=(side, game.sides[1]) if who == SOLVER else (game.sides[0], side))


def _both(game: Game, now: int, stage: Stage) -> Game:
    """Both parties owe the next move."""
    one, other = (replace(side, since=now, row=None) for side in game.sides)
    return replace(game, stage=stage, sides=(one, other))


def _only(game: Game, who: int, now: int, stage: Stage) -> Game:
    """One party owes the next move."""
    one, other = (replace(side, since=now if who == at else None) for at, side in enumerate(game.sides))
    return replace(game, stage=stage, sides=(one, other))


def _narrowed(game: Game, job: Job, law: Law, now: int) -> Game:
    """Once both rows lie there: on to the first child in which they differ, and at a single leaf to what comes next."""
    one, other = (side.row for side in game.sides)
    if one is None or other is None:
        return game
    if () in (one, other):
        return _without_rows(game, now)
    sizes = row_sizes(game.size, job.terms.arity)
    child = first_difference(one, other)
    sides = replace(game.sides[0], node=one[child]), replace(game.sides[1], node=other[child])
    game = replace(game, sides=sides, first=game.first + sum(sizes[:child]), size=sizes[child], rounds=game.rounds + 1)
    return _both(game, now, Stage.NARROW) if game.size > 1 else _at_leaf(game, job, law, now)


def _without_rows(game: Game, now: int) -> Game:
    """An array without elements is judged by its root; who says that there is no value shows why."""
    faulted = [side.tensor == FAULT_ROOT for side in game.sides]
    tensors = [side.tensor or b"" for side in game.sides]
    one, other = (
        replace(side, value=int.from_bytes(tensor, "big")) for side, tensor in zip(game.sides, tensors, strict=True)
    )
    game = replace(game, sides=(one, other))
    return _only(game, faulted.index(True), now, Stage.FAULT) if any(faulted) else _both(game, now, Stage.OPEN)


def _at_leaf(game: Game, job: Job, law: Law, now: int) -> Game:
    """The first difference is one leaf: a step or an entry to enter, bytes to show, a slot or a term to open."""
    if game.level == INTERVAL:
        return _to_step(game, job, law, now)
    if game.level == STEP:
        sides = (replace(game.sides[0], above=game.sides[0].root), replace(game.sides[1], above=game.sides[1].root))
        return _next_level(replace(game, sides=sides, entry=game.first), job, game.first, now)
    if game.level == ELEMENT:
        return _both(game, now, Stage.OPEN)
    if law.leaf_bytes(game.entry, game.first):
        return _both(game, now, Stage.SHOW)
    one, other = (replace(side, value=int.from_bytes(side.node, "big")) for side in game.sides)
    return _both(replace(game, sides=(one, other), element=game.first), now, Stage.OPEN)


def _to_step(game: Game, job: Job, law: Law, now: int) -> Game:
    before = game.first - 1
    assert before >= 0, "leaf 0 of an interval is the agreed start in both roots"
    one, other = (replace(side, above=side.root) for side in game.sides)
    game = replace(game, sides=(one, other), step=game.step + before, start=None)
    return _next_level(game, job, before, now)


def _next_level(game: Game, job: Job, place: int, now: int) -> Game:
    """Down one level: both owe their root of it, and have time to compute it."""
    extension = job.terms.level_extension_s
    one, other = (replace(side, root=None, clock=side.clock + extension) for side in game.sides)
    game = replace(game, sides=(one, other), level=game.level + 1, path=(*game.path, place))
    return _both(game, now, Stage.ENTER)


def _at_element(game: Game, law: Law, now: int) -> Game:
    """Once both leaves lie there: the first element in which they differ is to be opened."""
    one, other = (side.leaf for side in game.sides)
    if one is None or other is None:
        return game
    item = ITEM_BYTES[law.dtype(game.entry)]
    at = next(place for place in range(0, len(one), item) if one[place : place + item] != other[place : place + item])
    first, second = (
        replace(side, value=int.from_bytes(leaf[at : at + item], "little"), leaf=b"")
        for side, leaf in zip(game.sides, (one, other), strict=True)
    )
    game = replace(game, sides=(first, second), element=first_element(law, game) + at // item)
    return _both(game, now, Stage.OPEN)


def open_place(state: State, message: Message, body: Open, now: int, params: Params) -> State:
    """Anyone opens what the disputed place was computed from; the referee judges it, or says what is to be shown."""
    game = _game(state, message, *OPENABLE)
    who = game.side_of(body.party)
    require(game.stage is Stage.OPEN or game.sides[who].since is not None, Rule.PARTY)
    try:
        outcome = judge(question_of(law_of(state, game, params), game, who), body.witness)
    except Refusal as refusal:
        raise Refused(Rule.WITNESS, str(refusal)) from None
    return _judged(state, game, outcome, now)


def _judged(state: State, game: Game, outcome: Outcome, now: int) -> State:
    job = state.jobs[game.job]
    if isinstance(outcome, Burden):
        one, other = (_moved(side, now) for side in game.sides)
        return state.with_game(_only(replace(game, sides=(one, other)), outcome.side, now, Stage.PROVE))
    if isinstance(outcome, Sum):
        one, other = (_moved(side, now) for side in game.sides)
        game = replace(game, sides=(one, other), facts=outcome.facts, terms=outcome.terms)
        return state.with_game(_next_level(game, job, game.element, now))
    return end_game(state, replace(game, wrong=outcome.wrong, truth=outcome.truth, reason=REFEREE))
