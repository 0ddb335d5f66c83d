"""Reading operands from openings that are verified; a player reads its own tensors through the same few methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from engine.canonical import from_canonical
from engine.merkle import HASH_SIZE, LEAF_SIZE, leaf_hash, verify_inclusion
from protocol.referee.geometry import size_of, source_index
from protocol.referee.question import ITEM_BYTES, Operand

MAX_WITNESS_BYTES = 20_000


class Refusal(Exception):
    """A witness that shows nothing: malformed, incomplete, or not of the tensors in question."""


class Reader(Protocol):
    """Elements of committed tensors, one after the other. choice: what a side points at, where it may choose."""

    @property
    def choice(self) -> int: ...

    def bits(self, operand: Operand, index: int) -> int:
        """The bit pattern of the element at a flat index behind the operand's layouts."""
        ...

    def root(self, operand: Operand) -> bytes:
        """The tensor root of a committed operand."""
        ...


def refuse_unless(condition: object, reason: str) -> None:
    """Refuse the witness unless the condition holds."""
    if not condition:
        raise Refusal(reason)


class Witness:
    """The openings of a witness, canonical CBOR of [choice, [opening, ...]], verified as they are read.

    opening: of an entry or slot [root, proof of the leaf that names it, leaf, proof of the leaf], or [root, proof]
             where only the root is needed; of a tensor known by its root [leaf, proof]
    """

    def __init__(self, data: bytes) -> None:
        refuse_unless(len(data) <= MAX_WITNESS_BYTES, f"got {len(data)} bytes, want at most {MAX_WITNESS_BYTES}")
        try:
            content = from_canonical(data, "witness")
        except ValueError as error:
            raise Refusal(str(error)) from None
        refuse_unless(isinstance(content, list) and len(content) == 2, "want [choice, openings]")
        choice, openings = content
        refuse_unless(
            type(choice) is int and abs(choice) < 2**63 and isinstance(openings, list), "want [choice, openings]"
        )
        self.choice: int = choice
        self._openings: list[Any] = openings
        self._at = 0

    def bits(self, operand: Operand, index: int) -> int:
        """The bit pattern of an element, from the next opening."""
        if operand.kind == "number":
            return operand.bits
        index = source_index(operand.layouts, index)
        if operand.kind == "tensor":
            leaf, proof = self._next(2)
            return _element(operand, operand.anchor, index, leaf, proof)
        root, root_proof, leaf, proof = self._next(4)
        _require_named(operand, root, root_proof)
        return _element(operand, root, index, leaf, proof)

    def root(self, operand: Operand) -> bytes:
        """The root of an entry or slot, from the next opening."""
        root, proof = self._next(2)
        _require_named(operand, root, proof)
        return bytes(root)

    def _next(self, parts: int) -> list[Any]:
        refuse_unless(self._at < len(self._openings), "an opening is missing")
        opening = self._openings[self._at]
        self._at += 1
        refuse_unless(isinstance(opening, list) and len(opening) == parts, f"want an opening of {parts} parts")
        for data, proof in zip(opening[::2], opening[1::2], strict=True):
            refuse_unless(isinstance(data, bytes) and isinstance(proof, list), "want [bytes, proof]")
            refuse_unless(all(isinstance(sibling, bytes) for sibling in proof), "want a proof of hashes")
        return opening

    def finish(self) -> None:
        """Refuse what was not read: one meaning has one encoding."""
        refuse_unless(self._at == len(self._openings), "an opening is left over")


def _require_named(operand: Operand, root: bytes, proof: Sequence[bytes]) -> None:
    refuse_unless(len(root) == HASH_SIZE, "want a root of 32 bytes")
    stands = verify_inclusion(operand.anchor, leaf_hash(operand.leaf(root)), operand.index, operand.size, proof)
    refuse_unless(stands, f"the tensor is not leaf {operand.index} of what both sides agree on")


def _element(operand: Operand, root: bytes, index: int, leaf: bytes, proof: Sequence[bytes]) -> int:
    item = ITEM_BYTES[operand.dtype]
    total = size_of(operand.shape) * item
    number, offset = divmod(index * item, LEAF_SIZE)
    refuse_unless(len(leaf) == min(LEAF_SIZE, total - number * LEAF_SIZE), "length of a leaf")
    stands = verify_inclusion(root, leaf_hash(leaf), number, -(-total // LEAF_SIZE), proof)
    refuse_unless(stands, f"the opened bytes are not leaf {number} of the tensor")
    return int.from_bytes(leaf[offset : offset + item], "little")
