"""Run by test_triton.py with TRITON_INTERPRET=1: products by residues at the ends of what eight of them hold."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from math import gcd

import numpy as np
import pytest
import torch
import triton
import triton.language as tl

from kernels import spec
from kernels.spec.matmul import LONG_QMAX, WIDE_QMAX
from kernels.triton import residues
from kernels.triton.matmul import matmul
from kernels.triton.residues import MODULUS, balanced, combine_kernel, max_terms
from kernels.triton.tilings import RESIDUES, Tiling

TILING = Tiling(16, 16, 128, residues=True)
MOST = max_terms(WIDE_QMAX) // 128 * 128
KINDS = {
    "the largest": (1.0, 1.0),
    "the least": (1.0, -1.0),
    "cancelling": (1.0, np.resize([1.0, -1.0], MOST)),
    "cancelling but one": (np.r_[np.ones(MOST - 1), 0.0], np.resize([1.0, -1.0], MOST)),
}


def test_eight_residues_hold_what_the_bound_says() -> None:
    assert all(gcd(a, b) == 1 for a, b in combinations(RESIDUES, 2)) and max(RESIDUES) <= 256
    assert 2 * max_terms(WIDE_QMAX) * WIDE_QMAX**2 <= MODULUS * (1 - 2**-12)
    assert 2 * (max_terms(WIDE_QMAX) + 1) * WIDE_QMAX**2 > MODULUS * (1 - 2**-12)
    assert max_terms(WIDE_QMAX) == 98_387 and max_terms(LONG_QMAX) == (2**31 - 1) // 2**14
    assert max(RESIDUES[1:]) * MODULUS // RESIDUES[0] ** 2 < 2 * 8193 * WIDE_QMAX**2  # seven do not hold 8192 terms


@pytest.mark.parametrize(("kind", "digit"), [*((kind, "int8") for kind in KINDS), ("the largest", "bfloat16")])
def test_the_ends_of_the_range_have_the_bits_of_the_spec(kind: str, digit: str) -> None:
    a = np.full((2, MOST), KINDS[kind][0], np.float32)
    b = np.full((3, MOST), KINDS[kind][1], np.float32).T
    tiling = Tiling(16, 16, 128, residues=True, digit=digit)
    got = matmul(torch.from_numpy(a), torch.from_numpy(b), "wide", tiling)
    assert got.numpy().tobytes() == spec.run("matmul", [a, b], {"width": "wide"}).tobytes()


def test_batches_of_any_shape_have_the_bits_of_the_spec() -> None:
    random = np.random.default_rng(4)
    for shape_a, shape_b in (((2, 3, 17, 129), (2, 3, 129, 33)), ((1, 1), (1, 1)), ((5, 300), (300, 1))):
        a, b = (random.standard_normal(shape, dtype=np.float32) for shape in (shape_a, shape_b))
        a.flat[0] = np.inf
        want = spec.run("matmul", [a, b], {"width": "wide"})
        with np.errstate(all="ignore"):
            got = matmul(torch.from_numpy(a), torch.from_numpy(b), "wide", TILING)
        assert got.numpy().tobytes() == want.tobytes()


def test_every_sum_in_the_range_comes_back_from_its_residues() -> None:
    end = (MODULUS - MODULUS // 2**12) // 2
    random = np.random.default_rng(3)
    sums = [0, 1, -1, end, -end, end - 1, 2**62, -(2**62)]
    sums += [int(x) for x in random.integers(-end, end, 2**10 - len(sums))]
    inverses = [pow(MODULUS // m, -1, m) for m in RESIDUES]
    y = np.array([[s * w % m for s in sums] for m, w in zip(RESIDUES, inverses, strict=True)])
    y = np.where(y > 127, y - np.array(RESIDUES)[:, None], y).astype(np.int8)
    highest = torch.full((32,), WIDE_QMAX, dtype=torch.float32).view(torch.int32)  # a scale of 2^0
    out = torch.empty((32, 32))
    shape = {"QMAX": WIDE_QMAX, "BITS": WIDE_QMAX.bit_length(), "TILE_M": 32, "TILE_N": 32}
    combine_kernel[(1,)](torch.from_numpy(y), highest, highest, out, 32, 32, **shape)
    np.testing.assert_array_equal(out.numpy().reshape(-1), np.array(sums, np.int64).astype(np.float32))


@triton.jit
def balanced_kernel(x, out, M: tl.constexpr, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(out + i, balanced(tl.load(x + i), M, 1.0 / M))


@pytest.mark.parametrize("m", RESIDUES)
def test_a_residue_is_the_one_nearest_to_zero(m: int) -> None:
    end = 2**31 - 2**14
    edges = [e for n in (0, 1, 2, 3, end // m, -(end // m)) for e in (n * m, n * m + m // 2, n * m - m // 2)]
    edges = [e for e in (*edges, end, -end) if abs(e) <= end]
    x = np.r_[edges, np.random.default_rng(m).integers(-end, end, 2**15 - len(edges))].astype(np.int32)
    out = torch.empty(x.size, dtype=torch.int32)
    balanced_kernel[(1,)](torch.from_numpy(x), out, M=m, B=x.size)
    got = out.numpy().astype(np.int64)
    assert ((got - x) % m == 0).all() and (2 * abs(got) <= m).all()


def test_more_terms_than_they_hold_are_refused() -> None:
    digits = torch.zeros((1, 3, 1, MOST + 128), dtype=torch.int8)
    highest, multiply = torch.zeros((1, 1), dtype=torch.int32), partial(residues.multiply, TILING)
    with pytest.raises(
        ValueError, match=f"matmul by residues: got 3 digits and {MOST + 128} terms, want 3 and at most"
    ):
        residues.product((digits, digits), highest, highest, WIDE_QMAX, multiply, torch.empty((1, 1, 1)))
    with pytest.raises(ValueError, match="got 2 digits"):
        residues.product((digits[:, :2], digits), highest, highest, WIDE_QMAX, multiply, torch.empty((1, 1, 1)))
