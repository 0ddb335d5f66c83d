"""A coordinator with funded parties, and the few lines by which tests play on it."""

from __future__ import annotations

from pathlib import Path

from protocol.game.messages import NOTHING, Body, Deposit, Message, PostJob
from protocol.game.params import Params, Terms
from protocol.game.types import Game, State
from protocol.identity import Identity, Signed
from protocol.law import law_of
from protocol.players.client import Client
from protocol.players.dishonest import ForgingSolver, ForgingVerifier
from protocol.players.operator import Operator
from protocol.players.player import Player
from protocol.players.solver import Solver
from protocol.players.trace import ProgramTrace, Trace
from protocol.players.verifier import Verifier
from protocol.service.coordinator import Coordinator
from protocol.service.receipts import Receipt
from tests.protocol.toy import OPERATOR, OTHER, SOLVER, SUBMITTER, TERMS, THIRD, VERIFIER, ToyLaw, ToyTrace, toy_params

FUNDS = 10_000
PARTIES = (SUBMITTER, SOLVER, VERIFIER, OTHER, THIRD)


class Trusting(Coordinator):
    """A coordinator that takes unsigned messages: signing in pure Python would be most of a test's time."""

    def check_signature(self, signed: Signed) -> None:
        pass


class Unsigned(Identity):
    """The same address and secrets, without the signatures."""

    def __init__(self, signer: Identity) -> None:
        self._account, self.address = signer._account, signer.address

    def sign(self, message: Message, domain: str) -> Signed:
        return Signed(message, b"")


class Scene:
    """A coordinator in memory (or at a path) on which every party holds 10,000."""

    def __init__(self, params: Params | None = None, path: str | Path = "sqlite://", signing: bool = False) -> None:
        self.params, self.signing = params or toy_params(), signing
        self.coordinator = (Coordinator if signing else Trusting)(path, self.params)
        for party in PARTIES[self.state.next_move(OPERATOR.address, NOTHING) :]:
            self.send(OPERATOR, Deposit(party.address, FUNDS))

    @property
    def state(self) -> State:
        return self.coordinator.state

    @property
    def now(self) -> int:
        return self.coordinator.now

    def signed(self, who: Identity, body: Body, job: bytes = NOTHING, game: bytes = NOTHING, **changes: int) -> Signed:
        move = changes.get("move", self.state.next_move(who.address, game))
        message = Message(who.address, job, game, move, changes.get("deadline", self.now + 600), body)
        return self.identity(who).sign(message, self.params.domain)

    def identity(self, who: Identity) -> Identity:
        return who if self.signing else Unsigned(who)

    def solver(self, trace: Trace, who: Identity = SOLVER) -> Solver:
        return (Solver if is_honest(trace) else ForgingSolver)(self.identity(who), self.coordinator, trace=trace)

    def verifier(self, trace: Trace, who: Identity = VERIFIER) -> Verifier:
        return (Verifier if is_honest(trace) else ForgingVerifier)(self.identity(who), self.coordinator, trace=trace)

    def operator(self) -> Operator:
        return Operator(self.identity(OPERATOR), self.coordinator)

    def send(self, who: Identity, body: Body, job: bytes = NOTHING, game: bytes = NOTHING, **changes: int) -> Receipt:
        return self.coordinator.submit(self.signed(who, body, job, game, **changes))

    def post(self, law: ToyLaw, terms: Terms = TERMS) -> bytes:
        return self.send(SUBMITTER, PostJob(terms, law.job, b"toy", b"toy")).id

    def after(self, seconds: int) -> None:
        self.coordinator.advance(self.now + seconds)

    def balance(self, who: Identity) -> int:
        return self.coordinator.balance(who.address)

    def gain(self, who: Identity) -> int:
        return self.balance(who) + self.coordinator.ledger.locked(who.address) - FUNDS

    def balance_of(self, account: str) -> int:
        return self.coordinator.balance(account)

    def deposit(self, who: Identity, amount: int) -> None:
        self.send(OPERATOR, Deposit(who.address, amount))

    @property
    def game(self) -> Game:
        (game,) = self.state.games.values()
        return game

    def settle(self) -> None:
        """Let time decide what nobody answers."""
        while any(game.open for game in self.state.games.values()):
            self.after(50)

    def play(self, *players: Client, rounds: int = 200) -> None:
        """Let every player act in turn, a second apart, until nobody has anything to say."""
        for _ in range(rounds):
            if not sum(len(player.act(self.now + 1)) for player in players):
                return
        raise AssertionError(f"still playing after {rounds} rounds")


def is_honest(trace: Trace) -> bool:
    return trace.honest if isinstance(trace, ToyTrace) else getattr(trace, "_alter", None) is None


def duel(scene: Scene, solver: ToyTrace, *verifiers: ToyTrace, terms: Terms = TERMS) -> bytes:
    """Post the solver's job and play it to the end of its dispute."""
    job = scene.post(solver.law, terms)
    players: list[Player] = [scene.solver(solver)]
    scene.play(players[0])
    scene.after(terms.bid_period_s)
    players += [scene.verifier(trace, who) for who, trace in zip((VERIFIER, OTHER, THIRD), verifiers, strict=False)]
    scene.play(*players)
    return job


def real_duel(solver: ProgramTrace, verifier: ProgramTrace, terms: Terms = TERMS) -> Game:
    """The one game that two traces of a real job play."""
    scene = Scene(Params("isobit real", OPERATOR.address, law_of, supply=10**9))
    scene.send(SUBMITTER, PostJob(terms, solver.job, solver.program_bytes, solver.data_bytes))
    scene.play(first := scene.solver(solver))
    scene.after(terms.bid_period_s)
    scene.play(first, scene.verifier(verifier))
    scene.settle()
    return scene.game
