"""RFC 6962 trees over lists of leaf hashes: root, inclusion proof, verification. SHA-256 throughout."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

HASH_SIZE = 32
LEAF_SIZE = 1024
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes | memoryview) -> bytes:
    """SHA-256(0x00 || data): the hash of a leaf (RFC 6962, section 2.1)."""
    state = hashlib.sha256(b"\x00")
    state.update(data)
    return state.digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right): the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes; over none it is SHA-256 of nothing.

    Given the roots of subtrees of 2^k leaves each (the last may be smaller), it is the root over all their leaves.
    """
    level = list(hashes)
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def _parents(level: list[bytes]) -> list[bytes]:
    """One level up. An odd last node rises unchanged: the same tree as splitting at the largest power of two."""
    parents = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return parents + level[len(level) - len(level) % 2 :]


def inclusion_proof(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The siblings from a leaf to the root (RFC 9162, section 2.1.3.1); a ValueError where the index is outside."""
    if not 0 <= index < len(hashes):
        raise ValueError(f"inclusion proof: got index {index}, want 0 to {len(hashes) - 1}")
    level, proof = list(hashes), []
    while len(level) > 1:
        if index ^ 1 < len(level):
            proof.append(level[index ^ 1])
        level, index = _parents(level), index // 2
    return tuple(proof)


def proof_length(index: int, size: int) -> int:
    """The number of hashes in the proof of a leaf of a tree of `size` leaves."""
    length, last = 0, size - 1
    while last > 0:
        length += index % 2 == 1 or index < last
        index, last = index // 2, last // 2
    return length


def verify_inclusion(root: bytes, leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bool:
    """Whether a leaf hash stands at an index of the tree of `size` leaves with this root (RFC 9162, section 2.1.3.2).

    index and size come from the caller's own knowledge, never from whoever gives the proof.
    """
    if not 0 <= index < size or len(proof) != proof_length(index, size):
        return False
    if any(not isinstance(item, bytes) or len(item) != HASH_SIZE for item in (root, leaf, *proof)):
        return False
    node, last, siblings = leaf, size - 1, iter(proof)
    while last > 0:
        if index % 2 == 1:
            node = node_hash(next(siblings), node)
        elif index < last:
            node = node_hash(node, next(siblings))
        index, last = index // 2, last // 2
    return node == root
