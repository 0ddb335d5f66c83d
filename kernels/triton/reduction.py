"""Reductions, as kernels/spec/reduction.py defines them: exact integer sums, and extrema by integer order keys."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
import triton
import triton.language as tl

from kernels.triton import functions
from kernels.triton.elementwise import as_int64, to_uint32
from kernels.triton.launch import INTERPRETED, OPTIONS
from kernels.triton.scale import INFINITY, exponent, maxima, quantise_long, store, usable
from kernels.types import CANONICAL_NAN

FRACTION_BITS = 46
# Rows and terms of a block: along memory where that runs along the terms, or along the rows.
BLOCKS = ((16, 1024), (64, 256)) if INTERPRETED else ((8, 256), (64, 32))
PROGRAMS = 8 if INTERPRETED else 1024  # fewer than these are split along the terms
LOWEST, HIGHEST = -(2**63), 2**63 - 1


@triton.jit
def sum_scale(maximum, BITS: tl.constexpr):
    """s = BITS - e for max = f * 2^e, 1/2 <= f < 1; BITS where the maximum is zero or not finite."""
    bits, is_usable = usable(maximum)
    return -tl.where(is_usable, exponent(bits), 0) + BITS


@triton.jit
def stored(total, maximum, BITS: tl.constexpr):
    """The sum rounded once, or the law's NaN where the group is not finite."""
    value = store(total, sum_scale(maximum, BITS))
    return tl.where(maximum < INFINITY, value, functions.constant_nan(value))


@triton.jit(do_not_specialize=["rows", "terms", "span"])
def sum_kernel(
    x,
    maxima,
    out,
    sums,
    rows,
    terms,
    span,
    row_stride,
    term_stride,
    BITS: tl.constexpr,
    SPLIT: tl.constexpr,
    R: tl.constexpr,
    T: tl.constexpr,
):
    """Sums of rows; where SPLIT, programs add int64 parts of `span` terms, which commute."""
    row = tl.program_id(0) * R + tl.arange(0, R)
    maximum = tl.load(maxima + row, row < rows, 0)
    s = sum_scale(maximum, BITS)[:, None]
    total = tl.zeros((R,), tl.int64)
    start = tl.program_id(1) * span
    for k in range(start, min(start + span, terms), T):
        term = k + tl.arange(0, T)
        inside = ((row < rows) & (maximum < INFINITY))[:, None] & (term < terms)[None, :]
        place = row.to(tl.int64)[:, None] * row_stride + term.to(tl.int64)[None, :] * term_stride
        total += tl.sum(quantise_long(tl.load(x + place, inside, 0.0), s), 1)
    if SPLIT:
        tl.atomic_add(sums + row, total, row < rows)
    else:
        tl.store(out + row, stored(total, maximum, BITS), row < rows)


