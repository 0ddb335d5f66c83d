"""The native trees are RFC 6962's, as hashlib computes them, on every instruction set and at every leaf size."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels.backends import missing

ROOT = Path(__file__).parents[2]
# Around the 55 bytes that leave room for the padding in one block, and around whole blocks, with the prefix byte.
LEAF_SIZES = (1, 32, 54, 55, 56, 62, 63, 64, 65, 118, 119, 120, 127, 128, 1000, 1024)
COUNTS = (0, 1, 2, 3, 15, 16, 17, 33, 70)


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def root(level: list[bytes]) -> bytes:
    """Pairs level by level; an odd last node moves up unchanged."""
    while len(level) > 1:
        pairs = [sha(b"\1" + a + b) for a, b in zip(level[::2], level[1::2], strict=False)]
        level = pairs + level[len(pairs) * 2 :]
    return level[0] if level else sha(b"")


def check() -> None:
    """Compares every native hash with hashlib's; an AssertionError where one differs."""
    from kernels import _native

    rng = np.random.default_rng(5)
    for leaf_size in LEAF_SIZES:
        for count in COUNTS:
            data = rng.bytes(max(0, leaf_size * count - int(rng.integers(leaf_size))))
            leaves = [sha(b"\0" + data[at : at + leaf_size]) for at in range(0, len(data), leaf_size)]
            assert _native.leaf_hashes(data, leaf_size, 2) == b"".join(leaves), (leaf_size, count)
            assert _native.tree_root(data, leaf_size, 3) == root(leaves), (leaf_size, count)
            assert _native.root_of_hashes(b"".join(leaves)) == root(leaves)
            whole = [root(leaves[at : at + 8]) for at in range(0, len(leaves), 8)]
            assert _native.subtree_roots(data, leaf_size, 8, 2) == whole
            several = [memoryview(part) for part in (data, b"", data[:5])]
            wanted = [whole, [], [sha(b"\0" + data[:5])] if 0 < len(data[:5]) <= leaf_size else None]
            found = _native.many_subtree_roots(several, leaf_size, 8, 3)
            assert all(want is None or got == want for got, want in zip(found, wanted, strict=True))


@pytest.mark.skipif(bool(missing("native")), reason="a machine with the native module would hash")
@pytest.mark.parametrize("isa", ["plain", "avx2", "avx512", "amx", "neon"])
def test_native_trees_equal_hashlib(isa: str) -> None:
    command = [sys.executable, "-c", "from tests.kernels.test_native_hash import check; check()"]
    environment = {**os.environ, "ISOBIT_ISA": isa}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(bool(missing("native")), reason="a machine with the native module would hash")
def test_refuses_what_is_no_row_of_bytes() -> None:
    from kernels import _native

    with pytest.raises(ValueError, match="got a strided buffer, want a contiguous one"):
        _native.tree_root(np.zeros(8, np.float32)[::2])
    with pytest.raises(ValueError, match="got leaf_size 0, want 1 or more"):
        _native.leaf_hashes(b"abc", 0)
    with pytest.raises(ValueError, match="got leaves_per_subtree 0, want 1 or more"):
        _native.subtree_roots(b"abc", 1, 0)
    with pytest.raises(ValueError, match="got 33 bytes, want a multiple of 32"):
        _native.root_of_hashes(bytes(33))
