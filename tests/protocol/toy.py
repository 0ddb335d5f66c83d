"""A toy job whose steps are chains of hashes: every rule of the game without a tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.canonical import from_canonical, to_canonical
from engine.merkle import leaf_hash, verify_inclusion
from protocol.game.params import Params, Point, Terms
from protocol.game.rows import Tree
from protocol.game.rules import Refused, Rule, require
from protocol.identity import Identity

OPERATOR, SUBMITTER, SOLVER, VERIFIER, OTHER, THIRD = (Identity.of_key(bytes([0] * 31 + [i])) for i in range(1, 7))
DOMAIN = "isobit toy"
TERMS = Terms(
    price=1000,
    solver_bond=501,
    challenge_bond=101,
    challenge_bond_rise=10,
    abandon_fee=50,
    segment=100,
    claims_ahead=4,
    arity=4,
    bid_period_s=100,
    claim_period_s=1000,
    reveal_period_s=50,
    challenge_period_s=500,
    clock_s=300,
    move_period_s=100,
    level_extension_s=60,
)


def digest(*parts: bytes | int) -> bytes:
    return hashlib.sha256(b"".join(p if isinstance(p, bytes) else p.to_bytes(8, "big") for p in parts)).digest()


@dataclass(frozen=True)
class ToyLaw:
    """Entry j of a step is the hash of the state before, the step, j and entry j - 1; the last is the next state."""

    steps: int
    interval: int
    entries: int

    @property
    def start(self) -> bytes:
        return digest(b"start")

    @property
    def witness_bytes(self) -> int:
        return 64 + 34 * self.entries.bit_length()

    def leaf(self, entry: int, value: bytes) -> bytes:
        return leaf_hash(digest(b"entry", entry) + value)

    def value(self, start: bytes, step: int, entry: int, before: bytes) -> bytes:
        return digest(start, step, entry, before)

    def decide(self, point: Point, witness: bytes) -> bytes:
        try:
            content = from_canonical(witness, "witness")
        except ValueError as error:
            raise Refused(Rule.WITNESS, str(error)) from None
        require(isinstance(content, list) and len(content) == 2, Rule.WITNESS)
        before, proof = content
        require(isinstance(before, bytes) and isinstance(proof, list), Rule.WITNESS)
        if point.entry == 0:
            require(before == point.start and not proof, Rule.OPENING)
        else:
            leaf = self.leaf(point.entry - 1, before)
            require(verify_inclusion(point.root, leaf, point.entry - 1, self.entries, proof), Rule.OPENING)
        return self.value(point.start, point.step, point.entry, before)

    def name(self, entry: int) -> str:
        return f"entry {entry}"

    @property
    def job(self) -> bytes:
        return to_canonical([self.steps, self.interval, self.entries])


def toy_law_of(job: bytes, program: bytes) -> ToyLaw:
    if program != b"toy":
        raise ValueError("toy: want the program toy")
    return ToyLaw(*from_canonical(job, "toy"))


def toy_params(**changes: int) -> Params:
    return Params(DOMAIN, OPERATOR.address, toy_law_of, **{"supply": 10**9, **changes})


@dataclass
class ToyTrace:
    """A run of a toy job. lies: (step, entry) -> what stands there instead; what follows is computed from it.

    patches: (step, entry) -> what is committed there while what follows stays right
    """

    law: ToyLaw
    lies: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    patches: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)

    @property
    def job(self) -> bytes:
        return self.law.job

    def last_step(self) -> int:
        return self.law.steps

    def state_root(self, step: int) -> bytes:
        if step == 0:
            return self.law.start
        if step not in self.roots:
            self.roots[step] = self.computed(step - 1)[-1]
        patch = self.patches.get((step - 1, self.law.entries - 1))
        return self.roots[step] if patch is None else patch

    def computed(self, step: int) -> list[bytes]:
        start = self.law.start if step == 0 else self.roots.get(step) or self.computed(step - 1)[-1]
        self.roots[step] = start
        values, before = [], start
        for entry in range(self.law.entries):
            before = self.lies.get((step, entry), self.law.value(start, step, entry, before))
            values.append(before)
        return values

    def entry_roots(self, step: int) -> list[bytes]:
        return [self.patches.get((step, entry), value) for entry, value in enumerate(self.computed(step))]

    def witness(self, step: int, entry: int, tree: Tree) -> bytes:
        if entry == 0:
            return to_canonical([self.state_root(step), []])
        return to_canonical([self.entry_roots(step)[entry - 1], list(tree.proof(entry - 1))])
