"""Every message of the game, its canonical bytes and its id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Any

from engine.canonical import from_canonical, to_canonical
from engine.merkle import HASH_SIZE
from protocol.game.fields import READERS, Address, Hash, Hashes
from protocol.game.params import Terms
from protocol.game.rules import Refused, Rule, require

FORMAT = "isobit-message-2"
NOTHING = bytes(HASH_SIZE)


@dataclass(frozen=True, slots=True)
class Deposit:
    """The operator moves money in from outside."""

    account: Address
    amount: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The sender moves money out. Only what is not locked can leave."""

    amount: int


@dataclass(frozen=True, slots=True)
class PostJob:
    """The submitter posts a job and escrows the price. job, program: their canonical bytes; data: of the fields."""

    terms: Terms
    job: bytes
    program: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class PlaceBid:
    """A solver offers to train for a price, and locks its bond. interval: steps between two states it commits to."""

    price: int
    interval: int


@dataclass(frozen=True, slots=True)
class AcceptBid:
    """The submitter takes a bid before the bidding ends by itself."""

    solver: Address


@dataclass(frozen=True, slots=True)
class CommitClaim:
    """The solver binds itself to the roots of steps [first, last) before it shows them. commitment: see claim_seal."""

    first: int
    last: int
    commitment: Hash


@dataclass(frozen=True, slots=True)
class RevealClaim:
    """All state roots of the claim: the one before its first step, then one after each committed interval."""

    roots: Hashes
    salt: Hash


@dataclass(frozen=True, slots=True)
class CommitChallenge:
    """A challenger binds itself to an objection before showing it, and locks a bond. commitment: see challenge_seal."""

    claim: Hash
    commitment: Hash


@dataclass(frozen=True, slots=True)
class RevealChallenge:
    """From leaf `index` of the claim, the program gives `root`, not leaf `index + 1`."""

    claim: Hash
    index: int
    root: Hash
    salt: Hash


@dataclass(frozen=True, slots=True)
class Register:
    """A verifier locks one bond and has one more ticket in the pool of attesters."""


@dataclass(frozen=True, slots=True)
class Unregister:
    """An attester takes a ticket that is in no slot out of the pool."""

    ticket: int


@dataclass(frozen=True, slots=True)
class AnchorBeacon:
    """The operator commits to a job's chain of links: each hashes to the one before, the first to the anchor."""

    anchor: Hash


@dataclass(frozen=True, slots=True)
class DrawAttesters:
    """The operator shows the next link, and the attesters of the committed claim are drawn."""

    link: Hash


@dataclass(frozen=True, slots=True)
class CommitAttestation:
    """A drawn attester binds itself to its own roots of the segment from `first`. commitment: see attestation_seal."""

    first: int
    commitment: Hash


@dataclass(frozen=True, slots=True)
class RevealAttestation:
    """The id of the claim that the attester's own roots make, equal to `claim` where it agrees."""

    claim: Hash
    attested: Hash
    salt: Hash


@dataclass(frozen=True, slots=True)
class Enter:
    """A party commits to its whole trace at a level, ties it to what is agreed and to its own value, shows a row.

    value:       of the party's own leaf above
    root:        over the leaves of this level; of an entry its root, of an element its sum as a word: the value itself
    start:       the agreed state before
    start_proof: that it stands before the first difference above, where there is a level above
    first_proof: that the first leaf is the start (interval level); last_proof: that the last leaf is the value
    """

    value: Hash
    root: Hash
    start: Hash
    start_proof: Hashes
    first_proof: Hashes
    last_proof: Hashes
    row: Hashes


@dataclass(frozen=True, slots=True)
class Row:
    """The children of a party's current node. It proves itself, so anyone may send it."""

    party: Address
    row: Hashes


@dataclass(frozen=True, slots=True)
class Show:
    """The bytes of the one leaf of a party's array that is in question. They prove themselves: anyone may send them."""

    party: Address
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Open:
    """The openings from which the referee judges the disputed place. party: whose roots the proofs lead to."""

    party: Address
    witness: bytes


