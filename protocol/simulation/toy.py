"""A toy job of five integers: every level and every rule of the game, in plain Python and in microseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from engine.canonical import from_canonical, to_canonical
from engine.merkle import inclusion_proof, leaf_hash, root_of
from protocol.game.params import Point
from protocol.players.tensors import Tensor
from protocol.referee.question import Operand, Question


def digest(*parts: bytes | int) -> bytes:
    """SHA-256 of bytes and numbers."""
    return hashlib.sha256(b"".join(p if isinstance(p, bytes) else p.to_bytes(8, "big") for p in parts)).digest()


Vector = tuple[int, ...]
WIDTH = 5
SHAPE = (WIDTH,)
MODULUS = 2**64
FIRST: Vector = (3, 1, 4, 1, 5)
REVERSED: Vector = (4, 3, 2, 1, 0)
OPERATORS = ("cumsum", "add", "take_rows")


def data_of(vector: Vector) -> bytes:
    """The bytes of a vector of int64."""
    return b"".join((value % MODULUS).to_bytes(8, "little") for value in vector)


def root_of_vector(vector: Vector) -> bytes:
    """Its tensor root: one leaf."""
    return leaf_hash(data_of(vector))


def slots_of(vector: Vector, step: int) -> tuple[bytes, bytes]:
    """The leaves of a state: the vector and the number of steps done."""
    step_root = leaf_hash(step.to_bytes(8, "little"))
    return X.hash(root_of_vector(vector)), STEPS.hash(step_root)


@dataclass(frozen=True)
class Slot:
    name: str
    shape: tuple[int, ...]

    def hash(self, root: bytes) -> bytes:
        return leaf_hash(to_canonical([self.name, "int64", list(self.shape), root]))

    def operand(self, **where: Any) -> Operand:
        return Operand("slot", "int64", self.shape, label=(self.name,), **where)


X, STEPS = Slot("x", SHAPE), Slot("step", ())
PERMUTATION = Operand("tensor", "int64", SHAPE, anchor=root_of_vector(REVERSED))


@dataclass(frozen=True)
class ToyLaw:
    """Entry j of a step is an operator of entry j - 1, the first of the state; the last entry is the next state.

    interval: of every run; where it is open, the longest
    """

    steps: int
    interval: int
    entries: int
    is_open: bool = False

    @property
    def intervals(self) -> tuple[int, int]:
        return (1 if self.is_open else self.interval), self.interval

    @property
    def start(self) -> bytes:
        return root_of(slots_of(FIRST, 0))

    @property
    def job(self) -> bytes:
        return to_canonical([self.steps, self.interval, self.entries, self.is_open])

    def leaf(self, entry: int, value: bytes) -> bytes:
        return leaf_hash(self._entry(entry, b"").leaf(value))

    def size(self, entry: int) -> int:
        return 2 if entry == self.entries - 1 else 1

    def leaf_bytes(self, entry: int, leaf: int) -> int:
        return 0 if entry == self.entries - 1 else 8 * WIDTH

    def dtype(self, entry: int) -> str:
        return "int64"

    def name(self, entry: int) -> str:
        return f"entry {entry}"

    def _entry(self, entry: int, root: bytes) -> Operand:
        kind = "state" if entry == self.entries - 1 else "node"
        return Operand("entry", "int64", SHAPE, label=(kind, entry, 0), index=entry, size=self.entries, anchor=root)

    def _before(self, point: Point, entry: int) -> Operand:
        """Entry - 1, or the state before."""
        return self._entry(entry - 1, point.root) if entry else X.operand(index=0, size=2, anchor=point.start)

    def question(self, point: Point) -> Question:
        if point.entry == self.entries - 1:
            return self._state(point)
        op, operands = OPERATORS[point.entry % 3], [self._before(point, point.entry)]
        if op == "add":
            operands.append(X.operand(index=0, size=2, anchor=point.start))
        if op == "take_rows":
            operands.append(PERMUTATION)
        return self._asked(point, op, SHAPE, tuple(operands), Operand("tensor", "int64", SHAPE, anchor=point.tensor))

    def _state(self, point: Point) -> Question:
        if point.element == 0:
            return self._asked(point, "state", (2,), (self._before(point, point.entry),), X.operand())
        return self._asked(
            point, "state", (2,), (Operand("number", "int64", (), bits=point.step + 1),), STEPS.operand()
        )

    def _asked(
        self, point: Point, op: str, shape: tuple[int, ...], operands: tuple[Operand, ...], output: Operand
    ) -> Question:
        return Question(
            phase=point.phase,
            op=op,
            attributes={"axis": 0} if op == "cumsum" else {},
            dtype="int64",
            shape=shape,
            element=point.element,
            operands=operands,
            scales=(),
            output=output,
            claims=point.claims,
            facts=point.facts,
            term=point.term,
            prover=point.prover,
        )


def computed(entry: int, before: Vector, state: Vector) -> Vector:
    """The value of an entry."""
    match OPERATORS[entry % 3]:
        case "cumsum":
            return tuple(sum(before[: at + 1]) % MODULUS for at in range(WIDTH))
        case "add":
            return tuple((a + b) % MODULUS for a, b in zip(before, state, strict=True))
    return before[::-1]


def toy_law_of(job: bytes, program: bytes, data: bytes) -> ToyLaw:
    if (program, data) != (b"toy", b"toy"):
        raise ValueError("toy: want the program toy and the data toy")
    return ToyLaw(*from_canonical(job, "toy"))


def bent(vector: Vector, lie: bytes) -> Vector:
    """The vector with its middle element replaced by what the lie says."""
    at = WIDTH // 2
    return (*vector[:at], int.from_bytes(lie[8:16], "little"), *vector[at + 1 :])


@dataclass
class ToyTrace:
    """A run of a toy job. lies: (step, entry) -> what is bent there; what follows is computed from it.

    patches:  (step, entry) -> what is bent there in the commitment, while what follows stays right
    interval: steps between its commitments; 0: the job's, where that is open the longest
    """

    law: ToyLaw
    lies: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    patches: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    interval: int = 0
    _kept: dict[int, list[Vector]] = field(default_factory=dict, repr=False)
    _roots: dict[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def job(self) -> bytes:
        return self.law.job

    @property
    def honest(self) -> bool:
        return not self.lies and not self.patches

    def own_interval(self) -> int:
        return self.interval or self.law.interval

    def last_step(self) -> int:
        return self.law.steps

    @cached_property
    def _states(self) -> list[Vector]:
        states = [FIRST]
        for step in range(self.law.steps):
            states.append(self._step(step, states[step])[-1])
        return states

    def _step(self, step: int, state: Vector) -> list[Vector]:
        """The vector of every entry; of the last the one in the next state."""
        values = [state]
        for entry in range(self.law.entries):
            last = entry == self.law.entries - 1
            value = values[-1] if last else computed(entry, values[-1], state)
            lie = self.lies.get((step, entry))
            values.append(value if lie is None else bent(value, lie))
        return values[1:]

    def _committed(self, step: int) -> list[Vector]:
        if step not in self._kept:
            self._kept[step] = self._with_patches(step)
        return self._kept[step]

    def _with_patches(self, step: int) -> list[Vector]:
        values = self._step(step, self._states[step])
        patched = (self.patches.get((step, entry)) for entry in range(self.law.entries))
        return [value if patch is None else bent(value, patch) for value, patch in zip(values, patched, strict=True)]

    def state_root(self, step: int) -> bytes:
        if step not in self._roots:
            self._roots[step] = self.law.start if step == 0 else root_of(self.slot_hashes(step - 1))
        return self._roots[step]

    def slot_hashes(self, step: int) -> tuple[bytes, bytes]:
        return slots_of(self._committed(step)[-1], step + 1)

    def entry_roots(self, step: int) -> list[bytes]:
        return [*(root_of_vector(value) for value in self._committed(step)[:-1]), self.state_root(step + 1)]

    def tensor(self, step: int, entry: int, operand: Operand | None = None) -> Tensor:
        values = self._committed(step)
        if operand == PERMUTATION:
            return vector_tensor(REVERSED)
        if operand is not None and operand.kind == "slot":
            return vector_tensor(self._states[step])
        return vector_tensor(values[operand.index if operand is not None and operand.kind == "entry" else entry])

    def slot_proof(self, step: int, operand: Operand) -> tuple[bytes, ...]:
        return inclusion_proof(slots_of(self._states[step], step), operand.index)

    def fault(self, step: int) -> tuple[int, int] | None:
        return None


def vector_tensor(vector: Vector) -> Tensor:
    return Tensor(np.array([value % MODULUS for value in vector], np.uint64).view(np.int64), "portable")
