"""The product of `wide` integers as eight products of residues instead of nine of digits, to the same bits.

An integer S with |S| < M / 2 is known by its residues modulo numbers below 257 that have no common factor and whose
product is M. Eight of them make M 2^63.57, which is enough for K terms of |q| <= QMAX where 2 K QMAX^2 < M: 98,387
terms of the wider `wide`. With y_i = S (M / m_i)^-1 modulo m_i, S = sum y_i M / m_i - n M (Chinese remainders), where n
is the nearest integer to sum y_i / m_i. The factor (M / m_i)^-1 goes into b's residues, the rest is int64, modulo 2^64.
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
import triton
import triton.language as tl

from kernels.triton.launch import INTERPRETED, OPTIONS
from kernels.triton.tensor_cores import multiply_add
from kernels.triton.tiles import place, write
from kernels.triton.tilings import RESIDUES, Tiling

MODULUS = prod(RESIDUES)
ACCUMULATOR_TERMS = (2**31 - 1) // 2**14  # of residues in [-128, 128]
FRACTION = 22  # bits of y / m: eight of them are right to 2^-13, so S may come as near to M / 2 as that times M
COUNT = tl.constexpr(len(RESIDUES))
MODULI = tl.constexpr(RESIDUES)
INVERSES = tl.constexpr(tuple(pow(MODULUS // m, -1, m) for m in RESIDUES))
WEIGHTS = tl.constexpr(tuple(MODULUS // m for m in RESIDUES))
FRACTIONS = tl.constexpr(tuple(round(2**FRACTION / m) for m in RESIDUES))
SHIFT, HALF = tl.constexpr(FRACTION), tl.constexpr(2 ** (FRACTION - 1))
WRAPPED = tl.constexpr(MODULUS - 2**64)  # M as int64
ROUNDER = tl.constexpr(12582912.0)  # 1.5 * 2^23
ELEMENTS = 2**16 if INTERPRETED else 1024


def max_terms(limit: int) -> int:
    """How many terms of integers up to the limit eight residues hold."""
    return min(ACCUMULATOR_TERMS, (MODULUS - MODULUS // 2**12) // (2 * limit**2))


@triton.jit
def balanced(x, m, inverse):
    """x modulo m, nearest to 0, for |x| <= 2^31 - 2^14 and m <= 256; `inverse` is 1 / m."""
    near = x - (x.to(tl.float32) * inverse).to(tl.int32) * m  # |near| < 4 m
    turns = ((near.to(tl.float32) * inverse + ROUNDER) - ROUNDER).to(tl.int32)
    return near - turns * m


@triton.jit
def residues_kernel(digits, out, plane, n, IS_B: tl.constexpr, E: tl.constexpr):
    """Eight residues of integers that are given as three digits; of b, times (M / m)^-1."""
    i = tl.program_id(0).to(tl.int64) * E + tl.arange(0, E)
    plane = tl.cast(plane, tl.int64)
    batch, at = i // plane, i % plane
    source = digits + batch * 3 * plane + at
    q = tl.load(source, i < n, 0).to(tl.int32)
    q += tl.load(source + plane, i < n, 0).to(tl.int32) * 256
    q += tl.load(source + 2 * plane, i < n, 0).to(tl.int32) * 65536
    for j in tl.static_range(COUNT):
        r = balanced(q, MODULI[j], 1.0 / MODULI[j])
        if IS_B:
            r = balanced(r * INVERSES[j], MODULI[j], 1.0 / MODULI[j])
        tl.store(out + (batch * COUNT + j) * plane + at, r.to(tl.int8), i < n)


@triton.jit(do_not_specialize=["M"])
def residue_product_kernel(
    a,
    b,
    out,
    M,
    N,
    P,
    TILE_M: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_K: tl.constexpr,
    GROUP: tl.constexpr,
    DIGIT: tl.constexpr,
):
    """The product of one pair of residue planes, modulo its m: int8, of which 128 modulo 256 is -128."""
    batch, tile_m, tile_n = place(tl.cdiv(M, TILE_M), tl.cdiv(N, TILE_N), GROUP)
    row, column = tile_m * TILE_M + tl.arange(0, TILE_M), tile_n * TILE_N + tl.arange(0, TILE_N)
    j = tl.program_id(1)
    entry = batch * COUNT + j
    k = tl.arange(0, TILE_K)
    # Rows beyond the edge wrap around to rows that exist: no mask in the loop, and their sums are never written.
    at_a = a + (entry * M + row % M)[:, None] * P + k[None, :]
    at_b = b + (entry * N + column % N)[None, :] * P + k[:, None]
    c = tl.zeros((TILE_M, TILE_N), tl.int32)
    for _ in range(0, P, TILE_K):
        c = multiply_add(tl.load(at_a), tl.load(at_b), c, DIGIT)
        at_a += TILE_K
        at_b += TILE_K
    m, inverse = 256, 1.0 / 256
    for other in tl.static_range(1, COUNT):
        m = tl.where(j == other, MODULI[other], m)
        inverse = tl.where(j == other, 1.0 / MODULI[other], inverse)
    target = out + entry * M * N + row.to(tl.int64)[:, None] * N + column[None, :]
    tl.store(target, balanced(c, m, inverse).to(tl.int8), (row < M)[:, None] & (column < N)[None, :])


@triton.jit(do_not_specialize=["M"])
def combine_kernel(
    y,
    maxima_a,
    maxima_b,
    out,
    M,
    N,
    QMAX: tl.constexpr,
    BITS: tl.constexpr,
    TILE_M: tl.constexpr,
    TILE_N: tl.constexpr,
):
    """The exact sums from their residues, rounded once."""
    batch, tile_m, tile_n = place(tl.cdiv(M, TILE_M), tl.cdiv(N, TILE_N), 1)
    row, column = tile_m * TILE_M + tl.arange(0, TILE_M), tile_n * TILE_N + tl.arange(0, TILE_N)
    inside = (row < M)[:, None] & (column < N)[None, :]
    plane = tl.cast(M, tl.int64) * N
    source = y + batch * COUNT * plane + row.to(tl.int64)[:, None] * N + column[None, :]
    total = tl.zeros((TILE_M, TILE_N), tl.int64)
    fraction = tl.full((TILE_M, TILE_N), HALF, tl.int32)
    for j in tl.static_range(COUNT):
        residue = tl.load(source + j * plane, inside, 0).to(tl.int32)
        total += residue.to(tl.int64) * tl.full((TILE_M, TILE_N), WEIGHTS[j], tl.int64)
        fraction += residue * FRACTIONS[j]
    turns = (fraction >> SHIFT).to(tl.int64)
    total -= turns * tl.full((TILE_M, TILE_N), WRAPPED, tl.int64)
    write(out, total, maxima_a, maxima_b, batch, row, column, M, N, QMAX, BITS)


def residues(digits: torch.Tensor, is_b: bool) -> torch.Tensor:
    """[B, 8, R, P] int8 from digits [B, 3, R, P]."""
    B, _, R, P = digits.shape
    out = torch.empty((B, len(RESIDUES), R, P), dtype=torch.int8, device=digits.device)
    grid = (triton.cdiv(B * R * P, ELEMENTS),)
    residues_kernel[grid](digits, out, R * P, B * R * P, IS_B=is_b, E=ELEMENTS, **OPTIONS)
    return out


def multiply(tiling: Tiling, a: torch.Tensor, b: torch.Tensor, y: torch.Tensor) -> None:
    """The products of planes of residues [B, 8, M, P] and [B, 8, N, P], each modulo its own, to y [B, 8, M, N] int8."""
    B, count, M, P = a.shape
    N = b.shape[2]
    tiles = {"TILE_M": tiling.M, "TILE_N": tiling.N}
    grid = (B * triton.cdiv(M, tiling.M) * triton.cdiv(N, tiling.N), count)
    schedule = {"num_warps": tiling.num_warps, "num_stages": tiling.num_stages, "DIGIT": tiling.digit}
    residue_product_kernel[grid](a, b, y, M, N, P, TILE_K=tiling.K, GROUP=tiling.GROUP, **tiles, **schedule, **OPTIONS)


def product(
    operands: tuple[torch.Tensor, torch.Tensor],
    highest_a: torch.Tensor,
    highest_b: torch.Tensor,
    limit: int,
    multiply: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None],
    out: torch.Tensor,
) -> torch.Tensor:
    """The product of digits, [B, 3, M, P] and [B, 3, N, P] int8, written to out [B, M, N] float32.

    multiply: (residues of a, of b, where their products' residues go)
    """
    B, count, M, P = operands[0].shape
    N = operands[1].shape[2]
    if count != 3 or P > max_terms(limit):
        raise ValueError(f"matmul by residues: got {count} digits and {P} terms, want 3 and at most {max_terms(limit)}")
    a, b = residues(operands[0], False), residues(operands[1], True)
    y = torch.empty((B, len(RESIDUES), M, N), dtype=torch.int8, device=a.device)
    multiply(a, b, y)
    scale = {"QMAX": limit, "BITS": limit.bit_length(), "TILE_M": 32, "TILE_N": 64}
    combine_kernel[(B * triton.cdiv(M, 32) * triton.cdiv(N, 64),)](
        y, highest_a, highest_b, out, M, N, **scale, **OPTIONS
    )
    return out
