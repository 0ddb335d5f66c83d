"""What is fixed before a game begins: the terms of a job, the law it runs under, and the limits of the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Protocol

from protocol.game.rules import Rule, require
from protocol.referee.question import Phase, Question

ARITIES = (2, 4, 8, 16, 32)
MAX_INTEGER = 2**63 - 1
MAX_PERIOD_S = 2**32
MAX_CLAIMS_AHEAD = 64
MAX_ATTESTERS = 64
MAX_LINKS = 2**18  # of a beacon: the operator computes them all before it anchors them


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything of a job that decides money and time; frozen with the job. Money in units, time in seconds.

    price:               for all steps; a claim is paid in proportion to its steps when it is final
    solver_bond:         locked by a bid
    challenge_bond:      locked by a challenge; challenge_bond_rise is added per challenge that the claim already has
    abandon_fee:         from the bond of a solver that stops, to the submitter
    segment:             the most steps of one claim; claims_ahead: claims that may wait for finality at once
    arity:               children a row
    clock_s:             a party's whole thinking time in a game; move_period_s: the most for one move
    level_extension_s:   added to both clocks when a level is entered
    attesters:           slots of a claim for attestations; 0: there are none
    attestation_fee:     of one slot for all steps; a right attestation is paid in proportion to the claim's steps
    attester_bond:       locked by a ticket, which is drawn for at most one slot at a time
    attestation_period_s: for the draw, then for the commitments, then for the reveals; covers a segment's replay
    """

    price: int
    solver_bond: int
    challenge_bond: int
    challenge_bond_rise: int
    abandon_fee: int
    segment: int
    claims_ahead: int
    arity: int
    bid_period_s: int
    claim_period_s: int
    reveal_period_s: int
    challenge_period_s: int
    clock_s: int
    move_period_s: int
    level_extension_s: int
    attesters: int = 0
    attestation_fee: int = 0
    attester_bond: int = 0
    attestation_period_s: int = 1


def require_terms(terms: Terms) -> None:
    """Refuse terms under which some state has no exit, some payment no cover, or some clock no time."""
    for item in fields(terms):
        value = getattr(terms, item.name)
        require(type(value) is int and 0 <= value <= MAX_INTEGER, Rule.TERMS, item.name)
        require(not item.name.endswith("_s") or 1 <= value <= MAX_PERIOD_S, Rule.TERMS, item.name)
    require(terms.price >= 1, Rule.TERMS, "price")
    require(terms.solver_bond >= 2, Rule.TERMS, "solver_bond")
    require(terms.challenge_bond >= 2, Rule.TERMS, "challenge_bond")
    require(terms.abandon_fee <= terms.solver_bond, Rule.TERMS, "abandon_fee exceeds solver_bond")
    require(terms.arity in ARITIES, Rule.TERMS, "arity")
    require(terms.segment >= 1, Rule.TERMS, "segment")
    require(1 <= terms.claims_ahead <= MAX_CLAIMS_AHEAD, Rule.TERMS, "claims_ahead")
    require(terms.move_period_s <= terms.clock_s, Rule.TERMS, "move_period_s exceeds clock_s")
    require(terms.level_extension_s <= terms.clock_s, Rule.TERMS, "level_extension_s exceeds clock_s")
    _require_attestation(terms)


def _require_attestation(terms: Terms) -> None:
    if terms.attesters == 0:
        require((terms.attestation_fee, terms.attester_bond) == (0, 0), Rule.TERMS, "money for no attesters")
        return
    require(terms.attesters <= MAX_ATTESTERS, Rule.TERMS, "attesters")
    require(1 <= terms.attestation_fee <= MAX_INTEGER // terms.attesters, Rule.TERMS, "attestation_fee")
    require(terms.attester_bond >= 2, Rule.TERMS, "attester_bond")
    require(terms.attestation_period_s <= terms.challenge_period_s, Rule.TERMS, "attestation_period_s")


@dataclass(frozen=True, slots=True)
class Point:
    """The one place before which two parties agree, as one of them opens it.

    start:   the state root before the step, agreed
    root:    the step root of that party; every leaf of it before `entry` is agreed
    tensor:  its root of the entry; every element of it before `element` (of the post-state: a slot) is agreed
    claims, phase, facts, term, prover: as in a Question
    """

    start: bytes
    step: int
    entry: int
    root: bytes
    tensor: bytes
    element: int
    claims: tuple[int, int]
    phase: Phase
    facts: tuple[int, ...] = ()
    term: int = 0
    prover: int = 0


class Law(Protocol):
    """What a job computes, as far as the game needs to know."""

    @property
    def start(self) -> bytes:
        """The root of the state before the first step."""
        ...

    @property
    def steps(self) -> int:
        """The number of steps."""
        ...

    @property
    def intervals(self) -> tuple[int, int]:
        """The fewest and the most steps between two committed states that a bid may name."""
        ...

    @property
    def entries(self) -> int:
        """The number of leaves of a step's trace."""
        ...

    def leaf(self, entry: int, value: bytes) -> bytes:
        """The leaf hash of a step's entry whose root is `value`."""
        ...

    def size(self, entry: int) -> int:
        """The leaves under an entry's root: of 1 KiB of its array, of the post-state its slots."""
        ...

    def leaf_bytes(self, entry: int, leaf: int) -> int:
        """The length of a leaf of an entry's array; 0 where leaves are slots, which are compared by their hashes."""
        ...

    def dtype(self, entry: int) -> str:
        """The dtype of an entry's array."""
        ...

    def question(self, point: Point) -> Question:
        """What the referee is asked about a place."""
        ...

    def name(self, entry: int) -> str:
        """What stands at an entry, for a reader."""
        ...


@dataclass(frozen=True, slots=True)
class Params:
    """The limits of one service.

    domain:   signatures bind it, so that a message to one service is worthless at another
    operator: the address that moves money in
    supply:   all the money there will be
    coordinator: the address that signs receipts; empty where the coordinator is in the client's own process
    law_of:   (job bytes, program bytes, bytes of the data set's fields) -> Law; a ValueError for anything invalid
    """

    domain: str
    operator: str
    law_of: Callable[[bytes, bytes, bytes], Law]
    supply: int = MAX_INTEGER
    coordinator: str = ""
