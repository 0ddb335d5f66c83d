"""Proofs that must not verify, each named after the attack (cases D6, I8; RFC 6962, section 2.1; CVE-2012-2459)."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from engine.merkle import inclusion_proof, leaf_hash, node_hash, proof_length, root_of, verify_inclusion
from engine.state import leaf_hashes, tensor_root
from protocol.game.rows import Tree

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 31, 33, 64, 100]


def leaves(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % i) for i in range(size)]


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_is_proven_at_its_own_place_only(size: int) -> None:
    hashes = leaves(size)
    root = root_of(hashes)
    for index in range(size):
        proof = inclusion_proof(hashes, index)
        assert len(proof) == proof_length(index, size)
        accepted = [place for place in range(-1, size + 2) if verify_inclusion(root, hashes[index], place, size, proof)]
        assert accepted == [index]


@pytest.mark.parametrize("size", SIZES)
def test_a_proof_longer_shorter_reversed_or_with_one_bit_flipped(size: int) -> None:
    hashes = leaves(size)
    root = root_of(hashes)
    for index in range(size):
        proof = list(inclusion_proof(hashes, index))
        wrong = [[*proof, root], [root, *proof], proof[:-1] if proof else [b""], [*proof, b""]]
        wrong += [proof[::-1]] if proof != proof[::-1] else []
        for place in range(len(proof)):
            flipped = bytes([proof[place][0] ^ 1]) + proof[place][1:]
            wrong += [[*proof[:place], flipped, *proof[place + 1 :]], [*proof[:place], *proof[place + 1 :]]]
            wrong += [[*proof[:place], proof[place][:31], *proof[place + 1 :]]]
        for other in wrong:
            assert not verify_inclusion(root, hashes[index], index, size, other)


@pytest.mark.parametrize("size", SIZES)
def test_the_right_value_at_a_neighbour(size: int) -> None:
    hashes = leaves(size)
    root = root_of(hashes)
    for index in range(size - 1):
        proof = inclusion_proof(hashes, index)
        assert not verify_inclusion(root, hashes[index + 1], index, size, proof)
        assert not verify_inclusion(root, hashes[index], index + 1, size, inclusion_proof(hashes, index + 1))


@pytest.mark.parametrize("size", SIZES)
def test_another_size_of_the_tree_has_another_root(size: int) -> None:
    """A length lie by one leaf, the last leaf doubled among them: an odd level is not padded by its last node."""
    hashes = leaves(size)
    others = [[*hashes, hashes[-1]], hashes[:-1], [*hashes, *hashes[-2:]], [*hashes, *hashes, *hashes]]
    assert root_of(hashes) not in [root_of(other) for other in others]


def test_an_inner_node_is_no_leaf() -> None:
    """A second preimage: the two children of a node, given as the bytes of a leaf."""
    hashes = leaves(4)
    left, right = node_hash(*hashes[:2]), node_hash(*hashes[2:])
    assert root_of([left, right]) == root_of(hashes)
    assert not verify_inclusion(root_of(hashes), leaf_hash(hashes[0] + hashes[1]), 0, 2, [right])
    # The node's own hash would verify as a leaf hash of a tree of half the size: the size comes from the verifier.
    assert verify_inclusion(root_of(hashes), left, 0, 2, [right])
    assert not verify_inclusion(root_of(hashes), left, 0, 4, [right])


def test_an_empty_tree_proves_nothing() -> None:
    empty = root_of([])
    assert empty == sha256(b"").digest()
    assert not verify_inclusion(empty, empty, 0, 0, [])
    assert not verify_inclusion(empty, leaf_hash(b""), 0, 0, [])


def test_what_is_no_hash_is_not_hashed() -> None:
    hashes = leaves(2)
    for wrong in (b"", hashes[1][:31], hashes[1] + b"\0", None, 7, "0" * 32):
        assert not verify_inclusion(root_of(hashes), hashes[0], 0, 2, [wrong])  # type: ignore[list-item]
        assert not verify_inclusion(root_of(hashes), wrong, 0, 2, [hashes[1]])  # type: ignore[arg-type]


def test_leaves_of_a_tensor_do_not_move_between_leaves() -> None:
    """1 KiB boundaries: one element more or less, and the same bytes cut elsewhere, are other tensors."""
    arrays = [np.arange(count, dtype=np.int32) for count in (255, 256, 257, 511, 512, 513)]
    assert len({tensor_root(array) for array in arrays}) == len(arrays)
    assert [len(leaf_hashes(array)) for array in arrays] == [1, 1, 2, 2, 2, 3]
    assert tensor_root(np.zeros(256, np.float32)) != tensor_root(np.zeros(257, np.float32))
    assert tensor_root(np.array([0.0], np.float32)) != tensor_root(np.array([-0.0], np.float32))


@pytest.mark.parametrize("size", SIZES)
def test_a_proof_from_another_root_of_the_same_shape(size: int) -> None:
    one, other = Tree(leaves(size)), Tree([leaf_hash(b"other%d" % i) for i in range(size)])
    for index in range(size):
        assert not verify_inclusion(one.root, other.levels[0][index], index, size, other.proof(index))
        if size > 1:
            assert not verify_inclusion(one.root, one.levels[0][index], index, size, other.proof(index))
