"""The state of the game: jobs, claims, disputes, money, and which moves were made."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any

from engine.canonical import to_canonical
from engine.merkle import leaf_hash, root_of
from protocol.game.ledger import Ledger, opened
from protocol.game.params import Params, Terms
from protocol.game.rules import Rule, require

SOLVER, CHALLENGER = 0, 1
PARTIES = ("solver", "challenger")
INTERVAL, STEP, NODE, ELEMENT = 0, 1, 2, 3
LEVELS = ("interval", "step", "node", "element")
HASHED_ABOVE = 256


class JobStatus(StrEnum):
    POSTED = "posted"
    RUNNING = "running"
    CLOSING = "closing"  # the solver stopped; its claims run on to their end
    DONE = "done"
    FAULTED = "faulted"  # the program has no value at some step: paid up to there
    ABANDONED = "abandoned"
    REFUTED = "refuted"
    VOID = "void"  # nobody bid


class ClaimStatus(StrEnum):
    OPEN = "open"
    FINAL = "final"
    REJECTED = "rejected"
    VOID = "void"


class Stage(StrEnum):
    ENTER = "enter"  # both post their root of the next level
    NARROW = "narrow"  # both show the children of their node
    SHOW = "show"  # both show the one leaf of an entry's array
    OPEN = "open"  # the place is opened for the referee
    PROVE = "prove"  # one side has to show what only it can show
    FAULT = "fault"  # one side has to show that the law gives no value
    DONE = "done"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Bid:
    solver: str
    price: int
    interval: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """One bond in a job's pool of attesters."""

    number: int
    attester: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A drawn ticket. seal: its commitment, once made; attested: the id of the claim that it stands for, once shown."""

    ticket: int
    attester: str
    seal: bytes | None = None
    attested: bytes | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A commitment that waits for its reveal. key, order: of a challenge's bond, and among the claim's challenges.

    opens: when the roots of a claim may be shown at the latest; drawn, slots: its attesters
    """

    sender: str
    commitment: bytes
    deadline: int
    first: int = 0
    last: int = 0
    key: str = ""
    order: int = 0
    opens: int = 0
    drawn: bool = False
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """A posted job. deadline: when the bidding, or the time for the next claim, ends.

    price, interval: of the accepted bid; interval: steps between two committed states, the last one may be shorter
    beacon:  the last link that the operator showed; tickets: the pool of attesters; issued: tickets so far
    forfeit: the solver did not show what it had committed to before attesters
    """

    id: bytes
    submitter: str
    terms: Terms
    job: bytes
    program: bytes
    data: bytes
    status: JobStatus
    deadline: int
    tip: bytes
    bids: tuple[Bid, ...] = ()
    solver: str = ""
    price: int = 0
    interval: int = 0
    claimed_to: int = 0
    final_to: int = 0
    claims: tuple[bytes, ...] = ()
    sealed: Sealed | None = None
    beacon: bytes = b""
    tickets: tuple[Ticket, ...] = ()
    issued: int = 0
    forfeit: bool = False

    @property
    def escrow(self) -> str:
        return f"escrow:{self.id.hex()}"

    @property
    def fees(self) -> str:
        return f"fees:{self.id.hex()}"

    def ticket(self, number: int) -> str:
        return f"ticket:{self.id.hex()}:{number}"

    def bond(self, solver: str) -> str:
        return f"bond:{self.id.hex()}:{solver}"


@dataclass(frozen=True, slots=True)
class Claim:
    """Roots that a solver stands for: the program leads from each leaf to the next. ends: of the challenge period.

    slots: its attesters; attested_by: when the last of them must have shown its attestation
    """

    id: bytes
    job: bytes
    solver: str
    first: int
    last: int
    roots: tuple[bytes, ...]
    ends: int
    status: ClaimStatus = ClaimStatus.OPEN
    sealed: tuple[Sealed, ...] = ()
    games: tuple[bytes, ...] = ()
    bonds: int = 0
    slots: tuple[Slot, ...] = ()
    attested_by: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """One party in a game.

    node:   the party's subtree that holds the first difference: its hash, in an element its sum as a word
    root:   over its leaves at this level, once it entered; above: of the level that holds the last path's leaf
    tensor: the root of the disputed entry; value: what it holds at the disputed place, as an integer
    row:    the children of node, once it gave them this round; leaf: the bytes of the leaf, once it showed them
    since:  when its clock began to run; None while it owes nothing
    """

    party: str
    node: bytes
    clock: int
    since: int | None
    root: bytes | None = None
    above: bytes | None = None
    row: tuple[bytes, ...] | None = None
    tensor: bytes | None = None
    leaf: bytes | None = None
    value: int | None = None

    def due(self, terms: Terms) -> int | None:
        """When silence loses."""
        return None if self.since is None else self.since + min(self.clock, terms.move_period_s)


