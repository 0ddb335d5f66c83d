"""The levels of a dispute: how many leaves each has, what a leaf is, and what the referee is asked at the end."""

from __future__ import annotations

from engine.merkle import leaf_hash
from protocol.game.params import Law, Params, Point, Terms
from protocol.game.types import ELEMENT, INTERVAL, LEVELS, NODE, STEP, Game, Stage, State
from protocol.referee.question import ITEM_BYTES, Phase, Question
from protocol.referee.sums import MAX_SUM

WORD_BYTES = 32


def word(number: int) -> bytes:
    """An integer as 32 bytes: two's complement, the most significant byte first."""
    return number.to_bytes(WORD_BYTES, "big", signed=True)


def number_of(word: bytes) -> int:
    """The integer of 32 bytes."""
    return int.from_bytes(word, "big", signed=True)


def is_bounded(word: bytes) -> bool:
    """Whether a part of a sum is small enough that adding a row of parts never leaves 256 bits."""
    return abs(number_of(word)) < MAX_SUM


def law_of(state: State, game: Game, params: Params) -> Law:
    """The law of a game's job."""
    job = state.jobs[game.job]
    return params.law_of(job.job, job.program, job.data)


def first_level(interval: int) -> int:
    """The level at which a game about an interval begins: one of one step has no level of its own."""
    return INTERVAL if interval > 1 else STEP


def first_step(game: Game) -> int:
    """The first step of the disputed interval: below its level a game stands at one step of it."""
    return game.step - game.path[1] if game.interval > 1 and game.level > INTERVAL else game.step


def level_size(law: Law, game: Game) -> int:
    """The number of leaves of the level that a game is at."""
    if game.level == INTERVAL:
        return game.interval + 1
    if game.level == STEP:
        return law.entries
    return law.size(game.entry) if game.level == NODE else game.terms


def leaf_at(law: Law, level: int, index: int, value: bytes) -> bytes:
    """The leaf hash of a value at a level. Above the first level stands the claim, whose leaves are state roots."""
    return law.leaf(index, value) if level == STEP else leaf_hash(value)


def longest_game_s(terms: Terms, intervals: int) -> int:
    """The most seconds that a game may take while others about `intervals` intervals of the claim are open.

    Somebody's clock always runs, and nobody's is longer than the first one and what each level and each interval adds.
    """
    return 2 * terms.clock_s + terms.level_extension_s * (2 * (len(LEVELS) - 1) + intervals)


def shown_bytes(law: Law, game: Game) -> int:
    """The length of the leaf of an entry's array at which a game stands."""
    return law.leaf_bytes(game.entry, game.first)


def first_element(law: Law, game: Game) -> int:
    """The flat index of the first element of that leaf."""
    return game.first * law.leaf_bytes(game.entry, 0) // ITEM_BYTES[law.dtype(game.entry)]


def point_of(game: Game, who: int) -> Point:
    """The place that a game has narrowed to, as one side opens it."""
    trace = game.sides[who].above if game.level in (NODE, ELEMENT) else game.sides[who].root
    assert game.start is not None and trace is not None, "both sides entered the level of the step"
    term = game.level == ELEMENT
    solver, challenger = (number_of(side.node) if term else side.value for side in game.sides)
    assert solver is not None and challenger is not None, "both sides have shown what they hold"
    tensor = game.sides[who].tensor
    return Point(
        start=game.start,
        step=game.step,
        entry=game.entry,
        root=trace,
        tensor=tensor or b"",
        element=game.element,
        claims=(solver, challenger),
        phase="term" if term else _phase(game),
        facts=game.facts,
        term=game.first if term else 0,
        prover=0 if game.sides[0].since is not None else 1,
    )


def _phase(game: Game) -> Phase:
    if game.stage is Stage.FAULT:
        return "fault"
    return "prove" if game.stage is Stage.PROVE else "open"


def question_of(law: Law, game: Game, who: int) -> Question:
    """What the referee is asked about a game."""
    return law.question(point_of(game, who))
