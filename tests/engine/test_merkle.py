"""Merkle trees: the vectors of certificate-transparency, and every way in which a proof can be wrong."""

from __future__ import annotations

import hashlib

import pytest

from engine.merkle import EMPTY_ROOT, inclusion_proof, leaf_hash, node_hash, proof_length, root_of, verify_inclusion

# The eight leaves and their roots of the certificate-transparency project's own tests.
LEAVES = [
    bytes.fromhex(x)
    for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = """
6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d
fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125
aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77
d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7
4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4
76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef
ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c
5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328
""".split()
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33)


def hashes(size: int) -> list[bytes]:
    return [leaf_hash(bytes([i])) for i in range(size)]


def recursive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(recursive_root(leaves[:split]), recursive_root(leaves[split:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_equal_the_certificate_transparency_vectors(size: int) -> None:
    assert root_of([leaf_hash(data) for data in LEAVES[:size]]).hex() == ROOTS[size - 1]


def test_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", range(70))
def test_root_equals_the_recursive_definition(size: int) -> None:
    assert root_of(hashes(size)) == recursive_root(hashes(size))


@pytest.mark.parametrize("size", range(1, 70))
def test_root_over_subtree_roots_equals_root_over_leaves(size: int) -> None:
    leaves = hashes(size)
    assert root_of([root_of(leaves[i : i + 8]) for i in range(0, size, 8)]) == root_of(leaves)


@pytest.mark.parametrize("size", SIZES)
def test_every_proof_verifies_and_has_the_stated_length(size: int) -> None:
    leaves = hashes(size)
    for index in range(size):
        proof = inclusion_proof(leaves, index)
        assert len(proof) == proof_length(index, size)
        assert verify_inclusion(root_of(leaves), leaves[index], index, size, proof)


@pytest.mark.parametrize("size", SIZES)
def test_refuses_a_proof_for_another_index_or_size(size: int) -> None:
    leaves = hashes(size)
    root = root_of(leaves)
    for index in range(size):
        proof = inclusion_proof(leaves, index)
        for other in range(-1, size + 2):
            if other != index:
                assert not verify_inclusion(root, leaves[index], other, size, proof)
        if size > 1 and proof_length(index, size + 1) != len(proof):
            assert not verify_inclusion(root, leaves[index], index, size + 1, proof)
        assert not verify_inclusion(root, leaves[index], index, 0, proof)


@pytest.mark.parametrize("size", SIZES)
def test_refuses_an_altered_proof(size: int) -> None:
    leaves = hashes(size)
    root, extra = root_of(leaves), leaf_hash(b"extra")
    for index in range(size):
        proof, leaf = inclusion_proof(leaves, index), leaves[index]
        assert not verify_inclusion(root, leaf, index, size, (*proof, extra))
        assert not verify_inclusion(root, leaf, index, size, (extra, *proof))
        assert not verify_inclusion(root, extra, index, size, proof)
        assert not verify_inclusion(extra, leaf, index, size, proof)
        for place in range(len(proof)):
            assert not verify_inclusion(root, leaf, index, size, proof[:place] + proof[place + 1 :])
            assert not verify_inclusion(root, leaf, index, size, (*proof[:place], extra, *proof[place + 1 :]))


def test_an_inner_node_does_not_pass_for_a_leaf() -> None:
    leaves = hashes(4)
    inner = leaf_hash(leaves[0] + leaves[1])
    assert not verify_inclusion(root_of(leaves), inner, 0, 2, (node_hash(leaves[2], leaves[3]),))


@pytest.mark.parametrize("wrong", [b"", b"\x00" * 31, b"\x00" * 33, "x" * 32, None, 7])
def test_verification_is_false_for_what_is_no_hash(wrong: object) -> None:
    leaves = hashes(2)
    root = root_of(leaves)
    assert not verify_inclusion(root, leaves[0], 0, 2, (wrong,))  # type: ignore[arg-type]
    assert not verify_inclusion(root, wrong, 0, 2, (leaves[1],))  # type: ignore[arg-type]
    assert not verify_inclusion(wrong, leaves[0], 0, 1, ())  # type: ignore[arg-type]


def test_refuses_a_proof_of_an_index_outside() -> None:
    for index in (-1, 3):
        with pytest.raises(ValueError, match=f"got index {index}, want 0 to 2"):
            inclusion_proof(hashes(3), index)
