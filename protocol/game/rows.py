"""Rows of a tree: the children of a range of leaves, and how they hash back to it (several RFC 6962 splits at once)."""

from __future__ import annotations

from collections.abc import Sequence

from engine.merkle import node_hash


def row_sizes(size: int, arity: int) -> tuple[int, ...]:
    """The leaves under each child of a range of `size` leaves; a range of one leaf is its own only child."""
    if arity == 1 or size == 1:
        return (size,)
    left = 1 << (size - 1).bit_length() - 1
    return row_sizes(left, arity // 2) + row_sizes(size - left, arity // 2)


def root_of_row(row: Sequence[bytes], size: int, arity: int) -> bytes:
    """The hash of the range from its children, of which there must be as many as row_sizes gives."""
    if arity == 1 or size == 1:
        assert len(row) == 1, "the caller compared the number of children with row_sizes"
        return row[0]
    left = 1 << (size - 1).bit_length() - 1
    middle = len(row_sizes(left, arity // 2))
    parts = root_of_row(row[:middle], left, arity // 2), root_of_row(row[middle:], size - left, arity // 2)
    return node_hash(*parts)


def first_difference(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """The first child in which two rows differ."""
    return next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)


class Tree:
    """All nodes over leaf hashes, for a party that gives rows and proofs again and again."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        self.levels = [list(hashes)]
        while len(level := self.levels[-1]) > 1:
            pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            self.levels.append(pairs + level[len(level) - len(level) % 2 :])

    @property
    def root(self) -> bytes:
        return self.levels[-1][0]

    @property
    def size(self) -> int:
        return len(self.levels[0])

    def node(self, first: int, size: int) -> bytes:
        """The hash of a range that the splits make."""
        height = (size - 1).bit_length()
        return self.levels[height][first >> height]

    def row(self, first: int, size: int, arity: int) -> tuple[bytes, ...]:
        """The children of a range."""
        row = []
        for part in row_sizes(size, arity):
            row.append(self.node(first, part))
            first += part
        return tuple(row)

    def proof(self, index: int) -> tuple[bytes, ...]:
        """The inclusion proof of a leaf."""
        proof = []
        for level in self.levels[:-1]:
            if index ^ 1 < len(level):
                proof.append(level[index ^ 1])
            index //= 2
        return tuple(proof)
