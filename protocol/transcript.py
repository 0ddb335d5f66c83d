"""What happened in a dispute, for a reader and for a program."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from protocol.game.dispute import level_size
from protocol.game.params import Law, Params
from protocol.game.rows import row_sizes
from protocol.game.types import INTERVAL, LEVELS, PARTIES, STEP, Game, Stage, State


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
    """One game from the claim to the verdict. referee: what it computed again; empty where silence decided."""

    solver: str
    challenger: str
    levels: tuple[Narrowing, ...]
    referee: str
    witness_bytes: int
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
            lines.append(f"referee   computed {game.referee} again from {game.witness_bytes} bytes of openings")
            lines.append(f"          its root is {game.truth}")
        return [*lines, f"verdict   wrong: {', '.join(game.wrong) or 'nobody'} ({game.reason})"]


def _level_line(level: Narrowing) -> str:
    found = (
        f"found in {level.rounds} round{'s' if level.rounds > 1 else ''}" if level.rounds else "found without a round"
    )
    return f"{level.level:9} {level.leaves} leaves; the first that differs is {level.name}, {found}"


def game_transcript(state: State, game: Game, params: Params, witness_bytes: int) -> GameTranscript:
    """The account of one game."""
    job = state.jobs[game.job]
    law = params.law_of(job.job, job.program)
    decided = game.truth is not None
    return GameTranscript(
        solver=game.sides[0].party,
        challenger=game.sides[1].party,
        levels=_levels(state, game, law, job.terms.arity),
        referee=law.name(game.first) if decided else "",
        witness_bytes=witness_bytes if decided else 0,
        truth=game.truth.hex() if game.truth is not None else "",
        wrong=tuple(name for name, wrong in zip(PARTIES, game.wrong, strict=True) if wrong),
        reason=game.reason,
    )


def _levels(state: State, game: Game, law: Law, arity: int) -> tuple[Narrowing, ...]:
    levels = []
    if len(game.path) > 1:
        levels.append(_narrowing(LEVELS[INTERVAL], game.above, arity, game.path[-1] + 1, f"step {game.step}"))
    elif game.level == STEP:
        first = state.claims[game.claim].first
        levels.append(Narrowing("claim", len(state.claims[game.claim].roots), 0, game.index + 1, f"step {game.step}"))
        assert game.step >= first, "a game is about a step of its claim"
    at_entry = game.truth is not None or game.stage is Stage.OPEN or (game.size == 1 and game.level == STEP)
    if at_entry:
        size = level_size(law, game)
        levels.append(_narrowing(LEVELS[STEP], size, arity, game.first, law.name(game.first)))
    return tuple(levels)


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
