"""SHA-256 trees over the raw bytes of tensors (RFC 6962), with hashlib."""

from __future__ import annotations

import hashlib

import numpy as np

LEAF_SIZE = 1024
HASH_SIZE = 32
Data = np.ndarray | bytes | bytearray | memoryview


def as_bytes(data: Data) -> memoryview:
    """The raw bytes of a buffer, or of an array's elements in row-major order; a view where they lie so already."""
    if isinstance(data, np.ndarray):
        return np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
    return memoryview(data).cast("B")


def leaf_hashes(data: Data, threads: int = 1) -> bytes:
    """SHA-256(0x00 || leaf) of each 1 KiB leaf, the last of which may be shorter, joined."""
    view = as_bytes(data)
    return b"".join(_leaf_hash(view[start : start + LEAF_SIZE]) for start in range(0, len(view), LEAF_SIZE))


def _leaf_hash(leaf: memoryview) -> bytes:
    state = hashlib.sha256(b"\x00")
    state.update(leaf)
    return state.digest()


def root_of_hashes(hashes: bytes) -> bytes:
    """The root over joined leaf hashes: an inner node is SHA-256(0x01 || left || right).

    Without a leaf it is the SHA-256 of nothing. An odd last node rises unchanged, which is the split at the largest
    power of two (RFC 6962, section 2.1).
    """
    level = [hashes[start : start + HASH_SIZE] for start in range(0, len(hashes), HASH_SIZE)]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in pairs] + level[len(level) - len(level) % 2 :]
    return level[0] if level else hashlib.sha256().digest()


def tree_root(data: Data, threads: int = 1) -> bytes:
    """The root over the 1 KiB leaves of a buffer or an array."""
    return root_of_hashes(leaf_hashes(data, threads))


def subtree_roots(data: Data, leaves_per_subtree: int, threads: int = 1) -> list[bytes]:
    """The roots over each run of that many leaves."""
    hashes, size = leaf_hashes(data, threads), HASH_SIZE * leaves_per_subtree
    return [root_of_hashes(hashes[start : start + size]) for start in range(0, len(hashes), size)]