Body = (
    Deposit
    | Withdraw
    | PostJob
    | PlaceBid
    | AcceptBid
    | CommitClaim
    | RevealClaim
    | CommitChallenge
    | RevealChallenge
    | Register
    | Unregister
    | AnchorBeacon
    | DrawAttesters
    | CommitAttestation
    | RevealAttestation
    | Enter
    | Row
    | Show
    | Open
)
KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in Body.__args__}


@dataclass(frozen=True, slots=True)
class Message:
    """What a sender says, about which job and game, as its which-th move, and until when it may arrive.

    job, game: 32 zero bytes where there is none; claims and challenges name the job, moves of a game name both
    """

    sender: Address
    job: Hash
    game: Hash
    move: int
    deadline: int
    body: Body

    @property
    def kind(self) -> str:
        return type(self.body).__name__

    @property
    def id(self) -> bytes:
        """The identity for which a message takes effect once: who, in which game, which move. Never the signature."""
        return hashlib.sha256(to_canonical([FORMAT, self.sender, self.game, self.move])).digest()

    @property
    def body_hash(self) -> bytes:
        """SHA-256 of the canonical bytes of the body."""
        return hashlib.sha256(to_canonical([self.kind, _to_list(self.body)])).digest()

    def to_bytes(self) -> bytes:
        """The canonical bytes."""
        head = [FORMAT, self.sender, self.job, self.game, self.move, self.deadline]
        return to_canonical([*head, self.kind, _to_list(self.body)])


def _to_list(value: Any) -> list[Any]:
    items = [getattr(value, item.name) for item in fields(value)]
    return [_to_list(x) if isinstance(x, Terms) else list(x) if isinstance(x, tuple) else x for x in items]


def message_from_bytes(data: bytes) -> Message:
    """The message of canonical bytes; refused for anything else."""
    try:
        content = from_canonical(data, "message")
    except ValueError as error:
        raise Refused(Rule.MALFORMED, str(error)) from None
    require(isinstance(content, list) and len(content) == 8, Rule.MALFORMED, "want 8 fields")
    form, sender, job, game, move, deadline, kind, body = content
    require(form == FORMAT, Rule.MALFORMED, "format")
    require(isinstance(kind, str) and kind in KINDS, Rule.MALFORMED, "kind")
    address, identity, integer = READERS["Address"], READERS["Hash"], READERS["int"]
    head = (address(sender), identity(job), identity(game), integer(move), integer(deadline))
    return Message(*head, _from_list(KINDS[kind], body))


def _from_list(kind: type[Any], content: Any) -> Any:
    names = fields(kind)
    require(isinstance(content, list) and len(content) == len(names), Rule.MALFORMED, kind.__name__)
    return kind(*(_read(str(item.type), value) for item, value in zip(names, content, strict=True)))


def _read(name: str, value: Any) -> Any:
    return _from_list(Terms, value) if name == "Terms" else READERS[name](value)


def claim_seal(solver: str, job: bytes, first: int, last: int, roots: Hashes, salt: bytes) -> bytes:
    """The commitment of a claim. It binds the solver, so that a copy of it is worthless to anyone else."""
    return hashlib.sha256(to_canonical(["claim", solver, job, first, last, list(roots), salt])).digest()


def challenge_seal(challenger: str, claim: bytes, index: int, root: bytes, salt: bytes) -> bytes:
    """The commitment of a challenge. It binds the challenger."""
    return hashlib.sha256(to_canonical(["challenge", challenger, claim, index, root, salt])).digest()


def attestation_seal(attester: str, job: bytes, first: int, last: int, attested: bytes, salt: bytes) -> bytes:
    """The commitment of an attestation. It binds the attester: a copy of it cannot be shown by anyone else."""
    return hashlib.sha256(to_canonical(["attestation", attester, job, first, last, attested, salt])).digest()