@triton.jit
def quantise_kernel(x, maxima, out, n, terms, BITS: tl.constexpr, B: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B)
    maximum = tl.load(maxima + i // terms, i < n, 0)
    value = tl.load(x + i, (i < n) & (maximum < INFINITY), 0.0)
    tl.store(out + i, quantise_long(value, sum_scale(maximum, BITS)), i < n)


@triton.jit
def store_kernel(total, maxima, out, n, terms, BITS: tl.constexpr, B: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * B + tl.arange(0, B)
    maximum = tl.load(maxima + i // terms, i < n, 0)
    tl.store(out + i, stored(tl.load(total + i, i < n, 0), maximum, BITS), i < n)


def quantised(rows: torch.Tensor, highest: torch.Tensor, bits: int = FRACTION_BITS) -> torch.Tensor:
    """rne(x * 2^s) of each row at its own scale, s = bits - e.

    rows:    [G, n] float32, contiguous
    highest: [G] int32 bit patterns
    returns: [G, n] int64
    """
    out = torch.empty_like(rows, dtype=torch.int64)
    if rows.numel():
        grid = (triton.cdiv(rows.numel(), 1024),)
        quantise_kernel[grid](rows, highest, out, rows.numel(), rows.shape[1], BITS=bits, B=1024, **OPTIONS)
    return out


def rounded(total: torch.Tensor, highest: torch.Tensor, bits: int = FRACTION_BITS) -> torch.Tensor:
    """Exact sums [G, n] at the scales of their groups, rounded once to float32."""
    out = torch.empty_like(total, dtype=torch.float32)
    if total.numel():
        grid = (triton.cdiv(total.numel(), 1024),)
        store_kernel[grid](total, highest, out, total.numel(), total.shape[1], BITS=bits, B=1024, **OPTIONS)
    return out


def grouped(x: torch.Tensor, axes: Sequence[int]) -> tuple[torch.Tensor, list[int]]:
    """x as [groups, elements of a group], and the shape of the groups."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    shape = [x.shape[axis] for axis in kept]
    return x.permute(*kept, *axes).reshape(prod(shape), prod(x.shape[axis] for axis in axes)), shape


def sum_(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """The exact sum of each group's quantised elements, rounded once; integers wrap."""
    rows, shape = grouped(x, axes)
    if x.dtype != torch.float32:
        return rows.sum(1, dtype=torch.int64).to(x.dtype).reshape(shape)
    return sum_rows(rows).reshape(shape)


def sum_rows(rows: torch.Tensor) -> torch.Tensor:
    """The exact sum of each row, rounded once: [G, n] float32 of any strides to [G] float32."""
    G, n = rows.shape
    out = torch.zeros(G, dtype=torch.float32, device=rows.device)
    if not rows.numel():
        return out
    highest = maxima(rows[None])[0]
    R, T = BLOCKS[rows.stride(0) < rows.stride(1)]
    programs = triton.cdiv(G, R)
    parts = max(1, min(triton.cdiv(n, T), PROGRAMS // programs))
    span = triton.cdiv(triton.cdiv(n, parts), T) * T
    parts = triton.cdiv(n, span)
    sums = torch.zeros(G if parts > 1 else 0, dtype=torch.int64, device=rows.device)
    constants = {"BITS": FRACTION_BITS, "SPLIT": parts > 1, "R": R, "T": T}
    sum_kernel[(programs, parts)](rows, highest, out, sums, G, n, span, *rows.stride(), **constants, **OPTIONS)
    return rounded(sums[:, None], highest)[:, 0] if parts > 1 else out


def cumsum(x: torch.Tensor, axis: int) -> torch.Tensor:
    """The exact running sums of each row, each rounded once; integers wrap."""
    if x.dtype != torch.float32:
        return x.to(torch.int64).cumsum(axis).to(x.dtype)
    moved = x.movedim(axis, -1).contiguous()
    rows = moved.reshape(prod(moved.shape[:-1]), moved.shape[-1])
    highest = maxima(rows[None])[0]
    return rounded(quantised(rows, highest).cumsum(1), highest).reshape(moved.shape).movedim(-1, axis).contiguous()


def order_key(x: torch.Tensor, zeros_equal: bool = False) -> torch.Tensor:
    """int64 in the order of x, a NaN above everything; -0 below +0, or equal to it."""
    if x.dtype == torch.uint32:
        return as_int64(x)
    if x.dtype != torch.float32:
        return x.to(torch.int64)
    bits = x.contiguous().view(torch.int32).to(torch.int64)
    return torch.where(bits < 0, -(bits & 0x7FFFFFFF) - int(not zeros_equal), bits)


def from_key(key: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The element of an order key that tells -0 from +0."""
    if dtype == torch.uint32:
        return to_uint32(key)
    if dtype != torch.float32:
        return key.to(dtype)
    return torch.where(key < 0, (-(key + 1)) | -(2**31), key).to(torch.int32).view(torch.float32)


def amax(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """The largest element of each group, as maximum."""
    rows, shape = grouped(order_key(x), axes)
    return from_key(rows.amax(1) if rows.numel() else rows.new_zeros(len(rows)), x.dtype).reshape(shape)


def amin(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """The smallest element of each group, as minimum: NaN if there is one."""
    key = order_key(x)
    if x.dtype == torch.float32:
        key = torch.where(x != x, LOWEST, key)
    rows, shape = grouped(key, axes)
    least = rows.amin(1) if rows.numel() else rows.new_zeros(len(rows))
    if x.dtype == torch.float32:
        least = torch.where(least == LOWEST, CANONICAL_NAN, least)
    return from_key(least, x.dtype).reshape(shape)


def argmax(x: torch.Tensor, axis: int) -> torch.Tensor:
    """The lowest index of the largest element; of the first NaN where there is one."""
    key = order_key(x, zeros_equal=True)
    if not key.numel():
        return torch.empty([n for i, n in enumerate(x.shape) if i != axis], dtype=torch.int64, device=x.device)
    size = x.shape[axis]
    index = torch.arange(size, device=x.device).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return torch.where(key == key.amax(axis, keepdim=True), index, size).amin(axis)


OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    "sum": sum_,
    "cumsum": cumsum,
    "amax": amax,
    "amin": amin,
    "argmax": argmax,
}