@dataclass(frozen=True, slots=True)
class Game:
    """A dispute between a claim's solver, or one who attested it, and one challenger about one interval.

    rival:       the challenger's root for leaf index + 1 of the claim; order: of its commitment among the claim's
    start:       the state root before the range in question, once it is known
    before:      the challenges that the claim had when this one was shown
    step:        the first step of that range; from level `step` on, the step itself
    path:        the interval, then the place of the step in it, of the entry in the step, of the element in the entry
    interval:    the steps of the disputed interval
    first, size: of the range of leaves that still holds the first difference, at this level
    entry:       from level `node` on, the entry of the step; element: the flat index in its array, or the slot
    facts:       what the referee established; terms: of the element's sum
    wrong:       in the end, whether the solver, and whether the challenger, was proven wrong
    """

    id: bytes
    job: bytes
    claim: bytes
    index: int
    rival: bytes
    level: int
    stage: Stage
    step: int
    interval: int
    sides: tuple[Side, Side]
    start: bytes | None
    bond: str
    order: int = 0
    before: int = 0
    first: int = 0
    size: int = 0
    path: tuple[int, ...] = ()
    rounds: int = 0
    entry: int = 0
    element: int = 0
    facts: tuple[int, ...] = ()
    terms: int = 0
    wrong: tuple[bool, bool] = (False, False)
    truth: int | None = None
    reason: str = ""

    @property
    def open(self) -> bool:
        return self.stage not in (Stage.DONE, Stage.VOID)

    def side_of(self, party: str) -> int:
        """0 for the solver, 1 for the challenger."""
        parties = [side.party for side in self.sides]
        require(party in parties, Rule.PARTY)
        return parties.index(party)


@dataclass(frozen=True)
class State:
    """Everything the game knows. moves: the next move number of (sender, game); roots: of (claim, path, party)."""

    now: int
    ledger: Ledger
    jobs: Mapping[bytes, Job] = field(default_factory=dict)
    claims: Mapping[bytes, Claim] = field(default_factory=dict)
    games: Mapping[bytes, Game] = field(default_factory=dict)
    moves: Mapping[tuple[str, bytes], int] = field(default_factory=dict)
    roots: Mapping[tuple[bytes, tuple[int, ...], str], bytes] = field(default_factory=dict)

    def next_move(self, sender: str, game: bytes) -> int:
        return self.moves.get((sender, game), 0)

    def with_job(self, job: Job) -> State:
        return replace(self, jobs={**self.jobs, job.id: job})

    def with_claim(self, claim: Claim) -> State:
        return replace(self, claims={**self.claims, claim.id: claim})

    def with_game(self, game: Game) -> State:
        return replace(self, games={**self.games, game.id: game})


def first_state(params: Params) -> State:
    """The state before any message."""
    return State(0, opened(params.supply))


def claim_id(job: bytes, first: int, last: int, roots: tuple[bytes, ...]) -> bytes:
    """Binds the job and the whole content of a claim."""
    return hashlib.sha256(
        to_canonical(["claim", job, first, last, root_of([leaf_hash(root) for root in roots])])
    ).digest()


def game_id(claim: bytes, index: int, challenger: str) -> bytes:
    """Binds the claim, the interval and the challenger."""
    return hashlib.sha256(to_canonical(["game", claim, index, challenger])).digest()


def state_hash(state: State) -> bytes:
    """SHA-256 over the canonical bytes of a whole state; two coordinators with one log have one hash."""
    return hashlib.sha256(to_canonical(_plain(state))).digest()


def _plain(value: Any) -> Any:
    """A state in lists, integers, strings and bytes; maps in the order of their keys' bytes."""
    if is_dataclass(value):
        return [_plain(getattr(value, item.name)) for item in fields(value)]
    if isinstance(value, Mapping):
        pairs = [[_plain(key), _plain(item)] for key, item in value.items()]
        return sorted(pairs, key=lambda pair: to_canonical(pair[0]))
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes) and len(value) > HASHED_ABOVE:
        return ["sha256", hashlib.sha256(value).digest()]
    return str(value) if isinstance(value, StrEnum) else value
