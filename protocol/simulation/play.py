"""One scenario from the posting of its job to its end, with every promise checked after every message."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from protocol.game.levels import longest_game_s
from protocol.game.messages import Deposit, PostJob
from protocol.game.params import Params
from protocol.game.types import ClaimStatus, Game, Job, JobStatus, Stage, State
from protocol.game.whistleblowing import is_accusation
from protocol.players.attester import roots_of
from protocol.players.dishonest import ForgingSolver, ForgingVerifier, MiscountingSolver
from protocol.players.operator import Operator
from protocol.players.player import Player
from protocol.players.solver import Solver
from protocol.players.verifier import Verifier
from protocol.service.receipts import Receipt
from protocol.simulation.scenario import Actor, Scenario, scenario_of
from protocol.simulation.tactics import with_tactic
from protocol.simulation.toy import ToyTrace, toy_law_of
from protocol.simulation.world import Party, Wire, World

SUPPLY, FUNDS = 10**9, 10**6
WAKE_S, LONGEST_S = (5, 35), 10**6
OPERATOR, SUBMITTER = Party("operator"), Party("submitter")


class Broken(Exception):
    """A promise that a game did not hold."""


@dataclass
class Report:
    """What came of one scenario."""

    seed: int
    games: int = 0
    attestations: int = 0
    accusations: int = 0
    messages: int = 0
    lost: int = 0
    refused: int = 0
    longest_s: int = 0
    honest_moves: int = 0
    outcome: str = ""


@dataclass
class Referee:
    """Checks the promises while a scenario is played."""

    scenario: Scenario
    honest: dict[str, str]
    opened: dict[bytes, int] = field(default_factory=dict)
    longest_s: int = 0

    def watch(self, before: State, after: State) -> None:
        """After every message: money is constant, nobody is below zero, no honest party is named, ends are final."""
        promise(after.ledger.total == SUPPLY, "money is constant")
        promise(min(after.ledger.balances.values(), default=0) >= 0, "no account is below zero")
        if after.games is not before.games:
            for game in after.games.values():
                if (old := before.games.get(game.id)) is not game:
                    self._game(old, game, after)
        for key, claim in before.claims.items():
            promise(
                claim.status is ClaimStatus.OPEN or after.claims[key].status is claim.status, "a decided claim stays"
            )

    def _game(self, old: Game | None, game: Game, state: State) -> None:
        promise(old is None or old.open, "a finished game stays")
        promise(game.stage is not Stage.DONE or any(game.wrong), "a finished game names who was wrong")
        self.opened.setdefault(game.id, state.now)
        for side, wrong in zip(game.sides, game.wrong, strict=True):
            promise(not (wrong and side.party in self.honest), f"{self.honest.get(side.party)} is not named wrong")
        if not game.open:
            took = state.now - self.opened[game.id]
            self.longest_s = max(self.longest_s, took)
            others = len(state.claims[game.claim].roots)
            promise(took <= longest_game_s(self.scenario.terms, others), "a game ends within its bound")


def promise(kept: object, what: str) -> None:
    """Stop the simulation where a promise is broken."""
    if not kept:
        raise Broken(what)


class Freeloader(Verifier):
    """Objects to nothing by itself: it commits to what another has revealed, and plays that."""

    def objection(self, claim: Any, interval: int) -> tuple[int, bytes] | None:
        """What somebody else said."""
        games = [self.coordinator.state.games[key] for key in claim.games]
        return next(((game.index, game.rival) for game in games if game.open), None)


class Accomplice(ForgingVerifier):
    """Attests what its trace gives and objects to nothing."""

    def objection(self, claim: Any, interval: int) -> tuple[int, bytes] | None:
        """None."""
        return None


class Dropout(Verifier):
    """Buys tickets and attests nothing."""

    def attest(self, job: Job) -> list[Receipt]:
        """A ticket."""
        return self._register(job)


KINDS: dict[str, type[Verifier]] = {
    "liar": ForgingVerifier,
    "freeloader": Freeloader,
    "accomplice": Accomplice,
    "dropout": Dropout,
}
SOLVERS: dict[str, type[Solver]] = {"honest": Solver, "frenemy": Solver, "miscounter": MiscountingSolver}


class Table:
    """A scenario with its world, its players and its clockwork."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.chance = scenario, random.Random(scenario.seed ^ 0x5EED)
        actors = (scenario.solver, *scenario.verifiers)
        self.parties = {actor.name: Party(f"{scenario.seed} {actor.name}") for actor in actors}
        honest = {self.parties[actor.name].address: actor.name for actor in actors if actor.honest}
        self.referee = Referee(scenario, {**honest, SUBMITTER.address: "submitter"})
        params = Params("isobit simulation", OPERATOR.address, toy_law_of, SUPPLY)
        self.world = World(params, scenario.network, self.chance, self.referee.watch)
        self.players: dict[str, Player] = {}
        self.moves = 0
        self._fund()

    def _fund(self) -> None:
        bank = Player(OPERATOR, _Door(self.world), self.scenario.solver.trace)  # type: ignore[arg-type]
        for party in (SUBMITTER, *self.parties.values()):
            bank.send(Deposit(party.address, FUNDS))
        poster = Player(SUBMITTER, _Door(self.world), self.scenario.solver.trace)  # type: ignore[arg-type]
        poster.send(PostJob(self.scenario.terms, self.scenario.law.job, b"toy", b"toy"))

    def _player(self, actor: Actor) -> Player:
        """The player of an actor, made anew after a crash from its key and its trace."""
        if actor.name not in self.players:
            wire: Any = Wire(self.world)
            identity: Any = self.parties[actor.name]
            player: Player
            if actor is self.scenario.solver:
                player = SOLVERS.get(actor.kind, ForgingSolver)(identity, wire, trace=actor.trace)
            else:
                player = KINDS.get(actor.kind, Verifier)(identity, wire, trace=actor.trace)
                player.tickets = actor.tickets
            self.players[actor.name] = player if actor.honest else with_tactic(player, actor.tactic(actor.seed))
        return self.players[actor.name]

    def wake(self, actor: Actor) -> None:
        """A party looks at the public state and sends what is its to send; now and then it has crashed before."""
        self.world.at(self.world.now + self.chance.randint(*WAKE_S), partial(self.wake, actor))
        if self.chance.randrange(1000) < self.scenario.crashes:
            self.players.pop(actor.name, None)
        player = self._player(actor)
        player.coordinator.look()  # type: ignore[attr-defined]
        before = self.world.sent
        player.next_messages()
        self.moves += (self.world.sent - before) * actor.honest

    def _operate(self) -> None:
        """The operator looks, as anew after a crash, and shows what is due of its beacon."""
        self.world.at(self.world.now + self.chance.randint(*WAKE_S), self._operate)
        Operator(OPERATOR, Wire(self.world)).next_messages()  # type: ignore[arg-type]

    def play(self) -> Report:
        """Until the job has ended and nobody has anything left to decide."""
        for actor in (self.scenario.solver, *self.scenario.verifiers):
            self.world.at(self.chance.randint(*WAKE_S), partial(self.wake, actor))
        if self.scenario.draws and self.scenario.terms.attesters:
            self._operate()
        if self.scenario.crashes:
            self.world.at(self.chance.randint(1, 3000), self.world.restart)
        while self.world.now < LONGEST_S and not self._ended():
            self.world.step()
        promise(self._ended(), "a job ends")
        if self.scenario.crashes:
            self.world.restart()
        self._promises()
        return self._report()

    def _ended(self) -> bool:
        state, going = self.world.state, (JobStatus.POSTED, JobStatus.RUNNING, JobStatus.CLOSING)
        ended = all(job.status not in going for job in state.jobs.values())
        return ended and not any(game.open for game in state.games.values())

    def _worth(self, party: Party) -> int:
        ledger = self.world.state.ledger
        return ledger.balance(party.address) + ledger.locked(party.address)

    def _promises(self) -> None:
        """At the end: no wrong claim is final, every right one of an honest solver is, no honest party is poorer."""
        (job,) = self.world.state.jobs.values()
        scenario, truth = self.scenario, ToyTrace(self.scenario.law)
        for key in job.claims:
            claim = self.world.state.claims[key]
            right = claim.roots == roots_of(truth, job.interval, claim.first, claim.last)
            promise(right or claim.status is not ClaimStatus.FINAL, "no wrong claim is final")
        # Where every bid was lost on the way the job is void, and nobody has lost anything.
        ended = (JobStatus.DONE, JobStatus.VOID)
        promise(not scenario.solver.honest or job.status in ended, "an honest solver's job is done")
        for actor in (scenario.solver, *scenario.verifiers):
            gain = self._worth(self.parties[actor.name]) - FUNDS
            promise(not actor.honest or gain >= 0, f"{actor.name} ends no poorer")
            promise(gain <= 0 or not self._only_copies(actor), f"{actor.name} earns nothing")
        paid = scenario.terms.price if job.status is JobStatus.DONE else 0
        paid = max(paid, job.price) + scenario.terms.attesters * scenario.terms.attestation_fee
        promise(self._worth(SUBMITTER) >= FUNDS - paid, "the submitter pays the price and the fees at most")
        open_locks = [held for held in self.world.state.ledger.reserved.values() if held.open]
        promise(not open_locks, "every lock is resolved")

    def _only_copies(self, actor: Actor) -> bool:
        """Whether an honest party had committed to everything that a freeloader says, before it did."""
        games = list(self.world.state.games.values())
        own = [game for game in games if game.sides[1].party == self.parties[actor.name].address]
        honest = [game for game in games if game.sides[1].party in self.referee.honest]
        return actor.kind == "freeloader" and all(
            any((said.index, said.rival) == (game.index, game.rival) and said.order < game.order for said in honest)
            for game in own
        )

    def _report(self) -> Report:
        (job,) = self.world.state.jobs.values()
        world, state = self.world, self.world.state
        slots = [slot for claim in state.claims.values() for slot in claim.slots]
        return Report(
            seed=self.scenario.seed,
            games=len(state.games),
            attestations=sum(slot.attested is not None for slot in slots),
            accusations=sum(is_accusation(state, game) for game in state.games.values()),
            messages=len(world.log),
            lost=world.lost,
            refused=world.refused,
            longest_s=self.referee.longest_s,
            honest_moves=self.moves,
            outcome=job.status.value,
        )


class _Door(Wire):
    """The coordinator's own door: nothing is lost at it."""

    def submit(self, signed: Any) -> None:
        self._world.deliver(signed.message)
        self.look()

    def look(self) -> None:
        self.state = self._world.state


def play_seed(seed: int) -> Report:
    """Play the scenario of a seed; Broken where a promise is."""
    return Table(scenario_of(seed)).play()
