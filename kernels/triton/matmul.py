"""The matrix product on int8 tensor cores, to the bits of kernels/spec/matmul.py.

q = d0 + 256 d1 (+ 65536 d2) with digits in [-128, 127]; the exact sum is the sum over pairs of digits of their int8
product, shifted by 8 bits for each place. Pairs of equal weight share an int32 accumulator. No accumulator can
overflow, since a program adds at most MAX_TERMS terms; beyond that, and where more programs are wanted, the terms
are split among programs that add their int64 sums. Integers commute, so neither tiles nor splits can change a bit, nor
residues in place of digits (residues.py).
"""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import triton
import triton.language as tl

from kernels.spec.matmul import qmax
from kernels.triton import residues, tuning
from kernels.triton.launch import INTERPRETED, OPTIONS
from kernels.triton.scale import ALIGNMENT, digits, maxima
from kernels.triton.tensor_cores import multiply_add
from kernels.triton.tiles import place, write
from kernels.triton.tilings import DIGITS, MAX_TERMS, Tiling, tilings_of

Multiply = Callable[..., torch.Tensor]  # (width, operands, maxima of a, of b, bound, out) of digits, gives out


@triton.jit(do_not_specialize=["M"])
def product_kernel(
    a,
    b,
    maxima_a,
    maxima_b,
    out,
    sums,
    M,
    N,
    P,
    terms,
    DIGITS: tl.constexpr,
    QMAX: tl.constexpr,
    BITS: tl.constexpr,
    SPLIT: tl.constexpr,
    TILE_M: tl.constexpr,
    TILE_N: tl.constexpr,
    TILE_K: tl.constexpr,
    GROUP: tl.constexpr,
    DIGIT: tl.constexpr,
):
    batch, tile_m, tile_n = place(tl.cdiv(M, TILE_M), tl.cdiv(N, TILE_N), GROUP)
    row, column = tile_m * TILE_M + tl.arange(0, TILE_M), tile_n * TILE_N + tl.arange(0, TILE_N)
    plane_a, plane_b = tl.cast(M, tl.int64) * P, tl.cast(N, tl.int64) * P
    start = tl.program_id(1) * terms
    k = start + tl.arange(0, TILE_K)
    # Rows beyond the edge wrap around to rows that exist: no mask in the loop, and their sums are never written.
    at_a = a + batch * DIGITS * plane_a + (row % M).to(tl.int64)[:, None] * P + k[None, :]
    at_b = b + batch * DIGITS * plane_b + (column % N).to(tl.int64)[None, :] * P + k[:, None]
    c0 = tl.zeros((TILE_M, TILE_N), tl.int32)
    c1 = tl.zeros((TILE_M, TILE_N), tl.int32)
    c2 = tl.zeros((TILE_M, TILE_N), tl.int32)
    if DIGITS == 3:
        c3 = tl.zeros((TILE_M, TILE_N), tl.int32)
        c4 = tl.zeros((TILE_M, TILE_N), tl.int32)
    for _ in range(start, min(start + terms, P), TILE_K):
        a0, a1 = tl.load(at_a), tl.load(at_a + plane_a)
        b0, b1 = tl.load(at_b), tl.load(at_b + plane_b)
        c0 = multiply_add(a0, b0, c0, DIGIT)
        c1 = multiply_add(a0, b1, c1, DIGIT)
        c1 = multiply_add(a1, b0, c1, DIGIT)
        c2 = multiply_add(a1, b1, c2, DIGIT)
        if DIGITS == 3:
            a2, b2 = tl.load(at_a + 2 * plane_a), tl.load(at_b + 2 * plane_b)
            c2 = multiply_add(a0, b2, c2, DIGIT)
            c2 = multiply_add(a2, b0, c2, DIGIT)
            c3 = multiply_add(a1, b2, c3, DIGIT)
            c3 = multiply_add(a2, b1, c3, DIGIT)
            c4 = multiply_add(a2, b2, c4, DIGIT)
        at_a += TILE_K
        at_b += TILE_K
    total = c0.to(tl.int64) + (c1.to(tl.int64) << 8) + (c2.to(tl.int64) << 16)
    if DIGITS == 3:
        total += (c3.to(tl.int64) << 24) + (c4.to(tl.int64) << 32)
    if SPLIT:
        inside = (row < M)[:, None] & (column < N)[None, :]
        tl.atomic_add(sums + batch * M * N + row.to(tl.int64)[:, None] * N + column[None, :], total, inside)
    else:
        write(out, total, maxima_a, maxima_b, batch, row, column, M, N, QMAX, BITS)


