"""What happened in a dispute, for a reader and for a program."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engine.merkle import LEAF_SIZE
from protocol.game.levels import number_of
from protocol.game.params import Law, Params
from protocol.game.rows import row_sizes
from protocol.game.types import ELEMENT, NODE, PARTIES, Game, State
from protocol.game.verdict import REFEREE
from protocol.referee.question import ITEM_BYTES


@dataclass(frozen=True, slots=True)
class Sent:
    """One message on the wire."""

    sender: str
    kind: str
    bytes: int
    now: int


@dataclass(frozen=True, slots=True)
class Narrowing:
    """One level: how many leaves both parties committed to, and which one is the first that differs."""

    level: str
    leaves: int
    rounds: int
    first_difference: int
    name: str


@dataclass(frozen=True, slots=True)
class GameTranscript:
    """One game from the claim to the verdict.

    referee: the place that it judged; empty where silence decided; truth: the value it computed there, if it did
    """

    solver: str
    challenger: str
    levels: tuple[Narrowing, ...]
    referee: str
    witness_bytes: int
    claims: tuple[str, str]
    truth: str
    wrong: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """A whole dispute.

    payouts: what each account has more, or less, at the end than at the start, locked money counted as its owner's
    names:   address -> who it is
    """

    messages: tuple[Sent, ...]
    games: tuple[GameTranscript, ...]
    claims: dict[str, str]
    payouts: dict[str, int]
    names: dict[str, str]

    @property
    def disputed(self) -> bool:
        """Whether any claim was challenged."""
        return bool(self.games)

    @property
    def rounds(self) -> int:
        """Rounds of narrowing, over all games."""
        return sum(level.rounds for game in self.games for level in game.levels)

    @property
    def bytes(self) -> int:
        """Bytes on the wire, signatures included."""
        return sum(message.bytes for message in self.messages)

    def to_json(self) -> dict[str, Any]:
        """The same in lists, strings and integers."""
        return {**asdict(self), "disputed": self.disputed, "rounds": self.rounds, "bytes": self.bytes}

    def __str__(self) -> str:
        if not self.disputed:
            return "no difference: nothing to dispute"
        lines = [line for game in self.games for line in self._game_lines(game)]
        lines.append(f"rounds    {self.rounds}, with {len(self.messages)} messages of {self.bytes} bytes in all")
        lines += [f"claim     {status}" for status in self.claims.values()]
        lines += [f"{self._name(account):9} {change:+d}" for account, change in self.payouts.items()]
        return "\n".join(lines)

    def _name(self, account: str) -> str:
        return self.names.get(account, account)

    def _game_lines(self, game: GameTranscript) -> list[str]:
        lines = [f"parties   {self._name(game.solver)} {game.solver}, {self._name(game.challenger)} {game.challenger}"]
        lines += [_level_line(level) for level in game.levels]
        if game.referee:
            lines.append(f"referee   judged {game.referee} from {game.witness_bytes} bytes of openings")
        if game.truth:
            lines.append(
                f"          the solver says {game.claims[0]}, the challenger {game.claims[1]}; it is {game.truth}"
            )
        return [*lines, f"verdict   wrong: {', '.join(game.wrong) or 'nobody'} ({game.reason})"]


def _level_line(level: Narrowing) -> str:
    found = (
        f"found in {level.rounds} round{'s' if level.rounds > 1 else ''}" if level.rounds else "found without a round"
    )
    return f"{level.level:9} {level.leaves} leaves; the first that differs is {level.name}, {found}"


def game_transcript(state: State, game: Game, params: Params, witness_bytes: int) -> GameTranscript:
    """The account of one game."""
    job = state.jobs[game.job]
    law = params.law_of(job.job, job.program, job.data)
    decided = game.reason == REFEREE
    return GameTranscript(
        solver=game.sides[0].party,
        challenger=game.sides[1].party,
        levels=_levels(state, game, law, job.terms.arity),
        referee=place_name(law, game) if decided else "",
        witness_bytes=witness_bytes if decided else 0,
        claims=_claims(law, game),
        truth="" if game.truth is None or not decided else _value_text(law, game, game.truth),
        wrong=tuple(name for name, wrong in zip(PARTIES, game.wrong, strict=True) if wrong),
        reason=game.reason,
    )


def place_name(law: Law, game: Game) -> str:
    """The place to which a game has narrowed, for a reader."""
    entry = law.name(game.entry)
    if law.size(game.entry) and not law.leaf_bytes(game.entry, 0):
        return f"{entry}, slot {game.element}"
    place = f"{entry}, element {game.element}"
    return f"{place}, term {game.first}" if game.level == ELEMENT else place


def _claims(law: Law, game: Game) -> tuple[str, str]:
    values = [number_of(side.node) if game.level == ELEMENT else side.value for side in game.sides]
    one, other = ("" if value is None else _value_text(law, game, value) for value in values)
    return one, other


def _value_text(law: Law, game: Game, value: int) -> str:
    """A term as an integer, an element or a hash as its bits."""
    if game.level == ELEMENT:
        return str(value)
    shown = law.leaf_bytes(game.entry, 0)
    return f"0x{value:0{2 * ITEM_BYTES[law.dtype(game.entry)] if shown else 64}x}"


def _levels(state: State, game: Game, law: Law, arity: int) -> tuple[Narrowing, ...]:
    """Every level that was left: what stood there, and the first leaf that differs."""
    claim, levels = state.claims[game.claim], []
    places = game.path[1:]
    if game.interval > 1:
        if places:
            levels.append(_narrowing("interval", game.interval + 1, arity, places[0] + 1, f"step {game.step}"))
        places = places[1:]
    else:
        levels.append(Narrowing("claim", len(claim.roots), 0, game.index + 1, f"step {game.step}"))
    if places:
        levels.append(_narrowing("step", law.entries, arity, places[0], law.name(places[0])))
        levels += _inner_levels(law, game, arity)
    return tuple(levels)


def _inner_levels(law: Law, game: Game, arity: int) -> list[Narrowing]:
    """The leaves of the entry's tree, and the terms of its element, where the game came that far."""
    levels, shown = [], law.leaf_bytes(game.entry, 0)
    leaf = game.first if game.level == NODE else game.path[-1] * ITEM_BYTES[law.dtype(game.entry)] // LEAF_SIZE
    if law.size(game.entry) and game.sides[0].value is not None:
        name = f"the one with element {game.element}" if shown else f"slot {game.element}"
        levels.append(_narrowing("node", law.size(game.entry), arity, leaf, name))
    if game.level == ELEMENT and game.size == 1:
        levels.append(_narrowing("element", game.terms, arity, game.first, f"term {game.first}"))
    return levels


def _narrowing(level: str, leaves: int, arity: int, index: int, name: str) -> Narrowing:
    return Narrowing(level, leaves, rounds_to(leaves, arity, index), index, name)


def rounds_to(size: int, arity: int, index: int) -> int:
    """The rounds by which a range of leaves narrows to one index; one at least, in which the level is entered."""
    rounds = 0
    while size > 1 or rounds == 0:
        rounds += 1
        for size in row_sizes(size, arity):  # noqa: B020
            if index < size:
                break
            index -= size
    return rounds
