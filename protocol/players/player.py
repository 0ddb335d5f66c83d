"""What every player does: answer a game from public state and its own trace alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.merkle import leaf_hash
from protocol.game.levels import law_of, leaf_at, number_of, question_of, word
from protocol.game.messages import NOTHING, Body, Enter, Open, Row, Show
from protocol.game.params import Law
from protocol.game.rows import Tree, row_sizes
from protocol.game.types import ELEMENT, INTERVAL, NODE, STEP, Game, Job, Side, Stage
from protocol.identity import Identity
from protocol.players.answers import Answers
from protocol.players.client import Client
from protocol.players.trace import Trace
from protocol.referee.judge import FAULT_ROOT
from protocol.referee.sums import rounded
from protocol.service.coordinator import Coordinator
from protocol.service.receipts import Receipt


class Player(Client):
    """A party with a key, a view of the coordinator and a trace. It keeps nothing that it could not compute again."""

    def __init__(self, identity: Identity, coordinator: Coordinator, trace: Trace) -> None:
        super().__init__(identity, coordinator)
        self.trace = trace
        self._trees: dict[tuple[int, int], Tree] = {}
        self._sums: dict[tuple[bytes, tuple[int, ...]], Sequence[int]] = {}

    def next_messages(self) -> list[Receipt]:
        """The next messages, none where nothing is to be done."""
        return self.answer_games()

    def own_jobs(self) -> list[Job]:
        """The public jobs that the trace is of."""
        return [job for job in self.coordinator.state.jobs.values() if job.job == self.trace.job]

    def answer_games(self) -> list[Receipt]:
        """Answer every game in which this player owes a move that its trace supports."""
        jobs = {job.id for job in self.own_jobs()}
        receipts = []
        for game in list(self.coordinator.state.games.values()):
            if game.open and game.job in jobs and self._owes(game):
                receipts += self._answer(self.coordinator.state.games[game.id])
        return receipts

    def _owes(self, game: Game) -> bool:
        return any(side.party == self.address and side.since is not None for side in game.sides)

    def _answer(self, game: Game) -> list[Receipt]:
        if not game.open or not self._owes(game):
            return []
        body = self.move(game)
        return [] if body is None else [self.send(body, game.job, game.id)]

    def move(self, game: Game) -> Body | None:
        """The one right move of a game, or none where the own trace does not support it: a player never guesses."""
        side = game.sides[game.side_of(self.address)]
        if game.stage is Stage.ENTER:
            return self._enter_element(game) if game.level == ELEMENT else self._enter(game)
        if not self._supports(game, side):
            return None
        match game.stage:
            case Stage.NARROW:
                return Row(self.address, self._row(game))
            case Stage.SHOW:
                return Show(self.address, self.trace.tensor(game.step, game.entry).leaf(game.first))
        witness = self._answers(game).witness(question_of(self._law(game), game, game.side_of(self.address)))
        return None if witness is None else Open(self.address, witness)

    def _supports(self, game: Game, side: Side) -> bool:
        """Whether the own trace is the one that this party committed to at this level."""
        if game.level == ELEMENT:
            return number_of(side.root or b"") == sum(self._terms(game))
        if game.level == NODE:
            return self.trace.entry_roots(game.step)[game.entry] == side.root
        return self._tree(game).root == side.root

    def _row(self, game: Game) -> tuple[bytes, ...]:
        arity = self._arity(game)
        if game.level != ELEMENT:
            return self._tree(game).row(game.first, game.size, arity)
        parts, first, terms = [], game.first, self._terms(game)
        for size in row_sizes(game.size, arity):
            parts.append(word(sum(terms[first : first + size])))
            first += size
        return tuple(parts)

    def _arity(self, game: Game) -> int:
        return self.coordinator.state.jobs[game.job].terms.arity

    def _enter(self, game: Game) -> Enter | None:
        law, side = self._law(game), game.sides[game.side_of(self.address)]
        value = self._value_above(game, law)
        above = law.leaf(game.entry, value) if game.level == NODE else leaf_hash(value)
        start = self.trace.state_root(game.step)
        if game.start not in (None, start) or above != side.node:
            return None
        if game.level == NODE:
            row = () if value == FAULT_ROOT or not law.size(game.entry) else self._whole_row(game)
            return Enter(value, value, start, (), (), (), row)
        tree = self._tree(game)
        if not self._ends_in(game, tree, value):
            return None
        return Enter(
            value=value,
            root=tree.root,
            start=start,
            start_proof=() if side.above is None else self._interval_tree(game).proof(game.path[-1]),
            first_proof=tree.proof(0) if game.level == INTERVAL else (),
            last_proof=tree.proof(tree.size - 1),
            row=self._whole_row(game),
        )

    def _whole_row(self, game: Game) -> tuple[bytes, ...]:
        return self._tree(game).row(0, self._tree(game).size, self._arity(game))

    def _value_above(self, game: Game, law: Law) -> bytes:
        """What the own trace holds at the leaf that the game has narrowed to on the level above."""
        if game.level == NODE:
            return self.trace.entry_roots(game.step)[game.entry]
        return self.trace.state_root(game.step + (game.interval if game.level == INTERVAL else 1))

    def _enter_element(self, game: Game) -> Enter | None:
        law, who = self._law(game), game.side_of(self.address)
        terms = self._terms(game)
        if rounded(question_of(law, game, who), sum(terms)) != game.sides[who].value:
            return None
        root = word(sum(terms))
        first = replace(game, first=0, size=game.terms)
        return Enter(root, root, game.start or NOTHING, (), (), (), self._row(first))

    def _ends_in(self, game: Game, tree: Tree, value: bytes) -> bool:
        """Whether the own tree supports the own claim; it does not where the run's files were altered."""
        return tree.levels[0][-1] == leaf_at(self._law(game), game.level, tree.size - 1, value)

    def _answers(self, game: Game) -> Answers:
        """What the own trace says about the place of a game."""
        return Answers(self.trace, game.step, game.entry, self._step_tree(game))

    def _terms(self, game: Game) -> Sequence[int]:
        """The terms of the disputed element, from the own operands."""
        key = (game.claim, game.path)
        if key not in self._sums:
            question = question_of(self._law(game), game, game.side_of(self.address))
            self._sums = {key: self._answers(game).terms(question)}
        return self._sums[key]

    def _law(self, game: Game) -> Law:
        return law_of(self.coordinator.state, game, self.coordinator.params)

    def _tree(self, game: Game) -> Tree:
        """The own tree at the level of a game."""
        law = self._law(game)
        if game.level == INTERVAL:
            return self._interval_tree(game)
        if game.level == STEP:
            return self._step_tree(game)
        if law.leaf_bytes(game.entry, 0):
            return self.trace.tensor(game.step, game.entry).tree
        return Tree(self.trace.slot_hashes(game.step))

    def _step_tree(self, game: Game) -> Tree:
        key = (STEP, game.step)
        if key not in self._trees:
            law, roots = self._law(game), self.trace.entry_roots(game.step)
            self._trees[key] = Tree([law.leaf(entry, root) for entry, root in enumerate(roots)])
        return self._trees[key]

    def _interval_tree(self, game: Game) -> Tree:
        """The own state roots of the interval in which a game is, its start included; computed only for a dispute."""
        state = self.coordinator.state
        first = state.claims[game.claim].first + game.index * state.jobs[game.job].interval
        key = (INTERVAL, first)
        if key not in self._trees:
            steps = range(first, first + game.interval + 1)
            self._trees[key] = Tree([leaf_hash(self.trace.state_root(step)) for step in steps])
        return self._trees[key]