@triton.jit(do_not_specialize=["M"])
def finish_kernel(
    sums,
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
    batch, tile_m, tile_n = place(tl.cdiv(M, TILE_M), tl.cdiv(N, TILE_N), 1)
    row, column = tile_m * TILE_M + tl.arange(0, TILE_M), tile_n * TILE_N + tl.arange(0, TILE_N)
    inside = (row < M)[:, None] & (column < N)[None, :]
    total = tl.load(sums + batch * M * N + row.to(tl.int64)[:, None] * N + column[None, :], inside, 0)
    write(out, total, maxima_a, maxima_b, batch, row, column, M, N, QMAX, BITS)


def matmul(
    a: torch.Tensor,
    b: torch.Tensor,
    width: str,
    tiling: Tiling | None = None,
    out: torch.Tensor | None = None,
    multiply: Multiply | None = None,
) -> torch.Tensor:
    """The product of two matrices, exact in integers and rounded once.

    a:       [..., M, K] float32, any strides
    b:       [..., K, N] float32, any strides
    tiling:  how it is cut; None for the one that measured fastest on this device
    out:     [..., M, N] float32, contiguous: where the result is written; None for new memory
    multiply: of digits; None for Triton's own
    returns: [..., M, N] float32
    """
    M, K, N = *a.shape[-2:], b.shape[-1]
    shape = (*a.shape[:-2], M, N)
    out = torch.empty(shape, dtype=torch.float32, device=a.device) if out is None else out
    if K == 0 or 0 in shape:
        return out.zero_()
    rows, columns = a.reshape(-1, M, K), b.reshape(-1, K, N).transpose(1, 2)
    limit = qmax(width, K)
    highest_a, highest_b = maxima(rows), maxima(columns)
    operands = (digits(rows, highest_a, DIGITS[width], limit), digits(columns, highest_b, DIGITS[width], limit))
    if multiply is not None:
        multiply(width, operands, highest_a, highest_b, limit, out.view(-1, M, N))
        return out
    flat = out.view(-1, M, N)
    tiling = tiling or fastest(width, operands, highest_a, highest_b, limit, flat)
    product(width, operands, highest_a, highest_b, limit, tiling, flat)
    return out


def span(terms: int, width: str, tiling: Tiling) -> int:
    """The terms of one program: a multiple of the alignment, few enough that no accumulator overflows."""
    wanted = triton.cdiv(triton.cdiv(terms, tiling.splits), ALIGNMENT) * ALIGNMENT
    return min(wanted, MAX_TERMS[width] // ALIGNMENT * ALIGNMENT)


def product(
    width: str,
    operands: tuple[torch.Tensor, torch.Tensor],
    highest_a: torch.Tensor,
    highest_b: torch.Tensor,
    limit: int,
    tiling: Tiling,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """The product of digits, [B, D, M, P] and [B, D, N, P] int8, as [B, M, N] float32."""
    a, b = operands
    B, _, M, P = a.shape
    N = b.shape[2]
    out = torch.empty((B, M, N), dtype=torch.float32, device=a.device) if out is None else out
    if tiling.residues:
        multiply = partial(residues.multiply, tiling)
        return residues.product(operands, highest_a, highest_b, limit, multiply, out)
    terms = span(P, width, tiling)
    programs = triton.cdiv(P, terms)
    sums = torch.zeros((B, M, N), dtype=torch.int64, device=a.device) if programs > 1 else out
    scale = {"QMAX": limit, "BITS": limit.bit_length()}
    tile = {"TILE_M": tiling.M, "TILE_N": tiling.N}
    grid = (B * triton.cdiv(M, tiling.M) * triton.cdiv(N, tiling.N), programs)
    constants = {"DIGITS": DIGITS[width], "SPLIT": programs > 1, "TILE_K": tiling.K, "GROUP": tiling.GROUP}
    schedule = {"num_warps": tiling.num_warps, "num_stages": tiling.num_stages, "DIGIT": tiling.digit}
    product_kernel[grid](
        a, b, highest_a, highest_b, out, sums, M, N, P, terms, **constants, **scale, **tile, **schedule, **OPTIONS
    )
    return finish(sums, highest_a, highest_b, limit, out) if programs > 1 else out


def finish(
    sums: torch.Tensor, highest_a: torch.Tensor, highest_b: torch.Tensor, limit: int, out: torch.Tensor
) -> torch.Tensor:
    """Exact sums [B, M, N] int64, rounded once into out."""
    B, M, N = sums.shape
    tiles = B * triton.cdiv(M, 32) * triton.cdiv(N, 32)
    scale = {"QMAX": limit, "BITS": limit.bit_length()}
    finish_kernel[(tiles,)](sums, highest_a, highest_b, out, M, N, **scale, TILE_M=32, TILE_N=32, **OPTIONS)
    return out


INTERPRETER_TILING, SMALL_TILING = Tiling(32, 32, 128), Tiling(64, 64, 64)
SMALL = 2**26  # multiply-adds below which measuring costs more than it finds
LARGE = 2**38  # and below which residues cannot be faster (docs/gpu.md)


def fastest(
    width: str,
    operands: tuple[torch.Tensor, torch.Tensor],
    highest_a: torch.Tensor,
    highest_b: torch.Tensor,
    limit: int,
    out: torch.Tensor | None = None,
) -> Tiling:
    """The tiling that measured fastest on this device at these sizes; every tiling gives the same bits.

    out: what the products that are measured may write to; None for new memory
    """
    if INTERPRETED:
        return INTERPRETER_TILING
    a, b = operands
    work = a.shape[0] * a.shape[2] * b.shape[2] * a.shape[3]
    if work < SMALL:
        return SMALL_TILING
    takes_residues = work >= LARGE and a.shape[3] <= residues.max_terms(limit)
    tilings = [tiling for tiling in tilings_of(width) if takes_residues or not tiling.residues]
    out = torch.empty((a.shape[0], a.shape[2], b.shape[2]), device=a.device) if out is None else out

    def run(tiling: Tiling) -> torch.Tensor:
        return product(width, operands, highest_a, highest_b, limit, tiling, out)

    return tuning.fastest((width, limit, a.device, *a.shape, b.shape[2]), tilings, run)
