"""What every player does: sign, number its moves, and answer a game from public state and its own trace alone."""

from __future__ import annotations

from engine.merkle import leaf_hash
from protocol.game.dispute import level_size
from protocol.game.messages import NOTHING, Body, Enter, Message, Open, Row
from protocol.game.params import Law
from protocol.game.rows import Tree
from protocol.game.types import INTERVAL, Game, Job, Stage
from protocol.identity import Identity, Signed
from protocol.players.trace import Trace
from protocol.service.coordinator import Coordinator, Receipt

MESSAGE_PERIOD_S = 600


class Player:
    """A party with a key, a view of the coordinator and a trace. It keeps nothing that it could not compute again."""

    def __init__(self, identity: Identity, coordinator: Coordinator, trace: Trace) -> None:
        self.identity, self.coordinator, self.trace = identity, coordinator, trace
        self.sent: list[Signed] = []
        self._trees: dict[tuple[int, int], Tree] = {}

    @property
    def address(self) -> str:
        return self.identity.address

    def send(self, body: Body, job: bytes = NOTHING, game: bytes = NOTHING) -> Receipt:
        """Sign and submit the next message."""
        move = self.coordinator.state.next_move(self.address, game)
        deadline = self.coordinator.now + MESSAGE_PERIOD_S
        signed = self.identity.sign(
            Message(self.address, job, game, move, deadline, body), self.coordinator.params.domain
        )
        receipt = self.coordinator.submit(signed)
        self.sent.append(signed)
        return receipt

    def act(self, now: int) -> list[Receipt]:
        """Make every message that is this player's to make now."""
        self.coordinator.advance(now)
        receipts: list[Receipt] = []
        while made := self.next_messages():
            receipts += made
        return receipts

    def next_messages(self) -> list[Receipt]:
        """The next messages, none where nothing is to be done."""
        return self.answer_games()

    def own_jobs(self) -> list[Job]:
        """The public jobs that the trace is of."""
        return [job for job in self.coordinator.state.jobs.values() if job.job == self.trace.job]

    def salt(self, *about: bytes | int) -> bytes:
        """A secret that this key gives again for the same thing, so that nothing is lost in a restart."""
        return self.identity.secret(b"".join(x if isinstance(x, bytes) else x.to_bytes(8, "big") for x in about))

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
        if game.stage is Stage.ENTER:
            return self._enter(game)
        tree = self._tree(game)
        side = game.sides[game.side_of(self.address)]
        if tree.root != side.root:
            return None
        if game.stage is Stage.NARROW:
            return Row(self.address, tree.row(game.first, game.size, self._arity(game)))
        return Open(self.address, self.trace.witness(game.step, game.first, tree))

    def _arity(self, game: Game) -> int:
        return self.coordinator.state.jobs[game.job].terms.arity

    def _enter(self, game: Game) -> Enter | None:
        law, tree = self._law(game), self._tree(game)
        size, start = level_size(law, game), self.trace.state_root(game.step)
        end = game.step + (size - 1 if game.level == INTERVAL else 1)
        value, side = self.trace.state_root(end), game.sides[game.side_of(self.address)]
        if game.start not in (None, start) or leaf_hash(value) != side.node or not self._ends_in(game, tree, value):
            return None
        return Enter(
            value=value,
            root=tree.root,
            start=start,
            start_proof=() if side.above is None else self._interval_tree(game, law.interval).proof(game.path[-1]),
            first_proof=tree.proof(0) if game.level == INTERVAL else (),
            last_proof=tree.proof(size - 1),
            row=tree.row(0, size, self._arity(game)),
        )

    def _ends_in(self, game: Game, tree: Tree, value: bytes) -> bool:
        """Whether the own tree supports the own claim; it does not where the run's files were altered."""
        last = leaf_hash(value) if game.level == INTERVAL else self._law(game).leaf(tree.size - 1, value)
        return tree.levels[0][-1] == last

    def _law(self, game: Game) -> Law:
        job = self.coordinator.state.jobs[game.job]
        return self.coordinator.params.law_of(job.job, job.program)

    def _tree(self, game: Game) -> Tree:
        """The own tree at the level of a game."""
        law = self._law(game)
        if game.level == INTERVAL:
            return self._interval_tree(game, law.interval)
        key = (game.level, game.step)
        if key not in self._trees:
            roots = self.trace.entry_roots(game.step)
            self._trees[key] = Tree([law.leaf(entry, root) for entry, root in enumerate(roots)])
        return self._trees[key]

    def _interval_tree(self, game: Game, interval: int) -> Tree:
        """The own state roots of the interval in which a game is, its start included."""
        first = self.coordinator.state.claims[game.claim].first + game.index * interval
        key = (INTERVAL, first)
        if key not in self._trees:
            last = min(first + interval, self._law(game).steps)
            self._trees[key] = Tree([leaf_hash(self.trace.state_root(step)) for step in range(first, last + 1)])
        return self._trees[key]
