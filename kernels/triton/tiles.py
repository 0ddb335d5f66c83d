"""Where a program of a product works, and how it writes its exact sums."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl

from kernels.triton.scale import INFINITY, canonical_nan, product_scale, store


@triton.jit
def place(tiles_m, tiles_n, GROUP: tl.constexpr):
    """This program's batch entry and tile; GROUP tiles along M run side by side, so that they share b in the cache."""
    tile = tl.program_id(0) % (tiles_m * tiles_n)
    group = tile // (GROUP * tiles_n)
    width = min(tiles_m - group * GROUP, GROUP)
    inside = tile % (GROUP * tiles_n)
    return (tl.program_id(0) // (tiles_m * tiles_n)).to(tl.int64), group * GROUP + inside % width, inside // width


@triton.jit
def write(out, total, maxima_a, maxima_b, batch, row, column, M, N, QMAX: tl.constexpr, BITS: tl.constexpr):
    """Rounds exact sums once, and writes them; the law's NaN where a row or a column is not finite."""
    highest_a = tl.load(maxima_a + batch * M + row, row < M, 0)
    highest_b = tl.load(maxima_b + batch * N + column, column < N, 0)
    s = product_scale(highest_a, QMAX, BITS)[:, None] + product_scale(highest_b, QMAX, BITS)[None, :]
    finite = (highest_a < INFINITY)[:, None] & (highest_b < INFINITY)[None, :]
    value = tl.where(finite, store(total, s), canonical_nan(s))
    target = out + batch * M * N + row.to(tl.int64)[:, None] * N + column[None, :]
    tl.store(target, value, (row < M)[:, None] & (column < N)[None, :])
