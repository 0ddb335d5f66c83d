"""What a seed stands for: a job, a network, and who takes part how."""

from __future__ import annotations

import random
from dataclasses import dataclass

from protocol.game.params import ARITIES, Terms
from protocol.simulation.tactics import TACTICS, Tactic
from protocol.simulation.toy import ToyLaw, ToyTrace, digest
from protocol.simulation.world import Network

# How many liars: (the most, weight).
CROWDS = ((1, 60), (4, 30), (12, 9), (50, 1))


@dataclass(frozen=True)
class Actor:
    """One challenger.

    kind: honest; liar (its trace is wrong); frenemy (its trace is right and its play is not); freeloader (waits for
          another's challenge and plays it as its own); accomplice (attests the solver's run, and objects to nothing);
          dropout (buys tickets and keeps silent when it is drawn); miscounter (its trace is right, and its claims hold
          the states of another interval than its bid)
    tickets: that it buys where the job has attesters
    """

    name: str
    kind: str
    trace: ToyTrace
    tactic: type[Tactic]
    seed: int
    tickets: int = 0

    @property
    def honest(self) -> bool:
        return self.kind == "honest"


@dataclass(frozen=True)
class Scenario:
    """A job with everyone who takes part in it.

    crashes: of 1000 wakings of a party, and of the coordinator; draws: whether the operator shows its beacon
    """

    seed: int
    law: ToyLaw
    terms: Terms
    network: Network
    crashes: int
    solver: Actor
    verifiers: tuple[Actor, ...]
    draws: bool


def scenario_of(seed: int) -> Scenario:
    """The scenario of a seed, the same wherever it is drawn."""
    chance = random.Random(seed)
    law = ToyLaw(
        steps := chance.randint(1, 10), chance.randint(1, min(4, steps)), chance.randint(1, 9), chance.random() < 0.5
    )
    interval = chance.randint(*law.intervals)
    solver = _solver(chance, law, interval)
    verifiers = [
        Actor(f"honest {number}", "honest", ToyTrace(law), Tactic, 0, chance.randint(0, 2))
        for number in range(_honest(chance, solver))
    ]
    most = chance.choices([most for most, _ in CROWDS], [weight for _, weight in CROWDS])[0]
    for number in range(chance.randint(1 if solver.honest else 0, most)):
        verifiers.append(_dishonest(chance, law, solver, interval, number))
    network = Network(
        chance.choice((0, 50, 300)), chance.choice((0, 100)), chance.choice((0, 3, 10)), chance.randint(0, 4)
    )
    terms, crashes, draws = _terms(chance, law), chance.choice((0, 0, 50)), chance.random() < 0.9
    return Scenario(seed, law, terms, network, crashes, solver, tuple(verifiers), draws)


def _honest(chance: random.Random, solver: Actor) -> int:
    """The honest verifiers: one at least where the solver is not."""
    return chance.randint(0, 1) if solver.honest else chance.randint(1, 2)


def _solver(chance: random.Random, law: ToyLaw, interval: int) -> Actor:
    kind = chance.choices(("honest", "liar", "frenemy", "miscounter"), (8, 11, 1, 1))[0]
    if kind == "frenemy":
        right = ToyTrace(law, interval=interval)
        return Actor("solver", kind, right, chance.choice(TACTICS[1:]), chance.randrange(2**32))
    if kind != "liar":
        return Actor("solver", kind, ToyTrace(law, interval=interval), Tactic, 0)
    return Actor("solver", kind, _wrong(chance, law, interval), chance.choice(TACTICS), chance.randrange(2**32))


def _wrong(chance: random.Random, law: ToyLaw, interval: int) -> ToyTrace:
    """A trace with one or two lies; now and then a right trace with a bent commitment and a bent end."""
    places = [(chance.randrange(law.steps), chance.randrange(law.entries)) for _ in range(chance.randint(1, 2))]
    lies = {place: digest(b"lie", chance.randrange(6)) for place in places}
    if chance.random() < 0.8:
        return ToyTrace(law, lies, interval=interval)
    last = min((places[0][0] // interval + 1) * interval, law.steps) - 1
    patches = {places[0]: digest(b"patch"), (last, law.entries - 1): digest(b"end")}
    return ToyTrace(law, patches=patches, interval=interval)


def _dishonest(chance: random.Random, law: ToyLaw, solver: Actor, interval: int, number: int) -> Actor:
    kind = chance.choices(("liar", "frenemy", "freeloader", "accomplice", "dropout"), (6, 2, 2, 2, 1))[0]
    trace = _wrong(chance, law, interval) if kind == "liar" else solver.trace if kind == "accomplice" else ToyTrace(law)
    tactic = chance.choice(TACTICS[1:] if kind in ("frenemy", "dropout") else TACTICS)
    tickets = 0 if kind == "freeloader" else chance.randint(0, 2)  # so that all its money comes from copies
    name, how = f"{kind} {number}", Tactic if kind == "freeloader" else tactic
    return Actor(name, kind, trace, how, chance.randrange(2**32), tickets)


def _terms(chance: random.Random, law: ToyLaw) -> Terms:
    """Terms under which a message that is lost a few times still comes in time."""
    whole = chance.randint(1, -(-law.steps // law.interval)) * law.interval
    slots = chance.choice((0, 0, 1, 2, 4))
    return Terms(
        price=chance.randint(1, 2000),
        solver_bond=chance.randint(2, 1001),
        challenge_bond=chance.randint(2, 301),
        challenge_bond_rise=chance.randint(0, 20),
        abandon_fee=0,
        segment=whole,
        claims_ahead=chance.randint(1, 4),
        arity=chance.choice(ARITIES),
        bid_period_s=200,
        claim_period_s=2000,
        reveal_period_s=400,
        challenge_period_s=1500,
        clock_s=1500,
        move_period_s=400,
        level_extension_s=chance.randint(1, 400),
        attesters=slots,
        attestation_fee=chance.randint(1, 100) if slots else 0,
        attester_bond=chance.randint(2, 301) if slots else 0,
        attestation_period_s=400 if slots else 1,
    )
