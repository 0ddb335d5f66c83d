"""A player's own tensors: the leaves and proofs it opens, and the search for what it has to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from engine.canonical import to_canonical
from engine.merkle import LEAF_SIZE
from engine.state import leaf_hashes
from kernels.hashing import as_bytes
from protocol.game.rows import Tree
from protocol.referee.choices import EXTREMES, MAGNITUDE, groups_of
from protocol.referee.geometry import Groups, Layout, place_of, source_index
from protocol.referee.question import ITEM_BYTES, Operand, Question

Array = np.ndarray
UNSIGNED: dict[int, np.dtype[Any]] = {1: np.dtype("u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}


class Tensor:
    """An array with the tree over its 1 KiB leaves."""

    def __init__(self, array: Array, backend: str = "native") -> None:
        self.array, self._backend = array, backend
        self._data = as_bytes(array)

    @cached_property
    def tree(self) -> Tree:
        """The tree over the leaves."""
        return Tree(leaf_hashes(self.array, self._backend))

    def leaf(self, index: int) -> bytes:
        """The bytes of a leaf."""
        return bytes(self._data[index * LEAF_SIZE : (index + 1) * LEAF_SIZE])

    def bits(self, index: int, item: int) -> int:
        """The bit pattern of an element of `item` bytes."""
        return int.from_bytes(bytes(self._data[index * item : (index + 1) * item]), "little")


Source = Callable[[Operand], Tensor]
Named = Callable[[Operand], tuple[bytes, tuple[bytes, ...]]]


class Own:
    """Reads operands from a player's own tensors, as the referee reads a witness, and keeps what it opens."""

    def __init__(self, source: Source, named: Named, choice: int = 0, recording: bool = True) -> None:
        self._source, self._named, self._recording = source, named, recording
        self.choice = choice
        self._openings: list[Any] = []

    def bits(self, operand: Operand, index: int) -> int:
        """The bit pattern of an element behind an operand's layouts."""
        if operand.kind == "number":
            return operand.bits
        tensor, at = self._source(operand), source_index(operand.layouts, index)
        item = ITEM_BYTES[operand.dtype]
        if self._recording:
            number = at * item // LEAF_SIZE
            opening = [tensor.leaf(number), list(tensor.tree.proof(number))]
            self._openings.append(opening if operand.kind == "tensor" else [*self._anchored(operand), *opening])
        return tensor.bits(at, item)

    def root(self, operand: Operand) -> bytes:
        """The root of a committed operand."""
        opening = self._anchored(operand)
        self._openings.append(opening)
        return bytes(opening[0])

    def _anchored(self, operand: Operand) -> list[Any]:
        root, proof = self._named(operand)
        return [root, list(proof)]

    def witness(self) -> bytes:
        """The openings of everything that was read."""
        return to_canonical([self.choice, self._openings])


def seen_through(array: Array, layouts: Sequence[Layout]) -> Array:
    """The array behind layouts, as a view where NumPy gives one."""
    for layout in layouts:
        match layout.op:
            case "reshape":
                array = array.reshape(layout.after)
            case "permute":
                array = array.transpose(layout.numbers)
            case "broadcast":
                array = np.broadcast_to(array, layout.after)
            case "slice":
                rank = len(layout.before)
                starts, steps = layout.numbers[:rank], layout.numbers[rank:]
                ends = [start + size * step for start, size, step in zip(starts, layout.after, steps, strict=True)]
                array = array[tuple(slice(*cut) for cut in zip(starts, ends, steps, strict=True))]
    return array


def chosen(question: Question, source: Source) -> int | None:
    """What the player points at to show its claim; None where it has nothing to show."""
    claim = question.claims[question.prover]
    if question.op in EXTREMES:
        bits = _members(question.operands[0], groups_of(question), question.element, source)
        return _first(bits & MAGNITUDE if question.op == "scale" else bits, claim)
    assert question.output is not None, "a sort is asked with its own tensor"
    row = np.moveaxis(source(question.output).array.reshape(question.shape), question.attributes["axis"], -1)
    place = list(place_of(question.element, question.shape))
    before = place.pop(question.attributes["axis"])
    return _first(row[tuple(place)][:before].view("<u8"), question.claims[1 - question.prover])


def _members(operand: Operand, groups: Groups, group: int, source: Source) -> Array:
    """The bit patterns of a group's elements in their order."""
    if operand.kind == "number":
        return np.full(groups.members, operand.bits, UNSIGNED[ITEM_BYTES[operand.dtype]])
    seen = seen_through(source(operand).array.reshape(operand.shape), operand.layouts)
    at: list[Any] = [slice(None)] * len(groups.view)
    for axis, place in zip(groups.kept, place_of(group, groups.shape), strict=True):
        at[axis] = place
    return np.ascontiguousarray(seen.reshape(groups.view)[tuple(at)]).reshape(-1).view(UNSIGNED[seen.itemsize])


def _first(bits: Array, wanted: int) -> int | None:
    found = np.flatnonzero(bits == wanted)
    return int(found[0]) if len(found) else None
